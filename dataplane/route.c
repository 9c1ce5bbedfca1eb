// Last stage of an IP packet: next hop, size, Ethernet header.
#include "dataplane/stages.h"

#include <errno.h>

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>

#include "dataplane/dp_internal.h"
#include "dataplane/fib.h"
#include "dataplane/fib6.h"
#include "dataplane/flow6.h"
#include "dataplane/frag.h"
#include "dataplane/hold.h"
#include "dataplane/icmp.h"
#include "dataplane/icmp6.h"
#include "dataplane/pmtu.h"
#include "dataplane/port.h"

// Our answer to packet `i` enters at the policies in the next round.
static void answer_put(struct worker *w, const struct batch *b, uint16_t i, struct rte_mbuf *answer)
{
	struct batch *self = &w->self;

	batch_append(self, b, i);
	self->pkt[self->n - 1] = answer;
	self->origin[self->n - 1] = b->origin[i] == FROM_TUNNEL ? FROM_SELF_TUNNEL : FROM_SELF;
	self->from_linux[self->n - 1] = true;
}

// RFC 1812 4.2.2.7, RFC 1191 4.
static void too_big(struct worker *w, const struct batch *b, uint16_t i, uint16_t mtu)
{
	struct rte_mbuf *m = b->pkt[i];
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct batch *self = &w->self;
	struct rte_mbuf *answer = NULL;
	struct batch pieces;
	int err;

	if ((ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG)) == 0) {
		err = frag_cut(w, b, i, mtu, &pieces);
		if (err != 0)
			drop(w, m, err == -ENOBUFS ? DROP_NO_MBUF : DROP_TOO_BIG);
		else
			route(w, &pieces);
		return;
	}
	if (self->n < BATCH_MAX && !fib_is_local(w->dp->fib, ip->src_addr))
		answer = icmp_error(w, m, ICMP_UNREACHABLE, ICMP_UNREACHABLE_FRAG_NEEDED, mtu, 0);
	if (answer)
		answer_put(w, b, i, answer);
	drop(w, m, DROP_TOO_BIG);
}

// Puts the Ethernet header in front and sends the packet.
static void send_frame(struct worker *w, struct rte_mbuf *m, unsigned out,
		       const struct rte_ether_addr *to, uint16_t ether_type)
{
	struct rte_ether_hdr *eth =
		(struct rte_ether_hdr *)(void *)rte_pktmbuf_prepend(m, RTE_ETHER_HDR_LEN);

	if (!eth) {
		drop(w, m, DROP_NO_MBUF);
		return;
	}
	memcpy(&eth->dst_addr, to, RTE_ETHER_ADDR_LEN);
	memcpy(&eth->src_addr, w->dp->ports[out].mac.bytes, RTE_ETHER_ADDR_LEN);
	eth->ether_type = rte_cpu_to_be_16(ether_type);
	tx_put(w, out, m);
}

static void route4(struct worker *w, const struct batch *b, uint16_t i)
{
	struct rte_mbuf *m = b->pkt[i];
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct fib_hop hop;
	const enum fib_result result = fib_lookup(w->dp->fib, ip->dst_addr, &hop);

	// What belongs into a tunnel interface has been there: this is ESP, or its route has just
	// changed. It never leaves in clear.
	if (result == FIB_NO_ROUTE || result == FIB_IFACE) {
		drop(w, m, result == FIB_IFACE ? DROP_TUNNEL_LOOP : DROP_NO_ROUTE);
	} else if (m->pkt_len > w->dp->ports[hop.port].mtu) {
		too_big(w, b, i, w->dp->ports[hop.port].mtu);
	} else if (result == FIB_NO_NEIGHBOUR) {
		const struct ip_addr missing = ip_addr_v4(rte_be_to_cpu_32(hop.addr_be));

		hold_put(w, b, i, hop.port, &missing);
	} else {
		send_frame(w, m, hop.port, &hop.mac, RTE_ETHER_TYPE_IPV4);
	}
}

// The last look-up of a batch: ESP to one peer comes in a row.
struct last6 {
	bool valid;
	enum fib_result result;
	uint16_t mtu; // of the port, or of the way behind it
	uint8_t dst[16];
	struct fib6_hop hop;
};

// RFC 8200 4.5: only the source cuts a packet of IPv6; a router says what would fit. What we are
// the source of is ESP that esp_out() had to make so large.
static void too_big6(struct worker *w, const struct batch *b, uint16_t i, uint16_t mtu)
{
	struct rte_mbuf *m = b->pkt[i], *answer = NULL;
	const bool own =
		fib_is_local6(w->dp->fib, rte_pktmbuf_mtod(m, const uint8_t *) + IPV6_SRC_AT);
	struct batch pieces;
	int err;

	if (own) {
		err = frag6_cut(w, b, i, mtu, &pieces);
		if (err != 0)
			drop(w, m, err == -ENOBUFS ? DROP_NO_MBUF : DROP_TOO_BIG);
		else
			route(w, &pieces);
		return;
	}
	if (w->self.n < BATCH_MAX)
		answer = icmp6_error(w, m, ICMP6_TOO_BIG, 0, mtu);
	if (answer)
		answer_put(w, b, i, answer);
	drop(w, m, DROP_TOO_BIG);
}

static void route6(struct worker *w, const struct batch *b, uint16_t i, struct last6 *last)
{
	struct rte_mbuf *m = b->pkt[i];
	const uint8_t *dst = rte_pktmbuf_mtod(m, const uint8_t *) + IPV6_DST_AT;

	if (!last->valid || memcmp(last->dst, dst, sizeof(last->dst)) != 0) {
		memcpy(last->dst, dst, sizeof(last->dst));
		last->result = fib6_lookup(w->dp->fib6, dst, &last->hop);
		last->valid = true;
		if (last->result != FIB_NO_ROUTE && last->result != FIB_IFACE)
			last->mtu = pmtu6_limit(w->dp, dst, w->dp->ports[last->hop.port].mtu);
	}
	if (last->result == FIB_NO_ROUTE || last->result == FIB_IFACE) {
		drop(w, m, last->result == FIB_IFACE ? DROP_TUNNEL_LOOP : DROP_NO_ROUTE);
	} else if (m->pkt_len > last->mtu) {
		too_big6(w, b, i, last->mtu);
	} else if (last->result == FIB_NO_NEIGHBOUR) {
		const struct ip_addr missing = ip_addr_from_bytes(last->hop.addr, 16);

		hold_put(w, b, i, last->hop.port, &missing);
	} else {
		send_frame(w, m, last->hop.port, &last->hop.mac, RTE_ETHER_TYPE_IPV6);
	}
}

void route(struct worker *w, struct batch *b)
{
	struct last6 last = {.valid = false};

	for (uint16_t i = 0; i < b->n; i++) {
		if (ip_is_v6(rte_pktmbuf_mtod(b->pkt[i], const void *)))
			route6(w, b, i, &last);
		else
			route4(w, b, i);
	}
	b->n = 0;
}
