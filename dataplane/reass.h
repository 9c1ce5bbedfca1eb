// Putting together fragments of what is for ourselves: ESP must be whole before it is taken apart
// (RFC 4303 3.4.1), and UDP to port 4500 shows in its first fragment only whether it is ESP.
//
// A table of each worker holds the fragments of at most REASS_PACKETS packets for REASS_MS: one
// those from the addresses of configured peers and from Linux, another those of all others, which
// thus cannot fill it. All fragments of one packet are the business of one worker, found by
// addresses and identification.
//
// Threads:   create, destroy: control, while the worker does not run; the rest: the worker.
// Ownership: a fragment that is put belongs to the table.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_ip.h>
#include <rte_mbuf.h>

struct dp;
struct reass;
struct worker;

#define REASS_PACKETS 256 // of one worker, from peers; and as many from others
#define REASS_MS      1000
#define REASS_BUF_LEN (8 * 1480 + 64) // bytes of IP packet: as many fragments as are taken
#define REASS_BUFS    256 // for packets that do not fit into an ordinary buffer; all workers

// -ENOMEM.
int reass_create(struct dp *dp, struct reass **out);
void reass_destroy(struct reass *r); // NULL is allowed

// The worker that puts this fragment's packet together.
unsigned reass_owner(const struct dp *dp, const struct rte_ipv4_hdr *ip);
// Takes a bare IPv4 fragment with its Ethernet header in front. The whole packet, in one buffer and
// with the Ethernet header of its first fragment, when this was the last that it lacked; else NULL.
// What cannot be put together is dropped and counted.
struct rte_mbuf *reass_put(struct worker *w, struct rte_mbuf *m, bool from_linux);
// The same for IPv6, where the fragment header stands right behind the IP header. It is not in the
// whole packet.
unsigned reass6_owner(const struct dp *dp, const uint8_t *ip);
struct rte_mbuf *reass6_put(struct worker *w, struct rte_mbuf *m, bool from_linux);
// Drops what has waited too long. Every worker calls it in each of its rounds.
void reass_expire(struct worker *w);
