// The successor of an IKE SA, made by CREATE_CHILD_SA (RFC 7296 1.3.2, 2.8, 2.18).
//
// It inherits the children; whoever asked for it then deletes the old IKE SA. When both sides ask
// at the same time there are two: the one made with the lowest of the four nonces gets nothing and
// is deleted by whoever asked for it (2.8.2). Until a side knows which one that is the children
// stay where they are, and the peer's successor is kept as `rival`.
#include "control/ike/create_child.h"

#include <errno.h>
#include <string.h>

#include "control/ike/path.h"
#include "control/ike/payload.h"
#include "control/ike/refuse.h"
#include "control/ike/report.h"
#include "control/ike/sa_payload.h"

// ---- a successor ----

static struct ike_sa *successor_new(struct step *st, bool original_initiator)
{
	const struct ike_sa *sa = st->sa;
	struct ike_sa *next = sa_create(sa->env, original_initiator);

	if (!next) {
		st->nomem = true;
		return NULL;
	}
	if (!sa_random_spi(sa->env, original_initiator ? next->spi_i : next->spi_r) ||
	    nonce_new(sa->env, original_initiator ? &next->ni : &next->nr)) {
		ike_sa_destroy(next);
		return NULL;
	}
	next->conn = sa->conn;
	path_inherit(sa, next);
	next->local_id = sa->local_id;
	next->remote_id = sa->remote_id;
	next->peer_childless = sa->peer_childless;
	next->may_fragment = sa->may_fragment;
	return next;
}

static uint64_t spi_number(const uint8_t spi[8])
{
	struct reader r = reader_of(spi, 8);

	return read_u64(&r);
}

static void spi_set(uint8_t spi[8], uint64_t number)
{
	struct writer w = writer_of(spi, 8);

	write_u64(&w, number);
}

// With both SPIs, both nonces and the peer's public value the successor becomes an IKE SA.
static int successor_keys(const struct step *st, struct ike_sa *next,
			  const struct ike_ke_payload *ke)
{
	const struct ike_sa *sa = st->sa;
	struct secret shared = {0};
	int err = kex_derive(sa->env, &next->kex, ke, &shared);

	if (!err)
		err = ike_keys_rekey(sa->env->crypto, &next->suite, sa->suite.prf, &sa->keys.d,
				     &next->ni, &next->nr, &shared, next->spi_i, next->spi_r,
				     &next->keys);
	secret_fini(&shared);
	if (err)
		return err;
	next->have_keys = true;
	next->phase = PHASE_ESTABLISHED;
	next->created_ms = st->ev->now_ms;
	next->last_inbound_ms = st->ev->now_ms;
	sa_lifetime_start(next, st->ev->now_ms);
	return 0;
}

static void report_rekeyed(struct step *st, const struct ike_sa *next)
{
	struct text text;

	text_init(&text);
	text_add(&text, "IKE SA rekeyed by %s, ", next->original_initiator ? "us" : "the peer");
	text_add_proposal(&text, &next->chosen);
	act_report(st, IKE_REPORT_REKEYED, IKE_SEV_NOTICE, "%s", text.s);
}

// Children and what is still to be done for them go to the successor.
static void adopt(struct step *st, struct ike_sa *from, struct ike_sa *to)
{
	struct ike_child **end = &to->children;

	// A peer that agrees to this, or asks for it, has had every answer of ours.
	for (struct ike_child *c = from->children; c; c = c->next)
		c->doubtful = false;
	while (*end)
		end = &(*end)->next;
	*end = from->children;
	from->children = NULL;
	for (size_t i = 0; i < from->n_wants; i++)
		if (!sa_want_child(to, from->wants[i].conf, from->wants[i].retry_ms))
			st->nomem = true;
	from->n_wants = 0;
	if (from->orphan_spi) // which the peer has given to its successor, too
		to->orphan_spi = from->orphan_spi;
	from->orphan_spi = 0;
	if (from->want_terminate) // before it is done with itself: all of it is to end
		to->want_terminate = true;
	to->give_up_ms = IKE_NEVER;
	path_inherit(from, to); // it may have moved since the successor was made
	if (to->last_reqid < from->last_reqid)
		to->last_reqid = from->last_reqid;
	act_adopt(st, from, to);
}

// The peer has replaced this SA and is to delete it.
static void replaced(struct step *st)
{
	struct ike_sa *sa = st->sa;

	sa->phase = PHASE_REKEYED;
	sa->give_up_ms = st->ev->now_ms + IKE_REPLACED_WAIT_MS;
	sa->rekey_ms = sa->over_ms = IKE_NEVER;
	sa->want_rekey = sa->want_check = false;
}

void rekey_rival_wins(struct step *st)
{
	struct ike_sa *sa = st->sa, *rival = sa->rival;

	if (!rival)
		return;
	sa->rival = NULL;
	rival->predecessor = NULL;
	adopt(st, sa, rival);
}

void rekey_rival_used(struct step *st)
{
	struct ike_sa *rival = st->sa, *old = rival->predecessor;

	if (!old)
		return;
	// The peer can only have done so when its successor stays: it may have seen our request
	// and compared the nonces, or never have seen it.
	rival->predecessor = NULL;
	old->rival = NULL;
	adopt(st, old, rival);
}

// ---- exchange initiator ----

static bool rekey_send(struct step *st)
{
	struct ike_sa *sa = st->sa, *next = sa->next;
	struct ike_builder b;

	request_begin(st, &b, EXCHANGE_CREATE_CHILD_SA);
	build_sa(&b, &sa->conn->ike, spi_number(next->spi_i), false);
	build_octets(&b, PAYLOAD_NONCE, next->ni.data, next->ni.len);
	if (kex_build(&b, sa->env, &next->kex))
		return false;
	return request_send(st, &b, REQUEST_REKEY);
}

static void rekey_give_up(struct step *st)
{
	struct ike_sa *sa = st->sa;

	ike_sa_destroy(sa->next);
	sa->next = NULL;
	sa->rekey_rounds = 0;
}

// Not now: again later.
static void rekey_later(struct step *st, uint64_t at_ms)
{
	struct ike_sa *sa = st->sa;

	rekey_give_up(st);
	sa->want_rekey = true;
	sa->retry_ms = at_ms;
}

bool send_rekey(struct step *st)
{
	struct ike_sa *sa = st->sa;

	rekey_give_up(st);
	sa->next = successor_new(st, true);
	// The group that was agreed on before is the one that the peer accepts.
	if (sa->next && !kex_new(sa->env, sa->suite.ke_group, &sa->next->kex))
		return rekey_send(st);
	rekey_later(st, create_child_retry_ms(st));
	return true;
}

static bool answer_ok(const struct ike_sa *sa, const struct sa_offer *answer,
		      const struct ike_ke_payload *ke, struct ike_suite *suite)
{
	const struct proposal *p = &answer->list.p[0];
	struct proposal_list offer = {.n = 1};

	if (answer->list.n != 1 || answer->skipped || p->number == 0 ||
	    p->number > sa->conn->ike.n || answer->spi[0] == 0)
		return false;
	offer.p[0] = sa->conn->ike.p[p->number - 1];
	offer.p[0].number = p->number;
	return proposal_is_answer_to(p, &offer, false) && !ike_suite_of(p, suite) &&
	       suite->ke_group == sa->next->kex.group && ke->group == suite->ke_group;
}

// Completes sa->next from the answer. -EBADMSG when it is malformed or not what we offered.
static int answer_take(struct step *st, const struct ike_msg *m)
{
	struct ike_sa *sa = st->sa, *next = sa->next;
	const struct ike_payload *ke_payload = ike_msg_find(m, PAYLOAD_KE);
	const struct ike_payload *nonce_payload = ike_msg_find(m, PAYLOAD_NONCE);
	struct sa_offer answer;
	struct ike_ke_payload ke;
	struct ike_buf nr;

	if (!ke_payload || !nonce_payload ||
	    sa_payload_parse(ike_msg_find(m, PAYLOAD_SA), PROTO_IKE, &answer) ||
	    payload_ke_parse(ke_payload, &ke) || payload_nonce_parse(nonce_payload, &nr) ||
	    !answer_ok(sa, &answer, &ke, &next->suite))
		return -EBADMSG;
	next->chosen = answer.list.p[0];
	next->nr.len = nr.len;
	memcpy(next->nr.data, nr.data, nr.len);
	spi_set(next->spi_r, answer.spi[0]);
	return successor_keys(st, next, &ke);
}

// Both successors exist on both sides now, or only ours: which one stays?
static enum verdict rekey_conclude(struct step *st)
{
	struct ike_sa *sa = st->sa, *next = sa->next;
	bool lost = sa->rival_nonce.len > 0 &&
		    nonce_is_lower(nonce_lower(&next->ni, &next->nr), &sa->rival_nonce);

	sa->next = NULL;
	kex_fini(sa->env, &next->kex);
	if (lost) {
		path_inherit(sa, next);
		act_report(st, IKE_REPORT_INFO, IKE_SEV_INFO,
			   "both sides have rekeyed the IKE SA at the same time, the peer's stays");
		next->want_terminate = true;
		if (!act_successor(st, next))
			st->nomem = true;
		rekey_rival_wins(st);
		replaced(st);
		return V_STAY;
	}
	report_rekeyed(st, next);
	if (!act_successor(st, next)) {
		st->nomem = true;
		return V_STAY;
	}
	adopt(st, sa, next);
	if (sa->rival) // the peer deletes it
		sa->rival->predecessor = NULL;
	sa->rival = NULL;
	sa->want_terminate = true;
	return V_STAY;
}

enum verdict on_rekey_response(struct step *st, const struct ike_msg *m)
{
	struct ike_sa *sa = st->sa;
	char buf[NOTIFY_TEXT_MAX];
	struct ike_refusal *r;
	struct ike_notify n;
	uint16_t group;

	if (ike_msg_find(m, PAYLOAD_SA)) {
		int err = answer_take(st, m);

		if (!err)
			return rekey_conclude(st);
		if (err == -ENOMEM)
			st->nomem = true;
		r = refuse_new(st, IKE_REPORT_PROPOSAL_MISMATCH,
			       "the peer's answer to rekeying the IKE SA is none of our "
			       "proposals, or its public value is not valid");
		refuse_proposals(r, &sa->conn->ike, NULL, false);
		act_refusal(st, r);
		rekey_give_up(st);
		sa->want_terminate = true; // it has a successor that we cannot use
		return V_STAY;
	}
	if (!ike_msg_error(m, &n))
		return V_SYNTAX;
	if (sa->rival_nonce.len > 0) { // the peer goes on with its own
		rekey_give_up(st);
		rekey_rival_wins(st);
		replaced(st);
		return V_STAY;
	}
	if (n.type == N_INVALID_KE_PAYLOAD && ++sa->rekey_rounds <= LIMIT_IKE_COOKIE_ROUNDS) {
		group = create_child_other_group(st, &n, &sa->conn->ike, sa->next->kex.group);
		if (group != KE_NONE && !kex_new(sa->env, group, &sa->next->kex)) {
			if (!rekey_send(st))
				act_close(st, false, "no message could be built");
			return V_STAY;
		}
	}
	if (n.type == N_TEMPORARY_FAILURE) {
		rekey_later(st, create_child_retry_ms(st));
		return V_STAY;
	}
	r = refuse_new(
		st, n.type == N_NO_PROPOSAL_CHOSEN ? IKE_REPORT_PROPOSAL_MISMATCH : IKE_REPORT_INFO,
		"the peer does not rekey the IKE SA: %s", notify_name(n.type, buf, sizeof(buf)));
	refuse_by_peer(r, n.type);
	if (n.type == N_NO_PROPOSAL_CHOSEN)
		refuse_proposals(r, &sa->conn->ike, NULL, false);
	act_refusal(st, r);
	rekey_later(st, st->ev->now_ms + IKE_REFUSED_RETRY_MS);
	return V_STAY;
}

// ---- exchange responder ----

static enum verdict refuse_offer(struct step *st, const struct ike_msg *m,
				 const struct sa_offer *offer)
{
	struct ike_refusal *r =
		refuse_new(st, IKE_REPORT_PROPOSAL_MISMATCH,
			   "rekeying of the IKE SA: none of the peer's proposals is acceptable");

	refuse_proposals(r, &st->sa->conn->ike, &offer->list, false);
	if (r)
		r->notify = N_NO_PROPOSAL_CHOSEN;
	act_refusal(st, r);
	return create_child_refuse(st, m, N_NO_PROPOSAL_CHOSEN);
}

static bool rekey_reply(struct step *st, const struct ike_msg *m, const struct ike_sa *next)
{
	struct proposal_list chosen = {.n = 1, .p = {next->chosen}};
	struct ike_builder b;

	reply_begin(st, &b, m);
	build_sa(&b, &chosen, spi_number(next->spi_r), false);
	build_octets(&b, PAYLOAD_NONCE, next->nr.data, next->nr.len);
	return !kex_build(&b, st->sa->env, &next->kex) && reply_send(st, &b, m);
}

// Answered; from now on there is a successor.
static void rekey_accepted(struct step *st, struct ike_sa *next)
{
	struct ike_sa *sa = st->sa;

	report_rekeyed(st, next);
	if (!act_successor(st, next)) {
		st->nomem = true;
		return;
	}
	if (sa->request.kind == REQUEST_REKEY) {
		sa->rival = next;
		sa->rival_nonce = *nonce_lower(&next->ni, &next->nr);
		next->predecessor = sa;
		// Until it is known which one stays; if that does not become known it goes.
		next->give_up_ms = st->ev->now_ms + IKE_RIVAL_WAIT_MS;
		return;
	}
	adopt(st, sa, next);
	replaced(st);
}

// Takes over the peer's half. 0, -EBADMSG for what is malformed, or another error of the crypto.
static int request_take(struct step *st, const struct sa_offer *offer, const struct ike_buf *ni,
			const struct ike_ke_payload *ke, struct ike_sa *next)
{
	uint64_t spi_i = 0;
	int err;

	for (unsigned i = 0; i < offer->list.n; i++)
		if (offer->list.p[i].number == next->chosen.number)
			spi_i = offer->spi[i];
	if (spi_i == 0) // RFC 7296 3.3.1: there must be one when an IKE SA is rekeyed
		return -EBADMSG;
	spi_set(next->spi_i, spi_i);
	next->ni.len = ni->len;
	memcpy(next->ni.data, ni->data, ni->len);
	err = kex_new(st->sa->env, ke->group, &next->kex);
	return err ? err : successor_keys(st, next, ke);
}

enum verdict on_rekey_request(struct step *st, const struct ike_msg *m)
{
	struct ike_sa *sa = st->sa, *next;
	const struct ike_payload *p = ike_msg_find(m, PAYLOAD_KE);
	struct sa_offer offer;
	struct ike_ke_payload ke;
	struct ike_buf ni;
	int err;

	if (!p || payload_ke_parse(p, &ke) ||
	    sa_payload_parse(ike_msg_find(m, PAYLOAD_SA), PROTO_IKE, &offer) ||
	    payload_nonce_parse(ike_msg_find(m, PAYLOAD_NONCE), &ni))
		return V_SYNTAX;
	next = successor_new(st, false);
	if (!next)
		return create_child_refuse(st, m, N_TEMPORARY_FAILURE);
	if (proposal_choose(&sa->conn->ike, &offer.list, false, &next->chosen) ||
	    ike_suite_of(&next->chosen, &next->suite)) {
		ike_sa_destroy(next);
		return refuse_offer(st, m, &offer);
	}
	if (next->suite.ke_group != ke.group) {
		uint16_t ours = next->suite.ke_group;

		ike_sa_destroy(next);
		return create_child_refuse_group(st, m, ours, ke.group);
	}
	err = request_take(st, &offer, &ni, &ke, next);
	if (err) {
		ike_sa_destroy(next);
		if (err == -ENOMEM)
			st->nomem = true;
		return create_child_refuse(st, m, N_INVALID_SYNTAX);
	}
	if (!rekey_reply(st, m, next)) {
		ike_sa_destroy(next);
		act_close(st, false, "no answer could be built");
		return V_STAY;
	}
	kex_fini(sa->env, &next->kex);
	rekey_accepted(st, next);
	return V_STAY;
}
