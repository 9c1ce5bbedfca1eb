// Experimental in 22.11, stable and unchanged in 24.11.
#define ALLOW_EXPERIMENTAL_API
#include "dataplane/reass.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ether.h>
#include <rte_hash_crc.h>
#include <rte_ip_frag.h>
#include <rte_malloc.h>

#include "dataplane/capture.h"
#include "dataplane/dp_internal.h"
#include "dataplane/guard.h"
#include "lib/ipv6.h"

enum {
	BUCKET = 16, // packets that share a place in the table
	EXPIRE_EVERY_MS = 100,
};

// Whose fragments a table holds. Anybody can send us some that never get whole; those are in
// nobody's way but other strangers'.
enum whose { OF_PEERS, OF_STRANGERS, WHOSE };

struct reass {
	struct rte_ip_frag_tbl *table[WHOSE];
	struct rte_ip_frag_death_row lost; // what the library gives up
	uint64_t last_expire_tsc;
	bool used; // has ever held a fragment
};

int reass_create(struct dp *dp, struct reass **out)
{
	struct reass *r = rte_zmalloc("reass", sizeof(*r), 64);

	if (!r)
		return -ENOMEM;
	for (unsigned i = 0; i < WHOSE; i++) {
		r->table[i] =
			rte_ip_frag_table_create(REASS_PACKETS / BUCKET, BUCKET, REASS_PACKETS,
						 dp->tsc_hz / 1000 * REASS_MS, SOCKET_ID_ANY);
		if (!r->table[i]) {
			reass_destroy(r);
			return -ENOMEM;
		}
	}
	*out = r;
	return 0;
}

void reass_destroy(struct reass *r)
{
	if (!r)
		return;
	rte_ip_frag_free_death_row(&r->lost, 0);
	for (unsigned i = 0; i < WHOSE; i++)
		rte_ip_frag_table_destroy(r->table[i]);
	rte_free(r);
}

unsigned reass_owner(const struct dp *dp, const struct rte_ipv4_hdr *ip)
{
	if (dp->n_workers == 1)
		return 0;
	return rte_hash_crc_8byte((uint64_t)ip->src_addr << 32 | ip->dst_addr, ip->packet_id) %
	       dp->n_workers;
}

static void drop_lost(struct worker *w)
{
	struct reass *r = w->reass;
	uint64_t n = 0;

	// Fragments that overlap may be found out when some of them have already been chained.
	for (uint32_t i = 0; i < r->lost.cnt; i++)
		n += r->lost.row[i]->nb_segs;
	counter_add(&w->drops[DROP_FRAGMENT], n);
	if (worker_captures(w))
		for (uint32_t i = 0; i < r->lost.cnt; i++)
			worker_capture_drop(w, r->lost.row[i], DROP_FRAGMENT, false);
	rte_ip_frag_free_death_row(&r->lost, 0);
}

// Into one buffer: ESP is decrypted in place. Few packets are larger than the buffers of a port, so
// there is a small pool of large ones.
static struct rte_mbuf *flatten(struct worker *w, struct rte_mbuf *chain)
{
	const uint32_t len = chain->pkt_len;
	struct rte_mbuf *m, *seg;
	uint32_t at = 0;

	if (rte_pktmbuf_linearize(chain) == 0)
		return chain;
	m = w->dp->large_pool ? rte_pktmbuf_alloc(w->dp->large_pool) : NULL;
	if (!m || len > rte_pktmbuf_tailroom(m)) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	for (seg = chain; seg; at += seg->data_len, seg = seg->next)
		memcpy(rte_pktmbuf_mtod_offset(m, void *, at), rte_pktmbuf_mtod(seg, void *),
		       seg->data_len);
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
	m->port = chain->port;
	capture_inherit(w, chain, m);
	memcpy(rte_pktmbuf_mtod(m, uint8_t *) - RTE_ETHER_HDR_LEN,
	       rte_pktmbuf_mtod(chain, uint8_t *) - RTE_ETHER_HDR_LEN, RTE_ETHER_HDR_LEN);
	rte_pktmbuf_free(chain);
	return m;
}

// What the library has put together, in one buffer; NULL when there is none.
static struct rte_mbuf *finish(struct worker *w, struct rte_mbuf *whole)
{
	struct rte_mbuf *flat;
	uint16_t n_segs;

	if (w->reass->lost.cnt > 0)
		drop_lost(w);
	if (!whole)
		return NULL;
	n_segs = whole->nb_segs;
	flat = flatten(w, whole);
	if (!flat) {
		if (worker_captures(w))
			worker_capture_drop(w, whole, DROP_NO_MBUF, false);
		counter_add(&w->drops[DROP_NO_MBUF], n_segs);
		rte_pktmbuf_free(whole);
		return NULL;
	}
	counter_add(&w->whole_pieces, n_segs);
	counter_add(&w->whole_packets, 1);
	return flat;
}

static struct rte_ip_frag_tbl *table_of(const struct worker *w, const struct ip_addr *src,
					bool from_linux)
{
	struct guard_peers *peers =
		atomic_load_explicit(&w->dp->guard->peers, memory_order_acquire);
	const bool known = from_linux || guard_peers_find(peers, src) != NULL;

	return w->reass->table[known ? OF_PEERS : OF_STRANGERS];
}

struct rte_mbuf *reass_put(struct worker *w, struct rte_mbuf *m, bool from_linux)
{
	struct reass *r = w->reass;
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	const struct ip_addr src = ip_addr_v4(rte_be_to_cpu_32(ip->src_addr));

	m->l2_len = 0;
	m->l3_len = rte_ipv4_hdr_len(ip);
	r->used = true;
	m = finish(w, rte_ipv4_frag_reassemble_packet(table_of(w, &src, from_linux), &r->lost, m,
						      w->now_tsc, ip));
	if (!m)
		return NULL;
	ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	ip->hdr_checksum = 0;
	ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, rte_ipv4_hdr_len(ip));
	return m;
}

unsigned reass6_owner(const struct dp *dp, const uint8_t *ip)
{
	uint64_t addrs[4];
	uint32_t id;

	if (dp->n_workers == 1)
		return 0;
	memcpy(addrs, ip + IPV6_SRC_AT, sizeof(addrs));
	memcpy(&id, ip + IPV6_HDR_LEN + 4, sizeof(id));
	return rte_hash_crc(addrs, sizeof(addrs), id) % dp->n_workers;
}

struct rte_mbuf *reass6_put(struct worker *w, struct rte_mbuf *m, bool from_linux)
{
	struct reass *r = w->reass;
	struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv6_hdr *);
	struct rte_ipv6_fragment_ext *ext = (struct rte_ipv6_fragment_ext *)(ip + 1);
	const struct ip_addr src = ip_addr_from_bytes((const uint8_t *)ip + IPV6_SRC_AT, 16);
	uint8_t *p;

	m->l2_len = 0;
	m->l3_len = sizeof(*ip) + sizeof(*ext);
	r->used = true;
	m = rte_ipv6_frag_reassemble_packet(table_of(w, &src, from_linux), &r->lost, m, w->now_tsc,
					    ip, ext);
	if (m) {
		// The IP header has moved over the fragment header; the Ethernet header follows.
		p = rte_pktmbuf_mtod(m, uint8_t *) - RTE_ETHER_HDR_LEN;
		memmove(p, p - sizeof(*ext), RTE_ETHER_HDR_LEN);
	}
	return finish(w, m);
}

void reass_expire(struct worker *w)
{
	struct reass *r = w->reass;

	if (!r->used || w->now_tsc - r->last_expire_tsc < w->dp->tsc_hz / 1000 * EXPIRE_EVERY_MS)
		return;
	r->last_expire_tsc = w->now_tsc;
	for (unsigned i = 0; i < WHOSE; i++)
		rte_ip_frag_table_del_expired_entries(r->table[i], &r->lost, w->now_tsc);
	if (r->lost.cnt > 0)
		drop_lost(w);
}
