// The stages of the packet path, in the order in which worker_step() calls them.
//
//   rx -> classify -+-> esp_in ------------------------------+-> route -> tx
//                   +-> policy -+-> esp_out -----------------+
//                   |           +-> (bypass) ----------------+
//                   +-> guard -> punt (to Linux)
//
// Every stage takes packets as batch.h says and drops with a named, counted reason.
#pragma once

#include "dataplane/batch.h"
#include "dataplane/worker.h"

// What classify() makes of a received batch.
struct sorted {
	struct batch punt;    // for Linux, policy or not: ARP, ND, IKE
	struct batch local;   // clear IP for Linux
	struct batch transit; // to be forwarded
	struct batch esp;     // for esp_in
	struct batch out;     // of our own, for policy_out
};

// Sorts a batch by origin, Ethernet type and destination and strips the Ethernet header (which
// stays in the headroom). Frames of Linux that are no IP, and its ND, leave at once. Empties `in`.
void classify(struct worker *w, struct batch *in, struct sorted *s);
// Moves what esp_in left to `local` (own address) or `transit`. Empties `esp`.
void classify_inner(struct worker *w, struct batch *esp, struct sorted *s);
// Counts the TTL or hop limit of forwarded packets down (RFC 1812 5.3.1, RFC 8200 3) and moves them
// to `out`.
void forward(struct worker *w, struct batch *transit, struct batch *out);
// Sends bare IP packets to their next hops, or holds them until the next hop is known.
void route(struct worker *w, struct batch *b);
// Tries held packets again when routes or neighbours have changed; drops what waited 1 s.
void hold_retry(struct worker *w);
// Sends on what waited for an outbound SA that is there now; drops what waited too long.
void acquire_retry(struct worker *w);
// The guard of UDP/500 and 4500 (guard.h), for packets on their way to Linux: moves IKE of those we
// know to `first`, and answers or drops what may not pass.
void guard(struct worker *w, struct batch *punt, struct batch *first);
// Gives packets to Linux through the TAP of the port where they came in, with the Ethernet header
// that they have in front, or one of our making for what came out of a tunnel. Empties `b`.
void punt(struct worker *w, struct batch *b);
// The same by a ring of its own, which is emptied first: what the guard lets pass first.
void punt_first(struct worker *w, struct batch *b);
// Queues a frame (Ethernet header in place) for a port.
void tx_put(struct worker *w, unsigned port, struct rte_mbuf *m);
// Hands all queued frames to the ports, and those that other workers left for a port of ours.
// Returns how many of the latter.
unsigned tx_flush(struct worker *w);
// Hands the queued frames of one device, by the index of its port, to it.
void tx_flush_port(struct worker *w, unsigned port);

// Outbound policy (RFC 4301 5.1): moves each packet of `in` to `protect` (tunnel set) or `pass`,
// or drops it. Packets with from_linux set that match no policy pass; so does IKE of our
// own (UDP from local port 500 or 4500 of an own address), whatever the policies say. Empties `in`.
void policy_out(struct worker *w, struct batch *in, struct batch *protect, struct batch *pass);
// Inbound clear text (RFC 4301 5.2): drops what matches a protect policy reversed, or a discard
// one; keeps the rest. For every packet that comes from a port's NIC in clear, before it is
// punted or forwarded. IKE to our own ports 500 and 4500 is never asked about.
void policy_in_clear(struct worker *w, struct batch *b);

// Outbound ESP: takes inner packets of either family with b->tunnel set, whose TTL is already
// counted down; leaves outer packets ready to be routed. A packet too big for the tunnel is
// answered with ICMP when it is one of IPv6 or DF is set (the answer joins `icmp`, to be routed in
// clear); else it is cut, and its pieces have been routed on return. In transport mode fragments
// are kept until all are there. Without an SA a packet waits when somebody is to bring one, else it
// is dropped.
void esp_out(struct worker *w, struct batch *b, struct batch *icmp);

// The same for dummy packets (tfc.h), which are what lies in the mbufs; sends them. Those whose
// tunnel has no outbound SA are freed.
void esp_out_dummies(struct worker *w, struct batch *b);

// Inbound ESP: takes packets to an own address that are protocol 50, or UDP to port 4500 with a
// marker that is not zero. Leaves inner packets, authenticated, not replayed and inside the SA's
// selectors. Packets of another owner's SAs are handed over.
void esp_in(struct worker *w, struct batch *b);
// The same in two steps, where it is known already where ESP stands in each packet. The first
// leaves those whose SA, owner and number may be good, with b->sa[] set and their jobs done, well
// or not; the second what esp_in() leaves.
struct crypto_job;
struct esp_place;
void esp_in_open(struct worker *w, struct batch *b, struct esp_place *at, struct crypto_job *job);
void esp_in_accept(struct worker *w, struct batch *b, const struct esp_place *at,
		   const struct crypto_job *job);
