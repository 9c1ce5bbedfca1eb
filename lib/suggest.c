#include "lib/suggest.h"

#include <string.h>

#define WORD_MAX 64 // longer words are not compared

static size_t min2(size_t a, size_t b)
{
	return a < b ? a : b;
}

// Optimal string alignment: three rows of the usual table are enough.
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t row[3][WORD_MAX + 1];

	for (size_t k = 0; k <= b_len; k++)
		row[0][k] = k;
	for (size_t i = 1; i <= a_len; i++) {
		size_t *cur = row[i % 3], *prev = row[(i + 2) % 3], *before = row[(i + 1) % 3];

		cur[0] = i;
		for (size_t k = 1; k <= b_len; k++) {
			size_t replace = prev[k - 1] + (a[i - 1] != b[k - 1]);

			cur[k] = min2(replace, min2(prev[k], cur[k - 1]) + 1);
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
				cur[k] = min2(cur[k], before[k - 2] + 1);
		}
	}
	return row[a_len % 3][b_len];
}

const char *suggest_nearest(const char *word, const char *const *known, size_t n)
{
	size_t len = strlen(word), best = WORD_MAX + 1;
	const char *nearest = NULL;

	if (len > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t known_len = strlen(known[i]), longer, d;

		if (known_len > WORD_MAX)
			continue;
		longer = len > known_len ? len : known_len;
		d = distance(word, len, known[i], known_len);
		if (d * 3 <= longer && d < best) {
			best = d;
			nearest = known[i];
		}
	}
	return nearest;
}
