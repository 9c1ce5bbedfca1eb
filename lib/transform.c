#include "lib/transform.h"

#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

// Key lengths in bits stand in the keyword and in the Key Length attribute (RFC 7296 3.3.5);
// with GCM and CCM the salt is part of the keying material (RFC 4106 8.1, RFC 4309 7.1).
#define GCM(id_, bits_, icv_, kw_)                                                                 \
	{                                                                                          \
		.type = TRANSFORM_ENCR, .id = (id_), .key_bits = (bits_), .keyword = (kw_),        \
		.name = "AES_GCM_" #icv_, .key_len = (bits_) / 8 + 4, .salt_len = 4, .iv_len = 8,  \
		.block_len = 1, .icv_len = (icv_), .aead = true, .ike = true, .esp = true          \
	}
#define CCM(id_, bits_, icv_, kw_)                                                                 \
	{                                                                                          \
		.type = TRANSFORM_ENCR, .id = (id_), .key_bits = (bits_), .keyword = (kw_),        \
		.name = "AES_CCM_" #icv_, .key_len = (bits_) / 8 + 3, .salt_len = 3, .iv_len = 8,  \
		.block_len = 1, .icv_len = (icv_), .aead = true                                    \
	}
#define CBC(id_, bits_, kw_, name_, here_)                                                         \
	{                                                                                          \
		.type = TRANSFORM_ENCR, .id = (id_), .key_bits = (bits_), .keyword = (kw_),        \
		.name = (name_), .key_len = (bits_) / 8, .iv_len = 16, .block_len = 16,            \
		.ike = (here_), .esp = (here_)                                                     \
	}
#define CTR(bits_, kw_)                                                                            \
	{                                                                                          \
		.type = TRANSFORM_ENCR, .id = ENCR_AES_CTR, .key_bits = (bits_), .keyword = (kw_), \
		.name = "AES_CTR", .key_len = (bits_) / 8 + 4, .salt_len = 4, .iv_len = 8,         \
		.block_len = 1, .ike = true, .esp = true                                           \
	}
#define GMAC(bits_, kw_)                                                                           \
	{                                                                                          \
		.type = TRANSFORM_ENCR, .id = ENCR_NULL_AUTH_AES_GMAC, .key_bits = (bits_),        \
		.keyword = (kw_), .name = "NULL_AES_GMAC", .key_len = (bits_) / 8 + 4,             \
		.salt_len = 4, .iv_len = 8, .block_len = 1, .icv_len = 16, .aead = true,           \
		.esp = true                                                                        \
	}
// Not built here: only the names, for reports.
#define CAMELLIA(id_, bits_, mode_, kw_)                                                           \
	{                                                                                          \
		.type = TRANSFORM_ENCR, .id = (id_), .key_bits = (bits_), .keyword = (kw_),        \
		.name = "CAMELLIA_" mode_, .block_len = 1                                          \
	}
#define ENCR_REFUSED(id_, kw_, name_, why_)                                                        \
	{                                                                                          \
		.type = TRANSFORM_ENCR, .id = (id_), .keyword = (kw_), .name = (name_),            \
		.block_len = 8, .refused = (why_)                                                  \
	}
#define PRF(id_, len_, kw_, name_, ike_, why_)                                                     \
	{                                                                                          \
		.type = TRANSFORM_PRF, .id = (id_), .keyword = (kw_), .name = (name_),             \
		.key_len = (len_), .ike = (ike_), .refused = (why_)                                \
	}
#define INTEG(id_, len_, icv_, kw_, name_, ike_, esp_, why_)                                       \
	{                                                                                          \
		.type = TRANSFORM_INTEG, .id = (id_), .keyword = (kw_), .name = (name_),           \
		.key_len = (len_), .icv_len = (icv_), .ike = (ike_), .esp = (esp_),                \
		.refused = (why_)                                                                  \
	}
// The group of a CHILD_SA is the IKE SA's registry again: what one may use, the other may.
#define KE(id_, kw_, name_, here_, why_)                                                           \
	{                                                                                          \
		.type = TRANSFORM_KE, .id = (id_), .keyword = (kw_), .name = (name_),              \
		.ike = (here_), .esp = (here_), .refused = (why_)                                  \
	}
#define SN(id_, kw_, name_)                                                                        \
	{                                                                                          \
		.type = TRANSFORM_SN, .id = (id_), .keyword = (kw_), .name = (name_), .esp = true  \
	}

static const char des_why[] = "56-bit keys are broken (MUST NOT, RFC 8247 2.1, RFC 8221 5)";
static const char tdes_why[] =
	"its 64-bit blocks leak after a few gigabytes (SHOULD NOT, RFC 8221 5)";
static const char bf_why[] = "its 64-bit blocks leak after a few gigabytes (MUST NOT, RFC 8221 5)";
static const char cast_why[] =
	"its 64-bit blocks leak after a few gigabytes, as those of 3DES (RFC 8221 5)";
static const char prf_md5_why[] = "MD5 is obsolete (MUST NOT, RFC 8247 2.2)";
static const char md5_why[] = "MD5 is obsolete (MUST NOT, RFC 8247 2.3, RFC 8221 6)";
static const char broken_why[] = "the group is small enough to be broken (MUST NOT, RFC 8247 2.4)";
static const char small_why[] = "the group is too small to be safe (SHOULD NOT, RFC 8247 2.4)";
static const char curve_why[] = "the curve gives less than 112 bits of security";
static const char dsa_160_why[] = "its small subgroups cannot be trusted (MUST NOT, RFC 8247 2.4)";
static const char dsa_why[] = "its small subgroups cannot be trusted (SHOULD NOT, RFC 8247 2.4)";

static const struct transform_info registry[] = {
	GCM(ENCR_AES_GCM_16, 128, 16, "aes128gcm16"),
	GCM(ENCR_AES_GCM_16, 192, 16, "aes192gcm16"),
	GCM(ENCR_AES_GCM_16, 256, 16, "aes256gcm16"),
	GCM(ENCR_AES_GCM_12, 128, 12, "aes128gcm12"),
	GCM(ENCR_AES_GCM_12, 192, 12, "aes192gcm12"),
	GCM(ENCR_AES_GCM_12, 256, 12, "aes256gcm12"),
	GCM(ENCR_AES_GCM_8, 128, 8, "aes128gcm8"),
	GCM(ENCR_AES_GCM_8, 192, 8, "aes192gcm8"),
	GCM(ENCR_AES_GCM_8, 256, 8, "aes256gcm8"),
	CBC(ENCR_AES_CBC, 128, "aes128", "AES_CBC", true),
	CBC(ENCR_AES_CBC, 192, "aes192", "AES_CBC", true),
	CBC(ENCR_AES_CBC, 256, "aes256", "AES_CBC", true),
	CTR(128, "aes128ctr"),
	CTR(192, "aes192ctr"),
	CTR(256, "aes256ctr"),
	CCM(14, 128, 8, "aes128ccm8"),
	CCM(14, 192, 8, "aes192ccm8"),
	CCM(14, 256, 8, "aes256ccm8"),
	CCM(15, 128, 12, "aes128ccm12"),
	CCM(15, 192, 12, "aes192ccm12"),
	CCM(15, 256, 12, "aes256ccm12"),
	CCM(16, 128, 16, "aes128ccm16"),
	CCM(16, 192, 16, "aes192ccm16"),
	CCM(16, 256, 16, "aes256ccm16"),
	GMAC(128, "aes128gmac"),
	GMAC(192, "aes192gmac"),
	GMAC(256, "aes256gmac"),
	CBC(23, 128, "camellia128", "CAMELLIA_CBC", false),
	CBC(23, 192, "camellia192", "CAMELLIA_CBC", false),
	CBC(23, 256, "camellia256", "CAMELLIA_CBC", false),
	CAMELLIA(24, 128, "CTR", "camellia128ctr"),
	CAMELLIA(24, 192, "CTR", "camellia192ctr"),
	CAMELLIA(24, 256, "CTR", "camellia256ctr"),
	CAMELLIA(25, 128, "CCM_8", "camellia128ccm8"),
	CAMELLIA(25, 192, "CCM_8", "camellia192ccm8"),
	CAMELLIA(25, 256, "CCM_8", "camellia256ccm8"),
	CAMELLIA(26, 128, "CCM_12", "camellia128ccm12"),
	CAMELLIA(26, 192, "CCM_12", "camellia192ccm12"),
	CAMELLIA(26, 256, "CCM_12", "camellia256ccm12"),
	CAMELLIA(27, 128, "CCM_16", "camellia128ccm16"),
	CAMELLIA(27, 192, "CCM_16", "camellia192ccm16"),
	CAMELLIA(27, 256, "CCM_16", "camellia256ccm16"),
	{.type = TRANSFORM_ENCR,
	 .id = ENCR_CHACHA20_POLY1305,
	 .keyword = "chacha20poly1305",
	 .name = "CHACHA20_POLY1305",
	 .key_len = 36,
	 .salt_len = 4,
	 .iv_len = 8,
	 .block_len = 1,
	 .icv_len = 16,
	 .aead = true,
	 .ike = true,
	 .esp = true},
	{.type = TRANSFORM_ENCR,
	 .id = ENCR_NULL,
	 .keyword = "null",
	 .name = "NULL",
	 .block_len = 1,
	 .esp = true},
	ENCR_REFUSED(2, "des", "DES_CBC", des_why),
	ENCR_REFUSED(3, "3des", "3DES_CBC", tdes_why),
	ENCR_REFUSED(6, "cast128", "CAST_CBC", cast_why),
	ENCR_REFUSED(7, "blowfish", "BLOWFISH_CBC", bf_why),

	PRF(PRF_HMAC_SHA2_256, 32, "prfsha256", "PRF_HMAC_SHA2_256", true, NULL),
	PRF(PRF_HMAC_SHA2_384, 48, "prfsha384", "PRF_HMAC_SHA2_384", true, NULL),
	PRF(PRF_HMAC_SHA2_512, 64, "prfsha512", "PRF_HMAC_SHA2_512", true, NULL),
	PRF(PRF_HMAC_SHA1, 20, "prfsha1", "PRF_HMAC_SHA1", true, NULL),
	PRF(4, 16, "prfaesxcbc", "PRF_AES128_XCBC", false, NULL),
	PRF(8, 16, "prfaescmac", "PRF_AES128_CMAC", false, NULL),
	PRF(1, 16, "prfmd5", "PRF_HMAC_MD5", false, prf_md5_why),

	INTEG(INTEG_HMAC_SHA2_256_128, 32, 16, "sha256", "HMAC_SHA2_256_128", true, true, NULL),
	INTEG(INTEG_HMAC_SHA2_384_192, 48, 24, "sha384", "HMAC_SHA2_384_192", true, true, NULL),
	INTEG(INTEG_HMAC_SHA2_512_256, 64, 32, "sha512", "HMAC_SHA2_512_256", true, true, NULL),
	INTEG(INTEG_HMAC_SHA1_96, 20, 12, "sha1", "HMAC_SHA1_96", true, true, NULL),
	INTEG(7, 20, 20, "sha1_160", "HMAC_SHA1_160", false, false, NULL),
	INTEG(INTEG_AES_XCBC_96, 16, 12, "aesxcbc", "AES_XCBC_96", false, true, NULL),
	INTEG(8, 16, 12, "aescmac", "AES_CMAC_96", false, false, NULL),
	INTEG(1, 16, 12, "md5", "HMAC_MD5_96", false, false, md5_why),
	INTEG(6, 16, 16, "md5_128", "HMAC_MD5_128", false, false, md5_why),
	{.type = TRANSFORM_INTEG, .id = INTEG_NONE, .name = "NONE"},

	KE(KE_CURVE25519, "x25519", "CURVE_25519", true, NULL),
	KE(KE_ECP_256, "ecp256", "ECP_256", true, NULL),
	KE(KE_ECP_384, "ecp384", "ECP_384", true, NULL),
	KE(KE_ECP_521, "ecp521", "ECP_521", true, NULL),
	KE(KE_CURVE448, "x448", "CURVE_448", true, NULL),
	KE(KE_MODP_3072, "modp3072", "MODP_3072", true, NULL),
	KE(KE_MODP_4096, "modp4096", "MODP_4096", true, NULL),
	KE(KE_MODP_6144, "modp6144", "MODP_6144", true, NULL),
	KE(KE_MODP_8192, "modp8192", "MODP_8192", true, NULL),
	KE(KE_MODP_2048, "modp2048", "MODP_2048", true, NULL),
	KE(26, "ecp224", "ECP_224", false, NULL),
	KE(27, "ecp224bp", "ECP_224_BP", false, NULL),
	KE(28, "ecp256bp", "ECP_256_BP", false, NULL),
	KE(29, "ecp384bp", "ECP_384_BP", false, NULL),
	KE(30, "ecp512bp", "ECP_512_BP", false, NULL),
	KE(35, "mlkem512", "ML_KEM_512", false, NULL),
	KE(36, "mlkem768", "ML_KEM_768", false, NULL),
	KE(37, "mlkem1024", "ML_KEM_1024", false, NULL),
	KE(1, "modp768", "MODP_768", false, broken_why),
	KE(2, "modp1024", "MODP_1024", false, small_why),
	KE(5, "modp1536", "MODP_1536", false, small_why),
	KE(25, "ecp192", "ECP_192", false, curve_why),
	KE(22, "modp1024s160", "MODP_1024_160", false, dsa_160_why),
	KE(23, "modp2048s224", "MODP_2048_224", false, dsa_why),
	KE(24, "modp2048s256", "MODP_2048_256", false, dsa_why),
	{.type = TRANSFORM_KE, .id = KE_NONE, .keyword = "none", .name = "NONE", .esp = true},

	SN(SN_32BIT, "noesn", "NO_EXT_SEQ"),
	SN(SN_ESN, "esn", "EXT_SEQ"),
};

// strongSwan's other spellings.
static const struct {
	const char *alias, *keyword;
} aliases[] = {
	{"aes", "aes128"},
	{"aes128gcm", "aes128gcm16"},
	{"aes192gcm", "aes192gcm16"},
	{"aes256gcm", "aes256gcm16"},
	{"aes128gcm128", "aes128gcm16"},
	{"aes192gcm128", "aes192gcm16"},
	{"aes256gcm128", "aes256gcm16"},
	{"aes128gcm96", "aes128gcm12"},
	{"aes192gcm96", "aes192gcm12"},
	{"aes256gcm96", "aes256gcm12"},
	{"aes128gcm64", "aes128gcm8"},
	{"aes192gcm64", "aes192gcm8"},
	{"aes256gcm64", "aes256gcm8"},
	{"aes128ccm64", "aes128ccm8"},
	{"aes192ccm64", "aes192ccm8"},
	{"aes256ccm64", "aes256ccm8"},
	{"aes128ccm96", "aes128ccm12"},
	{"aes192ccm96", "aes192ccm12"},
	{"aes256ccm96", "aes256ccm12"},
	{"aes128ccm", "aes128ccm16"},
	{"aes192ccm", "aes192ccm16"},
	{"aes256ccm", "aes256ccm16"},
	{"aes128ccm128", "aes128ccm16"},
	{"aes192ccm128", "aes192ccm16"},
	{"aes256ccm128", "aes256ccm16"},
	{"camellia", "camellia128"},
	{"camellia256ccm128", "camellia256ccm16"},
	{"camellia256ccm96", "camellia256ccm12"},
	{"camellia256ccm64", "camellia256ccm8"},
	{"camellia192ccm128", "camellia192ccm16"},
	{"camellia192ccm96", "camellia192ccm12"},
	{"camellia192ccm64", "camellia192ccm8"},
	{"camellia128ccm128", "camellia128ccm16"},
	{"camellia128ccm96", "camellia128ccm12"},
	{"camellia128ccm64", "camellia128ccm8"},
	{"blowfish128", "blowfish"},
	{"blowfish192", "blowfish"},
	{"blowfish256", "blowfish"},
	{"sha", "sha1"},
	{"sha2_256", "sha256"},
	{"sha2_384", "sha384"},
	{"sha2_512", "sha512"},
	{"curve25519", "x25519"},
	{"curve448", "x448"},
	{"modpnone", "none"},
};

static const char private_why[] = "it has no number at IANA, only one among strongSwans";
static const char sha256_96_why[] = "HMAC-SHA-256 is cut to 128 bits, never to 96 (RFC 4868 2.3)";

// strongSwan's keywords without a number of IANA's.
static const struct {
	const char *keyword, *why;
} foreign[] = {
	{"serpent", private_why},
	{"serpent128", private_why},
	{"serpent192", private_why},
	{"serpent256", private_why},
	{"twofish", private_why},
	{"twofish128", private_why},
	{"twofish192", private_why},
	{"twofish256", private_why},
	{"chacha20poly1305compat", "RFC 7634 3 gives ChaCha20-Poly1305 no key length"},
	{"sha256_96", sha256_96_why},
	{"sha2_256_96", sha256_96_why},
	{"camelliaxcbc", private_why},
	{"prfcamelliaxcbc", private_why},
	{"modpnull", "it exchanges no key"},
	{"ntru112", private_why},
	{"ntru128", private_why},
	{"ntru192", private_why},
	{"ntru256", private_why},
	{"newhope128", private_why},
};

const struct transform_info *transform_find(const struct transform *t)
{
	for (size_t i = 0; i < COUNT(registry); i++)
		if (registry[i].type == t->type && registry[i].id == t->id &&
		    registry[i].key_bits == t->key_bits)
			return &registry[i];
	return NULL;
}

const struct transform_info *transform_find_keyword(const char *keyword)
{
	for (size_t i = 0; i < COUNT(aliases); i++)
		if (!strcmp(aliases[i].alias, keyword))
			keyword = aliases[i].keyword;
	for (size_t i = 0; i < COUNT(registry); i++)
		if (registry[i].keyword && !strcmp(registry[i].keyword, keyword))
			return &registry[i];
	return NULL;
}

const char *transform_foreign_keyword(const char *keyword)
{
	for (size_t i = 0; i < COUNT(foreign); i++)
		if (!strcmp(foreign[i].keyword, keyword))
			return foreign[i].why;
	return NULL;
}

const struct transform_info *transform_at(size_t i)
{
	return i < COUNT(registry) ? &registry[i] : NULL;
}

const char *transform_type_name(uint8_t type)
{
	switch (type) {
	case TRANSFORM_ENCR:
		return "encryption";
	case TRANSFORM_PRF:
		return "prf";
	case TRANSFORM_INTEG:
		return "integrity";
	case TRANSFORM_KE:
		return "key exchange";
	case TRANSFORM_SN:
		return "sequence numbers";
	default:
		return "unknown transform type";
	}
}

// The name of the algorithm whatever its key length, NULL when unknown.
static const char *name_of(const struct transform *t)
{
	for (size_t i = 0; i < COUNT(registry); i++)
		if (registry[i].type == t->type && registry[i].id == t->id)
			return registry[i].name;
	return NULL;
}

char *transform_format(const struct transform *t, char *buf, size_t size)
{
	static const char *const prefix[] = {"TYPE_0", "ENCR_", "PRF_", "INTEG_", "KE_", "SN_"};
	const char *name = name_of(t);
	char unknown[24];

	if (name && !t->key_bits && strlen(name) < size) // nearly always
		return memcpy(buf, name, strlen(name) + 1);
	if (!name) {
		if (t->type == 0 || t->type >= COUNT(prefix))
			snprintf(unknown, sizeof(unknown), "TYPE_%u_(%u)", t->type, t->id);
		else
			snprintf(unknown, sizeof(unknown), "%s(%u)", prefix[t->type], t->id);
		name = unknown;
	}
	if (t->key_bits)
		snprintf(buf, size, "%s-%u", name, t->key_bits);
	else
		snprintf(buf, size, "%s", name);
	return buf;
}
