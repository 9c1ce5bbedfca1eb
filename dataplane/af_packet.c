#include "dataplane/af_packet.h"

#include <string.h>

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dataplane/ike_filter.h"

static struct {
	const struct ike_filter *filter; // NULL: nothing is to be steered
	unsigned joined;
	bool failed;
} steering;

void af_packet_steer(const struct ike_filter *filter)
{
	steering.filter = filter;
	steering.joined = 0;
	steering.failed = false;
}

bool af_packet_steer_end(void)
{
	steering.filter = NULL;
	return steering.joined > 0 && !steering.failed;
}

static int hand_on(int fd, int level, int name, const void *value, socklen_t len)
{
	return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}

// The first socket of a group says what kind it is, and gives it its program.
static bool join_steered(int fd, unsigned id)
{
	const unsigned fanout = id | (unsigned)PACKET_FANOUT_CBPF << 16;
	const struct sock_fprog prog = {
		.len = steering.filter->n,
		.filter = (struct sock_filter *)(uintptr_t)steering.filter->ins,
	};

	if (hand_on(fd, SOL_PACKET, PACKET_FANOUT, &fanout, sizeof(fanout)) != 0)
		return false;
	if (steering.joined == 0 &&
	    hand_on(fd, SOL_PACKET, PACKET_FANOUT_DATA, &prog, sizeof(prog)) != 0)
		steering.failed = true; // no program: all of it goes to the first socket
	steering.joined++;
	return true;
}

// Exported by the program (-Wl,--export-dynamic-symbol), so that it stands in front of libc's.
int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	unsigned fanout; // id, then type and flags in the high half (packet(7))

	if (level != SOL_PACKET || name != PACKET_FANOUT || len != sizeof(fanout))
		return hand_on(fd, level, name, value, len);
	memcpy(&fanout, value, sizeof(fanout));
	if (steering.filter && (!steering.failed || steering.joined > 0)) {
		if (join_steered(fd, fanout & 0xffff))
			return 0;
		steering.failed = true; // older than Linux 4.3
	}
	fanout &= ~((unsigned)PACKET_FANOUT_FLAG_DEFRAG << 16);
	return hand_on(fd, level, name, &fanout, sizeof(fanout));
}
