// The tree of a configuration file: sections and keys, each with the file and line it stands on.
//
// Threads:   none of its own.
// Ownership: the tree owns every node and string; they live until config_tree_destroy, which
//            wipes them, as values may be secrets.
// Errors:    NULL when out of memory.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"

enum { // what a file can make us hold, beside lib/limits.h
	CONFIG_FILES_MAX = 65536,
	CONFIG_EXPANDED_MAX = 1000000,	   // nodes made by following references
	CONFIG_REFERENCE_STEPS = 10000000, // comparisons while following references
	CONFIG_PATH_TEXT_MAX = 256,
};

enum config_node_kind { NODE_KEY, NODE_SECTION };

// "name : other, other.sub { }": takes over what `target` holds.
struct config_reference {
	const char *target; // absolute, components separated by dots
	const char *file;
	int line;
	struct config_reference *next;
};

struct config_node {
	enum config_node_kind kind;
	const char *name;
	const char *value; // of a key; NULL for "key =", which unsets
	bool cut;	   // a '#' right behind the value began a comment
	const char *file;
	int line;
	struct config_node *parent, *next;
	struct config_node *first, *last; // of a section, in order
	struct config_reference *references, *references_last;
	bool referenced; // another section takes this one over
	bool visiting;	 // references being followed through it
};

struct config_tree {
	struct config_node *root;
	char **files; // every file read, in order; the first is the main one
	size_t n_files;
	size_t n_nodes;
	bool has_references;
	struct config_arena *arena;
	struct config_node **slots; // hash table over (parent, kind, name)
	size_t n_slots, n_used;
};

struct config_tree *config_tree_create(void);
void config_tree_destroy(struct config_tree *t); // NULL is allowed

// A copy of the bytes with a terminator, owned by the tree.
char *config_tree_text(struct config_tree *t, const char *bytes, size_t len);
void *config_tree_alloc(struct config_tree *t, size_t size); // zeroed
// Records a file and returns its name as the tree keeps it.
const char *config_tree_file(struct config_tree *t, const char *name);

// A new node at the end of `parent` (NULL: a root). `name` and `file` are borrowed from the tree.
struct config_node *config_node_add(struct config_tree *t, struct config_node *parent,
				    enum config_node_kind kind, const char *name, const char *file,
				    int line);
// NULL when absent.
struct config_node *config_node_find(const struct config_tree *t, const struct config_node *parent,
				     enum config_node_kind kind, const char *name);
// "connections.lab.proposals". Returns buf.
char *config_node_path(const struct config_node *n, char *buf, size_t size);

// Writes "FILE:LINE: PATH: ..." and returns `code`.
int config_node_error(struct error *err, int code, const struct config_node *n, const char *fmt,
		      ...) __attribute__((format(printf, 4, 5)));
// A value as it may appear in a message: cut when long, control characters replaced.
#define CONFIG_SHOWN_MAX 80
char *config_shown(const char *value, char *buf, size_t size);
