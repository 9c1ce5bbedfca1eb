// Requests and replies (RFC 7296 2.1 to 2.3): one request of ours under way, repeated bit by bit
// with growing waits; the last reply kept and sent again when its request comes again.
#pragma once

#include "control/ike/builder.h"
#include "control/ike/sa.h"

// Begins a request or a response of this SA. Everything but IKE_SA_INIT is opened as an
// Encrypted payload.
void request_begin(struct step *st, struct ike_builder *b, uint8_t exchange);
void reply_begin(struct step *st, struct ike_builder *b, const struct ike_msg *m);

// Completes, sends and remembers. False when it could not be built (reported) or memory ran out;
// the SA is then to be closed.
bool request_send(struct step *st, struct ike_builder *b, enum request_kind kind);
bool reply_send(struct step *st, struct ike_builder *b, const struct ike_msg *m);
// A reply of one notify.
bool reply_notify(struct step *st, const struct ike_msg *m, uint16_t type, const void *data,
		  size_t len);

void reply_repeat(struct step *st, const struct ike_msg *m);
// The answer has come.
void request_done(struct ike_sa *sa);
// The armed time has come: repeats the request, or gives the peer up.
void request_timer(struct step *st);
// Sends what waits for a free window: DELETE of the SA, of children, a liveness check.
void request_next(struct step *st);
