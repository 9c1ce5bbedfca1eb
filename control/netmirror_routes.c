#include "control/netmirror_routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

enum { BUCKETS = 1 << 14 };

struct candidate { // one route of the kernel
	struct candidate *next;
	uint32_t metric;
	uint32_t port;
	struct ip_addr gateway;
	unsigned generation;
	bool several; // the kernel may have more with this prefix and metric
};

struct node { // one prefix
	struct node *next;
	struct ip_prefix dst;
	struct candidate *best; // sorted by metric
	bool in_dp;
	struct dp_route dp_route;
};

struct routes {
	struct dp *dp;
	unsigned generation;
	bool dumping; // between begin and end
	struct node *bucket[BUCKETS];
};

int routes_create(struct dp *dp, struct routes **out)
{
	struct routes *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->dp = dp;
	*out = r;
	return 0;
}

static void node_free(struct node *n)
{
	while (n->best) {
		struct candidate *next = n->best->next;

		free(n->best);
		n->best = next;
	}
	free(n);
}

void routes_destroy(struct routes *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		while (r->bucket[i]) {
			struct node *next = r->bucket[i]->next;

			node_free(r->bucket[i]);
			r->bucket[i] = next;
		}
	}
	free(r);
}

static size_t bucket_of(const struct ip_prefix *p)
{
	uint32_t h = ip_addr_hash(&p->addr) ^ ((uint32_t)p->len << 27);

	return (h * 2654435761u) >> 18; // 14 bits
}

// Where the prefix hangs, or would hang.
static struct node **find(struct routes *r, const struct ip_prefix *dst)
{
	struct node **at = &r->bucket[bucket_of(dst)];

	while (*at && !((*at)->dst.len == dst->len && ip_addr_equal(&(*at)->dst.addr, &dst->addr)))
		at = &(*at)->next;
	return at;
}

static void report(const struct ip_prefix *dst, const char *what, int err)
{
	char text[IP_PREFIX_TEXT_MAX];

	log_warn(LOG_KNL, "route to %s: the dataplane does not %s it: %s",
		 ip_prefix_format(dst, text, sizeof(text)), what, strerror(-err));
}

static bool same_route(const struct dp_route *a, const struct dp_route *b)
{
	return a->port == b->port && ip_addr_equal(&a->gateway, &b->gateway);
}

// Brings dp to what counts now.
static void apply(struct routes *r, struct node *n)
{
	struct dp_route want = {.dst = n->dst};
	int err;

	if (!n->best || n->best->port == ROUTE_NO_PORT) {
		if (!n->in_dp)
			return;
		err = dp_route_del(r->dp, &n->dst);
		if (err)
			report(&n->dst, "delete", err);
		else
			n->in_dp = false;
		return;
	}
	want.port = n->best->port;
	want.gateway = n->best->gateway;
	if (n->in_dp && same_route(&want, &n->dp_route))
		return;
	err = dp_route_set(r->dp, &want);
	if (err) {
		report(&n->dst, "take", err);
		return;
	}
	n->in_dp = true;
	n->dp_route = want;
}

static int candidate_new(struct node *n, uint32_t metric, struct candidate **out)
{
	struct candidate **at = &n->best;
	struct candidate *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	while (*at && (*at)->metric < metric)
		at = &(*at)->next;
	c->metric = metric;
	c->next = *at;
	*at = c;
	*out = c;
	return 0;
}

static struct candidate *candidate_find(struct node *n, uint32_t metric)
{
	struct candidate *c = n->best;

	while (c && c->metric != metric)
		c = c->next;
	return c;
}

// Whether a route that is there with the same prefix and metric stays as it is. The kernel allows
// several and uses the first: in a dump that is the one listed first.
static bool stands_behind(struct routes *r, struct candidate *c, const struct netlink_route *route)
{
	bool dumped = r->dumping && c->generation == r->generation;

	// Without NLM_F_REPLACE it may have been put before the other ("ip route prepend"), or the
	// other went without a message. Only a dump can tell, so a deletion asks for one.
	c->several = !r->dumping ? c->several || !route->replaces : dumped;
	return route->appended || dumped;
}

int routes_set(struct routes *r, const struct netlink_route *route, uint32_t port,
	       const struct netlink_hop *hop)
{
	struct node **at = find(r, &route->dst), *n = *at;
	struct candidate *c;
	int err;

	if (!n) {
		n = calloc(1, sizeof(*n));
		if (!n)
			return -ENOMEM;
		n->dst = route->dst;
		*at = n;
	}
	c = candidate_find(n, route->metric);
	if (c) {
		if (stands_behind(r, c, route)) {
			c->generation = r->generation;
			return 0;
		}
	} else {
		err = candidate_new(n, route->metric, &c);
		if (err) {
			if (!n->best) { // fresh
				*at = n->next;
				free(n);
			}
			return err;
		}
	}
	c->generation = r->generation;
	c->port = port;
	c->gateway = port == ROUTE_NO_PORT ? (struct ip_addr){0} : hop->gateway;
	apply(r, n);
	return 0;
}

// Takes out the node when nothing is left of it.
static bool prune(struct node **at)
{
	struct node *n = *at;

	if (n->best || n->in_dp)
		return false;
	*at = n->next;
	free(n);
	return true;
}

int routes_del(struct routes *r, const struct ip_prefix *dst, uint32_t metric)
{
	struct node **at = find(r, dst);
	struct candidate *c, **link;

	if (!*at)
		return 0;
	c = candidate_find(*at, metric);
	if (!c)
		return 0;
	if (c->several)
		return -EAGAIN;
	for (link = &(*at)->best; *link != c; link = &(*link)->next)
		;
	*link = c->next;
	free(c);
	apply(r, *at);
	prune(at);
	return 0;
}

void routes_forget_port(struct routes *r, uint32_t port)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct node *n = r->bucket[i]; n; n = n->next) {
			bool led_there = false;

			for (struct candidate *c = n->best; c; c = c->next) {
				if (c->port != port)
					continue;
				c->port = ROUTE_NO_PORT;
				led_there = true;
			}
			if (led_there)
				apply(r, n);
		}
	}
}

void routes_begin(struct routes *r)
{
	r->generation++;
	r->dumping = true;
}

// Takes out the candidates that the dump did not list.
static void sweep_node(struct routes *r, struct node *n)
{
	struct candidate **link = &n->best;

	while (*link) {
		struct candidate *c = *link;

		if (c->generation == r->generation) {
			link = &c->next;
			continue;
		}
		*link = c->next;
		free(c);
	}
	apply(r, n);
}

void routes_end(struct routes *r, bool complete)
{
	r->dumping = false;
	for (size_t i = 0; complete && i < BUCKETS; i++) {
		struct node **at = &r->bucket[i];

		while (*at) {
			sweep_node(r, *at);
			if (!prune(at))
				at = &(*at)->next;
		}
	}
}
