#include "config/schema.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config/value.h"
#include "lib/suggest.h"

#define KNOWN_MAX 160 // keys and sections of one section

// A word against a name that may end in '*'.
static bool fits(const char *pattern, const char *word)
{
	size_t n = strlen(pattern);

	if (n > 1 && pattern[n - 1] == '*')
		return strncmp(pattern, word, n - 1) == 0;
	return strcmp(pattern, "*") == 0 || strcmp(pattern, word) == 0;
}

// What stands behind "parent." in a pattern, when that is the last component; else NULL.
static const char *last_below(const char *pattern, const char *parent)
{
	size_t n = strlen(parent);

	if (n != 0) {
		if (strncmp(pattern, parent, n) != 0 || pattern[n] != '.')
			return NULL;
		pattern += n + 1;
	}
	return strchr(pattern, '.') == NULL ? pattern : NULL;
}

const struct schema_key *schema_key_find(const char *section, const char *key)
{
	for (size_t i = 0; i < schema_n_keys; i++) {
		if (strcmp(schema_keys[i].section, section) == 0 && fits(schema_keys[i].key, key))
			return &schema_keys[i];
	}
	return NULL;
}

const struct schema_section *schema_section_find(const char *parent, const char *name)
{
	for (size_t i = 0; i < schema_n_sections; i++) {
		const char *last = last_below(schema_sections[i].pattern, parent);

		if (last != NULL && fits(last, name))
			return &schema_sections[i];
	}
	return NULL;
}

char *schema_form_text(const struct schema_key *k, char *buf, size_t size)
{
	static const char *const texts[] = {
		[FORM_TEXT] = "text",
		[FORM_BOOL] = "yes or no",
		[FORM_TIME] = "a time such as 30s, 5m, 1h or 2d",
		[FORM_SIZE] = "a number of bytes such as 500m or 2g",
		[FORM_ADDRESSES] = "addresses such as 192.0.2.1/24, separated by commas",
		[FORM_ENDPOINTS] = "%any, addresses, subnets, ranges or names, separated by commas",
		[FORM_PROPOSALS] = "proposals such as aes128gcm16-x25519, separated by commas",
		[FORM_SELECTORS] = "networks such as 10.1.0.0/16, separated by commas",
		[FORM_IDENTITY] = "an identity such as gw.example or 192.0.2.1",
		[FORM_SECRET] = "text, 0x and hexadecimal digits, or 0s and Base64",
		[FORM_CPUS] = "CPU numbers such as 2,3 or 2-5",
	};
	size_t at = 0;

	if (k->form == FORM_NUMBER) {
		if (k->max == UINT64_MAX)
			snprintf(buf, size, "a number");
		else
			snprintf(buf, size, "a number from %" PRIu64 " to %" PRIu64, k->min,
				 k->max);
		return buf;
	}
	if (k->form != FORM_CHOICE) {
		snprintf(buf, size, "%s", texts[k->form]);
		return buf;
	}
	buf[0] = '\0';
	for (const char *p = k->choices; *p != '\0' && at < size;) {
		size_t n = strcspn(p, " ");
		char word[32];

		snprintf(word, sizeof(word), "%.*s", (int)n, p);
		p += n + (p[n] == ' ');
		// What is not to be had is no advice.
		if (k->not_yet != NULL && value_among(word, k->not_yet))
			continue;
		at += (size_t)snprintf(buf + at, size - at, "%s%s", at != 0 ? ", " : "", word);
	}
	return buf;
}

// ---- checks ----

struct check {
	const struct config_tree *tree;
	schema_warn_fn *warn;
	void *ctx;
	struct error *err;
};

static const char *nearest_key(const char *section, const char *key)
{
	const char *known[KNOWN_MAX];
	size_t n = 0;

	for (size_t i = 0; i < schema_n_keys && n < KNOWN_MAX; i++) {
		const struct schema_key *k = &schema_keys[i];

		if (strcmp(k->section, section) == 0 && strchr(k->key, '*') == NULL)
			known[n++] = k->key;
	}
	return suggest_nearest(key, known, n);
}

// Written into buf; NULL when none is near.
static const char *nearest_section(const char *parent, const char *name, char *buf, size_t size)
{
	char words[KNOWN_MAX][32];
	const char *known[KNOWN_MAX], *nearest;
	size_t n = 0;

	for (size_t i = 0; i < schema_n_sections && n < KNOWN_MAX; i++) {
		const char *last = last_below(schema_sections[i].pattern, parent);

		if (last == NULL || strcmp(last, "*") == 0)
			continue;
		snprintf(words[n], sizeof(words[n]), "%.*s", (int)strcspn(last, "*"), last);
		known[n] = words[n];
		n++;
	}
	nearest = suggest_nearest(name, known, n);
	if (nearest == NULL)
		return NULL;
	snprintf(buf, size, "%s", nearest);
	return buf;
}

// -EINVAL when the value has not the key's form. Forms that need a context are read by the loader.
static int check_form(const struct schema_key *k, const char *value)
{
	uint64_t number;
	bool flag;

	switch (k->form) {
	case FORM_BOOL:
		return value_bool(value, &flag);
	case FORM_NUMBER:
		return value_uint(value, k->min, k->max, &number);
	case FORM_TIME:
		return value_time_ms(value, &number);
	case FORM_SIZE:
		return value_size(value, &number);
	case FORM_CHOICE:
		return value_among(value, k->choices) ? 0 : -EINVAL;
	default:
		return 0;
	}
}

static int wrong_form(struct check *c, const struct config_node *n, const struct schema_key *k)
{
	char form[256], text[CONFIG_SHOWN_MAX];
	const char *nearest = NULL;

	if (k->form == FORM_CHOICE) {
		char words[16][32];
		const char *known[16], *p = k->choices;
		bool too_long = false;
		size_t n_known = 0;

		while (n_known < 16 &&
		       value_next(&p, " ", words[n_known], sizeof(words[0]), &too_long) != NULL) {
			known[n_known] = words[n_known];
			n_known++;
		}
		nearest = suggest_nearest(n->value, known, n_known);
		if (nearest != NULL)
			return config_node_error(c->err, -EINVAL, n,
						 "'%s' is not one of %s; did you mean '%s'?",
						 config_shown(n->value, text, sizeof(text)),
						 schema_form_text(k, form, sizeof(form)), nearest);
	}
	return config_node_error(
		c->err, -EINVAL, n, "'%s' is not %s%s", config_shown(n->value, text, sizeof(text)),
		k->form == FORM_CHOICE ? "one of " : "", schema_form_text(k, form, sizeof(form)));
}

// "/usr/lib/ipsec/_updown iptables" when the harmless program is "_updown".
static bool is_harmless(const struct schema_key *k, const char *value)
{
	size_t n = strcspn(value, " "), len = k->harmless != NULL ? strlen(k->harmless) : 0;

	return len != 0 && n >= len && memcmp(value + n - len, k->harmless, len) == 0 &&
	       (n == len || value[n - len - 1] == '/');
}

static int check_key(struct check *c, const struct config_node *n, const char *section)
{
	const struct schema_key *k = schema_key_find(section, n->name);
	char text[CONFIG_SHOWN_MAX], warning[256];
	int rc;

	if (k == NULL) {
		const struct schema_section *sub = schema_section_find(section, n->name);
		const char *nearest = nearest_key(section, n->name);

		if (sub != NULL && strcmp(last_below(sub->pattern, section), n->name) == 0)
			nearest = NULL;

		if (nearest != NULL)
			return config_node_error(c->err, -EINVAL, n,
						 "unknown key; did you mean '%s'?", nearest);
		if (sub != NULL)
			return config_node_error(c->err, -EINVAL, n,
						 "is a section: write '%s { ... }'", n->name);
		return config_node_error(c->err, -EINVAL, n, "unknown key");
	}
	if (n->value == NULL || (n->value[0] == '\0' && k->form != FORM_SECRET))
		return 0;
	if (check_form(k, n->value) != 0)
		return wrong_form(c, n, k);
	if (n->cut && (k->form == FORM_SECRET || k->form == FORM_IDENTITY)) {
		rc = c->warn(c->ctx, n,
			     "ends in front of '#', which begins a comment; put it in "
			     "quotes if the '#' belongs to it");
		if (rc != 0)
			return rc;
	}
	if (value_among(n->value, k->not_yet))
		return config_node_error(c->err, -ENOTSUP, n, "'%s': %s",
					 config_shown(n->value, text, sizeof(text)), k->why);
	if (k->status == KEY_SUPPORTED || value_among(n->value, k->quiet))
		return 0;
	if (k->status == KEY_REFUSED && !is_harmless(k, n->value))
		return config_node_error(c->err, -ENOTSUP, n, "not supported: %s", k->why);
	snprintf(warning, sizeof(warning), "has no effect: %s", k->why);
	return c->warn(c->ctx, n, warning);
}

static int check_section(struct check *c, const struct config_node *section, const char *pattern);

// A section that the registry does not know. At the top it may be a template for references.
static int unknown_section(struct check *c, const struct config_node *n, const char *parent)
{
	const char *nearest;
	char word[32];

	if (parent[0] == '\0' && n->referenced)
		return 0;
	nearest = nearest_section(parent, n->name, word, sizeof(word));
	if (nearest != NULL)
		return config_node_error(c->err, -EINVAL, n, "unknown section; did you mean '%s'?",
					 nearest);
	if (schema_key_find(parent, n->name) != NULL)
		return config_node_error(c->err, -EINVAL, n, "is a key: write '%s = VALUE'",
					 n->name);
	if (parent[0] == '\0')
		return c->warn(c->ctx, n, "unknown section, not referenced by any other: ignored");
	return config_node_error(c->err, -EINVAL, n, "unknown section");
}

static int check_subsection(struct check *c, const struct config_node *n, const char *parent)
{
	const struct schema_section *row = schema_section_find(parent, n->name);
	char warning[256];

	if (row == NULL)
		return unknown_section(c, n, parent);
	if (row->status == KEY_REFUSED)
		return config_node_error(c->err, -ENOTSUP, n, "not supported: %s", row->why);
	if (row->status == KEY_IGNORED) {
		if (n->first == NULL)
			return 0;
		snprintf(warning, sizeof(warning), "has no effect: %s", row->why);
		return c->warn(c->ctx, n, warning);
	}
	return check_section(c, n, row->pattern);
}

static int check_section(struct check *c, const struct config_node *section, const char *pattern)
{
	for (const struct config_node *n = section->first; n != NULL; n = n->next) {
		int rc = n->kind == NODE_KEY ? check_key(c, n, pattern)
					     : check_subsection(c, n, pattern);

		if (rc != 0)
			return rc;
	}
	return 0;
}

int schema_check(const struct config_tree *t, schema_warn_fn *warn, void *ctx, struct error *err)
{
	struct check c = {.tree = t, .warn = warn, .ctx = ctx, .err = err};

	return check_section(&c, t->root, "");
}
