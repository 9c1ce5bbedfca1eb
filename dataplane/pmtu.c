#include "dataplane/pmtu.h"

#include <errno.h>
#include <string.h>

#include <netinet/in.h>
#include <rte_byteorder.h>
#include <rte_cycles.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_malloc.h>
#include <rte_udp.h>

#include "dataplane/fib.h"
#include "dataplane/flow6.h"
#include "dataplane/icmp.h"
#include "dataplane/icmp6.h"
#include "dataplane/tunnel.h"
#include "dataplane/worker.h"
#include "lib/ike_wire.h"

#define PROBES	 8u
#define MTU_MASK UINT64_C(0xffff)

int pmtu_create(struct dp *dp)
{
	dp->pmtu = rte_zmalloc("pmtu", sizeof(*dp->pmtu), 64);
	return dp->pmtu ? 0 : -ENOMEM;
}

void pmtu_destroy(struct dp *dp)
{
	rte_free(dp->pmtu);
	dp->pmtu = NULL;
}

static uint64_t key4(uint32_t addr_be)
{
	return (uint64_t)addr_be << 32;
}

// FNV-1a; the lowest bit of the key tells it from one of IPv4.
static uint64_t key6(const uint8_t addr[16])
{
	uint64_t h = 0xcbf29ce484222325u;

	for (unsigned i = 0; i < 16; i++)
		h = (h ^ addr[i]) * 0x100000001b3u;
	return h << 17 | (MTU_MASK + 1);
}

static uint64_t key_of(const struct ip_addr *a)
{
	return a->family == IP_V6 ? key6(a->bytes) : key4(rte_cpu_to_be_32(ip_addr_to_v4(a)));
}

static uint32_t first_slot(uint64_t key)
{
	return (uint32_t)(((key ^ key >> 32) * UINT64_C(0x9e3779b97f4a7c15)) >> 40);
}

static uint16_t limit(const struct dp *dp, uint64_t key, uint16_t mtu)
{
	const uint32_t first = first_slot(key);

	for (uint32_t i = 0; i < PROBES; i++) {
		const uint64_t v = atomic_load_explicit(
			&dp->pmtu->slot[(first + i) & (PMTU_SLOTS - 1)], memory_order_relaxed);

		if ((v & ~MTU_MASK) == key && v != 0)
			return mtu < (uint16_t)v ? mtu : (uint16_t)v;
	}
	return mtu;
}

static bool any_known(const struct dp *dp)
{
	return atomic_load_explicit(&dp->pmtu->used, memory_order_relaxed) != 0;
}

uint16_t pmtu_to(const struct dp *dp, uint32_t addr_be)
{
	const uint16_t mtu = fib_route_mtu(dp, addr_be);

	return any_known(dp) ? limit(dp, key4(addr_be), mtu) : mtu;
}

uint16_t pmtu6_limit(const struct dp *dp, const uint8_t addr[16], uint16_t mtu)
{
	return any_known(dp) ? limit(dp, key6(addr), mtu) : mtu;
}

uint16_t pmtu6_to(const struct dp *dp, const uint8_t addr[16])
{
	return pmtu6_limit(dp, addr, fib6_route_mtu(dp, addr));
}

// ---- worker ----

// The SPI behind an IP header; 0: what follows it is no ESP of ours. RFC 792: eight bytes are
// enough for plain ESP. Behind UDP the SPI is in the next four, which every router of today quotes
// as well (RFC 1812 4.3.2.3).
static uint32_t spi_of(uint8_t proto, const uint8_t *at, size_t len)
{
	uint32_t spi_be;

	if (len < 8)
		return 0;
	if (proto == IPPROTO_UDP) {
		if (len < sizeof(struct rte_udp_hdr) + 4 || flow_load16(at) != IKE_NATT_PORT)
			return 0;
		at += sizeof(struct rte_udp_hdr);
	} else if (proto != IPPROTO_ESP) {
		return 0;
	}
	memcpy(&spi_be, at, sizeof(spi_be));
	return rte_be_to_cpu_32(spi_be);
}

// The start of a packet that we may have sent: its SPI, or 0.
static uint32_t quoted_spi(const uint8_t *ip, size_t len)
{
	const size_t header_len = (size_t)(ip[0] & 15) * 4;

	if (ip[0] >> 4 != 4 || header_len < sizeof(struct rte_ipv4_hdr) || len < header_len ||
	    (flow_load16(ip + 6) & RTE_IPV4_HDR_OFFSET_MASK) != 0)
		return 0;
	return spi_of(ip[9], ip + header_len, len - header_len);
}

// The same for IPv6. The quoted packet is cut off somewhere; of a packet of ours that was cut, the
// first fragment has the SPI.
static uint32_t quoted_spi6(const uint8_t *ip, size_t len)
{
	struct ipv6_upper upper;

	if (ip[0] >> 4 != 6 || ipv6_find_upper(ip, len, &upper) != 0 || upper.later)
		return 0;
	return spi_of(upper.proto, ip + upper.at, len - upper.at);
}

// RFC 1191 7: routers from before it name no MTU. Which of the usual sizes is next below?
static uint16_t plateau(uint16_t total_len)
{
	static const uint16_t sizes[] = {8166, 4352, 2002, 1492, 1006, 576};

	for (unsigned i = 0; i < RTE_DIM(sizes); i++)
		if (sizes[i] < total_len)
			return sizes[i];
	return PMTU_MIN;
}

void pmtu_hear(struct worker *w, const struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const size_t header_len = rte_ipv4_hdr_len(ip), len = m->data_len;
	const struct rte_icmp_hdr *icmp = (const void *)((const uint8_t *)ip + header_len);
	const struct rte_ipv4_hdr *quoted = (const void *)(icmp + 1);
	struct dp_event ev = {.type = DP_EV_PMTU, .tunnel = DP_TUNNEL_NONE};

	if ((ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_OFFSET_MASK)) != 0 ||
	    len < header_len + sizeof(*icmp) + sizeof(*quoted) ||
	    icmp->icmp_type != ICMP_UNREACHABLE ||
	    icmp->icmp_code != ICMP_UNREACHABLE_FRAG_NEEDED ||
	    rte_raw_cksum(icmp, len - header_len) != 0xffff ||
	    !fib_is_local(w->dp->fib, quoted->src_addr))
		return;
	ev.spi = quoted_spi((const uint8_t *)quoted, len - header_len - sizeof(*icmp));
	// Anybody can send these, and each makes control look for the tunnel: few are passed on.
	if (ev.spi == 0 || !worker_may_report(w, UINT64_C(1) << 63 | (ev.spi & 3)))
		return;
	ev.addr = ip_addr_v4(rte_be_to_cpu_32(quoted->dst_addr));
	ev.addr2 = ip_addr_v4(rte_be_to_cpu_32(ip->src_addr));
	ev.mtu = rte_be_to_cpu_16(icmp->icmp_seq_nb); // RFC 1191 4
	if (ev.mtu == 0)
		ev.mtu = plateau(rte_be_to_cpu_16(quoted->total_length));
	dp_event_put(w->dp, &ev);
}

void pmtu6_hear(struct worker *w, const struct rte_mbuf *m)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *), *icmp = ip + IPV6_HDR_LEN;
	const uint8_t *quoted = icmp + ICMP6_HDR_LEN;
	struct dp_event ev = {.type = DP_EV_PMTU, .tunnel = DP_TUNNEL_NONE};

	if (m->data_len < 2 * IPV6_HDR_LEN + ICMP6_HDR_LEN || icmp[0] != ICMP6_TOO_BIG ||
	    rte_ipv6_udptcp_cksum((const struct rte_ipv6_hdr *)ip, icmp) != 0 ||
	    !fib_is_local6(w->dp->fib, quoted + IPV6_SRC_AT))
		return;
	ev.spi = quoted_spi6(quoted, (size_t)(m->data_len - IPV6_HDR_LEN - ICMP6_HDR_LEN));
	if (ev.spi == 0 || !worker_may_report(w, UINT64_C(1) << 63 | (ev.spi & 3)))
		return;
	ev.addr = ip_addr_from_bytes(quoted + IPV6_DST_AT, 16);
	ev.addr2 = ip_addr_from_bytes(ip + IPV6_SRC_AT, 16);
	// RFC 4443 3.2: 32 bits; a link of 64 kB and more limits nothing here.
	ev.mtu = flow_load16(icmp + 4) != 0 ? UINT16_MAX : flow_load16(icmp + 6);
	dp_event_put(w->dp, &ev);
}

// ---- control ----

// The peer's slot, else a free one, else the one that ends first.
static uint32_t choose_slot(const struct pmtu *p, uint64_t key)
{
	const uint32_t first = first_slot(key);
	uint32_t best = first & (PMTU_SLOTS - 1);

	for (uint32_t i = 0; i < PROBES; i++) {
		const uint32_t at = (first + i) & (PMTU_SLOTS - 1);

		if (p->slot[at] != 0 && (p->slot[at] & ~MTU_MASK) == key)
			return at;
		if (p->slot[best] != 0 &&
		    (p->slot[at] == 0 || p->expires_tsc[at] < p->expires_tsc[best]))
			best = at;
	}
	return best;
}

bool pmtu_learn(struct dp *dp, struct dp_event *ev)
{
	struct pmtu *p = dp->pmtu;
	const bool v6 = ev->addr.family == IP_V6;
	const uint64_t key = key_of(&ev->addr);
	const uint16_t before = v6 ? pmtu6_to(dp, ev->addr.bytes)
				   : pmtu_to(dp, rte_cpu_to_be_32(ip_addr_to_v4(&ev->addr)));
	const uint16_t min = v6 ? PMTU_MIN6 : PMTU_MIN;
	const struct sa_out *sa;
	uint32_t at;

	if (ev->mtu < min)
		ev->mtu = min;
	// RFC 1191 3: it never makes a path wider.
	if (ev->mtu > before)
		return false;
	sa = tunnels_sa_to(dp->tunnels, ev->spi, &ev->addr);
	if (sa == NULL)
		return false;
	ev->tunnel = sa->tunnel;
	at = choose_slot(p, key);
	if (p->slot[at] == 0)
		atomic_fetch_add_explicit(&p->used, 1, memory_order_relaxed);
	atomic_store_explicit(&p->slot[at], key | ev->mtu, memory_order_relaxed);
	dp_changed(dp);
	p->expires_tsc[at] = rte_rdtsc() + PMTU_AGE_S * dp->tsc_hz;
	return ev->mtu < before;
}

void pmtu_age(struct dp *dp)
{
	struct pmtu *p = dp->pmtu;
	const uint64_t now = rte_rdtsc();

	if (p->used == 0 || now < p->next_age_tsc)
		return;
	p->next_age_tsc = now + dp->tsc_hz;
	for (uint32_t i = 0; i < PMTU_SLOTS; i++) {
		if (p->slot[i] == 0 || now < p->expires_tsc[i])
			continue;
		atomic_store_explicit(&p->slot[i], 0, memory_order_relaxed);
		dp_changed(dp);
		atomic_fetch_sub_explicit(&p->used, 1, memory_order_relaxed);
	}
}
