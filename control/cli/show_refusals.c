#include "control/cli/show.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "control/cli/table.h"

#define LINE_MAX_LEN 4096

// A value for the terminal: what a peer has said of itself must not steer it.
static void line(FILE *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void line(FILE *out, const char *fmt, ...)
{
	char text[LINE_MAX_LEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(out, "%s\n", make_printable(text));
}

// The items of a list, or a dash for none.
static const char *items(const struct node *list, char *buf, size_t size)
{
	return list && list->first ? tree_join(list, buf, size) : "-";
}

static const char *verdict_text(const char *verdict)
{
	static const char *const texts[][2] = {
		{"common", "agreed"},
		{"different", "NOTHING IN COMMON"},
		{"only-ours", "THE PEER HAS NONE"},
		{"only-theirs", "WE HAVE NONE"},
		{"unknown", "the peer does not say"},
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(verdict, texts[i][0]) == 0)
			return texts[i][1];
	return verdict;
}

static void print_transforms(FILE *out, const struct node *transforms)
{
	static const char *const heads[] = {"  TRANSFORM", "OURS", "THE PEER'S", "VERDICT", NULL};
	char text[LINE_MAX_LEN];
	struct table t;

	if (!transforms)
		return;
	table_init(&t, heads);
	for (const struct node *row = transforms->first; row; row = row->next) {
		table_row(&t);
		table_cell(&t, "  %s", row->name);
		table_cell(&t, "%s", items(tree_get(row, "ours"), text, sizeof(text)));
		table_cell(&t, "%s", items(tree_get(row, "theirs"), text, sizeof(text)));
		table_cell(&t, "%s", verdict_text(tree_text(row, "verdict", "?")));
	}
	if (t.rows && !t.failed)
		table_print(&t, out);
	table_fini(&t);
}

static void print_identity(FILE *out, const char *words, const struct node *id)
{
	if (id)
		line(out, "  %-26s %s '%s'", words, tree_text(id, "type", "?"),
		     tree_text(id, "id", "?"));
}

static void print_selectors(FILE *out, const char *words, const struct node *pair)
{
	char local[LINE_MAX_LEN / 4], remote[LINE_MAX_LEN / 4];

	if (pair)
		line(out, "  %-26s %s === %s", words,
		     items(tree_get(pair, "local-ts"), local, sizeof(local)),
		     items(tree_get(pair, "remote-ts"), remote, sizeof(remote)));
}

static void print_candidate(FILE *out, const struct node *c)
{
	const struct node *local = tree_get(c, "local-id"), *remote = tree_get(c, "remote-id");
	const struct node *differs = tree_get(c, "differs");
	char text[LINE_MAX_LEN / 4], more[LINE_MAX_LEN / 2] = "";

	if (differs)
		snprintf(more, sizeof(more), ", no common: %s", items(differs, text, sizeof(text)));
	else if (local || remote)
		snprintf(more, sizeof(more), ": we are %s, it is %s",
			 tree_text(local, "id", "anything"), tree_text(remote, "id", "anything"));
	line(out, "  candidate %-16s %s%s", c->name, tree_text(c, "text", "?"), more);
	if (tree_get(c, "local-ts"))
		print_selectors(out, "  selectors", c);
}

static void print_certificate(FILE *out, const struct node *c)
{
	line(out, "  certificate %-14s %s", c->name, tree_text(c, "subject", "?"));
	line(out, "    issuer                   %s", tree_text(c, "issuer", "?"));
	line(out, "    valid                    %s to %s", tree_text(c, "not-before", "?"),
	     tree_text(c, "not-after", "?"));
}

static void each(FILE *out, const struct node *list,
		 void (*print)(FILE *out, const struct node *entry))
{
	for (const struct node *n = list ? list->first : NULL; n; n = n->next)
		print(out, n);
}

static void print_head(FILE *out, const struct node *r)
{
	uint64_t count = tree_number(r, "count");
	const char *child = tree_text(r, "child", NULL);

	line(out, "#%s %s %s%s%s%s", r->name, tree_text(r, "last", "?"), tree_text(r, "code", "?"),
	     tree_get(r, "ike") ? " " : "", tree_text(r, "ike", ""),
	     tree_get(r, "stranger") ? " (address not configured)" : "");
	line(out, "  %s", tree_text(r, "why", "?"));
	if (count > 1)
		line(out, "  %-26s %" PRIu64 ", since %s", "times", count,
		     tree_text(r, "first", "?"));
	line(out, "  %-26s %s, we are its %s", "exchange", tree_text(r, "exchange", "?"),
	     tree_text(r, "role", "?"));
	line(out, "  %-26s %s%s%s", "refused by",
	     strcmp(tree_text(r, "refused-by", ""), "us") == 0 ? "us" : "the peer",
	     tree_get(r, "notify") ? ", " : "", tree_text(r, "notify", ""));
	line(out, "  %-26s %s[%s] %s[%s]", "we, the peer", tree_text(r, "local-host", "?"),
	     tree_text(r, "local-port", "?"), tree_text(r, "remote-host", "?"),
	     tree_text(r, "remote-port", "?"));
	if (child)
		line(out, "  %-26s %s", "child", child);
}

static void print_refusal(FILE *out, const struct node *r)
{
	const struct node *ts = tree_get(r, "selectors");

	print_head(out, r);
	print_identity(out, "the peer calls itself", tree_get(r, "remote-id"));
	print_identity(out, "we want it to be", tree_get(r, "remote-id-wanted"));
	print_identity(out, "we are", tree_get(r, "local-id"));
	print_identity(out, "the peer asks for", tree_get(r, "local-id-asked"));
	print_transforms(out, tree_get(r, "transforms"));
	print_selectors(out, "our selectors", tree_get(ts, "ours"));
	print_selectors(out, "the peer's selectors", tree_get(ts, "theirs"));
	each(out, tree_get(r, "candidates"), print_candidate);
	if (tree_get(r, "candidates-more"))
		line(out, "  and %s more candidates", tree_text(r, "candidates-more", "?"));
	each(out, tree_get(r, "certificates"), print_certificate);
}

void show_refusals(FILE *out, const struct node *root)
{
	const struct node *list = tree_get(root, "list-refusal");
	bool any = false;

	for (const struct node *ev = list ? list->first : NULL; ev; ev = ev->next)
		for (const struct node *r = ev->first; r; r = r->next) {
			if (any)
				putc('\n', out);
			any = true;
			print_refusal(out, r);
		}
	if (!any)
		fputs("no negotiation has failed\n", out);
}
