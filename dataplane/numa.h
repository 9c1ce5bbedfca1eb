// Which NUMA node holds what the workers read.
//
// A packet is written by the NIC and read by the worker, so packet memory, SAs, tunnels, policies
// and routes are on one node, that of the NICs; what one worker has for itself is on its own. When
// ports and workers are on several nodes, some of them reach over: that costs time, and one line of
// the log says what to do. More than one pool would take the drivers' fast way to free packets
// (RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE) and still leave one of the two ends of a packet's way remote.
//
// Threads:   control, at the start; numa_zalloc: control.
// Errors:    none: memory of another node is better than none.
#pragma once

#include <stddef.h>

#include "dataplane/dp_internal.h"

// The node of most ports that have one, and of these that of most workers, then the lowest; without
// such ports that of most workers. `port` and `worker`: nodes, below 0: unknown. SOCKET_ID_ANY when
// nothing is known. Pure.
int numa_home(const int *port, unsigned n_ports, const int *worker, unsigned n_workers);
// Sets dp->node, when the devices have been opened and the workers' CPUs are known; logs who is on
// another node.
void numa_choose(struct dp *dp);
// Zeroed memory on a node, or on any other if that has none. NULL: there is none. rte_free().
void *numa_zalloc(int node, const char *type, size_t size, size_t align);
// The node of a worker's CPU; SOCKET_ID_ANY when it is not pinned.
int numa_of_worker(const struct dp *dp, unsigned worker);
