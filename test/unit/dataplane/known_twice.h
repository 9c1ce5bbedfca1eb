// The short way of known flows beside the stages: the same frames, in the same state of all SAs,
// once through the stages alone and once with the short way. What is sent must be the same to the
// last byte, and so must be what goes to Linux, the count of every reason to drop, and what the SAs
// have counted.
//
// The seed is printed by a failure; KNOWN_SEED=N repeats it.
#pragma once

#include "dataplane/drop.h"
#include "storm.h"

enum { FRAMES_MAX = 24, OUT_MAX = 4 * FRAMES_MAX };

struct frame {
	uint16_t len, port; // port 2: to Linux
	uint8_t bytes[2048];
};

struct sa_count {
	uint64_t seq, top_seq, packets, bytes, replays, auth_failures, last_tsc, dummy_tsc;
};

struct outcome {
	unsigned n;
	struct frame frame[OUT_MAX];
	uint64_t drops[DROP_REASON_COUNT], icmp_errors;
	unsigned events[DP_EV_PMTU + 1]; // those of SAs are the same
	struct sa_count out[2], in[STORM_PEERS];
};

extern struct frame given[FRAMES_MAX]; // what the next run gets
extern unsigned n_given;
extern struct outcome by_stages, by_short_way;
extern uint32_t second; // another tunnel, to 10.2.128.0/17

void make_world(void);
void end_world(void);
// 0: the two tunnels and a bypass; others take some of it away, or add a rule about a port.
void set_policies(unsigned kind);
void learn_mtu(uint16_t mtu); // of the path to the peer; it only shrinks
void change_something(void);

// Appends a frame that comes in there, which is freed.
void keep(struct rte_mbuf *m, unsigned port);
// Of a flow that the short way may know. `edges`: or one that it must not take though it looks like
// that. In a batch such a packet takes its sequence number behind the others.
void keep_ordinary(bool edges);
void keep_anything(void);
// The frames given to that port.
void receive(struct batch *in, unsigned port);

void run(struct outcome *o);
void compare(void);
// How many of the frames does the short way take? Not in clear: without ESP.
unsigned count_short_ways(void);
// How many that are ESP go on by the short way when they have been opened? The SAs forget them.
unsigned count_short_ways_in(void);
// Makes an SA's selectors ask for more than addresses, in one of these ways.
enum { ASK_PORT, ASK_PORT_THERE, ASK_PROTO, ASK_PROTO_THERE, ASK_WAYS };
void ask_for_more(struct esp_sa *sa, unsigned way);
// What was sent, as an outcome.
void collect(struct outcome *o);
