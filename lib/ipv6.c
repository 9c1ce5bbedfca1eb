#include "lib/ipv6.h"

#include <errno.h>

#include "lib/limits.h"

enum {
	NEXT_HOP_BY_HOP = 0,
	NEXT_ROUTING = 43,
	NEXT_FRAGMENT = 44,
	NEXT_DESTINATION = 60,
	EXT_LEN_MIN = 8,
	FRAGMENT_OFFSET = 0xfff8, // bits of its field
	FRAGMENT_MORE = 1,
};

size_t ipv6_packet_len(const uint8_t *ip, size_t len)
{
	size_t whole;

	if (len < IPV6_HDR_LEN || ip[0] >> 4 != 6)
		return 0;
	whole = IPV6_HDR_LEN + ((size_t)ip[4] << 8 | ip[5]);
	return whole <= len ? whole : 0;
}

static bool is_extension(uint8_t next)
{
	return next == NEXT_HOP_BY_HOP || next == NEXT_ROUTING || next == NEXT_FRAGMENT ||
	       next == NEXT_DESTINATION;
}

int ipv6_find_upper(const uint8_t *ip, size_t len, struct ipv6_upper *out)
{
	struct ipv6_upper u = {.proto = ip[6], .at = IPV6_HDR_LEN};

	for (unsigned n = 0; is_extension(u.proto); n++) {
		const uint8_t *ext = ip + u.at;
		size_t ext_len = EXT_LEN_MIN;

		if (n == LIMIT_IPV6_EXT_HEADERS || u.at + ext_len > len ||
		    (u.proto == NEXT_HOP_BY_HOP && n > 0))
			return -EINVAL;
		if (u.proto == NEXT_FRAGMENT) {
			const unsigned field = (unsigned)ext[2] << 8 | ext[3];

			u.fragment |= (field & (FRAGMENT_OFFSET | FRAGMENT_MORE)) != 0;
			u.later |= (field & FRAGMENT_OFFSET) != 0;
		} else {
			ext_len += (size_t)ext[1] * 8;
		}
		if (u.at + ext_len > len)
			return -EINVAL;
		u.at += (uint32_t)ext_len;
		u.proto = ext[0];
		if (u.later) // what follows is the middle of something
			break;
	}
	if (is_extension(u.proto))
		u.proto = IPV6_PROTO_UNKNOWN;
	*out = u;
	return 0;
}
