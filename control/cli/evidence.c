#include "control/cli/evidence.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "control/cli/table.h"

struct page {
	FILE *out;
	enum lang lang;
	const struct node *conn, *facts, *probe; // NULL: there is none
	int64_t now_s;
};

static const char *say(const struct page *p, enum phrase which)
{
	return phrase(which, p->lang);
}

static void line(const struct page *p, enum phrase label, const char *value)
{
	char text[1024];

	snprintf(text, sizeof(text), "%s", value);
	fprintf(p->out, "%s: %s\n", say(p, label), make_printable(text));
}

static void heading(const struct page *p, enum phrase text)
{
	fprintf(p->out, "\n%s\n", say(p, text));
}

// ---- what it is about ----

static const struct {
	const char *code;
	enum phrase finding, ask;
} findings[] = {
	{"F-500", PHRASE_FIND_500, PHRASE_ASK_UDP500},
	{"F-500SCRUB", PHRASE_FIND_500SCRUB, PHRASE_ASK_UDP500},
	{"F-500OUT", PHRASE_FIND_500OUT, PHRASE_ASK_UDP500},
	{"F-500IN", PHRASE_FIND_500IN, PHRASE_ASK_UDP500},
	{"F-500SPORT", PHRASE_FIND_500SPORT, PHRASE_ASK_UDP500},
	{"F-500LOSS", PHRASE_FIND_500LOSS, PHRASE_ASK_UDP500},
	{"F-ADMIN", PHRASE_FIND_ADMIN, PHRASE_ASK_UDP500},
	{"F-4500", PHRASE_FIND_4500, PHRASE_ASK_UDP4500},
	{"F-BIGUDP", PHRASE_FIND_BIGUDP, PHRASE_ASK_SIZE},
	{"M-BLACKHOLE", PHRASE_FIND_BLACKHOLE, PHRASE_ASK_SIZE},
	{"D-ONEWAY", PHRASE_FIND_ONEWAY, PHRASE_ASK_ESP},
	{"U-UNREACH", PHRASE_FIND_UNREACH, PHRASE_ASK_REACH},
	{"U-LOSS", PHRASE_FIND_LOSS, PHRASE_ASK_REACH},
	{"unknown", PHRASE_FIND_UNKNOWN, PHRASE_ASK_REACH},
	{"", PHRASE_FIND_OTHER, PHRASE_ASK_REACH}, // the last: any other
};

static size_t finding_of(const char *code)
{
	size_t i = 0;

	while (*findings[i].code && strcmp(findings[i].code, code) != 0)
		i++;
	return i;
}

// What is asked for when only candidates are known: that of the first that is the carrier's.
static const char *carrier_code(const struct page *p)
{
	const struct node *list = tree_get(p->conn, "candidates");
	const char *owner = tree_text(p->conn, "owner", "unknown");

	if (strcmp(owner, "carrier") == 0)
		return tree_text(p->conn, "code", "");
	for (const struct node *c = list ? list->first : NULL; c; c = c->next)
		if (strcmp(tree_text(c, "owner", ""), "carrier") == 0)
			return tree_text(c, "code", "");
	return NULL;
}

// A time that the operator finds in his own records, `ago_ms` before the page was written.
static const char *at(const struct page *p, uint64_t ago_ms, char *buf, size_t size)
{
	time_t t = (time_t)(p->now_s - (int64_t)(ago_ms / 1000));
	struct tm tm;

	*buf = '\0';
	if (gmtime_r(&t, &tm))
		strftime(buf, size, "%Y-%m-%d %H:%M:%S UTC", &tm);
	return buf;
}

static void print_times(const struct page *p)
{
	char utc[64], local[64] = "";
	time_t t = (time_t)p->now_s;
	struct tm tm;

	at(p, 0, utc, sizeof(utc));
	if (localtime_r(&t, &tm))
		strftime(local, sizeof(local), "%Y-%m-%d %H:%M:%S %Z (%z)", &tm);
	fprintf(p->out, "%s: %s; %s: %s\n", say(p, PHRASE_WRITTEN), utc, say(p, PHRASE_LOCAL_TIME),
		local);
}

static enum phrase confidence_phrase(const char *confidence)
{
	if (strcmp(confidence, "high") == 0)
		return PHRASE_HIGH;
	if (strcmp(confidence, "medium") == 0)
		return PHRASE_MEDIUM;
	return strcmp(confidence, "low") == 0 ? PHRASE_LOW : PHRASE_NONE;
}

static void print_finding(const struct page *p, enum phrase label, const char *code)
{
	char text[256];

	snprintf(text, sizeof(text), "%s: %s", code, say(p, findings[finding_of(code)].finding));
	line(p, label, text);
}

// What to look for in a network: addresses with their ports.
static void print_flows(const struct page *p)
{
	const char *ours = tree_text(p->facts, "local-host", NULL);
	const char *peers = tree_text(p->facts, "remote-host", NULL);
	char text[512];

	if (!ours || !peers)
		return;
	if (strchr(ours, ':'))
		snprintf(text, sizeof(text),
			 "UDP [%s]:500 <-> [%s]:500; UDP [%s]:4500 <-> [%s]:4500; IP protocol 50 "
			 "(ESP) "
			 "%s <-> %s",
			 ours, peers, ours, peers, ours, peers);
	else
		snprintf(text, sizeof(text),
			 "UDP %s:500 <-> %s:500; UDP %s:4500 <-> %s:4500; IP protocol 50 (ESP) %s "
			 "<-> "
			 "%s",
			 ours, peers, ours, peers, ours, peers);
	line(p, PHRASE_FLOWS, text);
}

static void print_head(const struct page *p)
{
	const struct node *candidates = tree_get(p->conn, "candidates");
	const char *carrier = carrier_code(p);

	fprintf(p->out, "%s\n%s\n\n", say(p, PHRASE_TITLE), say(p, PHRASE_FOR));
	if (!carrier)
		fprintf(p->out, "*** %s ***\n\n", say(p, PHRASE_NOT_CARRIER));
	print_times(p);
	line(p, PHRASE_EXAMINED, tree_text(p->conn, "time", say(p, PHRASE_NOT_KNOWN)));
	line(p, PHRASE_OUR_ADDR, tree_text(p->facts, "local-host", say(p, PHRASE_NOT_KNOWN)));
	line(p, PHRASE_PEER_ADDR, tree_text(p->facts, "remote-host", say(p, PHRASE_NOT_KNOWN)));
	line(p, PHRASE_NEXT_HOP, tree_text(p->facts, "next-hop", say(p, PHRASE_NOT_KNOWN)));
	print_flows(p);
	print_finding(p, PHRASE_FINDING, tree_text(p->conn, "code", "?"));
	for (const struct node *c = candidates ? candidates->first : NULL; c; c = c->next)
		if (strcmp(tree_text(c, "owner", ""), "carrier") == 0)
			print_finding(p, PHRASE_MAY_BE, tree_text(c, "code", "?"));
	line(p, PHRASE_CONFIDENCE,
	     say(p, confidence_phrase(tree_text(p->conn, "confidence", "none"))));
	if (carrier && strcmp(tree_text(p->conn, "owner", ""), "carrier") != 0)
		fprintf(p->out, "%s\n", say(p, PHRASE_MAYBE_CARRIER));
}

// ---- counts ----

static void print_count(const struct page *p, const char *key, enum phrase label)
{
	const struct node *c = tree_get(p->facts, key);
	char last[64];

	if (!c)
		return; // not known, which is not zero
	fprintf(p->out, "  %s: %s (", say(p, label), tree_text(c, "count", "?"));
	if (tree_get(c, "window-ms"))
		fprintf(p->out, "%s %" PRIu64 " %s; ", say(p, PHRASE_WITHIN),
			tree_number(c, "window-ms") / 1000, say(p, PHRASE_SECONDS));
	if (tree_get(c, "ago-ms"))
		fprintf(p->out, "%s %s)\n", say(p, PHRASE_LAST_AT),
			at(p, tree_number(c, "ago-ms"), last, sizeof(last)));
	else
		fprintf(p->out, "%s)\n", say(p, PHRASE_NEVER));
}

static void print_counts(const struct page *p)
{
	static const struct {
		const char *key;
		enum phrase label;
	} rows[] = {
		{"tx-500", PHRASE_TX_500},	     {"rx-500", PHRASE_RX_500},
		{"tx-4500", PHRASE_TX_4500},	     {"rx-4500", PHRASE_RX_4500},
		{"unanswered", PHRASE_UNANSWERED},   {"peer-repeats", PHRASE_PEER_REPEATS},
		{"icmp-errors", PHRASE_ICMP_ERRORS}, {"esp-out", PHRASE_ESP_OUT},
		{"esp-in", PHRASE_ESP_IN},	     {"all-came", PHRASE_ALL_CAME},
	};

	heading(p, PHRASE_COUNTS);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		print_count(p, rows[i].key, rows[i].label);
}

// ---- probes ----

static const char *answer_of(const struct page *p, const char *probe)
{
	return tree_text(tree_get(p->probe, probe), "answer", "");
}

static void print_probe(const struct page *p, const char *key, enum phrase label)
{
	const struct node *x = tree_get(p->probe, key);
	const char *answer = tree_text(x, "answer", "");
	enum phrase what = PHRASE_SILENT;

	if (!x)
		return;
	if (strcmp(answer, "answered") == 0)
		what = PHRASE_ANSWERED;
	else if (strcmp(answer, "refused") == 0)
		what = PHRASE_REFUSED;
	fprintf(p->out, "  %s: %s; %s: %s/%s", say(p, label), say(p, what), say(p, PHRASE_OF_SENT),
		tree_text(x, "answered", "?"), tree_text(x, "sent", "?"));
	if (tree_get(x, "rtt-us"))
		fprintf(p->out, "; RTT %.1f ms", (double)tree_number(x, "rtt-us") / 1000);
	if (tree_get(x, "icmp"))
		fprintf(p->out, "; ICMP %s %s %s", tree_text(x, "icmp", "?"), say(p, PHRASE_FROM),
			tree_text(x, "icmp-from", "?"));
	putc('\n', p->out);
}

static void print_hops(const struct page *p, const char *key, enum phrase label)
{
	const struct node *h = tree_get(p->probe, key);
	const bool arrived = strcmp(tree_text(h, "arrived", "no"), "yes") == 0;

	if (!h)
		return;
	fprintf(p->out, "  %s: ", say(p, label));
	if (tree_number(h, "last") == 0)
		fprintf(p->out, "%s\n", say(p, PHRASE_HOP_NONE));
	else
		fprintf(p->out, "%s %s, %s%s%s\n", say(p, PHRASE_HOP), tree_text(h, "last", "?"),
			tree_text(h, "last-host", say(p, PHRASE_NOT_KNOWN)), arrived ? ", " : "",
			arrived ? say(p, PHRASE_HOP_PEER) : "");
}

static void print_probes(const struct page *p)
{
	static const struct {
		const char *key;
		enum phrase label;
	} rows[] = {
		{"echo", PHRASE_ECHO},
		{"echo-large", PHRASE_ECHO_LARGE},
		{"500", PHRASE_P500},
		{"500-large", PHRASE_P500_LARGE},
		{"500-fragment", PHRASE_P500_FRAGMENT},
		{"500-other-source", PHRASE_OTHER_SOURCE},
		{"4500", PHRASE_P4500},
		{"4500-large", PHRASE_P4500_LARGE},
		{"4500-fragment", PHRASE_P4500_FRAGMENT},
		{"alternative", PHRASE_ALTERNATIVE},
	};

	char text[64];

	heading(p, PHRASE_PROBES);
	if (!p->probe) {
		fprintf(p->out, "  %s\n", say(p, PHRASE_NOT_PROBED));
		return;
	}
	fprintf(p->out, "  %s: %s\n", say(p, PHRASE_PROBES_AT),
		at(p, tree_number(p->probe, "ago-ms"), text, sizeof(text)));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		print_probe(p, rows[i].key, rows[i].label);
	print_hops(p, "hops-500", PHRASE_HOPS_500);
	print_hops(p, "hops-4500", PHRASE_HOPS_4500);
}

// ---- what works, what is asked ----

// With a finding that says the opposite of it a count from before proves nothing: a minute at most,
// and not from before the request that waits.
// Nor has it come if a probe of that port, which nobody answered, has come after it.
static bool came_lately(const struct page *p, const char *key, const char *probe)
{
	const struct node *c = tree_get(p->facts, key);
	const bool asking = tree_get(p->facts, "asking-ms") != NULL;

	if (strcmp(answer_of(p, probe), "silent") == 0 &&
	    tree_number(c, "ago-ms") >= tree_number(p->probe, "ago-ms"))
		return false;
	return c && tree_number(c, "count") > 0 && tree_get(c, "ago-ms") &&
	       tree_number(c, "ago-ms") < (asking ? tree_number(p->facts, "asking-ms") : 60000);
}

static void print_works(const struct page *p)
{
	const struct {
		bool works;
		enum phrase text;
	} rows[] = {
		{strcmp(answer_of(p, "echo"), "answered") == 0, PHRASE_WORKS_ECHO},
		{strcmp(answer_of(p, "500"), "answered") == 0, PHRASE_WORKS_500},
		{strcmp(answer_of(p, "4500"), "answered") == 0, PHRASE_WORKS_4500},
		{strcmp(answer_of(p, "alternative"), "answered") == 0, PHRASE_WORKS_ALTERNATIVE},
		{came_lately(p, "rx-500", "500"), PHRASE_WORKS_RX_500},
		{came_lately(p, "rx-4500", "4500"), PHRASE_WORKS_RX_4500},
		{came_lately(p, "esp-in", ""), PHRASE_WORKS_ESP},
	};
	bool any = false;

	heading(p, PHRASE_WORKS);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].works)
			fprintf(p->out, "  - %s\n", say(p, rows[i].text));
		any |= rows[i].works;
	}
	if (!any)
		fprintf(p->out, "  %s\n", say(p, PHRASE_WORKS_NOTHING));
}

void evidence_write(FILE *out, const struct node *conn, enum lang lang, int64_t now_s)
{
	const struct node *facts = tree_get(conn, "facts");
	const struct page p = {out, lang, conn, facts, tree_get(facts, "probe"), now_s};
	const char *carrier = carrier_code(&p);

	print_head(&p);
	print_counts(&p);
	print_probes(&p);
	print_works(&p);
	if (!carrier)
		return; // nobody is asked for what is not his
	heading(&p, PHRASE_ASKED);
	fprintf(out, "  1. %s\n", say(&p, findings[finding_of(carrier)].ask));
	fprintf(out, "  2. %s\n", say(&p, PHRASE_ASK_CAPTURE));
}
