// Key exchanges against known answers, and public values that must be refused.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "control/openssl/context.h"
#include "control/openssl/ike_openssl.h"
#include "lib/secret.h"
#include "test/vectors/hex.h"
#include "test/vectors/ke_vectors.h"

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

static void test_known_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(ke_vectors); i++) {
		const struct ke_vector *v = &ke_vectors[i];
		uint8_t key[66], ours[512], peer[512], want[512], out[IKE_KE_PUBLIC_MAX];
		struct ike_buf private_key = {key, hex_bytes(v->private_key, key, sizeof(key))};
		struct ike_buf public_value = {ours,
					       hex_bytes(v->public_value, ours, sizeof(ours))};
		size_t peer_len = hex_bytes(v->peer, peer, sizeof(peer));
		size_t want_len = hex_bytes(v->shared, want, sizeof(want));
		size_t len = sizeof(out);
		struct secret shared = {0};
		struct ike_ke *ke = NULL;

		print_message("# %s\n", v->name);
		assert_int_equal(ke_import(c->ctx, v->group, &private_key, &public_value, &ke), 0);
		assert_int_equal(c->ke_public(c->ctx, ke, out, &len), 0);
		assert_int_equal(len, public_value.len);
		assert_memory_equal(out, ours, len);
		assert_int_equal(c->ke_derive(c->ctx, ke, peer, peer_len, &shared), 0);
		assert_int_equal(shared.len, want_len);
		assert_memory_equal(shared.data, want, want_len);
		secret_fini(&shared);
		c->ke_destroy(c->ctx, ke);
	}
}

static const struct {
	uint16_t group;
	size_t public_len, shared_len;
} groups[] = {
	{KE_MODP_2048, 256, 256}, {KE_MODP_3072, 384, 384},   {KE_MODP_4096, 512, 512},
	{KE_MODP_6144, 768, 768}, {KE_MODP_8192, 1024, 1024}, {KE_ECP_256, 64, 32},
	{KE_ECP_384, 96, 48},	  {KE_ECP_521, 132, 66},      {KE_CURVE25519, 32, 32},
	{KE_CURVE448, 56, 56},
};

static void test_two_sides_agree(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(groups); i++) {
		uint8_t pub_a[IKE_KE_PUBLIC_MAX], pub_b[IKE_KE_PUBLIC_MAX];
		size_t len_a = sizeof(pub_a), len_b = sizeof(pub_b);
		struct secret za = {0}, zb = {0};
		struct ike_ke *a = NULL, *b = NULL;

		assert_int_equal(c->ke_create(c->ctx, groups[i].group, &a), 0);
		assert_int_equal(c->ke_create(c->ctx, groups[i].group, &b), 0);
		assert_int_equal(c->ke_public(c->ctx, a, pub_a, &len_a), 0);
		assert_int_equal(c->ke_public(c->ctx, b, pub_b, &len_b), 0);
		assert_int_equal(len_a, groups[i].public_len);
		assert_int_equal(len_b, groups[i].public_len);
		assert_memory_not_equal(pub_a, pub_b, len_a);
		assert_int_equal(c->ke_derive(c->ctx, a, pub_b, len_b, &za), 0);
		assert_int_equal(c->ke_derive(c->ctx, b, pub_a, len_a, &zb), 0);
		assert_int_equal(za.len, groups[i].shared_len);
		assert_true(secret_equal(&za, &zb));
		secret_fini(&za);
		secret_fini(&zb);
		c->ke_destroy(c->ctx, a);
		c->ke_destroy(c->ctx, b);
	}
}

static void test_room_and_unknown_groups(void **state)
{
	uint8_t out[32];
	size_t len = 31;
	struct ike_ke *ke = NULL;

	(void)state;
	assert_int_equal(c->ke_create(c->ctx, 2, &ke), -ENOTSUP);
	assert_int_equal(c->ke_create(c->ctx, KE_NONE, &ke), -ENOTSUP);
	assert_null(ke);
	assert_int_equal(c->ke_create(c->ctx, KE_CURVE25519, &ke), 0);
	assert_int_equal(c->ke_public(c->ctx, ke, out, &len), -EMSGSIZE);
	assert_int_equal(len, 31);
	c->ke_destroy(c->ctx, ke);
	c->ke_destroy(c->ctx, NULL);
}

// ---- public values that must be refused ----

// RFC 3526 3.
#define MODP_2048_PRIME                                                                            \
	"ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74"                         \
	"020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437"                         \
	"4fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed"                         \
	"ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf05"                         \
	"98da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb"                         \
	"9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b"                         \
	"e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf695581718"                         \
	"3995497cea956ae515d2261898fa051015728e5a8aacaa68ffffffffffffffff"

// A number of `len` octets: `fill` and then `last`.
static void number(uint8_t *out, size_t len, uint8_t fill, uint8_t last)
{
	memset(out, fill, len);
	out[len - 1] = last;
}

static void refused(uint16_t group, const uint8_t *value, size_t len, const char *why)
{
	uint8_t before[] = {1, 2, 3};
	struct secret shared = {0};
	struct ike_ke *ke = NULL;

	print_message("# %s\n", why);
	assert_int_equal(secret_set(&shared, before, sizeof(before)), 0);
	assert_int_equal(c->ke_create(c->ctx, group, &ke), 0);
	assert_int_equal(c->ke_derive(c->ctx, ke, value, len, &shared), -EBADMSG);
	assert_int_equal(shared.len, sizeof(before));
	assert_memory_equal(shared.data, before, sizeof(before));
	secret_fini(&shared);
	c->ke_destroy(c->ctx, ke);
}

static void test_modp_values_refused(void **state)
{
	uint8_t y[257] = {0}, p[256];

	(void)state;
	assert_int_equal(hex_bytes(MODP_2048_PRIME, p, sizeof(p)), sizeof(p));
	number(y, 256, 0, 0);
	refused(KE_MODP_2048, y, 256, "y = 0");
	number(y, 256, 0, 1);
	refused(KE_MODP_2048, y, 256, "y = 1: the secret is 1");
	memcpy(y, p, 256);
	y[255]--;
	refused(KE_MODP_2048, y, 256, "y = p - 1: the secret is 1 or p - 1");
	refused(KE_MODP_2048, p, 256, "y = p");
	number(y, 256, 0xff, 0xff);
	refused(KE_MODP_2048, y, 256, "y > p");
	number(y, 255, 0, 4);
	refused(KE_MODP_2048, y, 255, "one octet too short (RFC 7296 3.4)");
	number(y, 257, 0, 4);
	refused(KE_MODP_2048, y, 257, "one octet too long");
	refused(KE_MODP_2048, y, 0, "empty");
}

static void test_ecp_values_refused(void **state)
{
	uint8_t point[64], other[132] = {0};

	(void)state;
	hex_bytes(ke_vectors[4].peer, point, sizeof(point)); // RFC 5903 8.1
	assert_int_equal(ke_vectors[4].group, KE_ECP_256);
	point[63] ^= 1;
	refused(KE_ECP_256, point, 64, "not on the curve");
	refused(KE_ECP_256, other, 64, "(0, 0)");
	refused(KE_ECP_521, other, 132, "(0, 0) of P-521");
	memset(other, 0xff, sizeof(other));
	refused(KE_ECP_256, other, 64, "coordinates beyond the prime");
	point[63] ^= 1;
	refused(KE_ECP_256, point, 63, "one octet too short");
	refused(KE_ECP_256, point, 32, "x alone");
	refused(KE_ECP_384, point, 64, "a point of another group");
}

// The values of small order of Curve25519 (RFC 7748 6.1, RFC 8031 5): the secret would be zero.
static void test_x25519_values_refused(void **state)
{
	static const struct {
		const char *value, *why;
	} rows[] = {
		{"0000000000000000000000000000000000000000000000000000000000000000", "u = 0"},
		{"0100000000000000000000000000000000000000000000000000000000000000", "u = 1"},
		{"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800", "order 8"},
		{"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157", "order 8"},
		{"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "u = p - 1"},
		{"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "u = p"},
		{"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "u = p + 1"},
	};
	uint8_t u[33] = {9};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		hex_bytes(rows[i].value, u, 32);
		refused(KE_CURVE25519, u, 32, rows[i].why);
	}
	refused(KE_CURVE25519, u, 31, "one octet too short");
	refused(KE_CURVE25519, u, 33, "one octet too long");
	memset(u, 0, sizeof(u));
	refused(KE_CURVE448, u, 32, "a value of Curve25519's length");
}

static void test_x448_zero_refused(void **state)
{
	uint8_t u[56] = {0};

	(void)state;
	refused(KE_CURVE448, u, sizeof(u), "u = 0");
	u[0] = 1;
	refused(KE_CURVE448, u, sizeof(u), "u = 1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_answers),
		cmocka_unit_test(test_two_sides_agree),
		cmocka_unit_test(test_room_and_unknown_groups),
		cmocka_unit_test(test_modp_values_refused),
		cmocka_unit_test(test_ecp_values_refused),
		cmocka_unit_test(test_x25519_values_refused),
		cmocka_unit_test(test_x448_zero_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
