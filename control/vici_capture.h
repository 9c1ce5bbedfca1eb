// The command capture: copies of packets as a pcapng file, streamed to one client.
//
// One capture at a time. Every 10 ms what the workers have copied is taken, made into blocks of
// pcapng and sent in events of that name. It ends by itself (count, duration), by the command
// capture-stop, or with its client. While the client does not take what it asked for, nothing is
// taken from the workers either: then copies are lost, and counted.
//
// Threads:   control only.
// Ownership: the capture belongs to its session (vici_session.capture) until it ends.
#pragma once

#include "control/vici_session.h"

enum vici_outcome vici_run_capture(struct vici_session *s, const struct vici_request *req,
				   struct vici_builder *reply);
enum vici_outcome vici_run_capture_stop(struct vici_session *s, const struct vici_request *req,
					struct vici_builder *reply);
// The session goes away, and its capture with it.
void vici_capture_abandon(struct vici_session *s);
