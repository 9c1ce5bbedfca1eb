// The UDP sockets of IKE: port 500, and port 4500 with the non-ESP marker (RFC 3948 2.2).
//
// One of each for IPv4 and for IPv6 (RFC 7296 2: the same ports). They stand on all addresses;
// IP_PKTINFO and IPV6_PKTINFO (RFC 3542 6) tell the address a packet came to and choose the one it
// leaves from. ESP in UDP never comes here: the workers take it before Linux sees it.
//
// Threads:   control only.
// Errors:    0 or -errno.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/error.h"

#define IKE_SOCKETS	  4
#define IKE_SOCKET_V6	  2 // the first of IPv6
#define IKE_SOCKET_CLOSED ((struct ike_socket){.fd = {-1, -1, -1, -1}})

struct ike_socket {
	int fd[IKE_SOCKETS]; // 500 and 4500 of IPv4, then of IPv6; -1: closed
};

// -EADDRINUSE and -EACCES with a sentence that says what to do. A kernel without IPv6 is no error:
// the last two stay closed.
int ike_socket_open(struct ike_socket *s, struct error *err);
void ike_socket_close(struct ike_socket *s);

// One message, the marker removed. *len: bytes. -EAGAIN when none waits, -EBADMSG for a packet
// that is no IKE message (cut short, without marker; *len is 1 for a NAT keepalive, else 0).
// `local` and `remote` are filled for -EBADMSG too. *ttl: as it came (IPv6: hop limit), 0 when Linux
// does not say.
int ike_socket_receive(struct ike_socket *s, unsigned which, uint8_t *buf, size_t size, size_t *len,
		       struct ip_endpoint *local, struct ip_endpoint *remote, uint8_t *ttl);
// Sends from local->addr (IP_NONE: Linux chooses) and local->port, which is 500 or 4500.
int ike_socket_send(struct ike_socket *s, const struct ip_endpoint *local,
		    const struct ip_endpoint *remote, bool non_esp_marker, const uint8_t *bytes,
		    size_t len);
// The same with a TTL (hop limit) of its own; 0: Linux's.
int ike_socket_send_ttl(struct ike_socket *s, const struct ip_endpoint *local,
			const struct ip_endpoint *remote, bool non_esp_marker, const uint8_t *bytes,
			size_t len, uint8_t ttl);
// What ICMP said about a message of ours. Anybody can send that: it is evidence, no proof.
struct ike_socket_icmp {
	struct ip_addr from; // who said so; our own address: Linux, whose ARP was not answered
	struct ip_endpoint remote; // where the message went
	uint8_t type, code;	   // of the remote's family
};

// Takes the errors that wait on a socket, at most 64. They have to be taken: as long as any waits,
// the socket counts as readable.
void ike_socket_errors(struct ike_socket *s, unsigned which,
		       void (*fn)(void *ctx, const struct ike_socket_icmp *e), void *ctx);
// The address Linux would send from, which is what its routes prefer. -ENETUNREACH and others with
// a sentence.
int ike_socket_source(const struct ip_addr *remote, struct ip_addr *local, struct error *err);
// 0 when a packet from `local` to `remote` has somewhere to go; otherwise a sentence says why not.
int ike_socket_reachable(const struct ip_addr *local, const struct ip_addr *remote,
			 struct error *err);
