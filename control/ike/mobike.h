// MOBIKE (RFC 4555): an IKE SA and its children go on between other addresses.
//
//	Initiator                         Responder
//	-------------------------------------------------------------------
//	HDR, SK {.., N(MOBIKE_SUPPORTED), [N(ADDITIONAL_*_ADDRESS)+]}  -->          (IKE_AUTH)
//	                     <--  HDR, SK {.., N(MOBIKE_SUPPORTED), [N(ADDITIONAL_*_ADDRESS)+]}
// and later, from a new address:
//	HDR, SK {N(UPDATE_SA_ADDRESSES), N(NAT_DETECTION_*), N(COOKIE2)}  -->  (INFORMATIONAL)
//	                           <--  HDR, SK {N(NAT_DETECTION_*), N(COOKIE2)}
// and, before the responder sends ESP there:
//	                           <--  HDR, SK {N(COOKIE2)}
//	HDR, SK {N(COOKIE2)}  -->
// Either side tells of its addresses when they change:
//	HDR, SK {N(ADDITIONAL_*_ADDRESS)+ or N(NO_ADDITIONAL_ADDRESSES)}  -->
//
// "Initiator" is who began the first of a series of IKE SAs, here the leader.
//
// Errors: as request.h.
#pragma once

#include "control/ike/builder.h"
#include "control/ike/sa.h"

// ---- IKE_AUTH ----

void mobike_build_auth_request(struct step *st, struct ike_builder *b);
void mobike_build_auth_reply(struct step *st, struct ike_builder *b);
// Request or reply, of a peer that is authenticated.
void mobike_take_auth(struct step *st, const struct ike_msg *m);
// False: somebody changes addresses on the way and must not (RFC 4555 3.9); reported.
bool mobike_nats_ok(struct step *st, const struct ike_msg *m);

// ---- INFORMATIONAL ----

// Requests of ours.
bool send_update(struct step *st);
bool send_return(struct step *st);
bool send_addresses(struct step *st);
// What a liveness check asks about NATs (RFC 4555 3.8).
void mobike_build_liveness(struct step *st, struct ike_builder *b);
// The answer to one of these; it may have closed the SA.
void mobike_answered(struct step *st, const struct ike_msg *m);
// A request of the peer: does what it says and adds to the answer.
void mobike_request(struct step *st, const struct ike_msg *m, struct ike_builder *b);
