#include "control/ike/cookie.h"

#include <errno.h>
#include <string.h>

#include "control/ike/payload.h"

#define SECRET_LEN 32

// Makes the secret that is due. -errno: there is none to work with.
static int refresh(struct cookie_jar *jar, const struct ike_crypto *c, uint64_t now_ms)
{
	uint64_t age = now_ms - jar->made_ms;
	struct secret made = {0};
	int err;

	if (jar->now.len > 0 && age < COOKIE_SECRET_MS)
		return 0;
	err = secret_alloc(&made, SECRET_LEN);
	if (!err)
		err = c->random(c->ctx, made.data, made.len);
	if (err) {
		secret_fini(&made);
		return err;
	}
	// One that has not been in use for so long is not accepted any more.
	if (age < 2 * (uint64_t)COOKIE_SECRET_MS)
		secret_move(&jar->before, &jar->now);
	else
		secret_fini(&jar->before);
	secret_move(&jar->now, &made);
	jar->version++;
	jar->made_ms = now_ms;
	return 0;
}

void cookie_jar_fini(struct cookie_jar *jar)
{
	secret_fini(&jar->now);
	secret_fini(&jar->before);
}

static int cookie_of(const struct ike_crypto *c, const struct secret *secret, uint8_t version,
		     const struct ike_msg *m, const struct ip_addr *from, uint8_t out[COOKIE_LEN])
{
	const struct ike_payload *nonce = ike_msg_find(m, PAYLOAD_NONCE);
	uint8_t hash[IKE_PRF_MAX];
	size_t len = sizeof(hash);
	struct ike_buf pieces[3];
	struct ike_buf ni;
	int err;

	if (!nonce || payload_nonce_parse(nonce, &ni))
		return -EBADMSG;
	pieces[0] = ni;
	pieces[1] = (struct ike_buf){from->bytes, ip_addr_len(from)};
	pieces[2] = (struct ike_buf){m->h.spi_i, 8};
	err = c->prf(c->ctx, PRF_HMAC_SHA2_256, secret->data, secret->len, pieces, 3, hash, &len);
	if (err)
		return err;
	out[0] = version;
	memcpy(out + 1, hash, COOKIE_LEN - 1);
	return 0;
}

bool cookie_proved(struct cookie_jar *jar, const struct ike_crypto *c, uint64_t now_ms,
		   const struct ike_msg *m, const struct ip_addr *from, bool *shown)
{
	const struct secret *secret;
	uint8_t wanted[COOKIE_LEN];
	struct ike_notify n;

	*shown = ike_msg_notify(m, N_COOKIE, 0, &n);
	if (!*shown || n.len != COOKIE_LEN || refresh(jar, c, now_ms))
		return false;
	secret = n.data[0] == jar->version		    ? &jar->now
		 : n.data[0] == (uint8_t)(jar->version - 1) ? &jar->before
							    : NULL;
	return secret && secret->len > 0 && !cookie_of(c, secret, n.data[0], m, from, wanted) &&
	       bytes_equal_ct(n.data, wanted, COOKIE_LEN);
}

int cookie_reply(struct cookie_jar *jar, const struct ike_crypto *c, uint64_t now_ms,
		 const struct ike_msg *m, const struct ip_addr *from, uint8_t out[COOKIE_REPLY_LEN])
{
	struct writer w = writer_of(out, COOKIE_REPLY_LEN);
	uint8_t cookie[COOKIE_LEN];
	int err;

	// Who does not even ask for an IKE SA, or asks in fewer octets than the answer would have,
	// wants our octets for somebody else.
	if (m->h.exchange != EXCHANGE_IKE_SA_INIT || m->h.is_response || m->has_sk ||
	    m->len < COOKIE_REPLY_LEN || !ike_msg_has(m, HAS(SA) | HAS(KE) | HAS(NONCE), 0))
		return -EBADMSG;
	err = refresh(jar, c, now_ms);
	if (!err)
		err = cookie_of(c, &jar->now, jar->version, m, from, cookie);
	if (err)
		return err;
	write_bytes(&w, m->h.spi_i, 8);
	write_zeros(&w, 8); // RFC 7296 2.6: no SPI of ours yet
	write_u8(&w, PAYLOAD_NOTIFY);
	write_u8(&w, IKE_VERSION);
	write_u8(&w, EXCHANGE_IKE_SA_INIT);
	write_u8(&w, IKE_FLAG_RESPONSE);
	write_u32(&w, m->h.message_id);
	write_u32(&w, COOKIE_REPLY_LEN);
	write_u8(&w, PAYLOAD_NONE);
	write_u8(&w, 0);
	write_u16(&w, COOKIE_REPLY_LEN - IKE_HEADER_LEN);
	write_u8(&w, PROTO_NONE);
	write_u8(&w, 0);
	write_u16(&w, N_COOKIE);
	write_bytes(&w, cookie, COOKIE_LEN);
	return 0;
}
