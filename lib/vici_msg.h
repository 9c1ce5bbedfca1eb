// vici messages: strongSwan's "Versatile IKE Control Interface" wire format, version 1.
//
// A packet on the stream is: u32 length (network order) of what follows, u8 packet type, for the
// named types u8 length and the name, then message elements. An element is u8 type, then for
// section start and list start: u8 name length, name; for key/value: u8 name length, name, u16
// value length, value; for list item: u16 length, value; the ends have nothing.
//
// Errors: builders are sticky (`failed`); the parser returns -EBADMSG and never reads beyond.
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vici_packet_type {
	VICI_CMD_REQUEST = 0, // named
	VICI_CMD_RESPONSE = 1,
	VICI_CMD_UNKNOWN = 2,
	VICI_EVENT_REGISTER = 3,   // named
	VICI_EVENT_UNREGISTER = 4, // named
	VICI_EVENT_CONFIRM = 5,
	VICI_EVENT_UNKNOWN = 6,
	VICI_EVENT = 7, // named
};

enum vici_element_type {
	VICI_END = 0, // not on the wire: the message is over
	VICI_SECTION_START = 1,
	VICI_SECTION_END = 2,
	VICI_KEY_VALUE = 3,
	VICI_LIST_START = 4,
	VICI_LIST_ITEM = 5,
	VICI_LIST_END = 6,
};

// Builds a message in a growing heap buffer. A zeroed struct is an empty message.
struct vici_builder {
	uint8_t *data;
	size_t len, cap; // bytes
	unsigned depth;	 // open sections
	bool in_list;
	bool failed;	 // out of memory, name over 255, value over 65535, wrong nesting
};

void vici_section(struct vici_builder *b, const char *name);
void vici_section_end(struct vici_builder *b);
void vici_kv(struct vici_builder *b, const char *key, const char *value);
void vici_kv_bytes(struct vici_builder *b, const char *key, const void *value, size_t len);
void vici_kvf(struct vici_builder *b, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void vici_list(struct vici_builder *b, const char *name);
void vici_item(struct vici_builder *b, const char *value);
void vici_list_end(struct vici_builder *b);
void vici_builder_fini(struct vici_builder *b);

// Walks a message. Names and values are not terminated; they point into the message.
struct vici_element {
	enum vici_element_type type;
	const char *name;
	size_t name_len;
	const char *value;
	size_t value_len;
};

struct vici_parser {
	const uint8_t *data;
	size_t len;
	unsigned depth;
	bool in_list;
};

struct vici_parser vici_parser_of(const void *data, size_t len);
// The next element; VICI_END at the end of a well-formed message. -EBADMSG when malformed.
int vici_next(struct vici_parser *p, struct vici_element *e);
// Checks the whole message. 0 or -EBADMSG.
int vici_check(const void *data, size_t len);
// Copies the value of a key at the top level (dotted "a.b" descends into sections) as a string.
// -ENOENT when absent, -EMSGSIZE when `size` is too small, -EBADMSG when malformed or the value
// holds a zero byte.
int vici_get(const void *data, size_t len, const char *key, char *value, size_t size);

// One whole packet, length prefix included, in a fresh heap buffer: *out is freed by the caller.
// `name` is NULL for the unnamed types; `msg` may be NULL for no elements. -ENOMEM, -EINVAL.
int vici_packet_build(enum vici_packet_type type, const char *name, const struct vici_builder *msg,
		      uint8_t **out, size_t *out_len);

struct vici_packet {
	enum vici_packet_type type;
	char name[256];
	const uint8_t *msg; // elements, inside the packet
	size_t msg_len;
};

// Parses what follows the u32 length. -EBADMSG when the type or the name is malformed.
int vici_packet_parse(const void *data, size_t len, struct vici_packet *p);
