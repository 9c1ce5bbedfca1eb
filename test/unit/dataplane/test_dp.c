// Starting and stopping the whole dataplane on devices that need no hardware and no privilege, and
// what is said when it cannot start.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_eal.h>

#include "dataplane/dp.h"
#include "dataplane/dp_internal.h"
#include "dataplane/worker.h"

static char prefix[64];

static const struct dp_port_params null_ports[] = {
	{.name = "lan", .device = "net_null0,no-rx=1", .mtu = 1500},
	{.name = "wan", .device = "net_null1,no-rx=1", .mtu = 1400},
};

static struct dp_params params_of(const struct dp_port_params *ports, unsigned n)
{
	snprintf(prefix, sizeof(prefix), "testdp%d", (int)getpid());
	return (struct dp_params){
		.ports = ports,
		.n_ports = n,
		.workers = 2,
		.memory_mb = 160,
		.hugepages = DP_HUGEPAGES_OFF,
		.file_prefix = prefix,
		.eal_args = "",
	};
}

// The error must be that one, and its sentence must hold these words.
static void refuse(const struct dp_params *p, int code, const char *const *words)
{
	struct error err = {{0}};
	struct dp *dp = NULL;

	assert_int_equal(dp_start(p, &dp, &err), code);
	assert_null(dp);
	for (; *words; words++)
		if (!strstr(err.text, *words))
			fail_msg("'%s' is not in: %s", *words, err.text);
}

#define REFUSE(p, code, ...) refuse(p, code, (const char *const[]){__VA_ARGS__, NULL})

// These all fail before EAL, so that one process can try them all.
static void test_what_is_refused_before_dpdk_starts(void **state)
{
	struct dp_port_params port = {.name = "lan", .mtu = 1500};
	const struct dp_port_params twins[] = {null_ports[0], null_ports[0]},
				    same_device[] = {
					    null_ports[0],
					    {.name = "wan", .device = "net_null0", .mtu = 1500}};
	struct dp_params p = params_of(&port, 1);
	const uint16_t no_cpu[] = {1000, 1001};

	(void)state;
	port.device = "net_af_packet0,iface=loo";
	REFUSE(&p, -ENODEV, "port lan", "no interface 'loo'", "did you mean 'lo'?");
	port.device = "net_tap0,iface=lo";
	REFUSE(&p, -EEXIST, "port lan", "makes an interface 'lo'", "choose another name");
	port.device = "0000:fe:1f.7";
	REFUSE(&p, -ENODEV, "port lan", "no PCI device 0000:fe:1f.7", "lspci");
	port.device = "fe:1f.7";
	REFUSE(&p, -ENODEV, "no PCI device 0000:fe:1f.7");
	port.device = "net_null0";
	port.tap = true;
	port.name = "lo";
	REFUSE(&p, -EEXIST, "port lo", "already has an interface 'lo'");
	port.name = "a-name-of-sixteen";
	REFUSE(&p, -EINVAL, "shorter than 16");
	port.name = "lan";
	port.tap = false;
	p.memory_mb = 1 << 30;
	REFUSE(&p, -ENOMEM, "MB left");
	p.memory_mb = 1 << 25;
	p.hugepages = DP_HUGEPAGES_ON;
	REFUSE(&p, -ENOMEM, "vm.nr_hugepages");
	p = params_of(&port, 1);
	p.cpus = no_cpu;
	p.n_cpus = 2;
	REFUSE(&p, -EINVAL, "CPU 1000");
	p.n_cpus = 1;
	REFUSE(&p, -EINVAL, "2 workers", "1 CPU");
	p = params_of(twins, 2);
	REFUSE(&p, -EEXIST, "name 'lan'");
	p = params_of(same_device, 2);
	REFUSE(&p, -EEXIST, "lan and wan", "net_null0");
	p = params_of(null_ports, 2);
	p.workers = 0;
	REFUSE(&p, -EINVAL, "workers");
	p.workers = DP_WORKERS_MAX + 1;
	REFUSE(&p, -EINVAL, "workers");
	p = params_of(null_ports, 0);
	REFUSE(&p, -EINVAL, "ports");
	p = params_of(null_ports, DP_PORTS_MAX + 1); // none is looked at
	REFUSE(&p, -EINVAL, "ports");
}

// Every queue is polled by one worker, and each worker has one of either port.
static void check_queues(struct dp *dp)
{
	unsigned seen[2][2] = {{0}};

	for (unsigned i = 0; i < 2; i++) {
		const struct worker *w = dp->workers[i];
		unsigned n = 0;

		for (unsigned s = 0; s < w->n_sources; s++) {
			if (w->source[s].type != SOURCE_NIC)
				continue;
			seen[w->source[s].port][w->source[s].queue]++;
			n++;
		}
		assert_int_equal(n, 2);
	}
	for (unsigned p = 0; p < 2; p++)
		for (unsigned q = 0; q < 2; q++)
			assert_int_equal(seen[p][q], 1);
}

static void check_running(struct dp *dp)
{
	struct dp_worker_info before[2], after;
	struct dp_port_info port;
	const char *why = NULL;
	uint64_t drops[DROP_REASON_COUNT];

	assert_false(dp_has_hugepages(dp, &why));
	assert_non_null(strstr(why, "hugepages are turned off"));
	assert_non_null(strstr(dp_version(dp), "DPDK "));
	assert_non_null(strstr(dp_version(dp), "intel-ipsec-mb"));
	assert_int_equal(dp_port_count(dp), 2);
	assert_int_equal(dp_port_info(dp, 1, &port), 0);
	assert_string_equal(port.name, "wan");
	assert_string_equal(port.driver, "net_null");
	assert_int_equal(port.mtu, 1400);
	assert_int_equal(port.rx_queues, 2); // it offers RSS: one for each worker
	assert_int_equal(port.tap_ifindex, 0);
	assert_int_equal(dp_port_info(dp, 2, &port), -ENOENT);
	assert_int_equal(dp_worker_count(dp), 2);
	check_queues(dp);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(dp_worker_info(dp, i, &before[i]), 0);
		assert_int_equal(before[i].cpu, -1);
		assert_int_equal(before[i].lcore, i + 1);
	}
	for (unsigned i = 0; i < 2; i++) {
		// On a busy machine a worker may wait long for its turn.
		for (unsigned ms = 0; ms < 10000; ms += 10) {
			dp_worker_info(dp, i, &after);
			if (after.sleeps > before[i].sleeps)
				break;
			usleep(10000);
		}
		assert_true(after.idle_cycles > before[i].idle_cycles);
		assert_true(after.sleeps > before[i].sleeps);
	}
	assert_int_equal(dp_worker_info(dp, 2, &after), -ENOENT);
	dp_drops(dp, drops);
	for (unsigned r = 0; r < DROP_REASON_COUNT; r++)
		assert_int_equal(drops[r], 0);
}

static void check_grace_periods(struct dp *dp)
{
	const struct ip_addr a = ip_addr_v4(0x0a010001);

	assert_int_equal(dp_local_addr_add(dp, &a), 0);
	assert_non_null(dp->deferred);
	for (unsigned i = 0; i < 1000 && dp->deferred; i++) {
		usleep(1000);
		dp_housekeeping(dp);
	}
	assert_null(dp->deferred); // both workers came by, or slept
}

static void check_events(struct dp *dp)
{
	const struct dp_event ev = {.type = DP_EV_NO_SA, .tunnel = 77};
	struct pollfd fd = {.fd = dp_event_fd(dp), .events = POLLIN};
	struct dp_event got[4];

	assert_int_equal(poll(&fd, 1, 0), 0);
	dp_event_put(dp, &ev);
	dp_event_put(dp, &ev);
	assert_int_equal(poll(&fd, 1, 2000), 1); // the punt thread rings
	assert_int_equal(dp_events(dp, got, 4), 2);
	assert_int_equal(got[1].type, DP_EV_NO_SA);
	assert_int_equal(got[1].tunnel, 77);
	usleep(20000);
	dp_events(dp, got, 4); // it may have rung once more
	assert_int_equal(poll(&fd, 1, 20), 0);
	for (unsigned i = 0; i < 5000; i++)
		dp_event_put(dp, &ev); // full: lost, and nobody waits
	assert_int_equal(dp_events(dp, got, 4), 4);
}

static void test_start_run_stop(void **state)
{
	const struct dp_params p = params_of(null_ports, 2);
	struct error err = {{0}};
	struct dp *dp = NULL;
	struct stat st;
	char dir[256];

	(void)state;
	if (dp_start(&p, &dp, &err))
		fail_msg("%s", err.text);
	snprintf(dir, sizeof(dir), "%s", rte_eal_get_runtime_dir());
	check_running(dp);
	check_grace_periods(dp);
	check_events(dp);
	dp_stop(dp);
	assert_int_equal(stat(dir, &st), -1); // nothing stays behind
}

static void test_every_drop_reason_has_a_name(void **state)
{
	(void)state;
	for (unsigned r = 0; r < DROP_REASON_COUNT; r++) {
		const char *name = dp_drop_name((enum drop_reason)r);

		assert_true(strlen(name) > 3);
		assert_true(strlen(dp_drop_help((enum drop_reason)r)) > 10);
		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz-0123456789"),
				 strlen(name));
		for (unsigned k = 0; k < r; k++)
			assert_string_not_equal(dp_drop_name((enum drop_reason)k), name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_refused_before_dpdk_starts),
		cmocka_unit_test(test_start_run_stop), // EAL starts once per process
		cmocka_unit_test(test_every_drop_reason_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
