#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "fake_dp.h"

#include "dataplane/esp.h"
#include "dataplane/sad.h"
#include "test/vectors/esp_gcm_vectors.h"
#include "test/vectors/hex.h"

#define WINDOW 128

static uint32_t spi;
static struct batch b;

static int setup(void **state)
{
	int err = fake_setup(state);

	memset(&b, 0, sizeof(b));
	if (err == 0)
		spi = fake_publish_in(128, false, WINDOW);
	return err;
}

static unsigned receive_udp(uint32_t seq)
{
	uint8_t text[200];
	size_t len = put_trailer(text, make_inner(text, 100), 0, 4);
	unsigned n = fake_receive(&b, &(struct fake_esp){.spi = spi, .seq = seq, .key_bits = 128},
				  text, len);

	batch_free(&b);
	return n;
}

// Every size, made by OpenSSL, with IP options in front as well.
static void all_sizes(unsigned key_bits, bool udp, unsigned options)
{
	struct fake_esp how = {.key_bits = key_bits, .udp = udp, .ip_options = options};
	uint8_t text[2048], ip[2048];

	how.spi = fake_publish_in(key_bits, udp, 64);
	for (size_t len = 20; len <= 1500; len++) {
		make_inner(ip, len);
		memcpy(text, ip, len);
		how.seq++;
		assert_int_equal(fake_receive(&b, &how, text, put_trailer(text, len, 0, 4)), 1);
		assert_int_equal(b.pkt[0]->data_len, len);
		assert_int_equal(b.pkt[0]->pkt_len, len);
		assert_memory_equal(rte_pktmbuf_mtod(b.pkt[0], void *), ip, len);
		assert_int_equal(b.sa[0]->spi, how.spi);
		assert_int_equal(b.origin[0], FROM_TUNNEL);
		batch_free(&b);
	}
	assert_int_equal(dropped_total(), 0);
}

static void test_all_sizes_128(void **state)
{
	(void)state;
	all_sizes(128, false, 0);
}

static void test_all_sizes_256_udp(void **state)
{
	(void)state;
	all_sizes(256, true, 0);
}

static void test_all_sizes_behind_ip_options(void **state)
{
	(void)state;
	all_sizes(128, false, 8);
	all_sizes(256, true, 40);
}

// A wrong byte anywhere from the ESP header to the ICV.
static void test_every_byte_is_protected(void **state)
{
	struct fake_esp how = {.spi = spi, .seq = 1, .key_bits = 128};
	uint8_t text[200], buf[400], bad[400];
	struct dp_sa_stats st;
	size_t len;

	(void)state;
	len = make_esp(buf, &how, text, put_trailer(text, make_inner(text, 100), 0, 4));
	for (size_t i = 20 + 4; i < len; i++) {
		memcpy(bad, buf, len);
		bad[i] ^= (uint8_t)(1u << i % 8);
		if (i < 28) // another sequence number, still plausible
			bad[i] = (uint8_t)(buf[i] + 1);
		batch_put(&b, mbuf_of(bad, len));
		esp_in(fake.w, &b);
		assert_int_equal(b.n, 0);
		assert_int_equal(dropped(DROP_ESP_AUTH), i - 23);
	}
	assert_int_equal(dropped_total(), len - 24);
	assert_int_equal(dp_sa_in_stats(&fake.dp, spi, &st), 0);
	assert_int_equal(st.auth_failures, len - 24);
	assert_int_equal(st.seq, 0); // none of them moved the window
	assert_true(st.idle_ms == UINT64_MAX);
	batch_put(&b, mbuf_of(buf, len));
	esp_in(fake.w, &b);
	assert_int_equal(b.n, 1);
	batch_free(&b);
}

static void test_replay_window(void **state)
{
	static const struct {
		uint32_t seq;
		bool accepted;
		const char *why;
	} rows[] = {
		{0, false, "zero is never sent (RFC 4303 3.3.3)"},
		{1, true, "first packet"},
		{1, false, "duplicate"},
		{WINDOW + 3, true, "jump"},
		{3, false, "never seen, one too old"},
		{4, true, "never seen, oldest still inside"},
		{4, false, "duplicate of the oldest"},
		{WINDOW + 2, true, "late, inside"},
		{UINT32_MAX, true, "far jump"},
		{UINT32_MAX, false, "duplicate at the end"},
		{1, false, "does not wrap"},
	};
	unsigned rejected = 0;
	struct dp_sa_stats st;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (receive_udp(rows[i].seq) != rows[i].accepted)
			fail_msg("%u: %s", rows[i].seq, rows[i].why);
		rejected += !rows[i].accepted;
		assert_int_equal(dropped(DROP_ESP_REPLAY), rejected);
	}
	assert_int_equal(dp_sa_in_stats(&fake.dp, spi, &st), 0);
	assert_int_equal(st.replays, rejected);
	assert_int_equal(st.seq, UINT32_MAX);
	assert_int_equal(st.packets, 5);
	assert_int_equal(st.bytes, 500);
	assert_true(st.idle_ms < 10000);
}

// The duplicate is told before any work is spent on its ICV.
static void test_replay_is_checked_before_the_icv(void **state)
{
	struct fake_esp how = {.spi = spi, .seq = 9, .key_bits = 128};
	uint8_t text[200], buf[400];
	size_t len = make_esp(buf, &how, text, put_trailer(text, make_inner(text, 100), 0, 4));

	(void)state;
	assert_int_equal(receive_udp(9), 1);
	buf[len - 1] ^= 1;
	batch_put(&b, mbuf_of(buf, len));
	esp_in(fake.w, &b);
	assert_int_equal(dropped(DROP_ESP_REPLAY), 1);
	assert_int_equal(dropped(DROP_ESP_AUTH), 0);
}

// Both pass the cheap test in front of the decryption.
static void test_two_copies_in_one_batch(void **state)
{
	struct fake_esp how = {.spi = spi, .seq = 9, .key_bits = 128};
	uint8_t text[200], buf[400];
	size_t len = make_esp(buf, &how, text, put_trailer(text, make_inner(text, 100), 0, 4));

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		batch_put(&b, mbuf_of(buf, len));
	esp_in(fake.w, &b);
	assert_int_equal(b.n, 1);
	assert_int_equal(dropped(DROP_ESP_REPLAY), 4);
	batch_free(&b);
}

// A forged packet with a high number must not push the window on.
static void test_forged_packet_does_not_move_the_window(void **state)
{
	struct fake_esp how = {.spi = spi, .seq = 1000000, .key_bits = 128};
	uint8_t text[200], buf[400];
	size_t len = make_esp(buf, &how, text, put_trailer(text, make_inner(text, 100), 0, 4));

	(void)state;
	assert_int_equal(receive_udp(10), 1);
	buf[len - 1] ^= 1;
	batch_put(&b, mbuf_of(buf, len));
	esp_in(fake.w, &b);
	assert_int_equal(dropped(DROP_ESP_AUTH), 1);
	assert_int_equal(receive_udp(11), 1);
	assert_int_equal(receive_udp(9), 1);
}

// The packets of draft-mcgrew-gcm-test. All have next header 1, which a tunnel does not take: a
// packet that is refused for that, and for no other reason, was found authentic.
static void test_published_packets(void **state)
{
	unsigned authentic = 0, esn = 0, sizes[3] = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(esp_gcm_vectors) / sizeof(esp_gcm_vectors[0]); i++) {
		const struct esp_gcm_vector *v = &esp_gcm_vectors[i];
		const uint32_t slot = v->spi & (SAD_SLOTS - 1);
		uint8_t buf[300], key[36];
		const size_t len = hex_bytes(v->packet, buf + 20, sizeof(buf) - 20);
		const size_t key_len = hex_bytes(v->key, key, 32);
		uint8_t esp[300];
		struct esp_sa sa;

		if (v->spi < 256 || v->seq == 0)
			continue; // never sent
		hex_bytes(v->salt, key + key_len, 4);
		sa = fake_esp_sa(v->spi, (unsigned)key_len * 8, false);
		assert_int_equal(secret_set(&sa.encr_key, key, key_len + 4), 0);
		sa.esn = v->esn;
		fake.dp.sad->spi[slot] = v->spi; // the vectors choose, not we
		fake.dp.sad->used++;
		assert_int_equal(dp_sa_in_publish(&fake.dp, 0, &sa, NULL), 0);
		sad_lookup(fake.dp.sad, v->spi)->replay.top = v->seq - 1; // where its sender was

		memcpy(esp, buf + 20, len);
		make_ip(buf, 20 + len, GW_B, GW_A, IPPROTO_ESP, 0, 0);
		memcpy(buf + 20, esp, len);
		batch_put(&b, mbuf_of(buf, 20 + len));
		esp_in(fake.w, &b);
		assert_int_equal(b.n, 0);
		authentic++;
		esn += v->esn;
		sizes[key_len / 8 - 2]++;
		assert_int_equal(dropped(DROP_ESP_NEXT_HEADER), authentic);
		assert_int_equal(dp_sa_in_retire(&fake.dp, v->spi), 0);
	}
	assert_int_equal(dropped_total(), authentic);
	assert_true(authentic - esn >= 2 && esn >= 2);
	assert_true(sizes[0] > 0 && sizes[1] > 0 && sizes[2] > 0);
}

// A packet in UDP as a NAT with another mapping sends it on.
static void receive_from(uint32_t sa, uint32_t seq, const char *addr, uint16_t port, bool forged)
{
	const struct fake_esp how = {.spi = sa, .seq = seq, .key_bits = 128, .udp = true};
	uint8_t text[256], buf[512];
	size_t len = put_trailer(text, make_inner(text, 84), 0, 4);
	const uint32_t src = be32(addr);

	len = make_esp(buf, &how, text, len);
	memcpy(buf + 12, &src, 4);
	buf[20] = (uint8_t)(port >> 8);
	buf[21] = (uint8_t)port;
	buf[len - 1] ^= forged;
	batch_put(&b, mbuf_of(buf, len));
	esp_in(fake.w, &b);
	batch_free(&b);
	fake.w->now_tsc += fake.dp.tsc_hz; // nothing is a repetition
}

static void test_encapsulation_is_as_agreed(void **state)
{
	uint8_t text[200];
	size_t len = put_trailer(text, make_inner(text, 100), 0, 4);
	uint32_t in_udp = fake_publish_in(128, true, 64);

	(void)state;
	assert_int_equal(
		fake_receive(&b,
			     &(struct fake_esp){.spi = spi, .seq = 1, .key_bits = 128, .udp = true},
			     text, len),
		0);
	assert_int_equal(dropped(DROP_ESP_ENCAP), 1);
	assert_int_equal(fake_receive(&b,
				      &(struct fake_esp){.spi = in_udp, .seq = 1, .key_bits = 128},
				      text, len),
			 0);
	assert_int_equal(dropped(DROP_ESP_ENCAP), 2);
}

// RFC 4555 3.5: a peer that comes behind a NAT or leaves one.
static void test_encapsulation_that_may_change(void **state)
{
	const struct ip_endpoint from = {ip_addr_v4(0xcb007109), 40001};
	uint8_t text[200];
	size_t len = put_trailer(text, make_inner(text, 100), 0, 4);
	struct esp_sa esp = fake_esp_sa(0, 128, false);
	struct fake_esp how = {.key_bits = 128};
	uint32_t sa;

	(void)state;
	assert_int_equal(dp_sa_in_reserve(&fake.dp, &sa), 0);
	esp.spi = how.spi = sa;
	esp.either_form = true;
	assert_int_equal(dp_sa_in_publish(&fake.dp, 0, &esp, NULL), 0);
	for (how.seq = 1; how.seq <= 4; how.seq++) {
		how.udp = how.seq & 1;
		assert_int_equal(fake_receive(&b, &how, text, len), 1);
		batch_free(&b);
	}
	assert_int_equal(dropped_total(), 0);
	// Where it comes from counts in UDP, whatever the SA began with.
	fake.w->now_tsc += fake.dp.tsc_hz;
	receive_from(sa, 5, "203.0.113.9", 40001, false);
	assert_true(fake.n_events > 0 && ip_endpoint_equal(&fake.event.peer, &from));
}

static void test_packets_of_another_worker_are_handed_over(void **state)
{
	(void)state;
	assert_int_equal(receive_udp(1), 1); // worker 0 owns the SA now
	fake.w->id = 5;
	assert_int_equal(receive_udp(2), 0);
	assert_int_equal(fake.n_handed_over, 1);
	assert_int_equal(fake.handed_to, 0);
	fake.w->id = 0;
	assert_int_equal(receive_udp(2), 1);
	assert_int_equal(fake.n_handed_over, 1);
	assert_int_equal(dropped_total(), 0);
}

// RFC 7296 2.23, RFC 3948: where the newest genuine packet came from, and nothing else.
static void test_a_moved_peer_is_reported(void **state)
{
	const uint32_t sa = fake_publish_in(128, true, 64);
	const struct ip_endpoint now = {ip_addr_v4(0xcb007109), 40001};

	(void)state;
	receive_from(sa, 1, GW_B, 4500, false);
	assert_int_equal(fake.n_events, 0);
	receive_from(sa, 2, "203.0.113.9", 40001, true);
	assert_int_equal(fake.n_events, 0); // not genuine
	receive_from(sa, 10, GW_B, 4500, false);
	receive_from(sa, 9, "203.0.113.9", 40001, false);
	assert_int_equal(fake.n_events, 0); // held back, and late
	receive_from(sa, 10, "203.0.113.9", 40001, false);
	assert_int_equal(fake.n_events, 0); // a copy
	receive_from(sa, 11, "203.0.113.9", 40001, false);
	assert_int_equal(fake.n_events, 1);
	assert_int_equal(fake.event.type, DP_EV_PEER_MOVED);
	assert_int_equal(fake.event.spi, sa);
	assert_true(ip_endpoint_equal(&fake.event.peer, &now));
	fake.w->now_tsc -= fake.dp.tsc_hz;
	receive_from(sa, 12, "203.0.113.9", 40001, false);
	assert_int_equal(fake.n_events, 1); // within 100 ms
	receive_from(sa, 13, "203.0.113.9", 40001, false);
	assert_int_equal(fake.n_events, 2); // nobody has listened
	assert_int_equal(dp_sa_in_peer(&fake.dp, sa, &now), 0);
	receive_from(sa, 14, "203.0.113.9", 40001, false);
	assert_int_equal(fake.n_events, 2);
	receive_from(sa, 15, "203.0.113.9", 40002, false);
	assert_int_equal(fake.n_events, 3); // the port alone
	assert_int_equal(dp_sa_in_peer(&fake.dp, sa ^ 1, &now), -ENOENT);
}

static void test_ports_in_selectors(void **state)
{
	static const struct {
		const char *proto_ports; // of both sides' selectors
		uint8_t proto;
		uint16_t sport, dport;
		uint8_t frag_off; // units of 8 bytes
		bool accepted;
		const char *why;
	} rows[] = {
		{" 17", 17, 1, 2, 0, true, "protocol alone"},
		{" 17", 6, 1, 2, 0, false, "another protocol"},
		{" 17 53-60", 17, 53, 60, 0, true, "both ends of the range"},
		{" 17 53-60", 17, 52, 60, 0, false, "source port below"},
		{" 17 53-60", 17, 53, 61, 0, false, "destination port above"},
		{" 17 53-60", 17, 53, 60, 9, false, "later fragment of an SA with ports"},
		{" 17", 17, 1, 2, 9, true, "later fragment of an SA without ports"},
		{" 17 65535-0", 17, 1, 2, 9, true, "OPAQUE takes later fragments"},
		{" 17 65535-0", 17, 1, 2, 0, false, "OPAQUE takes nothing with ports"},
		{" 1 2048-2048", 1, 0x800, 0, 0, true, "ICMP echo request"},
		{" 1 2048-2048", 1, 0, 0, 0, false, "ICMP echo reply"},
		{" 47 1-2", 47, 1, 1, 0, false, "GRE has no ports"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fake_esp how = {.seq = 1, .key_bits = 128};
		uint8_t text[200];
		char local[64] = SITE_A, remote[64] = SITE_B;
		struct esp_sa sa;

		assert_int_equal(dp_sa_in_reserve(&fake.dp, &how.spi), 0);
		sa = fake_esp_sa(how.spi, 128, false);
		sa.local_ts.s[0] = sel(strcat(local, rows[i].proto_ports));
		sa.remote_ts.s[0] = sel(strcat(remote, rows[i].proto_ports));
		assert_int_equal(dp_sa_in_publish(&fake.dp, 0, &sa, NULL), 0);
		make_ip(text, 100, HOST_B, HOST_A, rows[i].proto, rows[i].sport, rows[i].dport);
		text[7] = rows[i].frag_off;
		if (fake_receive(&b, &how, text, put_trailer(text, 100, 0, 4)) != rows[i].accepted)
			fail_msg("%s", rows[i].why);
		batch_free(&b);
	}
}

static void test_any_of_several_selectors(void **state)
{
	struct fake_esp how = {.seq = 1, .key_bits = 128};
	struct esp_sa sa;
	uint8_t text[200];

	(void)state;
	assert_int_equal(dp_sa_in_reserve(&fake.dp, &how.spi), 0);
	sa = fake_esp_sa(how.spi, 128, false);
	sa.local_ts.s[sa.local_ts.n++] = sel("10.9.0.0/24");
	sa.remote_ts.s[sa.remote_ts.n++] = sel("2001:db8::/32"); // not ours to carry, no harm
	sa.remote_ts.s[sa.remote_ts.n++] = sel("10.8.0.0/24");
	assert_int_equal(dp_sa_in_publish(&fake.dp, 0, &sa, NULL), 0);
	make_ip(text, 100, "10.8.0.1", "10.9.0.1", 17, 1, 2);
	assert_int_equal(fake_receive(&b, &how, text, put_trailer(text, 100, 0, 4)), 1);
	batch_free(&b);
	make_ip(text, 100, HOST_B, "10.9.0.1", 17, 1, 2);
	how.seq++;
	assert_int_equal(fake_receive(&b, &how, text, put_trailer(text, 100, 0, 4)), 1);
	batch_free(&b);
	make_ip(text, 100, "10.8.1.1", "10.9.0.1", 17, 1, 2);
	how.seq++;
	assert_int_equal(fake_receive(&b, &how, text, put_trailer(text, 100, 0, 4)), 0);
}

static void test_batch_of_good_and_bad_keeps_order(void **state)
{
	uint8_t text[200], buf[400];

	(void)state;
	for (unsigned i = 0; i < BATCH_MAX; i++) {
		struct fake_esp how = {.spi = spi, .seq = i + 1, .key_bits = 128};
		size_t len = make_esp(buf, &how, text,
				      put_trailer(text, make_inner(text, 60 + i), 0, 4));

		if (i % 3 == 1)
			buf[len - 1] ^= 1;
		batch_put(&b, mbuf_of(buf, len));
		b.port[i] = (uint8_t)i;
	}
	esp_in(fake.w, &b);
	assert_int_equal(b.n, 43);
	for (unsigned i = 0, k = 0; i < BATCH_MAX; i++) {
		if (i % 3 == 1)
			continue;
		assert_int_equal(b.pkt[k]->data_len, 60 + i);
		assert_int_equal(b.port[k], i);
		k++;
	}
	assert_int_equal(dropped(DROP_ESP_AUTH), 21);
	assert_int_equal(counter_read(&fake.w->esp_in_packets), 43);
	batch_free(&b);
}

// ---- lifetimes in packets and bytes ----

static void publish_life(struct esp_life soft, struct esp_life hard)
{
	struct esp_sa sa;

	assert_int_equal(dp_sa_in_reserve(&fake.dp, &spi), 0);
	sa = fake_esp_sa(spi, 128, false);
	sa.soft = soft;
	sa.hard = hard;
	assert_int_equal(dp_sa_in_publish(&fake.dp, 7, &sa, NULL), 0);
}

static void expect_event(unsigned n, enum dp_event_type type, enum dp_life why)
{
	assert_int_equal(fake.n_events, n);
	assert_int_equal(fake.event.type, type);
	assert_int_equal(fake.event.why, why);
	assert_int_equal(fake.event.spi, spi);
	assert_int_equal(fake.event.tunnel, 7);
	assert_true(fake.event.inbound);
}

static void test_life_in_packets(void **state)
{
	(void)state;
	publish_life((struct esp_life){.packets = 5}, (struct esp_life){.packets = 8});
	for (uint32_t seq = 1; seq <= 12; seq++) {
		assert_int_equal(receive_udp(seq), seq <= 8);
		if (seq < 5)
			assert_int_equal(fake.n_events, 0);
		else
			expect_event(seq <= 8 ? 1 : 2, seq <= 8 ? DP_EV_SOFT_LIFE : DP_EV_HARD_LIFE,
				     DP_LIFE_PACKETS);
	}
	assert_int_equal(dropped(DROP_SA_LIFE), 4);
}

static void test_life_in_bytes(void **state)
{
	struct dp_sa_stats st;

	(void)state;
	publish_life((struct esp_life){0}, (struct esp_life){.bytes = 350});
	for (uint32_t seq = 1; seq <= 3; seq++)
		assert_int_equal(receive_udp(seq), 1);
	assert_int_equal(fake.n_events, 0);
	assert_int_equal(receive_udp(4), 0);
	expect_event(1, DP_EV_HARD_LIFE, DP_LIFE_BYTES);
	assert_int_equal(dropped(DROP_SA_LIFE), 1);
	assert_int_equal(dp_sa_in_stats(&fake.dp, spi, &st), 0);
	assert_int_equal(st.bytes, 300);
	assert_int_equal(st.packets, 3);
	fake.w->now_tsc += fake.dp.tsc_hz / 5;
	assert_int_equal(receive_udp(5), 0);
	expect_event(2, DP_EV_HARD_LIFE, DP_LIFE_BYTES);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_all_sizes_128),
		T(test_all_sizes_256_udp),
		T(test_all_sizes_behind_ip_options),
		T(test_every_byte_is_protected),
		T(test_life_in_packets),
		T(test_life_in_bytes),
		T(test_replay_window),
		T(test_replay_is_checked_before_the_icv),
		T(test_two_copies_in_one_batch),
		T(test_forged_packet_does_not_move_the_window),
		T(test_published_packets),
		T(test_encapsulation_is_as_agreed),
		T(test_encapsulation_that_may_change),
		T(test_packets_of_another_worker_are_handed_over),
		T(test_a_moved_peer_is_reported),
		T(test_ports_in_selectors),
		T(test_any_of_several_selectors),
		T(test_batch_of_good_and_bad_keeps_order),
	};

	return cmocka_run_group_tests_name("esp_in", tests, fake_group_setup, fake_group_teardown);
}
