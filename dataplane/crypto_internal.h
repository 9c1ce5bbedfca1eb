// What the files of crypto.h share.
#pragma once

#include "dataplane/crypto.h"

struct crypto {
	IMB_MGR *mgr;
	// By key length: 16, 24, 32 bytes.
	aes_gcm_enc_dec_t gcm_seal[3], gcm_open[3];
	// One burst of one suite.
	IMB_JOB *imb;
	uint8_t icv[CRYPTO_BURST_MAX][CRYPTO_ICV_MAX]; // what the packets' must be
};

static inline uint8_t *crypto_icv_of(const struct crypto_job *j)
{
	return j->text + j->text_len;
}

// In constant time, as bytes_equal_ct, without its loop over bytes. Lengths are multiples of 4.
static inline bool crypto_icv_equal(const uint8_t *a, const uint8_t *b, unsigned len)
{
	uint32_t differ = 0;

	if (len == 16) { // the one that counts
		uint64_t x[2], y[2];

		__builtin_memcpy(x, a, 16);
		__builtin_memcpy(y, b, 16);
		return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
	}
	for (unsigned i = 0; i < len; i += 4) {
		uint32_t x, y;

		__builtin_memcpy(&x, a + i, 4);
		__builtin_memcpy(&y, b + i, 4);
		differ |= x ^ y;
	}
	return differ == 0;
}

static inline void crypto_put_be32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	__builtin_memcpy(p, &v, 4);
}

// Jobs of CRYPTO_ETM keys: those whose bit is set in `mask`.
void crypto_etm_seal(struct crypto *c, struct crypto_job *job, uint64_t mask);
void crypto_etm_open(struct crypto *c, struct crypto_job *job, uint64_t mask);
// Expands the keys of a CRYPTO_ETM key whose head is filled in. -EIO.
int crypto_etm_key(struct crypto *c, struct crypto_key *k, const uint8_t *encr,
		   const struct secret *integ);
