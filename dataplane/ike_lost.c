#include "dataplane/ike_lost.h"

#include <stdlib.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>

#include "dataplane/iface.h"
#include "dataplane/punt.h"
#include "lib/bytes.h"
#include "lib/ike_wire.h"
#include "lib/ipv6.h"

enum {
	PLACES = 64,	     // of a ring: a power of 2
	AT_ONCE_PEER = 4,    // of each end; then one a second
	AT_ONCE_OTHERS = 16, // of each end, and as many a second
	UDP_LEN = 8,
	MARKER_LEN = 4,
	AT_FLAGS = 19,
};

struct ike_lost_ring {
	_Atomic uint32_t head, tail; // head: the producer's, tail: control's
	struct dp_ike_lost at[PLACES];
};

struct ike_lost *ike_lost_create(struct dp *dp)
{
	struct ike_lost *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->dp = dp;
	l->peer = calloc(1, sizeof(*l->peer));
	l->stranger = calloc(1, sizeof(*l->stranger));
	if (l->peer && l->stranger)
		return l;
	ike_lost_destroy(l);
	return NULL;
}

void ike_lost_destroy(struct ike_lost *l)
{
	if (!l)
		return;
	free(l->peer);
	free(l->stranger);
	free(l);
}

// ---- the threads that drop ----

static bool has_room(const struct ike_lost_ring *r)
{
	return atomic_load_explicit(&r->head, memory_order_relaxed) -
		       atomic_load_explicit(&r->tail, memory_order_acquire) <
	       PLACES;
}

static void put(struct ike_lost_ring *r, const struct dp_ike_lost *what)
{
	const uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	r->at[head % PLACES] = *what;
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
}

// The IP header of a frame, tagged or not. 0: it has none.
static size_t find_ip(const uint8_t *frame, size_t len, bool *v6)
{
	size_t at = RTE_ETHER_HDR_LEN;
	uint16_t type;

	if (len < at + RTE_VLAN_HLEN)
		return 0;
	type = (uint16_t)(frame[12] << 8 | frame[13]);
	if (type == RTE_ETHER_TYPE_VLAN) {
		type = (uint16_t)(frame[16] << 8 | frame[17]);
		at += RTE_VLAN_HLEN;
	}
	*v6 = type == RTE_ETHER_TYPE_IPV6;
	return *v6 || type == RTE_ETHER_TYPE_IPV4 ? at : 0;
}

// Where UDP begins in an IP packet, whose addresses are filled in. 0: it is none.
static size_t find_udp(const uint8_t *ip, size_t len, bool v6, struct dp_ike_lost *out)
{
	const struct rte_ipv4_hdr *h = (const void *)ip;
	struct ipv6_upper upper;

	if (v6) {
		if (len < IPV6_HDR_LEN || ipv6_find_upper(ip, len, &upper) ||
		    upper.proto != IPPROTO_UDP || upper.later)
			return 0;
		out->from.addr = ip_addr_from_bytes(ip + IPV6_SRC_AT, 16);
		out->to.addr = ip_addr_from_bytes(ip + IPV6_DST_AT, 16);
		return upper.at;
	}
	if (len < sizeof(*h) || h->next_proto_id != IPPROTO_UDP ||
	    (h->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_OFFSET_MASK)) != 0)
		return 0;
	out->from.addr = ip_addr_from_bytes((const uint8_t *)&h->src_addr, 4);
	out->to.addr = ip_addr_from_bytes((const uint8_t *)&h->dst_addr, 4);
	return rte_ipv4_hdr_len(h);
}

// False: it is no IKE message.
static bool read_frame(const struct rte_mbuf *m, struct dp_ike_lost *out)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *), *udp;
	size_t at, udp_at, len;
	uint16_t ours;
	bool v6;

	at = find_ip(frame, m->data_len, &v6);
	udp_at = at ? find_udp(frame + at, m->data_len - at, v6, out) : 0;
	if (udp_at == 0 || at + udp_at + UDP_LEN > m->data_len)
		return false;
	udp = frame + at + udp_at;
	out->from.port = (uint16_t)(udp[0] << 8 | udp[1]);
	out->to.port = (uint16_t)(udp[2] << 8 | udp[3]);
	len = (size_t)(udp[4] << 8 | udp[5]);
	ours = out->out ? out->from.port : out->to.port;
	if (ours != IKE_PORT && ours != IKE_NATT_PORT)
		return false;
	len = len >= UDP_LEN && udp + len <= frame + m->data_len ? len - UDP_LEN : 0;
	udp += UDP_LEN;
	if (ours == IKE_NATT_PORT) {
		// Behind the marker; without it, it is ESP, or a NAT keepalive (RFC 3948 2).
		if (len < MARKER_LEN || memcmp(udp, (const uint8_t[MARKER_LEN]){0}, MARKER_LEN))
			return false;
		udp += MARKER_LEN;
		len -= MARKER_LEN;
	}
	out->len = (uint16_t)len;
	out->header_len = (uint8_t)(len < sizeof(out->header) ? len : sizeof(out->header));
	memcpy(out->header, udp, out->header_len);
	return true;
}

// Of an IKE SA that we have: whoever it comes from is no stranger.
static bool has_spi(const struct guard *g, const struct dp_ike_lost *what)
{
	const struct guard_spis *spis = atomic_load_explicit(&g->spis, memory_order_acquire);
	struct reader r = reader_of(what->header, what->header_len);
	uint64_t spi_i, spi_r;

	if (what->header_len <= AT_FLAGS)
		return false;
	spi_i = read_u64(&r);
	spi_r = read_u64(&r);
	// The flag says that the sender has made the IKE SA: ours is the other one, unless we send.
	return guard_spis_have(
		spis, !(what->header[AT_FLAGS] & IKE_FLAG_INITIATOR) == !what->out ? spi_i : spi_r);
}

void ike_lost_note(struct ike_lost *l, struct guard_peer *peer, const struct dp_ike_lost *what)
{
	const bool known = !peer && has_spi(l->dp->guard, what);
	struct ike_lost_ring *r = peer || known ? l->peer : l->stranger;
	struct guard_budget *b = peer	 ? &peer->kept[what->end]
				 : known ? &l->spis[what->end]
					 : &l->strangers[what->end];
	const uint64_t second = l->dp->tsc_hz;
	const struct guard_rate rate = {peer ? second : second / AT_ONCE_OTHERS,
					peer ? AT_ONCE_PEER * second : second};

	if (has_room(r) && guard_take(b, &rate, what->tsc))
		put(r, what);
}

static void note_frame(struct ike_lost *l, const struct rte_mbuf *m, enum dp_ike_end end, bool out,
		       uint64_t now_tsc)
{
	struct dp_ike_lost what = {.tsc = now_tsc, .end = end, .out = out};
	struct guard_peer *peer;

	if (!read_frame(m, &what))
		return;
	peer = guard_peers_find(atomic_load_explicit(&l->dp->guard->peers, memory_order_acquire),
				out ? &what.to.addr : &what.from.addr);
	if (peer && !out)
		atomic_fetch_add_explicit(&peer->lost, 1, memory_order_relaxed);
	ike_lost_note(l, peer, &what);
}

void ike_lost_frames(struct ike_lost *l, struct rte_mbuf *const *pkt, unsigned n,
		     enum dp_ike_end end, bool out, uint64_t now_tsc)
{
	for (unsigned i = 0; l && i < n; i++)
		if (pkt[i]->port < DP_IFACE_FIRST) // others are bare, out of tunnels
			note_frame(l, pkt[i], end, out, now_tsc);
}

// ---- control ----

static bool take(struct ike_lost_ring *r, struct dp_ike_lost *out)
{
	const uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	if (atomic_load_explicit(&r->head, memory_order_acquire) == tail)
		return false;
	*out = r->at[tail % PLACES];
	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
	return true;
}

static struct ike_lost *store_of(const struct dp *dp, unsigned i)
{
	return i < dp->n_workers ? dp->workers[i]->lost : dp->punt->lost;
}

bool dp_ike_lost(struct dp *dp, struct dp_ike_lost *out)
{
	for (unsigned i = 0; i <= dp->n_workers; i++) {
		struct ike_lost *l = store_of(dp, i);

		if (l && (take(l->peer, out) || take(l->stranger, out)))
			return true;
	}
	return false;
}
