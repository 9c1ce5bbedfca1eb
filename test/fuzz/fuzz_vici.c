// The vici parsers: what a client of the control socket may send. The first byte chooses between
// the body of a packet and a bare message.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/limits.h"
#include "lib/vici_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

// Broken promises of the parser end the process, which is how a fuzzer learns of them.
static void expect(int condition)
{
	if (!condition)
		abort();
}

static void put(struct vici_builder *b, const struct vici_element *e, char *name, char *value)
{
	memcpy(name, e->name ? e->name : "", e->name_len);
	name[e->name_len] = 0;
	memcpy(value, e->value ? e->value : "", e->value_len);
	value[e->value_len] = 0;
	switch (e->type) {
	case VICI_SECTION_START:
		vici_section(b, name);
		break;
	case VICI_SECTION_END:
		vici_section_end(b);
		break;
	case VICI_KEY_VALUE:
		vici_kv(b, name, value);
		break;
	case VICI_LIST_START:
		vici_list(b, name);
		break;
	case VICI_LIST_ITEM:
		vici_item(b, value);
		break;
	case VICI_LIST_END:
		vici_list_end(b);
		break;
	case VICI_END:
		break;
	}
}

// Walks the message; a message of plain strings must come out of the builder as it went in.
static void message(const uint8_t *data, size_t len)
{
	static char name[256], value[65536];
	struct vici_parser p = vici_parser_of(data, len);
	struct vici_builder b = {0};
	struct vici_element e = {.type = VICI_LIST_END};
	int err, zeros = 0;

	do {
		err = vici_next(&p, &e);
		if (err)
			break;
		expect(e.type <= VICI_LIST_END && p.depth <= LIMIT_VICI_DEPTH && p.len <= len);
		zeros |= e.name_len && memchr(e.name, 0, e.name_len);
		zeros |= e.value_len && memchr(e.value, 0, e.value_len);
		put(&b, &e, name, value);
	} while (e.type != VICI_END);
	expect(!err == !vici_check(data, len));
	if (!err)
		expect(!b.failed && b.depth == 0);
	if (!err && !zeros)
		expect(b.len == len && (len == 0 || !memcmp(b.data, data, len)));
	vici_builder_fini(&b);
}

static void look_up(const uint8_t *data, size_t len)
{
	static const char *const keys[] = {"ike",     "child", "a.b", "a.b.c",
					   "timeout", "",      ".",   "a."};
	char value[16];

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (!vici_get(data, len, keys[i], value, sizeof(value)))
			expect(memchr(value, 0, sizeof(value)) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct vici_packet p;

	if (len == 0)
		return 0;
	if (data[0] & 1) {
		message(data + 1, len - 1);
		look_up(data + 1, len - 1);
		return 0;
	}
	if (vici_packet_parse(data + 1, len - 1, &p))
		return 0;
	expect(memchr(p.name, 0, sizeof(p.name)) != NULL && p.msg_len < len);
	message(p.msg, p.msg_len);
	look_up(p.msg, p.msg_len);
	return 0;
}
