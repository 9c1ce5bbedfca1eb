// Key material: kept in one type, compared in constant time, wiped on every exit.
//
// A zeroed `struct secret` is valid and empty.
// Ownership: the struct owns its heap buffer; it is moved by secret_move, never by `=`.
// Errors:    -ENOMEM; on error the struct is unchanged.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct secret {
	uint8_t *data;
	size_t len; // bytes
};

// Replaces the content by a copy of `len` bytes; what was there is wiped.
int secret_set(struct secret *s, const void *data, size_t len);
// Replaces the content by `len` zero bytes to be filled by the caller.
int secret_alloc(struct secret *s, size_t len);
// Moves the content of `from` into `to`, which is wiped first; `from` is empty afterwards.
void secret_move(struct secret *to, struct secret *from);
// Wipes and frees; the struct is empty afterwards. NULL and empty are allowed.
void secret_fini(struct secret *s);
bool secret_equal(const struct secret *a, const struct secret *b);

// Overwrites memory in a way the compiler does not remove.
void wipe(void *data, size_t len);
// Compares in time that depends on `len` alone.
bool bytes_equal_ct(const void *a, const void *b, size_t len);
