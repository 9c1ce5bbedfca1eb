// What routers say of the ways to the peers: path MTU discovery for the outer path (RFC 1191, RFC
// 8201, RFC 4301 8.2).
//
// A worker that meets ICMP "fragmentation needed" or ICMPv6 "packet too big" for one of our
// addresses reads off what it quotes and tells control, which believes it only when the quoted
// packet is ESP between the outer addresses of a tunnel, with the SPI that the tunnel sends on (RFC
// 4301 8.2.1): who cannot read our packets cannot know it. What is believed counts for PMTU_AGE_S,
// then the path is tried again.
//
// Threads:   create, destroy, learn, age: control. to, hear: any worker.
// Errors:    0 or -errno.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "dataplane/dp_internal.h"

struct worker;

#define PMTU_SLOTS 1024u // peers; a power of 2
#define PMTU_MIN   576	 // bytes: what says less counts as this (every host takes as much)
#define PMTU_MIN6  1280	 // the same of IPv6 (RFC 8201 4)
#define PMTU_AGE_S 600	 // RFC 1191 6.3

struct pmtu {
	// The peer in the upper 48 bits and the MTU in the lower 16; 0: free. An IPv4 address
	// stands in network order in the upper half; of an IPv6 address it is a hash, in which two
	// peers could look alike, and the wider way of the two would count as narrow as the other.
	_Atomic uint64_t slot[PMTU_SLOTS]; // control: rw, workers: ro
	_Atomic uint32_t used;
	uint64_t expires_tsc[PMTU_SLOTS]; // control
	uint64_t next_age_tsc;		  // control
};

int pmtu_create(struct dp *dp); // dp->pmtu; -ENOMEM
void pmtu_destroy(struct dp *dp);

// Bytes of IP packet that reach a peer: the MTU of the port that leads there, or what a router on
// the way has said; 0 without a route.
uint16_t pmtu_to(const struct dp *dp, uint32_t addr_be);
// The same for IPv6.
uint16_t pmtu6_to(const struct dp *dp, const uint8_t addr[16]);
// `mtu` in bytes, or less if a router on the way there has said so.
uint16_t pmtu6_limit(const struct dp *dp, const uint8_t addr[16], uint16_t mtu);
// Looks at a bare IPv4 packet to one of our addresses, protocol ICMP. The packet stays as it is.
void pmtu_hear(struct worker *w, const struct rte_mbuf *m);
// The same for a whole IPv6 packet whose next header is ICMPv6.
void pmtu6_hear(struct worker *w, const struct rte_mbuf *m);
// Takes a DP_EV_PMTU of a worker, and completes it. True when it is believed and news.
bool pmtu_learn(struct dp *dp, struct dp_event *ev);
// Forgets what is too old. Looks once a second.
void pmtu_age(struct dp *dp);
