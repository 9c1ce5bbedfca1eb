// The commands that stream a list: list-sas, list-conns, list-policies, show-conns, show-routes.
//
// Threads: control only.
#pragma once

#include "control/vici_session.h"

enum vici_outcome vici_run_list_sas(struct vici_session *s, const struct vici_request *req,
				    struct vici_builder *reply);
enum vici_outcome vici_run_list_conns(struct vici_session *s, const struct vici_request *req,
				      struct vici_builder *reply);
enum vici_outcome vici_run_list_policies(struct vici_session *s, const struct vici_request *req,
					 struct vici_builder *reply);
enum vici_outcome vici_run_show_conns(struct vici_session *s, const struct vici_request *req,
				      struct vici_builder *reply);
enum vici_outcome vici_run_show_routes(struct vici_session *s, const struct vici_request *req,
				       struct vici_builder *reply);
