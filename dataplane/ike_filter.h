// The program that gives what comes to a port its receive queue, in the classic BPF that Linux
// takes for a group of packet sockets (PACKET_FANOUT_CBPF, packet(7)).
//
// IKE (UDP 500; UDP 4500 with the non-ESP marker) that anybody can make up goes to a queue of its
// own, the last one. Everything else goes to the queues before it, spread by addresses and ports or
// SPI: ESP, and the IKE that bears the mark of our own SPIs or cookies (lib/ike_mark.h). So a flood
// of forged IKE fills its own queue and nobody else's, and the kernel drops what is too much of it.
//
// Fragments, and UDP behind IPv6 extension headers, are not looked into.
//
// Threads: any. Pure.
#pragma once

#include <linux/filter.h>
#include <stddef.h>

#include "lib/ike_mark.h"

enum { IKE_FILTER_MAX = 160 }; // instructions

struct ike_filter {
	struct sock_filter ins[IKE_FILTER_MAX];
	unsigned short n;
};

// For `n_queues` queues and one more, which is IKE's.
void ike_filter_build(struct ike_filter *f, const struct ike_mark_key *key, unsigned n_queues);
