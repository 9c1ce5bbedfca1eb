#include "control/ike/child_nego.h"

#include <string.h>

#include "control/ike/payload.h"
#include "control/ike/report.h"
#include "control/ike/ts.h"

bool child_offer_parse(const struct ike_msg *m, struct child_offer *out)
{
	const struct ike_payload *sa = ike_msg_find(m, PAYLOAD_SA);
	const struct ike_payload *tsi = ike_msg_find(m, PAYLOAD_TSI);
	const struct ike_payload *tsr = ike_msg_find(m, PAYLOAD_TSR);

	return sa && tsi && tsr && !sa_payload_parse(sa, PROTO_ESP, &out->sa) &&
	       !ts_payload_parse(tsi, &out->tsi) && !ts_payload_parse(tsr, &out->tsr);
}

// ---- exchange initiator ----

bool child_ask(struct step *st)
{
	struct ike_sa *sa = st->sa;
	struct child_request *r = &sa->child;

	if (sa->env->spi_reserve(sa->env->ctx, &r->spi_in)) {
		r->spi_in = 0;
		act_report(st, IKE_REPORT_INFO, IKE_SEV_ERROR, "child '%s': no inbound SPI is free",
			   r->conf->name);
		return false;
	}
	child_selectors(sa, r->conf, &r->local_ts, &r->remote_ts);
	return true;
}

void child_report_refusal(struct step *st, const struct ike_notify *n)
{
	const struct child_request *r = &st->sa->child;
	const struct ike_child_conf *conf = r->conf;
	enum ike_report_code code = IKE_REPORT_INFO;
	char buf[NOTIFY_TEXT_MAX];
	struct text text;

	text_init(&text);
	text_add(&text,
		 "%s child '%s' refused by the peer with %s: ", r->replaces ? "rekeying of" : "the",
		 conf->name, notify_name(n->type, buf, sizeof(buf)));
	if (n->type == N_TS_UNACCEPTABLE) {
		code = IKE_REPORT_TS_MISMATCH;
		text_add(&text, "it does not accept ");
		text_add_selectors(&text, &r->local_ts);
		text_add(&text, " === ");
		text_add_selectors(&text, &r->remote_ts);
		text_add(&text, " (ours === its)");
	} else if (n->type == N_NO_PROPOSAL_CHOSEN) {
		code = IKE_REPORT_ESP_MISMATCH;
		text_add(&text, "it accepts none of our ESP proposals: ");
		text_add_proposals(&text, &conf->esp, 700);
	} else {
		text_add(&text, "its log tells more");
	}
	act_report(st, code, IKE_SEV_ERROR, "%s", text.s);
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

bool child_answer_ok(struct step *st, const struct child_offer *answer, bool ignore_ke)
{
	const struct child_request *r = &st->sa->child;
	struct text text;

	text_init(&text);
	text_add(&text, "child '%s': ", r->conf->name);
	if (!esp_answer_ok(r->conf, &answer->sa, ignore_ke)) {
		text_add(&text, "the peer chose an ESP proposal that we did not offer: ");
		text_add_proposals(&text, &answer->sa.list, 300);
		text_add(&text, "; we offered ");
		text_add_proposals(&text, &r->conf->esp, 400);
		act_report(st, IKE_REPORT_ESP_MISMATCH, IKE_SEV_ERROR, "%s", text.s);
		return false;
	}
	// RFC 7296 2.9: the responder may narrow, never widen.
	if (!ts_is_subset(&answer->tsi, &r->local_ts) ||
	    !ts_is_subset(&answer->tsr, &r->remote_ts)) {
		text_add(&text, "the peer answered with selectors outside of our offer: ");
		text_add_selectors(&text, &answer->tsi);
		text_add(&text, " === ");
		text_add_selectors(&text, &answer->tsr);
		text_add(&text, "; we offered ");
		text_add_selectors(&text, &r->local_ts);
		text_add(&text, " === ");
		text_add_selectors(&text, &r->remote_ts);
		act_report(st, IKE_REPORT_TS_MISMATCH, IKE_SEV_ERROR, "%s", text.s);
		return false;
	}
	return true;
}

// ---- exchange responder ----

enum fit { FIT_NONE, FIT_PART, FIT_FIRST, FIT_WHOLE };

// How well a child's policy fits the selectors offered (RFC 7296 2.9): all of them, at least the
// first pair, which may be the packet that started it, or anything.
static enum fit child_fit(const struct ike_sa *sa, const struct ike_child_conf *conf,
			  const struct child_offer *offer, struct selector_list *local_ts,
			  struct selector_list *remote_ts)
{
	struct selector_list local, remote, first_i = {.n = 1}, first_r = {.n = 1}, common;

	child_selectors(sa, conf, &local, &remote);
	if (!ts_narrow(&offer->tsi, &remote, remote_ts) ||
	    !ts_narrow(&offer->tsr, &local, local_ts))
		return FIT_NONE;
	if (ts_is_subset(&offer->tsi, remote_ts) && ts_is_subset(&offer->tsr, local_ts))
		return FIT_WHOLE;
	first_i.s[0] = offer->tsi.s[0];
	first_r.s[0] = offer->tsr.s[0];
	if (ts_narrow(&first_i, &remote, &common) && ts_is_subset(&first_i, &common) &&
	    ts_narrow(&first_r, &local, &common) && ts_is_subset(&first_r, &common))
		return FIT_FIRST;
	return FIT_PART;
}

static uint16_t refuse_selectors(struct step *st, const struct child_offer *offer)
{
	const struct ike_sa *sa = st->sa;
	struct text text;

	text_init(&text);
	text_add(&text, "no child fits the selectors that the peer offers: ");
	text_add_selectors(&text, &offer->tsr);
	text_add(&text, " === ");
	text_add_selectors(&text, &offer->tsi);
	text_add(&text, " (ours === its)");
	for (size_t i = 0; i < sa->conn->n_children; i++) {
		struct selector_list local, remote;

		child_selectors(sa, &sa->conn->children[i], &local, &remote);
		text_add(&text, "; '%s' wants ", sa->conn->children[i].name);
		text_add_selectors(&text, &local);
		text_add(&text, " === ");
		text_add_selectors(&text, &remote);
	}
	act_report(st, IKE_REPORT_TS_MISMATCH, IKE_SEV_ERROR, "%s", text.s);
	return N_TS_UNACCEPTABLE;
}

static uint16_t refuse_esp(struct step *st, const struct child_offer *offer,
			   const struct ike_child_conf *conf, bool ignore_ke)
{
	struct text text;

	text_init(&text);
	text_add(&text, "child '%s': none of the peer's ESP proposals is acceptable: ", conf->name);
	text_add_difference(&text, &conf->esp, &offer->sa.list, ignore_ke);
	text_add(&text, "; it offers ");
	text_add_proposals(&text, &offer->sa.list, 380);
	text_add(&text, "; we want ");
	text_add_proposals(&text, &conf->esp, 380);
	act_report(st, IKE_REPORT_ESP_MISMATCH, IKE_SEV_ERROR, "%s", text.s);
	return N_NO_PROPOSAL_CHOSEN;
}

uint16_t child_choose(struct step *st, const struct child_offer *offer, bool ignore_ke,
		      const struct ike_child_conf *only, struct child_new *new,
		      struct proposal *esp)
{
	const struct ike_sa *sa = st->sa;
	const struct ike_child_conf *fitting = NULL;
	enum fit best = FIT_NONE;

	for (size_t i = 0; i < sa->conn->n_children; i++) {
		const struct ike_child_conf *conf = &sa->conn->children[i];
		struct selector_list local_ts, remote_ts;
		struct proposal chosen;
		enum fit fit;

		if (only && conf != only)
			continue;
		fit = child_fit(sa, conf, offer, &local_ts, &remote_ts);
		if (fit == FIT_NONE)
			continue;
		if (!fitting)
			fitting = conf;
		if (fit <= best || proposal_choose(&conf->esp, &offer->sa.list, ignore_ke, &chosen))
			continue;
		best = fit;
		*esp = chosen;
		new->conf = conf;
		new->local_ts = local_ts;
		new->remote_ts = remote_ts;
	}
	if (best == FIT_NONE)
		return fitting ? refuse_esp(st, offer, fitting, ignore_ke)
			       : refuse_selectors(st, offer);
	new->esp = esp;
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

	build_sa(b, &chosen, new->spi_in, false);
}

void child_build_ts(struct ike_builder *b, const struct child_new *new)
{
	build_ts(b, PAYLOAD_TSI, &new->remote_ts);
	build_ts(b, PAYLOAD_TSR, &new->local_ts);
}
