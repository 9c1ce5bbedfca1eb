// What flows: ESP, its size, the load, and what was.
#include <inttypes.h>
#include <stdio.h>

#include "control/doctor/rungs.h"

#define ESP_ENOUGH	  5    // packets out without one in
#define STOPPED_MS	  2000 // without any, before they have stopped
#define YOUNG_MS	  2000 // an IKE SA to which hosts may not have come back yet
#define RETURNS		  5    // one packet in for so many out is an answer
#define STRAY_ENOUGH	  10   // packets of unknown SPIs that are worth a word
#define REPLAY_ENOUGH	  10
#define FORGED_ENOUGH	  3
#define TOO_BIG_ENOUGH	  20
#define FRAGMENTS_ENOUGH  10
#define BUSY_PERMILLE	  950
#define NOT_BUSY_PERMILLE 500
#define LATE_MS		  2000
#define FLAPS		  3

// What was answered until now is answered no more. Traffic that went one way before (logs, say)
// does not count.
static bool has_stopped(const struct doctor_esp_facts *e)
{
	return e->since.known && e->since.n >= ESP_ENOUGH && e->in.ever &&
	       e->in.ago_ms >= STOPPED_MS && e->in_before * RETURNS >= e->out_before;
}

// The IKE SA was set up not long ago, and nothing has come since: what was before, on other SAs,
// says nothing of these.
static bool is_anew(const struct doctor_facts *f)
{
	const struct doctor_number *age = &f->conn.established_ms;
	const struct doctor_esp_facts *e = &f->esp;

	return age->known && age->n < e->out.window_ms && (!e->in.ever || e->in.ago_ms > age->n) &&
	       (age->n < YOUNG_MS || (e->since.known && e->since.n < ESP_ENOUGH));
}

// Nothing comes back.
static bool one_way(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_esp_facts *e = &f->esp;
	uint64_t s = e->out.window_ms / 1000;
	char last[DOCTOR_AGE_TEXT_MAX + 16];

	if (!e->out.known || e->out.n < ESP_ENOUGH || (!none(&e->in) && !has_stopped(e)))
		return false;
	if (some(&e->unknown_spi)) {
		finding_set(out, DOCTOR_FAIL, DOCTOR_D_STALESPI, DOCTOR_PEER, DOCTOR_MEDIUM,
			    "%" PRIu64 " ESP out and none in for our SAs, but %" PRIu64
			    " for SPIs that we do not have, in %" PRIu64 " s",
			    e->out.n, e->unknown_spi.n, s);
		finding_next(out, "the peer sends on an SA that is gone: 'port500 rekey %s'",
			     name_of(f));
	} else if (some(&e->auth_failures)) {
		finding_set(out, DOCTOR_FAIL, DOCTOR_D_FORGED, DOCTOR_OWNER_UNKNOWN, DOCTOR_MEDIUM,
			    "%" PRIu64 " ESP out; %" PRIu64
			    " came and none passed its integrity check, in %" PRIu64 " s",
			    e->out.n, e->auth_failures.n, s);
		finding_next(out,
			     "something on the way changes ESP, or the peer has other keys: "
			     "'port500 rekey %s'",
			     name_of(f));
	} else {
		finding_set(out, DOCTOR_FAIL, DOCTOR_D_ONEWAY,
			    e->in.ever ? DOCTOR_CARRIER : DOCTOR_OWNER_UNKNOWN,
			    e->in.ever ? DOCTOR_MEDIUM : DOCTOR_LOW,
			    "%" PRIu64 " ESP packets out without one in (%" PRIu64 " out, %" PRIu64
			    " in, in %" PRIu64 " s; in UDP: %s)%s",
			    e->since.known ? e->since.n : e->out.n, e->out.n, e->in.n, s,
			    f->conn.encap == DOCTOR_YES	 ? "yes"
			    : f->conn.encap == DOCTOR_NO ? "no"
							 : "?",
			    last_text(&e->in, last));
		finding_next(out,
			     f->conn.encap == DOCTOR_YES
				     ? "does the peer's counter of received ESP rise? If so, its "
				       "answers are lost, or its hosts do not answer"
				     : "does the peer's counter of received ESP rise? If not, IP "
				       "protocol 50 is filtered: try 'encap = yes'");
	}
	return true;
}

// It flows, and something besides is odd.
static bool odd(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_esp_facts *e = &f->esp;
	uint64_t s = e->in.window_ms / 1000;
	char last[DOCTOR_AGE_TEXT_MAX + 16];

	if (e->auth_failures.known && e->auth_failures.n >= FORGED_ENOUGH) {
		finding_set(out, DOCTOR_WARN, DOCTOR_D_FORGED, DOCTOR_OWNER_UNKNOWN, DOCTOR_MEDIUM,
			    "%" PRIu64 " of %" PRIu64
			    " ESP packets failed their integrity check in "
			    "%" PRIu64 " s%s",
			    e->auth_failures.n, e->auth_failures.n + e->in.n, s,
			    last_text(&e->auth_failures, last));
		finding_next(out,
			     "damaged on the way, or forged: they were dropped, nothing got in");
	} else if (e->replays.known && e->replays.n >= REPLAY_ENOUGH) {
		finding_set(out, DOCTOR_WARN, DOCTOR_D_REPLAY, DOCTOR_CARRIER, DOCTOR_MEDIUM,
			    "%" PRIu64 " ESP packets came twice or too late, %" PRIu64
			    " in time, in %" PRIu64 " s%s",
			    e->replays.n, e->in.n, s, last_text(&e->replays, last));
		finding_next(out, "somebody replays, or the path reorders widely: then a larger "
				  "replay_window helps");
	} else if (some(&e->moved)) {
		finding_set(out, DOCTOR_WARN, DOCTOR_D_REBIND, DOCTOR_CARRIER, DOCTOR_HIGH,
			    "the peer moved to another address or port %" PRIu64 " %s in %" PRIu64
			    " s%s; we followed",
			    e->moved.n, times(e->moved.n), e->moved.window_ms / 1000,
			    last_text(&e->moved, last));
		finding_next(out, "a NAT on the way forgets too soon: a shorter keep_alive at the "
				  "side behind it");
	} else if (e->unknown_spi.known && e->unknown_spi.n >= STRAY_ENOUGH) {
		finding_set(out, DOCTOR_WARN, DOCTOR_D_STALESPI, DOCTOR_PEER, DOCTOR_LOW,
			    "%" PRIu64 " ESP packets for SPIs that we do not have, of whichever "
			    "peer, in %" PRIu64 " s%s",
			    e->unknown_spi.n, e->unknown_spi.window_ms / 1000,
			    last_text(&e->unknown_spi, last));
		finding_next(out, "'port500 capture -w FILE --drops' shows whose");
	} else {
		return false;
	}
	return true;
}

// Decrypted, and nothing that was agreed on.
static const char *misfits(const struct doctor_esp_facts *e, char *buf, size_t size)
{
	buf[0] = '\0';
	if (some(&e->selector_drops))
		snprintf(buf, size, "; %" PRIu64 " of all tunnels did not fit their selectors",
			 e->selector_drops.n);
	return buf;
}

void rung_esp(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_esp_facts *e = &f->esp;
	char age[DOCTOR_AGE_TEXT_MAX], odd_ones[96];

	if (!child_is_up(f)) {
		finding_unknown(out, "no child is up");
		return;
	}
	if ((!is_anew(f) && one_way(f, out)) || odd(f, out))
		return;
	if (is_anew(f) && e->since.known)
		finding_unknown(out,
				"the IKE SA is %s old: %" PRIu64
				" ESP packets out since, none in yet: too early to tell",
				age_text(f->conn.established_ms.n, age), e->since.n);
	else if (some(&e->in))
		finding_pass(out, "%" PRIu64 " in, %" PRIu64 " out in %" PRIu64 " s%s", e->in.n,
			     e->out.n, e->in.window_ms / 1000,
			     misfits(e, odd_ones, sizeof(odd_ones)));
	else
		finding_unknown(
			out, "%" PRIu64 " in, %" PRIu64 " out in %" PRIu64 " s: too little to tell",
			e->in.n, e->out.n, e->in.window_ms / 1000);
}

void rung_mtu(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_mtu_facts *m = &f->mtu;
	const struct doctor_probe_facts *p = &f->probe;
	uint64_t s = m->too_big.window_ms / 1000;

	if (p->echo.answer == DOCTOR_ANSWERED && p->echo_large.answer == DOCTOR_SILENT) {
		finding_set(out, DOCTOR_WARN, DOCTOR_M_BLACKHOLE, DOCTOR_CARRIER, DOCTOR_MEDIUM,
			    "echoes of %u bytes with DF are silent, %u get through, and no router "
			    "says so",
			    p->echo_large_len, p->echo_fits);
		finding_next(out,
			     "ask the carrier to let ICMP 'fragmentation needed' through; until "
			     "then a smaller mtu of the port");
	} else if (m->too_big.known && m->too_big.n >= TOO_BIG_ENOUGH) {
		finding_set(out, DOCTOR_WARN, DOCTOR_M_TOOBIG, DOCTOR_US, DOCTOR_LOW,
			    "%" PRIu64 " packets were too big in %" PRIu64 " s, of all tunnels; "
			    "%" PRIu64 " bytes fit this one",
			    m->too_big.n, s, m->inner.n);
		finding_next(out, "do the senders hear our ICMP? gateway.clamp_mss helps TCP");
	} else if (m->fragments_lost.known && m->fragments_lost.n >= FRAGMENTS_ENOUGH) {
		finding_set(out, DOCTOR_WARN, DOCTOR_M_FRAGLOSS, DOCTOR_CARRIER, DOCTOR_LOW,
			    "%" PRIu64 " fragments to us did not get whole in %" PRIu64
			    " s, of all peers",
			    m->fragments_lost.n, m->fragments_lost.window_ms / 1000);
		finding_next(out, "let the peer send smaller packets: its MTU towards us");
	} else if (p->echo_large.answer == DOCTOR_ANSWERED) {
		finding_pass(out,
			     "echoes of %u bytes with DF come back; %" PRIu64
			     " bytes fit the tunnel",
			     p->echo_large_len, m->inner.n);
	} else if (m->inner.known && m->inner.n) {
		finding_pass(out, "%" PRIu64 " bytes fit the tunnel%s", m->inner.n,
			     m->path.known && m->port.known && m->path.n < m->port.n
				     ? ": a router has said that the path is narrower"
				     : ", as far as any router has said");
	} else {
		finding_unknown(out, "no child is up");
	}
}

void rung_load(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_load_facts *l = &f->load;
	uint64_t busy = l->busiest_permille.n / 10, mean = l->mean_permille.n / 10;

	if (some(&l->lost)) {
		finding_set(out, DOCTOR_WARN, DOCTOR_L_LOST, DOCTOR_US, DOCTOR_HIGH,
			    "%" PRIu64 " packets lost in %" PRIu64 " s; worker %u busy %" PRIu64
			    " %%, all %" PRIu64 " %%",
			    l->lost.n, l->lost.window_ms / 1000, l->busiest, busy, mean);
		finding_next(out, "'port500 show drops' says where; more workers, or memory_mb");
	} else if (l->mean_permille.known && l->mean_permille.n >= BUSY_PERMILLE) {
		finding_set(out, DOCTOR_WARN, DOCTOR_L_FULL, DOCTOR_US, DOCTOR_HIGH,
			    "the workers are busy %" PRIu64 " %%", mean);
		finding_next(out, "more workers, or less traffic");
	} else if (l->busiest_permille.known && l->busiest_permille.n >= BUSY_PERMILLE &&
		   l->mean_permille.n <= NOT_BUSY_PERMILLE) {
		finding_set(out, DOCTOR_WARN, DOCTOR_L_ONECORE, DOCTOR_US, DOCTOR_HIGH,
			    "worker %u is busy %" PRIu64 " %%, all %" PRIu64 " %%", l->busiest,
			    busy, mean);
		finding_next(out,
			     "one SA stays on one worker: spread the traffic over more children");
	} else if (l->control_late_ms.known && l->control_late_ms.n >= LATE_MS) {
		finding_set(out, DOCTOR_WARN, DOCTOR_L_CTRLLATE, DOCTOR_US, DOCTOR_MEDIUM,
			    "control was %" PRIu64 " ms late", l->control_late_ms.n);
		finding_next(out, "give it a CPU of its own: not one of the workers'");
	} else if (l->mean_permille.known) {
		finding_pass(out,
			     "workers busy %" PRIu64 " %%, the busiest %" PRIu64
			     " %%; nothing lost",
			     mean, busy);
	} else {
		finding_unknown(out, "not measured yet");
	}
}

void rung_history(const struct doctor_facts *f, struct doctor_finding *out)
{
	const struct doctor_history_facts *h = &f->history;
	uint64_t min = h->lost.window_ms / 60000;
	char last[DOCTOR_AGE_TEXT_MAX + 16];

	if (h->lost.known && h->lost.n >= FLAPS) {
		finding_set(out, DOCTOR_WARN, DOCTOR_H_FLAP, DOCTOR_OWNER_UNKNOWN, DOCTOR_MEDIUM,
			    "lost %" PRIu64 " times in %" PRIu64 " min, %" PRIu64
			    " of them because no liveness check was answered%s",
			    h->lost.n, min, h->dead_peer.n, last_text(&h->lost, last));
		finding_next(out, "compare the times with the log, and with the carrier's");
	} else if (some(&h->restarts)) {
		finding_set(out, DOCTOR_WARN, DOCTOR_H_RESTART, DOCTOR_PEER, DOCTOR_MEDIUM,
			    "the peer came back without its old IKE SA %" PRIu64 " %s in %" PRIu64
			    " min%s",
			    h->restarts.n, times(h->restarts.n), h->restarts.window_ms / 60000,
			    last_text(&h->restarts, last));
		finding_next(out, "ask the peer's people why it started anew");
	} else if (some(&h->rekeys_failed)) {
		finding_set(out, DOCTOR_WARN, DOCTOR_H_REKEYLOSS, DOCTOR_OWNER_UNKNOWN,
			    DOCTOR_MEDIUM, "%" PRIu64 " rekeyings failed in %" PRIu64 " min%s",
			    h->rekeys_failed.n, h->rekeys_failed.window_ms / 60000,
			    last_text(&h->rekeys_failed, last));
		finding_next(out, "the log says why: 'journalctl -u port500d'");
	} else if (h->lost.known) {
		finding_pass(out,
			     "established %" PRIu64 " %s, lost %" PRIu64 " %s, in %" PRIu64
			     " min%s",
			     h->established.n, times(h->established.n), h->lost.n, times(h->lost.n),
			     min, last_text(&h->established, last));
	} else {
		finding_unknown(out, "not recorded");
	}
}
