// Nanoseconds a packet of esp_out() and esp_in(), beside raw intel-ipsec-mb on the same bytes in
// the same run: the difference is what our own code costs.
//
//   bench_esp [ROUNDS]
//
// One core, AES-128-GCM, batches of 64, packets in cache, each batch from SAs in random order.
// "direct" and "burst" are the library's two interfaces: one call per packet, and
// IMB_SUBMIT_BURST_NOCHECK (library 1.3 only: later ones want a session for each job). Each figure
// is the best of 20 blocks of ROUNDS batches, so that a busy machine does less harm.
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
#include "test/unit/dataplane/fake_dp.h"

#define SAS_MAX	   1024
#define BLOCKS	   20
#define HAVE_BURST (IMB_VERSION_NUM < IMB_VERSION(1, 4, 0))

static struct tunnel *tunnel[SAS_MAX];
static struct sa_in *sa_in[SAS_MAX];
static uint64_t cycles[6];

enum { RAW_SEAL, RAW_OPEN, BURST_SEAL, BURST_OPEN, OUT, IN };

static void sas_create(void)
{
	for (unsigned i = 0; i < SAS_MAX; i++) {
		struct esp_sa in, out;
		uint32_t spi, id;

		assert_int_equal(dp_sa_in_reserve(&fake.dp, &spi), 0);
		in = fake_esp_sa(spi, 128, false);
		out = fake_esp_sa(spi, 128, false);
		in.encr_key.data[0] = out.encr_key.data[0] = (uint8_t)i;
		in.encr_key.data[1] = out.encr_key.data[1] = (uint8_t)(i >> 8);
		in.local_ts = out.remote_ts;
		in.remote_ts = out.local_ts;
		assert_int_equal(dp_sa_in_publish(&fake.dp, 0, &in, NULL), 0);
		assert_int_equal(dp_tunnel_add(&fake.dp, "bench", &id), 0);
		assert_int_equal(dp_tunnel_set_out(&fake.dp, id, &out, NULL), 0);
		tunnel[i] = tunnel_get(&fake.dp, id);
		sa_in[i] = sad_lookup(fake.dp.sad, spi);
	}
}

// ---- raw intel-ipsec-mb ----

#if HAVE_BURST
static void burst(IMB_MGR *mgr, struct crypto_job *j, unsigned n, bool seal)
{
	IMB_JOB *job[BATCH_MAX];

	assert_int_equal(IMB_GET_NEXT_BURST(mgr, n, job), n);
	for (unsigned i = 0; i < n; i++) {
		job[i]->enc_keys = job[i]->dec_keys = &j[i].key->gcm;
		job[i]->key_len_in_bytes = j[i].key->key_len;
		job[i]->src = j[i].text;
		job[i]->dst = j[i].text;
		job[i]->cipher_start_src_offset_in_bytes = 0;
		job[i]->hash_start_src_offset_in_bytes = 0;
		job[i]->msg_len_to_cipher_in_bytes = j[i].text_len;
		job[i]->msg_len_to_hash_in_bytes = j[i].text_len;
		job[i]->iv = j[i].nonce;
		job[i]->iv_len_in_bytes = CRYPTO_NONCE_LEN;
		job[i]->auth_tag_output = j[i].icv;
		job[i]->auth_tag_output_len_in_bytes = CRYPTO_ICV_LEN;
		job[i]->u.GCM.aad = j[i].aad;
		job[i]->u.GCM.aad_len_in_bytes = j[i].aad_len;
		job[i]->cipher_mode = IMB_CIPHER_GCM;
		job[i]->hash_alg = IMB_AUTH_AES_GMAC;
		job[i]->cipher_direction = seal ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
		job[i]->chain_order = seal ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	}
	assert_int_equal(IMB_SUBMIT_BURST_NOCHECK(mgr, n, job), n);
}
#endif

// Each of the four meets its own random keys, as a batch of packets does.
static uint64_t raw_one(IMB_MGR *mgr, unsigned which, unsigned sas, uint32_t text_len)
{
	static uint8_t text[BATCH_MAX][2048], icv[BATCH_MAX][CRYPTO_ICV_LEN], aad[BATCH_MAX][8];
	struct crypto_job job[BATCH_MAX];
	uint64_t start;

	for (unsigned i = 0; i < BATCH_MAX; i++) {
		job[i] = (struct crypto_job){
			.key = &sa_in[(unsigned)random() % sas]->key,
			.text = text[i],
			.aad = aad[i],
			.icv = icv[i],
			.text_len = text_len,
			.aad_len = 8,
		};
	}
	start = rte_rdtsc_precise();
	if (which == RAW_SEAL)
		crypto_seal(fake.w->crypto, job, BATCH_MAX);
	else if (which == RAW_OPEN)
		crypto_open(fake.w->crypto, job, BATCH_MAX);
#if HAVE_BURST
	else
		burst(mgr, job, BATCH_MAX, which == BURST_SEAL);
#else
	(void)mgr;
#endif
	return rte_rdtsc_precise() - start;
}

// ---- the stages ----

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
	uint64_t best[6];
	uint8_t ip[2048];

	memset(best, 0xff, sizeof(best));
	make_ip(ip, len, HOST_A, HOST_B, IPPROTO_UDP, 7, 8);
	for (unsigned block = 0; block < BLOCKS; block++) {
		memset(cycles, 0, sizeof(cycles));
		for (unsigned r = 0; r < rounds; r++) {
			for (unsigned which = RAW_SEAL; which <= BURST_OPEN; which++)
				cycles[which] += raw_one(mgr, which, sas, len + 2u);
			stages(mbuf, sas, ip, len);
		}
		for (unsigned i = 0; i < 6; i++)
			best[i] = RTE_MIN(best[i], cycles[i]);
	}
	printf("%5u %5u", len, sas);
	for (unsigned i = 0; i < 6; i++)
		printf(" %10.1f", (double)best[i] * 1e9 / (double)fake.dp.tsc_hz /
					  ((double)rounds * BATCH_MAX));
	printf("\n");
}

int main(int argc, char **argv)
{
	static const uint16_t lens[] = {62, 126, 254, 510, 1022, 1418};
	const unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 200;
	struct rte_mbuf *mbuf[BATCH_MAX];
	IMB_MGR *mgr;
	void *state = NULL;

	if (fake_group_setup(&state) != 0 || fake_setup(&state) != 0)
		return 1;
	mgr = alloc_mb_mgr(0);
	init_mb_mgr_auto(mgr, NULL);
	sas_create();
	for (unsigned i = 0; i < BATCH_MAX; i++)
		mbuf[i] = mbuf_of("", 0);
	printf("%s, nanoseconds a packet\n", crypto_version());
	printf("%5s %5s %10s %10s %10s %10s %10s %10s\n", "bytes", "SAs", "direct enc",
	       "direct dec", "burst enc", "burst dec", "esp_out", "esp_in");
	for (unsigned sas = 1; sas <= SAS_MAX; sas *= SAS_MAX)
		for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
			measure(mgr, mbuf, sas, lens[i], rounds);
	for (unsigned i = 0; i < BATCH_MAX; i++)
		rte_pktmbuf_free(mbuf[i]);
	free_mb_mgr(mgr);
	return fake_teardown(&state) != 0 || fake_group_teardown(&state) != 0;
}
