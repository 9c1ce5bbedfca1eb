// Cookies of a responder (RFC 7296 2.6): whoever began IKE_SA_INIT with a forged address never sees
// one, and until it is shown we hold nothing.
//
// The keys change every COOKIE_SECRET_MS; the one before is accepted as long again. The dataplane's
// guard works with the same keys (lib/ike_cookie.h).
//
// Threads:   control only.
// Ownership: the jar owns its keys. The zeroed struct makes its first one when it is used.
// Errors:    -errno of the cryptography or -ENOMEM; -EBADMSG for a message that gets no answer.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/ike/ike_crypto.h"
#include "control/ike/message.h"
#include "lib/addr.h"
#include "lib/ike_cookie.h"

enum { COOKIE_SECRET_MS = 60000 };

struct cookie_jar {
	struct ike_cookie_keys keys;
	bool filled;
	uint64_t made_ms;
};

// Makes the key that is due. *changed says whether there is a new one.
int cookie_jar_refresh(struct cookie_jar *jar, const struct ike_crypto *c, uint64_t now_ms,
		       bool *changed);
void cookie_jar_fini(struct cookie_jar *jar);

// Does this IKE_SA_INIT request carry a cookie that we have given to that address? *shown says
// whether it carries any.
bool cookie_proved(struct cookie_jar *jar, const struct ike_crypto *c, uint64_t now_ms,
		   const struct ike_msg *m, const struct ip_addr *from, bool *shown);
// Builds the answer that asks for one, which is never longer than the request. -EBADMSG when that
// is no IKE_SA_INIT request, or shorter.
int cookie_reply(struct cookie_jar *jar, const struct ike_crypto *c, uint64_t now_ms,
		 const struct ike_msg *m, const struct ip_addr *from,
		 uint8_t out[IKE_COOKIE_REPLY_LEN]);
