// Host names in remote_addrs: what they lead to, looked up before an attempt and from time to time.
#include "control/ike_run_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "lib/log.h"

enum {
	NAMES_FRESH_MS = 3000,	// an answer no older than that is good for an attempt
	NAMES_EVERY_MS = 60000, // else, so that a peer that has moved is known when it initiates
};

#define ADDRS_TEXT_MAX (2 * IP_ADDR_TEXT_MAX + 8)

static bool name_pending(const struct conn_name *n)
{
	return n->lookup[NAME_V4].query || n->lookup[NAME_V6].query;
}

static bool is_pending(const struct conn *c)
{
	for (unsigned i = 0; i < c->n_remote; i++)
		if (name_pending(&c->names[i]))
			return true;
	return false;
}

bool names_fresh(const struct conn *c)
{
	return c->n_names == 0 || (c->names_at_ms != 0 && !is_pending(c) &&
				   run_now_ms() - c->names_at_ms < NAMES_FRESH_MS);
}

// An attempt at an address that the name no longer leads to is not worth its retransmissions.
static void turn_round(struct ike_run *run, struct conn *c, struct conn_child *child)
{
	struct run_sa *s = start_under_way(c, child);
	struct ike_sa_info info;

	if (!s)
		return;
	ike_sa_info(s->sa, &info);
	if (conn_match(c, &info.local.addr, &info.remote.addr) > 0)
		return;
	s->goal = NULL;
	run_sa_drop(s);
	child->failures = 0;
	start_want(run, child, 0);
}

// All have been answered: whoever has waited for that begins.
static void names_done(struct ike_run *run, struct conn *c)
{
	c->names_at_ms = run_now_ms();
	run_guard_peers_changed(run);
	run_enter(run);
	for (size_t i = 0; i < c->n_children; i++) {
		turn_round(run, c, c->children[i]);
		if (!c->children[i]->waits_for_name)
			continue;
		c->children[i]->waits_for_name = false;
		start_begin(run, c->children[i]);
	}
	run_leave(run);
}

// "192.0.2.1 and 2001:db8::1"
static const char *addrs_text(const struct ip_addr addr[NAME_FAMILIES], char *buf, size_t size)
{
	char v4[IP_ADDR_TEXT_MAX], v6[IP_ADDR_TEXT_MAX];
	const bool both = addr[NAME_V4].family != IP_NONE && addr[NAME_V6].family != IP_NONE;

	ip_addr_format(&addr[NAME_V4], v4, sizeof(v4));
	ip_addr_format(&addr[NAME_V6], v6, sizeof(v6));
	snprintf(buf, size, "%s%s%s", addr[NAME_V4].family != IP_NONE ? v4 : "",
		 both ? " and " : "", addr[NAME_V6].family != IP_NONE ? v6 : "");
	return buf;
}

// What it led to before is better than nothing.
static void name_unknown(struct conn_name *n, const struct config_endpoint *e, const char *why)
{
	const bool known = e->lo.family != IP_NONE;
	struct conn *c = n->conn;
	char text[ADDRS_TEXT_MAX];

	snprintf(c->names_why, sizeof(c->names_why), "no address for %s: %s", e->name, why);
	if (!n->failed)
		log_notice(LOG_IKE, "%s: %s%s%s", c->ike.name, c->names_why,
			   known ? "; staying with " : "",
			   known ? addrs_text(n->addr, text, sizeof(text)) : "");
	n->failed = true;
}

// Both families have been answered, or the one that was asked for.
static void name_settle(struct conn_name *n, struct config_endpoint *e, const char *why)
{
	const struct ip_addr found[NAME_FAMILIES] = {n->lookup[NAME_V4].found,
						     n->lookup[NAME_V6].found};
	char before[ADDRS_TEXT_MAX], now[ADDRS_TEXT_MAX];
	const bool known = e->lo.family != IP_NONE;

	if (found[NAME_V4].family == IP_NONE && found[NAME_V6].family == IP_NONE) {
		name_unknown(n, e, why);
		return;
	}
	n->failed = false;
	if (ip_addr_equal(&found[NAME_V4], &n->addr[NAME_V4]) &&
	    ip_addr_equal(&found[NAME_V6], &n->addr[NAME_V6]))
		return;
	log_info(LOG_IKE, "%s: %s is %s%s%s", n->conn->ike.name, e->name,
		 addrs_text(found, now, sizeof(now)), known ? ", and no longer " : "",
		 known ? addrs_text(n->addr, before, sizeof(before)) : "");
	memcpy(n->addr, found, sizeof(n->addr));
	e->lo = e->hi = found[found[NAME_V4].family != IP_NONE ? NAME_V4 : NAME_V6];
}

static void on_answer(void *ctx, const struct ip_addr *addr, const char *why)
{
	struct conn_name_lookup *l = ctx;
	struct conn_name *n = l->name;
	struct conn *c = n->conn;

	l->query = NULL;
	l->found = addr ? *addr : (struct ip_addr){0};
	if (!name_pending(n))
		name_settle(n, &c->remote[n - c->names], why);
	if (!is_pending(c))
		names_done(n->run, c);
}

// Where none of our own addresses is of a family, its answer would be of no use.
static bool family_useful(const struct ike_run *run, const struct conn *c, unsigned which)
{
	if (which == NAME_V6 && run->sock.fd[IKE_SOCKET_V6] < 0)
		return false;
	for (unsigned i = 0; i < c->n_local; i++)
		if (c->local[i].lo.family == IP_NONE ||
		    c->local[i].lo.family == (which == NAME_V6 ? IP_V6 : IP_V4))
			return true;
	return c->n_local == 0;
}

static bool name_ask(struct ike_run *run, struct conn *c, unsigned i)
{
	struct conn_name *n = &c->names[i];
	bool asked = false;

	n->conn = c;
	n->run = run;
	for (unsigned k = 0; k < NAME_FAMILIES; k++) {
		struct conn_name_lookup *l = &n->lookup[k];

		l->name = n;
		l->found = (struct ip_addr){0};
		if (!family_useful(run, c, k))
			continue;
		if (resolver_ask_family(run->resolver, k == NAME_V6 ? IP_V6 : IP_V4,
					c->remote[i].name, on_answer, l, &l->query))
			log_error(LOG_IKE, "%s: %s is not looked up: out of memory", c->ike.name,
				  c->remote[i].name);
		else
			asked = true;
	}
	return asked;
}

void names_ask(struct ike_run *run, struct conn *c)
{
	bool asked = false;

	if (c->n_names == 0 || is_pending(c))
		return;
	for (unsigned i = 0; i < c->n_remote; i++)
		if (c->remote[i].name)
			asked |= name_ask(run, c, i);
	if (!asked)
		names_done(run, c);
}

void names_stop(struct conn *c)
{
	for (unsigned i = 0; i < CONFIG_ENDPOINTS_MAX; i++) {
		for (unsigned k = 0; k < NAME_FAMILIES; k++) {
			resolver_cancel(c->names[i].lookup[k].query);
			c->names[i].lookup[k].query = NULL;
		}
	}
}

static void on_timer(int fd, short what, void *arg)
{
	struct ike_run *run = arg;

	(void)fd;
	(void)what;
	for (size_t i = 0; i < run->n_conns; i++)
		names_ask(run, run->conns[i]);
}

void names_ask_new(struct ike_run *run)
{
	for (size_t i = 0; i < run->n_conns; i++)
		if (run->conns[i]->names_at_ms == 0)
			names_ask(run, run->conns[i]);
}

int names_create(struct ike_run *run)
{
	const struct timeval every = {.tv_sec = NAMES_EVERY_MS / 1000};

	run->names_timer = event_new(run->base, -1, EV_PERSIST, on_timer, run);
	if (!run->names_timer || event_add(run->names_timer, &every))
		return -ENOMEM;
	return resolver_create(run->base, &run->resolver);
}

void names_destroy(struct ike_run *run)
{
	if (run->names_timer)
		event_free(run->names_timer);
	resolver_destroy(run->resolver);
}
