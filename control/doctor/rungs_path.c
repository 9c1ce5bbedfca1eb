// The path of UDP/500 and 4500: the truth table.
//
// One side cannot tell a lost request from a lost answer. What can: an ICMP error that quotes us, a
// peer that repeats a request which we have answered, ESP that comes on while IKE does not, and
// probes: of another port, from another port, of other sizes, hop by hop.
#include <inttypes.h>
#include <stdio.h>

#include "control/doctor/rungs.h"

#define REPEATS	    2	 // of the peer's first request, before our answers count as lost
#define LOSSES	    2	 // requests that had to be repeated
#define BIG_MESSAGE 1000 // bytes

static const char *who(const struct ip_addr *a, char buf[IP_ADDR_TEXT_MAX])
{
	return a->family == IP_NONE ? "somebody" : ip_addr_format(a, buf, IP_ADDR_TEXT_MAX);
}

static void refused(const struct doctor_facts *f, struct doctor_finding *out, enum doctor_icmp what,
		    const struct ip_addr *by, unsigned port, const char *last)
{
	bool by_peer = ip_addr_equal(by, &f->route.peer);
	char text[IP_ADDR_TEXT_MAX];

	if (what == DOCTOR_ICMP_PORT) {
		finding_set(out, DOCTOR_FAIL, DOCTOR_F_NOTLISTENING, DOCTOR_PEER, DOCTOR_MEDIUM,
			    "%s says of UDP/%u: port unreachable%s", who(by, text), port, last);
		finding_next(out,
			     "tell the peer's people: nothing listens on UDP/%u there. Is the "
			     "IKE daemon running?",
			     port);
		return;
	}
	finding_set(out, DOCTOR_FAIL, DOCTOR_F_ADMIN, by_peer ? DOCTOR_PEER : DOCTOR_CARRIER,
		    DOCTOR_MEDIUM, "%s says of UDP/%u: administratively prohibited%s",
		    who(by, text), port, last);
	finding_next(out, "ask who runs %s to let UDP 500 and 4500 and ESP through", text);
}

// Row: an ICMP error quotes our messages.
static bool by_icmp(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_icmp_facts *i = &f->ike.icmp;
	const struct doctor_probe *p = &f->probe.ike_500;
	char last[DOCTOR_AGE_TEXT_MAX + 16];

	if (icmp_is_fresh(f) && (i->last == DOCTOR_ICMP_PORT || i->last == DOCTOR_ICMP_ADMIN)) {
		refused(f, out, i->last, &i->from, i->port, last_text(&i->errors, last));
		return true;
	}
	if (p->answer == DOCTOR_REFUSED &&
	    (p->icmp == DOCTOR_ICMP_PORT || p->icmp == DOCTOR_ICMP_ADMIN)) {
		refused(f, out, p->icmp, &p->by, 500, "");
		return true;
	}
	return false;
}

// Row: the peer's requests come, and it repeats them.
static bool by_repeats(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_count *c = &f->ike.peer_repeats;
	char last[DOCTOR_AGE_TEXT_MAX + 16];

	if (!c->known || c->n < REPEATS || f->guard.forged == DOCTOR_YES)
		return false;
	finding_set(out, DOCTOR_FAIL, DOCTOR_F_500OUT, DOCTOR_CARRIER, DOCTOR_HIGH,
		    "the peer sent its first request again %" PRIu64 " times in %" PRIu64
		    " s although we answered each%s",
		    c->n, c->window_ms / 1000, last_text(c, last));
	finding_next(out,
		     "give the carrier the evidence: UDP/500 from us to the peer is lost "
		     "('port500 doctor --evidence %s')",
		     name_of(f));
	return true;
}

// IKE_SA_INIT was answered on 500, IKE_AUTH is not.
static bool by_auth(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_ike_facts *i = &f->ike;
	const struct doctor_probe_facts *p = &f->probe;
	bool waits = f->conn.stage == DOCTOR_STAGE_AUTH && i->asking_tries > 1;
	bool big = i->longest >= BIG_MESSAGE, moved = i->asking_port == 4500;

	if ((!waits && !some(&i->unanswered_auth)) || ike_works(f))
		return false;
	if (moved && none(&i->rx_4500) && p->ike_4500.answer != DOCTOR_ANSWERED) {
		finding_set(out, DOCTOR_FAIL, DOCTOR_F_4500, DOCTOR_CARRIER,
			    p->ike_4500.answer == DOCTOR_SILENT ? DOCTOR_HIGH : DOCTOR_MEDIUM,
			    "IKE_SA_INIT was answered on 500; IKE_AUTH went to 4500 %" PRIu64
			    " times, %" PRIu64 " bytes, and nothing has come from there in %" PRIu64
			    " s",
			    i->asking_tries, i->longest, i->rx_4500.window_ms / 1000);
		finding_next(out, "ask the carrier to let UDP/4500 through; both are needed behind "
				  "a NAT");
		return true;
	}
	finding_set(out, DOCTOR_FAIL, big ? DOCTOR_F_BIGUDP : DOCTOR_F_500LOSS, DOCTOR_CARRIER,
		    big ? DOCTOR_MEDIUM : DOCTOR_LOW,
		    "IKE_SA_INIT was answered; IKE_AUTH, %" PRIu64 " bytes, went to UDP/%u %" PRIu64
		    " times without an answer",
		    i->longest, i->asking_port ? (unsigned)i->asking_port : 500u, i->asking_tries);
	finding_next(out, big ? "ask the carrier to let UDP fragments through, or set "
				"fragment_size = 576 here and see"
			      : "the peer's log says whether IKE_AUTH arrives there");
	return true;
}

static void hops_end(const struct doctor_hops *h, char *buf, size_t size)
{
	char text[IP_ADDR_TEXT_MAX];

	if (h->last == 0)
		snprintf(buf, size, "ends before any hop that answers");
	else
		snprintf(buf, size, "ends after hop %u (%s)", h->last, who(&h->last_addr, text));
}

// Row: 500 is silent and another port answers.
static void only_500(const struct doctor_facts *f, struct doctor_finding *out,
		     enum doctor_state state)
{
	const struct doctor_probe_facts *p = &f->probe;
	const struct doctor_hops *h5 = &p->hops_500, *h45 = &p->hops_4500;
	bool stepped = h5->probed && h45->probed && h45->last > 0;
	char end[64 + IP_ADDR_TEXT_MAX];

	hops_end(h5, end, sizeof(end));
	if (p->ike_500_other_source.answer == DOCTOR_ANSWERED) {
		finding_set(out, state, DOCTOR_F_500SPORT, DOCTOR_CARRIER, DOCTOR_HIGH,
			    "UDP/500 is silent from our port 500 and answers from another");
		finding_next(out, "ask the carrier not to filter UDP from source port 500");
	} else if (stepped && !h5->arrived && h5->last < h45->last) {
		finding_set(out, state, DOCTOR_F_500OUT, DOCTOR_CARRIER, DOCTOR_HIGH,
			    "500 silent, 4500 answers; by hops 500 %s, 4500 gets to hop %u", end,
			    h45->last);
		finding_next(out, "give the carrier this: UDP/500 %s", end);
	} else if (stepped && (h5->arrived || h5->last >= h45->last)) {
		finding_set(out, state, DOCTOR_F_500IN, DOCTOR_CARRIER, DOCTOR_MEDIUM,
			    "500 silent, 4500 answers; by hops our UDP/500 gets as far as 4500, to "
			    "hop %u: the answers are lost",
			    h5->last);
		finding_next(out,
			     "ask the peer whether it sees our requests, and the carrier about "
			     "UDP/500 towards us");
	} else {
		finding_set(out, state, under_attack(f) ? DOCTOR_F_500SCRUB : DOCTOR_F_500,
			    DOCTOR_CARRIER, DOCTOR_MEDIUM,
			    "500 silent, %s answers; %" PRIu64 " messages a second on our UDP/500",
			    p->ike_4500.answer == DOCTOR_ANSWERED ||
					    p->ike_alt.answer != DOCTOR_ANSWERED
				    ? "4500"
				    : "another port",
			    f->guard.per_second);
		finding_next(
			out,
			"give the carrier the evidence ('port500 doctor --evidence %s'); until "
			"then 'on_500_blocked = try_4500'",
			name_of(f));
	}
}

// Do messages of the peer come to 4500 just now?
static bool from_4500(const struct doctor_facts *f)
{
	return ike_works(f) ? some(&f->ike.rx_4500) : came_since_asking(f, &f->ike.rx_4500);
}

// The IKE SA was heard on 500 after the probe had ended.
static bool is_healed(const struct doctor_facts *f)
{
	return ike_works(f) && f->conn.port == 500 && f->conn.heard_ms.known &&
	       f->conn.heard_ms.n < f->probe.ago_ms;
}

// Nobody answers the probe, and the tunnel is up all the same.
static bool both_silent(const struct doctor_facts *f, struct doctor_finding *out)
{
	char heard[DOCTOR_AGE_TEXT_MAX], esp[DOCTOR_AGE_TEXT_MAX + 16];

	if (f->probe.ike_4500.answer != DOCTOR_SILENT ||
	    (f->conn.heard_ms.known && f->conn.heard_ms.n < f->probe.ago_ms))
		return false;
	finding_set(out, DOCTOR_WARN, DOCTOR_F_PEERDOWN, DOCTOR_OWNER_UNKNOWN, DOCTOR_MEDIUM,
		    "500 and 4500 are silent to the probe; of the IKE SA the last message came %s "
		    "ago, ESP%s",
		    f->conn.heard_ms.known ? age_text(f->conn.heard_ms.n, heard) : "?",
		    f->esp.in.ever ? last_text(&f->esp.in, esp) : " never");
	finding_next(out, "the tunnel goes on as long as ESP passes; ask the peer's people and the "
			  "carrier before it has to be set up again");
	return true;
}

static bool loses_big(const struct doctor_probe *small, const struct doctor_probe *large,
		      const struct doctor_probe *fragment)
{
	return small->answer == DOCTOR_ANSWERED &&
	       (large->answer == DOCTOR_SILENT || fragment->answer == DOCTOR_SILENT);
}

static void only_small(struct doctor_finding *out, enum doctor_state state, unsigned port,
		       const struct doctor_probe *large)
{
	finding_set(out, state, DOCTOR_F_BIGUDP, DOCTOR_CARRIER, DOCTOR_HIGH,
		    "UDP/%u: small requests are answered, %s are not", port,
		    large->answer == DOCTOR_SILENT ? "those of 1100 bytes" : "fragmented ones");
	finding_next(out, "ask the carrier to let UDP fragments through, or set "
			  "fragment_size = 576 here");
}

// Rows of the probe.
static bool by_probe(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_probe_facts *p = &f->probe;
	const struct doctor_probe *small = &p->ike_500;
	enum doctor_state state = ike_works(f) ? DOCTOR_WARN : DOCTOR_FAIL;
	bool other = p->ike_4500.answer == DOCTOR_ANSWERED ||
		     p->ike_alt.answer == DOCTOR_ANSWERED ||
		     p->ike_500_other_source.answer == DOCTOR_ANSWERED;

	if (small->answer == DOCTOR_SILENT && is_healed(f))
		return false;
	if (small->answer == DOCTOR_SILENT && (other || from_4500(f))) {
		only_500(f, out, state);
	} else if (small->answer == DOCTOR_SILENT && ike_works(f)) {
		return both_silent(f, out);
	} else if (small->answer == DOCTOR_SILENT && !ike_works(f)) {
		if (p->ike_4500.answer == DOCTOR_NOT_PROBED)
			return false;
		finding_set(out, DOCTOR_FAIL, DOCTOR_F_PEERDOWN, DOCTOR_OWNER_UNKNOWN,
			    DOCTOR_MEDIUM, "500 and 4500 are silent, ping %s",
			    p->echo.answer == DOCTOR_ANSWERED ? "works" : "does not work either");
		finding_next(out, "ask the peer's people: is the IKE daemon running, does a filter "
				  "there name our address?");
	} else if (loses_big(small, &p->ike_500_large, &p->ike_500_fragment)) {
		only_small(out, state, 500, &p->ike_500_large);
	} else if (loses_big(&p->ike_4500, &p->ike_4500_large, &p->ike_4500_fragment)) {
		only_small(out, state, 4500, &p->ike_4500_large);
	} else if (small->answer == DOCTOR_ANSWERED && p->ike_4500.answer == DOCTOR_SILENT) {
		finding_set(out, DOCTOR_WARN, DOCTOR_F_4500, DOCTOR_CARRIER, DOCTOR_MEDIUM,
			    "500 answers, 4500 is silent");
		finding_next(out, "ask the carrier to let UDP/4500 through: behind a NAT, IKE and "
				  "ESP need it");
	} else if (small->answer == DOCTOR_ANSWERED && small->answered < small->sent) {
		finding_set(out, DOCTOR_WARN, DOCTOR_F_500LOSS, DOCTOR_CARRIER, DOCTOR_MEDIUM,
			    "%u of %u requests to UDP/500 were answered", small->answered,
			    small->sent);
		finding_next(out, "ask the carrier whether it limits the rate of UDP/500");
	} else {
		return false;
	}
	return true;
}

// Rows without a probe that follow from what works besides.
static bool by_contrast(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_ike_facts *i = &f->ike;
	char esp[DOCTOR_AGE_TEXT_MAX], wait[DOCTOR_AGE_TEXT_MAX];
	bool esp_alive = f->esp.in.known && f->esp.in.ever && f->conn.suspect_ms >= 4000 &&
			 f->esp.in.ago_ms < f->conn.suspect_ms;
	bool heard = f->conn.heard_ms.known && f->conn.heard_ms.n < f->conn.suspect_ms;

	if (esp_alive && !heard) {
		bool natt = f->conn.port == 4500;

		finding_set(out, DOCTOR_FAIL, natt ? DOCTOR_F_PEERDOWN : DOCTOR_F_500,
			    natt ? DOCTOR_PEER : DOCTOR_CARRIER, DOCTOR_MEDIUM,
			    "ESP came %s ago, IKE on UDP/%u has not answered for %s",
			    age_text(f->esp.in.ago_ms, esp),
			    f->conn.port ? (unsigned)f->conn.port : 500u,
			    age_text(f->conn.suspect_ms, wait));
		finding_next(out, natt ? "the path carries UDP/4500: the peer's IKE daemon hangs"
				       : "the tunnel goes on; ask the carrier about UDP/500");
		return true;
	}
	if (is_unanswered(f) && i->asking_port == 500 && !came_since_asking(f, &i->rx_500) &&
	    i->rx_500.known && from_4500(f) && f->guard.forged != DOCTOR_YES) {
		only_500(f, out, DOCTOR_FAIL);
		return true;
	}
	return false;
}

// IKE works, because it goes by another port.
static bool by_detour(const struct doctor_facts *f, struct doctor_finding *out)
{
	char since[DOCTOR_AGE_TEXT_MAX];

	if (f->conn.left_500_ms == 0 || !ike_works(f))
		return false;
	finding_set(out, DOCTOR_WARN, DOCTOR_F_500, DOCTOR_CARRIER, DOCTOR_MEDIUM,
		    "%u messages to UDP/500 were not answered, UDP/%u answers: IKE has gone there "
		    "for %s",
		    f->conn.left_500_silent, (unsigned)f->conn.port,
		    age_text(f->conn.left_500_ms, since));
	finding_next(out,
		     "the tunnel works; ask the carrier about UDP/500 ('port500 doctor "
		     "--probe --evidence %s')",
		     name_of(f));
	return true;
}

// IKE works. Of the port that it does not use nothing follows from that.
static void passes(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_count *on_500 = &f->ike.rx_500;
	unsigned port = f->conn.port ? (unsigned)f->conn.port : 500u;
	char heard[DOCTOR_AGE_TEXT_MAX], last[DOCTOR_AGE_TEXT_MAX + 16];

	if (!f->conn.heard_ms.known)
		finding_pass(out, "IKE goes both ways on UDP/%u", port);
	else if (port == 500)
		finding_pass(out, "IKE goes both ways on UDP/500, last %s ago",
			     age_text(f->conn.heard_ms.n, heard));
	else if (f->probe.ike_500.answer == DOCTOR_ANSWERED)
		finding_pass(out,
			     "IKE goes both ways on UDP/%u, last %s ago; 500 answers the probe",
			     port, age_text(f->conn.heard_ms.n, heard));
	else if (some(on_500) && f->guard.forged != DOCTOR_YES)
		finding_pass(out,
			     "IKE goes both ways on UDP/%u, last %s ago; of 500 %" PRIu64
			     " came in %" PRIu64 " s%s",
			     port, age_text(f->conn.heard_ms.n, heard), on_500->n,
			     on_500->window_ms / 1000, last_text(on_500, last));
	else
		finding_pass(out,
			     "IKE goes both ways on UDP/%u, last %s ago; whether 500 passes is "
			     "not known: 'port500 doctor --probe %s' asks",
			     port, age_text(f->conn.heard_ms.n, heard), name_of(f));
}

void rung_path(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_ike_facts *i = &f->ike;
	uint64_t rx = i->rx_500.n + i->rx_4500.n;
	char last[DOCTOR_AGE_TEXT_MAX + 16];

	if (!ike_works(f) && (by_icmp(f, out) || by_repeats(f, out) || by_auth(f, out)))
		return;
	if (by_probe(f, out) || by_contrast(f, out) || by_detour(f, out))
		return;
	// A single one may be a peer that was just starting.
	if (i->late.known && i->late.n >= LOSSES) {
		finding_set(out, DOCTOR_WARN, DOCTOR_F_500LOSS, DOCTOR_CARRIER, DOCTOR_MEDIUM,
			    "%" PRIu64 " requests in %" PRIu64
			    " s were answered only after they had been repeated%s",
			    i->late.n, i->late.window_ms / 1000, last_text(&i->late, last));
		finding_next(out, "ask the carrier whether it limits the rate of UDP/500");
	} else if (ike_works(f)) {
		passes(f, out);
	} else if (rx > 0 && f->guard.forged != DOCTOR_YES &&
		   !(is_unanswered(f) && silent_since_asking(f))) {
		finding_pass(out, "messages come from the peer: %" PRIu64 " in %" PRIu64 " s", rx,
			     i->rx_500.window_ms / 1000);
	} else if (f->probe.ike_500.answer == DOCTOR_ANSWERED) {
		finding_pass(out, "UDP/500 answers the probe");
	} else {
		finding_unknown(out, "not probed: 'port500 doctor --probe %s' asks on 500 and 4500",
				name_of(f));
	}
}
