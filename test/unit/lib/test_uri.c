// What people see of a URI: never a PIN or a password.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "lib/uri.h"

static void test_shown(void **state)
{
	static const char *const rows[][2] = {
		{"/etc/key.pem", "/etc/key.pem"},
		{"http://crl.example/c.crl", "http://crl.example/c.crl"},
		{"http://user:SECRET@crl.example/c", "http://<removed>@crl.example/c"},
		{"https://SECRET@h", "https://<removed>@h"},
		{"ftp://u:SEC@RET/x@h/p", "ftp://<removed>@h/p"}, // malformed, and still
		{"pkcs11:token=gw;object=key", "pkcs11:token=gw;object=key"},
		{"pkcs11:token=gw?pin-value=SECRET", "pkcs11:token=gw?pin-value=<removed>"},
		{"pkcs11:id=1;PIN-source=/SECRET;type=private&pin-value=SECRET",
		 "pkcs11:id=1;PIN-source=<removed>;type=private&pin-value=<removed>"},
		{"", ""},
	};
	char buf[128];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_string_equal(uri_shown(rows[i][0], buf, sizeof(buf)), rows[i][1]);
		assert_int_equal(uri_has_secret(rows[i][0]), strcmp(rows[i][0], rows[i][1]) != 0);
	}
}

static void test_it_is_cut(void **state)
{
	char buf[24];

	(void)state;
	for (size_t size = 1; size <= sizeof(buf); size++) {
		uri_shown("pkcs11:a?pin-value=SECRET&pin-value=SECRET", buf, size);
		assert_true(strlen(buf) < size);
		assert_null(strstr(buf, "SE"));
		uri_shown("http://u:SECRET@host/", buf, size);
		assert_true(strlen(buf) < size);
		assert_null(strstr(buf, "SE"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_shown),
					   cmocka_unit_test(test_it_is_cut)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
