#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "core.h"

#include "dataplane/fib6.h"

static const struct mac_addr mac_b = {{2, 0, 0, 0, 9, 9}};

static enum fib_result look(const char *dst, struct fib_hop *hop)
{
	memset(hop, 0, sizeof(*hop));
	return fib_lookup(core.dp.fib, core_be32(dst), hop);
}

static void check_hop(const char *dst, unsigned port, const char *addr, const struct mac_addr *mac)
{
	struct fib_hop hop;

	assert_int_equal(look(dst, &hop), mac ? FIB_OK : FIB_NO_NEIGHBOUR);
	assert_int_equal(hop.port, port);
	assert_int_equal(hop.addr_be, core_be32(addr));
	if (mac)
		assert_memory_equal(&hop.mac, mac, 6);
}

static void del_route(const char *prefix)
{
	struct ip_prefix p;

	assert_int_equal(ip_prefix_parse(prefix, &p), 0);
	assert_int_equal(dp_route_del(&core.dp, &p), 0);
}

static void del_neigh(unsigned port, const char *addr)
{
	const struct ip_addr a = core_addr(addr);

	assert_int_equal(dp_neigh_del(&core.dp, port, &a), 0);
}

static void test_link_route_asks_for_the_destination(void **state)
{
	struct fib_hop hop;

	(void)state;
	check_hop("10.1.0.7", 0, "10.1.0.7", NULL);
	core_neigh(0, "10.1.0.7", &core_host_mac);
	check_hop("10.1.0.7", 0, "10.1.0.7", &core_host_mac);
	check_hop("10.1.0.8", 0, "10.1.0.8", NULL);
	assert_int_equal(look("10.2.0.1", &hop), FIB_NO_ROUTE);
}

static void test_neighbour_on_another_port_is_another(void **state)
{
	(void)state;
	core_neigh(1, "10.1.0.7", &core_gw_mac);
	check_hop("10.1.0.7", 0, "10.1.0.7", NULL);
}

static void test_gateway_is_resolved_before_or_after_the_route(void **state)
{
	(void)state;
	core_route("10.2.0.0/16", 1, "192.0.2.254");
	check_hop("10.2.3.4", 1, "192.0.2.254", NULL);
	core_neigh(1, "192.0.2.254", &core_gw_mac);
	check_hop("10.2.3.4", 1, "192.0.2.254", &core_gw_mac);
	core_route("10.3.0.0/16", 1, "192.0.2.254"); // the neighbour is there already
	check_hop("10.3.0.1", 1, "192.0.2.254", &core_gw_mac);
	core_neigh(1, "192.0.2.254", &mac_b); // it moved
	check_hop("10.2.3.4", 1, "192.0.2.254", &mac_b);
	check_hop("10.3.0.1", 1, "192.0.2.254", &mac_b);
	del_neigh(1, "192.0.2.254");
	check_hop("10.2.3.4", 1, "192.0.2.254", NULL);
}

static void test_longest_prefix_and_fall_back(void **state)
{
	struct fib_hop hop;

	(void)state;
	core_route("0.0.0.0/0", 1, "192.0.2.254");
	core_route("10.0.0.0/8", 0, "10.1.0.254");
	core_route("10.9.0.0/16", 1, "192.0.2.253");
	core_route("10.9.9.9/32", 0, "10.1.0.253");
	check_hop("10.9.9.9", 0, "10.1.0.253", NULL);
	check_hop("10.9.9.8", 1, "192.0.2.253", NULL);
	check_hop("10.8.0.1", 0, "10.1.0.254", NULL);
	check_hop("203.0.113.1", 1, "192.0.2.254", NULL);
	del_route("10.9.9.9/32");
	check_hop("10.9.9.9", 1, "192.0.2.253", NULL);
	del_route("10.9.0.0/16");
	check_hop("10.9.9.9", 0, "10.1.0.254", NULL);
	del_route("10.0.0.0/8");
	check_hop("10.9.9.9", 1, "192.0.2.254", NULL);
	del_route("0.0.0.0/0");
	assert_int_equal(look("10.9.9.9", &hop), FIB_NO_ROUTE);
	del_route("0.0.0.0/0"); // absent: no error
}

static void test_route_is_replaced(void **state)
{
	struct dp_route_info info[8];

	(void)state;
	core_route("10.2.0.0/16", 1, "192.0.2.254");
	core_route("10.2.0.0/16", 0, "10.1.0.254");
	check_hop("10.2.0.1", 0, "10.1.0.254", NULL);
	core_neigh(0, "10.1.0.254", &core_gw_mac);
	core_route("10.2.0.0/16", 0, "10.1.0.254"); // again the same
	assert_int_equal(dp_routes(&core.dp, info, 8), 3);
	assert_int_equal(ip_addr_to_v4(&info[1].route.dst.addr), 0x0a020000);
	assert_int_equal(info[1].route.dst.len, 16);
	assert_int_equal(info[1].route.port, 0);
	assert_int_equal(ip_addr_to_v4(&info[1].route.gateway), 0x0a0100fe);
	assert_true(info[1].resolved);
	assert_memory_equal(&info[1].mac, &core_gw_mac, 6);
	assert_int_equal(info[0].route.gateway.family, IP_NONE);
	assert_false(info[0].resolved);
	assert_int_equal(dp_routes(&core.dp, NULL, 0), 3);
}

static void test_one_address_with_many_lengths(void **state)
{
	static const char *const prefixes[] = {"10.0.0.0/16", "10.0.0.0/8",  "10.0.0.0/24",
					       "10.0.0.0/32", "10.0.0.0/12", "0.0.0.0/0"};
	const size_t n = sizeof(prefixes) / sizeof(prefixes[0]);

	(void)state;
	for (unsigned twice = 0; twice < 2; twice++)
		for (size_t i = 0; i < n; i++)
			core_route(prefixes[i], 1, "192.0.2.254");
	assert_int_equal(dp_routes(&core.dp, NULL, 0), 2 + n);
	for (size_t i = 0; i < n; i++) {
		del_route(prefixes[i]);
		assert_int_equal(dp_routes(&core.dp, NULL, 0), 2 + n - i - 1);
	}
}

static void test_one_gateway_address_on_two_ports(void **state)
{
	(void)state;
	core_route("10.2.0.0/16", 0, "198.51.100.1");
	core_route("10.3.0.0/16", 1, "198.51.100.1");
	core_neigh(1, "198.51.100.1", &core_gw_mac);
	check_hop("10.2.0.1", 0, "198.51.100.1", NULL);
	check_hop("10.3.0.1", 1, "198.51.100.1", &core_gw_mac);
	core_neigh(0, "198.51.100.1", &mac_b);
	check_hop("10.2.0.1", 0, "198.51.100.1", &mac_b);
	check_hop("10.3.0.1", 1, "198.51.100.1", &core_gw_mac);
	del_neigh(1, "198.51.100.1");
	check_hop("10.2.0.1", 0, "198.51.100.1", &mac_b);
	check_hop("10.3.0.1", 1, "198.51.100.1", NULL);
}

static void test_host_bits_do_not_matter(void **state)
{
	struct dp_route r = {.dst = {.addr = core_addr("10.5.0.77"), .len = 24}, .port = 1};

	(void)state;
	assert_int_equal(dp_route_set(&core.dp, &r), 0);
	check_hop("10.5.0.1", 1, "10.5.0.1", NULL);
	del_route("10.5.0.0/24");
}

static void test_what_is_refused(void **state)
{
	struct dp_route r = {.dst = {.addr = core_addr("10.9.0.0"), .len = 16},
			     .gateway = core_addr("2001:db8::5")};

	(void)state;
	assert_int_equal(dp_route_set(&core.dp, &r), -EAFNOSUPPORT);
	r = (struct dp_route){.dst = {.addr = core_addr("2001:db8::"), .len = 32},
			      .gateway = core_addr("10.1.0.9")};
	assert_int_equal(dp_route_set(&core.dp, &r), -EAFNOSUPPORT);
	r = (struct dp_route){.dst = {.addr = core_addr("2001:db8::"), .len = 129}};
	assert_int_equal(dp_route_set(&core.dp, &r), -EINVAL);
	r = (struct dp_route){.dst = {.addr = core_addr("10.9.0.0"), .len = 16}, .port = 2};
	assert_int_equal(dp_route_set(&core.dp, &r), -EINVAL);
	assert_int_equal(dp_routes(&core.dp, NULL, 0), 2);
}

static void test_generation_says_that_something_changed(void **state)
{
	uint32_t before = fib_generation(core.dp.fib);

	(void)state;
	core_neigh(0, "10.1.0.7", &core_host_mac);
	assert_int_not_equal(fib_generation(core.dp.fib), before);
	before = fib_generation(core.dp.fib);
	core_neigh(0, "10.1.0.7", &core_host_mac); // the same again is no change
	assert_int_equal(fib_generation(core.dp.fib), before);
	core_route("10.2.0.0/16", 1, "192.0.2.254");
	assert_int_not_equal(fib_generation(core.dp.fib), before);
}

static enum fib_result look6(const char *dst, struct fib6_hop *hop)
{
	const struct ip_addr a = core_addr(dst);

	memset(hop, 0, sizeof(*hop));
	return fib6_lookup(core.dp.fib6, a.bytes, hop);
}

static void check_hop6(const char *dst, unsigned port, const char *addr, const struct mac_addr *mac)
{
	const struct ip_addr a = core_addr(addr);
	struct fib6_hop hop;

	assert_int_equal(look6(dst, &hop), mac ? FIB_OK : FIB_NO_NEIGHBOUR);
	assert_int_equal(hop.port, port);
	assert_memory_equal(hop.addr, a.bytes, 16);
	if (mac)
		assert_memory_equal(&hop.mac, mac, 6);
}

static void test_ipv6_longest_prefix_and_fall_back(void **state)
{
	struct fib6_hop hop;

	(void)state;
	assert_int_equal(look6("2001:db8::1", &hop), FIB_NO_ROUTE);
	core_route("::/0", 0, "fe80::1");
	core_route("2001:db8::/32", 1, "fe80::2");
	core_route("2001:db8:0:7::/63", 0, NULL);
	core_route("2001:db8::5/128", 0, "fe80::3");
	check_hop6("2001:dead::1", 0, "fe80::1", NULL);
	check_hop6("2001:db8:1::1", 1, "fe80::2", NULL);
	check_hop6("2001:db8:0:6::9", 0, "2001:db8:0:6::9", NULL); // host bits do not matter
	check_hop6("2001:db8:0:8::9", 1, "fe80::2", NULL);
	check_hop6("2001:db8::5", 0, "fe80::3", NULL);
	del_route("2001:db8::5/128");
	check_hop6("2001:db8::5", 1, "fe80::2", NULL);
	del_route("2001:db8::/32");
	check_hop6("2001:db8::5", 0, "fe80::1", NULL);
	del_route("::/0");
	del_route("::/0");
	assert_int_equal(look6("2001:db8::5", &hop), FIB_NO_ROUTE);
	assert_int_equal(dp_routes(&core.dp, NULL, 0), 3);
}

static void test_ipv6_neighbours(void **state)
{
	const uint32_t before = fib_generation(core.dp.fib);

	(void)state;
	core_route("2001:db8::/32", 1, "fe80::2");
	core_neigh(0, "fe80::2", &core_host_mac); // the same address on another link
	check_hop6("2001:db8::1", 1, "fe80::2", NULL);
	core_neigh(1, "fe80::2", &core_gw_mac);
	check_hop6("2001:db8::1", 1, "fe80::2", &core_gw_mac);
	core_neigh(1, "fe80::2", &mac_b);
	check_hop6("2001:db8::1", 1, "fe80::2", &mac_b);
	assert_true(fib_generation(core.dp.fib) >= before + 4);
	core_route("2001:db8::/32", 0, "fe80::2");
	check_hop6("2001:db8::1", 0, "fe80::2", &core_host_mac);
	del_neigh(0, "fe80::2");
	check_hop6("2001:db8::1", 0, "fe80::2", NULL);
}

static void test_ipv6_routes_are_listed(void **state)
{
	struct dp_route_info info[4];

	(void)state;
	core_route("2001:db8::/32", 1, "fe80::2");
	core_neigh(1, "fe80::2", &core_gw_mac);
	assert_int_equal(dp_routes(&core.dp, info, 2), 3);
	assert_int_equal(dp_routes(&core.dp, info, 4), 3);
	assert_int_equal(info[2].route.dst.len, 32);
	assert_int_equal(info[2].route.dst.addr.family, IP_V6);
	assert_true(info[2].resolved);
	assert_memory_equal(&info[2].mac, &core_gw_mac, 6);
}

static void test_own_addresses(void **state)
{
	const struct ip_addr a = core_addr("10.1.0.1"), b = core_addr("10.1.0.2"),
			     v6 = core_addr("2001:db8::1");

	(void)state;
	assert_true(fib_is_local(core.dp.fib, core_be32("10.1.0.1")));
	assert_false(fib_is_local(core.dp.fib, core_be32("10.1.0.2")));
	assert_int_equal(dp_local_addr_add(&core.dp, &b), 0);
	assert_int_equal(dp_local_addr_add(&core.dp, &b), 0); // twice is once
	assert_true(fib_is_local(core.dp.fib, core_be32("10.1.0.2")));
	assert_int_equal(dp_local_addr_del(&core.dp, &b), 0);
	assert_false(fib_is_local(core.dp.fib, core_be32("10.1.0.2")));
	assert_true(fib_is_local(core.dp.fib, core_be32("10.1.0.1")));
	assert_int_equal(dp_local_addr_del(&core.dp, &a), 0);
	assert_int_equal(dp_local_addr_del(&core.dp, &a), 0);
	assert_false(fib_is_local(core.dp.fib, core_be32("10.1.0.1")));
	assert_true(fib_is_local(core.dp.fib, core_be32("192.0.2.1")));
	assert_true(fib_is_local6(core.dp.fib, v6.bytes));
}

// As many as a hub with a tunnel interface to each site has.
static void test_many_own_addresses(void **state)
{
	enum { MANY = 2048 };
	struct ip_addr a;
	unsigned had = 0;

	(void)state;
	while (had < MANY) {
		a = ip_addr_v4(0x0ac80001 + 4 * had);
		if (dp_local_addr_add(&core.dp, &a) != 0)
			break;
		had++;
	}
	assert_true(had >= MANY - 8); // the fixture has some of its own
	assert_int_equal(dp_local_addr_add(&core.dp, &a), -ENOSPC);
	for (unsigned i = 0; i < had; i++) {
		assert_true(fib_is_local(core.dp.fib, rte_cpu_to_be_32(0x0ac80001 + 4 * i)));
		assert_false(fib_is_local(core.dp.fib, rte_cpu_to_be_32(0x0ac80002 + 4 * i)));
	}
	assert_false(fib_is_local(core.dp.fib, 0));
	for (unsigned i = 0; i < had; i += 2) {
		a = ip_addr_v4(0x0ac80001 + 4 * i);
		assert_int_equal(dp_local_addr_del(&core.dp, &a), 0);
	}
	for (unsigned i = 0; i < had; i++)
		assert_int_equal(fib_is_local(core.dp.fib, rte_cpu_to_be_32(0x0ac80001 + 4 * i)),
				 i % 2);
	for (unsigned i = 1; i < had; i += 2) {
		a = ip_addr_v4(0x0ac80001 + 4 * i);
		assert_int_equal(dp_local_addr_del(&core.dp, &a), 0);
	}
}

static void test_port_address_is_the_one_on_its_link(void **state)
{
	const struct ip_addr a = core_addr("10.1.0.1");

	(void)state;
	assert_int_equal(fib_port_addr(core.dp.fib, 0), core_be32("10.1.0.1"));
	assert_int_equal(fib_port_addr(core.dp.fib, 1), core_be32("192.0.2.1"));
	dp_local_addr_del(&core.dp, &a);
	assert_int_equal(fib_port_addr(core.dp.fib, 0), core_be32("192.0.2.1"));
}

static void test_mtu_of_the_way(void **state)
{
	(void)state;
	assert_int_equal(fib_route_mtu(&core.dp, core_be32("10.1.0.9")), 1500);
	assert_int_equal(fib_route_mtu(&core.dp, core_be32("192.0.2.9")), 1400);
	assert_int_equal(fib_route_mtu(&core.dp, core_be32("203.0.113.9")), 0);
}

// A next hop's number is used again, but only after every worker has let go of it.
static void test_next_hop_waits_for_the_grace_period(void **state)
{
	unsigned waited = 0;
	char gw[32];

	(void)state;
	rte_rcu_qsbr_thread_register(core.dp.qsbr, 0);
	rte_rcu_qsbr_thread_online(core.dp.qsbr, 0);
	for (unsigned round = 0; round < 20000; round++) {
		const struct dp_route r = {
			.dst = {.addr = ip_addr_v4(0x0a020000), .len = 16},
			.port = 1,
			.gateway = ip_addr_v4(0xc0000202 + round),
		};
		const int ret = dp_route_set(&core.dp, &r);

		if (ret == -ENOSPC) { // all of them wait for us
			waited++;
			assert_true(round > 4000);
			rte_rcu_qsbr_quiescent(core.dp.qsbr, 0);
			assert_int_equal(dp_route_set(&core.dp, &r), 0);
		} else {
			assert_int_equal(ret, 0);
		}
		if (round % 1000 == 0) {
			const struct ip_addr a = r.gateway;

			check_hop("10.2.0.1", 1, ip_addr_format(&a, gw, sizeof(gw)), NULL);
		}
	}
	assert_true(waited >= 4 && waited <= 5);
	rte_rcu_qsbr_thread_offline(core.dp.qsbr, 0);
	rte_rcu_qsbr_thread_unregister(core.dp.qsbr, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, core_setup, core_teardown)
	const struct CMUnitTest tests[] = {
		T(test_link_route_asks_for_the_destination),
		T(test_neighbour_on_another_port_is_another),
		T(test_gateway_is_resolved_before_or_after_the_route),
		T(test_longest_prefix_and_fall_back),
		T(test_route_is_replaced),
		T(test_one_address_with_many_lengths),
		T(test_one_gateway_address_on_two_ports),
		T(test_host_bits_do_not_matter),
		T(test_what_is_refused),
		T(test_generation_says_that_something_changed),
		T(test_ipv6_longest_prefix_and_fall_back),
		T(test_ipv6_neighbours),
		T(test_ipv6_routes_are_listed),
		T(test_own_addresses),
		T(test_many_own_addresses),
		T(test_port_address_is_the_one_on_its_link),
		T(test_mtu_of_the_way),
		T(test_next_hop_waits_for_the_grace_period),
	};

	return cmocka_run_group_tests(tests, core_group_setup, core_group_teardown);
}
