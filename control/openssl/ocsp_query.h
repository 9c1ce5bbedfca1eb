// One question to an OCSP responder and the judgement on its answer (RFC 6960), by OpenSSL's
// OCSP_*.
//
// An answer counts when the certificate's issuer has signed it, or somebody whom the issuer itself
// has made a responder by a certificate with id-kp-OCSPSigning (4.2.2.2); not with SHA-1; when it
// is about this certificate, has our nonce or none, and is of now. Whether a responder's own
// certificate is revoked is not asked.
//
// Ownership: a query is the caller's.
// Errors:    -errno with a sentence about the answer; outputs stay untouched.
#pragma once

#include <stdint.h>

#include <openssl/ocsp.h>

#include "control/openssl/cred_name.h"
#include "lib/error.h"

struct ocsp_query { // a zeroed struct is empty
	OCSP_REQUEST *request;
	OCSP_CERTID *id;
	X509 *issuer; // counted
};

enum ocsp_word { OCSP_SAYS_GOOD, OCSP_SAYS_REVOKED, OCSP_SAYS_UNKNOWN };

struct ocsp_status {
	enum ocsp_word word;
	int64_t until;				    // it counts, in seconds since 1970
	char revoked_at[CRED_TIME_MAX], reason[32]; // "": it says none
};

int ocsp_query_make(X509 *x, X509 *issuer, struct ocsp_query *out); // -ENOMEM
void ocsp_query_fini(struct ocsp_query *q);
// The request in DER, to be freed with OPENSSL_free. -ENOMEM.
int ocsp_query_encode(const struct ocsp_query *q, uint8_t **der, size_t *len);
// `now` in seconds since 1970. -EBADMSG: no OCSP response; -EAGAIN: the responder has none;
// -EACCES: not signed as it has to be; -ESTALE: not of now, or the answer to another question.
int ocsp_judge(const struct ocsp_query *q, const uint8_t *der, size_t len, int64_t now,
	       struct ocsp_status *out, struct error *err);
