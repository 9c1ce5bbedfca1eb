// doctor: what is wrong with a connection, whose problem it is, what to do next.
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/cli/cli.h"
#include "control/cli/evidence.h"
#include "control/cli/json.h"
#include "control/cli/table.h"

#define LINE_MAX_LEN 2048

// Exit statuses of this command; the daemon's answer has them too.
enum { HEALTHY, DEGRADED, DOWN, COULD_NOT_TELL };

static void line(FILE *out, const char *label, const char *text)
{
	char buf[LINE_MAX_LEN];

	snprintf(buf, sizeof(buf), "%s%s", label, text);
	fprintf(out, "%s\n", make_printable(buf));
}

static const char *state_word(const char *state)
{
	if (strcmp(state, "pass") == 0)
		return "ok";
	if (strcmp(state, "fail") == 0)
		return "FAIL";
	if (strcmp(state, "warn") == 0)
		return "WARN";
	return strcmp(state, "unknown") == 0 ? "?" : "-";
}

static void print_candidates(FILE *out, const struct node *candidates)
{
	char buf[LINE_MAX_LEN];

	if (!candidates)
		return;
	fprintf(out, "It may be:\n");
	for (const struct node *c = candidates->first; c; c = c->next) {
		snprintf(buf, sizeof(buf), "%-16s %-8s %s", tree_text(c, "code", "?"),
			 tree_text(c, "owner", "?"), tree_text(c, "text", ""));
		line(out, "  ", buf);
	}
}

// They say nothing: one line is enough.
static void print_not_reached(FILE *out, const struct node *rungs)
{
	const char *before = "Not reached: ";

	for (const struct node *r = rungs ? rungs->first : NULL; r; r = r->next) {
		if (strcmp(tree_text(r, "state", "?"), "not-reached") != 0)
			continue;
		fprintf(out, "%s%s", before, tree_text(r, "title", r->name));
		before = ", ";
	}
	if (before[0] == ',')
		putc('\n', out);
}

static void print_rungs(FILE *out, const struct node *rungs)
{
	static const char *const heads[] = {"STATE", "RUNG", "EVIDENCE", NULL};
	struct table t;

	table_init(&t, heads);
	for (const struct node *r = rungs ? rungs->first : NULL; r; r = r->next) {
		const char *state = tree_text(r, "state", "?"), *code = tree_text(r, "code", "?");
		bool named = strcmp(code, "ok") != 0 && strcmp(code, "unknown") != 0;

		if (strcmp(state, "not-reached") == 0)
			continue;
		table_row(&t);
		table_cell(&t, "%s", state_word(state));
		table_cell(&t, "%s", tree_text(r, "title", r->name));
		table_cell(&t, "%s%s%s", named ? code : "", named ? ": " : "",
			   tree_text(r, "evidence", ""));
		if (strcmp(state, "fail") == 0 || strcmp(state, "warn") == 0) {
			table_note(&t, "     next: %s", tree_text(r, "next", "-"));
			table_note(&t, "     in place of: %s", tree_text(r, "replaces", "-"));
		}
	}
	table_print(&t, out);
	table_fini(&t);
	print_not_reached(out, rungs);
}

static void print_conn(FILE *out, const struct node *conn)
{
	char buf[LINE_MAX_LEN];

	line(out, "", tree_text(conn, "verdict", "?"));
	snprintf(buf, sizeof(buf), "%s, owner: %s, confidence: %s, at %s",
		 tree_text(conn, "code", "?"), tree_text(conn, "owner", "?"),
		 tree_text(conn, "confidence", "?"), tree_text(conn, "time", "?"));
	line(out, "", buf);
	print_candidates(out, tree_get(conn, "candidates"));
	if (tree_get(conn, "next"))
		line(out, "Next: ", tree_text(conn, "next", ""));
	if (strcmp(tree_text(conn, "keep-config", "no"), "yes") == 0)
		fprintf(out, "Do not change your configuration: the fault is outside.\n");
	putc('\n', out);
	print_rungs(out, tree_get(conn, "rungs"));
}

static void print_summary(FILE *out, const struct node *list)
{
	static const char *const heads[] = {"CONNECTION",  "STATUS",  "CODE", "OWNER",
					    "KEEP-CONFIG", "VERDICT", NULL};
	struct table t;

	table_init(&t, heads);
	for (const struct node *ev = list->first; ev; ev = ev->next)
		for (const struct node *c = ev->first; c; c = c->next) {
			table_row(&t);
			table_cell(&t, "%s", c->name);
			table_cell(&t, "%s", tree_text(c, "status", "?"));
			table_cell(&t, "%s", tree_text(c, "code", "?"));
			table_cell(&t, "%s", tree_text(c, "owner", "?"));
			table_cell(&t, "%s", tree_text(c, "keep-config", "?"));
			table_cell(&t, "%s", tree_text(c, "verdict", "?"));
		}
	table_print(&t, out);
	table_fini(&t);
	fprintf(out, "\n'port500 doctor CONNECTION' shows the ladder of one\n");
}

// down, then what cannot be told, then degraded.
static unsigned badness(const struct node *conn)
{
	static const unsigned rank[] = {
		[HEALTHY] = 0, [DEGRADED] = 1, [COULD_NOT_TELL] = 2, [DOWN] = 3};
	uint64_t exit = tree_number(conn, "exit");

	return rank[exit <= COULD_NOT_TELL ? exit : COULD_NOT_TELL];
}

static int worst(const struct node *list, size_t *n)
{
	static const int status[] = {HEALTHY, DEGRADED, COULD_NOT_TELL, DOWN};
	unsigned worst = 0;

	for (const struct node *ev = list ? list->first : NULL; ev; ev = ev->next)
		for (const struct node *c = ev->first; c; c = c->next) {
			(*n)++;
			worst = badness(c) > worst ? badness(c) : worst;
		}
	return *n ? status[worst] : COULD_NOT_TELL;
}

// ---- probing first ----

enum {
	PROBE_TIMEOUT_MS = 15000, // a probe takes 4 s
	TURNS_S = 90,		  // then the first of them begin to be too old (two minutes)
	WORST = 3,		  // of badness()
};

static int probe_one(struct cli *cli, const char *conn, const char *which)
{
	struct node *root = tree_add(NULL, NODE_SECTION, "");
	struct vici_builder request = {0};
	int status;

	if (!root)
		return cli_fail(COULD_NOT_TELL, "out of memory");
	if (!cli->options.json)
		fprintf(stderr, "probing the peer of %s%s ...\n", conn, which);
	vici_kv(&request, "ike", conn);
	status = cli_query_slow(cli, "probe", NULL, &request, root, PROBE_TIMEOUT_MS, NULL);
	vici_builder_fini(&request);
	// Without it there is the gateway's own evidence left.
	if (!status && strcmp(tree_text(root, "success", "yes"), "yes") != 0)
		cli_fail(COULD_NOT_TELL, "%s: not probed: %s", conn,
			 tree_text(root, "errmsg", "it failed"));
	tree_free(root);
	return status ? COULD_NOT_TELL : HEALTHY;
}

size_t doctor_turns(const struct node *list, const struct node **turn, size_t max)
{
	size_t n = 0, all = 0;

	for (unsigned bad = WORST + 1; bad-- > 0;)
		for (const struct node *ev = list ? list->first : NULL; ev; ev = ev->next)
			for (const struct node *c = ev->first; c; c = c->next) {
				if (badness(c) != bad)
					continue;
				if (n < max)
					turn[n++] = c;
				all++;
			}
	return all;
}

static uint64_t now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec;
}

// One after the other, as long as the first answer counts.
static int probe_turns(struct cli *cli, const struct node *const *turn, size_t n)
{
	const uint64_t end = now_s() + TURNS_S;
	size_t i = 0;
	int status = HEALTHY;
	char which[64];

	for (; i < n && !status && now_s() < end; i++) {
		snprintf(which, sizeof(which), " (%zu of %zu)", i + 1, n);
		status = probe_one(cli, turn[i]->name, n > 1 ? which : "");
	}
	if (!status && i < n)
		cli_fail(HEALTHY,
			 "%zu of %zu connections were probed, the worst first: more takes longer "
			 "than their answers count. Name one to probe it",
			 i, n);
	return status;
}

static int probe_all(struct cli *cli)
{
	struct node *root = tree_add(NULL, NODE_SECTION, "");
	const struct node **turn = NULL;
	const struct node *list;
	size_t n;
	int status;

	if (!root)
		return cli_fail(COULD_NOT_TELL, "out of memory");
	status = cli_query(cli, "doctor", "doctor", NULL, root) ? COULD_NOT_TELL : HEALTHY;
	list = tree_get(root, "doctor");
	n = doctor_turns(list, NULL, 0);
	if (!status && cli->options.evidence && n > 1)
		status = cli_fail(COULD_NOT_TELL, "%zu connections: name one", n);
	if (!status && n > 0) {
		turn = calloc(n, sizeof(*turn));
		if (!turn)
			status = cli_fail(COULD_NOT_TELL, "out of memory");
	}
	if (turn) {
		doctor_turns(list, turn, n);
		status = probe_turns(cli, turn, n);
	}
	free(turn);
	tree_free(root);
	return status;
}

// ---- the page for the operator ----

static int read_lang(const struct options *o, enum lang *lang)
{
	const char *text = o->values[VALUE_LANG];

	*lang = LANG_EN;
	if (text && !o->evidence)
		return cli_fail(COULD_NOT_TELL, "--lang is of the page that --evidence writes");
	if (!text || strcmp(text, "en") == 0)
		return 0;
	*lang = LANG_ZH;
	return strcmp(text, "zh") == 0
		       ? 0
		       : cli_fail(COULD_NOT_TELL, "--lang: '%s' is neither en nor zh", text);
}

static int write_evidence(struct cli *cli, const struct node *list, size_t n, enum lang lang,
			  int status)
{
	if (n != 1)
		return cli_fail(COULD_NOT_TELL, "%zu connections: name one", n);
	evidence_write(cli->out, list->first->first, lang, (int64_t)time(NULL));
	return status;
}

int cli_doctor(struct cli *cli)
{
	struct node *root = tree_add(NULL, NODE_SECTION, "");
	const struct options *o = &cli->options;
	struct vici_builder request = {0};
	const struct node *list;
	enum lang lang;
	size_t n = 0;
	int status;

	if (!root)
		return cli_fail(COULD_NOT_TELL, "out of memory");
	if (read_lang(o, &lang)) {
		tree_free(root);
		return COULD_NOT_TELL;
	}
	if (o->probe) {
		status = o->n_args > 0 ? probe_one(cli, o->args[0], "") : probe_all(cli);
		if (status) {
			tree_free(root);
			return status;
		}
	}
	if (o->n_args > 0)
		vici_kv(&request, "ike", o->args[0]);
	status = cli_query(cli, "doctor", "doctor", &request, root) ? COULD_NOT_TELL : HEALTHY;
	vici_builder_fini(&request);
	if (!status && strcmp(tree_text(root, "success", "yes"), "yes") != 0)
		status = cli_fail(COULD_NOT_TELL, "%s", tree_text(root, "errmsg", "it failed"));
	if (status) {
		tree_free(root);
		return status;
	}
	list = tree_get(root, "doctor");
	status = worst(list, &n);
	if (o->json)
		json_write(cli->out, root);
	else if (o->evidence)
		status = write_evidence(cli, list, n, lang, status);
	else if (n == 0)
		fprintf(cli->out, "no connections are configured\n");
	else if (n == 1)
		print_conn(cli->out, list->first->first);
	else
		print_summary(cli->out, list);
	tree_free(root);
	return status;
}
