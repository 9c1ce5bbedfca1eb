// Packets that wait until their tunnel gets an outbound SA: what asks for a tunnel must not be
// lost to the asking, nor to the moment without an SA in a restart.
//
// A worker keeps up to WORKER_ACQUIRE_MAX of them, ACQUIRE_PER_TUNNEL of one tunnel, for up to
// ACQUIRE_MS; the oldest has to go when there are more. They leave in the order in which they
// came, in front of later packets of the same tunnel.
//
// Threads: a worker, on its own.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/batch.h"

#define ACQUIRE_PER_TUNNEL 16
#define ACQUIRE_MS	   1000

struct tunnel;
struct worker;

// Keeps packet i (bare IP) of a batch for its tunnel, b->tunnel[i].
void acquire_put(struct worker *w, const struct batch *b, uint16_t i);
// Do packets of that tunnel wait here?
bool acquire_waits(const struct worker *w, const struct tunnel *t);
