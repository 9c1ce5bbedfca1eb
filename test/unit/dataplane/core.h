// A dataplane of one worker and two ports without devices, for testing classify, routing, punt and
// the worker's step. What the worker would transmit stays in its tx buffers; what it punts stays
// in the ring towards Linux. Everything but the devices and the threads is real.
//
// Port 0 is 10.1.0.1/24 with an MTU of 1500; port 1 is 192.0.2.1/24 with one of 1400.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

#include "dataplane/dp_internal.h"
#include "dataplane/fib.h"
#include "dataplane/port.h"
#include "dataplane/punt.h"
#include "dataplane/stages.h"

struct core {
	struct dp dp;
	struct port port[2];
	struct worker *w;
	struct worker *workers[2]; // the second is for tests that set it
};

extern struct core core;
extern unsigned core_memory_mb; // of core_group_setup
extern const struct mac_addr core_port_mac[2], core_host_mac, core_gw_mac;

int core_group_setup(void **state); // EAL, once per program
int core_group_teardown(void **state);
int core_setup(void **state);	 // tables, addresses and link routes
int core_teardown(void **state); // fails when packets leaked

struct ip_addr core_addr(const char *text);
uint32_t core_be32(const char *text);
void core_route(const char *prefix, unsigned port, const char *gateway); // NULL: on the link
void core_neigh(unsigned port, const char *addr, const struct mac_addr *mac);
// One policy for everything.
void core_policy(enum dp_action action);

struct packet {
	const char *src, *dst;
	uint8_t proto, ttl;  // 0: UDP, 64
	uint16_t frag;	     // fragment_offset field, host order
	uint16_t len;	     // of the IP packet; 0: header and payload
	uint16_t padding;    // bytes of Ethernet padding
	uint16_t dst_port;   // UDP
	const void *payload; // behind the UDP header, or behind the IP header
	uint16_t payload_len;
	const struct mac_addr *to, *from; // NULL: port 0's, the host's
	uint16_t ether_type;		  // 0: IPv4
	bool bad_checksum;
};

// A frame with data at its Ethernet header.
struct rte_mbuf *core_frame(const struct packet *p);
// A bare IPv4 packet, as between classify and tx.
struct rte_mbuf *core_bare(const struct packet *p);
void core_put(struct batch *b, struct rte_mbuf *m, unsigned port, enum batch_origin origin);
void core_free(struct batch *b);

// The next frame queued for a port, or NULL. The caller frees it.
struct rte_mbuf *core_sent(unsigned port);
// The next frame for Linux, or NULL.
struct rte_mbuf *core_punted(void);
uint64_t core_dropped(enum drop_reason reason);
uint64_t core_dropped_total(void);
// Takes the next event; false when there is none.
bool core_event(struct dp_event *ev);
