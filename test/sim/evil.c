#include "test/sim/evil.h"

#include <string.h>

#include "control/ike/payload.h"
#include "control/ike/sa.h"
#include "control/ike/sk.h"

struct ike_sa *evil_sa(struct sim_peer *p)
{
	for (size_t i = 0; i < p->n_sas; i++)
		if (p->sa[i].sa)
			return p->sa[i].sa;
	return NULL;
}

void evil_plain(struct sim *s, struct sim_peer *to, const uint8_t spi_i[8], const uint8_t spi_r[8],
		uint8_t flags, uint8_t first, const uint8_t *data, size_t len)
{
	struct ike_builder b;

	build_start(&b, spi_i, spi_r, EXCHANGE_IKE_SA_INIT, flags, 0);
	b.buf[16] = first;
	write_bytes(&b.w, data, len);
	build_finish(&b);
	if (!b.w.failed)
		sim_inject(s, to, b.buf, b.w.len);
}

static void fix_auth(const struct ike_sa *from, const struct secret *psk, uint8_t first,
		     uint8_t *data, size_t len)
{
	bool initiator = from->original_initiator;
	const struct octets *init = initiator ? &from->init_request : &from->init_response;
	struct ike_buf octets = {init->data, init->len};
	struct ike_msg m = {.bytes = data, .sk_first = first};
	const struct ike_payload *id, *auth;
	struct identity identity;
	uint8_t value[IKE_PRF_MAX];
	size_t value_len = sizeof(value);

	if (init->len == 0 || ike_msg_parse_inner(&m, data, len))
		return;
	id = ike_msg_find(&m, initiator ? PAYLOAD_IDI : PAYLOAD_IDR);
	auth = ike_msg_find(&m, PAYLOAD_AUTH);
	if (!id || !auth || payload_id_parse(id, &identity))
		return;
	// RFC 7296 2.15: the other side's nonce.
	if (ike_auth_psk(from->env->crypto, &from->suite, psk,
			 initiator ? &from->keys.pi : &from->keys.pr, &octets,
			 initiator ? &from->nr : &from->ni, &identity, value, &value_len))
		return;
	if (auth->len == value_len + 4)
		memcpy(data + (auth->data - data) + 4, value, value_len);
}

void evil_sealed(struct sim *s, struct sim_peer *from_peer, struct sim_peer *to, uint8_t exchange,
		 bool response, uint32_t message_id, uint8_t first, const uint8_t *data, size_t len)
{
	struct ike_sa *from = evil_sa(from_peer);
	uint8_t flags = response ? IKE_FLAG_RESPONSE : 0;
	struct sk_keys keys;
	struct ike_builder b;

	if (!from || !from->have_keys)
		return;
	keys = from->original_initiator ? (struct sk_keys){&from->keys.ei, &from->keys.ai}
					: (struct sk_keys){&from->keys.er, &from->keys.ar};
	if (from->original_initiator)
		flags |= IKE_FLAG_INITIATOR;
	build_start(&b, from->spi_i, from->spi_r, exchange, flags, message_id);
	sk_begin(&b, &from->suite);
	b.buf[b.sk_at] = first;
	write_bytes(&b.w, data, len);
	if (b.w.failed)
		return;
	if (exchange == EXCHANGE_IKE_AUTH)
		fix_auth(from, &from_peer->psk, first, b.buf + b.w.len - len, len);
	if (!sk_finish(&b, from->env->crypto, &from->suite, keys))
		sim_inject(s, to, b.buf, b.w.len);
}

void evil_fragment(struct sim *s, struct sim_peer *from_peer, struct sim_peer *to, uint8_t exchange,
		   bool response, uint32_t message_id, uint8_t first, uint16_t number,
		   uint16_t total, const uint8_t *data, size_t len)
{
	struct ike_sa *from = evil_sa(from_peer);
	struct sk_keys keys;
	struct ike_builder b;

	if (!from || !from->have_keys)
		return;
	keys = from->original_initiator ? (struct sk_keys){&from->keys.ei, &from->keys.ai}
					: (struct sk_keys){&from->keys.er, &from->keys.ar};
	build_start(&b, from->spi_i, from->spi_r, exchange,
		    (uint8_t)((response ? IKE_FLAG_RESPONSE : 0) |
			      (from->original_initiator ? IKE_FLAG_INITIATOR : 0)),
		    message_id);
	sk_begin_fragment(&b, &from->suite, first, number, total);
	b.buf[b.sk_at] = first;
	write_bytes(&b.w, data, len);
	if (!b.w.failed && !sk_finish(&b, from->env->crypto, &from->suite, keys))
		sim_inject(s, to, b.buf, b.w.len);
}

void evil_begin(struct ike_builder *b)
{
	static const uint8_t zero[8];

	build_start(b, zero, zero, 0, 0, 0);
}

void evil_send(struct sim *s, struct sim_peer *from, struct sim_peer *to, uint8_t exchange,
	       bool response, uint32_t message_id, struct ike_builder *b)
{
	build_finish(b);
	evil_sealed(s, from, to, exchange, response, message_id, b->buf[16],
		    b->buf + IKE_HEADER_LEN, b->w.len - IKE_HEADER_LEN);
}

bool evil_open_reply(struct sim_peer *p, struct ike_msg *m, uint8_t buf[LIMIT_IKE_MESSAGE_LEN])
{
	const struct ike_sa *sa = evil_sa(p);
	const uint8_t *plain;
	size_t len;

	if (!sa || sa->reply.len == 0 || ike_msg_parse(sa->reply.data, sa->reply.len, m))
		return false;
	return !sk_open(m, sa->env->crypto, &sa->suite,
			sa->original_initiator ? (struct sk_keys){&sa->keys.ei, &sa->keys.ai}
					       : (struct sk_keys){&sa->keys.er, &sa->keys.ar},
			buf, &plain, &len) &&
	       !ike_msg_parse_inner(m, plain, len);
}

void evil_before_auth_request(struct sim *s)
{
	sim_initiate(s, &s->a);
	sim_run_until(s, 1006); // b has answered IKE_SA_INIT
	s->drop_next = 1;
	sim_run_until(s, 1012);
}

void evil_before_auth_response(struct sim *s)
{
	sim_initiate(s, &s->a);
	sim_run_until(s, 1012);
}
