#include "control/vici_doctor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "control/daemon.h"
#include "control/doctor_gather.h"
#include "control/vici_probe.h"

static void put_number(struct vici_builder *b, const char *key, const struct doctor_number *n)
{
	if (n->known)
		vici_kvf(b, key, "%" PRIu64, n->n);
}

static void put_addr(struct vici_builder *b, const char *key, const struct ip_addr *a)
{
	char text[IP_ADDR_TEXT_MAX];

	if (a->family != IP_NONE)
		vici_kv(b, key, ip_addr_format(a, text, sizeof(text)));
}

static void open_count(struct vici_builder *b, const char *key, const struct doctor_count *c)
{
	vici_section(b, key);
	vici_kvf(b, "count", "%" PRIu64, c->n);
	vici_kvf(b, "window-ms", "%" PRIu64, c->window_ms);
	if (c->ever)
		vici_kvf(b, "ago-ms", "%" PRIu64, c->ago_ms);
}

static void put_count(struct vici_builder *b, const char *key, const struct doctor_count *c)
{
	if (!c->known)
		return;
	open_count(b, key, c);
	vici_section_end(b);
}

static void put_icmp(struct vici_builder *b, const struct doctor_icmp_facts *i)
{
	if (!i->errors.known)
		return;
	open_count(b, "icmp-errors", &i->errors);
	if (i->errors.ever) {
		vici_kvf(b, "type", "%u", i->type);
		vici_kvf(b, "icmp-code", "%u", i->code);
		vici_kvf(b, "about-port", "%u", i->port);
		put_addr(b, "from", &i->from);
	}
	vici_section_end(b);
}

static void put_facts(struct vici_builder *b, const struct doctor_facts *f)
{
	static const char *const stages[] = {"unknown", "idle",	       "waits", "init",
					     "auth",	"established", "up"};
	const struct {
		const char *key;
		const struct doctor_count *count;
	} counts[] = {
		{"tx-500", &f->ike.tx_500},
		{"tx-4500", &f->ike.tx_4500},
		{"tx-refused", &f->ike.tx_refused},
		{"rx-500", &f->ike.rx_500},
		{"rx-4500", &f->ike.rx_4500},
		{"unanswered", &f->ike.unanswered},
		{"unanswered-auth", &f->ike.unanswered_auth},
		{"retransmits", &f->ike.retransmits},
		{"peer-repeats", &f->ike.peer_repeats},
		{"guard-came", &f->guard.came},
		{"guard-passed", &f->guard.passed},
		{"guard-cookies", &f->guard.cookies},
		{"guard-limited", &f->guard.limited},
		{"all-came", &f->guard.all},
		{"all-limited", &f->guard.all_limited},
		{"esp-out", &f->esp.out},
		{"esp-in", &f->esp.in},
		{"esp-auth-failures", &f->esp.auth_failures},
		{"esp-replays", &f->esp.replays},
		{"unknown-spi", &f->esp.unknown_spi},
		{"established", &f->history.established},
		{"lost", &f->history.lost},
	};

	vici_section(b, "facts");
	put_addr(b, "local-host", &f->route.local);
	put_addr(b, "remote-host", &f->route.peer);
	put_addr(b, "next-hop", &f->route.next_hop);
	if (f->port.name[0])
		vici_kv(b, "port", f->port.name);
	vici_kv(b, "stage", stages[f->conn.stage]);
	put_number(b, "children", &f->conn.children);
	put_number(b, "children-up", &f->conn.children_up);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		put_count(b, counts[i].key, counts[i].count);
	put_icmp(b, &f->ike.icmp);
	if (f->ike.asking_tries)
		vici_kvf(b, "asking-ms", "%" PRIu64, f->ike.asking_ms);
	if (f->probe.echo_large_len) {
		vici_section(b, "probe");
		vici_probe_put(b, &f->probe);
		vici_section_end(b);
	}
	if (f->conn.failure.ours[0])
		vici_kv(b, "offer-ours", f->conn.failure.ours);
	if (f->conn.failure.theirs[0])
		vici_kv(b, "offer-theirs", f->conn.failure.theirs);
	vici_section_end(b);
}

static void put_rungs(struct vici_builder *b, const struct doctor_report *r)
{
	vici_section(b, "rungs");
	for (unsigned i = 0; i < RUNG_COUNT; i++) {
		const struct doctor_finding *x = &r->finding[i];

		vici_section(b, doctor_rung_name((enum doctor_rung)i));
		vici_kv(b, "title", doctor_rung_title((enum doctor_rung)i));
		vici_kv(b, "state", doctor_state_name(x->state));
		vici_kv(b, "code", doctor_code_name(x->code));
		vici_kv(b, "owner", doctor_owner_name(x->owner));
		vici_kv(b, "confidence", doctor_confidence_name(x->confidence));
		vici_kv(b, "evidence", x->evidence);
		if (x->next[0])
			vici_kv(b, "next", x->next);
		vici_kv(b, "replaces", doctor_rung_replaces((enum doctor_rung)i));
		vici_section_end(b);
	}
	vici_section_end(b);
}

static void put_candidates(struct vici_builder *b, const struct doctor_report *r)
{
	char name[16];

	if (!r->n_candidates)
		return;
	vici_section(b, "candidates");
	for (unsigned i = 0; i < r->n_candidates; i++) {
		snprintf(name, sizeof(name), "%u", i + 1);
		vici_section(b, name);
		vici_kv(b, "code", doctor_code_name(r->candidate[i].code));
		vici_kv(b, "owner", doctor_owner_name(r->candidate[i].owner));
		vici_kv(b, "text", doctor_code_help(r->candidate[i].code));
		vici_section_end(b);
	}
	vici_section_end(b);
}

void vici_doctor_build(struct vici_builder *b, const struct doctor_facts *f,
		       const struct doctor_report *r, int64_t unix_s)
{
	time_t t = (time_t)unix_s;
	char text[32];
	struct tm tm;

	vici_section(b, f->conn.name);
	if (gmtime_r(&t, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		vici_kv(b, "time", text);
	vici_kv(b, "status", doctor_status_name(r->status));
	vici_kvf(b, "exit", "%d", (int)r->status);
	vici_kv(b, "code", doctor_code_name(r->code));
	vici_kv(b, "owner", doctor_owner_name(r->owner));
	vici_kv(b, "confidence", doctor_confidence_name(r->confidence));
	vici_kv(b, "verdict", r->verdict);
	if (r->next[0])
		vici_kv(b, "next", r->next);
	vici_kv(b, "keep-config", r->keep_config ? "yes" : "no");
	put_candidates(b, r);
	put_rungs(b, r);
	put_facts(b, f);
	vici_section_end(b);
}

// ---- the command ----

static void examine(struct vici_session *s, size_t i)
{
	struct doctor_report report;
	struct doctor_facts facts;
	struct vici_builder b = {0};

	if (doctor_gather(s->server->d, i, &facts))
		return;
	doctor_examine(&facts, &report);
	vici_doctor_build(&b, &facts, &report, (int64_t)time(NULL));
	vici_session_event(s, VICI_EV_DOCTOR, &b);
}

static bool next_doctor(struct vici_session *s, struct vici_stream *st)
{
	const struct config *config = s->server->d->config;

	for (; st->cursor < config->n_conns; st->cursor++) {
		if (vici_session_full(s))
			return false;
		if (!*st->ike || strcmp(st->ike, config->conns[st->cursor].name) == 0)
			examine(s, st->cursor);
	}
	return true;
}

enum vici_outcome vici_run_doctor(struct vici_session *s, const struct vici_request *req,
				  struct vici_builder *reply)
{
	const struct config *config = s->server->d->config;
	struct vici_stream st = {.next = next_doctor};
	size_t i = 0;

	if (!vici_request_text(req, "ike", st.ike, sizeof(st.ike))) {
		vici_reply_result(reply, "malformed filter");
		return VICI_REPLY;
	}
	while (*st.ike && i < config->n_conns && strcmp(st.ike, config->conns[i].name) != 0)
		i++;
	if (*st.ike && i == config->n_conns) {
		char text[400];

		snprintf(text, sizeof(text),
			 "no connection is named '%s': 'port500 status' lists them", st.ike);
		vici_reply_result(reply, text);
		return VICI_REPLY;
	}
	s->stream = st;
	return vici_session_stream(s);
}
