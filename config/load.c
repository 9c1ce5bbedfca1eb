#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/loader.h"
#include "config/parser.h"
#include "config/reference.h"
#include "config/schema.h"
#include "config/value.h"

// ---- shared with the other files of the loader ----

int loader_no_memory(struct loader *l)
{
	return error_set(l->err, -ENOMEM, "%s: out of memory", l->tree->files[0]);
}

struct config_where loader_where(struct loader *l, const struct config_node *n)
{
	struct config_where w = {.file = l->config->files[0], .line = n->line};

	for (size_t i = 0; i < l->tree->n_files; i++) {
		if (l->tree->files[i] == n->file)
			w.file = l->config->files[i];
	}
	return w;
}

int config_warn(struct config *c, const char *fmt, ...)
{
	char **warnings = realloc(c->warnings, (c->n_warnings + 1) * sizeof(*warnings));
	va_list ap;
	int n;

	if (warnings == NULL)
		return -ENOMEM;
	c->warnings = warnings;
	va_start(ap, fmt);
	n = vasprintf(&warnings[c->n_warnings], fmt, ap);
	va_end(ap);
	if (n < 0)
		return -ENOMEM;
	c->n_warnings++;
	return 0;
}

int loader_warn(struct loader *l, const struct config_node *n, const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX], path[CONFIG_PATH_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (config_warn(l->config, "%s:%d: %s: %s", n->file, n->line,
			config_node_path(n, path, sizeof(path)), text) != 0)
		return loader_no_memory(l);
	return 0;
}

static int on_schema_warning(void *ctx, const struct config_node *n, const char *text)
{
	return loader_warn(ctx, n, "%s", text);
}

const struct config_node *loader_key(const struct loader *l, struct loader_section s,
				     const char *key)
{
	const struct config_node *n;

	if (s.node == NULL)
		return NULL;
	n = config_node_find(l->tree, s.node, NODE_KEY, key);
	return n != NULL && n->value != NULL && n->value[0] != '\0' ? n : NULL;
}

const char *loader_text(const struct loader *l, struct loader_section s, const char *key)
{
	const struct config_node *n = loader_key(l, s, key);
	const struct schema_key *row;

	if (n != NULL)
		return n->value;
	row = schema_key_find(s.pattern, key);
	return row != NULL ? row->def : NULL;
}

bool loader_bool(const struct loader *l, struct loader_section s, const char *key)
{
	const char *text = loader_text(l, s, key);
	bool v = false;

	if (text != NULL)
		value_bool(text, &v);
	return v;
}

uint64_t loader_number(const struct loader *l, struct loader_section s, const char *key)
{
	const char *text = loader_text(l, s, key);
	uint64_t v = 0;

	if (text != NULL)
		value_uint(text, 0, UINT64_MAX, &v);
	return v;
}

uint64_t loader_size(const struct loader *l, struct loader_section s, const char *key)
{
	const char *text = loader_text(l, s, key);
	uint64_t v = 0;

	if (text != NULL)
		value_size(text, &v);
	return v;
}

uint64_t loader_time_ms(const struct loader *l, struct loader_section s, const char *key)
{
	const char *text = loader_text(l, s, key);
	uint64_t v = 0;

	if (text != NULL)
		value_time_ms(text, &v);
	return v;
}

const struct config_node *loader_place(const struct loader *l, struct loader_section s,
				       const char *key)
{
	const struct config_node *n = loader_key(l, s, key);

	return n != NULL ? n : s.node;
}

size_t loader_count_sections(const struct config_node *parent)
{
	size_t n = 0;

	for (const struct config_node *c = parent != NULL ? parent->first : NULL; c != NULL;
	     c = c->next)
		n += c->kind == NODE_SECTION;
	return n;
}

int loader_copy_name(struct loader *l, const struct config_node *n, char *buf, size_t size,
		     const char *what)
{
	if (strlen(n->name) >= size)
		return config_node_error(l->err, -EINVAL, n,
					 "the name of a %s has at most %zu bytes", what, size - 1);
	snprintf(buf, size, "%s", n->name);
	return 0;
}

// A star that is no wildcard here would become a name that nobody has.
static bool stars_are_fine(const struct identity *id, const char *text, bool patterns)
{
	if (id->type == ID_ANY || strchr(text, '*') == NULL)
		return true;
	return patterns && identity_is_pattern(id) &&
	       (id->type == ID_DER_ASN1_DN || strchr(text, '*') == strrchr(text, '*'));
}

int loader_identity(struct loader *l, const struct config_node *key, bool patterns,
		    struct identity *id)
{
	char text[CONFIG_SHOWN_MAX];
	struct identity parsed;
	int rc;

	config_shown(key->value, text, sizeof(text));
	// So would strongSwan's numbered types ("{2}:x") and regular expressions.
	if (key->value[0] == '{' || key->value[0] == '^')
		return config_node_error(
			l->err, -ENOTSUP, key,
			"'%s': regular expressions and numbered types of "
			"identities are not available; name the identity, or %%any",
			text);
	rc = identity_parse(key->value, &parsed);
	if (rc == -E2BIG)
		return config_node_error(l->err, rc, key, "an identity has at most %d bytes",
					 IDENTITY_MAX);
	if (rc != 0)
		return config_node_error(l->err, rc, key,
					 "'%s' is not an identity such as gw.example, 192.0.2.1 or "
					 "\"C=CH, O=Example, CN=gw\"",
					 text);
	if (!stars_are_fine(&parsed, key->value, patterns))
		return config_node_error(
			l->err, -EINVAL, key, "'%s': %s", text,
			patterns ? "a wildcard is a star at the beginning, as in *.example, or a "
				   "whole value of a distinguished name, as in \"O=Example, CN=*\""
				 : "only remote.id may have a wildcard");
	*id = parsed;
	return 0;
}

// ---- the whole ----

static int copy_files(struct loader *l)
{
	struct config *c = l->config;

	c->files = calloc(l->tree->n_files, sizeof(*c->files));
	if (c->files == NULL)
		return loader_no_memory(l);
	for (size_t i = 0; i < l->tree->n_files; i++) {
		c->files[i] = strdup(l->tree->files[i]);
		if (c->files[i] == NULL)
			return loader_no_memory(l);
		c->n_files++;
	}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct config_conn *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

// A reload asks for every connection by its name, and there may be thousands.
static int index_connections(struct loader *l)
{
	struct config *c = l->config;

	if (c->n_conns == 0)
		return 0;
	c->conns_by_name = calloc(c->n_conns, sizeof(struct config_conn *));
	if (c->conns_by_name == NULL)
		return loader_no_memory(l);
	for (size_t i = 0; i < c->n_conns; i++)
		c->conns_by_name[i] = &c->conns[i];
	qsort(c->conns_by_name, c->n_conns, sizeof(struct config_conn *), by_name);
	return 0;
}

// From the parsed tree to the checked configuration.
static int load_tree(struct config_tree *tree, bool from_file, struct config **out,
		     struct error *err)
{
	struct loader l = {.tree = tree, .err = err};
	int rc;

	l.config = calloc(1, sizeof(*l.config));
	if (l.config == NULL)
		return loader_no_memory(&l);
	rc = copy_files(&l);
	if (rc == 0)
		rc = config_references_expand(tree, err);
	if (rc == 0)
		rc = schema_check(tree, on_schema_warning, &l, err);
	if (rc == 0)
		rc = load_gateway(&l);
	if (rc == 0)
		rc = load_connections(&l);
	if (rc == 0)
		rc = index_connections(&l);
	if (rc == 0)
		rc = load_secrets(&l);
	if (rc == 0)
		rc = load_key_files(&l);
	if (rc == 0)
		rc = load_authorities(&l);
	if (rc == 0)
		rc = config_check(&l, from_file);
	if (rc == 0)
		*out = l.config;
	else
		config_destroy(l.config);
	return rc;
}

int config_load(const char *path, struct config **out, struct error *err)
{
	struct config_tree *tree = config_tree_create();
	int rc;

	if (tree == NULL)
		return error_set(err, -ENOMEM, "%s: out of memory", path);
	rc = config_parse_file(tree, path, err);
	if (rc == 0)
		rc = load_tree(tree, true, out, err);
	config_tree_destroy(tree);
	return rc;
}

int config_load_text(const char *name, const char *text, size_t len, struct config **out,
		     struct error *err)
{
	struct config_tree *tree = config_tree_create();
	int rc;

	if (tree == NULL)
		return error_set(err, -ENOMEM, "%s: out of memory", name);
	rc = config_parse_text(tree, name, text, len, err);
	if (rc == 0)
		rc = load_tree(tree, false, out, err);
	config_tree_destroy(tree);
	return rc;
}

void config_destroy(struct config *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->gateway.n_ports; i++)
		free(c->gateway.ports[i].device);
	free(c->gateway.ports);
	free(c->gateway.ifaces);
	free(c->gateway.socket);
	free(c->gateway.state_dir);
	free(c->gateway.eal_args);
	for (size_t i = 0; i < c->n_conns; i++) {
		for (unsigned k = 0; k < CONFIG_ENDPOINTS_MAX; k++) {
			endpoint_fini(&c->conns[i].local[k]);
			endpoint_fini(&c->conns[i].remote[k]);
		}
		config_files_fini(&c->conns[i].local_side.certs);
		config_files_fini(&c->conns[i].remote_side.certs);
		config_files_fini(&c->conns[i].remote_side.cacerts);
		free(c->conns[i].children);
	}
	free(c->conns);
	free(c->conns_by_name);
	config_files_fini(&c->cacerts);
	config_files_fini(&c->crls);
	config_files_fini(&c->crl_urls);
	for (size_t i = 0; i < c->n_responders; i++) {
		free(c->responders[i].ca.name);
		free(c->responders[i].ca.key);
		free(c->responders[i].url);
	}
	free(c->responders);
	for (size_t i = 0; i < c->n_keys; i++) {
		free(c->keys[i].file.name);
		free(c->keys[i].file.key);
		secret_fini(&c->keys[i].passphrase);
	}
	free(c->keys);
	for (size_t i = 0; i < c->n_psks; i++) {
		free(c->psks[i].ids);
		secret_fini(&c->psks[i].key);
	}
	free(c->psks);
	free(c->psk_refs);
	for (size_t i = 0; i < c->n_warnings; i++)
		free(c->warnings[i]);
	free(c->warnings);
	for (size_t i = 0; i < c->n_files; i++)
		free(c->files[i]);
	free(c->files);
	free(c);
}

const char *config_start_name(unsigned start_action)
{
	static const char *const names[] = {
		[START_NONE] = "none",
		[START_START] = "start",
		[START_TRAP] = "trap",
		[START_START | START_TRAP] = "trap|start",
	};

	return names[start_action & (START_START | START_TRAP)];
}

const struct config_conn *config_conn_find(const struct config *c, const char *name)
{
	size_t low = 0, high = c->n_conns;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(c->conns_by_name[mid]->name, name);

		if (order == 0)
			return c->conns_by_name[mid];
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

const struct config_port *config_port_find(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->gateway.n_ports; i++) {
		if (strcmp(c->gateway.ports[i].name, name) == 0)
			return &c->gateway.ports[i];
	}
	return NULL;
}

const struct config_iface *config_iface_find(const struct config_gateway *g, const char *name)
{
	for (size_t i = 0; i < g->n_ifaces; i++) {
		if (strcmp(g->ifaces[i].name, name) == 0)
			return &g->ifaces[i];
	}
	return NULL;
}
