// The packet capture: copies of packets, taken at some points of their way, on their way to
// control.
//
// A packet is followed: it is looked at where it comes in and wherever more is known of it (its
// tunnel, what was inside of the ESP); once the filter fits and it is one in so many, a copy is
// taken at each further point, and all of them carry one number. What is known stands in the mbuf
// itself (a dynamic field), so that nothing has to be looked up. Workers copy into a ring of their
// own and never wait: what finds no room there is missing in the capture, and counted.
//
// Threads:   start, stop, end, next (dp.h), register: control. The hooks: workers; those with a
//            struct capture_ring the punt thread as well. With no capture under way a hook is one
//            load and one branch (worker_captures).
// Ownership: control makes and frees; the memory goes once every thread has been quiescent.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_mbuf.h>

#include "dataplane/batch.h"
#include "dataplane/dp.h"
#include "dataplane/worker.h"
#include "lib/record_ring.h"

#define CAPTURE_RING_LEN (2u * 1024 * 1024) // bytes, of each thread

// What the mbuf says of its packet.
struct capture_mark {
	uint64_t word;	      // run of capture, state, number: capture.c
	uint32_t tunnel, spi; // PACKET_NO_TUNNEL, 0: not known yet
};

struct capture { // read only for workers
	struct packet_filter filter;
	bool only_drops;
	uint32_t sample, snap_len;
	uint64_t run; // tells its marks from those that an earlier capture left behind
	unsigned n_rings;
	uint64_t base_ns, base_tsc;  // control: the same moment
	struct capture_ring *shown;  // control: whose oldest record the caller has
	struct capture_ring *ring[]; // one for each worker, and the punt thread's
};

// Of one thread.
struct capture_ring {
	const struct capture *capture;
	const struct dp *dp;
	unsigned id;
	uint64_t numbered; // packets that have got a number
	uint32_t passed;   // packets that the filter fits, for the sampling
	uint64_t lost;	   // of ring.lost, said so far
	struct record_ring records;
};

// One copy in a ring; `cap_len` bytes follow.
struct capture_record {
	uint64_t tsc, id;
	uint32_t len, cap_len, tunnel, spi, lost;
	uint16_t number; // of the port or tunnel interface
	uint8_t point, reason;
	bool ethernet;
};

// The capture under way, or NULL. Good until the thread's next quiescent point.
static inline struct capture_ring *capture_load(const _Atomic(struct capture_ring *) *at)
{
	return atomic_load_explicit((_Atomic(struct capture_ring *) *)(uintptr_t)at,
				    memory_order_acquire);
}

// Control, before the first capture: reserves the mark's place in every mbuf. -errno.
int capture_register(void);
// A packet that is seen for the first time: what its mbuf says is an earlier one's.
void capture_begin(const struct capture_ring *r, struct rte_mbuf *m);
// A batch has come in from a source (enum source_type).
void capture_received(struct worker *w, enum source_type type, const struct batch *b);
// The tunnels of a batch on its way out (b->tunnel) are known.
void capture_routed(struct worker *w, const struct batch *b);
// Bare packets at a point.
void capture_batch(struct worker *w, enum dp_capture_point point, const struct batch *b);
// Frames that leave by a port; CAPTURE_BY_MBUF: by mbuf->port, which may be a tunnel interface.
#define CAPTURE_BY_MBUF UINT32_MAX
void capture_frames(struct worker *w, enum dp_capture_point point, unsigned port,
		    struct rte_mbuf **pkt, unsigned n);
// Packets that a ring or a device did not take: frames, or (not `frames`) bare ones when mbuf->port
// is a tunnel interface.
void capture_refused(struct capture_ring *r, enum drop_reason reason, bool frames,
		     struct rte_mbuf **pkt, unsigned n);
// A packet that this worker made.
void capture_made(struct worker *w, struct rte_mbuf *m);
// `m` is made of `from`: a piece of it, or the whole of which that is a fragment.
void capture_inherit(struct worker *w, const struct rte_mbuf *from, struct rte_mbuf *m);
