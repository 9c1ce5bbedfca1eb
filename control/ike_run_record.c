// What the flight recorder hears of IKE: each message with its fate, and what the core reports.
#include "control/ike_run_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "control/conn_index.h"
#include "control/ike/refusal.h"
#include "control/recorder.h"
#include "lib/ike_wire.h"

enum {
	AT_EXCHANGE = 18, // in the header (RFC 7296 3.1)
	AT_FLAGS = 19,
	LOST_AT_ONCE = 4096, // the workers may be making more meanwhile
};

static int64_t wall_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void ike_run_set_recorder(struct ike_run *run, struct recorder *recorder)
{
	run->recorder = recorder;
}

// ---- messages ----

void run_record_in(struct ike_run *run, const struct run_sa *s, const struct ike_event *ev,
		   enum record_fate fate)
{
	struct record_header h = {.fate = (uint8_t)fate};

	if (!run->recorder)
		return;
	h.time_ms = wall_ms();
	h.local = ev->local;
	h.remote = ev->remote;
	h.proved = s && s->established;
	record_header_parse(&h, ev->bytes, ev->len);
	recorder_header(run->recorder, &h, h.proved || ike_run_names(run, &ev->remote.addr));
	run->fate = RECORD_FATE_COUNT;
}

void run_record_out(struct ike_run *run, const struct run_sa *s, const struct ike_event *sent,
		    int rc)
{
	struct record_header h = {
		.fate = rc ? RECORD_FATE_SEND_FAILED : RECORD_FATE_SENT,
		.error = (uint16_t)-rc,
		.out = true,
	};

	if (!run->recorder)
		return;
	h.time_ms = wall_ms();
	h.local = sent->local;
	h.remote = sent->remote;
	record_header_parse(&h, sent->bytes, sent->len);
	h.proved = s && s->established;
	recorder_header(run->recorder, &h, h.proved || ike_run_names(run, &sent->remote.addr));
}

// ---- messages that the dataplane lost ----

// Of an IKE SA that is authenticated: whoever it is, it is no stranger.
static bool has_sa(struct ike_run *run, const struct record_header *h)
{
	const bool by_initiator = h->flags & IKE_FLAG_INITIATOR; // RFC 7296 3.1
	const struct run_sa *s =
		h->cut ? NULL
		       : run_sa_by_spi(run, spi_key(by_initiator == h->out ? h->spi_i : h->spi_r));

	return s && s->established;
}

void ike_run_take_lost(struct ike_run *run)
{
	static const enum record_fate fates[DP_IKE_ENDS] = {
		[DP_IKE_COOKIE] = RECORD_FATE_GUARD_COOKIE,
		[DP_IKE_LIMITED] = RECORD_FATE_GUARD_LIMITED,
		[DP_IKE_MALFORMED] = RECORD_FATE_GUARD_MALFORMED,
		[DP_IKE_RING] = RECORD_FATE_RING_FULL,
		[DP_IKE_TAP] = RECORD_FATE_TAP_REFUSED,
		[DP_IKE_PORT] = RECORD_FATE_PORT_FULL,
	};
	struct dp_ike_lost lost;

	for (unsigned n = 0; n < LOST_AT_ONCE && run->recorder && dp_ike_lost(run->dp, &lost);
	     n++) {
		struct record_header h = {.fate = (uint8_t)fates[lost.end], .out = lost.out};

		h.time_ms = wall_ms() - (int64_t)dp_guard_age_ms(run->dp, lost.tsc);
		h.local = lost.out ? lost.from : lost.to;
		h.remote = lost.out ? lost.to : lost.from;
		record_header_parse(&h, lost.header, lost.header_len);
		h.len = lost.len;
		recorder_lost(run->recorder, &h,
			      ike_run_names(run, &h.remote.addr) || has_sa(run, &h));
	}
}

// What became of the message by what the core has done about it.
enum record_fate run_fate_of(const struct ike_actions *acts)
{
	bool repeats = false;

	for (size_t i = 0; i < acts->n; i++) {
		const struct ike_action *a = &acts->a[i];

		if (a->type == IKE_ACT_REPORT && a->report.code == IKE_REPORT_INVALID_MESSAGE)
			return RECORD_FATE_INVALID;
		repeats |= a->type == IKE_ACT_SEND && a->send.is_repeat && a->send.is_response;
	}
	if (repeats)
		return RECORD_FATE_REPEATED;
	return acts->n ? RECORD_FATE_TAKEN : RECORD_FATE_NO_EFFECT;
}

// ---- events ----

static enum record_kind kind_of(enum ike_report_code code, enum ike_severity severity)
{
	switch (code) {
	case IKE_REPORT_CHILD_UP:
	case IKE_REPORT_CHILD_DOWN:
		return RECORD_CHILD;
	case IKE_REPORT_CHILD_REKEYED:
	case IKE_REPORT_REKEYED:
		return RECORD_REKEY;
	case IKE_REPORT_NO_ANSWER:
	case IKE_REPORT_PROPOSAL_MISMATCH:
	case IKE_REPORT_KE_MISMATCH:
	case IKE_REPORT_AUTH_FAILED:
	case IKE_REPORT_PEER_REFUSED_AUTH:
	case IKE_REPORT_NO_CONNECTION:
	case IKE_REPORT_CERT:
	case IKE_REPORT_NO_PSK:
	case IKE_REPORT_TS_MISMATCH:
	case IKE_REPORT_ESP_MISMATCH:
	case IKE_REPORT_DEAD_PEER:
	case IKE_REPORT_PORT_BLOCKED:
	case IKE_REPORT_IKE_SILENT:
	case IKE_REPORT_INVALID_MESSAGE:
		return RECORD_FAILURE;
	case IKE_REPORT_INFO:
	case IKE_REPORT_INIT_SENT:
	case IKE_REPORT_ESTABLISHED:
	case IKE_REPORT_EXPIRED:
	case IKE_REPORT_RETRANSMIT:
	case IKE_REPORT_MOVED:
	case IKE_REPORT_PEER_DELETED:
	case IKE_REPORT_PORT_BACK:
	case IKE_REPORT_CLOSED:
		break;
	}
	return severity == IKE_SEV_ERROR ? RECORD_FAILURE : RECORD_IKE;
}

static enum record_level level_of(enum ike_severity severity)
{
	switch (severity) {
	case IKE_SEV_ERROR:
		return RECORD_ERROR;
	case IKE_SEV_NOTICE:
		return RECORD_NOTICE;
	case IKE_SEV_INFO:
	case IKE_SEV_DEBUG:
		break;
	}
	return RECORD_INFO;
}

static const char *child_of_action(const struct ike_action *a)
{
	if (a->type == IKE_ACT_INSTALL_CHILD && a->install)
		return a->install->conf->name;
	if (a->type == IKE_ACT_REMOVE_CHILD && a->remove.conf)
		return a->remove.conf->name;
	return NULL;
}

// The child that report `at` is about: the nearest one that the same step installs or removes.
static const char *child_of(const struct ike_actions *acts, size_t at)
{
	const struct ike_action *report = &acts->a[at];
	const enum record_kind kind = kind_of(report->report.code, report->report.severity);
	const char *name = NULL;

	if (report->report.refusal)
		return report->report.refusal->child;
	if (kind != RECORD_CHILD && report->report.code != IKE_REPORT_CHILD_REKEYED)
		return "";
	for (size_t back = 1; !name && (back <= at || at + back < acts->n); back++) {
		if (back <= at)
			name = child_of_action(&acts->a[at - back]);
		if (!name && at + back < acts->n)
			name = child_of_action(&acts->a[at + back]);
	}
	return name ? name : "";
}

// From the first message of the IKE SA to its being established, or from our request to its answer,
// which this step has brought. Of what the peer has asked for only the peer knows.
static uint32_t took(const struct run_sa *s, const struct ike_event *ev, enum ike_report_code code)
{
	uint64_t since = s->asked_ms;

	if (code == IKE_REPORT_ESTABLISHED)
		since = s->born_ms;
	else if (ev->type != IKE_EV_MESSAGE || ev->len < IKE_HEADER_LEN ||
		 !(ev->bytes[AT_FLAGS] & IKE_FLAG_RESPONSE) ||
		 ev->bytes[AT_EXCHANGE] != s->asked_what)
		return RECORD_UNKNOWN;
	if (!since || ev->now_ms < since || ev->now_ms - since >= RECORD_UNKNOWN)
		return RECORD_UNKNOWN;
	return (uint32_t)(ev->now_ms - since);
}

// A responder's IKE SA that is not authenticated is somebody's who may be anybody.
static bool is_stranger(const struct run_sa *s, const struct ike_sa_info *info,
			const struct ike_refusal *refusal)
{
	if (s->established || info->original_initiator)
		return false;
	return !refusal || !ike_run_names(s->run, &info->remote.addr);
}

// Before a connection is chosen: the only one that the addresses leave, or the peer's endpoint.
static const char *name_of(const struct run_sa *s, const struct ike_sa_info *info, bool stranger,
			   char *buf, size_t size)
{
	const struct ike_conn *const *may = NULL;

	if (!s->conn && !stranger && s->run->index)
		may = conn_index_find(s->run->index, &info->local.addr, &info->remote.addr);
	if (may && may[0] && !may[1])
		return may[0]->name;
	return run_sa_name(s, buf, size);
}

static void record_report(struct run_sa *s, const struct ike_event *ev,
			  const struct ike_actions *acts, size_t at)
{
	const struct ike_action *a = &acts->a[at];
	char name[IKE_NAME_MAX + IP_ENDPOINT_TEXT_MAX];
	struct ike_sa_info info;
	struct record_event e;

	// Beyond the budget of explanations a failure counts; it must not push out what is kept.
	if (a->report.severity == IKE_SEV_DEBUG || (a->report.refusal && a->report.refusal->brief))
		return;
	ike_sa_info(s->sa, &info);
	e = (struct record_event){
		.time_ms = wall_ms(),
		.kind = kind_of(a->report.code, a->report.severity),
		.level = level_of(a->report.severity),
		.stranger = is_stranger(s, &info, a->report.refusal),
		.ike_id = s->id,
		.took_ms = took(s, ev, a->report.code),
		.code = ike_report_code_name(a->report.code),
		.child = child_of(acts, at),
		.text = a->report.text,
	};
	e.conn = name_of(s, &info, e.stranger, name, sizeof(name));
	recorder_event(s->run->recorder, &e);
}

void run_record_step(struct run_sa *s, const struct ike_event *ev, const struct ike_actions *acts)
{
	if (!s->run->recorder)
		return;
	if (ev->type == IKE_EV_MESSAGE)
		run_record_in(s->run, s, ev, run_fate_of(acts));
	for (size_t i = 0; i < acts->n; i++)
		if (acts->a[i].type == IKE_ACT_REPORT)
			record_report(s, ev, acts, i);
}

void run_record_sa(struct run_sa *s, enum record_kind kind, const char *code, const char *fmt, ...)
{
	char name[IKE_NAME_MAX + IP_ENDPOINT_TEXT_MAX], text[RECORD_TEXT_MAX];
	struct ike_sa_info info;
	struct record_event e;
	va_list ap;

	if (!s->run->recorder)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ike_sa_info(s->sa, &info);
	e = (struct record_event){
		.time_ms = wall_ms(),
		.kind = kind,
		.level = RECORD_NOTICE,
		.stranger = is_stranger(s, &info, NULL),
		.ike_id = s->id,
		.took_ms = RECORD_UNKNOWN,
		.code = code,
		.conn = run_sa_name(s, name, sizeof(name)),
		.text = text,
	};
	recorder_event(s->run->recorder, &e);
}

void run_record_conn(struct ike_run *run, const struct conn *c, const char *code, const char *text)
{
	const struct record_event e = {
		.time_ms = wall_ms(),
		.kind = RECORD_IKE,
		.level = RECORD_NOTICE,
		.took_ms = RECORD_UNKNOWN,
		.code = code,
		.conn = c->ike.name,
		.text = text,
	};

	if (run->recorder)
		recorder_event(run->recorder, &e);
}

void run_record_guard(struct ike_run *run, enum record_level level, const char *code,
		      const char *text)
{
	const struct record_event e = {
		.time_ms = wall_ms(),
		.kind = RECORD_GUARD,
		.level = level,
		.took_ms = RECORD_UNKNOWN,
		.code = code,
		.text = text,
	};

	if (run->recorder)
		recorder_event(run->recorder, &e);
}
