#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake_dp.h"

#include "dataplane/policy.h"
#include "dataplane/policy_index.h"

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

struct rule {
	enum dp_action action;
	const char *local, *remote;
};

static void set_rules(const struct rule *r, size_t n)
{
	struct dp_policy p[16] = {0};

	for (size_t i = 0; i < n; i++)
		p[i] = (struct dp_policy){r[i].action, sel(r[i].local), sel(r[i].remote), tunnel};
	assert_int_equal(dp_policies_set(&fake.dp, p, n), 0);
}

// proto, addresses and ports; frag: not the first one; cut: only the IP header is there.
struct packet {
	const char *src, *dst;
	uint8_t proto;
	uint16_t sport, dport;
	bool frag, cut;
};

static struct rte_mbuf *packet_mbuf(const struct packet *p)
{
	uint8_t ip[64];
	const size_t len = p->cut ? 20 : sizeof(ip);

	make_ip(ip, len, p->src, p->dst, p->proto, p->sport, p->dport);
	if (p->frag)
		ip[7] = 1;
	return mbuf_of(ip, len);
}

enum outcome { PASS, PROTECT, NO_POLICY, DISCARD, CLEAR };
static const char *const outcome_name[] = {"pass", "protect", "no-policy", "discard", "clear"};

static enum outcome outcome_of_drops(void)
{
	static const struct {
		enum drop_reason reason;
		enum outcome outcome;
	} rows[] = {{DROP_NO_POLICY, NO_POLICY},
		    {DROP_POLICY_DISCARD, DISCARD},
		    {DROP_CLEAR_INBOUND, CLEAR}};

	assert_int_equal(dropped_total(), 1);
	for (size_t i = 0; i < 3; i++) {
		if (dropped(rows[i].reason) == 1) {
			atomic_store(&fake.w->drops[rows[i].reason], 0);
			return rows[i].outcome;
		}
	}
	fail_msg("dropped for another reason");
	return PASS;
}

static enum outcome go_out(const struct packet *p, enum batch_origin origin)
{
	enum outcome o;

	batch_put(&in, packet_mbuf(p));
	in.origin[0] = (uint8_t)origin;
	in.from_linux[0] = origin != FROM_NIC;
	policy_out(fake.w, &in, &protect, &pass);
	assert_int_equal(in.n, 0);
	if (protect.n == 1) {
		assert_ptr_equal(protect.tunnel[0], tunnel_get(&fake.dp, tunnel));
		o = PROTECT;
	} else {
		o = pass.n == 1 ? PASS : outcome_of_drops();
	}
	batch_free(&protect);
	batch_free(&pass);
	return o;
}

static enum outcome come_in(const struct packet *p)
{
	enum outcome o;

	batch_put(&in, packet_mbuf(p));
	policy_in_clear(fake.w, &in);
	o = in.n == 1 ? PASS : outcome_of_drops();
	batch_free(&in);
	return o;
}

// From one port in and out of another, as worker_step() does it.
static enum outcome go_through(const struct packet *p)
{
	enum outcome o = PASS;

	batch_put(&in, packet_mbuf(p));
	policy_in_clear(fake.w, &in);
	policy_out(fake.w, &in, &protect, &pass);
	if (protect.n == 1)
		o = PROTECT;
	else if (pass.n == 0)
		o = outcome_of_drops();
	batch_free(&protect);
	batch_free(&pass);
	return o;
}

#define TCP 6
#define UDP 17

static const struct rule site_rules[] = {
	{DP_BYPASS, SITE_A " 6 22-22", "10.2.9.9/32 6"},
	{DP_DISCARD, SITE_A " 6", "10.2.9.0/24 6 25-25"},
	{DP_PROTECT, SITE_A, SITE_B},
	{DP_PROTECT, "10.5.0.0/16 17 1000-2000", "0.0.0.0/0 17"},
	{DP_BYPASS, "10.6.0.0/16 17 53-53", "0.0.0.0/0 17"},
};

static void test_outbound(void **state)
{
	static const struct {
		struct packet p;
		enum outcome want;
		const char *why;
	} rows[] = {
		{{HOST_A, HOST_B, UDP, 1, 2}, PROTECT, "between the sites"},
		{{HOST_A, HOST_B, 99, 0, 0}, PROTECT, "any protocol"},
		{{HOST_B, HOST_A, UDP, 1, 2}, NO_POLICY, "the wrong way round"},
		{{HOST_A, "10.3.0.0", UDP, 1, 2}, NO_POLICY, "one address beyond"},
		{{HOST_A, "10.1.255.255", UDP, 1, 2}, NO_POLICY, "one address before"},
		{{"10.1.0.0", "10.2.255.255", UDP, 1, 2}, PROTECT, "the corners belong to it"},
		{{HOST_A, "10.2.9.9", TCP, 22, 5}, PASS, "the first rule wins"},
		{{HOST_A, "10.2.9.9", TCP, 23, 5}, PROTECT, "another port"},
		{{HOST_A, "10.2.9.9", UDP, 22, 5}, PROTECT, "another protocol"},
		{{HOST_A, "10.2.9.9", TCP, 22, 25}, PASS, "in two rules"},
		{{HOST_A, "10.2.9.8", TCP, 22, 25}, DISCARD, "discard before protect"},
		{{HOST_A, "10.2.9.9", TCP, 22, 5, true},
		 DISCARD,
		 "later fragment: never by a bypass with ports, first by a discard"},
		{{HOST_A, "10.2.9.9", TCP, 22, 5, false, true}, DISCARD, "cut: the same"},
		{{HOST_A, HOST_B, TCP, 22, 5, true}, PROTECT, "later fragment"},
		{{"10.5.0.1", "192.0.2.9", UDP, 1000, 1}, PROTECT, "lowest port"},
		{{"10.5.0.1", "192.0.2.9", UDP, 2000, 1}, PROTECT, "highest port"},
		{{"10.5.0.1", "192.0.2.9", UDP, 999, 1}, NO_POLICY, "port below"},
		{{"10.5.0.1", "192.0.2.9", UDP, 2001, 1}, NO_POLICY, "port above"},
		{{"10.5.0.1", "192.0.2.9", UDP, 999, 1, true},
		 PROTECT,
		 "later fragment might be protected"},
		{{"10.5.0.1", "192.0.2.9", TCP, 999, 1, true}, NO_POLICY, "no, another protocol"},
		{{"10.6.0.1", "192.0.2.9", UDP, 53, 1}, PASS, "bypass"},
		{{"10.6.0.1", "192.0.2.9", UDP, 53, 1, true},
		 NO_POLICY,
		 "later fragment of bypass"},
	};

	(void)state;
	set_rules(site_rules, 5);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum outcome got = go_out(&rows[i].p, FROM_NIC);

		if (got != rows[i].want)
			fail_msg("%s: %s", rows[i].why, outcome_name[got]);
	}
}

static void test_inbound_clear(void **state)
{
	static const struct {
		struct packet p;
		enum outcome want;
		const char *why;
	} rows[] = {
		{{HOST_B, HOST_A, UDP, 1, 2}, CLEAR, "ESP is due"},
		{{HOST_B, HOST_A, 1, 0x800, 0}, CLEAR, "ESP is due, ICMP"},
		{{HOST_A, HOST_B, UDP, 1, 2}, PASS, "on its way into the tunnel"},
		{{"10.3.0.1", HOST_A, UDP, 1, 2}, PASS, "no policy speaks of it"},
		{{"10.2.9.9", HOST_A, TCP, 5, 22}, PASS, "bypass, reversed"},
		{{"10.2.9.9", HOST_A, TCP, 22, 5}, CLEAR, "ports the wrong way round"},
		{{"10.2.9.8", HOST_A, TCP, 25, 22}, DISCARD, "discard, reversed"},
		{{"10.2.9.9", HOST_A, TCP, 5, 22, true}, DISCARD, "later fragment"},
		{{HOST_B, HOST_A, TCP, 5, 22, true}, CLEAR, "later fragment"},
		{{"192.0.2.9", "10.5.0.1", UDP, 7, 1500}, CLEAR, "our port is the destination's"},
		{{"192.0.2.9", "10.5.0.1", UDP, 1500, 7}, PASS, "not the source's"},
		{{"192.0.2.9", "10.5.0.1", UDP, 1500, 7, true}, CLEAR, "cannot be told"},
	};

	(void)state;
	set_rules(site_rules, 5);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum outcome got = come_in(&rows[i].p);

		if (got != rows[i].want)
			fail_msg("%s: %s", rows[i].why, outcome_name[got]);
	}
}

// Policies that cover the gateways themselves must not lock IKE out.
static void test_ike_gets_past_the_policies(void **state)
{
	static const struct rule all[] = {{DP_PROTECT, "0.0.0.0/0", "0.0.0.0/0"}};
	static const struct {
		struct packet p; // outbound
		enum batch_origin origin;
		enum outcome out, in;
		const char *why;
	} rows[] = {
		{{GW_A, GW_B, UDP, 500, 500}, FROM_TAP, PASS, PASS, "IKE"},
		{{GW_A, GW_B, UDP, 4500, 4500}, FROM_TAP, PASS, PASS, "IKE behind NAT"},
		{{GW_A, GW_B, UDP, 500, 40000}, FROM_TAP, PASS, PASS, "NAT changed the port"},
		{{GW_A, GW_B, UDP, 501, 500}, FROM_TAP, PROTECT, CLEAR, "another local port"},
		{{GW_A, GW_B, TCP, 500, 500}, FROM_TAP, PROTECT, CLEAR, "not UDP"},
		{{"192.0.2.77", GW_B, UDP, 500, 500}, FROM_TAP, PROTECT, CLEAR, "not our address"},
		{{GW_A, GW_B, UDP, 500, 500}, FROM_NIC, PROTECT, PASS, "our address, forged"},
		{{GW_A, GW_B, UDP, 500, 500}, FROM_TUNNEL, PROTECT, PASS, "forged inside a tunnel"},
		{{GW_A, GW_B, UDP, 500, 500, true}, FROM_TAP, PROTECT, CLEAR, "later fragment"},
	};

	(void)state;
	set_rules(all, 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packet back = rows[i].p;
		enum outcome got = go_out(&rows[i].p, rows[i].origin);

		if (got != rows[i].out)
			fail_msg("%s, out: %s", rows[i].why, outcome_name[got]);
		back.src = rows[i].p.dst;
		back.dst = rows[i].p.src;
		back.sport = rows[i].p.dport;
		back.dport = rows[i].p.sport;
		got = come_in(&back);
		if (got != rows[i].in)
			fail_msg("%s, in: %s", rows[i].why, outcome_name[got]);
	}
}

// What matches no policy, by who made the packet; then the same under a bypass.
static void test_origin_decides_without_policy(void **state)
{
	static const struct rule bypass[] = {{DP_BYPASS, "0.0.0.0/0", "0.0.0.0/0"}};
	static const struct {
		enum batch_origin origin;
		enum outcome none, bypass;
	} rows[] = {
		{FROM_NIC, NO_POLICY, PASS},
		{FROM_TAP, PASS, PASS},
		{FROM_TUNNEL, PASS, PASS},
		{FROM_SELF, PASS, PASS},
		{FROM_SELF_TUNNEL, NO_POLICY, NO_POLICY},
	};
	const struct packet p = {HOST_A, HOST_B, UDP, 1, 2, false, false};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		set_rules(NULL, 0);
		assert_int_equal(go_out(&p, rows[i].origin), rows[i].none);
		assert_int_equal(come_in(&p), PASS);
		set_rules(bypass, 1);
		assert_int_equal(go_out(&p, rows[i].origin), rows[i].bypass);
		assert_int_equal(come_in(&p), PASS);
		set_rules(site_rules, 5);
		assert_int_equal(go_out(&p, rows[i].origin), PROTECT);
	}
}

// A bypass rule is for both directions: what it lets in on one port leaves by another.
static void test_answers_to_what_was_bypassed(void **state)
{
	static const struct {
		struct packet p;
		enum outcome want;
		const char *why;
	} rows[] = {
		{{HOST_A, "10.2.9.9", TCP, 22, 5}, PASS, "out, by the bypass"},
		{{"10.2.9.9", HOST_A, TCP, 5, 22}, PASS, "its answer"},
		{{"10.2.9.9", HOST_A, TCP, 22, 5}, CLEAR, "no answer: ports the wrong way round"},
		{{"10.3.0.1", HOST_A, UDP, 1, 2}, NO_POLICY, "no rule at all"},
		{{HOST_A, HOST_B, UDP, 1, 2}, PROTECT, "out, into the tunnel"},
	};

	(void)state;
	set_rules(site_rules, 5);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum outcome got = go_through(&rows[i].p);

		if (got != rows[i].want)
			fail_msg("%s: %s", rows[i].why, outcome_name[got]);
	}
}

// Rows of equal packets share one look-up; the next one must not inherit its answer.
static void test_mixed_batch_keeps_order(void **state)
{
	static const char *const dst[] = {HOST_B, "10.9.0.1", "10.2.9.8"};
	unsigned want_protect = 0, want_drop = 0;

	(void)state;
	set_rules(site_rules, 5);
	for (unsigned i = 0; i < BATCH_MAX; i++) {
		const unsigned which = (unsigned)random() % 3;

		batch_put(&in, packet_mbuf(&(struct packet){HOST_A, dst[which], TCP, 7,
							    which == 2 ? 25 : 80, false, false}));
		in.port[i] = (uint8_t)(which == 0 ? want_protect++ : 200);
		want_drop += which != 0;
	}
	policy_out(fake.w, &in, &protect, &pass);
	assert_int_equal(protect.n, want_protect);
	assert_int_equal(pass.n, 0);
	assert_int_equal(dropped(DROP_POLICY_DISCARD) + dropped(DROP_NO_POLICY), want_drop);
	for (unsigned i = 0; i < protect.n; i++)
		assert_int_equal(protect.port[i], i);
	batch_free(&protect);
}

// Between two equal packets one that differs in a single field.
static void test_neighbours_in_a_batch_do_not_share_more_than_their_flow(void **state)
{
	static const struct rule discard[] = {
		{DP_DISCARD, "10.1.0.11/32", "0.0.0.0/0"},
		{DP_DISCARD, "0.0.0.0/0", "10.2.0.21/32"},
		{DP_DISCARD, "0.0.0.0/0 6 8-8", "0.0.0.0/0"},
		{DP_DISCARD, "0.0.0.0/0", "0.0.0.0/0 6 81-81"},
		{DP_DISCARD, "0.0.0.0/0 17", "0.0.0.0/0"},
		{DP_DISCARD, "0.0.0.0/0 6 99-99", "0.0.0.0/0"},
	};
	static const struct packet base = {HOST_A, HOST_B, TCP, 7, 80},
				   other[] = {
					   {"10.1.0.11", HOST_B, TCP, 7, 80},
					   {HOST_A, "10.2.0.21", TCP, 7, 80},
					   {HOST_A, HOST_B, TCP, 8, 80},
					   {HOST_A, HOST_B, TCP, 7, 81},
					   {HOST_A, HOST_B, UDP, 7, 80},
					   {HOST_A, HOST_B, TCP, 7, 80, true},
				   };

	(void)state;
	for (unsigned i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		const struct rule rules[] = {discard[i], {DP_PROTECT, SITE_A, SITE_B}};

		set_rules(rules, 2);
		batch_put(&in, packet_mbuf(&base));
		batch_put(&in, packet_mbuf(&other[i]));
		batch_put(&in, packet_mbuf(&base));
		policy_out(fake.w, &in, &protect, &pass);
		assert_int_equal(protect.n, 2);
		assert_int_equal(dropped(DROP_POLICY_DISCARD), i + 1);
		batch_free(&protect);
	}
}

static void test_bad_policies_change_nothing(void **state)
{
	struct dp_policy p[2] = {{DP_PROTECT, sel(SITE_A), sel(SITE_B), tunnel},
				 {DP_PROTECT, sel(SITE_A), sel("2001:db8::/32"), tunnel}};
	const struct packet packet = {HOST_A, HOST_B, UDP, 1, 2, false, false};

	(void)state;
	set_rules(site_rules, 5);
	assert_int_equal(dp_policies_set(&fake.dp, p, 2), -EAFNOSUPPORT);
	p[1].remote = sel(SITE_B);
	p[1].tunnel = 99;
	assert_int_equal(dp_policies_set(&fake.dp, p, 2), -ENOENT);
	p[1].tunnel = DP_TUNNEL_NONE;
	assert_int_equal(dp_policies_set(&fake.dp, p, 2), -ENOENT);
	p[1].tunnel = tunnel;
	p[1].iface = DP_IFACE_FIRST - 1;
	assert_int_equal(dp_policies_set(&fake.dp, p, 2), -EINVAL);
	p[1].iface = DP_IFACE_FIRST + DP_IFACES_MAX;
	assert_int_equal(dp_policies_set(&fake.dp, p, 2), -EINVAL);
	assert_int_equal(go_out(&packet, FROM_NIC), PROTECT);
	assert_int_equal(dp_tunnel_del(&fake.dp, tunnel), -EBUSY);
}

// What the policies ask for at all: others need not look at ports, or at the way out.
static void test_what_is_asked_for(void **state)
{
	static const struct {
		const char *local, *remote;
		uint16_t ports;
		bool by_address, by_port;
	} rows[] = {
		{SITE_A, SITE_B, 0, true, false},
		{SITE_A " 17", SITE_B, 0, false, false},
		{SITE_A, SITE_B " 17", 0, false, false},
		{SITE_A " 0 5-6", SITE_B, 0, false, false},
		{SITE_A, SITE_B " 0 5-6", 0, false, false},
		{SITE_A, SITE_B, 1, true, true},
	};

	(void)state;
	fake.dp.n_ports = 2;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dp_policy p[3] = {{DP_PROTECT, sel(SITE_A), sel(SITE_B), tunnel}};
		const uint32_t changes = fake.dp.changes;

		p[1] = p[2] = p[0];
		p[1].local = sel(rows[i].local);
		p[1].remote = sel(rows[i].remote);
		p[1].ports = rows[i].ports;
		assert_int_equal(dp_policies_set(&fake.dp, p, 3), 0);
		assert_int_equal(fake.dp.policies->by_address, rows[i].by_address);
		assert_int_equal(fake.dp.policies->by_port, rows[i].by_port);
		assert_int_not_equal(fake.dp.changes, changes); // what was remembered is old
	}
	fake.dp.n_ports = 0;
}

// What only a policy that leads nowhere has in its field of the tunnel keeps no tunnel.
static void test_which_policies_hold_a_tunnel(void **state)
{
	struct dp_policy p = {DP_BYPASS, sel(SITE_A), sel(SITE_B), tunnel};
	uint32_t other;

	(void)state;
	assert_int_equal(dp_tunnel_add(&fake.dp, "other", &other), 0);
	assert_int_equal(dp_policies_set(&fake.dp, &p, 1), 0);
	assert_int_equal(dp_tunnel_del(&fake.dp, tunnel), 0);
	p = (struct dp_policy){DP_PROTECT, sel(SITE_A), sel(SITE_B), other};
	assert_int_equal(dp_policies_set(&fake.dp, &p, 1), 0);
	assert_int_equal(dp_tunnel_del(&fake.dp, other), -EBUSY);
	assert_int_equal(dp_policies_set(&fake.dp, NULL, 0), 0);
	assert_int_equal(dp_tunnel_del(&fake.dp, other), 0);
}

enum { PORTS = 3 }; // of the random rules and packets; as a number: no route

// The straightforward reading of the rules, on random rules and packets.
static bool slow_match(const struct dp_policy *p, const struct flow *f, bool out, unsigned at)
{
	const struct selector *s[2] = {&p->local, &p->remote};
	const uint32_t addr[2] = {out ? f->src : f->dst, out ? f->dst : f->src};
	const uint16_t port[2] = {out ? f->src_port : f->dst_port, out ? f->dst_port : f->src_port};

	if (p->ports != 0 && (at == PORTS || !(p->ports >> at & 1)))
		return false;
	for (unsigned i = 0; i < 2; i++) {
		const bool any_port = s[i]->port_lo == 0 && s[i]->port_hi == UINT16_MAX;

		if (addr[i] < ip_addr_to_v4(&s[i]->lo) || addr[i] > ip_addr_to_v4(&s[i]->hi))
			return false;
		if (s[i]->proto != 0 && s[i]->proto != f->proto)
			return false;
		if (any_port || (f->ports == FLOW_PORTS_UNKNOWN && p->action != DP_BYPASS))
			continue;
		if (f->ports != FLOW_PORTS_KNOWN || port[i] < s[i]->port_lo ||
		    port[i] > s[i]->port_hi)
			return false;
	}
	return true;
}

static struct selector random_selector(void)
{
	struct selector s = sel(random() & 1 ? "10.0.0.0/8" : "10.0.0.0/30");

	s.lo = ip_addr_v4(0x0a000000 + (uint32_t)random() % 8);
	s.hi = ip_addr_v4(ip_addr_to_v4(&s.lo) + (uint32_t)random() % 8);
	s.proto = random() & 1 ? 0 : 17;
	if (random() & 1) {
		s.port_lo = (uint16_t)(random() % 8);
		s.port_hi = (uint16_t)(s.port_lo + random() % 8);
	}
	return s;
}

static struct flow random_flow(void)
{
	return (struct flow){
		.src = 0x0a000000 + (uint32_t)random() % 16,
		.dst = 0x0a000000 + (uint32_t)random() % 16,
		.src_port = (uint16_t)(random() % 16),
		.dst_port = (uint16_t)(random() % 16),
		.proto = random() & 1 ? 17 : 6,
		.ports = (uint8_t)(random() % 3),
	};
}

// Both directions of a flow; how many policies were hit.
static unsigned compare_with_slow(const struct dp_policy *p, unsigned n, const struct flow *f)
{
	const unsigned at = (unsigned)random() % (PORTS + 1);
	const struct policies *snapshot = fake.dp.policies;
	unsigned hits = 0;

	for (unsigned out = 0; out < 2; out++) {
		const struct policy_entry *e = out ? policy_find_out(snapshot, f, policy_port(at))
						   : policy_find_in(snapshot, f, policy_port(at));
		unsigned i = 0;

		while (i < n && !slow_match(&p[i], f, out, at))
			i++;
		if (i == n)
			assert_null(e);
		else
			assert_ptr_equal(e, &snapshot->entry[i]);
		hits += i < n;
	}
	return hits;
}

static void test_random_rules_against_a_slow_reading(void **state)
{
	struct dp_policy p[40];
	unsigned hits = 0, walked = 0;

	(void)state;
	fake.dp.n_ports = PORTS;
	for (unsigned round = 0; round < 500; round++) {
		const unsigned n = round & 1 ? 12 : 40;

		for (unsigned i = 0; i < n; i++)
			p[i] = (struct dp_policy){(enum dp_action)(random() % 3),
						  random_selector(),
						  random_selector(),
						  tunnel,
						  DP_IFACE_NONE,
						  (uint16_t)(random() % (1 << PORTS))};
		assert_int_equal(dp_policies_set(&fake.dp, p, n), 0);
		walked += fake.dp.policies->index == NULL;
		for (unsigned k = 0; k < 200; k++) {
			const struct flow f = random_flow();

			hits += compare_with_slow(p, n, &f);
		}
		fake_reclaim();
	}
	assert_in_range(hits, 10000, 190000);
	assert_int_equal(walked, 250);
	fake.dp.n_ports = 0;
}

// Sites as a hub has them, some inside of others, over the whole range of addresses, asked for at
// the ends of every range and beside them. On either side.
static void test_many_sites(void **state)
{
	enum { SITES = 3000 };
	static struct dp_policy p[SITES];

	(void)state;
	for (unsigned by_local = 0; by_local < 2; by_local++) {
		for (unsigned i = 0; i < SITES; i++) {
			const unsigned len = i == SITES - 1 ? 0 : 8 + (unsigned)random() % 25;
			const struct ip_prefix prefix = {
				ip_addr_v4((uint32_t)(random() << 1) &
					   (len == 0 ? 0 : UINT32_MAX << (32 - len))),
				(uint8_t)len};
			const struct selector site = selector_from_prefix(&prefix);

			p[i] = (struct dp_policy){(enum dp_action)(i % 3),
						  by_local ? site : sel("10.0.0.0/8"),
						  by_local ? sel("10.0.0.0/8") : site, tunnel};
		}
		p[0].remote = p[0].local = sel("255.255.255.0/24");
		p[1].remote = p[1].local = sel("0.0.0.0/24");
		assert_int_equal(dp_policies_set(&fake.dp, p, SITES), 0);
		assert_non_null(fake.dp.policies->index);
		assert_int_equal(fake.dp.policies->index->by_local, by_local);
		for (unsigned i = 0; i < SITES; i += 11) {
			const struct selector *s = by_local ? &p[i].local : &p[i].remote;
			const uint32_t at[] = {ip_addr_to_v4(&s->lo), ip_addr_to_v4(&s->hi)};

			for (unsigned k = 0; k < 6; k++) {
				const uint32_t site = at[k / 3] - 1 + k % 3;
				const struct flow f = {.src = by_local ? site : 0x0a010203,
						       .dst = by_local ? 0x0a010203 : site,
						       .proto = 6,
						       .ports = FLOW_PORTS_KNOWN};

				compare_with_slow(p, SITES, &f);
			}
		}
		fake_reclaim();
	}
}

// The ends of the policies are sorted by those of their bytes in which they differ, be these an
// even number or an odd one.
static void test_ends_that_differ_in_few_bytes(void **state)
{
	enum { N = 32 };
	static struct dp_policy p[N];
	unsigned hits = 0;

	(void)state;
	for (unsigned bytes = 1; bytes <= 4; bytes++) {
		for (unsigned i = 0; i < N; i++) {
			const uint32_t up[] = {i * 37 % 256, i * 91 % 256, i * 53 % 256,
					       i * 7 % 256};
			uint32_t addr = 0;

			for (unsigned k = 0; k < bytes; k++)
				addr = addr << 8 | up[k];
			p[i] = (struct dp_policy){DP_DISCARD, sel("0.0.0.0/0"), sel("0.0.0.0/0"),
						  tunnel};
			p[i].remote.lo = p[i].remote.hi = ip_addr_v4(addr);
		}
		assert_int_equal(dp_policies_set(&fake.dp, p, N), 0);
		assert_non_null(fake.dp.policies->index);
		for (unsigned i = 0; i < 3 * N; i++) {
			const struct flow f = {.src = 0x0a010203,
					       .dst = ip_addr_to_v4(&p[i / 3].remote.lo) - 1 +
						      i % 3,
					       .proto = 6,
					       .ports = FLOW_PORTS_KNOWN};

			hits += compare_with_slow(p, N, &f);
		}
		fake_reclaim();
	}
	assert_true(hits >= 4 * N);
}

// Everything overlaps everything: an index would be larger than all else.
static void test_what_is_not_worth_an_index(void **state)
{
	enum { RULES = 200 };
	static struct dp_policy p[RULES];
	unsigned hits = 0;

	(void)state;
	for (unsigned i = 0; i < RULES; i++) {
		p[i] = (struct dp_policy){DP_BYPASS, sel("10.0.0.0/8"), sel("10.0.0.0/8"), tunnel};
		p[i].local.lo = p[i].remote.lo = ip_addr_v4(0x0a000000 + i);
		p[i].local.hi = p[i].remote.hi = ip_addr_v4(0x0a000000 + RULES + i);
	}
	assert_int_equal(dp_policies_set(&fake.dp, p, RULES), 0);
	assert_null(fake.dp.policies->index);
	for (unsigned i = 0; i < 500; i++) {
		const struct flow f = random_flow();

		hits += compare_with_slow(p, RULES, &f);
	}
	assert_true(hits > 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_outbound),
		T(test_inbound_clear),
		T(test_ike_gets_past_the_policies),
		T(test_origin_decides_without_policy),
		T(test_answers_to_what_was_bypassed),
		T(test_mixed_batch_keeps_order),
		T(test_neighbours_in_a_batch_do_not_share_more_than_their_flow),
		T(test_bad_policies_change_nothing),
		T(test_what_is_asked_for),
		T(test_which_policies_hold_a_tunnel),
		T(test_random_rules_against_a_slow_reading),
		T(test_many_sites),
		T(test_ends_that_differ_in_few_bytes),
		T(test_what_is_not_worth_an_index),
	};

	return cmocka_run_group_tests_name("policy", tests, fake_group_setup, fake_group_teardown);
}
