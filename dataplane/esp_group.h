// The packets of one SA in one batch: which sequence numbers they take, and whether the SA still
// has a life (RFC 4303 3.3.3, RFC 4301 4.4.2.1).
//
// One atomic add for each group takes its sequence numbers, so that the counter, which is the IV as
// well, is touched once for each batch and SA, and no number is ever given away twice.
//
// Threads: any worker.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/tunnel.h"
#include "dataplane/worker.h"

// The packets of one SA in this batch.
struct esp_group {
	struct sa_out *sa;
	struct tunnel *tunnel;
	uint64_t seq;	    // the next one to give away
	uint64_t bytes;	    // of inner packets
	uint64_t bytes_end; // with `over`: of the SA, with the packets looked at so far
	uint16_t n;	    // packets
	bool over;	    // some of them are beyond the SA's life
	uint16_t inner_mtu; // bytes; 0: no route
	uint16_t pad_to;    // bytes that an inner packet is padded to
};

// Tells control, once in TUNNEL_EVENT_MS, whichever worker comes first.
void esp_group_report(struct worker *w, _Atomic uint64_t *last_tsc, const struct dp_event *ev);
// The SA has come to a limit: control is told which, and g->over is set when packets are beyond a
// hard one. `last` and `bytes` are what the SA has given away with this group.
void esp_group_worn(struct worker *w, struct esp_group *g, uint64_t last, uint64_t bytes);
// One packet of a group with `over`. DROP_REASON_COUNT: it may go.
enum drop_reason esp_group_admit(struct worker *w, struct esp_group *g, uint64_t seq, bool dummy,
				 uint32_t len);

// Adds to what only workers write, and returns what was there. A lone worker needs no locked add.
static inline uint64_t esp_group_add(const struct worker *w, _Atomic uint64_t *count, uint64_t n)
{
	uint64_t old;

	if (!w->alone)
		return atomic_fetch_add_explicit(count, n, memory_order_relaxed);
	old = atomic_load_explicit(count, memory_order_relaxed);
	atomic_store_explicit(count, old + n, memory_order_relaxed);
	return old;
}

static inline void esp_group_used(struct worker *w, struct sa_out *sa)
{
	atomic_store_explicit(&sa->last_tsc, w->now_tsc, memory_order_relaxed);
}

// Takes the numbers of g->n packets of g->bytes bytes. Dummy packets are not counted.
static inline void esp_group_take(struct worker *w, struct esp_group *g, bool dummies)
{
	struct sa_out *sa = g->sa;
	uint64_t last, bytes;

	// RFC 4303 3.3.3: the first number sent is 1.
	g->seq = atomic_fetch_add_explicit(&sa->seq, g->n, memory_order_relaxed) + 1;
	last = g->seq + g->n - 1;
	bytes = esp_group_add(w, &sa->bytes, g->bytes) + g->bytes;
	if (unlikely(last >= sa->seq_check || bytes >= sa->bytes_check))
		esp_group_worn(w, g, last, bytes);
	if (unlikely(g->over))
		return; // esp_group_admit() looks at each
	if (dummies)
		esp_group_add(w, &sa->uncounted, g->n);
	else
		esp_group_used(w, sa);
}
