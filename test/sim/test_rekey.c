// CREATE_CHILD_SA between two peers: further children, successors, and what happens when both sides
// do it at once (RFC 7296 1.3, 2.8, 2.18, 2.25). ESP flows in both directions all the time.
#include <stdlib.h>
#include <string.h>

#include "test/sim/check.h"
#include "test/sim/sim.h"

static struct sim *start(void)
{
	struct sim *s = malloc(sizeof(*s));

	sim_init(s, 4242);
	return s;
}

static void up(struct sim *s)
{
	sim_initiate(s, &s->a);
	sim_run_until(s, s->now_ms + 100);
	CHECK(sim_children(&s->a) == 1 && sim_children(&s->b) == 1);
	sim_flow_start(s);
}

static void end(struct sim *s)
{
	if (!sim_fini(s))
		fail_msg("%s", s->broken);
	free(s);
}

// One IKE SA and `children` on each side, nothing left over.
static void settled(struct sim *s, size_t children)
{
	if (!sim_agree(s))
		fail_msg("%s", s->broken);
	CHECK(sim_open(&s->a) == 1 && sim_open(&s->b) == 1);
	CHECK(sim_children(&s->a) == children && sim_children(&s->b) == children);
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
	struct ike_sa_info info = {0};

	if (sim_sa(p, IKE_ST_ESTABLISHED))
		ike_sa_info(sim_sa(p, IKE_ST_ESTABLISHED), &info);
	return info;
}

// ---- children ----

static void test_either_side_replaces_a_child(void **state)
{
	(void)state;
	for (unsigned by = 0; by < 2; by++) {
		struct sim *s = start();
		struct sim_peer *p = by ? &s->b : &s->a;
		uint32_t before;

		up(s);
		before = s->a.sends_on[0];
		sim_rekey_child(s, p);
		sim_run_until(s, s->now_ms + 100);
		settled(s, 1);
		CHECK(s->a.sends_on[0] != before && s->b.sends_on[0] != 0);
		CHECK(count(&s->a, IKE_REPORT_CHILD_REKEYED) == 1);
		CHECK(count(&s->b, IKE_REPORT_CHILD_REKEYED) == 1);
		CHECK(sim_errors(&s->a) + sim_errors(&s->b) == 0);
		end(s);
	}
}

static void test_the_reqid_stays(void **state)
{
	struct sim *s = start();
	struct ike_child_info before, after;

	(void)state;
	up(s);
	CHECK(!ike_sa_child_info(sim_sa(&s->a, IKE_ST_ESTABLISHED), 0, &before));
	sim_rekey_child(s, &s->a);
	sim_run_until(s, s->now_ms + 100);
	CHECK(!ike_sa_child_info(sim_sa(&s->a, IKE_ST_ESTABLISHED), 0, &after));
	CHECK(before.reqid == after.reqid && before.spi_in != after.spi_in);
	end(s);
}

// The answer is lost: the responder may not send on the new SA before the initiator knows it.
static void test_the_responder_waits_with_the_new_sa(void **state)
{
	struct sim *s = start();
	uint32_t before;

	(void)state;
	up(s);
	before = s->b.sends_on[0];
	sim_rekey_child(s, &s->a);
	s->drop_next = 1; // the response
	sim_run_until(s, s->now_ms + 3000);
	CHECK(sim_children(&s->b) == 2 && sim_children(&s->a) == 1);
	CHECK(s->b.sends_on[0] == before);
	sim_run_until(s, s->now_ms + 3000);
	CHECK(s->b.sends_on[0] != before);
	settled(s, 1);
	end(s);
}

// It need not wait for the DELETE: a packet on the new SA says as much.
static void test_traffic_tells_the_responder_too(void **state)
{
	struct sim *s = start();
	uint32_t before;

	(void)state;
	up(s);
	before = s->b.sends_on[0];
	sim_rekey_child(s, &s->a);
	sim_run_until(s, s->now_ms + 7); // the request is there, its answer on the way
	s->delay_ms = 5;
	s->drop_next = 1; // the DELETE of the old child
	sim_run_until(s, s->now_ms + 1500);
	CHECK(sim_children(&s->b) == 2 && s->b.sends_on[0] != before);
	sim_run_until(s, s->now_ms + 5000);
	settled(s, 1);
	end(s);
}

static void test_both_replace_a_child_at_once(void **state)
{
	(void)state;
	// Seeds, so that either side has the lowest nonce.
	for (uint64_t seed = 0; seed < 32; seed++) {
		struct sim *s = start();

		sim_fini(s);
		sim_init(s, seed);
		up(s);
		sim_rekey_child(s, &s->a);
		sim_rekey_child(s, &s->b);
		sim_run_until(s, s->now_ms + 100);
		settled(s, 1);
		CHECK(s->a.installs + s->b.installs ==
		      2 + 3); // the loser's initiator installs none
		CHECK(sim_errors(&s->a) + sim_errors(&s->b) == 0);
		end(s);
	}
}

// RFC 7296 2.8.1, second figure: one request is late, the other side is done already.
static void test_both_replace_a_child_and_one_request_is_late(void **state)
{
	struct sim *s = start();

	(void)state;
	up(s);
	s->drop_next = 1;
	sim_rekey_child(s, &s->a);
	sim_rekey_child(s, &s->b);
	sim_run_until(s, s->now_ms + 100);
	CHECK(sim_children(&s->b) == 1);
	sim_run_until(s, s->now_ms + 20000);
	settled(s, 1);
	CHECK(sim_errors(&s->a) + sim_errors(&s->b) == 0);
	end(s);
}

static void test_one_replaces_what_the_other_deletes(void **state)
{
	(void)state;
	for (unsigned who = 0; who < 2; who++) {
		struct sim *s = start();

		sim_initiate(s, &s->a);
		sim_run_until(s, 2000);
		sim_rekey_child(s, who ? &s->a : &s->b);
		sim_terminate_child(s, who ? &s->b : &s->a);
		sim_run_until(s, s->now_ms + 60000);
		CHECK(sim_agree(s) && sim_open(&s->a) == 1);
		CHECK(sim_errors(&s->a) + sim_errors(&s->b) == 0);
		end(s);
	}
}

// What the peer has lost it cannot replace: a new one is made instead (2.25.1).
static void test_a_child_that_the_peer_does_not_know(void **state)
{
	struct sim *s = start();

	(void)state;
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	s->down = true;
	sim_terminate_child(s, &s->b); // its DELETE is on the way for a while
	sim_run_until(s, s->now_ms + 10);
	s->down = false;
	sim_rekey_child(s, &s->a);
	sim_run_until(s, s->now_ms + 60000);
	CHECK(sim_agree(s) && sim_open(&s->a) == 1);
	end(s);
}

static void test_a_further_child(void **state)
{
	struct sim *s = start();

	(void)state;
	s->a.conf.extra_child_local_ts = s->b.conf.extra_child_remote_ts = "10.11.0.0/16";
	s->a.conf.extra_child_remote_ts = s->b.conf.extra_child_local_ts = "10.12.0.0/16";
	up(s);
	sim_create_child(s, &s->a, 1);
	sim_run_until(s, s->now_ms + 100);
	settled(s, 2);
	CHECK(s->a.sends_on[1] != 0 && s->b.sends_on[1] != 0);
	CHECK(count(&s->b, IKE_REPORT_CHILD_UP) == 2);
	end(s);
}

static void test_both_make_the_same_child_at_once(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 16; seed++) {
		struct sim *s = start();

		sim_fini(s);
		sim_init(s, seed);
		s->a.conf.extra_child_local_ts = s->b.conf.extra_child_remote_ts = "10.11.0.0/16";
		s->a.conf.extra_child_remote_ts = s->b.conf.extra_child_local_ts = "10.12.0.0/16";
		up(s);
		sim_create_child(s, &s->a, 1);
		sim_create_child(s, &s->b, 1);
		sim_run_until(s, s->now_ms + 60000);
		settled(s, 2);
		end(s);
	}
}

static void test_a_child_that_the_peer_refuses(void **state)
{
	struct sim *s = start();

	(void)state;
	s->a.conf.extra_child_local_ts = "10.11.0.0/16";
	s->a.conf.extra_child_remote_ts = "10.12.0.0/16";
	up(s);
	sim_create_child(s, &s->a, 1);
	sim_run_until(s, s->now_ms + 100);
	settled(s, 1);
	CHECK(sim_reported(&s->a, IKE_REPORT_TS_MISMATCH) != NULL);
	CHECK(strstr(sim_reported(&s->b, IKE_REPORT_TS_MISMATCH)->text, "10.11.0.0/16"));
	CHECK(s->a.failed == 1);
	end(s);
}

// ---- perfect forward secrecy ----

static void test_a_key_exchange_for_the_child(void **state)
{
	static const struct {
		const char *a, *b;
		bool rekeyed, asked_again;
	} rows[] = {
		{"aes128gcm16-x25519", "aes128gcm16-x25519", true, false},
		{"aes128gcm16-x25519-ecp256", "aes128gcm16-ecp256", true, true},
		{"aes128gcm16-x25519,aes128gcm16", "aes128gcm16", true, false},
		// Only the first rekeying shows it: IKE_AUTH has no group.
		{"aes128gcm16-x25519", "aes128gcm16", false, false},
		{"aes128gcm16", "aes128gcm16-x25519", false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sim *s = start();

		s->a.conf.esp = rows[i].a;
		s->b.conf.esp = rows[i].b;
		up(s);
		sim_rekey_child(s, &s->a);
		sim_run_until(s, s->now_ms + 1000);
		settled(s, 1);
		CHECK((count(&s->a, IKE_REPORT_CHILD_REKEYED) == 1) == rows[i].rekeyed);
		CHECK((sim_reported(&s->b, IKE_REPORT_KE_MISMATCH) != NULL) == rows[i].asked_again);
		CHECK((sim_reported(&s->b, IKE_REPORT_ESP_MISMATCH) != NULL) != rows[i].rekeyed);
		end(s);
	}
}

// ---- the IKE SA ----

static void test_either_side_replaces_the_ike_sa(void **state)
{
	(void)state;
	for (unsigned by = 0; by < 2; by++) {
		struct sim *s = start();
		struct ike_sa_info before, a, b;

		up(s);
		before = info_of(&s->a);
		sim_rekey(s, by ? &s->b : &s->a);
		sim_run_until(s, s->now_ms + 100);
		settled(s, 1);
		a = info_of(&s->a);
		b = info_of(&s->b);
		CHECK(memcmp(a.spi_i, before.spi_i, 8) != 0 && memcmp(a.spi_r, before.spi_r, 8));
		CHECK(a.original_initiator == !by && b.original_initiator == !!by);
		CHECK(a.n_children == 1 && b.n_children == 1);
		CHECK(identity_equal(&a.local_id, &before.local_id));
		CHECK(s->a.installs == 1 && s->b.installs == 1); // the children stay as they are
		// The new one works: requests in both directions, numbers from 0.
		sim_rekey_child(s, &s->a);
		sim_run_until(s, s->now_ms + 100);
		sim_rekey_child(s, &s->b);
		sim_run_until(s, s->now_ms + 100);
		sim_check(s, &s->a);
		sim_check(s, &s->b);
		sim_run_until(s, s->now_ms + 100);
		settled(s, 1);
		CHECK(sim_errors(&s->a) + sim_errors(&s->b) == 0);
		end(s);
	}
}

static void test_both_replace_the_ike_sa_at_once(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 32; seed++) {
		struct sim *s = start();

		sim_fini(s);
		sim_init(s, seed);
		up(s);
		sim_rekey(s, &s->a);
		sim_rekey(s, &s->b);
		sim_run_until(s, s->now_ms + 200);
		settled(s, 1);
		CHECK(sim_errors(&s->a) + sim_errors(&s->b) == 0);
		end(s);
	}
}

static void test_both_replace_the_ike_sa_and_one_request_is_late(void **state)
{
	struct sim *s = start();

	(void)state;
	up(s);
	s->drop_next = 1;
	sim_rekey(s, &s->a);
	sim_rekey(s, &s->b);
	sim_run_until(s, s->now_ms + 20000);
	settled(s, 1);
	end(s);
}

static void test_child_and_ike_sa_at_once(void **state)
{
	(void)state;
	for (unsigned who = 0; who < 2; who++) {
		struct sim *s = start();

		up(s);
		sim_rekey(s, who ? &s->a : &s->b);
		sim_rekey_child(s, who ? &s->b : &s->a);
		sim_run_until(s, s->now_ms + 60000); // TEMPORARY_FAILURE, and again later
		settled(s, 1);
		CHECK(s->a.installs == 2 && s->b.installs == 2);
		CHECK(count(&s->a, IKE_REPORT_REKEYED) == 1);
		CHECK(sim_errors(&s->a) + sim_errors(&s->b) == 0);
		end(s);
	}
}

static void test_terminating_what_is_being_replaced(void **state)
{
	(void)state;
	for (unsigned who = 0; who < 4; who++) {
		struct sim *s = start();

		sim_initiate(s, &s->a);
		sim_run_until(s, 2000);
		sim_rekey(s, &s->a);
		if (who & 2)
			sim_run_until(s, s->now_ms + 6);
		sim_terminate(s, who & 1 ? &s->a : &s->b);
		sim_run_until(s, s->now_ms + 60000);
		CHECK(sim_open(&s->a) == 0 && sim_open(&s->b) == 0);
		CHECK(sim_children(&s->a) == 0 && sim_children(&s->b) == 0);
		end(s);
	}
}

static void test_the_successors_group_is_another_one(void **state)
{
	struct sim *s = start();

	(void)state;
	s->a.conf.ike = "aes128gcm16-prfsha256-x25519-ecp256";
	s->b.conf.ike = "aes128gcm16-prfsha256-ecp256-x25519"; // INVALID_KE_PAYLOAD in IKE_SA_INIT
	up(s);
	sim_rekey(s, &s->a);
	sim_run_until(s, s->now_ms + 200);
	settled(s, 1);
	CHECK(count(&s->b, IKE_REPORT_KE_MISMATCH) == 1); // not a second time
	sim_rekey(s, &s->b);
	sim_run_until(s, s->now_ms + 200);
	settled(s, 1);
	end(s);
}

// ---- lifetimes ----

static void lives(struct sim_conf *c)
{
	c->rekey_ms = 3600000;
	c->life_ms = 3960000;
	c->ike_rekey_ms = 4 * 3600000;
	c->ike_over_ms = 4 * 360000;
	c->dpd_delay_ms = 30000;
}

static void test_a_day_without_a_gap(void **state)
{
	struct sim *s = start();
	unsigned children, sas;

	(void)state;
	lives(&s->a.conf);
	lives(&s->b.conf);
	up(s);
	sim_run_until(s, 24ull * 3600 * 1000);
	settled(s, 1);
	children = count(&s->a, IKE_REPORT_CHILD_REKEYED);
	sas = count(&s->a, IKE_REPORT_REKEYED);
	CHECK(children >= 23 && children <= 30 && sas >= 5 && sas <= 8);
	CHECK(sim_errors(&s->a) + sim_errors(&s->b) == 0);
	CHECK(count(&s->a, IKE_REPORT_EXPIRED) == 0 && count(&s->b, IKE_REPORT_EXPIRED) == 0);
	end(s);
}

static void test_a_child_that_cannot_be_replaced_ends(void **state)
{
	struct sim *s = start();

	(void)state;
	s->a.conf.rekey_ms = 10000;
	s->a.conf.life_ms = 30000;
	s->a.conf.esp = "aes128gcm16-x25519"; // the peer has no group
	sim_initiate(s, &s->a);
	sim_run_until(s, 25000);
	CHECK(sim_children(&s->a) == 1 && sim_reported(&s->b, IKE_REPORT_ESP_MISMATCH));
	CHECK(s->a.failed == 1);
	sim_run_until(s, 40000);
	CHECK(sim_children(&s->a) == 0 && sim_children(&s->b) == 0);
	CHECK(count(&s->a, IKE_REPORT_EXPIRED) == 1);
	CHECK(sim_agree(s));
	end(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_either_side_replaces_a_child),
		cmocka_unit_test(test_the_reqid_stays),
		cmocka_unit_test(test_the_responder_waits_with_the_new_sa),
		cmocka_unit_test(test_traffic_tells_the_responder_too),
		cmocka_unit_test(test_both_replace_a_child_at_once),
		cmocka_unit_test(test_both_replace_a_child_and_one_request_is_late),
		cmocka_unit_test(test_one_replaces_what_the_other_deletes),
		cmocka_unit_test(test_a_child_that_the_peer_does_not_know),
		cmocka_unit_test(test_a_further_child),
		cmocka_unit_test(test_both_make_the_same_child_at_once),
		cmocka_unit_test(test_a_child_that_the_peer_refuses),
		cmocka_unit_test(test_a_key_exchange_for_the_child),
		cmocka_unit_test(test_either_side_replaces_the_ike_sa),
		cmocka_unit_test(test_both_replace_the_ike_sa_at_once),
		cmocka_unit_test(test_both_replace_the_ike_sa_and_one_request_is_late),
		cmocka_unit_test(test_child_and_ike_sa_at_once),
		cmocka_unit_test(test_terminating_what_is_being_replaced),
		cmocka_unit_test(test_the_successors_group_is_another_one),
		cmocka_unit_test(test_a_day_without_a_gap),
		cmocka_unit_test(test_a_child_that_cannot_be_replaced_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
