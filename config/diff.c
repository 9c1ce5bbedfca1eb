#include "config/diff.h"

#include <stdio.h>
#include <string.h>

static bool proposals_equal(const struct proposal_list *a, const struct proposal_list *b)
{
	if (a->n != b->n)
		return false;
	for (uint8_t i = 0; i < a->n; i++) {
		const struct proposal *p = &a->p[i], *q = &b->p[i];

		if (p->protocol != q->protocol || p->n != q->n)
			return false;
		for (uint8_t k = 0; k < p->n; k++) {
			if (p->t[k].type != q->t[k].type || p->t[k].id != q->t[k].id ||
			    p->t[k].key_bits != q->t[k].key_bits)
				return false;
		}
	}
	return true;
}

static bool selectors_equal(const struct selector_list *a, const struct selector_list *b)
{
	if (a->n != b->n)
		return false;
	for (uint8_t i = 0; i < a->n; i++) {
		if (!selector_equal(&a->s[i], &b->s[i]))
			return false;
	}
	return true;
}

static bool endpoints_equal(const struct config_endpoint *a, unsigned n_a,
			    const struct config_endpoint *b, unsigned n_b)
{
	if (n_a != n_b)
		return false;
	for (unsigned i = 0; i < n_a; i++) {
		if (!endpoint_equal(&a[i], &b[i]))
			return false;
	}
	return true;
}

static bool side_equal(const struct config_side *a, const struct config_side *b)
{
	return auth_rule_equal(&a->auth, &b->auth) && identity_equal(&a->id, &b->id) &&
	       a->revocation == b->revocation && config_files_equal(&a->certs, &b->certs) &&
	       config_files_equal(&a->cacerts, &b->cacerts);
}

static bool limit_equal(const struct config_limit *a, const struct config_limit *b)
{
	return a->rekey == b->rekey && a->life == b->life && a->rand == b->rand;
}

// What a running SA can take over late: when it is replaced, but not whether, nor when it ends.
static bool limit_compatible(const struct config_limit *a, const struct config_limit *b)
{
	return !a->rekey == !b->rekey && a->life == b->life;
}

bool config_child_fits(const struct config_child *a, const struct config_child *b)
{
	return strcmp(a->name, b->name) == 0 && a->mode == b->mode &&
	       proposals_equal(&a->esp, &b->esp) && selectors_equal(&a->local_ts, &b->local_ts) &&
	       selectors_equal(&a->remote_ts, &b->remote_ts) &&
	       selector_dynamic_equal(&a->local_dynamic, &b->local_dynamic) &&
	       selector_dynamic_equal(&a->remote_dynamic, &b->remote_dynamic) &&
	       a->life_time_ms == b->life_time_ms && limit_compatible(&a->bytes, &b->bytes) &&
	       limit_compatible(&a->packets, &b->packets) && a->replay_window == b->replay_window &&
	       outer_rule_equal(&a->outer, &b->outer) && a->tfc_padding == b->tfc_padding &&
	       a->dummies == b->dummies && strcmp(a->iface, b->iface) == 0;
}

bool config_child_equal(const struct config_child *a, const struct config_child *b)
{
	return config_child_fits(a, b) && a->start_action == b->start_action &&
	       a->dpd_action == b->dpd_action && a->close_action == b->close_action &&
	       a->rekey_time_ms == b->rekey_time_ms && a->rand_time_ms == b->rand_time_ms &&
	       a->inactivity_ms == b->inactivity_ms && limit_equal(&a->bytes, &b->bytes) &&
	       limit_equal(&a->packets, &b->packets) && a->priority == b->priority &&
	       strcmp(a->port, b->port) == 0;
}

bool config_conn_fits(const struct config_conn *a, const struct config_conn *b)
{
	return strcmp(a->name, b->name) == 0 && a->version == b->version &&
	       a->local_port == b->local_port && a->remote_port == b->remote_port &&
	       a->encap == b->encap && a->mobike == b->mobike &&
	       endpoints_equal(a->local, a->n_local, b->local, b->n_local) &&
	       endpoints_equal(a->remote, a->n_remote, b->remote, b->n_remote) &&
	       proposals_equal(&a->ike, &b->ike) && side_equal(&a->local_side, &b->local_side) &&
	       side_equal(&a->remote_side, &b->remote_side);
}

bool config_conn_equal(const struct config_conn *a, const struct config_conn *b)
{
	if (!config_conn_fits(a, b) || a->fragmentation != b->fragmentation ||
	    a->fragment_size != b->fragment_size || a->send_cert != b->send_cert ||
	    a->send_certreq != b->send_certreq || a->dpd_delay_ms != b->dpd_delay_ms ||
	    a->rekey_time_ms != b->rekey_time_ms || a->reauth_time_ms != b->reauth_time_ms ||
	    a->over_time_ms != b->over_time_ms || a->rekey_rand_ms != b->rekey_rand_ms ||
	    a->reauth_rand_ms != b->reauth_rand_ms || a->keyingtries != b->keyingtries ||
	    a->unique != b->unique || a->fallback_port != b->fallback_port ||
	    a->n_children != b->n_children)
		return false;
	for (size_t i = 0; i < a->n_children; i++) {
		if (!config_child_equal(&a->children[i], &b->children[i]))
			return false;
	}
	return true;
}

static const struct config_port *find(const struct config_gateway *g, const char *name)
{
	for (size_t i = 0; i < g->n_ports; i++) {
		if (strcmp(g->ports[i].name, name) == 0)
			return &g->ports[i];
	}
	return NULL;
}

// Ports of `a` against those of `b`, wherever they stand. Addresses change without a restart.
static bool ports_differ(const struct config_gateway *a, const struct config_gateway *b, char *what,
			 size_t size)
{
	for (size_t i = 0; i < a->n_ports; i++) {
		const struct config_port *p = &a->ports[i], *q = find(b, p->name);
		const char *key = NULL;

		if (q == NULL) {
			snprintf(what, size, "gateway.ports.%s", p->name);
			return true;
		}
		if (strcmp(p->device, q->device) != 0)
			key = "device";
		else if (p->mtu != q->mtu)
			key = "mtu";
		else if (p->vlan != q->vlan)
			key = "vlan";
		if (key != NULL) {
			snprintf(what, size, "gateway.ports.%s.%s", p->name, key);
			return true;
		}
	}
	return false;
}

bool config_gateway_differs(const struct config_gateway *a, const struct config_gateway *b,
			    char *what, size_t size)
{
	const char *key = NULL;

	if (ports_differ(a, b, what, size) || ports_differ(b, a, what, size))
		return true;
	for (size_t i = 0; i < a->n_ports; i++) {
		// Ports are numbered in the order of the configuration.
		if (strcmp(a->ports[i].name, b->ports[i].name) != 0) {
			snprintf(what, size, "gateway.ports (their order)");
			return true;
		}
	}
	if (a->workers != b->workers)
		key = "workers";
	else if (a->n_cpus != b->n_cpus || memcmp(a->cpus, b->cpus, a->n_cpus * sizeof(a->cpus[0])))
		key = "cpus";
	else if (a->poll != b->poll)
		key = "poll";
	else if (a->hugepages != b->hugepages)
		key = "hugepages";
	else if (a->clamp_mss != b->clamp_mss)
		key = "clamp_mss";
	else if (a->memory_mb != b->memory_mb)
		key = "memory";
	else if (strcmp(a->socket, b->socket) != 0)
		key = "socket";
	else if (strcmp(a->state_dir, b->state_dir) != 0)
		key = "state_dir";
	else if (strcmp(a->eal_args, b->eal_args) != 0)
		key = "eal_args";
	if (key == NULL)
		return false;
	snprintf(what, size, "gateway.%s", key);
	return true;
}
