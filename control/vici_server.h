// The API: strongSwan's vici protocol on a unix socket. control/vici_commands.c holds the
// commands, one table row each; docs/api.md describes them.
//
// Threads:   control only, inside the event loop. A slow client never blocks: its socket is
//            non-blocking, and one that does not read is closed.
// Ownership: borrows the daemon.
#pragma once

#include "lib/error.h"

struct daemon;
struct vici_server;

// Listens on daemon->config->gateway.socket, mode 0660. A stale socket file is removed; a live
// one is -EADDRINUSE with a sentence.
int vici_server_create(struct daemon *d, struct vici_server **out, struct error *err);
// Closes all clients and removes the socket file.
void vici_server_destroy(struct vici_server *s);
