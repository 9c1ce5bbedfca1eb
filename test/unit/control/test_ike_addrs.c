// Our own addresses as MOBIKE (RFC 4555) sees them: control/ike_run_addrs.c.
#include "pair.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include <event2/event.h>

#define A_NEW "192.0.2.9"

static struct ip_addr addr(const char *text)
{
	struct ip_addr a;

	assert_int_equal(ip_addr_parse(text, &a), 0);
	return a;
}

static void tell(struct gateway *g, const char *const *texts, size_t n)
{
	struct ip_addr addrs[16];

	for (size_t i = 0; i < n; i++)
		addrs[i] = addr(texts[i]);
	ike_run_addresses(g->run, addrs, n);
}

static void up(struct pair *n, const char *conn_a, const char *conn_b)
{
	gateway_configure(&n->b, pair_config('b', conn_b, ""));
	gateway_configure(&n->a, pair_config('a', conn_a, START));
	WAIT(n->base, pair_joined(n));
}

static bool b_sends_to(struct pair *n, const char *text)
{
	struct ip_addr to = addr(text);

	return ip_addr_equal(&n->b.dp.tunnel[0].moved_to.addr, &to);
}

// What Linux takes for the peer has changed: the tunnel goes along.
static void test_another_address_takes_its_place(void **state)
{
	struct pair *n = *state;
	const char *list = A_NEW;

	up(n, "local_addrs = 192.0.2.0/24", "remote_addrs = 192.0.2.0/24");
	n->a.addr = A_NEW;
	tell(&n->a, &list, 1);
	WAIT(n->base, b_sends_to(n, A_NEW));
	assert_int_equal(established(&n->a), 1);
	// A change soon after it waits its turn, and is not lost.
	list = n->a.addr = A;
	tell(&n->a, &list, 1);
	tell(&n->a, &list, 1);
	WAIT(n->base, b_sends_to(n, A));
	assert_int_equal(n->a.dp.tunnel[0].outs, 1); // the same SA all the time
}

// An address that local_addrs does not have is not gone to, nor told to the peer.
static void test_only_what_the_connection_allows(void **state)
{
	struct pair *n = *state;
	const char *list[] = {A, A_NEW};
	struct ike_run_stats before, after;

	up(n, "", "remote_addrs = 192.0.2.0/24");
	ike_run_stats(n->b.run, &before);
	n->a.addr = A_NEW; // Linux would take it
	tell(&n->a, list, 2);
	WAIT(n->base, n->a.run->addrs_told_ms != 0);
	turn(n->base, 300);
	ike_run_stats(n->b.run, &after);
	assert_int_equal(after.rx_messages, before.rx_messages + 1); // the list: no other address
	assert_false(b_sends_to(n, A_NEW));
	n->a.addr = A;
}

static void test_which_are_ours(void **state)
{
	static const struct {
		const char *local; // of the connection
		const char *first;
		const char *own[4], *want[4];
		const char *why;
	} rows[] = {
		{"%any", A, {A_NEW, A, "10.1.0.1"}, {A, A_NEW, "10.1.0.1"}, "the one in use first"},
		{"%any", "192.0.2.7", {A, A_NEW}, {A, A_NEW}, "the one in use is gone"},
		{"192.0.2.0/24", A, {"10.1.0.1", A}, {A}, "another network"},
		{A, A, {A_NEW, A}, {A}, "a single one"},
		{"%any", A, {"fe80::1", "2001:db8::1"}, {"2001:db8::1"}, "link-local"},
		{"%any", A, {NULL}, {NULL}, "none known"},
	};
	struct pair *n = *state;
	struct ike_run *run = n->a.run;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ip_addr out[LIMIT_IKE_ADDRS], first = addr(rows[i].first);
		char conn[64];
		size_t n_own = 0, n_want = 0;

		while (rows[i].own[n_own])
			n_own++;
		while (rows[i].want[n_want])
			n_want++;
		snprintf(conn, sizeof(conn), "local_addrs = %s", rows[i].local);
		gateway_configure(&n->a, pair_config('a', conn, ""));
		tell(&n->a, rows[i].own, n_own);
		if (run->env.addrs_own(run, &run->conns[0]->ike, &first, out) != n_want)
			fail_msg("%s", rows[i].why);
		for (size_t k = 0; k < n_want; k++) {
			struct ip_addr want = addr(rows[i].want[k]);

			if (!ip_addr_equal(&out[k], &want))
				fail_msg("%s", rows[i].why);
		}
	}
}

static void test_they_are_not_too_many(void **state)
{
	struct pair *n = *state;
	struct ike_run *run = n->a.run;
	struct ip_addr many[LIMIT_IKE_ADDRS + 2], out[LIMIT_IKE_ADDRS];

	gateway_configure(&n->a, pair_config('a', "local_addrs = %any", ""));
	for (uint32_t i = 0; i < LIMIT_IKE_ADDRS + 2; i++)
		many[i] = ip_addr_v4(0xc0000210u + i);
	ike_run_addresses(run, many, LIMIT_IKE_ADDRS + 2);
	// The last one is in use: it stays among them.
	assert_int_equal(
		run->env.addrs_own(run, &run->conns[0]->ike, &many[LIMIT_IKE_ADDRS + 1], out),
		LIMIT_IKE_ADDRS);
	assert_true(ip_addr_equal(&out[0], &many[LIMIT_IKE_ADDRS + 1]));
}

#define T(f) cmocka_unit_test_setup_teardown(f, pair_setup, pair_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_another_address_takes_its_place),
		T(test_only_what_the_connection_allows),
		T(test_which_are_ours),
		T(test_they_are_not_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
