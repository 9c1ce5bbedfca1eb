#include "test/unit/lib/check.h"
#include "test/unit/lib/random.h"

#include "lib/selector.h"

static struct selector parsed(const char *text)
{
	struct selector s;

	if (selector_parse(text, &s))
		fail_msg("\"%s\" is not a selector", text);
	return s;
}

static void test_parse_and_format(void **state)
{
	static const struct {
		const char *text, *printed, *why;
	} rows[] = {
		{"10.1.0.0/16", "10.1.0.0/16", "a prefix"},
		{"10.1.2.3/16", "10.1.0.0/16", "host bits are cleared"},
		{"10.1.2.3", "10.1.2.3/32", "a bare address is a host"},
		{"0.0.0.0/0", "0.0.0.0/0", "everything"},
		{"2001:db8::/32", "2001:db8::/32", "IPv6"},
		{"::/0", "::/0", "everything of IPv6"},
		{"10.1.0.1-10.1.0.9", "10.1.0.1..10.1.0.9", "a range"},
		{"10.1.0.0-10.1.0.255", "10.1.0.0/24", "a range that is a prefix"},
		{"10.1.0.5-10.1.0.5", "10.1.0.5/32", "a range of one"},
		{"10.0.0.0-10.0.1.0", "10.0.0.0..10.0.1.0", "one more than a prefix"},
		{"2001:db8::1-2001:db8::9", "2001:db8::1..2001:db8::9", "a range of IPv6"},
		{"10.1.0.0/16[tcp]", "10.1.0.0/16[tcp]", "a protocol"},
		{"10.1.0.0/16[TCP]", "10.1.0.0/16[tcp]", "in any case"},
		{"10.1.0.0/16[6]", "10.1.0.0/16[tcp]", "a protocol by number"},
		{"10.1.0.0/16[253]", "10.1.0.0/16[253]", "a protocol without a name"},
		{"10.1.0.0/16[%any]", "10.1.0.0/16", "any protocol"},
		{"10.1.0.0/16[0]", "10.1.0.0/16", "protocol 0 is any"},
		{"10.1.0.0/16[tcp/%any]", "10.1.0.0/16[tcp]", "any port"},
		{"10.1.0.0/16[tcp/8081]", "10.1.0.0/16[tcp/8081]", "a port"},
		{"10.1.0.0/16[tcp/80]", "10.1.0.0/16[tcp/http]", "named, as strongSwan prints it"},
		{"10.1.0.0/16[tcp/http]", "10.1.0.0/16[tcp/http]", "a service"},
		{"10.1.0.0/16[tcp/ms-wbt-server]", "10.1.0.0/16[tcp/ms-wbt-server]",
		 "a service with dashes is not a range"},
		{"10.1.0.0/16[udp/500-510]", "10.1.0.0/16[udp/500-510]", "a port range"},
		{"10.1.0.0/16[udp/0-65535]", "10.1.0.0/16[udp]", "all ports"},
		{"10.1.0.0/16[icmp]", "10.1.0.0/16[icmp]", "ICMP"},
		{"10.1.0.0/16[icmp/8]", "10.1.0.0/16[icmp/8]", "a type"},
		{"10.1.0.0/16[icmp/2048]", "10.1.0.0/16[icmp/8]", "type and code in one number"},
		{"10.1.0.0/16[icmp/256]", "10.1.0.0/16[icmp/1]", "the least such number"},
		{"10.1.0.0/16[icmp/255]", "10.1.0.0/16[icmp/255]", "the last type"},
		{"10.1.0.0/16[icmp/3(1)]", "10.1.0.0/16[icmp/3(1)]", "type and code"},
		{"10.1.0.0/16[icmp/3-3(255)]", "10.1.0.0/16[icmp/3-3(255)]", "all codes"},
		{"2001:db8::/32[ipv6-icmp/128]", "2001:db8::/32[ipv6-icmp/128]", "ICMPv6"},
		{"10.1.0.1-10.1.0.9[udp/53]", "10.1.0.1..10.1.0.9[udp/domain]", "all at once"},
	};
	char text[SELECTOR_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct selector s = parsed(rows[i].text), again;

		CHECK_TEXT(selector_format(&s, text, sizeof(text)), rows[i].printed, rows[i].why);
		if (strstr(text, ".."))
			continue; // printed as swanctl does, configured with a dash
		again = parsed(text);
		CHECK_ROW(selector_equal(&s, &again), rows[i].why);
	}
}

static void test_parsed_values(void **state)
{
	struct selector s = parsed("10.1.0.1-10.1.0.9[udp/500-510]");

	(void)state;
	assert_int_equal(s.family, IP_V4);
	assert_int_equal(s.proto, 17);
	assert_int_equal(s.port_lo, 500);
	assert_int_equal(s.port_hi, 510);
	assert_int_equal(ip_addr_to_v4(&s.lo), 0x0a010001);
	assert_int_equal(ip_addr_to_v4(&s.hi), 0x0a010009);
	s = parsed("10.1.0.0/16[icmp/3(4)]");
	assert_int_equal(s.port_lo, 3 << 8 | 4);
	assert_int_equal(s.port_hi, 3 << 8 | 4);
	s = parsed("2001:db8::/32");
	assert_int_equal(s.family, IP_V6);
	assert_int_equal(s.proto, 0);
	assert_int_equal(s.port_lo, 0);
	assert_int_equal(s.port_hi, 65535);
	assert_int_equal(s.hi.bytes[15], 0xff);
}

static void test_dynamic(void **state)
{
	static const struct {
		const char *text, *shown, *expanded; // NULL: refused
	} rows[] = {
		{"dynamic", "dynamic", "192.0.2.1/32"},
		{"dynamic[gre]", "dynamic[gre]", "192.0.2.1/32[gre]"},
		{"dynamic[47]", "dynamic[gre]", "192.0.2.1/32[gre]"},
		{"dynamic[tcp/179]", "dynamic[tcp/bgp]", "192.0.2.1/32[tcp/bgp]"},
		{"dynamic[udp/500-510]", "dynamic[udp/500-510]", "192.0.2.1/32[udp/500-510]"},
		{"dynamic[icmp/8]", "dynamic[icmp/8]", "192.0.2.1/32[icmp/8]"},
		{"dynamic[%any]", "dynamic", "192.0.2.1/32"},
		{.text = "dynamic["},
		{.text = "dynamic[]"},
		{.text = "dynamic]"},
		{.text = "dynamic[tcp/179"},
		{.text = "dynamic[tcp/]"},
		{.text = "dynamic[tcp/70000]"},
		{.text = "dynamic/32"},
		{.text = "dynamics"},
		{.text = "dyn"},
	};
	struct ip_addr a, nowhere = {0};
	char text[SELECTOR_TEXT_MAX];

	(void)state;
	ip_addr_parse("192.0.2.1", &a);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct selector_dynamic d = {.n = 1};
		struct selector_list list = {0};

		assert_int_equal(selector_dynamic_parse(rows[i].text, &d.s[0]),
				 rows[i].shown ? 0 : -EINVAL);
		if (!rows[i].shown)
			continue;
		assert_string_equal(selector_dynamic_format(&d.s[0], text, sizeof(text)),
				    rows[i].shown);
		selector_dynamic_add(&d, &nowhere, &list);
		assert_int_equal(list.n, 0);
		selector_dynamic_add(&d, &a, &list);
		assert_int_equal(list.n, 1);
		assert_string_equal(selector_format(&list.s[0], text, sizeof(text)),
				    rows[i].expanded);
		assert_true(selector_dynamic_equal(&d, &d));
		assert_false(selector_dynamic_equal(&d, &(struct selector_dynamic){.n = 0}));
		assert_false(selector_dynamic_equal(
			&d, &(struct selector_dynamic){
				    1, {{d.s[0].proto ^ 1, d.s[0].port_lo, d.s[0].port_hi}}}));
		list.n = SELECTORS_MAX;
		selector_dynamic_add(&d, &a, &list);
		assert_int_equal(list.n, SELECTORS_MAX);
	}
}

static void test_malformed_is_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"", "nothing"},
		{"10.1.0.0/33", "prefix too long"},
		{"10.1.0.0/", "no length"},
		{"10.1.0/16", "no address"},
		{"10.1.0.9-10.1.0.1", "range backwards"},
		{"10.1.0.1-2001:db8::1", "two families"},
		{"10.1.0.1-", "half a range"},
		{"10.1.0.0/16-10.2.0.0/16", "a range of prefixes"},
		{"10.1.0.0/16[", "open bracket"},
		{"10.1.0.0/16[]", "nothing inside"},
		{"10.1.0.0/16[tcp", "no closing bracket"},
		{"10.1.0.0/16tcp]", "no opening bracket"},
		{"10.1.0.0/16[tcp]x", "something after"},
		{"10.1.0.0/16[tpc]", "no such protocol"},
		{"10.1.0.0/16[256]", "protocol too large"},
		{"10.1.0.0/16[tcp/]", "no port"},
		{"10.1.0.0/16[tcp/65536]", "port too large"},
		{"10.1.0.0/16[tcp/http8]", "no such service"},
		{"10.1.0.0/16[tcp/99-98]", "ports backwards"},
		{"10.1.0.0/16[tcp/1-2-3]", "two dashes"},
		{"10.1.0.0/16[%any/80]", "a port without a protocol"},
		{"10.1.0.0/16[gre/80]", "a protocol without ports"},
		{"10.1.0.0/16[icmp/8(]", "open code"},
		{"10.1.0.0/16[icmp/8()]", "empty code"},
		{"10.1.0.0/16[icmp/8(256)]", "code too large"},
		{"10.1.0.0/16[icmp/256(0)]", "type too large"},
		{"dynamic", "not handled here"},
		{" 10.1.0.0/16", "a blank"},
	};
	struct selector before, s;

	(void)state;
	memset(&s, 0x5a, sizeof(s));
	before = s;
	for (size_t i = 0; i < COUNT(rows); i++) {
		CHECK_INT(selector_parse(rows[i].text, &s), -EINVAL, rows[i].why);
		CHECK_ROW(!memcmp(&s, &before, sizeof(s)), rows[i].why);
	}
}

static void test_long_text_is_refused(void **state)
{
	char text[1000];
	struct selector s;

	(void)state;
	memset(text, '1', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	assert_int_equal(selector_parse(text, &s), -EINVAL);
}

static void test_format_fits_and_ends(void **state)
{
	struct selector s = parsed("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff1-"
				   "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe[ipv6-icmp/1(1)-2(2)]");
	char text[SELECTOR_TEXT_MAX], small[8];

	(void)state;
	assert_string_equal(selector_format(&s, text, sizeof(text)),
			    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff1.."
			    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe[ipv6-icmp/1(1)-2(2)]");
	assert_string_equal(selector_format(&s, small, sizeof(small)), "ffff:ff");
	// OPAQUE ports come from peers only (RFC 4301 4.4.1.1).
	s = parsed("10.1.0.0/16[udp]");
	s.port_lo = 65535;
	s.port_hi = 0;
	assert_string_equal(selector_format(&s, text, sizeof(text)), "10.1.0.0/16[udp/OPAQUE]");
}

static void test_contains_and_intersect(void **state)
{
	static const struct {
		const char *a, *b, *common; // NULL: nothing in common
		const char *why;
	} rows[] = {
		{"10.1.0.0/16", "10.1.0.0/16", "10.1.0.0/16", "the same"},
		{"10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/16", "inside"},
		{"10.1.0.0/16", "10.2.0.0/16", NULL, "beside"},
		{"10.1.0.0/24", "10.1.1.0/24", NULL, "touching"},
		{"10.1.0.0-10.1.0.9", "10.1.0.9-10.1.0.20", "10.1.0.9/32", "one address"},
		{"0.0.0.0/0", "::/0", NULL, "two families"},
		{"10.1.0.0/16[tcp]", "10.1.0.0/16", "10.1.0.0/16[tcp]", "any takes in TCP"},
		{"10.1.0.0/16[tcp]", "10.1.0.0/16[udp]", NULL, "two protocols"},
		{"10.1.0.0/16[tcp/1-10]", "10.1.0.0/16[tcp/10-20]", "10.1.0.0/16[tcp/10]",
		 "one port"},
		{"10.1.0.0/16[tcp/1-10]", "10.1.0.0/16[tcp/11-20]", NULL, "no port"},
		{"10.1.0.0/16[tcp/80]", "10.0.0.0/8", "10.1.0.0/16[tcp/80]",
		 "narrower in some ways, wider in none"},
		{"10.0.0.0/8[tcp/80]", "10.1.0.0/16[tcp]", "10.1.0.0/16[tcp/80]",
		 "each narrower in one way"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct selector a = parsed(rows[i].a), b = parsed(rows[i].b), common, out;

		memset(&out, 0, sizeof(out));
		CHECK_INT(selector_intersect(&a, &b, &out), rows[i].common != NULL, rows[i].why);
		CHECK_INT(selector_intersect(&b, &a, &out), rows[i].common != NULL, rows[i].why);
		if (!rows[i].common) {
			CHECK_ROW(out.family == 0, rows[i].why);
			CHECK_ROW(!selector_contains(&a, &b), rows[i].why);
			continue;
		}
		common = parsed(rows[i].common);
		CHECK_ROW(selector_equal(&out, &common), rows[i].why);
		CHECK_INT(selector_contains(&a, &b), selector_equal(&b, &common), rows[i].why);
		CHECK_INT(selector_contains(&b, &a), selector_equal(&a, &common), rows[i].why);
	}
}

static void test_a_peers_inverted_range_holds_nothing(void **state)
{
	struct selector all = parsed("0.0.0.0/0"), bad = parsed("10.1.0.1-10.1.0.9"), out;
	struct ip_addr a = ip_addr_v4(0x0a010005), lo = bad.lo;

	(void)state;
	bad.lo = bad.hi;
	bad.hi = lo;
	assert_false(selector_contains(&all, &bad));
	assert_false(selector_contains(&bad, &all));
	assert_false(selector_intersect(&all, &bad, &out));
	assert_false(selector_match(&bad, &a, 6, 80));
}

static void test_specificity_orders(void **state)
{
	static const struct {
		const char *text;
		unsigned bits;
		const char *why;
	} rows[] = {
		{"0.0.0.0/0", 0, "everything"},
		{"::/0", 0, "everything of IPv6"},
		{"10.1.0.0/16", 16, "a prefix counts its bits"},
		{"10.1.0.1", 32, "a host"},
		{"2001:db8::/33", 33, "IPv6"},
		{"10.1.0.0-10.1.0.254", 24, "no more than the prefix around it"},
		{"10.0.255.255-10.1.0.0", 31, "two addresses, however they lie"},
		{"0.0.0.0/0[udp]", 8, "a protocol"},
		{"0.0.0.0/0[udp/53]", 24, "a protocol and a port"},
		{"0.0.0.0/0[udp/0-255]", 16, "a protocol and 256 ports"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct selector s = parsed(rows[i].text);

		CHECK_INT(selector_specificity(&s), rows[i].bits, rows[i].why);
	}
}

static void test_from_prefix_and_host(void **state)
{
	struct selector s, want;
	struct ip_prefix p;
	struct ip_addr a;

	(void)state;
	assert_int_equal(ip_prefix_parse("10.1.2.3/20", &p), 0);
	s = selector_from_prefix(&p);
	want = parsed("10.1.0.0-10.1.15.255");
	assert_true(selector_equal(&s, &want));
	assert_int_equal(ip_addr_parse("2001:db8::1", &a), 0);
	s = selector_from_host(&a);
	want = parsed("2001:db8::1/128");
	assert_true(selector_equal(&s, &want));
}

// --- against brute force: a universe of 8 addresses, 3 protocols and 8 ports ------------------

#define HOSTS 8
#define PORTS 8

static const uint8_t protos[] = {6, 17, 50};

// Across a byte's edge, so that carries between bytes are exercised as well.
static struct ip_addr host(unsigned i)
{
	return ip_addr_v4(0x0a0000fcu + i);
}

static struct selector random_selector(struct test_random *random)
{
	static const uint8_t choices[] = {0, 6, 17};
	unsigned a = (unsigned)test_random_below(random, HOSTS);
	unsigned b = (unsigned)test_random_below(random, HOSTS);
	uint16_t c = (uint16_t)test_random_below(random, PORTS);
	uint16_t d = (uint16_t)test_random_below(random, PORTS);
	struct selector s = {.family = IP_V4, .proto = choices[test_random_below(random, 3)]};

	s.lo = host(a < b ? a : b);
	s.hi = host(a < b ? b : a);
	s.port_lo = c < d ? c : d;
	s.port_hi = c < d ? d : c;
	return s;
}

// The definition itself, without ip_addr_compare().
static bool naive_match(const struct selector *s, unsigned h, uint8_t proto, uint16_t port)
{
	struct ip_addr a = host(h);
	uint32_t v = ip_addr_to_v4(&a);

	return v >= ip_addr_to_v4(&s->lo) && v <= ip_addr_to_v4(&s->hi) &&
	       (s->proto == 0 || s->proto == proto) && port >= s->port_lo && port <= s->port_hi;
}

static void compare_pair(const struct selector *a, const struct selector *b)
{
	bool any = false, all = true, met;
	struct selector common;

	met = selector_intersect(a, b, &common);
	for (unsigned h = 0; h < HOSTS; h++)
		for (size_t p = 0; p < COUNT(protos); p++)
			for (uint16_t port = 0; port < PORTS; port++) {
				struct ip_addr addr = host(h);
				bool in_a = naive_match(a, h, protos[p], port);
				bool in_b = naive_match(b, h, protos[p], port);

				assert_int_equal(selector_match(a, &addr, protos[p], port), in_a);
				any |= in_a && in_b;
				all &= in_a || !in_b;
				if (met)
					assert_int_equal(
						selector_match(&common, &addr, protos[p], port),
						in_a && in_b);
			}
	assert_int_equal(met, any);
	assert_int_equal(selector_contains(a, b), all);
}

static void test_agrees_with_brute_force(void **state)
{
	struct test_random random = test_random_start("selector");
	unsigned met = 0, inside = 0;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		struct selector a = random_selector(&random), b = random_selector(&random), out;

		compare_pair(&a, &b);
		met += selector_intersect(&a, &b, &out);
		inside += selector_contains(&a, &b);
	}
	assert_true(met > 1000 && met < 19000 && inside > 500 && inside < 19000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_and_format),
		cmocka_unit_test(test_parsed_values),
		cmocka_unit_test(test_dynamic),
		cmocka_unit_test(test_malformed_is_refused),
		cmocka_unit_test(test_long_text_is_refused),
		cmocka_unit_test(test_format_fits_and_ends),
		cmocka_unit_test(test_contains_and_intersect),
		cmocka_unit_test(test_a_peers_inverted_range_holds_nothing),
		cmocka_unit_test(test_specificity_orders),
		cmocka_unit_test(test_from_prefix_and_host),
		cmocka_unit_test(test_agrees_with_brute_force),
	};

	return cmocka_run_group_tests_name("selector", tests, NULL, NULL);
}
