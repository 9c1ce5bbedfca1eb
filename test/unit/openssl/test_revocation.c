// Whether a peer's certificate is revoked, by OCSP and by the CRLs that certificates name: what is
// asked, which answers count, what each policy makes of them, and how long they are kept.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/pem.h>

#include "control/openssl/cred_internal.h"
#include "control/openssl/revocation.h"
#include "control/openssl/signature.h"
#include "test/certs/certs.h"

#define OCSP_URL "http://ocsp.example/a"
#define CRL_URL	 "http://pki.example/root.crl"

static char dir[64];
static struct certs_cert root, other_root, sub, by_ocsp, by_crl, by_both, by_nothing, by_ldap;
static struct certs_cert responder, no_responder, foreign_responder, below_sub, own_sibling;

static const char *in(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static struct certs_cert peer_cert(const char *info, const char *crl_uri,
				   const struct certs_cert *issuer)
{
	return certs_make(
		&(struct certs_spec){
			.cn = "gw-b", .sans = "DNS:gw-b.example", .info = info, .crl_uri = crl_uri},
		issuer);
}

static int setup(void **state)
{
	static const char *const ocsp = "OCSP;URI:" OCSP_URL;
	const struct certs_spec for_ocsp = {.cn = "Responder", .purpose = "OCSPSigning"};

	(void)state;
	certs_dir_make(dir);
	root = certs_make(&(struct certs_spec){.cn = "Root", .ca = true}, NULL);
	other_root = certs_make(&(struct certs_spec){.cn = "Root", .ca = true}, NULL);
	sub = certs_make(&(struct certs_spec){.cn = "Sub", .ca = true, .info = ocsp}, &root);
	by_ocsp = peer_cert(ocsp, NULL, &root);
	by_crl = peer_cert(NULL, "URI:" CRL_URL, &root);
	by_both = peer_cert(ocsp, "URI:ldap://x.example/a,URI:" CRL_URL, &root);
	by_nothing = peer_cert(NULL, NULL, &root);
	by_ldap = peer_cert(NULL, "URI:ldap://x.example/a", &root);
	below_sub = peer_cert(ocsp, NULL, &sub);
	responder = certs_make(&for_ocsp, &root);
	foreign_responder = certs_make(&for_ocsp, &other_root);
	no_responder = certs_make(&(struct certs_spec){.cn = "Mail"}, &root);
	own_sibling = certs_make(&for_ocsp, &sub);
	certs_write(&root, dir, "root", NULL);
	certs_write_crl(&root, NULL, in("good.crl"), 9);
	certs_write_crl(&root, &by_crl, in("revoked.crl"), 9);
	certs_write_crl(&root, NULL, in("old.crl"), -2);
	certs_write_crl(&other_root, &by_crl, in("foreign.crl"), 9);
	return 0;
}

static int teardown(void **state)
{
	struct certs_cert *all[] = {&root,
				    &other_root,
				    &sub,
				    &by_ocsp,
				    &by_crl,
				    &by_both,
				    &by_nothing,
				    &by_ldap,
				    &responder,
				    &no_responder,
				    &below_sub,
				    &own_sibling,
				    &foreign_responder};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		certs_fini(all[i]);
	certs_dir_remove(dir);
	return 0;
}

// ---- the gateway and its servers ----

struct gateway {
	struct cred *cred;
	struct revocation *revocation;
	struct { // what was asked and not answered yet
		uint32_t id;
		char url[64];
		uint8_t body[512];
		size_t len;
	} asked[8];
	size_t n_asked, asks;
	bool deaf; // questions cannot be sent
	uint32_t ready;
	unsigned readies;
};

static int on_ask(void *ctx, const struct revocation_question *q)
{
	struct gateway *g = ctx;

	if (g->deaf)
		return -ENOMEM;
	assert_true(g->n_asked < 8 && q->len <= sizeof(g->asked[0].body));
	g->asked[g->n_asked].id = q->id;
	snprintf(g->asked[g->n_asked].url, sizeof(g->asked[0].url), "%s", q->url);
	g->asked[g->n_asked].len = q->len;
	if (q->body)
		memcpy(g->asked[g->n_asked].body, q->body, q->len);
	g->n_asked++;
	g->asks++;
	return 0;
}

static void on_ready(void *ctx, uint32_t wait)
{
	struct gateway *g = ctx;

	g->ready = wait;
	g->readies++;
}

static struct gateway *gateway_new(enum cred_revocation policy, const char *responder_url)
{
	struct cred_conn_params params = {.name = "c", .revocation = policy};
	struct gateway *g = calloc(1, sizeof(*g));
	struct cred_conn *conn;
	struct error err = {""};

	assert_non_null(g);
	assert_int_equal(cred_create(&g->cred), 0);
	assert_int_equal(auth_rule_parse("pubkey", &params.remote, &err), 0);
	assert_int_equal(cred_conn_add(g->cred, &params, &conn), 0);
	assert_int_equal(cred_add_ca(g->cred, in("root.pem"), &err), 0);
	if (responder_url)
		assert_int_equal(cred_add_ocsp(g->cred, in("root.pem"), responder_url, &err), 0);
	assert_int_equal(revocation_create(&g->revocation), 0);
	revocation_serve(g->revocation, on_ask, on_ready, g);
	cred_set_revocation(g->cred, g->revocation);
	return g;
}

static void gateway_end(struct gateway *g)
{
	cred_destroy(g->cred);
	revocation_destroy(g->revocation);
	free(g);
}

static void at(struct gateway *g, int64_t in_s)
{
	cred_set_time(g->cred, (int64_t)time(NULL) + in_s);
	revocation_set_time(g->revocation, (int64_t)time(NULL) + in_s);
}

static int judge(struct gateway *g, const struct certs_cert *peer, const struct certs_cert *issuer,
		 uint32_t *wait, struct error *err)
{
	static const uint8_t octets[] = "what is signed";
	const struct auth_rule any = {.kind = AUTH_BY_SIGNATURE};
	struct ike_signature sig = {.octets = {octets, sizeof(octets)}, .peer_hashes = AUTH_HASHES};
	const struct certs_cert *sent[] = {peer, issuer};
	struct ike_certs certs = {.n = issuer ? 2 : 1};
	uint8_t data[IKE_SIGNATURE_MAX];
	struct identity id;
	int rc;

	err->text[0] = '\0';
	sig.data = (struct ike_buf){data, sizeof(data)};
	assert_int_equal(signature_make(peer->key, &any, AUTH_HASHES, &sig.octets, &sig.method,
					data, &sig.data.len, err),
			 0);
	for (size_t i = 0; i < certs.n; i++) {
		uint8_t *der = NULL;

		certs.cert[i].len = (size_t)i2d_X509(sent[i]->x, &der);
		certs.cert[i].data = der;
	}
	assert_int_equal(identity_parse("gw-b.example", &id), 0);
	rc = cred_table(g->cred)->verify(g->cred, "c", &id, &certs, &sig, wait, err);
	for (size_t i = 0; i < certs.n; i++)
		OPENSSL_free((void *)(uintptr_t)certs.cert[i].data);
	return rc;
}

static void waits(struct gateway *g, const struct certs_cert *peer, const char *says)
{
	struct error err;
	uint32_t wait = 0;
	unsigned before = g->readies;

	assert_int_equal(judge(g, peer, NULL, &wait, &err), -EINPROGRESS);
	assert_true(wait != 0 && g->readies == before);
	if (!strstr(err.text, says))
		fail_msg("'%s' is not in: %s", says, err.text);
}

static void believed(struct gateway *g, const struct certs_cert *peer, const char *why)
{
	struct error err;
	uint32_t wait;

	if (judge(g, peer, NULL, &wait, &err))
		fail_msg("%s: %s", why, err.text);
}

static void refused(struct gateway *g, const struct certs_cert *peer, const char *says)
{
	struct error err;
	uint32_t wait;
	int rc = judge(g, peer, NULL, &wait, &err);

	if (rc != -EACCES)
		fail_msg("%s: %d %s", says, rc, err.text);
	if (!strstr(err.text, says))
		fail_msg("'%s' is not in: %s", says, err.text);
}

// The first question is answered.
static void answer(struct gateway *g, const uint8_t *body, size_t len, const char *why)
{
	uint32_t id = g->asked[0].id;

	assert_true(g->n_asked > 0);
	memmove(&g->asked[0], &g->asked[1], sizeof(g->asked) - sizeof(g->asked[0]));
	g->n_asked--;
	revocation_answer(g->revocation, id, body, len, why);
}

static void answer_ocsp(struct gateway *g, struct certs_ocsp spec)
{
	size_t len;
	uint8_t *der;

	if (!spec.signer)
		spec.signer = &root;
	der = certs_ocsp_answer(&spec, g->asked[0].body, g->asked[0].len, &len);
	answer(g, der, len, NULL);
	OPENSSL_free(der);
}

static void answer_crl(struct gateway *g, const char *file)
{
	FILE *f = fopen(in(file), "r");
	X509_CRL *crl = f ? PEM_read_X509_CRL(f, NULL, NULL, NULL) : NULL;
	uint8_t *der = NULL;
	int len = crl ? i2d_X509_CRL(crl, &der) : 0;

	assert_true(len > 0 && g->asked[0].len == 0);
	answer(g, der, (size_t)len, NULL);
	OPENSSL_free(der);
	X509_CRL_free(crl);
	fclose(f);
}

// ---- OCSP ----

static const struct certs_ocsp good = {.status = V_OCSP_CERTSTATUS_GOOD, .to_s = 3600};
static const struct certs_ocsp revoked = {.status = V_OCSP_CERTSTATUS_REVOKED, .to_s = 3600};

static void test_good_and_revoked(void **state)
{
	(void)state;
	for (enum cred_revocation policy = REVOCATION_RELAXED; policy <= REVOCATION_STRICT;
	     policy++) {
		struct gateway *g = gateway_new(policy, NULL);

		waits(g, &by_ocsp,
		      "for the OCSP response from " OCSP_URL " about 'C=CH, O=Test, "
		      "CN=gw-b'");
		assert_string_equal(g->asked[0].url, OCSP_URL);
		waits(g, &by_ocsp, "OCSP"); // another IKE_AUTH: one question for both
		assert_int_equal(g->asks, 1);
		answer_ocsp(g, good);
		assert_int_equal(g->readies, 2);
		believed(g, &by_ocsp, "good");
		assert_int_equal(g->asks, 1);
		// It counts until nextUpdate.
		at(g, 3500);
		believed(g, &by_ocsp, "still good");
		at(g, 3700);
		waits(g, &by_ocsp, "OCSP");
		assert_int_equal(g->asks, 2);
		gateway_end(g);

		g = gateway_new(policy, NULL);
		waits(g, &by_ocsp, "OCSP");
		answer_ocsp(g, revoked);
		refused(g, &by_ocsp,
			"certificate 'C=CH, O=Test, CN=gw-b' of issuer 'C=CH, O=Test, "
			"CN=Root' is revoked since 20");
		refused(g, &by_ocsp, "UTC (keyCompromise), says OCSP responder " OCSP_URL);
		gateway_end(g);
	}
}

// Of a responder's answer that does not count, the reason is said, and nobody is believed by it.
static void test_answers_that_do_not_count(void **state)
{
	const struct {
		struct certs_ocsp spec;
		const char *says;
	} rows[] = {
		{{.to_s = 60, .signer = &other_root}, "neither the certificate's issuer nor"},
		{{.to_s = 60, .signer = &no_responder}, "neither the certificate's issuer nor"},
		{{.to_s = 60, .signer = &foreign_responder},
		 "neither the certificate's issuer nor"},
		{{.to_s = 60, .signer = &own_sibling}, "neither the certificate's issuer nor"},
		{{.to_s = 60, .signer = &by_ocsp}, "neither the certificate's issuer nor"},
		{{.to_s = 60, .hash = "SHA1"}, "it is signed with SHA-1"},
		{{.from_s = -7200, .to_s = -10}, "it is out of date: of 20"},
		{{.from_s = -LIMIT_OCSP_LIFE_S - 10}, "it is out of date: of 20"},
		{{.from_s = LIMIT_OCSP_SKEW_S + 100, .to_s = 7200}, "in the future"},
		{{.to_s = 60, .old_nonce = true}, "its nonce is not ours"},
		{{.to_s = 60, .about = &by_crl}, "it is about another certificate"},
		{{.error = OCSP_RESPONSE_STATUS_TRYLATER}, "the responder has no answer: trylater"},
		{{.error = OCSP_RESPONSE_STATUS_UNAUTHORIZED}, "no answer: unauthorized"},
		{{.to_s = 60, .status = V_OCSP_CERTSTATUS_UNKNOWN}, "does not know it"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct gateway *g = gateway_new(REVOCATION_STRICT, NULL);

		waits(g, &by_ocsp, "OCSP");
		answer_ocsp(g, rows[i].spec);
		refused(g, &by_ocsp, "cannot be checked for revocation: ");
		refused(g, &by_ocsp, OCSP_URL);
		refused(g, &by_ocsp, rows[i].says);
		assert_int_equal(g->asks, 1); // a failure is remembered
		at(g, LIMIT_REVOCATION_RETRY_S + 5);
		waits(g, &by_ocsp, "OCSP");
		answer_ocsp(g, (struct certs_ocsp){.to_s = 3600});
		believed(g, &by_ocsp, "and then it counts");
		gateway_end(g);
	}
}

static void test_answers_that_count(void **state)
{
	const struct certs_ocsp rows[] = {
		{.to_s = 60, .signer = &responder},
		{.to_s = 60, .no_nonce = true},
		{.from_s = -100},	       // of now, without an end
		{.from_s = 100, .to_s = 3600}, // its clock is a little ahead
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct gateway *g = gateway_new(REVOCATION_STRICT, NULL);

		waits(g, &by_ocsp, "OCSP");
		answer_ocsp(g, rows[i]);
		believed(g, &by_ocsp, "it counts");
		gateway_end(g);
	}
}

static void test_no_answer(void **state)
{
	static const char *const silence = "no OCSP response from " OCSP_URL ": no answer in time";

	(void)state;
	for (enum cred_revocation policy = REVOCATION_RELAXED; policy <= REVOCATION_STRICT;
	     policy++) {
		struct gateway *g = gateway_new(policy, NULL);

		waits(g, &by_ocsp, "OCSP");
		answer(g, NULL, 0, "no answer in time");
		if (policy == REVOCATION_RELAXED)
			believed(g, &by_ocsp, "nobody knows");
		else
			refused(g, &by_ocsp, silence);
		// Without a place to ask only strict wants an answer.
		if (policy == REVOCATION_STRICT)
			refused(g, &by_nothing, "there is no CRL of its issuer");
		else
			believed(g, &by_nothing, "no place");
		// A place that we cannot ask is a place.
		if (policy == REVOCATION_RELAXED)
			believed(g, &by_ldap, "ldap");
		else
			refused(g, &by_ldap, "there is no CRL of its issuer");
		assert_int_equal(g->asks, 1);
		gateway_end(g);
	}
}

static void test_garbage(void **state)
{
	struct gateway *g = gateway_new(REVOCATION_STRICT, NULL);
	static uint8_t large[LIMIT_OCSP_LEN + 1];
	size_t len;
	uint8_t *der;

	(void)state;
	waits(g, &by_ocsp, "OCSP");
	der = certs_ocsp_answer(&(struct certs_ocsp){.signer = &root, .to_s = 3600},
				g->asked[0].body, g->asked[0].len, &len);
	memcpy(large, der, len);
	answer(g, large, len + 1, NULL); // something stands behind it
	refused(g, &by_ocsp, "the answer is no OCSP response");
	OPENSSL_free(der);
	at(g, LIMIT_REVOCATION_RETRY_S + 5);
	waits(g, &by_ocsp, "OCSP");
	answer(g, large, sizeof(large), NULL);
	refused(g, &by_ocsp, "the answer is no OCSP response");
	gateway_end(g);
}

// An authority's responder is asked first, for what its CA has issued; then the certificate's.
static void test_authority(void **state)
{
	struct gateway *g = gateway_new(REVOCATION_STRICT, "http://near.example/");

	(void)state;
	waits(g, &by_ocsp, "http://near.example/");
	answer(g, NULL, 0, "there is no connection to the server");
	waits(g, &by_ocsp, OCSP_URL);
	answer_ocsp(g, good);
	believed(g, &by_ocsp, "the second one knows");
	waits(g, &by_nothing, "http://near.example/");
	answer_ocsp(g, good);
	believed(g, &by_nothing, "by the authority's");
	gateway_end(g);
}

// Every certificate below the CA counts; they are asked for at once.
static void test_chain(void **state)
{
	struct gateway *g = gateway_new(REVOCATION_STRICT, NULL);
	struct error err;
	uint32_t wait, first;

	(void)state;
	assert_int_equal(judge(g, &below_sub, &sub, &wait, &err), -EINPROGRESS);
	assert_int_equal(g->n_asked, 2);
	answer_ocsp(g, (struct certs_ocsp){.to_s = 60, .signer = &sub});
	assert_int_equal(g->readies, 0); // not before both have come
	answer_ocsp(g, revoked);
	assert_true(g->readies == 1 && g->ready == wait);
	first = wait;
	assert_int_equal(judge(g, &below_sub, &sub, &wait, &err), -EACCES);
	assert_non_null(strstr(err.text, "certificate 'C=CH, O=Test, CN=Sub'"));
	assert_non_null(strstr(err.text, "is revoked"));
	assert_true(first != 0);
	gateway_end(g);
}

// Who waits in vain is told by what is there; who cannot be waited for as well.
static void test_last_word(void **state)
{
	struct gateway *g = gateway_new(REVOCATION_STRICT, NULL);
	struct error err;
	uint32_t wait;

	(void)state;
	waits(g, &by_ocsp, "OCSP");
	assert_int_equal(judge(g, &by_ocsp, NULL, NULL, &err), -EACCES);
	assert_non_null(strstr(err.text, "no OCSP response from " OCSP_URL ": not in time"));
	for (unsigned i = 1; i < LIMIT_REVOCATION_WAITS; i++)
		assert_int_equal(judge(g, &by_ocsp, NULL, &wait, &err), -EINPROGRESS);
	assert_int_equal(judge(g, &by_ocsp, NULL, &wait, &err), -EACCES);
	answer_ocsp(g, good);
	assert_int_equal(g->readies, LIMIT_REVOCATION_WAITS);
	believed(g, &by_ocsp, "all of them");
	gateway_end(g);
	g = gateway_new(REVOCATION_STRICT, NULL);
	g->deaf = true;
	refused(g, &by_ocsp, "it could not be asked for");
	gateway_end(g);
}

// No server is asked for somebody who only shows a certificate.
static void test_only_the_holder_makes_us_ask(void **state)
{
	struct gateway *g = gateway_new(REVOCATION_STRICT, NULL);
	struct certs_cert thief = {.x = by_ocsp.x, .key = by_crl.key};
	struct certs_cert stranger = peer_cert("OCSP;URI:" OCSP_URL, NULL, &other_root);
	struct error err;
	uint32_t wait;

	(void)state;
	assert_int_equal(judge(g, &thief, NULL, &wait, &err), -EACCES);
	assert_int_equal(judge(g, &stranger, NULL, &wait, &err), -EACCES);
	assert_int_equal(g->asks, 0);
	certs_fini(&stranger);
	gateway_end(g);
}

// ---- CRLs ----

static void test_crl_by_distribution_point(void **state)
{
	struct gateway *g = gateway_new(REVOCATION_STRICT, NULL);

	(void)state;
	waits(g, &by_crl, "for the CRL from " CRL_URL);
	assert_string_equal(g->asked[0].url, CRL_URL);
	answer_crl(g, "good.crl");
	believed(g, &by_crl, "not on it");
	assert_int_equal(g->asks, 1);
	// After some hours a newer one is fetched, and nobody waits for it.
	at(g, LIMIT_CRL_REFRESH_S + 10);
	believed(g, &by_crl, "meanwhile");
	assert_int_equal(g->n_asked, 1);
	answer_crl(g, "revoked.crl");
	refused(g, &by_crl, "(keyCompromise), says its issuer's CRL of 20");
	gateway_end(g);
}

static void test_crl_that_does_not_count(void **state)
{
	static const struct {
		const char *file, *says;
	} rows[] = {
		{"foreign.crl",
		 "no CRL from " CRL_URL ": the certificate's issuer has not signed it"},
		{"old.crl", "no CRL from " CRL_URL ": it is out of date"},
		{NULL, "no CRL from " CRL_URL ": the server answers 404, not 200"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct gateway *g = gateway_new(REVOCATION_IFURI, NULL);

		waits(g, &by_crl, "CRL");
		if (rows[i].file)
			answer_crl(g, rows[i].file);
		else
			answer(g, NULL, 0, "the server answers 404, not 200");
		refused(g, &by_crl, rows[i].says);
		gateway_end(g);
	}
}

static void test_crl_when_ocsp_fails(void **state)
{
	struct gateway *g = gateway_new(REVOCATION_STRICT, NULL);

	(void)state;
	waits(g, &by_both, "OCSP");
	assert_int_equal(g->n_asked, 1);
	answer(g, NULL, 0, "no answer in time");
	waits(g, &by_both, "CRL from " CRL_URL);
	answer_crl(g, "good.crl");
	believed(g, &by_both, "by its CRL");
	gateway_end(g);
	// Both fail: both are named.
	g = gateway_new(REVOCATION_STRICT, NULL);
	waits(g, &by_both, "OCSP");
	answer(g, NULL, 0, "no answer in time");
	waits(g, &by_both, "CRL");
	answer(g, NULL, 0, "there is no connection to the server");
	refused(g, &by_both,
		"no OCSP response from " OCSP_URL ": no answer in time; no CRL from " CRL_URL
		": there is no connection");
	gateway_end(g);
}

// What is kept is bounded: the one that nobody has asked for longest goes.
static void test_bounded(void **state)
{
	struct gateway *g = gateway_new(REVOCATION_STRICT, NULL);
	const struct revocation_entry *e;
	char url[64];

	(void)state;
	for (unsigned i = 0; i < LIMIT_CRL_ANSWERS; i++) {
		snprintf(url, sizeof(url), "http://x.example/%u", i);
		assert_non_null(revocation_crl(g->revocation, url, root.x));
		answer(g, NULL, 0, "x");
	}
	assert_int_equal(g->asks, LIMIT_CRL_ANSWERS);
	e = revocation_crl(g->revocation, "http://x.example/0", root.x); // used again
	assert_true(!e->asking && strcmp(e->why, "x") == 0);
	assert_true(revocation_crl(g->revocation, "http://x.example/more", root.x)->asking);
	e = revocation_crl(g->revocation, "http://x.example/0", root.x);
	assert_true(!e->asking); // is still there
	e = revocation_crl(g->revocation, "http://x.example/1", root.x);
	assert_true(e->asking); // is not: asked again
	assert_int_equal(g->asks, LIMIT_CRL_ANSWERS + 2);
	gateway_end(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_and_revoked),
		cmocka_unit_test(test_answers_that_do_not_count),
		cmocka_unit_test(test_answers_that_count),
		cmocka_unit_test(test_no_answer),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_authority),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_last_word),
		cmocka_unit_test(test_only_the_holder_makes_us_ask),
		cmocka_unit_test(test_crl_by_distribution_point),
		cmocka_unit_test(test_crl_that_does_not_count),
		cmocka_unit_test(test_crl_when_ocsp_fails),
		cmocka_unit_test(test_bounded),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
