// Negotiation: IKE_SA_INIT, authentication, child.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/doctor/rungs.h"

// How a failure is told, by kind.
static const struct {
	enum doctor_code code;
	enum doctor_rung rung;
	enum doctor_owner owner; // when we refused
	const char *next;
} failures[] = {
	[DOCTOR_FAILED_PROPOSAL] = {DOCTOR_N_PROPOSAL, RUNG_INIT, DOCTOR_BOTH,
				    "make 'proposals' of both sides have one in common: 'port500 "
				    "show refusals' compares them"},
	[DOCTOR_FAILED_KE] = {DOCTOR_N_KE, RUNG_INIT, DOCTOR_BOTH,
			      "put a group into 'proposals' that both sides have: 'port500 show "
			      "refusals' compares them"},
	[DOCTOR_FAILED_VERSION] = {DOCTOR_N_VERSION, RUNG_INIT, DOCTOR_PEER,
				   "have the peer speak IKEv2 (keyexchange = ikev2, version = 2)"},
	[DOCTOR_FAILED_PSK] = {DOCTOR_N_PSK, RUNG_AUTH, DOCTOR_BOTH,
			       "compare the secret of these two identities on both sides, byte by "
			       "byte: blanks and line ends count"},
	[DOCTOR_FAILED_PEER_SAID_NO] = {DOCTOR_N_PEERSAIDNO, RUNG_AUTH, DOCTOR_BOTH,
					"only the peer's log says why: secret, our identity, our "
					"certificate"},
	[DOCTOR_FAILED_ID] = {DOCTOR_N_ID, RUNG_AUTH, DOCTOR_BOTH,
			      "make remote.id here the same as the peer's own identity, with its "
			      "type: 'port500 show refusals' has both"},
	[DOCTOR_FAILED_NO_SECRET] =
		{DOCTOR_N_NOSECRET, RUNG_AUTH, DOCTOR_US,
		 "add a secret for these two identities, then 'port500 reload'"},
	[DOCTOR_FAILED_CERT] =
		{DOCTOR_N_CERT, RUNG_AUTH, DOCTOR_PEER,
		 "'port500 show refusals' has the certificate: its dates, its issuer "
		 "and whether that is one of our cacerts"},
	[DOCTOR_FAILED_TS] = {DOCTOR_C_TS, RUNG_CHILD, DOCTOR_BOTH,
			      "local_ts here has to be remote_ts there, and the other way round"},
	[DOCTOR_FAILED_ESP] = {DOCTOR_C_ESP, RUNG_CHILD, DOCTOR_BOTH,
			       "make 'esp_proposals' of both sides have one in common: 'port500 "
			       "show refusals' compares them"},
	[DOCTOR_FAILED_PFS] = {DOCTOR_C_PFS, RUNG_CHILD, DOCTOR_BOTH,
			       "put the same group into 'esp_proposals' of both sides, or none"},
};

// As many whole clauses of a long explanation as there is room for.
static const char *whole_clauses(const char *text, char *buf, size_t size)
{
	char *end = NULL;

	if (snprintf(buf, size, "%s", text) < (int)size)
		return buf;
	for (char *at = strstr(buf, "; "); at; at = strstr(at + 1, "; "))
		end = at;
	if (end)
		snprintf(end, size - (size_t)(end - buf), "; ...");
	return buf;
}

// True when the newest failure belongs to that rung.
static bool failed_at(const struct doctor_facts *f, enum doctor_rung rung,
		      struct doctor_finding *out)
{
	const struct doctor_failure_facts *x = &f->conn.failure;
	enum doctor_owner owner = failures[x->what].owner;
	char age[DOCTOR_AGE_TEXT_MAX], text[400];

	if (x->what == DOCTOR_FAILED_NOT || failures[x->what].rung != rung)
		return false;
	if (x->what == DOCTOR_FAILED_CERT && x->by_peer)
		owner = DOCTOR_US;
	// A refusal that came in clear may be anybody's; what we refuse, we have seen.
	finding_set(out, f->conn.stage == DOCTOR_STAGE_UP ? DOCTOR_WARN : DOCTOR_FAIL,
		    failures[x->what].code, owner,
		    x->by_peer && !x->authenticated ? DOCTOR_MEDIUM : DOCTOR_HIGH,
		    "%" PRIu64 " %s, last %s ago, refused by %s%s: %s", x->count, times(x->count),
		    age_text(x->ago_ms, age), x->by_peer ? "the peer" : "us",
		    x->by_peer && !x->authenticated ? " (not authenticated)" : "",
		    whole_clauses(x->text, text, sizeof(text)));
	finding_next(out, "%s", failures[x->what].next);
	return true;
}

// Did the newest failure come after that rung?
static bool failed_above(const struct doctor_facts *f, enum doctor_rung rung)
{
	return f->conn.failure.what != DOCTOR_FAILED_NOT &&
	       failures[f->conn.failure.what].rung > rung;
}

// What comes is IKEv1, and nothing of IKEv2 has come since.
static bool speaks_v1(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_ike_facts *i = &f->ike;
	char last[DOCTOR_AGE_TEXT_MAX + 16];

	if (!some(&i->rx_v1) || f->conn.stage >= DOCTOR_STAGE_AUTH ||
	    f->guard.forged == DOCTOR_YES ||
	    (i->rx_500.ever && i->rx_500.ago_ms < i->rx_v1.ago_ms) ||
	    (i->rx_4500.ever && i->rx_4500.ago_ms < i->rx_v1.ago_ms))
		return false;
	// Who answers has seen what we sent; anybody can call in the peer's name.
	finding_set(out, DOCTOR_FAIL, DOCTOR_N_VERSION, DOCTOR_PEER,
		    i->v1_answers ? DOCTOR_MEDIUM : DOCTOR_LOW,
		    "%s IKEv1: %" PRIu64 " messages in %" PRIu64 " s%s",
		    i->v1_answers ? "what answers our IKE_SA_INIT is" : "the peer calls us by",
		    i->rx_v1.n, i->rx_v1.window_ms / 1000, last_text(&i->rx_v1, last));
	finding_next(out, "%s", failures[DOCTOR_FAILED_VERSION].next);
	return true;
}

// We answered the peer's IKE_SA_INIT, and that was all.
static bool did_not_go_on(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_count *c = &f->ike.no_auth;
	char last[DOCTOR_AGE_TEXT_MAX + 16];

	if (!some(c) || f->conn.stage >= DOCTOR_STAGE_AUTH || f->guard.forged == DOCTOR_YES ||
	    (f->history.established.ever && f->history.established.ago_ms < c->ago_ms))
		return false;
	finding_set(out, DOCTOR_FAIL, DOCTOR_N_NOAUTH, DOCTOR_OWNER_UNKNOWN, DOCTOR_MEDIUM,
		    "%" PRIu64 " %s in %" PRIu64 " s the peer's IKE_SA_INIT was answered and no "
		    "IKE_AUTH came%s: our answer is lost, or its IKE_AUTH, or it did not like the "
		    "answer",
		    c->n, times(c->n), c->window_ms / 1000, last_text(c, last));
	finding_next(
		out,
		"what does the peer's doctor, or log, say? 'port500 doctor --probe %s' asks it "
		"on 500 and 4500",
		name_of(f));
	return true;
}

void rung_init(const struct doctor_facts *f, struct doctor_finding *out)
{
	// Who has no connection for IKEv2 may answer NO_PROPOSAL_CHOSEN.
	if (speaks_v1(f, out) || failed_at(f, RUNG_INIT, out) || did_not_go_on(f, out))
		return;
	if (f->conn.stage >= DOCTOR_STAGE_AUTH)
		finding_pass(out, "answered%s",
			     f->conn.nat == DOCTOR_YES ? "; there is a NAT between us" : "");
	else if (failed_above(f, RUNG_INIT))
		finding_pass(out, "was answered");
	else
		finding_unknown(out, "no answer yet");
}

// Our certificate is out of date: the peer will refuse it, or has done so already.
static bool own_cert(const struct doctor_facts *f, struct doctor_finding *out)
{
	enum doctor_failure what = f->conn.failure.what;
	bool refused = f->conn.failure.by_peer &&
		       (what == DOCTOR_FAILED_CERT || what == DOCTOR_FAILED_PEER_SAID_NO);
	bool established = f->conn.stage >= DOCTOR_STAGE_ESTABLISHED;
	char age[DOCTOR_AGE_TEXT_MAX], then[DOCTOR_AGE_TEXT_MAX + 48] = "";

	if (f->host.own_certs_valid != DOCTOR_NO || (failures[what].rung == RUNG_AUTH && !refused))
		return false;
	if (refused)
		snprintf(then, sizeof(then), "; the peer refused us %s ago",
			 age_text(f->conn.failure.ago_ms, age));
	finding_set(out, established ? DOCTOR_WARN : DOCTOR_FAIL, DOCTOR_N_OWNCERT, DOCTOR_US,
		    DOCTOR_HIGH, "%.300s%s%s",
		    f->host.own_cert_why[0] ? f->host.own_cert_why : "one of ours is not valid now",
		    then,
		    established ? "; the tunnel works until both sides prove who they are anew"
				: "");
	finding_next(out, "%s",
		     "renew it, put the new one in its place, 'port500 reload'; is our "
		     "clock right ('timedatectl')?");
	return true;
}

void rung_auth(const struct doctor_facts *f, struct doctor_finding *out)
{
	char age[DOCTOR_AGE_TEXT_MAX];

	if (own_cert(f, out) || failed_at(f, RUNG_AUTH, out))
		return;
	if (f->conn.stage >= DOCTOR_STAGE_ESTABLISHED)
		finding_pass(out, "both sides have proved who they are, %s ago",
			     f->conn.established_ms.known ? age_text(f->conn.established_ms.n, age)
							  : "?");
	else if (failed_above(f, RUNG_AUTH))
		finding_pass(out, "both sides had proved who they are");
	else
		finding_unknown(out, "not got so far");
}

void rung_child(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_conn_facts *c = &f->conn;

	if (failed_at(f, RUNG_CHILD, out))
		return;
	if (c->stage == DOCTOR_STAGE_UP) {
		finding_pass(out, "%" PRIu64 " of %" PRIu64 " children are up", c->children_up.n,
			     c->children.n);
	} else if (c->stage == DOCTOR_STAGE_ESTABLISHED) {
		finding_set(out, c->children_up.n ? DOCTOR_WARN : DOCTOR_FAIL, DOCTOR_C_DOWN,
			    DOCTOR_US, DOCTOR_MEDIUM, "%" PRIu64 " of %" PRIu64 " children are up",
			    c->children_up.n, c->children.n);
		finding_next(out, "'port500 status' says which; 'port500 up %s' brings them up",
			     name_of(f));
	} else {
		finding_unknown(out, "no IKE SA yet");
	}
}
