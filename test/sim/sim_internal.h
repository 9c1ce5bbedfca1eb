// What the simulator's own files share; tests include sim.h.
#pragma once

#include "test/sim/sim.h"

// Remembers the first violation.
void sim_broken(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// ---- sim_child.c: the children in the dataplane, and ESP ----

void sim_child_install(struct sim_peer *p, struct ike_child_install *i);
void sim_child_use(struct sim_peer *p, struct ike_child_use *u);
void sim_child_remove(struct sim_peer *p, uint32_t spi_in, uint32_t spi_out, bool linger);
void sim_child_move(struct sim_peer *p, uint32_t spi_in, uint32_t spi_out,
		    const struct ip_endpoint *local, const struct ip_endpoint *remote);
bool sim_child_used(void *ctx, uint32_t spi_in);
// One packet in each direction on whatever SA is in use now.
void sim_flow_send(struct sim *s);
// When the next one arrives, or IKE_NEVER; takes what has arrived.
uint64_t sim_flow_next_ms(const struct sim *s);
void sim_flow_deliver(struct sim *s);

struct ip_addr sim_addr(const struct sim *s, uint8_t last); // of 192.0.2.0/24 or 2001:db8::/64

// ---- sim_peer.c: what the core borrows ----

bool sim_owns(const struct sim_peer *p, const struct ip_addr *a);
void sim_peer_init(struct sim *s, struct sim_peer *p, const char *name, uint8_t last,
		   uint64_t seed);
// Builds the connection from conf, at the first event.
void sim_peer_configure(struct sim_peer *p);
// From one state to another (an SPI_ value); false, and broken, when it is not in the first.
bool sim_spi_change(struct sim_peer *p, uint32_t spi, int from, int to, const char *what);
