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

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)
		T(test_told),
		T(test_off),
		T(test_keys_change),
		T(test_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
