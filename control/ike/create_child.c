// CREATE_CHILD_SA (RFC 7296 1.3).
//
//	Initiator                         Responder
//	-------------------------------------------------------------------
//	HDR, SK {SA, Ni, [KEi,] TSi, TSr}  -->				a further child
//	HDR, SK {N(REKEY_SA), SA, Ni, [KEi,] TSi, TSr}  -->		a child's successor
//	                           <--  HDR, SK {SA, Nr, [KEr,] TSi, TSr}
//	HDR, SK {SA, Ni, KEi}  -->					the IKE SA's successor
//	                           <--  HDR, SK {SA, Nr, KEr}
#include "control/ike/create_child.h"

#include "control/ike/payload.h"
#include "control/ike/refuse.h"

static enum verdict on_request(struct step *st, const struct ike_msg *m);
static enum verdict on_request_too_late(struct step *st, const struct ike_msg *m);
static enum verdict on_response(struct step *st, const struct ike_msg *m);

static const struct ike_transition rows[] = {
	{
		.story = "the peer wants another child, or a successor of a child or of the IKE SA",
		.from = PHASE_ESTABLISHED,
		.exchange = EXCHANGE_CREATE_CHILD_SA,
		.role = AS_EXCHANGE_RESPONDER,
		.required = HAS(SA) | HAS(NONCE),
		.optional = HAS(KE) | HAS(TSI) | HAS(TSR),
		.handler = on_request,
		.next = PHASE_ESTABLISHED,
	},
	{
		.story = "what we asked for is answered",
		.from = PHASE_ESTABLISHED,
		.exchange = EXCHANGE_CREATE_CHILD_SA,
		.role = AS_EXCHANGE_INITIATOR,
		.optional = HAS(SA) | HAS(NONCE) | HAS(KE) | HAS(TSI) | HAS(TSR),
		.handler = on_response,
		.next = PHASE_ESTABLISHED,
	},
	{
		.story = "the peer asks on an IKE SA that it has replaced",
		.from = PHASE_REKEYED,
		.exchange = EXCHANGE_CREATE_CHILD_SA,
		.role = AS_EXCHANGE_RESPONDER,
		.optional = HAS(SA) | HAS(NONCE) | HAS(KE) | HAS(TSI) | HAS(TSR),
		.handler = on_request_too_late,
		.next = PHASE_REKEYED,
	},
	{
		.story = "or while we close the IKE SA",
		.from = PHASE_DELETING,
		.exchange = EXCHANGE_CREATE_CHILD_SA,
		.role = AS_EXCHANGE_RESPONDER,
		.optional = HAS(SA) | HAS(NONCE) | HAS(KE) | HAS(TSI) | HAS(TSR),
		.handler = on_request_too_late,
		.next = PHASE_DELETING,
	},
};

const struct ike_transitions create_child_transitions = {rows, sizeof(rows) / sizeof(rows[0])};

enum verdict create_child_refuse(struct step *st, const struct ike_msg *m, uint16_t notify)
{
	if (!reply_notify(st, m, notify, NULL, 0))
		act_close(st, false, "no answer could be built");
	return V_STAY;
}

enum verdict create_child_refuse_group(struct step *st, const struct ike_msg *m, uint16_t ours,
				       uint16_t theirs)
{
	uint8_t data[2] = {(uint8_t)(ours >> 8), (uint8_t)ours};
	struct transform a = {TRANSFORM_KE, theirs, 0}, b = {TRANSFORM_KE, ours, 0};
	char guessed[TRANSFORM_TEXT_MAX], wanted[TRANSFORM_TEXT_MAX];

	act_report(st, IKE_REPORT_KE_MISMATCH, IKE_SEV_INFO,
		   "the peer guessed key exchange group %s, we choose %s: asking it to try again",
		   transform_format(&a, guessed, sizeof(guessed)),
		   transform_format(&b, wanted, sizeof(wanted)));
	if (!reply_notify(st, m, N_INVALID_KE_PAYLOAD, data, sizeof(data)))
		act_close(st, false, "no answer could be built");
	return V_STAY;
}

uint16_t create_child_other_group(struct step *st, const struct ike_notify *n,
				  const struct proposal_list *offer, uint16_t sent)
{
	struct transform group = {TRANSFORM_KE, 0, 0};
	char wanted[TRANSFORM_TEXT_MAX];
	struct ike_refusal *r;
	bool offered = false;

	if (n->len == 2)
		group.id = (uint16_t)(n->data[0] << 8 | n->data[1]);
	for (unsigned i = 0; i < offer->n; i++)
		offered |= proposal_has(&offer->p[i], &group);
	if (offered && group.id != sent && group.id != KE_NONE)
		return group.id;
	r = refuse_new(st, IKE_REPORT_KE_MISMATCH,
		       "the peer wants key exchange group %s, which we %s",
		       transform_format(&group, wanted, sizeof(wanted)),
		       group.id == sent ? "have just sent" : "did not offer");
	refuse_by_peer(r, n->type);
	refuse_proposals(r, offer, NULL, false);
	act_refusal(st, r);
	return KE_NONE;
}

uint64_t create_child_retry_ms(const struct step *st)
{
	return st->ev->now_ms + sa_later(st->sa, IKE_RETRY_MS, IKE_RETRY_MS / 2);
}

// RFC 7296 2.25.2: no answer but this while the IKE SA is on its way out.
static enum verdict on_request_too_late(struct step *st, const struct ike_msg *m)
{
	return create_child_refuse(st, m, N_TEMPORARY_FAILURE);
}

static enum verdict on_request(struct step *st, const struct ike_msg *m)
{
	const struct ike_sa *sa = st->sa;
	bool child = ike_msg_find(m, PAYLOAD_TSI) || ike_msg_find(m, PAYLOAD_TSR);

	rekey_rival_used(st);
	if (child) {
		// RFC 7296 2.25.2: its children are about to belong to another IKE SA.
		if (sa->request.kind == REQUEST_REKEY || sa->rival || sa->want_terminate)
			return create_child_refuse(st, m, N_TEMPORARY_FAILURE);
		return on_child_request(st, m);
	}
	// RFC 7296 2.25.2: not while we create, replace or close one of its children.
	if (sa->request.kind == REQUEST_CHILD || sa->request.kind == REQUEST_DELETE_CHILD ||
	    sa->rival || sa->want_terminate)
		return create_child_refuse(st, m, N_TEMPORARY_FAILURE);
	return on_rekey_request(st, m);
}

static enum verdict on_response(struct step *st, const struct ike_msg *m)
{
	if (st->answered == REQUEST_REKEY)
		return on_rekey_response(st, m);
	return on_child_response(st, m);
}
