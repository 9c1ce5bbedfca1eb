// Inside config/: the words of the grammar of config/parser.h, read from one text.
//
// Ownership: names and values belong to the tree. `token` holds secrets: lexer_fini wipes it.
// Errors:    NULL or -errno with "FILE:LINE: what is wrong" in *err.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config/tree.h"
#include "lib/error.h"

#define NOT_IN_NAMES "#{}:.,=\"\r\n\t "

struct token { // a name or value while it is read; may be a secret
	char *text;
	size_t len, cap; // bytes
};

struct source { // one text being read
	struct config_tree *tree;
	struct error *err;
	const char *file;
	const char *at, *end;
	int line;
	bool in_memory; // includes are refused
	dev_t dev;
	ino_t ino;
	const struct source *includer;
	struct token token;
};

void lexer_fini(struct source *s);
// Fills *err with the place and returns -EINVAL.
int lexer_fail(struct source *s, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int lexer_no_memory(struct source *s);
bool lexer_at_end(const struct source *s);
// Blanks, line ends and comments.
void lexer_skip_space(struct source *s);
// A character as it is named in a message.
const char *lexer_char_shown(char c, char buf[8]);
// A section's or a key's name.
const char *lexer_name(struct source *s);
// From behind '=' to the end of the value. *value is NULL when there is none; *cut says that a '#'
// right behind it began a comment.
int lexer_value(struct source *s, const char **value, bool *cut);
// The name of files to include, made relative to the directory of this one.
int lexer_pattern(struct source *s, char *pattern, size_t size);
