// The beginning of an IKE SA as initiator (RFC 7296 1.2).
#pragma once

#include "control/ike/sa.h"

// Sends the first IKE_SA_INIT request; closes the SA when that cannot be.
void init_start(struct step *st);
