// Whole IKE SAs on bytes of an evil peer: one that holds the keys, so that what is inside of the
// Encrypted payload is reached. AUTH is made right where the input has one, so that IKE_AUTH is
// passed. The simulator's rules (sim.h) must hold whatever comes.
//
// Input: the stage, the type of the first payload, then payloads.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ike/payload.h"
#include "control/ike/sa.h"
#include "control/ike/sk.h"
#include "test/sim/sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum stage {
	INIT_REQUEST,
	INIT_RESPONSE,
	AUTH_REQUEST,
	AUTH_RESPONSE,
	INFORMATIONAL_REQUEST,
	INFORMATIONAL_RESPONSE,
	DELETE_RESPONSE,
	CREATE_CHILD_REQUEST,
	STAGES,
};

static struct ike_sa *any_sa(struct sim_peer *p)
{
	for (size_t i = 0; i < p->n_sas; i++)
		if (p->sa[i].sa)
			return p->sa[i].sa;
	return NULL;
}

static void send_plain(struct sim *s, struct sim_peer *to, const uint8_t spi_i[8],
		       const uint8_t spi_r[8], uint8_t flags, const uint8_t *data, size_t size)
{
	struct ike_builder b;

	build_start(&b, spi_i, spi_r, EXCHANGE_IKE_SA_INIT, flags, 0);
	b.buf[16] = data[0];
	write_bytes(&b.w, data + 1, size - 1);
	build_finish(&b);
	if (!b.w.failed)
		sim_inject(s, to, b.buf, b.w.len);
}

// Puts the right AUTH of `from` into the payloads at `data`, if they have one.
static void fix_auth(const struct ike_sa *from, const struct secret *psk, uint8_t first,
		     uint8_t *data, size_t size)
{
	bool initiator = from->original_initiator;
	const struct octets *init = initiator ? &from->init_request : &from->init_response;
	struct ike_buf octets = {init->data, init->len};
	struct ike_msg m = {.bytes = data, .sk_first = first};
	const struct ike_payload *id, *auth;
	struct identity identity;
	uint8_t value[IKE_PRF_MAX];
	size_t len = sizeof(value);

	if (init->len == 0 || ike_msg_parse_inner(&m, data, size))
		return;
	id = ike_msg_find(&m, initiator ? PAYLOAD_IDI : PAYLOAD_IDR);
	auth = ike_msg_find(&m, PAYLOAD_AUTH);
	if (!id || !auth || payload_id_parse(id, &identity))
		return;
	if (ike_auth_psk(from->env->crypto, &from->suite, psk,
			 initiator ? &from->keys.pi : &from->keys.pr, &octets,
			 initiator ? &from->nr : &from->ni, &identity, value, &len))
		return;
	if (auth->len == len + 4)
		memcpy(data + (auth->data - data) + 4, value, len);
}

// A message of `from`'s SA, sealed with its keys.
static void send_sealed(struct sim *s, struct sim_peer *from_peer, struct sim_peer *to,
			uint8_t exchange, bool response, uint32_t id, const uint8_t *data,
			size_t size)
{
	struct ike_sa *from = any_sa(from_peer);
	uint8_t flags = response ? IKE_FLAG_RESPONSE : 0;
	struct sk_keys keys;
	struct ike_builder b;

	if (!from || !from->have_keys)
		return;
	keys = from->original_initiator ? (struct sk_keys){&from->keys.ei, &from->keys.ai}
					: (struct sk_keys){&from->keys.er, &from->keys.ar};
	if (from->original_initiator)
		flags |= IKE_FLAG_INITIATOR;
	build_start(&b, from->spi_i, from->spi_r, exchange, flags, id);
	sk_begin(&b, &from->suite);
	b.buf[b.sk_at] = data[0];
	write_bytes(&b.w, data + 1, size - 1);
	if (b.w.failed)
		return;
	if (exchange == EXCHANGE_IKE_AUTH)
		fix_auth(from, &from_peer->psk, data[0], b.buf + b.w.len - (size - 1), size - 1);
	if (!sk_finish(&b, from->env->crypto, &from->suite, keys))
		sim_inject(s, to, b.buf, b.w.len);
}

static void run(struct sim *s, enum stage stage, const uint8_t *data, size_t size)
{
	static const uint8_t spi_i[8] = {1, 2, 3}, spi_r[8] = {4, 5, 6}, none[8];
	struct ike_sa_info info;

	if (stage == INIT_REQUEST) {
		send_plain(s, &s->b, spi_i, none, IKE_FLAG_INITIATOR, data, size);
		return;
	}
	if (stage == INIT_RESPONSE) {
		s->drop_next = 1;
		sim_initiate(s, &s->a);
		ike_sa_info(any_sa(&s->a), &info);
		send_plain(s, &s->a, info.spi_i, spi_r, IKE_FLAG_RESPONSE, data, size);
		return;
	}
	sim_initiate(s, &s->a);
	sim_run_until(s, 1006); // b has answered IKE_SA_INIT
	if (stage == AUTH_REQUEST) {
		s->drop_next = 1;
		sim_run_until(s, 1012);
		send_sealed(s, &s->a, &s->b, EXCHANGE_IKE_AUTH, false, 1, data, size);
		return;
	}
	if (stage == AUTH_RESPONSE) {
		sim_run_until(s, 1012);
		// While b has its IKE_SA_INIT messages.
		send_sealed(s, &s->b, &s->a, EXCHANGE_IKE_AUTH, true, 1, data, size);
		return;
	}
	sim_run_until(s, 1100);
	if (stage == INFORMATIONAL_REQUEST) {
		send_sealed(s, &s->b, &s->a, EXCHANGE_INFORMATIONAL, false, 0, data, size);
		send_sealed(s, &s->a, &s->b, EXCHANGE_INFORMATIONAL, false, 2, data, size);
	} else if (stage == CREATE_CHILD_REQUEST) {
		send_sealed(s, &s->b, &s->a, EXCHANGE_CREATE_CHILD_SA, false, 0, data, size);
	} else {
		s->drop_next = 1;
		if (stage == DELETE_RESPONSE)
			sim_terminate_child(s, &s->a);
		else
			sim_check(s, &s->a);
		send_sealed(s, &s->b, &s->a, EXCHANGE_INFORMATIONAL, true, 2, data, size);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sim s;

	if (size < 2 || size > 4096)
		return 0;
	sim_init(&s, 1);
	s.a.conf.dpd_delay_ms = s.b.conf.dpd_delay_ms = 30000;
	s.b.conf.remote_id = "%any";
	s.key_may_show = true; // libFuzzer finds the string in the binary
	run(&s, (enum stage)(data[0] % STAGES), data + 1, size - 1);
	sim_run_until(&s, s.now_ms + 400000);
	if (!sim_fini(&s)) {
		fprintf(stderr, "%s\n", s.broken);
		abort();
	}
	return 0;
}
