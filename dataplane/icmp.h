// ICMP errors of our own (RFC 792, RFC 1812 4.3.2).
//
// Threads: a worker, with its own rate limit.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

struct worker;

enum {
	ICMP_UNREACHABLE = 3,
	ICMP_UNREACHABLE_FRAG_NEEDED = 4, // code
	ICMP_TIME_EXCEEDED = 11,
	ICMP_TIME_EXCEEDED_TTL = 0, // code
};

// Builds an ICMP error about `offending` (data at its IPv4 header), which stays the caller's: a
// bare IPv4 packet to its source. `mtu` goes with ICMP_UNREACHABLE_FRAG_NEEDED (RFC 1191), else
// 0. With src_addr_be 0 it is sent from the address of the port where `offending` came in
// (offending->port). NULL when no error may be sent (about ICMP errors, later fragments, packets
// to or from what is not one host), the rate limit is reached or there is no memory.
struct rte_mbuf *icmp_error(struct worker *w, const struct rte_mbuf *offending, uint8_t type,
			    uint8_t code, uint16_t mtu, uint32_t src_addr_be);
// Takes one of the errors that the worker may send now, of either family; false when none is left.
bool icmp_take_token(struct worker *w);
