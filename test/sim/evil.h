// A peer that holds the keys of an IKE SA and says whatever a test wants it to say.
#pragma once

#include "control/ike/builder.h"
#include "test/sim/sim.h"

// The only, or oldest, open SA of a peer; NULL when there is none.
struct ike_sa *evil_sa(struct sim_peer *p);
// An IKE_SA_INIT message to `to`: first is the type of the first payload at `data`.
void evil_plain(struct sim *s, struct sim_peer *to, const uint8_t spi_i[8], const uint8_t spi_r[8],
		uint8_t flags, uint8_t first, const uint8_t *data, size_t len);
// Payloads sealed with the keys of `from`'s SA. Where they hold an identity and an AUTH of the
// right size, AUTH is made right, while the IKE_SA_INIT messages are still there.
void evil_sealed(struct sim *s, struct sim_peer *from, struct sim_peer *to, uint8_t exchange,
		 bool response, uint32_t message_id, uint8_t first, const uint8_t *data,
		 size_t len);
// One fragment (RFC 7383), with any number and total; nothing in it is made right.
void evil_fragment(struct sim *s, struct sim_peer *from, struct sim_peer *to, uint8_t exchange,
		   bool response, uint32_t message_id, uint8_t first, uint16_t number,
		   uint16_t total, const uint8_t *data, size_t len);
// The same as evil_sealed with payloads made by a builder, begun with evil_begin.
void evil_begin(struct ike_builder *b);
void evil_send(struct sim *s, struct sim_peer *from, struct sim_peer *to, uint8_t exchange,
	       bool response, uint32_t message_id, struct ike_builder *b);

// Opens the last reply of a peer's SA. False when there is none; m and buf go together.
bool evil_open_reply(struct sim_peer *p, struct ike_msg *m, uint8_t buf[LIMIT_IKE_MESSAGE_LEN]);

// Goes on until b is half open and a's IKE_AUTH request is lost.
void evil_before_auth_request(struct sim *s);
// Goes on until a waits for the IKE_AUTH response and b has not seen the request.
void evil_before_auth_response(struct sim *s);
