#include "dataplane/esp_group.h"

#include "dataplane/dp_internal.h"

void esp_group_report(struct worker *w, _Atomic uint64_t *last_tsc, const struct dp_event *ev)
{
	uint64_t last = atomic_load_explicit(last_tsc, memory_order_relaxed);

	if (last != 0 && w->now_tsc - last < w->dp->tsc_hz / 1000 * TUNNEL_EVENT_MS)
		return;
	if (atomic_compare_exchange_strong_explicit(last_tsc, &last, w->now_tsc,
						    memory_order_relaxed, memory_order_relaxed))
		dp_event_put(w->dp, ev);
}

void esp_group_worn(struct worker *w, struct esp_group *g, uint64_t last, uint64_t bytes)
{
	struct sa_out *sa = g->sa;
	struct dp_event ev = {
		.type = DP_EV_SOFT_LIFE,
		.tunnel = sa->tunnel,
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
		esp_group_report(w, g->over ? &sa->hard_tsc : &sa->soft_tsc, &ev);
}

enum drop_reason esp_group_admit(struct worker *w, struct esp_group *g, uint64_t seq, bool dummy,
				 uint32_t len)
{
	struct sa_out *sa = g->sa;

	if (dummy)
		len = 0;

	// The bytes were taken by an atomic add, so all workers together never send more than is
	// allowed.
	g->bytes_end += len;
	if (seq <= sa->seq_hard && g->bytes_end <= sa->bytes_hard) {
		if (dummy)
			esp_group_add(w, &sa->uncounted, 1);
		else
			esp_group_used(w, sa);
		return DROP_REASON_COUNT;
	}
	esp_group_add(w, &sa->uncounted, 1);
	esp_group_add(w, &sa->bytes, -(uint64_t)len);
	// RFC 4303 3.3.3: the number never wraps; the SA is used up.
	return seq > sa_out_seq_max(sa) ? DROP_SEQ_EXHAUSTED : DROP_SA_LIFE;
}
