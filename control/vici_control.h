// The commands that change something: initiate, terminate, install, uninstall, reload.
//
// initiate and terminate end when IKE does: until then the client gets control-log events and its
// session is busy. A client that goes away is forgotten (ike_run_unwatch); what it started goes on.
//
// Threads: control only.
#pragma once

#include "control/vici_session.h"

enum vici_outcome vici_run_initiate(struct vici_session *s, const struct vici_request *req,
				    struct vici_builder *reply);
enum vici_outcome vici_run_rekey(struct vici_session *s, const struct vici_request *req,
				 struct vici_builder *reply);
enum vici_outcome vici_run_terminate(struct vici_session *s, const struct vici_request *req,
				     struct vici_builder *reply);
// install, uninstall: lets traffic initiate a child, or no longer.
enum vici_outcome vici_run_install(struct vici_session *s, const struct vici_request *req,
				   struct vici_builder *reply);
enum vici_outcome vici_run_uninstall(struct vici_session *s, const struct vici_request *req,
				     struct vici_builder *reply);
enum vici_outcome vici_run_reload(struct vici_session *s, const struct vici_request *req,
				  struct vici_builder *reply);
