// ESP with IPv6 inside, over IPv4 and over IPv6, plain and in UDP: what esp_out() makes, read by
// OpenSSL, and what esp_in() takes of what OpenSSL made. With IPv4 inside: test_esp_out.c,
// test_esp_in.c and test_esp6.c.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "fake_dp.h"

#define SPI 0xc0ffee66u

static uint32_t tunnel;
static struct batch b, icmp;

static const struct pairing {
	bool outer6, udp;
	uint16_t most; // bytes of inner packet with an MTU of 1500
} pairings[] = {{false, false, 1446}, {false, true, 1438}, {true, false, 1426}, {true, true, 1418}};

static struct ip_addr addr(const char *text)
{
	struct ip_addr a;

	assert_int_equal(ip_addr_parse(text, &a), 0);
	return a;
}

// Selectors of both families, those of IPv6 as given.
static struct esp_sa sa_of(uint32_t spi, const struct pairing *p, const char *local,
			   const char *remote)
{
	struct esp_sa sa = fake_esp_sa(spi, 128, p->udp);

	if (p->outer6) {
		sa.local.addr = addr(GW_A6);
		sa.remote.addr = addr(GW_B6);
	}
	sa.local_ts.s[sa.local_ts.n++] = sel(local);
	sa.remote_ts.s[sa.remote_ts.n++] = sel(remote);
	return sa;
}

static void set_out(const struct pairing *p, const char *local, const char *remote)
{
	struct esp_sa sa = sa_of(SPI, p, local, remote);

	assert_int_equal(dp_tunnel_set_out(&fake.dp, tunnel, &sa, NULL), 0);
}

static int setup(void **state)
{
	int err = fake_setup(state);

	memset(&b, 0, sizeof(b));
	memset(&icmp, 0, sizeof(icmp));
	return err != 0 ? err : dp_tunnel_add(&fake.dp, "site-b", &tunnel);
}

// ---- out ----

static void send_one(const void *ip, size_t len)
{
	batch_put(&b, mbuf_of(ip, len));
	b.tunnel[0] = tunnel_get(&fake.dp, tunnel);
	esp_out(fake.w, &b, &icmp);
}

static void check_out(const struct pairing *p, const uint8_t *ip, size_t len)
{
	const struct rte_mbuf *m = b.pkt[0];
	const uint8_t *outer = rte_pktmbuf_mtod(m, const uint8_t *);
	const size_t outer_len = (p->outer6 ? 40u : 20u) + (p->udp ? 8u : 0u);
	const uint8_t class = (uint8_t)(ip[0] << 4 | ip[1] >> 4);
	uint8_t text[2048];
	int n;

	assert_int_equal(b.n, 1);
	if (p->outer6) {
		assert_int_equal(outer[0] << 4 | outer[1] >> 4, 0x600 | class);
		assert_int_equal(outer[1] & 15, 0); // no flow label of the inner one
		assert_int_equal(outer[2] | outer[3], 0);
		assert_int_equal(flow_load16(outer + 4), m->data_len - 40);
	} else {
		assert_int_equal(outer[0], 0x45);
		assert_int_equal(outer[1], class);
		assert_int_equal(flow_load16(outer + 2), m->data_len);
		assert_true(ip_checksum_ok(outer));
	}
	n = open_esp(outer + outer_len, m->data_len - outer_len, 128, text);
	assert_true(n > 0);
	assert_int_equal(text[n - 1], 41);
	assert_int_equal(n, len + 2 + text[n - 2]);
	assert_memory_equal(text, ip, len);
}

static void test_out_all_sizes(void **state)
{
	uint8_t ip[2048];

	(void)state;
	for (unsigned k = 0; k < 4; k++) {
		set_out(&pairings[k], SITE_A6, SITE_B6);
		assert_int_equal(dp_tunnel_inner_mtu(&fake.dp, tunnel), pairings[k].most);
		for (size_t len = 48; len <= pairings[k].most; len++) {
			make_ip6(ip, len, HOST_A6, HOST_B6, 17, 1000, 2000);
			ip[0] |= (uint8_t)(len >> 4 & 15); // every traffic class, a flow label
			ip[1] = (uint8_t)(len << 4 | 5);
			ip[3] = 0x77;
			send_one(ip, len);
			check_out(&pairings[k], ip, len);
			assert_true(b.pkt[0]->pkt_len <= 1500);
			batch_free(&b);
		}
	}
	assert_int_equal(dropped_total(), 0);
	assert_int_equal(fake.n_icmp, 0);
}

// One SA carries both families.
static void test_out_both_families(void **state)
{
	uint8_t ip4[100], ip6[100], text[200];

	(void)state;
	make_ip(ip4, sizeof(ip4), HOST_A, HOST_B, 17, 1, 2);
	make_ip6(ip6, sizeof(ip6), HOST_A6, HOST_B6, 17, 1, 2);
	set_out(&pairings[0], SITE_A6, SITE_B6);
	for (unsigned i = 0; i < 6; i++) {
		batch_put(&b, i & 1 ? mbuf_of(ip6, sizeof(ip6)) : mbuf_of(ip4, sizeof(ip4)));
		b.tunnel[i] = tunnel_get(&fake.dp, tunnel);
	}
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(b.n, 6);
	for (unsigned i = 0; i < 6; i++) {
		const int n = open_esp(rte_pktmbuf_mtod_offset(b.pkt[i], uint8_t *, 20),
				       b.pkt[i]->data_len - 20u, 128, text);

		assert_int_equal(text[n - 1], i & 1 ? 41 : 4);
		assert_memory_equal(text, i & 1 ? ip6 : ip4, 100);
	}
	batch_free(&b);
}

static void test_out_selectors(void **state)
{
	static const struct {
		const char *src, *dst;
		uint8_t next;
		uint16_t sport, dport;
		bool out;
	} rows[] = {
		{HOST_A6, HOST_B6, 17, 1, 53, true},
		{HOST_A6, HOST_B6, 17, 1, 54, false},
		{HOST_A6, HOST_B6, 6, 1, 53, false},
		{HOST_A6, "2001:db8:3::1", 17, 1, 53, false},
		{"2001:db8:0:ffff::1", HOST_B6, 17, 1, 53, false},
		{HOST_B6, HOST_A6, 17, 53, 1, false},
	};
	uint8_t ip[100];
	unsigned lost = 0;

	(void)state;
	set_out(&pairings[0], SITE_A6, SITE_B6 " 17 53-53");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		make_ip6(ip, sizeof(ip), rows[i].src, rows[i].dst, rows[i].next, rows[i].sport,
			 rows[i].dport);
		send_one(ip, sizeof(ip));
		assert_int_equal(b.n, rows[i].out);
		batch_free(&b);
		lost += !rows[i].out;
	}
	assert_int_equal(dropped(DROP_OUT_SELECTOR), lost);
	// Nor does one of everything take what nobody can tell the flow of.
	set_out(&pairings[0], SITE_A6, SITE_B6);
	for (unsigned cut = 0; cut < 2; cut++) {
		make_ip6(ip, sizeof(ip), HOST_A6, HOST_B6, 60, 1, 53);
		ip[41] = cut ? 255 : 0;
		ip[40] = 17;
		send_one(ip, sizeof(ip));
		assert_int_equal(b.n, !cut);
		batch_free(&b);
		lost += cut;
	}
	assert_int_equal(dropped(DROP_OUT_SELECTOR), lost);
	// An SA of IPv4 alone takes nothing of IPv6, nor the other way round.
	set_out(&pairings[0], SITE_A, SITE_B);
	make_ip6(ip, sizeof(ip), HOST_A6, HOST_B6, 17, 1, 53);
	send_one(ip, sizeof(ip));
	assert_int_equal(dropped(DROP_OUT_SELECTOR), lost + 1);
}

// The SA's selectors outlive a change of the outer addresses.
// What no one can read is none of any SA's, whatever its selectors are.
static void test_out_headers_that_cannot_be_read(void **state)
{
	uint8_t ip[100];

	(void)state;
	set_out(&pairings[0], "::/0", "::/0");
	for (unsigned i = 0; i < 2; i++) {
		make_ip6(ip, sizeof(ip), HOST_A6, HOST_B6, 60, 0, 0);
		memset(ip + 40, 0, 60);
		ip[40] = 59;
		ip[41] = i == 0 ? 200 : 0; // options that go on behind the packet's end
		send_one(ip, sizeof(ip));
		assert_int_equal(b.n, i);
		assert_int_equal(dropped(DROP_OUT_SELECTOR), 1);
		batch_free(&b);
	}
}

static void test_move_keeps_selectors(void **state)
{
	const struct ip_endpoint local = {addr(GW_A6), 4500}, remote = {addr(GW_B6), 4500};
	uint8_t ip[100];

	(void)state;
	set_out(&pairings[1], SITE_A6, SITE_B6);
	assert_int_equal(dp_tunnel_move(&fake.dp, tunnel, SPI, &local, &remote), 0);
	fake_reclaim();
	make_ip6(ip, sizeof(ip), HOST_A6, HOST_B6, 17, 1, 2);
	send_one(ip, sizeof(ip));
	check_out(&pairings[3], ip, sizeof(ip));
	batch_free(&b);
}

// RFC 8200 5, RFC 2473 7.1, RFC 4213 3.2.2: never less than 1280 bytes inside. `df` of 2: no
// matter.
static void test_out_too_big(void **state)
{
	static const struct {
		uint16_t path, len, said; // said: 0: sent
		uint8_t df;
	} rows[] = {
		{1500, 1446, 0, 1},    {1500, 1447, 1446, 2}, {1336, 1282, 0, 1},
		{1336, 1283, 1282, 2}, {1335, 1278, 0, 0},    {1335, 1280, 0, 0},
		{1335, 1281, 1280, 2}, {600, 100, 0, 0},      {600, 1280, 0, 0},
		{600, 1281, 1280, 2},
	};
	uint8_t ip[2048];

	(void)state;
	set_out(&pairings[0], SITE_A6, SITE_B6);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fake.route_mtu = rows[i].path;
		fake.icmp_mtu = 0;
		make_ip6(ip, rows[i].len, HOST_A6, HOST_B6, 17, 1, 2);
		send_one(ip, rows[i].len);
		if (fake.icmp_mtu != rows[i].said || b.n != (rows[i].said == 0))
			fail_msg("row %zu: %u said, %u sent", i, fake.icmp_mtu, b.n);
		if (rows[i].said == 0) {
			const uint8_t *outer = rte_pktmbuf_mtod(b.pkt[0], const uint8_t *);

			check_out(&pairings[0], ip, rows[i].len);
			assert_int_equal(outer[6], rows[i].df ? 0x40 : 0);
		}
		assert_int_equal(icmp.n, rows[i].said != 0);
		batch_free(&b);
		batch_free(&icmp);
	}
	assert_int_equal(dropped(DROP_TOO_BIG), fake.n_icmp);
	assert_int_equal(fake.routed.n, 0); // nothing was cut
}

static void test_out_full_icmp_batch_takes_no_more(void **state)
{
	uint8_t ip[1500];

	(void)state;
	set_out(&pairings[0], SITE_A6, SITE_B6);
	make_ip6(ip, sizeof(ip), HOST_A6, HOST_B6, 17, 1, 2);
	icmp.n = BATCH_MAX;
	send_one(ip, sizeof(ip));
	assert_int_equal(dropped(DROP_TOO_BIG), 1);
	assert_int_equal(fake.n_icmp, 0);
	icmp.n = 0;
}

static void test_no_sa_says_who(void **state)
{
	const struct ip_addr src = addr(HOST_A6), dst = addr(HOST_B6);
	uint8_t ip[60];

	(void)state;
	make_ip6(ip, sizeof(ip), HOST_A6, HOST_B6, 59, 0, 0);
	send_one(ip, sizeof(ip));
	assert_int_equal(dropped(DROP_NO_SA), 1);
	assert_int_equal(fake.event.type, DP_EV_NO_SA);
	assert_true(ip_addr_equal(&fake.event.addr, &src));
	assert_true(ip_addr_equal(&fake.event.addr2, &dst));
}

// A SYN, with an MSS of 1460 in its only option.
static size_t make_syn(uint8_t *ip, const char *src, const char *dst)
{
	const uint8_t option[] = {2, 4, 1460 >> 8, 1460 & 255};

	make_ip6(ip, 64, src, dst, 6, 1000, 80);
	ip[40 + 12] = 6 << 4;
	ip[40 + 13] = 2;
	memcpy(ip + 60, option, sizeof(option));
	return 64;
}

static void test_out_clamps_mss(void **state)
{
	uint8_t ip[64], text[128];

	(void)state;
	set_out(&pairings[0], SITE_A6, SITE_B6);
	for (unsigned on = 0; on < 2; on++) {
		fake.dp.clamp_mss = on;
		send_one(ip, make_syn(ip, HOST_A6, HOST_B6));
		open_esp(rte_pktmbuf_mtod_offset(b.pkt[0], uint8_t *, 20), b.pkt[0]->data_len - 20u,
			 128, text);
		assert_int_equal(flow_load16(text + 62), on ? 1446 - 60 : 1460);
		batch_free(&b);
	}
}

// ---- in ----

static uint32_t publish(const struct pairing *p, const char *local, const char *remote)
{
	struct esp_sa sa;
	uint32_t spi;

	assert_int_equal(dp_sa_in_reserve(&fake.dp, &spi), 0);
	sa = sa_of(spi, p, local, remote);
	assert_int_equal(dp_sa_in_publish(&fake.dp, tunnel, &sa, NULL), 0);
	return spi;
}

// `len` bytes with `extra` bytes of padding that nobody counts behind them.
static unsigned receive(const struct pairing *p, struct fake_esp *how, const void *ip, size_t len,
			size_t extra, uint8_t next_header)
{
	uint8_t text[2048], v4[2304], v6[2304];
	size_t n;

	memcpy(text, ip, len);
	memset(text + len, 0x5a, extra);
	how->udp = p->udp;
	how->seq++;
	n = make_esp(v4, how, text, put_trailer(text, len + extra, 0, next_header));
	if (p->outer6)
		n = over_ipv6(v4, n, v6);
	batch_put(&b, mbuf_of(p->outer6 ? v6 : v4, n));
	esp_in(fake.w, &b);
	return b.n;
}

static void test_in_all_sizes(void **state)
{
	uint8_t ip[2048];

	(void)state;
	for (unsigned k = 0; k < 4; k++) {
		struct fake_esp how = {.spi = publish(&pairings[k], SITE_A6, SITE_B6),
				       .key_bits = 128};

		for (size_t len = 48; len <= 1426; len++) {
			make_ip6(ip, len, HOST_B6, HOST_A6, 17, 2000, 1000);
			assert_int_equal(receive(&pairings[k], &how, ip, len, len % 7, 41), 1);
			assert_int_equal(b.pkt[0]->data_len, len); // RFC 4303 2.7
			assert_int_equal(b.pkt[0]->pkt_len, len);
			assert_memory_equal(rte_pktmbuf_mtod(b.pkt[0], void *), ip, len);
			assert_int_equal(b.origin[0], FROM_TUNNEL);
			batch_free(&b);
		}
	}
	assert_int_equal(dropped_total(), 0);
}

static void test_in_form(void **state)
{
	static const struct {
		size_t len, at;
		uint8_t byte, next_header;
		enum drop_reason reason;
		const char *why;
	} rows[] = {
		{100, 99, 99, 41, DROP_REASON_COUNT, "good"},
		{100, 99, 99, 4, DROP_ESP_INNER, "IPv6 that is called IPv4"},
		{100, 99, 99, 42, DROP_ESP_NEXT_HEADER, "neither"},
		{100, 0, 0x45, 41, DROP_ESP_INNER, "version 4"},
		{100, 5, 61, 41, DROP_ESP_INNER, "longer than what there is"},
		{100, 4, 1, 41, DROP_ESP_INNER, "much longer"},
		{39, 38, 0, 41, DROP_ESP_INNER, "no whole header"},
		{0, 0, 0, 41, DROP_ESP_INNER, "nothing"},
		{100, 6, 0, 41, DROP_ESP_INNER, "an extension header that is cut short"},
		{100, 23, 0xff, 41, DROP_REASON_COUNT, "another host of the site"},
		{100, 13, 3, 41, DROP_ESP_SELECTOR, "source of another site"},
		{100, 29, 9, 41, DROP_ESP_SELECTOR, "destination of another site"},
		{100, 6, 6, 41, DROP_ESP_SELECTOR, "another protocol"},
		{100, 41, 2, 41, DROP_ESP_SELECTOR, "another port"},
	};
	struct fake_esp how = {.spi = publish(&pairings[0], SITE_A6, SITE_B6 " 17 53-53"),
			       .key_bits = 128};
	uint8_t ip[100];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const bool good = rows[i].reason == DROP_REASON_COUNT;

		make_ip6(ip, sizeof(ip), HOST_B6, HOST_A6, 17, 53, 1000);
		ip[42] = 0; // as an extension header it is of 8 + 8 * 53 bytes
		if (rows[i].len > 0)
			ip[rows[i].at] = rows[i].byte;
		memset(fake.w->drops, 0, sizeof(fake.w->drops));
		if (receive(&pairings[0], &how, ip, rows[i].len, 0, rows[i].next_header) != good ||
		    (!good && dropped(rows[i].reason) != 1))
			fail_msg("%s", rows[i].why);
		batch_free(&b);
	}
}

// RFC 6040 4.2: inner, outer, what comes out; 4: nothing.
static void test_in_congestion(void **state)
{
	static const uint8_t rows[4][4] = {{0, 0, 0, 4}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};
	uint8_t ip[80];

	(void)state;
	for (unsigned k = 0; k < 4; k++) {
		struct fake_esp how = {.spi = publish(&pairings[k], SITE_A6, SITE_B6),
				       .key_bits = 128};

		for (unsigned i = 0; i < 16; i++) {
			const uint8_t inner = (uint8_t)(0xb8 | i / 4), want = rows[i / 4][i % 4];

			make_ip6(ip, sizeof(ip), HOST_B6, HOST_A6, 17, 1, 2);
			ip[0] |= inner >> 4;
			ip[1] = (uint8_t)(inner << 4 | 9);
			how.tos = (uint8_t)(0x48 | i % 4);
			assert_int_equal(receive(&pairings[k], &how, ip, sizeof(ip), 0, 41),
					 want != 4);
			if (want != 4) {
				const uint8_t *got = rte_pktmbuf_mtod(b.pkt[0], const uint8_t *);

				assert_int_equal(got[0], 0x6b);
				assert_int_equal(got[1], (uint8_t)((0x80 | want << 4) | 9));
				assert_memory_equal(got + 2, ip + 2, sizeof(ip) - 2);
			}
			batch_free(&b);
		}
	}
	assert_int_equal(dropped(DROP_ESP_ECN), 4);
}

// RFC 4301 7: a later fragment has no ports, and perhaps no protocol.
static void test_in_fragments(void **state)
{
	struct fake_esp any = {.spi = publish(&pairings[0], SITE_A6, SITE_B6), .key_bits = 128};
	struct fake_esp udp = {.spi = publish(&pairings[0], SITE_A6, SITE_B6 " 17 0-65535"),
			       .key_bits = 128};
	struct fake_esp port = {.spi = publish(&pairings[0], SITE_A6, SITE_B6 " 17 53-53"),
				.key_bits = 128};
	static const uint8_t first[8] = {17, 0, 0, 1}, later[8] = {17, 0, 0, 0x40},
			     hidden[8] = {60, 0, 0, 0x40};
	const struct {
		const uint8_t *fragment;
		struct fake_esp *sa;
		bool in;
	} rows[] = {{first, &any, true},  {first, &udp, true},	 {first, &port, true},
		    {later, &any, true},  {later, &udp, true},	 {later, &port, false},
		    {hidden, &any, true}, {hidden, &udp, false}, {hidden, &port, false}};
	uint8_t ip[100];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		make_ip6(ip, sizeof(ip), HOST_B6, HOST_A6, 44, 0, 0);
		memcpy(ip + 40, rows[i].fragment, 8);
		ip[48] = 0;
		ip[49] = 53;
		if (receive(&pairings[0], rows[i].sa, ip, sizeof(ip), 0, 41) != rows[i].in)
			fail_msg("row %zu", i);
		batch_free(&b);
	}
	assert_int_equal(dropped(DROP_ESP_SELECTOR), 3);
}

static void test_in_clamps_mss(void **state)
{
	uint8_t ip[64];

	(void)state;
	for (unsigned k = 0; k < 4; k++) {
		struct fake_esp how = {.spi = publish(&pairings[k], SITE_A6, SITE_B6),
				       .key_bits = 128};

		fake.dp.clamp_mss = true;
		assert_int_equal(
			receive(&pairings[k], &how, ip, make_syn(ip, HOST_B6, HOST_A6), 0, 41), 1);
		assert_int_equal(flow_load16(rte_pktmbuf_mtod(b.pkt[0], uint8_t *) + 62),
				 pairings[k].most - 60);
		batch_free(&b);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		T(test_out_all_sizes),
		T(test_out_both_families),
		T(test_out_selectors),
		T(test_move_keeps_selectors),
		T(test_out_headers_that_cannot_be_read),
		T(test_out_too_big),
		T(test_out_full_icmp_batch_takes_no_more),
		T(test_no_sa_says_who),
		T(test_out_clamps_mss),
		T(test_in_all_sizes),
		T(test_in_form),
		T(test_in_congestion),
		T(test_in_fragments),
		T(test_in_clamps_mss),
	};

	return cmocka_run_group_tests(tests, fake_group_setup, fake_group_teardown);
}
