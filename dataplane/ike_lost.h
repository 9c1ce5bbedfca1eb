// The headers of IKE messages that got lost between the wire and Linux, on either way.
//
// Counters say how many; these say which: samples, a few a second of each peer and of all strangers
// together, for each place where a message can end. Control takes them and keeps the last ones of
// each peer in the flight recorder.
//
// Threads:   note, frames: the worker or the punt thread that the store belongs to. take: control.
//            One ring for peers and one for strangers, each with one producer and one consumer.
// Ownership: a store is its thread's, made and freed while that does not run.
// Errors:    what finds no room is not kept; that is why these are samples.
#pragma once

#include <rte_mbuf.h>

#include "dataplane/guard.h"

struct ike_lost_ring;

struct ike_lost {
	struct dp *dp;
	struct guard_budget strangers[DP_IKE_ENDS], spis[DP_IKE_ENDS];
	struct ike_lost_ring *peer, *stranger;
};

struct ike_lost *ike_lost_create(struct dp *dp); // NULL: no memory
void ike_lost_destroy(struct ike_lost *l);	 // NULL is allowed
// Keeps one, if it may be kept now. `peer` NULL: of a stranger, or of an IKE SA that we have.
void ike_lost_note(struct ike_lost *l, struct guard_peer *peer, const struct dp_ike_lost *what);
// Frames (data at the Ethernet header) that are about to be dropped: keeps those that are IKE.
// `out`: from Linux to the wire. l NULL: nothing is kept.
void ike_lost_frames(struct ike_lost *l, struct rte_mbuf *const *pkt, unsigned n,
		     enum dp_ike_end end, bool out, uint64_t now_tsc);
