// What a packet costs in the worker's own stages, without I/O, beside the raw cost of its crypto.
//
//   bench_pipeline [--json] [--udp] [--rounds N] [--sas N,...] [--bytes N,...] [PROPOSAL...|all]
//   bench_pipeline --turns [--rounds N] [--sas MOST] [PROPOSAL]
//   bench_pipeline --profile out|in ...
//
// worker_step() and tx_flush() of a real worker (esp_rig.h); what a device would do is a copy of 64
// pointers. In each round the floor (every interface of intel-ipsec-mb on as many texts of the same
// lengths, in the same buffers, with keys in random order) and the whole path are timed in turn,
// 256 packets each, then the path once more with a stamp behind each stage. Printed are medians of
// the rounds: of the interface that is the fastest, of the path, of the differences and ratios of
// each round, and quartiles. With --turns each line "out|in BYTES SAS" of stdin is answered by its
// row as one line of JSON, so that others can be measured in between.
//
// With --udp, ESP is in UDP (RFC 3948).
//
// With --profile nothing is timed: each row's path alone runs, for a tool that counts instructions
// in counted_steps() (test/bench/profile_bench.py).
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "esp_rig.h"
#include "imb_raw.h"
#include "samples.h"

#define ROUNDS_MAX 2000
#define LIST_MAX   16
#define LEN_MIN	   28u // IP and UDP
#define LEN_MAX	   1518u
#define STEPS	   (RIG_PACKETS / BATCH_MAX)

static const char *const stage_names[] = {
#define STAGE_NAME(name, text) text,
	STAGES(STAGE_NAME)
#undef STAGE_NAME
};
static const char *const interfaces[] = {"direct", "job", "burst"};

static struct {
	bool json, turns, profile;
	enum rig_direction profiled;
	unsigned rounds, n_sas, n_bytes;
	unsigned sas[LIST_MAX], bytes[LIST_MAX];
} options = {
	.rounds = 61,
	.n_sas = 4,
	.sas = {1, 64, 1024, 10000},
	.n_bytes = 7,
	.bytes = {64, 128, 256, 512, 1024, 1420, RIG_IMIX},
};

// Nanoseconds a packet, one of each round.
static double floor_ns[IMB_RAW_COUNT][ROUNDS_MAX], path_ns[ROUNDS_MAX], diff_ns[ROUNDS_MAX],
	ratio[ROUNDS_MAX], stage_ns[STAGE_COUNT][ROUNDS_MAX];
static IMB_MGR *mgr;
static bool first_row = true, counting;

static double ns(uint64_t cycles)
{
	return (double)cycles * 1e9 / (double)core.dp.tsc_hz / RIG_PACKETS;
}

static double run_floor(enum imb_interface which, uint16_t len, bool seal)
{
	static struct crypto_job job[RIG_PACKETS];
	uint64_t cycles = 0;

	rig_jobs(job, len);
	for (unsigned i = 0; i < RIG_PACKETS; i += BATCH_MAX)
		cycles += imb_raw(mgr, which, job + i, BATCH_MAX, seal);
	return ns(cycles);
}

static uint64_t path_steps(struct worker *w, const struct source *src)
{
	uint64_t cycles = 0;

	for (unsigned i = 0; i < STEPS; i++) {
		const uint64_t start = rte_rdtsc_precise();

		w->now_tsc = start;
		worker_step(w, src);
		tx_flush(w);
		cycles += rte_rdtsc_precise() - start;
	}
	return cycles;
}

// What a profiler collects begins and ends here, so it is a function in the machine code as well.
static __attribute__((noinline)) uint64_t counted_steps(struct worker *w, const struct source *src)
{
	static uint64_t sum;

	sum += path_steps(w, src);
	return sum;
}

static void check_sent(void)
{
	if (rig_sent(0) == RIG_PACKETS && core_dropped_total() == 0)
		return;
	fprintf(stderr, "bench_pipeline: of %u packets %u came through\n", RIG_PACKETS,
		rig_sent(0));
	exit(1);
}

static double run_path(enum rig_direction d, uint16_t len)
{
	const struct source src = rig_source(d, 0);
	uint64_t cycles;

	rig_packets(d, len);
	cycles = counting ? counted_steps(core.w, &src) : path_steps(core.w, &src);
	check_sent();
	return ns(cycles);
}

// Until every SA has met its worker and its flow is known (all but one in e^5), and the caches are
// warm.
static void warm_up(enum rig_direction d, uint16_t len, unsigned sas)
{
	for (unsigned i = 0; i < 3 + 5 * sas / RIG_PACKETS; i++)
		run_path(d, len);
}

static void run_stages(enum rig_direction d, uint16_t len, unsigned round)
{
	struct stage_times *t = &core.w->times;

	for (unsigned s = 0; s < STAGE_COUNT; s++)
		atomic_store(&t->cycles[s], 0);
	t->off = false;
	run_path(d, len);
	t->off = true;
	for (unsigned s = 0; s < STAGE_COUNT; s++)
		stage_ns[s][round] = ns(atomic_load(&t->cycles[s]));
}

struct row {
	const char *suite;
	enum rig_direction d;
	uint16_t len;
	unsigned sas;
	enum imb_interface best;
	struct spread floor, path, diff, ratio;
	double stage[STAGE_COUNT];
};

static void print_json(const struct row *r)
{
	printf("{\"suite\": \"%s\", \"direction\": \"%s\", \"bytes\": ", r->suite,
	       r->d == RIG_OUT ? "out" : "in");
	if (r->len == RIG_IMIX)
		printf("\"imix\"");
	else
		printf("%u", r->len);
	printf(", \"sas\": %u, \"interface\": \"%s\", \"floor_ns\": %.1f, \"floor_min_ns\": %.1f, "
	       "\"path_ns\": %.1f, \"path_min_ns\": %.1f, \"path_quartiles_ns\": [%.1f, %.1f], "
	       "\"difference_ns\": %.1f, \"difference_quartiles_ns\": [%.1f, %.1f], "
	       "\"ratio\": %.3f, \"ratio_quartiles\": [%.3f, %.3f], \"pair_bytes\": %.0f, "
	       "\"stages_ns\": {",
	       r->sas, interfaces[r->best], r->floor.median, r->floor.min, r->path.median,
	       r->path.min, r->path.low, r->path.high, r->diff.median, r->diff.low, r->diff.high,
	       r->ratio.median, r->ratio.low, r->ratio.high, rig_pair_bytes());
	for (unsigned s = 0; s < STAGE_COUNT; s++)
		printf("%s\"%s\": %.1f", s == 0 ? "" : ", ", stage_names[s], r->stage[s]);
	printf("}}");
}

static void print_text(const struct row *r)
{
	char len[8];

	snprintf(len, sizeof(len), "%u", r->len);
	printf("%-3s %5s %6u %7.1f %-6s %7.1f (%5.1f to %5.1f) %7.1f %6.2f |",
	       r->d == RIG_OUT ? "out" : "in", r->len == RIG_IMIX ? "imix" : len, r->sas,
	       r->floor.median, interfaces[r->best], r->path.median, r->path.low, r->path.high,
	       r->diff.median, r->ratio.median);
	for (unsigned s = 0; s < STAGE_COUNT; s++)
		if (r->stage[s] >= 0.05)
			printf(" %s %.1f", stage_names[s], r->stage[s]);
	printf("\n");
	fflush(stdout);
}

static void measure(struct row *r)
{
	const bool seal = r->d == RIG_OUT;
	double best = 0;

	warm_up(r->d, r->len, r->sas);
	for (unsigned round = 0; round < options.rounds; round++) {
		for (unsigned i = 0; i < IMB_RAW_COUNT; i++)
			if (imb_raw_has(rig_key(0), i))
				floor_ns[i][round] = run_floor(i, r->len, seal);
		path_ns[round] = run_path(r->d, r->len);
		run_stages(r->d, r->len, round);
	}
	for (unsigned i = 0; i < IMB_RAW_COUNT; i++) {
		double copy[ROUNDS_MAX];
		struct spread s;

		if (!imb_raw_has(rig_key(0), i))
			continue;
		memcpy(copy, floor_ns[i], sizeof(copy));
		s = samples_spread(copy, options.rounds);
		if (best != 0 && s.median >= best)
			continue;
		best = s.median;
		r->best = i;
		r->floor = s;
	}
	for (unsigned round = 0; round < options.rounds; round++) {
		diff_ns[round] = path_ns[round] - floor_ns[r->best][round];
		ratio[round] = path_ns[round] / floor_ns[r->best][round];
	}
	r->path = samples_spread(path_ns, options.rounds);
	r->diff = samples_spread(diff_ns, options.rounds);
	r->ratio = samples_spread(ratio, options.rounds);
	for (unsigned s = 0; s < STAGE_COUNT; s++)
		r->stage[s] = samples_spread(stage_ns[s], options.rounds).median;
}

static unsigned most_sas(void)
{
	unsigned most = 0;

	for (unsigned i = 0; i < options.n_sas; i++)
		most = RTE_MAX(most, options.sas[i]);
	return most;
}

static void measure_rows(const char *suite, unsigned sas, uint16_t len)
{
	for (enum rig_direction d = RIG_OUT; d <= RIG_IN; d++) {
		struct row r = {.suite = suite, .d = d, .len = len, .sas = sas};

		measure(&r);
		if (!options.json) {
			print_text(&r);
			continue;
		}
		printf("%s\n  ", first_row ? "" : ",");
		print_json(&r);
		fflush(stdout);
		first_row = false;
	}
}

static void profile(enum rig_direction d, uint16_t len, unsigned sas)
{
	warm_up(d, len, sas);
	counting = true;
	for (unsigned i = 0; i < options.rounds; i++)
		run_path(d, len);
	counting = false;
	printf("%u packets\n", options.rounds * RIG_PACKETS);
}

static bool measure_suite(const char *suite)
{
	if (!rig_tunnels_add(suite, most_sas()))
		return false;
	if (!options.json && !options.profile)
		printf("\n%s: %.0f bytes for each pair of SAs\n%-3s %5s %6s %7s %-6s %7s %18s %7s "
		       "%6s | stages\n",
		       suite, rig_pair_bytes(), "", "bytes", "SAs", "floor", "by", "path",
		       "(quartiles)", "more", "ratio");
	for (unsigned s = 0; s < options.n_sas; s++) {
		rig_policies(options.sas[s]);
		for (unsigned i = 0; i < options.n_bytes; i++)
			if (options.profile)
				profile(options.profiled, (uint16_t)options.bytes[i],
					options.sas[s]);
			else
				measure_rows(suite, options.sas[s], (uint16_t)options.bytes[i]);
	}
	rig_tunnels_del();
	return true;
}

// "64,imix" or "1,1024"; 0 with a sentence when it is none.
static unsigned parse_list(char *text, unsigned *out, unsigned max)
{
	unsigned n = 0;

	for (char *word = strtok(text, ","); word != NULL; word = strtok(NULL, ",")) {
		char *end;
		const unsigned long v = strtoul(word, &end, 10);
		const bool imix = max < RIG_SAS_MAX && strcmp(word, "imix") == 0;

		if (n == LIST_MAX || (!imix && (*end != '\0' || v == 0 || v > max)))
			return 0;
		out[n++] = imix ? RIG_IMIX : (unsigned)v;
	}
	return n;
}

// "out 64 1", "in imix 1024".
static bool parse_turn(const char *line, struct row *r)
{
	char way[4], text[8];
	unsigned len;

	if (sscanf(line, "%3s %7s %u", way, text, &r->sas) != 3 || r->sas == 0 ||
	    r->sas > options.sas[0] || parse_list(text, &len, LEN_MAX) != 1 ||
	    (len != RIG_IMIX && len < LEN_MIN))
		return false;
	r->len = (uint16_t)len;
	r->d = strcmp(way, "in") == 0 ? RIG_IN : RIG_OUT;
	return r->d == RIG_IN || strcmp(way, "out") == 0;
}

// The row that each line of stdin asks for. False when a line asks for none.
static bool take_turns(const char *suite)
{
	char line[64];
	bool ok = true;

	if (!rig_tunnels_add(suite, options.sas[0]))
		return false;
	printf("{\"library\": \"%s\", \"tsc_hz\": %lu, \"rounds\": %u}\n", crypto_version(),
	       (unsigned long)core.dp.tsc_hz, options.rounds);
	fflush(stdout);
	while (ok && fgets(line, sizeof(line), stdin) != NULL) {
		struct row r = {.suite = suite};

		ok = parse_turn(line, &r);
		if (!ok) {
			fprintf(stderr, "bench_pipeline: not 'out|in %u..%u|imix 1..%u': %s",
				LEN_MIN, LEN_MAX, options.sas[0], line);
			break;
		}
		rig_policies(r.sas);
		measure(&r);
		print_json(&r);
		printf("\n");
		fflush(stdout);
	}
	rig_tunnels_del();
	return ok;
}

static bool parse(int argc, char **argv)
{
	static const struct option names[] = {
		{"json", no_argument, NULL, 'j'},	  {"turns", no_argument, NULL, 't'},
		{"rounds", required_argument, NULL, 'r'}, {"sas", required_argument, NULL, 's'},
		{"bytes", required_argument, NULL, 'b'},  {"profile", required_argument, NULL, 'p'},
		{"udp", no_argument, NULL, 'u'},	  {0}};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'j')
			options.json = true;
		else if (c == 't')
			options.turns = true;
		else if (c == 'u')
			rig_udp = true;
		else if (c == 'r')
			options.rounds = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 's')
			options.n_sas = parse_list(optarg, options.sas, RIG_SAS_MAX);
		else if (c == 'b')
			options.n_bytes = parse_list(optarg, options.bytes, LEN_MAX);
		else if (c == 'p' && (!strcmp(optarg, "out") || !strcmp(optarg, "in"))) {
			options.profile = true;
			options.profiled = optarg[0] == 'o' ? RIG_OUT : RIG_IN;
		} else
			return false;
	}
	for (unsigned i = 0; i < options.n_bytes; i++)
		if (options.bytes[i] != RIG_IMIX && options.bytes[i] < LEN_MIN)
			return false;
	return options.n_sas > 0 && options.n_bytes > 0 && options.rounds > 0 &&
	       options.rounds <= ROUNDS_MAX;
}

int main(int argc, char **argv)
{
	bool ok = true;

	if (!parse(argc, argv)) {
		fprintf(stderr,
			"bench_pipeline [--json] [--udp] [--rounds 1..%u] [--sas 1..%u,...] "
			"[--bytes "
			"28..1518|imix,...] [PROPOSAL...|all]\n"
			"bench_pipeline --turns [--rounds N] [--sas MOST] [PROPOSAL]\n",
			ROUNDS_MAX, RIG_SAS_MAX);
		return 2;
	}
	rig_start(most_sas());
	core.w->times.off = true;
	mgr = alloc_mb_mgr(0);
	init_mb_mgr_auto(mgr, NULL);
	if (options.turns) {
		ok = take_turns(optind < argc ? argv[optind] : rig_suites[0]);
		goto out;
	}
	if (options.profile)
		printf("%s\n", crypto_version());
	else if (options.json)
		printf("{\"library\": \"%s\", \"tsc_hz\": %lu, \"rounds\": %u, \"rows\": [",
		       crypto_version(), (unsigned long)core.dp.tsc_hz, options.rounds);
	else
		printf("%s; nanoseconds a packet, medians of %u rounds\n", crypto_version(),
		       options.rounds);
	if (optind == argc)
		ok = measure_suite(rig_suites[0]);
	for (int i = optind; i < argc; i++) {
		const bool all = strcmp(argv[i], "all") == 0;

		for (unsigned k = 0; k < (all ? rig_n_suites : 1); k++)
			ok &= measure_suite(all ? rig_suites[k] : argv[i]);
	}
	if (options.json)
		printf("\n]}\n");
out:
	free_mb_mgr(mgr);
	rig_stop();
	return ok ? 0 : 1;
}
