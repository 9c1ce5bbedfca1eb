// The forms that values have, read as strongSwan reads them.
//
// Errors: -EINVAL for a wrong form, -ERANGE for a number out of range; outputs stay untouched.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int value_bool(const char *text, bool *out); // yes true enabled 1, no false disabled 0
// Decimal, or hexadecimal with 0x.
int value_uint(const char *text, uint64_t min, uint64_t max, uint64_t *out);
// Seconds, or a number with s, m, h or d.
int value_time_ms(const char *text, uint64_t *out);
// A number of bytes, or one with k, m or g (1024, ...).
int value_size(const char *text, uint64_t *out);

// Walks a list: the next item between `separators`, blanks at its ends left out, copied into
// buf. *text advances; NULL at the end. Empty items are skipped. An item that does not fit in
// `size` is cut to nothing and *too_long is set.
const char *value_next(const char **text, const char *separators, char *buf, size_t size,
		       bool *too_long);
// True when `word` is one of the blank-separated `words`.
bool value_among(const char *word, const char *words);
