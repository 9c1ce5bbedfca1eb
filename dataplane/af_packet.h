// What DPDK's af_packet driver does and has no option for or against.
//
// Its sockets join a fanout group with PACKET_FANOUT_FLAG_DEFRAG, so Linux puts IPv4 fragments
// together in front of the port, into a packet that is larger than the ring's frames and arrives
// cut off. A gateway wants the fragments. And the group spreads packets by their hash alone, with
// PACKET_FANOUT_FLAG_ROLLOVER: what finds its own ring full goes to another, so a flood fills all
// of them. We want a filter of ours to choose (ike_filter.h). The driver is a shared object that
// calls setsockopt(); the program has one of its own that changes that option and hands everything
// to Linux.
//
// Threads: setsockopt: any. The rest: control, while no device is made by another thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct ike_filter;

// The sockets of the device that is made next are steered by the filter, which must live until
// af_packet_steer_end().
void af_packet_steer(const struct ike_filter *filter);
// True: they are, all of them. Otherwise Linux spreads by a hash, as the driver says.
bool af_packet_steer_end(void);
