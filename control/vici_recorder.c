#include "control/vici_recorder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/daemon.h"
#include "lib/ike_wire.h"

static void put_u64(struct vici_builder *b, const char *key, uint64_t value)
{
	vici_kvf(b, key, "%" PRIu64, value);
}

// "2026-11-26T22:13:26.042Z"; nothing for 0.
static void put_time(struct vici_builder *b, const char *key, int64_t ms)
{
	time_t t = (time_t)(ms / 1000);
	char text[32];
	struct tm tm;

	if (ms > 0 && gmtime_r(&t, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm))
		vici_kvf(b, key, "%s.%03dZ", text, (int)(ms % 1000));
}

static void put_if(struct vici_builder *b, const char *key, const char *text)
{
	if (*text)
		vici_kv(b, key, text);
}

// ---- events ----

void vici_record_event_build(struct vici_builder *b, const struct record_event *e)
{
	char id[24];

	snprintf(id, sizeof(id), "%" PRIu64, e->id);
	vici_section(b, id);
	put_time(b, "time", e->time_ms);
	vici_kv(b, "kind", record_kind_name(e->kind));
	vici_kv(b, "level", record_level_name(e->level));
	put_if(b, "code", e->code);
	put_if(b, "ike", e->conn);
	put_if(b, "child", e->child);
	if (e->ike_id)
		put_u64(b, "ike-id", e->ike_id);
	if (e->took_ms != RECORD_UNKNOWN)
		put_u64(b, "took-ms", e->took_ms);
	if (e->stranger)
		vici_kv(b, "stranger", "yes");
	if (e->before)
		vici_kv(b, "before-start", "yes");
	vici_kv(b, "msg", e->text);
	vici_section_end(b);
}

static bool next_events(struct vici_session *s, struct vici_stream *st)
{
	const struct recorder *r = s->server->d->recorder;
	struct record_event e;

	while (r && recorder_event_after(r, st->cursor, &e)) {
		struct vici_builder b = {0};

		if (vici_session_full(s))
			return false;
		st->cursor = e.id;
		if ((*st->ike && strcmp(st->ike, e.conn) != 0) ||
		    (*st->child && strcmp(st->child, e.child) != 0))
			continue;
		vici_record_event_build(&b, &e);
		vici_session_event(s, VICI_EV_LIST_EVENT, &b);
	}
	return true;
}

enum vici_outcome vici_run_list_events(struct vici_session *s, const struct vici_request *req,
				       struct vici_builder *reply)
{
	struct vici_stream st = {.next = next_events};
	int64_t after = 0;

	if (!vici_request_text(req, "ike", st.ike, sizeof(st.ike)) ||
	    !vici_request_text(req, "child", st.child, sizeof(st.child)) ||
	    !vici_request_int(req, "after", &after) || after < 0) {
		vici_reply_result(reply, "malformed filter");
		return VICI_REPLY;
	}
	st.cursor = (uint64_t)after;
	s->stream = st;
	return vici_session_stream(s);
}

// ---- headers ----

static const char *exchange_name(uint8_t exchange)
{
	switch (exchange) {
	case EXCHANGE_IKE_SA_INIT:
		return "IKE_SA_INIT";
	case EXCHANGE_IKE_AUTH:
		return "IKE_AUTH";
	case EXCHANGE_CREATE_CHILD_SA:
		return "CREATE_CHILD_SA";
	case EXCHANGE_INFORMATIONAL:
		return "INFORMATIONAL";
	default:
		return NULL;
	}
}

static void put_spi(struct vici_builder *b, const char *key, const uint8_t spi[8])
{
	vici_kvf(b, key, "%02x%02x%02x%02x%02x%02x%02x%02x", spi[0], spi[1], spi[2], spi[3], spi[4],
		 spi[5], spi[6], spi[7]);
}

static void put_endpoint(struct vici_builder *b, const char *host, const char *port,
			 const struct ip_endpoint *e)
{
	char text[IP_ADDR_TEXT_MAX];

	vici_kv(b, host, ip_addr_format(&e->addr, text, sizeof(text)));
	put_u64(b, port, e->port);
}

static void put_header(struct vici_builder *b, const struct record_header *h, unsigned number)
{
	const bool v2 = h->version >> 4 == IKE_VERSION >> 4;
	const char *exchange = v2 ? exchange_name(h->exchange) : NULL;
	const enum record_fate fate = (enum record_fate)h->fate;
	char name[16];

	snprintf(name, sizeof(name), "%u", number);
	vici_section(b, name);
	put_time(b, "time", h->time_ms);
	vici_kv(b, "direction", h->out ? "out" : "in");
	put_endpoint(b, "local-host", "local-port", &h->local);
	put_endpoint(b, "remote-host", "remote-port", &h->remote);
	put_u64(b, "length", h->len);
	if (!h->cut) {
		put_spi(b, "initiator-spi", h->spi_i);
		put_spi(b, "responder-spi", h->spi_r);
		vici_kvf(b, "version", "%u.%u", h->version >> 4, h->version & 15u);
		if (exchange)
			vici_kv(b, "exchange", exchange);
		else
			put_u64(b, "exchange", h->exchange);
		if (v2)
			vici_kv(b, "message",
				h->flags & IKE_FLAG_RESPONSE ? "response" : "request");
		vici_kvf(b, "flags", "0x%02x", h->flags);
		put_u64(b, "message-id", h->message_id);
	}
	vici_kv(b, "fate", record_fate_name(fate));
	vici_kv(b, "hop", record_fate_hop(fate));
	if (h->error)
		vici_kv(b, "error", strerror(h->error));
	vici_section_end(b);
}

// What control saw of it since the start, and what of its messages never came so far.
static void put_hops(struct vici_builder *b, const struct daemon *d, const struct record_peer *p)
{
	struct dp_guard_peer_info guard;
	uint64_t in = 0, out = 0;

	for (unsigned i = 0; i < RECORD_FATE_COUNT; i++)
		if (i == RECORD_FATE_SENT || i == RECORD_FATE_SEND_FAILED)
			out += p->count[i];
		else
			in += p->count[i];
	vici_section(b, "hops");
	if (p->addr.family != IP_NONE && dp_guard_peer_info(d->dp, &p->addr, &guard) == 0) {
		put_u64(b, "guard-passed", guard.passed);
		put_u64(b, "guard-cookies", guard.cookies);
		put_u64(b, "guard-limited", guard.limited);
		put_u64(b, "lost-to-linux", guard.lost);
	}
	put_u64(b, "socket-in", in);
	put_u64(b, "socket-out", out);
	for (unsigned i = 0; i < RECORD_FATE_COUNT; i++)
		if (p->count[i])
			put_u64(b, record_fate_name((enum record_fate)i), p->count[i]);
	vici_section_end(b);
}

// In order of time: what control saw, and samples of what the dataplane lost.
static void put_headers(struct vici_builder *b, const struct recorder *r, size_t i)
{
	const struct record_header *seen = recorder_peer_header(r, i, 0);
	const struct record_header *lost = recorder_peer_lost(r, i, 0);
	unsigned n_seen = 0, n_lost = 0;

	while (seen || lost) {
		const bool is_lost = lost && (!seen || lost->time_ms < seen->time_ms);

		put_header(b, is_lost ? lost : seen, n_seen + n_lost + 1);
		if (is_lost)
			lost = recorder_peer_lost(r, i, ++n_lost);
		else
			seen = recorder_peer_header(r, i, ++n_seen);
	}
}

static void put_peer(struct vici_builder *b, const struct daemon *d, size_t i,
		     const struct record_peer *p)
{
	char text[IP_ADDR_TEXT_MAX] = "strangers";

	if (p->addr.family != IP_NONE)
		ip_addr_format(&p->addr, text, sizeof(text));
	vici_section(b, text);
	put_time(b, "first", p->first_ms);
	put_time(b, "last-in", p->last_in_ms);
	put_time(b, "last-out", p->last_out_ms);
	put_hops(b, d, p);
	vici_section(b, "headers");
	put_headers(b, d->recorder, i);
	vici_section_end(b);
	vici_section_end(b);
}

struct wanted { // addresses of the peers that are asked for
	struct ip_addr *addr;
	size_t n;
};

static bool add_sa(void *ctx, const struct ike_run_sa *sa)
{
	struct wanted *w = ctx;
	struct ip_addr *more;

	more = realloc(w->addr, (w->n + 1) * sizeof(*more));
	if (!more)
		return false; // the addresses of the configuration have to do
	w->addr = more;
	w->addr[w->n++] = sa->info.remote.addr;
	return true;
}

static bool names(const struct config_endpoint *e, const struct ip_addr *a)
{
	return e->lo.family == a->family && ip_addr_compare(&e->lo, a) <= 0 &&
	       ip_addr_compare(a, &e->hi) <= 0;
}

// By the configuration, or by an IKE SA of now (host names, peers without an address of their own).
static bool is_peer_of(const struct daemon *d, const struct vici_stream *st,
		       const struct ip_addr *a)
{
	const struct ip_addr *addr = st->snapshot;
	const struct config_conn *conn = config_conn_find(d->config, st->ike);

	if (!*st->ike)
		return true;
	for (unsigned k = 0; conn && a->family != IP_NONE && k < conn->n_remote; k++)
		if (names(&conn->remote[k], a))
			return true;
	for (size_t i = 0; i < st->n; i++)
		if (ip_addr_equal(&addr[i], a))
			return true;
	return false;
}

// Strangers, who are the first, come last.
static bool next_headers(struct vici_session *s, struct vici_stream *st)
{
	const struct daemon *d = s->server->d;
	struct record_peer p;

	for (; !vici_session_full(s); st->cursor++) {
		struct vici_builder b = {0};
		size_t i = (size_t)st->cursor + 1;

		if (!d->recorder || st->flags)
			return true;
		if (recorder_peer(d->recorder, i, &p)) {
			i = 0;
			st->flags = 1;
			recorder_peer(d->recorder, i, &p);
		}
		if (!is_peer_of(d, st, &p.addr) || (i == 0 && p.n + p.n_lost == 0))
			continue;
		put_peer(&b, d, i, &p);
		vici_session_event(s, VICI_EV_LIST_IKE_HEADER, &b);
	}
	return false;
}

enum vici_outcome vici_run_list_ike_headers(struct vici_session *s, const struct vici_request *req,
					    struct vici_builder *reply)
{
	struct vici_stream st = {.next = next_headers};
	const struct ike_run_select sel = {.conn = st.ike};
	struct wanted w = {0};

	if (!vici_request_text(req, "ike", st.ike, sizeof(st.ike))) {
		vici_reply_result(reply, "malformed filter");
		return VICI_REPLY;
	}
	if (*st.ike)
		ike_run_each(s->server->d->ike, &sel, 0, add_sa, &w);
	st.snapshot = w.addr;
	st.n = w.n;
	ike_run_take_lost(s->server->d->ike); // those of this second
	s->stream = st;
	return vici_session_stream(s);
}

// ---- seconds ----

static void put_numbers(struct vici_builder *b, const struct record_second *s)
{
	static const char *const fates[] = {
#define X(id, name, help) name,
		GUARD_FATES(X)
#undef X
	};
	unsigned busiest = 0;

	put_u64(b, "span-ms", s->span_ms);
	put_u64(b, "rx-packets", s->rx_packets);
	put_u64(b, "tx-packets", s->tx_packets);
	put_u64(b, "rx-missed", s->rx_missed);
	put_u64(b, "tx-errors", s->tx_errors);
	put_u64(b, "to-linux", s->to_linux);
	put_u64(b, "from-linux", s->from_linux);
	put_u64(b, "esp-in", s->esp_in);
	put_u64(b, "esp-out", s->esp_out);
	put_u64(b, "ike-in", s->ike_in);
	put_u64(b, "ike-out", s->ike_out);
	put_u64(b, "ike-errors", s->ike_errors);
	put_u64(b, "half-open", s->half_open);
	put_u64(b, "ike-sas", s->ike_sas);
	put_u64(b, "child-sas", s->children);
	vici_section(b, "guard");
	for (unsigned i = 0; i < GUARD_FATE_COUNT; i++)
		if (s->guard[i])
			put_u64(b, fates[i], s->guard[i]);
	vici_section_end(b);
	vici_section(b, "drops");
	for (unsigned i = 0; i < RECORD_DROP_COUNT; i++)
		if (s->drops[i])
			put_u64(b, record_drop_name((enum record_drop)i), s->drops[i]);
	vici_section_end(b);
	vici_list(b, "busy-percent");
	for (unsigned i = 0; i < s->n_workers; i++) {
		char text[8];

		busiest = s->busy[i] > busiest ? s->busy[i] : busiest;
		snprintf(text, sizeof(text), "%u", s->busy[i]);
		vici_item(b, text);
	}
	vici_list_end(b);
	put_u64(b, "busiest-percent", busiest);
}

// The cursor is the time of the last one, for a new second moves all the others.
static bool next_seconds(struct vici_session *s, struct vici_stream *st)
{
	const struct recorder *r = s->server->d->recorder;
	const struct record_second *second;

	if (!r)
		return true;
	for (unsigned at = LIMIT_RECORD_SECONDS; at-- > 0;) {
		struct vici_builder b = {0};
		char name[24];

		second = recorder_second(r, at);
		if (!second || second->time_s <= (int64_t)st->cursor)
			continue;
		if (vici_session_full(s))
			return false;
		st->cursor = (uint64_t)second->time_s;
		snprintf(name, sizeof(name), "%" PRId64, second->time_s);
		vici_section(&b, name);
		put_time(&b, "time", second->time_s * 1000);
		put_numbers(&b, second);
		vici_section_end(&b);
		vici_session_event(s, VICI_EV_LIST_SECOND, &b);
	}
	return true;
}

enum vici_outcome vici_run_list_seconds(struct vici_session *s, const struct vici_request *req,
					struct vici_builder *reply)
{
	struct vici_stream st = {.next = next_seconds};

	(void)req;
	(void)reply;
	s->stream = st;
	return vici_session_stream(s);
}
