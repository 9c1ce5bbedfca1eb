#include "test/unit/lib/check.h"
#include "test/unit/lib/random.h"

#include "lib/suggest.h"

static void test_nearest(void **state)
{
	static const char *const keys[] = {
		"remote_addrs", "local_addrs", "proposals",   "version", "mobike", "children",
		"encap",	"dpd_delay",   "dpd_timeout", "unique",	 "id",	   "rekey_time"};
	static const struct {
		const char *word, *nearest, *why;
	} rows[] = {
		{"proposals", "proposals", "itself"},
		{"proposal", "proposals", "a letter missing"},
		{"proposalss", "proposals", "a letter too many"},
		{"propasals", "proposals", "a wrong letter"},
		{"porposals", "proposals", "neighbours swapped"},
		{"remote_adrs", "remote_addrs", "the nearer of two alike"},
		{"loacl_addrs", "local_addrs", "the nearer of two alike"},
		{"vresion", "version", "a swap counts once"},
		{"dpd_dely", "dpd_delay", "one of a family"},
		{"children_", "children", "a tail"},
		{"ud", NULL, "half of a short word is too much"},
		{"if", NULL, "half of a short word is too much"},
		{"zebra", NULL, "nothing like it"},
		{"", NULL, "nothing at all"},
		{"xyzoposals", "proposals", "three of ten letters are a third"},
		{"xyzposals", "proposals", "three of nine are a third"},
		{"xyzwposals", NULL, "four of ten are more than a third"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *got = suggest_nearest(rows[i].word, keys, COUNT(keys));

		CHECK_TEXT(got ? got : "(none)", rows[i].nearest ? rows[i].nearest : "(none)",
			   rows[i].why);
	}
	assert_null(suggest_nearest("proposals", keys, 0));
}

static void test_first_of_equals(void **state)
{
	static const char *const known[] = {"abcdef1", "abcdef2"};

	(void)state;
	assert_string_equal(suggest_nearest("abcdef3", known, 2), "abcdef1");
}

static void test_a_swap_is_an_error_too(void **state)
{
	static const char *const known[] = {"bacdef", "abcdef"};

	(void)state;
	assert_string_equal(suggest_nearest("abcdef", known, 2), "abcdef");
}

static void test_long_words(void **state)
{
	char word[200], other[200];
	const char *known[] = {other};

	(void)state;
	memset(word, 'a', sizeof(word));
	memset(other, 'a', sizeof(other));
	word[64] = 0;
	other[64] = 0;
	other[10] = 'b';
	assert_ptr_equal(suggest_nearest(word, known, 1), other);
	word[64] = 'a';
	word[65] = 0;
	assert_null(suggest_nearest(word, known, 1)); // too long to be compared
	word[64] = 0;
	other[64] = 'a';
	other[65] = 0;
	assert_null(suggest_nearest(word, known, 1));
}

// One random typing error in a word of six letters or more always leads back to it.
static void test_one_typing_error_is_found(void **state)
{
	static const char *const keys[] = {"remote_addrs", "local_addrs", "proposals",
					   "version",	   "mobike",	  "esp_proposals"};
	struct test_random random = test_random_start("suggest");

	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		const char *key = keys[test_random_below(&random, COUNT(keys))];
		size_t len = strlen(key), at = test_random_below(&random, len - 1);
		char word[32] = {0}, c = (char)('0' + test_random_below(&random, 10));

		memcpy(word, key, len);
		switch (test_random_below(&random, 4)) {
		case 0:
			word[at] = c;
			break;
		case 1:
			memmove(word + at, key + at + 1, len - at);
			break;
		case 2:
			memcpy(word + at + 1, key + at, len - at);
			word[at] = c;
			break;
		default:
			word[at] = key[at + 1];
			word[at + 1] = key[at];
		}
		CHECK_ROW(suggest_nearest(word, keys, COUNT(keys)) == key, word);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_first_of_equals),
		cmocka_unit_test(test_a_swap_is_an_error_too),
		cmocka_unit_test(test_long_words),
		cmocka_unit_test(test_one_typing_error_is_found),
	};

	return cmocka_run_group_tests_name("suggest", tests, NULL, NULL);
}
