// What the flight recorder has: events, the last IKE headers of each peer, the last ten minutes.
#include "control/cli/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/cli/table.h"

#define LINE_MAX_LEN 2048

enum { HISTORY_SHOWN = 60 }; // seconds, without --all

// A value for the terminal: peers have chosen some of it.
static void line(FILE *out, const char *text)
{
	char buf[LINE_MAX_LEN];

	snprintf(buf, sizeof(buf), "%s", text);
	fprintf(out, "%s\n", make_printable(buf));
}

// ---- events ----

static void print_event(FILE *out, const struct node *e)
{
	char buf[LINE_MAX_LEN], took[48] = "";
	const char *child = tree_text(e, "child", "");

	if (tree_get(e, "took-ms"))
		snprintf(took, sizeof(took), " (%" PRIu64 " ms)", tree_number(e, "took-ms"));
	snprintf(buf, sizeof(buf), "%s %-7s %-14s %s%s%s%s%s%s", tree_text(e, "time", "?"),
		 tree_text(e, "kind", "?"), tree_text(e, "code", "-"), tree_text(e, "ike", ""),
		 *child ? "/" : "", child, tree_get(e, "ike") ? ": " : "", tree_text(e, "msg", "?"),
		 took);
	line(out, buf);
}

size_t show_events(FILE *out, const struct node *root, bool *before)
{
	const struct node *list = tree_get(root, "list-event");
	size_t n = 0;

	for (const struct node *ev = list ? list->first : NULL; ev; ev = ev->next)
		for (const struct node *e = ev->first; e; e = e->next) {
			if (*before && !tree_get(e, "before-start"))
				fprintf(out, "-- the daemon was started --\n");
			*before = tree_get(e, "before-start") != NULL;
			print_event(out, e);
			n++;
		}
	return n;
}

// ---- headers ----

static void print_hops(FILE *out, const struct node *hops)
{
	if (!hops)
		return;
	fputs("  since the start:", out);
	for (const struct node *h = hops->first; h; h = h->next)
		fprintf(out, " %s %s%s", h->name, h->value ? h->value : "?", h->next ? "," : "");
	putc('\n', out);
}

// The exchange by its number when it has no name.
static void header_row(struct table *t, const struct node *h)
{
	table_row(t);
	table_cell(t, "  %s", tree_text(h, "time", "?"));
	table_cell(t, "%s", tree_text(h, "direction", "?"));
	table_cell(t, "%s[%s]", tree_text(h, "local-host", "?"), tree_text(h, "local-port", "?"));
	table_cell(t, "%s[%s]", tree_text(h, "remote-host", "?"), tree_text(h, "remote-port", "?"));
	table_cell(t, "%s %s", tree_text(h, "exchange", "-"), tree_text(h, "message", ""));
	table_cell(t, "%s", tree_text(h, "message-id", "-"));
	table_cell(t, "%s", tree_text(h, "length", "?"));
	table_cell(t, "%s", tree_text(h, "initiator-spi", "-"));
	table_cell(t, "%s", tree_text(h, "responder-spi", "-"));
	table_cell(t, "%s: %s%s%s", tree_text(h, "hop", "?"), tree_text(h, "fate", "?"),
		   tree_get(h, "error") ? ", " : "", tree_text(h, "error", ""));
}

static void print_peer(FILE *out, const struct node *p)
{
	static const char *const heads[] = {"  TIME",	     "DIR",  "OURS",	"PEER",
					    "EXCHANGE",	     ">ID",  ">LENGTH", "INITIATOR SPI",
					    "RESPONDER SPI", "FATE", NULL};
	const struct node *headers = tree_get(p, "headers");
	struct table t;

	fprintf(out, "%s: last heard %s, last sent to %s\n", p->name,
		tree_text(p, "last-in", "never"), tree_text(p, "last-out", "never"));
	print_hops(out, tree_get(p, "hops"));
	if (!headers || !headers->first)
		return;
	table_init(&t, heads);
	for (const struct node *h = headers->first; h; h = h->next)
		header_row(&t, h);
	table_print(&t, out);
	table_fini(&t);
}

void show_ike_headers(FILE *out, const struct node *root)
{
	const struct node *list = tree_get(root, "list-ike-header");
	bool any = false;

	for (const struct node *ev = list ? list->first : NULL; ev; ev = ev->next)
		for (const struct node *p = ev->first; p; p = p->next) {
			if (any)
				putc('\n', out);
			any = true;
			print_peer(out, p);
		}
	if (!any)
		fprintf(out, "no IKE message has come to control or left it\n");
}

// ---- history ----

// "limited 7, cookie 2" of a section that has only what is not zero.
static const char *pairs(const struct node *section, char *buf, size_t size)
{
	size_t len = 0;

	snprintf(buf, size, "-");
	for (const struct node *n = section ? section->first : NULL; n && len < size; n = n->next)
		len += (size_t)snprintf(buf + len, size - len, "%s%s %s", len ? ", " : "", n->name,
					n->value ? n->value : "?");
	return buf;
}

static void history_row(struct table *t, const struct node *s)
{
	char text[512];

	table_row(t);
	table_cell(t, "%.19s", tree_text(s, "time", "?"));
	table_cell(t, "%s", tree_text(s, "esp-in", "?"));
	table_cell(t, "%s", tree_text(s, "esp-out", "?"));
	table_cell(t, "%s", tree_text(s, "ike-in", "?"));
	table_cell(t, "%s", tree_text(s, "ike-out", "?"));
	table_cell(t, "%s", tree_text(s, "half-open", "?"));
	table_cell(t, "%s", tree_text(s, "busiest-percent", "?"));
	table_cell(t, "%s", pairs(tree_get(s, "guard"), text, sizeof(text)));
	table_cell(t, "%s", pairs(tree_get(s, "drops"), text, sizeof(text)));
}

void show_history(FILE *out, const struct node *root, bool all)
{
	static const char *const heads[] = {"TIME (UTC)", ">ESP IN",	">ESP OUT", ">IKE IN",
					    ">IKE OUT",	  ">HALF-OPEN", ">BUSY %",  "GUARD",
					    "DROPS",	  NULL};
	const struct node *list = tree_get(root, "list-second");
	struct table t;
	size_t n = 0;

	for (const struct node *ev = list ? list->first : NULL; ev; ev = ev->next)
		n++;
	if (n == 0) {
		fprintf(out, "no second has been counted yet\n");
		return;
	}
	table_init(&t, heads);
	for (const struct node *ev = list->first; ev; ev = ev->next, n--)
		if (all || n <= HISTORY_SHOWN)
			history_row(&t, ev->first);
	table_print(&t, out);
	table_fini(&t);
}
