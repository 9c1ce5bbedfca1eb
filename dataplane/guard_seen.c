#include "dataplane/guard_seen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WIPE_MS = 1000 }; // after a turn: no worker is still at the map before the last one

static void wipe_map(_Atomic uint64_t *map)
{
	for (unsigned i = 0; i < SEEN_BITS / 64; i++)
		atomic_store_explicit(&map[i], 0, memory_order_relaxed);
}

int guard_seen_init(struct guard_seen *s, const uint32_t key[4])
{
	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < SEEN_MAPS; i++) {
		s->map[i] = malloc(SEEN_BITS / 8);
		if (!s->map[i]) {
			guard_seen_fini(s);
			return -ENOMEM;
		}
		wipe_map(s->map[i]); // and takes the memory now, not in an attack
	}
	s->key[0] = (uint64_t)key[0] << 32 | key[1];
	s->key[1] = (uint64_t)key[2] << 32 | key[3] | 1;
	s->wiped = true;
	return 0;
}

void guard_seen_fini(struct guard_seen *s)
{
	for (unsigned i = 0; i < SEEN_MAPS; i++)
		free(s->map[i]);
	memset(s, 0, sizeof(*s));
}

static bool has(const _Atomic uint64_t *map, uint32_t bit)
{
	return atomic_load_explicit(&map[bit / 64], memory_order_relaxed) >> bit % 64 & 1;
}

static void set(_Atomic uint64_t *map, uint32_t bit)
{
	atomic_store_explicit(&map[bit / 64],
			      atomic_load_explicit(&map[bit / 64], memory_order_relaxed) |
				      1ull << bit % 64,
			      memory_order_relaxed);
}

bool guard_seen(struct guard_seen *s, uint64_t spi_i)
{
	const uint32_t turn = atomic_load_explicit(&s->turn, memory_order_acquire);
	_Atomic uint64_t *now = s->map[turn % SEEN_MAPS];
	const _Atomic uint64_t *before = s->map[(turn + SEEN_MAPS - 1) % SEEN_MAPS];
	uint64_t h = (spi_i ^ s->key[0]) * s->key[1];
	uint32_t one, other;
	bool known;

	h = (h ^ h >> 32) * s->key[1];
	one = (uint32_t)(h >> 40) & (SEEN_BITS - 1);
	other = (uint32_t)(h >> 16) & (SEEN_BITS - 1);
	known = (has(now, one) && has(now, other)) || (has(before, one) && has(before, other));
	set(now, one);
	set(now, other);
	return known;
}

void guard_seen_age(struct guard_seen *s, uint64_t now_tsc, uint64_t tsc_hz)
{
	const uint64_t age_ms = (now_tsc - s->turned_tsc) / (tsc_hz / 1000);
	const uint32_t turn = atomic_load_explicit(&s->turn, memory_order_relaxed);

	if (!s->wiped && age_ms >= WIPE_MS) {
		wipe_map(s->map[(turn + 1) % SEEN_MAPS]);
		s->wiped = true;
	}
	if (age_ms < SEEN_MS)
		return;
	atomic_store_explicit(&s->turn, turn + 1, memory_order_release);
	s->turned_tsc = now_tsc;
	s->wiped = false;
}
