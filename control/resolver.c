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
	struct ip_addr addr; // IP_NONE: `why`
	char why[WHY_MAX];
};

struct resolver {
	struct event_base *base;
	struct evdns_base *dns;
	LIST_HEAD(, resolver_query) queries;
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

void resolver_destroy(struct resolver *r)
{
	struct resolver_query *q;

	if (!r)
		return;
	while ((q = LIST_FIRST(&r->queries)))
		query_free(q);
	if (r->dns)
		evdns_base_free(r->dns, 0); // and no callbacks
	free(r);
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

	(void)fd;
	(void)what;
	query_free(q);
	if (answered.done)
		answered.done(answered.ctx, answered.addr.family == IP_NONE ? NULL : &answered.addr,
			      answered.why);
}

static void on_addrinfo(int result, struct evutil_addrinfo *list, void *arg)
{
	struct resolver_query *q = arg;

	q->request = NULL;
	for (const struct evutil_addrinfo *a = list; a; a = a->ai_next) {
		const struct sockaddr_in *in = (const void *)a->ai_addr;

		if (a->ai_family != AF_INET)
			continue;
		q->addr = ip_addr_from_bytes((const uint8_t *)&in->sin_addr, 4);
		break;
	}
	if (q->addr.family == IP_NONE)
		snprintf(q->why, sizeof(q->why), "%s",
			 result ? evutil_gai_strerror(result) : "it has no IPv4 address");
	if (list)
		evutil_freeaddrinfo(list);
	// May be within evdns_getaddrinfo, or long after: `done` hears of it from the loop.
	event_active(q->answer, 0, 0);
}

int resolver_ask(struct resolver *r, const char *name, resolver_done done, void *ctx,
		 struct resolver_query **out)
{
	const struct evutil_addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_DGRAM};
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
	LIST_INSERT_HEAD(&r->queries, q, link);
	// NULL when it has answered already.
	q->request = evdns_getaddrinfo(r->dns, name, NULL, &hints, on_addrinfo, q);
	*out = q;
	return 0;
}

void resolver_cancel(struct resolver_query *q)
{
	if (!q)
		return;
	q->done = NULL;
	if (q->request)
		evdns_getaddrinfo_cancel(q->request); // calls on_addrinfo later
}
