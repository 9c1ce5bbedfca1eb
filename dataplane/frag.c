// Experimental in 22.11, stable and unchanged in 24.11.
#define ALLOW_EXPERIMENTAL_API
#include "dataplane/frag.h"

#include <errno.h>

#include <rte_ip.h>
#include <rte_ip_frag.h>

#include "dataplane/dp_internal.h"

int frag_cut(struct worker *w, const struct batch *b, uint16_t i, uint16_t mtu,
	     struct batch *pieces)
{
	struct rte_mbuf *m = b->pkt[i], *pkt[FRAG_MAX];
	const uint16_t header_len =
		rte_ipv4_hdr_len(rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *));
	int n;

	// The library wants room for data in multiples of 8 bytes (RFC 791 3.2).
	if (mtu < header_len + 8)
		return -EMSGSIZE;
	n = rte_ipv4_fragment_copy_nonseg_packet(
		m, pkt, FRAG_MAX, (uint16_t)(header_len + (mtu - header_len) / 8 * 8), w->dp->pool);
	if (n < 0)
		return n == -ENOMEM ? -ENOBUFS : -EMSGSIZE;
	pieces->n = 0;
	for (int k = 0; k < n; k++) {
		struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(pkt[k], struct rte_ipv4_hdr *);

		pkt[k]->port = m->port;
		ip->hdr_checksum = 0;
		ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, rte_ipv4_hdr_len(ip));
		batch_append(pieces, b, i);
		pieces->pkt[k] = pkt[k];
	}
	rte_pktmbuf_free(m);
	counter_add(&w->cut_packets, 1);
	counter_add(&w->cut_pieces, (uint64_t)n);
	return 0;
}
