// Signatures of AUTH: the AlgorithmIdentifiers of RFC 7427 appendix A and RFC 8420 appendix A, and
// which methods, hashes and paddings go with which key and peer.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/rsa.h>

#include "control/openssl/algorithm_id.h"
#include "control/openssl/signature.h"
#include "test/vectors/hex.h"

#define SHA2 (AUTH_HASHES & ~AUTH_HASH_BIT(HASH_IDENTITY))

enum { RSA_2048, RSA_PSS_2048, P256, P384, P521, ED25519, ED448, BRAINPOOL, KEYS };
static EVP_PKEY *keys[KEYS], *others[KEYS];
static const struct auth_rule any = {.kind = AUTH_BY_SIGNATURE};

static EVP_PKEY *rsa_pss_make(void)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
	EVP_PKEY *key = NULL;

	if (ctx && EVP_PKEY_keygen_init(ctx) == 1 &&
	    EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048) > 0)
		EVP_PKEY_generate(ctx, &key);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static EVP_PKEY *key_make(int which)
{
	switch (which) {
	case RSA_2048:
		return EVP_RSA_gen(2048);
	case RSA_PSS_2048:
		return rsa_pss_make();
	case P256:
		return EVP_EC_gen("P-256");
	case P384:
		return EVP_EC_gen("P-384");
	case P521:
		return EVP_EC_gen("P-521");
	case ED25519:
		return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	case ED448:
		return EVP_PKEY_Q_keygen(NULL, NULL, "ED448");
	default:
		return EVP_EC_gen("brainpoolP256r1");
	}
}

static int setup(void **state)
{
	(void)state;
	for (int i = 0; i < KEYS; i++) {
		keys[i] = key_make(i);
		others[i] = key_make(i);
		if (!keys[i] || !others[i])
			return -1;
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < KEYS; i++) {
		EVP_PKEY_free(keys[i]);
		EVP_PKEY_free(others[i]);
	}
	return 0;
}

#define SHA256_NULL "300d06096086480165030402010500"
#define MGF1(hash)  "301a06092a864886f70d010108" hash

static const struct {
	const char *hex;
	struct algorithm_id id;
	bool written; // the form that we send
	const char *why;
} algorithms[] = {
	{"300d06092a864886f70d01010b0500",
	 {AUTH_KEY_RSA, HASH_SHA2_256, false, 0},
	 true,
	 "RFC 7427 A.1.2 sha256WithRSAEncryption"},
	{"300d06092a864886f70d01010c0500",
	 {AUTH_KEY_RSA, HASH_SHA2_384, false, 0},
	 true,
	 "RFC 7427 A.1.3 sha384WithRSAEncryption"},
	{"300d06092a864886f70d01010d0500",
	 {AUTH_KEY_RSA, HASH_SHA2_512, false, 0},
	 true,
	 "RFC 7427 A.1.4 sha512WithRSAEncryption"},
	{"300a06082a8648ce3d040302",
	 {AUTH_KEY_ECDSA, HASH_SHA2_256, false, 0},
	 true,
	 "RFC 7427 A.3.2 ecdsa-with-sha256"},
	{"300a06082a8648ce3d040303",
	 {AUTH_KEY_ECDSA, HASH_SHA2_384, false, 0},
	 true,
	 "RFC 7427 A.3.3 ecdsa-with-sha384"},
	{"300a06082a8648ce3d040304",
	 {AUTH_KEY_ECDSA, HASH_SHA2_512, false, 0},
	 true,
	 "RFC 7427 A.3.4 ecdsa-with-sha512"},
	{"304106092a864886f70d01010a3034a00f" SHA256_NULL "a11c" MGF1(SHA256_NULL) "a203020120",
	 {AUTH_KEY_RSA, HASH_SHA2_256, true, 32},
	 true,
	 "RFC 7427 A.4.3 RSASSA-PSS with SHA-256"},
	{"300506032b6570", {AUTH_KEY_ED25519, HASH_IDENTITY, false, 0}, true, "RFC 8420 A.1"},
	{"300506032b6571", {AUTH_KEY_ED448, HASH_IDENTITY, false, 0}, true, "RFC 8420 A.2"},
	{"300b06092a864886f70d01010b",
	 {AUTH_KEY_RSA, HASH_SHA2_256, false, 0},
	 false,
	 "without the NULL"},
	{"304106092a864886f70d01010a3034a00f" SHA256_NULL "a11c" MGF1(SHA256_NULL) "a203020114",
	 {AUTH_KEY_RSA, HASH_SHA2_256, true, 20},
	 false,
	 "a shorter salt"},
};

static void test_algorithms(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
		struct algorithm_id id;
		uint8_t der[128], out[ALGORITHM_ID_MAX];
		size_t len = hex_bytes(algorithms[i].hex, der, sizeof(der));

		if (algorithm_id_parse(der, len, &id) || id.key != algorithms[i].id.key ||
		    id.hash != algorithms[i].id.hash || id.pss != algorithms[i].id.pss ||
		    id.salt_len != algorithms[i].id.salt_len)
			fail_msg("%s", algorithms[i].why);
		if (algorithms[i].written &&
		    (algorithm_id_write(&id, out) != len || memcmp(out, der, len) != 0))
			fail_msg("%s: written in another way", algorithms[i].why);
		// One octet less or more is none.
		for (size_t n = 0; n < len; n++)
			assert_int_equal(algorithm_id_parse(der, n, &id), -EBADMSG);
		der[len] = 0;
		assert_int_equal(algorithm_id_parse(der, len + 1, &id), -EBADMSG);
	}
}

static void test_algorithms_that_are_not_accepted(void **state)
{
	static const struct {
		const char *hex, *why;
	} rows[] = {
		{"300d06092a864886f70d0101050500", "RFC 7427 A.1.1 sha1WithRSAEncryption"},
		{"300906072a8648ce3d0401", "RFC 7427 A.3.1 ecdsa-with-sha1"},
		{"300f06092a864886f70d01010a30020000", "RSASSA-PSS with rubbish"},
		{"300d06092a864886f70d01010a3000", "RFC 7427 A.4.2 RSASSA-PSS, defaults: SHA-1"},
		{"300b06092a864886f70d01010a", "RFC 7427 A.4.1 RSASSA-PSS without parameters"},
		{"304106092a864886f70d01010a3034a00f" SHA256_NULL
		 "a11c301a06092a864886f70d010108300d06096086480165030402020500a203020120",
		 "two hashes"},
		{"304106092a864886f70d01010a3034a00f" SHA256_NULL
		 "a11c" MGF1(SHA256_NULL) "a2030201ff",
		 "a negative salt"},
		{"300906072a8648ce380403", "dsa-with-sha1"},
		{"300d06092a864886f70d01010b0401", "a parameter that is none"},
		{"3000", "nothing"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct algorithm_id id;
		uint8_t der[128];
		size_t len = hex_bytes(rows[i].hex, der, sizeof(der));

		if (algorithm_id_parse(der, len, &id) != -EBADMSG)
			fail_msg("%s", rows[i].why);
	}
}

// ---- round trips ----

struct made {
	uint8_t method, data[IKE_SIGNATURE_MAX];
	size_t len;
};

static int make(int key, const struct auth_rule *rule, unsigned hashes, struct made *m,
		struct error *err)
{
	static const uint8_t message[] = "signed octets";
	struct ike_buf octets = {message, sizeof(message)};

	m->len = sizeof(m->data);
	return signature_make(keys[key], rule, hashes, &octets, &m->method, m->data, &m->len, err);
}

static int check(EVP_PKEY *key, const struct auth_rule *rule, unsigned hashes, const struct made *m,
		 const char *message, struct error *err)
{
	struct ike_signature sig = {.method = m->method,
				    .data = {m->data, m->len},
				    .octets = {(const uint8_t *)message, strlen(message) + 1},
				    .peer_hashes = hashes};

	return signature_check(key, rule, &sig, err);
}

static const struct {
	int key;
	unsigned hashes; // of both
	uint8_t method, hash;
	bool pss;
} makes[] = {
	{RSA_2048, AUTH_HASHES, AUTH_DIGITAL_SIGNATURE, HASH_SHA2_256, false},
	{RSA_2048, AUTH_HASH_BIT(HASH_SHA2_384), AUTH_DIGITAL_SIGNATURE, HASH_SHA2_384, false},
	{RSA_2048, AUTH_HASH_BIT(HASH_SHA2_512), AUTH_DIGITAL_SIGNATURE, HASH_SHA2_512, false},
	{RSA_2048, 0, AUTH_RSA, HASH_SHA1, false},
	{RSA_PSS_2048, AUTH_HASHES, AUTH_DIGITAL_SIGNATURE, HASH_SHA2_256, true},
	{P256, AUTH_HASHES, AUTH_DIGITAL_SIGNATURE, HASH_SHA2_256, false},
	{P384, AUTH_HASHES, AUTH_DIGITAL_SIGNATURE, HASH_SHA2_384, false},
	{P521, AUTH_HASHES, AUTH_DIGITAL_SIGNATURE, HASH_SHA2_512, false},
	{P521, AUTH_HASH_BIT(HASH_SHA2_256), AUTH_DIGITAL_SIGNATURE, HASH_SHA2_256, false},
	{P256, 0, AUTH_ECDSA_256, HASH_SHA2_256, false},
	{P384, 0, AUTH_ECDSA_384, HASH_SHA2_384, false},
	{P521, 0, AUTH_ECDSA_521, HASH_SHA2_512, false},
	{ED25519, AUTH_HASHES, AUTH_DIGITAL_SIGNATURE, HASH_IDENTITY, false},
	{ED448, AUTH_HASHES, AUTH_DIGITAL_SIGNATURE, HASH_IDENTITY, false},
};

static void test_round_trips(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(makes) / sizeof(makes[0]); i++) {
		struct made m;
		struct error err = {""};
		struct algorithm_id id;
		int k = makes[i].key;

		if (make(k, &any, makes[i].hashes, &m, &err))
			fail_msg("%zu: %s", i, err.text);
		assert_int_equal(m.method, makes[i].method);
		if (m.method == AUTH_DIGITAL_SIGNATURE) {
			assert_int_equal(algorithm_id_parse(m.data + 1, m.data[0], &id), 0);
			assert_int_equal(id.hash, makes[i].hash);
			assert_int_equal(id.pss, makes[i].pss);
		}
		if (check(keys[k], &any, makes[i].hashes, &m, "signed octets", &err))
			fail_msg("%zu: %s", i, err.text);
		// Another key of the same kind, another message, any bit changed, an octet less.
		assert_true(check(others[k], &any, makes[i].hashes, &m, "signed octets", &err) < 0);
		assert_true(check(keys[k], &any, makes[i].hashes, &m, "signed 0ctets", &err) < 0);
		assert_non_null(strstr(err.text, "does not verify"));
		for (size_t at = 0; at < m.len; at += 7) {
			m.data[at] ^= 1;
			assert_true(check(keys[k], &any, makes[i].hashes, &m, "signed octets",
					  &err) < 0);
			m.data[at] ^= 1;
		}
		for (size_t less = 1; less <= m.len; less += 5) {
			struct made cut = m;

			cut.len -= less;
			assert_true(check(keys[k], &any, makes[i].hashes, &cut, "signed octets",
					  &err) < 0);
		}
	}
}

static void test_every_key_against_every_signature(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(makes) / sizeof(makes[0]); i++) {
		struct made m;
		struct error err;

		assert_int_equal(make(makes[i].key, &any, makes[i].hashes, &m, &err), 0);
		for (int k = 0; k < KEYS; k++)
			if (k != makes[i].key)
				assert_true(check(keys[k], &any, makes[i].hashes, &m,
						  "signed octets", &err) < 0);
	}
}

static void test_rules(void **state)
{
	struct auth_rule rule;
	struct made m, sha1, pss;
	struct error err;

	(void)state;
	assert_int_equal(make(RSA_2048, &any, AUTH_HASHES, &m, &err), 0);
	assert_int_equal(make(RSA_2048, &any, 0, &sha1, &err), 0);
	assert_int_equal(auth_rule_parse("rsa/pss", &rule, &err), 0);
	assert_int_equal(make(RSA_2048, &rule, AUTH_HASHES, &pss, &err), 0);
	assert_int_equal(check(keys[RSA_2048], &rule, SHA2, &pss, "signed octets", &err), 0);
	assert_int_equal(check(keys[RSA_2048], &any, SHA2, &pss, "signed octets", &err), 0);
	assert_int_equal(check(keys[RSA_2048], &rule, SHA2, &m, "signed octets", &err), -EACCES);
	assert_non_null(strstr(err.text, "PSS is wanted"));
	assert_int_equal(auth_rule_parse("rsa-sha512", &rule, &err), 0);
	assert_int_equal(check(keys[RSA_2048], &rule, SHA2, &m, "signed octets", &err), -EACCES);
	assert_non_null(strstr(err.text, "SHA2_256, allowed is SHA2_512"));
	// SHA-1 from nobody who can do better, and where a hash is wanted.
	assert_int_equal(check(keys[RSA_2048], &any, SHA2, &sha1, "signed octets", &err), -EACCES);
	assert_non_null(strstr(err.text, "SHA-1"));
	assert_int_equal(check(keys[RSA_2048], &rule, 0, &sha1, "signed octets", &err), -EACCES);
	assert_int_equal(make(RSA_2048, &rule, 0, &m, &err), -ENOTSUP);
	assert_int_equal(make(RSA_2048, &rule, AUTH_HASH_BIT(HASH_SHA2_256), &m, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "accepts signatures with SHA2_256"));
	// Ed25519 needs a peer that says so (RFC 8420 2).
	assert_int_equal(make(ED25519, &any, SHA2, &m, &err), -ENOTSUP);
	assert_int_equal(make(ED25519, &any, 0, &m, &err), -ENOTSUP);
	assert_int_equal(make(BRAINPOOL, &any, AUTH_HASHES, &m, &err), -ENOTSUP);
	assert_int_equal(make(RSA_PSS_2048, &any, 0, &m, &err), -ENOTSUP);
}

static void test_kinds_of_keys(void **state)
{
	static const struct {
		const char *rule;
		int key;
		int rc;
	} rows[] = {
		{"pubkey", RSA_2048, 0},	{"rsa", RSA_2048, 0},
		{"rsa-2048", RSA_2048, 0},	{"rsa-2049", RSA_2048, -EACCES},
		{"ecdsa", RSA_2048, -EACCES},	{"ecdsa-384", P256, -EACCES},
		{"ecdsa-384", P384, 0},		{"ed25519", ED25519, 0},
		{"ed448", ED25519, -EACCES},	{"rsa-4096-ecdsa", P256, 0},
		{"pubkey", BRAINPOOL, -EACCES},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct auth_rule rule;
		struct error err;

		assert_int_equal(auth_rule_parse(rows[i].rule, &rule, &err), 0);
		if (signature_key_check(keys[rows[i].key], &rule, &err) != rows[i].rc)
			fail_msg("%s", rows[i].rule);
	}
}

static void test_methods_that_are_none(void **state)
{
	struct made m;
	struct error err;

	(void)state;
	assert_int_equal(make(P256, &any, 0, &m, &err), 0);
	for (unsigned method = 0; method < 256; method++) {
		m.method = (uint8_t)method;
		assert_int_equal(check(keys[P256], &any, 0, &m, "signed octets", &err) == 0,
				 method == AUTH_ECDSA_256);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_algorithms),
		cmocka_unit_test(test_algorithms_that_are_not_accepted),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_every_key_against_every_signature),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_kinds_of_keys),
		cmocka_unit_test(test_methods_that_are_none),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
