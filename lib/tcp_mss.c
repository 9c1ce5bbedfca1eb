#include "lib/tcp_mss.h"

enum {
	PROTO_TCP = 6,
	IPV4_HDR_MIN = 20,
	IPV6_HDR = 40,
	TCP_HDR_MIN = 20,
	TCP_SYN = 0x02,
	OPT_END = 0,
	OPT_NOP = 1,
	OPT_MSS = 2, // RFC 9293 3.1
	OPT_MSS_LEN = 4,
};

static uint16_t load16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void store16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

// Bytes in front of the TCP header; 0 when the packet has none.
static size_t tcp_at(const uint8_t *ip, size_t len)
{
	size_t at;

	if (len < IPV4_HDR_MIN)
		return 0;
	if (ip[0] >> 4 == 4) {
		at = (size_t)(ip[0] & 15) * 4;
		if (ip[9] != PROTO_TCP || (load16(ip + 6) & 0x1fff) != 0 || at < IPV4_HDR_MIN)
			return 0;
	} else {
		at = IPV6_HDR; // behind extension headers nobody opens connections
		if (ip[0] >> 4 != 6 || len < IPV6_HDR || ip[6] != PROTO_TCP)
			return 0;
	}
	return len >= at + TCP_HDR_MIN ? at : 0;
}

// The option's value, or NULL.
static uint8_t *find_mss(uint8_t *tcp, size_t len)
{
	size_t i = TCP_HDR_MIN, kind_len;

	while (i < len && tcp[i] != OPT_END) {
		if (tcp[i] == OPT_NOP) {
			i++;
			continue;
		}
		if (len - i < 2)
			return NULL;
		kind_len = tcp[i + 1];
		if (kind_len < 2 || kind_len > len - i)
			return NULL;
		if (tcp[i] == OPT_MSS)
			return kind_len == OPT_MSS_LEN ? tcp + i + 2 : NULL;
		i += kind_len;
	}
	return NULL;
}

// RFC 1624 3: HC' = ~(~HC + ~m + m'). A word that stands at an odd place counts with its bytes
// the other way round.
static uint16_t adjust(uint16_t checksum, uint16_t from, uint16_t to, bool odd)
{
	uint32_t sum = (uint16_t)~checksum;

	if (odd) {
		from = (uint16_t)(from << 8 | from >> 8);
		to = (uint16_t)(to << 8 | to >> 8);
	}
	sum += (uint32_t)(uint16_t)~from + to;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

bool tcp_is_syn(const uint8_t *ip, size_t len)
{
	const size_t at = tcp_at(ip, len);

	return at != 0 && (ip[at + 13] & TCP_SYN) != 0;
}

bool tcp_mss_clamp(uint8_t *ip, size_t len, uint16_t mtu)
{
	const size_t at = tcp_at(ip, len);
	uint8_t *tcp = ip + at, *mss;
	size_t tcp_len, fixed;
	uint16_t old, fits;

	if (!tcp_is_syn(ip, len))
		return false;
	tcp_len = (size_t)(tcp[12] >> 4) * 4;
	// RFC 6691: the option counts no IP or TCP options.
	fixed = (size_t)(ip[0] >> 4 == 4 ? IPV4_HDR_MIN : IPV6_HDR) + TCP_HDR_MIN;
	if (tcp_len < TCP_HDR_MIN || tcp_len > len - at || mtu <= fixed)
		return false;
	mss = find_mss(tcp, tcp_len);
	if (!mss)
		return false;
	old = load16(mss);
	fits = (uint16_t)(mtu - fixed);
	if (old <= fits)
		return false;
	store16(mss, fits);
	store16(tcp + 16, adjust(load16(tcp + 16), old, fits, (mss - tcp) % 2 != 0));
	return true;
}
