// Flows whose way is known: the short way of an ordinary packet.
//
// What the stages decide of a packet by its addresses alone, or with protocol and ports where a
// policy or an SA asks for them, is the same for the next packet of its flow: the policies both
// ways, the outbound SA and its selectors, the size that fits, the port and the Ethernet header.
// A worker remembers it in a table of its own, and takes packets of such flows from the frame that
// came in to the frame that leaves in one go. Whatever is not ordinary (fragments, IP options, a
// TTL that ends, too large, IPv6, VLANs, transport mode, a TCP SYN whose MSS is to be clamped, ...)
// and whatever flow is not known takes the stages (stages.h), which alone answer; what is dropped
// here is a replay, or beyond its SA's life. So this is never more than they would do, and every
// line here that declines is safe.
//
// The table is good for one epoch of the dataplane's tables (dp_epoch). Control begins a new one
// after each change; what was remembered is then looked up again. A pointer to an SA is followed
// only in the epoch in which it was found: it is freed after a grace period that begins after the
// next epoch has.
//
// Threads: a worker, on its own table.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/batch.h"
#include "dataplane/worker.h"

struct crypto_job;
struct esp_place;
struct known;

struct known *known_create(void); // NULL: no memory
void known_destroy(struct known *k);

// May packets go by the short way at all just now?
bool known_usable(const struct worker *w);
// How many packets to take from a source in this round: fewer while many flows have to be looked up
// anew, which takes much longer than to know them, so that the worker is back as soon as otherwise.
uint16_t known_batch_max(struct worker *w);
// Sends those frames of a batch from a port's NIC whose flow is known, and moves ESP over IPv4 to
// us, in UDP or not, to `esp`, bare, with `at` set: both for esp_in_open(). The rest stays, for
// classify(). Of `in` only pkt[] is read and kept.
void known_frames(struct worker *w, uint8_t port, struct batch *in, struct batch *esp,
		  struct esp_place *at);
// The same for ESP that esp_in_open() has opened; the rest stays, for esp_in_accept(), in
// `b`, `at` and `job` alike. Replays among those of known flows are dropped.
void known_opened(struct worker *w, struct batch *b, struct esp_place *at, struct crypto_job *job);
// The same for what came out of a tunnel (esp_in()); the rest stays, for classify_inner().
void known_inner(struct worker *w, struct batch *b);
