// The policies that a configuration asks for (RFC 4301 4.4.1), in the order of the look-up.
//
// Every child is expanded to its local x remote selectors. First what passes in clear, then what
// is protected, then what is dropped, as strongSwan orders them; inside each group an explicit
// `priority` (lower first) before those without, then the more specific selectors, then the order
// of the file. In front of all stand our own IKE packets: a tunnel that covers the gateways' own
// addresses must not swallow the messages that set it up.
//
// Threads:   control only; pure.
// Ownership: the result belongs to the caller (free).
#pragma once

#include <stddef.h>

#include "config/config.h"
#include "dataplane/dp.h"

// What is only known at run time, asked for each child.
struct spd_env {
	void *ctx;
	// The dataplane's tunnel of a child with mode = tunnel, or DP_TUNNEL_NONE: the child then
	// gets no policy. *iface is the number of its tunnel interface, DP_IFACE_NONE without.
	uint32_t (*tunnel)(void *ctx, const struct config_conn *conn,
			   const struct config_child *child, unsigned *iface);
	// Our own and the peer's address for "dynamic" selectors; family IP_NONE when unknown: that
	// selector is then left out.
	void (*addrs)(void *ctx, const struct config_conn *conn, struct ip_addr *local,
		      struct ip_addr *remote);
};

// -ENOMEM; on error the outputs are untouched. *out is NULL when there are no policies.
int spd_build(const struct config *config, const struct spd_env *env, struct dp_policy **out,
	      size_t *n);
