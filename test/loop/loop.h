// A whole dataplane whose packets go round, for tests and benchmarks of many tunnels and workers.
//
//   generator -> lan: policy, esp_out -> wan -. (outer addresses change places)
//   counted   <- wan: esp_out, policy, esp_in <'
//
// Everything is loaded through dp.h and done by real workers on two net_null ports; what a port
// receives, and what becomes of what it sends, is done by callbacks of its queues (rte_ethdev) in
// the workers themselves. The outbound SA of a tunnel is its inbound SA as well. A packet from the
// LAN enters its tunnel, comes back on the WAN as if the peer had sent it, leaves the tunnel, is
// due for the same tunnel once more (a hub's way), and is counted when it reaches the WAN again. So
// each packet is encrypted twice and decrypted once, and none that is missing goes unnoticed.
//
// Threads:   every function is called by one thread, as dp.h wants it. The callbacks are in
//            loop_device.c.
// Ownership: one loop per process, as EAL starts once.
// Errors:    a call that fails ends the process with a sentence: this is no part of the product.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/dp.h"

#define LOOP_WORKERS_MAX 4
#define LOOP_ARMS_MAX	 8
#define LOOP_ROUND_STEPS 10
#define LOOP_CPU_US                                                                                \
	500 // rounds are counted for each microsecond of CPU time; longer ones in the last

enum loop_spread {
	LOOP_BY_SPI,  // as a NIC does that hashes the SPI: an SA's packets come by one queue
	LOOP_BY_TURN, // packet by packet: whoever owns an SA, others get most of its packets
};

struct loop_params {
	unsigned workers;
	unsigned tunnels;   // with traffic
	unsigned in_flight; // packets under way at a time, for each worker
	enum loop_spread spread;
	uint16_t len; // bytes of inner packet
	unsigned memory_mb;
	bool busy;	      // the workers spin
	const uint16_t *cpus; // pinned one worker each, or NULL
};

// How long the rounds of a worker took, from one poll of its LAN queue to the next.
struct loop_rounds {
	uint64_t rounds;
	// The time that passed, and of this the thread's own CPU time: a thread that the kernel has
	// taken its CPU from does not stall by anything that the dataplane does.
	uint64_t max_ns, max_cpu_ns;
	uint64_t longer[LOOP_ROUND_STEPS], cpu_longer[LOOP_ROUND_STEPS]; // than loop_step_ns[]
	uint32_t cpu_us[LOOP_CPU_US + 1];
};

extern const uint64_t loop_step_ns[LOOP_ROUND_STEPS];

struct loop_counts {
	uint64_t sent, delivered;
	uint64_t misdirected; // left towards another tunnel's peer
	uint64_t queue_full;  // by which the loop itself lost packets
	uint64_t drops[DROP_REASON_COUNT];
	uint64_t handed_over; // to the worker that owns the SA
};

// Starts the dataplane with one policy, outbound and inbound SA for each tunnel, and no traffic.
struct dp *loop_start(const struct loop_params *params);
void loop_stop(void);

// Traffic over all tunnels in turn, as many packets as fit into in_flight at a time, until
// loop_pause, which waits until nothing is under way any more. False: packets are missing.
void loop_run(void);
bool loop_pause(void);
struct loop_counts loop_counts(void);
// From now on rounds count for that arm of a comparison.
void loop_set_arm(unsigned arm);
struct loop_rounds loop_rounds(unsigned worker, unsigned arm);
// Packets of a tunnel that were delivered.
uint64_t loop_delivered_of(unsigned tunnel);

// Gives a tunnel a new pair of SAs, as a rekey does: inbound first, then outbound, and the old
// inbound one stays until no packet that could have taken the old outbound one is under way.
// False, with nothing changed: those of the replacement before are still under way.
bool loop_replace(unsigned tunnel);
// Takes away what was replaced and has no packets under way any more. Returns how many still have.
unsigned loop_retire(void);

// One more tunnel without traffic, with SAs, and all policies set again; and away with it. Not more
// than LOOP_SPARES at a time.
#define LOOP_SPARES 64
void loop_spare_add(unsigned spare);
void loop_spare_del(unsigned spare);
// One more inbound SA of a tunnel, as an old one that the peer has not deleted.
void loop_extra_in(unsigned tunnel);
