// Two ports on one device, told apart by the VLAN tag; and what else a device may do to a frame:
// cut it into several buffers, look at its checksum.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "dataplane/vlan.h"

enum { LAN = 0, WAN = 1, LAN_VLAN = 100, WAN_VLAN = 200, TAG_LEN = 4 };

static const uint8_t text[64] = "the payload";

#define THROUGH .src = "10.1.0.9", .dst = "10.2.0.9", .payload = text, .payload_len = 64

// Port 0 has opened the device, in VLAN 100; port 1 is its VLAN 200. Nobody takes untagged frames.
static int setup(void **state)
{
	if (core_setup(state) != 0)
		return -1;
	core.port[WAN].device_port = LAN;
	core.port[WAN].mac = core.port[LAN].mac;
	core.port[LAN].vlan = LAN_VLAN;
	core.port[WAN].vlan = WAN_VLAN;
	core.port[LAN].vlans = vlan_map_create();
	if (!core.port[LAN].vlans)
		return -1;
	core.port[LAN].vlans->port[LAN_VLAN] = LAN;
	core.port[LAN].vlans->port[WAN_VLAN] = WAN;
	return 0;
}

static int teardown(void **state)
{
	free(core.port[LAN].vlans);
	return core_teardown(state);
}

// A tag behind the two addresses, with what the frame had there behind it.
static void put_tag(struct rte_mbuf *m, uint16_t type, uint16_t tci)
{
	uint8_t *frame = (uint8_t *)rte_pktmbuf_prepend(m, TAG_LEN);

	if (!frame) { // said so that the compiler sees it, too
		fail();
		return;
	}
	memmove(frame, frame + TAG_LEN, 12);
	frame[12] = (uint8_t)(type >> 8);
	frame[13] = (uint8_t)type;
	frame[14] = (uint8_t)(tci >> 8);
	frame[15] = (uint8_t)tci;
}

static void strip(struct rte_mbuf *m, uint16_t tci)
{
	m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	m->vlan_tci = tci;
}

static void receive_on(unsigned port, struct rte_mbuf *m, struct sorted *s)
{
	struct batch in = {.n = 0};

	core_put(&in, m, port, FROM_NIC);
	classify(core.w, &in, s);
}

static void receive(struct rte_mbuf *m, struct sorted *s)
{
	receive_on(LAN, m, s);
}

static unsigned count(const struct sorted *s)
{
	return (unsigned)(s->punt.n + s->local.n + s->transit.n + s->esp.n + s->out.n);
}

static void free_sorted(struct sorted *s)
{
	core_free(&s->punt);
	core_free(&s->local);
	core_free(&s->transit);
	core_free(&s->esp);
	core_free(&s->out);
}

static void test_the_tag_says_which_port(void **state)
{
	enum { NOBODY = -1 };
	static const struct {
		uint16_t tci;
		int port;
		const char *why;
	} rows[] = {
		{LAN_VLAN, LAN, "the first port's"},
		{WAN_VLAN, WAN, "the other port's"},
		{0xe000 | WAN_VLAN, WAN, "priority is not part of the VLAN"},
		{0x1000 | LAN_VLAN, LAN, "nor is the bit for dropping first"},
		{101, NOBODY, "a VLAN of no port"},
		{256 + LAN_VLAN, NOBODY, "all twelve bits of it count"},
		{2048 + LAN_VLAN, NOBODY, "the highest as well"},
		{4095, NOBODY, "reserved"},
		{0xe000, NOBODY, "priority without a VLAN: untagged, and no port is"},
	};

	(void)state;
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		for (unsigned stripped = 0; stripped < 2; stripped++) {
			const struct packet p = {THROUGH};
			const uint64_t before = core_dropped(DROP_RX_VLAN);
			struct rte_mbuf *m = core_frame(&p);
			struct sorted s;

			if (stripped)
				strip(m, rows[r].tci);
			else
				put_tag(m, RTE_ETHER_TYPE_VLAN, rows[r].tci);
			receive(m, &s);
			if (rows[r].port == NOBODY) {
				if (core_dropped(DROP_RX_VLAN) != before + 1 || count(&s) != 0)
					fail_msg("%s", rows[r].why);
				continue;
			}
			if (s.transit.n != 1 || s.transit.port[0] != rows[r].port ||
			    s.transit.pkt[0]->port != rows[r].port)
				fail_msg("%s", rows[r].why);
			assert_int_equal(s.transit.pkt[0]->data_len, 28 + 64);
			assert_int_equal(*rte_pktmbuf_mtod(s.transit.pkt[0], uint8_t *), 0x45);
			assert_int_equal(s.transit.pkt[0]->ol_flags &
						 (RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED),
					 0);
			free_sorted(&s);
		}
	}
}

// A device may read a tag without taking it off.
static void test_a_tag_that_was_only_read(void **state)
{
	const struct packet p = {THROUGH};
	struct rte_mbuf *m = core_frame(&p);
	struct sorted s;

	(void)state;
	put_tag(m, RTE_ETHER_TYPE_VLAN, WAN_VLAN);
	m->ol_flags |= RTE_MBUF_F_RX_VLAN;
	m->vlan_tci = WAN_VLAN;
	receive(m, &s);
	assert_int_equal(s.transit.n, 1);
	assert_int_equal(s.transit.port[0], WAN);
	assert_int_equal(s.transit.pkt[0]->data_len, 28 + 64);
	free_sorted(&s);
}

// VLANs of one device are not another's.
static void test_a_device_beside_has_no_vlans(void **state)
{
	const struct packet p = {THROUGH};
	struct sorted s;

	(void)state;
	core.port[WAN].device_port = WAN;
	core.port[WAN].vlan = 0;
	receive_on(WAN, core_frame(&p), &s);
	assert_int_equal(s.transit.n, 1);
	assert_int_equal(s.transit.port[0], WAN);
	free_sorted(&s);
}

static void test_untagged_and_twice_tagged_are_nobodys(void **state)
{
	const struct packet p = {THROUGH};
	struct rte_mbuf *m;
	struct sorted s;

	(void)state;
	receive(core_frame(&p), &s);
	assert_int_equal(core_dropped(DROP_RX_VLAN), 1);
	m = core_frame(&p);
	put_tag(m, RTE_ETHER_TYPE_VLAN, 7);
	put_tag(m, RTE_ETHER_TYPE_VLAN, WAN_VLAN);
	receive(m, &s);
	assert_int_equal(core_dropped(DROP_RX_VLAN), 2);
	m = core_frame(&p);
	put_tag(m, RTE_ETHER_TYPE_VLAN, 7);
	strip(m, WAN_VLAN);
	receive(m, &s);
	assert_int_equal(core_dropped(DROP_RX_VLAN), 3);
	m = core_frame(&p);
	put_tag(m, RTE_ETHER_TYPE_QINQ, WAN_VLAN);
	receive(m, &s);
	assert_int_equal(core_dropped(DROP_RX_VLAN), 4);
	assert_int_equal(core_dropped_total(), 4);
}

static void test_a_cut_tag(void **state)
{
	(void)state;
	for (uint16_t cut = 0; cut < 18; cut++) {
		const struct packet p = {THROUGH};
		struct rte_mbuf *m = core_frame(&p);
		struct sorted s;

		put_tag(m, RTE_ETHER_TYPE_VLAN, WAN_VLAN);
		rte_pktmbuf_trim(m, (uint16_t)(m->data_len - cut));
		receive(m, &s);
		assert_int_equal(core_dropped_total(), cut + 1u);
		assert_int_equal(count(&s), 0);
	}
}

// A frame of less than a header and a tag has none; one of no more has nothing else.
static void test_the_shortest_frames(void **state)
{
	(void)state;
	for (uint16_t len = 14; len <= 18; len++) {
		const struct packet p = {THROUGH};
		struct rte_mbuf *m = core_frame(&p);
		struct sorted s;

		put_tag(m, RTE_ETHER_TYPE_VLAN, WAN_VLAN);
		rte_pktmbuf_trim(m, (uint16_t)(m->data_len - len));
		receive(m, &s);
		assert_int_equal(count(&s), 0);
		assert_int_equal(core_dropped(DROP_RX_VLAN), len < 18 ? len - 13 : 4);
		assert_int_equal(core_dropped(DROP_RX_MALFORMED), len == 18);
	}
}

// Somebody else holds the buffer: nothing may be put into it.
static void test_no_room_for_a_tag(void **state)
{
	const struct packet p = {THROUGH};
	struct rte_mbuf *m = core_frame(&p);
	struct sorted s;

	(void)state;
	rte_mbuf_refcnt_update(m, 1);
	tx_put(core.w, WAN, m);
	assert_null(core_sent(LAN));
	assert_int_equal(core_dropped(DROP_NO_MBUF), 1);
	rte_pktmbuf_free(m);
	free(core.port[LAN].vlans);
	core.port[LAN].vlans = NULL;
	m = core_frame(&p);
	strip(m, 5);
	rte_mbuf_refcnt_update(m, 1);
	receive(m, &s);
	assert_int_equal(count(&s), 0);
	assert_int_equal(core_dropped(DROP_NO_MBUF), 2);
	rte_pktmbuf_free(m);
}

// One port is untagged: what has no tag is its own, and what has a tag without a VLAN as well.
static void test_an_untagged_port_beside(void **state)
{
	const struct packet p = {THROUGH};
	struct rte_mbuf *m = core_frame(&p);
	struct sorted s;

	(void)state;
	core.port[LAN].vlans->port[LAN_VLAN] = VLAN_NO_PORT;
	core.port[LAN].vlans->port[0] = LAN;
	core.port[LAN].vlan = 0;
	receive(m, &s);
	assert_int_equal(s.transit.n, 1);
	assert_int_equal(s.transit.port[0], LAN);
	free_sorted(&s);
	m = core_frame(&p);
	put_tag(m, RTE_ETHER_TYPE_VLAN, 0xa000);
	receive(m, &s);
	assert_int_equal(s.transit.n, 1);
	free_sorted(&s);
	tx_put(core.w, LAN, core_frame(&p));
	m = core_sent(LAN);
	assert_int_equal(rte_pktmbuf_mtod(m, uint8_t *)[12], 0x08);
	rte_pktmbuf_free(m);
}

// The same on a device without VLANs; only a real VLAN is Linux's.
static void test_priority_alone_is_no_vlan(void **state)
{
	const struct packet p = {THROUGH};
	struct rte_mbuf *m = core_frame(&p);
	struct sorted s;

	(void)state;
	free(core.port[LAN].vlans);
	core.port[LAN].vlans = NULL;
	put_tag(m, RTE_ETHER_TYPE_VLAN, 0xe000);
	receive(m, &s);
	assert_int_equal(s.transit.n, 1);
	free_sorted(&s);
	m = core_frame(&p);
	strip(m, 0xe000);
	receive(m, &s);
	assert_int_equal(s.transit.n, 1);
	free_sorted(&s);
	m = core_frame(&p);
	put_tag(m, RTE_ETHER_TYPE_VLAN, WAN_VLAN);
	receive(m, &s);
	assert_int_equal(s.punt.n, 1);
	free_sorted(&s);
}

// The device took the first tag off: the second is of the network inside, whatever it says.
static void test_only_one_tag_is_taken_off(void **state)
{
	const struct packet p = {THROUGH};
	struct rte_mbuf *m = core_frame(&p);
	struct sorted s;
	uint32_t len;

	(void)state;
	free(core.port[LAN].vlans);
	core.port[LAN].vlans = NULL;
	put_tag(m, RTE_ETHER_TYPE_VLAN, 0xe000);
	len = m->pkt_len;
	strip(m, 0xe000);
	receive(m, &s);
	assert_int_equal(count(&s), 1);
	assert_int_equal(s.punt.n, 1);
	assert_int_equal(s.punt.pkt[0]->pkt_len, len - RTE_ETHER_HDR_LEN);
	free_sorted(&s);
}

// Linux sees a frame of the port's own TAP, without a tag.
// The device has one port, which is untagged, and its driver takes tags off by itself: the frame is
// of another network, and Linux's with its tag.
static void test_a_tag_that_nobody_wanted_cut(void **state)
{
	static const uint8_t tag[] = {0x81, 0x00, 0x00, 0x05};
	const struct packet p = {THROUGH};
	struct sorted s = {0};
	struct rte_mbuf *m = core_frame(&p);
	const uint32_t len = m->pkt_len;

	(void)state;
	free(core.port[LAN].vlans);
	core.port[LAN].vlans = NULL;
	strip(m, 5);
	receive(m, &s);
	assert_int_equal(core_dropped_total(), 0);
	assert_int_equal(count(&s), 1);
	assert_int_equal(s.punt.n, 1);
	// The Ethernet header stands in front.
	assert_int_equal(s.punt.pkt[0]->pkt_len, len + TAG_LEN - RTE_ETHER_HDR_LEN);
	assert_memory_equal(rte_pktmbuf_mtod(s.punt.pkt[0], const uint8_t *) - 2, tag, sizeof(tag));
	free_sorted(&s);
}

static void test_punted_frames_have_no_tag(void **state)
{
	const struct packet p = {.src = "10.1.0.9",
				 .dst = "192.0.2.1",
				 .dst_port = 500,
				 .payload = text,
				 .payload_len = 64};
	struct rte_mbuf *m = core_frame(&p);
	struct sorted s;

	(void)state;
	put_tag(m, RTE_ETHER_TYPE_VLAN, WAN_VLAN);
	receive(m, &s);
	punt(core.w, &s.punt);
	m = core_punted();
	assert_non_null(m);
	assert_int_equal(m->port, WAN);
	assert_int_equal(m->data_len, 14 + 28 + 64);
	assert_memory_equal(rte_pktmbuf_mtod(m, void *), &core_port_mac[0], 6);
	assert_memory_equal(rte_pktmbuf_mtod_offset(m, void *, 6), &core_host_mac, 6);
	assert_int_equal(rte_pktmbuf_mtod(m, uint8_t *)[12], 0x08);
	rte_pktmbuf_free(m);
}

// From one VLAN to the other: by the same device, with the other tag.
static void test_frames_leave_with_their_tag(void **state)
{
	const struct packet p = {THROUGH};

	(void)state;
	core_route("10.2.0.0/16", WAN, "192.0.2.254");
	core_neigh(WAN, "192.0.2.254", &core_gw_mac);
	for (unsigned by_device = 0; by_device < 2; by_device++) {
		struct batch b = {.n = 0};
		const uint8_t *frame;
		struct rte_mbuf *m;

		core.port[WAN].vlan_insert = by_device != 0;
		core_put(&b, core_bare(&p), LAN, FROM_NIC);
		route(core.w, &b);
		assert_null(core_sent(WAN)); // it has no queue of its own
		m = core_sent(LAN);
		assert_non_null(m);
		frame = rte_pktmbuf_mtod(m, const uint8_t *);
		assert_memory_equal(frame, &core_gw_mac, 6);
		assert_memory_equal(frame + 6, &core_port_mac[0], 6);
		if (by_device) {
			assert_true((m->ol_flags & RTE_MBUF_F_TX_VLAN) != 0);
			assert_int_equal(m->vlan_tci, WAN_VLAN);
			assert_int_equal(m->data_len, 14 + 28 + 64);
		} else {
			assert_int_equal(m->ol_flags & RTE_MBUF_F_TX_VLAN, 0);
			assert_memory_equal(frame + 12, "\x81\x00\x00\xc8\x08\x00\x45", 7);
			assert_int_equal(m->data_len, 18 + 28 + 64);
		}
		rte_pktmbuf_free(m);
	}
}

static void test_each_port_has_its_counters(void **state)
{
	const struct packet p = {THROUGH};
	struct rte_mbuf *m = core_frame(&p);
	struct sorted s;

	(void)state;
	put_tag(m, RTE_ETHER_TYPE_VLAN, WAN_VLAN);
	receive(m, &s);
	free_sorted(&s);
	tx_put(core.w, LAN, core_frame(&p));
	rte_pktmbuf_free(core_sent(LAN));
	assert_int_equal(counter_read(&core.w->port_count[WAN].rx_packets), 1);
	assert_int_equal(counter_read(&core.w->port_count[WAN].rx_bytes), 14 + 28 + 64);
	assert_int_equal(counter_read(&core.w->port_count[LAN].rx_packets), 0);
	assert_int_equal(counter_read(&core.w->port_count[LAN].tx_packets), 1);
	assert_int_equal(counter_read(&core.w->port_count[LAN].tx_bytes), 14 + 28 + 64);
	assert_int_equal(counter_read(&core.w->port_count[WAN].tx_packets), 0);
}

// ---- frames in several buffers ----

// The same frame, the first `head` bytes of it in a buffer of their own.
static struct rte_mbuf *in_two(const struct packet *p, uint16_t head)
{
	struct rte_mbuf *m = core_frame(p), *first = rte_pktmbuf_alloc(m->pool);
	void *room;

	assert_non_null(first);
	room = rte_pktmbuf_append(first, head);
	memcpy(room, rte_pktmbuf_mtod(m, void *), head);
	rte_pktmbuf_adj(m, head);
	assert_int_equal(rte_pktmbuf_chain(first, m), 0);
	return first;
}

static void test_a_chain_becomes_one(void **state)
{
	(void)state;
	for (uint16_t head = 1; head < 14 + 28 + 64; head++) {
		const struct packet p = {THROUGH};
		struct rte_mbuf *m = in_two(&p, head);
		struct sorted s;

		strip(m, WAN_VLAN);
		receive(m, &s);
		assert_int_equal(s.transit.n, 1);
		m = s.transit.pkt[0];
		assert_int_equal(m->nb_segs, 1);
		assert_int_equal(m->data_len, 28 + 64);
		assert_memory_equal(rte_pktmbuf_mtod_offset(m, void *, 28), text, 64);
		free_sorted(&s);
	}
	assert_int_equal(core_dropped_total(), 0);
}

// The buffers are as large as the port's MTU asks for: what is larger is no frame of this link.
static void test_a_chain_too_long_for_a_buffer(void **state)
{
	const struct packet p = {THROUGH};
	struct rte_mbuf *m = in_two(&p, 20), *more;
	struct sorted s;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		more = rte_pktmbuf_alloc(m->pool);
		assert_non_null(rte_pktmbuf_append(more, 1000));
		assert_int_equal(rte_pktmbuf_chain(m, more), 0);
	}
	strip(m, WAN_VLAN);
	receive(m, &s);
	assert_int_equal(count(&s), 0);
	assert_int_equal(core_dropped(DROP_NO_MBUF), 1);
}

// ---- checksums that the device has looked at ----

static void test_checksum_of_the_device(void **state)
{
	static const struct {
		bool offered, bad;
		uint64_t said;
		unsigned passes;
		const char *why;
	} rows[] = {
		{true, false, RTE_MBUF_F_RX_IP_CKSUM_GOOD, 1, "good, as both say"},
		{true, true, RTE_MBUF_F_RX_IP_CKSUM_GOOD, 1, "it is not computed again"},
		{true, true, RTE_MBUF_F_RX_IP_CKSUM_BAD, 0, "bad, says the device"},
		{true, true, RTE_MBUF_F_RX_IP_CKSUM_UNKNOWN, 0, "nobody has looked: we do"},
		{true, false, RTE_MBUF_F_RX_IP_CKSUM_UNKNOWN, 1, "nobody has looked: we do"},
		{true, true, RTE_MBUF_F_RX_IP_CKSUM_NONE, 0, "it has none, says the device"},
		{false, true, RTE_MBUF_F_RX_IP_CKSUM_GOOD, 0, "not asked for, so not believed"},
	};

	(void)state;
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		const struct packet p = {THROUGH, .bad_checksum = rows[r].bad};
		struct rte_mbuf *m = core_frame(&p);
		struct sorted s;

		core.port[WAN].rx_checksum = rows[r].offered;
		strip(m, WAN_VLAN);
		m->ol_flags |= rows[r].said;
		receive(m, &s);
		if (s.transit.n != rows[r].passes)
			fail_msg("%s", rows[r].why);
		free_sorted(&s);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_the_tag_says_which_port),
		T(test_a_tag_that_was_only_read),
		T(test_a_device_beside_has_no_vlans),
		T(test_untagged_and_twice_tagged_are_nobodys),
		T(test_a_cut_tag),
		T(test_the_shortest_frames),
		T(test_no_room_for_a_tag),
		T(test_an_untagged_port_beside),
		T(test_priority_alone_is_no_vlan),
		T(test_only_one_tag_is_taken_off),
		T(test_a_tag_that_nobody_wanted_cut),
		T(test_punted_frames_have_no_tag),
		T(test_frames_leave_with_their_tag),
		T(test_each_port_has_its_counters),
		T(test_a_chain_becomes_one),
		T(test_a_chain_too_long_for_a_buffer),
		T(test_checksum_of_the_device),
	};

	return cmocka_run_group_tests(tests, core_group_setup, core_group_teardown);
}
