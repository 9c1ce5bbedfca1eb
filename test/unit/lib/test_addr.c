#include "test/unit/lib/check.h"

#include "lib/addr.h"

static struct ip_addr addr(const char *text)
{
	struct ip_addr a;

	if (ip_addr_parse(text, &a))
		fail_msg("\"%s\" is not an address", text);
	return a;
}

static struct ip_prefix prefix(const char *text)
{
	struct ip_prefix p;

	if (ip_prefix_parse(text, &p))
		fail_msg("\"%s\" is not a prefix", text);
	return p;
}

static void test_addresses_there_and_back(void **state)
{
	static const struct {
		const char *text, *printed;
		uint8_t family;
	} rows[] = {
		{"192.0.2.1", "192.0.2.1", IP_V4},
		{"0.0.0.0", "0.0.0.0", IP_V4},
		{"255.255.255.255", "255.255.255.255", IP_V4},
		{"2001:db8::1", "2001:db8::1", IP_V6},
		{"2001:0DB8:0:0:0:0:0:1", "2001:db8::1", IP_V6},
		{"::", "::", IP_V6},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", IP_V6},
	};
	char text[IP_ADDR_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct ip_addr a = addr(rows[i].text);

		CHECK_INT(a.family, rows[i].family, rows[i].text);
		CHECK_TEXT(ip_addr_format(&a, text, sizeof(text)), rows[i].printed, "format");
		CHECK_INT(ip_addr_len(&a), a.family == IP_V4 ? 4 : 16, rows[i].text);
	}
}

static void test_what_is_no_address(void **state)
{
	static const char *const rows[] = {"",	    "192.0.2",	    "192.0.2.256", "192.0.2.1 ",
					   " ::1",  "192.0.2.1.5",  "gw-a",	   "192.0.2.1/24",
					   ":::1",  "2001:db8::g",  "0x7f000001",  "192.0.2.-1",
					   "1.2.3", "fe80::1%eth0", "%any"};
	struct ip_addr a, before;

	(void)state;
	memset(&a, 0x5a, sizeof(a));
	before = a;
	for (size_t i = 0; i < COUNT(rows); i++) {
		CHECK_INT(ip_addr_parse(rows[i], &a), -EINVAL, rows[i]);
		CHECK_ROW(!memcmp(&a, &before, sizeof(a)), rows[i]);
	}
}

static void test_numbers_and_bytes(void **state)
{
	struct ip_addr a = ip_addr_v4(0xc0000201), b = addr("192.0.2.1"), none = {0};
	char text[IP_ADDR_TEXT_MAX], small[5];

	(void)state;
	assert_true(ip_addr_equal(&a, &b));
	assert_int_equal(ip_addr_to_v4(&b), 0xc0000201);
	a = ip_addr_from_bytes((const uint8_t *)"\xc0\x00\x02\x01", 4);
	assert_true(ip_addr_equal(&a, &b));
	a = ip_addr_from_bytes(b.bytes, 16);
	assert_int_equal(a.family, IP_V6);
	for (size_t n = 0; n < 20; n++)
		if (n != 4 && n != 16) {
			a = ip_addr_from_bytes((const uint8_t *)"01234567890123456789", n);
			assert_int_equal(a.family, IP_NONE);
		}
	assert_int_equal(ip_addr_len(&none), 0);
	assert_string_equal(ip_addr_format(&none, text, sizeof(text)), "%any");
	// A buffer that is too small still ends.
	assert_true(strlen(ip_addr_format(&b, small, sizeof(small))) < sizeof(small));
}

static void test_order_and_any(void **state)
{
	static const char *const ascending[] = {"0.0.0.0",   "1.0.0.0", "1.0.0.255", "1.0.1.0",
						"128.0.0.0", "::",	"::1",	     "8000::"};

	(void)state;
	for (size_t i = 0; i < COUNT(ascending); i++)
		for (size_t k = 0; k < COUNT(ascending); k++) {
			struct ip_addr a = addr(ascending[i]), b = addr(ascending[k]);
			int order = ip_addr_compare(&a, &b);

			assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
			assert_int_equal(ip_addr_equal(&a, &b), i == k);
		}
	struct ip_addr none = {0}, v4 = addr("0.0.0.0"), v6 = addr("::"), one = addr("::1");
	assert_true(ip_addr_is_any(&none));
	assert_true(ip_addr_is_any(&v4));
	assert_true(ip_addr_is_any(&v6));
	assert_false(ip_addr_is_any(&one));
}

static void test_prefixes(void **state)
{
	static const struct {
		const char *text, *printed, *lo, *hi, *in, *out;
	} rows[] = {
		{"10.1.0.0/16", "10.1.0.0/16", "10.1.0.0", "10.1.255.255", "10.1.2.3", "10.2.0.0"},
		{"10.1.0.1/24", "10.1.0.1/24", "10.1.0.0", "10.1.0.255", "10.1.0.7", "10.1.1.0"},
		{"10.1.0.1", "10.1.0.1/32", "10.1.0.1", "10.1.0.1", "10.1.0.1", "10.1.0.0"},
		{"0.0.0.0/0", "0.0.0.0/0", "0.0.0.0", "255.255.255.255", "8.8.8.8", "::"},
		{"10.0.0.0/7", "10.0.0.0/7", "10.0.0.0", "11.255.255.255", "11.1.1.1", "12.0.0.0"},
		{"10.0.0.8/29", "10.0.0.8/29", "10.0.0.8", "10.0.0.15", "10.0.0.15", "10.0.0.16"},
		{"2001:db8::/33", "2001:db8::/33", "2001:db8::",
		 "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff", "2001:db8:7000::", "2001:db8:8000::"},
		{"::1", "::1/128", "::1", "::1", "::1", "::"},
	};
	char text[IP_PREFIX_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct ip_prefix p = prefix(rows[i].text);
		struct ip_addr lo, hi, in = addr(rows[i].in), out = addr(rows[i].out);

		CHECK_TEXT(ip_prefix_format(&p, text, sizeof(text)), rows[i].printed, "format");
		ip_prefix_range(&p, &lo, &hi);
		CHECK_TEXT(ip_addr_format(&lo, text, sizeof(text)), rows[i].lo, rows[i].text);
		CHECK_TEXT(ip_addr_format(&hi, text, sizeof(text)), rows[i].hi, rows[i].text);
		CHECK_ROW(ip_prefix_contains(&p, &in), rows[i].text);
		CHECK_ROW(!ip_prefix_contains(&p, &out), rows[i].text);
		CHECK_ROW(ip_prefix_contains(&p, &lo) && ip_prefix_contains(&p, &hi), rows[i].text);
	}
}

static void test_what_is_no_prefix(void **state)
{
	static const char *const rows[] = {"",
					   "/24",
					   "10.1.0.0/",
					   "10.1.0.0/33",
					   "10.1.0.0/-1",
					   "10.1.0.0/+8",
					   "10.1.0.0/ 8",
					   "10.1.0.0/8 ",
					   "10.1.0.0/0008",
					   "10.1.0.0/8/8",
					   "10.1.0.0/255.0.0.0",
					   "2001:db8::/129",
					   "2001:db8::/4294967296",
					   "10.1/16"};
	struct ip_prefix p, before;

	(void)state;
	memset(&p, 0x5a, sizeof(p));
	before = p;
	for (size_t i = 0; i < COUNT(rows); i++) {
		CHECK_INT(ip_prefix_parse(rows[i], &p), -EINVAL, rows[i]);
		CHECK_ROW(!memcmp(&p, &before, sizeof(p)), rows[i]);
	}
}

static void test_endpoints(void **state)
{
	struct ip_endpoint a = {addr("192.0.2.1"), 500}, b = a;
	char text[IP_ENDPOINT_TEXT_MAX];

	(void)state;
	assert_string_equal(ip_endpoint_format(&a, text, sizeof(text)), "192.0.2.1[500]");
	assert_true(ip_endpoint_equal(&a, &b));
	b.port = 4500;
	assert_false(ip_endpoint_equal(&a, &b));
	b = a;
	b.addr = addr("192.0.2.2");
	assert_false(ip_endpoint_equal(&a, &b));
	b = (struct ip_endpoint){addr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), 65535};
	assert_string_equal(ip_endpoint_format(&b, text, sizeof(text)),
			    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff[65535]");
}

static void test_mac_addresses(void **state)
{
	static const char *const bad[] = {"",
					  "02:00:00:00:00",
					  "02:00:00:00:00:01:02",
					  "02:00:00:00:00:0g",
					  "02-00-00-00-00-01",
					  "020000000001",
					  "02:00:00:00:00:01 ",
					  "02:00:00:00: 0:01",
					  "02:00:00:00:+0:01",
					  "02:0:000:00:00:01"};
	struct mac_addr m, before;
	char text[MAC_ADDR_TEXT_MAX];

	(void)state;
	assert_int_equal(mac_addr_parse("02:00:5E:10:ff:01", &m), 0);
	assert_memory_equal(m.bytes, "\x02\x00\x5e\x10\xff\x01", 6);
	assert_string_equal(mac_addr_format(&m, text, sizeof(text)), "02:00:5e:10:ff:01");
	before = m;
	for (size_t i = 0; i < COUNT(bad); i++) {
		CHECK_INT(mac_addr_parse(bad[i], &m), -EINVAL, bad[i]);
		CHECK_ROW(!memcmp(&m, &before, sizeof(m)), bad[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses_there_and_back),
		cmocka_unit_test(test_what_is_no_address),
		cmocka_unit_test(test_numbers_and_bytes),
		cmocka_unit_test(test_order_and_any),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_what_is_no_prefix),
		cmocka_unit_test(test_endpoints),
		cmocka_unit_test(test_mac_addresses),
	};

	return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
