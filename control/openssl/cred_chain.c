// Chains of certificates (RFC 5280 6) by X509_verify_cert: signatures, dates, basic constraints,
// key usage of CAs, name constraints, CRLs.
#include <errno.h>
#include <stdio.h>

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#include "control/openssl/cred_internal.h"
#include "control/openssl/cred_name.h"

static int dates_error(const struct cred *c, X509 *x)
{
	time_t now = (time_t)c->now;
	time_t *at = c->now ? &now : NULL;

	if (X509_cmp_time(X509_get0_notBefore(x), at) > 0)
		return X509_V_ERR_CERT_NOT_YET_VALID;
	if (X509_cmp_time(X509_get0_notAfter(x), at) < 0)
		return X509_V_ERR_CERT_HAS_EXPIRED;
	return X509_V_OK;
}

struct check { // of a chain, as OpenSSL walks it
	const struct cred_conn *conn;
	struct cred_chain *chain;
	X509_CRL *crl; // that revokes; borrowed
};

// A CRL that is missing, or too old to say "good", is remembered: OCSP may know more. What a CRL
// says to be revoked is revoked in any case.
static int on_error(int ok, X509_STORE_CTX *ctx)
{
	struct check *check = X509_STORE_CTX_get_app_data(ctx);
	int depth = X509_STORE_CTX_get_error_depth(ctx);
	int code = X509_STORE_CTX_get_error(ctx);

	if (ok)
		return 1;
	switch (code) {
	case X509_V_ERR_UNABLE_TO_GET_CRL:
	case X509_V_ERR_CRL_HAS_EXPIRED:
	case X509_V_ERR_CRL_NOT_YET_VALID:
		if (depth < 0 || depth >= CRED_CHAIN_MAX)
			return 0;
		check->chain->crl_error[depth] = code;
		return 1;
	case X509_V_ERR_CERT_REVOKED:
		check->crl = X509_STORE_CTX_get0_current_crl(ctx);
		return 0;
	default:
		return 0;
	}
}

STACK_OF(X509_CRL) * cred_chain_crls(const X509_STORE_CTX *ctx, const X509_NAME *issuer)
{
	const struct check *check = X509_STORE_CTX_get_app_data(ctx);
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
	int above = X509_STORE_CTX_get_error_depth(ctx) + 1;

	(void)issuer;
	// By the certificate of the issuer, not by its name: another CA may have that as well.
	if (!check || !check->conn->store->revocation || above >= sk_X509_num(chain))
		return NULL;
	return revocation_crls(check->conn->store->revocation, sk_X509_value(chain, above));
}

// " (keyCompromise)", or nothing where the entry has no reason (RFC 5280 5.3.1).
static void put_reason(const X509_REVOKED *entry, char *buf, size_t size)
{
	ASN1_ENUMERATED *e = X509_REVOKED_get_ext_d2i(entry, NID_crl_reason, NULL, NULL);

	buf[0] = '\0';
	if (e)
		snprintf(buf, size, " (%s)", OCSP_crl_reason_str(ASN1_ENUMERATED_get(e)));
	ASN1_ENUMERATED_free(e);
}

static void put_revoked(X509_CRL *crl, X509 *x, char *buf, size_t size)
{
	char when[CRED_TIME_MAX], made[CRED_TIME_MAX], reason[32];
	X509_REVOKED *entry;

	snprintf(buf, size, "is revoked");
	if (!crl || X509_CRL_get0_by_cert(crl, &entry, x) != 1)
		return;
	put_reason(entry, reason, sizeof(reason));
	snprintf(buf, size, "is revoked since %s%s, says its issuer's CRL of %s",
		 cred_time_text(X509_REVOKED_get0_revocationDate(entry), when, sizeof(when)),
		 reason, cred_time_text(X509_CRL_get0_lastUpdate(crl), made, sizeof(made)));
}

// `crl`: that has revoked it, or NULL.
static int explain(int code, X509 *x, X509_CRL *crl, struct error *err)
{
	char subject[CRED_NAME_MAX] = "?", issuer[CRED_NAME_MAX] = "?", when[CRED_TIME_MAX];
	char what[160];

	if (x) {
		cred_name_text(X509_get_subject_name(x), subject, sizeof(subject));
		cred_name_text(X509_get_issuer_name(x), issuer, sizeof(issuer));
	}
	snprintf(what, sizeof(what), "is not accepted: %s", X509_verify_cert_error_string(code));
	if (x && code == X509_V_ERR_CERT_HAS_EXPIRED)
		snprintf(what, sizeof(what), "expired on %s",
			 cred_time_text(X509_get0_notAfter(x), when, sizeof(when)));
	else if (x && code == X509_V_ERR_CERT_NOT_YET_VALID)
		snprintf(what, sizeof(what), "is valid from %s on, not yet",
			 cred_time_text(X509_get0_notBefore(x), when, sizeof(when)));
	else if (x && code == X509_V_ERR_CERT_REVOKED)
		put_revoked(crl, x, what, sizeof(what));
	else if (code == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
		 code == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
		 code == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE)
		snprintf(what, sizeof(what),
			 "leads to no CA: its issuer is none of ours and was "
			 "not sent along");
	else if (code == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
		 code == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT)
		snprintf(what, sizeof(what), "is signed by itself and none of our CAs");
	ERR_clear_error();
	return error_set(err, -EACCES, "certificate '%s' of issuer '%s' %s", subject, issuer, what);
}

int cred_dates_check(const struct cred *c, X509 *x, struct error *err)
{
	int code = dates_error(c, x);

	return code == X509_V_OK ? 0 : explain(code, x, NULL, err);
}

static X509_STORE_CTX *context_new(const struct cred *c, X509 *x, STACK_OF(X509) * untrusted,
				   unsigned long flags)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *param;

	if (!ctx || X509_STORE_CTX_init(ctx, c->trust, x, untrusted) != 1) {
		X509_STORE_CTX_free(ctx);
		ERR_clear_error();
		return NULL;
	}
	param = X509_STORE_CTX_get0_param(ctx);
	// As in strongSwan every certificate among the CAs is trusted, also one below a root.
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | flags);
	X509_VERIFY_PARAM_set_depth(param, LIMIT_IKE_CERTS);
	X509_VERIFY_PARAM_set_auth_level(param, CRED_SECURITY_LEVEL);
	if (c->now)
		X509_VERIFY_PARAM_set_time(param, (time_t)c->now);
	return ctx;
}

// Of two CAs with one name, only those count that this connection accepts.
static int check_anchor(const struct cred_conn *conn, const STACK_OF(X509) * chain,
			struct error *err)
{
	const STACK_OF(X509) *cas = cred_conn_cas(conn);
	X509 *top = sk_X509_value(chain, sk_X509_num(chain) - 1);
	char subject[CRED_NAME_MAX], ca[CRED_NAME_MAX];

	for (int i = 1; i < sk_X509_num(chain); i++)
		if (cred_has(cas, sk_X509_value(chain, i)))
			return 0;
	return error_set(err, -EACCES, "certificate '%s' leads to CA '%s', which %s",
			 cred_name_text(X509_get_subject_name(sk_X509_value(chain, 0)), subject,
					sizeof(subject)),
			 cred_name_text(X509_get_subject_name(top), ca, sizeof(ca)),
			 sk_X509_num(conn->cas) > 0 ? "is not one of remote.cacerts"
						    : "only other connections accept");
}

// RFC 7427 and strongSwan: the hashes of remote.auth are for the certificates' signatures too.
static int check_hashes(const struct cred_conn *conn, const STACK_OF(X509) * chain,
			struct error *err)
{
	static const struct {
		int nid;
		unsigned hash;
	} hashes[] = {{NID_sha256, HASH_SHA2_256},
		      {NID_sha384, HASH_SHA2_384},
		      {NID_sha512, HASH_SHA2_512}};
	char subject[CRED_NAME_MAX], wanted[64];

	if (!conn->remote.hashes || conn->remote.ike_only)
		return 0;
	for (int i = 0; i + 1 < sk_X509_num(chain); i++) {
		X509 *x = sk_X509_value(chain, i);
		int nid = NID_undef;
		bool ok = false;

		if (X509_get_signature_info(x, &nid, NULL, NULL, NULL) == 1 && nid == NID_undef)
			ok = true; // Ed25519 and Ed448 have none
		for (size_t k = 0; k < sizeof(hashes) / sizeof(hashes[0]); k++)
			ok |= hashes[k].nid == nid &&
			      conn->remote.hashes & AUTH_HASH_BIT(hashes[k].hash);
		if (!ok)
			return error_set(
				err, -EACCES,
				"certificate '%s' is signed with %s, remote.auth wants %s",
				cred_name_text(X509_get_subject_name(x), subject, sizeof(subject)),
				nid == NID_undef ? "an unknown hash" : OBJ_nid2sn(nid),
				auth_hashes_format(conn->remote.hashes, wanted, sizeof(wanted)));
	}
	return 0;
}

static int chain_check(const struct cred_conn *conn, X509 *x, STACK_OF(X509) * untrusted,
		       struct cred_chain *out, struct error *err)
{
	const struct cred *c = conn->store;
	struct check check = {conn, out};
	X509_STORE_CTX *ctx =
		context_new(c, x, untrusted, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	int rc = 0;

	if (!ctx)
		return error_set(err, -ENOMEM, "out of memory");
	X509_STORE_CTX_set_app_data(ctx, &check);
	X509_STORE_CTX_set_verify_cb(ctx, on_error);
	X509_STORE_CTX_set0_crls(ctx, c->crls);
	if (X509_verify_cert(ctx) != 1) {
		X509 *bad = X509_STORE_CTX_get_current_cert(ctx);

		rc = explain(X509_STORE_CTX_get_error(ctx), bad ? bad : x, check.crl, err);
	}
	if (!rc)
		rc = check_anchor(conn, X509_STORE_CTX_get0_chain(ctx), err);
	if (!rc)
		rc = check_hashes(conn, X509_STORE_CTX_get0_chain(ctx), err);
	if (!rc) {
		out->certs = X509_STORE_CTX_get1_chain(ctx);
		if (!out->certs)
			rc = error_set(err, -ENOMEM, "out of memory");
	}
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return rc;
}

void cred_chain_fini(struct cred_chain *chain)
{
	sk_X509_pop_free(chain->certs, X509_free);
	*chain = (struct cred_chain){0};
}

int cred_chain_check(const struct cred_conn *conn, X509 *x, const STACK_OF(X509) * sent,
		     struct cred_chain *out, struct error *err)
{
	// Issuers that the peer did not send may lie in x509/.
	STACK_OF(X509) *untrusted = sk_X509_dup(sent);
	int rc = 0;

	for (int i = 0; untrusted && i < sk_X509_num(conn->store->known); i++)
		if (sk_X509_push(untrusted, sk_X509_value(conn->store->known, i)) <= 0)
			rc = -ENOMEM;
	if (!untrusted || rc)
		rc = error_set(err, -ENOMEM, "out of memory");
	else
		rc = chain_check(conn, x, untrusted, out, err);
	sk_X509_free(untrusted);
	return rc;
}

static int go_on(int ok, X509_STORE_CTX *ctx)
{
	(void)ok;
	(void)ctx;
	return 1;
}

STACK_OF(X509) * cred_chain_build(const struct cred *c, X509 *x)
{
	X509_STORE_CTX *ctx = context_new(c, x, c->known, X509_V_FLAG_NO_CHECK_TIME);
	STACK_OF(X509) *chain = NULL;

	if (!ctx)
		return NULL;
	X509_STORE_CTX_set_verify_cb(ctx, go_on);
	X509_verify_cert(ctx); // whether a peer likes it is not ours to say
	chain = X509_STORE_CTX_get1_chain(ctx);
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return chain;
}
