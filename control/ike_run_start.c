#include "control/ike_run_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "control/ike/notify.h"
#include "lib/log.h"

#define RETRY_FIRST_MS	   1000
#define RETRY_MAX_MS	   60000
#define SUCCESSOR_RETRY_MS 30000
#define SUSPECT_REPEATS	   2
#define TRAFFIC_RETRY_MS   10000 // traffic shortens a wait, but not below this since the last attempt

static uint64_t back_off_ms(struct ike_run *run, unsigned failures)
{
	unsigned shift = failures > 1 ? failures - 1 : 0;
	uint64_t ms = shift > 6 ? RETRY_MAX_MS : (uint64_t)RETRY_FIRST_MS << shift;

	return run_jitter(run, ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS);
}

// Have we no IKE SA with that peer? Then the peer may forget what it has of us.
static bool first_contact(const struct conn *conn)
{
	const struct run_sa *s;

	TAILQ_FOREACH(s, &conn->sas, conn_link)
	if (s->established)
		return false;
	return true;
}

// Packets wait for a child that is to come up, but not for one that nobody is after.
void start_rest(struct ike_run *run, struct conn_child *child, enum child_rest rest)
{
	bool wait = rest == REST_NONE || child->trapped ||
		    (rest == REST_DEAD && (child->start_action & START_START));

	child->rest = rest;
	if (child->retired) // the tunnel is another one's
		return;
	if (child->tunnel != DP_TUNNEL_NONE)
		dp_tunnel_hold(run->dp, child->tunnel, wait);
}

void start_trap(struct ike_run *run, struct conn_child *child, bool on)
{
	child->trapped = on;
	start_rest(run, child, child->rest);
	run_child_changed(run, child);
}

int start_local(const struct conn *conn, const struct ip_addr *remote, struct ip_endpoint *local,
		struct error *err)
{
	struct ip_endpoint fixed = *local;
	int rc = ike_socket_source(remote, &local->addr, err);

	if (rc == 0 && conn_match(conn, &local->addr, remote) > 0)
		return 0;
	if (conn_local(conn, remote->family, &fixed)) {
		*local = fixed;
		return ike_socket_reachable(&local->addr, remote, err);
	}
	if (rc == 0)
		rc = error_set(err, -EADDRNOTAVAIL,
			       "Linux reaches the peer from an address that local_addrs does not "
			       "have (see 'ip route get')");
	return rc;
}

// The addresses of an attempt: the peer's in turn, passing over those that there is no way to.
static int choose_addrs(const struct conn *conn, unsigned attempt, struct ip_endpoint *local,
			struct ip_endpoint *remote, struct error *err)
{
	const unsigned n = conn_remotes(conn);
	int first = 0;

	for (unsigned i = 0; i < n; i++) {
		struct error other;
		int rc;

		conn_remote(conn, attempt + i, remote);
		*local = (struct ip_endpoint){.port = conn->local_port};
		rc = start_local(conn, &remote->addr, local, i == 0 ? err : &other);
		if (rc == 0)
			return 0;
		first = first ? first : rc;
	}
	return first;
}

int start_initiate(struct ike_run *run, struct conn *conn, struct conn_child *child,
		   struct run_sa **out, struct error *err)
{
	struct ike_event ev = {.type = IKE_EV_INITIATE, .child = child ? &child->ike : NULL};
	struct ip_endpoint local, remote;
	struct ike_sa *sa;
	struct run_sa *s;
	int rc;

	if (conn_remotes(conn) == 0) {
		if (conn->n_names > 0)
			return error_set(err, -EAGAIN, "%s: %s", conn->ike.name,
					 conn->names_why[0] ? conn->names_why
							    : "the peer's name is being looked up");
		return error_set(
			err, -EINVAL,
			"%s: remote_addrs names no single address: the peer has to initiate",
			conn->ike.name);
	}
	rc = choose_addrs(conn, child ? child->failures : 0, &local, &remote, err);
	if (rc)
		return error_prefix(err, rc, "%s", conn->ike.name);
	run_port_begin(conn, &local, &remote);
	rc = ike_sa_create_initiator(&run->env, &conn->ike, &local, &remote, &sa);
	if (rc)
		return error_set(err, rc, "%s: no IKE SA: %s", conn->ike.name, strerror(-rc));
	s = run_sa_add(run, sa, conn);
	if (!s)
		return error_set(err, -ENOMEM, "%s: out of memory", conn->ike.name);
	s->goal = child;
	ev.first_contact = conn->unique != UNIQUE_NEVER && first_contact(conn);
	if (child) {
		child->last_attempt_ms = run_now_ms();
		pace_cancel(child);
	}
	pace_begin(s, &remote.addr);
	if (out)
		*out = s;
	run_sa_step(s, &ev);
	return 0;
}

struct run_sa *start_under_way(const struct conn *conn, const struct conn_child *child)
{
	struct run_sa *s;

	if (child && child->asked_on)
		TAILQ_FOREACH(s, &conn->sas, conn_link)
	if (s->id == child->asked_on)
		return s;
	TAILQ_FOREACH(s, &conn->sas, conn_link)
	{
		struct ike_sa_info info;

		if (s->goal != child || s->established)
			continue;
		ike_sa_info(s->sa, &info);
		if (info.original_initiator &&
		    (info.state == IKE_ST_CREATED || info.state == IKE_ST_CONNECTING))
			return s;
	}
	return NULL;
}

// The IKE SA of the connection that can carry further children: established, or (*soon) initiated
// by us and not done yet.
static struct run_sa *usable(const struct conn *conn, bool *soon)
{
	struct run_sa *s, *connecting = NULL;

	TAILQ_FOREACH(s, &conn->sas, conn_link)
	{
		struct ike_sa_info info;

		if (s->superseded || s->suspect || s->peer_lost || s->aged)
			continue;
		ike_sa_info(s->sa, &info);
		*soon = false;
		if (ike_state_is_up(info.state))
			return s;
		if (info.original_initiator &&
		    (info.state == IKE_ST_CREATED || info.state == IKE_ST_CONNECTING))
			connecting = s;
	}
	*soon = connecting != NULL;
	return connecting;
}

int start_child(struct ike_run *run, struct conn_child *child, struct run_sa **out,
		struct error *err)
{
	struct ike_event ev = {.type = IKE_EV_CREATE_CHILD, .child = &child->ike};
	bool soon;
	struct run_sa *s = usable(child->conn, &soon);

	if (!s || (soon && !s->goal))
		return start_initiate(run, child->conn, child, out, err);
	child->last_attempt_ms = run_now_ms();
	child->asked_on = s->id;
	if (out)
		*out = s;
	if (!soon)
		run_sa_step(s, &ev);
	return 0;
}

void start_waiting(struct run_sa *s)
{
	for (size_t i = 0; i < s->conn->n_children && !s->closed; i++) {
		struct conn_child *child = s->conn->children[i];
		struct ike_event ev = {.type = IKE_EV_CREATE_CHILD, .child = &child->ike};

		if (child->asked_on == s->id && !run_child_carries(s, child))
			run_sa_step(s, &ev);
	}
}

void start_refused(struct run_sa *s, const struct ike_action *a)
{
	struct conn_child *child = a->failed.conf->user;

	if (a->failed.spi_in) {
		// RFC 7296 1.3: a peer that does not rekey inside of an IKE SA gets another one.
		if (a->failed.notify == N_NO_ADDITIONAL_SAS)
			start_successor(s);
		return;
	}
	if (child->asked_on == s->id)
		child->asked_on = 0;
	start_failed(s->run, child);
	watch_child_failed(s, child);
}

void start_abandoned(struct run_sa *s)
{
	for (size_t i = 0; s->conn && i < s->conn->n_children; i++) {
		struct conn_child *child = s->conn->children[i];

		if (child->asked_on != s->id)
			continue;
		child->asked_on = 0;
		if (!run_child_is_up(child))
			start_failed(s->run, child);
	}
}

static void on_retry(int fd, short what, void *arg);

static void plan(struct ike_run *run, struct conn_child *child, uint64_t delay_ms)
{
	if (run->shutting_down || conn_child_is_gone(child) || child->rest != REST_NONE)
		return;
	if (!child->retry)
		child->retry = evtimer_new(run->base, on_retry, child);
	child->run = run;
	child->retry_at_ms = run_now_ms() + delay_ms;
	if (!child->retry || run_event_after(child->retry, delay_ms))
		log_error(LOG_IKE, "%s: no further attempt at %s: out of memory",
			  child->conn->ike.name, child->name);
}

void start_want(struct ike_run *run, struct conn_child *child, uint64_t delay_ms)
{
	start_rest(run, child, REST_NONE);
	plan(run, child, delay_ms);
}

void start_begin(struct ike_run *run, struct conn_child *child)
{
	struct ip_endpoint remote;

	if (!conn_remote(child->conn, child->failures, &remote) ||
	    pace_wait(run, child, &remote.addr))
		start_now(run, child); // which says what is wrong
}

static void on_retry(int fd, short what, void *arg)
{
	struct conn_child *child = arg;
	struct ike_run *run = child->run;

	(void)fd;
	(void)what;
	run_enter(run);
	if (names_fresh(child->conn)) {
		start_begin(run, child);
	} else {
		child->waits_for_name = true;
		names_ask(run, child->conn);
	}
	run_leave(run); // starts it, if it is its turn
}

void start_now(struct ike_run *run, struct conn_child *child)
{
	struct error err;
	int rc;

	if (run->shutting_down || child->rest != REST_NONE || run_child_is_up(child) ||
	    start_under_way(child->conn, child))
		return;
	rc = start_child(run, child, NULL, &err);
	if (rc == 0)
		return;
	child->last_attempt_ms = run_now_ms();
	if (rc == -EINVAL) { // nothing that time heals
		log_warn(LOG_IKE, "%s", err.text);
		child->trapped = false;
		start_rest(run, child, REST_IDLE);
		return;
	}
	if (rc == -EAGAIN) { // no address for a name; said already
		start_failed(run, child);
		return;
	}
	// A route or an address may come at any moment: a look costs nothing.
	if (!child->no_route)
		log_notice(LOG_IKE, "%s; trying again every second", err.text);
	child->no_route = true;
	plan(run, child, run_jitter(run, RETRY_FIRST_MS));
}

void start_failed(struct ike_run *run, struct conn_child *child)
{
	uint64_t wait;

	if (run->shutting_down || conn_child_is_gone(child))
		return;
	child->failures++;
	child->no_route = false;
	if (run_child_is_up(child)) { // a successor failed: its predecessor tries again
		struct run_sa *s;

		TAILQ_FOREACH(s, &child->conn->sas, conn_link)
		{
			if (!run_child_carries(s, child) || s->superseded ||
			    !(s->suspect || s->renewing))
				continue;
			s->rekey_at_ms = run_now_ms() + run_jitter(run, SUCCESSOR_RETRY_MS);
			run_sa_age_arm(s);
		}
		return;
	}
	if (child->rest != REST_NONE)
		return;
	if (!(child->start_action & START_START)) {
		start_rest(run, child, REST_IDLE);
		return;
	}
	wait = back_off_ms(run, child->failures);
	log_info(LOG_IKE, "%s: next attempt at %s in %.1f s", child->conn->ike.name, child->name,
		 (double)wait / 1000);
	plan(run, child, wait);
}

void start_lost(struct ike_run *run, struct conn_child *child, const struct run_sa *s, bool by_us)
{
	if (run->shutting_down || conn_child_is_gone(child) || child->rest == REST_BY_USER ||
	    child->rest == REST_IDLING)
		return;
	note_lost(s, child, by_us);
	if (s->superseded || s->aged || by_us) {
		start_rest(run, child, REST_IDLE);
		if (child->start_action & START_START)
			start_want(run, child, run_jitter(run, RETRY_FIRST_MS));
	} else if (s->peer_lost) {
		start_rest(run, child, REST_DEAD);
		if (child->dpd_action == DEAD_START)
			start_want(run, child, 0);
		else if (child->dpd_action == DEAD_TRAP)
			start_trap(run, child, true);
	} else {
		start_rest(run, child, REST_BY_PEER);
		if (child->close_action == DEAD_START)
			start_want(run, child, run_jitter(run, RETRY_FIRST_MS));
		else if (child->close_action == DEAD_TRAP)
			start_trap(run, child, true);
	}
}

void start_changed(struct ike_run *run, struct conn_child *child)
{
	start_trap(run, child, child->start_action & START_TRAP);
	if (run_child_is_up(child))
		return;
	if (child->start_action & START_START) {
		start_want(run, child, 0);
	} else if (child->rest == REST_NONE && !start_under_way(child->conn, child)) {
		retire_stop(child);
		start_rest(run, child, REST_IDLE);
	}
}

void start_succeeded(struct ike_run *run, struct conn_child *child)
{
	child->asked_on = 0;
	start_rest(run, child, REST_NONE);
	child->failures = 0;
	child->no_route = false;
	pace_cancel(child);
	if (child->retry)
		event_del(child->retry);
	idle_watch(run, child);
}

static const struct run_child_sa *first_child(const struct run_sa *s)
{
	const struct run_child_sa *c;

	TAILQ_FOREACH(c, &s->children, link)
	if (!c->child->retired)
		return c;
	return NULL;
}

void start_successor(struct run_sa *s)
{
	const struct run_child_sa *c = first_child(s);
	struct conn_child *child = c ? c->child : NULL;
	struct ip_endpoint remote;
	struct run_sa *n;
	struct error err;

	if (!s->established || s->superseded || s->run->shutting_down || s->conn->retired ||
	    !conn_remote(s->conn, 0, &remote) || start_under_way(s->conn, child))
		return;
	log_info(LOG_IKE, "%s: IKE SA #%u %s: setting up its successor", s->conn->ike.name, s->id,
		 s->suspect ? "is not answered" : "grows old");
	s->renewing |= !s->suspect;
	if (start_initiate(s->run, s->conn, child, &n, &err) == 0) {
		n->succeeds = s->id;
		// The others follow when it is established.
		TAILQ_FOREACH(c, &s->children, link)
		if (c->child != child)
			c->child->asked_on = n->id;
		return;
	}
	log_notice(LOG_IKE, "%s", err.text);
	s->rekey_at_ms = run_now_ms() + run_jitter(s->run, SUCCESSOR_RETRY_MS);
	run_sa_age_arm(s);
}

// A peer that has restarted does not know the IKE SA any more and may be long back before the
// request is given up (165 s). So a fresh IKE SA is tried beside it; when that succeeds the old one
// goes, and otherwise nothing is lost. One that MOBIKE finds another path for gets its chance
// first.
void start_suspect(struct run_sa *s)
{
	const struct run_child_sa *c = first_child(s);
	struct ike_sa_info info;

	ike_sa_info(s->sa, &info);
	if (info.retransmits < SUSPECT_REPEATS + (info.tried ? 1 : 0))
		return;
	if (!ike_state_is_up(info.state) || s->superseded || !c ||
	    c->child->dpd_action != DEAD_START)
		return;
	s->suspect = true;
	s->rekey_at_ms = run_now_ms();
	run_sa_age_arm(s);
}

void start_trusted(struct run_sa *s)
{
	char name[IKE_NAME_MAX + IP_ENDPOINT_TEXT_MAX];

	s->suspect = false;
	log_info(LOG_IKE, "%s: IKE SA #%u is answered again", run_sa_name(s, name, sizeof(name)),
		 s->id);
	if (s->superseded || s->duplicate || s->renewing)
		return; // it goes for another reason, or is to be replaced for one
	s->rekey_at_ms = s->reauth_at_ms;
	run_sa_age_arm(s);
}

// When may traffic make the next attempt? The first at once, later ones not in a row.
static uint64_t traffic_due_ms(struct ike_run *run, const struct conn_child *child)
{
	uint64_t wait = back_off_ms(run, child->failures);

	if (child->last_attempt_ms == 0)
		return 0;
	return child->last_attempt_ms + (wait < TRAFFIC_RETRY_MS ? wait : TRAFFIC_RETRY_MS);
}

// A packet waits for a child: a trapped one is initiated, a planned attempt is made sooner, a lost
// peer is looked for again.
static void traffic(struct ike_run *run, struct conn_child *child)
{
	bool start = child->start_action & START_START;
	uint64_t now = run_now_ms(), due = child->last_attempt_ms + TRAFFIC_RETRY_MS;

	if (!start && !child->trapped)
		return;
	if (child->rest == REST_NONE) {
		if (child->retry && event_pending(child->retry, EV_TIMEOUT, NULL) &&
		    due < child->retry_at_ms)
			plan(run, child, due > now ? due - now : 0);
	} else if (child->trapped || child->rest == REST_DEAD) {
		log_info(LOG_IKE, "%s: traffic for %s", child->conn->ike.name, child->name);
		due = traffic_due_ms(run, child);
		start_want(run, child, due > now ? due - now : 0);
	}
}

// A child SA has come to a limit that the dataplane counts. The soft one is told again and again;
// once it is heard, failures set the pace.
static void worn(struct run_sa *s, struct run_child_sa *c, const struct dp_event *ev)
{
	static const char *const what[] = {
		[DP_LIFE_SEQ] = "sequence numbers",
		[DP_LIFE_PACKETS] = "packets",
		[DP_LIFE_BYTES] = "bytes",
	};
	bool over = ev->type == DP_EV_HARD_LIFE;
	struct ike_event do_it = {
		.type = over ? IKE_EV_TERMINATE_CHILD : IKE_EV_REKEY_CHILD,
		.spi_in = c->spi_in,
	};

	if (s->superseded || (c->worn && !over))
		return;
	log_info(LOG_CHD, "%s: child %s has used %s its %s (SPI %08x)", s->conn->ike.name,
		 c->child->name, over ? "up" : "most of", what[ev->why], ev->spi);
	c->worn = true;
	run_sa_step(s, &do_it);
}

// ESP alone shows that a NAT has given the peer another mapping; the core decides whether that may
// be (RFC 7296 2.23). Either way it is no news any more.
static void peer_moved(struct run_sa *s, const struct dp_event *ev)
{
	struct ike_event moved = {
		.type = IKE_EV_PEER_MOVED,
		.spi_in = ev->spi,
		.remote = ev->peer,
	};

	dp_sa_in_peer(s->run->dp, ev->spi, &ev->peer);
	run_sa_step(s, &moved);
}

static void path_mtu(struct ike_run *run, const struct conn_child *child, const struct dp_event *ev)
{
	char peer[IP_ADDR_TEXT_MAX], router[IP_ADDR_TEXT_MAX];

	log_info(LOG_NET,
		 "%s: packets of at most %u bytes reach %s, says %s; %u of them for those of child "
		 "%s",
		 child->conn->ike.name, ev->mtu, ip_addr_format(&ev->addr, peer, sizeof(peer)),
		 ip_addr_format(&ev->addr2, router, sizeof(router)),
		 dp_tunnel_inner_mtu(run->dp, ev->tunnel), child->name);
}

void ike_run_dp_event(struct ike_run *run, const struct dp_event *ev)
{
	struct conn_child *child;
	struct run_sa *s;

	if (ev->type == DP_EV_NO_NEIGHBOUR || ev->tunnel >= run->n_by_tunnel)
		return;
	child = run->by_tunnel[ev->tunnel];
	if (!child)
		return;
	if (ev->type == DP_EV_NO_SA) {
		traffic(run, child);
		return;
	}
	if (ev->type == DP_EV_PMTU) {
		path_mtu(run, child, ev);
		return;
	}
	TAILQ_FOREACH(s, &child->conn->sas, conn_link)
	{
		struct run_child_sa *c;

		TAILQ_FOREACH(c, &s->children, link)
		if (c->child->tunnel == ev->tunnel &&
		    (ev->inbound ? c->spi_in : c->spi_out) == ev->spi) {
			if (ev->type == DP_EV_PEER_MOVED)
				peer_moved(s, ev);
			else
				worn(s, c, ev);
			return;
		}
	}
}
