// The ESP packet (RFC 4303) and what in and out share.
//
// In tunnel mode; transport mode is esp_transport.h's:
//   outer IP [UDP] | SPI  seq | IV | inner IP packet, padding, pad length, next header | ICV
//                                    `---------------- encrypted -----------------´
//
// How long the IV and the ICV are and what the text is padded to: the SA's struct crypto_key.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_mbuf.h>
#include <rte_udp.h>

#include "dataplane/crypto.h"
#include "dataplane/flow.h"
#include "dataplane/flow6.h"
#include "lib/error.h"
#include "lib/esp_sa.h"

struct dp;

#define ESP_TRAILER_LEN	      2	  // bytes: pad length, next header
#define ESP_ALIGN_MIN	      4	  // bytes (RFC 4303 2.4)
#define ESP_NEXT_HEADER_IPV4  4	  // RFC 4303 2.6
#define ESP_NEXT_HEADER_IPV6  41  // RFC 4303 2.6
#define ESP_NEXT_HEADER_DUMMY 59  // RFC 4303 2.6
#define ESP_SPI_MIN	      256 // the lower ones are reserved (RFC 4303 2.1)

struct esp_hdr { // as on the wire, at any alignment
	uint32_t spi_be, seq_be;
} __attribute__((packed));

// Where ESP stands in a received packet.
struct esp_place {
	struct esp_hdr *esp;
	uint64_t seq; // its whole number, when its SA is known
	uint32_t spi;
	uint16_t outer_len; // bytes in front of it
	uint16_t len;	    // bytes of ESP packet, ICV included
	uint8_t tos;	    // or traffic class, of the outer header
	bool udp;
};

// Nothing but an empty payload and no IV: header, trailer padded to 4 bytes, an ICV of 12.
#define ESP_LEN_MIN (sizeof(struct esp_hdr) + ESP_ALIGN_MIN + 12)

// The outer header of ESP in UDP over IPv4 without options.
#define OUTER4_UDP_LEN (sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_udp_hdr))

// Of a whole packet of IPv4 of `len` bytes, without options, that carries ESP of ESP_LEN_MIN bytes
// at least, and nothing else.
static inline void esp_place_plain4(struct esp_place *at, uint8_t *ip, uint16_t len, bool udp)
{
	const uint16_t outer_len = udp ? OUTER4_UDP_LEN : sizeof(struct rte_ipv4_hdr);

	at->esp = (struct esp_hdr *)(ip + outer_len);
	at->spi = __builtin_bswap32(at->esp->spi_be);
	at->outer_len = outer_len;
	at->len = (uint16_t)(len - outer_len);
	at->tos = ip[1];
	at->udp = udp;
}

// The IPv6 ones among an SA's selectors.
struct esp_selectors6 {
	uint8_t n_local, n_remote;
	struct ts6 local[SELECTORS_MAX], remote[SELECTORS_MAX];
};

// One of each of two lists side by side; the two need not belong together.
struct ts4_pair {
	struct ts4 local, remote;
};

// What most SAs do not have.
struct esp_selectors_more {
	struct ts4_pair pair[SELECTORS_MAX - 1]; // behind the first
	struct esp_selectors6 v6;
};

// An SA's selectors, packed into less than a cache line.
struct esp_selectors {
	uint8_t n_local, n_remote; // IPv4
	bool by_address;	   // one of IPv4 on each side, of any protocol and port
	struct ts4_pair first;
	struct esp_selectors_more *more; // NULL: one IPv4 selector on each side, and no IPv6
};

static inline const struct ts4_pair *esp_selectors_pair(const struct esp_selectors *s, unsigned i)
{
	return i == 0 ? &s->first : &s->more->pair[i - 1];
}

// Are both ends of the packet inside the SA's selectors? RFC 4301 7: a packet whose ports are not
// known (a later fragment) is none of an SA that names ports.
static inline bool esp_selectors_match(const struct esp_selectors *s, uint32_t local,
				       uint16_t local_port, uint32_t remote, uint16_t remote_port,
				       uint8_t proto, uint8_t ports)
{
	bool found = false;

	for (unsigned i = 0; i < s->n_local && !found; i++)
		found = ts4_match(&esp_selectors_pair(s, i)->local, local, local_port, proto,
				  ports);
	if (!found)
		return false;
	for (unsigned i = 0; i < s->n_remote; i++)
		if (ts4_match(&esp_selectors_pair(s, i)->remote, remote, remote_port, proto, ports))
			return true;
	return false;
}

// The same for a whole IPv4 packet of `len` bytes whose header (version, IHL) has been checked, as
// the receiver sees it.
static inline bool esp_selectors_match_in(const struct esp_selectors *s,
					  const struct rte_ipv4_hdr *ip, size_t len)
{
	const struct ts4 *local = &s->first.local, *remote = &s->first.remote;
	struct flow f;

	if (likely(s->by_address))
		return rte_be_to_cpu_32(ip->dst_addr) - local->lo <= local->hi - local->lo &&
		       rte_be_to_cpu_32(ip->src_addr) - remote->lo <= remote->hi - remote->lo;
	f = flow_of(ip, len);
	return esp_selectors_match(s, f.dst, f.dst_port, f.src, f.src_port, f.proto, f.ports);
}

// The same for IPv6.
static inline bool esp_selectors_match6(const struct esp_selectors *s, addr6 local,
					uint16_t local_port, addr6 remote, uint16_t remote_port,
					uint8_t proto, uint8_t ports)
{
	const struct esp_selectors6 *v6;
	bool found = false;

	if (s->more == NULL)
		return false;
	v6 = &s->more->v6;
	for (unsigned i = 0; i < v6->n_local && !found; i++)
		found = ts6_match_host(&v6->local[i], local, proto) &&
			ts6_match_port(&v6->local[i], ports, local_port);
	if (!found)
		return false;
	for (unsigned i = 0; i < v6->n_remote; i++)
		if (ts6_match_host(&v6->remote[i], remote, proto) &&
		    ts6_match_port(&v6->remote[i], ports, remote_port))
			return true;
	return false;
}

// In place is safe: the packet lies in one buffer and nobody else holds it.
static inline bool esp_mbuf_writable(const struct rte_mbuf *m)
{
	return m->nb_segs == 1 && RTE_MBUF_DIRECT(m) && rte_mbuf_refcnt_read(m) == 1;
}

// What was known of the packet's old headers is no longer true of the new ones.
static inline void esp_mbuf_forget_headers(struct rte_mbuf *m)
{
	m->ol_flags = 0; // and so tx_offload, in another cache line, means nothing
	m->packet_type = 0;
}

// Where an SA has to be looked at closely: at its soft end, else beyond its hard end.
static inline uint64_t esp_life_check(uint64_t soft, uint64_t hard)
{
	if (soft != 0 && (hard == 0 || soft <= hard))
		return soft;
	return hard != 0 && hard != UINT64_MAX ? hard + 1 : UINT64_MAX;
}

static inline uint64_t esp_life_hard(uint64_t hard)
{
	return hard != 0 ? hard : UINT64_MAX;
}

// Largest inner packet in bytes that an SA of that key carries behind an outer header (IP, UDP) of
// that many bytes on a path of that MTU; 0 when none fits.
static inline uint16_t esp_inner_mtu(const struct crypto_key *k, unsigned outer_len,
				     uint16_t path_mtu)
{
	const unsigned fixed = outer_len + k->head_len + k->icv_len;

	if (path_mtu < fixed + k->align)
		return 0;
	return (uint16_t)((path_mtu - fixed) / k->align * k->align - ESP_TRAILER_LEN);
}

// Do some of the IPv4 ones leave out packets whose ports are not known?
static inline bool esp_selectors_name_ports(const struct esp_selectors *s)
{
	bool names = false;

	for (unsigned i = 0; i < s->n_local; i++)
		names |= !esp_selectors_pair(s, i)->local.any_port;
	for (unsigned i = 0; i < s->n_remote; i++)
		names |= !esp_selectors_pair(s, i)->remote.any_port;
	return names;
}

// Do the IPv4 ones ask for nothing but addresses?
static inline bool esp_selectors_only_addresses(const struct esp_selectors *s)
{
	bool more = esp_selectors_name_ports(s);

	for (unsigned i = 0; i < s->n_local; i++)
		more |= esp_selectors_pair(s, i)->local.proto != 0;
	for (unsigned i = 0; i < s->n_remote; i++)
		more |= esp_selectors_pair(s, i)->remote.proto != 0;
	return !more;
}

// Can the dataplane carry such an SA? -ENOTSUP, -EINVAL, with a sentence.
int esp_sa_check(const struct esp_sa *sa, struct error *err);
// Packs the selectors. -ENOTSUP when no family has some on both sides; -ENOMEM.
int esp_sa_selectors(const struct esp_sa *sa, struct esp_selectors *out, struct error *err);
int esp_selectors_copy(const struct esp_selectors *from, struct esp_selectors *to); // -ENOMEM
void esp_selectors_fini(struct esp_selectors *s);
// Expands the keys of an SA that esp_sa_check found good.
int esp_sa_key(struct crypto *c, const struct esp_sa *sa, struct crypto_key *key,
	       struct error *err);
// Milliseconds since a time stamp counter; UINT64_MAX for 0, which is "never".
uint64_t esp_idle_ms(const struct dp *dp, uint64_t last_tsc);
