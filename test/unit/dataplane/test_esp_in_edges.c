// Inbound ESP: what the packets of one batch may not do to each other, and the last value on either
// side of a limit.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <string.h>

#include "dataplane/esp.h"
#include "dataplane/sad.h"
#include "esp_ref.h"
#include "fake_dp.h"

static struct batch b;

static struct rte_mbuf *make(uint32_t spi, uint32_t seq, const uint8_t *text, size_t len)
{
	const struct fake_esp how = {.spi = spi, .seq = seq, .key_bits = 128};
	uint8_t buf[600];

	return mbuf_of(buf, make_esp(buf, &how, text, len));
}

static size_t inner_text(uint8_t *text, size_t len)
{
	return put_trailer(text, make_inner(text, len), 0, 4);
}

// The good ones come out whole, in order, whatever is dropped between them and in which step.
static void test_bad_ones_between(void **state)
{
	const uint32_t spi = fake_publish_in(128, false, 64);
	uint8_t text[300], inner[300];
	struct rte_mbuf *m;
	size_t len;

	(void)state;
	for (uint32_t i = 0; i < 6; i++) {
		const uint32_t seq = i + 1;

		len = inner_text(text, 40 + i * 8);
		batch_put(&b, mbuf_of("\x45", 1));		  // step 1: form
		batch_put(&b, make(spi ^ 0x10000, 1, text, len)); // step 2: no SA
		batch_put(&b, make(spi, seq, text, len));
		m = make(spi, 100 + i, text, len);
		rte_pktmbuf_mtod(m, uint8_t *)[m->data_len - 1] ^= 1; // step 6: ICV
		batch_put(&b, m);
		text[len - 1] = 99;
		batch_put(&b, make(spi, 30 + i, text, len)); // step 7: trailer
	}
	esp_in(fake.w, &b);
	assert_int_equal(b.n, 6);
	for (uint16_t i = 0; i < 6; i++) {
		len = make_inner(inner, 40 + i * 8u);
		assert_int_equal(b.pkt[i]->data_len, len);
		assert_memory_equal(rte_pktmbuf_mtod(b.pkt[i], void *), inner, len);
	}
	batch_free(&b);
	assert_int_equal(dropped(DROP_ESP_MALFORMED), 6);
	assert_int_equal(dropped(DROP_ESP_NO_SA), 6);
	assert_int_equal(dropped(DROP_ESP_AUTH), 6);
	assert_int_equal(dropped(DROP_ESP_NEXT_HEADER), 6);
	assert_int_equal(dropped_total(), 24);
}

// RFC 4303 3.4.3: a copy is one, in the same batch and after, and the SA counts both.
static void test_replays_are_counted(void **state)
{
	const uint32_t spi = fake_publish_in(128, false, 64);
	struct dp_sa_stats stats;
	uint8_t text[200];
	const size_t len = inner_text(text, 100);

	(void)state;
	batch_put(&b, make(spi, 1, text, len));
	batch_put(&b, make(spi, 1, text, len));
	esp_in(fake.w, &b);
	assert_int_equal(b.n, 1);
	assert_int_equal(dp_sa_in_stats(&fake.dp, spi, &stats), 0);
	assert_int_equal(stats.replays, 1);
	batch_free(&b);
	batch_put(&b, make(spi, 1, text, len));
	esp_in(fake.w, &b);
	assert_int_equal(dp_sa_in_stats(&fake.dp, spi, &stats), 0);
	assert_int_equal(stats.replays, 2);
	assert_int_equal(stats.packets, 1);
	assert_int_equal(stats.bytes, 100);
}

// What a port said of the outer packet is not true of the inner one.
static void test_flags_of_the_outer_packet(void **state)
{
	const uint32_t spi = fake_publish_in(128, false, 64);
	uint8_t text[200];
	const size_t len = inner_text(text, 100);
	struct rte_mbuf *m = make(spi, 1, text, len);

	(void)state;
	m->ol_flags = RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_IPV4;
	m->packet_type = RTE_PTYPE_L3_IPV4;
	m->l3_len = 20;
	batch_put(&b, m);
	esp_in(fake.w, &b);
	assert_int_equal(b.n, 1);
	assert_int_equal(b.pkt[0]->ol_flags, 0);
	assert_int_equal(b.pkt[0]->packet_type, 0);
	batch_free(&b);
}

// The packet that reaches a soft limit exactly is the one that reports it; a hard one lets it pass.
static void test_limits_in_bytes(void **state)
{
	struct esp_sa sa = fake_esp_sa(0, 128, false);
	uint8_t text[200];
	const size_t len = inner_text(text, 100);
	uint32_t spi;

	(void)state;
	assert_int_equal(dp_sa_in_reserve(&fake.dp, &spi), 0);
	sa.spi = spi;
	sa.soft.bytes = 200;
	sa.hard.bytes = 300;
	assert_int_equal(dp_sa_in_publish(&fake.dp, 0, &sa, NULL), 0);
	for (uint32_t seq = 1; seq <= 4; seq++) {
		batch_put(&b, make(spi, seq, text, len));
		esp_in(fake.w, &b);
		assert_int_equal(b.n, seq <= 3);
		batch_free(&b);
		assert_int_equal(fake.n_events, seq < 2 ? 0 : seq < 4 ? 1 : 2);
	}
	assert_int_equal(fake.event.type, DP_EV_HARD_LIFE);
	assert_int_equal(fake.event.why, DP_LIFE_BYTES);
	assert_int_equal(dropped(DROP_SA_LIFE), 1);
}

static void test_mss_is_clamped_when_asked(void **state)
{
	const uint32_t spi = fake_publish_in(128, false, 64);
	uint8_t text[200];
	size_t len;

	(void)state;
	make_ip(text, 44, HOST_B, HOST_A, IPPROTO_TCP, 1, 2);
	text[32] = 0x60; // 24 bytes of header, SYN, an MSS of 1460
	text[33] = 2;
	memcpy(text + 40, "\x02\x04\x05\xb4", 4);
	len = put_trailer(text, 44, 0, 4);
	for (uint32_t on = 0; on < 2; on++) {
		fake.w->dp->clamp_mss = on;
		batch_put(&b, make(spi, on + 1, text, len));
		esp_in(fake.w, &b);
		assert_int_equal(b.n, 1);
		assert_int_equal(rte_pktmbuf_mtod(b.pkt[0], uint8_t *)[42] << 8 |
					 rte_pktmbuf_mtod(b.pkt[0], uint8_t *)[43],
				 on ? 1446 - 40 : 1460);
		batch_free(&b);
	}
}

// RFC 6040 4.2, RFC 1624: the checksum follows the mark, with every carry there is.
static void test_checksum_follows_the_mark(void **state)
{
	const uint32_t spi = fake_publish_in(128, false, 64);
	unsigned tried = 0;

	(void)state;
	for (uint32_t id = 0; id < 0x10000; id++) {
		struct fake_esp how = {.spi = spi, .key_bits = 128, .tos = 3};
		uint8_t text[100], buf[300];
		struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(void *)text;
		size_t len = make_inner(text, 40);

		ip->type_of_service = id & 1 ? 1 : 2;
		ip->packet_id = rte_cpu_to_be_16((uint16_t)id);
		ip->hdr_checksum = 0;
		ip->hdr_checksum = rte_ipv4_cksum(ip);
		// The sum's last carry depends on the first byte: this is where it is made.
		if (ip->hdr_checksum >> 8 != 0 && (ip->hdr_checksum & 0xff) > 3)
			continue;
		how.seq = ++tried;
		len = put_trailer(text, len, 0, 4);
		batch_put(&b, mbuf_of(buf, make_esp(buf, &how, text, len)));
		esp_in(fake.w, &b);
		assert_int_equal(b.n, 1);
		ip = rte_pktmbuf_mtod(b.pkt[0], struct rte_ipv4_hdr *);
		assert_int_equal(ip->type_of_service, 3);
		assert_int_equal(rte_raw_cksum(ip, 20), 0xffff);
		batch_free(&b);
	}
	assert_true(tried > 500);
}

// Padding that would begin in front of the text, where the IV just happens to look like it.
static void test_padding_longer_than_the_text(void **state)
{
	static const uint8_t iv[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	const uint32_t spi = fake_publish_in(128, false, 64), spi_be = rte_cpu_to_be_32(spi),
		       seq_be = rte_cpu_to_be_32(1);
	struct esp_sa peer = fake_esp_sa(spi, 128, false);
	uint8_t buf[20 + 8 + 8 + 4 + 16], text[] = {9, 10, 10, ESP_NEXT_HEADER_DUMMY};

	(void)state;
	make_ip(buf, sizeof(buf), GW_B, GW_A, IPPROTO_ESP, 0, 0);
	memcpy(buf + 20, &spi_be, 4);
	memcpy(buf + 24, &seq_be, 4);
	memcpy(buf + 28, iv, sizeof(iv));
	memcpy(buf + 36, text, sizeof(text));
	esp_ref_seal(&peer, buf + 20, sizeof(text), 1);
	esp_sa_fini(&peer);
	batch_put(&b, mbuf_of(buf, sizeof(buf)));
	esp_in(fake.w, &b);
	assert_int_equal(dropped(DROP_ESP_PADDING), 1);
	assert_int_equal(dropped_total(), 1);
}

static int setup(void **state)
{
	b.n = 0;
	return fake_setup(state);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_bad_ones_between),
		T(test_replays_are_counted),
		T(test_flags_of_the_outer_packet),
		T(test_limits_in_bytes),
		T(test_mss_is_clamped_when_asked),
		T(test_checksum_follows_the_mark),
		T(test_padding_longer_than_the_text),
	};

	return cmocka_run_group_tests_name("esp_in_edges", tests, fake_group_setup,
					   fake_group_teardown);
}
