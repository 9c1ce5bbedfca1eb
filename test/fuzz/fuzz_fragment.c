// Fragments of a peer that holds the keys and says what it likes about their numbers, totals, order
// and insides (RFC 7383). What is held must stay within its limits, and the simulator's rules
// (sim.h) must hold.
//
// Input: records of kind, number, total, type of the first payload, length, then so many bytes.
// Kind: bit 0 IKE_AUTH instead of INFORMATIONAL, bit 1 a response, bit 2 the ID one too large,
// bit 3 a whole message.
#include <stdio.h>
#include <stdlib.h>

#include "control/ike/sa.h"
#include "test/sim/evil.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one(struct sim *s, uint8_t kind, const uint8_t *r, const uint8_t *data, size_t len)
{
	uint8_t exchange = kind & 1 ? EXCHANGE_IKE_AUTH : EXCHANGE_INFORMATIONAL;
	struct ike_sa *sa = evil_sa(&s->b);
	uint32_t id;

	if (!sa)
		return;
	id = (kind & 2 ? sa->request.message_id : sa->expected_id) + (kind >> 2 & 1);
	if (kind & 8)
		evil_sealed(s, &s->a, &s->b, exchange, kind & 2, id, r[2], data, len);
	else
		evil_fragment(s, &s->a, &s->b, exchange, kind & 2, id, r[2], r[0], r[1], data, len);
	sa = evil_sa(&s->b);
	for (unsigned i = 0; sa && i < 2; i++)
		if (sa->reassembly[i].len > LIMIT_IKE_MESSAGE_LEN ||
		    sa->reassembly[i].total > LIMIT_IKE_FRAGMENTS)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sim s;

	if (size < 2 || size > 8192)
		return 0;
	sim_init(&s, 1);
	s.b.conf.dpd_delay_ms = 30000;
	s.b.conf.fragment_size = 200;
	s.key_may_show = true;
	if (data[0] & 1) {
		evil_before_auth_request(&s);
	} else {
		sim_initiate(&s, &s.a);
		sim_run_until(&s, 1100);
		s.drop_next = 1;
		sim_check(&s, &s.b); // so that a response is expected
	}
	for (size_t at = 1; at + 5 <= size;) {
		size_t len = data[at + 4];

		if (len > size - at - 5)
			len = size - at - 5;
		one(&s, data[at], data + at + 1, data + at + 5, len);
		at += 5 + len;
	}
	sim_run_until(&s, s.now_ms + 400000);
	if (!sim_fini(&s)) {
		fprintf(stderr, "%s\n", s.broken);
		abort();
	}
	return 0;
}
