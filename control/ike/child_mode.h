// Transport or tunnel mode of a child SA (RFC 7296 1.3.1), and what a NAT does to the selectors of
// transport mode (RFC 7296 2.23.1).
//
// The initiator asks with USE_TRANSPORT_MODE, the responder agrees with the same notify or leaves
// it out; then the SA is in tunnel mode, which carries the same packets. Transport mode is for the
// two ends themselves: each side's selectors are the one address that the IKE SA has there.
//
// Threads: control; pure.
#pragma once

#include "control/ike/child_nego.h"

// May a child with these selectors be in transport mode?
bool child_mode_fits(const struct ike_sa *sa, const struct selector_list *local,
		     const struct selector_list *remote);
// Is the request under way, whose selectors are filled in, to ask for transport mode? A successor
// keeps the mode of what it replaces. Reports when the selectors are not made for it.
bool child_mode_ask(struct step *st, const struct child_request *r);
// Says that the SA is to be in transport mode, or is; and that packets on it are not to be padded:
// where the peer's packet ends is told by ESP alone (RFC 4303 2.7).
void child_mode_build(struct ike_builder *b);
// The selectors that the peer has sent for our and its own side of a transport mode SA, by the
// addresses that a NAT has put in their place; what they were is left in *mode. False when a side
// is not one address: then nothing has changed.
bool child_mode_substitute(const struct ike_sa *sa, struct selector_list *local,
			   struct selector_list *remote, struct child_mode *mode);
// A child in transport mode ends where an end of its IKE SA has moved away: the mode knows no outer
// addresses (RFC 4555 1.2). Who moves the IKE SA makes another one. False: it stays.
bool child_mode_moved_away(struct step *st, struct ike_child *child);
