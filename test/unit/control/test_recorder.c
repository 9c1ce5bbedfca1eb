// The flight recorder: what is kept when there is too much, what the seconds count, and that what
// is written is read again, or refused as a whole.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/recorder.h"
#include "control/recorder_file.h"

static int setup(void **state)
{
	return recorder_create((struct recorder **)state);
}

static int teardown(void **state)
{
	recorder_destroy(*state);
	return 0;
}

static uint64_t note(struct recorder *r, const char *conn, const char *text, bool stranger)
{
	const struct record_event e = {
		.time_ms = 1700000000000,
		.kind = RECORD_FAILURE,
		.level = RECORD_ERROR,
		.stranger = stranger,
		.took_ms = RECORD_UNKNOWN,
		.ike_id = 7,
		.code = "N-PSK",
		.conn = conn,
		.text = text,
	};

	return recorder_event(r, &e);
}

static unsigned count(const struct recorder *r, const char *conn)
{
	struct record_event e;
	unsigned n = 0;

	for (uint64_t after = 0; recorder_event_after(r, after, &e); after = e.id) {
		assert_true(e.id > after);
		n += !conn || strcmp(e.conn, conn) == 0;
	}
	return n;
}

static void test_an_event_comes_back_as_it_was(void **state)
{
	struct recorder *r = *state;
	struct record_event e;

	assert_false(recorder_event_after(r, 0, &e));
	assert_int_equal(note(r, "lab", "wrong key", false), 1);
	assert_true(recorder_event_after(r, 0, &e));
	assert_int_equal(e.id, 1);
	assert_int_equal(e.time_ms, 1700000000000);
	assert_int_equal(e.kind, RECORD_FAILURE);
	assert_int_equal(e.level, RECORD_ERROR);
	assert_int_equal(e.took_ms, RECORD_UNKNOWN);
	assert_int_equal(e.ike_id, 7);
	assert_string_equal(e.code, "N-PSK");
	assert_string_equal(e.conn, "lab");
	assert_string_equal(e.child, "");
	assert_string_equal(e.text, "wrong key");
	assert_false(e.stranger || e.before);
	assert_false(recorder_event_after(r, 1, &e));
}

static void test_a_long_text_is_cut_between_characters(void **state)
{
	struct recorder *r = *state;
	char text[2 * RECORD_TEXT_MAX + 1];
	struct record_event e;
	size_t len;

	// Three bytes each, one before them: the limit falls into the middle of one.
	text[0] = 'x';
	for (size_t i = 1; i + 3 < sizeof(text); i += 3)
		memcpy(text + i, "\xe4\xb8\xad", 4);
	note(r, "lab", text, false);
	assert_true(recorder_event_after(r, 0, &e));
	len = strlen(e.text);
	assert_in_range(len, RECORD_TEXT_MAX - 4, RECORD_TEXT_MAX - 1);
	assert_int_equal((len - 1) % 3, 0);
	assert_memory_equal(e.text, text, len);
}

// However long the texts, what is kept is the newest, and in order.
static void test_the_oldest_goes(void **state)
{
	struct recorder *r = *state;
	const unsigned n = 3 * LIMIT_RECORD_EVENTS;
	char text[RECORD_TEXT_MAX];
	struct record_event e;
	uint64_t after, seen = 0;

	memset(text, 'x', sizeof(text));
	for (unsigned i = 1; i <= n; i++) {
		const size_t len = (size_t)i * 131 % (sizeof(text) - 32);

		snprintf(text + len, sizeof(text) - len, " %u", i);
		assert_int_equal(note(r, "lab", text, false), i);
		text[len] = 'x';
		memset(text + len, 'x', sizeof(text) - len);
	}
	assert_true(recorder_event_after(r, 0, &e));
	assert_int_equal(recorder_events_lost(r), e.id - 1);
	for (after = e.id - 1; recorder_event_after(r, after, &e); after = e.id) {
		assert_int_equal(e.id, after + 1);
		assert_int_equal(strtoul(strrchr(e.text, ' ') + 1, NULL, 10), e.id);
		seen++;
	}
	assert_int_equal(after, n);
	assert_in_range(seen, LIMIT_RECORD_EVENTS_LEN / (2 * RECORD_TEXT_MAX), LIMIT_RECORD_EVENTS);
}

static void test_so_many_events_and_no_more(void **state)
{
	struct recorder *r = *state;

	for (unsigned i = 0; i < LIMIT_RECORD_EVENTS + 5; i++)
		note(r, "lab", "", false);
	assert_int_equal(count(r, NULL), LIMIT_RECORD_EVENTS);
}

static void test_strangers_push_no_peer_out(void **state)
{
	struct recorder *r = *state;

	note(r, "lab", "the one that counts", false);
	for (unsigned i = 0; i < 10 * LIMIT_RECORD_EVENTS; i++)
		note(r, "203.0.113.9[500]", "a stranger", true);
	assert_int_equal(count(r, "lab"), 1);
	assert_in_range(count(r, NULL), 2, 1 + LIMIT_RECORD_EVENTS_STRANGERS);
}

static void follow(void *ctx, const struct record_event *e)
{
	snprintf(ctx, 32, "%llu %s", (unsigned long long)e->id, e->text);
}

static void test_who_follows_is_told(void **state)
{
	struct recorder *r = *state;
	char told[32] = "";

	note(r, "lab", "before", false);
	recorder_follow(r, follow, told);
	note(r, "lab", "now", false);
	assert_string_equal(told, "2 now");
	recorder_follow(r, NULL, NULL);
	note(r, "lab", "after", false);
	assert_string_equal(told, "2 now");
}

// ---- headers ----

static const uint8_t message[28] = {
	1,  2,	  3,  4,    5, 6, 7, 8, 11, 12, 13, 14, 15, 16, 17, 18, // SPIs
	46, 0x20, 37, 0x28, 0, 0, 0, 9, 0,  0,	0,  28,
};

static struct record_header header(uint32_t peer, int64_t now, bool out, enum record_fate fate)
{
	struct record_header h = {
		.time_ms = now,
		.local = {ip_addr_v4(0xc0000201), 500},
		.remote = {ip_addr_v4(peer), 4500},
		.out = out,
		.fate = (uint8_t)fate,
	};

	record_header_parse(&h, message, sizeof(message));
	return h;
}

static void put(struct recorder *r, uint32_t peer, int64_t now, bool out, enum record_fate fate,
		bool known)
{
	const struct record_header h = header(peer, now, out, fate);

	assert_int_equal(recorder_header(r, &h, known), 0);
}

static void test_a_header_is_read(void **state)
{
	struct record_header h = header(1, 5, false, RECORD_FATE_TAKEN), cut = {.message_id = 77};

	(void)state;
	assert_memory_equal(h.spi_i, message, 8);
	assert_memory_equal(h.spi_r, message + 8, 8);
	assert_int_equal(h.next_payload, 46);
	assert_int_equal(h.version, 0x20);
	assert_int_equal(h.exchange, 37);
	assert_int_equal(h.flags, 0x28);
	assert_int_equal(h.message_id, 9);
	assert_int_equal(h.len, 28);
	assert_false(h.cut);
	record_header_parse(&cut, message, 27);
	assert_true(cut.cut);
	assert_int_equal(cut.len, 27);
	assert_int_equal(cut.message_id, 77); // nothing was read beyond the end
}

static void test_the_last_headers_of_a_peer(void **state)
{
	struct recorder *r = *state;
	const struct ip_addr addr = ip_addr_v4(9);
	struct record_peer p;
	size_t i;

	assert_false(recorder_peer_find(r, &addr, &i));
	for (int n = 1; n <= LIMIT_RECORD_HEADERS + 3; n++)
		put(r, 9, n, n % 2, n % 2 ? RECORD_FATE_SENT : RECORD_FATE_TAKEN, true);
	assert_true(recorder_peer_find(r, &addr, &i));
	assert_int_equal(recorder_peer(r, i, &p), 0);
	assert_true(ip_addr_equal(&p.addr, &addr));
	assert_int_equal(p.n, LIMIT_RECORD_HEADERS);
	assert_int_equal(p.first_ms, 1);
	assert_int_equal(p.last_out_ms, LIMIT_RECORD_HEADERS + 3);
	assert_int_equal(p.last_in_ms, LIMIT_RECORD_HEADERS + 2);
	assert_int_equal(p.count[RECORD_FATE_SENT], LIMIT_RECORD_HEADERS / 2 + 2);
	assert_int_equal(p.count[RECORD_FATE_TAKEN], LIMIT_RECORD_HEADERS / 2 + 1);
	for (unsigned at = 0; at < p.n; at++)
		assert_int_equal(recorder_peer_header(r, i, at)->time_ms, at + 4);
	assert_null(recorder_peer_header(r, i, p.n));
}

static void test_strangers_share_one_place(void **state)
{
	struct recorder *r = *state;
	const struct ip_addr known = ip_addr_v4(1), stranger = ip_addr_v4(100);
	struct record_peer p;
	size_t i;

	put(r, 1, 1, false, RECORD_FATE_TAKEN, true);
	for (uint32_t k = 0; k < 5000; k++)
		put(r, 100 + k, 2, false, RECORD_FATE_NO_SA, false);
	assert_true(recorder_peer_find(r, &known, &i));
	assert_false(recorder_peer_find(r, &stranger, &i));
	assert_int_equal(recorder_peer(r, 0, &p), 0);
	assert_int_equal(p.addr.family, IP_NONE);
	assert_int_equal(p.count[RECORD_FATE_NO_SA], 5000);
	assert_int_equal(p.n, LIMIT_RECORD_HEADERS);
	assert_int_equal(recorder_peer(r, 2, &p), -ENOENT);
}

static void test_the_most_silent_peer_goes(void **state)
{
	struct recorder *r = *state;
	const struct ip_addr first = ip_addr_v4(1), second = ip_addr_v4(2);
	struct record_peer p;
	size_t i;

	for (uint32_t k = 1; k <= LIMIT_RECORD_PEERS; k++)
		put(r, k, k, false, RECORD_FATE_TAKEN, true);
	put(r, 1, LIMIT_RECORD_PEERS + 1, true, RECORD_FATE_SENT, true);
	put(r, 1000000, LIMIT_RECORD_PEERS + 2, false, RECORD_FATE_TAKEN, true);
	assert_true(recorder_peer_find(r, &first, &i));
	assert_false(recorder_peer_find(r, &second, &i));
	assert_int_equal(recorder_peer(r, LIMIT_RECORD_PEERS, &p), 0);
	assert_int_equal(recorder_peer(r, LIMIT_RECORD_PEERS + 1, &p), -ENOENT);
}

// Who forges a peer's address takes half of its places, and the newest of either kind stay in order.
static void test_what_proves_nothing_takes_half(void **state)
{
	enum { HALF = LIMIT_RECORD_HEADERS / 2 };
	struct recorder *r = *state;
	struct record_header h = header(9, 0, false, RECORD_FATE_TAKEN);
	const struct record_header *kept;
	unsigned proved = 0;
	size_t i;

	h.proved = true;
	for (h.time_ms = 1; h.time_ms <= LIMIT_RECORD_HEADERS; h.time_ms++)
		assert_int_equal(recorder_header(r, &h, true), 0);
	for (unsigned n = 0; n < 1000; n++)
		put(r, 9, 100 + n, false, RECORD_FATE_NO_SA, true);
	h.time_ms = 5000;
	assert_int_equal(recorder_header(r, &h, true), 0);
	assert_true(recorder_peer_find(r, &h.remote.addr, &i));
	for (unsigned at = 0; at < LIMIT_RECORD_HEADERS; at++) {
		kept = recorder_peer_header(r, i, at);
		proved += kept->proved;
		if (at > 0)
			assert_true(kept->time_ms > recorder_peer_header(r, i, at - 1)->time_ms);
	}
	assert_int_equal(proved, HALF + 1);
	assert_int_equal(recorder_peer_header(r, i, 0)->time_ms, HALF + 1);
	assert_int_equal(kept->time_ms, 5000);
}

static void put_lost(struct recorder *r, uint32_t peer, int64_t now, bool known)
{
	const struct record_header h = header(peer, now, false, RECORD_FATE_GUARD_LIMITED);

	assert_int_equal(recorder_lost(r, &h, known), 0);
}

// What never came to control has a place of its own: a flood in a peer's name leaves what is kept
// of the peer itself.
static void test_what_was_lost_pushes_nothing_out(void **state)
{
	struct recorder *r = *state;
	const struct ip_addr peer = ip_addr_v4(9);
	struct record_peer p;
	size_t i;

	put(r, 9, 1, false, RECORD_FATE_TAKEN, true);
	for (unsigned k = 0; k < LIMIT_RECORD_LOST + 5; k++)
		put_lost(r, 9, k, true);
	put_lost(r, 77, 1, false);
	assert_true(recorder_peer_find(r, &peer, &i));
	assert_int_equal(recorder_peer(r, i, &p), 0);
	assert_int_equal(p.n, 1);
	assert_int_equal(p.n_lost, LIMIT_RECORD_LOST);
	assert_int_equal(p.count[RECORD_FATE_GUARD_LIMITED], 0); // they are samples
	assert_int_equal(p.last_in_ms, 1);
	assert_int_equal(recorder_peer_header(r, i, 0)->fate, RECORD_FATE_TAKEN);
	for (unsigned at = 0; at < p.n_lost; at++)
		assert_int_equal(recorder_peer_lost(r, i, at)->time_ms, at + 5);
	assert_null(recorder_peer_lost(r, i, p.n_lost));
	assert_int_equal(recorder_peer(r, 0, &p), 0);
	assert_int_equal(p.n_lost, 1);
}

// Forged addresses of a configured range take no peer's place, and a peer takes theirs.
static void test_what_was_lost_takes_no_place(void **state)
{
	struct recorder *r = *state;
	const struct ip_addr first = ip_addr_v4(1);
	struct record_header h = header(5000, 1, false, RECORD_FATE_GUARD_LIMITED);
	struct record_peer p;
	size_t i;

	put(r, 1, 1, false, RECORD_FATE_TAKEN, true);
	for (uint32_t k = 2; k <= LIMIT_RECORD_PEERS; k++)
		put_lost(r, k, 1000, true);
	assert_int_equal(recorder_lost(r, &h, true), -ENOMEM);
	put(r, 6000, 2, false, RECORD_FATE_TAKEN, true);
	assert_true(recorder_peer_find(r, &first, &i));
	assert_int_equal(recorder_peer(r, LIMIT_RECORD_PEERS + 1, &p), -ENOENT);
}

// ---- seconds ----

static void test_a_second_is_a_difference(void **state)
{
	struct recorder *r = *state;
	struct record_totals t = {.esp_in = 1000, .n_workers = 2, .half_open = 3};
	const struct record_second *s;

	recorder_tick(r, 1700000000000, &t);
	assert_null(recorder_second(r, 0));
	t.esp_in += 50;
	t.guard[GUARD_LIMITED] = 7;
	t.drops[DROP_ESP_AUTH] = 2;
	t.drops[DROP_NO_SA] = 3;
	t.drops[DROP_SA_LIFE] = 4;
	t.rx_packets = 1ull << 40;
	t.busy[1] = 30;
	t.idle[1] = 70;
	recorder_tick(r, 1700000001002, &t);
	s = recorder_second(r, 0);
	assert_non_null(s);
	assert_int_equal(s->time_s, 1700000001);
	assert_int_equal(s->span_ms, 1002);
	assert_int_equal(s->esp_in, 50);
	assert_int_equal(s->guard[GUARD_LIMITED], 7);
	assert_int_equal(s->drops[RECORD_DROP_ESP_AUTH], 2);
	assert_int_equal(s->drops[RECORD_DROP_NO_SA], 7);
	assert_int_equal(s->rx_packets, UINT32_MAX);
	assert_int_equal(s->half_open, 3);
	assert_int_equal(s->busy[0], 0);
	assert_int_equal(s->busy[1], 30);
	t.esp_in = 10; // went back
	recorder_tick(r, 1700000002000, &t);
	assert_int_equal(recorder_second(r, 0)->esp_in, 0);
	assert_int_equal(recorder_second(r, 1)->esp_in, 50);
}

static void test_ten_minutes_and_no_more(void **state)
{
	struct recorder *r = *state;
	struct record_totals t = {0};
	struct record_second sum;

	for (unsigned i = 0; i <= 2 * LIMIT_RECORD_SECONDS; i++) {
		t.ike_in += i;
		t.half_open = i == 2 * LIMIT_RECORD_SECONDS - 5 ? 99 : 1;
		recorder_tick(r, 1000 * ((int64_t)i + 1), &t);
	}
	assert_int_equal(recorder_second(r, 0)->ike_in, 2 * LIMIT_RECORD_SECONDS);
	assert_int_equal(recorder_second(r, LIMIT_RECORD_SECONDS - 1)->ike_in,
			 LIMIT_RECORD_SECONDS + 1);
	assert_null(recorder_second(r, LIMIT_RECORD_SECONDS));
	assert_int_equal(recorder_seconds_sum(r, 10, &sum), 10);
	assert_int_equal(sum.ike_in, 10 * 2 * LIMIT_RECORD_SECONDS - 45);
	assert_int_equal(sum.half_open, 99);
	assert_int_equal(sum.span_ms, 10000);
	assert_int_equal(recorder_seconds_sum(r, UINT32_MAX, &sum), LIMIT_RECORD_SECONDS);
}

// ---- the file ----

static void fill(struct recorder *r)
{
	struct record_totals t = {.n_workers = 3};
	struct record_header v6 = header(1, 6, true, RECORD_FATE_SEND_FAILED);

	note(r, "lab", "one", false);
	note(r, "203.0.113.9[500]", "two", true);
	note(r, "lab", "three", false);
	put(r, 9, 5, false, RECORD_FATE_TAKEN, true);
	put(r, 10, 6, false, RECORD_FATE_NO_SA, false);
	assert_int_equal(ip_addr_parse("2001:db8::1", &v6.remote.addr), 0);
	v6.error = ENETUNREACH;
	v6.proved = true;
	assert_int_equal(recorder_header(r, &v6, true), 0);
	put_lost(r, 9, 7, true);
	put_lost(r, 10, 8, false);
	recorder_tick(r, 1000, &t);
	t.esp_out = 5;
	t.drops[DROP_PUNT_FULL] = 6;
	t.guard[GUARD_COOKIE] = 8;
	t.busy[2] = 1;
	recorder_tick(r, 2000, &t);
	t.esp_out = 9;
	recorder_tick(r, 3000, &t);
}

static void test_what_is_written_is_read_again(void **state)
{
	struct recorder *r = *state, *again;
	struct ip_addr v6, v4;
	struct record_event e;
	struct record_peer p;
	struct error err;
	uint8_t *bytes;
	size_t len, i;

	fill(r);
	assert_int_equal(recorder_encode(r, &bytes, &len), 0);
	assert_int_equal(recorder_create(&again), 0);
	assert_int_equal(recorder_decode(again, bytes, len, &err), 0);
	free(bytes);

	assert_int_equal(count(again, NULL), 3);
	assert_true(recorder_event_after(again, 1, &e));
	assert_string_equal(e.text, "two");
	assert_true(e.stranger && e.before);
	assert_int_equal(note(again, "lab", "four", false), 4);
	assert_true(recorder_event_after(again, 3, &e));
	assert_false(e.before);

	ip_addr_parse("2001:db8::1", &v6);
	assert_true(recorder_peer_find(again, &v6, &i));
	assert_int_equal(recorder_peer_header(again, i, 0)->error, ENETUNREACH);
	assert_int_equal(recorder_peer_header(again, i, 0)->message_id, 9);
	assert_true(recorder_peer_header(again, i, 0)->out);
	assert_true(recorder_peer_header(again, i, 0)->proved);
	assert_int_equal(recorder_peer(again, i, &p), 0);
	assert_int_equal(p.last_out_ms, 6);
	v4 = ip_addr_v4(9);
	assert_true(recorder_peer_find(again, &v4, &i));
	assert_int_equal(recorder_peer_header(again, i, 0)->time_ms, 5);
	assert_null(recorder_peer_header(again, i, 1));
	assert_int_equal(recorder_peer_lost(again, i, 0)->time_ms, 7);
	assert_int_equal(recorder_peer_lost(again, i, 0)->fate, RECORD_FATE_GUARD_LIMITED);
	assert_int_equal(recorder_peer_lost(again, 0, 0)->time_ms, 8);
	assert_int_equal(recorder_peer(again, 0, &p), 0);
	assert_int_equal(p.n, 1);
	assert_int_equal(p.count[RECORD_FATE_NO_SA], 0); // counts are of one run

	assert_int_equal(recorder_second(again, 0)->esp_out, 4);
	assert_int_equal(recorder_second(again, 1)->esp_out, 5);
	assert_int_equal(recorder_second(again, 1)->drops[RECORD_DROP_OVERLOAD], 6);
	assert_int_equal(recorder_second(again, 1)->guard[GUARD_COOKIE], 8);
	assert_int_equal(recorder_second(again, 1)->busy[2], 100);
	assert_null(recorder_second(again, 2));
	recorder_destroy(again);
}

static void check_refused(const uint8_t *bytes, size_t len, const char *why)
{
	struct recorder *r;
	struct record_event e;
	struct record_peer p;
	struct error err;

	assert_int_equal(recorder_create(&r), 0);
	assert_int_equal(recorder_decode(r, bytes, len, &err), -EBADMSG);
	if (why)
		assert_non_null(strstr(err.text, why));
	assert_false(recorder_event_after(r, 0, &e));
	assert_int_equal(recorder_peer(r, 1, &p), -ENOENT);
	assert_null(recorder_second(r, 0));
	recorder_destroy(r);
}

static void test_what_is_damaged_is_refused_as_a_whole(void **state)
{
	struct recorder *r = *state;
	uint8_t *bytes;
	size_t len;

	fill(r);
	assert_int_equal(recorder_encode(r, &bytes, &len), 0);
	for (size_t i = 0; i < len; i += 7)
		check_refused(bytes, i, NULL);
	for (size_t i = 0; i < len; i++) {
		if (i >= 32 && i < 36) // not in use
			continue;
		bytes[i] ^= 0x10;
		check_refused(bytes, len, i < 8 ? "no file of" : i < 12 ? "version" : NULL);
		bytes[i] ^= 0x10;
	}
	free(bytes);
	check_refused((const uint8_t *)"", 0, "no file of");
}

static void test_a_full_recorder_is_written(void **state)
{
	struct recorder *r = *state, *again;
	struct error err;
	uint8_t *bytes;
	size_t len;

	for (unsigned i = 0; i < LIMIT_RECORD_EVENTS; i++)
		note(r, "lab", "", false);
	for (unsigned i = 0; i < LIMIT_RECORD_EVENTS_STRANGERS; i++)
		note(r, "x", "", true);
	for (uint32_t k = 1; k <= LIMIT_RECORD_PEERS; k++)
		for (unsigned n = 0; n < LIMIT_RECORD_HEADERS; n++)
			put(r, k, k, false, RECORD_FATE_TAKEN, true);
	for (unsigned i = 0; i <= LIMIT_RECORD_SECONDS; i++)
		recorder_tick(r, 1000 + i, &(struct record_totals){.n_workers = DP_WORKERS_MAX});
	assert_int_equal(recorder_encode(r, &bytes, &len), 0);
	assert_in_range(len, 1, LIMIT_RECORD_FILE_LEN);
	assert_int_equal(recorder_create(&again), 0);
	assert_int_equal(recorder_decode(again, bytes, len, &err), 0);
	assert_int_equal(count(again, NULL), LIMIT_RECORD_EVENTS + LIMIT_RECORD_EVENTS_STRANGERS);
	recorder_destroy(again);
	free(bytes);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_an_event_comes_back_as_it_was),
		TEST(test_a_long_text_is_cut_between_characters),
		TEST(test_the_oldest_goes),
		TEST(test_so_many_events_and_no_more),
		TEST(test_strangers_push_no_peer_out),
		TEST(test_who_follows_is_told),
		TEST(test_a_header_is_read),
		TEST(test_the_last_headers_of_a_peer),
		TEST(test_strangers_share_one_place),
		TEST(test_the_most_silent_peer_goes),
		TEST(test_what_proves_nothing_takes_half),
		TEST(test_what_was_lost_pushes_nothing_out),
		TEST(test_what_was_lost_takes_no_place),
		TEST(test_a_second_is_a_difference),
		TEST(test_ten_minutes_and_no_more),
		TEST(test_what_is_written_is_read_again),
		TEST(test_what_is_damaged_is_refused_as_a_whole),
		TEST(test_a_full_recorder_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
