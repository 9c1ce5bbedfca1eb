// Children without traffic are closed.
#include "pair.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <event2/event.h>

#include "lib/log.h"

#define IDLE "inactivity = 1s\n"

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
	turn(n->base, 2500);
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
	turn(n->base, 2500);
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
	turn(n->base, 1500);
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
		T(test_a_trap_wakes_it),
		T(test_packets_in_keep_it),
		T(test_packets_out_keep_it),
		T(test_a_reload_changes_the_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
