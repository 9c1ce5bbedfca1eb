#include "dataplane/telemetry.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_telemetry.h>
#include <rte_version.h>

#include "dataplane/dp_internal.h"
#include "dataplane/port.h"
#include "dataplane/sad.h"

static struct {
	pthread_mutex_t lock;
	struct dp *dp; // NULL: not running
} running = {.lock = PTHREAD_MUTEX_INITIALIZER};

// Names may only have letters, digits, '_' and '/'.
static void add(struct rte_tel_data *d, const char *name, uint64_t value)
{
	char text[DP_NAME_MAX];
	size_t i;

	for (i = 0; name[i] && i < sizeof(text) - 1; i++)
		text[i] = name[i] == '-' || name[i] == '.' ? '_' : name[i];
	text[i] = '\0';
#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
	rte_tel_data_add_dict_uint(d, text, value);
#else
	rte_tel_data_add_dict_u64(d, text, value);
#endif
}

// The parameter as a number below `n`; -EINVAL.
static int index_of(const char *params, unsigned n)
{
	char *end;
	unsigned long v;

	if (!params || *params < '0' || *params > '9')
		return -EINVAL;
	v = strtoul(params, &end, 10);
	return *end || v >= n ? -EINVAL : (int)v;
}

static void put_drops(struct rte_tel_data *d, const uint64_t count[DROP_REASON_COUNT])
{
	for (unsigned i = 0; i < DROP_REASON_COUNT; i++)
		add(d, dp_drop_name((enum drop_reason)i), count[i]);
}

static int put_all_drops(const struct dp *dp, const char *params, struct rte_tel_data *d)
{
	uint64_t count[DROP_REASON_COUNT];

	(void)params;
	dp_drops(dp, count);
	put_drops(d, count);
	return 0;
}

static int put_workers(const struct dp *dp, const char *params, struct rte_tel_data *d)
{
	(void)params;
	add(d, "workers", dp->n_workers);
	return 0;
}

static int put_worker(const struct dp *dp, const char *params, struct rte_tel_data *d)
{
	const int i = index_of(params, dp->n_workers);
	uint64_t count[DROP_REASON_COUNT];
	struct dp_worker_info w;
	struct rte_tel_data *drops;

	if (i < 0)
		return i;
	dp_worker_info(dp, (unsigned)i, &w);
	add(d, "lcore", w.lcore);
	add(d, "packets", w.packets);
	add(d, "batches", w.batches);
	add(d, "esp_in_packets", w.esp_in_packets);
	add(d, "esp_out_packets", w.esp_out_packets);
	add(d, "cut_packets", w.cut_packets);
	add(d, "cut_pieces", w.cut_pieces);
	add(d, "whole_packets", w.whole_packets);
	add(d, "whole_pieces", w.whole_pieces);
	add(d, "icmp_errors", w.icmp_errors);
	add(d, "busy_cycles", w.busy_cycles);
	add(d, "idle_cycles", w.idle_cycles);
	add(d, "sleeps", w.sleeps);
	drops = rte_tel_data_alloc();
	if (!drops)
		return -ENOMEM;
	rte_tel_data_start_dict(drops);
	dp_worker_drops(dp, (unsigned)i, count);
	put_drops(drops, count);
	return rte_tel_data_add_dict_container(d, "drops", drops, 0);
}

// By their names, with the number that /ethdev/... wants.
static int put_ports(const struct dp *dp, const char *params, struct rte_tel_data *d)
{
	(void)params;
	for (unsigned i = 0; i < dp->n_ports; i++)
		add(d, dp->ports[i].name, dp->ports[i].id);
	return 0;
}

static int put_port(const struct dp *dp, const char *params, struct rte_tel_data *d)
{
	struct dp_port_info p;
	unsigned i = 0;

	while (i < dp->n_ports && (!params || strcmp(params, dp->ports[i].name) != 0))
		i++;
	if (dp_port_info(dp, i, &p))
		return -EINVAL;
	add(d, "ethdev", dp->ports[i].id);
	add(d, "link_up", p.link_up);
	add(d, "rx_packets", p.rx_packets);
	add(d, "rx_bytes", p.rx_bytes);
	add(d, "tx_packets", p.tx_packets);
	add(d, "tx_bytes", p.tx_bytes);
	add(d, "rx_missed", p.rx_missed);
	add(d, "rx_errors", p.rx_errors);
	add(d, "tx_errors", p.tx_errors);
	add(d, "to_linux_packets", p.punt_packets);
	add(d, "from_linux_packets", p.from_linux_packets);
	return 0;
}

static int put_sas(const struct dp *dp, const char *params, struct rte_tel_data *d)
{
	(void)params;
	add(d, "inbound", atomic_load_explicit(&dp->sad->used, memory_order_relaxed));
	return 0;
}

static const struct {
	const char *command;
	int (*put)(const struct dp *dp, const char *params, struct rte_tel_data *d);
	const char *help;
} commands[] = {
	{"/port500/drops", put_all_drops, "Dropped packets by reason. Takes no parameters"},
	{"/port500/workers", put_workers, "How many workers there are. Takes no parameters"},
	{"/port500/worker", put_worker, "Counters of a worker. Parameter: its number, from 0"},
	{"/port500/ports", put_ports, "Ports with their numbers in /ethdev. Takes no parameters"},
	{"/port500/port", put_port, "Counters of a port. Parameter: its name"},
	{"/port500/sas", put_sas, "Inbound SAs that there are. Takes no parameters"},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int answer(const char *command, const char *params, struct rte_tel_data *d)
{
	int ret = -EINVAL;

	rte_tel_data_start_dict(d);
	pthread_mutex_lock(&running.lock);
	for (size_t i = 0; i < COMMANDS && running.dp; i++)
		if (strcmp(command, commands[i].command) == 0)
			ret = commands[i].put(running.dp, params, d);
	pthread_mutex_unlock(&running.lock);
	return ret;
}

void telemetry_start(struct dp *dp)
{
	pthread_mutex_lock(&running.lock);
	running.dp = dp;
	pthread_mutex_unlock(&running.lock);
	for (size_t i = 0; i < COMMANDS; i++)
		rte_telemetry_register_cmd(commands[i].command, answer, commands[i].help);
}

void telemetry_stop(void)
{
	pthread_mutex_lock(&running.lock);
	running.dp = NULL;
	pthread_mutex_unlock(&running.lock);
}
