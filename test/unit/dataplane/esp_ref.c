#include "esp_ref.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

static const struct transform integ_none = {TRANSFORM_INTEG, INTEG_NONE, 0};

static struct transform transform_of(const struct transform_info *i)
{
	return (struct transform){i->type, i->id, i->key_bits};
}

unsigned esp_ref_suites(struct esp_ref_suite *out, unsigned max)
{
	const struct transform_info *e, *i;
	unsigned n = 0;

	for (size_t a = 0; (e = transform_at(a)) != NULL; a++) {
		if (e->type != TRANSFORM_ENCR || !e->esp)
			continue;
		if (e->aead) {
			assert_true(n < max);
			out[n++] = (struct esp_ref_suite){transform_of(e), integ_none};
			continue;
		}
		for (size_t b = 0; (i = transform_at(b)) != NULL; b++) {
			if (i->type != TRANSFORM_INTEG || !i->esp || i->id == INTEG_NONE)
				continue;
			assert_true(n < max);
			out[n++] = (struct esp_ref_suite){transform_of(e), transform_of(i)};
		}
	}
	return n;
}

const char *esp_ref_name(const struct transform *encr, const struct transform *integ)
{
	static char name[2 * TRANSFORM_TEXT_MAX + 2];
	char a[TRANSFORM_TEXT_MAX], b[TRANSFORM_TEXT_MAX];

	snprintf(name, sizeof(name), "%s/%s", transform_format(encr, a, sizeof(a)),
		 transform_format(integ, b, sizeof(b)));
	return name;
}

unsigned esp_ref_head_len(const struct esp_sa *sa)
{
	return 8u + transform_find(&sa->encr)->iv_len;
}

unsigned esp_ref_icv_len(const struct esp_sa *sa)
{
	const struct transform_info *encr = transform_find(&sa->encr);

	return encr->aead ? encr->icv_len : transform_find(&sa->integ)->icv_len;
}

unsigned esp_ref_align(const struct esp_sa *sa)
{
	return sa->encr.id == ENCR_AES_CBC ? 16 : 4;
}

// --- ciphers ----------------------------------------------------------------------------------

static const EVP_CIPHER *aes(unsigned bits, const EVP_CIPHER *a, const EVP_CIPHER *b,
			     const EVP_CIPHER *c)
{
	return bits == 128 ? a : bits == 192 ? b : c;
}

static const EVP_CIPHER *evp_of(const struct transform *t)
{
	switch (t->id) {
	case ENCR_AES_CBC:
		return aes(t->key_bits, EVP_aes_128_cbc(), EVP_aes_192_cbc(), EVP_aes_256_cbc());
	case ENCR_AES_CTR:
		return aes(t->key_bits, EVP_aes_128_ctr(), EVP_aes_192_ctr(), EVP_aes_256_ctr());
	case ENCR_CHACHA20_POLY1305:
		return EVP_chacha20_poly1305();
	default:
		return aes(t->key_bits, EVP_aes_128_gcm(), EVP_aes_192_gcm(), EVP_aes_256_gcm());
	}
}

static size_t put_be(uint8_t *p, uint64_t v, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(v >> (8 * (len - 1 - i)));
	return len;
}

// SPI and sequence number as an AEAD sees them (RFC 4106 5).
static size_t aad_of(const struct esp_sa *sa, const uint8_t *packet, uint64_t seq, uint8_t *aad)
{
	memcpy(aad, packet, 4);
	return 4 + (sa->esn ? put_be(aad + 4, seq, 8) : put_be(aad + 4, (uint32_t)seq, 4));
}

static bool aead(const struct esp_sa *sa, uint8_t *packet, size_t text_len, uint64_t seq, bool seal)
{
	const unsigned head_len = esp_ref_head_len(sa), icv_len = esp_ref_icv_len(sa);
	const size_t key_len = sa->encr_key.len - 4;
	uint8_t *text = packet + head_len, *icv = text + text_len;
	uint8_t nonce[12], aad[12], out[4096];
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	const bool gmac = sa->encr.id == ENCR_NULL_AUTH_AES_GMAC;
	bool good;
	int n;

	assert_true(text_len <= sizeof(out));
	memcpy(nonce, sa->encr_key.data + key_len, 4);
	memcpy(nonce + 4, packet + 8, 8);
	assert_int_equal(
		EVP_CipherInit_ex(ctx, evp_of(&sa->encr), NULL, sa->encr_key.data, nonce, seal), 1);
	if (!seal)
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)icv_len, icv);
	assert_int_equal(EVP_CipherUpdate(ctx, NULL, &n, aad, (int)aad_of(sa, packet, seq, aad)),
			 1);
	if (gmac) { // RFC 4543 3.3
		assert_int_equal(EVP_CipherUpdate(ctx, NULL, &n, packet + 8, 8), 1);
		assert_int_equal(EVP_CipherUpdate(ctx, NULL, &n, text, (int)text_len), 1);
	} else {
		assert_int_equal(EVP_CipherUpdate(ctx, out, &n, text, (int)text_len), 1);
	}
	good = EVP_CipherFinal_ex(ctx, out + text_len, &n) == 1;
	if (seal)
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, (int)icv_len, icv);
	EVP_CIPHER_CTX_free(ctx);
	if (good && !gmac)
		memcpy(text, out, text_len);
	return good;
}

static void cipher(const struct esp_sa *sa, uint8_t *packet, size_t text_len, bool seal)
{
	uint8_t *text = packet + esp_ref_head_len(sa), iv[16], out[4096];
	EVP_CIPHER_CTX *ctx;
	int n;

	if (sa->encr.id == ENCR_NULL)
		return;
	assert_true(text_len <= sizeof(out));
	if (sa->encr.id == ENCR_AES_CTR) { // RFC 3686 4
		memcpy(iv, sa->encr_key.data + sa->encr_key.len - 4, 4);
		memcpy(iv + 4, packet + 8, 8);
		put_be(iv + 12, 1, 4);
	} else {
		memcpy(iv, packet + 8, 16);
	}
	ctx = EVP_CIPHER_CTX_new();
	assert_int_equal(
		EVP_CipherInit_ex(ctx, evp_of(&sa->encr), NULL, sa->encr_key.data, iv, seal), 1);
	EVP_CIPHER_CTX_set_padding(ctx, 0);
	assert_int_equal(EVP_CipherUpdate(ctx, out, &n, text, (int)text_len), 1);
	assert_int_equal(n, text_len);
	memcpy(text, out, text_len);
	EVP_CIPHER_CTX_free(ctx);
}

// --- integrity --------------------------------------------------------------------------------

static void aes_block(const uint8_t key[16], const uint8_t in[16], uint8_t out[16])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	assert_int_equal(EVP_EncryptInit_ex(ctx, EVP_aes_128_ecb(), NULL, key, NULL), 1);
	EVP_CIPHER_CTX_set_padding(ctx, 0);
	assert_int_equal(EVP_EncryptUpdate(ctx, out, &n, in, 16), 1);
	EVP_CIPHER_CTX_free(ctx);
}

void esp_ref_xcbc(const uint8_t key[16], const uint8_t *data, size_t len, uint8_t mac[16])
{
	uint8_t k[3][16], e[16] = {0}, block[16];

	for (unsigned i = 0; i < 3; i++) {
		memset(block, (int)i + 1, sizeof(block));
		aes_block(key, block, k[i]);
	}
	for (; len > 16; len -= 16, data += 16) {
		for (unsigned i = 0; i < 16; i++)
			block[i] = data[i] ^ e[i];
		aes_block(k[0], block, e);
	}
	memset(block, 0, sizeof(block));
	memcpy(block, data, len);
	if (len < 16)
		block[len] = 0x80;
	for (unsigned i = 0; i < 16; i++)
		block[i] ^= e[i] ^ k[len < 16 ? 2 : 1][i];
	aes_block(k[0], block, mac);
}

static const EVP_MD *hash_of(uint16_t integ)
{
	switch (integ) {
	case INTEG_HMAC_SHA1_96:
		return EVP_sha1();
	case INTEG_HMAC_SHA2_256_128:
		return EVP_sha256();
	case INTEG_HMAC_SHA2_384_192:
		return EVP_sha384();
	case INTEG_HMAC_SHA2_512_256:
		return EVP_sha512();
	default:
		return NULL;
	}
}

static void integ(const struct esp_sa *sa, const uint8_t *packet, size_t text_len, uint64_t seq,
		  uint8_t mac[64])
{
	const EVP_MD *hash = hash_of(sa->integ.id);
	size_t len = esp_ref_head_len(sa) + text_len;
	uint8_t data[4096 + 64];
	unsigned n = 64;

	assert_true(len + 4 <= sizeof(data));
	memcpy(data, packet, len);
	if (sa->esn)
		len += put_be(data + len, seq >> 32, 4); // RFC 4303 2.2.1
	if (hash != NULL)
		assert_non_null(
			HMAC(hash, sa->integ_key.data, (int)sa->integ_key.len, data, len, mac, &n));
	else
		esp_ref_xcbc(sa->integ_key.data, data, len, mac);
}

// --- packets ----------------------------------------------------------------------------------

void esp_ref_seal(const struct esp_sa *sa, uint8_t *packet, size_t text_len, uint64_t seq)
{
	uint8_t mac[64];

	if (transform_find(&sa->encr)->aead) {
		assert_true(aead(sa, packet, text_len, seq, true));
		return;
	}
	cipher(sa, packet, text_len, true);
	integ(sa, packet, text_len, seq, mac);
	memcpy(packet + esp_ref_head_len(sa) + text_len, mac, esp_ref_icv_len(sa));
}

bool esp_ref_open(const struct esp_sa *sa, uint8_t *packet, size_t text_len, uint64_t seq)
{
	uint8_t mac[64];

	if (transform_find(&sa->encr)->aead)
		return aead(sa, packet, text_len, seq, false);
	integ(sa, packet, text_len, seq, mac);
	if (CRYPTO_memcmp(mac, packet + esp_ref_head_len(sa) + text_len, esp_ref_icv_len(sa)) != 0)
		return false;
	cipher(sa, packet, text_len, false);
	return true;
}
