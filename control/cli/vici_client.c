#include "control/cli/vici_client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/bytes.h"
#include "lib/limits.h"

struct vici_client {
	int fd;
	bool rung;    // an event has come that no call waits for
	uint8_t *buf; // of the packet read last
};

static int connect_error(const char *path, int code, struct error *err)
{
	const char *hint = "";

	if (code == -ENOENT || code == -ECONNREFUSED)
		hint = "; is port500d running? (systemctl status port500d)";
	else if (code == -EACCES || code == -EPERM)
		hint = "; only root and the socket's group may use it";
	return error_set(err, code, "cannot connect to %s: %s%s", path, strerror(-code), hint);
}

int vici_client_open(const char *path, struct vici_client **out, struct error *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct vici_client *c;
	int rc;

	if (strlen(path) >= sizeof(addr.sun_path))
		return connect_error(path, -ENAMETOOLONG, err);
	strcpy(addr.sun_path, path);
	c = calloc(1, sizeof(*c));
	if (!c)
		return error_set(err, -ENOMEM, "out of memory");
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&addr, sizeof(addr))) {
		rc = connect_error(path, -errno, err);
		vici_client_close(c);
		return rc;
	}
	*out = c;
	return 0;
}

void vici_client_close(struct vici_client *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		close(c->fd);
	free(c->buf);
	free(c);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

// Waits until the socket is ready for `events`, at most until `deadline`.
static int wait_for(struct vici_client *c, short events, int64_t deadline, struct error *err)
{
	struct pollfd p = {.fd = c->fd, .events = events};

	for (;;) {
		int64_t left = deadline - now_ms();
		int n = poll(&p, 1, left > 0 ? (int)left : 0);

		if (n > 0)
			return 0;
		if (n == 0)
			return error_set(err, -ETIMEDOUT, "no answer from the daemon in time");
		if (errno != EINTR)
			return error_set(err, -errno, "waiting for the daemon: %s",
					 strerror(errno));
	}
}

static int send_all(struct vici_client *c, const uint8_t *data, size_t len, int timeout_ms,
		    struct error *err)
{
	int64_t deadline = now_ms() + timeout_ms;

	while (len) {
		ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0) {
			data += n;
			len -= (size_t)n;
			continue;
		}
		if (errno == EPIPE || errno == ECONNRESET)
			return error_set(err, -ECONNRESET, "the daemon closed the connection");
		if (errno != EAGAIN && errno != EINTR)
			return error_set(err, -errno, "sending to the daemon: %s", strerror(errno));
		if (errno == EAGAIN) {
			int rc = wait_for(c, POLLOUT, deadline, err);

			if (rc)
				return rc;
		}
	}
	return 0;
}

static int receive_all(struct vici_client *c, uint8_t *data, size_t len, int64_t deadline,
		       struct error *err)
{
	while (len) {
		int rc = wait_for(c, POLLIN, deadline, err);
		ssize_t n;

		if (rc)
			return rc;
		n = recv(c->fd, data, len, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return error_set(err, -ECONNRESET, "the daemon closed the connection");
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return error_set(err, -errno, "reading from the daemon: %s",
					 strerror(errno));
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int send_packet(struct vici_client *c, enum vici_packet_type type, const char *name,
		       const struct vici_builder *msg, int timeout_ms, struct error *err)
{
	uint8_t *packet;
	size_t len;
	int rc = vici_packet_build(type, name, msg, &packet, &len);

	if (rc)
		return error_set(err, rc, "the request cannot be built: %s", strerror(-rc));
	rc = send_all(c, packet, len, timeout_ms, err);
	free(packet);
	return rc;
}

// Reads one packet into c->buf.
static int receive_packet(struct vici_client *c, int timeout_ms, struct vici_packet *p,
			  struct error *err)
{
	int64_t deadline = now_ms() + timeout_ms;
	uint8_t header[4];
	struct reader r;
	uint32_t len;
	uint8_t *buf;
	int rc = receive_all(c, header, sizeof(header), deadline, err);

	if (rc)
		return rc;
	r = reader_of(header, sizeof(header));
	len = read_u32(&r);
	if (len == 0 || len > LIMIT_VICI_MESSAGE_LEN)
		return error_set(err, -EBADMSG, "what answers there does not speak vici");
	buf = realloc(c->buf, len);
	if (!buf)
		return error_set(err, -ENOMEM, "out of memory");
	c->buf = buf;
	rc = receive_all(c, buf, len, deadline, err);
	if (rc)
		return rc;
	if (vici_packet_parse(buf, len, p) || vici_check(p->msg, p->msg_len))
		return error_set(err, -EBADMSG, "what answers there does not speak vici");
	return 0;
}

// The call's own events are passed on; another one (vici_client_listen) rings.
static void take_event(struct vici_client *c, const struct vici_call *call,
		       const struct vici_packet *p)
{
	if (call->on_event && call->event && strcmp(p->name, call->event) == 0)
		call->on_event(call->ctx, p->msg, p->msg_len);
	else
		c->rung = true;
}

// Registers or unregisters the call's event.
static int set_event(struct vici_client *c, const struct vici_call *call,
		     enum vici_packet_type type, struct error *err)
{
	struct vici_packet p;
	int rc = send_packet(c, type, call->event, NULL, call->timeout_ms, err);

	while (!rc) {
		rc = receive_packet(c, call->timeout_ms, &p, err);
		if (rc)
			return rc;
		if (p.type == VICI_EVENT)
			take_event(c, call, &p);
		else if (p.type == VICI_EVENT_CONFIRM)
			return 0;
		else if (p.type == VICI_EVENT_UNKNOWN)
			return error_set(err, -ENOSYS, "the daemon does not know the event '%s'",
					 call->event);
		else
			return error_set(err, -EBADMSG, "the daemon answered out of turn");
	}
	return rc;
}

static int receive_response(struct vici_client *c, const struct vici_call *call, uint8_t **reply,
			    size_t *reply_len, struct error *err)
{
	for (;;) {
		struct vici_packet p;
		int rc = receive_packet(c, call->timeout_ms, &p, err);

		if (rc)
			return rc;
		switch (p.type) {
		case VICI_EVENT:
			take_event(c, call, &p);
			break;
		case VICI_CMD_RESPONSE:
			*reply = malloc(p.msg_len ? p.msg_len : 1);
			if (!*reply)
				return error_set(err, -ENOMEM, "out of memory");
			memcpy(*reply, p.msg, p.msg_len);
			*reply_len = p.msg_len;
			return 0;
		case VICI_CMD_UNKNOWN:
			return error_set(err, -ENOSYS, "the daemon does not know the command '%s'",
					 call->command);
		default:
			return error_set(err, -EBADMSG, "the daemon answered out of turn");
		}
	}
}

int vici_client_call(struct vici_client *c, const struct vici_call *call, uint8_t **reply,
		     size_t *reply_len, struct error *err)
{
	uint8_t *got = NULL;
	size_t got_len = 0;
	int rc;

	if (call->event) {
		rc = set_event(c, call, VICI_EVENT_REGISTER, err);
		if (rc)
			return rc;
	}
	rc = send_packet(c, VICI_CMD_REQUEST, call->command, call->request, call->timeout_ms, err);
	if (!rc)
		rc = receive_response(c, call, &got, &got_len, err);
	if (call->event && !rc)
		rc = set_event(c, call, VICI_EVENT_UNREGISTER, err);
	if (rc) {
		free(got);
		return rc;
	}
	*reply = got;
	*reply_len = got_len;
	return 0;
}

int vici_client_listen(struct vici_client *c, const char *event, int timeout_ms, struct error *err)
{
	const struct vici_call call = {.event = event, .timeout_ms = timeout_ms};

	return set_event(c, &call, VICI_EVENT_REGISTER, err);
}

int vici_client_wait(struct vici_client *c, int out_fd, const sigset_t *mask, int timeout_ms,
		     struct error *err)
{
	struct pollfd fds[2] = {{.fd = c->fd, .events = POLLIN}, {.fd = out_fd}};
	struct vici_packet p;
	int rc;

	while (!c->rung) {
		if (ppoll(fds, 2, NULL, mask) < 0)
			return error_set(err, -errno, "waiting for the daemon: %s",
					 strerror(errno));
		if (fds[1].revents & POLLERR)
			return error_set(err, -EPIPE, "nobody reads the output any more");
		if (!fds[0].revents)
			continue;
		rc = receive_packet(c, timeout_ms, &p, err);
		if (rc)
			return rc;
		if (p.type != VICI_EVENT)
			return error_set(err, -EBADMSG, "the daemon answered out of turn");
		c->rung = true;
	}
	c->rung = false;
	return 0;
}
