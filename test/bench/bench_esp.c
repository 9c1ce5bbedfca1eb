// Nanoseconds a packet of esp_out() and esp_in(), beside raw intel-ipsec-mb on the same bytes in
// the same run: the difference is what our own code costs.
//
//   bench_esp [ROUNDS [PROPOSAL...]]
//
// One core, batches of 64, packets in cache, each batch from SAs in random order. A proposal is
// one of esp_proposals, "aes256-sha256"; without any it is aes128gcm16; "all" stands for one of
// each kind. The columns are the library's interfaces (imb_raw.h; "-": it has none), crypto_seal()
// and crypto_open(), and the whole stages. Each figure is the best of 20 blocks of ROUNDS batches,
// so that a busy machine does less harm.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "dataplane/sad.h"
#include "imb_raw.h"
#include "test/unit/dataplane/fake_dp.h"

#define SAS_MAX 1024
#define BLOCKS	20

enum { SEAL = 2 * IMB_RAW_COUNT, OPEN, OUT, IN, COLUMNS };

static struct tunnel *tunnel[SAS_MAX];
static struct sa_in *sa_in[SAS_MAX];
static uint64_t cycles[COLUMNS];

static struct esp_sa sa_of(const struct proposal *p, uint32_t spi, unsigned i)
{
	struct esp_sa sa = fake_esp_sa(spi, 128, false);
	const struct transform *integ = proposal_first(p, TRANSFORM_INTEG);
	uint8_t key[64] = {(uint8_t)i, (uint8_t)(i >> 8)};

	sa.encr = *proposal_first(p, TRANSFORM_ENCR);
	sa.esn = proposal_first(p, TRANSFORM_SN)->id == SN_ESN;
	assert_int_equal(secret_set(&sa.encr_key, key, transform_find(&sa.encr)->key_len), 0);
	if (integ != NULL) {
		sa.integ = *integ;
		assert_int_equal(secret_set(&sa.integ_key, key, transform_find(integ)->key_len), 0);
	}
	return sa;
}

static void sas_create(const struct proposal *p)
{
	for (unsigned i = 0; i < SAS_MAX; i++) {
		struct esp_sa in, out;
		uint32_t spi, id;

		assert_int_equal(dp_sa_in_reserve(&fake.dp, &spi), 0);
		in = sa_of(p, spi, i);
		out = sa_of(p, spi, i);
		in.local_ts = out.remote_ts;
		in.remote_ts = out.local_ts;
		assert_int_equal(dp_sa_in_publish(&fake.dp, 0, &in, NULL), 0);
		assert_int_equal(dp_tunnel_add(&fake.dp, "bench", &id), 0);
		assert_int_equal(dp_tunnel_set_out(&fake.dp, id, &out, NULL), 0);
		tunnel[i] = tunnel_get(&fake.dp, id);
		sa_in[i] = sad_lookup(fake.dp.sad, spi);
	}
}

static void sas_destroy(void)
{
	for (unsigned i = 0; i < SAS_MAX; i++) {
		const uint32_t spi = sa_in[i]->spi;

		assert_int_equal(dp_sa_in_retire(&fake.dp, spi), 0);
		assert_int_equal(dp_tunnel_del(&fake.dp, tunnel[i]->id), 0);
	}
}

// Each column meets its own random keys, as a batch of packets does.
static uint64_t crypto_alone(IMB_MGR *mgr, unsigned column, unsigned sas, uint32_t text_len)
{
	static uint8_t packet[BATCH_MAX][2048];
	struct crypto_job job[BATCH_MAX];
	uint64_t start;

	for (unsigned i = 0; i < BATCH_MAX; i++) {
		const struct crypto_key *k = &sa_in[(unsigned)random() % sas]->key;

		crypto_job_set(&job[i], k, packet[i] + 64,
			       (text_len + k->align - 1) / k->align * k->align, 0);
	}
	if (column < SEAL) {
		if (!imb_raw_has(job[0].key, column / 2))
			return UINT32_MAX;
		return imb_raw(mgr, column / 2, job, BATCH_MAX, column % 2 == 0);
	}
	start = rte_rdtsc_precise();
	if (column == SEAL)
		crypto_seal(fake.w->crypto, job, BATCH_MAX);
	else
		crypto_open(fake.w->crypto, job, BATCH_MAX);
	return rte_rdtsc_precise() - start;
}

static void stages(struct rte_mbuf **mbuf, unsigned sas, const uint8_t *ip, uint16_t len)
{
	struct batch b = {0}, icmp = {0};
	uint64_t t[3];

	for (unsigned i = 0; i < BATCH_MAX; i++) {
		struct rte_mbuf *m = mbuf[i];

		m->data_off = RTE_PKTMBUF_HEADROOM;
		m->data_len = len;
		m->pkt_len = len;
		memcpy(rte_pktmbuf_mtod(m, void *), ip, len);
		batch_put(&b, m);
		b.tunnel[i] = tunnel[(unsigned)random() % sas];
	}
	t[0] = rte_rdtsc_precise();
	esp_out(fake.w, &b, &icmp);
	t[1] = rte_rdtsc_precise();
	esp_in(fake.w, &b);
	t[2] = rte_rdtsc_precise();
	assert_int_equal(b.n, BATCH_MAX);
	cycles[OUT] += t[1] - t[0];
	cycles[IN] += t[2] - t[1];
}

static void measure(IMB_MGR *mgr, struct rte_mbuf **mbuf, unsigned sas, uint16_t len,
		    unsigned rounds)
{
	uint64_t best[COLUMNS];
	uint8_t ip[2048];

	memset(best, 0xff, sizeof(best));
	make_ip(ip, len, HOST_A, HOST_B, IPPROTO_UDP, 7, 8);
	for (unsigned block = 0; block < BLOCKS; block++) {
		memset(cycles, 0, sizeof(cycles));
		for (unsigned r = 0; r < rounds; r++) {
			for (unsigned column = 0; column <= OPEN; column++)
				cycles[column] += crypto_alone(mgr, column, sas, len + 2u);
			stages(mbuf, sas, ip, len);
		}
		for (unsigned i = 0; i < COLUMNS; i++)
			best[i] = RTE_MIN(best[i], cycles[i]);
	}
	printf("%5u %5u", len, sas);
	for (unsigned i = 0; i < COLUMNS; i++)
		if (i < SEAL && !imb_raw_has(&sa_in[0]->key, i / 2))
			printf(" %8s", "-");
		else
			printf(" %8.1f", (double)best[i] * 1e9 / (double)fake.dp.tsc_hz /
						 ((double)rounds * BATCH_MAX));
	printf("\n");
	fflush(stdout);
}

static void measure_suite(const char *text, IMB_MGR *mgr, struct rte_mbuf **mbuf, unsigned rounds)
{
	static const uint16_t lens[] = {62, 126, 254, 510, 1022, 1418};
	static const char *const columns[] = {"dir enc", "dir dec", "job enc", "job dec", "bst enc",
					      "bst dec", "seal",    "open",    "esp_out", "esp_in"};
	struct error err = {""};
	struct proposal p;

	if (proposal_parse(text, PROTO_ESP, &p, &err) != 0) {
		fprintf(stderr, "%s\n", err.text);
		return;
	}
	sas_create(&p);
	printf("%s\n%5s %5s", text, "bytes", "SAs");
	for (unsigned i = 0; i < COLUMNS; i++)
		printf(" %8s", columns[i]);
	printf("\n");
	for (unsigned sas = 1; sas <= SAS_MAX; sas *= SAS_MAX)
		for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
			measure(mgr, mbuf, sas, lens[i], rounds);
	sas_destroy();
}

int main(int argc, char **argv)
{
	static const char *const all[] = {
		"aes128gcm16",	  "aes256gcm16",      "aes128gmac",    "chacha20poly1305",
		"aes128-sha1",	  "aes256-sha256",    "aes256-sha384", "aes256-sha512",
		"aes128-aesxcbc", "aes128ctr-sha256", "null-sha256",
	};
	const unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 200;
	struct rte_mbuf *mbuf[BATCH_MAX];
	IMB_MGR *mgr;
	void *state = NULL;

	if (fake_group_setup(&state) != 0 || fake_setup(&state) != 0)
		return 1;
	mgr = alloc_mb_mgr(0);
	init_mb_mgr_auto(mgr, NULL);
	for (unsigned i = 0; i < BATCH_MAX; i++)
		mbuf[i] = mbuf_of("", 0);
	printf("%s, nanoseconds a packet\n", crypto_version());
	if (argc <= 2)
		measure_suite(all[0], mgr, mbuf, rounds);
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "all") != 0)
			measure_suite(argv[i], mgr, mbuf, rounds);
		for (unsigned k = 0;
		     strcmp(argv[i], "all") == 0 && k < sizeof(all) / sizeof(all[0]); k++)
			measure_suite(all[k], mgr, mbuf, rounds);
	}
	for (unsigned i = 0; i < BATCH_MAX; i++)
		rte_pktmbuf_free(mbuf[i]);
	free_mb_mgr(mgr);
	return fake_teardown(&state) != 0 || fake_group_teardown(&state) != 0;
}
