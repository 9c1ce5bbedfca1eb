// What more policies, more routes and a second worker cost, without I/O.
//
//   bench_scale policies|routes|workers [--json] [--rounds N]
//
// Packets of AES-128-GCM through workers of esp_rig.h; of policies and routes 64 bytes. "known":
// flows that the worker remembers (known.h); "stages": it remembers none, so every packet is looked
// up. Numbers of policies and routes follow each other: on a machine that others use, compare with
// care.
//
// workers: two threads, each with a worker and a CPU of its own, begin together and take 256
// packets each, in turns with one of them alone. "times" is what both do in a second by what one
// does. It wants two CPUs that nothing else uses. An inbound SA has one owner, so of one tunnel
// inbound the other worker hands its packets over.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <getopt.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_malloc.h>
#include <rte_pause.h>

#include "esp_rig.h"
#include "samples.h"

#define ROUNDS_MAX 2000
#define SUITE	   "aes128gcm16"
#define TUNNELS	   64
#define ADDS	   4096 // of the atomic add, in a turn

static unsigned rounds = 201;
static bool json, first_row = true;
static cpu_set_t cpus; // ours, before EAL takes one of them
static double sample[4][ROUNDS_MAX];

static double ns(uint64_t cycles, unsigned n)
{
	return (double)cycles * 1e9 / (double)core.dp.tsc_hz / n;
}

static void row_begin(const char *what)
{
	if (json)
		printf("%s\n  {\"what\": \"%s\"", first_row ? "" : ",", what);
	first_row = false;
}

static void row_end(void)
{
	printf(json ? "}" : "\n");
	fflush(stdout);
}

static void put_number(const char *name, unsigned long value)
{
	if (json)
		printf(", \"%s\": %lu", name, value);
	else
		printf(" %9lu", value);
}

static void put_spread(const char *name, double *v)
{
	const struct spread s = samples_spread(v, rounds);

	if (json)
		printf(", \"%s\": {\"median\": %.3f, \"quartiles\": [%.3f, %.3f]}", name, s.median,
		       s.low, s.high);
	else
		printf("   %8.2f (%7.2f to %7.2f)", s.median, s.low, s.high);
}

// ---- one worker's packets ----

struct turn {
	unsigned worker;
	enum rig_direction d;
	uint64_t cycles;
};

static void take_turn(struct turn *t)
{
	const struct source src = rig_source(t->d, t->worker);
	struct worker *w = core.workers[t->worker];
	const uint64_t start = rte_rdtsc_precise();

	w->now_tsc = start;
	for (unsigned i = 0; i < RIG_PACKETS / BATCH_MAX; i++) {
		worker_step(w, &src);
		tx_flush(w);
	}
	t->cycles = rte_rdtsc_precise() - start;
}

static void check_sent(unsigned worker)
{
	if (rig_sent(worker) == RIG_PACKETS)
		return;
	fprintf(stderr, "bench_scale: of %u packets %u came through worker %u\n", RIG_PACKETS,
		rig_sent(worker), worker);
	exit(1);
}

static double one_path(enum rig_direction d, uint16_t len)
{
	struct turn t = {.worker = 0, .d = d};

	rig_packets(d, len);
	take_turn(&t);
	check_sent(0);
	return ns(t.cycles, RIG_PACKETS);
}

// ---- policies, routes ----

static size_t allocated(void)
{
	const struct mallinfo2 own = mallinfo2();
	struct rte_malloc_socket_stats s;

	assert_int_equal(rte_malloc_get_socket_stats(0, &s), 0);
	return s.heap_allocsz_bytes + own.uordblks + own.hblkhd;
}

// Of a table that holds n: its packets by the stages, and those of flows that are remembered.
static void measure_table(const char *what, unsigned n, double bytes_each, double set_ns)
{
	struct known *known = core.w->known;

	for (unsigned i = 0; i < 3 + 5 * RTE_MIN(n, 20000u) / RIG_PACKETS; i++)
		one_path(RIG_OUT, 64);
	for (unsigned r = 0; r < rounds; r++) {
		sample[0][r] = one_path(RIG_OUT, 64);
		core.w->known = NULL;
		sample[1][r] = one_path(RIG_OUT, 64);
		sample[2][r] = one_path(RIG_IN, 64);
		core.w->known = known;
		sample[3][r] = one_path(RIG_IN, 64);
	}
	row_begin(what);
	put_number("n", n);
	put_spread("out_known_ns", sample[0]);
	put_spread("out_stages_ns", sample[1]);
	put_spread("in_known_ns", sample[3]);
	put_spread("in_stages_ns", sample[2]);
	put_number("bytes_each", (unsigned long)(bytes_each + 0.5));
	put_number("set_ns_each", (unsigned long)(set_ns + 0.5));
	row_end();
}

static const char table_head[] = "%9s   %s\n%9s   %28s   %28s   %28s   %28s %9s %9s\n";

static bool policies(void)
{
	static const unsigned numbers[] = {64, 1000, 10000, 100000};

	if (!json)
		printf(table_head, "",
		       "nanoseconds a packet; packets go to all of the policies' sites", "policies",
		       "out, known", "out, stages", "in, known", "in, stages", "bytes", "set, ns");
	rig_wide_selectors = true;
	if (!rig_tunnels_add(SUITE, TUNNELS))
		return false;
	for (unsigned i = 0; i < RTE_DIM(numbers); i++) {
		const unsigned n = numbers[i];
		uint64_t start;
		size_t before;

		rig_sites(TUNNELS);
		before = allocated();
		start = rte_rdtsc();
		rig_sites(n);
		measure_table("policies", n,
			      n > TUNNELS ? (double)(allocated() - before) / (n - TUNNELS) : 0,
			      ns(rte_rdtsc() - start, n));
	}
	rig_tunnels_del();
	return true;
}

static bool routes(void)
{
	static const unsigned numbers[] = {1, 64, 1000, 10000, 60000};
	unsigned had = 0;

	if (!json)
		printf(table_head, "",
		       "nanoseconds a packet; 1,024 tunnels, a route of its own for each peer",
		       "routes", "out, known", "out, stages", "in, known", "in, stages", "bytes",
		       "set, ns");
	if (!rig_tunnels_add(SUITE, 1024))
		return false;
	for (unsigned i = 0; i < RTE_DIM(numbers); i++) {
		const unsigned n = numbers[i];
		const size_t before = allocated();
		const uint64_t start = rte_rdtsc();

		rig_peer_routes(n);
		measure_table("routes", n, (double)(allocated() - before) / (n - had),
			      ns(rte_rdtsc() - start, n - had));
		had = n;
	}
	rig_tunnels_del();
	return true;
}

// ---- two workers ----

enum job { JOB_NONE, JOB_PATH, JOB_TAKE_OVER, JOB_ADD, JOB_END };

// Worker 1's thread. The first worker's is the program's own.
static struct {
	_Alignas(64) enum job job;
	struct turn turn;
	_Atomic uint64_t *to; // of JOB_ADD
	pthread_t id;
	_Alignas(64) _Atomic unsigned go; // counts up with each turn
	_Alignas(64) _Atomic unsigned done;
} other;

static struct {
	_Alignas(64) _Atomic uint64_t word;
} line[RIG_WORKERS];

static void add_up(struct turn *t, _Atomic uint64_t *to)
{
	const uint64_t start = rte_rdtsc_precise();

	for (unsigned i = 0; i < ADDS; i++)
		atomic_fetch_add_explicit(to, 1, memory_order_relaxed);
	t->cycles = rte_rdtsc_precise() - start;
}

// Its own packets, and those that the other worker finds at its queue and hands over.
static void take_over(struct turn *t)
{
	const struct source own = rig_source(t->d, t->worker), handed = {.type = SOURCE_HANDOVER};
	struct worker *w = core.workers[t->worker];
	const uint64_t start = rte_rdtsc_precise();

	w->now_tsc = start;
	while (rig_sent(t->worker) < 2 * RIG_PACKETS && rte_rdtsc() - start < 2 * core.dp.tsc_hz) {
		worker_step(w, &own);
		worker_step(w, &handed);
		tx_flush(w);
	}
	t->cycles = rte_rdtsc_precise() - start;
}

static void do_job(enum job job, struct turn *t, _Atomic uint64_t *to)
{
	if (job == JOB_PATH)
		take_turn(t);
	if (job == JOB_TAKE_OVER)
		take_over(t);
	if (job == JOB_ADD)
		add_up(t, to);
}

static void *other_main(void *arg)
{
	(void)arg;
	for (unsigned n = 1; other.job != JOB_END; n++) {
		while (atomic_load_explicit(&other.go, memory_order_acquire) != n)
			rte_pause();
		do_job(other.job, &other.turn, other.to);
		atomic_store_explicit(&other.done, n, memory_order_release);
	}
	return NULL;
}

// Both begin at once. Returns the first one's cycles.
static uint64_t run(enum job first, enum job second, enum rig_direction d)
{
	struct turn t = {.worker = 0, .d = d};
	unsigned n;

	other.job = second;
	other.turn = (struct turn){.worker = 1, .d = d};
	n = atomic_fetch_add_explicit(&other.go, 1, memory_order_release) + 1;
	do_job(first, &t, &line[0].word);
	while (atomic_load_explicit(&other.done, memory_order_acquire) != n)
		rte_pause();
	return t.cycles;
}

static void pin(pthread_t id, unsigned number)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &cpus) && number-- == 0)
			CPU_SET(cpu, &one);
	if (CPU_COUNT(&one) == 0 || pthread_setaffinity_np(id, sizeof(one), &one) != 0) {
		fprintf(stderr, "bench_scale: two workers want two CPUs\n");
		exit(1);
	}
}

static const struct arm {
	const char *name;
	enum rig_direction d;
	unsigned first[RIG_WORKERS], n; // tunnels
	bool handed;
} arms[] = {
	{"own-tunnels-out", RIG_OUT, {0, TUNNELS / 2}, TUNNELS / 2, false},
	{"own-tunnels-in", RIG_IN, {0, TUNNELS / 2}, TUNNELS / 2, false},
	{"own-tunnel-out", RIG_OUT, {0, 1}, 1, false},
	{"same-tunnels-out", RIG_OUT, {0, 0}, TUNNELS, false},
	{"same-tunnel-out", RIG_OUT, {0, 0}, 1, false},
	{"same-tunnel-in", RIG_IN, {0, 0}, 1, true},
};

static void lay(const struct arm *a, uint16_t len, unsigned worker)
{
	rig_packets_of(worker, a->d, len, a->first[worker], a->n);
}

// What two do by what one does, of one round; alone[] of each.
static void measure_round(const struct arm *a, uint16_t len, unsigned r)
{
	double alone[RIG_WORKERS], both[RIG_WORKERS];

	lay(a, len, 0);
	alone[0] = ns(run(JOB_PATH, JOB_NONE, a->d), RIG_PACKETS);
	check_sent(0);
	lay(a, len, 1);
	run(JOB_NONE, JOB_PATH, a->d);
	alone[1] = ns(other.turn.cycles, RIG_PACKETS);
	if (!a->handed)
		check_sent(1);
	else
		run(JOB_TAKE_OVER, JOB_NONE, a->d); // empties the ring
	lay(a, len, 0);
	lay(a, len, 1);
	if (a->handed) {
		both[0] = ns(run(JOB_TAKE_OVER, JOB_PATH, a->d), 2 * RIG_PACKETS);
		if (rig_sent(0) != 2 * RIG_PACKETS) {
			fprintf(stderr, "bench_scale: of %u packets %u came through\n",
				2 * RIG_PACKETS, rig_sent(0));
			exit(1);
		}
		sample[0][r] = alone[0];
		sample[1][r] = 2 * both[0];
		sample[2][r] = alone[0] / both[0];
		return;
	}
	both[0] = ns(run(JOB_PATH, JOB_PATH, a->d), RIG_PACKETS);
	both[1] = ns(other.turn.cycles, RIG_PACKETS);
	check_sent(0);
	check_sent(1);
	sample[0][r] = 2 / (1 / alone[0] + 1 / alone[1]);
	sample[1][r] = 2 / (1 / both[0] + 1 / both[1]);
	sample[2][r] = 2 * sample[0][r] / sample[1][r];
}

static void measure_arm(const struct arm *a, uint16_t len)
{
	for (unsigned r = 0; r < rounds; r++)
		measure_round(a, len, r);
	row_begin(a->name);
	if (!json)
		printf("%-17s", a->name);
	put_number("bytes", len);
	put_spread("one_ns", sample[0]);
	put_spread("both_ns", sample[1]);
	put_spread("times", sample[2]);
	row_end();
}

// What an atomic add takes on a line that nobody else wants, and on one that both want.
static void measure_atomic(void)
{
	for (unsigned r = 0; r < rounds; r++) {
		other.to = &line[1].word;
		sample[0][r] = ns(run(JOB_ADD, JOB_ADD, RIG_OUT), ADDS);
		other.to = &line[0].word;
		sample[1][r] = ns(run(JOB_ADD, JOB_ADD, RIG_OUT), ADDS);
	}
	row_begin("atomic-add");
	if (!json)
		printf("%-17s %9s", "atomic add", "");
	put_spread("own_line_ns", sample[0]);
	put_spread("same_line_ns", sample[1]);
	row_end();
}

static bool workers(const unsigned *bytes, unsigned n_bytes)
{
	if (!json)
		printf("nanoseconds a packet of each worker; \"times\": what both do by what one "
		       "does\n%-17s %9s   %28s   %28s   %28s\n",
		       "", "bytes", "one alone", "each of both", "times");
	rig_second_worker();
	if (!rig_tunnels_add(SUITE, TUNNELS))
		return false;
	assert_int_equal(pthread_create(&other.id, NULL, other_main, NULL), 0);
	pin(other.id, 1);
	pin(pthread_self(), 0);
	for (unsigned i = 0; i < 100; i++) // each SA meets its owner, each flow its worker
		for (unsigned a = 0; a < 2; a++) {
			lay(&arms[a], 64, 0);
			lay(&arms[a], 64, 1);
			run(JOB_PATH, JOB_NONE, arms[a].d);
			run(JOB_NONE, JOB_PATH, arms[a].d);
		}
	for (unsigned b = 0; b < n_bytes; b++)
		for (unsigned a = 0; a < RTE_DIM(arms); a++)
			measure_arm(&arms[a], (uint16_t)bytes[b]);
	measure_atomic();
	run(JOB_NONE, JOB_END, RIG_OUT);
	pthread_join(other.id, NULL);
	rig_tunnels_del();
	return true;
}

int main(int argc, char **argv)
{
	static const struct option names[] = {
		{"json", no_argument, NULL, 'j'}, {"rounds", required_argument, NULL, 'r'}, {0}};
	static const unsigned bytes[] = {64, 1420};
	const char *what = argc > 1 ? argv[1] : "";
	bool ok = !strcmp(what, "policies") || !strcmp(what, "routes") || !strcmp(what, "workers");
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		json |= c == 'j';
		if (c == 'r')
			rounds = (unsigned)strtoul(optarg, NULL, 10);
		ok &= c != '?' && rounds > 0 && rounds <= ROUNDS_MAX;
	}
	if (!ok) {
		fprintf(stderr, "bench_scale policies|routes|workers [--json] [--rounds 1..%u]\n",
			ROUNDS_MAX);
		return 2;
	}
	assert_int_equal(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
	rig_start(2000);
	core.w->times.off = true;
	if (json)
		printf("{\"library\": \"%s\", \"rounds\": %u, \"rows\": [", crypto_version(),
		       rounds);
	ok = what[0] == 'p' ? policies() : what[0] == 'r' ? routes() : workers(bytes, 2);
	if (json)
		printf("\n]}\n");
	rig_stop();
	return ok ? 0 : 1;
}
