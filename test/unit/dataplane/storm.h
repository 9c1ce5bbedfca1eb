// Packets and SAs for test_storm.c: what a peer sends, in every transform, what hosts send, and
// what is wrong with either.
//
// The peer is a part of the same dataplane: tunnels whose outbound SAs have the keys of our inbound
// ones. Its other packets are sealed by OpenSSL (esp_ref.h), with anything at all inside.
#pragma once

#include "core.h"
#include "esp_ref.h"

enum { STORM_PEERS = 4 }; // the second is in UDP, the third over IPv6, the fourth both

struct storm {
	uint64_t rng;
	uint32_t tunnel;	      // ours, to the peer
	uint32_t mirror[STORM_PEERS]; // the peer's, to us
	uint32_t spi_in[STORM_PEERS];
	struct esp_sa peer_sa[STORM_PEERS]; // as the peer has it
	struct esp_ref_suite suite[ESP_REF_SUITES_MAX];
	unsigned n_suites, next_out, next_in;
	unsigned out_suite, in_suite[STORM_PEERS];			 // what the SAs have now
	uint64_t sealed[ESP_REF_SUITES_MAX], opened[ESP_REF_SUITES_MAX]; // packets
	uint64_t opened_transport; // of these in transport mode
};

extern struct storm storm;

uint32_t below(uint32_t n);

void storm_init(uint64_t seed); // tunnels and a first set of SAs
void storm_fini(void);
// An outbound SA to the peer as those of `tunnel`, over IPv4; for dp_tunnel_set_out().
struct esp_sa storm_sa_out(uint32_t spi, unsigned suite, bool udp);
// New SAs in the place of the old ones, whose packets are added to sealed[] and opened[].
void clear_outbound(void);
void renew_outbound(void);
void renew_inbound(unsigned peer);

// Frames or bare packets of hosts, with extension headers, fragments and now and then nonsense.
struct rte_mbuf *clear_packet(const char *src, const char *dst, bool bare);
struct rte_mbuf *clear_packet6(const char *src, const char *dst, bool bare);
// What the peer sends to us, bare. Genuine: NULL when it cannot.
struct rte_mbuf *genuine_esp(void);
struct rte_mbuf *forged_esp(void); // authentic, but its text need not be a packet
struct rte_mbuf *frame_for_us(struct rte_mbuf *m);
void mutate(struct rte_mbuf *m); // a frame
struct rte_mbuf *garbage(void);	 // a frame
