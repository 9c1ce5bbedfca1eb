// Whole IKE SAs on bytes of an evil peer: one that holds the keys, so that what is inside of the
// Encrypted payload is reached. AUTH is made right where the input has one, so that IKE_AUTH is
// passed. The simulator's rules (sim.h) must hold whatever comes.
//
// Input: the stage, the type of the first payload, then payloads. Bit 7 of the stage: a proves who
// it is by certificate (fake_cred.h); bit 6: b does.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ike/sa.h"
#include "test/sim/evil.h"

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
	CREATE_CHILD_RESPONSE,
	REKEY_CHILD_RESPONSE,
	REKEY_RESPONSE,
	UPDATE_RESPONSE, // MOBIKE (RFC 4555)
	RETURN_RESPONSE,
	STAGES,
};

enum { STAGE_MASK = 0x3f, BY_CERT_B = 0x40, BY_CERT_A = 0x80 };

// Sixteen times this octet stands for the COOKIE2 that is right.
enum { COOKIE2_HERE = 0xc2 };

// a has another address, and the answer to its update, or to b's question, is ours.
static void run_moved(struct sim *s, enum stage stage, uint8_t first, const uint8_t *data,
		      size_t size)
{
	static const uint8_t eleven[] = {11};
	struct sim_peer *from = stage == UPDATE_RESPONSE ? &s->b : &s->a;
	struct sim_peer *to = stage == UPDATE_RESPONSE ? &s->a : &s->b;
	uint8_t buf[4096], here[IKE_COOKIE2_LEN], *at;
	const struct ike_sa *sa;

	sim_addresses(s, &s->a, eleven, 1);
	if (stage == RETURN_RESPONSE)
		sim_run_until(s, s->now_ms + s->delay_ms);
	sa = evil_sa(to);
	if (!sa)
		return;
	memset(here, COOKIE2_HERE, sizeof(here));
	memcpy(buf, data, size);
	at = memmem(buf, size, here, sizeof(here));
	if (at)
		memcpy(at, sa->request.cookie2, sizeof(here));
	evil_sealed(s, from, to, EXCHANGE_INFORMATIONAL, true, stage == UPDATE_RESPONSE ? 2 : 0,
		    first, buf, size);
}

static void run(struct sim *s, enum stage stage, uint8_t first, const uint8_t *data, size_t size)
{
	static const uint8_t spi_i[8] = {1, 2, 3}, spi_r[8] = {4, 5, 6}, none[8];
	struct sim_peer *a = &s->a, *b = &s->b;

	switch (stage) {
	case INIT_REQUEST:
		evil_plain(s, b, spi_i, none, IKE_FLAG_INITIATOR, first, data, size);
		return;
	case INIT_RESPONSE:
		s->drop_next = 1;
		sim_initiate(s, a);
		evil_plain(s, a, evil_sa(a)->spi_i, spi_r, IKE_FLAG_RESPONSE, first, data, size);
		return;
	case AUTH_REQUEST:
		evil_before_auth_request(s);
		evil_sealed(s, a, b, EXCHANGE_IKE_AUTH, false, 1, first, data, size);
		return;
	case AUTH_RESPONSE:
		evil_before_auth_response(s);
		evil_sealed(s, b, a, EXCHANGE_IKE_AUTH, true, 1, first, data, size);
		return;
	default:
		break;
	}
	sim_initiate(s, a);
	sim_run_until(s, 1100);
	if (stage == UPDATE_RESPONSE || stage == RETURN_RESPONSE) {
		run_moved(s, stage, first, data, size);
	} else if (stage == INFORMATIONAL_REQUEST) {
		evil_sealed(s, b, a, EXCHANGE_INFORMATIONAL, false, 0, first, data, size);
		evil_sealed(s, a, b, EXCHANGE_INFORMATIONAL, false, 2, first, data, size);
	} else if (stage == CREATE_CHILD_REQUEST) {
		evil_sealed(s, b, a, EXCHANGE_CREATE_CHILD_SA, false, 0, first, data, size);
	} else if (stage >= CREATE_CHILD_RESPONSE) {
		s->drop_next = 1;
		if (stage == CREATE_CHILD_RESPONSE)
			sim_create_child(s, a, 0);
		else if (stage == REKEY_CHILD_RESPONSE)
			sim_rekey_child(s, a);
		else
			sim_rekey(s, a);
		evil_sealed(s, b, a, EXCHANGE_CREATE_CHILD_SA, true, 2, first, data, size);
	} else {
		s->drop_next = 1;
		if (stage == DELETE_RESPONSE)
			sim_terminate_child(s, a);
		else
			sim_check(s, a);
		evil_sealed(s, b, a, EXCHANGE_INFORMATIONAL, true, 2, first, data, size);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sim s;

	if (size < 2 || size > 4096)
		return 0;
	sim_init(&s, 1);
	if (data[0] & (BY_CERT_A | BY_CERT_B)) {
		sim_use_certs(&s, 1);
		if (!(data[0] & BY_CERT_A))
			s.a.conf.local_auth = s.b.conf.remote_auth = AUTH_BY_PSK;
		if (!(data[0] & BY_CERT_B))
			s.b.conf.local_auth = s.a.conf.remote_auth = AUTH_BY_PSK;
	}
	s.a.conf.dpd_delay_ms = s.b.conf.dpd_delay_ms = 30000;
	s.a.conf.mobike = s.b.conf.mobike = true;
	s.b.conf.remote_id = "%any";
	s.key_may_show = true; // libFuzzer finds the string in the binary
	run(&s, (enum stage)((data[0] & STAGE_MASK) % STAGES), data[1], data + 2, size - 2);
	sim_run_until(&s, s.now_ms + 400000);
	if (!sim_fini(&s)) {
		fprintf(stderr, "%s\n", s.broken);
		abort();
	}
	return 0;
}
