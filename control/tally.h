// How often something happened lately, and when last: a counter with a window, in fixed memory.
//
// The window is cut into TALLY_BUCKETS; what is read covers the whole buckets that the window has
// and the one that runs, so it may reach back one bucket further.
//
// Threads:   whoever owns it.
// Ownership: a value; zeroed, nothing has happened. The time is an argument, monotonic.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/doctor/doctor.h"

#define TALLY_BUCKETS 12

enum { TALLY_MINUTE_MS = 60000, TALLY_TEN_MINUTES_MS = 600000, TALLY_HOUR_MS = 3600000 };

struct tally {
	uint64_t bucket; // number of the newest one
	uint64_t last_ms;
	uint64_t total;	  // since the start
	uint64_t sampled; // the counter that it follows, when last looked at
	uint32_t n[TALLY_BUCKETS];
	bool ever, following;
};

// `n` more. The same window_ms with every call.
void tally_note(struct tally *t, uint64_t n, uint64_t now_ms, uint64_t window_ms);
// The same for a counter that something else keeps and that only rises: from its first value on,
// what it has risen by counts. One that has begun anew is followed from there.
void tally_follow(struct tally *t, uint64_t counter, uint64_t now_ms, uint64_t window_ms);
struct doctor_count tally_read(const struct tally *t, uint64_t now_ms, uint64_t window_ms);
