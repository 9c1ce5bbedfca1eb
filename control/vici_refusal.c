#include "control/vici_refusal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "control/ike/message.h"
#include "control/ike/notify.h"
#include "control/vici_events.h"
#include "control/vici_sa.h"

static void put_time(struct vici_builder *b, const char *key, int64_t seconds)
{
	time_t t = (time_t)seconds;
	char text[32];
	struct tm tm;

	if (gmtime_r(&t, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		vici_kv(b, key, text);
}

static void put_endpoint(struct vici_builder *b, const char *host, const char *port,
			 const struct ip_endpoint *e)
{
	char text[IP_ADDR_TEXT_MAX];

	vici_kv(b, host, ip_addr_format(&e->addr, text, sizeof(text)));
	vici_kvf(b, port, "%u", (unsigned)e->port);
}

static void put_identity(struct vici_builder *b, const char *name, const struct identity *id)
{
	char text[IDENTITY_TEXT_MAX];

	if (id->type == ID_ANY)
		return;
	vici_section(b, name);
	vici_kv(b, "type", identity_type_name(id->type));
	vici_kv(b, "id", identity_format(id, text, sizeof(text)));
	vici_section_end(b);
}

static void put_proposals(struct vici_builder *b, const char *name,
			  const struct proposal_list *list)
{
	char text[PROPOSAL_TEXT_MAX];

	vici_list(b, name);
	for (unsigned i = 0; i < list->n; i++)
		vici_item(b, proposal_format(&list->p[i], text, sizeof(text)));
	vici_list_end(b);
}

// "key-exchange": names on this interface have no blanks.
static const char *type_name(uint8_t type)
{
	if (type == TRANSFORM_KE)
		return "key-exchange";
	return type == TRANSFORM_SN ? "sequence-numbers" : transform_type_name(type);
}

static void put_transforms(struct vici_builder *b, const char *name,
			   const struct proposal_list *list, uint8_t type)
{
	struct transform t[PROPOSAL_TRANSFORMS_MAX];
	unsigned n = refusal_transforms(list, type, t, PROPOSAL_TRANSFORMS_MAX);
	char text[TRANSFORM_TEXT_MAX];

	vici_list(b, name);
	for (unsigned i = 0; i < n; i++)
		vici_item(b, transform_format(&t[i], text, sizeof(text)));
	vici_list_end(b);
}

static void put_comparison(struct vici_builder *b, const struct ike_refusal *r)
{
	enum refusal_verdict verdict;

	if (!r->have_ours && !r->have_theirs)
		return;
	vici_section(b, "proposals");
	if (r->have_ours)
		put_proposals(b, "ours", &r->ours);
	if (r->have_theirs)
		put_proposals(b, "theirs", &r->theirs);
	vici_section_end(b);
	vici_section(b, "transforms");
	for (uint8_t type = TRANSFORM_ENCR; type <= TRANSFORM_SN; type++) {
		if (!refusal_compare(r, type, &verdict))
			continue;
		vici_section(b, type_name(type));
		put_transforms(b, "ours", &r->ours, type);
		put_transforms(b, "theirs", &r->theirs, type);
		vici_kv(b, "verdict", refusal_verdict_name(verdict));
		vici_section_end(b);
	}
	vici_section_end(b);
}

static void put_pair(struct vici_builder *b, const char *name, const struct refusal_selectors *ts)
{
	vici_section(b, name);
	vici_sa_selectors(b, "local-ts", &ts->local, NULL);
	vici_sa_selectors(b, "remote-ts", &ts->remote, NULL);
	vici_section_end(b);
}

static void put_candidate(struct vici_builder *b, const struct refusal_candidate *c)
{
	vici_section(b, c->name);
	vici_kv(b, "reason", refusal_lost_name(c->lost));
	vici_kv(b, "text", refusal_lost_text(c->lost));
	if (c->lost == LOST_PROPOSAL) {
		vici_list(b, "differs");
		for (uint8_t type = TRANSFORM_ENCR; type <= TRANSFORM_SN; type++)
			if (c->differs & 1u << type)
				vici_item(b, type_name(type));
		vici_list_end(b);
	}
	put_identity(b, "local-id", &c->local);
	put_identity(b, "remote-id", &c->remote);
	if (c->lost == LOST_SELECTORS) {
		vici_sa_selectors(b, "local-ts", &c->local_ts, NULL);
		vici_sa_selectors(b, "remote-ts", &c->remote_ts, NULL);
	}
	vici_section_end(b);
}

static void put_candidates(struct vici_builder *b, const struct ike_refusal *r)
{
	if (!r->candidates_total)
		return;
	vici_section(b, "candidates");
	for (unsigned i = 0; i < r->n_candidates; i++)
		put_candidate(b, &r->candidate[i]);
	vici_section_end(b);
	if (r->candidates_total > r->n_candidates)
		vici_kvf(b, "candidates-more", "%u", r->candidates_total - r->n_candidates);
}

static void put_certs(struct vici_builder *b, const struct ike_refusal *r)
{
	char name[16];

	if (!r->n_certs)
		return;
	vici_section(b, "certificates");
	for (unsigned i = 0; i < r->n_certs; i++) {
		snprintf(name, sizeof(name), "%u", i + 1);
		vici_section(b, name);
		vici_kv(b, "subject", r->cert[i].subject);
		vici_kv(b, "issuer", r->cert[i].issuer);
		vici_kv(b, "not-before", r->cert[i].not_before);
		vici_kv(b, "not-after", r->cert[i].not_after);
		vici_section_end(b);
	}
	vici_section_end(b);
}

static void put_head(struct vici_builder *b, const struct refusal_entry *e)
{
	const struct ike_refusal *r = &e->refusal;
	char text[IKE_REPORT_TEXT_MAX], notify[NOTIFY_TEXT_MAX];

	put_time(b, "first", e->first_s);
	put_time(b, "last", e->last_s);
	vici_kvf(b, "count", "%" PRIu64, e->count);
	vici_kv(b, "code", ike_report_code_name(r->code));
	if (r->conn[0])
		vici_kv(b, "ike", r->conn);
	if (r->child[0])
		vici_kv(b, "child", r->child);
	vici_kv(b, "exchange", ike_exchange_name(r->exchange));
	vici_kv(b, "role", r->exchange_initiator ? "initiator" : "responder");
	vici_kv(b, "refused-by", r->by_peer ? "peer" : "us");
	if (r->notify)
		vici_kv(b, "notify", notify_name(r->notify, notify, sizeof(notify)));
	if (r->stranger)
		vici_kv(b, "stranger", "yes");
	put_endpoint(b, "local-host", "local-port", &r->local);
	put_endpoint(b, "remote-host", "remote-port", &r->remote);
	vici_kv(b, "why", r->why);
	vici_kv(b, "msg", refusal_text(r, text));
}

void vici_refusal_build(struct vici_builder *b, const struct refusal_entry *e)
{
	const struct ike_refusal *r = &e->refusal;
	char name[24];

	snprintf(name, sizeof(name), "%" PRIu64, e->id);
	vici_section(b, name);
	put_head(b, e);
	put_identity(b, "remote-id", &r->remote_id);
	put_identity(b, "remote-id-wanted", &r->remote_wanted);
	put_identity(b, "local-id", &r->local_id);
	put_identity(b, "local-id-asked", &r->local_asked);
	put_comparison(b, r);
	if (r->have_our_ts || r->have_their_ts) {
		vici_section(b, "selectors");
		if (r->have_our_ts)
			put_pair(b, "ours", &r->our_ts);
		if (r->have_their_ts)
			put_pair(b, "theirs", &r->their_ts);
		vici_section_end(b);
	}
	put_candidates(b, r);
	put_certs(b, r);
	vici_section_end(b);
}

// ---- list-refusals ----

static bool is_asked_for(const struct vici_stream *st, const struct ike_refusal *r)
{
	return (!*st->ike || strcmp(st->ike, r->conn) == 0) &&
	       (!*st->child || strcmp(st->child, r->child) == 0);
}

// One that comes again while the list is on its way is listed again.
static bool next_refusals(struct vici_session *s, struct vici_stream *st)
{
	const struct refusals *f = vici_events_refusals(s->server->events);
	const struct refusal_entry *e;

	while ((e = refusals_next(f, st->cursor))) {
		struct vici_builder b = {0};

		if (vici_session_full(s))
			return false;
		st->cursor = e->id;
		if (!is_asked_for(st, &e->refusal))
			continue;
		vici_refusal_build(&b, e);
		vici_session_event(s, VICI_EV_LIST_REFUSAL, &b);
	}
	return true;
}

enum vici_outcome vici_run_list_refusals(struct vici_session *s, const struct vici_request *req,
					 struct vici_builder *reply)
{
	struct vici_stream st = {.next = next_refusals};

	if (!vici_request_text(req, "ike", st.ike, sizeof(st.ike)) ||
	    !vici_request_text(req, "child", st.child, sizeof(st.child))) {
		vici_reply_result(reply, "malformed filter");
		return VICI_REPLY;
	}
	s->stream = st;
	return vici_session_stream(s);
}
