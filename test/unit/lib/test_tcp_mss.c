#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "lib/tcp_mss.h"

struct syn {
	uint8_t ip[128];
	size_t len;
};

static uint16_t load16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

// One's complement sum over pseudo header and TCP segment: 0xffff when the checksum is good.
static uint16_t tcp_sum(const uint8_t *ip, size_t len)
{
	const bool v4 = ip[0] >> 4 == 4;
	const size_t at = v4 ? (size_t)(ip[0] & 15) * 4 : 40;
	const uint8_t *addrs = ip + (v4 ? 12 : 8);
	uint32_t sum = 6 + (uint32_t)(len - at);

	for (size_t i = 0; i < (v4 ? 8u : 32u); i += 2)
		sum += load16(addrs + i);
	for (size_t i = at; i < len; i += 2)
		sum += i + 1 < len ? load16(ip + i) : (uint32_t)ip[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static struct syn make_syn(bool v4, const uint8_t *options, size_t options_len)
{
	const size_t at = v4 ? 20 : 40;
	struct syn s = {.len = at + 20 + (options_len + 3) / 4 * 4};
	uint16_t sum;

	for (size_t i = 0; i < at; i++)
		s.ip[i] = (uint8_t)(i * 7);
	s.ip[0] = v4 ? 0x45 : 0x60;
	s.ip[6] = v4 ? 0 : 6;
	s.ip[7] = 0;
	if (v4)
		s.ip[9] = 6;
	s.ip[at + 12] = (uint8_t)((s.len - at) / 4 << 4);
	s.ip[at + 13] = 0x02;
	memcpy(s.ip + at + 20, options, options_len);
	sum = (uint16_t)~tcp_sum(s.ip, s.len);
	s.ip[at + 16] = (uint8_t)(sum >> 8);
	s.ip[at + 17] = (uint8_t)sum;
	return s;
}

#define OPT(...) {__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__})

static void test_rows(void **state)
{
	static const struct {
		uint8_t options[16];
		size_t len;
		uint16_t mtu;
		bool v4;
		int mss_at; // in the options; -1: nothing changes
		uint16_t mss;
		const char *why;
	} rows[] = {
		{OPT(2, 4, 5, 0xb4), 1446, true, 2, 1406, "1460 in a tunnel of 1446"},
		{OPT(2, 4, 5, 0xb4), 1426, false, 2, 1366, "IPv6: 60 bytes of headers"},
		{OPT(2, 4, 5, 0xb4), 1500, true, -1, 0, "fits exactly"},
		{OPT(2, 4, 2, 0x18), 1446, true, -1, 0, "announces less"},
		{OPT(1, 2, 4, 5, 0xb4), 1446, true, 3, 1406, "at an odd place"},
		{OPT(3, 3, 7, 1, 8, 10, 0, 0, 0, 0, 0, 0), 1446, true, -1, 0, "no such option"},
		{OPT(4, 2, 3, 3, 7, 2, 4, 0xff, 0xff), 1446, true, 7, 1406, "behind others"},
		{OPT(0, 2, 4, 5, 0xb4), 1446, true, -1, 0, "behind the end"},
		{OPT(0, 2, 2, 4, 5, 0xb4), 1446, true, -1, 0, "behind the end, in step"},
		{OPT(3, 0, 2, 4, 5, 0xb4), 1446, true, -1, 0, "an option of length 0"},
		{OPT(3, 40, 2, 4, 5, 0xb4), 1446, true, -1, 0, "an option longer than all"},
		{OPT(2, 3, 5, 0xb4), 1446, true, -1, 0, "MSS of a wrong length"},
		{OPT(1, 1, 1, 2), 1446, true, -1, 0, "cut off behind its kind"},
		{OPT(2, 4, 5, 0xb4), 40, true, -1, 0, "nothing would fit"},
		{OPT(2, 4, 5, 0xb4), 60, false, -1, 0, "IPv6: nothing would fit"},
		{OPT(3, 9, 7, 2, 4, 5, 0xb4), 1446, true, -1, 0, "an option of one byte too many"},
		{OPT(3, 8, 7, 0, 0, 0, 0, 0), 1446, true, -1, 0, "an option up to the end"},
		{OPT(1, 1, 1, 1, 1, 1, 1, 1), 1446, true, -1, 0, "nothing but padding"},
	};

	(void)state;
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		const size_t at = rows[r].v4 ? 40 : 60;
		struct syn s = make_syn(rows[r].v4, rows[r].options, rows[r].len), before = s;

		if (tcp_mss_clamp(s.ip, s.len, rows[r].mtu) != (rows[r].mss_at >= 0))
			fail_msg("%s", rows[r].why);
		assert_int_equal(tcp_sum(s.ip, s.len), 0xffff);
		if (rows[r].mss_at < 0)
			assert_memory_equal(s.ip, before.ip, sizeof(s.ip));
		else
			assert_int_equal(load16(s.ip + at + rows[r].mss_at), rows[r].mss);
	}
}

static void test_who_is_no_syn(void **state)
{
	static const uint8_t mss[] = {2, 4, 5, 0xb4};
	const struct syn good = make_syn(true, mss, sizeof(mss));
	struct syn s = good;

	(void)state;
	s.ip[33] = 0x10; // ACK
	assert_false(tcp_mss_clamp(s.ip, s.len, 1000));
	s = good;
	s.ip[9] = 17;
	assert_false(tcp_mss_clamp(s.ip, s.len, 1000));
	s = good;
	s.ip[7] = 1; // a later fragment
	assert_false(tcp_mss_clamp(s.ip, s.len, 1000));
	s = good;
	s.ip[32] = 0x40; // a header of 16 bytes
	assert_false(tcp_mss_clamp(s.ip, s.len, 1000));
	s.ip[32] = 0xf0; // longer than the packet
	assert_false(tcp_mss_clamp(s.ip, s.len, 1000));
	for (size_t len = 0; len < good.len; len++) {
		s = good;
		assert_false(tcp_mss_clamp(s.ip, len, 1000));
	}
	s = good;
	s.ip[33] = 0x12; // SYN and ACK
	assert_true(tcp_mss_clamp(s.ip, s.len, 1000));
}

// The same as a packet of IPv4: what is not TCP over IPv6 stays as it is.
static void test_who_is_no_syn6(void **state)
{
	static const uint8_t mss[] = {2, 4, 5, 0xb4};
	const struct syn good = make_syn(false, mss, sizeof(mss));
	struct syn s = good;

	(void)state;
	s.ip[0] = 0x50; // of no version
	assert_false(tcp_mss_clamp(s.ip, s.len, 1300));
	s = good;
	s.ip[6] = 17;
	assert_false(tcp_mss_clamp(s.ip, s.len, 1300));
	assert_false(tcp_is_syn(s.ip, s.len));
	s = good;
	s.ip[6] = 44; // behind a fragment header
	assert_false(tcp_mss_clamp(s.ip, s.len, 1300));
	for (size_t len = 0; len < good.len; len++) {
		s = good;
		assert_false(tcp_mss_clamp(s.ip, len, 1300));
		assert_memory_equal(s.ip, good.ip, sizeof(s.ip));
	}
	assert_true(tcp_mss_clamp(s.ip, s.len, 1300));
}

// The options end where the TCP header says, whatever stands behind; and where the packet does. The
// header begins where the IP header says.
static void test_what_stands_behind(void **state)
{
	static const uint8_t mss[] = {2, 4, 5, 0xb4};
	struct syn s = make_syn(true, mss, sizeof(mss));

	(void)state;
	s.ip[32] = 0x50; // a header of 20 bytes: these four are data
	assert_false(tcp_mss_clamp(s.ip, s.len, 1000));
	s = make_syn(true, mss, sizeof(mss));
	s.ip[0] = 0x44; // an IP header of 16 bytes
	memmove(s.ip + 16, s.ip + 20, s.len - 20);
	assert_false(tcp_is_syn(s.ip, s.len - 4));
	assert_false(tcp_mss_clamp(s.ip, s.len - 4, 1000));
	s = make_syn(true, mss, 0);
	assert_true(tcp_is_syn(s.ip, s.len)); // nothing but the two headers
	assert_false(tcp_is_syn(s.ip, s.len - 1));
	// An option that is begun in the last byte of the header, and goes on in the data.
	s = make_syn(true, (const uint8_t[]){1, 1, 1, 2, 4, 5, 0xb4}, 7);
	s.ip[32] = 0x60;
	assert_false(tcp_mss_clamp(s.ip, s.len, 1000));
	s = make_syn(true, (const uint8_t[]){1, 2, 4, 5, 0xb4}, 5);
	s.ip[32] = 0x60;
	assert_false(tcp_mss_clamp(s.ip, s.len, 1000));
}

// RFC 1624 3: carries are added until there is none.
static void test_carries(void **state)
{
	(void)state;
	for (uint32_t data = 0; data < 0x10000; data++) {
		const uint8_t options[] = {1, 2, 4, 2, 0, 0, (uint8_t)(data >> 8), (uint8_t)data};
		struct syn s = make_syn(true, options, sizeof(options));

		assert_true(tcp_mss_clamp(s.ip, s.len, 551)); // 0x200 at an odd place to 0x1ff
		assert_int_equal(tcp_sum(s.ip, s.len), 0xffff);
	}
}

// Any MSS to any other: the checksum stays good (RFC 1624).
static void test_checksum_always_follows(void **state)
{
	(void)state;
	for (uint32_t mss = 0; mss < 0x10000; mss += 7) {
		const uint8_t options[] = {1, 2, 4, (uint8_t)(mss >> 8), (uint8_t)mss};

		for (size_t odd = 0; odd < 2; odd++) {
			struct syn s = make_syn(true, options + 1 - odd, 4 + odd);

			tcp_mss_clamp(s.ip, s.len, (uint16_t)(41 + mss / 2));
			assert_int_equal(tcp_sum(s.ip, s.len), 0xffff);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_who_is_no_syn),
		cmocka_unit_test(test_who_is_no_syn6),
		cmocka_unit_test(test_what_stands_behind),
		cmocka_unit_test(test_carries),
		cmocka_unit_test(test_checksum_always_follows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
