#include "config/endpoint.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/value.h"

// RFC 1123 2.1: letters, digits, hyphens, dots; the last label of a name is not a number, so a
// mistyped address is none.
static bool is_host_name(const char *text)
{
	const char *last = strrchr(text, '.');
	size_t label = 0;

	if (strlen(text) > ENDPOINT_NAME_MAX || !*text)
		return false;
	for (const char *c = text; *c; c++) {
		if (*c == '.' ? label == 0 : !isalnum((unsigned char)*c) && *c != '-' && *c != '_')
			return false;
		label = *c == '.' ? 0 : label + 1;
		if (label > 63)
			return false;
	}
	last = last && last[1] ? last + 1 : text;
	return strspn(last, "0123456789") != strlen(last);
}

static int parse_range(const char *text, struct config_endpoint *out)
{
	const char *dash = strchr(text, '-');
	struct config_endpoint e = {0};
	char first[IP_ADDR_TEXT_MAX];

	if (!dash || (size_t)(dash - text) >= sizeof(first))
		return -EINVAL;
	snprintf(first, sizeof(first), "%.*s", (int)(dash - text), text);
	if (ip_addr_parse(first, &e.lo) || ip_addr_parse(dash + 1, &e.hi))
		return -EINVAL;
	if (e.lo.family != e.hi.family || ip_addr_compare(&e.lo, &e.hi) > 0)
		return -ERANGE;
	*out = e;
	return 0;
}

int endpoint_parse(const char *text, struct config_endpoint *out)
{
	struct config_endpoint e = {0};
	struct ip_prefix p;
	int rc;

	if (value_among(text, "%any 0.0.0.0 0.0.0.0/0")) {
		*out = e;
		return 0;
	}
	if (strcmp(text, "%any4") == 0)
		text = "0.0.0.0/0";
	else if (strcmp(text, "%any6") == 0)
		text = "::/0";
	if (ip_prefix_parse(text, &p) == 0) {
		ip_prefix_range(&p, &e.lo, &e.hi);
		*out = e;
		return 0;
	}
	rc = parse_range(text, out);
	if (rc != -EINVAL || !is_host_name(text))
		return rc;
	e.name = strdup(text);
	if (!e.name)
		return -ENOMEM;
	*out = e;
	return 0;
}

void endpoint_fini(struct config_endpoint *e)
{
	free(e->name);
	e->name = NULL;
}

int endpoint_copy(const struct config_endpoint *from, struct config_endpoint *out)
{
	struct config_endpoint e = *from;

	if (e.name) {
		e.name = strdup(from->name);
		if (!e.name)
			return -ENOMEM;
	}
	*out = e;
	return 0;
}

bool endpoint_equal(const struct config_endpoint *a, const struct config_endpoint *b)
{
	if (a->name || b->name)
		return a->name && b->name && strcasecmp(a->name, b->name) == 0;
	return ip_addr_equal(&a->lo, &b->lo) && ip_addr_equal(&a->hi, &b->hi);
}

bool endpoint_is_host(const struct config_endpoint *e)
{
	return e->lo.family != IP_NONE && ip_addr_equal(&e->lo, &e->hi);
}

unsigned endpoint_match(const struct config_endpoint *e, const struct ip_addr *a)
{
	const size_t len = ip_addr_len(&e->lo);
	unsigned bits = 0;

	if (e->lo.family == IP_NONE)
		return e->name ? 0 : 1;
	if (a->family != e->lo.family || ip_addr_compare(a, &e->lo) < 0 ||
	    ip_addr_compare(a, &e->hi) > 0)
		return 0;
	// The bits that all addresses of the entry share: of a subnet, its length.
	while (bits < len * 8 &&
	       ((e->lo.bytes[bits / 8] ^ e->hi.bytes[bits / 8]) >> (7 - bits % 8) & 1) == 0)
		bits++;
	return 1 + bits;
}

char *endpoint_format(const struct config_endpoint *e, char *buf, size_t size)
{
	char lo[IP_ADDR_TEXT_MAX], hi[IP_ADDR_TEXT_MAX];
	struct ip_prefix p = {.addr = e->lo};

	if (e->name || e->lo.family == IP_NONE) {
		snprintf(buf, size, "%s", e->name ? e->name : "%any");
		return buf;
	}
	ip_addr_format(&e->lo, lo, sizeof(lo));
	if (endpoint_is_host(e)) {
		snprintf(buf, size, "%s", lo);
		return buf;
	}
	p.len = (uint8_t)(endpoint_match(e, &e->lo) - 1);
	ip_prefix_range(&p, &p.addr, &(struct ip_addr){0});
	if (ip_addr_equal(&p.addr, &e->lo)) {
		struct ip_addr first, last;

		ip_prefix_range(&p, &first, &last);
		if (ip_addr_equal(&last, &e->hi) && p.len == 0) {
			snprintf(buf, size, "%%any%c", e->lo.family == IP_V6 ? '6' : '4');
			return buf;
		}
		if (ip_addr_equal(&last, &e->hi))
			return ip_prefix_format(&p, buf, size);
	}
	snprintf(buf, size, "%s-%s", lo, ip_addr_format(&e->hi, hi, sizeof(hi)));
	return buf;
}
