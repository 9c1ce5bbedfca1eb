// How many initiations are under way at once.
//
// A gateway that starts with thousands of tunnels would otherwise send all its IKE_SA_INITs in one
// burst: they fill socket buffers on both sides, and the peer counts them as half-open and refuses
// most of them (port500 and strongSwan both do, by source address). What is lost waits four
// seconds for its repetition, so the burst makes the start slower and not faster.
//
// An initiation counts from its start until the IKE SA is established, given up or had to repeat a
// request: a peer that does not answer holds nobody up.
#include "control/ike_run_priv.h"

#include <errno.h>
#include <stdlib.h>

// Towards one address. Exists while it is counted or waited for.
struct pace_peer {
	struct pace_peer *next; // in its bucket
	TAILQ_ENTRY(pace_peer) ready;
	bool is_ready; // has room, and somebody waits
	struct ip_addr addr;
	unsigned under_way;
	TAILQ_HEAD(, conn_child) waiting;
};

static struct pace_peer **find(struct ike_run *run, const struct ip_addr *addr)
{
	struct pace_peer **at = &run->pace.by_addr[run_addr_bucket(addr)];

	while (*at && !ip_addr_equal(&(*at)->addr, addr))
		at = &(*at)->next;
	return at;
}

static struct pace_peer *get(struct ike_run *run, const struct ip_addr *addr)
{
	struct pace_peer **at = find(run, addr), *p = *at;

	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->addr = *addr;
	TAILQ_INIT(&p->waiting);
	*at = p;
	return p;
}

// Puts the peer into the list of those that are ready, takes it out, or forgets it.
static void update(struct ike_run *run, struct pace_peer *p)
{
	bool ready = !TAILQ_EMPTY(&p->waiting) &&
		     p->under_way < run->config->gateway.initiations_per_peer;

	if (ready && !p->is_ready)
		TAILQ_INSERT_TAIL(&run->pace.ready, p, ready);
	else if (!ready && p->is_ready)
		TAILQ_REMOVE(&run->pace.ready, p, ready);
	p->is_ready = ready;
	if (p->under_way == 0 && TAILQ_EMPTY(&p->waiting)) {
		*find(run, &p->addr) = p->next;
		free(p);
	}
}

int pace_wait(struct ike_run *run, struct conn_child *child, const struct ip_addr *addr)
{
	struct pace_peer *p;

	if (child->waits)
		return 0;
	p = get(run, addr);
	if (!p)
		return -ENOMEM;
	child->waits = p;
	child->run = run;
	TAILQ_INSERT_TAIL(&p->waiting, child, wait_link);
	update(run, p);
	return 0;
}

void pace_cancel(struct conn_child *child)
{
	struct pace_peer *p = child->waits;

	if (!p)
		return;
	TAILQ_REMOVE(&p->waiting, child, wait_link);
	child->waits = NULL;
	update(child->run, p);
}

void pace_begin(struct run_sa *s, const struct ip_addr *addr)
{
	s->pace = get(s->run, addr);
	if (!s->pace)
		return; // without memory it is not counted
	s->run->pace.under_way++;
	s->pace->under_way++;
	update(s->run, s->pace);
}

void pace_over(struct run_sa *s)
{
	struct pace_peer *p = s->pace;

	if (!p)
		return;
	s->pace = NULL;
	s->run->pace.under_way--;
	p->under_way--;
	update(s->run, p);
}

void pace_next(struct ike_run *run)
{
	struct pace_peer *p;

	while (!run->shutting_down && (p = TAILQ_FIRST(&run->pace.ready)) &&
	       run->pace.under_way < run->config->gateway.initiations) {
		struct conn_child *child = TAILQ_FIRST(&p->waiting);

		// Peers take turns.
		TAILQ_REMOVE(&run->pace.ready, p, ready);
		TAILQ_INSERT_TAIL(&run->pace.ready, p, ready);
		pace_cancel(child);
		start_now(run, child);
	}
}
