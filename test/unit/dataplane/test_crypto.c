// Every transform of ESP against OpenSSL, bit for bit.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/crypto.h"
#include "esp_ref.h"
#include "test/vectors/esp_gcm_vectors.h"
#include "test/vectors/hex.h"

#define TEXT_MAX 1600
#define FRONT	 16 // bytes in front of a packet, for what crypto.h says is borrowed
#define BURST	 CRYPTO_BURST_MAX

static struct crypto *crypto;
static struct esp_ref_suite suites[ESP_REF_SUITES_MAX];
static unsigned n_suites;

static int setup(void **state)
{
	(void)state;
	srandom(1);
	n_suites = esp_ref_suites(suites, ESP_REF_SUITES_MAX);
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

// A random SA of that suite; the caller gives its keys back with esp_sa_fini.
static struct esp_sa random_sa(const struct esp_ref_suite *s, bool esn)
{
	struct esp_sa sa = {.spi = 0x1000, .encr = s->encr, .integ = s->integ, .esn = esn};
	const struct transform_info *encr = transform_find(&s->encr);
	uint8_t key[64];

	fill(key, sizeof(key));
	assert_int_equal(secret_set(&sa.encr_key, key, encr->key_len), 0);
	fill(key, sizeof(key));
	assert_int_equal(
		secret_set(&sa.integ_key, key, encr->aead ? 0 : transform_find(&s->integ)->key_len),
		0);
	return sa;
}

struct sample {
	struct esp_sa sa;
	struct crypto_key key;
	uint64_t seq;
	size_t len; // of the text
	uint8_t plain[TEXT_MAX];
	uint8_t buf[FRONT + CRYPTO_HEAD_MAX + TEXT_MAX + CRYPTO_ICV_MAX];
	uint8_t front[FRONT]; // as it was
};

static uint8_t *packet_of(struct sample *s)
{
	return s->buf + FRONT;
}

static size_t packet_len(const struct sample *s)
{
	return s->key.head_len + s->len + s->key.icv_len;
}

static void sample_init(struct sample *s, struct crypto_job *job, const struct esp_ref_suite *suite)
{
	const bool esn = random() & 1;
	uint8_t *p = packet_of(s);

	s->sa = random_sa(suite, esn);
	assert_int_equal(crypto_key_init(crypto, &s->key, &s->sa), 0);
	assert_int_equal(s->key.head_len, esp_ref_head_len(&s->sa));
	assert_int_equal(s->key.icv_len, esp_ref_icv_len(&s->sa));
	assert_int_equal(s->key.align, esp_ref_align(&s->sa));
	s->seq = (uint64_t)random() << 32 | (uint64_t)random();
	if (!esn)
		s->seq &= UINT32_MAX;
	s->len = (1 + (size_t)random() % ((size_t)TEXT_MAX / s->key.align)) * (size_t)s->key.align;
	fill(s->plain, s->len);
	fill(s->buf, sizeof(s->buf));
	memcpy(s->front, s->buf, FRONT);
	for (unsigned i = 0; i < 4; i++) {
		p[i] = (uint8_t)(s->sa.spi >> (24 - 8 * i));
		p[4 + i] = (uint8_t)(s->seq >> (24 - 8 * i));
	}
	memcpy(p + s->key.head_len, s->plain, s->len);
	crypto_job_set(job, &s->key, p, (uint32_t)s->len, (uint32_t)(s->seq >> 32));
	job->status = 0xee;
}

static struct sample *samples_new(void)
{
	struct sample *s = aligned_alloc(64, sizeof(*s) * BURST);

	assert_non_null(s);
	return s;
}

static void samples_fini(struct sample *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		esp_sa_fini(&s[i].sa);
}

static const char *name_of(const struct sample *s)
{
	return esp_ref_name(&s->sa.encr, &s->sa.integ);
}

// What was sealed, taken apart by OpenSSL.
static void check_sealed(struct sample *s, const struct crypto_job *job)
{
	uint8_t copy[sizeof(s->buf)];

	assert_int_equal(job->status, CRYPTO_OK);
	assert_memory_equal(s->buf, s->front, FRONT);
	memcpy(copy, packet_of(s), packet_len(s));
	if (!esp_ref_open(&s->sa, copy, s->len, s->seq))
		fail_msg("%s: OpenSSL finds the ICV wrong, text of %zu", name_of(s), s->len);
	if (memcmp(copy + s->key.head_len, s->plain, s->len) != 0)
		fail_msg("%s: OpenSSL finds another text of %zu", name_of(s), s->len);
}

static void check_opened(struct sample *s, const struct crypto_job *job)
{
	assert_memory_equal(s->buf, s->front, FRONT);
	if (job->status != CRYPTO_OK)
		fail_msg("%s: ICV is wrong, text of %zu", name_of(s), s->len);
	if (memcmp(job->text, s->plain, s->len) != 0)
		fail_msg("%s: another text of %zu", name_of(s), s->len);
}

static const struct esp_ref_suite *any_suite(void)
{
	return &suites[(unsigned)random() % n_suites];
}

// Each suite alone, in bursts from one job to the most.
static void test_each_suite_as_openssl(void **state)
{
	struct sample *s = samples_new();
	struct crypto_job job[BURST];

	(void)state;
	assert_int_equal(n_suites, 9 + 3 + 1 + (3 + 3 + 1) * 5);
	for (unsigned k = 0; k < n_suites; k++) {
		for (unsigned round = 0; round < 6; round++) {
			const unsigned n = round == 0	? 1
					   : round == 1 ? BURST
							: 1 + (unsigned)random() % BURST;

			for (unsigned i = 0; i < n; i++)
				sample_init(&s[i], &job[i], &suites[k]);
			crypto_seal(crypto, job, n);
			for (unsigned i = 0; i < n; i++)
				check_sealed(&s[i], &job[i]);
			// And what OpenSSL makes of it, taken apart by us.
			for (unsigned i = 0; i < n; i++) {
				memcpy(job[i].text, s[i].plain, s[i].len);
				esp_ref_seal(&s[i].sa, packet_of(&s[i]), s[i].len, s[i].seq);
			}
			crypto_open(crypto, job, n);
			for (unsigned i = 0; i < n; i++)
				check_opened(&s[i], &job[i]);
			samples_fini(s, n);
		}
	}
	free(s);
}

// Bursts of mixed suites, keys and lengths.
static void test_mixed_bursts_as_openssl(void **state)
{
	struct sample *s = samples_new();
	struct crypto_job job[BURST];

	(void)state;
	for (unsigned round = 0; round < 60; round++) {
		for (unsigned i = 0; i < BURST; i++)
			sample_init(&s[i], &job[i], any_suite());
		crypto_seal(crypto, job, BURST);
		for (unsigned i = 0; i < BURST; i++)
			check_sealed(&s[i], &job[i]);
		crypto_open(crypto, job, BURST);
		for (unsigned i = 0; i < BURST; i++)
			check_opened(&s[i], &job[i]);
		samples_fini(s, BURST);
	}
	free(s);
}

// One wrong bit anywhere, in one job of a burst: that job fails and no other.
static void test_one_bad_job_in_a_burst(void **state)
{
	struct sample *s = samples_new();
	struct crypto_job job[BURST];

	(void)state;
	for (unsigned round = 0; round < 600; round++) {
		const unsigned n = 1 + (unsigned)random() % BURST;
		const unsigned bad = (unsigned)random() % n;
		uint8_t *p = packet_of(&s[bad]);

		for (unsigned i = 0; i < n; i++)
			sample_init(&s[i], &job[i], any_suite());
		crypto_seal(crypto, job, n);
		if (s[bad].sa.esn && random() % 4 == 0)
			job[bad].seq_hi ^= 1u << random() % 32;
		else
			p[(size_t)random() % packet_len(&s[bad])] ^= (uint8_t)(1u << random() % 8);
		crypto_job_set(&job[bad], &s[bad].key, p, (uint32_t)s[bad].len, job[bad].seq_hi);
		crypto_open(crypto, job, n);
		for (unsigned i = 0; i < n; i++)
			if (job[i].status != (i == bad ? CRYPTO_BAD_ICV : CRYPTO_OK))
				fail_msg("%s: status %u", name_of(&s[i]), job[i].status);
		samples_fini(s, n);
	}
	free(s);
}

// Of every suite: a comparison that forgets a part of the ICV accepts a forgery.
static void test_every_bit_of_the_icv_counts(void **state)
{
	struct sample *s = samples_new();
	struct crypto_job job;

	(void)state;
	for (unsigned k = 0; k < n_suites; k++) {
		uint8_t sealed[sizeof(s->buf)];
		const uint8_t *icv;

		sample_init(s, &job, &suites[k]);
		crypto_seal(crypto, &job, 1);
		memcpy(sealed, s->buf, sizeof(sealed));
		icv = job.text + s->len;
		for (unsigned bit = 0; bit < s->key.icv_len * 8u; bit++) {
			memcpy(s->buf, sealed, sizeof(sealed));
			s->buf[(unsigned)(icv - s->buf) + bit / 8] ^= (uint8_t)(1u << bit % 8);
			crypto_open(crypto, &job, 1);
			assert_int_equal(job.status, CRYPTO_BAD_ICV);
		}
		memcpy(s->buf, sealed, sizeof(sealed));
		crypto_open(crypto, &job, 1);
		check_opened(s, &job);
		esp_sa_fini(&s->sa);
	}
	free(s);
}

// RFC 4303 3.4.4.1: with a separate integrity algorithm a text whose ICV is wrong stays as it came.
static void test_nothing_is_decrypted_before_its_icv(void **state)
{
	struct sample *s = samples_new();
	struct crypto_job job;

	(void)state;
	for (unsigned k = 0; k < n_suites; k++) {
		uint8_t before[sizeof(s->buf)];

		if (transform_find(&suites[k].encr)->aead)
			continue;
		sample_init(s, &job, &suites[k]);
		crypto_seal(crypto, &job, 1);
		job.text[0] ^= 1;
		memcpy(before, s->buf, sizeof(before));
		crypto_open(crypto, &job, 1);
		assert_int_equal(job.status, CRYPTO_BAD_ICV);
		assert_memory_equal(s->buf, before, sizeof(before));
		esp_sa_fini(&s->sa);
	}
	free(s);
}

// RFC 3602 3: an IV of AES-CBC must not be guessed from the packets before. The field goes in as a
// counter; what comes out differs in about half of the bits, and is another one under other keys.
static void test_cbc_iv_is_unpredictable(void **state)
{
	static const struct esp_ref_suite cbc = {{TRANSFORM_ENCR, ENCR_AES_CBC, 128},
						 {TRANSFORM_INTEG, INTEG_HMAC_SHA2_256_128, 0}};
	struct sample *s = samples_new();
	struct crypto_job job[2];
	struct crypto_key again;
	unsigned differ = 0;
	uint8_t iv[3][16];

	(void)state;
	sample_init(&s[0], &job[0], &cbc);
	assert_int_equal(crypto_key_init(crypto, &again, &s[0].sa), 0);
	for (unsigned i = 0; i < 3; i++) {
		const uint8_t counter[16] = {[15] = i == 1 ? 8 : 7};

		job[0].key = i == 2 ? &again : &s[0].key; // the same KEYMAT, another mask
		memcpy(job[0].head + 8, counter, 16);
		crypto_seal(crypto, job, 1);
		memcpy(iv[i], job[0].head + 8, 16);
	}
	for (unsigned a = 0; a < 3; a++) {
		for (unsigned b = a + 1; b < 3; b++) {
			differ = 0;
			for (unsigned i = 0; i < 16; i++)
				differ += (unsigned)__builtin_popcount(iv[a][i] ^ iv[b][i]);
			assert_in_range(differ, 30, 98);
		}
	}
	esp_sa_fini(&s[0].sa);
	free(s);
}

// The packets of draft-mcgrew-gcm-test, all key sizes, with and without ESN.
static void test_published_gcm_packets(void **state)
{
	unsigned tried = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(esp_gcm_vectors) / sizeof(esp_gcm_vectors[0]); i++) {
		const struct esp_gcm_vector *v = &esp_gcm_vectors[i];
		uint8_t key[36], plain[256], buf[FRONT + 256], want[256];
		const size_t key_len = hex_bytes(v->key, key, sizeof(key));
		const size_t len = hex_bytes(v->plaintext, plain, sizeof(plain));
		const size_t want_len = hex_bytes(v->packet, want, sizeof(want));
		struct esp_sa sa = {
			.encr = {TRANSFORM_ENCR, ENCR_AES_GCM_16, (uint16_t)(key_len * 8)},
			.integ = {TRANSFORM_INTEG, INTEG_NONE, 0},
			.esn = v->esn};
		struct crypto_key k;
		struct crypto_job job;

		tried++;
		assert_int_equal(want_len, 16 + len + 16);
		hex_bytes(v->salt, key + key_len, 4);
		assert_int_equal(secret_set(&sa.encr_key, key, key_len + 4), 0);
		assert_int_equal(crypto_key_init(crypto, &k, &sa), 0);
		memcpy(buf + FRONT, want, 16);
		memcpy(buf + FRONT + 16, plain, len);
		crypto_job_set(&job, &k, buf + FRONT, (uint32_t)len, (uint32_t)(v->seq >> 32));
		crypto_seal(crypto, &job, 1);
		assert_memory_equal(job.head, want, want_len);
		crypto_open(crypto, &job, 1);
		assert_int_equal(job.status, CRYPTO_OK);
		assert_memory_equal(job.text, plain, len);
		esp_sa_fini(&sa);
	}
	assert_true(tried >= 10);
}

static void test_what_is_refused(void **state)
{
	static const struct {
		struct transform encr, integ;
		int want;
		const char *says;
	} rows[] = {
		// MUST NOT of RFC 8221 5 and 6
		{{TRANSFORM_ENCR, 2, 0}, {TRANSFORM_INTEG, 2, 0}, -ENOTSUP, "MUST NOT"},
		{{TRANSFORM_ENCR, 7, 0}, {TRANSFORM_INTEG, 2, 0}, -ENOTSUP, "MUST NOT"},
		{{TRANSFORM_ENCR, 3, 0}, {TRANSFORM_INTEG, 2, 0}, -ENOTSUP, "SHOULD NOT"},
		{{TRANSFORM_ENCR, 12, 128}, {TRANSFORM_INTEG, 1, 0}, -ENOTSUP, "MUST NOT"},
		{{TRANSFORM_ENCR, 1, 0}, {TRANSFORM_INTEG, 2, 0}, -ENOTSUP, "ENCR_(1)"},
		{{TRANSFORM_ENCR, 12, 128}, {TRANSFORM_INTEG, 3, 0}, -ENOTSUP, "INTEG_(3)"},
		// 4: nothing without integrity
		{{TRANSFORM_ENCR, 11, 0}, {TRANSFORM_INTEG, 0, 0}, -EINVAL, "RFC 8221 4"},
		{{TRANSFORM_ENCR, 12, 256}, {TRANSFORM_INTEG, 0, 0}, -EINVAL, "RFC 8221 4"},
		{{TRANSFORM_ENCR, 13, 128}, {TRANSFORM_INTEG, 0, 0}, -EINVAL, "RFC 8221 4"},
		{{TRANSFORM_ENCR, 20, 128}, {TRANSFORM_INTEG, 12, 0}, -EINVAL, "beside"},
		{{TRANSFORM_ENCR, 28, 0}, {TRANSFORM_INTEG, 12, 0}, -EINVAL, "beside"},
		// not there
		{{TRANSFORM_ENCR, 12, 127}, {TRANSFORM_INTEG, 12, 0}, -ENOTSUP, "AES_CBC-127"},
		{{TRANSFORM_ENCR, 16, 128}, {TRANSFORM_INTEG, 0, 0}, -ENOTSUP, "CCM"},
		{{TRANSFORM_ENCR, 12, 128}, {TRANSFORM_INTEG, 8, 0}, -ENOTSUP, "CMAC"},
	};
	struct crypto_key k;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct esp_sa sa = {.encr = rows[i].encr, .integ = rows[i].integ};
		struct error err = {""};

		assert_int_equal(crypto_check(&rows[i].encr, &rows[i].integ, &err), rows[i].want);
		if (strstr(err.text, rows[i].says) == NULL)
			fail_msg("'%s' without '%s'", err.text, rows[i].says);
		assert_int_equal(crypto_key_init(crypto, &k, &sa), -ENOTSUP);
	}
}

static void test_key_lengths(void **state)
{
	struct crypto_key k;

	(void)state;
	for (unsigned i = 0; i < n_suites; i++) {
		struct esp_sa sa = random_sa(&suites[i], false);

		assert_int_equal(crypto_key_init(crypto, &k, &sa), 0);
		sa.integ_key.len++;
		assert_int_equal(crypto_key_init(crypto, &k, &sa), -EINVAL);
		sa.integ_key.len--;
		sa.encr_key.len++;
		assert_int_equal(crypto_key_init(crypto, &k, &sa), -EINVAL);
		sa.encr_key.len--;
		esp_sa_fini(&sa);
	}
}

static void test_key_is_wiped(void **state)
{
	static const uint8_t zeros[sizeof(struct crypto_key)];
	struct crypto_key k;

	(void)state;
	for (unsigned i = 0; i < n_suites; i++) {
		struct esp_sa sa = random_sa(&suites[i], false);

		assert_int_equal(crypto_key_init(crypto, &k, &sa), 0);
		assert_memory_not_equal(&k, zeros, sizeof(k));
		crypto_key_fini(&k);
		assert_memory_equal(&k, zeros, sizeof(k));
		esp_sa_fini(&sa);
	}
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
		cmocka_unit_test(test_each_suite_as_openssl),
		cmocka_unit_test(test_mixed_bursts_as_openssl),
		cmocka_unit_test(test_one_bad_job_in_a_burst),
		cmocka_unit_test(test_every_bit_of_the_icv_counts),
		cmocka_unit_test(test_nothing_is_decrypted_before_its_icv),
		cmocka_unit_test(test_cbc_iv_is_unpredictable),
		cmocka_unit_test(test_published_gcm_packets),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_key_lengths),
		cmocka_unit_test(test_key_is_wiped),
		cmocka_unit_test(test_version_names_library_and_instructions),
	};

	return cmocka_run_group_tests_name("crypto", tests, setup, teardown);
}
