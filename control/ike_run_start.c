#include "control/ike_run_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "lib/log.h"

#define RETRY_FIRST_MS	   1000
#define RETRY_MAX_MS	   60000
#define SUCCESSOR_RETRY_MS 30000
#define SUSPECT_REPEATS	   2
#define TRAFFIC_RETRY_MS   10000 // traffic shortens a wait, but not below this since the last attempt

static uint64_t back_off_ms(struct ike_run *run, unsigned failures)
{
	unsigned shift = failures > 1 ? failures - 1 : 0;
	uint64_t ms = shift > 6 ? RETRY_MAX_MS : (uint64_t)RETRY_FIRST_MS << shift;

	return run_jitter(run, ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS);
}

int start_initiate(struct ike_run *run, struct conn *conn, struct conn_child *child,
		   struct run_sa **out, struct error *err)
{
	struct ike_event ev = {.type = IKE_EV_INITIATE, .child = child ? child->ike : NULL};
	struct ip_endpoint local = {.port = conn->local_port}, remote;
	struct ike_sa *sa;
	struct run_sa *s;
	int rc;

	if (!conn_remote(conn, child ? child->failures : 0, &remote))
		return error_set(
			err, -EINVAL,
			"%s: remote_addrs names no single address: the peer has to initiate",
			conn->ike.name);
	if (conn_local(conn, &local))
		rc = ike_socket_reachable(&local.addr, &remote.addr, err);
	else
		rc = ike_socket_source(&remote.addr, &local.addr, err);
	if (rc)
		return error_prefix(err, rc, "%s", conn->ike.name);
	rc = ike_sa_create_initiator(&run->env, &conn->ike, &local, &remote, &sa);
	if (rc)
		return error_set(err, rc, "%s: no IKE SA: %s", conn->ike.name, strerror(-rc));
	s = run_sa_add(run, sa, conn);
	if (!s)
		return error_set(err, -ENOMEM, "%s: out of memory", conn->ike.name);
	s->goal = child;
	if (child) {
		child->last_attempt_ms = run_now_ms();
		pace_cancel(child);
	}
	pace_begin(s, &remote.addr);
	if (out)
		*out = s;
	run_sa_step(s, &ev);
	return 0;
}

struct run_sa *start_under_way(const struct conn *conn, const struct conn_child *child)
{
	struct run_sa *s;

	TAILQ_FOREACH(s, &conn->sas, conn_link)
	{
		struct ike_sa_info info;

		if (s->goal != child || s->established)
			continue;
		ike_sa_info(s->sa, &info);
		if (info.original_initiator &&
		    (info.state == IKE_ST_CREATED || info.state == IKE_ST_CONNECTING))
			return s;
	}
	return NULL;
}

static void on_retry(int fd, short what, void *arg);

static void plan(struct ike_run *run, struct conn_child *child, uint64_t delay_ms)
{
	if (run->shutting_down || child->conn->retired || child->rest != REST_NONE)
		return;
	if (!child->retry)
		child->retry = evtimer_new(run->base, on_retry, child);
	child->run = run;
	child->retry_at_ms = run_now_ms() + delay_ms;
	if (!child->retry || run_event_after(child->retry, delay_ms))
		log_error(LOG_IKE, "%s: no further attempt at %s: out of memory",
			  child->conn->ike.name, child->name);
}

void start_want(struct ike_run *run, struct conn_child *child, uint64_t delay_ms)
{
	child->rest = REST_NONE;
	plan(run, child, delay_ms);
}

static void on_retry(int fd, short what, void *arg)
{
	struct conn_child *child = arg;
	struct ike_run *run = child->run;
	struct ip_endpoint remote;

	(void)fd;
	(void)what;
	run_enter(run);
	if (!conn_remote(child->conn, child->failures, &remote) ||
	    pace_wait(run, child, &remote.addr))
		start_now(run, child); // which says what is wrong
	run_leave(run);		       // starts it, if it is its turn
}

void start_now(struct ike_run *run, struct conn_child *child)
{
	struct error err;
	int rc;

	if (run->shutting_down || child->rest != REST_NONE || run_child_is_up(child) ||
	    start_under_way(child->conn, child))
		return;
	rc = start_initiate(run, child->conn, child, NULL, &err);
	if (rc == 0)
		return;
	child->last_attempt_ms = run_now_ms();
	if (rc == -EINVAL) { // nothing that time heals
		log_warn(LOG_IKE, "%s", err.text);
		child->rest = REST_IDLE;
		return;
	}
	// A route or an address may come at any moment: a look costs nothing.
	if (!child->no_route)
		log_notice(LOG_IKE, "%s; trying again every second", err.text);
	child->no_route = true;
	plan(run, child, run_jitter(run, RETRY_FIRST_MS));
}

void start_failed(struct ike_run *run, struct conn_child *child)
{
	uint64_t wait;

	if (run->shutting_down || child->conn->retired)
		return;
	child->failures++;
	child->no_route = false;
	if (run_child_is_up(child)) { // a successor failed: its predecessor tries again
		struct run_sa *s;

		TAILQ_FOREACH(s, &child->conn->sas, conn_link)
		{
			struct run_child_sa *c = TAILQ_FIRST(&s->children);

			if (!c || c->child != child || s->superseded)
				continue;
			s->rekey_at_ms = run_now_ms() + run_jitter(run, SUCCESSOR_RETRY_MS);
			run_sa_age_arm(s);
		}
		return;
	}
	if (child->rest != REST_NONE)
		return;
	if (child->start_action != START_START) {
		child->rest = REST_IDLE;
		return;
	}
	wait = back_off_ms(run, child->failures);
	log_info(LOG_IKE, "%s: next attempt at %s in %.1f s", child->conn->ike.name, child->name,
		 (double)wait / 1000);
	plan(run, child, wait);
}

void start_lost(struct ike_run *run, struct conn_child *child, const struct run_sa *s)
{
	if (run->shutting_down || child->conn->retired || child->rest == REST_BY_USER)
		return;
	if (s->superseded || s->aged) {
		child->rest = REST_IDLE;
		if (child->start_action == START_START)
			start_want(run, child, run_jitter(run, RETRY_FIRST_MS));
	} else if (s->peer_lost) {
		child->rest = REST_DEAD;
		if (child->dpd_action == DEAD_START)
			start_want(run, child, 0);
	} else {
		child->rest = REST_BY_PEER;
		if (child->close_action == DEAD_START)
			start_want(run, child, run_jitter(run, RETRY_FIRST_MS));
	}
}

void start_succeeded(struct conn_child *child)
{
	child->rest = REST_NONE;
	child->failures = 0;
	child->no_route = false;
	pace_cancel(child);
	if (child->retry)
		event_del(child->retry);
}

void start_successor(struct run_sa *s)
{
	const struct run_child_sa *c = TAILQ_FIRST(&s->children);
	struct conn_child *child = c ? c->child : NULL;
	struct ip_endpoint remote;
	struct error err;

	if (!s->established || s->superseded || s->run->shutting_down || s->conn->retired ||
	    !conn_remote(s->conn, 0, &remote) || start_under_way(s->conn, child))
		return;
	log_info(LOG_IKE, "%s: IKE SA #%u %s: setting up its successor", s->conn->ike.name, s->id,
		 s->suspect ? "is not answered" : "grows old");
	if (start_initiate(s->run, s->conn, child, NULL, &err) == 0)
		return;
	log_notice(LOG_IKE, "%s", err.text);
	s->rekey_at_ms = run_now_ms() + run_jitter(s->run, SUCCESSOR_RETRY_MS);
	run_sa_age_arm(s);
}

// A peer that has restarted does not know the IKE SA any more and may be long back before the
// request is given up (165 s). So a fresh IKE SA is tried beside it; when that succeeds the old one
// goes, and otherwise nothing is lost.
void start_suspect(struct run_sa *s)
{
	const struct run_child_sa *c = TAILQ_FIRST(&s->children);
	struct ike_sa_info info;

	ike_sa_info(s->sa, &info);
	if (info.state != IKE_ST_ESTABLISHED || info.retransmits < SUSPECT_REPEATS ||
	    s->superseded || !c || c->child->dpd_action != DEAD_START)
		return;
	s->suspect = true;
	s->rekey_at_ms = run_now_ms();
	run_sa_age_arm(s);
}

// A packet waits for a child: a planned attempt is made sooner, a lost peer is looked for again.
static void traffic(struct ike_run *run, struct conn_child *child)
{
	uint64_t now = run_now_ms(), due = child->last_attempt_ms + TRAFFIC_RETRY_MS;

	if (child->start_action != START_START)
		return;
	if (child->rest == REST_DEAD) {
		start_want(run, child, 0);
		return;
	}
	if (child->rest == REST_NONE && child->retry &&
	    event_pending(child->retry, EV_TIMEOUT, NULL) && due < child->retry_at_ms)
		plan(run, child, due > now ? due - now : 0);
}

void ike_run_dp_event(struct ike_run *run, const struct dp_event *ev)
{
	struct conn_child *child;
	struct run_sa *s;

	if (ev->type == DP_EV_NO_NEIGHBOUR || ev->tunnel >= run->n_by_tunnel)
		return;
	child = run->by_tunnel[ev->tunnel];
	if (!child)
		return;
	if (ev->type == DP_EV_NO_SA) {
		traffic(run, child);
		return;
	}
	TAILQ_FOREACH(s, &child->conn->sas, conn_link)
	{
		struct run_child_sa *c = TAILQ_FIRST(&s->children);

		if (!c || c->child != child || s->superseded)
			continue;
		s->rekey_at_ms = run_now_ms(); // DP_EV_SEQ_LOW
		run_sa_age_arm(s);
	}
}
