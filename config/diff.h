// What a new configuration changes in the running one.
#pragma once

#include "config/config.h"

enum config_change { CONFIG_SAME, CONFIG_ADDED, CONFIG_REMOVED, CONFIG_CHANGED };

// True when the gateway section differs in something that needs a restart (ports, devices,
// workers, memory); *what then names it: "gateway.ports.wan.device".
bool config_gateway_differs(const struct config_gateway *a, const struct config_gateway *b,
			    char *what, size_t size);
// True when two connections of one name mean the same, secrets aside (names of files and line
// numbers do not count).
bool config_conn_equal(const struct config_conn *a, const struct config_conn *b);
// True when an IKE SA that was made for `a` is good under `b` as well: what differs are children,
// and things that it can take over as it runs.
bool config_conn_fits(const struct config_conn *a, const struct config_conn *b);
// The same of two children of one name, and of a child SA.
bool config_child_equal(const struct config_child *a, const struct config_child *b);
bool config_child_fits(const struct config_child *a, const struct config_child *b);
