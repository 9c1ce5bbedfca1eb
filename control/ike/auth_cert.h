// Proof of identity by certificate and signature (RFC 7296 2.15, 3.6, 3.7; RFC 7427). The judgement
// is env->cred's; this is what goes into messages and comes out of them.
#pragma once

#include "control/ike/builder.h"
#include "control/ike/payload.h"
#include "control/ike/sa.h"

enum proof { PROOF_GOOD, PROOF_BAD, PROOF_LATER };

// ---- IKE_SA_INIT ----

// The hashes that we accept in signatures (RFC 7427 4), and what a peer's message says of its own.
void cert_build_hashes(struct ike_builder *b);
unsigned cert_peer_hashes(const struct ike_msg *m);
// Responder: hashes and CERTREQ, when one of the connections that may be meant wants certificates.
void cert_build_init_reply(const struct ike_sa *sa, struct ike_builder *b,
			   const struct ike_conn *const *conns);

// ---- IKE_AUTH ----

// Our CERT payloads, where they are wanted, and AUTH; what stands between both is `between`'s.
// `asked` is the message that may hold the peer's CERTREQ. False when it could not be (reported).
bool cert_build(struct step *st, struct ike_builder *b, const struct ike_msg *asked,
		void (*between)(struct step *st, struct ike_builder *b));
// CERTREQ of the chosen connection, when it wants certificates and may ask for them.
void cert_build_request(const struct ike_sa *sa, struct ike_builder *b);
// Do certificates and AUTH of the message prove that the peer is sa->remote_id? Reports why not, or
// what is waited for.
enum proof cert_verify(struct step *st, const struct ike_msg *m,
		       const struct ike_auth_payload *auth);
