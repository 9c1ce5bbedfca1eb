#include "dataplane/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_pause.h>
#include <rte_random.h>

#include "dataplane/capture.h"
#include "dataplane/census.h"
#include "dataplane/ike_lost.h"
#include "dataplane/dp_internal.h"
#include "dataplane/esp.h"
#include "dataplane/fib.h"
#include "dataplane/known.h"
#include "dataplane/numa.h"
#include "dataplane/patience.h"
#include "dataplane/port.h"
#include "dataplane/reass.h"
#include "dataplane/stages.h"
#include "dataplane/tfc.h"

enum {
	HANDOVER_SIZE = 1024, // packets
	REPORT_MS = 100,
	IKE_BURST = 32, // packets
};

// ---- sources ----

static uint16_t receive_ring(struct rte_ring *ring, struct batch *in)
{
	return (uint16_t)rte_ring_dequeue_burst(ring, (void **)in->pkt, BATCH_MAX, NULL);
}

// At most `max` packets from a source, of which only pkt[] is set.
static void receive(struct worker *w, const struct source *src, uint16_t max, struct batch *in)
{
	const struct port *port = &w->dp->ports[src->port];

	in->n = 0;
	switch ((enum source_type)src->type) {
	case SOURCE_NIC:
		in->n = rte_eth_rx_burst(port->id, src->queue, in->pkt, max);
		break;
	case SOURCE_TAP:
		in->n = receive_ring(port->from_linux, in);
		break;
	case SOURCE_HANDOVER:
		in->n = receive_ring(w->handover, in);
		break;
	case SOURCE_SELF:
		if (w->self.n > 0)
			*in = w->self;
		in->n = w->self.n;
		w->self.n = 0;
		break;
	}
}

// What the stages want to know of each packet. Our own have it already.
static void fill_columns(const struct source *src, struct batch *in)
{
	static const uint8_t origin[] = {
		[SOURCE_NIC] = FROM_NIC,
		[SOURCE_TAP] = FROM_TAP,
		[SOURCE_HANDOVER] = FROM_TUNNEL,
	};

	if (src->type == SOURCE_SELF)
		return;
	for (uint16_t i = 0; i < in->n; i++) {
		if (src->type == SOURCE_NIC)
			in->pkt[i]->port = src->port; // ours from here on, not DPDK's
		in->port[i] = in->pkt[i]->port;
		in->origin[i] = origin[src->type];
		in->from_linux[i] = src->type == SOURCE_TAP;
		in->tunnel[i] = NULL;
		in->sa[i] = NULL;
	}
}

// ---- the path of a packet ----

// What policy lets pass leaves as Linux made it, or is routed.
static void send_clear(struct worker *w, struct batch *pass)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < pass->n; i++) {
		if (pass->origin[i] != FROM_TAP) {
			batch_keep(pass, kept++, i);
			continue;
		}
		rte_pktmbuf_prepend(pass->pkt[i], RTE_ETHER_HDR_LEN); // still there
		tx_put(w, pass->port[i], pass->pkt[i]);
	}
	pass->n = kept;
	route(w, pass);
}

// What came in, and what has come out of tunnels already, through all stages.
static void all_stages(struct worker *w, struct batch *in, struct batch *inner)
{
	struct batch first, protect, pass;
	struct sorted s;

	batch_clear(&first);
	batch_clear(&protect);
	batch_clear(&pass);
	classify(w, in, &s);
	w->traffic += s.esp.n + s.transit.n;
	stage_end(&w->times, STAGE_CLASSIFY);

	// Inbound: ESP is taken apart; clear text must not be what ESP is due for.
	policy_in_clear(w, &s.local);
	policy_in_clear(w, &s.transit);
	stage_end(&w->times, STAGE_POLICY_IN);
	esp_in(w, &s.esp);
	classify_inner(w, &s.esp, &s);
	classify_inner(w, inner, &s);
	stage_end(&w->times, STAGE_CLASSIFY_INNER);

	// Linux.
	guard(w, &s.punt, &first);
	guard(w, &s.local, &first);
	punt_first(w, &first);
	punt(w, &s.punt);
	punt(w, &s.local);
	stage_end(&w->times, STAGE_LINUX);

	// Outbound: what is forwarded, what Linux sends, ICMP errors of our own.
	forward(w, &s.transit, &s.out);
	stage_end(&w->times, STAGE_FORWARD);
	policy_out(w, &s.out, &protect, &pass);
	stage_end(&w->times, STAGE_POLICY_OUT);
	w->traffic += protect.n;
	esp_out(w, &protect, &w->self);
	route(w, &protect);
	send_clear(w, &pass);
	stage_end(&w->times, STAGE_ROUTE);
}

void worker_take(struct worker *w, const struct source *src, struct batch *in)
{
	struct esp_place at[BATCH_MAX];
	struct crypto_job job[BATCH_MAX];
	struct batch esp;

	batch_clear(&esp);
	if (src->type == SOURCE_NIC && known_usable(w)) {
		known_frames(w, src->port, in, &esp, at);
		w->traffic += esp.n;
		if (esp.n > 0) {
			esp_in_open(w, &esp, at, job);
			known_opened(w, &esp, at, job);
			esp_in_accept(w, &esp, at, job);
			known_inner(w, &esp);
		}
		if (in->n + esp.n == 0)
			return;
	}
	fill_columns(src, in);
	if (worker_captures(w))
		capture_received(w, (enum source_type)src->type, in);
	all_stages(w, in, &esp);
}

static unsigned step(struct worker *w, const struct source *src, uint16_t max)
{
	struct batch in;
	unsigned n;

	stage_start(&w->times);
	receive(w, src, max, &in);
	n = in.n;
	if (n > 0) {
		stage_end(&w->times, STAGE_RX);
		worker_take(w, src, &in);
	}
	stage_stop(&w->times);
	return n;
}

unsigned worker_step(struct worker *w, const struct source *src)
{
	return step(w, src, BATCH_MAX);
}

unsigned worker_round(struct worker *w)
{
	const uint16_t most = known_batch_max(w);
	unsigned n = 0, others = 0, ike = 0;
	uint64_t start;

	for (unsigned i = 0; i < w->n_sources; i++) {
		const unsigned got = step(w, &w->source[i], most);

		n += got;
		if (got > 0)
			counter_add(&w->batches, 1);
		if (w->source[i].type != SOURCE_SELF) // answers to IKE are that
			others += got;
	}
	if (w->n_ike_sources == 0 || !ike_share_open(&w->ike_share, rte_rdtsc(), others > 0))
		return n;
	start = rte_rdtsc();
	for (unsigned i = 0; i < w->n_ike_sources; i++) {
		const unsigned got = step(w, &w->ike_source[i], IKE_BURST);

		ike += got;
		if (got > 0)
			counter_add(&w->batches, 1);
	}
	if (ike > 0)
		ike_share_spent(&w->ike_share, start, rte_rdtsc());
	return n + ike;
}

// ---- the loop ----

bool worker_may_report(struct worker *w, uint64_t key)
{
	struct report *r = &w->report[(key * 0x9e3779b97f4a7c15ull >> 32) & (WORKER_REPORTS - 1)];

	if (r->key == key && r->tsc != 0 && w->now_tsc - r->tsc < w->dp->tsc_hz / 1000 * REPORT_MS)
		return false;
	*r = (struct report){.key = key, .tsc = w->now_tsc};
	return true;
}

void worker_handover(struct worker *w, unsigned owner, struct rte_mbuf *m, uint16_t port)
{
	m->port = port;
	if (rte_ring_enqueue(w->dp->workers[owner]->handover, m) != 0)
		drop(w, m, DROP_HANDOVER_FULL);
	else
		counter_add(&w->handed_over, 1);
}

static void idle(struct worker *w, struct patience *p)
{
	const long nap_us = w->dp->poll == DP_POLL_BUSY ? 0 : patience_idle(p, w->now_tsc);
	const struct timespec ts = {.tv_nsec = nap_us * 1000};

	if (nap_us == 0) {
		rte_pause();
		return;
	}
	rte_rcu_qsbr_thread_offline(w->dp->qsbr, w->id); // control does not wait for who sleeps
	nanosleep(&ts, NULL);
	rte_rcu_qsbr_thread_online(w->dp->qsbr, w->id);
	counter_add(&w->sleeps, 1);
}

int worker_main(void *arg)
{
	struct worker *w = arg;
	struct dp *dp = w->dp;
	struct patience patience = patience_new(dp->tsc_hz);
	uint64_t start;

	prctl(PR_SET_TIMERSLACK, 1ul, 0, 0, 0); // else every sleep is 50 us longer
	rte_rcu_qsbr_thread_register(dp->qsbr, w->id);
	rte_rcu_qsbr_thread_online(dp->qsbr, w->id);
	w->now_tsc = rte_rdtsc();
	while (!atomic_load_explicit(&dp->stop, memory_order_relaxed)) {
		unsigned n, left;

		start = w->now_tsc;
		n = worker_round(w);
		hold_retry(w);
		acquire_retry(w);
		tfc_send(w);
		reass_expire(w);
		left = tx_flush(w);
		rte_rcu_qsbr_quiescent(dp->qsbr, w->id);
		if (n + left == 0)
			idle(w, &patience);
		else
			patience_worked(&patience, w->now_tsc, w->traffic + left);
		w->traffic = 0;
		w->now_tsc = rte_rdtsc();
		counter_add(&w->packets, n);
		counter_add(n + left ? &w->busy_cycles : &w->idle_cycles, w->now_tsc - start);
	}
	rte_rcu_qsbr_thread_offline(dp->qsbr, w->id);
	rte_rcu_qsbr_thread_unregister(dp->qsbr, w->id);
	return 0;
}

// ---- control ----

int worker_create(struct dp *dp, unsigned id, struct worker **out)
{
	const size_t size = (sizeof(struct worker) + 63) / 64 * 64;
	const int node = numa_of_worker(dp, id);
	struct worker *w = numa_zalloc(node, "worker", size, 64);
	char name[RTE_RING_NAMESIZE];

	if (!w)
		return -ENOMEM;
	w->id = id;
	w->lcore = id + 1;
	w->alone = dp->n_workers == 1;
	w->dp = dp;
	w->ike_share = ike_share_new(dp->tsc_hz);
	w->frag6_id = (uint32_t)rte_rand();
	w->tx = calloc(dp->n_ports, sizeof(w->tx[0]));
	w->iface_count = calloc(DP_IFACES_MAX, sizeof(w->iface_count[0]));
	w->known = known_create();
	w->census = calloc(1, sizeof(*w->census));
	w->lost = ike_lost_create(dp);
	w->port_count = calloc(dp->n_ports, sizeof(w->port_count[0]));
	snprintf(name, sizeof(name), "handover%u", id);
	// RTS: a producer that the kernel puts to sleep in the middle holds nobody up.
	w->handover = rte_ring_create(name, HANDOVER_SIZE, node, RING_F_MP_RTS_ENQ | RING_F_SC_DEQ);
	if (!w->handover && node != SOCKET_ID_ANY)
		w->handover = rte_ring_create(name, HANDOVER_SIZE, SOCKET_ID_ANY,
					      RING_F_MP_RTS_ENQ | RING_F_SC_DEQ);
	if (!w->tx || !w->known || !w->iface_count || !w->census || !w->lost || !w->port_count ||
	    !w->handover || reass_create(dp, &w->reass) != 0) {
		worker_destroy(w);
		return -ENOMEM;
	}
	*out = w;
	return 0;
}

void worker_destroy(struct worker *w)
{
	void *m;

	if (!w)
		return;
	for (unsigned p = 0; w->tx && p < w->dp->n_ports; p++)
		rte_pktmbuf_free_bulk(w->tx[p].pkt, w->tx[p].n);
	for (uint16_t i = 0; i < w->n_held; i++)
		rte_pktmbuf_free(w->hold[i].pkt);
	for (uint16_t i = 0; i < w->n_waiting; i++)
		rte_pktmbuf_free(w->waiting[i].pkt);
	rte_pktmbuf_free_bulk(w->self.pkt, w->self.n);
	while (w->handover && rte_ring_dequeue(w->handover, &m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(w->handover);
	reass_destroy(w->reass);
	free(w->census);
	ike_lost_destroy(w->lost);
	known_destroy(w->known);
	free(w->iface_count);
	free(w->port_count);
	free(w->tx);
	rte_free(w);
}
