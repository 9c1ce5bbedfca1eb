// INFORMATIONAL exchanges that we begin (RFC 7296 1.4). False when the message could not be
// built; the SA is then to be closed.
#pragma once

#include "control/ike/sa.h"

// Deletes the IKE SA: the children go at once, the SA when the peer has answered.
bool send_delete_ike(struct step *st);
// Deletes one child SA; it goes when the peer has answered.
bool send_delete_child(struct step *st, uint32_t spi_in);
bool send_liveness(struct step *st);
// Tells the peer that its AUTH is refused (RFC 7296 2.21.2) and ends the SA.
bool send_auth_failed(struct step *st);
