// Transport mode (RFC 7296 1.3.1): asked for, agreed to, declined, kept by successors, and behind a
// NAT (2.23.1).
#include <stdlib.h>
#include <string.h>

#include "control/ike/notify.h"
#include "control/ike/payload.h"
#include "test/sim/check.h"
#include "test/sim/evil.h"

static struct sim *start(void)
{
	struct sim *s = malloc(sizeof(*s));

	sim_init(s, 9);
	s->a.conf.local_ts = s->b.conf.remote_ts = "dynamic";
	s->b.conf.local_ts = s->a.conf.remote_ts = "dynamic";
	s->a.conf.transport = s->b.conf.transport = true;
	return s;
}

static void end(struct sim *s)
{
	if (!sim_fini(s))
		fail_msg("%s", s->broken);
	free(s);
}

static bool says(const struct sim_peer *p, const char *part)
{
	for (size_t i = 0; i < p->n_reports; i++)
		if (strstr(p->report[i].text, part))
			return true;
	return false;
}

static const struct sim_child *live_child(const struct sim_peer *p)
{
	for (size_t i = 0; i < SIM_CHILDREN; i++)
		if (p->children[i].live)
			return &p->children[i];
	fail_msg("%s has no child", p->name);
	return NULL;
}

// Both directions on both sides.
static bool all_in(struct sim *s, bool transport)
{
	const struct sim_peer *p[] = {&s->a, &s->b};
	struct ike_child_info info;

	for (size_t i = 0; i < 2; i++) {
		const struct sim_child *c = live_child(p[i]);

		if (c->in.transport != transport || c->out.transport != transport ||
		    ike_sa_child_info(sim_sa((struct sim_peer *)p[i], IKE_ST_ESTABLISHED), 0,
				      &info) ||
		    info.transport != transport)
			return false;
	}
	return sim_agree(s);
}

static void test_who_wants_what(void **state)
{
	static const struct {
		bool a, b, transport;
		const char *says;
	} rows[] = {
		{true, true, true, ", transport mode"},
		{true, false, false, "the peer declines transport mode"},
		{false, true, false, NULL}, // nobody asks
		{false, false, false, NULL},
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		struct sim *s = start();

		if (i % 2)
			sim_use_ipv6(s);
		s->a.conf.transport = rows[i / 2].a;
		s->b.conf.transport = rows[i / 2].b;
		sim_initiate(s, &s->a);
		sim_run_until(s, 2000);
		if (!all_in(s, rows[i / 2].transport) || sim_errors(&s->a) + sim_errors(&s->b) ||
		    (rows[i / 2].says && !says(&s->a, rows[i / 2].says)))
			fail_msg("row %zu", i / 2);
		// A further child of CREATE_CHILD_SA is no other.
		sim_create_child(s, &s->a, 0);
		sim_run_until(s, 4000);
		CHECK(all_in(s, rows[i / 2].transport) && sim_children(&s->a) == 2);
		for (size_t k = 0; k < SIM_CHILDREN; k++)
			CHECK(!s->b.children[k].live ||
			      s->b.children[k].in.transport == rows[i / 2].transport);
		end(s);
	}
}

// It is for what the two ends say to each other.
static void test_networks_are_for_tunnels(void **state)
{
	struct sim *s = start();

	(void)state;
	s->a.conf.local_ts = s->b.conf.remote_ts = "dynamic 10.1.0.0/16";
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	CHECK(all_in(s, false));
	CHECK(says(&s->a, "not the two addresses of the IKE SA"));
	end(s);
}

// The responder narrows, and what remains is the two ends.
static void test_responder_narrows_to_the_ends(void **state)
{
	struct sim *s = start();

	(void)state;
	s->b.conf.local_ts = "192.0.2.2/32[gre]";
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	CHECK(all_in(s, true));
	CHECK(live_child(&s->a)->in.remote_ts.s[0].proto == 47);
	end(s);
}

static void test_successors_keep_the_mode(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		struct sim *s = start();
		const bool transport = i & 1;
		struct sim_peer *p = i & 2 ? &s->a : &s->b;

		s->b.conf.transport = transport;
		sim_initiate(s, &s->a);
		sim_run_until(s, 2000);
		sim_flow_start(s);
		for (uint64_t at = 3000; at <= 12000; at += 3000) {
			const uint32_t before = live_child(&s->a)->in.spi;

			if (i & 4 && at == 6000)
				sim_rekey(s, p); // the IKE SA; its children go along
			sim_rekey_child(s, p);
			sim_run_until(s, at);
			CHECK(sim_children(&s->a) == 1 && live_child(&s->a)->in.spi != before);
			CHECK(all_in(s, transport));
		}
		end(s);
	}
}

static void test_both_rekey_at_once(void **state)
{
	struct sim *s = start();

	(void)state;
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	s->delay_ms = 50;
	sim_rekey_child(s, &s->a);
	sim_rekey_child(s, &s->b);
	sim_run_until(s, 20000);
	CHECK(sim_children(&s->a) == 1 && all_in(s, true));
	end(s);
}

// ---- a peer that lies ----

static const uint8_t no_auth[32];

static void test_answers_of_a_lying_responder(void **state)
{
	static const struct {
		bool ask, notify;
		const char *tsi, *tsr;
		bool child, transport;
		const char *why;
	} rows[] = {
		{true, true, "192.0.2.1/32", "192.0.2.2/32", true, true, "honest"},
		{true, false, "192.0.2.1/32", "192.0.2.2/32", true, false, "declines"},
		{false, true, "192.0.2.1/32", "192.0.2.2/32", false, false, "not asked for"},
		{true, true, "192.0.2.0/24", "192.0.2.2/32", false, false, "a network"},
		{true, true, "192.0.2.1/32", "192.0.2.3/32", false, false, "another address"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sim *s = start();
		struct proposal_list list = {.n = 1};
		struct selector_list ts = {.n = 1};
		struct ike_builder b;
		struct identity id;

		s->a.conf.transport = rows[i].ask;
		evil_before_auth_response(s);
		evil_begin(&b);
		CHECK(!identity_parse("gw-b.example", &id));
		build_id(&b, PAYLOAD_IDR, &id);
		build_auth(&b, AUTH_SHARED_KEY, no_auth, sizeof(no_auth));
		if (rows[i].notify)
			build_notify(&b, N_USE_TRANSPORT_MODE, NULL, 0);
		CHECK(!proposal_parse("aes128gcm16", PROTO_ESP, &list.p[0], NULL));
		list.p[0].number = 1;
		build_sa(&b, &list, 0xabcdef01, true);
		CHECK(!selector_parse(rows[i].tsi, &ts.s[0]));
		build_ts(&b, PAYLOAD_TSI, &ts);
		CHECK(!selector_parse(rows[i].tsr, &ts.s[0]));
		build_ts(&b, PAYLOAD_TSR, &ts);
		s->down = true;
		evil_send(s, &s->b, &s->a, EXCHANGE_IKE_AUTH, true, 1, &b);
		CHECK(sim_sa(&s->a, IKE_ST_ESTABLISHED));
		if ((sim_children(&s->a) == 1) != rows[i].child ||
		    (rows[i].child && live_child(&s->a)->in.transport != rows[i].transport))
			fail_msg("%s", rows[i].why);
		// What is refused is deleted at the peer.
		if (!rows[i].child && (s->a.sent != 3 || sim_errors(&s->a) != 1))
			fail_msg("%s: %u messages, %zu errors", rows[i].why, s->a.sent,
				 sim_errors(&s->a));
		end(s);
	}
}

// ---- NAT ----

static void check_nat(struct sim *s)
{
	const struct sim_child *a = live_child(&s->a), *b = live_child(&s->b);
	const struct ip_addr ours = s->a.addr, peer = s->b.addr, none = {0};

	CHECK(all_in(s, true));
	// Each has its own view in its selectors, and the other's for the checksums.
	CHECK(ip_addr_equal(&a->in.local_ts.s[0].lo, &ours));
	CHECK(ip_addr_equal(&a->in.remote_ts.s[0].lo, &peer));
	CHECK(ip_addr_equal(&a->in.local_oa, &s->nat_addr));
	CHECK(ip_addr_equal(&a->in.remote_oa, &peer));
	CHECK(ip_addr_equal(&b->in.local_ts.s[0].lo, &peer));
	CHECK(ip_addr_equal(&b->in.remote_ts.s[0].lo, &s->nat_addr));
	CHECK(ip_addr_equal(&b->in.remote_oa, &ours));
	CHECK(ip_addr_equal(&b->in.local_oa, &peer));
	CHECK(ip_addr_equal(&a->out.local_oa, &none) && ip_addr_equal(&b->out.remote_oa, &none));
	CHECK(a->in.udp_encap && b->in.udp_encap);
}

static void test_initiator_behind_a_nat(void **state)
{
	struct sim *s = start();

	(void)state;
	s->nat = true;
	s->nat_port = 20000;
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	check_nat(s);
	sim_rekey_child(s, &s->a);
	sim_run_until(s, 4000);
	check_nat(s);
	sim_rekey_child(s, &s->b); // who asks is before the NAT now
	sim_run_until(s, 6000);
	check_nat(s);
	// Another mapping of the same address: nothing but the port is another.
	s->nat_port = 30000;
	sim_check(s, &s->a);
	sim_run_until(s, 8000);
	check_nat(s);
	CHECK(live_child(&s->b)->out.remote.port == 34500);
	// Another address: the SA cannot follow, and a new one is made.
	s->nat_addr.bytes[3] = 77;
	sim_check(s, &s->a);
	sim_run_until(s, 12000);
	CHECK(says(&s->b, "an end of its IKE SA has another address now"));
	CHECK(sim_children(&s->a) == 1);
	check_nat(s);
	end(s);
}

// 2.23.1: what transport mode does not take, tunnel mode is asked for by the selectors as they
// came.
static void test_nat_and_declined(void **state)
{
	struct sim *s = start();

	(void)state;
	s->nat = true;
	s->b.conf.transport = false;
	s->b.conf.remote_ts = "192.0.2.1/32";
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	CHECK(all_in(s, false));
	CHECK(ip_addr_equal(&live_child(&s->b)->in.remote_ts.s[0].lo, &s->a.addr));
	CHECK(live_child(&s->b)->in.remote_oa.family == IP_NONE);
	end(s);
}

static void test_pretended_nat(void **state)
{
	struct sim *s = start();

	(void)state;
	s->b.conf.force_encap = true;
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	CHECK(all_in(s, true));
	CHECK(live_child(&s->a)->in.udp_encap);
	CHECK(ip_addr_equal(&live_child(&s->a)->in.remote_ts.s[0].lo, &s->b.addr));
	end(s);
}

// ---- MOBIKE ----

// RFC 4555 1.2 leaves transport mode out.
static void test_moving_makes_a_new_child(void **state)
{
	static const uint8_t five[] = {5};
	struct sim *s = start();

	(void)state;
	s->a.conf.mobike = s->b.conf.mobike = true;
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	CHECK(all_in(s, true));
	sim_addresses(s, &s->a, five, 1);
	sim_run_until(s, 30000);
	CHECK(says(&s->a, "an end of its IKE SA has another address now"));
	CHECK(sim_children(&s->a) == 1 && all_in(s, true));
	CHECK(ip_addr_equal(&live_child(&s->b)->in.remote_ts.s[0].lo, &s->a.addr));
	end(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_wants_what),
		cmocka_unit_test(test_networks_are_for_tunnels),
		cmocka_unit_test(test_responder_narrows_to_the_ends),
		cmocka_unit_test(test_successors_keep_the_mode),
		cmocka_unit_test(test_both_rekey_at_once),
		cmocka_unit_test(test_answers_of_a_lying_responder),
		cmocka_unit_test(test_initiator_behind_a_nat),
		cmocka_unit_test(test_nat_and_declined),
		cmocka_unit_test(test_pretended_nat),
		cmocka_unit_test(test_moving_makes_a_new_child),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
