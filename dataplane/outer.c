#include "dataplane/outer.h"

#include <string.h>

#include <rte_jhash.h>

#include "dataplane/flow.h"
#include "dataplane/flow6.h"

#define LABEL_MASK 0xfffffu

void outer_out_init(struct outer_out *o, const struct outer_rule *rule, uint32_t spi)
{
	const bool dscp = rule->copy_dscp == OUTER_DSCP_OUT || rule->copy_dscp == OUTER_DSCP_BOTH;

	*o = (struct outer_out){
		.tos_and = dscp ? (uint8_t)~OUTER_ECN_MASK : 0,
		.df_and_be = rule->df == OUTER_DF_COPY ? UINT16_MAX : 0,
		.df_or_be = rule->df == OUTER_DF_SET ? rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG) : 0,
		.id_base = (uint16_t)(spi ^ spi >> 16),
	};
	if (!dscp)
		o->tos_or = (uint8_t)(rule->dscp << 2);
	if (rule->ecn == OUTER_ECN_COPY)
		o->tos_and |= OUTER_ECN_MASK;
}

uint8_t outer_in_init(const struct outer_rule *rule)
{
	return rule->copy_dscp == OUTER_DSCP_IN || rule->copy_dscp == OUTER_DSCP_BOTH
		       ? (uint8_t)~OUTER_ECN_MASK
		       : 0;
}

static uint32_t label_of(uint32_t hash)
{
	const uint32_t label = (hash ^ hash >> 20) & LABEL_MASK;

	return label != 0 ? label : 1;
}

uint32_t outer_label_tunnel(uint32_t seed)
{
	return label_of(rte_jhash_1word(0, seed));
}

// What every packet of a flow has, fragments included: those have no ports, so none of them counts
// by its ports. An ICMP type is no port. Words, because that is what rte_jhash reads.
struct key {
	uint32_t word[10]; // source, destination, ports, protocol
};

enum { KEY_DST = 4, KEY_PORTS = 8, KEY_PROTO = 9 };

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_DCCP ||
	       proto == IPPROTO_SCTP || proto == IPPROTO_UDPLITE;
}

static void key6(const uint8_t *inner, uint32_t len, struct key *k)
{
	struct ipv6_upper upper;
	struct flow6 f;

	memcpy(k->word, inner + IPV6_SRC_AT, 32);
	if (ipv6_find_upper(inner, len, &upper) != 0 || upper.fragment || !flow6_of(inner, len, &f))
		return; // a later fragment may not even know its protocol
	k->word[KEY_PROTO] = f.proto;
	if (f.ports == FLOW_PORTS_KNOWN && has_ports(f.proto))
		k->word[KEY_PORTS] = (uint32_t)f.src_port << 16 | f.dst_port;
}

static void key4(const uint8_t *inner, uint32_t len, struct key *k)
{
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(const void *)inner;
	const struct flow f = flow_of(ip, len);
	const bool fragment =
		(ip->fragment_offset &
		 rte_cpu_to_be_16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)) != 0;

	k->word[0] = f.src;
	k->word[KEY_DST] = f.dst;
	k->word[KEY_PROTO] = f.proto;
	if (!fragment && f.ports == FLOW_PORTS_KNOWN && has_ports(f.proto))
		k->word[KEY_PORTS] = (uint32_t)f.src_port << 16 | f.dst_port;
}

uint32_t outer_label_flow(uint32_t seed, const uint8_t *inner, uint32_t len)
{
	struct key k = {{0}};

	if (ip_is_v6(inner))
		key6(inner, len, &k);
	else
		key4(inner, len, &k);
	return label_of(rte_jhash_32b(k.word, RTE_DIM(k.word), seed));
}
