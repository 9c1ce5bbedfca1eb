// What the dataplane's files share: the tables that workers read.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include <rte_rcu_qsbr.h>

#include "dataplane/dp.h"
#include "dataplane/worker.h"

struct capture;
struct deferred;
struct dummies;
struct eal;
struct fib;
struct fib6;
struct guard;
struct ifaces;
struct sad;
struct pmtu;
struct policies;
struct punt;
struct tunnels;

struct dp {
	struct port *ports; // n_ports
	unsigned n_ports;
	struct worker **workers; // n_workers
	unsigned n_workers;
	int *cpus; // of the workers, -1: not pinned
	int node;  // NUMA node of packets and tables (numa.h), SOCKET_ID_ANY: one is as good as
		   // another
	struct rte_mempool *pool;
	struct rte_mempool *large_pool; // for packets put together from fragments (reass.h)
	struct rte_rcu_qsbr *qsbr;
	struct rte_ring *events; // struct dp_event by copy, multi-producer, dropped when full
	struct fib *fib;	 // routes, neighbours, own addresses
	struct fib6 *fib6;	 // the same of IPv6, but for the addresses
	struct pmtu *pmtu;	 // what routers say of the ways to the peers
	struct sad *sad;	 // inbound SAs
	struct tunnels *tunnels; // and their outbound SAs
	struct dummies *_Atomic dummies;   // immutable but for its times (tfc.c); NULL: none
	struct policies *_Atomic policies; // immutable snapshot
	_Atomic uint32_t changes;	   // of tables but routes: dp_epoch
	struct ifaces *ifaces;		   // tunnel interfaces: control and the punt thread
	_Atomic uint32_t n_ifaces; // control: rw, workers: ro; without any, no route leads to one
	struct guard *guard;	   // of UDP/500
	struct punt *punt;
	uint64_t tsc_hz;
	enum dp_poll poll;
	bool clamp_mss;
	struct ike_mark_key ike_mark;
	atomic_bool stop; // control: rw, workers and the punt thread: ro
	struct eal *eal;
	struct capture *capture;   // control only: the one under way, or NULL
	uint16_t capture_runs;	   // control only: number of the last one
	struct deferred *deferred; // control only: what waits for a grace period, oldest first
	struct deferred **deferred_tail;
	size_t n_deferred;
	char version[128];
};

// Control has changed what workers decide by, and the change is there to be seen: what they
// remember is old.
static inline void dp_changed(struct dp *dp)
{
	atomic_fetch_add_explicit(&dp->changes, 1, memory_order_release);
}

// Another number after each change of any table. Workers.
uint32_t dp_epoch(const struct dp *dp);
// Frees `p` with `free_fn` once every worker has been quiescent. Control only. Never blocks.
void dp_defer_free(struct dp *dp, void (*free_fn)(void *), void *p);
// Worker side: reports an event; lost when the ring is full. Repeats are the caller's to limit.
void dp_event_put(struct dp *dp, const struct dp_event *ev);
// Is this one of our own addresses? (fib.c) IPv4, network order. Any worker.
bool fib_is_local(const struct fib *fib, uint32_t addr_be);
// MTU in bytes of the port that leads to an IPv4 address (network order); 0 without a route.
uint16_t fib_route_mtu(const struct dp *dp, uint32_t addr_be);
// The same for IPv6 (fib6.c).
uint16_t fib6_route_mtu(const struct dp *dp, const uint8_t addr[16]);
