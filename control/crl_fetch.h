// CRLs that authorities name by http (crl_uris), fetched in the background: at the start, and again
// long before they run out (RFC 5280 5.1.2.5). No IKE_AUTH waits for one;
// what certificates name is asked by control/revocation_fetch.h.
//
// A CRL counts once a CA of the configuration has signed it. A failure leaves the CRL from before
// in place and is tried again; redirects are not followed.
//
// Threads:   control only.
// Ownership: borrows the credentials until the next crl_fetch_configure.
// Errors:    -ENOMEM; what goes wrong with a server is logged with its URL.
#pragma once

#include <event2/event.h>

#include "config/config.h"
#include "control/openssl/cred.h"

struct crl_fetch;

int crl_fetch_create(struct event_base *base, struct crl_fetch **out);
void crl_fetch_destroy(struct crl_fetch *f); // NULL is allowed
// Other times than those of lib/limits.h, for tests.
void crl_fetch_set_times(struct crl_fetch *f, unsigned attempt_ms, unsigned retry_ms);
// From now on these URLs are fetched for these credentials (NULL: none are needed). A CRL of a URL
// that stays is given to them at once; one that is still missing is asked for at once. On -ENOMEM
// some URLs are not fetched.
int crl_fetch_configure(struct crl_fetch *f, const struct config_files *urls, struct cred *cred);
