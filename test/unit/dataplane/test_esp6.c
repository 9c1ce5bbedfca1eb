// ESP with IPv6 outside: what esp_out() makes, read by OpenSSL and summed up by hand, and what
// esp_in() takes.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "fake_dp.h"

#define SPI	0xc0ffee06u
#define IP6_LEN 40u

static uint32_t tunnel;
static struct batch b, icmp;

static struct ip_addr addr(const char *text)
{
	struct ip_addr a;

	assert_int_equal(ip_addr_parse(text, &a), 0);
	return a;
}

static void set_out(bool udp)
{
	struct esp_sa sa = fake_esp_sa(SPI, 128, udp);

	sa.local.addr = addr(GW_A6);
	sa.remote.addr = addr(GW_B6);
	assert_int_equal(dp_tunnel_set_out(&fake.dp, tunnel, &sa, NULL), 0);
}

static int setup(void **state)
{
	int err = fake_setup(state);

	memset(&b, 0, sizeof(b));
	memset(&icmp, 0, sizeof(icmp));
	return err != 0 ? err : dp_tunnel_add(&fake.dp, "site-b", &tunnel);
}

// RFC 8200 8.1: over the pseudo-header, the UDP header and the data, it comes out as all ones.
static uint16_t udp_sum(const uint8_t *ip, size_t len)
{
	uint32_t sum = (uint32_t)(len - IP6_LEN) + IPPROTO_UDP;

	for (size_t i = 8; i < len; i += 2)
		sum += (uint32_t)ip[i] << 8 | (i + 1 < len ? ip[i + 1] : 0u);
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void check_outer(const struct rte_mbuf *m, const uint8_t *inner, size_t inner_len, bool udp,
			uint32_t seq)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *), *esp = p + IP6_LEN + (udp ? 8 : 0);
	const size_t esp_len = m->data_len - (size_t)(esp - p);
	const struct ip_addr src = addr(GW_A6), dst = addr(GW_B6);
	uint8_t text[2048];
	uint32_t word[2];

	assert_int_equal(p[0], 0x60 | inner[1] >> 4); // RFC 4301 5.1.2.2
	assert_int_equal(p[1], (inner[1] << 4) & 0xf0);
	assert_int_equal(p[2] | p[3], 0);
	assert_int_equal(flow_load16(p + 4), m->data_len - IP6_LEN);
	assert_int_equal(p[6], udp ? 17 : 50);
	assert_int_equal(p[7], 64);
	assert_memory_equal(p + 8, src.bytes, 16);
	assert_memory_equal(p + 24, dst.bytes, 16);
	if (udp) {
		assert_int_equal(flow_load16(p + 40), 4500);
		assert_int_equal(flow_load16(p + 42), 4500);
		assert_int_equal(flow_load16(p + 44), m->data_len - IP6_LEN);
		assert_int_not_equal(flow_load16(p + 46), 0);
		assert_int_equal(udp_sum(p, m->data_len), 0xffff);
	}
	memcpy(word, esp, sizeof(word));
	assert_int_equal(rte_be_to_cpu_32(word[0]), SPI);
	assert_int_equal(rte_be_to_cpu_32(word[1]), seq);
	assert_true(open_esp(esp, esp_len, 128, text) > 0);
	assert_memory_equal(text, inner, inner_len);
}

static void all_sizes(bool udp)
{
	const size_t last = udp ? 1418 : 1426; // 20 bytes less than with IPv4
	uint32_t seq = 1;
	uint8_t ip[2048];

	set_out(udp);
	assert_int_equal(dp_tunnel_inner_mtu(&fake.dp, tunnel), last);
	for (size_t len = 24; len <= last; len++) {
		make_ip(ip, len, HOST_A, HOST_B, IPPROTO_UDP, 1000, 2000);
		ip[1] = (uint8_t)len; // every traffic class
		batch_put(&b, mbuf_of(ip, len));
		b.tunnel[0] = tunnel_get(&fake.dp, tunnel);
		esp_out(fake.w, &b, &icmp);
		assert_int_equal(b.n, 1);
		assert_true(b.pkt[0]->pkt_len <= 1500);
		check_outer(b.pkt[0], ip, len, udp, seq++);
		batch_free(&b);
	}
	assert_int_equal(dropped_total(), 0);
}

static void test_out_all_sizes(void **state)
{
	(void)state;
	all_sizes(false);
}

static void test_out_all_sizes_udp(void **state)
{
	(void)state;
	all_sizes(true);
}

// A SA moves from one family to the other and keeps its numbers.
static void test_move_between_families(void **state)
{
	const struct ip_endpoint local6 = {addr(GW_A6), 4500}, remote6 = {addr(GW_B6), 4500},
				 local4 = {addr(GW_A), 4500};
	struct esp_sa sa = fake_esp_sa(SPI, 128, true);
	uint8_t ip[200];

	(void)state;
	assert_int_equal(dp_tunnel_set_out(&fake.dp, tunnel, &sa, NULL), 0);
	assert_int_equal(dp_tunnel_move(&fake.dp, tunnel, SPI, &local4, &remote6), -EAFNOSUPPORT);
	assert_int_equal(dp_tunnel_move(&fake.dp, tunnel, SPI, &local6, &remote6), 0);
	make_ip(ip, sizeof(ip), HOST_A, HOST_B, IPPROTO_UDP, 1000, 2000);
	batch_put(&b, mbuf_of(ip, sizeof(ip)));
	b.tunnel[0] = tunnel_get(&fake.dp, tunnel);
	esp_out(fake.w, &b, &icmp);
	check_outer(b.pkt[0], ip, sizeof(ip), true, 1);
	batch_free(&b);
}

static unsigned receive(struct fake_esp *how, size_t inner_len, uint8_t inner_tos, size_t cut)
{
	uint8_t text[2048], v4[2048], v6[2048];
	size_t len = make_inner(text, inner_len);
	struct rte_ipv4_hdr h;

	memcpy(&h, text, sizeof(h));
	h.type_of_service = inner_tos;
	h.hdr_checksum = 0;
	h.hdr_checksum = rte_ipv4_cksum(&h);
	memcpy(text, &h, sizeof(h));
	how->seq++;
	len = put_trailer(text, len, 0, 4);
	len = over_ipv6(v4, make_esp(v4, how, text, len), v6);
	batch_put(&b, mbuf_of(v6, len - cut));
	esp_in(fake.w, &b);
	return b.n;
}

static void in_all_sizes(bool udp)
{
	struct fake_esp how = {.spi = fake_publish_in(128, udp, 64), .key_bits = 128, .udp = udp};
	uint8_t ip[2048];

	for (size_t len = 28; len <= 1426; len++) {
		assert_int_equal(receive(&how, len, 0, 0), 1);
		make_inner(ip, len);
		assert_int_equal(b.pkt[0]->data_len, len);
		assert_memory_equal(rte_pktmbuf_mtod(b.pkt[0], void *), ip, len);
		batch_free(&b);
	}
	assert_int_equal(dropped_total(), 0);
}

static void test_in_all_sizes(void **state)
{
	(void)state;
	in_all_sizes(false);
}

static void test_in_all_sizes_udp(void **state)
{
	(void)state;
	in_all_sizes(true);
}

// RFC 6040 4.2 with the mark in the outer traffic class.
static void test_congestion_mark_comes_through(void **state)
{
	struct fake_esp how = {.spi = fake_publish_in(128, false, 64), .key_bits = 128, .tos = 3};

	(void)state;
	assert_int_equal(receive(&how, 100, 0xba, 0), 1); // ECT(0)
	assert_int_equal(rte_pktmbuf_mtod(b.pkt[0], uint8_t *)[1], 0xbb);
	assert_true(ip_checksum_ok(rte_pktmbuf_mtod(b.pkt[0], void *)));
	batch_free(&b);
	assert_int_equal(receive(&how, 100, 0xb8, 0), 0);
	assert_int_equal(dropped(DROP_ESP_ECN), 1);
}

static void test_cut_packets(void **state)
{
	struct fake_esp how = {.spi = fake_publish_in(128, true, 64), .key_bits = 128, .udp = true};
	unsigned n = 0;

	(void)state;
	// 28 bytes of inner packet make 40 + 8 + 16 + 28 + 4 + 16 (the trailer padded).
	for (size_t cut = 1; cut <= 40 + 8 + 16 + 32 + 16 - 20; cut++, n++)
		assert_int_equal(receive(&how, 28, 0, cut), 0);
	assert_int_equal(dropped(DROP_ESP_MALFORMED), n);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		T(test_out_all_sizes),	       T(test_out_all_sizes_udp),
		T(test_move_between_families), T(test_in_all_sizes),
		T(test_in_all_sizes_udp),      T(test_congestion_mark_comes_through),
		T(test_cut_packets),
	};

	return cmocka_run_group_tests(tests, fake_group_setup, fake_group_teardown);
}
