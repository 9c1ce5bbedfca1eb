// What an ordinary packet of IPv4 is, to the short way of known flows (known.c), and what is done
// to each of them.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <netinet/in.h>
#include <rte_branch_prediction.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

#include "dataplane/dp_internal.h"
#include "dataplane/esp.h"
#include "dataplane/flow.h"
#include "dataplane/known_flows.h"
#include "dataplane/worker.h"

// RFC 1071 2: the sum in any order and width; right when it is all ones, which is zero in the
// arithmetic of 16 bits with carries (and a header's words are not all zero).
static inline bool checksum4_good(const uint8_t *ip)
{
	const uint64_t sum = (uint64_t)load32(ip) + load32(ip + 4) + load32(ip + 8) +
			     load32(ip + 12) + load32(ip + 16);

	return sum % 0xffff == 0; // a multiplication and a comparison
}

static inline uint16_t length4(const uint8_t *ip)
{
	return flow_load16(ip + 2);
}

// A header without options, whole, of no fragment, with a hop left, in `room` bytes.
static inline bool is_ordinary4(const uint8_t *ip, unsigned room)
{
	const unsigned len = length4(ip);

	return ip[0] == RTE_IPV4_VHL_DEF && len <= room && len >= sizeof(struct rte_ipv4_hdr) &&
	       (load16(ip + 6) & rte_cpu_to_be_16((uint16_t)~RTE_IPV4_HDR_DF_FLAG)) == 0 &&
	       ip[8] > 1 && checksum4_good(ip);
}

static inline bool has_ports(const uint8_t *ip)
{
	return ip[9] == IPPROTO_UDP || ip[9] == IPPROTO_TCP;
}

// A TCP SYN, or something cut so short that one cannot tell, while MSS are clamped.
static inline bool may_be_clamped(const struct worker *w, const uint8_t *ip, unsigned len)
{
	return ip[9] == IPPROTO_TCP && w->dp->clamp_mss && (len < 34 || (ip[33] & 2) != 0);
}

// Ports, protocol, origin, as far as any rule asks for them. False: the stages are to look at it.
static inline bool rest_of(const struct worker *w, const uint8_t *ip, unsigned len, unsigned from,
			   uint64_t *rest)
{
	const uint64_t mask = w->known->rest_mask;

	if (may_be_clamped(w, ip, len))
		return false;
	*rest = (uint64_t)from << 40;
	if (likely(mask == 0))
		return true;
	if (!has_ports(ip) || len < sizeof(struct rte_ipv4_hdr) + 4)
		return false;
	*rest |= ((uint64_t)ip[9] << 32 | load32(ip + 20)) & mask;
	return true;
}

// RFC 1624: the checksum changes by what the header changes.
static inline void count_hop(uint8_t *ip)
{
	const uint32_t sum = load16(ip + 10) + (uint32_t)rte_cpu_to_be_16(0x0100);
	const uint16_t folded = (uint16_t)(sum + (sum >= 0xffff));

	ip[8]--;
	memcpy(ip + 10, &folded, sizeof(folded));
}

static inline void set_mbuf(struct rte_mbuf *m, const uint8_t *start, unsigned len)
{
	m->data_off = (uint16_t)(start - (uint8_t *)m->buf_addr);
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
	esp_mbuf_forget_headers(m);
}
