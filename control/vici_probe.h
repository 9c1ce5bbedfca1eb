// The vici command "probe": asks the peer of a connection how it can be reached, and answers when
// that is known. docs/api.md describes it; it is how "port500 doctor --probe" begins.
//
// Threads: control only.
#pragma once

#include "control/vici_session.h"

enum vici_outcome vici_run_probe(struct vici_session *s, const struct vici_request *req,
				 struct vici_builder *reply);
// The facts of a probe as sections of the message.
void vici_probe_put(struct vici_builder *b, const struct doctor_probe_facts *f);
