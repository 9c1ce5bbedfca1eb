// The policies of IPv6: the second list of a snapshot (policy.h), looked up as the first is.
//
// Threads:   create, destroy and count: control. The others: any worker.
// Ownership: a list belongs to its snapshot.
// Errors:    0 or -errno.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/batch.h"
#include "dataplane/flow6.h"
#include "dataplane/policy.h"

struct policy_entry6 {
	struct ts6 local, remote;
	struct tunnel *tunnel; // of DP_PROTECT
	uint32_t ports;	       // as of struct policy_entry
	uint16_t iface;	       // DP_IFACE_NONE: of the ports
	uint8_t action;	       // enum dp_action
};

struct policies6 {
	size_t n;		    // of the ports: the first ones
	size_t n_all;		    // with those of tunnel interfaces behind them, by their number
	struct policy_index *index; // of the ports; NULL: the entries are walked
	struct policy_entry6 entry[];
};

// The last look-up of a batch: packets of one flow come in rows.
struct policy6_last {
	bool valid; // it was that of the packet before
	unsigned iface;
	uint32_t port; // policy_port(): where it leaves; inbound: where it came in
	bool behind;   // inbound: its source is routed to a tunnel interface
	struct flow6 flow;
	const struct policy_entry6 *entry;
};

// Takes those of IPv6 out of a list of policies. *out is NULL when there are none. Sets *by_port
// when one is not of all ports.
int policies6_create(const struct dp *dp, const struct dp_policy *policy, size_t n, bool *by_port,
		     struct policies6 **out);
void policies6_destroy(struct policies6 *p); // NULL is allowed

// As policy_find_out() and policy_find_in(). `p` may be NULL. A later fragment whose protocol
// stands in another one (RFC 4301 4.4.1.1: OPAQUE) matches protect and discard entries by address
// alone, and no bypass entry that names a protocol.
const struct policy_entry6 *policy6_find_out(const struct policies6 *p, const struct flow6 *f,
					     uint32_t port);
const struct policy_entry6 *policy6_find_in(const struct policies6 *p, const struct flow6 *f,
					    uint32_t port);
// As policy_find_iface().
const struct policy_entry6 *policy6_find_iface(const struct policies6 *p, unsigned iface,
					       const struct flow6 *f);

// policy_out() and policy_in_clear() (stages.h) for packet `i`, which is one of IPv6. The second
// says whether it stays in the batch. Packets whose headers cannot be walked are dropped as
// rx-malformed.
void policy6_out(struct worker *w, const struct policies *p, struct policy6_last *last,
		 struct batch *in, uint16_t i, struct batch *protect, struct batch *pass);
bool policy6_in_clear(struct worker *w, const struct policies *p, struct policy6_last *last,
		      struct batch *b, uint16_t i);
