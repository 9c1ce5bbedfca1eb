// Asks the servers that certificates and authorities name whether a peer's certificate is revoked:
// OCSP by POST (RFC 6960 A.1), CRLs by GET. Serves control/openssl/revocation.h and tells ike_run
// when an IKE_AUTH that waited may go on.
//
// So many questions are asked at once (lib/limits.h); others stand in line.
//
// Threads:   control only.
// Ownership: it owns the struct revocation, which credentials borrow.
// Errors:    -ENOMEM; what goes wrong with a server is logged with its URL.
#pragma once

#include <event2/event.h>

#include "control/openssl/revocation.h"

struct revocation_fetch;

// `ready` may ask again.
int revocation_fetch_create(struct event_base *base, revocation_ready *ready, void *ctx,
			    struct revocation_fetch **out);
void revocation_fetch_destroy(struct revocation_fetch *f); // NULL is allowed
struct revocation *revocation_fetch_answers(struct revocation_fetch *f);
// Another time than those of lib/limits.h, for tests.
void revocation_fetch_set_time(struct revocation_fetch *f, unsigned attempt_ms);
