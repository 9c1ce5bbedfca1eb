// Aligned columns of text, and the short forms of numbers that go into them.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 16

struct table_row;

struct table {
	size_t columns;
	const char *head[TABLE_COLUMNS_MAX];
	bool right[TABLE_COLUMNS_MAX]; // numbers
	struct table_row *rows, *last;
	bool failed; // out of memory
};

// One column per head; a head that starts with '>' is aligned to the right. Ended by NULL.
void table_init(struct table *t, const char *const *heads);
void table_fini(struct table *t);
// Starts a row, to be filled from the left by table_cell; cells that are not given stay empty.
void table_row(struct table *t);
void table_cell(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// A line of its own under the last row, indented, not aligned.
void table_note(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void table_print(const struct table *t, FILE *out);

// Replaces control characters: what a peer or a file chose as a name must not steer the terminal.
// Returns text.
char *make_printable(char *text);

#define FORMAT_TEXT_MAX 32
char *format_bytes(uint64_t bytes, char *buf, size_t size);	 // "999 B", "1.2 MiB"
char *format_duration(uint64_t seconds, char *buf, size_t size); // "45s", "3m05s", "2h05m", "3d04h"
