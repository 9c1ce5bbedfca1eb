// Up to 64 packets on their way through the stages.
//
// Between classify and tx the data of an mbuf starts at the IP header and ends with the IP
// packet (no Ethernet header, no trailing padding). A stage that keeps fewer packets than it got
// moves the rest together (batch_keep) so that 0..n-1 are always valid.
// Threads: one worker's own.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#define BATCH_MAX 64

struct sa_in;
struct tunnel;

// Who made a packet, and so what happens to it where no policy matches.
enum batch_origin {
	FROM_NIC,	 // received in clear (or ESP, until esp_in took it apart)
	FROM_TAP,	 // sent by Linux; its Ethernet header is kept in front
	FROM_TUNNEL,	 // came out of esp_in
	FROM_SELF,	 // an ICMP error of our own, about a packet that came in clear
	FROM_SELF_TUNNEL // the same, about one that came out of a tunnel: never leaves in clear
};

struct batch {
	uint16_t n;
	struct rte_mbuf *pkt[BATCH_MAX];
	uint16_t port[BATCH_MAX];   // where it came in (whose TAP, when from_linux): a port, or a
				    // tunnel interface's number
	uint8_t origin[BATCH_MAX];  // enum batch_origin
	bool from_linux[BATCH_MAX]; // any origin but FROM_NIC: what matches no policy passes
	struct tunnel *tunnel[BATCH_MAX]; // outbound, set by policy
	struct sa_in *sa[BATCH_MAX];	  // inbound, set by esp_in
};

// Makes a batch empty. An initializer would write all 1.7 kB of it, each time a worker looks for
// packets; that was more than all else that an idle round does.
static inline void batch_clear(struct batch *b)
{
	b->n = 0;
}

// Copies packet i of `from` with its columns to the end of `to`, which has room.
static inline void batch_append(struct batch *to, const struct batch *from, uint16_t i)
{
	uint16_t n = to->n++;

	to->pkt[n] = from->pkt[i];
	to->port[n] = from->port[i];
	to->origin[n] = from->origin[i];
	to->from_linux[n] = from->from_linux[i];
	to->tunnel[n] = from->tunnel[i];
	to->sa[n] = from->sa[i];
}

// Moves packet i down to place `kept` of the same batch.
static inline void batch_keep(struct batch *b, uint16_t kept, uint16_t i)
{
	if (kept == i) // nothing has been left out so far
		return;
	b->pkt[kept] = b->pkt[i];
	b->port[kept] = b->port[i];
	b->origin[kept] = b->origin[i];
	b->from_linux[kept] = b->from_linux[i];
	b->tunnel[kept] = b->tunnel[i];
	b->sa[kept] = b->sa[i];
}
