#include "control/ike/mobike.h"

#include <string.h>

#include "control/ike/nat.h"
#include "control/ike/path.h"
#include "control/ike/payload.h"
#include "control/ike/request.h"

enum {
	COOKIE2_MIN = 8, // RFC 4555 4.2.5
	COOKIE2_MAX = 64,
	NO_NATS_MAX = 36, // RFC 4555 4.2.6
};

static bool has(const struct ike_msg *m, uint16_t type)
{
	struct ike_notify n;

	return ike_msg_notify(m, type, 0, &n);
}

// ---- NATs ----

// The addresses and ports between which a message goes. Returns its length.
static size_t no_nats_data(const struct ip_endpoint *from, const struct ip_endpoint *to,
			   uint8_t data[NO_NATS_MAX])
{
	struct writer w = writer_of(data, NO_NATS_MAX);

	write_bytes(&w, from->addr.bytes, ip_addr_len(&from->addr));
	write_bytes(&w, to->addr.bytes, ip_addr_len(&to->addr));
	write_u16(&w, from->port);
	write_u16(&w, to->port);
	return w.len;
}

// RFC 4555 3.9: without NAT traversal nobody may change addresses on the way.
static void build_no_nats(struct step *st, struct ike_builder *b)
{
	uint8_t data[NO_NATS_MAX];

	build_notify(b, N_NO_NATS_ALLOWED, data,
		     no_nats_data(&st->sa->local, &st->sa->remote, data));
}

bool mobike_nats_ok(struct step *st, const struct ike_msg *m)
{
	const struct ike_event *ev = st->ev;
	char local[IP_ENDPOINT_TEXT_MAX], remote[IP_ENDPOINT_TEXT_MAX];
	uint8_t data[NO_NATS_MAX];
	struct ike_notify n;
	size_t len;

	if (!st->sa->conn->mobike || !ike_msg_notify(m, N_NO_NATS_ALLOWED, 0, &n))
		return true;
	len = no_nats_data(&ev->remote, &ev->local, data);
	if (n.len == len && memcmp(n.data, data, len) == 0)
		return true;
	act_report(st, IKE_REPORT_MOVED, IKE_SEV_NOTICE,
		   "somebody has changed the addresses of the peer's message (it came from %s to "
		   "%s), which the peer forbids: refused (UNEXPECTED_NAT_DETECTED)",
		   ip_endpoint_format(&ev->remote, remote, sizeof(remote)),
		   ip_endpoint_format(&ev->local, local, sizeof(local)));
	return false;
}

static void build_nat(struct step *st, struct ike_builder *b, const struct ip_endpoint *local,
		      const struct ip_endpoint *remote)
{
	const struct ike_sa *sa = st->sa;

	if (nat_build(b, sa->env->crypto, sa->spi_i, sa->spi_r, local, remote,
		      sa->conn->force_encap))
		b->w.failed = true;
}

static bool has_nat(const struct ike_msg *m)
{
	return has(m, N_NAT_DETECTION_SOURCE_IP) && has(m, N_NAT_DETECTION_DESTINATION_IP);
}

// RFC 4555 3.5: ESP in UDP is enabled or disabled by what the message says of NATs on its way.
static void take_nat(struct step *st, const struct ike_msg *m)
{
	struct ike_sa *sa = st->sa;
	struct nat_result nat;

	if (!sa->nat.supported || !has_nat(m) ||
	    nat_check(m, sa->env->crypto, &st->ev->local, &st->ev->remote, &nat))
		return;
	sa->nat.local = nat.local;
	sa->nat.remote = nat.remote;
	sa->nat.encap = nat.local || nat.remote || sa->conn->force_encap;
}

// ---- addresses ----

// RFC 4555 3.4: all but the one that the message comes from.
static unsigned build_addresses(struct step *st, struct ike_builder *b)
{
	const struct ike_sa *sa = st->sa;
	unsigned n = 0;

	for (unsigned i = 0; i < sa->mobike.n_own; i++) {
		const struct ip_addr *a = &sa->mobike.own[i];

		if (ip_addr_equal(a, &sa->local.addr))
			continue;
		build_notify(
			b, a->family == IP_V6 ? N_ADDITIONAL_IP6_ADDRESS : N_ADDITIONAL_IP4_ADDRESS,
			a->bytes, ip_addr_len(a));
		n++;
	}
	return n;
}

static void add_peer_addr(struct step *st, const struct ike_notify *n, size_t len)
{
	struct mobike *m = &st->sa->mobike;
	struct ip_addr a;

	if (n->len != len || m->n_peer > LIMIT_IKE_ADDRS)
		return;
	a = ip_addr_from_bytes(n->data, n->len);
	for (unsigned i = 0; i < m->n_peer; i++)
		if (ip_addr_equal(&a, &m->peer[i]))
			return;
	m->peer[m->n_peer++] = a;
}

// RFC 4555 3.6: a list replaces the one before. False when the message has none.
static bool take_addresses(struct step *st, const struct ike_msg *msg)
{
	struct mobike *m = &st->sa->mobike;
	struct ike_notify n;

	if (!has(msg, N_ADDITIONAL_IP4_ADDRESS) && !has(msg, N_ADDITIONAL_IP6_ADDRESS) &&
	    !has(msg, N_NO_ADDITIONAL_ADDRESSES))
		return false;
	m->peer[0] = st->ev->remote.addr; // RFC 4555 3.6: the one in the IP header
	m->n_peer = 1;
	for (size_t i = 0; ike_msg_notify(msg, N_ADDITIONAL_IP4_ADDRESS, i, &n); i++)
		add_peer_addr(st, &n, 4);
	for (size_t i = 0; ike_msg_notify(msg, N_ADDITIONAL_IP6_ADDRESS, i, &n); i++)
		add_peer_addr(st, &n, 16);
	return true;
}

// ---- IKE_AUTH ----

static void build_support(struct step *st, struct ike_builder *b)
{
	build_notify(b, N_MOBIKE_SUPPORTED, NULL, 0);
	path_own_refresh(st->sa);
	build_addresses(st, b);
}

void mobike_build_auth_request(struct step *st, struct ike_builder *b)
{
	if (!st->sa->conn->mobike)
		return;
	build_support(st, b);
	if (!st->sa->nat.supported)
		build_no_nats(st, b);
}

void mobike_build_auth_reply(struct step *st, struct ike_builder *b)
{
	if (st->sa->mobike.on)
		build_support(st, b);
}

void mobike_take_auth(struct step *st, const struct ike_msg *m)
{
	struct ike_sa *sa = st->sa;

	if (!sa->conn->mobike || !has(m, N_MOBIKE_SUPPORTED))
		return;
	sa->mobike.on = true;
	sa->mobike.leader = sa->original_initiator;
	sa->mobike.agreed = sa->esp;
	take_addresses(st, m);
}

// ---- requests of ours ----

// RFC 4555 3.7: a peer that has not seen the request cannot answer it.
static bool build_cookie2(struct step *st, struct ike_builder *b)
{
	const struct ike_crypto *c = st->sa->env->crypto;
	uint8_t *cookie2 = st->sa->request.cookie2;

	if (c->random(c->ctx, cookie2, IKE_COOKIE2_LEN))
		return false;
	build_notify(b, N_COOKIE2, cookie2, IKE_COOKIE2_LEN);
	return true;
}

static void build_list(struct step *st, struct ike_builder *b)
{
	if (build_addresses(st, b) == 0)
		build_notify(b, N_NO_ADDITIONAL_ADDRESSES, NULL, 0);
	st->sa->mobike.want_addrs = false;
}

bool send_update(struct step *st)
{
	struct ike_sa *sa = st->sa;
	bool lists = sa->mobike.want_addrs;
	struct ike_builder b;

	sa->mobike.want_update = false;
	request_begin(st, &b, EXCHANGE_INFORMATIONAL);
	build_notify(&b, N_UPDATE_SA_ADDRESSES, NULL, 0);
	if (lists)
		build_list(st, &b);
	if (sa->nat.supported)
		build_nat(st, &b, &sa->local, &sa->remote);
	else
		build_no_nats(st, &b);
	if (!build_cookie2(st, &b) || !request_send(st, &b, REQUEST_UPDATE))
		return false;
	sa->request.lists = lists;
	return true;
}

bool send_return(struct step *st)
{
	struct ike_builder b;

	st->sa->mobike.want_return = false;
	request_begin(st, &b, EXCHANGE_INFORMATIONAL);
	return build_cookie2(st, &b) && request_send(st, &b, REQUEST_RETURN);
}

bool send_addresses(struct step *st)
{
	struct ike_builder b;

	request_begin(st, &b, EXCHANGE_INFORMATIONAL);
	build_list(st, &b);
	if (!st->sa->nat.supported)
		build_no_nats(st, &b);
	if (!request_send(st, &b, REQUEST_ADDRS))
		return false;
	st->sa->request.lists = true;
	return true;
}

void mobike_build_liveness(struct step *st, struct ike_builder *b)
{
	const struct ike_sa *sa = st->sa;

	if (sa->mobike.on && sa->mobike.leader && sa->nat.local)
		build_nat(st, b, &sa->local, &sa->remote);
}

// ---- their answers ----

static bool cookie2_ok(const struct ike_sa *sa, const struct ike_msg *m)
{
	struct ike_notify n;

	return ike_msg_notify(m, N_COOKIE2, 0, &n) && n.len == IKE_COOKIE2_LEN &&
	       memcmp(n.data, sa->request.cookie2, IKE_COOKIE2_LEN) == 0;
}

// How the peer sees us through a NAT, unless it is as before (RFC 4555 3.8).
static bool seen_otherwise(struct ike_sa *sa, const struct ike_msg *msg)
{
	struct mobike *m = &sa->mobike;
	struct ike_notify n;
	bool differs;

	if (!ike_msg_notify(msg, N_NAT_DETECTION_DESTINATION_IP, 0, &n) ||
	    n.len != sizeof(m->seen_as))
		return false;
	differs = m->seen && memcmp(m->seen_as, n.data, n.len) != 0;
	memcpy(m->seen_as, n.data, n.len);
	m->seen = true;
	return differs;
}

static void refused(struct step *st, const char *why)
{
	struct ike_sa *sa = st->sa;
	char local[IP_ENDPOINT_TEXT_MAX];

	act_report(st, IKE_REPORT_MOVED, IKE_SEV_NOTICE,
		   "the peer does not agree to our address "
		   "%s: %s",
		   ip_endpoint_format(&sa->local, local, sizeof(local)), why);
	path_refused(st);
}

static void on_update_answered(struct step *st, const struct ike_msg *msg)
{
	struct ike_sa *sa = st->sa;
	struct mobike *m = &sa->mobike;

	if (m->want_update)
		return; // changed again meanwhile: the next one counts
	if (has(msg, N_UNACCEPTABLE_ADDRESSES)) {
		refused(st, "UNACCEPTABLE_ADDRESSES");
		return;
	}
	if (has(msg, N_UNEXPECTED_NAT_DETECTED)) {
		// RFC 4555 3.9: to be tried several times; one packet may have been changed.
		if (m->refusals++ < sa->conn->retransmit_tries)
			m->want_update = true;
		else
			refused(st, "UNEXPECTED_NAT_DETECTED");
		return;
	}
	if (sa->request.scattered) {
		// Which of the copies has it taken its addresses from?
		m->want_update = true;
		return;
	}
	m->refusals = 0;
	take_nat(st, msg);
	seen_otherwise(sa, msg);
	path_settle(st);
	m->agreed = sa->esp;
}

// The other side of a return routability check: the peer receives at its new address.
static void on_return_answered(struct step *st)
{
	struct ike_sa *sa = st->sa;

	if (sa->request.scattered)
		sa->mobike.want_return = !path_is_settled(sa);
	else
		path_settle(st);
}

static void on_addresses_answered(struct step *st, const struct ike_msg *msg)
{
	struct mobike *m = &st->sa->mobike;

	if (!has(msg, N_UNEXPECTED_NAT_DETECTED))
		m->refusals = 0;
	else if (m->refusals++ < st->sa->conn->retransmit_tries) // RFC 4555 3.9
		m->want_addrs = true;
}

void mobike_answered(struct step *st, const struct ike_msg *m)
{
	struct ike_sa *sa = st->sa;
	bool cookie2 = st->answered == REQUEST_UPDATE || st->answered == REQUEST_RETURN;

	if (sa->phase != PHASE_ESTABLISHED) { // its successor sees to all the rest
		sa->mobike.want_update |= st->answered == REQUEST_UPDATE && sa->request.scattered;
		return;
	}
	if (cookie2 && !cookie2_ok(sa, m)) { // RFC 4555 3.7: MUST be closed
		act_report(st, IKE_REPORT_INVALID_MESSAGE, IKE_SEV_ERROR,
			   "the peer's answer does not hold our COOKIE2: it has not seen our "
			   "request");
		act_close(st, false, "wrong COOKIE2");
		return;
	}
	if (sa->request.lists && sa->request.scattered) // RFC 4555 3.6: MUST be sent anew
		sa->mobike.want_addrs = true;
	if (st->answered == REQUEST_UPDATE)
		on_update_answered(st, m);
	else if (st->answered == REQUEST_RETURN)
		on_return_answered(st);
	else if (st->answered == REQUEST_ADDRS)
		on_addresses_answered(st, m);
	else if (st->answered == REQUEST_LIVENESS && sa->mobike.on && sa->mobike.leader &&
		 sa->nat.local && seen_otherwise(sa, m))
		sa->mobike.want_update = true;
}

// ---- requests of the peer ----

// RFC 4555 3.5, the responder's part.
static void on_update(struct step *st, const struct ike_msg *m, struct ike_builder *b)
{
	struct ike_sa *sa = st->sa;
	const struct ike_event *ev = st->ev;
	char local[IP_ENDPOINT_TEXT_MAX], remote[IP_ENDPOINT_TEXT_MAX];

	if (!sa->env->addrs_allowed(sa->env->ctx, sa->conn, &ev->local.addr, &ev->remote.addr)) {
		act_report(st, IKE_REPORT_MOVED, IKE_SEV_NOTICE,
			   "the peer wants to go on between %s and our %s, which remote_addrs and "
			   "local_addrs do not allow: refused (UNACCEPTABLE_ADDRESSES)",
			   ip_endpoint_format(&ev->remote, remote, sizeof(remote)),
			   ip_endpoint_format(&ev->local, local, sizeof(local)));
		build_notify(b, N_UNACCEPTABLE_ADDRESSES, NULL, 0);
		return;
	}
	path_set(st, &ev->local, &ev->remote);
	take_nat(st, m);
	// RFC 4555 3.7: no ESP goes to an address before the peer has shown that it receives there.
	// Otherwise it could turn our traffic on a third party.
	sa->mobike.want_return = !ip_addr_equal(&sa->remote.addr, &sa->esp.remote.addr);
	if (!sa->mobike.want_return)
		path_settle(st);
	path_nudge(st);
}

// RFC 4555 3.5: the responder's addresses may have changed, above all the one in use; then the list
// comes from another.
static void follow_list(struct step *st)
{
	struct ike_sa *sa = st->sa;

	if (!ip_addr_equal(&sa->remote.addr, &st->ev->remote.addr) &&
	    sa->env->addrs_allowed(sa->env->ctx, sa->conn, &st->ev->local.addr,
				   &st->ev->remote.addr))
		path_change(st, &st->ev->local, &st->ev->remote);
}

void mobike_request(struct step *st, const struct ike_msg *m, struct ike_builder *b)
{
	struct ike_sa *sa = st->sa;
	struct ike_notify n;

	if (!sa->mobike.on)
		return;
	if (!mobike_nats_ok(st, m)) {
		build_notify(b, N_UNEXPECTED_NAT_DETECTED, NULL, 0);
	} else if (sa->phase == PHASE_ESTABLISHED) {
		bool listed = take_addresses(st, m);

		if (!sa->mobike.leader && has(m, N_UPDATE_SA_ADDRESSES))
			on_update(st, m, b);
		else if (sa->mobike.leader && listed)
			follow_list(st);
	}
	if (sa->nat.supported && has_nat(m)) // RFC 4555 3.8: MUST, whatever the request is about
		build_nat(st, b, &st->ev->local, &st->ev->remote);
	if (ike_msg_notify(m, N_COOKIE2, 0, &n) && n.len >= COOKIE2_MIN && n.len <= COOKIE2_MAX)
		build_notify(b, N_COOKIE2, n.data, n.len);
}
