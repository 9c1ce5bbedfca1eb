// The guard of UDP/500 and 4500: it stands in front of the punt, and decides what of IKE reaches
// Linux, and control, when more comes than they can take.
//
// In this order: messages of IKE SAs that we have (by our own SPI, 64 random bits), openers of
// configured peers, whatever else comes from their addresses, strangers. Each class has a budget of
// its own, so none takes from another. Openers beyond a budget are asked for a cookie (RFC 7296
// 2.6), here and without any state, and in fewer bytes than came; who shows one has a budget that
// no forger can touch, because he never saw it. When more of them come than are answered at once
// (answer_rate), only those that come again are: a real peer repeats its opener. So a flood with a
// peer's own address costs that peer one round trip, and ESP nothing but the time it takes to look.
//
// Threads:   create, destroy, the setters: control. guard(): any worker (stages.h).
// Ownership: tables are immutable snapshots, freed after a grace period.
// Errors:    0 or -errno.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/dp_internal.h"
#include "dataplane/guard_seen.h"
#include "lib/ike_cookie.h"

struct guard_budget {		   // generic cell rate algorithm: one word, any number of writers
	_Atomic uint64_t full_tsc; // when what was taken will have been earned
};

struct guard_rate {
	uint64_t tick;	// cycles that one message earns in
	uint64_t burst; // cycles' worth of messages at once
};

// Peers by address, or a range of addresses; control builds it, workers write the budgets.
struct guard_peer {
	struct ip_addr lo, hi;
	struct guard_budget opens, proven, rest, answers;
	struct guard_budget kept[DP_IKE_ENDS];		 // headers of lost messages (ike_lost.h)
	_Atomic uint64_t passed, cookies, limited, lost; // messages; lost: passed, but not to Linux
	// TTL or hop limit of what it has authenticated, by control; 0: not known, or a range.
	_Atomic uint8_t ttl;
};

struct guard_peers {
	size_t n;
	struct guard_peer peer[]; // by address, no two overlap
};

// Our own SPIs of IKE SAs, half-open ones as well: open addressing, for a key is random already.
struct guard_spis {
	uint64_t mask;
	_Atomic uint64_t spi[]; // 0: free for ever, 1: deleted
};

struct guard_rates {
	struct guard_rate peer_opens, peer_proven, peer_rest;
	struct guard_rate stranger_opens, stranger_proven, stranger_rest, stranger_v1;
	struct guard_rate answers;
};

struct guard {
	_Atomic bool on;
	struct guard_peers *_Atomic peers; // NULL: none
	struct guard_spis *_Atomic spis;
	struct ike_cookie_keys *_Atomic keys; // NULL: no cookie can be asked for
	struct guard_rates *_Atomic rates;
	struct guard_budget stranger_opens, stranger_proven, stranger_rest, stranger_v1;
	struct guard_budget stranger_answers;
	struct guard_seen seen; // openers beyond the budgets for them
	size_t n_spis, n_dead;	// control's count of what stands in `spis`
};

int guard_create(struct dp *dp); // dp->guard; -ENOMEM
void guard_destroy(struct dp *dp);
// From time to time: forgets openers that came long ago.
void guard_age(struct dp *dp);
// One message out of a budget; false: there is none left.
bool guard_take(struct guard_budget *b, const struct guard_rate *rate, uint64_t now_tsc);
// NULL: no configured peer has that address.
struct guard_peer *guard_peers_find(struct guard_peers *p, const struct ip_addr *a);
bool guard_spis_have(const struct guard_spis *s, uint64_t spi);
