#include "dataplane/capture.h"

#include <string.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_mbuf_dyn.h>

#include "dataplane/dp_internal.h"
#include "dataplane/sad.h"
#include "dataplane/tunnel.h"

// ---- marks ----

// The word of a mark: run of capture, state, number of the packet.
#define MARK_RUN_SHIFT	 48
#define MARK_STATE_SHIFT 46
#define MARK_NUMBER_MASK ((UINT64_C(1) << MARK_STATE_SHIFT) - 1)

enum mark_state {
	UNDECIDED, // the filter has not fitted yet
	FITS,	   // it has; sampled at the first copy
	LEFT_OUT,  // by the sampling
	FOLLOWED,
};

static int mark_offset = -1;

int capture_register(void)
{
	static const struct rte_mbuf_dynfield field = {
		.name = "port500_capture",
		.size = sizeof(struct capture_mark),
		.align = _Alignof(struct capture_mark),
	};

	if (mark_offset < 0)
		mark_offset = rte_mbuf_dynfield_register(&field);
	return mark_offset < 0 ? -rte_errno : 0;
}

static struct capture_mark *field_of(struct rte_mbuf *m)
{
	return (struct capture_mark *)((uintptr_t)m + (size_t)mark_offset);
}

static void begin(const struct capture_ring *r, struct capture_mark *mark)
{
	*mark = (struct capture_mark){
		.word = r->capture->run << MARK_RUN_SHIFT,
		.tunnel = PACKET_NO_TUNNEL,
	};
}

void capture_begin(const struct capture_ring *r, struct rte_mbuf *m)
{
	begin(r, field_of(m));
}

// The mark of a packet; a new one when what stands there is an earlier capture's.
static struct capture_mark *mark_of(const struct capture_ring *r, struct rte_mbuf *m)
{
	struct capture_mark *mark = field_of(m);

	if (mark->word >> MARK_RUN_SHIFT != r->capture->run)
		begin(r, mark);
	return mark;
}

static enum mark_state state_of(const struct capture_mark *mark)
{
	return (enum mark_state)(mark->word >> MARK_STATE_SHIFT & 3);
}

static void set_state(const struct capture_ring *r, struct capture_mark *mark,
		      enum mark_state state, uint64_t number)
{
	mark->word = r->capture->run << MARK_RUN_SHIFT | (uint64_t)state << MARK_STATE_SHIFT |
		     (number & MARK_NUMBER_MASK);
}

// ---- copies ----

struct sight { // a packet at a point
	enum dp_capture_point point;
	enum drop_reason reason;
	unsigned number; // port or tunnel interface
	bool ethernet;
};

static void consider(const struct capture_ring *r, struct rte_mbuf *m, const struct sight *s,
		     const uint8_t *peer, size_t peer_len)
{
	struct capture_mark *mark = mark_of(r, m);
	const uint8_t *data = rte_pktmbuf_mtod(m, const uint8_t *);
	struct packet_view view = {
		.ip = data,
		.len = m->data_len,
		.port = s->number,
		.tunnel = mark->tunnel,
		.spi = mark->spi,
		.peer = peer,
		.peer_len = peer_len,
	};

	if (state_of(mark) != UNDECIDED)
		return;
	if (s->ethernet)
		view.ip = packet_in_frame(data, m->data_len, &view.len);
	if (packet_filter_match(&r->capture->filter, &view))
		set_state(r, mark, FITS, 0);
}

// Is a copy to be taken? Decides about the sampling at the first one.
static bool follows(struct capture_ring *r, struct capture_mark *mark, const struct sight *s)
{
	if (r->capture->only_drops && s->point != DP_CAPTURE_DROP)
		return false;
	if (state_of(mark) == FITS) {
		const bool taken = r->passed++ % r->capture->sample == 0;

		// No two threads give the same number.
		set_state(r, mark, taken ? FOLLOWED : LEFT_OUT,
			  taken ? ++r->numbered * r->capture->n_rings + r->id : 0);
	}
	return state_of(mark) == FOLLOWED;
}

// The packet may lie in several buffers. Returns how many of the `len` bytes there were.
static uint32_t copy_data(uint8_t *to, const struct rte_mbuf *m, uint32_t len)
{
	uint32_t at = 0;

	for (; m && at < len; m = m->next) {
		const uint32_t n = RTE_MIN((uint32_t)m->data_len, len - at);

		memcpy(to + at, rte_pktmbuf_mtod(m, const uint8_t *), n);
		at += n;
	}
	return at;
}

static void put(struct capture_ring *r, struct rte_mbuf *m, const struct sight *s)
{
	const struct capture_mark *mark = field_of(m);
	const uint32_t limit = r->capture->snap_len ? r->capture->snap_len : UINT32_MAX;
	const uint32_t cap_len = RTE_MIN(m->pkt_len, limit);
	struct capture_record *rec = record_reserve(&r->records, sizeof(*rec) + cap_len);
	uint64_t lost;

	if (!rec)
		return;
	lost = record_lost(&r->records);
	*rec = (struct capture_record){
		.tsc = rte_rdtsc(),
		.id = mark->word & MARK_NUMBER_MASK,
		.len = m->pkt_len,
		.cap_len = copy_data((uint8_t *)(rec + 1), m, cap_len),
		.tunnel = mark->tunnel,
		.spi = mark->spi,
		.lost = (uint32_t)(lost - r->lost),
		.number = (uint16_t)s->number,
		.point = (uint8_t)s->point,
		.reason = (uint8_t)s->reason,
		.ethernet = s->ethernet,
	};
	r->lost = lost;
	record_commit(&r->records);
}

static void see(struct capture_ring *r, struct rte_mbuf *m, const struct sight *s)
{
	consider(r, m, s, NULL, 0);
	if (follows(r, field_of(m), s))
		put(r, m, s);
}

// ---- points ----

// ESP shows which SA it is for, and so which tunnel.
static void note_sa(const struct worker *w, struct rte_mbuf *m, struct capture_mark *mark)
{
	const uint8_t *ip;
	struct sa_in *sa;
	size_t len = 0;

	ip = packet_in_frame(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &len);
	if (!ip)
		return;
	mark->spi = packet_esp_spi(ip, len);
	sa = mark->spi ? sad_lookup(w->dp->sad, mark->spi) : NULL;
	if (sa)
		mark->tunnel = sa->tunnel;
	else
		mark->spi = 0; // of somebody else
}

void capture_received(struct worker *w, enum source_type type, const struct batch *b)
{
	struct capture_ring *r = capture_load(&w->capture);

	// What another worker has handed over was seen by it.
	if (!r || type == SOURCE_HANDOVER)
		return;
	for (uint16_t i = 0; i < b->n; i++) {
		const struct sight s = {
			.point = type == SOURCE_NIC ? DP_CAPTURE_RX : DP_CAPTURE_FROM_LINUX,
			.number = b->port[i],
			.ethernet = type != SOURCE_SELF && b->port[i] < DP_IFACE_FIRST,
		};

		begin(r, field_of(b->pkt[i]));
		if (type == SOURCE_NIC)
			note_sa(w, b->pkt[i], field_of(b->pkt[i]));
		if (type == SOURCE_SELF) // seen where it leaves
			consider(r, b->pkt[i], &s, NULL, 0);
		else
			see(r, b->pkt[i], &s);
	}
}

void capture_routed(struct worker *w, const struct batch *b)
{
	struct capture_ring *r = capture_load(&w->capture);

	for (uint16_t i = 0; r && i < b->n; i++) {
		const struct sight s = {.point = DP_CAPTURE_PLAIN_OUT, .number = b->port[i]};
		const struct sa_out *sa = tunnel_sa(b->tunnel[i]);
		struct capture_mark *mark = mark_of(r, b->pkt[i]);
		const uint8_t *peer = NULL;

		mark->tunnel = b->tunnel[i]->id;
		mark->spi = sa ? sa->spi : 0;
		if (sa)
			peer = sa->outer +
			       (sa->v6 ? SA_OUT_DST6 : offsetof(struct rte_ipv4_hdr, dst_addr));
		consider(r, b->pkt[i], &s, peer, !peer ? 0 : sa->v6 ? 16 : 4);
	}
}

void capture_batch(struct worker *w, enum dp_capture_point point, const struct batch *b)
{
	struct capture_ring *r = capture_load(&w->capture);

	for (uint16_t i = 0; r && i < b->n; i++) {
		const struct sight s = {.point = point, .number = b->port[i]};

		see(r, b->pkt[i], &s);
	}
}

void capture_frames(struct worker *w, enum dp_capture_point point, unsigned port,
		    struct rte_mbuf **pkt, unsigned n)
{
	struct capture_ring *r = capture_load(&w->capture);

	for (unsigned i = 0; r && i < n; i++) {
		const unsigned number = port == CAPTURE_BY_MBUF ? pkt[i]->port : port;
		const struct sight s = {
			.point = point,
			.number = number,
			.ethernet = number < DP_IFACE_FIRST,
		};

		see(r, pkt[i], &s);
	}
}

void capture_refused(struct capture_ring *r, enum drop_reason reason, bool frames,
		     struct rte_mbuf **pkt, unsigned n)
{
	for (unsigned i = 0; r && i < n; i++) {
		const struct sight s = {
			.point = DP_CAPTURE_DROP,
			.reason = reason,
			.number = pkt[i]->port,
			.ethernet = frames || pkt[i]->port < DP_IFACE_FIRST,
		};

		see(r, pkt[i], &s);
	}
}

void worker_capture_drop(struct worker *w, struct rte_mbuf *m, enum drop_reason reason,
			 bool ethernet)
{
	struct capture_ring *r = capture_load(&w->capture);
	const struct sight s = {
		.point = DP_CAPTURE_DROP,
		.reason = reason,
		.number = m->port,
		.ethernet = ethernet,
	};

	if (r)
		see(r, m, &s);
}

void capture_made(struct worker *w, struct rte_mbuf *m)
{
	const struct capture_ring *r = capture_load(&w->capture);

	if (unlikely(r != NULL))
		capture_begin(r, m);
}

void capture_inherit(struct worker *w, const struct rte_mbuf *from, struct rte_mbuf *m)
{
	if (unlikely(capture_load(&w->capture) != NULL))
		*field_of(m) = *field_of((struct rte_mbuf *)(uintptr_t)from);
}
