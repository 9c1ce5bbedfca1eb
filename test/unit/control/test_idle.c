// Children without traffic are closed.
#include "pair.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include <event2/event.h>

#include "lib/log.h"

#define IDLE "inactivity = 2s\n"

static void start(struct pair *n, const char *child)
{
	gateway_configure(&n->b, pair_config('b', "", "close_action = start"));
	gateway_configure(&n->a, pair_config('a', "", child));
	WAIT(n->base, pair_joined(n));
}

static bool child_is_closed(struct pair *n)
{
	return out_spi(&n->a, "lab.net") == 0 && out_spi(&n->b, "lab.net") == 0;
}

static struct conn_child *child_of(struct gateway *g)
{
	return g->run->conns[0]->children[0];
}

static void traffic(struct gateway *g)
{
	struct dp_event ev = {.type = DP_EV_NO_SA, .tunnel = child_of(g)->tunnel};

	ike_run_dp_event(g->run, &ev);
}

// Neither start_action nor close_action brings it up again; the IKE SA stays.
static void test_a_child_without_traffic_is_closed(void **state)
{
	struct pair *n = *state;
	struct error err;

	start(n, IDLE START "\n close_action = start");
	gateway_configure(&n->b, pair_config('b', "", ""));
	WAIT(n->base, child_is_closed(n));
	turn(n->base, 3500);
	assert_true(child_is_closed(n));
	assert_int_equal(established(&n->a), 1);
	assert_false(holds(&n->a, "lab.net"));
	traffic(&n->a); // which is for a trap to see
	turn(n->base, 100);
	assert_true(child_is_closed(n));
	// By hand it comes up, and is counted anew.
	assert_int_equal(ike_run_initiate(n->a.run, "lab", "net", NULL, &err), 0);
	WAIT(n->base, pair_joined(n));
	turn(n->base, 500);
	assert_true(pair_joined(n));
	WAIT(n->base, child_is_closed(n));
}

// The IKE SA goes with its only child, if that is wished for; with one of two it stays.
static void test_the_ike_sa_goes_too(void **state)
{
	struct pair *n = *state;
	static char text[4096];
	static const char *const rows[] = {
		IDLE START,
		IDLE START "}\n other { local_ts = 10.1.1.0/24\n remote_ts = 10.2.1.0/24\n"
			   " esp_proposals = aes128gcm16\n" START,
	};

	for (unsigned two = 0; two < 2; two++) {
		snprintf(text, sizeof(text), "%s gateway { ike { inactivity_close_ike = yes } }\n",
			 pair_config('a', "", rows[two]));
		gateway_configure(&n->b, pair_config('b', "",
						     "}\n other { local_ts = 10.2.1.0/24\n"
						     " remote_ts = 10.1.1.0/24\n"
						     " esp_proposals = aes128gcm16"));
		gateway_configure(&n->a, text);
		WAIT(n->base, pair_joined(n) && (!two || out_spi(&n->a, "lab.other") != 0));
		WAIT(n->base, child_is_closed(n));
		if (!two)
			WAIT(n->base, established(&n->a) == 0 && established(&n->b) == 0);
		turn(n->base, 2500);
		assert_true(child_is_closed(n));
		assert_int_equal(established(&n->a), two);
		gateway_configure(&n->a, pair_config('a', "", "")); // for the next row
	}
}

static void test_a_trap_wakes_it(void **state)
{
	struct pair *n = *state;

	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, pair_config('a', "", IDLE "start_action = trap"));
	traffic(&n->a);
	WAIT(n->base, pair_joined(n));
	WAIT(n->base, child_is_closed(n));
	assert_true(holds(&n->a, "lab.net"));
	traffic(&n->a);
	WAIT(n->base, pair_joined(n));
}

// For longer than it would have lived without.
static void busy(struct pair *n, bool *packets)
{
	struct ike_run_select sel = {.child = "net"};
	unsigned matched;
	struct error err;
	uint64_t before;
	uint32_t spi;

	*packets = true;
	start(n, IDLE START);
	spi = out_spi(&n->a, "lab.net");
	turn(n->base, 3500);
	assert_int_equal(out_spi(&n->a, "lab.net"), spi);
	// What a replaced SA has seen counts as well.
	before = run_now_ms();
	assert_int_equal(ike_run_rekey(n->a.run, &sel, false, &matched, &err), 0);
	WAIT(n->base, pair_joined(n) && n->a.dp.tunnel[0].outs == 2);
	assert_true(child_of(&n->a)->used_ms >= before);
	*packets = false;
	gateway_configure(&n->b, pair_config('b', "", ""));
	WAIT(n->base, child_is_closed(n));
}

static void test_packets_in_keep_it(void **state)
{
	struct pair *n = *state;

	busy(n, &n->a.dp.busy_in);
}

static void test_packets_out_keep_it(void **state)
{
	struct pair *n = *state;

	busy(n, &n->a.dp.busy_out);
}

// Nobody uses a child that carries nothing else.
static void test_dummies_do_not(void **state)
{
	struct pair *n = *state;

	n->a.dp.dummies_in = true;
	start(n, IDLE START);
	WAIT(n->base, child_is_closed(n));
}

// A reload sets the time, changes it, and takes it away.
static void test_a_reload_changes_the_time(void **state)
{
	struct pair *n = *state;
	uint32_t spi;

	start(n, START);
	spi = out_spi(&n->a, "lab.net");
	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, pair_config('a', "", IDLE START));
	gateway_configure(&n->a, pair_config('a', "", START));
	turn(n->base, 2500);
	assert_int_equal(out_spi(&n->a, "lab.net"), spi);
	gateway_configure(&n->a, pair_config('a', "", IDLE START));
	assert_int_equal(out_spi(&n->a, "lab.net"), spi);
	WAIT(n->base, child_is_closed(n));
	assert_int_equal(established(&n->a), 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_child_without_traffic_is_closed),
		T(test_the_ike_sa_goes_too),
		T(test_a_trap_wakes_it),
		T(test_packets_in_keep_it),
		T(test_packets_out_keep_it),
		T(test_dummies_do_not),
		T(test_a_reload_changes_the_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
