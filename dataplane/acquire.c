#include "dataplane/acquire.h"

#include <string.h>

#include "dataplane/dp_internal.h"
#include "dataplane/stages.h"
#include "dataplane/tunnel.h"
#include "dataplane/worker.h"

// Drops the packet at a place of the queue; the others keep their order.
static void evict(struct worker *w, uint16_t at, enum drop_reason reason)
{
	drop(w, w->waiting[at].pkt, reason);
	w->n_waiting--;
	memmove(&w->waiting[at], &w->waiting[at + 1],
		(size_t)(w->n_waiting - at) * sizeof(w->waiting[0]));
}

void acquire_put(struct worker *w, const struct batch *b, uint16_t i)
{
	uint16_t same = 0, first = 0;

	for (uint16_t k = w->n_waiting; k > 0; k--) {
		if (w->waiting[k - 1].tunnel != b->tunnel[i])
			continue;
		same++;
		first = (uint16_t)(k - 1);
	}
	// One busy tunnel must not take the place of all the others.
	if (same == ACQUIRE_PER_TUNNEL)
		evict(w, first, DROP_NO_SA_FULL);
	else if (w->n_waiting == WORKER_ACQUIRE_MAX)
		evict(w, 0, DROP_NO_SA_FULL);
	w->waiting[w->n_waiting++] = (struct waiting){
		.pkt = b->pkt[i],
		.tunnel = b->tunnel[i],
		.deadline_tsc = w->now_tsc + w->dp->tsc_hz / 1000 * ACQUIRE_MS,
		.port = b->port[i],
		.origin = b->origin[i],
		.from_linux = b->from_linux[i],
	};
}

bool acquire_waits(const struct worker *w, const struct tunnel *t)
{
	for (uint16_t i = 0; i < w->n_waiting; i++)
		if (w->waiting[i].tunnel == t)
			return true;
	return false;
}

static void take(const struct waiting *from, struct batch *to)
{
	const uint16_t n = to->n++;

	to->pkt[n] = from->pkt;
	to->port[n] = from->port;
	to->origin[n] = from->origin;
	to->from_linux[n] = from->from_linux;
	to->tunnel[n] = from->tunnel;
	to->sa[n] = NULL;
}

// A tunnel has been removed, and it may be any of those that packets wait for: their pointers are
// not to be used any more. What the policies say now decides.
static void ask_again(struct worker *w)
{
	struct batch all = {.n = 0}, protect = {.n = 0}, pass = {.n = 0};

	for (uint16_t i = 0; i < w->n_waiting; i++) {
		take(&w->waiting[i], &all);
		all.tunnel[i] = NULL;
	}
	w->n_waiting = 0;
	policy_out(w, &all, &protect, &pass);
	// What was to be protected does not leave in clear.
	for (uint16_t i = 0; i < pass.n; i++)
		drop(w, pass.pkt[i], DROP_NO_SA);
	esp_out(w, &protect, &w->self);
	route(w, &protect);
}

// They are in order of deadline, so the first to be late is the first.
static void drop_late(struct worker *w)
{
	uint16_t late = 0;

	while (late < w->n_waiting && w->now_tsc > w->waiting[late].deadline_tsc)
		drop(w, w->waiting[late++].pkt, DROP_NO_SA_TIMEOUT);
	if (late == 0)
		return;
	w->n_waiting = (uint16_t)(w->n_waiting - late);
	memmove(&w->waiting[0], &w->waiting[late], w->n_waiting * sizeof(w->waiting[0]));
}

void acquire_retry(struct worker *w)
{
	uint32_t removed;
	struct batch ready;
	uint16_t kept = 0;

	if (w->n_waiting == 0)
		return;
	drop_late(w);
	removed = tunnels_removed(w->dp->tunnels);
	if (removed != w->tunnels_removed) {
		w->tunnels_removed = removed;
		ask_again(w);
		return;
	}
	batch_clear(&ready);
	for (uint16_t i = 0; i < w->n_waiting; i++) {
		const struct tunnel *t = w->waiting[i].tunnel;

		if (tunnel_sa(t) == NULL && tunnel_holds(t))
			w->waiting[kept++] = w->waiting[i];
		else
			take(&w->waiting[i], &ready);
	}
	w->n_waiting = kept;
	if (ready.n == 0)
		return;
	esp_out(w, &ready, &w->self);
	route(w, &ready);
}
