#include "test/unit/lib/check.h"
#include "test/unit/lib/random.h"

#include "lib/limits.h"
#include "lib/vici_msg.h"

// The example of strongSwan's vici documentation: a key, a section with a key and a subsection,
// and a list.
static void build_example(struct vici_builder *b)
{
	vici_kv(b, "key1", "value1");
	vici_section(b, "section1");
	vici_section(b, "sub-section");
	vici_kv(b, "key2", "value2");
	vici_section_end(b);
	vici_list(b, "list1");
	vici_item(b, "item1");
	vici_item(b, "item2");
	vici_list_end(b);
	vici_section_end(b);
}

static const uint8_t example[] = "\x03\x04key1\x00\x06value1"
				 "\x01\x08section1"
				 "\x01\x0bsub-section"
				 "\x03\x04key2\x00\x06value2"
				 "\x02"
				 "\x04\x05list1"
				 "\x05\x00\x05item1"
				 "\x05\x00\x05item2"
				 "\x06"
				 "\x02";
#define EXAMPLE_LEN (sizeof(example) - 1)

static void test_builder_writes_the_documented_bytes(void **state)
{
	struct vici_builder b = {0};

	(void)state;
	build_example(&b);
	assert_false(b.failed);
	assert_int_equal(b.depth, 0);
	assert_int_equal(b.len, EXAMPLE_LEN);
	assert_memory_equal(b.data, example, EXAMPLE_LEN);
	vici_builder_fini(&b);
	assert_null(b.data);
	vici_builder_fini(&b);
	vici_builder_fini(NULL);
}

static void test_parser_walks_the_documented_bytes(void **state)
{
	static const struct {
		enum vici_element_type type;
		const char *name, *value;
	} rows[] = {
		{VICI_KEY_VALUE, "key1", "value1"},
		{VICI_SECTION_START, "section1", ""},
		{VICI_SECTION_START, "sub-section", ""},
		{VICI_KEY_VALUE, "key2", "value2"},
		{VICI_SECTION_END, "", ""},
		{VICI_LIST_START, "list1", ""},
		{VICI_LIST_ITEM, "", "item1"},
		{VICI_LIST_ITEM, "", "item2"},
		{VICI_LIST_END, "", ""},
		{VICI_SECTION_END, "", ""},
		{VICI_END, "", ""},
		{VICI_END, "", ""},
	};
	struct vici_parser p = vici_parser_of(example, EXAMPLE_LEN);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct vici_element e;

		assert_int_equal(vici_next(&p, &e), 0);
		assert_int_equal(e.type, rows[i].type);
		assert_int_equal(e.name_len, strlen(rows[i].name));
		assert_int_equal(e.value_len, strlen(rows[i].value));
		if (e.name_len)
			assert_memory_equal(e.name, rows[i].name, e.name_len);
		if (e.value_len)
			assert_memory_equal(e.value, rows[i].value, e.value_len);
	}
}

static void test_every_cut_is_noticed(void **state)
{
	(void)state;
	assert_int_equal(vici_check(example, EXAMPLE_LEN), 0);
	assert_int_equal(vici_check(NULL, 0), 0);
	for (size_t n = 1; n < EXAMPLE_LEN; n++) {
		// A fresh buffer of that length: the sanitizer sees a read beyond it.
		uint8_t *cut = malloc(n);

		memcpy(cut, example, n);
		if (n == 14) // just the first key/value is a message of its own
			assert_int_equal(vici_check(cut, n), 0);
		else
			assert_int_equal(vici_check(cut, n), -EBADMSG);
		free(cut);
	}
}

static void test_malformed_is_refused(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		const char *why;
	} rows[] = {
		{"\x00", 1, "no such element"},
		{"\x07", 1, "no such element"},
		{"\x02", 1, "a section's end without its start"},
		{"\x06", 1, "a list's end without its start"},
		{"\x05\x00\x01x", 4, "an item outside of a list"},
		{"\x01\x01s", 3, "a section without its end"},
		{"\x04\x01l", 3, "a list without its end"},
		{"\x01\x01s\x06", 4, "a section closed as a list"},
		{"\x04\x01l\x02", 4, "a list closed as a section"},
		{"\x04\x01l\x03\x01k\x00\x01v\x06", 10, "a key inside a list"},
		{"\x04\x01l\x01\x01s\x02\x06", 8, "a section inside a list"},
		{"\x04\x01l\x04\x01m\x06\x06", 8, "a list inside a list"},
		{"\x04\x01l\x01\x01s\x02\x02", 8, "a section inside a list, both closed as one"},
		{"\x04\x01l\x04\x01m\x06\x02", 8, "a list inside a list, closed as a section"},
		{"\x03\x01k\x00\x02v", 6, "a value longer than the message"},
		{"\x03\xffk", 3, "a name longer than the message"},
		{"\x03\x01k\x00", 4, "half a length"},
		{"\x03", 1, "a type alone"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		CHECK_INT(vici_check(rows[i].data, rows[i].len), -EBADMSG, rows[i].why);
}

static void test_nesting_has_a_limit(void **state)
{
	uint8_t data[(LIMIT_VICI_DEPTH + 1) * 4];
	size_t n = 0;

	(void)state;
	for (int extra = 0; extra <= 1; extra++) {
		struct vici_builder b = {0};
		int depth = LIMIT_VICI_DEPTH + extra;

		n = 0;
		for (int i = 0; i < depth; i++) {
			memcpy(data + n, "\x01\x01s", 3);
			n += 3;
			vici_section(&b, "s");
		}
		for (int i = 0; i < depth; i++) {
			data[n++] = VICI_SECTION_END;
			vici_section_end(&b);
		}
		assert_int_equal(vici_check(data, n), extra ? -EBADMSG : 0);
		assert_int_equal(b.failed, extra);
		vici_builder_fini(&b);
	}
}

static void test_builder_fails_once_and_stays_failed(void **state)
{
	char name[300], *value = malloc(70000);

	(void)state;
	memset(name, 'n', sizeof(name));
	name[255] = 0;
	memset(value, 'v', 70000);
	value[65535] = 0;
	for (int row = 0; row < 13; row++) {
		struct vici_builder b = {0};
		bool fails = true;

		switch (row) {
		case 0:
			vici_section_end(&b);
			break;
		case 1:
			vici_list_end(&b);
			break;
		case 2:
			vici_item(&b, "x");
			break;
		case 3:
			vici_list(&b, "l");
			vici_kv(&b, "k", "v");
			break;
		case 4:
			vici_list(&b, "l");
			vici_section(&b, "s");
			break;
		case 5:
			vici_list(&b, "l");
			vici_list(&b, "m");
			break;
		case 6:
			vici_section(&b, "s");
			vici_list_end(&b);
			break;
		case 7:
			vici_list(&b, "l");
			vici_section_end(&b);
			break;
		case 8:
			vici_kv(&b, name, value); // the longest of both
			fails = false;
			assert_int_equal(b.len, 2 + 255 + 2 + 65535);
			break;
		case 9:
			name[255] = 'n';
			name[256] = 0;
			vici_kv(&b, name, "v");
			break;
		case 10:
			value[65535] = 'v';
			value[65536] = 0;
			vici_kv(&b, "k", value);
			break;
		case 11:
			vici_kvf(&b, "k", "%s", value);
			break;
		default:
			vici_kv(&b, "k", NULL);
		}
		assert_int_equal(b.failed, fails);
		vici_kv(&b, "after", "wards");
		assert_int_equal(b.failed, fails);
		vici_builder_fini(&b);
		assert_false(b.failed);
	}
	free(value);
}

static void test_formatted_values(void **state)
{
	struct vici_builder b = {0};
	char value[2000], want[2000];

	(void)state;
	vici_kvf(&b, "n", "%u/%s", 7u, "x");
	memset(want, 'w', sizeof(want));
	want[sizeof(want) - 1] = 0;
	vici_kvf(&b, "long", "%s", want);
	vici_kvf(&b, "empty", "%s", "");
	assert_int_equal(vici_get(b.data, b.len, "n", value, sizeof(value)), 0);
	assert_string_equal(value, "7/x");
	assert_int_equal(vici_get(b.data, b.len, "long", value, sizeof(value)), 0);
	assert_string_equal(value, want);
	assert_int_equal(vici_get(b.data, b.len, "empty", value, sizeof(value)), 0);
	assert_string_equal(value, "");
	vici_builder_fini(&b);
}

static void test_get(void **state)
{
	static const struct {
		const char *key;
		int err;
		const char *value, *why;
	} rows[] = {
		{"a", 0, "1", "at the top"},
		{"z", 0, "last", "behind sections and lists"},
		{"s.a", 0, "2", "in a section"},
		{"s.t.a", 0, "3", "in a section of a section"},
		{"s.b", 0, "after", "behind a section of a section"},
		{"u.b", 0, "only", "a section with the same key as another"},
		{"b", -ENOENT, NULL, "only inside sections"},
		{"s", -ENOENT, NULL, "a section is no value"},
		{"s.t", -ENOENT, NULL, "nor is its section"},
		{"s.z", -ENOENT, NULL, "a key behind the section is not in it"},
		{"s.t.b", -ENOENT, NULL, "nor one behind the inner section"},
		{"u.t.a", -ENOENT, NULL, "the inner section of another"},
		{"l", -ENOENT, NULL, "a list is no value"},
		{"l.item", -ENOENT, NULL, "an item has no name"},
		{"a.b", -ENOENT, NULL, "a value is no section"},
		{"", -ENOENT, NULL, "no key"},
		{"zero", -EBADMSG, NULL, "a zero byte inside"},
		{"long", -EMSGSIZE, NULL, "too long for the buffer"},
		{"fits", 0, "1234567", "exactly as long as the buffer"},
	};
	struct vici_builder b = {0};
	char value[8];

	(void)state;
	vici_kv(&b, "a", "1");
	vici_section(&b, "s");
	vici_kv(&b, "a", "2");
	vici_section(&b, "t");
	vici_kv(&b, "a", "3");
	vici_section_end(&b);
	vici_kv(&b, "b", "after");
	vici_section_end(&b);
	vici_section(&b, "u");
	vici_kv(&b, "b", "only");
	vici_section_end(&b);
	vici_list(&b, "l");
	vici_item(&b, "item");
	vici_list_end(&b);
	vici_kv(&b, "z", "last");
	vici_kv(&b, "zero", "x?y");
	b.data[b.len - 2] = 0;
	vici_kv(&b, "long", "12345678");
	vici_kv(&b, "fits", "1234567");
	assert_false(b.failed);
	for (size_t i = 0; i < COUNT(rows); i++) {
		memset(value, 'u', sizeof(value));
		CHECK_INT(vici_get(b.data, b.len, rows[i].key, value, sizeof(value)), rows[i].err,
			  rows[i].why);
		if (rows[i].value)
			CHECK_TEXT(value, rows[i].value, rows[i].why);
		else
			CHECK_ROW(value[0] == 'u', rows[i].why);
	}
	// Malformed behind the key is malformed all the same.
	assert_int_equal(vici_get(b.data, b.len - 1, "a", value, sizeof(value)), -EBADMSG);
	vici_builder_fini(&b);
}

static void test_packets(void **state)
{
	struct vici_builder b = {0};
	struct vici_packet p;
	uint8_t *data;
	size_t len;

	(void)state;
	vici_kv(&b, "k", "v");
	assert_int_equal(vici_packet_build(VICI_CMD_REQUEST, "list-sas", &b, &data, &len), 0);
	assert_int_equal(len, 4 + 1 + 1 + 8 + 6);
	assert_memory_equal(data, "\x00\x00\x00\x10\x00\x08list-sas\x03\x01k\x00\x01v", len);
	assert_int_equal(vici_packet_parse(data + 4, len - 4, &p), 0);
	assert_int_equal(p.type, VICI_CMD_REQUEST);
	assert_string_equal(p.name, "list-sas");
	assert_int_equal(p.msg_len, b.len);
	assert_memory_equal(p.msg, b.data, b.len);
	free(data);

	assert_int_equal(vici_packet_build(VICI_CMD_RESPONSE, NULL, &b, &data, &len), 0);
	assert_memory_equal(data, "\x00\x00\x00\x07\x01\x03\x01k\x00\x01v", len);
	assert_int_equal(vici_packet_parse(data + 4, len - 4, &p), 0);
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	assert_string_equal(p.name, "");
	assert_int_equal(p.msg_len, b.len);
	free(data);

	assert_int_equal(vici_packet_build(VICI_EVENT_CONFIRM, NULL, NULL, &data, &len), 0);
	assert_int_equal(len, 5);
	assert_memory_equal(data, "\x00\x00\x00\x01\x05", len);
	assert_int_equal(vici_packet_parse(data + 4, 1, &p), 0);
	assert_int_equal(p.type, VICI_EVENT_CONFIRM);
	assert_int_equal(p.msg_len, 0);
	free(data);

	// An empty message is one that was never begun, too.
	vici_builder_fini(&b);
	assert_int_equal(vici_packet_build(VICI_EVENT, "ike-updown", &b, &data, &len), 0);
	assert_int_equal(len, 4 + 1 + 1 + 10);
	free(data);
}

static void test_packets_that_cannot_be(void **state)
{
	struct vici_builder open = {0}, failed = {.failed = true}, huge = {0};
	char name[300], *value = malloc(65536);
	uint8_t *data = (uint8_t *)name;
	size_t len = 42;

	(void)state;
	memset(name, 'n', sizeof(name));
	name[256] = 0;
	vici_section(&open, "s");
	memset(value, 'v', 65536);
	value[65535] = 0;
	for (int i = 0; i < 8; i++)
		vici_kv(&huge, "k", value);
	assert_false(huge.failed);
	assert_int_equal(vici_packet_build(VICI_CMD_REQUEST, NULL, NULL, &data, &len), -EINVAL);
	assert_int_equal(vici_packet_build(VICI_CMD_REQUEST, "", NULL, &data, &len), -EINVAL);
	assert_int_equal(vici_packet_build(VICI_CMD_REQUEST, name, NULL, &data, &len), -EINVAL);
	assert_int_equal(vici_packet_build(VICI_CMD_RESPONSE, "x", NULL, &data, &len), -EINVAL);
	assert_int_equal(vici_packet_build(VICI_EVENT, "x", &open, &data, &len), -EINVAL);
	assert_int_equal(vici_packet_build(VICI_EVENT, "x", &failed, &data, &len), -EINVAL);
	assert_int_equal(vici_packet_build(VICI_EVENT, "x", &huge, &data, &len), -EINVAL);
	assert_ptr_equal(data, name); // untouched on failure
	assert_int_equal(len, 42);
	vici_builder_fini(&open);
	vici_builder_fini(&huge);
	free(value);
}

static void test_malformed_packets_are_refused(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		const char *why;
	} rows[] = {
		{"", 0, "nothing"},
		{"\x08", 1, "no such type"},
		{"\xff", 1, "no such type"},
		{"\x00", 1, "a request without a name"},
		{"\x00\x00", 2, "a request with an empty name"},
		{"\x00\x05stat", 6, "a name longer than the packet"},
		{"\x03\x03s\x00t", 5, "a zero byte in the name"},
		{"\x07", 1, "an event without a name"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct vici_packet p;

		CHECK_INT(vici_packet_parse(rows[i].data, rows[i].len, &p), -EBADMSG, rows[i].why);
	}
}

// Whatever is built can be read back, element by element.
static void test_random_messages_come_back(void **state)
{
	struct test_random random = test_random_start("vici");

	(void)state;
	for (unsigned round = 0; round < 2000; round++) {
		enum vici_element_type types[200];
		struct vici_builder b = {0};
		struct vici_parser p;
		struct vici_element e;
		size_t n = 0;

		for (unsigned step = 0; step < 150; step++) {
			enum vici_element_type type =
				(enum vici_element_type)(1 + test_random_below(&random, 6));
			bool deep = b.depth == LIMIT_VICI_DEPTH;

			if (b.in_list ? type < VICI_LIST_ITEM : type > VICI_LIST_START)
				continue;
			if ((type == VICI_SECTION_START || type == VICI_LIST_START) && deep)
				continue;
			if (type == VICI_SECTION_END && b.depth == 0)
				continue;
			types[n++] = type;
			if (type == VICI_SECTION_START)
				vici_section(&b, "section");
			else if (type == VICI_SECTION_END)
				vici_section_end(&b);
			else if (type == VICI_KEY_VALUE)
				vici_kvf(&b, "key", "%zu", n);
			else if (type == VICI_LIST_START)
				vici_list(&b, "list");
			else if (type == VICI_LIST_ITEM)
				vici_item(&b, "item");
			else
				vici_list_end(&b);
		}
		if (b.in_list) {
			types[n++] = VICI_LIST_END;
			vici_list_end(&b);
		}
		while (b.depth > 0) {
			types[n++] = VICI_SECTION_END;
			vici_section_end(&b);
		}
		assert_false(b.failed);
		assert_int_equal(vici_check(b.data, b.len), 0);
		p = vici_parser_of(b.data, b.len);
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(vici_next(&p, &e), 0);
			assert_int_equal(e.type, types[i]);
		}
		assert_int_equal(vici_next(&p, &e), 0);
		assert_int_equal(e.type, VICI_END);
		vici_builder_fini(&b);
	}
}

static void test_values_of_any_bytes(void **state)
{
	static uint8_t bytes[65536];
	struct vici_builder b = {0};
	struct vici_parser p;
	struct vici_element e;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	vici_kv_bytes(&b, "data", bytes, 65535);
	vici_kv_bytes(&b, "none", NULL, 0);
	assert_false(b.failed);
	p = vici_parser_of(b.data, b.len);
	assert_int_equal(vici_next(&p, &e), 0);
	assert_int_equal(e.type, VICI_KEY_VALUE);
	assert_int_equal(e.value_len, 65535);
	assert_memory_equal(e.value, bytes, 65535);
	assert_int_equal(vici_next(&p, &e), 0);
	assert_int_equal(e.value_len, 0);
	vici_kv_bytes(&b, "long", bytes, 65536);
	assert_true(b.failed);
	vici_builder_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_builder_writes_the_documented_bytes),
		cmocka_unit_test(test_parser_walks_the_documented_bytes),
		cmocka_unit_test(test_every_cut_is_noticed),
		cmocka_unit_test(test_values_of_any_bytes),
		cmocka_unit_test(test_malformed_is_refused),
		cmocka_unit_test(test_nesting_has_a_limit),
		cmocka_unit_test(test_builder_fails_once_and_stays_failed),
		cmocka_unit_test(test_formatted_values),
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_packets),
		cmocka_unit_test(test_packets_that_cannot_be),
		cmocka_unit_test(test_malformed_packets_are_refused),
		cmocka_unit_test(test_random_messages_come_back),
	};

	return cmocka_run_group_tests_name("vici_msg", tests, NULL, NULL);
}
