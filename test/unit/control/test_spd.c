// The order of the policies that a configuration asks for.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/spd.h"

#define CHILDREN_MAX 8

struct fixture {
	struct config config;
	struct config_conn conn[2];
	struct config_child child[2][CHILDREN_MAX];
	struct config_port port;
	struct ip_addr local, remote; // answers of the environment
};

static struct selector sel(const char *text)
{
	struct selector s;

	assert_int_equal(selector_parse(text, &s), 0);
	return s;
}

static struct config_child *add_child(struct fixture *f, unsigned conn, const char *name,
				      enum config_mode mode, const char *local, const char *remote)
{
	struct config_conn *c = &f->conn[conn];
	struct config_child *child = &f->child[conn][c->n_children++];

	snprintf(child->name, sizeof(child->name), "%s", name);
	child->mode = mode;
	if (local)
		child->local_ts.s[child->local_ts.n++] = sel(local);
	if (remote)
		child->remote_ts.s[child->remote_ts.n++] = sel(remote);
	return child;
}

static struct fixture *fixture(void)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(f->conn[i].name, sizeof(f->conn[i].name), "c%u", i);
		f->conn[i].children = f->child[i];
	}
	f->config.conns = f->conn;
	f->config.n_conns = 2;
	return f;
}

// A tunnel's number says which child it is: the last letter of its name.
static uint32_t tunnel_of(void *ctx, const struct config_conn *conn,
			  const struct config_child *child, unsigned *iface)
{
	(void)ctx;
	(void)conn;
	*iface = child->if_id ? DP_IFACE_FIRST + child->if_id : DP_IFACE_NONE;
	if (strcmp(child->name, "no-tunnel") == 0)
		return DP_TUNNEL_NONE;
	return (uint32_t)child->name[strlen(child->name) - 1];
}

static void addrs_of(void *ctx, const struct config_conn *conn, struct ip_addr *local,
		     struct ip_addr *remote)
{
	const struct fixture *f = ctx;

	(void)conn;
	*local = f->local;
	*remote = f->remote;
}

// "P a 10.1.0.0/24>10.2.0.0/24", one per policy.
static void expect(struct fixture *f, const char *const *rows)
{
	struct spd_env env = {.ctx = f, .tunnel = tunnel_of, .addrs = addrs_of};
	struct dp_policy *p = NULL;
	size_t n = 0, i;

	assert_int_equal(spd_build(&f->config, &env, &p, &n), 0);
	for (i = 0; i < n && rows[i]; i++) {
		char text[2 * SELECTOR_TEXT_MAX + 16], l[SELECTOR_TEXT_MAX], r[SELECTOR_TEXT_MAX];

		snprintf(text, sizeof(text), "%c %c %s>%s",
			 p[i].action == DP_PROTECT  ? 'P'
			 : p[i].action == DP_BYPASS ? 'B'
						    : 'D',
			 p[i].tunnel == DP_TUNNEL_NONE ? '-' : (char)p[i].tunnel,
			 selector_format(&p[i].local, l, sizeof(l)),
			 selector_format(&p[i].remote, r, sizeof(r)));
		assert_string_equal(text, rows[i]);
	}
	assert_int_equal(i, n);
	assert_null(rows[i]);
	free(p);
	free(f);
}

static void test_pass_before_protect_before_drop(void **state)
{
	struct fixture *f = fixture();

	(void)state;
	add_child(f, 0, "d", MODE_DROP, "10.1.0.0/24", "10.9.0.0/24");
	add_child(f, 0, "a", MODE_TUNNEL, "10.1.0.0/24", "10.2.0.0/24");
	add_child(f, 1, "p", MODE_PASS, "0.0.0.0/0", "0.0.0.0/0");
	expect(f, (const char *[]){"B - 0.0.0.0/0>0.0.0.0/0", "P a 10.1.0.0/24>10.2.0.0/24",
				   "D - 10.1.0.0/24>10.9.0.0/24", NULL});
}

// Several children may ask for everything: each stands in the list of its own interface.
static void test_behind_interfaces(void **state)
{
	struct fixture *f = fixture();
	struct spd_env env = {.ctx = f, .tunnel = tunnel_of, .addrs = addrs_of};
	struct dp_policy *p = NULL;
	size_t n = 0;

	(void)state;
	add_child(f, 0, "a", MODE_TUNNEL, "0.0.0.0/0", "0.0.0.0/0")->if_id = 1;
	add_child(f, 1, "b", MODE_TUNNEL, "0.0.0.0/0", "0.0.0.0/0")->if_id = 2;
	add_child(f, 1, "c", MODE_TUNNEL, "10.1.0.0/16", "10.2.0.0/16");
	assert_int_equal(spd_build(&f->config, &env, &p, &n), 0);
	assert_int_equal(n, 3);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(p[i].iface, p[i].tunnel == 'a'	  ? DP_IFACE_FIRST + 1
					     : p[i].tunnel == 'b' ? DP_IFACE_FIRST + 2
								  : DP_IFACE_NONE);
	free(p);
	free(f);
}

// Policies of one port are told from those of all, whatever the child is for.
static void test_on_ports(void **state)
{
	static const enum config_mode modes[] = {MODE_PASS, MODE_TUNNEL, MODE_TRANSPORT, MODE_DROP};
	// Pass, protect by the one connection and the other, drop.
	static const bool lan[] = {true, false, true, true, false, false, true, false};
	struct config_port ports[2] = {{.name = "wan"}, {.name = "lan"}};
	struct fixture *f = fixture();
	struct spd_env env = {.ctx = f, .tunnel = tunnel_of, .addrs = addrs_of};
	struct dp_policy *p = NULL;
	size_t n = 0;

	(void)state;
	f->config.gateway.ports = ports;
	f->config.gateway.n_ports = 2;
	for (unsigned i = 0; i < 4; i++) {
		struct config_child *child =
			add_child(f, 0, "a", modes[i], "10.1.0.0/24", "10.2.0.0/24");

		snprintf(child->port, sizeof(child->port), "lan");
		add_child(f, 1, "b", modes[i], "10.1.0.0/24", "10.2.0.0/24");
	}
	assert_int_equal(spd_build(&f->config, &env, &p, &n), 0);
	assert_int_equal(n, 8);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(p[i].ports, lan[i] ? 1 << 1 : 0);
	free(p);
	free(f);
}

static void test_the_more_specific_first(void **state)
{
	struct fixture *f = fixture();

	(void)state;
	add_child(f, 0, "a", MODE_TUNNEL, "10.1.0.0/16", "0.0.0.0/0");
	add_child(f, 0, "b", MODE_TUNNEL, "10.1.0.0/24", "10.2.0.0/24");
	add_child(f, 1, "c", MODE_TUNNEL, "10.1.0.0/24", "10.2.0.0/24[tcp/8099]");
	expect(f,
	       (const char *[]){"P c 10.1.0.0/24>10.2.0.0/24[tcp/8099]",
				"P b 10.1.0.0/24>10.2.0.0/24", "P a 10.1.0.0/16>0.0.0.0/0", NULL});
}

static void test_order_of_the_file_among_equals(void **state)
{
	struct fixture *f = fixture();

	(void)state;
	add_child(f, 0, "b", MODE_TUNNEL, "10.1.1.0/24", "10.2.0.0/24");
	add_child(f, 0, "a", MODE_TUNNEL, "10.1.0.0/24", "10.2.0.0/24");
	expect(f, (const char *[]){"P b 10.1.1.0/24>10.2.0.0/24", "P a 10.1.0.0/24>10.2.0.0/24",
				   NULL});
}

static void test_explicit_priority_beats_specificity(void **state)
{
	struct fixture *f = fixture();

	(void)state;
	add_child(f, 0, "a", MODE_TUNNEL, "10.1.0.5", "10.2.0.5");
	add_child(f, 0, "b", MODE_TUNNEL, "0.0.0.0/0", "0.0.0.0/0")->priority = 20;
	add_child(f, 0, "c", MODE_TUNNEL, "10.1.0.0/24", "0.0.0.0/0")->priority = 10;
	expect(f, (const char *[]){"P c 10.1.0.0/24>0.0.0.0/0", "P b 0.0.0.0/0>0.0.0.0/0",
				   "P a 10.1.0.5/32>10.2.0.5/32", NULL});
}

static void test_every_pair_of_selectors(void **state)
{
	struct fixture *f = fixture();
	struct config_child *c = add_child(f, 0, "a", MODE_TUNNEL, "10.1.0.0/24", "10.2.0.0/24");

	(void)state;
	c->local_ts.s[c->local_ts.n++] = sel("10.3.0.0/24");
	c->remote_ts.s[c->remote_ts.n++] = sel("2001:db8::/32"); // no pair with IPv4
	c->remote_ts.s[c->remote_ts.n++] = sel("10.4.0.0/24");
	expect(f, (const char *[]){"P a 10.1.0.0/24>10.2.0.0/24", "P a 10.1.0.0/24>10.4.0.0/24",
				   "P a 10.3.0.0/24>10.2.0.0/24", "P a 10.3.0.0/24>10.4.0.0/24",
				   NULL});
}

// Full lists: each pair once, and protocol and port stay with their side.
static void test_full_lists_of_selectors(void **state)
{
	struct fixture *f = fixture();
	struct config_child *c = add_child(f, 0, "a", MODE_TUNNEL, NULL, NULL);
	struct spd_env env = {.ctx = f, .tunnel = tunnel_of, .addrs = addrs_of};
	bool seen[SELECTORS_MAX][SELECTORS_MAX] = {{false}};
	struct dp_policy *p = NULL;
	size_t n = 0;

	(void)state;
	c->local_ts.n = c->remote_ts.n = SELECTORS_MAX;
	for (unsigned i = 0; i < SELECTORS_MAX; i++) {
		char text[64];

		snprintf(text, sizeof(text), "10.1.%u.0/24", i);
		c->local_ts.s[i] = sel(text);
		snprintf(text, sizeof(text), "10.2.%u.0/24[tcp/%u]", i, 5000 + i);
		c->remote_ts.s[i] = sel(text);
	}
	assert_int_equal(spd_build(&f->config, &env, &p, &n), 0);
	assert_int_equal(n, SELECTORS_MAX * SELECTORS_MAX);
	for (size_t k = 0; k < n; k++) {
		const unsigned l = (ip_addr_to_v4(&p[k].local.lo) >> 8) & 0xff;
		const unsigned r = (ip_addr_to_v4(&p[k].remote.lo) >> 8) & 0xff;

		assert_true(l < SELECTORS_MAX && r < SELECTORS_MAX);
		assert_false(seen[l][r]);
		seen[l][r] = true;
		assert_int_equal(p[k].local.proto, 0);
		assert_int_equal(p[k].remote.proto, 6);
		assert_int_equal(p[k].remote.port_lo, 5000 + r);
		assert_int_equal(p[k].remote.port_hi, 5000 + r);
	}
	free(p);
	free(f);
}

static const struct selector_dynamic any = {1, {{0, 0, 65535}}};

static void test_dynamic_with_protocol_and_ports(void **state)
{
	struct fixture *f = fixture();
	struct config_child *c = add_child(f, 0, "a", MODE_TUNNEL, NULL, NULL);

	(void)state;
	c->local_dynamic = (struct selector_dynamic){2, {{6, 179, 179}, {47, 0, 65535}}};
	c->remote_dynamic = any;
	assert_int_equal(ip_addr_parse("192.0.2.1", &f->local), 0);
	assert_int_equal(ip_addr_parse("198.51.100.1", &f->remote), 0);
	expect(f, (const char *[]){"P a 192.0.2.1/32[tcp/bgp]>198.51.100.1/32",
				   "P a 192.0.2.1/32[gre]>198.51.100.1/32", NULL});
}

static void test_dynamic_is_the_address(void **state)
{
	struct fixture *f = fixture();
	struct config_child *c = add_child(f, 0, "a", MODE_TUNNEL, NULL, NULL);

	(void)state;
	c->local_dynamic = c->remote_dynamic = any;
	assert_int_equal(ip_addr_parse("192.0.2.1", &f->local), 0);
	assert_int_equal(ip_addr_parse("198.51.100.1", &f->remote), 0);
	expect(f, (const char *[]){"P a 192.0.2.1/32>198.51.100.1/32", NULL});
}

static void test_dynamic_without_an_address_is_left_out(void **state)
{
	struct fixture *f = fixture();
	struct config_child *c = add_child(f, 0, "a", MODE_TUNNEL, "10.1.0.0/24", NULL);

	(void)state;
	c->remote_dynamic = any;
	expect(f, (const char *[]){NULL});
}

static void test_child_without_a_tunnel_gets_no_policy(void **state)
{
	struct fixture *f = fixture();

	(void)state;
	add_child(f, 0, "no-tunnel", MODE_TUNNEL, "10.1.0.0/24", "10.2.0.0/24");
	expect(f, (const char *[]){NULL});
}

// The first policies let our own IKE pass; they are then taken out of the fixture.
static void expect_first(struct fixture *f, size_t n_ports, const uint16_t *ports)
{
	struct spd_env env = {.ctx = f, .tunnel = tunnel_of, .addrs = addrs_of};
	struct dp_policy *p = NULL;
	struct selector own;
	size_t n = 0;

	assert_int_equal(spd_build(&f->config, &env, &p, &n), 0);
	assert_true(n > n_ports);
	for (size_t i = 0; i < n_ports; i++) {
		own = selector_from_host(&f->port.addrs[0].addr);
		own.proto = 17;
		own.port_lo = own.port_hi = ports[i];
		assert_int_equal(p[i].action, DP_BYPASS);
		assert_true(selector_equal(&p[i].local, &own));
		assert_int_equal(p[i].remote.family, own.family);
		assert_int_equal(p[i].remote.proto, 17);
		assert_int_equal(p[i].remote.port_hi, 65535);
	}
	free(p);
	f->config.gateway.n_ports = 0;
}

static void test_own_ike_is_never_swallowed(void **state)
{
	struct fixture *f = fixture();

	(void)state;
	f->port.n_addrs = 1;
	assert_int_equal(ip_prefix_parse("192.0.2.1/24", &f->port.addrs[0]), 0);
	f->config.gateway.ports = &f->port;
	f->config.gateway.n_ports = 1;
	add_child(f, 0, "a", MODE_TUNNEL, "0.0.0.0/0", "0.0.0.0/0")->priority = 1;
	add_child(f, 0, "p", MODE_PASS, "192.0.2.1/32", "198.51.100.1/32")->priority = 1;
	expect_first(f, 2, (const uint16_t[]){500, 4500});
	expect(f, (const char *[]){"B - 192.0.2.1/32>198.51.100.1/32", "P a 0.0.0.0/0>0.0.0.0/0",
				   NULL});
}

static void test_own_ike_over_ipv6_is_never_swallowed(void **state)
{
	struct fixture *f = fixture();

	(void)state;
	f->port.n_addrs = 1;
	assert_int_equal(ip_prefix_parse("2001:db8::1/64", &f->port.addrs[0]), 0);
	f->config.gateway.ports = &f->port;
	f->config.gateway.n_ports = 1;
	add_child(f, 0, "a", MODE_TUNNEL, "::/0", "::/0")->priority = 1;
	expect_first(f, 2, (const uint16_t[]){500, 4500});
	expect(f, (const char *[]){"P a ::/0>::/0", NULL});
}

static void test_both_families_in_one_child(void **state)
{
	struct fixture *f = fixture();
	struct config_child *c = add_child(f, 0, "a", MODE_TUNNEL, "10.1.0.0/24", "fd00:2::/48");

	(void)state;
	ip_addr_parse("2001:db8::2", &f->remote);
	c->local_ts.s[c->local_ts.n++] = sel("fd00:1::/48");
	c->remote_ts.s[c->remote_ts.n++] = sel("10.2.0.0/24");
	c->remote_dynamic = any; // of the tunnel's family
	expect(f, (const char *[]){"P a fd00:1::/48>2001:db8::2/128", "P a fd00:1::/48>fd00:2::/48",
				   "P a 10.1.0.0/24>10.2.0.0/24", NULL});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pass_before_protect_before_drop),
		cmocka_unit_test(test_the_more_specific_first),
		cmocka_unit_test(test_behind_interfaces),
		cmocka_unit_test(test_on_ports),
		cmocka_unit_test(test_order_of_the_file_among_equals),
		cmocka_unit_test(test_explicit_priority_beats_specificity),
		cmocka_unit_test(test_every_pair_of_selectors),
		cmocka_unit_test(test_full_lists_of_selectors),
		cmocka_unit_test(test_dynamic_is_the_address),
		cmocka_unit_test(test_dynamic_with_protocol_and_ports),
		cmocka_unit_test(test_dynamic_without_an_address_is_left_out),
		cmocka_unit_test(test_child_without_a_tunnel_gets_no_policy),
		cmocka_unit_test(test_own_ike_is_never_swallowed),
		cmocka_unit_test(test_own_ike_over_ipv6_is_never_swallowed),
		cmocka_unit_test(test_both_families_in_one_child),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
