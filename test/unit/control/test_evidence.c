// The page for network operators: every phrase in both languages, and on the page what is known,
// nothing else.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/evidence.h"

static bool has_chinese(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)text[0] >= 0xe4 && (unsigned char)text[0] <= 0xe9)
			return true; // U+4000 to U+9FFF
	return false;
}

static void test_every_phrase_has_both_languages(void **state)
{
	(void)state;
	for (int i = 0; i < PHRASE_COUNT; i++) {
		const char *en = phrase((enum phrase)i, LANG_EN);
		const char *zh = phrase((enum phrase)i, LANG_ZH);

		assert_true(en && zh && *en && *zh);
		for (const char *p = en; *p; p++)
			assert_in_range(*p, ' ', '~');
		if (!has_chinese(zh))
			fail_msg("'%s' has no Chinese: '%s'", en, zh);
		assert_null(strchr(en, '%')); // nothing is filled in
		assert_null(strchr(zh, '%'));
	}
}

static struct node *count(struct node *facts, const char *key, const char *n, const char *ago_ms)
{
	struct node *c = tree_add(facts, NODE_SECTION, key);

	tree_add_value(c, "count", n);
	tree_add_value(c, "window-ms", "600000");
	if (ago_ms)
		tree_add_value(c, "ago-ms", ago_ms);
	return c;
}

static void probe(struct node *probes, const char *key, const char *answer, const char *answered)
{
	struct node *x = tree_add(probes, NODE_SECTION, key);

	tree_add_value(x, "answer", answer);
	tree_add_value(x, "sent", "3");
	tree_add_value(x, "answered", answered);
	if (strcmp(answer, "answered") == 0)
		tree_add_value(x, "rtt-us", "12345");
}

static void hops(struct node *probes, const char *key, const char *last, const char *host,
		 bool arrived)
{
	struct node *h = tree_add(probes, NODE_SECTION, key);

	tree_add_value(h, "last", last);
	tree_add_value(h, "last-host", host);
	tree_add_value(h, "arrived", arrived ? "yes" : "no");
}

// Everything that the page has about a filter on 500.
static struct node *filtered(const char *code, const char *owner)
{
	struct node *conn = tree_add(NULL, NODE_SECTION, "lab");
	struct node *facts = tree_add(conn, NODE_SECTION, "facts"), *probes;

	tree_add_value(conn, "time", "2026-03-01T12:00:00Z");
	tree_add_value(conn, "code", code);
	tree_add_value(conn, "owner", owner);
	tree_add_value(conn, "confidence", "high");
	tree_add_value(facts, "local-host", "192.0.2.1");
	tree_add_value(facts, "remote-host", "198.51.100.1");
	count(facts, "tx-500", "17", "2500");
	count(facts, "rx-500", "0", NULL);
	count(facts, "rx-4500", "3", "90000"); // too long ago to say that it works
	probes = tree_add(facts, NODE_SECTION, "probe");
	tree_add_value(probes, "ago-ms", "4000");
	probe(probes, "echo", "answered", "3");
	probe(probes, "500", "silent", "0");
	probe(probes, "4500", "answered", "3");
	hops(probes, "hops-500", "3", "203.0.113.3", false);
	hops(probes, "hops-4500", "6", "198.51.100.1", true);
	return conn;
}

static char *page(const struct node *conn, enum lang lang)
{
	size_t size;
	char *text;
	FILE *out = open_memstream(&text, &size);

	setenv("TZ", "CST-8", 1);
	evidence_write(out, conn, lang, 1772366400); // 2026-03-01 12:00
	fclose(out);
	return text;
}

static void expect(const char *text, const char *part)
{
	assert_non_null(text);
	if (text && !strstr(text, part))
		fail_msg("the page lacks '%s':\n%s", part, text);
}

static void expect_not(const char *text, const char *part)
{
	assert_non_null(text);
	if (text && strstr(text, part))
		fail_msg("the page has '%s':\n%s", part, text);
}

static void test_the_page_of_a_filter(void **state)
{
	struct node *conn = filtered("F-500OUT", "carrier");
	char *text = page(conn, LANG_EN);

	(void)state;
	expect(text,
	       "Written: 2026-03-01 12:00:00 UTC; local time: 2026-03-01 20:00:00 CST (+0800)");
	expect(text, "Examined: 2026-03-01T12:00:00Z");
	expect(text, "Our address: 192.0.2.1");
	expect(text, "Peer's address: 198.51.100.1");
	expect(text, "Our next hop: not known");
	expect(text, "Finding: F-500OUT: UDP port 500 from us to the peer is lost on the way");
	expect(text, "Packets in question: UDP 192.0.2.1:500 <-> 198.51.100.1:500; ");
	expect(text, "IKE sent to UDP port 500: 17 (in the last 600 seconds; the last one at "
		     "2026-03-01 11:59:58 UTC)\n");
	expect(text, "IKE received on UDP port 500: 0 (in the last 600 seconds; none since we look)\n");
	expect(text, "sent until: 2026-03-01 11:59:56 UTC\n");
	expect(text, "on the way to UDP 500: hop 3, 203.0.113.3\n");
	expect(text, "on the way to UDP 4500: hop 6, 198.51.100.1, the peer itself\n");
	expect_not(text, "IKE sent to UDP port 4500:"); // not known is not zero
	expect(text, "ICMP echo: answered; answers / sent: 3/3; RTT 12.3 ms");
	expect(text, "IKE to UDP 500, small: no answer; answers / sent: 0/3");
	expect(text, "- ICMP echo is answered");
	expect(text, "- IKE on UDP 4500 is answered");
	expect_not(text, "- IKE on UDP 500 is answered");
	expect_not(text, "arrives on UDP 4500");
	expect(text,
	       "1. Please look for filters, access lists, rate limits and DDoS scrubbing of UDP "
	       "port 500");
	expect_not(text, "not meant to be sent");
	free(text);
	text = page(conn, LANG_ZH);
	expect(text, "结论: F-500OUT: 我方发往对端的 UDP 500 在途中丢失");
	expect(text, "发往 UDP 500 端口的 IKE: 17 (最近 600 秒内; 最近一次 2026-03-01 11:59:58 UTC)\n");
	expect(text, "192.0.2.1");
	expect(text, "1. 请检查");
	expect_not(text, "Please");
	free(text);
	tree_free(conn);
}

static void test_nobody_is_asked_for_what_is_not_his(void **state)
{
	struct node *conn = filtered("N-PSK", "both");
	char *text = page(conn, LANG_EN);

	(void)state;
	expect(text, "this page is not meant to be sent");
	expect_not(text, "What we ask of you");
	expect_not(text, "Please");
	free(text);
	tree_free(conn);
}

static void test_a_candidate_is_said_to_be_one(void **state)
{
	struct node *conn = filtered("unknown", "unknown"), *list, *c;
	char *text;

	(void)state;
	list = tree_add(conn, NODE_SECTION, "candidates");
	c = tree_add(list, NODE_SECTION, "1");
	tree_add_value(c, "code", "F-PEERDOWN");
	tree_add_value(c, "owner", "peer");
	c = tree_add(list, NODE_SECTION, "2");
	tree_add_value(c, "code", "F-4500");
	tree_add_value(c, "owner", "carrier");
	text = page(conn, LANG_EN);
	expect(text, "Finding: unknown: cannot be told from one side alone");
	expect(text, "It may be: F-4500: UDP port 4500 is filtered on the way, 500 is not");
	expect(text, "One side alone cannot tell");
	expect(text, "filters and rate limits of UDP port 4500");
	expect_not(text, "F-PEERDOWN");
	free(text);
	tree_free(conn);
}

static void test_without_probes(void **state)
{
	struct node *conn = tree_add(NULL, NODE_SECTION, "lab");
	char *text;

	(void)state;
	tree_add_value(conn, "code", "U-LOSS");
	tree_add_value(conn, "owner", "carrier");
	text = page(conn, LANG_EN);
	expect(text, "no probes were sent");
	expect(text, "nothing that we know of");
	expect(text, "route and the loss");
	free(text);
	tree_free(conn);
}

// What came before the request that waits is no proof that anything comes now.
static void test_what_came_before(void **state)
{
	static const char *const asking_ms[] = {"12000", "30000"};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct node *conn = filtered("F-500OUT", "carrier");
		struct node *facts = (struct node *)(uintptr_t)tree_get(conn, "facts");
		char *text;

		count(facts, "esp-in", "9", "20000");
		tree_add_value(facts, "asking-ms", asking_ms[i]);
		text = page(conn, LANG_EN);
		if (i == 0)
			expect_not(text, "ESP from the peer arrives");
		else
			expect(text, "ESP from the peer arrives");
		free(text);
		tree_free(conn);
	}
}

// Nobody has answered the probe: what had come before it says nothing of now.
static void test_what_came_before_a_probe(void **state)
{
	static const char *const ago_ms[] = {"8000", "3000"}; // the probe: 4000

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct node *conn = filtered("F-500OUT", "carrier");
		struct node *facts = (struct node *)(uintptr_t)tree_get(conn, "facts");
		struct node *rx = (struct node *)(uintptr_t)tree_get(facts, "rx-500");
		char *text;

		rx->name[0] = 'x';
		count(facts, "rx-500", "7", ago_ms[i]);
		text = page(conn, LANG_EN);
		if (i == 0)
			expect_not(text, "arrives on UDP 500");
		else
			expect(text, "arrives on UDP 500");
		free(text);
		tree_free(conn);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_phrase_has_both_languages),
		cmocka_unit_test(test_the_page_of_a_filter),
		cmocka_unit_test(test_nobody_is_asked_for_what_is_not_his),
		cmocka_unit_test(test_a_candidate_is_said_to_be_one),
		cmocka_unit_test(test_without_probes),
		cmocka_unit_test(test_what_came_before),
		cmocka_unit_test(test_what_came_before_a_probe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
