// Ports on real devices of DPDK that need no hardware: two VLANs on one, and links that go and
// come.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_ethdev.h>

#include "dataplane/dp.h"
#include "dataplane/dp_internal.h"
#include "dataplane/numa.h"
#include "dataplane/port.h"
#include "dataplane/vlan.h"

enum { LAN, WAN, DMZ, PLAIN, BESIDE, ALONE, PORTS };

static const struct dp_port_params ports[PORTS] = {
	[LAN] = {.name = "lan", .device = "net_ring0", .mtu = 1500, .vlan = 100},
	[WAN] = {.name = "wan", .device = "net_ring0", .mtu = 9000, .vlan = 200},
	[DMZ] = {.name = "dmz", .device = "net_null0,no-rx=1", .mtu = 1400},
	[PLAIN] = {.name = "plain", .device = "net_ring1", .mtu = 1500},
	[BESIDE] = {.name = "beside", .device = "net_ring1", .mtu = 1500, .vlan = 300},
	[ALONE] = {.name = "alone", .device = "net_null1,no-rx=1", .mtu = 1500, .vlan = 400},
};

static struct dp_params params_of(const struct dp_port_params *of, unsigned n)
{
	static char prefix[64];

	snprintf(prefix, sizeof(prefix), "testport%d", (int)getpid());
	return (struct dp_params){
		.ports = of,
		.n_ports = n,
		.workers = 1,
		.memory_mb = 320,
		.hugepages = DP_HUGEPAGES_OFF,
		.file_prefix = prefix,
		.eal_args = "",
	};
}

// No NIC here can do most of this.
static void test_what_a_nic_hashes_and_how_many_queues_it_gets(void **state)
{
	static const struct {
		const char *driver;
		uint64_t offers;
		uint16_t max;
		unsigned workers;
		uint64_t hashed;
		uint16_t queues;
		const char *why;
	} rows[] = {
		{"net_ice", RTE_ETH_RSS_ESP | RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP, 64,
		 4, RTE_ETH_RSS_ESP | RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP, 4,
		 "the SPI of ESP, where it can"},
		{"net_ice", RTE_ETH_RSS_ESP, 64, 2, RTE_ETH_RSS_ESP, 2, "that alone"},
		{"net_ixgbe", RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_NONFRAG_IPV4_UDP,
		 16, 4, RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_NONFRAG_IPV4_UDP, 4,
		 "addresses and ports, without ESP"},
		{"net_ice", RTE_ETH_RSS_ESP | RTE_ETH_RSS_L2_PAYLOAD | RTE_ETH_RSS_GTPU, 8, 4,
		 RTE_ETH_RSS_ESP, 4, "what is of no use is not asked for"},
		{"net_odd", RTE_ETH_RSS_L2_PAYLOAD, 8, 4, 0, 1, "and does not spread anything"},
		{"net_virtio", RTE_ETH_RSS_IPV4, 2, 8, RTE_ETH_RSS_IPV4, 2,
		 "fewer queues than workers"},
		{"net_virtio", RTE_ETH_RSS_IPV4, 8, 1, RTE_ETH_RSS_IPV4, 1, "one worker"},
		{"net_ring", 0, 16, 4, 0, 1, "no hash: nothing would come by the others"},
		{"net_af_packet", 0, 3, 8, 0, 3, "as many as its device string asks for"},
		{"net_af_xdp", 0, 4, 1, 0, 4, "the same"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (port_rss(rows[i].offers) != rows[i].hashed)
			fail_msg("%s: hashes %lx", rows[i].why, port_rss(rows[i].offers));
		if (port_rx_queues(rows[i].driver, rows[i].offers, rows[i].max, rows[i].workers) !=
		    rows[i].queues)
			fail_msg("%s: another number of queues", rows[i].why);
	}
}

static void test_which_numa_node_is_home(void **state)
{
	static const struct {
		int port[3], worker[4];
		unsigned n_ports, n_workers;
		int home;
		const char *why;
	} rows[] = {
		{{1, 1}, {1, 1}, 2, 2, 1, "all on one node"},
		{{1, 1, 0}, {0, 0, 0, 0}, 3, 4, 1, "most ports, before workers"},
		{{0, 1}, {1, 1, 0}, 2, 3, 1, "as many ports: most workers"},
		{{0, 1}, {0, 1}, 2, 2, 0, "as many of both: the lowest"},
		{{-1, -1}, {1, 1, 0}, 2, 3, 1, "ports without a node (af_packet): most workers"},
		{{-1, 1}, {0, 0}, 2, 2, 1, "one port that has a node"},
		{{-1}, {-1}, 1, 1, SOCKET_ID_ANY, "nothing is known"},
		{{3}, {-1}, 1, 1, 3, "workers that are not pinned"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const int home =
			numa_home(rows[i].port, rows[i].n_ports, rows[i].worker, rows[i].n_workers);

		if (home != rows[i].home)
			fail_msg("%s: %d", rows[i].why, home);
	}
}

static void test_what_is_no_pair(void **state)
{
	struct dp_port_params pair[] = {ports[LAN], ports[WAN]};
	const struct dp_params p = params_of(pair, 2);
	struct error err = {{0}};
	struct dp *dp = NULL;

	(void)state;
	pair[1].vlan = 100;
	assert_int_equal(dp_start(&p, &dp, &err), -EEXIST);
	assert_non_null(strstr(err.text, "different VLANs"));
	pair[1].vlan = 0;
	pair[1].device = "net_ring0,nodeaction=x";
	assert_int_equal(dp_start(&p, &dp, &err), -EINVAL);
	assert_non_null(strstr(err.text, "lan and wan share a device: write 'net_ring0'"));
}

// Events until there are none; how many were of links.
static unsigned link_events(struct dp *dp, struct dp_event out[PORTS])
{
	struct dp_event ev[8];
	unsigned n = 0;

	dp_housekeeping(dp);
	for (size_t got = dp_events(dp, ev, 8), i = 0; i < got; i++) {
		assert_int_equal(ev[i].type, DP_EV_LINK);
		assert_true(n < PORTS);
		out[n++] = ev[i];
	}
	return n;
}

static void check_shared_device(struct dp *dp)
{
	const struct port *p = dp->ports;
	struct dp_port_info info[PORTS];

	assert_int_equal(p[WAN].id, p[LAN].id);
	assert_int_not_equal(p[DMZ].id, p[LAN].id);
	assert_memory_equal(&p[WAN].mac, &p[LAN].mac, 6);
	assert_int_equal(p[LAN].mac.bytes[0] & 3, 2); // net_ring has none: one of our own, local
	assert_int_equal(p[LAN].vlans->port[100], LAN);
	assert_int_equal(p[LAN].vlans->port[200], WAN);
	assert_int_equal(p[LAN].vlans->port[0], VLAN_NO_PORT);
	assert_null(p[WAN].vlans);
	assert_null(p[DMZ].vlans);
	assert_int_equal(p[BESIDE].id, p[PLAIN].id);
	assert_int_equal(p[BESIDE].device_port, PLAIN);
	assert_int_equal(p[PLAIN].vlans->port[0], PLAIN); // what is untagged is its own
	assert_int_equal(p[PLAIN].vlans->port[300], BESIDE);
	assert_int_equal(p[ALONE].vlans->port[400], ALONE); // a VLAN of nobody else's
	assert_int_equal(p[ALONE].vlans->port[0], VLAN_NO_PORT);
	assert_int_equal(p[WAN].n_rxq, 0); // nobody polls the device twice
	for (unsigned i = 0; i < PORTS; i++)
		assert_int_equal(dp_port_info(dp, i, &info[i]), 0);
	assert_int_equal(info[LAN].vlan, 100);
	assert_int_equal(info[WAN].vlan, 200);
	assert_int_equal(info[DMZ].vlan, 0);
	assert_int_equal(info[WAN].rx_queues, 1);
	assert_int_equal(info[WAN].mtu, 9000);
	assert_true(rte_pktmbuf_data_room_size(dp->pool) > 9000 + RTE_PKTMBUF_HEADROOM);
}

// A port with a VLAN has counters of its own: the device counts for all of its ports.
static void check_counters(struct dp *dp)
{
	struct port_count *c = &dp->workers[0]->port_count[BESIDE];
	struct rte_mbuf *m = rte_pktmbuf_alloc(dp->pool);
	struct dp_port_info info;

	counter_add(&c->rx_packets, 1);
	counter_add(&c->rx_bytes, 2);
	counter_add(&c->tx_packets, 3);
	counter_add(&c->tx_bytes, 4);
	assert_int_equal(dp_port_info(dp, BESIDE, &info), 0);
	assert_int_equal(info.rx_packets, 1);
	assert_int_equal(info.rx_bytes, 2);
	assert_int_equal(info.tx_packets, 3);
	assert_int_equal(info.tx_bytes, 4);
	assert_non_null(m);
	assert_int_equal(rte_eth_tx_burst(dp->ports[ALONE].id, 0, &m, 1), 1);
	assert_int_equal(dp_port_info(dp, ALONE, &info), 0);
	assert_int_equal(info.tx_packets, 0); // none of this port
}

static void check_links(struct dp *dp)
{
	struct dp_event ev[PORTS];
	struct dp_port_info info;

	assert_int_equal(link_events(dp, ev), 0); // all are up, which is what one expects
	assert_int_equal(rte_eth_dev_set_link_down(dp->ports[LAN].id), 0);
	assert_int_equal(link_events(dp, ev), 2); // of both ports of the device
	assert_int_equal(ev[0].port, LAN);
	assert_int_equal(ev[1].port, WAN);
	assert_false(ev[0].up);
	assert_int_equal(link_events(dp, ev), 0); // once
	dp_port_info(dp, WAN, &info);
	assert_false(info.link_up);
	assert_int_equal(rte_eth_dev_set_link_up(dp->ports[LAN].id), 0);
	assert_int_equal(link_events(dp, ev), 2);
	assert_true(ev[1].up);
}

static void test_ports_of_one_device(void **state)
{
	const struct dp_params p = params_of(ports, PORTS);
	struct error err = {{0}};
	struct dp *dp = NULL;

	(void)state;
	if (dp_start(&p, &dp, &err))
		fail_msg("%s", err.text);
	check_shared_device(dp);
	check_counters(dp);
	check_links(dp);
	dp_stop(dp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_a_nic_hashes_and_how_many_queues_it_gets),
		cmocka_unit_test(test_which_numa_node_is_home),
		cmocka_unit_test(test_what_is_no_pair),
		cmocka_unit_test(test_ports_of_one_device), // EAL starts once per process
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
