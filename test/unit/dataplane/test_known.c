// The short way of known flows beside the stages (known_twice.h): what leaves, in clear or as ESP.
// In between, SAs, neighbours, routes, addresses, policies and MTUs change: what was remembered
// must not outlive them.
//
// KNOWN_SEED=N repeats a failure, KNOWN_ROUNDS=N makes it longer.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ethdev.h>

#include "dataplane/known.h"
#include "dataplane/sad.h"
#include "dataplane/tunnel.h"
#include "known_twice.h"

enum { ROUNDS = 3000 };

// Whatever comes, one frame at a time.
static void test_anything(void **state)
{
	const char *text = getenv("KNOWN_ROUNDS");
	const unsigned rounds = text ? (unsigned)strtoul(text, NULL, 10) : ROUNDS;

	(void)state;
	make_world();
	for (unsigned r = 0; r < rounds; r++) {
		if (below(6) == 0)
			change_something();
		if (below(2) != 0 || n_given == 0) { // else the same once more
			n_given = 0;
			keep_anything();
			by_stages.n = 0;
			collect(&by_stages); // genuine_esp() may have events
		}
		if (n_given > 0)
			compare();
	}
	end_world();
}

// Batches of ordinary ones, for two tunnels and in clear.
static void test_batches(void **state)
{
	const char *text = getenv("KNOWN_ROUNDS");
	const unsigned rounds = text ? (unsigned)strtoul(text, NULL, 10) : ROUNDS;

	(void)state;
	make_world();
	// What is compared is one way and the other.
	for (n_given = 0; n_given < FRAMES_MAX;)
		keep_ordinary(false);
	assert_true(count_short_ways() > 0); // the first tunnel may be one over IPv6
	for (unsigned r = 0; r < rounds / 4; r++) {
		if (below(4) == 0)
			change_something();
		n_given = 0;
		for (unsigned i = 1 + below(FRAMES_MAX); i > 0; i--)
			keep_ordinary(false);
		compare();
	}
	end_world();
}

// What fitted the path fits no more.
static void test_smaller_mtu(void **state)
{
	static const uint8_t zeros[1250];
	const struct packet p = {
		.src = "10.1.0.9",
		.dst = "10.2.200.9",
		.payload = zeros,
		.payload_len = sizeof(zeros),
	};
	struct esp_sa sa;

	(void)state;
	make_world();
	sa = storm_sa_out(0x9999, 0, false);
	assert_int_equal(dp_tunnel_set_out(&core.dp, second, &sa, NULL), 0);
	n_given = 0;
	keep(core_frame(&p), 0);
	compare();
	assert_int_equal(count_short_ways(), 1);
	learn_mtu(990);
	assert_int_equal(count_short_ways(), 0);
	compare();
	assert_int_equal(by_short_way.n, 2); // pieces
	end_world();
}

// ---- one case after the other ----

// The header of `len` bytes has been changed.
static void mend(uint8_t *frame, size_t len)
{
	uint16_t sum;

	memset(frame + 24, 0, 2);
	sum = (uint16_t)~rte_raw_cksum(frame + 14, len);
	memcpy(frame + 24, &sum, sizeof(sum));
}

// One way of a policy and a route that take everything.
static void bypass_all(void)
{
	struct dp_policy p = {.action = DP_BYPASS};
	struct ip_prefix any;

	assert_int_equal(ip_prefix_parse("0.0.0.0/0", &any), 0);
	p.local = p.remote = selector_from_prefix(&any);
	assert_int_equal(dp_policies_set(&core.dp, &p, 1), 0);
	core_route("0.0.0.0/0", 1, "192.0.2.254");
}

// An ordinary frame that differs in some bytes: does it go the short way? The outcome is the
// stages' in any case.
static void test_frames_that_are_not_ordinary(void **state)
{
	enum { TCP = 1, SYN = 2, CLAMP = 4, PORTS = 8 };
	static const struct {
		uint16_t at;
		uint8_t n, bytes[6];
		unsigned ways;
		const char *why;
		unsigned how;
	} rows[] = {
		{23, 1, {IPPROTO_UDP}, 1, "as it is"},
		{23, 1, {99}, 1, "of any protocol"},
		{0, 1, {4}, 0, "to another station"},
		{0, 6, {255, 255, 255, 255, 255, 255}, 0, "to all stations"},
		{6, 6, {2, 0, 0, 0, 0, 1}, 0, "from our own MAC address"},
		{12, 2, {0x86, 0xdd}, 0, "no IPv4"},
		{14, 1, {0x46}, 0, "with options"},
		{14, 1, {0x65}, 0, "another version"},
		{16, 2, {0, 19}, 0, "shorter than its header"},
		{16, 2, {5, 0}, 0, "longer than the frame"},
		{20, 1, {0x20}, 0, "a first fragment"},
		{21, 1, {1}, 0, "a later fragment"},
		{20, 1, {0x40}, 1, "not to be cut"},
		{22, 1, {1}, 0, "without a hop left"},
		{22, 1, {2}, 1, "with one"},
		{26, 1, {127}, 0, "from loopback"},
		{26, 1, {224}, 0, "from a group"},
		{30, 1, {127}, 0, "to loopback"},
		{30, 1, {224}, 0, "to a group"},
		{30, 4, {255, 255, 255, 255}, 0, "to all"},
		{30, 4, {0, 0, 0, 0}, 0, "to nobody"},
		{30, 4, {192, 0, 2, 1}, 0, "to ourselves"},
		{23, 0, {0}, 1, "the middle of a TCP connection", TCP | CLAMP},
		{23, 0, {0}, 1, "its first packet", TCP | SYN},
		{23, 0, {0}, 0, "that, when its MSS is to be lowered", TCP | SYN | CLAMP},
		{16, 2, {0, 33}, 0, "TCP that ends in front of its flags", TCP | CLAMP},
		{16, 2, {0, 34}, 1, "behind them", TCP | CLAMP},
		{16, 2, {0, 23}, 1, "without whole ports, of which nobody asks"},
		{16, 2, {0, 23}, 0, "of which a policy does", PORTS},
		{16, 2, {0, 24}, 1, "with whole ports", PORTS},
		{23, 1, {99}, 0, "of a protocol without ports", PORTS},
	};
	static const uint8_t zeros[100];
	const struct packet p = {
		.src = "10.1.0.9", .dst = "203.0.113.9", .payload = zeros, .payload_len = 100};

	(void)state;
	make_world();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rte_mbuf *m = core_frame(&p);
		uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
		unsigned ways;

		if (rows[i].how & PORTS)
			set_policies(2);
		else
			bypass_all();
		core.dp.clamp_mss = rows[i].how & CLAMP;
		if (rows[i].how & TCP)
			frame[23] = IPPROTO_TCP;
		frame[47] = rows[i].how & SYN;
		memcpy(frame + rows[i].at, rows[i].bytes, rows[i].n);
		mend(frame, rows[i].bytes[0] == 0x46 ? 24 : 20);
		n_given = 0;
		keep(m, 0);
		ways = count_short_ways();
		if (ways != rows[i].ways)
			fail_msg("%s: %u by the short way", rows[i].why, ways);
		compare();
	}
	// What stands behind the end of a packet is none of its ports, whatever it says.
	set_policies(2);
	n_given = 0;
	for (unsigned i = 0; i < 2; i++) {
		struct rte_mbuf *m = core_frame(&p);
		uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

		if (i == 1)
			memcpy(frame + 16, (const uint8_t[]){0, 23}, 2);
		mend(frame, 20);
		keep(m, 0);
	}
	compare();
	assert_int_equal(by_short_way.drops[DROP_POLICY_DISCARD], 1);
	end_world();
}

// A policy is for both directions: without `local` it is about what 10.1.0.0/16 sends alone.
static void set_discard(const char *local, const char *remote, uint16_t ports)
{
	struct dp_policy p[2] = {{.action = DP_DISCARD, .ports = ports}, {.action = DP_BYPASS}};

	assert_int_equal(selector_parse(local ? local : "10.1.0.0/16", &p[0].local), 0);
	assert_int_equal(selector_parse(remote ? remote : "0.0.0.0/0", &p[0].remote), 0);
	p[0].local.proto = p[0].remote.proto = p[0].local.proto | p[0].remote.proto;
	assert_int_equal(selector_parse("0.0.0.0/0", &p[1].local), 0);
	p[1].remote = p[1].local;
	assert_int_equal(dp_policies_set(&core.dp, p, 2), 0);
}

// Between two equal packets one that differs in one thing, for which it is discarded.
static void test_neighbours_in_a_batch(void **state)
{
	static const struct {
		const char *local, *remote; // what is discarded
		uint16_t ports;
		uint8_t at, byte; // of the frame, by which it differs
		unsigned port;
	} rows[] = {
		{.local = "10.1.0.10/32", .at = 29, .byte = 10},
		{.remote = "203.0.113.10/32", .at = 33, .byte = 10},
		{.local = "10.1.0.0/16[udp/0-255]", .at = 34, .byte = 0},
		{.remote = "0.0.0.0/0[udp/256-65535]", .at = 36, .byte = 7},
		{.local = "10.1.0.0/16[tcp]", .at = 23, .byte = IPPROTO_TCP},
		{.local = "203.0.113.0/24",
		 .remote = "10.1.0.0/16",
		 .ports = 2,
		 .at = 5,
		 .byte = 2,
		 .port = 1},
	};
	static const uint8_t zeros[100];
	const struct packet p = {.src = "10.1.0.9",
				 .dst = "203.0.113.9",
				 .dst_port = 53,
				 .payload = zeros,
				 .payload_len = sizeof(zeros)};

	(void)state;
	make_world();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		set_discard(rows[i].local, rows[i].remote, rows[i].ports);
		n_given = 0;
		for (unsigned k = 0; k < 3; k++) {
			struct rte_mbuf *m = core_frame(&p);
			uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

			if (k == 1)
				frame[rows[i].at] = rows[i].byte;
			mend(frame, 20);
			keep(m, k == 1 ? rows[i].port : 0);
		}
		compare();
		if (by_short_way.drops[DROP_POLICY_DISCARD] != 1 || by_short_way.n != 2)
			fail_msg("row %zu", i);
	}
	end_world();
}

// More flows than there are places in the table, of which every other one is discarded.
static void test_flows_that_share_a_place(void **state)
{
	enum { N = 40000 };

	(void)state;
	make_world();
	core_route("0.0.0.0/0", 1, "192.0.2.254");
	for (unsigned by_port = 0; by_port < 2; by_port++) {
		uint64_t discarded = 0;

		set_discard(NULL, by_port ? "0.0.0.0/0[udp/32768-65535]" : "203.128.0.0/9", 0);
		for (unsigned i = 0; i < N; discarded += by_short_way.drops[DROP_POLICY_DISCARD]) {
			n_given = 0;
			for (; n_given < FRAMES_MAX && i < N; i++) {
				const unsigned place = (i & 1) << 15 | i >> 1;
				struct packet p = {.src = "10.1.0.9", .dst = "203.0.0.0"};
				struct rte_mbuf *m;
				uint8_t *frame;

				p.dst_port = by_port ? (uint16_t)place : 53;
				m = core_frame(&p);
				frame = rte_pktmbuf_mtod(m, uint8_t *);
				if (!by_port) {
					frame[31] = (uint8_t)(place >> 8);
					frame[32] = (uint8_t)place;
					frame[33] = (uint8_t)(place * 7); // the hash is linear
				}
				mend(frame, 20);
				keep(m, 0);
			}
			run(&by_short_way);
		}
		assert_int_equal(discarded, N / 2);
	}
	end_world();
}

// What is remembered beside the flows is of one epoch as well.
static void test_what_an_epoch_ends(void **state)
{
	enum { MORE_THAN_WAYS = 1100 };
	static const uint8_t zeros[100];
	const struct packet p = {
		.src = "10.1.0.9", .dst = "203.0.113.9", .payload = zeros, .payload_len = 100};
	const struct packet esp = {.src = "198.51.100.2",
				   .dst = "10.9.0.1",
				   .proto = IPPROTO_ESP,
				   .payload = zeros,
				   .payload_len = 100};
	const struct ip_addr own = core_addr("10.9.0.1");
	uint32_t changes;

	(void)state;
	make_world();
	// Next hops.
	for (unsigned i = 0; i < MORE_THAN_WAYS; i++) {
		const struct mac_addr mac = {{2, 0, 0, 7, (uint8_t)(i >> 8), (uint8_t)i}};

		core_neigh(1, "192.0.2.254", &mac);
		n_given = 0;
		keep(core_frame(&p), 0);
		assert_int_equal(count_short_ways(), 1);
	}
	// An address of our own.
	assert_int_equal(dp_local_addr_add(&core.dp, &own), 0);
	n_given = 0;
	keep(core_frame(&esp), 0);
	compare();
	assert_int_equal(by_short_way.drops[DROP_ESP_NO_SA], 1);
	dp_local_addr_del(&core.dp, &own);
	compare();
	assert_int_equal(by_short_way.drops[DROP_ESP_NO_SA], 0);
	// The number of an epoch comes again after all the others.
	n_given = 0;
	keep(core_frame(&p), 0);
	assert_int_equal(count_short_ways(), 1);
	changes = atomic_load(&core.dp.changes);
	atomic_store(&core.dp.changes, changes + UINT32_MAX / 2);
	n_given = 0;
	keep(core_frame(&esp), 0); // of another flow
	run(&by_short_way);
	n_given = 0;
	keep(core_frame(&p), 0);
	set_discard(NULL, NULL, 0);
	atomic_store(&core.dp.changes, changes);
	run(&by_short_way);
	assert_int_equal(by_short_way.drops[DROP_POLICY_DISCARD], 1);
	end_world();
}

static uint16_t asked_for;

static uint16_t nothing_comes(void *queue, struct rte_mbuf **pkt, uint16_t n)
{
	(void)queue;
	(void)pkt;
	asked_for = n;
	return 0;
}

// While many flows have to be looked up anew, a worker takes few packets at once.
static void test_few_at_once(void **state)
{
	static void *queue[1], *callback[1];
	struct rte_eth_fp_ops *ops = &rte_eth_fp_ops[core.dp.ports[0].id];
	const struct rte_eth_fp_ops before = *ops;

	(void)state;
	make_world();
	core_route("0.0.0.0/0", 1, "192.0.2.254");
	ops->rx_pkt_burst = nothing_comes;
	ops->rxq.data = queue;
	ops->rxq.clbk = callback;
	core.w->source[0] = (struct source){.type = SOURCE_NIC};
	core.w->n_sources = 1;
	for (unsigned n = 7; n <= 8; n++) {
		n_given = 0;
		set_policies(0); // nothing is known
		for (unsigned i = 0; i < n; i++) {
			struct packet p = {.src = "10.1.0.9", .dst = "203.0.113.0"};
			struct rte_mbuf *m = core_frame(&p);

			rte_pktmbuf_mtod(m, uint8_t *)[33] = (uint8_t)i;
			mend(rte_pktmbuf_mtod(m, uint8_t *), 20);
			keep(m, 0);
		}
		worker_round(core.w);
		assert_int_equal(asked_for, BATCH_MAX);
		assert_int_equal(count_short_ways(), n);
		worker_round(core.w);
		assert_int_equal(asked_for, n == 8 ? BATCH_MAX / 4 : BATCH_MAX);
		assert_int_equal(count_short_ways(), n); // known by now
	}
	worker_round(core.w);
	assert_int_equal(asked_for, BATCH_MAX);
	core.w->n_sources = 0;
	*ops = before;
	end_world();
}

// RFC 1624: every checksum that a header may have, one hop later.
static void test_every_checksum(void **state)
{
	const struct packet p = {.src = "10.1.0.9", .dst = "203.0.113.9"};

	(void)state;
	make_world();
	for (unsigned id = 0; id < 65536;) {
		for (n_given = 0; n_given < 16; id++) {
			struct rte_mbuf *m = core_frame(&p);
			uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

			frame[18] = (uint8_t)(id >> 8);
			frame[19] = (uint8_t)id;
			mend(frame, 20);
			keep(m, 0);
		}
		compare();
	}
	end_world();
}

// Bypassed by one port, and not by the one that leads there; an answer; a packet that just fits.
static void test_ways_in_clear(void **state)
{
	static const uint8_t zeros[1400];
	const struct packet full = {
		.src = "10.1.0.9", .dst = "203.0.113.9", .payload = zeros, .payload_len = 1372};
	const struct packet answer = {
		.src = "203.0.113.9", .dst = "10.1.0.9", .to = &core_port_mac[1]};

	(void)state;
	make_world();
	for (unsigned kind = 4; kind <= 5; kind++) {
		set_policies(kind);
		n_given = 0;
		keep(core_frame(&full), 0);
		compare();
		assert_int_equal(count_short_ways(), kind == 5);
	}
	set_policies(0);
	compare();
	assert_int_equal(count_short_ways(), 1);
	n_given = 0;
	keep(core_frame(&answer), 1);
	compare();
	assert_int_equal(count_short_ways(), 1);
	// ESP from where nothing comes is malformed, and of no SA that we lack.
	for (unsigned i = 0; i < 2; i++) {
		const struct packet esp = {.src = i == 0 ? "127.0.0.1" : "224.0.0.9",
					   .dst = "192.0.2.1",
					   .proto = IPPROTO_ESP,
					   .payload = zeros,
					   .payload_len = 100};

		n_given = 0;
		keep(core_frame(&esp), 0);
		compare();
		assert_int_equal(by_short_way.drops[DROP_ESP_NO_SA], 0);
	}
	end_world();
}

// More next hops than there is room for: the others are the stages'.
static void test_many_next_hops(void **state)
{
	enum { HOPS = 1100, WAYS = 1024 };
	unsigned ways = 0;

	(void)state;
	make_world();
	bypass_all();
	core_route("203.0.0.0/16", 1, NULL);
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < HOPS; i++) {
			const struct mac_addr mac = {{2, 0, 0, 8, (uint8_t)(i >> 8), (uint8_t)i}};
			char there[16];

			snprintf(there, sizeof(there), "203.0.%u.%u", i >> 8, i & 255);
			if (pass == 0) {
				core_neigh(1, there, &mac);
				continue;
			}
			const struct packet p = {.src = "10.1.0.9", .dst = there};

			n_given = 0;
			keep(core_frame(&p), 0);
			ways += count_short_ways();
			compare();
		}
	}
	assert_int_equal(ways, WAYS);
	end_world();
}

// By what the tunnel's SA is: does a packet go the short way?
static void test_sas_that_are_not_ordinary(void **state)
{
	enum { PLAIN, OVER_IPV6, TRANSPORT, PADDED, NARROW, ASKS };
	static const uint8_t zeros[100];
	const struct packet p = {
		.src = "10.1.0.9", .dst = "10.2.200.9", .payload = zeros, .payload_len = 100};

	(void)state;
	make_world();
	core.dp.clamp_mss = false;
	for (unsigned kind = PLAIN; kind < ASKS + ASK_WAYS; kind++) {
		struct esp_sa sa = storm_sa_out(0x9100 + kind, 0, false);
		unsigned ways;

		switch (kind) {
		case OVER_IPV6:
			sa.local.addr = core_addr("2001:db8::1");
			sa.remote.addr = core_addr("2001:db8:9::2");
			break;
		case TRANSPORT:
			sa.transport = true;
			break;
		case PADDED:
			sa.tfc_padding = 300;
			break;
		case NARROW:
			sa.remote_ts.s[0].lo = core_addr("10.2.201.0");
			break;
		case PLAIN:
			break;
		default:
			ask_for_more(&sa, kind - ASKS);
			break;
		}
		assert_int_equal(dp_tunnel_set_out(&core.dp, second, &sa, NULL), 0);
		n_given = 0;
		keep(core_frame(&p), 0);
		ways = count_short_ways();
		if (ways != (kind == PLAIN))
			fail_msg("SA %u: %u by the short way", kind, ways);
		compare();
	}
	end_world();
}

// Buffers that the short way may not write to, or that have no room for what it puts around a
// packet; what is told of a frame beside its bytes.
static void test_buffers_that_are_not_ordinary(void **state)
{
	enum { FRONT = RTE_ETHER_HDR_LEN + SA_OUT_OUTER4_MAX + CRYPTO_HEAD_MAX };
	enum { BEHIND = 16 + ESP_TRAILER_LEN + CRYPTO_ICV_MAX, LEN = 128 };
	static const struct {
		const char *why;
		uint64_t flags;
		uint16_t front, behind; // bytes in front of the IP packet and behind it; 0: many
		uint16_t cut;		// bytes of frame, behind which the buffer looks like more
		uint8_t segs, refs;	// more than one
		bool clear;		// leaves as it is
		bool stays;
	} rows[] = {
		{"as it is"},
		{"as it is, in clear", .clear = true},
		{"of two buffers", .segs = 1, .stays = true},
		{"that somebody else holds", .refs = 1, .stays = true},
		{"with a tag beside it", RTE_MBUF_F_RX_VLAN, .stays = true},
		{"of which one was taken off", RTE_MBUF_F_RX_VLAN_STRIPPED, .stays = true},
		{"in another one's buffer", RTE_MBUF_F_INDIRECT, .stays = true},
		{"in no buffer of ours", RTE_MBUF_F_EXTERNAL, .stays = true},
		{"with a good checksum", RTE_MBUF_F_RX_IP_CKSUM_GOOD},
		{"less than an Ethernet header", .cut = 13, .stays = true},
		{"less than an IP header", .cut = 33, .stays = true},
		{"just enough room in front", .front = FRONT},
		{"a byte too little", .front = FRONT - 1, .stays = true},
		{"which in clear is enough", .front = FRONT - 1, .clear = true},
		{"just enough room behind", .behind = BEHIND},
		{"a byte too little behind", .behind = BEHIND - 1, .stays = true},
		{"which in clear is enough", .behind = BEHIND - 1, .clear = true},
	};
	static const uint8_t zeros[LEN - 28];
	struct packet p = {.src = "10.1.0.9", .payload = zeros, .payload_len = sizeof(zeros)};
	struct esp_sa sa;

	(void)state;
	make_world();
	sa = storm_sa_out(0x9200, 0, false);
	assert_int_equal(dp_tunnel_set_out(&core.dp, second, &sa, NULL), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint64_t sealed = counter_read(&core.w->esp_out_packets);
		struct esp_place at[BATCH_MAX];
		struct batch in = {.n = 1}, esp = {.n = 0};
		struct rte_mbuf *m;
		uint16_t buf_len;

		p.dst = rows[i].clear ? "203.0.113.9" : "10.2.200.9";
		m = core_frame(&p);
		buf_len = m->buf_len;
		if (rows[i].front) {
			uint8_t *to = (uint8_t *)m->buf_addr + rows[i].front - RTE_ETHER_HDR_LEN;

			memmove(to, rte_pktmbuf_mtod(m, void *), m->data_len);
			m->data_off = (uint16_t)(rows[i].front - RTE_ETHER_HDR_LEN);
		}
		if (rows[i].behind)
			m->buf_len =
				(uint16_t)(m->data_off + RTE_ETHER_HDR_LEN + LEN + rows[i].behind);
		if (rows[i].cut)
			m->data_len = (uint16_t)(m->pkt_len = rows[i].cut);
		m->ol_flags |= rows[i].flags;
		m->nb_segs = (uint16_t)(1 + rows[i].segs);
		rte_mbuf_refcnt_update(m, rows[i].refs);
		core.w->traffic = 0;
		in.pkt[0] = m;
		known_frames(core.w, 0, &in, &esp, at);
		if (in.n != rows[i].stays)
			fail_msg("%s: %s", rows[i].why, in.n ? "stays" : "goes the short way");
		// Counted as the stages count it: what is forwarded, and once more what is sealed.
		assert_int_equal(core.w->traffic, rows[i].stays ? 0 : rows[i].clear ? 1 : 2);
		assert_int_equal(counter_read(&core.w->esp_out_packets) - sealed,
				 !rows[i].stays && !rows[i].clear);
		if (!rows[i].stays) { // what was told of the packet that came is not told of this
				      // one
			assert_int_equal(m->ol_flags, 0);
			assert_int_equal(m->packet_type, 0);
		}
		m->buf_len = buf_len;
		m->nb_segs = 1;
		m->ol_flags = 0;
		rte_mbuf_refcnt_set(m, 1);
		core_free(&in);
		by_stages.n = 0;
		collect(&by_stages);
	}
	end_world();
}

// Out of a tunnel a packet stands anywhere in its buffer, and may be one of a tunnel interface.
static void test_inner_packets_that_are_not_ordinary(void **state)
{
	static const struct {
		const char *why;
		uint16_t front, port, len; // 0: many, no interface, all of it
		bool stays;
	} rows[] = {
		{"as it is"},
		{"just enough room for a frame", .front = RTE_ETHER_HDR_LEN},
		{"a byte too little", .front = RTE_ETHER_HDR_LEN - 1, .stays = true},
		{"of a tunnel interface", .port = DP_IFACE_FIRST, .stays = true},
		{"less than a header", .len = 19, .stays = true},
		{"less than it says", .len = 27, .stays = true},
	};
	const struct packet p = {.src = "10.2.0.9", .dst = "203.0.113.9"};

	(void)state;
	make_world();
	bypass_all();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct batch b = {.n = 0};
		struct rte_mbuf *m = core_bare(&p);

		if (rows[i].front) {
			memmove((uint8_t *)m->buf_addr + rows[i].front, rte_pktmbuf_mtod(m, void *),
				m->data_len);
			m->data_off = rows[i].front;
		}
		if (rows[i].len)
			m->data_len = (uint16_t)(m->pkt_len = rows[i].len);
		core_put(&b, m, rows[i].port, FROM_TUNNEL);
		known_inner(core.w, &b);
		if (b.n != rows[i].stays)
			fail_msg("%s: %s", rows[i].why, b.n ? "stays" : "goes the short way");
		core_free(&b);
		by_stages.n = 0;
		collect(&by_stages);
	}
	end_world();
}

// Beyond the hard life of an SA packets are dropped one by one, by the short way as by the stages.
static void test_the_end_of_an_sa(void **state)
{
	static const uint8_t zeros[100];
	const struct packet p = {
		.src = "10.1.0.9", .dst = "10.2.200.9", .payload = zeros, .payload_len = 100};
	const struct dp_capture_params all = {.sample = 1};
	struct dp_capture_packet dropped;
	struct error err = {0};

	(void)state;
	make_world();
	for (unsigned bytes = 0; bytes < 2; bytes++) {
		struct esp_sa sa = storm_sa_out(0x9300 + bytes, 0, false);

		sa.hard = (struct esp_life){.packets = bytes ? 0 : 2, .bytes = bytes ? 256 : 0};
		assert_int_equal(dp_tunnel_set_out(&core.dp, second, &sa, NULL), 0);
		for (n_given = 0; n_given < 4;)
			keep(core_frame(&p), 0);
		compare();
		assert_int_equal(by_short_way.n, 2);
		assert_int_equal(by_short_way.drops[DROP_SA_LIFE], 2);
		assert_int_equal(by_short_way.out[1].packets, 2);
		assert_int_not_equal(by_short_way.out[1].last_tsc, 0);
		assert_int_equal(count_short_ways(), 4); // the short way drops them itself
	}
	// A capture that begins meanwhile shows the packet, not its frame.
	assert_int_equal(dp_capture_start(&core.dp, &all, &err), 0);
	assert_int_equal(count_short_ways(), 4);
	assert_true(dp_capture_next(&core.dp, &dropped));
	assert_int_equal(dropped.point, DP_CAPTURE_DROP);
	assert_int_equal(dropped.len, 20 + 8 + sizeof(zeros));
	assert_false(dropped.ethernet);
	assert_memory_equal(dropped.data + 12, given[0].bytes + 14 + 12, 8);
	dp_capture_end(&core.dp);
	end_world();
}

// A batch's worth of frames for one port leaves before there are more.
static void test_a_full_buffer_leaves(void **state)
{
	enum { EACH = 40 };
	const struct packet p = {.src = "10.1.0.9", .dst = "203.0.113.9"};
	struct port *port = &core.port[1];
	void *sent[2 * EACH];
	unsigned n;

	(void)state;
	make_world();
	bypass_all();
	port->tx_ring = rte_ring_create("sent", 256, SOCKET_ID_ANY, 0);
	assert_non_null(port->tx_ring);
	port->shared_tx = true;
	port->owner = core.w->id + 1;
	for (unsigned round = 0; round < 2; round++) {
		struct batch in = {.n = 0}, esp = {.n = 0};
		struct esp_place at[BATCH_MAX];

		while (in.n < EACH)
			core_put(&in, core_frame(&p), 0, FROM_NIC);
		known_frames(core.w, 0, &in, &esp, at);
		assert_int_equal(in.n, 0);
	}
	n = rte_ring_dequeue_burst(port->tx_ring, sent, 2 * EACH, NULL);
	assert_int_equal(n, BATCH_MAX);
	assert_int_equal(core.w->tx[1].n, 2 * EACH - BATCH_MAX);
	rte_pktmbuf_free_bulk((struct rte_mbuf **)sent, n);
	port->shared_tx = false;
	rte_ring_free(port->tx_ring);
	port->tx_ring = NULL;
	by_stages.n = 0;
	collect(&by_stages);
	end_world();
}

// Of a device with VLANs, frames have to be looked at and tagged by the stages.
static void test_devices_with_vlans(void **state)
{
	static const char vlans; // nobody looks into it
	const struct packet p = {.src = "10.1.0.9", .dst = "203.0.113.9"};

	(void)state;
	make_world();
	bypass_all();
	n_given = 0;
	keep(core_frame(&p), 0);
	assert_int_equal(count_short_ways(), 1);
	for (unsigned port = 0; port < 2; port++) { // where it comes in, where it goes out
		core.port[port].vlans = (struct vlan_map *)(uintptr_t)&vlans;
		dp_changed(&core.dp);
		assert_int_equal(count_short_ways(), 0);
		core.port[port].vlans = NULL;
		dp_changed(&core.dp);
		assert_int_equal(count_short_ways(), 1);
	}
	end_world();
}

// What the stages alone keep: the order behind packets that wait, copies, tunnel interfaces.
static void test_when_it_stands_back(void **state)
{
	const struct dp_capture_params all = {.sample = 1};
	struct error err = {0};

	(void)state;
	assert_true(known_usable(core.w));
	core.w->n_waiting = 1;
	assert_false(known_usable(core.w));
	core.w->n_waiting = 0;
	assert_int_equal(dp_capture_start(&core.dp, &all, &err), 0);
	assert_false(known_usable(core.w));
	dp_capture_end(&core.dp);
	core.dp.n_ifaces = 1;
	assert_false(known_usable(core.w));
	core.dp.n_ifaces = 0;
	assert_true(known_usable(core.w));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_anything, core_setup, core_teardown),
		cmocka_unit_test_setup_teardown(test_batches, core_setup, core_teardown),
		cmocka_unit_test_setup_teardown(test_smaller_mtu, core_setup, core_teardown),
		cmocka_unit_test_setup_teardown(test_frames_that_are_not_ordinary, core_setup,
						core_teardown),
		cmocka_unit_test_setup_teardown(test_neighbours_in_a_batch, core_setup,
						core_teardown),
		cmocka_unit_test_setup_teardown(test_flows_that_share_a_place, core_setup,
						core_teardown),
		cmocka_unit_test_setup_teardown(test_what_an_epoch_ends, core_setup, core_teardown),
		cmocka_unit_test_setup_teardown(test_few_at_once, core_setup, core_teardown),
		cmocka_unit_test_setup_teardown(test_every_checksum, core_setup, core_teardown),
		cmocka_unit_test_setup_teardown(test_ways_in_clear, core_setup, core_teardown),
		cmocka_unit_test_setup_teardown(test_many_next_hops, core_setup, core_teardown),
		cmocka_unit_test_setup_teardown(test_sas_that_are_not_ordinary, core_setup,
						core_teardown),
		cmocka_unit_test_setup_teardown(test_buffers_that_are_not_ordinary, core_setup,
						core_teardown),
		cmocka_unit_test_setup_teardown(test_inner_packets_that_are_not_ordinary,
						core_setup, core_teardown),
		cmocka_unit_test_setup_teardown(test_the_end_of_an_sa, core_setup, core_teardown),
		cmocka_unit_test_setup_teardown(test_a_full_buffer_leaves, core_setup,
						core_teardown),
		cmocka_unit_test_setup_teardown(test_devices_with_vlans, core_setup, core_teardown),
		cmocka_unit_test_setup_teardown(test_when_it_stands_back, core_setup,
						core_teardown),
	};

	return cmocka_run_group_tests(tests, core_group_setup, core_group_teardown);
}
