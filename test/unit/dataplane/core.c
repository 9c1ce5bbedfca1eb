#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "core.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_udp.h>

#include "dataplane/crypto.h"
#include "dataplane/guard.h"
#include "dataplane/iface.h"
#include "dataplane/pmtu.h"
#include "dataplane/policy.h"
#include "dataplane/reass.h"
#include "dataplane/sad.h"
#include "dataplane/tunnel.h"

enum { POOL_SIZE = 1023, LARGE_POOL_SIZE = 15 };

struct core core;
unsigned core_memory_mb = 160;

const struct mac_addr core_port_mac[2] = {{{2, 0, 0, 0, 0, 1}}, {{2, 0, 0, 0, 0, 2}}};
const struct mac_addr core_host_mac = {{2, 0, 0, 0, 1, 1}}, core_gw_mac = {{2, 0, 0, 0, 1, 2}};

static struct rte_mempool *pool, *large_pool;
static struct rte_ring *events;

int core_group_setup(void **state)
{
	char prefix[64], memory[16];
	char *argv[] = {"test",		prefix,		  "--no-huge",
			"--no-pci",	"--no-shconf",	  "-m",
			memory,		"--no-telemetry", "--log-level=warning",
			"--lcores=0@0", (char *)NULL};

	(void)state;
	snprintf(prefix, sizeof(prefix), "--file-prefix=core%d", (int)getpid());
	snprintf(memory, sizeof(memory), "%u", core_memory_mb);
	if (rte_eal_init((int)(sizeof(argv) / sizeof(argv[0])) - 1, argv) < 0)
		return -1;
	pool = rte_pktmbuf_pool_create("test", POOL_SIZE, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       SOCKET_ID_ANY);
	large_pool = rte_pktmbuf_pool_create("large", LARGE_POOL_SIZE, 0, 0,
					     REASS_BUF_LEN + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	events = rte_ring_create_elem("events", sizeof(struct dp_event), 64, SOCKET_ID_ANY, 0);
	return pool && large_pool && events ? 0 : -1;
}

int core_group_teardown(void **state)
{
	char dir[256];

	(void)state;
	rte_ring_free(events);
	rte_mempool_free(pool);
	rte_mempool_free(large_pool);
	snprintf(dir, sizeof(dir), "%s", rte_eal_get_runtime_dir());
	rte_eal_cleanup();
	rmdir(dir);
	return 0;
}

static void create_tables(void)
{
	assert_int_equal(fib_create(&core.dp), 0);
	assert_int_equal(pmtu_create(&core.dp), 0);
	assert_int_equal(sad_create(&core.dp), 0);
	assert_int_equal(tunnels_create(&core.dp), 0);
	assert_int_equal(policies_create(&core.dp), 0);
	assert_int_equal(guard_create(&core.dp), 0);
	assert_int_equal(punt_create(&core.dp), 0);
	assert_int_equal(ifaces_create(&core.dp), 0);
	assert_int_equal(worker_create(&core.dp, 0, &core.w), 0);
	assert_int_equal(crypto_create(&core.w->crypto), 0);
}

int core_setup(void **state)
{
	static const char *const own[] = {"10.1.0.1", "192.0.2.1", "2001:db8::1"};
	struct dp *dp = &core.dp;

	(void)state;
	memset(&core, 0, sizeof(core));
	dp->ike_mark = ike_mark_key_of((const uint8_t *)"sixteen octets!!");
	dp->ports = core.port;
	dp->n_ports = 2;
	dp->workers = core.workers;
	dp->n_workers = 1;
	dp->pool = pool;
	dp->large_pool = large_pool;
	dp->events = events;
	dp->tsc_hz = rte_get_tsc_hz();
	dp->deferred_tail = &dp->deferred;
	dp->qsbr = aligned_alloc(64, (rte_rcu_qsbr_get_memsize(1) + 63) / 64 * 64);
	assert_non_null(dp->qsbr);
	rte_rcu_qsbr_init(dp->qsbr, 1);
	for (unsigned i = 0; i < 2; i++) {
		core.port[i].index = i;
		core.port[i].device_port = i;
		core.port[i].mac = core_port_mac[i];
		core.port[i].tap_fd = 0; // only asked whether there is one
		core.port[i].mtu = i == 0 ? 1500 : 1400;
	}
	create_tables();
	core.workers[0] = core.w;
	core.w->now_tsc = dp->tsc_hz * 1000;
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		const struct ip_addr a = core_addr(own[i]);

		assert_int_equal(dp_local_addr_add(dp, &a), 0);
	}
	core_route("10.1.0.0/24", 0, NULL);
	core_route("192.0.2.0/24", 1, NULL);
	return 0;
}

int core_teardown(void **state)
{
	struct dp *dp = &core.dp;
	struct dp_event ev;
	unsigned in_use;

	(void)state;
	crypto_destroy(core.w->crypto);
	worker_destroy(core.w);
	punt_destroy(dp);
	guard_destroy(dp);
	for (unsigned i = 0; i < 1000 && dp->deferred; i++)
		dp_housekeeping(dp);
	ifaces_destroy(dp);
	policies_destroy(dp);
	tunnels_destroy(dp);
	pmtu_destroy(&core.dp);
	sad_destroy(dp);
	fib_destroy(dp);
	while (core_event(&ev))
		;
	free(dp->qsbr);
	in_use = rte_mempool_in_use_count(pool) + rte_mempool_in_use_count(large_pool);
	if (in_use)
		print_error("%u packets leaked\n", in_use);
	return in_use ? -1 : 0;
}

struct ip_addr core_addr(const char *text)
{
	struct ip_addr a;

	assert_int_equal(ip_addr_parse(text, &a), 0);
	return a;
}

uint32_t core_be32(const char *text)
{
	return inet_addr(text);
}

void core_route(const char *prefix, unsigned port, const char *gateway)
{
	struct dp_route r = {.port = port};

	assert_int_equal(ip_prefix_parse(prefix, &r.dst), 0);
	if (gateway)
		r.gateway = core_addr(gateway);
	assert_int_equal(dp_route_set(&core.dp, &r), 0);
}

void core_neigh(unsigned port, const char *addr, const struct mac_addr *mac)
{
	const struct ip_addr a = core_addr(addr);

	assert_int_equal(dp_neigh_set(&core.dp, port, &a, mac), 0);
}

void core_policy(enum dp_action action)
{
	struct dp_policy p = {.action = action};
	struct ip_prefix any;

	assert_int_equal(ip_prefix_parse("0.0.0.0/0", &any), 0);
	p.local = p.remote = selector_from_prefix(&any);
	assert_int_equal(dp_policies_set(&core.dp, &p, 1), 0);
}

struct rte_mbuf *core_frame(const struct packet *p)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	const uint8_t proto = p->proto ? p->proto : IPPROTO_UDP;
	const uint16_t l4_len = proto == IPPROTO_UDP && !(p->frag & RTE_IPV4_HDR_OFFSET_MASK)
					? sizeof(struct rte_udp_hdr)
					: 0;
	const uint16_t full = (uint16_t)(sizeof(struct rte_ipv4_hdr) + l4_len + p->payload_len);
	const uint16_t len = p->len ? p->len : full;
	const uint16_t room = (uint16_t)((len > full ? len : full) + p->padding);
	struct rte_ether_hdr *eth;
	struct rte_ipv4_hdr *ip;
	struct rte_udp_hdr *udp;

	assert_non_null(m);
	eth = (struct rte_ether_hdr *)(void *)rte_pktmbuf_append(m,
								 (uint16_t)(sizeof(*eth) + room));
	assert_non_null(eth);
	memset(eth, 0, sizeof(*eth) + room);
	memcpy(&eth->dst_addr, p->to ? p->to : &core_port_mac[0], 6);
	memcpy(&eth->src_addr, p->from ? p->from : &core_host_mac, 6);
	eth->ether_type = rte_cpu_to_be_16(p->ether_type ? p->ether_type : RTE_ETHER_TYPE_IPV4);
	ip = (struct rte_ipv4_hdr *)(eth + 1);
	*ip = (struct rte_ipv4_hdr){
		.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = rte_cpu_to_be_16(len),
		.fragment_offset = rte_cpu_to_be_16(p->frag),
		.time_to_live = p->ttl ? p->ttl : 64,
		.next_proto_id = proto,
		.src_addr = core_be32(p->src),
		.dst_addr = core_be32(p->dst),
	};
	ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, sizeof(*ip));
	if (p->bad_checksum)
		ip->hdr_checksum ^= 1;
	udp = (struct rte_udp_hdr *)(ip + 1);
	if (l4_len) {
		udp->src_port = rte_cpu_to_be_16(40000);
		udp->dst_port = rte_cpu_to_be_16(p->dst_port);
		udp->dgram_len = rte_cpu_to_be_16((uint16_t)(l4_len + p->payload_len));
	}
	if (p->payload)
		memcpy((uint8_t *)udp + l4_len, p->payload, p->payload_len);
	return m;
}

struct rte_mbuf *core_bare(const struct packet *p)
{
	struct rte_mbuf *m = core_frame(p);

	rte_pktmbuf_adj(m, RTE_ETHER_HDR_LEN);
	return m;
}

void core_put(struct batch *b, struct rte_mbuf *m, unsigned port, enum batch_origin origin)
{
	m->port = (uint16_t)port;
	b->pkt[b->n] = m;
	b->port[b->n] = (uint16_t)port;
	b->origin[b->n] = (uint8_t)origin;
	b->from_linux[b->n] = origin != FROM_NIC;
	b->tunnel[b->n] = NULL;
	b->sa[b->n++] = NULL;
}

void core_free(struct batch *b)
{
	rte_pktmbuf_free_bulk(b->pkt, b->n);
	b->n = 0;
}

struct rte_mbuf *core_sent(unsigned port)
{
	struct tx_buffer *tx = &core.w->tx[port];
	struct rte_mbuf *m;

	if (tx->n == 0)
		return NULL;
	m = tx->pkt[0];
	memmove(&tx->pkt[0], &tx->pkt[1], --tx->n * sizeof(tx->pkt[0]));
	return m;
}

struct rte_mbuf *core_punted(void)
{
	void *m;

	return rte_ring_dequeue(core.dp.punt->to_linux_first, &m) == 0 ||
			       rte_ring_dequeue(core.dp.punt->to_linux, &m) == 0
		       ? m
		       : NULL;
}

uint64_t core_dropped(enum drop_reason reason)
{
	return counter_read(&core.w->drops[reason]);
}

uint64_t core_dropped_total(void)
{
	uint64_t n = 0;

	for (unsigned r = 0; r < DROP_REASON_COUNT; r++)
		n += core_dropped((enum drop_reason)r);
	return n;
}

bool core_event(struct dp_event *ev)
{
	return rte_ring_dequeue_elem(events, ev, sizeof(*ev)) == 0;
}
