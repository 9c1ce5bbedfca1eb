// Mirrors what Linux knows into the dataplane by netlink (libmnl): own addresses, routes and
// neighbours of the ports' TAPs and of tunnel interfaces; and writes the configured addresses into
// Linux.
//
// Threads:   control only, inside the event loop.
// Ownership: borrows the event base, dp and config.
#pragma once

#include <stdbool.h>

#include "config/config.h"
#include "control/doctor/doctor.h"
#include "dataplane/dp.h"
#include "lib/error.h"

struct event_base;
struct netmirror;

// Puts the addresses of the configuration on the TAPs, dumps addresses, routes and neighbours,
// then follows changes. -EPERM and others with a sentence in *err.
int netmirror_create(struct event_base *base, struct dp *dp, const struct config *config,
		     struct netmirror **out, struct error *err);
void netmirror_destroy(struct netmirror *m);
// Takes in the tunnel interfaces that are new in the dataplane, and brings the addresses on all to
// what `config` says (reload).
int netmirror_configure(struct netmirror *m, const struct config *config, struct error *err);
// `changed` is called after addresses, routes or links have changed. NULL stops.
void netmirror_observe(struct netmirror *m, void (*changed)(void *ctx), void *ctx);
// Our addresses on the ports. Returns how many there are; at most `max` are written.
size_t netmirror_addrs(const struct netmirror *m, struct ip_addr *out, size_t max);
// Takes a tunnel interface away from Linux, before it goes in the dataplane (dp_iface_del).
void netmirror_forget(struct netmirror *m, unsigned iface);
// What Linux has as the MTU of a tunnel interface. -errno.
int netmirror_set_mtu(struct netmirror *m, unsigned iface, uint16_t mtu);
// Asks Linux to resolve a neighbour (DP_EV_NO_NEIGHBOUR).
void netmirror_resolve(struct netmirror *m, unsigned port, const struct ip_addr *a);
// Does Linux know the MAC address of a neighbour on a port? *changes (may be NULL): how often that
// has become another one.
bool netmirror_neigh(struct netmirror *m, unsigned port, const struct ip_addr *a,
		     struct doctor_count *changes);
