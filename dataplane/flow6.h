// What selectors look at in an IPv6 packet (RFC 4301 4.4.1.1), and selectors packed for workers: as
// flow.h for IPv4.
//
// An address is one number of 128 bits in host order, so that ranges are compared as those of IPv4
// are. The protocol is the one behind the extension headers (lib/ipv6.h); of a later fragment it
// may be unknown, and then neither is there a port.
//
// Threads: pure functions on the caller's memory.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/flow.h"
#include "lib/ipv6.h"

#define FLOW6_PROTO_MOBILITY 135 // RFC 6275 6.1

typedef unsigned __int128 addr6; // the one typedef here: the type has no other name

struct flow6 { // host order
	addr6 src, dst;
	uint16_t src_port, dst_port; // ICMPv6: both hold type << 8 | code; mobility: type << 8
	uint8_t proto;		     // IPV6_PROTO_UNKNOWN in some later fragments
	uint8_t ports;		     // enum flow_ports
};

// One IPv6 selector, host order.
struct ts6 {
	addr6 lo, hi;
	uint16_t port_lo, port_hi; // port_lo > port_hi is OPAQUE (RFC 7296 3.13.1)
	uint8_t proto;		   // 0 is any
	bool any_port;
};

static inline addr6 addr6_load(const uint8_t *p)
{
	uint64_t half_be[2];

	memcpy(half_be, p, sizeof(half_be));
	return (addr6)rte_be_to_cpu_64(half_be[0]) << 64 | rte_be_to_cpu_64(half_be[1]);
}

// Is the packet one of IPv6? `ip` is a bare packet of at least one byte.
static inline bool ip_is_v6(const void *ip)
{
	return *(const uint8_t *)ip >> 4 == 6;
}

static inline void flow6_find_ports(struct flow6 *f, const uint8_t *upper, size_t len)
{
	switch (f->proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_DCCP:
	case IPPROTO_SCTP:
	case IPPROTO_UDPLITE:
		if (len < 4)
			return;
		f->src_port = flow_load16(upper);
		f->dst_port = flow_load16(upper + 2);
		break;
	case IPPROTO_ICMPV6:
		if (len < 2)
			return;
		f->src_port = f->dst_port = flow_load16(upper);
		break;
	case FLOW6_PROTO_MOBILITY:
		if (len < 3)
			return;
		f->src_port = f->dst_port = (uint16_t)(upper[2] << 8);
		break;
	default:
		f->ports = FLOW_PORTS_NONE;
		return;
	}
	f->ports = FLOW_PORTS_KNOWN;
}

// `ip` is a whole IPv6 packet of `len` bytes. False when its headers cannot be walked.
static inline bool flow6_of(const uint8_t *ip, size_t len, struct flow6 *out)
{
	struct flow6 f = {
		.src = addr6_load(ip + IPV6_SRC_AT),
		.dst = addr6_load(ip + IPV6_DST_AT),
		.ports = FLOW_PORTS_UNKNOWN,
	};
	struct ipv6_upper upper;

	if (ipv6_find_upper(ip, len, &upper) != 0)
		return false;
	f.proto = upper.proto;
	if (upper.later && f.proto != IPV6_PROTO_UNKNOWN)
		flow6_find_ports(&f, NULL, 0); // protocols without ports have none here either
	else if (!upper.later)
		flow6_find_ports(&f, ip + upper.at, len - upper.at);
	*out = f;
	return true;
}

static inline bool flow6_equal(const struct flow6 *a, const struct flow6 *b)
{
	return a->src == b->src && a->dst == b->dst && a->src_port == b->src_port &&
	       a->dst_port == b->dst_port && a->proto == b->proto && a->ports == b->ports;
}

// Address and protocol.
static inline bool ts6_match_host(const struct ts6 *t, addr6 addr, uint8_t proto)
{
	return addr - t->lo <= t->hi - t->lo && (t->proto == 0 || t->proto == proto);
}

// As ts4_match_port.
static inline bool ts6_match_port(const struct ts6 *t, uint8_t ports, uint16_t port)
{
	if (t->any_port)
		return true;
	if (ports == FLOW_PORTS_KNOWN)
		return port >= t->port_lo && port <= t->port_hi;
	return ports == FLOW_PORTS_UNKNOWN && t->port_lo > t->port_hi;
}

// False when the selector is not IPv6; *out is then untouched.
static inline bool ts6_from_selector(const struct selector *s, struct ts6 *out)
{
	if (s->family != IP_V6 || ip_addr_compare(&s->lo, &s->hi) > 0)
		return false;
	*out = (struct ts6){
		.lo = addr6_load(s->lo.bytes),
		.hi = addr6_load(s->hi.bytes),
		.port_lo = s->port_lo,
		.port_hi = s->port_hi,
		.proto = s->proto,
		.any_port = s->port_lo == 0 && s->port_hi == UINT16_MAX,
	};
	return true;
}
