// What the flight recorder has, over the API: list-events, list-ike-headers, list-seconds and the
// event `event` (docs/api.md).
#pragma once

#include "control/recorder.h"
#include "control/vici_session.h"

// The content of `event` and `list-event`: one section, named by the event's number.
void vici_record_event_build(struct vici_builder *b, const struct record_event *e);
enum vici_outcome vici_run_list_events(struct vici_session *s, const struct vici_request *req,
				       struct vici_builder *reply);
enum vici_outcome vici_run_list_ike_headers(struct vici_session *s, const struct vici_request *req,
					    struct vici_builder *reply);
enum vici_outcome vici_run_list_seconds(struct vici_session *s, const struct vici_request *req,
					struct vici_builder *reply);
