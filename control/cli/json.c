#include "control/cli/json.h"

#include <stdbool.h>

enum { ONE_LINE = 1 << 16 }; // a depth that no tree has: it is not laid out

// Length of the UTF-8 sequence at s (RFC 3629 4: shortest form, no surrogates, up to U+10FFFF), 0
// when it is none.
static size_t utf8_len(const unsigned char *s, size_t left)
{
	size_t n;
	unsigned char lo = 0x80, hi = 0xbf;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (s[0] == 0xe0)
		lo = 0xa0;
	else if (s[0] == 0xed)
		hi = 0x9f;
	else if (s[0] == 0xf0)
		lo = 0x90;
	else if (s[0] == 0xf4)
		hi = 0x8f;
	if (left < n || s[1] < lo || s[1] > hi)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return n;
}

static void write_string(FILE *out, const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *)text;

	putc('"', out);
	for (size_t i = 0; i < len;) {
		size_t n = utf8_len(s + i, len - i);

		if (s[i] == '"' || s[i] == '\\')
			fprintf(out, "\\%c", s[i]);
		else if (s[i] == '\n')
			fputs("\\n", out);
		else if (s[i] == '\t')
			fputs("\\t", out);
		else if (s[i] < 0x20 || s[i] == 0x7f || n == 0)
			fprintf(out, "\\u%04x", s[i]);
		else
			fwrite(s + i, 1, n, out);
		i += n ? n : 1;
	}
	putc('"', out);
}

static void write_name(FILE *out, const char *name)
{
	size_t len = 0;

	while (name[len])
		len++;
	write_string(out, name, len);
}

static void indent(FILE *out, unsigned depth)
{
	if (depth >= ONE_LINE)
		return;
	putc('\n', out);
	for (unsigned i = 0; i < depth; i++)
		fputs("  ", out);
}

static void write_node(FILE *out, const struct node *n, unsigned depth)
{
	bool is_list = n->kind == NODE_LIST;

	if (n->kind == NODE_VALUE) {
		write_string(out, n->value ? n->value : "", n->value_len);
		return;
	}
	putc(is_list ? '[' : '{', out);
	for (const struct node *m = n->first; m; m = m->next) {
		indent(out, depth + 1);
		if (!is_list) {
			write_name(out, m->name);
			fputs(": ", out);
		}
		write_node(out, m, depth + 1);
		if (m->next)
			putc(',', out);
	}
	if (n->first)
		indent(out, depth);
	putc(is_list ? ']' : '}', out);
}

void json_write_line(FILE *out, const struct node *root)
{
	write_node(out, root, ONE_LINE);
	putc('\n', out);
}

void json_write(FILE *out, const struct node *root)
{
	write_node(out, root, 0);
	putc('\n', out);
}
