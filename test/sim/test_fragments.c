// IKE fragmentation (RFC 7383): fragments that are lost, doubled and out of order, and a peer that
// lies about them.
#include <stdlib.h>
#include <string.h>

#include "control/ike/sa.h"
#include "test/sim/check.h"
#include "test/sim/evil.h"

static struct { // what the tap below counts and spoils
	unsigned whole, fragments;
	unsigned largest; // bytes
	unsigned spoil;	  // this fragment of each message that has it, 0: none
	unsigned times;	  // so often
	uint8_t exchange; // of that exchange only
} wire;

static bool is_fragment(const uint8_t *bytes, size_t len)
{
	return len > 36 && bytes[16] == PAYLOAD_SKF;
}

static void tap(struct sim *s, struct sim_peer *from, uint8_t *bytes, size_t len)
{
	(void)s;
	(void)from;
	if (!is_fragment(bytes, len)) {
		wire.whole++;
		return;
	}
	wire.fragments++;
	wire.largest = len > wire.largest ? (unsigned)len : wire.largest;
	if (wire.times > 0 && bytes[33] == wire.spoil && bytes[18] == wire.exchange) {
		wire.times--;
		bytes[len - 1] ^= 1; // as good as lost: it does not verify
	}
}

// Both sides fragment whatever has more than 128 bytes of IKE message.
static struct sim *start(void)
{
	struct sim *s = malloc(sizeof(*s));

	memset(&wire, 0, sizeof(wire));
	sim_init(s, 42);
	s->tap = tap;
	s->a.conf.fragment_size = s->b.conf.fragment_size = 160;
	return s;
}

static void end(struct sim *s)
{
	if (!sim_fini(s))
		fail_msg("%s", s->broken);
	free(s);
}

static bool is_established(const struct sim_peer *p)
{
	return sim_sa(p, IKE_ST_ESTABLISHED) != NULL;
}

static void test_both_sides_fragment(void **state)
{
	static const char *const suites[] = {"aes128gcm16-prfsha256-x25519",
					     "aes256-sha512-prfsha512-ecp256"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct sim *s = start();

		s->a.conf.ike = s->b.conf.ike = suites[i];
		sim_initiate(s, &s->a);
		sim_run_until(s, 2000);
		CHECK(is_established(&s->a) && is_established(&s->b) && sim_agree(s));
		CHECK(wire.fragments >= 4 && wire.largest <= 128 && wire.largest > 100);
		CHECK(wire.whole == 2); // IKE_SA_INIT, however large
		CHECK(sim_errors(&s->a) == 0 && sim_errors(&s->b) == 0);
		end(s);
	}
}

static void test_only_with_a_peer_that_announces_it(void **state)
{
	static const struct {
		enum ike_fragmentation a, b;
		bool a_sends, b_sends;
	} rows[] = {
		{IKE_FRAG_YES, IKE_FRAG_YES, true, true},
		{IKE_FRAG_ACCEPT, IKE_FRAG_YES, false, true},
		{IKE_FRAG_YES, IKE_FRAG_ACCEPT, true, false},
		{IKE_FRAG_NO, IKE_FRAG_YES, false, false},
		{IKE_FRAG_YES, IKE_FRAG_NO, false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sim *s = start();

		s->a.conf.fragmentation = rows[i].a;
		s->b.conf.fragmentation = rows[i].b;
		sim_initiate(s, &s->a);
		sim_run_until(s, 2000);
		CHECK(is_established(&s->a) && sim_agree(s));
		CHECK((s->a.sent > 2) == rows[i].a_sends);
		CHECK((s->b.sent > 2) == rows[i].b_sends);
		end(s);
	}
}

static void test_small_messages_stay_whole(void **state)
{
	struct sim *s = start();

	(void)state;
	s->a.conf.fragment_size = s->b.conf.fragment_size = 1280;
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	CHECK(is_established(&s->a) && wire.fragments == 0 && wire.whole == 4);
	end(s);
}

static void test_each_lost_fragment_is_repeated(void **state)
{
	(void)state;
	for (unsigned lost = 1; lost <= 3; lost++) {
		struct sim *s = start();
		unsigned sent;

		wire.exchange = EXCHANGE_IKE_AUTH;
		wire.spoil = lost;
		wire.times = 1; // of the request
		sim_initiate(s, &s->a);
		sim_run_until(s, 3000);
		CHECK(!is_established(&s->a) && !is_established(&s->b) && s->b.sent == 1);
		sent = s->a.sent;
		sim_run_until(s, 6000);
		CHECK(is_established(&s->a) && is_established(&s->b) && sim_agree(s));
		CHECK(s->a.sent == 2 * sent - 1); // every fragment again
		end(s);
	}
}

static void test_lost_fragment_of_the_response(void **state)
{
	struct sim *s = start();
	unsigned sent;

	(void)state;
	sim_initiate(s, &s->a);
	sim_run_until(s, 1012); // the request is on its way
	wire.exchange = EXCHANGE_IKE_AUTH;
	wire.spoil = 2;
	wire.times = 1;
	sim_run_until(s, 3000);
	CHECK(!is_established(&s->a) && is_established(&s->b));
	sent = s->b.sent;
	sim_run_until(s, 6000);
	CHECK(is_established(&s->a) && sim_agree(s));
	// RFC 7383 2.6.1: one answer, although the request came again in several fragments.
	CHECK(s->b.sent == 2 * sent - 1);
	end(s);
}

static void test_doubled_and_out_of_order(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 50; seed++) {
		struct sim *s = start();

		s->rng = seed;
		s->dup = 1000;
		s->jitter_ms = 500;
		sim_initiate(s, &s->a);
		sim_run_until(s, 3900);
		CHECK(is_established(&s->a) && is_established(&s->b) && sim_agree(s));
		CHECK(s->a.installs == 1 && s->b.installs == 1);
		end(s);
	}
}

// ---- a peer that lies ----

static void fragment(struct sim *s, uint16_t number, uint16_t total, size_t len)
{
	static const uint8_t data[LIMIT_IKE_MESSAGE_LEN];

	evil_fragment(s, &s->a, &s->b, EXCHANGE_INFORMATIONAL, false, 2,
		      number == 1 ? PAYLOAD_VENDOR : PAYLOAD_NONE, number, total, data, len);
}

static const struct reassembly *held(struct sim *s)
{
	return &evil_sa(&s->b)->reassembly[0];
}

static struct sim *established(void)
{
	struct sim *s = start();

	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	CHECK(is_established(&s->b));
	return s;
}

static void test_conflicting_totals(void **state)
{
	struct sim *s = established();

	(void)state;
	fragment(s, 1, 3, 50);
	fragment(s, 2, 3, 50);
	CHECK(held(s)->total == 3 && held(s)->have == 2 && held(s)->len == 100);
	fragment(s, 1, 2, 60); // a smaller set is ignored
	fragment(s, 2, 3, 70); // and so is what is here already
	CHECK(held(s)->total == 3 && held(s)->have == 2 && held(s)->len == 100);
	fragment(s, 4, 4, 10); // a larger one replaces it
	CHECK(held(s)->total == 4 && held(s)->have == 1 && held(s)->len == 10);
	fragment(s, 3, 3, 50);
	CHECK(held(s)->total == 4 && held(s)->have == 1);
	CHECK(is_established(&s->b) && sim_children(&s->b) == 1);
	end(s);
}

static void test_memory_is_bounded(void **state)
{
	struct sim *s = established();

	(void)state;
	fragment(s, 1, LIMIT_IKE_FRAGMENTS + 1, 1);
	CHECK(held(s)->part == NULL);
	fragment(s, 1, 3, 20000);
	CHECK(held(s)->len == 20000);
	fragment(s, 2, 3, 20000);
	CHECK(held(s)->part == NULL); // given up
	for (uint16_t i = 1; i < LIMIT_IKE_FRAGMENTS; i++)
		fragment(s, i, LIMIT_IKE_FRAGMENTS, 0);
	CHECK(held(s)->have == LIMIT_IKE_FRAGMENTS - 1 && held(s)->len == 0);
	end(s);
}

static void test_numbers_that_cannot_be(void **state)
{
	struct sim *s = established();

	(void)state;
	fragment(s, 0, 2, 10);
	fragment(s, 3, 2, 10);
	fragment(s, 1, 0, 10);
	CHECK(held(s)->part == NULL && is_established(&s->b));
	// An ID outside of the window is not held.
	evil_fragment(s, &s->a, &s->b, EXCHANGE_INFORMATIONAL, false, 3, 0, 2, 2,
		      (const uint8_t[4]){0}, 4);
	CHECK(held(s)->part == NULL);
	end(s);
}

// RFC 7383 2.5: the first fragment alone names the first payload.
static void test_first_payload_from_fragment_1(void **state)
{
	struct sim *s = established();
	static const uint8_t delete_ike[] = {0, 0, 0, 8, PROTO_IKE, 0, 0, 0};

	(void)state;
	evil_fragment(s, &s->a, &s->b, EXCHANGE_INFORMATIONAL, false, 2, PAYLOAD_VENDOR, 2, 2,
		      delete_ike + 3, 5);
	CHECK(is_established(&s->b));
	evil_fragment(s, &s->a, &s->b, EXCHANGE_INFORMATIONAL, false, 2, PAYLOAD_DELETE, 1, 2,
		      delete_ike, 3);
	CHECK(!is_established(&s->b) && sim_reported(&s->b, IKE_REPORT_PEER_DELETED));
	end(s);
}

static void test_repeated_request_is_answered_for_fragment_1(void **state)
{
	struct sim *s = established();
	unsigned sent;

	(void)state;
	evil_fragment(s, &s->a, &s->b, EXCHANGE_INFORMATIONAL, false, 2, PAYLOAD_NONE, 1, 2, NULL,
		      0);
	sent = s->b.sent;
	evil_fragment(s, &s->a, &s->b, EXCHANGE_INFORMATIONAL, false, 2, PAYLOAD_NONE, 2, 2, NULL,
		      0);
	CHECK(s->b.sent == sent + 1);
	evil_fragment(s, &s->a, &s->b, EXCHANGE_INFORMATIONAL, false, 2, PAYLOAD_NONE, 2, 2, NULL,
		      0);
	CHECK(s->b.sent == sent + 1);
	evil_fragment(s, &s->a, &s->b, EXCHANGE_INFORMATIONAL, false, 2, PAYLOAD_NONE, 1, 2, NULL,
		      0);
	CHECK(s->b.sent == sent + 2);
	end(s);
}

// What was agreed on in IKE_SA_INIT holds for its successors, which have none.
static void test_after_rekeying_the_ike_sa(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct sim *s = start();

		sim_initiate(s, &s->a);
		sim_run_until(s, 2000);
		sim_rekey(s, i ? &s->a : &s->b);
		sim_run_until(s, 4000);
		memset(&wire, 0, sizeof(wire));
		sim_rekey_child(s, &s->a);
		sim_run_until(s, 6000);
		CHECK(wire.fragments >= 4 && sim_agree(s)); // request and response
		end(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_sides_fragment),
		cmocka_unit_test(test_only_with_a_peer_that_announces_it),
		cmocka_unit_test(test_small_messages_stay_whole),
		cmocka_unit_test(test_each_lost_fragment_is_repeated),
		cmocka_unit_test(test_lost_fragment_of_the_response),
		cmocka_unit_test(test_doubled_and_out_of_order),
		cmocka_unit_test(test_conflicting_totals),
		cmocka_unit_test(test_memory_is_bounded),
		cmocka_unit_test(test_numbers_that_cannot_be),
		cmocka_unit_test(test_first_payload_from_fragment_1),
		cmocka_unit_test(test_repeated_request_is_answered_for_fragment_1),
		cmocka_unit_test(test_after_rekeying_the_ike_sa),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
