// Keys of the IKE SA, KEYMAT and AUTH (RFC 7296 2.14, 2.15, 2.17) against values computed with
// Python's hmac module: what is derived, in which order it is cut, what AUTH covers.
#include <string.h>

#include "control/ike/keys.h"
#include "control/openssl/ike_openssl.h"
#include "test/sim/check.h"

static const struct row {
	const char *ike, *esp;
	const char *d, *ai, *ar, *ei, *er, *pi, *pr;
	const char *encr_i, *integ_i, *encr_r, *integ_r;
	const char *auth_i, *auth_r;
} rows[] = {
	{
		.ike = "aes128gcm16-prfsha256-x25519",
		.esp = "aes128gcm16",
		.d = "1937f378820845af755a0b4fefb42342be4170b4107cab1f7ed05511fdde0c32",
		.ai = "",
		.ar = "",
		.ei = "b3a79e8b2d4d36307f9a4f3e2e721cf627d629d5",
		.er = "f54517e35e51d49e06ff28886b75413013291476",
		.pi = "2dd328f5b63052e46180bafdaf1a1624491cf0dd824422f236e7e32fdde24585",
		.pr = "91331981efb4f8cd7e0955a8f61d01f26154c7415112c39810a8c6284db70ecf",
		.encr_i = "81baf4f168b8848dceb731951205e1e269923c7f",
		.integ_i = "",
		.encr_r = "2b0d31f6a6ab91fc0814bdc921de51de5d2d3e25",
		.integ_r = "",
		.auth_i = "fd8c284d2aa93b23ab9b087ba2e77676b251965fe2c63b0d97ba42a65210e3be",
		.auth_r = "c88a470f441b317abe2176e50beb29cae9621c0fe47970025e76f3a533d318bb",
	},
	{
		.ike = "aes256-sha512-prfsha384-ecp256",
		.esp = NULL, // AES-CBC-256 with HMAC-SHA2-256-128, not configurable yet
		.d = "a40c391fe9185315f45401f9c7dc3b6a80114dba3a8fb2557aa8af6a52e7b329dec700523f1a3"
		     "ab011f3b84fefd30f12",
		.ai = "2e317ed31d88286888c20000323dd4cf6f48a341ae1709c5af0daab445554eefd98aa61b30eb"
		      "c987957c80ab8b4fa97b0d9b5e0980c4df8e43deab5f5d4cd587",
		.ar = "03027ec242ffaab982e974b98f916f476bf08ad16723f71725e8d62720db3484fe9468eca737"
		      "fb65fd7889c656560f77d06983205df81d5f20375d51de759727",
		.ei = "076728a5882b58025fcd223ba9cb12c12dd66349a6b77d15e862b7b2be79164d",
		.er = "1fd4308373b36df5785ac2bd53b4e55811b830c23f2ea149bb2160135f9a1e09",
		.pi = "b8f3115da25269871d02459543179604340445ba26e18fee2720349e0d75c9a83b64fe3bc1ea"
		      "7e6d3da37744c5979f52",
		.pr = "6bab3c0370f8cb97e105988588b8f611700f80b92d6fef4346aa368653346cfdfc41b1fe76bb"
		      "0aaad94d10e0f9a5d924",
		.encr_i = "a981dd138f2db517504dcad26bc8639ea216940759dc780e7fb50f2fb2d779e8",
		.integ_i = "5d8183d8cc7526ea73342ac5d9b9c23e5deb7c84cde8e34a3ed8b2f3855595e2",
		.encr_r = "a306c0be4461b3422104b1d03fb875c6194d2a82fd1038349b99becb8d77bca0",
		.integ_r = "6d9369513d408973515fcabfab8cf6a7d4614875ad4fd2d93f6b8d0407c54142",
		.auth_i = "b607bfc578916205b3bf979aca1afea2661b52beb2836c4c65ee83c2be3d586639cb73ea"
			  "305a7bd9d252ceaddce8a409",
		.auth_r = "d45f2d0a91ed7c10003c0dfe2b7d8dda3db6d3275cbaded5b7d9d98491c894038f71b958"
			  "a573529029b871f82314717c",
	},
};

static struct ike_crypto *crypto;

static int setup(void **state)
{
	(void)state;
	return ike_openssl_create(&crypto);
}

static int teardown(void **state)
{
	(void)state;
	ike_openssl_destroy(crypto);
	return 0;
}

static bool bytes_are(const uint8_t *data, size_t len, const char *hex)
{
	static const char digits[] = "0123456789abcdef";

	if (strlen(hex) != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (hex[2 * i] != digits[data[i] >> 4] || hex[2 * i + 1] != digits[data[i] & 15])
			return false;
	return true;
}

static bool secret_is(const struct secret *s, const char *hex)
{
	return bytes_are(s->data, s->len, hex);
}

static const struct secret none; // no key exchange of its own

static struct ike_nonce nonce_from(uint8_t first)
{
	struct ike_nonce n = {.len = 32};

	for (uint8_t i = 0; i < 32; i++)
		n.data[i] = (uint8_t)(first + i);
	return n;
}

static const uint8_t spi_i[8] = {1, 2, 3, 4, 5, 6, 7, 8};
static const uint8_t spi_r[8] = {0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18};

static void derive(const struct row *row, struct ike_suite *suite, struct ike_keys *keys)
{
	struct ike_nonce ni = nonce_from(0), nr = nonce_from(100), g = nonce_from(200);
	struct secret shared = {0};
	struct proposal p;

	CHECK(!secret_set(&shared, g.data, g.len));
	CHECK(!proposal_parse(row->ike, PROTO_IKE, &p, NULL));
	CHECK(!ike_suite_of(&p, suite));
	CHECK(!ike_keys_derive(crypto, suite, &ni, &nr, &shared, spi_i, spi_r, keys));
	secret_fini(&shared);
}

static void test_ike_keys(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ike_suite suite;
		struct ike_keys keys = {0};

		derive(&rows[i], &suite, &keys);
		CHECK(secret_is(&keys.d, rows[i].d));
		CHECK(secret_is(&keys.ai, rows[i].ai));
		CHECK(secret_is(&keys.ar, rows[i].ar));
		CHECK(secret_is(&keys.ei, rows[i].ei));
		CHECK(secret_is(&keys.er, rows[i].er));
		CHECK(secret_is(&keys.pi, rows[i].pi));
		CHECK(secret_is(&keys.pr, rows[i].pr));
		ike_keys_fini(&keys);
	}
}

static void test_child_keys(void **state)
{
	static const struct proposal cbc = {
		.protocol = PROTO_ESP,
		.n = 3,
		.t = {{TRANSFORM_ENCR, ENCR_AES_CBC, 256},
		      {TRANSFORM_INTEG, INTEG_HMAC_SHA2_256_128, 0},
		      {TRANSFORM_SN, SN_32BIT, 0}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ike_nonce ni = nonce_from(0), nr = nonce_from(100);
		struct ike_suite suite;
		struct ike_keys keys = {0};
		struct child_keys child = {0};
		struct proposal esp = cbc;

		derive(&rows[i], &suite, &keys);
		if (rows[i].esp)
			CHECK(!proposal_parse(rows[i].esp, PROTO_ESP, &esp, NULL));
		CHECK(!child_keys_derive(crypto, &suite, &keys.d, &ni, &nr, &none, &esp, &child));
		CHECK(secret_is(&child.encr_i, rows[i].encr_i));
		CHECK(secret_is(&child.integ_i, rows[i].integ_i));
		CHECK(secret_is(&child.encr_r, rows[i].encr_r));
		CHECK(secret_is(&child.integ_r, rows[i].integ_r));
		child_keys_fini(&child);
		ike_keys_fini(&keys);
	}
}

static void test_child_without_integrity_is_refused(void **state)
{
	static const struct proposal bare = {
		.protocol = PROTO_ESP,
		.n = 1,
		.t = {{TRANSFORM_ENCR, ENCR_AES_CBC, 256}},
	};
	struct ike_nonce ni = nonce_from(0), nr = nonce_from(100);
	struct ike_suite suite;
	struct ike_keys keys = {0};
	struct child_keys child = {0};

	(void)state;
	derive(&rows[0], &suite, &keys);
	CHECK(child_keys_derive(crypto, &suite, &keys.d, &ni, &nr, &none, &bare, &child));
	CHECK(child.encr_i.data == NULL);
	ike_keys_fini(&keys);
}

static void test_auth(void **state)
{
	static const char first[] = "the first message", second[] = "the second message";
	struct ike_buf m1 = {(const uint8_t *)first, sizeof(first) - 1};
	struct ike_buf m2 = {(const uint8_t *)second, sizeof(second) - 1};
	struct ike_nonce ni = nonce_from(0), nr = nonce_from(100);
	struct identity idi, idr;
	struct secret psk = {0};

	(void)state;
	CHECK(!identity_parse("gw-a.example", &idi) && !identity_parse("192.0.2.2", &idr));
	CHECK(!secret_set(&psk, "secret", 6));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ike_suite suite;
		struct ike_keys keys = {0};
		uint8_t auth[IKE_PRF_MAX];
		size_t len = sizeof(auth);

		derive(&rows[i], &suite, &keys);
		CHECK(!ike_auth_psk(crypto, &suite, &psk, &keys.pi, &m1, &nr, &idi, auth, &len));
		CHECK(bytes_are(auth, len, rows[i].auth_i));
		len = sizeof(auth);
		CHECK(!ike_auth_psk(crypto, &suite, &psk, &keys.pr, &m2, &ni, &idr, auth, &len));
		CHECK(bytes_are(auth, len, rows[i].auth_r));
		ike_keys_fini(&keys);
	}
	secret_fini(&psk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ike_keys),
		cmocka_unit_test(test_child_keys),
		cmocka_unit_test(test_child_without_integrity_is_refused),
		cmocka_unit_test(test_auth),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
