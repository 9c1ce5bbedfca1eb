// Packets that wait until their next hop's MAC address is known: ping must not lose its first.
//
// Threads: a worker, on its own.
#pragma once

#include <stdint.h>

#include "dataplane/batch.h"
#include "lib/addr.h"

struct worker;

// Keeps packet i (bare IP) for up to 1 s and tells control what is missing.
void hold_put(struct worker *w, const struct batch *b, uint16_t i, unsigned port,
	      const struct ip_addr *missing);
