#include "control/recorder_store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/recorder_file.h"
#include "lib/log.h"

#define NAME	 "flight-recorder"
#define NAME_NEW "flight-recorder.new"
#define NAME_BAD "flight-recorder.bad"
#define NAME_OLD "flight-recorder.old"

struct recorder_store {
	struct recorder *recorder;
	char *dir;
	bool complained; // about writing, since it last went well
	bool closing;	 // for good
	bool loaded;	 // what stood in the directory is ours: read, put aside, or nothing
	// Of the thread, while it runs.
	int lock_fd; // the directory, locked against other daemons; -1: not yet
	bool aside;  // another daemon's file was put aside
	bool writing;
	pthread_t thread;
	uint8_t *bytes;
	size_t len;
	const char *step; // that failed
	_Atomic int rc;	  // 1: not done yet
};

// ---- reading ----

static int read_all(int fd, uint8_t **out, size_t *len, struct error *err)
{
	struct stat st;
	size_t n = 0;

	if (fstat(fd, &st))
		return error_set(err, -errno, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EBADMSG, "it is no regular file");
	if (st.st_size > LIMIT_RECORD_FILE_LEN)
		return error_set(err, -EBADMSG, "it is larger than %d bytes",
				 LIMIT_RECORD_FILE_LEN);
	*out = malloc((size_t)st.st_size + 1);
	if (!*out)
		return error_set(err, -ENOMEM, "out of memory");
	while (n < (size_t)st.st_size) {
		const ssize_t got = read(fd, *out + n, (size_t)st.st_size - n);

		if (got < 0 && errno != EINTR)
			return error_set(err, -errno, "%s", strerror(errno));
		if (got == 0)
			break;
		n += got > 0 ? (size_t)got : 0;
	}
	*len = n;
	return 0;
}

static int load_from(int fd, struct recorder *r, struct error *err)
{
	uint8_t *bytes = NULL;
	size_t len = 0;
	int rc = read_all(fd, &bytes, &len, err);

	if (rc == 0)
		rc = recorder_decode(r, bytes, len, err);
	free(bytes);
	return rc;
}

static void load(struct recorder_store *s, int dir)
{
	struct error err = {0};
	const int fd = openat(dir, NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	int rc;

	if (fd < 0 && errno == ENOENT)
		return;
	rc = fd < 0 ? error_set(&err, -errno, "%s", strerror(errno))
		    : load_from(fd, s->recorder, &err);
	if (fd >= 0)
		close(fd);
	if (rc == 0)
		return;
	if (renameat(dir, NAME, dir, NAME_BAD) == 0)
		log_warn(LOG_DMN,
			 "%s/" NAME " is ignored: %s; what was recorded before this start is not "
			 "shown; the file is now " NAME_BAD,
			 s->dir, err.text);
	else
		log_warn(LOG_DMN,
			 "%s/" NAME " is ignored: %s; what was recorded before this start is not "
			 "shown",
			 s->dir, err.text);
}

// ---- the directory ----

static bool is_same(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

// Two daemons with one directory would take each other's file away: it is the first one's, until
// that ends, however it ends. A file system that knows no locks is used without.
static int lock(int fd)
{
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return 0;
	return -EBUSY;
}

// The directory that has this path now, which is locked by us; -errno.
static int open_dir(struct recorder_store *s)
{
	const int fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	s->step = "open";
	if (fd < 0)
		return -errno;
	if (s->lock_fd >= 0 && is_same(fd, s->lock_fd)) {
		close(fd);
		return s->lock_fd;
	}
	s->step = "use";
	rc = lock(fd);
	if (rc) {
		close(fd);
		return rc;
	}
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	s->lock_fd = fd;
	return fd;
}

// ---- writing ----

static int write_all(int fd, const uint8_t *bytes, size_t len)
{
	while (len) {
		const ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		bytes += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

// In the directory, which stays the same one when its path leads elsewhere meanwhile.
static int write_file(struct recorder_store *s, int dir)
{
	int rc, fd;

	s->step = "create " NAME_NEW " in";
	unlinkat(dir, NAME_NEW, 0); // of a daemon that was killed
	fd = openat(dir, NAME_NEW, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	s->step = "write " NAME_NEW " in";
	rc = write_all(fd, s->bytes, s->len);
	if (rc == 0 && fsync(fd))
		rc = -errno;
	if (close(fd) && rc == 0)
		rc = -errno;
	if (rc == 0) {
		s->step = "rename " NAME_NEW " in";
		if (renameat(dir, NAME_NEW, dir, NAME))
			rc = -errno;
	}
	if (rc)
		unlinkat(dir, NAME_NEW, 0);
	else if (fsync(dir) && errno != EINVAL) // some file systems cannot
		rc = -errno;
	return rc;
}

static int write_once(struct recorder_store *s)
{
	const int dir = open_dir(s);

	if (dir < 0)
		return dir;
	// Another daemon, which has ended since we started, or could not be read: what it has kept
	// is not ours to write over.
	if (!s->loaded) {
		s->aside = renameat(dir, NAME, dir, NAME_OLD) == 0;
		if (!s->aside && errno != ENOENT) {
			s->step = "put " NAME " aside in";
			return -errno;
		}
	}
	s->loaded = true;
	return write_file(s, dir);
}

static void *run(void *arg)
{
	struct recorder_store *s = arg;

	atomic_store(&s->rc, write_once(s));
	return NULL;
}

static void tell(struct recorder_store *s, int rc)
{
	if (rc && !s->complained)
		log_warn(LOG_DMN, "the flight recorder is not kept on disk: cannot %s %s: %s; %s",
			 s->step, s->dir,
			 rc == -EBUSY ? "another daemon keeps its own there (gateway.state_dir)"
				      : strerror(-rc),
			 s->closing ? "what is new since it was last written is lost"
				    : "it goes on in memory");
	else if (!rc && s->complained)
		log_notice(LOG_DMN, "the flight recorder is kept in %s again", s->dir);
	s->complained = rc != 0;
	if (s->aside)
		log_notice(LOG_DMN, "%s: what another daemon has kept there is now " NAME_OLD,
			   s->dir);
	s->aside = false;
}

static void finish(struct recorder_store *s)
{
	if (!s->writing)
		return;
	pthread_join(s->thread, NULL);
	s->writing = false;
	free(s->bytes);
	s->bytes = NULL;
	tell(s, atomic_load(&s->rc));
}

// The thread takes no signals: they are control's.
static int begin(struct recorder_store *s)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = -pthread_create(&s->thread, NULL, run, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

bool recorder_store_behind(struct recorder_store *s)
{
	if (s->writing && atomic_load(&s->rc) != 1)
		finish(s);
	return s->complained;
}

void recorder_store_save(struct recorder_store *s)
{
	int rc;

	if (s->writing && atomic_load(&s->rc) == 1)
		return;
	finish(s);
	s->step = "prepare the file for";
	rc = recorder_encode(s->recorder, &s->bytes, &s->len);
	if (rc == 0) {
		atomic_store(&s->rc, 1);
		rc = begin(s);
		s->writing = rc == 0;
	}
	if (rc) {
		free(s->bytes);
		s->bytes = NULL;
		tell(s, rc);
	}
}

int recorder_store_open(const char *dir, struct recorder *r, struct recorder_store **out)
{
	struct recorder_store *s = calloc(1, sizeof(*s));
	int fd;

	if (s)
		s->lock_fd = -1;
	if (s)
		s->dir = strdup(dir);
	if (!s || !s->dir) {
		free(s);
		return -ENOMEM;
	}
	s->recorder = r;
	*out = s;
	s->step = "create";
	if (mkdir(dir, 0700) && errno != EEXIST) {
		tell(s, -errno);
		return 0;
	}
	fd = open_dir(s);
	if (fd < 0) {
		tell(s, fd);
		return 0;
	}
	load(s, fd);
	s->loaded = true;
	return 0;
}

void recorder_store_close(struct recorder_store *s)
{
	if (!s)
		return;
	finish(s);
	s->closing = true;
	recorder_store_save(s);
	finish(s);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	free(s->dir);
	free(s);
}
