#include "lib/replay.h"

// RFC 6479: the bit of a number stands at its place in a ring of words, and moving the top
// clears the words that it enters instead of shifting the bitmap. The ring does not depend on
// the configured window; it only has to be a word longer, so that the word just cleared never
// holds a number still inside the window.
#define RING_WORDS (sizeof(((struct replay *)0)->bitmap) / sizeof(uint64_t))
#define RING_BITS  (RING_WORDS * 64)

_Static_assert((RING_WORDS & (RING_WORDS - 1)) == 0, "the ring wraps by a mask");
_Static_assert(RING_BITS >= REPLAY_WINDOW_MAX + 64, "the ring holds the window and a word");

void replay_init(struct replay *r, uint32_t window)
{
	*r = (struct replay){0};
	if (window > REPLAY_WINDOW_MAX)
		window = REPLAY_WINDOW_MAX;
	r->window = (window + 63) / 64 * 64;
}

bool replay_check(const struct replay *r, uint64_t seq)
{
	if (r->window == 0)
		return true;
	// RFC 4303 3.3.3: the first packet has number 1, zero is never sent.
	if (seq == 0)
		return false;
	if (seq > r->top)
		return true;
	if (r->top - seq >= r->window)
		return false;
	return !(r->bitmap[seq / 64 % RING_WORDS] >> (seq % 64) & 1);
}

static void advance(struct replay *r, uint64_t seq)
{
	uint64_t word = r->top / 64, entered = seq / 64 - word;

	if (entered > RING_WORDS)
		entered = RING_WORDS; // a jump over the whole ring clears all of it
	for (uint64_t i = 1; i <= entered; i++)
		r->bitmap[(word + i) % RING_WORDS] = 0;
	r->top = seq;
}

bool replay_accept(struct replay *r, uint64_t seq)
{
	if (!replay_check(r, seq))
		return false;
	if (r->window == 0) {
		r->top = seq > r->top ? seq : r->top;
		return true;
	}
	if (seq > r->top)
		advance(r, seq);
	r->bitmap[seq / 64 % RING_WORDS] |= 1ull << (seq % 64);
	return true;
}
