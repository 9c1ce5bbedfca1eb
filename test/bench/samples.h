// A row of measurements of the same thing: median, minimum, quartiles.
//
// Threads: the caller's. Ownership: the array is the caller's and is sorted in place.
#pragma once

#include <stdlib.h>

static inline int samples_compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

struct spread {
	double min, low, median, high; // low, high: quartiles
};

static inline struct spread samples_spread(double *v, unsigned n)
{
	qsort(v, n, sizeof(v[0]), samples_compare);
	return (struct spread){v[0], v[n / 4], v[n / 2], v[n * 3 / 4]};
}
