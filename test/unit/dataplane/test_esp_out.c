#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_dp.h"

#include "dataplane/crypto.h"
#include "dataplane/esp.h"

#define SPI	       0xc0ffee01u
#define THREAD_PACKETS 200000

static uint32_t tunnel;
static struct batch b, icmp;

static void set_out(uint32_t spi, unsigned key_bits, bool udp)
{
	struct esp_sa sa = fake_esp_sa(spi, key_bits, udp);

	assert_int_equal(dp_tunnel_set_out(&fake.dp, tunnel, &sa, NULL), 0);
	assert_null(sa.encr_key.data); // taken
}

static int setup(void **state)
{
	int err = fake_setup(state);

	memset(&b, 0, sizeof(b));
	memset(&icmp, 0, sizeof(icmp));
	return err != 0 ? err : dp_tunnel_add(&fake.dp, "site-b", &tunnel);
}

static struct sa_out *current_sa(void)
{
	return tunnel_sa(tunnel_get(&fake.dp, tunnel));
}

static void put_inner(const uint8_t *ip, size_t len)
{
	batch_put(&b, mbuf_of(ip, len));
	b.tunnel[b.n - 1] = tunnel_get(&fake.dp, tunnel);
}

static void put_udp(size_t len, uint8_t tos, bool df)
{
	uint8_t ip[2048];
	struct rte_ipv4_hdr h;

	make_ip(ip, len, HOST_A, HOST_B, IPPROTO_UDP, 1000, 2000);
	memcpy(&h, ip, sizeof(h));
	h.type_of_service = tos;
	h.fragment_offset = df ? rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG) : 0;
	h.hdr_checksum = 0;
	h.hdr_checksum = rte_ipv4_cksum(&h);
	memcpy(ip, &h, sizeof(h));
	put_inner(ip, len);
}

// Everything about one outer packet that RFC 4303 and RFC 3948 fix.
static void check_outer(const struct rte_mbuf *m, const uint8_t *inner, size_t inner_len,
			unsigned key_bits, bool udp, uint32_t seq)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	const size_t outer_len = udp ? 28 : 20;
	const uint8_t *esp = p + outer_len;
	const size_t esp_len = m->data_len - outer_len;
	const size_t pad_len = (size_t)(-(inner_len + 2)) & 3;
	uint8_t text[2048];
	struct rte_ipv4_hdr h, in;
	uint32_t word[2];
	uint8_t iv[8] = {0};

	memcpy(&h, p, sizeof(h));
	memcpy(&in, inner, sizeof(in));
	assert_int_equal(m->pkt_len, m->data_len);
	assert_int_equal(h.version_ihl, 0x45);
	assert_int_equal(rte_be_to_cpu_16(h.total_length), m->data_len);
	assert_int_equal(h.time_to_live, 64);
	assert_int_equal(h.next_proto_id, udp ? 17 : 50);
	assert_int_equal(h.src_addr, be32(GW_A));
	assert_int_equal(h.dst_addr, be32(GW_B));
	assert_int_equal(h.type_of_service, in.type_of_service);
	assert_int_equal(h.fragment_offset, in.fragment_offset & rte_cpu_to_be_16(0x4000));
	assert_true(ip_checksum_ok(p));
	if (udp) {
		assert_int_equal(flow_load16(p + 20), 4500);
		assert_int_equal(flow_load16(p + 22), 4500);
		assert_int_equal(flow_load16(p + 24), m->data_len - 20);
		assert_int_equal(flow_load16(p + 26), 0);
	}
	memcpy(word, esp, sizeof(word));
	assert_int_equal(rte_be_to_cpu_32(word[0]), SPI);
	assert_int_equal(rte_be_to_cpu_32(word[1]), seq);
	memcpy(iv + 4, &word[1], 4); // the IV is the sequence number
	assert_memory_equal(esp + 8, iv, 8);
	assert_int_equal(esp_len, 16 + inner_len + pad_len + 2 + 16);
	assert_int_equal(open_esp(esp, esp_len, key_bits, text), inner_len + pad_len + 2);
	assert_memory_equal(text, inner, inner_len);
	for (size_t i = 0; i < pad_len; i++)
		assert_int_equal(text[inner_len + i], i + 1);
	assert_int_equal(text[inner_len + pad_len], pad_len);
	assert_int_equal(text[inner_len + pad_len + 1], 4);
}

// Every size from the smallest IPv4 packet to the largest that fits, read by OpenSSL.
static void all_sizes(unsigned key_bits, bool udp)
{
	const size_t last = udp ? 1438 : 1446; // facts: inner MTU on a 1500 path
	uint32_t seq = 1;
	uint8_t ip[2048];

	set_out(SPI, key_bits, udp);
	for (size_t len = 20; len <= last; len++) {
		make_ip(ip, len, HOST_A, HOST_B, IPPROTO_UDP, 1000, 2000);
		if (len < 24)
			ip[9] = 99; // a UDP packet without ports would be another test
		put_inner(ip, len);
		esp_out(fake.w, &b, &icmp);
		assert_int_equal(b.n, 1);
		check_outer(b.pkt[0], ip, len, key_bits, udp, seq++);
		assert_true(b.pkt[0]->pkt_len <= 1500);
		batch_free(&b);
	}
	assert_int_equal(dropped_total(), 0);
}

static void test_all_sizes_128(void **state)
{
	(void)state;
	all_sizes(128, false);
}

static void test_all_sizes_256_udp(void **state)
{
	(void)state;
	all_sizes(256, true);
}

static void test_dscp_ecn_and_df_are_copied(void **state)
{
	(void)state;
	set_out(SPI, 128, false);
	for (unsigned tos = 0; tos < 256; tos++) {
		uint8_t ip[100];
		struct rte_ipv4_hdr h;

		put_udp(100, (uint8_t)tos, tos & 1);
		memcpy(ip, rte_pktmbuf_mtod(b.pkt[0], void *), sizeof(ip));
		esp_out(fake.w, &b, &icmp);
		assert_int_equal(b.n, 1);
		check_outer(b.pkt[0], ip, 100, 128, false, tos + 1);
		memcpy(&h, rte_pktmbuf_mtod(b.pkt[0], void *), sizeof(h));
		// RFC 6864: no ID where DF is set, else one of its own
		assert_int_equal(rte_be_to_cpu_16(h.packet_id),
				 tos & 1 ? 0 : (uint16_t)(tos + 1 + (SPI ^ SPI >> 16)));
		batch_free(&b);
	}
}

static void test_batch_keeps_order_and_numbers_are_contiguous(void **state)
{
	uint32_t other, id[BATCH_MAX];
	struct esp_sa sa = fake_esp_sa(SPI + 1, 256, false);
	uint32_t next[2] = {1, 1};

	(void)state;
	set_out(SPI, 128, false);
	assert_int_equal(dp_tunnel_add(&fake.dp, "other", &other), 0);
	assert_int_equal(dp_tunnel_set_out(&fake.dp, other, &sa, NULL), 0);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < BATCH_MAX; i++) {
			put_udp(60 + i, 0, false);
			id[i] = random() & 1 ? other : tunnel;
			b.tunnel[i] = tunnel_get(&fake.dp, id[i]);
		}
		esp_out(fake.w, &b, &icmp);
		assert_int_equal(b.n, BATCH_MAX);
		for (unsigned i = 0; i < BATCH_MAX; i++) {
			const unsigned which = id[i] == other;
			uint32_t word[2];

			memcpy(word, rte_pktmbuf_mtod_offset(b.pkt[i], void *, 20), 8);
			assert_int_equal(rte_be_to_cpu_32(word[0]), SPI + which);
			assert_int_equal(rte_be_to_cpu_32(word[1]), next[which]++);
			assert_in_range(b.pkt[i]->pkt_len, 60 + i + 54, 60 + i + 57);
		}
		batch_free(&b);
	}
	assert_int_equal(counter_read(&fake.w->esp_out_packets), 3 * BATCH_MAX);
}

// More SAs in one batch than the search remembers.
static void test_many_tunnels_in_one_batch(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		struct esp_sa sa = fake_esp_sa(SPI + i, 128, false);
		uint32_t id;

		assert_int_equal(dp_tunnel_add(&fake.dp, "t", &id), 0);
		assert_int_equal(dp_tunnel_set_out(&fake.dp, id, &sa, NULL), 0);
		assert_int_equal(id, tunnel + 1 + i);
	}
	for (unsigned i = 0; i < 60; i++) {
		put_udp(80, 0, false);
		b.tunnel[i] = tunnel_get(&fake.dp, tunnel + 1 + i % 20);
	}
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(b.n, 60);
	for (unsigned i = 0; i < 60; i++) {
		uint32_t word[2];

		memcpy(word, rte_pktmbuf_mtod_offset(b.pkt[i], void *, 20), 8);
		assert_int_equal(rte_be_to_cpu_32(word[0]), SPI + i % 20);
		assert_int_equal(rte_be_to_cpu_32(word[1]), 1 + i / 20);
	}
	batch_free(&b);
}

static void test_no_sa_is_dropped_and_reported_once_in_100_ms(void **state)
{
	const uint64_t ms = fake.dp.tsc_hz / 1000;

	(void)state;
	put_udp(100, 0, false);
	put_udp(100, 0, false);
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(b.n, 0);
	assert_int_equal(dropped(DROP_NO_SA), 2);
	assert_int_equal(fake.n_events, 1);
	assert_int_equal(fake.event.type, DP_EV_NO_SA);
	assert_int_equal(fake.event.tunnel, tunnel);
	assert_int_equal(rte_cpu_to_be_32(ip_addr_to_v4(&fake.event.addr)), be32(HOST_A));
	assert_int_equal(rte_cpu_to_be_32(ip_addr_to_v4(&fake.event.addr2)), be32(HOST_B));

	fake.w->now_tsc += 99 * ms;
	put_udp(100, 0, false);
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(fake.n_events, 1);

	fake.w->now_tsc += 2 * ms;
	put_udp(100, 0, false);
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(fake.n_events, 2);
	assert_int_equal(dropped(DROP_NO_SA), 4);
}

static void test_without_an_sa_a_packet_waits_when_one_is_to_come(void **state)
{
	(void)state;
	assert_int_equal(dp_tunnel_hold(&fake.dp, tunnel, true), 0);
	put_udp(100, 0, false);
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(fake.n_waiting, 1);
	assert_int_equal(fake.n_events, 1);
	// The SA has come and others still wait: no packet goes past them.
	set_out(SPI, 128, false);
	fake.w->n_waiting = 1;
	fake.w->now_tsc += fake.dp.tsc_hz;
	put_udp(100, 0, false);
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(b.n, 0);
	assert_int_equal(fake.n_waiting, 2);
	assert_int_equal(fake.n_events, 1); // but nothing is asked for
	fake.w->n_waiting = 0;
	put_udp(100, 0, false);
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(b.n, 1);
	batch_free(&b);
	assert_int_equal(dropped_total(), 0);
}

static void test_packet_outside_the_sa_is_dropped(void **state)
{
	uint8_t ip[100];

	(void)state;
	set_out(SPI, 128, false);
	make_ip(ip, sizeof(ip), "10.3.0.1", HOST_B, IPPROTO_UDP, 1, 2);
	put_inner(ip, sizeof(ip));
	make_ip(ip, sizeof(ip), HOST_A, "10.3.0.1", IPPROTO_UDP, 1, 2);
	put_inner(ip, sizeof(ip));
	make_ip(ip, sizeof(ip), HOST_A, HOST_B, IPPROTO_UDP, 1, 2);
	put_inner(ip, sizeof(ip));
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(b.n, 1);
	assert_int_equal(dropped(DROP_OUT_SELECTOR), 2);
	check_outer(b.pkt[0], ip, sizeof(ip), 128, false, 1); // no number was wasted
	batch_free(&b);
}

// As many selectors as there may be: every pair of the two sides, and none beside them.
static void test_full_lists_of_selectors(void **state)
{
	struct esp_sa sa = fake_esp_sa(SPI, 128, false);
	uint8_t ip[100];

	(void)state;
	sa.local_ts.n = sa.remote_ts.n = SELECTORS_MAX;
	for (unsigned i = 0; i < SELECTORS_MAX; i++) {
		char text[32];

		snprintf(text, sizeof(text), "10.1.%u.0/24", i);
		sa.local_ts.s[i] = sel(text);
		snprintf(text, sizeof(text), "10.2.%u.0/24 6 %u-%u", i, 5000 + i, 5000 + i);
		sa.remote_ts.s[i] = sel(text);
	}
	assert_int_equal(dp_tunnel_set_out(&fake.dp, tunnel, &sa, NULL), 0);
	for (unsigned l = 0; l <= SELECTORS_MAX; l++) {
		for (unsigned r = 0; r <= SELECTORS_MAX; r++) {
			const bool inside = l < SELECTORS_MAX && r < SELECTORS_MAX;
			char src[32], dst[32];

			snprintf(src, sizeof(src), "10.1.%u.9", l);
			snprintf(dst, sizeof(dst), "10.2.%u.9", r);
			make_ip(ip, sizeof(ip), src, dst, IPPROTO_TCP, 1, (uint16_t)(5000 + r));
			put_inner(ip, sizeof(ip));
			make_ip(ip, sizeof(ip), src, dst, IPPROTO_TCP, 1, (uint16_t)(5001 + r));
			put_inner(ip, sizeof(ip));
			make_ip(ip, sizeof(ip), src, dst, IPPROTO_UDP, 1, (uint16_t)(5000 + r));
			put_inner(ip, sizeof(ip));
			esp_out(fake.w, &b, &icmp);
			if (b.n != inside)
				fail_msg("%s to %s: %u of 3 packets", src, dst, b.n);
			batch_free(&b);
		}
	}
	assert_int_equal(dropped(DROP_OUT_SELECTOR), dropped_total());
}

static void test_too_big(void **state)
{
	(void)state;
	set_out(SPI, 128, false);
	put_udp(1447, 0, true);
	put_udp(1446, 0, true);
	b.origin[0] = FROM_TUNNEL;
	b.port[0] = 3;
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(b.n, 1);
	assert_int_equal(b.pkt[0]->pkt_len, 1500);
	assert_int_equal(dropped(DROP_TOO_BIG), 1);
	assert_int_equal(fake.n_icmp, 1);
	assert_int_equal(fake.icmp_mtu, 1446);
	assert_int_equal(fake.icmp_src_be, be32(GW_A));
	assert_int_equal(icmp.n, 1);
	assert_int_equal(icmp.port[0], 3);
	assert_int_equal(icmp.origin[0], FROM_SELF_TUNNEL);
	batch_free(&b);
	batch_free(&icmp);

	put_udp(1447, 0, true);
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(icmp.origin[0], FROM_SELF);
	batch_free(&icmp);
}

// What a receiver that decrypts and joins fragments gets out of the pieces in fake.routed.
static size_t join_pieces(uint8_t *whole, uint32_t first_seq)
{
	size_t total = 0;
	uint8_t text[2048];

	for (uint16_t i = 0; i < fake.routed.n; i++) {
		const struct rte_mbuf *m = fake.routed.pkt[i];
		const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
		struct rte_ipv4_hdr ip;
		uint32_t seq_be;
		unsigned offset, header_len, len;

		assert_true(m->pkt_len <= fake.route_mtu);
		memcpy(&seq_be, p + 24, sizeof(seq_be));
		assert_int_equal(rte_be_to_cpu_32(seq_be), first_seq + i);
		assert_true(open_esp(p + 20, m->data_len - 20u, 128, text) > 0);
		memcpy(&ip, text, sizeof(ip));
		header_len = rte_ipv4_hdr_len(&ip);
		len = rte_be_to_cpu_16(ip.total_length) - header_len;
		assert_true(ip_checksum_ok(text));
		offset = (rte_be_to_cpu_16(ip.fragment_offset) & RTE_IPV4_HDR_OFFSET_MASK) * 8;
		assert_int_equal((rte_be_to_cpu_16(ip.fragment_offset) & RTE_IPV4_HDR_MF_FLAG) != 0,
				 i + 1 < fake.routed.n);
		memcpy(whole + header_len + offset, text + header_len, len);
		if (i == 0)
			memcpy(whole, text, header_len);
		total = header_len + offset + len;
	}
	return total;
}

// RFC 4301 8.2.1: without DF a packet is cut before it is encrypted, whatever the size.
static void test_without_df_it_is_cut(void **state)
{
	static const struct {
		uint16_t mtu, len;
		unsigned pieces;
	} rows[] = {
		{1500, 1447, 2}, {1500, 1500, 2}, {576, 1500, 3}, {576, 523, 2}, {200, 1500, 13}};
	uint8_t ip[2048], whole[2048];
	uint32_t seq = 1;

	(void)state;
	set_out(SPI, 128, false);
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		fake.route_mtu = rows[r].mtu;
		make_ip(ip, rows[r].len, HOST_A, HOST_B, IPPROTO_UDP, 1000, 2000);
		put_inner(ip, rows[r].len);
		esp_out(fake.w, &b, &icmp);
		assert_int_equal(b.n, 0);
		assert_int_equal(fake.routed.n, rows[r].pieces);
		assert_int_equal(join_pieces(whole, seq), rows[r].len);
		assert_memory_equal(whole + 20, ip + 20, rows[r].len - 20u);
		assert_memory_equal(whole + 12, ip + 12, 8); // addresses
		assert_memory_equal(whole + 4, ip + 4, 2);   // identification
		seq += rows[r].pieces;
		batch_free(&fake.routed);
	}
	assert_int_equal(dropped_total(), 0);
	assert_int_equal(counter_read(&fake.w->cut_packets), 5);
	assert_int_equal(counter_read(&fake.w->cut_pieces), 22);
	assert_int_equal(counter_read(&fake.w->esp_out_packets), 22);
}

// A fragment that is cut again keeps its place in the whole packet.
// For lack of memory, or because the path takes less than any link of IPv4 (RFC 791 3.2).
static void test_what_cannot_be_cut(void **state)
{
	static struct rte_mbuf *taken[1024];
	unsigned n = 0;

	(void)state;
	set_out(SPI, 128, false);
	put_udp(1500, 0, false);
	while ((taken[n] = rte_pktmbuf_alloc(fake.dp.pool)) != NULL)
		n++;
	esp_out(fake.w, &b, &icmp);
	rte_pktmbuf_free_bulk(taken, n);
	assert_int_equal(dropped(DROP_NO_MBUF), 1);
	fake.route_mtu = 100;
	put_udp(1500, 0, false);
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(dropped(DROP_TOO_BIG), 1);
	// The first piece fills its buffer of 2048 bytes but for 20, and needs 21.
	fake.route_mtu = 2086;
	put_udp(2040, 0, false);
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(dropped(DROP_NO_MBUF), 2);
	assert_int_equal(fake.routed.n, 1);
	assert_int_equal(dropped_total(), 3);
	batch_free(&fake.routed);
}

static void take_sa_away(void)
{
	assert_int_equal(dp_tunnel_clear_out(&fake.dp, tunnel, SPI), 0);
}

// Control may take the SA away while a batch is cut: what has not been cut yet has none.
static void test_sa_that_goes_while_a_batch_is_cut(void **state)
{
	(void)state;
	set_out(SPI, 128, false);
	for (unsigned i = 0; i < 3; i++)
		put_udp(1500, 0, false);
	fake.at_route = take_sa_away;
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(fake.routed.n, 2);
	assert_int_equal(dropped(DROP_NO_SA), 2);
	assert_int_equal(dropped_total(), 2);
	batch_free(&fake.routed);
}

static void test_a_fragment_is_cut(void **state)
{
	uint8_t ip[2048], whole[4096] = {0};
	struct rte_ipv4_hdr h;

	(void)state;
	set_out(SPI, 128, false);
	for (uint16_t i = 0; i < 2; i++) { // at 0 with more to come, then the last one
		make_ip(ip, 1500, HOST_A, HOST_B, IPPROTO_UDP, 1000, 2000);
		memcpy(&h, ip, sizeof(h));
		h.fragment_offset = rte_cpu_to_be_16(i == 0 ? RTE_IPV4_HDR_MF_FLAG : 1480 / 8);
		h.hdr_checksum = 0;
		h.hdr_checksum = rte_ipv4_cksum(&h);
		memcpy(ip, &h, sizeof(h));
		put_inner(ip, 1500);
	}
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(fake.routed.n, 4);
	assert_int_equal(join_pieces(whole, 1), 1480 + 1500);
	assert_memory_equal(whole + 20, ip + 20, 1480);
	assert_memory_equal(whole + 20 + 1480, ip + 20, 1480);
	batch_free(&fake.routed);
}

// RFC 4301 7: a peer drops later fragments on an SA that names ports, so such a packet is encrypted
// whole. RFC 791: options that are not copied are in the first piece only.
static void test_who_is_not_cut_inside(void **state)
{
	struct esp_sa sa = fake_esp_sa(SPI, 128, false);

	(void)state;
	sa.remote_ts.s[0] = sel(SITE_B " 17 2000-2000");
	assert_int_equal(dp_tunnel_set_out(&fake.dp, tunnel, &sa, NULL), 0);
	put_udp(1500, 0, false);
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(b.n, 1);
	assert_int_equal(b.pkt[0]->pkt_len, 20 + 16 + 1504 + 16);
	assert_int_equal(fake.routed.n, 0);
	batch_free(&b);
	fake.route_mtu = 60; // no room for 8 bytes of data
	set_out(SPI, 128, false);
	put_udp(1500, 0, false);
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(b.n + fake.routed.n, 0);
	assert_int_equal(dropped_total(), 1);
}

// A SYN that goes through takes an MSS with it that fits (RFC 9293 3.7.1).
static void test_mss_is_clamped(void **state)
{
	static const uint8_t options[4] = {2, 4, 0x05, 0xb4}; // MSS 1460
	uint8_t ip[64], text[256];
	const uint8_t *esp;

	(void)state;
	set_out(SPI, 128, false);
	for (unsigned on = 0; on < 2; on++) {
		fake.dp.clamp_mss = on;
		make_ip(ip, 44, HOST_A, HOST_B, IPPROTO_TCP, 1000, 2000);
		ip[20 + 12] = 6 << 4;
		ip[20 + 13] = 2; // SYN
		memcpy(ip + 40, options, sizeof(options));
		put_inner(ip, 44);
		esp_out(fake.w, &b, &icmp);
		assert_int_equal(b.n, 1);
		esp = rte_pktmbuf_mtod(b.pkt[0], const uint8_t *) + 20;
		assert_true(open_esp(esp, b.pkt[0]->data_len - 20u, 128, text) > 0);
		assert_int_equal(flow_load16(text + 42), on ? 1446 - 40 : 1460);
		batch_free(&b);
	}
}

static void test_full_icmp_batch_takes_no_more(void **state)
{
	(void)state;
	set_out(SPI, 128, false);
	icmp.n = BATCH_MAX;
	put_udp(1447, 0, true);
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(fake.n_icmp, 0);
	assert_int_equal(dropped(DROP_TOO_BIG), 1);
	icmp.n = 0;
}

static void test_no_route_to_the_peer(void **state)
{
	(void)state;
	set_out(SPI, 128, false);
	fake.route_mtu = 0;
	put_udp(100, 0, true);
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(b.n, 0);
	assert_int_equal(dropped(DROP_NO_ROUTE), 1);
}

// The answer is ours, as if Linux had sent it; there is not always one.
static void test_answer_to_one_too_big(void **state)
{
	(void)state;
	set_out(SPI, 128, false);
	for (unsigned i = 0; i < 2; i++) {
		fake.no_icmp = i;
		put_udp(1500, 0, true);
		b.port[0] = 3;
		icmp.tunnel[0] = b.tunnel[0]; // what stood there before
		icmp.sa[0] = (struct sa_in *)(uintptr_t)1;
		esp_out(fake.w, &b, &icmp);
		assert_int_equal(b.n, 0);
		assert_int_equal(dropped(DROP_TOO_BIG), i + 1);
		assert_int_equal(icmp.n, !i);
		if (i == 0) {
			assert_true(icmp.from_linux[0]);
			assert_int_equal(icmp.origin[0], FROM_SELF);
			assert_int_equal(icmp.port[0], 3);
			assert_null(icmp.tunnel[0]);
			assert_null(icmp.sa[0]);
		}
		batch_free(&icmp);
	}
}

// An answer to what came out of a tunnel quotes it: it never leaves in clear.
static void test_where_an_answer_may_go(void **state)
{
	static const struct {
		enum batch_origin origin, answer;
	} rows[] = {
		{FROM_NIC, FROM_SELF},
		{FROM_TAP, FROM_SELF},
		{FROM_SELF, FROM_SELF},
		{FROM_TUNNEL, FROM_SELF_TUNNEL},
		{FROM_SELF_TUNNEL, FROM_SELF_TUNNEL},
	};

	(void)state;
	set_out(SPI, 128, false);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put_udp(1500, 0, true);
		b.origin[0] = (uint8_t)rows[i].origin;
		esp_out(fake.w, &b, &icmp);
		assert_int_equal(icmp.n, 1);
		assert_int_equal(icmp.origin[0], rows[i].answer);
		batch_free(&icmp);
	}
}

// As much room as is needed, in front and behind, is enough; a byte less is not.
static void test_room_is_counted_exactly(void **state)
{
	(void)state;
	set_out(SPI, 128, false);
	for (unsigned i = 0; i < 4; i++) {
		const struct sa_out *sa = current_sa();
		const unsigned front = (unsigned)sa->outer_len + sa->key.head_len - (i == 1);
		const unsigned behind =
			sa->key.align - 1u + ESP_TRAILER_LEN + sa->key.icv_len - (i == 3);
		const uint64_t before = dropped(DROP_NO_MBUF);
		struct rte_mbuf *m;

		put_udp(100, 0, false);
		m = b.pkt[0];
		if (i < 2) {
			memmove((uint8_t *)m->buf_addr + front, rte_pktmbuf_mtod(m, void *), 100);
			m->data_off = (uint16_t)front;
		} else {
			m->buf_len = (uint16_t)(m->data_off + 100 + behind);
		}
		esp_out(fake.w, &b, &icmp);
		assert_int_equal(b.n, i % 2 == 0);
		assert_int_equal(dropped(DROP_NO_MBUF), before + i % 2);
		m->buf_len = RTE_MBUF_DEFAULT_BUF_SIZE;
		batch_free(&b);
	}
}

static void test_buffers_that_cannot_be_written(void **state)
{
	struct rte_mbuf *copy, *seg;

	(void)state;
	set_out(SPI, 128, false);
	put_udp(100, 0, false); // 0: no headroom
	rte_pktmbuf_prepend(b.pkt[0], (uint16_t)(rte_pktmbuf_headroom(b.pkt[0]) - 34));
	memmove(rte_pktmbuf_mtod(b.pkt[0], void *), rte_pktmbuf_mtod_offset(b.pkt[0], void *, 94),
		100);
	rte_pktmbuf_trim(b.pkt[0], 94);
	put_udp(100, 0, false); // 1: held by somebody else too
	rte_mbuf_refcnt_update(b.pkt[1], 1);
	copy = b.pkt[1];
	put_udp(100, 0, false); // 2: two segments
	seg = mbuf_of("x", 1);
	rte_pktmbuf_chain(b.pkt[2], seg);
	put_udp(100, 0, false); // 3: no tailroom
	b.pkt[3]->buf_len = (uint16_t)(b.pkt[3]->data_off + 100 + 20);
	put_udp(100, 0, false); // 4: good
	seg = b.pkt[3];
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(b.n, 1);
	assert_int_equal(dropped(DROP_NO_MBUF), 4);
	seg->buf_len = RTE_MBUF_DEFAULT_BUF_SIZE;
	rte_pktmbuf_free(copy);
	batch_free(&b);
}

static void test_sequence_number_never_wraps(void **state)
{
	(void)state;
	set_out(SPI, 128, false);
	atomic_store(&current_sa()->seq, UINT32_MAX - 2ull);
	for (unsigned i = 0; i < 4; i++)
		put_udp(100, 0, false);
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(b.n, 2);
	assert_int_equal(dropped(DROP_SEQ_EXHAUSTED), 2);
	for (unsigned i = 0; i < 2; i++) {
		uint32_t word[2];

		memcpy(word, rte_pktmbuf_mtod_offset(b.pkt[i], void *, 20), 8);
		assert_int_equal(rte_be_to_cpu_32(word[1]), UINT32_MAX - 1 + i);
	}
	batch_free(&b);
	put_udp(100, 0, false);
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(b.n, 0);
	assert_int_equal(dropped(DROP_SEQ_EXHAUSTED), 3);
}

static void test_sequence_numbers_running_low_are_reported(void **state)
{
	(void)state;
	set_out(SPI, 128, false);
	atomic_store(&current_sa()->seq, sa_out_seq_low(current_sa()) - 2);
	put_udp(100, 0, false);
	esp_out(fake.w, &b, &icmp);
	batch_free(&b);
	assert_int_equal(fake.n_events, 0);
	put_udp(100, 0, false);
	put_udp(100, 0, false);
	esp_out(fake.w, &b, &icmp);
	batch_free(&b);
	assert_int_equal(fake.n_events, 1);
	assert_int_equal(fake.event.type, DP_EV_SOFT_LIFE);
	assert_int_equal(fake.event.why, DP_LIFE_SEQ);
	assert_int_equal(fake.event.tunnel, tunnel);
	assert_int_equal(fake.event.spi, SPI);
	assert_false(fake.event.inbound);
	put_udp(100, 0, false);
	esp_out(fake.w, &b, &icmp);
	batch_free(&b);
	assert_int_equal(fake.n_events, 1); // not more than every 100 ms
	fake.w->now_tsc += fake.dp.tsc_hz / 5;
	put_udp(100, 0, false);
	esp_out(fake.w, &b, &icmp);
	batch_free(&b);
	assert_int_equal(fake.n_events, 2);
}

// ---- lifetimes in packets and bytes ----

static void set_out_life(struct esp_life soft, struct esp_life hard)
{
	struct esp_sa sa = fake_esp_sa(SPI, 128, false);

	sa.soft = soft;
	sa.hard = hard;
	assert_int_equal(dp_tunnel_set_out(&fake.dp, tunnel, &sa, NULL), 0);
}

// Sends n packets of 100 bytes in one batch; how many went out.
static unsigned send_batch(unsigned n)
{
	unsigned sent;

	for (unsigned i = 0; i < n; i++)
		put_udp(100, 0, false);
	esp_out(fake.w, &b, &icmp);
	sent = b.n;
	batch_free(&b);
	return sent;
}

static void expect_event(unsigned n, enum dp_event_type type, enum dp_life why)
{
	assert_int_equal(fake.n_events, n);
	assert_int_equal(fake.event.type, type);
	assert_int_equal(fake.event.why, why);
	assert_int_equal(fake.event.spi, SPI);
}

static void test_life_in_packets(void **state)
{
	struct dp_sa_stats st;

	(void)state;
	set_out_life((struct esp_life){.packets = 10}, (struct esp_life){.packets = 15});
	assert_int_equal(send_batch(9), 9);
	assert_int_equal(fake.n_events, 0);
	assert_int_equal(send_batch(1), 1);
	expect_event(1, DP_EV_SOFT_LIFE, DP_LIFE_PACKETS);
	assert_int_equal(send_batch(4), 4);
	assert_int_equal(fake.n_events, 1); // once in 100 ms
	assert_int_equal(send_batch(3), 1); // 15
	expect_event(2, DP_EV_HARD_LIFE, DP_LIFE_PACKETS);
	assert_int_equal(send_batch(3), 0);
	assert_int_equal(dropped(DROP_SA_LIFE), 5);
	assert_int_equal(dropped(DROP_SEQ_EXHAUSTED), 0);
	assert_int_equal(dp_tunnel_out_stats(&fake.dp, tunnel, &st), 0);
	assert_int_equal(st.packets, 15);
	assert_int_equal(st.bytes, 1500);
	assert_int_equal(st.seq, 15);
	// The SA that takes its place begins anew.
	set_out_life((struct esp_life){.packets = 10}, (struct esp_life){.packets = 15});
	assert_int_equal(send_batch(10), 10);
	expect_event(3, DP_EV_SOFT_LIFE, DP_LIFE_PACKETS);
}

static void test_life_in_bytes(void **state)
{
	struct dp_sa_stats st;

	(void)state;
	set_out_life((struct esp_life){.bytes = 1000}, (struct esp_life){.bytes = 1550});
	assert_int_equal(send_batch(9), 9);
	assert_int_equal(fake.n_events, 0);
	assert_int_equal(send_batch(2), 2);
	expect_event(1, DP_EV_SOFT_LIFE, DP_LIFE_BYTES);
	assert_int_equal(send_batch(20), 4);
	expect_event(2, DP_EV_HARD_LIFE, DP_LIFE_BYTES);
	assert_int_equal(dropped(DROP_SA_LIFE), 16);
	assert_int_equal(dp_tunnel_out_stats(&fake.dp, tunnel, &st), 0);
	assert_int_equal(st.packets, 15);
	assert_int_equal(st.bytes, 1500);
}

// Without a soft end nobody is told before the hard one is passed.
static void test_life_that_only_ends(void **state)
{
	(void)state;
	set_out_life((struct esp_life){0}, (struct esp_life){.packets = 10, .bytes = 5000});
	assert_int_equal(send_batch(10), 10);
	assert_int_equal(fake.n_events, 0);
	assert_int_equal(send_batch(1), 0);
	expect_event(1, DP_EV_HARD_LIFE, DP_LIFE_PACKETS);
}

static void test_other_tunnels_in_the_batch_go_on(void **state)
{
	struct esp_sa sa = fake_esp_sa(SPI + 1, 128, false);
	uint32_t other;

	(void)state;
	set_out_life((struct esp_life){0}, (struct esp_life){.packets = 2});
	assert_int_equal(dp_tunnel_add(&fake.dp, "other", &other), 0);
	assert_int_equal(dp_tunnel_set_out(&fake.dp, other, &sa, NULL), 0);
	for (unsigned i = 0; i < 8; i++) {
		put_udp(100, 0, false);
		b.tunnel[i] = tunnel_get(&fake.dp, i & 1 ? other : tunnel);
	}
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(b.n, 2 + 4);
	for (unsigned i = 0; i < 6; i++) {
		static const uint32_t expect[] = {SPI, SPI + 1, SPI, SPI + 1, SPI + 1, SPI + 1};
		uint32_t word;

		memcpy(&word, rte_pktmbuf_mtod_offset(b.pkt[i], void *, 20), 4);
		assert_int_equal(rte_be_to_cpu_32(word), expect[i]);
	}
	batch_free(&b);
}

struct sender {
	pthread_t thread;
	struct worker *w;
	struct rte_mbuf *m;
	uint32_t seq[THREAD_PACKETS];
};

// One small packet after the other, always in the same buffer: little but the counter is shared.
static void *sender_main(void *arg)
{
	struct sender *s = arg;
	struct batch out = {0}, errors = {0};
	uint8_t ip[40];

	make_ip(ip, sizeof(ip), HOST_A, HOST_B, IPPROTO_UDP, 1000, 2000);
	for (unsigned i = 0; i < THREAD_PACKETS; i++) {
		uint32_t word[2];

		rte_pktmbuf_reset(s->m);
		memcpy(rte_pktmbuf_append(s->m, sizeof(ip)), ip, sizeof(ip));
		out.n = 0;
		batch_put(&out, s->m);
		out.tunnel[0] = tunnel_get(&fake.dp, tunnel);
		esp_out(s->w, &out, &errors);
		memcpy(word, rte_pktmbuf_mtod_offset(s->m, void *, 20), 8);
		s->seq[i] = rte_be_to_cpu_32(word[1]);
	}
	return NULL;
}

// Several workers send through one SA: no number, and so no IV, is ever used twice.
static void test_workers_never_share_a_sequence_number(void **state)
{
	static struct sender sender[3];
	const unsigned total = 3 * THREAD_PACKETS;
	uint8_t *seen = calloc(total + 1, 1);
	struct dp_sa_stats st;

	(void)state;
	set_out(SPI, 128, false);
	for (unsigned t = 0; t < 3; t++) {
		sender[t].w = aligned_alloc(64, sizeof(struct worker) / 64 * 64 + 64);
		memset(sender[t].w, 0, sizeof(struct worker));
		sender[t].w->dp = &fake.dp;
		sender[t].m = mbuf_of("", 0);
		sender[t].w->now_tsc = fake.w->now_tsc;
		assert_int_equal(crypto_create(&sender[t].w->crypto), 0);
	}
	for (unsigned t = 0; t < 3; t++)
		assert_int_equal(pthread_create(&sender[t].thread, NULL, sender_main, &sender[t]),
				 0);
	for (unsigned t = 0; t < 3; t++) {
		pthread_join(sender[t].thread, NULL);
		for (unsigned i = 0; i < THREAD_PACKETS; i++) {
			assert_in_range(sender[t].seq[i], 1, total);
			assert_int_equal(seen[sender[t].seq[i]]++, 0);
		}
		crypto_destroy(sender[t].w->crypto);
		free(sender[t].w);
		rte_pktmbuf_free(sender[t].m);
	}
	assert_int_equal(dp_tunnel_out_stats(&fake.dp, tunnel, &st), 0);
	assert_int_equal(st.packets, total);
	assert_int_equal(st.bytes, total * 40);
	assert_int_equal(st.seq, total);
	free(seen);
}

static void test_move_keeps_the_numbers_unique(void **state)
{
	struct ip_endpoint local = {.port = 4500}, remote = {.port = 61000};
	struct tunnel *t = tunnel_get(&fake.dp, tunnel);
	struct sa_out *old, *moved;
	struct dp_sa_stats st;
	const uint8_t *p;

	(void)state;
	assert_int_equal(ip_addr_parse(GW_A, &local.addr), 0);
	assert_int_equal(ip_addr_parse(GW_B, &remote.addr), 0);
	assert_int_equal(dp_tunnel_move(&fake.dp, tunnel, SPI, &local, &remote), -ENOENT);
	set_out(SPI, 128, true);
	put_udp(100, 0, false);
	put_udp(100, 0, false);
	esp_out(fake.w, &b, &icmp);
	batch_free(&b);
	old = current_sa();
	assert_int_equal(dp_tunnel_move(&fake.dp, tunnel, SPI + 1, &local, &remote), -ENOENT);
	assert_ptr_equal(current_sa(), old);
	assert_int_equal(dp_tunnel_move(&fake.dp, tunnel, SPI, &local, &remote), 0);
	moved = current_sa();
	assert_ptr_not_equal(moved, old);
	put_udp(100, 0, false);
	esp_out(fake.w, &b, &icmp);
	p = rte_pktmbuf_mtod(b.pkt[0], const uint8_t *);
	assert_true(ip_checksum_ok(p));
	assert_int_equal(flow_load16(p + 20), 4500);
	assert_int_equal(flow_load16(p + 22), 61000);
	assert_int_equal(flow_load16(p + 32) << 16 | flow_load16(p + 34), 3); // the numbers go on
	batch_free(&b);
	assert_int_equal(dp_tunnel_out_stats(&fake.dp, tunnel, &st), 0);
	assert_int_equal(st.packets, 3);
	assert_int_equal(st.seq, 3);

	// A worker that still holds the old pointer sends nothing, and alarms nobody.
	atomic_store(&t->sa, old);
	put_udp(100, 0, false);
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(b.n, 0);
	assert_int_equal(fake.n_events, 0);
	atomic_store(&t->sa, moved);

	// Out of UDP (RFC 4555 3.5).
	local.port = remote.port = 0;
	assert_int_equal(dp_tunnel_move(&fake.dp, tunnel, SPI, &local, &remote), 0);
	put_udp(100, 0, false);
	esp_out(fake.w, &b, &icmp);
	p = rte_pktmbuf_mtod(b.pkt[0], const uint8_t *);
	assert_true(ip_checksum_ok(p));
	assert_int_equal(p[9], IPPROTO_ESP);
	assert_int_equal((uint32_t)flow_load16(p + 20) << 16 | flow_load16(p + 22), SPI);
	assert_int_equal(flow_load16(p + 24) << 16 | flow_load16(p + 26), 4);
	batch_free(&b);
}

static void test_stats(void **state)
{
	struct dp_sa_stats st;

	(void)state;
	assert_int_not_equal(dp_tunnel_out_stats(&fake.dp, tunnel, &st), 0);
	set_out(SPI, 128, false);
	assert_int_equal(dp_tunnel_out_stats(&fake.dp, tunnel, &st), 0);
	assert_int_equal(st.packets, 0);
	assert_true(st.idle_ms == UINT64_MAX);
	put_udp(100, 0, false);
	put_udp(200, 0, false);
	esp_out(fake.w, &b, &icmp);
	batch_free(&b);
	assert_int_equal(dp_tunnel_out_stats(&fake.dp, tunnel, &st), 0);
	assert_int_equal(st.packets, 2);
	assert_int_equal(st.bytes, 300);
	assert_int_equal(st.seq, 2);
	assert_true(st.idle_ms < 10000);
}

static void test_offload_flags_of_the_inner_packet_are_forgotten(void **state)
{
	(void)state;
	set_out(SPI, 128, false);
	put_udp(100, 0, false);
	b.pkt[0]->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	b.pkt[0]->packet_type = 0x211;
	b.pkt[0]->l4_len = 8;
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(b.pkt[0]->ol_flags, 0);
	assert_int_equal(b.pkt[0]->packet_type, 0);
	batch_free(&b);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_all_sizes_128),
		T(test_all_sizes_256_udp),
		T(test_dscp_ecn_and_df_are_copied),
		T(test_batch_keeps_order_and_numbers_are_contiguous),
		T(test_many_tunnels_in_one_batch),
		T(test_no_sa_is_dropped_and_reported_once_in_100_ms),
		T(test_without_an_sa_a_packet_waits_when_one_is_to_come),
		T(test_packet_outside_the_sa_is_dropped),
		T(test_full_lists_of_selectors),
		T(test_too_big),
		T(test_without_df_it_is_cut),
		T(test_what_cannot_be_cut),
		T(test_sa_that_goes_while_a_batch_is_cut),
		T(test_a_fragment_is_cut),
		T(test_who_is_not_cut_inside),
		T(test_mss_is_clamped),
		T(test_full_icmp_batch_takes_no_more),
		T(test_no_route_to_the_peer),
		T(test_answer_to_one_too_big),
		T(test_where_an_answer_may_go),
		T(test_room_is_counted_exactly),
		T(test_buffers_that_cannot_be_written),
		T(test_sequence_number_never_wraps),
		T(test_sequence_numbers_running_low_are_reported),
		T(test_life_in_packets),
		T(test_life_in_bytes),
		T(test_life_that_only_ends),
		T(test_other_tunnels_in_the_batch_go_on),
		T(test_workers_never_share_a_sequence_number),
		T(test_move_keeps_the_numbers_unique),
		T(test_stats),
		T(test_offload_flags_of_the_inner_packet_are_forgotten),
	};

	return cmocka_run_group_tests_name("esp_out", tests, fake_group_setup, fake_group_teardown);
}
