#include "lib/vici_msg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/bytes.h"
#include "lib/limits.h"

#define NAME_MAX_LEN  255
#define VALUE_MAX_LEN 65535

// --- building ---------------------------------------------------------------------------------

// Room for n more bytes, or NULL and failed.
static uint8_t *grow(struct vici_builder *b, size_t n)
{
	size_t need = b->len + n, cap = b->cap ? b->cap : 256;
	uint8_t *data;

	if (b->failed)
		return NULL;
	if (need > b->cap) {
		while (cap < need)
			cap *= 2;
		data = realloc(b->data, cap);
		if (!data) {
			b->failed = true;
			return NULL;
		}
		b->data = data;
		b->cap = cap;
	}
	data = b->data + b->len;
	b->len = need;
	return data;
}

static void put_type(struct vici_builder *b, enum vici_element_type type)
{
	uint8_t *p = grow(b, 1);

	if (p)
		*p = (uint8_t)type;
}

static void put_name(struct vici_builder *b, enum vici_element_type type, const char *name)
{
	size_t n = name ? strlen(name) : NAME_MAX_LEN + 1;
	uint8_t *p;

	if (n > NAME_MAX_LEN) {
		b->failed = true;
		return;
	}
	p = grow(b, 2 + n);
	if (!p)
		return;
	p[0] = (uint8_t)type;
	p[1] = (uint8_t)n;
	memcpy(p + 2, name, n);
}

static void put_bytes(struct vici_builder *b, const void *value, size_t n)
{
	uint8_t *p;

	if (n > VALUE_MAX_LEN) {
		b->failed = true;
		return;
	}
	p = grow(b, 2 + n);
	if (!p)
		return;
	p[0] = (uint8_t)(n >> 8);
	p[1] = (uint8_t)n;
	if (n > 0)
		memcpy(p + 2, value, n);
}

static void put_value(struct vici_builder *b, const char *value)
{
	put_bytes(b, value, value ? strlen(value) : VALUE_MAX_LEN + 1);
}

static void require(struct vici_builder *b, bool condition)
{
	if (!condition)
		b->failed = true;
}

void vici_section(struct vici_builder *b, const char *name)
{
	require(b, !b->in_list && b->depth < LIMIT_VICI_DEPTH);
	put_name(b, VICI_SECTION_START, name);
	b->depth++;
}

void vici_section_end(struct vici_builder *b)
{
	require(b, !b->in_list && b->depth > 0);
	put_type(b, VICI_SECTION_END);
	if (b->depth > 0)
		b->depth--;
}

void vici_kv(struct vici_builder *b, const char *key, const char *value)
{
	require(b, !b->in_list);
	put_name(b, VICI_KEY_VALUE, key);
	put_value(b, value);
}

void vici_kv_bytes(struct vici_builder *b, const char *key, const void *value, size_t len)
{
	require(b, !b->in_list);
	put_name(b, VICI_KEY_VALUE, key);
	put_bytes(b, value, len);
}

void vici_kvf(struct vici_builder *b, const char *key, const char *fmt, ...)
{
	char *value = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&value, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->failed = true;
		return;
	}
	vici_kv(b, key, value);
	free(value);
}

void vici_list(struct vici_builder *b, const char *name)
{
	require(b, !b->in_list && b->depth < LIMIT_VICI_DEPTH);
	put_name(b, VICI_LIST_START, name);
	b->depth++;
	b->in_list = true;
}

void vici_item(struct vici_builder *b, const char *value)
{
	require(b, b->in_list);
	put_type(b, VICI_LIST_ITEM);
	put_value(b, value);
}

void vici_list_end(struct vici_builder *b)
{
	require(b, b->in_list);
	put_type(b, VICI_LIST_END);
	if (b->in_list)
		b->depth--;
	b->in_list = false;
}

void vici_builder_fini(struct vici_builder *b)
{
	if (!b)
		return;
	free(b->data);
	*b = (struct vici_builder){0};
}

// --- parsing ----------------------------------------------------------------------------------

struct vici_parser vici_parser_of(const void *data, size_t len)
{
	return (struct vici_parser){.data = data, .len = len};
}

static void take_name(struct reader *r, struct vici_element *e)
{
	e->name_len = read_u8(r);
	e->name = (const char *)read_bytes(r, e->name_len);
}

static void take_value(struct reader *r, struct vici_element *e)
{
	e->value_len = read_u16(r);
	e->value = (const char *)read_bytes(r, e->value_len);
}

// Reads the names and values of one element and checks its place in the nesting.
static bool take_element(struct vici_parser *p, struct reader *r, struct vici_element *e)
{
	switch (e->type) {
	case VICI_SECTION_START:
	case VICI_LIST_START:
		take_name(r, e);
		if (p->in_list || p->depth >= LIMIT_VICI_DEPTH)
			return false;
		p->depth++;
		p->in_list = e->type == VICI_LIST_START;
		return true;
	case VICI_SECTION_END:
		if (p->in_list || p->depth == 0)
			return false;
		p->depth--;
		return true;
	case VICI_KEY_VALUE:
		take_name(r, e);
		take_value(r, e);
		return !p->in_list;
	case VICI_LIST_ITEM:
		take_value(r, e);
		return p->in_list;
	case VICI_LIST_END:
		if (!p->in_list)
			return false;
		p->in_list = false;
		p->depth--;
		return true;
	default:
		return false;
	}
}

int vici_next(struct vici_parser *p, struct vici_element *e)
{
	struct reader r = reader_of(p->data, p->len);
	struct vici_element out = {.type = VICI_END};

	if (p->len == 0) {
		if (p->depth)
			return -EBADMSG;
		*e = out;
		return 0;
	}
	out.type = (enum vici_element_type)read_u8(&r);
	if (!take_element(p, &r, &out) || r.failed)
		return -EBADMSG;
	p->data = r.data;
	p->len = r.len;
	*e = out;
	return 0;
}

int vici_check(const void *data, size_t len)
{
	struct vici_parser p = vici_parser_of(data, len);
	struct vici_element e;
	int err;

	do {
		err = vici_next(&p, &e);
	} while (!err && e.type != VICI_END);
	return err;
}

// True when the element's name is the first `n` bytes of `key`.
static bool named(const struct vici_element *e, const char *key, size_t n)
{
	return e->name_len == n && !memcmp(e->name, key, n);
}

// Walks past the end of the section or list that was just opened.
static int skip(struct vici_parser *p)
{
	unsigned outside = p->depth - 1;
	struct vici_element e;
	int err = 0;

	while (!err && p->depth > outside)
		err = vici_next(p, &e);
	return err;
}

static int copy_value(const struct vici_element *e, char *value, size_t size)
{
	if (memchr(e->value, 0, e->value_len))
		return -EBADMSG;
	if (e->value_len >= size)
		return -EMSGSIZE;
	memcpy(value, e->value, e->value_len);
	value[e->value_len] = 0;
	return 0;
}

int vici_get(const void *data, size_t len, const char *key, char *value, size_t size)
{
	struct vici_parser p = vici_parser_of(data, len);
	size_t n = strcspn(key, ".");
	struct vici_element e;
	unsigned inside = 0; // sections of `key` entered so far

	if (vici_check(data, len))
		return -EBADMSG;
	for (;;) {
		if (vici_next(&p, &e))
			return -EBADMSG;
		switch (e.type) {
		case VICI_END:
			return -ENOENT;
		case VICI_SECTION_END:
			// The section was the right one but lacks the key.
			if (p.depth < inside)
				return -ENOENT;
			break;
		case VICI_KEY_VALUE:
			if (!key[n] && named(&e, key, n))
				return copy_value(&e, value, size);
			break;
		case VICI_SECTION_START:
			if (key[n] && named(&e, key, n)) {
				key += n + 1;
				n = strcspn(key, ".");
				inside = p.depth;
				break;
			}
			// fall through
		case VICI_LIST_START:
			if (skip(&p))
				return -EBADMSG;
			break;
		default:
			return -EBADMSG;
		}
	}
}

// --- packets ----------------------------------------------------------------------------------

static bool is_named(enum vici_packet_type type)
{
	return type == VICI_CMD_REQUEST || type == VICI_EVENT_REGISTER ||
	       type == VICI_EVENT_UNREGISTER || type == VICI_EVENT;
}

int vici_packet_build(enum vici_packet_type type, const char *name, const struct vici_builder *msg,
		      uint8_t **out, size_t *out_len)
{
	size_t name_len = name ? strlen(name) : 0, len = 1;
	size_t msg_len = msg ? msg->len : 0;
	struct writer w;
	uint8_t *data;

	if (is_named(type) != (name_len > 0) || name_len > NAME_MAX_LEN)
		return -EINVAL;
	if (msg && (msg->failed || msg->depth > 0))
		return -EINVAL;
	len += (is_named(type) ? 1 + name_len : 0) + msg_len;
	if (len > LIMIT_VICI_MESSAGE_LEN)
		return -EINVAL;
	data = malloc(4 + len);
	if (!data)
		return -ENOMEM;
	w = writer_of(data, 4 + len);
	write_u32(&w, (uint32_t)len);
	write_u8(&w, (uint8_t)type);
	if (is_named(type)) {
		write_u8(&w, (uint8_t)name_len);
		write_bytes(&w, name, name_len);
	}
	write_bytes(&w, msg_len ? msg->data : NULL, msg_len);
	*out = data;
	*out_len = w.len;
	return 0;
}

int vici_packet_parse(const void *data, size_t len, struct vici_packet *p)
{
	struct reader r = reader_of(data, len);
	uint8_t type = read_u8(&r), name_len = 0;
	const uint8_t *name = NULL;

	if (r.failed || type > VICI_EVENT)
		return -EBADMSG;
	if (is_named((enum vici_packet_type)type)) {
		name_len = read_u8(&r);
		name = read_bytes(&r, name_len);
		if (r.failed || name_len == 0 || memchr(name, 0, name_len))
			return -EBADMSG;
	}
	p->type = (enum vici_packet_type)type;
	if (name)
		memcpy(p->name, name, name_len);
	p->name[name_len] = 0;
	p->msg = r.data;
	p->msg_len = r.len;
	return 0;
}
