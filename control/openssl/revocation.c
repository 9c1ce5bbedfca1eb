#include "control/openssl/revocation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include "control/openssl/cred_internal.h"
#include "lib/http_url.h"
#include "lib/limits.h"

#define BUCKETS 1024 // a power of two

enum kind { KIND_OCSP, KIND_CRL, KINDS };

struct entry {
	struct revocation_entry shown;	// first
	struct entry *next, *next_same; // in its bucket; of its kind
	uint64_t used;			// the last time, counted
	uint8_t key[SHA256_DIGEST_LENGTH];
	enum kind kind;
	uint32_t id; // of the question under way
	char *url;
	X509 *issuer;
	struct ocsp_query query;
	int64_t until; // answered: it counts until then; not answered: not to be asked before
	int64_t again; // answered: a newer one is wanted then
};

struct wait {
	uint32_t id; // 0: free
	size_t n;    // still asked for
	uint32_t question[LIMIT_IKE_CERTS];
};

struct revocation {
	struct entry *all[KINDS], *bucket[BUCKETS];
	struct entry *asked[LIMIT_REVOCATION_ASKED]; // whose questions are under way
	unsigned n[KINDS], n_asked;
	uint64_t uses;
	struct wait waits[LIMIT_REVOCATION_WAITS];
	uint32_t last_question, last_wait;
	revocation_ask *ask;
	revocation_ready *ready;
	void *ctx;
	int64_t now; // 0: the clock
};

// The clock that X509_verify_cert looks at.
static int64_t now_of(const struct revocation *r)
{
	ASN1_TIME *t = r->now ? NULL : X509_gmtime_adj(NULL, 0);
	int64_t now = t ? cred_seconds_of(t) : r->now;

	ASN1_TIME_free(t);
	return now;
}

// ---- entries ----

static void key_of(enum kind kind, const char *url, X509 *x, X509 *issuer,
		   uint8_t key[SHA256_DIGEST_LENGTH])
{
	uint8_t digests[2][SHA256_DIGEST_LENGTH] = {{0}};
	uint8_t all[2 * SHA256_DIGEST_LENGTH + HTTP_URL_MAX + 2];
	size_t len = strlen(url);

	if (x)
		X509_digest(x, EVP_sha256(), digests[0], NULL);
	X509_digest(issuer, EVP_sha256(), digests[1], NULL);
	all[0] = (uint8_t)kind;
	memcpy(all + 1, digests, sizeof(digests));
	memcpy(all + 1 + sizeof(digests), url, len);
	SHA256(all, 1 + sizeof(digests) + len, key);
}

static struct entry **bucket_of(struct revocation *r, const uint8_t *key)
{
	return &r->bucket[(key[0] << 8 | key[1]) & (BUCKETS - 1)];
}

static struct entry *find(struct revocation *r, const uint8_t *key)
{
	for (struct entry *e = *bucket_of(r, key); e; e = e->next)
		if (memcmp(e->key, key, sizeof(e->key)) == 0)
			return e;
	return NULL;
}

static void entry_free(struct entry *e)
{
	X509_CRL_free(e->shown.crl);
	ocsp_query_fini(&e->query);
	X509_free(e->issuer);
	free(e->url);
	free(e);
}

static void forget(struct revocation *r, struct entry *e)
{
	struct entry **at = bucket_of(r, e->key), **same = &r->all[e->kind];

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	while (*same != e)
		same = &(*same)->next_same;
	*same = e->next_same;
	r->n[e->kind]--;
	entry_free(e);
}

// Forgets the one that was used the longest time ago. False: all of them are being asked for.
static bool make_room(struct revocation *r, enum kind kind)
{
	static const unsigned limits[KINDS] = {
		[KIND_OCSP] = LIMIT_OCSP_ANSWERS,
		[KIND_CRL] = LIMIT_CRL_ANSWERS,
	};
	struct entry *oldest = NULL;

	if (r->n[kind] < limits[kind])
		return true;
	for (struct entry *e = r->all[kind]; e; e = e->next_same)
		if (!e->shown.asking && (!oldest || e->used < oldest->used))
			oldest = e;
	if (oldest)
		forget(r, oldest);
	return oldest != NULL;
}

static struct entry *entry_new(struct revocation *r, enum kind kind, const char *url, X509 *x,
			       X509 *issuer, const uint8_t *key)
{
	struct entry *e = make_room(r, kind) ? calloc(1, sizeof(*e)) : NULL;

	if (!e)
		return NULL;
	e->kind = kind;
	e->url = strdup(url);
	if (!e->url || X509_up_ref(issuer) != 1) {
		free(e->url);
		free(e);
		return NULL;
	}
	e->issuer = issuer;
	if (x && ocsp_query_make(x, issuer, &e->query)) {
		entry_free(e);
		return NULL;
	}
	memcpy(e->key, key, sizeof(e->key));
	e->next = *bucket_of(r, key);
	*bucket_of(r, key) = e;
	e->next_same = r->all[kind];
	r->all[kind] = e;
	r->n[kind]++;
	return e;
}

// ---- asking ----

static void failed(struct revocation *r, struct entry *e, const char *why)
{
	int64_t retry = now_of(r) + LIMIT_REVOCATION_RETRY_S;

	// A newer one could not be had: the one from before still counts.
	if (e->shown.answered) {
		e->again = retry;
		return;
	}
	e->until = retry;
	snprintf(e->shown.why, sizeof(e->shown.why), "%s", why);
}

static void ask(struct revocation *r, struct entry *e)
{
	struct revocation_question q = {.id = ++r->last_question, .url = e->url};
	uint8_t *der = NULL;
	int rc = 0;

	if (!r->ask || r->n_asked == LIMIT_REVOCATION_ASKED) {
		failed(r, e, "too many questions are under way");
		return;
	}
	if (e->kind == KIND_OCSP)
		rc = ocsp_query_encode(&e->query, &der, &q.len);
	q.body = der;
	if (!rc)
		rc = r->ask(r->ctx, &q);
	OPENSSL_free(der);
	if (rc) {
		failed(r, e, "it could not be asked for");
		return;
	}
	e->id = q.id;
	e->shown.asking = true;
	r->asked[r->n_asked++] = e;
}

static const struct revocation_entry *look(struct revocation *r, enum kind kind, const char *url,
					   X509 *x, X509 *issuer, bool is_new)
{
	uint8_t key[SHA256_DIGEST_LENGTH];
	int64_t now = now_of(r);
	struct entry *e;

	if (strlen(url) > HTTP_URL_MAX)
		return NULL;
	key_of(kind, url, x, issuer, key);
	e = find(r, key);
	if (!e && is_new)
		e = entry_new(r, kind, url, x, issuer, key);
	if (!e)
		return NULL;
	e->used = ++r->uses;
	if (e->shown.answered && e->until <= now) {
		e->shown.answered = false;
		e->until = 0;
	}
	if (!e->shown.asking && now >= (e->shown.answered ? e->again : e->until))
		ask(r, e);
	return &e->shown;
}

const struct revocation_entry *revocation_ocsp(struct revocation *r, const char *url, X509 *x,
					       X509 *issuer)
{
	return look(r, KIND_OCSP, url, x, issuer, true);
}

const struct revocation_entry *revocation_crl(struct revocation *r, const char *url, X509 *issuer)
{
	return look(r, KIND_CRL, url, NULL, issuer, true);
}

void revocation_crl_renew(struct revocation *r, const char *url, X509 *issuer)
{
	look(r, KIND_CRL, url, NULL, issuer, false);
}

STACK_OF(X509_CRL) * revocation_crls(struct revocation *r, X509 *issuer)
{
	STACK_OF(X509_CRL) *out = sk_X509_CRL_new_null();
	for (struct entry *e = r->all[KIND_CRL]; e; e = e->next_same)
		if (out && e->shown.crl && X509_cmp(e->issuer, issuer) == 0 &&
		    sk_X509_CRL_push(out, e->shown.crl) > 0)
			X509_CRL_up_ref(e->shown.crl);
	return out;
}

// ---- answers ----

static void take_ocsp(struct revocation *r, struct entry *e, const uint8_t *body, size_t len)
{
	struct error err = {""};

	if (ocsp_judge(&e->query, body, len, now_of(r), &e->shown.status, &err)) {
		failed(r, e, err.text);
		return;
	}
	e->shown.answered = true;
	e->until = e->again = e->shown.status.until;
	// It may learn of the certificate any moment.
	if (e->shown.status.word == OCSP_SAYS_UNKNOWN)
		e->until = e->again = now_of(r) + LIMIT_REVOCATION_RETRY_S;
}

static void take_crl(struct revocation *r, struct entry *e, const uint8_t *body, size_t len)
{
	int64_t now = now_of(r), next = 0;
	struct error err = {""};
	X509_CRL *crl = NULL;
	int rc = cred_crl_parse(body, len, &crl, &next, &err);

	if (!rc && !cred_crl_is_of(crl, e->issuer))
		rc = error_set(&err, -EACCES, "the certificate's issuer has not signed it");
	if (!rc && next && next <= now)
		rc = error_set(&err, -ESTALE, "it is out of date");
	// Who can put himself between us and the server may only hand out old ones.
	if (!rc && e->shown.crl &&
	    ASN1_TIME_compare(X509_CRL_get0_lastUpdate(crl),
			      X509_CRL_get0_lastUpdate(e->shown.crl)) < 0)
		rc = error_set(&err, -ESTALE, "it is older than the one from before");
	if (rc) {
		X509_CRL_free(crl);
		failed(r, e, err.text);
		return;
	}
	X509_CRL_free(e->shown.crl);
	e->shown.crl = crl;
	e->shown.answered = true;
	e->again = now + LIMIT_CRL_REFRESH_S;
	e->until = next ? next : e->again;
}

// Whose question that was; it is not any more. NULL: nobody's.
static struct entry *asked_take(struct revocation *r, uint32_t id)
{
	for (unsigned i = 0; i < r->n_asked; i++) {
		struct entry *e = r->asked[i];

		if (e->id != id)
			continue;
		r->asked[i] = r->asked[--r->n_asked];
		e->shown.asking = false;
		return e;
	}
	return NULL;
}

// The callbacks may ask again, and wait again.
static void tell(struct revocation *r, uint32_t question)
{
	for (size_t i = 0; i < LIMIT_REVOCATION_WAITS; i++) {
		struct wait *w = &r->waits[i];
		uint32_t id = w->id;

		for (size_t k = 0; id && k < w->n; k++)
			if (w->question[k] == question)
				w->question[k--] = w->question[--w->n];
		if (!id || w->n > 0)
			continue;
		w->id = 0;
		r->ready(r->ctx, id);
	}
}

void revocation_answer(struct revocation *r, uint32_t id, const uint8_t *body, size_t len,
		       const char *why)
{
	struct entry *e = asked_take(r, id);

	if (!e)
		return;
	if (!body)
		failed(r, e, why);
	else if (e->kind == KIND_OCSP)
		take_ocsp(r, e, body, len);
	else
		take_crl(r, e, body, len);
	tell(r, id);
}

int revocation_wait(struct revocation *r, const struct revocation_entry *const *entries, size_t n,
		    uint32_t *wait)
{
	struct wait *w = NULL;

	for (size_t i = 0; i < LIMIT_REVOCATION_WAITS && !w; i++)
		if (!r->waits[i].id)
			w = &r->waits[i];
	if (!w)
		return -ENOSPC;
	w->n = 0;
	for (size_t i = 0; i < n && i < LIMIT_IKE_CERTS; i++)
		w->question[w->n++] = ((const struct entry *)entries[i])->id;
	if (++r->last_wait == 0) // 0 stands for none
		r->last_wait = 1;
	w->id = *wait = r->last_wait;
	return 0;
}

// ---- life ----

void revocation_serve(struct revocation *r, revocation_ask *ask_fn, revocation_ready *ready,
		      void *ctx)
{
	r->ask = ask_fn;
	r->ready = ready;
	r->ctx = ctx;
}

void revocation_set_time(struct revocation *r, int64_t seconds)
{
	r->now = seconds;
}

int revocation_create(struct revocation **out)
{
	struct revocation *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	*out = r;
	return 0;
}

void revocation_destroy(struct revocation *r)
{
	if (!r)
		return;
	for (unsigned kind = 0; kind < KINDS; kind++)
		while (r->all[kind])
			forget(r, r->all[kind]);
	free(r);
}
