// What changes of the tables cost, and whether the workers notice.
//
//   bench_tables [WORKERS [TUNNELS [SAS [SECONDS [PACKET]]]]]
//
// A whole dataplane (test/loop/loop.h) with traffic over all tunnels in random order. Arms take
// turns of 100 ms: nothing else; control busy with memory of its own; SAs replaced (make before
// break) as fast as control can; tunnels added and removed with SAs and policies; routes changed.
// Of each arm it prints the rounds of the workers (from one poll to the next, the work of a batch
// included) by the CPU time that they took, so without what the kernel gave to others; and the
// time that passed. Then which stalls are due to changes, what a change cost control, what is lost,
// and memory.
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_malloc.h>

#include "test/loop/loop.h"

enum arm { QUIET, BUSY, REPLACE, TUNNELS, ROUTES, ARMS };
enum op { OP_REPLACE, OP_ADD, OP_DEL, OP_ROUTE_SET, OP_ROUTE_DEL, OP_HOUSEKEEPING, OPS };

#define SAMPLES_MAX 1000000
#define CYCLES_MAX  2000 // turns of each arm
#define STALL_US    100
#define TURN_NS	    100000000u

static const char *const arm_names[] = {"nothing", "control busy", "SAs replaced",
					"tunnels add/del", "routes"};
static const char *const op_names[] = {"replace a pair of SAs", "add a tunnel",	  "remove a tunnel",
				       "set a route",		"remove a route", "housekeeping"};

static struct samples {
	uint32_t *ns;
	unsigned n;
} samples[OPS];
static struct dp *dp;
static unsigned tunnels;

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static void took(enum op op, uint64_t start)
{
	const uint64_t ns = cpu_ns() - start;

	if (samples[op].n < SAMPLES_MAX)
		samples[op].ns[samples[op].n++] = (uint32_t)ns;
}

// ---- the arms ----

static void keep_house(void)
{
	const uint64_t start = cpu_ns();

	dp_housekeeping(dp);
	took(OP_HOUSEKEEPING, start);
}

static void replace_some(void)
{
	static unsigned next;

	for (unsigned i = 0; i < 100; i++) {
		const uint64_t start = cpu_ns();

		if (loop_replace(next))
			took(OP_REPLACE, start);
		next = (next + 1) % tunnels;
	}
	keep_house();
}

static void change_a_tunnel(void)
{
	uint64_t start = cpu_ns();

	loop_spare_add(0);
	took(OP_ADD, start);
	start = cpu_ns();
	loop_spare_del(0);
	took(OP_DEL, start);
	keep_house();
}

static void change_a_route(void)
{
	static uint32_t n;
	struct dp_route r = {{ip_addr_v4(0x64000000u + (n++ % 4096 << 8)), 24}, 1, {0}};
	uint64_t start = cpu_ns();

	dp_route_set(dp, &r);
	took(OP_ROUTE_SET, start);
	start = cpu_ns();
	dp_route_del(dp, &r.dst);
	took(OP_ROUTE_DEL, start);
}

static void burn(void)
{
	static uint8_t memory[1 << 20];
	static uint8_t value;

	memset(memory, value++, sizeof(memory));
	__asm__ volatile("" ::"r"(memory) : "memory");
}

// How long the rounds of all workers took in one turn of an arm.
struct turn {
	uint32_t cpu_us[LOOP_CPU_US + 1];
};
static struct turn *turns[ARMS]; // CYCLES_MAX
static unsigned cycles;

static struct turn rounds_so_far(enum arm arm)
{
	struct turn sum = {{0}};

	for (unsigned w = 0; w < dp_worker_count(dp); w++) {
		const struct loop_rounds r = loop_rounds(w, arm);

		for (unsigned i = 0; i <= LOOP_CPU_US; i++)
			sum.cpu_us[i] += r.cpu_us[i];
	}
	return sum;
}

static void take_turn(enum arm arm)
{
	const struct turn before = rounds_so_far(arm);
	const uint64_t end = clock_ns(CLOCK_MONOTONIC) + TURN_NS;
	struct turn after;

	loop_set_arm(arm);
	while (clock_ns(CLOCK_MONOTONIC) < end) {
		switch (arm) {
		case BUSY:
			burn();
			break;
		case REPLACE:
			replace_some();
			break;
		case TUNNELS:
			change_a_tunnel();
			break;
		case ROUTES:
			change_a_route();
			break;
		default:
			usleep(1000);
		}
	}
	loop_set_arm(ARMS); // nobody's
	keep_house();
	after = rounds_so_far(arm);
	for (unsigned i = 0; i <= LOOP_CPU_US && cycles < CYCLES_MAX; i++)
		turns[arm][cycles].cpu_us[i] = after.cpu_us[i] - before.cpu_us[i];
}

// ---- what is printed ----

static void print_rounds(unsigned workers)
{
	printf("\n%-6s %-16s %10s %9s %9s | %6s %6s %6s %8s | %9s %8s\n", "worker", "arm", "rounds",
	       "max us", ">100 us", ">30 us", ">50 us", ">70 us", ">500 us", "max us", ">100 us");
	printf("%-6s %-16s %10s %19s | %29s | %18s\n", "", "", "", "of CPU time",
	       "of CPU time, per million", "passed");
	for (unsigned w = 0; w < workers; w++)
		for (unsigned a = 0; a < ARMS; a++) {
			const struct loop_rounds r = loop_rounds(w, a);
			const double million = (double)r.rounds / 1e6;

			printf("%-6u %-16s %10lu %9.1f %9lu | %6.0f %6.0f %6.0f %8.0f | %9.1f "
			       "%8lu\n",
			       w, arm_names[a], (unsigned long)r.rounds, (double)r.max_cpu_ns / 1e3,
			       (unsigned long)r.cpu_longer[5], (double)r.cpu_longer[2] / million,
			       (double)r.cpu_longer[3] / million, (double)r.cpu_longer[4] / million,
			       (double)r.cpu_longer[7] / million, (double)r.max_ns / 1e3,
			       (unsigned long)r.longer[5]);
		}
}

static uint64_t count_rounds(const struct turn *t, unsigned from_us)
{
	uint64_t n = 0;

	for (unsigned i = from_us; i <= LOOP_CPU_US; i++)
		n += t->cpu_us[i];
	return n;
}

// Microseconds of CPU time that this part of an arm's rounds take at most.
static unsigned quantile(enum arm arm, double part)
{
	struct turn sum = {{0}};
	uint64_t n, seen = 0;

	for (unsigned c = 0; c < cycles; c++)
		for (unsigned i = 0; i <= LOOP_CPU_US; i++)
			sum.cpu_us[i] += turns[arm][c].cpu_us[i];
	n = count_rounds(&sum, 0);
	for (unsigned i = 0; i <= LOOP_CPU_US; i++) {
		seen += sum.cpu_us[i];
		if ((double)seen >= part * (double)n)
			return i + 1;
	}
	return LOOP_CPU_US;
}

// Seconds of CPU time of a turn's rounds.
static double time_of(const struct turn *t)
{
	double us = 0;

	for (unsigned i = 0; i <= LOOP_CPU_US; i++)
		us += (double)t->cpu_us[i] * (i + 0.5);
	return us / 1e6;
}

// Stalls in a second of the rounds of all turns of an arm.
static double stalls(enum arm arm, unsigned longer_us, double *seconds)
{
	double k = 0, all = 0;

	for (unsigned c = 0; c < cycles; c++) {
		k += (double)count_rounds(&turns[arm][c], longer_us);
		all += time_of(&turns[arm][c]);
	}
	*seconds = all;
	return all > 0 ? k / all : 0;
}

// What one turn has more than its share of an arm's stalls, in a second of the arm's rounds.
static double surplus(enum arm arm, unsigned cycle, unsigned longer_us)
{
	const struct turn *t = &turns[arm][cycle];
	double seconds;
	const double all = stalls(arm, longer_us, &seconds);

	return seconds > 0 ? ((double)count_rounds(t, longer_us) - all * time_of(t)) / seconds : 0;
}

// A stall is a round that takes STALL_US more than its work does, which is the arm's median. What
// the hypervisor and interrupts take of a round nobody tells, but they strike all arms alike, as
// these take turns of 100 ms, and so often in a second, not in a round: a round that is twice as
// long meets them twice as often. So the stalls that are due to changes are those that an arm has
// more in a second than "control busy", give or take twice the standard error, which follows from
// how the turns side by side differ.
static void print_stalls(void)
{
	const unsigned busy_us = quantile(BUSY, 0.5) + STALL_US;
	double seconds;
	const double busy = stalls(BUSY, busy_us, &seconds);

	printf("\nrounds of all workers, us of CPU time; stalls: %d us above the median\n"
	       "%-16s %7s %7s %7s | %s\n",
	       STALL_US, "arm", "50 %", "99 %", "99.9 %",
	       "stalls in a second of a worker's work; of these due to changes");
	for (unsigned a = 0; a < ARMS; a++) {
		const unsigned longer_us = quantile(a, 0.5) + STALL_US;
		const double more = stalls(a, longer_us, &seconds) - busy;
		double squares = 0, off;

		for (unsigned c = 0; c < cycles; c++) {
			const double d = surplus(a, c, longer_us) - surplus(BUSY, c, busy_us);

			squares += d * d;
		}
		off = 2 * sqrt(squares);
		printf("%-16s %7u %7u %7u | %8.1f", arm_names[a], quantile(a, 0.5),
		       quantile(a, 0.99), quantile(a, 0.999), busy + more);
		if (a > BUSY)
			printf("; %.1f, give or take %.1f%s", more, off,
			       more > off ? "" : ": none that can be told from the machine's own");
		printf("\n");
	}
}

static int compare(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void print_ops(void)
{
	printf("\n%-24s %9s %10s %10s %10s  us of control's CPU time\n", "change", "times",
	       "median", "99 %", "max");
	for (unsigned i = 0; i < OPS; i++) {
		struct samples *s = &samples[i];

		if (s->n == 0)
			continue;
		qsort(s->ns, s->n, sizeof(s->ns[0]), compare);
		printf("%-24s %9u %10.1f %10.1f %10.1f\n", op_names[i], s->n, s->ns[s->n / 2] / 1e3,
		       s->ns[s->n - 1 - s->n / 100] / 1e3, s->ns[s->n - 1] / 1e3);
	}
}

static uint64_t memory_used(void)
{
	struct rte_malloc_socket_stats s;
	const struct mallinfo2 own = mallinfo2();
	uint64_t bytes = own.uordblks + own.hblkhd;

	for (unsigned i = 0; i < 8; i++)
		if (rte_malloc_get_socket_stats((int)i, &s) == 0)
			bytes += s.heap_allocsz_bytes;
	return bytes;
}

static unsigned long number(int argc, char **argv, int i, unsigned long otherwise)
{
	return argc > i ? strtoul(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
	const unsigned sas = (unsigned)number(argc, argv, 3, 20000);
	const unsigned seconds = (unsigned)number(argc, argv, 4, 20);
	const struct loop_params params = {
		.workers = (unsigned)number(argc, argv, 1, 1),
		.tunnels = tunnels = (unsigned)number(argc, argv, 2, 10000),
		.in_flight = 64, // rounds of some tens of packets
		.spread = LOOP_BY_SPI,
		.len = (uint16_t)number(argc, argv, 5, 200),
		.memory_mb = 900,
		.busy = true,
	};
	struct loop_counts c;
	uint64_t before, start;
	bool all;

	for (unsigned i = 0; i < OPS; i++)
		if (!(samples[i].ns = malloc(SAMPLES_MAX * sizeof(uint32_t))))
			return 1;
	for (unsigned i = 0; i < ARMS; i++)
		if (!(turns[i] = calloc(CYCLES_MAX, sizeof(*turns[i]))))
			return 1;
	loop_set_arm(ARMS); // nobody's
	dp = loop_start(&params);
	before = memory_used();
	for (unsigned i = 2 * tunnels; i < sas; i++)
		loop_extra_in(i % tunnels);
	printf("%s\n%u workers, %u tunnels, %u SAs, packets of %u bytes\n", dp_version(dp),
	       params.workers, tunnels, sas > 2 * tunnels ? sas : 2 * tunnels, params.len);
	if (sas > 2 * tunnels)
		printf("memory of an inbound SA: %.0f bytes\n",
		       (double)(memory_used() - before) / (sas - 2 * tunnels));
	before = memory_used();
	for (unsigned i = 0; i < LOOP_SPARES; i++)
		loop_spare_add(i);
	for (unsigned i = 0; i < 100; i++) {
		usleep(1000);
		dp_housekeeping(dp);
	}
	printf("memory of a tunnel with its pair of SAs and its policy: %.0f bytes\n",
	       (double)(memory_used() - before) / LOOP_SPARES);
	for (unsigned i = 0; i < LOOP_SPARES; i++)
		loop_spare_del(i);
	loop_run();
	usleep(300000); // every SA has met its owner
	start = clock_ns(CLOCK_MONOTONIC);
	while (clock_ns(CLOCK_MONOTONIC) - start < seconds * 1000000000ull) {
		for (unsigned a = 0; a < ARMS; a++)
			take_turn((enum arm)a);
		cycles += cycles < CYCLES_MAX;
	}
	all = loop_pause();
	c = loop_counts();
	print_rounds(params.workers);
	print_stalls();
	print_ops();
	printf("\npackets sent %lu, delivered %lu, lost %ld, misdirected %lu, handed over %lu\n",
	       (unsigned long)c.sent, (unsigned long)c.delivered, (long)(c.sent - c.delivered),
	       (unsigned long)c.misdirected, (unsigned long)c.handed_over);
	for (unsigned r = 0; r < DROP_REASON_COUNT; r++)
		if (c.drops[r] != 0)
			printf("dropped %lu: %s\n", (unsigned long)c.drops[r],
			       dp_drop_name((enum drop_reason)r));
	loop_stop();
	for (unsigned i = 0; i < OPS; i++)
		free(samples[i].ns);
	for (unsigned i = 0; i < ARMS; i++)
		free(turns[i]);
	return all && c.misdirected == 0 ? 0 : 1;
}
