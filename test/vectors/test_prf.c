// PRF and prf+ against known answers.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/openssl/ike_openssl.h"
#include "lib/secret.h"
#include "test/vectors/hex.h"
#include "test/vectors/prf_vectors.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

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

static void test_prf_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(prf_vectors); i++) {
		const struct prf_vector *v = &prf_vectors[i];
		uint8_t key[256], data[256], want[64], out[IKE_PRF_MAX];
		size_t key_len = hex_bytes(v->key, key, sizeof(key));
		size_t data_len = hex_bytes(v->data, data, sizeof(data));
		size_t want_len = hex_bytes(v->out, want, sizeof(want));
		// The same data in one piece and in three, one of them empty.
		struct ike_buf one[] = {{data, data_len}};
		struct ike_buf three[] = {{data, 3}, {NULL, 0}, {data + 3, data_len - 3}};
		size_t len = sizeof(out);

		print_message("# %s\n", v->name);
		assert_int_equal(c->prf(c->ctx, v->prf, key, key_len, one, 1, out, &len), 0);
		assert_int_equal(len, want_len);
		assert_memory_equal(out, want, want_len);
		len = sizeof(out);
		memset(out, 0, sizeof(out));
		assert_int_equal(c->prf(c->ctx, v->prf, key, key_len, three, 3, out, &len), 0);
		assert_memory_equal(out, want, want_len);
	}
}

static void test_prf_refuses(void **state)
{
	uint8_t key[1] = {1}, out[IKE_PRF_MAX] = {0xee};
	size_t len = 31;

	(void)state;
	assert_int_equal(c->prf(c->ctx, PRF_HMAC_SHA2_256, key, 1, NULL, 0, out, &len), -EMSGSIZE);
	assert_int_equal(len, 31);
	len = sizeof(out);
	assert_int_equal(c->prf(c->ctx, 4, key, 1, NULL, 0, out, &len), -ENOTSUP);
	assert_int_equal(out[0], 0xee);
}

// An empty key is a key, not the one of the call before.
static void test_prf_with_an_empty_key(void **state)
{
	// HMAC-SHA-256 of nothing under the empty key (Python: hmac.new(b"", b"", "sha256")).
	static const char want[] =
		"b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad";
	uint8_t expected[32], out[IKE_PRF_MAX];
	size_t len = sizeof(out);

	(void)state;
	hex_bytes(want, expected, sizeof(expected));
	assert_int_equal(c->prf(c->ctx, PRF_HMAC_SHA2_256, NULL, 0, NULL, 0, out, &len), 0);
	assert_memory_equal(out, expected, 32);
}

static void test_prf_plus_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(prf_plus_vectors); i++) {
		const struct prf_plus_vector *v = &prf_plus_vectors[i];
		uint8_t key[32], seed[80], first[16], last[16];
		size_t key_len = hex_bytes(v->key, key, sizeof(key));
		size_t seed_len = hex_bytes(v->seed, seed, sizeof(seed));
		uint8_t *out = malloc(v->len + 1);

		assert_non_null(out);
		out[v->len] = 0xa5;
		assert_int_equal(
			c->prf_plus(c->ctx, v->prf, key, key_len, seed, seed_len, out, v->len), 0);
		hex_bytes(v->first, first, sizeof(first));
		hex_bytes(v->last, last, sizeof(last));
		assert_memory_equal(out, first, sizeof(first));
		assert_memory_equal(out + v->len - sizeof(last), last, sizeof(last));
		assert_int_equal(out[v->len], 0xa5);
		free(out);
	}
}

static void test_prf_plus_ends_after_255_rounds(void **state)
{
	uint8_t key[32] = {0}, seed[8] = {0};
	uint8_t *out = calloc(1, 255 * 32 + 1);

	(void)state;
	assert_non_null(out);
	assert_int_equal(c->prf_plus(c->ctx, PRF_HMAC_SHA2_256, key, sizeof(key), seed,
				     sizeof(seed), out, 255 * 32 + 1),
			 -EINVAL);
	assert_int_equal(out[0], 0);
	free(out);
}

// NAT detection's SHA-1: FIPS 180 "abc", in two pieces.
static void test_sha1(void **state)
{
	struct ike_buf pieces[] = {{(const uint8_t *)"a", 1}, {(const uint8_t *)"bc", 2}};
	uint8_t want[IKE_HASH_SHA1_LEN], out[IKE_HASH_SHA1_LEN];

	(void)state;
	hex_bytes("a9993e364706816aba3e25717850c26c9cd0d89d", want, sizeof(want));
	assert_int_equal(c->sha1(c->ctx, pieces, 2, out), 0);
	assert_memory_equal(out, want, sizeof(want));
}

static int by_value(const void *a, const void *b)
{
	return memcmp(a, b, 8);
}

// Small requests share what OpenSSL gives at once: none may get what another one had.
static void test_random_is_given_out_once(void **state)
{
	static uint8_t drawn[3000][8];
	static const uint8_t zeros[8];
	uint8_t odd[600];

	(void)state;
	for (size_t i = 0; i < 3000; i++) {
		assert_int_equal(c->random(c->ctx, drawn[i], 8), 0);
		assert_int_equal(c->random(c->ctx, odd, i % 5 == 0 ? i % sizeof(odd) : i % 7), 0);
	}
	qsort(drawn, 3000, 8, by_value);
	for (size_t i = 0; i < 3000; i++) {
		assert_memory_not_equal(drawn[i], zeros, 8);
		if (i > 0)
			assert_memory_not_equal(drawn[i], drawn[i - 1], 8);
	}
}

static void test_random_is_not_constant(void **state)
{
	uint8_t a[32] = {0}, b[32] = {0};

	(void)state;
	assert_int_equal(c->random(c->ctx, a, sizeof(a)), 0);
	assert_int_equal(c->random(c->ctx, b, sizeof(b)), 0);
	assert_false(bytes_equal_ct(a, b, sizeof(a)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prf_vectors),
		cmocka_unit_test(test_prf_refuses),
		cmocka_unit_test(test_prf_with_an_empty_key),
		cmocka_unit_test(test_prf_plus_vectors),
		cmocka_unit_test(test_prf_plus_ends_after_255_rounds),
		cmocka_unit_test(test_sha1),
		cmocka_unit_test(test_random_is_not_constant),
		cmocka_unit_test(test_random_is_given_out_once),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
