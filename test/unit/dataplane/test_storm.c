// Anything at all through a whole worker: genuine packets, mutated ones, fragments, garbage, while
// SAs and routes come and go. Nothing crashes, every buffer comes back, and every packet is counted
// once:
//
//   given + made == sent + punted + dropped
//
// once nothing is held any more; "made" are ICMP errors and the pieces of cut packets, less the
// fragments that were put together.
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

#include "core.h"
#include "dataplane/flow6.h"
#include "dataplane/frag.h"
#include "dataplane/pmtu.h"
#include "dataplane/reass.h"
#include "dataplane/sad.h"
#include "dataplane/tunnel.h"

enum { ROUNDS = 60, STEPS = 60, AT_ONCE = 6, PEERS = 3 };

static const struct source self = {.type = SOURCE_SELF};

static uint64_t rng;
static uint64_t given, sent, punted;
static uint64_t brought6;      // IPv6 out of tunnels, to hosts of ours
static uint32_t tunnel;	       // ours, to the peer
static uint32_t mirror[PEERS]; // the peer's, to us: [1] in UDP, [2] over IPv6
static uint32_t spi_in[PEERS];
static bool reached[8]; // what has happened at least once

static uint32_t below(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 16) % n;
}

// ---- SAs ----

static struct esp_sa make_sa(uint32_t spi, bool udp, bool ours, bool outer6)
{
	static const uint8_t key[20] = {9, 8, 7};
	const struct ip_addr us = core_addr(outer6 ? "2001:db8::1" : "192.0.2.1"),
			     peer = core_addr(outer6 ? "2001:db8:9::2" : "198.51.100.2");
	struct ip_prefix here, there;
	struct esp_sa sa = {
		.spi = spi,
		.encr = {TRANSFORM_ENCR, ENCR_AES_GCM_16, 128},
		.integ = {TRANSFORM_INTEG, INTEG_NONE, 0},
		.udp_encap = udp,
		.local = {ours ? us : peer, udp ? 4500 : 0},
		.remote = {ours ? peer : us, udp ? 4500 : 0},
		.replay_window = 64,
	};

	for (unsigned i = 0; i < 2; i++) {
		static const char *const a[] = {"10.1.0.0/16", "2001:db8:1::/48"},
					 *const b[] = {"10.2.0.0/16", "2001:db8:2::/48"};

		assert_int_equal(ip_prefix_parse(ours ? a[i] : b[i], &here), 0);
		assert_int_equal(ip_prefix_parse(ours ? b[i] : a[i], &there), 0);
		sa.local_ts.s[sa.local_ts.n++] = selector_from_prefix(&here);
		sa.remote_ts.s[sa.remote_ts.n++] = selector_from_prefix(&there);
	}
	assert_int_equal(secret_set(&sa.encr_key, key, sizeof(key)), 0);
	return sa;
}

static void renew_outbound(void)
{
	struct esp_sa sa = make_sa(0x1000 + below(1000), below(2), true, below(3) == 0);

	assert_int_equal(dp_tunnel_set_out(&core.dp, tunnel, &sa, NULL), 0);
}

// A new pair in the place of the old one: late packets of that find nothing.
static void renew_inbound(unsigned i)
{
	struct esp_sa in, out;

	if (spi_in[i] != 0)
		assert_int_equal(dp_sa_in_retire(&core.dp, spi_in[i]), 0);
	assert_int_equal(dp_sa_in_reserve(&core.dp, &spi_in[i]), 0);
	in = make_sa(spi_in[i], i == 1, true, i == 2);
	out = make_sa(spi_in[i], i == 1, false, i == 2);
	assert_int_equal(dp_sa_in_publish(&core.dp, tunnel, &in, NULL), 0);
	assert_int_equal(dp_tunnel_set_out(&core.dp, mirror[i], &out, NULL), 0);
}

// ---- packets ----

static void fill(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)below(256);
}

static struct rte_mbuf *clear_packet(const char *src, const char *dst, bool bare)
{
	static const uint8_t protos[] = {IPPROTO_UDP, IPPROTO_TCP, IPPROTO_ICMP, 99};
	static const uint16_t ports[] = {53, 500, 4500, 4500};
	static uint8_t payload[1500];
	struct packet p = {
		.src = src,
		.dst = dst,
		.proto = protos[below(4)],
		.ttl = (uint8_t)(below(20) ? 64 : 1),
		.payload = payload,
		.payload_len = (uint16_t)(below(4) ? below(200) : below(1472)),
		.dst_port = ports[below(4)],
	};

	fill(payload, p.payload_len);
	if (below(3) == 0)
		p.frag = (uint16_t)(below(2) ? RTE_IPV4_HDR_DF_FLAG
					     : below(50) | (below(2) ? RTE_IPV4_HDR_MF_FLAG : 0));
	return bare ? core_bare(&p) : core_frame(&p);
}

// Extension headers in front of it, now and then, some of them with nonsense inside.
static struct rte_mbuf *clear_packet6(const char *src, const char *dst, bool bare)
{
	static const uint8_t protos[] = {IPPROTO_UDP, IPPROTO_TCP, IPPROTO_ICMPV6, 59},
			     extensions[] = {0, 43, 44, 60};
	const uint16_t len = (uint16_t)(8 + (below(4) ? below(200) : below(1440)));
	const struct ip_addr from = core_addr(src), to = core_addr(dst);
	struct rte_mbuf *m = rte_pktmbuf_alloc(core.dp.pool);
	uint8_t *eth = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(14 + 40 + len)), *ip = eth + 14;
	uint8_t *next = ip + 6, *at = ip + 40;

	memcpy(eth, &core_port_mac[0], 6);
	memcpy(eth + 6, &core_host_mac, 6);
	memcpy(eth + 12, "\x86\xdd", 2);
	memset(ip, 0, 8);
	ip[0] = 0x60;
	ip[1] = (uint8_t)(below(4) << 4);
	ip[4] = (uint8_t)(len >> 8);
	ip[5] = (uint8_t)len;
	ip[7] = (uint8_t)(below(20) ? 64 : 1);
	memcpy(ip + 8, from.bytes, 16);
	memcpy(ip + 24, to.bytes, 16);
	fill(at, len);
	while (below(3) == 0 && at + 16 < ip + 40 + len) {
		*next = extensions[below(4)];
		next = at;
		if (below(8) != 0)
			at[1] = 0;
		at += 8;
	}
	*next = protos[below(4)];
	if (bare)
		rte_pktmbuf_adj(m, 14);
	return m;
}

// What the peer sends us: an outer packet, bare.
static struct rte_mbuf *genuine_esp(void)
{
	const unsigned i = below(PEERS);
	const bool inner6 = below(2);
	struct batch b = {.n = 0}, icmp = {.n = 0};
	struct rte_mbuf *m = inner6 ? clear_packet6("2001:db8:2::9", "2001:db8:1::9", true)
				    : clear_packet("10.2.0.9", "10.1.0.9", true);

	// It must fit, or it is cut and leaves by our own port.
	if (!inner6)
		rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *)->fragment_offset = 0;
	if (m->pkt_len > 1300) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	core_put(&b, m, 1, FROM_TAP);
	b.tunnel[0] = tunnel_get(&core.dp, mirror[i]);
	esp_out(core.w, &b, &icmp);
	if (b.n == 0) // nobody can say what is in it: the peer's loss
		counter_add(&core.w->drops[DROP_OUT_SELECTOR], (uint64_t)-1);
	return b.n == 1 ? b.pkt[0] : NULL;
}

static struct rte_mbuf *frame_for_us(struct rte_mbuf *m)
{
	struct rte_ether_hdr *eth =
		(struct rte_ether_hdr *)(void *)rte_pktmbuf_prepend(m, RTE_ETHER_HDR_LEN);

	assert_non_null(eth);
	memcpy(&eth->dst_addr, &core_port_mac[1], 6);
	memcpy(&eth->src_addr, &core_gw_mac, 6);
	eth->ether_type =
		rte_cpu_to_be_16(ip_is_v6(eth + 1) ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);
	return m;
}

static void mutate(struct rte_mbuf *m)
{
	const unsigned n = 1 + below(4);

	// The MAC address stays, or all of them end at the first look.
	for (unsigned i = 0; i < n && m->data_len > 12; i++)
		rte_pktmbuf_mtod(m, uint8_t *)[12 + below(m->data_len - 12u)] ^=
			(uint8_t)(1 + below(255));
	if (below(4) == 0)
		rte_pktmbuf_trim(m, (uint16_t)below(m->data_len));
	if (below(3) == 0 && m->data_len >= 34) { // with a checksum that is good again
		struct rte_ipv4_hdr *ip =
			rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, RTE_ETHER_HDR_LEN);

		ip->hdr_checksum = 0;
		if (14u + rte_ipv4_hdr_len(ip) <= m->data_len && rte_ipv4_hdr_len(ip) >= 20)
			ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, rte_ipv4_hdr_len(ip));
	}
}

static void give(struct rte_mbuf *m, unsigned port, enum batch_origin origin)
{
	if (m == NULL)
		return;
	given++;
	core_put(&core.w->self, m, port, origin);
}

// Fragments of a genuine packet, in any order, some of them lost or twice there.
static void give_fragments(void)
{
	struct rte_mbuf *m = genuine_esp();
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
			give(frame_for_us(pieces.pkt[i]), 1, FROM_NIC);
		else
			rte_pktmbuf_free(pieces.pkt[i]);
	}
}

static struct rte_mbuf *garbage(void)
{
	const struct packet p = {.src = "10.1.0.9", .dst = "10.2.0.9"};
	struct rte_mbuf *m = core_frame(&p);
	const uint16_t more = (uint16_t)below(300);

	fill((uint8_t *)rte_pktmbuf_append(m, more), more);
	fill(rte_pktmbuf_mtod(m, uint8_t *) + 12 + 2 * below(2), m->data_len - 14u);
	return m;
}

static void give_something(void)
{
	struct rte_mbuf *m;

	switch (below(11)) {
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
	const struct tunnel *t = tunnel_get(&core.dp, tunnel);

	switch (below(6)) {
	case 0:
		renew_outbound();
		break;
	case 1:
		renew_inbound(below(PEERS));
		break;
	case 2:
		if (tunnel_sa(t))
			dp_tunnel_clear_out(&core.dp, tunnel, tunnel_sa(t)->spi);
		break;
	case 3:
		dp_tunnel_hold(&core.dp, tunnel, below(2));
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

static void check_balance(uint64_t seed)
{
	const struct worker *w = core.w;
	const uint64_t made = counter_read(&w->icmp_errors) + counter_read(&w->cut_pieces) -
			      counter_read(&w->cut_packets) - counter_read(&w->whole_pieces) +
			      counter_read(&w->whole_packets);
	const uint64_t ended = sent + punted + core_dropped_total();

	if (given + made != ended || rte_mempool_in_use_count(core.dp.pool) != 0 ||
	    rte_mempool_in_use_count(core.dp.large_pool) != 0)
		fail_msg("seed %llu: given %llu + made %lld != sent %llu + punted %llu + dropped "
			 "%llu; %u and %u buffers are missing",
			 (unsigned long long)seed, (unsigned long long)given, (long long)made,
			 (unsigned long long)sent, (unsigned long long)punted,
			 (unsigned long long)core_dropped_total(),
			 rte_mempool_in_use_count(core.dp.pool),
			 rte_mempool_in_use_count(core.dp.large_pool));
}

static void make_world(void)
{
	static const char *const nets[][2] = {{"10.1.0.0/16", "10.2.0.0/16"},
					      {"2001:db8:1::/48", "2001:db8:2::/48"},
					      {"2001:db8:1::/48", "2001:db8:3::/48"}};
	struct dp_policy p[3] = {
		{.action = DP_PROTECT}, {.action = DP_PROTECT}, {.action = DP_BYPASS}};
	struct ip_prefix here, there;

	assert_int_equal(dp_tunnel_add(&core.dp, "ours", &tunnel), 0);
	for (unsigned i = 0; i < 3; i++) {
		ip_prefix_parse(nets[i][0], &here);
		ip_prefix_parse(nets[i][1], &there);
		p[i].local = selector_from_prefix(&here);
		p[i].remote = selector_from_prefix(&there);
		p[i].tunnel = tunnel;
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
	for (unsigned i = 0; i < PEERS; i++) {
		spi_in[i] = 0;
		assert_int_equal(dp_tunnel_add(&core.dp, "mirror", &mirror[i]), 0);
		renew_inbound(i);
	}
	renew_outbound();
}

static void test_storm(void **state)
{
	const char *text = getenv("STORM_SEED"), *rounds = getenv("STORM_ROUNDS");
	const uint64_t seed = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
	const unsigned n = rounds ? (unsigned)strtoul(rounds, NULL, 10) : ROUNDS;

	(void)state;
	rng = seed * 0x9e3779b97f4a7c15u + 1;
	make_world();
	for (unsigned r = 0; r < n; r++) {
		for (unsigned k = 0; k < STEPS; k++) {
			for (unsigned i = 1 + below(AT_ONCE); i > 0 && core.w->self.n < 32; i--)
				give_something();
			while (core.w->self.n > 0) {
				worker_step(core.w, &self);
				drain();
			}
			if (below(8) == 0)
				change_something();
			core.w->now_tsc += core.dp.tsc_hz / 1000 * below(100);
			hold_retry(core.w);
			acquire_retry(core.w);
			reass_expire(core.w);
			drain();
			dp_housekeeping(&core.dp);
		}
		settle();
		check_balance(seed);
	}
	// It has been everywhere.
	assert_true(reached[0] && reached[1] && reached[2]);
	assert_true(counter_read(&core.w->whole_packets) > 0);
	assert_true(counter_read(&core.w->esp_in_packets) > 0);
	assert_true(counter_read(&core.w->cut_packets) > 0);
	assert_true(counter_read(&core.w->icmp_errors) > 0);
	assert_true(brought6 > 0);
	assert_true(core_dropped(DROP_ESP_INNER) > 0);
	assert_true(core_dropped(DROP_ESP_AUTH) > 0);
	assert_true(core_dropped(DROP_ESP_NO_SA) > 0);
	assert_true(core_dropped(DROP_FRAGMENT) > 0);
	assert_true(core_dropped(DROP_RX_MALFORMED) > 0);
	assert_int_equal(dp_policies_set(&core.dp, NULL, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_storm, core_setup, core_teardown),
	};

	return cmocka_run_group_tests(tests, core_group_setup, core_group_teardown);
}
