#include "dataplane/esp_transport.h"

#include <netinet/in.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "dataplane/dp_internal.h"
#include "dataplane/esp.h"
#include "dataplane/reass.h"
#include "dataplane/sad.h"
#include "dataplane/stages.h"
#include "lib/limits.h"

enum {
	UDP_HDR_LEN = 8,
	IPV4_PROTO_AT = 9,
	IPV6_NEXT_AT = 6,
	EXT_LEN_MIN = 8,
};

// ---- the headers in front ----

static bool front4(const uint8_t *ip, size_t len, struct esp_front *out)
{
	const size_t header_len = (size_t)(ip[0] & 15) * 4;

	if (header_len < sizeof(struct rte_ipv4_hdr) || header_len > len)
		return false;
	*out = (struct esp_front){
		.len = (uint16_t)header_len,
		.next_at = IPV4_PROTO_AT,
		.next = ip[IPV4_PROTO_AT],
	};
	return true;
}

// One step along the extension headers. False when there is none, or it is cut short.
static bool step6(const uint8_t *ip, size_t len, struct esp_front *at)
{
	const uint8_t *ext = ip + at->len;
	size_t ext_len = EXT_LEN_MIN;

	if ((at->next != IPPROTO_HOPOPTS && at->next != IPPROTO_ROUTING &&
	     at->next != IPPROTO_DSTOPTS && at->next != IPPROTO_FRAGMENT) ||
	    at->len + ext_len > len)
		return false;
	if (at->next != IPPROTO_FRAGMENT)
		ext_len += (size_t)ext[1] * 8;
	if (at->len + ext_len > len)
		return false;
	at->next = ext[0];
	at->next_at = at->len;
	at->len = (uint16_t)(at->len + ext_len);
	return true;
}

static bool start6(const uint8_t *ip, size_t len, struct esp_front *at)
{
	*at = (struct esp_front){
		.len = IPV6_HDR_LEN, .next_at = IPV6_NEXT_AT, .next = ip[IPV6_NEXT_AT]};
	return len >= IPV6_HDR_LEN;
}

// RFC 4303 3.1.1: behind what routers on the way look at; destination options for the last
// destination are better kept from them.
static bool front6(const uint8_t *ip, size_t len, struct esp_front *out)
{
	struct esp_front at;

	if (!start6(ip, len, &at))
		return false;
	*out = at;
	for (unsigned n = 0; n < LIMIT_IPV6_EXT_HEADERS; n++) {
		const uint8_t type = at.next;

		if (!step6(ip, len, &at))
			break; // what is malformed has no flow, and so no SA
		if (type != IPPROTO_DSTOPTS)
			*out = at;
	}
	return true;
}

bool esp_transport_front(const uint8_t *ip, size_t len, struct esp_front *out)
{
	return ip_is_v6(ip) ? front6(ip, len, out) : front4(ip, len, out);
}

bool esp_transport_front6(const uint8_t *ip, size_t len, struct esp_front *out)
{
	struct esp_front at;

	if (!start6(ip, len, &at))
		return false;
	for (unsigned n = 0; at.next != IPPROTO_ESP && at.next != IPPROTO_UDP; n++) {
		const uint8_t *ext = ip + at.len, type = at.next;

		if (n == LIMIT_IPV6_EXT_HEADERS || !step6(ip, len, &at) ||
		    (type == IPPROTO_ROUTING && ext[3] != 0) ||
		    (type == IPPROTO_FRAGMENT && (flow_load16(ext + 2) & 0xfff9) != 0))
			return false;
	}
	*out = at;
	return true;
}

static void set_lengths(uint8_t *ip, size_t len)
{
	struct rte_ipv4_hdr *ip4 = (struct rte_ipv4_hdr *)(void *)ip;

	if (ip_is_v6(ip)) {
		ip[4] = (uint8_t)((len - IPV6_HDR_LEN) >> 8);
		ip[5] = (uint8_t)(len - IPV6_HDR_LEN);
		return;
	}
	ip4->total_length = rte_cpu_to_be_16((uint16_t)len);
	ip4->hdr_checksum = 0;
	ip4->hdr_checksum = (uint16_t)~rte_raw_cksum(ip4, rte_ipv4_hdr_len(ip4));
}

// ---- outbound ----

static bool is_own(const struct sa_out *sa, const struct batch *b, uint16_t i, const uint8_t *ip)
{
	const struct rte_ipv4_hdr *ip4 = (const struct rte_ipv4_hdr *)(const void *)ip;

	// What is forwarded in our name has a made-up source.
	if (b->origin[i] == FROM_NIC || b->origin[i] == FROM_TUNNEL || ip_is_v6(ip) != sa->v6)
		return false;
	if (sa->v6)
		return memcmp(ip + IPV6_SRC_AT, sa->outer + IPV6_SRC_AT, 32) == 0;
	return ip4->src_addr == sa->local_be && ip4->dst_addr == sa->remote_be;
}

// The whole of which the fragment was the last that lacked, or NULL.
static struct rte_mbuf *join(struct worker *w, struct rte_mbuf *m)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);

	if (!ip_is_v6(ip))
		return reass_put(w, m, true);
	if (ip[IPV6_NEXT_AT] == IPPROTO_FRAGMENT)
		return reass6_put(w, m, true);
	drop(w, m, DROP_FRAGMENT);
	return NULL;
}

static bool is_fragment(const uint8_t *ip, size_t len)
{
	struct ipv6_upper upper;

	if (ip_is_v6(ip))
		return ipv6_find_upper(ip, len, &upper) == 0 && upper.fragment;
	return (flow_load16(ip + 6) & (RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)) != 0;
}

enum esp_own esp_transport_take(struct worker *w, const struct sa_out *sa, struct batch *b,
				uint16_t i)
{
	struct rte_mbuf *m = b->pkt[i];
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);

	if (!is_own(sa, b, i, ip)) {
		drop(w, m, DROP_OUT_NOT_OWN);
		return ESP_OWN_NOT;
	}
	if (!is_fragment(ip, m->data_len))
		return ESP_OWN_AS_SENT;
	m = join(w, m);
	if (m == NULL)
		return ESP_OWN_NOT;
	b->pkt[i] = m;
	return ESP_OWN_JOINED;
}

uint16_t esp_transport_mtu(const struct sa_out *sa, unsigned front_len, uint16_t path_mtu)
{
	const uint16_t carried =
		esp_inner_mtu(&sa->key, front_len + (sa->udp ? UDP_HDR_LEN : 0), path_mtu);

	return carried == 0 ? 0 : (uint16_t)(carried + front_len);
}

// RFC 3948 2.1: over IPv4 without a checksum; over IPv6 it is computed later.
static void put_udp(const struct sa_out *sa, uint8_t *at, uint16_t esp_len)
{
	struct rte_udp_hdr udp;

	memcpy(&udp, sa->outer + sa->outer_len - sizeof(udp), sizeof(udp));
	udp.dgram_len = rte_cpu_to_be_16((uint16_t)(sizeof(udp) + esp_len));
	memcpy(at, &udp, sizeof(udp));
}

void esp_transport_wrap(const struct sa_out *sa, struct rte_mbuf *m, uint64_t seq,
			struct crypto_job *job)
{
	const struct crypto_key *k = &sa->key;
	const uint32_t udp_len = sa->udp ? UDP_HDR_LEN : 0, added = udp_len + k->head_len;
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *), *text, *trailer, *moved = ip - added;
	const uint64_t seq_be = rte_cpu_to_be_64(seq);
	struct esp_front front = {0};
	uint32_t carried, pad_len, text_len;
	struct esp_hdr *esp;

	esp_transport_front(ip, m->data_len, &front); // its flow was found, so it has one
	carried = m->data_len - front.len;
	pad_len = -(carried + ESP_TRAILER_LEN) & (k->align - 1u);
	text_len = carried + pad_len + ESP_TRAILER_LEN;
	text = ip + front.len;
	trailer = text + carried;
	for (uint32_t i = 0; i < pad_len; i++)
		*trailer++ = (uint8_t)(i + 1); // RFC 4303 2.4
	*trailer++ = (uint8_t)pad_len;
	*trailer++ = front.next;

	memmove(moved, ip, front.len);
	// The IV, of 16 bytes, 8 or none, ends with the number.
	if (k->head_len > sizeof(*esp) + sizeof(seq_be))
		memset(text - 2 * sizeof(seq_be), 0, sizeof(seq_be));
	if (k->head_len > sizeof(*esp))
		memcpy(text - sizeof(seq_be), &seq_be, sizeof(seq_be));
	esp = (struct esp_hdr *)(text - k->head_len);
	esp->spi_be = sa->spi_be;
	esp->seq_be = rte_cpu_to_be_32((uint32_t)seq);
	if (sa->udp)
		put_udp(sa, moved + front.len, (uint16_t)(k->head_len + text_len + k->icv_len));
	moved[front.next_at] = sa->udp ? IPPROTO_UDP : IPPROTO_ESP;
	crypto_job_set(job, k, (uint8_t *)esp, text_len, (uint32_t)(seq >> 32));

	m->data_off = (uint16_t)(m->data_off - added);
	m->pkt_len = front.len + added + text_len + k->icv_len;
	m->data_len = (uint16_t)m->pkt_len;
	set_lengths(moved, m->data_len);
	esp_mbuf_forget_headers(m);
}

void esp_transport_sum6(const struct sa_out *sa, struct rte_mbuf *m)
{
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);
	struct rte_ipv6_hdr pseudo;
	struct esp_front front;
	struct rte_udp_hdr *udp;

	if (!sa->v6 || !sa->udp || !esp_transport_front6(ip, m->data_len, &front))
		return;
	// Extension headers count for nothing.
	udp = (struct rte_udp_hdr *)(ip + front.len);
	memcpy(&pseudo, ip, sizeof(pseudo));
	pseudo.proto = IPPROTO_UDP;
	pseudo.payload_len = udp->dgram_len;
	udp->dgram_cksum = rte_ipv6_udptcp_cksum(&pseudo, udp);
}

// ---- inbound ----

static uint32_t sum_bytes(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += flow_load16(p + i);
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

uint16_t esp_transport_sum_addrs(const struct ip_addr *a, const struct ip_addr *b)
{
	return fold(sum_bytes(a->bytes, ip_addr_len(a)) + sum_bytes(b->bytes, ip_addr_len(b)));
}

// Where a checksum over the addresses stands in what a packet carries; 0: nowhere.
static unsigned checksum_at(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return 16;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_DCCP:
		return 6;
	case IPPROTO_ICMPV6:
		return 2;
	default:
		return 0;
	}
}

// RFC 3948 3.1.2: the sender's checksum is over its own addresses, of which a NAT has changed one
// or both; what changes with them is known (RFC 1624).
static void mend_checksum(const struct sa_in *sa, const uint8_t *ip, uint8_t proto, uint8_t *upper,
			  size_t len)
{
	const bool v6 = ip_is_v6(ip);
	const unsigned at = checksum_at(proto);
	uint32_t sum;
	uint16_t mended;

	if (at == 0 || len < at + 2)
		return;
	if (proto == IPPROTO_UDP && flow_load16(upper + at) == 0)
		return; // RFC 768: it has none
	sum = (uint16_t)~flow_load16(upper + at);
	sum += (uint16_t)~sa->oa_sum;
	sum += v6 ? fold(sum_bytes(ip + IPV6_SRC_AT, 32)) : fold(sum_bytes(ip + 12, 8));
	mended = (uint16_t)~fold(sum);
	if (mended == 0 && proto == IPPROTO_UDP)
		mended = 0xffff;
	upper[at] = (uint8_t)(mended >> 8);
	upper[at + 1] = (uint8_t)mended;
}

// RFC 4301 5.2 step 4: the packet must be one that this SA was made for.
static enum drop_reason check4(const struct sa_in *sa, uint8_t *ip, size_t len)
{
	const struct flow f = flow_of((const struct rte_ipv4_hdr *)(const void *)ip, len);
	const size_t header_len = (size_t)(ip[0] & 15) * 4;

	if (!esp_selectors_match(&sa->ts, f.dst, f.dst_port, f.src, f.src_port, f.proto, f.ports))
		return DROP_ESP_SELECTOR;
	if (sa->oa)
		mend_checksum(sa, ip, f.proto, ip + header_len, len - header_len);
	return DROP_REASON_COUNT;
}

static enum drop_reason check6(const struct sa_in *sa, uint8_t *ip, size_t len)
{
	struct ipv6_upper upper;
	struct flow6 f;

	// RFC 4301 7: no fragment was put in.
	if (ipv6_find_upper(ip, len, &upper) != 0 || upper.fragment || !flow6_of(ip, len, &f))
		return DROP_ESP_INNER;
	if (!esp_selectors_match6(&sa->ts, f.dst, f.dst_port, f.src, f.src_port, f.proto, f.ports))
		return DROP_ESP_SELECTOR;
	if (sa->oa)
		mend_checksum(sa, ip, upper.proto, ip + upper.at, len - upper.at);
	return DROP_REASON_COUNT;
}

enum drop_reason esp_transport_unwrap(const struct sa_in *sa, uint8_t *outer, uint16_t esp_at,
				      bool udp, uint8_t next_header, uint8_t *text, uint32_t len,
				      uint8_t **packet, uint16_t *packet_len)
{
	const uint16_t front_len = (uint16_t)(esp_at - (udp ? UDP_HDR_LEN : 0));
	struct esp_front front = {.next_at = IPV4_PROTO_AT};
	const bool v6 = ip_is_v6(outer);
	uint8_t *ip = text - front_len;
	enum drop_reason reason;

	if (v6 && !esp_transport_front6(outer, esp_at, &front))
		return DROP_ESP_INNER;
	memmove(ip, outer, front_len);
	ip[front.next_at] = next_header;
	set_lengths(ip, front_len + len);
	reason = v6 ? check6(sa, ip, front_len + len) : check4(sa, ip, front_len + len);
	if (reason != DROP_REASON_COUNT)
		return reason;
	*packet = ip;
	*packet_len = (uint16_t)(front_len + len);
	return DROP_REASON_COUNT;
}
