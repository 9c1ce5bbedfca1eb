// The ring between a worker and control: order, wrapping, loss, and two threads at once.
#include "check.h"

#include <pthread.h>

#include "lib/record_ring.h"

static struct record_ring *make(size_t size)
{
	struct record_ring *r = aligned_alloc(64, sizeof(*r));

	assert_non_null(r);
	assert_int_equal(record_ring_init(r, size), 0);
	return r;
}

static void destroy(struct record_ring *r)
{
	record_ring_fini(r);
	free(r);
}

static bool put(struct record_ring *r, uint8_t value, size_t len)
{
	uint8_t *p = record_reserve(r, len);

	if (!p)
		return false;
	memset(p, value, len);
	record_commit(r);
	return true;
}

static void take(struct record_ring *r, uint8_t value, size_t len)
{
	size_t got;
	const uint8_t *p = record_peek(r, &got);

	assert_non_null(p);
	assert_int_equal(got, len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(p[i], value);
	record_release(r);
}

static void test_sizes_that_are_no_ring(void **state)
{
	struct record_ring *r = make(64);

	(void)state;
	for (size_t size = 0; size < 200; size++)
		if (size != 64 && size != 128)
			assert_int_equal(record_ring_init(r, size), -EINVAL);
	destroy(r);
}

static void test_records_come_out_as_they_went_in(void **state)
{
	struct record_ring *r = make(256);
	size_t len;

	(void)state;
	assert_null(record_peek(r, &len));
	// Lengths of which none divides the ring: each wraps at another place.
	for (unsigned round = 0; round < 1000; round++) {
		const size_t a = round % 60, b = (round * 7) % 50;

		assert_true(put(r, (uint8_t)round, a));
		assert_true(put(r, (uint8_t)(round + 1), b));
		take(r, (uint8_t)round, a);
		take(r, (uint8_t)(round + 1), b);
		assert_null(record_peek(r, &len));
	}
	assert_int_equal(record_lost(r), 0);
	destroy(r);
}

static void test_not_seen_before_it_is_committed(void **state)
{
	struct record_ring *r = make(256);
	size_t len;

	(void)state;
	assert_non_null(record_reserve(r, 8));
	assert_null(record_peek(r, &len));
	record_commit(r);
	assert_non_null(record_peek(r, &len));
	destroy(r);
}

static void test_what_finds_no_room_is_counted_and_the_rest_stays_whole(void **state)
{
	struct record_ring *r = make(256);
	unsigned fit = 0;

	(void)state;
	while (put(r, (uint8_t)fit, 24))
		fit++;
	assert_int_equal(fit, 8); // 24 and 8 of header
	assert_int_equal(record_lost(r), 1);
	assert_false(put(r, 0, 24));
	assert_int_equal(record_lost(r), 2);
	for (unsigned i = 0; i < fit; i++)
		take(r, (uint8_t)i, 24);
	assert_true(put(r, 9, 100));
	take(r, 9, 100);
	assert_int_equal(record_lost(r), 2);
	destroy(r);
}

static void test_too_long_for_ever(void **state)
{
	struct record_ring *r = make(256);

	(void)state;
	assert_true(put(r, 1, 120));
	take(r, 1, 120);
	assert_null(record_reserve(r, 121));
	assert_null(record_reserve(r, SIZE_MAX));
	assert_null(record_reserve(r, SIZE_MAX - 7));
	assert_int_equal(record_lost(r), 3);
	destroy(r);
}

enum { RECORDS = 200000 };

// Each record says its number and repeats it to its end.
static void *write_all(void *arg)
{
	struct record_ring *r = arg;

	for (uint32_t i = 0; i < RECORDS; i++) {
		const size_t words = 1 + i % 13;
		uint32_t *p = record_reserve(r, words * sizeof(*p));

		if (!p)
			continue;
		for (size_t k = 0; k < words; k++)
			p[k] = i;
		record_commit(r);
	}
	return NULL;
}

static void test_two_threads(void **state)
{
	struct record_ring *r = make(4096);
	uint64_t got = 0;
	uint32_t next = 0;
	bool more = true;
	pthread_t writer;

	(void)state;
	assert_int_equal(pthread_create(&writer, NULL, write_all, r), 0);
	while (more) {
		const uint64_t lost = record_lost(r);
		const uint32_t *p;
		size_t len;

		p = record_peek(r, &len);
		if (!p) {
			more = got + lost < RECORDS;
			continue;
		}
		assert_true(p[0] >= next);
		assert_int_equal(len, (1 + p[0] % 13) * sizeof(*p));
		for (size_t k = 0; k < len / sizeof(*p); k++)
			assert_int_equal(p[k], p[0]);
		next = p[0] + 1;
		got++;
		record_release(r);
	}
	pthread_join(writer, NULL);
	assert_int_equal(got + record_lost(r), RECORDS);
	destroy(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes_that_are_no_ring),
		cmocka_unit_test(test_records_come_out_as_they_went_in),
		cmocka_unit_test(test_not_seen_before_it_is_committed),
		cmocka_unit_test(test_what_finds_no_room_is_counted_and_the_rest_stays_whole),
		cmocka_unit_test(test_too_long_for_ever),
		cmocka_unit_test(test_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
