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

struct policies6;
struct policy_index;
struct tunnel;
struct worker;

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
void policy_decide_out(struct worker *w, struct batch *in, uint16_t i, bool ike,
		       struct policy_verdict v, struct batch *protect, struct batch *pass);
// Does a packet that came in clear stay in the batch (policy_in_clear(), stages.h)? Else it has
// been dropped.
bool policy_decide_in_clear(struct worker *w, struct batch *b, uint16_t i, bool ike,
			    struct policy_verdict v);

int policies_create(struct dp *dp); // dp->policies, empty
// Frees the snapshot at once: the workers must have stopped.
void policies_destroy(struct dp *dp);
