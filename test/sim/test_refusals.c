// Two peers that do not agree: who refuses what, with which words, and what stays up. Also what an
// IKE_SA_INIT responder may ask for, and how selectors are narrowed.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ike/message.h"
#include "control/ike/notify.h"
#include "test/sim/check.h"
#include "test/sim/sim.h"

static struct sim *start(void)
{
	struct sim *s = malloc(sizeof(*s));

	sim_init(s, 42);
	return s;
}

static void end(struct sim *s)
{
	if (!sim_fini(s))
		fail_msg("%s", s->broken);
	free(s);
}

static bool is_established(const struct sim_peer *p)
{
	return sim_sa(p, IKE_ST_ESTABLISHED) != NULL;
}

static bool says(const struct sim_peer *p, enum ike_report_code code, const char *part)
{
	for (size_t i = 0; i < p->n_reports; i++)
		if (p->report[i].code == code && strstr(p->report[i].text, part))
			return true;
	return false;
}

// The last refusal of a peer as a value; never NULL.
static const struct ike_refusal *why(const struct sim_peer *p, enum ike_report_code code)
{
	static const struct ike_refusal none;

	if (!p->refusal || p->refusal->code != code)
		fail_msg("%s: no refusal %s", p->name, ike_report_code_name(code));
	return p->refusal ? p->refusal : &none;
}

static bool is_id(const struct identity *id, const char *text)
{
	struct identity wanted;

	return !identity_parse(text, &wanted) && identity_equal(id, &wanted);
}

static bool is_ts(const struct selector_list *list, const char *text)
{
	struct selector wanted;

	return !selector_parse(text, &wanted) && list->n == 1 &&
	       selector_equal(&list->s[0], &wanted);
}

// -1: the type is in neither list
static int verdict(const struct ike_refusal *r, uint8_t type)
{
	enum refusal_verdict v;

	return refusal_compare(r, type, &v) ? (int)v : -1;
}

// ---- refusals: one clear line on the side that knows ----

static void test_wrong_psk(void **state)
{
	struct sim *s = start();
	const struct ike_refusal *r;

	(void)state;
	s->b.conf.psk = "another key";
	sim_initiate(s, &s->a);
	sim_run_until(s, 3000);
	CHECK(sim_open(&s->a) == 0 && !is_established(&s->b));
	CHECK(sim_errors(&s->a) == 1 && sim_errors(&s->b) == 1);
	CHECK(says(&s->a, IKE_REPORT_PEER_REFUSED_AUTH, "AUTHENTICATION_FAILED"));
	CHECK(says(&s->b, IKE_REPORT_AUTH_FAILED, "AUTH does not verify"));
	CHECK(says(&s->b, IKE_REPORT_AUTH_FAILED, "FQDN 'gw-a.example'"));
	r = why(&s->b, IKE_REPORT_AUTH_FAILED);
	CHECK(r->exchange == EXCHANGE_IKE_AUTH && !r->exchange_initiator && !r->by_peer);
	CHECK(is_id(&r->remote_id, "gw-a.example") && is_id(&r->local_id, "gw-b.example"));
	CHECK(strcmp(r->conn, s->b.conn.name) == 0);
	r = why(&s->a, IKE_REPORT_PEER_REFUSED_AUTH);
	CHECK(r->exchange == EXCHANGE_IKE_AUTH && r->exchange_initiator && r->by_peer);
	CHECK(r->notify == N_AUTHENTICATION_FAILED && is_id(&r->local_id, "gw-a.example"));
	CHECK(is_id(&r->remote_wanted, "gw-b.example"));
	// A bad AUTH does not end the half-open SA at once, time does.
	CHECK(sim_sa(&s->b, IKE_ST_CONNECTING) != NULL);
	sim_run_until(s, 3000 + LIMIT_IKE_HALF_OPEN_MS);
	CHECK(sim_open(&s->b) == 0 && sim_errors(&s->b) == 1);
	end(s);
}

static struct {
	unsigned message; // of b
	void (*change)(uint8_t *bytes, size_t len);
	unsigned seen;
} meddler;

static void meddle(struct sim *s, struct sim_peer *from, uint8_t *bytes, size_t len)
{
	if (from == &s->b && ++meddler.seen == meddler.message)
		meddler.change(bytes, len);
}

static void change_init_reserved(uint8_t *bytes, size_t len)
{
	// The last octets of the message are a notify without data: its RESERVED flags, which
	// nothing reads, but AUTH covers.
	bytes[len - 7] ^= 1;
}

static void test_changed_init_response_fails_auth(void **state)
{
	struct sim *s = start();

	(void)state;
	meddler.message = 1;
	meddler.seen = 0;
	meddler.change = change_init_reserved;
	s->tap = meddle;
	sim_initiate(s, &s->a);
	sim_run_until(s, 3000);
	// The responder's AUTH is over what it sent, ours over what we sent: the responder
	// believes us, we do not believe it, and tell it.
	CHECK(sim_open(&s->a) == 0 && sim_open(&s->b) == 0);
	CHECK(says(&s->a, IKE_REPORT_AUTH_FAILED, "does not verify"));
	CHECK(says(&s->b, IKE_REPORT_PEER_REFUSED_AUTH, "AUTHENTICATION_FAILED"));
	CHECK(sim_children(&s->b) == 0 && s->b.installs == 1);
	end(s);
}

static void test_unknown_proposal(void **state)
{
	struct sim *s = start();
	const struct ike_refusal *r;
	struct transform t[4];

	(void)state;
	s->a.conf.ike = "aes128-sha256-modp2048";
	s->b.conf.ike = "aes256gcm16-prfsha384-ecp384";
	sim_initiate(s, &s->a);
	sim_run_until(s, 1100);
	// Said at once, though a true answer may still come (RFC 7296 2.21.1).
	CHECK(says(&s->a, IKE_REPORT_PROPOSAL_MISMATCH, "NO_PROPOSAL_CHOSEN"));
	CHECK(says(&s->a, IKE_REPORT_PROPOSAL_MISMATCH, "MODP_2048"));
	CHECK(says(&s->b, IKE_REPORT_PROPOSAL_MISMATCH, "AES_CBC_128"));
	CHECK(says(&s->b, IKE_REPORT_PROPOSAL_MISMATCH, "AES_GCM_16_256"));
	CHECK(says(&s->b, IKE_REPORT_PROPOSAL_MISMATCH, "no common encryption"));
	CHECK(sim_open(&s->b) == 0);
	r = why(&s->b, IKE_REPORT_PROPOSAL_MISMATCH);
	CHECK(r->exchange == EXCHANGE_IKE_SA_INIT && !r->exchange_initiator);
	CHECK(verdict(r, TRANSFORM_ENCR) == VERDICT_DIFFERENT);
	CHECK(verdict(r, TRANSFORM_PRF) == VERDICT_DIFFERENT);
	CHECK(verdict(r, TRANSFORM_INTEG) == VERDICT_ONLY_THEIRS);
	CHECK(verdict(r, TRANSFORM_KE) == VERDICT_DIFFERENT);
	CHECK(verdict(r, TRANSFORM_SN) == -1);
	CHECK(refusal_transforms(&r->theirs, TRANSFORM_KE, t, 4) == 1 && t[0].id == KE_MODP_2048);
	CHECK(refusal_transforms(&r->ours, TRANSFORM_KE, t, 4) == 1 && t[0].id == KE_ECP_384);
	CHECK(r->n_candidates == 1 && r->candidate[0].lost == LOST_PROPOSAL);
	CHECK(r->candidate[0].differs ==
	      (1 << TRANSFORM_ENCR | 1 << TRANSFORM_PRF | 1 << TRANSFORM_KE));
	r = why(&s->a, IKE_REPORT_PROPOSAL_MISMATCH);
	CHECK(r->by_peer && r->notify == N_NO_PROPOSAL_CHOSEN && r->exchange_initiator);
	CHECK(verdict(r, TRANSFORM_ENCR) == VERDICT_UNKNOWN && !r->have_theirs);
	CHECK(refusal_transforms(&r->ours, TRANSFORM_KE, t, 4) == 1 && t[0].id == KE_MODP_2048);
	sim_run_until(s, 3000);
	CHECK(sim_open(&s->a) == 0);
	CHECK(sim_errors(&s->a) == 1 && sim_errors(&s->b) == 1);
	end(s);
}

static void test_forged_refusal_does_not_win(void **state)
{
	struct sim *s = start();
	struct ike_sa_info info;
	uint8_t forged[36] = {0};

	(void)state;
	sim_initiate(s, &s->a);
	ike_sa_info(sim_sa(&s->a, IKE_ST_CONNECTING), &info);
	memcpy(forged, info.spi_i, 8);
	forged[16] = 41; // Notify
	forged[17] = 0x20;
	forged[18] = 34;
	forged[19] = 0x20; // response
	forged[27] = sizeof(forged);
	forged[31] = 8;
	forged[35] = 14; // NO_PROPOSAL_CHOSEN
	sim_inject(s, &s->a, forged, sizeof(forged));
	CHECK(sim_reported(&s->a, IKE_REPORT_PROPOSAL_MISMATCH));
	sim_run_until(s, 4000);
	CHECK(is_established(&s->a) && is_established(&s->b) && sim_agree(s));
	end(s);
}

static void test_other_group_is_asked_for(void **state)
{
	struct sim *s = start();
	struct ike_sa_info info;

	(void)state;
	s->a.conf.ike = "aes128gcm16-prfsha256-x25519-ecp256-ecp384";
	s->b.conf.ike = "aes128gcm16-prfsha256-ecp384";
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	CHECK(is_established(&s->a) && sim_agree(s));
	ike_sa_info(sim_sa(&s->a, IKE_ST_ESTABLISHED), &info);
	CHECK(proposal_first(&info.chosen, TRANSFORM_KE)->id == KE_ECP_384);
	CHECK(s->a.sent == 3 && sim_open(&s->b) == 1);
	CHECK(sim_errors(&s->a) == 0 && sim_errors(&s->b) == 0);
	end(s);
}

// ---- a responder of strange habits, played by hand ----

static size_t notify_response(const struct ike_sa *sa, uint16_t type, const uint8_t *data,
			      size_t data_len, uint8_t *out)
{
	struct ike_sa_info info;
	size_t len = 36 + data_len;

	ike_sa_info(sa, &info);
	memset(out, 0, 36);
	memcpy(out, info.spi_i, 8);
	out[16] = 41;
	out[17] = 0x20;
	out[18] = 34;
	out[19] = 0x20;
	out[27] = (uint8_t)len;
	out[31] = (uint8_t)(8 + data_len);
	out[34] = (uint8_t)(type >> 8);
	out[35] = (uint8_t)type;
	memcpy(out + 36, data, data_len);
	return len;
}

static uint8_t last_init[2048];
static size_t last_init_len;

static void keep_init(struct sim *s, struct sim_peer *from, uint8_t *bytes, size_t len)
{
	if (from == &s->a && bytes[18] == 34 && len <= sizeof(last_init)) {
		memcpy(last_init, bytes, len);
		last_init_len = len;
	}
}

static void test_cookie_comes_first_and_all_else_stays(void **state)
{
	struct sim *s = start();
	uint8_t first[2048], cookie[64], msg[128];
	size_t first_len, n;

	(void)state;
	memset(cookie, 0xc0, sizeof(cookie));
	s->tap = keep_init;
	s->down = true;
	sim_initiate(s, &s->a);
	memcpy(first, last_init, last_init_len);
	first_len = last_init_len;
	n = notify_response(sim_sa(&s->a, IKE_ST_CONNECTING), 16390, cookie, 64, msg);
	s->down = false;
	sim_inject(s, &s->a, msg, n);
	CHECK(last_init_len == first_len + 8 + 64);
	CHECK(last_init[16] == 41 && last_init[28] == first[16]);
	CHECK(memcmp(last_init + 36, cookie, 64) == 0);
	CHECK(memcmp(last_init + 36 + 64, first + 28, first_len - 28) == 0);
	CHECK(last_init[23] == 0); // message ID
	sim_run_until(s, 2000);
	CHECK(is_established(&s->a) && sim_agree(s)); // AUTH covers the message with the cookie
	end(s);
}

static void test_bad_cookies_are_ignored(void **state)
{
	struct sim *s = start();
	uint8_t cookie[65] = {1}, msg[128];
	size_t n;

	(void)state;
	s->down = true;
	sim_initiate(s, &s->a);
	n = notify_response(sim_sa(&s->a, IKE_ST_CONNECTING), 16390, cookie, 65, msg);
	sim_inject(s, &s->a, msg, n);
	n = notify_response(sim_sa(&s->a, IKE_ST_CONNECTING), 16390, cookie, 0, msg);
	sim_inject(s, &s->a, msg, n);
	CHECK(s->a.sent == 1 && sim_sa(&s->a, IKE_ST_CONNECTING));
	end(s);
}

static void test_endless_cookies_end(void **state)
{
	struct sim *s = start();
	uint8_t cookie[8] = {0}, msg[128];

	(void)state;
	s->down = true;
	sim_initiate(s, &s->a);
	for (unsigned i = 0; i < 100; i++) {
		size_t n;

		cookie[0] = (uint8_t)i;
		n = notify_response(sim_sa(&s->a, IKE_ST_CONNECTING), 16390, cookie, 8, msg);
		sim_inject(s, &s->a, msg, n);
	}
	CHECK(s->a.sent == 1 + LIMIT_IKE_COOKIE_ROUNDS);
	CHECK(sim_errors(&s->a) == 1);
	sim_run_until(s, 5000);
	CHECK(sim_open(&s->a) == 0);
	end(s);
}

static void test_group_that_was_not_offered(void **state)
{
	struct sim *s = start();
	uint8_t group[2] = {0, 2}, msg[128]; // MODP 1024
	size_t n;

	(void)state;
	s->down = true;
	sim_initiate(s, &s->a);
	n = notify_response(sim_sa(&s->a, IKE_ST_CONNECTING), 17, group, 2, msg);
	sim_inject(s, &s->a, msg, n);
	CHECK(s->a.sent == 1 && says(&s->a, IKE_REPORT_KE_MISMATCH, "MODP_1024"));
	sim_run_until(s, 5000);
	CHECK(sim_open(&s->a) == 0);
	end(s);
}

enum { HUB_CONNS = LIMIT_IKE_REFUSAL_CANDIDATES + 5 };

// Many connections, all like the peer's one.
static const struct ike_conn *const *hub_find(void *ctx, const struct ip_addr *local,
					      const struct ip_addr *remote)
{
	static struct ike_conn conn[HUB_CONNS];
	static const struct ike_conn *conns[HUB_CONNS + 1];
	const struct sim_peer *p = ctx;

	(void)local;
	(void)remote;
	for (unsigned i = 0; i < HUB_CONNS; i++) {
		conn[i] = p->conn;
		snprintf(conn[i].name, sizeof(conn[i].name), "spoke%u", i);
		conns[i] = &conn[i];
	}
	return conns;
}

static void test_unknown_identity(void **state)
{
	struct sim *s = start();
	const struct ike_refusal *r;

	(void)state;
	s->b.conf.remote_id = "gw-z.example";
	sim_initiate(s, &s->a);
	sim_run_until(s, 3000);
	CHECK(sim_open(&s->a) == 0 && !is_established(&s->b));
	CHECK(says(&s->b, IKE_REPORT_NO_CONNECTION, "FQDN 'gw-a.example'"));
	CHECK(says(&s->b, IKE_REPORT_NO_CONNECTION, "FQDN 'gw-z.example'"));
	CHECK(says(&s->a, IKE_REPORT_PEER_REFUSED_AUTH, "gw-a.example"));
	CHECK(sim_errors(&s->a) == 1 && sim_errors(&s->b) == 1);
	r = why(&s->b, IKE_REPORT_NO_CONNECTION);
	CHECK(is_id(&r->remote_id, "gw-a.example") && is_id(&r->local_asked, "gw-b.example"));
	CHECK(r->conn[0] == '\0' && r->notify == N_AUTHENTICATION_FAILED);
	CHECK(r->n_candidates == 1 && r->candidates_total == 1);
	CHECK(r->candidate[0].lost == LOST_PEER_ID);
	CHECK(is_id(&r->candidate[0].remote, "gw-z.example"));
	CHECK(is_id(&r->candidate[0].local, "gw-b.example"));
	end(s);
}

// A stranger can make us explain: how often is not the core's affair, and what is left then is one
// clause.
static void test_a_brief_refusal_holds_nothing_but_why(void **state)
{
	struct sim *s = start();
	const struct ike_refusal *r;

	(void)state;
	s->b.conf.remote_id = "gw-z.example";
	s->b.brief = true;
	sim_initiate(s, &s->a);
	sim_run_until(s, 3000);
	CHECK(sim_open(&s->a) == 0 && sim_errors(&s->b) == 1);
	r = why(&s->b, IKE_REPORT_NO_CONNECTION);
	CHECK(r->brief && r->n_candidates == 0 && r->remote_id.type == ID_ANY);
	CHECK(says(&s->b, IKE_REPORT_NO_CONNECTION, "192.0.2.1"));
	CHECK(!says(&s->b, IKE_REPORT_NO_CONNECTION, "gw-z.example"));
	end(s);

	// What we began ourselves is explained always.
	s = start();
	s->a.brief = true;
	s->b.conf.psk = "another key";
	sim_initiate(s, &s->a);
	sim_run_until(s, 3000);
	CHECK(!why(&s->a, IKE_REPORT_PEER_REFUSED_AUTH)->brief);
	end(s);
}

static void test_a_hub_s_candidates_are_counted_not_listed(void **state)
{
	struct sim *s = start();
	const struct ike_refusal *r;

	(void)state;
	s->b.env.conns_find = hub_find;
	s->b.conf.remote_id = "gw-z.example";
	sim_initiate(s, &s->a);
	sim_run_until(s, 3000);
	r = why(&s->b, IKE_REPORT_NO_CONNECTION);
	CHECK(r->n_candidates == LIMIT_IKE_REFUSAL_CANDIDATES && r->candidates_total == HUB_CONNS);
	CHECK(strcmp(r->candidate[1].name, "spoke1") == 0);
	CHECK(says(&s->b, IKE_REPORT_NO_CONNECTION, "spoke0") && !is_established(&s->b));
	end(s);
}

static void test_responder_with_another_name(void **state)
{
	struct sim *s = start();

	(void)state;
	// The initiator wants gw-b and says so; a responder of another name refuses it.
	s->b.conf.local_id = "gw-x.example";
	sim_initiate(s, &s->a);
	sim_run_until(s, 3000);
	CHECK(sim_open(&s->a) == 0 && !is_established(&s->b));
	CHECK(says(&s->b, IKE_REPORT_NO_CONNECTION, "is not called that"));
	CHECK(why(&s->b, IKE_REPORT_NO_CONNECTION)->candidate[0].lost == LOST_OWN_ID);
	end(s);
}

static void test_no_psk_on_either_side(void **state)
{
	struct sim *s = start();

	(void)state;
	s->b.conf.psk = NULL;
	sim_initiate(s, &s->a);
	sim_run_until(s, 3000);
	CHECK(sim_open(&s->a) == 0 && says(&s->b, IKE_REPORT_NO_PSK, "gw-a.example"));
	end(s);

	s = start();
	s->a.conf.psk_for = "gw-z.example";
	sim_initiate(s, &s->a);
	sim_run_until(s, 3000);
	CHECK(sim_open(&s->a) == 0 && says(&s->a, IKE_REPORT_NO_PSK, "gw-b.example"));
	CHECK(sim_errors(&s->a) == 1);
	end(s);
}

static void test_no_connection(void **state)
{
	struct sim *s = start();

	(void)state;
	s->b.conf.no_conns = true;
	sim_initiate(s, &s->a);
	sim_run_until(s, 3000);
	CHECK(sim_open(&s->a) == 0 && sim_open(&s->b) == 0);
	CHECK(says(&s->b, IKE_REPORT_NO_CONNECTION, "192.0.2.1") && sim_errors(&s->b) == 1);
	CHECK(why(&s->b, IKE_REPORT_NO_CONNECTION)->n_candidates == 0);
	end(s);
}

// ---- the child ----

static void test_selectors_differ_and_the_ike_sa_stays(void **state)
{
	struct sim *s = start();
	const struct ike_refusal *r;

	(void)state;
	s->b.conf.remote_ts = "10.9.0.0/16";
	sim_initiate(s, &s->a);
	sim_run_until(s, 3000);
	CHECK(is_established(&s->a) && is_established(&s->b) && sim_agree(s));
	CHECK(sim_children(&s->a) == 0);
	CHECK(says(&s->a, IKE_REPORT_TS_MISMATCH, "TS_UNACCEPTABLE"));
	CHECK(says(&s->b, IKE_REPORT_TS_MISMATCH, "10.9.0.0/16"));
	CHECK(says(&s->b, IKE_REPORT_TS_MISMATCH, "10.1.0.0/16"));
	CHECK(sim_errors(&s->a) == 1 && sim_errors(&s->b) == 1);
	r = why(&s->b, IKE_REPORT_TS_MISMATCH);
	CHECK(r->have_their_ts && is_ts(&r->their_ts.local, "10.2.0.0/16"));
	CHECK(is_ts(&r->their_ts.remote, "10.1.0.0/16"));
	CHECK(r->n_candidates == 1 && r->candidate[0].lost == LOST_SELECTORS);
	CHECK(is_ts(&r->candidate[0].local_ts, "10.2.0.0/16"));
	CHECK(is_ts(&r->candidate[0].remote_ts, "10.9.0.0/16"));
	CHECK(is_id(&r->remote_id, "gw-a.example") && r->exchange == EXCHANGE_IKE_AUTH);
	r = why(&s->a, IKE_REPORT_TS_MISMATCH);
	CHECK(r->by_peer && r->have_our_ts && !r->have_their_ts && r->child[0]);
	CHECK(is_ts(&r->our_ts.local, "10.1.0.0/16") && is_ts(&r->our_ts.remote, "10.2.0.0/16"));
	end(s);
}

static void test_esp_proposals_differ_and_the_ike_sa_stays(void **state)
{
	struct sim *s = start();
	const struct ike_refusal *r;

	(void)state;
	s->b.conf.esp = "aes256gcm16";
	sim_initiate(s, &s->a);
	sim_run_until(s, 3000);
	CHECK(is_established(&s->a) && is_established(&s->b) && sim_agree(s));
	CHECK(sim_children(&s->a) == 0);
	CHECK(says(&s->a, IKE_REPORT_ESP_MISMATCH, "AES_GCM_16_128"));
	CHECK(says(&s->b, IKE_REPORT_ESP_MISMATCH, "AES_GCM_16_256"));
	CHECK(sim_errors(&s->a) == 1 && sim_errors(&s->b) == 1);
	r = why(&s->b, IKE_REPORT_ESP_MISMATCH);
	CHECK(r->child[0] && verdict(r, TRANSFORM_ENCR) == VERDICT_DIFFERENT);
	CHECK(verdict(r, TRANSFORM_SN) == VERDICT_COMMON);
	CHECK(verdict(r, TRANSFORM_KE) == -1); // not in IKE_AUTH
	r = why(&s->a, IKE_REPORT_ESP_MISMATCH);
	CHECK(r->by_peer && verdict(r, TRANSFORM_ENCR) == VERDICT_UNKNOWN);
	end(s);
}

static void test_narrowing(void **state)
{
	static const struct {
		const char *a_local, *a_remote, *b_local, *b_remote, *local, *remote, *why;
	} rows[] = {
		{"10.1.0.0/16", "10.2.0.0/16", "10.2.3.0/24", "10.1.0.0/16", "10.1.0.0/16",
		 "10.2.3.0/24", "the responder allows less"},
		{"10.1.1.0/24", "10.2.1.0/24", "10.2.0.0/16", "10.0.0.0/8", "10.1.1.0/24",
		 "10.2.1.0/24", "the initiator asks for less"},
		{"0.0.0.0/0", "0.0.0.0/0", "10.2.0.0/16", "10.1.0.0/16", "10.1.0.0/16",
		 "10.2.0.0/16", "everything asked for"},
		{"10.1.0.5/32[tcp/80] 10.1.0.0/16", "10.2.0.0/16", "10.2.0.0/16", "10.1.0.0/24",
		 "10.1.0.0/24", "10.2.0.0/16", "a packet-specific first selector, and more"},
		{"10.1.0.5/32[tcp/80] 10.3.0.0/16", "10.2.0.0/16", "10.2.0.0/16", "10.1.0.0/24",
		 "10.1.0.5/32[tcp/80]", "10.2.0.0/16", "only the packet is allowed"},
		{"dynamic", "dynamic", "dynamic", "dynamic", "192.0.2.1/32", "192.0.2.2/32",
		 "the tunnel's own addresses"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sim *s = start();
		struct selector local, remote;
		struct ike_child_info child;

		s->a.conf.local_ts = rows[i].a_local;
		s->a.conf.remote_ts = rows[i].a_remote;
		s->b.conf.local_ts = rows[i].b_local;
		s->b.conf.remote_ts = rows[i].b_remote;
		sim_initiate(s, &s->a);
		sim_run_until(s, 2000);
		if (!is_established(&s->a) || !sim_agree(s) ||
		    ike_sa_child_info(sim_sa(&s->a, IKE_ST_ESTABLISHED), 0, &child))
			fail_msg("%s", rows[i].why);
		CHECK(!selector_parse(rows[i].local, &local));
		CHECK(!selector_parse(rows[i].remote, &remote));
		if (child.local_ts.n != 1 || !selector_equal(&child.local_ts.s[0], &local) ||
		    child.remote_ts.n != 1 || !selector_equal(&child.remote_ts.s[0], &remote))
			fail_msg("%s", rows[i].why);
		end(s);
	}
}

static void test_the_better_child_is_chosen(void **state)
{
	struct sim *s = start();
	struct ike_child_info child;

	(void)state;
	s->b.conf.local_ts = "10.2.7.0/24"; // fits a little
	s->b.conf.extra_child_local_ts = "10.2.0.0/16";
	s->b.conf.extra_child_remote_ts = "10.1.0.0/16"; // fits wholly
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	CHECK(sim_agree(s));
	CHECK(!ike_sa_child_info(sim_sa(&s->b, IKE_ST_ESTABLISHED), 0, &child));
	CHECK(child.conf == &s->b.child[1]);
	end(s);
}

static void test_no_spi_left_at_the_responder(void **state)
{
	struct sim *s = start();

	(void)state;
	s->b.no_spis = true;
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	CHECK(is_established(&s->a) && is_established(&s->b) && sim_agree(s));
	CHECK(sim_children(&s->a) == 0 && sim_errors(&s->a) == 1 && sim_errors(&s->b) == 1);
	end(s);
}

// A child for which no SPI is free stands in front of a liveness check, and the peer dies: that is
// noticed all the same.
static void test_a_child_without_spi_does_not_put_liveness_to_sleep(void **state)
{
	struct sim *s = start();

	(void)state;
	s->b.conf.dpd_delay_ms = 30000;
	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	CHECK(is_established(&s->a) && is_established(&s->b));
	sim_check(s, &s->b); // under way: both others wait for its answer
	s->b.no_spis = true;
	sim_create_child(s, &s->b, 0);
	sim_check(s, &s->b);
	sim_run_until(s, 4000);
	CHECK(says(&s->b, IKE_REPORT_INFO, "no inbound SPI is free"));
	CHECK(is_established(&s->b));
	s->drop = 1000;
	sim_run_until(s, 600000);
	CHECK(sim_open(&s->b) == 0);
	CHECK(says(&s->b, IKE_REPORT_DEAD_PEER, ""));
	s->drop = 0;
	sim_run_until(s, 1200000);
	end(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong_psk),
		cmocka_unit_test(test_changed_init_response_fails_auth),
		cmocka_unit_test(test_unknown_proposal),
		cmocka_unit_test(test_forged_refusal_does_not_win),
		cmocka_unit_test(test_other_group_is_asked_for),
		cmocka_unit_test(test_cookie_comes_first_and_all_else_stays),
		cmocka_unit_test(test_bad_cookies_are_ignored),
		cmocka_unit_test(test_endless_cookies_end),
		cmocka_unit_test(test_group_that_was_not_offered),
		cmocka_unit_test(test_unknown_identity),
		cmocka_unit_test(test_a_brief_refusal_holds_nothing_but_why),
		cmocka_unit_test(test_a_hub_s_candidates_are_counted_not_listed),
		cmocka_unit_test(test_responder_with_another_name),
		cmocka_unit_test(test_no_psk_on_either_side),
		cmocka_unit_test(test_no_connection),
		cmocka_unit_test(test_selectors_differ_and_the_ike_sa_stays),
		cmocka_unit_test(test_esp_proposals_differ_and_the_ike_sa_stays),
		cmocka_unit_test(test_narrowing),
		cmocka_unit_test(test_the_better_child_is_chosen),
		cmocka_unit_test(test_no_spi_left_at_the_responder),
		cmocka_unit_test(test_a_child_without_spi_does_not_put_liveness_to_sleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
