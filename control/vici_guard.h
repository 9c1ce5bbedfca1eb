// show-guard: what passes the guard of UDP/500 and 4500, and who sends most.
//
// Threads: control only.
#pragma once

#include "control/vici_session.h"

enum vici_outcome vici_run_show_guard(struct vici_session *s, const struct vici_request *req,
				      struct vici_builder *reply);
