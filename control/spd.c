#include "control/spd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/ike/ike.h"

#define PROTO_UDP 17

struct entry {
	struct dp_policy policy;
	unsigned group;	      // pass, protect, drop
	uint32_t priority;    // UINT32_MAX: none given
	unsigned specificity; // bits of both sides
	size_t seq;	      // place in the file
};

struct table {
	struct entry *e;
	size_t n, cap;
};

static int table_add(struct table *t, const struct entry *e)
{
	if (t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 64;
		struct entry *bigger = reallocarray(t->e, cap, sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		t->e = bigger;
		t->cap = cap;
	}
	t->e[t->n] = *e;
	t->e[t->n].seq = t->n;
	t->n++;
	return 0;
}

static int entry_compare(const void *pa, const void *pb)
{
	const struct entry *a = pa, *b = pb;

	if (a->group != b->group)
		return a->group < b->group ? -1 : 1;
	if (a->priority != b->priority)
		return a->priority < b->priority ? -1 : 1;
	if (a->specificity != b->specificity)
		return a->specificity > b->specificity ? -1 : 1;
	return a->seq < b->seq ? -1 : a->seq > b->seq;
}

// Bits of struct dp_policy's `ports`; the dataplane numbers its ports as the configuration does. A
// name that is none was refused by the checker.
static uint16_t ports_of(const struct config_gateway *gw, const struct config_child *child)
{
	for (size_t i = 0; i < gw->n_ports && child->port[0]; i++)
		if (strcmp(gw->ports[i].name, child->port) == 0)
			return (uint16_t)(1u << i);
	return 0;
}

// The configured selectors, with "dynamic" replaced by the address.
static struct selector_list expand(const struct selector_list *list,
				   const struct selector_dynamic *dynamic,
				   const struct ip_addr *addr)
{
	struct selector_list out = *list;

	selector_dynamic_add(dynamic, addr, &out);
	return out;
}

static int child_add(struct table *t, const struct spd_env *env, const struct config_gateway *gw,
		     const struct config_conn *conn, const struct config_child *child)
{
	static const struct {
		unsigned group;
		enum dp_action action;
	} by_mode[] = {
		[MODE_PASS] = {0, DP_BYPASS},
		[MODE_TUNNEL] = {1, DP_PROTECT},
		[MODE_TRANSPORT] = {1, DP_PROTECT},
		[MODE_DROP] = {2, DP_DISCARD},
	};
	struct ip_addr local_addr = {0}, remote_addr = {0};
	struct selector_list local, remote;
	struct entry e = {
		.group = by_mode[child->mode].group,
		.priority = child->priority ? child->priority : UINT32_MAX,
		.policy = {.action = by_mode[child->mode].action,
			   .tunnel = DP_TUNNEL_NONE,
			   .ports = ports_of(gw, child)},
	};

	if (config_mode_has_sa(child->mode)) {
		e.policy.tunnel = env->tunnel(env->ctx, conn, child, &e.policy.iface);
		if (e.policy.tunnel == DP_TUNNEL_NONE)
			return 0;
	}
	if (child->local_dynamic.n || child->remote_dynamic.n)
		env->addrs(env->ctx, conn, &local_addr, &remote_addr);
	local = expand(&child->local_ts, &child->local_dynamic, &local_addr);
	remote = expand(&child->remote_ts, &child->remote_dynamic, &remote_addr);
	for (unsigned l = 0; l < local.n; l++) {
		for (unsigned r = 0; r < remote.n; r++) {
			int rc;

			if (local.s[l].family != remote.s[r].family)
				continue;
			e.policy.local = local.s[l];
			e.policy.remote = remote.s[r];
			e.specificity = selector_specificity(&local.s[l]) +
					selector_specificity(&remote.s[r]);
			rc = table_add(t, &e);
			if (rc)
				return rc;
		}
	}
	return 0;
}

// IKE of our own (RFC 4301 4.4.1: "key management traffic" is a case for BYPASS).
static int own_ike_add(struct table *t, const struct config_gateway *gw)
{
	static const uint16_t ports[] = {IKE_PORT, IKE_NATT_PORT};
	struct entry e = {
		.group = 0,
		.priority = 0,
		.policy = {.action = DP_BYPASS, .tunnel = DP_TUNNEL_NONE},
	};

	for (size_t p = 0; p < gw->n_ports; p++) {
		for (unsigned a = 0; a < gw->ports[p].n_addrs; a++) {
			const struct ip_addr *own = &gw->ports[p].addrs[a].addr;
			const struct ip_prefix everywhere = {.addr = {.family = own->family}};

			e.policy.remote = selector_from_prefix(&everywhere);
			e.policy.remote.proto = PROTO_UDP;
			for (unsigned i = 0; i < 2; i++) {
				int rc;

				e.policy.local = selector_from_host(own);
				e.policy.local.proto = PROTO_UDP;
				e.policy.local.port_lo = e.policy.local.port_hi = ports[i];
				rc = table_add(t, &e);
				if (rc)
					return rc;
			}
		}
	}
	return 0;
}

int spd_build(const struct config *config, const struct spd_env *env, struct dp_policy **out,
	      size_t *n)
{
	struct dp_policy *policies = NULL;
	struct table t = {0};
	int rc;

	rc = own_ike_add(&t, &config->gateway);
	for (size_t c = 0; c < config->n_conns && rc == 0; c++)
		for (size_t i = 0; i < config->conns[c].n_children && rc == 0; i++)
			rc = child_add(&t, env, &config->gateway, &config->conns[c],
				       &config->conns[c].children[i]);
	if (rc)
		goto out;
	if (t.n) {
		qsort(t.e, t.n, sizeof(*t.e), entry_compare);
		policies = calloc(t.n, sizeof(*policies));
		if (!policies) {
			rc = -ENOMEM;
			goto out;
		}
	}
	for (size_t i = 0; i < t.n; i++)
		policies[i] = t.e[i].policy;
	*out = policies;
	*n = t.n;
out:
	free(t.e);
	return rc;
}
