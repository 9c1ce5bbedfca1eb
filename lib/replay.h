// Anti-replay window (RFC 4303 3.4.3), 32-bit sequence numbers.
//
// Threads: one owner; no locking inside.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_WINDOW_MAX 1024 // packets

struct replay {
	uint64_t top;	 // highest sequence number accepted so far, 0 before the first
	uint32_t window; // packets, a multiple of 64 up to REPLAY_WINDOW_MAX; 0 accepts everything
	// A ring of words, by sequence number. It holds more than the window, so that the word
	// which the top has just entered is never one the window still needs (RFC 6479).
	uint64_t bitmap[REPLAY_WINDOW_MAX / 64 * 2];
};

// `window` is rounded up to a multiple of 64 and cut to REPLAY_WINDOW_MAX.
void replay_init(struct replay *r, uint32_t window);
// Before decryption: would this number be accepted? Changes nothing.
bool replay_check(const struct replay *r, uint64_t seq);
// After the ICV verified: records the number. False for a duplicate or one too old; a number is
// accepted once only, also when replay_check said yes twice.
bool replay_accept(struct replay *r, uint64_t seq);
