// Outbound ESP (RFC 4303 3.3, RFC 4301 5.1, RFC 3948): select, number, encapsulate, encrypt.
#include "dataplane/stages.h"

#include <errno.h>
#include <string.h>

#include <rte_branch_prediction.h>

#include "dataplane/acquire.h"
#include "dataplane/capture.h"
#include "dataplane/dp_internal.h"
#include "dataplane/esp.h"
#include "dataplane/esp_group.h"
#include "dataplane/esp_transport.h"
#include "dataplane/esp_wrap.h"
#include "dataplane/frag.h"
#include "dataplane/icmp.h"
#include "dataplane/icmp6.h"
#include "dataplane/tunnel.h"
#include "lib/tcp_mss.h"

#define GROUPS_SEARCHED 8 // a ninth SA in turn only costs one more atomic add

struct out_batch {
	uint16_t n_groups;
	bool dummies; // all of them (RFC 4303 2.6)
	struct esp_group group[BATCH_MAX];
	uint8_t group_of[BATCH_MAX]; // packet -> group
};

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
		esp_group_report(w, &t->no_sa_tsc, &ev);
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
static struct esp_group *find_group(struct worker *w, struct out_batch *o, struct tunnel *t)
{
	const int last = (int)o->n_groups - 1;
	struct sa_out *sa;
	struct esp_group *g;
	uint16_t inner_mtu;

	for (int i = last; i >= 0 && i > last - GROUPS_SEARCHED; i--)
		if (o->group[i].tunnel == t)
			return &o->group[i];
	sa = tunnel_sa(t);
	if (sa == NULL || (w->n_waiting > 0 && acquire_waits(w, t)))
		return NULL;
	g = &o->group[o->n_groups++];
	inner_mtu = sa_out_inner_mtu(sa, sa_out_path_mtu(w->dp, sa));
	*g = (struct esp_group){
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
static void too_big(struct worker *w, const struct esp_group *g, uint16_t inner_mtu,
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

static bool has_room(const struct rte_mbuf *m, const struct esp_group *g)
{
	return esp_wrap_has_room(m, g->sa, g->pad_to);
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
static enum fit fit_of(const struct esp_group *g, const struct rte_mbuf *m)
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
static bool fits_transport(struct worker *w, const struct esp_group *g, struct batch *b, uint16_t i,
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
static void join(struct out_batch *o, struct esp_group *g, struct batch *b, uint16_t kept,
		 uint16_t i)
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
		struct esp_group *g = find_group(w, o, b->tunnel[i]);
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

static inline struct esp_inner inner_of(const struct out_batch *o, const struct esp_group *g,
					const struct rte_mbuf *m)
{
	if (unlikely(o->dummies))
		return esp_inner_dummy(g->sa);
	return esp_inner_of(g->sa, g->inner_mtu, rte_pktmbuf_mtod(m, const uint8_t *), m->pkt_len);
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
	for (uint16_t i = 0; i < o->n_groups; i++)
		if (o->group[i].n != 0)
			esp_group_take(w, &o->group[i], o->dummies);
	for (uint16_t i = 0; i < b->n; i++) {
		struct esp_group *g = &o->group[o->group_of[i]];
		const uint64_t seq = g->seq++;

		if (unlikely(g->over)) {
			const enum drop_reason reason =
				esp_group_admit(w, g, seq, o->dummies, b->pkt[i]->pkt_len);

			if (reason != DROP_REASON_COUNT) {
				drop(w, b->pkt[i], reason);
				continue;
			}
		}
		if (g->sa->transport && !o->dummies)
			esp_transport_wrap(g->sa, b->pkt[i], seq, &job[kept]);
		else
			esp_wrap(g->sa, b->pkt[i], inner_of(o, g, b->pkt[i]), g->pad_to, seq,
				 &job[kept]);
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
			esp_wrap_sum6(sa[i], b->pkt[i]);
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
	struct esp_group *g = find_group(w, &o, large->tunnel[i]);
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
		struct esp_group *g = find_group(w, &o, b->tunnel[i]);

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
