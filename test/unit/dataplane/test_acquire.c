// Packets that wait for their tunnel's outbound SA: through policy, ESP and routing.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core.h"
#include "dataplane/acquire.h"
#include "dataplane/policy.h"

#define SPI 0xabcd0001u
#define GW  "198.51.100.2"

static const struct source self = {.type = SOURCE_SELF};
static uint32_t tunnel[8];

static struct selector net(const char *text)
{
	struct selector s;

	assert_int_equal(selector_parse(text, &s), 0);
	return s;
}

// Tunnel i protects what goes to 10.(2 + i).0.0/16.
static void protect(unsigned n)
{
	struct dp_policy p[8];
	char text[32];

	for (unsigned i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "10.%u.0.0/16", 2 + i);
		p[i] = (struct dp_policy){.action = DP_PROTECT,
					  .local = net("10.1.0.0/16"),
					  .remote = net(text),
					  .tunnel = tunnel[i]};
	}
	assert_int_equal(dp_policies_set(&core.dp, p, n), 0);
}

static int setup(void **state)
{
	int err = core_setup(state);

	for (unsigned i = 0; i < 8 && err == 0; i++) {
		err = dp_tunnel_add(&core.dp, "t", &tunnel[i]);
		if (err == 0)
			err = dp_tunnel_hold(&core.dp, tunnel[i], true);
	}
	core_route("198.51.100.0/24", 1, "192.0.2.254");
	core_neigh(1, "192.0.2.254", &core_gw_mac);
	protect(8);
	return err;
}

static void set_out(unsigned i, uint32_t spi)
{
	static const uint8_t key[20] = {1, 2, 3};
	struct esp_sa sa = {
		.spi = spi,
		.encr = {TRANSFORM_ENCR, ENCR_AES_GCM_16, 128},
		.integ = {TRANSFORM_INTEG, INTEG_NONE, 0},
		.local = {core_addr("192.0.2.1"), 0},
		.remote = {core_addr(GW), 0},
		.local_ts = {1, {net("10.1.0.0/16")}},
		.remote_ts = {1, {net("10.0.0.0/8")}},
	};

	assert_int_equal(secret_set(&sa.encr_key, key, sizeof(key)), 0);
	assert_int_equal(dp_tunnel_set_out(&core.dp, tunnel[i], &sa, NULL), 0);
}

// A packet of `len` bytes to tunnel i, through the whole step of the worker.
static void send_to(unsigned i, uint16_t len)
{
	struct packet p = {.src = "10.1.0.9", .len = len};
	char dst[32];

	snprintf(dst, sizeof(dst), "10.%u.0.9", 2 + i);
	p.dst = dst;
	core_put(&core.w->self, core_bare(&p), 0, FROM_SELF);
	assert_int_equal(worker_step(core.w, &self), 1);
}

// The next ESP packet sent: its SPI, and its sequence number if wanted. 0: none.
static uint32_t sent(uint32_t *seq, uint16_t *len)
{
	struct rte_mbuf *m = core_sent(1);
	uint32_t word[2];

	if (m == NULL)
		return 0;
	memcpy(word, rte_pktmbuf_mtod_offset(m, void *, 14 + 20), sizeof(word));
	if (seq != NULL)
		*seq = rte_be_to_cpu_32(word[1]);
	if (len != NULL)
		*len = m->data_len;
	rte_pktmbuf_free(m);
	return rte_be_to_cpu_32(word[0]);
}

static void test_packets_leave_in_order_once_the_sa_is_there(void **state)
{
	struct dp_event ev;
	uint16_t len = 0;
	uint32_t seq = 0;

	(void)state;
	for (uint16_t i = 0; i < 3; i++)
		send_to(0, (uint16_t)(100 + 4 * i));
	assert_true(core_event(&ev));
	assert_int_equal(ev.type, DP_EV_NO_SA);
	assert_int_equal(ev.tunnel, tunnel[0]);
	assert_false(core_event(&ev)); // once in 100 ms
	acquire_retry(core.w);
	assert_int_equal(core.w->n_waiting, 3);
	set_out(0, SPI);
	send_to(0, 112); // comes when the SA is there, and yet behind those that wait
	assert_int_equal(sent(NULL, NULL), 0);
	acquire_retry(core.w);
	for (uint16_t i = 0; i < 4; i++) {
		assert_int_equal(sent(&seq, &len), SPI);
		assert_int_equal(seq, i + 1);
		// ESP of 8 + 8 + inner and trailer padded to 4 + 16 bytes
		assert_int_equal(len, 14 + 20 + 32 + (100 + 4 * i + 2 + 3) / 4 * 4);
	}
	send_to(0, 100); // and nobody waits any more
	assert_int_equal(sent(&seq, NULL), SPI);
	assert_int_equal(seq, 5);
	assert_int_equal(core_dropped_total(), 0);
}

static void test_nobody_will_bring_it(void **state)
{
	struct dp_event ev;

	(void)state;
	assert_int_equal(dp_tunnel_hold(&core.dp, tunnel[0], false), 0);
	send_to(0, 100);
	assert_true(core_event(&ev)); // told all the same
	assert_int_equal(core.w->n_waiting, 0);
	assert_int_equal(core_dropped(DROP_NO_SA), 1);
	send_to(1, 100);
	assert_int_equal(core.w->n_waiting, 1);
	assert_int_equal(dp_tunnel_hold(&core.dp, tunnel[1], false), 0); // given up meanwhile
	acquire_retry(core.w);
	assert_int_equal(core.w->n_waiting, 0);
	assert_int_equal(core_dropped(DROP_NO_SA), 2);
	assert_int_equal(dp_tunnel_hold(&core.dp, 999, true), -ENOENT);
}

static void test_a_second_and_no_more(void **state)
{
	(void)state;
	send_to(0, 100);
	core.w->now_tsc += core.dp.tsc_hz / 2;
	send_to(1, 100);
	core.w->now_tsc += core.dp.tsc_hz * 6 / 10;
	acquire_retry(core.w);
	assert_int_equal(core_dropped(DROP_NO_SA_TIMEOUT), 1);
	assert_int_equal(core.w->n_waiting, 1);
	set_out(0, SPI);
	set_out(1, SPI + 1);
	acquire_retry(core.w);
	assert_int_equal(sent(NULL, NULL), SPI + 1);
	assert_int_equal(sent(NULL, NULL), 0);
}

// A tunnel takes a share; the whole has an end as well. The oldest goes.
static void test_room_is_limited(void **state)
{
	uint16_t len = 0;

	(void)state;
	send_to(1, 100);
	for (uint16_t i = 0; i < ACQUIRE_PER_TUNNEL + 2; i++)
		send_to(0, (uint16_t)(100 + 4 * i));
	assert_int_equal(core.w->n_waiting, 1 + ACQUIRE_PER_TUNNEL);
	assert_int_equal(core_dropped(DROP_NO_SA_FULL), 2);
	set_out(0, SPI);
	acquire_retry(core.w);
	for (unsigned i = 0; i < ACQUIRE_PER_TUNNEL; i++) {
		assert_int_equal(sent(NULL, &len), SPI);
		assert_int_equal(len, 14 + 20 + 32 + (108 + 4 * i + 2 + 3) / 4 * 4);
	}
	assert_int_equal(core.w->n_waiting, 1); // the other one's is still there
	for (unsigned t = 2; t < 6; t++)
		for (unsigned i = 0; i < ACQUIRE_PER_TUNNEL; i++)
			send_to(t, 100);
	assert_int_equal(core.w->n_waiting, WORKER_ACQUIRE_MAX);
	assert_int_equal(core_dropped(DROP_NO_SA_FULL), 3);
	set_out(1, SPI + 1);
	acquire_retry(core.w);
	assert_int_equal(sent(NULL, NULL), 0); // its packet was the oldest
}

// A tunnel that packets wait for is taken away by a reload: they go to the one that takes its
// place, or nowhere; never in clear.
static void test_tunnel_that_is_removed_while_packets_wait(void **state)
{
	const uint32_t old = tunnel[0];

	(void)state;
	send_to(0, 100);
	send_to(1, 100);
	assert_int_equal(dp_tunnel_add(&core.dp, "new", &tunnel[0]), 0);
	protect(1);
	assert_int_equal(dp_tunnel_del(&core.dp, old), 0);
	dp_housekeeping(&core.dp); // the worker is not registered: freed at once
	set_out(0, SPI);
	acquire_retry(core.w);
	assert_int_equal(sent(NULL, NULL), SPI);
	assert_int_equal(sent(NULL, NULL), 0);
	assert_int_equal(core.w->n_waiting, 0);
	assert_int_equal(core_dropped_total(), 1); // what no policy protects any more
}

static void test_what_still_waits_is_freed(void **state)
{
	(void)state;
	send_to(0, 100);
	assert_int_equal(core.w->n_waiting, 1); // core_teardown looks for leaks
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, core_teardown)
	const struct CMUnitTest tests[] = {
		T(test_packets_leave_in_order_once_the_sa_is_there),
		T(test_nobody_will_bring_it),
		T(test_a_second_and_no_more),
		T(test_room_is_limited),
		T(test_tunnel_that_is_removed_while_packets_wait),
		T(test_what_still_waits_is_freed),
	};

	return cmocka_run_group_tests(tests, core_group_setup, core_group_teardown);
}
