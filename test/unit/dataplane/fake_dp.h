// A dataplane of one worker and no ports, for testing the ESP, SAD, tunnel and policy files alone.
//
// fake_dp.c stands in for the parts of the dataplane that those files call: routes, own
// addresses, events, ICMP, hand-over, deferred frees. What they are called with is recorded here.
#pragma once

#include <rte_ip.h>
#include <rte_mbuf.h>

#include "dataplane/dp_internal.h"
#include "dataplane/stages.h"
#include "dataplane/tunnel.h"
#include "lib/esp_sa.h"

#define GW_A	"192.0.2.1"
#define GW_B	"198.51.100.2"
#define GW_A6	"2001:db8:a::1"
#define GW_B6	"2001:db8:b::2"
#define SITE_A	"10.1.0.0/16"
#define SITE_B	"10.2.0.0/16"
#define HOST_A	"10.1.0.10"
#define HOST_B	"10.2.0.20"
#define SITE_A6 "2001:db8:1::/48"
#define SITE_B6 "2001:db8:2::/48"
#define HOST_A6 "2001:db8:1::10"
#define HOST_B6 "2001:db8:2::20"

struct fake {
	struct dp dp;
	struct worker *w;
	// what the fakes answer
	uint16_t route_mtu;
	const char *own_addr;
	bool no_icmp;		// the ration of errors is used up
	struct rte_mbuf *whole; // what the next fragment completes
	// what they were called with
	unsigned n_events, n_handed_over, n_icmp, n_deferred;
	struct dp_event event; // the last one
	unsigned handed_to;
	unsigned n_waiting;		// packets given to acquire_put
	const struct tunnel *waits_for; // the last one's; others wait when the worker has n_waiting
	unsigned n_fragments, n_fragments_of_linux;
	uint16_t icmp_mtu;
	uint32_t icmp_src_be;
	struct batch routed;	// pieces of cut packets
	void (*at_route)(void); // what happens meanwhile, once; NULL: nothing
};

extern struct fake fake;

int fake_group_setup(void **state); // EAL, once per program
int fake_group_teardown(void **state);
int fake_setup(void **state);	 // tables, worker; for every test
int fake_teardown(void **state); // fails when mbufs leaked

// Waits for the grace period when `online`; frees what dp_defer_free was given.
void fake_reclaim(void);

uint32_t be32(const char *addr); // IPv4 text -> network order
struct selector sel(const char *text);

// An SA between the gateways and sites above with a fixed key. `in` swaps nothing: local is A.
struct esp_sa fake_esp_sa(uint32_t spi, unsigned key_bits, bool udp);
// Copies of the key of fake_esp_sa: 16 or 32 bytes and 4 of salt.
extern const uint8_t fake_key[36];

// An IPv4 packet of `len` bytes with valid header checksum; the rest is a counting pattern, ports
// in place for TCP and UDP.
void make_ip(uint8_t *buf, size_t len, const char *src, const char *dst, uint8_t proto,
	     uint16_t src_port, uint16_t dst_port);
// The same for IPv6, at least 40 bytes; the ports stand right behind the header.
void make_ip6(uint8_t *buf, size_t len, const char *src, const char *dst, uint8_t next,
	      uint16_t src_port, uint16_t dst_port);
struct rte_mbuf *mbuf_of(const void *ip, size_t len);
// Appends to a batch as coming from a NIC.
void batch_put(struct batch *b, struct rte_mbuf *m);
void batch_free(struct batch *b);

// ESP made by OpenSSL, not by the code under test: outer header (and UDP 4500), the text given
// (trailer included), `iv` as IV. Returns the length.
struct fake_esp {
	uint32_t spi, seq;
	unsigned key_bits;
	bool udp;
	uint8_t tos;
	unsigned ip_options; // bytes, a multiple of 4
};
size_t make_esp(uint8_t *buf, const struct fake_esp *how, const uint8_t *text, size_t text_len);
// Turns what make_esp() made into the same over IPv6, from GW_B6 to GW_A6. Returns the length.
size_t over_ipv6(const uint8_t *v4, size_t len, uint8_t *out);
// Appends padding (1, 2, 3 ..., `extra` more than needed, a multiple of 4) and trailer to `len`
// bytes of payload. Returns the length.
size_t put_trailer(uint8_t *text, size_t len, unsigned extra, uint8_t next_header);
// The other way round with OpenSSL: decrypts `esp` (at the ESP header) into text. -1 when the ICV
// is wrong, else the length of the text.
int open_esp(const uint8_t *esp, size_t len, unsigned key_bits, uint8_t *text);

// An inbound SA of fake_esp_sa with an SPI of the table's choice, which is returned.
uint32_t fake_publish_in(unsigned key_bits, bool udp, uint32_t window);
// A packet from HOST_B to HOST_A, UDP when it is long enough for ports. Returns len.
size_t make_inner(uint8_t *ip, size_t len);
// One packet as `how` with `text` inside into esp_in(); how many came out into `b`.
unsigned fake_receive(struct batch *b, const struct fake_esp *how, const uint8_t *text,
		      size_t text_len);

bool ip_checksum_ok(const void *ip);
uint64_t dropped(unsigned reason); // enum drop_reason
uint64_t dropped_total(void);
