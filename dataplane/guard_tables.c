// The tables of the guard: built by control, read by workers.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "dataplane/guard.h"
#include "lib/secret.h"

enum { SPIS_MIN = 64, SPI_DELETED = 1 };

bool guard_take(struct guard_budget *b, const struct guard_rate *rate, uint64_t now_tsc)
{
	uint64_t full = atomic_load_explicit(&b->full_tsc, memory_order_relaxed);

	for (;;) {
		const uint64_t from = full > now_tsc ? full : now_tsc;

		if (from - now_tsc + rate->tick > rate->burst)
			return false;
		if (atomic_compare_exchange_weak_explicit(&b->full_tsc, &full, from + rate->tick,
							  memory_order_relaxed,
							  memory_order_relaxed))
			return true;
	}
}

// ---- peers ----

static int by_address(const void *a, const void *b)
{
	return ip_addr_compare(&((const struct dp_guard_peer *)a)->lo,
			       &((const struct dp_guard_peer *)b)->lo);
}

struct guard_peer *guard_peers_find(struct guard_peers *p, const struct ip_addr *a)
{
	size_t lo = 0, hi = p ? p->n : 0;

	while (lo < hi) {
		const size_t mid = lo + (hi - lo) / 2;
		struct guard_peer *at = &p->peer[mid];

		if (ip_addr_compare(a, &at->lo) < 0)
			hi = mid;
		else if (ip_addr_compare(a, &at->hi) > 0)
			lo = mid + 1;
		else
			return at;
	}
	return NULL;
}

// Only one station has one way to us.
static bool is_one(const struct guard_peer *p)
{
	return ip_addr_equal(&p->lo, &p->hi);
}

int dp_guard_set_peers(struct dp *dp, const struct dp_guard_peer *peers, size_t n)
{
	struct guard_peers *made = calloc(1, sizeof(*made) + n * sizeof(made->peer[0])), *old;
	struct dp_guard_peer *sorted = calloc(n ? n : 1, sizeof(*sorted));

	if (!made || !sorted) {
		free(made);
		free(sorted);
		return -ENOMEM;
	}
	if (n > 0)
		memcpy(sorted, peers, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), by_address);
	for (size_t i = 0; i < n; i++) {
		struct guard_peer *last = made->n ? &made->peer[made->n - 1] : NULL;

		if (!last || ip_addr_compare(&sorted[i].lo, &last->hi) > 0)
			made->peer[made->n++] =
				(struct guard_peer){.lo = sorted[i].lo, .hi = sorted[i].hi};
		else if (ip_addr_compare(&sorted[i].hi, &last->hi) > 0)
			last->hi = sorted[i].hi;
	}
	free(sorted);
	old = atomic_load_explicit(&dp->guard->peers, memory_order_relaxed);
	// What was counted of a peer that stays is kept.
	for (size_t i = 0; old && i < made->n; i++) {
		struct guard_peer *now = &made->peer[i];
		struct guard_peer *was = guard_peers_find(old, &now->lo);

		if (was && ip_addr_equal(&was->lo, &now->lo)) {
			now->opens = was->opens;
			now->proven = was->proven;
			now->rest = was->rest;
			now->answers = was->answers;
			now->passed = was->passed;
			now->cookies = was->cookies;
			now->limited = was->limited;
			now->lost = was->lost;
			if (is_one(now) && is_one(was))
				now->ttl = was->ttl;
		}
	}
	atomic_store_explicit(&dp->guard->peers, made, memory_order_release);
	dp_defer_free(dp, free, old);
	return 0;
}

int dp_guard_set_ttl(struct dp *dp, const struct ip_addr *addr, uint8_t ttl)
{
	struct guard_peers *peers = atomic_load_explicit(&dp->guard->peers, memory_order_relaxed);
	struct guard_peer *p = peers ? guard_peers_find(peers, addr) : NULL;

	if (!p || !is_one(p))
		return -ENOENT;
	atomic_store_explicit(&p->ttl, ttl, memory_order_relaxed);
	return 0;
}

// ---- SPIs ----

bool guard_spis_have(const struct guard_spis *s, uint64_t spi)
{
	if (spi <= SPI_DELETED)
		return false;
	for (uint64_t i = spi;; i++) {
		const uint64_t at =
			atomic_load_explicit(&s->spi[i & s->mask], memory_order_relaxed);

		if (at == spi || at == 0)
			return at == spi;
	}
}

static void put(struct guard_spis *s, uint64_t spi)
{
	uint64_t i = spi;

	while (atomic_load_explicit(&s->spi[i & s->mask], memory_order_relaxed) > SPI_DELETED)
		i++;
	atomic_store_explicit(&s->spi[i & s->mask], spi, memory_order_relaxed);
}

static struct guard_spis *spis_create(uint64_t places)
{
	struct guard_spis *s = calloc(1, sizeof(*s) + places * sizeof(s->spi[0]));

	if (s)
		s->mask = places - 1;
	return s;
}

// Never more than half full, deleted ones counted, so that a search ends soon.
static int make_room(struct dp *dp)
{
	struct guard *g = dp->guard;
	struct guard_spis *old = atomic_load_explicit(&g->spis, memory_order_relaxed), *made;
	uint64_t places = SPIS_MIN;

	if ((g->n_spis + g->n_dead + 1) * 2 <= old->mask + 1)
		return 0;
	while (places < (g->n_spis + 1) * 4)
		places *= 2;
	made = spis_create(places);
	if (!made)
		return -ENOMEM;
	for (uint64_t i = 0; i <= old->mask; i++)
		if (old->spi[i] > SPI_DELETED)
			put(made, old->spi[i]);
	atomic_store_explicit(&g->spis, made, memory_order_release);
	g->n_dead = 0;
	dp_defer_free(dp, free, old);
	return 0;
}

int dp_guard_add_spi(struct dp *dp, uint64_t spi)
{
	struct guard *g = dp->guard;
	int err;

	if (spi <= SPI_DELETED)
		return -EINVAL;
	if (guard_spis_have(g->spis, spi))
		return 0;
	err = make_room(dp);
	if (err)
		return err;
	put(atomic_load_explicit(&g->spis, memory_order_relaxed), spi);
	g->n_spis++;
	return 0;
}

void dp_guard_del_spi(struct dp *dp, uint64_t spi)
{
	struct guard *g = dp->guard;
	struct guard_spis *s = atomic_load_explicit(&g->spis, memory_order_relaxed);

	if (!guard_spis_have(s, spi))
		return;
	for (uint64_t i = spi;; i++) {
		if (s->spi[i & s->mask] != spi)
			continue;
		atomic_store_explicit(&s->spi[i & s->mask], SPI_DELETED, memory_order_relaxed);
		g->n_spis--;
		g->n_dead++;
		return;
	}
}

// ---- cookies, rates ----

static void free_keys(void *p)
{
	if (p)
		wipe(p, sizeof(struct ike_cookie_keys));
	free(p);
}

int dp_guard_set_cookies(struct dp *dp, const struct ike_cookie_keys *keys)
{
	struct ike_cookie_keys *made = malloc(sizeof(*made)), *old;

	if (!made)
		return -ENOMEM;
	*made = *keys;
	old = atomic_load_explicit(&dp->guard->keys, memory_order_relaxed);
	atomic_store_explicit(&dp->guard->keys, made, memory_order_release);
	dp_defer_free(dp, free_keys, old);
	return 0;
}

static struct guard_rate rate_of(const struct dp *dp, uint32_t per_second)
{
	const uint64_t tick = dp->tsc_hz / (per_second ? per_second : 1);

	// As much at once as in half a second, and never less than two.
	return (struct guard_rate){tick, tick * (per_second / 2 > 2 ? per_second / 2 : 2)};
}

int dp_guard_set_rates(struct dp *dp, const struct dp_guard_params *p)
{
	struct guard_rates *made = malloc(sizeof(*made)), *old;

	if (!made)
		return -ENOMEM;
	*made = (struct guard_rates){
		.peer_opens = rate_of(dp, p->peer_rate),
		.peer_proven = rate_of(dp, p->proven_rate),
		.peer_rest = rate_of(dp, p->peer_rate),
		.stranger_opens = rate_of(dp, p->stranger_rate),
		.stranger_proven = rate_of(dp, p->proven_rate),
		.stranger_rest = rate_of(dp, p->unknown_rate),
		.stranger_v1 = rate_of(dp, p->v1_rate),
		.answers = rate_of(dp, p->answer_rate),
	};
	old = atomic_load_explicit(&dp->guard->rates, memory_order_relaxed);
	atomic_store_explicit(&dp->guard->rates, made, memory_order_release);
	atomic_store_explicit(&dp->guard->on, p->on, memory_order_release);
	dp_defer_free(dp, free, old);
	return 0;
}

int guard_create(struct dp *dp)
{
	struct guard *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	g->spis = spis_create(SPIS_MIN);
	if (!g->spis || guard_seen_init(&g->seen, (const uint32_t *)&dp->ike_mark)) {
		free(g->spis);
		free(g);
		return -ENOMEM;
	}
	dp->guard = g;
	return 0;
}

void guard_age(struct dp *dp)
{
	if (dp->guard)
		guard_seen_age(&dp->guard->seen, rte_rdtsc(), dp->tsc_hz);
}

void guard_destroy(struct dp *dp)
{
	struct guard *g = dp->guard;

	if (!g)
		return;
	free(g->peers);
	free(g->spis);
	free_keys(g->keys);
	guard_seen_fini(&g->seen);
	free(g->rates);
	free(g);
	dp->guard = NULL;
}
