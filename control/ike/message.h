// IKE messages as received (RFC 7296 3.1, 3.2): the header and the chain of payloads.
//
// The parser walks the chain once, checks every length and keeps pointers into the bytes it was
// given; payload.h reads the bodies. Nothing here is authenticated: sk.h does that.
//
// Ownership: a message borrows the bytes that it was parsed from.
// Errors:    -EBADMSG for whatever is malformed; the message is then not to be used.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/ike/ike.h"
#include "lib/ike_wire.h"
#include "lib/limits.h"

// A set of payload types, for the rows of the transition table.
#define HAS(type) (1u << (PAYLOAD_##type - PAYLOAD_SA))

struct ike_payload {
	uint8_t type; // enum ike_payload_type, or one that we do not know
	const uint8_t *data;
	size_t len; // bytes of the body, generic header left out
};

struct ike_msg {
	struct ike_header h;
	const uint8_t *bytes; // the whole message as received
	size_t len;
	size_t n;
	struct ike_payload p[LIMIT_IKE_PAYLOADS];
	uint8_t unknown_critical;     // first payload type that forbids going on, 0: none
	bool has_sk;		      // an Encrypted (Fragment) payload, which is always the last
	uint8_t sk_first;	      // type of the first payload inside
	size_t sk_body;		      // offset of its IV in bytes
	uint16_t fragment, fragments; // RFC 7383: this one of so many; 0, 0: a whole message
};

// Parses header and chain. The body of an Encrypted payload is left closed.
int ike_msg_parse(const uint8_t *bytes, size_t len, struct ike_msg *m);
// Replaces the payloads by those of an opened Encrypted payload.
int ike_msg_parse_inner(struct ike_msg *m, const uint8_t *data, size_t len);

// The first payload of that type, or NULL.
const struct ike_payload *ike_msg_find(const struct ike_msg *m, uint8_t type);
// Every type of `required` exactly once, every type of `optional` at most once? Payloads in
// neither set are ignored (RFC 7296 2.5 forbids to fail on what is only unexpected).
bool ike_msg_has(const struct ike_msg *m, uint32_t required, uint32_t optional);

// "IKE_SA_INIT", ... or "exchange".
const char *ike_exchange_name(uint8_t exchange);
