// Two gateways with one connection, `lab`, and its child `net` between them.
#pragma once

#include "fake_gateway.h"

#define A "192.0.2.1"
#define B "198.51.100.1"

#define START "start_action = start"

struct pair {
	struct event_base *base;
	struct gateway a, b;
};

// cmocka's set-up and tear-down: *state is a struct pair, both gateways without a configuration.
int pair_setup(void **state);
int pair_teardown(void **state);
// The configuration of gateway 'a' or 'b'; `conn` and `child` are added to their sections. It may
// be changed, and lasts until the next call.
char *pair_config(char site, const char *conn, const char *child);
// Does each side send with an SPI that the other receives?
bool pair_joined(struct pair *n);
