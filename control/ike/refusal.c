#include "control/ike/refusal.h"

#include <string.h>

#include "control/ike/report.h"

enum { // bytes of the sentence that a part of it may take
	ROOM_PROPOSALS_BOTH = 330,
	ROOM_PROPOSALS_ONE = 700,
};

static bool list_has(const struct proposal_list *list, const struct transform *t)
{
	for (unsigned i = 0; i < list->n; i++)
		if (proposal_has(&list->p[i], t))
			return true;
	return false;
}

unsigned refusal_transforms(const struct proposal_list *list, uint8_t type, struct transform *out,
			    unsigned max)
{
	unsigned n = 0;

	for (unsigned i = 0; i < list->n; i++) {
		for (unsigned k = 0; k < list->p[i].n && n < max; k++) {
			const struct transform *t = &list->p[i].t[k];
			bool there = t->type != type;

			for (unsigned j = 0; j < n && !there; j++)
				there = out[j].id == t->id && out[j].key_bits == t->key_bits;
			if (!there)
				out[n++] = *t;
		}
	}
	return n;
}

static bool has_type(const struct proposal_list *list, uint8_t type)
{
	for (unsigned i = 0; i < list->n; i++)
		if (proposal_first(&list->p[i], type))
			return true;
	return false;
}

static bool share(const struct proposal_list *a, const struct proposal_list *b, uint8_t type)
{
	for (unsigned i = 0; i < a->n; i++)
		for (unsigned k = 0; k < a->p[i].n; k++)
			if (a->p[i].t[k].type == type && list_has(b, &a->p[i].t[k]))
				return true;
	return false;
}

uint8_t refusal_differs(const struct proposal_list *ours, const struct proposal_list *theirs,
			bool ignore_ke)
{
	uint8_t differs = 0;

	for (uint8_t type = TRANSFORM_ENCR; type <= TRANSFORM_SN; type++)
		if ((type != TRANSFORM_KE || !ignore_ke) && has_type(ours, type) &&
		    !share(ours, theirs, type))
			differs |= (uint8_t)(1u << type);
	return differs;
}

bool refusal_compare(const struct ike_refusal *r, uint8_t type, enum refusal_verdict *out)
{
	bool ours = r->have_ours && has_type(&r->ours, type);
	bool theirs = r->have_theirs && has_type(&r->theirs, type);

	if ((!ours && !theirs) || (type == TRANSFORM_KE && r->ignore_ke))
		return false;
	if (!r->have_theirs)
		*out = VERDICT_UNKNOWN;
	else if (!theirs)
		*out = VERDICT_ONLY_OURS;
	else if (!ours)
		*out = VERDICT_ONLY_THEIRS;
	else
		*out = share(&r->ours, &r->theirs, type) ? VERDICT_COMMON : VERDICT_DIFFERENT;
	return true;
}

const char *refusal_verdict_name(enum refusal_verdict verdict)
{
	switch (verdict) {
	case VERDICT_COMMON:
		return "common";
	case VERDICT_DIFFERENT:
		return "different";
	case VERDICT_ONLY_OURS:
		return "only-ours";
	case VERDICT_ONLY_THEIRS:
		return "only-theirs";
	case VERDICT_UNKNOWN:
		break;
	}
	return "unknown";
}

const char *refusal_lost_name(enum refusal_lost lost)
{
	switch (lost) {
	case LOST_PEER_ID:
		return "peer-id";
	case LOST_OWN_ID:
		return "own-id";
	case LOST_PROPOSAL:
		return "proposal";
	case LOST_SELECTORS:
		break;
	}
	return "selectors";
}

const char *refusal_lost_text(enum refusal_lost lost)
{
	switch (lost) {
	case LOST_PEER_ID:
		return "expects another peer";
	case LOST_OWN_ID:
		return "is not called that";
	case LOST_PROPOSAL:
		return "accepts none of the proposals";
	case LOST_SELECTORS:
		break;
	}
	return "wants other selectors";
}

// ---- the sentence ----

// ": no common encryption, prf"
static void add_differs(struct text *t, uint8_t differs)
{
	const char *sep = ": no common ";

	for (uint8_t type = TRANSFORM_ENCR; type <= TRANSFORM_SN; type++) {
		if (!(differs & 1u << type))
			continue;
		text_add(t, "%s%s", sep, transform_type_name(type));
		sep = ", ";
	}
	if (!differs)
		text_add(t, ": no combination of algorithms in common");
}

static void add_proposals(struct text *t, const struct ike_refusal *r)
{
	if (!r->have_theirs) {
		text_add(t, "; we offered ");
		text_add_proposals(t, &r->ours, ROOM_PROPOSALS_ONE);
		return;
	}
	if (!r->exchange_initiator)
		add_differs(t, refusal_differs(&r->ours, &r->theirs, r->ignore_ke));
	text_add(t, r->exchange_initiator ? "; it chose " : "; it offers ");
	text_add_proposals(t, &r->theirs, ROOM_PROPOSALS_BOTH);
	text_add(t, r->exchange_initiator ? "; we offered " : "; we want ");
	text_add_proposals(t, &r->ours, ROOM_PROPOSALS_BOTH);
}

static void add_identity(struct text *t, const char *words, const struct identity *id)
{
	if (id->type == ID_ANY)
		return;
	text_add(t, "%s", words);
	text_add_identity(t, id);
}

static void add_identities(struct text *t, const struct ike_refusal *r)
{
	add_identity(t, "; the peer calls itself ", &r->remote_id);
	if (r->remote_id.type == ID_ANY || !identity_matches(&r->remote_wanted, &r->remote_id))
		add_identity(t, "; we want it to be ", &r->remote_wanted);
	add_identity(t, "; it asks for ", &r->local_asked);
	add_identity(t, "; we are ", &r->local_id);
}

static void add_pair(struct text *t, const char *words, const struct refusal_selectors *ts)
{
	text_add(t, "%s", words);
	text_add_selectors(t, &ts->local);
	text_add(t, " === ");
	text_add_selectors(t, &ts->remote);
}

static void add_selectors(struct text *t, const struct ike_refusal *r)
{
	if (r->have_their_ts)
		add_pair(t, r->exchange_initiator ? "; it chose " : "; it offers ", &r->their_ts);
	if (r->have_our_ts)
		add_pair(t, r->exchange_initiator ? "; we offered " : "; we want ", &r->our_ts);
	if (r->have_their_ts || r->have_our_ts)
		text_add(t, " (ours === its)");
}

static void add_candidate(struct text *t, const struct refusal_candidate *c)
{
	text_add(t, "; '%s' %s", c->name, refusal_lost_text(c->lost));
	switch (c->lost) {
	case LOST_PROPOSAL:
		add_differs(t, c->differs);
		break;
	case LOST_SELECTORS:
		add_pair(t, ": ",
			 &(struct refusal_selectors){.local = c->local_ts, .remote = c->remote_ts});
		break;
	case LOST_PEER_ID:
	case LOST_OWN_ID:
		text_add(t, " (we are ");
		text_add_identity(t, &c->local);
		text_add(t, ", it is ");
		text_add_identity(t, &c->remote);
		text_add(t, ")");
		break;
	}
}

char *refusal_text(const struct ike_refusal *r, char buf[IKE_REPORT_TEXT_MAX])
{
	struct text t;

	text_init(&t);
	if (r->child[0])
		text_add(&t, "child '%s': ", r->child);
	text_add(&t, "%s", r->why);
	if (r->have_ours)
		add_proposals(&t, r);
	add_identities(&t, r);
	add_selectors(&t, r);
	for (unsigned i = 0; i < r->n_candidates; i++)
		add_candidate(&t, &r->candidate[i]);
	if (r->candidates_total > r->n_candidates)
		text_add(&t, "; and %u more", r->candidates_total - r->n_candidates);
	if (r->by_peer)
		text_add(&t, "; its log tells more");
	return strcpy(buf, t.s);
}
