// Dummy packets (RFC 4303 2.6): when they are sent, by whom, what they are and what they count for.
// The clock is the worker's, which the test sets; OpenSSL reads the packets.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "fake_dp.h"

#include <rte_cycles.h>

#include "dataplane/sad.h"
#include "dataplane/tfc.h"

#define SPI	0xc0ffee77u
#define TUNNELS 200

static uint32_t tunnel;
static struct batch b, icmp;

static int setup(void **state)
{
	int err = fake_setup(state);

	memset(&b, 0, sizeof(b));
	memset(&icmp, 0, sizeof(icmp));
	fake.w->now_tsc = fake.dp.tsc_hz; // any time that is not zero
	return err != 0 ? err : dp_tunnel_add(&fake.dp, "site-b", &tunnel);
}

static struct esp_sa sa_of(uint32_t spi, uint32_t dummies)
{
	struct esp_sa sa = fake_esp_sa(spi, 128, false);

	sa.dummies = dummies;
	return sa;
}

static void set_out(uint32_t id, struct esp_sa sa)
{
	assert_int_equal(dp_tunnel_set_out(&fake.dp, id, &sa, NULL), 0);
}

static uint64_t ms(uint64_t n)
{
	return fake.dp.tsc_hz / 1000 * n;
}

// One round, 100 us after the one before. What is sent stands in fake.routed.
static unsigned round_of(void)
{
	batch_free(&fake.routed);
	fake.w->now_tsc += fake.dp.tsc_hz / 10000;
	tfc_send(fake.w);
	return fake.routed.n;
}

static unsigned sent_in(unsigned rounds)
{
	unsigned n = 0;

	while (rounds-- > 0)
		n += round_of();
	return n;
}

static void test_rate_and_intervals(void **state)
{
	static const uint32_t rates[] = {1, 10, 100, 1000};

	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		const uint64_t interval = fake.dp.tsc_hz / rates[i], step = fake.dp.tsc_hz / 10000;
		uint64_t last = 0, shortest = UINT64_MAX, longest = 0;
		unsigned n = 0;

		set_out(tunnel, sa_of(SPI, rates[i]));
		sent_in(30000); // settled: by the rate before, one may still be due
		while (n < 1000) {
			const unsigned k = round_of();

			if (k == 0)
				continue;
			assert_int_equal(k, 1);
			n++;
			if (last != 0) {
				shortest = RTE_MIN(shortest, fake.w->now_tsc - last);
				longest = RTE_MAX(longest, fake.w->now_tsc - last);
			}
			if (n == 1)
				last = fake.w->now_tsc;
			last = fake.w->now_tsc;
		}
		// Half of it to one and a half, as exactly as rounds are; and by chance.
		assert_true(shortest + 2 * step >= interval / 2);
		assert_true(longest <= interval + interval / 2 + 2 * step);
		assert_true(shortest < interval * 6 / 10 + step);
		assert_true(longest > interval * 14 / 10 - step);
	}
	set_out(tunnel, sa_of(SPI, 100));
	sent_in(100000); // ten seconds
	const unsigned n = sent_in(100000);

	assert_in_range(n, 900, 1100);
	set_out(tunnel, sa_of(SPI, 0));
	assert_int_equal(sent_in(100000), 0);
	assert_int_equal(counter_read(&fake.w->dummies), counter_read(&fake.w->esp_out_packets));
}

// A dummy is what OpenSSL reads as one; sequence numbers of packets and dummies are one row.
static void test_form(void **state)
{
	static const struct {
		uint16_t padding, mtu, least, most;
		const char *why;
	} rows[] = {
		{0, 1500, 40, 1446, "any size that fits"},
		{0, 100, 40, 50, "any that fits a small one"},
		{0, 80, 26, 26, "one that has hardly room"},
		{600, 1500, 600, 600, "as packets are padded"},
		{600, 500, 446, 446, "never beyond the path"},
		{ESP_TFC_MTU, 1500, 1446, 1446, "to what the path carries"},
	};
	uint8_t text[2048], ip[100];
	uint32_t word[2];

	(void)state;
	make_ip(ip, sizeof(ip), HOST_A, HOST_B, 17, 1, 2);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct esp_sa sa = sa_of(SPI + (uint32_t)i, 1000);
		unsigned n = 0, sizes = 0;
		int before = 0;

		sa.tfc_padding = rows[i].padding;
		fake.route_mtu = rows[i].mtu;
		set_out(tunnel, sa);
		for (uint32_t seq = 1; n < 100;) {
			if (round_of() == 0)
				continue;
			n++;
			const struct rte_mbuf *m = fake.routed.pkt[0];
			const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
			int len = open_esp(p + 20, m->data_len - 20u, 128, text);

			memcpy(word, p + 20, sizeof(word));
			assert_int_equal(rte_be_to_cpu_32(word[0]), SPI + i);
			assert_int_equal(rte_be_to_cpu_32(word[1]), seq++);
			assert_true(len > 0 && m->data_len <= rows[i].mtu);
			assert_true(ip_checksum_ok(p));
			assert_int_equal(flow_load16(p + 2), m->data_len);
			assert_int_equal(flow_load16(p + 6), 0x4000);
			assert_int_equal(text[len - 1], 59);
			len -= 2 + text[len - 2];
			if (len < rows[i].least || len > rows[i].most)
				fail_msg("%s: %d bytes", rows[i].why, len);
			for (int k = 0; k < len; k++)
				assert_int_equal(text[k], 0);
			sizes += len != before;
			before = len;
			// A packet in between has the next number.
			if (rows[i].mtu < 200)
				continue;
			batch_put(&b, mbuf_of(ip, sizeof(ip)));
			b.tunnel[0] = tunnel_get(&fake.dp, tunnel);
			esp_out(fake.w, &b, &icmp);
			assert_int_equal(b.n, 1);
			memcpy(word, rte_pktmbuf_mtod(b.pkt[0], uint8_t *) + 20, sizeof(word));
			assert_int_equal(rte_be_to_cpu_32(word[1]), seq++);
			batch_free(&b);
		}
		if (rows[i].least == rows[i].most)
			assert_int_equal(sizes, 1);
		else
			assert_true(sizes > 50);
		fake_reclaim();
	}
	batch_free(&fake.routed);
}

// A dummy of an SA in transport mode is no packet of ours: it gets a whole header.
static void test_in_transport_mode(void **state)
{
	struct esp_sa sa = sa_of(SPI, 1000);
	uint8_t text[2048];
	const uint8_t *p;
	int len;

	(void)state;
	sa.transport = true;
	set_out(tunnel, sa);
	while (round_of() == 0)
		;
	p = rte_pktmbuf_mtod(fake.routed.pkt[0], const uint8_t *);
	assert_true(ip_checksum_ok(p));
	assert_int_equal(p[9], IPPROTO_ESP);
	assert_memory_equal(p + 12, &(uint32_t){be32(GW_A)}, 4);
	assert_memory_equal(p + 16, &(uint32_t){be32(GW_B)}, 4);
	len = open_esp(p + 20, fake.routed.pkt[0]->data_len - 20u, 128, text);
	assert_true(len > 0);
	assert_int_equal(text[len - 1], 59);
	batch_free(&fake.routed);
}

// What they were made for has changed since: they go, and nobody counts them.
static void test_what_cannot_be_sent(void **state)
{
	(void)state;
	set_out(tunnel, sa_of(SPI, 1000));
	for (unsigned i = 0; i < 4; i++) {
		struct rte_mbuf *m = mbuf_of("", 0);

		rte_pktmbuf_append(m, 100);
		batch_put(&b, m);
		b.tunnel[0] = tunnel_get(&fake.dp, tunnel);
		fake.route_mtu = i == 1 ? 0 : 1500;
		if (i == 2)
			m->buf_len = (uint16_t)(m->data_off + 100);
		if (i == 3)
			assert_int_equal(dp_tunnel_clear_out(&fake.dp, tunnel, SPI), 0);
		esp_out_dummies(fake.w, &b);
		assert_int_equal(fake.routed.n, i == 0);
		m->buf_len = RTE_MBUF_DEFAULT_BUF_SIZE;
		batch_free(&fake.routed);
	}
	assert_int_equal(dropped_total(), 0);
	assert_int_equal(fake.n_waiting, 0);
}

// Where flows have labels, dummies are not those without one.
static void test_over_ipv6(void **state)
{
	struct esp_sa sa = sa_of(SPI, 1000);
	const uint8_t *p;
	uint8_t text[2048];
	int len;

	(void)state;
	assert_int_equal(ip_addr_parse(GW_A6, &sa.local.addr), 0);
	assert_int_equal(ip_addr_parse(GW_B6, &sa.remote.addr), 0);
	sa.outer.label = OUTER_LABEL_FLOW;
	sa.outer.copy_dscp = OUTER_DSCP_NO;
	sa.outer.dscp = 46;
	set_out(tunnel, sa);
	while (round_of() == 0)
		;
	p = rte_pktmbuf_mtod(fake.routed.pkt[0], const uint8_t *);
	len = open_esp(p + 40, fake.routed.pkt[0]->data_len - 40u, 128, text);
	assert_true(len > 0);
	assert_int_equal(text[len - 1], 59);
	assert_int_equal(p[0] << 4 | p[1] >> 4, 0x6b8);
	assert_int_not_equal((p[1] & 15) << 16 | flow_load16(p + 2), 0);
	batch_free(&fake.routed);
}

// They are no traffic: neither packets nor bytes nor use; but they wear sequence numbers.
static void test_what_they_count_for(void **state)
{
	struct esp_sa sa = sa_of(SPI, 1000);
	struct dp_sa_stats st;
	unsigned n;

	(void)state;
	sa.soft = (struct esp_life){.packets = 50, .bytes = 100};
	sa.hard = (struct esp_life){.packets = 100, .bytes = 200};
	set_out(tunnel, sa);
	n = sent_in(400);
	assert_in_range(n, 20, 49);
	assert_int_equal(fake.n_events, 0);
	assert_int_equal(dp_tunnel_out_stats(&fake.dp, tunnel, &st), 0);
	assert_int_equal(st.packets, 0);
	assert_int_equal(st.bytes, 0);
	assert_int_equal(st.seq, n);
	assert_true(st.idle_ms == UINT64_MAX);
	n += sent_in(2000);
	assert_int_equal(n, 100); // the hard limit
	assert_true(fake.n_events > 0);
	assert_int_equal(fake.event.type, DP_EV_HARD_LIFE);
	assert_int_equal(fake.event.why, DP_LIFE_PACKETS);
	assert_int_equal(dp_tunnel_out_stats(&fake.dp, tunnel, &st), 0);
	assert_int_equal(st.packets, 0);
	assert_int_equal(st.bytes, 0);
	batch_free(&fake.routed);
	// Some at once, of which the limit leaves a part.
	sa = sa_of(SPI, 10000);
	sa.hard = (struct esp_life){.packets = 3};
	set_out(tunnel, sa);
	fake.w->now_tsc += ms(1000);
	assert_int_equal(round_of(), 3);
	assert_int_equal(dp_tunnel_out_stats(&fake.dp, tunnel, &st), 0);
	assert_int_equal(st.packets, 0);
	assert_int_equal(st.bytes, 0);
	batch_free(&fake.routed);
}

// Nothing is asked for and nothing waits for them.
static void test_none_without_sa_or_way(void **state)
{
	(void)state;
	set_out(tunnel, sa_of(SPI, 1000));
	assert_true(sent_in(100) > 0);
	fake.route_mtu = 0;
	assert_int_equal(sent_in(1000), 0);
	fake.route_mtu = 55; // no room for a byte
	assert_int_equal(sent_in(1000), 0);
	fake.route_mtu = 1500;
	assert_true(sent_in(100) > 0);
	assert_int_equal(dp_tunnel_clear_out(&fake.dp, tunnel, SPI), 0);
	assert_int_equal(sent_in(1000), 0);
	assert_int_equal(fake.n_waiting, 0);
	assert_int_equal(fake.n_events, 0);
	assert_int_equal(dropped_total(), 0);
	set_out(tunnel, sa_of(SPI + 1, 1000));
	assert_true(sent_in(100) > 0);
	assert_int_equal(dp_tunnel_del(&fake.dp, tunnel), 0);
	fake_reclaim();
	// Another one, where that one was in memory: nothing of it is left.
	assert_int_equal(dp_tunnel_add(&fake.dp, "site-c", &tunnel), 0);
	set_out(tunnel, sa_of(SPI + 2, 0));
	assert_int_equal(sent_in(1000), 0);
}

// The rates of what was configured anew, in the same tunnel.
static void test_rate_of_the_next_sa(void **state)
{
	(void)state;
	set_out(tunnel, sa_of(SPI, 0));
	assert_int_equal(sent_in(1000), 0);
	set_out(tunnel, sa_of(SPI + 1, 1000));
	assert_in_range(sent_in(10000), 900, 1100);
	set_out(tunnel, sa_of(SPI + 2, 10));
	assert_in_range(sent_in(10000), 6, 21);
	set_out(tunnel, sa_of(SPI + 3, 0));
	assert_int_equal(sent_in(10000), 0);
	batch_free(&fake.routed);
}

// A worker that slept does not make up for it.
static void test_no_flood_after_a_pause(void **state)
{
	(void)state;
	set_out(tunnel, sa_of(SPI, 10000));
	sent_in(100);
	fake.w->now_tsc += ms(10000);
	assert_in_range(round_of(), 1, 8);
	assert_in_range(round_of(), 0, 8);
	assert_in_range(sent_in(1000), 800, 1200); // at 10000 a second again
	batch_free(&fake.routed);
}

// Not in every round: a worker that spins looks 20000 times a second at most.
static void test_rounds(void **state)
{
	unsigned n = 0;
	uint32_t id;

	(void)state;
	for (unsigned i = 0; i < TUNNELS; i++) {
		assert_int_equal(dp_tunnel_add(&fake.dp, "t", &id), 0);
		set_out(id, sa_of(SPI, 10000));
	}
	sent_in(100);
	fake.w->now_tsc += ms(1);
	for (unsigned i = 0; i < 100; i++) { // 10 us in all
		batch_free(&fake.routed);
		fake.w->now_tsc += fake.dp.tsc_hz / 10000000;
		tfc_send(fake.w);
		n += fake.routed.n > 0;
	}
	assert_int_equal(n, 1);
	batch_free(&fake.routed);
}

// More tunnels than a round looks at: all have their turn, and those that come and go meanwhile do
// not hold up the others.
static void test_many_tunnels(void **state)
{
	uint32_t id[TUNNELS];
	struct dp_sa_stats st;

	(void)state;
	for (unsigned i = 0; i < TUNNELS; i++) {
		assert_int_equal(dp_tunnel_add(&fake.dp, "t", &id[i]), 0);
		set_out(id[i], sa_of(SPI, 10));
	}
	for (unsigned i = 0; i < 2000; i++) { // two seconds
		sent_in(10);
		set_out(tunnel, sa_of(SPI, i % 2 ? 0 : 5));
		if (i % 100 == 0)
			fake_reclaim();
	}
	for (unsigned i = 0; i < TUNNELS; i++) {
		assert_int_equal(dp_tunnel_out_stats(&fake.dp, id[i], &st), 0);
		assert_in_range(st.seq, 12, 30);
	}
	for (unsigned i = 0; i < TUNNELS; i += 2) // half of them go
		assert_int_equal(dp_tunnel_del(&fake.dp, id[i]), 0);
	fake_reclaim();
	assert_in_range(sent_in(10000), TUNNELS / 2 * 8, TUNNELS / 2 * 12);
	batch_free(&fake.routed);
}

// Each round looks at 64 of them: 128 have all been looked at after two, and not before.
static void test_looks_of_a_round(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 128; i++) {
		uint32_t id;

		assert_int_equal(dp_tunnel_add(&fake.dp, "one of many", &id), 0);
		set_out(id, sa_of(SPI + i, 1));
	}
	assert_int_equal(round_of(), 0); // the first look only plans
	fake.w->now_tsc += ms(2000);
	assert_int_equal(round_of(), 0); // at the others
	assert_int_equal(round_of(), 64);
	batch_free(&fake.routed);
}

// A list of all that have dummies takes the place of the one before, which is freed when no worker
// reads it any more; what says nothing new makes none.
static void test_the_list_before_is_freed(void **state)
{
	struct tunnel *t = tunnel_get(&fake.dp, tunnel);
	const struct dummies *list;

	(void)state;
	assert_int_equal(tfc_set(&fake.dp, t, 5), 0);
	fake.n_deferred = 0;
	assert_int_equal(tfc_set(&fake.dp, t, 7), 0);
	assert_int_equal(fake.n_deferred, 1);
	list = fake.dp.dummies;
	assert_int_equal(tfc_set(&fake.dp, t, 7), 0);
	assert_ptr_equal(fake.dp.dummies, list);
	assert_int_equal(fake.n_deferred, 1);
	tfc_forget(&fake.dp, t);
	assert_int_equal(fake.n_deferred, 2);
	list = fake.dp.dummies;
	tfc_forget(&fake.dp, t); // is in no list
	assert_ptr_equal(fake.dp.dummies, list);
	fake_reclaim();
}

// Who had dummies, had none and has some again is planned anew: its place in the list has been
// another tunnel's since.
static void test_a_place_in_the_list_is_not_kept(void **state)
{
	uint32_t id[3] = {tunnel};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		if (i > 0)
			assert_int_equal(dp_tunnel_add(&fake.dp, "t", &id[i]), 0);
		set_out(id[i], sa_of(SPI + i, 1));
	}
	assert_int_equal(round_of(), 0); // the first look only plans
	assert_int_equal(tfc_set(&fake.dp, tunnel_get(&fake.dp, id[1]), 0), 0);
	assert_int_equal(tfc_set(&fake.dp, tunnel_get(&fake.dp, id[1]), 1), 0);
	fake.w->now_tsc += ms(2000);
	assert_true(round_of() >= 2);
	for (unsigned i = 0; i < fake.routed.n; i++)
		assert_int_not_equal(fake.routed.tunnel[i]->id, id[1]);
	batch_free(&fake.routed);
}

// Never in clear, and nobody's packet.
static void test_whose_they_are(void **state)
{
	(void)state;
	set_out(tunnel, sa_of(SPI, 1000));
	while (round_of() == 0)
		;
	assert_int_equal(fake.routed.origin[0], FROM_SELF_TUNNEL);
	assert_true(fake.routed.from_linux[0]);
	assert_int_equal(fake.routed.port[0], 0);
	assert_null(fake.routed.sa[0]);
	batch_free(&fake.routed);
}

// Each tunnel is one worker's.
static void test_owners(void **state)
{
	uint32_t id[9];
	unsigned n[3] = {0};

	(void)state;
	fake.dp.n_workers = 3;
	id[0] = tunnel;
	for (unsigned i = 1; i < 9; i++)
		assert_int_equal(dp_tunnel_add(&fake.dp, "t", &id[i]), 0);
	for (unsigned i = 0; i < 9; i++)
		set_out(id[i], sa_of(SPI, i < 4 ? 100 : 0));
	for (unsigned w = 0; w < 3; w++) {
		fake.w->id = w;
		n[w] = sent_in(10000);
		for (uint16_t i = 0; i < fake.routed.n; i++)
			assert_int_equal(fake.routed.tunnel[i]->id % 3, w);
	}
	assert_in_range(n[0], 160, 240); // tunnels 0 and 3
	assert_in_range(n[1], 80, 120);
	assert_in_range(n[2], 80, 120);
	batch_free(&fake.routed);
	fake.w->id = 0;
	fake.dp.n_workers = 1;
}

static void test_without_packet_memory(void **state)
{
	struct rte_mbuf *all[1024];
	unsigned n = 0;

	(void)state;
	set_out(tunnel, sa_of(SPI, 1000));
	sent_in(10);
	batch_free(&fake.routed);
	while (n < 1024 && (all[n] = rte_pktmbuf_alloc(fake.dp.pool)) != NULL)
		n++;
	assert_int_equal(sent_in(1000), 0);
	rte_pktmbuf_free_bulk(all, n);
	assert_true(sent_in(1000) > 0);
	batch_free(&fake.routed);
}

// A dummy that comes says that the peer lives, not that the SA is used.
static void test_received(void **state)
{
	const uint32_t spi = fake_publish_in(128, false, 64);
	struct fake_esp how = {.spi = spi, .seq = 1, .key_bits = 128};
	struct dp_sa_stats st;
	uint8_t text[200] = {0};

	(void)state;
	assert_int_equal(dp_sa_in_stats(&fake.dp, spi, &st), 0);
	assert_true(st.idle_ms == UINT64_MAX && st.silent_ms == UINT64_MAX);
	fake.w->now_tsc = rte_rdtsc();
	assert_int_equal(fake_receive(&b, &how, text, put_trailer(text, 100, 0, 59)), 0);
	assert_int_equal(dropped(DROP_ESP_DUMMY), 1);
	assert_int_equal(dp_sa_in_stats(&fake.dp, spi, &st), 0);
	assert_true(st.idle_ms == UINT64_MAX && st.silent_ms != UINT64_MAX);
	assert_int_equal(st.packets, 0);
	assert_int_equal(st.bytes, 0);
	assert_int_equal(st.seq, 1);
	how.seq = 2;
	assert_int_equal(
		fake_receive(&b, &how, text, put_trailer(text, make_inner(text, 100), 0, 4)), 1);
	batch_free(&b);
	assert_int_equal(dp_sa_in_stats(&fake.dp, spi, &st), 0);
	assert_true(st.idle_ms != UINT64_MAX && st.silent_ms != UINT64_MAX);
	assert_int_equal(st.packets, 1);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		T(test_rate_and_intervals),
		T(test_form),
		T(test_in_transport_mode),
		T(test_what_cannot_be_sent),
		T(test_over_ipv6),
		T(test_what_they_count_for),
		T(test_none_without_sa_or_way),
		T(test_rate_of_the_next_sa),
		T(test_no_flood_after_a_pause),
		T(test_rounds),
		T(test_many_tunnels),
		T(test_looks_of_a_round),
		T(test_the_list_before_is_freed),
		T(test_a_place_in_the_list_is_not_kept),
		T(test_whose_they_are),
		T(test_owners),
		T(test_without_packet_memory),
		T(test_received),
	};

	return cmocka_run_group_tests(tests, fake_group_setup, fake_group_teardown);
}
