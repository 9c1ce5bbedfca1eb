// Device strings: what a user can get wrong about them, and how they become DPDK devices.
//
// Threads: control only, at start.
// Errors:  0 or -errno with a sentence that says what, where and what to do.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/dp.h"

#define DEVICE_TEXT_MAX 512

// "0000:01:00.1" or "01:00.1", with or without further arguments.
bool device_is_pci(const char *device);
// Do two device strings name one device? What stands in front of the first comma says.
bool device_same(const char *a, const char *b);
// The first of the ports that has the device of port `i`: itself, or one before it.
unsigned device_first(const struct dp_port_params *ports, unsigned i);
// The full PCI address of such a device string. -EINVAL.
int device_pci_address(const char *device, char *buf, size_t size);
// Largest frame that the driver insists to have room for in a packet buffer, in bytes; 0 when it
// does not.
unsigned device_frame_size(const struct dp_port_params *port);
// The driver refused the port's MTU (`why`): warns, unless the interface underneath has it already.
void device_check_mtu(const struct dp_port_params *port, const char *why);
// Before EAL starts: is the device there, may we use it, will its name clash?
int device_check(const struct dp_port_params *port, struct error *err);
// After EAL has started: makes the device (PCI devices are there already) and finds its port id.
// *steered: what a stranger can send to IKE comes by the last receive queue, and nothing else does.
int device_open(const struct dp_port_params *port, const struct ike_mark_key *key, uint16_t *id,
		bool *steered, struct error *err);
