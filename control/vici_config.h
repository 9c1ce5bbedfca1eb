// get-config: the configuration file without its secrets (config/redact.h), for support.
//
// Threads: control only.
#pragma once

#include "control/vici_session.h"

enum vici_outcome vici_run_get_config(struct vici_session *s, const struct vici_request *req,
				      struct vici_builder *reply);
