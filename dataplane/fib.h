// Routes and neighbours of IPv4, and own addresses of both families, as Linux has them. Routes and
// neighbours of IPv6 are in fib6.h.
//
// A route look-up is rte_lpm to a next hop. A next hop behind a gateway carries the gateway's MAC
// address; one that is on the link leads to the table of neighbours (rte_hash). Both are updated
// in place, lock-free for readers; the tables' own memory is reclaimed under rte_rcu_qsbr. The
// functions that control calls to fill it are those of dp.h: dp_local_addr_*, dp_route_*,
// dp_neigh_*.
//
// Threads:   create, destroy and dp_*: control only. The others: any worker.
// Errors:    0 or -errno; on error nothing has changed. Limits are in fib.c; -ENOSPC beyond.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>

#include "dataplane/dp_internal.h"

enum fib_result { FIB_OK, FIB_NO_ROUTE, FIB_NO_NEIGHBOUR, FIB_IFACE };

struct fib_hop {
	uint16_t port;	  // with FIB_IFACE: the tunnel interface's number
	uint32_t addr_be; // whose MAC address it is: the gateway, or the destination itself
	struct rte_ether_addr mac; // with FIB_OK
};

int fib_create(struct dp *dp); // dp->fib
// The workers must have stopped.
void fib_destroy(struct dp *dp);

// FIB_IFACE: the route leads to a tunnel interface. With FIB_NO_NEIGHBOUR, port and addr_be of *hop
// say what is missing.
enum fib_result fib_lookup(const struct fib *fib, uint32_t dst_be, struct fib_hop *hop);
// Changes whenever a route or a neighbour does.
uint32_t fib_generation(const struct fib *fib);
// Our own address on the link of a port or tunnel interface, network order; another own one when
// there is none, 0 without any.
uint32_t fib_port_addr(const struct fib *fib, unsigned port);
// Deletes the routes to a tunnel interface. Control only.
void fib_forget_iface(struct dp *dp, unsigned iface);
bool fib_is_local6(const struct fib *fib, const uint8_t addr[16]);
// The i-th of our own IPv6 addresses; false behind the last. Any worker.
bool fib_local6(const struct fib *fib, unsigned i, uint8_t out[16]);
