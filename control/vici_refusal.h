// Refusals over the API: the command list-refusals, and the content of its events and of the event
// `refusal` (docs/api.md).
//
// Threads: control only.
#pragma once

#include "control/refusals.h"
#include "control/vici_session.h"

void vici_refusal_build(struct vici_builder *b, const struct refusal_entry *e);
enum vici_outcome vici_run_list_refusals(struct vici_session *s, const struct vici_request *req,
					 struct vici_builder *reply);
