// local.auth and remote.auth, as strongSwan writes them.
#include "check.h"

#include "lib/auth_rule.h"

#define ECDSA AUTH_KEY_ECDSA
#define RSA   AUTH_KEY_RSA
#define S256  AUTH_HASH_BIT(HASH_SHA2_256)
#define S384  AUTH_HASH_BIT(HASH_SHA2_384)

static void test_read(void **state)
{
	static const struct {
		const char *text;
		struct auth_rule rule;
		const char *printed;
	} rows[] = {
		{"psk", {.kind = AUTH_BY_PSK}, "pre-shared key"},
		{"pubkey", {.kind = AUTH_BY_SIGNATURE}, "public key"},
		{"rsa", {AUTH_BY_SIGNATURE, .keys = RSA}, "RSA key"},
		{"rsa-3072",
		 {AUTH_BY_SIGNATURE, .keys = RSA, .rsa_bits = 3072},
		 "RSA of 3072 bits key"},
		{"rsa/pss-sha256",
		 {AUTH_BY_SIGNATURE, .keys = RSA, .pss = true, .hashes = S256},
		 "RSA-PSS key with SHA2_256"},
		{"ecdsa-384-sha384",
		 {AUTH_BY_SIGNATURE, .keys = ECDSA, .ecdsa_bits = 384, .hashes = S384},
		 "ECDSA of 384 bits key with SHA2_384"},
		{"rsa-2048-ecdsa-256-sha256-sha384",
		 {AUTH_BY_SIGNATURE, .keys = RSA | ECDSA, .rsa_bits = 2048, .ecdsa_bits = 256,
		  .hashes = S256 | S384},
		 "RSA of 2048 bits or ECDSA of 256 bits key with SHA2_256, SHA2_384"},
		{"ike:pubkey-sha384",
		 {AUTH_BY_SIGNATURE, .hashes = S384, .ike_only = true},
		 "public key with SHA2_384"},
		{"ed25519", {AUTH_BY_SIGNATURE, .keys = AUTH_KEY_ED25519}, "Ed25519 key"},
		{"ed448", {AUTH_BY_SIGNATURE, .keys = AUTH_KEY_ED448}, "Ed448 key"},
	};
	char text[AUTH_RULE_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct auth_rule rule;
		struct error err;

		if (auth_rule_parse(rows[i].text, &rule, &err))
			fail_msg("%s: %s", rows[i].text, err.text);
		CHECK_ROW(auth_rule_equal(&rule, &rows[i].rule), rows[i].text);
		CHECK_TEXT(auth_rule_format(&rule, text, sizeof(text)), rows[i].printed,
			   rows[i].text);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		int rc;
		const char *says;
	} rows[] = {
		{"", -EINVAL, "is not psk"},
		{"pks", -EINVAL, "'pks' is not psk, pubkey"},
		{"pubkey-", -EINVAL, "is not psk"},
		{"pubkey-md5", -EINVAL, "'md5'"},
		{"sha256", -EINVAL, "the kind of key comes first"},
		{"pubkey-2048", -EINVAL, "behind rsa or ecdsa"},
		{"rsa-0", -EINVAL, "behind rsa or ecdsa"},
		{"ed25519-256", -EINVAL, "behind rsa or ecdsa"},
		{"rsa-sha1", -ENOTSUP, "SHA-1"},
		{"psk-sha256", -EINVAL, "'psk'"},
		{"ike:psk", -EINVAL, "'psk'"},
		{"eap-mschapv2", -ENOTSUP, "site-to-site"},
		{"xauth", -ENOTSUP, "site-to-site"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct auth_rule rule = {.rsa_bits = 7}, before = rule;
		struct error err = {""};

		CHECK_INT(auth_rule_parse(rows[i].text, &rule, &err), rows[i].rc, rows[i].text);
		CHECK_ROW(strstr(err.text, rows[i].says), rows[i].text);
		CHECK_ROW(auth_rule_equal(&rule, &before), rows[i].text);
	}
}

static void test_hashes_by_name(void **state)
{
	char text[64];

	(void)state;
	assert_string_equal(auth_hashes_format(AUTH_HASHES, text, sizeof(text)),
			    "SHA2_256, SHA2_384, SHA2_512, IDENTITY");
	assert_string_equal(auth_hashes_format(0, text, sizeof(text)), "none");
	assert_string_equal(auth_hash_name(HASH_SHA1), "SHA1");
	assert_string_equal(auth_hash_name(99), "unknown hash");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_hashes_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
