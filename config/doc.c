#include "config/doc.h"

#include <errno.h>
#include <string.h>

#include "config/schema.h"
#include "lib/transform.h"

// A cell of a table: '|' would end it.
static void cell(FILE *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '|')
			fputc('\\', out);
		fputc(*text, out);
	}
}

// A key with its suffix as a person writes it: "id<suffix>".
static void key_name(FILE *out, const char *key)
{
	size_t n = strlen(key);

	if (key[n - 1] == '*')
		fprintf(out, "`%.*s<suffix>`", (int)(n - 1), key);
	else
		fprintf(out, "`%s`", key);
}

static void supported_row(FILE *out, const struct schema_key *k)
{
	char form[256];

	fprintf(out, "| ");
	key_name(out, k->key);
	fprintf(out, " | ");
	cell(out, schema_form_text(k, form, sizeof(form)));
	fprintf(out, " | ");
	if (k->def_doc != NULL)
		cell(out, k->def_doc);
	else if (k->def != NULL && k->def[0] != '\0')
		fprintf(out, "`%s`", k->def);
	fprintf(out, " | ");
	cell(out, k->doc);
	if (k->not_yet != NULL) {
		fprintf(out, " Refused: `%s`: ", k->not_yet);
		cell(out, k->why);
		fprintf(out, ".");
	}
	fprintf(out, " |\n");
}

static void supported(FILE *out)
{
	for (size_t i = 0; i < schema_n_sections; i++) {
		const struct schema_section *s = &schema_sections[i];
		bool first = true;

		if (s->status != KEY_SUPPORTED)
			continue;
		fprintf(out, "### `%s`\n\n%s\n\n", s->shown, s->doc);
		for (size_t k = 0; k < schema_n_keys; k++) {
			const struct schema_key *key = &schema_keys[k];

			if (strcmp(key->section, s->pattern) != 0 || key->status != KEY_SUPPORTED)
				continue;
			if (first)
				fprintf(out, "| key | value | default | |\n|---|---|---|---|\n");
			first = false;
			supported_row(out, key);
		}
		if (!first)
			fprintf(out, "\n");
	}
}

// Sections and keys of one status: what they are for, and why they do nothing here.
static void unsupported(FILE *out, enum schema_status status)
{
	fprintf(out, "| key | what it is in strongSwan | accepted silently | why |\n"
		     "|---|---|---|---|\n");
	for (size_t i = 0; i < schema_n_sections; i++) {
		const struct schema_section *s = &schema_sections[i];

		if (s->status == status) {
			fprintf(out, "| `%s` { } | ", s->shown);
			cell(out, s->doc);
			fprintf(out, " | | ");
			cell(out, s->why);
			fprintf(out, " |\n");
		}
		for (size_t k = 0; k < schema_n_keys; k++) {
			const struct schema_key *key = &schema_keys[k];

			if (strcmp(key->section, s->pattern) != 0 || key->status != status)
				continue;
			fprintf(out, "| `%s.%s` | ", s->shown, key->key);
			cell(out, key->doc);
			fprintf(out, " | ");
			if (key->quiet != NULL)
				fprintf(out, "`%s`", key->quiet);
			fprintf(out, " | ");
			cell(out, key->why);
			fprintf(out, " |\n");
		}
	}
	fprintf(out, "\n");
}

static void algorithms(FILE *out)
{
	static const uint16_t bits[] = {0, 128, 192, 256};

	fprintf(out, "| keyword | algorithm | kind | IKE | ESP |\n|---|---|---|---|---|\n");
	for (unsigned type = TRANSFORM_ENCR; type <= TRANSFORM_SN; type++) {
		for (unsigned n = 0; n < 1024 * 4; n++) {
			struct transform t = {(uint8_t)type, (uint16_t)(n / 4), bits[n % 4]};
			const struct transform_info *info = transform_find(&t);

			if (info == NULL || info->keyword == NULL || (!info->ike && !info->esp))
				continue;
			fprintf(out, "| `%s` | %s | %s | %s | %s |\n", info->keyword, info->name,
				transform_type_name((uint8_t)type), info->ike ? "yes" : "",
				info->esp ? "yes" : "");
		}
	}
	fprintf(out, "\n");
}

static void refused_algorithms(FILE *out)
{
	const struct transform_info *info;

	fprintf(out, "Refused, whatever the peer offers:\n\n| keyword | why |\n|---|---|\n");
	for (size_t i = 0; (info = transform_at(i)) != NULL; i++) {
		if (info->refused != NULL)
			fprintf(out, "| `%s` | %s |\n", info->keyword, info->refused);
	}
	fprintf(out,
		"\nKeywords of strongSwan that stand in neither table are read, and refused as not "
		"available.\n\n"
		"An AEAD (GCM, ChaCha20-Poly1305) stands without an integrity algorithm, every "
		"other "
		"cipher with one, so both kinds never share a proposal (RFC 7296 3.3). As in "
		"strongSwan, an IKE proposal without a PRF takes the hash of its integrity "
		"algorithm; "
		"a hash beside an AEAD means the PRF and nothing else. A group in an ESP proposal "
		"asks "
		"for a key exchange of the child's own (PFS); the first child, made in IKE_AUTH, "
		"has "
		"none (RFC 7296 1.2). `none` beside groups lets the peer do without.\n\n");
}

static void proposals(FILE *out, const char *what, enum protocol_id protocol)
{
	struct proposal_list list = {0};
	char text[PROPOSAL_TEXT_MAX];

	proposal_defaults(protocol, &list);
	fprintf(out, "`default` for %s, in order:\n\n", what);
	for (uint8_t i = 0; i < list.n; i++)
		fprintf(out, "- `%s`\n", proposal_format(&list.p[i], text, sizeof(text)));
	fprintf(out, "\n");
}

int config_doc_write(FILE *out)
{
	fprintf(out, "%s\n\n## Reference\n\n", CONFIG_DOC_MARK);
	supported(out);
	fprintf(out, "## Algorithms\n\n");
	algorithms(out);
	refused_algorithms(out);
	proposals(out, "IKE", PROTO_IKE);
	proposals(out, "ESP", PROTO_ESP);
	fprintf(out, "In no default, but accepted by name: `sha1` and `prfsha1`, which RFC 8247 "
		     "keeps for "
		     "old peers only; `modp6144` and `modp8192`, with which a stranger can make us "
		     "spend "
		     "milliseconds on each of his messages; counter mode, 192-bit keys and short "
		     "ICVs.\n\n");
	fprintf(out,
		"## Keys of strongSwan without effect here\n\nThey are read, and a warning names "
		"them.\n\n");
	unsupported(out, KEY_IGNORED);
	fprintf(out,
		"## Keys of strongSwan that are refused\n\nThey change what is protected or who "
		"is reached, so a configuration that says them does not load.\n\n");
	unsupported(out, KEY_REFUSED);
	return ferror(out) != 0 || fflush(out) != 0 ? -EIO : 0;
}
