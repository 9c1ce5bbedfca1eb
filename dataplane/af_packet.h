// What DPDK's af_packet driver does and has no option against.
//
// Its sockets join a fanout group with PACKET_FANOUT_FLAG_DEFRAG, so Linux puts IPv4 fragments
// together in front of the port, into a packet that is larger than the ring's frames and arrives
// cut off. A gateway wants the fragments. The driver is a shared object that calls setsockopt();
// the program has one of its own that takes that flag out of that option and hands everything to
// Linux.
//
// Threads: any.
#pragma once

// Keeps this file, with its setsockopt(), in the program. No effect of its own.
void af_packet_keep_fragments(void);
