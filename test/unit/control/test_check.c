// What `port500d --check` says of a configuration.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/check.h"

#define GATEWAY "gateway { ports { wan { device = net_null0\n addrs = 192.0.2.1/24 } } }\n"
#define CONN                                                                                       \
	"connections { lab { local_addrs = 192.0.2.1\n remote_addrs = 198.51.100.1\n"              \
	" local { auth = psk\n id = gw-a }\n remote { auth = psk\n id = gw-b }\n"                  \
	" children { net { local_ts = 10.1.0.0/24\n remote_ts = 10.2.0.0/24,dynamic\n"             \
	"  esp_proposals = aes128gcm16\n start_action = start }\n"                                 \
	"  quiet { mode = drop\n local_ts = 10.1.0.0/24\n remote_ts = 10.3.0.0/24 } } } }\n"

static void report(const char *text, char **out)
{
	struct config *config;
	struct error err = {""};
	size_t len;
	FILE *f = open_memstream(out, &len);

	assert_non_null(f);
	if (config_load_text("gw.conf", text, strlen(text), &config, &err))
		fail_msg("%s", err.text);
	check_report(f, "gw.conf", config);
	fclose(f);
	config_destroy(config);
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' is not in:\n%s", part, text);
}

static void test_a_good_configuration(void **state)
{
	char *out;

	(void)state;
	report(GATEWAY CONN "secrets { ike { id = gw-b\n secret = topsecret } }\n", &out);
	has(out, "gw.conf: 1 port, 1 connection, 2 children, 1 secret\n");
	has(out, "net_null0, mtu 1500, 192.0.2.1/24");
	has(out, "192.0.2.1 ... 198.51.100.1");
	has(out, "identities   gw-a ... gw-b\n");
	has(out, "proofs       pre-shared key ... pre-shared key\n");
	has(out, "tunnel: 10.1.0.0/24 === 10.2.0.0/24, dynamic");
	has(out, "drop: 10.1.0.0/24 === 10.3.0.0/24");
	has(out, "AES_GCM_16_128");
	has(out, "start        start, renewed after 3600 s, ends after 3960 s");
	has(out, "The configuration is good.\n");
	assert_null(strstr(out, "topsecret"));
	free(out);
}

static void test_warnings_are_shown_and_counted(void **state)
{
	char *warnings[] = {(char[]){"gw.conf:1: a: b"}, (char[]){"gw.conf:2: c: d"}};
	struct config config = {.warnings = warnings, .n_warnings = 2};
	char *out;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	(void)state;
	assert_non_null(f);
	check_report(f, "gw.conf", &config);
	fclose(f);
	has(out, "gw.conf: 0 ports, 0 connections, 0 children, 0 secrets\n");
	has(out, "warning: gw.conf:1: a: b\nwarning: gw.conf:2: c: d\n");
	has(out, "The configuration is good, with 2 warnings.\n");
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_good_configuration),
		cmocka_unit_test(test_warnings_are_shown_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
