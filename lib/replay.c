#include "lib/replay.h"

#include <string.h>

// RFC 6479: the bit of a number stands at its place in a ring of words, and moving the top
// clears the words that it enters instead of shifting the bitmap. The ring is at least a word
// longer than the window, so that the word just cleared never holds a number still inside it.

static uint32_t rounded(uint32_t window)
{
	return window > REPLAY_WINDOW_MAX ? REPLAY_WINDOW_MAX : (window + 63) / 64 * 64;
}

size_t replay_ring_words(uint32_t window)
{
	const size_t needed = rounded(window) / 64;
	size_t words = 1;

	if (needed == 0)
		return 0;
	while (words <= needed)
		words *= 2; // the ring wraps by a mask
	return words;
}

void replay_init(struct replay *r, uint32_t window, uint64_t *ring)
{
	const size_t words = replay_ring_words(window);

	*r = (struct replay){.window = rounded(window), .ring = ring};
	if (words == 0)
		return;
	r->mask = (uint32_t)words - 1;
	memset(ring, 0, words * sizeof(*ring));
}

uint64_t replay_infer(const struct replay *r, uint32_t seq_low)
{
	const uint32_t window = r->window != 0 ? r->window : REPLAY_WINDOW_MIN_ESN;
	const uint32_t top_low = (uint32_t)r->top;
	const uint32_t bottom = top_low - window + 1; // modulo 2^32
	uint64_t hi = r->top >> 32;

	if (top_low >= window - 1) { // case A: the window lies in one subspace
		if (seq_low < bottom)
			hi++;
	} else if (seq_low >= bottom) { // case B: it spans two, and this is in the lower one
		if (hi == 0)
			return 0;
		hi--;
	}
	return hi << 32 | seq_low;
}

void replay_advance(struct replay *r, uint64_t seq)
{
	uint64_t word = r->top / 64, entered = seq / 64 - word;

	r->top = seq;
	if (r->window == 0)
		return;
	if (entered > r->mask + 1ull)
		entered = r->mask + 1ull; // a jump over the whole ring clears all of it
	for (uint64_t i = 1; i <= entered; i++)
		r->ring[(word + i) & r->mask] = 0;
	*replay_word(r, seq) |= 1ull << (seq % 64);
}
