// Inbound ESP (RFC 4303 3.4, RFC 4301 5.2, RFC 3948): find the SA, check, decrypt, check again.
#include "dataplane/stages.h"

#include <string.h>

#include <rte_branch_prediction.h>

#include "dataplane/capture.h"
#include "dataplane/dp_internal.h"
#include "dataplane/esp.h"
#include "dataplane/esp_padding.h"
#include "dataplane/esp_transport.h"
#include "dataplane/iface.h"
#include "dataplane/outer.h"
#include "dataplane/pmtu.h"
#include "dataplane/sad.h"
#include "dataplane/tunnel.h"
#include "lib/tcp_mss.h"

#define ECN_DROP    0xff
#define UDP_HDR_LEN 8u
static bool is_ipv6(const struct rte_mbuf *m)
{
	return ip_is_v6(rte_pktmbuf_mtod(m, const void *));
}

// Looks at lengths only; the packet itself has not been authenticated. DROP_REASON_COUNT: good.
static enum drop_reason find_esp(struct rte_mbuf *m, struct esp_place *out)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct esp_front front = {0};
	unsigned outer_len, len;
	bool v6;

	if (!esp_mbuf_writable(m) || m->data_len < sizeof(*ip))
		return DROP_ESP_MALFORMED;
	v6 = is_ipv6(m);
	len = m->data_len;
	if (v6 && !esp_transport_front6((const uint8_t *)ip, len, &front))
		return DROP_ESP_MALFORMED;
	outer_len = v6 ? front.len : rte_ipv4_hdr_len(ip);
	if (outer_len < sizeof(*ip) || outer_len + UDP_HDR_LEN > len)
		return DROP_ESP_MALFORMED;
	// RFC 4303 3.4.1: fragments are put together before ESP, never handed to it.
	if (!v6 && (ip->fragment_offset &
		    rte_cpu_to_be_16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)) != 0)
		return DROP_FRAGMENT;
	len -= outer_len;
	out->udp = (v6 ? front.next : ip->next_proto_id) == IPPROTO_UDP;
	if (out->udp) {
		const uint8_t *udp = (const uint8_t *)ip + outer_len;
		const unsigned udp_len = flow_load16(udp + 4);

		// The checksum is zero or means nothing to us: the ICV says more (RFC 3948 2.1,
		// RFC 6935 5).
		if (udp_len < UDP_HDR_LEN || udp_len > len)
			return DROP_ESP_MALFORMED;
		if (udp_len == UDP_HDR_LEN + 1 && udp[UDP_HDR_LEN] == 0xff)
			return DROP_NATT_KEEPALIVE; // RFC 3948 2.3
		outer_len += UDP_HDR_LEN;
		len = udp_len - UDP_HDR_LEN;
	}
	if (len < ESP_LEN_MIN)
		return DROP_ESP_MALFORMED; // whatever its SA: length_fits() looks closer
	out->esp = rte_pktmbuf_mtod_offset(m, struct esp_hdr *, outer_len);
	out->spi = rte_be_to_cpu_32(out->esp->spi_be);
	out->outer_len = (uint16_t)outer_len;
	out->len = (uint16_t)len;
	out->tos = ip->type_of_service;
	if (v6)
		out->tos = (uint8_t)(ip->version_ihl << 4 | ip->type_of_service >> 4);
	return DROP_REASON_COUNT;
}

// True when this worker owns the SA. The first worker that meets an SA becomes its owner, so the
// replay window has one writer.
static bool own(const struct worker *w, struct sa_in *sa, uint32_t *owner)
{
	*owner = atomic_load_explicit(&sa->owner, memory_order_relaxed);
	if (*owner != SA_IN_NO_OWNER)
		return *owner == w->id;
	// On failure *owner is who came first.
	return atomic_compare_exchange_strong_explicit(&sa->owner, owner, w->id,
						       memory_order_relaxed, memory_order_relaxed);
}

// Bytes of text; what would be less than none is far beyond any packet's length.
static inline uint32_t text_len(const struct crypto_key *k, const struct esp_place *at)
{
	return at->len - (uint32_t)k->head_len - k->icv_len;
}

// RFC 4303 2.4: whole blocks, at least one of them, for the trailer.
static inline bool length_fits(const struct crypto_key *k, uint32_t len)
{
	return len - 1 < UINT16_MAX && (len & (k->align - 1u)) == 0;
}

// Step 1: form. Leaves packets with at[] set, and their SAs' slots on the way from memory.
static void esp_in_locate(struct worker *w, struct batch *b, struct esp_place *at)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < b->n; i++) {
		const enum drop_reason reason = find_esp(b->pkt[i], &at[kept]);

		if (reason != DROP_REASON_COUNT) {
			drop(w, b->pkt[i], reason);
			continue;
		}
		sad_prefetch_slot(w->dp->sad, at[kept].spi);
		batch_keep(b, kept++, i);
	}
	b->n = kept;
}

// Steps 2 to 4 for one packet: SA, owner, plausible sequence number. NULL: the packet has been
// dropped or handed over.
static inline struct sa_in *find_sa(struct worker *w, struct rte_mbuf *m, uint16_t port,
				    struct esp_place *at)
{
	// RFC 4301 4.1: for unicast the SPI alone names the SA.
	struct sa_in *sa = sad_lookup(w->dp->sad, at->spi);
	uint32_t owner;

	if (unlikely(sa == NULL)) {
		drop(w, m, DROP_ESP_NO_SA);
		return NULL;
	}
	if (unlikely(sa->udp_encap != at->udp && !sa->either_form)) {
		drop(w, m, DROP_ESP_ENCAP);
		return NULL;
	}
	if (unlikely(!length_fits(&sa->key, text_len(&sa->key, at)))) {
		drop(w, m, DROP_ESP_MALFORMED);
		return NULL;
	}
	if (unlikely(!own(w, sa, &owner))) {
		worker_handover(w, owner, m, port);
		return NULL;
	}
	at->seq = __builtin_bswap32(at->esp->seq_be);
	if (sa->key.esn)
		at->seq = replay_infer(&sa->replay, (uint32_t)at->seq);
	// RFC 4303 3.4.3: cheap test first; nothing is recorded before the ICV is good.
	if (unlikely(!replay_check(&sa->replay, at->seq))) {
		counter_add(&sa->replays, 1);
		drop(w, m, DROP_ESP_REPLAY);
		return NULL;
	}
	return sa;
}

// Steps 2 to 4. Leaves packets with b->sa[], at[] and their jobs set.
static void esp_in_check(struct worker *w, struct batch *b, struct esp_place *at,
			 struct crypto_job *job)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < b->n; i++) {
		struct sa_in *sa = find_sa(w, b->pkt[i], b->port[i], &at[i]);

		if (sa == NULL)
			continue;
		rte_prefetch0(replay_word(&sa->replay, at[i].seq));
		crypto_job_set(&job[kept], &sa->key, (uint8_t *)at[i].esp,
			       text_len(&sa->key, &at[i]), (uint32_t)(at[i].seq >> 32));
		if (kept != i)
			at[kept] = at[i];
		batch_keep(b, kept, i);
		b->sa[kept++] = sa;
	}
	b->n = kept;
}

// Step 7: takes padding and trailer off. On success *len is what they leave.
static enum drop_reason check_trailer(const struct sa_in *sa, const struct crypto_job *job,
				      uint32_t *len)
{
	const uint8_t next_header = job->text[job->text_len - 1];
	const uint32_t pad_len = job->text[job->text_len - 2];

	if (unlikely(pad_len + ESP_TRAILER_LEN > job->text_len ||
		     !esp_padding_good(job->text + job->text_len - ESP_TRAILER_LEN, pad_len)))
		return DROP_ESP_PADDING;
	if (next_header == ESP_NEXT_HEADER_DUMMY)
		return DROP_ESP_DUMMY; // RFC 4303 2.6
	// In transport mode these two are IP in IP like any other protocol: the SA's mode, not the
	// packet, says what it is.
	if (!sa->transport && next_header != ESP_NEXT_HEADER_IPV4 &&
	    next_header != ESP_NEXT_HEADER_IPV6)
		return DROP_ESP_NEXT_HEADER;
	*len = job->text_len - ESP_TRAILER_LEN - pad_len;
	return DROP_REASON_COUNT;
}

// RFC 6040 4.2: what the inner packet's ECN field becomes; row: inner, column: outer.
static const uint8_t ecn_in[4][4] = {
	// outer: Not-ECT, ECT(1), ECT(0), CE
	{0, 0, 0, ECN_DROP}, // Not-ECT
	{1, 1, 1, 3},	     // ECT(1)
	{2, 1, 2, 3},	     // ECT(0)
	{3, 3, 3, 3},	     // CE
};

// RFC 1624: the checksum follows the one word that changed.
static __rte_noinline void set_tos(struct rte_ipv4_hdr *ip, uint8_t tos)
{
	uint32_t sum = (uint16_t)~ip->hdr_checksum;

	sum += (uint16_t) ~((unsigned)ip->type_of_service << 8);
	sum += (unsigned)tos << 8;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip->hdr_checksum = (uint16_t)~sum;
	ip->type_of_service = tos;
}

// Steps 8 to 10: a well-formed inner packet, selectors, congestion marks and DSCP. Its own length
// counts: what lies behind it is traffic flow confidentiality padding (RFC 4303 2.7).
static enum drop_reason check_inner4(const struct sa_in *sa, struct rte_ipv4_hdr *ip, uint32_t len,
				     uint8_t outer_tos, uint16_t *inner_len)
{
	uint32_t total_len;
	uint8_t ecn, tos;

	if (len < sizeof(*ip) || ip->version_ihl >> 4 != 4 || rte_ipv4_hdr_len(ip) < sizeof(*ip))
		return DROP_ESP_INNER;
	total_len = rte_be_to_cpu_16(ip->total_length);
	if (total_len < rte_ipv4_hdr_len(ip) || total_len > len)
		return DROP_ESP_INNER;
	// RFC 4301 5.2 step 4: the packet must be one that this SA was made for.
	if (!esp_selectors_match_in(&sa->ts, ip, total_len))
		return DROP_ESP_SELECTOR;
	ecn = ecn_in[ip->type_of_service & OUTER_ECN_MASK][outer_tos & OUTER_ECN_MASK];
	if (ecn == ECN_DROP)
		return DROP_ESP_ECN;
	tos = outer_in_tos(sa->dscp_mask, (uint8_t)((ip->type_of_service & ~OUTER_ECN_MASK) | ecn),
			   outer_tos);
	if (unlikely(tos != ip->type_of_service))
		set_tos(ip, tos);
	*inner_len = (uint16_t)total_len;
	return DROP_REASON_COUNT;
}

// The same for IPv6, whose headers must be such that one can say what the packet carries.
static __rte_noinline enum drop_reason check_inner6(const struct sa_in *sa, uint8_t *ip,
						    uint32_t len, uint8_t outer_tos,
						    uint16_t *inner_len)
{
	const size_t total_len = ipv6_packet_len(ip, len);
	struct flow6 f;
	uint8_t ecn, tos;

	if (total_len == 0 || !flow6_of(ip, total_len, &f))
		return DROP_ESP_INNER;
	if (!esp_selectors_match6(&sa->ts, f.dst, f.dst_port, f.src, f.src_port, f.proto, f.ports))
		return DROP_ESP_SELECTOR;
	ecn = ecn_in[ip[1] >> 4 & OUTER_ECN_MASK][outer_tos & OUTER_ECN_MASK];
	if (ecn == ECN_DROP)
		return DROP_ESP_ECN;
	tos = (uint8_t)(ip[0] << 4 | ip[1] >> 4);
	tos = outer_in_tos(sa->dscp_mask, (uint8_t)((tos & ~OUTER_ECN_MASK) | ecn), outer_tos);
	ip[0] = (uint8_t)((ip[0] & 0xf0) | tos >> 4);
	ip[1] = (uint8_t)(tos << 4 | (ip[1] & 0x0f));
	*inner_len = (uint16_t)total_len;
	return DROP_REASON_COUNT;
}

// RFC 4303 2.6: the next header says which of the two it is; in transport mode, what it is. *packet
// is where the packet begins: in front of the text it may overwrite the outer header.
static enum drop_reason check_inner(const struct sa_in *sa, struct rte_mbuf *m,
				    const struct esp_place *in, const struct crypto_job *job,
				    uint32_t len, uint8_t **packet, uint16_t *inner_len)
{
	const uint8_t next_header = job->text[job->text_len - 1];

	*packet = job->text;
	if (sa->transport)
		return esp_transport_unwrap(sa, rte_pktmbuf_mtod(m, uint8_t *), in->outer_len,
					    in->udp, next_header, job->text, len, packet,
					    inner_len);
	if (next_header == ESP_NEXT_HEADER_IPV6)
		return check_inner6(sa, job->text, len, in->tos, inner_len);
	return check_inner4(sa, (struct rte_ipv4_hdr *)job->text, len, in->tos, inner_len);
}

// The SA has come to a limit with this packet: control is told which. False: a hard one.
static __rte_cold __rte_noinline bool life_left(struct worker *w, struct sa_in *sa, unsigned len)
{
	const uint64_t packets = counter_read(&sa->packets) + 1;
	const uint64_t bytes = counter_read(&sa->bytes) + len;
	const bool over = packets > sa->packets_hard || bytes > sa->bytes_hard;
	const bool by_packets = over ? packets > sa->packets_hard : packets >= sa->packets_check;
	const struct dp_event ev = {
		.type = over ? DP_EV_HARD_LIFE : DP_EV_SOFT_LIFE,
		.tunnel = sa->tunnel,
		.spi = sa->spi,
		.inbound = true,
		.why = by_packets ? DP_LIFE_PACKETS : DP_LIFE_BYTES,
	};
	uint64_t *last_tsc = over ? &sa->hard_tsc : &sa->soft_tsc;

	if (*last_tsc == 0 || w->now_tsc - *last_tsc >= w->dp->tsc_hz / 1000 * TUNNEL_EVENT_MS) {
		*last_tsc = w->now_tsc;
		dp_event_put(w->dp, &ev);
	}
	return !over;
}

// RFC 3948, RFC 7296 2.23: a NAT may give the peer another mapping at any time. Only its newest
// packet says where it is now: one that was held back and comes late says where it was.
static __rte_noinline void note_peer(struct worker *w, struct sa_in *sa, const struct rte_mbuf *m,
				     const struct esp_place *in)
{
	const uint8_t *outer = rte_pktmbuf_mtod(m, const uint8_t *);
	const struct rte_udp_hdr *udp;
	struct dp_event ev;
	uint64_t from;

	if (in->seq != sa->replay.top)
		return;
	udp = (const void *)(outer + in->outer_len - UDP_HDR_LEN);
	from = is_ipv6(m) ? sa_in_peer6(outer + 8, udp->src_port)
			  : sa_in_peer(((const struct rte_ipv4_hdr *)(const void *)outer)->src_addr,
				       udp->src_port);
	if (likely(from == atomic_load_explicit(&sa->peer, memory_order_relaxed)) ||
	    (sa->moved_tsc != 0 &&
	     w->now_tsc - sa->moved_tsc < w->dp->tsc_hz / 1000 * TUNNEL_EVENT_MS))
		return;
	sa->moved_tsc = w->now_tsc;
	ev = (struct dp_event){
		.type = DP_EV_PEER_MOVED,
		.tunnel = sa->tunnel,
		.spi = sa->spi,
		.inbound = true,
		.peer = {is_ipv6(m) ? ip_addr_from_bytes(outer + 8, 16)
				    : ip_addr_from_bytes(outer + 12, 4),
			 rte_be_to_cpu_16(udp->src_port)},
	};
	dp_event_put(w->dp, &ev);
}

// What the two ends of a TCP connection agree on has to fit our way back to where this came from.
static __rte_noinline void clamp_mss(const struct worker *w, const struct sa_in *sa,
				     const uint8_t *outer, const struct esp_place *in,
				     uint8_t *packet, uint16_t len)
{
	const struct rte_ipv4_hdr *outer4 = (const struct rte_ipv4_hdr *)(const void *)outer;
	uint16_t path_mtu, mtu;

	path_mtu = ip_is_v6(outer) ? pmtu6_to(w->dp, outer + IPV6_SRC_AT)
				   : pmtu_to(w->dp, outer4->src_addr);
	mtu = esp_inner_mtu(&sa->key, in->outer_len, path_mtu);
	if (sa->transport && mtu != 0) // the header in front is the packet's own
		mtu = (uint16_t)(mtu + in->outer_len - (in->udp ? UDP_HDR_LEN : 0));
	tcp_mss_clamp(packet, len, mtu);
}

// Steps 6 to 10 for one packet whose job is done. DROP_REASON_COUNT: good, and bare.
static enum drop_reason accept_one(struct worker *w, struct sa_in *sa, struct rte_mbuf *m,
				   const struct esp_place *in, const struct crypto_job *job)
{
	enum drop_reason reason;
	uint16_t inner_len;
	uint8_t *packet;
	uint32_t len;

	if (job->status != CRYPTO_OK) {
		counter_add(&sa->auth_failures, 1);
		return DROP_ESP_AUTH;
	}
	// Checked again, not only before decryption: two copies of one packet can share a batch.
	if (!sa_in_accept(sa, in->seq))
		return DROP_ESP_REPLAY;
	if (in->udp)
		note_peer(w, sa, m, in);
	reason = check_trailer(sa, job, &len);
	// A dummy says that the peer lives, not that somebody uses the SA.
	atomic_store_explicit(reason == DROP_ESP_DUMMY ? &sa->dummy_tsc : &sa->last_tsc, w->now_tsc,
			      memory_order_relaxed);
	if (reason != DROP_REASON_COUNT)
		return reason;
	reason = check_inner(sa, m, in, job, len, &packet, &inner_len);
	if (reason != DROP_REASON_COUNT)
		return reason;
	if (unlikely(sa_in_near_limit(sa, inner_len)) && !life_left(w, sa, inner_len))
		return DROP_SA_LIFE;

	// The outer header still stands in front; in transport mode it is the packet's.
	if (w->dp->clamp_mss && tcp_is_syn(packet, inner_len))
		clamp_mss(w, sa, sa->transport ? packet : rte_pktmbuf_mtod(m, const uint8_t *), in,
			  packet, inner_len);
	m->data_off = (uint16_t)(packet - (uint8_t *)m->buf_addr);
	m->data_len = inner_len;
	m->pkt_len = inner_len;
	esp_mbuf_forget_headers(m);
	sa_in_count(sa, inner_len);
	return DROP_REASON_COUNT;
}

// A packet that is dropped from here on has been decrypted in place. A capture shows what was
// inside; where the integrity check failed, only the headers: what follows them is neither what
// came in, nor anything that the peer has said, but may tell of the key stream.
static void show_inside(struct rte_mbuf *m, const struct esp_place *in,
			const struct crypto_job *job)
{
	const uint16_t headers = (uint16_t)(in->outer_len + sizeof(struct esp_hdr));
	const uint16_t front = (uint16_t)(in->outer_len + job->key->head_len);

	if (job->status != CRYPTO_OK) {
		m->data_len = headers; // and pkt_len stays: it is cut
		return;
	}
	m->data_off = (uint16_t)(m->data_off + front);
	m->data_len = (uint16_t)job->text_len;
	m->pkt_len = m->data_len;
}

void esp_in_open(struct worker *w, struct batch *b, struct esp_place *at, struct crypto_job *job)
{
	esp_in_check(w, b, at, job);
	stage_end(&w->times, STAGE_ESP_IN_CHECK);
	crypto_open(w->crypto, job, b->n); // step 5; every job is finished on return
	stage_end(&w->times, STAGE_ESP_IN_OPEN);
}

void esp_in_accept(struct worker *w, struct batch *b, const struct esp_place *at,
		   const struct crypto_job *job)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->pkt[i];
		const enum drop_reason reason = accept_one(w, b->sa[i], m, &at[i], &job[i]);

		if (unlikely(reason != DROP_REASON_COUNT)) {
			if (worker_captures(w))
				show_inside(m, &at[i], &job[i]);
			drop(w, m, reason);
			continue;
		}
		if (unlikely(b->sa[i]->iface != DP_IFACE_NONE)) { // as received there
			b->port[i] = b->sa[i]->iface;
			iface_count_in(w, b->port[i], m->pkt_len);
		}
		m->port = b->port[i]; // ours, not DPDK's
		b->origin[i] = FROM_TUNNEL;
		b->from_linux[i] = true;
		batch_keep(b, kept++, i);
	}
	b->n = kept;
	if (worker_captures(w))
		capture_batch(w, DP_CAPTURE_PLAIN_IN, b);
	counter_add(&w->esp_in_packets, kept);
	stage_end(&w->times, STAGE_ESP_IN_ACCEPT);
}

void esp_in(struct worker *w, struct batch *b)
{
	struct esp_place at[BATCH_MAX];
	struct crypto_job job[BATCH_MAX];

	esp_in_locate(w, b, at);
	for (uint16_t i = 0; i < b->n; i++)
		sad_prefetch_of(w->dp->sad, at, i);
	esp_in_open(w, b, at, job);
	esp_in_accept(w, b, at, job);
}
