// A ring of records of different lengths between two threads.
//
// When there is no room a record is lost, and counted; neither side ever waits.
//
// Threads:   one that writes (reserve, commit), one that reads (peek, release, lost); init before
//            both and fini after them.
// Ownership: record_ring_init allocates the memory.
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct record_ring {
	uint8_t *data; // read only once made
	size_t size;   // bytes, a power of 2
	// Ever growing numbers of bytes.
	_Alignas(64) _Atomic uint64_t head; // writer: rw, reader: ro
	_Atomic uint64_t lost;		    // the same; records
	uint64_t next;			    // writer's: head once the reserved record is committed
	_Alignas(64) _Atomic uint64_t tail; // reader: rw, writer: ro
	uint64_t after;			    // reader's: tail once the peeked record is released
};

// `size` bytes, a power of 2 of at least 64. -EINVAL, -ENOMEM.
int record_ring_init(struct record_ring *r, size_t size);
void record_ring_fini(struct record_ring *r);
// Room for a record of `len` bytes, aligned to 8; NULL: there is none, and one more is lost. Never
// any for more than half of the ring.
void *record_reserve(struct record_ring *r, size_t len);
// Shows the reader what was reserved last.
void record_commit(struct record_ring *r);
// The oldest record, or NULL. It stays where it is until it is released.
const void *record_peek(struct record_ring *r, size_t *len);
void record_release(struct record_ring *r);
// Records that found no room so far.
uint64_t record_lost(const struct record_ring *r);
