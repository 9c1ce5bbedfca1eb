// The kernel's neighbours on the ports' TAPs, as the dataplane has them.
//
// Threads:   control only.
// Ownership: borrows dp.
// Errors:    -ENOMEM; what dp refuses is logged and tried again at the next change.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/netlink.h"
#include "control/tally.h"
#include "dataplane/dp.h"

struct neighs;

int neighs_create(struct dp *dp, struct neighs **out);
// Leaves dp as it is.
void neighs_destroy(struct neighs *n);

// What the kernel says of a neighbour. One without a MAC address is taken from dp.
int neighs_set(struct neighs *n, uint32_t port, const struct netlink_neigh *neigh);

// A dump: everything set between begin and sweep stays, the rest goes.
void neighs_begin(struct neighs *n);
void neighs_sweep(struct neighs *n);

// Calls `each` for neighbours that were STALE when last heard of, until it returns false. The
// next call goes on where that one stopped.
void neighs_each_stale(struct neighs *n,
		       bool (*each)(uint32_t port, const struct ip_addr *a, void *ctx), void *ctx);

// Does the kernel know its MAC address, and how often has that become another one within a minute?
// NULL-safe in *changes.
bool neighs_known(struct neighs *n, uint32_t port, const struct ip_addr *a,
		  struct doctor_count *changes);
