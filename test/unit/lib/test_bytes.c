#include "test/unit/lib/check.h"

#include "lib/bytes.h"

static const uint8_t sample[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static void test_reads_in_network_order(void **state)
{
	struct reader r = reader_of(sample, sizeof(sample)), sub;
	const uint8_t *p;

	(void)state;
	assert_int_equal(read_u8(&r), 1);
	assert_int_equal(read_u16(&r), 0x0203);
	assert_int_equal(read_u32(&r), 0x04050607);
	assert_true(read_u64(&r) == 0x08090a0b0c0d0e0full);
	assert_int_equal(r.len, 1);
	assert_false(r.failed);
	sub = read_sub(&r, 1);
	assert_int_equal(read_u8(&sub), 16);
	assert_false(sub.failed);
	assert_int_equal(r.len, 0);
	p = read_bytes(&r, 0);
	assert_ptr_equal(p, sample + sizeof(sample));
	assert_false(r.failed);
}

static void test_reading_past_the_end_fails_for_good(void **state)
{
	(void)state;
	for (size_t len = 0; len < 8; len++) {
		uint8_t *copy = malloc(len ? len : 1); // the sanitizer sees a byte too many
		struct reader r = reader_of(copy, len), sub;

		memset(copy, 0xff, len);
		assert_true(read_u64(&r) == 0);
		assert_true(r.failed);
		assert_int_equal(r.len, len); // nothing was taken
		assert_int_equal(read_u8(&r), 0);
		assert_int_equal(read_u16(&r), 0);
		assert_int_equal(read_u32(&r), 0);
		assert_null(read_bytes(&r, 0));
		sub = read_sub(&r, 0);
		assert_true(sub.failed);
		assert_int_equal(read_u8(&sub), 0);
		free(copy);
	}
	struct reader r = reader_of(sample, sizeof(sample));
	assert_null(read_bytes(&r, SIZE_MAX));
	assert_true(r.failed);
}

static void test_a_sub_reader_ends_where_it_ends(void **state)
{
	struct reader r = reader_of(sample, sizeof(sample)), sub = read_sub(&r, 3);

	(void)state;
	assert_int_equal(read_u32(&sub), 0);
	assert_true(sub.failed);
	assert_false(r.failed); // its end is not ours
	assert_int_equal(read_u8(&r), 4);
	sub = read_sub(&r, r.len + 1);
	assert_true(sub.failed);
	assert_true(r.failed);
}

static void test_writes_in_network_order(void **state)
{
	uint8_t buf[16], *p;
	struct writer w = writer_of(buf, sizeof(buf));

	(void)state;
	memset(buf, 0xee, sizeof(buf));
	write_u8(&w, 1);
	write_u16(&w, 0x0203);
	write_u32(&w, 0x04050607);
	write_u64(&w, 0x08090a0b0c0d0e0full);
	p = write_reserve(&w, 1);
	assert_ptr_equal(p, buf + 15);
	*p = 16;
	assert_memory_equal(buf, sample, sizeof(buf));
	assert_false(w.failed);
	assert_int_equal(w.len, sizeof(buf));
	write_bytes(&w, NULL, 0);
	write_zeros(&w, 0);
	assert_false(w.failed);
}

static void test_writing_past_the_end_fails_for_good(void **state)
{
	uint8_t *buf = malloc(6);
	struct writer w = writer_of(buf, 6);

	(void)state;
	memset(buf, 0xee, 6);
	write_bytes(&w, sample, 3);
	write_zeros(&w, 1);
	write_u32(&w, 0xffffffff);
	assert_true(w.failed);
	assert_int_equal(w.len, 4);
	write_u8(&w, 0xff); // would fit
	write_bytes(&w, sample, 1);
	write_zeros(&w, 1);
	assert_null(write_reserve(&w, 0));
	write_u8_at(&w, 0, 0xff);
	assert_int_equal(w.len, 4);
	assert_memory_equal(buf, "\x01\x02\x03\x00\xee\xee", 6);
	w = writer_of(buf, 6);
	write_u8(&w, 1);
	assert_null(write_reserve(&w, SIZE_MAX)); // the sum would wrap
	assert_true(w.failed);
	free(buf);
}

static void test_overwriting_stays_inside_what_was_written(void **state)
{
	static const struct {
		size_t width, offset;
		bool good;
		const char *why;
	} rows[] = {
		{1, 0, true, "first byte"},
		{1, 7, true, "last byte"},
		{1, 8, false, "one past"},
		{2, 6, true, "last two"},
		{2, 7, false, "half outside"},
		{4, 4, true, "last four"},
		{4, 5, false, "partly outside"},
		{4, SIZE_MAX, false, "far outside"},
		{4, SIZE_MAX - 2, false, "the sum would wrap"},
	};
	uint8_t buf[12];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct writer w = writer_of(buf, sizeof(buf));

		memset(buf, 0xee, sizeof(buf));
		write_zeros(&w, 8);
		if (rows[i].width == 1)
			write_u8_at(&w, rows[i].offset, 0x11);
		else if (rows[i].width == 2)
			write_u16_at(&w, rows[i].offset, 0x1122);
		else
			write_u32_at(&w, rows[i].offset, 0x11223344);
		CHECK_INT(!w.failed, rows[i].good, rows[i].why);
		CHECK_INT(w.len, 8, rows[i].why);
		CHECK_INT(buf[8], 0xee, rows[i].why);
		if (rows[i].good)
			CHECK_ROW(!memcmp(buf + rows[i].offset, "\x11\x22\x33\x44", rows[i].width),
				  rows[i].why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_in_network_order),
		cmocka_unit_test(test_reading_past_the_end_fails_for_good),
		cmocka_unit_test(test_a_sub_reader_ends_where_it_ends),
		cmocka_unit_test(test_writes_in_network_order),
		cmocka_unit_test(test_writing_past_the_end_fails_for_good),
		cmocka_unit_test(test_overwriting_stays_inside_what_was_written),
	};

	return cmocka_run_group_tests_name("bytes", tests, NULL, NULL);
}
