// Reading and writing wire formats (network byte order) without ever leaving the buffer.
//
// Both sides have a sticky failure: after the first access out of bounds every further
// call is harmless, reads return zero, and `failed` stays set. A parser reads a whole
// structure and checks `failed` once.
//
// Ownership: both borrow the memory they are given.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reader {
	const uint8_t *data;
	size_t len; // bytes left
	bool failed;
};

struct reader reader_of(const void *data, size_t len);
uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
// The next n bytes where they stand, or NULL (and failed) when fewer are left.
const uint8_t *read_bytes(struct reader *r, size_t n);
// A reader over the next n bytes, which are taken from r. Failed when fewer are left.
struct reader read_sub(struct reader *r, size_t n);

struct writer {
	uint8_t *data;
	size_t cap, len; // bytes
	bool failed;
};

struct writer writer_of(void *data, size_t cap);
void write_u8(struct writer *w, uint8_t v);
void write_u16(struct writer *w, uint16_t v);
void write_u32(struct writer *w, uint32_t v);
void write_u64(struct writer *w, uint64_t v);
void write_bytes(struct writer *w, const void *data, size_t n);
void write_zeros(struct writer *w, size_t n);
// Appends n bytes to be filled later and returns where they start, or NULL (and failed).
uint8_t *write_reserve(struct writer *w, size_t n);
// Overwrites what was written before at `offset`; failed when it lies outside.
void write_u8_at(struct writer *w, size_t offset, uint8_t v);
void write_u16_at(struct writer *w, size_t offset, uint16_t v);
void write_u32_at(struct writer *w, size_t offset, uint32_t v);
