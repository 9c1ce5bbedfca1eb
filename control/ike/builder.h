// Builds an IKE message (RFC 7296 3.1, 3.2) payload by payload in a buffer of its own.
//
// A call of build_payload opens a payload and closes the one before. The Encrypted payload is
// opened by sk_begin and closed, with all that follows inside, by sk_finish (sk.h).
//
// Errors: sticky; `w.failed` says at the end that the message did not fit.
#pragma once

#include <stdint.h>

#include "control/ike/message.h"
#include "control/ike/notify.h"
#include "lib/bytes.h"
#include "lib/identity.h"
#include "lib/selector.h"
#include "lib/transform.h"

struct ike_builder {
	struct writer w;
	size_t next_at;	   // offset of the field that names the next payload
	size_t payload_at; // offset of the open payload, 0: none
	size_t sk_at;	   // offset of the Encrypted payload, 0: none
	size_t sk_body;	   // offset of its IV
	uint8_t buf[LIMIT_IKE_MESSAGE_LEN];
};

void build_start(struct ike_builder *b, const uint8_t spi_i[8], const uint8_t spi_r[8],
		 uint8_t exchange, uint8_t flags, uint32_t message_id);
void build_payload(struct ike_builder *b, uint8_t type);
// Fills in the lengths of the open payload and, without Encrypted payload, of the message.
void build_finish(struct ike_builder *b);

void build_sa(struct ike_builder *b, const struct proposal_list *list, uint64_t spi,
	      bool without_ke);
void build_ke(struct ike_builder *b, uint16_t group, const uint8_t *public, size_t len);
void build_octets(struct ike_builder *b, uint8_t type, const uint8_t *data, size_t len);
void build_id(struct ike_builder *b, uint8_t type, const struct identity *id);
void build_auth(struct ike_builder *b, uint8_t method, const uint8_t *data, size_t len);
// CERT or CERTREQ, of X.509 certificates.
void build_cert(struct ike_builder *b, uint8_t type, const uint8_t *data, size_t len);
void build_ts(struct ike_builder *b, uint8_t type, const struct selector_list *list);
void build_notify(struct ike_builder *b, uint16_t type, const void *data, size_t len);
// A notify about an ESP SA: REKEY_SA, CHILD_SA_NOT_FOUND (RFC 7296 3.10).
void build_notify_esp(struct ike_builder *b, uint16_t type, uint32_t spi);
void build_delete_ike(struct ike_builder *b);
void build_delete_esp(struct ike_builder *b, const uint32_t *spis, size_t n);
