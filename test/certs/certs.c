#include "test/certs/certs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#define DAY 86400L

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "certs: %s failed\n", what);
	abort();
}

void certs_dir_make(char dir[64])
{
	snprintf(dir, 64, "/tmp/test-certs.XXXXXX");
	must(mkdtemp(dir) != NULL, "mkdtemp");
}

void certs_dir_remove(const char *dir)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	must(system(command) == 0, command);
}

static EVP_PKEY *key_make(const char *kind)
{
	if (!kind || strcmp(kind, "p256") == 0)
		return EVP_EC_gen("P-256");
	if (strcmp(kind, "p384") == 0)
		return EVP_EC_gen("P-384");
	if (strcmp(kind, "p521") == 0)
		return EVP_EC_gen("P-521");
	if (strcmp(kind, "rsa") == 0)
		return EVP_RSA_gen(2048);
	if (strcmp(kind, "rsa1024") == 0)
		return EVP_RSA_gen(1024);
	return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

static void extend(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	must(ext && X509_add_ext(x, ext, -1) == 1, value);
	X509_EXTENSION_free(ext);
}

struct certs_cert certs_make(const struct certs_spec *spec, const struct certs_cert *issuer)
{
	static long serial = 1000;
	struct certs_cert c = {X509_new(), key_make(spec->key)};
	X509_NAME *name = X509_NAME_new();
	bool dated = spec->from_days || spec->to_days;
	EVP_PKEY *signer = issuer ? issuer->key : c.key;
	X509 *parent = issuer ? issuer->x : c.x;

	must(c.x && c.key && name, "new");
	X509_NAME_add_entry_by_txt(name, "C", MBSTRING_ASC, (const uint8_t *)"CH", -1, -1, 0);
	X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const uint8_t *)"Test", -1, -1, 0);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)spec->cn, -1, -1, 0);
	X509_set_version(c.x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(c.x), serial++);
	X509_set_subject_name(c.x, name);
	X509_set_issuer_name(c.x, X509_get_subject_name(parent));
	X509_gmtime_adj(X509_getm_notBefore(c.x), (dated ? spec->from_days : -1) * DAY);
	X509_gmtime_adj(X509_getm_notAfter(c.x), (dated ? spec->to_days : 365) * DAY);
	X509_set_pubkey(c.x, c.key);
	extend(c.x, parent, NID_basic_constraints, spec->ca ? "critical,CA:TRUE" : "CA:FALSE");
	extend(c.x, parent, NID_subject_key_identifier, "hash");
	if (spec->ca)
		extend(c.x, parent, NID_key_usage,
		       spec->usage ? spec->usage : "critical,keyCertSign,cRLSign");
	else if (spec->usage)
		extend(c.x, parent, NID_key_usage, spec->usage);
	if (spec->sans)
		extend(c.x, parent, NID_subject_alt_name, spec->sans);
	if (spec->crl_uri)
		extend(c.x, parent, NID_crl_distribution_points, spec->crl_uri);
	if (spec->info)
		extend(c.x, parent, NID_info_access, spec->info);
	if (spec->purpose)
		extend(c.x, parent, NID_ext_key_usage, spec->purpose);
	must(X509_sign(c.x, signer,
		       EVP_PKEY_is_a(signer, "ED25519")
			       ? NULL
			       : EVP_get_digestbyname(spec->hash ? spec->hash : "SHA256")) > 0,
	     "sign");
	X509_NAME_free(name);
	return c;
}

void certs_fini(struct certs_cert *c)
{
	X509_free(c->x);
	EVP_PKEY_free(c->key);
	*c = (struct certs_cert){0};
}

void certs_write(const struct certs_cert *c, const char *dir, const char *name,
		 const struct certs_cert *chain)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.pem", dir, name);
	f = fopen(path, "w");
	must(f && PEM_write_X509(f, c->x) == 1, path);
	must(!chain || PEM_write_X509(f, chain->x) == 1, path);
	fclose(f);
	snprintf(path, sizeof(path), "%s/%s.key", dir, name);
	certs_write_key(c, path, NULL, false);
}

void certs_write_key(const struct certs_cert *c, const char *path, const char *passphrase, bool der)
{
	const EVP_CIPHER *cipher = passphrase ? EVP_aes_256_cbc() : NULL;
	int len = passphrase ? (int)strlen(passphrase) : 0;
	FILE *f = fopen(path, "w");

	must(f != NULL, path);
	if (der)
		must(i2d_PKCS8PrivateKey_fp(f, c->key, cipher, passphrase, len, NULL, NULL) == 1,
		     path);
	else
		must(PEM_write_PKCS8PrivateKey(f, c->key, cipher, passphrase, len, NULL, NULL) == 1,
		     path);
	fclose(f);
}

void certs_write_crl(const struct certs_cert *ca, const struct certs_cert *revoked,
		     const char *path, int to_days)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *t = ASN1_TIME_new();
	FILE *f = fopen(path, "w");

	must(crl && t && f, path);
	X509_CRL_set_version(crl, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->x));
	X509_gmtime_adj(t, to_days < 0 ? (to_days - 1) * DAY : -DAY);
	X509_CRL_set1_lastUpdate(crl, t);
	if (revoked) {
		X509_REVOKED *r = X509_REVOKED_new();
		ASN1_ENUMERATED *reason = ASN1_ENUMERATED_new();

		X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(revoked->x));
		X509_REVOKED_set_revocationDate(r, t);
		must(ASN1_ENUMERATED_set(reason, CRL_REASON_KEY_COMPROMISE) == 1 &&
			     X509_REVOKED_add1_ext_i2d(r, NID_crl_reason, reason, 0, 0) == 1,
		     "a reason");
		X509_CRL_add0_revoked(crl, r);
		ASN1_ENUMERATED_free(reason);
	}
	X509_gmtime_adj(t, to_days * DAY);
	X509_CRL_set1_nextUpdate(crl, t);
	X509_CRL_sort(crl);
	must(X509_CRL_sign(crl, ca->key, EVP_sha256()) > 0, "sign a CRL");
	must(PEM_write_X509_CRL(f, crl) == 1, path);
	fclose(f);
	ASN1_TIME_free(t);
	X509_CRL_free(crl);
}

static void add_status(OCSP_BASICRESP *basic, const struct certs_ocsp *spec, OCSP_CERTID *id)
{
	ASN1_TIME *revoked = X509_gmtime_adj(NULL, -DAY);
	ASN1_TIME *from = X509_gmtime_adj(NULL, spec->from_s);
	ASN1_TIME *to = spec->to_s ? X509_gmtime_adj(NULL, spec->to_s) : NULL;
	bool is_revoked = spec->status == V_OCSP_CERTSTATUS_REVOKED;

	must(OCSP_basic_add1_status(basic, id, spec->status, OCSP_REVOKED_STATUS_KEYCOMPROMISE,
				    is_revoked ? revoked : NULL, from, to) != NULL,
	     "a status");
	ASN1_TIME_free(revoked);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
}

uint8_t *certs_ocsp_answer(const struct certs_ocsp *spec, const uint8_t *request, size_t len,
			   size_t *answer_len)
{
	OCSP_REQUEST *req = d2i_OCSP_REQUEST(NULL, &request, (long)len);
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	OCSP_RESPONSE *response;
	uint8_t *der = NULL, nonce[16] = {1};

	must(req && basic && OCSP_request_onereq_count(req) == 1, "an OCSP request");
	if (spec->about) {
		OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), spec->about->x, spec->signer->x);

		add_status(basic, spec, id);
		OCSP_CERTID_free(id);
	} else {
		add_status(basic, spec, OCSP_onereq_get0_id(OCSP_request_onereq_get0(req, 0)));
	}
	if (spec->old_nonce)
		OCSP_basic_add1_nonce(basic, nonce, sizeof(nonce));
	else if (!spec->no_nonce)
		OCSP_copy_nonce(basic, req);
	must(OCSP_basic_sign(basic, spec->signer->x, spec->signer->key,
			     EVP_get_digestbyname(spec->hash ? spec->hash : "SHA256"), NULL,
			     0) == 1,
	     "sign an OCSP response");
	response = spec->error ? OCSP_response_create(spec->error, NULL)
			       : OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	*answer_len = (size_t)i2d_OCSP_RESPONSE(response, &der);
	OCSP_RESPONSE_free(response);
	OCSP_BASICRESP_free(basic);
	OCSP_REQUEST_free(req);
	return der;
}
