// The rules of an SA about outer and inner headers (lib/outer.h), as masks: made once with the SA,
// so that a packet costs an AND and an OR whatever is configured.
//
// Threads:   init: control. The rest: any worker, on an SA's read-only part.
#pragma once

#include <stdint.h>

#include <rte_byteorder.h>
#include <rte_ip.h>

#include "lib/outer.h"

#define OUTER_ECN_MASK 3u

struct outer_out {
	uint8_t tos_and, tos_or;      // inner traffic class to outer one
	uint16_t df_and_be, df_or_be; // inner DF to outer one, as it stands in an IPv4 header
	uint16_t id_base;	      // added to the sequence number: the ID of an IPv4 header
};

// RFC 4301 5.1.2.1, RFC 6040 4.1 and 4.3.
static inline uint8_t outer_out_tos(const struct outer_out *o, uint8_t inner_tos)
{
	return (uint8_t)((inner_tos & o->tos_and) | o->tos_or);
}

// RFC 4301 8.1. A packet that is to be cut outside never gets one.
static inline uint16_t outer_out_df(const struct outer_out *o, uint16_t inner_df_be, bool fits)
{
	return fits ? (uint16_t)((inner_df_be & o->df_and_be) | o->df_or_be) : 0;
}

// RFC 6864 4.1: the ID means nothing in a packet that is never fragmented. 4.2: in others it is not
// to come again soon. SAs between the same gateways number them alike, so each begins elsewhere.
static inline uint16_t outer_out_id_be(const struct outer_out *o, uint16_t df_be, uint32_t seq)
{
	return df_be != 0 ? 0 : rte_cpu_to_be_16((uint16_t)(seq + o->id_base));
}

// What the inner traffic class becomes, its ECN field left as it is: `dscp_mask` of outer_in_init.
static inline uint8_t outer_in_tos(uint8_t dscp_mask, uint8_t inner, uint8_t outer)
{
	return (uint8_t)((inner & ~dscp_mask) | (outer & dscp_mask));
}

// `spi` in host order.
void outer_out_init(struct outer_out *o, const struct outer_rule *rule, uint32_t spi);
uint8_t outer_in_init(const struct outer_rule *rule); // RFC 2983 4.2: the mask for outer_in_tos
// RFC 6438: the flow label of a tunnel, and of a flow in it, whose packets of `len` bytes are whole
// and of either family. Never zero, which is no label (RFC 6437 2). Host order, 20 bits.
uint32_t outer_label_tunnel(uint32_t seed);
uint32_t outer_label_flow(uint32_t seed, const uint8_t *inner, uint32_t len);
