#include "lib/ike_wire.h"
#include "lib/packet_filter.h"

#include <string.h>

#include "lib/ipv6.h"

enum {
	ETHER_HDR_LEN = 14,
	VLAN_TAG_LEN = 4,
	VLAN_TAGS_MAX = 2,
	ETHER_IPV4 = 0x0800,
	ETHER_IPV6 = 0x86dd,
	ETHER_VLAN = 0x8100,
	ETHER_QINQ = 0x88a8,
	IPV4_HDR_MIN = 20,
	PROTO_UDP = 17,
	PROTO_ESP = 50,
	UDP_HDR_LEN = 8,
};

// What a packet carries at last. `upper` is NULL when that is not to be seen.
struct headers {
	const uint8_t *src, *dst; // of addr_len bytes
	size_t addr_len;
	uint8_t proto;
	const uint8_t *upper;
	size_t upper_len;
};

static unsigned load16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static bool read_ipv4(const uint8_t *ip, size_t len, struct headers *h)
{
	const size_t header_len = (ip[0] & 15u) * 4u;

	if (len < IPV4_HDR_MIN || header_len < IPV4_HDR_MIN)
		return false;
	*h = (struct headers){.src = ip + 12, .dst = ip + 16, .addr_len = 4, .proto = ip[9]};
	if (header_len < len && (load16(ip + 6) & 0x1fff) == 0) { // no later fragment
		h->upper = ip + header_len;
		h->upper_len = len - header_len;
	}
	return true;
}

static bool read_ipv6(const uint8_t *ip, size_t len, struct headers *h)
{
	struct ipv6_upper upper;
	size_t whole;

	if (len < IPV6_HDR_LEN)
		return false;
	*h = (struct headers){.src = ip + IPV6_SRC_AT, .dst = ip + IPV6_DST_AT, .addr_len = 16};
	whole = ipv6_packet_len(ip, len);
	if (whole == 0 || ipv6_find_upper(ip, whole, &upper) != 0)
		return true; // addresses are all that it has
	h->proto = upper.proto;
	if (!upper.later && upper.at < whole) {
		h->upper = ip + upper.at;
		h->upper_len = whole - upper.at;
	}
	return true;
}

static bool read_headers(const uint8_t *ip, size_t len, struct headers *h)
{
	if (!ip || len == 0)
		return false;
	switch (ip[0] >> 4) {
	case 4:
		return read_ipv4(ip, len, h);
	case 6:
		return read_ipv6(ip, len, h);
	default:
		return false;
	}
}

static bool has_ports(uint8_t proto)
{
	return proto == 6 || proto == PROTO_UDP || proto == 33 || proto == 132 || proto == 136;
}

static uint32_t spi_of(const struct headers *h)
{
	const uint8_t *esp = h->upper;
	size_t len = h->upper_len;

	if (!esp)
		return 0;
	if (h->proto == PROTO_UDP) {
		if (len < UDP_HDR_LEN ||
		    (load16(esp) != IKE_NATT_PORT && load16(esp + 2) != IKE_NATT_PORT))
			return 0;
		esp += UDP_HDR_LEN;
		len -= UDP_HDR_LEN;
	} else if (h->proto != PROTO_ESP) {
		return 0;
	}
	// Zero is IKE (RFC 3948 2.2), and no SPI of ESP (RFC 4303 2.1).
	return len < 8 ? 0 : (uint32_t)load16(esp) << 16 | load16(esp + 2);
}

static bool address_is(const struct ip_addr *a, const uint8_t *bytes, size_t len)
{
	return bytes && ip_addr_len(a) == len && memcmp(a->bytes, bytes, len) == 0;
}

static bool address_in(const struct ip_prefix *p, const uint8_t *bytes, size_t len)
{
	const struct ip_addr a = ip_addr_from_bytes(bytes, len);

	return ip_prefix_contains(p, &a);
}

static bool fits_packet(const struct packet_filter *f, const struct packet_view *v)
{
	struct headers h;

	if (!read_headers(v->ip, v->len, &h))
		return false;
	if (f->host.addr.family != IP_NONE && !address_in(&f->host, h.src, h.addr_len) &&
	    !address_in(&f->host, h.dst, h.addr_len))
		return false;
	if (f->peer.family != IP_NONE && !address_is(&f->peer, v->peer, v->peer_len) &&
	    !address_is(&f->peer, h.src, h.addr_len) && !address_is(&f->peer, h.dst, h.addr_len))
		return false;
	if (f->spi && v->spi != f->spi && spi_of(&h) != f->spi)
		return false;
	if (f->l4_port && (!has_ports(h.proto) || !h.upper || h.upper_len < 4 ||
			   (load16(h.upper) != f->l4_port && load16(h.upper + 2) != f->l4_port)))
		return false;
	return true;
}

bool packet_filter_match(const struct packet_filter *f, const struct packet_view *v)
{
	if (f->by_port && v->port != f->port)
		return false;
	if (f->by_tunnel && v->tunnel != f->tunnel)
		return false;
	if (f->host.addr.family == IP_NONE && f->peer.family == IP_NONE && !f->spi && !f->l4_port)
		return true;
	return fits_packet(f, v);
}

uint32_t packet_esp_spi(const uint8_t *ip, size_t len)
{
	struct headers h;

	return read_headers(ip, len, &h) ? spi_of(&h) : 0;
}

const uint8_t *packet_in_frame(const uint8_t *frame, size_t len, size_t *ip_len)
{
	size_t at = ETHER_HDR_LEN;
	unsigned type;

	if (len < at)
		return NULL;
	type = load16(frame + at - 2);
	for (unsigned i = 0; i < VLAN_TAGS_MAX && (type == ETHER_VLAN || type == ETHER_QINQ); i++) {
		at += VLAN_TAG_LEN;
		if (len < at)
			return NULL;
		type = load16(frame + at - 2);
	}
	if (type != ETHER_IPV4 && type != ETHER_IPV6)
		return NULL;
	*ip_len = len - at;
	return frame + at;
}
