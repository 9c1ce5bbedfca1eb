// Bodies of the small payloads (RFC 7296 3.4 to 3.11): key exchange, identification,
// authentication, nonce, notify, delete. The SA payload is in sa_payload.h, traffic selectors
// are in ts.h.
//
// Ownership: results point into the payload.
// Errors:    -EBADMSG when malformed; outputs stay untouched.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/ike/message.h"
#include "control/ike/notify.h"
#include "lib/bytes.h"
#include "lib/identity.h"

enum { CERT_X509_SIGNATURE = 4 }; // RFC 7296 3.6: the encoding of CERT and CERTREQ

struct ike_ke_payload {
	uint16_t group;
	const uint8_t *data;
	size_t len;
};

struct ike_auth_payload {
	uint8_t method;
	const uint8_t *data;
	size_t len;
};

struct ike_cert_payload { // CERT, and CERTREQ, whose data are identifiers of CAs
	uint8_t encoding;
	const uint8_t *data;
	size_t len;
};

struct ike_notify {
	uint8_t protocol;
	uint16_t type; // enum ike_notify_type
	const uint8_t *spi;
	size_t spi_len;
	const uint8_t *data;
	size_t len;
};

struct ike_delete {
	uint8_t protocol; // enum protocol_id
	uint8_t spi_len;
	uint16_t n;
	const uint8_t *spis;
};

int payload_ke_parse(const struct ike_payload *p, struct ike_ke_payload *out);
int payload_nonce_parse(const struct ike_payload *p, struct ike_buf *out);
int payload_id_parse(const struct ike_payload *p, struct identity *out);
int payload_auth_parse(const struct ike_payload *p, struct ike_auth_payload *out);
int payload_cert_parse(const struct ike_payload *p, struct ike_cert_payload *out);
int payload_notify_parse(const struct ike_payload *p, struct ike_notify *out);
int payload_delete_parse(const struct ike_payload *p, struct ike_delete *out);

// The i-th notify (from 0) of that type. False when there are not so many.
bool ike_msg_notify(const struct ike_msg *m, uint16_t type, size_t i, struct ike_notify *out);
// The first notify of an error type.
bool ike_msg_error(const struct ike_msg *m, struct ike_notify *out);

// Writers of bodies.
void payload_id_write(struct writer *w, const struct identity *id);
