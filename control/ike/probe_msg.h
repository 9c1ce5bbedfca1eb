// A question that every IKEv2 responder answers at once and without keeping anything: an
// IKE_SA_INIT request (RFC 7296 1.2) whose key exchange it cannot take.
//
// It offers what the connection offers, and last of all MODP 768, which nobody accepts any more
// (RFC 8247 2.4: MUST NOT) and whose public value it brings. So the answer is INVALID_KE_PAYLOAD,
// or NO_PROPOSAL_CHOSEN, or a cookie: each says that the message came and that the answer gets
// back, and none of them begins an IKE SA. Longer ones are filled up with a status notify of the
// private range, which is to be ignored (3.10.1).
#pragma once

#include "control/ike/builder.h"
#include "control/ike/ike_crypto.h"

enum { PROBE_MSG_MIN = 256 }; // bytes of the smallest, about; more proposals make it longer

// Builds one of `len` bytes, or as long as it has to be. Its length is b->w.len. -EIO without
// random numbers, -EMSGSIZE.
int probe_msg_build(struct ike_builder *b, const struct ike_crypto *c,
		    const struct proposal_list *ours, const uint8_t spi_i[8], size_t len);
