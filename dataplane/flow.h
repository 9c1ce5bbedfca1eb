// What selectors look at in an IPv4 packet (RFC 4301 4.4.1.1), and selectors packed for workers.
//
// A fragment other than the first has no ports, and neither has a packet whose transport header
// is cut short: that is FLOW_PORTS_UNKNOWN, and it is up to the caller what to make of it. A
// protocol without ports (GRE, ESP, ...) is FLOW_PORTS_NONE.
//
// Threads: pure functions on the caller's memory.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <netinet/in.h>
#include <rte_byteorder.h>
#include <rte_ip.h>

#include "lib/selector.h"

enum flow_ports { FLOW_PORTS_KNOWN, FLOW_PORTS_NONE, FLOW_PORTS_UNKNOWN };

struct flow { // host order
	uint32_t src, dst;
	uint16_t src_port, dst_port; // ICMP: both hold type << 8 | code
	uint8_t proto;
	uint8_t ports; // enum flow_ports
};

// One IPv4 selector, host order.
struct ts4 {
	uint32_t lo, hi;
	uint16_t port_lo, port_hi; // port_lo > port_hi is OPAQUE (RFC 7296 3.13.1)
	uint8_t proto;		   // 0 is any
	bool any_port;
};

static inline uint16_t flow_load16(const uint8_t *p)
{
	return (uint16_t)((unsigned)p[0] << 8 | p[1]);
}

// `ip` is a whole IPv4 packet of `len` bytes whose header (version, IHL) has been checked.
static inline struct flow flow_of(const struct rte_ipv4_hdr *ip, size_t len)
{
	struct flow f = {
		.src = rte_be_to_cpu_32(ip->src_addr),
		.dst = rte_be_to_cpu_32(ip->dst_addr),
		.proto = ip->next_proto_id,
		.ports = FLOW_PORTS_UNKNOWN,
	};
	const size_t header_len = rte_ipv4_hdr_len(ip);
	const uint8_t *l4 = (const uint8_t *)ip + header_len;
	const bool first = (ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_OFFSET_MASK)) == 0;

	switch (f.proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_DCCP:
	case IPPROTO_SCTP:
	case IPPROTO_UDPLITE:
		if (!first || len < header_len + 4)
			break;
		f.src_port = flow_load16(l4);
		f.dst_port = flow_load16(l4 + 2);
		f.ports = FLOW_PORTS_KNOWN;
		break;
	case IPPROTO_ICMP:
		// RFC 4301 4.4.1.1: type and code take the place of both ports.
		if (!first || len < header_len + 2)
			break;
		f.src_port = f.dst_port = flow_load16(l4);
		f.ports = FLOW_PORTS_KNOWN;
		break;
	default:
		f.ports = FLOW_PORTS_NONE;
		break;
	}
	return f;
}

static inline bool flow_equal(const struct flow *a, const struct flow *b)
{
	return a->src == b->src && a->dst == b->dst && a->src_port == b->src_port &&
	       a->dst_port == b->dst_port && a->proto == b->proto && a->ports == b->ports;
}

// Address and protocol.
static inline bool ts4_match_host(const struct ts4 *t, uint32_t addr, uint8_t proto)
{
	return addr - t->lo <= t->hi - t->lo && (t->proto == 0 || t->proto == proto);
}

// Ports as RFC 4301 4.4.1.1 wants them: a packet without ports is none of a selector that names
// ports; it is one of a selector that says OPAQUE.
static inline bool ts4_match_port(const struct ts4 *t, uint8_t ports, uint16_t port)
{
	if (t->any_port)
		return true;
	if (ports == FLOW_PORTS_KNOWN)
		return port >= t->port_lo && port <= t->port_hi;
	return ports == FLOW_PORTS_UNKNOWN && t->port_lo > t->port_hi;
}

static inline bool ts4_match(const struct ts4 *t, uint32_t addr, uint16_t port, uint8_t proto,
			     uint8_t ports)
{
	return ts4_match_host(t, addr, proto) && ts4_match_port(t, ports, port);
}

// False when the selector is not IPv4; *out is then untouched.
static inline bool ts4_from_selector(const struct selector *s, struct ts4 *out)
{
	if (s->family != IP_V4 || ip_addr_to_v4(&s->lo) > ip_addr_to_v4(&s->hi))
		return false;
	*out = (struct ts4){
		.lo = ip_addr_to_v4(&s->lo),
		.hi = ip_addr_to_v4(&s->hi),
		.port_lo = s->port_lo,
		.port_hi = s->port_hi,
		.proto = s->proto,
		.any_port = s->port_lo == 0 && s->port_hi == UINT16_MAX,
	};
	return true;
}
