// The command line's pieces: options, trees, JSON, tables, and what `port500 show` prints.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/cli.h"
#include "control/cli/json.h"
#include "control/cli/show.h"
#include "control/cli/table.h"

// ---- options ----

struct line {
	char *argv[12];
	int argc;
};

// Splits at blanks; the words are freed by line_free.
static struct line line_of(const char *text)
{
	struct line l = {.argv = {strdup("port500")}, .argc = 1};
	char *copy = strdup(text), *save = NULL;

	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		l.argv[l.argc++] = strdup(w);
	free(copy);
	return l;
}

static void line_free(struct line *l)
{
	for (int i = 0; i < l->argc; i++)
		free(l->argv[i]);
}

static void test_options_understood(void **state)
{
	static const struct {
		const char *line, *word, *subject;
		bool json, all;
		unsigned timeout_s;
		uint32_t ike_id;
		const char *arg;
	} rows[] = {
		{"status", "status", NULL, false, false, 30, 0, NULL},
		{"--json status", "status", NULL, true, false, 30, 0, NULL},
		{"show --json ike", "show", "ike", true, false, 30, 0, NULL},
		{"show drops --all", "show", "drops", false, true, 30, 0, NULL},
		{"up site-b/net --timeout 5", "up", NULL, false, false, 5, 0, "site-b/net"},
		{"up --timeout=7 x", "up", NULL, false, false, 7, 0, "x"},
		{"up", "up", NULL, false, false, 30, 0, NULL},
		{"down --ike-id 12", "down", NULL, false, false, 30, 12, NULL},
		{"down -- --odd", "down", NULL, false, false, 30, 0, "--odd"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct line l = line_of(rows[i].line);
		struct options o;
		struct error err = {0};

		if (options_parse(l.argc, l.argv, cli_commands, &o, &err))
			fail_msg("%s: %s", rows[i].line, err.text);
		assert_string_equal(o.command->word, rows[i].word);
		if (rows[i].subject)
			assert_string_equal(o.command->subject, rows[i].subject);
		assert_int_equal(o.json, rows[i].json);
		assert_int_equal(o.all, rows[i].all);
		assert_int_equal(o.timeout_s, rows[i].timeout_s);
		assert_int_equal(o.ike_id, rows[i].ike_id);
		assert_int_equal(o.n_args, rows[i].arg ? 1 : 0);
		if (rows[i].arg)
			assert_string_equal(o.args[0], rows[i].arg);
		line_free(&l);
	}
}

static void test_options_of_capture(void **state)
{
	struct line l = line_of("capture -w - --drops --spi c1 --child=a/b --l4-port 4500");
	struct error err = {0};
	struct options o;

	(void)state;
	assert_int_equal(options_parse(l.argc, l.argv, cli_commands, &o, &err), 0);
	assert_string_equal(o.command->word, "capture");
	assert_true(o.drops);
	for (unsigned v = 0; v < OPTION_VALUES; v++) {
		const char *want = v == VALUE_WRITE   ? "-"
				   : v == VALUE_SPI   ? "c1"
				   : v == VALUE_CHILD ? "a/b"
						      : "4500";

		if (v == VALUE_WRITE || v == VALUE_SPI || v == VALUE_CHILD || v == VALUE_L4_PORT)
			assert_string_equal(o.values[v], want);
		else
			assert_null(o.values[v]);
	}
	assert_string_equal(options_value_name(VALUE_SNAP_LEN), "snap-len");
	assert_string_equal(options_value_name(VALUE_WRITE), "write");
	line_free(&l);
}

static void test_options_refused(void **state)
{
	static const struct {
		const char *line, *part; // of the sentence
	} rows[] = {
		{"statsu", "did you mean 'status'?"},
		{"frobnicate", "see 'port500 help'"},
		{"show", "One of: ike, child, policies, routes, ports, interfaces, workers, "
			 "guard, refusals, events, ike-headers, history, drops"},
		{"show ikee", "did you mean 'show ike'?"},
		{"status extra", "'extra' is too much"},
		{"status --all", "'status' does not take --all"},
		{"up --ike-id 3", "'up' does not take --ike-id"},
		{"up --timeout 0", "not a number from 1"},
		{"up --timeout -5", "not a number from 1"},
		{"up --timeout 5s", "'5s' is not a number"},
		{"down --ike-id 4294967296", "not a number from 1 to 4294967295"},
		{"up --timeout", "needs a value"},
		{"--jsno status", "did you mean --json?"},
		{"-x status", "-x is not an option"},
		{"--all", "no command"},
		{"status --count 3", "'status' does not take --count"},
		{"capture --port", "needs a value"},
		{"capture --timeout 3", "'capture' does not take --timeout"},
		{"capture --snaplen 3", "did you mean --snap-len?"},
		{"show drops --xstats", "'show drops' does not take --xstats"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct line l = line_of(rows[i].line);
		struct options o;
		struct error err = {0};

		assert_int_equal(options_parse(l.argc, l.argv, cli_commands, &o, &err), -EINVAL);
		if (!strstr(err.text, rows[i].part))
			fail_msg("%s: '%s' lacks '%s'", rows[i].line, err.text, rows[i].part);
		line_free(&l);
	}
}

static void test_socket_from_option_environment_default(void **state)
{
	struct line l = line_of("status"), with = line_of("--socket /b status");
	struct error err = {0};
	struct options o;

	(void)state;
	unsetenv("PORT500_SOCKET");
	assert_int_equal(options_parse(l.argc, l.argv, cli_commands, &o, &err), 0);
	assert_string_equal(o.socket, "/run/port500.vici");
	setenv("PORT500_SOCKET", "/a", 1);
	assert_int_equal(options_parse(l.argc, l.argv, cli_commands, &o, &err), 0);
	assert_string_equal(o.socket, "/a");
	assert_int_equal(options_parse(with.argc, with.argv, cli_commands, &o, &err), 0);
	assert_string_equal(o.socket, "/b");
	unsetenv("PORT500_SOCKET");
	line_free(&l);
	line_free(&with);
}

static void test_help_needs_no_more(void **state)
{
	static const char *const lines[] = {"--help", "show --help", "down --help", "show ike -h"};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct line l = line_of(lines[i]);
		struct error err = {0};
		struct options o;

		assert_int_equal(options_parse(l.argc, l.argv, cli_commands, &o, &err), 0);
		assert_true(o.help);
		line_free(&l);
	}
}

// ---- trees and JSON ----

static char *text; // of the output under test
static size_t text_len;

static FILE *open_text(void)
{
	free(text);
	text = NULL;
	return open_memstream(&text, &text_len);
}

static int free_text(void **state)
{
	(void)state;
	free(text);
	text = NULL;
	return 0;
}

static struct node *tree_of(struct vici_builder *b)
{
	struct node *root = tree_add(NULL, NODE_SECTION, "");

	assert_false(b->failed);
	assert_int_equal(tree_add_message(root, b->data, b->len), 0);
	vici_builder_fini(b);
	return root;
}

static void expect_json(struct vici_builder *b, const char *expected)
{
	struct node *root = tree_of(b);
	FILE *out = open_text();

	json_write(out, root);
	fclose(out);
	assert_string_equal(text, expected);
	tree_free(root);
}

static void test_json_shapes(void **state)
{
	struct vici_builder b = {0};

	(void)state;
	expect_json(&b, "{}\n");
	vici_kv(&b, "a", "1");
	vici_section(&b, "s");
	vici_kv(&b, "b", "");
	vici_section(&b, "empty");
	vici_section_end(&b);
	vici_section_end(&b);
	vici_list(&b, "l");
	vici_item(&b, "x");
	vici_item(&b, "y");
	vici_list_end(&b);
	vici_list(&b, "none");
	vici_list_end(&b);
	expect_json(&b, "{\n"
			"  \"a\": \"1\",\n"
			"  \"s\": {\n"
			"    \"b\": \"\",\n"
			"    \"empty\": {}\n"
			"  },\n"
			"  \"l\": [\n"
			"    \"x\",\n"
			"    \"y\"\n"
			"  ],\n"
			"  \"none\": []\n"
			"}\n");
}

static void test_json_escapes(void **state)
{
	static const struct {
		const char *value, *json, *why;
	} rows[] = {
		{"say \"hi\"\\", "say \\\"hi\\\"\\\\", "quotes and backslash"},
		{"a\nb\tc\x01\x7f", "a\\nb\\tc\\u0001\\u007f", "control characters"},
		{"M\xc3\xbcnchen", "M\xc3\xbcnchen", "UTF-8 stays"},
		{"\xf0\x9f\x94\x92", "\xf0\x9f\x94\x92", "four bytes stay"},
		{"M\xfcnchen", "M\\u00fcnchen", "Latin-1 is no UTF-8"},
		{"\xc0\xaf", "\\u00c0\\u00af", "overlong"},
		{"\xe0\x80\xaf", "\\u00e0\\u0080\\u00af", "overlong, three bytes"},
		{"\xf0\x80\x80\xaf", "\\u00f0\\u0080\\u0080\\u00af", "overlong, four bytes"},
		{"\xed\xa0\x80", "\\u00ed\\u00a0\\u0080", "surrogate"},
		{"\xf4\x90\x80\x80", "\\u00f4\\u0090\\u0080\\u0080", "above U+10FFFF"},
		{"\xe2\x82", "\\u00e2\\u0082", "cut short"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vici_builder b = {0};
		char expected[128];

		vici_kv(&b, "k", rows[i].value);
		snprintf(expected, sizeof(expected), "{\n  \"k\": \"%s\"\n}\n", rows[i].json);
		expect_json(&b, expected);
	}
}

static void test_json_zero_byte_in_value(void **state)
{
	static const uint8_t msg[] = {3, 1, 'k', 0, 3, 'a', 0, 'b'};
	struct node *root = tree_add(NULL, NODE_SECTION, "");
	FILE *out = open_text();

	(void)state;
	assert_int_equal(tree_add_message(root, msg, sizeof(msg)), 0);
	json_write(out, root);
	fclose(out);
	assert_string_equal(text, "{\n  \"k\": \"a\\u0000b\"\n}\n");
	tree_free(root);
}

static void test_tree_lookups(void **state)
{
	struct vici_builder b = {0};
	struct node *root;
	char joined[16];

	(void)state;
	vici_kv(&b, "n", "42");
	vici_section(&b, "10.0.0.0/8");
	vici_kv(&b, "port", "wan");
	vici_section_end(&b);
	vici_list(&b, "l");
	vici_item(&b, "abc");
	vici_item(&b, "def");
	vici_list_end(&b);
	root = tree_of(&b);
	assert_int_equal(tree_number(root, "n"), 42);
	assert_int_equal(tree_number(root, "l"), 0);
	assert_string_equal(tree_text(tree_get(root, "10.0.0.0/8"), "port", "?"), "wan");
	assert_string_equal(tree_text(tree_get(root, "nope"), "port", "?"), "?");
	assert_null(tree_get(NULL, "x"));
	assert_string_equal(tree_join(tree_get(root, "l"), joined, sizeof(joined)), "abc def");
	assert_string_equal(tree_join(tree_get(root, "l"), joined, 6), "abc d");
	assert_string_equal(tree_join(NULL, joined, sizeof(joined)), "");
	tree_free(root);
}

static void test_tree_refuses_malformed(void **state)
{
	static const uint8_t cut[] = {1, 1, 's', 3, 1, 'k', 0, 9, 'v'};
	struct node *root = tree_add(NULL, NODE_SECTION, "");

	(void)state;
	assert_int_equal(tree_add_message(root, cut, sizeof(cut)), -EBADMSG);
	tree_free(root);
}

// ---- tables ----

static void test_table_alignment(void **state)
{
	static const char *const heads[] = {"NAME", ">N", "TEXT", NULL};
	struct table t;
	FILE *out = open_text();

	(void)state;
	table_init(&t, heads);
	table_row(&t);
	table_cell(&t, "a");
	table_cell(&t, "%d", 1234);
	table_cell(&t, "x");
	table_note(&t, "a note that is wider than any column");
	table_row(&t);
	table_cell(&t, "M\xc3\xbcnchen");
	table_cell(&t, "%d", 5);
	table_row(&t);
	table_cell(&t, "b\x1b[2J");
	table_cell(&t, "%s", "");
	table_cell(&t, "y");
	table_print(&t, out);
	fclose(out);
	assert_string_equal(text, "NAME        N  TEXT\n"
				  "a        1234  x\n"
				  "    a note that is wider than any column\n"
				  "M\xc3\xbcnchen     5\n"
				  "b?[2J          y\n");
	table_fini(&t);
}

static void test_short_forms(void **state)
{
	static const struct {
		uint64_t v;
		const char *bytes, *duration;
	} rows[] = {
		{0, "0 B", "0s"},
		{59, "59 B", "59s"},
		{60, "60 B", "1m00s"},
		{1023, "1023 B", "17m03s"},
		{1024, "1.0 KiB", "17m04s"},
		{3600, "3.5 KiB", "1h00m"},
		{86399, "84.4 KiB", "23h59m"},
		{86400, "84.4 KiB", "1d00h"},
		{1048575, "1.0 MiB", "12d03h"},
		{1048576, "1.0 MiB", "12d03h"},
		{UINT64_MAX, "16.0 EiB", "213503982334601d07h"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char buf[FORMAT_TEXT_MAX];

		assert_string_equal(format_bytes(rows[i].v, buf, sizeof(buf)), rows[i].bytes);
		assert_string_equal(format_duration(rows[i].v, buf, sizeof(buf)), rows[i].duration);
	}
}

// ---- what people read ----

static struct node *status_tree(bool up)
{
	struct node *root = tree_add(NULL, NODE_SECTION, "");
	struct node *status = tree_add(root, NODE_SECTION, "status");
	struct node *config = tree_add(status, NODE_SECTION, "config");
	struct node *conns, *conn, *children, *child;

	tree_add(root, NODE_SECTION, "ports");
	tree_add_value(status, "daemon", "port500d");
	tree_add_value(status, "version", "1.2");
	tree_add_value(status, "uptime", "61");
	tree_add_value(config, "file", "/etc/p.conf");
	tree_add_value(config, "generation", "1");
	conns = tree_add(root, NODE_LIST, "show-conn");
	conn = tree_add(tree_add(conns, NODE_SECTION, ""), NODE_SECTION, "site-b");
	tree_add_value(conn, "state", up ? "up" : "down");
	if (!up) {
		tree_add_value(conn, "last-error", "nobody answers");
		tree_add_value(conn, "last-error-code", "I-SILENT");
		tree_add_value(conn, "last-error-ago", "3700");
	}
	children = tree_add(conn, NODE_SECTION, "children");
	child = tree_add(children, NODE_SECTION, "net");
	tree_add_value(child, "mode", "TUNNEL");
	tree_add_value(child, "state", up ? "up" : "down");
	if (!up)
		return root;
	conn = tree_add(tree_add(tree_add(root, NODE_LIST, "list-sa"), NODE_SECTION, ""),
			NODE_SECTION, "site-b");
	tree_add_value(conn, "remote-host", "192.0.2.2");
	child = tree_add(tree_add(conn, NODE_SECTION, "child-sas"), NODE_SECTION, "net-3");
	tree_add_value(child, "name", "net");
	tree_add_value(child, "packets-in", "12");
	tree_add_value(child, "bytes-in", "2048");
	tree_add_value(child, "use-in", "90");
	tree_add_value(child, "packets-out", "13");
	tree_add_value(child, "bytes-out", "10");
	tree_add_value(child, "use-out", "4");
	return root;
}

static void test_show_status(void **state)
{
	struct node *root = status_tree(true);
	FILE *out = open_text();

	(void)state;
	show_status(out, root);
	fclose(out);
	tree_free(root);
	assert_non_null(strstr(text, "port500d 1.2, up 1m01s"));
	assert_non_null(strstr(text, "configuration /etc/p.conf, loaded 1 time\n"));
	assert_non_null(strstr(text, "site-b      up     192.0.2.2\n"));
	assert_non_null(strstr(
		text,
		"  net       up                     12   2.0 KiB        13       10 B    4s"));
	assert_non_null(strstr(text, "1 of 1 connection up"));

	root = status_tree(false);
	out = open_text();
	show_status(out, root);
	fclose(out);
	tree_free(root);
	assert_non_null(strstr(text, "    1h01m ago, I-SILENT: nobody answers\n"));
	assert_non_null(strstr(text, "  net       down\n"));
	assert_non_null(strstr(text, "0 of 1 connection up"));
}

static void test_show_guard(void **state)
{
	struct node *root = tree_add(NULL, NODE_SECTION, "");
	struct node *messages, *one;
	FILE *out = open_text();

	(void)state;
	tree_add_value(root, "enabled", "yes");
	tree_add_value(root, "peers", "2");
	tree_add_value(root, "peers-limited", "7");
	messages = tree_add(root, NODE_SECTION, "messages");
	one = tree_add(messages, NODE_SECTION, "cookie");
	tree_add_value(one, "messages", "400");
	tree_add_value(one, "help", "answered");
	show_guard(out, root);
	fclose(out);
	assert_non_null(
		strstr(text, "guard on; 2 addresses of peers, 0 IKE SAs; 7 messages from "));
	assert_non_null(strstr(text, "cookie      400  answered\n"));
	assert_non_null(strstr(text, "nobody has sent IKE yet\n"));
	one = tree_add(tree_add(root, NODE_SECTION, "sources"), NODE_SECTION, "203.0.113.7");
	tree_add_value(one, "class", "flood");
	tree_add_value(one, "last-ms", "3000");
	tree_add_value(one, "why", "many \033[2J openers");
	tree_add_value(one, "first-ms", "125000");
	tree_add_value(one, "length", "28-408");
	tree_add_value(one, "to-500", "7");
	tree_add_value(one, "from-port", "500");
	tree_add_value(one, "last-version", "1");
	tree_add_value(one, "last-exchange", "4");
	tree_add_value(one, "vendor", "0000beef");
	tree_add_value(one, "ttl-usual", "61");
	out = open_text();
	show_guard(out, root);
	fclose(out);
	assert_non_null(strstr(text, "203.0.113.7  flood"));
	assert_non_null(strstr(text, "3s"));
	assert_non_null(strstr(text,
			       "since 2m05s: 28-408 bytes each, 7 to port 500, last from port "
			       "500, the last one IKEv1 Aggressive Mode, vendor ID 0000beef, "
			       "TTL usually 61\n"));
	assert_null(strchr(text, '\033'));
	tree_free(root);
}

static void test_show_ports_tells_who_keeps_ike_apart(void **state)
{
	static const struct {
		const char *queue, *text;
	} rows[] = {
		{"filter", ", 5 from it, a queue for strangers' IKE by Linux\n"},
		{"nic", ", 5 from it, a queue for strangers' IKE by the NIC\n"},
		{"none", ", 5 from it\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct node *root = tree_add(NULL, NODE_SECTION, "");
		struct node *port = tree_add(root, NODE_SECTION, "wan");
		FILE *out = open_text();

		tree_add_value(port, "ike-queue", rows[i].queue);
		tree_add_value(port, "from-linux-packets", "5");
		show_ports(out, root);
		fclose(out);
		assert_non_null(strstr(text, rows[i].text));
		tree_free(root);
	}
}

static void test_show_guard_counts_one_as_one(void **state)
{
	struct node *root = tree_add(NULL, NODE_SECTION, "");
	FILE *out = open_text();

	(void)state;
	tree_add_value(root, "peers", "1");
	tree_add_value(root, "ike-sas", "1");
	show_guard(out, root);
	fclose(out);
	assert_non_null(strstr(text, "1 address of peers, 1 IKE SA\n"));
	tree_free(root);
}

static void test_show_drops(void **state)
{
	struct node *root = tree_add(NULL, NODE_SECTION, "");
	struct node *a = tree_add(root, NODE_SECTION, "no-sa");
	struct node *b = tree_add(root, NODE_SECTION, "esp-auth");
	FILE *out = open_text();

	(void)state;
	tree_add_value(a, "packets", "0");
	tree_add_value(b, "packets", "3");
	tree_add_value(b, "help", "integrity check failed");
	show_drops(out, root, false);
	fclose(out);
	assert_null(strstr(text, "no-sa"));
	assert_non_null(strstr(text, "esp-auth        3  integrity check failed\n"));
	out = open_text();
	show_drops(out, root, true);
	fclose(out);
	assert_non_null(strstr(text, "no-sa"));
	tree_free(root);
	root = tree_add(NULL, NODE_SECTION, "");
	out = open_text();
	show_drops(out, root, false);
	fclose(out);
	assert_string_equal(text, "no packet was dropped\n");
	tree_free(root);
}

static struct node *identity_node(struct node *in, const char *name, const char *id)
{
	struct node *n = tree_add(in, NODE_SECTION, name);

	tree_add_value(n, "type", "FQDN");
	tree_add_value(n, "id", id);
	return n;
}

static void test_show_refusals(void **state)
{
	struct node *root = tree_add(NULL, NODE_SECTION, "");
	struct node *list = tree_add(root, NODE_LIST, "list-refusal");
	struct node *r = tree_add(tree_add(list, NODE_SECTION, ""), NODE_SECTION, "7");
	struct node *type =
		tree_add(tree_add(r, NODE_SECTION, "transforms"), NODE_SECTION, "encryption");
	struct node *c = tree_add(tree_add(r, NODE_SECTION, "candidates"), NODE_SECTION, "hub");
	FILE *out = open_text();

	(void)state;
	tree_add_value(r, "code", "N-PROPOSAL");
	tree_add_value(r, "why", "none is\x1b[2J acceptable");
	tree_add_value(r, "count", "3");
	tree_add_value(r, "refused-by", "us");
	tree_add_value(r, "notify", "NO_PROPOSAL_CHOSEN");
	tree_add_value(tree_add(type, NODE_LIST, "ours"), "", "AES_GCM_16_256");
	tree_add_value(tree_add(type, NODE_LIST, "theirs"), "", "AES_CBC_128");
	tree_add_value(type, "verdict", "different");
	identity_node(r, "remote-id", "gw-a.example");
	tree_add_value(c, "text", "expects another peer");
	identity_node(c, "remote-id", "gw-z.example");
	show_refusals(out, root);
	fclose(out);
	assert_non_null(strstr(text, "#7 ? N-PROPOSAL"));
	assert_non_null(strstr(text, "encryption  AES_GCM_16_256  AES_CBC_128  NOTHING IN COMMON"));
	assert_non_null(strstr(text, "the peer calls itself      FQDN 'gw-a.example'"));
	assert_non_null(strstr(text, "hub              expects another peer: we are anything, it "
				     "is gw-z.example"));
	assert_non_null(strstr(text, "us, NO_PROPOSAL_CHOSEN"));
	assert_non_null(strstr(text, "3, since"));
	assert_null(strchr(text, '\x1b'));
	tree_free(root);
	root = tree_add(NULL, NODE_SECTION, "");
	out = open_text();
	show_refusals(out, root);
	fclose(out);
	assert_string_equal(text, "no negotiation has failed\n");
	tree_free(root);
}

static struct node *streamed(struct node *root, const char *list, const char *name)
{
	struct node *l = tree_get(root, list) ? root->first : tree_add(root, NODE_LIST, list);

	return tree_add(tree_add(l, NODE_SECTION, ""), NODE_SECTION, name);
}

static void test_show_events(void **state)
{
	struct node *root = tree_add(NULL, NODE_SECTION, ""), *e;
	bool before = false;
	FILE *out = open_text();

	(void)state;
	e = streamed(root, "list-event", "7");
	tree_add_value(e, "time", "2026-03-01T12:00:00.042Z");
	tree_add_value(e, "kind", "failure");
	tree_add_value(e, "code", "N-PSK");
	tree_add_value(e, "ike", "lab");
	tree_add_value(e, "msg", "wrong\x1b[2J key");
	tree_add_value(e, "before-start", "yes");
	e = streamed(root, "list-event", "8");
	tree_add_value(e, "kind", "rekey");
	tree_add_value(e, "code", "child-rekeyed");
	tree_add_value(e, "ike", "lab");
	tree_add_value(e, "child", "net");
	tree_add_value(e, "msg", "new keys");
	tree_add_value(e, "took-ms", "17");
	assert_int_equal(show_events(out, root, &before), 2);
	fclose(out);
	assert_false(before);
	assert_non_null(strstr(text, "2026-03-01T12:00:00.042Z failure N-PSK          lab: wrong"));
	assert_null(strchr(text, '\x1b'));
	assert_non_null(strstr(text, "-- the daemon was started --\n"));
	assert_non_null(strstr(text, "lab/net: new keys (17 ms)"));
	tree_free(root);
	root = tree_add(NULL, NODE_SECTION, "");
	out = open_text();
	assert_int_equal(show_events(out, root, &before), 0);
	fclose(out);
	tree_free(root);
}

static void test_show_workers(void **state)
{
	struct node *root = tree_add(NULL, NODE_SECTION, ""), *w;
	FILE *out = open_text();

	(void)state;
	w = tree_add(root, NODE_SECTION, "0");
	tree_add_value(w, "packets", "1000");
	tree_add_value(w, "batches", "40");
	tree_add_value(w, "busy-cycles", "300000");
	tree_add_value(w, "idle-cycles", "900000");
	w = tree_add(root, NODE_SECTION, "1");
	tree_add_value(w, "packets", "0");
	tree_add_value(w, "busy-cycles", "5");
	show_workers(out, root);
	fclose(out);
	assert_non_null(strstr(text, "25.0 %     1000        25.0         300"));
	assert_non_null(strstr(text, "100.0 %        0         0.0           -"));
	tree_free(root);
}

static void test_show_ike_headers(void **state)
{
	struct node *root = tree_add(NULL, NODE_SECTION, ""), *p, *h;
	FILE *out = open_text();

	(void)state;
	p = streamed(root, "list-ike-header", "192.0.2.2");
	tree_add_value(tree_add(p, NODE_SECTION, "hops"), "guard-passed", "9");
	h = tree_add(tree_add(p, NODE_SECTION, "headers"), NODE_SECTION, "1");
	tree_add_value(h, "exchange", "IKE_AUTH");
	tree_add_value(h, "message", "request");
	tree_add_value(h, "hop", "socket");
	tree_add_value(h, "fate", "send-failed");
	tree_add_value(h, "error", "Network is unreachable");
	show_ike_headers(out, root);
	fclose(out);
	assert_non_null(strstr(text, "192.0.2.2: last heard never, last sent to never\n"));
	assert_non_null(strstr(text, "since the start: guard-passed 9\n"));
	assert_non_null(strstr(text, "IKE_AUTH request"));
	assert_non_null(strstr(text, "socket: send-failed, Network is unreachable"));
	tree_free(root);
}

static void test_show_history(void **state)
{
	struct node *root = tree_add(NULL, NODE_SECTION, ""), *s;
	FILE *out;

	(void)state;
	for (int i = 0; i < 61; i++) {
		s = streamed(root, "list-second", "1");
		tree_add_value(s, "time",
			       i ? "2026-03-01T12:00:01.000Z" : "2020-01-01T00:00:00.000Z");
		tree_add_value(tree_add(s, NODE_SECTION, "guard"), "limited", "7");
	}
	out = open_text();
	show_history(out, root, false);
	fclose(out);
	assert_non_null(strstr(text, "2026-03-01T12:00:01 "));
	assert_non_null(strstr(text, "limited 7"));
	assert_null(strstr(text, "2020-")); // more than a minute ago
	out = open_text();
	show_history(out, root, true);
	fclose(out);
	assert_non_null(strstr(text, "2020-01-01T00:00:00 "));
	tree_free(root);
}

static void test_show_ike_alias(void **state)
{
	static const char *const rows[][2] = {
		{"CONNECTING", "IN-NEG"},
		{"ESTABLISHED", "READY"},
		{"DELETING", "DELETE"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct node *root = tree_add(NULL, NODE_SECTION, "");
		struct node *list = tree_add(root, NODE_LIST, "list-sa");
		struct node *sa =
			tree_add(tree_add(list, NODE_SECTION, ""), NODE_SECTION, "site-b");
		FILE *out = open_text();

		tree_add_value(sa, "state", rows[i][0]);
		show_ike(out, root);
		fclose(out);
		assert_non_null(strstr(text, rows[i][1]));
		tree_free(root);
	}
}

#define TEST(fn) cmocka_unit_test_teardown(fn, free_text)

// ---- doctor ----

static void add_verdict(struct node *list, const char *conn, const char *exit)
{
	struct node *event = tree_add(list, NODE_SECTION, "");

	tree_add_value(tree_add(event, NODE_SECTION, conn), "exit", exit);
}

// Who is down is probed before who is healthy; else the order of the file counts.
static void test_turns_of_probes(void **state)
{
	static const char *const order[] = {"c", "f", "e", "g", "b", "a", "d"};
	struct node *list = tree_add(NULL, NODE_SECTION, "doctor");
	const struct node *turn[7];

	(void)state;
	assert_int_equal(doctor_turns(NULL, turn, 7), 0);
	add_verdict(list, "a", "0");
	add_verdict(list, "b", "1");
	add_verdict(list, "c", "2");
	add_verdict(list, "d", "0");
	add_verdict(list, "e", "3");
	add_verdict(list, "f", "2");
	add_verdict(list, "g", "77"); // not known here: as what cannot be told
	assert_int_equal(doctor_turns(list, turn, 3), 7);
	assert_string_equal(turn[2]->name, "e");
	assert_int_equal(doctor_turns(list, turn, 7), 7);
	for (unsigned i = 0; i < 7; i++)
		assert_string_equal(turn[i]->name, order[i]);
	tree_free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_options_understood),
		TEST(test_options_of_capture),
		TEST(test_options_refused),
		TEST(test_socket_from_option_environment_default),
		TEST(test_help_needs_no_more),
		TEST(test_json_shapes),
		TEST(test_json_escapes),
		TEST(test_json_zero_byte_in_value),
		TEST(test_tree_lookups),
		TEST(test_tree_refuses_malformed),
		TEST(test_table_alignment),
		TEST(test_short_forms),
		TEST(test_show_status),
		TEST(test_show_guard),
		TEST(test_show_ports_tells_who_keeps_ike_apart),
		TEST(test_show_guard_counts_one_as_one),
		TEST(test_show_drops),
		TEST(test_show_refusals),
		TEST(test_show_workers),
		TEST(test_show_events),
		TEST(test_show_ike_headers),
		TEST(test_show_history),
		TEST(test_show_ike_alias),
		cmocka_unit_test(test_turns_of_probes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
