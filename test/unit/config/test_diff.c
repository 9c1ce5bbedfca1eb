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

static void test_connections(void **state)
{
	static const struct {
		enum place place;
		const char *line;
		bool equal;
	} rows[] = {
		{TOP, "", true},
		{CONN, "\n\n# other lines", true},
		{PSK, "secret = another", true},
		{CONN, "dpd_delay = 30", true}, // the default, said
		{CONN, "dpd_delay = 31", false},
		{CONN, "version = 2", false},
		{CONN, "encap = yes", false},
		{CONN, "mobike = yes", true},
		{CONN, "mobike = no", false},
		{CONN, "fragmentation = force", true},
		{CONN, "fragmentation = accept", false},
		{CONN, "fragmentation = no", false},
		{CONN, "fragment_size = 1279", false},
		{CONN, "remote_port = 4500", false},
		{CONN, "rekey_time = 1h", false},
		{CONN, "reauth_time = 1h", false},
		{CONN, "over_time = 1h", false},
		{CONN, "rand_time = 1m", false},
		{CONN, "rekey_time = 0\nrand_time = 1m", false},
		{CONN, "keyingtries = 0", false},
		{CONN, "local_addrs = 192.0.2.1", false},
		{CONN, "proposals = aes128gcm16-prfsha256-x25519", false},
		{LOCAL, "id = other", false},
		{REMOTE, "id = other", false},
		{CHILD, "local_ts = 10.1.0.0/24", false},
		{CHILD, "remote_ts = 10.2.0.0/25", false},
		{CHILD, "remote_ts = 10.2.0.0/24[tcp]", false},
		{CHILD, "remote_ts = 10.2.0.0/24, dynamic", false},
		{CHILD, "esp_proposals = aes256gcm16", false},
		{CHILD, "start_action = start", false},
		{CHILD, "start_action = trap", false},
		{CHILD, "dpd_action = start", false},
		{CHILD, "dpd_action = trap", false},
		{CHILD, "close_action = start", false},
		{CHILD, "rekey_time = 2h", false},
		{CHILD, "life_time = 2h", false},
		{CHILD, "rand_time = 1m", false},
		{CHILD, "rekey_bytes = 1g", false},
		{CHILD, "life_packets = 1000", false},
		{CHILD, "replay_window = 64", false},
		{CHILD, "priority = 5", false},
		{CHILD, "} m { remote_ts = 10.9.0.0/24", false},
	};
	struct config *base = load(TOP, "");

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config *c = load(rows[i].place, rows[i].line);

		if (config_conn_equal(&base->conns[0], &c->conns[0]) != rows[i].equal ||
		    config_conn_equal(&c->conns[0], &base->conns[0]) != rows[i].equal)
			fail_msg("%s: not %s", rows[i].line, rows[i].equal ? "equal" : "different");
		config_destroy(c);
	}
	config_destroy(base);
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
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_key_lengths),
		cmocka_unit_test(test_gateway),
		cmocka_unit_test(test_order_of_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
