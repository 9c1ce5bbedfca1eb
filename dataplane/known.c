#include "dataplane/known.h"

#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>
#include <rte_branch_prediction.h>
#include <rte_ether.h>
#include <rte_hash_crc.h>
#include <rte_ip.h>

#include "dataplane/dp_internal.h"
#include "dataplane/esp_group.h"
#include "dataplane/esp_wrap.h"
#include "dataplane/fib.h"
#include "dataplane/flow.h"
#include "dataplane/iface.h"
#include "dataplane/policy.h"
#include "dataplane/port.h"
#include "dataplane/sad.h"
#include "dataplane/stages.h"
#include "dataplane/tunnel.h"

enum {
	FLOWS = 32768, // a power of 2
	WAYS = 1024,   // next hops
	WAY_NONE = UINT16_MAX,
	FROM_INNER = 0xffff, // where a flow comes from: this, or a port's index and one more
	GROUPS_SEARCHED = 8, // as in esp_out.c
	AHEAD = 4,	     // packets whose first line is fetched while another one is looked at
};

#define MAC_MASK UINT64_C(0xffffffffffff)

struct flow_entry {	   // two of them share a line, and are where a flow may be
	uint64_t addrs;	   // source and destination as they stand in the packet
	uint64_t rest;	   // ports, protocol, where it came from; what no rule asks for is zero
	struct sa_out *sa; // NULL: leaves as it is
	uint32_t epoch;
	uint16_t way; // WAY_NONE: the stages', all of it
	uint16_t mtu; // bytes of packet
};

struct way { // a next hop
	uint8_t header[RTE_ETHER_HDR_LEN];
	uint16_t device; // index of the port whose device it is
};

struct known {
	_Alignas(64) struct flow_entry flow[FLOWS];
	struct way way[WAYS];
	uint32_t n_ways, epoch;
	uint64_t rest_mask; // of the policies of this epoch
	uint32_t own_be;    // an own address, 0: none seen in this epoch
};

// One packet on its short way.
struct going {
	struct rte_mbuf *m;
	uint8_t *ip;
	struct sa_out *sa; // NULL: leaves as it is
	uint16_t len;	   // bytes of IP packet
	uint16_t mtu;	   // as in the flow's entry
	uint16_t way;
	uint8_t group; // with an SA
};

struct known *known_create(void)
{
	struct known *k = aligned_alloc(64, (sizeof(*k) + 63) / 64 * 64);

	_Static_assert(sizeof(struct flow_entry) == 32, "two share a line");
	if (k != NULL)
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

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint16_t load16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

// RFC 1071 2: the sum in any order and width. Right when it is all ones.
static inline bool checksum4_good(const uint8_t *ip)
{
	const uint64_t a = load64(ip), b = load64(ip + 8);
	uint64_t sum = (a >> 32) + (uint32_t)a + (b >> 32) + (uint32_t)b + load32(ip + 16);

	sum = (sum >> 32) + (uint32_t)sum;
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return sum == 0xffff;
}

// A header without options, whole, of no fragment, with a hop left, in `room` bytes.
static inline bool is_ordinary4(const uint8_t *ip, unsigned room)
{
	const unsigned len = rte_be_to_cpu_16(load16(ip + 2));

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
	const bool ports = has_ports(ip) && len >= sizeof(struct rte_ipv4_hdr) + 4;
	const uint64_t mask = w->known->rest_mask;

	if (ip[9] == IPPROTO_TCP && w->dp->clamp_mss && (len < 34 || (ip[33] & 2) != 0))
		return false;
	*rest = (uint64_t)from << 40 |
		(((uint64_t)ip[9] << 32 | (ports ? load32(ip + 20) : 0)) & mask);
	return ports || mask == 0;
}

// ---- the table ----

static inline struct flow_entry *set_of(struct known *k, uint64_t addrs, uint64_t rest)
{
	const uint64_t h = rte_hash_crc_8byte(rest, rte_hash_crc_8byte(addrs, 0x9e3779b9));

	return &k->flow[h * 2 & (FLOWS - 1)];
}

static inline struct flow_entry *find(const struct known *k, struct flow_entry *set, uint64_t addrs,
				      uint64_t rest)
{
	for (unsigned i = 0; i < 2; i++)
		if (set[i].addrs == addrs && set[i].rest == rest && set[i].epoch == k->epoch)
			return &set[i];
	return NULL;
}

// A new epoch makes all that is in the table old.
static void begin(struct worker *w)
{
	struct known *k = w->known;
	const uint32_t epoch = dp_epoch(w->dp);

	if (likely(epoch == k->epoch))
		return;
	if (epoch < k->epoch) // an old entry might look new again
		memset(k->flow, 0, sizeof(k->flow));
	k->epoch = epoch;
	k->n_ways = 0;
	k->own_be = 0;
	k->rest_mask = atomic_load_explicit(&w->dp->policies, memory_order_acquire)->by_address
			       ? 0
			       : UINT64_C(0xffffffffff);
}

// The number of a way, WAY_NONE when there are too many, or its port is none for the short way.
static uint16_t way_to(struct worker *w, uint32_t dst_be, uint16_t *mtu)
{
	struct known *k = w->known;
	const uint16_t type_be = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	const struct port *port;
	struct fib_hop hop;
	struct way way;
	uint16_t i;

	if (fib_lookup(w->dp->fib, dst_be, &hop) != FIB_OK)
		return WAY_NONE;
	port = &w->dp->ports[hop.port];
	if (w->dp->ports[port->device_port].vlans != NULL)
		return WAY_NONE;
	memcpy(way.header, &hop.mac, RTE_ETHER_ADDR_LEN);
	memcpy(way.header + RTE_ETHER_ADDR_LEN, port->mac.bytes, RTE_ETHER_ADDR_LEN);
	memcpy(way.header + 2 * RTE_ETHER_ADDR_LEN, &type_be, sizeof(type_be));
	way.device = (uint16_t)port->device_port;
	*mtu = port->mtu;
	for (i = 0; i < k->n_ways; i++)
		if (memcmp(&k->way[i], &way, sizeof(way)) == 0)
			return i;
	if (i == WAYS)
		return WAY_NONE;
	k->way[k->n_ways++] = way;
	return i;
}

static bool selectors_by_address(const struct esp_selectors *s)
{
	bool names = esp_selectors_name_ports(s);

	for (unsigned i = 0; i < s->n_local; i++)
		names |= esp_selectors_pair(s, i)->local.proto != 0;
	for (unsigned i = 0; i < s->n_remote; i++)
		names |= esp_selectors_pair(s, i)->remote.proto != 0;
	return !names;
}

// Into a tunnel, as policy_out() has found it.
static void learn_tunnel(struct worker *w, struct flow_entry *e, const struct tunnel *t,
			 const struct flow *f)
{
	struct sa_out *sa = tunnel_sa(t);
	uint16_t port_mtu;

	if (sa == NULL || sa->v6 || sa->transport || sa->tfc_padding != 0 ||
	    !esp_selectors_match(&sa->ts, f->src, f->src_port, f->dst, f->dst_port, f->proto,
				 f->ports) ||
	    (w->known->rest_mask == 0 && !selectors_by_address(&sa->ts)))
		return;
	e->mtu = sa_out_inner_mtu(sa, sa_out_path_mtu(w->dp, sa));
	if (e->mtu == 0)
		return;
	e->sa = sa;
	e->way = way_to(w, sa->remote_be, &port_mtu);
}

// The port that the way out leads to, as of policy_port().
static uint32_t port_out(const struct worker *w, uint32_t dst_be)
{
	struct fib_hop hop;

	return fib_lookup(w->dp->fib, dst_be, &hop) == FIB_NO_ROUTE ? policy_port(UINT16_MAX)
								    : policy_port(hop.port);
}

// What the stages would make of an ordinary packet of the flow, if that is something ordinary.
// `from` as in the flow's entry.
static void learn(struct worker *w, struct flow_entry *e, const uint8_t *ip, unsigned len,
		  unsigned from)
{
	const struct policies *p = atomic_load_explicit(&w->dp->policies, memory_order_acquire);
	const struct flow f = flow_of((const struct rte_ipv4_hdr *)(const void *)ip, len);
	const uint32_t dst_be = load32(ip + 16);
	const struct policy_entry *v;
	bool inner = from == FROM_INNER;

	// classify(), classify_inner()
	if (f.src >> 24 == 127 || f.dst >> 24 == 127 || f.src >= INADDR_UNSPEC_GROUP ||
	    f.dst >= INADDR_UNSPEC_GROUP || f.dst == 0)
		return;
	// policy_in_clear()
	v = inner ? NULL : policy_find_in(p, &f, policy_port(from - 1));
	if (v != NULL && v->action != DP_BYPASS)
		return;
	inner |= v != NULL; // passes without a policy, like what came out of a tunnel
	// policy_out()
	v = policy_find_out(p, &f, p->by_port ? port_out(w, dst_be) : POLICY_ALL_PORTS);
	if (v != NULL ? v->action == DP_DISCARD : !inner)
		return;
	if (v != NULL && v->action == DP_PROTECT)
		learn_tunnel(w, e, v->tunnel, &f);
	else
		e->way = way_to(w, dst_be, &e->mtu);
}

// The flow's entry, new if need be; NULL when its packets are the stages'.
static inline struct flow_entry *know(struct worker *w, struct flow_entry *set, uint64_t addrs,
				      uint64_t rest, const uint8_t *ip, unsigned len)
{
	struct flow_entry *e = find(w->known, set, addrs, rest);

	if (unlikely(e == NULL)) {
		// Strangers who write to us push no flow out.
		if (fib_is_local(w->dp->fib, load32(ip + 16)))
			return NULL;
		e = set;
		if (set[0].epoch == w->known->epoch) // the older one goes
			set[1] = set[0];
		*e = (struct flow_entry){
			.addrs = addrs, .rest = rest, .epoch = w->known->epoch, .way = WAY_NONE};
		learn(w, e, ip, len, (unsigned)(rest >> 40));
	}
	return e->way != WAY_NONE ? e : NULL;
}

// ---- the short way ----

// Fetches what a packet needs of its SA.
static inline void fetch_sa(const struct sa_out *sa)
{
	if (sa == NULL)
		return;
	rte_prefetch0(sa);
	rte_prefetch0((const void *)(uintptr_t)&sa->seq);
	crypto_key_prefetch(&sa->key);
}

// The packet's place among those that go. False: too large, or without room.
static inline bool admit(struct going *g, struct rte_mbuf *m, uint8_t *ip, unsigned len,
			 const struct flow_entry *e)
{
	struct sa_out *sa = e->sa;
	const unsigned front = (unsigned)(ip - (uint8_t *)m->buf_addr);

	if (unlikely(len > e->mtu))
		return false;
	*g = (struct going){
		.m = m, .ip = ip, .sa = sa, .len = (uint16_t)len, .mtu = e->mtu, .way = e->way};
	if (sa == NULL)
		return front >= RTE_ETHER_HDR_LEN;
	// The outer headers of IPv4, the longest head of ESP; padding, trailer, the longest ICV.
	return front >= RTE_ETHER_HDR_LEN + SA_OUT_OUTER4_MAX + CRYPTO_HEAD_MAX &&
	       front + len + 16 + ESP_TRAILER_LEN + CRYPTO_ICV_MAX <= m->buf_len;
}

// Gives every packet with an SA its group.
static unsigned make_groups(struct going *go, unsigned n, struct esp_group *group)
{
	int last = -1;

	for (unsigned i = 0; i < n; i++) {
		struct sa_out *sa = go[i].sa;
		int k = last;

		if (sa == NULL)
			continue;
		while (k >= 0 && k > last - GROUPS_SEARCHED && group[k].sa != sa)
			k--;
		if (k < 0 || k <= last - GROUPS_SEARCHED) {
			k = ++last;
			group[k] = (struct esp_group){.sa = sa};
		}
		group[k].n++;
		group[k].bytes += go[i].len;
		go[i].group = (uint8_t)k;
	}
	return (unsigned)(last + 1);
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
		const struct way *way = &w->known->way[go[i].way];
		struct tx_buffer *tx = &w->tx[way->device];

		tx->pkt[tx->n++] = go[i].m;
		if (tx->n == BATCH_MAX)
			tx_flush_port(w, way->device);
	}
}

// Hop, headers, encryption, and off.
static void go_on(struct worker *w, struct going *go, unsigned n)
{
	struct esp_group group[BATCH_MAX];
	struct crypto_job job[BATCH_MAX];
	unsigned jobs = 0, kept = 0;
	const unsigned groups = make_groups(go, n, group);

	for (unsigned k = 0; k < groups; k++)
		esp_group_take(w, &group[k], false);
	for (unsigned i = 0; i < n; i++) {
		const struct way *way = &w->known->way[go[i].way];
		struct sa_out *sa = go[i].sa;
		uint8_t *start = go[i].ip;
		unsigned len = go[i].len;

		count_hop(start);
		if (sa != NULL) {
			struct esp_group *g = &group[go[i].group];
			const uint64_t seq = g->seq++;

			if (unlikely(g->over)) {
				const enum drop_reason reason =
					esp_group_admit(w, g, seq, false, len);

				if (reason != DROP_REASON_COUNT) {
					set_mbuf(go[i].m, start, len);
					drop(w, go[i].m, reason);
					continue;
				}
			}
			len = esp_wrap_at(sa, &start, len, esp_inner_of(sa, go[i].mtu, start, len),
					  0, seq, &job[jobs++]);
		}
		start -= RTE_ETHER_HDR_LEN;
		memcpy(start, way->header, RTE_ETHER_HDR_LEN);
		set_mbuf(go[i].m, start, len + RTE_ETHER_HDR_LEN);
		go[kept++] = go[i];
	}
	stage_end(&w->times, STAGE_KNOWN_WRAP);
	crypto_seal(w->crypto, job, jobs);
	counter_add(&w->esp_out_packets, jobs);
	w->traffic += jobs;
	stage_end(&w->times, STAGE_KNOWN_SEAL);
	send_off(w, go, kept);
	stage_end(&w->times, STAGE_KNOWN_SEND);
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

// A frame as it came: an ordinary packet for one of us to forward, ESP for us, or the stages'.
static inline enum kind kind_of(struct worker *w, const struct port *port, const struct rte_mbuf *m)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	const uint8_t *ip = frame + RTE_ETHER_HDR_LEN;
	uint64_t mac = 0;

	memcpy(&mac, port->mac.bytes, RTE_ETHER_ADDR_LEN);
	if (m->data_len < RTE_ETHER_HDR_LEN + sizeof(struct rte_ipv4_hdr) ||
	    !esp_mbuf_writable(m) ||
	    (m->ol_flags & (RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED)) != 0 ||
	    ((load64(frame) ^ mac) & MAC_MASK) != 0 ||
	    ((load64(frame + RTE_ETHER_ADDR_LEN) ^ mac) & MAC_MASK) == 0 ||
	    load16(frame + 2 * RTE_ETHER_ADDR_LEN) != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) ||
	    !is_ordinary4(ip, m->data_len - (unsigned)RTE_ETHER_HDR_LEN))
		return OTHER;
	if (ip[9] != IPPROTO_ESP)
		return CLEAR;
	if (ip[12] == 127 || ip[12] >= 224 || !is_own(w, load32(ip + 16)))
		return OTHER;
	return ESP;
}

static inline void put_esp(const struct batch *in, uint16_t i, struct batch *esp)
{
	struct rte_mbuf *m = in->pkt[i];
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *) + RTE_ETHER_HDR_LEN;

	m->data_off = (uint16_t)(m->data_off + RTE_ETHER_HDR_LEN);
	m->data_len = rte_be_to_cpu_16(load16(ip + 2));
	m->pkt_len = m->data_len;
	batch_append(esp, in, i);
}

static inline void fetch_ahead(const struct batch *b, unsigned i)
{
	if (i < b->n)
		rte_prefetch0(rte_pktmbuf_mtod(b->pkt[i], const void *));
}

void known_frames(struct worker *w, struct batch *in, struct batch *esp)
{
	struct known *k = w->known;
	struct flow_entry *set[BATCH_MAX];
	uint64_t addrs[BATCH_MAX], rest[BATCH_MAX];
	struct going go[BATCH_MAX];
	uint8_t kind[BATCH_MAX];
	uint16_t kept = 0;
	unsigned n = 0;

	begin(w);
	for (uint16_t i = 0; i < in->n; i++) {
		const uint8_t *ip =
			rte_pktmbuf_mtod(in->pkt[i], const uint8_t *) + RTE_ETHER_HDR_LEN;
		const struct port *port = &w->dp->ports[in->port[i]];

		fetch_ahead(in, i + AHEAD);
		kind[i] = (uint8_t)(port->vlans != NULL ? OTHER : kind_of(w, port, in->pkt[i]));
		if (kind[i] == ESP)
			put_esp(in, i, esp);
		if (kind[i] != CLEAR)
			continue;
		addrs[i] = load64(ip + 12);
		if (!rest_of(w, ip, rte_be_to_cpu_16(load16(ip + 2)), in->port[i] + 1u, &rest[i])) {
			kind[i] = OTHER;
			continue;
		}
		set[i] = set_of(k, addrs[i], rest[i]);
		rte_prefetch0(set[i]);
	}
	for (uint16_t i = 0; i < in->n; i++) {
		uint8_t *ip = rte_pktmbuf_mtod(in->pkt[i], uint8_t *) + RTE_ETHER_HDR_LEN;
		const struct flow_entry *e;
		unsigned len;

		if (kind[i] == CLEAR) {
			len = rte_be_to_cpu_16(load16(ip + 2));
			e = know(w, set[i], addrs[i], rest[i], ip, len);
			if (e != NULL && admit(&go[n], in->pkt[i], ip, len, e)) {
				fetch_sa(go[n++].sa);
				continue;
			}
		}
		if (kind[i] != ESP)
			batch_keep(in, kept++, i);
	}
	in->n = kept;
	w->traffic += n;
	stage_end(&w->times, STAGE_KNOWN_LOOK);
	if (n > 0)
		go_on(w, go, n);
}

void known_inner(struct worker *w, struct batch *b)
{
	struct known *k = w->known;
	struct going go[BATCH_MAX];
	uint16_t kept = 0;
	unsigned n = 0;

	begin(w);
	for (uint16_t i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->pkt[i];
		uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);
		const struct flow_entry *e;
		uint64_t addrs, rest;

		if (b->port[i] < DP_IFACE_FIRST && m->data_len >= sizeof(struct rte_ipv4_hdr) &&
		    is_ordinary4(ip, m->data_len) &&
		    rest_of(w, ip, m->data_len, FROM_INNER, &rest)) {
			addrs = load64(ip + 12);
			e = know(w, set_of(k, addrs, rest), addrs, rest, ip, m->data_len);
			if (e != NULL && admit(&go[n], m, ip, m->data_len, e)) {
				fetch_sa(go[n++].sa);
				continue;
			}
		}
		batch_keep(b, kept++, i);
	}
	b->n = kept;
	stage_end(&w->times, STAGE_KNOWN_LOOK);
	if (n > 0)
		go_on(w, go, n);
}
