// What the guard is told: peers, IKE SAs while they are there, rates, keys of cookies.
#include "pair.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <event2/event.h>

// Does its SPI bear the mark that the dataplane knows ours by?
static bool is_marked(const struct dp *dp)
{
	const struct ike_mark_key key = dp_ike_mark(dp);
	uint8_t spi[8], marked[8];

	for (unsigned i = 0; i < 8; i++)
		spi[i] = (uint8_t)(dp->guard_spi >> (56 - 8 * i));
	memcpy(marked, spi, sizeof(marked));
	ike_mark_spi(&key, marked);
	return dp->guard_spi != 0 && memcmp(spi, marked, sizeof(spi)) == 0;
}

static void test_told(void **state)
{
	struct pair *n = *state;
	static char text[4096];
	struct ike_cookie_keys none = {0};

	snprintf(text, sizeof(text), "%s gateway { guard { peer_rate = 77\n v1_rate = 3 } }\n",
		 pair_config('a', "", START));
	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, text);
	WAIT(n->base, pair_joined(n));
	assert_true(n->a.dp.guard_rates.on);
	assert_int_equal(n->a.dp.guard_rates.peer_rate, 77);
	assert_int_equal(n->a.dp.guard_rates.v1_rate, 3);
	assert_int_equal(n->a.dp.guard_rates.proven_rate, 2000);
	assert_memory_not_equal(&n->a.dp.guard_keys.now, &none.now, sizeof(none.now));
	WAIT(n->base, n->a.dp.guard_peers == 1);
	assert_int_equal(n->a.dp.guard_spis, 1); // both as initiator and as responder
	assert_int_equal(n->b.dp.guard_spis, 1);
	assert_true(is_marked(&n->a.dp) && is_marked(&n->b.dp));
	gateway_configure(&n->a, pair_config('a', "remote_addrs = %any", ""));
	WAIT(n->base, n->a.dp.guard_peers == 0);
	WAIT(n->base, established(&n->b) == 0);
	WAIT(n->base, n->a.dp.guard_spis == 0 && n->b.dp.guard_spis == 0);
}

static void test_off(void **state)
{
	struct pair *n = *state;
	static char text[4096];

	snprintf(text, sizeof(text), "%s gateway { guard { enable = no } }\n",
		 pair_config('a', "", ""));
	gateway_configure(&n->a, text);
	assert_false(n->a.dp.guard_rates.on);
}

// Whoever makes the new key: the guard has it within a tick.
static void test_keys_change(void **state)
{
	struct pair *n = *state;
	struct ike_run *run = n->a.run;

	run->cookies.made_ms -= COOKIE_SECRET_MS;
	assert_int_equal(cookie_jar_refresh(&run->cookies, run->crypto, run_now_ms()), 0);
	assert_int_not_equal(n->a.dp.guard_keys.version, run->cookies.keys.version);
	WAIT(n->base,
	     memcmp(&n->a.dp.guard_keys, &run->cookies.keys, sizeof(n->a.dp.guard_keys)) == 0);
}

// %any names nobody.
static void test_any(void **state)
{
	struct pair *n = *state;

	gateway_configure(&n->a, pair_config('a', "remote_addrs = %any", ""));
	turn(n->base, 100);
	assert_int_equal(n->a.dp.guard_peers, 0);
	gateway_configure(&n->a, pair_config('a', "remote_addrs = 0.0.0.0/0, 192.0.2.0/28", ""));
	WAIT(n->base, n->a.dp.guard_peers == 1);
}

// One second, and the tick that ends it.
static void second(struct pair *n)
{
	turn(n->base, 1100);
}

// In a flood it is followed whether what comes to us is lost before we see it.
static void test_loss(void **state)
{
	static const struct {
		uint64_t rx, missed, passed, dropped;
		bool loses;
		const char *why;
	} rows[] = {
		{100000, 0, 500, 0, false, "a flood, and everything arrives"},
		{100000, 9000, 500, 0, false, "less than one in ten"},
		{90000, 10000, 500, 0, true, "one in ten missed by the device"},
		{90, 10, 500, 0, false, "few packets"},
		{100000, 0, 500, 30, false, "the ring to Linux loses a few"},
		{100000, 0, 500, 100, true, "or many"},
	};
	struct pair *n = *state;
	struct dp *dp = &n->a.dp;

	gateway_configure(&n->a, pair_config('a', "", ""));
	dp->port.rx_packets += 100000; // no flood: not looked at
	dp->port.rx_missed += 90000;
	second(n);
	assert_int_equal(n->a.run->loss_ms, 0);
	dp->guard_info.fate[GUARD_COOKIE] += 1000; // it begins
	second(n);
	assert_true(n->a.run->guard_held_ms > 0);
	assert_int_equal(n->a.run->loss_ms, 0); // what was before it says nothing
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		n->a.run->loss_ms = 0;
		dp->port.rx_packets += rows[i].rx;
		dp->port.rx_missed += rows[i].missed;
		dp->guard_info.fate[GUARD_KNOWN] += rows[i].passed;
		dp->drops[DROP_PUNT_FULL] += rows[i].dropped;
		second(n);
		if ((n->a.run->loss_ms != 0) != rows[i].loses)
			fail_msg("%s", rows[i].why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)
		T(test_told), T(test_off), T(test_keys_change), T(test_any), T(test_loss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
