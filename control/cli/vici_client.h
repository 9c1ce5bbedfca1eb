// A blocking vici client: one connection, one command at a time.
//
// Threads:   one.
// Errors:    -errno with a sentence: -ETIMEDOUT when the daemon is silent for too long,
//            -ECONNRESET when it closes, -EBADMSG when it sends nonsense, -ENOSYS when it does not
//            know the command. After any of them but -ENOSYS the client is only good for close.
#pragma once

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
