// Key exchanges against known answers, and public values that must be refused.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include <openssl/bn.h>

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

// The primes of RFC 3526, from libcrypto's other copy of them.
static const struct {
	uint16_t group;
	BIGNUM *(*prime)(BIGNUM *p);
} modp[] = {
	{KE_MODP_2048, BN_get_rfc3526_prime_2048}, {KE_MODP_3072, BN_get_rfc3526_prime_3072},
	{KE_MODP_4096, BN_get_rfc3526_prime_4096}, {KE_MODP_6144, BN_get_rfc3526_prime_6144},
	{KE_MODP_8192, BN_get_rfc3526_prime_8192},
};

static size_t prime_of(size_t i, uint8_t *out)
{
	BIGNUM *p = modp[i].prime(NULL);
	int len;

	assert_non_null(p);
	len = BN_bn2bin(p, out);
	BN_free(p);
	return (size_t)len;
}

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
	(void)state;
	for (size_t i = 0; i < COUNT(modp); i++) {
		uint8_t y[IKE_KE_PUBLIC_MAX + 1] = {0}, p[IKE_KE_PUBLIC_MAX];
		uint16_t group = modp[i].group;
		size_t len = prime_of(i, p);

		print_message("# MODP-%zu\n", 8 * len);
		number(y, len, 0, 0);
		refused(group, y, len, "y = 0");
		number(y, len, 0, 1);
		refused(group, y, len, "y = 1: the secret is 1");
		memcpy(y, p, len);
		y[len - 1]--;
		refused(group, y, len, "y = p - 1: the secret is 1 or p - 1");
		refused(group, p, len, "y = p");
		number(y, len, 0xff, 0xff);
		refused(group, y, len, "y > p");
		number(y, len - 1, 0, 4);
		refused(group, y, len - 1, "one octet too short (RFC 7296 3.4)");
		number(y, len + 1, 0, 4);
		refused(group, y, len + 1, "one octet too long");
		refused(group, y, 0, "empty");
	}
}

// 2^10 and 4^10: the value on the wire and the secret keep the length of the prime, however many
// octets are zero (RFC 7296 2.14, 3.4).
static void test_modp_values_are_padded(void **state)
{
	static const uint8_t x[] = {10};
	struct ike_buf private_key = {x, sizeof(x)};

	(void)state;
	for (size_t i = 0; i < COUNT(modp); i++) {
		uint8_t ours[IKE_KE_PUBLIC_MAX] = {0}, peer[IKE_KE_PUBLIC_MAX] = {0};
		uint8_t want[IKE_KE_PUBLIC_MAX] = {0}, out[IKE_KE_PUBLIC_MAX];
		size_t len = prime_of(i, out), out_len = sizeof(out);
		struct ike_buf public_value = {ours, len};
		struct secret shared = {0};
		struct ike_ke *ke = NULL;

		ours[len - 2] = 1 << 2;
		peer[len - 1] = 4;
		want[len - 3] = 1 << 4;
		assert_int_equal(ke_import(c->ctx, modp[i].group, &private_key, &public_value, &ke),
				 0);
		assert_int_equal(c->ke_public(c->ctx, ke, out, &out_len), 0);
		assert_int_equal(out_len, len);
		assert_memory_equal(out, ours, len);
		assert_int_equal(c->ke_derive(c->ctx, ke, peer, len, &shared), 0);
		assert_int_equal(shared.len, len);
		assert_memory_equal(shared.data, want, len);
		secret_fini(&shared);
		c->ke_destroy(c->ctx, ke);
	}
}

static const struct ke_vector *rfc5903(uint16_t group)
{
	for (size_t i = 0; i < COUNT(ke_vectors); i++)
		if (ke_vectors[i].group == group && strstr(ke_vectors[i].name, "RFC 5903"))
			return &ke_vectors[i];
	fail_msg("no vector of group %u", group);
	return NULL;
}

// RFC 6989 2.3.
static void test_ecp_values_refused(void **state)
{
	static const uint16_t ecp[] = {KE_ECP_256, KE_ECP_384, KE_ECP_521};
	uint8_t other[134];

	(void)state;
	for (size_t i = 0; i < COUNT(ecp); i++) {
		uint8_t point[134] = {0};
		size_t len = hex_bytes(rfc5903(ecp[i])->peer, point, sizeof(point));

		print_message("# group %u\n", ecp[i]);
		point[len - 1] ^= 1;
		refused(ecp[i], point, len, "not on the curve: another y");
		point[len - 1] ^= 1;
		point[len / 2 - 1] ^= 1;
		refused(ecp[i], point, len, "not on the curve: another x");
		point[len / 2 - 1] ^= 1;
		refused(ecp[i], point, len - 1, "one octet too short");
		refused(ecp[i], point, len + 1, "one octet too long");
		refused(ecp[i], point, len / 2, "x alone");
		refused(ecp[i], point, 0, "empty");
		memmove(point + 1, point, len);
		point[0] = 4;
		refused(ecp[i], point, len + 1, "with the octet of SEC 1 in front");
		refused(ecp[(i + 1) % 3], point + 1, len, "a point of another group");
		memset(other, 0, sizeof(other));
		refused(ecp[i], other, len, "(0, 0)");
		memset(other, 0xff, sizeof(other));
		refused(ecp[i], other, len, "coordinates beyond the prime");
	}
}

// The curve point itself, with p added to x: 521 bits leave room for it in 66 octets.
static void test_ecp521_coordinate_beyond_the_prime(void **state)
{
	uint8_t point[132];
	unsigned carry = 0;

	(void)state;
	hex_bytes(rfc5903(KE_ECP_521)->peer, point, sizeof(point));
	for (size_t i = 66; i-- > 0;) { // p = 2^521 - 1: 0x01 and 65 times 0xff
		carry += point[i] + (i == 0 ? 0x01u : 0xffu);
		point[i] = (uint8_t)carry;
		carry >>= 8;
	}
	assert_int_equal(carry, 0);
	refused(KE_ECP_521, point, sizeof(point), "x + p");
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
}

// The same for Curve448, whose prime is 2^448 - 2^224 - 1, little-endian (RFC 7748 5).
static void test_x448_values_refused(void **state)
{
	static const struct {
		uint8_t first, low, middle, high; // octets 0, 1 to 27, 28, 29 to 55
		const char *why;
	} rows[] = {
		{0x00, 0x00, 0x00, 0x00, "u = 0"},     {0x01, 0x00, 0x00, 0x00, "u = 1"},
		{0xfe, 0xff, 0xfe, 0xff, "u = p - 1"}, {0xff, 0xff, 0xfe, 0xff, "u = p"},
		{0x00, 0x00, 0xff, 0xff, "u = p + 1"},
	};
	uint8_t u[57] = {5};

	(void)state;
	refused(KE_CURVE448, u, 55, "one octet too short");
	refused(KE_CURVE448, u, 57, "one octet too long");
	refused(KE_CURVE448, u, 32, "a value of Curve25519's length");
	for (size_t i = 0; i < COUNT(rows); i++) {
		u[0] = rows[i].first;
		memset(u + 1, rows[i].low, 27);
		u[28] = rows[i].middle;
		memset(u + 29, rows[i].high, 27);
		refused(KE_CURVE448, u, 56, rows[i].why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_answers),
		cmocka_unit_test(test_two_sides_agree),
		cmocka_unit_test(test_room_and_unknown_groups),
		cmocka_unit_test(test_modp_values_refused),
		cmocka_unit_test(test_modp_values_are_padded),
		cmocka_unit_test(test_ecp_values_refused),
		cmocka_unit_test(test_ecp521_coordinate_beyond_the_prime),
		cmocka_unit_test(test_x25519_values_refused),
		cmocka_unit_test(test_x448_values_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
