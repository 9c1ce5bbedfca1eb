#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ipv6.h"
#include "lib/limits.h"

enum { TCP = 6, AH = 51, ESP = 50, NONE = 59 };

static void test_packet_len(void **state)
{
	static const struct {
		uint8_t version;
		uint16_t payload, there;
		size_t want;
		const char *why;
	} rows[] = {
		{0x60, 10, 50, 50, "all of it"},
		{0x6f, 10, 60, 50, "padding behind it"},
		{0x60, 0, 40, 40, "nothing behind the header"},
		{0x60, 11, 50, 0, "cut short"},
		{0x60, 0, 39, 0, "no header"},
		{0x40, 10, 50, 0, "version 4"},
		{0x70, 10, 50, 0, "version 7"},
		{0x60, 256, 296, 296, "both bytes of the length count"},
	};
	uint8_t ip[300] = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ip[0] = rows[i].version;
		ip[4] = (uint8_t)(rows[i].payload >> 8);
		ip[5] = (uint8_t)rows[i].payload;
		if (ipv6_packet_len(ip, rows[i].there) != rows[i].want)
			fail_msg("%s", rows[i].why);
	}
}

#define BAD 255

static void test_find_upper(void **state)
{
	static const struct {
		uint8_t next;
		uint8_t chain[40];
		size_t len;
		uint8_t proto; // BAD: -EINVAL
		uint16_t at;
		bool fragment, later;
		const char *why;
	} rows[] = {
		{TCP, {0}, 20, TCP, 40, false, false, "at once"},
		{NONE, {0}, 0, NONE, 40, false, false, "nothing"},
		{ESP, {TCP}, 8, ESP, 40, false, false, "ESP is carried (RFC 4301 4.4.1.1)"},
		{AH, {TCP, 4}, 24, AH, 40, false, false, "so is AH"},
		{0, {TCP}, 8, TCP, 48, false, false, "hop-by-hop options"},
		{43, {TCP, 1}, 16, TCP, 56, false, false, "a routing header of 16 bytes"},
		{60, {43, 0, [8] = 60, 0, [16] = TCP}, 24, TCP, 64, false, false, "a row of them"},
		{60, {0, 0, [8] = TCP}, 16, BAD, 0, false, false, "hop-by-hop not the first"},
		{60, {TCP}, 7, BAD, 0, false, false, "no eight bytes"},
		{60, {TCP, 1}, 15, BAD, 0, false, false, "shorter than it says"},
		{60, {TCP, 255}, 40, BAD, 0, false, false, "much shorter"},
		{44, {TCP, 255, 0, 0}, 8, TCP, 48, false, false, "whole: no fragment (RFC 6946)"},
		{44, {TCP, 0, 0, 1}, 8, TCP, 48, true, false, "the first one"},
		{44, {TCP, 0, 0, 8}, 8, TCP, 48, true, true, "the last one"},
		{44, {TCP, 0, 1, 1}, 8, TCP, 48, true, true, "in between"},
		{44, {TCP, 0, 0, 6}, 8, TCP, 48, false, false, "reserved bits are no offset"},
		{44, {60, 0, 0, 1, [8] = TCP}, 16, TCP, 56, true, false, "options in the first"},
		{44,
		 {60, 0, 0, 8, [8] = TCP},
		 16,
		 IPV6_PROTO_UNKNOWN,
		 48,
		 true,
		 true,
		 "options in a later one are nobody knows what"},
		{44, {60, 0, 0, 1, [8] = TCP}, 12, BAD, 0, false, false, "RFC 7112"},
		{44, {44, 0, 0, 1, [8] = TCP, 0, 0, 0}, 16, TCP, 56, true, false, "twice"},
	};
	uint8_t ip[80];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ipv6_upper u = {.proto = 77, .at = 77};
		int err;

		memset(ip, 0, sizeof(ip));
		ip[6] = rows[i].next;
		memcpy(ip + 40, rows[i].chain, rows[i].len);
		err = ipv6_find_upper(ip, 40 + rows[i].len, &u);
		if (rows[i].proto == BAD
			    ? err != -EINVAL || u.proto != 77
			    : err != 0 || u.proto != rows[i].proto || u.at != rows[i].at ||
				      u.fragment != rows[i].fragment || u.later != rows[i].later)
			fail_msg("%s: %d, %u at %u", rows[i].why, err, u.proto, u.at);
	}
}

static void test_limit(void **state)
{
	uint8_t ip[40 + 8 * (LIMIT_IPV6_EXT_HEADERS + 1)] = {0};
	struct ipv6_upper u;

	(void)state;
	for (unsigned n = 1; n <= LIMIT_IPV6_EXT_HEADERS + 1; n++) {
		ip[6] = 60;
		for (unsigned i = 0; i < n; i++)
			ip[40 + 8 * i] = i == n - 1 ? TCP : 60;
		assert_int_equal(ipv6_find_upper(ip, sizeof(ip), &u),
				 n <= LIMIT_IPV6_EXT_HEADERS ? 0 : -EINVAL);
	}
	assert_int_equal(u.at, 40 + 8 * LIMIT_IPV6_EXT_HEADERS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packet_len),
		cmocka_unit_test(test_find_upper),
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
