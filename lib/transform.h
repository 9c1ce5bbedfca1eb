// The algorithms of IKE and ESP and the proposals made of them (RFC 7296 3.3, RFC 8221,
// RFC 8247), with strongSwan's proposal keywords: "aes128gcm16-prfsha256-x25519".
//
// One registry (transform.c) holds every algorithm: number, keyword, sizes. All layers ask it.
// Ownership: values without pointers, copied by assignment.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

enum transform_type { // RFC 7296 3.3.2
	TRANSFORM_ENCR = 1,
	TRANSFORM_PRF = 2,
	TRANSFORM_INTEG = 3,
	TRANSFORM_KE = 4,
	TRANSFORM_SN = 5, // "Sequence Numbers" (RFC 9827), once ESN
};

enum protocol_id { PROTO_NONE = 0, PROTO_IKE = 1, PROTO_AH = 2, PROTO_ESP = 3 };

enum { // the numbers of IANA's ikev2-parameters that we know by name
	ENCR_NULL = 11,
	ENCR_AES_CBC = 12,
	ENCR_AES_CTR = 13,
	ENCR_AES_GCM_8 = 18,
	ENCR_AES_GCM_12 = 19,
	ENCR_AES_GCM_16 = 20,
	ENCR_NULL_AUTH_AES_GMAC = 21,
	ENCR_CHACHA20_POLY1305 = 28,
	PRF_HMAC_SHA1 = 2,
	PRF_HMAC_SHA2_256 = 5,
	PRF_HMAC_SHA2_384 = 6,
	PRF_HMAC_SHA2_512 = 7,
	INTEG_NONE = 0,
	INTEG_HMAC_SHA1_96 = 2,
	INTEG_AES_XCBC_96 = 5,
	INTEG_HMAC_SHA2_256_128 = 12,
	INTEG_HMAC_SHA2_384_192 = 13,
	INTEG_HMAC_SHA2_512_256 = 14,
	KE_NONE = 0,
	KE_MODP_2048 = 14,
	KE_MODP_3072 = 15,
	KE_MODP_4096 = 16,
	KE_MODP_6144 = 17,
	KE_MODP_8192 = 18,
	KE_ECP_256 = 19,
	KE_ECP_384 = 20,
	KE_ECP_521 = 21,
	KE_CURVE25519 = 31,
	KE_CURVE448 = 32,
	SN_32BIT = 0,
	SN_ESN = 1,
};

struct transform {
	uint8_t type;
	uint16_t id;
	uint16_t key_bits; // 0 where the algorithm has one size only
};

struct transform_info {
	uint8_t type;
	uint16_t id;
	uint16_t key_bits;	// as in struct transform
	const char *keyword;	// strongSwan's: "aes128gcm16"; NULL when it cannot be configured
	const char *name;	// strongSwan's log and vici name: "AES_GCM_16", "HMAC_SHA2_256_128"
	uint8_t key_len;	// bytes of key, salt included (ENCR, INTEG, PRF preferred length)
	uint8_t salt_len;	// bytes (ENCR)
	uint8_t iv_len;		// bytes on the wire (ENCR)
	uint8_t block_len;	// bytes plaintext is padded to (ENCR), at least 1
	uint8_t icv_len;	// bytes (AEAD, INTEG)
	bool aead;
	bool ike, esp;		// negotiable here for that protocol today
	const char *refused;	// why it is never accepted; NULL when it is not refused
};

// NULL when unknown.
const struct transform_info *transform_find(const struct transform *t);
const struct transform_info *transform_find_keyword(const char *keyword);
// The i-th algorithm of the registry, NULL past the last: for whoever lists them all.
const struct transform_info *transform_at(size_t i);
// Why a keyword of strongSwan's that stands for no algorithm of IANA's is refused; NULL for others.
const char *transform_foreign_keyword(const char *keyword);
// "AES_GCM_16_128", "PRF_HMAC_SHA2_256", "CURVE_25519", or "ENCR_(77)" when unknown.
#define TRANSFORM_TEXT_MAX 40
char *transform_format(const struct transform *t, char *buf, size_t size);
const char *transform_type_name(uint8_t type); // "encryption", "prf", ...

#define PROPOSAL_TRANSFORMS_MAX 32
#define PROPOSALS_MAX 16
#define PROPOSAL_TEXT_MAX (PROPOSAL_TRANSFORMS_MAX * TRANSFORM_TEXT_MAX + 8)

struct proposal {
	uint8_t protocol; // enum protocol_id
	uint8_t number;	  // of the SA payload, 0 when not on the wire
	uint8_t n;
	struct transform t[PROPOSAL_TRANSFORMS_MAX]; // in order of preference for each type
};

struct proposal_list {
	uint8_t n;
	struct proposal p[PROPOSALS_MAX];
};

// Reads one keyword proposal, or "default". For IKE a PRF missing from the text is derived from
// the integrity algorithms as strongSwan does; for ESP the SN_32BIT transform is added unless
// "esn"/"noesn" say otherwise. -EINVAL with the offending keyword and the nearest known one;
// -ENOTSUP for an algorithm that is known but refused or not built yet, with the reason.
int proposal_parse(const char *text, enum protocol_id protocol, struct proposal *p,
		   struct error *err);
// Our default proposals: AEAD and non-AEAD apart (RFC 7296 3.3), the best first.
void proposal_defaults(enum protocol_id protocol, struct proposal_list *out);
// As strongSwan prints it: "IKE:AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE_25519".
char *proposal_format(const struct proposal *p, char *buf, size_t size);
// First transform of that type, or NULL.
const struct transform *proposal_first(const struct proposal *p, uint8_t type);
bool proposal_has(const struct proposal *p, const struct transform *t);
// Chooses (RFC 7296 2.7): walks `ours` in order, takes the first that matches one of `theirs`;
// *chosen holds exactly one transform of each type and the number of their proposal. With
// `ignore_ke` (first child of IKE_AUTH, RFC 7296 1.2) key exchange transforms are left out.
// -ENOENT when none matches.
int proposal_choose(const struct proposal_list *ours, const struct proposal_list *theirs,
		    bool ignore_ke, struct proposal *chosen);
// True when `answer` (one transform per type) is a valid choice from `offer`.
bool proposal_is_answer_to(const struct proposal *answer, const struct proposal_list *offer,
			   bool ignore_ke);
