// The Encrypted payload's cryptography: CBC or CTR with HMAC (RFC 7296 3.14, RFC 5930), AES-GCM
// (RFC 5282), ChaCha20-Poly1305 (RFC 7634).
#include "control/openssl/context.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

enum mode { MODE_CBC, MODE_CTR, MODE_AEAD };

static const struct cipher {
	uint16_t id, key_bits;
	enum mode mode;
	const char *name;
} ciphers[OPENSSL_CIPHERS] = {
	{ENCR_AES_CBC, 128, MODE_CBC, "AES-128-CBC"},
	{ENCR_AES_CBC, 192, MODE_CBC, "AES-192-CBC"},
	{ENCR_AES_CBC, 256, MODE_CBC, "AES-256-CBC"},
	{ENCR_AES_CTR, 128, MODE_CTR, "AES-128-CTR"},
	{ENCR_AES_CTR, 192, MODE_CTR, "AES-192-CTR"},
	{ENCR_AES_CTR, 256, MODE_CTR, "AES-256-CTR"},
	{ENCR_AES_GCM_16, 128, MODE_AEAD, "AES-128-GCM"},
	{ENCR_AES_GCM_16, 192, MODE_AEAD, "AES-192-GCM"},
	{ENCR_AES_GCM_16, 256, MODE_AEAD, "AES-256-GCM"},
	{ENCR_CHACHA20_POLY1305, 0, MODE_AEAD, "ChaCha20-Poly1305"},
};

enum { CBC_BLOCK = 16, NONCE_MAX = 16, ICV_MAX = 64, EXPLICIT_IV = 8, AEAD_NONCE = 12 };

// The explicit IV of GCM, CTR and ChaCha20-Poly1305: a counter of the whole process.
//
// One repetition under one key gives GCM away (RFC 5282 3.1, RFC 4106 3.1). Eight random bytes
// would only make that improbable; a counter rules it out as long as a key is used in one process,
// and IKE keys never leave theirs: they come from fresh nonces and key exchanges. It belongs to
// the process and not to a key because the interface keeps no state per key, and a counter shared
// by all keys is unique under each of them. It starts at a random value so that the IV does not
// tell how long the gateway has run; 64 bits do not come round.
static _Atomic uint64_t iv_counter;
static pthread_once_t iv_once = PTHREAD_ONCE_INIT;
static bool iv_ready;

static void iv_start(void)
{
	uint64_t start;

	if (RAND_bytes((unsigned char *)&start, sizeof(start)) != 1)
		return;
	atomic_store(&iv_counter, start);
	iv_ready = true;
}

static void iv_next(uint8_t iv[EXPLICIT_IV])
{
	uint64_t n = atomic_fetch_add(&iv_counter, 1);

	for (int i = EXPLICIT_IV - 1; i >= 0; i--, n >>= 8)
		iv[i] = (uint8_t)n;
}

int cipher_init(struct openssl *o)
{
	pthread_once(&iv_once, iv_start);
	if (!iv_ready)
		return openssl_failed();
	for (size_t i = 0; i < OPENSSL_CIPHERS; i++) {
		o->cipher[i] = EVP_CIPHER_fetch(NULL, ciphers[i].name, NULL);
		if (!o->cipher[i] && ciphers[i].mode == MODE_CBC) {
			openssl_failed();
			return -ENOTSUP;
		}
	}
	return 0;
}

void cipher_fini(struct openssl *o)
{
	for (size_t i = 0; i < OPENSSL_CIPHERS; i++)
		EVP_CIPHER_free(o->cipher[i]);
}

// All that one call works on.
struct job {
	const struct openssl *o;
	const struct transform_info *encr, *integ; // integ: NULL with an AEAD
	enum mode mode;
	const EVP_CIPHER *evp;
	const struct secret *encr_key, *integ_key;
	const struct ike_buf *aad;
	uint8_t nonce[NONCE_MAX];
};

static const char *integ_hash(uint16_t id)
{
	switch (id) {
	case INTEG_HMAC_SHA1_96:
		return "SHA1";
	case INTEG_HMAC_SHA2_256_128:
		return "SHA2-256";
	case INTEG_HMAC_SHA2_384_192:
		return "SHA2-384";
	case INTEG_HMAC_SHA2_512_256:
		return "SHA2-512";
	default:
		return NULL;
	}
}

static int job_cipher(struct job *j, const struct transform *encr)
{
	uint16_t id = encr->id;

	// The three differ in the ICV's length alone (RFC 5282 3.1).
	if (id == ENCR_AES_GCM_8 || id == ENCR_AES_GCM_12)
		id = ENCR_AES_GCM_16;
	for (size_t i = 0; i < OPENSSL_CIPHERS; i++) {
		if (ciphers[i].id != id || ciphers[i].key_bits != encr->key_bits)
			continue;
		j->mode = ciphers[i].mode;
		j->evp = j->o->cipher[i];
	}
	return j->evp && j->encr ? 0 : -ENOTSUP;
}

static int job_init(struct job *j, const struct openssl *o, const struct transform *encr,
		    const struct transform *integ, const struct secret *encr_key,
		    const struct secret *integ_key, const struct ike_buf *aad)
{
	int err;

	*j = (struct job){.o = o, .encr_key = encr_key, .integ_key = integ_key, .aad = aad};
	j->encr = transform_find(encr);
	err = job_cipher(j, encr);
	if (err)
		return err;
	if (encr_key->len != j->encr->key_len || aad->len > INT_MAX)
		return -EINVAL;
	if (j->mode == MODE_AEAD)
		return 0;
	j->integ = transform_find(integ);
	if (!j->integ || !integ_hash(integ->id))
		return -ENOTSUP;
	return integ_key->len == j->integ->key_len ? 0 : -EINVAL;
}

// What the cipher starts from: CBC the IV itself; else salt | IV, and in CTR mode a block counter
// that starts at one (RFC 3686 4, RFC 4106 4, RFC 7634 2).
static void job_nonce(struct job *j, const uint8_t *iv)
{
	size_t salt_len = j->encr->salt_len;

	memset(j->nonce, 0, sizeof(j->nonce));
	memcpy(j->nonce, j->encr_key->data + j->encr_key->len - salt_len, salt_len);
	memcpy(j->nonce + salt_len, iv, j->encr->iv_len);
	if (j->mode == MODE_CTR)
		j->nonce[CBC_BLOCK - 1] = 1;
}

// Turns `in` into `out`. With an AEAD: writes the tag when sealing, checks it when opening.
static int job_crypt(const struct job *j, bool seal, const uint8_t *in, size_t len, uint8_t *out,
		     uint8_t *tag)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int icv_len = j->encr->icv_len, n = 0, enc = seal ? 1 : 0;
	bool aead = j->mode == MODE_AEAD, ok;
	int err = 0;

	if (!c)
		return -ENOMEM;
	ok = EVP_CipherInit_ex2(c, j->evp, j->encr_key->data, j->nonce, enc, NULL) == 1 &&
	     EVP_CIPHER_CTX_set_padding(c, 0) == 1;
	if (ok && aead && !seal)
		ok = EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, icv_len, tag) == 1;
	if (ok && aead && j->aad->len > 0)
		ok = EVP_CipherUpdate(c, NULL, &n, j->aad->data, (int)j->aad->len) == 1;
	ok = ok && EVP_CipherUpdate(c, out, &n, in, (int)len) == 1;
	if (!ok) {
		err = openssl_failed();
	} else if (EVP_CipherFinal_ex(c, out + n, &n) != 1) {
		openssl_failed();
		err = seal ? -EIO : -EBADMSG;
	}
	if (!err && aead && seal &&
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, icv_len, tag) != 1)
		err = openssl_failed();
	EVP_CIPHER_CTX_free(c);
	return err;
}

// HMAC(aad | iv | ciphertext), cut to the ICV's length (RFC 7296 3.14).
static int job_mac(const struct job *j, const uint8_t *iv, const uint8_t *data, size_t len,
		   uint8_t *icv)
{
	struct ike_buf pieces[] = {*j->aad, {iv, j->encr->iv_len}, {data, len}};

	return hmac_compute(j->o, integ_hash(j->integ->id), j->integ_key->data, j->integ_key->len,
			    pieces, 3, icv, j->integ->icv_len);
}

static bool bad_len(const struct job *j, size_t len)
{
	return len > INT_MAX / 2 || (j->mode == MODE_CBC && (len == 0 || len % CBC_BLOCK != 0));
}

int cipher_seal(void *ctx, const struct transform *encr, const struct transform *integ,
		const struct secret *encr_key, const struct secret *integ_key,
		const struct ike_buf *aad, uint8_t *iv, uint8_t *data, size_t len, uint8_t *icv)
{
	struct secret text = {0}; // data must not change before all has worked
	uint8_t new_iv[NONCE_MAX], new_icv[ICV_MAX];
	size_t icv_len;
	struct job j;
	int err;

	err = job_init(&j, ctx, encr, integ, encr_key, integ_key, aad);
	if (err)
		return err;
	if (bad_len(&j, len))
		return -EINVAL;
	// The IV of CBC must not be predictable (RFC 7296 3.14, RFC 3602 3).
	if (j.mode != MODE_CBC)
		iv_next(new_iv);
	else if (RAND_bytes(new_iv, CBC_BLOCK) != 1)
		return openssl_failed();
	job_nonce(&j, new_iv);
	err = secret_alloc(&text, len);
	if (!err)
		err = job_crypt(&j, true, data, len, text.data, new_icv);
	if (!err && j.mode != MODE_AEAD)
		err = job_mac(&j, new_iv, text.data, len, new_icv);
	if (!err) {
		icv_len = j.mode == MODE_AEAD ? j.encr->icv_len : j.integ->icv_len;
		memcpy(iv, new_iv, j.encr->iv_len);
		memcpy(data, text.data, len);
		memcpy(icv, new_icv, icv_len);
	}
	secret_fini(&text);
	wipe(&j, sizeof(j));
	return err;
}

int cipher_open(void *ctx, const struct transform *encr, const struct transform *integ,
		const struct secret *encr_key, const struct secret *integ_key,
		const struct ike_buf *aad, const uint8_t *iv, uint8_t *data, size_t len,
		const uint8_t *icv)
{
	struct secret text = {0}; // nothing unauthenticated reaches the caller
	uint8_t tag[ICV_MAX];
	struct job j;
	int err;

	err = job_init(&j, ctx, encr, integ, encr_key, integ_key, aad);
	if (err)
		return err;
	if (bad_len(&j, len))
		return -EBADMSG;
	if (j.mode == MODE_AEAD) {
		memcpy(tag, icv, j.encr->icv_len);
	} else {
		// Checked before anything is decrypted (RFC 7296 3.14).
		err = job_mac(&j, iv, data, len, tag);
		if (!err && !bytes_equal_ct(tag, icv, j.integ->icv_len))
			err = -EBADMSG;
	}
	if (!err)
		err = secret_alloc(&text, len);
	job_nonce(&j, iv);
	if (!err)
		err = job_crypt(&j, false, data, len, text.data, tag);
	if (!err)
		memcpy(data, text.data, len);
	secret_fini(&text);
	wipe(&j, sizeof(j));
	return err;
}
