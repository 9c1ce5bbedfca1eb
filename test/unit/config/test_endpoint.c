#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "config/endpoint.h"

static struct config_endpoint parse(const char *text)
{
	struct config_endpoint e;

	if (endpoint_parse(text, &e) != 0)
		fail_msg("%s", text);
	return e;
}

static struct ip_addr addr(const char *text)
{
	struct ip_addr a;

	assert_int_equal(ip_addr_parse(text, &a), 0);
	return a;
}

static void test_forms(void **state)
{
	static const struct {
		const char *text, *shown; // NULL: as it was
		bool host, name;
	} rows[] = {
		{"%any", NULL, false, false},
		{"0.0.0.0/0", "%any", false, false},
		{"%any4", NULL, false, false},
		{"%any6", NULL, false, false},
		{"::/0", "%any6", false, false},
		{"192.0.2.1", NULL, true, false},
		{"192.0.2.1/32", "192.0.2.1", true, false},
		{"10.1.2.3/16", "10.1.0.0/16", false, false},
		{"192.0.2.1-192.0.2.9", NULL, false, false},
		{"192.0.2.0-192.0.2.255", "192.0.2.0/24", false, false},
		{"192.0.2.7-192.0.2.7", "192.0.2.7", true, false},
		{"10.0.0.0-10.0.0.2", NULL, false, false},
		{"2001:db8::1-2001:db8::9", NULL, false, false},
		{"gw.example", NULL, false, true},
		{"gw-1.example.", NULL, false, true},
		{"localhost", NULL, false, true},
		{"3com.example", NULL, false, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config_endpoint e = parse(rows[i].text), copy;
		char text[ENDPOINT_TEXT_MAX];

		assert_string_equal(endpoint_format(&e, text, sizeof(text)),
				    rows[i].shown ? rows[i].shown : rows[i].text);
		assert_int_equal(endpoint_is_host(&e), rows[i].host);
		assert_int_equal(e.name != NULL, rows[i].name);
		assert_int_equal(endpoint_copy(&e, &copy), 0);
		assert_true(endpoint_equal(&e, &copy));
		assert_true(!e.name || e.name != copy.name);
		endpoint_fini(&e);
		endpoint_fini(&copy);
	}
}

static void test_what_is_none(void **state)
{
	static const struct {
		const char *text;
		int rc;
	} rows[] = {
		{"", -EINVAL},
		{"192.0.2.300", -EINVAL},
		{"192.0.2", -EINVAL},
		{"10.0.0.0/33", -EINVAL},
		{"gw..example", -EINVAL},
		{".example", -EINVAL},
		{"gw example", -EINVAL},
		{"gw/example", -EINVAL},
		{"192.0.2.9-192.0.2.1", -ERANGE},
		{"192.0.2.1-2001:db8::1", -ERANGE},
		{"a123456789012345678901234567890123456789012345678901234567890123.example",
		 -EINVAL},
	};
	struct config_endpoint e;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (endpoint_parse(rows[i].text, &e) != rows[i].rc)
			fail_msg("%s", rows[i].text);
}

static void test_match(void **state)
{
	static const struct {
		const char *entry, *address;
		unsigned score;
	} rows[] = {
		{"%any", "192.0.2.1", 1},
		{"192.0.2.1", "192.0.2.1", 33},
		{"192.0.2.1", "192.0.2.2", 0},
		{"192.0.2.0/24", "192.0.2.255", 25},
		{"192.0.2.0/24", "192.0.3.0", 0},
		{"192.0.2.10-192.0.2.20", "192.0.2.10", 28},
		{"192.0.2.10-192.0.2.20", "192.0.2.20", 28},
		{"192.0.2.10-192.0.2.20", "192.0.2.9", 0},
		{"192.0.2.10-192.0.2.20", "192.0.2.21", 0},
		{"192.0.2.0/24", "2001:db8::1", 0},
		{"%any4", "192.0.2.1", 1},
		{"%any4", "2001:db8::1", 0},
		{"%any6", "2001:db8::1", 1},
		{"%any6", "192.0.2.1", 0},
		{"gw.example", "192.0.2.1", 0}, // not resolved
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config_endpoint e = parse(rows[i].entry);
		struct ip_addr a = addr(rows[i].address);

		if (endpoint_match(&e, &a) != rows[i].score)
			fail_msg("%s %s: %u", rows[i].entry, rows[i].address,
				 endpoint_match(&e, &a));
		endpoint_fini(&e);
	}
}

static void test_a_resolved_name_is_a_host(void **state)
{
	struct config_endpoint e = parse("gw.example"), same = parse("GW.example");
	char text[ENDPOINT_TEXT_MAX];

	(void)state;
	e.lo = e.hi = addr("192.0.2.1");
	assert_true(endpoint_is_host(&e));
	assert_int_equal(endpoint_match(&e, &e.lo), 33);
	assert_string_equal(endpoint_format(&e, text, sizeof(text)), "gw.example");
	assert_true(endpoint_equal(&e, &same)); // as configured
	endpoint_fini(&e);
	endpoint_fini(&same);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_what_is_none),
		cmocka_unit_test(test_match),
		cmocka_unit_test(test_a_resolved_name_is_a_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
