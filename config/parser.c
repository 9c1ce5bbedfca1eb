#include "config/parser.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/limits.h"
#include "lib/secret.h"

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

static int fail(struct source *s, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct source *s, int line, const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return error_set(s->err, -EINVAL, "%s:%d: %s", s->file, line, text);
}

static int no_memory(struct source *s)
{
	return error_set(s->err, -ENOMEM, "%s: out of memory", s->file);
}

static int parse_settings(struct source *s, struct config_node *section, int opened_line,
			  unsigned depth);
static int read_file(struct config_tree *t, const char *path, const struct source *includer,
		     struct config_node *section, unsigned depth, struct error *err);

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

static void token_fini(struct token *t)
{
	if (t->text != NULL)
		wipe(t->text, t->cap);
	free(t->text);
	*t = (struct token){0};
}

static bool at_end(const struct source *s)
{
	return s->at == s->end;
}

static void skip_blanks(struct source *s)
{
	while (!at_end(s) && (*s->at == ' ' || *s->at == '\t' || *s->at == '\r'))
		s->at++;
}

// Blanks, line ends and comments.
static void skip_space(struct source *s)
{
	for (;;) {
		skip_blanks(s);
		if (at_end(s))
			return;
		if (*s->at == '#') {
			while (!at_end(s) && *s->at != '\n')
				s->at++;
		} else if (*s->at == '\n') {
			s->line++;
			s->at++;
		} else {
			return;
		}
	}
}

// A character as it is named in a message.
static const char *shown(char c, char buf[8])
{
	unsigned char u = (unsigned char)c;

	if (u < 0x20 || u >= 0x7f)
		snprintf(buf, 8, "0x%02x", u);
	else
		snprintf(buf, 8, "'%c'", c);
	return buf;
}

// A section's or a key's name. NULL with *err filled.
static const char *scan_name(struct source *s)
{
	const char *start = s->at;
	const char *name;
	char buf[8];

	while (!at_end(s) && strchr(NOT_IN_NAMES, *s->at) == NULL) {
		if ((unsigned char)*s->at < 0x20 || *s->at == 0x7f)
			break;
		s->at++;
	}
	if (s->at == start) {
		fail(s, s->line, "a section's or key's name is expected here, not %s",
		     shown(*s->at, buf));
		return NULL;
	}
	name = config_tree_text(s->tree, start, (size_t)(s->at - start));
	if (name == NULL)
		no_memory(s);
	return name;
}

// ---- values ----

static int put(struct source *s, const char *bytes, size_t n)
{
	return token_put(&s->token, bytes, n) != 0 ? no_memory(s) : 0;
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
	if (c == '\r' && !at_end(s) && *s->at == '\n')
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
	while (!at_end(s)) {
		const char *start = s->at;

		if (*s->at == '"') {
			s->at++;
			return 0;
		}
		if (*s->at == '\\') {
			s->at++;
			if (at_end(s))
				break;
			rc = scan_escape(s);
			if (rc != 0)
				return rc;
			continue;
		}
		while (!at_end(s) && *s->at != '"' && *s->at != '\\') {
			if (*s->at == '\n')
				s->line++;
			s->at++;
		}
		rc = put(s, start, (size_t)(s->at - start));
		if (rc != 0)
			return rc;
	}
	return fail(s, opened, "the quoted value that begins here has no closing '\"'");
}

// From behind '=' to the end of the value. *value is NULL when there is none.
static int scan_value(struct source *s, const char **value, bool *cut)
{
	bool any = false;
	int rc;

	s->token.len = 0;
	for (;;) {
		const char *start;

		skip_blanks(s);
		if (at_end(s) || strchr("#}\n", *s->at) != NULL)
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
			while (!at_end(s) && strchr("#}\"\r\n\t ", *s->at) == NULL)
				s->at++;
			rc = put(s, start, (size_t)(s->at - start));
		}
		if (rc != 0)
			return rc;
	}
	*value = NULL;
	if (!any)
		return 0;
	*cut = !at_end(s) && *s->at == '#' && strchr(" \t\r\"", s->at[-1]) == NULL;
	*value = config_tree_text(s->tree, s->token.text, s->token.len);
	return *value != NULL ? 0 : no_memory(s);
}

static int parse_key(struct source *s, struct config_node *section, const char *name, int line)
{
	struct config_node *key;
	const char *value;
	bool cut = false;
	int rc;

	rc = scan_value(s, &value, &cut);
	if (rc != 0)
		return rc;
	key = config_node_find(s->tree, section, NODE_KEY, name);
	if (key == NULL)
		key = config_node_add(s->tree, section, NODE_KEY, name, s->file, line);
	if (key == NULL)
		return no_memory(s);
	key->value = value;
	key->cut = cut;
	key->file = s->file;
	key->line = line;
	return 0;
}

// ---- sections ----

static int add_reference(struct source *s, struct config_node *section, const char *target,
			 size_t len)
{
	struct config_reference *r = config_tree_alloc(s->tree, sizeof(*r));

	if (r == NULL)
		return no_memory(s);
	r->target = config_tree_text(s->tree, target, len);
	if (r->target == NULL)
		return no_memory(s);
	r->file = s->file;
	r->line = s->line;
	if (section->references_last != NULL)
		section->references_last->next = r;
	else
		section->references = r;
	section->references_last = r;
	s->tree->has_references = true;
	return 0;
}

// From behind ':' to in front of '{'.
static int parse_references(struct source *s, struct config_node *section)
{
	char buf[8];

	for (;;) {
		const char *start;
		int rc;

		skip_space(s);
		start = s->at;
		// Components are separated by single dots, none at the ends.
		while (!at_end(s) &&
		       (strchr(NOT_IN_NAMES, *s->at) == NULL ||
			(*s->at == '.' && s->at != start && s->at[-1] != '.')) &&
		       (unsigned char)*s->at >= 0x20)
			s->at++;
		if (s->at == start || s->at[-1] == '.')
			return fail(s, s->line,
				    "the name of a section is expected after ':' or ','");
		rc = add_reference(s, section, start, (size_t)(s->at - start));
		if (rc != 0)
			return rc;
		skip_space(s);
		if (at_end(s))
			return fail(s, s->line, "'{' is expected after the section's references");
		if (*s->at == '{')
			return 0;
		if (*s->at != ',')
			return fail(s, s->line, "',' or '{' is expected here, not %s",
				    shown(*s->at, buf));
		s->at++;
	}
}

static int parse_section(struct source *s, struct config_node *parent, const char *name, int line,
			 unsigned depth)
{
	struct config_node *section;
	int rc;

	if (depth >= LIMIT_CONFIG_DEPTH)
		return fail(s, line, "%s: sections and includes are nested deeper than %d", name,
			    LIMIT_CONFIG_DEPTH);
	section = config_node_find(s->tree, parent, NODE_SECTION, name);
	if (section == NULL)
		section = config_node_add(s->tree, parent, NODE_SECTION, name, s->file, line);
	if (section == NULL)
		return no_memory(s);
	if (*s->at == ':') {
		s->at++;
		rc = parse_references(s, section);
		if (rc != 0)
			return rc;
	}
	s->at++; // the brace
	return parse_settings(s, section, line, depth + 1);
}

// ---- includes ----

// "include" followed by a blank and by something that is no '=', '{' or ':' opens a file.
static bool is_include(const struct source *s, const char *name)
{
	const char *p = s->at;

	if (strcmp(name, "include") != 0 || at_end(s) || (*p != ' ' && *p != '\t'))
		return false;
	while (p < s->end && (*p == ' ' || *p == '\t' || *p == '\r'))
		p++;
	return p < s->end && strchr("={:\n#}", *p) == NULL;
}

// The pattern up to a blank, '#' or '}', which may be escaped or quoted.
static int scan_pattern(struct source *s, char *pattern, size_t size)
{
	int line = s->line, rc;

	s->token.len = 0;
	skip_blanks(s);
	while (!at_end(s) && strchr("#}\n\t\r ", *s->at) == NULL) {
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
		return fail(s, line, "include: the name of a file is missing");
	if (s->token.text[0] != '/') {
		const char *slash = strrchr(s->file, '/');
		int dir_len = slash != NULL ? (int)(slash - s->file + 1) : 0;

		rc = snprintf(pattern, size, "%.*s%.*s", dir_len, s->file, (int)s->token.len,
			      s->token.text);
	} else {
		rc = snprintf(pattern, size, "%.*s", (int)s->token.len, s->token.text);
	}
	if (rc < 0 || (size_t)rc >= size)
		return fail(s, line, "include: the name is longer than %zu bytes", size - 1);
	return 0;
}

static int parse_include(struct source *s, struct config_node *section, unsigned depth)
{
	char pattern[PATH_MAX], text[CONFIG_SHOWN_MAX];
	int line = s->line, rc;
	glob_t found = {0};

	if (s->in_memory)
		return fail(s, line, "include: not possible in a configuration without a file");
	if (depth >= LIMIT_CONFIG_DEPTH)
		return fail(s, line, "include: sections and includes are nested deeper than %d",
			    LIMIT_CONFIG_DEPTH);
	rc = scan_pattern(s, pattern, sizeof(pattern));
	if (rc != 0)
		return rc;
	config_shown(pattern, text, sizeof(text));
	rc = glob(pattern, 0, NULL, &found);
	if (rc == GLOB_NOMATCH) {
		// A pattern may well match nothing: the directory of fragments is empty.
		if (strpbrk(pattern, "*?[") != NULL)
			rc = 0;
		else
			rc = fail(s, line, "include %s: no such file", text);
		goto out;
	}
	if (rc != 0) {
		rc = rc == GLOB_NOSPACE ? no_memory(s)
					: fail(s, line, "include %s: cannot be read", text);
		goto out;
	}
	for (size_t i = 0; i < found.gl_pathc && rc == 0; i++)
		rc = read_file(s->tree, found.gl_pathv[i], s, section, depth + 1, s->err);
out:
	globfree(&found);
	return rc;
}

// ---- settings ----

static int parse_statement(struct source *s, struct config_node *section, unsigned depth)
{
	int line = s->line;
	const char *name = scan_name(s);

	if (name == NULL)
		return -EINVAL;
	if (is_include(s, name))
		return parse_include(s, section, depth);
	skip_space(s);
	if (!at_end(s) && *s->at == '=') {
		s->at++;
		return parse_key(s, section, name, line);
	}
	if (!at_end(s) && (*s->at == '{' || *s->at == ':'))
		return parse_section(s, section, name, line, depth);
	if (!at_end(s) && *s->at == '.')
		return fail(s, line, "%s: a name cannot hold a '.'", name);
	return fail(s, line, "%s: '= VALUE' or '{' is expected after a name", name);
}

// Up to the end of the text, or to the '}' of the section that was opened (opened_line not 0).
static int parse_settings(struct source *s, struct config_node *section, int opened_line,
			  unsigned depth)
{
	for (;;) {
		int rc;

		skip_space(s);
		if (at_end(s)) {
			if (opened_line == 0)
				return 0;
			return fail(s, opened_line, "%s: the section that begins here has no '}'",
				    section->name);
		}
		if (*s->at == '}') {
			if (opened_line == 0)
				return fail(s, s->line, "'}' without a section to close");
			s->at++;
			return 0;
		}
		rc = parse_statement(s, section, depth);
		if (rc != 0)
			return rc;
	}
}

static int parse_bytes(struct source *s, const char *text, size_t len, struct config_node *section,
		       unsigned depth)
{
	const char *zero = len != 0 ? memchr(text, '\0', len) : NULL;
	int rc;

	s->at = text;
	s->end = text + len;
	s->line = 1;
	if (zero != NULL) {
		for (const char *p = text; p < zero; p++)
			s->line += *p == '\n';
		return fail(s, s->line, "a zero byte: this is not a text file");
	}
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) // byte order mark
		s->at += 3;
	rc = parse_settings(s, section, 0, depth);
	token_fini(&s->token);
	return rc;
}

// ---- files ----

static int file_error(const struct source *s, const char *path, int code, const char *what)
{
	char text[CONFIG_SHOWN_MAX * 2];

	config_shown(path, text, sizeof(text));
	if (s != NULL)
		return error_set(s->err, code, "%s:%d: include %s: %s", s->file, s->line, text,
				 what);
	return code;
}

// The whole content, -EFBIG beyond LIMIT_CONFIG_FILE_LEN.
static int slurp(int fd, size_t expected, char **out, size_t *out_len)
{
	size_t cap = expected + 1, len = 0;
	char *text = malloc(cap);

	for (;;) {
		ssize_t n;

		if (text == NULL)
			return -ENOMEM;
		n = read(fd, text + len, cap - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || (len += (size_t)n) > LIMIT_CONFIG_FILE_LEN) {
			int rc = n < 0 ? -errno : n == 0 ? 0 : -EFBIG;

			if (rc != 0) {
				wipe(text, cap);
				free(text);
				return rc;
			}
			*out = text;
			*out_len = len;
			return 0;
		}
		if (len == cap) { // it has grown since fstat
			char *more = malloc(cap * 2);

			if (more != NULL)
				memcpy(more, text, len);
			wipe(text, cap);
			free(text);
			text = more;
			cap *= 2;
		}
	}
}

static int check_file(const struct source *s, const char *path, const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return file_error(s, path, -EINVAL,
				  S_ISDIR(st->st_mode) ? "is a directory" : "is not a file");
	if (st->st_size > LIMIT_CONFIG_FILE_LEN)
		return file_error(s, path, -EFBIG, "is larger than 64 MB");
	for (const struct source *i = s; i != NULL; i = i->includer) {
		if (i->dev == st->st_dev && i->ino == st->st_ino)
			return file_error(s, path, -ELOOP, "the file includes itself");
	}
	if (s != NULL && s->tree->n_files >= CONFIG_FILES_MAX)
		return file_error(s, path, -E2BIG, "too many files");
	return 0;
}

static int read_file(struct config_tree *t, const char *path, const struct source *includer,
		     struct config_node *section, unsigned depth, struct error *err)
{
	struct source s = {.tree = t, .err = err, .includer = includer};
	struct stat st;
	char *text = NULL;
	size_t len = 0;
	int fd, rc;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) != 0) {
		rc = -errno;
		if (fd >= 0)
			close(fd);
		file_error(includer, path, rc, strerror(-rc));
		goto out;
	}
	rc = check_file(includer, path, &st);
	if (rc == 0) {
		rc = slurp(fd, (size_t)st.st_size, &text, &len);
		if (rc != 0)
			file_error(includer, path, rc, strerror(-rc));
	}
	close(fd);
	if (rc != 0)
		goto out;
	s.dev = st.st_dev;
	s.ino = st.st_ino;
	s.file = config_tree_file(t, path);
	rc = s.file != NULL ? parse_bytes(&s, text, len, section, depth) : -ENOMEM;
	wipe(text, len);
	free(text);
	return rc;
out:
	if (includer == NULL)
		error_set(err, rc, "%s: %s", path,
			  rc == -EINVAL ? "is not a regular file" : strerror(-rc));
	return rc;
}

int config_parse_file(struct config_tree *t, const char *path, struct error *err)
{
	return read_file(t, path, NULL, t->root, 0, err);
}

int config_parse_text(struct config_tree *t, const char *name, const char *text, size_t len,
		      struct error *err)
{
	struct source s = {.tree = t, .err = err, .in_memory = true};

	if (len > LIMIT_CONFIG_FILE_LEN)
		return error_set(err, -EFBIG, "%s: is larger than 64 MB", name);
	s.file = config_tree_file(t, name);
	if (s.file == NULL)
		return error_set(err, -ENOMEM, "%s: out of memory", name);
	return parse_bytes(&s, text, len, t->root, 0);
}
