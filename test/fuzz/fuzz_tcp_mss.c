// The TCP options of a forwarded packet. Input: MTU (2 bytes), then the packet. A packet that was
// clamped needs no second time.
#include <stdlib.h>
#include <string.h>

#include "lib/tcp_mss.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint16_t mtu;
	uint8_t *ip;

	if (size < 2)
		return 0;
	mtu = (uint16_t)(data[0] << 8 | data[1]);
	ip = malloc(size - 2 + (size == 2)); // of that length: what is read beyond is found
	if (!ip)
		return 0;
	memcpy(ip, data + 2, size - 2);
	if (tcp_mss_clamp(ip, size - 2, mtu) &&
	    (!tcp_is_syn(ip, size - 2) || tcp_mss_clamp(ip, size - 2, mtu)))
		abort();
	free(ip);
	return 0;
}
