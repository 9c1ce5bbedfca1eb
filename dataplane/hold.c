#include "dataplane/hold.h"

#include <rte_byteorder.h>
#include <rte_ip.h>

#include "dataplane/dp_internal.h"
#include "dataplane/fib.h"
#include "dataplane/stages.h"
#include "dataplane/worker.h"

void hold_put(struct worker *w, const struct batch *b, uint16_t i, const struct fib_hop *missing)
{
	if (worker_may_report(w, (uint64_t)missing->port << 32 | missing->addr_be)) {
		const struct dp_event ev = {
			.type = DP_EV_NO_NEIGHBOUR,
			.port = missing->port,
			.addr = ip_addr_v4(rte_be_to_cpu_32(missing->addr_be)),
		};

		dp_event_put(w->dp, &ev);
	}
	if (w->n_held == WORKER_HOLD_MAX) {
		drop(w, b->pkt[i], DROP_HOLD_FULL);
		return;
	}
	w->hold[w->n_held++] = (struct held){
		.pkt = b->pkt[i],
		.deadline_tsc = w->now_tsc + w->dp->tsc_hz,
		.port = b->port[i],
		.origin = b->origin[i],
	};
}

// Held packets are in order of deadline, so the first to be late is the first.
static void drop_late(struct worker *w)
{
	uint16_t late = 0;

	while (late < w->n_held && w->now_tsc > w->hold[late].deadline_tsc)
		drop(w, w->hold[late++].pkt, DROP_NO_NEIGHBOUR);
	if (late == 0)
		return;
	w->n_held = (uint16_t)(w->n_held - late);
	for (uint16_t i = 0; i < w->n_held; i++)
		w->hold[i] = w->hold[i + late];
}

void hold_retry(struct worker *w)
{
	const uint32_t generation = fib_generation(w->dp->fib);
	struct batch ready;
	struct fib_hop hop;
	uint16_t kept = 0;

	if (w->n_held == 0)
		return;
	drop_late(w);
	if (generation == w->fib_generation)
		return;
	w->fib_generation = generation;
	batch_clear(&ready);
	for (uint16_t i = 0; i < w->n_held; i++) {
		struct held *h = &w->hold[i];
		const uint32_t dst_be = rte_pktmbuf_mtod(h->pkt, struct rte_ipv4_hdr *)->dst_addr;

		if (fib_lookup(w->dp->fib, dst_be, &hop) == FIB_NO_NEIGHBOUR) {
			w->hold[kept++] = *h;
			continue;
		}
		ready.pkt[ready.n] = h->pkt;
		ready.port[ready.n] = h->port;
		ready.origin[ready.n++] = h->origin;
	}
	w->n_held = kept;
	route(w, &ready);
}
