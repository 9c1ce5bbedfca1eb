// ike_run against strangers: half-open limits, cookies, NAT keepalives, many peers at once.
#include "pair.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "lib/log.h"

static void strangers(struct gateway *g, unsigned n, const char *from, bool proved)
{
	struct ip_addr addr;

	assert_int_equal(ip_addr_parse(from, &addr), 0);
	for (unsigned i = 0; i < n; i++) {
		struct ike_sa *sa;
		struct run_sa *s;

		assert_int_equal(ike_sa_create_responder(&g->run->env, &sa), 0);
		s = run_sa_add(g->run, sa, NULL);
		assert_int_equal(run_sa_half_open(s, &addr, i + 1, proved), 0);
	}
}

static struct ike_run_stats stats_of(struct gateway *g)
{
	struct ike_run_stats st;

	ike_run_stats(g->run, &st);
	return st;
}

// A bare IKE_SA_INIT request: only its header matters.
static void knock(struct pair *n, const char *from)
{
	uint8_t init[28] = {[7] = 99, [17] = 0x20, [18] = 34, [19] = 0x08, [27] = 28};

	wire_inject(&n->a, from, init, sizeof(init));
	turn(n->base, 20);
}

static const char *limits(const char *lines)
{
	static char with[5000];

	snprintf(with, sizeof(with), "%.*s ike { %s }\n%s", 9, pair_config('a', "", ""), lines,
		 pair_config('a', "", "") + 9);
	return with;
}

static void test_half_open_limits(void **state)
{
	struct pair *n = *state;

	gateway_configure(&n->a, limits("half_open = 20\n half_open_per_source = 5\n"
					"cookie_threshold = 100\n"
					"cookie_threshold_per_source = 100"));
	strangers(&n->a, 5, "203.0.113.9", false);
	knock(n, "203.0.113.9");
	assert_int_equal(stats_of(&n->a).rx_limited, 1);
	assert_int_equal(stats_of(&n->a).half_open, 5);
	knock(n, "203.0.113.10"); // another source is not limited
	assert_int_equal(stats_of(&n->a).rx_limited, 1);
	strangers(&n->a, 14, "203.0.113.11", true); // nor does a source that is proved count
	knock(n, "203.0.113.11");
	assert_int_equal(stats_of(&n->a).rx_limited, 1);
	strangers(&n->a, 1, "203.0.113.12", true);
	knock(n, "203.0.113.13");
	assert_int_equal(stats_of(&n->a).rx_limited, 2);
	assert_int_equal(stats_of(&n->a).half_open, 20);
	assert_int_equal(stats_of(&n->a).cookies_asked, 0);
}

static void test_half_open_counts_end_with_the_sa(void **state)
{
	struct pair *n = *state;
	struct run_sa *s, *next;
	struct ip_addr from;

	assert_int_equal(ip_addr_parse("203.0.113.9", &from), 0);
	strangers(&n->a, 3, "203.0.113.9", false);
	strangers(&n->a, 4, "203.0.113.9", true);
	assert_int_equal(half_open_count(&n->a.run->unproved, &from), 3);
	for (s = TAILQ_FIRST(&n->a.run->sas); s; s = next) {
		next = TAILQ_NEXT(s, link);
		run_sa_drop(s);
	}
	assert_int_equal(half_open_count(&n->a.run->unproved, &from), 0);
	assert_int_equal(n->a.run->n_half_open, 0);
}

static void test_cookie_when_many_are_half_open(void **state)
{
	struct pair *n = *state;

	gateway_configure(&n->b, pair_config('b', "", ""));
	strangers(&n->b, LIMIT_IKE_COOKIE_THRESHOLD, "203.0.113.9", true);
	gateway_configure(&n->a, pair_config('a', "", START));
	WAIT(n->base, pair_joined(n));
	assert_int_equal(stats_of(&n->b).cookies_asked, 1);
	assert_int_equal(stats_of(&n->b).cookies_good, 1);
	assert_int_equal(stats_of(&n->b).cookies_bad, 0);
	assert_int_equal(stats_of(&n->b).half_open, LIMIT_IKE_COOKIE_THRESHOLD);
}

// RFC 7296 2.6.1: the cookie holds for the second key exchange group as well.
static void test_cookie_and_another_group(void **state)
{
	struct pair *n = *state;

	gateway_configure(&n->b, pair_config('b', "proposals = aes128gcm16-prfsha256-ecp256", ""));
	strangers(&n->b, LIMIT_IKE_COOKIE_THRESHOLD_PER_SOURCE, A, false);
	gateway_configure(
		&n->a, pair_config('a', "proposals = aes128gcm16-prfsha256-x25519-ecp256", START));
	WAIT(n->base, pair_joined(n));
	assert_int_equal(stats_of(&n->b).cookies_asked, 1);
	assert_int_equal(stats_of(&n->b).cookies_good, 2);
}

// RFC 7296 2.6: nothing is held, and a short message has no longer answer.
static void test_no_cookie_for_a_short_message(void **state)
{
	struct pair *n = *state;

	gateway_configure(&n->a, limits("cookie_threshold = 0"));
	knock(n, "203.0.113.9");
	assert_int_equal(stats_of(&n->a).cookies_asked, 0);
	assert_int_equal(stats_of(&n->a).tx_messages, 0);
	assert_int_equal(stats_of(&n->a).rx_malformed, 1);
	assert_int_equal(stats_of(&n->a).ike_sas, 0);
}

// RFC 3948 4: only behind a NAT, and only when nothing else was sent.
static void test_nat_keepalives(void **state)
{
	struct pair *n = *state;
	struct run_sa *s;
	uint64_t until;

	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, limits("keep_alive = 2s"));
	assert_int_equal(ike_run_initiate(n->a.run, "lab", "net", NULL, NULL), 0);
	WAIT(n->base, pair_joined(n));
	keepalives = 0;
	turn(n->base, 3100);
	assert_int_equal(keepalives, 0); // no NAT
	s = TAILQ_FIRST(&n->a.run->sas);
	s->behind_nat = true;
	until = run_now_ms() + 3500;
	while (run_now_ms() < until) { // something else is sent all the time
		s->last_tx_ms = run_now_ms();
		turn(n->base, 100);
	}
	assert_int_equal(keepalives, 0);
	WAIT(n->base, keepalives == 2);
	assert_in_range(run_now_ms() - until, 3500, 6500);
}

#define CROWD 100

// Connections of one address, many more than a stranger may have half open.
static const char *crowd(char site, bool start)
{
	static char many[CROWD * 400 + 400];
	size_t at = (size_t)snprintf(
		many, sizeof(many),
		"gateway { initiations = 1000\n initiations_per_peer = 1000\n" // all at once
		"ports { wan { device = net_null0\n addrs = %s/24 } } }\n"
		"connections {\n",
		site == 'a' ? A : B);

	for (unsigned i = 0; i < CROWD; i++)
		at += (size_t)snprintf(
			many + at, sizeof(many) - at,
			"c%u { local_addrs = %s\n remote_addrs = %s\n"
			"proposals = aes128gcm16-prfsha256-x25519\n"
			"local { auth = psk\n id = %c%u }\n remote { auth = psk\n id = %c%u }\n"
			"children { net { local_ts = 10.%d.%u.0/24\n remote_ts = 10.%d.%u.0/24\n"
			"esp_proposals = aes128gcm16\n start_action = %s } } }\n",
			i, site == 'a' ? A : B, site == 'a' ? B : A, site, i,
			site == 'a' ? 'b' : 'a', i, site == 'a' ? 1 : 2, i, site == 'a' ? 2 : 1, i,
			start ? "start" : "none");
	snprintf(many + at, sizeof(many) - at, "}\nsecrets { ike-1 { secret = s } }\n");
	return many;
}

static void test_a_crowd_from_one_address_comes_up(void **state)
{
	struct pair *n = *state;

	gateway_configure(&n->b, crowd('b', false));
	gateway_configure(&n->a, crowd('a', true));
	WAIT(n->base, established(&n->a) == CROWD && established(&n->b) == CROWD);
	assert_int_equal(stats_of(&n->b).rx_limited, 0);
	assert_in_range(stats_of(&n->b).cookies_good, CROWD / 2, CROWD);
	assert_int_equal(stats_of(&n->b).children, CROWD);
}

#define T(f) cmocka_unit_test_setup_teardown(f, pair_setup, pair_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_half_open_limits),
		T(test_half_open_counts_end_with_the_sa),
		T(test_cookie_when_many_are_half_open),
		T(test_cookie_and_another_group),
		T(test_no_cookie_for_a_short_message),
		T(test_nat_keepalives),
		T(test_a_crowd_from_one_address_comes_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
