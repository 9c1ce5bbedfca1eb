// One GET or POST over http (RFC 9110, RFC 9112) without waiting, by libevent: CRLs and OCSP
// responses. What comes is bounded in time and size; redirects are not followed.
//
// Threads:   control only.
// Ownership: a fetch is its own and gone when `done` returns, or once it is cancelled.
// Errors:    -ENOMEM; everything else comes as `why`.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "lib/http_url.h"

struct http_fetch;
struct resolver;

struct http_fetch_params { // copied
	const struct http_url *url;
	const char *type; // Content-Type of a POST; NULL: GET
	const uint8_t *body;
	size_t body_len;
	size_t max; // bytes of the answer
	unsigned timeout_ms;
};

// The answer, borrowed; or NULL, and why there is none. Never from within http_fetch_start.
typedef void http_fetch_done(void *ctx, const uint8_t *body, size_t len, const char *why);

int http_fetch_start(struct event_base *base, struct resolver *resolver,
		     const struct http_fetch_params *params, http_fetch_done *done, void *ctx,
		     struct http_fetch **out);
void http_fetch_cancel(struct http_fetch *f); // `done` is not called; NULL is allowed
