// The flows that a worker remembers, and what the stages would do with their ordinary packets
// (known.c): a table of sets of four entries, of which a new flow takes the place of the oldest.
//
// An entry is good for one epoch (dp_changed()): what control changes that workers decide by begins
// another one, in which nothing is known. That is why an entry may point to an SA.
//
// Threads: one worker.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <netinet/in.h>
#include <rte_branch_prediction.h>
#include <rte_ether.h>
#include <rte_hash_crc.h>
#include <rte_prefetch.h>

#include "dataplane/worker.h"

enum {
	FLOW_SETS = 65536, // a power of 2; 262,144 flows: 100,000 tunnels, both ways
	FLOW_SET = 4,	   // entries of a set
	FLOW_WAYS = 1024,  // next hops
	FLOW_WAY_NONE = UINT16_MAX,
	FLOW_FROM_INNER = 0xffff, // where a flow comes from: this, or a port's index and one more
};

struct sa_in;
struct sa_out;

struct flow_entry {	   // two of them share a line
	uint64_t addrs;	   // source and destination as they stand in the packet
	uint64_t rest;	   // ports and protocol, or an SPI; where it came from; else zero
	struct sa_out *sa; // NULL: leaves as it is
	uint32_t epoch;
	uint16_t way; // FLOW_WAY_NONE: the stages', all of it
	uint16_t mtu; // bytes of packet
};

struct flow_way { // a next hop
	uint8_t header[RTE_ETHER_HDR_LEN];
	uint16_t device; // index of the port whose device it is
};

struct flow_set {
	_Alignas(2 * 64) struct flow_entry entry[FLOW_SET];
};

struct known {
	struct flow_set set[FLOW_SETS];
	struct flow_way way[FLOW_WAYS];
	uint32_t n_ways, epoch;
	uint64_t rest_mask; // of the policies of this epoch
	uint32_t own_be;    // an own address, 0: none seen in this epoch
	uint32_t learned;   // flows since known_batch_max() was asked
};

// Before a batch is looked at: in a new epoch nothing is known.
void known_flows_begin(struct worker *w);
// Puts a flow into its set, with what the stages would make of an ordinary packet of it, if that is
// something ordinary. `in`: the SA that it came by, where its SPI is part of `rest`, else NULL;
// what the SA was not made for is the stages'. NULL: it is not to be remembered.
struct flow_entry *known_flows_learn(struct worker *w, struct flow_set *set, uint64_t addrs,
				     uint64_t rest, const uint8_t *ip, unsigned len,
				     const struct sa_in *in);

// What stands in a packet, at any alignment.
static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint16_t load16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline struct flow_set *known_flows_set(struct known *k, uint64_t addrs, uint64_t rest)
{
	const uint64_t h = rte_hash_crc_8byte(rest, rte_hash_crc_8byte(addrs, 0x9e3779b9));

	// A CRC is linear: flows that differ in few bits would crowd in few sets.
	return &k->set[h * 0x9e3779b97f4a7c15u >> 32 & (FLOW_SETS - 1)];
}

static inline void known_flows_prefetch(const struct flow_set *set)
{
	rte_prefetch0(&set->entry[0]);
	rte_prefetch0(&set->entry[2]);
}

// The flow's entry, new if need be; NULL when its packets are the stages'.
static inline struct flow_entry *known_flows_get(struct worker *w, struct flow_set *set,
						 uint64_t addrs, uint64_t rest, const uint8_t *ip,
						 unsigned len, const struct sa_in *in)
{
	struct flow_entry *e = set->entry;

	for (unsigned i = 0; i < FLOW_SET; i++, e++)
		if (e->addrs == addrs && e->rest == rest && e->epoch == w->known->epoch)
			return likely(e->way != FLOW_WAY_NONE) ? e : NULL;
	e = known_flows_learn(w, set, addrs, rest, ip, len, in);
	return e != NULL && e->way != FLOW_WAY_NONE ? e : NULL;
}
