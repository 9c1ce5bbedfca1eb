// The anti-replay window against rows with a reason, and against a model that remembers
// everything it ever saw.
#include "test/unit/lib/check.h"
#include "test/unit/lib/random.h"

#include "lib/replay.h"

struct row {
	uint64_t seq;
	bool accepted;
	const char *why;
};

static void run_rows(struct replay *r, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		CHECK_INT(replay_check(r, rows[i].seq), rows[i].accepted, rows[i].why);
		CHECK_INT(replay_accept(r, rows[i].seq), rows[i].accepted, rows[i].why);
	}
}

static void test_numbers_are_accepted_once(void **state)
{
	static const struct row rows[] = {
		{0, false, "zero is never sent (RFC 4303 3.3.3)"},
		{1, true, "first packet"},
		{1, false, "duplicate"},
		{0, false, "zero after the first packet"},
		{64 + 3, true, "jump beyond the window"},
		{3, false, "never seen, one too old"},
		{4, true, "never seen, oldest still inside"},
		{4, false, "the oldest, again"},
		{66, true, "late by one"},
		{65, true, "late by two"},
		{67, false, "the top, again"},
		{128, true, "on a word's first bit"},
		{127, true, "on a word's last bit, late"},
		{127, false, "that again"},
		{128, false, "and the top again"},
		{64, false, "was the window's width behind"},
		{128 + 2048, true, "a jump of exactly the ring"},
		{128 + 2048 - 1, true, "not seen: its place held an old number"},
		{128, false, "far too old, though it has the place of the top"},
		{1ull << 32, true, "the low half of a 64-bit number wraps"},
		{(1ull << 32) - 1, true, "just before the wrap"},
		{(1ull << 32) + 1, true, "just after the wrap"},
		{1, false, "an old low half is no new number"},
		{UINT64_MAX, true, "the last number there is"},
		{UINT64_MAX, false, "the last number twice"},
		{UINT64_MAX - 63, true, "oldest inside, at the very end"},
		{UINT64_MAX - 64, false, "one too old, at the very end"},
	};
	struct replay r;

	(void)state;
	replay_init(&r, 64);
	run_rows(&r, rows, COUNT(rows));
	assert_true(r.top == UINT64_MAX);
}

static void test_widest_window_is_exact(void **state)
{
	struct replay r;

	(void)state;
	replay_init(&r, REPLAY_WINDOW_MAX);
	// The top on each bit of a word: the word of the top must not eat the window's other end.
	for (uint64_t top = 4096; top < 4096 + 64; top++) {
		replay_init(&r, REPLAY_WINDOW_MAX);
		assert_true(replay_accept(&r, top));
		assert_false(replay_accept(&r, top - REPLAY_WINDOW_MAX));
		for (uint64_t seq = top - REPLAY_WINDOW_MAX + 1; seq < top; seq++)
			assert_true(replay_accept(&r, seq));
		for (uint64_t seq = top - REPLAY_WINDOW_MAX; seq <= top; seq++)
			assert_false(replay_check(&r, seq));
	}
}

static void test_window_sizes_are_rounded(void **state)
{
	static const struct {
		uint32_t asked, got;
		const char *why;
	} rows[] = {
		{0, 0, "none"},
		{1, 64, "up to a word"},
		{32, 64, "RFC 4303's minimum"},
		{64, 64, "a word"},
		{65, 128, "up to two"},
		{1023, 1024, "up to the most"},
		{1024, 1024, "the most"},
		{1025, 1024, "cut"},
		{UINT32_MAX, 1024, "cut without overflow"},
	};
	struct replay r;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		memset(&r, 0xff, sizeof(r));
		replay_init(&r, rows[i].asked);
		CHECK_INT(r.window, rows[i].got, rows[i].why);
		CHECK_INT(r.top, 0, rows[i].why);
		CHECK_INT(replay_accept(&r, 1), true, rows[i].why);
	}
}

static void test_no_window_accepts_everything(void **state)
{
	struct replay r;

	(void)state;
	replay_init(&r, 0);
	for (int i = 0; i < 2; i++) {
		assert_true(replay_accept(&r, 7));
		assert_true(replay_accept(&r, 0));
		assert_true(replay_check(&r, 3));
	}
	assert_true(r.top == 7);
}

static void test_check_changes_nothing(void **state)
{
	struct replay r, before;

	(void)state;
	replay_init(&r, 128);
	replay_accept(&r, 100);
	before = r;
	assert_true(replay_check(&r, 99));
	assert_true(replay_check(&r, 5000));
	assert_false(replay_check(&r, 100));
	assert_memory_equal(&r, &before, sizeof(r));
	assert_false(replay_accept(&r, 100));
	assert_memory_equal(&r, &before, sizeof(r)); // a refused number leaves no trace either
}

#define MODEL_MAX 40000

// What RFC 4303 3.4.3 says, without any ring: all numbers ever accepted.
struct model {
	uint64_t top, window;
	bool seen[MODEL_MAX];
};

static bool model_accept(struct model *m, uint64_t seq)
{
	if (seq == 0 || (seq <= m->top && m->top - seq >= m->window) || m->seen[seq])
		return false;
	m->seen[seq] = true;
	m->top = seq > m->top ? seq : m->top;
	return true;
}

// Mostly near the top on both sides, sometimes a jump around the sizes that matter.
static uint64_t next_number(struct test_random *random, uint64_t top)
{
	static const uint64_t jumps[] = {1, 63, 64, 65, 1023, 1024, 1025, 2047, 2048, 2049, 3000};
	uint64_t seq;

	switch (test_random_below(random, 8)) {
	case 0:
		seq = top + jumps[test_random_below(random, COUNT(jumps))];
		break;
	case 1:
		seq = top - test_random_below(random, 1200);
		break;
	case 2:
		seq = test_random_below(random, top + 2);
		break;
	default:
		seq = top + test_random_below(random, 12) - 8;
	}
	return seq > UINT64_MAX / 2 ? 0 : seq; // went below zero
}

static void test_agrees_with_the_model(void **state)
{
	static const uint32_t windows[] = {64, 128, 192, 512, 960, 1024};
	struct test_random random = test_random_start("replay");
	static struct model m;
	unsigned accepted = 0, refused = 0;

	(void)state;
	for (unsigned round = 0; round < 600; round++) {
		struct replay r;

		memset(&m, 0, sizeof(m));
		m.window = windows[round % COUNT(windows)];
		replay_init(&r, (uint32_t)m.window);
		for (;;) {
			uint64_t seq = next_number(&random, m.top);
			bool could, did, want;

			if (seq >= MODEL_MAX)
				break;
			could = replay_check(&r, seq);
			did = replay_accept(&r, seq);
			want = model_accept(&m, seq);
			if (did != want || could != want || r.top != m.top)
				fail_msg("window %u, number %llu, top %llu: %d and %d, model %d",
					 (unsigned)m.window, (unsigned long long)seq,
					 (unsigned long long)m.top, could, did, want);
			accepted += want;
			refused += !want;
		}
	}
	// The test is worth something only when both answers are common.
	assert_true(accepted > 10000 && refused > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_are_accepted_once),
		cmocka_unit_test(test_widest_window_is_exact),
		cmocka_unit_test(test_window_sizes_are_rounded),
		cmocka_unit_test(test_no_window_accepts_everything),
		cmocka_unit_test(test_check_changes_nothing),
		cmocka_unit_test(test_agrees_with_the_model),
	};

	return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
