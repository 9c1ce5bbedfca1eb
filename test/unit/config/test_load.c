// Values arrive in struct config, and what is not said has its default.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "config_text.h"
#include "lib/limits.h"

#define HOUR_MS UINT64_C(3600000)

static struct config *load(const char *text)
{
	struct config *c = NULL;
	struct error err = {""};

	if (config_load_text("f", text, strlen(text), &c, &err) != 0)
		fail_msg("%s", err.text);
	return c;
}

static struct config *load_with(enum place place, const char *line)
{
	char *text = config_text(place, line);
	struct config *c = load(text);

	free(text);
	return c;
}

static void test_defaults(void **state)
{
	struct config *c = load_with(TOP, "");
	const struct config_conn *conn = config_conn_find(c, "a");
	const struct config_child *child = &conn->children[0];
	struct proposal_list ike = {0}, esp = {0};

	(void)state;
	proposal_defaults(PROTO_IKE, &ike);
	proposal_defaults(PROTO_ESP, &esp);
	assert_int_equal(c->n_warnings, 0);
	assert_string_equal(c->gateway.socket, "/run/port500.vici");
	assert_string_equal(c->gateway.eal_args, "");
	assert_int_equal(c->gateway.workers, 1);
	assert_int_equal(c->gateway.n_cpus, 0);
	assert_int_equal(c->gateway.poll, POLL_ADAPTIVE);
	assert_int_equal(c->gateway.hugepages, HUGEPAGES_AUTO);
	assert_int_equal(c->gateway.memory_mb, 512);
	assert_int_equal(c->gateway.ike.half_open, LIMIT_IKE_HALF_OPEN);
	assert_int_equal(c->gateway.ike.half_open_per_source, LIMIT_IKE_HALF_OPEN_PER_SOURCE);
	assert_int_equal(c->gateway.ike.half_open_timeout_ms, LIMIT_IKE_HALF_OPEN_MS);
	assert_false(c->gateway.ike.inactivity_close_ike);
	assert_int_equal(c->gateway.ike.cookie_threshold, LIMIT_IKE_COOKIE_THRESHOLD);
	assert_int_equal(c->gateway.ike.cookie_threshold_per_source,
			 LIMIT_IKE_COOKIE_THRESHOLD_PER_SOURCE);
	assert_int_equal(c->gateway.ike.retransmit_timeout_ms, 4000);
	assert_true(c->gateway.ike.retransmit_base > 1.79 && c->gateway.ike.retransmit_base < 1.81);
	assert_int_equal(c->gateway.ike.retransmit_tries, 5);
	assert_int_equal(c->gateway.ike.keep_alive_ms, 20000);
	assert_int_equal(c->gateway.n_ports, 1);
	assert_int_equal(c->gateway.ports[0].mtu, 1500);
	assert_int_equal(c->gateway.ports[0].n_addrs, 0);
	assert_int_equal(conn->version, 0);
	assert_int_equal(conn->n_local, 0);
	assert_int_equal(conn->local_port, 500);
	assert_int_equal(conn->remote_port, 500);
	assert_false(conn->encap);
	assert_int_equal(conn->fallback_port, 0);
	assert_true(conn->mobike);
	assert_int_equal(conn->fragmentation, FRAGMENT_YES);
	assert_int_equal(conn->fragment_size, 1280);
	assert_int_equal(conn->dpd_delay_ms, 30000);
	assert_int_equal(conn->rekey_time_ms, 4 * HOUR_MS);
	assert_int_equal(conn->reauth_time_ms, 0);
	assert_int_equal(conn->over_time_ms, 4 * HOUR_MS / 10);
	assert_int_equal(conn->rekey_rand_ms, 4 * HOUR_MS / 10);
	assert_int_equal(conn->reauth_rand_ms, 0);
	assert_int_equal(conn->keyingtries, 1);
	assert_int_equal(conn->ike.n, ike.n);
	assert_int_equal(conn->ike.p[0].n, ike.p[0].n);
	assert_int_equal(child->mode, MODE_TUNNEL);
	assert_int_equal(child->esp.n, esp.n);
	assert_int_equal(child->start_action, START_NONE);
	assert_int_equal(child->dpd_action, DEAD_CLEAR);
	assert_int_equal(child->close_action, DEAD_CLEAR);
	assert_int_equal(child->rekey_time_ms, HOUR_MS);
	assert_int_equal(child->life_time_ms, HOUR_MS + HOUR_MS / 10);
	assert_int_equal(child->replay_window, 1024);
	assert_int_equal(child->outer.copy_dscp, OUTER_DSCP_OUT);
	assert_int_equal(child->outer.dscp, 0);
	assert_int_equal(child->outer.ecn, OUTER_ECN_COPY);
	assert_int_equal(child->outer.df, OUTER_DF_COPY);
	assert_int_equal(child->outer.label, OUTER_LABEL_NONE);
	assert_int_equal(child->outer.ttl, 64);
	assert_int_equal(child->tfc_padding, 0);
	assert_int_equal(child->dummies, 0);
	assert_int_equal(child->priority, 0);
	assert_int_equal(child->local_ts.n, 0);
	assert_int_equal(child->local_dynamic.n, 1);
	assert_int_equal(child->remote_ts.n, 1);
	assert_int_equal(child->remote_dynamic.n, 0);
	assert_string_equal(child->where.file, "f");
	assert_int_equal(child->where.line, 22);
	config_destroy(c);
}

static const char full[] =
	"gateway {\n"
	"  socket = unix:///run/x.vici\n"
	"  cpus = 4, 6-7\n"
	"  poll = busy\n  hugepages = off\n  memory = 0x400\n  eal_args = \"--log-level 8\"\n"
	"  ports {\n"
	"    lan { device = \"0000:01:00.0,a=b\"\n mtu = 9000\n addrs = 10.1.0.1/24 , "
	"10.2.0.1/16\n}\n"
	"    wan { device = \"0000:01:00.0,a=b\"\n vlan = 4094 }\n"
	"  }\n"
	"}\n"
	"connections { c {\n"
	"  version = 2\n  local_addrs = 192.0.2.1\n  remote_addrs = 198.51.100.1, 203.0.113.0/24, "
	"%any\n"
	"  remote_port = 4500\n  encap = yes\n  mobike = no\n  dpd_delay = 0\n  reauth_time = 1d\n "
	" keyingtries = "
	"0\n"
	"  proposals = aes256gcm16-prfsha384-ecp384, aes128-sha256-modp2048\n"
	"  local-x { auth = psk\n id = gw@a.example }\n"
	"  remote-x { id = 198.51.100.1 }\n"
	"  children {\n"
	"    one { local_ts = 10.1.0.0/24, 10.2.0.0/16[tcp/80]\n remote_ts = dynamic, 10.9.0.0/24\n"
	"      esp_proposals = aes256gcm16\n start_action = start\n dpd_action = restart\n"
	"      close_action = start\n rekey_time = 30m\n life_time = 2h\n replay_window = 64\n"
	"      priority = 7 }\n"
	"    two { mode = drop\n local_ts = 0.0.0.0/0\n remote_ts = 10.3.0.0/24 }\n"
	"    three { remote_ts = 10.4.0.0/24\n rekey_time = 0 }\n"
	"  } } }\n"
	"secrets { ike-1 { id-a = gw@a.example\n id-b = 198.51.100.1\n secret = \"s e\\tc\" } }\n";

static void test_gateway(void **state)
{
	struct config *c = load(full);
	const struct config_gateway *g = &c->gateway;
	const struct config_port *lan = config_port_find(c, "lan");
	char text[IP_PREFIX_TEXT_MAX];

	(void)state;
	assert_string_equal(g->socket, "/run/x.vici");
	assert_string_equal(g->eal_args, "--log-level 8");
	assert_int_equal(g->n_cpus, 3);
	assert_int_equal(g->cpus[0], 4);
	assert_int_equal(g->cpus[1], 6);
	assert_int_equal(g->cpus[2], 7);
	assert_int_equal(g->workers, 3); // as many as CPUs
	assert_int_equal(g->poll, POLL_BUSY);
	assert_int_equal(g->hugepages, HUGEPAGES_OFF);
	assert_int_equal(g->memory_mb, 1024);
	assert_int_equal(g->n_ports, 2);
	assert_string_equal(g->ports[0].name, "lan");
	assert_string_equal(lan->device, "0000:01:00.0,a=b");
	assert_int_equal(lan->mtu, 9000);
	assert_int_equal(lan->vlan, 0);
	assert_int_equal(g->ports[1].vlan, 4094);
	assert_int_equal(lan->n_addrs, 2);
	assert_string_equal(ip_prefix_format(&lan->addrs[0], text, sizeof(text)), "10.1.0.1/24");
	assert_string_equal(ip_prefix_format(&lan->addrs[1], text, sizeof(text)), "10.2.0.1/16");
	assert_null(config_port_find(c, "dmz"));
	config_destroy(c);
}

static void test_connections_are_found_by_name(void **state)
{
	static const char *const names[] = {"m", "b", "z", "a", "bb", "y", "c"};
	char text[4096] = "gateway { ports { wan { device = d\n addrs = 192.0.2.1/24 } } }\n"
			  "connections {\n";
	struct config *c;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 "%s { local_addrs = 192.0.2.1\n remote_addrs = 192.0.2.%zu\n"
			 " local { auth = psk\n id = x }\n remote { auth = psk\n id = %s } }\n",
			 names[i], i + 10, names[i]);
	strcat(text, "}\nsecrets { ike-1 { secret = s } }\n");
	c = load(text);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_ptr_equal(config_conn_find(c, names[i]), &c->conns[i]);
	assert_null(config_conn_find(c, ""));
	assert_null(config_conn_find(c, "ba"));
	assert_null(config_conn_find(c, "zz"));
	config_destroy(c);
}

static void test_connection(void **state)
{
	struct config *c = load(full);
	const struct config_conn *conn = config_conn_find(c, "c");
	char text[IP_PREFIX_TEXT_MAX];

	(void)state;
	assert_null(config_conn_find(c, "d"));
	assert_int_equal(conn->version, 2);
	assert_int_equal(conn->n_local, 1);
	assert_int_equal(conn->n_remote, 3);
	assert_string_equal(endpoint_format(&conn->remote[0], text, sizeof(text)), "198.51.100.1");
	assert_string_equal(endpoint_format(&conn->remote[1], text, sizeof(text)),
			    "203.0.113.0/24");
	assert_int_equal(conn->remote[2].lo.family, IP_NONE);
	assert_int_equal(conn->remote_port, 4500);
	assert_true(conn->encap);
	assert_int_equal(conn->fallback_port, 0);
	assert_false(conn->mobike);
	assert_int_equal(conn->dpd_delay_ms, 0);
	assert_int_equal(conn->reauth_time_ms, 24 * HOUR_MS);
	assert_int_equal(conn->rekey_time_ms, 0); // reauthentication alone was asked for
	assert_int_equal(conn->over_time_ms, 24 * HOUR_MS / 10);
	assert_int_equal(conn->keyingtries, 0);
	assert_int_equal(conn->ike.n, 2);
	assert_int_equal(proposal_first(&conn->ike.p[0], TRANSFORM_KE)->id, KE_ECP_384);
	assert_int_equal(proposal_first(&conn->ike.p[1], TRANSFORM_ENCR)->id, ENCR_AES_CBC);
	assert_int_equal(conn->local_side.id.type, ID_RFC822_ADDR);
	assert_int_equal(conn->remote_side.id.type, ID_IPV4_ADDR);
	config_destroy(c);
}

// Every form of swanctl.conf, in IPv6, beside IPv4 in one child.
static void test_ipv6_selectors(void **state)
{
	static const struct {
		const char *text, *shown;
	} rows[] = {
		{"fd00:1::/48", "fd00:1::/48"},
		{"fd00:1::5", "fd00:1::5/128"},
		{"::/0", "::/0"},
		{"fd00::1-fd00::9", "fd00::1..fd00::9"},
		{"FD00:0001::/33", "fd00:1::/33"},
		{"fd00:1::1/48", "fd00:1::/48"},
		{"fd00:1::/48[tcp/443]", "fd00:1::/48[tcp/https]"},
		{"fd00:1::/48[udp/500-510]", "fd00:1::/48[udp/500-510]"},
		{"fd00::1-fd00::9[tcp]", "fd00::1..fd00::9[tcp]"},
		{"fd00:1::/48[ipv6-icmp]", "fd00:1::/48[ipv6-icmp]"},
		{"fd00:1::/48[icmpv6/128]", "fd00:1::/48[ipv6-icmp/128]"},
		{"fd00:1::/48[58/1(4)]", "fd00:1::/48[ipv6-icmp/1(4)]"},
		{"fd00:1::/48[ipv6-icmp/128-129]", "fd00:1::/48[ipv6-icmp/128-129]"},
	};
	char config[512], text[SELECTOR_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct config_child *child;
		struct config *c;

		snprintf(config, sizeof(config),
			 "gateway { ports { w { device = x\naddrs = 192.0.2.1/24, 2001:db8::1/64 } "
			 "} }\nconnections { a { local { auth = psk }\nchildren { n { local_ts = "
			 "10.1.0.0/16, %s\nremote_ts = 10.2.0.0/16, ::/0 } } } }\n"
			 "secrets { ike { secret = x } }",
			 rows[i].text);
		c = load(config);
		child = &c->conns[0].children[0];
		assert_int_equal(c->n_warnings, 0);
		assert_int_equal(child->local_ts.n, 2);
		assert_string_equal(selector_format(&child->local_ts.s[0], text, sizeof(text)),
				    "10.1.0.0/16");
		assert_string_equal(selector_format(&child->local_ts.s[1], text, sizeof(text)),
				    rows[i].shown);
		assert_int_equal(child->remote_ts.s[1].family, IP_V6);
		assert_int_equal(c->gateway.ports[0].addrs[1].addr.family, IP_V6);
		config_destroy(c);
	}
}

static void test_children(void **state)
{
	struct config *c = load(full);
	const struct config_child *one = &c->conns[0].children[0], *two = one + 1, *three = one + 2;
	char text[SELECTOR_TEXT_MAX];

	(void)state;
	assert_int_equal(c->conns[0].n_children, 3);
	assert_string_equal(one->name, "one");
	assert_int_equal(one->local_ts.n, 2);
	assert_string_equal(selector_format(&one->local_ts.s[1], text, sizeof(text)),
			    "10.2.0.0/16[tcp/http]");
	assert_int_equal(one->remote_ts.n, 1);
	assert_int_equal(one->remote_dynamic.n, 1);
	assert_int_equal(one->local_dynamic.n, 0);
	assert_int_equal(one->esp.n, 1);
	assert_int_equal(proposal_first(&one->esp.p[0], TRANSFORM_ENCR)->key_bits, 256);
	assert_int_equal(one->start_action, START_START);
	assert_int_equal(one->dpd_action, DEAD_START);
	assert_int_equal(one->close_action, DEAD_START);
	assert_int_equal(one->rekey_time_ms, HOUR_MS / 2);
	assert_int_equal(one->life_time_ms, 2 * HOUR_MS);
	assert_int_equal(one->replay_window, 64);
	assert_int_equal(one->priority, 7);
	assert_int_equal(two->mode, MODE_DROP);
	assert_int_equal(three->rekey_time_ms, 0);
	assert_int_equal(three->life_time_ms, 0);
	config_destroy(c);
}

static void test_times(void **state)
{
	static const struct {
		const char *line;
		uint64_t ms;
	} rows[] = {
		{"dpd_delay = 45", 45000},	  {"dpd_delay = 45s", 45000},
		{"dpd_delay = 5m", 300000},	  {"dpd_delay = 1h", HOUR_MS},
		{"dpd_delay = 2d", 48 * HOUR_MS}, {"dpd_delay = 2D", 48 * HOUR_MS},
		{"dpd_delay = \"3 m\"", 180000},  {"dpd_delay = 0x10", 16000},
		{"dpd_delay =", 30000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config *c = load_with(CONN, rows[i].line);

		assert_int_equal(c->conns[0].dpd_delay_ms, rows[i].ms);
		config_destroy(c);
	}
}

// The ends of a range belong to it.
static void test_ends_of_ranges(void **state)
{
	struct config *c = load_with(CONN, "remote_port = 65535");

	(void)state;
	assert_int_equal(c->conns[0].remote_port, 65535);
	config_destroy(c);
	c = load_with(PORT, "mtu = 576");
	assert_int_equal(c->gateway.ports[0].mtu, 576);
	config_destroy(c);
	c = load_with(CHILD, "dummy_packets = 10000");
	assert_int_equal(c->conns[0].children[0].dummies, 10000);
	config_destroy(c);
	c = load_with(CHILD, "replay_window = 0");
	assert_int_equal(c->conns[0].children[0].replay_window, 0);
	config_destroy(c);
}

// Each key of the outer header, and of padding, one row.
static void test_outer_header(void **state)
{
	static const struct {
		const char *line;
		struct outer_rule rule;
		uint16_t tfc_padding;
	} rows[] = {
		{"copy_dscp = no", {.copy_dscp = OUTER_DSCP_NO, .ttl = 64}, 0},
		{"copy_dscp = in", {.copy_dscp = OUTER_DSCP_IN, .ttl = 64}, 0},
		{"copy_dscp = out", {.copy_dscp = OUTER_DSCP_OUT, .ttl = 64}, 0},
		{"copy_dscp = yes", {.copy_dscp = OUTER_DSCP_BOTH, .ttl = 64}, 0},
		{"copy_dscp = no\nouter_dscp = 101110",
		 {.copy_dscp = OUTER_DSCP_NO, .dscp = 46, .ttl = 64},
		 0},
		{"copy_dscp = no\nouter_dscp = ef",
		 {.copy_dscp = OUTER_DSCP_NO, .dscp = 46, .ttl = 64},
		 0},
		{"copy_dscp = no\nouter_dscp = cs6",
		 {.copy_dscp = OUTER_DSCP_NO, .dscp = 48, .ttl = 64},
		 0},
		{"copy_dscp = no\nouter_dscp = af43",
		 {.copy_dscp = OUTER_DSCP_NO, .dscp = 38, .ttl = 64},
		 0},
		{"copy_dscp = no\nouter_dscp = 000001",
		 {.copy_dscp = OUTER_DSCP_NO, .dscp = 1, .ttl = 64},
		 0},
		{"copy_ecn = no", {.ecn = OUTER_ECN_COMPAT, .ttl = 64}, 0},
		{"copy_df = no", {.df = OUTER_DF_CLEAR, .ttl = 64}, 0},
		{"copy_df = no\nouter_df = clear", {.df = OUTER_DF_CLEAR, .ttl = 64}, 0},
		{"copy_df = no\nouter_df = set", {.df = OUTER_DF_SET, .ttl = 64}, 0},
		{"outer_ttl = 1", {.ttl = 1}, 0},
		{"outer_ttl = 255", {.ttl = 255}, 0},
		{"outer_flow_label = tunnel", {.label = OUTER_LABEL_TUNNEL, .ttl = 64}, 0},
		{"outer_flow_label = flow", {.label = OUTER_LABEL_FLOW, .ttl = 64}, 0},
		{"tfc_padding = 1", {.ttl = 64}, 1},
		{"tfc_padding = 65534", {.ttl = 64}, 65534},
		{"tfc_padding = mtu", {.ttl = 64}, ESP_TFC_MTU},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config *c = load_with(CHILD, rows[i].line);
		const struct config_child *child = &c->conns[0].children[0];

		if (!outer_rule_equal(&child->outer, &rows[i].rule) ||
		    child->tfc_padding != rows[i].tfc_padding)
			fail_msg("%s", rows[i].line);
		assert_int_equal(c->n_warnings, 0);
		config_destroy(c);
	}
}

static void test_rekeying_and_reauthentication(void **state)
{
	struct config *c = load_with(CONN, "rekey_time = 2h\nreauth_time = 3h");

	(void)state;
	assert_int_equal(c->conns[0].rekey_time_ms, 2 * HOUR_MS);
	assert_int_equal(c->conns[0].reauth_time_ms, 3 * HOUR_MS);
	assert_int_equal(c->conns[0].over_time_ms, 3 * HOUR_MS / 10);
	config_destroy(c);
}

static void test_random_part_of_the_times(void **state)
{
	static const struct {
		const char *line;
		uint64_t rekey_ms, reauth_ms;
	} rows[] = {
		{"rekey_time = 2h\nreauth_time = 3h", 2 * HOUR_MS / 10, 3 * HOUR_MS / 10},
		{"rekey_time = 2h\nreauth_time = 3h\nrand_time = 5m", 300000, 300000},
		{"rekey_time = 2h\nreauth_time = 3h\nrand_time = 0", 0, 0},
		{"rekey_time = 2h\nreauth_time = 3h\nrand_time = 2h", HOUR_MS, 2 * HOUR_MS},
		{"reauth_time = 3h\nrand_time = 5m", 0, 300000},
		{"rekey_time = 0\nrand_time = 5m", 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config *c = load_with(CONN, rows[i].line);

		assert_int_equal(c->conns[0].rekey_rand_ms, rows[i].rekey_ms);
		assert_int_equal(c->conns[0].reauth_rand_ms, rows[i].reauth_ms);
		config_destroy(c);
	}
}

static void test_bools(void **state)
{
	static const struct {
		const char *line;
		bool value;
	} rows[] = {
		{"encap = yes", true}, {"encap = true", true},	    {"encap = enabled", true},
		{"encap = 1", true},   {"encap = no", false},	    {"encap = false", false},
		{"encap = 0", false},  {"encap = disabled", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config *c = load_with(CONN, rows[i].line);

		assert_int_equal(c->conns[0].encap, rows[i].value);
		config_destroy(c);
	}
}

// What stands in a template comes to the connection; what the connection says wins.
static void test_references(void **state)
{
	struct config *c = load("t { dpd_delay = 7s\n remote_port = 4500\n local { auth = psk } }\n"
				"gateway { ports { w { device = x } } }\n"
				"connections { a : t { dpd_delay = 9s\n remote_addrs = 192.0.2.1\n"
				"children { n { remote_ts = 10.0.0.0/8 } } }\n"
				"b : connections.a { remote_addrs = 192.0.2.2 } }\n"
				"secrets { ike { secret = x } }");
	const struct config_conn *b = config_conn_find(c, "b");

	(void)state;
	assert_int_equal(c->n_warnings, 0);
	assert_int_equal(c->n_conns, 2);
	assert_int_equal(b->dpd_delay_ms, 9000);
	assert_int_equal(b->remote_port, 4500);
	assert_int_equal(ip_addr_to_v4(&b->remote[0].lo), 0xc0000202);
	assert_int_equal(b->n_children, 1);
	config_destroy(c);
}

// 10,000 connections: the loader must not be quadratic.
static void test_responders(void **state)
{
	struct config *c =
		load_with(TOP, "authorities { x { cacert = a.pem\n"
			       "ocsp_uris = http://a.example/, http://b.example:8080/o }\n"
			       "y { file = b.pem\nocsp_uris = http://c.example } }");

	(void)state;
	assert_int_equal(c->n_responders, 3);
	assert_string_equal(c->responders[0].url, "http://a.example/");
	assert_string_equal(c->responders[0].ca.name, "a.pem");
	assert_string_equal(c->responders[1].url, "http://b.example:8080/o");
	assert_string_equal(c->responders[1].ca.name, "a.pem");
	assert_string_equal(c->responders[2].url, "http://c.example");
	assert_string_equal(c->responders[2].ca.name, "b.pem");
	config_destroy(c);
}

static void test_many_connections(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	struct config *c;

	(void)state;
	fprintf(f,
		"t { local { auth = psk\n id = hub } }\ngateway { ports { w { device = x } } }\n");
	for (int i = 0; i < 10000; i++)
		fprintf(f,
			"connections { c%d : t { remote_addrs = 10.0.%d.%d\n remote { id = p%d }\n"
			"children { n { remote_ts = 10.%d.%d.0/24 } } } }\n"
			"secrets { ike%d { id = p%d\n secret = s%d } }\n",
			i, i / 256, i % 256, i, i / 256, i % 256, i, i, i);
	fclose(f);
	c = load(text);
	assert_int_equal(c->n_conns, 10000);
	assert_int_equal(c->n_psks, 10000);
	assert_string_equal(c->conns[9999].name, "c9999");
	assert_int_equal(c->conns[9999].local_side.id.len, 3);
	config_destroy(c);
	free(text);
}

static void test_policies_of_one_port(void **state)
{
	struct config *c = load_with(
		TOP, "connections { a { children { n { interface = wan }\n"
		     "rule { mode = pass\ninterface = wan\nlocal_ts = 0.0.0.0/0\n"
		     "remote_ts = 10.3.0.0/16 }\n"
		     "all { mode = drop\nlocal_ts = 0.0.0.0/0\nremote_ts = 10.4.0.0/16 } } } }");
	const struct config_child *child = c->conns[0].children;

	(void)state;
	assert_string_equal(child[0].port, "wan");
	assert_string_equal(child[1].port, "wan");
	assert_string_equal(child[2].port, "");
	assert_int_equal(c->n_warnings, 0);
	config_destroy(c);
}

static void test_interfaces(void **state)
{
	struct config *c = load_with(
		TOP, "gateway { interfaces { hub { if_id = 0x10\nmtu = 1380\naddrs = 10.9.0.1/30, "
		     "10.9.1.1/32 }\n"
		     "vti1 { if_id = 1 } } }\n"
		     "connections { a { if_id_in = 16\nif_id_out = 16\n"
		     "children { own { remote_ts = 0.0.0.0/0\nif_id_in = 1\nif_id_out = 1 }\n"
		     "rule { mode = drop\nlocal_ts = 0.0.0.0/0\nremote_ts = 10.3.0.0/16 } } } }");
	const struct config_iface *hub = config_iface_find(&c->gateway, "hub");
	const struct config_child *child = c->conns[0].children;

	(void)state;
	assert_int_equal(c->gateway.n_ifaces, 2);
	assert_int_equal(hub->if_id, 16);
	assert_int_equal(hub->mtu, 1380);
	assert_int_equal(hub->n_addrs, 2);
	assert_int_equal(hub->addrs[0].len, 30);
	assert_int_equal(config_iface_find(&c->gateway, "vti1")->mtu, 0); // auto
	assert_null(config_iface_find(&c->gateway, "wan"));
	assert_string_equal(child[0].iface, "hub"); // its connection's
	assert_int_equal(child[0].if_id, 16);
	assert_string_equal(child[1].iface, "vti1");
	assert_string_equal(child[2].iface, ""); // a rule is behind none
	assert_int_equal(c->n_warnings, 0);
	config_destroy(c);
}

static void test_limits(void **state)
{
	struct config *c = NULL;
	struct error err = {""};
	size_t len = (size_t)64 * 1024 * 1024 + 1;
	char *text = malloc(len);

	(void)state;
	assert_non_null(text);
	memset(text, '\n', len);
	assert_int_equal(config_load_text("f", text, len, &c, &err), -EFBIG);
	assert_string_equal(err.text, "f: is larger than 64 MB");
	free(text);
	assert_int_not_equal(config_load_text("f", "", 0, &c, NULL),
			     0); // no place for the sentence
	assert_null(c);
	config_destroy(NULL);
}

// strongSwan's words for one thing.
static void test_actions_and_their_aliases(void **state)
{
	static const struct {
		const char *line;
		unsigned start;
		enum config_dead dpd, close;
	} rows[] = {
		{"start_action = trap", START_TRAP, DEAD_CLEAR, DEAD_CLEAR},
		{"start_action = route", START_TRAP, DEAD_CLEAR, DEAD_CLEAR},
		{"start_action = trap|start", START_TRAP | START_START, DEAD_CLEAR, DEAD_CLEAR},
		{"start_action = restart", START_START, DEAD_CLEAR, DEAD_CLEAR},
		{"start_action = clear", START_NONE, DEAD_CLEAR, DEAD_CLEAR},
		{"dpd_action = trap", START_NONE, DEAD_TRAP, DEAD_CLEAR},
		{"dpd_action = hold", START_NONE, DEAD_TRAP, DEAD_CLEAR},
		{"dpd_action = restart", START_NONE, DEAD_START, DEAD_CLEAR},
		{"close_action = route", START_NONE, DEAD_CLEAR, DEAD_TRAP},
		{"close_action = none", START_NONE, DEAD_CLEAR, DEAD_CLEAR},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config *c = load_with(CHILD, rows[i].line);
		const struct config_child *child = &c->conns[0].children[0];

		if (child->start_action != rows[i].start || child->dpd_action != rows[i].dpd ||
		    child->close_action != rows[i].close)
			fail_msg("%s", rows[i].line);
		config_destroy(c);
	}
	assert_string_equal(config_start_name(START_TRAP | START_START), "trap|start");
	assert_string_equal(config_start_name(START_NONE), "none");
}

static void test_limits_and_their_defaults(void **state)
{
	static const struct {
		const char *line;
		struct config_limit bytes, packets;
	} rows[] = {
		{"", {0}, {0}},
		{"rekey_bytes = 10k", {10240, 11264, 1024}, {0}},
		{"rekey_bytes = 1000\n life_bytes = 3000", {1000, 3000, 1000}, {0}},
		{"rekey_bytes = 1000\n rand_bytes = 0", {1000, 1100, 0}, {0}},
		{"life_bytes = 1g", {0, 1 << 30, 0}, {0}},
		{"rekey_packets = 100\n rand_packets = 5", {0}, {100, 110, 5}},
		{"rekey_packets = 100\n life_packets = 0", {0}, {100, 0, 0}},
		{"rekey_packets = 18446744073709551615",
		 {0},
		 {UINT64_MAX, UINT64_MAX, 0}}, // does not wrap
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config *c = load_with(CHILD, rows[i].line);
		const struct config_child *child = &c->conns[0].children[0];

		if (memcmp(&child->bytes, &rows[i].bytes, sizeof(child->bytes)) != 0 ||
		    memcmp(&child->packets, &rows[i].packets, sizeof(child->packets)) != 0)
			fail_msg("'%s'", rows[i].line);
		assert_int_equal(child->rand_time_ms, HOUR_MS / 10);
		config_destroy(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_gateway),
		cmocka_unit_test(test_connections_are_found_by_name),
		cmocka_unit_test(test_connection),
		cmocka_unit_test(test_children),
		cmocka_unit_test(test_ipv6_selectors),
		cmocka_unit_test(test_actions_and_their_aliases),
		cmocka_unit_test(test_limits_and_their_defaults),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_bools),
		cmocka_unit_test(test_ends_of_ranges),
		cmocka_unit_test(test_outer_header),
		cmocka_unit_test(test_rekeying_and_reauthentication),
		cmocka_unit_test(test_random_part_of_the_times),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_responders),
		cmocka_unit_test(test_many_connections),
		cmocka_unit_test(test_interfaces),
		cmocka_unit_test(test_policies_of_one_port),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
