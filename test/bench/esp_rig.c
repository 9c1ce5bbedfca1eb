#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "esp_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_malloc.h>

#include "dataplane/esp.h"
#include "dataplane/sad.h"
#include "dataplane/tunnel.h"

#define LAN	  0
#define WAN	  1
#define SITES	  0x14000000u // 20.0.0.0
#define PEERS	  0xc6120000u // 198.18.0.0
#define OWN	  "192.0.2.1"
#define HOST	  "10.2.0.10"
#define NATT_PORT 4500
#define PORT_MTU  1700 // nothing is cut, whatever the suite adds to 1518 bytes

bool rig_wide_selectors, rig_udp;
const char *const rig_suites[] = {
	"aes128gcm16",	 "aes256gcm16",	   "aes128gmac",       "chacha20poly1305",
	"aes128-sha1",	 "aes128-sha256",  "aes256-sha256",    "aes256-sha384",
	"aes256-sha512", "aes128-aesxcbc", "aes128ctr-sha256", "null-sha256",
};
const unsigned rig_n_suites = sizeof(rig_suites) / sizeof(rig_suites[0]);

static struct {
	uint32_t id, spi;
	// The inbound SA's, and the outbound one's, which is the same: what comes in is made with
	// it, so that the other is as cold as the worker would find it.
	const struct crypto_key *key, *key_out;
	uint64_t seq; // of the packets made for the inbound SA
} tunnel[RIG_SAS_MAX];
static unsigned n_tunnels, n_used, n_sites;
static double pair_bytes;
static struct dp_policy policy[RIG_SAS_MAX];

// What a worker finds at its queue of either port, and what it has sent.
static struct lane {
	_Alignas(64) struct rte_mbuf *mbuf[RIG_PACKETS];
	unsigned next_rx;
	_Alignas(64) unsigned n_sent; // by this worker
} lane[RIG_WORKERS];

// ---- devices ----

static uint16_t rx(void *queue, struct rte_mbuf **pkt, uint16_t n)
{
	struct lane *l = queue;

	if (n > RIG_PACKETS - l->next_rx)
		n = (uint16_t)(RIG_PACKETS - l->next_rx);
	memcpy(pkt, l->mbuf + l->next_rx, n * sizeof(pkt[0]));
	l->next_rx += n;
	return n;
}

// The packets stay ours.
static uint16_t tx(void *queue, struct rte_mbuf **pkt, uint16_t n)
{
	struct lane *l = queue;

	(void)pkt;
	l->n_sent += n;
	return n;
}

static void plug(unsigned device)
{
	static void *queue[RIG_WORKERS], *callbacks[RIG_WORKERS];
	struct rte_eth_fp_ops *ops = &rte_eth_fp_ops[device];

	for (unsigned i = 0; i < RIG_WORKERS; i++)
		queue[i] = &lane[i];
	ops->rx_pkt_burst = rx;
	ops->tx_pkt_burst = tx;
	ops->rxq.data = ops->txq.data = queue;
	ops->rxq.clbk = ops->txq.clbk = (void *)callbacks;
}

void rig_start(unsigned max_sas)
{
	void *state = NULL;

	core_memory_mb = 420 + max_sas / 1000 * 6; // 5 KB a pair, for now
	assert_int_equal(core_group_setup(&state), 0);
	assert_int_equal(core_setup(&state), 0);
	core_route("10.2.0.0/16", LAN, "10.1.0.254");
	core_neigh(LAN, "10.1.0.254", &core_host_mac);
	core_route("198.18.0.0/15", WAN, "192.0.2.254");
	core_neigh(WAN, "192.0.2.254", &core_gw_mac);
	for (unsigned i = 0; i < 2; i++) {
		core.port[i].id = (uint16_t)i;
		core.port[i].mtu = PORT_MTU;
		plug(i);
	}
	for (unsigned i = 0; i < RIG_WORKERS * RIG_PACKETS; i++) {
		struct rte_mbuf **m = &lane[i / RIG_PACKETS].mbuf[i % RIG_PACKETS];

		*m = rte_pktmbuf_alloc(core.dp.pool);
		assert_non_null(*m);
	}
}

void rig_second_worker(void)
{
	core.dp.n_workers = 2;
	core.w->alone = false;
	assert_int_equal(worker_create(&core.dp, 1, &core.workers[1]), 0);
	assert_int_equal(crypto_create(&core.workers[1]->crypto), 0);
	core.workers[1]->now_tsc = core.w->now_tsc;
}

void rig_stop(void)
{
	void *state = NULL;

	for (unsigned i = 0; i < RIG_WORKERS; i++)
		rte_pktmbuf_free_bulk(lane[i].mbuf, RIG_PACKETS);
	if (core.dp.n_workers == 2) {
		crypto_destroy(core.workers[1]->crypto);
		worker_destroy(core.workers[1]);
	}
	assert_int_equal(core_teardown(&state), 0);
	core_group_teardown(&state);
}

struct source rig_source(enum rig_direction d, unsigned worker)
{
	return (struct source){
		.type = SOURCE_NIC, .port = d == RIG_OUT ? LAN : WAN, .queue = (uint16_t)worker};
}

unsigned rig_sent(unsigned worker)
{
	return lane[worker].n_sent;
}

// ---- tunnels ----

static struct selector range(uint32_t addr, uint8_t len)
{
	const struct ip_prefix p = {.addr = ip_addr_v4(addr), .len = len};

	return selector_from_prefix(&p);
}

static struct esp_sa sa_of(const struct proposal *p, unsigned n, uint32_t spi)
{
	const struct transform *integ = proposal_first(p, TRANSFORM_INTEG);
	const uint8_t key[64] = {(uint8_t)n, (uint8_t)(n >> 8), 1};
	struct esp_sa sa = {
		.spi = spi,
		.encr = *proposal_first(p, TRANSFORM_ENCR),
		.integ = {TRANSFORM_INTEG, INTEG_NONE, 0},
		.local = {core_addr(OWN), rig_udp ? NATT_PORT : 0},
		.remote = {ip_addr_v4(PEERS + n), rig_udp ? NATT_PORT : 0},
		.udp_encap = rig_udp,
		.replay_window = ESP_REPLAY_WINDOW_DEFAULT,
		.esn = proposal_first(p, TRANSFORM_SN)->id == SN_ESN,
		.local_ts = {1, {range(0x0a000000u, 8)}},
		.remote_ts = {1, {rig_wide_selectors ? range(0, 0) : range(SITES + (n << 8), 24)}},
	};

	assert_int_equal(secret_set(&sa.encr_key, key, transform_find(&sa.encr)->key_len), 0);
	if (integ != NULL && integ->id != INTEG_NONE) {
		sa.integ = *integ;
		assert_int_equal(secret_set(&sa.integ_key, key, transform_find(integ)->key_len), 0);
	}
	return sa;
}

static void add(const struct proposal *p, unsigned n)
{
	struct esp_sa in, out;

	assert_int_equal(dp_tunnel_add(&core.dp, "bench", &tunnel[n].id), 0);
	assert_int_equal(dp_sa_in_reserve(&core.dp, &tunnel[n].spi), 0);
	in = sa_of(p, n, tunnel[n].spi);
	out = sa_of(p, n, tunnel[n].spi);
	assert_int_equal(dp_sa_in_publish(&core.dp, tunnel[n].id, &in, NULL), 0);
	assert_int_equal(dp_tunnel_set_out(&core.dp, tunnel[n].id, &out, NULL), 0);
	tunnel[n].key = &sad_lookup(core.dp.sad, tunnel[n].spi)->key;
	tunnel[n].key_out = &tunnel_sa(tunnel_get(&core.dp, tunnel[n].id))->key;
	tunnel[n].seq = 0;
	policy[n] = (struct dp_policy){
		.action = DP_PROTECT,
		.local = range(0x0a000000u, 8),
		.remote = range(SITES + (n << 8), 24),
		.tunnel = tunnel[n].id,
	};
}

static size_t allocated(void)
{
	struct rte_malloc_socket_stats s;

	assert_int_equal(rte_malloc_get_socket_stats(0, &s), 0);
	return s.heap_allocsz_bytes;
}

bool rig_tunnels_add(const char *text, unsigned n)
{
	struct error err = {""};
	struct proposal p;
	size_t before;

	if (proposal_parse(text, PROTO_ESP, &p, &err) != 0) {
		fprintf(stderr, "%s\n", err.text);
		return false;
	}
	before = allocated();
	for (n_tunnels = 0; n_tunnels < n; n_tunnels++)
		add(&p, n_tunnels);
	pair_bytes = (double)(allocated() - before) / n;
	rig_policies(n);
	return true;
}

double rig_pair_bytes(void)
{
	return pair_bytes;
}

void rig_policies(unsigned n)
{
	n_used = n;
	n_sites = n;
	assert_int_equal(dp_policies_set(&core.dp, policy, n), 0);
	dp_housekeeping(&core.dp);
}

void rig_sites(unsigned n)
{
	for (unsigned i = n_tunnels; i < n; i++) {
		policy[i] = policy[i % n_tunnels];
		policy[i].remote = range(SITES + (i << 8), 24);
	}
	rig_policies(n);
	n_used = n_tunnels;
}

void rig_peer_routes(unsigned n)
{
	static unsigned n_routes;

	for (; n_routes < n; n_routes++) {
		const struct dp_route r = {.dst = {ip_addr_v4(PEERS + n_routes), 32},
					   .port = WAN,
					   .gateway = core_addr("192.0.2.254")};

		assert_int_equal(dp_route_set(&core.dp, &r), 0);
	}
	dp_housekeeping(&core.dp);
}

void rig_tunnels_del(void)
{
	rig_policies(0);
	while (n_tunnels > 0) {
		n_tunnels--;
		assert_int_equal(dp_sa_in_retire(&core.dp, tunnel[n_tunnels].spi), 0);
		assert_int_equal(dp_tunnel_del(&core.dp, tunnel[n_tunnels].id), 0);
	}
	dp_housekeeping(&core.dp);
}

const struct crypto_key *rig_key(unsigned n)
{
	return tunnel[n].key;
}

// ---- packets ----

static uint16_t length(uint16_t len)
{
	const unsigned turn = (unsigned)random() % 48;

	if (len != RIG_IMIX)
		return len;
	return turn < 28 ? 64 : turn < 44 ? 570 : 1518;
}

static uint32_t text_length(const struct crypto_key *k, uint32_t len)
{
	return (len + ESP_TRAILER_LEN + k->align - 1) / k->align * k->align;
}

static void put_ip(uint8_t *at, uint16_t len, uint8_t proto, uint32_t src, uint32_t dst)
{
	struct rte_ipv4_hdr ip = {
		.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = rte_cpu_to_be_16(len),
		.time_to_live = 64,
		.next_proto_id = proto,
		.src_addr = rte_cpu_to_be_32(src),
		.dst_addr = rte_cpu_to_be_32(dst),
	};

	ip.hdr_checksum = (uint16_t)~rte_raw_cksum(&ip, sizeof(ip));
	memcpy(at, &ip, sizeof(ip));
}

static void put_udp(uint8_t *at, uint16_t from, uint16_t to, uint16_t len)
{
	const uint16_t udp[] = {rte_cpu_to_be_16(from), rte_cpu_to_be_16(to), rte_cpu_to_be_16(len),
				0};

	memcpy(at, udp, sizeof(udp));
}

static void put_inner(uint8_t *at, uint16_t len, uint32_t src, uint32_t dst)
{
	put_ip(at, len, IPPROTO_UDP, src, dst);
	put_udp(at + 20, 7000, 8000, (uint16_t)(len - 20));
}

static uint8_t *frame(struct rte_mbuf *m, unsigned port, uint16_t ip_len)
{
	struct rte_ether_hdr *eth;

	rte_pktmbuf_reset(m);
	eth = (struct rte_ether_hdr *)(void *)rte_pktmbuf_append(m,
								 (uint16_t)(sizeof(*eth) + ip_len));
	memcpy(&eth->dst_addr, &core_port_mac[port], 6);
	memcpy(&eth->src_addr, port == LAN ? &core_host_mac : &core_gw_mac, 6);
	eth->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	return (uint8_t *)(eth + 1);
}

// What a peer's gateway would have made of it.
static void put_esp(struct rte_mbuf *m, unsigned n, uint16_t len, struct crypto_job *job)
{
	const struct crypto_key *k = tunnel[n].key_out;
	const uint32_t text_len = text_length(k, len), pad_len = text_len - len - ESP_TRAILER_LEN;
	const uint16_t outer_len = rig_udp ? 28 : 20;
	const uint16_t ip_len = (uint16_t)(outer_len + k->head_len + text_len + k->icv_len);
	uint8_t *ip = frame(m, WAN, ip_len), *esp = ip + outer_len, *text = esp + k->head_len;
	const uint64_t seq = ++tunnel[n].seq, seq_be = rte_cpu_to_be_64(seq);
	const uint32_t head[] = {rte_cpu_to_be_32(tunnel[n].spi), rte_cpu_to_be_32((uint32_t)seq)};

	put_ip(ip, ip_len, rig_udp ? IPPROTO_UDP : IPPROTO_ESP, PEERS + n,
	       rte_be_to_cpu_32(core_be32(OWN)));
	if (rig_udp)
		put_udp(ip + 20, NATT_PORT, NATT_PORT, (uint16_t)(ip_len - 20));
	memset(esp, 0, k->head_len);
	memcpy(text - sizeof(seq_be), &seq_be, sizeof(seq_be)); // a NULL cipher has no IV
	memcpy(esp, head, sizeof(head));
	put_inner(text, len, SITES + (n << 8) + 1, rte_be_to_cpu_32(core_be32(HOST)));
	for (uint32_t p = 0; p < pad_len; p++)
		text[len + p] = (uint8_t)(p + 1);
	text[text_len - 2] = (uint8_t)pad_len;
	text[text_len - 1] = ESP_NEXT_HEADER_IPV4;
	crypto_job_set(job, k, esp, text_len, (uint32_t)(seq >> 32));
}

void rig_packets_of(unsigned worker, enum rig_direction d, uint16_t len, unsigned first, unsigned n)
{
	struct crypto_job job[BATCH_MAX];
	struct lane *l = &lane[worker];

	for (unsigned i = 0; i < RIG_PACKETS; i++) {
		const unsigned to = first + (unsigned)random() % n;
		const uint16_t one = length(len);

		if (d == RIG_OUT) {
			put_inner(frame(l->mbuf[i], LAN, one), one, 0x0a01000au,
				  SITES + (to << 8) + 1);
			continue;
		}
		put_esp(l->mbuf[i], to, one, &job[i % BATCH_MAX]);
		if (i % BATCH_MAX == BATCH_MAX - 1)
			crypto_seal(core.w->crypto, job, BATCH_MAX);
	}
	l->next_rx = l->n_sent = 0;
}

void rig_packets(enum rig_direction d, uint16_t len)
{
	rig_packets_of(0, d, len, 0, d == RIG_OUT ? n_sites : n_used);
}

void rig_jobs(struct crypto_job job[RIG_PACKETS], uint16_t len)
{
	for (unsigned i = 0; i < RIG_PACKETS; i++) {
		const struct crypto_key *k = rig_key((unsigned)random() % n_used);
		struct rte_mbuf *m = lane[0].mbuf[i];

		rte_pktmbuf_reset(m);
		crypto_job_set(&job[i], k, rte_pktmbuf_mtod(m, uint8_t *) + 34,
			       text_length(k, length(len)), 0);
	}
}
