// Failed negotiations: which are kept, how many may be explained, and what the API says of one.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ike/message.h"
#include "control/ike/notify.h"
#include "control/refusals.h"
#include "control/vici_refusal.h"

static struct ike_refusal *refusal(const char *conn, uint32_t peer, bool stranger)
{
	struct ike_refusal *r = calloc(1, sizeof(*r));

	r->code = IKE_REPORT_AUTH_FAILED;
	r->exchange = EXCHANGE_IKE_AUTH;
	r->stranger = stranger;
	r->remote = (struct ip_endpoint){ip_addr_v4(peer), IKE_PORT};
	snprintf(r->conn, sizeof(r->conn), "%s", conn);
	snprintf(r->why, sizeof(r->why), "for a test");
	return r;
}

static void add(struct refusals *f, const char *conn, uint32_t peer, bool stranger, int64_t now)
{
	struct ike_refusal *r = refusal(conn, peer, stranger);

	assert_int_equal(refusals_add(f, r, now, NULL), 0);
	free(r);
}

static const struct refusal_entry *find(const struct refusals *f, const char *conn)
{
	const struct refusal_entry *e = refusals_next(f, 0);

	while (e && strcmp(e->refusal.conn, conn) != 0)
		e = refusals_next(f, e->id);
	return e;
}

static void test_a_repetition_is_counted(void **state)
{
	struct refusals f;
	const struct refusal_entry *e;

	(void)state;
	refusals_init(&f);
	add(&f, "a", 1, false, 100);
	add(&f, "b", 2, false, 101);
	add(&f, "a", 1, false, 102);
	e = refusals_next(&f, 0);
	assert_string_equal(e->refusal.conn, "b");
	e = refusals_next(&f, e->id); // the newest is the last
	assert_string_equal(e->refusal.conn, "a");
	assert_int_equal(e->count, 2);
	assert_int_equal(e->first_s, 100);
	assert_int_equal(e->last_s, 102);
	assert_null(refusals_next(&f, e->id));
	refusals_fini(&f);
}

static void test_strangers_push_no_peer_out(void **state)
{
	struct refusals f;

	(void)state;
	refusals_init(&f);
	add(&f, "a", 1, false, 100);
	for (uint32_t i = 0; i < 10 * LIMIT_IKE_REFUSALS; i++)
		add(&f, "", 1000 + i, true, 200);
	assert_int_equal(f.n_strangers, LIMIT_IKE_REFUSALS_STRANGERS);
	assert_int_equal(f.n_peers, 1);
	assert_non_null(find(&f, "a"));
	refusals_fini(&f);
}

// As long as there are no more failing connections than places, each has its last failure.
static void test_every_connection_keeps_its_last_one(void **state)
{
	struct ike_refusal *r = refusal("noisy", 7, false);
	struct refusals f;
	char name[16];

	(void)state;
	refusals_init(&f);
	for (unsigned i = 0; i < LIMIT_IKE_REFUSALS - 1; i++) {
		snprintf(name, sizeof(name), "conn%u", i);
		add(&f, name, i, false, 100);
	}
	for (unsigned i = 0; i < 50; i++) { // one that fails in fifty ways
		snprintf(r->child, sizeof(r->child), "child%u", i);
		assert_int_equal(refusals_add(&f, r, 200, NULL), 0);
	}
	assert_int_equal(f.n_peers, LIMIT_IKE_REFUSALS);
	for (unsigned i = 0; i < LIMIT_IKE_REFUSALS - 1; i++) {
		snprintf(name, sizeof(name), "conn%u", i);
		assert_non_null(find(&f, name));
	}
	assert_string_equal(find(&f, "noisy")->refusal.child, "child49");
	// One more connection than places: the oldest goes.
	add(&f, "new", 9, false, 300);
	assert_int_equal(f.n_peers, LIMIT_IKE_REFUSALS);
	assert_null(find(&f, "conn0"));
	assert_non_null(find(&f, "new"));
	refusals_fini(&f);
	free(r);
}

static void test_a_brief_one_is_only_counted(void **state)
{
	struct ike_refusal *r = refusal("", 7, true);
	const struct refusal_entry *e = (const void *)r;
	struct refusals f;

	(void)state;
	refusals_init(&f);
	r->brief = true;
	assert_int_equal(refusals_add(&f, r, 1, &e), 0);
	assert_null(e);
	assert_null(refusals_next(&f, 0));
	assert_int_equal(f.left_out, 1);
	refusals_fini(&f);
	free(r);
}

static unsigned granted(struct refusal_budget *b, uint32_t addr, bool peer, uint64_t now)
{
	struct ip_addr a = ip_addr_v4(addr);
	unsigned n = 0;

	for (unsigned i = 0; i < 100; i++)
		n += refusal_budget_take(b, &a, peer, now);
	return n;
}

static void test_budget(void **state)
{
	struct refusal_budget *b = calloc(1, sizeof(*b));
	unsigned n = 0;

	(void)state;
	assert_int_equal(granted(b, 1, false, 50), LIMIT_IKE_REFUSALS_PER_SOURCE);
	assert_int_equal(granted(b, 1, true, 50), LIMIT_IKE_REFUSALS_PER_SOURCE); // apart
	for (uint32_t i = 0; i < 5000; i++)
		n += granted(b, 100 + i, false, 60);
	assert_int_equal(n + LIMIT_IKE_REFUSALS_PER_SOURCE, LIMIT_IKE_REFUSALS_EXPLAINED);
	assert_int_equal(granted(b, 2, true, 60), LIMIT_IKE_REFUSALS_PER_SOURCE);
	// A new time, a new budget.
	assert_int_equal(granted(b, 1, false, 60 + LIMIT_IKE_REFUSAL_MS),
			 LIMIT_IKE_REFUSALS_PER_SOURCE);
	free(b);
}

static void test_budget_of_an_ipv6_network(void **state)
{
	struct refusal_budget *b = calloc(1, sizeof(*b));
	struct ip_addr a;
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(ip_addr_parse("2001:db8::1", &a), 0);
		a.bytes[15] = (uint8_t)i; // one host may have them all
		n += refusal_budget_take(b, &a, false, 1);
	}
	assert_int_equal(n, LIMIT_IKE_REFUSALS_PER_SOURCE);
	free(b);
}

// ---- the message ----

static void says(const struct vici_builder *b, const char *key, const char *value)
{
	char text[2048];

	assert_int_equal(vici_get(b->data, b->len, key, text, sizeof(text)), 0);
	if (strcmp(text, value) != 0)
		fail_msg("%s is '%s', not '%s'", key, text, value);
}

static void propose(struct proposal_list *list, const char *text, enum protocol_id protocol)
{
	assert_int_equal(proposal_parse(text, protocol, &list->p[list->n++], NULL), 0);
}

static void test_proposals_transform_by_transform(void **state)
{
	struct refusal_entry *e = calloc(1, sizeof(*e));
	struct ike_refusal *r = &e->refusal;
	struct vici_builder b = {0};
	char text[64];

	(void)state;
	e->id = 12;
	e->count = 3;
	e->first_s = 0;
	e->last_s = 86400;
	r->code = IKE_REPORT_PROPOSAL_MISMATCH;
	r->exchange = EXCHANGE_IKE_SA_INIT;
	r->notify = N_NO_PROPOSAL_CHOSEN;
	r->stranger = true;
	r->have_ours = r->have_theirs = true;
	propose(&r->ours, "aes256gcm16-prfsha384-ecp384", PROTO_IKE);
	propose(&r->theirs, "aes128-sha256-ecp384-modp2048", PROTO_IKE);
	r->n_candidates = 1;
	r->candidates_total = 3;
	snprintf(r->candidate[0].name, IKE_NAME_MAX, "hub");
	r->candidate[0].lost = LOST_PROPOSAL;
	r->candidate[0].differs = 1 << TRANSFORM_ENCR;
	vici_refusal_build(&b, e);
	assert_false(b.failed);
	assert_int_equal(vici_check(b.data, b.len), 0);
	says(&b, "12.count", "3");
	says(&b, "12.first", "1970-01-01T00:00:00Z");
	says(&b, "12.last", "1970-01-02T00:00:00Z");
	says(&b, "12.code", "N-PROPOSAL");
	says(&b, "12.exchange", "IKE_SA_INIT");
	says(&b, "12.role", "responder");
	says(&b, "12.refused-by", "us");
	says(&b, "12.notify", "NO_PROPOSAL_CHOSEN");
	says(&b, "12.stranger", "yes");
	says(&b, "12.transforms.encryption.verdict", "different");
	says(&b, "12.transforms.prf.verdict", "different");
	says(&b, "12.transforms.integrity.verdict", "only-theirs");
	says(&b, "12.transforms.key-exchange.verdict", "common");
	says(&b, "12.candidates.hub.reason", "proposal");
	says(&b, "12.candidates-more", "2");
	assert_int_not_equal(vici_get(b.data, b.len, "12.transforms.sequence-numbers.verdict", text,
				      sizeof(text)),
			     0);
	vici_builder_fini(&b);
	free(e);
}

static void test_identities_selectors_and_certificates(void **state)
{
	struct refusal_entry *e = calloc(1, sizeof(*e));
	struct ike_refusal *r = &e->refusal;
	struct vici_builder b = {0};

	(void)state;
	e->id = 1;
	r->code = IKE_REPORT_CERT;
	r->by_peer = r->exchange_initiator = true;
	assert_int_equal(identity_parse("gw-a.example", &r->remote_id), 0);
	assert_int_equal(identity_parse("192.0.2.1", &r->local_asked), 0);
	r->have_our_ts = true;
	r->our_ts.local.n = 1;
	assert_int_equal(selector_parse("10.1.0.0/16", &r->our_ts.local.s[0]), 0);
	r->n_certs = 1;
	snprintf(r->cert[0].subject, sizeof(r->cert[0].subject), "CN=a");
	snprintf(r->cert[0].not_after, sizeof(r->cert[0].not_after), "2026-01-01 00:00 UTC");
	r->candidates_total = r->n_candidates = 1;
	snprintf(r->candidate[0].name, IKE_NAME_MAX, "lab");
	r->candidate[0].lost = LOST_PEER_ID;
	assert_int_equal(identity_parse("a@example", &r->candidate[0].remote), 0);
	vici_refusal_build(&b, e);
	assert_false(b.failed);
	says(&b, "1.role", "initiator");
	says(&b, "1.refused-by", "peer");
	says(&b, "1.remote-id.type", "FQDN");
	says(&b, "1.remote-id.id", "gw-a.example");
	says(&b, "1.local-id-asked.type", "IPV4_ADDR");
	says(&b, "1.certificates.1.subject", "CN=a");
	says(&b, "1.certificates.1.not-after", "2026-01-01 00:00 UTC");
	says(&b, "1.candidates.lab.reason", "peer-id");
	says(&b, "1.candidates.lab.remote-id.type", "RFC822_ADDR");
	assert_non_null(memmem(b.data, b.len, "10.1.0.0/16", 11));
	vici_builder_fini(&b);
	free(e);
}

// The largest refusal there can be still is one message.
static void test_the_largest_fits(void **state)
{
	struct refusal_entry *e = calloc(1, sizeof(*e));
	struct ike_refusal *r = &e->refusal;
	struct identity id = {.type = ID_KEY_ID, .len = IDENTITY_MAX};
	struct vici_builder b = {0};

	(void)state;
	r->have_ours = r->have_theirs = true;
	r->ours.n = r->theirs.n = PROPOSALS_MAX;
	for (unsigned i = 0; i < PROPOSALS_MAX; i++) {
		struct proposal *p = &r->ours.p[i];

		p->n = PROPOSAL_TRANSFORMS_MAX;
		for (unsigned k = 0; k < p->n; k++)
			p->t[k] = (struct transform){TRANSFORM_ENCR, (uint16_t)(60000 + 40 * i + k),
						     60000};
		r->theirs.p[i] = *p;
	}
	r->remote_id = r->remote_wanted = r->local_id = r->local_asked = id;
	r->candidates_total = r->n_candidates = LIMIT_IKE_REFUSAL_CANDIDATES;
	for (unsigned i = 0; i < r->n_candidates; i++) {
		struct refusal_candidate *c = &r->candidate[i];

		memset(c->name, 'x', sizeof(c->name) - 1);
		c->lost = LOST_SELECTORS;
		c->local = c->remote = id;
		c->local_ts.n = c->remote_ts.n = SELECTORS_MAX;
		for (unsigned k = 0; k < SELECTORS_MAX; k++) {
			assert_int_equal(
				selector_parse("10.1.0.0/16[udp/500-510]", &c->local_ts.s[k]), 0);
			c->remote_ts.s[k] = c->local_ts.s[k];
		}
	}
	vici_refusal_build(&b, e);
	assert_false(b.failed);
	assert_true(b.len < LIMIT_VICI_MESSAGE_LEN);
	vici_builder_fini(&b);
	free(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_repetition_is_counted),
		cmocka_unit_test(test_strangers_push_no_peer_out),
		cmocka_unit_test(test_every_connection_keeps_its_last_one),
		cmocka_unit_test(test_a_brief_one_is_only_counted),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_budget_of_an_ipv6_network),
		cmocka_unit_test(test_proposals_transform_by_transform),
		cmocka_unit_test(test_identities_selectors_and_certificates),
		cmocka_unit_test(test_the_largest_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
