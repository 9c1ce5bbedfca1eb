// Whom we believe, by certificate: chains, dates, names, usage, revocation, pins; and whether the
// sentence of a refusal names what is wrong.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "control/openssl/cred.h"
#include "control/openssl/signature.h"
#include "test/certs/certs.h"

static char dir[64];
static struct certs_cert root, other_root, sub;

static const char *in(const char *name)
{
	static char paths[4][128];
	static unsigned at;
	char *path = paths[at++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static int setup(void **state)
{
	(void)state;
	certs_dir_make(dir);
	root = certs_make(&(struct certs_spec){.cn = "Root", .ca = true}, NULL);
	other_root = certs_make(&(struct certs_spec){.cn = "Other root", .ca = true}, NULL);
	sub = certs_make(&(struct certs_spec){.cn = "Sub", .ca = true}, &root);
	certs_write(&root, dir, "root", NULL);
	certs_write(&other_root, dir, "other", NULL);
	certs_write(&sub, dir, "sub", NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	certs_fini(&root);
	certs_fini(&other_root);
	certs_fini(&sub);
	certs_dir_remove(dir);
	return 0;
}

static void ok(int rc, const struct error *err)
{
	if (rc)
		fail_msg("%s", err->text);
}

// A peer that sends `certs` and signs with the key of the first.
struct peer {
	struct certs_cert certs[3];
	size_t n;
	const struct certs_cert *signs; // NULL: the first
};

struct side { // and the connection that it meets
	const char *ca, *conn_ca, *pinned, *crl, *crl2, *known;
	enum cred_revocation revocation;
	const char *rule;
	const char *id;
	int64_t time;
};

static int meet(const struct peer *peer, const struct side *side, struct error *err)
{
	static const uint8_t octets[] = "what is signed";
	struct cred_conn_params params = {.name = "c", .revocation = side->revocation};
	const struct auth_rule any = {.kind = AUTH_BY_SIGNATURE};
	struct ike_certs certs = {.n = peer->n};
	struct ike_signature sig = {.octets = {octets, sizeof(octets)}, .peer_hashes = AUTH_HASHES};
	uint8_t data[IKE_SIGNATURE_MAX];
	struct identity id;
	struct cred_conn *conn;
	struct cred *c;
	int rc;

	ok(cred_create(&c), err);
	cred_set_time(c, side->time);
	ok(auth_rule_parse(side->rule ? side->rule : "pubkey", &params.remote, err), err);
	ok(cred_conn_add(c, &params, &conn), err);
	if (side->ca)
		ok(cred_add_ca(c, in(side->ca), err), err);
	if (side->conn_ca)
		ok(cred_conn_add_ca(conn, in(side->conn_ca), err), err);
	if (side->pinned)
		ok(cred_conn_add_pinned(conn, in(side->pinned), err), err);
	if (side->crl)
		ok(cred_add_crl(c, in(side->crl), err), err);
	if (side->crl2)
		ok(cred_add_crl(c, in(side->crl2), err), err);
	if (side->known)
		ok(cred_add_cert(c, in(side->known), err), err);
	sig.data = (struct ike_buf){data, sizeof(data)};
	ok(signature_make(peer->signs ? peer->signs->key : peer->certs[0].key, &any, AUTH_HASHES,
			  &sig.octets, &sig.method, data, &sig.data.len, err),
	   err);
	for (size_t i = 0; i < peer->n; i++) {
		uint8_t *der = NULL;

		certs.cert[i].len = (size_t)i2d_X509(peer->certs[i].x, &der);
		certs.cert[i].data = der;
	}
	assert_int_equal(identity_parse(side->id ? side->id : "gw-b.example", &id), 0);
	rc = cred_table(c)->verify(c, "c", &id, &certs, &sig, NULL, err);
	for (size_t i = 0; i < peer->n; i++)
		OPENSSL_free((void *)(uintptr_t)certs.cert[i].data);
	cred_destroy(c);
	return rc;
}

static struct peer peer_of(struct certs_spec spec, const struct certs_cert *issuer)
{
	if (!spec.cn)
		spec.cn = "gw-b";
	if (!spec.sans)
		spec.sans = "DNS:gw-b.example,IP:192.0.2.2,email:b@example.org";
	return (struct peer){.certs = {certs_make(&spec, issuer)}, .n = 1};
}

static void believed(const struct peer *p, struct side side, const char *why)
{
	struct error err = {""};

	if (meet(p, &side, &err))
		fail_msg("%s: %s", why, err.text);
}

static void refused(const struct peer *p, struct side side, const char *says, const char *why)
{
	struct error err = {""};

	if (meet(p, &side, &err) != -EACCES)
		fail_msg("%s: believed", why);
	if (!strstr(err.text, says))
		fail_msg("%s: '%s' is not in: %s", why, says, err.text);
}

static void test_good(void **state)
{
	static const char *const kinds[] = {"rsa", "p256", "p384", "p521", "ed25519"};

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		struct peer p = peer_of((struct certs_spec){.key = kinds[i]}, &root);

		believed(&p, (struct side){.ca = "root.pem"}, kinds[i]);
		believed(&p, (struct side){.conn_ca = "root.pem"}, kinds[i]);
		certs_fini(&p.certs[0]);
	}
}

static void test_chains(void **state)
{
	struct peer p = peer_of((struct certs_spec){0}, &sub);
	struct certs_cert leaf_as_ca, under;

	(void)state;
	refused(&p, (struct side){.ca = "root.pem"}, "CN=Sub' leads to no CA", "no intermediate");
	believed(&p, (struct side){.ca = "root.pem", .known = "sub.pem"}, "it lies in x509/");
	believed(&p, (struct side){.ca = "sub.pem"}, "the intermediate is trusted itself");
	p.certs[p.n++] = sub;
	believed(&p, (struct side){.ca = "root.pem"}, "sent along");
	believed(&p, (struct side){.ca = "root.pem", .conn_ca = "sub.pem"},
		 "the CA wanted is in it");
	refused(&p, (struct side){.ca = "other.pem"}, "leads to no CA", "another CA");
	refused(&p, (struct side){.ca = "root.pem", .conn_ca = "other.pem"},
		"leads to CA 'C=CH, O=Test, CN=Root', which is not one of remote.cacerts",
		"a CA that others accept");
	refused(&p, (struct side){0}, "leads to no CA", "no CA at all");
	p.certs[p.n++] = root;
	believed(&p, (struct side){.ca = "root.pem"}, "the root too");
	refused(&p, (struct side){.ca = "other.pem"}, "none of our CAs", "a root that is sent");
	certs_fini(&p.certs[0]);

	leaf_as_ca = certs_make(&(struct certs_spec){.cn = "leaf"}, &root);
	under = certs_make(&(struct certs_spec){.cn = "gw-b", .sans = "DNS:gw-b.example"},
			   &leaf_as_ca);
	p = (struct peer){.certs = {under, leaf_as_ca}, .n = 2};
	refused(&p, (struct side){.ca = "root.pem"}, "certificate", "an end entity is no CA");
	certs_fini(&leaf_as_ca);
	certs_fini(&under);
}

static void test_self_signed(void **state)
{
	struct peer p = peer_of((struct certs_spec){0}, NULL);

	(void)state;
	refused(&p, (struct side){.ca = "root.pem"}, "signed by itself", "nobody vouches for it");
	certs_write(&p.certs[0], dir, "self", NULL);
	believed(&p, (struct side){.pinned = "self.pem"}, "but it is pinned");
	certs_fini(&p.certs[0]);
}

static void test_dates(void **state)
{
	struct peer past = peer_of((struct certs_spec){.from_days = -9, .to_days = -2}, &root);
	struct peer future = peer_of((struct certs_spec){.from_days = 2, .to_days = 9}, &root);

	(void)state;
	refused(&past, (struct side){.ca = "root.pem"}, "CN=Root' expired on 20", "past");
	refused(&future, (struct side){.ca = "root.pem"}, "CN=Root' is valid from 20", "future");
	certs_write(&past.certs[0], dir, "past", NULL);
	refused(&past, (struct side){.pinned = "past.pem"}, "expired on 20", "past and pinned");
	certs_fini(&past.certs[0]);
	certs_fini(&future.certs[0]);

	struct certs_cert old_ca = certs_make(
		&(struct certs_spec){.cn = "Old", .ca = true, .from_days = -9, .to_days = -2},
		&root);
	struct peer p = peer_of((struct certs_spec){0}, &old_ca);

	p.certs[p.n++] = old_ca;
	refused(&p, (struct side){.ca = "root.pem"}, "CN=Old' of issuer", "a CA of the past");
	refused(&p, (struct side){.ca = "root.pem", .time = 1000000000}, "not yet",
		"the clock of another day");
	certs_fini(&p.certs[0]);
	certs_fini(&old_ca);
}

static void test_names(void **state)
{
	static const struct {
		const char *id, *why;
		bool named;
	} rows[] = {
		{"gw-b.example", "dNSName", true},
		{"GW-B.example", "in another case", true},
		{"192.0.2.2", "iPAddress", true},
		{"b@example.org", "rfc822Name", true},
		{"C=CH, O=Test, CN=gw-b", "the subject", true},
		{"C=CH, O=Test, CN=gw-c", "another subject", false},
		{"CN=gw-b", "a part of the subject", false},
		{"gw-c.example", "another name", false},
		{"x.gw-b.example", "a name below", false},
		{"gw-b", "the common name is no host name", false},
		{"192.0.2.3", "another address", false},
		{"fqdn:192.0.2.2", "an address as a name", false},
		{"fqdn:b@example.org", "a mail address as a name", false},
		{"email:gw-b.example", "a name as a mail address", false},
		{"keyid:gw-b.example", "a key ID", false},
	};
	struct peer p = peer_of((struct certs_spec){0}, &root);
	struct peer wild = peer_of((struct certs_spec){.sans = "DNS:*.example"}, &root);
	struct peer bare =
		peer_of((struct certs_spec){.cn = "gw-b.example", .sans = "URI:x:y"}, &root);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct side side = {.ca = "root.pem", .id = rows[i].id};

		if (rows[i].named)
			believed(&p, side, rows[i].why);
		else
			refused(&p, side, "it names DNS gw-b.example, IP 192.0.2.2, email",
				rows[i].why);
	}
	refused(&wild, (struct side){.ca = "root.pem"}, "does not name FQDN 'gw-b.example'",
		"wildcards in certificates (RFC 4945 5.1.3.6)");
	refused(&bare, (struct side){.ca = "root.pem"}, "it names no alternative name",
		"the common name only");
	certs_fini(&p.certs[0]);
	certs_fini(&wild.certs[0]);
	certs_fini(&bare.certs[0]);
}

static void test_usage(void **state)
{
	static const struct {
		const char *usage;
		bool good;
	} rows[] = {{"digitalSignature", true},
		    {"nonRepudiation", true},
		    {"keyEncipherment", false},
		    {"critical,keyAgreement", false}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer p = peer_of((struct certs_spec){.usage = rows[i].usage}, &root);

		if (rows[i].good)
			believed(&p, (struct side){.ca = "root.pem"}, rows[i].usage);
		else
			refused(&p, (struct side){.ca = "root.pem"}, "keyUsage", rows[i].usage);
		certs_fini(&p.certs[0]);
	}
}

static void test_revocation(void **state)
{
	struct peer p = peer_of((struct certs_spec){0}, &root);
	struct peer uri =
		peer_of((struct certs_spec){.crl_uri = "URI:http://crl.example/x"}, &root);
	struct peer below = peer_of((struct certs_spec){0}, &sub);
	struct side side = {.ca = "root.pem"};

	(void)state;
	certs_write_crl(&root, NULL, in("good.crl"), 9);
	certs_write_crl(&root, &p.certs[0], in("revoked.crl"), 9);
	certs_write_crl(&root, NULL, in("old.crl"), -2);
	certs_write_crl(&root, &p.certs[0], in("old-revoked.crl"), -2);
	certs_write_crl(&other_root, &p.certs[0], in("foreign.crl"), 9);
	certs_write_crl(&root, &sub, in("sub-revoked.crl"), 9);
	certs_write_crl(&sub, NULL, in("sub.crl"), 9);
	for (side.revocation = REVOCATION_RELAXED; side.revocation <= REVOCATION_STRICT;
	     side.revocation++) {
		bool strict = side.revocation == REVOCATION_STRICT;
		bool ifuri = side.revocation == REVOCATION_IFURI;

		side.crl = "good.crl";
		believed(&p, side, "not revoked");
		believed(&uri, side, "not revoked, and it names a place");
		side.crl = "revoked.crl";
		refused(&p, side, "is revoked since 20", "revoked");
		refused(&p, side, "UTC (keyCompromise), says its issuer's CRL of 20", "why");
		side.crl = "old-revoked.crl";
		refused(&p, side, "is revoked", "revoked long ago");
		side.crl = NULL;
		if (strict)
			refused(&p, side, "there is no CRL of its issuer", "strict without CRL");
		else
			believed(&p, side, "no CRL");
		if (strict || ifuri)
			refused(&uri, side, "there is no CRL of its issuer", "a place, no CRL");
		else
			believed(&uri, side, "relaxed");
		side.crl = "old.crl";
		if (strict)
			refused(&p, side, "out of date", "strict with an old CRL");
		else
			believed(&p, side, "an old CRL");
		side.crl = "foreign.crl";
		if (!strict)
			believed(&p, side, "a CRL of somebody else");
	}
	below.certs[below.n++] = sub;
	side = (struct side){.ca = "root.pem", .crl = "sub-revoked.crl", .crl2 = "sub.crl"};
	refused(&below, side, "CN=Sub' of issuer 'C=CH, O=Test, CN=Root' is revoked", "its CA");
	side = (struct side){.ca = "root.pem",
			     .crl = "good.crl",
			     .crl2 = "sub.crl",
			     .revocation = REVOCATION_STRICT};
	believed(&below, side, "CRLs of all");
	side.crl2 = NULL;
	refused(&below, side, "there is no CRL", "the intermediate has none");
	certs_fini(&p.certs[0]);
	certs_fini(&uri.certs[0]);
	certs_fini(&below.certs[0]);
}

static void test_pinned(void **state)
{
	struct peer p = peer_of((struct certs_spec){0}, &root);
	struct peer twin = peer_of((struct certs_spec){0}, &root), none;
	struct side side = {.ca = "root.pem", .pinned = "pinned.pem"};

	(void)state;
	certs_write(&p.certs[0], dir, "pinned", NULL);
	believed(&p, side, "the one");
	refused(&twin, side, "is not one of remote.certs", "another of the same CA and name");
	none = p;
	none.n = 0;
	believed(&none, side, "it need not be sent");
	none.signs = &twin.certs[0];
	refused(&none, side, "does not verify", "but the key has to be there");
	side.id = "gw-c.example";
	refused(&none, side, "none of remote.certs has its name", "another name, not sent");
	refused(&p, side, "does not name", "another name, sent");
	side = (struct side){.pinned = "pinned.pem", .conn_ca = "other.pem"};
	refused(&p, side, "leads to no CA", "pinned, and of another CA");
	certs_fini(&p.certs[0]);
	certs_fini(&twin.certs[0]);
}

static void test_the_key_has_to_sign(void **state)
{
	struct peer p = peer_of((struct certs_spec){0}, &root), nothing = {0};
	struct peer thief = p;
	struct certs_cert own = certs_make(&(struct certs_spec){.cn = "thief"}, &root);

	(void)state;
	thief.signs = &own; // somebody else's certificate
	refused(&thief, (struct side){.ca = "root.pem"}, "does not verify", "a copied certificate");
	nothing.signs = &own;
	refused(&nothing, (struct side){.ca = "root.pem"}, "it sent no certificate",
		"no certificate");
	certs_fini(&p.certs[0]);
	certs_fini(&own);
}

static void test_rules(void **state)
{
	struct peer p = peer_of((struct certs_spec){0}, &root);
	struct peer weak = peer_of((struct certs_spec){.key = "rsa1024"}, &root);
	struct peer sha1 = peer_of((struct certs_spec){.hash = "SHA1"}, &root);

	(void)state;
	believed(&p, (struct side){.ca = "root.pem", .rule = "ecdsa-256-sha256"}, "as wanted");
	refused(&p, (struct side){.ca = "root.pem", .rule = "rsa"}, "its key is ECDSA P-256",
		"another kind");
	refused(&p, (struct side){.ca = "root.pem", .rule = "ecdsa-384"}, "its key is ECDSA P-256",
		"too small");
	refused(&p, (struct side){.ca = "root.pem", .rule = "pubkey-sha384"},
		"is signed with SHA256", "the certificate's hash");
	refused(&p, (struct side){.ca = "root.pem", .rule = "ike:pubkey-sha384"},
		"signs with SHA2_256", "the hash of AUTH");
	refused(&weak, (struct side){.ca = "root.pem"}, "too weak", "RSA 1024");
	refused(&sha1, (struct side){.ca = "root.pem"}, "too weak", "SHA-1 in a certificate");
	certs_fini(&p.certs[0]);
	certs_fini(&weak.certs[0]);
	certs_fini(&sha1.certs[0]);
}

static void test_malformed_certificates(void **state)
{
	struct cred_conn_params params = {.name = "c", .remote = {.kind = AUTH_BY_SIGNATURE}};
	uint8_t *der = NULL, copy[LIMIT_IKE_CERT_LEN + 8] = {0};
	size_t len = (size_t)i2d_X509(root.x, &der);
	struct ike_certs certs = {.n = 1, .cert = {{copy, 0}}};
	struct ike_signature sig = {.method = 14, .data = {copy, 1}, .octets = {copy, 1}};
	struct identity id;
	struct cred_conn *conn;
	struct cred *c;
	struct error err;

	(void)state;
	assert_int_equal(cred_create(&c), 0);
	assert_int_equal(cred_conn_add(c, &params, &conn), 0);
	assert_int_equal(identity_parse("gw", &id), 0);
	memcpy(copy, der, len);
	for (size_t n = 0; n <= len + 1; n++) {
		if (n == len)
			continue;
		certs.cert[0].len = n;
		assert_int_equal(cred_table(c)->verify(c, "c", &id, &certs, &sig, NULL, &err),
				 -EACCES);
		assert_non_null(strstr(err.text, "certificate 1 of 1 is malformed"));
	}
	certs.cert[0].len = sizeof(copy);
	assert_int_equal(cred_table(c)->verify(c, "c", &id, &certs, &sig, NULL, &err), -EACCES);
	assert_int_equal(cred_table(c)->verify(c, "d", &id, &certs, &sig, NULL, &err), -EACCES);
	OPENSSL_free(der);
	cred_destroy(c);
}

// ---- our own ----

static struct cred_conn *own_begin(struct cred **c, const char *local_id, const char *rule)
{
	struct cred_conn_params params = {.name = "c"};
	struct cred_conn *conn;
	struct error err;

	assert_int_equal(cred_create(c), 0);
	ok(auth_rule_parse(rule, &params.local, &err), &err);
	assert_int_equal(identity_parse(local_id, &params.local_id), 0);
	assert_int_equal(cred_conn_add(*c, &params, &conn), 0);
	return conn;
}

static void test_own(void **state)
{
	struct certs_cert own =
		certs_make(&(struct certs_spec){.cn = "gw-a", .sans = "DNS:gw-a.example"}, &sub);
	struct ike_buf octets = {(const uint8_t *)"x", 1};
	uint8_t data[IKE_SIGNATURE_MAX], cas[LIMIT_IKE_CERTREQ_CAS * IKE_CA_ID_LEN], method;
	size_t len = sizeof(data), n = 0;
	const struct ike_cred *t;
	struct cred_conn *conn;
	struct ike_certs certs;
	struct identity id;
	struct error warning, err;
	struct cred *c;
	char text[64];

	(void)state;
	certs_write(&own, dir, "own", &sub);
	conn = own_begin(&c, "gw-a.example", "pubkey");
	ok(cred_add_ca(c, in("root.pem"), &err), &err);
	ok(cred_conn_add_own(conn, in("own.pem"), &err), &err);
	ok(cred_add_key(c, in("root.key"), NULL, &err), &err);
	assert_int_equal(cred_conn_finish(conn, &warning, &err), -ENOKEY);
	assert_non_null(strstr(err.text, "no private key belongs to certificate 'C=CH, O=Test, "
					 "CN=gw-a' (1 key in"));
	cred_destroy(c);

	conn = own_begin(&c, "gw-a.example", "pubkey");
	ok(cred_add_ca(c, in("root.pem"), &err), &err);
	ok(cred_add_ca(c, in("root.pem"), &err), &err); // twice the same
	ok(cred_conn_add_own(conn, in("own.pem"), &err), &err);
	ok(cred_add_key(c, in("own.key"), NULL, &err), &err);
	ok(cred_conn_finish(conn, &warning, &err), &err);
	assert_string_equal(warning.text, "");
	assert_int_equal(cred_own_check(c, "d", &err), -ENOENT);
	ok(cred_own_check(c, "c", &err), &err);
	cred_set_time(c, time(NULL) + 400 * 86400); // all are a year old at most
	assert_int_equal(cred_own_check(c, "c", &err), -EACCES);
	assert_non_null(strstr(err.text, "CN=gw-a'"));
	cred_set_time(c, time(NULL) - 10 * 86400);
	assert_int_equal(cred_own_check(c, "c", &err), -EACCES);
	assert_non_null(strstr(err.text, "not yet"));
	cred_set_time(c, 0);
	t = cred_table(c);
	assert_int_equal(t->local_id(c, "c", &id), -ENOENT); // local.id stands
	ok(t->chain(c, "c", NULL, 0, &certs, &err), &err);
	assert_int_equal(certs.n, 2); // with the intermediate, without the root
	ok(t->sign(c, "c", &certs, AUTH_HASHES, &octets, &method, data, &len, &err), &err);
	assert_int_equal(method, AUTH_DIGITAL_SIGNATURE);
	t->cas(c, "c", cas, &n);
	assert_int_equal(n, 1);
	t->cas(c, "c", cas, &n);
	assert_int_equal(n, 1);
	assert_true(t->chain(c, "d", NULL, 0, &certs, &err) < 0);
	cred_destroy(c);

	conn = own_begin(&c, "gw-x.example", "pubkey");
	ok(cred_conn_add_own(conn, in("own.pem"), &err), &err);
	ok(cred_add_key(c, in("own.key"), NULL, &err), &err);
	ok(cred_conn_finish(conn, &warning, &err), &err);
	assert_non_null(strstr(warning.text, "does not name 'gw-x.example'"));
	assert_int_equal(cred_table(c)->local_id(c, "c", &id), 0);
	assert_string_equal(identity_format(&id, text, sizeof(text)), "C=CH, O=Test, CN=gw-a");
	cred_destroy(c);

	conn = own_begin(&c, "%any", "rsa");
	ok(cred_conn_add_own(conn, in("own.pem"), &err), &err);
	ok(cred_add_key(c, in("own.key"), NULL, &err), &err);
	assert_int_equal(cred_conn_finish(conn, &warning, &err), -EACCES);
	assert_non_null(strstr(err.text, "its key is ECDSA P-256, wanted is: RSA key"));
	cred_destroy(c);
	certs_fini(&own);
}

static void test_own_certificate_that_has_expired(void **state)
{
	struct certs_cert own = certs_make(
		&(struct certs_spec){
			.cn = "gw-a", .sans = "DNS:gw-a.example", .from_days = -9, .to_days = -1},
		&root);
	struct error warning, err;
	struct cred_conn *conn;
	struct cred *c;

	(void)state;
	certs_write(&own, dir, "expired", NULL);
	conn = own_begin(&c, "gw-a.example", "pubkey");
	ok(cred_conn_add_own(conn, in("expired.pem"), &err), &err);
	ok(cred_add_key(c, in("expired.key"), NULL, &err), &err);
	ok(cred_conn_finish(conn, &warning, &err), &err);
	assert_non_null(
		strstr(warning.text, "CN=gw-a' of issuer 'C=CH, O=Test, CN=Root' expired on"));
	assert_int_equal(cred_own_check(c, "c", &err), -EACCES);
	assert_non_null(strstr(err.text, "CN=gw-a' of issuer 'C=CH, O=Test, CN=Root' expired on"));
	cred_destroy(c);
	certs_fini(&own);
}

// What is sent along is checked by the peer as well.
static void test_own_intermediate_that_has_expired(void **state)
{
	struct certs_cert old = certs_make(
		&(struct certs_spec){.cn = "Old", .ca = true, .from_days = -9, .to_days = -1},
		&root);
	struct certs_cert own =
		certs_make(&(struct certs_spec){.cn = "gw-a", .sans = "DNS:gw-a.example"}, &old);
	struct error warning, err;
	struct cred_conn *conn;
	struct cred *c;

	(void)state;
	certs_write(&own, dir, "own-old", &old);
	conn = own_begin(&c, "gw-a.example", "pubkey");
	ok(cred_add_ca(c, in("root.pem"), &err), &err);
	ok(cred_conn_add_own(conn, in("own-old.pem"), &err), &err);
	ok(cred_add_key(c, in("own-old.key"), NULL, &err), &err);
	ok(cred_conn_finish(conn, &warning, &err), &err);
	assert_int_equal(cred_own_check(c, "c", &err), -EACCES);
	assert_non_null(strstr(err.text, "CN=Old' of issuer 'C=CH, O=Test, CN=Root' expired on"));
	cred_destroy(c);
	certs_fini(&own);
	certs_fini(&old);
}

static void test_own_with_two_cas(void **state)
{
	struct certs_cert one =
		certs_make(&(struct certs_spec){.cn = "a1", .sans = "DNS:a"}, &root);
	struct certs_cert two =
		certs_make(&(struct certs_spec){.cn = "a2", .sans = "DNS:a"}, &other_root);
	uint8_t cas[LIMIT_IKE_CERTREQ_CAS * IKE_CA_ID_LEN];
	struct cred_conn *conn, *wants;
	struct ike_certs certs, first;
	struct error warning, err;
	struct cred *c;
	size_t n = 0;

	(void)state;
	certs_write(&one, dir, "one", NULL);
	certs_write(&two, dir, "two", NULL);
	conn = own_begin(&c, "fqdn:a", "pubkey");
	assert_int_equal(cred_conn_add(c, &(struct cred_conn_params){.name = "w"}, &wants), 0);
	ok(cred_conn_add_ca(wants, in("other.pem"), &err), &err);
	ok(cred_add_ca(c, in("root.pem"), &err), &err);
	ok(cred_add_ca(c, in("other.pem"), &err), &err);
	ok(cred_conn_add_own(conn, in("one.pem"), &err), &err);
	ok(cred_conn_add_own(conn, in("two.pem"), &err), &err);
	ok(cred_add_key(c, in("one.key"), NULL, &err), &err);
	ok(cred_add_key(c, in("two.key"), NULL, &err), &err);
	ok(cred_conn_finish(conn, &warning, &err), &err);
	ok(cred_table(c)->chain(c, "c", NULL, 0, &first, &err), &err);
	cred_table(c)->cas(c, "w", cas, &n);
	assert_int_equal(n, 1);
	ok(cred_table(c)->chain(c, "c", cas, n, &certs, &err), &err);
	assert_ptr_not_equal(certs.cert[0].data, first.cert[0].data);
	memset(cas, 0, sizeof(cas));
	ok(cred_table(c)->chain(c, "c", cas, n, &certs, &err), &err);
	assert_ptr_equal(certs.cert[0].data, first.cert[0].data);
	cred_destroy(c);
	certs_fini(&one);
	certs_fini(&two);
}

// ---- files ----

static void test_key_files(void **state)
{
	struct secret right = {0}, wrong = {0};
	struct error err;
	struct cred *c;

	(void)state;
	assert_int_equal(secret_set(&right, "open sesame", 11), 0);
	assert_int_equal(secret_set(&wrong, "open barley", 11), 0);
	assert_int_equal(cred_create(&c), 0);
	certs_write_key(&root, in("clear.pem"), NULL, false);
	certs_write_key(&root, in("clear.der"), NULL, true);
	certs_write_key(&root, in("enc.pem"), "open sesame", false);
	certs_write_key(&root, in("enc.der"), "open sesame", true);
	ok(cred_add_key(c, in("clear.pem"), NULL, &err), &err);
	ok(cred_add_key(c, in("clear.der"), NULL, &err), &err);
	ok(cred_add_key(c, in("enc.pem"), &right, &err), &err);
	ok(cred_add_key(c, in("enc.der"), &right, &err), &err);
	assert_int_equal(cred_add_key(c, in("enc.pem"), NULL, &err), -ENOKEY);
	assert_non_null(strstr(err.text, "enc.pem is encrypted and no passphrase is configured"));
	assert_int_equal(cred_add_key(c, in("enc.pem"), &wrong, &err), -ENOKEY);
	assert_non_null(strstr(err.text, "another passphrase than ours"));
	assert_int_equal(cred_add_key(c, in("enc.der"), &wrong, &err), -ENOKEY);
	assert_null(strstr(err.text, "barley"));
	assert_int_equal(cred_add_key(c, in("root.pem"), NULL, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "root.pem holds no private key"));
	cred_destroy(c);
	secret_fini(&right);
	secret_fini(&wrong);
}

static void test_other_files(void **state)
{
	struct error err;
	struct cred *c;
	FILE *f = fopen(in("rubbish.pem"), "w");

	(void)state;
	assert_non_null(f);
	fputs("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", f);
	fclose(f);
	assert_int_equal(cred_create(&c), 0);
	assert_int_equal(cred_add_ca(c, in("none.pem"), &err), -ENOENT);
	assert_non_null(strstr(err.text, "none.pem: No such file"));
	assert_int_equal(cred_add_ca(c, in("rubbish.pem"), &err), -EBADMSG);
	assert_non_null(strstr(err.text, "rubbish.pem"));
	assert_int_equal(cred_add_ca(c, in("root.key"), &err), -EBADMSG);
	assert_int_equal(cred_add_crl(c, in("root.pem"), &err), -EBADMSG);
	// Not installed, or installed and told of no module; with a token: test_token.c.
	if (cred_add_key(c, "pkcs11:object=x", NULL, &err) == -ENOTSUP)
		assert_non_null(strstr(err.text, "provider 'pkcs11' is not there"));
	else
		assert_non_null(strstr(err.text, "cannot open pkcs11:object=x: "));
	cred_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_chains),
		cmocka_unit_test(test_self_signed),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_revocation),
		cmocka_unit_test(test_pinned),
		cmocka_unit_test(test_the_key_has_to_sign),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_malformed_certificates),
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_own_certificate_that_has_expired),
		cmocka_unit_test(test_own_intermediate_that_has_expired),
		cmocka_unit_test(test_own_with_two_cas),
		cmocka_unit_test(test_key_files),
		cmocka_unit_test(test_other_files),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
