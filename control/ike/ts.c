#include "control/ike/ts.h"

#include <errno.h>
#include <string.h>

enum { TS_IPV4_ADDR_RANGE = 7, TS_IPV6_ADDR_RANGE = 8 };

// False when the selector is of a type or form that we cannot use.
static bool selector_read(struct reader *r, uint8_t type, uint8_t proto, struct selector *s)
{
	size_t addr_len = type == TS_IPV4_ADDR_RANGE ? 4 : 16;
	const uint8_t *lo, *hi;

	if (type != TS_IPV4_ADDR_RANGE && type != TS_IPV6_ADDR_RANGE)
		return false;
	s->proto = proto;
	s->port_lo = read_u16(r);
	s->port_hi = read_u16(r);
	lo = read_bytes(r, addr_len);
	hi = read_bytes(r, addr_len);
	if (r->failed || r->len > 0)
		return false;
	s->lo = ip_addr_from_bytes(lo, addr_len);
	s->hi = ip_addr_from_bytes(hi, addr_len);
	s->family = s->lo.family;
	// 65535..0 is OPAQUE (RFC 7296 3.13.1): packets whose ports cannot be seen, which our
	// policies do not tell apart.
	return s->port_lo <= s->port_hi && ip_addr_compare(&s->lo, &s->hi) <= 0;
}

int ts_payload_parse(const struct ike_payload *p, struct selector_list *out)
{
	struct reader r = reader_of(p->data, p->len);
	struct selector_list list = {0};
	uint8_t n = read_u8(&r);

	read_bytes(&r, 3); // RESERVED
	if (r.failed || n == 0)
		return -EBADMSG;
	for (unsigned i = 0; i < n; i++) {
		uint8_t type = read_u8(&r);
		uint8_t proto = read_u8(&r);
		uint16_t len = read_u16(&r);
		struct reader body;
		struct selector s = {0};

		if (r.failed || len < 4)
			return -EBADMSG;
		body = read_sub(&r, len - 4u);
		if (r.failed)
			return -EBADMSG;
		if ((type == TS_IPV4_ADDR_RANGE && len != 16) ||
		    (type == TS_IPV6_ADDR_RANGE && len != 40))
			return -EBADMSG;
		if (selector_read(&body, type, proto, &s) && list.n < SELECTORS_MAX)
			list.s[list.n++] = s;
	}
	if (r.len > 0)
		return -EBADMSG;
	*out = list;
	return 0;
}

void ts_payload_write(struct writer *w, const struct selector_list *list)
{
	write_u8(w, list->n);
	write_zeros(w, 3);
	for (unsigned i = 0; i < list->n; i++) {
		const struct selector *s = &list->s[i];
		size_t addr_len = s->family == IP_V4 ? 4 : 16;

		write_u8(w, s->family == IP_V4 ? TS_IPV4_ADDR_RANGE : TS_IPV6_ADDR_RANGE);
		write_u8(w, s->proto);
		write_u16(w, (uint16_t)(8 + 2 * addr_len));
		write_u16(w, s->port_lo);
		write_u16(w, s->port_hi);
		write_bytes(w, s->lo.bytes, addr_len);
		write_bytes(w, s->hi.bytes, addr_len);
	}
}

// Adds s unless the list covers it; takes out what s covers.
static void list_add(struct selector_list *list, const struct selector *s)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < list->n; i++)
		if (selector_contains(&list->s[i], s))
			return;
	for (unsigned i = 0; i < list->n; i++)
		if (!selector_contains(s, &list->s[i]))
			list->s[kept++] = list->s[i];
	list->n = (uint8_t)kept;
	if (list->n < SELECTORS_MAX)
		list->s[list->n++] = *s;
}

bool ts_narrow(const struct selector_list *offered, const struct selector_list *ours,
	       struct selector_list *out)
{
	struct selector_list common = {0};
	struct selector s;

	for (unsigned i = 0; i < offered->n; i++)
		for (unsigned k = 0; k < ours->n; k++)
			if (selector_intersect(&offered->s[i], &ours->s[k], &s))
				list_add(&common, &s);
	*out = common;
	return common.n > 0;
}

static bool has_family(const struct selector_list *list, uint8_t family)
{
	for (unsigned i = 0; i < list->n; i++)
		if (list->s[i].family == family)
			return true;
	return false;
}

// What of `list` has a counterpart in `other`.
static struct selector_list paired(const struct selector_list *list,
				   const struct selector_list *other)
{
	struct selector_list out = {0};

	for (unsigned i = 0; i < list->n; i++)
		if (has_family(other, list->s[i].family))
			out.s[out.n++] = list->s[i];
	return out;
}

bool ts_pair(struct selector_list *local, struct selector_list *remote)
{
	const struct selector_list l = paired(local, remote), r = paired(remote, local);

	*local = l;
	*remote = r;
	return l.n > 0;
}

bool ts_is_subset(const struct selector_list *answer, const struct selector_list *offer)
{
	for (unsigned i = 0; i < answer->n; i++) {
		bool inside = false;

		for (unsigned k = 0; k < offer->n && !inside; k++)
			inside = selector_contains(&offer->s[k], &answer->s[i]);
		if (!inside)
			return false;
	}
	return answer->n > 0;
}
