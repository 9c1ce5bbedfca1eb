#include "config/parser.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/lexer.h"
#include "lib/limits.h"
#include "lib/secret.h"

static int parse_settings(struct source *s, struct config_node *section, int opened_line,
			  unsigned depth);
static int read_file(struct config_tree *t, const char *path, const struct source *includer,
		     struct config_node *section, unsigned depth, struct error *err);

// ---- keys ----

static int parse_key(struct source *s, struct config_node *section, const char *name, int line)
{
	struct config_node *key;
	const char *value;
	bool cut = false;
	int rc;

	rc = lexer_value(s, &value, &cut);
	if (rc != 0)
		return rc;
	key = config_node_find(s->tree, section, NODE_KEY, name);
	if (key == NULL)
		key = config_node_add(s->tree, section, NODE_KEY, name, s->file, line);
	if (key == NULL)
		return lexer_no_memory(s);
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
		return lexer_no_memory(s);
	r->target = config_tree_text(s->tree, target, len);
	if (r->target == NULL)
		return lexer_no_memory(s);
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

		lexer_skip_space(s);
		start = s->at;
		// Components are separated by single dots, none at the ends.
		while (!lexer_at_end(s) &&
		       (strchr(NOT_IN_NAMES, *s->at) == NULL ||
			(*s->at == '.' && s->at != start && s->at[-1] != '.')) &&
		       (unsigned char)*s->at >= 0x20)
			s->at++;
		if (s->at == start || s->at[-1] == '.')
			return lexer_fail(s, s->line,
					  "the name of a section is expected after ':' or ','");
		rc = add_reference(s, section, start, (size_t)(s->at - start));
		if (rc != 0)
			return rc;
		lexer_skip_space(s);
		if (lexer_at_end(s))
			return lexer_fail(s, s->line,
					  "'{' is expected after the section's references");
		if (*s->at == '{')
			return 0;
		if (*s->at != ',')
			return lexer_fail(s, s->line, "',' or '{' is expected here, not %s",
					  lexer_char_shown(*s->at, buf));
		s->at++;
	}
}

static int parse_section(struct source *s, struct config_node *parent, const char *name, int line,
			 unsigned depth)
{
	struct config_node *section;
	int rc;

	if (depth >= LIMIT_CONFIG_DEPTH)
		return lexer_fail(s, line, "%s: sections and includes are nested deeper than %d",
				  name, LIMIT_CONFIG_DEPTH);
	section = config_node_find(s->tree, parent, NODE_SECTION, name);
	if (section == NULL)
		section = config_node_add(s->tree, parent, NODE_SECTION, name, s->file, line);
	if (section == NULL)
		return lexer_no_memory(s);
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

	if (strcmp(name, "include") != 0 || lexer_at_end(s) || (*p != ' ' && *p != '\t'))
		return false;
	while (p < s->end && (*p == ' ' || *p == '\t' || *p == '\r'))
		p++;
	return p < s->end && strchr("={:\n#}", *p) == NULL;
}

static int parse_include(struct source *s, struct config_node *section, unsigned depth)
{
	char pattern[PATH_MAX], text[CONFIG_SHOWN_MAX];
	int line = s->line, rc;
	glob_t found = {0};

	if (s->in_memory)
		return lexer_fail(s, line,
				  "include: not possible in a configuration without a file");
	if (depth >= LIMIT_CONFIG_DEPTH)
		return lexer_fail(s, line,
				  "include: sections and includes are nested deeper than %d",
				  LIMIT_CONFIG_DEPTH);
	rc = lexer_pattern(s, pattern, sizeof(pattern));
	if (rc != 0)
		return rc;
	config_shown(pattern, text, sizeof(text));
	rc = glob(pattern, 0, NULL, &found);
	if (rc == GLOB_NOMATCH) {
		// A pattern may well match nothing: the directory of fragments is empty.
		if (strpbrk(pattern, "*?[") != NULL)
			rc = 0;
		else
			rc = lexer_fail(s, line, "include %s: no such file", text);
		goto out;
	}
	if (rc != 0) {
		rc = rc == GLOB_NOSPACE ? lexer_no_memory(s)
					: lexer_fail(s, line, "include %s: cannot be read", text);
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
	const char *name = lexer_name(s);

	if (name == NULL)
		return -EINVAL;
	if (is_include(s, name))
		return parse_include(s, section, depth);
	lexer_skip_space(s);
	if (!lexer_at_end(s) && *s->at == '=') {
		s->at++;
		return parse_key(s, section, name, line);
	}
	if (!lexer_at_end(s) && (*s->at == '{' || *s->at == ':'))
		return parse_section(s, section, name, line, depth);
	if (!lexer_at_end(s) && *s->at == '.')
		return lexer_fail(s, line, "%s: a name cannot hold a '.'", name);
	return lexer_fail(s, line, "%s: '= VALUE' or '{' is expected after a name", name);
}

// Up to the end of the text, or to the '}' of the section that was opened (opened_line not 0).
static int parse_settings(struct source *s, struct config_node *section, int opened_line,
			  unsigned depth)
{
	for (;;) {
		int rc;

		lexer_skip_space(s);
		if (lexer_at_end(s)) {
			if (opened_line == 0)
				return 0;
			return lexer_fail(s, opened_line,
					  "%s: the section that begins here has no '}'",
					  section->name);
		}
		if (*s->at == '}') {
			if (opened_line == 0)
				return lexer_fail(s, s->line, "'}' without a section to close");
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
		return lexer_fail(s, s->line, "a zero byte: this is not a text file");
	}
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) // byte order mark
		s->at += 3;
	rc = parse_settings(s, section, 0, depth);
	lexer_fini(s);
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
