// The sentence that goes with an error code: what is wrong, where, and what to do.
//
// A function that takes a `struct error *` fills it whenever it returns a negative
// errno, and leaves it alone on success. The caller decides whether it is logged.
#pragma once

#define ERROR_TEXT_MAX 512

struct error {
	char text[ERROR_TEXT_MAX]; // one or more lines without a trailing newline
};

// Writes the sentence and returns `code` (a negative errno), so that
// `return error_set(err, -EINVAL, "...")` works. A NULL err is allowed.
int error_set(struct error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

// Puts "prefix: " in front of the sentence that is already there and returns `code`.
int error_prefix(struct error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
