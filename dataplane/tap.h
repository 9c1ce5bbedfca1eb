// TAP interfaces, how Linux sees the ports, and TUN interfaces, how it sees tunnels.
//
// Threads: control for open and close; read and write: the punt thread.
// Errors:  0 or -errno with a sentence.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/error.h"

// Creates the interface, not persistent, with that MAC address and MTU, and brings it up. The
// file descriptor does not block.
int tap_open(const char *name, const struct mac_addr *mac, uint16_t mtu, int *fd, unsigned *ifindex,
	     struct error *err);
// The same without MAC address: a point-to-point interface for bare IP packets.
int tap_open_tun(const char *name, uint16_t mtu, int *fd, unsigned *ifindex, struct error *err);
// The state of the link. -errno.
int tap_set_carrier(int fd, bool on);
// The interface goes with it. -1 is allowed.
void tap_close(int fd);
