#include "config/reference.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/limits.h"
#include "lib/suggest.h"

// A section together with all that it takes over, the one that wins first.
struct view {
	struct config_node **s;
	size_t n, cap;
};

struct expansion {
	struct config_tree *tree;
	struct config_node *old_root;
	struct error *err;
	size_t steps, nodes;
};

static int find_target(struct expansion *x, const struct config_reference *r, struct view *out);

static int no_memory(struct expansion *x)
{
	return error_set(x->err, -ENOMEM, "out of memory");
}

static int at(struct expansion *x, const struct config_reference *r, int code, const char *what)
{
	return error_set(x->err, code, "%s:%d: reference to '%s': %s", r->file, r->line, r->target,
			 what);
}

// 1 when it was not there before.
static int view_add(struct expansion *x, struct view *v, struct config_node *section)
{
	x->steps += v->n + 1;
	for (size_t i = 0; i < v->n; i++) {
		if (v->s[i] == section)
			return 0;
	}
	if (v->n == v->cap) {
		size_t cap = v->cap != 0 ? v->cap * 2 : 4;
		struct config_node **s = realloc(v->s, cap * sizeof(struct config_node *));

		if (s == NULL)
			return no_memory(x);
		v->s = s;
		v->cap = cap;
	}
	v->s[v->n++] = section;
	return 1;
}

// Adds a section and, after it, what its references name.
static int view_collect(struct expansion *x, struct view *v, struct config_node *section)
{
	int rc = view_add(x, v, section);

	if (rc <= 0)
		return rc;
	rc = 0;
	for (struct config_reference *r = section->references; r != NULL && rc == 0; r = r->next) {
		struct view target = {0};

		if (section->visiting)
			return at(x, r, -ELOOP, "the section takes over itself");
		if (x->steps > CONFIG_REFERENCE_STEPS)
			return at(x, r, -E2BIG, "the references are too entangled to follow");
		section->visiting = true;
		rc = find_target(x, r, &target);
		section->visiting = false;
		for (size_t i = 0; i < target.n && rc >= 0; i++)
			rc = view_add(x, v, target.s[i]);
		free(target.s);
		if (rc > 0)
			rc = 0;
	}
	return rc;
}

static int not_found(struct expansion *x, const struct config_reference *r)
{
	const char *known[64], *nearest;
	size_t n = 0;

	for (struct config_node *c = x->old_root->first; c != NULL && n < 64; c = c->next) {
		if (c->kind == NODE_SECTION)
			known[n++] = c->name;
	}
	nearest = suggest_nearest(r->target, known, n);
	if (nearest != NULL && strcmp(nearest, r->target) != 0)
		return error_set(x->err, -ENOENT,
				 "%s:%d: reference to '%s': no such section; did you mean '%s'?",
				 r->file, r->line, r->target, nearest);
	return at(x, r, -ENOENT,
		  "no such section; the name is given from the top, as in "
		  "'connections.NAME'");
}

// The sections called `name` in any of the sections of `from`, with what they take over.
static int view_descend(struct expansion *x, const struct view *from, const char *name,
			struct view *to)
{
	for (size_t i = 0; i < from->n; i++) {
		struct config_node *c;
		int rc;

		c = config_node_find(x->tree, from->s[i], NODE_SECTION, name);
		if (c == NULL)
			continue;
		rc = view_collect(x, to, c);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int find_target(struct expansion *x, const struct config_reference *r, struct view *out)
{
	struct view now = {0};
	char *path = strdup(r->target), *save = NULL;
	int rc = path != NULL ? view_collect(x, &now, x->old_root) : no_memory(x);
	struct config_node *top;

	for (char *name = rc == 0 ? strtok_r(path, ".", &save) : NULL; name != NULL && rc == 0;
	     name = strtok_r(NULL, ".", &save)) {
		struct view next = {0};

		rc = view_descend(x, &now, name, &next);
		free(now.s);
		now = next;
	}
	if (rc == 0 && now.n == 0)
		rc = not_found(x, r);
	if (rc == 0) {
		top = config_node_find(x->tree, x->old_root, NODE_SECTION, path);
		if (top != NULL)
			top->referenced = true;
		*out = now;
		now = (struct view){0};
	}
	free(now.s);
	free(path);
	return rc;
}

static int copy_key(struct expansion *x, const struct config_node *key, struct config_node *to)
{
	struct config_node *n;

	if (config_node_find(x->tree, to, NODE_KEY, key->name) != NULL)
		return 0;
	n = config_node_add(x->tree, to, NODE_KEY, key->name, key->file, key->line);
	if (n == NULL)
		return no_memory(x);
	n->value = key->value;
	n->cut = key->cut;
	return 0;
}

static int build(struct expansion *x, const struct view *v, struct config_node *to, unsigned depth);

static int build_section(struct expansion *x, const struct view *v, const struct config_node *c,
			 struct config_node *to, unsigned depth)
{
	struct config_node *n;
	struct view inner = {0};
	int rc;

	if (config_node_find(x->tree, to, NODE_SECTION, c->name) != NULL)
		return 0;
	n = config_node_add(x->tree, to, NODE_SECTION, c->name, c->file, c->line);
	if (n == NULL)
		return no_memory(x);
	if (depth >= LIMIT_CONFIG_DEPTH)
		return config_node_error(x->err, -ELOOP, n,
					 "references nest sections deeper than %d: does one take "
					 "over a section that it lies in?",
					 LIMIT_CONFIG_DEPTH);
	rc = view_descend(x, v, c->name, &inner);
	if (rc == 0)
		rc = build(x, &inner, n, depth + 1);
	free(inner.s);
	return rc;
}

static int build(struct expansion *x, const struct view *v, struct config_node *to, unsigned depth)
{
	for (size_t i = 0; i < v->n; i++) {
		for (struct config_node *c = v->s[i]->first; c != NULL; c = c->next) {
			int rc = c->kind == NODE_KEY ? copy_key(x, c, to)
						     : build_section(x, v, c, to, depth);

			if (rc != 0)
				return rc;
			if (++x->nodes > CONFIG_EXPANDED_MAX || x->steps > CONFIG_REFERENCE_STEPS)
				return config_node_error(
					x->err, -E2BIG, c,
					"the references make more than %d keys and "
					"sections",
					CONFIG_EXPANDED_MAX);
		}
	}
	return 0;
}

int config_references_expand(struct config_tree *t, struct error *err)
{
	struct expansion x = {.tree = t, .old_root = t->root, .err = err};
	struct view all = {0};
	struct config_node *root;
	int rc;

	if (!t->has_references)
		return 0;
	root = config_node_add(t, NULL, NODE_SECTION, "", "", 0);
	if (root == NULL)
		return no_memory(&x);
	rc = view_collect(&x, &all, t->root);
	if (rc == 0)
		rc = build(&x, &all, root, 0);
	free(all.s);
	if (rc != 0)
		return rc;
	for (struct config_node *c = root->first; c != NULL; c = c->next) {
		const struct config_node *old;

		old = config_node_find(t, t->root, c->kind, c->name);
		c->referenced = old != NULL && old->referenced;
	}
	t->root = root;
	return 0;
}
