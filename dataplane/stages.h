// The stages of the packet path, in the order in which worker_step() calls them.
//
//   rx -> classify -+-> esp_in ------------------------------+-> route -> tx
//                   +-> policy -+-> esp_out -----------------+
//                   |           +-> (bypass) ----------------+
//                   +-> punt (to Linux)
//
// Every stage takes packets as batch.h says and drops with a named, counted reason.
#pragma once

#include "dataplane/batch.h"
#include "dataplane/worker.h"

// Outbound policy (RFC 4301 5.1): moves each packet of `in` to `protect` (tunnel set) or `pass`,
// or drops it. Packets that Linux itself sends and that match no policy pass; so does IKE of our
// own (UDP from local port 500 or 4500 of an own address), whatever the policies say. Empties `in`.
void policy_out(struct worker *w, struct batch *in, struct batch *protect, struct batch *pass);
// Inbound clear text (RFC 4301 5.2): drops what matches a protect policy reversed, or a discard
// one; keeps the rest. For every packet that comes from a port's NIC in clear, before it is
// punted or forwarded. IKE to our own ports 500 and 4500 is never asked about.
void policy_in_clear(struct worker *w, struct batch *b);

// Outbound ESP, tunnel mode IPv4 in IPv4: takes inner packets with b->tunnel set, whose TTL is
// already counted down; leaves outer packets ready to be routed. A packet too big for the tunnel
// is answered with ICMP when DF is set (the answer joins `icmp`, to be routed in clear).
void esp_out(struct worker *w, struct batch *b, struct batch *icmp);

// Inbound ESP: takes packets to an own address that are protocol 50, or UDP to port 4500 with a
// marker that is not zero. Leaves inner packets, authenticated, not replayed and inside the SA's
// selectors. Packets of another owner's SAs are handed over.
void esp_in(struct worker *w, struct batch *b);
