// What the simulator's own files share; tests include sim.h.
#pragma once

#include "test/sim/sim.h"

// Remembers the first violation.
void sim_broken(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// ---- sim_peer.c: what the core borrows ----

void sim_peer_init(struct sim *s, struct sim_peer *p, const char *name, uint8_t last,
		   uint64_t seed);
// Builds the connection from conf, at the first event.
void sim_peer_configure(struct sim_peer *p);
// From one state to another (an SPI_ value); false, and broken, when it is not in the first.
bool sim_spi_change(struct sim_peer *p, uint32_t spi, int from, int to, const char *what);
