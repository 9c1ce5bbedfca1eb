// The Encrypted payload (RFC 7296 3.14, RFC 5282): everything after IKE_SA_INIT travels in it.
//
// Errors: -EBADMSG when it does not open, -EMSGSIZE when the message does not fit, others from
//         the crypto.
#pragma once

#include "control/ike/builder.h"
#include "control/ike/keys.h"
#include "control/ike/message.h"

struct sk_keys { // one direction, borrowed
	const struct secret *encr, *integ;
};

// Opens the payload: what is built next goes inside.
void sk_begin(struct ike_builder *b, const struct ike_suite *suite);
// Pads, fills in all lengths, encrypts and authenticates. The message is then complete.
int sk_finish(struct ike_builder *b, const struct ike_crypto *c, const struct ike_suite *suite,
	      struct sk_keys keys);
// Verifies and decrypts into buf, which the caller provides with at least m->len bytes.
// *plain and *len tell where the payloads inside stand, padding removed.
int sk_open(const struct ike_msg *m, const struct ike_crypto *c, const struct ike_suite *suite,
	    struct sk_keys keys, uint8_t *buf, const uint8_t **plain, size_t *len);
