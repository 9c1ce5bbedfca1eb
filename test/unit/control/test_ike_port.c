// on_500_blocked (control/ike_run_port.c): a gateway leaves a port that is filtered, asks whether
// it answers again, and comes back.
#include "pair.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "control/recorder.h"
#include "lib/ike_wire.h"

#define TRY_4500 "mobike = no\n on_500_blocked = try_4500\n"

static struct recorder *on_a;
static unsigned observed; // IKE_REPORT_PORT_BACK

static void observe(void *ctx, enum ike_report_code code, enum ike_severity severity,
		    const char *conn, uint32_t ike_id, const char *text,
		    const struct ike_refusal *refusal)
{
	(void)ctx;
	(void)severity;
	(void)refusal;
	if (code != IKE_REPORT_PORT_BACK)
		return;
	assert_string_equal(conn, "lab");
	assert_int_equal(ike_id, 0); // of no IKE SA
	assert_non_null(strstr(text, "UDP/500 to " B " answers again after"));
	observed++;
}

static int setup(void **state)
{
	int rc = pair_setup(state);
	struct pair *n = *state;

	observed = 0;
	assert_int_equal(recorder_create(&on_a), 0);
	ike_run_set_recorder(n->a.run, on_a);
	ike_run_set_observer(n->a.run, observe, NULL);
	return rc;
}

static int teardown(void **state)
{
	int rc = pair_teardown(state);

	recorder_destroy(on_a);
	return rc;
}

// Impatient.
static const char *config(char site, const char *conn, const char *child)
{
	static char text[4096];

	snprintf(text, sizeof(text),
		 "%sgateway { ike { retransmit_timeout = 1s\n retransmit_base = 1\n"
		 " retransmit_tries = 4 } }\n",
		 pair_config(site, conn, child));
	return text;
}

static struct conn *conn_of(struct gateway *g)
{
	return g->run->conns[0];
}

// The port of the peer of each IKE SA that is established.
static bool all_on(struct gateway *g, uint16_t port)
{
	struct run_sa *s;
	unsigned n = 0;

	TAILQ_FOREACH(s, &g->run->sas, link)
	{
		struct ike_sa_info info;

		ike_sa_info(s->sa, &info);
		if (info.remote.port != port)
			return false;
		n++;
	}
	return n > 0;
}

// Not in a quarter of a minute, but with the next tick.
static void ask_now(struct gateway *g)
{
	conn_of(g)->ports.check_ms = run_now_ms();
}

static bool recorded(const char *code, struct record_event *out)
{
	struct record_event e = {0};
	bool found = false;

	for (uint64_t after = 0; recorder_event_after(on_a, after, &e); after = e.id)
		if (strcmp(e.code, code) == 0) {
			*out = e;
			found = true;
		}
	return found;
}

// The newest header of a message that bears the SPI of the question.
static const struct record_header *question(struct gateway *g, bool out)
{
	const struct record_header *found = NULL, *h;
	struct ip_addr peer;
	size_t at;

	assert_int_equal(ip_addr_parse(B, &peer), 0);
	if (!recorder_peer_find(on_a, &peer, &at))
		return NULL;
	for (unsigned i = 0; (h = recorder_peer_header(on_a, at, i)); i++)
		if (memcmp(h->spi_i, conn_of(g)->port_check, 8) == 0 && h->out == out)
			found = h;
	return found;
}

// Three messages are not answered.
static void leave_500(struct pair *n)
{
	n->b.no_port = IKE_PORT;
	gateway_configure(&n->b, config('b', "mobike = no\n", ""));
	gateway_configure(&n->a, config('a', TRY_4500, START));
	WAIT(n->base, pair_joined(n) && all_on(&n->a, IKE_NATT_PORT));
}

// The same, by what an attempt before has found out: that takes no time.
static void begin_on_4500(struct pair *n, const char *conn, const char *peers)
{
	struct error err;
	struct ip_addr b;

	n->b.no_port = IKE_PORT;
	gateway_configure(&n->b, config('b', peers, ""));
	gateway_configure(&n->a, config('a', conn, ""));
	assert_int_equal(ip_addr_parse(B, &b), 0);
	port_choice_blocked(&conn_of(&n->a)->ports, &b, IKE_NATT_PORT, 3, run_now_ms(), 0);
	assert_int_equal(ike_run_initiate(n->a.run, "lab", "net", NULL, &err), 0);
}

static void up_on_4500(struct pair *n, const char *conn, const char *peers)
{
	begin_on_4500(n, conn, peers);
	WAIT(n->base, pair_joined(n) && all_on(&n->a, IKE_NATT_PORT));
}

static void test_left_asked_and_back(void **state)
{
	struct pair *n = *state;
	const struct record_header *h;
	struct record_event e = {0};
	uint32_t before;

	leave_500(n);
	assert_int_equal(conn_of(&n->a)->ports.other, IKE_NATT_PORT);
	assert_int_equal(conn_of(&n->a)->ports.silent, 3);
	assert_true(recorded(ike_report_code_name(IKE_REPORT_PORT_BLOCKED), &e));
	assert_int_equal(e.kind, RECORD_FAILURE);
	assert_string_equal(e.conn, "lab");
	assert_null(question(&n->a, true)); // not yet

	ask_now(&n->a);
	WAIT(n->base, conn_of(&n->a)->ports.checks == 1);
	h = question(&n->a, true);
	assert_non_null(h);
	assert_int_equal(h->remote.port, IKE_PORT);
	assert_int_equal(h->local.port, IKE_PORT);
	assert_int_equal(h->exchange, EXCHANGE_IKE_SA_INIT);
	assert_int_equal(h->fate, RECORD_FATE_SENT);
	turn(n->base, 100);
	assert_null(question(&n->a, false)); // still filtered
	assert_true(all_on(&n->a, IKE_NATT_PORT));

	n->b.no_port = 0;
	before = out_spi(&n->a, "lab.net");
	ask_now(&n->a);
	WAIT(n->base, observed == 1);
	h = question(&n->a, false);
	assert_non_null(h);
	assert_int_equal(h->fate, RECORD_FATE_TAKEN);
	assert_true(recorded(ike_report_code_name(IKE_REPORT_PORT_BACK), &e));
	assert_int_equal(e.kind, RECORD_IKE);
	assert_int_equal(e.level, RECORD_NOTICE);
	assert_string_equal(e.conn, "lab");
	assert_non_null(strstr(e.text, "using it"));
	assert_int_equal(conn_of(&n->a)->ports.other, 0);
	// Another IKE SA on 500, and only then the old one goes.
	WAIT(n->base, all_on(&n->a, IKE_PORT) && established(&n->b) == 1 && pair_joined(n));
	assert_int_not_equal(out_spi(&n->a, "lab.net"), before);
	assert_int_equal(n->a.dp.tunnel[0].gaps, 0);
	assert_int_equal(n->b.run->n_half_open, 0); // the questions have begun nothing there
	assert_int_equal(observed, 1);
}

// What Linux refuses is recorded as that, and the next question is planned all the same.
static void test_a_question_that_cannot_be_sent(void **state)
{
	struct pair *n = *state;
	uint64_t errors;

	up_on_4500(n, TRY_4500, "mobike = no\n");
	errors = n->a.run->stats.tx_errors;
	n->a.refuse_sends = true;
	ask_now(&n->a);
	WAIT(n->base, conn_of(&n->a)->ports.checks == 1);
	assert_int_equal(question(&n->a, true)->fate, RECORD_FATE_SEND_FAILED);
	assert_true(n->a.run->stats.tx_errors > errors);
	assert_true(conn_of(&n->a)->ports.check_ms > run_now_ms() + 1000);
	n->a.refuse_sends = false;
}

// A header of an IKE_SA_INIT response with that SPI.
static void answer(struct pair *n, const char *from, const uint8_t spi[8], uint8_t flags)
{
	uint8_t m[28] = {0};

	memcpy(m, spi, 8);
	m[17] = 0x20;
	m[18] = EXCHANGE_IKE_SA_INIT;
	m[19] = flags;
	m[27] = sizeof(m);
	wire_inject(&n->a, from, m, sizeof(m));
	turn(n->base, 50);
}

static void test_only_the_answer_counts(void **state)
{
	struct pair *n = *state;
	uint8_t spi[8];

	up_on_4500(n, TRY_4500, "mobike = no\n");
	answer(n, B, (const uint8_t[8]){0}, IKE_FLAG_RESPONSE); // nothing was asked
	assert_int_equal(observed, 0);
	ask_now(&n->a);
	WAIT(n->base, conn_of(&n->a)->ports.checks == 1);
	memcpy(spi, conn_of(&n->a)->port_check, 8);
	n->b.no_port = 0;
	answer(n, "203.0.113.9", spi, IKE_FLAG_RESPONSE); // somebody else
	answer(n, B, spi, 0);				  // no response
	spi[0] ^= 1;
	answer(n, B, spi, IKE_FLAG_RESPONSE);
	assert_int_equal(observed, 0);
	assert_int_equal(conn_of(&n->a)->ports.other, IKE_NATT_PORT);
	spi[0] ^= 1;
	answer(n, B, spi, IKE_FLAG_RESPONSE);
	assert_int_equal(observed, 1);
	answer(n, B, spi, IKE_FLAG_RESPONSE); // once
	assert_int_equal(observed, 1);
	assert_int_equal(conn_of(&n->a)->ports.other, 0);
}

// Port 4500 is where an IKE SA with MOBIKE belongs (RFC 4555 3.3).
static void test_with_mobike_it_stays_on_4500(void **state)
{
	struct pair *n = *state;
	struct run_sa *s;

	up_on_4500(n, "on_500_blocked = try_4500\n", "");
	n->b.no_port = 0;
	ask_now(&n->a);
	WAIT(n->base, observed == 1);
	s = TAILQ_FIRST(&n->a.run->sas);
	turn(n->base, 1500);
	assert_ptr_equal(TAILQ_FIRST(&n->a.run->sas), s);
	assert_true(all_on(&n->a, IKE_NATT_PORT));
}

// When 4500 falls silent as well it is the peer that is not there: the next attempt begins on 500.
static void test_the_other_port_falls_silent_too(void **state)
{
	struct pair *n = *state;
	struct error err;

	n->b.deaf = true;
	begin_on_4500(n, TRY_4500, "mobike = no\n");
	assert_true(all_on(&n->a, IKE_NATT_PORT));
	WAIT(n->base, conn_of(&n->a)->ports.other == 0);
	n->b.deaf = false;
	n->b.no_port = 0;
	assert_int_equal(ike_run_initiate(n->a.run, "lab", "net", NULL, &err), 0);
	WAIT(n->base, pair_joined(n));
	assert_true(all_on(&n->a, IKE_PORT));
	assert_int_equal(observed, 0); // it has not come back from a filter
}

// An IKE SA that the peer sets up from port 500 shows it as well as an answer does.
static void test_the_peer_comes_by_500(void **state)
{
	struct pair *n = *state;

	up_on_4500(n, TRY_4500, "mobike = no\n");
	n->b.no_port = 0;
	gateway_configure(&n->b, config('b', "mobike = no\n unique = never\n", START));
	WAIT(n->base, observed == 1);
	assert_int_equal(conn_of(&n->a)->ports.other, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_left_asked_and_back),
		TEST(test_a_question_that_cannot_be_sent),
		TEST(test_only_the_answer_counts),
		TEST(test_with_mobike_it_stays_on_4500),
		TEST(test_the_other_port_falls_silent_too),
		TEST(test_the_peer_comes_by_500),
	};

	return cmocka_run_group_tests_name("ike_port", tests, NULL, NULL);
}
