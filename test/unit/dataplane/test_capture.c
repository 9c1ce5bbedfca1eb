// What a capture sees of packets on their way, what it follows, and what it must not show.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include "core.h"
#include "dataplane/capture.h"
#include "dataplane/frag.h"
#include "dataplane/icmp.h"
#include "dataplane/icmp6.h"
#include "dataplane/reass.h"
#include "dataplane/tfc.h"
#include "dataplane/tunnel.h"

#define PEER "198.51.100.2"
#define SPI  0xc0ffee01u

static const uint8_t payload[64] = "not for everybody";
static uint32_t tunnel, mirror; // ours, the peer's
static uint32_t spi_in;

static struct esp_sa make_sa(uint32_t spi, bool ours)
{
	static const uint8_t key[20] = {9, 8, 7};
	const struct ip_addr us = core_addr("192.0.2.1"), peer = core_addr(PEER);
	struct ip_prefix here, there;
	struct esp_sa sa = {
		.spi = spi,
		.encr = {TRANSFORM_ENCR, ENCR_AES_GCM_16, 128},
		.integ = {TRANSFORM_INTEG, INTEG_NONE, 0},
		.local = {ours ? us : peer, 0},
		.remote = {ours ? peer : us, 0},
		.replay_window = 64,
	};

	assert_int_equal(ip_prefix_parse(ours ? "10.1.0.0/16" : "10.2.0.0/16", &here), 0);
	assert_int_equal(ip_prefix_parse(ours ? "10.2.0.0/16" : "10.1.0.0/16", &there), 0);
	sa.local_ts.s[sa.local_ts.n++] = selector_from_prefix(&here);
	sa.remote_ts.s[sa.remote_ts.n++] = selector_from_prefix(&there);
	assert_int_equal(secret_set(&sa.encr_key, key, sizeof(key)), 0);
	return sa;
}

static int setup(void **state)
{
	struct esp_sa out, in, back;
	int ret = core_setup(state);

	if (ret)
		return ret;
	core_route(PEER "/32", 1, "192.0.2.254");
	core_neigh(1, "192.0.2.254", &core_gw_mac);
	core_neigh(0, "10.1.0.9", &core_host_mac);
	core_route("10.2.0.0/16", 1, "192.0.2.254"); // for the mirror's way
	assert_int_equal(dp_tunnel_add(&core.dp, "lab.net", &tunnel), 0);
	assert_int_equal(dp_tunnel_add(&core.dp, "mirror", &mirror), 0);
	out = make_sa(SPI, true);
	assert_int_equal(dp_tunnel_set_out(&core.dp, tunnel, &out, NULL), 0);
	assert_int_equal(dp_sa_in_reserve(&core.dp, &spi_in), 0);
	in = make_sa(spi_in, true);
	back = make_sa(spi_in, false);
	assert_int_equal(dp_sa_in_publish(&core.dp, tunnel, &in, NULL), 0);
	assert_int_equal(dp_tunnel_set_out(&core.dp, mirror, &back, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	dp_capture_end(&core.dp);
	return core_teardown(state);
}

static void start(const struct dp_capture_params *p)
{
	struct error err = {0};

	assert_int_equal(dp_capture_start(&core.dp, p, &err), 0);
}

static void start_all(void)
{
	start(&(struct dp_capture_params){.sample = 1});
}

// The next copy, which must be of that point.
static struct dp_capture_packet expect(enum dp_capture_point point)
{
	struct dp_capture_packet p;

	assert_true(dp_capture_next(&core.dp, &p));
	assert_int_equal(p.point, point);
	return p;
}

static void expect_none(void)
{
	struct dp_capture_packet p;

	assert_false(dp_capture_next(&core.dp, &p));
}

static struct rte_mbuf *frame_out(uint16_t payload_len)
{
	static uint8_t large[3000];

	return core_frame(&(struct packet){
		.src = "10.1.0.9",
		.dst = "10.2.0.9",
		.payload = payload_len > sizeof(payload) ? large : payload,
		.payload_len = payload_len,
	});
}

// A frame from port 0 through the stages up to the ports, as worker_step() calls them.
static void go_out(struct rte_mbuf *frame)
{
	struct batch in = {.n = 0}, self = {.n = 0};
	struct sorted s;

	core_put(&in, frame, 0, FROM_NIC);
	capture_received(core.w, SOURCE_NIC, &in);
	classify(core.w, &in, &s);
	for (uint16_t i = 0; i < s.transit.n; i++)
		s.transit.tunnel[i] = tunnel_get(&core.dp, tunnel);
	esp_out(core.w, &s.transit, &self);
	route(core.w, &s.transit);
	core_free(&self);
}

// What the peer sends: a frame with ESP at port 1, made while nobody captures.
static struct rte_mbuf *frame_in(void)
{
	struct batch b = {.n = 0}, self = {.n = 0};
	struct rte_ether_hdr *eth;

	core_put(&b,
		 core_bare(&(struct packet){.src = "10.2.0.9",
					    .dst = "10.1.0.9",
					    .payload = payload,
					    .payload_len = sizeof(payload)}),
		 1, FROM_NIC);
	b.tunnel[0] = tunnel_get(&core.dp, mirror);
	core_route("192.0.2.1/32", 1, NULL); // its path has an MTU
	esp_out(core.w, &b, &self);
	assert_int_equal(b.n, 1);
	eth = (struct rte_ether_hdr *)(void *)rte_pktmbuf_prepend(b.pkt[0], sizeof(*eth));
	memcpy(&eth->dst_addr, &core_port_mac[1], 6);
	memcpy(&eth->src_addr, &core_gw_mac, 6);
	eth->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	return b.pkt[0];
}

static uint16_t come_in(struct rte_mbuf *const *frame, unsigned n)
{
	struct batch in = {.n = 0};
	struct sorted s;
	uint16_t kept;

	for (unsigned i = 0; i < n; i++)
		core_put(&in, frame[i], 1, FROM_NIC);
	capture_received(core.w, SOURCE_NIC, &in);
	classify(core.w, &in, &s);
	esp_in(core.w, &s.esp);
	kept = s.esp.n;
	core_free(&s.esp);
	return kept;
}

static void free_sent(void)
{
	struct rte_mbuf *m;

	for (unsigned port = 0; port < 2; port++)
		while ((m = core_sent(port)) != NULL)
			rte_pktmbuf_free(m);
}

static bool contains(const struct dp_capture_packet *p)
{
	return memmem(p->data, p->cap_len, payload, 17) != NULL;
}

static void test_one_packet_before_and_after_encryption(void **state)
{
	struct dp_capture_packet p;
	struct timespec now;
	uint64_t id, before, after;

	(void)state;
	clock_gettime(CLOCK_REALTIME, &now);
	before = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	start_all();
	go_out(frame_out(sizeof(payload)));
	p = expect(DP_CAPTURE_RX);
	id = p.id;
	assert_int_not_equal(id, 0);
	assert_true(p.ethernet && contains(&p));
	assert_int_equal(p.number, 0);
	assert_int_equal(p.tunnel, DP_TUNNEL_NONE);
	assert_int_equal(p.len, 14 + 20 + 8 + sizeof(payload));
	assert_int_equal(p.cap_len, p.len);
	assert_true(p.time_ns >= before);

	p = expect(DP_CAPTURE_PLAIN_OUT);
	assert_int_equal(p.id, id);
	assert_true(!p.ethernet && contains(&p));
	assert_int_equal(p.tunnel, tunnel);
	assert_int_equal(p.spi, SPI);
	assert_int_equal(p.len, 20 + 8 + sizeof(payload));

	p = expect(DP_CAPTURE_ESP_OUT);
	assert_int_equal(p.id, id);
	assert_false(p.ethernet || contains(&p));
	assert_int_equal(packet_esp_spi(p.data, p.cap_len), SPI);
	clock_gettime(CLOCK_REALTIME, &now);
	after = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	assert_true(p.time_ns <= after);
	expect_none();
	free_sent();
}

static void test_frames_as_they_leave(void **state)
{
	struct rte_mbuf *m = frame_out(sizeof(payload));
	struct dp_capture_packet p;

	(void)state;
	start_all();
	capture_frames(core.w, DP_CAPTURE_TX, 1, &m, 1);
	p = expect(DP_CAPTURE_TX);
	assert_true(p.ethernet);
	assert_int_equal(p.number, 1);
	m->port = DP_IFACE_FIRST; // a tunnel interface takes bare packets
	capture_frames(core.w, DP_CAPTURE_TO_LINUX, CAPTURE_BY_MBUF, &m, 1);
	p = expect(DP_CAPTURE_TO_LINUX);
	assert_false(p.ethernet);
	assert_int_equal(p.number, DP_IFACE_FIRST);
	rte_pktmbuf_free(m);
}

static void test_one_packet_before_and_after_decryption(void **state)
{
	struct rte_mbuf *frame = frame_in();
	struct dp_capture_packet p;
	uint64_t id;

	(void)state;
	start_all();
	assert_int_equal(come_in(&frame, 1), 1);
	p = expect(DP_CAPTURE_RX);
	id = p.id;
	assert_false(contains(&p));
	assert_int_equal(p.tunnel, tunnel); // its SPI says so
	assert_int_equal(p.spi, spi_in);
	p = expect(DP_CAPTURE_PLAIN_IN);
	assert_int_equal(p.id, id);
	assert_true(contains(&p));
	assert_int_equal(p.len, 20 + 8 + sizeof(payload));
	expect_none();
}

// What stands behind the headers has been XORed with the key stream: whoever sends zeros could read
// it from the file.
static void test_a_forged_packet_is_cut_behind_its_headers(void **state)
{
	struct rte_mbuf *frame = frame_in();
	const uint32_t len = frame->pkt_len;
	struct dp_capture_packet p;

	(void)state;
	*rte_pktmbuf_mtod_offset(frame, uint8_t *, len - 1) ^= 1;
	start_all();
	assert_int_equal(come_in(&frame, 1), 0);
	p = expect(DP_CAPTURE_RX);
	assert_int_equal(p.cap_len, len);
	p = expect(DP_CAPTURE_DROP);
	assert_int_equal(p.reason, DROP_ESP_AUTH);
	assert_int_equal(p.tunnel, tunnel);
	assert_int_equal(p.cap_len, 20 + 8);
	assert_int_equal(p.len, len - 14);
	assert_int_equal(packet_esp_spi(p.data, p.cap_len), spi_in);
	expect_none();
	assert_int_equal(core_dropped(DROP_ESP_AUTH), 1);
}

static void test_a_drop_after_decryption_shows_what_was_inside(void **state)
{
	struct rte_mbuf *frame[2] = {frame_in()};
	struct dp_capture_packet p;

	(void)state;
	frame[1] = frame_in(); // from here on a copy of the first
	memcpy(rte_pktmbuf_mtod(frame[1], void *), rte_pktmbuf_mtod(frame[0], void *),
	       frame[0]->pkt_len);
	start(&(struct dp_capture_params){.sample = 1, .only_drops = true});
	assert_int_equal(come_in(frame, 2), 1);
	p = expect(DP_CAPTURE_DROP);
	assert_int_equal(p.reason, DROP_ESP_REPLAY);
	assert_true(!p.ethernet && contains(&p));
	assert_int_equal(p.data[0], 0x45);
	assert_int_equal(p.spi, spi_in);
	expect_none();
}

static void test_drops_of_frames_and_of_packets(void **state)
{
	struct rte_mbuf *m = core_frame(
		&(struct packet){.src = "10.1.0.9", .dst = "10.2.0.9", .to = &core_host_mac});
	struct dp_capture_packet p;

	(void)state;
	start_all();
	go_out(m);
	expect(DP_CAPTURE_RX);
	p = expect(DP_CAPTURE_DROP);
	assert_int_equal(p.reason, DROP_RX_OTHER_MAC);
	assert_true(p.ethernet);
	m = core_frame(
		&(struct packet){.src = "10.1.0.9", .dst = "10.2.0.9", .bad_checksum = true});
	go_out(m);
	expect(DP_CAPTURE_RX);
	p = expect(DP_CAPTURE_DROP);
	assert_int_equal(p.reason, DROP_RX_MALFORMED);
	assert_false(p.ethernet);
	expect_none();
}

static void test_a_filter_that_fits_later_follows_from_there(void **state)
{
	const struct dp_capture_params by_tunnel = {
		.sample = 1,
		.filter = {.by_tunnel = true, .tunnel = tunnel},
	};
	const struct dp_capture_params by_peer = {
		.sample = 1,
		.filter = {.peer = core_addr(PEER)},
	};
	const struct dp_capture_params by_spi = {.sample = 1, .filter = {.spi = SPI}};
	const struct dp_capture_params *const params[] = {&by_tunnel, &by_peer, &by_spi};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		uint64_t id;

		start(params[i]);
		go_out(frame_out(sizeof(payload)));
		id = expect(DP_CAPTURE_PLAIN_OUT).id;
		assert_int_equal(expect(DP_CAPTURE_ESP_OUT).id, id);
		expect_none();
		dp_capture_end(&core.dp);
	}
	free_sent();
}

static void test_a_filter_that_never_fits(void **state)
{
	const struct dp_capture_params others[] = {
		{.sample = 1, .filter = {.by_tunnel = true, .tunnel = mirror}},
		{.sample = 1, .filter = {.peer = core_addr("198.51.100.3")}},
		{.sample = 1, .filter = {.spi = SPI + 1}},
		{.sample = 1, .filter = {.by_port = true, .port = 1}},
		{.sample = 1, .only_drops = true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		start(&others[i]);
		go_out(frame_out(sizeof(payload)));
		expect_none();
		dp_capture_end(&core.dp);
	}
	free_sent();
}

static void test_the_tunnel_of_a_packet_that_is_dropped_for_want_of_an_sa(void **state)
{
	struct dp_capture_packet p;

	(void)state;
	assert_int_equal(dp_tunnel_clear_out(&core.dp, tunnel, SPI), 0);
	start(&(struct dp_capture_params){
		.sample = 1,
		.only_drops = true,
		.filter = {.by_tunnel = true, .tunnel = tunnel},
	});
	go_out(frame_out(sizeof(payload)));
	p = expect(DP_CAPTURE_DROP);
	assert_int_equal(p.reason, DROP_NO_SA);
	assert_int_equal(p.tunnel, tunnel);
	assert_int_equal(p.number, 0);
	expect_none();
}

static void test_every_third_packet_and_all_of_its_points(void **state)
{
	unsigned n = 0;
	struct dp_capture_packet p;

	(void)state;
	start(&(struct dp_capture_params){.sample = 3, .snap_len = 30});
	for (unsigned i = 0; i < 9; i++)
		go_out(frame_out(sizeof(payload)));
	for (; dp_capture_next(&core.dp, &p); n++) {
		assert_int_equal(p.point, n % 3 == 0   ? DP_CAPTURE_RX
					  : n % 3 == 1 ? DP_CAPTURE_PLAIN_OUT
						       : DP_CAPTURE_ESP_OUT);
		assert_int_equal(p.cap_len, 30);
		assert_true(p.len > 30);
	}
	assert_int_equal(n, 9);
	free_sent();
}

static void test_pieces_of_a_packet_share_its_number(void **state)
{
	struct rte_mbuf *m = frame_out(1400); // more than port 1 takes with ESP around
	struct dp_capture_packet p;
	uint64_t id;

	(void)state;
	start_all();
	go_out(m);
	id = expect(DP_CAPTURE_RX).id;
	for (enum dp_capture_point point = DP_CAPTURE_PLAIN_OUT; point <= DP_CAPTURE_ESP_OUT;
	     point++)
		for (unsigned i = 0; i < 2; i++) {
			p = expect(point);
			assert_int_equal(p.id, id);
			assert_int_equal(p.tunnel, tunnel);
		}
	expect_none();
	free_sent();
}

static void test_pieces_of_ipv6_too(void **state)
{
	const struct packet p = {.src = "10.1.0.9", .dst = "10.2.0.9", .payload_len = 1000};
	struct rte_mbuf *m = core_frame(&p);
	struct batch one = {.n = 0}, pieces;
	uint64_t id;

	(void)state;
	*rte_pktmbuf_mtod_offset(m, uint8_t *, 14) = 0x60; // as far as cutting goes
	core_put(&one, m, 0, FROM_NIC);
	start_all();
	capture_received(core.w, SOURCE_NIC, &one);
	id = expect(DP_CAPTURE_RX).id;
	rte_pktmbuf_adj(m, 14);
	assert_int_equal(frag6_cut(core.w, &one, 0, 600, &pieces), 0);
	assert_int_equal(pieces.n, 2);
	capture_batch(core.w, DP_CAPTURE_ESP_OUT, &pieces);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(expect(DP_CAPTURE_ESP_OUT).id, id);
	core_free(&pieces);
}

// A fragment to us of 1480 bytes; there are two of a packet.
static void receive_fragment(unsigned which, struct sorted *s)
{
	static const uint8_t data[1480];
	struct batch in = {.n = 0};

	core_put(&in,
		 core_frame(&(struct packet){.src = "10.1.0.9",
					     .dst = "10.1.0.1",
					     .proto = IPPROTO_ESP,
					     .frag = which == 0 ? RTE_IPV4_HDR_MF_FLAG : 185,
					     .payload = data,
					     .payload_len = sizeof(data)}),
		 0, FROM_NIC);
	capture_received(core.w, SOURCE_NIC, &in);
	classify(core.w, &in, s);
}

// The whole, in a buffer of its own, is followed as its first fragment was; what does not get whole
// is seen to be dropped, fragment by fragment.
static void test_fragments_of_a_packet(void **state)
{
	static struct rte_mbuf *taken[64];
	struct dp_capture_packet p;
	struct sorted s;
	unsigned n = 0;
	uint64_t id;

	(void)state;
	start_all();
	receive_fragment(0, &s);
	id = expect(DP_CAPTURE_RX).id;
	receive_fragment(1, &s);
	expect(DP_CAPTURE_RX);
	assert_int_equal(s.esp.n, 1);
	capture_batch(core.w, DP_CAPTURE_PLAIN_IN, &s.esp);
	assert_int_equal(expect(DP_CAPTURE_PLAIN_IN).id, id);
	core_free(&s.esp);

	while ((taken[n] = rte_pktmbuf_alloc(core.dp.large_pool)) != NULL)
		n++;
	receive_fragment(0, &s);
	id = expect(DP_CAPTURE_RX).id;
	receive_fragment(1, &s);
	expect(DP_CAPTURE_RX);
	p = expect(DP_CAPTURE_DROP);
	assert_int_equal(p.reason, DROP_NO_MBUF);
	assert_int_equal(p.id, id);
	rte_pktmbuf_free_bulk(taken, n);

	receive_fragment(1, &s);
	id = expect(DP_CAPTURE_RX).id;
	core.w->now_tsc += core.dp.tsc_hz * 2;
	reass_expire(core.w);
	p = expect(DP_CAPTURE_DROP);
	assert_int_equal(p.reason, DROP_FRAGMENT);
	assert_int_equal(p.id, id);
	assert_int_equal(p.data[0], 0x45);
	expect_none();
}

static void test_marks_of_an_earlier_capture_mean_nothing(void **state)
{
	struct rte_mbuf *m = frame_out(sizeof(payload));
	struct batch b = {.n = 0};

	(void)state;
	core_put(&b, m, 0, FROM_NIC);
	start_all();
	capture_received(core.w, SOURCE_NIC, &b);
	expect(DP_CAPTURE_RX);
	dp_capture_end(&core.dp);
	start(&(struct dp_capture_params){.sample = 1, .filter = {.spi = 1000}});
	capture_frames(core.w, DP_CAPTURE_TX, 1, &m, 1);
	expect_none();
	dp_capture_end(&core.dp);
	assert_false(worker_captures(core.w));
	capture_frames(core.w, DP_CAPTURE_TX, 1, &m, 1); // harmless
	core_free(&b);
}

// Every free buffer has been a packet that was captured. The number of the last one.
static uint64_t mark_all_buffers(void)
{
	static struct rte_mbuf *taken[1 << 16];
	struct dp_capture_packet p;
	unsigned n = 0;
	uint64_t id;

	while (n < RTE_DIM(taken) && (taken[n] = rte_pktmbuf_alloc(core.dp.pool)) != NULL) {
		rte_pktmbuf_append(taken[n], 20);
		capture_made(core.w, taken[n]);
		capture_frames(core.w, DP_CAPTURE_TX, 1, &taken[n++], 1);
	}
	assert_in_range(n, 1, RTE_DIM(taken) - 1);
	while (dp_capture_next(&core.dp, &p)) // and some had no room
		;
	capture_frames(core.w, DP_CAPTURE_TX, 1, &taken[n - 1], 1);
	id = expect(DP_CAPTURE_TX).id;
	rte_pktmbuf_free_bulk(taken, n);
	return id;
}

static void test_what_we_make_is_a_packet_of_its_own(void **state)
{
	static const uint8_t head6[40] = {0x60, [5] = 8,  [6] = 99, 64, 0x20, 1,    0x0d,
					  0xb8, [23] = 9, 0x20,	    1,	0x0d, 0xb8, [29] = 1};
	const struct packet p = {.src = "10.1.0.9", .dst = "10.2.0.9", .payload_len = 20};
	struct rte_mbuf *about[] = {core_bare(&p), core_bare(&p)};

	(void)state;
	assert_int_equal(about[1]->data_len, sizeof(head6) + 8);
	memcpy(rte_pktmbuf_mtod(about[1], void *), head6, sizeof(head6));
	about[1]->port = 0;
	start_all();
	core.w->icmp_tokens = 2;
	for (unsigned i = 0; i < 2; i++) {
		const uint64_t id = mark_all_buffers();
		struct rte_mbuf *m = i == 0 ? icmp_error(core.w, about[0], 3, 4, 1300,
							 rte_cpu_to_be_32(0x0a010001))
					    : icmp6_error(core.w, about[1], ICMP6_TOO_BIG, 0, 1300);

		assert_non_null(m);
		capture_frames(core.w, DP_CAPTURE_TX, 1, &m, 1);
		assert_true(expect(DP_CAPTURE_TX).id > id);
		rte_pktmbuf_free(m);
		rte_pktmbuf_free(about[i]);
	}
}

static void test_a_dummy_is_a_packet_of_its_own(void **state)
{
	uint64_t id;

	(void)state;
	assert_int_equal(tfc_set(&core.dp, tunnel_get(&core.dp, tunnel), 1000), 0);
	start_all();
	id = mark_all_buffers();
	core.w->now_tsc += core.dp.tsc_hz;
	tfc_send(core.w);
	core.w->now_tsc += core.dp.tsc_hz;
	tfc_send(core.w);
	assert_true(expect(DP_CAPTURE_PLAIN_OUT).id > id);
	tfc_set(&core.dp, tunnel_get(&core.dp, tunnel), 0);
	free_sent();
}

static void test_what_finds_no_room_is_counted_and_said(void **state)
{
	struct rte_mbuf *m = frame_out(1000);
	uint64_t given = 0, got = 0, said = 0;
	struct dp_capture_packet p;

	(void)state;
	start_all();
	while (dp_capture_lost(&core.dp) < 5) {
		capture_frames(core.w, DP_CAPTURE_TX, 1, &m, 1);
		given++;
	}
	while (dp_capture_next(&core.dp, &p)) {
		assert_int_equal(p.lost, 0);
		got++;
	}
	assert_int_equal(got, given - 5);
	assert_true(got * 1000 > CAPTURE_RING_LEN / 2);
	capture_frames(core.w, DP_CAPTURE_TX, 1, &m, 1);
	capture_frames(core.w, DP_CAPTURE_TX, 1, &m, 1);
	while (dp_capture_next(&core.dp, &p))
		said += p.lost;
	assert_int_equal(said, 5);
	rte_pktmbuf_free(m);
}

static void test_one_at_a_time_and_what_is_left_can_be_read(void **state)
{
	const struct dp_capture_params all = {.sample = 1};
	struct error err = {0};

	(void)state;
	start_all();
	assert_int_equal(dp_capture_start(&core.dp, &all, &err), -EBUSY);
	assert_non_null(strstr(err.text, "under way"));
	go_out(frame_out(sizeof(payload)));
	dp_capture_stop(&core.dp);
	go_out(frame_out(sizeof(payload)));
	expect(DP_CAPTURE_RX);
	expect(DP_CAPTURE_PLAIN_OUT);
	expect(DP_CAPTURE_ESP_OUT);
	expect_none();
	dp_capture_end(&core.dp);
	expect_none();
	free_sent();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(test_one_packet_before_and_after_encryption),
		TEST(test_frames_as_they_leave),
		TEST(test_one_packet_before_and_after_decryption),
		TEST(test_a_forged_packet_is_cut_behind_its_headers),
		TEST(test_a_drop_after_decryption_shows_what_was_inside),
		TEST(test_drops_of_frames_and_of_packets),
		TEST(test_a_filter_that_fits_later_follows_from_there),
		TEST(test_a_filter_that_never_fits),
		TEST(test_the_tunnel_of_a_packet_that_is_dropped_for_want_of_an_sa),
		TEST(test_every_third_packet_and_all_of_its_points),
		TEST(test_pieces_of_a_packet_share_its_number),
		TEST(test_pieces_of_ipv6_too),
		TEST(test_fragments_of_a_packet),
		TEST(test_marks_of_an_earlier_capture_mean_nothing),
		TEST(test_what_we_make_is_a_packet_of_its_own),
		TEST(test_a_dummy_is_a_packet_of_its_own),
		TEST(test_what_finds_no_room_is_counted_and_said),
		TEST(test_one_at_a_time_and_what_is_left_can_be_read),
	};

	return cmocka_run_group_tests(tests, core_group_setup, core_group_teardown);
}
