// AUTH data by signature (RFC 7296 2.15, RFC 7427, RFC 8420, RFC 4754) with OpenSSL 3 EVP.
//
// A peer that announces hashes (SIGNATURE_HASH_ALGORITHMS) gets and has to send method 14. One that
// does not gets the old methods: ECDSA over P-256, P-384 and P-521, and RSA, which there means
// SHA-1.
//
// Errors: -EACCES when it does not verify or is not allowed, -ENOTSUP when we cannot make it; *err
//         says why in a sentence. Outputs stay untouched on failure.
#pragma once

#include <openssl/evp.h>

#include "control/ike/ike_cred.h"
#include "lib/auth_rule.h"

int signature_make(EVP_PKEY *key, const struct auth_rule *rule, unsigned peer_hashes,
		   const struct ike_buf *octets, uint8_t *method, uint8_t *out, size_t *len,
		   struct error *err);
int signature_check(EVP_PKEY *key, const struct auth_rule *rule, const struct ike_signature *sig,
		    struct error *err);
// Is the key of the kind and size that the rule wants? -EACCES.
int signature_key_check(EVP_PKEY *key, const struct auth_rule *rule, struct error *err);
// "RSA 2048", "ECDSA P-256", "Ed25519".
char *signature_key_name(EVP_PKEY *key, char *buf, size_t size);
