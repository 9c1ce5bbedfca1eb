// How a side proves its identity: by a pre-shared key, or by the signature of a key that a
// certificate vouches for, and which keys and hashes are good enough. Read as strongSwan reads
// local.auth and remote.auth.
//
// Ownership: values without pointers.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

enum auth_kind { AUTH_BY_PSK, AUTH_BY_SIGNATURE };

enum auth_key { // a set, as bits
	AUTH_KEY_RSA = 1 << 0,
	AUTH_KEY_ECDSA = 1 << 1,
	AUTH_KEY_ED25519 = 1 << 2,
	AUTH_KEY_ED448 = 1 << 3,
};

enum auth_hash { // RFC 7427 7 (IANA "IKEv2 Hash Algorithms"); RFC 8420 for the last
	HASH_SHA1 = 1,
	HASH_SHA2_256 = 2,
	HASH_SHA2_384 = 3,
	HASH_SHA2_512 = 4,
	HASH_IDENTITY = 5, // Ed25519 and Ed448: the message itself is signed
};

#define AUTH_HASH_BIT(hash) (1u << (hash))
// What we accept and announce. SHA-1 MUST NOT be used (RFC 7427 3, RFC 8247 3.2).
#define AUTH_HASHES                                                                                \
	(AUTH_HASH_BIT(HASH_SHA2_256) | AUTH_HASH_BIT(HASH_SHA2_384) |                             \
	 AUTH_HASH_BIT(HASH_SHA2_512) | AUTH_HASH_BIT(HASH_IDENTITY))

struct auth_rule {
	enum auth_kind kind;
	uint8_t keys;		       // set of auth_key, 0: any
	uint16_t hashes;	       // set of AUTH_HASH_BIT, 0: any of AUTH_HASHES
	uint16_t rsa_bits, ecdsa_bits; // at least; 0: any
	bool pss;      // RSASSA-PSS instead of PKCS#1 v1.5; as a constraint: nothing else
	bool ike_only; // the hashes are for IKE's signature, not for those in certificates
};

// "psk", "pubkey", "rsa-2048-sha256", "rsa/pss", "ecdsa-256-sha256-sha384", "ed25519",
// "ike:pubkey-sha384". -EINVAL with what is wrong, -ENOTSUP for EAP and XAuth.
int auth_rule_parse(const char *text, struct auth_rule *out, struct error *err);
// "pre-shared key", "public key", "RSA-PSS key of 2048 bits or more with SHA2_256".
#define AUTH_RULE_TEXT_MAX 128
char *auth_rule_format(const struct auth_rule *rule, char *buf, size_t size);
bool auth_rule_equal(const struct auth_rule *a, const struct auth_rule *b);
const char *auth_hash_name(unsigned hash); // "SHA2_256"
// "SHA2_256, SHA2_384"
char *auth_hashes_format(unsigned hashes, char *buf, size_t size);
