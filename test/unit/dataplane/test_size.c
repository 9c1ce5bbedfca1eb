// Fragments to ourselves, and what routers say of the way to a peer.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_icmp.h>
#include <rte_udp.h>

#include "core.h"
#include "dataplane/icmp.h"
#include "dataplane/pmtu.h"
#include "dataplane/reass.h"
#include "dataplane/tunnel.h"

#define PEER "198.51.100.31" // whose places in the table begin at its last one
#define SPI  0xc0ffee01u

// ---- fragments ----

static uint8_t content[8 * 1600]; // behind the IP header of the whole packet
static struct sorted sorted;

static void free_sorted(void)
{
	core_free(&sorted.punt);
	core_free(&sorted.local);
	core_free(&sorted.esp);
}

// One fragment of the packet whose content is above, as a frame.
static struct rte_mbuf *fragment(uint8_t proto, uint16_t id, uint16_t from, uint16_t to, bool more)
{
	struct packet p = {
		.src = "10.1.0.9",
		.dst = "10.1.0.1",
		.proto = proto,
		.frag = (uint16_t)(from / 8 | (more ? RTE_IPV4_HDR_MF_FLAG : 0)),
		.payload = content + from,
		.payload_len = (uint16_t)(to - from),
	};
	struct rte_ipv4_hdr *ip;
	struct rte_mbuf *m;

	// core_frame would make a UDP header for the first one; it is in `content` already.
	if (proto == IPPROTO_UDP)
		p.proto = IPPROTO_ESP;
	m = core_frame(&p);
	ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, RTE_ETHER_HDR_LEN);
	ip->packet_id = id;
	ip->next_proto_id = proto;
	ip->hdr_checksum = 0;
	ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, sizeof(*ip));
	return m;
}

static void receive(struct rte_mbuf *m)
{
	struct batch in = {.n = 0};

	m->l2_len = RTE_ETHER_HDR_LEN; // what a driver may have left there
	core_put(&in, m, 0, FROM_NIC);
	classify(core.w, &in, &sorted);
}

static void put(uint8_t proto, uint16_t id, uint16_t from, uint16_t to, bool more)
{
	receive(fragment(proto, id, from, to, more));
}

static void fill_content(uint16_t dst_port, bool marker)
{
	const struct rte_udp_hdr udp = {.src_port = rte_cpu_to_be_16(4500),
					.dst_port = rte_cpu_to_be_16(dst_port)};

	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (uint8_t)(i * 31 + i / 256);
	memcpy(content, &udp, sizeof(udp));
	memset(content + 8, marker ? 0 : 0x77, 4);
}

static void check_whole(const struct batch *b, size_t len)
{
	const struct rte_mbuf *m;
	const struct rte_ipv4_hdr *ip;

	assert_int_equal(b->n, 1);
	m = b->pkt[0];
	ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	assert_int_equal(m->nb_segs, 1);
	assert_int_equal(m->port, b->port[0]);
	assert_int_equal(m->data_len, 20 + len);
	assert_int_equal(m->pkt_len, 20 + len);
	assert_int_equal(rte_be_to_cpu_16(ip->total_length), 20 + len);
	assert_int_equal(ip->fragment_offset, 0);
	assert_int_equal(rte_raw_cksum(ip, 20), 0xffff);
	assert_memory_equal(ip + 1, content, len);
	// punt() takes one step back to the Ethernet header of the first fragment.
	assert_memory_equal(rte_pktmbuf_mtod(m, const uint8_t *) - 14, &core_port_mac[0], 6);
}

static void test_put_together(void **state)
{
	static const struct {
		uint8_t proto;
		uint16_t port;
		bool marker;
		const char *why;
	} rows[] = {{IPPROTO_ESP, 0, false, "ESP"},
		    {IPPROTO_UDP, 4500, false, "ESP in UDP"},
		    {IPPROTO_UDP, 4500, true, "IKE on port 4500"},
		    {IPPROTO_UDP, 500, false, "IKE on port 500"},
		    {IPPROTO_UDP, 53, false, "any other datagram"}};

	(void)state;
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		const bool esp = rows[r].port == 0 || (rows[r].port == 4500 && !rows[r].marker);

		fill_content(rows[r].port, rows[r].marker);
		put(rows[r].proto, 1, 0, 1480, true);
		assert_int_equal(sorted.esp.n + sorted.punt.n + sorted.local.n, 0);
		put(rows[r].proto, 1, 1480, 1576, false);
		check_whole(esp			 ? &sorted.esp
			    : rows[r].port == 53 ? &sorted.local
						 : &sorted.punt,
			    1576);
		free_sorted();
	}
	assert_int_equal(counter_read(&core.w->whole_packets), 5);
	assert_int_equal(counter_read(&core.w->whole_pieces), 10);
	assert_int_equal(core_dropped_total(), 0);
}

static void test_order_does_not_matter(void **state)
{
	static const uint8_t orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {2, 0, 1}};
	static const uint16_t at[] = {0, 480, 960, 1440};

	(void)state;
	fill_content(0, false);
	for (uint16_t o = 0; o < 4; o++) {
		for (unsigned k = 0; k < 3; k++) {
			const uint8_t f = orders[o][k];

			put(IPPROTO_ESP, o, at[f], at[f + 1], f != 2);
		}
		check_whole(&sorted.esp, 1440);
		free_sorted();
	}
	assert_int_equal(core_dropped_total(), 0);
}

// Router alert behind the IP header of a frame; false without room.
static bool add_option(struct rte_mbuf *m)
{
	uint8_t *frame = (uint8_t *)rte_pktmbuf_prepend(m, 4);
	uint16_t len;

	if (frame == NULL)
		return false;
	memmove(frame, frame + 4, 34);
	memcpy(frame + 34, "\x94\x04\0\0", 4);
	len = (uint16_t)((frame[16] << 8 | frame[17]) + 4);
	frame[14] = 0x46;
	frame[16] = (uint8_t)(len >> 8);
	frame[17] = (uint8_t)len;
	memset(frame + 24, 0, 2);
	*(uint16_t *)(void *)(frame + 24) = (uint16_t)~rte_raw_cksum(frame + 14, 24);
	return true;
}

// A header with options, which the whole packet has from the first fragment.
static void test_options(void **state)
{
	const uint8_t *ip;

	(void)state;
	fill_content(0, false);
	for (uint16_t i = 0; i < 2; i++) {
		struct rte_mbuf *m = fragment(IPPROTO_ESP, 1, (uint16_t)(i * 480),
					      (uint16_t)(480 + i * 100), !i);

		assert_true(add_option(m));
		receive(m);
	}
	assert_int_equal(sorted.esp.n, 1);
	ip = rte_pktmbuf_mtod(sorted.esp.pkt[0], const uint8_t *);
	assert_int_equal(sorted.esp.pkt[0]->data_len, 24 + 580);
	assert_int_equal(rte_raw_cksum(ip, 24), 0xffff);
	assert_memory_equal(ip + 24, content, 580);
	free_sorted();
}

static void put_large(uint16_t id, uint16_t each)
{
	for (uint16_t i = 0; i < 8; i++)
		put(IPPROTO_ESP, id, (uint16_t)(i * each), (uint16_t)((i + 1) * each), i != 7);
}

// Larger than the buffers of the ports.
static void test_large(void **state)
{
	static struct rte_mbuf *taken[64];
	unsigned n = 0;

	(void)state;
	fill_content(0, false);
	put_large(7, 1480);
	check_whole(&sorted.esp, 8 * 1480);
	free_sorted();
	assert_int_equal(core_dropped_total(), 0);
	put_large(8, 1600); // larger than those for such packets
	assert_int_equal(core_dropped(DROP_NO_MBUF), 8);
	// There are few of those: what fits an ordinary buffer needs none.
	while ((taken[n] = rte_pktmbuf_alloc(core.dp.large_pool)) != NULL)
		n++;
	put_large(9, 1480);
	assert_int_equal(core_dropped(DROP_NO_MBUF), 16);
	put_large(10, 160);
	check_whole(&sorted.esp, 8 * 160);
	free_sorted();
	rte_pktmbuf_free_bulk(taken, n);
	assert_int_equal(core_dropped_total(), 16);
}

static void test_what_never_gets_whole(void **state)
{
	(void)state;
	fill_content(0, false);
	put(IPPROTO_ESP, 1, 0, 1480, true);
	put(IPPROTO_ESP, 2, 1480, 1576, false); // of another packet
	core.w->now_tsc += core.dp.tsc_hz / 1000 * (REASS_MS + 200);
	reass_expire(core.w);
	assert_int_equal(core_dropped(DROP_FRAGMENT), 2);
	put(IPPROTO_ESP, 1, 1480, 1576, false); // too late
	assert_int_equal(sorted.esp.n, 0);
	core.w->now_tsc += core.dp.tsc_hz / 1000 * (REASS_MS + 200);
	reass_expire(core.w);
	assert_int_equal(core_dropped(DROP_FRAGMENT), 3);
	assert_int_equal(core_dropped_total(), 3);
}

// RFC 5722 in spirit: what overlaps is not joined, and nothing is lost from the count.
static void test_lies(void **state)
{
	unsigned n = 0;

	(void)state;
	fill_content(0, false);
	put(IPPROTO_ESP, 1, 0, 1480, true);
	put(IPPROTO_ESP, 1, 1472, 1576, false);
	assert_int_equal(sorted.esp.n, 0);
	for (uint16_t i = 0; i < 12; i++, n++) // more pieces than are taken
		put(IPPROTO_ESP, 2, (uint16_t)(i * 8), (uint16_t)(i * 8 + 8), true);
	// All the bytes, but in the wrong places: found out when two are joined already.
	put(IPPROTO_ESP, 3, 0, 24, true);
	put(IPPROTO_ESP, 3, 48, 64, false);
	put(IPPROTO_ESP, 3, 40, 48, true);
	put(IPPROTO_ESP, 3, 16, 32, true);
	n += 4;
	for (uint16_t i = 0; i < 600; i++, n++) // more packets than are kept
		put(IPPROTO_ESP, (uint16_t)(100 + i), 0, 8, true);
	assert_in_range(rte_mempool_in_use_count(core.dp.pool), REASS_PACKETS - 16,
			REASS_PACKETS + 16);
	assert_int_equal(sorted.esp.n, 0);
	core.w->now_tsc += core.dp.tsc_hz * 2;
	reass_expire(core.w);
	assert_int_equal(core_dropped(DROP_FRAGMENT), 2 + n);
	assert_int_equal(core_dropped_total(), 2 + n);
}

// What strangers leave unfinished is in no peer's way.
static void test_strangers_do_not_take_peers_room(void **state)
{
	struct dp_guard_peer peer;
	unsigned whole = 0;

	(void)state;
	fill_content(0, false);
	for (uint16_t i = 0; i < 600; i++)
		put(IPPROTO_ESP, (uint16_t)(1000 + i), 0, 8, true);
	for (uint16_t i = 0; i < 64; i++) { // their own others
		put(IPPROTO_ESP, i, 0, 1480, true);
		put(IPPROTO_ESP, i, 1480, 1576, false);
		whole += sorted.esp.n;
		free_sorted();
	}
	assert_true(whole < 64);
	peer.lo = peer.hi = core_addr("10.1.0.9");
	assert_int_equal(dp_guard_set_peers(&core.dp, &peer, 1), 0);
	for (uint16_t i = 0; i < 64; i++) {
		put(IPPROTO_ESP, i, 0, 1480, true);
		put(IPPROTO_ESP, i, 1480, 1576, false);
		check_whole(&sorted.esp, 1576);
		free_sorted();
	}
	put(IPPROTO_ESP, 64, 0, 8, true); // a peer's may stay unfinished as well
	core.w->now_tsc += core.dp.tsc_hz * 2;
	reass_expire(core.w);
	assert_int_equal(core_dropped_total(), 600 + 2 * (64 - whole) + 1);
}

// Nor in the way of what Linux has cut and transport mode takes whole.
static void test_strangers_do_not_take_linuxs_room(void **state)
{
	unsigned whole = 0;

	(void)state;
	fill_content(0, false);
	for (uint16_t i = 0; i < 600; i++)
		put(IPPROTO_ESP, (uint16_t)(1000 + i), 0, 8, true);
	for (uint16_t i = 0; i < 128; i++) {
		const bool first = i % 2 == 0;
		struct rte_mbuf *m =
			fragment(IPPROTO_ESP, i / 2, first ? 0 : 1480, first ? 1480 : 1576, first);

		rte_pktmbuf_adj(m, RTE_ETHER_HDR_LEN);
		m = reass_put(core.w, m, true);
		whole += m != NULL;
		rte_pktmbuf_free(m);
	}
	assert_int_equal(whole, 64);
	core.w->now_tsc += core.dp.tsc_hz * 2;
	reass_expire(core.w);
	assert_int_equal(core_dropped_total(), 600);
}

// With several workers one of them, the same for all fragments, puts the packet together.
static void test_one_worker_gets_all_fragments(void **state)
{
	unsigned here = 0, there = 0;

	(void)state;
	fill_content(0, false);
	core.workers[1] = core.w; // whose ring shows what it was handed
	core.dp.n_workers = 2;
	core.w->id = 0;
	for (uint16_t id = 0; id < 64; id++) {
		unsigned handed;

		put(IPPROTO_ESP, id, 0, 1480, true);
		put(IPPROTO_ESP, id, 1480, 1576, false);
		handed = rte_ring_count(core.w->handover) - 2 * there;
		assert_true(handed == 0 || handed == 2);
		there += handed / 2;
		here += sorted.esp.n;
		free_sorted();
	}
	assert_true(here > 10 && there > 10);
	assert_int_equal(here + there, 64);
	// The other one joins what it was handed.
	core.w->id = 1;
	for (unsigned i = 0; i < there; i++) {
		void *m[2];
		struct batch in = {.n = 0};

		assert_int_equal(rte_ring_dequeue_bulk(core.w->handover, m, 2, NULL), 2);
		core_put(&in, m[0], 0, FROM_TUNNEL);
		core_put(&in, m[1], 0, FROM_TUNNEL);
		classify(core.w, &in, &sorted);
		check_whole(&sorted.esp, 1576);
		assert_int_equal(sorted.esp.origin[0], FROM_NIC);
		free_sorted();
	}
	core.w->id = 0;
	core.dp.n_workers = 1;
	assert_int_equal(core_dropped_total(), 0);
}

// ---- path MTU ----

static uint32_t tunnel;

static void make_tunnel(bool udp)
{
	static const uint8_t key[20] = {1, 2, 3};
	const struct ip_addr local = core_addr("192.0.2.1"), remote = core_addr(PEER);
	struct ip_prefix any;
	struct esp_sa sa = {
		.spi = SPI,
		.encr = {TRANSFORM_ENCR, ENCR_AES_GCM_16, 128},
		.integ = {TRANSFORM_INTEG, INTEG_NONE, 0},
		.udp_encap = udp,
		.local = {local, udp ? 4500 : 0},
		.remote = {remote, udp ? 4500 : 0},
		.replay_window = ESP_REPLAY_WINDOW_DEFAULT,
	};

	assert_int_equal(ip_prefix_parse("0.0.0.0/0", &any), 0);
	sa.local_ts.n = sa.remote_ts.n = 1;
	sa.local_ts.s[0] = sa.remote_ts.s[0] = selector_from_prefix(&any);
	assert_int_equal(secret_set(&sa.encr_key, key, sizeof(key)), 0);
	assert_int_equal(dp_tunnel_add(&core.dp, "site-b", &tunnel), 0);
	assert_int_equal(dp_tunnel_set_out(&core.dp, tunnel, &sa, NULL), 0);
	core_route("198.51.100.0/24", 1, "192.0.2.254");
}

struct too_big {
	uint16_t mtu, total_len;
	uint32_t spi; // 0: SPI
	bool udp;
	uint8_t type, code; // 0: 3, 4
	const char *quoted_src;
	bool bad_checksum;
	uint16_t cut;	  // bytes of the message, 0: 40; what follows in the frame is padding
	uint8_t at, byte; // at: which byte of the quoted packet, from 1 on, is another
	uint16_t offset;  // of the fragment that the message itself is
	bool option;	  // in front of the message
};

// The ICMP message as a router sends it, through classify(). It goes on to Linux in any case.
static void hear(const struct too_big *how)
{
	uint8_t data[8 + 20 + 12] = {how->type ? how->type : 3, how->code ? how->code : 4};
	const uint16_t len = how->cut ? how->cut : sizeof(data);
	const struct rte_ipv4_hdr quoted = {
		.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = rte_cpu_to_be_16(how->total_len ? how->total_len : 1400),
		.fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG),
		.next_proto_id = how->udp ? IPPROTO_UDP : IPPROTO_ESP,
		.src_addr = core_be32(how->quoted_src ? how->quoted_src : "192.0.2.1"),
		.dst_addr = core_be32(PEER),
	};
	const uint32_t spi_be = rte_cpu_to_be_32(how->spi ? how->spi : SPI);
	struct packet p = {.src = "203.0.113.7",
			   .dst = "192.0.2.1",
			   .proto = IPPROTO_ICMP,
			   .frag = (uint16_t)(how->offset | RTE_IPV4_HDR_DF_FLAG),
			   .len = (uint16_t)(20 + len),
			   .payload = data,
			   .payload_len = sizeof(data)};
	struct rte_mbuf *m;
	uint16_t sum;

	memset(data + 28, 0x55, 12); // what no SPI is
	data[6] = (uint8_t)(how->mtu >> 8);
	data[7] = (uint8_t)how->mtu;
	memcpy(data + 8, &quoted, sizeof(quoted));
	if (how->udp) {
		data[28] = 4500 >> 8;
		data[29] = 4500 & 0xff;
	}
	memcpy(data + 28 + (how->udp ? 8 : 0), &spi_be, sizeof(spi_be));
	if (how->at)
		data[8 + how->at - 1] = how->byte;
	sum = (uint16_t)~rte_raw_cksum(data, len);
	memcpy(data + 2, &sum, sizeof(sum));
	if (how->bad_checksum)
		data[2] ^= 1;
	core.w->now_tsc += core.dp.tsc_hz; // nothing is a repetition
	m = core_frame(&p);
	if (how->option)
		assert_true(add_option(m));
	receive(m);
	assert_int_equal(sorted.local.n, 1);
	free_sorted();
}

static bool learn(const struct too_big *how)
{
	const struct ip_addr peer = core_addr(PEER), router = core_addr("203.0.113.7");
	struct dp_event ev;

	hear(how);
	if (!core_event(&ev))
		return false;
	assert_int_equal(ev.type, DP_EV_PMTU);
	if (!pmtu_learn(&core.dp, &ev))
		return false;
	assert_int_equal(ev.tunnel, tunnel);
	assert_true(ip_addr_equal(&ev.addr, &peer));
	assert_true(ip_addr_equal(&ev.addr2, &router));
	return true;
}

static void test_a_router_is_believed(void **state)
{
	(void)state;
	for (unsigned udp = 0; udp < 2; udp++) {
		const struct too_big how = {.mtu = 1300, .udp = udp},
				     less = {.mtu = 600, .udp = udp},
				     more = {.mtu = 1200, .udp = udp};
		const uint16_t outer = (uint16_t)(udp ? 28 : 20);

		make_tunnel(udp);
		assert_int_equal(dp_tunnel_inner_mtu(&core.dp, tunnel), 1400 - outer - 34);
		assert_true(learn(&how));
		assert_int_equal(pmtu_to(&core.dp, core_be32(PEER)), 1300);
		assert_int_equal(dp_tunnel_inner_mtu(&core.dp, tunnel),
				 (1300 - outer - 32) / 4 * 4 - 2);
		assert_false(learn(&how)); // no news
		assert_true(learn(&less));
		assert_false(learn(&more)); // RFC 1191 3: never wider
		assert_int_equal(pmtu_to(&core.dp, core_be32(PEER)), 600);
		assert_int_equal(dp_tunnel_del(&core.dp, tunnel), 0);
		// RFC 1191 6.3: tried again after ten minutes
		for (unsigned i = 0; i < PMTU_SLOTS; i++)
			core.dp.pmtu->expires_tsc[i] = 1;
		pmtu_age(&core.dp);
		core.dp.pmtu->next_age_tsc = 0;
		assert_int_equal(pmtu_to(&core.dp, core_be32(PEER)), 1400);
	}
}

static void test_who_is_not_believed(void **state)
{
	static const struct {
		struct too_big how;
		const char *why;
		bool told; // control is told, and does not believe it
	} rows[] = {
		{{.mtu = 1300, .spi = SPI + 1},
		 "RFC 4301 8.2.1: an SPI that we do not send on",
		 true},
		{{.mtu = 1300, .type = 11}, "another type"},
		{{.mtu = 1300, .code = 3}, "another code"},
		{{.mtu = 1300, .quoted_src = "192.0.2.9"}, "not from us"},
		{{.mtu = 1300, .bad_checksum = true}, "checksum"},
		{{.mtu = 1500}, "wider than our own port", true},
		{{.mtu = 1300, .cut = 35}, "cut in front of the SPI's end"},
		{{.mtu = 1300, .cut = 16}, "cut in the IP header"},
		{{.mtu = 1300, .cut = 4}, "cut in its own header"},
		{{.mtu = 1300, .udp = true, .cut = 39}, "cut in front of the SPI's end behind UDP"},
		{{.mtu = 1300, .udp = true, .at = 22, .byte = 0}, "UDP from another port of ours"},
		{{.mtu = 1300, .at = 10, .byte = IPPROTO_TCP}, "another protocol"},
		{{.mtu = 1300, .at = 1, .byte = 0x65}, "another version"},
		{{.mtu = 1300, .at = 1, .byte = 0x44}, "a header of 16 bytes"},
		{{.mtu = 1300, .cut = 32, .at = 1, .byte = 0x47}, "cut in its options"},
		{{.mtu = 1300, .at = 1, .byte = 0x46}, "options in front of another SPI", true},
		{{.mtu = 1300, .at = 8, .byte = 1}, "a later fragment has no SPI"},
		{{.mtu = 1300, .at = 7, .byte = 1}, "nor has one far behind"},
		{{.mtu = 1300, .offset = 1}, "the message itself is a later fragment"},
		{{.mtu = 1300, .offset = 256}, "or one far behind"},
	};
	const struct too_big good = {.mtu = 1310, .option = true},
			     least = {.mtu = 1300, .cut = 36}; // RFC 792: eight bytes will do
	struct dp_event ev;

	(void)state;
	make_tunnel(false);
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		hear(&rows[r].how);
		if (core_event(&ev) != rows[r].told || (rows[r].told && pmtu_learn(&core.dp, &ev)))
			fail_msg("%s", rows[r].why);
	}
	assert_int_equal(pmtu_to(&core.dp, core_be32(PEER)), 1400);
	assert_true(learn(&good));
	assert_true(learn(&least));
	// Our own port may have become the narrower one.
	core.port[1].mtu = 1200;
	assert_int_equal(pmtu_to(&core.dp, core_be32(PEER)), 1200);
}

// RFC 1191 7: routers from before it name no MTU, and the next usual size is tried.
static void test_missing_values(void **state)
{
	static const uint16_t sizes[] = {9000, 8166, 4352, 2002, 1492, 1006, PMTU_MIN};

	(void)state;
	make_tunnel(false);
	core.port[1].mtu = sizes[0];
	for (unsigned i = 1; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const struct too_big old = {.mtu = 0, .total_len = sizes[i - 1]};

		assert_true(learn(&old));
		assert_int_equal(pmtu_to(&core.dp, core_be32(PEER)), sizes[i]);
	}
}

static void test_small_values(void **state)
{
	const struct too_big small = {.mtu = PMTU_MIN + 1}, tiny = {.mtu = 68},
			     old = {.mtu = 0, .total_len = PMTU_MIN};

	(void)state;
	make_tunnel(false);
	assert_true(learn(&small));
	assert_int_equal(pmtu_to(&core.dp, core_be32(PEER)), PMTU_MIN + 1);
	assert_true(learn(&tiny));
	assert_int_equal(pmtu_to(&core.dp, core_be32(PEER)), PMTU_MIN);
	assert_false(learn(&old));
	assert_int_equal(pmtu_to(&core.dp, core_be32(PEER)), PMTU_MIN);
}

// The table is small: a peer has one place at most, a free one rather than another's, else that of
// the one that is forgotten first.
static void test_which_place_is_taken(void **state)
{
	enum { FREE, OTHER, OWN, PROBES = 8 };
	static const struct {
		uint8_t place[PROBES], age[PROBES];
		unsigned want;
		const char *why;
	} rows[] = {
		{{FREE}, {0}, 0, "an empty table"},
		{{OTHER}, {5}, 1, "beside another one"},
		{{OTHER, OTHER, FREE}, {3, 2, 9}, 2, "a free place, whatever its age was"},
		{{FREE, OTHER, OTHER}, {9, 1, 1}, 0, "a free place in front of older ones"},
		{{OTHER, FREE, OTHER, OTHER}, {9, 9, 1, 1}, 1, "or between them"},
		{{OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER},
		 {5, 4, 7, 2, 3, 2, 8, 6},
		 3,
		 "the first of the oldest"},
		{{OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER},
		 {5, 4, 7, 2, 3, 2, 8, 1},
		 7,
		 "the last one"},
		{{OTHER, FREE, OTHER, OWN}, {1, 0, 1, 9}, 3, "its own"},
		{{OWN}, {9}, 0, "its own, the first"},
		{{FREE, FREE, FREE, FREE, FREE, FREE, FREE, OWN}, {0}, 7, "its own, the last"},
	};
	const struct too_big how = {.mtu = 1300};
	struct pmtu *t = core.dp.pmtu;
	uint32_t first = 0;
	uint64_t key;

	(void)state;
	make_tunnel(false);
	assert_true(learn(&how));
	while (t->slot[first] == 0)
		first++;
	key = t->slot[first] - 1300;
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		uint32_t used = 0, want = (first + rows[r].want) % PMTU_SLOTS;
		bool was_free;

		memset(t, 0, sizeof(*t));
		for (uint32_t k = 0; k < PROBES; k++) {
			const uint32_t at = (first + k) % PMTU_SLOTS;

			t->slot[at] = rows[r].place[k] == FREE	? 0
				      : rows[r].place[k] == OWN ? key + 1390
								: (k + 1ull) << 32 | 1000;
			t->expires_tsc[at] = rows[r].age[k];
			used += t->slot[at] != 0;
		}
		t->used = used;
		was_free = t->slot[want] == 0;
		assert_true(learn(&how));
		if (t->slot[want] != key + 1300)
			fail_msg("%s", rows[r].why);
		assert_int_equal(t->used, used + was_free);
		assert_true(t->expires_tsc[want] > rte_rdtsc());
		assert_int_equal(pmtu_to(&core.dp, core_be32(PEER)), 1300);
	}
}

// RFC 1191 6.3: each for its time, looked at once a second.
static void test_what_is_forgotten(void **state)
{
	const struct too_big how = {.mtu = 1300};
	struct pmtu *t = core.dp.pmtu;
	uint32_t at = 0, changes;

	(void)state;
	make_tunnel(false);
	assert_true(learn(&how));
	while (t->slot[at] == 0)
		at++;
	assert_in_range(t->expires_tsc[at], rte_rdtsc() + 590 * core.dp.tsc_hz,
			rte_rdtsc() + 600 * core.dp.tsc_hz);
	t->expires_tsc[at] = 1;
	assert_false(learn(&how)); // no news, but it counts from now on
	assert_true(t->expires_tsc[at] > rte_rdtsc());
	pmtu_age(&core.dp);
	assert_int_equal(t->used, 1);
	assert_in_range(t->next_age_tsc, rte_rdtsc(), rte_rdtsc() + core.dp.tsc_hz);
	t->expires_tsc[at] = 1;
	changes = core.dp.changes;
	pmtu_age(&core.dp); // within the same second
	assert_int_equal(t->used, 1);
	assert_int_equal(core.dp.changes, changes);
	t->next_age_tsc = 0;
	pmtu_age(&core.dp);
	assert_int_equal(t->used, 0);
	assert_true(t->slot[at] == 0);
	assert_int_not_equal(core.dp.changes, changes); // flows have remembered it
	assert_int_equal(pmtu_to(&core.dp, core_be32(PEER)), 1400);
	changes = core.dp.changes;
	assert_true(learn(&how));
	assert_int_not_equal(core.dp.changes, changes);
}

// Each for its own time: when one goes the others stay in force.
static void test_what_is_not_forgotten_yet(void **state)
{
	const struct too_big how = {.mtu = 1300};
	struct pmtu *t = core.dp.pmtu;

	(void)state;
	make_tunnel(false);
	assert_true(learn(&how));
	t->slot[500] = UINT64_C(7) << 32 | 1000; // of another peer
	t->expires_tsc[500] = 1;
	t->used = 2;
	pmtu_age(&core.dp);
	assert_true(t->slot[500] == 0);
	assert_int_equal(t->used, 1);
	assert_int_equal(pmtu_to(&core.dp, core_be32(PEER)), 1300);
}

// A stranger's messages reach control a few times in 100 ms only.
static void test_a_flood_is_not_passed_on(void **state)
{
	struct dp_event ev;
	unsigned n = 0;

	(void)state;
	make_tunnel(false);
	for (uint32_t i = 1; i < 100; i++) {
		const struct too_big how = {.mtu = 1300, .spi = i};

		hear(&how);
		core.w->now_tsc -= core.dp.tsc_hz; // all at once
	}
	while (core_event(&ev))
		n++;
	assert_true(n >= 1 && n <= 4);
}

#define T(f) cmocka_unit_test_setup_teardown(f, core_setup, core_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_put_together),
		T(test_order_does_not_matter),
		T(test_options),
		T(test_large),
		T(test_what_never_gets_whole),
		T(test_lies),
		T(test_strangers_do_not_take_peers_room),
		T(test_strangers_do_not_take_linuxs_room),
		T(test_one_worker_gets_all_fragments),
		T(test_a_router_is_believed),
		T(test_who_is_not_believed),
		T(test_missing_values),
		T(test_small_values),
		T(test_which_place_is_taken),
		T(test_what_is_forgotten),
		T(test_what_is_not_forgotten_yet),
		T(test_a_flood_is_not_passed_on),
	};

	return cmocka_run_group_tests(tests, core_group_setup, core_group_teardown);
}
