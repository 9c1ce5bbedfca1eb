#include "control/vici_server.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/daemon.h"
#include "control/vici_events.h"
#include "control/vici_session.h"
#include "lib/limits.h"
#include "lib/log.h"

enum {
	SOCKET_MODE = 0660,
	BACKLOG = 16,
};

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *addr,
		      int addr_len, void *ctx)
{
	struct vici_server *s = ctx;

	(void)listener;
	(void)addr;
	(void)addr_len;
	if (s->n_sessions >= LIMIT_VICI_CLIENTS) {
		log_warn(LOG_API, "client refused: %d are connected already", LIMIT_VICI_CLIENTS);
		close(fd);
		return;
	}
	if (vici_session_open(s, fd))
		log_warn(LOG_API, "client refused: out of memory");
}

static void on_accept_again(evutil_socket_t fd, short what, void *ctx)
{
	struct vici_server *s = ctx;

	(void)fd;
	(void)what;
	evconnlistener_enable(s->listener);
}

// accept() failed, mostly for want of file descriptors. The client stays in the queue, so trying
// at once would spin.
static void on_accept_error(struct evconnlistener *listener, void *ctx)
{
	static const struct timeval pause = {.tv_sec = 1};
	struct vici_server *s = ctx;

	log_warn(LOG_API, "cannot accept a client: %s", strerror(errno));
	evconnlistener_disable(listener);
	event_add(s->accept_again, &pause);
}

static void on_reap(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	vici_sessions_reap(ctx, false);
}

// What stands at the path: nothing, a socket nobody listens on (removed), or something to be left
// alone.
static int clear_path(const char *path, const struct sockaddr_un *addr, struct error *err)
{
	struct stat st;
	int fd, rc;

	if (lstat(path, &st))
		return 0; // bind will say what is wrong
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, -EEXIST,
				 "%s exists and is not a socket; remove it or set gateway.socket "
				 "to another path",
				 path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set(err, -errno, "cannot create a socket: %s", strerror(errno));
	rc = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) ? -errno : 0;
	close(fd);
	if (rc == -ECONNREFUSED) {
		if (unlink(path) && errno != ENOENT)
			return error_set(err, -errno, "cannot remove the stale socket %s: %s", path,
					 strerror(errno));
		return 0;
	}
	if (rc == -ENOENT)
		return 0;
	if (rc == -EACCES || rc == -EPERM)
		return error_set(err, rc,
				 "%s belongs to somebody else; run port500d as root or set "
				 "gateway.socket to another path",
				 path);
	return error_set(err, -EADDRINUSE,
			 "another daemon answers on %s; stop it, or set gateway.socket to another "
			 "path",
			 path);
}

static int bind_error(const char *path, int code, struct error *err)
{
	switch (code) {
	case -ENOENT:
		return error_set(err, code,
				 "cannot create %s: its directory does not exist; create it or set "
				 "gateway.socket to another path",
				 path);
	case -EACCES:
	case -EPERM:
	case -EROFS:
		return error_set(err, code,
				 "cannot create %s: %s; run port500d as root or set gateway.socket "
				 "to another path",
				 path, strerror(-code));
	default:
		return error_set(err, code, "cannot create %s: %s", path, strerror(-code));
	}
}

// Binds and listens; returns the file descriptor or -errno.
static int open_socket(struct vici_server *s, struct error *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct stat st;
	int fd, rc;

	if (strlen(s->path) >= sizeof(addr.sun_path))
		return error_set(
			err, -ENAMETOOLONG,
			"gateway.socket: %s is longer than the %zu bytes a unix socket may "
			"have",
			s->path, sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, s->path);
	rc = clear_path(s->path, &addr, err);
	if (rc)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set(err, -errno, "cannot create a socket: %s", strerror(errno));
	// Before bind, so that the file never has a wider mode; after it for the bits the umask
	// took.
	if (fchmod(fd, SOCKET_MODE) || bind(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		rc = bind_error(s->path, -errno, err);
		close(fd);
		return rc;
	}
	if (chmod(s->path, SOCKET_MODE) || stat(s->path, &st) || listen(fd, BACKLOG)) {
		rc = error_set(err, -errno, "cannot listen on %s: %s", s->path, strerror(errno));
		unlink(s->path);
		close(fd);
		return rc;
	}
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return fd;
}

static void remove_socket(const struct vici_server *s)
{
	struct stat st;

	if (s->ino && lstat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino)
		unlink(s->path);
}

int vici_server_create(struct daemon *d, struct vici_server **out, struct error *err)
{
	struct vici_server *s = calloc(1, sizeof(*s));
	int rc = -ENOMEM, fd;

	if (!s)
		return error_set(err, -ENOMEM, "out of memory");
	// libevent writes without MSG_NOSIGNAL: a client that goes away must not end the daemon.
	signal(SIGPIPE, SIG_IGN);
	s->d = d;
	s->path = strdup(d->config->gateway.socket);
	s->reap = event_new(d->base, -1, 0, on_reap, s);
	s->accept_again = evtimer_new(d->base, on_accept_again, s);
	if (!s->path || !s->reap || !s->accept_again || vici_events_create(s, &s->events)) {
		error_set(err, rc, "out of memory");
		goto out;
	}
	fd = open_socket(s, err);
	if (fd < 0) {
		rc = fd;
		goto out;
	}
	s->listener = evconnlistener_new(d->base, on_accept, s,
					 LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!s->listener) {
		close(fd);
		error_set(err, rc, "out of memory");
		goto out;
	}
	evconnlistener_set_error_cb(s->listener, on_accept_error);
	log_info(LOG_API, "listening on %s", s->path);
	*out = s;
	return 0;
out:
	vici_server_destroy(s);
	return rc;
}

void vici_server_destroy(struct vici_server *s)
{
	if (!s)
		return;
	if (s->listener)
		evconnlistener_free(s->listener);
	vici_sessions_reap(s, true);
	vici_events_destroy(s->events);
	remove_socket(s);
	if (s->reap)
		event_free(s->reap);
	if (s->accept_again)
		event_free(s->accept_again);
	free(s->path);
	free(s);
}
