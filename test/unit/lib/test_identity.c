#include "test/unit/lib/check.h"

#include "lib/identity.h"

static struct identity parsed(const char *text)
{
	struct identity id;

	if (identity_parse(text, &id))
		fail_msg("\"%s\" is not an identity", text);
	return id;
}

static void test_parse_and_format(void **state)
{
	static const struct {
		const char *text;
		uint8_t type;
		const char *data;
		uint16_t len;
		const char *printed, *why;
	} rows[] = {
		{"%any", ID_ANY, "", 0, "%any", "any"},
		{"", ID_ANY, "", 0, "%any", "nothing is any"},
		{"*", ID_ANY, "", 0, "%any", "any, as strongSwan reads it"},
		{"0.0.0.0", ID_ANY, "", 0, "%any", "the address of nobody"},
		{"192.0.2.1", ID_IPV4_ADDR, "\xc0\x00\x02\x01", 4, "192.0.2.1", "IPv4"},
		{"2001:db8::1", ID_IPV6_ADDR, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16,
		 "2001:db8::1", "IPv6"},
		{"ipv4:192.0.2.1", ID_IPV4_ADDR, "\xc0\x00\x02\x01", 4, "192.0.2.1", "forced"},
		{"ipv6:::1", ID_IPV6_ADDR, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16, "::1", "forced"},
		{"gw-a.example.org", ID_FQDN, "gw-a.example.org", 16, "gw-a.example.org", "a name"},
		{"@gw-a", ID_FQDN, "gw-a", 4, "gw-a", "a name behind @"},
		{"@192.0.2.1", ID_FQDN, "192.0.2.1", 9, "192.0.2.1", "@ stops the address"},
		{"fqdn:192.0.2.1", ID_FQDN, "192.0.2.1", 9, "192.0.2.1", "so does a prefix"},
		{"FQDN:gw-a", ID_FQDN, "gw-a", 4, "gw-a", "a prefix in any case"},
		{"admin@example.org", ID_RFC822_ADDR, "admin@example.org", 17, "admin@example.org",
		 "a mail address"},
		{"@@admin@example.org", ID_RFC822_ADDR, "admin@example.org", 17,
		 "admin@example.org", "a mail address behind @@"},
		{"email:admin", ID_RFC822_ADDR, "admin", 5, "admin", "forced"},
		{"@#c0de01", ID_KEY_ID, "\xc0\xde\x01", 3, "@#c0de01", "a key ID in hex"},
		{"@#C0:DE:01", ID_KEY_ID, "\xc0\xde\x01", 3, "@#c0de01", "with colons"},
		{"keyid:gw-a", ID_KEY_ID, "gw-a", 4, "gw-a", "a key ID in text"},
		{"keyid:#6777", ID_KEY_ID, "gw", 2, "gw", "a key ID in hex behind a prefix"},
		{"keyid:C=CH", ID_KEY_ID, "C=CH", 4, "C=CH", "a prefix stops the name"},
		{"CN=gw", ID_DER_ASN1_DN, "\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x13\x02gw",
		 15, "CN=gw", "a distinguished name"},
		{"asn1dn:#3000", ID_DER_ASN1_DN, "\x30\x00", 2, "", "the empty one, in hex"},
		{"branch office", ID_FQDN, "branch office", 13, "branch office", "anything else"},
	};
	char text[IDENTITY_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct identity id = parsed(rows[i].text);

		CHECK_INT(id.type, rows[i].type, rows[i].why);
		CHECK_INT(id.len, rows[i].len, rows[i].why);
		CHECK_ROW(!memcmp(id.data, rows[i].data, rows[i].len), rows[i].why);
		CHECK_TEXT(identity_format(&id, text, sizeof(text)), rows[i].printed, rows[i].why);
	}
}

static void test_malformed_is_refused(void **state)
{
	static const struct {
		const char *text;
		int err;
		const char *why;
	} rows[] = {
		{"asn1gn:CN=gw-a", -ENOTSUP, "a general name"},
		{"XX=gw-a", -EINVAL, "no attribute of a name"},
		{"asn1dn:gw-a", -EINVAL, "no distinguished name behind its prefix"},
		{"@", -EINVAL, "an empty name"},
		{"@@", -EINVAL, "an empty mail address"},
		{"fqdn:", -EINVAL, "an empty name behind a prefix"},
		{"keyid:", -EINVAL, "an empty key ID"},
		{"@#", -EINVAL, "an empty key ID in hex"},
		{"@#123", -EINVAL, "half a byte"},
		{"@#12g4", -EINVAL, "not hex"},
		{"@#12:", -EINVAL, "a colon at the end"},
		{"@#:12", -EINVAL, "a colon at the start"},
		{"ipv4:gw-a", -EINVAL, "no address"},
		{"ipv4:::1", -EINVAL, "the other family"},
		{"ipv6:192.0.2.1", -EINVAL, "the other family"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct identity id, before;

		memset(&id, 0x5a, sizeof(id));
		before = id;
		CHECK_INT(identity_parse(rows[i].text, &id), rows[i].err, rows[i].why);
		CHECK_ROW(!memcmp(&id, &before, sizeof(id)), rows[i].why);
	}
}

static void test_the_longest_fits(void **state)
{
	char text[IDENTITY_MAX * 2 + 8], printed[IDENTITY_TEXT_MAX];
	struct identity id;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[IDENTITY_MAX] = 0;
	assert_int_equal(identity_parse(text, &id), 0);
	assert_int_equal(id.len, IDENTITY_MAX);
	assert_string_equal(identity_format(&id, printed, sizeof(printed)), text);
	text[IDENTITY_MAX] = 'a';
	text[IDENTITY_MAX + 1] = 0;
	assert_int_equal(identity_parse(text, &id), -E2BIG);

	memset(text, 'f', sizeof(text));
	memcpy(text, "@#", 2);
	text[2 + IDENTITY_MAX * 2] = 0;
	assert_int_equal(identity_parse(text, &id), 0);
	assert_int_equal(id.len, IDENTITY_MAX);
	assert_string_equal(identity_format(&id, printed, sizeof(printed)), text);
	memcpy(text + 2 + IDENTITY_MAX * 2, "ff", 3);
	assert_int_equal(identity_parse(text, &id), -E2BIG);
}

static void test_equal_and_matches(void **state)
{
	static const struct {
		const char *a, *b;
		bool equal;
		const char *why;
	} rows[] = {
		{"gw-a.example.org", "@gw-a.example.org", true, "two spellings of one name"},
		{"gw-a.example.org", "GW-A.Example.org", true, "names do not know case"},
		{"Admin@example.org", "admin@Example.org", true, "nor do mail addresses"},
		{"keyid:gw", "keyid:GW", false, "a key ID is bytes"},
		{"gw-a", "gw-b", false, "another name"},
		{"gw-a", "gw-a2", false, "a longer name"},
		{"@[", "@{", false, "these differ by the bit of case and are no letters"},
		{"192.0.2.1", "192.0.2.1", true, "one address"},
		{"192.0.2.1", "192.0.2.2", false, "two addresses"},
		{"192.0.2.1", "@192.0.2.1", false, "same text, two types"},
		{"keyid:gw-a", "fqdn:gw-a", false, "same bytes, two types"},
		{"%any", "%any", true, "any is any"},
		{"%any", "gw-a", false, "any equals no name"},
	};
	struct identity any = parsed("%any");

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct identity a = parsed(rows[i].a), b = parsed(rows[i].b);

		CHECK_INT(identity_equal(&a, &b), rows[i].equal, rows[i].why);
		CHECK_INT(identity_equal(&b, &a), rows[i].equal, rows[i].why);
		CHECK_INT(identity_matches(&a, &b), rows[i].equal || a.type == ID_ANY, rows[i].why);
		CHECK_ROW(identity_matches(&any, &b), rows[i].why);
	}
	// A peer that says "any" is nobody we know.
	struct identity name = parsed("gw-a");
	assert_false(identity_matches(&name, &any));
}

static void test_wildcards(void **state)
{
	static const struct {
		const char *pattern, *id;
		bool matches;
		const char *why;
	} rows[] = {
		{"*.example", "gw-a.example", true, "a name below"},
		{"*.example", "GW-A.EXAMPLE", true, "in another case"},
		{"*.example", "a.b.example", true, "two below, as in strongSwan"},
		{"*.example", ".example", false, "nothing for the star"},
		{"*.example", "example", false, "the name itself"},
		{"*.example", "gw.example.org", false, "not at the end"},
		{"*.example", "*.example", false, "nobody is called that"},
		{"*@example.org", "admin@example.org", true, "a mail address"},
		{"*.example", "admin@gw.example", false, "another type"},
		{"C=CH, CN=*", "C=CH, CN=gw", true, "a distinguished name"},
		{"C=CH, CN=*", "C=DE, CN=gw", false, "another one"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct identity p = parsed(rows[i].pattern), id = parsed(rows[i].id);

		CHECK_INT(identity_matches(&p, &id), rows[i].matches, rows[i].why);
		CHECK_ROW(identity_is_pattern(&p), rows[i].why);
	}
	struct identity any = parsed("%any"), name = parsed("gw-a"), dn = parsed("CN=a");

	assert_true(identity_is_pattern(&any));
	assert_false(identity_is_pattern(&name) || identity_is_pattern(&dn));
}

static void test_what_a_peer_may_send_is_printed_safely(void **state)
{
	static const struct {
		struct identity id;
		const char *printed, *why;
	} rows[] = {
		{{ID_FQDN, 4, "a\nb\x1b"}, "a\\x0ab\\x1b", "control characters"},
		{{ID_FQDN, 3, "a\\b"}, "a\\x5cb", "the escape itself"},
		{{ID_FQDN, 3, "a\0b"}, "a\\x00b", "a zero byte does not end it"},
		{{ID_FQDN, 0, ""}, "", "nothing"},
		{{ID_RFC822_ADDR, 2, "\xc3\xa9"}, "\\xc3\\xa9", "beyond ASCII"},
		{{ID_IPV4_ADDR, 3, "abc"}, "@#616263", "an address of three bytes"},
		{{ID_IPV6_ADDR, 4, "abcd"}, "@#61626364", "an IPv4 address as IPv6"},
		{{ID_KEY_ID, 3, "a\0b"}, "@#610062", "a key ID that is no text"},
		{{ID_KEY_ID, 0, ""}, "@#", "an empty key ID"},
		{{ID_DER_ASN1_DN, 2, "\x31\x00"}, "@#3100", "what is no distinguished name"},
		{{200, 1, "x"}, "@#78", "a type nobody knows"},
	};
	char text[IDENTITY_TEXT_MAX], small[7];
	struct identity id = {.type = ID_FQDN, .len = IDENTITY_MAX};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		CHECK_TEXT(identity_format(&rows[i].id, text, sizeof(text)), rows[i].printed,
			   rows[i].why);
	// Too small for an escape: never half of one.
	assert_string_equal(identity_format(&rows[0].id, small, sizeof(small)), "a\\x0ab");
	assert_string_equal(identity_format(&rows[0].id, small, 5), "a");
	// The worst case is cut, and ends.
	assert_true(strlen(identity_format(&id, text, sizeof(text))) < sizeof(text));
	assert_memory_equal(text, "\\x00\\x00", 8);
}

static void test_type_names(void **state)
{
	(void)state;
	assert_string_equal(identity_type_name(ID_IPV4_ADDR), "IPV4_ADDR");
	assert_string_equal(identity_type_name(ID_FQDN), "FQDN");
	assert_string_equal(identity_type_name(ID_RFC822_ADDR), "RFC822_ADDR");
	assert_string_equal(identity_type_name(ID_IPV6_ADDR), "IPV6_ADDR");
	assert_string_equal(identity_type_name(ID_DER_ASN1_DN), "DER_ASN1_DN");
	assert_string_equal(identity_type_name(ID_KEY_ID), "KEY_ID");
	for (unsigned type = 0; type < 256; type++)
		assert_non_null(identity_type_name((uint8_t)type));
	assert_string_equal(identity_type_name(4), "ID_4");
	assert_string_equal(identity_type_name(255), "ID_255");
	assert_string_equal(identity_type_name(201), "ID_201");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_and_format),
		cmocka_unit_test(test_malformed_is_refused),
		cmocka_unit_test(test_the_longest_fits),
		cmocka_unit_test(test_equal_and_matches),
		cmocka_unit_test(test_wildcards),
		cmocka_unit_test(test_what_a_peer_may_send_is_printed_safely),
		cmocka_unit_test(test_type_names),
	};

	return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
