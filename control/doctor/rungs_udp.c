// IKE messages at our own end: those that leave, those that arrive, and who else sends some.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "control/doctor/rungs.h"

#define ENOUGH		2   // messages: fewer may be on their way just now
#define SCAN_NOISE	100 // messages of scanners within the window that are nothing special
#define SUSPECT_MS	4000
#define WORST_OF	50 // who sends less than one in so many is not worth a name
#define ESP_IS_ALIVE_MS 10000

void rung_udp_out(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_ike_facts *i = &f->ike;
	uint64_t sent = i->tx_500.n + i->tx_4500.n, last = UINT64_MAX;
	char ago[DOCTOR_AGE_TEXT_MAX], last_refused[DOCTOR_AGE_TEXT_MAX + 16];

	if (i->tx_500.ever)
		last = i->tx_500.ago_ms;
	if (i->tx_4500.ever && i->tx_4500.ago_ms < last)
		last = i->tx_4500.ago_ms;
	if (some(&i->tx_refused) && i->tx_refused.ago_ms < last) {
		bool filter = i->tx_errno == EPERM;

		finding_set(out, DOCTOR_FAIL, filter ? DOCTOR_I_LOCALFILTER : DOCTOR_I_TXDROP,
			    DOCTOR_US, filter ? DOCTOR_HIGH : DOCTOR_MEDIUM,
			    "Linux refused %" PRIu64 " of our messages in %" PRIu64 " s%s: %s",
			    i->tx_refused.n, i->tx_refused.window_ms / 1000,
			    last_text(&i->tx_refused, last_refused), strerror(i->tx_errno));
		finding_next(out,
			     filter ? "'nft list ruleset', 'iptables -S OUTPUT': let UDP 500 and "
				      "4500 out"
				    : "'ip route get PEER', 'port500 show drops'");
	} else if (sent > 0) {
		finding_pass(out,
			     "%" PRIu64 " to UDP/500, %" PRIu64 " to 4500 in %" PRIu64
			     " s, last %s ago",
			     i->tx_500.n, i->tx_4500.n, i->tx_500.window_ms / 1000,
			     age_text(last == UINT64_MAX ? 0 : last, ago));
	} else if (ike_works(f)) {
		finding_pass(out, "nothing had to be sent");
	} else if (i->tx_500.known) {
		finding_set(out, DOCTOR_CANNOT_TELL, DOCTOR_I_NOTTRIED, DOCTOR_US, DOCTOR_HIGH,
			    "nothing was sent in %" PRIu64 " s; %s", i->tx_500.window_ms / 1000,
			    f->conn.initiates == DOCTOR_YES ? "the next attempt is planned"
							    : "by its configuration it waits for "
							      "traffic, or for the peer");
		finding_next(out, "'port500 up %s' tries now", name_of(f));
	} else {
		finding_unknown(out, "not counted");
	}
}

// The established IKE SA does not answer.
static bool went_silent(const struct doctor_facts *f, struct doctor_finding *out)
{
	char wait[DOCTOR_AGE_TEXT_MAX], heard[DOCTOR_AGE_TEXT_MAX];
	bool alive = f->esp.in.known && f->esp.in.ever && f->esp.in.ago_ms < ESP_IS_ALIVE_MS;

	if (f->conn.suspect_ms < SUSPECT_MS ||
	    (f->conn.heard_ms.known && f->conn.heard_ms.n < f->conn.suspect_ms))
		return false;
	finding_set(out, DOCTOR_FAIL, DOCTOR_I_NOANSWER, DOCTOR_OWNER_UNKNOWN, DOCTOR_MEDIUM,
		    "a request waits for %s; the IKE SA was last heard %s ago; ESP %s",
		    age_text(f->conn.suspect_ms, wait),
		    f->conn.heard_ms.known ? age_text(f->conn.heard_ms.n, heard) : "?",
		    alive ? "came less than 10 s ago" : "does not come either");
	finding_next(out, "'port500 doctor --probe %s' asks the peer on 500 and 4500", name_of(f));
	return true;
}

// Messages are lost between the guard and our socket.
static bool lost_inside(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_guard_facts *g = &f->guard;
	bool ring = some(&g->punt_full);
	// Of a request that is repeated one answer is enough: the next one is late already.
	uint64_t enough = f->ike.asking_tries > 1 ? 1 : ENOUGH;

	if (ike_works(f) || !g->passed.known || g->passed.n < enough || !none(&f->ike.rx_500) ||
	    !none(&f->ike.rx_4500))
		return false;
	finding_set(out, DOCTOR_FAIL, ring ? DOCTOR_I_RINGFULL : DOCTOR_I_LOCALFILTER_IN, DOCTOR_US,
		    DOCTOR_HIGH,
		    "%" PRIu64 " messages of the peer passed the guard in %" PRIu64
		    " s, none reached our socket; %" PRIu64 " were lost on the way to Linux",
		    g->passed.n, g->passed.window_ms / 1000, g->punt_full.n);
	finding_next(out,
		     ring ? "'port500 show drops', 'port500 show guard': who fills the ring?"
			  : "'nft list ruleset', 'iptables -S INPUT': let UDP 500 and 4500 in; "
			    "rp_filter");
	return true;
}

void rung_udp_in(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_ike_facts *i = &f->ike;
	char last[DOCTOR_AGE_TEXT_MAX + 16], wait[DOCTOR_AGE_TEXT_MAX];

	if (lost_inside(f, out) || went_silent(f, out))
		return;
	if (is_unanswered(f) && !ike_works(f) && silent_since_asking(f)) {
		finding_set(
			out, DOCTOR_FAIL, DOCTOR_I_SILENT, DOCTOR_OWNER_UNKNOWN, DOCTOR_HIGH,
			"%" PRIu64 " messages out in %" PRIu64
			" s, %s in since we asked; asked for %s "
			"on UDP/%u; whether requests or answers are lost cannot be seen from here",
			i->tx_500.n + i->tx_4500.n, i->tx_500.window_ms / 1000,
			f->guard.forged == DOCTOR_YES ? "only forged ones" : "none",
			age_text(i->asking_ms, wait),
			i->asking_port ? (unsigned)i->asking_port : 500u);
		finding_next(out,
			     "'port500 doctor --probe %s'; ask the peer's people whether our "
			     "messages arrive there",
			     name_of(f));
	} else if (some(&i->rx_500) || some(&i->rx_4500)) {
		const struct doctor_count *c =
			!i->rx_4500.ever || (i->rx_500.ever && i->rx_500.ago_ms < i->rx_4500.ago_ms)
				? &i->rx_500
				: &i->rx_4500;

		finding_pass(out, "%" PRIu64 " on UDP/500, %" PRIu64 " on 4500 in %" PRIu64 " s%s",
			     i->rx_500.n, i->rx_4500.n, i->rx_500.window_ms / 1000,
			     last_text(c, last));
	} else if (some(&f->guard.came)) {
		finding_pass(out, "%" PRIu64 " arrived%s; what became of them: the guard's rung",
			     f->guard.came.n, last_text(&f->guard.came, last));
	} else if (ike_works(f)) {
		finding_pass(out, "nothing was due");
	} else if (i->rx_500.known) {
		finding_set(out, DOCTOR_CANNOT_TELL, DOCTOR_I_NOTTRIED, DOCTOR_OWNER_UNKNOWN,
			    DOCTOR_LOW, "nothing came, and nothing was asked, in %" PRIu64 " s",
			    i->rx_500.window_ms / 1000);
	} else {
		finding_unknown(out, "not counted");
	}
}

static const char *worst_text(const struct doctor_guard_facts *g, char *buf, size_t size)
{
	char addr[IP_ADDR_TEXT_MAX];

	if (g->worst.family == IP_NONE || g->worst_n * WORST_OF < g->all.n)
		snprintf(buf, size, "no single source");
	else
		snprintf(buf, size, "most from %s (%" PRIu64 ")",
			 ip_addr_format(&g->worst, addr, sizeof(addr)), g->worst_n);
	return buf;
}

// What hits the peer's own messages.
static bool peer_is_hit(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_guard_facts *g = &f->guard;
	bool down = !ike_works(f) && is_unanswered(f);

	if (g->forged == DOCTOR_YES) {
		finding_set(out, DOCTOR_WARN, DOCTOR_A_SPOOFPEER, DOCTOR_OWNER_UNKNOWN,
			    DOCTOR_MEDIUM,
			    "%" PRIu64 " messages bear the peer's address, %" PRIu64
			    " passed, in %" PRIu64 " s: %s",
			    g->came.n, g->passed.n, g->came.window_ms / 1000, g->forged_why);
		finding_next(out, "nothing here: the peer shows a cookie, the forger cannot. The "
				  "carrier can filter forged sources (BCP 38)");
		return true;
	}
	if (!some(&g->limited))
		return false;
	finding_set(out, down && g->limited.n >= g->passed.n ? DOCTOR_FAIL : DOCTOR_WARN,
		    DOCTOR_A_SELFHARM, DOCTOR_US, DOCTOR_HIGH,
		    "our own limits dropped %" PRIu64 " of the peer's %" PRIu64
		    " messages in %" PRIu64 " s",
		    g->limited.n, g->came.n, g->came.window_ms / 1000);
	finding_next(out,
		     "raise peer_rate in gateway.guard, or find out why the peer sends so much: "
		     "'port500 show guard'");
	return true;
}

void rung_guard(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_guard_facts *g = &f->guard;
	char worst[IP_ADDR_TEXT_MAX + 48];

	if (peer_is_hit(f, out))
		return;
	worst_text(g, worst, sizeof(worst));
	if (under_attack(f)) {
		finding_set(out, DOCTOR_WARN, DOCTOR_A_FLOOD, DOCTOR_OWNER_UNKNOWN, DOCTOR_HIGH,
			    "%" PRIu64 " messages in %" PRIu64 " s, up to %" PRIu64
			    " in one: %" PRIu64 " asked for a cookie, %" PRIu64 " dropped; %s",
			    g->all.n, g->all.window_ms / 1000, g->per_second_max, g->all_cookies.n,
			    g->all_limited.n, worst);
		finding_next(out, "tunnels are not touched by it; 'port500 show guard' names the "
				  "sources for the carrier");
	} else if (g->backscatterers.known && g->backscatterers.n > 0) {
		finding_set(out, DOCTOR_WARN, DOCTOR_A_REFLECT, DOCTOR_OWNER_UNKNOWN, DOCTOR_MEDIUM,
			    "%" PRIu64 " answers that we have not asked for, from %" PRIu64
			    " sources",
			    g->backscatter, g->backscatterers.n);
		finding_next(out, "somebody sends IKE in our name: tell the carrier; nothing to do "
				  "here");
	} else if (g->scanners.known && g->scanners.n > 0 && g->scanned >= SCAN_NOISE) {
		finding_set(out, DOCTOR_WARN, DOCTOR_A_SCAN, DOCTOR_OWNER_UNKNOWN, DOCTOR_MEDIUM,
			    "%" PRIu64 " messages of %" PRIu64 " scanners; %s", g->scanned,
			    g->scanners.n, worst);
		finding_next(out, "'port500 show guard' names them; the guard holds them back");
	} else if (g->scanners.known && g->scanners.n > 0) {
		finding_pass(out, "%" PRIu64 " messages of %" PRIu64 " scanners: as everywhere",
			     g->scanned, g->scanners.n);
		out->code = DOCTOR_A_SCAN;
	} else if (g->on == DOCTOR_NO) {
		finding_unknown(out, "the guard is off (gateway.guard.enable): nothing is counted, "
				     "and nothing is held back");
	} else if (g->all.known) {
		finding_pass(out, "%" PRIu64 " messages in %" PRIu64 " s, %" PRIu64 " dropped",
			     g->all.n, g->all.window_ms / 1000, g->all_limited.n);
	} else {
		finding_unknown(out, "not counted");
	}
}
