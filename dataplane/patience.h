// How a worker without work waits, in adaptive mode: spin or nap, and how long.
//
// It spins when the packets before came close together, as in a flow or in a quick exchange of
// small ones, and naps when they did not: the next lone packet is too far away to be worth the CPU.
// Only traffic counts, what goes through tunnels or is forwarded. What Linux sends and gets itself
// (IKE, routing protocols, ARP) waits for the punt thread ten times as long as for a long nap.
//
// Threads: of one worker. Pure: time comes as an argument.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	PATIENCE_SPIN_US = 50, // silences shorter than that are spun through
	PATIENCE_NAP_MIN_US = 20,
	PATIENCE_NAP_MAX_US = 100,
};

struct patience {
	uint64_t traffic_tsc; // of the last packet of traffic
	uint64_t spin_tsc;    // PATIENCE_SPIN_US
	bool spins;	      // through this silence
	long nap_us;	      // the next one
};

static inline struct patience patience_new(uint64_t tsc_hz)
{
	return (struct patience){
		.spin_tsc = tsc_hz / 1000000 * PATIENCE_SPIN_US,
		.nap_us = PATIENCE_NAP_MIN_US,
	};
}

// There was work; `traffic`: how many packets of it were traffic.
static inline void patience_worked(struct patience *p, uint64_t now_tsc, unsigned traffic)
{
	if (traffic == 0)
		return;
	p->spins = now_tsc - p->traffic_tsc < p->spin_tsc;
	p->traffic_tsc = now_tsc;
	p->nap_us = PATIENCE_NAP_MIN_US;
}

// There was none. Returns how long to nap, in microseconds, or 0: spin.
static inline long patience_idle(struct patience *p, uint64_t now_tsc)
{
	const long nap_us = p->nap_us;

	if (p->spins && now_tsc - p->traffic_tsc < p->spin_tsc)
		return 0;
	// By a quarter: what a packet waits for stays a part of the silence before it.
	p->nap_us += nap_us / 4;
	if (p->nap_us > PATIENCE_NAP_MAX_US)
		p->nap_us = PATIENCE_NAP_MAX_US;
	return nap_us;
}
