// The Security Policy Database (RFC 4301 4.4.1): ordered lists, first match wins. Every port and
// every tunnel interface has its own (RFC 4301 4.4.1.1: the SPD is chosen by where a packet is
// forwarded to). Those of the ports are one list in memory, in which an entry says whose it is:
// most are of all ports (docs/decisions/policy-per-port.md).
//
// A policy's two selectors are of one family, so each family has lists of its own in the order of
// the whole: no policy of the other family could match before. Those of IPv6 are in policy6.h.
//
// The lists are one immutable snapshot. dp_policies_set builds a new one and stores its pointer;
// workers load the pointer once per batch. The stages policy_out() and policy_in_clear()
// (stages.h) are in policy.c. How the look-up is done: policy_index.h,
// docs/decisions/policy-lookup.md.
//
// Threads:   dp_policies_set, create and destroy: control thread only. Stages: any worker.
// Ownership: a snapshot that was replaced is freed once every worker has been quiescent.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "dataplane/batch.h"
#include "dataplane/dp.h"
#include "dataplane/flow.h"
#include "dataplane/worker.h"
#include "lib/ike_wire.h"

struct policies6;
struct policy_index;
struct tunnel;

struct policy_entry {
	struct ts4 local, remote;
	struct tunnel *tunnel; // of DP_PROTECT
	uint32_t ports;	       // whose it is: bits as of policy_port(); POLICY_ALL_PORTS
	uint8_t action;	       // enum dp_action
};

// The port of a packet as a bit; any other number: it has no route.
static inline uint32_t policy_port(unsigned port)
{
	return 1u << (port < DP_PORTS_MAX ? port : DP_PORTS_MAX);
}
#define POLICY_ALL_PORTS ((1u << (DP_PORTS_MAX + 1)) - 1)
// Bits of struct dp_policy's `ports`, of `n_ports` that there are. 0: it names others.
uint32_t policy_ports(uint16_t ports, unsigned n_ports);

// What the policies say of a packet.
struct policy_verdict {
	bool found;	       // one matches
	uint8_t action;	       // enum dp_action
	struct tunnel *tunnel; // of DP_PROTECT
};

struct policies {
	size_t n;     // of the ports: the first ones
	size_t n_all; // with those of tunnel interfaces behind them
	bool by_port; // one of any family is not of all ports
	bool by_address; // none of the ports' names protocols or ports
	struct policies6 *v6;
	struct policy_index *index;		 // of the ports; NULL: the entries are walked
	uint32_t iface_first[DP_IFACES_MAX + 1]; // entries of interface k: from [k] to [k + 1]
	struct policy_entry entry[];
};

// First entry that matches, or NULL; `port` is policy_port() of where it leaves. A packet whose
// ports are not known (a later fragment) matches a protect or discard entry by address and protocol
// alone, and never a bypass entry that names ports: what might be protected does not leave in clear
// (RFC 4301 7).
const struct policy_entry *policy_find_out(const struct policies *p, const struct flow *f,
					   uint32_t port);
// The same for a packet that came in by `port`: its source is the remote end.
const struct policy_entry *policy_find_in(const struct policies *p, const struct flow *f,
					  uint32_t port);

// The same as policy_find_out for a packet routed to a tunnel interface.
const struct policy_entry *policy_find_iface(const struct policies *p, unsigned iface,
					     const struct flow *f);
// RFC 7296 2, 2.23.
static inline bool policy_is_ike_port(uint16_t port)
{
	return port == IKE_PORT || port == IKE_NATT_PORT;
}

// Moves a packet to `protect` or `pass`, or drops it, as policy_out() does (stages.h); `ike`: it
// keys SAs of our own.
static inline void policy_decide_out(struct worker *w, struct batch *in, uint16_t i, bool ike,
				     struct policy_verdict v, struct batch *protect,
				     struct batch *pass)
{
	// An ICMP error quotes its packet: one about a packet from a tunnel never leaves in clear.
	const bool may_be_clear = in->origin[i] != FROM_SELF_TUNNEL;

	// RFC 4301 4.4.1: traffic that keys SAs must get past them.
	if (ike) {
		batch_append(pass, in, i);
	} else if (v.found && v.action == DP_PROTECT) {
		in->tunnel[i] = v.tunnel;
		batch_append(protect, in, i);
	} else if (v.found && v.action == DP_DISCARD) {
		drop(w, in->pkt[i], DROP_POLICY_DISCARD);
	} else if ((v.found || in->from_linux[i]) && may_be_clear) {
		batch_append(pass, in, i);
	} else {
		drop(w, in->pkt[i], DROP_NO_POLICY); // RFC 4301 4.4.1: the default
	}
}
// Does a packet that came in clear stay in the batch (policy_in_clear(), stages.h)? Else it has
// been dropped. `behind`: without a policy, its source is routed to a tunnel interface.
static inline bool policy_decide_in_clear(struct worker *w, struct batch *b, uint16_t i, bool ike,
					  struct policy_verdict v, bool behind)
{
	const bool bypass = v.found && v.action == DP_BYPASS;

	if ((!v.found && !behind) || bypass || ike) {
		// What a rule lets in on one port may leave by another, else answers to
		// what the same rule let out would end here.
		b->from_linux[i] = b->from_linux[i] || bypass;
		return true;
	}
	// RFC 4301 5.2 step 3b
	drop(w, b->pkt[i],
	     behind || v.action == DP_PROTECT ? DROP_CLEAR_INBOUND : DROP_POLICY_DISCARD);
	return false;
}
// The way out of a packet that is routed to a tunnel interface: protected, or (NULL) nowhere.
void policy_decide_iface(struct worker *w, struct batch *in, uint16_t i, unsigned iface,
			 struct tunnel *tunnel, struct batch *protect);

int policies_create(struct dp *dp); // dp->policies, empty
// Frees the snapshot at once: the workers must have stopped.
void policies_destroy(struct dp *dp);
