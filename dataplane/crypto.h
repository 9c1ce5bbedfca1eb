// The transforms of ESP (RFC 8221) over intel-ipsec-mb, as a synchronous burst: every job is
// finished on return. A burst may hold jobs of many SAs and of any transforms.
//
//   AES-GCM, AES-GMAC, ChaCha20-Poly1305 (RFC 4106, 4543, 7634)
//   AES-CBC, AES-CTR or NULL (RFC 3602, 3686, 2410) with HMAC-SHA1-96, HMAC-SHA2 or AES-XCBC-96
//   (RFC 2404, 4868, 3566), always encrypted first and authenticated last
//
// Which of the library's interfaces each of them uses, and why:
// docs/decisions/esp-crypto-interface.md.
//
// Threads:   a struct crypto wraps one MB_MGR and belongs to one thread. A key may be used by any
//            number of them; it never changes after crypto_key_init.
// Ownership: a key lies inside its SA. crypto_key_fini wipes it.
// Errors:    0 or -errno; on error nothing has changed.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <intel-ipsec-mb.h>

#include "lib/error.h"
#include "lib/esp_sa.h"

#define CRYPTO_BURST_MAX 64 // jobs
#define CRYPTO_HEAD_MIN	 8  // bytes: SPI, sequence number
#define CRYPTO_HEAD_MAX	 24 // bytes: and an IV of AES-CBC
#define CRYPTO_ICV_MAX	 32 // bytes: HMAC-SHA2-512-256

struct crypto;

enum crypto_kind {
	CRYPTO_GCM,
	CRYPTO_GMAC,
	CRYPTO_CHACHA20_POLY1305,
	CRYPTO_ETM, // a cipher, or none, and then an integrity algorithm
};

enum crypto_cipher { CRYPTO_NULL, CRYPTO_CBC, CRYPTO_CTR };

struct crypto_etm { // round keys, and the hash's state after the padded key
	_Alignas(16) uint8_t enc[15 * 16];
	_Alignas(16) uint8_t dec[15 * 16];
	union {
		struct {
			_Alignas(16) uint8_t inner[64], outer[64]; // RFC 2104 4
		} hmac;
		struct {
			_Alignas(16) uint32_t k1[11 * 4];
			_Alignas(16) uint8_t k2[16], k3[16]; // RFC 3566 4
		} xcbc;
	};
};

// The first line says all that is to be known of the form of a packet.
struct crypto_key {
	_Alignas(64) uint8_t kind; // enum crypto_kind
	uint8_t aes_len;	   // bytes of AES key: 16, 24, 32, or 0
	uint8_t head_len;	   // bytes: SPI, sequence number, IV
	uint8_t icv_len;	   // bytes
	uint8_t align;		   // bytes the text is padded to
	bool esn;		   // the upper half of the number is authenticated as well
	uint8_t cipher;		   // enum crypto_cipher; ETM
	uint16_t integ;		   // INTEG_; ETM
	uint8_t salt[4];	   // the nonce's first bytes; the IV follows
	uint8_t iv_mask[16];	   // CBC: secret, makes the IV of a packet unpredictable
	_Alignas(64) union {
		struct gcm_key_data gcm; // round keys and powers of the hash key
		uint8_t chacha[32];
		struct crypto_etm etm;
	};
};

enum crypto_status { CRYPTO_OK, CRYPTO_BAD_ICV };

// A whole ESP packet, filled in by crypto_job_set.
struct crypto_job {
	const struct crypto_key *key;
	uint8_t *head;	   // SPI, sequence number, IV
	uint8_t *text;	   // read and overwritten; the ICV stands behind it
	uint32_t text_len; // bytes
	uint32_t seq_hi;   // host order; of no matter without ESN
	uint8_t nonce[16]; // salt and IV, where the algorithm has such a one; block counter
	uint8_t aad[12];   // with ESN: SPI, and all of the sequence number
	uint8_t status;	   // enum crypto_status
};

// -ENOTSUP when the library finds no usable AES instructions, -ENOMEM.
int crypto_create(struct crypto **out);
void crypto_destroy(struct crypto *c);
// "intel-ipsec-mb 1.3.0 (AVX2)". Control only.
const char *crypto_version(void);

// Can such an SA be carried? -ENOTSUP, -EINVAL with a sentence that says what is wrong.
int crypto_check(const struct transform *encr, const struct transform *integ, struct error *err);
// Expands the keys of an SA whose transforms crypto_check found good; KEYMAT of another length is
// -EINVAL. The tables depend on the machine's instructions, so the key works with every struct
// crypto of this process and with none of another. -EIO when the kernel has no random numbers.
int crypto_key_init(struct crypto *c, struct crypto_key *k, const struct esp_sa *sa);
void crypto_key_fini(struct crypto_key *k);

// Where in a struct gcm_key_data the powers of the hash key that a short packet is multiplied by
// end: the library's code for AVX-512 counts them down to there, and has 48 of them; other code has
// them right behind the round keys. Bytes; found out by crypto_create.
extern uint16_t crypto_gcm_powers_end;

#define CRYPTO_POWERS_FETCHED 192u // bytes

// Fetches what every packet needs of a key: its form, the round keys of AES-128, and the powers of
// the hash key that 128 bytes need.
static inline void crypto_key_prefetch(const struct crypto_key *k)
{
	const char *last = (const char *)&k->gcm + crypto_gcm_powers_end - 1;

	for (unsigned i = 0; i < 4; i++)
		__builtin_prefetch((const char *)k + i * 64);
	for (unsigned i = 0; i < CRYPTO_POWERS_FETCHED; i += 64)
		__builtin_prefetch(last - i);
}

// Describes the packet at `head`: SPI, sequence number and IV, all of them in place, then the text
// of `text_len` bytes (a multiple of k->align), then the ICV, without a gap. Four bytes in front of
// it (the outer header) are borrowed while the job is done. What the library loads in one piece is
// put together here, long before, because a load that waits for several stores is slow.
static inline void crypto_job_set(struct crypto_job *j, const struct crypto_key *k, uint8_t *head,
				  uint32_t text_len, uint32_t seq_hi)
{
	const uint32_t hi_be = __builtin_bswap32(seq_hi), one_be = __builtin_bswap32(1);

	j->key = k;
	j->head = head;
	j->text = head + k->head_len;
	j->text_len = text_len;
	j->seq_hi = seq_hi;
	// RFC 4106 4, RFC 4543 3.2, RFC 7634 2; RFC 3686 4 has the counter as well.
	__builtin_memcpy(j->nonce, k->salt, 4);
	__builtin_memcpy(j->nonce + 4, head + CRYPTO_HEAD_MIN, 8);
	__builtin_memcpy(j->nonce + 12, &one_be, 4);
	if (k->esn) { // RFC 4106 5, RFC 7634 2.1
		__builtin_memcpy(j->aad, head, 4);
		__builtin_memcpy(j->aad + 4, &hi_be, 4);
		__builtin_memcpy(j->aad + 8, head + 4, 4);
	}
}

// The IV field holds the packet's number in its last 8 bytes, zeros in front of them: for counter
// modes that is the IV; with AES-CBC what it encrypts to takes its place (RFC 3602 3 wants an
// unpredictable one). Encrypts the texts in place and writes the ICVs. Every status is CRYPTO_OK.
// At most CRYPTO_BURST_MAX jobs.
void crypto_seal(struct crypto *c, struct crypto_job *job, unsigned n);
// Compares the ICVs in constant time and decrypts the texts in place. The text of a job that is
// not CRYPTO_OK is worthless and must not be looked at. At most CRYPTO_BURST_MAX jobs.
void crypto_open(struct crypto *c, struct crypto_job *job, unsigned n);
