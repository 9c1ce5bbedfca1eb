#include "control/cli/tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/limits.h"
#include "lib/vici_msg.h"

static char *copy_text(const char *text, size_t len)
{
	char *copy = malloc(len + 1);

	if (!copy)
		return NULL;
	if (len)
		memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

static struct node *add(struct node *parent, enum node_kind kind, const char *name, size_t name_len)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->kind = kind;
	n->name = copy_text(name, name_len);
	if (!n->name) {
		free(n);
		return NULL;
	}
	if (!parent)
		return n;
	if (parent->last)
		parent->last->next = n;
	else
		parent->first = n;
	parent->last = n;
	return n;
}

static struct node *add_value(struct node *parent, const char *name, size_t name_len,
			      const char *value, size_t value_len)
{
	struct node *n = add(parent, NODE_VALUE, name, name_len);

	if (!n)
		return NULL;
	n->value = copy_text(value, value_len);
	n->value_len = n->value ? value_len : 0;
	return n->value ? n : NULL;
}

struct node *tree_add(struct node *parent, enum node_kind kind, const char *name)
{
	return add(parent, kind, name, strlen(name));
}

struct node *tree_add_value(struct node *parent, const char *name, const char *value)
{
	return add_value(parent, name, strlen(name), value, strlen(value));
}

int tree_add_message(struct node *section, const uint8_t *msg, size_t len)
{
	struct vici_parser p = vici_parser_of(msg, len);
	struct node *open[LIMIT_VICI_DEPTH + 2] = {section}; // a list may stand in the deepest one
	unsigned depth = 0;

	for (;;) {
		struct vici_element e;
		struct node *n = NULL;
		int rc = vici_next(&p, &e);

		if (rc)
			return rc;
		switch (e.type) {
		case VICI_END:
			return 0;
		case VICI_SECTION_START:
		case VICI_LIST_START:
			if (depth + 1 == sizeof(open) / sizeof(open[0]))
				return -EBADMSG;
			n = add(open[depth], e.type == VICI_LIST_START ? NODE_LIST : NODE_SECTION,
				e.name, e.name_len);
			open[++depth] = n;
			break;
		case VICI_SECTION_END:
		case VICI_LIST_END:
			n = open[depth--];
			break;
		case VICI_KEY_VALUE:
			n = add_value(open[depth], e.name, e.name_len, e.value, e.value_len);
			break;
		case VICI_LIST_ITEM:
			n = add_value(open[depth], "", 0, e.value, e.value_len);
			break;
		}
		if (!n)
			return -ENOMEM;
	}
}

void tree_free(struct node *n)
{
	if (!n)
		return;
	while (n->first) {
		struct node *member = n->first;

		n->first = member->next;
		tree_free(member);
	}
	free(n->name);
	free(n->value);
	free(n);
}

const struct node *tree_get(const struct node *n, const char *name)
{
	for (const struct node *m = n ? n->first : NULL; m; m = m->next)
		if (strcmp(m->name, name) == 0)
			return m;
	return NULL;
}

const char *tree_text(const struct node *n, const char *name, const char *otherwise)
{
	const struct node *m = tree_get(n, name);

	return m && m->kind == NODE_VALUE && m->value ? m->value : otherwise;
}

bool tree_child_has_sa(const struct node *child)
{
	const char *mode = tree_text(child, "mode", "");

	return strcmp(mode, "TUNNEL") == 0 || strcmp(mode, "TRANSPORT") == 0;
}

uint64_t tree_number(const struct node *n, const char *name)
{
	return strtoull(tree_text(n, name, "0"), NULL, 10);
}

char *tree_join(const struct node *list, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = '\0';
	for (const struct node *m = list ? list->first : NULL; m && len < size; m = m->next)
		len += (size_t)snprintf(buf + len, size - len, "%s%s", len ? " " : "",
					m->value ? m->value : "");
	return buf;
}
