// Writes pcapng, the file format of packet captures (draft-ietf-opsawg-pcapng).
//
// A file is a section header, a description of each interface before its first packet, packets, and
// statistics of the interfaces at the end. Written in network byte order, which the header says.
// Time is nanoseconds since 1970.
//
// Threads:   pure functions on the caller's writer.
// Errors:    the writer's `failed` when it has no room; nothing of the block is then in it.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/bytes.h"

enum pcapng_link { // LINKTYPE_ of tcpdump.org
	PCAPNG_ETHERNET = 1,
	PCAPNG_RAW_IP = 101, // an IPv4 or IPv6 header first
};

enum pcapng_direction { PCAPNG_NO_DIRECTION, PCAPNG_INBOUND, PCAPNG_OUTBOUND };

struct pcapng_packet {
	uint32_t iface; // interfaces count from 0 in the order of their descriptions
	uint64_t time_ns;
	uint64_t id; // the same for one packet that is seen several times; 0: not known
	enum pcapng_direction direction;
	uint64_t lost;	     // packets of the interface between the last one and this
	const char *comment; // NULL for none
	const uint8_t *data; // of which there are cap_len bytes of len
	uint32_t cap_len, len;
};

#define PCAPNG_COMMENT_MAX  1024 // bytes that are written of a comment, or of a name
#define PCAPNG_BLOCK_MAX(n) ((size_t)(n) + 2 * PCAPNG_COMMENT_MAX + 256) // bytes, of n of packet

// `application` and `os` in words.
void pcapng_section(struct writer *w, const char *application, const char *os);
// `snap_len`: 0 for no limit.
void pcapng_interface(struct writer *w, enum pcapng_link link, uint32_t snap_len, const char *name,
		      const char *description);
void pcapng_packet(struct writer *w, const struct pcapng_packet *p);
void pcapng_statistics(struct writer *w, uint32_t iface, uint64_t time_ns, uint64_t start_ns,
		       uint64_t received, uint64_t lost);
