// The anti-replay window against rows with a reason, and against a model that remembers
// everything it ever saw.
#include "test/unit/lib/check.h"
#include "test/unit/lib/random.h"

#include "lib/replay.h"

static uint64_t ring[REPLAY_WINDOW_MAX / 64 * 2];

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
		{128 + 2048, true, "a jump over the ring, to the place of the top"},
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
	replay_init(&r, 64, ring);
	run_rows(&r, rows, COUNT(rows));
	assert_true(r.top == UINT64_MAX);
}

static void test_widest_window_is_exact(void **state)
{
	struct replay r;

	(void)state;
	replay_init(&r, REPLAY_WINDOW_MAX, ring);
	// The top on each bit of a word: the word of the top must not eat the window's other end.
	for (uint64_t top = 2 * REPLAY_WINDOW_MAX; top < 2 * REPLAY_WINDOW_MAX + 64; top++) {
		replay_init(&r, REPLAY_WINDOW_MAX, ring);
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
		{1023, 1024, "up to the default"},
		{65535, 65536, "up to the most"},
		{65536, 65536, "the most"},
		{65537, 65536, "cut"},
		{UINT32_MAX, 65536, "cut without overflow"},
	};
	struct replay r;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		memset(&r, 0xff, sizeof(r));
		replay_init(&r, rows[i].asked, ring);
		CHECK_INT(r.window, rows[i].got, rows[i].why);
		CHECK_INT(r.top, 0, rows[i].why);
		CHECK_INT(replay_accept(&r, 1), true, rows[i].why);
	}
}

static void test_no_window_accepts_everything(void **state)
{
	struct replay r;

	(void)state;
	replay_init(&r, 0, NULL);
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
	uint64_t bits[4];

	(void)state;
	assert_int_equal(replay_ring_words(0), 0);
	assert_int_equal(replay_ring_words(128), COUNT(bits));
	replay_init(&r, 128, ring);
	replay_accept(&r, 100);
	before = r;
	memcpy(bits, ring, sizeof(bits));
	assert_true(replay_check(&r, 99));
	assert_true(replay_check(&r, 5000));
	assert_false(replay_check(&r, 100));
	assert_memory_equal(&r, &before, sizeof(r));
	assert_false(replay_accept(&r, 100));
	assert_memory_equal(&r, &before, sizeof(r)); // a refused number leaves no trace either
	assert_memory_equal(ring, bits, sizeof(bits));
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
	static const uint64_t jumps[] = {1,    63,   64,   65,	 1023, 1024, 1025,
					 2047, 2048, 2049, 3000, 8191, 8192, 8193};
	uint64_t seq;

	switch (test_random_below(random, 8)) {
	case 0:
		seq = top + jumps[test_random_below(random, COUNT(jumps))];
		break;
	case 1:
		seq = top - test_random_below(random, test_random_below(random, 2) ? 1200 : 9000);
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
	static const uint32_t windows[] = {64, 128, 192, 512, 960, 1024, 8192};
	struct test_random random = test_random_start("replay");
	static struct model m;
	unsigned accepted = 0, refused = 0;

	(void)state;
	for (unsigned round = 0; round < 600; round++) {
		struct replay r;

		memset(&m, 0, sizeof(m));
		m.window = windows[round % COUNT(windows)];
		replay_init(&r, (uint32_t)m.window, ring);
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

// --- extended numbers -------------------------------------------------------------------------

#define HI(n) ((uint64_t)(n) << 32)

// RFC 4303 A2.2, both cases, at every edge.
static void test_upper_half_is_inferred(void **state)
{
	static const struct {
		uint64_t top;
		uint32_t seq_low;
		uint64_t want;
		const char *why;
	} rows[] = {
		{0, 1, 1, "the first packet"},
		{0, 0, 0, "zero of the first subspace is none"},
		{0, UINT32_MAX, 0, "B: before the very first number"},
		{1022, 0xfffffffe, 0xfffffffe, "B: below the edge, ahead in the first subspace"},
		{1022, 0xffffffff, 0, "B: the edge would be before the first number"},
		{1023, 0xffffffff, 0xffffffff, "A: a jump far ahead in the first subspace"},
		{5000, 3977, 3977, "A: the window's lower edge"},
		{5000, 3976, HI(1) + 3976, "A: below it means the next subspace"},
		{5000, UINT32_MAX, UINT32_MAX, "A: ahead"},
		{UINT32_MAX, 0, HI(1), "A: the number after 2^32 - 1"},
		{UINT32_MAX, UINT32_MAX - 1023, UINT32_MAX - 1023, "A: lower edge at the end"},
		{UINT32_MAX, UINT32_MAX - 1024, HI(2) - 1 - 1024, "A: one below it"},
		{HI(1), UINT32_MAX, UINT32_MAX, "B: late, from the lower subspace"},
		{HI(1), 0u - 1023, HI(1) - 1023, "B: the lower edge"},
		{HI(1), 0u - 1024, HI(2) - 1024, "B: one below it is far ahead"},
		{HI(1), 1, HI(1) + 1, "B: the next one"},
		{HI(1) + 1022, UINT32_MAX, HI(1) - 1, "B: the last top that reaches down"},
		{HI(1) + 1023, UINT32_MAX, HI(2) - 1, "A: the window has left the lower one"},
		{HI(7) + 5000, 3976, HI(8) + 3976, "A: in a later subspace"},
		{HI(7) + 5, 0xffffffff, HI(7) - 1, "B: in a later subspace"},
	};
	struct replay r;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		replay_init(&r, 1024, ring);
		r.top = rows[i].top;
		CHECK_INT(replay_infer(&r, rows[i].seq_low), rows[i].want, rows[i].why);
	}
	// Without a window numbers are inferred as with one of 1024.
	replay_init(&r, 0, ring);
	r.top = HI(1);
	assert_true(replay_infer(&r, 0u - 1023) == HI(1) - 1023);
	assert_true(replay_infer(&r, 0u - 1024) == HI(2) - 1024);
}

// The number that appendix A means, found by trying: of all with that lower half the one at or
// above the window's lower edge and next to it.
static uint64_t infer_naive(uint64_t top, uint64_t window, uint32_t low)
{
	const int64_t bottom = (int64_t)top - (int64_t)window + 1;

	for (int64_t hi = (int64_t)(top >> 32) - 1;; hi++) {
		const int64_t seq = hi * ((int64_t)1 << 32) + low;

		if (seq >= bottom)
			return seq < 0 ? 0 : (uint64_t)seq;
	}
}

// Senders that go over 2^32 more than once, with loss, reordering and replays: what was sent is
// what is inferred, and is accepted exactly once.
static void test_inference_agrees_with_the_model(void **state)
{
	static const uint32_t windows[] = {64, 1024, 4096, 65536};
	struct test_random random = test_random_start("esn");
	unsigned lower = 0, upper = 0, negative = 0;
	struct replay r;

	(void)state;
	for (unsigned round = 0; round < 200000; round++) {
		const uint32_t window = windows[round % COUNT(windows)];
		const uint64_t edge = HI(test_random_below(&random, 4));
		uint32_t low;
		uint64_t got;

		replay_init(&r, window, ring);
		r.top = edge + test_random_below(&random, 3 * window);
		if (test_random_below(&random, 2) && r.top > 2ull * window)
			r.top -= 2ull * window;
		low = (uint32_t)(r.top + test_random_below(&random, 3 * window) - 2ull * window);
		if (test_random_below(&random, 4) == 0)
			low = (uint32_t)test_random_below(&random, UINT32_MAX);
		got = replay_infer(&r, low);
		if (got != infer_naive(r.top, window, low))
			fail_msg("window %u, top %llx, low %x: %llx", window,
				 (unsigned long long)r.top, low, (unsigned long long)got);
		lower += got != 0 && got >> 32 < r.top >> 32;
		upper += got >> 32 > r.top >> 32;
		negative += got == 0;
	}
	assert_true(lower > 1000 && upper > 1000 && negative > 100);
}

static void test_traffic_over_the_subspaces(void **state)
{
	static const uint32_t windows[] = {64, 1024, 65536};
	struct test_random random = test_random_start("esn-traffic");

	(void)state;
	for (size_t k = 0; k < COUNT(windows); k++) {
		const uint64_t window = windows[k];
		struct replay r;

		replay_init(&r, windows[k], ring);
		r.top = HI(1) - 3 * window;
		for (uint64_t sent = r.top + 1; sent < HI(1) + 3 * window; sent++) {
			uint64_t late;

			if (test_random_below(&random, 10) == 0)
				continue; // lost
			assert_true(replay_infer(&r, (uint32_t)sent) == sent);
			assert_true(replay_accept(&r, sent));
			assert_false(replay_accept(&r, replay_infer(&r, (uint32_t)sent)));
			late = sent - test_random_below(&random, window);
			assert_true(replay_infer(&r, (uint32_t)late) == late);
			replay_accept(&r, late);
			assert_false(replay_accept(&r, late));
		}
		assert_true(r.top > HI(1));
	}
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
		cmocka_unit_test(test_upper_half_is_inferred),
		cmocka_unit_test(test_inference_agrees_with_the_model),
		cmocka_unit_test(test_traffic_over_the_subspaces),
	};

	return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
