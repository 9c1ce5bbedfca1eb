// UDP/500 is filtered, or flooded: another port, and patience with what works without IKE.
#include <string.h>

#include "test/sim/check.h"
#include "test/sim/sim.h"

static struct sim sim;

static struct sim *start(void)
{
	sim_init(&sim, 5);
	return &sim;
}

static void end(struct sim *s)
{
	if (!sim_fini(s))
		fail_msg("%s", s->broken);
}

static unsigned count(const struct sim_peer *p, enum ike_report_code code)
{
	unsigned n = 0;

	for (size_t i = 0; i < p->n_reports; i++)
		n += p->report[i].code == code;
	return n;
}

static struct ike_sa_info info_of(const struct sim_peer *p)
{
	struct ike_sa_info info;
	struct ike_sa *sa = sim_sa(p, IKE_ST_ESTABLISHED);

	CHECK(sa);
	ike_sa_info(sa, &info);
	return info;
}

static struct ike_child_info child_of(const struct sim_peer *p)
{
	struct ike_child_info info;

	CHECK(!ike_sa_child_info(sim_sa(p, IKE_ST_ESTABLISHED), 0, &info));
	return info;
}

// ---- another port ----

static void filtered(struct sim *s, struct sim_peer *towards)
{
	s->a.conf.fallback_port = IKE_NATT_PORT;
	s->blocked = IKE_PORT;
	s->blocked_to = towards;
}

static void test_4500_when_500_is_silent(void **state)
{
	struct sim *s = start();
	const struct sim_report *r;

	(void)state;
	filtered(s, NULL);
	sim_initiate(s, &s->a);
	sim_run_until(s, 60000);
	CHECK(info_of(&s->a).local.port == 4500 && info_of(&s->a).remote.port == 4500);
	CHECK(info_of(&s->b).local.port == 4500 && info_of(&s->b).remote.port == 4500);
	CHECK(sim_agree(s));
	r = sim_reported(&s->a, IKE_REPORT_PORT_BLOCKED);
	CHECK(r && strcmp(r->text, "UDP/500 to 192.0.2.2 is filtered (5 messages unanswered, 4500 "
				   "answers): using 4500") == 0);
	CHECK(r->at_ms > 20000); // after the retransmissions, not at the first lost packet
	CHECK(s->a.ports.other == 4500 && s->a.ports.silent == 5);
	// RFC 7296 2.23: port 4500 alone puts no ESP into UDP; a NAT would.
	CHECK(!info_of(&s->a).nat_local && !info_of(&s->a).nat_remote);
	CHECK(!child_of(&s->a).udp_encap && !child_of(&s->b).udp_encap);
	CHECK(s->a.children[0].in.either_form && s->b.children[0].in.either_form);
	end(s);
}

static void test_the_next_one_begins_there(void **state)
{
	struct sim *s = start();

	(void)state;
	filtered(s, NULL);
	sim_initiate(s, &s->a);
	sim_run_until(s, 60000);
	sim_initiate(s, &s->a);
	sim_run_until(s, 60100);
	CHECK(sim_open(&s->a) == 2 && sim_open(&s->b) == 2);
	CHECK(count(&s->a, IKE_REPORT_PORT_BLOCKED) == 1);
	end(s);
}

// The answers alone are lost: the peer has half-open SAs of the first SPI.
static void test_only_the_way_back_is_filtered(void **state)
{
	struct sim *s = start();

	(void)state;
	filtered(s, &s->a);
	sim_initiate(s, &s->a);
	sim_run_until(s, 60000);
	CHECK(info_of(&s->a).remote.port == 4500);
	CHECK(sim_reported(&s->a, IKE_REPORT_ESTABLISHED)->at_ms < 26000); // at once
	CHECK(sim_children(&s->a) == 1 && sim_children(&s->b) == 1);
	CHECK(sim_open(&s->a) == 1 && sim_open(&s->b) == 1); // the half-open one has ended
	end(s);
}

static void test_with_mobike_and_behind_a_nat(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		struct sim *s = start();

		(void)state;
		filtered(s, NULL);
		if (i == 0)
			s->a.conf.mobike = s->b.conf.mobike = true;
		else
			s->nat = true;
		sim_initiate(s, &s->a);
		sim_run_until(s, 60000);
		CHECK(info_of(&s->a).local.port == 4500 && info_of(&s->a).remote.port == 4500);
		CHECK(child_of(&s->a).udp_encap == (i == 1));
		CHECK(sim_children(&s->b) == 1);
		end(s);
	}
}

static void test_a_port_that_is_forwarded(void **state)
{
	struct sim *s = start();

	(void)state;
	filtered(s, NULL);
	s->a.conf.fallback_port = s->forwarded = 8500;
	sim_initiate(s, &s->a);
	sim_run_until(s, 60000);
	CHECK(info_of(&s->a).local.port == 4500 && info_of(&s->a).remote.port == 8500);
	// Forwarding is a NAT before the peer: ESP goes the same way.
	CHECK(info_of(&s->a).nat_remote && s->a.children[0].out.udp_encap);
	CHECK(s->a.children[0].out.remote.port == 8500 && sim_children(&s->b) == 1);
	CHECK(s->a.ports.other == 8500);
	end(s);
}

static void test_without_leave_it_is_reported_alone(void **state)
{
	struct sim *s = start();
	const struct sim_report *r;

	(void)state;
	filtered(s, NULL);
	s->a.conf.fallback_port = 0;
	sim_initiate(s, &s->a);
	sim_run_until(s, 400000);
	r = sim_reported(&s->a, IKE_REPORT_NO_ANSWER);
	CHECK(r && strstr(r->text, "(8 messages in 165 s)"));
	CHECK(sim_open(&s->a) == 0 && s->a.ports.other == 0);
	end(s);
}

static void test_a_peer_that_is_off_is_not_called_filtered(void **state)
{
	struct sim *s = start();
	const struct sim_report *r;

	(void)state;
	filtered(s, NULL);
	s->down = true;
	sim_initiate(s, &s->a);
	sim_run_until(s, 400000);
	r = sim_reported(&s->a, IKE_REPORT_NO_ANSWER);
	CHECK(r && strstr(r->text, "(8 messages in 165 s), and on UDP 500 neither (5 messages)"));
	CHECK(!sim_reported(&s->a, IKE_REPORT_PORT_BLOCKED) && s->a.ports.other == 0);
	CHECK(sim_open(&s->a) == 0);
	end(s);
}

// Who wants another group is there, and the port is not the trouble: what follows is lost for
// another reason, and 4500 would only hide it.
static void test_an_answer_on_500_forbids_it(void **state)
{
	struct sim *s = start();

	(void)state;
	s->a.conf.fallback_port = IKE_NATT_PORT;
	s->a.conf.ike = "aes128gcm16-prfsha256-ecp256-x25519";
	sim_initiate(s, &s->a);
	sim_run_until(s, s->now_ms + 7);
	s->blocked = IKE_PORT;
	sim_run_until(s, 400000);
	CHECK(sim_reported(&s->a, IKE_REPORT_KE_MISMATCH));
	CHECK(sim_reported(&s->a, IKE_REPORT_NO_ANSWER));
	CHECK(count(&s->a, IKE_REPORT_INIT_SENT) == 1 && s->a.ports.other == 0);
	end(s);
}

// ---- the choice by itself ----

static void test_the_choice(void **state)
{
	const struct ip_addr peer = ip_addr_v4(0xc0000202), other = ip_addr_v4(0xc0000203);
	struct port_choice c = {0};
	uint64_t now = 1000, before = 0;

	(void)state;
	CHECK(port_choice_begin(&c, &peer, 500) == 500 && !port_choice_due(&c, now));
	CHECK(!port_choice_healed(&c) && !port_choice_silent(&c, 500));
	port_choice_blocked(&c, &peer, 4500, 3, now, 512);
	CHECK(port_choice_begin(&c, &peer, 500) == 4500);
	CHECK(port_choice_begin(&c, &other, 500) == 500);
	// Checks grow apart, and never beyond half an hour and a fifth.
	for (unsigned i = 0; i < 20; i++) {
		uint64_t wait = c.check_ms - now;

		CHECK(!port_choice_due(&c, c.check_ms - 1) && port_choice_due(&c, c.check_ms));
		CHECK(wait >= before * 9 / 10 && wait <= PORT_CHECK_MAX_MS * 6 / 5);
		before = wait;
		now = c.check_ms;
		port_choice_asked(&c, now, 512);
	}
	CHECK(before == PORT_CHECK_MAX_MS && c.checks == 20);
	CHECK(port_choice_healed(&c) && port_choice_begin(&c, &peer, 500) == 500);
	port_choice_blocked(&c, &peer, 4500, 3, now, 0);
	CHECK(!port_choice_silent(&c, 500));
	CHECK(port_choice_silent(&c, 4500) && port_choice_begin(&c, &peer, 500) == 500);
}

// ---- what works without IKE goes on ----

static void up(struct sim *s)
{
	sim_initiate(s, &s->a);
	sim_run_until(s, s->now_ms + 1000);
	CHECK(sim_children(&s->a) == 1 && sim_children(&s->b) == 1);
}

static void test_esp_keeps_a_tunnel_whose_ike_is_silent(void **state)
{
	struct sim *s = start();
	const struct sim_report *r;

	(void)state;
	s->a.conf.rekey_ms = 100000;
	s->a.conf.life_ms = 3600000;
	up(s);
	sim_flow_start(s);
	s->down = s->esp_alive = true;
	sim_run_until(s, 3000000); // long after 165 s of repetitions
	CHECK(sim_children(&s->a) == 1 && !sim_reported(&s->a, IKE_REPORT_DEAD_PEER));
	r = sim_reported(&s->a, IKE_REPORT_IKE_SILENT);
	CHECK(r && strstr(r->text, "its ESP arrives: the tunnel stays as it is"));
	CHECK(count(&s->a, IKE_REPORT_IKE_SILENT) == 1);
	CHECK(s->a.sent < 60); // politely
	s->down = false;       // and all is made good when the answer comes
	sim_run_until(s, 3200000);
	CHECK(count(&s->a, IKE_REPORT_CHILD_REKEYED) >= 1);
	s->flow = false;
	end(s);
}

static void test_the_hard_limit_holds(void **state)
{
	struct sim *s = start();

	(void)state;
	s->a.conf.rekey_ms = 100000;
	s->a.conf.life_ms = 1000000;
	up(s);
	s->down = s->esp_alive = true;
	sim_run_until(s, 990000);
	CHECK(sim_children(&s->a) == 1);
	sim_run_until(s, 1030000);
	CHECK(sim_children(&s->a) == 0 && count(&s->a, IKE_REPORT_EXPIRED) == 1);
	end(s);
}

static void test_so_does_that_of_the_ike_sa(void **state)
{
	struct sim *s = start();

	(void)state;
	s->a.conf.ike_rekey_ms = 100000;
	s->a.conf.ike_over_ms = 900000;
	up(s);
	s->down = s->esp_alive = true;
	sim_run_until(s, 990000);
	CHECK(sim_open(&s->a) == 1);
	sim_run_until(s, 1100000);
	CHECK(sim_open(&s->a) == 0);
	end(s);
}

static void test_without_esp_the_peer_is_dead(void **state)
{
	struct sim *s = start();

	(void)state;
	s->a.conf.dpd_delay_ms = 30000;
	up(s);
	s->down = true;
	sim_run_until(s, 300000);
	CHECK(sim_reported(&s->a, IKE_REPORT_DEAD_PEER) && sim_open(&s->a) == 0);
	end(s);
}

// What bears an SPI of ours passes the guard: who is silent then is not there.
static void test_a_flood_alone_earns_no_time(void **state)
{
	const struct sim_report *r;
	struct sim *s = start();

	(void)state;
	s->a.conf.dpd_delay_ms = 30000;
	up(s);
	s->down = s->under_attack = true;
	sim_run_until(s, 300000);
	r = sim_reported(&s->a, IKE_REPORT_DEAD_PEER);
	CHECK(r && sim_open(&s->a) == 0);
	end(s);
}

// Liveness checks are answered in a flood as ever.
static void test_a_peer_that_lives_is_kept_in_a_flood(void **state)
{
	struct sim *s = start();

	(void)state;
	s->a.conf.dpd_delay_ms = 30000;
	up(s);
	s->under_attack = true;
	sim_run_until(s, 900000);
	CHECK(sim_open(&s->a) == 1 && count(&s->a, IKE_REPORT_RETRANSMIT) == 0);
	end(s);
}

static void test_what_we_lose_earns_time(void **state)
{
	const struct sim_report *r;
	struct sim *s = start();

	(void)state;
	s->a.conf.dpd_delay_ms = 30000;
	up(s);
	s->down = s->under_attack = s->losing = true;
	sim_run_until(s, 300000);
	CHECK(sim_open(&s->a) == 1 && !sim_reported(&s->a, IKE_REPORT_DEAD_PEER));
	r = sim_reported(&s->a, IKE_REPORT_IKE_SILENT);
	CHECK(r && strstr(r->text, "but part of what comes is lost here: the tunnel stays"));
	sim_run_until(s, 900000); // but not for ever
	CHECK(sim_open(&s->a) == 0 && sim_reported(&s->a, IKE_REPORT_DEAD_PEER));
	end(s);
}

// The loss ends, and there is still no answer: one more interval, and that is all.
static void test_once_nothing_is_lost_any_more(void **state)
{
	struct sim *s = start();

	(void)state;
	s->a.conf.dpd_delay_ms = 30000;
	up(s);
	s->down = s->under_attack = s->losing = true;
	sim_run_until(s, 300000);
	CHECK(sim_open(&s->a) == 1);
	s->losing = false;
	sim_run_until(s, 450000);
	CHECK(sim_open(&s->a) == 0 && sim_reported(&s->a, IKE_REPORT_DEAD_PEER));
	end(s);
}

static void test_rekeying_waits_for_the_flood_to_end(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		struct sim *s = start();

		(void)state;
		s->a.conf.ike_rekey_ms = 200000;
		s->a.conf.ike_over_ms = 400000;
		up(s);
		s->under_attack = true;
		sim_run_until(s, 350000);
		CHECK(count(&s->a, IKE_REPORT_REKEYED) == 0);
		s->under_attack = i == 0;
		sim_run_until(s, 401000 + 50000); // half of over_time, or the end of the flood
		CHECK(count(&s->a, IKE_REPORT_REKEYED) == 1);
		CHECK(count(&s->a, IKE_REPORT_EXPIRED) == 0 && sim_children(&s->a) == 1);
		end(s);
	}
}

// Not only after 4 s: the first one may have been lost in a flood.
static void test_an_opener_is_repeated_early(void **state)
{
	static const struct {
		uint64_t until_ms;
		unsigned sent;
	} rows[] = {{499, 1},  {501, 2},  {1499, 2},  {1501, 3},
		    {3999, 3}, {4001, 4}, {11199, 4}, {11201, 5}};
	struct sim *s = start();
	const uint64_t begin_ms = s->now_ms;

	(void)state;
	s->down = true;
	sim_initiate(s, &s->a);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		sim_run_until(s, begin_ms + rows[i].until_ms);
		CHECK(s->a.sent == rows[i].sent);
	}
	CHECK(count(&s->a, IKE_REPORT_RETRANSMIT) == 2); // as configured
	end(s);
	s = start();
	s->drop_next = 2;
	sim_initiate(s, &s->a);
	sim_run_until(s, begin_ms + 1600);
	CHECK(sim_agree(s));
	end(s);
}

static void test_initiations_last_longer_in_a_flood(void **state)
{
	struct sim *s = start();
	const struct sim_report *r;

	(void)state;
	s->down = s->under_attack = true;
	s->a.conf.tries = 2;
	sim_initiate(s, &s->a);
	sim_run_until(s, 100000);
	r = sim_reported(&s->a, IKE_REPORT_NO_ANSWER);
	CHECK(r && strstr(r->text, "(8 messages in 24 s)"));
	end(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_4500_when_500_is_silent),
		cmocka_unit_test(test_the_next_one_begins_there),
		cmocka_unit_test(test_only_the_way_back_is_filtered),
		cmocka_unit_test(test_with_mobike_and_behind_a_nat),
		cmocka_unit_test(test_a_port_that_is_forwarded),
		cmocka_unit_test(test_without_leave_it_is_reported_alone),
		cmocka_unit_test(test_a_peer_that_is_off_is_not_called_filtered),
		cmocka_unit_test(test_an_answer_on_500_forbids_it),
		cmocka_unit_test(test_the_choice),
		cmocka_unit_test(test_esp_keeps_a_tunnel_whose_ike_is_silent),
		cmocka_unit_test(test_the_hard_limit_holds),
		cmocka_unit_test(test_so_does_that_of_the_ike_sa),
		cmocka_unit_test(test_without_esp_the_peer_is_dead),
		cmocka_unit_test(test_a_flood_alone_earns_no_time),
		cmocka_unit_test(test_a_peer_that_lives_is_kept_in_a_flood),
		cmocka_unit_test(test_what_we_lose_earns_time),
		cmocka_unit_test(test_once_nothing_is_lost_any_more),
		cmocka_unit_test(test_rekeying_waits_for_the_flood_to_end),
		cmocka_unit_test(test_an_opener_is_repeated_early),
		cmocka_unit_test(test_initiations_last_longer_in_a_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
