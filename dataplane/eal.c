#include "dataplane/eal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>

#include "dataplane/device.h"
#include "lib/log.h"

// ---- DPDK's log lines ----

static struct {
	pthread_mutex_t lock;
	FILE *stream;
	bool collecting; // at start: lines are kept for the error sentence
	char kept[400];	 // fits into a struct error with room for the rest
	char line[512];	 // not yet ended
	size_t line_len;
} eal_log = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void keep_line(const char *line)
{
	size_t len = strlen(eal_log.kept);

	// Said for every kind of page and every start without hugepages: no news.
	if (strstr(line, "hugepages reported") || strstr(line, "No available"))
		return;
	snprintf(eal_log.kept + len, sizeof(eal_log.kept) - len, "%s%s", len ? "; " : "", line);
}

static void end_line(void)
{
	const bool bad = rte_log_cur_msg_loglevel() <= (int)RTE_LOG_WARNING;

	eal_log.line[eal_log.line_len] = '\0';
	eal_log.line_len = 0;
	if (!eal_log.line[0])
		return;
	if (bad && eal_log.collecting)
		keep_line(eal_log.line);
	if (bad && !eal_log.collecting)
		log_warn(LOG_NET, "DPDK: %s", eal_log.line);
	else
		log_debug(LOG_NET, "DPDK: %s", eal_log.line);
}

static ssize_t log_stream_write(void *cookie, const char *buf, size_t size)
{
	(void)cookie;
	pthread_mutex_lock(&eal_log.lock);
	for (size_t i = 0; i < size; i++) {
		if (buf[i] == '\n')
			end_line();
		else if (eal_log.line_len < sizeof(eal_log.line) - 1)
			eal_log.line[eal_log.line_len++] = buf[i];
	}
	pthread_mutex_unlock(&eal_log.lock);
	return (ssize_t)size;
}

static void open_log(void)
{
	const cookie_io_functions_t io = {.write = log_stream_write};

	eal_log.collecting = true;
	eal_log.stream = fopencookie(NULL, "w", io);
	if (!eal_log.stream)
		return;
	setvbuf(eal_log.stream, NULL, _IOLBF, 0);
	rte_openlog_stream(eal_log.stream);
}

static void close_log(void)
{
	if (!eal_log.stream)
		return;
	rte_openlog_stream(NULL);
	fclose(eal_log.stream);
	eal_log.stream = NULL;
}

const char *eal_log_text(void)
{
	return eal_log.kept;
}

void eal_log_clear(void)
{
	eal_log.kept[0] = '\0';
}

void eal_log_started(void)
{
	eal_log.collecting = false;
}

// ---- memory ----

static unsigned long read_number(const char *path)
{
	FILE *f = fopen(path, "re");
	unsigned long n = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%lu", &n) != 1)
		n = 0;
	fclose(f);
	return n;
}

static unsigned long free_hugepages_mb(void)
{
	static const char root[] = "/sys/kernel/mm/hugepages";
	unsigned long mb = 0, kb;
	struct dirent *e;
	char path[512];
	DIR *d = opendir(root);

	if (!d)
		return 0;
	while ((e = readdir(d)) != NULL) {
		if (sscanf(e->d_name, "hugepages-%lukB", &kb) != 1)
			continue;
		snprintf(path, sizeof(path), "%s/%s/free_hugepages", root, e->d_name);
		mb += read_number(path) * kb / 1024;
	}
	closedir(d);
	return mb;
}

static unsigned long available_mb(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long kb = 0;
	char line[128];

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %lu kB", &kb) == 1)
			break;
	fclose(f);
	return kb / 1024;
}

static int choose_memory(struct eal *eal, const struct dp_params *p, struct error *err)
{
	unsigned long huge_mb = free_hugepages_mb(), mb = available_mb();

	eal->hugepages = p->hugepages != DP_HUGEPAGES_OFF && huge_mb >= p->memory_mb;
	if (eal->hugepages)
		return 0;
	if (p->hugepages == DP_HUGEPAGES_ON)
		return error_set(
			err, -ENOMEM,
			"hugepages are asked for, but only %lu MB of them are free and "
			"%u MB are needed: set aside more (sysctl vm.nr_hugepages=%u), ask "
			"for less memory, or set hugepages to auto",
			huge_mb, p->memory_mb, p->memory_mb / 2 + 1);
	if (mb && p->memory_mb > mb)
		return error_set(err, -ENOMEM,
				 "%u MB of packet memory are asked for, but this machine has only "
				 "%lu MB left: ask for less memory or stop something else",
				 p->memory_mb, mb);
	snprintf(eal->why_not, sizeof(eal->why_not),
		 "%s, so packet memory is in ordinary 4 kB pages: every packet costs more TLB "
		 "misses, and a PCI device works only behind an IOMMU%s",
		 p->hugepages == DP_HUGEPAGES_OFF ? "hugepages are turned off"
						  : "not enough free hugepages",
		 p->hugepages == DP_HUGEPAGES_OFF ? ""
						  : " (sysctl vm.nr_hugepages sets some aside)");
	return 0;
}

// ---- arguments ----

#define ARGS_MAX 128

struct args {
	int n;
	char *arg[ARGS_MAX + 1];
	bool failed;
};

__attribute__((format(printf, 2, 3))) static void add_arg(struct args *a, const char *fmt, ...)
{
	va_list ap;
	char *text;
	int len;

	va_start(ap, fmt);
	len = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (len < 0 || a->n == ARGS_MAX) {
		if (len >= 0)
			free(text);
		a->failed = true;
		return;
	}
	a->arg[a->n++] = text;
}

static void free_args(struct args *a)
{
	for (int i = 0; i < a->n; i++)
		free(a->arg[i]);
}

// "0,1,2" of a set of CPUs.
static void format_cpus(const cpu_set_t *set, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = '\0';
	for (unsigned c = 0; c < CPU_SETSIZE && len < size; c++)
		if (CPU_ISSET(c, set))
			len += (size_t)snprintf(buf + len, size - len, "%s%u", len ? "," : "", c);
}

// lcore 0 (control) on every CPU that no worker is pinned to; worker i on lcore i + 1, on its own
// CPU or on any.
static int add_lcores(struct args *a, const struct dp_params *p, struct error *err)
{
	char all[4096], control[4096], text[16384];
	cpu_set_t allowed, rest;
	size_t len;

	if (p->n_cpus && p->n_cpus < p->workers)
		return error_set(err, -EINVAL, "%u workers cannot be pinned to %u CPUs", p->workers,
				 p->n_cpus);
	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
		return error_set(err, -errno, "cannot find out which CPUs may be used: %s",
				 strerror(errno));
	rest = allowed;
	for (unsigned i = 0; i < p->workers && p->n_cpus; i++) {
		if (p->cpus[i] >= CPU_SETSIZE || !CPU_ISSET(p->cpus[i], &allowed)) {
			format_cpus(&allowed, all, sizeof(all));
			return error_set(err, -EINVAL,
					 "CPU %u does not exist or may not be used: choose among "
					 "%s",
					 p->cpus[i], all);
		}
		CPU_CLR(p->cpus[i], &rest);
	}
	if (CPU_COUNT(&rest) == 0)
		rest = allowed;
	format_cpus(&allowed, all, sizeof(all));
	format_cpus(&rest, control, sizeof(control));
	len = (size_t)snprintf(text, sizeof(text), "0@(%s)", control);
	for (unsigned i = 0; i < p->workers && len < sizeof(text); i++) {
		if (p->n_cpus)
			len += (size_t)snprintf(text + len, sizeof(text) - len, ",%u@%u", i + 1,
						p->cpus[i]);
		else
			len += (size_t)snprintf(text + len, sizeof(text) - len, ",%u@(%s)", i + 1,
						all);
	}
	if (len >= sizeof(text))
		return error_set(err, -E2BIG, "too many workers for so many CPUs: pin them (cpus)");
	add_arg(a, "--lcores=%s", text);
	return 0;
}

static void add_devices(struct args *a, const struct dp_params *p)
{
	bool pci = false;

	for (unsigned i = 0; i < p->n_ports; i++) {
		if (!device_is_pci(p->ports[i].device) || device_first(p->ports, i) != i)
			continue;
		pci = true;
		add_arg(a, "--allow=%s", p->ports[i].device);
	}
	if (!pci)
		add_arg(a, "--no-pci");
}

static void add_user_args(struct args *a, const char *text)
{
	while (text && *text) {
		size_t len = strcspn(text, " \t");

		if (len)
			add_arg(a, "%.*s", (int)len, text);
		text += len + strspn(text + len, " \t");
	}
}

static int build_args(struct args *a, const struct eal *eal, const struct dp_params *p,
		      struct error *err)
{
	int ret;

	add_arg(a, "port500d");
	add_arg(a, "--file-prefix=%s", eal->prefix);
	add_arg(a, "--log-level=notice");
	// Neither leaves files behind, even after a crash: the memory has no name.
	if (eal->hugepages) {
		add_arg(a, "--in-memory");
	} else {
		add_arg(a, "--no-huge");
		add_arg(a, "--no-shconf");
	}
	add_arg(a, "-m");
	add_arg(a, "%u", p->memory_mb);
	ret = add_lcores(a, p, err);
	if (ret)
		return ret;
	add_devices(a, p);
	add_user_args(a, p->eal_args);
	if (a->failed)
		return error_set(err, -E2BIG, "too many arguments for DPDK, or out of memory");
	return 0;
}

// ---- start and stop ----

int eal_start(struct eal *eal, const struct dp_params *p, struct error *err)
{
	struct args a = {0}, given;
	sigset_t all, before;
	int ret;

	*eal = (struct eal){0};
	snprintf(eal->prefix, sizeof(eal->prefix), "%s", p->file_prefix);
	ret = choose_memory(eal, p, err);
	if (!ret)
		ret = build_args(&a, eal, p, err);
	if (ret)
		goto out;
	open_log();
	given = a; // EAL moves the pointers about
	// The threads that EAL starts inherit the mask: signals are for control alone.
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	optind = 1; // EAL uses getopt, and our caller may have before
	ret = rte_eal_init(given.n, given.arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (ret < 0) {
		ret = rte_errno ? -rte_errno : -EIO;
		error_set(err, ret, "DPDK did not start: %s%s",
			  eal_log.kept[0] ? eal_log.kept : strerror(-ret),
			  geteuid() == 0 ? "" : " (not root: it may lack the permission)");
		close_log();
		goto out;
	}
	eal->started = true;
	ret = 0;
out:
	free_args(&a);
	return ret;
}

// EAL leaves its runtime directory.
static void remove_runtime_dir(const char *dir)
{
	char path[512];
	struct dirent *e;
	DIR *d = opendir(dir);

	if (!d)
		return;
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		unlink(path);
	}
	closedir(d);
	rmdir(dir);
}

void eal_stop(struct eal *eal)
{
	char dir[256];

	if (!eal->started)
		return;
	snprintf(dir, sizeof(dir), "%s", rte_eal_get_runtime_dir());
	rte_eal_cleanup();
	remove_runtime_dir(dir);
	close_log();
	eal->started = false;
}
