// Which of many policies may match an address: the few whose range holds it, in their order.
//
// The 32-bit addresses are cut at both ends of every policy's range on one side, local or remote,
// into intervals with the same policies throughout. The upper half of an address leads to a short
// row of intervals, a binary search in it to the interval, and that to its list of policies. The
// side is the one with the shorter lists: a hub's sites differ in their remote ranges, tunnels of
// many networks to one place in their local ones.
//
// Addresses of IPv6 are cut in the same way. Sites share the upper bits of their prefixes, so the
// row is found by the 16 bits behind those which the cuts have in common, all but the outermost: a
// few policies that reach farther than the sites (2001:db8::/32, fd00::/8) are not to spread the
// rows over what nobody has. What lies outside is found by a search among the outermost.
//
// Threads:   create, destroy: control. find: any worker. Immutable in between.
// Errors:    0 or -errno.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/flow6.h"

struct policy_entry;
struct policy_entry6;

struct policy_index {
	bool by_local;
	uint8_t shift;		 // IPv6: bits behind those 16 that tell the row
	uint32_t row_lo, row_hi; // IPv6: the intervals between which there are rows
	uint32_t n;		 // intervals
	uint32_t *start;	 // their first addresses, host order, ascending; the first is 0
	addr6 *start6;		 // the same for IPv6
	uint32_t *first;	 // n + 1: where their lists begin
	uint32_t *list;		 // numbers of policies, ascending in each list
	// The interval of the first address with this upper half (IPv6: with these 16 bits); one
	// more to end the last row.
	uint32_t top[65537];
};

// *out is NULL when an index would not pay: few policies, or almost all of them overlap. -ENOMEM.
int policy_index_create(const struct policy_entry *entry, size_t n, struct policy_index **out);
int policy_index_create6(const struct policy_entry6 *entry, size_t n, struct policy_index **out);
void policy_index_destroy(struct policy_index *x); // NULL is allowed

// The policies that may match; *n of them.
static inline const uint32_t *policy_index_find(const struct policy_index *x, uint32_t local,
						uint32_t remote, uint32_t *n)
{
	const uint32_t addr = x->by_local ? local : remote;
	uint32_t lo = x->top[addr >> 16], left = x->top[(addr >> 16) + 1] - lo + 1;

	// start[lo] <= addr; the last such one is the interval. Without a branch to guess wrongly.
	while (left > 1) {
		const uint32_t half = left / 2;

		lo += half * (x->start[lo + half] <= addr);
		left -= half;
	}
	*n = x->first[lo + 1] - x->first[lo];
	return x->list + x->first[lo];
}

// The same with an index of IPv6.
static inline const uint32_t *policy_index_find6(const struct policy_index *x, addr6 local,
						 addr6 remote, uint32_t *n)
{
	const addr6 addr = x->by_local ? local : remote;
	uint32_t lo = 0, left = x->row_lo;

	if (addr >= x->start6[x->row_hi]) {
		lo = x->row_hi;
		left = x->n - lo;
	} else if (addr >= x->start6[x->row_lo]) {
		const uint32_t row = (uint32_t)(addr >> x->shift) & 0xffff;

		lo = x->top[row];
		left = x->top[row + 1] - lo + 1;
	}
	while (left > 1) {
		const uint32_t half = left / 2;

		lo += half * (x->start6[lo + half] <= addr);
		left -= half;
	}
	*n = x->first[lo + 1] - x->first[lo];
	return x->list + x->first[lo];
}
