// What a reload changes.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "config/diff.h"
#include "config_text.h"

static struct config *load(enum place place, const char *line)
{
	char *text = config_text(place, line);
	struct config *c = NULL;
	struct error err = {""};

	if (config_load_text("f", text, strlen(text), &c, &err) != 0)
		fail_msg("%s", err.text);
	free(text);
	return c;
}

#define VTI(name, id) "gateway { interfaces { " name " { if_id = " id " } } }\n"
#define BEHIND(id)    "connections { a { children { n { if_id_in = " id "\nif_id_out = " id " } } } }"

// A child stays with its interface under another number, and does not on another interface.
static void test_interface_of_a_child(void **state)
{
	struct config *base = load(TOP, VTI("vti0", "5") BEHIND("5"));
	struct config *number = load(TOP, VTI("vti0", "6") BEHIND("6"));
	struct config *name = load(TOP, VTI("vti1", "5") BEHIND("5"));
	char what[64] = "";

	(void)state;
	assert_true(config_conn_equal(&base->conns[0], &number->conns[0]));
	assert_false(config_conn_equal(&base->conns[0], &name->conns[0]));
	// Interfaces come and go without a restart.
	assert_false(config_gateway_differs(&base->gateway, &name->gateway, what, sizeof(what)));
	config_destroy(base);
	config_destroy(number);
	config_destroy(name);
}

static void test_connections(void **state)
{
	static const struct {
		enum place place;
		const char *line;
		bool equal, fits; // fits: the IKE SA goes on
	} rows[] = {
		{TOP, "", true, true},
		{CONN, "\n\n# other lines", true, true},
		{PSK, "secret = another", true, true},
		{CONN, "dpd_delay = 30", true, true}, // the default, said
		{CONN, "dpd_delay = 31", false, true},
		{CONN, "version = 2", false, false},
		{CONN, "encap = yes", false, false},
		{CONN, "on_500_blocked = report", true, true},
		{CONN, "on_500_blocked = try_4500", false, true},
		{CONN, "on_500_blocked = 4501", false, true},
		{CONN, "mobike = yes", true, true},
		{CONN, "mobike = no", false, false},
		{CONN, "fragmentation = force", true, true},
		{CONN, "fragmentation = accept", false, true},
		{CONN, "fragmentation = no", false, true},
		{CONN, "fragment_size = 1279", false, true},
		{CONN, "remote_port = 4500", false, false},
		{CONN, "rekey_time = 1h", false, true},
		{CONN, "reauth_time = 1h", false, true},
		{CONN, "over_time = 1h", false, true},
		{CONN, "rand_time = 1m", false, true},
		{CONN, "rekey_time = 0\nrand_time = 1m", false, true},
		{CONN, "keyingtries = 0", false, true},
		{CONN, "unique = replace", false, true},
		{CONN, "local_addrs = 192.0.2.1", false, false},
		{CONN, "proposals = aes128gcm16-prfsha256-x25519", false, false},
		{LOCAL, "id = other", false, false},
		{REMOTE, "id = other", false, false},
		{CHILD, "local_ts = 10.1.0.0/24", false, true},
		{CHILD, "remote_ts = 10.2.0.0/25", false, true},
		{CHILD, "remote_ts = 10.2.0.0/24[tcp]", false, true},
		{CHILD, "remote_ts = 10.2.0.0/24, dynamic", false, true},
		{CHILD, "esp_proposals = aes256gcm16", false, true},
		{CHILD, "interface = wan", false, true},
		{CHILD, "start_action = start", false, true},
		{CHILD, "start_action = trap", false, true},
		{CHILD, "dpd_action = start", false, true},
		{CHILD, "dpd_action = trap", false, true},
		{CHILD, "close_action = start", false, true},
		{CHILD, "rekey_time = 2h", false, true},
		{CHILD, "life_time = 2h", false, true},
		{CHILD, "rand_time = 1m", false, true},
		{CHILD, "inactivity = 1m", false, true},
		{CHILD, "rekey_bytes = 1g", false, true},
		{CHILD, "life_packets = 1000", false, true},
		{CHILD, "replay_window = 64", false, true},
		{CHILD, "copy_dscp = out\ncopy_ecn = yes\ncopy_df = yes\ntfc_padding = 0", true,
		 true},
		{CHILD, "outer_dscp = 001000", true, true}, // without effect
		{CHILD, "copy_ecn = no", false, true},
		{CHILD, "priority = 5", false, true},
		{TOP, VTI("vti0", "5"), true, true}, // of nobody
		{TOP, VTI("vti0", "5") "connections { a { if_id_in = 5\nif_id_out = 5 } }", false,
		 true},
		{CHILD, "} m { remote_ts = 10.9.0.0/24", false, true},
	};
	struct config *base = load(TOP, "");

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config *c = load(rows[i].place, rows[i].line);

		if (config_conn_equal(&base->conns[0], &c->conns[0]) != rows[i].equal ||
		    config_conn_equal(&c->conns[0], &base->conns[0]) != rows[i].equal)
			fail_msg("%s: not %s", rows[i].line, rows[i].equal ? "equal" : "different");
		if (config_conn_fits(&base->conns[0], &c->conns[0]) != rows[i].fits ||
		    config_conn_fits(&c->conns[0], &base->conns[0]) != rows[i].fits)
			fail_msg("%s: the IKE SA does not %s", rows[i].line,
				 rows[i].fits ? "go on" : "end");
		config_destroy(c);
	}
	config_destroy(base);
}

// Which changes of a child need other SAs.
static void test_children(void **state)
{
	static const struct {
		const char *line;
		bool fits;
	} rows[] = {
		{"", true},
		{"local_ts = 10.1.0.0/24", false},
		{"remote_ts = 10.2.0.0/25", false},
		{"remote_ts = 10.2.0.0/24[tcp]", false},
		{"remote_ts = 10.2.0.0/24, dynamic", false},
		{"local_ts = dynamic, 10.1.0.0/24", false},
		{"esp_proposals = aes256gcm16", false},
		{"mode = drop\nlocal_ts = 0.0.0.0/0", false},
		{"start_action = start", true},
		{"dpd_action = start", true},
		{"close_action = start", true},
		{"rekey_time = 2h\nlife_time = 66m", true},
		{"rekey_time = 2h", false}, // and so another life_time
		{"life_time = 2h", false},
		{"rand_time = 1m", true},
		{"inactivity = 1m", true},
		{"rekey_bytes = 1g", false}, // without a limit before, it would never come
		{"life_packets = 1000", false},
		{"replay_window = 64", false},
		{"copy_dscp = yes", false},
		{"copy_dscp = no\nouter_dscp = ef", false},
		{"copy_ecn = no", false},
		{"copy_df = no", false},
		{"copy_df = no\nouter_df = set", false},
		{"outer_ttl = 65", false},
		{"outer_flow_label = flow", false},
		{"tfc_padding = 1", false},
		{"dummy_packets = 1", false},
		{"priority = 5", true},
	};
	struct config *base = load(TOP, "");

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config *c = load(CHILD, rows[i].line);
		const struct config_child *a = &base->conns[0].children[0],
					  *b = &c->conns[0].children[0];

		if (config_child_fits(a, b) != rows[i].fits ||
		    config_child_fits(b, a) != rows[i].fits)
			fail_msg("%s: its SAs do not %s", rows[i].line,
				 rows[i].fits ? "go on" : "end");
		assert_int_equal(config_child_equal(a, b), rows[i].line[0] == '\0');
		config_destroy(c);
	}
	config_destroy(base);
}

// Limits that there are may be moved.
static void test_limits(void **state)
{
	struct config *a = load(CHILD, "rekey_bytes = 1g\nlife_bytes = 3g");
	struct config *b = load(CHILD, "rekey_bytes = 2g\nlife_bytes = 3g");
	struct config *c = load(CHILD, "rekey_bytes = 2g\nlife_bytes = 4g");

	(void)state;
	assert_true(config_child_fits(&a->conns[0].children[0], &b->conns[0].children[0]));
	assert_false(config_child_equal(&a->conns[0].children[0], &b->conns[0].children[0]));
	assert_false(config_child_fits(&b->conns[0].children[0], &c->conns[0].children[0]));
	config_destroy(a);
	config_destroy(b);
	config_destroy(c);
}

// One key length against another: all else is equal.
static void test_key_lengths(void **state)
{
	struct config *a = load(CHILD, "esp_proposals = aes128gcm16");
	struct config *b = load(CHILD, "esp_proposals = aes256gcm16");

	(void)state;
	assert_false(config_conn_equal(&a->conns[0], &b->conns[0]));
	config_destroy(a);
	config_destroy(b);
}

static void test_gateway(void **state)
{
	static const struct {
		enum place place;
		const char *line, *what;
	} rows[] = {
		{TOP, "", NULL},
		{PORT, "addrs = 192.0.2.1/24", NULL}, // changes without a restart
		{PORT, "mtu = 1400", "gateway.ports.wan.mtu"},
		{PORT, "vlan = 7", "gateway.ports.wan.vlan"},
		{PORT, "device = net_null1", "gateway.ports.wan.device"},
		{PORTS, "lan { device = net_null1 }", "gateway.ports.lan"},
		{GATEWAY, "workers = 2", "gateway.workers"},
		{GATEWAY, "cpus = 1", "gateway.cpus"},
		{GATEWAY, "poll = busy", "gateway.poll"},
		{GATEWAY, "hugepages = off", "gateway.hugepages"},
		{GATEWAY, "memory = 100", "gateway.memory"},
		{GATEWAY, "socket = /x", "gateway.socket"},
		{GATEWAY, "eal_args = -v", "gateway.eal_args"},
	};
	struct config *base = load(TOP, "");

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config *c = load(rows[i].place, rows[i].line);
		char what[64] = "";

		assert_int_equal(
			config_gateway_differs(&base->gateway, &c->gateway, what, sizeof(what)),
			rows[i].what != NULL);
		assert_string_equal(what, rows[i].what != NULL ? rows[i].what : "");
		config_destroy(c);
	}
	config_destroy(base);
}

static void test_order_of_ports(void **state)
{
	struct config *a = load(PORTS, "lan { device = net_null1 }");
	struct config *b = load(PORT, "} lan { device = net_null1");
	char what[64] = "";

	(void)state;
	assert_true(config_gateway_differs(&a->gateway, &b->gateway, what, sizeof(what)));
	assert_string_equal(what, "gateway.ports (their order)");
	config_destroy(a);
	config_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connections),    cmocka_unit_test(test_children),
		cmocka_unit_test(test_limits),	       cmocka_unit_test(test_interface_of_a_child),
		cmocka_unit_test(test_key_lengths),    cmocka_unit_test(test_gateway),
		cmocka_unit_test(test_order_of_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
