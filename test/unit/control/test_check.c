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
	assert_null(strstr(out, "outer  "));
	assert_null(strstr(out, "hidden  "));
	free(out);
}

// What a child has otherwise than by default; each row is shown on a line of its own.
static void test_outer_headers_and_what_is_hidden(void **state)
{
	static const struct {
		const char *keys, *shown;
	} rows[] = {
		{"copy_dscp = no", "      outer        DSCP 0\n"},
		{"copy_dscp = no\n outer_dscp = ef", "      outer        DSCP 46\n"},
		{"copy_dscp = in", "      outer        DSCP 0, taken over inside\n"},
		{"copy_dscp = yes", "      outer        DSCP copied, taken over inside\n"},
		{"copy_ecn = no", "      outer        DSCP copied, without ECN\n"},
		{"copy_df = no", "      outer        DSCP copied, DF clear\n"},
		{"copy_df = no\n outer_df = set\n outer_ttl = 9",
		 "      outer        DSCP copied, DF set, TTL 9\n"},
		{"outer_flow_label = tunnel", "      outer        DSCP copied, one flow label\n"},
		{"outer_flow_label = flow",
		 "      outer        DSCP copied, a flow label for each flow\n"},
		{"tfc_padding = mtu", "      hidden       packets padded to the MTU\n"},
		{"tfc_padding = 600", "      hidden       packets padded to 600 bytes\n"},
		{"dummy_packets = 5", "      hidden       5 dummy packets a second\n"},
		{"tfc_padding = 600\n dummy_packets = 5",
		 "      hidden       packets padded to 600 bytes, 5 dummy packets a second\n"},
	};
	char text[2048], *out;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text),
			 GATEWAY CONN "connections { lab { children { net {\n%s } } } }\n"
				      "secrets { ike { id = gw-b\n secret = topsecret } }\n",
			 rows[i].keys);
		report(text, &out);
		has(out, rows[i].shown);
		free(out);
	}
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
		cmocka_unit_test(test_outer_headers_and_what_is_hidden),
		cmocka_unit_test(test_warnings_are_shown_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
