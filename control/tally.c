#include "control/tally.h"

#include <string.h>

static void advance(struct tally *t, uint64_t bucket)
{
	if (bucket - t->bucket >= TALLY_BUCKETS)
		memset(t->n, 0, sizeof(t->n));
	else
		for (uint64_t b = t->bucket + 1; b <= bucket; b++)
			t->n[b % TALLY_BUCKETS] = 0;
	t->bucket = bucket;
}

void tally_note(struct tally *t, uint64_t n, uint64_t now_ms, uint64_t window_ms)
{
	uint64_t bucket = now_ms / (window_ms / TALLY_BUCKETS);
	uint32_t *at = &t->n[bucket % TALLY_BUCKETS];

	if (n == 0)
		return;
	if (bucket > t->bucket)
		advance(t, bucket);
	*at = n > UINT32_MAX - *at ? UINT32_MAX : *at + (uint32_t)n;
	t->total += n;
	t->last_ms = now_ms;
	t->ever = true;
}

void tally_follow(struct tally *t, uint64_t counter, uint64_t now_ms, uint64_t window_ms)
{
	if (t->following && counter > t->sampled)
		tally_note(t, counter - t->sampled, now_ms, window_ms);
	t->sampled = counter;
	t->following = true;
}

struct doctor_count tally_read(const struct tally *t, uint64_t now_ms, uint64_t window_ms)
{
	uint64_t bucket = now_ms / (window_ms / TALLY_BUCKETS);
	struct doctor_count c = {.known = true, .window_ms = window_ms, .ever = t->ever};

	if (!t->ever)
		return c;
	c.ago_ms = now_ms - t->last_ms;
	for (uint64_t b = t->bucket; b + TALLY_BUCKETS > bucket && b + TALLY_BUCKETS > t->bucket;
	     b--) {
		c.n += t->n[b % TALLY_BUCKETS];
		if (b == 0)
			break;
	}
	return c;
}
