#include "control/vici_events.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/daemon.h"
#include "control/refusals.h"
#include "control/vici_recorder.h"
#include "control/vici_refusal.h"
#include "control/vici_sa.h"
#include "control/vici_session.h"

// An SA that was announced as up.
struct known_sa {
	uint32_t ike_id;
	uint32_t child_id;	  // 0: the IKE SA itself
	bool seen;		  // in the comparison under way
	struct vici_builder down; // the message that tells when it is gone
};

struct vici_events {
	struct vici_server *server;
	struct event *scan;
	bool following; // somebody registered and `known` is true
	struct known_sa *known;
	size_t n_known, cap_known;
	size_t n_sorted;		// those of the comparison before, in order of ids
	struct vici_failure **failures; // one per connection, in order of their names
	size_t n_failures, cap_failures;
	uint64_t generation; // of the configuration the failures belong to
	struct vici_failure stranger;
	struct refusals refusals;
};

// ---- last failures ----

// Where the failure of a connection stands, or would stand.
static size_t failure_place(const struct vici_events *e, const char *conn)
{
	size_t lo = 0, hi = e->n_failures;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (strcmp(e->failures[mid]->conn, conn) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool has_failure_at(const struct vici_events *e, size_t i, const char *conn)
{
	return i < e->n_failures && strcmp(e->failures[i]->conn, conn) == 0;
}

const struct vici_failure *vici_events_failure(const struct vici_events *e, const char *conn)
{
	size_t i = failure_place(e, conn);

	if (!*conn)
		return e->stranger.text[0] ? &e->stranger : NULL;
	return has_failure_at(e, i, conn) ? e->failures[i] : NULL;
}

static void forget_failure(struct vici_events *e, const char *conn)
{
	size_t i = failure_place(e, conn);

	if (!has_failure_at(e, i, conn))
		return;
	free(e->failures[i]);
	e->n_failures--;
	memmove(&e->failures[i], &e->failures[i + 1], (e->n_failures - i) * sizeof(*e->failures));
}

static void forget_all_failures(struct vici_events *e)
{
	for (size_t i = 0; i < e->n_failures; i++)
		free(e->failures[i]);
	free(e->failures);
	e->failures = NULL;
	e->n_failures = 0;
	e->cap_failures = 0;
}

// The record of a connection, new if need be; NULL when out of memory.
static struct vici_failure *failure_slot(struct vici_events *e, const char *conn)
{
	size_t i = failure_place(e, conn);
	struct vici_failure *f;

	if (!*conn)
		return &e->stranger;
	if (has_failure_at(e, i, conn))
		return e->failures[i];
	if (e->n_failures == e->cap_failures) {
		size_t cap = e->cap_failures ? e->cap_failures * 2 : 16;
		struct vici_failure **a = realloc(e->failures, cap * sizeof(struct vici_failure *));

		if (!a)
			return NULL;
		e->failures = a;
		e->cap_failures = cap;
	}
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	snprintf(f->conn, sizeof(f->conn), "%s", conn);
	memmove(&e->failures[i + 1], &e->failures[i],
		(e->n_failures - i) * sizeof(struct vici_failure *));
	e->failures[i] = f;
	e->n_failures++;
	return f;
}

static bool is_configured(const struct vici_events *e, const char *conn)
{
	return config_conn_find(e->server->d->config, conn) != NULL;
}

// A peer that fits no connection is reported under its address: those share one record, or
// strangers could fill our memory.
static void note_failure(struct vici_events *e, enum ike_report_code code, const char *conn,
			 const char *text)
{
	bool known = is_configured(e, conn);
	struct vici_failure *f = failure_slot(e, known ? conn : "");

	if (!f) // out of memory: then the log alone has it
		return;
	f->code = code;
	f->at_ms = daemon_now_ms();
	snprintf(f->text, sizeof(f->text), "%s%s%s", known ? "" : conn, known || !*conn ? "" : ": ",
		 text);
}

// ---- updown ----

static void known_drop_all(struct vici_events *e)
{
	for (size_t i = 0; i < e->n_known; i++)
		vici_builder_fini(&e->known[i].down);
	free(e->known);
	e->known = NULL;
	e->n_known = 0;
	e->n_sorted = 0;
	e->cap_known = 0;
}

static int compare_known(const void *a, const void *b)
{
	const struct known_sa *x = a, *y = b;

	if (x->ike_id != y->ike_id)
		return x->ike_id < y->ike_id ? -1 : 1;
	if (x->child_id != y->child_id)
		return x->child_id < y->child_id ? -1 : 1;
	return 0;
}

static struct known_sa *known_find(struct vici_events *e, uint32_t ike_id, uint32_t child_id)
{
	struct known_sa key = {.ike_id = ike_id, .child_id = child_id};

	return e->n_sorted ? bsearch(&key, e->known, e->n_sorted, sizeof(key), compare_known)
			   : NULL;
}

// The message of an updown event. Times and counters are left out of the one for "down", which
// is built when the SA comes up.
static void build_updown(struct vici_builder *b, const struct ike_run_sa *sa,
			 const struct ike_run_child *child, bool up)
{
	unsigned flags = up ? 0 : VICI_SA_NO_COUNTERS;

	if (up)
		vici_kv(b, "up", "yes");
	vici_section(b, vici_sa_name(sa));
	vici_sa_ike(b, sa, flags);
	if (child) {
		vici_section(b, "child-sas");
		vici_sa_child(b, child, flags);
		vici_section_end(b);
	}
	vici_section_end(b);
}

static void announce(struct vici_events *e, enum vici_event_id id, const struct vici_builder *msg)
{
	for (struct vici_session *s = e->server->sessions; s; s = s->next) {
		struct vici_builder copy = {0};

		if (!vici_session_wants(s, id))
			continue;
		copy.data = malloc(msg->len ? msg->len : 1);
		if (!copy.data) {
			vici_session_close(s, "out of memory");
			continue;
		}
		memcpy(copy.data, msg->data, msg->len);
		copy.len = copy.cap = msg->len;
		vici_session_event(s, id, &copy);
	}
}

static enum vici_event_id updown_id(uint32_t child_id)
{
	return child_id ? VICI_EV_CHILD_UPDOWN : VICI_EV_IKE_UPDOWN;
}

static void see(struct vici_events *e, const struct ike_run_sa *sa,
		const struct ike_run_child *child)
{
	uint32_t child_id = child ? child->id : 0;
	struct known_sa *k = known_find(e, sa->id, child_id);
	struct vici_builder up = {0};

	if (k) {
		k->seen = true;
		return;
	}
	if (e->n_known == e->cap_known) {
		size_t cap = e->cap_known ? e->cap_known * 2 : 64;

		k = realloc(e->known, cap * sizeof(*k));
		if (!k)
			return; // seen again by the next comparison
		e->known = k;
		e->cap_known = cap;
	}
	k = &e->known[e->n_known++];
	*k = (struct known_sa){.ike_id = sa->id, .child_id = child_id, .seen = true};
	build_updown(&k->down, sa, child, false);
	if (!e->following || !vici_server_wanted(e->server, updown_id(child_id)))
		return;
	build_updown(&up, sa, child, true);
	announce(e, updown_id(child_id), &up);
	vici_builder_fini(&up);
}

static bool see_ike(void *ctx, const struct ike_run_sa *sa)
{
	struct vici_events *e = ctx;
	struct ike_run_child child;

	if (!ike_state_is_up(sa->info.state))
		return true;
	see(e, sa, NULL);
	for (size_t i = 0; ike_run_child(e->server->d->ike, sa->id, i, &child) == 0; i++)
		see(e, sa, &child);
	return true;
}

static void compare(struct vici_events *e)
{
	size_t kept = 0;

	for (size_t i = 0; i < e->n_known; i++)
		e->known[i].seen = false;
	ike_run_each(e->server->d->ike, NULL, 0, see_ike, e);
	// In order of ids a child stands after its IKE SA and goes before it, so backwards.
	for (size_t i = e->n_known; i-- > 0;) {
		struct known_sa *k = &e->known[i];

		if (k->seen)
			continue;
		announce(e, updown_id(k->child_id), &k->down);
		vici_builder_fini(&k->down);
	}
	for (size_t i = 0; i < e->n_known; i++)
		if (e->known[i].seen)
			e->known[kept++] = e->known[i];
	e->n_known = kept;
	if (kept)
		qsort(e->known, kept, sizeof(*e->known), compare_known);
	e->n_sorted = kept;
	e->following = true;
}

static bool is_wanted(const struct vici_server *server)
{
	return vici_server_wanted(server, VICI_EV_IKE_UPDOWN) ||
	       vici_server_wanted(server, VICI_EV_CHILD_UPDOWN);
}

static void on_scan(evutil_socket_t fd, short what, void *ctx)
{
	struct vici_events *e = ctx;

	(void)fd;
	(void)what;
	if (is_wanted(e->server)) {
		compare(e);
		return;
	}
	known_drop_all(e);
	e->following = false;
}

void vici_events_follow(struct vici_server *server)
{
	if (!server->events->following)
		compare(server->events);
}

// ---- reports ----

const char *vici_report_group(enum ike_report_code code)
{
	switch (code) {
	case IKE_REPORT_CHILD_UP:
	case IKE_REPORT_CHILD_DOWN:
	case IKE_REPORT_CHILD_REKEYED:
	case IKE_REPORT_TS_MISMATCH:
	case IKE_REPORT_ESP_MISMATCH:
		return "CHD";
	case IKE_REPORT_INIT_SENT:
	case IKE_REPORT_RETRANSMIT:
	case IKE_REPORT_NO_ANSWER:
	case IKE_REPORT_IKE_SILENT:
	case IKE_REPORT_PORT_BLOCKED:
	case IKE_REPORT_PORT_BACK:
		return "NET";
	case IKE_REPORT_NO_CONNECTION:
	case IKE_REPORT_NO_PSK:
	case IKE_REPORT_PROPOSAL_MISMATCH:
	case IKE_REPORT_KE_MISMATCH:
		return "CFG";
	case IKE_REPORT_INVALID_MESSAGE:
		return "ENC";
	case IKE_REPORT_INFO:
	case IKE_REPORT_ESTABLISHED:
	case IKE_REPORT_REKEYED:
	case IKE_REPORT_EXPIRED:
	case IKE_REPORT_AUTH_FAILED:
	case IKE_REPORT_CERT:
	case IKE_REPORT_PEER_REFUSED_AUTH:
	case IKE_REPORT_MOVED:
	case IKE_REPORT_PEER_DELETED:
	case IKE_REPORT_DEAD_PEER:
	case IKE_REPORT_CLOSED:
		break;
	}
	return "IKE";
}

int vici_report_level(enum ike_severity severity)
{
	switch (severity) {
	case IKE_SEV_ERROR:
		return 0;
	case IKE_SEV_NOTICE:
	case IKE_SEV_INFO:
		return 1;
	case IKE_SEV_DEBUG:
		break;
	}
	return 2;
}

void vici_report_build(struct vici_builder *b, enum ike_report_code code,
		       enum ike_severity severity, const char *conn, uint32_t ike_id,
		       const char *text)
{
	vici_kv(b, "group", vici_report_group(code));
	vici_kvf(b, "level", "%d", vici_report_level(severity));
	vici_kv(b, "code", ike_report_code_name(code));
	if (conn && *conn)
		vici_kv(b, "ikesa-name", conn);
	if (ike_id)
		vici_kvf(b, "ikesa-uniqueid", "%u", ike_id);
	vici_kv(b, "msg", text);
}

static bool is_failure(enum ike_report_code code, enum ike_severity severity)
{
	switch (code) {
	case IKE_REPORT_NO_ANSWER:
	case IKE_REPORT_PROPOSAL_MISMATCH:
	case IKE_REPORT_KE_MISMATCH:
	case IKE_REPORT_AUTH_FAILED:
	case IKE_REPORT_CERT:
	case IKE_REPORT_PEER_REFUSED_AUTH:
	case IKE_REPORT_NO_CONNECTION:
	case IKE_REPORT_NO_PSK:
	case IKE_REPORT_TS_MISMATCH:
	case IKE_REPORT_ESP_MISMATCH:
	case IKE_REPORT_DEAD_PEER:
		return true;
	default:
		return severity == IKE_SEV_ERROR;
	}
}

const struct refusals *vici_events_refusals(const struct vici_events *e)
{
	return &e->refusals;
}

static void note_refusal(struct vici_events *e, const struct ike_refusal *refusal)
{
	const struct refusal_entry *entry;
	struct vici_builder b = {0};

	if (refusals_add(&e->refusals, refusal, (int64_t)time(NULL), &entry) || !entry)
		return; // the log has its sentence
	if (!vici_server_wanted(e->server, VICI_EV_REFUSAL))
		return;
	vici_refusal_build(&b, entry);
	announce(e, VICI_EV_REFUSAL, &b);
	vici_builder_fini(&b);
}

static void on_report(void *ctx, enum ike_report_code code, enum ike_severity severity,
		      const char *conn, uint32_t ike_id, const char *text,
		      const struct ike_refusal *refusal)
{
	struct vici_events *e = ctx;
	const char *name = conn ? conn : "";

	// A new configuration may lack connections of the old one; what still fails fails again.
	if (e->generation != e->server->d->generation) {
		forget_all_failures(e);
		e->generation = e->server->d->generation;
	}
	if (is_failure(code, severity))
		note_failure(e, code, name, text);
	else if (*name && (code == IKE_REPORT_ESTABLISHED || code == IKE_REPORT_CHILD_UP ||
			   code == IKE_REPORT_CHILD_REKEYED))
		forget_failure(e, name);
	if (refusal)
		note_refusal(e, refusal);

	if (vici_report_level(severity) <= 1 && vici_server_wanted(e->server, VICI_EV_LOG)) {
		struct vici_builder b = {0};

		vici_report_build(&b, code, severity, name, ike_id, text);
		vici_kv(&b, "thread", "0");
		announce(e, VICI_EV_LOG, &b);
		vici_builder_fini(&b);
	}
	// Later, when the actions that go with this report have been carried out.
	if (e->following)
		event_active(e->scan, EV_TIMEOUT, 0);
}

static void on_event(void *ctx, const struct record_event *event)
{
	struct vici_events *e = ctx;
	struct vici_builder b = {0};

	if (!vici_server_wanted(e->server, VICI_EV_EVENT))
		return;
	vici_record_event_build(&b, event);
	announce(e, VICI_EV_EVENT, &b);
	vici_builder_fini(&b);
}

int vici_events_create(struct vici_server *server, struct vici_events **out)
{
	struct vici_events *e = calloc(1, sizeof(*e));

	if (e)
		e->scan = event_new(server->d->base, -1, 0, on_scan, e);
	if (!e || !e->scan) {
		free(e);
		return -ENOMEM;
	}
	e->server = server;
	e->generation = server->d->generation;
	refusals_init(&e->refusals);
	ike_run_set_observer(server->d->ike, on_report, e);
	if (server->d->recorder)
		recorder_follow(server->d->recorder, on_event, e);
	*out = e;
	return 0;
}

void vici_events_destroy(struct vici_events *e)
{
	if (!e)
		return;
	ike_run_set_observer(e->server->d->ike, NULL, NULL);
	if (e->server->d->recorder)
		recorder_follow(e->server->d->recorder, NULL, NULL);
	known_drop_all(e);
	forget_all_failures(e);
	refusals_fini(&e->refusals);
	event_free(e->scan);
	free(e);
}
