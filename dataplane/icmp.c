#include "dataplane/icmp.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_icmp.h>
#include <rte_ip.h>

#include "dataplane/capture.h"
#include "dataplane/dp_internal.h"
#include "dataplane/fib.h"
#include "dataplane/worker.h"

enum {
	ICMP_LEN_MAX = 576,    // bytes of IP packet (RFC 1812 4.3.2.3)
	ICMP_PER_SECOND = 100, // of one worker (RFC 1812 4.3.2.8)
	ICMP_BURST = 50,
	ICMP_TTL = 64,
	ICMP_TOS = 0xc0, // internetwork control (RFC 1812 4.3.2.5)
};

// May an error be sent about this packet (RFC 1812 4.3.2.7)?
static bool may_answer(const struct rte_ipv4_hdr *ip, uint32_t len)
{
	const uint32_t src = rte_be_to_cpu_32(ip->src_addr), dst = rte_be_to_cpu_32(ip->dst_addr);
	const uint32_t header_len = rte_ipv4_hdr_len(ip);

	if (ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_OFFSET_MASK))
		return false;
	// Not one host: this network, loopback, multicast and above, broadcast.
	if (src >> 24 == 0 || src >> 24 == 127 || src >= INADDR_UNSPEC_GROUP ||
	    dst >= INADDR_UNSPEC_GROUP)
		return false;
	if (ip->next_proto_id == IPPROTO_ICMP) {
		uint8_t type;

		if (len < header_len + 1)
			return false;
		type = ((const uint8_t *)ip)[header_len];
		// Only queries are answered: an error about an error would never end.
		return type == 0 || type == 8 || (type >= 13 && type <= 16);
	}
	return true;
}

bool icmp_take_token(struct worker *w)
{
	const uint64_t interval = w->dp->tsc_hz / ICMP_PER_SECOND;
	const uint64_t n = interval ? (w->now_tsc - w->icmp_refill_tsc) / interval : ICMP_BURST;

	if (n > 0) {
		w->icmp_tokens =
			n > ICMP_BURST - w->icmp_tokens ? ICMP_BURST : w->icmp_tokens + (unsigned)n;
		w->icmp_refill_tsc += n * interval;
	}
	if (w->icmp_tokens == 0)
		return false;
	w->icmp_tokens--;
	return true;
}

struct rte_mbuf *icmp_error(struct worker *w, const struct rte_mbuf *offending, uint8_t type,
			    uint8_t code, uint16_t mtu, uint32_t src_addr_be)
{
	const struct rte_ipv4_hdr *about = rte_pktmbuf_mtod(offending, const struct rte_ipv4_hdr *);
	const uint16_t overhead = sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_icmp_hdr);
	uint16_t quoted = offending->data_len, len;
	struct rte_ipv4_hdr *ip;
	struct rte_icmp_hdr *icmp;
	struct rte_mbuf *m;

	if (src_addr_be == 0 && offending->port < DP_IFACE_FIRST + DP_IFACES_MAX)
		src_addr_be = fib_port_addr(w->dp->fib, offending->port);
	if (src_addr_be == 0 || !may_answer(about, offending->data_len) || !icmp_take_token(w))
		return NULL;
	m = rte_pktmbuf_alloc(w->dp->pool);
	if (!m)
		return NULL;
	if (quoted > ICMP_LEN_MAX - overhead)
		quoted = (uint16_t)(ICMP_LEN_MAX - overhead);
	len = (uint16_t)(overhead + quoted);
	ip = (struct rte_ipv4_hdr *)(void *)rte_pktmbuf_append(m, len);
	capture_made(w, m);
	m->port = offending->port;
	*ip = (struct rte_ipv4_hdr){
		.version_ihl = RTE_IPV4_VHL_DEF,
		.type_of_service = ICMP_TOS,
		.total_length = rte_cpu_to_be_16(len),
		.time_to_live = ICMP_TTL,
		.next_proto_id = IPPROTO_ICMP,
		.src_addr = src_addr_be,
		.dst_addr = about->src_addr,
	};
	ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, sizeof(*ip));
	icmp = (struct rte_icmp_hdr *)(ip + 1);
	*icmp = (struct rte_icmp_hdr){
		.icmp_type = type,
		.icmp_code = code,
		.icmp_seq_nb = rte_cpu_to_be_16(mtu), // RFC 1191 4
	};
	memcpy(icmp + 1, about, quoted);
	icmp->icmp_cksum = (uint16_t)~rte_raw_cksum(icmp, sizeof(*icmp) + quoted);
	counter_add(&w->icmp_errors, 1);
	return m;
}
