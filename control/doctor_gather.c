#include "control/doctor_gather.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <time.h>

#include "control/daemon.h"
#include "control/doctor_watch.h"
#include "control/ike/message.h"
#include "control/ike/notify.h"
#include "control/refusals.h"
#include "control/vici_events.h"
#include "control/vici_session.h"

#define WRITTEN_S      1760000000 // October 2025: this program is younger
#define PROBE_GOOD_MS  120000	  // an older probe says nothing of now
#define SAME_MOMENT_MS 1500	  // failures are timed in whole seconds

// ---- host ----

static void put_host(const struct daemon *d, struct doctor_host_facts *h)
{
	struct timex clock = {0};
	time_t now = time(NULL);
	const char *state_dir = d->config->gateway.state_dir;
	struct statvfs fs;
	int state = adjtimex(&clock);
	const char *why;

	h->hugepages = dp_has_hugepages(d->dp, &why) ? DOCTOR_YES : DOCTOR_NO;
	if (state >= 0)
		h->clock_synced =
			state == TIME_ERROR || clock.status & STA_UNSYNC ? DOCTOR_NO : DOCTOR_YES;
	h->clock_plausible = now >= WRITTEN_S ? DOCTOR_YES : DOCTOR_NO;
	h->unix_s = (struct doctor_number){true, (uint64_t)now};
	if (statvfs(state_dir && *state_dir ? state_dir : "/run", &fs) == 0 && fs.f_blocks > 0)
		h->disk_free_permille = (struct doctor_number){true, (uint64_t)fs.f_bavail * 1000 /
									     (uint64_t)fs.f_blocks};
	h->up_ms = (struct doctor_number){true, daemon_now_ms() - d->started_ms};
	h->generation = (struct doctor_number){true, d->generation};
}

// ---- the way to the peer ----

// Of the routes that contain the address the longest one (RFC 1812 5.2.4.3). False: none does.
static bool best_route(const struct daemon *d, const struct ip_addr *to, struct dp_route_info *out)
{
	size_t n = dp_routes(d->dp, NULL, 0);
	struct dp_route_info *all = calloc(n ? n : 1, sizeof(*all));
	bool found = false;

	if (!all)
		return false;
	n = dp_routes(d->dp, all, n) < n ? dp_routes(d->dp, NULL, 0) : n;
	for (size_t i = 0; i < n; i++) {
		if (!ip_prefix_contains(&all[i].route.dst, to) ||
		    (found && all[i].route.dst.len <= out->route.dst.len))
			continue;
		*out = all[i];
		found = true;
	}
	free(all);
	return found;
}

static void put_way(struct daemon *d, struct doctor_facts *f)
{
	struct doctor_route_facts *r = &f->route;
	struct dp_route_info route = {0};
	struct dp_port_info port;
	const struct ip_addr *hop;

	if (r->peer.family == IP_NONE)
		return;
	if (!best_route(d, &r->peer, &route) || dp_port_info(d->dp, route.route.port, &port)) {
		if (r->have == DOCTOR_YES) {
			r->have = DOCTOR_NO;
			snprintf(r->why, sizeof(r->why),
				 "Linux has a route to the peer, and it leaves by no port of ours");
		}
		return;
	}
	snprintf(f->port.name, sizeof(f->port.name), "%s", port.name);
	f->port.link_up = port.link_up ? DOCTOR_YES : DOCTOR_NO;
	f->mtu.port = (struct doctor_number){true, port.mtu};
	doctor_watch_port(d->doctor, route.route.port, &f->port);
	r->next_hop = route.route.gateway;
	hop = r->next_hop.family == IP_NONE ? &r->peer : &r->next_hop;
	f->neigh.resolved =
		netmirror_neigh(d->netmirror, route.route.port, hop, &f->neigh.mac_changes)
			? DOCTOR_YES
			: DOCTOR_NO;
}

// ---- why it failed last ----

static bool has_ke(const struct proposal_list *list)
{
	struct transform t;

	return refusal_transforms(list, TRANSFORM_KE, &t, 1) > 0;
}

static enum doctor_failure failure_of(const struct ike_refusal *r)
{
	bool again = r->exchange == EXCHANGE_CREATE_CHILD_SA;

	if (r->by_peer && r->notify == N_INVALID_MAJOR_VERSION)
		return DOCTOR_FAILED_VERSION;
	switch (r->code) {
	case IKE_REPORT_PROPOSAL_MISMATCH:
		return DOCTOR_FAILED_PROPOSAL;
	case IKE_REPORT_KE_MISMATCH:
		return again ? DOCTOR_FAILED_PFS : DOCTOR_FAILED_KE;
	case IKE_REPORT_AUTH_FAILED:
		return DOCTOR_FAILED_PSK;
	case IKE_REPORT_PEER_REFUSED_AUTH:
		return DOCTOR_FAILED_PEER_SAID_NO;
	case IKE_REPORT_NO_CONNECTION:
		return DOCTOR_FAILED_ID;
	case IKE_REPORT_NO_PSK:
		return DOCTOR_FAILED_NO_SECRET;
	case IKE_REPORT_CERT:
		return DOCTOR_FAILED_CERT;
	case IKE_REPORT_TS_MISMATCH:
		return DOCTOR_FAILED_TS;
	case IKE_REPORT_ESP_MISMATCH:
		// Without its own key exchange the first child was agreed on (RFC 7296 1.2): what
		// differs now is that.
		return again && (has_ke(&r->ours) || has_ke(&r->theirs)) ? DOCTOR_FAILED_PFS
									 : DOCTOR_FAILED_ESP;
	default:
		return DOCTOR_FAILED_NOT;
	}
}

static bool is_about(const struct ike_refusal *r, const struct doctor_facts *f)
{
	if (r->conn[0])
		return strcmp(r->conn, f->conn.name) == 0;
	return f->route.peer.family != IP_NONE && ip_addr_equal(&r->remote.addr, &f->route.peer);
}

static void put_offers(const struct ike_refusal *r, struct doctor_failure_facts *out)
{
	char text[PROPOSAL_TEXT_MAX];

	if (r->have_ours && r->ours.n)
		snprintf(out->ours, sizeof(out->ours), "%s",
			 proposal_format(&r->ours.p[0], text, sizeof(text)));
	if (r->have_theirs && r->theirs.n)
		snprintf(out->theirs, sizeof(out->theirs), "%s",
			 proposal_format(&r->theirs.p[0], text, sizeof(text)));
}

static void put_failure(const struct daemon *d, struct doctor_facts *f)
{
	const struct refusals *list = vici_events_refusals(d->vici->events);
	const struct refusal_entry *e = NULL, *newest = NULL;
	struct doctor_failure_facts *out = &f->conn.failure;
	char text[IKE_REPORT_TEXT_MAX];
	uint64_t ago_ms;

	for (uint64_t id = 0; (e = refusals_next(list, id)); id = e->id)
		if (is_about(&e->refusal, f))
			newest = e;
	if (!newest)
		return;
	ago_ms = (uint64_t)(time(NULL) - newest->last_s) * 1000;
	// Since then it has come up: it is mended.
	if (f->history.established.ever && f->history.established.ago_ms + SAME_MOMENT_MS < ago_ms)
		return;
	out->what = failure_of(&newest->refusal);
	// What a negotiation of the IKE SA failed by does not matter to one that is there.
	if (f->conn.stage >= DOCTOR_STAGE_ESTABLISHED && out->what < DOCTOR_FAILED_TS)
		out->what = DOCTOR_FAILED_NOT;
	out->ago_ms = ago_ms;
	out->count = newest->count;
	out->by_peer = newest->refusal.by_peer;
	out->authenticated = newest->refusal.exchange != EXCHANGE_IKE_SA_INIT;
	out->dates = strstr(newest->refusal.why, "valid") != NULL ||
		     strstr(newest->refusal.why, "expired") != NULL;
	snprintf(out->text, sizeof(out->text), "%s", refusal_text(&newest->refusal, text));
	put_offers(&newest->refusal, out);
}

static void put_probe(const struct daemon *d, struct doctor_facts *f)
{
	struct doctor_probe_facts probe;

	if (ike_run_probe_facts(d->ike, f->conn.name, &probe) && probe.ago_ms < PROBE_GOOD_MS)
		f->probe = probe;
}

int doctor_gather(struct daemon *d, size_t conn, struct doctor_facts *out)
{
	int rc;

	*out = (struct doctor_facts){0};
	doctor_watch_look(d->doctor);
	rc = ike_run_doctor(d->ike, conn, out);
	if (rc)
		return rc;
	put_host(d, &out->host);
	doctor_watch_read(d->doctor, out);
	put_way(d, out);
	put_failure(d, out);
	put_probe(d, out);
	return 0;
}
