// The registry of everything that a configuration may say: each section and key with its form,
// its default and one line of documentation. The loader takes forms and defaults from here, and
// docs/configuration.md is generated from here.
//
// Threads:   read-only.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "config/tree.h"
#include "lib/error.h"

enum schema_form {
	FORM_TEXT,
	FORM_BOOL,
	FORM_NUMBER, // min to max
	FORM_TIME,
	FORM_SIZE,
	FORM_CHOICE,	// one of `choices`
	FORM_ADDRESSES, // interface addresses
	FORM_ENDPOINTS, // %any, addresses, subnets
	FORM_PROPOSALS,
	FORM_SELECTORS,
	FORM_IDENTITY,
	FORM_SECRET,
	FORM_CPUS,
};

enum schema_status {
	KEY_SUPPORTED,
	KEY_IGNORED, // known to strongSwan, without effect here: a warning says so
	KEY_REFUSED, // known to strongSwan, changes security or reachability: an error says so
};

struct schema_key {
	const char *section; // pattern of the section's path: "connections.*.local*"
	const char *key;     // a '*' at the end stands for any suffix
	enum schema_form form;
	enum schema_status status;
	const char *def;      // default, as it would be written; NULL: none
	const char *def_doc;  // what the reference says instead, for a default that is computed
	const char *choices;  // FORM_CHOICE: separated by blanks
	uint64_t min, max;    // FORM_NUMBER
	const char *quiet;    // ignored or refused: values that say what is done anyway
	const char *harmless; // refused: a program that only earns a warning, by its last name
	const char *not_yet;  // supported: values known to strongSwan and not available here
	const char *why;      // of `not_yet`, of the warning, of the refusal
	const char *doc;
};

struct schema_section {
	const char *pattern; // "connections.*.children.*"
	const char *shown;   // "connections.<conn>.children.<child>"
	enum schema_status status;
	const char *why; // of an ignored or refused section
	const char *doc;
};

extern const struct schema_section schema_sections[];
extern const size_t schema_n_sections;
extern const struct schema_key schema_keys[];
extern const size_t schema_n_keys;

// NULL when unknown. `section` is a pattern of schema_sections.
const struct schema_key *schema_key_find(const char *section, const char *key);
// The section's row for a node, whose parent has the pattern `parent` ("" for the root).
const struct schema_section *schema_section_find(const char *parent, const char *name);
// "yes or no", "a time such as 30s, 5m, 1h or 2d", ...
char *schema_form_text(const struct schema_key *k, char *buf, size_t size);

// Receives each warning, complete with its place.
typedef int schema_warn_fn(void *ctx, const struct config_node *n, const char *text);

// Checks every section, key and form of the tree against the registry.
int schema_check(const struct config_tree *t, schema_warn_fn *warn, void *ctx, struct error *err);
