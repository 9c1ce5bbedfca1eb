// Which packets a capture is to see, and what it has to read of them for that.
//
// A filter is a few conditions, all of which have to hold. What a condition is about may stand in
// the packet (addresses, ports, SPI), or be known to whoever has the packet at hand (the tunnel).
//
// Threads: pure functions on the caller's memory, which may hold anything: nothing is read beyond.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"

#define PACKET_NO_TUNNEL UINT32_MAX

struct packet_filter { // all zero: everything fits
	bool by_port, by_tunnel;
	unsigned port;	       // by_port: where it comes in or leaves
	uint32_t tunnel;       // by_tunnel
	struct ip_addr peer;   // IP_NONE, or source or destination outside of the ESP
	uint32_t spi;	       // 0, or of its ESP
	struct ip_prefix host; // IP_NONE, or source or destination
	uint16_t l4_port;      // 0, or source or destination port of TCP, UDP and the like
};

struct packet_view {
	const uint8_t *ip; // IP header; NULL: it is something else
	size_t len;	   // bytes from there on
	unsigned port;
	uint32_t tunnel;     // PACKET_NO_TUNNEL: none, or not known
	uint32_t spi;	     // of the SA, when the packet itself does not show one; else 0
	const uint8_t *peer; // of the SA, of the same kind; else NULL
	size_t peer_len;
};

bool packet_filter_match(const struct packet_filter *f, const struct packet_view *v);
// SPI of an IP packet that is ESP, bare or in UDP (port 4500 on either side); 0 when it is none.
uint32_t packet_esp_spi(const uint8_t *ip, size_t len);
// The IP header of an Ethernet frame, behind up to two VLAN tags; NULL when it carries no IP.
const uint8_t *packet_in_frame(const uint8_t *frame, size_t len, size_t *ip_len);
