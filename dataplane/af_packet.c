#include "dataplane/af_packet.h"

#include <string.h>

#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

void af_packet_keep_fragments(void)
{
}

// Exported by the program (-Wl,--export-dynamic-symbol), so that it stands in front of libc's.
int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	int fanout; // id, then type and flags in the high half (packet(7))

	if (level == SOL_PACKET && name == PACKET_FANOUT && len == sizeof(fanout)) {
		memcpy(&fanout, value, sizeof(fanout));
		fanout = (int)((unsigned)fanout & ~((unsigned)PACKET_FANOUT_FLAG_DEFRAG << 16));
		value = &fanout;
	}
	return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}
