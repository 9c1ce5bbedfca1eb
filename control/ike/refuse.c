#include "control/ike/refuse.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

// Whoever is not authenticated may make us explain again and again: ike_run says how often.
static void ask_to_explain(struct ike_refusal *r, const struct step *st, const struct ike_header *h)
{
	const struct ike_env *env = st->sa->env;

	if (st->ev->type == IKE_EV_MESSAGE && !h->is_response && !st->sa->established_ms &&
	    env->explain)
		r->brief = !env->explain(env->ctx, &st->ev->remote.addr, &r->stranger);
}

static void place(struct ike_refusal *r, const struct step *st, const struct ike_header *h)
{
	const struct ike_sa *sa = st->sa;

	if (st->ev->type == IKE_EV_MESSAGE) {
		r->exchange = h->exchange;
		r->exchange_initiator = h->is_response;
		r->local = st->ev->local;
		r->remote = st->ev->remote;
		return;
	}
	r->exchange =
		sa->request.kind != REQUEST_NONE ? sa->request.exchange : EXCHANGE_IKE_SA_INIT;
	r->exchange_initiator = true;
	r->local = sa->local;
	r->remote = sa->remote;
}

static void describe(struct ike_refusal *r, const struct ike_sa *sa)
{
	if (!sa->conn)
		return;
	snprintf(r->conn, sizeof(r->conn), "%s", sa->conn->name);
	r->remote_wanted = sa->conn->remote_id;
	r->local_id = sa->local_id;
	r->remote_id = sa->remote_id;
}

struct ike_refusal *refuse_new(struct step *st, enum ike_report_code code, const char *fmt, ...)
{
	struct ike_refusal *r = calloc(1, sizeof(*r));
	struct ike_header h = {0};
	va_list ap;

	if (!r) {
		st->nomem = true;
		return NULL;
	}
	if (st->ev->type == IKE_EV_MESSAGE)
		ike_header_parse(st->ev->bytes, st->ev->len, &h);
	r->code = code;
	ask_to_explain(r, st, &h);
	place(r, st, &h);
	if (!r->brief)
		describe(r, st->sa);
	va_start(ap, fmt);
	vsnprintf(r->why, sizeof(r->why), fmt, ap);
	va_end(ap);
	return r;
}

struct ike_refusal *refuse_by_peer(struct ike_refusal *r, uint16_t notify)
{
	if (!r)
		return NULL;
	r->by_peer = true;
	r->notify = notify;
	return r;
}

void refuse_proposals(struct ike_refusal *r, const struct proposal_list *ours,
		      const struct proposal_list *theirs, bool ignore_ke)
{
	if (!r || r->brief)
		return;
	r->ignore_ke = ignore_ke;
	r->have_ours = ours != NULL;
	r->have_theirs = theirs != NULL;
	if (ours)
		r->ours = *ours;
	if (theirs)
		r->theirs = *theirs;
}

void refuse_our_ts(struct ike_refusal *r, const struct selector_list *local,
		   const struct selector_list *remote)
{
	if (!r || r->brief)
		return;
	r->have_our_ts = true;
	r->our_ts = (struct refusal_selectors){*local, *remote};
}

void refuse_their_ts(struct ike_refusal *r, const struct selector_list *local,
		     const struct selector_list *remote)
{
	if (!r || r->brief)
		return;
	r->have_their_ts = true;
	r->their_ts = (struct refusal_selectors){*local, *remote};
}

struct refusal_candidate *refuse_candidate(struct ike_refusal *r, const char *name,
					   enum refusal_lost lost)
{
	struct refusal_candidate *c;

	if (!r || r->brief)
		return NULL;
	r->candidates_total++;
	if (r->n_candidates == LIMIT_IKE_REFUSAL_CANDIDATES)
		return NULL;
	c = &r->candidate[r->n_candidates++];
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->lost = lost;
	return c;
}

void refuse_certs(struct ike_refusal *r, const struct ike_cred *cred, const struct ike_certs *certs)
{
	if (!r || r->brief || !cred || !cred->describe)
		return;
	for (size_t i = 0; i < certs->n && r->n_certs < LIMIT_IKE_REFUSAL_CERTS; i++)
		if (!cred->describe(cred->ctx, &certs->cert[i], &r->cert[r->n_certs]))
			r->n_certs++;
}
