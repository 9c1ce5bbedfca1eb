// ESP in transport mode (RFC 4303 3.1.1, RFC 4301 4.1): what a gateway sends itself to another one
// (GRE, IP in IP, BGP), with its own IP header in front of ESP.
//
//   IP, options | [UDP] SPI  seq | IV | what IP carried, padding, pad length, next header | ICV
//   IPv6, hop-by-hop, routing | ...    destination options and what follows them
//
// The header stays as it is but for its length, the protocol and the checksum of IPv4: hop counts,
// DSCP, ECN and DF are those of the packet. Only whole datagrams go in (RFC 4301 7): what Linux has
// cut is put together first, and ESP that is too large is cut by route().
//
// Threads: a worker.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "dataplane/batch.h"
#include "dataplane/crypto.h"
#include "dataplane/drop.h"
#include "dataplane/tunnel.h"
#include "lib/addr.h"

struct sa_in;

// What of a packet stands in front of ESP.
struct esp_front {
	uint16_t len;	  // bytes: the header with its options, or extension headers
	uint16_t next_at; // where its last part says what follows
	uint8_t next;	  // what it says
};

// The front of a whole IPv4 or IPv6 packet of `len` bytes that is to be encrypted. False when its
// headers are cut short.
bool esp_transport_front(const uint8_t *ip, size_t len, struct esp_front *out);
// That of a received IPv6 packet: the headers in front of ESP or UDP, which stand there whole.
// False when it is neither, a fragment, or still on its way by a routing header.
bool esp_transport_front6(const uint8_t *ip, size_t len, struct esp_front *out);

enum esp_own {
	ESP_OWN_NOT, // dropped, or kept until the other fragments come
	ESP_OWN_AS_SENT,
	ESP_OWN_JOINED, // Linux had cut it: ESP may be cut as well
};

// May packet i go on a transport SA? Only what is our own, between the SA's outer addresses. A
// fragment is put together with the others: b->pkt[i] is then the whole.
enum esp_own esp_transport_take(struct worker *w, const struct sa_out *sa, struct batch *b,
				uint16_t i);
// Largest packet in bytes that the SA carries on a path of that MTU behind a front of `front_len`
// bytes; 0 when none fits.
uint16_t esp_transport_mtu(const struct sa_out *sa, unsigned front_len, uint16_t path_mtu);
// Makes an ESP packet of a packet that has room for it, and its job for the crypto library.
void esp_transport_wrap(const struct sa_out *sa, struct rte_mbuf *m, uint64_t seq,
			struct crypto_job *job);
// RFC 8200 8.1: the checksum of UDP over IPv6, after encryption. Does nothing for other packets.
void esp_transport_sum6(const struct sa_out *sa, struct rte_mbuf *m);

// What two addresses add to a checksum over both, as sa_in.oa_sum.
uint16_t esp_transport_sum_addrs(const struct ip_addr *a, const struct ip_addr *b);
// Puts the front back before what was decrypted, `len` bytes at `text`, the first of them right
// behind the `esp_at` bytes that stand in front of ESP (UDP among them) and ESP's own header; with
// the checksums that a NAT has made wrong set right (RFC 3948 3.1.2). Checks form and selectors.
// DROP_REASON_COUNT: good, and *packet is the whole, *packet_len bytes of it.
enum drop_reason esp_transport_unwrap(const struct sa_in *sa, uint8_t *outer, uint16_t esp_at,
				      bool udp, uint8_t next_header, uint8_t *text, uint32_t len,
				      uint8_t **packet, uint16_t *packet_len);
