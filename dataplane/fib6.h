// Routes and neighbours of IPv6.
//
// Prefixes of one length stand together in one rte_hash under (prefix, length); a look-up tries the
// lengths that are in use, the longest first. A gateway's table has few of them (/128, /64, /48 and
// /0, say), and all packets of a batch to the same peer look up once (route.c). The next hop's MAC
// address is looked up each time, so a neighbour that changes is one store. The table of the own
// addresses is in fib.c, as is what control calls: dp_route_*, dp_neigh_*.
//
// Threads:   create, destroy, set and del: control only. lookup: any worker.
// Ownership: routes are freed once every worker has been quiescent.
// Errors:    0 or -errno; on error nothing has changed. -ENOSPC beyond the limits in fib6.c.
#pragma once

#include <stdint.h>

#include <rte_ether.h>

#include "dataplane/dp_internal.h"
#include "dataplane/fib.h"

struct fib6_hop {
	uint16_t port;	  // with FIB_IFACE: the tunnel interface's number
	uint8_t addr[16]; // whose MAC address it is: the gateway, or the destination itself
	struct rte_ether_addr mac; // with FIB_OK
};

int fib6_create(struct dp *dp); // dp->fib6
// The workers must have stopped.
void fib6_destroy(struct dp *dp);

// FIB_IFACE: the route leads to a tunnel interface. With FIB_NO_NEIGHBOUR, port and addr of *hop
// say what is missing.
enum fib_result fib6_lookup(const struct fib6 *fib, const uint8_t dst[16], struct fib6_hop *hop);

// Our own address on the link of a port; another own one when there is none; false without any. Of
// link-local ones none. Seldom asked for: it looks at all of them. Any worker.
bool fib6_port_addr(const struct dp *dp, unsigned port, uint8_t out[16]);

int fib6_route_set(struct dp *dp, const struct dp_route *r);
int fib6_route_del(struct dp *dp, const struct ip_prefix *p);
// Deletes the routes to a tunnel interface. Control only.
void fib6_forget_iface(struct dp *dp, unsigned iface);
int fib6_neigh_set(struct dp *dp, unsigned port, const struct ip_addr *a, const struct mac_addr *m);
int fib6_neigh_del(struct dp *dp, unsigned port, const struct ip_addr *a);
// Copies up to `max` routes; returns how many there are.
size_t fib6_routes(const struct dp *dp, struct dp_route_info *out, size_t max);
