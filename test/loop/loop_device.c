// The far ends of the loop's ports: what the workers' queues receive and what becomes of what they
// send. All of it runs in the workers.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "dataplane/port.h"
#include "test/loop/loop_internal.h"

#define BURST 32 // made at a time

// A packet carries this in its mbuf, in a field that the dataplane has no use for.
struct mark {
	uint32_t tunnel;
	uint8_t queue; // that it was made for
	uint8_t epoch;
	uint8_t passes; // through the tunnel
};

_Static_assert(sizeof(struct mark) <= sizeof(((struct rte_mbuf *)NULL)->hash), "room for a mark");

const uint64_t loop_step_ns[LOOP_ROUND_STEPS] = {
	10000, 20000, 30000, 50000, 70000, 100000, 200000, 500000, 1000000, 10000000,
};

static struct mark mark_of(const struct rte_mbuf *m)
{
	struct mark mark;

	memcpy(&mark, &m->hash, sizeof(mark));
	return mark;
}

static void set_mark(struct rte_mbuf *m, const struct mark *mark)
{
	memcpy(&m->hash, mark, sizeof(*mark));
}

// ---- the clock ----

static uint64_t to_ns(uint64_t tsc)
{
	return (uint64_t)((unsigned __int128)tsc * loop.ns_per_tsc_32 >> 32);
}

static uint64_t thread_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void note_round(struct loop_queue *q)
{
	const uint64_t tsc = rte_rdtsc(), cpu_ns = thread_cpu_ns();
	const uint64_t took = to_ns(tsc - q->now_tsc), took_cpu = cpu_ns - q->cpu_ns;
	const unsigned arm = atomic_load_explicit(&loop.arm, memory_order_relaxed);
	struct loop_rounds *r = &q->rounds[arm];

	// A round in which the arm changed belongs to neither.
	if (arm == q->arm && q->now_tsc != 0) {
		r->rounds++;
		r->max_ns = RTE_MAX(r->max_ns, took);
		r->max_cpu_ns = RTE_MAX(r->max_cpu_ns, took_cpu);
		for (unsigned i = 0; i < LOOP_ROUND_STEPS && took > loop_step_ns[i]; i++)
			r->longer[i]++;
		for (unsigned i = 0; i < LOOP_ROUND_STEPS && took_cpu > loop_step_ns[i]; i++)
			r->cpu_longer[i]++;
		r->cpu_us[RTE_MIN(took_cpu / 1000, (uint64_t)LOOP_CPU_US)]++;
	}
	q->arm = arm;
	q->now_tsc = tsc;
	q->cpu_ns = cpu_ns;
}

// ---- the LAN ----

static struct rte_mbuf *make(struct loop_queue *q)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(loop.dp->pool);
	const unsigned n = loop.order[q->next];
	struct loop_tunnel *t = &loop.tunnel[n];
	const uint16_t len = loop.params.len;
	struct mark mark = {.tunnel = n, .queue = (uint8_t)q->n};
	struct rte_ether_hdr *eth;
	struct rte_ipv4_hdr *ip;
	struct rte_udp_hdr *udp;

	if (m == NULL)
		return NULL;
	q->next = q->next + 1 < loop.params.tunnels ? q->next + 1 : 0;
	eth = (struct rte_ether_hdr *)(void *)rte_pktmbuf_append(m, (uint16_t)(sizeof(*eth) + len));
	ip = (struct rte_ipv4_hdr *)(eth + 1);
	udp = (struct rte_udp_hdr *)(ip + 1);
	*eth = (struct rte_ether_hdr){.ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4)};
	memcpy(eth->dst_addr.addr_bytes, loop.mac[LOOP_LAN].bytes, 6);
	eth->src_addr.addr_bytes[0] = 2;
	*ip = (struct rte_ipv4_hdr){
		.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = rte_cpu_to_be_16(len),
		.time_to_live = 64,
		.next_proto_id = IPPROTO_UDP,
		.src_addr = rte_cpu_to_be_32(LOOP_HOST),
		.dst_addr = rte_cpu_to_be_32(LOOP_SITES + (n << 8) + 1),
	};
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	*udp = (struct rte_udp_hdr){
		.src_port = rte_cpu_to_be_16(1000),
		.dst_port = rte_cpu_to_be_16(2000),
		.dgram_len = rte_cpu_to_be_16((uint16_t)(len - sizeof(*ip))),
	};
	// Before the worker can load the tunnel's SA: see loop_replace.
	mark.epoch = atomic_load(&t->epoch) & 1;
	atomic_fetch_add(&t->under_way[mark.epoch], 1);
	set_mark(m, &mark);
	return m;
}

static uint16_t lan_rx(uint16_t port, uint16_t queue, struct rte_mbuf **pkt, uint16_t n,
		       uint16_t max, void *arg)
{
	struct loop_queue *q = arg;
	uint64_t under_way;
	uint16_t made = 0;

	(void)port;
	(void)queue;
	note_round(q);
	if (!atomic_load_explicit(&loop.running, memory_order_acquire))
		return n;
	under_way =
		counter_read(&q->sent) - atomic_load_explicit(&q->delivered, memory_order_relaxed);
	while (n + made < max && made < BURST && under_way + made < loop.params.in_flight) {
		struct rte_mbuf *m = make(q);

		if (m == NULL)
			break;
		pkt[n + made++] = m;
	}
	counter_add(&q->sent, made);
	return (uint16_t)(n + made);
}

// ---- the WAN ----

// What was sent in the last round, and the driver has let go of, arrives.
static void hand_on(struct loop_queue *q)
{
	const unsigned workers = loop.params.workers;

	for (unsigned i = 0; i < q->n_stash; i++) {
		struct rte_mbuf *m = q->stash[i];
		const uint8_t *esp = rte_pktmbuf_mtod_offset(m, const uint8_t *,
							     sizeof(struct rte_ether_hdr) +
								     sizeof(struct rte_ipv4_hdr));
		const unsigned to = loop.params.spread == LOOP_BY_SPI ? esp[3] : q->turn++;

		if (rte_ring_enqueue(loop.queue[to % workers].ring, m) != 0) {
			counter_add(&q->queue_full, 1);
			rte_pktmbuf_free(m);
		}
	}
	q->n_stash = 0;
}

static uint16_t wan_rx(uint16_t port, uint16_t queue, struct rte_mbuf **pkt, uint16_t n,
		       uint16_t max, void *arg)
{
	struct loop_queue *q = arg;

	(void)port;
	(void)queue;
	hand_on(q);
	return (uint16_t)(n + rte_ring_dequeue_burst(q->ring, (void **)(pkt + n), max - n, NULL));
}

static void turn_round(struct rte_mbuf *m)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(eth + 1);
	const uint32_t src = ip->src_addr;

	memcpy(eth->dst_addr.addr_bytes, loop.mac[LOOP_WAN].bytes, 6);
	eth->src_addr.addr_bytes[0] = 2;
	eth->src_addr.addr_bytes[5] ^= 0x55; // of another station
	ip->src_addr = ip->dst_addr;	     // the checksum is the same
	ip->dst_addr = src;
}

static uint16_t wan_tx(uint16_t port, uint16_t queue, struct rte_mbuf **pkt, uint16_t n, void *arg)
{
	struct loop_queue *q = arg;

	(void)port;
	(void)queue;
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = pkt[i];
		struct mark mark = mark_of(m);
		struct loop_tunnel *t = &loop.tunnel[mark.tunnel];
		const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(
			m, const struct rte_ipv4_hdr *, sizeof(struct rte_ether_hdr));

		if (ip->dst_addr != rte_cpu_to_be_32(LOOP_PEERS + mark.tunnel))
			counter_add(&q->misdirected, 1);
		if (mark.passes == 1) {
			atomic_fetch_add_explicit(&t->delivered, 1, memory_order_relaxed);
			atomic_fetch_sub(&t->under_way[mark.epoch], 1);
			atomic_fetch_add(&loop.queue[mark.queue].delivered, 1);
			continue; // net_null frees it
		}
		if (q->n_stash == LOOP_STASH) {
			counter_add(&q->queue_full, 1);
			continue;
		}
		mark.passes++;
		set_mark(m, &mark);
		turn_round(m);
		rte_mbuf_refcnt_update(m, 1); // net_null takes one
		q->stash[q->n_stash++] = m;
	}
	return n;
}

static void need(const void *callback)
{
	if (callback != NULL)
		return;
	fprintf(stderr, "loop: this DPDK has no callbacks on queues\n");
	exit(1);
}

void loop_device_attach(void)
{
	const struct port *port = loop.dp->ports;

	for (unsigned i = 0; i < loop.params.workers; i++) {
		const struct worker *w = loop.dp->workers[i];
		struct loop_queue *q = &loop.queue[i];

		for (unsigned s = 0; s < w->n_sources; s++) {
			const struct source *src = &w->source[s];

			if (src->type != SOURCE_NIC)
				continue;
			need(rte_eth_add_rx_callback(port[src->port].id, src->queue,
						     src->port == LOOP_LAN ? lan_rx : wan_rx, q));
		}
		need(rte_eth_add_tx_callback(port[LOOP_WAN].id, (uint16_t)i, wan_tx, q));
	}
}
