// The kernel's routes of table main, all of them, and which of them the dataplane has.
//
// Several routes to one prefix with different metrics stand side by side; the one with the lowest
// metric counts. When it goes, the next one takes its place, so all are kept here. A route that
// counts but leads nowhere near a port (another device, blackhole) is kept as well: it hides worse
// ones to the same prefix, and the dataplane gets none. Longest-prefix matching over such a prefix
// is the dataplane's: it then takes the next shorter prefix that it has.
//
// Threads:   control only.
// Ownership: borrows dp.
// Errors:    -ENOMEM; what dp refuses is logged and tried again at the next change or dump.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/netlink.h"
#include "dataplane/dp.h"

#define ROUTE_NO_PORT UINT32_MAX

struct routes;

int routes_create(struct dp *dp, struct routes **out);
// Leaves dp as it is.
void routes_destroy(struct routes *r);

// `hop` is the next hop that counts and `port` its port or tunnel interface; ROUTE_NO_PORT when it
// leads to none.
int routes_set(struct routes *r, const struct netlink_route *route, uint32_t port,
	       const struct netlink_hop *hop);
// -EAGAIN when the kernel may have another route with the same prefix and metric, which only a
// dump can tell.
int routes_del(struct routes *r, const struct ip_prefix *dst, uint32_t metric);

// A tunnel interface that goes: its routes lead nowhere from now on.
void routes_forget_port(struct routes *r, uint32_t port);

// A dump: everything set between begin and end stays and, if the dump was complete, the rest goes.
void routes_begin(struct routes *r);
void routes_end(struct routes *r, bool complete);
