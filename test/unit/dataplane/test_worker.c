// From TTL to the Ethernet header, and whole steps of the worker.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <string.h>

#include <rte_icmp.h>
#include <rte_malloc.h>

#include "core.h"
#include "dataplane/icmp.h"
#include "dataplane/numa.h"
#include "dataplane/patience.h"

static const uint8_t text[64] = "the payload";

#define THROUGH .src = "10.1.0.9", .dst = "10.2.0.9", .payload = text, .payload_len = 64

static struct rte_ipv4_hdr *ip_at(struct rte_mbuf *m, unsigned offset)
{
	return rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, offset);
}

static bool checksum_ok(const struct rte_ipv4_hdr *ip)
{
	return rte_raw_cksum(ip, rte_ipv4_hdr_len(ip)) == 0xffff;
}

// The way to 10.2.0.0/16, known.
static void resolved_route(void)
{
	core_route("10.2.0.0/16", 1, "192.0.2.254");
	core_neigh(1, "192.0.2.254", &core_gw_mac);
}

static void send_through(const struct packet *p, enum batch_origin origin)
{
	struct batch b = {.n = 0};

	core_put(&b, core_bare(p), 0, origin);
	route(core.w, &b);
	assert_int_equal(b.n, 0);
}

// ---- forward ----

static void test_ttl_counts_down_and_checksum_follows(void **state)
{
	struct batch in = {.n = 0}, out = {.n = 0};

	(void)state;
	for (unsigned ttl = 2; ttl < 256; ttl++) {
		for (unsigned k = 0; k < 16; k++) { // checksums of many values
			struct packet p = {THROUGH, .ttl = (uint8_t)ttl};
			struct rte_mbuf *m = core_bare(&p);
			struct rte_ipv4_hdr *ip = ip_at(m, 0);

			ip->packet_id = (uint16_t)(k * 4111);
			ip->hdr_checksum = 0;
			ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, 20);
			core_put(&in, m, 0, FROM_NIC);
			forward(core.w, &in, &out);
			assert_int_equal(out.n, 1);
			assert_int_equal(ip->time_to_live, ttl - 1);
			if (!checksum_ok(ip))
				fail_msg("ttl %u id %u", ttl, k * 4111);
			core_free(&out);
		}
	}
}

// The corner of RFC 1624: the sum becomes 0xffff.
static void test_checksum_corner(void **state)
{
	struct batch in = {.n = 0}, out = {.n = 0};
	unsigned seen = 0;

	(void)state;
	for (uint32_t id = 0; id < 0x10000; id++) {
		struct packet p = {THROUGH};
		struct rte_mbuf *m = core_bare(&p);
		struct rte_ipv4_hdr *ip = ip_at(m, 0);

		ip->packet_id = (uint16_t)id;
		ip->hdr_checksum = 0;
		ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, 20);
		seen += rte_be_to_cpu_16(ip->hdr_checksum) >= 0xfe00;
		core_put(&in, m, 0, FROM_NIC);
		forward(core.w, &in, &out);
		if (!checksum_ok(ip))
			fail_msg("id %u", id);
		core_free(&out);
	}
	assert_true(seen > 400);
}

static void test_ttl_used_up_is_told(void **state)
{
	const struct packet p = {THROUGH, .ttl = 1};
	struct batch in = {.n = 0}, out = {.n = 0};
	const struct rte_icmp_hdr *icmp;
	struct rte_ipv4_hdr *ip;

	(void)state;
	core_put(&in, core_bare(&p), 0, FROM_NIC);
	core_put(&in, core_bare(&p), 0, FROM_TUNNEL);
	forward(core.w, &in, &out);
	assert_int_equal(out.n, 0);
	assert_int_equal(core_dropped(DROP_TTL_EXCEEDED), 2);
	assert_int_equal(core.w->self.n, 2);
	assert_int_equal(core.w->self.origin[0], FROM_SELF);
	assert_int_equal(core.w->self.origin[1], FROM_SELF_TUNNEL); // never in clear
	ip = ip_at(core.w->self.pkt[0], 0);
	assert_true(checksum_ok(ip));
	assert_int_equal(ip->src_addr, core_be32("10.1.0.1"));
	assert_int_equal(ip->dst_addr, core_be32("10.1.0.9"));
	icmp = (const struct rte_icmp_hdr *)(ip + 1);
	assert_int_equal(icmp->icmp_type, 11);
	assert_int_equal(icmp->icmp_code, 0);
	assert_int_equal(rte_raw_cksum(icmp, rte_be_to_cpu_16(ip->total_length) - 20u), 0xffff);
	assert_int_equal(((const struct rte_ipv4_hdr *)(icmp + 1))->dst_addr,
			 core_be32("10.2.0.9"));
}

// ---- icmp ----

static void test_who_gets_no_icmp_error(void **state)
{
	static const uint8_t echo[8] = {8}, error[8] = {3};
	static const struct {
		struct packet p;
		bool answered;
		const char *why;
	} rows[] = {
		{{THROUGH}, true, "UDP"},
		{{THROUGH, .frag = RTE_IPV4_HDR_MF_FLAG}, true, "first fragment"},
		{{THROUGH, .frag = 7}, false, "later fragment (RFC 1812 4.3.2.7)"},
		{{.src = "10.1.0.9",
		  .dst = "10.2.0.9",
		  .proto = IPPROTO_ICMP,
		  .payload = echo,
		  .payload_len = 8},
		 true,
		 "echo request"},
		{{.src = "10.1.0.9",
		  .dst = "10.2.0.9",
		  .proto = IPPROTO_ICMP,
		  .payload = error,
		  .payload_len = 8},
		 false,
		 "an ICMP error"},
		{{.src = "10.1.0.9", .dst = "10.2.0.9", .proto = IPPROTO_ICMP}, false, "no type"},
		{{.src = "0.0.0.0", .dst = "10.2.0.9"}, false, "no source"},
		{{.src = "10.1.0.9", .dst = "224.0.0.9"}, false, "to a group"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rte_mbuf *m = core_bare(&rows[i].p), *answer;

		m->port = 0;
		answer = icmp_error(core.w, m, ICMP_TIME_EXCEEDED, 0, 0, 0);
		if ((answer != NULL) != rows[i].answered)
			fail_msg("%s", rows[i].why);
		rte_pktmbuf_free(answer);
		rte_pktmbuf_free(m);
	}
}

// What kind of ICMP it is stands behind the options, and inside the packet.
static void test_icmp_behind_options(void **state)
{
	static const struct {
		uint8_t option, type;
		uint16_t len; // of the packet
		bool answered;
	} rows[] = {
		{3, 8, 32, true}, // what stands where the type would be without options is an error
		{8, 3, 32, false}, // the other way round
		{8, 8, 25, true},  // the type alone
		{8, 8, 24, false}, // its place is behind the end
	};

	(void)state;
	for (size_t i = 0; i < RTE_DIM(rows); i++) {
		const uint8_t payload[12] = {rows[i].option, 4, 0, 0, rows[i].type};
		const struct packet p = {.src = "10.1.0.9",
					 .dst = "10.2.0.9",
					 .proto = IPPROTO_ICMP,
					 .payload = payload,
					 .payload_len = sizeof(payload)};
		struct rte_mbuf *m = core_bare(&p), *answer;

		rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *)->version_ihl = 0x46;
		rte_pktmbuf_trim(m, (uint16_t)(m->data_len - rows[i].len));
		m->port = 0;
		answer = icmp_error(core.w, m, ICMP_TIME_EXCEEDED, 0, 0, 0);
		if ((answer != NULL) != rows[i].answered)
			fail_msg("row %zu", i);
		rte_pktmbuf_free(answer);
		rte_pktmbuf_free(m);
	}
}

// Without an address of our own nobody speaks; a packet may be of no port.
static void test_no_icmp_error_from_nobody(void **state)
{
	static const uint16_t ports[] = {0, DP_IFACE_FIRST + DP_IFACES_MAX, RTE_MBUF_PORT_INVALID};
	const struct ip_addr own[] = {core_addr("10.1.0.1"), core_addr("192.0.2.1")};
	const struct packet p = {.src = "10.1.0.9", .dst = "10.2.0.9"};
	struct rte_mbuf *m = core_bare(&p);

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(dp_local_addr_del(&core.dp, &own[i]), 0);
	for (size_t i = 0; i < RTE_DIM(ports); i++) {
		m->port = ports[i];
		assert_null(icmp_error(core.w, m, ICMP_TIME_EXCEEDED, 0, 0, 0));
	}
	assert_int_equal(counter_read(&core.w->icmp_errors), 0);
	rte_pktmbuf_free(m);
}

// RFC 1812 4.3.2.7, RFC 792: of ICMP, echo, timestamp, information and their replies are answered,
// and of other sources those of one host.
static void test_who_gets_an_icmp_error(void **state)
{
	static const struct {
		const char *src, *dst;
		bool answered;
	} rows[] = {
		{"10.1.0.9", "10.2.0.9", true},	  {"0.255.255.255", "10.2.0.9", false},
		{"1.0.0.0", "10.2.0.9", true},	  {"126.255.255.255", "10.2.0.9", true},
		{"127.0.0.1", "10.2.0.9", false}, {"128.0.0.1", "10.2.0.9", true},
		{"224.0.0.0", "10.2.0.9", false}, {"223.255.255.255", "10.2.0.9", true},
		{"10.1.0.9", "224.0.0.0", false}, {"10.1.0.9", "223.255.255.255", true},
	};

	(void)state;
	for (size_t i = 0; i < RTE_DIM(rows); i++) {
		const struct packet p = {.src = rows[i].src, .dst = rows[i].dst};
		struct rte_mbuf *m = core_bare(&p), *answer;

		m->port = 0;
		core.w->now_tsc += core.dp.tsc_hz;
		answer = icmp_error(core.w, m, ICMP_TIME_EXCEEDED, 0, 0, 0);
		if ((answer != NULL) != rows[i].answered)
			fail_msg("%s to %s", rows[i].src, rows[i].dst);
		rte_pktmbuf_free(answer);
		rte_pktmbuf_free(m);
	}
	for (unsigned type = 0; type < 256; type++) {
		const uint8_t payload[8] = {(uint8_t)type};
		const struct packet p = {
			.src = "10.1.0.9",
			.dst = "10.2.0.9",
			.proto = IPPROTO_ICMP,
			.payload = payload,
			.payload_len = type == 8 ? 1 : sizeof(payload), // the type is enough
		};
		const bool query = type == 0 || type == 8 || (type >= 13 && type <= 16);
		struct rte_mbuf *m = core_bare(&p), *answer;

		m->port = 0;
		core.w->now_tsc += core.dp.tsc_hz;
		answer = icmp_error(core.w, m, ICMP_TIME_EXCEEDED, 0, 0, 0);
		if ((answer != NULL) != query)
			fail_msg("type %u", type);
		rte_pktmbuf_free(answer);
		rte_pktmbuf_free(m);
	}
}

// The sender is who the caller says, else the port that the packet came by.
static void test_who_sends_an_icmp_error(void **state)
{
	const struct packet p = {.src = "10.1.0.9", .dst = "10.2.0.9"};
	struct rte_mbuf *m = core_bare(&p), *answer;

	(void)state;
	m->port = 0;
	core.w->now_tsc += core.dp.tsc_hz;
	for (unsigned i = 0; i < 2; i++) {
		const uint32_t src_be = core_be32(i ? "192.0.2.77" : "10.1.0.1");

		answer = icmp_error(core.w, m, ICMP_TIME_EXCEEDED, 0, 0, i ? src_be : 0);
		assert_non_null(answer);
		assert_int_equal(rte_pktmbuf_mtod(answer, struct rte_ipv4_hdr *)->src_addr, src_be);
		rte_pktmbuf_free(answer);
	}
	rte_pktmbuf_free(m);
}

// RFC 1812 4.3.2.3 to 4.3.2.5: as much of the packet as fits 576 bytes, with a TTL of its own.
static void test_form_of_an_icmp_error(void **state)
{
	static const uint16_t lens[] = {20, 100, 547, 548, 549, 1400};
	static const uint8_t zeros[1400];

	(void)state;
	for (size_t i = 0; i < RTE_DIM(lens); i++) {
		const struct packet p = {.src = "10.1.0.9",
					 .dst = "10.2.0.9",
					 .proto = 99,
					 .ttl = 3,
					 .payload = zeros,
					 .payload_len = (uint16_t)(lens[i] - 20)};
		const uint16_t quoted = lens[i] < 548 ? lens[i] : 548;
		struct rte_mbuf *m = core_bare(&p), *answer;
		const struct rte_ipv4_hdr *ip;

		m->port = 1;
		answer = icmp_error(core.w, m, ICMP_UNREACHABLE, 4, 1400, core_be32("192.0.2.1"));
		assert_non_null(answer);
		ip = ip_at(answer, 0);
		assert_int_equal(answer->port, 1);
		assert_int_equal(answer->data_len, 28 + quoted);
		assert_int_equal(rte_be_to_cpu_16(ip->total_length), 28 + quoted);
		assert_int_equal(ip->type_of_service, 0xc0); // internetwork control
		assert_int_equal(ip->time_to_live, 64);
		assert_int_equal(ip->fragment_offset, 0);
		assert_memory_equal((const uint8_t *)ip + 28, rte_pktmbuf_mtod(m, void *), quoted);
		assert_int_equal(counter_read(&core.w->icmp_errors), i + 1);
		rte_pktmbuf_free(answer);
		rte_pktmbuf_free(m);
	}
}

static void test_icmp_is_rationed(void **state)
{
	const struct packet p = {THROUGH};
	struct rte_mbuf *m = core_bare(&p), *answer;
	unsigned n = 0;

	(void)state;
	m->port = 0;
	for (unsigned i = 0; i < 200; i++) {
		answer = icmp_error(core.w, m, ICMP_TIME_EXCEEDED, 0, 0, 0);
		n += answer != NULL;
		rte_pktmbuf_free(answer);
	}
	assert_int_equal(n, 50); // the burst
	core.w->now_tsc += core.dp.tsc_hz / 10;
	for (unsigned i = 0; i < 200; i++) {
		answer = icmp_error(core.w, m, ICMP_TIME_EXCEEDED, 0, 0, 0);
		n += answer != NULL;
		rte_pktmbuf_free(answer);
	}
	assert_int_equal(n, 60); // and 100 a second
	rte_pktmbuf_free(m);
}

// Time that has made no whole token yet is not lost. A clock so slow that none can be counted
// rations nothing.
static void test_icmp_ration_by_the_clock(void **state)
{
	const uint64_t hz = core.dp.tsc_hz, interval = hz / 100;

	(void)state;
	core.w->icmp_tokens = 0;
	core.w->icmp_refill_tsc = core.w->now_tsc;
	core.w->now_tsc += interval + interval / 2;
	assert_true(icmp_take_token(core.w));
	assert_false(icmp_take_token(core.w));
	core.w->now_tsc += interval / 2 + 1; // two intervals by now
	assert_true(icmp_take_token(core.w));
	assert_false(icmp_take_token(core.w));
	core.w->now_tsc += 1000 * interval; // never more than the burst
	for (unsigned i = 0; i < 50; i++)
		assert_true(icmp_take_token(core.w));
	assert_false(icmp_take_token(core.w));
	core.dp.tsc_hz = 99;
	assert_true(icmp_take_token(core.w));
	core.dp.tsc_hz = hz;
}

// ---- route ----

static void test_routed_frame(void **state)
{
	const struct packet p = {THROUGH};
	const struct rte_ether_hdr *eth;
	struct rte_mbuf *m;

	(void)state;
	resolved_route();
	send_through(&p, FROM_NIC);
	m = core_sent(1);
	assert_non_null(m);
	eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	assert_memory_equal(&eth->dst_addr, &core_gw_mac, 6);
	assert_memory_equal(&eth->src_addr, &core_port_mac[1], 6);
	assert_int_equal(eth->ether_type, rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4));
	assert_int_equal(m->pkt_len, 14 + 20 + 8 + 64);
	assert_int_equal(ip_at(m, 14)->dst_addr, core_be32("10.2.0.9"));
	rte_pktmbuf_free(m);
}

static void test_no_route(void **state)
{
	const struct packet p = {THROUGH};

	(void)state;
	send_through(&p, FROM_NIC);
	assert_int_equal(core_dropped(DROP_NO_ROUTE), 1);
}

static void test_too_big_for_the_port(void **state)
{
	static const uint8_t big[1500 - 28];
	const struct packet fits = {.src = "10.1.0.9",
				    .dst = "10.2.0.9",
				    .payload = big,
				    .payload_len = 1400 - 28,
				    .frag = RTE_IPV4_HDR_DF_FLAG},
			    df = {.src = "10.1.0.9",
				  .dst = "10.2.0.9",
				  .payload = big,
				  .payload_len = 1401 - 28,
				  .frag = RTE_IPV4_HDR_DF_FLAG},
			    no_df = {.src = "10.1.0.9",
				     .dst = "10.2.0.9",
				     .payload = big,
				     .payload_len = 1401 - 28};
	const struct rte_icmp_hdr *icmp;

	(void)state;
	resolved_route();
	send_through(&fits, FROM_NIC);
	rte_pktmbuf_free(core_sent(1));
	assert_int_equal(core_dropped_total(), 0);
	send_through(&no_df, FROM_NIC); // RFC 791 3.2: cut
	for (unsigned i = 0; i < 2; i++) {
		struct rte_mbuf *m = core_sent(1);

		assert_non_null(m);
		assert_true(checksum_ok(ip_at(m, RTE_ETHER_HDR_LEN)));
		assert_int_equal(m->pkt_len, RTE_ETHER_HDR_LEN + (i == 0 ? 20 + 1376 : 20 + 5));
		assert_int_equal(ip_at(m, RTE_ETHER_HDR_LEN)->fragment_offset,
				 rte_cpu_to_be_16(i == 0 ? RTE_IPV4_HDR_MF_FLAG : 1376 / 8));
		rte_pktmbuf_free(m);
	}
	assert_int_equal(core.w->self.n, 0);
	send_through(&df, FROM_NIC);
	assert_int_equal(core_dropped(DROP_TOO_BIG), 1);
	assert_int_equal(core.w->self.n, 1);
	icmp = (const struct rte_icmp_hdr *)(ip_at(core.w->self.pkt[0], 0) + 1);
	assert_int_equal(icmp->icmp_type, 3);
	assert_int_equal(icmp->icmp_code, 4);
	assert_int_equal(rte_be_to_cpu_16(icmp->icmp_seq_nb), 1400); // RFC 1191 4
	assert_true(core.w->self.pkt[0]->pkt_len <= 576);
	assert_null(core_sent(1));
}

// ---- hold ----

static void test_packet_waits_for_its_neighbour(void **state)
{
	const struct packet p = {THROUGH};
	struct dp_event ev;
	struct rte_mbuf *m;

	(void)state;
	core_route("10.2.0.0/16", 1, "192.0.2.254");
	send_through(&p, FROM_NIC);
	send_through(&p, FROM_NIC);
	assert_int_equal(core.w->n_held, 2);
	assert_true(core_event(&ev));
	assert_int_equal(ev.type, DP_EV_NO_NEIGHBOUR);
	assert_int_equal(ev.port, 1);
	assert_int_equal(ip_addr_to_v4(&ev.addr), 0xc00002fe);
	assert_false(core_event(&ev)); // once in 100 ms
	hold_retry(core.w);
	assert_int_equal(core.w->n_held, 2);
	assert_null(core_sent(1));

	core_neigh(0, "10.1.0.9", &core_host_mac); // another's neighbour changes nothing
	hold_retry(core.w);
	assert_int_equal(core.w->n_held, 2);

	core_neigh(1, "192.0.2.254", &core_gw_mac);
	hold_retry(core.w);
	assert_int_equal(core.w->n_held, 0);
	for (unsigned i = 0; i < 2; i++) {
		m = core_sent(1);
		assert_non_null(m);
		assert_memory_equal(rte_pktmbuf_mtod(m, void *), &core_gw_mac, 6);
		rte_pktmbuf_free(m);
	}
	assert_int_equal(core_dropped_total(), 0);
}

static void test_hold_is_repeated_limited_and_ends(void **state)
{
	const struct packet p = {THROUGH};
	struct dp_event ev;

	(void)state;
	core_route("10.2.0.0/16", 1, "192.0.2.254");
	send_through(&p, FROM_NIC);
	core.w->now_tsc += core.dp.tsc_hz / 5;
	for (unsigned i = 0; i < 64; i++)
		send_through(&p, FROM_NIC);
	assert_true(core_event(&ev));
	assert_true(core_event(&ev)); // again after 200 ms
	assert_false(core_event(&ev));
	assert_int_equal(core.w->n_held, 64);
	assert_int_equal(core_dropped(DROP_HOLD_FULL), 1);

	core.w->now_tsc += core.dp.tsc_hz * 9 / 10; // 1.1 s after the first, 0.9 after the others
	hold_retry(core.w);
	assert_int_equal(core_dropped(DROP_NO_NEIGHBOUR), 1);
	assert_int_equal(core.w->n_held, 63);
	core.w->now_tsc += core.dp.tsc_hz / 5;
	hold_retry(core.w);
	assert_int_equal(core_dropped(DROP_NO_NEIGHBOUR), 64);
	assert_int_equal(core.w->n_held, 0);
}

static void test_held_packet_whose_route_goes_is_dropped(void **state)
{
	const struct packet p = {THROUGH};
	struct ip_prefix dst;

	(void)state;
	core_route("10.2.0.0/16", 1, "192.0.2.254");
	send_through(&p, FROM_NIC);
	ip_prefix_parse("10.2.0.0/16", &dst);
	dp_route_del(&core.dp, &dst);
	hold_retry(core.w);
	assert_int_equal(core_dropped(DROP_NO_ROUTE), 1);
}

// ---- ESP over IPv6 ----

// A bare packet to 2001:db8:b::`last` of `len` bytes into route().
static void route_v6(uint8_t last, uint16_t len)
{
	const struct packet p = {THROUGH, .len = len};
	const struct ip_addr dst = core_addr("2001:db8:b::");
	struct rte_mbuf *m = core_bare(&p);
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);
	struct batch b = {.n = 0};

	ip[0] = 0x60;
	memcpy(ip + 24, dst.bytes, 16);
	ip[39] = last;
	core_put(&b, m, 0, FROM_NIC);
	route(core.w, &b);
}

static void test_ipv6_goes_to_its_next_hop(void **state)
{
	static const uint8_t type[2] = {0x86, 0xdd};
	const struct ip_addr gw = core_addr("fe80::fe");
	struct dp_event ev;
	struct rte_mbuf *m;

	(void)state;
	route_v6(1, 100);
	assert_int_equal(core_dropped(DROP_NO_ROUTE), 1);
	core_route("2001:db8:b::/64", 1, "fe80::fe");
	route_v6(1, 100);
	route_v6(2, 100);
	assert_int_equal(core.w->n_held, 2);
	assert_true(core_event(&ev));
	assert_int_equal(ev.type, DP_EV_NO_NEIGHBOUR);
	assert_int_equal(ev.port, 1);
	assert_true(ip_addr_equal(&ev.addr, &gw));
	assert_false(core_event(&ev)); // once in 100 ms
	hold_retry(core.w);
	assert_int_equal(core.w->n_held, 2);
	core_neigh(1, "fe80::fe", &core_gw_mac);
	hold_retry(core.w);
	route_v6(3, 1400); // the MTU of port 1
	for (unsigned i = 1; i <= 3; i++) {
		m = core_sent(1);
		assert_non_null(m);
		assert_memory_equal(rte_pktmbuf_mtod(m, void *), &core_gw_mac, 6);
		assert_memory_equal(rte_pktmbuf_mtod_offset(m, void *, 6), &core_port_mac[1], 6);
		assert_memory_equal(rte_pktmbuf_mtod_offset(m, void *, 12), type, 2);
		assert_int_equal(rte_pktmbuf_mtod_offset(m, uint8_t *, 14 + 39)[0], i);
		rte_pktmbuf_free(m);
	}
	route_v6(4, 1401); // RFC 8200 5: nobody cuts it on the way, and neither do we
	assert_int_equal(core_dropped(DROP_TOO_BIG), 1);
	assert_null(core_sent(1));
}

// Two destinations in turn in one batch: what was looked up for one is not taken for the other.
static void test_ipv6_destinations_in_one_batch(void **state)
{
	const struct packet p = {THROUGH, .len = 100};
	const struct ip_addr dst = core_addr("2001:db8:b::");
	struct batch b = {.n = 0};

	(void)state;
	core_route("2001:db8:b::/64", 0, NULL);
	core_route("2001:db8:b::2/128", 1, NULL);
	core_neigh(0, "2001:db8:b::1", &core_host_mac);
	core_neigh(1, "2001:db8:b::2", &core_gw_mac);
	for (unsigned i = 0; i < 4; i++) {
		struct rte_mbuf *m = core_bare(&p);
		uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);

		ip[0] = 0x60;
		memcpy(ip + 24, dst.bytes, 16);
		ip[39] = (uint8_t)(1 + i % 2);
		core_put(&b, m, 0, FROM_NIC);
	}
	route(core.w, &b);
	for (unsigned i = 0; i < 4; i++) {
		struct rte_mbuf *m = core_sent(i % 2);

		assert_non_null(m);
		assert_memory_equal(rte_pktmbuf_mtod(m, void *),
				    i % 2 ? &core_gw_mac : &core_host_mac, 6);
		rte_pktmbuf_free(m);
	}
}

// ESP of IPv6 that another worker owns comes by hand-over and is ESP, whatever its bytes 6 and 7
// would mean in IPv4.
static void test_ipv6_handed_over_is_esp(void **state)
{
	const struct packet p = {THROUGH, .len = 100};
	struct rte_mbuf *m = core_bare(&p);
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);
	struct batch in = {.n = 0};
	struct sorted s;

	(void)state;
	ip[0] = 0x60;
	ip[6] = 50; // with IPv4: a later fragment
	ip[7] = 64;
	core_put(&in, m, 0, FROM_TUNNEL);
	classify(core.w, &in, &s);
	assert_int_equal(s.esp.n, 1);
	core_free(&s.esp);
}

// ---- a step ----

static const struct source self = {.type = SOURCE_SELF};
static const struct source handover = {.type = SOURCE_HANDOVER};

// Puts a packet where worker_step() finds it, as if from anywhere.
static unsigned step(struct rte_mbuf *m, enum batch_origin origin)
{
	core_put(&core.w->self, m, 0, origin);
	return worker_step(core.w, &self);
}

static void test_step_forwards_what_policy_passes(void **state)
{
	const struct packet p = {THROUGH, .ttl = 9};
	struct rte_mbuf *m;

	(void)state;
	resolved_route();
	assert_int_equal(step(core_frame(&p), FROM_NIC), 1);
	assert_int_equal(core_dropped(DROP_NO_POLICY), 1); // the default is to discard
	core_policy(DP_BYPASS);
	step(core_frame(&p), FROM_NIC);
	m = core_sent(1);
	assert_non_null(m);
	assert_int_equal(ip_at(m, 14)->time_to_live, 8);
	rte_pktmbuf_free(m);
	core_policy(DP_DISCARD);
	step(core_frame(&p), FROM_NIC);
	assert_int_equal(core_dropped(DROP_POLICY_DISCARD), 1);
	assert_null(core_sent(1));
}

static void test_step_sends_what_linux_sends_as_it_is(void **state)
{
	const struct packet p = {.src = "10.1.0.1",
				 .dst = "10.2.0.9",
				 .ttl = 64,
				 .from = &core_port_mac[0],
				 .to = &core_host_mac};
	struct rte_mbuf *m = core_frame(&p), *sent;
	uint8_t before[64];
	const uint16_t len = m->data_len;

	(void)state;
	memcpy(before, rte_pktmbuf_mtod(m, void *), len);
	step(m, FROM_TAP);
	sent = core_sent(0); // no policy matches: Linux may speak
	assert_non_null(sent);
	assert_int_equal(sent->data_len, len);
	assert_memory_equal(rte_pktmbuf_mtod(sent, void *), before, len); // TTL and all
	rte_pktmbuf_free(sent);
	core_policy(DP_DISCARD);
	step(core_frame(&p), FROM_TAP);
	assert_int_equal(core_dropped(DROP_POLICY_DISCARD), 1);
}

static void test_step_gives_linux_its_own(void **state)
{
	const struct packet p = {.src = "10.1.0.9",
				 .dst = "10.1.0.1",
				 .proto = IPPROTO_ICMP,
				 .payload = text,
				 .payload_len = 64};
	struct rte_mbuf *m = core_frame(&p);
	uint8_t before[128];
	const uint16_t len = m->data_len;

	(void)state;
	memcpy(before, rte_pktmbuf_mtod(m, void *), len);
	step(m, FROM_NIC);
	m = core_punted();
	assert_non_null(m);
	assert_int_equal(m->port, 0);
	assert_int_equal(m->data_len, len);
	assert_memory_equal(rte_pktmbuf_mtod(m, void *), before, len);
	rte_pktmbuf_free(m);
}

// RFC 4301 5.2: where ESP is due, clear text is not let in; IKE is.
static void test_step_drops_clear_text_that_ought_to_be_esp(void **state)
{
	const struct packet through = {THROUGH},
			    to_us = {.src = "10.1.0.9", .dst = "10.1.0.1", .dst_port = 53},
			    ike = {.src = "10.1.0.9", .dst = "10.1.0.1", .dst_port = 500};
	struct dp_policy p = {.action = DP_PROTECT};
	struct ip_prefix any;
	struct rte_mbuf *m;

	(void)state;
	resolved_route();
	ip_prefix_parse("0.0.0.0/0", &any);
	p.local = p.remote = selector_from_prefix(&any);
	assert_int_equal(dp_tunnel_add(&core.dp, "t", &p.tunnel), 0);
	assert_int_equal(dp_policies_set(&core.dp, &p, 1), 0);
	step(core_frame(&through), FROM_NIC);
	step(core_frame(&to_us), FROM_NIC);
	assert_int_equal(core_dropped(DROP_CLEAR_INBOUND), 2);
	assert_null(core_punted());
	step(core_frame(&ike), FROM_NIC);
	m = core_punted();
	assert_non_null(m);
	rte_pktmbuf_free(m);
	assert_int_equal(dp_policies_set(&core.dp, NULL, 0), 0);
	assert_int_equal(dp_tunnel_del(&core.dp, p.tunnel), 0);
}

static void test_traceroute_sees_us(void **state)
{
	const struct packet p = {THROUGH, .ttl = 1};
	struct rte_mbuf *m;

	(void)state;
	core_neigh(0, "10.1.0.9", &core_host_mac);
	step(core_frame(&p), FROM_NIC);
	assert_null(core_sent(0));
	assert_int_equal(worker_step(core.w, &self), 1); // the answer enters like any packet
	m = core_sent(0);
	assert_non_null(m);
	assert_memory_equal(rte_pktmbuf_mtod(m, void *), &core_host_mac, 6);
	assert_int_equal(ip_at(m, 14)->src_addr, core_be32("10.1.0.1"));
	rte_pktmbuf_free(m);
	assert_int_equal(worker_step(core.w, &self), 0);
}

// An ICMP error quotes its packet: about one from a tunnel it does not leave in clear.
static void test_icmp_about_a_packet_from_a_tunnel_stays_in(void **state)
{
	const struct packet p = {.src = "10.2.0.9", .dst = "10.1.0.9", .ttl = 1};
	struct batch in = {.n = 0}, out = {.n = 0};

	(void)state;
	resolved_route();
	core_policy(DP_BYPASS);
	core_put(&in, core_bare(&p), 1, FROM_TUNNEL);
	forward(core.w, &in, &out);
	assert_int_equal(core.w->self.n, 1);
	assert_int_equal(worker_step(core.w, &self), 1);
	assert_null(core_sent(1));
	assert_int_equal(core_dropped_total(), 2); // the packet and the answer
}

static void test_handed_over_packets_are_esp(void **state)
{
	static const uint8_t esp[32] = {0x12, 0x34, 0x56, 0x78};
	const struct packet p = {.src = "192.0.2.9",
				 .dst = "192.0.2.1",
				 .proto = IPPROTO_ESP,
				 .payload = esp,
				 .payload_len = 32};

	(void)state;
	worker_handover(core.w, 0, core_bare(&p), 1);
	assert_int_equal(worker_step(core.w, &handover), 1);
	assert_int_equal(core_dropped(DROP_ESP_NO_SA) + core_dropped(DROP_ESP_MALFORMED), 1);
	assert_int_equal(worker_step(core.w, &handover), 0);
}

// What keeps a worker awake: packets through tunnels and forwarded ones, and not what Linux sends
// and gets itself.
static void test_what_counts_as_traffic(void **state)
{
	static const uint8_t bytes[32] = {0x12, 0x34, 0x56, 0x78};
	const struct packet through = {THROUGH},
			    ike = {.src = "10.1.0.9", .dst = "10.1.0.1", .dst_port = 500},
			    own = {.src = "10.1.0.1",
				   .dst = "10.2.0.9",
				   .ttl = 64,
				   .from = &core_port_mac[0],
				   .to = &core_host_mac},
			    esp = {.src = "192.0.2.9",
				   .dst = "192.0.2.1",
				   .proto = IPPROTO_ESP,
				   .payload = bytes,
				   .payload_len = sizeof(bytes)};
	struct dp_policy protect = {.action = DP_PROTECT};
	struct ip_prefix any;

	(void)state;
	resolved_route();
	core.w->traffic = 0;
	step(core_frame(&ike), FROM_NIC);
	rte_pktmbuf_free(core_punted());
	step(core_frame(&own), FROM_TAP);
	rte_pktmbuf_free(core_sent(0));
	assert_int_equal(core.w->traffic, 0);

	core_policy(DP_BYPASS);
	step(core_frame(&through), FROM_NIC);
	rte_pktmbuf_free(core_sent(1));
	assert_int_equal(core.w->traffic, 1);
	worker_handover(core.w, 0, core_bare(&esp), 1);
	worker_step(core.w, &handover);
	assert_int_equal(core.w->traffic, 2);

	ip_prefix_parse("0.0.0.0/0", &any);
	protect.local = protect.remote = selector_from_prefix(&any);
	assert_int_equal(dp_tunnel_add(&core.dp, "t", &protect.tunnel), 0);
	assert_int_equal(dp_policies_set(&core.dp, &protect, 1), 0);
	step(core_frame(&own), FROM_TAP);
	assert_int_equal(core.w->traffic, 3);
	assert_int_equal(dp_policies_set(&core.dp, NULL, 0), 0);
	assert_int_equal(dp_tunnel_del(&core.dp, protect.tunnel), 0);
}

static void test_patience(void **state)
{
	const uint64_t us = 3000; // of a clock of 3 GHz
	struct patience p = patience_new(us * 1000000);
	uint64_t now = us * 1000000;
	long nap_us = 0;

	(void)state;
	// Lone packets of traffic: a short nap at once, then longer ones, up to a limit.
	patience_worked(&p, now, 1);
	assert_int_equal(patience_idle(&p, now), PATIENCE_NAP_MIN_US);
	for (unsigned i = 0; i < 20; i++) {
		const long next_us = patience_idle(&p, now += us * 100);

		assert_true(next_us > nap_us || next_us == PATIENCE_NAP_MAX_US);
		nap_us = next_us;
	}
	assert_int_equal(nap_us, PATIENCE_NAP_MAX_US);

	// Linux's own packets change nothing, however close together.
	patience_worked(&p, now, 0);
	patience_worked(&p, now + us, 0);
	assert_int_equal(patience_idle(&p, now + us), PATIENCE_NAP_MAX_US);

	// Traffic wakes: short naps after a lone packet, none within a flow, until it stops.
	patience_worked(&p, now, 1);
	assert_int_equal(patience_idle(&p, now), PATIENCE_NAP_MIN_US);
	patience_worked(&p, now += us * 30, 1);
	assert_int_equal(patience_idle(&p, now + us * 49), 0);
	assert_int_equal(patience_idle(&p, now + us * 50), PATIENCE_NAP_MIN_US);
}

static void test_handover_ring_full(void **state)
{
	const struct packet p = {THROUGH};
	struct rte_ring *const whole = core.w->handover;
	struct rte_ring *const small = rte_ring_create("small", 2, SOCKET_ID_ANY, 0);
	void *kept = NULL;

	(void)state;
	assert_non_null(small);
	core.w->handover = small; // holds one
	worker_handover(core.w, 0, core_bare(&p), 1);
	worker_handover(core.w, 0, core_bare(&p), 1);
	assert_int_equal(core_dropped(DROP_HANDOVER_FULL), 1);
	core.w->handover = whole;
	assert_int_equal(rte_ring_dequeue(small, &kept), 0);
	assert_int_equal(((struct rte_mbuf *)kept)->port, 1);
	rte_pktmbuf_free(kept);
	rte_ring_free(small);
}

static void test_what_is_freed_later(void **state)
{
	struct ip_addr a = core_addr("10.1.0.77");

	(void)state;
	rte_rcu_qsbr_thread_register(core.dp.qsbr, 0);
	rte_rcu_qsbr_thread_online(core.dp.qsbr, 0);
	dp_local_addr_add(&core.dp, &a); // defers the old snapshot
	dp_housekeeping(&core.dp);
	assert_non_null(core.dp.deferred); // the worker may still read it
	rte_rcu_qsbr_quiescent(core.dp.qsbr, 0);
	dp_housekeeping(&core.dp);
	assert_null(core.dp.deferred);
	rte_rcu_qsbr_thread_offline(core.dp.qsbr, 0);
	rte_rcu_qsbr_thread_unregister(core.dp.qsbr, 0);
}

// What takes too long for one call.
static void free_slowly(void *p)
{
	const uint64_t end = rte_rdtsc() + core.dp.tsc_hz / 1000; // a millisecond

	while (rte_rdtsc() < end)
		;
	++*(unsigned *)p;
}

static void test_not_all_is_freed_at_once(void **state)
{
	unsigned freed = 0;

	(void)state;
	while (core.dp.deferred) // what the set-up left behind
		dp_housekeeping(&core.dp);
	for (unsigned i = 0; i < 40; i++)
		dp_defer_free(&core.dp, free_slowly, &freed);
	dp_housekeeping(&core.dp);
	assert_int_equal(freed, 3); // a 16th
	dp_housekeeping(&core.dp);
	assert_int_equal(freed, 6);
	for (unsigned calls = 1; freed < 40; calls++) {
		const unsigned before = freed;

		dp_housekeeping(&core.dp);
		assert_in_range(freed, before + 1, before + 3);
		assert_true(calls < 40); // it comes to an end
	}
	assert_null(core.dp.deferred);
	assert_int_equal(core.dp.n_deferred, 0);
}

// A node that has no memory, as on a machine where some have none.
static void test_memory_of_another_node_is_better_than_none(void **state)
{
	void *p = numa_zalloc(RTE_MAX_NUMA_NODES - 1, "test", 64, 64);

	(void)state;
	assert_non_null(p);
	rte_free(p);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, core_setup, core_teardown)
	const struct CMUnitTest tests[] = {
		T(test_ttl_counts_down_and_checksum_follows),
		T(test_checksum_corner),
		T(test_ttl_used_up_is_told),
		T(test_who_gets_no_icmp_error),
		T(test_who_gets_an_icmp_error),
		T(test_who_sends_an_icmp_error),
		T(test_form_of_an_icmp_error),
		T(test_icmp_is_rationed),
		T(test_icmp_behind_options),
		T(test_no_icmp_error_from_nobody),
		T(test_icmp_ration_by_the_clock),
		T(test_routed_frame),
		T(test_no_route),
		T(test_too_big_for_the_port),
		T(test_packet_waits_for_its_neighbour),
		T(test_hold_is_repeated_limited_and_ends),
		T(test_ipv6_goes_to_its_next_hop),
		T(test_ipv6_destinations_in_one_batch),
		T(test_ipv6_handed_over_is_esp),
		T(test_held_packet_whose_route_goes_is_dropped),
		T(test_step_forwards_what_policy_passes),
		T(test_step_sends_what_linux_sends_as_it_is),
		T(test_step_gives_linux_its_own),
		T(test_step_drops_clear_text_that_ought_to_be_esp),
		T(test_traceroute_sees_us),
		T(test_icmp_about_a_packet_from_a_tunnel_stays_in),
		T(test_handed_over_packets_are_esp),
		T(test_what_counts_as_traffic),
		T(test_patience),
		T(test_handover_ring_full),
		T(test_what_is_freed_later),
		T(test_not_all_is_freed_at_once),
		T(test_memory_of_another_node_is_better_than_none),
	};

	return cmocka_run_group_tests(tests, core_group_setup, core_group_teardown);
}
