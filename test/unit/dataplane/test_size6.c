// Over IPv6: fragments to ourselves, and what routers say of the way to a peer. As test_size.c.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <string.h>

#include "core.h"
#include "dataplane/pmtu.h"
#include "dataplane/reass.h"
#include "dataplane/tunnel.h"

#define OWN   "2001:db8::1"
#define OTHER "2001:db8::9"
#define PEER  "2001:db8:b:bde4::1"
#define SPI   0xc0ffee01u

static uint8_t content[8 * 1480 + 8]; // behind the IP header of the whole packet
static struct sorted sorted;

static void free_sorted(void)
{
	core_free(&sorted.punt);
	core_free(&sorted.local);
	core_free(&sorted.esp);
}

// A frame with the two headers in front of `len` bytes.
static struct rte_mbuf *frame(const char *dst, uint8_t next, const void *data, uint16_t len)
{
	const struct ip_addr from = core_addr(OTHER), to = core_addr(dst);
	struct rte_mbuf *m = rte_pktmbuf_alloc(core.dp.pool);
	uint8_t head[54] = {[12] = 0x86, 0xdd, 0x60}, *ip = head + 14;

	assert_non_null(m);
	memcpy(head, &core_port_mac[0], 6);
	memcpy(head + 6, &core_host_mac, 6);
	ip[4] = (uint8_t)(len >> 8);
	ip[5] = (uint8_t)len;
	ip[6] = next;
	ip[7] = 60;
	memcpy(ip + 8, from.bytes, 16);
	memcpy(ip + 24, to.bytes, 16);
	memcpy(rte_pktmbuf_append(m, sizeof(head)), head, sizeof(head));
	memcpy(rte_pktmbuf_append(m, len), data, len);
	return m;
}

static void receive(struct rte_mbuf *m)
{
	struct batch in = {.n = 0};

	m->l2_len = RTE_ETHER_HDR_LEN; // what a driver may have left there
	core_put(&in, m, 0, FROM_NIC);
	classify(core.w, &in, &sorted);
}

// One fragment of the packet whose content is above, through classify().
static void put(uint8_t proto, uint32_t id, uint16_t from, uint16_t to, bool more)
{
	uint8_t data[8 + 1480] = {proto, 0, (uint8_t)(from >> 8), (uint8_t)(from | more)};

	memcpy(data + 4, &id, sizeof(id));
	memcpy(data + 8, content + from, to - from);
	receive(frame(OWN, 44, data, (uint16_t)(8 + to - from)));
}

static void fill_content(uint16_t dst_port, bool marker)
{
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (uint8_t)(i * 31 + i / 256);
	content[2] = (uint8_t)(dst_port >> 8);
	content[3] = (uint8_t)dst_port;
	memset(content + 8, marker ? 0 : 0x77, 4);
}

static void check_whole(const struct batch *b, uint8_t proto, size_t len)
{
	const struct rte_mbuf *m;
	const uint8_t *ip;

	assert_int_equal(b->n, 1);
	m = b->pkt[0];
	ip = rte_pktmbuf_mtod(m, const uint8_t *);
	assert_int_equal(m->nb_segs, 1);
	assert_int_equal(m->data_len, 40 + len);
	assert_int_equal(m->pkt_len, 40 + len);
	assert_int_equal(ip[0], 0x60);
	assert_int_equal(ip[4] << 8 | ip[5], len);
	assert_int_equal(ip[6], proto);
	assert_int_equal(ip[7], 60);
	assert_memory_equal(ip + 40, content, len);
	// punt() takes one step back to the Ethernet header of the first fragment.
	assert_memory_equal(ip - 14, &core_port_mac[0], 6);
	assert_memory_equal(ip - 2, "\x86\xdd", 2);
}

static void test_put_together(void **state)
{
	static const struct {
		uint8_t proto;
		uint16_t port;
		bool marker, esp;
	} rows[] = {{IPPROTO_ESP, 0, false, true},
		    {IPPROTO_UDP, 4500, false, true},
		    {IPPROTO_UDP, 4500, true, false},
		    {IPPROTO_UDP, 500, false, false},
		    {IPPROTO_UDP, 53, false, false}};

	(void)state;
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		fill_content(rows[r].port, rows[r].marker);
		for (unsigned order = 0; order < 2; order++) {
			put(rows[r].proto, 1, order ? 1280 : 0, order ? 1376 : 1280, !order);
			assert_int_equal(sorted.esp.n + sorted.punt.n + sorted.local.n, 0);
			put(rows[r].proto, 1, order ? 0 : 1280, order ? 1280 : 1376, order);
			check_whole(rows[r].esp ? &sorted.esp : &sorted.local, rows[r].proto, 1376);
			free_sorted();
		}
	}
	assert_int_equal(counter_read(&core.w->whole_packets), 10);
	assert_int_equal(counter_read(&core.w->whole_pieces), 20);
	assert_int_equal(core_dropped_total(), 0);
}

static void test_large(void **state)
{
	(void)state;
	fill_content(0, false);
	for (uint16_t i = 0; i < 8; i++)
		put(IPPROTO_ESP, 7, (uint16_t)(i * 1480), (uint16_t)((i + 1) * 1480), i != 7);
	check_whole(&sorted.esp, IPPROTO_ESP, 8 * 1480);
	free_sorted();
	assert_int_equal(core_dropped_total(), 0);
}

// RFC 6946: it waits for nobody.
static void test_whole_with_a_fragment_header(void **state)
{
	(void)state;
	fill_content(0, false);
	put(IPPROTO_ESP, 1, 0, 104, false);
	assert_int_equal(sorted.esp.n, 1);
	free_sorted();
}

static void test_what_is_linuxs(void **state)
{
	const uint8_t icmp[24] = {IPPROTO_ICMPV6, 0, 0, 1}, cut[4] = {IPPROTO_ESP, 0, 0, 1};

	(void)state;
	receive(frame(OWN, 44, icmp, sizeof(icmp)));
	assert_int_equal(sorted.local.n, 1);
	free_sorted();
	receive(frame(OWN, 44, cut, sizeof(cut)));
	assert_int_equal(sorted.local.n, 1); // policy_in_clear() drops it
	free_sorted();
	receive(frame(PEER, 44, icmp, sizeof(icmp)));
	assert_int_equal(sorted.transit.n, 1); // fragments are forwarded
	core_free(&sorted.transit);
}

static void test_what_never_gets_whole(void **state)
{
	(void)state;
	fill_content(0, false);
	put(IPPROTO_ESP, 1, 0, 1280, true);
	put(IPPROTO_ESP, 2, 1280, 1376, false); // of another packet
	put(IPPROTO_ESP, 3, 0, 1280, true);
	put(IPPROTO_ESP, 3, 1272, 1376, false); // RFC 5722: overlaps are not joined
	assert_int_equal(sorted.esp.n, 0);
	core.w->now_tsc += core.dp.tsc_hz / 1000 * (REASS_MS + 200);
	reass_expire(core.w);
	assert_int_equal(core_dropped(DROP_FRAGMENT), 4);
	assert_int_equal(core_dropped_total(), 4);
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
		put(IPPROTO_ESP, i, 0, 1280, true);
		put(IPPROTO_ESP, i, 1280, 1376, false);
		whole += sorted.esp.n;
		free_sorted();
	}
	assert_true(whole < 64);
	peer.lo = peer.hi = core_addr(OTHER);
	assert_int_equal(dp_guard_set_peers(&core.dp, &peer, 1), 0);
	for (uint16_t i = 0; i < 64; i++) {
		put(IPPROTO_ESP, i, 0, 1280, true);
		put(IPPROTO_ESP, i, 1280, 1376, false);
		check_whole(&sorted.esp, IPPROTO_ESP, 1376);
		free_sorted();
	}
	core.w->now_tsc += core.dp.tsc_hz * 2;
	reass_expire(core.w);
	assert_int_equal(core_dropped_total(), 600 + 2 * (64 - whole));
}

static void test_one_worker_gets_all_fragments(void **state)
{
	unsigned here = 0, there = 0;

	(void)state;
	fill_content(0, false);
	core.workers[1] = core.w; // whose ring shows what it was handed
	core.dp.n_workers = 2;
	core.w->id = 0;
	for (uint32_t id = 0; id < 64; id++) {
		unsigned handed;

		put(IPPROTO_ESP, id, 0, 1280, true);
		put(IPPROTO_ESP, id, 1280, 1376, false);
		handed = rte_ring_count(core.w->handover) - 2 * there;
		assert_true(handed == 0 || handed == 2);
		there += handed / 2;
		here += sorted.esp.n;
		free_sorted();
	}
	assert_true(here > 10 && there > 10);
	assert_int_equal(here + there, 64);
	core.w->id = 1;
	for (unsigned i = 0; i < there; i++) {
		void *m[2];
		struct batch in = {.n = 0};

		assert_int_equal(rte_ring_dequeue_bulk(core.w->handover, m, 2, NULL), 2);
		core_put(&in, m[0], 0, FROM_TUNNEL);
		core_put(&in, m[1], 0, FROM_TUNNEL);
		classify(core.w, &in, &sorted);
		check_whole(&sorted.esp, IPPROTO_ESP, 1376);
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
	struct ip_prefix any;
	struct esp_sa sa = {
		.spi = SPI,
		.encr = {TRANSFORM_ENCR, ENCR_AES_GCM_16, 128},
		.integ = {TRANSFORM_INTEG, INTEG_NONE, 0},
		.udp_encap = udp,
		.local = {core_addr(OWN), udp ? 4500 : 0},
		.remote = {core_addr(PEER), udp ? 4500 : 0},
		.replay_window = ESP_REPLAY_WINDOW_DEFAULT,
	};

	assert_int_equal(ip_prefix_parse("::/0", &any), 0);
	sa.local_ts.n = sa.remote_ts.n = 1;
	sa.local_ts.s[0] = sa.remote_ts.s[0] = selector_from_prefix(&any);
	assert_int_equal(secret_set(&sa.encr_key, key, sizeof(key)), 0);
	assert_int_equal(dp_tunnel_add(&core.dp, "site-b", &tunnel), 0);
	assert_int_equal(dp_tunnel_set_out(&core.dp, tunnel, &sa, NULL), 0);
	core_route("2001:db8:b::/48", 1, "2001:db8:ff::2");
	core_neigh(1, "2001:db8:ff::2", &core_gw_mac);
}

struct too_big {
	uint32_t mtu, spi; // 0: SPI
	bool udp;
	uint8_t type, frag; // 0: 2; frag: with that in the offset field of a fragment header
	const char *quoted_src;
	bool bad_checksum;
	uint16_t cut;	  // bytes of the quoted packet; 0: 40 + 8 (fragment) + 12
	uint8_t at, byte; // at: which byte of the quoted packet, from 1 on, is another
};

static uint16_t sum(const struct rte_mbuf *m)
{
	const uint8_t *ip = rte_pktmbuf_mtod_offset(m, const uint8_t *, 14);
	const unsigned len = m->data_len - 14u;
	uint32_t s = len - 40 + IPPROTO_ICMPV6;

	for (unsigned i = 8; i < len; i += 2)
		s += (uint32_t)ip[i] << 8 | (i + 1 < len ? ip[i + 1] : 0u);
	while (s > 0xffff)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

// The message as a router sends it, through classify(). It goes on to Linux in any case.
static void hear(const struct too_big *how)
{
	const struct ip_addr src = core_addr(how->quoted_src ? how->quoted_src : OWN),
			     dst = core_addr(PEER);
	const uint32_t spi_be = rte_cpu_to_be_32(how->spi ? how->spi : SPI),
		       mtu_be = rte_cpu_to_be_32(how->mtu);
	uint8_t data[8 + 40 + 8 + 12] = {how->type ? how->type : 2};
	uint8_t *ip = data + 8, *at = ip + 40;
	struct rte_mbuf *m;
	uint16_t check;

	memcpy(data + 4, &mtu_be, 4);
	ip[0] = 0x60;
	ip[5] = 200;
	ip[6] = how->udp ? IPPROTO_UDP : IPPROTO_ESP;
	memcpy(ip + 8, src.bytes, 16);
	memcpy(ip + 24, dst.bytes, 16);
	if (how->frag) {
		at[0] = ip[6];
		at[3] = how->frag;
		ip[6] = 44;
		at += 8;
	}
	if (how->udp) {
		at[0] = 4500 >> 8;
		at[1] = 4500 & 0xff;
		at += 8;
	}
	memcpy(at, &spi_be, 4);
	if (how->at)
		ip[how->at - 1] = how->byte;
	m = frame(OWN, IPPROTO_ICMPV6, data,
		  (uint16_t)(8 + (how->cut ? how->cut : sizeof(data) - 8)));
	at = rte_pktmbuf_mtod_offset(m, uint8_t *, 54);
	check = sum(m); // its own field is zero
	at[2] = (uint8_t)(check >> 8);
	at[3] = (uint8_t)check;
	if (how->bad_checksum)
		at[2] ^= 1;
	core.w->now_tsc += core.dp.tsc_hz; // nothing is a repetition
	receive(m);
	assert_int_equal(sorted.local.n, 1);
	free_sorted();
}

static bool learn(const struct too_big *how)
{
	const struct ip_addr peer = core_addr(PEER), router = core_addr(OTHER);
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

static uint16_t to_peer(void)
{
	return pmtu6_to(&core.dp, core_addr(PEER).bytes);
}

static void test_a_router_is_believed(void **state)
{
	(void)state;
	for (unsigned udp = 0; udp < 2; udp++) {
		const struct too_big how = {.mtu = 1350, .udp = udp},
				     cut = {.mtu = 1340, .udp = udp, .frag = 1},
				     less = {.mtu = 1200, .udp = udp},
				     more = {.mtu = 1300, .udp = udp};
		const uint16_t outer = (uint16_t)(udp ? 48 : 40);

		make_tunnel(udp);
		assert_int_equal(dp_tunnel_inner_mtu(&core.dp, tunnel), 1400 - outer - 34);
		assert_true(learn(&how));
		assert_int_equal(to_peer(), 1350);
		assert_int_equal(dp_tunnel_inner_mtu(&core.dp, tunnel),
				 (1350 - outer - 32) / 4 * 4 - 2);
		assert_false(learn(&how)); // no news
		assert_true(learn(&cut));  // about the first fragment of a packet of ours
		assert_int_equal(to_peer(), 1340);
		assert_true(learn(&less)); // RFC 8201 4: nothing less than 1280 is
		assert_int_equal(to_peer(), PMTU_MIN6);
		assert_false(learn(&more)); // RFC 8201 4: never wider
		assert_int_equal(dp_tunnel_del(&core.dp, tunnel), 0);
		for (unsigned i = 0; i < PMTU_SLOTS; i++)
			core.dp.pmtu->expires_tsc[i] = 1;
		pmtu_age(&core.dp);
		core.dp.pmtu->next_age_tsc = 0;
		assert_int_equal(to_peer(), 1400);
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
		{{.mtu = 1300, .type = 1}, "another type"},
		{{.mtu = 1300, .quoted_src = OTHER}, "not from us"},
		{{.mtu = 1300, .bad_checksum = true}, "checksum"},
		{{.mtu = 1500}, "wider than our own port", true},
		{{.mtu = 1300 + (1u << 16)}, "wider than anything", true},
		{{.mtu = 1300 + (1u << 24)}, "wider still", true},
		{{.mtu = 1300, .cut = 47}, "cut in front of where plain ESP ends"},
		{{.mtu = 1300, .cut = 39}, "cut in the IP header"},
		{{.mtu = 1300, .frag = 8}, "a later fragment has no SPI"},
		{{.mtu = 1300, .udp = true, .cut = 51}, "cut in front of the SPI's end behind UDP"},
		{{.mtu = 1300, .udp = true, .at = 42, .byte = 0}, "UDP from another port of ours"},
		{{.mtu = 1300, .at = 7, .byte = IPPROTO_TCP}, "another protocol"},
		{{.mtu = 1300, .at = 1, .byte = 0x40}, "another version"},
		{{.mtu = 1300, .at = 7, .byte = 60}, "options that are longer than what is quoted"},
	};
	const struct too_big good = {.mtu = 1300, .cut = 48};
	struct dp_event ev;

	(void)state;
	make_tunnel(false);
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		hear(&rows[r].how);
		if (core_event(&ev) != rows[r].told || (rows[r].told && pmtu_learn(&core.dp, &ev)))
			fail_msg("%s", rows[r].why);
	}
	assert_int_equal(to_peer(), 1400);
	assert_true(learn(&good));
	core.port[1].mtu = 1290; // narrower than what was heard
	assert_int_equal(to_peer(), 1290);
}

// As of IPv4: a few in 100 ms.
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

// What goes to the peer is cut to what the way carries, not to what our port does.
static void test_own_esp_is_cut_to_the_way(void **state)
{
	const struct too_big how = {.mtu = 1280};
	struct rte_mbuf *m;
	unsigned n = 0;
	uint8_t data[1300] = {0};
	struct batch b = {.n = 0};

	(void)state;
	make_tunnel(false);
	assert_true(learn(&how));
	m = frame(PEER, IPPROTO_ESP, data, sizeof(data));
	rte_pktmbuf_adj(m, 14);
	memcpy(rte_pktmbuf_mtod_offset(m, void *, 8), core_addr(OWN).bytes, 16);
	core_put(&b, m, 0, FROM_NIC);
	route(core.w, &b);
	while ((m = core_sent(1)) != NULL) {
		assert_true(m->pkt_len <= 14 + 1280);
		rte_pktmbuf_free(m);
		n++;
	}
	assert_int_equal(n, 2);
}

// The same table holds the ways of both families.
static void test_families_do_not_mix(void **state)
{
	const struct too_big how = {.mtu = 1300};

	(void)state;
	make_tunnel(false);
	core_route("0.0.0.0/0", 1, "192.0.2.254");
	assert_true(learn(&how));
	for (uint32_t i = 0; i < 100000; i++)
		assert_int_equal(pmtu_to(&core.dp, i * 42949u), 1400);
	// But for the bit that tells the families apart, PEER's hash would be that of this one.
	assert_int_equal(pmtu_to(&core.dp, core_be32("205.12.145.182")), 1400);
}

// Every byte of an address tells peers apart.
static void test_peers_do_not_mix(void **state)
{
	const struct too_big how = {.mtu = 1300};

	(void)state;
	make_tunnel(false);
	assert_true(learn(&how));
	for (unsigned i = 0; i < 16; i++) {
		struct ip_addr other = core_addr(PEER);

		other.bytes[i] ^= 1;
		assert_int_equal(pmtu6_limit(&core.dp, other.bytes, 1400), 1400);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, core_setup, core_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_put_together),
		T(test_large),
		T(test_whole_with_a_fragment_header),
		T(test_what_is_linuxs),
		T(test_what_never_gets_whole),
		T(test_strangers_do_not_take_peers_room),
		T(test_one_worker_gets_all_fragments),
		T(test_a_router_is_believed),
		T(test_who_is_not_believed),
		T(test_a_flood_is_not_passed_on),
		T(test_own_esp_is_cut_to_the_way),
		T(test_families_do_not_mix),
		T(test_peers_do_not_mix),
	};

	return cmocka_run_group_tests(tests, core_group_setup, core_group_teardown);
}
