// Experimental in 22.11, stable and unchanged in 24.11.
#define ALLOW_EXPERIMENTAL_API
#include "dataplane/frag.h"

#include <errno.h>
#include <string.h>

#include <rte_ip.h>
#include <rte_ip_frag.h>

#include "dataplane/capture.h"
#include "dataplane/dp_internal.h"
#include "lib/ipv6.h"

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
		capture_inherit(w, m, pkt[k]);
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

enum { FRAG6_HDR_LEN = 8, NEXT_FRAGMENT = 44 };

// The piece of `m` with `len` bytes behind the header, from `at` on; NULL without packet memory.
static struct rte_mbuf *piece6(const struct worker *w, const struct rte_mbuf *m, unsigned at,
			       unsigned len, uint32_t id_be)
{
	const uint8_t *from = rte_pktmbuf_mtod(m, const uint8_t *);
	const bool more = IPV6_HDR_LEN + at + len < m->data_len;
	struct rte_mbuf *piece = rte_pktmbuf_alloc(w->dp->pool);
	uint8_t *p;

	if (piece == NULL)
		return NULL;
	p = (uint8_t *)rte_pktmbuf_append(piece, (uint16_t)(IPV6_HDR_LEN + FRAG6_HDR_LEN + len));
	if (p == NULL) {
		rte_pktmbuf_free(piece);
		return NULL;
	}
	memcpy(p, from, IPV6_HDR_LEN);
	p[4] = (uint8_t)((FRAG6_HDR_LEN + len) >> 8);
	p[5] = (uint8_t)(FRAG6_HDR_LEN + len);
	p[6] = NEXT_FRAGMENT;
	p[40] = from[6];
	p[41] = 0;
	p[42] = (uint8_t)(at >> 8);
	p[43] = (uint8_t)(at | more);
	memcpy(p + 44, &id_be, sizeof(id_be));
	memcpy(p + IPV6_HDR_LEN + FRAG6_HDR_LEN, from + IPV6_HDR_LEN + at, len);
	piece->port = m->port;
	return piece;
}

int frag6_cut(struct worker *w, const struct batch *b, uint16_t i, uint16_t mtu,
	      struct batch *pieces)
{
	struct rte_mbuf *m = b->pkt[i];
	const unsigned len = m->data_len - (unsigned)IPV6_HDR_LEN;
	// No two workers give the same identification (RFC 8200 4.5).
	const uint32_t id_be =
		rte_cpu_to_be_32(w->frag6_id++ * DP_WORKERS_MAX + w->id % DP_WORKERS_MAX);
	unsigned most;

	if (mtu < IPV6_HDR_LEN + FRAG6_HDR_LEN + 8)
		return -EMSGSIZE;
	most = (mtu - (unsigned)(IPV6_HDR_LEN + FRAG6_HDR_LEN)) / 8 * 8;
	if ((len + most - 1) / most > FRAG_MAX)
		return -EMSGSIZE;
	pieces->n = 0;
	for (unsigned at = 0; at < len; at += most) {
		struct rte_mbuf *piece = piece6(w, m, at, len - at < most ? len - at : most, id_be);

		if (piece == NULL) {
			rte_pktmbuf_free_bulk(pieces->pkt, pieces->n);
			return -ENOBUFS;
		}
		batch_append(pieces, b, i);
		pieces->pkt[pieces->n - 1] = piece;
		capture_inherit(w, m, piece);
	}
	rte_pktmbuf_free(m);
	counter_add(&w->cut_packets, 1);
	counter_add(&w->cut_pieces, pieces->n);
	return 0;
}
