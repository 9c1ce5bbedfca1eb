#include "control/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/diff.h"

// What a child takes over as it runs.
static bool child_update(struct conn_child *child, const struct config_child *config)
{
	struct ike_child_conf *ike = &child->ike;
	bool news = ike->rekey_time_ms != config->rekey_time_ms ||
		    ike->rand_time_ms != config->rand_time_ms;

	ike->rekey_time_ms = config->rekey_time_ms;
	ike->rand_time_ms = config->rand_time_ms;
	child->start_news = child->start_action != config->start_action ||
			    child->dpd_action != config->dpd_action ||
			    child->close_action != config->close_action;
	child->start_action = config->start_action;
	child->dpd_action = config->dpd_action;
	child->close_action = config->close_action;
	child->inactivity_ms = config->inactivity_ms;
	child->bytes = config->bytes;
	child->packets = config->packets;
	return news;
}

static struct conn_child *child_create(struct conn *c, const struct config_child *config)
{
	struct conn_child *child = calloc(1, sizeof(*child));
	struct ike_child_conf *ike;

	if (!child)
		return NULL;
	ike = &child->ike;
	snprintf(ike->name, sizeof(ike->name), "%s", config->name);
	ike->esp = config->esp;
	ike->local_ts = config->local_ts;
	ike->remote_ts = config->remote_ts;
	ike->local_dynamic = config->local_dynamic;
	ike->remote_dynamic = config->remote_dynamic;
	ike->transport = config->mode == MODE_TRANSPORT;
	ike->replay_window = config->replay_window;
	ike->outer = config->outer;
	ike->tfc_padding = config->tfc_padding;
	ike->dummies = config->dummies;
	ike->life_time_ms = config->life_time_ms;
	ike->user = child;

	child->name = ike->name;
	child->conn = c;
	snprintf(child->iface_name, sizeof(child->iface_name), "%s", config->iface);
	child->if_id = config->if_id;
	child->tunnel = UINT32_MAX;
	child->rest = REST_IDLE;
	child->trapped = config->start_action & START_TRAP;
	child_update(child, config);
	child->start_news = false;
	return child;
}

static const struct config_child *config_child_find(const struct config_conn *c, const char *name)
{
	for (size_t i = 0; c && i < c->n_children; i++)
		if (strcmp(c->children[i].name, name) == 0)
			return &c->children[i];
	return NULL;
}

// The running child that `want` may go on as, or NULL.
static struct conn_child *child_running(struct conn *c, const struct config_conn *have,
					const struct config_child *want)
{
	const struct config_child *before = config_child_find(have, want->name);

	return before && config_child_fits(before, want) ? conn_child_find(c, want->name) : NULL;
}

int conn_plan(struct conn *c, const struct config_conn *have, const struct config_conn *want)
{
	struct conn_children *plan = &c->plan;

	plan->child = calloc(want->n_children + 1, sizeof(struct conn_child *));
	plan->ike = calloc(want->n_children + 1, sizeof(struct ike_child_conf *));
	if (!plan->child || !plan->ike)
		goto nomem;
	for (size_t i = 0; i < want->n_children; i++) {
		struct conn_child *child;

		if (!config_mode_has_sa(want->children[i].mode))
			continue;
		child = child_running(c, have, &want->children[i]);
		if (!child)
			child = child_create(c, &want->children[i]);
		if (!child)
			goto nomem;
		child->planned = true;
		plan->ike[plan->n] = &child->ike;
		plan->child[plan->n++] = child;
	}
	return 0;
nomem:
	conn_plan_drop(c);
	return -ENOMEM;
}

void conn_child_destroy(struct conn_child *child)
{
	if (child->roll_link.le_prev)
		LIST_REMOVE(child, roll_link);
	free(child);
}

bool conn_child_is_running(const struct conn_child *child)
{
	const struct conn *c = child->conn;

	for (size_t i = 0; i < c->n_children; i++)
		if (c->children[i] == child)
			return true;
	return false;
}

void conn_plan_drop(struct conn *c)
{
	for (size_t i = 0; i < c->plan.n; i++) {
		c->plan.child[i]->planned = false;
		if (!conn_child_is_running(c->plan.child[i]))
			conn_child_destroy(c->plan.child[i]);
	}
	free(c->plan.child);
	free(c->plan.ike);
	c->plan = (struct conn_children){0};
}

void conn_plan_take(struct conn *c)
{
	const struct conn_children plan = c->plan;
	struct conn_child *old;

	for (size_t i = 0; i < c->n_children; i++) {
		struct conn_child *child = c->children[i];

		if (child->planned)
			continue;
		child->retired = true;
		TAILQ_INSERT_TAIL(&c->old, child, old_link);
	}
	free(c->children);
	free(c->ike.children);
	c->children = plan.child;
	c->n_children = c->ike.n_children = plan.n;
	c->ike.children = plan.ike;
	c->plan = (struct conn_children){0};
	for (size_t i = 0; i < c->n_children; i++) {
		c->children[i]->planned = false;
	}
	TAILQ_FOREACH(old, &c->old, old_link)
	old->heir = conn_child_find(c, old->name);
}

bool conn_child_owns_tunnel(const struct conn_child *child)
{
	const struct conn *c = child->conn;
	const struct conn_child *old;

	for (size_t i = 0; i < c->n_children; i++)
		if (c->children[i] != child && c->children[i]->tunnel == child->tunnel)
			return false;
	for (size_t i = 0; i < c->plan.n; i++)
		if (c->plan.child[i] != child && c->plan.child[i]->tunnel == child->tunnel)
			return false;
	TAILQ_FOREACH(old, &c->old, old_link)
	if (old != child && old->tunnel == child->tunnel)
		return false;
	return true;
}

bool conn_child_is_gone(const struct conn_child *child)
{
	return child->retired || child->conn->retired;
}

static int endpoints_copy(struct conn *c, const struct config_conn *config)
{
	int rc = 0;

	for (unsigned i = 0; i < CONFIG_ENDPOINTS_MAX && rc == 0; i++) {
		rc = endpoint_copy(&config->local[i], &c->local[i]);
		if (rc == 0)
			rc = endpoint_copy(&config->remote[i], &c->remote[i]);
		c->n_names += c->remote[i].name != NULL;
	}
	return rc;
}

unsigned conn_update(struct conn *c, const struct config_conn *want)
{
	const uint64_t over_ms = want->over_time_ms ? want->over_time_ms : want->rekey_time_ms / 10;
	struct ike_conn *ike = &c->ike;
	unsigned news = 0;

	if (ike->dpd_delay_ms != want->dpd_delay_ms)
		news |= CONN_NEWS_DPD;
	if (ike->rekey_time_ms != want->rekey_time_ms || ike->rand_time_ms != want->rekey_rand_ms ||
	    ike->over_time_ms != over_ms)
		news |= CONN_NEWS_TIMES;
	if (c->reauth_time_ms != want->reauth_time_ms ||
	    c->reauth_rand_ms != want->reauth_rand_ms || c->over_time_ms != want->over_time_ms)
		news |= CONN_NEWS_REAUTH;
	c->reauth_time_ms = want->reauth_time_ms;
	c->reauth_rand_ms = want->reauth_rand_ms;
	c->over_time_ms = want->over_time_ms;
	ike->dpd_delay_ms = want->dpd_delay_ms;
	ike->rekey_time_ms = want->rekey_time_ms;
	ike->rand_time_ms = want->rekey_rand_ms;
	ike->over_time_ms = over_ms;
	ike->send_cert = want->send_cert == CERTS_ALWAYS  ? SEND_CERT_ALWAYS
			 : want->send_cert == CERTS_NEVER ? SEND_CERT_NEVER
							  : SEND_CERT_IFASKED;
	ike->send_certreq = want->send_certreq;
	c->unique = want->unique;
	if (ike->fallback_port != want->fallback_port)
		port_choice_healed(&c->ports); // and all is tried anew
	ike->fallback_port = want->fallback_port;
	ike->fragmentation = want->fragmentation == FRAGMENT_NO	      ? IKE_FRAG_NO
			     : want->fragmentation == FRAGMENT_ACCEPT ? IKE_FRAG_ACCEPT
								      : IKE_FRAG_YES;
	ike->fragment_size = want->fragment_size;
	for (size_t i = 0; i < c->n_children; i++) {
		const struct config_child *config = config_child_find(want, c->children[i]->name);

		if (config && child_update(c->children[i], config))
			news |= CONN_NEWS_TIMES;
	}
	return news;
}

int conn_create(const struct config_conn *config, struct conn **out)
{
	struct conn *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return -ENOMEM;
	c->refs = 1;
	TAILQ_INIT(&c->sas);
	TAILQ_INIT(&c->old);
	c->n_local = config->n_local;
	c->n_remote = config->n_remote;
	rc = endpoints_copy(c, config);
	if (rc)
		goto out;
	c->local_port = config->local_port ? config->local_port : IKE_PORT;
	c->remote_port = config->remote_port ? config->remote_port : IKE_PORT;

	snprintf(c->ike.name, sizeof(c->ike.name), "%s", config->name);
	c->ike.ike = config->ike;
	c->ike.local_id = config->local_side.id;
	c->ike.remote_id = config->remote_side.id;
	c->ike.local_auth = config->local_side.auth.kind;
	c->ike.remote_auth = config->remote_side.auth.kind;
	c->own_cas = config->remote_side.cacerts.n > 0;
	c->ike.force_encap = config->encap;
	c->ike.mobike = config->mobike;
	c->ike.user = c;
	rc = conn_plan(c, NULL, config);
	if (rc)
		goto out;
	conn_plan_take(c);
	conn_update(c, config);
	*out = c;
out:
	if (rc)
		conn_put(c);
	return rc;
}

void conn_set_times(struct conn *c, const struct config_ike *ike)
{
	c->ike.retransmit_base_ms = ike->retransmit_timeout_ms;
	c->ike.retransmit_factor = ike->retransmit_base;
	c->ike.retransmit_tries = ike->retransmit_tries;
}

void conn_set_if_ids(struct conn *c, const struct config_conn *config)
{
	for (size_t i = 0; i < config->n_children; i++) {
		struct conn_child *child = conn_child_find(c, config->children[i].name);

		if (child)
			child->if_id = config->children[i].if_id;
	}
}

struct conn *conn_get(struct conn *c)
{
	c->refs++;
	return c;
}

void conn_put(struct conn *c)
{
	struct conn_child *child;

	if (!c || --c->refs > 0)
		return;
	for (unsigned i = 0; i < CONFIG_ENDPOINTS_MAX; i++) {
		endpoint_fini(&c->local[i]);
		endpoint_fini(&c->remote[i]);
	}
	conn_plan_drop(c);
	for (size_t i = 0; i < c->n_children; i++)
		conn_child_destroy(c->children[i]);
	while ((child = TAILQ_FIRST(&c->old))) {
		TAILQ_REMOVE(&c->old, child, old_link);
		conn_child_destroy(child);
	}
	free(c->children);
	free(c->ike.children);
	free(c->probed);
	if (c->roll_link.le_prev)
		LIST_REMOVE(c, roll_link);
	free(c);
}

// 0: no entry fits; otherwise as the narrowest that does.
static unsigned endpoints_match(const struct config_endpoint *e, unsigned n,
				const struct ip_addr *a)
{
	unsigned best = n == 0 ? 1 : 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned score = endpoint_match(&e[i], a);

		if (score > best)
			best = score;
	}
	return best;
}

// A name that leads to both families has a second address.
static const struct ip_addr *second_addr(const struct conn *c, unsigned i)
{
	const struct ip_addr *a = c->names[i].addr;

	return c->remote[i].name && a[NAME_V4].family != IP_NONE && a[NAME_V6].family != IP_NONE
		       ? &a[NAME_V6]
		       : NULL;
}

unsigned conn_match(const struct conn *c, const struct ip_addr *local, const struct ip_addr *remote)
{
	unsigned l = endpoints_match(c->local, c->n_local, local);
	unsigned r = endpoints_match(c->remote, c->n_remote, remote);

	for (unsigned i = 0; i < c->n_remote; i++) // as one host
		if (second_addr(c, i) && ip_addr_equal(second_addr(c, i), remote))
			r = 1 + 8 * (unsigned)ip_addr_len(remote);
	return l && r ? r * 256 + l : 0;
}

// All of them, in order.
static unsigned remotes(const struct conn *c, const struct ip_addr *out[2 * CONFIG_ENDPOINTS_MAX])
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->n_remote; i++) {
		if (endpoint_is_host(&c->remote[i]))
			out[n++] = &c->remote[i].lo;
		if (second_addr(c, i))
			out[n++] = second_addr(c, i);
	}
	return n;
}

unsigned conn_remotes(const struct conn *c)
{
	const struct ip_addr *all[2 * CONFIG_ENDPOINTS_MAX];

	return remotes(c, all);
}

bool conn_is_local(const struct conn *c, const struct ip_addr *a)
{
	return endpoints_match(c->local, c->n_local, a) > 0;
}

bool conn_remote(const struct conn *c, unsigned attempt, struct ip_endpoint *out)
{
	const struct ip_addr *all[2 * CONFIG_ENDPOINTS_MAX];
	unsigned n = remotes(c, all);

	if (n == 0)
		return false;
	out->addr = *all[attempt % n];
	out->port = c->remote_port;
	return true;
}

bool conn_local(const struct conn *c, enum ip_family family, struct ip_endpoint *out)
{
	for (unsigned i = 0; i < c->n_local; i++) {
		if (!endpoint_is_host(&c->local[i]) ||
		    (family != IP_NONE && c->local[i].lo.family != family))
			continue;
		out->addr = c->local[i].lo;
		out->port = c->local_port;
		return true;
	}
	return false;
}

struct conn_child *conn_child_find(struct conn *c, const char *name)
{
	for (size_t i = 0; i < c->n_children; i++)
		if (strcmp(c->children[i]->name, name) == 0)
			return c->children[i];
	return NULL;
}
