// What loop.c and loop_device.c share.
#pragma once

#include <stdatomic.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dataplane/dp_internal.h"
#include "test/loop/loop.h"

#define LOOP_LAN     0
#define LOOP_WAN     1
#define LOOP_STASH   1024	 // packets
#define LOOP_HOST    0x0a010001u // 10.1.0.1, in the LAN
#define LOOP_SITES   0x14000000u // 20.0.0.0: the tunnels' sites, a /24 each
#define LOOP_PEERS   0xc6120000u // 198.18.0.0
#define LOOP_OWN     0xcb007101u // 203.0.113.1
#define LOOP_GATEWAY 0xcb007102u

struct loop_tunnel {
	uint32_t id;  // the dataplane's
	uint32_t spi; // of its pair of SAs
	uint32_t old; // inbound SPI that waits for its last packets, or 0
	// A replacement changes the epoch; packets count for the one they were made in.
	_Atomic uint32_t epoch;
	_Atomic uint32_t under_way[2]; // packets, by the lowest bit of the epoch
	_Atomic uint64_t delivered;
};

// Of one worker: its queue of either port.
struct loop_queue {
	_Alignas(64) unsigned n;  // its number
	uint64_t now_tsc, cpu_ns; // of the last round
	unsigned arm, next, turn;
	struct rte_mbuf *stash[LOOP_STASH]; // sent in this round: still in the driver's hands
	unsigned n_stash;
	struct rte_ring *ring; // to be received on the WAN
	struct loop_rounds rounds[LOOP_ARMS_MAX];
	counter sent, misdirected, queue_full;
	_Alignas(64) _Atomic uint64_t delivered; // of those which this worker sent; by any worker
};

struct loop {
	struct loop_params params;
	struct dp *dp;
	struct mac_addr mac[2];
	struct loop_tunnel *tunnel; // with traffic, then the spares
	unsigned *order;	    // the tunnels as they take turns
	struct loop_queue *queue;   // one per worker
	_Atomic bool running;
	_Atomic unsigned arm;
	uint64_t ns_per_tsc_32; // times 2^32
};

extern struct loop loop;

// Puts the callbacks on the queues of both ports.
void loop_device_attach(void);
