// One peer identity with several IKE SAs: what `unique` makes of them.
#include "pair.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "lib/log.h"

// Gateway a as a peer that comes twice: two connections of one identity to the one of b; the second
// may be another one in some keys.
static char *twice(const char *unique, const char *second)
{
	static char text[4096];

	snprintf(text, sizeof(text),
		 "gateway { ports { wan { device = net_null0\n addrs = " A "/24 } } }\n"
		 "base { version = 2\n local_addrs = " A "\n remote_addrs = " B "\n"
		 " proposals = aes128gcm16-prfsha256-x25519\n unique = %s\n"
		 " local { auth = psk\n id = gw-a }\n remote { auth = psk\n id = gw-b }\n"
		 " children { net { local_ts = 10.1.0.0/24\n remote_ts = 10.2.0.0/24\n"
		 "  esp_proposals = aes128gcm16 } } }\n"
		 "connections { one : base { }\n two : base { %s } }\n"
		 "secrets { ike-1 { secret = \"s\" } }\n",
		 unique, second);
	return text;
}

static char *unique_b(const char *unique)
{
	static char key[64];

	snprintf(key, sizeof(key), "unique = %s", unique);
	return pair_config('b', key, "");
}

static bool joined(struct pair *n, const char *tunnel)
{
	return out_spi(&n->a, tunnel) != 0 && has_in(&n->b, out_spi(&n->a, tunnel));
}

static void on_done(void *ctx, int result, const char *text)
{
	(void)text;
	*(int *)ctx = result;
}

static int initiate(struct pair *n, const char *conn)
{
	int result = 1;
	struct ike_run_watch w = {.done = on_done, .ctx = &result};
	struct error err;

	assert_int_equal(ike_run_initiate(n->a.run, conn, "net", &w, &err), 0);
	WAIT(n->base, result != 1);
	turn(n->base, 50);
	return result;
}

static void come_twice(struct pair *n, const char *unique_of_a, const char *unique_of_b)
{
	gateway_configure(&n->b, unique_b(unique_of_b));
	gateway_configure(&n->a, twice(unique_of_a, ""));
	assert_int_equal(initiate(n, "one"), 0);
	assert_true(joined(n, "one.net"));
}

// The initiator says INITIAL_CONTACT for each of its connections, unless its own is `never`.
static void test_what_stays(void **state)
{
	static const struct {
		const char *a, *b;
		bool one, two; // stay
	} rows[] = {
		{"never", "no", true, true}, // not said to be the only one
		{"no", "no", false, true},   // INITIAL_CONTACT
		{"no", "never", true, true}, // which is not heard
		{"never", "never", true, true}, {"never", "replace", false, true},
		{"no", "replace", false, true}, {"never", "keep", true, false},
		{"no", "keep", false, true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pair *n;
		int rc;

		pair_setup(state);
		n = *state;
		come_twice(n, rows[i].a, rows[i].b);
		log_set_level(LOG_LEVEL_ERROR - 1);
		rc = initiate(n, "two");
		if ((rc == 0) != rows[i].two)
			fail_msg("%s to %s: the second is %s", rows[i].a, rows[i].b,
				 rc ? "refused" : "taken");
		// What is replaced is deleted after 5 s, to let the peer do it.
		if (!rows[i].one)
			WAIT(n->base, established(&n->b) == 1);
		turn(n->base, 100);
		if (established(&n->b) != (unsigned)rows[i].one + rows[i].two)
			fail_msg("%s to %s: %u stay", rows[i].a, rows[i].b, established(&n->b));
		if (rows[i].two) // the newest carries what b sends
			assert_true(joined(n, "two.net") &&
				    has_in(&n->a, out_spi(&n->b, "lab.net")));
		else
			assert_true(joined(n, "one.net"));
		if (rows[i].one)
			assert_true(joined(n, "one.net"));
		pair_teardown(state);
	}
}

static void close_conn(struct pair *n, const char *conn)
{
	struct ike_run_select sel = {.conn = conn};
	unsigned matched;
	struct error err;

	assert_int_equal(ike_run_terminate(n->a.run, &sel, NULL, &matched, &err), 0);
	WAIT(n->base, established(&n->b) == 1);
}

// Both are meant: when the one that is sent on goes, the other one carries the child.
static void test_the_other_one_takes_over(void **state)
{
	struct pair *n = *state;
	uint32_t spi;

	come_twice(n, "never", "never");
	spi = out_spi(&n->b, "lab.net");
	assert_int_equal(initiate(n, "two"), 0);
	WAIT(n->base, out_spi(&n->b, "lab.net") != spi);
	spi = out_spi(&n->b, "lab.net");
	close_conn(n, "two");
	WAIT(n->base, out_spi(&n->b, "lab.net") != spi && has_in(&n->a, out_spi(&n->b, "lab.net")));
	WAIT(n->base, joined(n, "one.net"));
}

// The responder's first packets could come before its answer: it goes on with the SA that it has
// for a while, and if that one goes, it has the new one at once.
static void test_the_responder_does_not_send_at_once(void **state)
{
	struct pair *n = *state;
	const uint64_t began = run_now_ms();
	uint32_t spi;

	come_twice(n, "never", "never");
	spi = out_spi(&n->b, "lab.net");
	assert_int_equal(initiate(n, "two"), 0);
	if (out_spi(&n->b, "lab.net") != spi) // half a second later, on a machine that was busy
		assert_true(run_now_ms() - began >= 500);
	close_conn(n, "one");
	assert_true(joined(n, "two.net"));
	assert_int_equal(n->b.dp.tunnel[0].gaps, 0);
}

static bool settled(struct pair *n)
{
	return established(&n->a) == 1 && established(&n->b) == 1 && pair_joined(n);
}

// It comes for something else than before, so that neither IKE SA carries what the other does.
static void test_another_child_replaces_too(void **state)
{
	static const struct {
		const char *unique;
		bool one; // stays
	} rows[] = {{"replace", false}, {"no", true}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pair *n;
		char key[64];

		pair_setup(state);
		n = *state;
		snprintf(key, sizeof(key), "unique = %s", rows[i].unique);
		gateway_configure(&n->b, pair_config('b', key,
						     "}\n other { local_ts = 10.2.1.0/24\n"
						     " remote_ts = 10.1.1.0/24\n"
						     " esp_proposals = aes128gcm16"));
		gateway_configure(&n->a, twice("never", "children { net { local_ts = 10.1.1.0/24\n"
							" remote_ts = 10.2.1.0/24\n } }"));
		assert_int_equal(initiate(n, "one"), 0);
		assert_int_equal(initiate(n, "two"), 0);
		turn(n->base, 100);
		assert_int_equal(established(&n->b), 2);
		if (!rows[i].one)
			WAIT(n->base, established(&n->b) == 1);
		assert_int_equal(joined(n, "one.net"), rows[i].one);
		assert_true(joined(n, "two.net"));
		pair_teardown(state);
	}
}

// Our own replacements are none of the peer's duplicates, whatever is configured.
static void test_reauthentication_goes_through(void **state)
{
	static const char *const rows[] = {"no", "never", "replace"};
	struct ike_run_select sel = {.conn = "lab"};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char key[64];
		struct pair *n;
		struct error err;
		unsigned matched;
		uint32_t spi;

		pair_setup(state);
		n = *state;
		snprintf(key, sizeof(key), "unique = %s", rows[i]);
		gateway_configure(&n->b, pair_config('b', key, ""));
		gateway_configure(&n->a, pair_config('a', key, START));
		WAIT(n->base, settled(n));
		spi = out_spi(&n->a, "lab.net");
		assert_int_equal(ike_run_rekey(n->a.run, &sel, true, &matched, &err), 0);
		WAIT(n->base, out_spi(&n->a, "lab.net") != spi && settled(n));
		assert_int_equal(n->a.dp.tunnel[0].gaps + n->b.dp.tunnel[0].gaps, 0);
		pair_teardown(state);
	}
}

// Nor are the IKE SAs that two sides make for the same one when they rekey it at once.
static void test_rekeying_goes_through(void **state)
{
	struct pair *n = *state;
	struct ike_run_select sel = {.conn = "lab"};
	unsigned matched;
	struct error err;

	gateway_configure(&n->b, pair_config('b', "unique = replace", ""));
	gateway_configure(&n->a, pair_config('a', "unique = replace", START));
	WAIT(n->base, settled(n));
	wire_hold(true);
	assert_int_equal(ike_run_rekey(n->a.run, &sel, false, &matched, &err), 0);
	assert_int_equal(ike_run_rekey(n->b.run, &sel, false, &matched, &err), 0);
	turn(n->base, 50);
	wire_hold(false);
	WAIT(n->base, TAILQ_FIRST(&n->a.run->sas)->id != 1 && settled(n));
	assert_true(TAILQ_FIRST(&n->a.run->sas)->end_at_ms == NO_DEADLINE);
	assert_true(TAILQ_FIRST(&n->b.run->sas)->end_at_ms == NO_DEADLINE);
	assert_int_equal(n->a.dp.tunnel[0].outs + n->b.dp.tunnel[0].outs, 2);
}

static void test_both_at_once_stay_one(void **state)
{
	static const char *const rows[] = {"no", "never", "keep", "replace"};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char key[64];
		struct pair *n;

		pair_setup(state);
		n = *state;
		snprintf(key, sizeof(key), "unique = %s", rows[i]);
		wire_hold(true);
		gateway_configure(&n->b, pair_config('b', key, START));
		gateway_configure(&n->a, pair_config('a', key, START));
		turn(n->base, 50);
		wire_hold(false);
		WAIT(n->base, pair_joined(n));
		WAIT(n->base, settled(n));
		pair_teardown(state);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_stays),
		T(test_the_other_one_takes_over),
		T(test_the_responder_does_not_send_at_once),
		cmocka_unit_test(test_another_child_replaces_too),
		cmocka_unit_test(test_reauthentication_goes_through),
		T(test_rekeying_goes_through),
		cmocka_unit_test(test_both_at_once_stay_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
