// Proof of identity by a pre-shared key (RFC 7296 2.15).
#pragma once

#include "control/ike/builder.h"
#include "control/ike/payload.h"
#include "control/ike/sa.h"

// Our AUTH, with the key for the peer's identity. False when there is none (reported), or it could
// not be made.
bool psk_build(struct step *st, struct ike_builder *b, const struct identity *remote);
// Does the peer's AUTH, method and all, prove that it is sa->remote_id? Reports why not.
bool psk_verify(struct step *st, const struct ike_auth_payload *auth);
