// The first child SA, negotiated inside IKE_AUTH (RFC 7296 1.2, 2.9, 2.21.2).
#pragma once

#include "control/ike/builder.h"
#include "control/ike/sa.h"

// Adds SAi2, TSi, TSr for sa->first_child. False when no SPI can be had (reported).
bool first_child_offer(struct step *st, struct ike_builder *b);
// Initiator: installs what the responder chose, or reports why there is no child. False when the
// payloads are malformed.
bool first_child_answered(struct step *st, const struct ike_msg *m);
// Responder: chooses a child of sa->conn, installs it and adds SAr2, TSi, TSr, or adds the notify
// that says why not. False when the payloads are malformed; nothing has been added then.
bool first_child_choose(struct step *st, const struct ike_msg *m, struct ike_builder *b);
