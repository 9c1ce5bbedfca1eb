#include "control/ike_run_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "lib/log.h"

#define AGED_GRACE_MS	  10000
#define STRANGER_LINES	  20 // per STRANGER_LINES_MS
#define STRANGER_LINES_MS 10000

const char *run_sa_name(const struct run_sa *s, char *buf, size_t size)
{
	struct ike_sa_info info;
	char text[IP_ENDPOINT_TEXT_MAX];

	if (s->conn) {
		snprintf(buf, size, "%s", s->conn->ike.name);
		return buf;
	}
	ike_sa_info(s->sa, &info);
	snprintf(buf, size, "%s", ip_endpoint_format(&info.remote, text, sizeof(text)));
	return buf;
}

// ---- life ----

void run_enter(struct ike_run *run)
{
	run->depth++;
}

static void sa_free(struct run_sa *s)
{
	if (s->timer)
		event_free(s->timer);
	if (s->age)
		event_free(s->age);
	ike_sa_destroy(s->sa);
	retire_touch(s->run, s->conn);
	run_conn_put(s->run, s->conn);
	free(s);
}

void run_leave(struct ike_run *run)
{
	struct run_sa *s;

	if (run->depth == 1) {
		while ((s = TAILQ_FIRST(&run->closed))) {
			TAILQ_REMOVE(&run->closed, s, link);
			sa_free(s);
		}
		watch_sweep(run);
		pace_next(run);
		retire_sweep(run);
	}
	run->depth--;
}

// libevent measures from its cached time, which may lie a little back: an early call waits on.
static void on_timer(int fd, short what, void *arg)
{
	struct run_sa *s = arg;
	uint64_t now = run_now_ms();

	(void)fd;
	(void)what;
	if (now < s->timer_at_ms) {
		run_event_after(s->timer, s->timer_at_ms - now);
		return;
	}
	run_sa_wake(s);
}

void run_sa_wake(struct run_sa *s)
{
	struct ike_event ev = {
		.type = IKE_EV_TIMER,
		.last_inbound_esp_ms = run_child_last_inbound_ms(s, run_now_ms()),
		.under_attack = s->run->guard_held_ms != 0,
		.last_loss_ms = s->run->loss_ms,
	};

	run_sa_step(s, &ev);
}

static void on_age(int fd, short what, void *arg)
{
	struct run_sa *s = arg;
	uint64_t now = run_now_ms();
	char name[IKE_NAME_MAX + IP_ENDPOINT_TEXT_MAX];

	(void)fd;
	(void)what;
	run_enter(s->run);
	if (now >= s->kill_at_ms) {
		log_debug(LOG_IKE, "%s: IKE SA #%u forgotten", run_sa_name(s, name, sizeof(name)),
			  s->id);
		run_sa_drop(s);
	} else if (now >= s->end_at_ms) {
		if (!s->superseded) {
			s->aged = true;
			log_notice(LOG_IKE, "%s: %s IKE SA #%u is over",
				   run_sa_name(s, name, sizeof(name)),
				   s->duplicate ? "the duplicate" : "lifetime of", s->id);
		}
		s->end_at_ms = NO_DEADLINE;
		run_sa_delete(s, AGED_GRACE_MS);
	} else if (now >= s->rekey_at_ms) {
		s->rekey_at_ms = NO_DEADLINE;
		start_successor(s);
	}
	if (!s->closed)
		run_sa_age_arm(s);
	run_leave(s->run);
}

void run_sa_age_arm(struct run_sa *s)
{
	uint64_t at = s->rekey_at_ms, now = run_now_ms();

	at = s->end_at_ms < at ? s->end_at_ms : at;
	at = s->kill_at_ms < at ? s->kill_at_ms : at;
	if (at == NO_DEADLINE)
		event_del(s->age);
	else
		run_event_after(s->age, at > now ? at - now : 0);
}

// The SA belongs to `conn` from now on, and to no other.
static void sa_join(struct run_sa *s, struct conn *conn)
{
	struct conn *before = s->conn;

	if (before && !s->closed)
		TAILQ_REMOVE(&before->sas, s, conn_link);
	s->conn = conn ? conn_get(conn) : NULL;
	if (conn && !s->closed)
		TAILQ_INSERT_TAIL(&conn->sas, s, conn_link);
	run_conn_put(s->run, before);
}

struct run_sa *run_sa_add(struct ike_run *run, struct ike_sa *sa, struct conn *conn)
{
	struct run_sa *s = calloc(1, sizeof(*s));
	struct ike_sa_info info;

	if (s) {
		s->run = run;
		s->timer = evtimer_new(run->base, on_timer, s);
		s->age = evtimer_new(run->base, on_age, s);
	}
	if (!s || !s->timer || !s->age) {
		if (s && s->timer)
			event_free(s->timer);
		free(s);
		ike_sa_destroy(sa);
		return NULL;
	}
	s->sa = sa;
	s->id = ++run->last_ike_id;
	s->began = ++run->order;
	s->born_ms = run_now_ms();
	s->rekey_at_ms = s->reauth_at_ms = s->end_at_ms = s->kill_at_ms = NO_DEADLINE;
	TAILQ_INIT(&s->children);
	sa_join(s, conn);
	TAILQ_INSERT_TAIL(&run->sas, s, link);
	run_sa_index_id(s);
	run->n_sas++;
	ike_sa_info(sa, &info);
	run_sa_index_spi(s, spi_key(info.original_initiator ? info.spi_i : info.spi_r));
	return s;
}

// Out of sight at once; freed when nobody can hold it any more.
static void sa_close(struct run_sa *s)
{
	struct run_child_sa *c;

	if (s->closed)
		return;
	s->closed = true;
	while ((c = TAILQ_FIRST(&s->children)))
		run_child_remove(s, c->spi_in, false, false);
	run_sa_unindex_spi(s);
	run_sa_unindex_peer(s);
	run_sa_unindex_id(s);
	run_sa_half_open_over(s);
	event_del(s->timer);
	event_del(s->age);
	pace_over(s);
	TAILQ_REMOVE(&s->run->sas, s, link);
	s->run->n_sas--;
	if (s->conn)
		TAILQ_REMOVE(&s->conn->sas, s, conn_link);
	TAILQ_INSERT_TAIL(&s->run->closed, s, link);
	if (s->goal && !s->established)
		start_failed(s->run, s->goal);
	start_abandoned(s);
	watch_closed(s);
}

void run_sa_drop(struct run_sa *s)
{
	run_enter(s->run);
	if (!s->closed && s->established)
		run_record_sa(s, RECORD_IKE, "forgotten",
			      "IKE SA #%u forgotten, the peer is not told", s->id);
	else if (!s->closed && s->half_open)
		run_record_sa(s, RECORD_FAILURE, "half-open",
			      "the peer began with IKE_SA_INIT and did not go on");
	sa_close(s);
	run_leave(s->run);
}

void run_sa_delete(struct run_sa *s, uint64_t grace_ms)
{
	struct ike_event ev = {.type = IKE_EV_TERMINATE};
	uint64_t kill_at = run_now_ms() + grace_ms;

	run_enter(s->run);
	if (!s->closed) {
		s->kill_at_ms = kill_at < s->kill_at_ms ? kill_at : s->kill_at_ms;
		s->rekey_at_ms = s->end_at_ms = NO_DEADLINE;
		run_sa_age_arm(s);
		run_sa_step(s, &ev);
	}
	run_leave(s->run);
}

// ---- steps ----

void run_sa_reauth_plan(struct run_sa *s)
{
	const struct conn *c = s->conn;
	uint64_t now = run_now_ms(), soft = c->reauth_time_ms;

	s->reauth_at_ms = s->end_at_ms = NO_DEADLINE;
	if (soft) {
		// Earlier by chance, so that the two sides do not act at once.
		s->reauth_at_ms = now + soft - run_random(s->run, c->reauth_rand_ms);
		s->end_at_ms = now + soft + (c->over_time_ms ? c->over_time_ms : soft / 10);
	}
	s->rekey_at_ms = s->reauth_at_ms;
	run_sa_age_arm(s);
}

static void on_established(struct run_sa *s, const struct ike_sa_info *info)
{
	s->established = true;
	s->authenticated = ++s->run->order;
	run_sa_half_open_over(s);
	pace_over(s);
	s->kill_at_ms = NO_DEADLINE;
	if (info->original_initiator)
		s->run->stats.initiated_ok++;
	else
		s->run->stats.responded_ok++;
	note_established(s);
	run_sa_reauth_plan(s);
	run_rival_established(s);
	run_port_established(s, info);
}

// Takes over what a step has changed in the core.
static void refresh(struct run_sa *s)
{
	struct ike_sa_info info;
	uint64_t own;

	ike_sa_info(s->sa, &info);
	own = spi_key(info.original_initiator ? info.spi_i : info.spi_r);
	if (own && !s->closed)
		run_sa_index_spi(s, own);
	s->behind_nat = info.nat_local && info.local.port == IKE_NATT_PORT;
	if (info.conn && s->conn != info.conn->user)
		sa_join(s, info.conn->user);
	if (!s->established && ike_state_is_up(info.state) && s->conn)
		on_established(s, &info);
	note_moves(s, &info);
}

static void act_send(struct run_sa *s, const struct ike_action *a)
{
	struct ike_run *run = s->run;
	char name[IKE_NAME_MAX + IP_ENDPOINT_TEXT_MAX], to[IP_ENDPOINT_TEXT_MAX];
	int rc = ike_socket_send(&run->sock, &a->send.local, &a->send.remote,
				 a->send.non_esp_marker, a->send.bytes, a->send.len);
	const struct ike_event sent = {
		.local = a->send.local,
		.remote = a->send.remote,
		.bytes = a->send.bytes,
		.len = a->send.len,
	};

	note_sent(s, &a->send.local, &a->send.remote, a->send.len, rc);
	run_record_out(run, s, &sent, rc);
	if (!a->send.is_response && !a->send.is_repeat) {
		s->asked_ms = run_now_ms();
		s->asked_what = a->send.exchange;
	}
	if (rc == 0) {
		run->stats.tx_messages++;
		s->last_tx_ms = run_now_ms();
		s->send_failed = false;
		return;
	}
	run->stats.tx_errors++;
	if (!s->send_failed)
		log_warn(LOG_NET, "%s: cannot send to %s: %s", run_sa_name(s, name, sizeof(name)),
			 ip_endpoint_format(&a->send.remote, to, sizeof(to)), strerror(-rc));
	s->send_failed = true;
}

// Who is not authenticated must not be able to fill the log.
static bool stranger_is_silenced(struct ike_run *run)
{
	uint64_t now = run_now_ms();

	if (now - run->strangers_since_ms >= STRANGER_LINES_MS) {
		if (run->stranger_lines > STRANGER_LINES)
			log_notice(LOG_IKE, "%u more lines about unknown peers left out",
				   run->stranger_lines - STRANGER_LINES);
		run->strangers_since_ms = now;
		run->stranger_lines = 0;
	}
	return ++run->stranger_lines > STRANGER_LINES;
}

static void act_report(struct run_sa *s, const struct ike_action *a)
{
	static const enum log_level levels[] = {
		[IKE_SEV_ERROR] = LOG_LEVEL_ERROR,
		[IKE_SEV_NOTICE] = LOG_LEVEL_NOTICE,
		[IKE_SEV_INFO] = LOG_LEVEL_INFO,
		[IKE_SEV_DEBUG] = LOG_LEVEL_DEBUG,
	};
	enum ike_report_code code = a->report.code;
	bool child = code == IKE_REPORT_CHILD_UP || code == IKE_REPORT_CHILD_DOWN;
	char name[IKE_NAME_MAX + IP_ENDPOINT_TEXT_MAX];

	run_sa_name(s, name, sizeof(name));
	if (s->conn || !log_enabled(levels[a->report.severity]) || !stranger_is_silenced(s->run))
		log_write(levels[a->report.severity], child ? LOG_CHD : LOG_IKE, "%s: %s", name,
			  a->report.text);
	if (a->report.severity == IKE_SEV_ERROR) {
		s->last_code = code;
		snprintf(s->last_error, sizeof(s->last_error), "%s", a->report.text);
	}
	if (s->run->observer)
		s->run->observer(s->run->observer_ctx, code, a->report.severity, name, s->id,
				 a->report.text, a->report.refusal);
	if (code == IKE_REPORT_RETRANSMIT && s->established)
		start_suspect(s);
	else if (code == IKE_REPORT_RETRANSMIT)
		pace_over(s);
	note_report(s, code);
	watch_report(s, a);
}

static void act_closed(struct run_sa *s)
{
	struct ike_sa_info info;

	ike_sa_info(s->sa, &info);
	if (!s->established && info.original_initiator)
		s->run->stats.initiated_failed++;
	else if (!s->established)
		s->run->stats.responded_failed++;
	sa_close(s);
}

// False: the child could not be installed and has to be deleted.
static bool carry_out(struct run_sa *s, struct ike_action *a)
{
	uint64_t now;

	if (s->closed && a->type != IKE_ACT_SEND && a->type != IKE_ACT_REPORT)
		return true;
	switch (a->type) {
	case IKE_ACT_SEND:
		act_send(s, a);
		break;
	case IKE_ACT_ARM_TIMER:
		s->timer_at_ms = a->deadline_ms;
		now = run_now_ms();
		if (a->deadline_ms == IKE_NEVER)
			event_del(s->timer);
		else
			run_event_after(s->timer, a->deadline_ms > now ? a->deadline_ms - now : 0);
		break;
	case IKE_ACT_INSTALL_CHILD:
		return run_child_install(s, a->install) == 0;
	case IKE_ACT_USE_CHILD:
		run_child_use(s, a->use);
		break;
	case IKE_ACT_REMOVE_CHILD:
		run_child_remove(s, a->remove.spi_in, a->remove.linger, !a->remove.peer_gone);
		break;
	case IKE_ACT_CHILD_FAILED:
		start_refused(s, a);
		break;
	case IKE_ACT_ONLY_SA:
		s->only = true;
		break;
	case IKE_ACT_PORT:
		run_port_blocked(s, &a->port.remote, a->port.silent);
		break;
	case IKE_ACT_WAIT:
		s->wait = a->wait;
		break;
	case IKE_ACT_SUCCESSOR:
	case IKE_ACT_ADOPT:
		break; // successors()
	case IKE_ACT_MOVE_CHILD:
		run_child_move(s, a->move.spi_in, &a->move.local, &a->move.remote);
		break;
	case IKE_ACT_REPORT:
		act_report(s, a);
		break;
	case IKE_ACT_CLOSED:
		act_closed(s);
		break;
	}
	return true;
}

static struct run_child_sa *next_fresh(const struct run_sa *s)
{
	struct run_child_sa *c;

	TAILQ_FOREACH(c, &s->children, link)
	if (c->fresh)
		return c;
	return NULL;
}

// The peer accepted us and refused the child. Without another one there is nothing to keep the IKE
// SA for.
static void goal_missed(struct run_sa *s, struct conn_child *goal)
{
	bool wanted = !TAILQ_EMPTY(&s->children);

	for (size_t i = 0; i < s->conn->n_children; i++)
		wanted |= s->conn->children[i]->asked_on == s->id;
	start_failed(s->run, goal);
	watch_child_failed(s, goal);
	if (!wanted)
		run_sa_delete(s, AGED_GRACE_MS);
}

// What follows from the actions once all of them are done.
static void after_step(struct run_sa *s, const uint32_t *refused, unsigned n_refused)
{
	struct conn_child *goal = s->goal;
	struct run_child_sa *c;

	for (unsigned i = 0; i < n_refused && !s->closed; i++) {
		struct ike_event ev = {.type = IKE_EV_TERMINATE_CHILD, .spi_in = refused[i]};

		run_sa_step(s, &ev);
	}
	while ((c = next_fresh(s))) { // a callback may change the list
		struct conn_child *child = c->child;

		c->fresh = false;
		if (child->retired) {
			retire_fresh(s->run, child);
			continue;
		}
		start_succeeded(s->run, child);
		retire_replaced(s->run, child);
		run_rival_settle(s, child);
		watch_child_up(s, child);
	}
	if (!s->established || s->closed)
		return;
	watch_established(s);
	if (s->only) {
		s->only = false;
		note_only(s);
		run_rival_drop_stale(s);
	}
	if (!s->asked && !s->closed) {
		s->asked = true;
		start_waiting(s);
	}
	run_child_restore(s);
	if (goal && goal == s->goal) {
		s->goal = NULL;
		if (!run_child_carries(s, goal))
			goal_missed(s, goal);
	}
}

// One request is under way at a time (RFC 7296 2.3), so none that waits means: it was answered.
static void look_answered(struct run_sa *s)
{
	struct ike_sa_info info;

	if (!s->suspect || s->peer_lost || s->closed)
		return;
	ike_sa_info(s->sa, &info);
	if (ike_state_is_up(info.state) && info.retransmits == 0)
		start_trusted(s);
}

enum { WOKEN_MAX = 4 };

// Successors are there before anything that is about them; and they want a first step of their own
// once all is carried out.
static unsigned successors(struct run_sa *s, struct ike_actions *acts, struct run_sa **woken)
{
	unsigned n = 0;

	for (size_t i = 0; i < acts->n && n < WOKEN_MAX; i++) {
		struct ike_action *a = &acts->a[i];

		if (a->type == IKE_ACT_SUCCESSOR) {
			woken[n] = run_succ_add(s, a->successor);
			a->successor = NULL;
			n += woken[n] != NULL;
		} else if (a->type == IKE_ACT_ADOPT) {
			woken[n] = run_succ_adopt(s->run, a->adopt.from, a->adopt.to);
			n += woken[n] != NULL;
		}
	}
	return n;
}

void ike_run_go_on(struct ike_run *run, uint32_t wait)
{
	struct ike_event ev = {.type = IKE_EV_GO_ON};
	struct run_sa *s;

	run_enter(run);
	TAILQ_FOREACH(s, &run->sas, link)
	{
		if (s->wait != wait)
			continue;
		s->wait = 0;
		run_sa_step(s, &ev);
		break;
	}
	run_leave(run);
}

void run_sa_step(struct run_sa *s, struct ike_event *ev)
{
	struct ike_event wake = {.type = IKE_EV_TIMER};
	struct run_sa *woken[WOKEN_MAX];
	unsigned n_woken;
	struct ike_actions acts = {0};
	uint32_t refused[SELECTORS_MAX];
	unsigned n_refused = 0;
	int rc;

	if (s->closed)
		return;
	run_enter(s->run);
	ev->now_ms = run_now_ms();
	rc = ike_step(s->sa, ev, &acts);
	refresh(s);
	n_woken = successors(s, &acts, woken);
	run_record_step(s, ev, &acts);
	run_guard_learn(s, ev, &acts);
	for (size_t i = 0; i < acts.n; i++)
		if (acts.a[i].type == IKE_ACT_REPORT &&
		    (acts.a[i].report.code == IKE_REPORT_DEAD_PEER ||
		     acts.a[i].report.code == IKE_REPORT_NO_ANSWER))
			s->peer_lost = true;
	if (rc == 0 && s->peer_lost && !s->established)
		run_port_silent(s);
	for (size_t i = 0; i < acts.n; i++) {
		uint32_t spi =
			acts.a[i].type == IKE_ACT_INSTALL_CHILD ? acts.a[i].install->in.spi : 0;

		if (!carry_out(s, &acts.a[i]) && n_refused < SELECTORS_MAX)
			refused[n_refused++] = spi;
	}
	ike_actions_fini(&acts);
	if (rc) {
		log_error(LOG_IKE, "IKE SA #%u ended: %s", s->id, strerror(-rc));
		sa_close(s);
	}
	look_answered(s);
	after_step(s, refused, n_refused);
	for (unsigned i = 0; i < n_woken; i++)
		run_sa_step(woken[i], &wake);
	retire_touch(s->run, s->conn);
	run_leave(s->run);
}
