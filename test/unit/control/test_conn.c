// Connections as the daemon runs them: which one fits an address, which address is dialled.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "config/endpoint.h"
#include "control/conn_index.h"

static struct config_endpoint at(const char *text)
{
	struct config_endpoint e = {0};

	if (text)
		assert_int_equal(endpoint_parse(text, &e), 0);
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
	endpoint_fini(&c.local[0]); // it has copies
	endpoint_fini(&c.remote[0]);
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

// A name of both families is two addresses to dial, and matches either.
static void test_a_name_of_both_families(void **state)
{
	struct ip_addr v4, v6, other, us;
	struct ip_endpoint to;
	struct conn *c = make(NULL, "gw.example");

	(void)state;
	ip_addr_parse("192.0.2.9", &us);
	ip_addr_parse("198.51.100.1", &v4);
	ip_addr_parse("2001:db8::1", &v6);
	ip_addr_parse("2001:db8::2", &other);
	assert_int_equal(conn_remotes(c), 0);
	c->names[0].addr[NAME_V6] = c->remote[0].lo = c->remote[0].hi = v6;
	assert_int_equal(conn_remotes(c), 1);
	assert_true(conn_remote(c, 1, &to) && ip_addr_equal(&to.addr, &v6));
	assert_int_equal(conn_match(c, &us, &v4), 0);
	c->names[0].addr[NAME_V4] = c->remote[0].lo = c->remote[0].hi = v4;
	assert_int_equal(conn_remotes(c), 2);
	assert_true(conn_remote(c, 0, &to) && ip_addr_equal(&to.addr, &v4));
	assert_true(conn_remote(c, 1, &to) && ip_addr_equal(&to.addr, &v6));
	assert_true(conn_remote(c, 2, &to) && ip_addr_equal(&to.addr, &v4));
	assert_int_equal(conn_match(c, &us, &v4) / 256, 33);
	assert_int_equal(conn_match(c, &us, &v6) / 256, 129);
	assert_int_equal(conn_match(c, &us, &other), 0);
	conn_put(c);
}

static void test_any_has_no_address_to_dial(void **state)
{
	struct conn *c = make(NULL, "198.51.100.0/24");
	struct ip_endpoint e;

	(void)state;
	assert_false(conn_remote(c, 0, &e));
	assert_false(conn_local(c, IP_NONE, &e));
	conn_put(c);
}

static void test_our_address_is_of_the_peers_family(void **state)
{
	struct config_conn config = {.name = "c", .n_local = 2};
	struct ip_endpoint e;
	struct conn *c;

	(void)state;
	config.local[0] = at("2001:db8::1");
	config.local[1] = at("192.0.2.1");
	assert_int_equal(conn_create(&config, &c), 0);
	assert_true(conn_local(c, IP_V4, &e));
	assert_int_equal(e.addr.family, IP_V4);
	assert_true(conn_local(c, IP_V6, &e));
	assert_int_equal(e.addr.family, IP_V6);
	assert_true(conn_local(c, IP_NONE, &e));
	assert_int_equal(e.addr.family, IP_V6); // the first
	conn_put(c);
}

static void test_transport_mode_is_negotiated_as_such(void **state)
{
	struct config_child children[2] = {
		{.name = "gre", .mode = MODE_TRANSPORT},
		{.name = "net", .mode = MODE_TUNNEL},
	};
	struct config_conn config = {.name = "lab", .children = children, .n_children = 2};
	struct conn *c;

	(void)state;
	assert_int_equal(conn_create(&config, &c), 0);
	assert_int_equal(c->ike.n_children, 2);
	assert_true(c->ike.children[0]->transport);
	assert_false(c->ike.children[1]->transport);
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
	config.mobike = true;
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
	assert_true(c->ike.mobike);
	assert_int_equal(c->ike.dpd_delay_ms, 30000);
	assert_int_equal(c->ike.rekey_time_ms, 7200000);
	assert_int_equal(c->ike.rand_time_ms, 60000);
	assert_int_equal(c->reauth_rand_ms, 90000);
	assert_int_equal(c->ike.fragmentation, IKE_FRAG_ACCEPT);
	assert_int_equal(c->ike.fragment_size, 700);
	assert_int_equal(c->local_port, 500);
	assert_int_equal(c->remote_port, 500);
	assert_string_equal(c->ike.children[0]->name, "net");
	assert_int_equal(c->ike.children[0]->replay_window, 64);
	assert_ptr_equal(c->ike.children[0]->user, c->children[0]);
	assert_ptr_equal(c->ike.user, c);
	assert_int_equal(c->children[0]->start_action, START_START);
	assert_ptr_equal(conn_child_find(c, "net"), c->children[0]);
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

static void add_names(char *names, size_t size, const struct ike_conn *const *conns)
{
	names[0] = '\0';
	for (size_t i = 0; conns[i]; i++)
		snprintf(names + strlen(names), size - strlen(names), "%s ", conns[i]->name);
}

static void test_index_finds_by_name(void **state)
{
	static const struct {
		const char *remote, *id;
	} rows[] = {
		{NULL, "gw-b.example"},			// 0
		{NULL, "*.example"},			// 1
		{"198.51.100.1", "GW-B.example"},	// 2
		{"198.51.100.2", "gw-b.example"},	// 3
		{NULL, "gw-c.example"},			// 4
		{NULL, "C=CH, O=lab, CN=gw-b.example"}, // 5
		{"198.51.100.1", NULL},			// 6: whoever it is
		{NULL, "gw-b.example"},			// 7
		{"198.51.100.1", "C=CH, O=lab, CN=*"},	// 8
	};
	static const struct {
		const char *id, *want;
	} asked[] = {
		{"gw-b.example", "2 6 8 0 1 5 7 "},
		{"gw-c.example", "6 8 1 4 5 "},
		{"192.0.2.7", "6 8 1 5 "},
		{"C=CH, O=lab, CN=gw-b.example", "6 8 1 5 "},
	};
	struct ip_addr a, b;
	struct conn *conns[9];
	struct conn_index *x;
	char names[256];

	(void)state;
	assert_int_equal(ip_addr_parse("192.0.2.1", &a), 0);
	assert_int_equal(ip_addr_parse("198.51.100.1", &b), 0);
	for (unsigned i = 0; i < 9; i++) {
		conns[i] = make(NULL, rows[i].remote);
		snprintf(conns[i]->ike.name, sizeof(conns[i]->ike.name), "%u", i);
		if (rows[i].id)
			assert_int_equal(identity_parse(rows[i].id, &conns[i]->ike.remote_id), 0);
	}
	assert_int_equal(conn_index_create(conns, 9, &x), 0);
	for (size_t k = 0; k < sizeof(asked) / sizeof(asked[0]); k++) {
		struct identity id;

		assert_int_equal(identity_parse(asked[k].id, &id), 0);
		add_names(names, sizeof(names), conn_index_named(x, &a, &b, &id));
		assert_string_equal(names, asked[k].want);
	}
	conn_index_destroy(x);
	for (unsigned i = 0; i < 9; i++)
		conn_put(conns[i]);
}

// Enough of those that expect signatures to name each CA that one of them accepts.
static void test_index_signing(void **state)
{
	static const struct {
		enum auth_kind auth;
		bool own_cas, certreq;
	} rows[] = {
		{AUTH_BY_PSK, false, true},	   // 0
		{AUTH_BY_SIGNATURE, false, false}, // 1
		{AUTH_BY_SIGNATURE, false, true},  // 2
		{AUTH_BY_SIGNATURE, true, true},   // 3
		{AUTH_BY_SIGNATURE, false, true},  // 4: as 2
		{AUTH_BY_SIGNATURE, true, true},   // 5: other CAs than 3, perhaps
		{AUTH_BY_SIGNATURE, false, false}, // 6: as 1
		{AUTH_BY_PSK, true, true},	   // 7
	};
	struct ip_addr a, b;
	struct conn *conns[8];
	struct conn_index *x;
	char names[256];

	(void)state;
	assert_int_equal(ip_addr_parse("192.0.2.1", &a), 0);
	assert_int_equal(ip_addr_parse("198.51.100.1", &b), 0);
	for (unsigned i = 0; i < 8; i++) {
		conns[i] = make(NULL, NULL);
		snprintf(conns[i]->ike.name, sizeof(conns[i]->ike.name), "%u", i);
		conns[i]->ike.remote_auth = rows[i].auth;
		conns[i]->ike.send_certreq = rows[i].certreq;
		conns[i]->own_cas = rows[i].own_cas;
	}
	assert_int_equal(conn_index_create(conns, 8, &x), 0);
	for (unsigned again = 0; again < 2; again++) {
		add_names(names, sizeof(names), conn_index_signing(x, &a, &b));
		assert_string_equal(names, "1 2 3 5 ");
	}
	conn_index_destroy(x);
	for (unsigned i = 0; i < 8; i++)
		conn_put(conns[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_index_finds_the_best_first),
		cmocka_unit_test(test_index_finds_by_name),
		cmocka_unit_test(test_index_signing),
		cmocka_unit_test(test_the_narrower_remote_wins),
		cmocka_unit_test(test_remote_addresses_in_turn),
		cmocka_unit_test(test_a_name_of_both_families),
		cmocka_unit_test(test_any_has_no_address_to_dial),
		cmocka_unit_test(test_our_address_is_of_the_peers_family),
		cmocka_unit_test(test_transport_mode_is_negotiated_as_such),
		cmocka_unit_test(test_only_tunnels_are_negotiated),
		cmocka_unit_test(test_references_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
