// What the files of the ladder share: one function for each rung, and the words they use.
//
//   doctor.c       the climb, the verdict
//   rungs_near.c   host, port, route, neighbour, reach
//   rungs_udp.c    our IKE leaves, the peer's arrives, the guard
//   rungs_path.c   the path of UDP/500 and 4500: the truth table
//   rungs_ike.c    IKE_SA_INIT, authentication, child
//   rungs_flow.c   ESP, MTU, load, history
//   codes.c        names
//
// Each rung is filled in by itself, from facts alone; the climb decides afterwards which of them
// count.
#pragma once

#include <string.h>

#include "control/doctor/doctor.h"

#define DOCTOR_AGE_TEXT_MAX 32

void rung_host(const struct doctor_facts *f, struct doctor_finding *out);
void rung_port(const struct doctor_facts *f, struct doctor_finding *out);
void rung_route(const struct doctor_facts *f, struct doctor_finding *out);
void rung_neigh(const struct doctor_facts *f, struct doctor_finding *out);
void rung_reach(const struct doctor_facts *f, struct doctor_finding *out);
void rung_udp_out(const struct doctor_facts *f, struct doctor_finding *out);
void rung_udp_in(const struct doctor_facts *f, struct doctor_finding *out);
void rung_guard(const struct doctor_facts *f, struct doctor_finding *out);
void rung_path(const struct doctor_facts *f, struct doctor_finding *out);
void rung_init(const struct doctor_facts *f, struct doctor_finding *out);
void rung_auth(const struct doctor_facts *f, struct doctor_finding *out);
void rung_child(const struct doctor_facts *f, struct doctor_finding *out);
void rung_esp(const struct doctor_facts *f, struct doctor_finding *out);
void rung_mtu(const struct doctor_facts *f, struct doctor_finding *out);
void rung_load(const struct doctor_facts *f, struct doctor_finding *out);
void rung_history(const struct doctor_facts *f, struct doctor_finding *out);

// ---- doctor.c ----

// The finding of a rung, with its evidence.
void finding_set(struct doctor_finding *out, enum doctor_state state, enum doctor_code code,
		 enum doctor_owner owner, enum doctor_confidence confidence, const char *evidence,
		 ...) __attribute__((format(printf, 6, 7)));
void finding_next(struct doctor_finding *out, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void finding_pass(struct doctor_finding *out, const char *evidence, ...)
	__attribute__((format(printf, 2, 3)));
void finding_unknown(struct doctor_finding *out, const char *evidence, ...)
	__attribute__((format(printf, 2, 3)));
// "3.2 s", "14 min", "2 h": two figures are enough.
const char *age_text(uint64_t ms, char buf[DOCTOR_AGE_TEXT_MAX]);
// "; last 3.2 s ago", or "".
const char *last_text(const struct doctor_count *c, char buf[DOCTOR_AGE_TEXT_MAX + 16]);

static inline const char *times(uint64_t n) // that stands before it
{
	return n == 1 ? "time" : "times";
}

// Its name, for commands.
static inline const char *name_of(const struct doctor_facts *f)
{
	return f->conn.name[0] ? f->conn.name : "NAME";
}

static inline bool some(const struct doctor_count *c) // happened within the window
{
	return c->known && c->n > 0;
}

static inline bool none(const struct doctor_count *c) // known not to have
{
	return c->known && c->n == 0;
}

// Is there an IKE SA with the peer that answers?
bool ike_works(const struct doctor_facts *f);
// Does ESP carry anything, as far as that can be told: a child is up?
bool child_is_up(const struct doctor_facts *f);
// Has something come from the peer within the window that is not likely to be forged? *ago_ms: when
// last (UINT64_MAX: never).
bool peer_heard(const struct doctor_facts *f, uint64_t *ago_ms);
// Did it come since the request was sent that waits, or since the last one was given up? What came
// before says nothing of the path of now.
bool came_since_asking(const struct doctor_facts *f, const struct doctor_count *c);
// Was nothing heard since then, or within the window?
bool silent_since_asking(const struct doctor_facts *f);
// Has an ICMP error come since the peer was heard last?
bool icmp_is_fresh(const struct doctor_facts *f);
// Is UDP/500 under attack?
bool under_attack(const struct doctor_facts *f);
// Is something being asked of the peer, or was asked and given up, which is not answered?
bool is_unanswered(const struct doctor_facts *f);
