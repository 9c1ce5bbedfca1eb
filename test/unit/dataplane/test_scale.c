#define ALLOW_EXPERIMENTAL_API // rte_eth_dev_conf_get in DPDK 22.11
// Many tunnels and two workers, all of it real (test/loop): no packet is lost while SAs are
// replaced, tunnels come and go and packets come to the worker that does not own their SA.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <unistd.h>

#include <rte_ethdev.h>

#include "dataplane/dp_internal.h"
#include "dataplane/port.h"
#include "dataplane/sad.h"
#include "test/loop/loop.h"

// An odd number: packets of a tunnel take turns as well.
enum { TUNNELS = 301, PACKETS_EACH = 20 };

static struct dp *dp;

static void no_packet_is_missing(void)
{
	struct loop_counts c;
	const bool all = loop_pause();

	c = loop_counts();
	for (unsigned r = 0; r < DROP_REASON_COUNT; r++)
		if (c.drops[r] != 0)
			fail_msg("%lu packets dropped: %s", (unsigned long)c.drops[r],
				 dp_drop_name((enum drop_reason)r));
	assert_int_equal(c.queue_full, 0);
	assert_true(all);
	assert_int_equal(c.sent, c.delivered);
	assert_int_equal(c.misdirected, 0);
}

// Until every tunnel has had some more packets.
static void wait_for_all(void)
{
	uint64_t before[TUNNELS];

	for (unsigned n = 0; n < TUNNELS; n++)
		before[n] = loop_delivered_of(n);
	for (unsigned n = 0; n < TUNNELS; n++)
		for (unsigned ms = 0; loop_delivered_of(n) < before[n] + PACKETS_EACH; ms++) {
			if (ms == 20000)
				fail_msg("no traffic in tunnel %u", n);
			usleep(1000);
		}
}

// A queue for each worker, and of all that is to be hashed whatever the device can.
static void test_a_queue_per_worker_by_hash(void **state)
{
	const uint64_t wanted =
		RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_ESP;
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf;

	(void)state;
	for (unsigned p = 0; p < 2; p++) {
		assert_int_equal(dp->ports[p].n_rxq, 2);
		assert_int_equal(rte_eth_dev_conf_get(dp->ports[p].id, &conf), 0);
		assert_int_equal(conf.rxmode.mq_mode, RTE_ETH_MQ_RX_RSS);
		assert_int_equal(rte_eth_dev_info_get(dp->ports[p].id, &info), 0);
		assert_int_equal(conf.rx_adv_conf.rss_conf.rss_hf,
				 info.flow_type_rss_offloads & wanted);
		assert_true(info.flow_type_rss_offloads & wanted);
	}
}

// Every packet of an SA comes to the two workers in turn: half of them must be handed over, and
// the one window that the SA has sees each of them.
static void test_packets_are_handed_to_the_owner(void **state)
{
	struct loop_counts c;
	uint64_t in = 0;

	(void)state;
	loop_run();
	wait_for_all();
	no_packet_is_missing();
	c = loop_counts();
	for (unsigned i = 0; i < 2; i++) {
		struct dp_worker_info w;

		assert_int_equal(dp_worker_info(dp, i, &w), 0);
		in += w.esp_in_packets;
	}
	assert_int_equal(in, c.delivered);
	assert_true(c.handed_over > c.delivered / 4);
	assert_true(c.handed_over < c.delivered);
}

static void test_sas_are_replaced_under_load(void **state)
{
	unsigned replaced = 0;

	(void)state;
	loop_run();
	for (unsigned i = 0; i < 20 * TUNNELS; i++) {
		replaced += loop_replace(i % TUNNELS);
		if (i % 50 == 0)
			dp_housekeeping(dp);
		if (i % TUNNELS == 0)
			wait_for_all();
	}
	wait_for_all();
	no_packet_is_missing();
	assert_true(replaced >= TUNNELS);
	assert_int_equal(loop_retire(), 0);
	assert_int_equal(dp->sad->used, TUNNELS); // no SA stays behind
}

static void test_tunnels_come_and_go_under_load(void **state)
{
	const struct dp_route route = {{ip_addr_v4(0x64000000u), 24}, 1, {0}};

	(void)state;
	loop_run();
	for (unsigned i = 0; i < 200; i++) {
		const unsigned spare = i % LOOP_SPARES;

		if (i >= LOOP_SPARES / 2)
			loop_spare_del((i + LOOP_SPARES / 2) % LOOP_SPARES);
		loop_spare_add(spare);
		assert_int_equal(dp_route_set(dp, &route), 0);
		assert_int_equal(dp_route_del(dp, &route.dst), 0);
		dp_housekeeping(dp);
	}
	wait_for_all();
	no_packet_is_missing();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_queue_per_worker_by_hash),
		cmocka_unit_test(test_packets_are_handed_to_the_owner),
		cmocka_unit_test(test_sas_are_replaced_under_load),
		cmocka_unit_test(test_tunnels_come_and_go_under_load),
	};
	const struct loop_params params = {
		.workers = 2,
		.tunnels = TUNNELS,
		.in_flight = 256,
		.spread = LOOP_BY_TURN,
		.len = 100,
		.memory_mb = 220,
	};
	int failed;

	dp = loop_start(&params);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	loop_stop();
	return failed;
}
