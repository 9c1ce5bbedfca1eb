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
#include "dataplane/flow.h"
#include "dataplane/icmp.h"
#include "dataplane/tunnel.h"
#include "dataplane/worker.h"

#define PROBES 8u

enum { NATT_PORT = 4500 };

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

static uint32_t first_slot(uint32_t addr_be)
{
	return (uint32_t)((addr_be * UINT64_C(0x9e3779b97f4a7c15)) >> 40);
}

uint16_t pmtu_to(const struct dp *dp, uint32_t addr_be)
{
	const uint16_t mtu = fib_route_mtu(dp, addr_be);
	const uint32_t first = first_slot(addr_be);

	if (atomic_load_explicit(&dp->pmtu->used, memory_order_relaxed) == 0)
		return mtu;
	for (uint32_t i = 0; i < PROBES; i++) {
		const uint64_t v = atomic_load_explicit(
			&dp->pmtu->slot[(first + i) & (PMTU_SLOTS - 1)], memory_order_relaxed);

		if (v >> 32 == addr_be && v != 0)
			return mtu < (uint16_t)v ? mtu : (uint16_t)v;
	}
	return mtu;
}

// ---- worker ----

// The start of a packet that we may have sent: its SPI, or 0.
static uint32_t quoted_spi(const uint8_t *ip, size_t len)
{
	const size_t header_len = (size_t)(ip[0] & 15) * 4;
	const uint8_t *at = ip + header_len;
	uint32_t spi_be;

	if (ip[0] >> 4 != 4 || header_len < sizeof(struct rte_ipv4_hdr) || len < header_len + 8 ||
	    (flow_load16(ip + 6) & RTE_IPV4_HDR_OFFSET_MASK) != 0)
		return 0;
	// RFC 792: eight bytes of what follows the header are enough for plain ESP. Behind UDP the
	// SPI is in the next four, which every router of today quotes as well (RFC 1812 4.3.2.3).
	if (ip[9] == IPPROTO_UDP) {
		if (len < header_len + sizeof(struct rte_udp_hdr) + 4 ||
		    flow_load16(at) != NATT_PORT)
			return 0;
		at += sizeof(struct rte_udp_hdr);
	} else if (ip[9] != IPPROTO_ESP) {
		return 0;
	}
	memcpy(&spi_be, at, sizeof(spi_be));
	return rte_be_to_cpu_32(spi_be);
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

// ---- control ----

static bool sends_on(const struct dp *dp, const struct dp_event *ev, uint32_t *tunnel)
{
	const uint32_t peer_be = rte_cpu_to_be_32(ip_addr_to_v4(&ev->addr));

	for (uint32_t i = 0; i < dp->tunnels->n_slots; i++) {
		const struct tunnel *t = dp->tunnels->slot[i];
		const struct sa_out *sa = t ? tunnel_sa(t) : NULL;

		if (sa && sa->spi == ev->spi && sa->remote_be == peer_be) {
			*tunnel = i;
			return true;
		}
	}
	return false;
}

// The peer's slot, else a free one, else the one that ends first.
static uint32_t choose_slot(const struct pmtu *p, uint32_t addr_be)
{
	const uint32_t first = first_slot(addr_be);
	uint32_t best = first & (PMTU_SLOTS - 1);

	for (uint32_t i = 0; i < PROBES; i++) {
		const uint32_t at = (first + i) & (PMTU_SLOTS - 1);

		if (p->slot[at] != 0 && p->slot[at] >> 32 == addr_be)
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
	const uint32_t addr_be = rte_cpu_to_be_32(ip_addr_to_v4(&ev->addr));
	const uint16_t before = pmtu_to(dp, addr_be);
	uint32_t at;

	if (ev->mtu < PMTU_MIN)
		ev->mtu = PMTU_MIN;
	// RFC 1191 3: it never makes a path wider.
	if (ev->mtu > before || !sends_on(dp, ev, &ev->tunnel))
		return false;
	at = choose_slot(p, addr_be);
	if (p->slot[at] == 0)
		atomic_fetch_add_explicit(&p->used, 1, memory_order_relaxed);
	atomic_store_explicit(&p->slot[at], (uint64_t)addr_be << 32 | ev->mtu,
			      memory_order_relaxed);
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
		atomic_fetch_sub_explicit(&p->used, 1, memory_order_relaxed);
	}
}
