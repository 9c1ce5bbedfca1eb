#include "dataplane/tfc.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_branch_prediction.h>
#include <rte_random.h>

#include "dataplane/capture.h"
#include "dataplane/dp_internal.h"
#include "dataplane/stages.h"
#include "dataplane/tunnel.h"

enum {
	ROUND_US = 50, // a worker looks at its tunnels no more often
	LOOKS = 64,    // at so many of them a round
	BURST = 8,     // of one tunnel's at once; what is due beyond that is left out
	SIZE_MIN = 40, // bytes, without padding to one size
};

struct dummy {
	struct tunnel *tunnel;
	uint64_t interval_tsc;
	// Its worker: rw, control: copies it to the next list. 0: not yet planned.
	_Atomic uint64_t next_tsc;
};

struct dummies {
	uint32_t first[DP_WORKERS_MAX + 1]; // of each worker; the last one is their number
	struct dummy d[];
};

static struct dummies *current(const struct dp *dp)
{
	return atomic_load_explicit((struct dummies * _Atomic *)(uintptr_t)&dp->dummies,
				    memory_order_acquire);
}

// ---- control ----

static uint32_t owner(const struct dp *dp, const struct tunnel *t)
{
	return t->id % dp->n_workers;
}

static struct dummies *list_create(const struct dp *dp, const struct tunnel *except)
{
	const struct tunnels *all = dp->tunnels;
	const struct dummies *before = current(dp);
	uint32_t at[DP_WORKERS_MAX + 1] = {0};
	struct dummies *list;

	for (uint32_t i = 0; i < all->n_slots; i++)
		if (all->slot[i] != NULL && all->slot[i] != except && all->slot[i]->dummies != 0)
			at[owner(dp, all->slot[i]) + 1]++;
	for (unsigned i = 0; i < dp->n_workers; i++)
		at[i + 1] += at[i];
	list = calloc(1, sizeof(*list) + at[dp->n_workers] * sizeof(list->d[0]));
	if (list == NULL)
		return NULL;
	memcpy(list->first, at, sizeof(at));
	for (uint32_t i = 0; i < all->n_slots; i++) {
		struct tunnel *t = all->slot[i];
		struct dummy *d;

		if (t == NULL || t == except || t->dummies == 0)
			continue;
		d = &list->d[at[owner(dp, t)]++];
		d->tunnel = t;
		d->interval_tsc = dp->tsc_hz / t->dummies;
		if (t->dummy_at != UINT32_MAX)
			d->next_tsc = atomic_load_explicit(&before->d[t->dummy_at].next_tsc,
							   memory_order_relaxed);
		t->dummy_at = (uint32_t)(d - list->d);
	}
	return list;
}

static void publish(struct dp *dp, struct dummies *list)
{
	struct dummies *before = atomic_exchange_explicit(&dp->dummies, list, memory_order_acq_rel);

	dp_defer_free(dp, free, before);
}

int tfc_set(struct dp *dp, struct tunnel *t, uint32_t per_second)
{
	const uint32_t before = t->dummies;
	struct dummies *list;

	if (per_second == before)
		return 0;
	t->dummies = per_second;
	list = list_create(dp, NULL);
	if (list == NULL) {
		t->dummies = before;
		return -ENOMEM;
	}
	if (per_second == 0)
		t->dummy_at = UINT32_MAX;
	publish(dp, list);
	return 0;
}

void tfc_forget(struct dp *dp, struct tunnel *t)
{
	struct dummies *list;

	if (t->dummies == 0)
		return;
	list = list_create(dp, t);
	publish(dp, list);
	// Without memory nobody has dummies until the next change.
	for (uint32_t i = 0; list == NULL && i < dp->tunnels->n_slots; i++)
		if (dp->tunnels->slot[i] != NULL)
			dp->tunnels->slot[i]->dummy_at = UINT32_MAX;
	t->dummies = 0;
	t->dummy_at = UINT32_MAX;
}

void tfc_destroy(struct dp *dp)
{
	free(current(dp));
	atomic_store_explicit(&dp->dummies, NULL, memory_order_relaxed);
}

// ---- worker ----

// How large one is to be: as all packets of the SA are, or by chance. 0: it cannot be sent.
static uint16_t size_of(const struct dp *dp, const struct sa_out *sa)
{
	const uint16_t most = esp_inner_mtu(&sa->key, sa->outer_len, sa_out_path_mtu(dp, sa));

	if (sa->tfc_padding != 0)
		return sa->tfc_padding < most ? sa->tfc_padding : most;
	if (most <= SIZE_MIN)
		return most;
	return (uint16_t)(SIZE_MIN + rte_rand_max(most - SIZE_MIN + 1u));
}

// RFC 4303 2.6: what is in it is of no matter, and is encrypted. Zeros are nobody's data.
static void put_dummy(struct worker *w, struct tunnel *t, struct batch *b)
{
	const struct sa_out *sa = tunnel_sa(t);
	const uint16_t len = sa != NULL ? size_of(w->dp, sa) : 0;
	struct rte_mbuf *m = len != 0 ? rte_pktmbuf_alloc(w->dp->pool) : NULL;
	char *data;

	if (m == NULL)
		return;
	data = rte_pktmbuf_append(m, len);
	if (data == NULL) {
		rte_pktmbuf_free(m);
		return;
	}
	memset(data, 0, len);
	capture_made(w, m);
	b->pkt[b->n] = m;
	b->port[b->n] = 0;
	b->origin[b->n] = FROM_SELF_TUNNEL; // never in clear
	b->from_linux[b->n] = true;
	b->tunnel[b->n] = t;
	b->sa[b->n] = NULL;
	b->n++;
}

static uint64_t later_by_chance(const struct dummy *d)
{
	return d->interval_tsc / 2 + rte_rand_max(d->interval_tsc + 1);
}

static void put_due(struct worker *w, struct dummy *d, struct batch *b)
{
	uint64_t next = atomic_load_explicit(&d->next_tsc, memory_order_relaxed);

	if (likely(w->now_tsc < next))
		return;
	for (unsigned i = 0; next != 0 && next <= w->now_tsc && i < BURST && b->n < BATCH_MAX;
	     i++) {
		put_dummy(w, d->tunnel, b);
		next += later_by_chance(d);
	}
	if (next <= w->now_tsc) // the first, or a worker that slept
		next = w->now_tsc + later_by_chance(d);
	atomic_store_explicit(&d->next_tsc, next, memory_order_relaxed);
}

void tfc_send(struct worker *w)
{
	struct dummies *list = current(w->dp);
	uint32_t first, n;
	struct batch b;

	if (likely(list == NULL) || w->now_tsc - w->dummy_tsc < w->dp->tsc_hz / 1000000 * ROUND_US)
		return;
	w->dummy_tsc = w->now_tsc;
	first = list->first[w->id];
	n = list->first[w->id + 1] - first;
	batch_clear(&b);
	for (uint32_t i = 0; i < n && i < LOOKS; i++) {
		if (w->dummy_at >= n)
			w->dummy_at = 0;
		put_due(w, &list->d[first + w->dummy_at++], &b);
	}
	if (b.n > 0)
		esp_out_dummies(w, &b);
}
