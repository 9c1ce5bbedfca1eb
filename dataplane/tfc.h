// Dummy packets (RFC 4303 2.6), which hide when and how much is sent: of tunnels whose SA asks for
// some a second. What hides the size of packets is esp_out()'s.
//
// Each tunnel's dummies are sent by one worker, in its own rounds: no clock but the one that it has
// read, no call of the system, no lock. They take sequence numbers as any packet does, but count
// neither as packets nor as bytes of the SA, nor as use of it.
//
// Threads:   create, destroy, set and forget: control only. send: the worker of that number alone.
// Ownership: the list is replaced as a whole; the old one is freed once every worker has been
//            quiescent. It names tunnels, which have to be forgotten before they are freed.
// Errors:    0 or -errno; on error nothing has changed.
#pragma once

#include <stdint.h>

struct dp;
struct tunnel;
struct worker;

// So many a second from now on, by chance at intervals of half to one and a half times what that
// makes. 0: none. -ENOMEM.
int tfc_set(struct dp *dp, struct tunnel *t, uint32_t per_second);
// The tunnel is about to be freed.
void tfc_forget(struct dp *dp, struct tunnel *t);
void tfc_destroy(struct dp *dp);
// Sends what is due. A tunnel without an outbound SA, or without a way to its peer, has none.
void tfc_send(struct worker *w);
