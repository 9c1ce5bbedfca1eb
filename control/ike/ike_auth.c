// IKE_AUTH (RFC 7296 1.2, 2.15): both sides prove who they are and make the first child SA.
//
//	Initiator                         Responder
//	-------------------------------------------------------------------
//	HDR, SK {IDi, [CERT+,] [CERTREQ,]
//	    [IDr,] AUTH, SAi2, TSi, TSr}  -->
//	                           <--  HDR, SK {IDr, [CERT+,] AUTH, SAr2, TSi, TSr}
// or, when the child cannot be (2.21.2), the IKE SA without it:
//	                           <--  HDR, SK {IDr, AUTH, N(TS_UNACCEPTABLE) ...}
// or, when we do not believe the initiator:
//	                           <--  HDR, SK {N(AUTHENTICATION_FAILED)}
#include "control/ike/ike_auth.h"

#include <errno.h>
#include <string.h>

#include "control/ike/auth_cert.h"
#include "control/ike/auth_psk.h"
#include "control/ike/child_auth.h"
#include "control/ike/informational.h"
#include "control/ike/mobike.h"
#include "control/ike/path.h"
#include "control/ike/payload.h"
#include "control/ike/refuse.h"
#include "control/ike/report.h"
#include "control/ike/request.h"
#include "control/ike/transition.h"

static enum verdict on_request(struct step *st, const struct ike_msg *m);
static enum verdict on_response(struct step *st, const struct ike_msg *m);

// CERT and CERTREQ may come more than once; auth_cert.c collects them.
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

// Who we are on a connection: as configured, else as our certificate says, else our address.
static struct identity own_identity(const struct ike_sa *sa, const struct ike_conn *conn)
{
	const struct ike_cred *cred = sa->env->cred;
	struct identity id;

	if (cred && conn->local_auth == AUTH_BY_SIGNATURE &&
	    !cred->local_id(cred->ctx, conn->name, &id))
		return id;
	return sa_identity_of(&conn->local_id, &sa->local.addr);
}

// The proof of the peer, which has said to be sa->remote_id, by the method that the connection
// wants and no other (CVE-2021-45079, CVE-2020-16088). Reports failures.
static enum proof auth_verify(struct step *st, const struct ike_msg *m)
{
	struct ike_sa *sa = st->sa;
	const struct ike_payload *p = ike_msg_find(m, PAYLOAD_AUTH);
	bool by_psk = sa->conn->remote_auth == AUTH_BY_PSK;
	struct ike_auth_payload auth;

	if (!p || payload_auth_parse(p, &auth)) {
		act_refusal(st, refuse_new(st, by_psk ? IKE_REPORT_AUTH_FAILED : IKE_REPORT_CERT,
					   "the peer sent no AUTH (it wants EAP?), a %s is wanted",
					   by_psk ? "pre-shared key" : "signature"));
		return PROOF_BAD;
	}
	if (!by_psk)
		return cert_verify(st, m, &auth);
	return psk_verify(st, &auth) ? PROOF_GOOD : PROOF_BAD;
}

static void established(struct step *st)
{
	struct ike_sa *sa = st->sa;
	struct text text;

	sa_lifetime_start(sa, st->ev->now_ms);
	path_settle(st);
	sa->ts_local = sa->local.addr;
	sa->ts_remote = sa->remote.addr;
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

// What stands between our certificates and AUTH.
static void build_wishes(struct step *st, struct ike_builder *b)
{
	struct ike_sa *sa = st->sa;

	cert_build_request(sa, b);
	if (!identity_is_pattern(&sa->conn->remote_id))
		build_id(b, PAYLOAD_IDR, &sa->conn->remote_id);
}

// False with *said set when a report tells why.
static bool auth_send(struct step *st, const struct ike_msg *init, bool *said)
{
	struct ike_sa *sa = st->sa;
	struct ike_builder b;

	request_begin(st, &b, EXCHANGE_IKE_AUTH);
	build_id(&b, PAYLOAD_IDI, &sa->local_id);
	if (sa->conn->local_auth == AUTH_BY_PSK) {
		build_wishes(st, &b);
		*said = !psk_build(st, &b, &sa->conn->remote_id);
	} else {
		*said = !cert_build(st, &b, init, build_wishes);
	}
	if (*said)
		return false;
	if (sa->first_contact) // RFC 7296 2.4: in the first IKE_AUTH request
		build_notify(&b, N_INITIAL_CONTACT, NULL, 0);
	mobike_build_auth_request(st, &b);
	if (sa->child.conf && !first_child_offer(st, &b))
		return false;
	return request_send(st, &b, REQUEST_AUTH);
}

void auth_start(struct step *st, const struct ike_msg *init)
{
	struct ike_sa *sa = st->sa;
	struct ike_notify n;
	bool said = false;

	sa->local_id = own_identity(sa, sa->conn);
	// RFC 6023 3: only with a responder that says so.
	if (!sa->child.conf && !ike_msg_notify(init, N_CHILDLESS_IKEV2_SUPPORTED, 0, &n)) {
		act_report(st, IKE_REPORT_INFO, IKE_SEV_ERROR,
			   "the peer makes no IKE SA without a child: initiate a child");
		act_close(st, false, "the peer needs a child");
		return;
	}
	if (auth_send(st, init, &said))
		return;
	if (!said)
		act_report(st, IKE_REPORT_INFO, IKE_SEV_ERROR, "cannot send IKE_AUTH");
	act_close(st, false, "IKE_AUTH could not be built");
}

// We do not believe the responder: say so and end (RFC 7296 2.21.2).
static enum verdict responder_refused(struct step *st)
{
	child_request_fini(st->sa);
	if (!send_auth_failed(st))
		act_close(st, false, "the peer could not prove its identity");
	return V_STAY;
}

static enum verdict refused_by_responder(struct step *st, const struct ike_notify *n)
{
	const struct ike_sa *sa = st->sa;
	char buf[NOTIFY_TEXT_MAX], peer[IP_ENDPOINT_TEXT_MAX];
	struct ike_refusal *r;

	ip_endpoint_format(&sa->remote, peer, sizeof(peer));
	if (n->type == N_AUTHENTICATION_FAILED)
		r = refuse_new(st, IKE_REPORT_PEER_REFUSED_AUTH,
			       "peer %s refused our authentication (AUTHENTICATION_FAILED): it "
			       "does not accept our %s or identity",
			       peer,
			       sa->conn->local_auth == AUTH_BY_PSK ? "pre-shared key"
								   : "certificate");
	else
		r = refuse_new(st, IKE_REPORT_INFO, "peer %s refused IKE_AUTH with %s", peer,
			       notify_name(n->type, buf, sizeof(buf)));
	act_refusal(st, refuse_by_peer(r, n->type));
	act_close(st, true, "IKE_AUTH refused by the peer");
	return V_STAY;
}

static enum verdict on_response(struct step *st, const struct ike_msg *m)
{
	struct ike_sa *sa = st->sa;
	const struct ike_payload *idr = ike_msg_find(m, PAYLOAD_IDR);
	struct ike_notify n;
	enum proof proof;

	// Without AUTH there is no SA, whatever else the answer holds (RFC 7296 2.15).
	if (!ike_msg_find(m, PAYLOAD_AUTH) && ike_msg_error(m, &n))
		return refused_by_responder(st, &n);
	if (!idr || payload_id_parse(idr, &sa->remote_id)) {
		act_refusal(st, refuse_new(st, IKE_REPORT_AUTH_FAILED,
					   "the peer's IKE_AUTH response names no identity"));
		return responder_refused(st);
	}
	if (!identity_matches(&sa->conn->remote_id, &sa->remote_id)) {
		act_refusal(st, refuse_new(st, IKE_REPORT_NO_CONNECTION,
					   "the peer is not the one that connection '%s' wants",
					   sa->conn->name));
		return responder_refused(st);
	}
	proof = auth_verify(st, m);
	if (proof != PROOF_GOOD)
		return proof == PROOF_LATER ? V_WAIT : responder_refused(st);
	established(st);
	mobike_take_auth(st, m);
	if (!first_child_answered(st, m)) {
		act_report(st, IKE_REPORT_INVALID_MESSAGE, IKE_SEV_ERROR,
			   "the peer's answer about the child SA is malformed");
		sa->orphan_spi = sa->child.spi_in;
	}
	child_request_fini(sa);
	sa_forget_handshake(sa);
	return V_NEXT;
}

// ---- responder ----

// The SA stays half open: a peer that made a mistake may try again, and the answer can be
// repeated; it ends by LIMIT_IKE_AUTH_FAILURES or LIMIT_IKE_HALF_OPEN_MS.
static enum verdict initiator_refused(struct step *st, const struct ike_msg *m, uint16_t notify)
{
	struct ike_sa *sa = st->sa;

	if (!reply_notify(st, m, notify, NULL, 0))
		act_close(st, false, "no answer could be built");
	else if (++sa->auth_failures >= LIMIT_IKE_AUTH_FAILURES)
		act_close(st, false, "authentication failed too often");
	return V_STAY;
}

// Whether a candidate is not the connection that the peer means, and what it has lost by.
static bool candidate_lost(const struct ike_sa *sa, const struct ike_conn *conn,
			   const struct identity *idi, const struct identity *idr,
			   enum refusal_lost *by)
{
	struct identity local;

	*by = LOST_PEER_ID;
	if (!identity_matches(&conn->remote_id, idi)) // most of a hub's connections
		return true;
	*by = LOST_OWN_ID;
	local = own_identity(sa, conn);
	if (idr->type != ID_ANY && !identity_equal(&local, idr))
		return true;
	*by = LOST_PROPOSAL;
	return !proposal_is_answer_to(&sa->chosen, &conn->ike, false);
}

static void report_no_connection(struct step *st, const struct identity *idi,
				 const struct identity *idr)
{
	const struct ike_sa *sa = st->sa;
	const struct proposal_list chosen = {.n = 1, .p = {sa->chosen}};
	const struct ike_conn *const *conns = NULL;
	char peer[IP_ENDPOINT_TEXT_MAX];
	struct ike_refusal *r =
		refuse_new(st, IKE_REPORT_NO_CONNECTION, "no connection fits peer %s",
			   ip_endpoint_format(&sa->remote, peer, sizeof(peer)));

	if (r && !r->brief)
		conns = sa->env->conns_find(sa->env->ctx, &sa->local.addr, &sa->remote.addr);
	for (size_t i = 0; conns && conns[i]; i++) {
		struct refusal_candidate *c;
		enum refusal_lost by;

		if (r->n_candidates == LIMIT_IKE_REFUSAL_CANDIDATES) {
			r->candidates_total++; // a hub has thousands: counted, not compared
			continue;
		}
		candidate_lost(sa, conns[i], idi, idr, &by);
		c = refuse_candidate(r, conns[i]->name, by);
		c->local = own_identity(sa, conns[i]);
		c->remote = conns[i]->remote_id;
		if (by == LOST_PROPOSAL)
			c->differs = refusal_differs(&chosen, &conns[i]->ike, false);
	}
	if (r && !r->brief) {
		r->notify = N_AUTHENTICATION_FAILED;
		r->remote_id = *idi;
		r->local_asked = *idr;
	}
	act_refusal(st, r);
}

static const struct ike_conn *const *candidates(const struct ike_sa *sa, const struct identity *idi)
{
	const struct ike_env *env = sa->env;

	if (env->conns_named)
		return env->conns_named(env->ctx, &sa->local.addr, &sa->remote.addr, idi);
	return env->conns_find(env->ctx, &sa->local.addr, &sa->remote.addr);
}

// Finds the connection by identities; sets conn and both identities of the SA. Of several the first
// that wants to be convinced in the way that the peer tries.
static bool connection_choose(struct step *st, const struct ike_msg *m, const struct identity *idi,
			      const struct identity *idr)
{
	struct ike_sa *sa = st->sa;
	const struct ike_payload *p = ike_msg_find(m, PAYLOAD_AUTH);
	const struct ike_conn *const *conns, *found = NULL;
	struct ike_auth_payload auth = {0};

	if (p)
		payload_auth_parse(p, &auth);
	conns = candidates(sa, idi);
	for (size_t i = 0; conns && conns[i]; i++) {
		enum refusal_lost by;

		if (candidate_lost(sa, conns[i], idi, idr, &by))
			continue;
		if ((conns[i]->remote_auth == AUTH_BY_PSK) == (auth.method == AUTH_SHARED_KEY)) {
			found = conns[i];
			break;
		}
		if (!found)
			found = conns[i];
	}
	if (!found) {
		report_no_connection(st, idi, idr);
		return false;
	}
	sa->conn = found;
	sa->local_id = own_identity(sa, found);
	sa->remote_id = *idi;
	return true;
}

// Our own proof can be made before the peer is told anything: a lack of ours (no key for it, no
// hash in common) refuses it like a lack of its own.
static bool auth_reply(struct step *st, const struct ike_msg *m, struct ike_builder *b)
{
	struct ike_sa *sa = st->sa;

	reply_begin(st, b, m);
	build_id(b, PAYLOAD_IDR, &sa->local_id);
	return sa->conn->local_auth == AUTH_BY_PSK ? psk_build(st, b, &sa->remote_id)
						   : cert_build(st, b, m, NULL);
}

// The peer is who it says; whether it may come twice is asked only now.
static bool may_join(struct step *st, bool only)
{
	const struct ike_sa *sa = st->sa;
	const struct ike_env *env = sa->env;
	char peer[IP_ENDPOINT_TEXT_MAX];
	struct text id;

	if (!env->may_join ||
	    env->may_join(env->ctx, sa->conn, &sa->local_id, &sa->remote_id, only))
		return true;
	text_init(&id);
	text_add_identity(&id, &sa->remote_id);
	act_report(st, IKE_REPORT_INFO, IKE_SEV_ERROR,
		   "peer %s, %s, is refused: it has an IKE SA of this connection (unique = keep)",
		   ip_endpoint_format(&sa->remote, peer, sizeof(peer)), id.s);
	return false;
}

static enum verdict on_request(struct step *st, const struct ike_msg *m)
{
	struct ike_sa *sa = st->sa;
	const struct ike_payload *p = ike_msg_find(m, PAYLOAD_IDR);
	struct identity idi, idr = {.type = ID_ANY};
	enum proof proof = PROOF_BAD;
	struct ike_builder b;
	struct ike_notify n;
	bool only;

	if (payload_id_parse(ike_msg_find(m, PAYLOAD_IDI), &idi) ||
	    (p && payload_id_parse(p, &idr)))
		return V_SYNTAX;
	only = ike_msg_notify(m, N_INITIAL_CONTACT, 0, &n);
	if (connection_choose(st, m, &idi, &idr))
		proof = auth_verify(st, m);
	if (proof == PROOF_LATER)
		return V_WAIT;
	if (proof != PROOF_GOOD)
		return initiator_refused(st, m, N_AUTHENTICATION_FAILED);
	if (!mobike_nats_ok(st, m))
		return initiator_refused(st, m, N_UNEXPECTED_NAT_DETECTED);
	if (!may_join(st, only) || !auth_reply(st, m, &b))
		return initiator_refused(st, m, N_AUTHENTICATION_FAILED);
	established(st);
	mobike_take_auth(st, m);
	if (only) {
		act_only_sa(st);
		act_report(st, IKE_REPORT_INFO, IKE_SEV_INFO,
			   "the peer says that this is its only IKE SA with us "
			   "(INITIAL_CONTACT)");
	}
	// Installed before the answer leaves: the initiator may send at once.
	if (!first_child_choose(st, m, &b))
		return V_SYNTAX;
	mobike_build_auth_reply(st, &b);
	if (!reply_send(st, &b, m)) {
		act_close(st, false, "no answer could be built");
		return V_STAY;
	}
	sa_forget_handshake(sa);
	return V_NEXT;
}
