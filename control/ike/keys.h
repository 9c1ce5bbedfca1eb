// Keys of an IKE SA and of its children (RFC 7296 2.13 to 2.17).
//
// Ownership: structs own their secrets; _fini wipes them.
// Errors:    0 or -errno of the crypto; outputs stay untouched on failure.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "control/ike/ike_crypto.h"
#include "lib/identity.h"
#include "lib/limits.h"
#include "lib/secret.h"
#include "lib/transform.h"

struct ike_nonce {
	size_t len; // bytes
	uint8_t data[LIMIT_IKE_NONCE_MAX];
};

struct ike_suite {		      // what was negotiated, with the sizes that go with it
	struct transform encr, integ; // integ: INTEG_NONE with an AEAD
	uint16_t prf, ke_group;
	size_t encr_key_len, integ_key_len, prf_len; // bytes
	size_t iv_len, block_len, icv_len;	     // bytes
};

struct ike_keys {
	struct secret d;      // for the keys of children
	struct secret ai, ar; // integrity; empty with an AEAD
	struct secret ei, er; // encryption, salt included
	struct secret pi, pr; // for AUTH
};

struct child_keys {
	struct secret encr_i, integ_i; // exchange initiator to responder
	struct secret encr_r, integ_r; // and back
};

// The suite of a chosen IKE proposal. -ENOTSUP for what is not in the registry.
int ike_suite_of(const struct proposal *chosen, struct ike_suite *out);

int ike_keys_derive(const struct ike_crypto *c, const struct ike_suite *suite,
		    const struct ike_nonce *ni, const struct ike_nonce *nr,
		    const struct secret *shared, const uint8_t spi_i[8], const uint8_t spi_r[8],
		    struct ike_keys *out);
// The same for an IKE SA that replaces another one (RFC 7296 2.18): `old_prf` and `old_d` are the
// PRF and SK_d of that one.
int ike_keys_rekey(const struct ike_crypto *c, const struct ike_suite *suite, uint16_t old_prf,
		   const struct secret *old_d, const struct ike_nonce *ni,
		   const struct ike_nonce *nr, const struct secret *shared, const uint8_t spi_i[8],
		   const uint8_t spi_r[8], struct ike_keys *out);
void ike_keys_fini(struct ike_keys *k);

// KEYMAT of a child (RFC 7296 2.17). `shared`: g^ir of its own key exchange, empty without one.
int child_keys_derive(const struct ike_crypto *c, const struct ike_suite *suite,
		      const struct secret *sk_d, const struct ike_nonce *ni,
		      const struct ike_nonce *nr, const struct secret *shared,
		      const struct proposal *esp, struct child_keys *out);
void child_keys_fini(struct child_keys *k);

// prf(SK_p, identity), the last part of what AUTH covers (RFC 7296 2.15). *len: in, room; out, bytes.
int ike_auth_maced_id(const struct ike_crypto *c, const struct ike_suite *suite,
		      const struct secret *sk_p, const struct identity *id, uint8_t *out,
		      size_t *len);
// AUTH with a shared key (RFC 7296 2.15) over one side's IKE_SA_INIT message, the other side's
// nonce and prf(SK_p, identity). *len: in, room; out, bytes.
int ike_auth_psk(const struct ike_crypto *c, const struct ike_suite *suite,
		 const struct secret *psk, const struct secret *sk_p, const struct ike_buf *message,
		 const struct ike_nonce *nonce, const struct identity *id, uint8_t *out,
		 size_t *len);
