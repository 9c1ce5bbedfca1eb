// A tar archive of small files (POSIX.1-1988, "ustar").
//
// Errors: what cannot be written shows in ferror() of the stream.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// `name` of at most 99 bytes. Owner root, mode 0600.
void ustar_add(FILE *out, const char *name, const void *data, size_t len, int64_t mtime_s);
void ustar_end(FILE *out);
