// Between which addresses an IKE SA and its children go, and which others there are (RFC 4555 3).
//
// sa->local and sa->remote are the IKE SA's. The children (sa->esp) go along, at once or, when the
// peer has another address, as soon as it is known that the peer receives there (RFC 4555 3.7).
// One side decides, the leader: who began the first of a series of IKE SAs.
#pragma once

#include "control/ike/sa.h"

// The children go where the IKE SA goes from now on; those that are there are moved.
void path_settle(struct step *st);
bool path_is_settled(const struct ike_sa *sa);
// What goes for `from` goes for its successor.
void path_inherit(const struct ike_sa *from, struct ike_sa *to);

// Asks for our addresses. True when they are others than before.
bool path_own_refresh(struct ike_sa *sa);
// IKE_EV_ADDRESSES.
void path_addresses_changed(struct step *st);
// The IKE SA goes on between these two.
void path_set(struct step *st, const struct ip_endpoint *local, const struct ip_endpoint *remote);
// Leader: the same, and the peer is told.
void path_change(struct step *st, const struct ip_endpoint *local,
		 const struct ip_endpoint *remote);
// A request under way goes to the new address at once, too.
void path_nudge(struct step *st);
// Leader: the request under way was repeated; other pairs of addresses are tried as well when it
// has been several times.
void path_try(struct step *st);
// Leader: a response has come, perhaps by one of these.
void path_answered(struct step *st);
// Leader: the peer does not agree to the pair in use. Goes back, or on to the next, or ends it.
void path_refused(struct step *st);
