// Outbound ESP (RFC 4303 3.3, RFC 4301 5.1, RFC 3948): select, number, encapsulate, encrypt.
#include "dataplane/stages.h"

#include <errno.h>
#include <string.h>

#include <rte_branch_prediction.h>

#include "dataplane/acquire.h"
#include "dataplane/capture.h"
#include "dataplane/dp_internal.h"
#include "dataplane/esp.h"
#include "dataplane/esp_transport.h"
#include "dataplane/frag.h"
#include "dataplane/icmp.h"
#include "dataplane/icmp6.h"
#include "dataplane/tunnel.h"
#include "lib/tcp_mss.h"

#define GROUPS_SEARCHED 8 // a ninth SA in turn only costs one more atomic add

// The packets of one SA in this batch.
struct group {
	struct sa_out *sa;
	struct tunnel *tunnel;
	uint64_t seq;	    // the next one to give away
	uint64_t bytes;	    // of inner packets
	uint64_t bytes_end; // with `over`: of the SA, with the packets looked at so far
	uint16_t n;	    // packets
	bool over;	    // some of them are beyond the SA's life
	uint16_t inner_mtu; // bytes; 0: no route
	uint16_t pad_to;    // bytes that an inner packet is padded to
};

struct out_batch {
	uint16_t n_groups;
	bool dummies; // all of them (RFC 4303 2.6)
	struct group group[BATCH_MAX];
	uint8_t group_of[BATCH_MAX]; // packet -> group
};

// Reports once in TUNNEL_EVENT_MS, whichever worker comes first.
static void report(struct worker *w, _Atomic uint64_t *last_tsc, const struct dp_event *ev)
{
	uint64_t last = atomic_load_explicit(last_tsc, memory_order_relaxed);

	if (last != 0 && w->now_tsc - last < w->dp->tsc_hz / 1000 * TUNNEL_EVENT_MS)
		return;
	if (atomic_compare_exchange_strong_explicit(last_tsc, &last, w->now_tsc,
						    memory_order_relaxed, memory_order_relaxed))
		dp_event_put(w->dp, ev);
}

// A packet without an SA asks for one, and waits when somebody is going to bring it. With an SA it
// comes here because others of its tunnel still wait, and stays behind them.
static void no_sa(struct worker *w, const struct batch *b, uint16_t i)
{
	struct rte_mbuf *m = b->pkt[i];
	struct tunnel *t = b->tunnel[i];
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	const bool v6 = ip_is_v6(ip);
	const struct dp_event ev = {
		.type = DP_EV_NO_SA,
		.tunnel = t->id,
		.addr = v6 ? ip_addr_from_bytes(ip + IPV6_SRC_AT, 16)
			   : ip_addr_from_bytes(ip + 12, 4),
		.addr2 = v6 ? ip_addr_from_bytes(ip + IPV6_DST_AT, 16)
			    : ip_addr_from_bytes(ip + 16, 4),
	};

	if (tunnel_sa(t) == NULL) {
		report(w, &t->no_sa_tsc, &ev);
		if (!tunnel_holds(t)) {
			drop(w, m, DROP_NO_SA);
			return;
		}
	}
	acquire_put(w, b, i);
}

// The group of a tunnel's current SA. The pointer is loaded once for each group: a rekey in the
// middle of a batch takes effect with the next one. NULL when the tunnel has no SA, or packets that
// still wait for it.
static struct group *find_group(struct worker *w, struct out_batch *o, struct tunnel *t)
{
	const int last = (int)o->n_groups - 1;
	struct sa_out *sa;
	struct group *g;
	uint16_t inner_mtu;

	for (int i = last; i >= 0 && i > last - GROUPS_SEARCHED; i--)
		if (o->group[i].tunnel == t)
			return &o->group[i];
	sa = tunnel_sa(t);
	if (sa == NULL || (w->n_waiting > 0 && acquire_waits(w, t)))
		return NULL;
	g = &o->group[o->n_groups++];
	inner_mtu = sa_out_inner_mtu(sa, sa_out_path_mtu(w->dp, sa));
	*g = (struct group){
		.sa = sa,
		.tunnel = t,
		.inner_mtu = inner_mtu,
		.pad_to = sa->tfc_padding < inner_mtu ? sa->tfc_padding : inner_mtu,
	};
	return g;
}

static bool selectors_match6(const struct sa_out *sa, const struct rte_mbuf *m)
{
	struct flow6 f;

	return flow6_of(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &f) &&
	       esp_selectors_match6(&sa->ts, f.src, f.src_port, f.dst, f.dst_port, f.proto,
				    f.ports);
}

static bool selectors_match(const struct sa_out *sa, const struct rte_mbuf *m)
{
	if (ip_is_v6(rte_pktmbuf_mtod(m, const void *)))
		return selectors_match6(sa, m);

	const struct flow f =
		flow_of(rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *), m->data_len);

	return esp_selectors_match(&sa->ts, f.src, f.src_port, f.dst, f.dst_port, f.proto, f.ports);
}

// RFC 8200 5: no link of IPv6 carries less than 1280 bytes in one piece. Where a tunnel does, what
// it becomes outside is cut (RFC 2473 7.1, RFC 4213 3.2.2).
static uint16_t mtu6(uint16_t inner_mtu)
{
	return inner_mtu > IPV6_MTU_MIN ? inner_mtu : (uint16_t)IPV6_MTU_MIN;
}

// Who says so. Linux believes no packet that comes from outside with an address of its own, so of
// what it sends itself, from there, the destination does.
static uint32_t answers_from(const struct sa_out *sa, const struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);

	return ip->src_addr == sa->local_be ? ip->dst_addr : sa->local_be;
}

// RFC 4301 8.2.1: a packet that must not be fragmented and does not fit is answered with the size
// that would.
static void too_big(struct worker *w, const struct group *g, uint16_t inner_mtu,
		    const struct batch *b, uint16_t i, struct batch *icmp)
{
	struct rte_mbuf *m = b->pkt[i];
	const bool from_tunnel = b->origin[i] == FROM_TUNNEL || b->origin[i] == FROM_SELF_TUNNEL;
	struct rte_mbuf *answer = NULL;

	if (icmp->n < BATCH_MAX && ip_is_v6(rte_pktmbuf_mtod(m, const void *)))
		answer = icmp6_error(w, m, ICMP6_TOO_BIG, 0, mtu6(inner_mtu));
	else if (icmp->n < BATCH_MAX)
		answer = icmp_error(w, m, ICMP_UNREACHABLE, ICMP_UNREACHABLE_FRAG_NEEDED, inner_mtu,
				    answers_from(g->sa, m));
	if (answer != NULL) {
		icmp->pkt[icmp->n] = answer;
		icmp->port[icmp->n] = b->port[i];
		icmp->origin[icmp->n] = from_tunnel ? FROM_SELF_TUNNEL : FROM_SELF;
		icmp->from_linux[icmp->n] = true;
		icmp->tunnel[icmp->n] = NULL;
		icmp->sa[icmp->n] = NULL;
		icmp->n++;
	}
	drop(w, m, DROP_TOO_BIG);
}

// RFC 4303 2.7: padding that hides the packet's size, behind it. `len` bytes are the packet's.
static uint32_t tfc_len(const struct group *g, uint32_t len)
{
	return len < g->pad_to ? g->pad_to - len : 0;
}

static bool has_room(const struct rte_mbuf *m, const struct group *g)
{
	const struct sa_out *sa = g->sa;

	return esp_mbuf_writable(m) &&
	       rte_pktmbuf_headroom(m) >= (unsigned)sa->outer_len + sa->key.head_len &&
	       rte_pktmbuf_tailroom(m) >= tfc_len(g, m->pkt_len) + sa->key.align - 1u +
						  ESP_TRAILER_LEN + sa->key.icv_len;
}

// With many tunnels every packet's SA is cold. Asking for all of a batch first makes the waits
// overlap.
static void prefetch_sas(const struct batch *b)
{
	for (uint16_t i = 0; i < b->n; i++)
		rte_prefetch0(b->tunnel[i]);
	for (uint16_t i = 0; i < b->n; i++)
		if (i == 0 || b->tunnel[i] != b->tunnel[i - 1])
			tunnel_prefetch_sa(b->tunnel[i]);
}

static bool has_df(const struct rte_mbuf *m)
{
	return (rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *)->fragment_offset &
		rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG)) != 0;
}

enum fit { FITS, CUT, TOO_BIG };

// RFC 8200 4.5: only its source cuts a packet of IPv6. What is cut of IPv4 goes in pieces through
// the tunnel; where the peer would not take later ones, for lack of ports, the packet is encrypted
// whole, and route() cuts what becomes of it.
static enum fit fit_of(const struct group *g, const struct rte_mbuf *m)
{
	if (likely(m->pkt_len <= g->inner_mtu))
		return FITS;
	if (ip_is_v6(rte_pktmbuf_mtod(m, const void *)))
		return m->pkt_len <= mtu6(g->inner_mtu) ? FITS : TOO_BIG;
	if (has_df(m))
		return TOO_BIG;
	return g->sa->names_ports ? FITS : CUT;
}

// In transport mode no piece may go in, so what is too large and may be cut is cut outside, and so
// is what Linux has cut already.
static bool fits_transport(struct worker *w, const struct group *g, struct batch *b, uint16_t i,
			   struct batch *icmp)
{
	const enum esp_own own = esp_transport_take(w, g->sa, b, i);
	struct rte_mbuf *m = b->pkt[i];
	uint16_t mtu = g->inner_mtu;
	struct esp_front front;
	const uint8_t *ip;
	bool may_cut;

	if (own == ESP_OWN_NOT)
		return false;
	ip = rte_pktmbuf_mtod(m, const uint8_t *);
	if (!esp_transport_front(ip, m->data_len, &front)) {
		drop(w, m, DROP_OUT_SELECTOR);
		return false;
	}
	if (unlikely(front.len != (g->sa->v6 ? IPV6_HDR_LEN : sizeof(struct rte_ipv4_hdr))))
		mtu = esp_transport_mtu(g->sa, front.len, sa_out_path_mtu(w->dp, g->sa));
	// Over IPv6 only behind a bare header: a hop-by-hop header has to stay in front of the
	// fragment's.
	may_cut = g->sa->v6 ? front.len == IPV6_HDR_LEN &&
				      (own == ESP_OWN_JOINED || m->pkt_len <= IPV6_MTU_MIN)
			    : !has_df(m);
	if (likely(m->pkt_len <= mtu) || may_cut || g->inner_mtu == 0)
		return true;
	too_big(w, g, mtu, b, i, icmp);
	return false;
}

// The packet goes with its group.
static void join(struct out_batch *o, struct group *g, struct batch *b, uint16_t kept, uint16_t i)
{
	g->n++;
	g->bytes += o->dummies ? 0 : b->pkt[i]->pkt_len;
	o->group_of[kept] = (uint8_t)(g - o->group);
	batch_keep(b, kept, i);
}

// Step 1: which SA, and may the packet take it? Leaves the good ones with o->group_of[] set; those
// that have to be cut first go to `large`.
static void select_sa(struct worker *w, struct batch *b, struct out_batch *o, struct batch *large,
		      struct batch *icmp)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < b->n; i++) {
		struct group *g = find_group(w, o, b->tunnel[i]);
		enum fit fit = FITS;
		struct rte_mbuf *m;

		if (g == NULL) {
			no_sa(w, b, i);
			continue;
		}
		if (g->sa->transport && !fits_transport(w, g, b, i, icmp))
			continue;
		m = b->pkt[i];
		if (!g->sa->transport)
			fit = fit_of(g, m);
		if (!selectors_match(g->sa, m)) {
			// The policy may be wider than what the peer agreed to.
			drop(w, m, DROP_OUT_SELECTOR);
		} else if (g->inner_mtu == 0) {
			drop(w, m, DROP_NO_ROUTE);
		} else if (fit == TOO_BIG) {
			too_big(w, g, g->inner_mtu, b, i, icmp);
		} else if (fit == CUT) {
			batch_append(large, b, i);
		} else if (!has_room(m, g)) {
			drop(w, m, DROP_NO_MBUF);
		} else {
			if (w->dp->clamp_mss)
				tcp_mss_clamp(rte_pktmbuf_mtod(m, uint8_t *), m->data_len,
					      g->inner_mtu);
			join(o, g, b, kept++, i);
		}
	}
	b->n = kept;
}

static void count(struct worker *w, struct sa_out *sa, uint64_t packets)
{
	atomic_fetch_add_explicit(&sa->packets, packets, memory_order_relaxed);
	atomic_store_explicit(&sa->last_tsc, w->now_tsc, memory_order_relaxed);
}

// The SA has come to a limit: control is told which, and packets beyond a hard one are marked.
// `last` and `bytes` are what the SA has given away with this group.
static void worn(struct worker *w, struct group *g, uint64_t last, uint64_t bytes)
{
	struct sa_out *sa = g->sa;
	struct dp_event ev = {
		.type = DP_EV_SOFT_LIFE,
		.tunnel = g->tunnel->id,
		.spi = sa->spi,
		.why = DP_LIFE_BYTES,
	};

	g->over = last > sa->seq_hard || bytes > sa->bytes_hard;
	g->bytes_end = bytes - g->bytes;
	if (g->over)
		ev.type = DP_EV_HARD_LIFE;
	if (g->over ? last > sa->seq_hard : last >= sa->seq_check) {
		const uint64_t seq_end = g->over ? sa_out_seq_max(sa) : sa_out_seq_low(sa);

		ev.why = last >= seq_end ? DP_LIFE_SEQ : DP_LIFE_PACKETS;
	}
	if (last < SA_OUT_SEALED) // else the SA goes on under another counter (dp_tunnel_move)
		report(w, g->over ? &sa->hard_tsc : &sa->soft_tsc, &ev);
}

// Step 2: one atomic add for each group takes its sequence numbers, another its bytes.
static void take_sequence_numbers(struct worker *w, struct out_batch *o)
{
	for (uint16_t i = 0; i < o->n_groups; i++) {
		struct group *g = &o->group[i];
		struct sa_out *sa = g->sa;
		uint64_t last, bytes;

		if (g->n == 0)
			continue;
		// RFC 4303 3.3.3: the first number sent is 1.
		g->seq = atomic_fetch_add_explicit(&sa->seq, g->n, memory_order_relaxed) + 1;
		last = g->seq + g->n - 1;
		bytes = atomic_fetch_add_explicit(&sa->bytes, g->bytes, memory_order_relaxed) +
			g->bytes;
		if (unlikely(last >= sa->seq_check || bytes >= sa->bytes_check))
			worn(w, g, last, bytes);
		if (!g->over && !o->dummies)
			count(w, sa, g->n);
	}
}

// One packet of a group that is in part beyond its SA's life. DROP_REASON_COUNT: it may go. The
// bytes were taken by an atomic add, so all workers together never send more than is allowed.
static enum drop_reason admit(struct worker *w, struct group *g, uint64_t seq, bool dummy,
			      uint32_t len)
{
	struct sa_out *sa = g->sa;

	if (dummy)
		len = 0;

	g->bytes_end += len;
	if (seq <= sa->seq_hard && g->bytes_end <= sa->bytes_hard) {
		if (!dummy)
			count(w, sa, 1);
		return DROP_REASON_COUNT;
	}
	atomic_fetch_sub_explicit(&sa->bytes, len, memory_order_relaxed);
	// RFC 4303 3.3.3: the number never wraps; the SA is used up.
	return seq > sa_out_seq_max(sa) ? DROP_SEQ_EXHAUSTED : DROP_SA_LIFE;
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

// What the outer header takes from the inner one.
struct inner {
	uint8_t tos; // or traffic class
	uint8_t next_header;
	uint16_t df_be; // as it stands in an IPv4 header
	bool fits;	// in one piece
	uint32_t label; // of the flow, for an outer header of IPv6, if it is to have one
};

// RFC 4301 5.1.2.2: traffic class from the inner packet, as for IPv4.
static void put_outer6(const struct sa_out *sa, uint8_t *outer, const struct inner *inner,
		       uint16_t esp_len)
{
	const uint8_t tos = outer_out_tos(&sa->rule, inner->tos);
	const uint16_t behind_be =
		rte_cpu_to_be_16((uint16_t)(sa->outer_len - sizeof(struct rte_ipv6_hdr) + esp_len));

	memcpy(outer, sa->outer, sizeof(sa->outer)); // without UDP the last 8 are overwritten below
	outer[0] |= tos >> 4;
	outer[1] |= (uint8_t)(tos << 4 | inner->label >> 16);
	outer[2] |= (uint8_t)(inner->label >> 8);
	outer[3] |= (uint8_t)inner->label;
	memcpy(outer + 4, &behind_be, sizeof(behind_be));
	if (sa->udp)
		memcpy(outer + sizeof(struct rte_ipv6_hdr) + 4, &behind_be, sizeof(behind_be));
}

// RFC 8200 8.1: UDP over IPv6 has a checksum. RFC 6935 would let a tunnel send zero, but only to a
// receiver known to take it, and Linux's sockets do not.
static void sum_outer6(const struct sa_out *sa, struct rte_mbuf *m)
{
	struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv6_hdr *);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);

	if (sa->v6 && sa->udp)
		udp->dgram_cksum = rte_ipv6_udptcp_cksum(ip, udp);
}

// RFC 4303 2.6. It looks outside as most packets do: no class, not to be cut.
static struct inner dummy_inner(const struct sa_out *sa)
{
	const bool label = sa->v6 && sa->label == OUTER_LABEL_FLOW;

	return (struct inner){
		.next_header = ESP_NEXT_HEADER_DUMMY,
		.df_be = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG),
		.fits = true,
		.label = label ? outer_label_tunnel(sa->label_seed) : 0,
	};
}

static inline struct inner inner_of(const struct group *g, const uint8_t *p, uint32_t len)
{
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(const void *)p;
	const bool fits = len <= g->inner_mtu;
	uint32_t label = 0;

	if (g->sa->label == OUTER_LABEL_FLOW && g->sa->v6)
		label = outer_label_flow(g->sa->label_seed, p, len);
	// RFC 4213 3.2.2: over IPv4 the way is searched for its MTU as IPv6 wants it, unless it
	// carries too little for that.
	if (ip_is_v6(p))
		return (struct inner){
			.tos = (uint8_t)(p[0] << 4 | p[1] >> 4),
			.next_header = ESP_NEXT_HEADER_IPV6,
			.df_be = g->inner_mtu >= IPV6_MTU_MIN
					 ? rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG)
					 : 0,
			.fits = fits,
			.label = label,
		};
	return (struct inner){
		.tos = ip->type_of_service,
		.next_header = ESP_NEXT_HEADER_IPV4,
		.df_be = ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG),
		.fits = fits,
		.label = label,
	};
}

// Puts the outer header in front of the ESP packet of `esp_len` bytes.
static void put_outer(const struct sa_out *sa, uint8_t *outer, const struct inner *inner,
		      uint32_t seq, uint16_t esp_len)
{
	const uint16_t df_be = outer_out_df(&sa->rule, inner->df_be, inner->fits);
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)outer;

	if (sa->v6) {
		put_outer6(sa, outer, inner, esp_len);
		return;
	}
	memcpy(outer, sa->outer, SA_OUT_OUTER4_MAX); // without UDP the last 8 are overwritten below
	ip->type_of_service = outer_out_tos(&sa->rule, inner->tos);
	ip->total_length = rte_cpu_to_be_16((uint16_t)(sa->outer_len + esp_len));
	ip->fragment_offset = df_be;
	ip->packet_id = outer_out_id_be(&sa->rule, df_be, seq);
	ip->hdr_checksum = fold(sa->cksum + ((uint32_t)ip->type_of_service << 8) +
				ip->total_length + ip->packet_id + df_be);
	if (sa->outer_len > sizeof(*ip)) {
		struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(outer + sizeof(*ip));

		udp->dgram_len = rte_cpu_to_be_16((uint16_t)(sizeof(*udp) + esp_len));
	}
}

// Step 3: headers in front, padding and trailer behind, and the job for the crypto library.
static void encapsulate(const struct group *g, struct rte_mbuf *m, bool dummy, uint64_t seq,
			struct crypto_job *job)
{
	const struct sa_out *sa = g->sa;
	const struct crypto_key *k = &sa->key;
	const struct inner inner =
		unlikely(dummy) ? dummy_inner(sa)
				: inner_of(g, rte_pktmbuf_mtod(m, const uint8_t *), m->pkt_len);
	const uint32_t tfc = tfc_len(g, m->pkt_len);
	const uint32_t inner_len = m->pkt_len + tfc;
	// The alignment is a power of two.
	const uint32_t pad_len = -(inner_len + ESP_TRAILER_LEN) & (k->align - 1u);
	const uint32_t text_len = inner_len + pad_len + ESP_TRAILER_LEN;
	uint8_t *text = rte_pktmbuf_mtod(m, uint8_t *);
	uint8_t *trailer = text + inner_len;
	struct esp_hdr *esp = (struct esp_hdr *)(text - k->head_len);
	const uint64_t seq_be = rte_cpu_to_be_64(seq);

	if (unlikely(tfc != 0))
		memset(trailer - tfc, 0, tfc); // what lay in the buffer is nobody's
	for (uint32_t i = 0; i < pad_len; i++)
		*trailer++ = (uint8_t)(i + 1); // RFC 4303 2.4
	*trailer++ = (uint8_t)pad_len;
	*trailer++ = inner.next_header;

	// The IV, of 16 bytes, 8 or none, ends with the number; where it is shorter the headers
	// come over this.
	memset(text - 2 * sizeof(seq_be), 0, sizeof(seq_be));
	memcpy(text - sizeof(seq_be), &seq_be, sizeof(seq_be));
	put_outer(sa, (uint8_t *)esp - sa->outer_len, &inner, (uint32_t)seq,
		  (uint16_t)(k->head_len + text_len + k->icv_len));
	esp->spi_be = sa->spi_be;
	esp->seq_be = rte_cpu_to_be_32((uint32_t)seq);

	crypto_job_set(job, k, (uint8_t *)esp, text_len, (uint32_t)(seq >> 32));

	m->data_off = (uint16_t)(m->data_off - k->head_len - sa->outer_len);
	m->pkt_len = (uint32_t)(sa->outer_len + k->head_len) + text_len + k->icv_len;
	m->data_len = (uint16_t)m->pkt_len;
	esp_mbuf_forget_headers(m);
}

// Steps 2 and 3 for packets that have their groups, and the encryption of all of them.
static void seal(struct worker *w, struct batch *b, struct out_batch *o)
{
	struct crypto_job job[BATCH_MAX];
	const struct sa_out *sa[BATCH_MAX];
	uint16_t kept = 0;

	stage_end(&w->times, STAGE_ESP_OUT_SELECT);
	if (worker_captures(w))
		capture_batch(w, DP_CAPTURE_PLAIN_OUT, b);
	take_sequence_numbers(w, o);
	for (uint16_t i = 0; i < b->n; i++) {
		struct group *g = &o->group[o->group_of[i]];
		const uint64_t seq = g->seq++;

		if (unlikely(g->over)) {
			const enum drop_reason reason =
				admit(w, g, seq, o->dummies, b->pkt[i]->pkt_len);

			if (reason != DROP_REASON_COUNT) {
				drop(w, b->pkt[i], reason);
				continue;
			}
		}
		if (g->sa->transport && !o->dummies)
			esp_transport_wrap(g->sa, b->pkt[i], seq, &job[kept]);
		else
			encapsulate(g, b->pkt[i], o->dummies, seq, &job[kept]);
		sa[kept] = g->sa;
		batch_keep(b, kept++, i);
	}
	b->n = kept;
	stage_end(&w->times, STAGE_ESP_OUT_WRAP);
	crypto_seal(w->crypto, job, kept);
	for (uint16_t i = 0; i < kept; i++) {
		if (sa[i]->transport && !o->dummies)
			esp_transport_sum6(sa[i], b->pkt[i]);
		else
			sum_outer6(sa[i], b->pkt[i]);
	}
	if (worker_captures(w))
		capture_batch(w, DP_CAPTURE_ESP_OUT, b);
	counter_add(&w->esp_out_packets, kept);
	stage_end(&w->times, STAGE_ESP_OUT_SEAL);
}

// RFC 4301 7, 8.2.1: a packet that may be cut is cut before it is encrypted. Its pieces take the
// tunnel of the whole, whose ports the policy has seen.
static void cut_and_seal(struct worker *w, const struct batch *large, uint16_t i)
{
	struct out_batch o = {.n_groups = 0};
	struct group *g = find_group(w, &o, large->tunnel[i]);
	struct batch pieces;
	uint16_t kept = 0;
	int err;

	if (g == NULL) {
		no_sa(w, large, i); // it has just been taken away
		return;
	}
	err = frag_cut(w, large, i, g->inner_mtu, &pieces);
	if (err != 0) {
		drop(w, large->pkt[i], err == -ENOBUFS ? DROP_NO_MBUF : DROP_TOO_BIG);
		return;
	}
	for (uint16_t k = 0; k < pieces.n; k++) {
		if (has_room(pieces.pkt[k], g))
			join(&o, g, &pieces, kept++, k);
		else
			drop(w, pieces.pkt[k], DROP_NO_MBUF);
	}
	pieces.n = kept;
	seal(w, &pieces, &o);
	route(w, &pieces);
}

void esp_out(struct worker *w, struct batch *b, struct batch *icmp)
{
	struct batch large;
	struct out_batch o;

	o.n_groups = 0;
	o.dummies = false;
	large.n = 0;
	prefetch_sas(b);
	if (worker_captures(w))
		capture_routed(w, b);
	select_sa(w, b, &o, &large, icmp);
	seal(w, b, &o);
	for (uint16_t i = 0; i < large.n; i++)
		cut_and_seal(w, &large, i);
}

void esp_out_dummies(struct worker *w, struct batch *b)
{
	struct out_batch o;
	uint16_t kept = 0;

	o.n_groups = 0;
	o.dummies = true;
	for (uint16_t i = 0; i < b->n; i++) {
		struct group *g = find_group(w, &o, b->tunnel[i]);

		if (g != NULL && g->inner_mtu != 0 && has_room(b->pkt[i], g))
			join(&o, g, b, kept++, i);
		else
			rte_pktmbuf_free(b->pkt[i]);
	}
	b->n = kept;
	seal(w, b, &o);
	counter_add(&w->dummies, b->n);
	route(w, b);
}
