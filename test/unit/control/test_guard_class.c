// What a source of IKE is likely to be: a table of what was counted, and the word and reason for
// it.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "control/guard_class.h"

static void test_classes(void **state)
{
	static const struct {
		bool peer;
		struct dp_guard_source s;
		const char *class, *why;
	} rows[] = {
		{true,
		 {.packets = 9, .openers = 1, .fate[GUARD_KNOWN] = 8},
		 "peer",
		 "remote_addrs"},
		{false,
		 {.packets = 9, .openers = 1, .fate[GUARD_KNOWN] = 8},
		 "peer",
		 "IKE SA with us"},
		{true,
		 {.packets = 99,
		  .openers = 90,
		  .odd_ttl = 88,
		  .ttl_min = 50,
		  .ttl_max = 61,
		  .odd_ttl_min = 50,
		  .odd_ttl_max = 52,
		  .ttl_known = 61},
		 "forged-peer",
		 "88 messages with a TTL of 50 to 52, its own come with 61"},
		// Its own probes come with small TTLs, hop by hop.
		{true,
		 {.packets = 99,
		  .openers = 90,
		  .odd_ttl = 80,
		  .ttl_min = 1,
		  .ttl_max = 61,
		  .ttl_known = 61},
		 "peer",
		 "remote_addrs"},
		{true,
		 {.addr = {.family = IP_V6},
		  .packets = 99,
		  .odd_ttl = 81,
		  .odd_ttl_min = 255,
		  .odd_ttl_max = 255,
		  .ttl_known = 58},
		 "forged-peer",
		 "81 messages with a hop limit of 255, its own come with 58"},
		{true,
		 {.packets = 5000,
		  .openers = 5000,
		  .per_second_max = 700,
		  .fate[GUARD_COOKIE] = 4000,
		  .cookies_shown = 3},
		 "forged-peer",
		 "5000 openers, up to 700 a second; 4000 were asked for a cookie, 3 showed one"},
		// A peer that comes back with hundreds of tunnels shows its cookies.
		{true,
		 {.packets = 5000,
		  .openers = 5000,
		  .per_second_max = 700,
		  .fate[GUARD_COOKIE] = 2500,
		  .cookies_shown = 2400},
		 "peer",
		 ""},
		{false,
		 {.packets = 5000,
		  .over = 1000,
		  .openers = 4000,
		  .per_second_max = 700,
		  .fate[GUARD_COOKIE] = 3000},
		 "flood",
		 "4000 openers, up to 700 a second, 0 showed a cookie"},
		{false, {.packets = 900, .per_second_max = 700}, "flood", "700 messages a second"},
		{false, {.packets = 100, .responses = 80}, "backscatter", "80 answers"},
		{false,
		 {.packets = 100, .not_ike = 51},
		 "not-ike",
		 "51 of 100 messages are no IKE"},
		{true, {.packets = 100, .not_ike = 100}, "not-ike", "100 of 100"},
		{false, {.packets = 3, .v1 = 2}, "scanner", "2 of 3 messages are IKEv1"},
		{false, {.packets = 3, .openers = 3}, "scanner", "3 messages and no IKE SA"},
		{false, {.packets = 60, .openers = 60}, "stranger", "in no remote_addrs"},
		{false, {.packets = 60, .openers = 2, .cookies_shown = 1}, "stranger", ""},
	};
	char why[GUARD_WHY_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *class = guard_class_name(guard_classify(&rows[i].s, rows[i].peer, why));

		if (strcmp(class, rows[i].class) || !strstr(why, rows[i].why))
			fail_msg("row %zu: %s: %s", i, class, why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_classes)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
