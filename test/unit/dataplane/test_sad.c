#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fake_dp.h"

#include "dataplane/esp.h"
#include "dataplane/sad.h"

static int publish(uint32_t spi, struct error *err)
{
	struct esp_sa sa = fake_esp_sa(spi, 128, false);
	int res = dp_sa_in_publish(&fake.dp, 7, &sa, err);

	assert_int_equal(sa.encr_key.data == NULL, res == 0); // taken on success alone
	esp_sa_fini(&sa);
	return res;
}

static void test_life_of_an_sa(void **state)
{
	struct dp_sa_stats st;
	struct sa_in *sa;
	uint32_t spi;

	(void)state;
	assert_int_equal(dp_sa_in_reserve(&fake.dp, &spi), 0);
	assert_true(spi >= 256);
	assert_null(sad_lookup(fake.dp.sad, spi)); // no packet is taken before the keys exist
	assert_int_equal(dp_sa_in_stats(&fake.dp, spi, &st), -ENOENT);
	assert_int_equal(publish(spi, NULL), 0);
	sa = sad_lookup(fake.dp.sad, spi);
	assert_non_null(sa);
	assert_int_equal(sa->spi, spi);
	assert_int_equal(sa->tunnel, 7);
	assert_null(sad_lookup(fake.dp.sad, spi ^ 0x80000000u)); // same slot, another SPI
	assert_null(sad_lookup(fake.dp.sad, spi ^ 1));
	assert_int_equal(dp_sa_in_stats(&fake.dp, spi, &st), 0);
	assert_true(st.idle_ms == UINT64_MAX);
	assert_int_equal(dp_sa_in_retire(&fake.dp, spi), 0);
	assert_null(sad_lookup(fake.dp.sad, spi));
	assert_int_equal(fake.n_deferred, 1);
	assert_int_equal(dp_sa_in_retire(&fake.dp, spi), -ENOENT);
}

static void test_reservation_given_back(void **state)
{
	uint32_t spi;

	(void)state;
	assert_int_equal(dp_sa_in_reserve(&fake.dp, &spi), 0);
	assert_int_equal(dp_sa_in_retire(&fake.dp, spi), 0);
	assert_int_equal(fake.n_deferred, 0);
	assert_int_equal(publish(spi, NULL), -ENOENT);
	assert_int_equal(dp_sa_in_retire(&fake.dp, 0), -ENOENT);
}

static void test_publish_refuses(void **state)
{
	struct error err;
	uint32_t spi;

	(void)state;
	assert_int_equal(dp_sa_in_reserve(&fake.dp, &spi), 0);
	assert_int_equal(publish(spi ^ 0x40000000u, &err), -ENOENT);
	assert_non_null(strstr(err.text, "not reserved"));
	assert_int_equal(publish(spi, &err), 0);
	assert_int_equal(publish(spi, &err), -EEXIST);
}

// Rows change one thing of an SA that is good.
static void test_what_is_not_carried(void **state)
{
	enum { ALG, BITS, KEY, INTEG, MD5, V6_LOCAL, V6_REMOTE, PORT, TS_L, TS_R, SPI };
	static const struct {
		int change, want;
		const char *says;
	} rows[] = {
		{ALG, -EINVAL, "RFC 8221 4"},	{BITS, -ENOTSUP, "200"},
		{KEY, -EINVAL, "20"},		{INTEG, -EINVAL, "integrity"},
		{MD5, -ENOTSUP, "RFC 8221 6"},	{V6_LOCAL, -EINVAL, "family"},
		{V6_REMOTE, -EINVAL, "family"},	{PORT, -EINVAL, "ports"},
		{TS_L, -ENOTSUP, "both sides"}, {TS_R, -ENOTSUP, "both sides"},
		{SPI, -EINVAL, "reserved"},
	};
	uint32_t spi, tunnel;

	(void)state;
	assert_int_equal(dp_sa_in_reserve(&fake.dp, &spi), 0);
	assert_int_equal(dp_tunnel_add(&fake.dp, "t", &tunnel), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct esp_sa sa = fake_esp_sa(spi, 128, true);
		struct error in = {""}, out = {""};

		switch (rows[i].change) {
		case ALG:
			sa.encr.id = ENCR_AES_CBC;
			break;
		case BITS:
			sa.encr.key_bits = 200;
			break;
		case KEY:
			sa.encr_key.len--;
			break;
		case INTEG:
			sa.integ.id = INTEG_HMAC_SHA2_256_128;
			break;
		case MD5:
			sa.encr.id = ENCR_AES_CBC;
			sa.integ.id = 1;
			break;
		case V6_LOCAL:
			sa.local.addr.family = IP_V6;
			break;
		case V6_REMOTE:
			sa.remote.addr.family = IP_V6;
			break;
		case PORT:
			sa.remote.port = 0;
			break;
		case TS_L:
			sa.local_ts.s[0].family = IP_V6;
			break;
		case TS_R:
			sa.remote_ts.n = 0;
			break;
		case SPI:
			sa.spi = 255;
			break;
		}
		assert_int_equal(dp_sa_in_publish(&fake.dp, 0, &sa, &in), rows[i].want);
		assert_int_equal(dp_tunnel_set_out(&fake.dp, tunnel, &sa, &out), rows[i].want);
		if (strstr(in.text, rows[i].says) == NULL || strstr(out.text, rows[i].says) == NULL)
			fail_msg("'%s' and '%s' without '%s'", in.text, out.text, rows[i].says);
		assert_non_null(sa.encr_key.data);
		esp_sa_fini(&sa);
	}
	assert_null(sad_lookup(fake.dp.sad, spi));
	assert_null(tunnel_sa(tunnel_get(&fake.dp, tunnel)));
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x, y;

	memcpy(&x, a, 4);
	memcpy(&y, b, 4);
	return x < y ? -1 : x > y;
}

static void test_table_fills_to_the_last_slot(void **state)
{
	uint32_t *spi = calloc(SAD_SLOTS, sizeof(*spi)), extra;
	uint64_t high_bits = 0;

	(void)state;
	for (uint32_t i = 0; i < SAD_SLOTS; i++) {
		assert_int_equal(dp_sa_in_reserve(&fake.dp, &spi[i]), 0);
		assert_true(spi[i] >= 256);
		high_bits |= 1ull << (spi[i] >> 26);
	}
	assert_int_equal(dp_sa_in_reserve(&fake.dp, &extra), -ENOSPC);
	assert_true(high_bits == UINT64_MAX); // the other bits take all values
	extra = spi[17];
	qsort(spi, SAD_SLOTS, sizeof(*spi), compare_u32);
	for (uint32_t i = 1; i < SAD_SLOTS; i++)
		assert_true(spi[i] != spi[i - 1]);
	assert_int_equal(dp_sa_in_retire(&fake.dp, extra), 0);
	assert_int_equal(dp_sa_in_reserve(&fake.dp, &spi[0]), 0);
	assert_int_equal(spi[0] & (SAD_SLOTS - 1), extra & (SAD_SLOTS - 1));
	assert_int_not_equal(spi[0], extra); // a late packet does not match its successor
	free(spi);
}

// ---- readers on another thread ----

struct reader {
	pthread_t thread;
	_Atomic uint32_t spi;
	struct tunnel *tunnel;
	atomic_bool stop;
	_Atomic uint64_t rounds, found_in, found_out;
	atomic_bool wrong;
};

// What a worker does with the tables, without packets: every SA that it finds must be whole.
static void *reader_main(void *arg)
{
	struct reader *r = arg;
	struct rte_rcu_qsbr *qsbr = fake.dp.qsbr;
	struct crypto *crypto;

	if (crypto_create(&crypto) != 0)
		abort();
	rte_rcu_qsbr_thread_register(qsbr, 1);
	rte_rcu_qsbr_thread_online(qsbr, 1);
	while (!atomic_load(&r->stop)) {
		const uint32_t spi = atomic_load(&r->spi);
		const struct sa_in *in = sad_lookup(fake.dp.sad, spi);
		const struct sa_out *out = tunnel_sa(r->tunnel);
		uint8_t packet[16 + 64 + 16] = {0};
		struct crypto_job job;

		if (in != NULL && out != NULL) {
			crypto_job_set(&job, &out->key, packet, 64, 0);
			crypto_seal(crypto, &job, 1);
			crypto_job_set(&job, &in->key, packet, 64, 0);
			crypto_open(crypto, &job, 1);
			// Memory freed too early was wiped: another key, no SPI.
			if (job.status != CRYPTO_OK || in->spi != spi || in->ts.n_local != 1 ||
			    out->spi_be != rte_cpu_to_be_32(out->spi) || out->outer_len != 20)
				atomic_store(&r->wrong, true);
			atomic_fetch_add(&r->found_in, 1);
		}
		atomic_fetch_add(&r->rounds, 1);
		rte_rcu_qsbr_quiescent(qsbr, 1);
	}
	rte_rcu_qsbr_thread_offline(qsbr, 1);
	rte_rcu_qsbr_thread_unregister(qsbr, 1);
	crypto_destroy(crypto);
	return NULL;
}

static void test_rekeys_under_a_reader(void **state)
{
	struct reader r = {0};
	uint32_t spi, tunnel, old = 0;

	(void)state;
	assert_int_equal(dp_tunnel_add(&fake.dp, "t", &tunnel), 0);
	r.tunnel = tunnel_get(&fake.dp, tunnel);
	assert_int_equal(pthread_create(&r.thread, NULL, reader_main, &r), 0);
	for (unsigned i = 0; i < 3000; i++) {
		struct esp_sa out = fake_esp_sa(256 + i, 128, false);
		const uint64_t seen = atomic_load(&r.rounds);

		assert_int_equal(dp_sa_in_reserve(&fake.dp, &spi), 0);
		assert_int_equal(publish(spi, NULL), 0);
		assert_int_equal(dp_tunnel_set_out(&fake.dp, tunnel, &out, NULL), 0);
		atomic_store(&r.spi, spi);
		if (old != 0)
			assert_int_equal(dp_sa_in_retire(&fake.dp, old), 0);
		old = spi;
		if (i % 7 == 0)
			fake_reclaim();
		while (i % 50 == 0 && atomic_load(&r.rounds) < seen + 2)
			sched_yield();
	}
	atomic_store(&r.stop, true);
	pthread_join(r.thread, NULL);
	assert_false(atomic_load(&r.wrong));
	assert_true(atomic_load(&r.found_in) > 50);
}

// ---- tunnels ----

static void test_tunnel_life(void **state)
{
	struct esp_sa sa = fake_esp_sa(0x1000, 128, false);
	struct dp_sa_stats st;
	uint32_t a, b, c;

	(void)state;
	assert_int_equal(dp_tunnel_add(&fake.dp, "a", &a), 0);
	assert_int_equal(dp_tunnel_add(&fake.dp, "b", &b), 0);
	assert_int_not_equal(a, b);
	assert_string_equal(tunnel_get(&fake.dp, b)->name, "b");
	assert_int_equal(dp_tunnel_set_out(&fake.dp, 999, &sa, NULL), -ENOENT);
	assert_int_equal(dp_tunnel_set_out(&fake.dp, a, &sa, NULL), 0);
	assert_int_equal(dp_tunnel_out_stats(&fake.dp, a, &st), 0);
	assert_int_equal(dp_tunnel_out_stats(&fake.dp, b, &st), -ENOENT);
	assert_int_equal(dp_tunnel_clear_out(&fake.dp, a, 0x1001), -ENOENT); // a newer one
	assert_int_equal(dp_tunnel_clear_out(&fake.dp, a, 0x1000), 0);
	assert_int_equal(dp_tunnel_clear_out(&fake.dp, a, 0x1000), -ENOENT);
	assert_int_equal(dp_tunnel_out_stats(&fake.dp, a, &st), -ENOENT);
	assert_int_equal(dp_tunnel_del(&fake.dp, a), 0);
	assert_int_equal(dp_tunnel_del(&fake.dp, a), -ENOENT);
	assert_int_equal(dp_tunnel_add(&fake.dp, "c", &c), 0);
	assert_int_equal(c, a); // numbers are used again
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(dp_tunnel_add(&fake.dp, "more", &c), 0);
	assert_string_equal(tunnel_get(&fake.dp, b)->name, "b");
}

static void test_tunnel_named_by_a_policy_stays(void **state)
{
	const struct dp_policy policy[] = {
		{DP_PROTECT, sel(SITE_A), sel(SITE_B), 0},
		{DP_PROTECT, sel(SITE_B), sel(SITE_A), 0},
		{DP_BYPASS, sel(SITE_B), sel(SITE_A), 55},
	};
	uint32_t t;

	(void)state;
	assert_int_equal(dp_policies_set(&fake.dp, policy, 1), -ENOENT); // no such tunnel
	assert_int_equal(dp_tunnel_add(&fake.dp, "t", &t), 0);
	assert_int_equal(t, 0);
	assert_int_equal(dp_policies_set(&fake.dp, policy, 3), 0);
	assert_int_equal(dp_tunnel_del(&fake.dp, t), -EBUSY);
	assert_int_equal(dp_policies_set(&fake.dp, policy + 1, 1), 0);
	assert_int_equal(dp_tunnel_del(&fake.dp, t), -EBUSY);
	assert_int_equal(dp_policies_set(&fake.dp, NULL, 0), 0);
	assert_int_equal(dp_tunnel_del(&fake.dp, t), 0);
}

// A rekey starts again at 1, with another key: the pair of key and IV is never repeated.
static void test_rekey_starts_at_one(void **state)
{
	struct esp_sa sa = fake_esp_sa(0x1000, 128, false);
	struct dp_sa_stats st;
	uint32_t t;

	(void)state;
	assert_int_equal(dp_tunnel_add(&fake.dp, "t", &t), 0);
	assert_int_equal(dp_tunnel_set_out(&fake.dp, t, &sa, NULL), 0);
	atomic_store(&tunnel_sa(tunnel_get(&fake.dp, t))->seq, 500);
	sa = fake_esp_sa(0x1001, 256, true);
	assert_int_equal(dp_tunnel_set_out(&fake.dp, t, &sa, NULL), 0);
	assert_int_equal(fake.n_deferred, 1);
	assert_int_equal(dp_tunnel_out_stats(&fake.dp, t, &st), 0);
	assert_int_equal(st.seq, 0);
}

static void test_inner_mtu(void **state)
{
	static const struct {
		bool udp;
		uint16_t path, inner;
	} rows[] = {
		{false, 1500, 1446}, {true, 1500, 1438}, {false, 1499, 1442}, {false, 1496, 1442},
		{true, 1280, 1218},  {false, 56, 2},	 {false, 55, 0},      {false, 0, 0},
		{true, 64, 2},	     {true, 63, 0},	 {false, 9000, 8946}, {false, 65535, 65478},
	};
	uint32_t t[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct esp_sa sa = fake_esp_sa(0x1000, 128, i == 1);

		assert_int_equal(dp_tunnel_add(&fake.dp, "t", &t[i]), 0);
		assert_int_equal(dp_tunnel_inner_mtu(&fake.dp, t[i]), 0); // no SA yet
		assert_int_equal(dp_tunnel_set_out(&fake.dp, t[i], &sa, NULL), 0);
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fake.route_mtu = rows[i].path;
		assert_int_equal(dp_tunnel_inner_mtu(&fake.dp, t[rows[i].udp]), rows[i].inner);
	}
	assert_int_equal(dp_tunnel_inner_mtu(&fake.dp, 1234), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

static void test_totals_over_all_sas_of_a_tunnel(void **state)
{
	struct dp_tunnel_totals t;
	struct esp_sa sa, next;
	struct ip_addr local, remote;
	struct sa_out *old;
	uint32_t id, spi;

	(void)state;
	assert_int_equal(ip_addr_parse(GW_A, &local), 0);
	assert_int_equal(ip_addr_parse("203.0.113.9", &remote), 0);
	assert_int_equal(dp_tunnel_totals(&fake.dp, 999, &t), -ENOENT);
	assert_int_equal(dp_tunnel_add(&fake.dp, "count", &id), 0);
	sa = fake_esp_sa(0x1001, 128, false);
	assert_int_equal(dp_tunnel_set_out(&fake.dp, id, &sa, NULL), 0);
	tunnel_sa(tunnel_get(&fake.dp, id))->seq = 3;
	tunnel_sa(tunnel_get(&fake.dp, id))->bytes = 300;
	// Replaced, and still in use by some worker: what it sends yet counts as well.
	old = tunnel_sa(tunnel_get(&fake.dp, id));
	next = fake_esp_sa(0x1002, 128, false);
	assert_int_equal(dp_tunnel_set_out(&fake.dp, id, &next, NULL), 0);
	old->seq = 4;
	tunnel_sa(tunnel_get(&fake.dp, id))->seq = 12;
	tunnel_sa(tunnel_get(&fake.dp, id))->uncounted = 2;
	assert_int_equal(dp_tunnel_totals(&fake.dp, id, &t), 0);
	assert_int_equal(t.out_packets, 14);
	fake_reclaim();
	assert_int_equal(dp_tunnel_totals(&fake.dp, id, &t), 0);
	assert_int_equal(t.out_packets, 14);
	assert_int_equal(t.out_bytes, 300);
	// Moved: one SA that goes on, not two.
	assert_int_equal(dp_tunnel_move(&fake.dp, id, 0x1002, &(struct ip_endpoint){local, 0},
					&(struct ip_endpoint){remote, 0}),
			 0);
	assert_int_equal(dp_tunnel_totals(&fake.dp, id, &t), 0);
	assert_int_equal(t.out_packets, 14);
	fake_reclaim();
	assert_int_equal(dp_tunnel_totals(&fake.dp, id, &t), 0);
	assert_int_equal(t.out_packets, 14);
	// Inbound, of which there may be several at a time.
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(dp_sa_in_reserve(&fake.dp, &spi), 0);
		sa = fake_esp_sa(spi, 128, false);
		assert_int_equal(dp_sa_in_publish(&fake.dp, id, &sa, NULL), 0);
		counter_add(&sad_lookup(fake.dp.sad, spi)->packets, 5);
		counter_add(&sad_lookup(fake.dp.sad, spi)->replays, 1);
		counter_add(&sad_lookup(fake.dp.sad, spi)->auth_failures, 2);
	}
	assert_int_equal(dp_sa_in_retire(&fake.dp, spi), 0);
	fake_reclaim();
	assert_int_equal(dp_tunnel_totals(&fake.dp, id, &t), 0);
	assert_int_equal(t.in_packets, 10);
	assert_int_equal(t.replays, 2);
	assert_int_equal(t.auth_failures, 4);
	// SAs that outlive it: nobody asks for them any more.
	assert_int_equal(dp_tunnel_del(&fake.dp, id), 0);
	fake_reclaim();
	assert_int_equal(dp_tunnel_totals(&fake.dp, id, &t), -ENOENT);
}

// A router's word on the way to a peer counts when we send on the SPI that it quotes.
static void test_which_sa_sends_on_an_spi(void **state)
{
	const struct tunnels *t = fake.dp.tunnels;
	struct ip_endpoint from = {.port = 0}, to = {.port = 0};
	struct ip_addr b, other;
	struct esp_sa sa;
	uint32_t id[2];

	(void)state;
	assert_int_equal(ip_addr_parse(GW_A, &from.addr), 0);
	assert_int_equal(ip_addr_parse(GW_B, &b), 0);
	assert_int_equal(ip_addr_parse("198.51.100.77", &other), 0);
	to.addr = other;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(dp_tunnel_add(&fake.dp, "t", &id[i]), 0);
		sa = fake_esp_sa(0x1001 + i * TUNNEL_SPI_ROWS, 128, false); // one row
		assert_int_equal(dp_tunnel_set_out(&fake.dp, id[i], &sa, NULL), 0);
	}
	assert_int_equal(tunnels_sa_to(t, 0x1001, &b)->tunnel, id[0]);
	assert_int_equal(tunnels_sa_to(t, 0x1001 + TUNNEL_SPI_ROWS, &b)->tunnel, id[1]);
	assert_null(tunnels_sa_to(t, 0x1001, &other));
	assert_null(tunnels_sa_to(t, 0x1002, &b));
	// Moved to another address, and replaced.
	assert_int_equal(dp_tunnel_move(&fake.dp, id[0], 0x1001, &from, &to), 0);
	assert_null(tunnels_sa_to(t, 0x1001, &b));
	assert_int_equal(tunnels_sa_to(t, 0x1001, &other)->tunnel, id[0]);
	sa = fake_esp_sa(0x2002, 128, false);
	assert_int_equal(dp_tunnel_set_out(&fake.dp, id[0], &sa, NULL), 0);
	fake_reclaim();
	assert_null(tunnels_sa_to(t, 0x1001, &other));
	assert_int_equal(tunnels_sa_to(t, 0x2002, &b)->tunnel, id[0]);
	assert_int_equal(dp_tunnel_clear_out(&fake.dp, id[0], 0x2002), 0);
	assert_int_equal(dp_tunnel_del(&fake.dp, id[1]), 0);
	fake_reclaim();
	assert_null(tunnels_sa_to(t, 0x2002, &b));
	assert_null(tunnels_sa_to(t, 0x1001 + TUNNEL_SPI_ROWS, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_life_of_an_sa),
		T(test_reservation_given_back),
		T(test_publish_refuses),
		T(test_what_is_not_carried),
		T(test_table_fills_to_the_last_slot),
		T(test_rekeys_under_a_reader),
		T(test_tunnel_life),
		T(test_tunnel_named_by_a_policy_stays),
		T(test_rekey_starts_at_one),
		T(test_inner_mtu),
		T(test_totals_over_all_sas_of_a_tunnel),
		T(test_which_sa_sends_on_an_spi),
	};

	return cmocka_run_group_tests_name("sad", tests, fake_group_setup, fake_group_teardown);
}
