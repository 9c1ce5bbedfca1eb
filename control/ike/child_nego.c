#include "control/ike/child_nego.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/ike/child_mode.h"
#include "control/ike/payload.h"
#include "control/ike/refuse.h"
#include "control/ike/ts.h"

bool child_offer_parse(const struct ike_msg *m, struct child_offer *out)
{
	const struct ike_payload *sa = ike_msg_find(m, PAYLOAD_SA);
	const struct ike_payload *tsi = ike_msg_find(m, PAYLOAD_TSI);
	const struct ike_payload *tsr = ike_msg_find(m, PAYLOAD_TSR);
	struct ike_notify n;

	out->no_tfc = ike_msg_notify(m, N_ESP_TFC_PADDING_NOT_SUPPORTED, 0, &n);
	out->mode =
		(struct child_mode){.transport = ike_msg_notify(m, N_USE_TRANSPORT_MODE, 0, &n)};
	return sa && tsi && tsr && !sa_payload_parse(sa, PROTO_ESP, &out->sa) &&
	       !ts_payload_parse(tsi, &out->tsi) && !ts_payload_parse(tsr, &out->tsr);
}

// ---- exchange initiator ----

bool child_ask(struct step *st)
{
	struct ike_sa *sa = st->sa;
	struct child_request *r = &sa->child;

	child_selectors(sa, r->conf, &r->local_ts, &r->remote_ts);
	if (!ts_pair(&r->local_ts, &r->remote_ts)) {
		act_report(st, IKE_REPORT_TS_MISMATCH, IKE_SEV_ERROR,
			   "child '%s': 'dynamic' is an IPv%c address here, and the other side has "
			   "no network of that family",
			   r->conf->name, sa->local.addr.family == IP_V6 ? '6' : '4');
		return false;
	}
	if (sa->env->spi_reserve(sa->env->ctx, &r->spi_in)) {
		r->spi_in = 0;
		act_report(st, IKE_REPORT_INFO, IKE_SEV_ERROR, "child '%s': no inbound SPI is free",
			   r->conf->name);
		return false;
	}
	r->transport = child_mode_ask(st, r);
	return true;
}

void child_build_offer(struct ike_builder *b, const struct child_request *r, bool ignore_ke)
{
	if (r->transport)
		child_mode_build(b);
	build_sa(b, &r->conf->esp, r->spi_in, ignore_ke);
}

// The first child of an IKE SA has no key exchange of its own (RFC 7296 1.2).
static bool in_ike_auth(const struct step *st)
{
	return st->sa->phase == PHASE_AUTH_SENT || st->sa->phase == PHASE_HALF_OPEN;
}

static struct ike_refusal *refuse_child(struct step *st, const struct ike_child_conf *conf,
					enum ike_report_code code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static struct ike_refusal *refuse_child(struct step *st, const struct ike_child_conf *conf,
					enum ike_report_code code, const char *fmt, ...)
{
	struct ike_refusal *r;
	char why[ERROR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	r = refuse_new(st, code, "%s", why);
	if (r)
		snprintf(r->child, sizeof(r->child), "%s", conf->name);
	return r;
}

void child_report_refusal(struct step *st, const struct ike_notify *n)
{
	const struct child_request *r = &st->sa->child;
	const struct ike_child_conf *conf = r->conf;
	bool ts = n->type == N_TS_UNACCEPTABLE, esp = n->type == N_NO_PROPOSAL_CHOSEN;
	struct ike_refusal *why;
	char buf[NOTIFY_TEXT_MAX];

	why = refuse_child(st, conf,
			   ts	 ? IKE_REPORT_TS_MISMATCH
			   : esp ? IKE_REPORT_ESP_MISMATCH
				 : IKE_REPORT_INFO,
			   "%srefused by the peer with %s%s", r->replaces ? "rekeying it is " : "",
			   notify_name(n->type, buf, sizeof(buf)),
			   ts	 ? ": it does not accept our selectors"
			   : esp ? ": it accepts none of our ESP proposals"
				 : "");
	refuse_by_peer(why, n->type);
	if (esp)
		refuse_proposals(why, &conf->esp, NULL, in_ike_auth(st));
	else
		refuse_our_ts(why, &r->local_ts, &r->remote_ts);
	act_refusal(st, why);
}

static bool esp_answer_ok(const struct ike_child_conf *conf, const struct sa_offer *answer,
			  bool ignore_ke)
{
	const struct proposal *p = &answer->list.p[0];
	struct proposal_list offer = {.n = 1};

	if (answer->list.n != 1 || answer->skipped || p->number == 0 || p->number > conf->esp.n)
		return false;
	offer.p[0] = conf->esp.p[p->number - 1];
	offer.p[0].number = p->number;
	return proposal_is_answer_to(p, &offer, ignore_ke);
}

// RFC 7296 1.3.1: the responder may decline, and then it is tunnel mode. What nobody has asked for
// it must not have.
static bool mode_answer_ok(struct step *st, struct child_offer *answer)
{
	const struct child_request *r = &st->sa->child;
	struct ike_refusal *why;

	if (r->transport && !answer->mode.transport)
		act_report(st, IKE_REPORT_INFO, IKE_SEV_NOTICE,
			   "child '%s': the peer declines transport mode, so it is in tunnel mode",
			   r->conf->name);
	if (!answer->mode.transport)
		return true;
	if (r->transport &&
	    child_mode_substitute(st->sa, &answer->tsi, &answer->tsr, &answer->mode))
		return true;
	why = refuse_child(st, r->conf, IKE_REPORT_TS_MISMATCH,
			   r->transport
				   ? "the peer answered with selectors that are no single addresses"
				   : "the peer answered with transport mode, which we did not ask "
				     "for");
	refuse_their_ts(why, &answer->tsi, &answer->tsr);
	refuse_our_ts(why, &r->local_ts, &r->remote_ts);
	act_refusal(st, why);
	return false;
}

bool child_answer_ok(struct step *st, struct child_offer *answer, bool ignore_ke)
{
	const struct child_request *r = &st->sa->child;
	struct selector_list tsi, tsr; // as they came
	struct ike_refusal *why;

	if (!esp_answer_ok(r->conf, &answer->sa, ignore_ke)) {
		why = refuse_child(st, r->conf, IKE_REPORT_ESP_MISMATCH,
				   "the peer chose an ESP proposal that we did not offer");
		refuse_proposals(why, &r->conf->esp, &answer->sa.list, ignore_ke);
		act_refusal(st, why);
		return false;
	}
	if (!mode_answer_ok(st, answer))
		return false;
	// RFC 7296 2.9: the responder may narrow, never widen.
	if (!ts_is_subset(&answer->tsi, &r->local_ts) ||
	    !ts_is_subset(&answer->tsr, &r->remote_ts)) {
		why = refuse_child(st, r->conf, IKE_REPORT_TS_MISMATCH,
				   "the peer answered with selectors outside of our offer");
		refuse_their_ts(why, &answer->tsi, &answer->tsr);
		refuse_our_ts(why, &r->local_ts, &r->remote_ts);
		act_refusal(st, why);
		return false;
	}
	tsi = answer->tsi;
	tsr = answer->tsr;
	if (!ts_pair(&answer->tsi, &answer->tsr)) {
		why = refuse_child(st, r->conf, IKE_REPORT_TS_MISMATCH,
				   "the peer answered with IPv4 on one side and IPv6 on the other");
		refuse_their_ts(why, &tsi, &tsr);
		refuse_our_ts(why, &r->local_ts, &r->remote_ts);
		act_refusal(st, why);
		return false;
	}
	return true;
}

// ---- exchange responder ----

enum fit { FIT_NONE, FIT_PART, FIT_FIRST, FIT_WHOLE };

// How well a child's policy fits the selectors offered (RFC 7296 2.9): all of them, at least the
// first pair, which may be the packet that started it, or anything.
static enum fit selectors_fit(const struct ike_sa *sa, const struct ike_child_conf *conf,
			      const struct child_offer *offer, struct selector_list *local_ts,
			      struct selector_list *remote_ts)
{
	struct selector_list local, remote, first_i = {.n = 1}, first_r = {.n = 1}, common;

	child_selectors(sa, conf, &local, &remote);
	if (!ts_narrow(&offer->tsi, &remote, remote_ts) ||
	    !ts_narrow(&offer->tsr, &local, local_ts) || !ts_pair(local_ts, remote_ts))
		return FIT_NONE;
	if (ts_is_subset(&offer->tsi, remote_ts) && ts_is_subset(&offer->tsr, local_ts))
		return FIT_WHOLE;
	first_i.s[0] = offer->tsi.s[0];
	first_r.s[0] = offer->tsr.s[0];
	if (first_i.s[0].family == first_r.s[0].family && ts_narrow(&first_i, &remote, &common) &&
	    ts_is_subset(&first_i, &common) && ts_narrow(&first_r, &local, &common) &&
	    ts_is_subset(&first_r, &common))
		return FIT_FIRST;
	return FIT_PART;
}

// The same with what each mode makes of the selectors. Transport mode when the peer asks for it,
// the child is to have it and its selectors allow it; else tunnel mode, which the peer has to
// accept.
static enum fit child_fit(const struct ike_sa *sa, const struct ike_child_conf *conf,
			  const struct child_offer *offer, struct child_new *new)
{
	struct child_offer seen = *offer;
	enum fit fit = FIT_NONE;

	new->conf = conf;
	new->mode = (struct child_mode){0};
	if (offer->mode.transport && conf->transport &&
	    child_mode_substitute(sa, &seen.tsr, &seen.tsi, &new->mode))
		fit = selectors_fit(sa, conf, &seen, &new->local_ts, &new->remote_ts);
	if (fit != FIT_NONE && child_mode_fits(sa, &new->local_ts, &new->remote_ts))
		return fit;
	new->mode = (struct child_mode){0};
	return selectors_fit(sa, conf, offer, &new->local_ts, &new->remote_ts);
}

static uint16_t refuse_selectors(struct step *st, const struct child_offer *offer)
{
	const struct ike_sa *sa = st->sa;
	struct ike_refusal *why =
		refuse_new(st, IKE_REPORT_TS_MISMATCH, "no child fits the peer's selectors");

	refuse_their_ts(why, &offer->tsr, &offer->tsi);
	for (size_t i = 0; i < sa->conn->n_children; i++) {
		const struct ike_child_conf *conf = sa->conn->children[i];
		struct refusal_candidate *c = refuse_candidate(why, conf->name, LOST_SELECTORS);

		if (c)
			child_selectors(sa, conf, &c->local_ts, &c->remote_ts);
	}
	if (why)
		why->notify = N_TS_UNACCEPTABLE;
	act_refusal(st, why);
	return N_TS_UNACCEPTABLE;
}

static uint16_t refuse_esp(struct step *st, const struct child_offer *offer,
			   const struct ike_child_conf *conf, bool ignore_ke)
{
	struct ike_refusal *why = refuse_child(st, conf, IKE_REPORT_ESP_MISMATCH,
					       "none of the peer's ESP proposals is acceptable");

	refuse_proposals(why, &conf->esp, &offer->sa.list, ignore_ke);
	refuse_their_ts(why, &offer->tsr, &offer->tsi);
	if (why)
		why->notify = N_NO_PROPOSAL_CHOSEN;
	act_refusal(st, why);
	return N_NO_PROPOSAL_CHOSEN;
}

uint16_t child_choose(struct step *st, const struct child_offer *offer, bool ignore_ke,
		      const struct ike_child_conf *only, struct child_new *new,
		      struct proposal *esp)
{
	const struct ike_sa *sa = st->sa;
	const struct ike_child_conf *fitting = NULL;
	unsigned best = 0;

	// A child that is rekeyed may be one that the configuration no longer has.
	for (size_t i = 0; i < (only ? 1 : sa->conn->n_children); i++) {
		const struct ike_child_conf *conf = only ? only : sa->conn->children[i];
		struct child_new candidate = *new;
		struct proposal chosen;
		unsigned fit;

		// Among equals the one of the mode that the peer asks for.
		fit = 2 * child_fit(sa, conf, offer, &candidate);
		if (fit == 0)
			continue;
		if (offer->mode.transport == conf->transport)
			fit++;
		if (!fitting)
			fitting = conf;
		if (fit <= best || proposal_choose(&conf->esp, &offer->sa.list, ignore_ke, &chosen))
			continue;
		best = fit;
		*esp = chosen;
		*new = candidate;
	}
	if (best == 0)
		return fitting ? refuse_esp(st, offer, fitting, ignore_ke)
			       : refuse_selectors(st, offer);
	new->esp = esp;
	new->no_tfc = offer->no_tfc;
	for (unsigned i = 0; i < offer->sa.list.n; i++)
		if (offer->sa.list.p[i].number == esp->number)
			new->spi_out = (uint32_t)offer->sa.spi[i];
	return 0;
}

uint16_t child_accept(struct step *st, struct child_new *new, struct ike_child **out)
{
	const struct ike_env *env = st->sa->env;
	struct ike_child *child;

	if (env->spi_reserve(env->ctx, &new->spi_in)) {
		act_report(st, IKE_REPORT_INFO, IKE_SEV_ERROR, "child '%s': no inbound SPI is free",
			   new->conf->name);
		return N_NO_ADDITIONAL_SAS;
	}
	child = child_install(st, new);
	if (!child) {
		env->spi_release(env->ctx, new->spi_in);
		return N_NO_PROPOSAL_CHOSEN;
	}
	if (out)
		*out = child;
	return 0;
}

void child_build_sa(struct ike_builder *b, const struct child_new *new)
{
	struct proposal_list chosen = {.n = 1, .p = {*new->esp}};

	if (new->mode.transport)
		child_mode_build(b);
	build_sa(b, &chosen, new->spi_in, false);
}

void child_build_ts(struct ike_builder *b, const struct child_new *new)
{
	build_ts(b, PAYLOAD_TSI, &new->remote_ts);
	build_ts(b, PAYLOAD_TSR, &new->local_ts);
}
