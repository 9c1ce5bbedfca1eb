// ICMP and ICMPv6 messages that a probe waits for: echo replies, and errors that quote one of its
// packets (RFC 792, RFC 4443 3).
//
// Pure; the bytes are a stranger's.
// Errors: -EBADMSG for what is cut short or of no interest; the output stays untouched.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "control/doctor/doctor.h"
#include "lib/addr.h"

struct probe_icmp {
	bool echo_reply;      // else an error
	enum doctor_icmp why; // of an error
	uint8_t type, code;
	uint8_t ttl; // that it came with, 0: not known
	// Of the echo reply, or of the echo request that an error quotes: quoted_echo.
	bool quoted_echo;
	uint16_t ident, seq;
	// Of the UDP datagram that an error quotes.
	struct ip_addr local, remote; // from, to
	uint16_t local_port, remote_port;
	uint16_t udp_len; // as its header says: that of the whole, if it was fragmented
};

// An IPv4 packet as a raw socket gives it, header included.
int probe_icmp4_parse(const uint8_t *bytes, size_t len, struct probe_icmp *out);
// An ICMPv6 message, without the header of IPv6.
int probe_icmp6_parse(const uint8_t *bytes, size_t len, struct probe_icmp *out);
