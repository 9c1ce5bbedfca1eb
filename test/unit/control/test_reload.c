// A reload of children: what changed is added, replaced or removed, and all else is not touched.
#include "pair.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/log.h"

// Children of `lab`, each "NAME KEYS"; the n-th letter of a name says its network.
static char *config_of(char site, const char *conn, unsigned n, const char *const children[][2])
{
	char child[2048];
	size_t len = (size_t)snprintf(child, sizeof(child), "} ");
	char *text;

	// pair_config closes the last one.
	for (unsigned i = 0; i < n; i++) {
		unsigned net = (unsigned)(children[i][0][0] - 'a');

		len += (size_t)snprintf(
			child + len, sizeof(child) - len,
			"%s { local_ts = 10.%d.%u.0/24\n remote_ts = 10.%d.%u.0/24\n %s\n%s",
			children[i][0], site == 'a' ? 1 : 2, net, site == 'a' ? 2 : 1, net,
			children[i][1], i + 1 < n ? "}\n" : "");
	}
	text = pair_config(site, conn, n > 0 ? child : "");
	return text;
}

#define CONFIG(site, conn, ...)                                                                    \
	config_of(site, conn, sizeof((const char *[][2])__VA_ARGS__) / sizeof(const char *[2]),    \
		  (const char *[][2])__VA_ARGS__)

static struct run_sa *only_sa(struct gateway *g)
{
	struct run_sa *s = TAILQ_FIRST(&g->run->sas);

	assert_non_null(s);
	assert_null(TAILQ_NEXT(s, link));
	return s;
}

static bool joined(struct pair *n, const char *tunnel)
{
	return has_in(&n->b, out_spi(&n->a, tunnel)) && has_in(&n->a, out_spi(&n->b, tunnel));
}

static unsigned gaps(struct gateway *g, const char *tunnel)
{
	for (unsigned i = 0; i < FAKE_TUNNELS; i++)
		if (g->dp.tunnel[i].used && strcmp(g->dp.tunnel[i].name, tunnel) == 0)
			return g->dp.tunnel[i].gaps;
	return 0;
}

static unsigned tunnels(struct gateway *g)
{
	unsigned used = 0;

	for (unsigned i = 0; i < FAKE_TUNNELS; i++)
		used += g->dp.tunnel[i].used;
	return used;
}

static unsigned child_sas(struct gateway *g)
{
	struct ike_run_stats st;

	ike_run_stats(g->run, &st);
	return st.children;
}

// Child `net` of both, which is up.
static uint32_t start(struct pair *n)
{
	gateway_configure(&n->b, pair_config('b', "", ""));
	gateway_configure(&n->a, pair_config('a', "", START));
	WAIT(n->base, pair_joined(n));
	turn(n->base, 50);
	return out_spi(&n->a, "lab.net");
}

static void untouched(struct pair *n, uint32_t net)
{
	assert_int_equal(out_spi(&n->a, "lab.net"), net);
	assert_true(pair_joined(n));
	assert_int_equal(gaps(&n->a, "lab.net") + gaps(&n->b, "lab.net"), 0);
	assert_int_equal(only_sa(&n->a)->id, 1);
	assert_int_equal(only_sa(&n->b)->id, 1);
}

static void test_a_child_is_added_to_the_ike_sa(void **state)
{
	struct pair *n = *state;
	uint32_t net = start(n);

	gateway_configure(&n->b, CONFIG('b', "", {{"b", ""}}));
	gateway_configure(&n->a, CONFIG('a', "", {{"b", START}}));
	untouched(n, net);
	WAIT(n->base, joined(n, "lab.b"));
	untouched(n, net);
	// A trap is only installed, until there is traffic.
	gateway_configure(&n->b, CONFIG('b', "", {{"b", ""}, {"c", ""}}));
	gateway_configure(&n->a, CONFIG('a', "", {{"b", START}, {"c", "start_action = trap"}}));
	turn(n->base, 100);
	assert_true(holds(&n->a, "lab.c"));
	assert_int_equal(out_spi(&n->a, "lab.c"), 0);
	assert_true(ike_run_is_trapped(n->a.run, 0, "c"));
	untouched(n, net);
}

static void test_a_child_is_removed_alone(void **state)
{
	struct pair *n = *state;
	uint32_t net = start(n);

	gateway_configure(&n->b, CONFIG('b', "", {{"b", ""}}));
	gateway_configure(&n->a, CONFIG('a', "", {{"b", START}}));
	WAIT(n->base, joined(n, "lab.b"));
	gateway_configure(&n->a, pair_config('a', "", START));
	WAIT(n->base, child_sas(&n->a) == 1 && child_sas(&n->b) == 1);
	turn(n->base, 50);
	untouched(n, net);
	assert_int_equal(tunnels(&n->a), 1); // and nothing of it is left
	assert_true(TAILQ_EMPTY(&n->a.run->conns[0]->old));
	// The first of them goes as well: the IKE SA stays for the other.
	gateway_configure(&n->a, CONFIG('a', "", {{"b", START}}));
	WAIT(n->base, joined(n, "lab.b"));
}

static void test_a_child_is_replaced_without_a_gap(void **state)
{
	struct pair *n = *state;
	uint32_t net = start(n), b;
	const struct conn_child *old;

	gateway_configure(&n->b,
			  CONFIG('b', "", {{"b", "esp_proposals = aes256gcm16,aes128gcm16"}}));
	gateway_configure(&n->a, CONFIG('a', "", {{"b", START "\n esp_proposals = aes128gcm16"}}));
	WAIT(n->base, joined(n, "lab.b"));
	b = out_spi(&n->a, "lab.b");
	gateway_configure(&n->a, CONFIG('a', "", {{"b", START "\n esp_proposals = aes256gcm16"}}));
	assert_int_equal(out_spi(&n->a, "lab.b"), b); // until the new one is up
	WAIT(n->base, joined(n, "lab.b") && out_spi(&n->a, "lab.b") != b);
	old = TAILQ_FIRST(&n->a.run->conns[0]->old);
	assert_true(!old || old->over); // at once
	WAIT(n->base, child_sas(&n->a) == 2 && child_sas(&n->b) == 2);
	assert_true(joined(n, "lab.b"));
	assert_int_equal(gaps(&n->a, "lab.b") + gaps(&n->b, "lab.b"), 0);
	assert_int_equal(tunnels(&n->a), 2);
	turn(n->base, 50);
	assert_true(TAILQ_EMPTY(&n->a.run->conns[0]->old));
	untouched(n, net);
}

// What was removed is not sent on for longer than it takes, whatever becomes of its successor.
static void test_the_old_one_goes_though_the_new_one_is_refused(void **state)
{
	struct pair *n = *state;
	uint32_t net = start(n);

	gateway_configure(&n->b, CONFIG('b', "", {{"b", "esp_proposals = aes128gcm16"}}));
	gateway_configure(&n->a, CONFIG('a', "", {{"b", START "\n esp_proposals = aes128gcm16"}}));
	WAIT(n->base, joined(n, "lab.b"));
	log_set_level(LOG_LEVEL_ERROR - 1);
	gateway_configure(&n->a, CONFIG('a', "", {{"b", START "\n esp_proposals = aes256gcm16"}}));
	WAIT(n->base, child_sas(&n->a) == 1 && child_sas(&n->b) == 1);
	assert_int_equal(out_spi(&n->a, "lab.b"), 0);
	untouched(n, net);
}

static void test_one_that_is_not_to_be_up_just_ends(void **state)
{
	struct pair *n = *state;
	uint32_t net = start(n);
	struct error err;

	gateway_configure(&n->b, CONFIG('b', "", {{"b", ""}}));
	gateway_configure(&n->a, CONFIG('a', "", {{"b", ""}}));
	// `net` of a has lost its start_action, and stays.
	untouched(n, net);
	assert_int_equal(ike_run_initiate(n->a.run, "lab", "b", NULL, &err), 0);
	WAIT(n->base, joined(n, "lab.b"));
	gateway_configure(&n->a, CONFIG('a', "", {{"b", "replay_window = 64"}}));
	WAIT(n->base, child_sas(&n->a) == 1 && child_sas(&n->b) == 1);
	turn(n->base, 100);
	assert_int_equal(out_spi(&n->a, "lab.b"), 0);
	untouched(n, net);
}

static void test_what_needs_no_negotiation_is_taken_over(void **state)
{
	struct pair *n = *state;
	uint32_t net = start(n);
	struct ike_run_child child;
	struct ike_sa_info info;

	gateway_configure(&n->a, pair_config('a', "rekey_time = 10h\n reauth_time = 5h",
					     "start_action = trap\n rekey_time = 30m\n"
					     " life_time = 66m\n rand_time = 0"));
	turn(n->base, 50);
	untouched(n, net);
	assert_true(ike_run_is_trapped(n->a.run, 0, "net"));
	assert_int_equal(ike_run_child(n->a.run, 1, 0, &child), 0);
	assert_true(child.rekey_in_ms <= 1800000 && child.rekey_in_ms > 1700000);
	assert_true(child.expires_in_ms <= 3960000 && child.expires_in_ms > 3900000);
	ike_sa_info(only_sa(&n->a)->sa, &info);
	assert_true(info.rekey_ms > run_now_ms() + 8 * 3600000ull);
	assert_true(only_sa(&n->a)->rekey_at_ms <= run_now_ms() + 5 * 3600000ull);
	// So the peer's silence is noticed now, which it would not have been for half a minute.
	gateway_configure(&n->a, pair_config('a', "dpd_delay = 1s", ""));
	n->a.run->conns[0]->ike.retransmit_base_ms = 50;
	n->a.run->conns[0]->ike.retransmit_factor = 1.0;
	n->a.run->conns[0]->ike.retransmit_tries = 1;
	n->b.deaf = true;
	log_set_level(LOG_LEVEL_ERROR - 1);
	WAIT(n->base, established(&n->a) == 0);
}

// A request for it is under way: what comes of it is deleted again.
static void test_removed_while_it_is_being_made(void **state)
{
	struct pair *n = *state;
	uint32_t net = start(n);

	gateway_configure(&n->b, CONFIG('b', "", {{"b", ""}}));
	wire_hold(true);
	gateway_configure(&n->a, CONFIG('a', "", {{"b", START}}));
	turn(n->base, 50);
	gateway_configure(&n->a, pair_config('a', "", START));
	turn(n->base, 50);
	assert_false(TAILQ_EMPTY(&n->a.run->conns[0]->old)); // the request holds it
	wire_hold(false);
	WAIT(n->base, TAILQ_EMPTY(&n->a.run->conns[0]->old));
	WAIT(n->base, child_sas(&n->a) == 1 && child_sas(&n->b) == 1);
	assert_int_equal(tunnels(&n->a), 1);
	untouched(n, net);
}

// The child that an IKE SA is being set up for is another one when that is done.
static void test_changed_while_the_ike_sa_is_being_made(void **state)
{
	struct pair *n = *state;

	gateway_configure(&n->b, pair_config('b', "", "esp_proposals = aes256gcm16,aes128gcm16"));
	wire_hold(true);
	gateway_configure(&n->a, pair_config('a', "", START));
	turn(n->base, 50);
	gateway_configure(&n->a, pair_config('a', "", START "\n replay_window = 128"));
	turn(n->base, 50);
	wire_hold(false);
	WAIT(n->base, TAILQ_EMPTY(&n->a.run->conns[0]->old) && pair_joined(n));
	WAIT(n->base, child_sas(&n->a) == 1 && child_sas(&n->b) == 1);
	assert_true(pair_joined(n));
	assert_int_equal(tunnels(&n->a), 1);
	assert_int_equal(n->a.dp.tunnel[0].outs, 1); // nothing was sent on what is not wanted
}

// Twice in a row, before the first is done, and back again.
static void test_reloads_in_a_row(void **state)
{
	static const char *const more[] = {"replay_window = 64", "replay_window = 128", "",
					   "replay_window = 64", NULL};
	struct pair *n = *state;

	start(n);
	gateway_configure(&n->b, CONFIG('b', "", {{"b", ""}}));
	for (unsigned round = 0; round < 40; round++) {
		char keys[128];

		snprintf(keys, sizeof(keys), START "\n %s", more[round % 4]);
		if (round % 10 == 7) // not there at all
			gateway_configure(&n->a, CONFIG('a', "", {{"b", START}}));
		else
			gateway_configure(&n->a, pair_config('a', "", keys));
		turn(n->base, round % 5);
	}
	WAIT(n->base, TAILQ_EMPTY(&n->a.run->conns[0]->old) && pair_joined(n));
	WAIT(n->base, child_sas(&n->a) == 1 && child_sas(&n->b) == 1);
	assert_true(pair_joined(n));
	assert_int_equal(tunnels(&n->a), 1);
	only_sa(&n->a);
}

static void on_done(void *ctx, int result, const char *text)
{
	(void)text;
	*(int *)ctx = result;
}

static void test_who_waits_for_it_is_told(void **state)
{
	struct pair *n = *state;
	int result = 1;
	struct ike_run_watch w = {.done = on_done, .ctx = &result};
	struct error err;

	start(n);
	gateway_configure(&n->a, CONFIG('a', "", {{"b", ""}}));
	wire_hold(true);
	assert_int_equal(ike_run_initiate(n->a.run, "lab", "b", &w, &err), 0);
	gateway_configure(&n->a, pair_config('a', "", START));
	assert_int_equal(result, -ECANCELED);
}

// The new tables do not fit into the dataplane: all stays as it was.
static void test_a_reload_that_fails_changes_nothing(void **state)
{
	struct pair *n = *state;
	uint32_t net = start(n);
	const struct conn_child *child = n->a.run->conns[0]->children[0];
	struct config *next = NULL;
	struct error err;
	char *text = CONFIG('a', "dpd_delay = 77s", {{"b", START}, {"c", START}});

	assert_int_equal(config_load_text("next", text, strlen(text), &next, &err), 0);
	n->a.dp.refuse_tunnels = true;
	assert_int_not_equal(ike_run_configure(n->a.run, next, &err), 0);
	n->a.dp.refuse_tunnels = false;
	n->a.dp.refuse_policies = true;
	assert_int_not_equal(ike_run_configure(n->a.run, next, &err), 0);
	n->a.dp.refuse_policies = false;
	config_destroy(next);
	assert_ptr_equal(n->a.run->conns[0]->children[0], child);
	assert_int_equal(n->a.run->conns[0]->n_children, 1);
	assert_int_equal(n->a.run->conns[0]->ike.dpd_delay_ms, 30000);
	assert_int_equal(tunnels(&n->a), 1);
	turn(n->base, 50);
	untouched(n, net);
}

#define T(name) cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_child_is_added_to_the_ike_sa),
		T(test_a_child_is_removed_alone),
		T(test_a_child_is_replaced_without_a_gap),
		T(test_the_old_one_goes_though_the_new_one_is_refused),
		T(test_one_that_is_not_to_be_up_just_ends),
		T(test_what_needs_no_negotiation_is_taken_over),
		T(test_removed_while_it_is_being_made),
		T(test_changed_while_the_ike_sa_is_being_made),
		T(test_reloads_in_a_row),
		T(test_who_waits_for_it_is_told),
		T(test_a_reload_that_fails_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
