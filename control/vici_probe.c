#include "control/vici_probe.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/daemon.h"
#include "control/doctor/doctor.h"
#include "lib/log.h"

static const char *icmp_name(enum doctor_icmp why)
{
	static const char *const names[] = {
		[DOCTOR_ICMP_NONE] = "none",	     [DOCTOR_ICMP_PORT] = "port-unreachable",
		[DOCTOR_ICMP_ADMIN] = "prohibited",  [DOCTOR_ICMP_HOST] = "unreachable",
		[DOCTOR_ICMP_TTL] = "time-exceeded", [DOCTOR_ICMP_SIZE] = "too-big",
	};

	return names[why];
}

static void put_answers(struct vici_builder *b, const char *name, const struct doctor_probe *p)
{
	static const char *const answers[] = {
		[DOCTOR_NOT_PROBED] = "not-probed",
		[DOCTOR_SILENT] = "silent",
		[DOCTOR_ANSWERED] = "answered",
		[DOCTOR_REFUSED] = "refused",
	};
	char text[IP_ADDR_TEXT_MAX];

	if (p->answer == DOCTOR_NOT_PROBED)
		return;
	vici_section(b, name);
	vici_kv(b, "answer", answers[p->answer]);
	vici_kvf(b, "sent", "%u", p->sent);
	vici_kvf(b, "answered", "%u", p->answered);
	if (p->answered)
		vici_kvf(b, "rtt-us", "%" PRIu32, p->rtt_us);
	if (p->ttl)
		vici_kvf(b, "ttl", "%u", p->ttl);
	if (p->icmp != DOCTOR_ICMP_NONE) {
		vici_kv(b, "icmp", icmp_name(p->icmp));
		vici_kv(b, "icmp-from", ip_addr_format(&p->by, text, sizeof(text)));
	}
	vici_section_end(b);
}

static void put_hops(struct vici_builder *b, const char *name, const struct doctor_hops *h)
{
	char text[IP_ADDR_TEXT_MAX];

	if (!h->probed)
		return;
	vici_section(b, name);
	vici_kvf(b, "last", "%u", h->last);
	if (h->last)
		vici_kv(b, "last-host", ip_addr_format(&h->last_addr, text, sizeof(text)));
	vici_kv(b, "arrived", h->arrived ? "yes" : "no");
	vici_section_end(b);
}

void vici_probe_put(struct vici_builder *b, const struct doctor_probe_facts *f)
{
	vici_kvf(b, "ago-ms", "%" PRIu64, f->ago_ms);
	vici_kvf(b, "mtu", "%u", f->echo_large_len);
	vici_kvf(b, "echo-fits", "%u", f->echo_fits);
	if (f->ttl_usual)
		vici_kvf(b, "ttl-usual", "%u", f->ttl_usual);
	if (f->alt_port)
		vici_kvf(b, "alternative-port", "%u", f->alt_port);
	put_answers(b, "echo", &f->echo);
	put_answers(b, "echo-large", &f->echo_large);
	put_answers(b, "500", &f->ike_500);
	put_answers(b, "500-large", &f->ike_500_large);
	put_answers(b, "500-fragment", &f->ike_500_fragment);
	put_answers(b, "4500", &f->ike_4500);
	put_answers(b, "4500-large", &f->ike_4500_large);
	put_answers(b, "4500-fragment", &f->ike_4500_fragment);
	put_answers(b, "alternative", &f->ike_alt);
	put_answers(b, "500-other-source", &f->ike_500_other_source);
	put_hops(b, "hops-500", &f->hops_500);
	put_hops(b, "hops-4500", &f->hops_4500);
}

static void on_progress(void *ctx, const char *question, unsigned sent, unsigned of)
{
	struct vici_session *s = ctx;
	struct vici_builder b = {0};

	if (!vici_session_wants(s, VICI_EV_PROBE))
		return;
	vici_kv(&b, "question", question);
	vici_kvf(&b, "sent", "%u", sent);
	vici_kvf(&b, "of", "%u", of);
	vici_session_event(s, VICI_EV_PROBE, &b);
}

static void on_done(void *ctx)
{
	struct vici_session *s = ctx;
	struct vici_builder reply = {0};
	struct doctor_probe_facts f;

	s->probing = false;
	if (ike_run_probe_facts(s->server->d->ike, s->probed, &f)) {
		vici_reply_result(&reply, NULL);
		vici_section(&reply, s->probed);
		vici_probe_put(&reply, &f);
		vici_section_end(&reply);
	} else {
		vici_reply_result(&reply, "the connection has gone meanwhile");
	}
	vici_session_respond(s, &reply);
}

enum vici_outcome vici_run_probe(struct vici_session *s, const struct vici_request *req,
				 struct vici_builder *reply)
{
	const struct ike_run_probe_watch watch = {on_progress, on_done, s};
	struct error err = {0};

	if (!vici_request_text(req, "ike", s->probed, sizeof(s->probed)) || !*s->probed) {
		vici_reply_result(reply, "missing connection name (ike)");
		return VICI_REPLY;
	}
	log_info(LOG_API, "probe of '%s' (client %d, uid %u)", s->probed, (int)s->pid,
		 (unsigned)s->uid);
	if (ike_run_probe(s->server->d->ike, s->probed, &watch, &err)) {
		vici_reply_result(reply, err.text);
		return VICI_REPLY;
	}
	s->probing = true;
	return VICI_LATER;
}
