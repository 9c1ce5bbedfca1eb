// The Security Association payload (RFC 7296 3.3): proposals and their transforms.
//
// Ownership: values only.
// Errors:    -EBADMSG when malformed; outputs stay untouched.
#pragma once

#include <stdint.h>

#include "control/ike/message.h"
#include "lib/bytes.h"
#include "lib/transform.h"

struct sa_offer { // what an SA payload says about one protocol
	struct proposal_list list;
	uint64_t spi[PROPOSALS_MAX]; // host order; for IKE 0 unless it is rekeyed (RFC 7296 3.3.1)
	unsigned skipped; // proposals left out: other protocol, or a transform type we do not know
};

// Reads the proposals of `protocol`. One with a transform type that we do not know is left out
// (RFC 7296 3.3.6), as is a transform with an attribute that we do not know. What is over
// PROPOSALS_MAX is not looked at; over PROPOSAL_TRANSFORMS_MAX, algorithms that we never choose are
// left out first.
int sa_payload_parse(const struct ike_payload *p, uint8_t protocol, struct sa_offer *out);

// Writes a body: all proposals of the list, numbered from 1, or, when a proposal carries a
// number, with that one (an answer). spi: host order, four octets for ESP, eight for IKE or, when
// it is 0, none (RFC 7296 3.3.1: only an IKE SA that is rekeyed has one). With `without_ke`
// key exchange transforms are left out (RFC 7296 1.2: the first child has none).
void sa_payload_write(struct writer *w, const struct proposal_list *list, uint64_t spi,
		      bool without_ke);
