// A port: one DPDK device, its queues, and its TAP in Linux.
//
// Ports of several VLANs share a device (vlan.h): the first of them opens it.
//
// Each receive queue belongs to one worker. When the device has a transmit queue for every worker,
// each has its own; otherwise the port's owner transmits and the others hand packets to it by a
// ring, so no queue is ever shared.
//
// Threads:   create, destroy: control. rx, tx: workers, each on its own queues. info: control.
// Ownership: the array of ports belongs to struct dp.
// Errors:    0 or -errno with a sentence.
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dataplane/dp.h"
#include "dataplane/worker.h"

struct port { // read only once started, but for the counters
	unsigned index;
	uint16_t id; // DPDK's
	bool open;   // configured and to be closed
	char name[IFNAMSIZ];
	char *device;
	struct mac_addr mac;
	uint16_t mtu; // bytes of IP packet
	uint16_t n_rxq;
	uint16_t reta_size;	     // for ike_flow.h; 0: no queue was set aside
	enum dp_ike_queue ike_queue; // what the last of them is
	unsigned device_port;	     // which port has opened the device: itself, or one before it
	uint16_t vlan;		     // 0: untagged
	bool vlan_insert, vlan_filter, rx_checksum; // what the device does
	struct vlan_map *vlans;	  // of device_port, NULL when the device has no VLANs
	bool link_down;		  // control only: as last reported
	unsigned owner;		  // worker of receive queue 0 and of the TAP
	bool shared_tx;		  // fewer transmit queues than workers: only `owner` transmits
	struct rte_ring *tx_ring; // with shared_tx: packets of the other workers
	int tap_fd;		  // -1 without TAP
	unsigned tap_ifindex;
	struct rte_ring *from_linux;		  // frames read from the TAP, for `owner`
	counter punt_packets, from_linux_packets; // punt thread
};

// Opens the device of port `index`, if it is no port's before it. Its id is known from then on.
int port_open(struct dp *dp, unsigned index, const struct dp_params *params, struct error *err);
// Configures and starts that device, or joins that of a port before it. Packets come from dp->pool.
int port_start(struct dp *dp, unsigned index, const struct dp_params *params, struct error *err);
// Stops and closes the device and frees its rings and the packets in them. The workers and the
// punt thread must have stopped.
void port_stop(struct port *port);
// Reports ports whose link has gone or come since the last call (DP_EV_LINK). Control only.
void port_watch_links(struct dp *dp);
// What a NIC hashes to choose the receive queue, of the RTE_ETH_RSS_* that it offers: the SPI of
// ESP where it can, addresses and ports of the rest. Pure.
uint64_t port_rss(uint64_t offers);
// How many receive queues a device gets. Pure.
uint16_t port_rx_queues(const char *driver, uint64_t rss_offers, uint16_t max, unsigned n_workers);
// Largest frame buffer that a port of these parameters needs, headroom included.
uint16_t port_buf_size(const struct dp_port_params *ports, unsigned n);
