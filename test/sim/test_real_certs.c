// Two peers that prove who they are by certificates, with OpenSSL's cryptography: every kind of
// key, every mixture with pre-shared keys, and an AUTH or CERT that is not what it has to be.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ike/payload.h"
#include "control/ike/sa.h"
#include "control/openssl/cred.h"
#include "control/openssl/ike_openssl.h"
#include "test/certs/certs.h"
#include "test/sim/check.h"
#include "test/sim/evil.h"

static struct ike_crypto *crypto;
static struct certs_cert root;
static char dir[64];

static int setup(void **state)
{
	(void)state;
	certs_dir_make(dir);
	root = certs_make(&(struct certs_spec){.cn = "Root", .ca = true}, NULL);
	certs_write(&root, dir, "root", NULL);
	return ike_openssl_create(&crypto);
}

static int teardown(void **state)
{
	(void)state;
	ike_openssl_destroy(crypto);
	certs_fini(&root);
	certs_dir_remove(dir);
	return 0;
}

struct duo { // two peers and what they know
	struct sim sim;
	struct cred *cred[2];
};

static void must(int rc, const struct error *err)
{
	if (rc)
		fail_msg("%s", err->text);
}

// Credentials of one peer: its own certificate, and the CA for the other.
static void equip(struct duo *d, struct sim_peer *p, const struct certs_spec *spec,
		  const char *local_rule, const char *remote_rule)
{
	struct cred **c = &d->cred[p == &d->sim.b];
	struct cred_conn_params params = {0};
	char name[32], path[128];
	struct cred_conn *conn = NULL;
	struct certs_cert own = certs_make(spec, &root);
	struct error err, warning;

	snprintf(name, sizeof(name), "%s-conn", p->name);
	params.name = name;
	must(auth_rule_parse(local_rule, &params.local, &err), &err);
	must(auth_rule_parse(remote_rule, &params.remote, &err), &err);
	must(identity_parse(p->conf.local_id, &params.local_id), &err);
	p->conf.local_auth = params.local.kind;
	p->conf.remote_auth = params.remote.kind;
	CHECK(!cred_create(c) && !cred_conn_add(*c, &params, &conn));
	snprintf(path, sizeof(path), "%s/root.pem", dir);
	must(cred_add_ca(*c, path, &err), &err);
	certs_write(&own, dir, p->name, NULL);
	snprintf(path, sizeof(path), "%s/%s.key", dir, p->name);
	must(cred_add_key(*c, path, NULL, &err), &err);
	snprintf(path, sizeof(path), "%s/%s.pem", dir, p->name);
	must(cred_conn_add_own(conn, path, &err), &err);
	must(cred_conn_finish(conn, &warning, &err), &err);
	p->env.cred = cred_table(*c);
	certs_fini(&own);
}

static struct duo *duo_new(const char *key_a, const char *rule_a, const char *key_b,
			   const char *rule_b)
{
	struct duo *d = calloc(1, sizeof(*d));

	sim_init(&d->sim, 7);
	sim_use_crypto(&d->sim, crypto);
	equip(d, &d->sim.a,
	      &(struct certs_spec){.cn = "a", .sans = "DNS:gw-a.example", .key = key_a}, rule_a,
	      rule_b);
	equip(d, &d->sim.b,
	      &(struct certs_spec){.cn = "b", .sans = "DNS:gw-b.example", .key = key_b}, rule_b,
	      rule_a);
	return d;
}

static void duo_end(struct duo *d)
{
	if (!sim_fini(&d->sim))
		fail_msg("%s", d->sim.broken);
	cred_destroy(d->cred[0]);
	cred_destroy(d->cred[1]);
	free(d);
}

static bool up(struct duo *d)
{
	sim_initiate(&d->sim, &d->sim.a);
	sim_run_until(&d->sim, 3000);
	return sim_sa(&d->sim.a, IKE_ST_ESTABLISHED) && sim_sa(&d->sim.b, IKE_ST_ESTABLISHED) &&
	       sim_agree(&d->sim) && sim_children(&d->sim.a) == 1;
}

static const char *said(const struct sim_peer *p, enum ike_report_code code)
{
	const struct sim_report *r = sim_reported(p, code);

	return r ? r->text : "";
}

static void test_every_kind(void **state)
{
	static const struct {
		const char *key_a, *rule_a, *key_b, *rule_b;
	} rows[] = {
		{"rsa", "pubkey", "rsa", "pubkey"},   {"rsa", "rsa/pss", "rsa", "rsa/pss"},
		{"p256", "pubkey", "p384", "pubkey"}, {"p521", "ecdsa", "p256", "ecdsa-256"},
		{"ed25519", "ed25519", "rsa", "rsa"}, {"rsa", "psk", "p256", "pubkey"},
		{"p256", "pubkey", "p256", "psk"},    {"rsa", "ike:rsa-sha512", "p384", "pubkey"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct duo *d =
			duo_new(rows[i].key_a, rows[i].rule_a, rows[i].key_b, rows[i].rule_b);

		if (!up(d))
			fail_msg("%zu: %s %s", i, said(&d->sim.a, IKE_REPORT_CERT),
				 said(&d->sim.b, IKE_REPORT_CERT));
		CHECK(sim_errors(&d->sim.a) == 0 && sim_errors(&d->sim.b) == 0);
		duo_end(d);
	}
}

// Makes the peers forget that each announced its hashes, as with software before RFC 7427.
static void hide_hashes(struct sim *s, struct sim_peer *from, uint8_t *bytes, size_t len)
{
	static const uint8_t notify[] = {0, 0, 0x40, 0x2f}; // SIGNATURE_HASH_ALGORITHMS

	(void)s;
	(void)from;
	for (size_t i = 0; i + 4 < len && bytes[18] == EXCHANGE_IKE_SA_INIT; i++)
		if (memcmp(bytes + i, notify, 4) == 0)
			bytes[i + 3] = 0x7f; // an unknown status notify
}

static void test_announcements_that_are_removed_are_noticed(void **state)
{
	static const char *const keys[] = {"rsa", "p256", "p384", "p521"};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct duo *d = duo_new(keys[i], "pubkey", keys[i], "pubkey");

		// The old methods are used, and AUTH covers the message that was changed.
		d->sim.tap = hide_hashes;
		CHECK(!up(d));
		CHECK(strstr(said(&d->sim.b, IKE_REPORT_CERT), "does not verify") != NULL);
		duo_end(d);
	}
}

static void test_identity_from_the_certificate(void **state)
{
	struct duo *d = calloc(1, sizeof(*d));
	struct ike_sa_info info;
	char text[64];

	(void)state;
	sim_init(&d->sim, 7);
	sim_use_crypto(&d->sim, crypto);
	d->sim.a.conf.local_id = "%any";
	d->sim.b.conf.remote_id = "O=Test, C=*, CN=*";
	equip(d, &d->sim.a, &(struct certs_spec){.cn = "a"}, "pubkey", "pubkey");
	equip(d, &d->sim.b, &(struct certs_spec){.cn = "b", .sans = "DNS:gw-b.example"}, "pubkey",
	      "pubkey");
	CHECK(!up(d)); // another order of attributes
	CHECK(strstr(said(&d->sim.b, IKE_REPORT_NO_CONNECTION), "C=CH, O=Test, CN=a"));
	duo_end(d);

	d = calloc(1, sizeof(*d));
	sim_init(&d->sim, 7);
	sim_use_crypto(&d->sim, crypto);
	d->sim.a.conf.local_id = "%any";
	d->sim.b.conf.remote_id = "C=CH, O=Test, CN=*";
	equip(d, &d->sim.a, &(struct certs_spec){.cn = "a"}, "pubkey", "pubkey");
	equip(d, &d->sim.b, &(struct certs_spec){.cn = "b", .sans = "DNS:gw-b.example"}, "pubkey",
	      "pubkey");
	CHECK(up(d));
	ike_sa_info(sim_sa(&d->sim.b, IKE_ST_ESTABLISHED), &info);
	CHECK(strcmp(identity_format(&info.remote_id, text, sizeof(text)), "C=CH, O=Test, CN=a") ==
	      0);
	duo_end(d);
}

static void test_certificate_of_another_name(void **state)
{
	struct duo *d = duo_new("p256", "pubkey", "p256", "pubkey");

	(void)state;
	cred_destroy(d->cred[1]);
	equip(d, &d->sim.b, &(struct certs_spec){.cn = "b", .sans = "DNS:gw-x.example"}, "pubkey",
	      "pubkey");
	// It says its certificate's subject; who wants gw-b.example does not take that.
	CHECK(!up(d));
	CHECK(sim_children(&d->sim.a) == 0 && sim_children(&d->sim.b) == 0);
	duo_end(d);
}

static void test_expired(void **state)
{
	struct duo *d = duo_new("p256", "pubkey", "p256", "pubkey");
	const struct ike_cert_info *cert;

	(void)state;
	cred_destroy(d->cred[0]);
	equip(d, &d->sim.a,
	      &(struct certs_spec){
		      .cn = "a", .sans = "DNS:gw-a.example", .from_days = -9, .to_days = -1},
	      "pubkey", "pubkey");
	CHECK(!up(d));
	CHECK(strstr(said(&d->sim.b, IKE_REPORT_CERT), "the peer is not believed: "
						       "certificate 'C=CH, O=Test, CN=a'"));
	CHECK(strstr(said(&d->sim.b, IKE_REPORT_CERT), "expired on 20"));
	CHECK(strstr(said(&d->sim.b, IKE_REPORT_CERT), "FQDN 'gw-a.example'"));
	cert = &d->sim.b.refusal->cert[0];
	CHECK(d->sim.b.refusal->n_certs == 1 && !strcmp(cert->subject, "C=CH, O=Test, CN=a"));
	CHECK(strstr(cert->issuer, "CN=") && strstr(cert->not_after, " UTC"));
	CHECK(strstr(said(&d->sim.b, IKE_REPORT_CERT), cert->not_after));
	CHECK(strcmp(cert->not_before, cert->not_after) < 0);
	CHECK(strstr(said(&d->sim.a, IKE_REPORT_PEER_REFUSED_AUTH), "our certificate or identity"));
	CHECK(sim_errors(&d->sim.a) == 1 && sim_errors(&d->sim.b) == 1);
	duo_end(d);
}

static void test_certificates_that_are_not_sent(void **state)
{
	struct duo *d = duo_new("p256", "pubkey", "p256", "pubkey");

	(void)state;
	d->sim.a.conf.send_cert = SEND_CERT_NEVER;
	CHECK(!up(d));
	CHECK(strstr(said(&d->sim.b, IKE_REPORT_CERT), "it sent no certificate"));
	duo_end(d);

	d = duo_new("p256", "pubkey", "p256", "pubkey"); // only who is asked sends
	d->sim.b.conf.no_certreq = true;
	CHECK(!up(d));
	CHECK(strstr(said(&d->sim.b, IKE_REPORT_CERT), "it sent no certificate"));
	duo_end(d);

	d = duo_new("p256", "pubkey", "p256", "pubkey");
	d->sim.b.conf.no_certreq = true;
	d->sim.a.conf.send_cert = SEND_CERT_ALWAYS;
	CHECK(up(d));
	duo_end(d);
}

// ---- a method that is not the configured one ----

static void test_other_method_than_configured(void **state)
{
	static const struct {
		const char *a_local, *b_remote, *says;
		enum ike_report_code code;
	} rows[] = {
		{"psk", "pubkey", "method 2 (pre-shared key), a signature is wanted",
		 IKE_REPORT_CERT},
		{"pubkey", "psk", "method 9, a pre-shared key (method 2) is wanted",
		 IKE_REPORT_AUTH_FAILED},
		{"pubkey", "ecdsa-384", "its key is ECDSA P-256", IKE_REPORT_CERT},
		{"pubkey", "rsa", "its key is ECDSA P-256", IKE_REPORT_CERT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct duo *d = duo_new("p256", rows[i].a_local, "p256", "pubkey");

		cred_destroy(d->cred[1]);
		equip(d, &d->sim.b, &(struct certs_spec){.cn = "b", .sans = "DNS:gw-b.example"},
		      "pubkey", rows[i].b_remote);
		sim_initiate(&d->sim, &d->sim.a);
		sim_run_until(&d->sim, 3000);
		CHECK(!sim_sa(&d->sim.a, IKE_ST_ESTABLISHED) &&
		      !sim_sa(&d->sim.b, IKE_ST_ESTABLISHED));
		if (!strstr(said(&d->sim.b, rows[i].code), rows[i].says))
			fail_msg("%zu: %s", i, said(&d->sim.b, rows[i].code));
		CHECK(*said(&d->sim.b, rows[i].code) && d->sim.b.installs == 0);
		duo_end(d);
	}
}

// ---- an evil peer with the keys of the IKE SA ----

static void put_id(struct ike_builder *b, uint8_t type, const char *text)
{
	struct identity id;

	CHECK(!identity_parse(text, &id));
	build_id(b, type, &id);
}

static struct certs_cert stolen; // a's certificate, without its key

static void put_stolen(struct ike_builder *b)
{
	uint8_t *der = NULL;
	int len = i2d_X509(stolen.x, &der);

	build_cert(b, PAYLOAD_CERT, der, (size_t)len);
	OPENSSL_free(der);
}

static void nothing(struct ike_builder *b)
{
	(void)b;
}

static void no_auth(struct ike_builder *b)
{
	put_stolen(b);
}

static void auth_of(struct ike_builder *b, uint8_t method, size_t len)
{
	static const uint8_t zeros[300];

	put_stolen(b);
	build_auth(b, method, zeros, len);
}

static void empty_auth(struct ike_builder *b)
{
	put_stolen(b);
	build_octets(b, PAYLOAD_AUTH, (const uint8_t *)"\x0e\0\0\0", 4);
}

static void zero_signature(struct ike_builder *b)
{
	auth_of(b, AUTH_DIGITAL_SIGNATURE, 80);
}

static void zero_raw(struct ike_builder *b)
{
	auth_of(b, AUTH_ECDSA_256, 64); // r = s = 0
}

static void null_method(struct ike_builder *b)
{
	auth_of(b, 13, 32); // RFC 7619: no authentication at all
}

static void signature_without_cert(struct ike_builder *b)
{
	static const uint8_t zeros[80];

	build_auth(b, AUTH_DIGITAL_SIGNATURE, zeros, sizeof(zeros));
}

static void rubbish_cert(struct ike_builder *b)
{
	static const uint8_t zeros[80];

	build_cert(b, PAYLOAD_CERT, zeros, sizeof(zeros));
	signature_without_cert(b);
}

static void empty_cert(struct ike_builder *b)
{
	build_octets(b, PAYLOAD_CERT, NULL, 0);
	signature_without_cert(b);
}

static void url_cert(struct ike_builder *b)
{
	static const char url[] = "\x0c"
				  "12345678901234567890http://evil.example/c";

	build_octets(b, PAYLOAD_CERT, (const uint8_t *)url, sizeof(url) - 1);
	signature_without_cert(b);
}

static void many_certs(struct ike_builder *b)
{
	for (unsigned i = 0; i < LIMIT_IKE_CERTS + 1; i++)
		put_stolen(b);
	signature_without_cert(b);
}

static const struct {
	void (*put)(struct ike_builder *b);
	const char *says;
} evils[] = {
	{nothing, "sent no AUTH"},
	{no_auth, "sent no AUTH"},
	{empty_auth, "sent no AUTH"},
	{zero_signature, "an algorithm that is not accepted"},
	{zero_raw, "does not verify"},
	{null_method, "method 13, a signature is wanted"},
	{signature_without_cert, "it sent no certificate"},
	{rubbish_cert, "certificate 1 of 1 is malformed"},
	{empty_cert, "an empty CERT payload"},
	{url_cert, "it sent no certificate"},
	{many_certs, "more than 8 certificates"},
};

static void test_evil_initiator(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(evils) / sizeof(evils[0]); i++) {
		struct duo *d = duo_new("p256", "pubkey", "p256", "pubkey");
		struct ike_builder b;

		evil_before_auth_request(&d->sim);
		evil_begin(&b);
		put_id(&b, PAYLOAD_IDI, "gw-a.example");
		evils[i].put(&b);
		evil_send(&d->sim, &d->sim.a, &d->sim.b, EXCHANGE_IKE_AUTH, false, 1, &b);
		CHECK(!sim_sa(&d->sim.b, IKE_ST_ESTABLISHED) && d->sim.b.installs == 0);
		if (!strstr(said(&d->sim.b, IKE_REPORT_CERT), evils[i].says))
			fail_msg("%zu: %s", i, said(&d->sim.b, IKE_REPORT_CERT));
		duo_end(d);
	}
}

static void test_evil_responder(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(evils) / sizeof(evils[0]); i++) {
		struct duo *d = duo_new("p256", "pubkey", "p256", "pubkey");
		struct ike_builder b;

		certs_fini(&stolen);
		stolen = certs_make(&(struct certs_spec){.cn = "b", .sans = "DNS:gw-b.example"},
				    &root);
		evil_before_auth_response(&d->sim);
		evil_begin(&b);
		put_id(&b, PAYLOAD_IDR, "gw-b.example");
		evils[i].put(&b);
		evil_send(&d->sim, &d->sim.b, &d->sim.a, EXCHANGE_IKE_AUTH, true, 1, &b);
		CHECK(!sim_sa(&d->sim.a, IKE_ST_ESTABLISHED) && d->sim.a.installs == 0);
		if (!strstr(said(&d->sim.a, IKE_REPORT_CERT), evils[i].says))
			fail_msg("%zu: %s", i, said(&d->sim.a, IKE_REPORT_CERT));
		sim_run_until(&d->sim, 400000);
		duo_end(d);
	}
}

static int steal(void **state)
{
	(void)state;
	stolen = certs_make(&(struct certs_spec){.cn = "a", .sans = "DNS:gw-a.example"}, &root);
	return 0;
}

static int give_back(void **state)
{
	(void)state;
	certs_fini(&stolen);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind),
		cmocka_unit_test(test_announcements_that_are_removed_are_noticed),
		cmocka_unit_test(test_identity_from_the_certificate),
		cmocka_unit_test(test_certificate_of_another_name),
		cmocka_unit_test(test_expired),
		cmocka_unit_test(test_certificates_that_are_not_sent),
		cmocka_unit_test(test_other_method_than_configured),
		cmocka_unit_test_setup_teardown(test_evil_initiator, steal, give_back),
		cmocka_unit_test_setup_teardown(test_evil_responder, steal, give_back),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
