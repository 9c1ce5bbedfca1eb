// A worker: one thread, one loop. It owns everything in its struct worker.
//
// worker_step() calls the stages one after the other: it is the diagram of the packet path.
// Threads: the worker's own, but for the counters (single writer, read by control, relaxed) and
//          the rings.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dataplane/batch.h"
#include "dataplane/dp.h"
#include "dataplane/drop.h"
#include "dataplane/ike_share.h"
#include "dataplane/stage_time.h"

struct capture_ring;
struct census;
struct crypto;
struct dp;
struct ike_lost;
struct known;
struct port;
struct reass;

// Single writer, relaxed readers: what a counter of the dataplane is.
typedef _Atomic uint64_t counter;

static inline void counter_add(counter *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static inline uint64_t counter_read(const counter *c)
{
	return atomic_load_explicit((counter *)(uintptr_t)c, memory_order_relaxed);
}

struct tx_buffer { // packets waiting for one port, Ethernet header in place
	uint16_t n;
	struct rte_mbuf *pkt[BATCH_MAX];
};

struct held { // a packet that waits for its next hop's MAC address
	struct rte_mbuf *pkt;
	uint64_t deadline_tsc;
	uint16_t port;
	uint8_t origin;
};

struct waiting { // a packet that waits for its tunnel's outbound SA
	struct rte_mbuf *pkt;
	struct tunnel *tunnel; // good as long as tunnels_removed is that of the worker
	uint64_t deadline_tsc;
	uint16_t port;
	uint8_t origin;
	bool from_linux;
};

#define WORKER_HOLD_MAX	   64
#define WORKER_ACQUIRE_MAX 64 // not more than BATCH_MAX
#define WORKER_REPORTS	   64 // a power of 2
#define WORKER_SOURCES_MAX 64

// Where a worker takes packets from, up to BATCH_MAX at a time.
enum source_type { SOURCE_NIC, SOURCE_TAP, SOURCE_HANDOVER, SOURCE_SELF };

struct source {
	uint8_t type;	// enum source_type
	uint8_t port;	// SOURCE_NIC, SOURCE_TAP
	uint16_t queue; // SOURCE_NIC
};

struct report { // when an event was last told to control
	uint64_t key, tsc;
};

struct iface_count { // of one tunnel interface; bytes of inner IP packet
	counter in_packets, in_bytes, out_packets, out_bytes;
};

struct port_count { // of one port of a device with VLANs; bytes of Ethernet frame, untagged
	counter rx_packets, rx_bytes, tx_packets, tx_bytes;
};

struct worker {
	unsigned id; // 0.. ; also the id in the qsbr
	unsigned lcore;
	bool alone;    // the only worker
	struct dp *dp; // tables: workers read pointers, control swaps them
	struct crypto *crypto;
	struct known *known; // flows whose way is known; NULL: none is remembered
	struct reass *reass; // fragments of what is for ourselves
	_Atomic(struct capture_ring *) capture; // control: rw, worker: ro; NULL: none under way
	uint64_t now_tsc;			// taken once per step
	unsigned traffic; // packets through tunnels or forwarded in this round: patience.h
	struct source source[WORKER_SOURCES_MAX];
	unsigned n_sources;
	struct source ike_source[DP_PORTS_MAX]; // queues of IKE (ike_filter.h, ike_flow.h)
	unsigned n_ike_sources;
	struct ike_share ike_share; // of them
	struct tx_buffer *tx;	    // one per port
	struct rte_ring *handover;  // inbound ESP and fragments that are ours (multi-producer)
	struct held hold[WORKER_HOLD_MAX];
	uint16_t n_held;
	uint32_t fib_generation; // the hold was last tried with
	struct waiting waiting[WORKER_ACQUIRE_MAX];
	uint16_t n_waiting;
	uint32_t tunnels_removed; // when `waiting` was last looked at
	struct batch self;	  // our own ICMP errors, to enter at policy_out in the next round
	uint32_t frag6_id;	  // of the next IPv6 packet that is cut
	uint64_t dummy_tsc;	  // when it last looked for dummy packets to send
	uint32_t dummy_at;	  // of its tunnels, which is next
	uint64_t icmp_refill_tsc;
	unsigned icmp_tokens;
	struct report report[WORKER_REPORTS];
	struct iface_count *iface_count; // DP_IFACES_MAX, by number
	struct port_count *port_count;	 // one per port
	struct census *census;		 // who sends IKE
	struct ike_lost *lost;		 // headers of IKE that it drops
	counter guard_fates[GUARD_FATE_COUNT], guard_peer_limited;
	counter drops[DROP_REASON_COUNT];
	counter busy_cycles, idle_cycles, sleeps, packets, batches, esp_in_packets, esp_out_packets;
	counter cut_packets, cut_pieces;     // too large, and what became of them
	counter whole_packets, whole_pieces; // put together, and from how many fragments
	counter icmp_errors;		     // made
	counter dummies;		     // sent, among esp_out_packets
	counter handed_over;		     // to the worker whose packets they are
	struct stage_times times;
};

// Is a capture under way? All that the packet path pays when there is none.
static inline bool worker_captures(const struct worker *w)
{
	return unlikely(
		atomic_load_explicit((_Atomic(struct capture_ring *) *)(uintptr_t)&w->capture,
				     memory_order_relaxed) != NULL);
}

// The capture's copy of a packet that is about to be dropped (capture.c).
void worker_capture_drop(struct worker *w, struct rte_mbuf *m, enum drop_reason reason,
			 bool ethernet);

// Frees the packet, whose data begins at its IP header, and counts the reason.
static inline void drop(struct worker *w, struct rte_mbuf *m, enum drop_reason reason)
{
	if (worker_captures(w))
		worker_capture_drop(w, m, reason, false);
	counter_add(&w->drops[reason], 1);
	rte_pktmbuf_free(m);
}

// The same for a packet whose data begins at its Ethernet header.
static inline void drop_frame(struct worker *w, struct rte_mbuf *m, enum drop_reason reason)
{
	if (worker_captures(w))
		worker_capture_drop(w, m, reason, true);
	counter_add(&w->drops[reason], 1);
	rte_pktmbuf_free(m);
}

// True when an event with that key (anything that tells it from others, hashed well) was not
// reported by this worker in the last 100 ms; it then counts as reported now.
bool worker_may_report(struct worker *w, uint64_t key);
// Gives an inbound ESP packet or fragment (data at the outer IP header) to the worker that owns
// its SA, or that puts it together.
void worker_handover(struct worker *w, unsigned owner, struct rte_mbuf *m, uint16_t port);

// The loop of one worker; returns when dp->stop is set. For rte_eal_remote_launch.
int worker_main(void *worker);
// Takes one batch from a source through all stages. Returns how many packets it was.
unsigned worker_step(struct worker *w, const struct source *src);
// One batch from every source, and from the queues of IKE if it is their turn.
unsigned worker_round(struct worker *w);
// What worker_step() does with a batch that has come in from there, of which it reads pkt[].
void worker_take(struct worker *w, const struct source *src, struct batch *in);
// Allocates a worker and its rings; crypto and sources are added by dp.c. -ENOMEM.
int worker_create(struct dp *dp, unsigned id, struct worker **out);
// Frees the packets it still has, and the worker. NULL is allowed.
void worker_destroy(struct worker *w);
