#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "dataplane/crypto.h"
#include "test/vectors/esp_gcm_vectors.h"
#include "test/vectors/hex.h"

#define TEXT_MAX 1600
#define BURST	 64

static struct crypto *crypto;

static int setup(void **state)
{
	(void)state;
	srandom(1);
	return crypto_create(&crypto);
}

static int teardown(void **state)
{
	(void)state;
	crypto_destroy(crypto);
	return 0;
}

static void fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)random();
}

struct sample {
	uint8_t key[32], aad[8], plain[TEXT_MAX], text[TEXT_MAX], icv[16];
	uint8_t want[TEXT_MAX + 16], want_icv[16];
	size_t key_len, len;
	struct crypto_key expanded;
};

static void openssl_seal(struct sample *s, const uint8_t *nonce)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	assert_int_equal(
		EVP_EncryptInit_ex(ctx, s->key_len == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm(),
				   NULL, s->key, nonce),
		1);
	EVP_EncryptUpdate(ctx, NULL, &n, s->aad, 8);
	EVP_EncryptUpdate(ctx, s->want, &n, s->plain, (int)s->len);
	EVP_EncryptFinal_ex(ctx, s->want + s->len, &n);
	EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, s->want_icv);
	EVP_CIPHER_CTX_free(ctx);
}

static void sample_init(struct sample *s, struct crypto_job *job)
{
	s->key_len = random() & 1 ? 16 : 32;
	s->len = (size_t)random() % TEXT_MAX;
	fill(s->key, sizeof(s->key));
	fill(s->aad, sizeof(s->aad));
	fill(s->plain, s->len);
	memcpy(s->text, s->plain, s->len);
	fill(job->nonce, sizeof(job->nonce));
	openssl_seal(s, job->nonce);
	assert_int_equal(crypto_key_init(crypto, &s->expanded, s->key, s->key_len), 0);
	job->key = &s->expanded;
	job->text = s->text;
	job->text_len = (uint32_t)s->len;
	job->aad = s->aad;
	job->aad_len = 8;
	job->icv = s->icv;
	job->status = 0xee;
}

static void test_published_vectors(void **state)
{
	unsigned tried = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(esp_gcm_vectors) / sizeof(esp_gcm_vectors[0]); i++) {
		const struct esp_gcm_vector *v = &esp_gcm_vectors[i];
		uint8_t key[32], plain[256], text[256], icv[16], packet[256], aad[12];
		const size_t key_len = hex_bytes(v->key, key, sizeof(key));
		const size_t len = hex_bytes(v->plaintext, plain, sizeof(plain));
		const size_t packet_len = hex_bytes(v->packet, packet, sizeof(packet));
		struct crypto_key k;
		struct crypto_job job = {.key = &k,
					 .text = text,
					 .text_len = (uint32_t)len,
					 .aad = aad,
					 .aad_len = v->esn ? 12 : 8,
					 .icv = icv};

		if (key_len == 24)
			continue; // not a key size that we negotiate
		tried++;
		assert_int_equal(packet_len, 16 + len + 16);
		hex_bytes(v->salt, job.nonce, 4);
		hex_bytes(v->iv, job.nonce + 4, 8);
		memcpy(aad, packet, 8);
		if (v->esn) { // RFC 4106 5: SPI, then all 64 bits of the number
			memcpy(aad + 8, packet + 4, 4);
			for (unsigned n = 0; n < 4; n++)
				aad[4 + n] = (uint8_t)(v->seq >> (56 - 8 * n));
		}
		memcpy(text, plain, len);
		assert_int_equal(crypto_key_init(crypto, &k, key, key_len), 0);
		crypto_seal(crypto, &job, 1);
		assert_memory_equal(text, packet + 16, len);
		assert_memory_equal(icv, packet + 16 + len, 16);
		crypto_open(crypto, &job, 1);
		assert_int_equal(job.status, CRYPTO_OK);
		assert_memory_equal(text, plain, len);
	}
	assert_true(tried >= 8);
}

// Bursts of mixed keys, key sizes and lengths give what OpenSSL gives, and come back.
static void test_same_as_openssl(void **state)
{
	struct sample *s = aligned_alloc(64, sizeof(*s) * BURST);
	struct crypto_job job[BURST];

	(void)state;
	for (unsigned round = 0; round < 40; round++) {
		for (unsigned i = 0; i < BURST; i++)
			sample_init(&s[i], &job[i]);
		crypto_seal(crypto, job, BURST);
		for (unsigned i = 0; i < BURST; i++) {
			assert_int_equal(job[i].status, CRYPTO_OK);
			assert_memory_equal(s[i].text, s[i].want, s[i].len);
			assert_memory_equal(s[i].icv, s[i].want_icv, 16);
		}
		crypto_open(crypto, job, BURST);
		for (unsigned i = 0; i < BURST; i++) {
			assert_int_equal(job[i].status, CRYPTO_OK);
			assert_memory_equal(s[i].text, s[i].plain, s[i].len);
		}
	}
	free(s);
}

// One wrong bit anywhere, in one job of a burst: that job fails and no other.
static void test_one_bad_job_in_a_burst(void **state)
{
	struct sample *s = aligned_alloc(64, sizeof(*s) * BURST);
	struct crypto_job job[BURST];

	(void)state;
	for (unsigned round = 0; round < 400; round++) {
		const unsigned n = 1 + (unsigned)random() % BURST;
		const unsigned bad = (unsigned)random() % n;

		for (unsigned i = 0; i < n; i++)
			sample_init(&s[i], &job[i]);
		crypto_seal(crypto, job, n);
		switch (random() % 4) {
		case 0:
			s[bad].icv[random() % 16] ^= (uint8_t)(1u << random() % 8);
			break;
		case 1:
			s[bad].aad[random() % 8] ^= (uint8_t)(1u << random() % 8);
			break;
		case 2:
			job[bad].nonce[random() % 12] ^= (uint8_t)(1u << random() % 8);
			break;
		default:
			if (s[bad].len == 0)
				s[bad].icv[0] ^= 1;
			else
				s[bad].text[(size_t)random() % s[bad].len] ^= 0x80;
			break;
		}
		crypto_open(crypto, job, n);
		for (unsigned i = 0; i < n; i++)
			assert_int_equal(job[i].status, i == bad ? CRYPTO_BAD_ICV : CRYPTO_OK);
	}
	free(s);
}

static void test_every_bit_of_the_icv_counts(void **state)
{
	struct sample *s = aligned_alloc(64, sizeof(*s));
	struct crypto_job job;

	(void)state;
	sample_init(s, &job);
	for (unsigned bit = 0; bit < 128; bit++) {
		memcpy(s->text, s->want, s->len);
		memcpy(s->icv, s->want_icv, 16);
		s->icv[bit / 8] ^= (uint8_t)(1u << bit % 8);
		crypto_open(crypto, &job, 1);
		assert_int_equal(job.status, CRYPTO_BAD_ICV);
	}
	free(s);
}

static void test_key_sizes(void **state)
{
	static const struct {
		size_t len;
		int want;
	} rows[] = {{0, -ENOTSUP},  {15, -ENOTSUP}, {16, 0}, {20, -ENOTSUP},
		    {24, -ENOTSUP}, {31, -ENOTSUP}, {32, 0}, {36, -ENOTSUP}};
	const uint8_t key[36] = {1};
	struct crypto_key k;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(crypto_key_init(crypto, &k, key, rows[i].len), rows[i].want);
}

static void test_key_is_wiped(void **state)
{
	static const uint8_t key[32] = {1, 2, 3}, zeros[sizeof(struct crypto_key)];
	struct crypto_key k;

	(void)state;
	assert_int_equal(crypto_key_init(crypto, &k, key, 32), 0);
	assert_memory_not_equal(&k, zeros, sizeof(k));
	crypto_key_fini(&k);
	assert_memory_equal(&k, zeros, sizeof(k));
	crypto_key_fini(NULL);
}

static void test_version_names_library_and_instructions(void **state)
{
	(void)state;
	assert_int_equal(strncmp(crypto_version(), "intel-ipsec-mb ", 15), 0);
	assert_non_null(strstr(crypto_version(), imb_get_version_str()));
	assert_non_null(strchr(crypto_version(), '('));
	assert_null(strstr(crypto_version(), "no usable"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published_vectors),
		cmocka_unit_test(test_same_as_openssl),
		cmocka_unit_test(test_one_bad_job_in_a_burst),
		cmocka_unit_test(test_every_bit_of_the_icv_counts),
		cmocka_unit_test(test_key_sizes),
		cmocka_unit_test(test_key_is_wiped),
		cmocka_unit_test(test_version_names_library_and_instructions),
	};

	return cmocka_run_group_tests_name("crypto", tests, setup, teardown);
}
