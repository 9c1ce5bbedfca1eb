// One connected vici client: packet framing, the command under way, the events it asked for.
//
// A client has one command at a time (the protocol has no way to tell two responses apart), so
// what it sends meanwhile waits in its input buffer. A command either answers at once, or streams
// a list piece by piece as the client takes it, or waits for IKE to finish (vici_control.c).
//
// Threads:   control only, inside the event loop. Nothing here writes to a socket directly or
//            blocks: libevent sends, and a client that does not take what it asked for is closed.
// Lifetime:  vici_session_open -> ... -> vici_session_close (at any moment, also in the middle of
//            a command) -> freed by the server once the call stack is empty. After a close every
//            function is harmless.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/ike_run.h"
#include "control/vici_server.h"
#include "lib/error.h"
#include "lib/vici_msg.h"

struct bufferevent;
struct daemon;
struct event;
struct evconnlistener;
struct vici_capture;
struct vici_events;
struct vici_session;

// Events a client can register for; the names stand in vici_session.c.
enum vici_event_id {
	VICI_EV_LOG,
	VICI_EV_CONTROL_LOG,
	VICI_EV_IKE_UPDOWN,
	VICI_EV_CHILD_UPDOWN,
	VICI_EV_LIST_SA,
	VICI_EV_LIST_CONN,
	VICI_EV_LIST_POLICY,
	VICI_EV_SHOW_CONN,
	VICI_EV_SHOW_ROUTE,
	VICI_EV_LIST_REFUSAL,
	VICI_EV_DOCTOR,
	VICI_EV_REFUSAL,
	VICI_EV_CAPTURE,
	VICI_EV_LIST_EVENT,
	VICI_EV_EVENT,
	VICI_EV_LIST_IKE_HEADER,
	VICI_EV_LIST_SECOND,
	VICI_EV_CONFIG_TEXT,
	VICI_EV_PROBE,
	VICI_EV_COUNT,
};

struct vici_command;

struct vici_request {
	const struct vici_command *command;
	const uint8_t *msg; // elements, already checked
	size_t len;
};

enum vici_outcome {
	VICI_REPLY, // `reply` is complete and is sent now
	VICI_LATER, // a stream or an operation was started that will answer
};

typedef enum vici_outcome (*vici_handler)(struct vici_session *s, const struct vici_request *req,
					  struct vici_builder *reply);

struct vici_command {
	const char *name;
	vici_handler run;
	const char *refusal; // for vici_run_refuse: what to do instead
};

// A list on its way to the client. `next` sends some elements as events, starting after `cursor`,
// until vici_session_full, and returns true when none is left.
struct vici_stream {
	bool (*next)(struct vici_session *s, struct vici_stream *st);
	uint64_t cursor;	   // what it means is next's affair
	void *snapshot;		   // freed with free() at the end
	size_t n;		   // elements of snapshot
	char ike[256], child[256]; // filters, "" for none
	uint32_t ike_id, child_id; // filters, 0 for none
	unsigned flags;
};

// An initiate or terminate that IKE has not finished.
struct vici_operation {
	bool active;   // the client waits
	bool starting; // the call into ike_run has not returned yet
	bool finished; // done came while `starting`
	bool terminate;
	int result;
	int level; // strongSwan's log level for control-log
	int64_t timeout_ms;
	unsigned matched; // terminate
	char what[300];	  // "CHILD_SA 'net'"
	char text[512];	  // of done
};

struct vici_session {
	struct vici_session *next;
	struct vici_server *server;
	struct bufferevent *bev; // NULL after close
	uint32_t events;	 // bit 1 << enum vici_event_id
	bool dead;
	pid_t pid; // of the client, 0 when unknown
	uid_t uid;
	struct vici_stream stream; // active when .next is set
	struct vici_operation op;
	struct vici_capture *capture; // its own, under way; else NULL
	bool probing;		      // it waits for the end of a probe
	char probed[CONFIG_NAME_MAX]; // of that connection
};

struct vici_server {
	struct daemon *d;
	struct evconnlistener *listener;
	struct event *reap;	    // frees dead sessions
	struct event *accept_again; // after running out of file descriptors
	struct vici_session *sessions;
	unsigned n_sessions; // alive
	char *path;
	dev_t dev; // of the socket file, so that only our own is removed
	ino_t ino;
	struct vici_events *events;
	struct vici_capture *capture; // of whichever client; NULL: none
};

// Takes the connected socket. -ENOMEM: it is closed.
int vici_session_open(struct vici_server *server, int fd);
// Closes the connection and forgets the operation under way; `why` (may be NULL) is logged.
void vici_session_close(struct vici_session *s, const char *why);
// Frees closed sessions; `all` closes and frees every one.
void vici_sessions_reap(struct vici_server *server, bool all);

static inline bool vici_session_wants(const struct vici_session *s, enum vici_event_id id)
{
	return !s->dead && (s->events & (1u << id));
}

// Sends an event to this client if it registered for it; consumes the content of `msg`.
void vici_session_event(struct vici_session *s, enum vici_event_id id, struct vici_builder *msg);
// Sends the response of the command under way and takes up what the client sent meanwhile;
// consumes the content of `msg`.
void vici_session_respond(struct vici_session *s, struct vici_builder *msg);
// True when so much waits to be sent that a stream should pause.
bool vici_session_full(const struct vici_session *s);
// Starts `s->stream`, which the caller has filled.
enum vici_outcome vici_session_stream(struct vici_session *s);

// True when any client registered for the event.
bool vici_server_wanted(const struct vici_server *server, enum vici_event_id id);

// NULL when we have no such command.
const struct vici_command *vici_command_find(const char *name);
enum vici_outcome vici_run_refuse(struct vici_session *s, const struct vici_request *req,
				  struct vici_builder *reply);
// Puts success = yes, or success = no with errmsg, into a reply.
void vici_reply_result(struct vici_builder *reply, const char *errmsg);
// The value of a key as text; "" when absent. False when it is no text or too long: a selector
// that we cannot read must not count as one that is missing.
bool vici_request_text(const struct vici_request *req, const char *key, char *buf, size_t size);
// The value of a key as a number; *value stays as it is when absent. False when it is no number.
bool vici_request_int(const struct vici_request *req, const char *key, int64_t *value);
bool vici_request_id(const struct vici_request *req, const char *key, uint32_t *id);
bool vici_request_bool(const struct vici_request *req, const char *key);
