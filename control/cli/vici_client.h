// A blocking vici client: one connection, one command at a time.
//
// Threads:   one.
// Errors:    -errno with a sentence: -ETIMEDOUT when the daemon is silent for too long,
//            -ECONNRESET when it closes, -EBADMSG when it sends nonsense, -ENOSYS when it does not
//            know the command. After any of them but -ENOSYS the client is only good for close.
#pragma once

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/vici_msg.h"

struct vici_client;

int vici_client_open(const char *path, struct vici_client **out, struct error *err);
void vici_client_close(struct vici_client *c); // NULL is allowed

// How a command is run.
struct vici_call {
	const char *command;
	const struct vici_builder *request; // NULL: no arguments
	const char *event;		    // of a streamed command, or NULL
	void (*on_event)(void *ctx, const uint8_t *msg, size_t len);
	void *ctx;
	int timeout_ms; // longest silence
};

// On success *reply (freed by the caller) holds the elements of the response.
int vici_client_call(struct vici_client *c, const struct vici_call *call, uint8_t **reply,
		     size_t *reply_len, struct error *err);

// From now on that event may come at any time. Its content is not kept: it rings, and a command
// tells what is new. So nothing is missed between a list and what comes after it.
int vici_client_listen(struct vici_client *c, const char *event, int timeout_ms, struct error *err);
// Waits until such an event has come, perhaps during a call already. Signals that `mask` lets
// through end the wait: -EINTR. -EPIPE: nobody reads from `out_fd` any more.
int vici_client_wait(struct vici_client *c, int out_fd, const sigset_t *mask, int timeout_ms,
		     struct error *err);
