// A log of events in a fixed piece of memory: what is new pushes out what is oldest.
//
// Events have different lengths and lie one after the other, each in one piece; the list beside
// them says where, so that one with a given number is found by halving.
//
// Threads:   control only.
// Ownership: record_log_init allocates; texts of an event are good until the next record_log_add.
#pragma once

#include "control/recorder.h"

struct record_place {
	uint64_t id;
	uint32_t at, len;
};

struct record_log {
	uint8_t *data;
	size_t size, head; // bytes; where the next one would go
	struct record_place *place;
	size_t cap, first, n; // places; the oldest one; how many
	uint64_t lost;	      // pushed out
};

int record_log_init(struct record_log *l, size_t events, size_t bytes); // -ENOMEM
void record_log_fini(struct record_log *l);
void record_log_add(struct record_log *l, const struct record_event *e);
// The oldest one with an id above `after`; false: there is none.
bool record_log_after(const struct record_log *l, uint64_t after, struct record_event *out);

#define RECORD_EVENT_LEN_MAX                                                                       \
	(40 + RECORD_CODE_MAX + 2 * RECORD_NAME_MAX + RECORD_TEXT_MAX) // bytes, as encoded

// One event as bytes, the form of the file too. Texts that are too long are cut; each ends with a
// zero byte. Returns the length.
size_t record_event_encode(const struct record_event *e, uint8_t out[RECORD_EVENT_LEN_MAX]);
// -EBADMSG: these bytes are no event. Its texts point into them.
int record_event_decode(const uint8_t *bytes, size_t len, struct record_event *out);
