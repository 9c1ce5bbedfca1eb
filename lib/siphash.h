// SipHash-2-4 with 128 bits of result (Aumasson, Bernstein 2012): a keyed hash of short inputs that
// nobody without the key can foresee, at a tenth of the cost of HMAC-SHA-256.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SIPHASH_KEY_LEN 16 // bytes
#define SIPHASH_LEN	16 // bytes

void siphash(const uint8_t key[SIPHASH_KEY_LEN], const void *data, size_t len,
	     uint8_t out[SIPHASH_LEN]);
