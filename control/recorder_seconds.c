#include "control/recorder_priv.h"

#include <string.h>

static const char *const drops[] = {
#define X(id, name) name,
	RECORD_DROPS(X)
#undef X
};

// No default: a new reason has to be put somewhere, or the compiler says so.
enum record_drop record_drop_group(enum drop_reason reason)
{
	switch (reason) {
	case DROP_RX_MALFORMED:
	case DROP_RX_SCOPE:
		return RECORD_DROP_BAD;
	case DROP_NO_POLICY:
	case DROP_POLICY_DISCARD:
	case DROP_CLEAR_INBOUND:
	case DROP_OUT_SELECTOR:
	case DROP_OUT_NOT_OWN:
		return RECORD_DROP_POLICY;
	case DROP_NO_SA:
	case DROP_NO_SA_TIMEOUT:
	case DROP_NO_SA_FULL:
	case DROP_SEQ_EXHAUSTED:
	case DROP_SA_LIFE:
		return RECORD_DROP_NO_SA;
	case DROP_TTL_EXCEEDED:
	case DROP_NO_ROUTE:
	case DROP_TUNNEL_LOOP:
	case DROP_NO_NEIGHBOUR:
	case DROP_HOLD_FULL:
		return RECORD_DROP_ROUTE;
	case DROP_TOO_BIG:
	case DROP_FRAGMENT:
		return RECORD_DROP_SIZE;
	case DROP_ESP_NO_SA:
	case DROP_ESP_ENCAP:
		return RECORD_DROP_ESP_NO_SA;
	case DROP_ESP_AUTH:
		return RECORD_DROP_ESP_AUTH;
	case DROP_ESP_REPLAY:
		return RECORD_DROP_ESP_REPLAY;
	case DROP_ESP_MALFORMED:
	case DROP_ESP_PADDING:
	case DROP_ESP_NEXT_HEADER:
	case DROP_ESP_INNER:
	case DROP_ESP_SELECTOR:
	case DROP_ESP_ECN:
		return RECORD_DROP_ESP_OTHER;
	case DROP_GUARD_MALFORMED:
	case DROP_GUARD_LIMITED:
	case DROP_GUARD_UNREPEATED:
		return RECORD_DROP_GUARD;
	case DROP_HANDOVER_FULL:
	case DROP_CRYPTO:
	case DROP_NO_MBUF:
	case DROP_PUNT_FULL:
	case DROP_PUNT_WRITE:
	case DROP_TX_FULL:
		return RECORD_DROP_OVERLOAD;
	case DROP_RX_OTHER_MAC:
	case DROP_RX_VLAN:
	case DROP_ESP_DUMMY:
	case DROP_NATT_KEEPALIVE:
	case DROP_REASON_COUNT:
		break;
	}
	return RECORD_DROP_HARMLESS;
}

const char *record_drop_name(enum record_drop group)
{
	return drops[group];
}

static void add(uint32_t *to, uint64_t n)
{
	*to = n > UINT32_MAX - *to ? UINT32_MAX : *to + (uint32_t)n;
}

// A counter that went back (of a port that is gone, say) counts as none.
static void count(uint32_t *to, uint64_t now, uint64_t before)
{
	if (now > before)
		add(to, now - before);
}

static uint8_t percent(uint64_t busy, uint64_t idle)
{
	const uint64_t all = busy + idle;

	return all ? (uint8_t)((double)busy * 100 / (double)all + 0.5) : 0;
}

static void fill(struct record_second *s, const struct record_totals *now,
		 const struct record_totals *old)
{
	for (unsigned i = 0; i < GUARD_FATE_COUNT; i++)
		count(&s->guard[i], now->guard[i], old->guard[i]);
	for (unsigned i = 0; i < DROP_REASON_COUNT; i++)
		count(&s->drops[record_drop_group((enum drop_reason)i)], now->drops[i],
		      old->drops[i]);
	count(&s->rx_packets, now->rx_packets, old->rx_packets);
	count(&s->tx_packets, now->tx_packets, old->tx_packets);
	count(&s->rx_missed, now->rx_missed, old->rx_missed);
	count(&s->tx_errors, now->tx_errors, old->tx_errors);
	count(&s->to_linux, now->to_linux, old->to_linux);
	count(&s->from_linux, now->from_linux, old->from_linux);
	count(&s->esp_in, now->esp_in, old->esp_in);
	count(&s->esp_out, now->esp_out, old->esp_out);
	count(&s->ike_in, now->ike_in, old->ike_in);
	count(&s->ike_out, now->ike_out, old->ike_out);
	count(&s->ike_errors, now->ike_errors, old->ike_errors);
	s->half_open = now->half_open;
	s->ike_sas = now->ike_sas;
	s->children = now->children;
	s->n_workers = (uint8_t)now->n_workers;
	for (unsigned i = 0; i < now->n_workers; i++)
		s->busy[i] = percent(now->busy[i] - old->busy[i], now->idle[i] - old->idle[i]);
}

void recorder_tick(struct recorder *r, int64_t now_ms, const struct record_totals *totals)
{
	const int64_t span = now_ms - r->tick_ms;

	if (r->tick_ms) {
		struct record_second *s;

		r->newest = (r->newest + 1) % LIMIT_RECORD_SECONDS;
		s = &r->second[r->newest];
		memset(s, 0, sizeof(*s));
		s->time_s = now_ms / 1000;
		s->span_ms = span > 0 && span < UINT32_MAX ? (uint32_t)span : 0;
		fill(s, totals, &r->totals);
		if (r->n_seconds < LIMIT_RECORD_SECONDS)
			r->n_seconds++;
	}
	r->totals = *totals;
	r->tick_ms = now_ms;
}

const struct record_second *recorder_second(const struct recorder *r, unsigned at)
{
	if (at >= r->n_seconds)
		return NULL;
	return &r->second[(r->newest + LIMIT_RECORD_SECONDS - at) % LIMIT_RECORD_SECONDS];
}

static void raise(uint32_t *to, uint32_t n)
{
	if (n > *to)
		*to = n;
}

unsigned recorder_seconds_sum(const struct recorder *r, unsigned n, struct record_second *out)
{
	unsigned at = 0;

	memset(out, 0, sizeof(*out));
	for (const struct record_second *s; at < n && (s = recorder_second(r, at)); at++) {
		if (at == 0)
			out->time_s = s->time_s;
		add(&out->span_ms, s->span_ms);
		for (unsigned i = 0; i < GUARD_FATE_COUNT; i++)
			add(&out->guard[i], s->guard[i]);
		for (unsigned i = 0; i < RECORD_DROP_COUNT; i++)
			add(&out->drops[i], s->drops[i]);
		add(&out->rx_packets, s->rx_packets);
		add(&out->tx_packets, s->tx_packets);
		add(&out->rx_missed, s->rx_missed);
		add(&out->tx_errors, s->tx_errors);
		add(&out->to_linux, s->to_linux);
		add(&out->from_linux, s->from_linux);
		add(&out->esp_in, s->esp_in);
		add(&out->esp_out, s->esp_out);
		add(&out->ike_in, s->ike_in);
		add(&out->ike_out, s->ike_out);
		add(&out->ike_errors, s->ike_errors);
		raise(&out->half_open, s->half_open);
		raise(&out->ike_sas, s->ike_sas);
		raise(&out->children, s->children);
		if (s->n_workers > out->n_workers)
			out->n_workers = s->n_workers;
		for (unsigned i = 0; i < s->n_workers; i++)
			if (s->busy[i] > out->busy[i])
				out->busy[i] = s->busy[i];
	}
	return at;
}
