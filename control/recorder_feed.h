// Feeds the flight recorder once a second with what the dataplane and ike_run have counted, and has
// it kept on disk.
//
// Threads:   control only, inside the event loop.
// Ownership: borrows all but the store, which it has.
// Errors:    0 or -errno.
#pragma once

#include "control/ike_run.h"
#include "control/recorder.h"

struct event_base;
struct recorder_feed;

// `state_dir` NULL or "": nothing is kept on disk. -ENOMEM.
int recorder_feed_create(struct event_base *base, struct dp *dp, struct recorder *r,
			 const char *state_dir, struct recorder_feed **out);
// From when on there is one; NULL before it goes.
void recorder_feed_set_ike(struct recorder_feed *f, struct ike_run *ike);
// Writes what there is. NULL is allowed.
void recorder_feed_destroy(struct recorder_feed *f);
// One event of the gateway itself, or of a port, now.
void recorder_feed_note(struct recorder_feed *f, enum record_kind kind, enum record_level level,
			const char *code, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
