// Is a peer who it says? Its certificate has to be valid, to lead to a CA or be pinned, to bear
// the identity and to allow signatures; then its key's signature has to cover the exchange.
#include <errno.h>
#include <stdio.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "control/openssl/cred_internal.h"
#include "control/openssl/cred_name.h"
#include "control/openssl/signature.h"

static int parse_certs(const struct ike_certs *certs, STACK_OF(X509) * out, struct error *err)
{
	for (size_t i = 0; i < certs->n; i++) {
		const uint8_t *p = certs->cert[i].data;
		X509 *x = certs->cert[i].len > LIMIT_IKE_CERT_LEN
				  ? NULL
				  : d2i_X509(NULL, &p, (long)certs->cert[i].len);

		ERR_clear_error();
		// Nothing may stand behind it.
		if (!x || p != certs->cert[i].data + certs->cert[i].len) {
			X509_free(x);
			return error_set(err, -EACCES, "certificate %zu of %zu is malformed", i + 1,
					 certs->n);
		}
		if (sk_X509_push(out, x) <= 0) {
			X509_free(x);
			return error_set(err, -ENOMEM, "out of memory");
		}
	}
	return 0;
}

// The peer's own certificate: the first that it sends (RFC 7296 3.6), or, when it sends none, the
// pinned one with its name.
static X509 *end_entity(const struct cred_conn *conn, const STACK_OF(X509) * sent,
			const struct identity *peer)
{
	if (sk_X509_num(sent) > 0)
		return sk_X509_value(sent, 0);
	for (int i = 0; i < sk_X509_num(conn->pinned); i++)
		if (cred_name_is(sk_X509_value(conn->pinned, i), peer))
			return sk_X509_value(conn->pinned, i);
	return NULL;
}

// RFC 4945 5.1.3.2: the extension may be left out, otherwise one of both bits has to be set.
static int check_usage(X509 *x, struct error *err)
{
	uint32_t flags = X509_get_extension_flags(x);
	char subject[CRED_NAME_MAX];

	if (flags & EXFLAG_INVALID)
		return error_set(
			err, -EACCES, "certificate '%s' has malformed extensions",
			cred_name_text(X509_get_subject_name(x), subject, sizeof(subject)));
	if (!(flags & EXFLAG_KUSAGE) ||
	    X509_get_key_usage(x) & (KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION))
		return 0;
	return error_set(err, -EACCES,
			 "certificate '%s' is not for signatures: its keyUsage has neither "
			 "digitalSignature nor nonRepudiation",
			 cred_name_text(X509_get_subject_name(x), subject, sizeof(subject)));
}

static int check_name(X509 *x, const struct identity *peer, struct error *err)
{
	char subject[CRED_NAME_MAX], sans[CRED_NAME_MAX], id[IDENTITY_TEXT_MAX];

	if (cred_name_is(x, peer))
		return 0;
	return error_set(err, -EACCES, "certificate '%s' does not name %s '%.120s': it names %s",
			 cred_name_text(X509_get_subject_name(x), subject, sizeof(subject)),
			 identity_type_name(peer->type), identity_format(peer, id, sizeof(id)),
			 cred_name_sans(x, sans, sizeof(sans)));
}

static int check_trust(const struct cred_conn *conn, X509 *x, STACK_OF(X509) * sent,
		       struct cred_chain *chain, struct error *err)
{
	char subject[CRED_NAME_MAX];
	bool pinned = sk_X509_num(conn->pinned) > 0;

	if (pinned && !cred_has(conn->pinned, x))
		return error_set(
			err, -EACCES, "certificate '%s' is not one of remote.certs",
			cred_name_text(X509_get_subject_name(x), subject, sizeof(subject)));
	// Who is named one by one needs no CA, unless one is wanted as well.
	if (pinned && sk_X509_num(conn->cas) == 0)
		return cred_dates_check(conn->store, x, err);
	return cred_chain_check(conn, x, sent, chain, err);
}

static int check_key(const struct cred_conn *conn, X509 *x, const struct ike_signature *sig,
		     struct error *err)
{
	EVP_PKEY *key = X509_get0_pubkey(x);
	char subject[CRED_NAME_MAX];
	int rc;

	cred_name_text(X509_get_subject_name(x), subject, sizeof(subject));
	if (!key)
		return error_set(err, -EACCES, "certificate '%s' has no usable key", subject);
	rc = signature_key_check(key, &conn->remote, err);
	if (!rc)
		rc = signature_check(key, &conn->remote, sig, err);
	return rc ? error_prefix(err, rc, "certificate '%s'", subject) : 0;
}

// Servers are asked last: only for who holds the key of a certificate of a CA of ours, and so only
// those that the CA has named.
static int check_all(const struct cred_conn *conn, const struct identity *peer,
		     STACK_OF(X509) * sent, const struct ike_signature *sig, uint32_t *wait,
		     struct error *err)
{
	X509 *x = end_entity(conn, sent, peer);
	struct cred_chain chain = {0};
	int rc;

	if (!x)
		return error_set(err, -EACCES, "it sent no certificate%s",
				 sk_X509_num(conn->pinned) > 0
					 ? ", and none of remote.certs has its name"
					 : "");
	rc = check_trust(conn, x, sent, &chain, err);
	if (!rc)
		rc = check_name(x, peer, err);
	if (!rc)
		rc = check_usage(x, err);
	if (!rc)
		rc = check_key(conn, x, sig, err);
	if (!rc)
		rc = cred_revocation_check(conn, &chain, wait, err);
	cred_chain_fini(&chain);
	return rc;
}

int cred_describe(void *ctx, const struct ike_buf *cert, struct ike_cert_info *out)
{
	const uint8_t *der = cert->data;
	X509 *x = cert->len <= LIMIT_IKE_CERT_LEN ? d2i_X509(NULL, &der, (long)cert->len) : NULL;

	(void)ctx;
	ERR_clear_error();
	if (!x)
		return -EBADMSG;
	cred_name_text(X509_get_subject_name(x), out->subject, sizeof(out->subject));
	cred_name_text(X509_get_issuer_name(x), out->issuer, sizeof(out->issuer));
	cred_time_text(X509_get0_notBefore(x), out->not_before, sizeof(out->not_before));
	cred_time_text(X509_get0_notAfter(x), out->not_after, sizeof(out->not_after));
	X509_free(x);
	return 0;
}

int cred_verify(void *ctx, const char *name, const struct identity *peer,
		const struct ike_certs *certs, const struct ike_signature *sig, uint32_t *wait,
		struct error *err)
{
	const struct cred_conn *conn = cred_conn_find(ctx, name);
	STACK_OF(X509) * sent;
	int rc;

	if (!conn || conn->remote.kind != AUTH_BY_SIGNATURE)
		return error_set(err, -EACCES, "no certificate is accepted here");
	sent = sk_X509_new_null();
	rc = sent ? parse_certs(certs, sent, err) : error_set(err, -ENOMEM, "out of memory");
	if (!rc)
		rc = check_all(conn, peer, sent, sig, wait, err);
	sk_X509_pop_free(sent, X509_free);
	ERR_clear_error();
	return rc;
}
