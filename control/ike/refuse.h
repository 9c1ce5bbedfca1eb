// Filling in why a negotiation failed (refusal.h) during a step.
//
// Ownership: refuse_new's result is the caller's until act_refusal takes it.
// Errors:    out of memory is NULL, noted in the step; every function accepts it.
#pragma once

#include "control/ike/refusal.h"
#include "control/ike/sa.h"

// The exchange, its initiator, addresses, connection and identities are those of the SA and of the
// event. `why` is one clause. A source that has had its share (ike_env.explain) gets a brief one.
struct ike_refusal *refuse_new(struct step *st, enum ike_report_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
// The peer refused, with that notify.
struct ike_refusal *refuse_by_peer(struct ike_refusal *r, uint16_t notify);
// A NULL list: not known.
void refuse_proposals(struct ike_refusal *r, const struct proposal_list *ours,
		      const struct proposal_list *theirs, bool ignore_ke);
void refuse_our_ts(struct ike_refusal *r, const struct selector_list *local,
		   const struct selector_list *remote);
void refuse_their_ts(struct ike_refusal *r, const struct selector_list *local,
		     const struct selector_list *remote);
// Counts a candidate. A place for it, with its name, or NULL when those are full.
struct refusal_candidate *refuse_candidate(struct ike_refusal *r, const char *name,
					   enum refusal_lost lost);
void refuse_certs(struct ike_refusal *r, const struct ike_cred *cred,
		  const struct ike_certs *certs);
// Reports it and takes it.
void act_refusal(struct step *st, struct ike_refusal *r);
