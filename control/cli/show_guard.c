#include "control/cli/show.h"

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

static void show_sources(FILE *out, const struct node *sources)
{
	static const char *const heads[] = {"SOURCE",	"LIKELY", ">MESSAGES", ">MAX/S",
					    ">OPENERS", ">SHOWN", ">ASKED",    ">LIMITED",
					    ">LAST",	"TTL",	  "WHY",       NULL};
	char text[FORMAT_TEXT_MAX];
	struct table t;

	table_init(&t, heads);
	for (const struct node *s = sources ? sources->first : NULL; s; s = s->next) {
		table_row(&t);
		table_cell(&t, "%s", s->name);
		table_cell(&t, "%s", tree_text(s, "class", "-"));
		table_cell(&t, "%s", tree_text(s, "messages", "-"));
		table_cell(&t, "%s", tree_text(s, "per-second-max", "-"));
		table_cell(&t, "%s", tree_text(s, "openers", "-"));
		table_cell(&t, "%s", tree_text(s, "cookies-shown", "-"));
		table_cell(&t, "%s", tree_text(s, "cookies-asked", "-"));
		table_cell(&t, "%s", tree_text(s, "limited", "-"));
		table_cell(&t, "%s",
			   format_duration(tree_number(s, "last-ms") / 1000, text, sizeof(text)));
		table_cell(&t, "%s", tree_text(s, "ttl", "-"));
		table_cell(&t, "%s", tree_text(s, "why", "-"));
	}
	table_print(&t, out);
	table_fini(&t);
}

void show_guard(FILE *out, const struct node *root)
{
	const struct node *sources = tree_get(root, "sources");

	fprintf(out, "guard %s; %s addresses of peers, %s IKE SAs",
		tree_text(root, "enabled", "no")[0] == 'y' ? "on" : "off",
		tree_text(root, "peers", "0"), tree_text(root, "ike-sas", "0"));
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
		"\n%s sources are known, those that sent most are shown; times since the last "
		"message\n",
		tree_text(root, "sources-known", "0"));
}
