// What a configuration must fulfil beyond the form of its values (config/loader.h).
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/loader.h"

// The section at a path of names, ended by NULL; as far down as it exists.
static const struct config_node *section_at(const struct loader *l, const char *const *path)
{
	const struct config_node *n = l->tree->root;

	for (; *path != NULL; path++) {
		const struct config_node *c = config_node_find(l->tree, n, NODE_SECTION, *path);

		if (c == NULL)
			break;
		n = c;
	}
	return n;
}

static const struct config_node *conn_node(const struct loader *l, const struct config_conn *c)
{
	return section_at(l, (const char *[]){"connections", c->name, NULL});
}

static const struct config_node *child_node(const struct loader *l, const struct config_conn *c,
					    const struct config_child *child)
{
	return section_at(l,
			  (const char *[]){"connections", c->name, "children", child->name, NULL});
}

static const struct config_node *port_node(const struct loader *l, const struct config_port *p)
{
	return section_at(l, (const char *[]){"gateway", "ports", p->name, NULL});
}

// ---- gateway ----

// Two devices are one when their first part agrees; a PCI address may lack its domain.
static bool same_device(const char *a, const char *b)
{
	size_t n = strcspn(a, ", "), m = strcspn(b, ", ");

	if (strncmp(a, "0000:", 5) == 0 && n == 12) {
		a += 5;
		n -= 5;
	}
	if (strncmp(b, "0000:", 5) == 0 && m == 12) {
		b += 5;
		m -= 5;
	}
	return n == m && strncasecmp(a, b, n) == 0;
}

static int check_addrs(struct loader *l, const struct config_port *p, const struct config_port *q)
{
	char text[IP_ADDR_TEXT_MAX];

	for (unsigned i = 0; i < p->n_addrs; i++) {
		for (unsigned k = 0; k < (p == q ? i : q->n_addrs); k++) {
			if (!ip_addr_equal(&p->addrs[i].addr, &q->addrs[k].addr))
				continue;
			return config_node_error(
				l->err, -EINVAL, port_node(l, p),
				"the address %s is already that of port %s",
				ip_addr_format(&p->addrs[i].addr, text, sizeof(text)), q->name);
		}
	}
	return 0;
}

// Ports of different VLANs may share a device; everything else that they say of it is the same.
static int check_device(struct loader *l, const struct config_port *p, const struct config_port *q)
{
	if (!same_device(p->device, q->device))
		return 0;
	if (p->vlan == q->vlan && p->vlan != 0)
		return config_node_error(l->err, -EINVAL, port_node(l, p),
					 "VLAN %u of the device is already that of port %s",
					 p->vlan, q->name);
	if (p->vlan == q->vlan)
		return config_node_error(
			l->err, -EINVAL, port_node(l, p),
			"the device is already that of port %s; a virtual device "
			"needs a number of its own, as in net_af_packet1; ports of "
			"one device have different VLANs (vlan = 100)",
			q->name);
	if (strcmp(p->device, q->device) != 0)
		return config_node_error(l->err, -EINVAL, port_node(l, p),
					 "the device is that of port %s as well: write it in the "
					 "same way, device = %s",
					 q->name, q->device);
	return 0;
}

static int check_ports(struct loader *l)
{
	const struct config_gateway *g = &l->config->gateway;

	if (g->n_ports == 0)
		return error_set(
			l->err, -EINVAL,
			"%s:%d: gateway.ports: no port; write gateway { ports { wan { device = "
			"... addrs = ... } } }",
			g->where.file, g->where.line > 0 ? g->where.line : 1);
	if (g->n_ports > CONFIG_PORTS_MAX)
		return config_node_error(l->err, -EINVAL, port_node(l, &g->ports[CONFIG_PORTS_MAX]),
					 "more than %d ports", CONFIG_PORTS_MAX);
	for (size_t i = 0; i < g->n_ports; i++) {
		for (size_t k = 0; k <= i; k++) {
			int rc = check_addrs(l, &g->ports[i], &g->ports[k]);

			if (rc == 0 && k < i)
				rc = check_device(l, &g->ports[i], &g->ports[k]);
			if (rc != 0)
				return rc;
		}
	}
	return 0;
}

static int check_cpus(struct loader *l, bool from_file)
{
	const struct config_gateway *g = &l->config->gateway;
	const struct config_node *n = section_at(l, (const char *[]){"gateway", NULL});
	struct loader_section s = {n, "gateway"};
	long machine = sysconf(_SC_NPROCESSORS_CONF);

	for (unsigned i = 0; i < g->n_cpus; i++) {
		for (unsigned k = 0; k < i; k++) {
			if (g->cpus[i] == g->cpus[k])
				return config_node_error(l->err, -EINVAL,
							 loader_place(l, s, "cpus"),
							 "CPU %u is named twice", g->cpus[i]);
		}
	}
	if (g->n_cpus != 0 && g->n_cpus != g->workers)
		return config_node_error(l->err, -EINVAL, loader_place(l, s, "workers"),
					 "%u workers and %u CPUs: each worker needs one CPU",
					 g->workers, g->n_cpus);
	if (!from_file || machine <= 0)
		return 0;
	// A warning only: a configuration may be checked on another machine than its own.
	if (g->workers > (unsigned long)machine)
		return loader_warn(l, loader_place(l, s, "workers"),
				   "%u workers, but this machine has %ld CPUs", g->workers,
				   machine);
	for (unsigned i = 0; i < g->n_cpus; i++) {
		if (g->cpus[i] >= machine)
			return loader_warn(l, loader_place(l, s, "cpus"),
					   "CPU %u, but this machine has %ld CPUs, from 0",
					   g->cpus[i], machine);
	}
	return 0;
}

static int check_gateway(struct loader *l, bool from_file)
{
	const struct config_gateway *g = &l->config->gateway;
	struct loader_section s = {section_at(l, (const char *[]){"gateway", NULL}), "gateway"};
	int rc = check_ports(l);

	if (rc != 0)
		return rc;
	if (g->socket[0] != '/' || strlen(g->socket) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return config_node_error(l->err, -EINVAL, loader_place(l, s, "socket"),
					 "is not an absolute path of at most %zu bytes",
					 sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
	if (g->state_dir[0] != '\0' && g->state_dir[0] != '/')
		return config_node_error(l->err, -EINVAL, loader_place(l, s, "state_dir"),
					 "is not an absolute path; write /var/lib/port500, say");
	rc = check_ifaces(l);
	return rc != 0 ? rc : check_cpus(l, from_file);
}

// ---- secrets ----

// Every identity that has a key, sorted.
struct named_ids {
	const struct identity **id;
	size_t n;
};

static int compare_ids(const void *a, const void *b)
{
	const struct identity *x = *(const struct identity *const *)a;
	const struct identity *y = *(const struct identity *const *)b;

	if (x->type != y->type)
		return x->type < y->type ? -1 : 1;
	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return memcmp(x->data, y->data, x->len);
}

static int named_ids_init(const struct config *c, struct named_ids *ids)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_psks; i++)
		n += c->psks[i].n_ids;
	ids->id = calloc(n + 1, sizeof(*ids->id));
	if (ids->id == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_psks; i++) {
		for (size_t k = 0; k < c->psks[i].n_ids; k++)
			ids->id[ids->n++] = &c->psks[i].ids[k];
	}
	qsort(ids->id, ids->n, sizeof(*ids->id), compare_ids);
	return 0;
}

static bool is_named(const struct named_ids *ids, const struct identity *id)
{
	return bsearch(&id, ids->id, ids->n, sizeof(*ids->id), compare_ids) != NULL;
}

// The identity that we will use; ID_ANY when it depends on the route.
static struct identity local_identity(const struct config_conn *c)
{
	const struct config_endpoint *e = &c->local[0];
	struct identity id = c->local_side.id;
	char text[IP_ADDR_TEXT_MAX];

	if (id.type == ID_ANY && c->n_local == 1 && endpoint_is_host(e))
		identity_parse(ip_addr_format(&e->lo, text, sizeof(text)), &id);
	return id;
}

static bool names_anybody(const struct config_psk *psk)
{
	for (size_t i = 0; i < psk->n_ids; i++) {
		if (psk->ids[i].type == ID_ANY)
			return true;
	}
	return false;
}

static int check_psk(struct loader *l, const struct config_conn *c, const struct named_ids *ids)
{
	const struct identity *peer = &c->remote_side.id;
	struct identity us = local_identity(c);
	char us_text[IDENTITY_TEXT_MAX], peer_text[IDENTITY_TEXT_MAX];
	const struct config_psk *psk;

	if (peer->type != ID_ANY && is_named(ids, peer))
		return 0;
	// Who we are, or who the peer is, shows only when it connects: any key may fit.
	if (l->config->n_psks != 0 && (identity_is_pattern(peer) || us.type == ID_ANY))
		return 0;
	psk = config_psk_find(l->config, &us, peer);
	if (psk == NULL)
		return config_node_error(l->err, -ENOENT, conn_node(l, c),
					 "no secret for '%.64s' and '%.64s'; write secrets { "
					 "ike-%s { id = %.64s secret = "
					 "\"...\" } }",
					 identity_format(&us, us_text, sizeof(us_text)),
					 identity_format(peer, peer_text, sizeof(peer_text)),
					 c->name, peer_text);
	if (psk->n_ids < 2 || names_anybody(psk))
		return 0;
	return loader_warn(l, conn_node(l, c),
			   "no secret names '%.64s'; the one of secrets.%s is taken, which names "
			   "'%.64s' and others",
			   identity_format(peer, peer_text, sizeof(peer_text)), psk->name,
			   identity_format(&us, us_text, sizeof(us_text)));
}

// Files that hold keys and that everybody may read.
static int check_modes(struct loader *l)
{
	const struct config *c = l->config;
	const char *last = NULL;
	struct stat st;

	for (size_t i = 0; i < c->n_psks; i++) {
		const struct config_where *w = &c->psks[i].where;

		if (w->file == last)
			continue;
		last = w->file;
		if (stat(w->file, &st) != 0 || (st.st_mode & S_IROTH) == 0)
			continue;
		if (config_warn(l->config,
				"%s:%d: secrets.%s: everybody may read this file; run chmod 600 %s",
				w->file, w->line, c->psks[i].name, w->file) != 0)
			return loader_no_memory(l);
	}
	return 0;
}

// ---- connections ----

static bool has_name(const struct config_conn *c)
{
	for (unsigned i = 0; i < c->n_remote; i++) {
		if (c->remote[i].name != NULL)
			return true;
	}
	return false;
}

static bool has_address(const struct config_conn *c)
{
	for (unsigned i = 0; i < c->n_remote; i++) {
		if (endpoint_is_host(&c->remote[i]))
			return true;
	}
	return has_name(c);
}

enum { HAS_V4 = 1, HAS_V6 = 2 };

static unsigned family_bit(const struct ip_addr *a)
{
	return a->family == IP_V4 ? HAS_V4 : a->family == IP_V6 ? HAS_V6 : HAS_V4 | HAS_V6;
}

// The families of one end of a tunnel, as far as the addresses say.
static unsigned endpoint_families(const struct config_endpoint *e, unsigned n)
{
	unsigned has = n == 0 ? HAS_V4 | HAS_V6 : 0;

	for (unsigned i = 0; i < n; i++)
		has |= family_bit(&e[i].lo); // that of a name is not known
	return has;
}

// Of "dynamic".
static unsigned tunnel_families(const struct config_conn *c)
{
	const unsigned both =
		endpoint_families(c->local, c->n_local) & endpoint_families(c->remote, c->n_remote);

	return both ? both : HAS_V4 | HAS_V6;
}

static unsigned selector_families(const struct selector_list *list)
{
	unsigned has = 0;

	for (unsigned i = 0; i < list->n; i++)
		has |= family_bit(&list->s[i].lo);
	return has;
}

// A packet has one family: a network of one side needs one of the same family on the other.
static int check_families(struct loader *l, const struct config_conn *c,
			  const struct config_child *child)
{
	struct loader_section s = {child_node(l, c, child), "connections.*.children.*"};
	const unsigned outer = tunnel_families(c);
	const unsigned named_local = selector_families(&child->local_ts);
	const unsigned named_remote = selector_families(&child->remote_ts);
	const unsigned local = named_local | (child->local_dynamic.n ? outer : 0);
	const unsigned remote = named_remote | (child->remote_dynamic.n ? outer : 0);
	const unsigned lonely_local = named_local & ~remote, lonely_remote = named_remote & ~local;

	if ((local & remote) == 0)
		return config_node_error(l->err, -EINVAL, child_node(l, c, child),
					 "local_ts has no network of a family that remote_ts has: "
					 "there is no packet from one to the other");
	if (lonely_local == 0 && lonely_remote == 0)
		return 0;
	return loader_warn(l, loader_place(l, s, lonely_local ? "local_ts" : "remote_ts"),
			   "the IPv%c networks have no counterpart in %s and carry nothing",
			   (lonely_local ? lonely_local : lonely_remote) & HAS_V4 ? '4' : '6',
			   lonely_local ? "remote_ts" : "local_ts");
}

static int check_child(struct loader *l, const struct config_conn *c,
		       const struct config_child *child)
{
	struct loader_section s = {child_node(l, c, child), "connections.*.children.*"};
	static const char *const actions[] = {"start_action", "close_action", "dpd_action"};
	const enum config_dead dead[] = {DEAD_CLEAR, child->close_action, child->dpd_action};
	int rc = check_families(l, c, child);

	if (rc != 0)
		return rc;
	if (child->mode == MODE_TRANSPORT && child->tfc_padding != 0 &&
	    loader_warn(l, loader_place(l, s, "tfc_padding"),
			"nothing is padded in transport mode: the other end could not tell where "
			"the packet ends (RFC 4303 2.7)") != 0)
		return -ENOMEM;
	if (!config_mode_has_sa(child->mode) || has_address(c))
		return 0;
	for (size_t i = 0; i < 3; i++) {
		bool starts = i == 0 ? child->start_action & START_START : dead[i] == DEAD_START;
		bool traps = i == 0 ? child->start_action & START_TRAP : dead[i] == DEAD_TRAP;

		if (starts || traps)
			return config_node_error(
				l->err, -EINVAL, loader_place(l, s, actions[i]),
				"%s needs an address of the peer: remote_addrs of %s names none",
				starts ? "start" : "trap", c->name);
	}
	return 0;
}

static int check_conn(struct loader *l, const struct config_conn *c, const struct named_ids *ids)
{
	bool tunnel = false;

	for (size_t i = 0; i < c->n_children; i++) {
		int rc = check_child(l, c, &c->children[i]);

		if (rc != 0)
			return rc;
		tunnel |= config_mode_has_sa(c->children[i].mode);
	}
	if (!tunnel || (c->local_side.auth.kind == AUTH_BY_SIGNATURE &&
			c->remote_side.auth.kind == AUTH_BY_SIGNATURE))
		return 0;
	return check_psk(l, c, ids);
}

int config_check(struct loader *l, bool from_file)
{
	struct named_ids ids = {0};
	int rc = check_gateway(l, from_file);

	if (rc != 0)
		return rc;
	if (named_ids_init(l->config, &ids) != 0)
		return loader_no_memory(l);
	for (size_t i = 0; i < l->config->n_conns && rc == 0; i++)
		rc = check_conn(l, &l->config->conns[i], &ids);
	free(ids.id);
	if (rc == 0 && from_file)
		rc = check_modes(l);
	return rc;
}
