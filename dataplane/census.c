#include "dataplane/census.h"

#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "dataplane/dp_internal.h"
#include "lib/siphash.h"

enum { TTL_SLACK = 2 }; // routes change

// A source of IPv6 is the /64, which one host can have as a whole. A peer's address is looked at by
// itself: its neighbours are not the peer.
static struct ip_addr source_of(const struct census_seen *seen)
{
	struct ip_addr s = seen->from;

	if (s.family == IP_V6 && !seen->is_peer)
		memset(s.bytes + 8, 0, 8);
	return s;
}

static struct census_entry *find(struct census *c, const struct ip_addr *source, bool *fresh)
{
	struct census_entry *set = c->entry[ip_addr_hash(source) & (CENSUS_SETS - 1)];
	struct census_entry *least = &set[0];

	*fresh = false;
	for (unsigned i = 0; i < CENSUS_WAYS; i++) {
		if (ip_addr_equal(&set[i].s.addr, source))
			return &set[i];
		if (set[i].s.packets < least->s.packets)
			least = &set[i];
	}
	*fresh = true;
	return least;
}

static uint32_t fingerprint(const uint8_t *data, size_t len)
{
	static const uint8_t key[SIPHASH_KEY_LEN]; // the same on every gateway, to compare them
	uint8_t h[SIPHASH_LEN];

	siphash(key, data, len < 64 ? len : 64, h);
	return (uint32_t)h[0] << 24 | (uint32_t)h[1] << 16 | (uint32_t)h[2] << 8 | h[3];
}

static void note_ike(struct dp_guard_source *s, const struct ike_peek *ike)
{
	if (!ike) {
		s->not_ike++;
		return;
	}
	s->v1 += ike->major == 1;
	s->openers += ike->opens;
	s->cookies_shown += ike->opens && ike->cookie;
	s->responses += ike->is_response;
	s->version = ike->major;
	s->exchange = ike->exchange;
	if (ike->vendor)
		s->vendor = fingerprint(ike->vendor, ike->vendor_len);
}

static void note_second(struct census_entry *e, uint64_t now_tsc, uint64_t tsc_hz)
{
	if (now_tsc - e->second_tsc >= tsc_hz) {
		e->s.per_second = now_tsc - e->second_tsc < 2 * tsc_hz ? e->second_n : 0;
		e->second_tsc = now_tsc;
		e->second_n = 0;
	}
	e->second_n++;
	if (e->second_n > e->s.per_second_max)
		e->s.per_second_max = e->second_n;
}

static bool is_far(uint8_t a, uint8_t b)
{
	return abs(a - b) > TTL_SLACK;
}

static void note_ttl(struct dp_guard_source *s, const struct census_seen *seen)
{
	uint8_t usual = seen->ttl_usual;

	s->ttl_min = seen->ttl < s->ttl_min ? seen->ttl : s->ttl_min;
	s->ttl_max = seen->ttl > s->ttl_max ? seen->ttl : s->ttl_max;
	if (!usual)
		usual = seen->fate == GUARD_KNOWN ? seen->ttl : s->ttl_known;
	// The route has changed: what was odd by the old one is not by the new one.
	if (s->ttl_known && is_far(usual, s->ttl_known))
		s->odd_ttl = 0;
	s->ttl_known = usual;
	if (!usual || seen->fate == GUARD_KNOWN || !is_far(seen->ttl, usual))
		return;
	if (s->odd_ttl++ == 0)
		s->odd_ttl_min = s->odd_ttl_max = seen->ttl;
	s->odd_ttl_min = seen->ttl < s->odd_ttl_min ? seen->ttl : s->odd_ttl_min;
	s->odd_ttl_max = seen->ttl > s->odd_ttl_max ? seen->ttl : s->odd_ttl_max;
}

void census_note(struct census *c, const struct census_seen *seen, uint64_t now_tsc,
		 uint64_t tsc_hz)
{
	const struct ip_addr source = source_of(seen);
	bool fresh;
	struct census_entry *e = find(c, &source, &fresh);
	struct dp_guard_source *s = &e->s;
	const uint32_t version = atomic_load_explicit(&e->version, memory_order_relaxed);

	atomic_store_explicit(&e->version, version + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	if (fresh) {
		const uint64_t before = s->packets;

		*s = (struct dp_guard_source){
			.addr = source,
			.packets = before,
			.over = before,
			.first_tsc = now_tsc,
			.len_min = UINT16_MAX,
			.ttl_min = UINT8_MAX,
		};
		e->second_tsc = now_tsc;
		e->second_n = 0;
	}
	s->packets++;
	s->bytes += seen->len;
	s->last_tsc = now_tsc;
	s->fate[seen->fate]++;
	s->from_port = seen->from_port;
	s->to_500 += seen->to_port == 500;
	s->len_min = seen->len < s->len_min ? seen->len : s->len_min;
	s->len_max = seen->len > s->len_max ? seen->len : s->len_max;
	s->is_peer = seen->is_peer;
	note_ttl(s, seen);
	note_ike(s, seen->ike);
	note_second(e, now_tsc, tsc_hz);
	atomic_store_explicit(&e->version, version + 2, memory_order_release);
}

bool census_read(const struct census *c, unsigned at, struct dp_guard_source *out)
{
	const struct census_entry *e = &c->entry[at / CENSUS_WAYS][at % CENSUS_WAYS];

	// The worker writes for some nanoseconds at a time; under a flood one try may not do.
	for (unsigned tries = 0; tries < 1000; tries++) {
		const uint32_t before = atomic_load_explicit(&e->version, memory_order_acquire);

		*out = e->s;
		atomic_thread_fence(memory_order_acquire);
		if (!(before & 1) &&
		    atomic_load_explicit(&e->version, memory_order_relaxed) == before)
			return out->addr.family != IP_NONE;
	}
	return false;
}

// ---- all workers ----

static int by_source(const void *a, const void *b)
{
	return ip_addr_compare(&((const struct dp_guard_source *)a)->addr,
			       &((const struct dp_guard_source *)b)->addr);
}

static int by_messages(const void *a, const void *b)
{
	const struct dp_guard_source *x = a, *y = b;
	const uint64_t nx = x->packets - x->over, ny = y->packets - y->over;

	return nx < ny ? 1 : nx > ny ? -1 : by_source(a, b);
}

static void add_odd_ttl(struct dp_guard_source *to, const struct dp_guard_source *s)
{
	if (s->odd_ttl == 0)
		return;
	if (to->odd_ttl == 0) {
		to->odd_ttl_min = s->odd_ttl_min;
		to->odd_ttl_max = s->odd_ttl_max;
	}
	to->odd_ttl_min = (uint8_t)RTE_MIN(to->odd_ttl_min, s->odd_ttl_min);
	to->odd_ttl_max = (uint8_t)RTE_MAX(to->odd_ttl_max, s->odd_ttl_max);
	to->odd_ttl += s->odd_ttl;
}

// What another worker has seen of the same source.
static void add(struct dp_guard_source *to, const struct dp_guard_source *s)
{
	if (s->last_tsc > to->last_tsc) {
		to->is_peer = s->is_peer;
		to->from_port = s->from_port;
		to->version = s->version;
		to->exchange = s->exchange;
		if (s->ttl_known)
			to->ttl_known = s->ttl_known;
	}
	to->packets += s->packets;
	to->over += s->over;
	to->bytes += s->bytes;
	for (unsigned k = 0; k < GUARD_FATE_COUNT; k++)
		to->fate[k] += s->fate[k];
	to->first_tsc = RTE_MIN(to->first_tsc, s->first_tsc);
	to->last_tsc = RTE_MAX(to->last_tsc, s->last_tsc);
	to->per_second += s->per_second;
	to->per_second_max += s->per_second_max;
	to->openers += s->openers;
	to->cookies_shown += s->cookies_shown;
	to->responses += s->responses;
	to->v1 += s->v1;
	to->not_ike += s->not_ike;
	to->to_500 += s->to_500;
	to->len_min = (uint16_t)RTE_MIN(to->len_min, s->len_min);
	to->len_max = (uint16_t)RTE_MAX(to->len_max, s->len_max);
	to->ttl_min = (uint8_t)RTE_MIN(to->ttl_min, s->ttl_min);
	to->ttl_max = (uint8_t)RTE_MAX(to->ttl_max, s->ttl_max);
	if (s->vendor)
		to->vendor = s->vendor;
	if (!to->ttl_known)
		to->ttl_known = s->ttl_known;
	add_odd_ttl(to, s);
}

size_t dp_guard_sources(const struct dp *dp, struct dp_guard_source *out, size_t max)
{
	struct dp_guard_source *all =
		calloc(dp->n_workers * CENSUS_SETS * CENSUS_WAYS, sizeof(*all));
	size_t n = 0, kept = 0;

	if (!all)
		return 0;
	for (unsigned i = 0; i < dp->n_workers; i++)
		for (unsigned k = 0; k < CENSUS_SETS * CENSUS_WAYS; k++)
			n += census_read(dp->workers[i]->census, k, &all[n]);
	qsort(all, n, sizeof(*all), by_source);
	for (size_t i = 0; i < n; i++) {
		if (kept > 0 && ip_addr_equal(&all[kept - 1].addr, &all[i].addr))
			add(&all[kept - 1], &all[i]);
		else
			all[kept++] = all[i];
	}
	qsort(all, kept, sizeof(*all), by_messages);
	memcpy(out, all, RTE_MIN(kept, max) * sizeof(*out));
	free(all);
	return kept;
}
