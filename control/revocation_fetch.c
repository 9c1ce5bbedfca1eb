#include "control/revocation_fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "control/http_fetch.h"
#include "control/resolver.h"
#include "lib/limits.h"
#include "lib/log.h"

struct question {
	TAILQ_ENTRY(question) link;
	struct revocation_fetch *fetch;
	uint32_t id;
	struct http_url url;
	char *text;    // the URL
	uint8_t *body; // NULL: a CRL is wanted
	size_t len;
	struct http_fetch *http;
};

TAILQ_HEAD(questions, question);

struct revocation_fetch {
	struct event_base *base;
	struct resolver *resolver;
	struct revocation *answers;
	struct questions waiting, running;
	revocation_ready *ready;
	void *ctx;
	unsigned n_running;
	unsigned attempt_ms; // 0: those of lib/limits.h
	struct event *next;
};

static const char *what_of(const struct question *q)
{
	return q->body ? "OCSP response" : "CRL";
}

static void question_free(struct question *q)
{
	http_fetch_cancel(q->http);
	free(q->text);
	free(q->body);
	free(q);
}

static void on_answer(void *ctx, const uint8_t *body, size_t len, const char *why)
{
	struct question *q = ctx;
	struct revocation_fetch *f = q->fetch;

	q->http = NULL;
	TAILQ_REMOVE(&f->running, q, link);
	f->n_running--;
	if (why)
		log_notice(LOG_IKE, "%s %s: %s", what_of(q), q->text, why);
	else
		log_debug(LOG_IKE, "%s %s: %zu bytes", what_of(q), q->text, len);
	event_active(f->next, EV_TIMEOUT, 0);
	revocation_answer(f->answers, q->id, body, len, why);
	question_free(q);
}

static void start(struct revocation_fetch *f, struct question *q)
{
	const struct http_fetch_params params = {
		.url = &q->url,
		.type = q->body ? "application/ocsp-request" : NULL,
		.body = q->body,
		.body_len = q->len,
		.max = q->body ? LIMIT_OCSP_LEN : LIMIT_CRL_LEN,
		.timeout_ms = f->attempt_ms ? f->attempt_ms
			      : q->body	    ? LIMIT_OCSP_FETCH_MS
					    : LIMIT_CRL_FETCH_S * 1000,
	};

	TAILQ_INSERT_TAIL(&f->running, q, link);
	f->n_running++;
	if (http_fetch_start(f->base, f->resolver, &params, on_answer, q, &q->http))
		on_answer(q, NULL, 0, "out of memory");
}

static void on_next(int fd, short what, void *arg)
{
	struct revocation_fetch *f = arg;
	struct question *q;

	(void)fd;
	(void)what;
	while (f->n_running < LIMIT_REVOCATION_FETCHES && (q = TAILQ_FIRST(&f->waiting))) {
		TAILQ_REMOVE(&f->waiting, q, link);
		start(f, q);
	}
}

// Called from within a step of an IKE SA: nothing is started here that could come back to it.
static int ask(void *ctx, const struct revocation_question *question)
{
	struct revocation_fetch *f = ctx;
	struct question *q = calloc(1, sizeof(*q));
	struct error err;
	int rc = 0;

	if (!q)
		return -ENOMEM;
	q->fetch = f;
	q->id = question->id;
	q->text = strdup(question->url);
	rc = http_url_parse(question->url, &q->url, &err);
	if (question->body) {
		q->body = malloc(question->len);
		if (q->body)
			memcpy(q->body, question->body, question->len);
		q->len = question->len;
	}
	if (!rc && (!q->text || (question->body && !q->body)))
		rc = -ENOMEM;
	if (rc) {
		question_free(q);
		return rc;
	}
	TAILQ_INSERT_TAIL(&f->waiting, q, link);
	event_active(f->next, EV_TIMEOUT, 0);
	return 0;
}

static void on_ready(void *ctx, uint32_t wait)
{
	struct revocation_fetch *f = ctx;

	f->ready(f->ctx, wait);
}

struct revocation *revocation_fetch_answers(struct revocation_fetch *f)
{
	return f->answers;
}

void revocation_fetch_set_time(struct revocation_fetch *f, unsigned attempt_ms)
{
	f->attempt_ms = attempt_ms;
}

int revocation_fetch_create(struct event_base *base, revocation_ready *ready, void *ctx,
			    struct revocation_fetch **out)
{
	struct revocation_fetch *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->base = base;
	TAILQ_INIT(&f->waiting);
	TAILQ_INIT(&f->running);
	f->next = event_new(base, -1, 0, on_next, f);
	if (!f->next || resolver_create(base, &f->resolver) || revocation_create(&f->answers)) {
		revocation_fetch_destroy(f);
		return -ENOMEM;
	}
	f->ready = ready;
	f->ctx = ctx;
	revocation_serve(f->answers, ask, on_ready, f);
	*out = f;
	return 0;
}

void revocation_fetch_destroy(struct revocation_fetch *f)
{
	struct question *q;

	if (!f)
		return;
	while ((q = TAILQ_FIRST(&f->waiting))) {
		TAILQ_REMOVE(&f->waiting, q, link);
		question_free(q);
	}
	while ((q = TAILQ_FIRST(&f->running))) {
		TAILQ_REMOVE(&f->running, q, link);
		question_free(q);
	}
	if (f->next)
		event_free(f->next);
	resolver_destroy(f->resolver);
	revocation_destroy(f->answers);
	free(f);
}
