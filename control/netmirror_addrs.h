// The addresses that the kernel has on the ports' TAPs: the dataplane's own addresses.
//
// Threads:   control only.
// Ownership: borrows dp.
// Errors:    -ENOMEM, or as dp says.
#pragma once

#include <stdint.h>

#include "control/netlink.h"
#include "dataplane/dp.h"

struct addrs {
	struct dp *dp;
	unsigned generation;
	struct own_addr {
		unsigned ifindex;
		struct ip_prefix addr;
		unsigned generation;
	} * at;
	size_t n, room;
};

void addrs_init(struct addrs *a, struct dp *dp);
// Leaves dp as it is.
void addrs_fini(struct addrs *a);
int addrs_set(struct addrs *a, const struct netlink_addr *addr);
// The dataplane keeps an address that another TAP or another prefix length still has.
int addrs_del(struct addrs *a, const struct netlink_addr *addr);
// A dump: everything set between begin and sweep stays, the rest goes.
void addrs_begin(struct addrs *a);
int addrs_sweep(struct addrs *a);
