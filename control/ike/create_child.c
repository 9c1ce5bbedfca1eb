// CREATE_CHILD_SA (RFC 7296 1.3): further children and rekeying. Not offered yet: the peer gets a
// clear refusal and goes on with what it has.
//
//	Initiator                         Responder
//	-------------------------------------------------------------------
//	HDR, SK {[N(REKEY_SA),] SA, Ni, [KEi,] [TSi, TSr]}  -->
//	                           <--  HDR, SK {N(NO_ADDITIONAL_SAS)}
#include "control/ike/request.h"
#include "control/ike/transition.h"

static enum verdict on_request(struct step *st, const struct ike_msg *m);
static enum verdict on_request_deleting(struct step *st, const struct ike_msg *m);

static const struct ike_transition rows[] = {
	{
		.story = "the peer wants another child, or a rekeying",
		.from = PHASE_ESTABLISHED,
		.exchange = EXCHANGE_CREATE_CHILD_SA,
		.role = AS_EXCHANGE_RESPONDER,
		.optional = HAS(SA) | HAS(NONCE) | HAS(KE) | HAS(TSI) | HAS(TSR),
		.handler = on_request,
		.next = PHASE_ESTABLISHED,
	},
	{
		.story = "the same while we close the IKE SA",
		.from = PHASE_DELETING,
		.exchange = EXCHANGE_CREATE_CHILD_SA,
		.role = AS_EXCHANGE_RESPONDER,
		.optional = HAS(SA) | HAS(NONCE) | HAS(KE) | HAS(TSI) | HAS(TSR),
		.handler = on_request_deleting,
		.next = PHASE_DELETING,
	},
};

const struct ike_transitions create_child_transitions = {rows, sizeof(rows) / sizeof(rows[0])};

static enum verdict refuse(struct step *st, const struct ike_msg *m, uint16_t notify)
{
	if (!reply_notify(st, m, notify, NULL, 0))
		act_close(st, false, "no answer could be built");
	return V_NEXT;
}

static enum verdict on_request(struct step *st, const struct ike_msg *m)
{
	act_report(st, IKE_REPORT_INFO, IKE_SEV_NOTICE,
		   "the peer asked for another child SA or a rekeying, which is not supported "
		   "yet: refused with NO_ADDITIONAL_SAS");
	return refuse(st, m, N_NO_ADDITIONAL_SAS); // RFC 7296 1.3
}

static enum verdict on_request_deleting(struct step *st, const struct ike_msg *m)
{
	return refuse(st, m, N_TEMPORARY_FAILURE); // RFC 7296 2.25.2
}
