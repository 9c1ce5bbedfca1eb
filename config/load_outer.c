// What a child says about the outer header and about padding that hides sizes (config/loader.h).
#include <errno.h>
#include <string.h>

#include "config/loader.h"
#include "config/value.h"

// RFC 2474 4.2.2, RFC 2597 6, RFC 3246 2.7, RFC 8622 3.
static const struct {
	char name[5];
	uint8_t dscp;
} names[] = {
	{"cs0", 0},   {"cs1", 8},   {"cs2", 16},  {"cs3", 24},	{"cs4", 32},  {"cs5", 40},
	{"cs6", 48},  {"cs7", 56},  {"af11", 10}, {"af12", 12}, {"af13", 14}, {"af21", 18},
	{"af22", 20}, {"af23", 22}, {"af31", 26}, {"af32", 28}, {"af33", 30}, {"af41", 34},
	{"af42", 36}, {"af43", 38}, {"ef", 46},	  {"le", 1},
};

// Six binary digits, as in strongSwan's `dscp`, or a name.
static int dscp_parse(const char *text, uint8_t *out)
{
	uint8_t v = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i].name, text) == 0) {
			*out = names[i].dscp;
			return 0;
		}
	}
	if (strlen(text) != 6 || strspn(text, "01") != 6)
		return -EINVAL;
	for (unsigned i = 0; i < 6; i++)
		v = (uint8_t)(v << 1 | (text[i] == '1'));
	*out = v;
	return 0;
}

static enum outer_dscp copied_dscp(const char *text)
{
	static const struct {
		const char *text;
		enum outer_dscp dscp;
	} words[] = {{"no", OUTER_DSCP_NO}, {"in", OUTER_DSCP_IN}, {"yes", OUTER_DSCP_BOTH}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i].text, text) == 0)
			return words[i].dscp;
	return OUTER_DSCP_OUT;
}

// A value for what is copied instead: it was meant to matter.
static int warn_copied(struct loader *l, struct loader_section s, const char *name,
		       const char *because)
{
	const struct config_node *key = loader_key(l, s, name);

	return key != NULL ? loader_warn(l, key, "has no effect: %s", because) : 0;
}

static int load_dscp(struct loader *l, struct loader_section s, struct outer_rule *out)
{
	const char *text = loader_text(l, s, "outer_dscp");
	char shown[CONFIG_SHOWN_MAX];

	out->copy_dscp = copied_dscp(loader_text(l, s, "copy_dscp"));
	if (dscp_parse(text, &out->dscp) != 0)
		return config_node_error(
			l->err, -EINVAL, loader_place(l, s, "outer_dscp"),
			"'%s' is not six binary digits, such as 101110, nor one of "
			"cs0 to cs7, af11 to af43, ef, le",
			config_shown(text, shown, sizeof(shown)));
	if (out->copy_dscp == OUTER_DSCP_NO || out->copy_dscp == OUTER_DSCP_IN)
		return 0;
	out->dscp = 0;
	return warn_copied(l, s, "outer_dscp",
			   "the inner DSCP is copied; say copy_dscp = no or in");
}

static int load_df(struct loader *l, struct loader_section s, struct outer_rule *out)
{
	if (!loader_bool(l, s, "copy_df")) {
		out->df = strcmp(loader_text(l, s, "outer_df"), "set") == 0 ? OUTER_DF_SET
									    : OUTER_DF_CLEAR;
		return 0;
	}
	out->df = OUTER_DF_COPY;
	return warn_copied(l, s, "outer_df", "the inner DF bit is copied; say copy_df = no");
}

int load_outer(struct loader *l, struct loader_section s, struct outer_rule *out)
{
	const char *label = loader_text(l, s, "outer_flow_label");
	int rc;

	out->ecn = loader_bool(l, s, "copy_ecn") ? OUTER_ECN_COPY : OUTER_ECN_COMPAT;
	out->ttl = (uint8_t)loader_number(l, s, "outer_ttl");
	out->label = strcmp(label, "flow") == 0	    ? OUTER_LABEL_FLOW
		     : strcmp(label, "tunnel") == 0 ? OUTER_LABEL_TUNNEL
						    : OUTER_LABEL_NONE;
	rc = load_dscp(l, s, out);
	return rc == 0 ? load_df(l, s, out) : rc;
}

int load_tfc(struct loader *l, struct loader_section s, struct config_child *child)
{
	const char *text = loader_text(l, s, "tfc_padding");
	char shown[CONFIG_SHOWN_MAX];
	uint64_t n;

	child->dummies = (uint32_t)loader_number(l, s, "dummy_packets");
	if (strcmp(text, "mtu") == 0) {
		child->tfc_padding = ESP_TFC_MTU;
		return 0;
	}
	if (value_uint(text, 0, ESP_TFC_MTU - 1, &n) != 0)
		return config_node_error(l->err, -EINVAL, loader_place(l, s, "tfc_padding"),
					 "'%s' is not a number of bytes from 0 to %d, nor mtu",
					 config_shown(text, shown, sizeof(shown)), ESP_TFC_MTU - 1);
	child->tfc_padding = (uint16_t)n;
	return 0;
}
