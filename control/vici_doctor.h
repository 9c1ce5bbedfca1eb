// The command `doctor`: what is wrong with a connection (docs/api.md).
#pragma once

#include "control/doctor/doctor.h"
#include "control/vici_session.h"

enum vici_outcome vici_run_doctor(struct vici_session *s, const struct vici_request *req,
				  struct vici_builder *reply);
// One section, named after the connection: the report and the facts it was made of.
void vici_doctor_build(struct vici_builder *b, const struct doctor_facts *f,
		       const struct doctor_report *r, int64_t unix_s);
