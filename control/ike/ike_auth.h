// IKE_AUTH as initiator (RFC 7296 1.2).
#pragma once

#include "control/ike/sa.h"

// Sends the request; `init` is the IKE_SA_INIT response. Closes the SA when that cannot be.
void auth_start(struct step *st, const struct ike_msg *init);
