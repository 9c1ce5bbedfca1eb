// The TCP maximum segment size (RFC 9293 3.7.1) in packets that a gateway forwards.
//
// A SYN announces what its sender takes in one segment. Where a tunnel takes less, the option is
// lowered, so that the segments fit without fragments or ICMP, which many networks lose.
//
// Threads: pure functions on the caller's memory.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Does the packet open a TCP connection, or answer one that does? Same conditions as below.
bool tcp_is_syn(const uint8_t *ip, size_t len);
// Lowers the MSS option of a whole IPv4 or IPv6 packet of `len` bytes to what fits into a packet of
// `mtu` bytes, and corrects the TCP checksum (RFC 1624). Packets that are no SYN, have no such
// option or announce no more than that stay as they are: false. Options that are malformed are left
// alone: they are for the end to judge. The IP header must have been checked.
bool tcp_mss_clamp(uint8_t *ip, size_t len, uint16_t mtu);
