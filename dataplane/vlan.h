// VLANs of IEEE 802.1Q: several ports on one device, told apart by the tag of a frame.
//
// The port that comes first in the configuration opens the device and has its queues; the others
// share them. A port without a VLAN takes what is untagged. Tags are taken off and put in front by
// the device where it offers that, and here where it does not.
//
// Threads:   vlan_rx, vlan_tx: any worker, on its own packets. The map is read only once started.
// Ownership: a map belongs to the port that opens the device.
// Errors:    a frame of no port is dropped and counted (rx-vlan).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "dataplane/batch.h"

#define VLAN_IDS     4096
#define VLAN_ID_MASK 0x0fff // of a tag's control information: the rest is priority
#define VLAN_NO_PORT UINT8_MAX

struct port;
struct worker;

struct vlan_map {
	uint8_t port[VLAN_IDS]; // by VLAN, 0 for untagged; VLAN_NO_PORT
};

// All VLANs lead nowhere. NULL without memory; free() takes it away.
struct vlan_map *vlan_map_create(void);
// Finds the port of received frame `i`, whose data is in one piece, and takes its tag off; b->port
// and the packet's own port are set. A tag of no VLAN (priority only) counts as none. On a device
// without VLANs a tagged frame stays as it is. False: the frame is gone and counted.
bool vlan_rx(struct worker *w, struct batch *b, uint16_t i);
// Marks a frame that leaves by a port of a shared device with the port's VLAN. NULL: the frame is
// gone and counted.
struct rte_mbuf *vlan_tx(struct worker *w, const struct port *port, struct rte_mbuf *m);
