#include "control/resolver.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>

#define WHY_MAX 128

struct resolver_query {
	LIST_ENTRY(resolver_query) link;
	struct resolver *resolver;
	struct evdns_getaddrinfo_request *request; // NULL: answered
	struct event *answer;			   // takes the answer to `done` from the loop
	resolver_done done;			   // NULL: cancelled
	void *ctx;
	enum ip_family family; // asked for
	struct ip_addr addr;   // IP_NONE: `why`
	char why[WHY_MAX];
};

struct resolver {
	struct event_base *base;
	struct evdns_base *dns;
	LIST_HEAD(, resolver_query) queries;
	bool closing; // it ends with its last query
};

int resolver_create(struct event_base *base, struct resolver **out)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->base = base;
	LIST_INIT(&r->queries);
	*out = r;
	return 0;
}

static void query_free(struct resolver_query *q)
{
	LIST_REMOVE(q, link);
	event_free(q->answer);
	free(q);
}

static void resolver_free(struct resolver *r)
{
	if (r->dns)
		evdns_base_free(r->dns, 0);
	free(r);
}

void resolver_destroy(struct resolver *r)
{
	struct resolver_query *q;

	if (!r)
		return;
	if (LIST_EMPTY(&r->queries)) {
		resolver_free(r);
		return;
	}
	r->closing = true; // libevent frees a request from the loop, when it has told of its end
	LIST_FOREACH(q, &r->queries, link)
	resolver_cancel(q);
}

// Without a file there is nobody to ask but /etc/hosts, and evdns asks this machine.
static int read_files(struct resolver *r)
{
	if (r->dns)
		evdns_base_free(r->dns, 0);
	r->dns = evdns_base_new(r->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (!r->dns)
		return -ENOMEM;
	evdns_base_resolv_conf_parse(r->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
	return 0;
}

static void on_answer(int fd, short what, void *arg)
{
	struct resolver_query *q = arg;
	const struct resolver_query answered = *q;
	struct resolver *r = q->resolver;

	(void)fd;
	(void)what;
	query_free(q);
	if (r->closing && LIST_EMPTY(&r->queries))
		resolver_free(r);
	if (answered.done)
		answered.done(answered.ctx, answered.addr.family == IP_NONE ? NULL : &answered.addr,
			      answered.why);
}

static struct ip_addr addr_of(const struct sockaddr *sa)
{
	const struct sockaddr_in6 *v6 = (const void *)sa;
	const struct sockaddr_in *v4 = (const void *)sa;

	return sa->sa_family == AF_INET6 ? ip_addr_from_bytes((const uint8_t *)&v6->sin6_addr, 16)
					 : ip_addr_from_bytes((const uint8_t *)&v4->sin_addr, 4);
}

static void on_addrinfo(int result, struct evutil_addrinfo *list, void *arg)
{
	struct resolver_query *q = arg;

	q->request = NULL;
	for (const struct evutil_addrinfo *a = list; a && q->addr.family == IP_NONE; a = a->ai_next)
		if (a->ai_family == (q->family == IP_V6 ? AF_INET6 : AF_INET))
			q->addr = addr_of(a->ai_addr);
	if (q->addr.family == IP_NONE && result)
		snprintf(q->why, sizeof(q->why), "%s", evutil_gai_strerror(result));
	else if (q->addr.family == IP_NONE)
		snprintf(q->why, sizeof(q->why), "it has no IPv%c address",
			 q->family == IP_V6 ? '6' : '4');
	if (list)
		evutil_freeaddrinfo(list);
	// May be within evdns_getaddrinfo, or long after: `done` hears of it from the loop.
	event_active(q->answer, 0, 0);
}

int resolver_ask_family(struct resolver *r, enum ip_family family, const char *name,
			resolver_done done, void *ctx, struct resolver_query **out)
{
	const struct evutil_addrinfo hints = {
		.ai_family = family == IP_V6 ? AF_INET6 : AF_INET,
		.ai_socktype = SOCK_DGRAM,
	};
	struct resolver_query *q;

	if (LIST_EMPTY(&r->queries) && read_files(r))
		return -ENOMEM;
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	q->answer = event_new(r->base, -1, 0, on_answer, q);
	if (!q->answer) {
		free(q);
		return -ENOMEM;
	}
	q->resolver = r;
	q->done = done;
	q->ctx = ctx;
	q->family = family;
	LIST_INSERT_HEAD(&r->queries, q, link);
	// NULL when it has answered already.
	q->request = evdns_getaddrinfo(r->dns, name, NULL, &hints, on_addrinfo, q);
	*out = q;
	return 0;
}

int resolver_ask(struct resolver *r, const char *name, resolver_done done, void *ctx,
		 struct resolver_query **out)
{
	return resolver_ask_family(r, IP_V4, name, done, ctx, out);
}

void resolver_cancel(struct resolver_query *q)
{
	if (!q)
		return;
	q->done = NULL;
	if (q->request)
		evdns_getaddrinfo_cancel(q->request); // calls on_addrinfo later
}
