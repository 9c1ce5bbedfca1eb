// Closing children that nobody uses (the key `inactivity`).
//
// Counted from the last packet in either direction, as the dataplane says, over all SAs of the
// child: a rekeying does not make it younger. What is closed so rests: neither close_action nor
// start_action = start brings it up again, but a trap does. The IKE SA stays, unless it has no
// other child and inactivity_close_ike is set.
#include "control/ike_run_priv.h"

#include <event2/event.h>

#include "lib/log.h"

#define DELETE_GRACE_MS 10000

static uint64_t later(uint64_t last, uint64_t now, const struct dp_sa_stats *st)
{
	// UINT64_MAX: no packet yet.
	return st->idle_ms <= now && now - st->idle_ms > last ? now - st->idle_ms : last;
}

static uint64_t last_used_ms(const struct ike_run *run, const struct conn_child *child,
			     uint64_t now)
{
	const struct run_child_sa *c;
	const struct run_sa *s;
	struct dp_sa_stats st;
	uint64_t last = child->used_ms;

	if (dp_tunnel_out_stats(run->dp, child->tunnel, &st) == 0)
		last = later(last, now, &st);
	TAILQ_FOREACH(s, &child->conn->sas, conn_link)
	TAILQ_FOREACH(c, &s->children, link)
	if (c->child == child && dp_sa_in_stats(run->dp, c->spi_in, &st) == 0)
		last = later(last, now, &st);
	return last;
}

void idle_begin(struct conn_child *child)
{
	const struct run_sa *s;

	TAILQ_FOREACH(s, &child->conn->sas, conn_link)
	if (run_child_carries(s, child))
		return;
	child->used_ms = run_now_ms();
}

void idle_note(const struct ike_run *run, struct conn_child *child)
{
	child->used_ms = last_used_ms(run, child, run_now_ms());
}

static bool has_others(const struct run_sa *s, const struct conn_child *child)
{
	const struct run_child_sa *c;

	TAILQ_FOREACH(c, &s->children, link)
	if (c->child != child)
		return true;
	return false;
}

static void close_child(struct ike_run *run, struct conn_child *child)
{
	struct run_sa *s, *next;

	log_notice(LOG_CHD, "%s: child %s is closed: no packet in %.1f s", child->conn->ike.name,
		   child->name, (double)child->inactivity_ms / 1000);
	start_rest(run, child, REST_IDLING);
	run_enter(run);
	for (s = TAILQ_FIRST(&child->conn->sas); s; s = next) {
		struct run_child_sa *c, *next_c;

		next = TAILQ_NEXT(s, conn_link);
		if (run->config->gateway.ike.inactivity_close_ike && run_child_carries(s, child) &&
		    !has_others(s, child)) {
			run_sa_delete(s, DELETE_GRACE_MS);
			continue;
		}
		for (c = TAILQ_FIRST(&s->children); c && !s->closed; c = next_c) {
			struct ike_event ev = {.type = IKE_EV_TERMINATE_CHILD, .spi_in = c->spi_in};

			next_c = TAILQ_NEXT(c, link); // closing one begins with a message
			if (c->child == child)
				run_sa_step(s, &ev);
		}
	}
	run_leave(run);
}

static void on_idle(int fd, short what, void *arg)
{
	struct conn_child *child = arg;
	uint64_t now = run_now_ms(), due;

	(void)fd;
	(void)what;
	if (child->inactivity_ms == 0 || !run_child_is_up(child))
		return;
	due = last_used_ms(child->run, child, now) + child->inactivity_ms;
	if (due > now)
		run_event_after(child->idle, due - now);
	else
		close_child(child->run, child);
}

void idle_watch(struct ike_run *run, struct conn_child *child)
{
	if (child->inactivity_ms == 0 || run->shutting_down)
		return;
	child->run = run;
	if (!child->idle)
		child->idle = evtimer_new(run->base, on_idle, child);
	if (!child->idle || run_event_after(child->idle, child->inactivity_ms))
		log_error(LOG_CHD, "%s: %s is not watched for inactivity: out of memory",
			  child->conn->ike.name, child->name);
}

void idle_stop(struct conn_child *child)
{
	if (child->idle)
		event_free(child->idle);
	child->idle = NULL;
}
