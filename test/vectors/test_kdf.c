// The keys of an IKE SA, of its children and of its successor against NIST's test vectors.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "control/ike/keys.h"
#include "control/openssl/ike_openssl.h"
#include "test/vectors/hex.h"
#include "test/vectors/kdf_vectors.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { KEYMAT_MAX = 384 };

static struct ike_crypto *c;

static int setup(void **state)
{
	(void)state;
	return ike_openssl_create(&c);
}

static int teardown(void **state)
{
	(void)state;
	ike_openssl_destroy(c);
	return 0;
}

struct input { // of one vector
	struct ike_nonce ni, nr;
	uint8_t g_ir[256], g_ir_new[256], spi_i[8], spi_r[8];
	size_t g_ir_len, g_ir_new_len;
	uint8_t dkm[KEYMAT_MAX];
	size_t dkm_len;
	struct ike_suite suite;
	struct secret sk_d;
};

static void input_init(struct input *in, const struct kdf_vector *v)
{
	struct proposal p;

	print_message("# %s\n", v->name);
	*in = (struct input){0};
	in->ni.len = hex_bytes(v->ni, in->ni.data, sizeof(in->ni.data));
	in->nr.len = hex_bytes(v->nr, in->nr.data, sizeof(in->nr.data));
	in->g_ir_len = hex_bytes(v->g_ir, in->g_ir, sizeof(in->g_ir));
	in->g_ir_new_len = hex_bytes(v->g_ir_new, in->g_ir_new, sizeof(in->g_ir_new));
	hex_bytes(v->spi_i, in->spi_i, sizeof(in->spi_i));
	hex_bytes(v->spi_r, in->spi_r, sizeof(in->spi_r));
	in->dkm_len = hex_bytes(v->dkm, in->dkm, sizeof(in->dkm));
	assert_int_equal(proposal_parse(v->ike, PROTO_IKE, &p, NULL), 0);
	assert_int_equal(ike_suite_of(&p, &in->suite), 0);
	assert_int_equal(in->suite.prf, v->prf);
	assert_int_equal(secret_set(&in->sk_d, in->dkm, in->suite.prf_len), 0);
}

static void expect_next(const struct secret *s, const uint8_t *stream, size_t *at)
{
	assert_memory_equal(s->data, stream + *at, s->len);
	*at += s->len;
}

static void test_ike_sa(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(kdf_vectors); i++) {
		const struct kdf_vector *v = &kdf_vectors[i];
		uint8_t key[2 * LIMIT_IKE_NONCE_MAX], want[IKE_PRF_MAX], out[IKE_PRF_MAX];
		size_t len = sizeof(out), at = 0;
		struct secret shared = {0};
		struct ike_keys k = {0};
		struct input in;

		input_init(&in, v);
		memcpy(key, in.ni.data, in.ni.len);
		memcpy(key + in.ni.len, in.nr.data, in.nr.len);
		struct ike_buf g_ir = {in.g_ir, in.g_ir_len};
		assert_int_equal(
			c->prf(c->ctx, v->prf, key, in.ni.len + in.nr.len, &g_ir, 1, out, &len), 0);
		assert_int_equal(len, hex_bytes(v->skeyseed, want, sizeof(want)));
		assert_memory_equal(out, want, len);

		assert_int_equal(secret_set(&shared, in.g_ir, in.g_ir_len), 0);
		assert_int_equal(ike_keys_derive(c, &in.suite, &in.ni, &in.nr, &shared, in.spi_i,
						 in.spi_r, &k),
				 0);
		expect_next(&k.d, in.dkm, &at);
		expect_next(&k.ai, in.dkm, &at);
		expect_next(&k.ar, in.dkm, &at);
		expect_next(&k.ei, in.dkm, &at);
		expect_next(&k.er, in.dkm, &at);
		expect_next(&k.pi, in.dkm, &at);
		expect_next(&k.pr, in.dkm, &at);
		assert_int_equal(at, in.dkm_len); // the whole of it was looked at
		ike_keys_fini(&k);
		secret_fini(&shared);
		secret_fini(&in.sk_d);
	}
}

static void test_child(void **state)
{
	const struct proposal esp = {
		.protocol = PROTO_ESP,
		.n = 2,
		.t = {{TRANSFORM_ENCR, ENCR_AES_CBC, 128},
		      {TRANSFORM_INTEG, INTEG_HMAC_SHA1_96, 0}},
	};

	(void)state;
	for (size_t i = 0; i < 2 * COUNT(kdf_vectors); i++) {
		const struct kdf_vector *v = &kdf_vectors[i / 2];
		bool with_ke = i % 2; // a key exchange of its own
		uint8_t want[KEYMAT_MAX];
		struct secret shared = {0};
		struct child_keys k = {0};
		struct input in;
		size_t at = 0;

		input_init(&in, v);
		if (with_ke)
			assert_int_equal(secret_set(&shared, in.g_ir_new, in.g_ir_new_len), 0);
		hex_bytes(with_ke ? v->child_ke : v->child, want, sizeof(want));
		assert_int_equal(child_keys_derive(c, &in.suite, &in.sk_d, &in.ni, &in.nr, &shared,
						   &esp, &k),
				 0);
		expect_next(&k.encr_i, want, &at);
		expect_next(&k.integ_i, want, &at);
		expect_next(&k.encr_r, want, &at);
		expect_next(&k.integ_r, want, &at);
		assert_int_equal(at, 2 * (16 + 20));
		child_keys_fini(&k);
		secret_fini(&shared);
		secret_fini(&in.sk_d);
	}
}

// prf+ over everything that NIST gives, with and without g^ir (new) in front.
static void test_keymat(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(kdf_vectors); i++) {
		const struct kdf_vector *v = &kdf_vectors[i];
		uint8_t seed[256 + 2 * LIMIT_IKE_NONCE_MAX], want[KEYMAT_MAX], out[KEYMAT_MAX];
		struct input in;

		input_init(&in, v);
		for (int with_ke = 0; with_ke < 2; with_ke++) {
			size_t ke = with_ke ? in.g_ir_new_len : 0;
			size_t len =
				hex_bytes(with_ke ? v->child_ke : v->child, want, sizeof(want));

			memcpy(seed, in.g_ir_new, ke);
			memcpy(seed + ke, in.ni.data, in.ni.len);
			memcpy(seed + ke + in.ni.len, in.nr.data, in.nr.len);
			assert_int_equal(c->prf_plus(c->ctx, v->prf, in.sk_d.data, in.sk_d.len,
						     seed, ke + in.ni.len + in.nr.len, out, len),
					 0);
			assert_memory_equal(out, want, len);
		}
		secret_fini(&in.sk_d);
	}
}

// The keys of the successor are prf+ of the SKEYSEED that NIST gives.
static void test_rekeyed_ike_sa(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(kdf_vectors); i++) {
		const struct kdf_vector *v = &kdf_vectors[i];
		uint8_t skeyseed[IKE_PRF_MAX], seed[2 * LIMIT_IKE_NONCE_MAX + 16], want[KEYMAT_MAX];
		size_t skeyseed_len = hex_bytes(v->rekeyed, skeyseed, sizeof(skeyseed)), at = 0;
		struct secret shared = {0};
		struct ike_keys k = {0};
		struct input in;
		size_t n;

		input_init(&in, v);
		n = in.ni.len + in.nr.len;
		memcpy(seed, in.ni.data, in.ni.len);
		memcpy(seed + in.ni.len, in.nr.data, in.nr.len);
		memcpy(seed + n, in.spi_i, 8);
		memcpy(seed + n + 8, in.spi_r, 8);
		assert_int_equal(secret_set(&shared, in.g_ir_new, in.g_ir_new_len), 0);
		assert_int_equal(ike_keys_rekey(c, &in.suite, v->prf, &in.sk_d, &in.ni, &in.nr,
						&shared, in.spi_i, in.spi_r, &k),
				 0);
		n = k.d.len + k.ai.len + k.ar.len + k.ei.len + k.er.len + k.pi.len + k.pr.len;
		assert_true(n >= 3 * skeyseed_len && n <= sizeof(want));
		assert_int_equal(c->prf_plus(c->ctx, v->prf, skeyseed, skeyseed_len, seed,
					     in.ni.len + in.nr.len + 16, want, n),
				 0);
		expect_next(&k.d, want, &at);
		expect_next(&k.ai, want, &at);
		expect_next(&k.ar, want, &at);
		expect_next(&k.ei, want, &at);
		expect_next(&k.er, want, &at);
		expect_next(&k.pi, want, &at);
		expect_next(&k.pr, want, &at);
		ike_keys_fini(&k);
		secret_fini(&shared);
		secret_fini(&in.sk_d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ike_sa),
		cmocka_unit_test(test_child),
		cmocka_unit_test(test_keymat),
		cmocka_unit_test(test_rekeyed_ike_sa),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
