// INFORMATIONAL (RFC 7296 1.4): deletion, liveness, errors. Either side begins.
//
//	Initiator                         Responder
//	-------------------------------------------------------------------
//	HDR, SK {[N,] [D,] [CP,] ...}  -->
//	                           <--  HDR, SK {[N,] [D,] [CP,] ...}
#include "control/ike/informational.h"

#include "control/ike/child.h"
#include "control/ike/create_child.h"
#include "control/ike/mobike.h"
#include "control/ike/payload.h"
#include "control/ike/refuse.h"
#include "control/ike/request.h"
#include "control/ike/transition.h"

static enum verdict on_request(struct step *st, const struct ike_msg *m);
static enum verdict on_request_deleting(struct step *st, const struct ike_msg *m);
static enum verdict on_response(struct step *st, const struct ike_msg *m);

static const struct ike_transition rows[] = {
	{
		.story = "the peer deletes, checks that we live, or tells us something",
		.from = PHASE_ESTABLISHED,
		.exchange = EXCHANGE_INFORMATIONAL,
		.role = AS_EXCHANGE_RESPONDER,
		.handler = on_request,
		.next = PHASE_ESTABLISHED,
	},
	{
		.story = "our liveness check or the deletion of a child is answered",
		.from = PHASE_ESTABLISHED,
		.exchange = EXCHANGE_INFORMATIONAL,
		.role = AS_EXCHANGE_INITIATOR,
		.handler = on_response,
		.next = PHASE_ESTABLISHED,
	},
	{
		.story = "the peer deletes an IKE SA that it has replaced",
		.from = PHASE_REKEYED,
		.exchange = EXCHANGE_INFORMATIONAL,
		.role = AS_EXCHANGE_RESPONDER,
		.handler = on_request,
		.next = PHASE_REKEYED,
	},
	{
		.story = "our last liveness check on it is answered",
		.from = PHASE_REKEYED,
		.exchange = EXCHANGE_INFORMATIONAL,
		.role = AS_EXCHANGE_INITIATOR,
		.handler = on_response,
		.next = PHASE_REKEYED,
	},
	{
		.story = "both sides delete the IKE SA, or the peer was not aware yet",
		.from = PHASE_DELETING,
		.exchange = EXCHANGE_INFORMATIONAL,
		.role = AS_EXCHANGE_RESPONDER,
		.handler = on_request_deleting,
		.next = PHASE_DELETING,
	},
	{
		.story = "our deletion of the IKE SA is answered",
		.from = PHASE_DELETING,
		.exchange = EXCHANGE_INFORMATIONAL,
		.role = AS_EXCHANGE_INITIATOR,
		.handler = on_response,
		.next = PHASE_CLOSED,
	},
};

const struct ike_transitions informational_transitions = {rows, sizeof(rows) / sizeof(rows[0])};

// ---- requests of ours ----

bool send_delete_ike(struct step *st)
{
	struct ike_builder b;

	request_begin(st, &b, EXCHANGE_INFORMATIONAL);
	build_delete_ike(&b);
	if (!request_send(st, &b, REQUEST_DELETE_IKE))
		return false;
	// Closing the IKE SA closes its children, without a word about them (RFC 7296 1.4.1).
	children_remove_all(st, false);
	st->sa->phase = PHASE_DELETING;
	st->sa->give_up_ms = IKE_NEVER; // the repetitions end by themselves
	return true;
}

bool send_delete_child(struct step *st, uint32_t spi_in)
{
	struct ike_builder b;

	request_begin(st, &b, EXCHANGE_INFORMATIONAL);
	build_delete_esp(&b, &spi_in, 1); // RFC 7296 3.11: the SPIs that the sender expects
	if (!request_send(st, &b, REQUEST_DELETE_CHILD))
		return false;
	st->sa->request.spi_in = spi_in;
	return true;
}

bool send_liveness(struct step *st)
{
	struct ike_builder b;

	request_begin(st, &b, EXCHANGE_INFORMATIONAL); // empty (RFC 7296 2.4)
	mobike_build_liveness(st, &b);
	return request_send(st, &b, REQUEST_LIVENESS);
}

bool send_auth_failed(struct step *st)
{
	struct ike_builder b;

	request_begin(st, &b, EXCHANGE_INFORMATIONAL);
	build_notify(&b, N_AUTHENTICATION_FAILED, NULL, 0);
	if (!request_send(st, &b, REQUEST_AUTH_FAILED))
		return false;
	st->sa->phase = PHASE_DELETING;
	st->sa->give_up_ms = IKE_NEVER;
	return true;
}

static bool names_spi(const struct ike_msg *m, uint32_t spi)
{
	for (size_t i = 0; i < m->n; i++) {
		struct ike_delete d;
		struct reader r;

		if (m->p[i].type != PAYLOAD_DELETE || payload_delete_parse(&m->p[i], &d) ||
		    d.protocol != PROTO_ESP)
			continue;
		r = reader_of(d.spis, (size_t)d.n * d.spi_len);
		for (unsigned k = 0; k < d.n; k++)
			if (read_u32(&r) == spi)
				return true;
	}
	return false;
}

// The answer names the peer's half of the pair, or nothing when the peer had closed it already
// (RFC 7296 1.4.1); ours goes in both cases. It is gone when the peer deleted the same pair
// meanwhile. A peer that may not have known the child yet, and says nothing of it, is told again.
static void on_child_deleted(struct step *st, const struct ike_msg *m)
{
	struct ike_child *child = child_by_spi_in(st->sa, st->sa->request.spi_in);

	if (!child)
		return;
	if (st->sa->request.doubtful && !names_spi(m, child->info.spi_out)) {
		child->deleting = false;
		child->drop_ms = st->ev->now_ms + IKE_DOUBT_RETRY_MS;
		// Nothing else is to become of it.
		child->info.rekey_ms = child->info.expires_ms = child->probe_ms = IKE_NEVER;
		return;
	}
	child_remove(st, child, false);
}

static enum verdict on_response(struct step *st, const struct ike_msg *m)
{
	struct ike_notify n;

	switch (st->answered) {
	case REQUEST_DELETE_IKE:
		act_close(st, false, "deleted by us");
		return V_STAY;
	case REQUEST_AUTH_FAILED:
		act_close(st, false, "the peer could not prove its identity");
		return V_STAY;
	case REQUEST_DELETE_CHILD:
		on_child_deleted(st, m);
		break;
	default:
		mobike_answered(st, m);
		break;
	}
	if (st->sa->phase == PHASE_CLOSED)
		return V_STAY;
	// RFC 7296 2.21.3: fatal on both sides, without a DELETE.
	if (ike_msg_notify(m, N_INVALID_SYNTAX, 0, &n)) {
		act_report(st, IKE_REPORT_INVALID_MESSAGE, IKE_SEV_ERROR,
			   "the peer calls our message malformed (INVALID_SYNTAX)");
		act_close(st, true, "INVALID_SYNTAX received");
		return V_STAY;
	}
	return V_NEXT;
}

// ---- requests of the peer ----

// True when the peer has ended the IKE SA; it is answered and closed then.
static bool peer_ended(struct step *st, const struct ike_msg *m)
{
	struct ike_notify n;
	struct ike_builder b;
	struct ike_refusal *r;
	bool refused = ike_msg_notify(m, N_AUTHENTICATION_FAILED, 0, &n);
	bool deleted = false;

	for (size_t i = 0; i < m->n; i++) {
		struct ike_delete d;

		if (m->p[i].type == PAYLOAD_DELETE && !payload_delete_parse(&m->p[i], &d) &&
		    d.protocol == PROTO_IKE)
			deleted = true;
	}
	if (!refused && !deleted)
		return false;
	reply_begin(st, &b, m);
	reply_send(st, &b, m);
	rekey_rival_wins(st); // the peer is done with this SA, its successor has the children
	if (refused) {
		r = refuse_new(st, IKE_REPORT_PEER_REFUSED_AUTH,
			       "the peer refused our authentication (AUTHENTICATION_FAILED): it "
			       "does not accept our %s or identity",
			       st->sa->conn->local_auth == AUTH_BY_PSK ? "pre-shared key"
								       : "certificate");
		act_refusal(st, refuse_by_peer(r, N_AUTHENTICATION_FAILED));
		act_close(st, true, "the peer refused our authentication");
	} else {
		bool replaced = st->sa->phase == PHASE_REKEYED || st->sa->rival_nonce.len > 0;

		act_report(st, IKE_REPORT_PEER_DELETED, replaced ? IKE_SEV_INFO : IKE_SEV_NOTICE,
			   "the peer deleted the IKE SA%s",
			   replaced ? " that it has replaced" : "");
		act_close(st, true, replaced ? "replaced" : "deleted by the peer");
	}
	return true;
}

enum { DELETE_ANSWER_MAX = 64 }; // SPIs in one answer

// Closes the children that the peer deletes and collects our halves of the pairs.
static size_t peer_deletes(struct step *st, const struct ike_msg *m, uint32_t *spis)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++) {
		struct ike_delete d;
		struct reader r;

		if (m->p[i].type != PAYLOAD_DELETE || payload_delete_parse(&m->p[i], &d) ||
		    d.protocol != PROTO_ESP)
			continue;
		r = reader_of(d.spis, (size_t)d.n * d.spi_len);
		for (unsigned k = 0; k < d.n; k++) {
			// The peer names what it receives on: our outbound SPI. One that we do
			// not know, or no longer, is not an error (RFC 7296 1.4.1).
			struct ike_child *child = child_by_spi_out(st->sa, read_u32(&r));

			if (!child)
				continue;
			// RFC 7296 1.4.1: for a pair that our own DELETE names as well, the
			// answer MUST NOT hold a Delete payload.
			if (!child->deleting && n < DELETE_ANSWER_MAX)
				spis[n++] = child->info.spi_in;
			child_remove(st, child, true);
		}
	}
	return n;
}

static enum verdict on_request(struct step *st, const struct ike_msg *m)
{
	uint32_t spis[DELETE_ANSWER_MAX];
	struct ike_builder b;
	size_t n;

	if (peer_ended(st, m))
		return V_STAY;
	rekey_rival_used(st);
	n = peer_deletes(st, m, spis);
	reply_begin(st, &b, m);
	if (n > 0)
		build_delete_esp(&b, spis, n);
	mobike_request(st, m, &b);
	if (!reply_send(st, &b, m))
		act_close(st, false, "no answer could be built");
	return V_NEXT;
}

static enum verdict on_request_deleting(struct step *st, const struct ike_msg *m)
{
	struct ike_builder b;

	// RFC 7296 1.4.1: answer as usual and forget about our own request.
	if (peer_ended(st, m))
		return V_STAY;
	reply_begin(st, &b, m);
	if (!reply_send(st, &b, m))
		act_close(st, false, "no answer could be built");
	return V_NEXT;
}
