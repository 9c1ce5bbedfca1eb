#include "control/ike/child_auth.h"

#include "control/ike/child_nego.h"
#include "control/ike/payload.h"
#include "control/ike/refuse.h"

// ---- initiator ----

bool first_child_offer(struct step *st, struct ike_builder *b)
{
	const struct child_request *r = &st->sa->child;

	if (!child_ask(st))
		return false;
	child_build_offer(b, r, true);
	build_ts(b, PAYLOAD_TSI, &r->local_ts);
	build_ts(b, PAYLOAD_TSR, &r->remote_ts);
	return true;
}

static void answer_install(struct step *st, struct child_offer *answer)
{
	struct ike_sa *sa = st->sa;
	const bool ok = child_answer_ok(st, answer, true);
	struct child_new new = {
		.conf = sa->child.conf,
		.esp = &answer->sa.list.p[0],
		.spi_in = sa->child.spi_in,
		.spi_out = (uint32_t)answer->sa.spi[0],
		.local_ts = answer->tsi,
		.remote_ts = answer->tsr,
		.mode = answer->mode,
		.exchange_initiator = true,
		.no_tfc = answer->no_tfc,
		.ni = &sa->ni,
		.nr = &sa->nr,
	};

	if (ok && child_install(st, &new))
		sa->child.spi_in = 0; // the child's now
	else			      // the peer has installed what we do not: tell it
		sa->orphan_spi = sa->child.spi_in;
}

bool first_child_answered(struct step *st, const struct ike_msg *m)
{
	struct ike_sa *sa = st->sa;
	struct child_offer answer;
	struct ike_notify n;

	if (!sa->child.conf)
		return true;
	if (ike_msg_find(m, PAYLOAD_SA)) {
		if (!child_offer_parse(m, &answer))
			return false;
		answer_install(st, &answer);
		return true;
	}
	// The responder keeps the IKE SA without the child (RFC 7296 2.21.2); so do we.
	if (ike_msg_error(m, &n))
		child_report_refusal(st, &n);
	else
		act_refusal(st, refuse_new(st, IKE_REPORT_INFO,
					   "child '%s': the peer did not answer our offer",
					   sa->child.conf->name));
	return true;
}

// ---- responder ----

bool first_child_choose(struct step *st, const struct ike_msg *m, struct ike_builder *b)
{
	struct ike_sa *sa = st->sa;
	struct child_offer offer;
	struct child_new new = {.ni = &sa->ni, .nr = &sa->nr};
	struct proposal esp;
	uint16_t notify;

	if (!ike_msg_find(m, PAYLOAD_SA) && !ike_msg_find(m, PAYLOAD_TSI) &&
	    !ike_msg_find(m, PAYLOAD_TSR))
		return true; // childless (RFC 6023)
	if (!child_offer_parse(m, &offer))
		return false;
	notify = child_choose(st, &offer, true, NULL, &new, &esp);
	if (!notify)
		notify = child_accept(st, &new, NULL);
	if (notify) {
		build_notify(b, notify, NULL, 0);
		return true;
	}
	child_build_sa(b, &new);
	child_build_ts(b, &new);
	return true;
}
