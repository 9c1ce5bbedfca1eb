// IKE_SA_INIT (RFC 7296 1.2): algorithms, nonces and a key exchange, nothing authenticated yet.
//
//	Initiator                         Responder
//	-------------------------------------------------------------------
//	HDR, SAi1, KEi, Ni, N(NAT..)  -->
//	                           <--  HDR, SAr1, KEr, Nr, [CERTREQ,] N(NAT..)
// both with N(SIGNATURE_HASH_ALGORITHMS) when the peer is to prove itself by a signature (RFC 7427)
// or, once or more often (2.6, 1.2):
//	                           <--  HDR(SPIr 0), N(COOKIE) or N(INVALID_KE_PAYLOAD)
//	HDR, [N(COOKIE),] SAi1, KEi', Ni, N(NAT..)  -->
#include "control/ike/ike_sa_init.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/ike/auth_cert.h"
#include "control/ike/ike_auth.h"
#include "control/ike/nat.h"
#include "control/ike/payload.h"
#include "control/ike/refuse.h"
#include "control/ike/request.h"
#include "control/ike/sa_payload.h"
#include "control/ike/transition.h"

static enum verdict on_request(struct step *st, const struct ike_msg *m);
static enum verdict on_response(struct step *st, const struct ike_msg *m);

static const struct ike_transition rows[] = {
	{
		.story = "a peer wants an IKE SA",
		.from = PHASE_CREATED,
		.exchange = EXCHANGE_IKE_SA_INIT,
		.role = AS_EXCHANGE_RESPONDER,
		.required = HAS(SA) | HAS(KE) | HAS(NONCE),
		.handler = on_request,
		.next = PHASE_HALF_OPEN,
	},
	{
		.story = "the responder answers, or wants a cookie, another group, or refuses",
		.from = PHASE_INIT_SENT,
		.exchange = EXCHANGE_IKE_SA_INIT,
		.role = AS_EXCHANGE_INITIATOR,
		.optional = HAS(SA) | HAS(KE) | HAS(NONCE),
		.handler = on_response,
		.next = PHASE_AUTH_SENT,
	},
};

const struct ike_transitions ike_sa_init_transitions = {rows, sizeof(rows) / sizeof(rows[0])};

static const char *group_name(uint16_t group, char *buf, size_t size)
{
	struct transform t = {TRANSFORM_KE, group, 0};

	return transform_format(&t, buf, size);
}

// g^ir and all keys of the IKE SA. -EBADMSG for a public value that is none.
static int derive_keys(struct ike_sa *sa, const struct ike_ke_payload *ke, const uint8_t spi_r[8])
{
	struct secret shared = {0};
	int err = kex_derive(sa->env, &sa->kex, ke, &shared);

	if (!err)
		err = ike_keys_derive(sa->env->crypto, &sa->suite, &sa->ni, &sa->nr, &shared,
				      sa->spi_i, spi_r, &sa->keys);
	sa->have_keys = !err;
	secret_fini(&shared);
	return err;
}

// ESP goes into UDP when somebody translates addresses, and when the configuration or the peer
// pretends so; without the peer's NAT detection it cannot.
static void nat_conclude(struct ike_sa *sa, const struct nat_result *nat, bool force)
{
	sa->nat.supported = nat->supported;
	sa->nat.local = nat->local;
	sa->nat.remote = nat->remote;
	sa->nat.encap = nat->supported && (nat->local || nat->remote || force);
}

static bool fragmentation_announced(const struct ike_msg *m)
{
	struct ike_notify n;

	return ike_msg_notify(m, N_IKEV2_FRAGMENTATION_SUPPORTED, 0, &n);
}

// ---- initiator ----

static bool init_send(struct step *st)
{
	struct ike_sa *sa = st->sa;
	const struct ike_conn *conn = sa->conn;
	struct ike_builder b;

	request_begin(st, &b, EXCHANGE_IKE_SA_INIT);
	if (sa->cookie_len > 0) // MUST be the first payload (RFC 7296 2.6)
		build_notify(&b, N_COOKIE, sa->cookie, sa->cookie_len);
	// The full list every time, whatever group was asked for: a shorter one could be the
	// wish of somebody on the path (RFC 7296 2.7).
	build_sa(&b, &conn->ike, 0, false);
	if (kex_build(&b, sa->env, &sa->kex))
		return false;
	build_octets(&b, PAYLOAD_NONCE, sa->ni.data, sa->ni.len);
	if (nat_build(&b, sa->env->crypto, sa->spi_i, sa->spi_r, &sa->local, &sa->remote,
		      conn->force_encap))
		return false;
	if (conn->fragmentation != IKE_FRAG_NO)
		build_notify(&b, N_IKEV2_FRAGMENTATION_SUPPORTED, NULL, 0);
	if (conn->remote_auth == AUTH_BY_SIGNATURE)
		cert_build_hashes(&b);
	if (!request_send(st, &b, REQUEST_INIT))
		return false;
	if (octets_set(&sa->init_request, sa->request.message.data, sa->request.message.len)) {
		st->nomem = true;
		return false;
	}
	return true;
}

void init_start(struct step *st)
{
	struct ike_sa *sa = st->sa;
	const struct transform *group = NULL;
	char local[IP_ENDPOINT_TEXT_MAX], remote[IP_ENDPOINT_TEXT_MAX];

	for (unsigned i = 0; i < sa->conn->ike.n && !group; i++)
		group = proposal_first(&sa->conn->ike.p[i], TRANSFORM_KE);
	sa->child.conf = st->ev->child;
	sa->first_contact = st->ev->first_contact;
	if (!group || nonce_new(sa->env, &sa->ni) || kex_new(sa->env, group->id, &sa->kex) ||
	    !init_send(st)) {
		act_report(st, IKE_REPORT_INFO, IKE_SEV_ERROR,
			   "cannot begin IKE_SA_INIT: no key exchange group, or the cryptography "
			   "refuses it");
		act_close(st, false, "IKE_SA_INIT could not be built");
		return;
	}
	sa->phase = PHASE_INIT_SENT;
	act_report(st, IKE_REPORT_INIT_SENT, IKE_SEV_INFO, "IKE_SA_INIT sent from %s to %s",
		   ip_endpoint_format(&sa->local, local, sizeof(local)),
		   ip_endpoint_format(&sa->remote, remote, sizeof(remote)));
}

bool init_fall_back(struct step *st)
{
	struct ike_sa *sa = st->sa;
	const struct ike_request *r = &sa->request;
	char remote[IP_ENDPOINT_TEXT_MAX];

	if (r->kind != REQUEST_INIT || sa->conn->fallback_port == 0 || sa->silent_500 > 0 ||
	    sa->remote.port != IKE_PORT || sa->init_rounds > 0 || sa->refused ||
	    (r->repeats < IKE_FALL_BACK_REPEATS && r->repeats < r->tries_max))
		return false;
	sa->silent_500 = r->repeats + r->early + 1;
	sa->local.port = IKE_NATT_PORT;
	sa->remote.port = sa->conn->fallback_port;
	// Another SPI: should only the answers from 500 be lost, the peer has a half-open IKE SA
	// of the first one, and would take what comes now for its repetition (RFC 7296 2.1).
	if (!sa_random_spi(sa->env, sa->spi_i) || nonce_new(sa->env, &sa->ni) || !init_send(st)) {
		act_close(st, false, "IKE_SA_INIT could not be built");
		return true;
	}
	act_report(st, IKE_REPORT_INIT_SENT, IKE_SEV_NOTICE,
		   "nothing answers on UDP %u (%u messages): trying %s", IKE_PORT, sa->silent_500,
		   ip_endpoint_format(&sa->remote, remote, sizeof(remote)));
	return true;
}

// An answer on the other port, whatever it says. It is not authenticated, so a forged one may send
// us to a port; it cannot keep us there, because what does not answer is left again.
static void other_port_answers(struct step *st)
{
	struct ike_sa *sa = st->sa;
	char peer[IP_ADDR_TEXT_MAX];

	if (sa->silent_500 == 0 || sa->port_told)
		return;
	sa->port_told = true;
	act_port(st, sa->silent_500);
	act_report(st, IKE_REPORT_PORT_BLOCKED, IKE_SEV_NOTICE,
		   "UDP/%u to %s is filtered (%u messages unanswered, %u answers): using %u",
		   IKE_PORT, ip_addr_format(&sa->remote.addr, peer, sizeof(peer)), sa->silent_500,
		   sa->remote.port, sa->remote.port);
}

// An answer that ends the attempt. It is not authenticated, so it is only a hint: a true answer
// may still come (RFC 7296 2.21.1). The operator hears it at once; we wait a moment longer.
static enum verdict refused(struct step *st, const struct ike_notify *n, enum ike_report_code code,
			    const char *text)
{
	struct ike_sa *sa = st->sa;
	struct ike_refusal *r;

	if (sa->refused)
		return V_STAY;
	r = refuse_new(st, code, "%s", text);
	if (n)
		refuse_by_peer(r, n->type);
	refuse_proposals(r, &sa->conn->ike, NULL, false);
	act_refusal(st, r);
	sa->refused = true;
	sa->give_up_ms = st->ev->now_ms + IKE_REFUSED_WAIT_MS;
	return V_STAY;
}

static enum verdict refused_by_notify(struct step *st, const struct ike_notify *n)
{
	const struct ike_sa *sa = st->sa;
	char buf[NOTIFY_TEXT_MAX], peer[IP_ENDPOINT_TEXT_MAX];
	bool proposals = n->type == N_NO_PROPOSAL_CHOSEN;
	char text[256];

	ip_endpoint_format(&sa->remote, peer, sizeof(peer));
	if (proposals)
		snprintf(text, sizeof(text),
			 "peer %s accepts none of our IKE proposals (NO_PROPOSAL_CHOSEN), or has "
			 "no connection for our address",
			 peer);
	else
		snprintf(text, sizeof(text), "peer %s refused IKE_SA_INIT with %s", peer,
			 notify_name(n->type, buf, sizeof(buf)));
	return refused(st, n, proposals ? IKE_REPORT_PROPOSAL_MISMATCH : IKE_REPORT_INFO, text);
}

// The same request once more, with what the responder asked for.
static enum verdict init_again(struct step *st)
{
	struct ike_sa *sa = st->sa;

	if (++sa->init_rounds > LIMIT_IKE_COOKIE_ROUNDS)
		return refused(st, NULL, IKE_REPORT_KE_MISMATCH,
			       "the peer keeps asking for another cookie or key exchange group");
	if (!init_send(st)) {
		act_report(st, IKE_REPORT_INFO, IKE_SEV_ERROR, "cannot repeat IKE_SA_INIT");
		act_close(st, false, "IKE_SA_INIT could not be built");
	}
	return V_STAY;
}

static enum verdict on_cookie(struct step *st, const struct ike_notify *n)
{
	struct ike_sa *sa = st->sa;

	if (n->len == 0 || n->len > LIMIT_IKE_COOKIE_MAX) // RFC 7296 2.6
		return V_SYNTAX;
	sa->cookie_len = n->len;
	memcpy(sa->cookie, n->data, n->len);
	return init_again(st);
}

static enum verdict on_invalid_ke(struct step *st, const struct ike_notify *n)
{
	struct ike_sa *sa = st->sa;
	char wanted[TRANSFORM_TEXT_MAX], sent[TRANSFORM_TEXT_MAX];
	struct transform group = {TRANSFORM_KE, 0, 0};
	char text[128];
	bool offered = false;

	if (n->len != 2)
		return V_SYNTAX;
	group.id = (uint16_t)(n->data[0] << 8 | n->data[1]);
	if (group.id == sa->kex.group)
		return V_STAY; // a late repetition
	for (unsigned i = 0; i < sa->conn->ike.n; i++)
		offered |= proposal_has(&sa->conn->ike.p[i], &group);
	group_name(group.id, wanted, sizeof(wanted));
	group_name(sa->kex.group, sent, sizeof(sent));
	if (!offered) {
		snprintf(text, sizeof(text),
			 "the peer wants key exchange group %s, which we did not offer", wanted);
		return refused(st, n, IKE_REPORT_KE_MISMATCH, text);
	}
	act_report(st, IKE_REPORT_KE_MISMATCH, IKE_SEV_INFO,
		   "the peer wants key exchange group %s instead of %s: trying again", wanted,
		   sent);
	if (kex_new(sa->env, group.id, &sa->kex))
		return refused(st, n, IKE_REPORT_KE_MISMATCH,
			       "the key exchange group that the peer wants cannot be used here");
	return init_again(st);
}

// Is the answer one of our proposals, and of the group that we have sent?
static bool answer_ok(struct ike_sa *sa, const struct sa_offer *answer,
		      const struct ike_ke_payload *ke)
{
	const struct proposal *p = &answer->list.p[0];
	struct proposal_list offer = {.n = 1};
	struct ike_suite suite;

	if (answer->list.n != 1 || answer->skipped || p->number == 0 || p->number > sa->conn->ike.n)
		return false;
	offer.p[0] = sa->conn->ike.p[p->number - 1];
	offer.p[0].number = p->number;
	if (!proposal_is_answer_to(p, &offer, false) || ike_suite_of(p, &suite))
		return false;
	if (suite.ke_group != sa->kex.group || ke->group != suite.ke_group)
		return false;
	sa->suite = suite;
	sa->chosen = *p;
	return true;
}

static enum verdict on_answer(struct step *st, const struct ike_msg *m)
{
	static const uint8_t zero[8];
	struct ike_sa *sa = st->sa;
	struct sa_offer answer;
	struct ike_ke_payload ke;
	struct ike_buf nr;
	struct nat_result nat;
	int err;

	if (sa_payload_parse(ike_msg_find(m, PAYLOAD_SA), PROTO_IKE, &answer) ||
	    payload_ke_parse(ike_msg_find(m, PAYLOAD_KE), &ke) ||
	    payload_nonce_parse(ike_msg_find(m, PAYLOAD_NONCE), &nr) ||
	    memcmp(m->h.spi_r, zero, 8) == 0)
		return V_SYNTAX;
	if (!answer_ok(sa, &answer, &ke))
		return refused(st, NULL, IKE_REPORT_PROPOSAL_MISMATCH,
			       "the peer's answer to IKE_SA_INIT is none of our proposals");
	sa->nr.len = nr.len;
	memcpy(sa->nr.data, nr.data, nr.len);
	err = nat_check(m, sa->env->crypto, &st->ev->local, &st->ev->remote, &nat);
	if (!err)
		err = derive_keys(sa, &ke, m->h.spi_r);
	if (err == -ENOMEM)
		st->nomem = true;
	if (err)
		return refused(st, NULL, IKE_REPORT_KE_MISMATCH,
			       "the peer's public value for the key exchange is not valid");
	if (octets_set(&sa->init_response, m->bytes, m->len)) {
		st->nomem = true;
		return V_STAY;
	}
	memcpy(sa->spi_r, m->h.spi_r, 8);
	sa->peer_hashes = cert_peer_hashes(m);
	sa->refused = false;
	sa->give_up_ms = IKE_NEVER;
	request_done(sa);
	nat_conclude(sa, &nat, sa->conn->force_encap);
	sa->may_fragment = fragmentation_announced(m);
	// RFC 7296 2.23: the initiator MUST move to 4500; for MOBIKE (RFC 4555 3.3) without a NAT
	// as well.
	// What began on another port than 500 stays there: 4500, or what leads to it.
	if (sa->local.port != IKE_NATT_PORT &&
	    (sa->nat.encap || (sa->conn->mobike && sa->nat.supported))) {
		sa->local.port = IKE_NATT_PORT;
		sa->remote.port = IKE_NATT_PORT;
	}
	auth_start(st, m);
	return V_NEXT;
}

static enum verdict on_response(struct step *st, const struct ike_msg *m)
{
	struct ike_notify n;

	other_port_answers(st);
	if (ike_msg_has(m, HAS(SA) | HAS(KE) | HAS(NONCE), 0))
		return on_answer(st, m);
	if (ike_msg_notify(m, N_COOKIE, 0, &n))
		return on_cookie(st, &n);
	if (ike_msg_notify(m, N_INVALID_KE_PAYLOAD, 0, &n))
		return on_invalid_ke(st, &n);
	if (ike_msg_error(m, &n))
		return refused_by_notify(st, &n);
	return V_SYNTAX;
}

// ---- responder ----

static enum verdict refuse(struct step *st, const struct ike_msg *m, uint16_t notify,
			   const void *data, size_t len)
{
	reply_notify(st, m, notify, data, len);
	act_close(st, false,
		  notify == N_INVALID_KE_PAYLOAD ? "IKE_SA_INIT is to come again"
						 : "IKE_SA_INIT refused");
	return V_STAY;
}

// Every candidate has lost by its proposals; those of the one that comes closest are compared in
// full, with all candidates held looked at and no more: the peer is a stranger yet.
static void explain_proposals(struct ike_refusal *r, const struct ike_conn *const *conns,
			      const struct sa_offer *offer)
{
	const struct ike_conn *closest = conns[0];
	int fewest = 9;

	for (size_t i = 0; conns[i]; i++) {
		struct refusal_candidate *c = refuse_candidate(r, conns[i]->name, LOST_PROPOSAL);

		if (!c)
			continue;
		c->differs = refusal_differs(&conns[i]->ike, &offer->list, false);
		if (__builtin_popcount(c->differs) < fewest) {
			fewest = __builtin_popcount(c->differs);
			closest = conns[i];
		}
	}
	refuse_proposals(r, &closest->ike, &offer->list, false);
}

static enum verdict refuse_offer(struct step *st, const struct ike_msg *m,
				 const struct ike_conn *const *conns, const struct sa_offer *offer)
{
	char local[IP_ADDR_TEXT_MAX], remote[IP_ADDR_TEXT_MAX];
	struct ike_refusal *r;

	ip_addr_format(&st->ev->local.addr, local, sizeof(local));
	ip_addr_format(&st->ev->remote.addr, remote, sizeof(remote));
	if (!conns || !conns[0]) {
		r = refuse_new(st, IKE_REPORT_NO_CONNECTION,
			       "no connection is configured from %s to peer %s", local, remote);
	} else {
		r = refuse_new(st, IKE_REPORT_PROPOSAL_MISMATCH,
			       "none of peer %s's IKE proposals is acceptable", remote);
		if (r && !r->brief)
			explain_proposals(r, conns, offer);
	}
	if (r)
		r->notify = N_NO_PROPOSAL_CHOSEN;
	act_refusal(st, r);
	return refuse(st, m, N_NO_PROPOSAL_CHOSEN, NULL, 0);
}

static enum verdict refuse_group(struct step *st, const struct ike_msg *m, uint16_t theirs)
{
	uint16_t ours = st->sa->suite.ke_group;
	uint8_t data[2] = {(uint8_t)(ours >> 8), (uint8_t)ours};
	char a[TRANSFORM_TEXT_MAX], b[TRANSFORM_TEXT_MAX];

	act_report(st, IKE_REPORT_KE_MISMATCH, IKE_SEV_INFO,
		   "the peer guessed key exchange group %s, we choose %s: asking it to try again",
		   group_name(theirs, a, sizeof(a)), group_name(ours, b, sizeof(b)));
	return refuse(st, m, N_INVALID_KE_PAYLOAD, data, sizeof(data)); // RFC 7296 1.3
}

static bool init_reply(struct step *st, const struct ike_msg *m, const struct ike_conn *conn,
		       const struct ike_conn *const *conns)
{
	struct ike_sa *sa = st->sa;
	struct proposal_list chosen = {.n = 1, .p = {sa->chosen}};
	struct ike_builder b;

	reply_begin(st, &b, m);
	build_sa(&b, &chosen, 0, false);
	if (kex_build(&b, sa->env, &sa->kex))
		return false;
	build_octets(&b, PAYLOAD_NONCE, sa->nr.data, sa->nr.len);
	if (sa->nat.supported && nat_build(&b, sa->env->crypto, sa->spi_i, sa->spi_r, &sa->local,
					   &sa->remote, conn->force_encap))
		return false;
	build_notify(&b, N_CHILDLESS_IKEV2_SUPPORTED, NULL, 0); // RFC 6023 3
	// RFC 7383 2.3: only to a peer that has announced it.
	if (sa->may_fragment && conn->fragmentation != IKE_FRAG_NO)
		build_notify(&b, N_IKEV2_FRAGMENTATION_SUPPORTED, NULL, 0);
	if (sa->env->conns_signing)
		conns = sa->env->conns_signing(sa->env->ctx, &sa->local.addr, &sa->remote.addr);
	cert_build_init_reply(sa, &b, conns);
	if (!reply_send(st, &b, m))
		return false;
	if (octets_set(&sa->init_request, m->bytes, m->len) ||
	    octets_set(&sa->init_response, sa->reply.data, sa->reply.len)) {
		st->nomem = true;
		return false;
	}
	return true;
}

// The first candidate whose proposals fit; which connection it really is says IKE_AUTH.
static const struct ike_conn *choose(const struct ike_conn *const *conns,
				     const struct sa_offer *offer, struct proposal *chosen,
				     struct ike_suite *suite)
{
	for (size_t i = 0; conns && conns[i]; i++)
		if (!proposal_choose(&conns[i]->ike, &offer->list, false, chosen) &&
		    !ike_suite_of(chosen, suite))
			return conns[i];
	return NULL;
}

static enum verdict on_request(struct step *st, const struct ike_msg *m)
{
	struct ike_sa *sa = st->sa;
	const struct ike_conn *const *conns;
	const struct ike_conn *conn;
	struct sa_offer offer;
	struct ike_ke_payload ke;
	struct ike_buf ni;
	struct nat_result nat;
	uint8_t spi_r[8];
	int err;

	if (sa_payload_parse(ike_msg_find(m, PAYLOAD_SA), PROTO_IKE, &offer) ||
	    payload_ke_parse(ike_msg_find(m, PAYLOAD_KE), &ke) ||
	    payload_nonce_parse(ike_msg_find(m, PAYLOAD_NONCE), &ni))
		return V_SYNTAX;
	conns = sa->env->conns_find(sa->env->ctx, &st->ev->local.addr, &st->ev->remote.addr);
	conn = choose(conns, &offer, &sa->chosen, &sa->suite);
	if (!conn)
		return refuse_offer(st, m, conns, &offer);
	if (sa->suite.ke_group != ke.group)
		return refuse_group(st, m, ke.group);

	sa->ni.len = ni.len;
	memcpy(sa->ni.data, ni.data, ni.len);
	if (!sa_random_spi(sa->env, spi_r) || nonce_new(sa->env, &sa->nr) ||
	    kex_new(sa->env, sa->suite.ke_group, &sa->kex)) {
		act_close(st, false, "no random numbers, or no key exchange");
		return V_STAY;
	}
	err = nat_check(m, sa->env->crypto, &sa->local, &sa->remote, &nat);
	if (!err)
		err = derive_keys(sa, &ke, spi_r);
	if (err == -ENOMEM)
		st->nomem = true;
	if (err)
		return V_SYNTAX; // the public value
	nat_conclude(sa, &nat, conn->force_encap);
	sa->may_fragment = fragmentation_announced(m);
	memcpy(sa->spi_r, spi_r, 8);
	sa->give_up_ms = st->ev->now_ms + sa->env->half_open_ms;
	sa->peer_hashes = cert_peer_hashes(m);
	if (!init_reply(st, m, conn, conns))
		act_close(st, false, "no answer could be built");
	return V_NEXT;
}
