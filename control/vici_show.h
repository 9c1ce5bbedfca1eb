// The commands that answer about the gateway in one message: version, stats, status, counters,
// ports, tunnel interfaces, workers and drops.
//
// Threads: control only.
#pragma once

#include "control/vici_session.h"

enum vici_outcome vici_run_version(struct vici_session *s, const struct vici_request *req,
				   struct vici_builder *reply);
enum vici_outcome vici_run_stats(struct vici_session *s, const struct vici_request *req,
				 struct vici_builder *reply);
enum vici_outcome vici_run_status(struct vici_session *s, const struct vici_request *req,
				  struct vici_builder *reply);
enum vici_outcome vici_run_get_conns(struct vici_session *s, const struct vici_request *req,
				     struct vici_builder *reply);
enum vici_outcome vici_run_get_counters(struct vici_session *s, const struct vici_request *req,
					struct vici_builder *reply);
enum vici_outcome vici_run_show_ports(struct vici_session *s, const struct vici_request *req,
				      struct vici_builder *reply);
enum vici_outcome vici_run_show_interfaces(struct vici_session *s, const struct vici_request *req,
					   struct vici_builder *reply);
enum vici_outcome vici_run_show_workers(struct vici_session *s, const struct vici_request *req,
					struct vici_builder *reply);
enum vici_outcome vici_run_show_drops(struct vici_session *s, const struct vici_request *req,
				      struct vici_builder *reply);
