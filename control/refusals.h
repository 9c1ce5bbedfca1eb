// The negotiations that failed lately, and how often a stranger may have its failure explained.
//
// Two lists of limited length: of configured peers, and of strangers, who cannot push the others
// out. What fails again in the same way replaces what is held and is counted. When a list is full,
// an entry goes that its connection (or address) has a newer one for; else the oldest.
//
// Threads:   control only.
// Ownership: entries are the list's until the next refusals_add.
// Limits:    LIMIT_IKE_REFUSALS, LIMIT_IKE_REFUSALS_STRANGERS, LIMIT_IKE_REFUSALS_PER_SOURCE,
//            LIMIT_IKE_REFUSALS_EXPLAINED.
#pragma once

#include <sys/queue.h>

#include "control/ike/refusal.h"

struct refusal_entry {
	TAILQ_ENTRY(refusal_entry) link;
	uint64_t id;		 // counts up; a repetition gets a new one
	int64_t first_s, last_s; // seconds since 1970
	uint64_t count;		 // how often it failed like that
	bool outdated;		 // its peer has a newer entry
	struct ike_refusal refusal;
};

struct refusals {						  // init before use
	TAILQ_HEAD(refusal_list, refusal_entry) peers, strangers; // the newest last
	unsigned n_peers, n_strangers;
	uint64_t last_id;
	uint64_t left_out; // brief ones: counted, not held
};

void refusals_init(struct refusals *f);
void refusals_fini(struct refusals *f);
// A brief one is counted only. *out (may be NULL) is the entry, or NULL. -ENOMEM: it is not held.
int refusals_add(struct refusals *f, const struct ike_refusal *r, int64_t now_s,
		 const struct refusal_entry **out);
// The oldest one with an id above `after`, or NULL.
const struct refusal_entry *refusals_next(const struct refusals *f, uint64_t after);

#define REFUSAL_SOURCES 1024 // a power of two

struct refusal_budget { // zeroed: nothing is spent
	uint64_t since_ms;
	unsigned total[2];		   // strangers', peers'
	uint8_t spent[2][REFUSAL_SOURCES]; // by source; those that share a place share it
};

// May a refusal of that source be explained now? A source is an IPv4 address or the /64 of an IPv6
// address. `peer`: a connection names the address; what strangers spend is not theirs.
bool refusal_budget_take(struct refusal_budget *b, const struct ip_addr *source, bool peer,
			 uint64_t now_ms);
