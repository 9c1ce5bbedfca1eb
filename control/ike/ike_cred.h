// Certificates and the signatures that prove who holds their keys, as one small interface: the
// core is pure and gets this table with `struct ike_env`. control/openssl/cred.h implements it.
//
// Connections go by their names, because credentials outlive neither a reload nor the connection.
// Errors: 0 or -errno with a sentence in *err that says which certificate, and why; -ENOMEM;
//         outputs stay untouched on failure.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "control/ike/ike_crypto.h"
#include "lib/error.h"
#include "lib/identity.h"
#include "lib/limits.h"

enum ike_auth_method { // RFC 7296 3.8, RFC 4754, RFC 7427
	AUTH_RSA = 1,
	AUTH_SHARED_KEY = 2,
	AUTH_ECDSA_256 = 9,
	AUTH_ECDSA_384 = 10,
	AUTH_ECDSA_521 = 11,
	AUTH_DIGITAL_SIGNATURE = 14,
};

#define IKE_SIGNATURE_MAX 2200 // bytes of AUTH data: RSA 16384 and its AlgorithmIdentifier
#define IKE_CA_ID_LEN	  20   // bytes: SHA-1 of a CA's SubjectPublicKeyInfo (RFC 7296 3.7)

struct ike_certs { // DER, the end entity's first; borrowed
	size_t n;
	struct ike_buf cert[LIMIT_IKE_CERTS];
};

struct ike_signature {	// what a peer has sent, and what it has to cover
	uint8_t method; // enum ike_auth_method
	struct ike_buf data;
	struct ike_buf octets; // RFC 7296 2.15
	unsigned peer_hashes;  // that the peer announced (RFC 7427 4), AUTH_HASH_BITs; 0: did not
};

#define IKE_CERT_NAME_MAX 160
#define IKE_CERT_TIME_MAX 24

struct ike_cert_info { // a certificate, for a person
	char subject[IKE_CERT_NAME_MAX], issuer[IKE_CERT_NAME_MAX];
	char not_before[IKE_CERT_TIME_MAX], not_after[IKE_CERT_TIME_MAX]; // UTC
};

struct ike_cred {
	void *ctx; // first argument of every call

	// Our identity where the configuration leaves it to the certificate: its subject.
	int (*local_id)(void *ctx, const char *conn, struct identity *out);
	// Our certificates, without the root. With several to choose from, one whose CA is among
	// `cas` (n identifiers of IKE_CA_ID_LEN) is taken, otherwise the first. Borrowed until the
	// call of ike_step returns. `sign` uses the same one.
	int (*chain)(void *ctx, const char *conn, const uint8_t *cas, size_t n,
		     struct ike_certs *out, struct error *err);
	// AUTH data over `octets` with the key of that certificate. *len: in, room; out, bytes.
	int (*sign)(void *ctx, const char *conn, const struct ike_certs *own, unsigned peer_hashes,
		    const struct ike_buf *octets, uint8_t *method, uint8_t *out, size_t *len,
		    struct error *err);
	// Is the peer who it says, by its certificates and signature and the connection's rules?
	// -EINPROGRESS: that depends on whether a certificate is revoked, and nobody knows yet; it
	// has been asked. *wait then names the answer, of which IKE_EV_GO_ON tells, and *err says
	// what is waited for. With `wait` NULL it decides by what is there.
	int (*verify)(void *ctx, const char *conn, const struct identity *peer,
		      const struct ike_certs *certs, const struct ike_signature *sig,
		      uint32_t *wait, struct error *err);
	// Adds the CAs that the connection accepts to `out`, those that are there already left out.
	// *n: identifiers there before and afterwards, LIMIT_IKE_CERTREQ_CAS at most.
	void (*cas)(void *ctx, const char *conn, uint8_t *out, size_t *n);
	// What a certificate says of itself. -EBADMSG. NULL: nobody can tell.
	int (*describe)(void *ctx, const struct ike_buf *cert, struct ike_cert_info *out);
};
