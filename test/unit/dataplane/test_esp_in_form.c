#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "dataplane/esp.h"
#include "esp_ref.h"
#include "fake_dp.h"

#include "dataplane/esp.h"
#include "dataplane/sad.h"

static uint32_t spi;
static struct batch b;

static int setup(void **state)
{
	int err = fake_setup(state);

	memset(&b, 0, sizeof(b));
	if (err == 0)
		spi = fake_publish_in(128, false, 64);
	return err;
}

// What is inside a packet with a good ICV.
static void test_payload_and_trailer(void **state)
{
	enum { PAD_WRONG = 1, PAD_LEN_OVER, PAD_LEN_ALL };
	static const struct {
		size_t len; // of the inner packet
		unsigned extra_pad, tfc;
		uint8_t next_header;
		int damage;
		unsigned want; // DROP_REASON_COUNT: accepted
		const char *why;
	} rows[] = {
		{100, 0, 0, 4, 0, DROP_REASON_COUNT, "plain"},
		{100, 252, 0, 4, 0, DROP_REASON_COUNT, "the longest padding"},
		{100, 0, 40, 4, 0, DROP_REASON_COUNT,
		 "TFC padding behind the packet (RFC 4303 2.7)"},
		{100, 8, 0, 4, PAD_WRONG, DROP_ESP_PADDING, "padding is not 1, 2, 3"},
		{100, 0, 0, 4, PAD_LEN_OVER, DROP_ESP_PADDING, "pad length beyond the packet"},
		{0, 8, 0, 4, PAD_LEN_ALL, DROP_ESP_INNER, "padding fills everything"},
		{100, 0, 0, 59, 0, DROP_ESP_DUMMY, "dummy (RFC 4303 2.6)"},
		{0, 0, 0, 59, 0, DROP_ESP_DUMMY, "empty dummy"},
		{100, 0, 0, 41, 0, DROP_ESP_INNER, "IPv4 that is called IPv6"},
		{100, 0, 0, 17, 0, DROP_ESP_NEXT_HEADER, "transport mode"},
		{0, 0, 0, 4, 0, DROP_ESP_INNER, "nothing where a packet is due"},
		{19, 0, 0, 4, 0, DROP_ESP_INNER, "header cut short"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fake_esp how = {.spi = spi, .seq = (uint32_t)i + 1, .key_bits = 128};
		uint8_t text[800] = {0};
		size_t len;
		unsigned got = DROP_REASON_COUNT;
		const uint64_t before = dropped_total();

		if (rows[i].len > 0)
			make_inner(text, rows[i].len < 20 ? 20 : rows[i].len);
		len = put_trailer(text, rows[i].len + rows[i].tfc, rows[i].extra_pad,
				  rows[i].next_header);
		if (rows[i].damage == PAD_WRONG)
			text[len - 4] ^= 1;
		if (rows[i].damage == PAD_LEN_OVER)
			text[len - 2] = (uint8_t)(len - 1);
		if (fake_receive(&b, &how, text, len) == 1) {
			assert_int_equal(b.pkt[0]->data_len, rows[i].len);
			assert_memory_equal(rte_pktmbuf_mtod(b.pkt[0], void *), text, rows[i].len);
		} else {
			assert_int_equal(dropped_total(), before + 1);
			for (got = 0; dropped(got) == 0; got++)
				;
			counter_add(&fake.w->drops[got], (uint64_t)0 - dropped(got));
		}
		batch_free(&b);
		if (got != rows[i].want)
			fail_msg("%s: %u", rows[i].why, got);
	}
}

// RFC 4303 2.4: every byte of the padding is looked at, whatever its length, and none in front of
// it: up to 16 are compared at once, in a window of the packet's last bytes.
static void test_every_byte_of_the_padding(void **state)
{
	static const unsigned pads[] = {0, 1, 2, 3, 14, 15, 16, 17, 18, 254, 255};
	struct fake_esp how = {.spi = spi, .key_bits = 128};

	(void)state;
	for (size_t i = 0; i < sizeof(pads) / sizeof(pads[0]); i++) {
		const unsigned pad = pads[i];
		const size_t inner = 102 - (pad & 3); // with padding and trailer a multiple of 4

		for (unsigned wrong = 0; wrong <= pad + 1; wrong++) { // 0: the inner packet's end
			uint8_t text[800] = {0};
			const bool good = wrong == 0 || wrong == pad + 1; // the latter: none
			size_t len;

			make_inner(text, inner);
			len = put_trailer(text, inner, pad & ~3u, 4);
			assert_int_equal(text[len - 2], pad);
			if (wrong <= pad)
				text[inner + wrong - 1] ^= 0x80;
			how.seq++;
			if (fake_receive(&b, &how, text, len) != good)
				fail_msg("padding of %u, byte %u", pad, wrong);
			batch_free(&b);
		}
		assert_int_equal(dropped(DROP_ESP_PADDING), dropped_total());
	}
}

static unsigned ends_of(const struct ts4 *t, uint32_t at[4])
{
	at[0] = t->lo - 1;
	at[1] = t->lo;
	at[2] = t->hi;
	at[3] = t->hi + 1;
	return 4;
}

// The short cut for an SA of one selector a side says what the long way says, at and beside every
// end of the selectors.
static void test_selectors_by_address(void **state)
{
	static const struct {
		const char *local[2], *remote[2];
		bool by_address;
	} rows[] = {
		{{SITE_A}, {SITE_B}, true},
		{{"0.0.0.0/0"}, {"0.0.0.0/0"}, true},
		{{"0.0.0.0/32"}, {"255.255.255.255/32"}, true},
		{{SITE_A " 17"}, {SITE_B}, false},
		{{SITE_A}, {SITE_B " 17"}, false},
		{{SITE_A " 0 7-8"}, {SITE_B}, false},
		{{SITE_A}, {SITE_B " 0 7-8"}, false},
		{{SITE_A, "10.9.0.0/16"}, {SITE_B}, false},
		{{SITE_A}, {SITE_B, "10.9.0.0/16"}, false},
		{{SITE_A, SITE_A6}, {SITE_B, SITE_B6}, true}, // the others are not of IPv4
	};
	static const uint8_t protos[] = {6, 17, 99};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct esp_sa sa = fake_esp_sa(0x1234, 128, false);
		uint32_t src[8], dst[8];
		struct esp_selectors ts;
		unsigned n_src = 0, n_dst = 0;

		sa.local_ts.n = sa.remote_ts.n = 0;
		for (unsigned k = 0; k < 2; k++) {
			if (rows[i].local[k] != NULL)
				sa.local_ts.s[sa.local_ts.n++] = sel(rows[i].local[k]);
			if (rows[i].remote[k] != NULL)
				sa.remote_ts.s[sa.remote_ts.n++] = sel(rows[i].remote[k]);
		}
		assert_int_equal(esp_sa_selectors(&sa, &ts, NULL), 0);
		assert_int_equal(ts.by_address, rows[i].by_address);
		for (unsigned k = 0; k < ts.n_local; k++)
			n_dst += ends_of(&esp_selectors_pair(&ts, k)->local, dst + n_dst);
		for (unsigned k = 0; k < ts.n_remote; k++)
			n_src += ends_of(&esp_selectors_pair(&ts, k)->remote, src + n_src);
		for (unsigned k = 0; k < n_src * n_dst * 12; k++) {
			_Alignas(4) uint8_t ip[40];
			const uint32_t from = rte_cpu_to_be_32(src[k / 12 % n_src]),
				       to = rte_cpu_to_be_32(dst[k / 12 / n_src]);
			const struct rte_ipv4_hdr *h = (const void *)ip;
			struct flow f;

			make_ip(ip, sizeof(ip), HOST_B, HOST_A, protos[k % 3], k & 1 ? 7 : 9, 8);
			memcpy(ip + 12, &from, 4);
			memcpy(ip + 16, &to, 4);
			ip[7] = k % 12 >= 6; // a later fragment
			f = flow_of(h, sizeof(ip));
			assert_int_equal(esp_selectors_match_in(&ts, h, sizeof(ip)),
					 esp_selectors_match(&ts, f.dst, f.dst_port, f.src,
							     f.src_port, f.proto, f.ports));
		}
		esp_selectors_fini(&ts);
		secret_fini(&sa.encr_key);
	}
}

static void test_inner_header(void **state)
{
	static const struct {
		unsigned at;
		uint8_t value;
		unsigned want; // enum drop_reason; DROP_REASON_COUNT: accepted
		const char *why;
	} rows[] = {
		{0, 0x65, DROP_ESP_INNER, "version 6"},
		{0, 0x44, DROP_ESP_INNER, "header length 16"},
		{0, 0x40, DROP_ESP_INNER, "header length 0"},
		{3, 101, DROP_ESP_INNER, "longer than what came"},
		{2, 0xff, DROP_ESP_INNER, "much longer than what came"},
		{3, 19, DROP_ESP_INNER, "shorter than its header"},
		{3, 0, DROP_ESP_INNER, "length 0"},
		{0, 0x4f, DROP_REASON_COUNT, "60 bytes of header"},
		{3, 60, DROP_REASON_COUNT, "shorter than what came: TFC"},
		{12, 11, DROP_ESP_SELECTOR, "source outside remote_ts"},
		{13, 1, DROP_ESP_SELECTOR, "source is one of ours"},
		{17, 2, DROP_ESP_SELECTOR, "destination is one of theirs"},
		{16, 11, DROP_ESP_SELECTOR, "destination outside local_ts"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fake_esp how = {.spi = spi, .seq = (uint32_t)i + 1, .key_bits = 128};
		uint8_t text[200];
		size_t len = put_trailer(text, make_inner(text, 100), 0, 4);
		const uint64_t before =
			rows[i].want < DROP_REASON_COUNT ? dropped(rows[i].want) : 0;

		text[rows[i].at] = rows[i].value;
		if (fake_receive(&b, &how, text, len) != (rows[i].want == DROP_REASON_COUNT))
			fail_msg("%s", rows[i].why);
		if (rows[i].want != DROP_REASON_COUNT && dropped(rows[i].want) != before + 1)
			fail_msg("%s", rows[i].why);
		batch_free(&b);
	}
}

// RFC 6040 4.2, figure 4; 1 is ECT(1), 2 is ECT(0), 3 is CE.
static void test_ecn(void **state)
{
	static const int want[4][4] = {
		// outer: Not-ECT, ECT(1), ECT(0), CE; -1: dropped
		{0, 0, 0, -1},
		{1, 1, 1, 3},
		{2, 1, 2, 3},
		{3, 3, 3, 3},
	};
	uint32_t seq = 0;

	(void)state;
	for (unsigned inner = 0; inner < 4; inner++) {
		for (unsigned outer = 0; outer < 4; outer++) {
			struct fake_esp how = {.spi = spi,
					       .seq = ++seq,
					       .key_bits = 128,
					       .tos = (uint8_t)(0x48 | outer)};
			uint8_t text[200];
			size_t len = make_inner(text, 100);
			struct rte_ipv4_hdr h;

			memcpy(&h, text, sizeof(h));
			h.type_of_service = (uint8_t)(0xb8 | inner);
			h.hdr_checksum = 0;
			h.hdr_checksum = rte_ipv4_cksum(&h);
			memcpy(text, &h, sizeof(h));
			len = put_trailer(text, len, 0, 4);
			if (want[inner][outer] < 0) {
				assert_int_equal(fake_receive(&b, &how, text, len), 0);
				assert_int_equal(dropped(DROP_ESP_ECN), 1);
				continue;
			}
			assert_int_equal(fake_receive(&b, &how, text, len), 1);
			memcpy(&h, rte_pktmbuf_mtod(b.pkt[0], void *), sizeof(h));
			// DSCP of the outer header is left behind (RFC 4301 5.1.2.1)
			assert_int_equal(h.type_of_service, 0xb8 | want[inner][outer]);
			assert_true(ip_checksum_ok(rte_pktmbuf_mtod(b.pkt[0], void *)));
			batch_free(&b);
		}
	}
}

// The outer packet is damaged in ways that need no key.
static void test_outer_form(void **state)
{
	enum { CUT, SET };
	static const struct {
		bool udp;
		int how;
		unsigned at; // CUT: bytes taken off; SET: place
		uint8_t value;
		unsigned want; // enum drop_reason; DROP_REASON_COUNT: accepted
		const char *why;
	} rows[] = {
		{false, CUT, 0, 0, DROP_REASON_COUNT, "untouched"},
		{true, CUT, 0, 0, DROP_REASON_COUNT, "untouched, UDP"},
		{false, CUT, 1, 0, DROP_ESP_MALFORMED, "not a multiple of 4"},
		{false, CUT, 2, 0, DROP_ESP_MALFORMED, "not a multiple of 4"},
		{false, CUT, 104, 0, DROP_ESP_MALFORMED, "32 bytes: not even a trailer"},
		{false, CUT, 100, 0, DROP_ESP_AUTH, "36 bytes: the shortest that is looked at"},
		{false, CUT, 128, 0, DROP_ESP_MALFORMED, "8 bytes"},
		{false, CUT, 129, 0, DROP_ESP_MALFORMED, "7 bytes"},
		{false, CUT, 136, 0, DROP_ESP_MALFORMED, "no ESP at all"},
		{false, CUT, 137, 0, DROP_ESP_MALFORMED, "outer header cut short"},
		{true, CUT, 4, 0, DROP_ESP_MALFORMED, "UDP length beyond the packet"},
		{true, SET, 25, 7, DROP_ESP_MALFORMED, "UDP length under 8"},
		{true, SET, 25, 0, DROP_ESP_MALFORMED, "UDP length 0"},
		{true, SET, 25, 8, DROP_ESP_MALFORMED, "UDP without payload"},
		{true, SET, 25, 140, DROP_ESP_AUTH, "UDP length decides, not the packet's"},
		{false, SET, 6, 0x20, DROP_FRAGMENT, "first fragment"},
		{false, SET, 7, 5, DROP_FRAGMENT, "later fragment"},
		{false, SET, 6, 0x40, DROP_REASON_COUNT, "DF is no fragment"},
		{false, SET, 0, 0x44, DROP_ESP_MALFORMED, "header length 16"},
		{false, SET, 0, 0x4f, DROP_ESP_NO_SA, "header length 60: other bytes as SPI"},
		{false, SET, 20, 0, DROP_ESP_NO_SA, "another SPI in the same slot"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fake_esp how = {.seq = 1, .key_bits = 128, .udp = rows[i].udp};
		uint8_t text[200], buf[400];
		size_t len = put_trailer(text, make_inner(text, 100), 0, 4);
		struct rte_mbuf *m;
		uint64_t before;

		how.spi = fake_publish_in(128, rows[i].udp, 64);
		len = make_esp(buf, &how, text, len);
		assert_int_equal(len, 20 + (rows[i].udp ? 8 : 0) + 136);
		if (rows[i].how == SET && rows[i].at == 20)
			buf[20] ^= 0x80;
		else if (rows[i].how == SET)
			buf[rows[i].at] = rows[i].value;
		m = mbuf_of(buf, len);
		if (rows[i].how == CUT)
			rte_pktmbuf_trim(m, (uint16_t)rows[i].at);
		before = rows[i].want < DROP_REASON_COUNT ? dropped(rows[i].want) : 0;
		batch_put(&b, m);
		esp_in(fake.w, &b);
		if (b.n != (rows[i].want == DROP_REASON_COUNT) ||
		    (b.n == 0 && dropped(rows[i].want) != before + 1))
			fail_msg("%s", rows[i].why);
		batch_free(&b);
		assert_int_equal(dp_sa_in_retire(&fake.dp, how.spi), 0);
	}
}

static void test_keepalive(void **state)
{
	uint8_t buf[29];

	(void)state;
	make_ip(buf, sizeof(buf), GW_B, GW_A, IPPROTO_UDP, 4500, 4500);
	buf[24] = 0;
	buf[25] = 9;
	buf[28] = 0xff;
	batch_put(&b, mbuf_of(buf, sizeof(buf)));
	esp_in(fake.w, &b);
	assert_int_equal(b.n, 0);
	assert_int_equal(dropped(DROP_NATT_KEEPALIVE), 1);
}

// RFC 3948 2.3: one byte, and 0xFF. An SPI may begin with it.
static void test_no_keepalive(void **state)
{
	uint8_t buf[80];

	(void)state;
	make_ip(buf, 29, GW_B, GW_A, IPPROTO_UDP, 4500, 4500);
	buf[24] = 0;
	buf[25] = 9;
	buf[28] = 0xfe;
	batch_put(&b, mbuf_of(buf, 29));
	make_ip(buf, sizeof(buf), GW_B, GW_A, IPPROTO_UDP, 4500, 4500);
	buf[24] = 0;
	buf[25] = sizeof(buf) - 20;
	buf[28] = 0xff;
	batch_put(&b, mbuf_of(buf, sizeof(buf)));
	esp_in(fake.w, &b);
	assert_int_equal(b.n, 0);
	assert_int_equal(dropped(DROP_ESP_MALFORMED), 1);
	assert_int_equal(dropped(DROP_ESP_NO_SA), 1);
	assert_int_equal(dropped_total(), 2);
}

// The shortest packets there are: dummies (RFC 4303 2.6) of no bytes, NULL encryption, an ICV
// of 12.
static void test_shortest(void **state)
{
	static const uint8_t key[20] = {1, 2, 3};
	static const struct {
		uint8_t text[4];
		enum drop_reason want;
	} rows[] = {
		// Padding that seems to begin in front of the text: the packet's number ends in 1.
		{{2, 3, 3, ESP_NEXT_HEADER_DUMMY}, DROP_ESP_PADDING},
		{{1, 2, 2, ESP_NEXT_HEADER_DUMMY}, DROP_ESP_DUMMY},
	};
	struct esp_sa sa[3]; // the peer's, for each packet; ours
	uint8_t buf[20 + 24];
	uint32_t got, spi_be;

	(void)state;
	assert_int_equal(dp_sa_in_reserve(&fake.dp, &got), 0);
	spi_be = rte_cpu_to_be_32(got);
	for (unsigned i = 0; i < 3; i++) {
		sa[i] = i < 2 ? (struct esp_sa){0} : fake_esp_sa(0, 128, false);
		sa[i].spi = got;
		sa[i].encr = (struct transform){TRANSFORM_ENCR, ENCR_NULL, 0};
		sa[i].integ = (struct transform){TRANSFORM_INTEG, INTEG_HMAC_SHA1_96, 0};
		secret_fini(&sa[i].encr_key);
		assert_int_equal(secret_set(&sa[i].integ_key, key, sizeof(key)), 0);
	}
	assert_int_equal(dp_sa_in_publish(&fake.dp, 0, &sa[2], NULL), 0);
	for (unsigned i = 0; i < 2; i++) {
		const uint32_t seq = i + 1, seq_be = rte_cpu_to_be_32(seq);

		make_ip(buf, sizeof(buf), GW_B, GW_A, IPPROTO_ESP, 0, 0);
		memcpy(buf + 20, &spi_be, 4);
		memcpy(buf + 24, &seq_be, 4);
		memcpy(buf + 28, rows[i].text, sizeof(rows[i].text));
		esp_ref_seal(&sa[i], buf + 20, sizeof(rows[i].text), seq);
		secret_fini(&sa[i].integ_key);
		batch_put(&b, mbuf_of(buf, sizeof(buf)));
		esp_in(fake.w, &b);
		assert_int_equal(dropped(rows[i].want), 1);
		assert_int_equal(dropped_total(), i + 1);
	}
}

// Decrypting in place would change what somebody else still holds.
static void test_shared_buffer(void **state)
{
	struct fake_esp how = {.spi = spi, .seq = 1, .key_bits = 128};
	uint8_t text[200], buf[400];
	size_t len = put_trailer(text, make_inner(text, 100), 0, 4);
	struct rte_mbuf *m;

	(void)state;
	len = make_esp(buf, &how, text, len);
	m = mbuf_of(buf, len);
	rte_mbuf_refcnt_update(m, 1);
	batch_put(&b, m);
	esp_in(fake.w, &b);
	assert_int_equal(b.n, 0);
	assert_int_equal(dropped(DROP_ESP_MALFORMED), 1);
	assert_memory_equal(rte_pktmbuf_mtod(m, void *), buf, len);
	rte_pktmbuf_free(m);
}

// Random bytes with a good ICV and random bytes without: whatever comes out is a whole packet of
// the SA.
static void test_random_packets(void **state)
{
	unsigned accepted = 0;

	(void)state;
	srandom(7);
	for (uint32_t seq = 1; seq <= 30000; seq++) {
		struct fake_esp how = {.spi = spi, .seq = seq, .key_bits = 128};
		uint8_t text[400], buf[500];
		size_t len = (size_t)random() % 70 * 4 + 4;
		const struct rte_ipv4_hdr *ip;

		for (size_t i = 0; i < len; i++)
			text[i] = (uint8_t)random();
		text[len - 1] = 4;
		text[len - 2] = (uint8_t)(random() % 3); // its padding is right now and then
		for (size_t i = 0; i < 2 && len > 4; i++)
			text[len - 3 - i] = (uint8_t)(text[len - 2] - i);
		if (len >= 20 && random() % 4) {
			make_inner(text, 20);
			text[random() % 4] = (uint8_t)random();
			text[3] = (uint8_t)(len - (size_t)random() % 16);
		}
		len = make_esp(buf, &how, text, len);
		if (random() % 4 == 0)
			buf[random() % 28] = (uint8_t)random();
		batch_put(&b, mbuf_of(buf, len - (random() % 8 == 0 ? (size_t)random() % len : 0)));
		esp_in(fake.w, &b);
		if (b.n == 1) {
			accepted++;
			ip = rte_pktmbuf_mtod(b.pkt[0], const struct rte_ipv4_hdr *);
			assert_in_range(b.pkt[0]->data_len, 20, len);
			assert_int_equal(ip->version_ihl >> 4, 4);
			assert_in_range(rte_ipv4_hdr_len(ip), 20, b.pkt[0]->data_len);
			assert_int_equal(rte_be_to_cpu_16(ip->total_length), b.pkt[0]->data_len);
			assert_int_equal(ip->src_addr, be32(HOST_B));
			assert_int_equal(ip->dst_addr, be32(HOST_A));
		}
		batch_free(&b);
	}
	assert_in_range(accepted, 300, 20000);
	assert_int_equal(dropped_total() + accepted, 30000);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_payload_and_trailer),
		T(test_every_byte_of_the_padding),
		T(test_selectors_by_address),
		T(test_inner_header),
		T(test_ecn),
		T(test_outer_form),
		T(test_keepalive),
		T(test_no_keepalive),
		T(test_shortest),
		T(test_shared_buffer),
		T(test_random_packets),
	};

	return cmocka_run_group_tests_name("esp_in_form", tests, fake_group_setup,
					   fake_group_teardown);
}
