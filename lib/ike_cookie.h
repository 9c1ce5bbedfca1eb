// The stateless cookies of a responder (RFC 7296 2.6): whoever began IKE_SA_INIT with a forged
// address never sees one, and until one is shown nothing is held.
//
// cookie = version of the key | SipHash-2-4-128(key, Ni | IPi | SPIi) | mark (ike_mark.h). The
// dataplane's guard gives them out and checks them, and so does IKE, with the same keys.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/ike_mark.h"
#include "lib/ike_wire.h"
#include "lib/siphash.h"

#define IKE_COOKIE_LEN	     (1 + SIPHASH_LEN + IKE_MARK_LEN)	   // bytes
#define IKE_COOKIE_REPLY_LEN (IKE_HEADER_LEN + 8 + IKE_COOKIE_LEN) // bytes

struct ike_cookie_keys {
	uint8_t version; // of `now`
	bool has_before; // the key before it is good as well
	uint8_t now[SIPHASH_KEY_LEN], before[SIPHASH_KEY_LEN];
	struct ike_mark_key mark; // stays as long as the process
};

struct ike_cookie_for { // what a cookie belongs to; borrowed
	const uint8_t *nonce;
	size_t nonce_len;     // at most LIMIT_IKE_NONCE_MAX
	const uint8_t *spi_i; // 8 bytes
	const struct ip_addr *from;
};

// Is it one of ours, for that?
bool ike_cookie_check(const struct ike_cookie_keys *k, const struct ike_cookie_for *f,
		      const uint8_t *cookie, size_t len);
// The IKE message that asks for a cookie, in answer to an IKE_SA_INIT request.
void ike_cookie_reply(const struct ike_cookie_keys *k, const struct ike_cookie_for *f,
		      uint32_t message_id, uint8_t out[IKE_COOKIE_REPLY_LEN]);
