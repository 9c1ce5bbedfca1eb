#include "control/ike_run_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include "control/conn_index.h"
#include "control/openssl/cred.h"
#include "control/openssl/ike_openssl.h"
#include "control/spd.h"
#include "config/diff.h"
#include "lib/log.h"

#define DELETE_GRACE_MS 10000
#define TUNNELS_MAX	(1u << 20)

uint64_t run_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t run_jitter(struct ike_run *run, uint64_t ms)
{
	uint32_t r = 0;

	if (run->crypto->random(run->crypto->ctx, &r, sizeof(r)))
		return ms;
	return ms - ms / 5 + (ms * 2 / 5) * (r % 1024) / 1024;
}

uint64_t run_random(struct ike_run *run, uint64_t max)
{
	uint64_t r = 0;

	if (run->crypto->random(run->crypto->ctx, &r, sizeof(r)))
		return 0;
	return max == UINT64_MAX ? r : r % (max + 1);
}

int run_event_after(struct event *ev, uint64_t ms)
{
	struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (long)(ms % 1000) * 1000};

	return event_add(ev, &tv) ? -ENOMEM : 0;
}

// ---- what the core asks for ----

static int env_spi_reserve(void *ctx, uint32_t *spi)
{
	struct ike_run *run = ctx;

	return dp_sa_in_reserve(run->dp, spi);
}

static void env_spi_release(void *ctx, uint32_t spi)
{
	struct ike_run *run = ctx;

	dp_sa_in_retire(run->dp, spi);
}

static bool env_child_used(void *ctx, uint32_t spi_in)
{
	struct ike_run *run = ctx;
	struct dp_sa_stats st;

	return dp_sa_in_stats(run->dp, spi_in, &st) == 0 && st.packets > 0;
}

static const struct secret *env_psk_find(void *ctx, const struct identity *local,
					 const struct identity *remote)
{
	struct ike_run *run = ctx;
	const struct config_psk *psk = config_psk_find(run->config, local, remote);

	return psk ? &psk->key : NULL;
}

static const struct ike_conn *const *env_conns_find(void *ctx, const struct ip_addr *local,
						    const struct ip_addr *remote)
{
	struct ike_run *run = ctx;

	return run->index ? conn_index_find(run->index, local, remote) : NULL;
}

static bool env_explain(void *ctx, const struct ip_addr *remote, bool *stranger)
{
	struct ike_run *run = ctx;
	bool peer = run->index && conn_index_names(run->index, remote);

	*stranger = !peer;
	return refusal_budget_take(&run->explained, remote, peer, run_now_ms());
}

static const struct ike_conn *const *env_conns_signing(void *ctx, const struct ip_addr *local,
						       const struct ip_addr *remote)
{
	struct ike_run *run = ctx;

	return conn_index_signing(run->index, local, remote);
}

static const struct ike_conn *const *env_conns_named(void *ctx, const struct ip_addr *local,
						     const struct ip_addr *remote,
						     const struct identity *id)
{
	struct ike_run *run = ctx;

	return run->index ? conn_index_named(run->index, local, remote, id) : NULL;
}

// ---- connections and tunnels ----

static void conn_stop(struct conn *c)
{
	names_stop(c);
	for (size_t i = 0; i < c->n_children; i++) {
		pace_cancel(&c->children[i]);
		if (c->children[i].retry)
			event_free(c->children[i].retry);
		c->children[i].retry = NULL;
	}
}

void run_conn_put(struct ike_run *run, struct conn *c)
{
	if (!c)
		return;
	if (c->refs == 1) {
		conn_stop(c);
		for (size_t i = 0; i < c->n_children; i++) {
			int rc;

			if (c->children[i].tunnel == DP_TUNNEL_NONE)
				continue;
			rc = dp_tunnel_del(run->dp, c->children[i].tunnel);
			if (rc)
				log_warn(LOG_CHD, "%s: tunnel of %s stays in the dataplane: %s",
					 c->ike.name, c->children[i].name, strerror(-rc));
		}
	}
	conn_put(c);
}

static int conn_add_tunnels(struct ike_run *run, struct conn *c, struct error *err)
{
	for (size_t i = 0; i < c->n_children; i++) {
		struct conn_child *child = &c->children[i];
		char name[DP_NAME_MAX * 2];
		int rc;

		snprintf(name, sizeof(name), "%s.%s", c->ike.name, child->name);
		name[DP_NAME_MAX - 1] = '\0';
		rc = dp_tunnel_add(run->dp, name, &child->tunnel);
		if (rc)
			return error_set(err, rc, "%s: no tunnel in the dataplane: %s", name,
					 strerror(-rc));
		start_rest(run, child, child->rest);
	}
	return 0;
}

// ---- configure ----

struct plan { // the connections of a new configuration, before anything is changed
	struct conn **conns;
	size_t n;
	const struct config *config; // its connections, in the order of conns
	struct conn_index *index;
	struct conn_child **by_tunnel;
	size_t n_by_tunnel;
};

// Most stand where they stood: that place is looked at first.
static struct conn *conn_running(const struct ike_run *run, const char *name, size_t at)
{
	if (at < run->n_conns && strcmp(run->conns[at]->ike.name, name) == 0)
		return run->conns[at];
	for (size_t i = 0; i < run->n_conns; i++)
		if (strcmp(run->conns[i]->ike.name, name) == 0)
			return run->conns[i];
	return NULL;
}

static void plan_fini(struct ike_run *run, struct plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		p->conns[i]->planned = false;
		run_conn_put(run, p->conns[i]);
	}
	free(p->conns);
	conn_index_destroy(p->index);
	free(p->by_tunnel);
}

static int plan_index_tunnels(struct plan *p)
{
	uint32_t top = 0;

	for (size_t i = 0; i < p->n; i++)
		for (size_t k = 0; k < p->conns[i]->n_children; k++)
			if (p->conns[i]->children[k].tunnel < TUNNELS_MAX &&
			    p->conns[i]->children[k].tunnel >= top)
				top = p->conns[i]->children[k].tunnel + 1;
	p->by_tunnel = calloc(top ? top : 1, sizeof(struct conn_child *));
	if (!p->by_tunnel)
		return -ENOMEM;
	p->n_by_tunnel = top;
	for (size_t i = 0; i < p->n; i++)
		for (size_t k = 0; k < p->conns[i]->n_children; k++)
			if (p->conns[i]->children[k].tunnel < top)
				p->by_tunnel[p->conns[i]->children[k].tunnel] =
					&p->conns[i]->children[k];
	return 0;
}

// Connections that mean the same are taken over as they run, others are made anew.
static int plan_make(struct ike_run *run, const struct config *config, struct plan *p,
		     struct error *err)
{
	p->conns = calloc(config->n_conns + 1, sizeof(struct conn *));
	p->config = config;
	if (!p->conns)
		return error_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < config->n_conns; i++) {
		const struct config_conn *want = &config->conns[i], *have = NULL;
		struct conn *c = conn_running(run, want->name, i);
		int rc;

		if (c && run->config)
			have = config_conn_find(run->config, want->name);
		if (have && config_conn_equal(have, want)) {
			c->planned = true;
			p->conns[p->n++] = conn_get(c);
			continue;
		}
		rc = conn_create(want, &c);
		if (rc)
			return error_set(err, rc, "%s: out of memory", want->name);
		p->conns[p->n++] = c;
		rc = conn_add_tunnels(run, c, err);
		if (rc)
			return rc;
	}
	if (plan_index_tunnels(p) || conn_index_create(p->conns, p->n, &p->index))
		return error_set(err, -ENOMEM, "out of memory");
	return 0;
}

static uint32_t plan_tunnel(void *ctx, const struct config_conn *conn,
			    const struct config_child *child)
{
	const struct plan *p = ctx;
	const struct conn_child *found =
		conn_child_find(p->conns[conn - p->config->conns], child->name);

	return found ? found->tunnel : DP_TUNNEL_NONE;
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
	    ike_socket_source(&r.addr, &l.addr, &err))
		log_warn(LOG_CFG, "%s: 'dynamic' has no address yet: %s", conn->name, err.text);
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
	conn_index_destroy(run->index);
	free(run->by_tunnel);
	run->conns = plan.conns;
	run->n_conns = plan.n;
	run->index = plan.index;
	run->by_tunnel = plan.by_tunnel;
	run->n_by_tunnel = plan.n_by_tunnel;
	run->config = config;
	run->env.half_open_ms = config->gateway.ike.half_open_timeout_ms;
	for (size_t i = 0; i < run->n_conns; i++)
		conn_set_times(run->conns[i], &config->gateway.ike);
	names_ask_new(run);

	run_enter(run);
	for (size_t i = 0; i < n_old; i++) {
		if (!old[i]->planned) {
			conn_retire(run, old[i]);
			continue;
		}
		old[i]->planned = false;
		run_conn_put(run, old[i]); // the plan holds a reference of its own
	}
	free(old);
	for (size_t i = 0; i < run->n_conns; i++) {
		struct conn *c = run->conns[i];

		for (size_t k = 0; k < c->n_children; k++) // new connections only
			if ((c->children[k].start_action & START_START) &&
			    c->children[k].rest == REST_IDLE && c->children[k].last_attempt_ms == 0)
				start_want(run, &c->children[k], 0);
	}
	run_leave(run);
	return 0;
}

struct cred *ike_run_swap_creds(struct ike_run *run, struct cred *creds)
{
	struct cred *before = run->creds;

	run->creds = creds;
	run->env.cred = creds ? cred_table(creds) : NULL;
	return before;
}

// ---- create and destroy ----

int ike_run_create(struct event_base *base, struct dp *dp, struct ike_run **out, struct error *err)
{
	struct ike_run *run = calloc(1, sizeof(*run));
	int rc;

	if (!run)
		return error_set(err, -ENOMEM, "out of memory");
	run->base = base;
	run->dp = dp;
	run->sock = IKE_SOCKET_CLOSED;
	TAILQ_INIT(&run->sas);
	TAILQ_INIT(&run->closed);
	TAILQ_INIT(&run->watches);
	TAILQ_INIT(&run->pace.ready);
	rc = ike_openssl_create(&run->crypto);
	if (rc) {
		error_set(err, rc, "OpenSSL lacks an algorithm that IKE needs: %s", strerror(-rc));
		goto fail;
	}
	run->env = (struct ike_env){
		.ctx = run,
		.crypto = run->crypto,
		.spi_reserve = env_spi_reserve,
		.spi_release = env_spi_release,
		.psk_find = env_psk_find,
		.conns_find = env_conns_find,
		.conns_signing = env_conns_signing,
		.conns_named = env_conns_named,
		.child_used = env_child_used,
		.explain = env_explain,
	};
	rc = ike_socket_open(&run->sock, err);
	if (rc)
		goto fail;
	rc = run_linger_start(run);
	if (!rc)
		rc = rx_start(run);
	if (!rc)
		rc = names_create(run);
	if (!rc)
		rc = run_addrs_create(run);
	if (rc) {
		error_set(err, rc, "out of memory");
		goto fail;
	}
	*out = run;
	return 0;
fail:
	ike_run_destroy(run);
	return rc;
}

void ike_run_destroy(struct ike_run *run)
{
	struct run_sa *s;

	if (!run)
		return;
	run->shutting_down = true;
	run->observer = NULL;
	watch_destroy_all(run);
	run_enter(run);
	while ((s = TAILQ_FIRST(&run->sas)))
		run_sa_drop(s);
	run_leave(run);
	if (run->n_conns)
		dp_policies_set(run->dp, NULL, 0);
	for (size_t i = 0; i < run->n_conns; i++)
		run_conn_put(run, run->conns[i]);
	names_destroy(run);
	run_addrs_destroy(run);
	free(run->conns);
	conn_index_destroy(run->index);
	free(run->by_tunnel);
	run_linger_stop(run);
	rx_stop(run);
	cookie_jar_fini(&run->cookies);
	half_open_fini(&run->unproved);
	ike_socket_close(&run->sock);
	ike_openssl_destroy(run->crypto);
	cred_destroy(run->creds);
	free(run);
}
