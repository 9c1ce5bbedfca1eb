#include "control/probe_icmp.h"

#include <errno.h>

#include "lib/bytes.h"

enum {
	PROTO_ICMP = 1,
	PROTO_UDP = 17,
	PROTO_ICMP6 = 58,
};

// What stands behind the quoted IP header: eight bytes at least (RFC 792).
static int parse_quoted(struct reader *r, uint8_t protocol, struct probe_icmp *out)
{
	if (protocol == PROTO_UDP) {
		out->local_port = read_u16(r);
		out->remote_port = read_u16(r);
		out->udp_len = read_u16(r);
	} else if (protocol == PROTO_ICMP || protocol == PROTO_ICMP6) {
		uint8_t type = read_u8(r);

		if (type != (protocol == PROTO_ICMP ? 8 : 128))
			return -EBADMSG;
		read_bytes(r, 3);
		out->quoted_echo = true;
		out->ident = read_u16(r);
		out->seq = read_u16(r);
	} else {
		return -EBADMSG;
	}
	return r->failed ? -EBADMSG : 0;
}

static struct ip_addr read_addr(struct reader *r, size_t len)
{
	const uint8_t *bytes = read_bytes(r, len);

	return bytes ? ip_addr_from_bytes(bytes, len) : (struct ip_addr){0};
}

// Reads an IPv4 header; r stands behind it then.
static int parse_ip4(struct reader *r, uint8_t *ttl, uint8_t *protocol, struct ip_addr *from,
		     struct ip_addr *to)
{
	const uint8_t first = read_u8(r);
	const unsigned len = (first & 15u) * 4;

	read_bytes(r, 7);
	*ttl = read_u8(r);
	*protocol = read_u8(r);
	read_bytes(r, 2);
	*from = read_addr(r, 4);
	*to = read_addr(r, 4);
	if (len < 20)
		return -EBADMSG;
	read_bytes(r, len - 20);
	return r->failed || first >> 4 != 4 ? -EBADMSG : 0;
}

static enum doctor_icmp why4(uint8_t type, uint8_t code)
{
	if (type == 11)
		return code == 0 ? DOCTOR_ICMP_TTL : DOCTOR_ICMP_NONE;
	switch (code) {
	case 3:
		return DOCTOR_ICMP_PORT;
	case 4:
		return DOCTOR_ICMP_SIZE;
	case 9:
	case 10:
	case 13:
		return DOCTOR_ICMP_ADMIN;
	default:
		return DOCTOR_ICMP_HOST;
	}
}

int probe_icmp4_parse(const uint8_t *bytes, size_t len, struct probe_icmp *out)
{
	struct reader r = reader_of(bytes, len);
	struct probe_icmp p = {0};
	struct ip_addr from, to;
	uint8_t protocol, ttl;
	int rc = parse_ip4(&r, &p.ttl, &protocol, &from, &to);

	if (rc || protocol != PROTO_ICMP)
		return -EBADMSG;
	p.type = read_u8(&r);
	p.code = read_u8(&r);
	read_bytes(&r, 2);
	if (p.type == 0) {
		p.echo_reply = true;
		p.ident = read_u16(&r);
		p.seq = read_u16(&r);
	} else if (p.type == 3 || p.type == 11) {
		p.why = why4(p.type, p.code);
		read_bytes(&r, 4);
		rc = parse_ip4(&r, &ttl, &protocol, &p.local, &p.remote);
		if (!rc)
			rc = parse_quoted(&r, protocol, &p);
		if (rc || p.why == DOCTOR_ICMP_NONE)
			return -EBADMSG;
	} else {
		return -EBADMSG;
	}
	if (r.failed)
		return -EBADMSG;
	*out = p;
	return 0;
}

static enum doctor_icmp why6(uint8_t type, uint8_t code)
{
	if (type == 2)
		return DOCTOR_ICMP_SIZE;
	if (type == 3)
		return code == 0 ? DOCTOR_ICMP_TTL : DOCTOR_ICMP_NONE;
	switch (code) {
	case 4:
		return DOCTOR_ICMP_PORT;
	case 1:
	case 5:
		return DOCTOR_ICMP_ADMIN;
	default:
		return DOCTOR_ICMP_HOST;
	}
}

// What we sent: without extension headers but that of fragmentation.
static int parse_quoted6(struct reader *r, struct probe_icmp *out)
{
	const uint8_t first = read_u8(r);
	uint8_t next;

	read_bytes(r, 5);
	next = read_u8(r);
	read_u8(r);
	out->local = read_addr(r, 16);
	out->remote = read_addr(r, 16);
	if (first >> 4 != 6)
		return -EBADMSG;
	if (next == 44) {
		next = read_u8(r);
		read_u8(r);
		if (read_u16(r) >> 3) // not the first one: no ports
			return -EBADMSG;
		read_u32(r);
	}
	return parse_quoted(r, next, out);
}

int probe_icmp6_parse(const uint8_t *bytes, size_t len, struct probe_icmp *out)
{
	struct reader r = reader_of(bytes, len);
	struct probe_icmp p = {.type = read_u8(&r), .code = read_u8(&r)};

	read_bytes(&r, 2);
	if (p.type == 129) {
		p.echo_reply = true;
		p.ident = read_u16(&r);
		p.seq = read_u16(&r);
	} else if (p.type >= 1 && p.type <= 3) {
		p.why = why6(p.type, p.code);
		read_bytes(&r, 4);
		if (parse_quoted6(&r, &p) || p.why == DOCTOR_ICMP_NONE)
			return -EBADMSG;
	} else {
		return -EBADMSG;
	}
	if (r.failed)
		return -EBADMSG;
	*out = p;
	return 0;
}
