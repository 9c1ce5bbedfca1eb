// The tunnel interfaces of the configuration: makes and takes away the dataplane's, and gives Linux
// the state of their links and what fits into their tunnels.
//
// An interface has a carrier while one of its children is up, or while traffic would bring one up
// (start_action = trap): without a carrier Linux sends nothing to it.
//
// Threads:   control only, inside the event loop.
// Ownership: borrows the event base, dp, the mirror and ike_run.
// Errors:    0 or -errno with a sentence; on error nothing has changed.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "dataplane/dp.h"
#include "lib/error.h"

struct event_base;
struct links;
struct ike_run;
struct netmirror;

int links_create(struct event_base *base, struct dp *dp, struct links **out);
// Leaves the interfaces to the dataplane's end.
void links_destroy(struct links *x); // NULL is allowed

// Two steps of a reload, between which addresses and children are set: those that are new are made,
// and, when all of it has worked, those that are gone are taken away. The second begins to follow
// the children.
int links_add(struct links *x, const struct config *config, struct error *err);
void links_settle(struct links *x, const struct config *config, struct netmirror *mirror,
		  const struct ike_run *ike);

// A child behind it has come up or gone. The link of the first one is up on return, so that an
// answer of Linux to the first packet gets out; otherwise this looks soon.
void links_look(void *links, unsigned iface);

struct links_state { // what Linux was told
	bool carrier;
	uint16_t mtu;
};

// Of the dataplane's number.
struct links_state links_state(const struct links *x, unsigned iface);
