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
#include "lib/limits.h"

#define IKE_HEADER_LEN	   28	// bytes
#define IKE_PAYLOAD_LEN	   4	// bytes of a generic payload header
#define IKE_VERSION	   0x20 // major 2, minor 0
#define IKE_FLAG_INITIATOR 0x08
#define IKE_FLAG_RESPONSE  0x20

enum ike_exchange { // RFC 7296 3.1
	EXCHANGE_IKE_SA_INIT = 34,
	EXCHANGE_IKE_AUTH = 35,
	EXCHANGE_CREATE_CHILD_SA = 36,
	EXCHANGE_INFORMATIONAL = 37,
};

enum ike_payload_type { // RFC 7296 3.2
	PAYLOAD_NONE = 0,
	PAYLOAD_SA = 33,
	PAYLOAD_KE = 34,
	PAYLOAD_IDI = 35,
	PAYLOAD_IDR = 36,
	PAYLOAD_CERT = 37,
	PAYLOAD_CERTREQ = 38,
	PAYLOAD_AUTH = 39,
	PAYLOAD_NONCE = 40,
	PAYLOAD_NOTIFY = 41,
	PAYLOAD_DELETE = 42,
	PAYLOAD_VENDOR = 43,
	PAYLOAD_TSI = 44,
	PAYLOAD_TSR = 45,
	PAYLOAD_SK = 46,
	PAYLOAD_CP = 47,
	PAYLOAD_EAP = 48,
	PAYLOAD_SKF = 53, // RFC 7383 2.5
};

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
