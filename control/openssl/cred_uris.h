// The places that a certificate names for asking whether it is revoked: OCSP responders
// (authorityInfoAccess, RFC 5280 4.2.2.1) and CRLs (crlDistributionPoints, 4.2.1.13).
//
// Only http is of use to us; ldap, https and the like count as named.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <openssl/x509.h>

#include "lib/http_url.h"
#include "lib/limits.h"

struct cred_uris {
	bool named; // there is a place, whether we can ask it or not
	size_t n;
	char uri[LIMIT_REVOCATION_URIS][HTTP_URL_MAX + 1]; // valid for http_url_parse
};

void cred_uris_ocsp(X509 *x, struct cred_uris *out); // adds
void cred_uris_crl(X509 *x, struct cred_uris *out);  // adds
// Adds one, unless it is there already or there is no room.
void cred_uris_add(struct cred_uris *u, const char *uri);
