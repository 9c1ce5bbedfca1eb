// What servers have said of whether certificates are revoked: OCSP responses (RFC 6960) and the
// CRLs that certificates name (RFC 5280 4.2.1.13). Asks, keeps the answers until they run out, and
// knows who waits for which.
//
// It outlives credentials: an answer counts for a certificate and its issuer, whatever the
// configuration. It touches no socket: whoever serves it fetches (control/revocation_fetch.h).
//
// Threads:   control only.
// Ownership: entries are its own and good until the next call that asks.
// Errors:    -errno; what was wrong with an answer stays in its entry.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "control/openssl/ocsp_query.h"

struct revocation;

int revocation_create(struct revocation **out); // -ENOMEM
void revocation_destroy(struct revocation *r);	// NULL is allowed
// Seconds since 1970 instead of the clock, for tests. 0: the clock.
void revocation_set_time(struct revocation *r, int64_t seconds);

// ---- whoever serves it ----

struct revocation_question { // borrowed until `ask` returns
	uint32_t id;
	const char *url;     // valid for http_url_parse
	const uint8_t *body; // an OCSP request, to be POSTed; NULL: a CRL, to be had by GET
	size_t len;
};

// The answer comes by revocation_answer, later. -errno: it will not.
typedef int revocation_ask(void *ctx, const struct revocation_question *q);
// What `wait` stands for has been answered.
typedef void revocation_ready(void *ctx, uint32_t wait);

void revocation_serve(struct revocation *r, revocation_ask *ask, revocation_ready *ready,
		      void *ctx);
// `body` NULL: there is none, because of `why`.
void revocation_answer(struct revocation *r, uint32_t id, const uint8_t *body, size_t len,
		       const char *why);

// ---- whoever judges ----

struct revocation_entry {
	bool asking;		   // a first or newer answer is on its way
	bool answered;		   // what follows counts
	struct ocsp_status status; // OCSP
	X509_CRL *crl;		   // CRL
	char why[200];		   // not answered, nor asking: why not
};

// What the responder says of `x`, or the CRL of `issuer` from there: asks when there is nothing,
// or nothing any more. NULL: out of memory, or too many questions.
const struct revocation_entry *revocation_ocsp(struct revocation *r, const char *url, X509 *x,
					       X509 *issuer);
const struct revocation_entry *revocation_crl(struct revocation *r, const char *url, X509 *issuer);
// Asks for a newer one, should that from there have been here for long.
void revocation_crl_renew(struct revocation *r, const char *url, X509 *issuer);
// The CRLs that are there of an issuer, counted; those that have run out as well. Asks nobody.
STACK_OF(X509_CRL) * revocation_crls(struct revocation *r, X509 *issuer);
// A number for the answers to all of these (LIMIT_IKE_CERTS at most), that are being asked for.
// -ENOSPC: too many wait.
int revocation_wait(struct revocation *r, const struct revocation_entry *const *entries, size_t n,
		    uint32_t *wait);
