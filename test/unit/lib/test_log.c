// The log and the sentences that go with error codes.
#include "test/unit/lib/check.h"

#include <unistd.h>

#include "lib/error.h"
#include "lib/log.h"

struct seen {
	unsigned n;
	enum log_level level;
	enum log_group group;
	char text[4096];
};

static void remember(void *ctx, enum log_level level, enum log_group group, const char *text)
{
	struct seen *seen = ctx;

	seen->n++;
	seen->level = level;
	seen->group = group;
	snprintf(seen->text, sizeof(seen->text), "%s", text);
}

static int restore(void **state)
{
	(void)state;
	log_set_sink(NULL, NULL);
	log_set_level(LOG_LEVEL_INFO);
	return 0;
}

static void test_lines_reach_the_sink(void **state)
{
	struct seen seen = {0};

	(void)state;
	log_set_sink(remember, &seen);
	log_warn(LOG_IKE, "peer %s, try %d", "192.0.2.1", 3);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.level, LOG_LEVEL_WARN);
	assert_int_equal(seen.group, LOG_IKE);
	assert_string_equal(seen.text, "peer 192.0.2.1, try 3");
}

static void test_level_cuts(void **state)
{
	struct seen seen = {0};

	(void)state;
	log_set_sink(remember, &seen);
	for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
		log_set_level((enum log_level)level);
		seen.n = 0;
		log_error(LOG_DMN, "x");
		log_warn(LOG_DMN, "x");
		log_notice(LOG_DMN, "x");
		log_info(LOG_DMN, "x");
		log_debug(LOG_DMN, "x");
		assert_int_equal(seen.n, level + 1);
		assert_int_equal(seen.level, level);
		assert_true(log_enabled((enum log_level)level));
		assert_int_equal(log_enabled(LOG_LEVEL_DEBUG), level == LOG_LEVEL_DEBUG);
	}
}

static void test_an_event_is_one_line(void **state)
{
	struct seen seen = {0};
	char name[5000];

	(void)state;
	log_set_sink(remember, &seen);
	log_info(LOG_IKE, "peer calls itself '%s'", "a\n2026-01-01 error [IKE] b\r\t\x1b\x7f");
	assert_string_equal(seen.text, "peer calls itself 'a 2026-01-01 error [IKE] b    '");
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = 0;
	log_info(LOG_IKE, "%s", name);
	assert_true(strlen(seen.text) > 1000 && strlen(seen.text) < 2048);
}

// Without a sink: one line on stderr with level and group, cut when it is long.
static void test_stderr_line(void **state)
{
	static const char first[] = "error  [NET] no route to gw-b\n";
	const char *second;
	char line[4096] = "", name[3000] = "", path[] = "/tmp/port500-test-log-XXXXXX";
	int fd = mkstemp(path), saved = dup(STDERR_FILENO);
	ssize_t n;

	(void)state;
	assert_true(fd >= 0 && saved >= 0);
	fflush(stderr);
	dup2(fd, STDERR_FILENO);
	memset(name, 'n', sizeof(name) - 1);
	log_error(LOG_NET, "no route to %s", "gw-b");
	log_info(LOG_IKE, "%s", name);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	n = pread(fd, line, sizeof(line) - 1, 0);
	close(fd);
	close(saved);
	unlink(path);
	assert_true(n > 24);
	line[n] = 0;
	assert_int_equal(line[4], '-');
	assert_int_equal(line[10], 'T');
	assert_int_equal(line[19], '.');
	assert_memory_equal(line + 24, first, strlen(first));
	second = line + 24 + strlen(first);
	assert_int_equal(second[10], 'T');
	assert_memory_equal(second + 24, "info   [IKE] nnn", 16);
	assert_int_equal(line[n - 1], '\n');
	assert_int_equal(strchr(second, '\n') - line, n - 1);
}

static void test_error_sentences(void **state)
{
	struct error err = {"before"};
	char word[2 * ERROR_TEXT_MAX];

	(void)state;
	assert_int_equal(error_set(&err, -EINVAL, "key '%s' at line %d", "mobikee", 7), -EINVAL);
	assert_string_equal(err.text, "key 'mobikee' at line 7");
	assert_int_equal(error_prefix(&err, -EINVAL, "%s", "gw.conf"), -EINVAL);
	assert_string_equal(err.text, "gw.conf: key 'mobikee' at line 7");
	// The sentence may be an argument of the next.
	assert_int_equal(error_set(&err, -ENOENT, "[%s]", err.text), -ENOENT);
	assert_string_equal(err.text, "[gw.conf: key 'mobikee' at line 7]");
	assert_int_equal(error_prefix(&err, -1, "%.2s", err.text), -1);
	assert_string_equal(err.text, "[g: [gw.conf: key 'mobikee' at line 7]");
	// Too long is cut, and ends.
	memset(word, 'w', sizeof(word));
	word[sizeof(word) - 1] = 0;
	error_set(&err, -1, "%s", word);
	assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
	error_prefix(&err, -1, "p");
	assert_memory_equal(err.text, "p: www", 6);
	assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
	error_prefix(&err, -1, "%s", word);
	assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
	// Nobody has to listen.
	assert_int_equal(error_set(NULL, -EPERM, "%d", 1), -EPERM);
	assert_int_equal(error_prefix(NULL, -EPERM, "%d", 1), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_lines_reach_the_sink, restore),
		cmocka_unit_test_teardown(test_level_cuts, restore),
		cmocka_unit_test_teardown(test_an_event_is_one_line, restore),
		cmocka_unit_test(test_stderr_line),
		cmocka_unit_test(test_error_sentences),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
