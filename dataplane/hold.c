#include "dataplane/hold.h"

#include <string.h>

#include <rte_byteorder.h>
#include <rte_ip.h>

#include "dataplane/dp_internal.h"
#include "dataplane/fib.h"
#include "dataplane/fib6.h"
#include "dataplane/stages.h"
#include "dataplane/worker.h"

// One number for an address and its port, for limiting how often it is reported.
static uint64_t report_key(unsigned port, const struct ip_addr *a)
{
	uint64_t half[2];

	memcpy(half, a->bytes, sizeof(half));
	return (uint64_t)port << 32 ^ half[0] ^ half[1] * 3;
}

void hold_put(struct worker *w, const struct batch *b, uint16_t i, unsigned port,
	      const struct ip_addr *missing)
{
	if (worker_may_report(w, report_key(port, missing))) {
		const struct dp_event ev = {
			.type = DP_EV_NO_NEIGHBOUR,
			.port = port,
			.addr = *missing,
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

static bool still_missing(const struct worker *w, const struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct fib6_hop hop6;
	struct fib_hop hop;

	if (ip->version_ihl >> 4 == 6)
		return fib6_lookup(w->dp->fib6, (const uint8_t *)ip + 24, &hop6) ==
		       FIB_NO_NEIGHBOUR;
	return fib_lookup(w->dp->fib, ip->dst_addr, &hop) == FIB_NO_NEIGHBOUR;
}

void hold_retry(struct worker *w)
{
	const uint32_t generation = fib_generation(w->dp->fib);
	struct batch ready;
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

		if (still_missing(w, h->pkt)) {
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
