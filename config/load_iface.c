// The section `gateway.interfaces`, and if_id_in and if_id_out, which name one, and a child's
// `interface`, which names a port (config/loader.h).
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/loader.h"
#include "config/value.h"

enum { MTU_MIN = 576, MTU_MAX = 9600 };

// ---- gateway.interfaces.<name> ----

static int load_mtu(struct loader *l, struct loader_section s, uint16_t *out)
{
	const char *text = loader_text(l, s, "mtu");
	uint64_t mtu;

	if (strcmp(text, "auto") == 0)
		return 0;
	if (value_uint(text, MTU_MIN, MTU_MAX, &mtu) != 0) {
		char shown[CONFIG_SHOWN_MAX];

		return config_node_error(l->err, -EINVAL, loader_place(l, s, "mtu"),
					 "'%s' is neither auto nor a number from %d to %d",
					 config_shown(text, shown, sizeof(shown)), MTU_MIN,
					 MTU_MAX);
	}
	*out = (uint16_t)mtu;
	return 0;
}

static int load_iface(struct loader *l, const struct config_node *n)
{
	struct config_gateway *g = &l->config->gateway;
	struct loader_section s = {n, "gateway.interfaces.*"};
	struct config_iface *iface = &g->ifaces[g->n_ifaces++];
	int rc = load_device_name(l, n, "an interface");

	if (rc != 0)
		return rc;
	if (loader_key(l, s, "if_id") == NULL)
		return config_node_error(l->err, -EINVAL, n,
					 "if_id is missing: the number by which children name this "
					 "interface; write if_id = 1, say");
	snprintf(iface->name, sizeof(iface->name), "%s", n->name);
	iface->where = loader_where(l, n);
	iface->if_id = (uint32_t)loader_number(l, s, "if_id");
	rc = load_mtu(l, s, &iface->mtu);
	return rc != 0 ? rc : load_device_addrs(l, s, iface->addrs, &iface->n_addrs);
}

int load_ifaces(struct loader *l, const struct config_node *gateway)
{
	const struct config_node *ifaces =
		gateway != NULL ? config_node_find(l->tree, gateway, NODE_SECTION, "interfaces")
				: NULL;
	size_t n = loader_count_sections(ifaces);

	if (n == 0)
		return 0;
	if (n > CONFIG_IFACES_MAX)
		return config_node_error(l->err, -E2BIG, ifaces, "more than %d interfaces",
					 CONFIG_IFACES_MAX);
	l->config->gateway.ifaces = calloc(n, sizeof(struct config_iface));
	if (l->config->gateway.ifaces == NULL)
		return loader_no_memory(l);
	for (const struct config_node *c = ifaces->first; c != NULL; c = c->next) {
		int rc = c->kind == NODE_SECTION ? load_iface(l, c) : 0;

		if (rc != 0)
			return rc;
	}
	return 0;
}

// ---- if_id_in, if_id_out ----

static int load_one_id(struct loader *l, struct loader_section s, const char *name, uint32_t *out)
{
	const char *text = loader_text(l, s, name);
	char shown[CONFIG_SHOWN_MAX];
	uint64_t id;

	if (value_among(text, "%unique %unique-dir"))
		return config_node_error(l->err, -ENOTSUP, loader_place(l, s, name),
					 "%s is not available: name the if_id of an interface in "
					 "gateway.interfaces",
					 text);
	if (value_uint(text, 0, UINT32_MAX, &id) != 0)
		return config_node_error(l->err, -EINVAL, loader_place(l, s, name),
					 "'%s' is not the number of an interface (if_id)",
					 config_shown(text, shown, sizeof(shown)));
	*out = (uint32_t)id;
	return 0;
}

int load_if_id(struct loader *l, struct loader_section s, uint32_t *out)
{
	uint32_t in = 0, to = 0;
	int rc = load_one_id(l, s, "if_id_in", &in);

	if (rc == 0)
		rc = load_one_id(l, s, "if_id_out", &to);
	if (rc != 0)
		return rc;
	if (in != to)
		return config_node_error(
			l->err, -EINVAL, loader_place(l, s, in != 0 ? "if_id_in" : "if_id_out"),
			"if_id_in is %u and if_id_out is %u: they have to be the same, as one "
			"interface is for both directions",
			in, to);
	*out = in;
	return 0;
}

// ---- interface ----

int load_port_name(struct loader *l, struct loader_section s, char out[CONFIG_PORT_NAME_MAX])
{
	const char *text =
		loader_key(l, s, "interface") != NULL ? loader_text(l, s, "interface") : "";
	char shown[CONFIG_SHOWN_MAX];

	if (strlen(text) >= CONFIG_PORT_NAME_MAX)
		return config_node_error(l->err, -EINVAL, loader_place(l, s, "interface"),
					 "'%s' is too long for the name of a port (gateway.ports), "
					 "of at most %d bytes",
					 config_shown(text, shown, sizeof(shown)),
					 CONFIG_PORT_NAME_MAX - 1);
	snprintf(out, CONFIG_PORT_NAME_MAX, "%s", text);
	return 0;
}

// Is there such a port? Else the names of those that there are.
static int check_port(struct loader *l, const struct config_child *child,
		      const struct config_node *n)
{
	const struct config_gateway *g = &l->config->gateway;
	char names[CONFIG_PORTS_MAX * (CONFIG_PORT_NAME_MAX + 2)] = "", shown[CONFIG_SHOWN_MAX];
	size_t used = 0;

	if (child->port[0] == '\0')
		return 0;
	if (child->iface[0] != '\0')
		return config_node_error(
			l->err, -EINVAL, n,
			"it is behind the tunnel interface %s, which has policies of "
			"its own, and so is on no port: leave out interface = %s, or "
			"if_id_in and if_id_out",
			child->iface, child->port);
	for (size_t i = 0; i < g->n_ports; i++) {
		if (strcmp(g->ports[i].name, child->port) == 0)
			return 0;
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
					 i > 0 ? ", " : "", g->ports[i].name);
	}
	return config_node_error(l->err, -ENOENT, n,
				 "interface = %s is none of the ports of gateway.ports: %s",
				 config_shown(child->port, shown, sizeof(shown)), names);
}

// ---- the whole ----

static const struct config_node *find(const struct loader *l, const struct config_node *n,
				      const char *name)
{
	return n != NULL ? config_node_find(l->tree, n, NODE_SECTION, name) : NULL;
}

static const struct config_node *iface_node(const struct loader *l,
					    const struct config_iface *iface)
{
	const struct config_node *gateway = find(l, l->tree->root, "gateway");

	return find(l, find(l, gateway, "interfaces"), iface->name);
}

static int check_addrs(struct loader *l, const struct config_iface *iface,
		       const struct ip_prefix *other, unsigned n, const char *what,
		       const char *whose)
{
	char text[IP_ADDR_TEXT_MAX];

	for (unsigned i = 0; i < iface->n_addrs; i++) {
		for (unsigned k = 0; k < n; k++) {
			if (!ip_addr_equal(&iface->addrs[i].addr, &other[k].addr))
				continue;
			return config_node_error(
				l->err, -EINVAL, iface_node(l, iface),
				"the address %s is already that of %s %s",
				ip_addr_format(&iface->addrs[i].addr, text, sizeof(text)), what,
				whose);
		}
	}
	return 0;
}

// Against the interfaces before it and against the ports.
static int check_iface(struct loader *l, const struct config_iface *iface)
{
	const struct config_gateway *g = &l->config->gateway;
	int rc = 0;

	for (size_t i = 0; i < g->n_ports && rc == 0; i++) {
		const struct config_port *p = &g->ports[i];

		if (strcmp(p->name, iface->name) == 0)
			return config_node_error(l->err, -EINVAL, iface_node(l, iface),
						 "a port has this name already; both would name "
						 "one interface of Linux");
		rc = check_addrs(l, iface, p->addrs, p->n_addrs, "port", p->name);
	}
	for (const struct config_iface *o = g->ifaces; o < iface && rc == 0; o++) {
		if (o->if_id == iface->if_id)
			return config_node_error(l->err, -EINVAL, iface_node(l, iface),
						 "if_id %u is already that of %s", iface->if_id,
						 o->name);
		rc = check_addrs(l, iface, o->addrs, o->n_addrs, "interface", o->name);
	}
	return rc;
}

static const struct config_iface *by_id(const struct config_gateway *g, uint32_t if_id)
{
	for (size_t i = 0; i < g->n_ifaces; i++) {
		if (g->ifaces[i].if_id == if_id)
			return &g->ifaces[i];
	}
	return NULL;
}

static int bind_child(struct loader *l, const struct config_conn *c, struct config_child *child,
		      const struct config_node *conn, const struct config_node *n, bool *used)
{
	const struct config_gateway *g = &l->config->gateway;
	const bool own = child->if_id != 0;
	const struct config_iface *iface;

	if (!config_mode_has_sa(child->mode) && own)
		return config_node_error(l->err, -EINVAL, n,
					 "a rule with mode = %s cannot be behind a tunnel "
					 "interface: nothing leaves one in clear",
					 child->mode == MODE_PASS ? "pass" : "drop");
	if (!config_mode_has_sa(child->mode))
		return 0;
	if (child->mode == MODE_TRANSPORT && own)
		return config_node_error(
			l->err, -EINVAL, n,
			"a child with mode = transport cannot be behind a tunnel "
			"interface, which is for what is forwarded: leave out if_id, "
			"or write mode = tunnel");
	if (child->mode == MODE_TRANSPORT)
		return 0;
	if (!own)
		child->if_id = c->if_id;
	if (child->if_id == 0)
		return 0;
	iface = by_id(g, child->if_id);
	if (iface == NULL)
		return config_node_error(l->err, -ENOENT, own ? n : conn,
					 "no interface has if_id %u; write gateway { interfaces { "
					 "vti%u { if_id = %u } } }",
					 child->if_id, child->if_id, child->if_id);
	snprintf(child->iface, sizeof(child->iface), "%s", iface->name);
	used[iface - g->ifaces] = true;
	return 0;
}

static int check_child(struct loader *l, const struct config_conn *c, struct config_child *child,
		       bool *used)
{
	const struct config_node *conn = find(l, find(l, l->tree->root, "connections"), c->name);
	const struct config_node *n = find(l, find(l, conn, "children"), child->name);
	int rc = bind_child(l, c, child, conn, n, used);

	return rc != 0 ? rc : check_port(l, child, n);
}

static int check_used(struct loader *l, const bool *used)
{
	const struct config_gateway *g = &l->config->gateway;
	int rc = 0;

	for (size_t i = 0; i < g->n_ifaces && rc == 0; i++) {
		if (!used[i])
			rc = loader_warn(l, iface_node(l, &g->ifaces[i]),
					 "no child has if_id_in and if_id_out = %u: what is routed "
					 "to this interface is dropped",
					 g->ifaces[i].if_id);
	}
	return rc;
}

int check_ifaces(struct loader *l)
{
	struct config *c = l->config;
	bool *used = calloc(c->gateway.n_ifaces + 1, sizeof(*used));
	int rc = 0;

	if (used == NULL)
		return loader_no_memory(l);
	for (size_t i = 0; i < c->gateway.n_ifaces && rc == 0; i++)
		rc = check_iface(l, &c->gateway.ifaces[i]);
	for (size_t i = 0; i < c->n_conns && rc == 0; i++)
		for (size_t k = 0; k < c->conns[i].n_children && rc == 0; k++)
			rc = check_child(l, &c->conns[i], &c->conns[i].children[k], used);
	if (rc == 0)
		rc = check_used(l, used);
	free(used);
	return rc;
}
