// The headers of IKE messages that got lost: which are kept, of whom, and for whom there is always
// room.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core.h"
#include "dataplane/guard.h"
#include "dataplane/ike_lost.h"
#include "lib/bytes.h"
#include "lib/ike_wire.h"

#define SPI	 0x1122334455667788u
#define OUR_SPI	 0x8877665544332211u
#define PEER	 "192.0.2.77"
#define STRANGER "203.0.113.9"
#define US	 "192.0.2.1"

enum { AT_ONCE_PEER = 4, AT_ONCE_OTHERS = 16 }; // as in ike_lost.c

static const struct dp_guard_params rates = {.on = true,
					     .peer_rate = 4,
					     .proven_rate = 4,
					     .stranger_rate = 4,
					     .unknown_rate = 4,
					     .v1_rate = 4};

struct ike {
	const char *from, *to;
	uint64_t spi_i, spi_r;
	uint8_t flags;
	uint16_t port; // to; 0: 500
	bool marker, cut;
};

static const struct ike of_peer = {PEER, US, SPI, 99, IKE_FLAG_INITIATOR, .port = 500};
static const struct ike of_stranger = {STRANGER, US, SPI, 99, IKE_FLAG_INITIATOR, .port = 500};

static struct rte_mbuf *frame_of(const struct ike *ike)
{
	uint8_t msg[128];
	struct writer w = writer_of(msg, sizeof(msg));
	struct packet p = {.src = ike->from, .dst = ike->to, .dst_port = ike->port, .payload = msg};
	struct rte_mbuf *m;

	if (ike->marker)
		write_u32(&w, 0);
	write_u64(&w, ike->spi_i);
	write_u64(&w, ike->spi_r);
	write_u8(&w, PAYLOAD_SK);
	write_u8(&w, IKE_VERSION);
	write_u8(&w, EXCHANGE_INFORMATIONAL);
	write_u8(&w, ike->flags);
	write_u32(&w, 7);
	write_u32(&w, 60);
	write_zeros(&w, 32);
	p.payload_len = ike->cut ? 9 : (uint16_t)w.len;
	m = core_frame(&p);
	m->port = 1;
	return m;
}

// Through the guard; what it drops is lost.
static void meets_guard(const struct ike *ike)
{
	struct batch b = {0}, first = {0};
	struct rte_mbuf *m = frame_of(ike);

	rte_pktmbuf_adj(m, RTE_ETHER_HDR_LEN);
	core_put(&b, m, 1, FROM_NIC);
	guard(core.w, &b, &first);
	core_free(&b);
	core_free(&first);
	core_free(&core.w->self);
}

// About to be dropped behind the guard, or on the way out.
static void ends(const struct ike *ike, enum dp_ike_end end, bool out)
{
	struct rte_mbuf *m = frame_of(ike);

	ike_lost_frames(core.w->lost, &m, 1, end, out, core.w->now_tsc);
	rte_pktmbuf_free(m);
}

static unsigned taken(void)
{
	struct dp_ike_lost lost;
	unsigned n = 0;

	while (dp_ike_lost(&core.dp, &lost))
		n++;
	return n;
}

static int setup(void **state)
{
	const struct dp_guard_peer peers[] = {
		{core_addr(PEER), core_addr(PEER)},
		{core_addr("2001:db8::7"), core_addr("2001:db8::7")},
	};

	if (core_setup(state))
		return -1;
	assert_int_equal(dp_guard_set_rates(&core.dp, &rates), 0);
	assert_int_equal(dp_guard_set_peers(&core.dp, peers, 2), 0);
	assert_int_equal(dp_guard_add_spi(&core.dp, OUR_SPI), 0);
	return 0;
}

static void test_what_is_kept_of_one(void **state)
{
	struct dp_ike_lost lost;
	const struct ip_addr peer = core_addr(PEER), us = core_addr(US);

	(void)state;
	assert_false(dp_ike_lost(&core.dp, &lost));
	for (unsigned i = 0; i < 3; i++) // two pass
		meets_guard(&of_peer);
	assert_true(dp_ike_lost(&core.dp, &lost));
	assert_int_equal(lost.end, DP_IKE_LIMITED);
	assert_int_equal(lost.tsc, core.w->now_tsc);
	assert_false(lost.out);
	assert_true(ip_addr_equal(&lost.from.addr, &peer) && ip_addr_equal(&lost.to.addr, &us));
	assert_int_equal(lost.to.port, 500);
	assert_int_equal(lost.len, 60);
	assert_int_equal(lost.header_len, 28);
	assert_int_equal(lost.header[0], 0x11);
	assert_int_equal(lost.header[18], EXCHANGE_INFORMATIONAL);
	assert_int_equal(lost.header[23], 7);
	assert_false(dp_ike_lost(&core.dp, &lost));
}

static void test_one_that_is_none(void **state)
{
	struct ike cut = of_stranger;
	struct dp_ike_lost lost;

	(void)state;
	cut.cut = true;
	meets_guard(&cut);
	assert_true(dp_ike_lost(&core.dp, &lost));
	assert_int_equal(lost.end, DP_IKE_MALFORMED);
	assert_int_equal(lost.header_len, 9);
	assert_int_equal(lost.len, 9);
}

// However many there are: few of each peer and of each end, and again a second later.
static void test_few_of_a_peer(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		meets_guard(&of_peer);
	assert_int_equal(taken(), AT_ONCE_PEER);
	for (unsigned i = 0; i < 1000; i++)
		ends(&of_peer, DP_IKE_RING, false);
	assert_int_equal(taken(), AT_ONCE_PEER);
	core.w->now_tsc += core.dp.tsc_hz;
	for (unsigned i = 0; i < 1000; i++)
		ends(&of_peer, DP_IKE_RING, false);
	assert_int_equal(taken(), 1);
}

// A flood of strangers, which nobody takes, leaves room for a peer, and for whoever has an IKE SA.
static void test_strangers_take_no_place_of_peers(void **state)
{
	const struct ike dynamic = {STRANGER, US, SPI, OUR_SPI, IKE_FLAG_INITIATOR, .port = 500};
	struct dp_ike_lost lost;
	char from[32];

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		struct ike one = of_stranger;

		snprintf(from, sizeof(from), "203.0.%u.%u", i / 250, i % 250);
		one.from = from;
		ends(&one, DP_IKE_RING, false);
		core.w->now_tsc += core.dp.tsc_hz / 100; // 30 seconds of it
	}
	ends(&of_peer, DP_IKE_RING, false);
	ends(&dynamic, DP_IKE_RING, false);
	assert_true(dp_ike_lost(&core.dp, &lost));
	assert_true(ip_addr_equal(&lost.from.addr, &(struct ip_addr){IP_V4, {192, 0, 2, 77}}));
	assert_true(dp_ike_lost(&core.dp, &lost));
	assert_int_equal(lost.header[8], 0x88);
	assert_in_range(taken(), AT_ONCE_OTHERS, 64);
	core.w->now_tsc += core.dp.tsc_hz;
	for (unsigned i = 0; i < 3000; i++)
		ends(&of_stranger, DP_IKE_RING, false);
	assert_int_equal(taken(), AT_ONCE_OTHERS);
}

// The ring towards Linux: the count is of all, the headers are samples.
static void test_a_full_ring(void **state)
{
	struct rte_ring *ring = core.dp.punt->to_linux_first;
	struct dp_guard_peer_info info;
	const struct ip_addr peer = core_addr(PEER);
	struct dp_ike_lost lost;
	struct batch b = {0};
	unsigned filled = 0;
	void *m;

	(void)state;
	while (rte_ring_enqueue(ring, &core) == 0)
		filled++;
	for (unsigned i = 0; i < 9; i++) {
		struct rte_mbuf *one = frame_of(&of_peer);

		rte_pktmbuf_adj(one, RTE_ETHER_HDR_LEN);
		core_put(&b, one, 1, FROM_NIC);
	}
	punt_first(core.w, &b);
	while (filled-- > 0)
		assert_int_equal(rte_ring_dequeue(ring, &m), 0);
	assert_int_equal(core_dropped(DROP_PUNT_FULL), 9);
	assert_int_equal(dp_guard_peer_info(&core.dp, &peer, &info), 0);
	assert_int_equal(info.lost, 9);
	assert_true(dp_ike_lost(&core.dp, &lost));
	assert_int_equal(lost.end, DP_IKE_RING);
	assert_int_equal(taken(), AT_ONCE_PEER - 1);
}

// What Linux sends: the peer is the other end.
static void test_on_the_way_out(void **state)
{
	const struct ip_addr peer = core_addr(PEER);
	struct ike out = {US, PEER, OUR_SPI, SPI, IKE_FLAG_INITIATOR, .port = 500};
	struct rte_mbuf *m = frame_of(&out);
	struct dp_guard_peer_info info;
	struct dp_ike_lost lost;
	uint8_t *frame;

	(void)state;
	// From port 500, and with a VLAN tag.
	*rte_pktmbuf_mtod_offset(m, uint16_t *, 14 + 20) = rte_cpu_to_be_16(500);
	frame = (uint8_t *)rte_pktmbuf_prepend(m, 4);
	memmove(frame, frame + 4, 12);
	memcpy(frame + 12, "\x81\x00\x00\x07", 4);
	ike_lost_frames(core.w->lost, &m, 1, DP_IKE_PORT, true, core.w->now_tsc);
	rte_pktmbuf_free(m);
	assert_true(dp_ike_lost(&core.dp, &lost));
	assert_true(lost.out);
	assert_int_equal(lost.end, DP_IKE_PORT);
	assert_true(ip_addr_equal(&lost.to.addr, &peer));
	assert_int_equal(lost.from.port, 500);
	assert_int_equal(dp_guard_peer_info(&core.dp, &peer, &info), 0);
	assert_int_equal(info.lost, 0); // it counts what was to come to us
}

static void test_what_is_no_ike(void **state)
{
	const struct packet rows[] = {
		{.src = PEER, .dst = US, .dst_port = 53, .payload_len = 40},
		{.src = PEER, .dst = US, .proto = IPPROTO_ESP, .payload_len = 40},
		{.src = PEER, .dst = US, .dst_port = 500, .frag = 100, .payload_len = 40},
		{.src = PEER, .dst = US, .dst_port = 500, .ether_type = RTE_ETHER_TYPE_ARP},
		{.src = PEER, .dst = US, .dst_port = 4500, .payload = "\xff", .payload_len = 1},
		{.src = PEER,
		 .dst = US,
		 .dst_port = 4500,
		 .payload = "\0\0\1\0ESP",
		 .payload_len = 7},
	};
	struct ike marked = of_peer;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rte_mbuf *m = core_frame(&rows[i]);

		m->port = 1;
		ike_lost_frames(core.w->lost, &m, 1, DP_IKE_RING, false, core.w->now_tsc);
		rte_pktmbuf_free(m);
	}
	assert_int_equal(taken(), 0);
	marked.port = 4500;
	marked.marker = true;
	ends(&marked, DP_IKE_RING, false);
	assert_int_equal(taken(), 1);
	// Out of a tunnel interface come bare packets, which have no Ethernet header.
	{
		struct rte_mbuf *m = frame_of(&of_peer);

		m->port = DP_IFACE_FIRST;
		ike_lost_frames(core.w->lost, &m, 1, DP_IKE_TAP, false, core.w->now_tsc);
		rte_pktmbuf_free(m);
	}
	assert_int_equal(taken(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, core_teardown)
		T(test_what_is_kept_of_one), T(test_one_that_is_none),
		T(test_few_of_a_peer),	     T(test_strangers_take_no_place_of_peers),
		T(test_a_full_ring),	     T(test_on_the_way_out),
		T(test_what_is_no_ike),
	};

	return cmocka_run_group_tests(tests, core_group_setup, core_group_teardown);
}
