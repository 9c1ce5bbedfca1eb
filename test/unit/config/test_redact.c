// A configuration for support: what is in it, and that no byte of a secret is.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/redact.h"

// Every secret has SECRET in it, in every place that may have one.
static const char everything[] =
	"template { secret = SECRET-template\n local { id = SECRET-unknown } }\n"
	"gateway { ports { wan { device = net_null0\n addrs = 192.0.2.1/24 } } }\n"
	"connections { lab : base { version = 2\n remote_addrs = 198.51.100.1\n"
	" local { auth = psk\n id = gw-a.example\n"
	"  cert-1 { file = \"pkcs11:object=gw?PIN-value=SECRET-uri\" } } } }\n"
	"base { local_addrs = 192.0.2.1\n no_such_key = SECRET-key }\n"
	"authorities { ca { cacert = ca.pem\n"
	" crl_uris = \"http://user:SECRET-url@crl.example/c.crl\" } }\n"
	"secrets {\n"
	" ike-1 { id-a = gw-a.example\n secret = \"SECRET-psk \\\" } # with everything\" }\n"
	" ike-2 { secret = 0sU0VDUkVUaw== }\n"
	" ike-3 { secret = 0x534543524554 }\n"
	" private-1 { file = key.pem\n secret = SECRET-passphrase }\n"
	" rsa-1 { file = \"pkcs11:id=1;pin-source=/SECRET-source\"\n secret = SECRET-pin }\n"
	" ecdsa-1 { file = k.pem\n secret = SECRET-ecdsa }\n"
	" pkcs8-1 { file = k.pem\n secret = SECRET-pkcs8 }\n"
	" pkcs12-1 { file = SECRET-p12\n secret = SECRET-pkcs12 }\n"
	" token-1 { handle = 7\n pin = SECRET-token }\n"
	" eap-1 { id = x\n secret = SECRET-eap }\n xauth-1 { secret = SECRET-xauth }\n"
	" ntlm-1 { secret = SECRET-ntlm }\n ppk-1 { secret = SECRET-ppk }\n"
	" ike-4 { sercet = SECRET-typo }\n"
	"}\n";

static char *redact(const char *text)
{
	struct error err = {0};
	size_t size;
	char *out;
	FILE *f = open_memstream(&out, &size);
	int rc = config_redact_text("test.conf", text, strlen(text), f, &err);

	fclose(f);
	if (rc)
		fail_msg("%s", err.text);
	return out;
}

static void test_no_secret_is_in_it(void **state)
{
	char *out = redact(everything);

	(void)state;
	if (strstr(out, "SECRET") || strstr(out, "U0VDUkVU") || strstr(out, "534543524554"))
		fail_msg("a secret is in it:\n%s", out);
	free(out);
}

static void test_the_rest_is_in_it(void **state)
{
	static const char *const parts[] = {
		"device = \"net_null0\"",
		"addrs = \"192.0.2.1/24\"",
		"remote_addrs = \"198.51.100.1\"",
		"id = \"gw-a.example\"",
		"id-a = \"gw-a.example\"",
		"secret = " REDACTED,
		"file = \"key.pem\"",
		"no_such_key = " REDACTED,
		"local_addrs = \"192.0.2.1\"", // what `lab` takes over from `base`
	};
	char *out = redact(everything);

	(void)state;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!strstr(out, parts[i]))
			fail_msg("'%s' is not in it:\n%s", parts[i], out);
	free(out);
}

static void test_a_broken_file_is_an_error(void **state)
{
	struct error err = {0};
	FILE *f = fopen("/dev/null", "w");

	(void)state;
	assert_true(config_redact_text("test.conf", "a { ", 4, f, &err) < 0);
	assert_non_null(strstr(err.text, "test.conf"));
	assert_int_equal(config_redact_file("/nonexistent/file", f, &err), -ENOENT);
	fclose(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_secret_is_in_it),
		cmocka_unit_test(test_the_rest_is_in_it),
		cmocka_unit_test(test_a_broken_file_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
