#include "control/ike_run_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "config/diff.h"
#include "control/conn_index.h"
#include "control/spd.h"
#include "lib/log.h"

#define DELETE_GRACE_MS 10000
#define TUNNELS_MAX	(1u << 20)

// ---- connections and tunnels ----

static void conn_stop(struct conn *c)
{
	struct conn_child *old;

	names_stop(c);
	for (size_t i = 0; i < c->n_children; i++)
		retire_stop(c->children[i]);
	TAILQ_FOREACH(old, &c->old, old_link)
	retire_stop(old);
}

void run_conn_put(struct ike_run *run, struct conn *c)
{
	struct conn_child *old;

	if (!c)
		return;
	if (c->refs == 1) {
		conn_stop(c);
		for (size_t i = 0; i < c->n_children; i++)
			retire_tunnel(run, c->children[i]);
		TAILQ_FOREACH(old, &c->old, old_link)
		retire_tunnel(run, old);
	}
	conn_put(c);
}

static int add_tunnel(struct ike_run *run, struct conn_child *child, struct error *err)
{
	const struct conn *c = child->conn;
	char name[DP_NAME_MAX * 2];
	int rc;

	snprintf(name, sizeof(name), "%s.%s", c->ike.name, child->name);
	name[DP_NAME_MAX - 1] = '\0';
	rc = dp_tunnel_add(run->dp, name, &child->tunnel);
	return rc ? error_set(err, rc, "%s: no tunnel in the dataplane: %s", name, strerror(-rc))
		  : 0;
}

// The interface was made before (control/links.h).
static int child_bind(struct ike_run *run, struct conn_child *child, struct error *err)
{
	int rc;

	if (child->iface_name[0] == '\0')
		return 0;
	child->iface = dp_iface_find(run->dp, child->iface_name);
	rc = child->iface == DP_IFACE_NONE ? -ENODEV
					   : dp_tunnel_bind(run->dp, child->tunnel, child->iface);
	return rc ? error_set(err, rc, "%s: cannot be bound to the interface %s: %s", child->name,
			      child->iface_name, strerror(-rc))
		  : 0;
}

// What a connection's children are to be.
static struct conn_child **children_to_be(const struct conn *c, size_t *n)
{
	*n = c->planned ? c->plan.n : c->n_children;
	return c->planned ? c->plan.child : c->children;
}

// A child that replaces one of the same name goes on in its tunnel, unless its interface is
// another.
static int conn_add_tunnels(struct ike_run *run, struct conn *c, struct error *err)
{
	size_t n;
	struct conn_child **children = children_to_be(c, &n);

	for (size_t i = 0; i < n; i++) {
		const struct conn_child *before;
		int rc;

		if (children[i]->tunnel != DP_TUNNEL_NONE)
			continue;
		before = conn_child_find(c, children[i]->name);
		if (before && before != children[i] &&
		    strcmp(before->iface_name, children[i]->iface_name) == 0) {
			children[i]->tunnel = before->tunnel;
			children[i]->iface = before->iface;
			continue;
		}
		rc = add_tunnel(run, children[i], err);
		if (rc == 0)
			rc = child_bind(run, children[i], err);
		if (rc)
			return rc;
	}
	return 0;
}

// ---- configure ----

struct plan { // the connections of a new configuration, before anything is changed
	struct conn **conns;
	size_t n;
	const struct config *config; // its connections, in the order of conns
	bool again;		     // no new configuration: what was said then is not repeated
	struct conn_index *index;
	struct conn_child **by_tunnel;
	size_t n_by_tunnel;
};

static void plan_fini(struct ike_run *run, struct plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		struct conn *c = p->conns[i];

		for (size_t k = 0; k < c->plan.n; k++)
			if (!conn_child_is_running(c->plan.child[k]))
				retire_tunnel(run, c->plan.child[k]);
		conn_plan_drop(c);
		c->planned = false;
		run_conn_put(run, c);
	}
	free(p->conns);
	conn_index_destroy(p->index);
	free(p->by_tunnel);
}

static int plan_index_tunnels(struct plan *p)
{
	uint32_t top = 0;

	for (size_t i = 0; i < p->n; i++) {
		size_t n;
		struct conn_child **children = children_to_be(p->conns[i], &n);

		for (size_t k = 0; k < n; k++)
			if (children[k]->tunnel < TUNNELS_MAX && children[k]->tunnel >= top)
				top = children[k]->tunnel + 1;
	}
	p->by_tunnel = calloc(top ? top : 1, sizeof(struct conn_child *));
	if (!p->by_tunnel)
		return -ENOMEM;
	p->n_by_tunnel = top;
	for (size_t i = 0; i < p->n; i++) {
		size_t n;
		struct conn_child **children = children_to_be(p->conns[i], &n);

		for (size_t k = 0; k < n; k++)
			if (children[k]->tunnel < top)
				p->by_tunnel[children[k]->tunnel] = children[k];
	}
	return 0;
}

// Connections whose IKE SAs are good as before go on, with their children as they are to be; others
// are made anew.
static int plan_make(struct ike_run *run, const struct config *config, struct plan *p,
		     struct error *err)
{
	p->conns = calloc(config->n_conns + 1, sizeof(struct conn *));
	p->config = config;
	if (!p->conns)
		return error_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < config->n_conns; i++) {
		const struct config_conn *want = &config->conns[i], *have = NULL;
		struct conn *c = run_roll_conn(run, want->name);
		struct conn_child **children;
		size_t n;
		int rc;

		if (c && run->config)
			have = config_conn_find(run->config, want->name);
		if (have && config_conn_fits(have, want)) {
			rc = conn_plan(c, have, want);
			if (rc == 0) {
				c->planned = true;
				conn_get(c);
			}
		} else {
			rc = conn_create(want, &c);
		}
		if (rc)
			return error_set(err, rc, "%s: out of memory", want->name);
		p->conns[p->n++] = c;
		children = children_to_be(c, &n);
		run_roll_add(run, c, children, n);
		rc = conn_add_tunnels(run, c, err);
		if (rc)
			return rc;
	}
	if (plan_index_tunnels(p) || conn_index_create(p->conns, p->n, &p->index))
		return error_set(err, -ENOMEM, "out of memory");
	return 0;
}

static uint32_t plan_tunnel(void *ctx, const struct config_conn *conn,
			    const struct config_child *child, unsigned *iface)
{
	const struct plan *p = ctx;
	size_t n;
	struct conn_child **children = children_to_be(p->conns[conn - p->config->conns], &n);

	*iface = DP_IFACE_NONE;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(children[i]->name, child->name) != 0)
			continue;
		*iface = children[i]->iface;
		return children[i]->tunnel;
	}
	return DP_TUNNEL_NONE;
}

static void plan_addrs(void *ctx, const struct config_conn *conn, struct ip_addr *local,
		       struct ip_addr *remote)
{
	const struct plan *p = ctx;
	const struct conn *c = p->conns[conn - p->config->conns];
	struct ip_endpoint l = {0}, r = {0};
	struct error err;

	conn_remote(c, 0, &r);
	if (!conn_local(c, r.addr.family, &l) && r.addr.family != IP_NONE &&
	    ike_socket_source(&r.addr, &l.addr, &err) && !p->again)
		log_warn(LOG_CFG, "%s: 'dynamic' has no address yet, and no policy: %s", conn->name,
			 err.text);
	*local = l.addr;
	*remote = r.addr;
}

static int plan_policies(struct ike_run *run, const struct config *config, struct plan *p,
			 struct error *err)
{
	struct spd_env env = {.ctx = p, .tunnel = plan_tunnel, .addrs = plan_addrs};
	struct dp_policy *policies = NULL;
	size_t n = 0;
	int rc;

	rc = spd_build(config, &env, &policies, &n);
	if (rc)
		return error_set(err, rc, "out of memory");
	rc = dp_policies_set(run->dp, policies, n);
	free(policies);
	if (rc)
		return error_set(err, rc, "the dataplane refuses the %zu policies: %s", n,
				 strerror(-rc));
	return 0;
}

static bool has_dynamic(const struct config *config)
{
	for (size_t i = 0; i < config->n_conns; i++)
		for (size_t k = 0; k < config->conns[i].n_children; k++)
			if (config->conns[i].children[k].local_dynamic.n ||
			    config->conns[i].children[k].remote_dynamic.n)
				return true;
	return false;
}

void run_policies_renew(struct ike_run *run)
{
	struct plan now = {
		.conns = run->conns,
		.n = run->n_conns,
		.config = run->config,
		.again = true,
	};
	struct error err;

	if (run->config && has_dynamic(run->config) && plan_policies(run, run->config, &now, &err))
		log_error(LOG_CFG, "'dynamic' does not follow the new addresses: %s", err.text);
}

// Ends the IKE SAs of a connection that is gone or has changed.
static void conn_retire(struct ike_run *run, struct conn *c)
{
	struct run_sa *s, *next;

	c->retired = true;
	conn_stop(c);
	run_enter(run);
	for (s = TAILQ_FIRST(&c->sas); s; s = next) {
		next = TAILQ_NEXT(s, conn_link);
		run_sa_delete(s, DELETE_GRACE_MS);
	}
	run_leave(run);
	run_conn_put(run, c);
}

// What an IKE SA that stays is to know of a reload.
static void tell_news(struct conn *c, unsigned news)
{
	struct run_sa *s, *next;

	for (s = TAILQ_FIRST(&c->sas); s; s = next) {
		struct ike_event times = {.type = IKE_EV_NEW_TIMES};

		next = TAILQ_NEXT(s, conn_link);
		if (!s->established || s->superseded)
			continue;
		if (news & CONN_NEWS_REAUTH)
			run_sa_reauth_plan(s);
		if (news & CONN_NEWS_TIMES)
			run_sa_step(s, &times);
		if (news & CONN_NEWS_DPD)
			run_sa_wake(s);
	}
}

// A connection that stays becomes what the configuration says now.
static void conn_follow(struct ike_run *run, struct conn *c, const struct config_conn *want)
{
	struct conn_child *old, *next;
	unsigned news;

	conn_plan_take(c);
	news = conn_update(c, want);
	if (news)
		tell_news(c, news);
	for (old = TAILQ_FIRST(&c->old); old; old = next) {
		next = TAILQ_NEXT(old, old_link);
		if (old->over)
			continue;
		log_info(LOG_CFG, "%s: child %s is %s", c->ike.name, old->name,
			 old->heir ? "replaced" : "removed");
		retire_child(run, old);
	}
}

static void children_begin(struct ike_run *run, struct conn *c)
{
	for (size_t i = 0; i < c->n_children; i++) {
		struct conn_child *child = c->children[i];

		if (child->start_news)
			start_changed(run, child);
		else
			start_rest(run, child, child->rest);
		child->start_news = false;
		if (run_child_is_up(child))
			idle_watch(run, child);
		if ((child->start_action & START_START) && child->rest == REST_IDLE &&
		    child->last_attempt_ms == 0) // new ones only
			start_want(run, child, 0);
	}
}

static void take_over(struct ike_run *run, const struct config *config, const struct plan *plan)
{
	conn_index_destroy(run->index);
	free(run->by_tunnel);
	for (size_t i = 0; i < run->n_conns; i++)
		run->conns[i]->place = 0;
	run->conns = plan->conns;
	run->n_conns = plan->n;
	run->index = plan->index;
	run->by_tunnel = plan->by_tunnel;
	run->n_by_tunnel = plan->n_by_tunnel;
	run->config = config;
	run->env.half_open_ms = config->gateway.ike.half_open_timeout_ms;
	for (size_t i = 0; i < run->n_conns; i++) {
		run->conns[i]->place = i + 1;
		conn_set_times(run->conns[i], &config->gateway.ike);
	}
	names_ask_new(run);
}

int ike_run_configure(struct ike_run *run, const struct config *config, struct error *err)
{
	struct plan plan = {0};
	struct conn **old = run->conns;
	size_t n_old = run->n_conns;
	int rc;

	rc = plan_make(run, config, &plan, err);
	if (rc == 0)
		rc = plan_policies(run, config, &plan, err);
	if (rc) {
		plan_fini(run, &plan);
		return rc;
	}
	take_over(run, config, &plan);
	run_guard_configure(run, &config->gateway.guard);

	run_enter(run);
	for (size_t i = 0; i < n_old; i++)
		if (!old[i]->planned)
			conn_retire(run, old[i]);
		else
			run_conn_put(run, old[i]); // the plan holds a reference of its own
	free(old);
	for (size_t i = 0; i < run->n_conns; i++) {
		if (run->conns[i]->planned)
			conn_follow(run, run->conns[i], &config->conns[i]);
		conn_set_if_ids(run->conns[i], &config->conns[i]);
		run->conns[i]->planned = false;
		children_begin(run, run->conns[i]);
	}
	run_leave(run);
	return 0;
}
