#include "control/cli/table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct table_row {
	struct table_row *next;
	size_t n;
	char *cell[TABLE_COLUMNS_MAX];
	bool note; // cell[0] is a line of its own
};

void table_init(struct table *t, const char *const *heads)
{
	*t = (struct table){0};
	for (; heads[t->columns] && t->columns < TABLE_COLUMNS_MAX; t->columns++) {
		const char *head = heads[t->columns];

		t->right[t->columns] = head[0] == '>';
		t->head[t->columns] = head + (head[0] == '>');
	}
}

void table_fini(struct table *t)
{
	while (t->rows) {
		struct table_row *row = t->rows;

		t->rows = row->next;
		for (size_t i = 0; i < row->n; i++)
			free(row->cell[i]);
		free(row);
	}
	t->last = NULL;
}

void table_row(struct table *t)
{
	struct table_row *row = calloc(1, sizeof(*row));

	if (!row) {
		t->failed = true;
		return;
	}
	if (t->last)
		t->last->next = row;
	else
		t->rows = row;
	t->last = row;
}

char *make_printable(char *text)
{
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	return text;
}

static void add_cell(struct table *t, const char *fmt, va_list ap)
{
	char *text;

	if (t->failed || !t->last || t->last->n == TABLE_COLUMNS_MAX)
		return;
	if (vasprintf(&text, fmt, ap) < 0) {
		t->failed = true;
		return;
	}
	make_printable(text);
	t->last->cell[t->last->n++] = text;
}

void table_cell(struct table *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_cell(t, fmt, ap);
	va_end(ap);
}

void table_note(struct table *t, const char *fmt, ...)
{
	va_list ap;

	table_row(t);
	if (t->failed)
		return;
	t->last->note = true;
	va_start(ap, fmt);
	add_cell(t, fmt, ap);
	va_end(ap);
}

// Characters on the screen, near enough: UTF-8 continuation bytes take no room.
static size_t width_of(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void print_cells(const struct table *t, const char *const *cell, size_t n,
			const size_t *width, FILE *out)
{
	size_t pending = 0; // blanks that are only written when something follows

	for (size_t i = 0; i < n && i < t->columns; i++) {
		size_t len = width_of(cell[i]);
		size_t pad = width[i] > len ? width[i] - len : 0;

		if (len == 0) {
			pending += pad + 2;
			continue;
		}
		pending += t->right[i] ? pad : 0;
		fprintf(out, "%*s%s", (int)pending, "", cell[i]);
		pending = (t->right[i] ? 0 : pad) + 2;
	}
	putc('\n', out);
}

void table_print(const struct table *t, FILE *out)
{
	size_t width[TABLE_COLUMNS_MAX] = {0};

	for (size_t i = 0; i < t->columns; i++)
		width[i] = width_of(t->head[i]);
	for (const struct table_row *row = t->rows; row; row = row->next) {
		if (row->note)
			continue;
		for (size_t i = 0; i < row->n && i < t->columns; i++) {
			size_t len = width_of(row->cell[i]);

			if (len > width[i])
				width[i] = len;
		}
	}
	print_cells(t, t->head, t->columns, width, out);
	for (const struct table_row *row = t->rows; row; row = row->next) {
		if (row->note)
			fprintf(out, "    %s\n", row->n ? row->cell[0] : "");
		else
			print_cells(t, (const char *const *)row->cell, row->n, width, out);
	}
}

char *format_bytes(uint64_t bytes, char *buf, size_t size)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double v = (double)bytes;
	size_t i = 0;

	if (bytes < 1024) {
		snprintf(buf, size, "%" PRIu64 " B", bytes);
		return buf;
	}
	// 1023.95 would be written as 1024.0.
	for (v /= 1024; v >= 1023.95 && i + 1 < sizeof(units) / sizeof(units[0]); i++)
		v /= 1024;
	snprintf(buf, size, "%.1f %s", v, units[i]);
	return buf;
}

char *format_duration(uint64_t seconds, char *buf, size_t size)
{
	uint64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;

	if (days)
		snprintf(buf, size, "%" PRIu64 "d%02" PRIu64 "h", days, hours % 24);
	else if (hours)
		snprintf(buf, size, "%" PRIu64 "h%02" PRIu64 "m", hours, minutes % 60);
	else if (minutes)
		snprintf(buf, size, "%" PRIu64 "m%02" PRIu64 "s", minutes, seconds % 60);
	else
		snprintf(buf, size, "%" PRIu64 "s", seconds);
	return buf;
}
