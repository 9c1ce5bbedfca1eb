// What the files control/recorder*.c share.
//
//   record_log.c        events in a fixed piece of memory
//   recorder.c          create, events
//   recorder_headers.c  the last IKE messages of each peer
//   recorder_seconds.c  counters of the last ten minutes
//   recorder_file.c     all of it as bytes and back
//   recorder_store.c    the file of these bytes
#pragma once

#include "control/record_log.h"

#define RECORD_BUCKETS 1024 // a power of two

struct record_ring {		  // of one peer
	struct record_ring *next; // in its bucket
	struct record_peer peer;
	unsigned first, first_lost; // the oldest of peer.n, of peer.n_lost
	struct record_header header[LIMIT_RECORD_HEADERS];
	struct record_header lost[LIMIT_RECORD_LOST];
};

struct recorder {
	struct record_log peers, strangers;
	uint64_t last_id, changes;
	void (*follow)(void *ctx, const struct record_event *e);
	void *follow_ctx;
	struct record_ring *ring[1 + LIMIT_RECORD_PEERS]; // the first: strangers
	size_t n_rings;
	struct record_ring *bucket[RECORD_BUCKETS];
	struct record_second second[LIMIT_RECORD_SECONDS];
	unsigned newest, n_seconds;
	struct record_totals totals; // of the last tick
	int64_t tick_ms;	     // of the last tick, 0: none yet
};

// The ring of that address; with `make` it is made, if need be in the place of the one that has
// been silent for longest. NULL: there is none, or no memory.
struct record_ring *recorder_ring(struct recorder *r, const struct ip_addr *addr, bool make);
void record_ring_add(struct record_ring *ring, const struct record_header *h);
void record_ring_add_lost(struct record_ring *ring, const struct record_header *h);
// Puts an event where it belongs, under its own number.
void recorder_keep(struct recorder *r, const struct record_event *e);
