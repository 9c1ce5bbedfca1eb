// Addresses of host names (/etc/hosts, then DNS), without waiting: libevent's evdns in the control
// thread's loop.
//
// The files that say how are read again when a name is asked for and no other is under way.
//
// Threads:   control only.
// Ownership: a query is the resolver's until `done` has been called or it has been cancelled.
// Errors:    0 or -errno.
#pragma once

#include <stddef.h>

#include "lib/addr.h"

struct event_base;
struct resolver;
struct resolver_query;

// The name's first address of the family asked for; or NULL, and `why` says what went wrong. Never
// called from within resolver_ask.
typedef void (*resolver_done)(void *ctx, const struct ip_addr *addr, const char *why);

int resolver_create(struct event_base *base, struct resolver **out); // -ENOMEM
// Cancels what is under way; its last memory is freed from the loop. NULL is allowed.
void resolver_destroy(struct resolver *r);
int resolver_ask_family(struct resolver *r, enum ip_family family, const char *name,
			resolver_done done, void *ctx, struct resolver_query **out); // -ENOMEM
// The same for IPv4.
int resolver_ask(struct resolver *r, const char *name, resolver_done done, void *ctx,
		 struct resolver_query **out);
// `done` will not be called. NULL is allowed.
void resolver_cancel(struct resolver_query *q);
