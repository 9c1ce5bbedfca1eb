// What the parts of the OpenSSL implementation share: the fetched algorithms. Private to this
// folder.
//
// Errors: -EIO when OpenSSL fails for no reason of the caller's (its error queue is emptied),
//         otherwise as control/ike/ike_crypto.h says.
#pragma once

#include <openssl/evp.h>

#include "control/ike/ike_crypto.h"

enum { OPENSSL_CIPHERS = 10, OPENSSL_PRFS = 4, OPENSSL_GROUPS = 10, OPENSSL_RANDOM = 512 };

struct openssl {
	struct ike_crypto table;	// its ctx points back here
	uint8_t random[OPENSSL_RANDOM]; // the first `random_left` bytes are still to be given out
	size_t random_left;
	EVP_MD_CTX *hash[OPENSSL_PRFS]; // prf.c: each about to begin; NULL: absent
	// ke.c: what makes a pair of keys of each group, and a key for the public value of
	// whichever peer it is at the moment; NULL until it is needed.
	EVP_PKEY_CTX *generate[OPENSSL_GROUPS];
	EVP_PKEY *peer[OPENSSL_GROUPS];
	EVP_CIPHER *cipher[OPENSSL_CIPHERS]; // cipher.c: in the order of its table; NULL: absent
};

// Empties OpenSSL's error queue and returns -EIO.
int openssl_failed(void);

// ---- prf.c ----
// Leaves out the hashes that are not there.
void prf_init(struct openssl *o);
void prf_fini(struct openssl *o);
int prf_compute(void *ctx, uint16_t prf_id, const uint8_t *key, size_t key_len,
		const struct ike_buf *pieces, size_t n, uint8_t *out, size_t *len);
int prf_plus(void *ctx, uint16_t prf_id, const uint8_t *key, size_t key_len, const uint8_t *seed,
	     size_t seed_len, uint8_t *out, size_t len);
int sha1_compute(void *ctx, const struct ike_buf *pieces, size_t n, uint8_t out[IKE_HASH_SHA1_LEN]);
// HMAC over n pieces with the named hash; writes the first out_len bytes of the result.
int hmac_compute(const struct openssl *o, const char *hash, const uint8_t *key, size_t key_len,
		 const struct ike_buf *pieces, size_t n, uint8_t *out, size_t out_len);

// ---- ke.c ----
void ke_fini(struct openssl *o);
int ke_create(void *ctx, uint16_t group, struct ike_ke **out);
// The same with a given pair of keys, for known-answer tests. The private key is big-endian, or
// as RFC 7748 writes it; the public value is in KE payload form and unused for X25519 and X448.
int ke_import(void *ctx, uint16_t group, const struct ike_buf *private_key,
	      const struct ike_buf *public_value, struct ike_ke **out);
int ke_public(void *ctx, const struct ike_ke *ke, uint8_t *out, size_t *len);
int ke_derive(void *ctx, const struct ike_ke *ke, const uint8_t *peer, size_t peer_len,
	      struct secret *shared);
void ke_destroy(void *ctx, struct ike_ke *ke);

// ---- cipher.c ----
// Fetches what there is; -ENOTSUP without AES-CBC, -EIO without randomness.
int cipher_init(struct openssl *o);
void cipher_fini(struct openssl *o);
int cipher_seal(void *ctx, const struct transform *encr, const struct transform *integ,
		const struct secret *encr_key, const struct secret *integ_key,
		const struct ike_buf *aad, uint8_t *iv, uint8_t *data, size_t len, uint8_t *icv);
int cipher_open(void *ctx, const struct transform *encr, const struct transform *integ,
		const struct secret *encr_key, const struct secret *integ_key,
		const struct ike_buf *aad, const uint8_t *iv, uint8_t *data, size_t len,
		const uint8_t *icv);
