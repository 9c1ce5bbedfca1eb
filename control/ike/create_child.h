// CREATE_CHILD_SA (RFC 7296 1.3): further children, and successors of children and of the IKE SA.
// create_child.c has the rows and the rules about what may happen at the same time,
// create_child_esp.c makes child SAs, create_child_ike.c makes IKE SAs.
//
// Errors: the send functions return false when no message could be built; the SA is then to be
//         closed.
#pragma once

#include "control/ike/child.h"
#include "control/ike/request.h"
#include "control/ike/transition.h"

// Asks for a further child, or, with `replaces`, for the successor of a child SA.
bool send_child(struct step *st, const struct ike_child_conf *conf, struct ike_child *replaces);
enum verdict on_child_request(struct step *st, const struct ike_msg *m);
enum verdict on_child_response(struct step *st, const struct ike_msg *m);

// Asks for the successor of this IKE SA.
bool send_rekey(struct step *st);
enum verdict on_rekey_request(struct step *st, const struct ike_msg *m);
enum verdict on_rekey_response(struct step *st, const struct ike_msg *m);
// The peer goes on with the successor that it made: this SA's children, if it still has them,
// belong there now.
void rekey_rival_wins(struct step *st);
// A rival was used by the peer before its predecessor was told about it: it gets the children.
void rekey_rival_used(struct step *st);

// ---- create_child.c ----

// Answers with one notify; the exchange came to nothing.
enum verdict create_child_refuse(struct step *st, const struct ike_msg *m, uint16_t notify);
// INVALID_KE_PAYLOAD with the group that we want (RFC 7296 1.3).
enum verdict create_child_refuse_group(struct step *st, const struct ike_msg *m, uint16_t ours,
				       uint16_t theirs);
// The group that an INVALID_KE_PAYLOAD wants, when it is one of our offer and another one than
// `sent`; KE_NONE otherwise (reported).
uint16_t create_child_other_group(struct step *st, const struct ike_notify *n,
				  const struct proposal_list *offer, uint16_t sent);
// When to try again after TEMPORARY_FAILURE (RFC 7296 2.25).
uint64_t create_child_retry_ms(const struct step *st);
