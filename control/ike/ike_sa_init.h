// The beginning of an IKE SA as initiator (RFC 7296 1.2).
#pragma once

#include "control/ike/sa.h"

// Sends the first IKE_SA_INIT request; closes the SA when that cannot be.
void init_start(struct step *st);
// Nothing has answered on port 500 so far: begins anew on the connection's other port, if it has
// one and that was not tried. False: nothing is done.
bool init_fall_back(struct step *st);
