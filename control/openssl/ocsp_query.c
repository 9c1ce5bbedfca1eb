#include "control/openssl/ocsp_query.h"

#include <errno.h>
#include <stdio.h>

#include <openssl/err.h>

#include "control/openssl/cred_internal.h"
#include "lib/limits.h"

#define NONCE_LEN 32 // bytes (RFC 9654 2.1)

int ocsp_query_make(X509 *x, X509 *issuer, struct ocsp_query *out)
{
	// SHA-1 is a name here, no protection: every responder knows it (RFC 5019 2.1.1).
	struct ocsp_query q = {
		.request = OCSP_REQUEST_new(),
		.id = OCSP_cert_to_id(EVP_sha1(), x, issuer),
	};
	OCSP_CERTID *asked = q.id ? OCSP_CERTID_dup(q.id) : NULL;

	if (!q.request || !asked || !OCSP_request_add0_id(q.request, asked)) {
		OCSP_CERTID_free(asked);
		ocsp_query_fini(&q);
		ERR_clear_error();
		return -ENOMEM;
	}
	if (OCSP_request_add1_nonce(q.request, NULL, NONCE_LEN) != 1 || X509_up_ref(issuer) != 1) {
		ocsp_query_fini(&q);
		ERR_clear_error();
		return -ENOMEM;
	}
	q.issuer = issuer;
	*out = q;
	return 0;
}

void ocsp_query_fini(struct ocsp_query *q)
{
	OCSP_REQUEST_free(q->request);
	OCSP_CERTID_free(q->id);
	X509_free(q->issuer);
	*q = (struct ocsp_query){0};
}

int ocsp_query_encode(const struct ocsp_query *q, uint8_t **der, size_t *len)
{
	uint8_t *bytes = NULL;
	int n = i2d_OCSP_REQUEST(q->request, &bytes);

	ERR_clear_error();
	if (n <= 0)
		return -ENOMEM;
	*der = bytes;
	*len = (size_t)n;
	return 0;
}

// ---- the answer ----

// No hash that chains of certificates may not have either.
static bool hash_is_weak(const OCSP_BASICRESP *basic)
{
	const X509_ALGOR *alg = OCSP_resp_get0_tbs_sigalg(basic);
	const ASN1_OBJECT *oid = NULL;
	int hash = NID_undef;

	X509_ALGOR_get0(&oid, NULL, NULL, alg);
	if (!OBJ_find_sigid_algs(OBJ_obj2nid(oid), &hash, NULL))
		return false; // it does not verify
	return hash == NID_sha1 || hash == NID_md5 || hash == NID_md5_sha1;
}

// The only CA that may speak for the certificate, and so may name a responder, is its issuer.
static X509_STORE *store_of(X509 *issuer, int64_t now)
{
	X509_STORE *store = X509_STORE_new();
	X509_VERIFY_PARAM *param;

	if (!store || X509_STORE_add_cert(store, issuer) != 1) {
		X509_STORE_free(store);
		return NULL;
	}
	param = X509_STORE_get0_param(store);
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	X509_VERIFY_PARAM_set_auth_level(param, CRED_SECURITY_LEVEL);
	X509_VERIFY_PARAM_set_time(param, (time_t)now);
	return store;
}

static int check_signer(const struct ocsp_query *q, OCSP_BASICRESP *basic, int64_t now,
			struct error *err)
{
	X509_STORE *store = store_of(q->issuer, now);
	STACK_OF(X509) *issuers = sk_X509_new_null();
	int rc = 0;

	if (!store || !issuers || sk_X509_push(issuers, q->issuer) <= 0)
		rc = error_set(err, -ENOMEM, "out of memory");
	else if (hash_is_weak(basic))
		rc = error_set(err, -EACCES, "it is signed with SHA-1 or MD5");
	else if (OCSP_basic_verify(basic, issuers, store, OCSP_PARTIAL_CHAIN | OCSP_NOEXPLICIT) !=
		 1)
		rc = error_set(err, -EACCES,
			       "neither the certificate's issuer nor a responder of its has signed "
			       "it (%s)",
			       ERR_reason_error_string(ERR_peek_last_error())
				       ? ERR_reason_error_string(ERR_peek_last_error())
				       : "no reason given");
	sk_X509_free(issuers);
	X509_STORE_free(store);
	return rc;
}

static int check_times(const ASN1_GENERALIZEDTIME *this_update,
		       const ASN1_GENERALIZEDTIME *next_update, int64_t now, int64_t *until,
		       struct error *err)
{
	int64_t from = cred_seconds_of(this_update);
	int64_t to = next_update ? cred_seconds_of(next_update) : from + LIMIT_OCSP_LIFE_S;
	char when[CRED_TIME_MAX];

	if (from > now + LIMIT_OCSP_SKEW_S)
		return error_set(err, -ESTALE, "it is of %s, in the future",
				 cred_time_text(this_update, when, sizeof(when)));
	if (to <= now)
		return error_set(err, -ESTALE, "it is out of date: of %s",
				 cred_time_text(this_update, when, sizeof(when)));
	*until = to;
	return 0;
}

static int read_status(const struct ocsp_query *q, OCSP_BASICRESP *basic, int64_t now,
		       struct ocsp_status *out, struct error *err)
{
	ASN1_GENERALIZEDTIME *at = NULL, *this_update = NULL, *next_update = NULL;
	struct ocsp_status s = {0};
	int status, reason = -1, rc;

	if (OCSP_resp_find_status(basic, q->id, &status, &reason, &at, &this_update,
				  &next_update) != 1)
		return error_set(err, -ESTALE, "it is about another certificate");
	rc = check_times(this_update, next_update, now, &s.until, err);
	if (rc)
		return rc;
	s.word = status == V_OCSP_CERTSTATUS_GOOD      ? OCSP_SAYS_GOOD
		 : status == V_OCSP_CERTSTATUS_REVOKED ? OCSP_SAYS_REVOKED
						       : OCSP_SAYS_UNKNOWN;
	if (at)
		cred_time_text(at, s.revoked_at, sizeof(s.revoked_at));
	if (s.word == OCSP_SAYS_REVOKED && reason >= 0)
		snprintf(s.reason, sizeof(s.reason), "%s", OCSP_crl_reason_str(reason));
	*out = s;
	return 0;
}

static int judge(const struct ocsp_query *q, OCSP_RESPONSE *response, int64_t now,
		 struct ocsp_status *out, struct error *err)
{
	int status = OCSP_response_status(response), rc = 0;
	OCSP_BASICRESP *basic;

	if (status != OCSP_RESPONSE_STATUS_SUCCESSFUL)
		return error_set(err, -EAGAIN, "the responder has no answer: %s",
				 OCSP_response_status_str(status));
	basic = OCSP_response_get1_basic(response);
	if (!basic)
		return error_set(err, -EBADMSG, "its OCSP response is of an unknown kind");
	rc = check_signer(q, basic, now, err);
	// Other than 0: the same, or the responder has left it out, as those with responses made
	// in advance do.
	if (!rc && OCSP_check_nonce(q->request, basic) == 0)
		rc = error_set(err, -ESTALE, "its nonce is not ours: an old answer");
	if (!rc)
		rc = read_status(q, basic, now, out, err);
	OCSP_BASICRESP_free(basic);
	return rc;
}

int ocsp_judge(const struct ocsp_query *q, const uint8_t *der, size_t len, int64_t now,
	       struct ocsp_status *out, struct error *err)
{
	const uint8_t *p = der;
	OCSP_RESPONSE *response =
		len > LIMIT_OCSP_LEN ? NULL : d2i_OCSP_RESPONSE(NULL, &p, (long)len);
	int rc;

	if (!response || p != der + len)
		rc = error_set(err, -EBADMSG, "the answer is no OCSP response (RFC 6960 4.2.1)");
	else
		rc = judge(q, response, now, out, err);
	OCSP_RESPONSE_free(response);
	ERR_clear_error();
	return rc;
}
