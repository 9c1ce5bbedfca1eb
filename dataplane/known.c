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
#include "dataplane/esp_wrap.h"
#include "dataplane/fib.h"
#include "dataplane/iface.h"
#include "dataplane/known_flows.h"
#include "dataplane/port.h"
#include "dataplane/sad.h"
#include "dataplane/stages.h"
#include "dataplane/tunnel.h"

#define GROUP_SLOTS 64 // a power of 2
#define AHEAD	    4  // packets whose first line is fetched while another one is looked at

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

// ---- what a packet is ----

// RFC 1071 2: the sum in any order and width; right when it is all ones, which is zero in the
// arithmetic of 16 bits with carries (and a header's words are not all zero).
static inline bool checksum4_good(const uint8_t *ip)
{
	const uint64_t sum = (uint64_t)load32(ip) + load32(ip + 4) + load32(ip + 8) +
			     load32(ip + 12) + load32(ip + 16);

	return sum % 0xffff == 0; // a multiplication and a comparison
}

static inline uint16_t length4(const uint8_t *ip)
{
	return rte_be_to_cpu_16(load16(ip + 2));
}

// A header without options, whole, of no fragment, with a hop left, in `room` bytes.
static inline bool is_ordinary4(const uint8_t *ip, unsigned room)
{
	const unsigned len = length4(ip);

	return ip[0] == RTE_IPV4_VHL_DEF && len <= room && len >= sizeof(struct rte_ipv4_hdr) &&
	       (load16(ip + 6) & rte_cpu_to_be_16((uint16_t)~RTE_IPV4_HDR_DF_FLAG)) == 0 &&
	       ip[8] > 1 && checksum4_good(ip);
}

static inline bool has_ports(const uint8_t *ip)
{
	return ip[9] == IPPROTO_UDP || ip[9] == IPPROTO_TCP;
}

// Ports, protocol, origin, as far as any rule asks for them. False: the stages are to look at it.
static inline bool rest_of(const struct worker *w, const uint8_t *ip, unsigned len, unsigned from,
			   uint64_t *rest)
{
	const uint64_t mask = w->known->rest_mask;

	if (ip[9] == IPPROTO_TCP && w->dp->clamp_mss && (len < 34 || (ip[33] & 2) != 0))
		return false;
	*rest = (uint64_t)from << 40;
	if (likely(mask == 0))
		return true;
	if (!has_ports(ip) || len < sizeof(struct rte_ipv4_hdr) + 4)
		return false;
	*rest |= ((uint64_t)ip[9] << 32 | load32(ip + 20)) & mask;
	return true;
}

// ---- the short way ----

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

// The packet takes its place among those that go. False: too large, or without room.
static inline bool admit(struct trip *t, struct rte_mbuf *m, uint8_t *ip, unsigned len,
			 const struct flow_entry *e)
{
	struct going *g = &t->go[t->n];
	const unsigned front = (unsigned)(ip - (uint8_t *)m->buf_addr);

	if (unlikely(len > e->mtu || front < RTE_ETHER_HDR_LEN))
		return false;
	if (e->sa != NULL) {
		struct esp_group *group;

		// The outer headers of IPv4, the longest head of ESP; padding, trailer, the longest
		// ICV.
		if (unlikely(front < RTE_ETHER_HDR_LEN + SA_OUT_OUTER4_MAX + CRYPTO_HEAD_MAX ||
			     front + len + 16 + ESP_TRAILER_LEN + CRYPTO_ICV_MAX > m->buf_len))
			return false;
		group = group_of(t, e->sa);
		group->n++;
		group->bytes += len;
		g->group = (uint8_t)(group - t->group);
	}
	g->m = m;
	g->ip = ip;
	g->sa = e->sa;
	g->len = (uint16_t)len;
	g->way = e->way;
	t->n++;
	return true;
}

// RFC 1624: the checksum changes by what the header changes.
static inline void count_hop(uint8_t *ip)
{
	const uint32_t sum = load16(ip + 10) + (uint32_t)rte_cpu_to_be_16(0x0100);
	const uint16_t folded = (uint16_t)(sum + (sum >= 0xffff));

	ip[8]--;
	memcpy(ip + 10, &folded, sizeof(folded));
}

static inline void set_mbuf(struct rte_mbuf *m, const uint8_t *start, unsigned len)
{
	m->data_off = (uint16_t)(start - (uint8_t *)m->buf_addr);
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
	esp_mbuf_forget_headers(m);
}

static void send_off(struct worker *w, const struct going *go, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const unsigned device = w->known->way[go[i].way].device;
		struct tx_buffer *tx = &w->tx[device];

		tx->pkt[tx->n++] = go[i].m;
		if (tx->n == BATCH_MAX)
			tx_flush_port(w, device);
	}
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
	unsigned jobs = 0, kept = 0;

	for (unsigned k = 0; k < t->n_groups; k++)
		esp_group_take(w, &t->group[k], false);
	for (unsigned i = 0; i < t->n; i++) {
		const struct going *g = &t->go[i];
		const struct flow_way *way = &w->known->way[g->way];
		uint8_t *start = g->ip;
		unsigned len = g->len;

		count_hop(start);
		if (g->sa != NULL) {
			struct esp_group *group = &t->group[g->group];
			const uint64_t seq = group->seq++;

			if (unlikely(group->over) && drop_worn(w, group, seq, g))
				continue;
			len = esp_wrap_at(g->sa, &start, len, inner4(start), 0, seq, &job[jobs++]);
		}
		start -= RTE_ETHER_HDR_LEN;
		memcpy(start, way->header, RTE_ETHER_HDR_LEN);
		set_mbuf(g->m, start, len + RTE_ETHER_HDR_LEN);
		if (unlikely(kept != i))
			t->go[kept] = t->go[i];
		kept++;
	}
	stage_end(&w->times, STAGE_KNOWN_WRAP);
	crypto_seal(w->crypto, job, jobs);
	counter_add(&w->esp_out_packets, jobs);
	w->traffic += jobs;
	stage_end(&w->times, STAGE_KNOWN_SEAL);
	send_off(w, t->go, kept);
	stage_end(&w->times, STAGE_KNOWN_SEND);
}

// Takes those of `seen` whose flows are known. Returns which have stayed, a bit for each by its
// place in the batch.
static uint64_t take(struct worker *w, struct rte_mbuf *const *pkt, const struct seen *seen,
		     unsigned n)
{
	struct trip t;
	uint64_t left = 0;

	t.n = t.n_groups = 0;
	memset(t.slot, 0, sizeof(t.slot));
	for (unsigned k = 0; k < n; k++) {
		const struct seen *s = &seen[k];
		const unsigned len = length4(s->ip);
		const struct flow_entry *e =
			known_flows_get(w, s->set, load64(s->ip + 12), s->rest, s->ip, len);

		if (unlikely(e == NULL || !admit(&t, pkt[s->i], s->ip, len, e)))
			left |= UINT64_C(1) << s->i;
	}
	stage_end(&w->times, STAGE_KNOWN_LOOK);
	if (t.n > 0)
		go_on(w, &t);
	return left;
}

// An ordinary packet of IPv4 from there. False: the stages' at once.
static inline bool see(struct worker *w, struct seen *s, uint8_t *ip, unsigned from, unsigned i)
{
	if (!rest_of(w, ip, length4(ip), from, &s->rest))
		return false;
	s->ip = ip;
	s->i = (uint16_t)i;
	s->set = known_flows_set(w->known, load64(ip + 12), s->rest);
	known_flows_prefetch(s->set);
	return true;
}

// ---- what comes in ----

enum kind { OTHER, ESP, CLEAR };

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
	if (ip[9] != IPPROTO_ESP)
		return CLEAR;
	if (length4(ip) < sizeof(struct rte_ipv4_hdr) + ESP_LEN_MIN || ip[12] == 127 ||
	    ip[12] >= 224 || !is_own(w, load32(ip + 16)))
		return OTHER;
	return ESP;
}

// Ready for esp_in_at().
static inline void put_esp(const struct worker *w, struct rte_mbuf *m, uint8_t port,
			   struct batch *esp, struct esp_place *at)
{
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *) + RTE_ETHER_HDR_LEN;

	m->data_off = (uint16_t)(m->data_off + RTE_ETHER_HDR_LEN);
	m->data_len = length4(ip);
	m->pkt_len = m->data_len;
	at[esp->n] = esp_place_plain4(ip);
	sad_prefetch_slot(w->dp->sad, at[esp->n].spi);
	esp->pkt[esp->n] = m;
	esp->port[esp->n] = m->port = port;
	esp->origin[esp->n] = FROM_NIC;
	esp->from_linux[esp->n] = false;
	esp->tunnel[esp->n] = NULL;
	esp->n++;
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
		if (kind == ESP)
			put_esp(w, m, port, esp, at);
		else if (kind == CLEAR && see(w, &seen[n], ip, port + 1u, i))
			n++;
		else
			left |= UINT64_C(1) << i;
	}
	stayed = take(w, in->pkt, seen, n);
	w->traffic += n - (unsigned)__builtin_popcountll(stayed);
	for (left |= stayed; left != 0; left &= left - 1)
		in->pkt[kept++] = in->pkt[__builtin_ctzll(left)];
	in->n = kept;
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
