#include "control/ike/child_auth.h"

#include <string.h>

#include "control/ike/child.h"
#include "control/ike/payload.h"
#include "control/ike/report.h"
#include "control/ike/sa_payload.h"
#include "control/ike/ts.h"

struct child_offer { // the payloads of one side
	struct sa_offer sa;
	struct selector_list tsi, tsr;
};

static bool offer_parse(const struct ike_msg *m, struct child_offer *out)
{
	const struct ike_payload *sa = ike_msg_find(m, PAYLOAD_SA);
	const struct ike_payload *tsi = ike_msg_find(m, PAYLOAD_TSI);
	const struct ike_payload *tsr = ike_msg_find(m, PAYLOAD_TSR);

	return sa && tsi && tsr && !sa_payload_parse(sa, PROTO_ESP, &out->sa) &&
	       !ts_payload_parse(tsi, &out->tsi) && !ts_payload_parse(tsr, &out->tsr);
}

// ---- initiator ----

bool first_child_offer(struct step *st, struct ike_builder *b)
{
	struct ike_sa *sa = st->sa;
	const struct ike_child_conf *conf = sa->first_child;

	if (sa->env->spi_reserve(sa->env->ctx, &sa->first_spi)) {
		sa->first_spi = 0;
		act_report(st, IKE_REPORT_INFO, IKE_SEV_ERROR, "child '%s': no inbound SPI is free",
			   conf->name);
		return false;
	}
	child_selectors(sa, conf, &sa->first_local_ts, &sa->first_remote_ts);
	build_sa(b, &conf->esp, sa->first_spi, true);
	build_ts(b, PAYLOAD_TSI, &sa->first_local_ts);
	build_ts(b, PAYLOAD_TSR, &sa->first_remote_ts);
	return true;
}

// The responder keeps the IKE SA without the child (RFC 7296 2.21.2); so do we.
static void report_refusal(struct step *st, const struct ike_notify *n)
{
	const struct ike_sa *sa = st->sa;
	const struct ike_child_conf *conf = sa->first_child;
	enum ike_report_code code = IKE_REPORT_INFO;
	char buf[NOTIFY_TEXT_MAX];
	struct text text;

	text_init(&text);
	text_add(&text, "child '%s' refused by the peer with %s: ", conf->name,
		 notify_name(n->type, buf, sizeof(buf)));
	if (n->type == N_TS_UNACCEPTABLE) {
		code = IKE_REPORT_TS_MISMATCH;
		text_add(&text, "it does not accept ");
		text_add_selectors(&text, &sa->first_local_ts);
		text_add(&text, " === ");
		text_add_selectors(&text, &sa->first_remote_ts);
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

static bool esp_answer_ok(const struct ike_child_conf *conf, const struct sa_offer *answer)
{
	const struct proposal *p = &answer->list.p[0];
	struct proposal_list offer = {.n = 1};

	if (answer->list.n != 1 || answer->skipped || p->number == 0 || p->number > conf->esp.n)
		return false;
	offer.p[0] = conf->esp.p[p->number - 1];
	offer.p[0].number = p->number;
	return proposal_is_answer_to(p, &offer, true);
}

// The peer has installed what we do not accept: tell it.
static void refuse_answer(struct step *st, enum ike_report_code code, const struct text *text)
{
	act_report(st, code, IKE_SEV_ERROR, "%s", text->s);
	st->sa->orphan_spi = st->sa->first_spi;
	sa_release_first_spi(st->sa);
}

static void answer_install(struct step *st, const struct child_offer *answer)
{
	struct ike_sa *sa = st->sa;
	struct child_new new = {
		.conf = sa->first_child,
		.esp = &answer->sa.list.p[0],
		.spi_in = sa->first_spi,
		.spi_out = answer->sa.spi[0],
		.local_ts = answer->tsi,
		.remote_ts = answer->tsr,
		.exchange_initiator = true,
	};
	struct text text;

	text_init(&text);
	text_add(&text, "child '%s': ", new.conf->name);
	if (!esp_answer_ok(new.conf, &answer->sa)) {
		text_add(&text, "the peer chose an ESP proposal that we did not offer: ");
		text_add_proposals(&text, &answer->sa.list, 300);
		text_add(&text, "; we offered ");
		text_add_proposals(&text, &new.conf->esp, 400);
		refuse_answer(st, IKE_REPORT_ESP_MISMATCH, &text);
		return;
	}
	// RFC 7296 2.9: the responder may narrow, never widen.
	if (!ts_is_subset(&new.local_ts, &sa->first_local_ts) ||
	    !ts_is_subset(&new.remote_ts, &sa->first_remote_ts)) {
		text_add(&text, "the peer answered with selectors outside of our offer: ");
		text_add_selectors(&text, &new.local_ts);
		text_add(&text, " === ");
		text_add_selectors(&text, &new.remote_ts);
		text_add(&text, "; we offered ");
		text_add_selectors(&text, &sa->first_local_ts);
		text_add(&text, " === ");
		text_add_selectors(&text, &sa->first_remote_ts);
		refuse_answer(st, IKE_REPORT_TS_MISMATCH, &text);
		return;
	}
	if (!child_install(st, &new)) {
		sa->orphan_spi = sa->first_spi;
		sa_release_first_spi(sa);
		return;
	}
	sa->first_spi = 0; // the child's now
}

bool first_child_answered(struct step *st, const struct ike_msg *m)
{
	struct ike_sa *sa = st->sa;
	struct child_offer answer;
	struct ike_notify n;
	struct text text;

	if (!sa->first_child)
		return true;
	if (ike_msg_find(m, PAYLOAD_SA)) {
		if (!offer_parse(m, &answer))
			return false;
		answer_install(st, &answer);
		return true;
	}
	if (ike_msg_error(m, &n)) {
		report_refusal(st, &n);
	} else {
		text_init(&text);
		text_add(&text, "child '%s': the peer did not answer our offer",
			 sa->first_child->name);
		act_report(st, IKE_REPORT_INFO, IKE_SEV_ERROR, "%s", text.s);
	}
	sa_release_first_spi(sa);
	return true;
}

// ---- responder ----

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

static void refuse_selectors(struct step *st, const struct child_offer *offer,
			     struct ike_builder *b)
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
	build_notify(b, N_TS_UNACCEPTABLE, NULL, 0);
}

static void refuse_esp(struct step *st, const struct child_offer *offer,
		       const struct ike_child_conf *conf, struct ike_builder *b)
{
	struct text text;

	text_init(&text);
	text_add(&text, "child '%s': none of the peer's ESP proposals is acceptable: ", conf->name);
	text_add_difference(&text, &conf->esp, &offer->sa.list, true);
	text_add(&text, "; it offers ");
	text_add_proposals(&text, &offer->sa.list, 380);
	text_add(&text, "; we want ");
	text_add_proposals(&text, &conf->esp, 380);
	act_report(st, IKE_REPORT_ESP_MISMATCH, IKE_SEV_ERROR, "%s", text.s);
	build_notify(b, N_NO_PROPOSAL_CHOSEN, NULL, 0);
}

static void choose_install(struct step *st, const struct child_offer *offer, struct child_new *new,
			   struct ike_builder *b)
{
	struct ike_sa *sa = st->sa;
	struct proposal_list chosen = {.n = 1, .p = {*new->esp}};

	for (unsigned i = 0; i < offer->sa.list.n; i++)
		if (offer->sa.list.p[i].number == new->esp->number)
			new->spi_out = offer->sa.spi[i];
	if (sa->env->spi_reserve(sa->env->ctx, &new->spi_in)) {
		act_report(st, IKE_REPORT_INFO, IKE_SEV_ERROR, "child '%s': no inbound SPI is free",
			   new->conf->name);
		build_notify(b, N_NO_ADDITIONAL_SAS, NULL, 0);
		return;
	}
	if (!child_install(st, new)) {
		sa->env->spi_release(sa->env->ctx, new->spi_in);
		build_notify(b, N_NO_PROPOSAL_CHOSEN, NULL, 0);
		return;
	}
	build_sa(b, &chosen, new->spi_in, true);
	build_ts(b, PAYLOAD_TSI, &new->remote_ts);
	build_ts(b, PAYLOAD_TSR, &new->local_ts);
}

bool first_child_choose(struct step *st, const struct ike_msg *m, struct ike_builder *b)
{
	struct ike_sa *sa = st->sa;
	const struct ike_child_conf *fitting = NULL;
	struct child_offer offer;
	struct child_new best = {0};
	struct proposal chosen, best_esp;
	enum fit best_fit = FIT_NONE;

	if (!ike_msg_find(m, PAYLOAD_SA) && !ike_msg_find(m, PAYLOAD_TSI) &&
	    !ike_msg_find(m, PAYLOAD_TSR))
		return true; // childless (RFC 6023)
	if (!offer_parse(m, &offer))
		return false;
	for (size_t i = 0; i < sa->conn->n_children; i++) {
		const struct ike_child_conf *conf = &sa->conn->children[i];
		struct selector_list local_ts, remote_ts;
		enum fit fit = child_fit(sa, conf, &offer, &local_ts, &remote_ts);

		if (fit == FIT_NONE)
			continue;
		if (!fitting)
			fitting = conf;
		if (fit <= best_fit || proposal_choose(&conf->esp, &offer.sa.list, true, &chosen))
			continue;
		best_fit = fit;
		best_esp = chosen;
		best = (struct child_new){
			.conf = conf, .local_ts = local_ts, .remote_ts = remote_ts};
	}
	if (best_fit != FIT_NONE) {
		best.esp = &best_esp;
		choose_install(st, &offer, &best, b);
	} else if (fitting) {
		refuse_esp(st, &offer, fitting, b);
	} else {
		refuse_selectors(st, &offer, b);
	}
	return true;
}
