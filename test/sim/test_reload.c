// The core when a reload takes a child out of its connection, or changes its times. ESP of the
// other child flows in both directions all the time.
#include <stdlib.h>

#include "test/sim/check.h"
#include "test/sim/sim.h"

// Both sides with children `net` and `extra`, which are up.
static struct sim *start(void)
{
	struct sim *s = malloc(sizeof(*s));

	sim_init(s, 4242);
	s->a.conf.extra_child_local_ts = s->b.conf.extra_child_remote_ts = "10.11.0.0/16";
	s->a.conf.extra_child_remote_ts = s->b.conf.extra_child_local_ts = "10.12.0.0/16";
	sim_initiate(s, &s->a);
	sim_run_until(s, s->now_ms + 100);
	CHECK(sim_children(&s->a) == 1 && sim_children(&s->b) == 1);
	sim_flow_start(s);
	return s;
}

static void with_extra(struct sim *s)
{
	sim_create_child(s, &s->a, 1);
	sim_run_until(s, s->now_ms + 100);
	CHECK(sim_children(&s->a) == 2 && sim_children(&s->b) == 2);
}

static void end(struct sim *s)
{
	if (!sim_fini(s))
		fail_msg("%s", s->broken);
	free(s);
}

static void settled(struct sim *s, size_t children)
{
	if (!sim_agree(s))
		fail_msg("%s", s->broken);
	CHECK(sim_open(&s->a) == 1 && sim_open(&s->b) == 1);
	CHECK(sim_children(&s->a) == children && sim_children(&s->b) == children);
}

static void remove_extra(struct sim_peer *p)
{
	p->conn.n_children = 1;
}

static void retire_extra(struct sim_peer *p)
{
	struct ike_event ev = {.type = IKE_EV_RETIRE_CHILD, .child = &p->child[1]};

	sim_event(p, &ev);
}

static bool holds_extra(const struct sim_peer *p)
{
	return ike_sa_has_child(sim_sa(p, IKE_ST_ESTABLISHED), &p->child[1]);
}

// Of the installed SA of `extra`, or zeros.
static struct ike_child_info extra_of(const struct sim_peer *p)
{
	struct ike_child_info info;

	for (size_t i = 0; !ike_sa_child_info(sim_sa(p, IKE_ST_ESTABLISHED), i, &info); i++)
		if (info.conf == &p->child[1])
			return info;
	return (struct ike_child_info){0};
}

static void test_one_child_is_retired(void **state)
{
	(void)state;
	for (unsigned by = 0; by < 2; by++) {
		struct sim *s = start();
		struct sim_peer *p = by ? &s->b : &s->a;

		with_extra(s);
		remove_extra(p);
		retire_extra(p);
		CHECK(holds_extra(p)); // until the peer has confirmed
		sim_run_until(s, s->now_ms + 100);
		settled(s, 1);
		CHECK(!holds_extra(p));
		CHECK(s->a.sends_on[1] == 0 && s->b.sends_on[1] == 0);
		CHECK(sim_errors(&s->a) + sim_errors(&s->b) == 0);
		end(s);
	}
}

// Its successor may be on the way: the peer does not know what we have read.
static void test_the_peer_replaces_what_the_connection_has_no_more(void **state)
{
	struct sim *s = start();
	struct ike_event rekey = {.type = IKE_EV_REKEY_CHILD};
	uint32_t before;

	(void)state;
	with_extra(s);
	remove_extra(&s->a);
	before = extra_of(&s->b).spi_in;
	rekey.spi_in = before;
	sim_event(&s->b, &rekey);
	sim_run_until(s, s->now_ms + 100);
	settled(s, 2);
	CHECK(extra_of(&s->b).spi_in != before && extra_of(&s->b).spi_in != 0);
	// But there is no other one.
	sim_create_child(s, &s->b, 1);
	sim_run_until(s, s->now_ms + 100);
	CHECK(sim_reported(&s->a, IKE_REPORT_TS_MISMATCH));
	settled(s, 2);
	retire_extra(&s->a);
	sim_run_until(s, s->now_ms + 100);
	settled(s, 1);
	CHECK(!holds_extra(&s->a));
	end(s);
}

static void test_retired_while_it_is_being_made(void **state)
{
	struct sim *s = start();

	(void)state;
	sim_create_child(s, &s->a, 1);
	remove_extra(&s->a);
	retire_extra(&s->a);
	CHECK(holds_extra(&s->a));
	sim_run_until(s, s->now_ms + 100);
	CHECK(sim_children(&s->a) == 2); // as the peer has it
	retire_extra(&s->a);
	sim_run_until(s, s->now_ms + 100);
	settled(s, 1);
	CHECK(!holds_extra(&s->a));
	end(s);
}

// It waits for a free window, or for the peer to be ready: it is not made any more.
static void test_retired_before_it_is_asked_for(void **state)
{
	(void)state;
	for (unsigned refused = 0; refused < 2; refused++) {
		struct sim *s = start();

		if (refused) { // TEMPORARY_FAILURE: b replaces the IKE SA just now
			sim_rekey(s, &s->b);
			sim_create_child(s, &s->a, 1);
		} else { // our own request is under way
			sim_check(s, &s->a);
			sim_create_child(s, &s->a, 1);
		}
		CHECK(holds_extra(&s->a));
		remove_extra(&s->a);
		retire_extra(&s->a);
		CHECK(holds_extra(&s->a) == (refused == 1));
		sim_run_until(s, s->now_ms + 60000);
		settled(s, 1);
		CHECK(s->a.installs == 1 && s->b.installs == 1);
		CHECK(!holds_extra(&s->a));
		end(s);
	}
}

// The children that a successor inherits are retired there.
static void test_the_ike_sa_is_replaced_meanwhile(void **state)
{
	struct sim *s = start();

	(void)state;
	with_extra(s);
	remove_extra(&s->a);
	sim_rekey(s, &s->a);
	sim_run_until(s, s->now_ms + 100);
	CHECK(holds_extra(&s->a));
	retire_extra(&s->a);
	sim_run_until(s, s->now_ms + 100);
	settled(s, 1);
	CHECK(!holds_extra(&s->a));
	end(s);
}

static void test_new_times(void **state)
{
	struct sim *s = start();
	struct ike_event ev = {.type = IKE_EV_NEW_TIMES};
	struct ike_child_info child;
	struct ike_sa_info info;

	(void)state;
	sim_run_until(s, s->now_ms + 5000);
	CHECK(!ike_sa_child_info(sim_sa(&s->a, IKE_ST_ESTABLISHED), 0, &child));
	CHECK(child.rekey_ms == IKE_NEVER);
	s->a.child[0].rekey_time_ms = 60000;
	s->a.child[0].rand_time_ms = 0;
	s->a.conn.rekey_time_ms = 100000;
	s->a.conn.rand_time_ms = 0;
	s->a.conn.over_time_ms = 10000;
	sim_event(&s->a, &ev);
	CHECK(!ike_sa_child_info(sim_sa(&s->a, IKE_ST_ESTABLISHED), 0, &child));
	CHECK(child.rekey_ms == child.installed_ms + 60000); // since it was made
	ike_sa_info(sim_sa(&s->a, IKE_ST_ESTABLISHED), &info);
	CHECK(info.rekey_ms == s->now_ms + 100000); // from now on
	sim_run_until(s, s->now_ms + 58000);
	settled(s, 1);
	CHECK(s->a.installs == 2); // the timer was set
	sim_run_until(s, s->now_ms + 45000);
	CHECK(sim_reported(&s->a, IKE_REPORT_REKEYED));
	settled(s, 1);
	// And back.
	s->a.child[0].rekey_time_ms = s->a.conn.rekey_time_ms = 0;
	sim_event(&s->a, &ev);
	CHECK(!ike_sa_child_info(sim_sa(&s->a, IKE_ST_ESTABLISHED), 0, &child));
	CHECK(child.rekey_ms == IKE_NEVER);
	end(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_child_is_retired),
		cmocka_unit_test(test_the_peer_replaces_what_the_connection_has_no_more),
		cmocka_unit_test(test_retired_while_it_is_being_made),
		cmocka_unit_test(test_retired_before_it_is_asked_for),
		cmocka_unit_test(test_the_ike_sa_is_replaced_meanwhile),
		cmocka_unit_test(test_new_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
