#include "control/ike/cookie.h"

#include <errno.h>
#include <string.h>

#include "control/ike/payload.h"
#include "lib/secret.h"

int cookie_jar_refresh(struct cookie_jar *jar, const struct ike_crypto *c, uint64_t now_ms,
		       bool *changed)
{
	const uint64_t age = now_ms - jar->made_ms;
	struct ike_cookie_keys *k = &jar->keys;
	uint8_t made[SIPHASH_KEY_LEN];
	int err;

	*changed = false;
	if (jar->filled && age < COOKIE_SECRET_MS)
		return 0;
	err = c->random(c->ctx, made, sizeof(made));
	if (err)
		return err;
	// One that has not been in use for so long is not accepted any more.
	k->has_before = jar->filled && age < 2 * (uint64_t)COOKIE_SECRET_MS;
	memcpy(k->before, k->now, sizeof(made));
	memcpy(k->now, made, sizeof(made));
	wipe(made, sizeof(made));
	k->version++;
	jar->filled = true;
	jar->made_ms = now_ms;
	*changed = true;
	return 0;
}

void cookie_jar_fini(struct cookie_jar *jar)
{
	wipe(jar, sizeof(*jar));
}

static bool cookie_for(const struct ike_msg *m, const struct ip_addr *from,
		       struct ike_cookie_for *out)
{
	const struct ike_payload *nonce = ike_msg_find(m, PAYLOAD_NONCE);
	struct ike_buf ni;

	if (!nonce || payload_nonce_parse(nonce, &ni))
		return false;
	*out = (struct ike_cookie_for){ni.data, ni.len, m->h.spi_i, from};
	return true;
}

bool cookie_proved(struct cookie_jar *jar, const struct ike_crypto *c, uint64_t now_ms,
		   const struct ike_msg *m, const struct ip_addr *from, bool *shown)
{
	struct ike_cookie_for f;
	struct ike_notify n;
	bool changed;

	*shown = ike_msg_notify(m, N_COOKIE, 0, &n);
	return *shown && !cookie_jar_refresh(jar, c, now_ms, &changed) &&
	       cookie_for(m, from, &f) && ike_cookie_check(&jar->keys, &f, n.data, n.len);
}

int cookie_reply(struct cookie_jar *jar, const struct ike_crypto *c, uint64_t now_ms,
		 const struct ike_msg *m, const struct ip_addr *from,
		 uint8_t out[IKE_COOKIE_REPLY_LEN])
{
	struct ike_cookie_for f;
	bool changed;
	int err;

	// Who does not even ask for an IKE SA, or asks in fewer octets than the answer would have,
	// wants our octets for somebody else.
	if (m->h.exchange != EXCHANGE_IKE_SA_INIT || m->h.is_response || m->has_sk ||
	    m->len < IKE_COOKIE_REPLY_LEN || !ike_msg_has(m, HAS(SA) | HAS(KE) | HAS(NONCE), 0) ||
	    !cookie_for(m, from, &f))
		return -EBADMSG;
	err = cookie_jar_refresh(jar, c, now_ms, &changed);
	if (err)
		return err;
	ike_cookie_reply(&jar->keys, &f, m->h.message_id, out);
	return 0;
}
