#include "control/ike_run_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

static void watch_free(struct watch *w)
{
	if (w->timeout)
		event_free(w->timeout);
	free(w->targets);
	free(w);
}

void watch_sweep(struct ike_run *run)
{
	struct watch *w, *next;

	for (w = TAILQ_FIRST(&run->watches); w; w = next) {
		next = TAILQ_NEXT(w, link);
		if (!w->dead)
			continue;
		TAILQ_REMOVE(&run->watches, w, link);
		watch_free(w);
	}
}

void watch_destroy_all(struct ike_run *run)
{
	struct watch *w;

	TAILQ_FOREACH(w, &run->watches, link)
	w->dead = true;
	watch_sweep(run);
}

void watch_done(struct watch *w, int result, const char *text)
{
	struct ike_run *run = w->run;

	if (w->dead)
		return;
	w->dead = true;
	run_enter(run);
	if (w->w.done)
		w->w.done(w->w.ctx, result, text);
	run_leave(run);
}

static int code_errno(enum ike_report_code code)
{
	switch (code) {
	case IKE_REPORT_NO_ANSWER:
	case IKE_REPORT_DEAD_PEER:
		return -ETIMEDOUT;
	case IKE_REPORT_AUTH_FAILED:
	case IKE_REPORT_PEER_REFUSED_AUTH:
	case IKE_REPORT_NO_CONNECTION:
	case IKE_REPORT_NO_PSK:
		return -EACCES;
	default:
		return -EPROTO;
	}
}

static void watch_failed(struct watch *w, const struct run_sa *s)
{
	bool said = s->last_error[0] != '\0';

	watch_done(w, said ? code_errno(s->last_code) : -ECONNABORTED,
		   said ? s->last_error : "the IKE SA was closed before it was established");
}

static void on_timeout(int fd, short what, void *arg)
{
	struct watch *w = arg;
	struct run_sa *s = run_sa_by_id(w->run, w->ike_id);
	char text[256], peer[IP_ENDPOINT_TEXT_MAX];

	(void)fd;
	(void)what;
	snprintf(text, sizeof(text), "not done within %.1f s", (double)w->w.timeout_ms / 1000);
	if (w->initiating && s) {
		struct ike_sa_info info;

		ike_sa_info(s->sa, &info);
		snprintf(text, sizeof(text), "no success with %s within %.1f s; it goes on trying",
			 ip_endpoint_format(&info.remote, peer, sizeof(peer)),
			 (double)w->w.timeout_ms / 1000);
	} else if (!w->initiating) {
		snprintf(text, sizeof(text), "the peer has not confirmed within %.1f s",
			 (double)w->w.timeout_ms / 1000);
	}
	run_enter(w->run);
	watch_done(w, -ETIMEDOUT, text);
	run_leave(w->run);
}

struct watch *watch_add(struct ike_run *run, const struct ike_run_watch *watch)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->run = run;
	if (watch)
		w->w = *watch;
	if (w->w.timeout_ms) {
		w->timeout = evtimer_new(run->base, on_timeout, w);
		if (!w->timeout || run_event_after(w->timeout, w->w.timeout_ms)) {
			watch_free(w);
			return NULL;
		}
	}
	TAILQ_INSERT_TAIL(&run->watches, w, link);
	return w;
}

static bool watch_follows(const struct watch *w, const struct run_sa *s)
{
	if (w->all || (w->initiating && w->ike_id == s->id))
		return true;
	for (size_t i = 0; i < w->n_targets; i++)
		if (w->targets[i].ike_id == s->id)
			return true;
	return false;
}

void watch_report(struct run_sa *s, const struct ike_action *a)
{
	struct watch *w;
	char name[IKE_NAME_MAX + IP_ENDPOINT_TEXT_MAX];

	run_sa_name(s, name, sizeof(name));
	run_enter(s->run);
	TAILQ_FOREACH(w, &s->run->watches, link)
	if (!w->dead && w->w.progress && watch_follows(w, s))
		w->w.progress(w->w.ctx, a->report.code, a->report.severity, name, a->report.text);
	run_leave(s->run);
}

void watch_child_up(struct run_sa *s, const struct conn_child *child)
{
	struct watch *w;
	char text[128];

	snprintf(text, sizeof(text), "child %s is up", child->name);
	run_enter(s->run);
	TAILQ_FOREACH(w, &s->run->watches, link)
	if (!w->dead && w->initiating && w->goal == child)
		watch_done(w, 0, text);
	run_leave(s->run);
}

void watch_child_retired(struct ike_run *run, const struct conn_child *child)
{
	struct watch *w;
	char text[128];

	snprintf(text, sizeof(text), "a reload has changed or removed child %s", child->name);
	run_enter(run);
	TAILQ_FOREACH(w, &run->watches, link)
	if (!w->dead && w->initiating && w->goal == child)
		watch_done(w, -ECANCELED, text);
	run_leave(run);
}

void watch_moved(struct ike_run *run, uint32_t from, uint32_t to)
{
	struct watch *w;

	TAILQ_FOREACH(w, &run->watches, link)
	{
		if (w->initiating && w->ike_id == from)
			w->ike_id = to;
		for (size_t i = 0; i < w->n_targets; i++)
			if (w->targets[i].ike_id == from)
				w->targets[i].ike_id = to;
	}
}

void watch_child_failed(struct run_sa *s, const struct conn_child *child)
{
	struct watch *w;

	run_enter(s->run);
	TAILQ_FOREACH(w, &s->run->watches, link)
	if (!w->dead && w->initiating && w->goal == child && w->ike_id == s->id)
		watch_failed(w, s);
	run_leave(s->run);
}

void watch_established(struct run_sa *s)
{
	struct watch *w;

	run_enter(s->run);
	TAILQ_FOREACH(w, &s->run->watches, link)
	if (!w->dead && w->initiating && !w->goal && w->ike_id == s->id)
		watch_done(w, 0, "the IKE SA is established");
	run_leave(s->run);
}

static void target_gone(struct watch *w, uint32_t ike_id, uint32_t spi_in)
{
	size_t kept = 0;

	if (w->dead || w->n_targets == 0)
		return;
	for (size_t i = 0; i < w->n_targets; i++) {
		const struct watch_target *t = &w->targets[i];

		if (t->ike_id != ike_id || (spi_in && t->spi_in != spi_in))
			w->targets[kept++] = *t;
	}
	w->n_targets = kept;
	if (kept == 0)
		watch_done(w, 0, "deleted");
}

void watch_child_gone(struct run_sa *s, uint32_t spi_in)
{
	struct watch *w;

	run_enter(s->run);
	TAILQ_FOREACH(w, &s->run->watches, link)
	target_gone(w, s->id, spi_in);
	run_leave(s->run);
}

void watch_closed(struct run_sa *s)
{
	struct ike_run *run = s->run;
	struct watch *w;

	run_enter(run);
	TAILQ_FOREACH(w, &run->watches, link)
	{
		if (w->dead)
			continue;
		if (w->all && TAILQ_EMPTY(&run->sas))
			watch_done(w, 0, "every IKE SA is deleted");
		else if (w->initiating && w->ike_id == s->id)
			watch_failed(w, s);
		else
			target_gone(w, s->id, 0);
	}
	run_leave(run);
}

void ike_run_unwatch(struct ike_run *run, void *ctx)
{
	struct watch *w;

	run_enter(run);
	TAILQ_FOREACH(w, &run->watches, link)
	if (w->w.ctx == ctx)
		w->dead = true;
	run_leave(run);
}

void ike_run_set_observer(struct ike_run *run, ike_run_observer observer, void *ctx)
{
	run->observer = observer;
	run->observer_ctx = ctx;
}
