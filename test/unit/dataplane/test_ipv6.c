// IPv6 packets through the stages around ESP: which way they go, hops, errors, next hops, sizes.
//
// Port 0 is 2001:db8::1/64 with an MTU of 1500; port 1 is 2001:db8:ff::1/64 with one of 1400.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <string.h>

#include "core.h"
#include "dataplane/fib6.h"
#include "dataplane/icmp6.h"
#include "dataplane/tunnel.h"
#include "lib/ipv6.h"

#define OWN	"2001:db8::1"
#define HOST	"2001:db8::9"	 // on the link of port 0
#define AWAY	"2001:db8:2::20" // behind port 1
#define GATEWAY "2001:db8:ff::2"

static const struct source self = {.type = SOURCE_SELF};
static uint32_t tunnel;

static int setup(void **state)
{
	struct ip_addr own1;
	int err = core_setup(state);

	if (err != 0)
		return err;
	own1 = core_addr("2001:db8:ff::1");
	assert_int_equal(dp_local_addr_add(&core.dp, &own1), 0);
	core_route("2001:db8::/64", 0, NULL);
	core_route("2001:db8:ff::/64", 1, NULL);
	core_route("2001:db8:2::/48", 1, GATEWAY);
	core_neigh(0, HOST, &core_host_mac);
	core_neigh(1, GATEWAY, &core_gw_mac);
	return dp_tunnel_add(&core.dp, "t", &tunnel);
}

static void policy(enum dp_action action, const char *local, const char *remote)
{
	struct dp_policy p = {.action = action, .tunnel = tunnel};
	struct ip_prefix here, there;

	assert_int_equal(ip_prefix_parse(local, &here), 0);
	assert_int_equal(ip_prefix_parse(remote, &there), 0);
	p.local = selector_from_prefix(&here);
	p.remote = selector_from_prefix(&there);
	assert_int_equal(dp_policies_set(&core.dp, &p, 1), 0);
}

static int teardown(void **state)
{
	assert_int_equal(dp_policies_set(&core.dp, NULL, 0), 0);
	return core_teardown(state);
}

struct packet6 {
	const char *src, *dst;
	uint8_t next, hops;
	uint8_t head[12]; // what follows the header begins with this
	uint16_t len;	  // of the packet; 0: 100
	bool group, cut;  // to a multicast MAC address; one byte is missing
	uint16_t padding; // of the frame
	uint8_t not_6;	  // version and class, 0: good
};

static struct rte_mbuf *frame(const struct packet6 *p)
{
	const struct ip_addr src = core_addr(p->src), dst = core_addr(p->dst);
	const uint16_t len = p->len ? p->len : 100;
	struct rte_mbuf *m = rte_pktmbuf_alloc(core.dp.pool);
	uint8_t *eth = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(14 + len + p->padding));
	uint8_t *ip = eth + 14;

	memset(eth, 0, 14u + len + p->padding);
	memcpy(eth, &core_port_mac[0], 6);
	if (p->group)
		memcpy(eth, "\x33\x33\0\0\0\1", 6);
	memcpy(eth + 6, &core_host_mac, 6);
	eth[12] = 0x86;
	eth[13] = 0xdd;
	ip[0] = p->not_6 ? p->not_6 : 0x60;
	ip[4] = (uint8_t)((len - 40) >> 8);
	ip[5] = (uint8_t)(len - 40);
	ip[6] = p->next;
	ip[7] = p->hops ? p->hops : 64;
	memcpy(ip + 8, src.bytes, 16);
	memcpy(ip + 24, dst.bytes, 16);
	for (unsigned i = 40; i < len; i++)
		ip[i] = (uint8_t)i;
	memcpy(ip + 40, p->head, len >= 52 ? 12 : len - 40u);
	if (p->cut)
		rte_pktmbuf_trim(m, 1);
	return m;
}

static void give(const struct packet6 *p, unsigned port, enum batch_origin origin)
{
	struct rte_mbuf *m = frame(p);

	if (origin == FROM_NIC)
		memcpy(rte_pktmbuf_mtod(m, uint8_t *), &core_port_mac[port], 6);
	core_put(&core.w->self, m, port, origin);
	worker_step(core.w, &self);
}

// ---- which way ----

enum way { PUNT, LOCAL, TRANSIT, ESP, OUT, SENT, NOWHERE };

static enum way way_of(const struct packet6 *p, enum batch_origin origin, uint16_t *len)
{
	struct batch in = {.n = 0};
	enum way way = NOWHERE;
	struct rte_mbuf *sent;
	struct sorted s;

	core_put(&in, frame(p), 0, origin);
	classify(core.w, &in, &s);
	{
		struct batch *const to[] = {&s.punt, &s.local, &s.transit, &s.esp, &s.out};

		for (unsigned i = 0; i < 5; i++) {
			if (to[i]->n == 0)
				continue;
			way = (enum way)i;
			*len = to[i]->pkt[0]->data_len;
			core_free(to[i]);
		}
	}
	sent = core_sent(0);
	if (sent) {
		way = SENT;
		rte_pktmbuf_free(sent);
	}
	return way;
}

#define TCP80 .next = IPPROTO_TCP, .head = {0, 80, 0, 80}
#define ND    .next = IPPROTO_ICMPV6, .hops = 255, .head = {135}

static void test_from_a_port(void **state)
{
	static const struct {
		struct packet6 p;
		enum way way;
		enum drop_reason reason; // of NOWHERE
		const char *why;
	} rows[] = {
		{{HOST, AWAY, TCP80}, TRANSIT, 0, "to others"},
		{{HOST, AWAY, TCP80, .padding = 6}, TRANSIT, 0, "Ethernet padding goes"},
		{{HOST, AWAY, TCP80, .cut = true}, NOWHERE, DROP_RX_MALFORMED, "cut short"},
		{{HOST, AWAY, TCP80, .not_6 = 0x45}, NOWHERE, DROP_RX_MALFORMED, "version"},
		{{HOST, OWN, TCP80}, LOCAL, 0, "to us"},
		{{HOST, OWN, TCP80, .cut = true}, NOWHERE, DROP_RX_MALFORMED, "cut short"},
		{{HOST, OWN, TCP80, .group = true}, LOCAL, 0, "to us, by a group address"},
		{{HOST, AWAY, TCP80, .group = true}, NOWHERE, DROP_RX_SCOPE, "to many stations"},
		{{"ff02::1", AWAY, TCP80}, NOWHERE, DROP_RX_MALFORMED, "from a group"},
		{{"::1", AWAY, TCP80}, NOWHERE, DROP_RX_MALFORMED, "from loopback"},
		{{"::1", OWN, TCP80}, NOWHERE, DROP_RX_MALFORMED, "from loopback to us"},
		{{HOST, "::1", TCP80}, NOWHERE, DROP_RX_MALFORMED, "to loopback"},
		{{HOST, "::", TCP80}, NOWHERE, DROP_RX_MALFORMED, "to nobody"},
		{{"::", AWAY, TCP80}, NOWHERE, DROP_RX_SCOPE, "RFC 4291 2.5.2"},
		{{"fe80::1", AWAY, TCP80}, NOWHERE, DROP_RX_SCOPE, "RFC 4291 2.5.6"},
		{{"febf::1", AWAY, TCP80}, NOWHERE, DROP_RX_SCOPE, "RFC 4291 2.5.6"},
		{{"fec0::1", AWAY, TCP80}, TRANSIT, 0, "site-local is no more"},
		{{"fe80::1", OWN, TCP80}, LOCAL, 0, "a neighbour to us"},
		{{HOST, "ff02::1", TCP80}, PUNT, 0, "multicast"},
		{{HOST, "fe80::2", TCP80}, PUNT, 0, "link-local"},
		{{HOST, "febf::2", TCP80}, PUNT, 0, "link-local"},
		{{HOST, "fec0::2", TCP80}, TRANSIT, 0, "not link-local"},
		{{HOST, OWN, ND}, PUNT, 0, "who has our address?"},
		{{HOST, OWN, .next = IPPROTO_ICMPV6, .hops = 254, .head = {135}},
		 LOCAL,
		 0,
		 "ND that came from afar"},
		{{HOST, OWN, .next = IPPROTO_ICMPV6, .hops = 255, .head = {128}},
		 LOCAL,
		 0,
		 "an echo request"},
		{{HOST, OWN, .next = IPPROTO_ICMPV6, .hops = 255, .head = {138}},
		 LOCAL,
		 0,
		 "behind the last type of ND"},
		{{HOST, AWAY, ND}, TRANSIT, 0, "nobody's ND"},
		{{HOST, OWN, .next = IPPROTO_ESP}, ESP, 0, "ESP to us"},
		{{HOST, AWAY, .next = IPPROTO_ESP}, TRANSIT, 0, "ESP to others"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint16_t len = 100;
		const uint64_t before = core_dropped(rows[i].reason);
		const enum way way = way_of(&rows[i].p, FROM_NIC, &len);

		if (way != rows[i].way ||
		    (way == NOWHERE && core_dropped(rows[i].reason) != before + 1))
			fail_msg("%s: %d", rows[i].why, way);
		if (way == TRANSIT || way == LOCAL)
			assert_int_equal(len, 100);
	}
}

static void test_from_linux(void **state)
{
	static const struct {
		struct packet6 p;
		enum way way;
		const char *why;
	} rows[] = {
		{{OWN, AWAY, TCP80}, OUT, "meets the policies"},
		{{OWN, AWAY, TCP80, .cut = true}, NOWHERE, "cut short"},
		{{OWN, HOST, ND}, SENT, "ND"},
		{{OWN, "ff02::1", TCP80}, SENT, "multicast"},
		{{"fe80::1", "fe80::2", TCP80}, SENT, "link-local"},
		{{OWN, HOST, .next = IPPROTO_ICMPV6, .hops = 64, .head = {135}}, OUT, "no ND"},
	};
	uint16_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const enum way way = way_of(&rows[i].p, FROM_TAP, &len);

		if (way != rows[i].way)
			fail_msg("%s: %d", rows[i].why, way);
	}
}

// Nothing of another site's link comes out of a tunnel.
static void test_out_of_a_tunnel(void **state)
{
	static const struct {
		struct packet6 p;
		enum way way;
	} rows[] = {
		{{AWAY, HOST, TCP80}, TRANSIT},	     {{AWAY, OWN, TCP80}, LOCAL},
		{{AWAY, OWN, ND}, NOWHERE},	     {{AWAY, "ff02::1", TCP80}, NOWHERE},
		{{AWAY, "fe80::1", TCP80}, NOWHERE}, {{"fe80::1", HOST, TCP80}, NOWHERE},
		{{"fe80::1", OWN, TCP80}, NOWHERE},  {{"::", OWN, TCP80}, NOWHERE},
		{{"::1", OWN, TCP80}, NOWHERE},	     {{"ff02::1", HOST, TCP80}, NOWHERE},
		{{AWAY, "::1", TCP80}, NOWHERE},
	};
	unsigned lost = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rte_mbuf *m = frame(&rows[i].p);
		struct batch esp = {.n = 0};
		struct sorted s;

		s.local.n = s.transit.n = 0;
		rte_pktmbuf_adj(m, 14);
		core_put(&esp, m, 0, FROM_TUNNEL);
		classify_inner(core.w, &esp, &s);
		if (s.local.n != (rows[i].way == LOCAL) || s.transit.n != (rows[i].way == TRANSIT))
			fail_msg("row %zu", i);
		lost += rows[i].way == NOWHERE;
		assert_int_equal(core_dropped(DROP_ESP_INNER), lost);
		core_free(&s.local);
		core_free(&s.transit);
	}
}

// ---- the whole way ----

// A frame of a port, checked up to its IPv6 header. The caller frees it.
static struct rte_mbuf *take(unsigned port, const struct mac_addr *to)
{
	struct rte_mbuf *m = core_sent(port);
	const uint8_t *p;

	assert_non_null(m);
	p = rte_pktmbuf_mtod(m, const uint8_t *);
	assert_memory_equal(p, to, 6);
	assert_memory_equal(p + 6, &core_port_mac[port], 6);
	assert_int_equal(p[12] << 8 | p[13], 0x86dd);
	assert_int_equal(m->data_len, 14 + 40 + (p[18] << 8 | p[19]));
	return m;
}

static void test_forwarded_as_it_is(void **state)
{
	const struct packet6 p = {HOST, AWAY, TCP80, .hops = 2};
	struct rte_mbuf *m, *was = frame(&p);
	uint8_t *want = rte_pktmbuf_mtod_offset(was, uint8_t *, 14);

	(void)state;
	policy(DP_BYPASS, "::/0", "::/0");
	give(&p, 0, FROM_NIC);
	m = take(1, &core_gw_mac);
	want[7] = 1; // one hop less, and nothing else
	assert_memory_equal(rte_pktmbuf_mtod_offset(m, uint8_t *, 14), want, 100);
	rte_pktmbuf_free(m);
	rte_pktmbuf_free(was);
	assert_int_equal(core_dropped_total(), 0);
}

// RFC 4443 2.3: over the pseudo-header and the message it comes out as all ones.
static uint16_t icmp_sum(const uint8_t *ip, size_t len)
{
	uint32_t sum = (uint32_t)(len - 40) + IPPROTO_ICMPV6;

	for (size_t i = 8; i < len; i += 2)
		sum += (uint32_t)ip[i] << 8 | (i + 1 < len ? ip[i + 1] : 0u);
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

// An error to HOST about `about`, of `len` bytes in all.
static void check_error(const struct rte_mbuf *m, uint8_t type, uint8_t code, uint32_t mtu,
			const uint8_t *about, size_t len)
{
	const uint8_t *ip = rte_pktmbuf_mtod_offset(m, const uint8_t *, 14);
	const struct ip_addr own = core_addr(OWN), host = core_addr(HOST);

	assert_int_equal(m->data_len, 14 + len);
	assert_int_equal(ip[0], 0x60);
	assert_int_equal(ip[6], IPPROTO_ICMPV6);
	assert_memory_equal(ip + 8, own.bytes, 16); // that of the port where it came in
	assert_memory_equal(ip + 24, host.bytes, 16);
	assert_int_equal(ip[40], type);
	assert_int_equal(ip[41], code);
	assert_int_equal((uint32_t)ip[44] << 24 | ip[45] << 16 | ip[46] << 8 | ip[47], mtu);
	assert_int_equal(icmp_sum(ip, len), 0xffff);
	assert_memory_equal(ip + 48, about, len - 48);
}

static void test_hops_run_out(void **state)
{
	static const uint16_t lens[] = {40, 100, 1231, 1232, 1233, 1300, 1400};

	(void)state;
	policy(DP_BYPASS, "::/0", "::/0");
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		const struct packet6 p = {HOST, AWAY, TCP80, .hops = 1, .len = lens[i]};
		struct rte_mbuf *m, *was = frame(&p);

		give(&p, 0, FROM_NIC);
		assert_int_equal(core_dropped(DROP_TTL_EXCEEDED), i + 1);
		worker_step(core.w, &self);
		m = take(0, &core_host_mac);
		// RFC 4443 2.4 c: as much as fits 1280 bytes.
		check_error(m, ICMP6_TIME_EXCEEDED, 0, 0,
			    rte_pktmbuf_mtod_offset(was, uint8_t *, 14),
			    lens[i] < 1232 ? lens[i] + 48u : 1280u);
		rte_pktmbuf_free(m);
		rte_pktmbuf_free(was);
	}
}

static void test_too_big_for_the_port(void **state)
{
	static const struct {
		uint16_t len, said; // bytes of the answer, 0: none
	} rows[] = {{1400, 0}, {1401, 1280}};
	struct rte_mbuf *m;

	(void)state;
	policy(DP_BYPASS, "::/0", "::/0");
	for (size_t i = 0; i < 2; i++) {
		const struct packet6 p = {HOST, AWAY, TCP80, .len = rows[i].len};
		struct rte_mbuf *was = frame(&p);

		give(&p, 0, FROM_NIC);
		worker_step(core.w, &self);
		if (rows[i].said == 0) {
			m = take(1, &core_gw_mac);
		} else {
			uint8_t *about = rte_pktmbuf_mtod_offset(was, uint8_t *, 14);

			about[7]--;
			m = take(0, &core_host_mac);
			check_error(m, ICMP6_TOO_BIG, 0, 1400, about, rows[i].said);
		}
		rte_pktmbuf_free(m);
		rte_pktmbuf_free(was);
	}
	assert_int_equal(core_dropped(DROP_TOO_BIG), 1);
}

// RFC 4443 2.4 e.
static void test_what_is_not_answered(void **state)
{
	static const struct {
		struct packet6 p;
		bool answered;
		const char *why;
		uint8_t type; // of the answer; 0: time exceeded
	} rows[] = {
		{{HOST, AWAY, TCP80}, true, "TCP"},
		{{HOST, AWAY, .next = 59}, true, "nothing"},
		{{HOST, AWAY, .next = IPPROTO_ICMPV6, .head = {128}}, true, "a query"},
		{{HOST, AWAY, .next = IPPROTO_ICMPV6, .head = {127}}, false, "an error"},
		{{HOST, AWAY, .next = IPPROTO_ICMPV6, .head = {2}}, false, "an error"},
		{{HOST, AWAY, .next = IPPROTO_ICMPV6, .head = {137}}, false, "a redirect"},
		{{HOST, AWAY, .next = 60, .head = {58, 0, 1, 4, 0, 0, 0, 0, 3}},
		 false,
		 "an error behind options"},
		{{HOST, AWAY, .next = 44, .head = {58, 0, 0, 8, 0, 0, 0, 0, 128}},
		 false,
		 "what may be an error's rest"},
		{{HOST, AWAY, .next = 44, .head = {6, 0, 0, 8}}, true, "TCP's rest"},
		{{HOST, AWAY, .next = 44, .head = {60, 0, 0, 8}},
		 false,
		 "the rest of who knows what"},
		{{HOST, AWAY, .next = 60, .head = {6, 200}}, false, "what nobody can read"},
		{{"::", AWAY, TCP80}, false, "from nobody"},
		{{"ff02::1", AWAY, TCP80}, false, "from a group"},
		{{HOST, "ff0e::1", TCP80}, false, "to a group"},
		{{HOST, "ff0e::1", TCP80}, true, "of which the size is told", ICMP6_TOO_BIG},
		{{"::", "ff0e::1", TCP80}, false, "but not to nobody", ICMP6_TOO_BIG},
	};

	unsigned answered = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rte_mbuf *m = frame(&rows[i].p), *answer;

		rte_pktmbuf_adj(m, 14);
		m->port = 0;
		answer = icmp6_error(core.w, m, rows[i].type ? rows[i].type : ICMP6_TIME_EXCEEDED,
				     0, 0);
		if ((answer != NULL) != rows[i].answered)
			fail_msg("%s", rows[i].why);
		answered += answer != NULL;
		assert_int_equal(counter_read(&core.w->icmp_errors), answered);
		if (answer) {
			assert_int_equal(answer->port, 0);
			assert_int_equal(rte_pktmbuf_mtod(answer, uint8_t *)[7], 64);
		}
		rte_pktmbuf_free(answer);
		rte_pktmbuf_free(m);
	}
}

// The type of a query that stands behind the packet's end is none.
static void test_icmp_that_ends_in_front_of_its_type(void **state)
{
	const struct packet6 p = {HOST, AWAY, .next = IPPROTO_ICMPV6, .head = {128}};

	(void)state;
	for (uint16_t len = 40; len <= 41; len++) {
		struct rte_mbuf *m = frame(&p), *answer;

		rte_pktmbuf_adj(m, 14);
		rte_pktmbuf_trim(m, (uint16_t)(m->data_len - len));
		m->port = 0;
		answer = icmp6_error(core.w, m, ICMP6_TIME_EXCEEDED, 0, 0);
		assert_int_equal(answer != NULL, len == 41);
		rte_pktmbuf_free(answer);
		rte_pktmbuf_free(m);
	}
}

// RFC 4861: solicitations, advertisements and redirects, from the link alone (7.1).
static void test_what_neighbour_discovery_is(void **state)
{
	static const struct {
		uint8_t next, hops, type, len;
		bool nd;
	} rows[] = {
		{IPPROTO_ICMPV6, 255, 132, 48, false}, {IPPROTO_ICMPV6, 255, 133, 48, true},
		{IPPROTO_ICMPV6, 255, 137, 48, true},  {IPPROTO_ICMPV6, 255, 138, 48, false},
		{IPPROTO_ICMPV6, 254, 135, 48, false}, {IPPROTO_UDP, 255, 135, 48, false},
		{IPPROTO_ICMPV6, 255, 135, 41, true},  {IPPROTO_ICMPV6, 255, 135, 40, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t ip[48] = {[6] = rows[i].next, [7] = rows[i].hops, [40] = rows[i].type};

		if (icmp6_is_nd(ip, rows[i].len) != rows[i].nd)
			fail_msg("row %zu", i);
	}
}

static void test_errors_are_few(void **state)
{
	const struct packet6 p = {HOST, AWAY, TCP80};
	struct rte_mbuf *m = frame(&p), *answer;
	unsigned n = 0;

	(void)state;
	rte_pktmbuf_adj(m, 14);
	m->port = 0;
	for (unsigned i = 0; i < 200; i++) {
		answer = icmp6_error(core.w, m, ICMP6_TIME_EXCEEDED, 0, 0);
		n += answer != NULL;
		rte_pktmbuf_free(answer);
	}
	assert_int_equal(n, 50); // as many as of IPv4
	rte_pktmbuf_free(m);
}

// Without an own address on the port another one speaks; without any, nobody.
static void test_who_answers(void **state)
{
	const struct ip_addr own0 = core_addr(OWN), own1 = core_addr("2001:db8:ff::1"),
			     link = core_addr("fe80::5");
	uint8_t addr[16];

	(void)state;
	assert_int_equal(dp_local_addr_add(&core.dp, &link), 0);
	assert_true(fib6_port_addr(&core.dp, 1, addr));
	assert_memory_equal(addr, own1.bytes, 16);
	assert_int_equal(dp_local_addr_del(&core.dp, &own1), 0);
	assert_true(fib6_port_addr(&core.dp, 1, addr));
	assert_memory_equal(addr, own0.bytes, 16);
	assert_int_equal(dp_local_addr_del(&core.dp, &own0), 0);
	assert_false(fib6_port_addr(&core.dp, 1, addr));
}

static void test_waits_for_its_neighbour(void **state)
{
	const struct packet6 p = {HOST, "2001:db8:ff::77", TCP80};
	const struct ip_addr missing = core_addr(p.dst);
	struct dp_event ev;

	(void)state;
	policy(DP_BYPASS, "::/0", "::/0");
	give(&p, 0, FROM_NIC);
	assert_null(core_sent(1));
	assert_true(core_event(&ev));
	assert_int_equal(ev.type, DP_EV_NO_NEIGHBOUR);
	assert_int_equal(ev.port, 1);
	assert_true(ip_addr_equal(&ev.addr, &missing));
	core_neigh(1, p.dst, &core_gw_mac);
	hold_retry(core.w);
	rte_pktmbuf_free(take(1, &core_gw_mac));
}

// Clear text that is due in ESP is not taken, to others and to ourselves; ND is, and IKE.
static void test_clear_text_where_esp_is_due(void **state)
{
	const struct packet6 through = {AWAY, HOST, TCP80}, to_us = {AWAY, OWN, TCP80},
			     nd = {AWAY, OWN, ND},
			     ike = {AWAY, OWN, .next = IPPROTO_UDP, .head = {1, 244, 1, 244}};

	(void)state;
	policy(DP_PROTECT, "2001:db8::/64", "2001:db8:2::/48");
	give(&through, 1, FROM_NIC);
	give(&to_us, 1, FROM_NIC);
	assert_int_equal(core_dropped(DROP_CLEAR_INBOUND), 2);
	assert_null(core_punted());
	give(&nd, 1, FROM_NIC);
	give(&ike, 1, FROM_NIC);
	for (unsigned i = 0; i < 2; i++) {
		struct rte_mbuf *m = core_punted();

		assert_non_null(m);
		assert_int_equal(m->data_len, 114);
		assert_memory_equal(rte_pktmbuf_mtod(m, uint8_t *), &core_port_mac[1], 6);
		rte_pktmbuf_free(m);
	}
}

// Linux's own packets: into the tunnel, or as they are.
static void test_linux_sends(void **state)
{
	const struct packet6 p = {OWN, AWAY, TCP80};
	struct rte_mbuf *m, *was = frame(&p);

	(void)state;
	give(&p, 1, FROM_TAP);
	m = core_sent(1);
	assert_non_null(m);
	assert_memory_equal(rte_pktmbuf_mtod(m, void *), rte_pktmbuf_mtod(was, void *), 114);
	rte_pktmbuf_free(m);
	rte_pktmbuf_free(was);
	policy(DP_PROTECT, "2001:db8::/64", "2001:db8:2::/48");
	give(&p, 1, FROM_TAP);
	assert_null(core_sent(1));
	assert_int_equal(core_dropped(DROP_NO_SA), 1);
}

// What a tunnel brings for ourselves goes to Linux as IPv6.
static void test_punted_out_of_a_tunnel(void **state)
{
	const struct packet6 p = {AWAY, OWN, TCP80};
	struct rte_mbuf *m = frame(&p);
	struct batch b = {.n = 0};
	const uint8_t *eth;

	(void)state;
	rte_pktmbuf_adj(m, 14);
	core_put(&b, m, 1, FROM_TUNNEL);
	punt(core.w, &b);
	m = core_punted();
	assert_non_null(m);
	eth = rte_pktmbuf_mtod(m, const uint8_t *);
	assert_int_equal(eth[12] << 8 | eth[13], 0x86dd);
	assert_memory_equal(eth, &core_port_mac[1], 6);
	rte_pktmbuf_free(m);
}

// ---- what is cut outside ----

// RFC 8200 4.5: pieces of our own packet, put together again by hand.
static void test_own_esp_is_cut(void **state)
{
	static const uint16_t mtus[] = {1280, 1281, 1287, 1288, 1359};
	const struct packet6 p = {OWN, AWAY, .next = IPPROTO_ESP, .len = 1360};
	uint32_t ids[5];

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		struct rte_mbuf *m = frame(&p), *was = frame(&p);
		const uint8_t *ip = rte_pktmbuf_mtod_offset(was, const uint8_t *, 14);
		struct batch b = {.n = 0};
		unsigned at = 40;

		rte_pktmbuf_adj(m, 14);
		core.port[1].mtu = mtus[i];
		core_put(&b, m, 1, FROM_NIC);
		route(core.w, &b);
		for (unsigned k = 0; k < 2; k++) {
			struct rte_mbuf *piece = take(1, &core_gw_mac);
			const uint8_t *q = rte_pktmbuf_mtod_offset(piece, const uint8_t *, 14);
			const unsigned len = piece->data_len - 14u - 48u;

			assert_true(piece->data_len <= 14 + mtus[i]);
			assert_memory_equal(q, ip, 4);
			assert_int_equal(q[6], 44);
			assert_memory_equal(q + 7, ip + 7, 33);
			assert_int_equal(q[40], IPPROTO_ESP);
			assert_int_equal((q[42] << 8 | q[43]) & ~7, at - 40);
			assert_int_equal(q[43] & 7, k == 0);
			assert_memory_equal(q + 48, ip + at, len);
			if (k == 0)
				memcpy(&ids[i], q + 44, 4);
			else
				assert_memory_equal(&ids[i], q + 44, 4);
			at += len;
			rte_pktmbuf_free(piece);
		}
		assert_int_equal(at, 1360);
		assert_null(core_sent(1));
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(ids[k], ids[i]);
		rte_pktmbuf_free(was);
	}
	assert_int_equal(counter_read(&core.w->cut_packets), 5);
	assert_int_equal(counter_read(&core.w->cut_pieces), 10);
	assert_int_equal(core_dropped_total(), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_from_a_port),
		T(test_from_linux),
		T(test_out_of_a_tunnel),
		T(test_forwarded_as_it_is),
		T(test_hops_run_out),
		T(test_too_big_for_the_port),
		T(test_what_is_not_answered),
		T(test_icmp_that_ends_in_front_of_its_type),
		T(test_what_neighbour_discovery_is),
		T(test_errors_are_few),
		T(test_who_answers),
		T(test_waits_for_its_neighbour),
		T(test_clear_text_where_esp_is_due),
		T(test_linux_sends),
		T(test_punted_out_of_a_tunnel),
		T(test_own_esp_is_cut),
	};

	return cmocka_run_group_tests(tests, core_group_setup, core_group_teardown);
}
