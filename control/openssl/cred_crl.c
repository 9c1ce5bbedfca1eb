// CRLs that were fetched: who signed them, and which one they replace; OCSP responders of
// authorities.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "control/openssl/cred_file.h"
#include "control/openssl/cred_internal.h"
#include "control/openssl/cred_name.h"

bool cred_crl_is_of(X509_CRL *crl, X509 *ca)
{
	// RFC 5280 4.2.1.3: a keyUsage has to name cRLSign.
	bool ok = X509_NAME_cmp(X509_get_subject_name(ca), X509_CRL_get_issuer(crl)) == 0 &&
		  X509_check_ca(ca) && X509_get_key_usage(ca) & KU_CRL_SIGN &&
		  X509_CRL_verify(crl, X509_get0_pubkey(ca)) == 1;

	ERR_clear_error();
	return ok;
}

static bool signed_by_one(const STACK_OF(X509) * cas, X509_CRL *crl)
{
	for (int i = 0; i < sk_X509_num(cas); i++)
		if (cred_crl_is_of(crl, sk_X509_value(cas, i)))
			return true;
	return false;
}

static bool signed_by_ours(const struct cred *c, X509_CRL *crl)
{
	bool ok = signed_by_one(c->cas, crl);

	for (size_t i = 0; i < c->n_conns && !ok; i++)
		ok = signed_by_one(c->conns[i]->cas, crl);
	return ok;
}

static struct cred_fetched *slot_of(struct cred *c, const char *url)
{
	for (size_t i = 0; i < c->n_fetched; i++)
		if (strcmp(c->fetched[i].url, url) == 0)
			return &c->fetched[i];
	if (c->n_fetched == LIMIT_CRL_URLS)
		return NULL;
	c->fetched[c->n_fetched].url = strdup(url);
	return c->fetched[c->n_fetched].url ? &c->fetched[c->n_fetched++] : NULL;
}

// Takes the CRL over.
static int replace(struct cred *c, const char *url, X509_CRL *crl, struct error *err)
{
	struct cred_fetched *f = slot_of(c, url);
	char before[CRED_TIME_MAX], now[CRED_TIME_MAX];
	const ASN1_TIME *at = X509_CRL_get0_lastUpdate(crl);

	if (!f)
		return error_set(err, -ENOMEM, "no room for a CRL");
	// Who can put himself between us and the server may only hand out old ones.
	if (f->crl && ASN1_TIME_compare(at, X509_CRL_get0_lastUpdate(f->crl)) < 0)
		return error_set(
			err, -ESTALE, "it is of %s, older than the one of %s from before",
			cred_time_text(at, now, sizeof(now)),
			cred_time_text(X509_CRL_get0_lastUpdate(f->crl), before, sizeof(before)));
	if (sk_X509_CRL_push(c->crls, crl) <= 0)
		return error_set(err, -ENOMEM, "out of memory");
	if (f->crl)
		X509_CRL_free(sk_X509_CRL_delete_ptr(c->crls, f->crl));
	f->crl = crl;
	return 0;
}

int64_t cred_seconds_of(const ASN1_TIME *t)
{
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	int days = 0, seconds = 0;

	if (!t || !epoch || ASN1_TIME_diff(&days, &seconds, epoch, t) != 1)
		days = seconds = 0;
	ASN1_TIME_free(epoch);
	return (int64_t)days * 86400 + seconds;
}

int cred_crl_parse(const uint8_t *der, size_t len, X509_CRL **out, int64_t *next_update,
		   struct error *err)
{
	const uint8_t *p = der;
	X509_CRL *crl = len > LIMIT_CRL_LEN ? NULL : d2i_X509_CRL(NULL, &p, (long)len);

	ERR_clear_error();
	if (!crl || p != der + len) {
		X509_CRL_free(crl);
		return error_set(err, -EBADMSG, "the answer is no CRL in DER (RFC 5280 4.2.1.13)");
	}
	*next_update = cred_seconds_of(X509_CRL_get0_nextUpdate(crl));
	*out = crl;
	return 0;
}

int cred_put_crl(struct cred *c, const char *url, const uint8_t *der, size_t len,
		 int64_t *next_update, struct error *err)
{
	char issuer[CRED_NAME_MAX];
	X509_CRL *crl;
	int64_t next;
	int rc = cred_crl_parse(der, len, &crl, &next, err);

	if (rc)
		return rc;
	if (signed_by_ours(c, crl))
		rc = replace(c, url, crl, err);
	else
		rc = error_set(err, -EACCES,
			       "the CRL is of '%s', and no CA of ours with that name signed it",
			       cred_name_text(X509_CRL_get_issuer(crl), issuer, sizeof(issuer)));
	if (rc)
		X509_CRL_free(crl);
	else
		*next_update = next;
	return rc;
}

int cred_add_ocsp(struct cred *c, const char *path, const char *url, struct error *err)
{
	struct cred_found f = {0};
	X509 *ca;
	int rc = cred_file_read(path, NULL, &f, err);

	if (!rc && sk_X509_num(f.certs) == 0)
		rc = error_set(err, -EBADMSG, "%s holds no certificate", path);
	while (!rc && (ca = sk_X509_shift(f.certs))) {
		struct cred_responder *r = &c->responders[c->n_responders];

		if (c->n_responders == LIMIT_OCSP_URIS) {
			X509_free(ca);
			rc = error_set(err, -E2BIG, "more than %d OCSP responders",
				       LIMIT_OCSP_URIS);
			break;
		}
		r->ca = ca;
		r->url = strdup(url);
		c->n_responders++;
		if (!r->url)
			rc = error_set(err, -ENOMEM, "out of memory");
	}
	cred_found_fini(&f);
	return rc;
}
