// Certificates in IKE_AUTH with the toy credentials of fake_cred.h: which payloads go over the
// wire, and what a peer that holds the keys can do with them. sim-real-certs has OpenSSL's.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ike/payload.h"
#include "control/ike/sa.h"
#include "lib/auth_rule.h"
#include "test/sim/check.h"
#include "test/sim/evil.h"

static struct sim *duo(unsigned intermediates)
{
	struct sim *s = calloc(1, sizeof(*s));

	sim_init(s, 11);
	sim_use_certs(s, intermediates);
	return s;
}

static bool up(struct sim *s)
{
	sim_initiate(s, &s->a);
	sim_run_until(s, 3000);
	return sim_sa(&s->a, IKE_ST_ESTABLISHED) && sim_sa(&s->b, IKE_ST_ESTABLISHED) &&
	       sim_agree(s) && sim_children(&s->a) == 1;
}

static void end(struct sim *s)
{
	if (!sim_fini(s))
		fail_msg("%s", s->broken);
	free(s);
}

static const char *said(const struct sim_peer *p, enum ike_report_code code)
{
	const struct sim_report *r = sim_reported(p, code);

	return r ? r->text : "";
}

static void test_chains_of_every_length(void **state)
{
	(void)state;
	for (unsigned i = 0; i < LIMIT_IKE_CERTS; i++) {
		struct sim *s = duo(i);

		s->a.conf.fragment_size = s->b.conf.fragment_size = i % 2 ? 200 : 1280;
		if (!up(s))
			fail_msg("%u intermediates: %s %s", i, said(&s->a, IKE_REPORT_CERT),
				 said(&s->b, IKE_REPORT_CERT));
		CHECK(s->a.certs.verifies == 1 && s->b.certs.verifies == 1);
		end(s);
	}
}

static void test_a_chain_that_does_not_fit_is_refused(void **state)
{
	struct sim *s = duo(LIMIT_IKE_CERTS); // one over what may be sent

	(void)state;
	CHECK(!up(s));
	CHECK(strstr(said(&s->b, IKE_REPORT_CERT), "is unknown"));
	end(s);
}

// RFC 7296 3.7: the CA that a CERTREQ names chooses among several certificates.
static void test_certreq_chooses(void **state)
{
	struct sim *s = duo(0);

	(void)state;
	sim_set_certs(&s->a, &(struct fake_cred_spec){.id = s->a.conf.local_id,
						      .ca = {"old root", "new root"},
						      .trusts = "root"});
	sim_set_certs(&s->b, &(struct fake_cred_spec){.id = s->b.conf.local_id,
						      .ca = {"root"},
						      .trusts = "new root"});
	CHECK(up(s));
	end(s);

	// Nobody asks: the first is taken, and it is not the one that would be believed.
	s = duo(0);
	sim_set_certs(&s->a, &(struct fake_cred_spec){.id = s->a.conf.local_id,
						      .ca = {"old root", "new root"},
						      .trusts = "root"});
	sim_set_certs(&s->b, &(struct fake_cred_spec){.id = s->b.conf.local_id,
						      .ca = {"root"},
						      .trusts = "new root"});
	s->a.conf.send_cert = SEND_CERT_ALWAYS;
	s->b.conf.no_certreq = true;
	CHECK(!up(s));
	CHECK(strstr(said(&s->b, IKE_REPORT_CERT), "'old root' of 'gw-a.example' is unknown"));
	end(s);
}

static void test_nobody_asked_nothing_is_sent(void **state)
{
	struct sim *s = duo(0);

	(void)state;
	s->b.conf.no_certreq = true;
	CHECK(!up(s));
	CHECK(strstr(said(&s->b, IKE_REPORT_CERT), "it sent no certificate"));
	end(s);
}

// RFC 7427 4: a hash that both know; without one there is no signature, and without the notify
// the old methods are used.
static void test_hashes(void **state)
{
	static const struct {
		unsigned a, b;
		bool up;
		const char *why;
	} rows[] = {
		{AUTH_HASH_BIT(HASH_SHA2_256), AUTH_HASHES, true, "one side is choosy"},
		{AUTH_HASH_BIT(HASH_SHA2_384), AUTH_HASH_BIT(HASH_SHA2_384), true, "both are"},
		// The core announces all that it knows; a verifier may be stricter.
		{AUTH_HASH_BIT(HASH_SHA2_256), AUTH_HASH_BIT(HASH_SHA2_512), false, "not the same"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sim *s = duo(1);

		s->a.certs.spec.hashes = rows[i].a;
		s->b.certs.spec.hashes = rows[i].b;
		if (up(s) != rows[i].up)
			fail_msg("%s: %s", rows[i].why, said(&s->b, IKE_REPORT_CERT));
		end(s);
	}
}

static void test_classic_method(void **state)
{
	struct sim *s = duo(1);

	(void)state;
	s->a.certs.spec.classic = true;
	CHECK(up(s));
	end(s);
}

static void test_the_wrong_root(void **state)
{
	struct sim *s = duo(2);

	(void)state;
	s->b.certs.spec.trusts = "another root";
	CHECK(!up(s));
	CHECK(strstr(said(&s->b, IKE_REPORT_CERT), "the issuer 'root' of"));
	CHECK(s->b.refusal && s->b.refusal->n_certs == 3);
	CHECK(s->b.certs.refused == 1);
	end(s);
}

// ---- a peer that holds the keys ----

struct said_cert {
	uint8_t encoding;
	const char *subject; // "" : no bytes at all
};

// An IKE_AUTH request of a's, made by hand, with these certificates.
static void say(struct sim *s, const struct said_cert *certs, size_t n, uint8_t method)
{
	uint8_t value[66] = {1, HASH_SHA2_256};
	struct fake_cred theirs;
	struct identity id;
	struct ike_builder b;

	evil_begin(&b);
	CHECK(!identity_parse(s->a.conf.local_id, &id));
	build_id(&b, PAYLOAD_IDI, &id);
	for (size_t i = 0; i < n; i++) {
		build_payload(&b, PAYLOAD_CERT);
		write_u8(&b.w, certs[i].encoding);
		if (!certs[i].subject[0])
			continue;
		fake_cred_init(&theirs,
			       &(struct fake_cred_spec){.id = certs[i].subject, .ca = {"root"}});
		write_bytes(&b.w, theirs.chain[0].cert[0], theirs.chain[0].len[0]);
	}
	build_auth(&b, method, value, method == AUTH_DIGITAL_SIGNATURE ? 66 : 64);
	evil_send(s, &s->a, &s->b, EXCHANGE_IKE_AUTH, false, 1, &b);
}

static void test_what_a_peer_may_send(void **state)
{
	static const struct {
		struct said_cert cert[LIMIT_IKE_CERTS + 2];
		uint8_t method;
		const char *refused; // a part of the report, NULL: it is believed
	} rows[] = {
		{{{4, "gw-a.example"}}, AUTH_DIGITAL_SIGNATURE, NULL},
		{{{4, "gw-a.example"}}, AUTH_ECDSA_256, NULL},
		{{{4, "gw-a.example"}}, AUTH_RSA, NULL},
		{{{4, "gw-x.example"}}, AUTH_RSA, "'gw-x.example' is not the peer's identity"},
		{{{4, "gw-a.example"}}, 12, "it authenticates by method 12"},
		{{{4, "gw-a.example"}}, AUTH_SHARED_KEY, "pre-shared key"},
		{{{4, ""}}, AUTH_RSA, "it sent an empty CERT payload"},
		// CRLs, URLs (RFC 7296 3.6) and whatever comes are left out.
		{{{7, "x"}, {12, "y"}, {4, "gw-a.example"}}, AUTH_ECDSA_256, NULL},
		{{{12, "gw-a.example"}}, AUTH_RSA, "it sent no certificate"},
		{{{4, "gw-a.example"},
		  {4, "1"},
		  {4, "2"},
		  {4, "3"},
		  {4, "4"},
		  {4, "5"},
		  {4, "6"},
		  {4, "7"}},
		 AUTH_RSA,
		 NULL},
		{{{4, "gw-a.example"},
		  {4, "1"},
		  {4, "2"},
		  {4, "3"},
		  {4, "4"},
		  {4, "5"},
		  {4, "6"},
		  {4, "7"},
		  {4, "8"}},
		 AUTH_RSA,
		 "it sent more than 8 certificates"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sim *s = duo(0);
		const char *text;
		size_t n = 0;

		while (rows[i].cert[n].subject)
			n++;
		evil_before_auth_request(s);
		say(s, rows[i].cert, n, rows[i].method);
		text = said(&s->b, IKE_REPORT_CERT);
		// Without SA and TS payloads it is a childless IKE SA that stands (RFC 6023).
		if (rows[i].refused ? !strstr(text, rows[i].refused)
				    : !sim_sa(&s->b, IKE_ST_ESTABLISHED))
			fail_msg("row %zu: '%s'", i, text);
		sim_run_until(s, 500000);
		end(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chains_of_every_length),
		cmocka_unit_test(test_a_chain_that_does_not_fit_is_refused),
		cmocka_unit_test(test_certreq_chooses),
		cmocka_unit_test(test_nobody_asked_nothing_is_sent),
		cmocka_unit_test(test_hashes),
		cmocka_unit_test(test_classic_method),
		cmocka_unit_test(test_the_wrong_root),
		cmocka_unit_test(test_what_a_peer_may_send),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
