// The Security Policy Database (RFC 4301 4.4.1): one ordered list, first match wins.
//
// A policy's two selectors are of one family, so each family has a list of its own in the order of
// the whole: no policy of the other family could match before. The one of IPv6 is in policy6.h.
//
// The lists are an immutable snapshot. dp_policies_set builds a new one and stores its pointer;
// workers load the pointer once per batch. The stages policy_out() and policy_in_clear()
// (stages.h) are in policy.c. How the look-up is done: policy_index.h,
// docs/decisions/policy-lookup.md.
//
// Threads:   dp_policies_set, create and destroy: control thread only. Stages: any worker.
// Ownership: a snapshot that was replaced is freed once every worker has been quiescent.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "dataplane/batch.h"
#include "dataplane/dp.h"
#include "dataplane/flow.h"
#include "dataplane/worker.h"

struct policies6;
struct policy_index;
struct tunnel;

struct policy_entry {
	struct ts4 local, remote;
	struct tunnel *tunnel; // of DP_PROTECT
	uint8_t action;	       // enum dp_action
};

// What the policies say of a packet.
struct policy_verdict {
	bool found;	       // one matches
	uint8_t action;	       // enum dp_action
	struct tunnel *tunnel; // of DP_PROTECT
};

struct policies {
	size_t n;
	struct policies6 *v6;
	struct policy_index *index; // NULL: the entries are walked
	struct policy_entry entry[];
};

// First entry that matches, or NULL. A packet whose ports are not known (a later fragment)
// matches a protect or discard entry by address and protocol alone, and never a bypass entry
// that names ports: what might be protected does not leave in clear (RFC 4301 7).
const struct policy_entry *policy_find_out(const struct policies *p, const struct flow *f);
// The same for a packet that came in: its source is the remote end.
const struct policy_entry *policy_find_in(const struct policies *p, const struct flow *f);

// RFC 7296 2, 2.23.
static inline bool policy_is_ike_port(uint16_t port)
{
	return port == 500 || port == 4500;
}

// Moves a packet to `protect` or `pass`, or drops it, as policy_out() does (stages.h); `ike`: it
// keys SAs of our own.
static inline void policy_decide_out(struct worker *w, struct batch *in, uint16_t i, bool ike,
				     struct policy_verdict v, struct batch *protect,
				     struct batch *pass)
{
	// An ICMP error quotes its packet: one about a packet from a tunnel never leaves in clear.
	const bool may_be_clear = in->origin[i] != FROM_SELF_TUNNEL;

	// RFC 4301 4.4.1: traffic that keys SAs must get past them.
	if (ike) {
		batch_append(pass, in, i);
	} else if (v.found && v.action == DP_PROTECT) {
		in->tunnel[i] = v.tunnel;
		batch_append(protect, in, i);
	} else if (v.found && v.action == DP_DISCARD) {
		drop(w, in->pkt[i], DROP_POLICY_DISCARD);
	} else if ((v.found || in->from_linux[i]) && may_be_clear) {
		batch_append(pass, in, i);
	} else {
		drop(w, in->pkt[i], DROP_NO_POLICY); // RFC 4301 4.4.1: the default
	}
}
// Does a packet that came in clear stay in the batch (policy_in_clear(), stages.h)? Else it has
// been dropped.
static inline bool policy_decide_in_clear(struct worker *w, struct batch *b, uint16_t i, bool ike,
					  struct policy_verdict v)
{
	const bool bypass = v.found && v.action == DP_BYPASS;

	if (!v.found || bypass || ike) {
		// What a rule lets in on one port may leave by another, else answers to
		// what the same rule let out would end here.
		b->from_linux[i] = b->from_linux[i] || bypass;
		return true;
	}
	// RFC 4301 5.2 step 3b
	drop(w, b->pkt[i], v.action == DP_PROTECT ? DROP_CLEAR_INBOUND : DROP_POLICY_DISCARD);
	return false;
}

int policies_create(struct dp *dp); // dp->policies, empty
// Frees the snapshot at once: the workers must have stopped.
void policies_destroy(struct dp *dp);
