#include "control/ike/request.h"

#include <errno.h>
#include <string.h>

#include "control/ike/child.h"
#include "control/ike/create_child.h"
#include "control/ike/ike_sa_init.h"
#include "control/ike/informational.h"
#include "control/ike/mobike.h"
#include "control/ike/path.h"
#include "control/ike/refuse.h"
#include "control/ike/sk.h"

static struct sk_keys keys_outbound(const struct ike_sa *sa)
{
	if (sa->original_initiator)
		return (struct sk_keys){&sa->keys.ei, &sa->keys.ai};
	return (struct sk_keys){&sa->keys.er, &sa->keys.ar};
}

static void begin(const struct ike_sa *sa, struct ike_builder *b, uint8_t exchange, uint8_t flags,
		  uint32_t message_id)
{
	if (sa->original_initiator)
		flags |= IKE_FLAG_INITIATOR;
	build_start(b, sa->spi_i, sa->spi_r, exchange, flags, message_id);
	if (exchange != EXCHANGE_IKE_SA_INIT)
		sk_begin(b, &sa->suite);
}

void request_begin(struct step *st, struct ike_builder *b, uint8_t exchange)
{
	begin(st->sa, b, exchange, 0, st->sa->next_request_id);
}

void reply_begin(struct step *st, struct ike_builder *b, const struct ike_msg *m)
{
	begin(st->sa, b, m->h.exchange, IKE_FLAG_RESPONSE, m->h.message_id);
}

// Bytes that one IKE message may have before it is fragmented.
static size_t message_room(const struct ike_sa *sa)
{
	const struct ike_conn *conn = sa->conn;

	if (!conn || !sa->may_fragment || conn->fragmentation != IKE_FRAG_YES ||
	    conn->fragment_size == 0)
		return SIZE_MAX;
	return fragment_message_room(conn->fragment_size, sa->remote.addr.family == IP_V6);
}

static int finish_fragments(const struct ike_sa *sa, struct ike_builder *b, struct octets *to)
{
	struct octets all = {0};
	int err = fragment_seal(b, sa->env->crypto, &sa->suite, keys_outbound(sa), message_room(sa),
				&all.data, &all.len);

	if (!err) {
		octets_fini(to);
		*to = all;
	}
	return err;
}

static int finish_whole(const struct ike_sa *sa, struct ike_builder *b, struct octets *to)
{
	int err = 0;

	if (b->sk_at)
		err = sk_finish(b, sa->env->crypto, &sa->suite, keys_outbound(sa));
	else
		build_finish(b);
	if (!err && b->w.failed)
		err = -EMSGSIZE;
	return err ? err : octets_set(to, b->buf, b->w.len);
}

// Closes and encrypts, and keeps a copy in *to.
static bool finish(struct step *st, struct ike_builder *b, struct octets *to)
{
	const struct ike_sa *sa = st->sa;
	int err;

	if (fragment_needed(b, &sa->suite, message_room(sa)))
		err = finish_fragments(sa, b, to);
	else
		err = finish_whole(sa, b, to);
	if (err == -ENOMEM)
		st->nomem = true;
	else if (err)
		act_report(st, IKE_REPORT_INFO, IKE_SEV_ERROR, "cannot build a message: %s",
			   strerror(-err));
	return !err;
}

// The n-th wait of RFC 7296 2.1's growing intervals, n from 0.
static uint64_t wait_ms(const struct ike_conn *conn, unsigned n)
{
	double ms = (double)(conn->retransmit_base_ms ? conn->retransmit_base_ms : 1);

	for (unsigned i = 0; i < n && ms < 1e9; i++)
		ms *= conn->retransmit_factor;
	return ms < 1 ? 1 : ms > 1e9 ? 1000000000 : (uint64_t)ms;
}

// An opener is repeated after an eighth and three eighths of the first wait already. Nobody knows
// us yet, so it is what a flood of openers takes with it, and a guard may wait for the second one.
static bool repeat_early(struct step *st)
{
	struct ike_request *r = &st->sa->request;
	const uint64_t wait = wait_ms(st->sa->conn, 0), now = st->ev->now_ms;

	if (r->kind != REQUEST_INIT || wait < IKE_EARLY_WAIT_MS || r->repeats > 0 ||
	    r->early == IKE_EARLY_TRIES || now >= r->first_ms + wait)
		return false;
	r->early++;
	r->next_ms = r->first_ms + (r->early < IKE_EARLY_TRIES ? wait * 3 / 8 : wait);
	if (st->sa->refused) // it has come
		return true;
	act_send(st, &r->message, r->exchange, r->message_id, false, true);
	return true;
}

bool request_send(struct step *st, struct ike_builder *b, enum request_kind kind)
{
	struct ike_sa *sa = st->sa;
	struct ike_request *r = &sa->request;
	uint8_t exchange = b->buf[18];

	if (!finish(st, b, &r->message))
		return false;
	r->kind = kind;
	r->exchange = exchange;
	r->message_id = sa->next_request_id;
	r->doubtful = r->lists = r->tried = r->scattered = false;
	r->repeats = r->early = 0;
	r->tries_max = sa->conn->retransmit_tries;
	if (kind == REQUEST_DELETE_IKE || kind == REQUEST_AUTH_FAILED)
		r->tries_max = r->tries_max < IKE_DELETE_TRIES ? r->tries_max : IKE_DELETE_TRIES;
	r->first_ms = st->ev->now_ms;
	r->next_ms = r->first_ms + wait_ms(sa->conn, 0);
	if (kind == REQUEST_INIT && wait_ms(sa->conn, 0) >= IKE_EARLY_WAIT_MS)
		r->next_ms = r->first_ms + wait_ms(sa->conn, 0) / 8;
	act_send(st, &r->message, exchange, r->message_id, false, false);
	return true;
}

bool reply_send(struct step *st, struct ike_builder *b, const struct ike_msg *m)
{
	struct ike_sa *sa = st->sa;

	if (!finish(st, b, &sa->reply))
		return false;
	sa->expected_id = m->h.message_id + 1;
	sa->reply_exchange = m->h.exchange;
	act_send(st, &sa->reply, m->h.exchange, m->h.message_id, true, false);
	return true;
}

bool reply_notify(struct step *st, const struct ike_msg *m, uint16_t type, const void *data,
		  size_t len)
{
	struct ike_builder b;

	reply_begin(st, &b, m);
	build_notify(&b, type, data, len);
	return reply_send(st, &b, m);
}

void reply_repeat(struct step *st, const struct ike_msg *m)
{
	if (st->sa->phase == PHASE_REKEYED) // it does not have our answer yet
		st->sa->give_up_ms = st->ev->now_ms + IKE_REPLACED_WAIT_MS;
	if (st->sa->reply.len > 0)
		act_send(st, &st->sa->reply, m->h.exchange, m->h.message_id, true, true);
}

void request_done(struct ike_sa *sa)
{
	sa->request.kind = REQUEST_NONE;
	sa->next_request_id = sa->request.message_id + 1;
	octets_fini(&sa->request.message);
}

static const char *request_name(enum request_kind kind)
{
	switch (kind) {
	case REQUEST_CHILD:
		return "CREATE_CHILD_SA for a child SA";
	case REQUEST_REKEY:
		return "CREATE_CHILD_SA for the IKE SA";
	case REQUEST_DELETE_CHILD:
		return "DELETE of a child SA";
	case REQUEST_UPDATE:
		return "UPDATE_SA_ADDRESSES";
	case REQUEST_RETURN:
		return "COOKIE2 to its new address";
	case REQUEST_ADDRS:
		return "the list of our addresses";
	case REQUEST_INIT:
		return "IKE_SA_INIT";
	case REQUEST_AUTH:
		return "IKE_AUTH";
	default:
		return "liveness check";
	}
}

static void init_never_answered(struct step *st, const char *peer, unsigned sent, unsigned s)
{
	const unsigned silent = st->sa->silent_500;

	if (silent > 0)
		act_refusal(st,
			    refuse_new(st, IKE_REPORT_NO_ANSWER,
				       "peer %s never answered IKE_SA_INIT (%u messages in %u "
				       "s), and on UDP %u neither (%u messages): it is down, or "
				       "no UDP passes",
				       peer, sent, s, IKE_PORT, silent));
	else
		act_refusal(st,
			    refuse_new(st, IKE_REPORT_NO_ANSWER,
				       "peer %s never answered IKE_SA_INIT (%u messages in %u s): "
				       "check its address, that its IKE service runs, and that UDP "
				       "%u passes in both directions",
				       peer, sent, s, st->sa->remote.port));
}

// Was it within the longest interval between two repetitions?
static bool is_recent(const struct step *st, uint64_t then_ms)
{
	const struct ike_sa *sa = st->sa;

	return then_ms && then_ms + wait_ms(sa->conn, sa->request.tries_max) > st->ev->now_ms;
}

// Is a request that nobody answers no reason yet to give the IKE SA up? ESP of the peer is a sign
// of life as good as an answer (RFC 7296 2.4), and where we lose what comes, its answers may be
// among that. Either way the tunnel goes on, until its lifetime is over. A flood alone excuses
// nobody: what bears an SPI of ours passes the guard first (docs/decisions/liveness-in-a-flood.md).
static bool is_patient(const struct step *st)
{
	const struct ike_sa *sa = st->sa;
	const struct ike_request *r = &sa->request;
	const uint64_t now = st->ev->now_ms;

	switch (r->kind) {
	case REQUEST_INIT:
	case REQUEST_AUTH:
		return st->ev->under_attack && r->repeats < r->tries_max + IKE_ATTACK_TRIES;
	case REQUEST_LIVENESS:
	case REQUEST_CHILD:
	case REQUEST_REKEY:
	case REQUEST_DELETE_CHILD:
	case REQUEST_ADDRS:
		if (sa->phase != PHASE_ESTABLISHED)
			return false;
		return is_recent(st, sa->last_inbound_esp_ms) ||
		       (is_recent(st, st->ev->last_loss_ms) &&
			now - r->first_ms < IKE_LOSS_WAIT_MS);
	default:
		return false;
	}
}

// The next wait of a request, which grows no more once patience is all that it lives by.
static uint64_t next_wait_ms(const struct ike_sa *sa)
{
	const struct ike_request *r = &sa->request;

	return wait_ms(sa->conn, r->repeats < r->tries_max ? r->repeats : r->tries_max);
}

static void report_patience(struct step *st)
{
	struct ike_sa *sa = st->sa;
	const struct ike_request *r = &sa->request;
	char peer[IP_ENDPOINT_TEXT_MAX];

	if (r->repeats != r->tries_max)
		return;
	act_report(st, IKE_REPORT_IKE_SILENT, IKE_SEV_NOTICE,
		   "peer %s does not answer %s (%u messages in %llu s), but %s: %s",
		   ip_endpoint_format(&sa->remote, peer, sizeof(peer)), request_name(r->kind),
		   r->repeats + 1, (unsigned long long)((st->ev->now_ms - r->first_ms) / 1000),
		   sa->last_inbound_esp_ms > r->first_ms ? "its ESP arrives"
		   : sa->phase == PHASE_ESTABLISHED	 ? "part of what comes is lost here"
							 : "our ports are flooded",
		   sa->phase == PHASE_ESTABLISHED ? "the tunnel stays as it is"
						  : "trying for longer");
}

static void give_up(struct step *st)
{
	struct ike_sa *sa = st->sa;
	const struct ike_request *r = &sa->request;
	char peer[IP_ENDPOINT_TEXT_MAX];
	uint64_t waited_ms = st->ev->now_ms - r->first_ms;
	unsigned sent = r->repeats + r->early + 1;

	ip_endpoint_format(&sa->remote, peer, sizeof(peer));
	if (sa->phase == PHASE_REKEYED) { // the peer may have deleted it long ago
		act_close(st, false, "replaced");
		return;
	}
	switch (r->kind) {
	case REQUEST_DELETE_IKE:
	case REQUEST_AUTH_FAILED:
		act_close(st, false, "the peer did not confirm the deletion");
		return;
	case REQUEST_INIT:
		init_never_answered(st, peer, sent, (unsigned)(waited_ms / 1000));
		act_close(st, true, "no answer to IKE_SA_INIT");
		return;
	case REQUEST_AUTH:
		act_refusal(st,
			    refuse_new(st, IKE_REPORT_NO_ANSWER,
				       "peer %s answered IKE_SA_INIT but never IKE_AUTH (%u "
				       "messages in %llu s): it may refuse us silently, or UDP %u "
				       "or large datagrams do not pass",
				       peer, sent, (unsigned long long)(waited_ms / 1000),
				       sa->remote.port));
		act_close(st, true, "no answer to IKE_AUTH");
		return;
	default:
		act_report(st, IKE_REPORT_DEAD_PEER, IKE_SEV_ERROR,
			   "peer %s is dead: %s unanswered (%u messages in %llu s)", peer,
			   request_name(r->kind), sent, (unsigned long long)(waited_ms / 1000));
		act_close(st, true, "the peer does not answer any more");
	}
}

void request_timer(struct step *st)
{
	struct ike_sa *sa = st->sa;
	struct ike_request *r = &sa->request;
	char peer[IP_ENDPOINT_TEXT_MAX];

	if (r->kind == REQUEST_NONE || st->ev->now_ms < r->next_ms || repeat_early(st) ||
	    init_fall_back(st))
		return;
	if (r->repeats >= r->tries_max && !is_patient(st)) {
		give_up(st);
		return;
	}
	if (r->repeats >= r->tries_max)
		report_patience(st);
	r->repeats++;
	r->next_ms = st->ev->now_ms + next_wait_ms(sa);
	act_send(st, &r->message, r->exchange, r->message_id, false, true);
	path_try(st);
	act_report(st, IKE_REPORT_RETRANSMIT, IKE_SEV_INFO,
		   "%s (message %u) to %s not answered, repeat %u of %u",
		   ike_exchange_name(r->exchange), r->message_id,
		   ip_endpoint_format(&sa->remote, peer, sizeof(peer)), r->repeats, r->tries_max);
}

// Takes the first child that is to be made, and whose time has come, off the list.
static const struct ike_child_conf *want_take(struct ike_sa *sa, uint64_t now_ms)
{
	for (size_t i = 0; i < sa->n_wants; i++) {
		const struct ike_child_conf *conf = sa->wants[i].conf;

		if (sa->wants[i].retry_ms > now_ms)
			continue;
		sa->n_wants--;
		memmove(&sa->wants[i], &sa->wants[i + 1], (sa->n_wants - i) * sizeof(*sa->wants));
		return conf;
	}
	return NULL;
}

static bool send_delete_of(struct step *st, struct ike_child *child)
{
	child->want_delete = false;
	child->deleting = true;
	if (!send_delete_child(st, child->info.spi_in))
		return false;
	st->sa->request.doubtful = child_is_doubtful(st->sa, child);
	return true;
}

static bool send_orphan_delete(struct step *st)
{
	uint32_t spi = st->sa->orphan_spi;

	st->sa->orphan_spi = 0;
	return send_delete_child(st, spi);
}

// What is wanted most. *child: it was a child, for which perhaps nothing could be sent this time.
static bool send_next(struct step *st, bool *child)
{
	struct ike_sa *sa = st->sa;
	uint64_t now = st->ev->now_ms;
	const struct ike_child_conf *conf;
	struct ike_child *c;

	*child = false;
	if (sa->want_terminate)
		return send_delete_ike(st);
	if (sa->mobike.want_update)
		return send_update(st);
	if (sa->mobike.want_return)
		return send_return(st);
	if (sa->orphan_spi)
		return send_orphan_delete(st);
	if ((c = child_wanting_delete(sa)))
		return send_delete_of(st, c);
	if (sa->want_rekey && sa->retry_ms <= now) {
		sa->want_rekey = false;
		return send_rekey(st);
	}
	if ((c = child_wanting_rekey(sa, now))) {
		*child = true;
		c->want_rekey = false;
		return send_child(st, c->info.conf, c);
	}
	if ((conf = want_take(sa, now))) {
		*child = true;
		return send_child(st, conf, NULL);
	}
	if (sa->mobike.want_addrs)
		return send_addresses(st);
	if (sa->want_check) {
		sa->want_check = false;
		return send_liveness(st);
	}
	return true;
}

void request_next(struct step *st)
{
	struct ike_sa *sa = st->sa;
	bool child = true;

	// The peer has one of these two, and calls us where we were.
	if ((sa->phase == PHASE_REKEYED || sa->predecessor) && sa->mobike.want_update &&
	    sa->request.kind == REQUEST_NONE && !send_update(st))
		act_close(st, false, "no message could be built");
	// Nothing is begun on a successor of which it is not known yet whether it stays.
	// A child that could not be asked for makes room for what waits behind it: nothing else
	// would ever wake a liveness check that is due already.
	while (child && sa->phase == PHASE_ESTABLISHED && sa->request.kind == REQUEST_NONE &&
	       !sa->predecessor)
		if (!send_next(st, &child))
			act_close(st, false, "no message could be built");
}
