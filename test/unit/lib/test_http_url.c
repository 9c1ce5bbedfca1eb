// URLs of http: what is taken, and that nothing else gets into a request.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/http_url.h"

static void test_good(void **state)
{
	static const struct {
		const char *text, *host, *path;
		uint16_t port;
	} rows[] = {
		{"http://pki.example/ca.crl", "pki.example", "/ca.crl", 80},
		{"http://192.0.2.1:8080/a/b?c=d", "192.0.2.1", "/a/b?c=d", 8080},
		{"http://h", "h", "/", 80},
		{"http://h:65535", "h", "/", 65535},
		{"http://h?q=%20", "h", "/?q=%20", 80},
		{"http://[2001:db8::1]/o", "2001:db8::1", "/o", 80},
		{"http://[::1]:8080", "::1", "/", 8080},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_url u;
		struct error err;

		assert_int_equal(http_url_parse(rows[i].text, &u, &err), 0);
		assert_string_equal(u.host, rows[i].host);
		assert_string_equal(u.path, rows[i].path);
		assert_int_equal(u.port, rows[i].port);
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *text;
		int rc;
	} rows[] = {
		{"https://h/", -ENOTSUP},
		{"ldap://h/", -ENOTSUP},
		{"", -ENOTSUP},
		{"http://2001:db8::1/", -EINVAL},
		{"http://[2001:db8::1/", -EINVAL},
		{"http://[2001:db8::1]x/", -EINVAL},
		{"http://[2001:db8::1]:/", -EINVAL},
		{"http://[fe80::1%25eth0]/", -EINVAL},
		{"http://[192.0.2.1]/", -EINVAL},
		{"http://[h]/", -EINVAL},
		{"http://[]/", -EINVAL},
		{"http://[/]", -EINVAL},
		{"http://", -EINVAL},
		{"http:///x", -EINVAL},
		{"http://user@h/", -EINVAL},
		{"http://user:pw@h/", -EINVAL},
		{"http://user:pw@h:x/", -EINVAL},
		{"https://user:pw@h/", -ENOTSUP},
		{"http://h:/", -EINVAL},
		{"http://h:0/", -EINVAL},
		{"http://h:65536/", -EINVAL},
		{"http://h:100000/", -EINVAL},
		{"http://h:8x/", -EINVAL},
		{"http://h/a b", -EINVAL},
		{"http://h/a\r\nX: y", -EINVAL},
		{"http://h/#f", -EINVAL},
		{"http://h/\x7f", -EINVAL},
		{"http://h/\xc3\xa9", -EINVAL},
	};
	char longest[HTTP_URL_MAX + 2];
	struct http_url u = {.port = 7};
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(http_url_parse(rows[i].text, &u, &err), rows[i].rc);
		assert_null(strstr(err.text, "pw")); // events and the log are no place for it
	}
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "http://", 7);
	longest[HTTP_URL_MAX + 1] = '\0';
	assert_int_equal(http_url_parse(longest, &u, &err), -E2BIG);
	longest[HTTP_URL_MAX] = '\0';
	assert_int_equal(http_url_parse(longest, &u, &err), -EINVAL); // the name is too long
	assert_int_equal(u.port, 7);				      // untouched
	longest[8] = '/';
	assert_int_equal(http_url_parse(longest, &u, &err), 0);
	assert_int_equal(strlen(u.path), HTTP_URL_MAX - 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
