// Anything at all through a whole worker, in every transform: genuine packets, mutated ones,
// repeated ones, authentic ones with anything inside, fragments, garbage, while SAs and routes come
// and go. Nothing crashes, every buffer comes back, and after every batch every packet has been
// counted once:
//
//   given + made == sent + punted + dropped + held
//
// "held" are the buffers in use, which are none in the end; "made" are ICMP errors and the pieces
// of cut packets, less the fragments that were put together.
//
// The seed is printed by a failure; STORM_SEED=N repeats it, STORM_ROUNDS=N makes it longer.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_udp.h>

#include "dataplane/flow6.h"
#include "dataplane/frag.h"
#include "dataplane/pmtu.h"
#include "dataplane/reass.h"
#include "dataplane/tunnel.h"
#include "storm.h"

enum { ROUNDS = 60, STEPS = 60, AT_ONCE = 6, SEEN = 8 };

static const struct source self = {.type = SOURCE_SELF};

static uint64_t seed;
static uint64_t given, sent, punted;
static uint64_t brought6; // IPv6 out of tunnels, to hosts of ours
static struct frame {
	uint16_t len;
	uint8_t bytes[2048];
} seen[SEEN];
static bool reached[8]; // what has happened at least once

// What has come from the peer may come again.
static void remember(const struct rte_mbuf *m)
{
	struct frame *f = &seen[below(SEEN)];

	f->len = m->data_len;
	memcpy(f->bytes, rte_pktmbuf_mtod(m, const void *), f->len);
}

static struct rte_mbuf *again(void)
{
	const struct frame *f = &seen[below(SEEN)];
	struct rte_mbuf *m = f->len > 0 ? rte_pktmbuf_alloc(core.dp.pool) : NULL;

	if (m != NULL)
		memcpy(rte_pktmbuf_append(m, f->len), f->bytes, f->len);
	return m;
}

static void give(struct rte_mbuf *m, unsigned port, enum batch_origin origin)
{
	if (m == NULL)
		return;
	given++;
	if (port == 1)
		remember(m);
	core_put(&core.w->self, m, port, origin);
}

static void give_piece(struct rte_mbuf *m)
{
	frame_for_us(m);
	if (below(12) == 0)
		mutate(m);
	give(m, 1, FROM_NIC);
}

// Fragments of a packet of the peer's, in any order, some of them lost or twice there.
static void give_fragments(void)
{
	struct rte_mbuf *m = below(2) ? genuine_esp() : forged_esp();
	struct batch one = {.n = 0}, pieces;

	if (m == NULL)
		return;
	core_put(&one, m, 1, FROM_NIC);
	if (ip_is_v6(rte_pktmbuf_mtod(m, void *))) {
		assert_int_equal(frag6_cut(core.w, &one, 0, (uint16_t)(100 + below(600)), &pieces),
				 0);
	} else {
		rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *)->packet_id = (uint16_t)below(65536);
		rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *)->fragment_offset = 0; // without DF
		assert_int_equal(frag_cut(core.w, &one, 0, (uint16_t)(100 + below(600)), &pieces),
				 0);
	}
	// That was the peer's doing: it does not count.
	counter_add(&core.w->cut_packets, (uint64_t)-1);
	counter_add(&core.w->cut_pieces, (uint64_t) - (int64_t)pieces.n);
	for (uint16_t i = 0; i < pieces.n; i++) {
		const uint16_t k = (uint16_t)(i + below(pieces.n - i));
		struct rte_mbuf *swap = pieces.pkt[i];

		pieces.pkt[i] = pieces.pkt[k];
		pieces.pkt[k] = swap;
	}
	for (uint16_t i = 0; i < pieces.n; i++) {
		if (below(20) == 0)
			rte_pktmbuf_free(pieces.pkt[i]);
		else if (core.w->self.n < BATCH_MAX - 1)
			give_piece(pieces.pkt[i]);
		else
			rte_pktmbuf_free(pieces.pkt[i]);
	}
}

static void give_something(void)
{
	struct rte_mbuf *m;

	switch (below(14)) {
	case 0:
		give(clear_packet("10.1.0.9", "10.2.0.9", false), 0, FROM_NIC);
		break;
	case 8:
		give(clear_packet6("2001:db8:1::9", "2001:db8:2::9", false), 0, FROM_NIC);
		break;
	case 9:
		m = clear_packet6("2001:db8:1::9", below(2) ? "2001:db8::1" : "2001:db8:3::1",
				  false);
		if (below(2) == 0)
			mutate(m);
		give(m, 0, FROM_NIC);
		break;
	case 10:
		m = clear_packet6("2001:db8::1", "2001:db8:2::9", false);
		if (below(4) == 0)
			mutate(m);
		give(m, 0, FROM_TAP);
		break;
	case 1:
		give(clear_packet("10.1.0.9", below(2) ? "10.1.0.1" : "203.0.113.1", false), 0,
		     FROM_NIC);
		break;
	case 2:
		m = genuine_esp();
		give(m ? frame_for_us(m) : NULL, 1, FROM_NIC);
		break;
	case 3:
	case 4:
		m = genuine_esp();
		if (m)
			mutate(frame_for_us(m));
		give(m, 1, FROM_NIC);
		break;
	case 11:
		give(frame_for_us(forged_esp()), 1, FROM_NIC);
		break;
	case 12:
		m = again();
		if (m != NULL && below(4) == 0)
			mutate(m);
		give(m, 1, FROM_NIC);
		break;
	case 5:
		give_fragments();
		break;
	case 6:
		give(garbage(), 0, FROM_NIC);
		break;
	default:
		m = clear_packet("10.1.0.1", "10.2.0.9", false);
		if (below(4) == 0)
			mutate(m);
		give(m, 0, FROM_TAP);
		break;
	}
}

// ---- the rest of the world ----

static void change_something(void)
{
	static const char *const hosts[] = {"10.1.0.9", "192.0.2.254", "2001:db8:1::9",
					    "2001:db8:ff::2"};
	const struct mac_addr *macs[] = {&core_host_mac, &core_gw_mac};
	const unsigned h = below(4), i = h % 2;
	const struct ip_addr a = core_addr(hosts[h]);

	switch (below(6)) {
	case 0:
		renew_outbound();
		break;
	case 1:
		renew_inbound(below(STORM_PEERS));
		break;
	case 2:
		clear_outbound();
		break;
	case 3:
		dp_tunnel_hold(&core.dp, storm.tunnel, below(2));
		break;
	case 4:
		core_neigh(i, hosts[h], macs[i]);
		break;
	default:
		dp_neigh_del(&core.dp, i, &a);
		break;
	}
}

static void drain(void)
{
	struct rte_mbuf *m;
	struct dp_event ev;

	for (unsigned port = 0; port < 2; port++) {
		while ((m = core_sent(port)) != NULL) {
			assert_int_equal(m->nb_segs, 1);
			assert_true(m->pkt_len <= RTE_ETHER_HDR_LEN + (port == 0 ? 1500u : 1400u));
			if (port == 0 && ip_is_v6(rte_pktmbuf_mtod_offset(m, void *, 14)))
				brought6 += rte_pktmbuf_mtod_offset(m, uint8_t *, 14)[13] == 2;
			rte_pktmbuf_free(m);
			sent++;
			reached[port] = true;
		}
	}
	while ((m = core_punted()) != NULL) {
		rte_pktmbuf_free(m);
		punted++;
		reached[2] = true;
	}
	while (core_event(&ev))
		if (ev.type == DP_EV_PMTU)
			pmtu_learn(&core.dp, &ev);
}

static void settle(void)
{
	for (unsigned i = 0; i < 4; i++) {
		core.w->now_tsc += core.dp.tsc_hz * 2;
		hold_retry(core.w);
		acquire_retry(core.w);
		reass_expire(core.w);
		while (core.w->self.n > 0)
			worker_step(core.w, &self);
		drain();
	}
}

static void check_balance(bool at_rest)
{
	const struct worker *w = core.w;
	const uint64_t made = counter_read(&w->icmp_errors) + counter_read(&w->cut_pieces) -
			      counter_read(&w->cut_packets) - counter_read(&w->whole_pieces) +
			      counter_read(&w->whole_packets);
	const uint64_t ended = sent + punted + core_dropped_total();
	const unsigned held = rte_mempool_in_use_count(core.dp.pool) +
			      rte_mempool_in_use_count(core.dp.large_pool);

	if (given + made != ended + held || (at_rest && held != 0))
		fail_msg("STORM_SEED=%llu: given %llu + made %lld != sent %llu + punted %llu + "
			 "dropped %llu + held %u%s",
			 (unsigned long long)seed, (unsigned long long)given, (long long)made,
			 (unsigned long long)sent, (unsigned long long)punted,
			 (unsigned long long)core_dropped_total(), held,
			 at_rest ? ", where none should be held" : "");
}

static void make_world(void)
{
	static const char *const nets[][2] = {{"10.1.0.0/16", "10.2.0.0/16"},
					      {"2001:db8:1::/48", "2001:db8:2::/48"},
					      {"2001:db8:1::/48", "2001:db8:3::/48"}};
	struct dp_policy p[3] = {
		{.action = DP_PROTECT}, {.action = DP_PROTECT}, {.action = DP_BYPASS}};
	struct ip_prefix here, there;

	storm_init(seed);
	for (unsigned i = 0; i < 3; i++) {
		ip_prefix_parse(nets[i][0], &here);
		ip_prefix_parse(nets[i][1], &there);
		p[i].local = selector_from_prefix(&here);
		p[i].remote = selector_from_prefix(&there);
		p[i].tunnel = storm.tunnel;
	}
	assert_int_equal(dp_policies_set(&core.dp, p, 3), 0);
	core_route("2001:db8:1::/48", 0, NULL);
	core_route("2001:db8::/33", 1, "2001:db8:ff::2");
	core_neigh(1, "2001:db8:ff::2", &core_gw_mac);
	core_neigh(0, "2001:db8:1::9", &core_host_mac);
	core_route("198.51.100.0/24", 1, "192.0.2.254");
	core_route("10.2.0.0/16", 1, "192.0.2.254");
	core_route("203.0.113.0/24", 1, "192.0.2.254");
	core_neigh(1, "192.0.2.254", &core_gw_mac);
	core_neigh(0, "10.1.0.9", &core_host_mac);
	core.dp.clamp_mss = true;
}

// At least one packet takes the new SA.
static void use_outbound(void)
{
	struct dp_sa_stats stats = {0};

	for (unsigned i = 0; i < 100 && stats.packets == 0; i++) {
		give(clear_packet("10.1.0.9", "10.2.0.9", false), 0, FROM_NIC);
		worker_step(core.w, &self);
		acquire_retry(core.w); // those that have waited go first
		drain();
		assert_int_equal(dp_tunnel_out_stats(&core.dp, storm.tunnel, &stats), 0);
	}
	assert_true(stats.packets > 0);
}

// Packets went both ways with every transform.
static void check_suites(void)
{
	for (unsigned i = 0; i < storm.n_suites; i++)
		if (storm.sealed[i] == 0 || storm.opened[i] == 0)
			fail_msg("STORM_SEED=%llu: %s sealed %llu and opened %llu packets",
				 (unsigned long long)seed,
				 esp_ref_name(&storm.suite[i].encr, &storm.suite[i].integ),
				 (unsigned long long)storm.sealed[i],
				 (unsigned long long)storm.opened[i]);
}

static void test_storm(void **state)
{
	const char *text = getenv("STORM_SEED"), *rounds = getenv("STORM_ROUNDS");
	const unsigned n = rounds ? (unsigned)strtoul(rounds, NULL, 10) : ROUNDS;

	(void)state;
	seed = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
	make_world();
	for (unsigned r = 0; r < n; r++) {
		for (unsigned k = 0; k < STEPS; k++) {
			for (unsigned i = 1 + below(AT_ONCE); i > 0 && core.w->self.n < 32; i--)
				give_something();
			while (core.w->self.n > 0) {
				worker_step(core.w, &self);
				drain();
				check_balance(false);
			}
			if (below(8) == 0)
				change_something();
			core.w->now_tsc += core.dp.tsc_hz / 1000 * below(100);
			hold_retry(core.w);
			acquire_retry(core.w);
			reass_expire(core.w);
			drain();
			check_balance(false);
			dp_housekeeping(&core.dp);
		}
		settle();
		check_balance(true);
		storm.next_out = r; // every suite gets its turn
		renew_outbound();
		use_outbound();
		for (unsigned i = 0; i < STORM_PEERS; i++)
			renew_inbound(i);
	}
	// It has been everywhere.
	assert_true(reached[0] && reached[1] && reached[2]);
	assert_true(counter_read(&core.w->whole_packets) > 0);
	assert_true(counter_read(&core.w->esp_in_packets) > 0);
	assert_true(counter_read(&core.w->cut_packets) > 0);
	assert_true(counter_read(&core.w->icmp_errors) > 0);
	assert_true(brought6 > 0);
	assert_true(storm.opened_transport > 0);
	assert_true(core_dropped(DROP_ESP_INNER) > 0);
	assert_true(core_dropped(DROP_ESP_AUTH) > 0);
	assert_true(core_dropped(DROP_ESP_NO_SA) > 0);
	assert_true(core_dropped(DROP_FRAGMENT) > 0);
	assert_true(core_dropped(DROP_RX_MALFORMED) > 0);
	assert_true(core_dropped(DROP_ESP_REPLAY) > 0);
	assert_true(core_dropped(DROP_ESP_PADDING) > 0);
	assert_true(core_dropped(DROP_ESP_NEXT_HEADER) > 0);
	assert_true(core_dropped(DROP_ESP_DUMMY) > 0);
	assert_true(core_dropped(DROP_ESP_SELECTOR) > 0);
	assert_true(core_dropped(DROP_ESP_ENCAP) > 0);
	assert_true(core_dropped(DROP_SA_LIFE) > 0);
	assert_true(core_dropped(DROP_SEQ_EXHAUSTED) > 0);
	if (n >= ROUNDS)
		check_suites();
	storm_fini();
	assert_int_equal(dp_policies_set(&core.dp, NULL, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_storm, core_setup, core_teardown),
	};

	return cmocka_run_group_tests(tests, core_group_setup, core_group_teardown);
}
