// IKE_AUTH (RFC 7296 1.2, 2.15): both sides prove who they are and make the first child SA.
//
//	Initiator                         Responder
//	-------------------------------------------------------------------
//	HDR, SK {IDi, [IDr,] AUTH,
//	    SAi2, TSi, TSr}  -->
//	                           <--  HDR, SK {IDr, AUTH, SAr2, TSi, TSr}
// or, when the child cannot be (2.21.2), the IKE SA without it:
//	                           <--  HDR, SK {IDr, AUTH, N(TS_UNACCEPTABLE) ...}
// or, when we do not believe the initiator:
//	                           <--  HDR, SK {N(AUTHENTICATION_FAILED)}
#include "control/ike/ike_auth.h"

#include <errno.h>
#include <string.h>

#include "control/ike/child_auth.h"
#include "control/ike/informational.h"
#include "control/ike/payload.h"
#include "control/ike/report.h"
#include "control/ike/request.h"
#include "control/ike/transition.h"

static enum verdict on_request(struct step *st, const struct ike_msg *m);
static enum verdict on_response(struct step *st, const struct ike_msg *m);

static const struct ike_transition rows[] = {
	{
		.story = "the initiator proves who it is and asks for a child",
		.from = PHASE_HALF_OPEN,
		.exchange = EXCHANGE_IKE_AUTH,
		.role = AS_EXCHANGE_RESPONDER,
		.required = HAS(IDI),
		.optional = HAS(IDR) | HAS(AUTH) | HAS(SA) | HAS(TSI) | HAS(TSR),
		.handler = on_request,
		.next = PHASE_ESTABLISHED,
	},
	{
		.story = "the responder proves who it is, or refuses us",
		.from = PHASE_AUTH_SENT,
		.exchange = EXCHANGE_IKE_AUTH,
		.role = AS_EXCHANGE_INITIATOR,
		.optional = HAS(IDR) | HAS(AUTH) | HAS(SA) | HAS(TSI) | HAS(TSR),
		.handler = on_response,
		.next = PHASE_ESTABLISHED,
	},
};

const struct ike_transitions ike_auth_transitions = {rows, sizeof(rows) / sizeof(rows[0])};

// AUTH of one side of the SA: the original initiator's or the responder's.
static int auth_of(const struct ike_sa *sa, bool of_initiator, const struct secret *psk,
		   const struct identity *id, uint8_t *out, size_t *len)
{
	const struct octets *message = of_initiator ? &sa->init_request : &sa->init_response;
	struct ike_buf octets = {message->data, message->len};

	return ike_auth_psk(sa->env->crypto, &sa->suite, psk,
			    of_initiator ? &sa->keys.pi : &sa->keys.pr, &octets,
			    of_initiator ? &sa->nr : &sa->ni, id, out, len);
}

static bool build_own_auth(struct step *st, struct ike_builder *b, const struct secret *psk)
{
	struct ike_sa *sa = st->sa;
	uint8_t auth[IKE_PRF_MAX];
	size_t len = sizeof(auth);

	if (auth_of(sa, sa->original_initiator, psk, &sa->local_id, auth, &len))
		return false;
	build_auth(b, AUTH_SHARED_KEY, auth, len);
	return true;
}

static void report_no_psk(struct step *st, const struct identity *remote)
{
	struct text text;

	text_init(&text);
	text_add(&text, "no pre-shared key is configured for ");
	text_add_identity(&text, &st->sa->local_id);
	text_add(&text, " (we) and ");
	text_add_identity(&text, remote);
	text_add(&text, " (peer)");
	act_report(st, IKE_REPORT_NO_PSK, IKE_SEV_ERROR, "%s", text.s);
}

// Checks the AUTH payload of the peer, which has said to be sa->remote_id. Reports failures.
static bool auth_verify(struct step *st, const struct ike_msg *m, const struct secret *psk)
{
	struct ike_sa *sa = st->sa;
	const struct ike_payload *p = ike_msg_find(m, PAYLOAD_AUTH);
	struct ike_auth_payload auth;
	uint8_t wanted[IKE_PRF_MAX];
	size_t len = sizeof(wanted);
	struct text text;

	text_init(&text);
	if (!p || payload_auth_parse(p, &auth)) {
		text_add_identity(&text, &sa->remote_id);
		act_report(st, IKE_REPORT_AUTH_FAILED, IKE_SEV_ERROR,
			   "%s sent no AUTH (it wants EAP?), a pre-shared key is wanted", text.s);
		return false;
	}
	if (auth.method != AUTH_SHARED_KEY) {
		text_add_identity(&text, &sa->remote_id);
		act_report(st, IKE_REPORT_AUTH_FAILED, IKE_SEV_ERROR,
			   "%s authenticates by method %u, a pre-shared key (method 2) is wanted",
			   text.s, auth.method);
		return false;
	}
	if (!auth_of(sa, !sa->original_initiator, psk, &sa->remote_id, wanted, &len) &&
	    auth.len == len && bytes_equal_ct(auth.data, wanted, len))
		return true;
	text_add(&text, "AUTH of ");
	text_add_identity(&text, &sa->remote_id);
	text_add(&text, " does not verify: the pre-shared keys differ between it and us (");
	text_add_identity(&text, &sa->local_id);
	text_add(&text, ")");
	act_report(st, IKE_REPORT_AUTH_FAILED, IKE_SEV_ERROR, "%s", text.s);
	return false;
}

static void established(struct step *st)
{
	struct ike_sa *sa = st->sa;
	struct text text;

	sa->established_ms = st->ev->now_ms;
	sa->last_inbound_ms = st->ev->now_ms;
	if (!sa->want_terminate)
		sa->give_up_ms = IKE_NEVER;
	text_init(&text);
	text_add(&text, "IKE SA established between ");
	text_add_identity(&text, &sa->local_id);
	text_add(&text, " (we) and ");
	text_add_identity(&text, &sa->remote_id);
	text_add(&text, " (peer), ");
	text_add_proposal(&text, &sa->chosen);
	if (sa->nat.encap)
		text_add(&text, ", ESP in UDP%s%s", sa->nat.local ? ", NAT before us" : "",
			 sa->nat.remote ? ", NAT before the peer" : "");
	act_report(st, IKE_REPORT_ESTABLISHED, IKE_SEV_NOTICE, "%s", text.s);
}

// ---- initiator ----

static bool auth_send(struct step *st, const struct secret *psk)
{
	struct ike_sa *sa = st->sa;
	struct ike_builder b;

	request_begin(st, &b, EXCHANGE_IKE_AUTH);
	build_id(&b, PAYLOAD_IDI, &sa->local_id);
	if (sa->conn->remote_id.type != ID_ANY)
		build_id(&b, PAYLOAD_IDR, &sa->conn->remote_id);
	if (!build_own_auth(st, &b, psk))
		return false;
	if (sa->first_child && !first_child_offer(st, &b))
		return false;
	return request_send(st, &b, REQUEST_AUTH);
}

void auth_start(struct step *st, const struct ike_msg *init)
{
	struct ike_sa *sa = st->sa;
	const struct secret *psk;
	struct ike_notify n;

	sa->local_id = sa_identity_of(&sa->conn->local_id, &sa->local.addr);
	// RFC 6023 3: only with a responder that says so.
	if (!sa->first_child && !ike_msg_notify(init, N_CHILDLESS_IKEV2_SUPPORTED, 0, &n)) {
		act_report(st, IKE_REPORT_INFO, IKE_SEV_ERROR,
			   "the peer makes no IKE SA without a child: initiate a child");
		act_close(st, false, "the peer needs a child");
		return;
	}
	psk = sa_psk(sa, &sa->conn->remote_id);
	if (!psk) {
		report_no_psk(st, &sa->conn->remote_id);
		act_close(st, false, "no pre-shared key");
		return;
	}
	if (!auth_send(st, psk)) {
		act_report(st, IKE_REPORT_INFO, IKE_SEV_ERROR, "cannot send IKE_AUTH");
		act_close(st, false, "IKE_AUTH could not be built");
	}
}

// We do not believe the responder: say so and end (RFC 7296 2.21.2).
static enum verdict responder_refused(struct step *st)
{
	sa_release_first_spi(st->sa);
	if (!send_auth_failed(st))
		act_close(st, false, "the peer could not prove its identity");
	return V_STAY;
}

static enum verdict refused_by_responder(struct step *st, const struct ike_notify *n)
{
	const struct ike_sa *sa = st->sa;
	char buf[NOTIFY_TEXT_MAX], peer[IP_ENDPOINT_TEXT_MAX];
	struct text text;

	ip_endpoint_format(&sa->remote, peer, sizeof(peer));
	text_init(&text);
	if (n->type == N_AUTHENTICATION_FAILED) {
		text_add(&text,
			 "peer %s refused our authentication (AUTHENTICATION_FAILED): it does not "
			 "accept our pre-shared key or identity; we are ",
			 peer);
		text_add_identity(&text, &sa->local_id);
		text_add(&text, ", we asked for ");
		text_add_identity(&text, &sa->conn->remote_id);
		text_add(&text, "; its log tells more");
		act_report(st, IKE_REPORT_PEER_REFUSED_AUTH, IKE_SEV_ERROR, "%s", text.s);
	} else {
		act_report(st, IKE_REPORT_INFO, IKE_SEV_ERROR, "peer %s refused IKE_AUTH with %s",
			   peer, notify_name(n->type, buf, sizeof(buf)));
	}
	act_close(st, true, "IKE_AUTH refused by the peer");
	return V_STAY;
}

static enum verdict on_response(struct step *st, const struct ike_msg *m)
{
	struct ike_sa *sa = st->sa;
	const struct ike_payload *idr = ike_msg_find(m, PAYLOAD_IDR);
	const struct secret *psk;
	struct ike_notify n;
	struct text text;

	// Without AUTH there is no SA, whatever else the answer holds (RFC 7296 2.15).
	if (!ike_msg_find(m, PAYLOAD_AUTH) && ike_msg_error(m, &n))
		return refused_by_responder(st, &n);
	if (!idr || payload_id_parse(idr, &sa->remote_id)) {
		act_report(st, IKE_REPORT_AUTH_FAILED, IKE_SEV_ERROR,
			   "the peer's IKE_AUTH response names no identity");
		return responder_refused(st);
	}
	if (!identity_matches(&sa->conn->remote_id, &sa->remote_id)) {
		text_init(&text);
		text_add(&text, "the peer calls itself ");
		text_add_identity(&text, &sa->remote_id);
		text_add(&text, ", connection '%s' wants ", sa->conn->name);
		text_add_identity(&text, &sa->conn->remote_id);
		act_report(st, IKE_REPORT_NO_CONNECTION, IKE_SEV_ERROR, "%s", text.s);
		return responder_refused(st);
	}
	psk = sa_psk(sa, &sa->remote_id);
	if (!psk) {
		report_no_psk(st, &sa->remote_id);
		return responder_refused(st);
	}
	if (!auth_verify(st, m, psk))
		return responder_refused(st);
	established(st);
	if (!first_child_answered(st, m)) {
		act_report(st, IKE_REPORT_INVALID_MESSAGE, IKE_SEV_ERROR,
			   "the peer's answer about the child SA is malformed");
		sa->orphan_spi = sa->first_spi;
		sa_release_first_spi(sa);
	}
	sa_forget_handshake(sa);
	return V_NEXT;
}

// ---- responder ----

// The SA stays half open: a peer that made a mistake may try again, and the answer can be
// repeated; it ends by LIMIT_IKE_AUTH_FAILURES or LIMIT_IKE_HALF_OPEN_MS.
static enum verdict initiator_refused(struct step *st, const struct ike_msg *m)
{
	struct ike_sa *sa = st->sa;

	if (!reply_notify(st, m, N_AUTHENTICATION_FAILED, NULL, 0))
		act_close(st, false, "no answer could be built");
	else if (++sa->auth_failures >= LIMIT_IKE_AUTH_FAILURES)
		act_close(st, false, "authentication failed too often");
	return V_STAY;
}

// Why a candidate is not the connection that the peer means, or NULL when it is.
static const char *candidate_lost(const struct ike_sa *sa, const struct ike_conn *conn,
				  const struct identity *idi, const struct identity *idr)
{
	struct identity local;

	if (!identity_matches(&conn->remote_id, idi)) // most of a hub's connections
		return "expects another peer";
	local = sa_identity_of(&conn->local_id, &sa->local.addr);
	if (idr->type != ID_ANY && !identity_equal(&local, idr))
		return "is not called that";
	if (!proposal_is_answer_to(&sa->chosen, &conn->ike, false))
		return "does not accept the IKE proposal already agreed on";
	return NULL;
}

static void report_no_connection(struct step *st, const struct ike_conn *const *conns,
				 const struct identity *idi, const struct identity *idr)
{
	const struct ike_sa *sa = st->sa;
	char peer[IP_ENDPOINT_TEXT_MAX];
	struct text text;

	text_init(&text);
	text_add(&text, "no connection fits peer %s, which calls itself ",
		 ip_endpoint_format(&sa->remote, peer, sizeof(peer)));
	text_add_identity(&text, idi);
	text_add(&text, " and asks for ");
	text_add_identity(&text, idr);
	for (size_t i = 0; conns && conns[i]; i++) {
		struct identity local = sa_identity_of(&conns[i]->local_id, &sa->local.addr);

		text_add(&text, "; '%s' %s (we are ", conns[i]->name,
			 candidate_lost(sa, conns[i], idi, idr));
		text_add_identity(&text, &local);
		text_add(&text, ", it is ");
		text_add_identity(&text, &conns[i]->remote_id);
		text_add(&text, ")");
	}
	act_report(st, IKE_REPORT_NO_CONNECTION, IKE_SEV_ERROR, "%s", text.s);
}

// Finds the connection by identities; sets conn and both identities of the SA.
static bool connection_choose(struct step *st, const struct identity *idi,
			      const struct identity *idr)
{
	struct ike_sa *sa = st->sa;
	const struct ike_conn *const *conns;

	conns = sa->env->conns_find(sa->env->ctx, &sa->local.addr, &sa->remote.addr);
	for (size_t i = 0; conns && conns[i]; i++) {
		if (candidate_lost(sa, conns[i], idi, idr))
			continue;
		sa->conn = conns[i];
		sa->local_id = sa_identity_of(&sa->conn->local_id, &sa->local.addr);
		sa->remote_id = *idi;
		return true;
	}
	report_no_connection(st, conns, idi, idr);
	return false;
}

static bool auth_reply(struct step *st, const struct ike_msg *m, const struct secret *psk,
		       bool *malformed)
{
	struct ike_sa *sa = st->sa;
	struct ike_builder b;

	reply_begin(st, &b, m);
	build_id(&b, PAYLOAD_IDR, &sa->local_id);
	if (!build_own_auth(st, &b, psk))
		return false;
	// Installed before the answer leaves: the initiator may send at once.
	*malformed = !first_child_choose(st, m, &b);
	return !*malformed && reply_send(st, &b, m);
}

static enum verdict on_request(struct step *st, const struct ike_msg *m)
{
	struct ike_sa *sa = st->sa;
	const struct ike_payload *p = ike_msg_find(m, PAYLOAD_IDR);
	struct identity idi, idr = {.type = ID_ANY};
	const struct secret *psk;
	struct ike_notify n;
	bool malformed = false;

	if (payload_id_parse(ike_msg_find(m, PAYLOAD_IDI), &idi) ||
	    (p && payload_id_parse(p, &idr)))
		return V_SYNTAX;
	if (!connection_choose(st, &idi, &idr))
		return initiator_refused(st, m);
	psk = sa_psk(sa, &idi);
	if (!psk) {
		report_no_psk(st, &idi);
		return initiator_refused(st, m);
	}
	if (!auth_verify(st, m, psk))
		return initiator_refused(st, m);
	established(st);
	if (ike_msg_notify(m, N_INITIAL_CONTACT, 0, &n))
		act_report(st, IKE_REPORT_INFO, IKE_SEV_INFO,
			   "the peer says that this is its only IKE SA with us "
			   "(INITIAL_CONTACT)");
	if (!auth_reply(st, m, psk, &malformed)) {
		if (malformed)
			return V_SYNTAX;
		act_close(st, false, "no answer could be built");
		return V_STAY;
	}
	sa_forget_handshake(sa);
	return V_NEXT;
}
