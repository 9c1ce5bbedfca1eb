#include "lib/bytes.h"

#include <string.h>

struct reader reader_of(const void *data, size_t len)
{
	return (struct reader){.data = data, .len = len};
}

const uint8_t *read_bytes(struct reader *r, size_t n)
{
	const uint8_t *p = r->data;

	if (r->failed || n > r->len) {
		r->failed = true;
		return NULL;
	}
	if (n > 0)
		r->data += n;
	r->len -= n;
	return p;
}

static uint64_t read_be(struct reader *r, size_t n)
{
	const uint8_t *p = read_bytes(r, n);
	uint64_t v = 0;

	if (!p)
		return 0;
	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

uint8_t read_u8(struct reader *r)
{
	return (uint8_t)read_be(r, 1);
}

uint16_t read_u16(struct reader *r)
{
	return (uint16_t)read_be(r, 2);
}

uint32_t read_u32(struct reader *r)
{
	return (uint32_t)read_be(r, 4);
}

uint64_t read_u64(struct reader *r)
{
	return read_be(r, 8);
}

struct reader read_sub(struct reader *r, size_t n)
{
	const uint8_t *p = read_bytes(r, n);

	if (!p)
		return (struct reader){.failed = r->failed};
	return reader_of(p, n);
}

struct writer writer_of(void *data, size_t cap)
{
	return (struct writer){.data = data, .cap = cap};
}

uint8_t *write_reserve(struct writer *w, size_t n)
{
	uint8_t *p;

	if (w->failed || n > w->cap - w->len) {
		w->failed = true;
		return NULL;
	}
	p = w->data + w->len;
	w->len += n;
	return p;
}

static void store_be(uint8_t *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}

static void write_be(struct writer *w, uint64_t v, size_t n)
{
	uint8_t *p = write_reserve(w, n);

	if (p)
		store_be(p, v, n);
}

void write_u8(struct writer *w, uint8_t v)
{
	write_be(w, v, 1);
}

void write_u16(struct writer *w, uint16_t v)
{
	write_be(w, v, 2);
}

void write_u32(struct writer *w, uint32_t v)
{
	write_be(w, v, 4);
}

void write_u64(struct writer *w, uint64_t v)
{
	write_be(w, v, 8);
}

void write_bytes(struct writer *w, const void *data, size_t n)
{
	uint8_t *p = write_reserve(w, n);

	if (p && n > 0)
		memcpy(p, data, n);
}

void write_zeros(struct writer *w, size_t n)
{
	uint8_t *p = write_reserve(w, n);

	if (p && n > 0)
		memset(p, 0, n);
}

static void write_be_at(struct writer *w, size_t offset, uint64_t v, size_t n)
{
	if (w->failed || offset > w->len || n > w->len - offset) {
		w->failed = true;
		return;
	}
	store_be(w->data + offset, v, n);
}

void write_u8_at(struct writer *w, size_t offset, uint8_t v)
{
	write_be_at(w, offset, v, 1);
}

void write_u16_at(struct writer *w, size_t offset, uint16_t v)
{
	write_be_at(w, offset, v, 2);
}

void write_u32_at(struct writer *w, size_t offset, uint32_t v)
{
	write_be_at(w, offset, v, 4);
}
