// Distinguished names: text to DER and back, comparison, and DER that is none.
#include "check.h"

#include "lib/dn.h"

struct dn {
	uint8_t der[512];
	size_t len;
};

static struct dn parsed(const char *text)
{
	struct dn dn = {.len = sizeof(dn.der)};

	if (dn_parse(text, dn.der, &dn.len))
		fail_msg("'%s' is not parsed", text);
	return dn;
}

static void test_der_is_what_openssl_makes(void **state)
{
	// openssl req -subj /C=CH/O=Ex/CN=gw-a, with PrintableString.
	static const uint8_t wanted[] = {0x30, 0x29, 0x31, 0x0b, 0x30, 0x09, 0x06, 0x03, 0x55,
					 0x04, 0x06, 0x13, 0x02, 'C',  'H',  0x31, 0x0b, 0x30,
					 0x09, 0x06, 0x03, 0x55, 0x04, 0x0a, 0x13, 0x02, 'E',
					 'x',  0x31, 0x0d, 0x30, 0x0b, 0x06, 0x03, 0x55, 0x04,
					 0x03, 0x13, 0x04, 'g',	 'w',  '-',  'a'};
	struct dn dn = parsed("C=CH, O=Ex, CN=gw-a");

	(void)state;
	assert_int_equal(dn.len, sizeof(wanted));
	assert_memory_equal(dn.der, wanted, sizeof(wanted));
}

static void test_text(void **state)
{
	static const struct {
		const char *text, *printed, *why;
	} rows[] = {
		{"C=CH, O=Example, CN=gw-a", "C=CH, O=Example, CN=gw-a", "as it is"},
		{"C=CH,O=Example,CN=gw-a", "C=CH, O=Example, CN=gw-a", "without blanks"},
		{" c = CH ,  cn = gw a ", "C=CH, CN=gw a", "blanks around, lower case"},
		{"/C=CH/O=Example/CN=gw-a", "C=CH, O=Example, CN=gw-a", "slashes"},
		{"/CN=a,b", "CN=a\\,b", "a comma in a value"},
		{"CN=a\\,b", "CN=a\\,b", "an escaped comma"},
		{"CN=a/b", "CN=a/b", "a slash in a value"},
		{"emailAddress=a@b.example", "E=a@b.example", "names of one attribute"},
		{"DC=example, DC=org", "DC=example, DC=org", "twice the same"},
		{"CN=M\xc3\xbcller", "CN=M\\xc3\\xbcller", "UTF-8"},
		{"CN=x=y", "CN=x=y", "an equals sign in a value"},
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct dn dn = parsed(rows[i].text);

		CHECK_ROW(dn_format(dn.der, dn.len, text, sizeof(text)), rows[i].why);
		CHECK_TEXT(text, rows[i].printed, rows[i].why);
	}
}

static void test_no_names(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"", "nothing"},
		{"CN", "no value"},
		{"CN=", "an empty value"},
		{"XX=a", "no attribute"},
		{"=a", "no name"},
		{"CN=a, b", "a value alone"},
		{"CN=a,,O=b", "two commas"},
		{"/", "a slash alone"},
	};
	uint8_t der[64];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t len = sizeof(der);

		CHECK_INT(dn_parse(rows[i].text, der, &len), -EINVAL, rows[i].why);
		CHECK_INT(len, sizeof(der), rows[i].why);
	}
	size_t small = 12;

	assert_int_equal(dn_parse("CN=gw-a", der, &small), -E2BIG);
}

static void test_matches(void **state)
{
	static const struct {
		const char *pattern, *dn;
		bool equal, matches;
		const char *why;
	} rows[] = {
		{"C=CH, CN=a", "C=CH, CN=a", true, true, "the same"},
		{"C=CH, CN=a", "c=ch, CN=A", true, true, "another case"},
		{"C=CH, CN=*", "C=CH, CN=a", false, true, "a wildcard"},
		{"C=*, CN=*", "C=CH, CN=a", false, true, "two"},
		{"C=CH, CN=*", "C=CH", false, false, "nothing for it"},
		{"CN=*", "C=CH, CN=a", false, false, "more than it stands for"},
		{"C=CH, CN=*", "C=DE, CN=a", false, false, "another country"},
		{"CN=*", "O=a", false, false, "another attribute"},
		{"CN=a", "CN=ab", false, false, "a longer value"},
		{"CN=a, C=CH", "C=CH, CN=a", false, false, "another order"},
		{"CN=a*", "CN=ab", false, false, "a star at the end is a star"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct dn p = parsed(rows[i].pattern), d = parsed(rows[i].dn);

		CHECK_INT(dn_matches(p.der, p.len, d.der, d.len, true), rows[i].matches,
			  rows[i].why);
		CHECK_INT(dn_matches(p.der, p.len, d.der, d.len, false), rows[i].equal,
			  rows[i].why);
	}
	struct dn with = parsed("C=CH, CN=*"), without = parsed("CN=**");

	assert_true(dn_has_wildcard(with.der, with.len));
	assert_false(dn_has_wildcard(without.der, without.len));
}

static void test_types_of_strings_do_not_count(void **state)
{
	struct dn a = parsed("CN=gw"), b = a;

	(void)state;
	b.der[11] = 0x0c; // UTF8String
	assert_true(dn_matches(a.der, a.len, b.der, b.len, false));
	b.der[11] = 0x04; // OCTET STRING: no text
	assert_false(dn_matches(a.der, a.len, b.der, b.len, false));
}

static void test_what_is_no_der(void **state)
{
	struct dn dn = parsed("C=CH, CN=gw-a");
	char text[64];

	(void)state;
	for (size_t len = 0; len < dn.len; len++) {
		assert_false(dn_format(dn.der, len, text, sizeof(text)));
		assert_string_equal(text, "");
		assert_false(dn_matches(dn.der, len, dn.der, len, true));
	}
	for (size_t i = 0; i < dn.len; i++) { // each octet, changed: no crash, never beyond
		struct dn bad = dn;

		for (unsigned v = 0; v < 256; v++) {
			bad.der[i] = (uint8_t)v;
			dn_format(bad.der, bad.len, text, sizeof(text));
			dn_matches(bad.der, bad.len, dn.der, dn.len, true);
		}
	}
	dn.der[dn.len] = 0; // an octet behind it
	assert_false(dn_format(dn.der, dn.len + 1, text, sizeof(text)));
	static const uint8_t long_form[] = {0x30, 0x81, 0x02, 0x31, 0x00};

	assert_false(dn_format(long_form, sizeof(long_form), text, sizeof(text)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_der_is_what_openssl_makes),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_no_names),
		cmocka_unit_test(test_matches),
		cmocka_unit_test(test_types_of_strings_do_not_count),
		cmocka_unit_test(test_what_is_no_der),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
