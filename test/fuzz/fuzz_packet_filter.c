// What a capture reads of packets that anybody may have sent. Input: an Ethernet frame. The SPI that
// is seen in a packet is one that a filter by that SPI fits, and no other.
#include <stdlib.h>
#include <string.h>

#include "lib/packet_filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const uint8_t *ip, size_t len)
{
	const uint32_t spi = packet_esp_spi(ip, len);
	struct packet_filter f = {.spi = spi ? spi : 256};
	struct packet_view v = {.ip = ip, .len = len};

	if (packet_filter_match(&f, &v) != (spi != 0))
		abort();
	f = (struct packet_filter){.l4_port = 443, .host = {.addr = {.family = IP_V4}, .len = 1}};
	f.peer = (struct ip_addr){.family = IP_V6};
	packet_filter_match(&f, &v);
	f.peer.family = IP_NONE;
	f.host.addr.family = IP_NONE;
	packet_filter_match(&f, &v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *frame = malloc(size ? size : 1); // of that length: what is read beyond is found
	const uint8_t *ip;
	size_t len = 0;

	if (!frame)
		return 0;
	memcpy(frame, data, size);
	ip = packet_in_frame(frame, size, &len);
	if (ip) {
		if (ip < frame || ip + len != frame + size)
			abort();
		look(ip, len);
	}
	look(frame, size);
	free(frame);
	return 0;
}
