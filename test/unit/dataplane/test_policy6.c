// The policies of IPv6: what a packet matches, through the index and without, and what a batch of
// both families is sorted into.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake_dp.h"

#include "dataplane/policy6.h"
#include "dataplane/policy_index.h"

enum { TCP = 6, UDP = 17, ICMP6 = 58 };

static uint32_t tunnel;
static struct batch in, protect, pass;

static int setup(void **state)
{
	int err = fake_setup(state);

	memset(&in, 0, sizeof(in));
	memset(&protect, 0, sizeof(protect));
	memset(&pass, 0, sizeof(pass));
	return err != 0 ? err : dp_tunnel_add(&fake.dp, "site-b", &tunnel);
}

static void put_addr(uint8_t *at, const char *text)
{
	struct ip_addr a;

	assert_int_equal(ip_addr_parse(text, &a), 0);
	memcpy(at, a.bytes, 16);
}

// `chain` is what follows the header, `next` its first header.
static struct rte_mbuf *packet(const char *src, const char *dst, uint8_t next, const void *chain,
			       size_t len)
{
	uint8_t ip[256] = {0x60, 0, 0, 0, (uint8_t)(len >> 8), (uint8_t)len, next, 64};

	put_addr(ip + 8, src);
	put_addr(ip + 24, dst);
	memcpy(ip + 40, chain, len);
	return mbuf_of(ip, 40 + len);
}

enum way { PROTECT, PASS, DROP };

static enum way way_of(void)
{
	const enum way way = protect.n > 0 ? PROTECT : pass.n > 0 ? PASS : DROP;

	assert_int_equal(protect.n + pass.n + dropped_total(), 1);
	batch_free(&protect);
	batch_free(&pass);
	memset(fake.w->drops, 0, sizeof(fake.w->drops));
	return way;
}

static enum way go_out(struct rte_mbuf *m, enum batch_origin origin)
{
	batch_put(&in, m);
	in.origin[0] = (uint8_t)origin;
	in.from_linux[0] = origin != FROM_NIC;
	policy_out(fake.w, &in, &protect, &pass);
	assert_int_equal(in.n, 0);
	return way_of();
}

static enum drop_reason go_in(struct rte_mbuf *m)
{
	enum drop_reason reason = DROP_REASON_COUNT;

	batch_put(&in, m);
	policy_in_clear(fake.w, &in);
	for (unsigned r = 0; r < DROP_REASON_COUNT; r++)
		if (dropped(r) > 0)
			reason = (enum drop_reason)r;
	assert_int_equal(in.n == 1, reason == DROP_REASON_COUNT);
	batch_free(&in);
	memset(fake.w->drops, 0, sizeof(fake.w->drops));
	return reason;
}

#define BYTES(...)  (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})
#define PORTS(s, d) (uint8_t)((s) >> 8), (uint8_t)(s), (uint8_t)((d) >> 8), (uint8_t)(d)
#define NO_OPTIONS  0, 1, 4, 0, 0, 0, 0 // behind the next header: length and a PadN

// Port 80 of the site is bypassed, echo requests are discarded, the rest is protected.
static void set_rules(void)
{
	const struct dp_policy p[] = {
		{DP_PROTECT, sel(SITE_A), sel(SITE_B), tunnel},
		{DP_BYPASS, sel(SITE_A6), sel(SITE_B6 " 6 80-80"), 0},
		{DP_DISCARD, sel(SITE_A6), sel(SITE_B6 " 58 32768-32768"), 0},
		{DP_BYPASS, sel(SITE_A6 " 135 1280-1535"), sel(SITE_B6), 0}, // binding updates
		{DP_PROTECT, sel(SITE_A6), sel(SITE_B6), tunnel},
	};

	assert_int_equal(dp_policies_set(&fake.dp, p, 5), 0);
	assert_int_equal(dp_tunnel_del(&fake.dp, tunnel), -EBUSY);
}

static void test_what_a_packet_is(void **state)
{
	static const struct {
		uint8_t next;
		uint8_t chain[64];
		size_t len;
		enum way out;
		const char *why;
	} rows[] = {
		{TCP, {PORTS(1000, 80)}, 20, PASS, "the port's own rule"},
		{TCP, {PORTS(80, 1000)}, 20, PROTECT, "a port of the other side"},
		{UDP, {PORTS(1000, 80)}, 20, PROTECT, "a port of another protocol"},
		{ICMP6, {128, 0}, 8, DROP, "type and code (RFC 4301 4.4.1.1)"},
		{ICMP6, {128, 1}, 8, PROTECT, "another code"},
		{ICMP6, {129, 0}, 8, PROTECT, "another type"},
		{135, {59, 0, 5}, 8, PASS, "a mobility header's type (RFC 7296 3.13.1)"},
		{135, {59, 0, 6}, 8, PROTECT, "another one"},
		{135, {59, 0, 5}, 2, PROTECT, "a type that is cut off"},
		{59, {0}, 0, PROTECT, "nothing at all"},
		{47, {PORTS(1000, 80)}, 20, PROTECT, "no ports in GRE"},
		{0, {TCP, NO_OPTIONS, PORTS(1, 80)}, 28, PASS, "behind hop-by-hop options"},
		{60, {TCP, NO_OPTIONS, PORTS(1, 80)}, 28, PASS, "behind destination options"},
		{43, {TCP, NO_OPTIONS, PORTS(1, 80)}, 28, PASS, "behind a routing header"},
		{60, {TCP, 1, 1, 12, [16] = PORTS(1, 80)}, 36, PASS, "an extension of 16 bytes"},
		{51, {TCP, NO_OPTIONS, PORTS(1, 80)}, 28, PROTECT, "AH is carried, not passed"},
		{44, {TCP, 0, 0, 0, [8] = PORTS(1, 80)}, 28, PASS, "all in one fragment"},
		{44, {TCP, 0, 0, 1, [8] = PORTS(1, 80)}, 28, PASS, "a first fragment"},
		{44, {TCP, 0, 0, 8, [8] = PORTS(1, 80)}, 28, PROTECT, "a later one has no ports"},
		{44, {60, 0, 0, 8, [8] = PORTS(1, 80)}, 28, DROP, "nor a protocol: what is strict"},
		{TCP, {PORTS(1000, 80)}, 3, PROTECT, "ports cut off"},
		{0, {TCP, 1, 1, 12}, 15, DROP, "an extension cut off"},
		{60, {TCP}, 7, DROP, "one that has no eight bytes"},
		{60,
		 {0, NO_OPTIONS, TCP, NO_OPTIONS, PORTS(1, 80)},
		 36,
		 DROP,
		 "hop-by-hop options come first (RFC 8200 4.1)"},
		{60,
		 {60, NO_OPTIONS, 60, NO_OPTIONS, 60, NO_OPTIONS, 60, NO_OPTIONS, 60, NO_OPTIONS,
		  60, NO_OPTIONS, 59, NO_OPTIONS},
		 56,
		 PROTECT,
		 "seven extensions"},
	};

	(void)state;
	set_rules();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const enum way way =
			go_out(packet(HOST_A6, HOST_B6, rows[i].next, rows[i].chain, rows[i].len),
			       FROM_NIC);

		if (way != rows[i].out)
			fail_msg("%s: %d and not %d", rows[i].why, way, rows[i].out);
	}
}

static void test_more_extensions_than_anybody_needs(void **state)
{
	uint8_t chain[9 * 8] = {0};

	(void)state;
	set_rules();
	for (unsigned n = 8; n <= 9; n++) {
		for (unsigned i = 0; i < n; i++)
			memcpy(chain + i * 8, (const uint8_t[]){i == n - 1 ? 59 : 60, NO_OPTIONS},
			       8);
		assert_int_equal(go_out(packet(HOST_A6, HOST_B6, 60, chain, n * 8), FROM_NIC),
				 n == 8 ? PROTECT : DROP);
	}
}

static void test_inbound_clear(void **state)
{
	(void)state;
	set_rules();
	assert_int_equal(go_in(packet(HOST_B6, HOST_A6, UDP, BYTES(PORTS(1, 2), 0, 8, 0, 0))),
			 DROP_CLEAR_INBOUND);
	assert_int_equal(go_in(packet(HOST_B6, HOST_A6, TCP, BYTES(PORTS(80, 2), 0, 8, 0, 0))),
			 DROP_REASON_COUNT);
	assert_int_equal(go_in(packet(HOST_B6, HOST_A6, ICMP6, BYTES(128, 0, 0, 0))),
			 DROP_POLICY_DISCARD);
	assert_int_equal(go_in(packet("2001:db8:c::1", HOST_A6, UDP, BYTES(PORTS(1, 2)))),
			 DROP_REASON_COUNT);
	assert_int_equal(go_in(packet(HOST_B6, HOST_A6, 60, BYTES(TCP))), DROP_RX_MALFORMED);
}

static void test_ike_gets_past_the_policies(void **state)
{
	const struct dp_policy all = {DP_DISCARD, sel("::/0"), sel("::/0"), 0};

	(void)state;
	assert_int_equal(dp_policies_set(&fake.dp, &all, 1), 0);
	for (unsigned port = 499; port <= 4500; port += port == 501 ? 3999 : 1) {
		const bool ike = port == 500 || port == 4500;

		assert_int_equal(go_out(packet(GW_A6, GW_B6, UDP, BYTES(PORTS(port, 9))), FROM_TAP),
				 ike ? PASS : DROP);
		assert_int_equal(go_out(packet(GW_A6, GW_B6, UDP, BYTES(PORTS(port, 9))), FROM_NIC),
				 DROP);
		assert_int_equal(
			go_out(packet(HOST_A6, GW_B6, UDP, BYTES(PORTS(port, 9))), FROM_TAP), DROP);
		assert_int_equal(go_in(packet(GW_B6, GW_A6, UDP, BYTES(PORTS(9, port)))),
				 ike ? DROP_REASON_COUNT : DROP_POLICY_DISCARD);
	}
}

static void test_without_a_policy(void **state)
{
	const struct dp_policy v4 = {DP_PROTECT, sel("0.0.0.0/0"), sel("0.0.0.0/0"), tunnel};

	(void)state;
	assert_int_equal(dp_policies_set(&fake.dp, &v4, 1), 0); // none of IPv6
	assert_int_equal(go_out(packet(HOST_A6, HOST_B6, 59, "", 0), FROM_NIC), DROP);
	assert_int_equal(go_out(packet(HOST_A6, HOST_B6, 59, "", 0), FROM_TAP), PASS);
	assert_int_equal(go_out(packet(HOST_A6, HOST_B6, 59, "", 0), FROM_SELF_TUNNEL), DROP);
}

// Both families in one batch, and flows that differ in one thing.
static void test_mixed_batch(void **state)
{
	uint8_t v4[40];

	(void)state;
	set_rules();
	for (unsigned i = 0; i < 5; i++) {
		make_ip(v4, sizeof(v4), HOST_A, i == 2 ? "10.9.0.1" : HOST_B, UDP, 1, 80);
		batch_put(&in, mbuf_of(v4, sizeof(v4)));
		batch_put(&in, packet(HOST_A6, HOST_B6, TCP, BYTES(PORTS(1, i < 3 ? 80 : 81))));
		batch_put(&in, packet(HOST_A6, i == 4 ? "2001:db8:c::1" : HOST_B6, UDP,
				      BYTES(PORTS(1, 80))));
	}
	policy_out(fake.w, &in, &protect, &pass);
	assert_int_equal(protect.n, 4 + 2 + 4);
	assert_int_equal(pass.n, 3);
	assert_int_equal(dropped(DROP_NO_POLICY), 2);
	for (uint16_t i = 0; i < protect.n; i++)
		assert_ptr_equal(protect.tunnel[i], tunnel_get(&fake.dp, tunnel));
	batch_free(&protect);
	batch_free(&pass);
}

static void test_bad_policies_change_nothing(void **state)
{
	struct dp_policy p[2] = {{DP_PROTECT, sel(SITE_A6), sel(SITE_B6), tunnel},
				 {DP_PROTECT, sel(SITE_A6), sel(SITE_B), tunnel}};

	(void)state;
	set_rules();
	assert_int_equal(dp_policies_set(&fake.dp, p, 2), -EAFNOSUPPORT);
	p[1].remote = sel(SITE_B6);
	p[1].tunnel = 99;
	assert_int_equal(dp_policies_set(&fake.dp, p, 2), -ENOENT);
	assert_int_equal(go_out(packet(HOST_A6, HOST_B6, UDP, BYTES(PORTS(1, 2))), FROM_NIC),
			 PROTECT);
	assert_int_equal(dp_tunnel_del(&fake.dp, tunnel), -EBUSY);
	assert_int_equal(dp_policies_set(&fake.dp, NULL, 0), 0);
	assert_int_equal(dp_tunnel_del(&fake.dp, tunnel), 0);
}

// ---- the index ----

enum { PORTS = 3 }; // of the random rules and packets; as a number: no route

// The straightforward reading of the rules, on text forms of addresses as lib/addr.h compares them.
static bool slow_match(const struct dp_policy *p, const struct flow6 *f, bool out, unsigned at)
{
	const struct selector *s[2] = {&p->local, &p->remote};
	const addr6 addr[2] = {out ? f->src : f->dst, out ? f->dst : f->src};
	const uint16_t port[2] = {out ? f->src_port : f->dst_port, out ? f->dst_port : f->src_port};

	if (p->ports != 0 && (at == PORTS || !(p->ports >> at & 1)))
		return false;
	for (unsigned i = 0; i < 2; i++) {
		struct ip_addr a = {.family = IP_V6};

		for (unsigned k = 0; k < 16; k++)
			a.bytes[k] = (uint8_t)(addr[i] >> (120 - 8 * k));
		if (ip_addr_compare(&a, &s[i]->lo) < 0 || ip_addr_compare(&a, &s[i]->hi) > 0)
			return false;
		if (f->proto == IPV6_PROTO_UNKNOWN && p->action != DP_BYPASS)
			continue;
		if (s[i]->proto != 0 && s[i]->proto != f->proto)
			return false;
		if ((s[i]->port_lo == 0 && s[i]->port_hi == UINT16_MAX) ||
		    (f->ports == FLOW_PORTS_UNKNOWN && p->action != DP_BYPASS))
			continue;
		if (f->ports != FLOW_PORTS_KNOWN || port[i] < s[i]->port_lo ||
		    port[i] > s[i]->port_hi)
			return false;
	}
	return true;
}

static unsigned compare_with_slow(const struct dp_policy *p, unsigned n, const struct flow6 *f)
{
	const unsigned at = (unsigned)random() % (PORTS + 1);
	const struct policies6 *list = fake.dp.policies->v6;
	unsigned hits = 0;

	for (unsigned out = 0; out < 2; out++) {
		const struct policy_entry6 *e = out ? policy6_find_out(list, f, policy_port(at))
						    : policy6_find_in(list, f, policy_port(at));
		unsigned i = 0;

		while (i < n && !slow_match(&p[i], f, out, at))
			i++;
		if (i == n)
			assert_null(e);
		else
			assert_ptr_equal(e, &list->entry[i]);
		hits += i < n;
	}
	return hits;
}

static struct ip_addr addr_of(addr6 v)
{
	struct ip_addr a = {.family = IP_V6};

	for (unsigned k = 0; k < 16; k++)
		a.bytes[k] = (uint8_t)(v >> (120 - 8 * k));
	return a;
}

static addr6 value_of(const char *text)
{
	struct ip_addr a;

	assert_int_equal(ip_addr_parse(text, &a), 0);
	return addr6_load(a.bytes);
}

static struct selector random_selector(addr6 base, unsigned shift)
{
	const addr6 lo = base + ((addr6)(random() % 8) << shift);
	struct selector s = sel("::/0");

	s.lo = addr_of(lo);
	s.hi = addr_of(lo + ((addr6)(random() % 8) << shift) + (unsigned)(random() & 1));
	s.proto = random() & 1 ? 0 : UDP;
	if (random() & 1) {
		s.port_lo = (uint16_t)(random() % 8);
		s.port_hi = (uint16_t)(s.port_lo + random() % 8);
	}
	return s;
}

static void test_random_rules_against_a_slow_reading(void **state)
{
	static const unsigned shifts[] = {0, 14, 63, 80, 120};
	struct dp_policy p[40];
	unsigned hits = 0, walked = 0;

	(void)state;
	fake.dp.n_ports = PORTS;
	for (unsigned round = 0; round < 500; round++) {
		const unsigned n = round & 1 ? 12 : 40, shift = shifts[round % 5];
		const addr6 base = round % 5 == 4 ? 0 : value_of("2001:db8::");

		for (unsigned i = 0; i < n; i++)
			p[i] = (struct dp_policy){(enum dp_action)(random() % 3),
						  random_selector(base, shift),
						  random_selector(base, shift),
						  tunnel,
						  DP_IFACE_NONE,
						  (uint16_t)(random() % (1 << PORTS))};
		assert_int_equal(dp_policies_set(&fake.dp, p, n), 0);
		walked += fake.dp.policies->v6->index == NULL;
		for (unsigned k = 0; k < 200; k++) {
			const uint8_t protos[] = {UDP, TCP, IPV6_PROTO_UNKNOWN};
			const struct flow6 f = {
				.src = base + ((addr6)(random() % 16) << shift) +
				       (unsigned)(random() % 2),
				.dst = base + ((addr6)(random() % 16) << shift) -
				       (unsigned)(random() % 2),
				.src_port = (uint16_t)(random() % 16),
				.dst_port = (uint16_t)(random() % 16),
				.proto = protos[random() % 3],
				.ports = (uint8_t)(random() % 3),
			};

			hits += compare_with_slow(p, n, &f);
		}
		fake_reclaim();
	}
	assert_in_range(hits, 10000, 190000);
	assert_int_equal(walked, 250);
	fake.dp.n_ports = 0;
}

// Sites as a hub has them, in blocks of their own or anywhere, asked for at the ends of every range
// and beside them. On either side.
static void test_many_sites(void **state)
{
	enum { SITES = 2000 };
	static struct dp_policy p[SITES];

	(void)state;
	for (unsigned round = 0; round < 6; round++) {
		const bool by_local = round & 1, with_all = round < 2;
		const unsigned shift = round < 4 ? 80 : 64;

		for (unsigned i = 0; i < SITES; i++) {
			const addr6 lo = value_of("2001:db8::") +
					 ((addr6)(unsigned)(random() % 65536) << shift);
			struct selector site = sel("::/0"), all = sel("2001:db8::/32");

			if (i < SITES - 1 || !with_all) {
				site.lo = addr_of(lo);
				site.hi = addr_of(lo + ((addr6)1 << shift) - 1);
			}
			p[i] = (struct dp_policy){(enum dp_action)(i % 3), by_local ? site : all,
						  by_local ? all : site, tunnel};
		}
		if (round >= 4) { // far from the others, the last address of all
			p[0].remote = p[0].local = sel("ffff::/16");
			p[1].remote = p[1].local = sel("::/127");
		}
		assert_int_equal(dp_policies_set(&fake.dp, p, SITES), 0);
		assert_non_null(fake.dp.policies->v6->index);
		assert_int_equal(fake.dp.policies->v6->index->by_local, by_local);
		for (unsigned i = 0; i < SITES; i += i < 2 ? 1 : 11) {
			const struct selector *s = by_local ? &p[i].local : &p[i].remote;
			const addr6 at[] = {addr6_load(s->lo.bytes), addr6_load(s->hi.bytes)};

			for (unsigned k = 0; k < 6; k++) {
				const addr6 site = at[k / 3] - 1 + k % 3;
				const addr6 other = value_of("2001:db8:7::1");
				const struct flow6 f = {.src = by_local ? site : other,
							.dst = by_local ? other : site,
							.proto = 6,
							.ports = FLOW_PORTS_KNOWN};

				compare_with_slow(p, SITES, &f);
			}
		}
		fake_reclaim();
	}
}

// All that the last row of the index has, and what lies in front of the first one.
static void test_ends_of_the_rows(void **state)
{
	enum { SITES = 200 };
	struct dp_policy p[SITES];
	const addr6 low = value_of("2001:db8::"), high = value_of("2001:db8:ffff::");

	(void)state;
	for (unsigned i = 0; i < SITES; i++) {
		const addr6 lo = (i & 1 ? high : low) + ((addr6)i << 64);
		struct selector site = sel("::/0");

		site.lo = addr_of(lo);
		site.hi = addr_of(lo + 9);
		p[i] = (struct dp_policy){DP_PROTECT, sel("::/0"), site, tunnel};
	}
	assert_int_equal(dp_policies_set(&fake.dp, p, SITES), 0);
	assert_non_null(fake.dp.policies->v6->index);
	assert_int_equal(high >> fake.dp.policies->v6->index->shift & 0xffff, 0xffff);
	for (unsigned i = 0; i < 2 * SITES; i++) {
		const struct flow6 f = {.src = low,
					.dst = (i & 1 ? high : low) + ((addr6)(i / 2) << 64) + 5,
					.proto = 6,
					.ports = FLOW_PORTS_KNOWN};
		const unsigned site = i / 2;
		const struct policy_entry6 *e =
			policy6_find_out(fake.dp.policies->v6, &f, policy_port(0));

		if ((site & 1) == (i & 1))
			assert_ptr_equal(e, &fake.dp.policies->v6->entry[site]);
		else
			assert_null(e);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_what_a_packet_is),
		T(test_more_extensions_than_anybody_needs),
		T(test_inbound_clear),
		T(test_ike_gets_past_the_policies),
		T(test_without_a_policy),
		T(test_mixed_batch),
		T(test_bad_policies_change_nothing),
		T(test_random_rules_against_a_slow_reading),
		T(test_many_sites),
		T(test_ends_of_the_rows),
	};

	return cmocka_run_group_tests_name("policy6", tests, fake_group_setup, fake_group_teardown);
}
