// What part of its time a worker gives to queues of IKE while it has other work: one eighth.
//
// A burst of IKE that took some time is followed by seven times as long without one, or by a round
// in which there was nothing else to do. So a flood of IKE costs traffic an eighth of a worker at
// most, and IKE gets all the time that is left.
//
// Threads: of one worker. Pure: time comes as an argument.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	IKE_SHARE = 8,		// one in so many
	IKE_SHARE_MAX_US = 500, // a burst that seems to take longer was interrupted
};

struct ike_share {
	uint64_t next_tsc; // not before, while others wait
	uint64_t max_tsc;  // IKE_SHARE_MAX_US
};

static inline struct ike_share ike_share_new(uint64_t tsc_hz)
{
	return (struct ike_share){.max_tsc = tsc_hz / 1000000 * IKE_SHARE_MAX_US};
}

// Is it IKE's turn? `busy`: there was other work in this round.
static inline bool ike_share_open(const struct ike_share *s, uint64_t now_tsc, bool busy)
{
	return !busy || now_tsc >= s->next_tsc;
}

// A burst of IKE began and ended then.
static inline void ike_share_spent(struct ike_share *s, uint64_t from_tsc, uint64_t to_tsc)
{
	uint64_t spent = to_tsc - from_tsc;

	if (spent > s->max_tsc)
		spent = s->max_tsc;
	s->next_tsc = to_tsc + spent * (IKE_SHARE - 1);
}
