// A first look at a datagram for IKE's ports: just enough of the header, and of the payloads of an
// opening message, to tell who may want what. Everything it says is unproved.
//
// Ownership: pointers go into the datagram.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ike_peek {
	uint8_t major; // of the version: 1 (RFC 2409) or 2 (RFC 7296), or whatever stands there
	uint8_t exchange;
	bool is_response;
	bool from_initiator;  // of the IKE SA
	const uint8_t *spi_i; // 8 bytes
	uint64_t spi_i_num, spi_r_num;
	uint32_t message_id;
	// An IKE_SA_INIT request of IKEv2 with SA, KE and Nonce, as every one has them:
	bool opens;
	const uint8_t *nonce, *cookie; // cookie: NULL without
	size_t nonce_len, cookie_len;  // bytes
	const uint8_t *vendor;	       // the first vendor ID, IKEv1 as well; NULL without
	size_t vendor_len;	       // bytes
};

// `data` without the non-ESP marker. False: no IKE message, or its length field lies.
bool ike_peek(const uint8_t *data, size_t len, struct ike_peek *out);
// Our own SPI in a message to us: of the side that did not send it. 0 in an opening message.
uint64_t ike_peek_own_spi(const struct ike_peek *p);
