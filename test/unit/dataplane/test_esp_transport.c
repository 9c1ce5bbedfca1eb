#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "esp_ref.h"
#include "fake_dp.h"

#include "dataplane/esp.h"
#include "dataplane/esp_transport.h"

#define SPI   0xc0ffee01u
#define GRE   47
#define OTHER "192.0.2.77"
// A client behind a NAT: its own address, and ours as it sees it.
#define NAT_CLIENT "10.9.9.9"
#define NAT_SERVER "203.0.113.5"

static uint32_t tunnel;
static struct batch b, icmp;

static int setup(void **state)
{
	int err = fake_setup(state);

	memset(&b, 0, sizeof(b));
	memset(&icmp, 0, sizeof(icmp));
	return err != 0 ? err : dp_tunnel_add(&fake.dp, "peer", &tunnel);
}

static struct esp_sa transport_sa(uint32_t spi, bool v6, bool udp)
{
	struct esp_sa sa = fake_esp_sa(spi, 128, udp);

	sa.transport = true;
	sa.local_ts = (struct selector_list){1, {sel(v6 ? GW_A6 "/128" : GW_A "/32")}};
	sa.remote_ts = (struct selector_list){1, {sel(v6 ? GW_B6 "/128" : GW_B "/32")}};
	sa.local.addr = sa.local_ts.s[0].lo;
	sa.remote.addr = sa.remote_ts.s[0].lo;
	return sa;
}

static void set_out(bool v6, bool udp)
{
	struct esp_sa sa = transport_sa(SPI, v6, udp);

	assert_int_equal(dp_tunnel_set_out(&fake.dp, tunnel, &sa, NULL), 0);
}

// One packet of Linux into esp_out(); how many came out.
static unsigned send_from(const uint8_t *ip, size_t len, enum batch_origin origin)
{
	batch_put(&b, mbuf_of(ip, len));
	b.tunnel[0] = tunnel_get(&fake.dp, tunnel);
	b.origin[0] = (uint8_t)origin;
	esp_out(fake.w, &b, &icmp);
	return b.n;
}

static unsigned send_one(const uint8_t *ip, size_t len)
{
	return send_from(ip, len, FROM_TAP);
}

// `front` bytes of headers, then ESP; `next` is what the trailer has to say.
static void check_esp(const uint8_t *p, size_t len, size_t front, const uint8_t *carried,
		      size_t carried_len, uint8_t next, uint32_t seq)
{
	const size_t pad_len = (size_t)(-(carried_len + 2)) & 3;
	uint8_t text[2048];
	uint32_t word[2];

	memcpy(word, p + front, sizeof(word));
	assert_int_equal(rte_be_to_cpu_32(word[0]), SPI);
	assert_int_equal(rte_be_to_cpu_32(word[1]), seq);
	memcpy(word, p + front + 8, sizeof(word)); // RFC 4106 3.1: the IV, never the same
	assert_int_equal(word[0], 0);
	assert_int_equal(rte_be_to_cpu_32(word[1]), seq);
	assert_int_equal(len - front, 16 + carried_len + pad_len + 2 + 16);
	assert_int_equal(open_esp(p + front, len - front, 128, text), carried_len + pad_len + 2);
	assert_memory_equal(text, carried, carried_len);
	for (size_t i = 0; i < pad_len; i++)
		assert_int_equal(text[carried_len + i], i + 1);
	assert_int_equal(text[carried_len + pad_len], pad_len);
	assert_int_equal(text[carried_len + pad_len + 1], next);
}

static void set_header(uint8_t *ip, uint8_t ttl, uint8_t tos, uint16_t frag)
{
	struct rte_ipv4_hdr h;

	memcpy(&h, ip, sizeof(h));
	h.time_to_live = ttl;
	h.type_of_service = tos;
	h.packet_id = 0x3412;
	h.fragment_offset = rte_cpu_to_be_16(frag);
	h.hdr_checksum = 0;
	memcpy(ip, &h, sizeof(h));
	h.hdr_checksum = (uint16_t)~rte_raw_cksum(ip, rte_ipv4_hdr_len(&h));
	memcpy(ip, &h, sizeof(h));
}

// ---- outbound ----

static void all_sizes(bool udp)
{
	const size_t last = udp ? 1458 : 1466, front = udp ? 28 : 20;
	uint8_t ip[2048];
	uint32_t seq = 1;

	set_out(false, udp);
	for (size_t len = 20; len <= last; len++) {
		const uint8_t *p;
		struct rte_ipv4_hdr h;

		make_ip(ip, len, GW_A, GW_B, GRE, 0, 0x0800);
		set_header(ip, 7, 0xb9, 0x4000);
		assert_int_equal(send_one(ip, len), 1);
		p = rte_pktmbuf_mtod(b.pkt[0], const uint8_t *);
		memcpy(&h, p, sizeof(h));
		assert_int_equal(rte_be_to_cpu_16(h.total_length), b.pkt[0]->data_len);
		assert_int_equal(h.time_to_live, 7); // nothing but the protocol is another
		assert_int_equal(h.type_of_service, 0xb9);
		assert_int_equal(h.packet_id, 0x3412);
		assert_int_equal(h.fragment_offset, rte_cpu_to_be_16(0x4000));
		assert_memory_equal(p + 12, ip + 12, 8);
		assert_int_equal(h.next_proto_id, udp ? 17 : 50);
		assert_true(ip_checksum_ok(p));
		assert_true(b.pkt[0]->pkt_len <= 1500);
		if (udp) {
			assert_int_equal(flow_load16(p + 20), 4500);
			assert_int_equal(flow_load16(p + 22), 4500);
			assert_int_equal(flow_load16(p + 24), b.pkt[0]->data_len - 20);
			assert_int_equal(flow_load16(p + 26), 0);
		}
		check_esp(p, b.pkt[0]->data_len, front, ip + 20, len - 20, GRE, seq++);
		batch_free(&b);
	}
	assert_int_equal(dropped_total(), 0);
	assert_int_equal(dp_tunnel_inner_mtu(&fake.dp, tunnel), last);
}

static void test_all_sizes(void **state)
{
	(void)state;
	all_sizes(false);
}

static void test_all_sizes_udp(void **state)
{
	(void)state;
	all_sizes(true);
}

// RFC 3948 2.1. The packet looks like UDP to what walks IPv6 headers.
static void test_no_checksum_over_ipv4(void **state)
{
	struct rte_mbuf *m;
	uint8_t ip[100];

	(void)state;
	set_out(false, true);
	make_ip(ip, sizeof(ip), GW_A, GW_B, IPPROTO_UDP, 4500, 4500);
	ip[6] = IPPROTO_UDP;
	m = mbuf_of(ip, sizeof(ip));
	esp_transport_sum6(tunnel_sa(tunnel_get(&fake.dp, tunnel)), m);
	assert_memory_equal(rte_pktmbuf_mtod(m, void *), ip, sizeof(ip));
	rte_pktmbuf_free(m);
}

// Options stay in front of ESP, and count for the size.
static void options_stay_in_front(bool udp)
{
	const uint16_t last = udp ? 1458 : 1466;
	const uint64_t before = dropped(DROP_TOO_BIG);
	uint8_t ip[2048];

	set_out(false, udp);
	for (size_t len = 24; len <= last; len++) {
		const uint8_t *p;

		make_ip(ip, len, GW_A, GW_B, GRE, 0, 0);
		ip[0] = 0x46;
		memcpy(ip + 20, "\x94\x04\x00\x00", 4); // router alert
		set_header(ip, 64, 0, 0x4000);
		assert_int_equal(send_one(ip, len), 1);
		p = rte_pktmbuf_mtod(b.pkt[0], const uint8_t *);
		assert_int_equal(p[0], 0x46);
		assert_memory_equal(p + 20, ip + 20, 4);
		assert_int_equal((uint16_t)~rte_raw_cksum(p, 24), 0);
		assert_true(b.pkt[0]->pkt_len <= 1500);
		check_esp(p, b.pkt[0]->data_len, udp ? 32 : 24, ip + 24, len - 24, GRE,
			  (uint32_t)len - 23);
		batch_free(&b);
	}
	ip[2] = (uint8_t)((last + 1) >> 8);
	ip[3] = (uint8_t)(last + 1);
	assert_int_equal(send_one(ip, last + 1u), 0);
	assert_int_equal(dropped(DROP_TOO_BIG), before + 1);
	assert_int_equal(fake.icmp_mtu, last);
	batch_free(&icmp);
}

static void test_options_stay_in_front(void **state)
{
	(void)state;
	options_stay_in_front(false);
	options_stay_in_front(true);
	// Where options leave no room for anything, nothing fits.
	assert_int_equal(esp_transport_mtu(tunnel_sa(tunnel_get(&fake.dp, tunnel)), 60, 100), 0);
}

// Padding to 16 bytes makes a difference of where the padded part begins.
static void test_options_count_for_the_size(void **state)
{
	struct esp_sa sa = transport_sa(SPI, false, false);
	uint8_t ip[1500], key[32] = {1};

	(void)state;
	sa.encr = (struct transform){TRANSFORM_ENCR, ENCR_AES_CBC, 128};
	sa.integ = (struct transform){TRANSFORM_INTEG, INTEG_HMAC_SHA2_256_128, 0};
	assert_int_equal(secret_set(&sa.encr_key, key, 16), 0);
	assert_int_equal(secret_set(&sa.integ_key, key, 32), 0);
	assert_int_equal(dp_tunnel_set_out(&fake.dp, tunnel, &sa, NULL), 0);
	assert_int_equal(dp_tunnel_inner_mtu(&fake.dp, tunnel), 1458);
	for (uint16_t len = 1446; len <= 1447; len++) {
		make_ip(ip, len, GW_A, GW_B, GRE, 0, 0);
		ip[0] = 0x46;
		memcpy(ip + 20, "\x94\x04\x00\x00", 4);
		set_header(ip, 64, 0, 0x4000);
		assert_int_equal(send_one(ip, len), len == 1446);
		if (b.n == 1)
			assert_true(b.pkt[0]->pkt_len <= 1500);
		batch_free(&b);
	}
	assert_int_equal(fake.icmp_mtu, 1446);
	batch_free(&icmp);
}

// RFC 4301 4.1: transport mode is for what the two ends themselves say to each other.
static void test_only_own_packets(void **state)
{
	static const struct {
		const char *src, *dst;
		enum batch_origin origin;
		bool goes;
		const char *why;
	} rows[] = {
		{GW_A, GW_B, FROM_TAP, true, "of Linux"},
		{GW_A, GW_B, FROM_SELF, true, "an ICMP error of our own"},
		{GW_A, GW_B, FROM_NIC, false, "forwarded in our name"},
		{GW_A, GW_B, FROM_TUNNEL, false, "out of a tunnel in our name"},
		{OTHER, GW_B, FROM_TAP, false, "another source"},
		{GW_A, OTHER, FROM_TAP, false, "another destination"},
	};
	uint8_t ip[100];

	(void)state;
	set_out(false, false);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint64_t before = dropped(DROP_OUT_NOT_OWN);

		make_ip(ip, sizeof(ip), rows[i].src, rows[i].dst, GRE, 0, 0);
		if (send_from(ip, sizeof(ip), rows[i].origin) != rows[i].goes ||
		    dropped(DROP_OUT_NOT_OWN) - before != !rows[i].goes)
			fail_msg("%s", rows[i].why);
		batch_free(&b);
	}
	make_ip6(ip, sizeof(ip), GW_A6, GW_B6, GRE, 0, 0);
	memcpy(ip + 12, &(uint32_t){be32(GW_A)}, 4);
	memcpy(ip + 16, &(uint32_t){be32(GW_B)}, 4);
	assert_int_equal(send_one(ip, sizeof(ip)), 0); // of the other family, whatever it says
	assert_int_equal(dropped(DROP_OUT_NOT_OWN), 5);
	set_out(true, false);
	make_ip6(ip, sizeof(ip), GW_A6, GW_A6, GRE, 0, 0);
	assert_int_equal(send_one(ip, sizeof(ip)), 0); // another destination
	make_ip6(ip, sizeof(ip), GW_B6, GW_B6, GRE, 0, 0);
	assert_int_equal(send_one(ip, sizeof(ip)), 0); // another source
	assert_int_equal(dropped(DROP_OUT_NOT_OWN), 7);
	assert_int_equal(dropped_total(), 7);
}

// A length of the header that is none; Linux sends no such packet.
static void test_bad_header(void **state)
{
	uint8_t ip[40];

	(void)state;
	set_out(false, false);
	for (unsigned i = 0; i < 2; i++) {
		make_ip(ip, sizeof(ip), GW_A, GW_B, GRE, 0, 0);
		ip[0] = i == 0 ? 0x44 : 0x4b; // 16 bytes, 44 bytes
		assert_int_equal(send_one(ip, sizeof(ip)), 0);
		assert_int_equal(dropped(DROP_OUT_SELECTOR), i + 1);
	}
}

static void test_selectors_hold(void **state)
{
	struct esp_sa sa = transport_sa(SPI, false, false);
	uint8_t ip[100];

	(void)state;
	sa.local_ts.s[0].proto = sa.remote_ts.s[0].proto = GRE;
	assert_int_equal(dp_tunnel_set_out(&fake.dp, tunnel, &sa, NULL), 0);
	make_ip(ip, sizeof(ip), GW_A, GW_B, GRE, 0, 0);
	assert_int_equal(send_one(ip, sizeof(ip)), 1);
	batch_free(&b);
	make_ip(ip, sizeof(ip), GW_A, GW_B, IPPROTO_TCP, 1, 179);
	assert_int_equal(send_one(ip, sizeof(ip)), 0);
	assert_int_equal(dropped(DROP_OUT_SELECTOR), 1);
}

static void test_too_big(void **state)
{
	uint8_t ip[2048];

	(void)state;
	set_out(false, false);
	make_ip(ip, 1467, GW_A, GW_B, GRE, 0, 0);
	set_header(ip, 64, 0, 0x4000);
	assert_int_equal(send_one(ip, 1467), 0);
	assert_int_equal(dropped(DROP_TOO_BIG), 1);
	assert_int_equal(icmp.n, 1);
	assert_int_equal(fake.icmp_mtu, 1466);
	assert_int_equal(fake.icmp_src_be, be32(GW_B)); // Linux would not believe itself
	batch_free(&icmp);
	// What may be cut is encrypted whole, and route() cuts.
	set_header(ip, 64, 0, 0);
	assert_int_equal(send_one(ip, 1467), 1);
	check_esp(rte_pktmbuf_mtod(b.pkt[0], const uint8_t *), b.pkt[0]->data_len, 20, ip + 20,
		  1447, GRE, 1);
	assert_int_equal(fake.routed.n, 0); // not in pieces
	batch_free(&b);
}

// RFC 4303 2.2.1: the upper half of the number is authenticated.
static void test_extended_numbers(void **state)
{
	const uint64_t seq = UINT32_MAX + UINT64_C(7);
	struct esp_sa sa = transport_sa(SPI, false, false), same = transport_sa(SPI, false, false);
	uint8_t ip[100], esp[200];
	size_t text_len;

	(void)state;
	sa.esn = same.esn = true;
	assert_int_equal(dp_tunnel_set_out(&fake.dp, tunnel, &sa, NULL), 0);
	atomic_store(&tunnel_sa(tunnel_get(&fake.dp, tunnel))->seq, seq - 1);
	make_ip(ip, sizeof(ip), GW_A, GW_B, GRE, 0, 0);
	assert_int_equal(send_one(ip, sizeof(ip)), 1);
	memcpy(esp, rte_pktmbuf_mtod_offset(b.pkt[0], void *, 20), b.pkt[0]->data_len - 20u);
	assert_memory_equal(esp + 8, &(uint64_t){rte_cpu_to_be_64(seq)}, 8); // nor an IV twice
	text_len = b.pkt[0]->data_len - 20u - esp_ref_head_len(&same) - esp_ref_icv_len(&same);
	assert_true(esp_ref_open(&same, esp, text_len, seq));
	assert_memory_equal(esp + esp_ref_head_len(&same), ip + 20, sizeof(ip) - 20);
	batch_free(&b);
	esp_sa_fini(&same);
}

// The library encrypts what will be the IV; what it encrypts is the number and nothing else.
static void test_iv_of_cbc(void **state)
{
	struct esp_sa sa = transport_sa(SPI, false, false);
	uint8_t ip[100], key[32] = {1}, packet[2][256];
	size_t len = 0;

	(void)state;
	make_ip(ip, sizeof(ip), GW_A, GW_B, GRE, 0, 0);
	sa.encr = (struct transform){TRANSFORM_ENCR, ENCR_AES_CBC, 128};
	sa.integ = (struct transform){TRANSFORM_INTEG, INTEG_HMAC_SHA2_256_128, 0};
	assert_int_equal(secret_set(&sa.encr_key, key, 16), 0);
	assert_int_equal(secret_set(&sa.integ_key, key, 32), 0);
	assert_int_equal(dp_tunnel_set_out(&fake.dp, tunnel, &sa, NULL), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct rte_mbuf *m;

		ip[5] = (uint8_t)i; // where the IV will stand
		m = mbuf_of(ip, sizeof(ip));

		atomic_store(&tunnel_sa(tunnel_get(&fake.dp, tunnel))->seq, 0);
		batch_put(&b, m);
		b.tunnel[0] = tunnel_get(&fake.dp, tunnel);
		b.origin[0] = FROM_TAP;
		esp_out(fake.w, &b, &icmp);
		len = b.pkt[0]->data_len;
		memcpy(packet[i], rte_pktmbuf_mtod(b.pkt[0], void *), len);
		batch_free(&b);
	}
	assert_memory_equal(packet[0] + 20, packet[1] + 20, len - 20);
}

static struct esp_sa suite_sa(const struct esp_ref_suite *s, bool udp)
{
	const struct transform_info *encr = transform_find(&s->encr);
	struct esp_sa sa = transport_sa(SPI, false, udp);
	uint8_t key[64];

	memset(key, 7, sizeof(key));
	sa.encr = s->encr;
	sa.integ = s->integ;
	assert_int_equal(secret_set(&sa.encr_key, key, encr->key_len), 0);
	if (!encr->aead)
		assert_int_equal(secret_set(&sa.integ_key, key, transform_find(&s->integ)->key_len),
				 0);
	return sa;
}

// The transform says how long the IV is and how much is padded; the header stays as it is.
static void test_every_suite(void **state)
{
	struct esp_ref_suite suites[ESP_REF_SUITES_MAX];
	const unsigned n_suites = esp_ref_suites(suites, ESP_REF_SUITES_MAX);

	(void)state;
	for (unsigned k = 0; k < 2 * n_suites; k++) {
		const bool udp = k % 2 != 0;
		struct esp_sa sa = suite_sa(&suites[k / 2], udp),
			      ref = suite_sa(&suites[k / 2], udp);
		const size_t head_len = esp_ref_head_len(&ref), align = esp_ref_align(&ref);
		const size_t front = udp ? 28 : 20;

		assert_int_equal(dp_tunnel_set_out(&fake.dp, tunnel, &sa, NULL), 0);
		for (size_t len = 20; len < 40; len++) {
			const size_t carried = len - 20, pad_len = (-(carried + 2)) & (align - 1);
			const size_t text_len = carried + pad_len + 2;
			uint8_t ip[40], esp[256];
			const uint8_t *p;

			make_ip(ip, len, GW_A, GW_B, GRE, 0, 0);
			assert_int_equal(send_one(ip, len), 1);
			p = rte_pktmbuf_mtod(b.pkt[0], const uint8_t *);
			assert_int_equal(b.pkt[0]->data_len,
					 front + head_len + text_len + esp_ref_icv_len(&ref));
			assert_true(ip_checksum_ok(p));
			assert_memory_equal(p + 12, ip + 12, 8);
			memcpy(esp, p + front, b.pkt[0]->data_len - front);
			if (!esp_ref_open(&ref, esp, text_len, carried + 1))
				fail_msg("%s", esp_ref_name(&ref.encr, &ref.integ));
			assert_memory_equal(esp + head_len, ip + 20, carried);
			assert_int_equal(esp[head_len + text_len - 2], pad_len);
			assert_int_equal(esp[head_len + text_len - 1], GRE);
			batch_free(&b);
		}
		esp_sa_fini(&ref);
	}
	assert_int_equal(dropped_total(), 0);
}

static void test_offload_flags_are_forgotten(void **state)
{
	uint8_t ip[100];

	(void)state;
	set_out(false, false);
	make_ip(ip, sizeof(ip), GW_A, GW_B, GRE, 0, 0);
	batch_put(&b, mbuf_of(ip, sizeof(ip)));
	b.tunnel[0] = tunnel_get(&fake.dp, tunnel);
	b.origin[0] = FROM_TAP;
	b.pkt[0]->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	b.pkt[0]->l4_len = 8;
	esp_out(fake.w, &b, &icmp);
	assert_int_equal(b.n, 1);
	assert_int_equal(b.pkt[0]->ol_flags, 0);
	batch_free(&b);
}

// RFC 4301 7: no fragment goes in.
static void test_fragments_are_joined_first(void **state)
{
	uint8_t ip[1600];

	(void)state;
	set_out(false, false);
	make_ip(ip, 100, GW_A, GW_B, IPPROTO_UDP, 5, 6);
	set_header(ip, 64, 0, 0x2000);
	assert_int_equal(send_one(ip, 100), 0);
	assert_int_equal(fake.n_fragments, 1);
	assert_int_equal(dropped_total(), 0); // it waits
	make_ip(ip, 1600, GW_A, GW_B, IPPROTO_UDP, 5, 6);
	fake.whole = mbuf_of(ip, 1600);
	set_header(ip, 64, 0, 100);
	assert_int_equal(send_one(ip, 100), 1);
	assert_int_equal(fake.n_fragments, 2);
	assert_int_equal(fake.n_fragments_of_linux, 2); // strangers' do not push them out
	check_esp(rte_pktmbuf_mtod(b.pkt[0], const uint8_t *), b.pkt[0]->data_len, 20, ip + 20,
		  1580, IPPROTO_UDP, 1);
	batch_free(&b);
}

// A later fragment says nothing of ports: the whole does.
static void test_joined_fragments_meet_port_selectors(void **state)
{
	struct esp_sa sa = transport_sa(SPI, false, false);
	uint8_t ip[600];

	(void)state;
	sa.remote_ts.s[0] = sel(GW_B "/32 17 6-6");
	assert_int_equal(dp_tunnel_set_out(&fake.dp, tunnel, &sa, NULL), 0);
	make_ip(ip, 600, GW_A, GW_B, IPPROTO_UDP, 5, 6);
	fake.whole = mbuf_of(ip, 600);
	set_header(ip, 64, 0, 100);
	assert_int_equal(send_one(ip, 100), 1);
	batch_free(&b);
}

// ---- IPv6 ----

// A header of hop-by-hop options, routing and destination options, as `kinds` says; then GRE.
static size_t make_ext(uint8_t *ip, size_t len, const char *src, const char *dst, const char *kinds)
{
	static const uint8_t number[] = {['h'] = 0, ['r'] = 43, ['d'] = 60, ['f'] = 44};
	size_t at = 40, next_at = 6;

	make_ip6(ip, len, src, dst, GRE, 0, 0);
	for (const char *k = kinds; *k; k++, at += 8) {
		ip[next_at] = number[(int)*k];
		next_at = at;
		memset(ip + at, 0, 8);
		if (*k == 'h' || *k == 'd')
			memcpy(ip + at + 2, "\x01\x04\0\0\0\0", 6); // PadN
		if (*k == 'r')
			ip[at + 2] = 4; // segment routing, none left
		if (*k == 'f')
			ip[at + 1] = 0xff; // reserved, and no length
	}
	ip[next_at] = GRE;
	return at;
}

static void test_all_sizes6(void **state)
{
	uint8_t ip[2048];
	uint32_t seq = 1;

	(void)state;
	set_out(true, false);
	for (size_t len = 40; len <= 1466; len++) {
		const uint8_t *p;

		make_ip6(ip, len, GW_A6, GW_B6, GRE, 0, 0);
		assert_int_equal(send_one(ip, len), 1);
		p = rte_pktmbuf_mtod(b.pkt[0], const uint8_t *);
		assert_int_equal(flow_load16(p + 4), b.pkt[0]->data_len - 40);
		check_esp(p, b.pkt[0]->data_len, 40, ip + 40, len - 40, GRE, seq++);
		batch_free(&b);
	}
}

static void test_whole_headers(void **state)
{
	uint8_t ip[60];
	struct esp_front front;

	(void)state;
	make_ip(ip, sizeof(ip), GW_A, GW_B, GRE, 0, 0);
	ip[0] = 0x4f;
	assert_true(esp_transport_front(ip, sizeof(ip), &front));
	assert_int_equal(front.len, 60);
	make_ip6(ip, 40, GW_A6, GW_B6, GRE, 0, 0);
	assert_true(esp_transport_front(ip, 40, &front));
	assert_false(esp_transport_front(ip, 39, &front));
}

// What cannot be walked has no flow. Whether it is a fragment is not asked.
static void test_bad_header6(void **state)
{
	uint8_t ip[100];

	(void)state;
	set_out(true, false);
	make_ext(ip, sizeof(ip), GW_A6, GW_B6, "h");
	ip[41] = 0xff; // longer than the packet
	assert_int_equal(send_one(ip, sizeof(ip)), 0);
	assert_int_equal(dropped(DROP_OUT_SELECTOR), 1);
	assert_int_equal(dropped_total(), 1);
}

// RFC 4303 3.1.1: ESP comes after what routers look at, and before the destination's options.
static const struct {
	const char *kinds;
	size_t front;
	uint8_t next;
	size_t next_at;
} ext_rows[] = {
	{"", 40, GRE, 6},     {"h", 48, GRE, 40},	  {"hr", 56, GRE, 48},	{"d", 40, 60, 6},
	{"hd", 48, 60, 40},   {"hdr", 64, GRE, 56},	  {"hdrd", 64, 60, 56}, {"f", 48, GRE, 40},
	{"hrf", 64, GRE, 56}, {"hrrrrrrr", 104, GRE, 96},
};

static void test_ext_headers(void **state)
{
	(void)state;
	for (int udp = 0; udp < 2; udp++) {
		set_out(true, udp);
		for (size_t i = 0; i < sizeof(ext_rows) / sizeof(ext_rows[0]); i++) {
			const size_t front = ext_rows[i].front, len = 200;
			const uint8_t *p;
			uint8_t ip[200];

			make_ext(ip, len, GW_A6, GW_B6, ext_rows[i].kinds);
			ip[7] = 9; // hop limit
			ip[0] = 0x6b;
			ip[1] = 0x91; // traffic class 0xb9
			assert_int_equal(send_one(ip, len), 1);
			p = rte_pktmbuf_mtod(b.pkt[0], const uint8_t *);
			assert_int_equal(flow_load16(p + 4), b.pkt[0]->data_len - 40);
			assert_int_equal(p[ext_rows[i].next_at], udp ? 17 : 50);
			for (size_t k = 0; k < front; k++) // all else is as it was
				if (k != 4 && k != 5 && k != ext_rows[i].next_at)
					assert_int_equal(p[k], ip[k]);
			if (udp) {
				struct rte_ipv6_hdr pseudo;
				uint8_t udp_packet[512];

				assert_int_equal(flow_load16(p + front + 4),
						 b.pkt[0]->data_len - front);
				memcpy(&pseudo, p, sizeof(pseudo));
				pseudo.proto = 17;
				pseudo.payload_len =
					rte_cpu_to_be_16((uint16_t)(b.pkt[0]->data_len - front));
				memcpy(udp_packet, p + front, b.pkt[0]->data_len - front);
				memset(udp_packet + 6, 0, 2);
				assert_int_equal(rte_ipv6_udptcp_cksum(&pseudo, udp_packet),
						 (uint16_t)(p[front + 6] | p[front + 7] << 8));
			}
			check_esp(p, b.pkt[0]->data_len, front + (udp ? 8 : 0), ip + front,
				  len - front, ext_rows[i].next, (uint32_t)i + 1);
			batch_free(&b);
		}
	}
	assert_int_equal(dropped_total(), 0);
}

// RFC 8200 5: up to 1280 bytes the path has to take, in pieces if need be; behind extension headers
// nobody cuts.
static void test_small_path6(void **state)
{
	static const struct {
		const char *kinds;
		size_t len;
		bool out;
	} rows[] = {{"", 900, true},
		    {"", 1280, true},
		    {"", 1281, false},
		    {"h", 900, true},
		    {"h", 1280, false}};
	uint8_t ip[1500];

	(void)state;
	fake.route_mtu = 1000;
	set_out(true, false);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		make_ext(ip, rows[i].len, GW_A6, GW_B6, rows[i].kinds);
		if (send_one(ip, rows[i].len) != rows[i].out || icmp.n == rows[i].out)
			fail_msg("row %zu", i);
		batch_free(&b);
		batch_free(&icmp);
	}
}

// Without a route there is no size that would fit.
static void test_no_route(void **state)
{
	uint8_t ip[100];

	(void)state;
	fake.route_mtu = 0;
	set_out(false, false);
	make_ip(ip, sizeof(ip), GW_A, GW_B, GRE, 0, 0);
	set_header(ip, 64, 0, 0x4000);
	assert_int_equal(send_one(ip, sizeof(ip)), 0);
	assert_int_equal(dropped(DROP_NO_ROUTE), 1);
	assert_int_equal(icmp.n, 0);
}

// Where ESP stands in what comes in.
static void test_front_of_what_comes_in(void **state)
{
	static const struct {
		uint8_t next;
		uint8_t n;	   // that many times
		uint8_t header[8]; // the last one's next header is ESP
		uint8_t cut;	   // bytes that lack
		bool found;
		const char *why;
	} rows[] = {
		{50, 0, {0}, 0, true, "right behind the header"},
		{50, 0, {0}, 1, false, "a header that is cut"},
		{17, 0, {0}, 0, true, "UDP, which may have ESP inside"},
		{6, 0, {0}, 0, false, "TCP"},
		{60, 1, {0}, 0, true, "destination options"},
		{60, 1, {0}, 1, false, "options that are cut"},
		{60, 1, {0, 1}, 0, false, "options longer than the packet"},
		{60, 2, {50, 1}, 0, true, "more of them than the shortest header holds"},
		{60, 2, {50, 1}, 1, false, "of which the last byte lacks"},
		{60, 8, {60}, 0, true, "as many headers as anybody needs"},
		{60, 9, {60}, 0, false, "one more"},
		{43, 1, {0, 0, 4}, 0, true, "a routing header without a segment left"},
		{43, 1, {0, 0, 4, 1}, 0, false, "with one: not at its end yet (RFC 8200 4.4)"},
		{44, 1, {0, 0xff}, 0, true, "a fragment header that has nothing to say"},
		{44, 1, {0, 0, 0, 6}, 0, true, "reserved bits do not count (RFC 8200 4.5)"},
		{44, 1, {0, 0, 0, 1}, 0, false, "a first fragment"},
		{44, 1, {0, 0, 0, 8}, 0, false, "a later fragment"},
		{51, 1, {0, 4}, 0, false, "AH"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const size_t len = 40 + 8u * rows[i].n;
		struct esp_front front = {0};
		uint8_t ip[128];

		make_ip6(ip, len, GW_B6, GW_A6, rows[i].next, 0, 0);
		for (unsigned k = 0; k < rows[i].n; k++)
			memcpy(ip + 40 + 8 * k, rows[i].header, 8);
		ip[len - 8] = 50;
		if (esp_transport_front6(ip, len - rows[i].cut, &front) != rows[i].found ||
		    (rows[i].found && front.len != len))
			fail_msg("%s", rows[i].why);
	}
}

static void test_too_big6(void **state)
{
	uint8_t ip[2048];

	(void)state;
	set_out(true, false);
	make_ip6(ip, 1467, GW_A6, GW_B6, GRE, 0, 0);
	assert_int_equal(send_one(ip, 1467), 0);
	assert_int_equal(dropped(DROP_TOO_BIG), 1);
	assert_int_equal(fake.icmp_mtu, 1466);
	batch_free(&icmp);
	make_ip6(ip, 1466, GW_A6, GW_B6, GRE, 0, 0);
	assert_int_equal(send_one(ip, 1466), 1);
	assert_true(b.pkt[0]->pkt_len <= 1500);
	batch_free(&b);
	// Linux has cut it, so ESP may be cut as well.
	make_ip6(ip, 1700, GW_A6, GW_B6, GRE, 0, 0);
	fake.whole = mbuf_of(ip, 1700);
	make_ext(ip, 200, GW_A6, GW_B6, "f");
	ip[43] = 1;
	assert_int_equal(send_one(ip, 200), 1);
	assert_int_equal(fake.n_fragments, 1);
	assert_int_equal(fake.n_fragments_of_linux, 1);
	batch_free(&b);
	// Its fragment header is the only one, or nobody joins it.
	make_ext(ip, 200, GW_A6, GW_B6, "hf");
	ip[51] = 1;
	assert_int_equal(send_one(ip, 200), 0);
	assert_int_equal(dropped(DROP_FRAGMENT), 1);
	assert_int_equal(fake.n_fragments, 1);
}

// ---- inbound ----

static uint32_t publish(struct esp_sa *sa)
{
	uint32_t spi;

	assert_int_equal(dp_sa_in_reserve(&fake.dp, &spi), 0);
	sa->spi = spi;
	assert_int_equal(dp_sa_in_publish(&fake.dp, tunnel, sa, NULL), 0);
	return spi;
}

static unsigned receive(uint32_t spi, uint32_t seq, bool udp, const uint8_t *carried, size_t len,
			uint8_t next)
{
	const struct fake_esp how = {
		.spi = spi, .seq = seq, .key_bits = 128, .udp = udp, .tos = 0xb8};
	uint8_t text[2048];

	memcpy(text, carried, len);
	return fake_receive(&b, &how, text, put_trailer(text, len, 0, next));
}

static void test_in_all_sizes(void **state)
{
	uint8_t carried[1400];

	(void)state;
	for (int udp = 0; udp < 2; udp++) {
		struct esp_sa sa = transport_sa(0, false, udp);
		const uint32_t spi = publish(&sa);

		for (size_t i = 0; i < sizeof(carried); i++)
			carried[i] = (uint8_t)(i * 7);
		for (uint32_t len = 0; len <= sizeof(carried); len++) {
			const uint8_t *p;

			assert_int_equal(receive(spi, len + 1, udp, carried, len, GRE), 1);
			p = rte_pktmbuf_mtod(b.pkt[0], const uint8_t *);
			assert_int_equal(b.pkt[0]->data_len, 20 + len);
			assert_int_equal(b.pkt[0]->pkt_len, 20 + len);
			assert_int_equal(p[0], 0x45);
			assert_int_equal(p[1], 0xb8);
			assert_int_equal(flow_load16(p + 2), 20 + len);
			assert_int_equal(p[9], GRE);
			assert_true(ip_checksum_ok(p));
			assert_int_equal(memcmp(p + 12, &(uint32_t){be32(GW_B)}, 4), 0);
			assert_int_equal(memcmp(p + 16, &(uint32_t){be32(GW_A)}, 4), 0);
			assert_memory_equal(p + 20, carried, len);
			batch_free(&b);
		}
	}
	assert_int_equal(dropped_total(), 0);
}

// RFC 4303 2.6: the mode says what the next header may be, the selectors say the rest.
static void test_next_headers(void **state)
{
	static const struct {
		bool transport;
		uint8_t only, next; // only: protocol of the selectors
		int reason;	    // -1: accepted
	} rows[] = {
		{true, 0, GRE, -1},
		{true, 0, IPPROTO_TCP, -1},
		{true, 0, 59, DROP_ESP_DUMMY},
		{true, GRE, GRE, -1},
		{true, GRE, 4, DROP_ESP_SELECTOR}, // a peer in tunnel mode
		{true, GRE, 41, DROP_ESP_SELECTOR},
		{true, GRE, IPPROTO_TCP, DROP_ESP_SELECTOR},
		{true, 4, 4, -1},		       // IP in IP of Linux
		{false, 0, GRE, DROP_ESP_NEXT_HEADER}, // a peer in transport mode
		{false, 0, IPPROTO_TCP, DROP_ESP_NEXT_HEADER},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint64_t before = rows[i].reason < 0 ? 0 : dropped((unsigned)rows[i].reason);
		struct esp_sa sa = transport_sa(0, false, false);
		uint8_t carried[60];

		make_ip(carried, sizeof(carried), HOST_B, HOST_A, IPPROTO_UDP, 1, 2);
		sa.transport = rows[i].transport;
		sa.local_ts.s[0].proto = sa.remote_ts.s[0].proto = rows[i].only;
		if (receive(publish(&sa), 1, false, carried, sizeof(carried), rows[i].next) !=
			    (rows[i].reason < 0) ||
		    (rows[i].reason >= 0 && dropped((unsigned)rows[i].reason) != before + 1))
			fail_msg("row %zu", i);
		batch_free(&b);
	}
}

static void test_in_other_source(void **state)
{
	struct esp_sa sa = transport_sa(0, false, false);
	uint8_t carried[60] = {0};

	(void)state;
	sa.remote_ts.s[0] = sel(OTHER "/32");
	assert_int_equal(receive(publish(&sa), 1, false, carried, sizeof(carried), GRE), 0);
	assert_int_equal(dropped(DROP_ESP_SELECTOR), 1);
}

// Too short for its ports: those behind it are not the packet's, whatever they say.
static void test_in_cut_short(void **state)
{
	const uint8_t port[] = {0, 8};

	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct esp_sa sa = transport_sa(0, v6, false);
		const struct fake_esp how = {.spi = 0, .seq = 1, .key_bits = 128};
		struct fake_esp with = how;
		uint8_t text[64], v4[256], packet[256];
		size_t len;

		sa.remote_ts.s[0].proto = sa.local_ts.s[0].proto = IPPROTO_UDP;
		sa.remote_ts.s[0].port_lo = 8; // with the padding: 8 to port 0x0102
		sa.remote_ts.s[0].port_hi = 8;
		with.spi = publish(&sa);
		memcpy(text, port, sizeof(port));
		len = make_esp(v4, &with, text, put_trailer(text, sizeof(port), 4, IPPROTO_UDP));
		if (v6)
			len = over_ipv6(v4, len, packet);
		else
			memcpy(packet, v4, len);
		batch_put(&b, mbuf_of(packet, len));
		esp_in(fake.w, &b);
		assert_int_equal(b.n, 0);
		assert_int_equal(dropped(DROP_ESP_SELECTOR) + dropped(DROP_ESP_INNER), v6 + 1);
	}
}

static void test_in_ext_headers(void **state)
{
	struct esp_sa sa = transport_sa(0, true, false);
	const uint32_t spi = publish(&sa);
	uint32_t seq = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(ext_rows) / sizeof(ext_rows[0]); i++) {
		const struct fake_esp how = {.spi = spi, .seq = ++seq, .key_bits = 128};
		const size_t front = ext_rows[i].front, len = 150;
		uint8_t ip[200], text[256], v4[512], v6[512], *p;
		size_t esp_len;

		make_ext(ip, len, GW_B6, GW_A6, ext_rows[i].kinds);
		memcpy(text, ip + front, len - front);
		esp_len = make_esp(v4, &how, text,
				   put_trailer(text, len - front, 0, ext_rows[i].next)) -
			  20;
		memcpy(v6, ip, front);
		v6[ext_rows[i].next_at] = IPPROTO_ESP;
		v6[4] = (uint8_t)((front - 40 + esp_len) >> 8);
		v6[5] = (uint8_t)(front - 40 + esp_len);
		memcpy(v6 + front, v4 + 20, esp_len);
		batch_put(&b, mbuf_of(v6, front + esp_len));
		esp_in(fake.w, &b);
		assert_int_equal(b.n, 1);
		p = rte_pktmbuf_mtod(b.pkt[0], uint8_t *);
		assert_int_equal(b.pkt[0]->data_len, len);
		assert_memory_equal(p, ip, len);
		batch_free(&b);
	}
	assert_int_equal(dropped_total(), 0);
}

// RFC 4301 7: a fragment cannot have been put in.
static void test_in_fragment6(void **state)
{
	struct esp_sa sa = transport_sa(0, true, false);
	const struct fake_esp how = {.spi = publish(&sa), .seq = 1, .key_bits = 128};
	uint8_t text[256] = {GRE, 0, 0, 9}, v4[512], v6[512];
	size_t len;

	(void)state;
	len = make_esp(v4, &how, text, put_trailer(text, 100, 0, 44));
	batch_put(&b, mbuf_of(v6, over_ipv6(v4, len, v6)));
	esp_in(fake.w, &b);
	assert_int_equal(b.n, 0);
	assert_int_equal(dropped(DROP_ESP_INNER), 1);
}

// ---- NAT ----

// The one's complement sum over addresses and upper layer, as the receiving Linux computes it.
static uint16_t upper_sum(const struct ip_addr *src, const struct ip_addr *dst, uint8_t proto,
			  const uint8_t *upper, size_t len)
{
	uint32_t sum = proto + (uint32_t)len;

	for (size_t i = 0; i < ip_addr_len(src); i += 2)
		sum += (uint32_t)flow_load16(src->bytes + i) + flow_load16(dst->bytes + i);
	for (size_t i = 0; i < len; i += 2)
		sum += flow_load16(upper + i);
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

// The ends as the headers have them, and as the peer has them.
struct nat {
	struct ip_addr src, dst, own_src, own_dst;
};

static struct nat nat_of(bool v6)
{
	const char *const text[2][4] = {{GW_B, GW_A, NAT_CLIENT, NAT_SERVER},
					{GW_B6, GW_A6, "2001:db8:c::7", "2001:db8:d::5"}};
	struct nat n;

	assert_int_equal(ip_addr_parse(text[v6][0], &n.src), 0);
	assert_int_equal(ip_addr_parse(text[v6][1], &n.dst), 0);
	assert_int_equal(ip_addr_parse(text[v6][2], &n.own_src), 0);
	assert_int_equal(ip_addr_parse(text[v6][3], &n.own_dst), 0);
	return n;
}

// What becomes of it behind the IP header; good until batch_free.
static const uint8_t *receive_upper(uint32_t spi, uint32_t seq, bool v6, const uint8_t *upper,
				    size_t len, uint8_t proto)
{
	const struct fake_esp how = {.spi = spi, .seq = seq, .key_bits = 128, .udp = true};
	uint8_t text[256], v4[512], packet[512];
	size_t packet_len;

	memcpy(text, upper, len);
	packet_len = make_esp(v4, &how, text, put_trailer(text, len, 0, proto));
	if (v6)
		packet_len = over_ipv6(v4, packet_len, packet);
	batch_put(&b, mbuf_of(v6 ? packet : v4, packet_len));
	esp_in(fake.w, &b);
	assert_int_equal(b.n, 1);
	assert_int_equal(b.pkt[0]->data_len, (v6 ? 40 : 20) + len);
	return rte_pktmbuf_mtod_offset(b.pkt[0], const uint8_t *, v6 ? 40 : 20);
}

// RFC 1071: what a carry makes carry counts as well.
static void test_sum_of_addresses(void **state)
{
	struct ip_addr a, c;

	(void)state;
	assert_int_equal(ip_addr_parse("255.255.255.255", &a), 0);
	assert_int_equal(ip_addr_parse("0.0.0.1", &c), 0);
	assert_int_equal(esp_transport_sum_addrs(&a, &c), 1);
	assert_int_equal(esp_transport_sum_addrs(&c, &a), 1);
}

static const struct {
	uint8_t proto;
	bool v6;
	size_t at; // where a checksum stands
} checksum_rows[] = {
	{IPPROTO_TCP, false, 16},   {IPPROTO_UDP, false, 6}, {IPPROTO_UDPLITE, false, 6},
	{IPPROTO_DCCP, false, 6},   {IPPROTO_TCP, true, 16}, {IPPROTO_UDP, true, 6},
	{IPPROTO_UDPLITE, true, 6}, {IPPROTO_DCCP, true, 6}, {IPPROTO_ICMPV6, true, 2},
};

// RFC 3948 3.1.2.
static void test_nat_checksums(void **state)
{
	enum { LEN = 64, N = 100 };
	uint8_t upper[LEN];

	(void)state;
	for (size_t r = 0; r < sizeof(checksum_rows) / sizeof(checksum_rows[0]); r++) {
		const bool v6 = checksum_rows[r].v6, udp = checksum_rows[r].proto == IPPROTO_UDP;
		const uint8_t proto = checksum_rows[r].proto;
		const size_t at = checksum_rows[r].at;
		const struct nat nat = nat_of(v6);
		struct esp_sa sa = transport_sa(0, v6, true);
		uint32_t spi;

		sa.remote_oa = nat.own_src;
		sa.local_oa = nat.own_dst;
		spi = publish(&sa);
		for (uint32_t n = 0; n < N; n++) {
			const uint8_t *p;
			uint16_t sum;

			for (size_t i = 0; i < LEN; i++)
				upper[i] = (uint8_t)(i * n);
			put16(upper + at, 0);
			// Sums that are zero: before, and behind the NAT.
			if (n == 0 || n == 1) {
				put16(upper + LEN - 2, 0);
				put16(upper + LEN - 2,
				      n == 0 ? upper_sum(&nat.own_src, &nat.own_dst, proto, upper,
							 LEN)
					     : upper_sum(&nat.src, &nat.dst, proto, upper, LEN));
			}
			sum = upper_sum(&nat.own_src, &nat.own_dst, proto, upper, LEN);
			assert_true(n != 0 || sum == 0);
			put16(upper + at, sum == 0 && udp ? 0xffff : sum);
			p = receive_upper(spi, n + 1, v6, upper, LEN, proto);
			sum = flow_load16(p + at);
			put16(upper + at, 0);
			assert_memory_equal(p, upper, at); // nothing else has changed
			assert_memory_equal(p + at + 2, upper + at + 2, LEN - at - 2);
			assert_true(!udp || sum != 0); // RFC 768
			assert_true(udp || sum != 0xffff);
			assert_int_equal(sum == 0xffff ? 0 : sum,
					 upper_sum(&nat.src, &nat.dst, proto, upper, LEN));
			batch_free(&b);
		}
		// A checksum that is not all there.
		memset(upper, 0x33, LEN);
		assert_memory_equal(receive_upper(spi, N + 1, v6, upper, at + 1, proto), upper,
				    at + 1);
		batch_free(&b);
		assert_memory_not_equal(receive_upper(spi, N + 2, v6, upper, at + 2, proto), upper,
					at + 2);
		batch_free(&b);
		// Without a checksum there is none to mend (RFC 768), and GRE's is not over
		// addresses.
		memset(upper, 0, LEN);
		if (udp)
			assert_memory_equal(receive_upper(spi, N + 3, v6, upper, LEN, proto), upper,
					    LEN);
		batch_free(&b);
		assert_memory_equal(receive_upper(spi, N + 4, v6, upper, LEN, GRE), upper, LEN);
		batch_free(&b);
	}
}

// Options and extension headers of the packet stand in front of it.
static void test_nat_checksum_behind_options(void **state)
{
	enum { LEN = 64, AT = 16 };

	(void)state;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		const struct nat nat = nat_of(v6);
		struct esp_sa sa = transport_sa(0, v6, true);
		struct fake_esp how = {
			.seq = 1, .key_bits = 128, .udp = true, .ip_options = v6 ? 0 : 4};
		uint8_t upper[LEN], text[256], v4[512], packet[512];
		const uint8_t *p;
		size_t len;

		sa.remote_oa = nat.own_src;
		sa.local_oa = nat.own_dst;
		how.spi = publish(&sa);
		for (size_t i = 0; i < LEN; i++)
			upper[i] = (uint8_t)(i * 5);
		put16(upper + AT, 0);
		put16(upper + AT, upper_sum(&nat.own_src, &nat.own_dst, IPPROTO_TCP, upper, LEN));
		memcpy(text, upper, LEN);
		len = make_esp(v4, &how, text, put_trailer(text, LEN, 0, IPPROTO_TCP));
		if (v6) {
			len = over_ipv6(v4, len, packet);
			memmove(packet + 48, packet + 40, len - 40);
			memcpy(packet + 40, "\x11\0\x01\x04\0\0\0\0", 8);
			packet[6] = IPPROTO_HOPOPTS;
			len += 8;
			put16(packet + 4, (uint16_t)(len - 40));
		}
		batch_put(&b, mbuf_of(v6 ? packet : v4, len));
		esp_in(fake.w, &b);
		assert_int_equal(b.n, 1);
		p = rte_pktmbuf_mtod_offset(b.pkt[0], const uint8_t *, v6 ? 48 : 24);
		put16(upper + AT, 0);
		put16(upper + AT, upper_sum(&nat.src, &nat.dst, IPPROTO_TCP, upper, LEN));
		assert_memory_equal(p, upper, LEN);
		batch_free(&b);
	}
}

static void test_checksums_without_nat(void **state)
{
	uint8_t upper[64];

	(void)state;
	memset(upper, 0x33, sizeof(upper));
	for (size_t r = 0; r < sizeof(checksum_rows) / sizeof(checksum_rows[0]); r++) {
		struct esp_sa sa = transport_sa(0, checksum_rows[r].v6, true);

		assert_memory_equal(receive_upper(publish(&sa), 1, checksum_rows[r].v6, upper,
						  sizeof(upper), checksum_rows[r].proto),
				    upper, sizeof(upper));
		batch_free(&b);
	}
}

// ---- TCP ----

// A SYN with an MSS option of 1460, without a good checksum.
static size_t make_syn(uint8_t *ip, const char *src, const char *dst)
{
	make_ip(ip, 44, src, dst, IPPROTO_TCP, 1000, 179);
	ip[32] = 0x60;
	ip[33] = 2;
	memcpy(ip + 40, "\x02\x04\x05\xb4", 4);
	return 44;
}

static void test_mss_is_clamped(void **state)
{
	struct esp_sa sa = transport_sa(0, false, false);
	uint8_t ip[44], text[256], *p;

	(void)state;
	fake.dp.clamp_mss = true;
	set_out(false, false);
	make_syn(ip, GW_A, GW_B);
	assert_int_equal(send_one(ip, sizeof(ip)), 1);
	p = rte_pktmbuf_mtod(b.pkt[0], uint8_t *);
	assert_int_equal(open_esp(p + 20, b.pkt[0]->data_len - 20u, 128, text), 28);
	assert_int_equal(flow_load16(text + 22), 1466 - 40);
	batch_free(&b);
	make_syn(ip, GW_B, GW_A);
	assert_int_equal(receive(publish(&sa), 1, false, ip + 20, 24, IPPROTO_TCP), 1);
	p = rte_pktmbuf_mtod(b.pkt[0], uint8_t *);
	assert_int_equal(flow_load16(p + 42), 1466 - 40);
	batch_free(&b);
}

static void test_moved_sa_stays_in_its_mode(void **state)
{
	const struct esp_sa ends = transport_sa(SPI, false, true);
	struct ip_endpoint remote = ends.remote;
	uint8_t ip[100];

	(void)state;
	set_out(false, true);
	remote.port = 7777; // another mapping of the NAT
	assert_int_equal(dp_tunnel_move(&fake.dp, tunnel, SPI, &ends.local, &remote), 0);
	make_ip(ip, sizeof(ip), GW_A, GW_B, GRE, 0, 0);
	assert_int_equal(send_one(ip, sizeof(ip)), 1);
	assert_int_equal(flow_load16(rte_pktmbuf_mtod(b.pkt[0], uint8_t *) + 22), 7777);
	check_esp(rte_pktmbuf_mtod(b.pkt[0], const uint8_t *), b.pkt[0]->data_len, 28, ip + 20, 80,
		  GRE, 1);
	batch_free(&b);
	esp_sa_fini((struct esp_sa *)&ends);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		T(test_all_sizes),
		T(test_all_sizes_udp),
		T(test_no_checksum_over_ipv4),
		T(test_options_stay_in_front),
		T(test_options_count_for_the_size),
		T(test_only_own_packets),
		T(test_bad_header),
		T(test_selectors_hold),
		T(test_too_big),
		T(test_extended_numbers),
		T(test_iv_of_cbc),
		T(test_every_suite),
		T(test_offload_flags_are_forgotten),
		T(test_fragments_are_joined_first),
		T(test_joined_fragments_meet_port_selectors),
		T(test_all_sizes6),
		T(test_whole_headers),
		T(test_bad_header6),
		T(test_ext_headers),
		T(test_small_path6),
		T(test_no_route),
		T(test_front_of_what_comes_in),
		T(test_too_big6),
		T(test_in_all_sizes),
		T(test_next_headers),
		T(test_in_other_source),
		T(test_in_cut_short),
		T(test_in_ext_headers),
		T(test_in_fragment6),
		T(test_sum_of_addresses),
		T(test_nat_checksums),
		T(test_nat_checksum_behind_options),
		T(test_checksums_without_nat),
		T(test_mss_is_clamped),
		T(test_moved_sa_stays_in_its_mode),
	};

	return cmocka_run_group_tests(tests, fake_group_setup, fake_group_teardown);
}
