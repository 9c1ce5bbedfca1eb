// What the doctor wants to know of IKE: counted as it happens, by the peer's address and by
// connection.
#include "control/ike_run_priv.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

// The note of an address that a connection has, or names; else NULL. Strangers get none.
static struct peer_note *note_of(struct ike_run *run, const struct run_sa *s,
				 const struct ip_addr *remote)
{
	struct peer_note *n = peer_notes_find(run->notes, remote);

	if (!n && ((s && s->established) || ike_run_names(run, remote)))
		n = peer_notes_get(run->notes, remote);
	return n;
}

void note_sent(struct run_sa *s, const struct ip_endpoint *local, const struct ip_endpoint *remote,
	       size_t len, int error)
{
	struct peer_note *n = note_of(s->run, s, &remote->addr);

	s->last_tx_len = len;
	if (n)
		peer_note_sent(n, local->port, error, run_now_ms());
}

void note_received(struct ike_run *run, struct run_sa *s, const struct ip_endpoint *local,
		   const struct ip_endpoint *remote, bool repeated)
{
	struct peer_note *n = note_of(run, s, &remote->addr);
	uint64_t now = run_now_ms();

	if (s)
		s->last_rx_ms = now;
	if (n && s && s->repeating)
		tally_note(&n->late, 1, now, TALLY_TEN_MINUTES_MS);
	if (s)
		s->repeating = false;
	if (!n)
		return;
	peer_note_received(n, local->port, now);
	if (repeated)
		tally_note(&n->repeats, 1, now, TALLY_MINUTE_MS);
}

void note_v1(struct ike_run *run, const uint8_t spi_i[8], const struct ip_endpoint *local,
	     const struct ip_endpoint *remote)
{
	const struct run_sa *asked = run_sa_by_spi(run, spi_key(spi_i));
	struct peer_note *n;

	note_received(run, NULL, local, remote, false);
	n = peer_notes_find(run->notes, &remote->addr);
	if (!n)
		return;
	tally_note(&n->v1, 1, run_now_ms(), TALLY_TEN_MINUTES_MS);
	n->v1_answers = asked != NULL;
}

static void note_repeated(struct run_sa *s)
{
	struct peer_note *n;
	struct ike_sa_info info;

	s->repeating = true;
	ike_sa_info(s->sa, &info);
	n = note_of(s->run, s, &info.remote.addr);
	if (n)
		tally_note(&n->retransmits, 1, run_now_ms(), TALLY_MINUTE_MS);
}

static void note_unanswered(struct run_sa *s)
{
	struct conn_notes *n = &s->conn->notes;
	struct ike_sa_info info;
	uint64_t now = run_now_ms();

	ike_sa_info(s->sa, &info);
	n->unanswered_len = s->last_tx_len;
	n->unanswered_port = info.remote.port;
	n->unanswered_tries = info.retransmits + 1;
	tally_note(&n->unanswered, 1, now, TALLY_TEN_MINUTES_MS);
	if (info.chosen.n) // IKE_SA_INIT was answered
		tally_note(&n->unanswered_auth, 1, now, TALLY_TEN_MINUTES_MS);
}

// A responder's IKE SA whose peer has our answer, or has not, and does not go on.
static void note_no_auth(struct run_sa *s)
{
	struct peer_note *n;
	struct ike_sa_info info;

	ike_sa_info(s->sa, &info);
	n = note_of(s->run, s, &info.remote.addr);
	if (n)
		tally_note(&n->no_auth, 1, run_now_ms(), TALLY_TEN_MINUTES_MS);
}

void note_report(struct run_sa *s, enum ike_report_code code)
{
	if (code == IKE_REPORT_NO_ANSWER && s->half_open)
		note_no_auth(s);
	if (code == IKE_REPORT_RETRANSMIT)
		note_repeated(s);
	if (!s->conn)
		return;
	if (code == IKE_REPORT_NO_ANSWER && !s->established)
		note_unanswered(s);
	else if (code == IKE_REPORT_EXPIRED)
		tally_note(&s->conn->notes.rekeys_failed, 1, run_now_ms(), TALLY_HOUR_MS);
}

void note_established(struct run_sa *s)
{
	uint64_t now = run_now_ms();

	if (!s->conn)
		return;
	tally_note(&s->conn->notes.established, 1, now, TALLY_HOUR_MS);
	s->conn->notes.established_ms = now;
	note_esp_anew(s->run, s->conn);
}

void note_lost(const struct run_sa *s, struct conn_child *child, bool by_us)
{
	struct conn_notes *n = &child->conn->notes;

	if (s->superseded || s->aged || by_us)
		return;
	tally_note(&n->lost, 1, run_now_ms(), TALLY_HOUR_MS);
	if (s->peer_lost)
		tally_note(&n->dead_peer, 1, run_now_ms(), TALLY_HOUR_MS);
}

void note_only(struct run_sa *s)
{
	const struct run_sa *other;

	if (!s->conn)
		return;
	TAILQ_FOREACH(other, &s->conn->sas, conn_link)
	{
		if (other != s && other->established && !other->superseded) {
			tally_note(&s->conn->notes.restarts, 1, run_now_ms(), TALLY_HOUR_MS);
			return;
		}
	}
}

void note_moves(struct run_sa *s, const struct ike_sa_info *info)
{
	if (!s->established || !s->conn)
		return;
	if (s->remote.port && !ip_endpoint_equal(&s->remote, &info->remote))
		tally_note(&s->conn->notes.moved, 1, run_now_ms(), TALLY_TEN_MINUTES_MS);
	s->remote = info->remote;
}

// RFC 792, RFC 1812 5.2.7.1; RFC 4443 3.1.
static enum doctor_icmp icmp_meaning(const struct ike_socket_icmp *e)
{
	if (e->remote.addr.family == IP_V6) {
		if (e->type == ICMP6_PACKET_TOO_BIG)
			return DOCTOR_ICMP_SIZE;
		if (e->type == ICMP6_TIME_EXCEEDED)
			return DOCTOR_ICMP_TTL;
		if (e->type != ICMP6_DST_UNREACH)
			return DOCTOR_ICMP_NONE;
		if (e->code == ICMP6_DST_UNREACH_NOPORT)
			return DOCTOR_ICMP_PORT;
		if (e->code == ICMP6_DST_UNREACH_ADMIN || e->code > ICMP6_DST_UNREACH_NOPORT)
			return DOCTOR_ICMP_ADMIN;
		return e->code == ICMP6_DST_UNREACH_ADDR ? DOCTOR_ICMP_HOST : DOCTOR_ICMP_NET;
	}
	if (e->type == ICMP_TIME_EXCEEDED)
		return DOCTOR_ICMP_TTL;
	if (e->type != ICMP_DEST_UNREACH)
		return DOCTOR_ICMP_NONE;
	switch (e->code) {
	case ICMP_PORT_UNREACH:
	case ICMP_PROT_UNREACH:
		return DOCTOR_ICMP_PORT;
	case ICMP_FRAG_NEEDED:
		return DOCTOR_ICMP_SIZE;
	case ICMP_NET_ANO:
	case ICMP_HOST_ANO:
	case ICMP_PKT_FILTERED:
		return DOCTOR_ICMP_ADMIN;
	case ICMP_HOST_UNREACH:
	case ICMP_HOST_UNKNOWN:
		return DOCTOR_ICMP_HOST;
	default:
		return DOCTOR_ICMP_NET;
	}
}

void note_icmp(struct ike_run *run, const struct ike_socket_icmp *e)
{
	struct peer_note *n = peer_notes_find(run->notes, &e->remote.addr);
	enum doctor_icmp what = icmp_meaning(e);

	if (!n || what == DOCTOR_ICMP_NONE)
		return;
	for (size_t i = 0; i < run->n_addrs; i++)
		if (ip_addr_equal(&run->addrs[i], &e->from))
			return; // Linux itself: the next hop has not answered ARP
	tally_note(&n->icmp, 1, run_now_ms(), TALLY_MINUTE_MS);
	n->icmp_what = what;
	n->icmp_type = e->type;
	n->icmp_code = e->code;
	n->icmp_port = e->remote.port;
	n->icmp_from = e->from;
}
