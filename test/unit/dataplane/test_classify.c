#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <string.h>

#include "core.h"

static const struct mac_addr broadcast = {{255, 255, 255, 255, 255, 255}},
			     other = {{2, 0, 0, 0, 7, 7}};
static const uint8_t keepalive[1] = {0xff}, esp_in_udp[16] = {1, 2, 3, 4},
		     ike_in_udp[16] = {0, 0, 0, 0, 9}, high_spi[16] = {0xff, 1, 2, 3},
		     low_spi[16] = {0, 0, 1, 0}, esp[32] = {1};

enum way { PUNT, LOCAL, TRANSIT, ESP, NOWHERE };

#define TO_US	      .src = "10.1.0.9", .dst = "10.1.0.1"
#define THROUGH	      .src = "10.1.0.9", .dst = "10.2.0.9"
#define DATA(d)	      .payload = d, .payload_len = sizeof(d)
#define DROPS(reason) NOWHERE, DROP_##reason

static const struct {
	struct packet p;
	enum way way;
	enum drop_reason reason; // NOWHERE
	const char *why;
} rows[] = {
	{{TO_US, .proto = IPPROTO_ICMP}, LOCAL, 0, "ping to us"},
	{{THROUGH}, TRANSIT, 0, "to somebody else"},
	{{TO_US, .ether_type = RTE_ETHER_TYPE_ARP, .to = &broadcast}, PUNT, 0, "ARP"},
	{{TO_US, .ether_type = RTE_ETHER_TYPE_VLAN}, PUNT, 0, "VLAN tag"},
	{{THROUGH, .to = &other}, DROPS(RX_OTHER_MAC), "another station's, flooded by a switch"},
	{{THROUGH, .from = &core_port_mac[0]}, DROPS(RX_OTHER_MAC), "our own voice"},
	{{THROUGH, .to = &broadcast}, LOCAL, 0, "RFC 1812 5.3.4: link broadcast is not forwarded"},
	{{.src = "10.1.0.9", .dst = "224.0.0.5", .proto = 89}, LOCAL, 0, "multicast: OSPF"},
	{{.src = "10.1.0.9", .dst = "255.255.255.255"}, LOCAL, 0, "limited broadcast: DHCP"},
	{{TO_US, .dst_port = 500, DATA(ike_in_udp)}, PUNT, 0, "IKE"},
	{{THROUGH, .dst_port = 500, DATA(ike_in_udp)}, TRANSIT, 0, "somebody else's IKE"},
	{{TO_US, .dst_port = 4500, DATA(ike_in_udp)}, PUNT, 0, "RFC 3948 2.2: non-ESP marker"},
	{{TO_US, .dst_port = 4500, DATA(esp_in_udp)}, ESP, 0, "RFC 3948 2.1"},
	{{TO_US, .dst_port = 4500, DATA(low_spi)}, ESP, 0, "not all four bytes are zero"},
	{{TO_US, .dst_port = 4500, DATA(high_spi)}, ESP, 0, "begins like a keepalive"},
	{{TO_US, .dst_port = 4500, DATA(keepalive)}, DROPS(NATT_KEEPALIVE), "RFC 3948 2.3"},
	{{TO_US, .dst_port = 4500, .payload = esp_in_udp, .payload_len = 3},
	 DROPS(ESP_MALFORMED),
	 "too short for a marker"},
	{{TO_US, .dst_port = 4500}, DROPS(ESP_MALFORMED), "empty datagram"},
	{{TO_US, .proto = IPPROTO_ICMP, .frag = 100, DATA(esp)}, LOCAL, 0, "Linux joins the rest"},
	{{TO_US, .dst_port = 4501, DATA(esp_in_udp)}, LOCAL, 0, "any other port"},
	{{TO_US, .proto = IPPROTO_ESP, DATA(esp)}, ESP, 0, "plain ESP"},
	{{TO_US, .proto = IPPROTO_ESP, DATA(esp), .frag = RTE_IPV4_HDR_DF_FLAG},
	 ESP,
	 0,
	 "DF is no fragment"},
	{{THROUGH, .proto = IPPROTO_ESP, DATA(esp)}, TRANSIT, 0, "ESP to another gateway"},
	{{THROUGH, .frag = 3}, TRANSIT, 0, "fragments are forwarded"},
	{{THROUGH, .bad_checksum = true}, DROPS(RX_MALFORMED), "header checksum"},
	{{THROUGH, .len = 19}, DROPS(RX_MALFORMED), "shorter than its header"},
	{{.src = "127.0.0.1", .dst = "10.1.0.1"}, DROPS(RX_MALFORMED), "loopback on a wire"},
	{{.src = "10.1.0.9", .dst = "127.0.0.1"}, DROPS(RX_MALFORMED), "loopback on a wire"},
	{{.src = "224.0.0.1", .dst = "10.1.0.1"}, DROPS(RX_MALFORMED), "multicast source"},
	{{TO_US, .ether_type = RTE_ETHER_TYPE_IPV6, .len = 60},
	 DROPS(RX_MALFORMED),
	 "IPv6 of version 4"},
};

static struct batch *way_of(struct sorted *s, enum way way)
{
	struct batch *const ways[] = {&s->punt, &s->local, &s->transit, &s->esp};

	return way == NOWHERE ? NULL : ways[way];
}

static void free_sorted(struct sorted *s)
{
	core_free(&s->punt);
	core_free(&s->local);
	core_free(&s->transit);
	core_free(&s->esp);
	core_free(&s->out);
}

static unsigned count(const struct sorted *s)
{
	return (unsigned)(s->punt.n + s->local.n + s->transit.n + s->esp.n + s->out.n);
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		const uint64_t before = core_dropped(rows[r].reason), total = core_dropped_total();
		struct batch in = {.n = 0}, *way;
		struct sorted s;

		core_put(&in, core_frame(&rows[r].p), 0, FROM_NIC);
		classify(core.w, &in, &s);
		way = way_of(&s, rows[r].way);
		if (way ? way->n != 1 || count(&s) != 1
			: core_dropped(rows[r].reason) != before + 1 || count(&s) != 0)
			fail_msg("row %zu: %s", r, rows[r].why);
		assert_int_equal(core_dropped_total(), total + (way ? 0 : 1));
		assert_int_equal(in.n, 0);
		free_sorted(&s);
	}
}

static void test_padding_is_cut_off(void **state)
{
	const struct packet p = {THROUGH, DATA(esp_in_udp), .padding = 17};
	struct batch in = {.n = 0};
	struct sorted s;

	(void)state;
	core_put(&in, core_frame(&p), 0, FROM_NIC);
	classify(core.w, &in, &s);
	assert_int_equal(s.transit.n, 1);
	assert_int_equal(s.transit.pkt[0]->data_len, 20 + 8 + 16);
	assert_int_equal(s.transit.pkt[0]->pkt_len, 20 + 8 + 16);
	free_sorted(&s);
}

// Every cut of a good frame, in memory of just that length.
static void test_cut_frames(void **state)
{
	const struct packet p = {TO_US, .dst_port = 4500, DATA(esp_in_udp)};
	struct sorted s;

	(void)state;
	for (uint16_t cut = 1; cut <= 14 + 20 + 8 + 16; cut++) {
		struct rte_mbuf *m = core_frame(&p);
		struct batch in = {.n = 0};

		rte_pktmbuf_trim(m, cut);
		core_put(&in, m, 0, FROM_NIC);
		classify(core.w, &in, &s);
		assert_int_equal(core_dropped(DROP_RX_MALFORMED), cut);
		assert_int_equal(count(&s), 0);
	}
}

static void test_header_that_lies(void **state)
{
	static const struct {
		uint8_t version_ihl;
		const char *why;
	} bad[] = {{0x65, "version 6"}, {0x44, "header of 16 bytes"}, {0x4f, "longer than itself"}};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct packet p = {THROUGH, DATA(esp_in_udp)};
		struct rte_mbuf *m = core_frame(&p);
		struct rte_ipv4_hdr *ip =
			rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, RTE_ETHER_HDR_LEN);
		struct batch in = {.n = 0};
		struct sorted s;

		ip->version_ihl = bad[i].version_ihl;
		ip->hdr_checksum = 0;
		ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, 20);
		core_put(&in, m, 0, FROM_NIC);
		classify(core.w, &in, &s);
		if (core_dropped(DROP_RX_MALFORMED) != i + 1)
			fail_msg("%s", bad[i].why);
	}
}

// What IPv6 holds that is ours: ESP and ESP in UDP to a global address of our own, whole.
static void test_esp_in_ipv6(void **state)
{
	static const struct {
		uint8_t next;
		uint16_t port, len; // len: of what follows the header
		const void *data;   // behind the UDP header
		enum way way;
		const char *dst;
	} rows6[] = {
		{IPPROTO_ESP, 0, 60, esp, ESP, "2001:db8::1"},
		{IPPROTO_ESP, 0, 60, esp, NOWHERE, "2001:db8::2"},
		{IPPROTO_ESP, 0, 60, esp, PUNT, "fe80::1"},
		{IPPROTO_UDP, 4500, 24, esp_in_udp, ESP, "2001:db8::1"},
		{IPPROTO_UDP, 4500, 24, low_spi, ESP, "2001:db8::1"},
		{IPPROTO_UDP, 4500, 24, high_spi, ESP, "2001:db8::1"},
		{IPPROTO_UDP, 4500, 24, ike_in_udp, LOCAL, "2001:db8::1"},
		{IPPROTO_UDP, 4500, 9, keepalive, NOWHERE, "2001:db8::1"},
		{IPPROTO_UDP, 500, 24, esp_in_udp, LOCAL, "2001:db8::1"},
		{IPPROTO_ICMPV6, 4500, 24, esp_in_udp, LOCAL, "2001:db8::1"},
		{44, 4500, 24, esp_in_udp, LOCAL, "2001:db8::1"}, // a fragment: Linux joins it
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows6) / sizeof(rows6[0]); i++) {
		const uint16_t len = rows6[i].len;
		const struct packet p = {TO_US, .ether_type = RTE_ETHER_TYPE_IPV6,
					 .len = (uint16_t)(40 + len), .padding = 7};
		const struct ip_addr dst = core_addr(rows6[i].dst);
		struct rte_mbuf *m = core_frame(&p);
		uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, RTE_ETHER_HDR_LEN);
		struct batch in = {.n = 0};
		struct sorted s;

		memset(ip, 0, 40u + len);
		ip[0] = 0x60;
		ip[5] = (uint8_t)len;
		ip[6] = rows6[i].next;
		memcpy(ip + 24, dst.bytes, 16);
		ip[42] = (uint8_t)(rows6[i].port >> 8);
		ip[43] = (uint8_t)rows6[i].port;
		if (rows6[i].port)
			memcpy(ip + 48, rows6[i].data, len - 8u);
		core_put(&in, m, 0, FROM_NIC);
		classify(core.w, &in, &s);
		if (s.punt.n != (rows6[i].way == PUNT) || s.esp.n != (rows6[i].way == ESP) ||
		    s.local.n != (rows6[i].way == LOCAL))
			fail_msg("row %zu", i);
		if (s.esp.n)
			assert_int_equal(s.esp.pkt[0]->data_len, 40 + len);
		free_sorted(&s);
	}
	assert_int_equal(core_dropped(DROP_NATT_KEEPALIVE), 1);
	assert_int_equal(core_dropped(DROP_RX_SCOPE), 1);
}

static void test_stripped_vlan_tag_is_put_back(void **state)
{
	const struct packet p = {THROUGH, DATA(esp_in_udp)};
	struct rte_mbuf *m = core_frame(&p);
	struct batch in = {.n = 0};
	struct sorted s;

	(void)state;
	m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	m->vlan_tci = 42;
	core_put(&in, m, 0, FROM_NIC);
	classify(core.w, &in, &s);
	assert_int_equal(s.transit.n, 0);
	punt(core.w, &s.punt);
	m = core_punted();
	assert_non_null(m);
	assert_int_equal(rte_pktmbuf_mtod(m, const uint8_t *)[12], 0x81);
	assert_int_equal(rte_pktmbuf_mtod(m, const uint8_t *)[15], 42);
	rte_pktmbuf_free(m);
}

static void test_frames_of_linux(void **state)
{
	const struct packet arp = {TO_US, .ether_type = RTE_ETHER_TYPE_ARP, .to = &broadcast},
			    ip = {.src = "10.1.0.1",
				  .dst = "10.2.0.9",
				  .from = &core_port_mac[0],
				  .to = &core_host_mac,
				  .bad_checksum = true};
	struct batch in = {.n = 0};
	struct rte_mbuf *m;
	struct sorted s;

	(void)state;
	core_put(&in, core_frame(&arp), 1, FROM_TAP);
	core_put(&in, core_frame(&ip), 1, FROM_TAP);
	classify(core.w, &in, &s);
	m = core_sent(1);
	assert_non_null(m);
	assert_memory_equal(rte_pktmbuf_mtod(m, void *), &broadcast, 6);
	rte_pktmbuf_free(m);
	assert_int_equal(s.out.n, 1); // and Linux computes its own checksums
	assert_int_equal(count(&s), 1);
	free_sorted(&s);
}

static void test_inner_packets(void **state)
{
	const struct packet to_us = {.src = "10.2.0.9", .dst = "10.1.0.1"},
			    through = {.src = "10.2.0.9", .dst = "10.1.0.9"},
			    martian = {.src = "127.0.0.1", .dst = "10.1.0.9"},
			    broken = {.src = "10.2.0.9", .dst = "10.1.0.9", .bad_checksum = true};
	struct batch esp_batch = {.n = 0};
	struct sorted s = {0};
	struct rte_mbuf *m;

	(void)state;
	core_put(&esp_batch, core_bare(&to_us), 1, FROM_TUNNEL);
	core_put(&esp_batch, core_bare(&through), 1, FROM_TUNNEL);
	core_put(&esp_batch, core_bare(&martian), 1, FROM_TUNNEL);
	core_put(&esp_batch, core_bare(&broken), 1, FROM_TUNNEL);
	classify_inner(core.w, &esp_batch, &s);
	assert_int_equal(s.local.n, 1);
	assert_int_equal(s.transit.n, 1);
	assert_int_equal(core_dropped(DROP_ESP_INNER), 2);
	punt(core.w, &s.local); // gets an Ethernet header to the port it came in at
	m = core_punted();
	assert_non_null(m);
	assert_int_equal(m->port, 1);
	assert_int_equal(m->data_len, 14 + 28);
	assert_memory_equal(rte_pktmbuf_mtod(m, void *), &core_port_mac[1], 6);
	assert_int_equal(rte_pktmbuf_mtod(m, const uint8_t *)[12], 0x08);
	assert_int_equal(rte_pktmbuf_mtod(m, const uint8_t *)[14], 0x45);
	rte_pktmbuf_free(m);
	free_sorted(&s);
}

static void test_port_without_tap_punts_nothing(void **state)
{
	const struct packet p = {TO_US};
	struct batch b = {.n = 0};

	(void)state;
	core.port[0].tap_fd = -1;
	core_put(&b, core_bare(&p), 0, FROM_NIC);
	punt(core.w, &b);
	assert_int_equal(core_dropped(DROP_PUNT_WRITE), 1);
	assert_null(core_punted());
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, core_setup, core_teardown)
	const struct CMUnitTest tests[] = {
		T(test_rows),
		T(test_padding_is_cut_off),
		T(test_cut_frames),
		T(test_header_that_lies),
		T(test_esp_in_ipv6),
		T(test_stripped_vlan_tag_is_put_back),
		T(test_frames_of_linux),
		T(test_inner_packets),
		T(test_port_without_tap_punts_nothing),
	};

	return cmocka_run_group_tests(tests, core_group_setup, core_group_teardown);
}
