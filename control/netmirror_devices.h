// The interfaces of Linux that are ours: the ports' TAPs and the tunnel interfaces' TUNs, which
// number of the dataplane each has, and the addresses that the configuration puts on them.
//
// Threads:   control only.
// Errors:    0 or -errno with a sentence; an address that could not be changed stays as it was.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "lib/addr.h"
#include "lib/error.h"

struct dp;
struct netlink;

#define DEVICE_NONE UINT32_MAX

struct device {
	char name[CONFIG_PORT_NAME_MAX];
	unsigned number; // in the dataplane: a port or a tunnel interface
	unsigned ifindex;
	struct ip_prefix set[2 * CONFIG_ADDRS_MAX]; // put there by us, old and new
	unsigned n_set;
};

struct devices {
	struct device *at; // sorted by ifindex
	size_t n, room;
};

void devices_fini(struct devices *d);

// Takes in those of the dataplane that it does not have yet. A port without a TAP is none.
int devices_read(struct devices *d, const struct dp *dp, struct error *err);
// Forgets one, of which Linux loses the addresses with the interface.
void devices_forget(struct devices *d, unsigned number);
// DEVICE_NONE when it is none of ours.
uint32_t devices_number(const struct devices *d, unsigned ifindex);
const struct device *devices_get(const struct devices *d, unsigned number); // NULL
// Brings the addresses on all of them to what the configuration says.
int devices_configure(struct devices *d, struct netlink *ask, const struct config_gateway *gw,
		      struct error *err);
