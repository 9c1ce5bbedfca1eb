// Tunnel interfaces: how routes lead into tunnels (RFC 4301 4.4.1: one SPD for each interface).
//
// Each is a TUN device of Linux. Workers know it by its number alone: a next hop has it (fib.h), an
// inbound SA has it (sad.h), the policies have a list for it (policy.h), and their counters stand
// under it. The device itself is read and written by the punt thread.
//
// Threads:   dp_iface_* (dp.h), create, destroy: control. iface_get: control and the punt thread,
//            until its next quiescent point. iface_any and the counters: any worker.
// Ownership: a device that was taken away is closed once the punt thread has been quiescent.
// Errors:    0 or -errno; on error nothing has changed.
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/dp_internal.h"

struct iface {
	char name[IFNAMSIZ];
	unsigned number;
	unsigned ifindex;
	int fd;
	counter to_linux_packets, from_linux_packets; // punt thread
	struct iface_sum {			      // of all workers
		uint64_t in_packets, in_bytes, out_packets, out_bytes;
	} before; // control: what whoever had the number left behind
};

struct ifaces {
	_Atomic(struct iface *) slot[DP_IFACES_MAX]; // control: rw, punt thread: ro
	unsigned next; // control: where the search for a free slot goes on, so that a number is
		       // not used again soon
};

int ifaces_create(struct dp *dp); // dp->ifaces
// Closes all. The workers and the punt thread must have stopped.
void ifaces_destroy(struct dp *dp);

// NULL when there is none of that number.
struct iface *iface_get(const struct dp *dp, unsigned number);
bool iface_exists(const struct dp *dp, unsigned number);
// The port whose ring takes what Linux sends to the interface.
unsigned iface_port(const struct dp *dp, unsigned number);

// Without a tunnel interface no route has to be looked up for it.
static inline bool iface_any(const struct dp *dp)
{
	return atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)&dp->n_ifaces,
				    memory_order_relaxed) > 0;
}

static inline void iface_count_in(struct worker *w, unsigned number, uint32_t len)
{
	struct iface_count *c = &w->iface_count[number - DP_IFACE_FIRST];

	counter_add(&c->in_packets, 1);
	counter_add(&c->in_bytes, len);
}

static inline void iface_count_out(struct worker *w, unsigned number, uint32_t len)
{
	struct iface_count *c = &w->iface_count[number - DP_IFACE_FIRST];

	counter_add(&c->out_packets, 1);
	counter_add(&c->out_bytes, len);
}
