#include "control/ike/path.h"

#include <string.h>

#include "control/ike/child.h"

static bool path_equal(const struct ike_path *a, const struct ike_path *b)
{
	return ip_endpoint_equal(&a->local, &b->local) &&
	       ip_endpoint_equal(&a->remote, &b->remote) && a->encap == b->encap;
}

static struct ike_path path_of(const struct ike_sa *sa)
{
	return (struct ike_path){sa->local, sa->remote, sa->nat.encap};
}

bool path_is_settled(const struct ike_sa *sa)
{
	struct ike_path now = path_of(sa);

	return path_equal(&sa->esp, &now);
}

void path_settle(struct step *st)
{
	struct ike_sa *sa = st->sa;

	if (path_is_settled(sa))
		return;
	sa->esp = path_of(sa);
	children_move(st);
}

void path_inherit(const struct ike_sa *from, struct ike_sa *to)
{
	const struct mobike *m = &from->mobike;
	// Has the peer been told another path on this one, or none?
	bool differs =
		to->phase == PHASE_ESTABLISHED && (!ip_endpoint_equal(&from->local, &to->local) ||
						   !ip_endpoint_equal(&from->remote, &to->remote));

	to->local = from->local;
	to->remote = from->remote;
	to->nat = from->nat;
	to->esp = from->esp;
	to->ts_local = from->ts_local;
	to->ts_remote = from->ts_remote;
	to->mobike = *m;
	to->mobike.seen = false; // the hash is one of the SPIs as well
	if (!m->on)
		return;
	// What is not settled is settled there.
	if (m->leader &&
	    (differs || from->request.kind == REQUEST_UPDATE || !path_is_settled(from)))
		to->mobike.want_update = true;
	if (!m->leader && !path_is_settled(from))
		to->mobike.want_return = true;
	if (from->request.kind != REQUEST_NONE && from->request.lists)
		to->mobike.want_addrs = true;
}

// ---- which addresses there are ----

static bool is_own(const struct ike_sa *sa, const struct ip_addr *a)
{
	for (unsigned i = 0; i < sa->mobike.n_own; i++)
		if (ip_addr_equal(&sa->mobike.own[i], a))
			return true;
	return false;
}

bool path_own_refresh(struct ike_sa *sa)
{
	struct ip_addr now[LIMIT_IKE_ADDRS];
	unsigned n = sa->env->addrs_own(sa->env->ctx, sa->conn, &sa->local.addr, now);
	bool changed = n != sa->mobike.n_own;

	for (unsigned i = 0; i < n; i++)
		changed |= !is_own(sa, &now[i]);
	memcpy(sa->mobike.own, now, n * sizeof(now[0]));
	sa->mobike.n_own = n;
	return changed;
}

static bool is_allowed(const struct ike_sa *sa, const struct ip_addr *local,
		       const struct ip_addr *remote)
{
	return local->family == remote->family &&
	       sa->env->addrs_allowed(sa->env->ctx, sa->conn, local, remote);
}

// The peer's address in use, then the others that it has told. NULL: there are not so many.
static const struct ip_addr *peer_addr(const struct ike_sa *sa, unsigned i)
{
	if (i == 0)
		return &sa->remote.addr;
	for (unsigned k = 0; k < sa->mobike.n_peer; k++)
		if (!ip_addr_equal(&sa->mobike.peer[k], &sa->remote.addr) && --i == 0)
			return &sa->mobike.peer[k];
	return NULL;
}

static bool is_peer(const struct ike_sa *sa, const struct ip_addr *a)
{
	const struct ip_addr *known;

	for (unsigned i = 0; (known = peer_addr(sa, i)); i++)
		if (ip_addr_equal(known, a))
			return true;
	return false;
}

// Ports: RFC 4555 3.3 makes both sides stay on one. That of a NAT belongs to its address.
static void with_ports(const struct ike_sa *sa, const struct ip_addr *local,
		       const struct ip_addr *remote, struct ip_endpoint *l, struct ip_endpoint *r)
{
	uint16_t port = sa->remote.port == IKE_PORT ? IKE_PORT : IKE_NATT_PORT;

	if (ip_addr_equal(remote, &sa->remote.addr))
		port = sa->remote.port;
	*l = (struct ip_endpoint){*local, sa->local.port};
	*r = (struct ip_endpoint){*remote, port};
}

static bool way_to(const struct ike_sa *sa, const struct ip_addr *remote, struct ip_addr *local)
{
	return sa->env->addr_source(sa->env->ctx, sa->conn, remote, local) &&
	       is_allowed(sa, local, remote);
}

// The n-th pair of all that may be tried. False: there are not so many.
static bool pair_at(const struct ike_sa *sa, unsigned n, struct ip_endpoint *l,
		    struct ip_endpoint *r)
{
	const struct ip_addr *remote;

	for (unsigned i = 0; (remote = peer_addr(sa, i)); i++)
		for (unsigned k = 0; k < sa->mobike.n_own; k++)
			if (is_allowed(sa, &sa->mobike.own[k], remote) && n-- == 0) {
				with_ports(sa, &sa->mobike.own[k], remote, l, r);
				return true;
			}
	return false;
}

static bool is_in_use(const struct ike_sa *sa, const struct ip_endpoint *l,
		      const struct ip_endpoint *r)
{
	return ip_addr_equal(&l->addr, &sa->local.addr) &&
	       ip_addr_equal(&r->addr, &sa->remote.addr);
}

// ---- changing ----

void path_nudge(struct step *st)
{
	struct ike_request *r = &st->sa->request;

	if (r->kind == REQUEST_NONE)
		return;
	r->scattered = true;
	act_send(st, &r->message, r->exchange, r->message_id, false, true);
}

void path_set(struct step *st, const struct ip_endpoint *local, const struct ip_endpoint *remote)
{
	struct ike_sa *sa = st->sa;
	char was[2][IP_ENDPOINT_TEXT_MAX], is[2][IP_ENDPOINT_TEXT_MAX];

	if (ip_endpoint_equal(local, &sa->local) && ip_endpoint_equal(remote, &sa->remote))
		return;
	act_report(st, IKE_REPORT_MOVED, IKE_SEV_NOTICE,
		   "now between our %s and the peer's %s, before between %s and %s",
		   ip_endpoint_format(local, is[0], sizeof(is[0])),
		   ip_endpoint_format(remote, is[1], sizeof(is[1])),
		   ip_endpoint_format(&sa->local, was[0], sizeof(was[0])),
		   ip_endpoint_format(&sa->remote, was[1], sizeof(was[1])));
	sa->local = *local;
	sa->remote = *remote;
}

void path_change(struct step *st, const struct ip_endpoint *local, const struct ip_endpoint *remote)
{
	struct ike_sa *sa = st->sa;

	path_set(st, local, remote);
	sa->mobike.kept = false;
	// One that is being deleted only has to get its last words out. One that the peer has
	// replaced as well, but the peer may not have our answer and not know the successor yet,
	// and sends its request to where we are no longer.
	sa->mobike.want_update = sa->phase != PHASE_DELETING;
	if (ip_addr_equal(&remote->addr, &sa->esp.remote.addr))
		path_settle(st); // the peer is known to receive there
	path_nudge(st);
}

// By the routes of now: to the peer's address in use if there is a way, else to one of its others.
static void follow_routes(struct step *st)
{
	struct ike_sa *sa = st->sa;
	const struct ip_addr *remote;
	struct ip_endpoint l, r;
	struct ip_addr local;

	if (sa->mobike.kept && is_own(sa, &sa->local.addr))
		return;
	for (unsigned i = 0; (remote = peer_addr(sa, i)); i++) {
		if (!way_to(sa, remote, &local))
			continue;
		with_ports(sa, &local, remote, &l, &r);
		if (!is_in_use(sa, &l, &r))
			path_change(st, &l, &r);
		return;
	}
}

// RFC 4555 3.5: the responder's part decides about its own address when that has gone.
static void replace_own(struct step *st)
{
	struct ike_sa *sa = st->sa;
	struct ip_endpoint local = {.port = sa->local.port};

	if (is_own(sa, &sa->local.addr) || !way_to(sa, &sa->remote.addr, &local.addr) ||
	    ip_addr_equal(&local.addr, &sa->local.addr))
		return;
	path_set(st, &local, &sa->remote);
	sa->esp.local = local;
	children_move(st);
	path_nudge(st);
}

void path_addresses_changed(struct step *st)
{
	struct ike_sa *sa = st->sa;

	if (!sa->mobike.on || (sa->phase != PHASE_ESTABLISHED && sa->phase != PHASE_REKEYED &&
			       sa->phase != PHASE_DELETING))
		return;
	if (path_own_refresh(sa) && sa->phase == PHASE_ESTABLISHED)
		sa->mobike.want_addrs = true;
	if (sa->mobike.leader)
		follow_routes(st);
	else
		replace_own(st);
}

// ---- trying ----

void path_try(struct step *st)
{
	struct ike_sa *sa = st->sa;
	struct ike_request *q = &sa->request;
	struct ip_endpoint l, r;

	if (!sa->mobike.on || !sa->mobike.leader || q->repeats < IKE_TRY_PATHS_REPEATS)
		return;
	path_own_refresh(sa);
	for (unsigned i = 0; pair_at(sa, i, &l, &r); i++) {
		if (is_in_use(sa, &l, &r))
			continue;
		q->tried = q->scattered = true;
		act_send_between(st, &q->message, q->exchange, q->message_id, &l, &r);
	}
}

void path_answered(struct step *st)
{
	struct ike_sa *sa = st->sa;
	const struct ip_endpoint *l = &st->ev->local, *r = &st->ev->remote;

	// One that the peer has replaced does not decide: its successor has the children.
	if (!sa->mobike.on || sa->phase != PHASE_ESTABLISHED || !sa->request.tried ||
	    is_in_use(sa, l, r) || !is_own(sa, &l->addr) || !is_peer(sa, &r->addr) ||
	    !is_allowed(sa, &l->addr, &r->addr))
		return;
	path_change(st, l, r);
	sa->mobike.kept = true;
}

void path_refused(struct step *st)
{
	struct ike_sa *sa = st->sa;
	struct mobike *m = &sa->mobike;
	struct ip_endpoint l, r;

	path_own_refresh(sa);
	if (is_own(sa, &m->agreed.local.addr) &&
	    !is_in_use(sa, &m->agreed.local, &m->agreed.remote)) {
		// The peer has never left it.
		path_set(st, &m->agreed.local, &m->agreed.remote);
		sa->nat.encap = m->agreed.encap;
		m->kept = true;
		path_settle(st);
		return;
	}
	for (unsigned i = m->refusals++; pair_at(sa, i, &l, &r); i = m->refusals++)
		if (!is_in_use(sa, &l, &r)) {
			path_change(st, &l, &r);
			return;
		}
	act_report(st, IKE_REPORT_MOVED, IKE_SEV_ERROR,
		   "the peer agrees to none of our addresses: the IKE SA ends");
	sa->want_terminate = true;
}
