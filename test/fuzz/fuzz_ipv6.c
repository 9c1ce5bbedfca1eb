// The headers of an IPv6 packet out of a tunnel or from a port. What is found lies inside of the
// packet, and a packet that was walked is walked in the same way when more lies behind it.
#include <stdlib.h>
#include <string.h>

#include "lib/ipv6.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const size_t len = ipv6_packet_len(data, size);
	struct ipv6_upper upper = {0}, again = {0};
	uint8_t *ip;

	if (len == 0)
		return 0;
	if (len < IPV6_HDR_LEN || len > size)
		abort();
	ip = malloc(len); // of that length: what is read beyond is found
	if (!ip)
		return 0;
	memcpy(ip, data, len);
	if (ipv6_find_upper(ip, len, &upper) == 0 &&
	    (upper.at > len || upper.at < IPV6_HDR_LEN || (upper.later && !upper.fragment) ||
	     ipv6_find_upper(data, size, &again) != 0 || upper.at != again.at ||
	     upper.proto != again.proto))
		abort();
	free(ip);
	return 0;
}
