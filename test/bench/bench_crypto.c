// Raw intel-ipsec-mb: nanoseconds a packet by algorithm, size, interface and number of keys, beside
// crypto_seal() and crypto_open() on the same texts. The fastest interface is the floor of a
// gateway.
//
//   bench_crypto [--json] [--rounds N] [PROPOSAL...|all]
//
// One core, bursts of 64, 256 buffers in turn, keys in random order. In each round every column is
// timed once; printed are medians of the rounds and, as JSON, quartiles.
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
#define SAS_MAX	   10000

enum { SEAL = 2 * IMB_RAW_COUNT, OPEN, COLUMNS };

static const char *const columns[] = {"direct-encrypt", "direct-decrypt", "job-encrypt",
				      "job-decrypt",	"burst-encrypt",  "burst-decrypt",
				      "crypto_seal",	"crypto_open"};
static double sample[COLUMNS][ROUNDS_MAX];
static unsigned rounds = 61;
static bool json, first_row = true;
static IMB_MGR *mgr;

static double run(unsigned column, uint16_t len)
{
	static struct crypto_job job[RIG_PACKETS];
	uint64_t cycles = 0, start;

	rig_jobs(job, len);
	for (unsigned i = 0; i < RIG_PACKETS; i += CRYPTO_BURST_MAX) {
		if (column < SEAL) {
			cycles += imb_raw(mgr, column / 2, job + i, CRYPTO_BURST_MAX,
					  column % 2 == 0);
			continue;
		}
		start = rte_rdtsc_precise();
		if (column == SEAL)
			crypto_seal(core.w->crypto, job + i, CRYPTO_BURST_MAX);
		else
			crypto_open(core.w->crypto, job + i, CRYPTO_BURST_MAX);
		cycles += rte_rdtsc_precise() - start;
	}
	return (double)cycles * 1e9 / (double)core.dp.tsc_hz / RIG_PACKETS;
}

static bool has(unsigned column)
{
	return column >= SEAL || imb_raw_has(rig_key(0), column / 2);
}

static void print_head(const char *suite, uint16_t len, unsigned sas)
{
	char text[8] = "imix";

	if (len != RIG_IMIX)
		snprintf(text, sizeof(text), "%u", len);
	if (!json)
		printf("%5s %6u", text, sas);
	else
		printf("%s\n  {\"suite\": \"%s\", \"bytes\": %s%s%s, \"sas\": %u",
		       first_row ? "" : ",", suite, len == RIG_IMIX ? "\"" : "", text,
		       len == RIG_IMIX ? "\"" : "", sas);
	first_row = false;
}

static void measure(const char *suite, uint16_t len, unsigned sas)
{
	for (unsigned r = 0; r < rounds; r++)
		for (unsigned i = 0; i < COLUMNS; i++)
			if (has(i))
				sample[i][r] = run(i, len);
	print_head(suite, len, sas);
	for (unsigned i = 0; i < COLUMNS; i++) {
		const struct spread s =
			has(i) ? samples_spread(sample[i], rounds) : (struct spread){0};

		if (!json && has(i))
			printf(" %14.1f", s.median);
		else if (!json)
			printf(" %14s", "-");
		else if (has(i))
			printf(", \"%s\": {\"min\": %.1f, \"median\": %.1f, \"quartiles\": [%.1f, "
			       "%.1f]}",
			       columns[i], s.min, s.median, s.low, s.high);
	}
	printf(json ? "}" : "\n");
	fflush(stdout);
}

static bool measure_suite(const char *suite)
{
	static const uint16_t lens[] = {64, 128, 256, 512, 1024, 1420, RIG_IMIX};
	static const unsigned sas[] = {1, 64, 1024, SAS_MAX};

	if (!rig_tunnels_add(suite, SAS_MAX))
		return false;
	if (!json) {
		printf("%s\n%5s %6s", suite, "bytes", "keys");
		for (unsigned i = 0; i < COLUMNS; i++)
			printf(" %14s", columns[i]);
		printf("\n");
	}
	for (unsigned s = 0; s < RTE_DIM(sas); s++) {
		rig_policies(sas[s]);
		for (unsigned i = 0; i < RTE_DIM(lens); i++)
			measure(suite, lens[i], sas[s]);
	}
	rig_tunnels_del();
	return true;
}

int main(int argc, char **argv)
{
	static const struct option names[] = {
		{"json", no_argument, NULL, 'j'}, {"rounds", required_argument, NULL, 'r'}, {0}};
	bool ok = true;
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		json |= c == 'j';
		if (c == 'r')
			rounds = (unsigned)strtoul(optarg, NULL, 10);
		if (c == '?' || rounds == 0 || rounds > ROUNDS_MAX) {
			fprintf(stderr,
				"bench_crypto [--json] [--rounds 1..%u] [PROPOSAL...|all]\n",
				ROUNDS_MAX);
			return 2;
		}
	}
	rig_start(SAS_MAX);
	mgr = alloc_mb_mgr(0);
	init_mb_mgr_auto(mgr, NULL);
	if (json)
		printf("{\"library\": \"%s\", \"tsc_hz\": %lu, \"rounds\": %u, \"rows\": [",
		       crypto_version(), (unsigned long)core.dp.tsc_hz, rounds);
	else
		printf("%s; nanoseconds a packet, medians of %u rounds\n", crypto_version(),
		       rounds);
	if (optind == argc)
		ok = measure_suite(rig_suites[0]);
	for (int i = optind; i < argc; i++) {
		const bool all = strcmp(argv[i], "all") == 0;

		for (unsigned k = 0; k < (all ? rig_n_suites : 1); k++)
			ok &= measure_suite(all ? rig_suites[k] : argv[i]);
	}
	if (json)
		printf("\n]}\n");
	free_mb_mgr(mgr);
	rig_stop();
	return ok ? 0 : 1;
}
