// What a peer can do that has the keys: lie, leave out, repeat, ask for more. One test each.
#include <stdlib.h>
#include <string.h>

#include "control/ike/payload.h"
#include "control/ike/sa.h"
#include "test/sim/check.h"
#include "test/sim/evil.h"

static const uint8_t no_auth[32]; // made right by evil_send

static struct sim *start(void)
{
	struct sim *s = malloc(sizeof(*s));

	sim_init(s, 4711);
	return s;
}

static void end(struct sim *s)
{
	if (!sim_fini(s))
		fail_msg("%s", s->broken);
	free(s);
}

static struct sim *established(void)
{
	struct sim *s = start();

	sim_initiate(s, &s->a);
	sim_run_until(s, 2000);
	CHECK(sim_sa(&s->a, IKE_ST_ESTABLISHED) && sim_agree(s));
	return s;
}

static void add_id(struct ike_builder *b, uint8_t type, const char *text)
{
	struct identity id;

	CHECK(!identity_parse(text, &id));
	build_id(b, type, &id);
}

static void add_child(struct ike_builder *b, const char *esp, uint8_t number, const char *tsi,
		      const char *tsr)
{
	struct proposal_list list = {.n = 1};
	struct selector_list ts = {.n = 1};

	CHECK(!proposal_parse(esp, PROTO_ESP, &list.p[0], NULL));
	list.p[0].number = number;
	build_sa(b, &list, 0xabcdef01, true);
	CHECK(!selector_parse(tsi, &ts.s[0]));
	build_ts(b, PAYLOAD_TSI, &ts);
	CHECK(!selector_parse(tsr, &ts.s[0]));
	build_ts(b, PAYLOAD_TSR, &ts);
}

// ---- a lying responder ----

static void test_answers_of_a_lying_responder(void **state)
{
	static const struct {
		const char *id, *esp, *tsi, *tsr;
		uint8_t number;
		bool up, child;
		enum ike_report_code code; // of the one error
		const char *why;
	} rows[] = {
		{"gw-b.example", "aes128gcm16", "10.1.0.0/16", "10.2.0.0/16", 1, true, true, 0,
		 "honest"},
		{"gw-b.example", "aes128gcm16", "10.1.9.0/24", "10.2.9.0/24", 1, true, true, 0,
		 "narrowed"},
		{"gw-c.example", "aes128gcm16", "10.1.0.0/16", "10.2.0.0/16", 1, false, false,
		 IKE_REPORT_NO_CONNECTION, "another identity, rightly authenticated"},
		{"gw-b.example", "aes128gcm16", "10.0.0.0/8", "10.2.0.0/16", 1, true, false,
		 IKE_REPORT_TS_MISMATCH, "our selectors widened"},
		{"gw-b.example", "aes128gcm16", "10.1.0.0/16", "0.0.0.0/0", 1, true, false,
		 IKE_REPORT_TS_MISMATCH, "its selectors widened"},
		{"gw-b.example", "aes256gcm16", "10.1.0.0/16", "10.2.0.0/16", 1, true, false,
		 IKE_REPORT_ESP_MISMATCH, "a key length that we did not offer"},
		{"gw-b.example", "aes128gcm16", "10.1.0.0/16", "10.2.0.0/16", 2, true, false,
		 IKE_REPORT_ESP_MISMATCH, "a proposal number that we did not offer"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sim *s = start();
		struct ike_builder b;
		bool up;

		evil_before_auth_response(s);
		evil_begin(&b);
		add_id(&b, PAYLOAD_IDR, rows[i].id);
		build_auth(&b, AUTH_SHARED_KEY, no_auth, sizeof(no_auth));
		add_child(&b, rows[i].esp, rows[i].number, rows[i].tsi, rows[i].tsr);
		s->down = true;
		evil_send(s, &s->b, &s->a, EXCHANGE_IKE_AUTH, true, 1, &b);
		up = sim_sa(&s->a, IKE_ST_ESTABLISHED) != NULL;
		if (up != rows[i].up || (sim_children(&s->a) == 1) != rows[i].child)
			fail_msg("%s", rows[i].why);
		if (sim_errors(&s->a) != (rows[i].code ? 1 : 0) ||
		    (rows[i].code && !sim_reported(&s->a, rows[i].code)))
			fail_msg("%s: report", rows[i].why);
		// A refused child is deleted at the peer, a refused peer is told so.
		if (!rows[i].child && s->a.sent != 3)
			fail_msg("%s: %u messages sent", rows[i].why, s->a.sent);
		end(s);
	}
}

static void test_responder_without_auth(void **state)
{
	struct sim *s = start();
	struct ike_builder b;

	(void)state;
	evil_before_auth_response(s);
	evil_begin(&b);
	add_id(&b, PAYLOAD_IDR, "gw-b.example");
	add_child(&b, "aes128gcm16", 1, "10.1.0.0/16", "10.2.0.0/16");
	s->down = true;
	evil_send(s, &s->b, &s->a, EXCHANGE_IKE_AUTH, true, 1, &b);
	CHECK(!sim_sa(&s->a, IKE_ST_ESTABLISHED) && sim_children(&s->a) == 0);
	CHECK(sim_reported(&s->a, IKE_REPORT_AUTH_FAILED));
	end(s);
}

static void test_responder_with_half_an_answer(void **state)
{
	struct sim *s = start();
	struct ike_builder b;
	struct proposal_list list = {.n = 1};

	(void)state;
	evil_before_auth_response(s);
	evil_begin(&b);
	add_id(&b, PAYLOAD_IDR, "gw-b.example");
	build_auth(&b, AUTH_SHARED_KEY, no_auth, sizeof(no_auth));
	CHECK(!proposal_parse("aes128gcm16", PROTO_ESP, &list.p[0], NULL));
	build_sa(&b, &list, 0xabcdef01, true); // and no selectors
	s->down = true;
	evil_send(s, &s->b, &s->a, EXCHANGE_IKE_AUTH, true, 1, &b);
	CHECK(sim_sa(&s->a, IKE_ST_ESTABLISHED) && sim_children(&s->a) == 0);
	CHECK(sim_errors(&s->a) == 1);
	end(s);
}

static void test_init_answer_that_was_not_offered(void **state)
{
	static const char *const answers[] = {
		"aes256gcm16-prfsha256-x25519", // another key length
		"aes128gcm16-prfsha384-x25519", // another PRF
		"aes128gcm16-prfsha256-ecp256", // another group
		"aes128-sha256-prfsha256-x25519",
	};
	static const uint8_t spi_r[8] = {9}, public[8] = {2}, nonce[32];

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct sim *s = start();
		struct proposal_list list = {.n = 1};
		struct ike_builder b;

		s->down = true;
		sim_initiate(s, &s->a);
		CHECK(!proposal_parse(answers[i], PROTO_IKE, &list.p[0], NULL));
		evil_begin(&b);
		build_sa(&b, &list, 0, false);
		build_ke(&b, proposal_first(&list.p[0], TRANSFORM_KE)->id, public, 8);
		build_octets(&b, PAYLOAD_NONCE, nonce, sizeof(nonce));
		build_finish(&b);
		evil_plain(s, &s->a, evil_sa(&s->a)->spi_i, spi_r, IKE_FLAG_RESPONSE, b.buf[16],
			   b.buf + IKE_HEADER_LEN, b.w.len - IKE_HEADER_LEN);
		CHECK(s->a.sent == 1 && sim_errors(&s->a) == 1);
		CHECK(sim_reported(&s->a, IKE_REPORT_PROPOSAL_MISMATCH));
		end(s);
	}
}

// ---- a lying initiator ----

static void auth_request(struct sim *s, uint32_t message_id, const char *id, uint8_t method)
{
	struct ike_builder b;

	evil_begin(&b);
	add_id(&b, PAYLOAD_IDI, id);
	if (method)
		build_auth(&b, method, no_auth, sizeof(no_auth));
	add_child(&b, "aes128gcm16", 1, "10.1.0.0/16", "10.2.0.0/16");
	evil_send(s, &s->a, &s->b, EXCHANGE_IKE_AUTH, false, message_id, &b);
}

static void test_auth_payload_is_what_counts(void **state)
{
	static const struct {
		const char *id;
		uint8_t method;
		bool up;
		enum ike_report_code code;
		const char *why;
	} rows[] = {
		{"gw-a.example", AUTH_SHARED_KEY, true, 0, "honest"},
		{"gw-a.example", 0, false, IKE_REPORT_AUTH_FAILED, "no AUTH: it wants EAP"},
		{"gw-a.example", 1, false, IKE_REPORT_AUTH_FAILED, "AUTH of another method"},
		{"gw-c.example", AUTH_SHARED_KEY, false, IKE_REPORT_NO_CONNECTION,
		 "another identity, rightly authenticated"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sim *s = start();

		evil_before_auth_request(s);
		s->down = true;
		auth_request(s, 1, rows[i].id, rows[i].method);
		if ((sim_sa(&s->b, IKE_ST_ESTABLISHED) != NULL) != rows[i].up ||
		    (rows[i].code && !sim_reported(&s->b, rows[i].code)))
			fail_msg("%s", rows[i].why);
		CHECK(sim_errors(&s->b) == (rows[i].up ? 0 : 1));
		end(s);
	}
}

static void test_second_try_is_allowed_and_the_fourth_is_not(void **state)
{
	struct sim *s = start();

	(void)state;
	evil_before_auth_request(s);
	s->down = true;
	auth_request(s, 1, "gw-a.example", 1);
	auth_request(s, 2, "gw-a.example", AUTH_SHARED_KEY);
	CHECK(sim_sa(&s->b, IKE_ST_ESTABLISHED));
	end(s);

	s = start();
	evil_before_auth_request(s);
	s->down = true;
	for (uint32_t i = 1; i <= LIMIT_IKE_AUTH_FAILURES; i++) {
		CHECK(sim_open(&s->b) == 1);
		auth_request(s, i, "gw-a.example", 1);
	}
	CHECK(sim_open(&s->b) == 0);
	end(s);
}

static void test_malformed_child_in_auth(void **state)
{
	struct sim *s = start();
	struct ike_builder b;
	struct selector_list ts = {.n = 1};

	(void)state;
	evil_before_auth_request(s);
	evil_begin(&b);
	add_id(&b, PAYLOAD_IDI, "gw-a.example");
	build_auth(&b, AUTH_SHARED_KEY, no_auth, sizeof(no_auth));
	CHECK(!selector_parse("10.1.0.0/16", &ts.s[0]));
	build_ts(&b, PAYLOAD_TSI, &ts); // neither SA nor TSr
	s->down = true;
	evil_send(s, &s->a, &s->b, EXCHANGE_IKE_AUTH, false, 1, &b);
	CHECK(sim_open(&s->b) == 0 && s->b.installs == 0);
	CHECK(sim_reported(&s->b, IKE_REPORT_INVALID_MESSAGE));
	end(s);
}

// ---- inside of an established SA ----

static void test_unknown_critical_payload(void **state)
{
	struct sim *s = established();
	static const uint8_t critical[] = {0, 0x80, 0, 4};

	(void)state;
	evil_sealed(s, &s->b, &s->a, EXCHANGE_INFORMATIONAL, false, 0, 200, critical, 4);
	CHECK(s->a.sent == 3); // UNSUPPORTED_CRITICAL_PAYLOAD
	CHECK(sim_sa(&s->a, IKE_ST_ESTABLISHED) && sim_children(&s->a) == 1);
	end(s);
}

static void test_malformed_request_is_fatal(void **state)
{
	struct sim *s = established();
	static const uint8_t bad[] = {0, 0, 0, 3};

	(void)state;
	evil_sealed(s, &s->b, &s->a, EXCHANGE_INFORMATIONAL, false, 0, PAYLOAD_NOTIFY, bad, 4);
	CHECK(s->a.sent == 3 && sim_open(&s->a) == 0); // INVALID_SYNTAX (RFC 7296 2.21.3)
	end(s);
}

static void test_message_ids_out_of_the_window(void **state)
{
	struct sim *s = established();

	(void)state;
	for (uint32_t id = 1; id < 10; id++)
		evil_sealed(s, &s->b, &s->a, EXCHANGE_INFORMATIONAL, false, id, 0, NULL, 0);
	evil_sealed(s, &s->b, &s->a, EXCHANGE_INFORMATIONAL, false, UINT32_MAX, 0, NULL, 0);
	evil_sealed(s, &s->b, &s->a, EXCHANGE_INFORMATIONAL, true, 2, 0, NULL, 0);
	CHECK(s->a.sent == 2);
	evil_sealed(s, &s->b, &s->a, EXCHANGE_INFORMATIONAL, false, 0, 0, NULL, 0);
	CHECK(s->a.sent == 3);
	evil_sealed(s, &s->b, &s->a, EXCHANGE_INFORMATIONAL, false, 0, 0, NULL, 0);
	CHECK(s->a.sent == 4); // the same answer again, as sim.c checks
	end(s);
}

// CREATE_CHILD_SA requests that no honest peer sends. What is malformed ends the IKE SA (RFC 7296
// 2.21.3); what only makes no sense is answered and changes nothing.
static void test_create_child_sa_of_all_kinds(void **state)
{
	static const uint8_t nonce[32] = {7}, public[36] = {0, 31};
	enum { NO_NONCE, SHORT_NONCE, NO_SELECTORS, UNKNOWN_CHILD, FOREIGN_TS, NO_KE, IKE_NO_SPI };
	static const struct {
		int what;
		bool fatal;
		uint16_t children; // of the victim afterwards
	} rows[] = {
		{NO_NONCE, true, 0},	   {SHORT_NONCE, true, 0}, {NO_SELECTORS, true, 0},
		{UNKNOWN_CHILD, false, 1}, {FOREIGN_TS, false, 1}, {NO_KE, true, 0},
		{IKE_NO_SPI, false, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sim *s = established();
		struct proposal_list ike = s->a.conn.ike;
		int what = rows[i].what;
		struct ike_builder b;

		evil_begin(&b);
		if (what == UNKNOWN_CHILD)
			build_notify_esp(&b, N_REKEY_SA, 0xdeadbeef);
		if (what != NO_NONCE)
			build_octets(&b, PAYLOAD_NONCE, nonce, what == SHORT_NONCE ? 15 : 32);
		if (what == NO_KE || what == IKE_NO_SPI)
			build_sa(&b, &ike, what == NO_KE ? 42 : 0, false);
		else if (what != NO_SELECTORS)
			add_child(&b, "aes128gcm16", 1,
				  what == FOREIGN_TS ? "11.1.0.0/16" : "10.2.0.0/16",
				  "10.1.0.0/16");
		if (what == IKE_NO_SPI)
			build_octets(&b, PAYLOAD_KE, public, sizeof(public));
		if (what == NO_SELECTORS)
			build_sa(&b, &s->a.child[0].esp, 0x1234567, false);
		evil_send(s, &s->b, &s->a, EXCHANGE_CREATE_CHILD_SA, false, 0, &b);
		CHECK(s->a.sent == 3); // there is one answer
		CHECK((sim_open(&s->a) == 0) == rows[i].fatal);
		CHECK(sim_children(&s->a) == rows[i].children);
		end(s);
	}
}

static void test_deletes_of_all_kinds(void **state)
{
	static const uint32_t none[] = {0xdeadbeef, 0, 0xffffffff};
	struct sim *s = established();
	struct ike_builder b;
	uint32_t spis[3] = {0xdeadbeef};

	(void)state;
	evil_begin(&b);
	build_delete_esp(&b, none, 3);
	evil_send(s, &s->b, &s->a, EXCHANGE_INFORMATIONAL, false, 0, &b);
	CHECK(s->a.sent == 3 && sim_children(&s->a) == 1);

	// The same child three times in one message, and once more in the next.
	spis[0] = spis[1] = spis[2] = s->a.children[0].out.spi;
	for (uint32_t id = 1; id < 3; id++) {
		evil_begin(&b);
		build_delete_esp(&b, spis, 3);
		build_delete_esp(&b, spis, 3);
		evil_send(s, &s->b, &s->a, EXCHANGE_INFORMATIONAL, false, id, &b);
		CHECK(sim_children(&s->a) == 0 && sim_sa(&s->a, IKE_ST_ESTABLISHED));
	}
	end(s);
}

static struct {
	unsigned n;
	size_t len;
} answers;

static void measure_answers(struct sim *s, struct sim_peer *from, uint8_t *bytes, size_t len)
{
	(void)s;
	(void)from;
	if (bytes[18] == EXCHANGE_INFORMATIONAL && bytes[19] & IKE_FLAG_RESPONSE) {
		answers.n++;
		answers.len = len > answers.len ? len : answers.len;
	}
}

static void test_only_a_one_sided_delete_is_answered_with_one(void **state)
{
	const size_t empty = 28 + 4 + 8 + 1 + 16, with_delete = empty + 12;
	struct sim *s = established();

	(void)state;
	memset(&answers, 0, sizeof(answers));
	s->tap = measure_answers;
	sim_terminate_child(s, &s->a);
	sim_run_until(s, 3000);
	CHECK(answers.n == 1 && answers.len == with_delete);
	end(s);

	// RFC 7296 1.4.1: both at once, so neither answer names the pair again.
	s = established();
	memset(&answers, 0, sizeof(answers));
	s->tap = measure_answers;
	sim_terminate_child(s, &s->a);
	sim_terminate_child(s, &s->b);
	sim_run_until(s, 3000);
	CHECK(answers.n == 2 && answers.len == empty);
	end(s);
}

static void test_peer_takes_its_belief_back(void **state)
{
	struct sim *s = established();
	struct ike_builder b;

	(void)state;
	evil_begin(&b);
	build_notify(&b, N_AUTHENTICATION_FAILED, NULL, 0);
	evil_send(s, &s->b, &s->a, EXCHANGE_INFORMATIONAL, false, 0, &b);
	CHECK(sim_open(&s->a) == 0 && sim_reported(&s->a, IKE_REPORT_PEER_REFUSED_AUTH));
	end(s);
}

static void test_unprotected_messages_are_not_believed(void **state)
{
	struct sim *s = established();
	const struct ike_sa *sa = evil_sa(&s->a);
	struct ike_builder b;

	(void)state;
	build_start(&b, sa->spi_i, sa->spi_r, EXCHANGE_INFORMATIONAL, 0, 0);
	build_delete_ike(&b);
	build_finish(&b);
	sim_inject(s, &s->a, b.buf, b.w.len);
	build_start(&b, sa->spi_i, sa->spi_r, EXCHANGE_INFORMATIONAL, IKE_FLAG_RESPONSE, 2);
	build_notify(&b, N_INVALID_IKE_SPI, NULL, 0);
	build_finish(&b);
	sim_inject(s, &s->a, b.buf, b.w.len);
	CHECK(s->a.sent == 2 && sim_sa(&s->a, IKE_ST_ESTABLISHED));
	end(s);
}

static void test_own_messages_reflected(void **state)
{
	struct sim *s = established();

	(void)state;
	// A peer's own message back at it: the direction's keys and the initiator flag differ.
	evil_sealed(s, &s->a, &s->a, EXCHANGE_INFORMATIONAL, false, 0, 0, NULL, 0);
	evil_sealed(s, &s->b, &s->b, EXCHANGE_INFORMATIONAL, false, 2, 0, NULL, 0);
	CHECK(s->a.sent == 2 && s->b.sent == 2);
	end(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers_of_a_lying_responder),
		cmocka_unit_test(test_responder_without_auth),
		cmocka_unit_test(test_responder_with_half_an_answer),
		cmocka_unit_test(test_init_answer_that_was_not_offered),
		cmocka_unit_test(test_auth_payload_is_what_counts),
		cmocka_unit_test(test_second_try_is_allowed_and_the_fourth_is_not),
		cmocka_unit_test(test_malformed_child_in_auth),
		cmocka_unit_test(test_unknown_critical_payload),
		cmocka_unit_test(test_malformed_request_is_fatal),
		cmocka_unit_test(test_message_ids_out_of_the_window),
		cmocka_unit_test(test_create_child_sa_of_all_kinds),
		cmocka_unit_test(test_deletes_of_all_kinds),
		cmocka_unit_test(test_only_a_one_sided_delete_is_answered_with_one),
		cmocka_unit_test(test_peer_takes_its_belief_back),
		cmocka_unit_test(test_unprotected_messages_are_not_believed),
		cmocka_unit_test(test_own_messages_reflected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
