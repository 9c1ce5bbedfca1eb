// The flight recorder's file: across a restart, and with everything that can be wrong with a disk.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/recorder_store.h"
#include "lib/log.h"

struct place {
	char dir[64], file[128], log[128];
	int err; // the real standard error
};

// What is logged from now on comes into a file.
static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	int fd;

	snprintf(p->dir, sizeof(p->dir), "/tmp/recorder-XXXXXX");
	if (!mkdtemp(p->dir))
		return -1;
	snprintf(p->log, sizeof(p->log), "%s/log", p->dir);
	strcat(p->dir, "/state");
	snprintf(p->file, sizeof(p->file), "%s/flight-recorder", p->dir);
	p->err = dup(STDERR_FILENO);
	fd = open(p->log, O_RDWR | O_CREAT | O_TRUNC, 0600);
	dup2(fd, STDERR_FILENO);
	close(fd);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	char command[160];

	dup2(p->err, STDERR_FILENO);
	close(p->err);
	*strrchr(p->dir, '/') = '\0';
	snprintf(command, sizeof(command), "chmod -R u+w %s; rm -rf %s", p->dir, p->dir);
	if (system(command))
		return -1;
	free(p);
	return 0;
}

static unsigned times_logged(const struct place *p, const char *text)
{
	char line[1024];
	FILE *f = fopen(p->log, "r");
	unsigned n = 0;

	while (fgets(line, sizeof(line), f))
		n += strstr(line, text) != NULL;
	fclose(f);
	return n;
}

// One run of a daemon: what does it find, and what does it add?
static unsigned run(const struct place *p, const char *adds)
{
	struct recorder_store *s;
	struct record_event e;
	struct recorder *r;
	unsigned found = 0;

	assert_int_equal(recorder_create(&r), 0);
	assert_int_equal(recorder_store_open(p->dir, r, &s), 0);
	for (uint64_t after = 0; recorder_event_after(r, after, &e); after = e.id) {
		assert_true(e.before);
		found++;
	}
	if (adds) {
		e = (struct record_event){.code = "start", .text = adds};
		recorder_event(r, &e);
		recorder_store_save(s);
		recorder_store_save(s); // while the first may be under way
	}
	recorder_store_close(s);
	recorder_destroy(r);
	return found;
}

static void test_it_lasts(void **state)
{
	struct place *p = *state;
	struct stat st;

	assert_int_equal(run(p, "one"), 0);
	assert_int_equal(run(p, "two"), 1);
	assert_int_equal(run(p, NULL), 2);
	assert_int_equal(times_logged(p, ""), 0);
	assert_int_equal(stat(p->file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	strcat(p->file, ".new");
	assert_int_equal(access(p->file, F_OK), -1);
}

static void write_file(const char *path, const char *content)
{
	FILE *f = fopen(path, "w");

	fputs(content, f);
	fclose(f);
}

static void test_a_foreign_file_is_put_aside(void **state)
{
	struct place *p = *state;
	char bad[160];

	mkdir(p->dir, 0700);
	write_file(p->file, "somebody else's diary, which is longer than a head of thirty-six");
	assert_int_equal(run(p, "one"), 0);
	assert_int_equal(times_logged(p, "is ignored: it is no file of the flight recorder"), 1);
	snprintf(bad, sizeof(bad), "%s.bad", p->file);
	assert_int_equal(access(bad, F_OK), 0);
	assert_int_equal(run(p, NULL), 1);
}

static void test_a_damaged_file_is_put_aside(void **state)
{
	struct place *p = *state;
	struct stat st;

	run(p, "one");
	assert_int_equal(stat(p->file, &st), 0);
	assert_int_equal(truncate(p->file, st.st_size - 1), 0);
	assert_int_equal(run(p, "two"), 0);
	assert_int_equal(times_logged(p, "is ignored: it is cut short"), 1);
}

static void test_what_stands_there_is_no_file(void **state)
{
	struct place *p = *state;

	mkdir(p->dir, 0700);
	assert_int_equal(mkfifo(p->file, 0600), 0); // would never end
	assert_int_equal(run(p, "one"), 0);
	assert_int_equal(times_logged(p, "it is no regular file"), 1);
	assert_int_equal(unlink(p->file), 0);
	assert_int_equal(symlink("/etc/passwd", p->file), 0);
	assert_int_equal(run(p, "two"), 0);
	assert_int_equal(times_logged(p, "is ignored"), 2);
	assert_int_equal(run(p, NULL), 1);
}

static void test_no_directory_is_said_once(void **state)
{
	struct place *p = *state;

	write_file(p->dir, "a file stands where the directory is to be");
	assert_int_equal(run(p, "one"), 0);
	assert_int_equal(times_logged(p, "is not kept on disk"), 1);
	assert_int_equal(times_logged(p, ""), 1);
	assert_int_equal(unlink(p->dir), 0);
	assert_int_equal(run(p, "two"), 0);
	assert_int_equal(run(p, NULL), 1);
}

// Each save fails, one is said; the file from before stays as it is, and nothing is left behind.
static void test_a_full_disk_is_said_once(void **state)
{
	struct place *p = *state;
	struct rlimit limit, small;
	char rest[160];

	run(p, "one");
	getrlimit(RLIMIT_FSIZE, &limit);
	signal(SIGXFSZ, SIG_IGN);
	small = limit;
	small.rlim_cur = 100; // the log's lines are shorter
	setrlimit(RLIMIT_FSIZE, &small);
	dup2(p->err, STDERR_FILENO);
	{
		int pipes[2];
		char text[2048] = "";
		ssize_t n;

		assert_int_equal(pipe(pipes), 0);
		dup2(pipes[1], STDERR_FILENO);
		run(p, "two");
		dup2(p->err, STDERR_FILENO);
		close(pipes[1]);
		n = read(pipes[0], text, sizeof(text) - 1);
		close(pipes[0]);
		setrlimit(RLIMIT_FSIZE, &limit);
		assert_true(n > 0);
		assert_non_null(strstr(text, "cannot write flight-recorder.new in"));
		assert_ptr_equal(strchr(text, '\n'), text + n - 1); // one line
	}
	snprintf(rest, sizeof(rest), "%s.new", p->file);
	assert_int_equal(access(rest, F_OK), -1);
	assert_int_equal(run(p, NULL), 1);
}

struct daemon {
	struct recorder *r;
	struct recorder_store *s;
};

static struct daemon start(const struct place *p, const char *adds)
{
	const struct record_event e = {.code = "start", .text = adds};
	struct daemon d;

	assert_int_equal(recorder_create(&d.r), 0);
	assert_int_equal(recorder_store_open(p->dir, d.r, &d.s), 0);
	recorder_event(d.r, &e);
	return d;
}

static void stop(struct daemon *d)
{
	recorder_store_close(d->s);
	recorder_destroy(d->r);
}

static void expect_text(const char *path, const char *text)
{
	char bytes[4096];
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	assert_non_null(memmem(bytes, n, text, strlen(text)));
}

// The second one says so, and takes nothing of the first one's, whichever ends first.
static void test_two_daemons(void **state)
{
	struct place *p = *state;
	struct daemon first = start(p, "of the first"), second = start(p, "of the second");
	char old[160];

	assert_int_equal(times_logged(p, "another daemon keeps its own there"), 1);
	recorder_store_save(second.s);
	while (!recorder_store_behind(second.s))
		usleep(1000);
	assert_int_equal(access(p->file, F_OK), -1);
	stop(&first);
	expect_text(p->file, "of the first");
	recorder_store_save(second.s);
	stop(&second);
	expect_text(p->file, "of the second");
	snprintf(old, sizeof(old), "%s.old", p->file);
	expect_text(old, "of the first");
	assert_int_equal(times_logged(p, "another daemon keeps its own there"), 1);
	assert_int_equal(times_logged(p, "is now flight-recorder.old"), 1);
	assert_int_equal(run(p, NULL), 1);
}

// A directory that is another one now is locked as well, and what stood in it is not lost.
static void test_the_directory_is_replaced(void **state)
{
	struct place *p = *state;
	struct daemon d = start(p, "one");
	char moved[160];

	recorder_store_save(d.s);
	while (access(p->file, F_OK))
		usleep(1000);
	snprintf(moved, sizeof(moved), "%s.moved", p->dir);
	assert_int_equal(rename(p->dir, moved), 0);
	for (; !recorder_store_behind(d.s); usleep(1000))
		recorder_store_save(d.s);
	assert_int_equal(times_logged(p, "cannot open"), 1);
	mkdir(p->dir, 0700);
	recorder_store_save(d.s);
	stop(&d);
	assert_int_equal(times_logged(p, "again"), 1);
	assert_int_equal(run(p, NULL), 1);
}

// Nothing new is needed for another attempt.
static void test_it_catches_up(void **state)
{
	struct place *p = *state;
	struct daemon d;

	write_file(p->dir, "a file stands where the directory is to be");
	d = start(p, "one");
	assert_true(recorder_store_behind(d.s));
	assert_int_equal(unlink(p->dir), 0);
	mkdir(p->dir, 0700);
	recorder_store_save(d.s);
	while (recorder_store_behind(d.s))
		usleep(1000);
	expect_text(p->file, "one");
	stop(&d);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_it_lasts),
		TEST(test_a_foreign_file_is_put_aside),
		TEST(test_a_damaged_file_is_put_aside),
		TEST(test_what_stands_there_is_no_file),
		TEST(test_no_directory_is_said_once),
		TEST(test_a_full_disk_is_said_once),
		TEST(test_two_daemons),
		TEST(test_the_directory_is_replaced),
		TEST(test_it_catches_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
