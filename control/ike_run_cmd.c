#include "control/ike_run_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "lib/suggest.h"

#define DELETE_GRACE_MS 20000
#define NAMES_MAX	64 // that a nearest name is looked for in

// ---- initiate ----

static int unknown_name(const struct ike_run *run, const char *conn, const char *child,
			struct error *err)
{
	const char *names[NAMES_MAX], *nearest, *word = conn;
	const char *what = "connection";
	size_t n = 0;

	if (!conn || run_roll_conn(run, conn)) {
		word = child;
		what = "child";
	}
	for (size_t i = 0; i < run->n_conns && n < NAMES_MAX; i++) {
		const struct conn *c = run->conns[i];

		if (word == conn)
			names[n++] = c->ike.name;
		for (size_t k = 0; word == child && k < c->n_children && n < NAMES_MAX; k++)
			names[n++] = c->children[k]->name;
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
	struct conn_child *found = NULL;
	struct conn *c;

	if (conn) {
		c = run_roll_conn(run, conn);
		found = c && child ? conn_child_find(c, child) : NULL;
	} else {
		found = run_roll_next_child(run, child, NULL);
		c = found ? found->conn : NULL;
	}
	if (!c || (child && !found))
		return false;
	*conn_out = c;
	*child_out = found;
	return true;
}

int ike_run_tunnel(const struct ike_run *run, const char *conn, const char *child, uint32_t *tunnel,
		   struct error *err)
{
	struct conn_child *found = NULL, *other;
	struct conn *c;

	if (!find_goal(run, conn, child, &c, &found))
		return unknown_name(run, conn, child, err);
	other = conn ? NULL : run_roll_next_child(run, child, found);
	if (other)
		return error_set(err, -ENOTUNIQ,
				 "'%s' is a child of %s and of %s: say which as CONNECTION/CHILD",
				 child, c->ike.name, other->conn->ike.name);
	*tunnel = found->tunnel;
	return 0;
}

static bool ike_is_up(const struct conn *conn)
{
	const struct run_sa *s;

	TAILQ_FOREACH(s, &conn->sas, conn_link)
	{
		struct ike_sa_info info;

		ike_sa_info(s->sa, &info);
		if (!s->superseded && ike_state_is_up(info.state))
			return true;
	}
	return false;
}

// An attempt that nobody has answered may be in the middle of a long wait: a person who asks now
// gets a fresh one.
static struct run_sa *under_way_and_heard(struct conn *conn, struct conn_child *child)
{
	struct run_sa *s = start_under_way(conn, child);
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
	struct run_sa *s = under_way_and_heard(conn, child);
	uint32_t next_id = run->last_ike_id + 1;
	int rc;

	if (s) {
		w->ike_id = s->id;
		return 0;
	}
	if (child) {
		start_rest(run, child, REST_NONE);
		child->failures = 0;
	}
	// The first step may fail at once: the watch has to be in place before it.
	w->ike_id = next_id;
	rc = child ? start_child(run, child, &s, err) : start_initiate(run, conn, NULL, &s, err);
	if (!rc)
		w->ike_id = s->id;
	if (rc && child && !(child->start_action & START_START))
		start_rest(run, child, REST_IDLE);
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
	if (child ? run_child_is_up(child) : ike_is_up(conn)) {
		if (watch && watch->done)
			watch->done(watch->ctx, 0, "already up");
		return 0;
	}
	w = watch_add(run, watch);
	if (!w)
		return error_set(err, -ENOMEM, "out of memory");
	w->initiating = true;
	w->goal = child;
	names_ask(run, conn); // for the next attempt, if this one finds another place
	run_enter(run);
	rc = initiate(run, conn, child, w, err);
	if (rc)
		w->dead = true;
	run_leave(run);
	return rc;
}

// ---- trap ----

int ike_run_trap(struct ike_run *run, const char *conn_name, const char *child_name, bool on,
		 struct error *err)
{
	struct conn_child *child;
	struct ip_endpoint remote;
	struct conn *conn;

	if (!child_name)
		return error_set(err, -EINVAL, "no child is named");
	if (!find_goal(run, conn_name, child_name, &conn, &child))
		return unknown_name(run, conn_name, child_name, err);
	if (on && conn->n_names == 0 && !conn_remote(conn, 0, &remote))
		return error_set(
			err, -EINVAL,
			"%s: remote_addrs names no single address: the peer has to initiate",
			conn->ike.name);
	start_trap(run, child, on);
	return 0;
}

// ---- terminate ----

static bool child_selected(const struct ike_run_select *sel, const struct run_child_sa *c)
{
	if (sel->child && strcmp(sel->child, c->child->name) != 0)
		return false;
	return !sel->child_id || sel->child_id == c->id;
}

// May it have what is selected? What is cheap to ask is asked first: there may be thousands.
static bool has_selected(const struct ike_run_select *sel, const struct run_sa *s)
{
	const struct run_child_sa *c;

	if (!sel->child && !sel->child_id)
		return true;
	if (s->goal && !sel->child_id && strcmp(sel->child, s->goal->name) == 0)
		return true;
	TAILQ_FOREACH(c, &s->children, link)
	if (child_selected(sel, c))
		return true;
	return false;
}

static bool sa_selected(const struct ike_run_select *sel, const struct run_sa *s)
{
	struct ike_sa_info info;

	if (sel->ike_id && sel->ike_id != s->id)
		return false;
	if (sel->conn && (!s->conn || strcmp(s->conn->ike.name, sel->conn) != 0))
		return false;
	if (!has_selected(sel, s))
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

static int select_in(struct ike_run *run, const struct ike_run_select *sel, struct run_sa *s,
		     struct watch *w)
{
	bool children = sel->child || sel->child_id;
	struct run_child_sa *c;

	if (s->goal && (!sel->child || strcmp(sel->child, s->goal->name) == 0) &&
	    !sel->child_id) { // still being set up
		start_rest(run, s->goal, REST_BY_USER);
		return target_add(w, s->id, 0);
	}
	TAILQ_FOREACH(c, &s->children, link)
	{
		if (!child_selected(sel, c))
			continue;
		start_rest(run, c->child, REST_BY_USER);
		if (children && target_add(w, s->id, c->spi_in))
			return -ENOMEM;
	}
	return children ? 0 : target_add(w, s->id, 0);
}

// What matches, into the watch; and what has been taken down stays down.
static int select_targets(struct ike_run *run, const struct ike_run_select *sel, struct watch *w)
{
	struct run_pick may = {0};
	int rc = run_roll_pick(run, sel, &may);

	for (size_t i = 0; i < may.n && rc == 0; i++)
		if (sa_selected(sel, may.sa[i]))
			rc = select_in(run, sel, may.sa[i], w);
	free(may.sa);
	return rc;
}

static unsigned cancel(struct ike_run *run, struct conn_child *child)
{
	if (!child->retry || (!child->waits && !event_pending(child->retry, EV_TIMEOUT, NULL)))
		return 0;
	pace_cancel(child);
	event_del(child->retry);
	start_rest(run, child, REST_BY_USER);
	return 1;
}

static unsigned cancel_in(struct ike_run *run, struct conn *c, const char *name)
{
	unsigned n = 0;

	for (size_t i = 0; c && i < c->n_children; i++)
		if (!name || strcmp(c->children[i]->name, name) == 0)
			n += cancel(run, c->children[i]);
	return n;
}

// Attempts that are only planned have no IKE SA yet.
static unsigned cancel_planned(struct ike_run *run, const struct ike_run_select *sel)
{
	struct conn_child *child = NULL;
	unsigned n = 0;

	if (sel->ike_id || sel->child_id)
		return 0;
	if (sel->conn)
		return cancel_in(run, run_roll_conn(run, sel->conn), sel->child);
	while (sel->child && (child = run_roll_next_child(run, sel->child, child)))
		n += cancel(run, child);
	for (size_t i = 0; i < run->n_conns && !sel->child; i++)
		n += cancel_in(run, run->conns[i], NULL);
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

// ---- rekey ----

static unsigned rekey_children(struct run_sa *s, const struct ike_run_select *sel)
{
	struct run_child_sa *c, *next;
	unsigned n = 0;

	for (c = TAILQ_FIRST(&s->children); c && !s->closed; c = next) {
		struct ike_event ev = {.type = IKE_EV_REKEY_CHILD, .spi_in = c->spi_in};

		next = TAILQ_NEXT(c, link); // replacing one begins with a message, and removes none
		// What has been replaced already is left alone.
		if (!child_selected(sel, c) || c->child->retired ||
		    c->child->sends_on != c->spi_out)
			continue;
		n++;
		run_sa_step(s, &ev);
	}
	return n;
}

int ike_run_rekey(struct ike_run *run, const struct ike_run_select *sel, bool reauth,
		  unsigned *matched, struct error *err)
{
	struct run_pick may = {0};
	unsigned n = 0;

	run_enter(run);
	if (run_roll_pick(run, sel, &may)) {
		run_leave(run);
		return error_set(err, -ENOMEM, "out of memory");
	}
	for (size_t i = 0; i < may.n; i++) {
		struct ike_event ev = {.type = IKE_EV_REKEY};
		struct run_sa *s = may.sa[i];
		struct ike_sa_info info;

		if (s->closed || s->superseded || !sa_selected(sel, s))
			continue;
		ike_sa_info(s->sa, &info);
		if (!ike_state_is_up(info.state))
			continue;
		if (sel->child || sel->child_id) {
			n += rekey_children(s, sel);
			continue;
		}
		n++;
		if (reauth)
			start_successor(s);
		else
			run_sa_step(s, &ev);
	}
	free(may.sa);
	run_leave(run);
	*matched = n;
	return n ? 0 : error_set(err, -ENOENT, "no matching SA");
}

void ike_run_shutdown(struct ike_run *run, const struct ike_run_watch *watch)
{
	struct watch *w = watch_add(run, watch);
	struct run_sa *s, *next;

	run->shutting_down = true;
	for (size_t i = 0; i < run->n_conns; i++)
		for (size_t k = 0; k < run->conns[i]->n_children; k++)
			if (run->conns[i]->children[k]->retry)
				event_del(run->conns[i]->children[k]->retry);
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
