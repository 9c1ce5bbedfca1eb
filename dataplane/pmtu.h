// What routers say of the ways to the peers: path MTU discovery for the outer path (RFC 1191,
// RFC 4301 8.2).
//
// A worker that meets ICMP "fragmentation needed" for one of our addresses reads off what it quotes
// and tells control, which believes it only when the quoted packet is ESP between the outer
// addresses of a tunnel, with the SPI that the tunnel sends on (RFC 4301 8.2.1): who cannot read
// our packets cannot know it. What is believed counts for PMTU_AGE_S, then the path is tried again.
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
#define PMTU_AGE_S 600	 // RFC 1191 6.3

struct pmtu {
	// Peer's IPv4 address in the high half, network order, and MTU in the low one; 0: free.
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
// Looks at a bare IPv4 packet to one of our addresses, protocol ICMP. The packet stays as it is.
void pmtu_hear(struct worker *w, const struct rte_mbuf *m);
// Takes a DP_EV_PMTU of a worker, and completes it. True when it is believed and news.
bool pmtu_learn(struct dp *dp, struct dp_event *ev);
// Forgets what is too old. Looks once a second.
void pmtu_age(struct dp *dp);
