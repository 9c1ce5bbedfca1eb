// A double of control/probe_socket.h: echoes in memory, UDP over the wire of fake_gateway.h.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct gateway;

extern struct probe_fake {
	struct gateway *prober; // whose wire is used
	bool no_echo;		// the peer answers none
	bool no_socket;		// -EPERM
	unsigned echoes, open;	// sent; sockets that are open
} probe_fake;
