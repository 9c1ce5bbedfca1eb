// Randomized tests: a small generator whose seed is printed, so that a failure can be repeated
// with PORT500_TEST_SEED=<seed>.
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct test_random {
	uint64_t state;
};

// Reads the seed from the environment or takes a fresh one, and prints it.
static inline struct test_random test_random_start(const char *test)
{
	const char *text = getenv("PORT500_TEST_SEED");
	struct test_random r;

	r.state = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL) << 20 ^ (uint64_t)clock();
	printf("# %s: PORT500_TEST_SEED=%llu\n", test, (unsigned long long)r.state);
	fflush(stdout);
	return r;
}

// splitmix64
static inline uint64_t test_random_u64(struct test_random *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static inline uint64_t test_random_below(struct test_random *r, uint64_t n)
{
	return test_random_u64(r) % n;
}
