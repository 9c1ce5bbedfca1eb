// ike_run with the real core and OpenSSL: what it starts, keeps up, replaces and takes down.
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

#include <event2/event.h>

#include "lib/log.h"

static void quick(struct gateway *g, unsigned base_ms, unsigned tries)
{
	for (size_t i = 0; i < g->run->n_conns; i++) {
		g->run->conns[i]->ike.retransmit_base_ms = base_ms;
		g->run->conns[i]->ike.retransmit_factor = 1.0;
		g->run->conns[i]->ike.retransmit_tries = tries;
	}
}

// ---- following a command ----

struct follow {
	unsigned done;
	int result;
	char text[512];
	unsigned progress;
};

static void on_progress(void *ctx, enum ike_report_code code, enum ike_severity severity,
			const char *conn, const char *line)
{
	struct follow *f = ctx;

	(void)code;
	(void)severity;
	(void)conn;
	(void)line;
	f->progress++;
}

static void on_done(void *ctx, int result, const char *line)
{
	struct follow *f = ctx;

	f->done++;
	f->result = result;
	snprintf(f->text, sizeof(f->text), "%s", line);
}

static struct ike_run_watch follow(struct follow *f, uint64_t timeout_ms)
{
	*f = (struct follow){0};
	return (struct ike_run_watch){on_progress, on_done, f, timeout_ms};
}

static void up(struct pair *n)
{
	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, pair_config('a', "", START));
	WAIT(n->base, pair_joined(n));
}

// ---- scenarios ----

static void test_start_action_brings_the_child_up(void **state)
{
	struct pair *n = *state;
	struct ike_run_stats st;
	struct ike_run_child child;

	up(n);
	assert_int_equal(established(&n->a), 1);
	assert_int_equal(n->a.dp.n_policies, 3); // own IKE on two ports, and the child
	ike_run_stats(n->b.run, &st);
	assert_int_equal(st.responded_ok, 1);
	assert_int_equal(st.half_open, 0);
	assert_int_equal(st.children, 1);
	assert_int_equal(ike_run_child(n->a.run, 1, 0, &child), 0);
	assert_string_equal(child.info.conf->name, "net");
	assert_true(child.have_in && child.have_out);
	assert_true(child.rekey_in_ms <= 3600000 && child.rekey_in_ms >= 3600000 * 8 / 10);
	assert_int_equal(ike_run_child(n->a.run, 1, 1, &child), -ENOENT);
}

#define BEHIND(id)    START "\n if_id_in = " id "\n if_id_out = " id
#define VTI(name, id) "gateway { interfaces { " name " { if_id = " id " } } }\n"

static char *behind(const char *ifaces, const char *child)
{
	char *text = pair_config('a', "", child);

	strcat(text, ifaces);
	return text;
}

// A child with its if_id is bound to the interface; another number of the same one changes nothing.
static void test_child_behind_an_interface(void **state)
{
	struct pair *n = *state;
	struct ike_run_child child;
	struct config *config = NULL;
	struct error err = {""};
	uint32_t spi;
	char *text;

	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, behind(VTI("vti0", "5"), BEHIND("5")));
	WAIT(n->base, pair_joined(n));
	assert_int_equal(n->a.dp.tunnel[0].iface, DP_IFACE_FIRST);
	assert_int_equal(ike_run_child(n->a.run, 1, 0, &child), 0);
	assert_int_equal(child.if_id, 5);
	assert_string_equal(child.iface, "vti0");
	spi = out_spi(&n->a, "lab.net");
	gateway_configure(&n->a, behind(VTI("vti0", "6"), BEHIND("6")));
	assert_int_equal(established(&n->a), 1);
	assert_int_equal(out_spi(&n->a, "lab.net"), spi);
	assert_int_equal(ike_run_child(n->a.run, 1, 0, &child), 0);
	assert_int_equal(child.if_id, 6);

	// One that the dataplane does not have is an error, and nothing has changed.
	text = behind(VTI("vti1", "5"), BEHIND("5"));
	assert_int_equal(config_load_text("test", text, strlen(text), &config, &err), 0);
	assert_int_equal(ike_run_configure(n->a.run, config, &err), -ENODEV);
	assert_non_null(strstr(err.text, "the interface vti1"));
	assert_int_equal(out_spi(&n->a, "lab.net"), spi);
	config_destroy(config);
}

static void test_both_at_the_same_time_end_with_one(void **state)
{
	struct pair *n = *state;

	wire_hold(true); // both have sent before either hears
	gateway_configure(&n->a, pair_config('a', "", START));
	gateway_configure(&n->b, pair_config('b', "", START));
	turn(n->base, 30);
	wire_hold(false);
	WAIT(n->base, established(&n->a) >= 1 && established(&n->b) >= 1);
	WAIT(n->base, established(&n->a) == 1 && established(&n->b) == 1);
	turn(n->base, 100);
	assert_true(pair_joined(n));
	assert_int_equal(established(&n->a), 1);
	// The survivor's outbound SA was never taken away.
	assert_int_equal(n->a.dp.tunnel[0].gaps, 0);
	assert_int_equal(n->b.dp.tunnel[0].gaps, 0);
}

static void test_a_peer_that_is_not_there_yet(void **state)
{
	struct pair *n = *state;
	struct ike_run_stats st;

	n->b.deaf = true;
	gateway_configure(&n->a, pair_config('a', "", START));
	quick(&n->a, 50, 1);
	turn(n->base, 500); // given up by now, next attempt planned
	ike_run_stats(n->a.run, &st);
	assert_int_equal(st.initiated_failed, 1);
	gateway_configure(&n->b, pair_config('b', "", ""));
	n->b.deaf = false;
	WAIT(n->base, pair_joined(n));
}

static void test_a_route_that_is_not_there_yet(void **state)
{
	struct pair *n = *state;
	struct ike_run_stats st;

	gateway_configure(&n->b, pair_config('b', "", ""));
	wire_no_route(true);
	gateway_configure(&n->a, pair_config('a', "", START));
	turn(n->base, 100);
	ike_run_stats(n->a.run, &st);
	assert_int_equal(st.tx_messages, 0);
	wire_no_route(false);
	WAIT(n->base, pair_joined(n));
}

static void test_down_by_hand_stays_down(void **state)
{
	struct pair *n = *state;
	struct ike_run_select sel = {.conn = "lab"};
	struct dp_event traffic = {.type = DP_EV_NO_SA, .tunnel = 0};
	struct ike_run_watch w;
	struct follow f;
	unsigned matched = 0;
	struct error err;

	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(
		&n->a, pair_config('a', "", START "\n close_action = start\n dpd_action = start"));
	WAIT(n->base, pair_joined(n));
	w = follow(&f, 0);
	assert_int_equal(ike_run_terminate(n->a.run, &sel, &w, &matched, &err), 0);
	assert_int_equal(matched, 1);
	WAIT(n->base, f.done);
	assert_int_equal(f.result, 0);
	WAIT(n->base, established(&n->b) == 0);
	ike_run_dp_event(n->a.run, &traffic);
	turn(n->base, 1500);
	assert_int_equal(established(&n->a), 0);
	assert_int_equal(out_spi(&n->a, "lab.net"), 0);
	assert_int_equal(out_spi(&n->b, "lab.net"), 0);
	assert_int_equal(ike_run_terminate(n->a.run, &sel, NULL, &matched, &err), -ENOENT);
	assert_int_equal(f.done, 1);
	// And up again by hand.
	w = follow(&f, 0);
	assert_int_equal(ike_run_initiate(n->a.run, NULL, "net", &w, &err), 0);
	WAIT(n->base, f.done);
	assert_int_equal(f.result, 0);
	assert_true(f.progress > 0);
	w = follow(&f, 0);
	assert_int_equal(ike_run_initiate(n->a.run, "lab", "net", &w, &err), 0);
	assert_int_equal(f.done, 1); // already up
}

// Packets wait for a child that is on its way or up, not for one that nobody is after.
static void test_packets_wait_only_for_what_is_to_come(void **state)
{
	struct pair *n = *state;
	struct ike_run_select sel = {.conn = "lab"};
	struct error err;

	gateway_configure(&n->b, pair_config('b', "", ""));
	assert_false(holds(&n->b, "lab.net"));
	wire_no_route(true);
	gateway_configure(&n->a, pair_config('a', "", START));
	assert_true(holds(&n->a, "lab.net"));
	turn(n->base, 50);
	assert_true(holds(&n->a, "lab.net")); // it goes on trying
	wire_no_route(false);
	WAIT(n->base, pair_joined(n));
	assert_true(holds(&n->a, "lab.net"));
	assert_true(holds(&n->b, "lab.net")); // a moment without SA is bridged
	assert_int_equal(ike_run_terminate(n->a.run, &sel, NULL, NULL, &err), 0);
	assert_false(holds(&n->a, "lab.net"));
	WAIT(n->base, established(&n->b) == 0);
	assert_false(holds(&n->b, "lab.net"));
}

// ---- initiated by traffic ----

static void traffic_for(struct gateway *g)
{
	struct dp_event ev = {.type = DP_EV_NO_SA};

	while (!g->dp.tunnel[ev.tunnel].used) // the one child's
		ev.tunnel++;
	ike_run_dp_event(g->run, &ev);
}

static void down(struct pair *n, struct gateway *g)
{
	struct ike_run_select sel = {.conn = "lab"};
	struct error err;

	assert_int_equal(ike_run_terminate(g->run, &sel, NULL, NULL, &err), 0);
	WAIT(n->base, established(&n->a) == 0 && established(&n->b) == 0);
}

static void test_trapped_child_comes_up_with_traffic(void **state)
{
	struct pair *n = *state;
	struct error err;

	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, pair_config('a', "", "start_action = trap"));
	assert_true(holds(&n->a, "lab.net"));
	turn(n->base, 100);
	assert_int_equal(established(&n->a), 0); // nobody asked
	traffic_for(&n->b);			 // not trapped there
	turn(n->base, 50);
	assert_int_equal(established(&n->a), 0);
	traffic_for(&n->a);
	traffic_for(&n->a);
	WAIT(n->base, pair_joined(n));
	assert_int_equal(n->a.run->last_ike_id, 1);
	down(n, &n->b); // the peer closes an idle child
	assert_true(holds(&n->a, "lab.net"));
	traffic_for(&n->a);
	WAIT(n->base, pair_joined(n));
	down(n, &n->a); // by hand, but the trap is still there
	traffic_for(&n->a);
	WAIT(n->base, pair_joined(n));
	assert_int_equal(ike_run_trap(n->a.run, "lab", "net", false, &err), 0);
	assert_false(ike_run_is_trapped(n->a.run, 0, "net"));
	down(n, &n->a);
	assert_false(holds(&n->a, "lab.net"));
	traffic_for(&n->a);
	turn(n->base, 1500);
	assert_int_equal(established(&n->a), 0);
	assert_int_equal(ike_run_trap(n->a.run, NULL, "net", true, &err), 0);
	assert_true(ike_run_is_trapped(n->a.run, 0, "net"));
	assert_true(holds(&n->a, "lab.net"));
	traffic_for(&n->a);
	WAIT(n->base, pair_joined(n));
	assert_int_equal(ike_run_trap(n->a.run, NULL, "nte", true, &err), -ENOENT);
	assert_non_null(strstr(err.text, "did you mean 'net'?"));
}

// A peer that does not answer is not called by every packet.
static void test_traffic_does_not_make_a_storm(void **state)
{
	struct pair *n = *state;
	uint64_t end;

	gateway_configure(&n->b, pair_config('b', "", ""));
	n->b.deaf = true;
	gateway_configure(&n->a, pair_config('a', "", "start_action = trap"));
	quick(&n->a, 20, 1);
	for (end = run_now_ms() + 2600; run_now_ms() < end; turn(n->base, 10))
		traffic_for(&n->a);
	assert_in_range(n->a.run->last_ike_id, 2, 4); // after 0, about 1 and about 3 s
	assert_true(holds(&n->a, "lab.net"));
	n->b.deaf = false;
	for (end = run_now_ms() + 10000; run_now_ms() < end && !pair_joined(n); turn(n->base, 10))
		traffic_for(&n->a);
	assert_true(pair_joined(n));
}

static void test_a_trap_for_what_was_lost_or_closed(void **state)
{
	struct pair *n = *state;

	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, pair_config('a', "dpd_delay = 1s",
					     START "\n dpd_action = trap\n close_action = trap"));
	WAIT(n->base, pair_joined(n));
	assert_false(ike_run_is_trapped(n->a.run, 0, "net"));
	down(n, &n->b);
	turn(n->base, 100);
	assert_true(ike_run_is_trapped(n->a.run, 0, "net"));
	assert_int_equal(established(&n->a), 0);
	traffic_for(&n->a);
	WAIT(n->base, pair_joined(n));
	gateway_configure(&n->a, pair_config('a', "dpd_delay = 1s", START "\n dpd_action = trap"));
	WAIT(n->base, pair_joined(n));
	quick(&n->a, 50, 1);
	assert_false(ike_run_is_trapped(n->a.run, 0, "net"));
	n->b.deaf = true;
	WAIT(n->base, established(&n->a) == 0);
	assert_true(ike_run_is_trapped(n->a.run, 0, "net"));
	turn(n->base, 200);
	assert_true(TAILQ_EMPTY(&n->a.run->sas)); // it waits for traffic
	n->b.deaf = false;
	traffic_for(&n->a);
	WAIT(n->base, pair_joined(n));
}

// The peer answers nothing, but its dummy packets (RFC 4303 2.6) say that it lives.
static void test_dummies_are_a_sign_of_life(void **state)
{
	struct pair *n = *state;

	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, pair_config('a', "dpd_delay = 1s", START));
	WAIT(n->base, pair_joined(n));
	quick(&n->a, 50, 1);
	n->a.dp.dummies_in = true;
	n->b.deaf = true;
	turn(n->base, 2500);
	assert_int_equal(established(&n->a), 1);
	n->a.dp.dummies_in = false;
	WAIT(n->base, established(&n->a) == 0);
	n->b.deaf = false;
}

static void test_child_alone_down_and_up(void **state)
{
	struct pair *n = *state;
	struct ike_run_select sel = {.child = "net"};
	struct ike_run_watch w;
	struct follow f;
	struct error err;

	up(n);
	w = follow(&f, 0);
	assert_int_equal(ike_run_terminate(n->a.run, &sel, &w, NULL, &err), 0);
	WAIT(n->base, f.done && out_spi(&n->b, "lab.net") == 0);
	assert_int_equal(established(&n->a), 1);
	w = follow(&f, 0);
	assert_int_equal(ike_run_initiate(n->a.run, NULL, "net", &w, &err), 0);
	WAIT(n->base, f.done && pair_joined(n));
	assert_int_equal(f.result, 0);
	// The IKE SA that was left without child goes.
	WAIT(n->base, established(&n->a) == 1 && established(&n->b) == 1);
}

static void test_names_that_are_not_there(void **state)
{
	struct pair *n = *state;
	struct error err;

	gateway_configure(&n->a, pair_config('a', "", ""));
	assert_int_equal(ike_run_initiate(n->a.run, NULL, "nett", NULL, &err), -ENOENT);
	assert_non_null(strstr(err.text, "did you mean 'net'"));
	assert_int_equal(ike_run_initiate(n->a.run, "lap", "net", NULL, &err), -ENOENT);
	assert_non_null(strstr(err.text, "did you mean 'lab'"));
}

static void test_wrong_key_fails_once_with_a_reason(void **state)
{
	struct pair *n = *state;
	struct ike_run_watch w;
	struct ike_run_stats st;
	struct follow f;
	struct error err;
	char *text, *other;

	log_set_level(getenv("TEST_LOG") ? LOG_LEVEL_DEBUG : (enum log_level) - 1);
	gateway_configure(&n->a, pair_config('a', "", ""));
	text = pair_config('b', "", "");
	other = strstr(text, "\"s\"");
	assert_non_null(other);
	other[1] = 't';
	gateway_configure(&n->b, text);
	w = follow(&f, 5000);
	assert_int_equal(ike_run_initiate(n->a.run, "lab", "net", &w, &err), 0);
	WAIT(n->base, f.done);
	assert_int_equal(f.result, -EACCES);
	assert_true(strlen(f.text) > 10);
	turn(n->base, 50);
	assert_int_equal(f.done, 1);
	ike_run_stats(n->a.run, &st);
	assert_int_equal(st.initiated_failed, 1);
	assert_int_equal(st.ike_sas, 0);
}

static void test_selectors_that_differ_leave_no_ike_sa(void **state)
{
	struct pair *n = *state;
	struct ike_run_watch w;
	struct follow f;
	struct error err;
	char *text, *ts;

	log_set_level(getenv("TEST_LOG") ? LOG_LEVEL_DEBUG : (enum log_level) - 1);
	gateway_configure(&n->a, pair_config('a', "", ""));
	text = pair_config('b', "", "");
	ts = strstr(text, "remote_ts = 10.1");
	assert_non_null(ts);
	memcpy(ts, "remote_ts = 10.9", 16);
	gateway_configure(&n->b, text);
	w = follow(&f, 5000);
	assert_int_equal(ike_run_initiate(n->a.run, "lab", "net", &w, &err), 0);
	WAIT(n->base, f.done);
	assert_int_not_equal(f.result, 0);
	WAIT(n->base, TAILQ_EMPTY(&n->a.run->sas) && TAILQ_EMPTY(&n->b.run->sas));
}

static void test_silent_peer_times_out_and_names_it(void **state)
{
	struct pair *n = *state;
	struct ike_run_watch w;
	struct follow f;
	struct error err;

	n->b.deaf = true;
	gateway_configure(&n->a, pair_config('a', "", ""));
	w = follow(&f, 100);
	assert_int_equal(ike_run_initiate(n->a.run, "lab", "net", &w, &err), 0);
	WAIT(n->base, f.done);
	assert_int_equal(f.result, -ETIMEDOUT);
	assert_non_null(strstr(f.text, B));
}

static void test_unwatch_means_silence(void **state)
{
	struct pair *n = *state;
	struct ike_run_watch w;
	struct follow f;
	struct error err;
	unsigned before;

	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, pair_config('a', "", ""));
	w = follow(&f, 0);
	assert_int_equal(ike_run_initiate(n->a.run, "lab", "net", &w, &err), 0);
	ike_run_unwatch(n->a.run, &f);
	before = f.progress; // the first message was sent at once
	WAIT(n->base, pair_joined(n));
	assert_int_equal(f.done, 0);
	assert_int_equal(f.progress, before);
}

static void test_successor_without_a_gap(void **state)
{
	struct pair *n = *state;

	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a,
			  pair_config('a', "", START "\n rekey_time = 1s\n life_time = 10s"));
	WAIT(n->base, pair_joined(n));
	WAIT(n->base, n->a.dp.tunnel[0].outs >= 3);
	WAIT(n->base, established(&n->a) == 1 && established(&n->b) == 1);
	assert_int_equal(n->a.dp.tunnel[0].gaps, 0);
	assert_int_equal(n->b.dp.tunnel[0].gaps, 0);
	assert_true(pair_joined(n));
}

// rand_time, and not a tenth of the time whatever it says.
static void test_reauthentication_is_as_early_as_rand_time_says(void **state)
{
	const uint64_t day_ms = 86400000;
	struct pair *n = *state;
	const struct run_sa *s;
	uint64_t before = run_now_ms();

	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, pair_config('a', "reauth_time = 100d\n rand_time = 0", START));
	WAIT(n->base, pair_joined(n));
	s = TAILQ_FIRST(&n->a.run->sas);
	assert_true(s->rekey_at_ms >= before + 100 * day_ms);
	assert_true(s->rekey_at_ms <= run_now_ms() + 100 * day_ms);
}

// Two networks of one connection.
static const char *config_two(char site, const char *action)
{
	static char text[4096];
	char peer = site == 'a' ? 'b' : 'a';

	snprintf(text, sizeof(text),
		 "gateway { ports { wan { device = net_null0\n addrs = %s/24 } } }\n"
		 "connections { lab { version = 2\n local_addrs = %s\n remote_addrs = %s\n"
		 " proposals = aes128gcm16-prfsha256-x25519\n"
		 " local { auth = psk\n id = gw-%c }\n remote { auth = psk\n id = gw-%c }\n"
		 " children { net { local_ts = 10.%d.0.0/24\n remote_ts = 10.%d.0.0/24\n"
		 "  start_action = %s }\n"
		 "  other { local_ts = 10.%d.1.0/24\n remote_ts = 10.%d.1.0/24\n"
		 "  start_action = %s } } } }\n"
		 "secrets { ike-1 { secret = \"s\" } }\n",
		 site == 'a' ? A : B, site == 'a' ? A : B, site == 'a' ? B : A, site, peer,
		 site == 'a' ? 1 : 2, site == 'a' ? 2 : 1, action, site == 'a' ? 1 : 2,
		 site == 'a' ? 2 : 1, action);
	return text;
}

static bool both_joined(struct pair *n)
{
	return pair_joined(n) && has_in(&n->b, out_spi(&n->a, "lab.other")) &&
	       has_in(&n->a, out_spi(&n->b, "lab.other"));
}

static void test_children_share_an_ike_sa(void **state)
{
	struct pair *n = *state;
	struct ike_run_select sel = {.conn = "lab"};
	struct ike_run_stats st;
	struct error err;
	unsigned matched;

	gateway_configure(&n->b, config_two('b', "none"));
	gateway_configure(&n->a, config_two('a', "start"));
	WAIT(n->base, both_joined(n));
	turn(n->base, 50);
	ike_run_stats(n->a.run, &st);
	assert_int_equal(st.ike_sas, 1);
	assert_int_equal(st.children, 2);
	assert_int_equal(st.initiated_ok, 1);

	// The IKE SA is replaced; both children go on as they are.
	assert_int_equal(ike_run_rekey(n->a.run, &sel, false, &matched, &err), 0);
	assert_int_equal(matched, 1);
	WAIT(n->base, TAILQ_FIRST(&n->a.run->sas)->id == 2 && established(&n->b) == 1);
	assert_true(both_joined(n));
	assert_int_equal(n->a.dp.tunnel[0].outs + n->a.dp.tunnel[1].outs, 2);

	// Reauthentication brings both along to another IKE SA before the old one goes.
	assert_int_equal(ike_run_rekey(n->a.run, &sel, true, &matched, &err), 0);
	WAIT(n->base, n->a.dp.tunnel[0].outs == 2 && n->a.dp.tunnel[1].outs == 2);
	WAIT(n->base, established(&n->a) == 1 && established(&n->b) == 1);
	assert_true(both_joined(n));
	assert_int_equal(n->a.dp.tunnel[0].gaps + n->a.dp.tunnel[1].gaps, 0);
	assert_int_equal(n->b.dp.tunnel[0].gaps + n->b.dp.tunnel[1].gaps, 0);
}

static void test_a_child_is_taken_down_alone(void **state)
{
	struct pair *n = *state;
	struct ike_run_select sel = {.child = "other"};
	struct follow f;
	struct ike_run_watch w = follow(&f, 0);
	struct error err;
	unsigned matched;

	gateway_configure(&n->b, config_two('b', "none"));
	gateway_configure(&n->a, config_two('a', "start"));
	WAIT(n->base, both_joined(n));
	assert_int_equal(ike_run_terminate(n->a.run, &sel, &w, &matched, &err), 0);
	WAIT(n->base, f.done == 1);
	assert_int_equal(out_spi(&n->a, "lab.other"), 0);
	assert_true(pair_joined(n));
	assert_int_equal(established(&n->a), 1);
	w = follow(&f, 0);
	assert_int_equal(ike_run_initiate(n->a.run, "lab", "other", &w, &err), 0);
	WAIT(n->base, f.done == 1 && both_joined(n));
	assert_int_equal(f.result, 0);
	assert_int_equal(established(&n->a), 1); // on the same IKE SA
}

static void wear(struct gateway *g, enum dp_event_type type, uint32_t spi, bool inbound)
{
	struct dp_event ev = {
		.type = type,
		.spi = spi,
		.inbound = inbound,
		.why = DP_LIFE_BYTES,
	};

	while (!g->dp.tunnel[ev.tunnel].used)
		ev.tunnel++;
	ike_run_dp_event(g->run, &ev);
}

static void test_volume_is_limited_and_renewed(void **state)
{
	struct pair *n = *state;
	uint32_t before;

	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, pair_config('a', "",
					     START "\n rekey_bytes = 1m\n rand_bytes = 0\n"
						   "rekey_packets = 1000\n life_packets = 2000"));
	WAIT(n->base, pair_joined(n));
	assert_int_equal(n->a.dp.tunnel[0].soft.bytes, 1 << 20);
	assert_int_equal(n->a.dp.tunnel[0].hard.bytes, (1 << 20) + (1 << 20) / 10);
	assert_in_range(n->a.dp.tunnel[0].soft.packets, 1, 1000);
	assert_int_equal(n->a.dp.tunnel[0].hard.packets, 2000);
	assert_int_equal(n->b.dp.tunnel[0].soft.bytes + n->b.dp.tunnel[0].hard.packets, 0);
	before = out_spi(&n->a, "lab.net");
	wear(&n->a, DP_EV_SOFT_LIFE, before + 77, false); // of an SA that is gone
	turn(n->base, 50);
	assert_int_equal(out_spi(&n->a, "lab.net"), before);
	wear(&n->a, DP_EV_SOFT_LIFE, before, false);
	WAIT(n->base, pair_joined(n) && out_spi(&n->a, "lab.net") != before);
	assert_int_equal(n->a.dp.tunnel[0].gaps, 0);
	WAIT(n->base, established(&n->a) == 1);
	before = out_spi(&n->a, "lab.net");
	wear(&n->a, DP_EV_SOFT_LIFE, out_spi(&n->b, "lab.net"), true);
	WAIT(n->base, pair_joined(n) && out_spi(&n->a, "lab.net") != before);
	WAIT(n->base, established(&n->a) == 1 && pair_joined(n));
	// What could not be replaced ends, and comes back where it is to be up.
	before = out_spi(&n->a, "lab.net");
	wear(&n->a, DP_EV_HARD_LIFE, before, false);
	WAIT(n->base, out_spi(&n->a, "lab.net") == 0);
	WAIT(n->base, pair_joined(n));
}

// The event comes again every 100 ms while there is traffic: attempts that fail do not.
static void test_worn_sa_is_replaced_at_the_pace_of_failures(void **state)
{
	struct pair *n = *state;
	struct ike_run_stats before, after;
	uint32_t spi;

	up(n);
	spi = out_spi(&n->a, "lab.net");
	n->b.deaf = true;
	quick(&n->a, 100, 10);
	ike_run_stats(n->a.run, &before);
	for (unsigned i = 0; i < 40; i++) {
		wear(&n->a, DP_EV_SOFT_LIFE, spi, false);
		turn(n->base, 10);
	}
	ike_run_stats(n->a.run, &after);
	// One request and its repetitions.
	assert_in_range(after.tx_messages - before.tx_messages, 2, 8);
	n->b.deaf = false;
	WAIT(n->base, pair_joined(n) && out_spi(&n->a, "lab.net") != spi);
}

static void test_lifetime_is_a_hard_end(void **state)
{
	struct pair *n = *state;
	uint32_t first;

	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, pair_config('a', "", START "\n rekey_time = 0\n life_time = 1s"));
	WAIT(n->base, pair_joined(n));
	first = out_spi(&n->a, "lab.net");
	WAIT(n->base, out_spi(&n->a, "lab.net") != first && pair_joined(n));
	assert_true(n->a.dp.tunnel[0].gaps >= 1);
}

static void test_restarted_peer_replaces_the_old(void **state)
{
	struct pair *n = *state;

	up(n);
	gateway_crash(&n->a);
	memset(&n->a.dp, 0, sizeof(n->a.dp));
	gateway_up(&n->a, n->base, A);
	gateway_configure(&n->a, pair_config('a', "", START));
	WAIT(n->base, pair_joined(n));
	WAIT(n->base, established(&n->b) == 1);
	assert_true(pair_joined(n));
	assert_int_equal(n->b.dp.tunnel[0].gaps, 0);
}

static void test_restarted_peer_is_found_by_liveness(void **state)
{
	struct pair *n = *state;

	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, pair_config('a', "dpd_delay = 1s", START "\n dpd_action = start"));
	quick(&n->a, 300, 50); // far from given up
	WAIT(n->base, pair_joined(n));
	gateway_crash(&n->b);
	memset(&n->b.dp, 0, sizeof(n->b.dp));
	gateway_up(&n->b, n->base, B);
	gateway_configure(&n->b, pair_config('b', "", ""));
	WAIT(n->base, pair_joined(n));
	WAIT(n->base, established(&n->a) == 1);
	assert_true(pair_joined(n));
	assert_int_equal(n->a.dp.tunnel[0].gaps, 0);
}

// The successor that is tried beside an IKE SA that is not answered comes to nothing, and then the
// answer comes after all: all is as before, and nothing tries again.
static void test_peer_that_answers_again_is_trusted(void **state)
{
	struct pair *n = *state;
	struct run_sa *s;
	uint64_t failed;
	char *other;

	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, pair_config('a', "dpd_delay = 1s\n reauth_time = 100d",
					     START "\n dpd_action = start"));
	quick(&n->a, 200, 100); // far from given up
	WAIT(n->base, pair_joined(n));
	s = TAILQ_FIRST(&n->a.run->sas);
	// Whoever is new would have to know another key.
	other = pair_config('b', "", "");
	strstr(other, "secret = ")[10] = 'X';
	gateway_configure(&n->b, other);
	assert_int_equal(established(&n->a), 1);
	n->b.deaf = true;
	WAIT(n->base, s->suspect);
	n->b.deaf = false;
	WAIT(n->base, !s->suspect);
	WAIT(n->base, n->a.run->n_sas == 1); // the successor is refused
	failed = n->a.run->stats.initiated_failed;
	assert_true(failed > 0);
	assert_true(s->rekey_at_ms == s->reauth_at_ms && s->rekey_at_ms != NO_DEADLINE);
	assert_true(pair_joined(n));
	turn(n->base, 500);
	assert_int_equal(n->a.run->stats.initiated_failed, failed);
	assert_int_equal(n->a.run->n_sas, 1);
	assert_ptr_equal(TAILQ_FIRST(&n->a.run->sas), s);
}

static void test_reload_touches_only_what_changed(void **state)
{
	struct pair *n = *state;
	uint32_t before;

	up(n);
	before = out_spi(&n->a, "lab.net");
	gateway_configure(&n->a, pair_config('a', "", START)); // the same
	turn(n->base, 50);
	assert_int_equal(out_spi(&n->a, "lab.net"), before);
	assert_int_equal(established(&n->a), 1);
	gateway_configure(&n->a, pair_config('a', "dpd_delay = 77s", START)); // taken over
	turn(n->base, 50);
	assert_int_equal(out_spi(&n->a, "lab.net"), before);
	assert_int_equal(established(&n->a), 1);
	gateway_configure(&n->a, pair_config('a', "encap = yes", START)); // changed
	WAIT(n->base, pair_joined(n) && out_spi(&n->a, "lab.net") != before);
	WAIT(n->base, established(&n->a) == 1 && established(&n->b) == 1);
	WAIT(n->base, pair_joined(n));
	gateway_configure(&n->a, "gateway { ports { wan { device = net_null0 } } }"); // removed
	WAIT(n->base, TAILQ_EMPTY(&n->a.run->sas) && established(&n->b) == 0);
	assert_int_equal(n->a.dp.n_policies, 0);
	for (unsigned i = 0; i < FAKE_TUNNELS; i++)
		assert_false(n->a.dp.tunnel[i].used);
}

static void test_dataplane_refuses_the_child(void **state)
{
	struct pair *n = *state;
	struct ike_run_watch w;
	struct follow f;
	struct error err;

	log_set_level(getenv("TEST_LOG") ? LOG_LEVEL_DEBUG : (enum log_level) - 1);
	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, pair_config('a', "", ""));
	n->a.dp.refuse = true;
	w = follow(&f, 5000);
	assert_int_equal(ike_run_initiate(n->a.run, "lab", "net", &w, &err), 0);
	WAIT(n->base, f.done);
	assert_int_not_equal(f.result, 0);
	assert_non_null(strstr(f.text, "the table is full"));
	WAIT(n->base, out_spi(&n->b, "lab.net") == 0); // the peer was told
}

// ---- how many initiations at once ----

enum { MANY = 12 };

// MANY connections to one peer, and one to an address where nobody is.
static const char *many(char site, unsigned per_peer, unsigned in_total, const char *action)
{
	static char all[16384];
	char peer = site == 'a' ? 'b' : 'a';
	size_t len;

	len = (size_t)snprintf(all, sizeof(all),
			       "gateway { initiations = %u\n initiations_per_peer = %u\n"
			       " ports { wan { device = net_null0\n addrs = %s/24 } } }\n"
			       "base { version = 2\n proposals = aes128gcm16-prfsha256-x25519 }\n"
			       "secrets { ike-1 { secret = \"s\" } }\n"
			       "connections { ",
			       in_total, per_peer, site == 'a' ? A : B);
	for (unsigned i = 0; i <= MANY; i++)
		len += (size_t)snprintf(
			all + len, sizeof(all) - len,
			"c%u : base { local_addrs = %s\n remote_addrs = %s\n"
			" local { auth = psk\n id = %c%u }\n remote { auth = psk\n id = %c%u }\n"
			" children { net { local_ts = 10.%d.%u.0/24\n remote_ts = 10.%d.%u.0/24\n"
			" esp_proposals = aes128gcm16\n start_action = %s } } }\n",
			i, site == 'a' ? A : B,
			i == MANY     ? "203.0.113.9"
			: site == 'a' ? B
				      : A,
			site, i, peer, i, site == 'a' ? 1 : 2, i, site == 'a' ? 2 : 1, i, action);
	snprintf(all + len, sizeof(all) - len, "}\n");
	return all;
}

static unsigned begun(struct gateway *g)
{
	struct ike_run_stats st;

	ike_run_stats(g->run, &st);
	return st.ike_sas;
}

static void test_initiations_take_turns(void **state)
{
	struct pair *n = *state;

	gateway_configure(&n->b, many('b', 5, 64, "none"));
	wire_hold(true);
	gateway_configure(&n->a, many('a', 3, 64, "start"));
	turn(n->base, 50);
	assert_int_equal(begun(&n->a), 3 + 1); // the other address has turns of its own
	wire_hold(false);
	WAIT(n->base, established(&n->a) == MANY && established(&n->b) == MANY);
	assert_int_equal(n->a.run->pace.under_way, 1);
}

static void test_initiations_are_limited_in_total(void **state)
{
	struct pair *n = *state;

	gateway_configure(&n->b, many('b', 5, 64, "none"));
	wire_hold(true);
	gateway_configure(&n->a, many('a', 64, 5, "start"));
	turn(n->base, 50);
	assert_int_equal(begun(&n->a), 5);
	wire_hold(false);
	WAIT(n->base, established(&n->a) == MANY);
}

static void test_who_does_not_answer_holds_nobody_up(void **state)
{
	struct pair *n = *state;

	n->b.deaf = true;
	gateway_configure(&n->a, many('a', 3, 64, "start"));
	quick(&n->a, 100, 50);
	WAIT(n->base, begun(&n->a) == MANY + 1);
	assert_int_equal(established(&n->a), 0);
}

static void test_who_waits_can_be_called_off(void **state)
{
	struct pair *n = *state;
	struct ike_run_select sel = {.conn = "c11"};
	struct follow f;
	struct ike_run_watch w = follow(&f, 0);
	struct error err;
	unsigned matched = 0;

	gateway_configure(&n->b, many('b', 5, 64, "none"));
	wire_hold(true);
	gateway_configure(&n->a, many('a', 3, 64, "start"));
	turn(n->base, 50);
	assert_int_equal(ike_run_terminate(n->a.run, &sel, &w, &matched, &err), 0);
	assert_int_equal(matched, 1);
	// A new configuration forgets those that wait; what is under way goes on.
	gateway_configure(&n->a, many('a', 2, 64, "none"));
	wire_hold(false);
	WAIT(n->base, established(&n->a) == 3);
	turn(n->base, 200);
	assert_int_equal(established(&n->a), 3);
	assert_int_equal(n->a.run->pace.under_way, 1); // where nobody is
}

static void test_noise_is_counted_and_answered_by_nobody(void **state)
{
	struct pair *n = *state;
	uint8_t v1[28] = {[7] = 1, [16] = 1, [17] = 0x10, [18] = 2, [27] = 28};
	uint8_t unknown[28] = {
		[7] = 1, [15] = 2, [16] = 46, [17] = 0x20, [18] = 37, [19] = 8, [27] = 28};
	uint8_t shorter[27] = {[7] = 1, [17] = 0x20};
	struct ike_run_stats st;

	gateway_configure(&n->a, pair_config('a', "", ""));
	wire_inject(&n->a, B, v1, sizeof(v1));
	wire_inject(&n->a, B, shorter, sizeof(shorter));
	wire_inject(&n->a, B, unknown, sizeof(unknown));
	turn(n->base, 20);
	ike_run_stats(n->a.run, &st);
	assert_int_equal(st.rx_messages, 3);
	assert_int_equal(st.rx_malformed, 2);
	assert_int_equal(st.rx_unknown_sa, 1);
	assert_int_equal(st.tx_messages, 0);
	assert_int_equal(st.ike_sas, 0);
}

static void test_shutdown_tells_the_peers(void **state)
{
	struct pair *n = *state;
	struct ike_run_watch w;
	struct follow f;

	up(n);
	w = follow(&f, 3000);
	ike_run_shutdown(n->a.run, &w);
	WAIT(n->base, f.done);
	assert_int_equal(f.result, 0);
	WAIT(n->base, established(&n->b) == 0);
	assert_true(TAILQ_EMPTY(&n->a.run->sas));
}

static void test_shutdown_does_not_wait_for_the_dead(void **state)
{
	struct pair *n = *state;
	struct ike_run_watch w;
	struct follow f;

	up(n);
	n->b.deaf = true;
	w = follow(&f, 200);
	ike_run_shutdown(n->a.run, &w);
	WAIT(n->base, f.done);
	assert_int_equal(f.result, -ETIMEDOUT);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)
	const struct CMUnitTest tests[] = {
		T(test_start_action_brings_the_child_up),
		T(test_child_behind_an_interface),
		T(test_both_at_the_same_time_end_with_one),
		T(test_a_peer_that_is_not_there_yet),
		T(test_a_route_that_is_not_there_yet),
		T(test_down_by_hand_stays_down),
		T(test_packets_wait_only_for_what_is_to_come),
		T(test_trapped_child_comes_up_with_traffic),
		T(test_traffic_does_not_make_a_storm),
		T(test_a_trap_for_what_was_lost_or_closed),
		T(test_dummies_are_a_sign_of_life),
		T(test_child_alone_down_and_up),
		T(test_names_that_are_not_there),
		T(test_wrong_key_fails_once_with_a_reason),
		T(test_selectors_that_differ_leave_no_ike_sa),
		T(test_silent_peer_times_out_and_names_it),
		T(test_unwatch_means_silence),
		T(test_successor_without_a_gap),
		T(test_reauthentication_is_as_early_as_rand_time_says),
		T(test_volume_is_limited_and_renewed),
		T(test_children_share_an_ike_sa),
		T(test_a_child_is_taken_down_alone),
		T(test_worn_sa_is_replaced_at_the_pace_of_failures),
		T(test_lifetime_is_a_hard_end),
		T(test_restarted_peer_replaces_the_old),
		T(test_restarted_peer_is_found_by_liveness),
		T(test_peer_that_answers_again_is_trusted),
		T(test_reload_touches_only_what_changed),
		T(test_dataplane_refuses_the_child),
		T(test_initiations_take_turns),
		T(test_initiations_are_limited_in_total),
		T(test_who_does_not_answer_holds_nobody_up),
		T(test_who_waits_can_be_called_off),
		T(test_noise_is_counted_and_answered_by_nobody),
		T(test_shutdown_tells_the_peers),
		T(test_shutdown_does_not_wait_for_the_dead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
