#include "config/tree.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/secret.h"

#define ARENA_CHUNK_LEN ((size_t)64 * 1024) // bytes
#define ARENA_ALIGN	sizeof(max_align_t)

struct config_arena {
	struct config_arena *before;
	size_t used, cap; // bytes
	_Alignas(max_align_t) char data[];
};

void *config_tree_alloc(struct config_tree *t, size_t size)
{
	struct config_arena *a = t->arena;
	size_t need = (size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
	void *p;

	if (need < size)
		return NULL;
	if (a == NULL || a->cap - a->used < need) {
		size_t cap = need > ARENA_CHUNK_LEN ? need : ARENA_CHUNK_LEN;

		a = calloc(1, sizeof(*a) + cap);
		if (a == NULL)
			return NULL;
		a->cap = cap;
		a->before = t->arena;
		t->arena = a;
	}
	p = a->data + a->used;
	a->used += need;
	return p;
}

char *config_tree_text(struct config_tree *t, const char *bytes, size_t len)
{
	char *text = config_tree_alloc(t, len + 1);

	if (text != NULL && len != 0)
		memcpy(text, bytes, len);
	return text;
}

const char *config_tree_file(struct config_tree *t, const char *name)
{
	char **files = realloc(t->files, (t->n_files + 1) * sizeof(*files));
	char *copy;

	if (files == NULL)
		return NULL;
	t->files = files;
	copy = config_tree_text(t, name, strlen(name));
	if (copy != NULL)
		t->files[t->n_files++] = copy;
	return copy;
}

struct config_tree *config_tree_create(void)
{
	struct config_tree *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->root = config_node_add(t, NULL, NODE_SECTION, "", "", 0);
	if (t->root == NULL) {
		config_tree_destroy(t);
		return NULL;
	}
	return t;
}

void config_tree_destroy(struct config_tree *t)
{
	if (t == NULL)
		return;
	while (t->arena != NULL) {
		struct config_arena *a = t->arena;

		t->arena = a->before;
		wipe(a->data, a->used);
		free(a);
	}
	free(t->files);
	free(t->slots);
	free(t);
}

// FNV-1a over the name, started from the parent and the kind, then mixed so that the low bits
// depend on all of them.
static size_t hash_of(const struct config_node *parent, enum config_node_kind kind,
		      const char *name)
{
	uint64_t h = 14695981039346656037u ^ (uintptr_t)parent ^ kind;

	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * 1099511628211u;
	h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;
	h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53u;
	return (size_t)(h ^ (h >> 33));
}

static void slot_insert(struct config_tree *t, struct config_node *n)
{
	size_t i = hash_of(n->parent, n->kind, n->name) & (t->n_slots - 1);

	while (t->slots[i] != NULL)
		i = (i + 1) & (t->n_slots - 1);
	t->slots[i] = n;
}

static int slots_grow(struct config_tree *t)
{
	struct config_node **before = t->slots;
	size_t n_before = t->n_slots, n = n_before != 0 ? n_before * 2 : 64;
	struct config_node **slots = calloc(n, sizeof(struct config_node *));

	if (slots == NULL)
		return -ENOMEM;
	t->slots = slots;
	t->n_slots = n;
	for (size_t i = 0; i < n_before; i++) {
		if (before[i] != NULL)
			slot_insert(t, before[i]);
	}
	free(before);
	return 0;
}

struct config_node *config_node_add(struct config_tree *t, struct config_node *parent,
				    enum config_node_kind kind, const char *name, const char *file,
				    int line)
{
	struct config_node *n;

	if (t->n_used >= t->n_slots / 2 && slots_grow(t) != 0)
		return NULL;
	n = config_tree_alloc(t, sizeof(*n));
	if (n == NULL)
		return NULL;
	n->kind = kind;
	n->name = name;
	n->file = file;
	n->line = line;
	n->parent = parent;
	if (parent != NULL) {
		if (parent->last != NULL)
			parent->last->next = n;
		else
			parent->first = n;
		parent->last = n;
	}
	slot_insert(t, n);
	t->n_used++;
	t->n_nodes++;
	return n;
}

struct config_node *config_node_find(const struct config_tree *t, const struct config_node *parent,
				     enum config_node_kind kind, const char *name)
{
	size_t i = hash_of(parent, kind, name) & (t->n_slots - 1);

	for (; t->slots[i] != NULL; i = (i + 1) & (t->n_slots - 1)) {
		struct config_node *n = t->slots[i];

		if (n->parent == parent && n->kind == kind && strcmp(n->name, name) == 0)
			return n;
	}
	return NULL;
}

char *config_node_path(const struct config_node *n, char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = '\0';
	if (n->parent != NULL && n->parent->parent != NULL) {
		config_node_path(n->parent, buf, size);
		at = strlen(buf);
	}
	snprintf(buf + at, size - at, "%s%s", at != 0 ? "." : "", n->name);
	return buf;
}

int config_node_error(struct error *err, int code, const struct config_node *n, const char *fmt,
		      ...)
{
	char text[ERROR_TEXT_MAX], path[CONFIG_PATH_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return error_set(err, code, "%s:%d: %s: %s", n->file, n->line,
			 config_node_path(n, path, sizeof(path)), text);
}

char *config_shown(const char *value, char *buf, size_t size)
{
	size_t i = 0;

	for (; value[i] != '\0' && i + 4 < size; i++) {
		unsigned char c = (unsigned char)value[i];

		buf[i] = c < 0x20 || c == 0x7f ? '?' : value[i];
	}
	snprintf(buf + i, size - i, "%s", value[i] != '\0' ? "..." : "");
	return buf;
}
