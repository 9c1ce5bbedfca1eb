// Connections as the daemon runs them: which one fits an address, which address is dialled.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "control/conn_index.h"

static struct config_endpoint at(const char *text)
{
	struct config_endpoint e = {0};

	if (text)
		assert_int_equal(ip_prefix_parse(text, &e.prefix), 0);
	return e;
}

static struct conn *make(const char *local, const char *remote)
{
	struct config_conn c = {.name = "c"};
	struct conn *out;

	if (local)
		c.local[c.n_local++] = at(local);
	if (remote)
		c.remote[c.n_remote++] = at(remote);
	assert_int_equal(conn_create(&c, &out), 0);
	return out;
}

static unsigned match(const char *local, const char *remote, const char *our, const char *peer)
{
	struct conn *c = make(local, remote);
	struct ip_addr a, b;
	unsigned score;

	assert_int_equal(ip_addr_parse(our, &a), 0);
	assert_int_equal(ip_addr_parse(peer, &b), 0);
	score = conn_match(c, &a, &b);
	conn_put(c);
	return score;
}

static void test_the_narrower_remote_wins(void **state)
{
	const char *us = "192.0.2.1", *peer = "198.51.100.1";
	unsigned any = match(NULL, NULL, us, peer), net = match(NULL, "198.51.100.0/24", us, peer);
	unsigned host = match(NULL, peer, us, peer), local = match(us, NULL, us, peer);

	(void)state;
	assert_true(any > 0);
	assert_true(net > any);
	assert_true(host > net);
	assert_true(local > any);
	assert_true(net > local); // a remote entry outweighs a local one
	assert_true(match(us, peer, us, peer) > host);
	assert_int_equal(match(NULL, "198.51.100.2", us, peer), 0);
	assert_int_equal(match("192.0.2.2", peer, us, peer), 0);
}

static void test_remote_addresses_in_turn(void **state)
{
	struct config_conn config = {.name = "c", .remote_port = 4500};
	struct ip_endpoint to;
	char text[IP_ENDPOINT_TEXT_MAX];
	struct conn *c;

	(void)state;
	config.remote[0] = at("198.51.100.0/24"); // nothing to dial
	config.remote[1] = at("198.51.100.1");
	config.remote[2] = at("203.0.113.1");
	config.n_remote = 3;
	assert_int_equal(conn_create(&config, &c), 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(conn_remote(c, i, &to));
		assert_string_equal(ip_endpoint_format(&to, text, sizeof(text)),
				    i % 2 ? "203.0.113.1[4500]" : "198.51.100.1[4500]");
	}
	conn_put(c);
}

static void test_any_has_no_address_to_dial(void **state)
{
	struct conn *c = make(NULL, "198.51.100.0/24");
	struct ip_endpoint e;

	(void)state;
	assert_false(conn_remote(c, 0, &e));
	assert_false(conn_local(c, &e));
	conn_put(c);
}

static void test_only_tunnels_are_negotiated(void **state)
{
	struct config_child children[3] = {
		{.name = "bypass", .mode = MODE_PASS},
		{.name = "net",
		 .mode = MODE_TUNNEL,
		 .start_action = START_START,
		 .replay_window = 64},
		{.name = "never", .mode = MODE_DROP},
	};
	struct config_conn config = {.name = "lab", .children = children, .n_children = 3};
	struct conn *c;

	(void)state;
	config.encap = true;
	config.dpd_delay_ms = 30000;
	config.rekey_time_ms = 7200000;
	config.rekey_rand_ms = 60000;
	config.reauth_rand_ms = 90000;
	config.fragmentation = FRAGMENT_ACCEPT;
	config.fragment_size = 700;
	assert_int_equal(conn_create(&config, &c), 0);
	memset(children, 0xff, sizeof(children)); // the connection holds copies
	assert_int_equal(c->ike.n_children, 1);
	assert_int_equal(c->n_children, 1);
	assert_string_equal(c->ike.name, "lab");
	assert_true(c->ike.force_encap);
	assert_int_equal(c->ike.dpd_delay_ms, 30000);
	assert_int_equal(c->ike.rekey_time_ms, 7200000);
	assert_int_equal(c->ike.rand_time_ms, 60000);
	assert_int_equal(c->reauth_rand_ms, 90000);
	assert_int_equal(c->ike.fragmentation, IKE_FRAG_ACCEPT);
	assert_int_equal(c->ike.fragment_size, 700);
	assert_int_equal(c->local_port, 500);
	assert_int_equal(c->remote_port, 500);
	assert_string_equal(c->ike.children[0].name, "net");
	assert_int_equal(c->ike.children[0].replay_window, 64);
	assert_ptr_equal(c->ike.children[0].user, &c->children[0]);
	assert_ptr_equal(c->ike.user, c);
	assert_int_equal(c->children[0].start_action, START_START);
	assert_ptr_equal(conn_child_find(c, "net"), &c->children[0]);
	assert_null(conn_child_find(c, "ne"));
	assert_null(conn_child_find(c, "bypass"));
	conn_put(c);
}

static void test_references_are_counted(void **state)
{
	struct conn *c = make(NULL, NULL);

	(void)state;
	assert_ptr_equal(conn_get(c), c);
	conn_put(c);
	assert_int_equal(c->refs, 1); // still there: ASan would say otherwise
	conn_put(c);
	conn_put(NULL);
}

// ---- the index of connections ----

// The names found for a peer, in their order.
static const char *found(struct conn_index *x, const char *our, const char *peer)
{
	static char names[256];
	const struct ike_conn *const *conns;
	struct ip_addr a, b;

	assert_int_equal(ip_addr_parse(our, &a), 0);
	assert_int_equal(ip_addr_parse(peer, &b), 0);
	names[0] = '\0';
	conns = conn_index_find(x, &a, &b);
	for (size_t i = 0; conns[i]; i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s ",
			 conns[i]->name);
	return names;
}

static void test_index_finds_the_best_first(void **state)
{
	static const struct {
		const char *local, *remote;
	} rows[] = {
		{NULL, NULL},		       // 0
		{NULL, "198.51.100.1"},	       // 1
		{NULL, "198.51.100.0/24"},     // 2
		{"192.0.2.1", "198.51.100.1"}, // 3
		{NULL, "198.51.100.2"},	       // 4
		{NULL, "198.51.100.1"},	       // 5
		{"192.0.2.2", "198.51.100.1"}, // 6
		{NULL, NULL},		       // 7
		{NULL, "198.51.100.2"},	       // 8: and 198.51.100.1, and itself again
	};
	struct conn *conns[9];
	struct conn_index *x;

	(void)state;
	for (unsigned i = 0; i < 9; i++) {
		conns[i] = make(rows[i].local, rows[i].remote);
		snprintf(conns[i]->ike.name, sizeof(conns[i]->ike.name), "%u", i);
	}
	conns[8]->remote[1] = at("198.51.100.1");
	conns[8]->remote[2] = at("198.51.100.2");
	conns[8]->n_remote = 3;
	assert_int_equal(conn_index_create(conns, 9, &x), 0);
	for (unsigned again = 0; again < 2; again++) {
		assert_string_equal(found(x, "192.0.2.1", "198.51.100.1"), "3 1 5 8 2 0 7 ");
		assert_string_equal(found(x, "192.0.2.1", "198.51.100.1"), "3 1 5 8 2 0 7 ");
		assert_string_equal(found(x, "192.0.2.2", "198.51.100.1"), "6 1 5 8 2 0 7 ");
		assert_string_equal(found(x, "192.0.2.2", "198.51.100.2"), "4 8 2 0 7 ");
		assert_string_equal(found(x, "192.0.2.2", "203.0.113.1"), "0 7 ");
	}
	conn_index_destroy(x);
	for (unsigned i = 0; i < 9; i++)
		conn_put(conns[i]);
	assert_int_equal(conn_index_create(NULL, 0, &x), 0);
	assert_string_equal(found(x, "192.0.2.2", "203.0.113.1"), "");
	conn_index_destroy(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_index_finds_the_best_first),
		cmocka_unit_test(test_the_narrower_remote_wins),
		cmocka_unit_test(test_remote_addresses_in_turn),
		cmocka_unit_test(test_any_has_no_address_to_dial),
		cmocka_unit_test(test_only_tunnels_are_negotiated),
		cmocka_unit_test(test_references_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
