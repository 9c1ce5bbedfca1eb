// Child SAs made by CREATE_CHILD_SA (RFC 7296 1.3.1, 1.3.3, 2.8, 2.9, 2.17).
//
// A successor lives beside the old SA. Who began the exchange uses the new one at once and deletes
// the old one; the other side receives on both and sends on the new one when the old one is deleted
// or the peer has used the new one, because before that the peer may not know the keys yet. When
// both sides begin at the same time there are two successors: the one made with the lowest of the
// four nonces is deleted by whoever asked for it (2.8.1).
#include "control/ike/create_child.h"

#include <errno.h>
#include <string.h>

#include "control/ike/child_nego.h"
#include "control/ike/payload.h"
#include "control/ike/refuse.h"

// ---- exchange initiator ----

static const struct transform *first_group(const struct proposal_list *list)
{
	const struct transform *t = NULL;

	for (unsigned i = 0; i < list->n && !t; i++)
		t = proposal_first(&list->p[i], TRANSFORM_KE);
	return t && t->id != KE_NONE ? t : NULL;
}

static bool child_send(struct step *st)
{
	struct ike_sa *sa = st->sa;
	struct child_request *r = &sa->child;
	struct ike_builder b;

	request_begin(st, &b, EXCHANGE_CREATE_CHILD_SA);
	if (r->replaces) // RFC 7296 1.3.3: the SPI that we receive on
		build_notify_esp(&b, N_REKEY_SA, r->replaces);
	child_build_offer(&b, r, false);
	build_octets(&b, PAYLOAD_NONCE, r->ni.data, r->ni.len);
	if (r->kex.group && kex_build(&b, sa->env, &r->kex))
		return false;
	build_ts(&b, PAYLOAD_TSI, &r->local_ts);
	build_ts(&b, PAYLOAD_TSR, &r->remote_ts);
	return request_send(st, &b, REQUEST_CHILD);
}

static void again_later(struct ike_child *old, uint64_t at_ms)
{
	if (!old)
		return;
	old->want_rekey = true;
	old->retry_ms = at_ms;
}

bool send_child(struct step *st, const struct ike_child_conf *conf, struct ike_child *replaces)
{
	struct ike_sa *sa = st->sa;
	struct child_request *r = &sa->child;
	const struct transform *group = first_group(&conf->esp);
	int err;

	child_request_fini(sa);
	r->conf = conf;
	r->replaces = replaces ? replaces->info.spi_in : 0;
	r->doubtful = replaces && child_is_doubtful(sa, replaces);
	err = nonce_new(sa->env, &r->ni);
	if (!err && group)
		err = kex_new(sa->env, group->id, &r->kex);
	if (err || !child_ask(st)) {
		if (err == -ENOMEM)
			st->nomem = true;
		again_later(replaces, create_child_retry_ms(st));
		act_child_failed(st, r, 0);
		child_request_fini(sa);
		return true; // not this time, but the IKE SA is well
	}
	return child_send(st);
}

// The peer has what we do not want: it is deleted there.
static void delete_there(struct step *st)
{
	st->sa->orphan_spi = st->sa->child.spi_in;
}

static int answer_shared(struct step *st, const struct ike_msg *m, const struct proposal *esp,
			 struct secret *shared)
{
	const struct child_request *r = &st->sa->child;
	const struct transform *group = proposal_first(esp, TRANSFORM_KE);
	const struct ike_payload *p = ike_msg_find(m, PAYLOAD_KE);
	struct ike_ke_payload ke;

	if (!group || group->id == KE_NONE)
		return 0;
	if (!p || payload_ke_parse(p, &ke) || ke.group != group->id || group->id != r->kex.group)
		return -EBADMSG;
	return kex_derive(st->sa->env, &r->kex, &ke, shared);
}

static struct ike_child *answer_install(struct step *st, const struct ike_msg *m,
					const struct child_offer *answer,
					const struct ike_nonce *nr, struct ike_child *replaces)
{
	struct ike_sa *sa = st->sa;
	struct secret shared = {0};
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
		.ni = &sa->child.ni,
		.nr = nr,
		.shared = &shared,
		.replaces = replaces,
	};
	struct ike_child *child = NULL;
	int err = answer_shared(st, m, new.esp, &shared);

	if (err == -ENOMEM)
		st->nomem = true;
	if (err)
		act_refusal(st,
			    refuse_new(st, IKE_REPORT_KE_MISMATCH,
				       "child '%s': the peer's key exchange is not the one agreed "
				       "on",
				       new.conf->name));
	else
		child = child_install(st, &new);
	if (child)
		sa->child.spi_in = 0; // the child's now
	secret_fini(&shared);
	return child;
}

// Ours stays: the old SA, and what the peer made meanwhile for the same purpose, go.
static void old_goes(struct step *st, struct ike_child *old, const struct ike_child *child)
{
	struct ike_sa *sa = st->sa;
	struct ike_child *rival = child_by_spi_in(sa, sa->child.rival_spi);

	if (rival) {
		rival->redundant = true;
		rival->drop_ms = st->ev->now_ms + IKE_REPLACED_WAIT_MS;
	}
	if (!old)
		return;
	old->replacement = child->info.spi_in;
	old->want_delete = true;
}

static enum verdict on_child_made(struct step *st, const struct ike_msg *m,
				  struct child_offer *answer, const struct ike_nonce *nr)
{
	struct ike_sa *sa = st->sa;
	struct child_request *r = &sa->child;
	struct ike_child *old = child_by_spi_in(sa, r->replaces);
	struct ike_child *child;

	// RFC 7296 2.8.1: both sides did the same; the lowest of the four nonces loses, whatever
	// has become of the peer's meanwhile.
	if (r->rival_spi && nonce_is_lower(nonce_lower(&r->ni, nr), &r->rival_nonce)) {
		act_report(
			st, IKE_REPORT_INFO, IKE_SEV_INFO,
			"child '%s': both sides made a new SA at the same time, the peer's stays",
			r->conf->name);
		delete_there(st);
		return V_NEXT;
	}
	if (child_answer_ok(st, answer, false)) {
		child = answer_install(st, m, answer, nr, old);
		if (child) {
			old_goes(st, old, child);
			return V_NEXT;
		}
	}
	again_later(old, st->ev->now_ms + IKE_REFUSED_RETRY_MS);
	act_child_failed(st, r, 0);
	delete_there(st);
	return V_NEXT;
}

static bool try_other_group(struct step *st, const struct ike_notify *n)
{
	struct child_request *r = &st->sa->child;
	uint16_t group = create_child_other_group(st, n, &r->conf->esp, r->kex.group);

	if (group == KE_NONE || ++r->rounds > LIMIT_IKE_COOKIE_ROUNDS ||
	    kex_new(st->sa->env, group, &r->kex))
		return false;
	// A request of its own, with a fresh number; the rest is as it was.
	if (!child_send(st))
		act_close(st, false, "no message could be built");
	return true;
}

// RFC 7296 2.25.1: the peer does not know the child any more. It is of no use then; a new one takes
// its place, unless it has one already.
static void old_is_unknown(struct step *st, struct ike_child *old)
{
	struct ike_sa *sa = st->sa;
	const struct ike_child_conf *conf = old->info.conf;
	bool replaced = old->replacement != 0;

	act_report(st, IKE_REPORT_INFO, IKE_SEV_NOTICE,
		   "child '%s', SPIs %08x in %08x out: the peer does not know it any more",
		   conf->name, old->info.spi_in, old->info.spi_out);
	if (child_remove(st, old, true) && !replaced && !child_by_conf(sa, conf) &&
	    !sa_want_child(sa, conf, 0))
		st->nomem = true;
}

static enum verdict on_child_refused(struct step *st, const struct ike_notify *n)
{
	struct ike_sa *sa = st->sa;
	struct child_request *r = &sa->child;
	struct ike_child *old = child_by_spi_in(sa, r->replaces);

	if (r->replaces && (!old || old->replacement)) // it is gone or replaced meanwhile: so be it
		return V_NEXT;
	if (n->type == N_TEMPORARY_FAILURE) {
		act_report(st, IKE_REPORT_INFO, IKE_SEV_INFO,
			   "child '%s': the peer cannot just now (TEMPORARY_FAILURE)",
			   r->conf->name);
		again_later(old, create_child_retry_ms(st));
		if (!old && !child_by_conf(sa, r->conf) &&
		    !sa_want_child(sa, r->conf, create_child_retry_ms(st)))
			st->nomem = true;
		return V_NEXT;
	}
	if (n->type == N_CHILD_SA_NOT_FOUND && old && r->doubtful) {
		again_later(old, create_child_retry_ms(st));
		return V_NEXT;
	}
	if (n->type == N_CHILD_SA_NOT_FOUND && old) {
		old_is_unknown(st, old);
		return V_NEXT;
	}
	child_report_refusal(st, n);
	again_later(old, st->ev->now_ms + IKE_REFUSED_RETRY_MS);
	act_child_failed(st, r, n->type);
	return V_NEXT;
}

enum verdict on_child_response(struct step *st, const struct ike_msg *m)
{
	struct child_offer answer;
	struct ike_nonce nr;
	struct ike_buf nonce;
	struct ike_notify n;
	const struct ike_payload *p = ike_msg_find(m, PAYLOAD_NONCE);
	enum verdict v;

	if (ike_msg_find(m, PAYLOAD_SA)) {
		if (!child_offer_parse(m, &answer) || !p || payload_nonce_parse(p, &nonce))
			return V_SYNTAX;
		nr.len = nonce.len;
		memcpy(nr.data, nonce.data, nonce.len);
		v = on_child_made(st, m, &answer, &nr);
	} else if (ike_msg_notify(m, N_INVALID_KE_PAYLOAD, 0, &n) && try_other_group(st, &n)) {
		return V_NEXT; // the request goes on
	} else if (ike_msg_error(m, &n)) {
		v = on_child_refused(st, &n);
	} else {
		return V_SYNTAX;
	}
	child_request_fini(st->sa);
	return v;
}

// ---- exchange responder ----

// The child that the peer wants to replace, or NULL (answered).
static struct ike_child *named_child(struct step *st, const struct ike_msg *m,
				     const struct ike_notify *n)
{
	struct reader r = reader_of(n->spi, n->spi_len);
	uint32_t spi = n->spi_len == 4 ? read_u32(&r) : 0;
	struct ike_child *child = child_by_spi_out(st->sa, spi); // RFC 7296 1.3.3: its inbound one
	struct ike_builder b;

	if (child && !child->deleting && !child->want_delete && !child->replacement)
		return child;
	if (child) { // RFC 7296 2.25.1
		create_child_refuse(st, m, N_TEMPORARY_FAILURE);
		return NULL;
	}
	reply_begin(st, &b, m);
	build_notify_esp(&b, N_CHILD_SA_NOT_FOUND, spi);
	if (!reply_send(st, &b, m))
		act_close(st, false, "no answer could be built");
	return NULL;
}

// Our half of the key exchange that was agreed on, if any. False: answered.
static bool request_kex(struct step *st, const struct ike_msg *m, const struct child_new *new,
			struct kex *kex, struct secret *shared)
{
	const struct transform *group = proposal_first(new->esp, TRANSFORM_KE);
	const struct ike_payload *p = ike_msg_find(m, PAYLOAD_KE);
	struct ike_ke_payload ke;
	int err;

	if (!group || group->id == KE_NONE)
		return true;
	if (!p || payload_ke_parse(p, &ke)) {
		create_child_refuse_group(st, m, group->id, KE_NONE);
		return false;
	}
	if (ke.group != group->id) {
		create_child_refuse_group(st, m, group->id, ke.group);
		return false;
	}
	err = kex_new(st->sa->env, group->id, kex);
	if (!err)
		err = kex_derive(st->sa->env, kex, &ke, shared);
	if (err == -ENOMEM)
		st->nomem = true;
	if (err)
		create_child_refuse(st, m, N_INVALID_SYNTAX);
	return !err;
}

// Did both sides ask for the same thing at the same time (RFC 7296 2.8.1)? Remembered until our
// own request is answered.
static void note_collision(struct ike_sa *sa, const struct child_new *new)
{
	struct child_request *r = &sa->child;
	uint32_t replaces = new->replaces ? new->replaces->info.spi_in : 0;

	if (sa->request.kind != REQUEST_CHILD || r->replaces != replaces || r->conf != new->conf)
		return;
	r->rival_spi = new->spi_in;
	r->rival_nonce = *nonce_lower(new->ni, new->nr);
}

static enum verdict child_answer(struct step *st, const struct ike_msg *m, struct child_new *new,
				 const struct kex *kex)
{
	struct ike_sa *sa = st->sa;
	struct ike_child *child = NULL;
	struct ike_builder b;
	uint16_t notify = child_accept(st, new, &child);

	if (notify)
		return create_child_refuse(st, m, notify);
	reply_begin(st, &b, m);
	child_build_sa(&b, new);
	build_octets(&b, PAYLOAD_NONCE, new->nr->data, new->nr->len);
	if (kex->group && kex_build(&b, sa->env, kex)) {
		act_close(st, false, "no answer could be built");
		return V_STAY;
	}
	child_build_ts(&b, new);
	if (!reply_send(st, &b, m)) {
		act_close(st, false, "no answer could be built");
		return V_STAY;
	}
	note_collision(sa, new);
	child->doubtful = true;
	child->answer_id = m->h.message_id;
	if (new->replaces) {
		new->replaces->replacement = new->spi_in;
		new->replaces->want_rekey = false;
	}
	return V_NEXT;
}

enum verdict on_child_request(struct step *st, const struct ike_msg *m)
{
	struct child_offer offer;
	struct child_new new = {0};
	struct proposal esp;
	struct ike_nonce ni, nr;
	struct ike_buf nonce;
	struct ike_notify n;
	struct kex kex = {0};
	struct secret shared = {0};
	enum verdict v = V_STAY;
	uint16_t notify;

	if (!child_offer_parse(m, &offer) ||
	    payload_nonce_parse(ike_msg_find(m, PAYLOAD_NONCE), &nonce))
		return V_SYNTAX;
	ni.len = nonce.len;
	memcpy(ni.data, nonce.data, nonce.len);
	if (ike_msg_notify(m, N_REKEY_SA, 0, &n)) {
		new.replaces = named_child(st, m, &n);
		if (!new.replaces)
			return V_STAY;
	}
	notify = child_choose(st, &offer, false, new.replaces ? new.replaces->info.conf : NULL,
			      &new, &esp);
	if (notify)
		return create_child_refuse(st, m, notify);
	if (nonce_new(st->sa->env, &nr))
		return create_child_refuse(st, m, N_TEMPORARY_FAILURE);
	new.ni = &ni;
	new.nr = &nr;
	new.shared = &shared;
	if (request_kex(st, m, &new, &kex, &shared))
		v = child_answer(st, m, &new, &kex);
	kex_fini(st->sa->env, &kex);
	secret_fini(&shared);
	return v;
}
