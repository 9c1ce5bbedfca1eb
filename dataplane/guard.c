#include "dataplane/guard.h"

#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "dataplane/capture.h"
#include "dataplane/census.h"
#include "dataplane/flow6.h"
#include "dataplane/ike_lost.h"
#include "dataplane/stages.h"
#include "lib/ike_peek.h"
#include "lib/ike_wire.h"
#include "lib/ipv6.h"

enum {
	MARKER_LEN = 4, // non-ESP marker (RFC 3948 2.2)
	UDP_LEN = 8,
	REPLY_TTL = 64,
};

struct message { // one datagram for IKE
	struct census_seen seen;
	struct ip_addr to;
	const uint8_t *data; // without the marker
	size_t len;
	bool marker;
	struct ike_peek ike;
};

// ---- what a packet is ----

static uint16_t ether_type_be(const struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth =
		(const void *)(rte_pktmbuf_mtod(m, const uint8_t *) - RTE_ETHER_HDR_LEN);

	return eth->ether_type;
}

// Where UDP starts in a whole packet from a NIC; 0: it is none.
static size_t find_udp(const struct rte_mbuf *m, const uint8_t *ip, struct message *out)
{
	const size_t len = m->data_len;

	if (ether_type_be(m) == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) &&
	    len >= sizeof(struct rte_ipv4_hdr)) {
		const struct rte_ipv4_hdr *h = (const void *)ip;

		if (h->next_proto_id != IPPROTO_UDP ||
		    (h->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_OFFSET_MASK)) != 0)
			return 0;
		out->seen.from = ip_addr_from_bytes((const uint8_t *)&h->src_addr, 4);
		out->to = ip_addr_from_bytes((const uint8_t *)&h->dst_addr, 4);
		out->seen.ttl = h->time_to_live;
		return rte_ipv4_hdr_len(h);
	}
	if (ether_type_be(m) == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6) && len >= IPV6_HDR_LEN) {
		struct ipv6_upper upper;

		if (ipv6_find_upper(ip, len, &upper) || upper.proto != IPPROTO_UDP || upper.later)
			return 0;
		out->seen.from = ip_addr_from_bytes(ip + IPV6_SRC_AT, 16);
		out->to = ip_addr_from_bytes(ip + IPV6_DST_AT, 16);
		out->seen.ttl = ip[7];
		return upper.at;
	}
	return 0;
}

// False: no datagram for IKE's ports.
static bool is_message(const struct rte_mbuf *m, struct message *out)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *), *udp;
	const size_t at = find_udp(m, ip, out);
	size_t len;

	if (at == 0 || at + UDP_LEN > m->data_len)
		return false;
	udp = ip + at;
	out->seen.from_port = (uint16_t)(udp[0] << 8 | udp[1]);
	out->seen.to_port = (uint16_t)(udp[2] << 8 | udp[3]);
	len = (size_t)(udp[4] << 8 | udp[5]);
	out->marker = out->seen.to_port == IKE_NATT_PORT;
	if (out->seen.to_port != IKE_PORT && !out->marker)
		return false;
	// A length that lies is one of IKE's as well, and as much worth.
	len = len >= UDP_LEN && at + len <= m->data_len ? len - UDP_LEN : 0;
	out->seen.len = (uint16_t)len;
	out->data = udp + UDP_LEN + (out->marker ? MARKER_LEN : 0);
	out->len = len >= (out->marker ? MARKER_LEN : 0) ? len - (out->marker ? MARKER_LEN : 0) : 0;
	out->seen.ike = ike_peek(out->data, out->len, &out->ike) ? &out->ike : NULL;
	return true;
}

// ---- what becomes of it ----

static struct ike_cookie_for cookie_for(const struct message *msg)
{
	return (struct ike_cookie_for){
		.nonce = msg->ike.nonce,
		.nonce_len = msg->ike.nonce_len,
		.spi_i = msg->ike.spi_i,
		.from = &msg->seen.from,
	};
}

static bool has_proved(const struct ike_cookie_keys *keys, const struct message *msg)
{
	const struct ike_cookie_for f = cookie_for(msg);

	return keys && msg->ike.cookie &&
	       ike_cookie_check(keys, &f, msg->ike.cookie, msg->ike.cookie_len);
}

static enum guard_fate judge_opener(struct guard *g, const struct guard_rates *r,
				    const struct ike_cookie_keys *keys, struct guard_peer *peer,
				    const struct message *msg, uint64_t now_tsc)
{
	if (has_proved(keys, msg)) {
		const bool room =
			peer ? guard_take(&peer->proven, &r->peer_proven, now_tsc)
			     : guard_take(&g->stranger_proven, &r->stranger_proven, now_tsc);

		return room ? GUARD_PROVEN : GUARD_LIMITED;
	}
	if (peer ? guard_take(&peer->opens, &r->peer_opens, now_tsc)
		 : guard_take(&g->stranger_opens, &r->stranger_opens, now_tsc))
		return peer ? GUARD_PEER : GUARD_STRANGER;
	if (!keys || msg->len < IKE_COOKIE_REPLY_LEN)
		return GUARD_LIMITED;
	if (guard_seen(&g->seen, msg->ike.spi_i_num) ||
	    guard_take(peer ? &peer->answers : &g->stranger_answers, &r->answers, now_tsc))
		return GUARD_COOKIE;
	return GUARD_UNREPEATED;
}

static enum guard_fate judge(struct guard *g, const struct guard_rates *r,
			     const struct ike_cookie_keys *keys, struct guard_peer *peer,
			     const struct message *msg, uint64_t now_tsc)
{
	const struct guard_spis *spis = atomic_load_explicit(&g->spis, memory_order_acquire);
	const struct ike_peek *ike = msg->seen.ike;
	bool room;

	if (!ike)
		return GUARD_MALFORMED;
	if (guard_spis_have(spis, ike_peek_own_spi(ike)))
		return GUARD_KNOWN;
	if (ike->opens)
		return judge_opener(g, r, keys, peer, msg, now_tsc);
	if (peer)
		return guard_take(&peer->rest, &r->peer_rest, now_tsc) ? GUARD_PEER : GUARD_LIMITED;
	room = ike->major == 1 ? guard_take(&g->stranger_v1, &r->stranger_v1, now_tsc)
			       : guard_take(&g->stranger_rest, &r->stranger_rest, now_tsc);
	return room ? GUARD_STRANGER : GUARD_LIMITED;
}

static void count_peer(struct worker *w, struct guard_peer *peer, enum guard_fate fate)
{
	const bool unproven = fate == GUARD_COOKIE || fate == GUARD_UNREPEATED;
	_Atomic uint64_t *c = unproven		      ? &peer->cookies
			      : fate == GUARD_LIMITED ? &peer->limited
						      : &peer->passed;

	atomic_fetch_add_explicit(c, 1, memory_order_relaxed);
	if (fate == GUARD_LIMITED)
		counter_add(&w->guard_peer_limited, 1);
}

// ---- the answer ----

static void write_ipv4(uint8_t *at, const struct message *msg, size_t udp_len)
{
	struct rte_ipv4_hdr *ip = (void *)at;
	struct rte_udp_hdr *udp = (void *)(ip + 1);

	*ip = (struct rte_ipv4_hdr){
		.version_ihl = 0x45,
		.total_length = rte_cpu_to_be_16((uint16_t)(sizeof(*ip) + udp_len)),
		.fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG),
		.time_to_live = REPLY_TTL,
		.next_proto_id = IPPROTO_UDP,
	};
	memcpy(&ip->src_addr, msg->to.bytes, 4);
	memcpy(&ip->dst_addr, msg->seen.from.bytes, 4);
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	udp->dgram_cksum = rte_ipv4_udptcp_cksum(ip, udp);
}

static void write_ipv6(uint8_t *at, const struct message *msg, size_t udp_len)
{
	struct rte_ipv6_hdr *ip = (void *)at;
	struct rte_udp_hdr *udp = (void *)(ip + 1);

	memset(ip, 0, sizeof(*ip));
	ip->vtc_flow = rte_cpu_to_be_32(6u << 28);
	ip->payload_len = rte_cpu_to_be_16((uint16_t)udp_len);
	ip->proto = IPPROTO_UDP;
	ip->hop_limits = REPLY_TTL;
	memcpy((uint8_t *)ip + IPV6_SRC_AT, msg->to.bytes, 16);
	memcpy((uint8_t *)ip + IPV6_DST_AT, msg->seen.from.bytes, 16);
	udp->dgram_cksum = rte_ipv6_udptcp_cksum(ip, udp);
}

// Makes the answer out of the packet, which is longer. False: it does not fit.
static bool answer(struct rte_mbuf *m, const struct message *msg,
		   const struct ike_cookie_keys *keys)
{
	const bool v6 = msg->seen.from.family == IP_V6;
	const size_t ip_len = v6 ? IPV6_HDR_LEN : sizeof(struct rte_ipv4_hdr);
	const size_t marker_len = msg->marker ? MARKER_LEN : 0;
	const size_t udp_len = UDP_LEN + marker_len + IKE_COOKIE_REPLY_LEN;
	const struct ike_cookie_for f = cookie_for(msg);
	uint8_t reply[IKE_COOKIE_REPLY_LEN], *at = rte_pktmbuf_mtod(m, uint8_t *);
	struct rte_udp_hdr *udp = (void *)(at + ip_len);

	if (ip_len + udp_len > m->data_len)
		return false;
	ike_cookie_reply(keys, &f, msg->ike.message_id, reply); // reads what is overwritten
	*udp = (struct rte_udp_hdr){
		.src_port = rte_cpu_to_be_16(msg->seen.to_port),
		.dst_port = rte_cpu_to_be_16(msg->seen.from_port),
		.dgram_len = rte_cpu_to_be_16((uint16_t)udp_len),
	};
	memset(udp + 1, 0, marker_len);
	memcpy((uint8_t *)(udp + 1) + marker_len, reply, sizeof(reply));
	if (v6)
		write_ipv6(at, msg, udp_len);
	else
		write_ipv4(at, msg, udp_len);
	m->data_len = (uint16_t)(ip_len + udp_len);
	m->pkt_len = m->data_len;
	m->ol_flags = 0;
	return true;
}

static bool send_answer(struct worker *w, struct batch *b, uint16_t i, const struct message *msg,
			const struct ike_cookie_keys *keys)
{
	struct batch *self = &w->self;
	uint16_t at = self->n;

	if (at == BATCH_MAX || !answer(b->pkt[i], msg, keys))
		return false;
	capture_made(w, b->pkt[i]);
	batch_append(self, b, i);
	self->origin[at] = FROM_SELF;
	self->from_linux[at] = true;
	return true;
}

// ---- the stage ----

// The census and this read the message, which an answer overwrites.
static void keep_header(struct worker *w, struct guard_peer *peer, const struct message *msg)
{
	struct dp_ike_lost lost = {
		.tsc = w->now_tsc,
		.end = msg->seen.fate == GUARD_COOKIE	 ? DP_IKE_COOKIE
		       : msg->seen.fate == GUARD_LIMITED ? DP_IKE_LIMITED
							 : DP_IKE_MALFORMED,
		.from = {msg->seen.from, msg->seen.from_port},
		.to = {msg->to, msg->seen.to_port},
		.len = (uint16_t)msg->len,
		.header_len = (uint8_t)RTE_MIN(msg->len, sizeof(lost.header)),
	};

	memcpy(lost.header, msg->data, lost.header_len);
	ike_lost_note(w->lost, peer, &lost);
}

// True: the packet stays in its batch.
static bool one(struct worker *w, struct batch *b, uint16_t i, struct batch *first)
{
	struct guard *g = w->dp->guard;
	const struct guard_rates *rates = atomic_load_explicit(&g->rates, memory_order_acquire);
	const struct ike_cookie_keys *keys = atomic_load_explicit(&g->keys, memory_order_acquire);
	struct guard_peer *peer;
	struct message msg;

	if (!is_message(b->pkt[i], &msg))
		return true;
	peer = guard_peers_find(atomic_load_explicit(&g->peers, memory_order_acquire),
				&msg.seen.from);
	msg.seen.fate = judge(g, rates, keys, peer, &msg, w->now_tsc);
	msg.seen.is_peer = peer != NULL;
	msg.seen.ttl_usual = peer ? atomic_load_explicit(&peer->ttl, memory_order_relaxed) : 0;
	census_note(w->census, &msg.seen, w->now_tsc, w->dp->tsc_hz);
	counter_add(&w->guard_fates[msg.seen.fate], 1);
	if (msg.seen.fate >= GUARD_COOKIE)
		keep_header(w, peer, &msg);
	if (peer)
		count_peer(w, peer, msg.seen.fate);
	switch (msg.seen.fate) {
	case GUARD_KNOWN:
	case GUARD_PROVEN:
	case GUARD_PEER:
		batch_append(first, b, i);
		return false;
	case GUARD_STRANGER:
		return true;
	case GUARD_COOKIE:
		if (!send_answer(w, b, i, &msg, keys))
			drop(w, b->pkt[i], DROP_GUARD_LIMITED);
		return false;
	case GUARD_UNREPEATED:
		drop(w, b->pkt[i], DROP_GUARD_UNREPEATED);
		return false;
	case GUARD_MALFORMED:
		drop(w, b->pkt[i], DROP_GUARD_MALFORMED);
		return false;
	default:
		drop(w, b->pkt[i], DROP_GUARD_LIMITED);
		return false;
	}
}

void guard(struct worker *w, struct batch *punt, struct batch *first)
{
	uint16_t kept = 0;

	if (!atomic_load_explicit(&w->dp->guard->on, memory_order_acquire))
		return;
	for (uint16_t i = 0; i < punt->n; i++) {
		if (punt->origin[i] != FROM_NIC || punt->port[i] >= DP_IFACE_FIRST ||
		    one(w, punt, i, first))
			batch_keep(punt, kept++, i);
	}
	punt->n = kept;
}

// ---- what control reads ----

void dp_guard_info(const struct dp *dp, struct dp_guard_info *out)
{
	const struct guard *g = dp->guard;
	const struct guard_peers *peers = atomic_load_explicit(&g->peers, memory_order_relaxed);

	*out = (struct dp_guard_info){
		.on = atomic_load_explicit(&g->on, memory_order_relaxed),
		.n_peers = peers ? peers->n : 0,
		.n_spis = g->n_spis,
	};
	for (unsigned i = 0; i < dp->n_workers; i++) {
		for (unsigned k = 0; k < GUARD_FATE_COUNT; k++)
			out->fate[k] += counter_read(&dp->workers[i]->guard_fates[k]);
		out->peer_limited += counter_read(&dp->workers[i]->guard_peer_limited);
	}
}

int dp_guard_peer_info(const struct dp *dp, const struct ip_addr *addr,
		       struct dp_guard_peer_info *out)
{
	struct guard_peers *peers = atomic_load_explicit(&dp->guard->peers, memory_order_relaxed);
	const struct guard_peer *p = peers ? guard_peers_find(peers, addr) : NULL;

	if (!p)
		return -ENOENT;
	out->passed = atomic_load_explicit(&p->passed, memory_order_relaxed);
	out->cookies = atomic_load_explicit(&p->cookies, memory_order_relaxed);
	out->limited = atomic_load_explicit(&p->limited, memory_order_relaxed);
	out->lost = atomic_load_explicit(&p->lost, memory_order_relaxed);
	return 0;
}

uint64_t dp_guard_age_ms(const struct dp *dp, uint64_t tsc)
{
	const uint64_t now = rte_rdtsc();

	return now > tsc ? (now - tsc) / (dp->tsc_hz / 1000) : 0;
}
