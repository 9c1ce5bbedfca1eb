// What the doctor is told about IKE: two gateways, and what was noted of their messages.
#include "pair.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include "control/doctor/doctor.h"

static struct doctor_facts facts(struct gateway *g)
{
	struct doctor_facts f = {0};

	assert_int_equal(ike_run_doctor(g->run, 0, &f), 0);
	return f;
}

static struct doctor_report examine(struct gateway *g)
{
	struct doctor_facts f = facts(g);
	struct doctor_report r;

	doctor_examine(&f, &r);
	return r;
}

static void test_up(void **state)
{
	struct pair *n = *state;
	struct doctor_facts f;

	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, pair_config('a', "", START));
	WAIT(n->base, pair_joined(n));
	f = facts(&n->a);
	assert_string_equal(f.conn.name, "lab");
	assert_int_equal(f.conn.stage, DOCTOR_STAGE_UP);
	assert_int_equal(f.conn.initiates, DOCTOR_YES);
	assert_int_equal(f.conn.worked, DOCTOR_YES);
	assert_int_equal(f.ike.tx_500.n + f.ike.tx_4500.n, 2); // IKE_SA_INIT, IKE_AUTH
	assert_int_equal(f.ike.rx_500.n + f.ike.rx_4500.n, 2);
	assert_int_equal(f.ike.asking_tries, 0);
	assert_int_equal(f.history.established.n, 1);
	assert_int_equal(f.history.lost.n, 0);
	assert_int_equal(facts(&n->b).conn.initiates, DOCTOR_NO);
	assert_int_equal(examine(&n->a).status, DOCTOR_HEALTHY);
	assert_int_equal(ike_run_conn_count(n->a.run), 1);
	assert_int_equal(ike_run_doctor(n->a.run, 1, &f), -ENOENT);
}

static void test_nobody_asks(void **state)
{
	struct pair *n = *state;

	gateway_configure(&n->a, pair_config('a', "", ""));
	assert_int_equal(facts(&n->a).conn.stage, DOCTOR_STAGE_IDLE);
	assert_int_equal(examine(&n->a).code, DOCTOR_I_NOTTRIED);
}

static void test_silence(void **state)
{
	struct pair *n = *state;
	struct doctor_facts f;

	n->b.deaf = true;
	gateway_configure(&n->a, pair_config('a', "", START));
	WAIT(n->base, facts(&n->a).ike.asking_tries > 1);
	f = facts(&n->a);
	assert_int_equal(f.conn.stage, DOCTOR_STAGE_INIT);
	assert_int_equal(f.ike.asking_port, 500);
	assert_true(f.ike.asking_ms >= 1000);
	assert_true(f.ike.retransmits.n >= 1);
	assert_true(f.ike.longest > 200);
	assert_int_equal(f.ike.rx_500.n, 0);
	assert_int_equal(examine(&n->a).code, DOCTOR_I_SILENT);
}

// It answers, and the peer asks again all the same.
static void test_lost_answers(void **state)
{
	struct pair *n = *state;

	gateway_configure(&n->b, pair_config('b', "", ""));
	n->a.deaf = true;
	gateway_configure(&n->a, pair_config('a', "", START));
	WAIT(n->base, facts(&n->b).ike.peer_repeats.n >= 3); // two of them early
	assert_int_equal(facts(&n->b).ike.rx_500.n, 1 + facts(&n->b).ike.peer_repeats.n);
	assert_int_equal(facts(&n->b).ike.tx_500.n, facts(&n->b).ike.rx_500.n);
	n->a.deaf = false;
	WAIT(n->base, pair_joined(n));
	assert_int_equal(facts(&n->a).ike.late.n, 1); // answered, after a repetition
	assert_int_equal(examine(&n->a).status, DOCTOR_HEALTHY);
}

static void icmp(struct gateway *g, const char *from, const char *about, uint8_t type, uint8_t code)
{
	struct ike_socket_icmp e = {.remote.port = 500, .type = type, .code = code};

	assert_int_equal(ip_addr_parse(from, &e.from), 0);
	assert_int_equal(ip_addr_parse(about, &e.remote.addr), 0);
	note_icmp(g->run, &e);
}

static void test_icmp(void **state)
{
	static const struct {
		uint8_t type, code;
		enum doctor_icmp what;
	} rows[] = {
		{ICMP_DEST_UNREACH, ICMP_NET_UNREACH, DOCTOR_ICMP_NET},
		{ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, DOCTOR_ICMP_HOST},
		{ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, DOCTOR_ICMP_PORT},
		{ICMP_DEST_UNREACH, ICMP_PROT_UNREACH, DOCTOR_ICMP_PORT},
		{ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, DOCTOR_ICMP_SIZE},
		{ICMP_DEST_UNREACH, ICMP_NET_ANO, DOCTOR_ICMP_ADMIN},
		{ICMP_DEST_UNREACH, ICMP_HOST_ANO, DOCTOR_ICMP_ADMIN},
		{ICMP_DEST_UNREACH, ICMP_PKT_FILTERED, DOCTOR_ICMP_ADMIN},
		{ICMP_TIME_EXCEEDED, 0, DOCTOR_ICMP_TTL},
	};
	struct pair *n = *state;
	struct doctor_facts f;

	n->b.deaf = true;
	gateway_configure(&n->a, pair_config('a', "", START));
	WAIT(n->base, facts(&n->a).ike.tx_500.n > 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		icmp(&n->a, "203.0.113.1", B, rows[i].type, rows[i].code);
		f = facts(&n->a);
		assert_int_equal(f.ike.icmp.last, rows[i].what);
		assert_int_equal(f.ike.icmp.errors.n, i + 1);
		assert_int_equal(f.ike.icmp.port, 500);
	}
	icmp(&n->a, "203.0.113.1", B, ICMP_SOURCE_QUENCH, 0);		 // says nothing
	icmp(&n->a, "203.0.113.1", "203.0.113.9", ICMP_DEST_UNREACH, 1); // of a stranger
	assert_int_equal(facts(&n->a).ike.icmp.errors.n, f.ike.icmp.errors.n);
}

// A stranger's messages take no memory.
static void test_strangers_are_not_noted(void **state)
{
	struct pair *n = *state;
	struct ip_addr stranger;

	gateway_configure(&n->b, pair_config('b', "", ""));
	assert_int_equal(ip_addr_parse("203.0.113.9", &stranger), 0);
	wire_inject(&n->b, "203.0.113.9", (const uint8_t *)"rubbish that is no IKE message at all",
		    37);
	turn(n->base, 50);
	assert_null(peer_notes_find(n->b.run->notes, &stranger));
}

static void test_guard_counts(void **state)
{
	struct pair *n = *state;
	struct dp_guard_source s = {.packets = 40,
				    .fate = {[GUARD_LIMITED] = 30, [GUARD_PEER] = 10}};
	struct doctor_facts f;

	gateway_configure(&n->a, pair_config('a', "", ""));
	assert_int_equal(ip_addr_parse("203.0.113.9", &s.addr), 0);
	ike_run_note_guard(n->a.run, &s); // nobody that we know
	assert_null(peer_notes_find(n->a.run->notes, &s.addr));
	assert_int_equal(ip_addr_parse(B, &s.addr), 0);
	ike_run_note_guard(n->a.run, &s);
	s.packets += 5;
	s.fate[GUARD_LIMITED] += 5;
	ike_run_note_guard(n->a.run, &s);
	f = facts(&n->a);
	assert_int_equal(f.guard.came.n, 45);
	assert_int_equal(f.guard.passed.n, 10);
	assert_int_equal(f.guard.limited.n, 35);
}

// A note that is there already, because we have sent to the peer, makes no difference.
static void test_guard_counts_of_a_peer_we_asked(void **state)
{
	struct pair *n = *state;
	struct dp_guard_source s = {.packets = 4, .fate = {[GUARD_PEER] = 4}};

	n->b.deaf = true;
	gateway_configure(&n->a, pair_config('a', "", START));
	WAIT(n->base, facts(&n->a).ike.tx_500.n > 0);
	assert_int_equal(ip_addr_parse(B, &s.addr), 0);
	ike_run_note_guard(n->a.run, &s);
	assert_int_equal(facts(&n->a).guard.passed.n, 4);
	assert_int_equal(examine(&n->a).code, DOCTOR_I_LOCALFILTER_IN);
}

static void test_lost(void **state)
{
	struct pair *n = *state;
	struct doctor_facts f;

	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, pair_config('a', "dpd_delay = 1s", START));
	WAIT(n->base, pair_joined(n));
	gateway_crash(&n->b);
	gateway_up(&n->b, n->base, B);
	gateway_configure(&n->b, pair_config('b', "", START)); // it comes back and has forgotten us
	WAIT(n->base, facts(&n->a).history.restarts.n == 1);
	f = facts(&n->a);
	assert_int_equal(f.history.established.n, 2);
}

// The header of an IKEv1 message: phase 1, or the notification INVALID-MAJOR-VERSION (RFC 2408).
static void say_v1(struct gateway *to, const char *from, const uint8_t spi_i[8], uint8_t exchange)
{
	uint8_t m[28] = {[17] = 0x10, [18] = exchange, [27] = 28};

	memcpy(m, spi_i, 8);
	wire_inject(to, from, m, sizeof(m));
}

static void test_ikev1(void **state)
{
	struct pair *n = *state;
	struct ike_sa_info info;
	struct doctor_facts f;

	n->b.deaf = true;
	gateway_configure(&n->a, pair_config('a', "", START));
	WAIT(n->base, facts(&n->a).ike.tx_500.n > 0);
	say_v1(&n->a, B, (const uint8_t[8]){1}, 2); // it calls
	WAIT(n->base, facts(&n->a).ike.rx_v1.n == 1);
	assert_false(facts(&n->a).ike.v1_answers);
	ike_sa_info(TAILQ_FIRST(&n->a.run->sas)->sa, &info);
	say_v1(&n->a, B, info.spi_i, 5);	     // it answers
	say_v1(&n->a, "203.0.113.9", info.spi_i, 5); // a stranger
	WAIT(n->base, facts(&n->a).ike.rx_v1.n == 2);
	f = facts(&n->a);
	assert_true(f.ike.v1_answers);
	assert_int_equal(f.ike.rx_500.n, 2);
	assert_int_equal(examine(&n->a).code, DOCTOR_N_VERSION);
	n->b.deaf = false; // and then it speaks IKEv2
	gateway_configure(&n->b, pair_config('b', "", ""));
	WAIT(n->base, pair_joined(n));
	assert_int_equal(examine(&n->a).status, DOCTOR_HEALTHY);
}

// It answers IKE_SA_INIT, and what should follow is lost on port 4500.
static void test_no_ike_auth(void **state)
{
	struct pair *n = *state;

	n->b.no_port = IKE_NATT_PORT;
	gateway_configure(&n->b, pair_config('b', "", ""));
	n->b.run->env.half_open_ms = 1000;
	gateway_configure(&n->a, pair_config('a', "", START));
	WAIT(n->base, facts(&n->b).ike.no_auth.n == 1);
	assert_int_equal(examine(&n->b).code, DOCTOR_N_NOAUTH);
	n->b.no_port = 0;
	n->b.run->env.half_open_ms = 30000;
	assert_int_equal(facts(&n->a).ike.no_auth.n, 0);
}

// What went out on SAs that are gone could not be answered by the peer that has come back.
static void test_esp_counts_from_the_ike_sa(void **state)
{
	struct pair *n = *state;
	struct doctor_facts f;

	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, pair_config('a', "", START));
	WAIT(n->base, pair_joined(n));
	n->a.dp.totals = (struct dp_tunnel_totals){.in_packets = 90, .out_packets = 90};
	assert_int_equal(facts(&n->a).esp.since.n, 0);
	n->a.dp.totals.out_packets = 190;
	assert_int_equal(facts(&n->a).esp.since.n, 100);
	gateway_crash(&n->b);
	gateway_up(&n->b, n->base, B);
	gateway_configure(&n->b, pair_config('b', "", START));
	WAIT(n->base, facts(&n->a).history.restarts.n == 1);
	assert_int_equal(facts(&n->a).esp.since.n, 0);
	n->a.dp.totals.out_packets += 3;
	f = facts(&n->a);
	assert_int_equal(f.esp.since.n, 3);
	assert_int_equal(f.esp.in_before, 90);
	n->a.dp.totals.in_packets++;
	assert_int_equal(facts(&n->a).esp.since.n, 0);
	n->a.dp.totals.out_packets += 7;
	assert_int_equal(facts(&n->a).esp.since.n, 7);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, pair_setup, pair_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_up),		 TEST(test_nobody_asks),
		TEST(test_silence),	 TEST(test_lost_answers),
		TEST(test_icmp),	 TEST(test_strangers_are_not_noted),
		TEST(test_guard_counts), TEST(test_guard_counts_of_a_peer_we_asked),
		TEST(test_lost),	 TEST(test_ikev1),
		TEST(test_no_ike_auth),	 TEST(test_esp_counts_from_the_ike_sa),
	};

	return cmocka_run_group_tests_name("notes", tests, NULL, NULL);
}
