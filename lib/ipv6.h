// The IPv6 header and its extension headers (RFC 8200 3, 4): what a packet carries at last.
//
// The extension headers that are passed are those of RFC 4301 4.4.1.1: hop-by-hop options, routing,
// fragment and destination options. ESP and AH are not: for the policies they are what is carried.
//
// Threads: pure functions on the caller's memory.
// Errors:  -EINVAL; the output is then untouched.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	IPV6_HDR_LEN = 40,
	IPV6_SRC_AT = 8, // bytes: where the addresses stand in the header
	IPV6_DST_AT = 24,
	IPV6_MTU_MIN = 1280,	// bytes: what every link carries (RFC 8200 5)
	IPV6_PROTO_UNKNOWN = 0, // a number that nothing has which is carried at last
};

struct ipv6_upper {
	// IPV6_PROTO_UNKNOWN: it stands in another fragment (RFC 4301 4.4.1.1: OPAQUE).
	uint8_t proto;
	bool later;    // a fragment other than the first: there is no upper header in it
	bool fragment; // any fragment, but not what carries a fragment header and is whole (RFC
		       // 6946)
	uint32_t at;   // bytes in front of the upper header, or of a later fragment's data
};

// Bytes of the whole packet, by its own header; 0 when its version is not 6 or it is longer than
// `len` bytes, what there is of it. Jumbograms (RFC 2675) are not known.
size_t ipv6_packet_len(const uint8_t *ip, size_t len);
// Walks the headers of a whole packet of `len` bytes. -EINVAL: a header is cut short (in a first
// fragment too: RFC 7112), stands where it may not (RFC 8200 4.1), or there are more than
// LIMIT_IPV6_EXT_HEADERS. Then nobody can say what the packet is.
int ipv6_find_upper(const uint8_t *ip, size_t len, struct ipv6_upper *out);
