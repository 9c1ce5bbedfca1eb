// What tunnel mode puts around an inner packet (RFC 4303 3.1.2, RFC 4301 5.1.2): outer header, ESP
// header, padding and trailer.
//
// Threads: any worker, on its own packet and an SA's read-only part.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <rte_branch_prediction.h>

#include "dataplane/esp.h"
#include "dataplane/tunnel.h"

// RFC 4303 2.7: padding that hides the packet's size, behind it. `len` bytes are the packet's.
static inline uint32_t esp_wrap_tfc(uint16_t pad_to, uint32_t len)
{
	return len < pad_to ? pad_to - len : 0;
}

// In place, and with room in front and behind?
static inline bool esp_wrap_has_room(const struct rte_mbuf *m, const struct sa_out *sa,
				     uint16_t pad_to)
{
	return esp_mbuf_writable(m) &&
	       rte_pktmbuf_headroom(m) >= (unsigned)sa->outer_len + sa->key.head_len &&
	       rte_pktmbuf_tailroom(m) >= esp_wrap_tfc(pad_to, m->pkt_len) + sa->key.align - 1u +
						  ESP_TRAILER_LEN + sa->key.icv_len;
}

static inline uint16_t esp_wrap_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

// What the outer header takes from the inner one.
struct esp_inner {
	uint8_t tos; // or traffic class
	uint8_t next_header;
	uint16_t df_be; // as it stands in an IPv4 header
	bool fits;	// in one piece
	uint32_t label; // of the flow, for an outer header of IPv6, if it is to have one
};

// RFC 4301 5.1.2.2: traffic class from the inner packet, as for IPv4.
static inline void esp_wrap_outer6(const struct sa_out *sa, uint8_t *outer,
				   const struct esp_inner *inner, uint16_t esp_len)
{
	const uint8_t tos = outer_out_tos(&sa->rule, inner->tos);
	const uint16_t behind_be =
		rte_cpu_to_be_16((uint16_t)(sa->outer_len - sizeof(struct rte_ipv6_hdr) + esp_len));

	memcpy(outer, sa->outer, sizeof(sa->outer)); // without UDP the last 8 are overwritten below
	outer[0] |= tos >> 4;
	outer[1] |= (uint8_t)(tos << 4 | inner->label >> 16);
	outer[2] |= (uint8_t)(inner->label >> 8);
	outer[3] |= (uint8_t)inner->label;
	memcpy(outer + 4, &behind_be, sizeof(behind_be));
	if (sa->udp)
		memcpy(outer + sizeof(struct rte_ipv6_hdr) + 4, &behind_be, sizeof(behind_be));
}

// RFC 8200 8.1: UDP over IPv6 has a checksum. RFC 6935 would let a tunnel send zero, but only to a
// receiver known to take it, and Linux's sockets do not.
static inline void esp_wrap_sum6(const struct sa_out *sa, struct rte_mbuf *m)
{
	struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv6_hdr *);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);

	if (sa->v6 && sa->udp)
		udp->dgram_cksum = rte_ipv6_udptcp_cksum(ip, udp);
}

// RFC 4303 2.6. It looks outside as most packets do: no class, not to be cut.
static inline struct esp_inner esp_inner_dummy(const struct sa_out *sa)
{
	const bool label = sa->v6 && sa->label == OUTER_LABEL_FLOW;

	return (struct esp_inner){
		.next_header = ESP_NEXT_HEADER_DUMMY,
		.df_be = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG),
		.fits = true,
		.label = label ? outer_label_tunnel(sa->label_seed) : 0,
	};
}

static inline struct esp_inner esp_inner_of(const struct sa_out *sa, uint16_t inner_mtu,
					    const uint8_t *p, uint32_t len)
{
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(const void *)p;
	const bool fits = len <= inner_mtu;
	uint32_t label = 0;

	if (sa->label == OUTER_LABEL_FLOW && sa->v6)
		label = outer_label_flow(sa->label_seed, p, len);
	// RFC 4213 3.2.2: over IPv4 the way is searched for its MTU as IPv6 wants it, unless it
	// carries too little for that.
	if (ip_is_v6(p))
		return (struct esp_inner){
			.tos = (uint8_t)(p[0] << 4 | p[1] >> 4),
			.next_header = ESP_NEXT_HEADER_IPV6,
			.df_be = inner_mtu >= IPV6_MTU_MIN ? rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG)
							   : 0,
			.fits = fits,
			.label = label,
		};
	return (struct esp_inner){
		.tos = ip->type_of_service,
		.next_header = ESP_NEXT_HEADER_IPV4,
		.df_be = ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG),
		.fits = fits,
		.label = label,
	};
}

// The words of an IPv4 header that differ from packet to packet are put together in registers and
// stored at once: what stores of single fields leave, the next load of a piece has to wait for.
static inline void esp_wrap_outer4(const struct sa_out *sa, uint8_t *outer,
				   const struct esp_inner *inner, uint32_t seq, uint16_t esp_len)
{
	const uint16_t df_be = outer_out_df(&sa->rule, inner->df_be, inner->fits);
	const uint8_t tos = outer_out_tos(&sa->rule, inner->tos);
	const uint16_t len_be = rte_cpu_to_be_16((uint16_t)(sa->outer_len + esp_len));
	const uint16_t id_be = outer_out_id_be(&sa->rule, df_be, seq);
	const uint16_t sum =
		esp_wrap_fold(sa->cksum + ((uint32_t)tos << 8) + len_be + id_be + df_be);
	// Little-endian, as this machine is.
	const uint64_t first = RTE_IPV4_VHL_DEF | (uint32_t)tos << 8 | (uint32_t)len_be << 16 |
			       (uint64_t)id_be << 32 | (uint64_t)df_be << 48;
	const uint16_t udp_len_be =
		rte_cpu_to_be_16((uint16_t)(sizeof(struct rte_udp_hdr) + esp_len));

	memcpy(outer, &first, sizeof(first));
	memcpy(outer + 8, sa->outer + 8, 2); // TTL, protocol
	memcpy(outer + 10, &sum, sizeof(sum));
	// Addresses, and UDP; without it the last 8 bytes are overwritten by what calls this.
	memcpy(outer + 12, sa->outer + 12, SA_OUT_OUTER4_MAX - 12);
	if (sa->udp)
		memcpy(outer + sizeof(struct rte_ipv4_hdr) + 4, &udp_len_be, sizeof(udp_len_be));
}

// Puts the outer header in front of the ESP packet of `esp_len` bytes.
static inline void esp_wrap_outer(const struct sa_out *sa, uint8_t *outer,
				  const struct esp_inner *inner, uint32_t seq, uint16_t esp_len)
{
	if (sa->v6)
		esp_wrap_outer6(sa, outer, inner, esp_len);
	else
		esp_wrap_outer4(sa, outer, inner, seq, esp_len);
}

// Padding (RFC 4303 2.4), its length, next header. Up to 16 bytes from there on are overwritten,
// where the ICV will stand or nothing is.
static inline void esp_wrap_trailer(uint8_t *at, uint32_t pad_len, uint8_t next_header)
{
	static const uint8_t padding[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
	const uint16_t end = (uint16_t)(pad_len | (unsigned)next_header << 8);

	memcpy(at, padding, sizeof(padding));
	memcpy(at + pad_len, &end, sizeof(end));
}

// Headers in front, padding and trailer behind, and the job for the crypto library. In tunnel mode;
// there is room (esp_wrap_has_room). *start is where the inner packet of `len` bytes begins, and
// then the outer one, whose length is returned. `pad_to`: bytes that the inner one is padded to.
static inline uint32_t esp_wrap_at(const struct sa_out *sa, uint8_t **start, uint32_t len,
				   struct esp_inner inner, uint16_t pad_to, uint64_t seq,
				   struct crypto_job *job)
{
	const struct crypto_key *k = &sa->key;
	const uint32_t tfc = esp_wrap_tfc(pad_to, len);
	const uint32_t inner_len = len + tfc;
	// The alignment is a power of two.
	const uint32_t pad_len = -(inner_len + ESP_TRAILER_LEN) & (k->align - 1u);
	const uint32_t text_len = inner_len + pad_len + ESP_TRAILER_LEN;
	uint8_t *text = *start, *head = text - k->head_len;
	const uint64_t seq_be = rte_cpu_to_be_64(seq);
	const struct esp_hdr esp = {sa->spi_be, rte_cpu_to_be_32((uint32_t)seq)};

	if (unlikely(tfc != 0))
		memset(text + len, 0, tfc); // what lay in the buffer is nobody's
	esp_wrap_trailer(text + inner_len, pad_len, inner.next_header);

	// The IV, of 16 bytes, 8 or none, ends with the number; where it is shorter the headers
	// come over this.
	memset(text - 2 * sizeof(seq_be), 0, sizeof(seq_be));
	memcpy(text - sizeof(seq_be), &seq_be, sizeof(seq_be));
	*start = head - sa->outer_len;
	esp_wrap_outer(sa, *start, &inner, (uint32_t)seq,
		       (uint16_t)(k->head_len + text_len + k->icv_len));
	memcpy(head, &esp, sizeof(esp));

	crypto_job_set(job, k, head, text_len, (uint32_t)(seq >> 32));
	return (uint32_t)(sa->outer_len + k->head_len) + text_len + k->icv_len;
}

static inline void esp_wrap(const struct sa_out *sa, struct rte_mbuf *m, struct esp_inner inner,
			    uint16_t pad_to, uint64_t seq, struct crypto_job *job)
{
	uint8_t *start = rte_pktmbuf_mtod(m, uint8_t *);

	m->pkt_len = esp_wrap_at(sa, &start, m->pkt_len, inner, pad_to, seq, job);
	m->data_len = (uint16_t)m->pkt_len;
	m->data_off = (uint16_t)(start - (uint8_t *)m->buf_addr);
	esp_mbuf_forget_headers(m);
}
