#include "dataplane/numa.h"

#include <stdio.h>

#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

#include "dataplane/port.h"
#include "lib/log.h"

static unsigned count(const int *node, unsigned n, int which)
{
	unsigned found = 0;

	for (unsigned i = 0; i < n; i++)
		found += node[i] == which;
	return found;
}

int numa_home(const int *port, unsigned n_ports, const int *worker, unsigned n_workers)
{
	int best = SOCKET_ID_ANY;
	unsigned best_ports = 0, best_workers = 0;

	for (int node = 0; node < RTE_MAX_NUMA_NODES; node++) {
		const unsigned ports = count(port, n_ports, node);
		const unsigned workers = count(worker, n_workers, node);

		if (ports < best_ports || (ports == best_ports && workers <= best_workers))
			continue;
		best = node;
		best_ports = ports;
		best_workers = workers;
	}
	return best;
}

int numa_of_worker(const struct dp *dp, unsigned worker)
{
	return dp->cpus && dp->cpus[worker] >= 0 ? (int)rte_lcore_to_socket_id(worker + 1)
						 : SOCKET_ID_ANY;
}

// The names of ports or numbers of workers that are known to be elsewhere; "" when none is.
static void list_far(char *out, size_t size, const struct dp *dp, const int *node, unsigned n,
		     bool ports)
{
	size_t used = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < n; i++) {
		int len;

		if (node[i] < 0 || node[i] == dp->node || used >= size)
			continue;
		len = ports ? snprintf(out + used, size - used, "%s%s (node %d)", used ? ", " : "",
				       dp->ports[i].name, node[i])
			    : snprintf(out + used, size - used, "%s%u (node %d)", used ? ", " : "",
				       i, node[i]);
		used += len > 0 ? (size_t)len : 0;
	}
}

void numa_choose(struct dp *dp)
{
	int port[DP_PORTS_MAX], worker[DP_WORKERS_MAX];
	char far_ports[512], far_workers[512];

	dp->node = SOCKET_ID_ANY;
	if (rte_socket_count() < 2)
		return; // one node, and not all drivers say which
	for (unsigned i = 0; i < dp->n_ports; i++)
		port[i] = rte_eth_dev_socket_id(dp->ports[dp->ports[i].device_port].id);
	for (unsigned i = 0; i < dp->n_workers; i++)
		worker[i] = numa_of_worker(dp, i);
	dp->node = numa_home(port, dp->n_ports, worker, dp->n_workers);
	list_far(far_ports, sizeof(far_ports), dp, port, dp->n_ports, true);
	list_far(far_workers, sizeof(far_workers), dp, worker, dp->n_workers, false);
	if (far_ports[0] || far_workers[0])
		log_warn(LOG_NET,
			 "packets and SAs are on NUMA node %d, but not these ports: %s; workers: "
			 "%s. That costs time: choose CPUs (gateway.cpus) and NICs of one node",
			 dp->node, far_ports[0] ? far_ports : "none",
			 far_workers[0] ? far_workers : "none");
}

void *numa_zalloc(int node, const char *type, size_t size, size_t align)
{
	void *p = rte_zmalloc_socket(type, size, (unsigned)align, node);

	return p || node == SOCKET_ID_ANY
		       ? p
		       : rte_zmalloc_socket(type, size, (unsigned)align, SOCKET_ID_ANY);
}
