// Anti-replay window (RFC 4303 3.4.3) over 64-bit sequence numbers, and what the upper half of an
// extended number must be that is not sent (appendix A2).
//
// Threads:   one owner; no locking inside.
// Ownership: the ring of bits belongs to the caller, who keeps it as long as the window.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLAY_WINDOW_MAX     65536 // packets
#define REPLAY_WINDOW_MIN_ESN 1024  // packets, by which numbers are inferred without a window

struct replay {
	uint64_t top;	 // highest sequence number accepted so far, 0 before the first
	uint32_t window; // packets, a multiple of 64 up to REPLAY_WINDOW_MAX; 0 accepts everything
	uint32_t mask;	 // words of the ring less one
	// A ring of words, by sequence number. It holds more than the window, so that the word
	// which the top has just entered is never one the window still needs (RFC 6479).
	uint64_t *ring;
};

// Words of the ring of such a window, a power of two; 0 without a window.
size_t replay_ring_words(uint32_t window);
// `window` is rounded up to a multiple of 64 and cut to REPLAY_WINDOW_MAX. `ring` has
// replay_ring_words(window) words and is cleared.
void replay_init(struct replay *r, uint32_t window, uint64_t *ring);
// The whole number of a packet by its lower half (RFC 4303 A2.2): the one next to the window, at
// or behind its lower edge. 0, which is never accepted, for one before the first number.
uint64_t replay_infer(const struct replay *r, uint32_t seq_low);
// The word of the ring where a number's bit stands. Not without a window.
static inline uint64_t *replay_word(const struct replay *r, uint64_t seq)
{
	return &r->ring[seq / 64 & r->mask];
}

// Records a number above the top.
void replay_advance(struct replay *r, uint64_t seq);

// Before decryption: would this number be accepted? Changes nothing.
static inline bool replay_check(const struct replay *r, uint64_t seq)
{
	if (r->window == 0)
		return true;
	if (seq > r->top)
		return true;
	// RFC 4303 3.3.3: the first packet has number 1, zero is never sent.
	if (seq == 0 || r->top - seq >= r->window)
		return false;
	return !(*replay_word(r, seq) >> (seq % 64) & 1);
}

// After the ICV verified: records the number. False for a duplicate or one too old; a number is
// accepted once only, also when replay_check said yes twice.
static inline bool replay_accept(struct replay *r, uint64_t seq)
{
	if (seq > r->top && (seq / 64 != r->top / 64 || r->window == 0)) {
		replay_advance(r, seq);
		return true;
	}
	if (r->window == 0)
		return true;
	if (seq <= r->top && !replay_check(r, seq))
		return false;
	*replay_word(r, seq) |= 1ull << (seq % 64);
	if (seq > r->top)
		r->top = seq;
	return true;
}
