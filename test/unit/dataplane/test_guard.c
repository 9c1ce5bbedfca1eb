// The guard of UDP/500 and 4500: who passes when, who is asked for a cookie, what is counted of
// whom.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <rte_udp.h>

#include "core.h"
#include "dataplane/census.h"
#include "dataplane/guard.h"
#include "lib/bytes.h"
#include "lib/ike_cookie.h"
#include "lib/ike_wire.h"
#include "lib/limits.h"
#include "test/unit/lib/random.h"

#define SPI	   0x1122334455667788u
#define OUR_SPI	   0x8877665544332211u
#define PEER	   "192.0.2.77"
#define OTHER_PEER "192.0.2.78"
#define US	   "192.0.2.1"

static const struct dp_guard_params rates = {
	.on = true,
	.peer_rate = 10,
	.proven_rate = 20,
	.stranger_rate = 8,
	.unknown_rate = 6,
	.v1_rate = 4,
	.answer_rate = 1000000,
};
static struct ike_cookie_keys keys = {.version = 7, .now = "sixteen octets!", .before = "before"};
static uint64_t tsc;

struct ike { // one message
	uint8_t version, exchange, flags;
	uint64_t spi_i, spi_r;
	const uint8_t *cookie; // IKE_COOKIE_LEN
	bool marker;
};

static const struct ike opener = {0x20, EXCHANGE_IKE_SA_INIT, IKE_FLAG_INITIATOR, SPI, 0};

static void put_payload(struct writer *w, uint8_t next, const void *body, size_t len)
{
	write_u8(w, next);
	write_u8(w, 0);
	write_u16(w, (uint16_t)(4 + len));
	write_bytes(w, body, len);
}

static size_t build(uint8_t *msg, size_t cap, const struct ike *ike)
{
	static const uint8_t nonce[32] = "a nonce", body[64] = "a body";
	struct writer w = writer_of(msg, cap);
	const size_t start = ike->marker ? 4 : 0;

	write_zeros(&w, start);
	write_u64(&w, ike->spi_i);
	write_u64(&w, ike->spi_r);
	write_u8(&w, ike->version != 0x20 ? 1 : ike->cookie ? PAYLOAD_NOTIFY : PAYLOAD_SA);
	write_u8(&w, ike->version);
	write_u8(&w, ike->exchange);
	write_u8(&w, ike->flags);
	write_u32(&w, 0);
	write_u32(&w, 0);
	if (ike->cookie) {
		uint8_t notify[4 + IKE_COOKIE_LEN] = {0, 0, 0x40, 0x06};

		memcpy(notify + 4, ike->cookie, IKE_COOKIE_LEN);
		put_payload(&w, PAYLOAD_SA, notify, sizeof(notify));
	}
	put_payload(&w, ike->version == 0x20 ? PAYLOAD_KE : 0, body, 44);
	if (ike->version == 0x20) {
		put_payload(&w, PAYLOAD_NONCE, body, 64);
		put_payload(&w, PAYLOAD_NONE, nonce, sizeof(nonce));
	}
	write_u32_at(&w, start + 24, (uint32_t)(w.len - start));
	assert_false(w.failed);
	return w.len;
}

// Sends it through the guard. Where it went: 'f'irst, 'p'unt, 'a'nswered, 'd'ropped.
static char pass(struct rte_mbuf *m)
{
	const uint64_t dropped = core_dropped_total();
	struct batch b = {0}, first = {0};
	char went;

	rte_pktmbuf_adj(m, RTE_ETHER_HDR_LEN);
	core_put(&b, m, 1, FROM_NIC);
	core.w->now_tsc = tsc;
	guard(core.w, &b, &first);
	went = first.n ? 'f' : b.n ? 'p' : core.w->self.n ? 'a' : 'd';
	assert_int_equal((uint64_t)b.n + first.n + core.w->self.n + core_dropped_total() - dropped,
			 1);
	core_free(&b);
	core_free(&first);
	return went; // an answer stays in core.w->self
}

static struct rte_mbuf *frame_of(const char *from, const struct ike *ike)
{
	uint8_t msg[512];
	const struct packet p = {
		.src = from,
		.dst = US,
		.dst_port = ike->marker ? 4500 : 500,
		.payload = msg,
		.payload_len = (uint16_t)build(msg, sizeof(msg), ike),
	};

	return core_frame(&p);
}

static char sends(const char *from, const struct ike *ike)
{
	const char went = pass(frame_of(from, ike));

	core_free(&core.w->self);
	return went;
}

// How many of n pass.
static unsigned passed(const char *from, const struct ike *ike, unsigned n)
{
	unsigned count = 0;

	while (n-- > 0) {
		const char went = sends(from, ike);

		count += went == 'f' || went == 'p';
	}
	return count;
}

static struct dp_guard_info info(void)
{
	struct dp_guard_info i;

	dp_guard_info(&core.dp, &i);
	return i;
}

static int setup(void **state)
{
	const struct dp_guard_peer peers[] = {
		{core_addr(PEER), core_addr(PEER)},
		{core_addr(OTHER_PEER), core_addr(OTHER_PEER)},
		{core_addr("2001:db8::7"), core_addr("2001:db8::7")},
	};

	if (core_setup(state))
		return -1;
	core.dp.tsc_hz = 1000000;
	tsc = 1u << 30;
	assert_int_equal(dp_guard_set_rates(&core.dp, &rates), 0);
	assert_int_equal(dp_guard_set_peers(&core.dp, peers, 3), 0);
	assert_int_equal(dp_guard_set_cookies(&core.dp, &keys), 0);
	assert_int_equal(dp_guard_add_spi(&core.dp, OUR_SPI), 0);
	return 0;
}

// ---- who passes ----

static void test_budgets(void **state)
{
	const struct ike v1 = {0x10, 2, 0, SPI, 0};
	const struct ike unknown = {0x20, EXCHANGE_INFORMATIONAL, IKE_FLAG_INITIATOR, SPI, 99};
	const struct ike known = {0x20, EXCHANGE_IKE_AUTH, IKE_FLAG_INITIATOR, SPI, OUR_SPI};
	const struct ike answer = {0x20, EXCHANGE_IKE_SA_INIT, IKE_FLAG_RESPONSE, OUR_SPI, SPI};

	(void)state;
	// Each kind has half a second's worth at once, and none takes from another.
	assert_int_equal(passed("203.0.113.1", &opener, 100), 4);
	assert_int_equal(passed("203.0.113.2", &opener, 100), 0); // strangers share
	assert_int_equal(passed("203.0.113.1", &unknown, 100), 3);
	assert_int_equal(passed("203.0.113.1", &v1, 100), 2);
	assert_int_equal(passed(PEER, &opener, 100), 5);
	assert_int_equal(passed(OTHER_PEER, &opener, 100), 5); // peers do not
	assert_int_equal(passed(PEER, &unknown, 100), 5);
	assert_int_equal(passed(PEER, &v1, 100), 0); // the rest of a peer is one budget
	assert_int_equal(passed("203.0.113.9", &known, 100), 100);
	assert_int_equal(passed("203.0.113.9", &answer, 100), 100);
	dp_guard_del_spi(&core.dp, OUR_SPI);
	assert_int_equal(passed("203.0.113.9", &known, 100), 0);
	// And earns again: 10, 8, 6, 4 a second.
	tsc += 250000;
	assert_int_equal(passed(PEER, &opener, 100), 2);
	assert_int_equal(passed("203.0.113.2", &opener, 100), 2);
	tsc += 10000000;
	assert_int_equal(passed(PEER, &opener, 100), 5); // but saves no more than that
}

static void test_first(void **state)
{
	const struct ike known = {0x20, EXCHANGE_IKE_AUTH, IKE_FLAG_INITIATOR, SPI, OUR_SPI};

	(void)state;
	assert_int_equal(sends(PEER, &opener), 'f');
	assert_int_equal(sends("203.0.113.1", &known), 'f');
	assert_int_equal(sends("203.0.113.1", &opener), 'p');
	assert_int_equal(info().fate[GUARD_PEER], 1);
	assert_int_equal(info().fate[GUARD_KNOWN], 1);
	assert_int_equal(info().fate[GUARD_STRANGER], 1);
	assert_int_equal(info().n_peers, 3);
	assert_int_equal(info().n_spis, 1);
}

static void test_off(void **state)
{
	struct dp_guard_params off = rates;

	(void)state;
	off.on = false;
	assert_int_equal(dp_guard_set_rates(&core.dp, &off), 0);
	assert_int_equal(passed("203.0.113.1", &opener, 100), 100);
}

static void test_malformed(void **state)
{
	struct rte_mbuf *m = frame_of(PEER, &opener);
	struct ike marked = opener;

	(void)state;
	*rte_pktmbuf_mtod_offset(m, uint8_t *, 14 + 20 + 8 + 27) ^= 1; // the length
	assert_int_equal(pass(m), 'd');
	m = frame_of(PEER, &opener);
	*rte_pktmbuf_mtod_offset(m, uint8_t *, 14 + 20 + 4) = 0xff; // UDP's length
	assert_int_equal(pass(m), 'd');
	assert_int_equal(core_dropped(DROP_GUARD_MALFORMED), 2);
	marked.marker = true;
	assert_int_equal(sends(PEER, &marked), 'f');
}

static void test_others_are_left_alone(void **state)
{
	const struct packet rows[] = {
		{.src = PEER, .dst = US, .dst_port = 53},
		{.src = PEER, .dst = US, .proto = IPPROTO_ICMP, .payload_len = 40},
		{.src = PEER, .dst = US, .dst_port = 500, .frag = 100, .payload_len = 40},
		{.src = PEER, .dst = US, .dst_port = 500, .ether_type = RTE_ETHER_TYPE_ARP},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(pass(core_frame(&rows[i])), 'p');
	for (unsigned i = 0; i < GUARD_FATE_COUNT; i++)
		assert_int_equal(info().fate[i], 0);
}

// ---- cookies ----

// Takes the answer and reads its cookie; checks all that stands before it.
static void take_cookie(bool marker, uint8_t out[IKE_COOKIE_LEN])
{
	struct rte_mbuf *m = core.w->self.pkt[0];
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(m, struct rte_udp_hdr *, sizeof(*ip));
	const uint8_t *msg = (const uint8_t *)(udp + 1) + (marker ? 4 : 0);
	uint16_t cksum;

	assert_int_equal(core.w->self.n, 1);
	assert_int_equal(core.w->self.origin[0], FROM_SELF);
	assert_true(core.w->self.from_linux[0]);
	assert_int_equal(m->data_len, 20 + 8 + (marker ? 4 : 0) + IKE_COOKIE_REPLY_LEN);
	assert_int_equal(rte_be_to_cpu_16(ip->total_length), m->data_len);
	assert_int_equal(rte_ipv4_cksum(ip), 0);
	assert_int_equal(ip->src_addr, core_be32(US));
	assert_int_equal(ip->dst_addr, core_be32(PEER));
	assert_int_equal(rte_be_to_cpu_16(udp->src_port), marker ? 4500 : 500);
	assert_int_equal(rte_be_to_cpu_16(udp->dst_port), 40000);
	cksum = udp->dgram_cksum;
	udp->dgram_cksum = 0;
	assert_int_equal(rte_ipv4_udptcp_cksum(ip, udp), cksum);
	if (marker)
		assert_memory_equal(udp + 1, "\0\0\0\0", 4);
	assert_int_equal(msg[16], PAYLOAD_NOTIFY);
	assert_int_equal(msg[18], EXCHANGE_IKE_SA_INIT);
	assert_int_equal(msg[19], IKE_FLAG_RESPONSE);
	assert_memory_equal(msg + 8, "\0\0\0\0\0\0\0\0", 8); // RFC 7296 2.6: no SPI
	assert_int_equal(msg[27], IKE_COOKIE_REPLY_LEN);
	memcpy(out, msg + IKE_HEADER_LEN + 8, IKE_COOKIE_LEN);
	core_free(&core.w->self);
}

static void test_cookie(void **state)
{
	uint8_t cookie[IKE_COOKIE_LEN];
	struct ike shown = opener;

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		struct ike asked = opener;

		asked.marker = shown.marker = round == 1;
		passed(PEER, &asked, 100);
		assert_int_equal(pass(frame_of(PEER, &asked)), 'a');
		take_cookie(asked.marker, cookie);
		shown.cookie = cookie;
		// Half a second's worth of those, too, and nobody without one takes from it.
		assert_int_equal(passed(PEER, &shown, 100), 10);
		assert_int_equal(sends(PEER, &shown), 'd');
		tsc += 10000000;
	}
	passed("203.0.113.1", &opener, 100);
	assert_int_equal(sends("203.0.113.1", &shown), 'a'); // another's is none
	assert_int_equal(sends("203.0.113.1", &opener), 'a');
	assert_true(info().fate[GUARD_PROVEN] == 20 && info().fate[GUARD_COOKIE] > 100);
	assert_int_equal(info().peer_limited, 2 * 91);
}

static void test_cookie_of_what(void **state)
{
	uint8_t cookie[IKE_COOKIE_LEN], bad[IKE_COOKIE_LEN];
	struct ike shown = opener;

	(void)state;
	passed(PEER, &opener, 100);
	pass(frame_of(PEER, &opener));
	take_cookie(false, cookie);
	shown.cookie = bad;
	for (unsigned i = 0; i < IKE_COOKIE_LEN; i++) { // every octet of it counts
		memcpy(bad, cookie, sizeof(bad));
		bad[i] ^= 0x10;
		assert_int_equal(sends(PEER, &shown), 'a');
	}
	shown.cookie = cookie;
	shown.spi_i++;
	assert_int_equal(sends(PEER, &shown), 'a'); // of another opener
	shown.spi_i--;
	assert_int_equal(sends(PEER, &shown), 'f');
	// The key before it is good as well, the one before that is not.
	keys.version++;
	keys.has_before = true;
	memcpy(keys.before, keys.now, sizeof(keys.now));
	keys.now[0]++;
	assert_int_equal(dp_guard_set_cookies(&core.dp, &keys), 0);
	assert_int_equal(sends(PEER, &shown), 'f');
	keys.version++;
	memcpy(keys.before, keys.now, sizeof(keys.now));
	keys.now[0]++;
	assert_int_equal(dp_guard_set_cookies(&core.dp, &keys), 0);
	assert_int_equal(sends(PEER, &shown), 'a');
}

// How many of n openers, each with an SPI of its own from `spi` on, are answered.
static unsigned answered(const char *from, uint64_t spi, unsigned n)
{
	struct ike one = opener;
	unsigned count = 0;

	for (one.spi_i = spi; one.spi_i < spi + n; one.spi_i++)
		count += sends(from, &one) == 'a';
	return count;
}

// Of more openers than are answered at once, those that are repeated are.
static void test_a_flood_is_answered_where_it_repeats_itself(void **state)
{
	struct dp_guard_params few = rates;
	struct guard_seen *seen = &core.dp.guard->seen;

	(void)state;
	few.answer_rate = 16;
	assert_int_equal(dp_guard_set_rates(&core.dp, &few), 0);
	passed(PEER, &opener, 5); // its budget without cookies
	passed("203.0.113.1", &opener, 4);
	// Half a second's worth at once, for each peer and for all strangers.
	assert_in_range(answered(PEER, 1000, 1000), 8, 9);
	assert_in_range(answered("203.0.113.1", 3000, 1000), 8, 9);
	assert_in_range(answered("203.0.113.2", 5000, 1000), 0, 1);
	assert_in_range(info().fate[GUARD_UNREPEATED], 2981, 2984);
	assert_int_equal(core_dropped(DROP_GUARD_UNREPEATED), info().fate[GUARD_UNREPEATED]);
	// Who repeats his is answered, every time.
	assert_int_equal(answered(PEER, 1000, 1000), 1000);
	assert_int_equal(answered("203.0.113.2", 5000, 1000), 1000);
	assert_int_equal(answered(PEER, 1000, 1000), 1000);
	// Not for ever: a turn later it is known, two more turns later it is not.
	seen->turned_tsc = 0;
	guard_seen_age(seen, SEEN_MS * 1000ull, 1000000);
	assert_int_equal(answered("203.0.113.1", 3000, 1000), 1000);
	for (unsigned i = 0; i < 2; i++) {
		guard_seen_age(seen, seen->turned_tsc + 2000000, 1000000);
		guard_seen_age(seen, seen->turned_tsc + SEEN_MS * 1000ull, 1000000);
	}
	assert_in_range(answered(PEER, 1000, 1000), 0, 1);
}

// The answer must not be longer than what came; and without room it is not sent.
static void test_no_answer(void **state)
{
	struct rte_mbuf *m;

	(void)state;
	passed(PEER, &opener, 100);
	for (unsigned i = 0; i < BATCH_MAX; i++)
		assert_true(pass(frame_of(PEER, &opener)) == 'a' && core.w->self.n == 1 &&
			    (core_free(&core.w->self), true));
	core.w->self.n = 0;
	for (unsigned i = 0; i < BATCH_MAX; i++) {
		m = core_bare(&(struct packet){.src = PEER, .dst = US});
		core_put(&core.w->self, m, 1, FROM_SELF);
	}
	{
		struct batch b = {0}, first = {0};

		m = frame_of(PEER, &opener);
		rte_pktmbuf_adj(m, RTE_ETHER_HDR_LEN);
		core_put(&b, m, 1, FROM_NIC);
		guard(core.w, &b, &first);
		assert_int_equal(b.n + first.n, 0);
		assert_int_equal(core.w->self.n, BATCH_MAX);
		assert_true(core_dropped(DROP_GUARD_LIMITED) > 0);
	}
	core_free(&core.w->self);
}

// ---- IPv6 ----

static struct rte_mbuf *frame6(const char *from, uint8_t ext, const struct ike *ike)
{
	uint8_t msg[512], packet[1024];
	const size_t len = build(msg, sizeof(msg), ike), ext_len = ext ? 8 : 0;
	const struct ip_addr src = core_addr(from), dst = core_addr("2001:db8::1");
	struct writer w = writer_of(packet, sizeof(packet));
	struct rte_mbuf *m = core_frame(&(struct packet){.src = "10.1.0.9",
							 .dst = US,
							 .payload_len = 600,
							 .ether_type = RTE_ETHER_TYPE_IPV6});

	write_u32(&w, 6u << 28);
	write_u16(&w, (uint16_t)(ext_len + 8 + len));
	write_u8(&w, ext ? ext : IPPROTO_UDP);
	write_u8(&w, 33);
	write_bytes(&w, src.bytes, 16);
	write_bytes(&w, dst.bytes, 16);
	if (ext) {
		write_u8(&w, IPPROTO_UDP);
		write_u8(&w, 0);
		write_u16(&w, 0x0104); // PadN
		write_u32(&w, 0);
	}
	write_u16(&w, 40000);
	write_u16(&w, 500);
	write_u16(&w, (uint16_t)(8 + len));
	write_u16(&w, 0);
	write_bytes(&w, msg, len);
	assert_false(w.failed);
	memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, RTE_ETHER_HDR_LEN), packet, w.len);
	m->data_len = (uint16_t)(RTE_ETHER_HDR_LEN + w.len);
	m->pkt_len = m->data_len;
	return m;
}

static void test_ipv6(void **state)
{
	const uint8_t destination_options = 60;
	const struct rte_ipv6_hdr *ip;
	const struct ip_addr us = core_addr("2001:db8::1");
	struct rte_udp_hdr *udp;
	uint16_t cksum;

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(
			pass(frame6("2001:db8::7", i & 1 ? destination_options : 0, &opener)), 'f');
	for (unsigned i = 0; i < 2; i++) { // nobody gets past it by an extension header
		assert_int_equal(pass(frame6("2001:db8::7", i ? destination_options : 0, &opener)),
				 'a');
		ip = rte_pktmbuf_mtod(core.w->self.pkt[0], const struct rte_ipv6_hdr *);
		assert_int_equal(core.w->self.pkt[0]->data_len, 40 + 8 + IKE_COOKIE_REPLY_LEN);
		assert_memory_equal((const uint8_t *)ip + 8, us.bytes, 16);
		assert_int_equal(ip->proto, IPPROTO_UDP);
		udp = rte_pktmbuf_mtod_offset(core.w->self.pkt[0], struct rte_udp_hdr *, 40);
		cksum = udp->dgram_cksum;
		udp->dgram_cksum = 0;
		assert_int_equal(rte_ipv6_udptcp_cksum(ip, udp), cksum);
		core_free(&core.w->self);
	}
}

// ---- the census ----

static void test_census(void **state)
{
	const struct ike v1 = {0x10, 2, 0, SPI, 0};
	struct dp_guard_source top[4];
	char text[32];

	(void)state;
	// One who sends one message in a hundred stands out among 20,000 who send one each.
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(text, sizeof(text), "203.%u.%u.%u", 1 + i % 100, i / 100 % 250, i % 250);
		sends(text, &opener);
		if (i % 100 == 0)
			sends("198.51.100.9", &v1);
		tsc += 100;
	}
	assert_true(dp_guard_sources(&core.dp, top, 4) > 900);
	assert_true(ip_addr_equal(&top[0].addr, &(struct ip_addr){IP_V4, {198, 51, 100, 9}}));
	assert_true(top[0].packets - top[0].over <= 200 && top[0].packets - top[0].over > 150);
	assert_int_equal(top[0].v1, top[0].packets - top[0].over);
	assert_int_equal(top[0].openers, 0);
	assert_int_equal(top[0].to_500, top[0].v1);
	assert_int_equal(top[0].from_port, 40000);
	assert_int_equal(top[0].ttl_min, 64);
	assert_true(top[0].per_second_max > 90 && top[0].per_second_max <= 101);
	assert_true(top[1].packets - top[1].over < 10);
}

static void test_census_of_ipv6_counts_a_64(void **state)
{
	struct dp_guard_source top[2];
	char text[64];

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		snprintf(text, sizeof(text), "2001:db8:bad::%x", i + 1);
		pass(frame6(text, 0, &opener));
		core_free(&core.w->self);
	}
	assert_int_equal(dp_guard_sources(&core.dp, top, 2), 1);
	assert_int_equal(top[0].packets, 50);
	assert_int_equal(top[0].openers, 50);
	assert_true(ip_addr_equal(&top[0].addr,
				  &(struct ip_addr){IP_V6, {0x20, 1, 0xd, 0xb8, 0xb, 0xad}}));
}

// ---- how far a peer is away ----

// One message with that TTL or hop limit; what the census has of its source then.
static struct dp_guard_source sent_with(const char *from, const struct ike *ike, uint8_t ttl)
{
	const struct ip_addr a = core_addr(from);
	const bool v6 = a.family == IP_V6;
	struct rte_mbuf *m = v6 ? frame6(from, 0, ike) : frame_of(from, ike);
	struct dp_guard_source all[8];
	const size_t limit_at = RTE_ETHER_HDR_LEN + (v6 ? 7 : 8);
	size_t n;

	*rte_pktmbuf_mtod_offset(m, uint8_t *, limit_at) = ttl;
	pass(m);
	core_free(&core.w->self);
	n = dp_guard_sources(&core.dp, all, 8);
	for (size_t i = 0; i < n && i < 8; i++)
		if (ip_addr_equal(&all[i].addr, &a))
			return all[i];
	return (struct dp_guard_source){0};
}

static void test_ttl_of_a_peer(void **state)
{
	const struct ike known = {0x20, EXCHANGE_IKE_AUTH, IKE_FLAG_INITIATOR, SPI, OUR_SPI};
	const struct dp_guard_peer stay = {core_addr(PEER), core_addr(PEER)};
	const struct ip_addr peer = core_addr(PEER), stranger = core_addr("203.0.113.1");
	struct dp_guard_source s;

	(void)state;
	assert_int_equal(sent_with(PEER, &opener, 40).odd_ttl, 0); // of nobody known
	assert_int_equal(dp_guard_set_ttl(&core.dp, &stranger, 61), -ENOENT);
	assert_int_equal(dp_guard_set_ttl(&core.dp, &peer, 61), 0);
	assert_int_equal(sent_with(PEER, &opener, 61).odd_ttl, 0);
	assert_int_equal(sent_with(PEER, &opener, 63).odd_ttl, 0);
	assert_int_equal(sent_with(PEER, &opener, 58).odd_ttl, 1);
	s = sent_with(PEER, &opener, 70);
	assert_int_equal(s.odd_ttl, 2);
	assert_int_equal(s.odd_ttl_min, 58);
	assert_int_equal(s.odd_ttl_max, 70);
	assert_int_equal(s.ttl_known, 61);
	assert_true(s.is_peer);
	// An SPI of ours on a message that nobody has authenticated yet teaches nothing.
	assert_int_equal(sent_with(PEER, &known, 40).ttl_known, 61);
	assert_int_equal(sent_with(PEER, &opener, 61).odd_ttl, 2);
	// Another place in the census (another worker, or pushed out and come back) knows it as
	// well.
	memset(core.w->census, 0, sizeof(*core.w->census));
	assert_int_equal(sent_with(PEER, &opener, 50).odd_ttl, 1);
	// So does the table of a new configuration.
	assert_int_equal(dp_guard_set_peers(&core.dp, &stay, 1), 0);
	assert_int_equal(sent_with(PEER, &opener, 50).odd_ttl, 2);
	// The route to it has changed: what was odd before is its own now.
	assert_int_equal(dp_guard_set_ttl(&core.dp, &peer, 51), 0);
	assert_int_equal(sent_with(PEER, &opener, 50).odd_ttl, 0);
	assert_int_equal(sent_with(PEER, &opener, 61).odd_ttl, 1);
}

static void test_ttl_of_a_range(void **state)
{
	const struct ike known = {0x20, EXCHANGE_IKE_AUTH, IKE_FLAG_INITIATOR, SPI, OUR_SPI};
	const struct dp_guard_peer range = {core_addr("192.0.2.64"), core_addr("192.0.2.127")};
	const struct ip_addr peer = core_addr(PEER);

	(void)state;
	assert_int_equal(dp_guard_set_peers(&core.dp, &range, 1), 0);
	assert_int_equal(dp_guard_set_ttl(&core.dp, &peer, 61), -ENOENT);
	assert_int_equal(sent_with(PEER, &known, 61).ttl_known, 61);
	assert_int_equal(sent_with(PEER, &opener, 50).odd_ttl, 1);
	assert_int_equal(sent_with(OTHER_PEER, &opener, 50).odd_ttl, 0); // another station
}

static void test_hop_limit_of_a_peer(void **state)
{
	const struct ip_addr peer = core_addr("2001:db8::7");
	struct dp_guard_source s;

	(void)state;
	assert_int_equal(dp_guard_set_ttl(&core.dp, &peer, 61), 0);
	assert_int_equal(sent_with("2001:db8::7", &opener, 60).odd_ttl, 0);
	// A neighbour of the peer is another source, however far away.
	assert_int_equal(sent_with("2001:db8::8", &opener, 250).packets, 0);
	s = sent_with("2001:db8::7", &opener, 250);
	assert_int_equal(s.odd_ttl, 1);
	assert_int_equal(s.odd_ttl_max, 250);
	assert_int_equal(s.packets, 2);
	assert_true(s.is_peer);
}

// ---- tables ----

static void test_spis(void **state)
{
	enum { N = 20000 };
	static uint64_t have[N];
	struct test_random rnd = test_random_start("spis");

	(void)state;
	for (unsigned round = 0; round < 200000; round++) {
		const unsigned i = (unsigned)(test_random_u64(&rnd) % N);

		if (have[i]) {
			assert_true(guard_spis_have(core.dp.guard->spis, have[i]));
			dp_guard_del_spi(&core.dp, have[i]);
			assert_false(guard_spis_have(core.dp.guard->spis, have[i]));
			have[i] = 0;
		} else {
			have[i] = test_random_u64(&rnd);
			assert_int_equal(dp_guard_add_spi(&core.dp, have[i]), 0);
		}
		if (round % 1000 == 0)
			dp_housekeeping(&core.dp);
	}
	for (unsigned i = 0; i < N; i++)
		if (have[i])
			assert_true(guard_spis_have(core.dp.guard->spis, have[i]));
	assert_true(core.dp.guard->spis->mask < 8 * N);
	assert_int_equal(dp_guard_add_spi(&core.dp, 0), -EINVAL);
	assert_int_equal(dp_guard_add_spi(&core.dp, 1), -EINVAL);
	assert_false(guard_spis_have(core.dp.guard->spis, 0));
}

static void test_peers(void **state)
{
	const struct dp_guard_peer peers[] = {
		{core_addr("10.0.0.5"), core_addr("10.0.0.9")},
		{core_addr("10.0.0.8"), core_addr("10.0.0.20")},
		{core_addr("10.0.0.1"), core_addr("10.0.0.1")},
		{core_addr("10.0.0.6"), core_addr("10.0.0.7")},
		{core_addr("2001:db8::"), core_addr("2001:db8::ff")},
		{core_addr("10.0.0.1"), core_addr("10.0.0.1")},
	};
	static const struct {
		const char *addr;
		bool known;
	} rows[] = {
		{"10.0.0.0", false},  {"10.0.0.1", true},	  {"10.0.0.2", false},
		{"10.0.0.4", false},  {"10.0.0.5", true},	  {"10.0.0.20", true},
		{"10.0.0.21", false}, {"2001:db8::80", true},	  {"2001:db8::100", false},
		{"::", false},	      {"255.255.255.255", false},
	};

	(void)state;
	assert_int_equal(dp_guard_set_peers(&core.dp, peers, 6), 0);
	assert_int_equal(info().n_peers, 3); // one, a range out of three, one of IPv6
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct ip_addr a = core_addr(rows[i].addr);

		assert_int_equal(guard_peers_find(core.dp.guard->peers, &a) != NULL, rows[i].known);
	}
	assert_int_equal(dp_guard_set_peers(&core.dp, NULL, 0), 0);
	assert_int_equal(info().n_peers, 0);
}

// A reload gives nobody a fresh budget.
static void test_peers_that_stay(void **state)
{
	const struct dp_guard_peer stay = {core_addr(PEER), core_addr(PEER)};

	(void)state;
	assert_int_equal(passed(PEER, &opener, 100), 5);
	assert_int_equal(dp_guard_set_peers(&core.dp, &stay, 1), 0);
	assert_int_equal(passed(PEER, &opener, 100), 0);
	assert_int_equal(core.dp.guard->peers->peer[0].passed, 5);
	assert_int_equal(core.dp.guard->peers->peer[0].cookies, 195);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, core_teardown)
		T(test_budgets),
		T(test_first),
		T(test_off),
		T(test_malformed),
		T(test_others_are_left_alone),
		T(test_cookie),
		T(test_cookie_of_what),
		T(test_a_flood_is_answered_where_it_repeats_itself),
		T(test_no_answer),
		T(test_ipv6),
		T(test_census),
		T(test_census_of_ipv6_counts_a_64),
		T(test_ttl_of_a_peer),
		T(test_ttl_of_a_range),
		T(test_hop_limit_of_a_peer),
		T(test_spis),
		T(test_peers),
		T(test_peers_that_stay),
	};

	return cmocka_run_group_tests(tests, core_group_setup, core_group_teardown);
}
