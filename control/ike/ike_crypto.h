// The cryptography that IKE needs, as one small interface. The core is pure: it gets this table
// with every call. control/openssl implements it with OpenSSL 3 EVP.
//
// Errors: 0 or -errno; -ENOTSUP for an algorithm that is not there; -EBADMSG when a tag or a
//         public value does not verify; outputs stay untouched on failure.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/secret.h"
#include "lib/transform.h"

struct ike_ke; // one key exchange's private half

struct ike_buf { // borrowed bytes
	const uint8_t *data;
	size_t len;
};

#define IKE_KE_PUBLIC_MAX 1024 // bytes: MODP 8192
#define IKE_PRF_MAX 64	       // bytes of the largest PRF output
#define IKE_HASH_SHA1_LEN 20   // bytes

struct ike_crypto {
	void *ctx; // first argument of every call

	int (*random)(void *ctx, void *out, size_t len);

	// prf(key, a | b | ...) over `n` pieces (RFC 7296 2.13). *len: in, room; out, bytes.
	int (*prf)(void *ctx, uint16_t prf_id, const uint8_t *key, size_t key_len,
		   const struct ike_buf *pieces, size_t n, uint8_t *out, size_t *len);
	// prf+(key, seed) into `len` bytes (RFC 7296 2.13).
	int (*prf_plus)(void *ctx, uint16_t prf_id, const uint8_t *key, size_t key_len,
			const uint8_t *seed, size_t seed_len, uint8_t *out, size_t len);
	int (*sha1)(void *ctx, const struct ike_buf *pieces, size_t n,
		    uint8_t out[IKE_HASH_SHA1_LEN]); // NAT detection (RFC 7296 2.23)

	// Key exchange (RFC 7296 2.14, RFC 5903, RFC 8031). The public value is in KE payload form.
	int (*ke_create)(void *ctx, uint16_t group, struct ike_ke **out);
	int (*ke_public)(void *ctx, const struct ike_ke *ke, uint8_t *out, size_t *len);
	// Checks the peer's value (length, range, curve, all-zero result: RFC 6989, RFC 8031).
	int (*ke_derive)(void *ctx, const struct ike_ke *ke, const uint8_t *peer, size_t peer_len,
			 struct secret *shared);
	void (*ke_destroy)(void *ctx, struct ike_ke *ke);

	// Encrypted payload (RFC 7296 3.14, RFC 5282). Works in place.
	// seal: `data` holds len bytes of plaintext, already padded; writes the IV to iv, the
	// ciphertext over the plaintext, the ICV to icv. With an AEAD, aad is the message up to and
	// including the SK header; otherwise the ICV is HMAC(aad | iv | ciphertext).
	int (*seal)(void *ctx, const struct transform *encr, const struct transform *integ,
		    const struct secret *encr_key, const struct secret *integ_key,
		    const struct ike_buf *aad, uint8_t *iv, uint8_t *data, size_t len,
		    uint8_t *icv);
	int (*open)(void *ctx, const struct transform *encr, const struct transform *integ,
		    const struct secret *encr_key, const struct secret *integ_key,
		    const struct ike_buf *aad, const uint8_t *iv, uint8_t *data, size_t len,
		    const uint8_t *icv);
};
