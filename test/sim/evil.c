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

// AUTH of the right size for its method is made right: with the pre-shared key, or with the toy key
// of the first certificate that goes with it.
static size_t auth_of(const struct ike_sa *from, const struct secret *psk, const struct ike_msg *m,
		      const struct identity *id, const struct ike_auth_payload *auth,
		      uint8_t *value, size_t room)
{
	bool initiator = from->original_initiator;
	const struct octets *init = initiator ? &from->init_request : &from->init_response;
	const struct secret *sk_p = initiator ? &from->keys.pi : &from->keys.pr;
	// RFC 7296 2.15: the other side's nonce.
	const struct ike_nonce *nonce = initiator ? &from->nr : &from->ni;
	struct ike_buf message = {init->data, init->len}, octets;
	uint8_t maced_id[IKE_PRF_MAX], buf[8192];
	size_t maced_len = sizeof(maced_id), len = room;
	struct ike_cert_payload cert = {0};
	struct writer w = writer_of(buf, sizeof(buf));

	if (auth->method == AUTH_SHARED_KEY)
		return ike_auth_psk(from->env->crypto, &from->suite, psk, sk_p, &message, nonce, id,
				    value, &len)
			       ? 0
			       : len;
	for (size_t i = 0; i < m->n && cert.encoding != CERT_X509_SIGNATURE; i++)
		if (m->p[i].type == PAYLOAD_CERT)
			payload_cert_parse(&m->p[i], &cert);
	if (ike_auth_maced_id(from->env->crypto, &from->suite, sk_p, id, maced_id, &maced_len))
		return 0;
	write_bytes(&w, message.data, message.len);
	write_bytes(&w, nonce->data, nonce->len);
	write_bytes(&w, maced_id, maced_len);
	octets = (struct ike_buf){buf, w.len};
	// Method 14: with the hash that the peer says it used.
	if (w.failed || !fake_cred_sign(cert.data, cert.len, auth->method,
					auth->len > 1 ? auth->data[1] : 0, &octets, value, &len))
		return 0;
	return len;
}

static void fix_auth(const struct ike_sa *from, const struct secret *psk, uint8_t first,
		     uint8_t *data, size_t len)
{
	bool initiator = from->original_initiator;
	struct ike_msg m = {.bytes = data, .sk_first = first};
	const struct ike_payload *id, *p;
	struct ike_auth_payload auth;
	struct identity identity;
	uint8_t value[IKE_SIGNATURE_MAX];
	size_t value_len;

	if ((initiator ? from->init_request.len : from->init_response.len) == 0 ||
	    ike_msg_parse_inner(&m, data, len))
		return;
	id = ike_msg_find(&m, initiator ? PAYLOAD_IDI : PAYLOAD_IDR);
	p = ike_msg_find(&m, PAYLOAD_AUTH);
	if (!id || !p || payload_id_parse(id, &identity) || payload_auth_parse(p, &auth))
		return;
	value_len = auth_of(from, psk, &m, &identity, &auth, value, sizeof(value));
	if (value_len > 0 && auth.len == value_len)
		memcpy(data + (auth.data - data), value, value_len);
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
