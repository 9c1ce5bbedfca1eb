// ICMPv6 errors of our own (RFC 4443).
//
// Threads: a worker, with the rate limit of icmp.h.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_mbuf.h>

struct worker;

enum {
	ICMP6_HDR_LEN = 8, // bytes, of an error
	ICMP6_UNREACHABLE = 1,
	ICMP6_TOO_BIG = 2,
	ICMP6_TIME_EXCEEDED = 3,
	ICMP6_TIME_EXCEEDED_HOPS = 0, // code
	ICMP6_ERRORS_END = 128,	      // types below are errors (RFC 4443 2.1)
	ICMP6_ND_FIRST = 133,	      // router solicitation (RFC 4861 4)
	ICMP6_REDIRECT = 137,	      // and the last of ND
};

// Builds an ICMPv6 error about `offending` (data at its IPv6 header), which stays the caller's: a
// bare IPv6 packet to its source, from our address on the port where `offending` came in
// (offending->port). `mtu` goes with ICMP6_TOO_BIG, else 0. NULL when no error may be sent (RFC
// 4443 2.4), we have no address, the rate limit is reached or there is no memory.
struct rte_mbuf *icmp6_error(struct worker *w, const struct rte_mbuf *offending, uint8_t type,
			     uint8_t code, uint16_t mtu);
// Is a whole IPv6 packet of `len` bytes neighbour discovery (RFC 4861)? That is the link's own and
// needs no policy; no router has forwarded it (hop limit 255).
bool icmp6_is_nd(const uint8_t *ip, size_t len);
