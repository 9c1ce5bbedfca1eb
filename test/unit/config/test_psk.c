// Which pre-shared key is for whom, and how keys are written.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "config_text.h"

static struct config *load(const char *secrets)
{
	struct config *c = NULL;
	struct error err = {""};
	char *text = NULL;

	assert_true(asprintf(&text, "gateway { ports { w { device = x } } }\nsecrets { %s }",
			     secrets) > 0);
	if (config_load_text("f", text, strlen(text), &c, &err) != 0)
		fail_msg("%s", err.text);
	free(text);
	return c;
}

static const char *find(const struct config *c, const char *local, const char *remote)
{
	struct identity us, peer;
	const struct config_psk *psk;

	assert_int_equal(identity_parse(local, &us), 0);
	assert_int_equal(identity_parse(remote, &peer), 0);
	psk = config_psk_find(c, &us, &peer);
	return psk != NULL ? psk->name : "none";
}

static void test_ranking(void **state)
{
	struct config *c = load("ike-all { secret = 1 }\n"
				"ike-us { id = us\n secret = 2 }\n"
				"ike-peer { id = peer\n secret = 3 }\n"
				"ike-both { id-a = us\n id-b = peer\n secret = 4 }\n"
				"ike-three { id1 = x\n id2 = y\n id3 = z\n secret = 5 }");
	static const struct {
		const char *local, *remote, *found, *why;
	} rows[] = {
		{"us", "peer", "ike-both", "both"},
		{"peer", "us", "ike-both", "both, the other way round"},
		{"other", "peer", "ike-peer", "the peer"},
		{"us", "other", "ike-us", "us"},
		{"other", "another", "ike-all", "nobody"},
		{"x", "z", "ike-three", "two of three"},
		{"us", "z", "ike-three", "the peer over us"},
		{"us", "%any", "ike-us", "the peer is not known yet: the first that names us"},
		{"other", "%any", "ike-all", "nothing is known"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *found = find(c, rows[i].local, rows[i].remote);

		if (strcmp(found, rows[i].found) != 0)
			fail_msg("%s: %s instead of %s", rows[i].why, found, rows[i].found);
	}
	config_destroy(c);
	c = load("ike-a { id = a\n secret = 1 }\nike-any { id-1 = b\n id-2 = %any\n secret = 2 }");
	assert_string_equal(find(c, "b", "c"), "ike-any");
	assert_string_equal(find(c, "d", "a"), "ike-a");
	assert_string_equal(find(c, "d", "e"), "ike-any");
	config_destroy(c);
	c = load("ike-a { id = a\n secret = 1 }");
	assert_string_equal(find(c, "d", "e"), "none");
	assert_string_equal(find(c, "10.0.0.1", "10.0.0.2"), "none");
	config_destroy(c);
}

static void test_one_of_many(void **state)
{
	static char text[64 * 1024];
	size_t len = 0;
	struct config *c;

	(void)state;
	for (unsigned i = 0; i < 500; i++)
		len += (size_t)snprintf(
			text + len, sizeof(text) - len,
			"ike-%u { id-a = hub\n id-b = Site%u.example\n secret = s }\n", i, i);
	snprintf(text + len, sizeof(text) - len,
		 "ike-again { id = site7.EXAMPLE\n secret = t }\n"
		 "ike-twice { id-a = hub\n id-b = site8.example\n"
		 " id-c = site8.example\n secret = t }\n");
	c = load(text);
	assert_string_equal(find(c, "hub", "site377.example"), "ike-377");
	assert_string_equal(find(c, "hub", "SITE0.example"), "ike-0");
	assert_string_equal(find(c, "hub", "site499.example"), "ike-499");
	assert_string_equal(find(c, "other", "site7.example"), "ike-7"); // the first of two
	assert_string_equal(find(c, "hub", "site8.example"), "ike-8");
	assert_string_equal(find(c, "hub", "site500.example"), "ike-0"); // names us, the first
	assert_string_equal(find(c, "other", "site500.example"), "none");
	config_destroy(c);
}

static void test_forms(void **state)
{
	static const struct {
		const char *text, *bytes;
		size_t len;
	} rows[] = {
		{"abc", "abc", 3},
		{"\"a \\\"b\\\"\"", "a \"b\"", 5},
		{"0x616263", "abc", 3},
		{"0X61FfaB", "a\xff\xab", 3},
		{"0xabc", "\x0a\xbc", 2}, // an odd number of digits
		{"0x00ff00", "\0\xff\0", 3},
		{"0sYWJj", "abc", 3},
		{"0sYWJjZA==", "abcd", 4},
		{"0sYWJjZA", "abcd", 4}, // without padding
		{"0sYWJjZGU=", "abcde", 5},
		{"0SAP8A", "\0\xff\0", 3},
		{"0s+/+/", "\xfb\xff\xbf", 3},
		{"00x61", "00x61", 5},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config *c;
		char *text = NULL;

		assert_true(asprintf(&text, "ike { secret = %s\n }", rows[i].text) > 0);
		c = load(text);
		assert_int_equal(c->n_psks, 1);
		assert_int_equal(c->psks[0].key.len, rows[i].len);
		assert_memory_equal(c->psks[0].key.data, rows[i].bytes, rows[i].len);
		config_destroy(c);
		free(text);
	}
}

static void test_bad_forms(void **state)
{
	static const char *const rows[] = {
		"0s", "0sA", "0sYWJjZA===", "0sYW=j", "0sYW Jj", "0x6 1"};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config *c = NULL;
		struct error err = {""};
		char *text = NULL;

		assert_true(asprintf(&text,
				     "gateway { ports { w { device = x } } } secrets { ike { "
				     "secret = %s\n} }",
				     rows[i]) > 0);
		assert_int_not_equal(config_load_text("f", text, strlen(text), &c, &err), 0);
		if (strncmp(err.text, "f:1: secrets.ike.secret: after 0", 32) != 0)
			fail_msg("%s: %s", rows[i], err.text);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranking),
		cmocka_unit_test(test_one_of_many),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_bad_forms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
