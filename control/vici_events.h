// What the API tells on its own: log, ike-updown and child-updown events, and why a connection
// last failed; and the events refusal and event.
//
// Reports of the IKE SAs arrive through ike_run's observer. Updown events are not made from the
// reports but from comparing the SAs that are there now with those last announced: so each SA is
// announced exactly once in each direction, whatever the order of reports. Nothing is compared
// while no client has registered.
//
// Threads:   control only.
// Ownership: borrows the server and its daemon.
#pragma once

#include <stdint.h>

#include "control/ike/ike.h"

struct refusals;
struct vici_builder;
struct vici_events;
struct vici_server;

// Takes ike_run's observer. -ENOMEM.
int vici_events_create(struct vici_server *server, struct vici_events **out);
void vici_events_destroy(struct vici_events *e);
// A client registered for updown events: they start from what is up now.
void vici_events_follow(struct vici_server *server);

#define VICI_FAILURE_TEXT_MAX 384

// Why a connection did not come up, or went away.
struct vici_failure {
	char conn[IKE_NAME_MAX]; // "" for a peer that fits no connection
	enum ike_report_code code;
	uint64_t at_ms; // monotonic
	char text[VICI_FAILURE_TEXT_MAX];
};

// The last failure of a connection since it was last up; NULL when there is none. "" asks for
// peers that fit no connection.
const struct vici_failure *vici_events_failure(const struct vici_events *e, const char *conn);

// The negotiations that failed lately.
const struct refusals *vici_events_refusals(const struct vici_events *e);

// strongSwan's log group ("IKE", "CHD", "NET", "CFG", "ENC") and level (0 failures, 1 what
// happened, 2 detail) of a report.
const char *vici_report_group(enum ike_report_code code);
int vici_report_level(enum ike_severity severity);
// The content of a log or control-log event. `conn` may be NULL, `ike_id` 0.
void vici_report_build(struct vici_builder *b, enum ike_report_code code,
		       enum ike_severity severity, const char *conn, uint32_t ike_id,
		       const char *text);
