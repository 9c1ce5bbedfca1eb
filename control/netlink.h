// rtnetlink in the few words that netmirror needs: ask for a dump, change an address, nudge a
// neighbour, and take messages apart (rtnetlink(7)).
//
// Threads: control only. Calls wait for the kernel's answer, which netlink gives at once.
// Errors:  0 or -errno as the kernel says.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <libmnl/libmnl.h>

#include "lib/addr.h"

#define NETLINK_HOPS_MAX 32
#define NETLINK_BUFFER	 32768 // bytes: the largest piece of a dump

struct netlink; // a socket for requests

int netlink_open(struct netlink **out);
void netlink_close(struct netlink *n);
// Opens a socket that receives what changes in links, addresses, routes, next hop objects and
// neighbours.
int netlink_monitor(struct mnl_socket **out);

// Calls `each` for every message of a dump (RTM_GETADDR, RTM_GETROUTE, RTM_GETNEIGH) of both
// families.
// -EINTR when the kernel's table changed meanwhile: what was passed on may be incomplete.
int netlink_dump(uint16_t type, void (*each)(const struct nlmsghdr *h, void *ctx), void *ctx);

int netlink_addr_set(struct netlink *n, unsigned ifindex, const struct ip_prefix *a);
int netlink_addr_del(struct netlink *n, unsigned ifindex, const struct ip_prefix *a);
int netlink_link_del(struct netlink *n, unsigned ifindex);
int netlink_mtu_set(struct netlink *n, unsigned ifindex, uint16_t mtu);
// Says that the neighbour is wanted: the kernel resolves it, or checks what it knows of it.
int netlink_neigh_use(struct netlink *n, unsigned ifindex, const struct ip_addr *a);

struct netlink_link {
	unsigned ifindex;
	bool up;	 // IFF_UP
	bool up_changed; // this message tells of it
};

struct netlink_addr {
	unsigned ifindex;
	struct ip_prefix addr; // host bits kept
};

struct netlink_hop {
	unsigned ifindex;
	struct ip_addr gateway; // IP_NONE: on the link
	bool link_down;		// it has no carrier
};

struct netlink_route {
	struct ip_prefix dst;
	uint32_t metric;
	bool replaces;	 // takes the place of the one with the same prefix and metric
	bool appended;	 // stands behind those
	unsigned n_hops; // 0: blackhole and the like, or no next hop that is alive
	struct netlink_hop hops[NETLINK_HOPS_MAX];
};

enum netlink_neigh_state { NEIGH_UNKNOWN, NEIGH_KNOWN, NEIGH_STALE };

struct netlink_neigh {
	unsigned ifindex;
	struct ip_addr addr;
	enum netlink_neigh_state state; // with RTM_DELNEIGH: NEIGH_UNKNOWN
	struct mac_addr mac;		// unless NEIGH_UNKNOWN
};

// Each is false when the message is malformed or tells of something that is not mirrored: another
// family, what is link-local, a route of another table than main or with a TOS, a proxy entry.
bool netlink_parse_link(const struct nlmsghdr *h, struct netlink_link *out);
bool netlink_parse_addr(const struct nlmsghdr *h, struct netlink_addr *out);
bool netlink_parse_route(const struct nlmsghdr *h, struct netlink_route *out);
bool netlink_parse_neigh(const struct nlmsghdr *h, struct netlink_neigh *out);
