#include "lib/record_ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_LEN sizeof(uint64_t) // bytes of the record's length
#define SKIP	   UINT64_MAX	    // instead of a length: the next record is at the ring's start

int record_ring_init(struct record_ring *r, size_t size)
{
	uint8_t *data;

	if (size < 64 || (size & (size - 1)) != 0)
		return -EINVAL;
	data = aligned_alloc(64, size);
	if (!data)
		return -ENOMEM;
	memset(r, 0, sizeof(*r));
	r->data = data;
	r->size = size;
	return 0;
}

void record_ring_fini(struct record_ring *r)
{
	free(r->data);
	r->data = NULL;
}

static void put_header(struct record_ring *r, uint64_t at, uint64_t value)
{
	memcpy(r->data + (at & (r->size - 1)), &value, sizeof(value));
}

void *record_reserve(struct record_ring *r, size_t len)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	const uint64_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
	const size_t to_end = r->size - (head & (r->size - 1));
	const size_t need = len > r->size ? SIZE_MAX : HEADER_LEN + (len + 7) / 8 * 8;
	const size_t skip = need > to_end ? to_end : 0; // a record lies in one piece

	if (need > r->size / 2 || need + skip > r->size - (head - tail)) {
		atomic_store_explicit(&r->lost, record_lost(r) + 1, memory_order_relaxed);
		return NULL;
	}
	if (skip)
		put_header(r, head, SKIP);
	head += skip;
	put_header(r, head, len);
	r->next = head + need;
	return r->data + (head & (r->size - 1)) + HEADER_LEN;
}

void record_commit(struct record_ring *r)
{
	atomic_store_explicit(&r->head, r->next, memory_order_release);
}

const void *record_peek(struct record_ring *r, size_t *len)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed), value;

	if (tail == atomic_load_explicit(&r->head, memory_order_acquire))
		return NULL;
	memcpy(&value, r->data + (tail & (r->size - 1)), sizeof(value));
	if (value == SKIP) { // a record always follows: they are shown together
		tail += r->size - (tail & (r->size - 1));
		memcpy(&value, r->data, sizeof(value));
	}
	r->after = tail + HEADER_LEN + (value + 7) / 8 * 8;
	*len = value;
	return r->data + (tail & (r->size - 1)) + HEADER_LEN;
}

void record_release(struct record_ring *r)
{
	atomic_store_explicit(&r->tail, r->after, memory_order_release);
}

uint64_t record_lost(const struct record_ring *r)
{
	return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&r->lost, memory_order_relaxed);
}
