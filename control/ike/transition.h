// The state machine of IKEv2 as one table of transitions. Its rows stand in the files of their
// exchanges, each under the diagram of the RFC; ike_step.c looks them up.
#pragma once

#include "control/ike/sa.h"

enum exchange_role {
	AS_EXCHANGE_RESPONDER, // the message is a request of the peer
	AS_EXCHANGE_INITIATOR, // the message answers our request
};

enum verdict {
	V_NEXT,	  // go on to the row's next phase
	V_STAY,	  // dealt with; the phase stays, or the handler has closed the SA
	V_SYNTAX, // malformed (RFC 7296 2.21.3)
	V_WAIT,	  // to be handled again: the peer's certificates cannot be judged yet
};

struct ike_transition {
	const char *story;
	enum ike_phase from;
	uint8_t exchange;
	enum exchange_role role;
	uint32_t required; // payloads, exactly once each: HAS(...)
	uint32_t optional; // payloads, at most once each; others are ignored
	enum verdict (*handler)(struct step *st, const struct ike_msg *m);
	enum ike_phase next;
};

struct ike_transitions {
	const struct ike_transition *row;
	size_t n;
};

extern const struct ike_transitions ike_sa_init_transitions, ike_auth_transitions,
	create_child_transitions, informational_transitions;

// The row for a message in this phase, or NULL.
const struct ike_transition *transition_find(enum ike_phase from, uint8_t exchange,
					     enum exchange_role role);
