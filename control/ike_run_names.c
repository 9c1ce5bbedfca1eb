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

static bool is_pending(const struct conn *c)
{
	for (unsigned i = 0; i < c->n_remote; i++)
		if (c->names[i].query)
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

static void on_answer(void *ctx, const struct ip_addr *addr, const char *why)
{
	struct conn_name *n = ctx;
	struct conn *c = n->conn;
	struct config_endpoint *e = &c->remote[n - c->names];
	char before[IP_ADDR_TEXT_MAX], now[IP_ADDR_TEXT_MAX];

	n->query = NULL;
	if (!addr) { // what it led to before is better than nothing
		snprintf(c->names_why, sizeof(c->names_why), "no address for %s: %s", e->name, why);
		if (!n->failed)
			log_notice(LOG_IKE, "%s: %s%s%s", c->ike.name, c->names_why,
				   e->lo.family == IP_NONE ? "" : "; staying with ",
				   e->lo.family == IP_NONE
					   ? ""
					   : ip_addr_format(&e->lo, now, sizeof(now)));
	} else if (!ip_addr_equal(addr, &e->lo)) {
		log_info(LOG_IKE, "%s: %s is %s%s%s", c->ike.name, e->name,
			 ip_addr_format(addr, now, sizeof(now)),
			 e->lo.family == IP_NONE ? "" : ", and no longer ",
			 e->lo.family == IP_NONE ? ""
						 : ip_addr_format(&e->lo, before, sizeof(before)));
		e->lo = e->hi = *addr;
	}
	n->failed = addr == NULL;
	if (!is_pending(c))
		names_done(n->run, c);
}

void names_ask(struct ike_run *run, struct conn *c)
{
	bool asked = false;

	if (c->n_names == 0 || is_pending(c))
		return;
	for (unsigned i = 0; i < c->n_remote; i++) {
		struct conn_name *n = &c->names[i];

		if (!c->remote[i].name)
			continue;
		n->conn = c;
		n->run = run;
		if (resolver_ask(run->resolver, c->remote[i].name, on_answer, n, &n->query))
			log_error(LOG_IKE, "%s: %s is not looked up: out of memory", c->ike.name,
				  c->remote[i].name);
		else
			asked = true;
	}
	if (!asked)
		names_done(run, c);
}

void names_stop(struct conn *c)
{
	for (unsigned i = 0; i < CONFIG_ENDPOINTS_MAX; i++) {
		resolver_cancel(c->names[i].query);
		c->names[i].query = NULL;
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
