// The grammar: texts and the trees they make, places of errors, includes, references.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/parser.h"
#include "config/reference.h"
#include "lib/limits.h"

struct row {
	const char *text;
	const char *tree; // "a=1 b{c=2}", or an error when it begins with '!'
	const char *why;
};

// "key=value" and "section{...}", separated by blanks; a key without value is "key=!".
static void dump(const struct config_node *n, FILE *out)
{
	for (const struct config_node *c = n->first; c != NULL; c = c->next) {
		if (c != n->first)
			fputc(' ', out);
		if (c->kind == NODE_KEY) {
			fprintf(out, "%s=%s", c->name, c->value != NULL ? c->value : "!");
			continue;
		}
		fprintf(out, "%s{", c->name);
		dump(c, out);
		fputc('}', out);
	}
}

static char *tree_of(const char *text, size_t len)
{
	struct config_tree *t = config_tree_create();
	struct error err = {""};
	char *got = NULL;
	size_t size;
	FILE *out = open_memstream(&got, &size);

	assert_non_null(t);
	if (config_parse_text(t, "f", text, len, &err) == 0 &&
	    config_references_expand(t, &err) == 0)
		dump(t->root, out);
	else
		fprintf(out, "!%s", err.text);
	fclose(out);
	config_tree_destroy(t);
	return got;
}

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char *got = tree_of(rows[i].text, strlen(rows[i].text));

		if (strcmp(got, rows[i].tree) != 0)
			fail_msg("%s:\n%s\n  is      %s\n  instead %s", rows[i].why, rows[i].text,
				 got, rows[i].tree);
		free(got);
	}
}

#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof((rows)[0]))

static void test_values(void **state)
{
	static const struct row rows[] = {
		{"", "", "nothing"},
		{"\n# only\n\t # comments", "", "no line end after a comment"},
		{"a = b", "a=b", "no line end"},
		{"a=b\n", "a=b", "no blanks"},
		{"a =   b  c\t d  \n", "a=b c d",
		 "words are joined by one blank, ends are trimmed"},
		{"a = b # c\n", "a=b", "a comment ends the value"},
		{"a = b#c\n", "a=b", "also without a blank, as in strongSwan"},
		{"a = \"b # c }\"\n", "a=b # c }", "not inside quotes"},
		{"a = x=y:z,{.\n", "a=x=y:z,{.", "what names cannot hold, values can"},
		{"a = 1\r\nb = 2\r\n", "a=1 b=2", "line ends of Windows"},
		{"\xef\xbb\xbf"
		 "a = 1",
		 "a=1", "a byte order mark"},
		{"a =\nb = 1", "a=! b=1", "an empty value ends with its line"},
		{"a = \"\"", "a=", "an empty string is a value"},
		{"a = \"x\\n\\t\\r\\\"\\\\\\q\"", "a=x\n\t\r\"\\q", "escapes"},
		{"a = \"x\\\n y\"", "a=x y", "a backslash joins lines"},
		{"a = \"x\\\r\n y\"", "a=x y", "also those of Windows"},
		{"a = \"x\ny\"\nb = 1", "a=x\ny b=1", "a string over two lines"},
		{"a = \"x\" y \"z\"", "a=x y z", "strings and words mixed"},
		{"a = b\\n", "a=b\\n", "no escapes outside quotes"},
		{"a = 1\na = 2", "a=2", "the later key wins"},
		{"a = 1\na =", "a=!", "also when it is empty"},
		{"a\n=\nb=1", "a=! b=1", "a name may be followed by line ends, a '=' may not"},
		{"include = 1\ninclude { a = 1 }", "include=1 include{a=1}",
		 "a key called include"},
		{"caf\xc3\xa9 = 1", "caf\xc3\xa9=1", "UTF-8 in names"},
	};

	(void)state;
	CHECK_ROWS(rows);
}

static void test_sections(void **state)
{
	static const struct row rows[] = {
		{"a { }", "a{}", "empty"},
		{"a{b=1}c=2", "a{b=1} c=2", "a brace ends a value"},
		{"a { b = 1\n c { d = 2 } e = 3 }", "a{b=1 c{d=2} e=3}", "nested"},
		{"a\n\n# c\n{ }", "a{}", "the brace on another line"},
		{"a { b = 1 }\na { b = 2\n c = 3 }", "a{b=2 c=3}", "repeated sections merge"},
		{"a = 1\na { b = 2 }", "a=1 a{b=2}", "keys and sections have names of their own"},
	};

	(void)state;
	CHECK_ROWS(rows);
}

static void test_errors(void **state)
{
	static const struct row rows[] = {
		{"a {\nb = 1\n", "!f:1: a: the section that begins here has no '}'", "open"},
		{"a {\n b {\n }\n", "!f:1: a: the section that begins here has no '}'", "outer"},
		{"a { }\n}\n", "!f:2: '}' without a section to close", "stray"},
		{"\n\na = \"x\ny\n", "!f:3: the quoted value that begins here has no closing '\"'",
		 "string to the end"},
		{"a = \"x\ny\"\n}", "!f:3: '}' without a section to close",
		 "lines in a string count"},
		{"a = \"x\\\ny\"\n}", "!f:3: '}' without a section to close", "joined lines, too"},
		{"a = \"x\\", "!f:1: the quoted value that begins here has no closing '\"'",
		 "backslash at the end"},
		{"a\nb = 1\n", "!f:1: a: '= VALUE' or '{' is expected after a name", "lost name"},
		{"a b = 1\n", "!f:1: a: '= VALUE' or '{' is expected after a name", "two words"},
		{"a", "!f:1: a: '= VALUE' or '{' is expected after a name", "a name at the end"},
		{"= 1", "!f:1: a section's or key's name is expected here, not '='", "no name"},
		{"\n\"a\" = 1", "!f:2: a section's or key's name is expected here, not '\"'",
		 "quoted"},
		{"a\x01 = 1", "!f:1: a: '= VALUE' or '{' is expected after a name", "control"},
		{"\x01", "!f:1: a section's or key's name is expected here, not 0x01", "control"},
		{"a.b = 1", "!f:1: a: a name cannot hold a '.'", "dotted"},
		{"a : { }", "!f:1: the name of a section is expected after ':' or ','",
		 "no reference"},
		{"a : b, { }", "!f:1: the name of a section is expected after ':' or ','", "comma"},
		{"a : .b { }", "!f:1: the name of a section is expected after ':' or ','",
		 "first dot"},
		{"a : b..c { }", "!f:1: the name of a section is expected after ':' or ','",
		 "two dots"},
		{"a : b. { }", "!f:1: the name of a section is expected after ':' or ','", "dot"},
		{"a : b c { }", "!f:1: ',' or '{' is expected here, not 'c'", "two words"},
		{"a : b", "!f:1: '{' is expected after the section's references", "the end"},
		{"include x", "!f:1: include: not possible in a configuration without a file",
		 "text"},
	};
	char *got;

	(void)state;
	CHECK_ROWS(rows);
	got = tree_of("a = 1\n\0b = 2", 12);
	assert_string_equal(got, "!f:2: a zero byte: this is not a text file");
	free(got);
}

static void test_references(void **state)
{
	static const struct row rows[] = {
		{"t { x = 1\n y = 2 }\na : t { x = 3 }", "t{x=1 y=2} a{x=3 y=2}", "own keys win"},
		{"a : t { x = 3 }\nt { x = 1 }", "a{x=3} t{x=1}", "a later section"},
		{"t { x = 1 }\na : t { x = }", "t{x=1} a{x=!}", "an empty value hides"},
		{"s { x = 1\n y = 1 }\nt { y = 2\n z = 2 }\na : s, t { }",
		 "s{x=1 y=1} t{y=2 z=2} a{x=1 y=1 z=2}", "from left to right"},
		{"t { s { x = 1\n y = 2 } }\na : t { s { x = 3 } }", "t{s{x=1 y=2}} a{s{x=3 y=2}}",
		 "sub-sections merge"},
		{"s { x = 1 }\nt : s { y = 2 }\na : t { }", "s{x=1} t{y=2 x=1} a{y=2 x=1}",
		 "chain"},
		{"c { a { x = 1 }\n b : c.a { } }", "c{a{x=1} b{x=1}}", "a dotted name"},
		{"t { s { x = 1 } }\nc { a : t { } }\nd : c.a.s { }",
		 "t{s{x=1}} c{a{s{x=1}}} d{x=1}", "a path through a reference"},
		{"d { x = 1 }\nb { s { x = 2\n y = 2 } }\na : b { s : d { } }",
		 "d{x=1} b{s{x=2 y=2}} a{s{x=1 y=2}}",
		 "what a section refers to wins over what its parent inherits"},
		{"a { x = 1 }\na : t { }\nt { y = 2 }", "a{x=1 y=2} t{y=2}", "added later"},
		{"a : t { }",
		 "!f:1: reference to 't': no such section; the name is given from the "
		 "top, as in 'connections.NAME'",
		 "missing"},
		{"default { }\na : defualt { }",
		 "!f:2: reference to 'defualt': no such section; did "
		 "you mean 'default'?",
		 "mistyped"},
		{"a : b { }\nb : a { }", "!f:1: reference to 'b': the section takes over itself",
		 "circle"},
		{"a : a { }", "!f:1: reference to 'a': the section takes over itself", "self"},
	};
	char *got;

	(void)state;
	CHECK_ROWS(rows);
	// A section that takes over the one it lies in would go on for ever.
	got = tree_of("a { b : a { } }", 15);
	assert_non_null(strstr(got, "nest sections deeper than 16"));
	free(got);
}

static void test_depth(void **state)
{
	char text[256] = "", *got;

	(void)state;
	for (int i = 0; i < LIMIT_CONFIG_DEPTH; i++)
		strcat(text, "a{");
	for (int i = 0; i < LIMIT_CONFIG_DEPTH; i++)
		strcat(text, "}");
	got = tree_of(text, strlen(text));
	assert_int_equal(got[0], 'a');
	free(got);
	memmove(text + 2, text, strlen(text) + 1);
	memcpy(text, "a{", 2);
	strcat(text, "}");
	got = tree_of(text, strlen(text));
	assert_string_equal(got, "!f:1: a: sections and includes are nested deeper than 16");
	free(got);
}

// Doubling references: 2^40 sections if they were followed blindly.
static void test_references_are_bounded(void **state)
{
	char text[8192] = "s0 { x = 1 }\n", *got;
	size_t at = strlen(text);

	(void)state;
	for (int i = 1; i < 15; i++)
		at += (size_t)snprintf(
			text + at, sizeof(text) - at,
			"s%d { a : s%d { }\n b : s%d { }\n c : s%d { }\n d : s%d { } }\n", i, i - 1,
			i - 1, i - 1, i - 1);
	got = tree_of(text, at);
	assert_int_equal(got[0], '!');
	assert_non_null(strstr(got, "the references make more than"));
	free(got);
}

// ---- includes ----

static char dir[64];

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test-config.XXXXXX");
	return mkdtemp(dir) != NULL ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static void write_file(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

// The tree of dir/main, or '!' and the error with the directory's name left out.
static char *tree_of_file(const char *name, int *rc)
{
	struct config_tree *t = config_tree_create();
	struct error err = {""};
	char path[256], *got = NULL, *p;
	size_t size;
	FILE *out = open_memstream(&got, &size);

	assert_non_null(t);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	*rc = config_parse_file(t, path, &err);
	if (*rc == 0)
		dump(t->root, out);
	else
		fprintf(out, "!%s", err.text);
	fclose(out);
	while ((p = strstr(got, dir)) != NULL)
		memmove(p, p + strlen(dir) + 1, strlen(p + strlen(dir) + 1) + 1);
	config_tree_destroy(t);
	return got;
}

static void test_includes(void **state)
{
	char command[128];
	static const struct {
		const char *text, *tree;
		int rc;
		const char *why;
	} rows[] = {
		{"a = 1\ninclude one.conf\nb = 3", "a=2 c=1 b=3", 0, "settings follow each other"},
		{"s { include one.conf }", "s{a=2 c=1}", 0, "inside a section"},
		{"include d/*.conf", "x=b y=2", 0, "a pattern, in order"},
		{"include d/*.none\na = 1", "a=1", 0, "a pattern that matches nothing"},
		{"include \"with blank.conf\"", "blank=1", 0, "quoted"},
		{"include with\\ blank.conf # c", "blank=1", 0, "escaped"},
		{"include d/sub.inc", "deep=1", 0, "relative to the including file"},
		{"\ninclude none.conf", "!main:2: include none.conf: no such file", -EINVAL,
		 "none"},
		{"include main", "!main:1: include main: the file includes itself", -ELOOP,
		 "itself"},
		{"include loop.conf", "!loop.conf:2: include main: the file includes itself",
		 -ELOOP, "a circle"},
		{"include d", "!main:1: include d: is a directory", -EINVAL, "a directory"},
		{"include bad.conf", "!bad.conf:2: a: the section that begins here has no '}'",
		 -EINVAL, "a section ends in the file it began in"},
		{"include", "!main:1: include: '= VALUE' or '{' is expected after a name", -EINVAL,
		 "no name"},
	};

	(void)state;
	snprintf(command, sizeof(command), "mkdir %s/d", dir);
	assert_int_equal(system(command), 0);
	write_file("one.conf", "a = 2\nc = 1");
	write_file("d/a.conf", "x = a");
	write_file("d/b.conf", "x = b\ny = 2");
	write_file("d/sub.inc", "include sub.inner");
	write_file("d/sub.inner", "deep = 1");
	write_file("with blank.conf", "blank = 1");
	write_file("loop.conf", "\ninclude main");
	write_file("bad.conf", "\na {");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *got;
		int rc;

		write_file("main", rows[i].text);
		got = tree_of_file("main", &rc);
		if (strcmp(got, rows[i].tree) != 0 || rc != rows[i].rc)
			fail_msg("%s:\n%s\n  is      %s (%d)\n  instead %s", rows[i].why,
				 rows[i].text, got, rc, rows[i].tree);
		free(got);
	}
}

static void test_files_that_cannot_be_read(void **state)
{
	char *got, path[256];
	int rc;

	(void)state;
	got = tree_of_file("none", &rc);
	assert_int_equal(rc, -ENOENT);
	assert_string_equal(got, "!none: No such file or directory");
	free(got);
	snprintf(path, sizeof(path), "%s/pipe", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	got = tree_of_file("pipe", &rc); // must not wait for a writer
	assert_int_equal(rc, -EINVAL);
	assert_string_equal(got, "!pipe: is not a regular file");
	free(got);
	snprintf(path, sizeof(path), "%s/large", dir);
	write_file("large", "");
	assert_int_equal(truncate(path, (off_t)LIMIT_CONFIG_FILE_LEN + 1), 0);
	got = tree_of_file("large", &rc);
	assert_int_equal(rc, -EFBIG);
	free(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_sections),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_references_are_bounded),
		cmocka_unit_test_setup_teardown(test_includes, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_files_that_cannot_be_read, make_dir,
						remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
