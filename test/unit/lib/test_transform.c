#include "test/unit/lib/check.h"

#include "lib/transform.h"

static void test_keywords(void **state)
{
	static const struct {
		const char *keyword;
		uint8_t type;
		uint16_t id, key_bits;
		const char *why;
	} rows[] = {
		{"aes128gcm16", TRANSFORM_ENCR, 20, 128, "AES-GCM by octets of its ICV"},
		{"aes128gcm128", TRANSFORM_ENCR, 20, 128, "by bits of its ICV"},
		{"aes128gcm", TRANSFORM_ENCR, 20, 128, "16 octets when it does not say"},
		{"aes256gcm12", TRANSFORM_ENCR, 19, 256, "12 octets"},
		{"aes256gcm64", TRANSFORM_ENCR, 18, 256, "8 octets"},
		{"aes", TRANSFORM_ENCR, 12, 128, "strongSwan's short form"},
		{"aes192", TRANSFORM_ENCR, 12, 192, "AES-CBC"},
		{"chacha20poly1305", TRANSFORM_ENCR, 28, 0, "one key size"},
		{"prfsha256", TRANSFORM_PRF, 5, 0, "PRF"},
		{"prfsha384", TRANSFORM_PRF, 6, 0, "PRF"},
		{"prfsha512", TRANSFORM_PRF, 7, 0, "PRF"},
		{"sha256", TRANSFORM_INTEG, 12, 0, "integrity"},
		{"sha2_256", TRANSFORM_INTEG, 12, 0, "its other spelling"},
		{"sha384", TRANSFORM_INTEG, 13, 0, "integrity"},
		{"sha512", TRANSFORM_INTEG, 14, 0, "integrity"},
		{"x25519", TRANSFORM_KE, 31, 0, "key exchange"},
		{"curve25519", TRANSFORM_KE, 31, 0, "its other spelling"},
		{"ecp256", TRANSFORM_KE, 19, 0, "key exchange"},
		{"ecp384", TRANSFORM_KE, 20, 0, "key exchange"},
		{"modp2048", TRANSFORM_KE, 14, 0, "key exchange"},
		{"modp1024s160", TRANSFORM_KE, 22, 0, "refused, but known"},
		{"noesn", TRANSFORM_SN, 0, 0, "32-bit sequence numbers"},
		{"esn", TRANSFORM_SN, 1, 0, "64-bit sequence numbers"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct transform_info *info = transform_find_keyword(rows[i].keyword);

		CHECK_ROW(info, rows[i].keyword);
		CHECK_INT(info->type, rows[i].type, rows[i].why);
		CHECK_INT(info->id, rows[i].id, rows[i].why);
		CHECK_INT(info->key_bits, rows[i].key_bits, rows[i].why);
	}
	assert_null(transform_find_keyword("aes129"));
	assert_null(transform_find_keyword(""));
	assert_null(transform_find_keyword("AES128"));
}

static void test_sizes(void **state)
{
	static const struct {
		const char *keyword;
		unsigned key, salt, iv, block, icv;
		bool aead;
		const char *why;
	} rows[] = {
		{"aes128gcm16", 20, 4, 8, 1, 16, true, "RFC 4106 8.1: 16 of key, 4 of salt"},
		{"aes192gcm16", 28, 4, 8, 1, 16, true, "RFC 4106 8.1"},
		{"aes256gcm16", 36, 4, 8, 1, 16, true, "RFC 4106 8.1"},
		{"aes256gcm8", 36, 4, 8, 1, 8, true, "a short ICV changes nothing else"},
		{"aes128ccm16", 19, 3, 8, 1, 16, true, "RFC 4309 4: a salt of 3"},
		{"chacha20poly1305", 36, 4, 8, 1, 16, true, "RFC 7634 2"},
		{"aes128", 16, 0, 16, 16, 0, false, "RFC 3602"},
		{"aes256", 32, 0, 16, 16, 0, false, "RFC 3602"},
		{"prfsha256", 32, 0, 0, 0, 0, false, "RFC 4868 2.4: as long as the output"},
		{"prfsha384", 48, 0, 0, 0, 0, false, "RFC 4868 2.4"},
		{"prfsha512", 64, 0, 0, 0, 0, false, "RFC 4868 2.4"},
		{"sha256", 32, 0, 0, 0, 16, false, "RFC 4868 2.6: half the output"},
		{"sha384", 48, 0, 0, 0, 24, false, "RFC 4868 2.6"},
		{"sha512", 64, 0, 0, 0, 32, false, "RFC 4868 2.6"},
		{"sha1", 20, 0, 0, 0, 12, false, "RFC 2404"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct transform_info *info = transform_find_keyword(rows[i].keyword);

		CHECK_ROW(info, rows[i].keyword);
		CHECK_INT(info->key_len, rows[i].key, rows[i].keyword);
		CHECK_INT(info->salt_len, rows[i].salt, rows[i].keyword);
		CHECK_INT(info->iv_len, rows[i].iv, rows[i].keyword);
		CHECK_INT(info->block_len, rows[i].block, rows[i].keyword);
		CHECK_INT(info->icv_len, rows[i].icv, rows[i].keyword);
		CHECK_INT(info->aead, rows[i].aead, rows[i].why);
	}
}

static void test_find_needs_type_number_and_length(void **state)
{
	struct transform t = {TRANSFORM_ENCR, ENCR_AES_GCM_16, 256};

	(void)state;
	assert_string_equal(transform_find(&t)->keyword, "aes256gcm16");
	t.key_bits = 0; // RFC 7296 3.3.5: the attribute is not optional with AES
	assert_null(transform_find(&t));
	t.key_bits = 512;
	assert_null(transform_find(&t));
	t = (struct transform){TRANSFORM_PRF, ENCR_AES_GCM_16, 0};
	assert_null(transform_find(&t));
	t = (struct transform){TRANSFORM_INTEG, INTEG_NONE, 0};
	assert_non_null(transform_find(&t));
	t = (struct transform){TRANSFORM_KE, KE_NONE, 0};
	assert_non_null(transform_find(&t));
}

static void test_format(void **state)
{
	static const struct {
		struct transform t;
		const char *text;
	} rows[] = {
		{{TRANSFORM_ENCR, 20, 128}, "AES_GCM_16-128"},
		{{TRANSFORM_ENCR, 12, 256}, "AES_CBC-256"},
		{{TRANSFORM_ENCR, 28, 0}, "CHACHA20_POLY1305"},
		{{TRANSFORM_ENCR, 3, 0}, "3DES_CBC"},
		{{TRANSFORM_ENCR, 20, 0}, "AES_GCM_16"},
		{{TRANSFORM_ENCR, 20, 64}, "AES_GCM_16-64"},
		{{TRANSFORM_ENCR, 77, 0}, "ENCR_(77)"},
		{{TRANSFORM_ENCR, 65535, 65535}, "ENCR_(65535)-65535"},
		{{TRANSFORM_PRF, 5, 0}, "PRF_HMAC_SHA2_256"},
		{{TRANSFORM_PRF, 99, 0}, "PRF_(99)"},
		{{TRANSFORM_INTEG, 12, 0}, "HMAC_SHA2_256_128"},
		{{TRANSFORM_INTEG, 99, 0}, "INTEG_(99)"},
		{{TRANSFORM_KE, 31, 0}, "CURVE_25519"},
		{{TRANSFORM_KE, 2, 0}, "MODP_1024"},
		{{TRANSFORM_KE, 99, 0}, "KE_(99)"},
		{{TRANSFORM_SN, 0, 0}, "NO_EXT_SEQ"},
		{{TRANSFORM_SN, 1, 0}, "EXT_SEQ"},
		{{TRANSFORM_SN, 2, 0}, "SN_(2)"},
		{{9, 3, 0}, "TYPE_9_(3)"},
		{{0, 0, 0}, "TYPE_0_(0)"},
	};
	char text[TRANSFORM_TEXT_MAX], small[5];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		CHECK_TEXT(transform_format(&rows[i].t, text, sizeof(text)), rows[i].text, "name");
	assert_string_equal(transform_format(&rows[0].t, small, sizeof(small)), "AES_");
}

static void test_registry_is_consistent(void **state)
{
	const struct transform_info *info, *other;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; (info = transform_at(i)); i++, n++) {
		struct transform t = {info->type, info->id, info->key_bits};
		char text[TRANSFORM_TEXT_MAX];

		CHECK_ROW(info->name, "every algorithm has a name");
		CHECK_ROW(transform_find(&t) == info, info->name); // no number twice
		if (info->keyword)
			CHECK_ROW(transform_find_keyword(info->keyword) == info, info->keyword);
		for (size_t k = 0; info->keyword && k < i; k++) {
			other = transform_at(k);
			CHECK_ROW(!other->keyword || strcmp(other->keyword, info->keyword),
				  info->keyword);
		}
		CHECK_ROW(!info->refused || (!info->ike && !info->esp), info->name);
		CHECK_ROW((!info->ike && !info->esp) || info->keyword, info->name);
		if (info->type == TRANSFORM_ENCR)
			CHECK_ROW(info->block_len >= 1, info->name);
		CHECK_ROW(strlen(transform_format(&t, text, sizeof(text))) < sizeof(text) - 1,
			  info->name);
	}
	assert_true(n > 50);
	assert_null(transform_at(n));
	assert_null(transform_at(SIZE_MAX));
}

// What the next layers were built for; a change here is a change of theirs.
static void test_what_is_negotiable_today(void **state)
{
	static const char *const ike[] = {
		"aes128gcm16", "aes192gcm16", "aes256gcm16", "aes128gcm12", "aes192gcm12",
		"aes256gcm12", "aes128gcm8",  "aes192gcm8",  "aes256gcm8",  "aes128",
		"aes192",      "aes256",      "prfsha256",   "prfsha384",   "prfsha512",
		"sha256",      "sha384",      "sha512",	     "x25519",	    "ecp256",
		"ecp384",      "modp2048",
	};
	static const char *const esp[] = {"aes128gcm16", "aes256gcm16", "x25519", "ecp256",
					  "ecp384",	 "modp2048",	"noesn"};
	const struct transform_info *info;
	size_t n_ike = 0, n_esp = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(ike); i++)
		CHECK_ROW(transform_find_keyword(ike[i])->ike, ike[i]);
	for (size_t i = 0; i < COUNT(esp); i++)
		CHECK_ROW(transform_find_keyword(esp[i])->esp, esp[i]);
	for (size_t i = 0; (info = transform_at(i)); i++) {
		n_ike += info->ike;
		n_esp += info->esp;
	}
	assert_int_equal(n_ike, COUNT(ike));
	assert_int_equal(n_esp, COUNT(esp));
}

static void test_type_names(void **state)
{
	(void)state;
	assert_string_equal(transform_type_name(TRANSFORM_ENCR), "encryption");
	assert_string_equal(transform_type_name(TRANSFORM_PRF), "prf");
	assert_string_equal(transform_type_name(TRANSFORM_INTEG), "integrity");
	assert_string_equal(transform_type_name(TRANSFORM_KE), "key exchange");
	assert_string_equal(transform_type_name(TRANSFORM_SN), "sequence numbers");
	assert_non_null(transform_type_name(0));
	assert_non_null(transform_type_name(255));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keywords),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_find_needs_type_number_and_length),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_registry_is_consistent),
		cmocka_unit_test(test_what_is_negotiable_today),
		cmocka_unit_test(test_type_names),
	};

	return cmocka_run_group_tests_name("transform", tests, NULL, NULL);
}
