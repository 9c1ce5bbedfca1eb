#include "control/vici_session.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/daemon.h"
#include "control/vici_capture.h"
#include "control/vici_events.h"
#include "lib/bytes.h"
#include "lib/limits.h"
#include "lib/log.h"

enum {
	HEADER_LEN = 4,			  // bytes of the length in front of each packet
	STREAM_PAUSE_LEN = 1024 * 1024,	  // bytes waiting to be sent at which a stream pauses
	STREAM_RESUME_LEN = 256 * 1024,	  // and at which it goes on
	OUTPUT_MAX_LEN = 8 * 1024 * 1024, // bytes: the client does not read its events
	WRITE_TIMEOUT_S = 10,		  // without any progress
};

static const char *const event_names[VICI_EV_COUNT] = {
	[VICI_EV_LOG] = "log",
	[VICI_EV_CONTROL_LOG] = "control-log",
	[VICI_EV_IKE_UPDOWN] = "ike-updown",
	[VICI_EV_CHILD_UPDOWN] = "child-updown",
	[VICI_EV_LIST_SA] = "list-sa",
	[VICI_EV_LIST_CONN] = "list-conn",
	[VICI_EV_LIST_POLICY] = "list-policy",
	[VICI_EV_SHOW_CONN] = "show-conn",
	[VICI_EV_SHOW_ROUTE] = "show-route",
	[VICI_EV_LIST_REFUSAL] = "list-refusal",
	[VICI_EV_DOCTOR] = "doctor",
	[VICI_EV_REFUSAL] = "refusal",
	[VICI_EV_CAPTURE] = "capture",
	[VICI_EV_LIST_EVENT] = "list-event",
	[VICI_EV_EVENT] = "event",
	[VICI_EV_LIST_IKE_HEADER] = "list-ike-header",
	[VICI_EV_LIST_SECOND] = "list-second",
	[VICI_EV_CONFIG_TEXT] = "config-text",
	[VICI_EV_PROBE] = "probe",
};

static void stream_fini(struct vici_stream *st)
{
	free(st->snapshot);
	*st = (struct vici_stream){0};
}

void vici_session_close(struct vici_session *s, const char *why)
{
	if (s->dead)
		return;
	if (why)
		log_notice(LOG_API, "client %d closed: %s", (int)s->pid, why);
	s->dead = true;
	s->server->n_sessions--;
	bufferevent_disable(s->bev, EV_READ | EV_WRITE);
	// The call that brought us here may still hold s, and may come from ike_run, which is not
	// to lose a watch under its hands: the rest is done from the event loop.
	event_active(s->server->reap, EV_TIMEOUT, 0);
}

void vici_sessions_reap(struct vici_server *server, bool all)
{
	struct vici_session **at = &server->sessions;

	while (*at) {
		struct vici_session *s = *at;

		if (all)
			vici_session_close(s, NULL);
		if (!s->dead) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		if (s->op.active)
			ike_run_unwatch(server->d->ike, s);
		if (s->probing)
			ike_run_probe_unwatch(server->d->ike, s);
		if (s->capture)
			vici_capture_abandon(s);
		stream_fini(&s->stream);
		bufferevent_free(s->bev);
		free(s);
	}
}

static void send_packet(struct vici_session *s, enum vici_packet_type type, const char *name,
			const struct vici_builder *msg)
{
	struct evbuffer *out;
	uint8_t *packet;
	size_t len;
	int err;

	if (s->dead)
		return;
	err = vici_packet_build(type, name, msg, &packet, &len);
	if (!err && len > LIMIT_VICI_MESSAGE_LEN + HEADER_LEN) {
		free(packet);
		err = -EMSGSIZE;
	}
	if (err) {
		vici_session_close(s, "the answer could not be built");
		return;
	}
	out = bufferevent_get_output(s->bev);
	err = evbuffer_add(out, packet, len);
	free(packet);
	if (err)
		vici_session_close(s, "out of memory");
	else if (evbuffer_get_length(out) > OUTPUT_MAX_LEN)
		vici_session_close(s, "it does not read what it asked for");
}

void vici_session_event(struct vici_session *s, enum vici_event_id id, struct vici_builder *msg)
{
	if (vici_session_wants(s, id))
		send_packet(s, VICI_EVENT, event_names[id], msg);
	vici_builder_fini(msg);
}

bool vici_session_full(const struct vici_session *s)
{
	return s->dead || evbuffer_get_length(bufferevent_get_output(s->bev)) >= STREAM_PAUSE_LEN;
}

void vici_session_respond(struct vici_session *s, struct vici_builder *msg)
{
	send_packet(s, VICI_CMD_RESPONSE, NULL, msg);
	vici_builder_fini(msg);
	// Not from here: we may be inside a callback of ike_run, which the next command could enter
	// again.
	if (!s->dead)
		bufferevent_trigger(s->bev, EV_READ,
				    BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

// Sends as much of the list as the client takes now.
static void stream_run(struct vici_session *s)
{
	struct vici_builder none = {0};

	while (!vici_session_full(s)) {
		if (!s->stream.next(s, &s->stream))
			continue;
		stream_fini(&s->stream);
		vici_session_respond(s, &none);
		return;
	}
}

enum vici_outcome vici_session_stream(struct vici_session *s)
{
	stream_run(s);
	return VICI_LATER;
}

static void run_command(struct vici_session *s, const struct vici_packet *p)
{
	struct vici_builder reply = {0};
	struct vici_request req = {
		.command = vici_command_find(p->name),
		.msg = p->msg,
		.len = p->msg_len,
	};

	if (vici_check(p->msg, p->msg_len)) {
		vici_session_close(s, "malformed message");
		return;
	}
	if (!req.command) {
		log_debug(LOG_API, "client %d asks for the unknown command '%s'", (int)s->pid,
			  p->name);
		send_packet(s, VICI_CMD_UNKNOWN, NULL, NULL);
		return;
	}
	if (req.command->run(s, &req, &reply) == VICI_REPLY)
		vici_session_respond(s, &reply);
	vici_builder_fini(&reply);
}

static void run_register(struct vici_session *s, const struct vici_packet *p)
{
	for (unsigned i = 0; i < VICI_EV_COUNT; i++) {
		if (strcmp(p->name, event_names[i]) != 0)
			continue;
		if (p->type == VICI_EVENT_REGISTER)
			s->events |= 1u << i;
		else
			s->events &= ~(1u << i);
		if (i == VICI_EV_IKE_UPDOWN || i == VICI_EV_CHILD_UPDOWN)
			vici_events_follow(s->server);
		send_packet(s, VICI_EVENT_CONFIRM, NULL, NULL);
		return;
	}
	send_packet(s, VICI_EVENT_UNKNOWN, NULL, NULL);
}

static void run_packet(struct vici_session *s, const uint8_t *data, size_t len)
{
	struct vici_packet p;

	if (vici_packet_parse(data, len, &p)) {
		vici_session_close(s, "malformed packet");
		return;
	}
	switch (p.type) {
	case VICI_CMD_REQUEST:
		run_command(s, &p);
		break;
	case VICI_EVENT_REGISTER:
	case VICI_EVENT_UNREGISTER:
		run_register(s, &p);
		break;
	case VICI_CMD_RESPONSE:
	case VICI_CMD_UNKNOWN:
	case VICI_EVENT_CONFIRM:
	case VICI_EVENT_UNKNOWN:
	case VICI_EVENT:
		vici_session_close(s, "it sent a packet that only a server sends");
		break;
	}
}

static bool is_busy(const struct vici_session *s)
{
	return s->stream.next || s->op.active || s->capture || s->probing;
}

static void on_read(struct bufferevent *bev, void *ctx)
{
	struct vici_session *s = ctx;
	struct evbuffer *in = bufferevent_get_input(bev);

	while (!s->dead && !is_busy(s)) {
		uint8_t header[HEADER_LEN];
		const uint8_t *packet;
		struct reader r;
		uint32_t len;

		if (evbuffer_copyout(in, header, sizeof(header)) < (ssize_t)sizeof(header))
			return;
		r = reader_of(header, sizeof(header));
		len = read_u32(&r);
		if (len == 0 || len > LIMIT_VICI_MESSAGE_LEN) {
			vici_session_close(s, "a packet's length is out of bounds");
			return;
		}
		if (evbuffer_get_length(in) < HEADER_LEN + (size_t)len)
			return;
		packet = evbuffer_pullup(in, (ssize_t)(HEADER_LEN + (size_t)len));
		if (!packet) {
			vici_session_close(s, "out of memory");
			return;
		}
		run_packet(s, packet + HEADER_LEN, len);
		evbuffer_drain(in, HEADER_LEN + (size_t)len);
	}
}

static void on_write(struct bufferevent *bev, void *ctx)
{
	struct vici_session *s = ctx;

	(void)bev;
	if (!s->dead && s->stream.next)
		stream_run(s);
}

static void on_end(struct bufferevent *bev, short what, void *ctx)
{
	struct vici_session *s = ctx;

	(void)bev;
	if ((what & BEV_EVENT_TIMEOUT) && (what & BEV_EVENT_WRITING))
		vici_session_close(s, "it has not read for 10 seconds");
	else
		vici_session_close(s, NULL);
}

int vici_session_open(struct vici_server *server, int fd)
{
	static const struct timeval patience = {.tv_sec = WRITE_TIMEOUT_S};
	struct vici_session *s = calloc(1, sizeof(*s));
	struct ucred cred = {0};
	socklen_t len = sizeof(cred);

	if (s)
		s->bev = bufferevent_socket_new(server->d->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!s || !s->bev) {
		free(s);
		close(fd);
		return -ENOMEM;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0) {
		s->pid = cred.pid;
		s->uid = cred.uid;
	}
	s->server = server;
	s->next = server->sessions;
	server->sessions = s;
	server->n_sessions++;
	bufferevent_setcb(s->bev, on_read, on_write, on_end, s);
	// One packet and no more is read ahead.
	bufferevent_setwatermark(s->bev, EV_READ, 0, LIMIT_VICI_MESSAGE_LEN + HEADER_LEN);
	bufferevent_setwatermark(s->bev, EV_WRITE, STREAM_RESUME_LEN, 0);
	bufferevent_set_timeouts(s->bev, NULL, &patience);
	bufferevent_enable(s->bev, EV_READ | EV_WRITE);
	return 0;
}

bool vici_server_wanted(const struct vici_server *server, enum vici_event_id id)
{
	for (const struct vici_session *s = server->sessions; s; s = s->next)
		if (vici_session_wants(s, id))
			return true;
	return false;
}
