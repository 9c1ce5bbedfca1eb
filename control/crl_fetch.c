#include "control/crl_fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/http_fetch.h"
#include "control/resolver.h"
#include "lib/http_url.h"
#include "lib/limits.h"
#include "lib/log.h"

struct source {
	struct crl_fetch *fetch;
	char *text; // the URL
	struct http_url url;
	struct event *timer;	    // the next attempt
	struct http_fetch *attempt; // NULL: none runs
	uint8_t *body;		    // the last one that counted
	size_t len;
};

struct crl_fetch {
	struct event_base *base;
	struct resolver *resolver;
	struct cred *cred;
	struct source *sources[LIMIT_CRL_URLS];
	size_t n;
	unsigned attempt_ms, retry_ms;
};

static void arm(struct source *s, unsigned ms)
{
	struct timeval t = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

	if (event_add(s->timer, &t))
		log_error(LOG_IKE, "CRL %s: out of memory; it is not fetched again", s->text);
}

static void drop(struct source *s)
{
	http_fetch_cancel(s->attempt);
	s->attempt = NULL;
}

static void failed(struct source *s, const char *why)
{
	log_warn(LOG_IKE, "CRL %s: %s; again in %u s", s->text, why, s->fetch->retry_ms / 1000);
	arm(s, s->fetch->retry_ms);
}

// Half of what is left of its life, so that a server may be away for the other half.
static unsigned wait_of(int64_t next_update)
{
	int64_t half = (next_update - (int64_t)time(NULL)) / 2;

	if (next_update == 0 || half > LIMIT_CRL_REFRESH_S)
		return LIMIT_CRL_REFRESH_S;
	return half < LIMIT_CRL_RETRY_S ? LIMIT_CRL_RETRY_S : (unsigned)half;
}

static void take(struct source *s, const uint8_t *answer, size_t len)
{
	uint8_t *body = malloc(len + 1);
	struct error err = {""};
	int64_t next = 0;
	int rc;

	if (!body) {
		failed(s, "out of memory");
		return;
	}
	memcpy(body, answer, len);
	rc = cred_put_crl(s->fetch->cred, s->text, body, len, &next, &err);
	if (rc) {
		free(body);
		failed(s, err.text);
		return;
	}
	free(s->body);
	s->body = body;
	s->len = len;
	log_info(LOG_IKE, "CRL %s: fetched, %zu bytes; again in %u s", s->text, len, wait_of(next));
	arm(s, wait_of(next) * 1000);
}

static void on_answer(void *ctx, const uint8_t *body, size_t len, const char *why)
{
	struct source *s = ctx;

	s->attempt = NULL;
	if (why)
		failed(s, why);
	else
		take(s, body, len);
}

static void on_timer(int fd, short what, void *arg)
{
	struct source *s = arg;
	const struct http_fetch_params params = {
		.url = &s->url, .max = LIMIT_CRL_LEN, .timeout_ms = s->fetch->attempt_ms};

	(void)fd;
	(void)what;
	drop(s);
	if (http_fetch_start(s->fetch->base, s->fetch->resolver, &params, on_answer, s,
			     &s->attempt))
		failed(s, "out of memory");
}

// ---- which URLs ----

static void source_free(struct source *s)
{
	drop(s);
	if (s->timer)
		event_free(s->timer);
	free(s->text);
	free(s->body);
	free(s);
}

static struct source *source_new(struct crl_fetch *f, const char *text)
{
	struct source *s = calloc(1, sizeof(*s));
	struct error err;

	if (!s)
		return NULL;
	s->fetch = f;
	s->text = strdup(text);
	s->timer = event_new(f->base, -1, 0, on_timer, s);
	// The configuration has checked the URL.
	if (!s->text || !s->timer || http_url_parse(text, &s->url, &err)) {
		source_free(s);
		return NULL;
	}
	return s;
}

static bool is_named(const struct config_files *urls, const char *text)
{
	for (size_t i = 0; i < urls->n; i++)
		if (strcmp(urls->file[i].name, text) == 0)
			return true;
	return false;
}

static bool is_there(const struct crl_fetch *f, const char *text)
{
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->sources[i]->text, text) == 0)
			return true;
	return false;
}

static void forget_unnamed(struct crl_fetch *f, const struct config_files *urls, bool all)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->n; i++) {
		if (!all && is_named(urls, f->sources[i]->text))
			f->sources[kept++] = f->sources[i];
		else
			source_free(f->sources[i]);
	}
	f->n = kept;
}

// To new credentials; they may no longer have its CA. Who reloads does not want to wait for the
// next attempt.
static void give_again(struct source *s)
{
	struct error err = {""};
	int64_t next;

	if (!s->body && !s->attempt)
		arm(s, 0);
	if (s->body && cred_put_crl(s->fetch->cred, s->text, s->body, s->len, &next, &err))
		log_warn(LOG_IKE, "CRL %s: %s", s->text, err.text);
}

int crl_fetch_configure(struct crl_fetch *f, const struct config_files *urls, struct cred *cred)
{
	f->cred = cred;
	forget_unnamed(f, urls, cred == NULL);
	for (size_t i = 0; i < f->n; i++)
		give_again(f->sources[i]);
	for (size_t i = 0; cred && i < urls->n && f->n < LIMIT_CRL_URLS; i++) {
		struct source *s;

		if (is_there(f, urls->file[i].name))
			continue;
		s = source_new(f, urls->file[i].name);
		if (!s)
			return -ENOMEM;
		f->sources[f->n++] = s;
		arm(s, 0);
	}
	return 0;
}

void crl_fetch_set_times(struct crl_fetch *f, unsigned attempt_ms, unsigned retry_ms)
{
	f->attempt_ms = attempt_ms;
	f->retry_ms = retry_ms;
}

int crl_fetch_create(struct event_base *base, struct crl_fetch **out)
{
	struct crl_fetch *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->base = base;
	crl_fetch_set_times(f, LIMIT_CRL_FETCH_S * 1000, LIMIT_CRL_RETRY_S * 1000);
	if (resolver_create(base, &f->resolver)) {
		free(f);
		return -ENOMEM;
	}
	*out = f;
	return 0;
}

void crl_fetch_destroy(struct crl_fetch *f)
{
	if (!f)
		return;
	while (f->n > 0)
		source_free(f->sources[--f->n]);
	resolver_destroy(f->resolver);
	free(f);
}
