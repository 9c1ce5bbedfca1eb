#include "control/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void child_init(struct conn *c, struct conn_child *child, struct ike_child_conf *ike,
		       const struct config_child *config)
{
	snprintf(ike->name, sizeof(ike->name), "%s", config->name);
	ike->esp = config->esp;
	ike->local_ts = config->local_ts;
	ike->remote_ts = config->remote_ts;
	ike->local_dynamic = config->local_dynamic;
	ike->remote_dynamic = config->remote_dynamic;
	ike->replay_window = config->replay_window;
	ike->rekey_time_ms = config->rekey_time_ms;
	ike->rand_time_ms = config->rand_time_ms;
	ike->life_time_ms = config->life_time_ms;
	ike->user = child;

	child->name = ike->name;
	child->conn = c;
	child->ike = ike;
	child->start_action = config->start_action;
	child->dpd_action = config->dpd_action;
	child->close_action = config->close_action;
	child->bytes = config->bytes;
	child->packets = config->packets;
	child->tunnel = UINT32_MAX;
	child->rest = REST_IDLE;
	child->trapped = config->start_action & START_TRAP;
}

static int children_create(struct conn *c, const struct config_conn *config)
{
	size_t n = 0;

	for (size_t i = 0; i < config->n_children; i++)
		n += config->children[i].mode == MODE_TUNNEL;
	if (n == 0)
		return 0;
	c->children = calloc(n, sizeof(*c->children));
	c->ike.children = calloc(n, sizeof(*c->ike.children));
	if (!c->children || !c->ike.children)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_children; i++) {
		if (config->children[i].mode != MODE_TUNNEL)
			continue;
		child_init(c, &c->children[c->n_children], &c->ike.children[c->n_children],
			   &config->children[i]);
		c->n_children++;
	}
	c->ike.n_children = c->n_children;
	return 0;
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

int conn_create(const struct config_conn *config, struct conn **out)
{
	struct conn *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return -ENOMEM;
	c->refs = 1;
	TAILQ_INIT(&c->sas);
	c->n_local = config->n_local;
	c->n_remote = config->n_remote;
	rc = endpoints_copy(c, config);
	if (rc) {
		conn_put(c);
		return rc;
	}
	c->local_port = config->local_port ? config->local_port : IKE_PORT;
	c->remote_port = config->remote_port ? config->remote_port : IKE_PORT;
	c->reauth_time_ms = config->reauth_time_ms;
	c->reauth_rand_ms = config->reauth_rand_ms;
	c->over_time_ms = config->over_time_ms;

	snprintf(c->ike.name, sizeof(c->ike.name), "%s", config->name);
	c->ike.ike = config->ike;
	c->ike.local_id = config->local_side.id;
	c->ike.remote_id = config->remote_side.id;
	c->ike.local_auth = config->local_side.auth.kind;
	c->ike.remote_auth = config->remote_side.auth.kind;
	c->ike.send_cert = config->send_cert == CERTS_ALWAYS  ? SEND_CERT_ALWAYS
			   : config->send_cert == CERTS_NEVER ? SEND_CERT_NEVER
							      : SEND_CERT_IFASKED;
	c->ike.send_certreq = config->send_certreq;
	c->own_cas = config->remote_side.cacerts.n > 0;
	c->ike.force_encap = config->encap;
	c->ike.rekey_time_ms = config->rekey_time_ms;
	c->ike.rand_time_ms = config->rekey_rand_ms;
	c->ike.over_time_ms =
		config->over_time_ms ? config->over_time_ms : config->rekey_time_ms / 10;
	c->ike.fragmentation = config->fragmentation == FRAGMENT_NO	  ? IKE_FRAG_NO
			       : config->fragmentation == FRAGMENT_ACCEPT ? IKE_FRAG_ACCEPT
									  : IKE_FRAG_YES;
	c->ike.fragment_size = config->fragment_size;
	c->ike.dpd_delay_ms = config->dpd_delay_ms;
	c->ike.user = c;
	rc = children_create(c, config);
	if (rc) {
		conn_put(c);
		return rc;
	}
	*out = c;
	return 0;
}

void conn_set_times(struct conn *c, const struct config_ike *ike)
{
	c->ike.retransmit_base_ms = ike->retransmit_timeout_ms;
	c->ike.retransmit_factor = ike->retransmit_base;
	c->ike.retransmit_tries = ike->retransmit_tries;
}

struct conn *conn_get(struct conn *c)
{
	c->refs++;
	return c;
}

void conn_put(struct conn *c)
{
	if (!c || --c->refs > 0)
		return;
	for (unsigned i = 0; i < CONFIG_ENDPOINTS_MAX; i++) {
		endpoint_fini(&c->local[i]);
		endpoint_fini(&c->remote[i]);
	}
	free(c->children);
	free(c->ike.children);
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
		if (strcmp(c->children[i].name, name) == 0)
			return &c->children[i];
	return NULL;
}
