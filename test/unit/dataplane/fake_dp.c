#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_dp.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_malloc.h>

#include "dataplane/acquire.h"
#include "dataplane/crypto.h"
#include "dataplane/esp.h"
#include "dataplane/fib6.h"
#include "dataplane/icmp.h"
#include "dataplane/icmp6.h"
#include "dataplane/reass.h"
#include "dataplane/pmtu.h"
#include "dataplane/policy.h"
#include "dataplane/sad.h"

#define POOL_SIZE 511

struct fake fake;

static struct rte_mempool *pool; // lives as long as EAL

const uint8_t fake_key[36] = {0x4c, 0x80, 0xcd, 0xef, 0xbb, 0x5d, 0x10, 0xda, 0x90,
			      0x6a, 0xc7, 0x3c, 0x36, 0x13, 0xa6, 0x34, 0x2e, 0x44,
			      0x3b, 0x68, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,
			      0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10};

// ---- what the files under test call ----

struct deferred_free {
	void (*fn)(void *);
	void *p;
	uint64_t token;
	struct deferred_free *next;
};

static struct deferred_free *deferred_list;

void dp_defer_free(struct dp *dp, void (*free_fn)(void *), void *p)
{
	struct deferred_free *d = malloc(sizeof(*d));

	*d = (struct deferred_free){free_fn, p, rte_rcu_qsbr_start(dp->qsbr), deferred_list};
	deferred_list = d;
	fake.n_deferred++;
}

void fake_reclaim(void)
{
	while (deferred_list != NULL) {
		struct deferred_free *d = deferred_list;

		deferred_list = d->next;
		rte_rcu_qsbr_check(fake.dp.qsbr, d->token, true);
		d->fn(d->p);
		free(d);
	}
}

void dp_event_put(struct dp *dp, const struct dp_event *ev)
{
	(void)dp;
	fake.n_events++;
	fake.event = *ev;
}

bool fib_is_local(const struct fib *fib, uint32_t addr_be)
{
	(void)fib;
	return addr_be == be32(fake.own_addr);
}

bool fib_is_local6(const struct fib *fib, const uint8_t addr[16])
{
	struct ip_addr own;

	(void)fib;
	assert_int_equal(ip_addr_parse(GW_A6, &own), 0);
	return memcmp(addr, own.bytes, 16) == 0;
}

enum fib_result fib_lookup(const struct fib *fib, uint32_t dst_be, struct fib_hop *hop)
{
	(void)fib;
	(void)dst_be;
	(void)hop;
	return FIB_NO_ROUTE;
}

enum fib_result fib6_lookup(const struct fib6 *fib, const uint8_t dst[16], struct fib6_hop *hop)
{
	(void)fib;
	(void)dst;
	(void)hop;
	return FIB_NO_ROUTE;
}

uint16_t fib_route_mtu(const struct dp *dp, uint32_t addr_be)
{
	(void)dp;
	return addr_be == rte_cpu_to_be_32(0xc6336402) ? fake.route_mtu : 0; // GW_B
}

uint16_t fib6_route_mtu(const struct dp *dp, const uint8_t addr[16])
{
	struct ip_addr peer;

	(void)dp;
	assert_int_equal(ip_addr_parse(GW_B6, &peer), 0);
	return memcmp(addr, peer.bytes, 16) == 0 ? fake.route_mtu : 0;
}

struct rte_mbuf *icmp_error(struct worker *w, const struct rte_mbuf *offending, uint8_t type,
			    uint8_t code, uint16_t mtu, uint32_t src_addr_be)
{
	(void)w;
	(void)offending;
	assert_int_equal(type, ICMP_UNREACHABLE);
	assert_int_equal(code, ICMP_UNREACHABLE_FRAG_NEEDED);
	fake.n_icmp++;
	fake.icmp_mtu = mtu;
	fake.icmp_src_be = src_addr_be;
	return fake.no_icmp ? NULL : rte_pktmbuf_alloc(pool);
}

struct rte_mbuf *icmp6_error(struct worker *w, const struct rte_mbuf *offending, uint8_t type,
			     uint8_t code, uint16_t mtu)
{
	(void)w;
	(void)offending;
	assert_int_equal(type, ICMP6_TOO_BIG);
	assert_int_equal(code, 0);
	fake.n_icmp++;
	fake.icmp_mtu = mtu;
	return fake.no_icmp ? NULL : rte_pktmbuf_alloc(pool);
}

struct rte_mbuf *reass_put(struct worker *w, struct rte_mbuf *m, bool from_linux)
{
	(void)w;
	fake.n_fragments++;
	fake.n_fragments_of_linux += from_linux;
	rte_pktmbuf_free(m);
	return fake.whole;
}

struct rte_mbuf *reass6_put(struct worker *w, struct rte_mbuf *m, bool from_linux)
{
	return reass_put(w, m, from_linux);
}

void route(struct worker *w, struct batch *b)
{
	void (*const meanwhile)(void) = fake.at_route;

	(void)w;
	fake.at_route = NULL;
	if (meanwhile != NULL)
		meanwhile();
	for (uint16_t i = 0; i < b->n; i++)
		batch_append(&fake.routed, b, i);
	b->n = 0;
}

bool worker_may_report(struct worker *w, uint64_t key)
{
	(void)w;
	(void)key;
	return true;
}

void acquire_put(struct worker *w, const struct batch *b, uint16_t i)
{
	(void)w;
	fake.n_waiting++;
	fake.waits_for = b->tunnel[i];
	rte_pktmbuf_free(b->pkt[i]);
}

bool acquire_waits(const struct worker *w, const struct tunnel *t)
{
	return w->n_waiting > 0 && t == fake.waits_for;
}

void worker_handover(struct worker *w, unsigned owner, struct rte_mbuf *m, uint16_t port)
{
	(void)w;
	(void)port;
	fake.n_handed_over++;
	fake.handed_to = owner;
	rte_pktmbuf_free(m);
}

// ---- setup ----

int fake_group_setup(void **state)
{
	char prefix[32];
	char *argv[] = {"test", "--no-huge", "--no-pci", "--no-shconf",	  "--no-telemetry", "-m",
			"256",	"-l",	     "0",	 "--log-level=3", prefix,	    NULL};
	cpu_set_t cpus;

	(void)state;
	snprintf(prefix, sizeof(prefix), "--file-prefix=t%d", (int)getpid());
	CPU_ZERO(&cpus);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	if (rte_eal_init(11, argv) < 0)
		return -1;
	sched_setaffinity(0, sizeof(cpus), &cpus); // EAL pins; other tests run beside this one
	pool = rte_pktmbuf_pool_create("packets", POOL_SIZE, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, -1);
	return pool != NULL ? 0 : -1;
}

int fake_group_teardown(void **state)
{
	(void)state;
	rte_mempool_free(pool);
	return rte_eal_cleanup();
}

int fake_setup(void **state)
{
	struct dp *dp = &fake.dp;

	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.route_mtu = 1500;
	fake.own_addr = GW_A;
	dp->pool = pool;
	dp->n_workers = 1;
	dp->tsc_hz = rte_get_tsc_hz();
	dp->qsbr = rte_zmalloc("qsbr", rte_rcu_qsbr_get_memsize(8), RTE_CACHE_LINE_SIZE);
	fake.w = rte_zmalloc("worker", sizeof(*fake.w), RTE_CACHE_LINE_SIZE);
	if (dp->qsbr == NULL || fake.w == NULL || rte_rcu_qsbr_init(dp->qsbr, 8) != 0)
		return -1;
	if (pmtu_create(dp) != 0 || sad_create(dp) != 0 || tunnels_create(dp) != 0 ||
	    policies_create(dp) != 0)
		return -1;
	fake.w->dp = dp;
	fake.w->now_tsc = rte_rdtsc();
	return crypto_create(&fake.w->crypto);
}

int fake_teardown(void **state)
{
	(void)state;
	fake_reclaim();
	policies_destroy(&fake.dp);
	tunnels_destroy(&fake.dp);
	sad_destroy(&fake.dp);
	pmtu_destroy(&fake.dp);
	crypto_destroy(fake.w->crypto);
	rte_free(fake.w);
	rte_free(fake.dp.qsbr);
	return rte_mempool_in_use_count(pool) == 0 ? 0 : -1;
}

// ---- packets ----

uint32_t be32(const char *addr)
{
	struct ip_addr a;

	assert_int_equal(ip_addr_parse(addr, &a), 0);
	return rte_cpu_to_be_32(ip_addr_to_v4(&a));
}

static struct ip_addr addr_of(const char *text)
{
	struct ip_addr a;

	assert_int_equal(ip_addr_parse(text, &a), 0);
	return a;
}

// "10.1.0.0/16", then optionally " proto" or " proto lo-hi".
struct selector sel(const char *text)
{
	char prefix[64] = "";
	unsigned proto = 0, lo = 0, hi = UINT16_MAX;
	struct ip_prefix p;
	struct selector s = {0};

	assert_true(sscanf(text, "%63s %u %u-%u", prefix, &proto, &lo, &hi) >= 1);
	assert_int_equal(ip_prefix_parse(prefix, &p), 0);
	s.family = p.addr.family;
	ip_prefix_range(&p, &s.lo, &s.hi);
	s.proto = (uint8_t)proto;
	s.port_lo = (uint16_t)lo;
	s.port_hi = (uint16_t)hi;
	return s;
}

struct esp_sa fake_esp_sa(uint32_t spi, unsigned key_bits, bool udp)
{
	struct esp_sa sa = {
		.spi = spi,
		.encr = {TRANSFORM_ENCR, ENCR_AES_GCM_16, (uint16_t)key_bits},
		.integ = {TRANSFORM_INTEG, INTEG_NONE, 0},
		.udp_encap = udp,
		.local = {addr_of(GW_A), udp ? 4500 : 0},
		.remote = {addr_of(GW_B), udp ? 4500 : 0},
		.replay_window = ESP_REPLAY_WINDOW_DEFAULT,
		.local_ts = {1, {sel(SITE_A)}},
		.remote_ts = {1, {sel(SITE_B)}},
	};

	assert_int_equal(secret_set(&sa.encr_key, fake_key, key_bits / 8 + 4), 0);
	return sa;
}

void make_ip(uint8_t *buf, size_t len, const char *src, const char *dst, uint8_t proto,
	     uint16_t src_port, uint16_t dst_port)
{
	struct rte_ipv4_hdr ip = {
		.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = rte_cpu_to_be_16((uint16_t)len),
		.time_to_live = 63,
		.next_proto_id = proto,
		.src_addr = be32(src),
		.dst_addr = be32(dst),
	};

	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)i;
	ip.hdr_checksum = rte_ipv4_cksum(&ip);
	memcpy(buf, &ip, sizeof(ip));
	if (len >= 24 && proto != IPPROTO_ICMP) {
		buf[20] = (uint8_t)(src_port >> 8);
		buf[21] = (uint8_t)src_port;
		buf[22] = (uint8_t)(dst_port >> 8);
		buf[23] = (uint8_t)dst_port;
	} else if (len >= 24) { // type and code
		buf[20] = (uint8_t)(src_port >> 8);
		buf[21] = (uint8_t)src_port;
	}
}

void make_ip6(uint8_t *buf, size_t len, const char *src, const char *dst, uint8_t next,
	      uint16_t src_port, uint16_t dst_port)
{
	const struct ip_addr from = addr_of(src), to = addr_of(dst);

	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)i;
	memset(buf, 0, 8);
	buf[0] = 0x60;
	buf[4] = (uint8_t)((len - 40) >> 8);
	buf[5] = (uint8_t)(len - 40);
	buf[6] = next;
	buf[7] = 63;
	memcpy(buf + 8, from.bytes, 16);
	memcpy(buf + 24, to.bytes, 16);
	if (len >= 44) {
		buf[40] = (uint8_t)(src_port >> 8);
		buf[41] = (uint8_t)src_port;
		buf[42] = (uint8_t)(dst_port >> 8);
		buf[43] = (uint8_t)dst_port;
	}
}

struct rte_mbuf *mbuf_of(const void *ip, size_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), ip, len);
	return m;
}

void batch_put(struct batch *b, struct rte_mbuf *m)
{
	b->pkt[b->n] = m;
	b->port[b->n] = 0;
	b->origin[b->n] = FROM_NIC;
	b->from_linux[b->n] = false;
	b->tunnel[b->n] = NULL;
	b->sa[b->n] = NULL;
	b->n++;
}

void batch_free(struct batch *b)
{
	for (uint16_t i = 0; i < b->n; i++)
		rte_pktmbuf_free(b->pkt[i]);
	b->n = 0;
}

size_t put_trailer(uint8_t *text, size_t len, unsigned extra, uint8_t next_header)
{
	unsigned pad = (unsigned)(-(len + 2) & 3) + extra;

	for (unsigned i = 0; i < pad; i++)
		text[len++] = (uint8_t)(i + 1);
	text[len++] = (uint8_t)pad;
	text[len++] = next_header;
	return len;
}

static EVP_CIPHER_CTX *gcm(unsigned key_bits, const uint8_t *iv, bool encrypt)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t nonce[12];

	memcpy(nonce, fake_key + key_bits / 8, 4);
	memcpy(nonce + 4, iv, 8);
	assert_int_equal(EVP_CipherInit_ex(ctx,
					   key_bits == 128 ? EVP_aes_128_gcm() : EVP_aes_256_gcm(),
					   NULL, fake_key, nonce, encrypt),
			 1);
	return ctx;
}

size_t make_esp(uint8_t *buf, const struct fake_esp *how, const uint8_t *text, size_t text_len)
{
	const size_t ip_len = sizeof(struct rte_ipv4_hdr) + how->ip_options;
	const size_t udp_len = how->udp ? 8 : 0;
	const size_t len = ip_len + udp_len + 16 + text_len + 16;
	uint8_t *esp = buf + ip_len + udp_len;
	const uint32_t head[2] = {rte_cpu_to_be_32(how->spi), rte_cpu_to_be_32(how->seq)};
	const uint64_t iv = 0x1122334455667788u ^ how->seq; // a peer's IV need not be its number
	EVP_CIPHER_CTX *ctx;
	int n;

	make_ip(buf, len, GW_B, GW_A, how->udp ? IPPROTO_UDP : IPPROTO_ESP, 0, 0);
	memset(buf + sizeof(struct rte_ipv4_hdr), 1, how->ip_options); // no-operation
	buf[0] = (uint8_t)(0x40 | ip_len / 4);
	buf[1] = how->tos;
	if (how->udp) {
		const uint16_t udp[4] = {rte_cpu_to_be_16(4500), rte_cpu_to_be_16(4500),
					 rte_cpu_to_be_16((uint16_t)(len - ip_len)), 0};

		memcpy(buf + ip_len, udp, sizeof(udp));
	}
	memcpy(esp, head, 8);
	memcpy(esp + 8, &iv, 8);
	ctx = gcm(how->key_bits, esp + 8, true);
	assert_int_equal(EVP_CipherUpdate(ctx, NULL, &n, esp, 8), 1);
	assert_int_equal(EVP_CipherUpdate(ctx, esp + 16, &n, text, (int)text_len), 1);
	assert_int_equal(EVP_CipherFinal_ex(ctx, esp + 16 + text_len, &n), 1);
	EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, esp + 16 + text_len);
	EVP_CIPHER_CTX_free(ctx);
	return len;
}

size_t over_ipv6(const uint8_t *v4, size_t len, uint8_t *out)
{
	const struct ip_addr src = addr_of(GW_B6), dst = addr_of(GW_A6);
	const size_t behind = len - 20;

	memset(out, 0, 40);
	out[0] = (uint8_t)(0x60 | v4[1] >> 4);
	out[1] = (uint8_t)(v4[1] << 4);
	out[4] = (uint8_t)(behind >> 8);
	out[5] = (uint8_t)behind;
	out[6] = v4[9];
	out[7] = 64;
	memcpy(out + 8, src.bytes, 16);
	memcpy(out + 24, dst.bytes, 16);
	memcpy(out + 40, v4 + 20, behind);
	return 40 + behind;
}

int open_esp(const uint8_t *esp, size_t len, unsigned key_bits, uint8_t *text)
{
	const int text_len = (int)len - 32;
	EVP_CIPHER_CTX *ctx = gcm(key_bits, esp + 8, false);
	int n, ok;

	assert_int_equal(EVP_CipherUpdate(ctx, NULL, &n, esp, 8), 1);
	assert_int_equal(EVP_CipherUpdate(ctx, text, &n, esp + 16, text_len), 1);
	EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, (void *)(uintptr_t)(esp + len - 16));
	ok = EVP_CipherFinal_ex(ctx, text + text_len, &n);
	EVP_CIPHER_CTX_free(ctx);
	return ok == 1 ? text_len : -1;
}

uint32_t fake_publish_in(unsigned key_bits, bool udp, uint32_t window)
{
	struct esp_sa sa;
	uint32_t spi;

	assert_int_equal(dp_sa_in_reserve(&fake.dp, &spi), 0);
	sa = fake_esp_sa(spi, key_bits, udp);
	sa.replay_window = window;
	assert_int_equal(dp_sa_in_publish(&fake.dp, 0, &sa, NULL), 0);
	assert_null(sa.encr_key.data); // taken
	return spi;
}

size_t make_inner(uint8_t *ip, size_t len)
{
	make_ip(ip, len, HOST_B, HOST_A, len < 24 ? 99 : IPPROTO_UDP, 2000, 1000);
	return len;
}

unsigned fake_receive(struct batch *b, const struct fake_esp *how, const uint8_t *text,
		      size_t text_len)
{
	uint8_t buf[2048];
	size_t len = make_esp(buf, how, text, text_len);

	batch_put(b, mbuf_of(buf, len));
	esp_in(fake.w, b);
	return b->n;
}

bool ip_checksum_ok(const void *ip)
{
	const uint8_t *p = ip;
	uint32_t sum = 0;

	for (unsigned i = 0; i < (p[0] & 15u) * 4; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

uint64_t dropped(unsigned r)
{
	return counter_read(&fake.w->drops[r]);
}

uint64_t dropped_total(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < DROP_REASON_COUNT; i++)
		n += counter_read(&fake.w->drops[i]);
	return n;
}
