#include "config/lexer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/secret.h"

int lexer_fail(struct source *s, int line, const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return error_set(s->err, -EINVAL, "%s:%d: %s", s->file, line, text);
}

int lexer_no_memory(struct source *s)
{
	return error_set(s->err, -ENOMEM, "%s: out of memory", s->file);
}

// ---- tokens ----

static int token_put(struct token *t, const char *bytes, size_t n)
{
	if (t->len + n + 1 > t->cap) {
		size_t cap = (t->len + n + 1) * 2;
		char *text = malloc(cap);

		if (text == NULL)
			return -ENOMEM;
		if (t->text != NULL) {
			memcpy(text, t->text, t->len);
			wipe(t->text, t->cap);
			free(t->text);
		}
		t->text = text;
		t->cap = cap;
	}
	memcpy(t->text + t->len, bytes, n);
	t->len += n;
	return 0;
}

void lexer_fini(struct source *s)
{
	struct token *t = &s->token;

	if (t->text != NULL)
		wipe(t->text, t->cap);
	free(t->text);
	*t = (struct token){0};
}

bool lexer_at_end(const struct source *s)
{
	return s->at == s->end;
}

static void skip_blanks(struct source *s)
{
	while (!lexer_at_end(s) && (*s->at == ' ' || *s->at == '\t' || *s->at == '\r'))
		s->at++;
}

void lexer_skip_space(struct source *s)
{
	for (;;) {
		skip_blanks(s);
		if (lexer_at_end(s))
			return;
		if (*s->at == '#') {
			while (!lexer_at_end(s) && *s->at != '\n')
				s->at++;
		} else if (*s->at == '\n') {
			s->line++;
			s->at++;
		} else {
			return;
		}
	}
}

const char *lexer_char_shown(char c, char buf[8])
{
	unsigned char u = (unsigned char)c;

	if (u < 0x20 || u >= 0x7f)
		snprintf(buf, 8, "0x%02x", u);
	else
		snprintf(buf, 8, "'%c'", c);
	return buf;
}

const char *lexer_name(struct source *s)
{
	const char *start = s->at;
	const char *name;
	char buf[8];

	while (!lexer_at_end(s) && strchr(NOT_IN_NAMES, *s->at) == NULL) {
		if ((unsigned char)*s->at < 0x20 || *s->at == 0x7f)
			break;
		s->at++;
	}
	if (s->at == start) {
		lexer_fail(s, s->line, "a section's or key's name is expected here, not %s",
			   lexer_char_shown(*s->at, buf));
		return NULL;
	}
	name = config_tree_text(s->tree, start, (size_t)(s->at - start));
	if (name == NULL)
		lexer_no_memory(s);
	return name;
}

// ---- values ----

static int put(struct source *s, const char *bytes, size_t n)
{
	return token_put(&s->token, bytes, n) != 0 ? lexer_no_memory(s) : 0;
}

// What follows a backslash inside quotes; stands behind it.
static int scan_escape(struct source *s)
{
	char c = *s->at++;

	if (c == 'n')
		return put(s, "\n", 1);
	if (c == 'r')
		return put(s, "\r", 1);
	if (c == 't')
		return put(s, "\t", 1);
	if (c == '\r' && !lexer_at_end(s) && *s->at == '\n')
		c = *s->at++;
	if (c == '\n') {
		s->line++;
		return 0;
	}
	return put(s, &c, 1);
}

// A quoted string, from its opening quote; appended to the token.
static int scan_string(struct source *s)
{
	int opened = s->line;
	int rc;

	s->at++;
	while (!lexer_at_end(s)) {
		const char *start = s->at;

		if (*s->at == '"') {
			s->at++;
			return 0;
		}
		if (*s->at == '\\') {
			s->at++;
			if (lexer_at_end(s))
				break;
			rc = scan_escape(s);
			if (rc != 0)
				return rc;
			continue;
		}
		while (!lexer_at_end(s) && *s->at != '"' && *s->at != '\\') {
			if (*s->at == '\n')
				s->line++;
			s->at++;
		}
		rc = put(s, start, (size_t)(s->at - start));
		if (rc != 0)
			return rc;
	}
	return lexer_fail(s, opened, "the quoted value that begins here has no closing '\"'");
}

int lexer_value(struct source *s, const char **value, bool *cut)
{
	bool any = false;
	int rc;

	s->token.len = 0;
	for (;;) {
		const char *start;

		skip_blanks(s);
		if (lexer_at_end(s) || strchr("#}\n", *s->at) != NULL)
			break;
		if (any) {
			rc = put(s, " ", 1);
			if (rc != 0)
				return rc;
		}
		any = true;
		if (*s->at == '"') {
			rc = scan_string(s);
		} else {
			start = s->at;
			while (!lexer_at_end(s) && strchr("#}\"\r\n\t ", *s->at) == NULL)
				s->at++;
			rc = put(s, start, (size_t)(s->at - start));
		}
		if (rc != 0)
			return rc;
	}
	*value = NULL;
	if (!any)
		return 0;
	*cut = !lexer_at_end(s) && *s->at == '#' && strchr(" \t\r\"", s->at[-1]) == NULL;
	*value = config_tree_text(s->tree, s->token.text, s->token.len);
	return *value != NULL ? 0 : lexer_no_memory(s);
}

// The pattern up to a blank, '#' or '}', which may be escaped or quoted.
int lexer_pattern(struct source *s, char *pattern, size_t size)
{
	int line = s->line, rc;

	s->token.len = 0;
	skip_blanks(s);
	while (!lexer_at_end(s) && strchr("#}\n\t\r ", *s->at) == NULL) {
		if (*s->at == '"') {
			rc = scan_string(s);
		} else {
			if (*s->at == '\\' && s->at + 1 < s->end &&
			    strchr("\"#} ", s->at[1]) != NULL)
				s->at++;
			rc = put(s, s->at++, 1);
		}
		if (rc != 0)
			return rc;
	}
	if (s->token.len == 0)
		return lexer_fail(s, line, "include: the name of a file is missing");
	if (s->token.text[0] != '/') {
		const char *slash = strrchr(s->file, '/');
		int dir_len = slash != NULL ? (int)(slash - s->file + 1) : 0;

		rc = snprintf(pattern, size, "%.*s%.*s", dir_len, s->file, (int)s->token.len,
			      s->token.text);
	} else {
		rc = snprintf(pattern, size, "%.*s", (int)s->token.len, s->token.text);
	}
	if (rc < 0 || (size_t)rc >= size)
		return lexer_fail(s, line, "include: the name is longer than %zu bytes", size - 1);
	return 0;
}
