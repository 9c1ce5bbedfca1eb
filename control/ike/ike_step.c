// The one door into the core: events come in, messages are checked and find their row in the
// table of transitions, the next deadline is armed.
#include <errno.h>
#include <string.h>

#include "control/ike/child.h"
#include "control/ike/ike_sa_init.h"
#include "control/ike/parked.h"
#include "control/ike/path.h"
#include "control/ike/payload.h"
#include "control/ike/request.h"
#include "control/ike/sk.h"
#include "control/ike/transition.h"

static void ignored(struct step *st, const char *why)
{
	act_report(st, IKE_REPORT_INVALID_MESSAGE, IKE_SEV_DEBUG, "message ignored: %s", why);
}

// ---- messages: is it for us, is it genuine, is it new? ----

static bool spis_match(const struct ike_sa *sa, const struct ike_msg *m)
{
	static const uint8_t zero[8];

	if (sa->phase == PHASE_CREATED)
		return memcmp(m->h.spi_i, zero, 8) != 0 && memcmp(m->h.spi_r, zero, 8) == 0;
	if (memcmp(m->h.spi_i, sa->spi_i, 8) != 0)
		return false;
	if (m->h.exchange == EXCHANGE_IKE_SA_INIT)
		// The request has none yet; the response brings it, or has none (RFC 7296 2.6).
		return m->h.is_response || memcmp(m->h.spi_r, zero, 8) == 0;
	return memcmp(m->h.spi_r, sa->spi_r, 8) == 0;
}

enum age { AGE_NEW, AGE_AGAIN, AGE_OTHER };

// RFC 7296 2.2, 2.3: with a window of one there is one number to expect on each side.
static enum age age_of(const struct ike_sa *sa, const struct ike_msg *m)
{
	if (m->h.is_response)
		return sa->request.kind != REQUEST_NONE &&
				       m->h.message_id == sa->request.message_id &&
				       m->h.exchange == sa->request.exchange
			       ? AGE_NEW
			       : AGE_OTHER;
	if (m->h.message_id == sa->expected_id)
		return AGE_NEW;
	if (m->h.message_id + 1 == sa->expected_id && m->h.exchange == sa->reply_exchange)
		return AGE_AGAIN;
	return AGE_OTHER;
}

static struct sk_keys keys_inbound(const struct ike_sa *sa)
{
	if (sa->original_initiator)
		return (struct sk_keys){&sa->keys.er, &sa->keys.ar};
	return (struct sk_keys){&sa->keys.ei, &sa->keys.ai};
}

// RFC 7296 2.23: the address of a peer behind a NAT follows what it sends, once that is
// authenticated, unless we are behind one ourselves. With MOBIKE its ESP alone may say so (RFC 4555
// 3.8), and not while the address that it has told is looked into.
static void follow_peer(struct step *st)
{
	struct ike_sa *sa = st->sa;
	char was[IP_ENDPOINT_TEXT_MAX], is[IP_ENDPOINT_TEXT_MAX];

	if (sa->mobike.on && (st->ev->type == IKE_EV_MESSAGE || !path_is_settled(sa)))
		return;
	if (!sa->nat.remote || sa->nat.local || ip_endpoint_equal(&sa->remote, &st->ev->remote))
		return;
	act_report(st, IKE_REPORT_INFO, IKE_SEV_INFO, "the peer has moved from %s to %s",
		   ip_endpoint_format(&sa->remote, was, sizeof(was)),
		   ip_endpoint_format(&st->ev->remote, is, sizeof(is)));
	sa->remote = st->ev->remote;
	path_settle(st);
}

// ---- messages: what to do with one that is genuine and new ----

static void malformed(struct step *st, const struct ike_msg *m)
{
	if (m->h.is_response && m->h.exchange == EXCHANGE_IKE_SA_INIT) {
		ignored(st, "malformed IKE_SA_INIT response"); // not authenticated (2.21.1)
		return;
	}
	act_report(st, IKE_REPORT_INVALID_MESSAGE, IKE_SEV_ERROR, "the peer's %s %s is malformed",
		   ike_exchange_name(m->h.exchange), m->h.is_response ? "response" : "request");
	// RFC 7296 2.21.3: fatal on both sides, without a DELETE.
	if (!m->h.is_response)
		reply_notify(st, m, N_INVALID_SYNTAX, NULL, 0);
	act_close(st, true, "malformed message");
}

// RFC 7296 2.5: the message MUST be rejected, the notify names the payload type.
static void reject_critical(struct step *st, const struct ike_msg *m)
{
	uint8_t type = m->unknown_critical;

	if (m->h.is_response && m->h.exchange == EXCHANGE_IKE_SA_INIT) {
		ignored(st, "unknown critical payload in an IKE_SA_INIT response");
		return;
	}
	act_report(st, IKE_REPORT_INVALID_MESSAGE, IKE_SEV_ERROR,
		   "the peer's %s %s needs payload type %u, which we do not know",
		   ike_exchange_name(m->h.exchange), m->h.is_response ? "response" : "request",
		   type);
	if (m->h.is_response) {
		act_close(st, true, "unknown critical payload");
		return;
	}
	if (!reply_notify(st, m, N_UNSUPPORTED_CRITICAL_PAYLOAD, &type, 1) ||
	    st->sa->phase == PHASE_CREATED)
		act_close(st, false, "unknown critical payload");
}

static void park(struct step *st, const struct ike_msg *m, const uint8_t *plain, size_t len)
{
	if (parked_keep(st->sa, m, plain, len, st->ev))
		st->nomem = true;
}

// `plain`: the payloads of a message that was protected.
static void handle(struct step *st, const struct ike_msg *m, const uint8_t *plain, size_t len)
{
	struct ike_sa *sa = st->sa;
	const struct ike_transition *row;

	row = transition_find(sa->phase, m->h.exchange,
			      m->h.is_response ? AS_EXCHANGE_INITIATOR : AS_EXCHANGE_RESPONDER);
	if (!row) {
		ignored(st, "not expected now");
		return;
	}
	if (m->unknown_critical) {
		reject_critical(st, m);
		return;
	}
	if (!ike_msg_has(m, row->required, row->optional)) {
		malformed(st, m);
		return;
	}
	switch (row->handler(st, m)) {
	case V_NEXT:
		if (sa->phase != PHASE_CLOSED)
			sa->phase = row->next;
		break;
	case V_SYNTAX:
		malformed(st, m);
		break;
	case V_WAIT:
		park(st, m, plain, len);
		break;
	case V_STAY:
		break;
	}
}

// Handles again what was put aside. `last`: now or never.
static void go_on(struct step *st, bool last)
{
	const struct ike_event *ev = st->ev;
	struct ike_event then;
	struct parked p;
	struct ike_msg m;
	int rc = parked_take(st->sa, ev->now_ms, &p, &then, &m);

	if (rc == -ENOENT)
		return;
	st->ev = &then;
	st->last_word = last;
	if (rc == 0)
		handle(st, &m, p.plain.data, p.plain.len);
	st->ev = ev;
	parked_fini(&p);
	if (!st->sa->parked.held) // another attempt has its own time
		st->sa->parked.until_ms = 0;
}

static void on_plain(struct step *st, struct ike_msg *m, bool well_formed)
{
	struct ike_sa *sa = st->sa;

	if (!m->h.is_response && sa->phase != PHASE_CREATED) {
		// RFC 7296 2.1: only the very same request gets the same answer again.
		if (age_of(sa, m) == AGE_AGAIN && m->len == sa->init_request.len &&
		    memcmp(m->bytes, sa->init_request.data, m->len) == 0)
			reply_repeat(st, m);
		else
			ignored(st, "IKE_SA_INIT request for an SA that is beyond that");
		return;
	}
	if (age_of(sa, m) != AGE_NEW || m->has_sk || m->h.is_response != sa->original_initiator) {
		ignored(st, "IKE_SA_INIT that does not fit");
		return;
	}
	if (!m->h.is_response) {
		memcpy(sa->spi_i, m->h.spi_i, 8);
		sa->local = st->ev->local;
		sa->remote = st->ev->remote;
	}
	if (well_formed)
		handle(st, m, NULL, 0);
	else
		malformed(st, m);
}

// Adds an opened fragment to what is held of its message (RFC 7383 2.6). True when that is whole:
// *plain and *len are then its payloads, in buf.
static bool reassembled(struct step *st, struct ike_msg *m, uint8_t *buf, const uint8_t **plain,
			size_t *len)
{
	struct reassembly *r = &st->sa->reassembly[m->h.is_response];
	int err = reassembly_add(r, m, *plain, *len);

	if (err == -ENOMEM)
		st->nomem = true;
	else if (err)
		ignored(st, "its fragments are too large together");
	if (err || !reassembly_complete(r))
		return false;
	reassembly_take(r, buf, len, &m->sk_first);
	*plain = buf;
	return true;
}

static void on_protected(struct step *st, struct ike_msg *m)
{
	struct ike_sa *sa = st->sa;
	uint8_t buf[LIMIT_IKE_MESSAGE_LEN];
	const uint8_t *plain;
	size_t plain_len;
	enum age age = age_of(sa, m);

	if (!sa->have_keys || !m->has_sk || age == AGE_OTHER) {
		ignored(st, age == AGE_OTHER ? "message ID outside of the window"
					     : "not protected, or no keys yet");
		return;
	}
	// Its answer is under way: nothing may be done twice.
	if (sa->parked.held && !m->h.is_response) {
		ignored(st, "that request waits already");
		return;
	}
	// Before anything is decrypted; a number that is not expected has been refused above.
	if (m->fragments && age == AGE_NEW &&
	    !reassembly_wants(&sa->reassembly[m->h.is_response], m)) {
		ignored(st, "fragment that is here already, of a smaller set, or one too many");
		return;
	}
	if (sk_open(m, sa->env->crypto, &sa->suite, keys_inbound(sa), buf, &plain, &plain_len)) {
		ignored(st, "it does not decrypt");
		return;
	}
	if (age == AGE_AGAIN) {
		// RFC 7383 2.6.1: one answer for all the fragments of a repeated request.
		if (m->fragment <= 1)
			reply_repeat(st, m);
		return;
	}
	if (!transition_find(sa->phase, m->h.exchange,
			     m->h.is_response ? AS_EXCHANGE_INITIATOR : AS_EXCHANGE_RESPONDER)) {
		ignored(st, "not expected now");
		return;
	}
	if (m->fragments && !reassembled(st, m, buf, &plain, &plain_len))
		return;
	reassembly_fini(&sa->reassembly[m->h.is_response]); // it may have come whole as well
	sa->last_inbound_ms = st->ev->now_ms;
	if (sa->phase == PHASE_HALF_OPEN) { // IKE_AUTH may come from port 4500 in any case
		sa->local = st->ev->local;
		sa->remote = st->ev->remote;
	} else {
		follow_peer(st);
	}
	if (m->h.is_response) {
		st->answered = sa->request.kind;
		request_done(sa);
		path_answered(st);
	}
	if (ike_msg_parse_inner(m, plain, plain_len))
		malformed(st, m);
	else
		handle(st, m, plain, plain_len);
}

static void on_message(struct step *st)
{
	struct ike_sa *sa = st->sa;
	struct ike_msg m;
	int err = ike_msg_parse(st->ev->bytes, st->ev->len, &m);
	bool plain;

	if (st->ev->len < IKE_HEADER_LEN || m.h.length != st->ev->len) {
		ignored(st, "no IKE header, or its length is wrong");
		return;
	}
	plain = m.h.exchange == EXCHANGE_IKE_SA_INIT;
	if (m.h.major != 2) {
		ignored(st, "not IKE version 2");
	} else if (m.h.from_original_initiator == sa->original_initiator) {
		ignored(st, "it claims to be from our own side");
	} else if (!spis_match(sa, &m)) {
		ignored(st, "other SPIs");
	} else if (err && !(plain && sa->phase == PHASE_CREATED)) {
		ignored(st, "malformed");
	} else if (plain) {
		on_plain(st, &m, !err);
	} else {
		on_protected(st, &m);
	}
}

// ---- the other events ----

static void on_initiate(struct step *st)
{
	struct ike_sa *sa = st->sa;

	if (sa->phase == PHASE_CREATED && sa->original_initiator)
		init_start(st);
}

static void on_create_child(struct step *st)
{
	struct ike_sa *sa = st->sa;

	if (sa->phase == PHASE_ESTABLISHED && !sa->want_terminate) {
		if (!sa_want_child(sa, st->ev->child, 0))
			st->nomem = true;
	} else {
		struct child_request none = {.conf = st->ev->child};

		act_child_failed(st, &none, 0);
	}
}

static void on_rekey_child(struct step *st)
{
	struct ike_child *child = child_by_spi_in(st->sa, st->ev->spi_in);

	if (child)
		child->want_rekey = true;
}

// The last sign of life of an authenticated peer.
static uint64_t last_seen_ms(const struct ike_sa *sa)
{
	return sa->last_inbound_ms > sa->last_inbound_esp_ms ? sa->last_inbound_ms
							     : sa->last_inbound_esp_ms;
}

// When the peer has to be asked whether it lives (RFC 7296 2.4).
static uint64_t liveness_due_ms(const struct ike_sa *sa)
{
	if (sa->phase != PHASE_ESTABLISHED || sa->request.kind != REQUEST_NONE || sa->want_check ||
	    sa->conn->dpd_delay_ms == 0)
		return IKE_NEVER;
	return last_seen_ms(sa) + sa->conn->dpd_delay_ms;
}

// While our ports are flooded a key exchange is more likely to fail than later; there is time until
// half of over_time is left.
static void rekey_due(struct step *st)
{
	struct ike_sa *sa = st->sa;
	const uint64_t now = st->ev->now_ms;

	if (st->ev->under_attack && sa->over_ms != IKE_NEVER &&
	    now + sa->conn->over_time_ms / 2 < sa->over_ms) {
		sa->rekey_ms = now + sa_later(sa, IKE_ATTACK_DEFER_MS, IKE_ATTACK_DEFER_MS / 2);
		act_report(st, IKE_REPORT_INFO, IKE_SEV_INFO,
			   "rekeying of the IKE SA is put off: our ports are flooded");
		return;
	}
	sa->rekey_ms = IKE_NEVER;
	sa->want_rekey = true;
}

// The DELETE waits for the request under way (RFC 7296 2.3), but not for ever.
static void terminate_soon(struct step *st)
{
	struct ike_sa *sa = st->sa;

	sa->want_terminate = true;
	if (sa->request.kind != REQUEST_NONE)
		sa->give_up_ms = st->ev->now_ms + IKE_TERMINATE_WAIT_MS;
}

static void on_timer(struct step *st)
{
	struct ike_sa *sa = st->sa;
	char peer[IP_ENDPOINT_TEXT_MAX];

	if (st->ev->last_inbound_esp_ms > sa->last_inbound_esp_ms)
		sa->last_inbound_esp_ms = st->ev->last_inbound_esp_ms;
	if (st->ev->now_ms >= sa->give_up_ms) {
		if (sa->phase == PHASE_HALF_OPEN && sa->auth_failures == 0)
			act_report(st, IKE_REPORT_NO_ANSWER, IKE_SEV_NOTICE,
				   "peer %s began with IKE_SA_INIT and never authenticated",
				   ip_endpoint_format(&sa->remote, peer, sizeof(peer)));
		act_close(st, false,
			  sa->phase == PHASE_HALF_OPEN ? "not authenticated in time"
			  : sa->phase == PHASE_REKEYED ? "replaced"
			  : sa->refused		       ? "IKE_SA_INIT refused by the peer"
						       : "no end came of it");
		return;
	}
	if (sa->parked.held && st->ev->now_ms >= sa->parked.until_ms)
		go_on(st, true);
	request_timer(st);
	if (sa->phase != PHASE_ESTABLISHED)
		return;
	children_timer(st);
	if (st->ev->now_ms >= liveness_due_ms(sa))
		sa->want_check = true;
	if (st->ev->now_ms >= sa->retry_ms)
		sa->retry_ms = 0;
	for (size_t i = 0; i < sa->n_wants; i++)
		if (st->ev->now_ms >= sa->wants[i].retry_ms)
			sa->wants[i].retry_ms = 0;
	if (st->ev->now_ms >= sa->rekey_ms)
		rekey_due(st);
	if (st->ev->now_ms >= sa->over_ms) {
		sa->over_ms = IKE_NEVER;
		terminate_soon(st);
		act_report(st, IKE_REPORT_EXPIRED, IKE_SEV_NOTICE,
			   "lifetime of the IKE SA is over");
	}
}

static void on_terminate(struct step *st)
{
	struct ike_sa *sa = st->sa;

	switch (sa->phase) {
	case PHASE_CREATED:
	case PHASE_INIT_SENT:
	case PHASE_HALF_OPEN:
		// Nothing that the peer holds as authenticated, so nothing to delete there.
		act_close(st, false, "terminated");
		break;
	case PHASE_AUTH_SENT:
	case PHASE_ESTABLISHED:
		if (!sa->want_terminate)
			terminate_soon(st);
		break;
	case PHASE_REKEYED:
		act_close(st, false, "terminated");
		break;
	default:
		break;
	}
}

static void on_event(struct step *st)
{
	struct ike_sa *sa = st->sa;
	struct ike_child *child;

	switch (st->ev->type) {
	case IKE_EV_INITIATE:
		on_initiate(st);
		break;
	case IKE_EV_MESSAGE:
		on_message(st);
		// A responder that did not get beyond its first message holds nothing.
		if (sa->phase == PHASE_CREATED && !sa->original_initiator)
			act_close(st, true, "no usable IKE_SA_INIT request");
		break;
	case IKE_EV_TIMER:
		on_timer(st);
		break;
	case IKE_EV_TERMINATE:
		on_terminate(st);
		break;
	case IKE_EV_TERMINATE_CHILD:
		child = child_by_spi_in(sa, st->ev->spi_in);
		if (child && !child->deleting)
			child->want_delete = true;
		break;
	case IKE_EV_CHECK:
		sa->want_check = sa->phase == PHASE_ESTABLISHED;
		break;
	case IKE_EV_CREATE_CHILD:
		on_create_child(st);
		break;
	case IKE_EV_REKEY_CHILD:
		on_rekey_child(st);
		break;
	case IKE_EV_RESTORE_CHILD:
		child = child_by_spi_in(sa, st->ev->spi_in);
		if (child)
			child_restore(st, child);
		break;
	case IKE_EV_PEER_MOVED:
		if (sa->phase == PHASE_ESTABLISHED && child_by_spi_in(sa, st->ev->spi_in))
			follow_peer(st);
		break;
	case IKE_EV_ADDRESSES:
		path_addresses_changed(st);
		break;
	case IKE_EV_RETIRE_CHILD:
		children_retire(sa, st->ev->child);
		break;
	case IKE_EV_NEW_TIMES:
		if (sa->phase == PHASE_ESTABLISHED) {
			sa_rekey_start(sa, st->ev->now_ms);
			children_new_times(st);
		}
		break;
	case IKE_EV_GO_ON:
		go_on(st, st->ev->now_ms >= sa->parked.until_ms);
		break;
	case IKE_EV_REKEY:
		sa->want_rekey =
			sa->phase == PHASE_ESTABLISHED && sa->request.kind != REQUEST_REKEY;
		sa->retry_ms = 0;
		break;
	}
}

static uint64_t min_ms(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void arm(struct step *st)
{
	struct ike_sa *sa = st->sa;
	uint64_t due = min_ms(sa->give_up_ms, liveness_due_ms(sa));

	if (sa->phase == PHASE_ESTABLISHED) {
		due = min_ms(due, min_ms(children_due_ms(sa), sa->over_ms));
		due = min_ms(due, sa->rekey_ms);
		if (sa->want_rekey && sa->retry_ms > 0)
			due = min_ms(due, sa->retry_ms);
		for (size_t i = 0; i < sa->n_wants; i++)
			if (sa->wants[i].retry_ms > 0)
				due = min_ms(due, sa->wants[i].retry_ms);
	}
	if (sa->request.kind != REQUEST_NONE)
		due = min_ms(due, sa->request.next_ms);
	if (sa->parked.held)
		due = min_ms(due, sa->parked.until_ms);
	// What was put off (a child that was being deleted, children of another IKE SA) may be
	// overdue when it counts again.
	if (due <= st->ev->now_ms)
		due = st->ev->now_ms + 1;
	if (due == sa->armed_ms && st->ev->type != IKE_EV_TIMER)
		return;
	sa->armed_ms = due;
	act_arm_timer(st, due);
}

int ike_step(struct ike_sa *sa, const struct ike_event *ev, struct ike_actions *out)
{
	struct step st = {.sa = sa, .ev = ev, .out = out};

	if (sa->phase == PHASE_CLOSED)
		return 0;
	if (sa->created_ms == 0)
		sa->created_ms = ev->now_ms;
	on_event(&st);
	if (sa->phase != PHASE_CLOSED)
		request_next(&st);
	if (sa->phase == PHASE_CLOSED)
		act_closed(&st);
	else
		arm(&st);
	return st.nomem ? -ENOMEM : 0;
}
