// Hexadecimal texts of the vectors to bytes.
#pragma once

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

// Writes the bytes and returns how many there are. A text that is odd, not hexadecimal or too long
// ends the test program.
static inline size_t hex_bytes(const char *text, uint8_t *out, size_t room)
{
	size_t n = strlen(text) / 2;

	assert(strlen(text) % 2 == 0 && n <= room);
	for (size_t i = 0; i < n; i++) {
		unsigned v = 0;
		int ok = sscanf(text + 2 * i, "%2x", &v);

		assert(ok == 1);
		(void)ok;
		out[i] = (uint8_t)v;
	}
	return n;
}
