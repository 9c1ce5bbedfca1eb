// Key material, and the ESP SA that holds it.
#include "test/unit/lib/check.h"

#include "lib/esp_sa.h"
#include "lib/secret.h"

static void test_set_replaces(void **state)
{
	struct secret s = {0};

	(void)state;
	assert_int_equal(secret_set(&s, "first", 5), 0);
	assert_int_equal(s.len, 5);
	assert_memory_equal(s.data, "first", 5);
	assert_int_equal(secret_set(&s, "second one", 10), 0);
	assert_int_equal(s.len, 10);
	assert_memory_equal(s.data, "second one", 10);
	// From inside itself.
	assert_int_equal(secret_set(&s, s.data + 7, 3), 0);
	assert_int_equal(s.len, 3);
	assert_memory_equal(s.data, "one", 3);
	assert_int_equal(secret_set(&s, NULL, 0), 0);
	assert_int_equal(s.len, 0);
	secret_fini(&s);
	assert_null(s.data);
	assert_int_equal(s.len, 0);
	secret_fini(&s);
	secret_fini(NULL);
}

static void test_alloc_is_zeros(void **state)
{
	struct secret s = {0};

	(void)state;
	assert_int_equal(secret_set(&s, "xxxxxxxxxxxxxxxx", 16), 0);
	assert_int_equal(secret_alloc(&s, 16), 0);
	for (size_t i = 0; i < s.len; i++)
		assert_int_equal(s.data[i], 0);
	assert_int_equal(s.len, 16);
	secret_fini(&s);
}

// Under the address sanitizer: refuse impossible sizes as the C library does, do not abort.
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static void test_too_much_changes_nothing(void **state)
{
	struct secret s = {0};
	volatile size_t too_much = SIZE_MAX / 2;

	(void)state;
	assert_int_equal(secret_set(&s, "kept", 4), 0);
	assert_int_equal(secret_alloc(&s, too_much), -ENOMEM);
	assert_int_equal(s.len, 4);
	assert_memory_equal(s.data, "kept", 4);
	secret_fini(&s);
}

static void test_move_leaves_nothing_behind(void **state)
{
	struct secret a = {0}, b = {0};
	uint8_t *data;

	(void)state;
	assert_int_equal(secret_set(&a, "moved", 5), 0);
	assert_int_equal(secret_set(&b, "overwritten", 11), 0);
	data = a.data;
	secret_move(&b, &a);
	assert_ptr_equal(b.data, data);
	assert_int_equal(b.len, 5);
	assert_null(a.data);
	assert_int_equal(a.len, 0);
	secret_move(&b, &b); // onto itself
	assert_memory_equal(b.data, "moved", 5);
	secret_move(&b, &a); // an empty one wipes
	assert_null(b.data);
}

static void test_equal(void **state)
{
	static const struct {
		const char *a, *b;
		bool equal;
	} rows[] = {
		{"", "", true},	       {"key", "key", true},   {"key", "kez", false},
		{"key", "jey", false}, {"key", "keys", false}, {"", "k", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct secret a = {0}, b = {0};

		assert_int_equal(secret_set(&a, rows[i].a, strlen(rows[i].a)), 0);
		assert_int_equal(secret_set(&b, rows[i].b, strlen(rows[i].b)), 0);
		CHECK_INT(secret_equal(&a, &b), rows[i].equal, rows[i].a);
		CHECK_INT(secret_equal(&b, &a), rows[i].equal, rows[i].a);
		secret_fini(&a);
		secret_fini(&b);
	}
	struct secret never_set = {0}, empty = {0};
	assert_int_equal(secret_set(&empty, "", 0), 0);
	assert_true(secret_equal(&never_set, &empty));
	secret_fini(&empty);
	// Each bit counts.
	uint8_t x[32] = {0}, y[32] = {0};
	for (size_t bit = 0; bit < 256; bit++) {
		y[bit / 8] = (uint8_t)(1u << bit % 8);
		assert_false(bytes_equal_ct(x, y, 32));
		y[bit / 8] = 0;
	}
	assert_true(bytes_equal_ct(x, y, 32));
	assert_true(bytes_equal_ct(NULL, NULL, 0));
}

static void test_wipe(void **state)
{
	uint8_t data[8] = "secret!";

	(void)state;
	wipe(data, 6);
	assert_memory_equal(data, "\0\0\0\0\0\0!\0", 8);
	wipe(NULL, 0);
}

static void test_esp_sa_fini_empties(void **state)
{
	struct esp_sa sa = {.spi = 0x1234, .esn = true};

	(void)state;
	assert_int_equal(secret_set(&sa.encr_key, "0123456789abcdefSALT", 20), 0);
	assert_int_equal(secret_set(&sa.integ_key, "k", 1), 0);
	esp_sa_fini(&sa); // the leak checker sees a key that is forgotten
	assert_int_equal(sa.spi, 0);
	assert_null(sa.encr_key.data);
	assert_null(sa.integ_key.data);
	assert_int_equal(sa.encr_key.len, 0);
	esp_sa_fini(&sa);
	esp_sa_fini(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_replaces),
		cmocka_unit_test(test_alloc_is_zeros),
		cmocka_unit_test(test_too_much_changes_nothing),
		cmocka_unit_test(test_move_leaves_nothing_behind),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_wipe),
		cmocka_unit_test(test_esp_sa_fini_empties),
	};

	return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
