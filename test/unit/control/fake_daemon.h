// A daemon that is none: what the vici server asks of ike_run, the dataplane and the daemon itself
// is answered from fixed tables, so that the API can be tested without IKE and without DPDK.
//
// Two connections are configured: site-b (child net, and local, which is bypassed) with one IKE SA
// and one child SA, and site-c (child voice), which is down.
#pragma once

#include "control/daemon.h"
#include "control/doctor/doctor.h"
#include "control/ike/refusal.h"

struct fake {
	struct doctor_facts facts; // of every connection, but for its name
	struct daemon d;
	struct config config;
	// ike_run_initiate: what it does next
	enum { FAKE_WAIT, FAKE_UP_AT_ONCE, FAKE_REFUSE } initiate;
	bool terminate_at_once;
	struct ike_run_watch watch; // of the operation under way; done is NULL when there is none
	unsigned initiations, terminations, unwatched;
	bool reauth;
	bool trapped;		  // site-b's net
	char conn[64], child[64]; // of the last initiate or terminate
	uint32_t ike_id, child_id;
	unsigned n_sas;	     // IKE SAs to show: 1 is site-b, further ones are copies
	unsigned n_children; // of each
	unsigned n_routes;
	int reload; // result of daemon_reload
	uint64_t now_ms;
	// A capture: dp_capture_next gives n_packets of these.
	struct dp_capture_params capture; // of the last dp_capture_start
	bool capturing, capture_stopped;
	struct ike_run_probe_watch probe; // done is NULL when there is none
	struct doctor_probe_facts probed;
	unsigned captures_ended;
	struct dp_capture_packet *packets;
	size_t n_packets;
	uint64_t lost;
};

extern struct fake fake;

void fake_init(struct event_base *base, const char *socket_path);
void fake_fini(void);
// Sends a report to the observer and, when one waits, to the watch.
void fake_report(enum ike_report_code code, enum ike_severity severity, const char *conn,
		 uint32_t ike_id, const char *text);
// The same with a refusal, whose text the report is.
void fake_refusal(const struct ike_refusal *r);
// Ends the operation under way.
void fake_done(int result, const char *text);
