#include "dataplane/icmp6.h"

#include <netinet/in.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_ip.h>

#include "dataplane/capture.h"
#include "dataplane/dp_internal.h"
#include "dataplane/fib6.h"
#include "dataplane/icmp.h"
#include "dataplane/worker.h"
#include "lib/ipv6.h"

enum {
	ICMP6_HOP_LIMIT = 64,
	ND_HOP_LIMIT = 255,
};

bool icmp6_is_nd(const uint8_t *ip, size_t len)
{
	return ip[6] == IPPROTO_ICMPV6 && ip[7] == ND_HOP_LIMIT && len > IPV6_HDR_LEN &&
	       ip[IPV6_HDR_LEN] >= ICMP6_ND_FIRST && ip[IPV6_HDR_LEN] <= ICMP6_REDIRECT;
}

// May an error be sent about this packet (RFC 4443 2.4 e)?
static bool may_answer(const uint8_t *ip, size_t len, uint8_t type)
{
	static const uint8_t none[16];
	struct ipv6_upper upper;

	// Not one node: multicast, unspecified. "Packet too big" is said of multicast as well.
	if (ip[IPV6_SRC_AT] == 0xff || memcmp(ip + IPV6_SRC_AT, none, 16) == 0 ||
	    (ip[IPV6_DST_AT] == 0xff && type != ICMP6_TOO_BIG))
		return false;
	// An error about an error would never end; of a later fragment nobody can tell.
	if (ipv6_find_upper(ip, len, &upper) != 0 || upper.proto == IPV6_PROTO_UNKNOWN)
		return false;
	if (upper.proto != IPPROTO_ICMPV6)
		return true;
	return !upper.later && upper.at < len && ip[upper.at] >= ICMP6_ERRORS_END &&
	       ip[upper.at] != ICMP6_REDIRECT;
}

struct rte_mbuf *icmp6_error(struct worker *w, const struct rte_mbuf *offending, uint8_t type,
			     uint8_t code, uint16_t mtu)
{
	const uint8_t *about = rte_pktmbuf_mtod(offending, const uint8_t *);
	const uint16_t overhead = IPV6_HDR_LEN + ICMP6_HDR_LEN;
	uint16_t quoted = offending->data_len, sum;
	uint8_t src[16], *ip, *icmp;
	struct rte_mbuf *m;

	if (!fib6_port_addr(w->dp, offending->port, src) ||
	    !may_answer(about, offending->data_len, type) || !icmp_take_token(w))
		return NULL;
	m = rte_pktmbuf_alloc(w->dp->pool);
	if (!m)
		return NULL;
	// RFC 4443 2.4 c: as much as fits the smallest MTU.
	if (quoted > IPV6_MTU_MIN - overhead)
		quoted = (uint16_t)(IPV6_MTU_MIN - overhead);
	ip = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(overhead + quoted));
	if (!ip) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	capture_made(w, m);
	m->port = offending->port;
	memset(ip, 0, overhead);
	ip[0] = 6 << 4;
	ip[4] = (uint8_t)((ICMP6_HDR_LEN + quoted) >> 8);
	ip[5] = (uint8_t)(ICMP6_HDR_LEN + quoted);
	ip[6] = IPPROTO_ICMPV6;
	ip[7] = ICMP6_HOP_LIMIT;
	memcpy(ip + IPV6_SRC_AT, src, 16);
	memcpy(ip + IPV6_DST_AT, about + IPV6_SRC_AT, 16);
	icmp = ip + IPV6_HDR_LEN;
	icmp[0] = type;
	icmp[1] = code;
	icmp[6] = (uint8_t)(mtu >> 8); // of 32 bits (RFC 4443 3.2)
	icmp[7] = (uint8_t)mtu;
	memcpy(icmp + ICMP6_HDR_LEN, about, quoted);
	sum = rte_ipv6_udptcp_cksum((const struct rte_ipv6_hdr *)ip, icmp);
	memcpy(icmp + 2, &sum, sizeof(sum));
	counter_add(&w->icmp_errors, 1);
	return m;
}
