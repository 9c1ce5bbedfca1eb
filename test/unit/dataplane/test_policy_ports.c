// The policies of one port and of another (policy.h): out by where a packet is routed to, in by
// where it came in; of IPv4 and IPv6 alike.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "dataplane/policy.h"
#include "dataplane/policy6.h"
#include "dataplane/sad.h"
#include "dataplane/tunnel.h"
#include "lib/selector.h"

// Port 0 leads to 10.1.0.0/24 and fd01::/64, port 1 to 192.0.2.0/24, 10.2.0.0/16 and fd02::/64.
enum { LAN, WAN, PORTS };
enum { BOTH = 0, ON_LAN = 1 << LAN, ON_WAN = 1 << WAN };

static uint32_t tunnel;

static int setup(void **state)
{
	int err = core_setup(state);

	if (err != 0)
		return err;
	assert_int_equal(dp_tunnel_add(&core.dp, "t", &tunnel), 0);
	core_route("10.2.0.0/16", WAN, NULL);
	core_route("fd01::/64", LAN, NULL);
	core_route("fd02::/64", WAN, NULL);
	return 0;
}

struct rule {
	enum dp_action action;
	uint16_t ports;
};

static struct selector everything(bool v6)
{
	struct ip_prefix any;

	assert_int_equal(ip_prefix_parse(v6 ? "::/0" : "0.0.0.0/0", &any), 0);
	return selector_from_prefix(&any);
}

// The rules for everything, of both families.
static void set_rules(const struct rule *r, size_t n)
{
	struct dp_policy p[8] = {0};

	for (size_t i = 0; i < 2 * n; i++)
		p[i] = (struct dp_policy){.action = r[i / 2].action,
					  .local = everything(i & 1),
					  .remote = everything(i & 1),
					  .tunnel = tunnel,
					  .ports = r[i / 2].ports};
	assert_int_equal(dp_policies_set(&core.dp, p, 2 * n), 0);
}

// A UDP packet without payload from 10.1.0.9 or fd01::9.
static struct rte_mbuf *packet_to(const char *dst)
{
	const struct packet p = {.src = "10.1.0.9", .dst = "10.2.0.9"};
	struct rte_mbuf *m = core_bare(&p);
	const struct ip_addr to = core_addr(dst), from = core_addr("fd01::9");
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);

	if (to.family == IP_V4) {
		memcpy(ip + 16, to.bytes, 4);
		return m;
	}
	rte_pktmbuf_append(m, 20);
	ip = rte_pktmbuf_mtod(m, uint8_t *);
	memset(ip, 0, 48);
	ip[0] = 0x60;
	ip[5] = 8;
	ip[6] = 17;
	ip[7] = 64;
	memcpy(ip + 8, from.bytes, 16);
	memcpy(ip + 24, to.bytes, 16);
	ip[45] = 8;
	return m;
}

// What becomes of a batch of one: 'e' encrypted, 'c' clear, '-' dropped.
static char outcome(struct batch *protect, struct batch *pass)
{
	const char c = protect->n ? 'e' : pass->n ? 'c' : '-';

	assert_true(protect->n + pass->n <= 1);
	core_free(protect);
	core_free(pass);
	return c;
}

static char go_out(const char *dst, unsigned port, enum batch_origin origin)
{
	struct batch in = {.n = 0}, protect = {.n = 0}, pass = {.n = 0};

	core_put(&in, packet_to(dst), port, origin);
	policy_out(core.w, &in, &protect, &pass);
	return outcome(&protect, &pass);
}

static char come_in(const char *dst, unsigned port)
{
	struct batch in = {.n = 0}, none = {.n = 0};

	core_put(&in, packet_to(dst), port, FROM_NIC);
	policy_in_clear(core.w, &in);
	return outcome(&none, &in);
}

static void test_out_by_the_port_that_a_packet_leaves_by(void **state)
{
	static const struct {
		struct rule rule[3];
		size_t n;
		char to_lan, to_wan, nowhere;
		const char *why;
	} rows[] = {
		{{{DP_PROTECT, BOTH}}, 1, 'e', 'e', 'e', "a policy of all ports"},
		{{{DP_PROTECT, ON_WAN}}, 1, '-', 'e', '-', "protected towards one port alone"},
		{{{DP_PROTECT, ON_LAN}}, 1, 'e', '-', '-', "towards the other alone"},
		{{{DP_PROTECT, ON_LAN | ON_WAN}}, 1, 'e', 'e', '-', "each port by its name"},
		{{{DP_DISCARD, ON_WAN}, {DP_BYPASS, BOTH}}, 2, 'c', '-', 'c', "order: first match"},
		{{{DP_BYPASS, BOTH}, {DP_DISCARD, ON_WAN}},
		 2,
		 'c',
		 'c',
		 'c',
		 "order: the other way"},
		{{{DP_BYPASS, ON_LAN}, {DP_PROTECT, ON_WAN}, {DP_DISCARD, BOTH}},
		 3,
		 'c',
		 'e',
		 '-',
		 "a list for each port"},
	};
	static const char *const dst[2][3] = {{"10.1.0.7", "10.2.0.9", "203.0.113.1"},
					      {"fd01::7", "fd02::9", "fd99::1"}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		set_rules(rows[i].rule, rows[i].n);
		for (unsigned v6 = 0; v6 < 2; v6++) {
			// Where it came in does not matter, and tunnels end nowhere else.
			for (unsigned from = 0; from < PORTS; from++) {
				const char got[] = {go_out(dst[v6][0], from, FROM_NIC),
						    go_out(dst[v6][1], from, FROM_NIC),
						    go_out(dst[v6][2], from, FROM_NIC)};
				const char want[] = {rows[i].to_lan, rows[i].to_wan,
						     rows[i].nowhere};

				if (memcmp(got, want, 3) != 0)
					fail_msg("%s (IPv%d): %.3s, not %.3s", rows[i].why,
						 v6 ? 6 : 4, got, want);
			}
		}
	}
}

// Linux has routed what it sends: the port is that of its TAP, whatever our routes say.
static void test_out_of_linux_by_its_tap(void **state)
{
	static const struct rule rules[] = {{DP_PROTECT, ON_WAN}, {DP_DISCARD, ON_LAN}};
	static const char *const dst[] = {"10.1.0.7", "fd01::7"};

	(void)state;
	set_rules(rules, 2);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		assert_int_equal(go_out(dst[v6], WAN, FROM_TAP), 'e');
		assert_int_equal(go_out(dst[v6], LAN, FROM_TAP), '-');
		// Out of a tunnel it is routed like any other.
		assert_int_equal(go_out(dst[v6], WAN, FROM_TUNNEL), '-');
	}
}

static void test_in_by_the_port_that_it_came_in_by(void **state)
{
	static const struct {
		struct rule rule[2];
		size_t n;
		char lan, wan;
		const char *why;
	} rows[] = {
		{{{DP_DISCARD, BOTH}}, 1, '-', '-', "a policy of all ports"},
		{{{DP_DISCARD, ON_WAN}}, 1, 'c', '-', "one port is closed"},
		{{{DP_PROTECT, ON_LAN}}, 1, '-', 'c', "due in ESP on the other (RFC 4301 5.2)"},
		{{{DP_BYPASS, ON_LAN}, {DP_DISCARD, BOTH}}, 2, 'c', '-', "order"},
	};
	static const char *const dst[] = {"10.2.0.9", "fd02::9"};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		set_rules(rows[i].rule, rows[i].n);
		for (unsigned v6 = 0; v6 < 2; v6++) {
			const char lan = come_in(dst[v6], LAN), wan = come_in(dst[v6], WAN);

			if (lan != rows[i].lan || wan != rows[i].wan)
				fail_msg("%s (IPv%d): %c %c", rows[i].why, v6 ? 6 : 4, lan, wan);
		}
	}
}

// One flow on two ports, in one batch: the second is not judged by the first.
static void test_one_flow_on_two_ports(void **state)
{
	static const struct rule rules[] = {{DP_DISCARD, ON_WAN}};
	static const char *const dst[] = {"10.2.0.9", "fd02::9"};

	(void)state;
	set_rules(rules, 1);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct batch b = {.n = 0}, protect = {.n = 0}, pass = {.n = 0};

		for (unsigned i = 0; i < 4; i++)
			core_put(&b, packet_to(dst[v6]), i & 1 ? WAN : LAN, FROM_NIC);
		policy_in_clear(core.w, &b);
		assert_int_equal(b.n, 2);
		for (unsigned i = 0; i < b.n; i++)
			assert_int_equal(b.port[i], LAN);
		core_free(&b);
		b.n = 0;
		for (unsigned i = 0; i < 4; i++)
			core_put(&b, packet_to(dst[v6]), i & 1 ? WAN : LAN, FROM_TAP);
		policy_out(core.w, &b, &protect, &pass);
		assert_int_equal(pass.n, 2);
		core_free(&pass);
	}
}

// One flow of one port in one batch, sent by Linux and out of a tunnel: Linux has routed its own,
// the other one's way is ours to find.
static void test_one_flow_of_two_origins(void **state)
{
	static const struct rule rules[] = {{DP_PROTECT, ON_WAN}, {DP_DISCARD, ON_LAN}};
	static const char *const dst[] = {"10.1.0.7", "fd01::7"};

	(void)state;
	set_rules(rules, 2);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct batch b = {.n = 0}, protect = {.n = 0}, pass = {.n = 0};

		for (unsigned i = 0; i < 4; i++)
			core_put(&b, packet_to(dst[v6]), WAN, i & 1 ? FROM_TUNNEL : FROM_TAP);
		policy_out(core.w, &b, &protect, &pass);
		assert_int_equal(protect.n, 2);
		assert_int_equal(pass.n, 0);
		for (unsigned i = 0; i < protect.n; i++)
			assert_int_equal(protect.origin[i], FROM_TAP);
		assert_int_equal(core_dropped(DROP_POLICY_DISCARD), 2 * (v6 + 1));
		core_free(&protect);
	}
}

// More policies than are walked: the index finds those of the port as well.
static void test_with_an_index(void **state)
{
	enum { N = 64 };
	static struct dp_policy p[2 * N];

	(void)state;
	for (unsigned i = 0; i < 2 * N; i++)
		p[i] = (struct dp_policy){.action = i < 2 * N - 2 ? DP_DISCARD : DP_BYPASS,
					  .local = everything(i & 1),
					  .remote = everything(i & 1),
					  .ports = i < 2 * N - 2 ? ON_LAN : ON_WAN};
	for (unsigned i = 0; i + 2 < 2 * N; i++) { // sites, the last two are for everything
		struct ip_addr *lo = &p[i].remote.lo, *hi = &p[i].remote.hi;

		*lo = *hi = core_addr(i & 1 ? "fd02::" : "10.2.0.0");
		lo->bytes[i & 1 ? 15 : 3] = hi->bytes[i & 1 ? 15 : 3] = (uint8_t)(i / 2);
	}
	assert_int_equal(dp_policies_set(&core.dp, p, 2 * N), 0);
	assert_non_null(core.dp.policies->index);
	assert_non_null(core.dp.policies->v6->index);
	assert_int_equal(go_out("10.2.0.9", LAN, FROM_TAP), '-');
	assert_int_equal(go_out("10.2.0.9", WAN, FROM_TAP), 'c');
	assert_int_equal(go_out("fd02::9", LAN, FROM_TAP), '-');
	assert_int_equal(go_out("fd02::9", WAN, FROM_TAP), 'c');
}

// Without policies of one port no route is looked up in front of the policies, which packets that
// a policy protects whatever their route do not need.
static void test_asked_for_by_those_alone_that_need_it(void **state)
{
	static const struct rule all[] = {{DP_PROTECT, BOTH}}, one[] = {{DP_PROTECT, ON_WAN}};

	(void)state;
	set_rules(all, 1);
	assert_false(core.dp.policies->by_port);
	set_rules(one, 1);
	assert_true(core.dp.policies->by_port);
	for (unsigned v6 = 0; v6 < 2; v6++) { // of one family alone, and in any place
		struct dp_policy p[2] = {{.action = DP_DISCARD, .ports = ON_WAN},
					 {.action = DP_DISCARD}};

		p[0].local = p[0].remote = everything(v6);
		p[1].local = p[1].remote = everything(!v6);
		assert_int_equal(dp_policies_set(&core.dp, p, 2), 0);
		assert_true(core.dp.policies->by_port);
	}
}

static void test_what_is_refused(void **state)
{
	struct dp_policy p = {.action = DP_DISCARD, .ports = 1 << PORTS};

	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		p.local = p.remote = everything(v6);
		p.iface = DP_IFACE_NONE;
		p.action = DP_DISCARD;
		p.ports = 1 << PORTS;
		assert_int_equal(dp_policies_set(&core.dp, &p, 1), -EINVAL); // no such port
		p.ports = ON_LAN | 1 << PORTS;
		assert_int_equal(dp_policies_set(&core.dp, &p, 1), -EINVAL);
		p.action = DP_PROTECT;
		p.tunnel = tunnel;
		p.ports = ON_LAN;
		p.iface = DP_IFACE_FIRST;
		assert_int_equal(dp_policies_set(&core.dp, &p, 1), -EINVAL); // one or the other
	}
	// All the ports that there can be.
	assert_int_equal(policy_ports(1 << (DP_PORTS_MAX - 1), DP_PORTS_MAX),
			 1 << (DP_PORTS_MAX - 1));
	assert_int_equal(policy_ports(0, 1), POLICY_ALL_PORTS);
	assert_int_equal(policy_port(DP_IFACE_FIRST + 3), 1 << DP_PORTS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_out_by_the_port_that_a_packet_leaves_by, setup,
						core_teardown),
		cmocka_unit_test_setup_teardown(test_out_of_linux_by_its_tap, setup, core_teardown),
		cmocka_unit_test_setup_teardown(test_in_by_the_port_that_it_came_in_by, setup,
						core_teardown),
		cmocka_unit_test_setup_teardown(test_one_flow_on_two_ports, setup, core_teardown),
		cmocka_unit_test_setup_teardown(test_one_flow_of_two_origins, setup, core_teardown),
		cmocka_unit_test_setup_teardown(test_with_an_index, setup, core_teardown),
		cmocka_unit_test_setup_teardown(test_asked_for_by_those_alone_that_need_it, setup,
						core_teardown),
		cmocka_unit_test_setup_teardown(test_what_is_refused, setup, core_teardown),
	};

	return cmocka_run_group_tests(tests, core_group_setup, core_group_teardown);
}
