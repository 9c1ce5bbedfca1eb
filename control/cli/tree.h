// A vici message as a tree: sections, lists and values by name.
//
// Ownership: a node owns its name, value and members; tree_free takes a whole tree.
// Errors:    look-ups accept NULL nodes, so that they can be chained.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum node_kind { NODE_SECTION, NODE_LIST, NODE_VALUE };

struct node {
	enum node_kind kind;
	char *name;  // "" for the root and for items of a list
	char *value; // of a NODE_VALUE, terminated; may hold further zero bytes
	size_t value_len;
	struct node *first, *last; // members
	struct node *next;
};

// A new empty node appended to `parent` (may be NULL). NULL when out of memory.
struct node *tree_add(struct node *parent, enum node_kind kind, const char *name);
struct node *tree_add_value(struct node *parent, const char *name, const char *value);
// Appends the elements of a message to a section. 0, -EBADMSG, -ENOMEM.
int tree_add_message(struct node *section, const uint8_t *msg, size_t len);
void tree_free(struct node *n); // NULL is allowed

// The member of that name, or NULL.
const struct node *tree_get(const struct node *n, const char *name);
// Its value as text; `otherwise` when absent.
const char *tree_text(const struct node *n, const char *name, const char *otherwise);
// Of a child of list-conns: are there SAs for it, or is it a rule (mode = pass or drop)?
bool tree_child_has_sa(const struct node *child);
// Its value as a number; 0 when absent or none.
uint64_t tree_number(const struct node *n, const char *name);
// The items of a list in one line, separated by blanks. Returns buf.
char *tree_join(const struct node *list, char *buf, size_t size);
