// MOBIKE (RFC 4555): addresses that change, in every phase of the life of an IKE SA.
#include <stdlib.h>
#include <string.h>

#include "control/ike/payload.h"
#include "control/ike/sa.h"
#include "test/sim/check.h"
#include "test/sim/evil.h"

static const uint8_t one[] = {1}, two[] = {2}, eleven[] = {11}, twelve[] = {12};
static const uint8_t two_twelve[] = {2, 12}, one_eleven[] = {1, 11};

static struct sim *start(void)
{
	struct sim *s = malloc(sizeof(*s));

	sim_init(s, 4555);
	s->a.conf.mobike = s->b.conf.mobike = true;
	return s;
}

static void end(struct sim *s)
{
	if (!sim_fini(s))
		fail_msg("%s", s->broken);
	free(s);
}

static void establish(struct sim *s)
{
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	CHECK(sim_sa(&s->a, IKE_ST_ESTABLISHED) && sim_agree(s));
}

static struct sim *established(void)
{
	struct sim *s = start();

	establish(s);
	return s;
}

static struct ike_sa_info info_of(const struct sim_peer *p)
{
	struct ike_sa_info info = {0};

	CHECK(sim_sa(p, IKE_ST_ESTABLISHED));
	ike_sa_info(sim_sa(p, IKE_ST_ESTABLISHED), &info);
	return info;
}

static bool is_last(struct ip_addr a, uint8_t last)
{
	struct ip_addr is = ip_addr_v4(0xc0000200u | last);

	return ip_addr_equal(&a, &is);
}

static bool is_at(const struct sim_peer *p, const struct ip_endpoint *where)
{
	struct ike_sa_info info = info_of(p);

	return ip_endpoint_equal(&info.remote, where);
}

// The one child of p sends between 192.0.2.x and 192.0.2.y.
static bool sends_between(const struct sim_peer *p, uint8_t x, uint8_t y)
{
	for (size_t i = 0; i < SIM_CHILDREN; i++)
		if (p->children[i].live)
			return is_last(p->children[i].out.local.addr, x) &&
			       is_last(p->children[i].out.remote.addr, y);
	return false;
}

// ---- agreeing on it ----

static void test_only_when_both_sides_announce_it(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct sim *s = start();

		s->a.conf.mobike = i & 1;
		s->b.conf.mobike = i & 2;
		establish(s);
		CHECK(info_of(&s->a).mobike == (i == 3));
		CHECK(info_of(&s->b).mobike == (i == 3));
		// RFC 4555 3.3: IKE_AUTH on 4500, without a NAT; ESP stays as it is.
		CHECK(info_of(&s->b).remote.port == (i & 1 ? 4500 : 500));
		CHECK(!info_of(&s->a).encap && !s->a.children[0].out.udp_encap);
		end(s);
	}
}

// ---- the initiator moves ----

static void test_initiator_with_a_new_address(void **state)
{
	struct sim *s = established();

	(void)state;
	sim_flow_start(s);
	sim_addresses(s, &s->a, eleven, 1);
	CHECK(sends_between(&s->a, 11, 2)); // the peer is where it was: at once
	CHECK(sends_between(&s->b, 2, 1));
	sim_run_until(s, 2000 + 6);
	// RFC 4555 3.7: the responder's IKE SA has moved, its children wait for the check.
	CHECK(is_last(info_of(&s->b).remote.addr, 11));
	CHECK(sends_between(&s->b, 2, 1));
	sim_run_until(s, 2000 + 100);
	CHECK(sends_between(&s->b, 2, 11));
	CHECK(sim_reported(&s->a, IKE_REPORT_MOVED) && sim_reported(&s->b, IKE_REPORT_MOVED));
	CHECK(s->a.sent == 2 + 1 + 1 && s->b.sent == 2 + 1 + 1); // an update, a check
	CHECK(sim_agree(s) && sim_errors(&s->a) + sim_errors(&s->b) == 0);
	end(s);
}

static void test_nothing_is_said_when_nothing_has_changed(void **state)
{
	struct sim *s = established();

	(void)state;
	sim_addresses(s, &s->a, one, 1);
	sim_addresses(s, &s->b, two, 1);
	sim_run_until(s, 10000);
	CHECK(s->a.sent == 2 && s->b.sent == 2);
	// Without any address there is nothing to do but wait for one.
	sim_addresses(s, &s->a, one, 0);
	sim_run_until(s, 20000);
	sim_addresses(s, &s->a, one, 1);
	sim_run_until(s, 40000);
	CHECK(sim_agree(s) && sends_between(&s->a, 1, 2));
	end(s);
}

static void test_everything_is_lost_once(void **state)
{
	(void)state;
	// Update, its answer, check, its answer.
	for (unsigned lost = 0; lost < 4; lost++) {
		struct sim *s = established();

		sim_addresses(s, &s->a, one, 0);
		sim_run_until(s, 2100);
		if (lost == 0)
			s->drop_next = 1;
		sim_addresses(s, &s->a, eleven, 1);
		for (unsigned i = 1; i < 8 && lost > 0; i++) {
			sim_run_until(s, s->now_ms + 5);
			if (i == lost)
				s->drop_next = 1;
		}
		sim_run_until(s, 30000);
		CHECK(sim_agree(s) && sends_between(&s->b, 2, 11) && sends_between(&s->a, 11, 2));
		end(s);
	}
}

static void test_it_moves_again_before_the_answer(void **state)
{
	struct sim *s = established();

	(void)state;
	sim_addresses(s, &s->a, eleven, 1);
	sim_run_until(s, 2003);
	sim_addresses(s, &s->a, twelve, 1); // the update is on its way
	sim_run_until(s, 2030);
	sim_addresses(s, &s->a, one, 1); // the check is on its way
	sim_run_until(s, 30000);
	CHECK(sim_agree(s) && sends_between(&s->b, 2, 1) && sends_between(&s->a, 1, 2));
	end(s);
}

// What was under way from the old address goes on from the new one.
static void test_requests_under_way_go_along(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct sim *s = established();
		struct sim_peer *p = i & 1 ? &s->a : &s->b;

		s->drop_next = 1;
		if (i & 2)
			sim_rekey(s, p);
		else
			sim_rekey_child(s, p);
		sim_addresses(s, &s->a, eleven, 1);
		sim_run_until(s, 2200); // at once, not with its next repetition
		CHECK(sim_agree(s) && sends_between(&s->b, 2, 11) && sends_between(&s->a, 11, 2));
		sim_run_until(s, 60000);
		CHECK(sim_agree(s));
		CHECK(s->a.installs == (i & 2 ? 1 : 2) && s->b.installs == s->a.installs);
		CHECK(info_of(&s->b).mobike && is_last(info_of(&s->b).remote.addr, 11));
		end(s);
	}
}

// A child that has lost against the peer's, while its IKE SA is replaced and we move: nothing is
// left of it.
static void test_a_redundant_child_is_not_forgotten(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 8; seed++) { // the nonces decide whose it is
		struct sim *s = start();

		sim_init(s, seed);
		s->a.conf.mobike = s->b.conf.mobike = true;
		s->a.conf.extra_child_local_ts = s->b.conf.extra_child_remote_ts = "10.11.0.0/16";
		s->a.conf.extra_child_remote_ts = s->b.conf.extra_child_local_ts = "10.12.0.0/16";
		establish(s);
		sim_create_child(s, &s->a, 1);
		sim_create_child(s, &s->b, 1);
		sim_run_until(s, 2007);
		sim_addresses(s, &s->a, eleven, 1);
		sim_run_until(s, 2011);
		sim_rekey(s, &s->b);
		sim_run_until(s, 20000);
		CHECK(sim_agree(s) && sim_children(&s->a) == 2 && sim_children(&s->b) == 2);
		end(s);
	}
}

// RFC 4555 1.3: rekeying the IKE SA does not change who decides.
static void test_the_responder_rekeys_and_the_initiator_moves(void **state)
{
	struct sim *s = established();

	(void)state;
	sim_rekey(s, &s->b);
	sim_run_until(s, 5000);
	CHECK(!info_of(&s->a).original_initiator && sim_agree(s));
	sim_addresses(s, &s->a, eleven, 1);
	sim_run_until(s, 10000);
	CHECK(sim_agree(s) && sends_between(&s->b, 2, 11) && sends_between(&s->a, 11, 2));
	end(s);
}

static void test_a_new_child_comes_up_at_the_new_address(void **state)
{
	struct sim *s = start();

	(void)state;
	s->a.conf.extra_child_local_ts = s->b.conf.extra_child_remote_ts = "10.11.0.0/16";
	s->a.conf.extra_child_remote_ts = s->b.conf.extra_child_local_ts = "dynamic";
	establish(s);
	sim_addresses(s, &s->a, eleven, 1);
	sim_run_until(s, 5000);
	sim_addresses(s, &s->b, twelve, 1);
	sim_run_until(s, 10000);
	sim_create_child(s, &s->a, 1);
	sim_run_until(s, 20000);
	CHECK(sim_agree(s) && sim_children(&s->a) == 2);
	CHECK(is_last(s->a.children[1].out.local.addr, 11));
	CHECK(is_last(s->a.children[1].out.remote.addr, 12));
	// 'dynamic' is what it was.
	CHECK(is_last(s->a.children[1].out.remote_ts.s[0].lo, 2));
	end(s);
}

// ---- what is not allowed ----

static void test_an_address_that_the_configuration_forbids(void **state)
{
	struct sim *s = start();
	unsigned sent;

	(void)state;
	s->b.conf.denied = "192.0.2.11";
	establish(s);
	sim_addresses(s, &s->a, (const uint8_t[]){11, 1}, 2);
	sim_run_until(s, 5000);
	// Back to the address that is agreed on, and not away from it again.
	CHECK(sends_between(&s->b, 2, 1) && sends_between(&s->a, 1, 2) && sim_agree(s));
	sent = s->a.sent;
	CHECK(strstr(sim_reported(&s->b, IKE_REPORT_MOVED)->text, "UNACCEPTABLE_ADDRESSES"));
	sim_addresses(s, &s->a, (const uint8_t[]){11, 1}, 2);
	sim_run_until(s, 6000);
	CHECK(sends_between(&s->a, 1, 2) && s->a.sent == sent);
	// That one goes, and another one may be used.
	sim_addresses(s, &s->a, (const uint8_t[]){11, 12}, 2);
	sim_run_until(s, 9000);
	CHECK(sends_between(&s->b, 2, 12) && sends_between(&s->a, 12, 2) && sim_agree(s));
	// Then there is only the forbidden one.
	sim_addresses(s, &s->a, eleven, 1);
	sim_run_until(s, 60000);
	CHECK(sim_errors(&s->a) == 1 && sim_open(&s->a) == 0);
	end(s);
}

// The refusal of an address that is not in use any more.
static void test_a_late_refusal(void **state)
{
	struct sim *s = start();

	(void)state;
	s->b.conf.denied = "192.0.2.11";
	establish(s);
	sim_addresses(s, &s->a, eleven, 1);
	sim_run_until(s, 2003);
	sim_addresses(s, &s->a, twelve, 1);
	sim_run_until(s, 30000);
	CHECK(sim_agree(s) && sends_between(&s->b, 2, 12) && sends_between(&s->a, 12, 2));
	CHECK(sim_errors(&s->a) == 0);
	end(s);
}

// Who holds the keys and says UPDATE_SA_ADDRESSES from `from`; b's answer is lost on the way.
static void evil_update(struct sim *s, const struct ip_endpoint *from, struct ike_builder *b)
{
	s->spoof = *from;
	evil_send(s, &s->a, &s->b, EXCHANGE_INFORMATIONAL, false,
		  sim_sa(&s->b, IKE_ST_ESTABLISHED)->expected_id, b);
	s->spoof = (struct ip_endpoint){0};
}

// RFC 4555 5.3: somebody else's address gets no more than the repetitions of one small message.
static void test_traffic_is_not_turned_on_a_third_party(void **state)
{
	const struct ip_endpoint victim = {ip_addr_v4(0xcb007109), 4500};
	struct sim *s = established();
	uint8_t cookie2[IKE_COOKIE2_LEN];
	struct ike_builder b;

	(void)state;
	// A question about another address is under way, whose answer must not count for this one.
	sim_addresses(s, &s->a, eleven, 1);
	sim_run_until(s, 2006);
	memcpy(cookie2, sim_sa(&s->b, IKE_ST_ESTABLISHED)->request.cookie2, sizeof(cookie2));
	s->down = true;
	evil_begin(&b);
	build_notify(&b, N_UPDATE_SA_ADDRESSES, NULL, 0);
	evil_update(s, &victim, &b);
	evil_begin(&b);
	build_notify(&b, N_COOKIE2, cookie2, sizeof(cookie2));
	evil_send(s, &s->a, &s->b, EXCHANGE_INFORMATIONAL, true, 0, &b);
	CHECK(is_at(&s->b, &victim));
	sim_run_until(s, 60000);
	CHECK(sends_between(&s->b, 2, 1));
	sim_run_until(s, 400000);
	CHECK(sim_open(&s->b) == 0); // given up
	end(s);
}

static void test_the_check_wants_its_cookie_back(void **state)
{
	static const struct {
		int len; // of the COOKIE2 in the answer, -1: none
		bool flip;
		bool closed;
	} rows[] = {{-1, false, true}, {15, false, true}, {16, true, true}, {16, false, false}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sim *s = established();
		struct ike_builder b;
		uint8_t cookie2[16];

		sim_addresses(s, &s->a, eleven, 1);
		sim_run_until(s, 2006); // b's check is on its way
		s->down = true;
		memcpy(cookie2, sim_sa(&s->b, IKE_ST_ESTABLISHED)->request.cookie2, 16);
		cookie2[3] ^= rows[i].flip;
		evil_begin(&b);
		if (rows[i].len >= 0)
			build_notify(&b, N_COOKIE2, cookie2, (size_t)rows[i].len);
		evil_send(s, &s->a, &s->b, EXCHANGE_INFORMATIONAL, true, 0, &b);
		CHECK((sim_open(&s->b) == 0) == rows[i].closed);
		CHECK(rows[i].closed || sends_between(&s->b, 2, 11));
		end(s);
	}
}

// Does b's last answer hold a notify of that type?
static bool answered(struct sim *s, uint16_t type, struct ike_notify *n)
{
	static uint8_t buf[LIMIT_IKE_MESSAGE_LEN];
	struct ike_msg m;

	return evil_open_reply(&s->b, &m, buf) && ike_msg_notify(&m, type, 0, n);
}

// RFC 4555 3.7, 3.8: what any request may ask for, and changes nothing.
static void test_cookies_and_nat_detection_are_answered(void **state)
{
	static const struct {
		uint16_t type;
		size_t len;
		bool echoed;
	} rows[] = {{N_COOKIE2, 7, false},
		    {N_COOKIE2, 8, true},
		    {N_COOKIE2, 64, true},
		    {N_COOKIE2, 65, false}};
	uint8_t data[65] = {1, 2, 3};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sim *s = established();
		struct ike_builder b;
		struct ike_notify n;

		evil_begin(&b);
		build_notify(&b, rows[i].type, data, rows[i].len);
		build_notify(&b, N_NAT_DETECTION_SOURCE_IP, data, 20);
		build_notify(&b, N_NAT_DETECTION_DESTINATION_IP, data, 20);
		evil_send(s, &s->a, &s->b, EXCHANGE_INFORMATIONAL, false, 2, &b);
		CHECK(answered(s, N_NAT_DETECTION_SOURCE_IP, &n) && n.len == 20);
		CHECK(answered(s, N_COOKIE2, &n) == rows[i].echoed);
		CHECK(!rows[i].echoed ||
		      (n.len == rows[i].len && memcmp(n.data, data, n.len) == 0));
		CHECK(!info_of(&s->b).encap && sends_between(&s->b, 2, 1));
		end(s);
	}
}

// Only who began, and only with MOBIKE.
static void test_who_may_move(void **state)
{
	const struct ip_endpoint from = {ip_addr_v4(0xc000020b), 4500};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct sim *s = start();
		struct sim_peer *to = i == 1 ? &s->a : &s->b, *by = i == 1 ? &s->b : &s->a;
		struct ike_builder b;

		s->a.conf.mobike = i != 2;
		establish(s);
		s->down = true;
		evil_begin(&b);
		build_notify(&b, N_UPDATE_SA_ADDRESSES, NULL, 0);
		s->spoof = from;
		evil_send(s, by, to, EXCHANGE_INFORMATIONAL, false, i == 1 ? 0 : 2, &b);
		CHECK(is_at(to, &from) == (i == 0));
		end(s);
	}
}

// RFC 4555 3.8: a message that does not say so moves nothing, or it could not test a path.
static void test_other_messages_do_not_move_it(void **state)
{
	struct sim *s = start();

	(void)state;
	s->nat = true;
	s->nat_port = 20000;
	establish(s);
	CHECK(info_of(&s->b).remote.port == 24500 && s->b.children[0].out.udp_encap);
	s->nat_port = 30000;
	sim_check(s, &s->a);
	sim_run_until(s, 2006);
	CHECK(info_of(&s->b).remote.port == 24500);
	end(s);
}

// A packet that was held back comes from where the peer no longer is.
static void test_late_esp_does_not_undo_a_move(void **state)
{
	const struct ip_endpoint old = {ip_addr_v4(0xc0000201), 4500};
	struct sim *s = start();

	(void)state;
	s->a.conf.force_encap = true; // as behind a NAT
	establish(s);
	CHECK(info_of(&s->b).nat_remote);
	sim_addresses(s, &s->a, eleven, 1);
	sim_run_until(s, 2006);
	sim_esp_from(s, &s->b, s->b.children[0].in.spi, &old);
	CHECK(is_last(info_of(&s->b).remote.addr, 11));
	sim_run_until(s, 3000);
	CHECK(sim_agree(s) && sends_between(&s->b, 2, 11));
	end(s);
}

// RFC 4555 3.8: the initiator behind a NAT notices by its liveness checks that it is seen
// otherwise.
static void test_another_mapping_of_the_nat_is_noticed(void **state)
{
	struct sim *s = start();

	(void)state;
	s->nat = true;
	s->nat_port = 20000;
	s->a.conf.dpd_delay_ms = 10000;
	establish(s);
	sim_run_until(s, 30000);
	CHECK(s->a.sent == 2 + 2); // checks; no update
	s->nat_port = 30000;
	sim_run_until(s, 45000);
	CHECK(info_of(&s->b).remote.port == 34500);
	CHECK(s->b.children[0].out.remote.port == 34500);
	CHECK(sim_agree(s));
	// ESP alone may say so as well (3.8).
	s->spoof = info_of(&s->b).remote;
	s->spoof.port = 35000;
	sim_esp_from(s, &s->b, s->b.children[0].in.spi, &s->spoof);
	CHECK(s->b.children[0].out.remote.port == 35000);
	end(s);
}

// Into a NAT and out of it again: ESP in UDP, and ESP.
static void test_encapsulation_comes_and_goes(void **state)
{
	struct sim *s = established();

	(void)state;
	s->nat = true;
	s->nat_port = 20000;
	sim_addresses(s, &s->a, eleven, 1);
	sim_run_until(s, 5000);
	CHECK(s->a.children[0].out.udp_encap && s->b.children[0].out.udp_encap);
	CHECK(s->b.children[0].out.remote.port == 24570);
	CHECK(info_of(&s->a).nat_local && info_of(&s->b).nat_remote && sim_agree(s));
	sim_rekey_child(s, &s->b);
	sim_run_until(s, 10000);
	CHECK(sim_agree(s) && sim_children(&s->a) == 1);
	s->nat = false;
	sim_addresses(s, &s->a, one, 1);
	sim_run_until(s, 15000);
	CHECK(sim_agree(s) && sends_between(&s->a, 1, 2) && sends_between(&s->b, 2, 1));
	for (size_t i = 0; i < SIM_CHILDREN; i++)
		CHECK(!s->b.children[i].live ||
		      (!s->b.children[i].out.udp_encap && s->b.children[i].out.remote.port == 0));
	end(s);
}

// ---- NO_NATS_ALLOWED ----

static void test_without_nat_traversal_nobody_may_change_addresses(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct sim *s = start();
		uint8_t data[12] = {192, 0, 2, 11, 192, 0, 2, 2, 0x11, 0x94, 0x11, 0x94};
		const struct ip_endpoint from = {ip_addr_v4(0xc000020b), 4500};
		struct ike_builder b;
		struct ike_notify n;

		establish(s);
		s->down = true;
		data[3] = i ? 11 : 12; // and the packet comes from .11
		evil_begin(&b);
		build_notify(&b, N_UPDATE_SA_ADDRESSES, NULL, 0);
		build_notify(&b, N_NO_NATS_ALLOWED, data, sizeof(data));
		evil_update(s, &from, &b);
		CHECK(answered(s, N_UNEXPECTED_NAT_DETECTED, &n) == !i);
		CHECK(is_at(&s->b, &from) == i);
		end(s);
	}
}

// RFC 4555 3.9: and we forbid it as well; it may have been one packet, so we ask several times.
static void test_we_forbid_it_without_nat_traversal(void **state)
{
	struct sim *s = established();
	unsigned sent;

	(void)state;
	sim_sa(&s->a, IKE_ST_ESTABLISHED)->nat.supported = false;
	sim_sa(&s->b, IKE_ST_ESTABLISHED)->nat.supported = false;
	sim_addresses(s, &s->a, one_eleven, 2);
	sim_run_until(s, 3000); // the list
	CHECK(sim_sa(&s->b, IKE_ST_ESTABLISHED)->mobike.n_peer == 2);
	sim_addresses(s, &s->a, (const uint8_t[]){11, 1}, 2);
	sim_run_until(s, 5000);
	CHECK(sim_agree(s) && sends_between(&s->b, 2, 11));
	s->nat = true;
	s->nat_port = 20000;
	sent = s->a.sent;
	sim_addresses(s, &s->a, (const uint8_t[]){1, 11}, 2);
	sim_run_until(s, 10000);
	CHECK(s->a.sent == sent + 1 + 5);
	CHECK(sends_between(&s->b, 2, 11) && sends_between(&s->a, 11, 2)); // back again
	end(s);
}

// ---- several addresses ----

static void test_the_responders_address_goes(void **state)
{
	struct sim *s = start();

	(void)state;
	sim_addresses(s, &s->b, two_twelve, 2);
	establish(s);
	CHECK(sim_sa(&s->a, IKE_ST_ESTABLISHED)->mobike.n_peer == 2);
	sim_addresses(s, &s->b, twelve, 1);
	CHECK(sends_between(&s->b, 12, 1)); // RFC 4555 3.5: it has no other choice
	sim_run_until(s, 2006);
	CHECK(is_last(info_of(&s->a).remote.addr, 12));
	CHECK(sends_between(&s->a, 1, 2)); // until the answer shows that it is there
	sim_run_until(s, 5000);
	CHECK(sim_agree(s) && sends_between(&s->a, 1, 12) && sends_between(&s->b, 12, 1));
	// An address more is told and changes nothing.
	sim_addresses(s, &s->b, (const uint8_t[]){12, 13}, 2);
	sim_run_until(s, 9000);
	CHECK(sim_agree(s) && sends_between(&s->a, 1, 12));
	CHECK(sim_sa(&s->a, IKE_ST_ESTABLISHED)->mobike.n_peer == 2);
	end(s);
}

static void test_the_path_to_the_responder_breaks(void **state)
{
	struct sim *s = start();

	(void)state;
	s->a.conf.dpd_delay_ms = 10000;
	sim_addresses(s, &s->b, two_twelve, 2);
	establish(s);
	s->dead = s->b.addr;
	sim_run_until(s, 60000);
	CHECK(sim_agree(s) && sends_between(&s->a, 1, 12) && sends_between(&s->b, 12, 1));
	CHECK(sim_errors(&s->a) + sim_errors(&s->b) == 0);
	// Back again does not move it: it is not told that the other path works.
	s->dead = (struct ip_addr){0};
	sim_run_until(s, 120000);
	CHECK(sim_agree(s) && sends_between(&s->a, 1, 12));
	end(s);
}

static void test_the_path_from_our_address_breaks(void **state)
{
	struct sim *s = start();

	(void)state;
	s->a.conf.dpd_delay_ms = 10000;
	sim_addresses(s, &s->a, one_eleven, 2);
	establish(s);
	s->dead = s->a.addr;
	sim_run_until(s, 60000);
	CHECK(sim_agree(s) && sends_between(&s->a, 11, 2) && sends_between(&s->b, 2, 11));
	// The routes still prefer the other one: it has been found not to work.
	sim_addresses(s, &s->a, one_eleven, 2);
	sim_run_until(s, 70000);
	CHECK(sim_agree(s) && sends_between(&s->a, 11, 2));
	end(s);
}

// An answer that comes from elsewhere than where it was asked for is no path.
static void test_an_answer_from_nowhere(void **state)
{
	const struct ip_endpoint from = {ip_addr_v4(0xcb007109), 4500};
	struct sim *s = start();
	struct ike_builder b;

	(void)state;
	s->a.conf.dpd_delay_ms = 10000;
	sim_addresses(s, &s->b, two_twelve, 2);
	establish(s);
	s->down = true;
	sim_run_until(s, 30000);
	CHECK(sim_sa(&s->a, IKE_ST_ESTABLISHED)->request.tried);
	evil_begin(&b);
	s->spoof = from;
	evil_send(s, &s->b, &s->a, EXCHANGE_INFORMATIONAL, true, 2, &b);
	CHECK(is_last(info_of(&s->a).remote.addr, 2));
	end(s);
}

// RFC 4555 3.6: a list whose request went between several pairs of addresses is sent anew.
static void test_a_list_that_is_lost(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct sim *s = established();

		s->drop_next = 1;
		sim_addresses(s, &s->b, two_twelve, 2);
		if (i == 0)
			sim_addresses(s, &s->a, eleven, 1);
		else
			sim_rekey(s, &s->a); // the next IKE SA has to tell it
		sim_run_until(s, 10000);
		CHECK(sim_agree(s) && sim_sa(&s->a, IKE_ST_ESTABLISHED)->mobike.n_peer == 2);
		// Two answers of IKE_SA_INIT and IKE_AUTH, one to the update, the list three times,
		// a question.
		CHECK(i == 1 || s->b.sent == 2 + 1 + 3 + 1);
		end(s);
	}
}

static void test_a_list_has_its_limit(void **state)
{
	struct sim *s = established();
	const struct ip_endpoint from = {s->b.addr, 4500};
	struct ike_builder b;
	uint8_t addr[16] = {192, 0, 2, 50};

	(void)state;
	evil_begin(&b);
	for (unsigned i = 0; i < 60; i++, addr[3]++)
		build_notify(&b, N_ADDITIONAL_IP4_ADDRESS, addr, i % 3 ? 4 : 5);
	s->spoof = from;
	evil_send(s, &s->b, &s->a, EXCHANGE_INFORMATIONAL, false, 0, &b);
	CHECK(sim_sa(&s->a, IKE_ST_ESTABLISHED)->mobike.n_peer == LIMIT_IKE_ADDRS + 1);
	evil_begin(&b);
	build_notify(&b, N_NO_ADDITIONAL_ADDRESSES, NULL, 0);
	evil_send(s, &s->b, &s->a, EXCHANGE_INFORMATIONAL, false, 1, &b);
	CHECK(sim_sa(&s->a, IKE_ST_ESTABLISHED)->mobike.n_peer == 1);
	end(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_when_both_sides_announce_it),
		cmocka_unit_test(test_initiator_with_a_new_address),
		cmocka_unit_test(test_nothing_is_said_when_nothing_has_changed),
		cmocka_unit_test(test_everything_is_lost_once),
		cmocka_unit_test(test_it_moves_again_before_the_answer),
		cmocka_unit_test(test_requests_under_way_go_along),
		cmocka_unit_test(test_a_redundant_child_is_not_forgotten),
		cmocka_unit_test(test_the_responder_rekeys_and_the_initiator_moves),
		cmocka_unit_test(test_a_new_child_comes_up_at_the_new_address),
		cmocka_unit_test(test_an_address_that_the_configuration_forbids),
		cmocka_unit_test(test_a_late_refusal),
		cmocka_unit_test(test_traffic_is_not_turned_on_a_third_party),
		cmocka_unit_test(test_the_check_wants_its_cookie_back),
		cmocka_unit_test(test_cookies_and_nat_detection_are_answered),
		cmocka_unit_test(test_who_may_move),
		cmocka_unit_test(test_other_messages_do_not_move_it),
		cmocka_unit_test(test_late_esp_does_not_undo_a_move),
		cmocka_unit_test(test_another_mapping_of_the_nat_is_noticed),
		cmocka_unit_test(test_encapsulation_comes_and_goes),
		cmocka_unit_test(test_without_nat_traversal_nobody_may_change_addresses),
		cmocka_unit_test(test_we_forbid_it_without_nat_traversal),
		cmocka_unit_test(test_the_responders_address_goes),
		cmocka_unit_test(test_the_path_to_the_responder_breaks),
		cmocka_unit_test(test_the_path_from_our_address_breaks),
		cmocka_unit_test(test_an_answer_from_nowhere),
		cmocka_unit_test(test_a_list_that_is_lost),
		cmocka_unit_test(test_a_list_has_its_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
