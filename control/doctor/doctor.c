#include "control/doctor/doctor.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/doctor/rungs.h"

#define FLOOD_PER_SECOND 1000 // messages: no crowd of peers sends as many
#define REPEATED	 3    // times sent: the answer to the first would be here
#define LOOKS_MS	 3000 // so much later a count may be noticed

// ---- words ----

void finding_set(struct doctor_finding *out, enum doctor_state state, enum doctor_code code,
		 enum doctor_owner owner, enum doctor_confidence confidence, const char *evidence,
		 ...)
{
	va_list ap;

	out->state = state;
	out->code = code;
	out->owner = owner;
	out->confidence = confidence;
	out->next[0] = '\0';
	va_start(ap, evidence);
	vsnprintf(out->evidence, sizeof(out->evidence), evidence, ap);
	va_end(ap);
}

void finding_next(struct doctor_finding *out, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out->next, sizeof(out->next), fmt, ap);
	va_end(ap);
}

void finding_pass(struct doctor_finding *out, const char *evidence, ...)
{
	va_list ap;

	*out = (struct doctor_finding){
		.state = DOCTOR_PASS, .code = DOCTOR_OK, .confidence = DOCTOR_HIGH};
	va_start(ap, evidence);
	vsnprintf(out->evidence, sizeof(out->evidence), evidence, ap);
	va_end(ap);
}

void finding_unknown(struct doctor_finding *out, const char *evidence, ...)
{
	va_list ap;

	*out = (struct doctor_finding){
		.state = DOCTOR_CANNOT_TELL, .code = DOCTOR_NO_DATA, .owner = DOCTOR_OWNER_UNKNOWN};
	va_start(ap, evidence);
	vsnprintf(out->evidence, sizeof(out->evidence), evidence, ap);
	va_end(ap);
}

const char *age_text(uint64_t ms, char buf[DOCTOR_AGE_TEXT_MAX])
{
	if (ms < 10000)
		snprintf(buf, DOCTOR_AGE_TEXT_MAX, "%" PRIu64 ".%" PRIu64 " s", ms / 1000,
			 ms % 1000 / 100);
	else if (ms < 120000)
		snprintf(buf, DOCTOR_AGE_TEXT_MAX, "%" PRIu64 " s", ms / 1000);
	else if (ms < 7200000)
		snprintf(buf, DOCTOR_AGE_TEXT_MAX, "%" PRIu64 " min", ms / 60000);
	else if (ms < 172800000)
		snprintf(buf, DOCTOR_AGE_TEXT_MAX, "%" PRIu64 " h", ms / 3600000);
	else
		snprintf(buf, DOCTOR_AGE_TEXT_MAX, "%" PRIu64 " days", ms / 86400000);
	return buf;
}

const char *last_text(const struct doctor_count *c, char buf[DOCTOR_AGE_TEXT_MAX + 16])
{
	char age[DOCTOR_AGE_TEXT_MAX];

	buf[0] = '\0';
	if (c->known && c->ever)
		snprintf(buf, DOCTOR_AGE_TEXT_MAX + 16, ", last %s ago", age_text(c->ago_ms, age));
	return buf;
}

// ---- what several rungs ask ----

bool ike_works(const struct doctor_facts *f)
{
	return (f->conn.stage == DOCTOR_STAGE_UP || f->conn.stage == DOCTOR_STAGE_ESTABLISHED) &&
	       f->conn.suspect_ms == 0;
}

bool child_is_up(const struct doctor_facts *f)
{
	return f->conn.stage == DOCTOR_STAGE_UP ||
	       (f->conn.children_up.known && f->conn.children_up.n > 0);
}

static bool heard_by(const struct doctor_count *c, uint64_t *ago_ms)
{
	if (c->known && c->ever && c->ago_ms < *ago_ms)
		*ago_ms = c->ago_ms;
	return some(c);
}

bool peer_heard(const struct doctor_facts *f, uint64_t *ago_ms)
{
	bool heard = false;

	*ago_ms = UINT64_MAX;
	if (f->conn.heard_ms.known) { // under the keys of an IKE SA
		*ago_ms = f->conn.heard_ms.n;
		heard = ike_works(f);
	}
	heard |= heard_by(&f->esp.in, ago_ms);
	if (f->guard.forged == DOCTOR_YES)
		return heard;
	heard |= heard_by(&f->ike.rx_500, ago_ms);
	heard |= heard_by(&f->ike.rx_4500, ago_ms);
	heard |= heard_by(&f->guard.came, ago_ms);
	return heard;
}

bool icmp_is_fresh(const struct doctor_facts *f)
{
	uint64_t heard_ms;

	peer_heard(f, &heard_ms);
	return some(&f->ike.icmp.errors) && f->ike.icmp.errors.ago_ms < heard_ms;
}

bool under_attack(const struct doctor_facts *f)
{
	const struct doctor_guard_facts *g = &f->guard;

	return (g->flooders.known && g->flooders.n > 0) || g->per_second >= FLOOD_PER_SECOND ||
	       (g->all_limited.known && g->all_limited.n >= FLOOD_PER_SECOND) ||
	       (g->all_cookies.known && g->all_cookies.n >= FLOOD_PER_SECOND);
}

// When did the request go out that waits, or the last one end that was given up? 0: there is none.
static uint64_t asked_ago_ms(const struct doctor_facts *f)
{
	if (f->ike.asking_tries)
		return f->ike.asking_ms;
	return some(&f->ike.unanswered) ? f->ike.unanswered.ago_ms : 0;
}

bool came_since_asking(const struct doctor_facts *f, const struct doctor_count *c)
{
	return some(c) && c->ago_ms < asked_ago_ms(f);
}

bool silent_since_asking(const struct doctor_facts *f)
{
	uint64_t heard_ms;

	if (!peer_heard(f, &heard_ms))
		return true;
	// What answers IKE_SA_INIT came before IKE_AUTH went out.
	return f->conn.stage < DOCTOR_STAGE_AUTH && f->ike.asking_tries >= REPEATED &&
	       f->ike.asking_ms < heard_ms + LOOKS_MS;
}

bool is_unanswered(const struct doctor_facts *f)
{
	uint64_t heard_ms;

	peer_heard(f, &heard_ms);
	if ((f->ike.asking_tries >= REPEATED && !ike_works(f)) ||
	    (f->ike.asking_tries && f->ike.asking_ms < heard_ms))
		return true;
	return some(&f->ike.unanswered) && f->ike.unanswered.ago_ms < heard_ms;
}

// ---- the climb ----

static void (*const rungs[RUNG_COUNT])(const struct doctor_facts *, struct doctor_finding *) = {
	[RUNG_HOST] = rung_host,       [RUNG_PORT] = rung_port,	  [RUNG_ROUTE] = rung_route,
	[RUNG_NEIGH] = rung_neigh,     [RUNG_REACH] = rung_reach, [RUNG_UDP_OUT] = rung_udp_out,
	[RUNG_UDP_IN] = rung_udp_in,   [RUNG_GUARD] = rung_guard, [RUNG_PATH] = rung_path,
	[RUNG_INIT] = rung_init,       [RUNG_AUTH] = rung_auth,	  [RUNG_CHILD] = rung_child,
	[RUNG_ESP] = rung_esp,	       [RUNG_MTU] = rung_mtu,	  [RUNG_LOAD] = rung_load,
	[RUNG_HISTORY] = rung_history,
};

// That nothing comes is a symptom. Where a higher rung knows its cause, that one is to be the
// verdict.
static void yield_to_causes(struct doctor_report *r)
{
	struct doctor_finding *reach = &r->finding[RUNG_REACH], *in = &r->finding[RUNG_UDP_IN];
	bool cause = r->finding[RUNG_PATH].state == DOCTOR_FAIL &&
		     r->finding[RUNG_PATH].code != DOCTOR_F_PEERDOWN;

	if (cause || r->finding[RUNG_GUARD].state == DOCTOR_FAIL) {
		if (reach->code == DOCTOR_U_SILENT && reach->state == DOCTOR_FAIL)
			reach->state = DOCTOR_WARN;
	}
	if ((in->code == DOCTOR_I_SILENT || in->code == DOCTOR_I_NOANSWER) &&
	    (r->finding[RUNG_PATH].state == DOCTOR_FAIL ||
	     r->finding[RUNG_GUARD].state == DOCTOR_FAIL))
		in->state = DOCTOR_WARN;
}

static void not_reached(struct doctor_finding *out, enum doctor_rung failed)
{
	*out = (struct doctor_finding){.state = DOCTOR_NOT_REACHED, .code = DOCTOR_NO_DATA};
	snprintf(out->evidence, sizeof(out->evidence), "%s comes first", doctor_rung_title(failed));
}

// These tell something whatever is wrong below them.
static bool stands_alone(enum doctor_rung rung)
{
	return rung == RUNG_GUARD || rung == RUNG_LOAD || rung == RUNG_HISTORY;
}

static enum doctor_rung lowest(const struct doctor_report *r, enum doctor_state state)
{
	unsigned i = 0;

	while (i < RUNG_COUNT && r->finding[i].state != state)
		i++;
	return (enum doctor_rung)i;
}

// Of the rungs that cannot tell, the lowest one that says more than that.
static enum doctor_rung lowest_hint(const struct doctor_report *r)
{
	unsigned i = 0;

	while (i < RUNG_COUNT &&
	       (r->finding[i].state != DOCTOR_CANNOT_TELL || r->finding[i].code == DOCTOR_NO_DATA))
		i++;
	return (enum doctor_rung)i;
}

// Decides which rung is the verdict, and how bad it is.
static void decide(const struct doctor_facts *f, struct doctor_report *r)
{
	enum doctor_rung fail = lowest(r, DOCTOR_FAIL), warn = lowest(r, DOCTOR_WARN);
	bool carries = child_is_up(f) && r->finding[RUNG_ESP].state != DOCTOR_FAIL;

	if (fail < RUNG_COUNT) {
		r->rung = fail;
		r->status = carries ? DOCTOR_DEGRADED : DOCTOR_DOWN;
		for (unsigned i = fail + 1; i < RUNG_COUNT; i++) {
			struct doctor_finding *x = &r->finding[i];

			if (!stands_alone((enum doctor_rung)i))
				not_reached(x, fail);
			else if (x->state == DOCTOR_FAIL)
				x->state = DOCTOR_WARN;
		}
	} else if (carries) {
		r->rung = warn;
		r->status = warn < RUNG_COUNT ? DOCTOR_DEGRADED : DOCTOR_HEALTHY;
	} else {
		r->rung = lowest_hint(r);
		if (r->rung == RUNG_COUNT)
			r->rung = warn;
		r->status = DOCTOR_COULD_NOT_TELL;
	}
}

// ---- the verdict ----

static void add_candidate(struct doctor_report *r, enum doctor_code code, enum doctor_owner owner)
{
	if (r->n_candidates < DOCTOR_CANDIDATES_MAX)
		r->candidate[r->n_candidates++] = (struct doctor_candidate){code, owner};
}

// What it may be besides, where the evidence of one side leaves that open.
static void list_candidates(const struct doctor_facts *f, struct doctor_report *r)
{
	bool probed = f->probe.ike_500.answer != DOCTOR_NOT_PROBED;

	switch (r->code) {
	case DOCTOR_U_SILENT:
	case DOCTOR_F_PEERDOWN:
		add_candidate(r, DOCTOR_F_PEERDOWN, DOCTOR_PEER);
		add_candidate(r, DOCTOR_U_UNREACH, DOCTOR_CARRIER);
		break;
	case DOCTOR_I_SILENT:
	case DOCTOR_I_NOANSWER:
		add_candidate(r, DOCTOR_F_PEERDOWN, DOCTOR_PEER);
		if (under_attack(f))
			add_candidate(r, DOCTOR_F_500SCRUB, DOCTOR_CARRIER);
		add_candidate(r, f->ike.asking_port == 4500 ? DOCTOR_F_4500 : DOCTOR_F_500,
			      DOCTOR_CARRIER);
		if (!probed && f->ike.asking_port != 4500)
			add_candidate(r, DOCTOR_F_500SPORT, DOCTOR_CARRIER);
		if (some(&f->port.tx) && none(&f->port.rx))
			add_candidate(r, DOCTOR_P_NORX, DOCTOR_US);
		break;
	case DOCTOR_R_NOARP:
		add_candidate(r, DOCTOR_R_NOARP, r->owner);
		add_candidate(r, some(&f->port.vlan_drops) ? DOCTOR_P_VLAN : DOCTOR_P_NORX,
			      DOCTOR_US);
		break;
	case DOCTOR_F_500:
	case DOCTOR_F_500SCRUB:
		add_candidate(r, DOCTOR_F_500OUT, DOCTOR_CARRIER);
		add_candidate(r, DOCTOR_F_500IN, DOCTOR_CARRIER);
		add_candidate(r, DOCTOR_F_PEERDOWN, DOCTOR_PEER);
		break;
	case DOCTOR_F_4500:
		if (f->probe.ike_4500.answer == DOCTOR_NOT_PROBED) {
			add_candidate(r, DOCTOR_F_4500, DOCTOR_CARRIER);
			add_candidate(r, DOCTOR_F_BIGUDP, DOCTOR_CARRIER);
		}
		break;
	case DOCTOR_F_BIGUDP:
		if (f->probe.ike_500.answer == DOCTOR_NOT_PROBED) {
			add_candidate(r, DOCTOR_F_BIGUDP, DOCTOR_CARRIER);
			add_candidate(r, DOCTOR_F_500LOSS, DOCTOR_CARRIER);
			add_candidate(r, DOCTOR_N_PEERSAIDNO, DOCTOR_PEER);
		}
		break;
	case DOCTOR_N_PROPOSAL:
		if (f->conn.failure.by_peer) { // strongSwan says the same without any for IKEv2
			add_candidate(r, DOCTOR_N_PROPOSAL, DOCTOR_BOTH);
			add_candidate(r, DOCTOR_N_VERSION, DOCTOR_PEER);
		}
		break;
	case DOCTOR_N_NOAUTH:
		add_candidate(r, DOCTOR_F_4500, DOCTOR_CARRIER);
		add_candidate(r, DOCTOR_F_BIGUDP, DOCTOR_CARRIER);
		add_candidate(r, DOCTOR_F_500OUT, DOCTOR_CARRIER);
		break;
	case DOCTOR_N_PSK:
		add_candidate(r, DOCTOR_N_PSK, DOCTOR_BOTH);
		add_candidate(r, DOCTOR_N_ID, DOCTOR_BOTH);
		break;
	case DOCTOR_N_PEERSAIDNO:
		add_candidate(r, DOCTOR_N_PSK, DOCTOR_BOTH);
		add_candidate(r, DOCTOR_N_ID, DOCTOR_BOTH);
		if (f->host.own_certs_valid != DOCTOR_UNKNOWN) // it has one
			add_candidate(r, DOCTOR_N_CERT, DOCTOR_US);
		break;
	case DOCTOR_N_OWNCERT:
		if (f->host.clock_synced != DOCTOR_YES) {
			add_candidate(r, DOCTOR_N_OWNCERT, DOCTOR_US);
			add_candidate(r, DOCTOR_E_CLOCK, DOCTOR_US);
		}
		break;
	case DOCTOR_N_CERT:
		if (f->conn.failure.dates && f->host.clock_synced != DOCTOR_YES) {
			add_candidate(r, DOCTOR_N_CERT, r->owner);
			add_candidate(r, DOCTOR_E_CLOCK, DOCTOR_US);
		}
		break;
	case DOCTOR_D_ONEWAY:
		add_candidate(r, DOCTOR_D_ONEWAY, DOCTOR_CARRIER);
		add_candidate(r, DOCTOR_C_TS, DOCTOR_PEER);
		add_candidate(r, DOCTOR_M_BLACKHOLE, DOCTOR_CARRIER);
		break;
	case DOCTOR_D_FORGED:
		add_candidate(r, DOCTOR_D_FORGED, DOCTOR_CARRIER);
		add_candidate(r, DOCTOR_D_STALESPI, DOCTOR_PEER);
		break;
	default:
		break;
	}
}

// Is the fault outside of what a configuration can mend?
static bool is_outside(const struct doctor_facts *f, const struct doctor_report *r)
{
	enum doctor_rung rung = doctor_code_rung(r->code);
	bool negotiated = rung == RUNG_INIT || rung == RUNG_AUTH || rung == RUNG_CHILD;

	if (r->status == DOCTOR_HEALTHY || r->rung == RUNG_COUNT)
		return false;
	if (r->owner == DOCTOR_CARRIER)
		return true;
	if (r->owner == DOCTOR_PEER)
		return !negotiated;
	// It has worked as it is configured now, and the first thing that is wrong is not ours.
	return r->owner == DOCTOR_OWNER_UNKNOWN && f->conn.worked == DOCTOR_YES && !negotiated;
}

static void write_verdict(const struct doctor_facts *f, struct doctor_report *r)
{
	static const char *const status[] = {
		[DOCTOR_HEALTHY] = "is healthy",
		[DOCTOR_DEGRADED] = "is up, but not well",
		[DOCTOR_DOWN] = "is down",
		[DOCTOR_COULD_NOT_TELL] = "is not up, and why cannot be told",
	};
	const char *name = f->conn.name[0] ? f->conn.name : "the connection";

	if (r->status == DOCTOR_COULD_NOT_TELL && r->code == DOCTOR_I_NOTTRIED)
		snprintf(r->verdict, sizeof(r->verdict), "%s is not up: %s", name,
			 doctor_code_help(r->code));
	else if (r->status == DOCTOR_HEALTHY || r->rung == RUNG_COUNT)
		snprintf(r->verdict, sizeof(r->verdict), "%s %s", name, status[r->status]);
	else
		snprintf(r->verdict, sizeof(r->verdict), "%s %s: %s", name, status[r->status],
			 doctor_code_help(r->code));
}

void doctor_examine(const struct doctor_facts *f, struct doctor_report *out)
{
	*out = (struct doctor_report){0};
	for (unsigned i = 0; i < RUNG_COUNT; i++)
		rungs[i](f, &out->finding[i]);
	yield_to_causes(out);
	decide(f, out);
	if (out->rung < RUNG_COUNT) {
		const struct doctor_finding *x = &out->finding[out->rung];

		out->code = x->code;
		out->owner = x->owner;
		out->confidence = x->confidence;
		memcpy(out->next, x->next, sizeof(out->next));
	} else if (out->status == DOCTOR_HEALTHY) {
		out->code = DOCTOR_OK;
		out->confidence = DOCTOR_HIGH;
	} else {
		out->code = DOCTOR_NO_DATA;
		out->owner = DOCTOR_OWNER_UNKNOWN;
		snprintf(out->next, sizeof(out->next),
			 "'port500 up %s' tries from here; 'port500 doctor --probe %s' asks the "
			 "peer",
			 name_of(f), name_of(f));
	}
	list_candidates(f, out);
	out->keep_config = is_outside(f, out);
	write_verdict(f, out);
}
