#include "control/cli/show.h"

#include <inttypes.h>

#include "control/cli/table.h"

static void show_messages(FILE *out, const struct node *messages)
{
	static const char *const heads[] = {"MESSAGES", ">COUNT", "MEANING", NULL};
	struct table t;

	table_init(&t, heads);
	for (const struct node *m = messages ? messages->first : NULL; m; m = m->next) {
		table_row(&t);
		table_cell(&t, "%s", m->name);
		table_cell(&t, "%s", tree_text(m, "messages", "0"));
		table_cell(&t, "%s", tree_text(m, "help", ""));
	}
	table_print(&t, out);
	table_fini(&t);
}

// The rate of the last whole second is nobody's any more once the source has stopped.
static const char *now_per_second(const struct node *s)
{
	return tree_number(s, "last-ms") < 2000 ? tree_text(s, "per-second", "-") : "0";
}

static const char *exchange_name(uint64_t version, uint64_t exchange)
{
	static const struct {
		uint8_t version, exchange;
		const char *name;
	} names[] = {
		{1, 2, "IKEv1 Main Mode"},     {1, 4, "IKEv1 Aggressive Mode"},
		{1, 5, "IKEv1 Informational"}, {1, 32, "IKEv1 Quick Mode"},
		{2, 34, "IKE_SA_INIT"},	       {2, 35, "IKE_AUTH"},
		{2, 36, "CREATE_CHILD_SA"},    {2, 37, "INFORMATIONAL"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].version == version && names[i].exchange == exchange)
			return names[i].name;
	return NULL;
}

// What its messages look like.
static void note_messages(struct table *t, const struct node *s)
{
	const uint64_t version = tree_number(s, "last-version");
	const uint64_t exchange = tree_number(s, "last-exchange");
	const char *name = exchange_name(version, exchange);
	char first[FORMAT_TEXT_MAX], last[64] = "", vendor[32] = "", usual[32] = "";

	if (name)
		snprintf(last, sizeof(last), ", the last one %s", name);
	else if (version)
		snprintf(last, sizeof(last), ", the last one IKEv%" PRIu64 " exchange %" PRIu64,
			 version, exchange);
	if (tree_get(s, "vendor"))
		snprintf(vendor, sizeof(vendor), ", vendor ID %s", tree_text(s, "vendor", ""));
	if (tree_get(s, "ttl-usual"))
		snprintf(usual, sizeof(usual), ", TTL usually %s", tree_text(s, "ttl-usual", ""));
	table_note(t, "since %s: %s bytes each, %s to port 500, last from port %s%s%s%s",
		   format_duration(tree_number(s, "first-ms") / 1000, first, sizeof(first)),
		   tree_text(s, "length", "?"), tree_text(s, "to-500", "?"),
		   tree_text(s, "from-port", "?"), last, vendor, usual);
}

static void show_sources(FILE *out, const struct node *sources)
{
	static const char *const heads[] = {
		"SOURCE", "LIKELY",  ">MESSAGES", ">NOW/S", ">MAX/S", ">OPENERS", ">ASKED",
		">SHOWN", ">PASSED", ">LIMITED",  ">LAST",  "TTL",    NULL};
	char text[FORMAT_TEXT_MAX];
	struct table t;

	table_init(&t, heads);
	for (const struct node *s = sources ? sources->first : NULL; s; s = s->next) {
		table_row(&t);
		table_cell(&t, "%s", s->name);
		table_cell(&t, "%s", tree_text(s, "class", "-"));
		table_cell(&t, "%s", tree_text(s, "messages", "-"));
		table_cell(&t, "%s", now_per_second(s));
		table_cell(&t, "%s", tree_text(s, "per-second-max", "-"));
		table_cell(&t, "%s", tree_text(s, "openers", "-"));
		table_cell(&t, "%s", tree_text(s, "cookies-asked", "-"));
		table_cell(&t, "%s", tree_text(s, "cookies-shown", "-"));
		table_cell(&t, "%s", tree_text(s, "passed", "-"));
		table_cell(&t, "%s", tree_text(s, "limited", "-"));
		table_cell(&t, "%s",
			   format_duration(tree_number(s, "last-ms") / 1000, text, sizeof(text)));
		table_cell(&t, "%s", tree_text(s, "ttl", "-"));
		table_note(&t, "%s", tree_text(s, "why", "-"));
		note_messages(&t, s);
	}
	table_print(&t, out);
	table_fini(&t);
}

void show_guard(FILE *out, const struct node *root)
{
	const struct node *sources = tree_get(root, "sources");

	fprintf(out, "guard %s; %s address%s of peers, %s IKE SA%s",
		tree_text(root, "enabled", "no")[0] == 'y' ? "on" : "off",
		tree_text(root, "peers", "0"), tree_number(root, "peers") == 1 ? "" : "es",
		tree_text(root, "ike-sas", "0"), tree_number(root, "ike-sas") == 1 ? "" : "s");
	if (tree_number(root, "peers-limited") > 0)
		fprintf(out, "; %s messages from addresses of peers were dropped by its limits",
			tree_text(root, "peers-limited", "0"));
	fprintf(out, "\n\n");
	show_messages(out, tree_get(root, "messages"));
	if (!sources || !sources->first) {
		fprintf(out, "\nnobody has sent IKE yet\n");
		return;
	}
	fprintf(out, "\n");
	show_sources(out, sources);
	fprintf(out,
		"\n%s sources are known, those that sent most are shown. Openers are IKE_SA_INIT "
		"requests: ASKED\nfor a cookie, SHOWN one. LAST: time since the last message.\n",
		tree_text(root, "sources-known", "0"));
}
