// Cutting packets that are too large for what is ahead of them: IPv4 packets (RFC 791 3.2, RFC 4301
// 8.2.1: before encryption, so that the far gateway has nothing to put together), and IPv6 packets
// of our own (RFC 8200 4.5), which are ESP that had to be made too large.
//
// Threads: a worker.
// Errors:  0 or -errno; on error nothing has changed.
#pragma once

#include <stdint.h>

#include "dataplane/batch.h"

struct worker;

// Most pieces of one packet. A whole IPv4 packet of 64 kB never comes here: buffers are smaller.
#define FRAG_MAX BATCH_MAX

// Cuts packet `i` of `b`, a bare IPv4 packet in one buffer without DF, into pieces of at most `mtu`
// bytes, which become the contents of `pieces` with the columns of the packet. Takes the packet.
// -EMSGSIZE: more than FRAG_MAX pieces, or an MTU without room for data; -ENOBUFS: no packet
// memory.
int frag_cut(struct worker *w, const struct batch *b, uint16_t i, uint16_t mtu,
	     struct batch *pieces);
// The same for an IPv6 packet of our own without extension headers.
int frag6_cut(struct worker *w, const struct batch *b, uint16_t i, uint16_t mtu,
	      struct batch *pieces);
