#include "lib/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ip_addr ip_addr_v4(uint32_t v)
{
	return (struct ip_addr){
		.family = IP_V4,
		.bytes = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v},
	};
}

struct ip_addr ip_addr_from_bytes(const uint8_t *bytes, size_t len)
{
	struct ip_addr a = {0};

	if (len != 4 && len != 16)
		return a;
	a.family = len == 4 ? IP_V4 : IP_V6;
	memcpy(a.bytes, bytes, len);
	return a;
}

uint32_t ip_addr_to_v4(const struct ip_addr *a)
{
	return (uint32_t)a->bytes[0] << 24 | (uint32_t)a->bytes[1] << 16 |
	       (uint32_t)a->bytes[2] << 8 | a->bytes[3];
}

size_t ip_addr_len(const struct ip_addr *a)
{
	return a->family == IP_V4 ? 4 : a->family == IP_V6 ? 16 : 0;
}

int ip_addr_parse(const char *text, struct ip_addr *a)
{
	uint8_t bytes[16];

	if (inet_pton(AF_INET, text, bytes) == 1)
		*a = ip_addr_from_bytes(bytes, 4);
	else if (inet_pton(AF_INET6, text, bytes) == 1)
		*a = ip_addr_from_bytes(bytes, 16);
	else
		return -EINVAL;
	return 0;
}

int ip_addr_compare(const struct ip_addr *a, const struct ip_addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->bytes, b->bytes, ip_addr_len(a));
}

bool ip_addr_equal(const struct ip_addr *a, const struct ip_addr *b)
{
	return ip_addr_compare(a, b) == 0;
}

uint32_t ip_addr_hash(const struct ip_addr *a)
{
	uint32_t h = 0;

	for (size_t i = 0; i < sizeof(a->bytes); i += 4)
		h = h * 31 + ((uint32_t)a->bytes[i] << 24 | (uint32_t)a->bytes[i + 1] << 16 |
			      (uint32_t)a->bytes[i + 2] << 8 | a->bytes[i + 3]);
	return h;
}

bool ip_addr_is_link_local(const struct ip_addr *a)
{
	return a->family == IP_V6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

bool ip_addr_is_any(const struct ip_addr *a)
{
	for (size_t i = 0; i < ip_addr_len(a); i++)
		if (a->bytes[i])
			return false;
	return true;
}

int ip_prefix_parse(const char *text, struct ip_prefix *p)
{
	char addr[IP_ADDR_TEXT_MAX];
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	struct ip_prefix out;
	unsigned bits = 0;

	if (n >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, n);
	addr[n] = 0;
	if (ip_addr_parse(addr, &out.addr))
		return -EINVAL;
	out.len = (uint8_t)(ip_addr_len(&out.addr) * 8);
	if (slash) {
		if (!slash[1] || strlen(slash + 1) > 3)
			return -EINVAL;
		for (const char *c = slash + 1; *c; c++) {
			if (*c < '0' || *c > '9')
				return -EINVAL;
			bits = bits * 10 + (unsigned)(*c - '0');
		}
		if (bits > out.len)
			return -EINVAL;
		out.len = (uint8_t)bits;
	}
	*p = out;
	return 0;
}

// The i-th byte of the prefix's mask.
static uint8_t mask_byte(uint8_t len, size_t i)
{
	if (len >= 8 * (i + 1))
		return 0xff;
	if (len <= 8 * i)
		return 0;
	return (uint8_t)(0xff << (8 * (i + 1) - len));
}

bool ip_prefix_contains(const struct ip_prefix *p, const struct ip_addr *a)
{
	if (p->addr.family != a->family)
		return false;
	for (size_t i = 0; i < ip_addr_len(a); i++)
		if ((p->addr.bytes[i] ^ a->bytes[i]) & mask_byte(p->len, i))
			return false;
	return true;
}

void ip_prefix_range(const struct ip_prefix *p, struct ip_addr *lo, struct ip_addr *hi)
{
	struct ip_addr first = p->addr, last = p->addr;

	for (size_t i = 0; i < ip_addr_len(&p->addr); i++) {
		uint8_t mask = mask_byte(p->len, i);

		first.bytes[i] = (uint8_t)(p->addr.bytes[i] & mask);
		last.bytes[i] = (uint8_t)(p->addr.bytes[i] | (uint8_t)~mask);
	}
	*lo = first;
	*hi = last;
}

bool ip_endpoint_equal(const struct ip_endpoint *a, const struct ip_endpoint *b)
{
	return a->port == b->port && ip_addr_equal(&a->addr, &b->addr);
}

int mac_addr_parse(const char *text, struct mac_addr *m)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	struct mac_addr out;

	if (strlen(text) != 17)
		return -EINVAL;
	for (size_t i = 0; i < 6; i++) {
		const char *byte = text + 3 * i;

		if (strspn(byte, digits) != 2 || (i < 5 && byte[2] != ':'))
			return -EINVAL;
		out.bytes[i] = (uint8_t)strtoul(byte, NULL, 16);
	}
	*m = out;
	return 0;
}

char *ip_addr_format(const struct ip_addr *a, char *buf, size_t size)
{
	if (size == 0)
		return buf;
	if (a->family == IP_NONE ||
	    !inet_ntop(a->family == IP_V4 ? AF_INET : AF_INET6, a->bytes, buf, (socklen_t)size))
		snprintf(buf, size, "%s", "%any");
	return buf;
}

char *ip_prefix_format(const struct ip_prefix *p, char *buf, size_t size)
{
	char addr[IP_ADDR_TEXT_MAX];

	snprintf(buf, size, "%s/%u", ip_addr_format(&p->addr, addr, sizeof(addr)), p->len);
	return buf;
}

char *ip_endpoint_format(const struct ip_endpoint *e, char *buf, size_t size)
{
	char addr[IP_ADDR_TEXT_MAX];

	snprintf(buf, size, "%s[%u]", ip_addr_format(&e->addr, addr, sizeof(addr)), e->port);
	return buf;
}

char *mac_addr_format(const struct mac_addr *m, char *buf, size_t size)
{
	const uint8_t *b = m->bytes;

	snprintf(buf, size, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
	return buf;
}
