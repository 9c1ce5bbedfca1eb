// Gateways in one process: the real ike_run, IKE core and OpenSSL over a wire in memory and a
// dataplane that only keeps accounts. Doubles of dataplane/dp.h and control/ike_socket.h.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/ike_run_priv.h"

#define FAKE_TUNNELS 128
#define FAKE_SAS     256

struct dp { // what the dataplane would hold
	struct {
		bool used;
		char name[DP_NAME_MAX];
		unsigned iface;
		uint32_t out_spi; // 0: none
		struct ip_endpoint moved_to;
		bool hold;		    // packets wait for one
		unsigned outs;		    // set so far
		struct esp_life soft, hard; // of the last
		unsigned gaps;		    // times it was left without one
	} tunnel[FAKE_TUNNELS];
	struct {
		uint32_t spi; // 0: free
		bool published;
		uint32_t tunnel;
	} in[FAKE_SAS];
	size_t n_policies;
	bool refuse; // the next SA
	bool refuse_tunnels, refuse_policies;
	bool dummies_in;    // there is always a dummy packet just now
	int guard_spis;	    // added, less those deleted
	uint64_t guard_spi; // the last one that was added
	size_t guard_peers;
	struct ip_addr ttl_of; // the last that was learned
	uint8_t ttl;
	struct dp_ike_lost lost[4]; // to be told, the last one first
	unsigned n_lost;
	struct dp_guard_params guard_rates;
	struct ike_cookie_keys guard_keys;
	struct dp_guard_info guard_info;     // what the dataplane says
	struct dp_guard_source guard_source; // IP_NONE: nobody
	bool busy_in, busy_out; // there is always a packet just now; else there was never one
	struct dp_tunnel_totals totals; // of every tunnel
	struct dp_port_info port;	// the only one
	uint64_t drops[DROP_REASON_COUNT];
};

struct gateway {
	const char *addr;
	struct dp dp;
	struct ike_run *run;
	struct config *config;
	bool deaf;	  // what arrives is lost
	uint16_t no_port; // what comes from or goes to that port of it is lost on the wire; 0: none
	bool refuse_sends;  // Linux does not take its messages (EPERM)
	unsigned datagrams; // that it has sent, NAT keepalives aside
};

// Creates the gateway and its sockets. `addr` is its address on the wire.
void gateway_up(struct gateway *g, struct event_base *base, const char *addr);
// Loads a configuration and applies it.
void gateway_configure(struct gateway *g, const char *text);
// As if power failed: nothing is sent.
void gateway_crash(struct gateway *g);
// Ends it and checks that the dataplane is empty.
void gateway_down(struct gateway *g);
// Turns the event loop until the condition holds; fails the test after 20 s.
#define WAIT(base, condition)                                                                      \
	do {                                                                                       \
		uint64_t wait_end = run_now_ms() + 20000;                                          \
		while (!(condition)) {                                                             \
			if (run_now_ms() > wait_end)                                               \
				fail_msg("waited in vain for " #condition);                        \
			turn(base, 5);                                                             \
		}                                                                                  \
	} while (0)
void turn(struct event_base *base, uint64_t ms);
// Messages stay on the wire until it is released, then all go.
void wire_hold(bool hold);
// A message from anywhere to a gateway's port 500.
void wire_inject(struct gateway *to, const char *from, const uint8_t *bytes, size_t len);
// The route look-up answers with an error.
void wire_no_route(bool on);

extern uint8_t wire_ttl;				 // of all messages
extern unsigned keepalives;				 // NAT keepalives sent by any gateway
unsigned established(struct gateway *g);		 // IKE SAs
uint32_t out_spi(struct gateway *g, const char *tunnel); // 0: none
bool holds(struct gateway *g, const char *tunnel);	 // packets wait while there is no SA
bool has_in(struct gateway *g, uint32_t spi);
