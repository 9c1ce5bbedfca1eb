// One key exchange of ours (RFC 7296 2.14, 1.3) and nonces (2.10): made, written into a message,
// completed with the peer's public value.
//
// Ownership: a struct kex owns its private half until kex_fini; a zeroed struct is empty.
// Errors:    0 or -errno of the crypto; outputs stay untouched on failure.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/ike/builder.h"
#include "control/ike/ike.h"
#include "control/ike/keys.h"
#include "control/ike/payload.h"

struct kex {
	struct ike_ke *ke;
	uint16_t group; // KE_NONE: empty
};

enum { IKE_NONCE_LEN = 32 }; // bytes: half the key of every PRF we have (RFC 7296 2.10)

int nonce_new(const struct ike_env *env, struct ike_nonce *nonce);
// The lower one of two, as octet strings (RFC 7296 2.8.1).
const struct ike_nonce *nonce_lower(const struct ike_nonce *a, const struct ike_nonce *b);
bool nonce_is_lower(const struct ike_nonce *a, const struct ike_nonce *b);

// Replaces what was in *k. -ENOTSUP for a group that the crypto does not have.
int kex_new(const struct ike_env *env, uint16_t group, struct kex *k);
// Adds the KE payload.
int kex_build(struct ike_builder *b, const struct ike_env *env, const struct kex *k);
// g^ir. -EBADMSG for a public value that is none.
int kex_derive(const struct ike_env *env, const struct kex *k, const struct ike_ke_payload *peer,
	       struct secret *shared);
void kex_fini(const struct ike_env *env, struct kex *k);
