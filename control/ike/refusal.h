// Why a negotiation failed, as a value (RFC 7296 2.7, 2.9, 2.15, 2.21): both sides' proposals, the
// identities, the selectors, the candidates and what each lost by, the peer's certificates. The
// log's sentence, the API's message and the CLI's table are made of it. No keys are in it.
//
// Ownership: a value without pointers. It is large: it lives on the heap and is copied by
//            assignment.
// Limits:    LIMIT_IKE_REFUSAL_CANDIDATES, LIMIT_IKE_REFUSAL_CERTS; the text IKE_REPORT_TEXT_MAX.
#pragma once

#include "control/ike/ike.h"

enum refusal_lost {	// what a candidate lost by
	LOST_PEER_ID,	// it expects another peer
	LOST_OWN_ID,	// the peer asks for somebody else than it is
	LOST_PROPOSAL,	// it accepts none of the proposals
	LOST_SELECTORS, // a child: its selectors have nothing in common with the offer
};

struct refusal_candidate { // a connection, or child, that the peer might have meant
	char name[IKE_NAME_MAX];
	enum refusal_lost lost;
	uint8_t differs; // LOST_PROPOSAL: bit 1 << type for each type without a common algorithm
	struct identity local, remote;		  // LOST_PEER_ID, LOST_OWN_ID: as configured
	struct selector_list local_ts, remote_ts; // LOST_SELECTORS
};

struct refusal_selectors { // seen from us
	struct selector_list local, remote;
};

struct ike_refusal {
	enum ike_report_code code;
	uint8_t exchange;	 // enum ike_exchange
	bool exchange_initiator; // whether we began that exchange
	bool by_peer;		 // it refused us; otherwise we refused it
	uint16_t notify;	 // that came with it (enum ike_notify_type), 0: none
	struct ip_endpoint local, remote;
	char conn[IKE_NAME_MAX], child[IKE_NAME_MAX]; // "" while not known
	char why[ERROR_TEXT_MAX];		      // one clause
	// What the peer says that it is, what the connection expects it to be; what we are, what
	// the peer asks for. ID_ANY: not known, or anything.
	struct identity remote_id, remote_wanted, local_id, local_asked;
	bool have_ours, have_theirs; // proposals; a peer that refuses ours does not show its own
	bool ignore_ke;		     // the first child has no key exchange (RFC 7296 1.2)
	struct proposal_list ours, theirs;
	bool have_our_ts, have_their_ts;
	struct refusal_selectors our_ts, their_ts;
	unsigned n_candidates, candidates_total; // those held, those there were
	struct refusal_candidate candidate[LIMIT_IKE_REFUSAL_CANDIDATES];
	unsigned n_certs; // that the peer sent, its own first
	struct ike_cert_info cert[LIMIT_IKE_REFUSAL_CERTS];
	bool brief; // too many of this source: `why` has to do, nothing else is filled in
	bool stranger; // not authenticated, and no connection names its address
};

enum refusal_verdict {
	VERDICT_COMMON,	     // both sides have an algorithm of this type in common
	VERDICT_DIFFERENT,   // both sides have the type, no algorithm is common
	VERDICT_ONLY_OURS,   // the peer's proposals lack the type
	VERDICT_ONLY_THEIRS, // ours do
	VERDICT_UNKNOWN,     // the peer has not said what it would accept
};

// How the two sides' proposals compare in one transform type. False when neither has it.
bool refusal_compare(const struct ike_refusal *r, uint8_t type, enum refusal_verdict *out);
// The algorithms of one type in a list, each once, in order; `max` at most. Returns how many.
unsigned refusal_transforms(const struct proposal_list *list, uint8_t type, struct transform *out,
			    unsigned max);
// Types in which two lists have nothing in common, as refusal_candidate.differs.
uint8_t refusal_differs(const struct proposal_list *ours, const struct proposal_list *theirs,
			bool ignore_ke);
const char *refusal_verdict_name(enum refusal_verdict verdict); // "common", "different", ...
const char *refusal_lost_name(enum refusal_lost lost);		// "peer-id", "own-id", ...
const char *refusal_lost_text(enum refusal_lost lost);		// "expects another peer"
// The sentence, in IKE_REPORT_TEXT_MAX bytes. Returns buf.
char *refusal_text(const struct ike_refusal *r, char buf[IKE_REPORT_TEXT_MAX]);
