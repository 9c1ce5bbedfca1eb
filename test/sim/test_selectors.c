// Selectors of both families (RFC 7296 2.9, 3.13.1): what becomes of mixed lists, of sides that do
// not fit, and of "dynamic" over IPv6.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ike/notify.h"
#include "control/ike/payload.h"
#include "test/sim/check.h"
#include "test/sim/evil.h"

static struct sim *start(void)
{
	struct sim *s = malloc(sizeof(*s));

	sim_init(s, 6);
	return s;
}

static void end(struct sim *s)
{
	if (!sim_fini(s))
		fail_msg("%s", s->broken);
	free(s);
}

static const char *list_text(const struct selector_list *list)
{
	static char text[2][SELECTORS_MAX * SELECTOR_TEXT_MAX];
	static unsigned turn;
	char *out = text[++turn % 2], one[SELECTOR_TEXT_MAX];
	size_t n = 0;

	out[0] = 0;
	for (unsigned i = 0; i < list->n; i++)
		n += (size_t)snprintf(out + n, sizeof(text[0]) - n, "%s%s", i ? " " : "",
				      selector_format(&list->s[i], one, sizeof(one)));
	return out;
}

static bool is_ts(const struct selector_list *list, const char *text)
{
	return strcmp(list_text(list), text) == 0;
}

static bool says(const struct sim_peer *p, enum ike_report_code code, const char *part)
{
	for (size_t i = 0; i < p->n_reports; i++)
		if (p->report[i].code == code && strstr(p->report[i].text, part))
			return true;
	return false;
}

static struct ike_child_info first_child(struct sim_peer *p)
{
	struct ike_child_info child = {0};
	struct ike_sa *sa = sim_sa(p, IKE_ST_ESTABLISHED);

	if (!sa || ike_sa_child_info(sa, 0, &child))
		fail_msg("%s has no child", p->name);
	return child;
}

static void test_narrowing(void **state)
{
	static const struct {
		const char *a_local, *a_remote, *b_local, *b_remote;
		const char *local, *remote; // a's child; NULL: none
		const char *why;
	} rows[] = {
		{"fd00:1::/48", "fd00:2::/48", "fd00:2:0:3::/64", "fd00:1::/32", "fd00:1::/48",
		 "fd00:2:0:3::/64", "the responder allows less"},
		{"fd00:1::8-fd00:1::20", "::/0", "fd00:2::/48", "fd00:1::1-fd00:1::10",
		 "fd00:1::8..fd00:1::10", "fd00:2::/48", "ranges overlap"},
		{"fd00:1::/48[ipv6-icmp]", "::/0", "::/0", "::/0[ipv6-icmp/128-129]",
		 "fd00:1::/48[ipv6-icmp/128-129]", "::/0", "types of ICMPv6"},
		{"10.1.0.0/16 fd00:1::/48", "10.2.0.0/16 fd00:2::/48", "10.2.0.0/16 fd00:2::/48",
		 "10.1.0.0/16 fd00:1::/48", "10.1.0.0/16 fd00:1::/48", "10.2.0.0/16 fd00:2::/48",
		 "both families in one child"},
		{"10.1.0.0/16 fd00:1::/48", "10.2.0.0/16 fd00:2::/48", "fd00:2::/48 10.2.0.0/24",
		 "fd00:1::/48 10.1.0.0/24", "10.1.0.0/24 fd00:1::/48", "10.2.0.0/24 fd00:2::/48",
		 "in another order, IPv4 narrowed"},
		{"10.1.0.0/16 fd00:1::/48", "10.2.0.0/16 fd00:2::/48", "10.2.0.0/16", "10.1.0.0/16",
		 "10.1.0.0/16", "10.2.0.0/16", "the responder has IPv4 only"},
		{"10.1.0.0/16 fd00:1::/48", "10.2.0.0/16 fd00:2::/48", "fd00:2::/48",
		 "10.1.0.0/16 fd00:1::/48", "fd00:1::/48", "fd00:2::/48",
		 "IPv4 on one of the responder's sides only carries nothing"},
		{"10.1.0.0/16 fd00:1::/48", "fd00:2::/48", "fd00:2::/48", "fd00:1::/48",
		 "fd00:1::/48", "fd00:2::/48", "IPv4 on one of the initiator's sides only"},
		{"10.1.0.0/16 fd00:1::/48", "10.2.0.0/16 fd00:2::/48", "10.2.0.0/16 fd00:9::/48",
		 "10.9.0.0/16 fd00:1::/48", NULL, NULL, "each side fits in another family"},
		{"0.0.0.0/0", "0.0.0.0/0", "::/0", "::/0", NULL, NULL, "no family in common"},
		{"fd00:1::5/128[tcp/80] fd00:1::/48", "fd00:2::7/128[tcp/443] fd00:2::/48",
		 "fd00:2::/64", "fd00:1::/64", "fd00:1::/64", "fd00:2::/64",
		 "a packet-specific first selector, and more"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sim *s = start();
		struct ike_child_info child;

		s->a.conf.local_ts = rows[i].a_local;
		s->a.conf.remote_ts = rows[i].a_remote;
		s->b.conf.local_ts = rows[i].b_local;
		s->b.conf.remote_ts = rows[i].b_remote;
		if (i % 2)
			sim_use_ipv6(s); // what is inside has nothing to do with it
		sim_initiate(s, &s->a);
		sim_run_until(s, 3000);
		if (!sim_sa(&s->a, IKE_ST_ESTABLISHED) || !sim_agree(s) ||
		    (sim_children(&s->a) == 1) != (rows[i].local != NULL))
			fail_msg("%s", rows[i].why);
		if (rows[i].local) {
			child = first_child(&s->a);
			if (!is_ts(&child.local_ts, rows[i].local) ||
			    !is_ts(&child.remote_ts, rows[i].remote))
				fail_msg("%s: %s === %s", rows[i].why, list_text(&child.local_ts),
					 list_text(&child.remote_ts));
		}
		end(s);
	}
}

static void test_a_refusal_shows_both_families(void **state)
{
	struct sim *s = start();
	const struct ike_refusal *r;

	(void)state;
	s->a.conf.local_ts = "10.1.0.0/16 fd00:1::/48";
	s->a.conf.remote_ts = "fd00:2::/48[tcp/22] 10.2.0.0/16";
	s->b.conf.local_ts = "fd00:2::/48";
	s->b.conf.remote_ts = "fd00:9::/48";
	sim_initiate(s, &s->a);
	sim_run_until(s, 3000);
	CHECK(sim_sa(&s->a, IKE_ST_ESTABLISHED) && sim_children(&s->a) == 0);
	r = s->b.refusal;
	CHECK(r && r->code == IKE_REPORT_TS_MISMATCH && r->notify == N_TS_UNACCEPTABLE);
	CHECK(is_ts(&r->their_ts.remote, "10.1.0.0/16 fd00:1::/48"));
	CHECK(is_ts(&r->their_ts.local, "fd00:2::/48[tcp/ssh] 10.2.0.0/16"));
	CHECK(r->n_candidates == 1 && is_ts(&r->candidate[0].remote_ts, "fd00:9::/48"));
	CHECK(says(&s->b, IKE_REPORT_TS_MISMATCH, "fd00:2::/48[tcp/ssh] 10.2.0.0/16"));
	CHECK(says(&s->b, IKE_REPORT_TS_MISMATCH, "fd00:9::/48"));
	CHECK(says(&s->a, IKE_REPORT_TS_MISMATCH, "10.1.0.0/16 fd00:1::/48"));
	end(s);
}

static void test_dynamic_is_of_the_tunnels_family(void **state)
{
	struct sim *s = start();
	struct ike_child_info child;

	(void)state;
	sim_use_ipv6(s);
	s->a.conf.local_ts = s->b.conf.remote_ts = "dynamic 10.1.0.0/16";
	s->b.conf.local_ts = s->a.conf.remote_ts = "dynamic 10.2.0.0/16";
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	CHECK(sim_agree(s));
	child = first_child(&s->a);
	CHECK(is_ts(&child.local_ts, "10.1.0.0/16 2001:db8::1/128"));
	CHECK(is_ts(&child.remote_ts, "10.2.0.0/16 2001:db8::2/128"));
	end(s);
}

// Each side's own address with protocols and ports: the common part is what both name.
static void test_dynamic_with_ports_is_narrowed(void **state)
{
	struct sim *s = start();
	struct ike_child_info child;

	(void)state;
	s->a.conf.local_ts = "dynamic[tcp/179] dynamic[gre]";
	s->b.conf.remote_ts = "dynamic";
	s->b.conf.local_ts = "dynamic[tcp/100-200] dynamic[gre] dynamic[udp]";
	s->a.conf.remote_ts = "dynamic[tcp] dynamic[gre]";
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	CHECK(sim_agree(s));
	child = first_child(&s->b);
	CHECK(is_ts(&child.remote_ts, "192.0.2.1/32[tcp/bgp] 192.0.2.1/32[gre]"));
	CHECK(is_ts(&child.local_ts, "192.0.2.2/32[tcp/100-200] 192.0.2.2/32[gre]"));
	end(s);
}

static void test_dynamic_with_other_ports_is_refused(void **state)
{
	struct sim *s = start();

	(void)state;
	s->a.conf.local_ts = "dynamic[tcp/179]";
	s->b.conf.remote_ts = "dynamic[tcp/180]";
	s->b.conf.local_ts = s->a.conf.remote_ts = "dynamic";
	sim_initiate(s, &s->a);
	sim_run_until(s, 20000);
	CHECK(sim_children(&s->a) == 0 && sim_children(&s->b) == 0);
	CHECK(says(&s->b, IKE_REPORT_TS_MISMATCH, "192.0.2.1/32[tcp/bgp]"));
	end(s);
}

static void test_dynamic_without_counterpart_is_said(void **state)
{
	struct sim *s = start();

	(void)state;
	sim_use_ipv6(s);
	s->a.conf.local_ts = "dynamic";
	s->a.conf.remote_ts = "10.2.0.0/16";
	sim_initiate(s, &s->a);
	sim_run_until(s, 20000);
	CHECK(says(&s->a, IKE_REPORT_TS_MISMATCH, "'dynamic' is an IPv6 address here"));
	CHECK(sim_children(&s->a) == 0 && sim_open(&s->a) == 0);
	end(s);
}

// The first selectors of both sides are the packet that the initiator has in hand only when they
// are of one family.
static void test_the_first_selectors_are_a_pair(void **state)
{
	struct sim *s = start();

	(void)state;
	s->a.conf.local_ts = "fd00:1::/48 10.1.0.0/16";
	s->a.conf.remote_ts = "10.2.0.0/16 fd00:2::/48";
	s->b.conf.local_ts = "10.2.0.0/24"; // both fit in part
	s->b.conf.remote_ts = "10.1.0.0/16";
	s->b.conf.extra_child_local_ts = "10.2.0.0/16 fd00:2:0:9::/64";
	s->b.conf.extra_child_remote_ts = "fd00:1::/48 10.1.9.0/24";
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	CHECK(sim_agree(s));
	CHECK(first_child(&s->b).conf == &s->b.child[0]);
	end(s);
}

static void test_rekeyed_with_both_families(void **state)
{
	struct sim *s = start();
	struct ike_child_info child;

	(void)state;
	s->a.conf.local_ts = s->b.conf.remote_ts = "10.1.0.0/16 fd00:1::/48";
	s->b.conf.local_ts = s->a.conf.remote_ts = "fd00:2::/48 10.2.0.0/16";
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	sim_flow_start(s);
	sim_rekey_child(s, &s->b);
	sim_run_until(s, 10000);
	sim_rekey(s, &s->a);
	sim_run_until(s, 20000);
	CHECK(sim_agree(s) && sim_children(&s->a) == 1 && s->a.installs == 2);
	child = first_child(&s->a);
	CHECK(is_ts(&child.local_ts, "10.1.0.0/16 fd00:1::/48"));
	CHECK(is_ts(&child.remote_ts, "fd00:2::/48 10.2.0.0/16"));
	end(s);
}

static void add_ts(struct ike_builder *b, uint8_t type, const char *one, const char *two)
{
	struct selector_list ts = {.n = two ? 2 : 1};

	CHECK(!selector_parse(one, &ts.s[0]));
	CHECK(!two || !selector_parse(two, &ts.s[1]));
	build_ts(b, type, &ts);
}

// An answer in IKE_AUTH to a's offer of both families; `tsi_too` may be NULL.
static void answer(struct sim *s, const char *tsi, const char *tsi_too, const char *tsr)
{
	static const uint8_t no_auth[32]; // made right by evil_send
	struct proposal_list esp = {.n = 1};
	struct ike_builder b;
	struct identity id;

	s->a.conf.local_ts = "10.1.0.0/16 fd00:1::/48";
	s->a.conf.remote_ts = "10.2.0.0/16 fd00:2::/48";
	evil_before_auth_response(s);
	evil_begin(&b);
	CHECK(!identity_parse("gw-b.example", &id));
	build_id(&b, PAYLOAD_IDR, &id);
	build_auth(&b, AUTH_SHARED_KEY, no_auth, sizeof(no_auth));
	CHECK(!proposal_parse("aes128gcm16", PROTO_ESP, &esp.p[0], NULL));
	esp.p[0].number = 1;
	build_sa(&b, &esp, 0xabcdef01, true);
	add_ts(&b, PAYLOAD_TSI, tsi, tsi_too);
	add_ts(&b, PAYLOAD_TSR, tsr, NULL);
	s->down = true;
	evil_send(s, &s->b, &s->a, EXCHANGE_IKE_AUTH, true, 1, &b);
}

// strongSwan narrows each side alone, so its answer may hold a family on one side only.
static void test_a_lonely_family_in_an_answer_is_left_out(void **state)
{
	struct ike_child_info child;
	struct sim *s = start();

	(void)state;
	answer(s, "10.1.0.0/16", "fd00:1::/48", "fd00:2::/48");
	CHECK(sim_children(&s->a) == 1 && sim_errors(&s->a) == 0);
	child = first_child(&s->a);
	CHECK(is_ts(&child.local_ts, "fd00:1::/48") && is_ts(&child.remote_ts, "fd00:2::/48"));
	end(s);
}

static void test_an_answer_that_is_no_pair_is_refused(void **state)
{
	struct sim *s = start();

	(void)state;
	answer(s, "10.1.0.0/16", NULL, "fd00:2::/48");
	CHECK(sim_sa(&s->a, IKE_ST_ESTABLISHED) && sim_children(&s->a) == 0);
	CHECK(says(&s->a, IKE_REPORT_TS_MISMATCH, "IPv4 on one side and IPv6 on the other"));
	CHECK(s->a.refusal && is_ts(&s->a.refusal->their_ts.remote, "fd00:2::/48"));
	CHECK(s->a.sent == 3); // the peer's half of it is deleted
	end(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_narrowing),
		cmocka_unit_test(test_a_refusal_shows_both_families),
		cmocka_unit_test(test_dynamic_is_of_the_tunnels_family),
		cmocka_unit_test(test_dynamic_with_ports_is_narrowed),
		cmocka_unit_test(test_dynamic_with_other_ports_is_refused),
		cmocka_unit_test(test_dynamic_without_counterpart_is_said),
		cmocka_unit_test(test_the_first_selectors_are_a_pair),
		cmocka_unit_test(test_rekeyed_with_both_families),
		cmocka_unit_test(test_a_lonely_family_in_an_answer_is_left_out),
		cmocka_unit_test(test_an_answer_that_is_no_pair_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
