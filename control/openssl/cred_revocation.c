// Is a certificate of a peer's chain revoked? OCSP is asked first, then a CRL has to say; what it
// means that nobody knows is remote.revocation's.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/openssl/cred_internal.h"
#include "control/openssl/cred_name.h"
#include "control/openssl/cred_uris.h"

#define WHY_MAX 300

struct inquiry { // into one chain
	const struct cred_conn *conn;
	const struct revocation_entry *pending[LIMIT_IKE_CERTS];
	size_t n_pending;
	char waits_for[WHY_MAX]; // the first of these
};

struct subject { // one certificate of it
	X509 *x, *issuer;
	int crl_error;
	bool named;	   // there is a place to ask
	char why[WHY_MAX]; // nothing is known, after all
};

enum finding { FOUND_GOOD, FOUND_REVOKED, FOUND_NOTHING, FOUND_LATER };

static void add_why(struct subject *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add_why(struct subject *s, const char *fmt, ...)
{
	size_t at = strlen(s->why);
	va_list ap;

	if (at > 0 && at < sizeof(s->why))
		at += (size_t)snprintf(s->why + at, sizeof(s->why) - at, "; ");
	if (at >= sizeof(s->why))
		return;
	va_start(ap, fmt);
	vsnprintf(s->why + at, sizeof(s->why) - at, fmt, ap);
	va_end(ap);
}

static int refuse(const struct subject *s, struct error *err, const char *what)
{
	char subject[CRED_NAME_MAX], issuer[CRED_NAME_MAX];

	return error_set(err, -EACCES, "certificate '%s' of issuer '%s' %s",
			 cred_name_text(X509_get_subject_name(s->x), subject, sizeof(subject)),
			 cred_name_text(X509_get_issuer_name(s->x), issuer, sizeof(issuer)), what);
}

static int refuse_revoked(const struct subject *s, const struct ocsp_status *status,
			  const char *url, struct error *err)
{
	char what[WHY_MAX];

	snprintf(what, sizeof(what), "is revoked since %s%s%s%s, says OCSP responder %s",
		 status->revoked_at, status->reason[0] ? " (" : "", status->reason,
		 status->reason[0] ? ")" : "", url);
	return refuse(s, err, what);
}

// True when it has to be waited for.
static bool is_pending(struct inquiry *q, const struct subject *s, const struct revocation_entry *e,
		       const char *what, const char *url)
{
	char subject[CRED_NAME_MAX];

	if (!e || !e->asking || e->answered || q->n_pending == LIMIT_IKE_CERTS)
		return false;
	if (q->n_pending == 0)
		snprintf(q->waits_for, sizeof(q->waits_for), "for the %s from %s about '%s'", what,
			 url,
			 cred_name_text(X509_get_subject_name(s->x), subject, sizeof(subject)));
	q->pending[q->n_pending++] = e;
	return true;
}

static const char *why_not(const struct revocation_entry *e)
{
	return !e ? "too many questions are under way" : e->asking ? "not in time" : e->why;
}

// ---- OCSP ----

// Those of the configuration first: they may be nearer.
static void responders_of(const struct cred *c, const struct subject *s, struct cred_uris *out)
{
	for (size_t i = 0; i < c->n_responders; i++)
		if (X509_cmp(c->responders[i].ca, s->issuer) == 0)
			cred_uris_add(out, c->responders[i].url);
	cred_uris_ocsp(s->x, out);
}

static enum finding ask_ocsp(struct inquiry *q, struct subject *s, struct error *err)
{
	struct revocation *r = q->conn->store->revocation;
	struct cred_uris uris = {0};

	responders_of(q->conn->store, s, &uris);
	s->named |= uris.named;
	for (size_t i = 0; r && i < uris.n; i++) {
		const struct revocation_entry *e = revocation_ocsp(r, uris.uri[i], s->x, s->issuer);

		if (is_pending(q, s, e, "OCSP response", uris.uri[i]))
			return FOUND_LATER;
		if (!e || !e->answered) {
			add_why(s, "no OCSP response from %s: %s", uris.uri[i], why_not(e));
		} else if (e->status.word == OCSP_SAYS_REVOKED) {
			refuse_revoked(s, &e->status, uris.uri[i], err);
			return FOUND_REVOKED;
		} else if (e->status.word == OCSP_SAYS_GOOD) {
			return FOUND_GOOD;
		} else {
			add_why(s, "OCSP responder %s does not know it", uris.uri[i]);
		}
	}
	return FOUND_NOTHING;
}

// ---- CRLs ----

static enum finding ask_crl(struct inquiry *q, struct subject *s)
{
	struct revocation *r = q->conn->store->revocation;
	struct cred_uris uris = {0};

	cred_uris_crl(s->x, &uris);
	s->named |= uris.named;
	if (s->crl_error == X509_V_OK) {
		for (size_t i = 0; r && i < uris.n; i++)
			revocation_crl_renew(r, uris.uri[i], s->issuer);
		return FOUND_GOOD;
	}
	for (size_t i = 0; r && i < uris.n; i++) {
		const struct revocation_entry *e = revocation_crl(r, uris.uri[i], s->issuer);

		if (is_pending(q, s, e, "CRL", uris.uri[i]))
			return FOUND_LATER;
		if (e && e->answered) // OpenSSL has judged it before
			add_why(s, "the CRL from %s does not say", uris.uri[i]);
		else
			add_why(s, "no CRL from %s: %s", uris.uri[i], why_not(e));
	}
	if (s->crl_error == X509_V_ERR_UNABLE_TO_GET_CRL)
		add_why(s, "there is no CRL of its issuer");
	else
		add_why(s, "the CRL of its issuer is out of date");
	return FOUND_NOTHING;
}

static int judge(struct inquiry *q, struct subject *s, struct error *err)
{
	enum cred_revocation wanted = q->conn->revocation;
	enum finding found = ask_ocsp(q, s, err);
	char what[WHY_MAX + 64];

	if (found == FOUND_REVOKED)
		return -EACCES;
	if (found == FOUND_NOTHING)
		found = ask_crl(q, s);
	if (found != FOUND_NOTHING || wanted == REVOCATION_RELAXED ||
	    (wanted == REVOCATION_IFURI && !s->named))
		return 0;
	snprintf(what, sizeof(what), "cannot be checked for revocation: %s", s->why);
	return refuse(s, err, what);
}

int cred_revocation_check(const struct cred_conn *conn, const struct cred_chain *chain,
			  uint32_t *wait, struct error *err)
{
	struct inquiry q = {.conn = conn};
	int rc = 0;

	if (!wait) // now or never
		q.n_pending = LIMIT_IKE_CERTS;
	// Nobody but ourselves vouches for the CA at the end.
	for (int i = 0; i + 1 < sk_X509_num(chain->certs) && i < CRED_CHAIN_MAX && !rc; i++) {
		struct subject s = {
			.x = sk_X509_value(chain->certs, i),
			.issuer = sk_X509_value(chain->certs, i + 1),
			.crl_error = chain->crl_error[i],
		};

		rc = judge(&q, &s, err);
	}
	if (rc || !wait || q.n_pending == 0)
		return rc;
	if (revocation_wait(conn->store->revocation, q.pending, q.n_pending, wait)) // as it is
		return cred_revocation_check(conn, chain, NULL, err);
	return error_set(err, -EINPROGRESS, "%s", q.waits_for);
}
