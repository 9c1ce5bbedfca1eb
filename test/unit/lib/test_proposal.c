#include "test/unit/lib/check.h"

#include "lib/transform.h"

static struct proposal parsed(const char *text, enum protocol_id protocol)
{
	struct proposal p;
	struct error err = {0};

	if (proposal_parse(text, protocol, &p, &err))
		fail_msg("\"%s\": %s", text, err.text);
	return p;
}

static void test_parse_and_format(void **state)
{
	static const struct {
		enum protocol_id protocol;
		const char *text, *printed, *why;
	} rows[] = {
		{PROTO_IKE, "aes128gcm16-prfsha256-x25519",
		 "IKE:AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE_25519", "AEAD"},
		{PROTO_IKE, "x25519-prfsha256-aes128gcm16",
		 "IKE:AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE_25519", "order of types is free"},
		{PROTO_IKE, "aes256-sha384-ecp384",
		 "IKE:AES_CBC_256/HMAC_SHA2_384_192/PRF_HMAC_SHA2_384/ECP_384",
		 "the PRF follows the integrity algorithm"},
		{PROTO_IKE, "aes256gcm16-sha384-ecp384",
		 "IKE:AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_384",
		 "beside an AEAD the hash is the PRF's"},
		{PROTO_IKE, "aes256gcm16-sha384-prfsha512-ecp384",
		 "IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/ECP_384",
		 "and nothing with a PRF of its own"},
		{PROTO_IKE, "aes128-sha256-prfsha512-modp2048",
		 "IKE:AES_CBC_128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_512/MODP_2048",
		 "a PRF of its own wins"},
		{PROTO_IKE, "aes256-aes128-sha512-sha256-ecp256-x25519",
		 "IKE:AES_CBC_256/AES_CBC_128/HMAC_SHA2_512_256/HMAC_SHA2_256_128/"
		 "PRF_HMAC_SHA2_512/PRF_HMAC_SHA2_256/ECP_256/CURVE_25519",
		 "several of a type keep their order"},
		{PROTO_IKE, "aes128-aes128-sha256-x25519-curve25519",
		 "IKE:AES_CBC_128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/CURVE_25519",
		 "the same twice counts once"},
		{PROTO_ESP, "aes128gcm16", "ESP:AES_GCM_16_128/NO_EXT_SEQ", "noesn is implied"},
		{PROTO_ESP, "aes256gcm16-noesn", "ESP:AES_GCM_16_256/NO_EXT_SEQ", "noesn is said"},
		{PROTO_ESP, "aes128gcm16-aes256gcm16-x25519",
		 "ESP:AES_GCM_16_128/AES_GCM_16_256/CURVE_25519/NO_EXT_SEQ", "with a group"},
		{PROTO_ESP, "default",
		 "ESP:AES_GCM_16_128/AES_GCM_16_192/AES_GCM_16_256/NO_EXT_SEQ", "default"},
		{PROTO_ESP, "aes256-sha512-ecp384-esn",
		 "ESP:AES_CBC_256/HMAC_SHA2_512_256/ECP_384/EXT_SEQ", "CBC with HMAC and ESN"},
		{PROTO_ESP, "aes128ctr-aesxcbc-esn-noesn",
		 "ESP:AES_CTR_128/AES_XCBC_96/EXT_SEQ/NO_EXT_SEQ", "either kind of numbers"},
		{PROTO_ESP, "null-sha1", "ESP:NULL/HMAC_SHA1_96/NO_EXT_SEQ", "integrity only"},
		{PROTO_ESP, "aes256gmac", "ESP:NULL_AES_GMAC_256/NO_EXT_SEQ",
		 "integrity only, AEAD"},
		{PROTO_ESP, "chacha20poly1305", "ESP:CHACHA20_POLY1305/NO_EXT_SEQ", "ChaCha"},
		{PROTO_IKE, "default",
		 "IKE:AES_GCM_16_128/AES_GCM_16_256/CHACHA20_POLY1305/PRF_HMAC_SHA2_256/"
		 "PRF_HMAC_SHA2_384/PRF_HMAC_SHA2_512/CURVE_25519/ECP_256/ECP_384/ECP_521/"
		 "CURVE_448/MODP_3072/MODP_4096/MODP_2048",
		 "default"},
		{PROTO_IKE, "aes128ctr-sha256-modp3072",
		 "IKE:AES_CTR_128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_3072", "counter mode"},
		{PROTO_IKE, "aes256ctr-aes256-sha512-x448",
		 "IKE:AES_CTR_256/AES_CBC_256/HMAC_SHA2_512_256/PRF_HMAC_SHA2_512/CURVE_448",
		 "counter mode shares a proposal with CBC"},
		{PROTO_IKE, "chacha20poly1305-aes128gcm8-prfsha256-ecp521",
		 "IKE:CHACHA20_POLY1305/AES_GCM_8_128/PRF_HMAC_SHA2_256/ECP_521", "AEADs together"},
		{PROTO_IKE, "aes128-sha1-modp8192",
		 "IKE:AES_CBC_128/HMAC_SHA1_96/PRF_HMAC_SHA1/MODP_8192",
		 "SHA-1 when it is named, as integrity and as PRF"},
		{PROTO_IKE, "aes256gcm12-prfsha1-modp6144",
		 "IKE:AES_GCM_12_256/PRF_HMAC_SHA1/MODP_6144", "a PRF alone"},
		{PROTO_ESP, "aes256gcm16-modp4096-x448-none",
		 "ESP:AES_GCM_16_256/MODP_4096/CURVE_448/NONE/NO_EXT_SEQ",
		 "a group if the peer has one"},
	};
	char text[PROPOSAL_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct proposal p = parsed(rows[i].text, rows[i].protocol);

		CHECK_TEXT(proposal_format(&p, text, sizeof(text)), rows[i].printed, rows[i].why);
		CHECK_INT(p.protocol, rows[i].protocol, rows[i].why);
		CHECK_INT(p.number, 0, rows[i].why);
	}
}

static void test_bad_proposals_say_why(void **state)
{
	static const struct {
		enum protocol_id protocol;
		const char *text;
		int err;
		const char *says; // part of the sentence
	} rows[] = {
		{PROTO_IKE, "aes129-sha256-x25519", -EINVAL,
		 "unknown algorithm 'aes129' in proposal 'aes129-sha256-x25519', did you mean "
		 "'aes128'?"},
		{PROTO_IKE, "aes128gcm16-prfsha257-x25519", -EINVAL, "did you mean 'prfsha256'?"},
		{PROTO_IKE, "rot13-sha256-x25519", -EINVAL, "unknown algorithm 'rot13'"},
		{PROTO_IKE, "", -EINVAL, "empty algorithm"},
		{PROTO_IKE, "aes128--x25519", -EINVAL, "empty algorithm"},
		{PROTO_IKE, "aes128-sha256-x25519-", -EINVAL, "empty algorithm"},
		{PROTO_IKE, "aes128gcm16, aes256gcm16", -EINVAL, "unknown algorithm"},
		{PROTO_IKE, "aes128gcm16-aes128-sha256-x25519", -EINVAL, "two proposals"},
		{PROTO_IKE, "aes128-prfsha256-x25519", -EINVAL, "needs an integrity algorithm"},
		{PROTO_IKE, "aes128gcm16-x25519", -EINVAL, "no PRF"},
		{PROTO_IKE, "aes128-sha256", -EINVAL, "no key exchange"},
		{PROTO_IKE, "sha256-prfsha256-x25519", -EINVAL, "no encryption"},
		{PROTO_IKE, "aes128-sha256-x25519-noesn", -EINVAL,
		 "'noesn' (sequence numbers) does not belong in the IKE proposal"},
		{PROTO_ESP, "aes128gcm16-prfsha256", -EINVAL,
		 "'prfsha256' (prf) does not belong in the ESP proposal"},
		{PROTO_ESP, "noesn", -EINVAL, "no encryption"},
		{PROTO_IKE, "aes128ctr-prfsha256-x25519", -EINVAL,
		 "'aes128ctr' needs an integrity algorithm"},
		{PROTO_IKE, "aes128-prfsha256-x25519", -EINVAL, "RFC 7296 3.3.3, RFC 8221 4"},
		{PROTO_IKE, "chacha20poly1305-aes128ctr-sha256-x25519", -EINVAL, "two proposals"},
		{PROTO_IKE, "aes128ccm16-prfsha256-x25519", -ENOTSUP,
		 "'aes128ccm16' is known, but not available yet for IKE"},
		{PROTO_ESP, "aes128ccm16", -ENOTSUP,
		 "'aes128ccm16' is known, but not available yet for ESP"},
		{PROTO_IKE, "aes128-aesxcbc-modp2048", -ENOTSUP,
		 "available for integrity: sha256, sha384, sha512, sha1"},
		{PROTO_IKE, "aes128-sha256-ecp256bp", -ENOTSUP,
		 "available for key exchange: x25519, ecp256, ecp384, ecp521, x448, modp3072, "
		 "modp4096, modp6144, modp8192, modp2048"},
		{PROTO_IKE, "aes128-sha256-none", -ENOTSUP, "always exchanges keys"},
		{PROTO_IKE, "serpent256-sha256-x25519", -ENOTSUP,
		 "'serpent256' is refused: it has no number at IANA"},
		{PROTO_ESP, "aes128gcm16-ntru256", -ENOTSUP, "'ntru256' is refused"},
		{PROTO_IKE, "chacha20poly1305compat-prfsha256-x25519", -ENOTSUP, "RFC 7634 3"},
		{PROTO_ESP, "aes128-aescmac", -ENOTSUP,
		 "available for integrity: sha256, sha384, sha512, sha1, aesxcbc"},
		{PROTO_ESP, "aes128gcm16-sha256", -EINVAL, "authenticates by itself"},
		{PROTO_ESP, "aes128gmac-sha256", -EINVAL, "authenticates by itself"},
		{PROTO_ESP, "aes128gmac-aes128-sha256", -EINVAL, "two proposals"},
		{PROTO_ESP, "null", -EINVAL, "'null' needs an integrity algorithm"},
		{PROTO_ESP, "aes128", -EINVAL, "RFC 8221 4"},
		// RFC 8221 5 and 6: MUST NOT
		{PROTO_ESP, "des-sha256", -ENOTSUP, "MUST NOT"},
		{PROTO_ESP, "blowfish-sha256", -ENOTSUP, "MUST NOT"},
		{PROTO_ESP, "aes128-md5", -ENOTSUP, "MUST NOT"},
		{PROTO_ESP, "null-md5_128", -ENOTSUP, "MUST NOT"},
		{PROTO_IKE, "null-sha256-x25519", -ENOTSUP, "always encrypted"},
		{PROTO_IKE, "des-sha256-x25519", -ENOTSUP, "'des' is refused: 56-bit keys"},
		{PROTO_ESP, "3des-sha256", -ENOTSUP, "'3des' is refused: its 64-bit blocks"},
		{PROTO_IKE, "aes128-md5-x25519", -ENOTSUP, "'md5' is refused: MD5"},
		{PROTO_IKE, "aes128gcm16-prfmd5-x25519", -ENOTSUP, "'prfmd5' is refused"},
		{PROTO_IKE, "aes128-sha256-modp768", -ENOTSUP, "'modp768' is refused"},
		{PROTO_IKE, "aes128-sha256-modp1024", -ENOTSUP, "RFC 8247 2.4"},
		{PROTO_IKE, "aes128-sha256-modp1536", -ENOTSUP, "'modp1536' is refused"},
		{PROTO_IKE, "aes128-sha256-modp1024s160", -ENOTSUP, "small subgroups"},
		{PROTO_AH, "sha256", -ENOTSUP, "IKE and ESP only"},
		{PROTO_NONE, "default", -ENOTSUP, "IKE and ESP only"},
		{PROTO_IKE, "aes128-averyveryveryverylongwordthatisnoalgorithm", -EINVAL,
		 "'averyveryveryverylongwordthatisnoalgorithm'"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct proposal p, before;
		struct error err = {0};

		memset(&p, 0x5a, sizeof(p));
		before = p;
		CHECK_INT(proposal_parse(rows[i].text, rows[i].protocol, &p, &err), rows[i].err,
			  rows[i].text);
		if (!strstr(err.text, rows[i].says))
			fail_msg("%s: \"%s\" lacks \"%s\"", rows[i].text, err.text, rows[i].says);
		CHECK_ROW(!memcmp(&p, &before, sizeof(p)), "the output is untouched on failure");
		CHECK_INT(proposal_parse(rows[i].text, rows[i].protocol, &p, NULL), rows[i].err,
			  "without an error to fill");
	}
}

static void test_defaults(void **state)
{
	static const char *const by_name_only[] = {"sha1", "prfsha1", "modp6144", "modp8192"};
	struct proposal_list list;
	char text[PROPOSAL_TEXT_MAX];

	(void)state;
	proposal_defaults(PROTO_IKE, &list);
	assert_int_equal(list.n, 2);
	assert_string_equal(proposal_format(&list.p[1], text, sizeof(text)),
			    "IKE:AES_CBC_128/AES_CBC_256/HMAC_SHA2_256_128/HMAC_SHA2_384_192/"
			    "HMAC_SHA2_512_256/PRF_HMAC_SHA2_256/PRF_HMAC_SHA2_384/"
			    "PRF_HMAC_SHA2_512/CURVE_25519/ECP_256/ECP_384/ECP_521/CURVE_448/"
			    "MODP_3072/MODP_4096/MODP_2048");
	// RFC 7296 3.3: an AEAD and other ciphers never share a proposal.
	assert_null(proposal_first(&list.p[0], TRANSFORM_INTEG));
	assert_non_null(proposal_first(&list.p[1], TRANSFORM_INTEG));
	// As strongSwan 5.9 offers.
	proposal_defaults(PROTO_ESP, &list);
	assert_int_equal(list.n, 2);
	assert_string_equal(proposal_format(&list.p[0], text, sizeof(text)),
			    "ESP:AES_GCM_16_128/AES_GCM_16_192/AES_GCM_16_256/NO_EXT_SEQ");
	assert_string_equal(proposal_format(&list.p[1], text, sizeof(text)),
			    "ESP:AES_CBC_128/AES_CBC_192/AES_CBC_256/HMAC_SHA2_256_128/"
			    "HMAC_SHA2_384_192/HMAC_SHA2_512_256/HMAC_SHA1_96/AES_XCBC_96/"
			    "NO_EXT_SEQ");
	// Every algorithm of the defaults can be negotiated.
	for (int protocol = PROTO_IKE; protocol <= PROTO_ESP; protocol += 2) {
		proposal_defaults((enum protocol_id)protocol, &list);
		for (uint8_t i = 0; i < list.n; i++)
			for (uint8_t k = 0; k < list.p[i].n; k++) {
				const struct transform_info *info = transform_find(&list.p[i].t[k]);

				assert_non_null(info);
				assert_true(protocol == PROTO_IKE ? info->ike : info->esp);
			}
	}
	// What RFC 8247 only tolerates, or costs a stranger less than us, must be asked for.
	proposal_defaults(PROTO_IKE, &list);
	for (size_t i = 0; i < COUNT(by_name_only); i++) {
		const struct transform_info *info = transform_find_keyword(by_name_only[i]);
		struct transform t = {info->type, info->id, info->key_bits};

		CHECK_ROW(!proposal_has(&list.p[0], &t) && !proposal_has(&list.p[1], &t),
			  by_name_only[i]);
	}
	proposal_defaults(PROTO_AH, &list);
	assert_int_equal(list.n, 0);
}

static void test_first_and_has(void **state)
{
	struct proposal p = parsed("aes256gcm16-aes128gcm16-prfsha256-x25519", PROTO_IKE);
	struct transform t = {TRANSFORM_ENCR, ENCR_AES_GCM_16, 128};

	(void)state;
	assert_int_equal(proposal_first(&p, TRANSFORM_ENCR)->key_bits, 256);
	assert_null(proposal_first(&p, TRANSFORM_INTEG));
	assert_true(proposal_has(&p, &t));
	t.key_bits = 192;
	assert_false(proposal_has(&p, &t));
}

static void test_format_unknown_and_small(void **state)
{
	struct proposal p = {.protocol = PROTO_ESP,
			     .n = 3,
			     .t = {{TRANSFORM_ENCR, 77, 128}, {TRANSFORM_SN, 0, 0}, {9, 9, 9}}};
	char text[PROPOSAL_TEXT_MAX], small[12];

	(void)state;
	assert_string_equal(proposal_format(&p, text, sizeof(text)),
			    "ESP:ENCR_(77)_128/NO_EXT_SEQ");
	assert_string_equal(proposal_format(&p, small, sizeof(small)), "ESP:ENCR_(7");
	// As many of the longest names as a proposal holds.
	p.n = PROPOSAL_TRANSFORMS_MAX;
	for (uint8_t i = 0; i < p.n; i++)
		p.t[i] = (struct transform){TRANSFORM_ENCR, 28, 65535};
	proposal_format(&p, text, sizeof(text));
	assert_string_equal(text + strlen(text) - 23, "CHACHA20_POLY1305_65535");
}

// --- choosing ---------------------------------------------------------------------------------

// Proposals separated by blanks; "#n:" before one sets its number, else they count from 1.
static struct proposal_list listed(const char *text, enum protocol_id protocol)
{
	struct proposal_list list = {0};
	char copy[512], *save, *word;

	snprintf(copy, sizeof(copy), "%s", text);
	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		unsigned number = list.n + 1;

		if (word[0] == '#') {
			number = (unsigned)strtoul(word + 1, &word, 10);
			word++;
		}
		list.p[list.n] = parsed(word, protocol);
		list.p[list.n++].number = (uint8_t)number;
	}
	return list;
}

static void test_choose(void **state)
{
	static const struct {
		enum protocol_id protocol;
		const char *ours, *theirs;
		const char *chosen; // NULL: none
		int number;
		const char *why;
	} rows[] = {
		{PROTO_IKE, "aes128gcm16-prfsha256-x25519", "aes128gcm16-prfsha256-x25519",
		 "IKE:AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE_25519", 1, "the same"},
		{PROTO_IKE, "aes128gcm16-aes256gcm16-prfsha256-prfsha384-x25519-ecp256",
		 "aes256gcm16-aes128gcm16-prfsha384-ecp256-x25519",
		 "IKE:AES_GCM_16_128/PRF_HMAC_SHA2_384/CURVE_25519", 1,
		 "our order decides within a type"},
		{PROTO_IKE, "aes128gcm16-prfsha256-x25519 aes256-sha256-x25519",
		 "#3:aes256-sha256-x25519 #7:aes128gcm16-prfsha256-x25519",
		 "IKE:AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE_25519", 7,
		 "our order decides between proposals, their number is the answer's"},
		{PROTO_IKE, "aes128gcm16-prfsha256-x25519 aes256-sha256-x25519",
		 "aes256-sha256-x25519",
		 "IKE:AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/CURVE_25519", 1,
		 "our second when the first does not do"},
		{PROTO_IKE, "aes128gcm16-prfsha256-x25519", "aes256gcm16-prfsha256-x25519", NULL, 0,
		 "another key length is another algorithm"},
		{PROTO_IKE, "aes128gcm16-prfsha256-x25519", "aes128gcm16-prfsha256-ecp256", NULL, 0,
		 "one type without a match spoils the proposal"},
		{PROTO_IKE, "aes128gcm16-prfsha256-x25519 aes128gcm16-prfsha384-ecp256",
		 "aes128gcm16-prfsha256-ecp256 aes128gcm16-prfsha384-x25519", NULL, 0,
		 "types of different proposals are not mixed"},
		{PROTO_ESP, "aes128gcm16", "aes256gcm16-aes128gcm16",
		 "ESP:AES_GCM_16_128/NO_EXT_SEQ", 1, "ESP"},
		{PROTO_ESP, "aes128gcm16", "aes128gcm16-x25519", NULL, 0,
		 "they insist on a group, we have none"},
		{PROTO_ESP, "aes128gcm16-x25519", "aes128gcm16", NULL, 0,
		 "we insist on a group, they have none"},
		{PROTO_ESP, "aes128gcm16-modp3072-x25519", "aes128gcm16-x25519-modp3072",
		 "ESP:AES_GCM_16_128/MODP_3072/NO_EXT_SEQ", 1, "our order of groups decides"},
		{PROTO_ESP, "aes128gcm16-x448-none", "aes128gcm16", "ESP:AES_GCM_16_128/NO_EXT_SEQ",
		 1, "we can do without a group"},
		{PROTO_ESP, "aes128gcm16-x448-none", "aes128gcm16-x448",
		 "ESP:AES_GCM_16_128/CURVE_448/NO_EXT_SEQ", 1, "but take theirs"},
		{PROTO_ESP, "aes128gcm16-x448-none", "aes128gcm16-x25519-none",
		 "ESP:AES_GCM_16_128/NONE/NO_EXT_SEQ", 1, "both can do without"},
		{PROTO_ESP, "aes128gcm16-x25519", "aes128gcm16-x448-none", NULL, 0,
		 "we insist, they would do without"},
		{PROTO_IKE, "chacha20poly1305-prfsha256-x25519",
		 "aes128gcm16-chacha20poly1305-prfsha256-x25519",
		 "IKE:CHACHA20_POLY1305/PRF_HMAC_SHA2_256/CURVE_25519", 1, "no key length"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct proposal_list ours = listed(rows[i].ours, rows[i].protocol);
		struct proposal_list theirs = listed(rows[i].theirs, rows[i].protocol);
		struct proposal chosen = {.number = 99};
		char text[PROPOSAL_TEXT_MAX];
		int err = proposal_choose(&ours, &theirs, false, &chosen);

		if (!rows[i].chosen) {
			CHECK_INT(err, -ENOENT, rows[i].why);
			CHECK_INT(chosen.number, 99, rows[i].why);
			continue;
		}
		CHECK_INT(err, 0, rows[i].why);
		CHECK_TEXT(proposal_format(&chosen, text, sizeof(text)), rows[i].chosen,
			   rows[i].why);
		CHECK_INT(chosen.number, rows[i].number, rows[i].why);
		CHECK_ROW(proposal_is_answer_to(&chosen, &theirs, false), rows[i].why);
	}
}

static void test_defaults_meet_most_peers(void **state)
{
	static const char *const peers[] = {
		"aes256gcm16-prfsha384-ecp521",	  "chacha20poly1305-prfsha512-x448",
		"aes256-sha256-modp4096",	  "aes128-sha512-modp3072",
		"aes128gcm16-prfsha256-modp2048", "aes256-sha384-prfsha256-x25519",
	};
	struct proposal_list ours;

	(void)state;
	proposal_defaults(PROTO_IKE, &ours);
	for (size_t i = 0; i < COUNT(peers); i++) {
		struct proposal_list theirs = listed(peers[i], PROTO_IKE);
		struct proposal chosen;

		CHECK_INT(proposal_choose(&ours, &theirs, false, &chosen), 0, peers[i]);
		CHECK_INT(proposal_choose(&theirs, &ours, false, &chosen), 0, peers[i]);
	}
}

static void test_first_child_ignores_the_group(void **state)
{
	struct proposal_list ours = listed("aes128gcm16-x25519", PROTO_ESP);
	struct proposal_list theirs = listed("aes128gcm16-ecp384", PROTO_ESP);
	struct proposal chosen;

	(void)state;
	assert_int_equal(proposal_choose(&ours, &theirs, false, &chosen), -ENOENT);
	assert_int_equal(proposal_choose(&ours, &theirs, true, &chosen), 0);
	assert_null(proposal_first(&chosen, TRANSFORM_KE));
	assert_true(proposal_is_answer_to(&chosen, &theirs, true));
	assert_false(proposal_is_answer_to(&chosen, &theirs, false));
}

static void test_none_is_said_or_left_out(void **state)
{
	struct proposal_list ours = listed("aes128gcm16", PROTO_ESP), theirs = ours;
	struct proposal chosen;
	const struct transform integ_none = {TRANSFORM_INTEG, INTEG_NONE, 0};
	const struct transform ke_none = {TRANSFORM_KE, KE_NONE, 0};

	(void)state;
	// RFC 7296 3.3.3: with an AEAD they may write INTEG NONE; the answer repeats it.
	theirs.p[0].t[theirs.p[0].n++] = integ_none;
	theirs.p[0].t[theirs.p[0].n++] = ke_none;
	theirs.p[0].t[theirs.p[0].n++] = (struct transform){TRANSFORM_KE, KE_ECP_256, 0};
	assert_int_equal(proposal_choose(&ours, &theirs, false, &chosen), 0);
	assert_true(proposal_has(&chosen, &integ_none));
	assert_true(proposal_has(&chosen, &ke_none));
	assert_int_equal(chosen.n, 4);
	assert_true(proposal_is_answer_to(&chosen, &theirs, false));
	// And the other way round: they leave out what we would write.
	assert_int_equal(proposal_choose(&theirs, &ours, false, &chosen), 0);
	assert_int_equal(chosen.n, 2);
	assert_true(proposal_is_answer_to(&chosen, &theirs, false)); // left out is NONE
	// An integrity algorithm with an AEAD and no NONE beside it cannot be left out.
	theirs = ours;
	theirs.p[0].t[theirs.p[0].n++] =
		(struct transform){TRANSFORM_INTEG, INTEG_HMAC_SHA2_256_128, 0};
	assert_int_equal(proposal_choose(&ours, &theirs, false, &chosen), -ENOENT);
}

static void test_choose_wants_every_mandatory_type(void **state)
{
	struct proposal_list ours = listed("aes128gcm16", PROTO_ESP), theirs = ours;
	struct proposal chosen;

	(void)state;
	theirs.p[0].n = 1; // RFC 7296 3.3.3: the sequence number transform is mandatory in ESP
	assert_int_equal(proposal_choose(&ours, &theirs, false, &chosen), -ENOENT);
	theirs.n = 0;
	assert_int_equal(proposal_choose(&ours, &theirs, false, &chosen), -ENOENT);
	// RFC 7296 3.3.6: an unknown transform type makes that proposal unacceptable, no other.
	theirs = listed("aes128gcm16 aes128gcm16", PROTO_ESP);
	theirs.p[0].t[theirs.p[0].n++] = (struct transform){6, 35, 0};
	assert_int_equal(proposal_choose(&ours, &theirs, false, &chosen), 0);
	assert_int_equal(chosen.number, 2);
	theirs.n = 1;
	assert_int_equal(proposal_choose(&ours, &theirs, false, &chosen), -ENOENT);
	// Another protocol with the same transforms.
	theirs = ours;
	theirs.p[0].protocol = PROTO_AH;
	assert_int_equal(proposal_choose(&ours, &theirs, false, &chosen), -ENOENT);
}

static void test_answer_must_come_from_the_offer(void **state)
{
	static const struct {
		const char *answer;
		bool good;
		const char *why;
	} rows[] = {
		{"#1:aes128gcm16-prfsha256-x25519", true, "from the first"},
		{"#1:aes256gcm16-prfsha256-ecp256", true, "from the first, other choices"},
		{"#2:aes256-sha256-x25519", true, "from the second"},
		{"#2:aes128gcm16-prfsha256-x25519", false, "the number of another proposal"},
		{"#3:aes128gcm16-prfsha256-x25519", false, "a number never offered"},
		{"#1:aes192gcm16-prfsha256-x25519", false, "a key length never offered"},
		{"#1:aes128gcm16-prfsha512-x25519", false, "a PRF never offered"},
		{"#1:aes128gcm16-aes256gcm16-prfsha256-x25519", false, "two of a type"},
		{"#2:aes256-sha256-prfsha256-prfsha384-x25519", false, "one more than offered"},
		{"#1:aes256-sha256-x25519", false, "the second under the first's number"},
	};
	struct proposal_list offer = listed(
		"aes128gcm16-aes256gcm16-prfsha256-x25519-ecp256 aes256-sha256-x25519", PROTO_IKE);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct proposal_list answer = listed(rows[i].answer, PROTO_IKE);

		CHECK_INT(proposal_is_answer_to(&answer.p[0], &offer, false), rows[i].good,
			  rows[i].why);
	}
}

static void test_answer_with_missing_or_strange_types(void **state)
{
	struct proposal_list offer = listed("aes128gcm16-prfsha256-x25519", PROTO_IKE);
	struct proposal good = offer.p[0], bad;

	(void)state;
	assert_true(proposal_is_answer_to(&good, &offer, false));
	for (uint8_t i = 0; i < good.n; i++) {
		bad = good;
		bad.t[i] = bad.t[--bad.n];
		assert_false(proposal_is_answer_to(&bad, &offer, false));
	}
	bad = good;
	bad.t[bad.n++] = (struct transform){9, 1, 0};
	assert_false(proposal_is_answer_to(&bad, &offer, false));
	bad = good;
	bad.t[bad.n++] = (struct transform){TRANSFORM_INTEG, INTEG_HMAC_SHA2_256_128, 0};
	assert_false(proposal_is_answer_to(&bad, &offer, false));
	bad = good;
	bad.t[bad.n++] = (struct transform){TRANSFORM_INTEG, INTEG_NONE, 0};
	assert_true(proposal_is_answer_to(&bad, &offer, false)); // NONE said aloud
	bad = good;
	bad.protocol = PROTO_ESP;
	assert_false(proposal_is_answer_to(&bad, &offer, false));
	// An offer without numbers (never on the wire) is compared by its transforms alone.
	offer.p[0].number = 0;
	bad = good;
	bad.number = 5;
	assert_true(proposal_is_answer_to(&bad, &offer, false));
	bad.n = 0;
	assert_false(proposal_is_answer_to(&bad, &offer, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_and_format),
		cmocka_unit_test(test_bad_proposals_say_why),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_first_and_has),
		cmocka_unit_test(test_format_unknown_and_small),
		cmocka_unit_test(test_choose),
		cmocka_unit_test(test_defaults_meet_most_peers),
		cmocka_unit_test(test_first_child_ignores_the_group),
		cmocka_unit_test(test_none_is_said_or_left_out),
		cmocka_unit_test(test_choose_wants_every_mandatory_type),
		cmocka_unit_test(test_answer_must_come_from_the_offer),
		cmocka_unit_test(test_answer_with_missing_or_strange_types),
	};

	return cmocka_run_group_tests_name("proposal", tests, NULL, NULL);
}
