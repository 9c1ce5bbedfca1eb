// The section `gateway` (config/loader.h).
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/loader.h"
#include "config/value.h"
#include "lib/limits.h"

#define CPU_MAX 1023

// "2,3" or "2-5".
static int load_cpus(struct loader *l, struct loader_section s, struct config_gateway *g)
{
	const struct config_node *key = loader_key(l, s, "cpus");
	const char *list = key != NULL ? key->value : NULL;
	char item[32];
	bool too_long = false;

	while (value_next(&list, ", ", item, sizeof(item), &too_long) != NULL && !too_long) {
		char *dash = strchr(item, '-');
		uint64_t lo, hi;

		if (dash != NULL)
			*dash++ = '\0';
		if (value_uint(item, 0, CPU_MAX, &lo) != 0 ||
		    value_uint(dash != NULL ? dash : item, 0, CPU_MAX, &hi) != 0 || lo > hi)
			return config_node_error(
				l->err, -EINVAL, key,
				"'%s%s%s' is not a CPU number or range such as 2 or "
				"2-5",
				item, dash != NULL ? "-" : "", dash != NULL ? dash : "");
		for (uint64_t cpu = lo; cpu <= hi; cpu++) {
			if (g->n_cpus == CONFIG_CPUS_MAX)
				return config_node_error(l->err, -EINVAL, key, "more than %d CPUs",
							 CONFIG_CPUS_MAX);
			g->cpus[g->n_cpus++] = (uint16_t)cpu;
		}
	}
	if (too_long)
		return config_node_error(l->err, -EINVAL, key,
					 "is not a list of CPU numbers such as 2,3 or 2-5");
	return 0;
}

int load_device_addrs(struct loader *l, struct loader_section s, struct ip_prefix *addrs,
		      uint8_t *n)
{
	const struct config_node *key = loader_key(l, s, "addrs");
	const char *list = key != NULL ? key->value : NULL;
	char item[IP_PREFIX_TEXT_MAX];
	bool too_long = false;

	while (value_next(&list, ",", item, sizeof(item), &too_long) != NULL) {
		struct ip_prefix p;

		if (too_long || ip_prefix_parse(item, &p) != 0)
			return config_node_error(
				l->err, -EINVAL, key,
				"'%s' is not an address with prefix length such as "
				"192.0.2.1/24",
				item);
		// Almost always a forgotten prefix length, and then nothing is reachable.
		if (strchr(item, '/') == NULL)
			return config_node_error(l->err, -EINVAL, key,
						 "'%s' has no prefix length; write %s/%d, say",
						 item, item, p.addr.family == IP_V6 ? 64 : 24);
		if (*n == CONFIG_ADDRS_MAX)
			return config_node_error(l->err, -EINVAL, key, "more than %d addresses",
						 CONFIG_ADDRS_MAX);
		addrs[(*n)++] = p;
	}
	return 0;
}

int load_device_name(struct loader *l, const struct config_node *n, const char *what)
{
	if (strlen(n->name) >= CONFIG_PORT_NAME_MAX)
		return config_node_error(l->err, -EINVAL, n,
					 "the name of %s has at most %d bytes: it names an "
					 "interface of Linux",
					 what, CONFIG_PORT_NAME_MAX - 1);
	for (const char *p = n->name; *p != '\0'; p++) {
		if (strchr("/%;\\'$`!&|<>()*?[]~^@", *p) != NULL || (unsigned char)*p >= 0x80)
			return config_node_error(l->err, -EINVAL, n,
						 "the name of %s is made of letters, digits, '-' "
						 "and '_': it names an interface of Linux",
						 what);
	}
	if (value_among(n->name, "lo all default none") || n->name[0] == '-')
		return config_node_error(l->err, -EINVAL, n,
					 "'%s' cannot name %s: Linux gives it another meaning",
					 n->name, what);
	return 0;
}

static int load_port(struct loader *l, const struct config_node *n)
{
	struct config_gateway *g = &l->config->gateway;
	struct loader_section s = {n, "gateway.ports.*"};
	struct config_port *port = &g->ports[g->n_ports++];
	const char *device = loader_text(l, s, "device");
	int rc = load_device_name(l, n, "a port");

	if (rc != 0)
		return rc;
	if (device == NULL)
		return config_node_error(l->err, -EINVAL, n,
					 "the device is missing; write device = 0000:01:00.1, or "
					 "device = net_af_packet0,iface=eth1");
	snprintf(port->name, sizeof(port->name), "%s", n->name);
	port->where = loader_where(l, n);
	port->mtu = (uint16_t)loader_number(l, s, "mtu");
	port->vlan = (uint16_t)loader_number(l, s, "vlan");
	port->device = strdup(device);
	if (port->device == NULL)
		return loader_no_memory(l);
	return load_device_addrs(l, s, port->addrs, &port->n_addrs);
}

static int load_ports(struct loader *l, const struct config_node *gateway)
{
	const struct config_node *ports =
		gateway != NULL ? config_node_find(l->tree, gateway, NODE_SECTION, "ports") : NULL;
	size_t n = loader_count_sections(ports);

	if (n == 0)
		return 0;
	l->config->gateway.ports = calloc(n, sizeof(struct config_port));
	if (l->config->gateway.ports == NULL)
		return loader_no_memory(l);
	for (const struct config_node *c = ports->first; c != NULL; c = c->next) {
		int rc = c->kind == NODE_SECTION ? load_port(l, c) : 0;

		if (rc != 0)
			return rc;
	}
	return 0;
}

static int load_ike_time(struct loader *l, struct loader_section s, const char *key,
			 uint64_t min_ms, uint64_t max_ms, uint64_t *out)
{
	*out = loader_time_ms(l, s, key);
	if (*out < min_ms || *out > max_ms)
		return config_node_error(l->err, -ERANGE, loader_place(l, s, key),
					 "%s: a time from %llu s to %llu s is wanted", key,
					 (unsigned long long)min_ms / 1000,
					 (unsigned long long)max_ms / 1000);
	return 0;
}

static int load_ike(struct loader *l, const struct config_node *gateway, struct config_ike *ike)
{
	struct loader_section s = {
		gateway != NULL ? config_node_find(l->tree, gateway, NODE_SECTION, "ike") : NULL,
		"gateway.ike"};
	const char *base = loader_text(l, s, "retransmit_base");
	char *end;
	int rc;

	ike->half_open = (unsigned)loader_number(l, s, "half_open");
	ike->half_open_per_source = (unsigned)loader_number(l, s, "half_open_per_source");
	ike->cookie_threshold = (unsigned)loader_number(l, s, "cookie_threshold");
	ike->cookie_threshold_per_source =
		(unsigned)loader_number(l, s, "cookie_threshold_per_source");
	ike->retransmit_tries = (unsigned)loader_number(l, s, "retransmit_tries");
	ike->keep_alive_ms = loader_time_ms(l, s, "keep_alive");
	ike->inactivity_close_ike = loader_bool(l, s, "inactivity_close_ike");
	ike->retransmit_base = strtod(base, &end);
	if (*end != '\0' || !(ike->retransmit_base >= 1 && ike->retransmit_base <= 10))
		return config_node_error(l->err, -EINVAL, loader_place(l, s, "retransmit_base"),
					 "'%s' is not a number from 1 to 10", base);
	rc = load_ike_time(l, s, "retransmit_timeout", 1000, 60000, &ike->retransmit_timeout_ms);
	if (rc == 0)
		rc = load_ike_time(l, s, "half_open_timeout", 1000, LIMIT_IKE_HALF_OPEN_MS_MAX,
				   &ike->half_open_timeout_ms);
	return rc;
}

static void load_guard(struct loader *l, const struct config_node *gateway,
		       struct config_guard *guard)
{
	const struct loader_section s = {
		gateway != NULL ? config_node_find(l->tree, gateway, NODE_SECTION, "guard") : NULL,
		"gateway.guard"};

	guard->enable = loader_bool(l, s, "enable");
	guard->peer_rate = (unsigned)loader_number(l, s, "peer_rate");
	guard->proven_rate = (unsigned)loader_number(l, s, "proven_rate");
	guard->stranger_rate = (unsigned)loader_number(l, s, "stranger_rate");
	guard->unknown_rate = (unsigned)loader_number(l, s, "unknown_rate");
	guard->v1_rate = (unsigned)loader_number(l, s, "v1_rate");
	guard->answer_rate = (unsigned)loader_number(l, s, "answer_rate");
}

int load_gateway(struct loader *l)
{
	struct config_gateway *g = &l->config->gateway;
	struct loader_section s = {
		config_node_find(l->tree, l->tree->root, NODE_SECTION, "gateway"), "gateway"};
	const char *socket = loader_text(l, s, "socket");
	const char *hugepages = loader_text(l, s, "hugepages");
	int rc;

	g->where = loader_where(l, s.node != NULL ? s.node : l->tree->root);
	rc = load_cpus(l, s, g);
	if (rc != 0)
		return rc;
	g->workers = (unsigned)loader_number(l, s, "workers");
	if (loader_key(l, s, "workers") == NULL && g->n_cpus != 0)
		g->workers = g->n_cpus;
	g->poll = strcmp(loader_text(l, s, "poll"), "busy") == 0 ? POLL_BUSY : POLL_ADAPTIVE;
	g->hugepages = strcmp(hugepages, "on") == 0    ? HUGEPAGES_ON
		       : strcmp(hugepages, "off") == 0 ? HUGEPAGES_OFF
						       : HUGEPAGES_AUTO;
	g->clamp_mss = loader_bool(l, s, "clamp_mss");
	g->memory_mb = (unsigned)loader_number(l, s, "memory");
	g->initiations = (unsigned)loader_number(l, s, "initiations");
	g->initiations_per_peer = (unsigned)loader_number(l, s, "initiations_per_peer");
	if (strncmp(socket, "unix://", 7) == 0) // as swanctl --uri writes it
		socket += 7;
	g->socket = strdup(socket);
	g->state_dir = strdup(loader_text(l, s, "state_dir"));
	g->eal_args = strdup(loader_text(l, s, "eal_args"));
	if (g->socket == NULL || g->state_dir == NULL || g->eal_args == NULL)
		return loader_no_memory(l);
	load_guard(l, s.node, &g->guard);
	rc = load_ike(l, s.node, &g->ike);
	if (rc == 0)
		rc = load_ports(l, s.node);
	return rc != 0 ? rc : load_ifaces(l, s.node);
}
