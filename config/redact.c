#include "config/redact.h"

#include <errno.h>
#include <string.h>

#include "config/parser.h"
#include "config/reference.h"
#include "config/schema.h"
#include "lib/uri.h"

static void indent(FILE *out, unsigned depth)
{
	while (depth--)
		fputs("    ", out);
}

static void put_quoted(FILE *out, const char *value)
{
	putc('"', out);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			putc('\\', out);
		putc((unsigned char)*value < ' ' ? ' ' : *value, out);
	}
	putc('"', out);
}

static bool is_shown(const struct schema_key *k, const char *value)
{
	if (!k || k->form == FORM_SECRET)
		return false;
	// A text that the registry takes for a name can still carry a secret.
	return k->form != FORM_TEXT || !uri_has_secret(value);
}

static void put_key(FILE *out, const struct config_node *n, const char *pattern, unsigned depth)
{
	const struct schema_key *k = pattern ? schema_key_find(pattern, n->name) : NULL;

	indent(out, depth);
	fprintf(out, "%s = ", n->name);
	if (!n->value)
		fputs("", out);
	else if (is_shown(k, n->value))
		put_quoted(out, n->value);
	else
		fputs(REDACTED, out);
	putc('\n', out);
}

// `pattern` NULL: the registry does not know the section, so it knows none of its keys.
static void put_section(FILE *out, const struct config_node *section, const char *pattern,
			unsigned depth)
{
	for (const struct config_node *n = section->first; n; n = n->next) {
		const struct schema_section *row;

		if (n->kind == NODE_KEY) {
			put_key(out, n, pattern, depth);
			continue;
		}
		row = pattern ? schema_section_find(pattern, n->name) : NULL;
		indent(out, depth);
		fprintf(out, "%s {\n", n->name);
		put_section(out, n, row ? row->pattern : NULL, depth + 1);
		indent(out, depth);
		fputs("}\n", out);
	}
}

static int redact(struct config_tree *tree, int rc, FILE *out, struct error *err)
{
	if (rc == 0)
		rc = config_references_expand(tree, err);
	if (rc == 0)
		put_section(out, tree->root, "", 0);
	config_tree_destroy(tree);
	return rc;
}

int config_redact_file(const char *path, FILE *out, struct error *err)
{
	struct config_tree *tree = config_tree_create();

	if (!tree)
		return error_set(err, -ENOMEM, "out of memory");
	return redact(tree, config_parse_file(tree, path, err), out, err);
}

int config_redact_text(const char *name, const char *text, size_t len, FILE *out, struct error *err)
{
	struct config_tree *tree = config_tree_create();

	if (!tree)
		return error_set(err, -ENOMEM, "out of memory");
	return redact(tree, config_parse_text(tree, name, text, len, err), out, err);
}
