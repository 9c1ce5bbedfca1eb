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
// Opens fragment `number` of `total` (RFC 7383 2.5) instead; `first` is the type of the first
// payload of the whole, for fragment 1. The bytes of the fragment are written next.
void sk_begin_fragment(struct ike_builder *b, const struct ike_suite *suite, uint8_t first,
		       uint16_t number, uint16_t total);
// Bytes that sk_finish makes of plain_len bytes: IV, padding and ICV added.
size_t sk_sealed_len(const struct ike_suite *suite, size_t plain_len);
// Pads, fills in all lengths, encrypts and authenticates. The message is then complete.
int sk_finish(struct ike_builder *b, const struct ike_crypto *c, const struct ike_suite *suite,
	      struct sk_keys keys);
// Works for a fragment too, which is only a part of the payloads (fragment.h).
// Verifies and decrypts into buf, which the caller provides with at least m->len bytes.
// *plain and *len tell where the payloads inside stand, padding removed.
int sk_open(const struct ike_msg *m, const struct ike_crypto *c, const struct ike_suite *suite,
	    struct sk_keys keys, uint8_t *buf, const uint8_t **plain, size_t *len);
