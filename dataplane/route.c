// Last stage of an IP packet: next hop, size, Ethernet header.
#include "dataplane/stages.h"

#include <errno.h>

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>

#include "dataplane/dp_internal.h"
#include "dataplane/fib.h"
#include "dataplane/frag.h"
#include "dataplane/hold.h"
#include "dataplane/icmp.h"
#include "dataplane/port.h"

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
	if (answer) {
		batch_append(self, b, i);
		self->pkt[self->n - 1] = answer;
		self->origin[self->n - 1] =
			b->origin[i] == FROM_TUNNEL ? FROM_SELF_TUNNEL : FROM_SELF;
		self->from_linux[self->n - 1] = true;
	}
	drop(w, m, DROP_TOO_BIG);
}

void route(struct worker *w, struct batch *b)
{
	for (uint16_t i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->pkt[i];
		const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
		struct rte_ether_hdr *eth;
		struct fib_hop hop;
		const enum fib_result result = fib_lookup(w->dp->fib, ip->dst_addr, &hop);
		const struct port *port;

		if (result == FIB_NO_ROUTE) {
			drop(w, m, DROP_NO_ROUTE);
			continue;
		}
		port = &w->dp->ports[hop.port];
		if (m->pkt_len > port->mtu) {
			too_big(w, b, i, port->mtu);
			continue;
		}
		if (result == FIB_NO_NEIGHBOUR) {
			hold_put(w, b, i, &hop);
			continue;
		}
		eth = (struct rte_ether_hdr *)(void *)rte_pktmbuf_prepend(m, RTE_ETHER_HDR_LEN);
		if (!eth) {
			drop(w, m, DROP_NO_MBUF);
			continue;
		}
		memcpy(&eth->dst_addr, &hop.mac, RTE_ETHER_ADDR_LEN);
		memcpy(&eth->src_addr, port->mac.bytes, RTE_ETHER_ADDR_LEN);
		eth->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
		tx_put(w, hop.port, m);
	}
	b->n = 0;
}
