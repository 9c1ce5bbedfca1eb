// What a probe needs besides the sockets of IKE: ICMP from our own address, and a UDP port of no
// meaning.
//
// A raw socket, because an ordinary one of ICMP needs a group that net.ipv4.ping_group_range
// names, and hears of no errors about UDP. It sees every ICMP message that comes to our address;
// probe_icmp.h picks.
//
// Threads:   control only.
// Errors:    0 or -errno.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/error.h"

struct probe_socket {
	int icmp, udp; // -1: closed
	enum ip_family family;
	struct ip_addr local;
};

// Bound to `local`. *mtu: bytes of IP packet to `remote` that leave in one piece, as far as Linux
// knows. -EPERM and others with a sentence; nothing is open then.
int probe_socket_open(struct probe_socket *s, const struct ip_addr *local,
		      const struct ip_addr *remote, uint16_t *mtu, struct error *err);
void probe_socket_close(struct probe_socket *s);
// An echo request that makes an IP packet of `len` bytes, with DF, whatever the path MTU is.
int probe_socket_echo(struct probe_socket *s, const struct ip_addr *remote, uint16_t ident,
		      uint16_t seq, uint16_t len);
int probe_socket_udp(struct probe_socket *s, const struct ip_endpoint *remote, const uint8_t *bytes,
		     size_t len);
// What has come; -EAGAIN when nothing waits. *ttl of ICMPv6, 0: not known.
int probe_socket_receive_icmp(struct probe_socket *s, uint8_t *buf, size_t size, size_t *len,
			      struct ip_addr *from, uint8_t *ttl);
int probe_socket_receive_udp(struct probe_socket *s, uint8_t *buf, size_t size, size_t *len,
			     struct ip_endpoint *from);
