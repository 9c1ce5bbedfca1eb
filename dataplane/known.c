#include "dataplane/known.h"

#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>
#include <sys/mman.h>
#include <rte_branch_prediction.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_vect.h>

#include "dataplane/dp_internal.h"
#include "dataplane/esp_group.h"
#include "dataplane/esp_padding.h"
#include "dataplane/esp_wrap.h"
#include "dataplane/fib.h"
#include "dataplane/iface.h"
#include "dataplane/known_flows.h"
#include "dataplane/known_packet.h"
#include "dataplane/outer.h"
#include "dataplane/port.h"
#include "dataplane/sad.h"
#include "dataplane/stages.h"
#include "dataplane/tunnel.h"
#include "lib/ike_wire.h"

#define GROUP_SLOTS  64 // a power of 2
#define SA_BEHIND    8u // packets from asking for an SA's slot to asking for the SA
#define LEARNED_MANY 8	// flows in a round
#define AHEAD	     4	// packets whose first line is fetched while another one is looked at

// One packet on its short way.
struct going {
	struct rte_mbuf *m;
	uint8_t *ip;
	struct sa_out *sa; // NULL: leaves as it is
	uint16_t len;	   // bytes of IP packet
	uint16_t way;
	uint8_t group; // with an SA
};

// All that go, and the groups of those with an SA.
struct trip {
	unsigned n, n_groups;
	uint8_t slot[GROUP_SLOTS]; // by SA, the group that was last seen there
	struct going go[BATCH_MAX];
	struct esp_group group[BATCH_MAX];
};

// A packet that may have a known flow.
struct seen {
	uint8_t *ip;
	struct flow_set *set;
	uint64_t rest;
	uint16_t i; // in its batch
};

struct known *known_create(void)
{
	const size_t huge = 2u << 20; // bytes of a page that spares a look-up the walk to its page
	struct known *k = aligned_alloc(huge, (sizeof(*k) + huge - 1) / huge * huge);

	_Static_assert(sizeof(struct flow_entry) == 32, "two share a line");
	if (k == NULL)
		return NULL;
	madvise(k, sizeof(*k), MADV_HUGEPAGE); // where there are none it is as good
	memset(k, 0, sizeof(*k));
	return k;
}

void known_destroy(struct known *k)
{
	free(k);
}

bool known_usable(const struct worker *w)
{
	return w->known != NULL && w->n_waiting == 0 && !worker_captures(w) && !iface_any(w->dp);
}

uint16_t known_batch_max(struct worker *w)
{
	const bool many = w->known != NULL && w->known->learned >= LEARNED_MANY;

	if (w->known != NULL)
		w->known->learned = 0;
	return many ? BATCH_MAX / 4 : BATCH_MAX;
}

// ---- the short way ----

static inline void trip_begin(struct trip *t)
{
	t->n = t->n_groups = 0;
	memset(t->slot, 0, sizeof(t->slot));
}

// The group of an SA's packets in this batch. Two SAs of one slot only cost one more atomic add.
static inline struct esp_group *group_of(struct trip *t, struct sa_out *sa)
{
	const uintptr_t at = (uintptr_t)sa;
	uint8_t *slot = &t->slot[(at >> 6 ^ at >> 12) & (GROUP_SLOTS - 1)];
	struct esp_group *g = &t->group[*slot];

	if (*slot < t->n_groups && g->sa == sa)
		return g;
	// Fetches what a packet needs of its SA.
	rte_prefetch0(sa);
	rte_prefetch0((const void *)(uintptr_t)&sa->seq);
	crypto_key_prefetch(&sa->key);
	*slot = (uint8_t)t->n_groups;
	g = &t->group[t->n_groups++];
	g->sa = sa;
	g->n = 0;
	g->bytes = 0;
	g->over = false;
	return g;
}

// The packet is no larger than its way allows, and has room for what is put around it.
static inline bool fits(const struct rte_mbuf *m, const uint8_t *ip, unsigned len,
			const struct flow_entry *e)
{
	const unsigned front = (unsigned)(ip - (uint8_t *)m->buf_addr);

	if (unlikely(len > e->mtu || front < RTE_ETHER_HDR_LEN))
		return false;
	// The outer headers of IPv4, the longest head of ESP; padding, trailer, the longest ICV.
	return e->sa == NULL ||
	       likely(front >= RTE_ETHER_HDR_LEN + SA_OUT_OUTER4_MAX + CRYPTO_HEAD_MAX &&
		      front + len + 16 + ESP_TRAILER_LEN + CRYPTO_ICV_MAX <= m->buf_len);
}

static inline void put_header(struct rte_mbuf *m, uint8_t *ip, unsigned len,
			      const struct flow_way *way)
{
	uint8_t *start = ip - RTE_ETHER_HDR_LEN;

	memcpy(start, way->header, RTE_ETHER_HDR_LEN);
	set_mbuf(m, start, len + RTE_ETHER_HDR_LEN);
}

static inline void send_by(struct worker *w, const struct flow_way *way, struct rte_mbuf *m)
{
	struct tx_buffer *tx = &w->tx[way->device];

	tx->pkt[tx->n++] = m;
	if (tx->n == BATCH_MAX)
		tx_flush_port(w, way->device);
}

// The packet leaves, or takes its place among those that are encrypted together.
static inline void set_out(struct worker *w, struct trip *t, struct rte_mbuf *m, uint8_t *ip,
			   unsigned len, const struct flow_entry *e)
{
	struct going *g = &t->go[t->n];
	struct esp_group *group;

	if (e->sa == NULL) {
		const struct flow_way *way = &w->known->way[e->way];

		count_hop(ip);
		put_header(m, ip, len, way);
		send_by(w, way, m);
		return;
	}
	group = group_of(t, e->sa);
	group->n++;
	group->bytes += len;
	g->group = (uint8_t)(group - t->group);
	g->m = m;
	g->ip = ip;
	g->sa = e->sa;
	g->len = (uint16_t)len;
	g->way = e->way;
	t->n++;
}

// The packet is beyond its SA's life.
static bool drop_worn(struct worker *w, struct esp_group *group, uint64_t seq,
		      const struct going *g)
{
	const enum drop_reason reason = esp_group_admit(w, group, seq, false, g->len);

	if (reason == DROP_REASON_COUNT)
		return false;
	set_mbuf(g->m, g->ip, g->len);
	drop(w, g->m, reason);
	return true;
}

// What the outer header takes from an ordinary packet of IPv4 that fits.
static inline struct esp_inner inner4(const uint8_t *ip)
{
	return (struct esp_inner){
		.tos = ip[1],
		.next_header = ESP_NEXT_HEADER_IPV4,
		.df_be = load16(ip + 6) & rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG),
		.fits = true,
	};
}

// Hop, headers, encryption, and off.
static void go_on(struct worker *w, struct trip *t)
{
	struct crypto_job job[BATCH_MAX];
	unsigned kept = 0;

	for (unsigned k = 0; k < t->n_groups; k++)
		esp_group_take(w, &t->group[k], false);
	for (unsigned i = 0; i < t->n; i++) {
		const struct going *g = &t->go[i];
		struct esp_group *group = &t->group[g->group];
		const uint64_t seq = group->seq++;
		uint8_t *start = g->ip;
		unsigned len;

		count_hop(start);
		if (unlikely(group->over) && drop_worn(w, group, seq, g))
			continue;
		len = esp_wrap_at(g->sa, &start, g->len, inner4(start), 0, seq, &job[kept]);
		put_header(g->m, start, len, &w->known->way[g->way]);
		if (unlikely(kept != i))
			t->go[kept] = t->go[i];
		kept++;
	}
	stage_end(&w->times, STAGE_KNOWN_WRAP);
	crypto_seal(w->crypto, job, kept);
	counter_add(&w->esp_out_packets, kept);
	w->traffic += kept;
	stage_end(&w->times, STAGE_KNOWN_SEAL);
	for (unsigned i = 0; i < kept; i++)
		send_by(w, &w->known->way[t->go[i].way], t->go[i].m);
	stage_end(&w->times, STAGE_KNOWN_SEND);
}

// Takes those of `seen` whose flows are known. Returns which have stayed, a bit for each by its
// place in the batch.
static uint64_t take(struct worker *w, struct rte_mbuf *const *pkt, const struct seen *seen,
		     unsigned n)
{
	struct trip t;
	uint64_t left = 0;

	trip_begin(&t);
	for (unsigned k = 0; k < n; k++) {
		const struct seen *s = &seen[k];
		const unsigned len = length4(s->ip);
		const struct flow_entry *e =
			known_flows_get(w, s->set, load64(s->ip + 12), s->rest, s->ip, len, NULL);

		if (likely(e != NULL && fits(pkt[s->i], s->ip, len, e)))
			set_out(w, &t, pkt[s->i], s->ip, len, e);
		else
			left |= UINT64_C(1) << s->i;
	}
	stage_end(&w->times, STAGE_KNOWN_LOOK);
	if (t.n > 0)
		go_on(w, &t);
	return left;
}

// With s->rest set.
static inline void look_up_soon(struct worker *w, struct seen *s, uint8_t *ip, unsigned i)
{
	s->ip = ip;
	s->i = (uint16_t)i;
	s->set = known_flows_set(w->known, load64(ip + 12), s->rest);
	known_flows_prefetch(s->set);
}

// An ordinary packet of IPv4 from there. False: the stages' at once.
static inline bool see(struct worker *w, struct seen *s, uint8_t *ip, unsigned from, unsigned i)
{
	if (!rest_of(w, ip, length4(ip), from, &s->rest))
		return false;
	look_up_soon(w, s, ip, i);
	return true;
}

// ---- what comes in ----

enum kind { OTHER, ESP, ESP_IN_UDP, CLEAR };

static bool is_own(struct worker *w, uint32_t addr_be)
{
	struct known *k = w->known;

	if (likely(addr_be == k->own_be && addr_be != 0))
		return true;
	if (!fib_is_local(w->dp->fib, addr_be))
		return false;
	k->own_be = addr_be;
	return true;
}

// The first bytes of a frame to the port from elsewhere, of IPv4 without options: equal in `SAME`,
// and not in all of `FROM`.
static inline __m128i frame_start(const struct port *port)
{
	uint8_t start[16] = {[12] = RTE_ETHER_TYPE_IPV4 >> 8, 0, RTE_IPV4_VHL_DEF};

	memcpy(start, port->mac.bytes, RTE_ETHER_ADDR_LEN);
	memcpy(start + RTE_ETHER_ADDR_LEN, port->mac.bytes, RTE_ETHER_ADDR_LEN);
	return _mm_loadu_si128((const __m128i *)(const void *)start);
}

// From an address that may be somebody's, to one of ours.
static inline bool is_to_us(struct worker *w, const uint8_t *ip)
{
	return ip[12] != 127 && ip[12] < 224 && is_own(w, load32(ip + 16));
}

// RFC 3948: UDP to us, and no keepalive, nor IKE behind the non-ESP marker.
static inline bool is_esp_in_udp(const uint8_t *ip)
{
	return length4(ip) >= OUTER4_UDP_LEN + ESP_LEN_MIN &&
	       flow_load16(ip + 24) == length4(ip) - sizeof(struct rte_ipv4_hdr) &&
	       load32(ip + OUTER4_UDP_LEN) != 0;
}

// A frame as it came: an ordinary packet for one of us to forward, ESP for us, or the stages'.
static inline enum kind kind_of(struct worker *w, __m128i start, const struct rte_mbuf *m)
{
	enum { SAME = 0x703f, FROM = 0x0fc0 };
	const uint64_t odd = RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED |
			     RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	const uint8_t *ip = frame + RTE_ETHER_HDR_LEN;
	unsigned same;

	if (m->data_len < RTE_ETHER_HDR_LEN + sizeof(struct rte_ipv4_hdr))
		return OTHER;
	same = (unsigned)_mm_movemask_epi8(
		_mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)frame), start));
	if ((same & SAME) != SAME || (same & FROM) == FROM || (m->ol_flags & odd) != 0 ||
	    m->nb_segs != 1 || rte_mbuf_refcnt_read(m) != 1 ||
	    !is_ordinary4(ip, m->data_len - (unsigned)RTE_ETHER_HDR_LEN))
		return OTHER;
	if (ip[9] == IPPROTO_ESP)
		return length4(ip) >= sizeof(struct rte_ipv4_hdr) + ESP_LEN_MIN && is_to_us(w, ip)
			       ? ESP
			       : OTHER;
	if (ip[9] == IPPROTO_UDP && load16(ip + 22) == rte_cpu_to_be_16(IKE_NATT_PORT) &&
	    is_to_us(w, ip))
		return is_esp_in_udp(ip) ? ESP_IN_UDP : OTHER;
	return CLEAR;
}

// Ready for esp_in_open(), but for what is the same of all.
static inline void put_esp(const struct worker *w, struct rte_mbuf *m, bool udp, struct batch *esp,
			   struct esp_place *at)
{
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *) + RTE_ETHER_HDR_LEN;
	const uint16_t n = esp->n++, len = length4(ip);

	m->data_off = (uint16_t)(m->data_off + RTE_ETHER_HDR_LEN);
	m->data_len = len;
	m->pkt_len = len;
	esp_place_plain4(&at[n], ip, len, udp);
	sad_prefetch_slot(w->dp->sad, at[n].spi);
	if (n >= SA_BEHIND)
		sad_prefetch_of(w->dp->sad, at, n - SA_BEHIND);
	esp->pkt[n] = m;
}

// The buffer of a packet further on, and the first line of one that is nearer.
static inline void fetch_ahead(const struct batch *in, unsigned i)
{
	if (i + 2 * AHEAD < in->n)
		rte_prefetch0(in->pkt[i + 2 * AHEAD]);
	if (i + AHEAD < in->n)
		rte_prefetch0(rte_pktmbuf_mtod(in->pkt[i + AHEAD], const void *));
}

void known_frames(struct worker *w, uint8_t port, struct batch *in, struct batch *esp,
		  struct esp_place *at)
{
	const __m128i start = frame_start(&w->dp->ports[port]);
	struct seen seen[BATCH_MAX];
	uint64_t left = 0, stayed;
	uint16_t kept = 0;
	unsigned n = 0;

	if (w->dp->ports[port].vlans != NULL)
		return;
	known_flows_begin(w);
	for (uint16_t i = 0; i < in->n; i++) {
		struct rte_mbuf *m = in->pkt[i];
		uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *) + RTE_ETHER_HDR_LEN;
		const enum kind kind = kind_of(w, start, m);

		fetch_ahead(in, i);
		if (kind == ESP || kind == ESP_IN_UDP)
			put_esp(w, m, kind == ESP_IN_UDP, esp, at);
		else if (kind == CLEAR && see(w, &seen[n], ip, port + 1u, i))
			n++;
		else
			left |= UINT64_C(1) << i;
	}
	for (unsigned i = RTE_MAX(esp->n, SA_BEHIND) - SA_BEHIND; i < esp->n; i++)
		sad_prefetch_of(w->dp->sad, at, i);
	memset(esp->from_linux, false, esp->n * sizeof(esp->from_linux[0]));
	for (uint16_t i = 0; i < esp->n; i++)
		esp->port[i] = port;
	stayed = take(w, in->pkt, seen, n);
	w->traffic += n - (unsigned)__builtin_popcountll(stayed);
	for (left |= stayed; left != 0; left &= left - 1)
		in->pkt[kept++] = in->pkt[__builtin_ctzll(left)];
	in->n = kept;
}

// ESP in UDP from where the peer's was before.
static inline bool is_from_peer(const struct sa_in *sa, const struct esp_place *in)
{
	const uint8_t *outer = (const uint8_t *)in->esp - OUTER4_UDP_LEN;

	return sa_in_peer(load32(outer + 12), load16(outer + 20)) ==
	       atomic_load_explicit(&sa->peer, memory_order_relaxed);
}

// An ordinary packet of IPv4 of a plain SA, opened, with nothing that would have to be told or
// changed.
static inline bool is_plain(const struct worker *w, const struct sa_in *sa,
			    const struct esp_place *in, const struct crypto_job *job)
{
	const uint8_t *end = job->text + job->text_len - ESP_TRAILER_LEN;
	const uint8_t *ip = job->text;
	unsigned pad_len, room;

	// Not before the status: a text that is not good must not be looked at.
	if (unlikely(job->status != CRYPTO_OK || !sa->plain || (in->tos & OUTER_ECN_MASK) != 0 ||
		     end[1] != ESP_NEXT_HEADER_IPV4 || (in->udp && !is_from_peer(sa, in))))
		return false;
	pad_len = end[0];
	room = job->text_len - ESP_TRAILER_LEN - pad_len;
	return likely(pad_len + ESP_TRAILER_LEN <= job->text_len &&
		      esp_padding_good(end, pad_len) && is_ordinary4(ip, room) &&
		      !may_be_clamped(w, ip, length4(ip)));
}

void known_opened(struct worker *w, struct batch *b, struct esp_place *at, struct crypto_job *job)
{
	struct seen seen[BATCH_MAX];
	uint64_t left = 0;
	uint16_t kept = 0;
	unsigned n = 0, taken = 0;
	struct trip t;

	known_flows_begin(w);
	if (w->known->rest_mask != 0) // a flow's ports would have to stand where its SPI does
		return;
	for (uint16_t i = 0; i < b->n; i++) {
		if (is_plain(w, b->sa[i], &at[i], &job[i])) {
			seen[n].rest = (uint64_t)FLOW_FROM_INNER << 40 | at[i].spi;
			look_up_soon(w, &seen[n++], job[i].text, i);
		} else {
			left |= UINT64_C(1) << i;
		}
	}
	trip_begin(&t);
	for (unsigned k = 0; k < n; k++) {
		const struct seen *s = &seen[k];
		const unsigned i = s->i, len = length4(s->ip);
		struct sa_in *sa = b->sa[i];
		const struct flow_entry *e =
			known_flows_get(w, s->set, load64(s->ip + 12), s->rest, s->ip, len, sa);

		if (unlikely(e == NULL || !fits(b->pkt[i], s->ip, len, e) ||
			     sa_in_near_limit(sa, len))) {
			left |= UINT64_C(1) << i;
		} else if (unlikely(!sa_in_accept(sa, at[i].seq))) {
			drop(w, b->pkt[i], DROP_ESP_REPLAY);
		} else {
			atomic_store_explicit(&sa->last_tsc, w->now_tsc, memory_order_relaxed);
			sa_in_count(sa, len);
			set_out(w, &t, b->pkt[i], s->ip, len, e);
			taken++;
		}
	}
	counter_add(&w->esp_in_packets, taken);
	stage_end(&w->times, STAGE_KNOWN_LOOK);
	if (t.n > 0)
		go_on(w, &t);
	for (; left != 0; left &= left - 1) {
		const uint16_t i = (uint16_t)__builtin_ctzll(left);

		at[kept] = at[i];
		job[kept] = job[i];
		batch_keep(b, kept++, i);
	}
	b->n = kept;
}

void known_inner(struct worker *w, struct batch *b)
{
	struct seen seen[BATCH_MAX];
	uint64_t left = 0;
	uint16_t kept = 0;
	unsigned n = 0;

	known_flows_begin(w);
	for (uint16_t i = 0; i < b->n; i++) {
		const struct rte_mbuf *m = b->pkt[i];
		uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);

		if (b->port[i] < DP_IFACE_FIRST && m->data_len >= sizeof(struct rte_ipv4_hdr) &&
		    is_ordinary4(ip, m->data_len) && see(w, &seen[n], ip, FLOW_FROM_INNER, i))
			n++;
		else
			left |= UINT64_C(1) << i;
	}
	for (left |= take(w, b->pkt, seen, n); left != 0; left &= left - 1)
		batch_keep(b, kept++, (uint16_t)__builtin_ctzll(left));
	b->n = kept;
}
