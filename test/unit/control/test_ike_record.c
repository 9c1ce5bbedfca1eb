// What the flight recorder hears of two gateways that talk to each other.
#include "pair.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ike_wire.h"
#include "lib/log.h"

static struct recorder *on_a, *on_b;

static int setup(void **state)
{
	int rc = pair_setup(state);
	struct pair *n = *state;

	assert_int_equal(recorder_create(&on_a), 0);
	assert_int_equal(recorder_create(&on_b), 0);
	ike_run_set_recorder(n->a.run, on_a);
	ike_run_set_recorder(n->b.run, on_b);
	return rc;
}

static int teardown(void **state)
{
	int rc = pair_teardown(state);

	recorder_destroy(on_a);
	recorder_destroy(on_b);
	return rc;
}

// The newest event with that code.
static bool last(const struct recorder *r, const char *code, struct record_event *out)
{
	struct record_event e = {0};
	bool found = false;

	for (uint64_t after = 0; recorder_event_after(r, after, &e); after = e.id)
		if (strcmp(e.code, code) == 0) {
			*out = e;
			found = true;
		}
	return found;
}

static const char *code_of(enum ike_report_code code)
{
	return ike_report_code_name(code);
}

static void up(struct pair *n)
{
	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, pair_config('a', "", START));
	WAIT(n->base, pair_joined(n));
}

static const struct record_header *header(const struct recorder *r, const char *peer, unsigned at)
{
	struct ip_addr a;
	size_t i = 0;

	assert_int_equal(ip_addr_parse(peer, &a), 0);
	assert_true(recorder_peer_find(r, &a, &i));
	return recorder_peer_header(r, i, at);
}

static void test_a_tunnel_comes_up(void **state)
{
	static const struct {
		uint8_t exchange;
		bool out;
		enum record_fate fate;
	} rows[] = {
		{EXCHANGE_IKE_SA_INIT, false, RECORD_FATE_TAKEN},
		{EXCHANGE_IKE_SA_INIT, true, RECORD_FATE_SENT},
		{EXCHANGE_IKE_AUTH, false, RECORD_FATE_TAKEN},
		{EXCHANGE_IKE_AUTH, true, RECORD_FATE_SENT},
	};
	struct pair *n = *state;
	struct record_event e = {0};

	up(n);
	assert_true(last(on_a, code_of(IKE_REPORT_INIT_SENT), &e));
	assert_int_equal(e.kind, RECORD_IKE);
	assert_string_equal(e.conn, "lab");
	assert_true(last(on_a, code_of(IKE_REPORT_ESTABLISHED), &e));
	assert_int_not_equal(e.took_ms, RECORD_UNKNOWN);
	assert_true(last(on_a, code_of(IKE_REPORT_CHILD_UP), &e));
	assert_int_equal(e.kind, RECORD_CHILD);
	assert_string_equal(e.child, "net");
	assert_int_not_equal(e.took_ms, RECORD_UNKNOWN); // of IKE_AUTH
	assert_true(last(on_b, code_of(IKE_REPORT_CHILD_UP), &e));
	assert_false(e.stranger);
	assert_int_equal(e.took_ms, RECORD_UNKNOWN); // the peer asked
	// A request stands before its answer.
	for (unsigned i = 0; i < 4; i++) {
		const struct record_header *h = header(on_b, A, i);

		assert_non_null(h);
		assert_int_equal(h->exchange, rows[i].exchange);
		assert_int_equal(h->out, rows[i].out);
		assert_int_equal(h->fate, rows[i].fate);
	}
}

static void test_a_rekeying_has_a_duration_for_who_asked(void **state)
{
	const struct ike_run_select child = {.conn = "lab", .child = "net"}, ike = {.conn = "lab"};
	struct pair *n = *state;
	struct record_event e = {0};
	struct error err;
	unsigned matched;

	up(n);
	assert_int_equal(ike_run_rekey(n->a.run, &child, false, &matched, &err), 0);
	WAIT(n->base, last(on_a, code_of(IKE_REPORT_CHILD_REKEYED), &e));
	assert_int_equal(e.kind, RECORD_REKEY);
	assert_string_equal(e.child, "net");
	assert_int_not_equal(e.took_ms, RECORD_UNKNOWN);
	assert_true(last(on_b, code_of(IKE_REPORT_CHILD_REKEYED), &e));
	assert_int_equal(e.took_ms, RECORD_UNKNOWN);
	assert_int_equal(ike_run_rekey(n->a.run, &ike, false, &matched, &err), 0);
	WAIT(n->base, last(on_a, code_of(IKE_REPORT_REKEYED), &e));
	assert_int_not_equal(e.took_ms, RECORD_UNKNOWN);
}

static void test_a_wrong_key_is_a_failure_of_the_connection(void **state)
{
	struct pair *n = *state;
	char *text = pair_config('b', "", ""), *key;
	struct record_event e = {0};

	key = strstr(text, "\"s\"");
	assert_non_null(key);
	key[1] = 't';
	gateway_configure(&n->b, text);
	gateway_configure(&n->a, pair_config('a', "", START));
	WAIT(n->base, last(on_a, code_of(IKE_REPORT_PEER_REFUSED_AUTH), &e));
	assert_int_equal(e.kind, RECORD_FAILURE);
	assert_int_equal(e.level, RECORD_ERROR);
	assert_true(last(on_b, code_of(IKE_REPORT_AUTH_FAILED), &e));
	assert_int_equal(e.kind, RECORD_FAILURE);
	assert_false(e.stranger); // not proved, but configured
}

static void test_both_offers_are_in_a_failure(void **state)
{
	struct pair *n = *state;
	char *text = pair_config('b', "", "");
	struct record_event e = {0};

	memcpy(strstr(text, "aes128gcm16-prf"), "aes256gcm16-prf", 15);
	gateway_configure(&n->b, text);
	gateway_configure(&n->a, pair_config('a', "", START));
	WAIT(n->base, last(on_b, code_of(IKE_REPORT_PROPOSAL_MISMATCH), &e));
	assert_string_equal(e.conn, "lab"); // the only one that it can be
	assert_non_null(strstr(e.text, "AES_GCM_16_128"));
	assert_non_null(strstr(e.text, "AES_GCM_16_256"));
}

static void test_a_peer_that_restarts(void **state)
{
	struct pair *n = *state;
	struct record_event e = {0};

	up(n);
	gateway_crash(&n->a);
	gateway_up(&n->a, n->base, A);
	gateway_configure(&n->a, pair_config('a', "", START));
	WAIT(n->base, last(on_b, "peer-restarted", &e));
	assert_string_equal(e.conn, "lab");
	assert_non_null(strstr(e.text, "IKE SA #1"));
	assert_true(last(on_b, "forgotten", &e));
}

static unsigned count(const struct recorder *r, enum record_fate fate)
{
	struct record_peer p;

	assert_int_equal(recorder_peer(r, 0, &p), 0);
	return (unsigned)p.count[fate];
}

static void test_strangers(void **state)
{
	static const uint8_t v1[28] = {[0] = 1, [17] = 0x10, [18] = 2, [27] = 28};
	static const uint8_t unknown[28] = {
		[0] = 1, [8] = 2, [17] = 0x20, [18] = 37, [19] = 8, [27] = 28};
	static const uint8_t lies[28] = {[0] = 1, [17] = 0x20, [18] = 34, [19] = 8, [27] = 99};
	struct pair *n = *state;
	struct ip_addr peer;
	size_t i;

	up(n);
	wire_inject(&n->b, "203.0.113.9", v1, sizeof(v1));
	wire_inject(&n->b, "203.0.113.9", unknown, sizeof(unknown));
	wire_inject(&n->b, "203.0.113.9", lies, sizeof(lies));
	wire_inject(&n->b, A, unknown, sizeof(unknown)); // not a stranger's address
	WAIT(n->base, count(on_b, RECORD_FATE_MALFORMED) == 1);
	assert_int_equal(count(on_b, RECORD_FATE_IKEV1), 1);
	assert_int_equal(count(on_b, RECORD_FATE_NO_SA), 1);
	ip_addr_parse("203.0.113.9", &peer);
	assert_false(recorder_peer_find(on_b, &peer, &i));
	WAIT(n->base, header(on_b, A, 4) && header(on_b, A, 4)->fate == RECORD_FATE_NO_SA);
}

// The TTL of what a peer has authenticated; SPIs that somebody has read on the way prove nothing.
static void test_the_ttl_of_a_peer_is_learned(void **state)
{
	uint8_t forged[60] = {[16] = PAYLOAD_SK, [17] = 0x20, [18] = 37, [19] = 8,
			      [23] = 2,		 [27] = 60,   [31] = 32};
	struct pair *n = *state;
	const struct record_header *h;
	struct ip_addr a;

	up(n);
	assert_int_equal(ip_addr_parse(A, &a), 0);
	assert_true(ip_addr_equal(&n->b.dp.ttl_of, &a));
	assert_int_equal(n->b.dp.ttl, wire_ttl);
	h = header(on_b, A, 2); // IKE_AUTH
	memcpy(forged, h->spi_i, 8);
	memcpy(forged + 8, h->spi_r, 8);
	wire_ttl = 44;
	wire_inject(&n->b, A, forged, sizeof(forged));
	WAIT(n->base, header(on_b, A, 4));
	assert_int_equal(header(on_b, A, 4)->fate, RECORD_FATE_INVALID);
	assert_int_equal(n->b.dp.ttl, 61);
	wire_ttl = 61;
}

// What the dataplane has lost of a peer, of strangers, and of whoever has an IKE SA.
static void test_what_the_dataplane_lost(void **state)
{
	struct pair *n = *state;
	struct dp_ike_lost lost = {
		.end = DP_IKE_RING,
		.from.port = 500,
		.to.port = 500,
		.len = 400,
		.header_len = 28,
		.header = {1, 2, [17] = 0x20, [18] = 37, [19] = 8, [27] = 28},
	};
	const struct record_header *h;
	struct ip_addr peer;
	size_t i;

	up(n);
	ip_addr_parse(A, &peer);
	ip_addr_parse(B, &lost.to.addr);
	lost.from.addr = peer;
	n->b.dp.lost[0] = lost;
	lost.end = DP_IKE_LIMITED;
	ip_addr_parse("203.0.113.9", &lost.from.addr);
	n->b.dp.lost[1] = lost;
	ip_addr_parse("203.0.113.10", &lost.from.addr); // an authenticated peer, from elsewhere
	lost.end = DP_IKE_PORT;
	lost.out = true;
	lost.to = lost.from;
	lost.header[19] = 0x20; // the responder's answer
	memcpy(lost.header + 8, header(on_b, A, 2)->spi_r, 8);
	n->b.dp.lost[2] = lost;
	n->b.dp.n_lost = 3;
	ike_run_take_lost(n->b.run);
	assert_int_equal(n->b.dp.n_lost, 0);

	assert_true(recorder_peer_find(on_b, &peer, &i));
	h = recorder_peer_lost(on_b, i, 0);
	assert_non_null(h);
	assert_int_equal(h->fate, RECORD_FATE_RING_FULL);
	assert_int_equal(h->len, 400);
	assert_false(h->out);
	assert_true(ip_addr_equal(&h->remote.addr, &peer));
	h = recorder_peer_lost(on_b, 0, 0);
	assert_non_null(h);
	assert_int_equal(h->fate, RECORD_FATE_GUARD_LIMITED);
	assert_null(recorder_peer_lost(on_b, 0, 1));
	assert_true(recorder_peer_find(on_b, &lost.to.addr, &i));
	assert_true(recorder_peer_lost(on_b, i, 0)->out);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_tunnel_comes_up),
		TEST(test_a_rekeying_has_a_duration_for_who_asked),
		TEST(test_a_wrong_key_is_a_failure_of_the_connection),
		TEST(test_both_offers_are_in_a_failure),
		TEST(test_a_peer_that_restarts),
		TEST(test_strangers),
		TEST(test_the_ttl_of_a_peer_is_learned),
		TEST(test_what_the_dataplane_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
