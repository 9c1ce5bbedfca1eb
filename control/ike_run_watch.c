#include "control/ike_run_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "lib/log.h"
#include "lib/suggest.h"

#define DELETE_GRACE_MS 20000
#define NAMES_MAX	64 // that a nearest name is looked for in

// ---- the watches ----

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

static void watch_done(struct watch *w, int result, const char *text)
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

static struct watch *watch_add(struct ike_run *run, const struct ike_run_watch *watch)
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

void watch_child_failed(struct run_sa *s)
{
	struct watch *w;

	run_enter(s->run);
	TAILQ_FOREACH(w, &s->run->watches, link)
	if (!w->dead && w->initiating && w->goal && w->ike_id == s->id)
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

void ike_run_set_observer(struct ike_run *run,
			  void (*observer)(void *ctx, enum ike_report_code code,
					   enum ike_severity severity, const char *conn,
					   uint32_t ike_id, const char *text),
			  void *ctx)
{
	run->observer = observer;
	run->observer_ctx = ctx;
}

// ---- initiate ----

static int unknown_name(const struct ike_run *run, const char *conn, const char *child,
			struct error *err)
{
	const char *names[NAMES_MAX], *nearest, *word = conn;
	const char *what = "connection";
	bool conn_known = false;
	size_t n = 0;

	for (size_t i = 0; i < run->n_conns; i++)
		conn_known |= conn && strcmp(run->conns[i]->ike.name, conn) == 0;
	if (!conn || conn_known) {
		word = child;
		what = "child";
	}
	for (size_t i = 0; i < run->n_conns && n < NAMES_MAX; i++) {
		const struct conn *c = run->conns[i];

		if (word == conn)
			names[n++] = c->ike.name;
		for (size_t k = 0; word == child && k < c->n_children && n < NAMES_MAX; k++)
			names[n++] = c->children[k].name;
	}
	nearest = word && n ? suggest_nearest(word, names, n) : NULL;
	if (nearest)
		return error_set(err, -ENOENT,
				 "no %s '%s' in the configuration; did you mean '%s'?", what, word,
				 nearest);
	return error_set(err, -ENOENT, "no %s '%s' in the configuration", what, word ? word : "");
}

static bool find_goal(const struct ike_run *run, const char *conn, const char *child,
		      struct conn **conn_out, struct conn_child **child_out)
{
	for (size_t i = 0; i < run->n_conns; i++) {
		struct conn *c = run->conns[i];

		if (conn && strcmp(c->ike.name, conn) != 0)
			continue;
		*conn_out = c;
		*child_out = child ? conn_child_find(c, child) : NULL;
		if (!child || *child_out)
			return true;
	}
	return false;
}

static bool ike_is_up(const struct ike_run *run, const struct conn *conn)
{
	const struct run_sa *s;

	TAILQ_FOREACH(s, &run->sas, link)
	{
		struct ike_sa_info info;

		ike_sa_info(s->sa, &info);
		if (s->conn == conn && !s->superseded && info.state == IKE_ST_ESTABLISHED)
			return true;
	}
	return false;
}

// An attempt that nobody has answered may be in the middle of a long wait: a person who asks now
// gets a fresh one.
static struct run_sa *under_way_and_heard(struct ike_run *run, struct conn *conn,
					  struct conn_child *child)
{
	struct run_sa *s = start_under_way(run, conn, child);
	struct ike_sa_info info;

	if (!s)
		return NULL;
	ike_sa_info(s->sa, &info);
	if (spi_key(info.spi_r) || info.retransmits == 0)
		return s;
	s->goal = NULL;
	run_sa_drop(s);
	return NULL;
}

static int initiate(struct ike_run *run, struct conn *conn, struct conn_child *child,
		    struct watch *w, struct error *err)
{
	struct run_sa *s = under_way_and_heard(run, conn, child);
	uint32_t next_id = run->last_ike_id + 1;
	int rc;

	if (s) {
		w->ike_id = s->id;
		return 0;
	}
	if (child) {
		child->rest = REST_NONE;
		child->failures = 0;
	}
	// The first step may fail at once: the watch has to be in place before it.
	w->ike_id = next_id;
	rc = start_initiate(run, conn, child, NULL, err);
	if (rc && child && child->start_action != START_START)
		child->rest = REST_IDLE;
	return rc;
}

int ike_run_initiate(struct ike_run *run, const char *conn_name, const char *child_name,
		     const struct ike_run_watch *watch, struct error *err)
{
	struct conn_child *child;
	struct conn *conn;
	struct watch *w;
	int rc;

	if (!conn_name && !child_name)
		return error_set(err, -EINVAL, "neither a connection nor a child is named");
	if (run->shutting_down)
		return error_set(err, -ESHUTDOWN, "the daemon is ending");
	if (!find_goal(run, conn_name, child_name, &conn, &child))
		return unknown_name(run, conn_name, child_name, err);
	if (child ? run_child_is_up(run, child) : ike_is_up(run, conn)) {
		if (watch && watch->done)
			watch->done(watch->ctx, 0, "already up");
		return 0;
	}
	w = watch_add(run, watch);
	if (!w)
		return error_set(err, -ENOMEM, "out of memory");
	w->initiating = true;
	w->goal = child;
	run_enter(run);
	rc = initiate(run, conn, child, w, err);
	if (rc)
		w->dead = true;
	run_leave(run);
	return rc;
}

// ---- terminate ----

static bool child_selected(const struct ike_run_select *sel, const struct run_child_sa *c)
{
	if (sel->child && strcmp(sel->child, c->child->name) != 0)
		return false;
	return !sel->child_id || sel->child_id == c->id;
}

static bool sa_selected(const struct ike_run_select *sel, const struct run_sa *s)
{
	struct ike_sa_info info;

	if (sel->ike_id && sel->ike_id != s->id)
		return false;
	if (sel->conn && (!s->conn || strcmp(s->conn->ike.name, sel->conn) != 0))
		return false;
	ike_sa_info(s->sa, &info);
	return info.state != IKE_ST_DELETING && info.state != IKE_ST_CLOSED;
}

static int target_add(struct watch *w, uint32_t ike_id, uint32_t spi_in)
{
	struct watch_target *more = reallocarray(w->targets, w->n_targets + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	w->targets = more;
	w->targets[w->n_targets++] = (struct watch_target){ike_id, spi_in};
	return 0;
}

// What matches, into the watch; and what has been taken down stays down.
static int select_targets(struct ike_run *run, const struct ike_run_select *sel, struct watch *w)
{
	bool children = sel->child || sel->child_id;
	struct run_sa *s;

	TAILQ_FOREACH(s, &run->sas, link)
	{
		struct run_child_sa *c;

		if (!sa_selected(sel, s))
			continue;
		if (s->goal && (!sel->child || strcmp(sel->child, s->goal->name) == 0) &&
		    !sel->child_id) { // still being set up
			s->goal->rest = REST_BY_USER;
			if (target_add(w, s->id, 0))
				return -ENOMEM;
			continue;
		}
		TAILQ_FOREACH(c, &s->children, link)
		{
			if (!child_selected(sel, c))
				continue;
			c->child->rest = REST_BY_USER;
			if (children && target_add(w, s->id, c->spi_in))
				return -ENOMEM;
		}
		if (!children && target_add(w, s->id, 0))
			return -ENOMEM;
	}
	return 0;
}

// Attempts that are only planned have no IKE SA yet.
static unsigned cancel_planned(struct ike_run *run, const struct ike_run_select *sel)
{
	unsigned n = 0;

	if (sel->ike_id || sel->child_id)
		return 0;
	for (size_t i = 0; i < run->n_conns; i++) {
		struct conn *c = run->conns[i];

		if (sel->conn && strcmp(c->ike.name, sel->conn) != 0)
			continue;
		for (size_t k = 0; k < c->n_children; k++) {
			struct conn_child *child = &c->children[k];

			if ((sel->child && strcmp(child->name, sel->child) != 0) || !child->retry ||
			    !event_pending(child->retry, EV_TIMEOUT, NULL))
				continue;
			event_del(child->retry);
			child->rest = REST_BY_USER;
			n++;
		}
	}
	return n;
}

static void terminate(struct ike_run *run, struct watch *w)
{
	size_t n = w->n_targets;
	struct watch_target *all = reallocarray(NULL, n ? n : 1, sizeof(*all));

	if (!all)
		return;
	memcpy(all, w->targets, n * sizeof(*all)); // steps take targets away
	for (size_t i = 0; i < n; i++) {
		struct ike_event ev = {.type = IKE_EV_TERMINATE_CHILD, .spi_in = all[i].spi_in};
		struct run_sa *s = run_sa_by_id(run, all[i].ike_id);

		if (!s)
			continue;
		if (all[i].spi_in)
			run_sa_step(s, &ev);
		else
			run_sa_delete(s, DELETE_GRACE_MS);
	}
	free(all);
}

int ike_run_terminate(struct ike_run *run, const struct ike_run_select *sel,
		      const struct ike_run_watch *watch, unsigned *matched, struct error *err)
{
	struct watch *w = watch_add(run, watch);
	unsigned planned;

	if (!w)
		return error_set(err, -ENOMEM, "out of memory");
	run_enter(run);
	if (select_targets(run, sel, w)) {
		w->dead = true;
		run_leave(run);
		return error_set(err, -ENOMEM, "out of memory");
	}
	planned = cancel_planned(run, sel);
	if (matched)
		*matched = (unsigned)w->n_targets + planned;
	if (w->n_targets == 0 && planned == 0) {
		w->dead = true;
		run_leave(run);
		return error_set(err, -ENOENT, "no matching SA");
	}
	if (w->n_targets == 0)
		watch_done(w, 0, "no further attempt is made");
	else
		terminate(run, w);
	run_leave(run);
	return 0;
}

void ike_run_shutdown(struct ike_run *run, const struct ike_run_watch *watch)
{
	struct watch *w = watch_add(run, watch);
	struct run_sa *s, *next;

	run->shutting_down = true;
	for (size_t i = 0; i < run->n_conns; i++)
		for (size_t k = 0; k < run->conns[i]->n_children; k++)
			if (run->conns[i]->children[k].retry)
				event_del(run->conns[i]->children[k].retry);
	run_enter(run);
	if (w)
		w->all = true;
	for (s = TAILQ_FIRST(&run->sas); s; s = next) {
		next = TAILQ_NEXT(s, link);
		// Nobody needs to be told of what was never authenticated.
		if (s->established)
			run_sa_delete(s, DELETE_GRACE_MS);
		else
			run_sa_drop(s);
	}
	if (!w && watch && watch->done)
		watch->done(watch->ctx, -ENOMEM, "out of memory");
	else if (w && TAILQ_EMPTY(&run->sas))
		watch_done(w, 0, "no IKE SA is left");
	run_leave(run);
}
