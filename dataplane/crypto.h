// AES-GCM with a 16-byte ICV (RFC 4106) over intel-ipsec-mb, as a synchronous burst: every job is
// finished on return.
//
// Which of the library's interfaces is used, and why: docs/decisions/esp-crypto-interface.md.
//
// Threads:   a struct crypto wraps one MB_MGR and belongs to one thread. A key may be used by any
//            number of them; it never changes after crypto_key_init.
// Ownership: a key lies inside its SA. crypto_key_fini wipes it.
// Errors:    0 or -errno; on error nothing has changed.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <intel-ipsec-mb.h>

#define CRYPTO_NONCE_LEN 12 // bytes: salt of 4, IV of 8 (RFC 4106 4)
#define CRYPTO_ICV_LEN	 16 // bytes

struct crypto;

struct crypto_key {
	_Alignas(64) struct gcm_key_data gcm; // round keys and powers of the hash key
	uint8_t key_len;		      // bytes: 16 or 32
};

enum crypto_status { CRYPTO_OK, CRYPTO_BAD_ICV };

struct crypto_job {
	const struct crypto_key *key;
	uint8_t *text; // read and overwritten
	const uint8_t *aad;
	uint8_t *icv;	   // seal writes it, open compares with it
	uint32_t text_len; // bytes
	uint32_t aad_len;  // bytes
	uint8_t nonce[CRYPTO_NONCE_LEN];
	uint8_t status; // enum crypto_status
};

// -ENOTSUP when the library finds no usable AES instructions, -ENOMEM.
int crypto_create(struct crypto **out);
void crypto_destroy(struct crypto *c);
// "intel-ipsec-mb 1.3.0 (AVX2)". Control only.
const char *crypto_version(void);

// Expands a key of 16 or 32 bytes. The tables depend on the machine's instructions, so the key
// works with every struct crypto of this process and with none of another. -ENOTSUP.
int crypto_key_init(struct crypto *c, struct crypto_key *k, const uint8_t *key, size_t len);
void crypto_key_fini(struct crypto_key *k);

// Fetches what every packet needs of a key: the round keys and the first powers of the hash key.
static inline void crypto_key_prefetch(const struct crypto_key *k)
{
	for (unsigned i = 0; i < 6; i++)
		__builtin_prefetch((const char *)k + i * 64);
}

// Encrypts the texts in place and writes the ICVs. Every status is CRYPTO_OK.
void crypto_seal(struct crypto *c, struct crypto_job *job, unsigned n);
// Decrypts the texts in place and compares the ICVs in constant time. The text of a job that is
// not CRYPTO_OK is worthless and must not be looked at.
void crypto_open(struct crypto *c, struct crypto_job *job, unsigned n);
