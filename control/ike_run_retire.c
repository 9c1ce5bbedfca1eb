// Children that a reload has taken out of their connection, or replaced.
//
// Their SAs are deleted at the peer; the IKE SA and the other children stay. One that another of
// the same name replaces, and that is to be up, is deleted when that one is up, so that nothing is
// lost in between: the two share a tunnel of the dataplane, which sends on the newest. If the new
// one does not come up the old one goes nevertheless: the configuration does not have it any more.
//
// A retired child is freed when no IKE SA holds a pointer to it.
#include "control/ike_run_priv.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "lib/log.h"

#define HEIR_WAIT_MS 10000

void retire_stop(struct conn_child *child)
{
	pace_cancel(child);
	child->waits_for_name = false;
	if (child->retry)
		event_free(child->retry);
	child->retry = NULL;
	idle_stop(child);
}

static void end(struct ike_run *run, struct conn_child *old)
{
	struct run_sa *s, *next;

	old->over = true;
	run_enter(run);
	for (s = TAILQ_FIRST(&old->conn->sas); s; s = next) {
		struct ike_event ev = {.type = IKE_EV_RETIRE_CHILD, .child = &old->ike};

		next = TAILQ_NEXT(s, conn_link);
		run_sa_step(s, &ev);
	}
	retire_touch(run, old->conn);
	run_leave(run);
}

static void on_heir_late(int fd, short what, void *arg)
{
	struct conn_child *old = arg;

	(void)fd;
	(void)what;
	log_notice(LOG_CHD,
		   "%s: child %s as it was before the reload ends; its successor is not up",
		   old->conn->ike.name, old->name);
	end(old->run, old);
}

void retire_child(struct ike_run *run, struct conn_child *old)
{
	retire_stop(old);
	old->asked_on = 0;
	watch_child_retired(run, old);
	if (old->heir && (old->heir->start_action & START_START) && run_child_is_up(old)) {
		old->run = run;
		old->retry = evtimer_new(run->base, on_heir_late, old);
		if (old->retry && run_event_after(old->retry, HEIR_WAIT_MS) == 0)
			return;
	}
	end(run, old);
}

void retire_replaced(struct ike_run *run, const struct conn_child *heir)
{
	struct conn_child *old, *next;

	run_enter(run); // so that none is freed meanwhile
	for (old = TAILQ_FIRST(&heir->conn->old); old; old = next) {
		next = TAILQ_NEXT(old, old_link);
		if (old->heir != heir || old->over)
			continue;
		retire_stop(old);
		end(run, old);
	}
	run_leave(run);
}

void retire_fresh(struct ike_run *run, struct conn_child *old)
{
	if (old->over)
		end(run, old);
}

void retire_tunnel(struct ike_run *run, struct conn_child *child)
{
	int rc = 0;

	if (child->tunnel != DP_TUNNEL_NONE && conn_child_owns_tunnel(child))
		rc = dp_tunnel_del(run->dp, child->tunnel);
	if (rc)
		log_warn(LOG_CHD, "%s: tunnel of %s stays in the dataplane: %s",
			 child->conn->ike.name, child->name, strerror(-rc));
	child->tunnel = DP_TUNNEL_NONE;
}

// ---- when nobody holds it any more ----

void retire_touch(struct ike_run *run, struct conn *c)
{
	if (!c || c->swept || TAILQ_EMPTY(&c->old))
		return;
	c->swept = true;
	conn_get(c);
	TAILQ_INSERT_TAIL(&run->to_sweep, c, sweep_link);
}

static bool is_held(const struct conn_child *old)
{
	const struct run_sa *s;

	TAILQ_FOREACH(s, &old->conn->sas, conn_link)
	if (s->goal == old || run_child_carries(s, old) || ike_sa_has_child(s->sa, &old->ike))
		return true;
	return false;
}

void retire_sweep(struct ike_run *run)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&run->to_sweep))) {
		struct conn_child *old, *next;

		TAILQ_REMOVE(&run->to_sweep, c, sweep_link);
		c->swept = false;
		for (old = TAILQ_FIRST(&c->old); old; old = next) {
			next = TAILQ_NEXT(old, old_link);
			if (is_held(old))
				continue;
			retire_stop(old);
			retire_tunnel(run, old);
			TAILQ_REMOVE(&c->old, old, old_link);
			conn_child_destroy(old);
		}
		run_conn_put(run, c);
	}
}
