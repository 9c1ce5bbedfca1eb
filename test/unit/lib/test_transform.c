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
		{"aes128ctr", 20, 4, 8, 1, 0, false, "RFC 5930 2: 16 of key, 4 of nonce"},
		{"aes192ctr", 28, 4, 8, 1, 0, false, "RFC 5930 2"},
		{"aes256ctr", 36, 4, 8, 1, 0, false, "RFC 5930 2"},
		{"aes128", 16, 0, 16, 16, 0, false, "RFC 3602"},
		{"aes256", 32, 0, 16, 16, 0, false, "RFC 3602"},
		{"prfsha1", 20, 0, 0, 0, 0, false, "RFC 2104 3: as long as the output"},
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
		"aes128gcm16", "aes192gcm16", "aes256gcm16", "aes128gcm12",	 "aes192gcm12",
		"aes256gcm12", "aes128gcm8",  "aes192gcm8",  "aes256gcm8",	 "aes128",
		"aes192",      "aes256",      "aes128ctr",   "aes192ctr",	 "aes256ctr",
		"prfsha1",     "prfsha256",   "prfsha384",   "chacha20poly1305", "prfsha512",
		"sha1",	       "sha256",      "sha384",	     "sha512",		 "x25519",
		"x448",	       "ecp256",      "ecp384",	     "ecp521",		 "modp2048",
		"modp3072",    "modp4096",    "modp6144",    "modp8192",
	};
	static const char *const esp[] = {
		"aes128gcm16", "aes192gcm16", "aes256gcm16", "aes128gcm12", "aes192gcm12",
		"aes256gcm12", "aes128gcm8",  "aes192gcm8",  "aes256gcm8",  "aes128",
		"aes192",      "aes256",      "aes128ctr",   "aes192ctr",   "aes256ctr",
		"aes128gmac",  "aes192gmac",  "aes256gmac",  "null",	    "chacha20poly1305",
		"sha1",	       "sha256",      "sha384",	     "sha512",	    "aesxcbc",
		"x25519",      "x448",	      "ecp256",	     "ecp384",	    "ecp521",
		"modp2048",    "modp3072",    "modp4096",    "modp6144",    "modp8192",
		"none",	       "noesn",	      "esn",
	};
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

// Every keyword that strongSwan reads (its proposal_keywords_static, without the experiments
// with post-quantum drafts) means the same here or has a reason why it is refused.
static void test_every_keyword_of_strongswan(void **state)
{
	static const struct {
		const char *keyword;
		uint8_t type;
		uint16_t id, key_bits;
	} rows[] = {
		{"null", 1, 11, 0},
		{"des", 1, 2, 0},
		{"3des", 1, 3, 0},
		{"aes", 1, 12, 128},
		{"aes128", 1, 12, 128},
		{"aes192", 1, 12, 192},
		{"aes256", 1, 12, 256},
		{"aes128ctr", 1, 13, 128},
		{"aes192ctr", 1, 13, 192},
		{"aes256ctr", 1, 13, 256},
		{"chacha20poly1305", 1, 28, 0},
		{"aes128gmac", 1, 21, 128},
		{"aes192gmac", 1, 21, 192},
		{"aes256gmac", 1, 21, 256},
		{"camellia", 1, 23, 128},
		{"camellia128", 1, 23, 128},
		{"camellia192", 1, 23, 192},
		{"camellia256", 1, 23, 256},
		{"camellia128ctr", 1, 24, 128},
		{"camellia192ctr", 1, 24, 192},
		{"camellia256ctr", 1, 24, 256},
		{"sha", 3, 2, 0},
		{"sha1", 3, 2, 0},
		{"sha1_160", 3, 7, 0},
		{"sha256", 3, 12, 0},
		{"sha2_256", 3, 12, 0},
		{"sha384", 3, 13, 0},
		{"sha2_384", 3, 13, 0},
		{"sha512", 3, 14, 0},
		{"sha2_512", 3, 14, 0},
		{"md5", 3, 1, 0},
		{"md5_128", 3, 6, 0},
		{"aesxcbc", 3, 5, 0},
		{"aescmac", 3, 8, 0},
		{"prfsha1", 2, 2, 0},
		{"prfsha256", 2, 5, 0},
		{"prfsha384", 2, 6, 0},
		{"prfsha512", 2, 7, 0},
		{"prfmd5", 2, 1, 0},
		{"prfaesxcbc", 2, 4, 0},
		{"prfaescmac", 2, 8, 0},
		{"none", 4, 0, 0},
		{"modpnone", 4, 0, 0},
		{"modp768", 4, 1, 0},
		{"modp1024", 4, 2, 0},
		{"modp1536", 4, 5, 0},
		{"modp2048", 4, 14, 0},
		{"modp3072", 4, 15, 0},
		{"modp4096", 4, 16, 0},
		{"modp6144", 4, 17, 0},
		{"modp8192", 4, 18, 0},
		{"ecp192", 4, 25, 0},
		{"ecp224", 4, 26, 0},
		{"ecp256", 4, 19, 0},
		{"ecp384", 4, 20, 0},
		{"ecp521", 4, 21, 0},
		{"modp1024s160", 4, 22, 0},
		{"modp2048s224", 4, 23, 0},
		{"modp2048s256", 4, 24, 0},
		{"ecp224bp", 4, 27, 0},
		{"ecp256bp", 4, 28, 0},
		{"ecp384bp", 4, 29, 0},
		{"ecp512bp", 4, 30, 0},
		{"curve25519", 4, 31, 0},
		{"x25519", 4, 31, 0},
		{"curve448", 4, 32, 0},
		{"x448", 4, 32, 0},
		{"noesn", 5, 0, 0},
		{"esn", 5, 1, 0},
		{"blowfish", 1, 7, 0},
		{"blowfish128", 1, 7, 0},
		{"blowfish192", 1, 7, 0},
		{"blowfish256", 1, 7, 0},
		{"cast128", 1, 6, 0},
	};
	static const char *const foreign[] = {
		"serpent",   "serpent128",  "serpent192",      "serpent256",
		"twofish",   "twofish128",  "twofish192",      "twofish256",
		"sha256_96", "sha2_256_96", "camelliaxcbc",    "chacha20poly1305compat",
		"modpnull",  "newhope128",  "prfcamelliaxcbc", "ntru112",
		"ntru128",   "ntru192",	    "ntru256",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct transform_info *info = transform_find_keyword(rows[i].keyword);

		CHECK_ROW(info, rows[i].keyword);
		CHECK_INT(info->type, rows[i].type, rows[i].keyword);
		CHECK_INT(info->id, rows[i].id, rows[i].keyword);
		CHECK_INT(info->key_bits, rows[i].key_bits, rows[i].keyword);
		CHECK_ROW(!transform_foreign_keyword(rows[i].keyword), rows[i].keyword);
	}
	for (size_t i = 0; i < COUNT(foreign); i++) {
		CHECK_ROW(transform_foreign_keyword(foreign[i]), foreign[i]);
		CHECK_ROW(!transform_find_keyword(foreign[i]), foreign[i]);
	}
	assert_null(transform_foreign_keyword(""));
	assert_null(transform_foreign_keyword("rot13"));
}

// GCM, CCM and Camellia-CCM by key length, and by octets or bits of their ICV.
static void test_every_icv_length(void **state)
{
	static const struct {
		const char *cipher, *mode;
		uint16_t first; // number of the algorithm with the shortest ICV
	} rows[] = {{"aes", "gcm", 18}, {"aes", "ccm", 14}, {"camellia", "ccm", 25}};
	static const char *const icv[][2] = {{"8", "64"}, {"12", "96"}, {"16", "128"}};

	(void)state;
	for (size_t i = 0; i < COUNT(rows) * 3 * 3 * 2; i++) {
		unsigned bits = 128 + 64 * (unsigned)(i % 3), k = (unsigned)(i / 3 % 3);
		const char *suffix = icv[k][i / 9 % 2];
		const struct transform_info *info;
		char keyword[32];

		snprintf(keyword, sizeof(keyword), "%s%u%s%s", rows[i / 18].cipher, bits,
			 rows[i / 18].mode, suffix);
		info = transform_find_keyword(keyword);
		CHECK_ROW(info, keyword);
		CHECK_INT(info->id, rows[i / 18].first + k, keyword);
		CHECK_INT(info->key_bits, bits, keyword);
	}
}

// RFC 8247 and RFC 8221: what MUST NOT or SHOULD NOT be used is refused with chapter and verse.
static void test_refusals_say_why(void **state)
{
	static const struct {
		const char *keyword, *says;
	} rows[] = {
		{"des", "MUST NOT, RFC 8247 2.1, RFC 8221 5"},
		{"3des", "SHOULD NOT, RFC 8221 5"},
		{"blowfish", "MUST NOT, RFC 8221 5"},
		{"cast128", "RFC 8221 5"},
		{"prfmd5", "MUST NOT, RFC 8247 2.2"},
		{"md5", "MUST NOT, RFC 8247 2.3, RFC 8221 6"},
		{"md5_128", "MUST NOT, RFC 8247 2.3, RFC 8221 6"},
		{"modp768", "MUST NOT, RFC 8247 2.4"},
		{"modp1024", "SHOULD NOT, RFC 8247 2.4"},
		{"modp1536", "SHOULD NOT, RFC 8247 2.4"},
		{"modp1024s160", "MUST NOT, RFC 8247 2.4"},
		{"modp2048s224", "SHOULD NOT, RFC 8247 2.4"},
		{"modp2048s256", "SHOULD NOT, RFC 8247 2.4"},
		{"ecp192", "less than 112 bits"},
	};
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct transform_info *info = transform_find_keyword(rows[i].keyword);

		CHECK_ROW(info && info->refused && strstr(info->refused, rows[i].says),
			  rows[i].keyword);
	}
	for (size_t i = 0; transform_at(i); i++)
		n += transform_at(i)->refused != NULL;
	assert_int_equal(n, COUNT(rows));
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
		cmocka_unit_test(test_every_keyword_of_strongswan),
		cmocka_unit_test(test_every_icv_length),
		cmocka_unit_test(test_refusals_say_why),
		cmocka_unit_test(test_type_names),
	};

	return cmocka_run_group_tests_name("transform", tests, NULL, NULL);
}
