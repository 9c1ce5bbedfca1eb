// The doctor's facts about one connection, as far as IKE has them.
#include "control/ike_run_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/openssl/cred.h"

// The IKE SA that tells most: one that is in use, else the newest on its way.
static struct run_sa *shown_sa(const struct conn *c)
{
	struct run_sa *s, *best = NULL;

	TAILQ_FOREACH(s, &c->sas, conn_link)
	if (!best || s->established >= best->established)
		best = s;
	return best;
}

static bool is_wanted(const struct conn_child *child)
{
	return child->rest == REST_NONE || run_child_is_up(child);
}

static void put_stage(const struct conn *c, const struct run_sa *s, const struct ike_sa_info *info,
		      struct doctor_conn_facts *f)
{
	bool waits = false;

	f->initiates = DOCTOR_NO;
	f->children.known = f->children_up.known = true;
	for (size_t i = 0; i < c->n_children; i++) {
		const struct conn_child *child = c->children[i];

		if (child->start_action & START_START)
			f->initiates = DOCTOR_YES;
		waits |= child->rest == REST_NONE || child->retry_at_ms > 0;
		f->children.n += is_wanted(child);
		f->children_up.n += run_child_is_up(child);
	}
	if (s && s->established)
		f->stage = f->children_up.n > 0 && f->children_up.n == f->children.n
				   ? DOCTOR_STAGE_UP
				   : DOCTOR_STAGE_ESTABLISHED;
	else if (s)
		f->stage = info->chosen.n ? DOCTOR_STAGE_AUTH : DOCTOR_STAGE_INIT;
	else
		f->stage = waits ? DOCTOR_STAGE_WAITS : DOCTOR_STAGE_IDLE;
}

static void put_sa(const struct run_sa *s, const struct ike_sa_info *info, uint64_t now,
		   struct doctor_facts *f)
{
	struct doctor_conn_facts *c = &f->conn;

	f->ike.longest = s->last_tx_len;
	c->nat = info->nat_local || info->nat_remote ? DOCTOR_YES : DOCTOR_NO;
	c->port = info->remote.port;
	if (s->established) {
		c->established_ms = (struct doctor_number){true, now - info->established_ms};
		if (s->last_rx_ms)
			c->heard_ms = (struct doctor_number){true, now - s->last_rx_ms};
		if (info->retransmits > 0 && s->asked_ms)
			c->suspect_ms = now - s->asked_ms;
	} else if (info->original_initiator) {
		f->ike.asking_port = info->remote.port;
		f->ike.asking_tries = info->retransmits + 1;
		f->ike.asking_ms =
			now - (info->retransmits && s->asked_ms ? s->asked_ms : s->last_tx_ms);
	}
}

static void put_notes(const struct conn *c, uint64_t now, struct doctor_facts *f)
{
	const struct conn_notes *n = &c->notes;
	struct doctor_history_facts *h = &f->history;

	h->established = tally_read(&n->established, now, TALLY_HOUR_MS);
	h->lost = tally_read(&n->lost, now, TALLY_HOUR_MS);
	h->dead_peer = tally_read(&n->dead_peer, now, TALLY_HOUR_MS);
	h->restarts = tally_read(&n->restarts, now, TALLY_HOUR_MS);
	h->rekeys_failed = tally_read(&n->rekeys_failed, now, TALLY_HOUR_MS);
	if (c->ports.other != 0) {
		f->conn.left_500_ms = now - c->ports.since_ms;
		f->conn.left_500_silent = c->ports.silent;
	}
	f->conn.worked = n->established.ever ? DOCTOR_YES : DOCTOR_NO;
	f->esp.moved = tally_read(&n->moved, now, TALLY_TEN_MINUTES_MS);
	f->ike.unanswered = tally_read(&n->unanswered, now, TALLY_TEN_MINUTES_MS);
	f->ike.unanswered_auth = tally_read(&n->unanswered_auth, now, TALLY_TEN_MINUTES_MS);
	if (!f->ike.asking_tries && f->ike.unanswered.n > 0) {
		f->ike.asking_port = n->unanswered_port;
		f->ike.asking_tries = n->unanswered_tries;
		f->ike.asking_ms = f->ike.unanswered.ago_ms;
		f->ike.longest = n->unanswered_len;
	}
}

static void put_peer(const struct peer_note *n, uint64_t now, struct doctor_facts *f)
{
	static const struct peer_note nothing;
	struct doctor_ike_facts *i = &f->ike;
	struct doctor_guard_facts *g = &f->guard;

	if (!n)
		n = &nothing;
	i->tx_500 = tally_read(&n->tx_500, now, TALLY_MINUTE_MS);
	i->tx_4500 = tally_read(&n->tx_4500, now, TALLY_MINUTE_MS);
	i->rx_500 = tally_read(&n->rx_500, now, TALLY_MINUTE_MS);
	i->rx_4500 = tally_read(&n->rx_4500, now, TALLY_MINUTE_MS);
	i->tx_refused = tally_read(&n->tx_refused, now, TALLY_MINUTE_MS);
	i->tx_errno = n->tx_errno;
	i->retransmits = tally_read(&n->retransmits, now, TALLY_MINUTE_MS);
	i->late = tally_read(&n->late, now, TALLY_TEN_MINUTES_MS);
	i->peer_repeats = tally_read(&n->repeats, now, TALLY_MINUTE_MS);
	i->no_auth = tally_read(&n->no_auth, now, TALLY_TEN_MINUTES_MS);
	i->rx_v1 = tally_read(&n->v1, now, TALLY_TEN_MINUTES_MS);
	i->v1_answers = n->v1_answers;
	i->icmp.errors = tally_read(&n->icmp, now, TALLY_MINUTE_MS);
	i->icmp.last = n->icmp_what;
	i->icmp.type = n->icmp_type;
	i->icmp.code = n->icmp_code;
	i->icmp.port = n->icmp_port;
	i->icmp.from = n->icmp_from;
	g->came = tally_read(&n->came, now, TALLY_MINUTE_MS);
	g->passed = tally_read(&n->passed, now, TALLY_MINUTE_MS);
	g->cookies = tally_read(&n->cookies, now, TALLY_MINUTE_MS);
	g->limited = tally_read(&n->limited, now, TALLY_MINUTE_MS);
	g->odd_ttl = tally_read(&n->odd_ttl, now, TALLY_MINUTE_MS);
}

// Where the peer is, and whether Linux knows a way there.
static void put_route(const struct conn *c, const struct run_sa *s, const struct ike_sa_info *info,
		      struct doctor_route_facts *r)
{
	struct ip_endpoint local = {0}, remote = {0};
	struct error err = {0};
	int rc;

	if (s) {
		local = info->local;
		remote = info->remote;
	} else if (!conn_remote(c, 0, &remote)) {
		if (c->n_names) {
			r->peer_known = DOCTOR_NO;
			snprintf(r->why, sizeof(r->why), "%s", c->names_why);
		}
		return;
	}
	r->peer_known = DOCTOR_YES;
	r->peer = remote.addr;
	if (s)
		rc = ike_socket_reachable(&local.addr, &remote.addr, &err);
	else
		rc = start_local(c, &remote.addr, &local, &err);
	if (!s && rc == 0 && local.addr.family != IP_NONE)
		rc = ike_socket_reachable(&local.addr, &remote.addr, &err);
	r->local = local.addr;
	r->own_addr = rc == -EADDRNOTAVAIL ? DOCTOR_NO : DOCTOR_YES;
	r->have = rc == 0 ? DOCTOR_YES : rc == -EADDRNOTAVAIL ? DOCTOR_UNKNOWN : DOCTOR_NO;
	if (rc)
		snprintf(r->why, sizeof(r->why), "%s", err.text);
}

static void put_own_certs(const struct ike_run *run, const struct conn *c,
			  struct doctor_host_facts *h)
{
	struct error err = {""};
	int rc = run->creds ? cred_own_check(run->creds, c->ike.name, &err) : -ENOENT;

	h->own_certs_valid = rc == 0 ? DOCTOR_YES : rc == -EACCES ? DOCTOR_NO : DOCTOR_UNKNOWN;
	if (rc == -EACCES)
		snprintf(h->own_cert_why, sizeof(h->own_cert_why), "%s", err.text);
}

// ---- ESP ----

// Returns how many have gone out since the last one came in, as far as that was looked at, and
// since the IKE SA was set up: what was sent on SAs that are gone could not be answered.
static uint64_t follow_esp(struct ike_run *run, struct conn *c, uint64_t now)
{
	struct dp_tunnel_totals sum = {0}, t;
	struct conn_notes *n = &c->notes;

	for (size_t i = 0; i < c->n_children; i++) {
		if (dp_tunnel_totals(run->dp, c->children[i]->tunnel, &t))
			continue;
		sum.in_packets += t.in_packets;
		sum.out_packets += t.out_packets;
		sum.replays += t.replays;
		sum.auth_failures += t.auth_failures;
	}
	tally_follow(&n->esp_in, sum.in_packets, now, TALLY_MINUTE_MS);
	tally_follow(&n->esp_out, sum.out_packets, now, TALLY_MINUTE_MS);
	tally_follow(&n->replays, sum.replays, now, TALLY_MINUTE_MS);
	tally_follow(&n->auth_failures, sum.auth_failures, now, TALLY_MINUTE_MS);
	if (sum.in_packets != n->esp_in_total || sum.out_packets < n->esp_out_total) {
		n->esp_in_total = sum.in_packets;
		n->esp_out_total = sum.out_packets;
	}
	if (sum.out_packets < n->esp_out_anew)
		n->esp_out_anew = 0;
	return sum.out_packets -
	       (n->esp_out_anew > n->esp_out_total ? n->esp_out_anew : n->esp_out_total);
}

void note_esp_anew(struct ike_run *run, struct conn *c)
{
	struct conn_notes *n = &c->notes;
	const uint64_t since = follow_esp(run, c, run_now_ms());

	n->esp_out_anew =
		since + (n->esp_out_anew > n->esp_out_total ? n->esp_out_anew : n->esp_out_total);
}

void ike_run_sample(struct ike_run *run)
{
	uint64_t now = run_now_ms();

	for (size_t i = 0; i < run->n_conns; i++)
		follow_esp(run, run->conns[i], now);
}

static void last_use(struct doctor_count *c, uint64_t idle_ms)
{
	if (idle_ms == UINT64_MAX)
		return;
	if (!c->ever || idle_ms < c->ago_ms)
		c->ago_ms = idle_ms;
	c->ever = true;
}

static void put_esp(struct ike_run *run, struct conn *c, struct run_sa *s, uint64_t now,
		    struct doctor_facts *f)
{
	struct doctor_esp_facts *e = &f->esp;
	const struct run_child_sa *k;

	e->since = (struct doctor_number){true, follow_esp(run, c, now)};
	e->in_before = c->notes.esp_in_total;
	e->out_before = c->notes.esp_out_total;
	e->in = tally_read(&c->notes.esp_in, now, TALLY_MINUTE_MS);
	e->out = tally_read(&c->notes.esp_out, now, TALLY_MINUTE_MS);
	e->replays = tally_read(&c->notes.replays, now, TALLY_MINUTE_MS);
	e->auth_failures = tally_read(&c->notes.auth_failures, now, TALLY_MINUTE_MS);
	if (!s)
		return;
	TAILQ_FOREACH(k, &s->children, link)
	{
		struct dp_sa_stats st;

		if (dp_sa_in_stats(run->dp, k->spi_in, &st) == 0)
			last_use(&e->in, st.idle_ms);
		if (dp_tunnel_out_stats(run->dp, k->child->tunnel, &st) == 0)
			last_use(&e->out, st.idle_ms);
		f->mtu.inner.known = true;
		f->mtu.inner.n = dp_tunnel_inner_mtu(run->dp, k->child->tunnel);
	}
}

size_t ike_run_conn_count(const struct ike_run *run)
{
	return run->n_conns;
}

int ike_run_doctor(struct ike_run *run, size_t i, struct doctor_facts *f)
{
	struct ike_child_info child;
	struct ike_sa_info info = {0};
	uint64_t now = run_now_ms();
	struct run_sa *s;
	struct conn *c;

	if (i >= run->n_conns)
		return -ENOENT;
	c = run->conns[i];
	s = shown_sa(c);
	if (s)
		ike_sa_info(s->sa, &info);
	snprintf(f->conn.name, sizeof(f->conn.name), "%s", c->ike.name);
	put_stage(c, s, &info, &f->conn);
	if (s)
		put_sa(s, &info, now, f);
	if (s && ike_sa_child_info(s->sa, 0, &child) == 0)
		f->conn.encap = child.udp_encap ? DOCTOR_YES : DOCTOR_NO;
	put_notes(c, now, f);
	put_own_certs(run, c, &f->host);
	put_route(c, s, &info, &f->route);
	put_peer(f->route.peer.family == IP_NONE ? NULL
						 : peer_notes_find(run->notes, &f->route.peer),
		 now, f);
	put_esp(run, c, s, now, f);
	return 0;
}

void ike_run_note_guard(struct ike_run *run, const struct dp_guard_source *s)
{
	struct peer_note *n = peer_notes_find(run->notes, &s->addr);
	uint64_t now = run_now_ms();

	if (!n && ike_run_names(run, &s->addr))
		n = peer_notes_get(run->notes, &s->addr);
	if (!n)
		return;
	// What came before it was first looked at is news, also of a peer that we have written to.
	n->came.following = n->passed.following = n->cookies.following = n->limited.following =
		n->odd_ttl.following = true;
	tally_follow(&n->came, s->packets, now, TALLY_MINUTE_MS);
	tally_follow(&n->passed,
		     s->fate[GUARD_KNOWN] + s->fate[GUARD_PROVEN] + s->fate[GUARD_PEER] +
			     s->fate[GUARD_STRANGER],
		     now, TALLY_MINUTE_MS);
	tally_follow(&n->cookies, s->fate[GUARD_COOKIE], now, TALLY_MINUTE_MS);
	tally_follow(&n->limited, s->fate[GUARD_LIMITED], now, TALLY_MINUTE_MS);
	tally_follow(&n->odd_ttl, s->odd_ttl, now, TALLY_MINUTE_MS);
}
