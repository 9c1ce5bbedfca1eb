// The section `connections` (config/loader.h).
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/loader.h"
#include "config/value.h"

// One item of local_addrs or remote_addrs.
static int load_endpoint(struct loader *l, const struct config_node *key, const char *item,
			 bool names, struct config_endpoint *e)
{
	char text[CONFIG_SHOWN_MAX];
	int rc;

	rc = endpoint_parse(item, e);
	if (rc == -ENOMEM)
		return loader_no_memory(l);
	if (rc == -ERANGE)
		return config_node_error(l->err, -EINVAL, key,
					 "'%s': a range goes from a lower to a higher address",
					 config_shown(item, text, sizeof(text)));
	if (rc != 0)
		return config_node_error(l->err, -EINVAL, key,
					 "'%s' is not %%any, an address, a subnet, a range or a "
					 "host name",
					 config_shown(item, text, sizeof(text)));
	if (e->name != NULL && !names)
		return config_node_error(l->err, -ENOTSUP, key,
					 "'%s': our own addresses are numbers; host names are for "
					 "remote_addrs",
					 config_shown(item, text, sizeof(text)));
	return 0;
}

static int load_endpoints(struct loader *l, struct loader_section s, const char *name, bool names,
			  struct config_endpoint *list, unsigned *n)
{
	const struct config_node *key = loader_key(l, s, name);
	const char *text = key != NULL ? key->value : NULL;
	char item[256];
	bool too_long = false;

	while (value_next(&text, ",", item, sizeof(item), &too_long) != NULL) {
		int rc;

		if (*n == CONFIG_ENDPOINTS_MAX)
			return config_node_error(l->err, -EINVAL, key, "more than %d addresses",
						 CONFIG_ENDPOINTS_MAX);
		rc = load_endpoint(l, key, item, names, &list[*n]);
		(*n)++; // freed with the configuration, error or not
		if (rc != 0)
			return rc;
	}
	return 0;
}

// ---- authentication ----

// The only section whose name begins with `prefix`; a second one would be a second round.
static int find_side(struct loader *l, const struct config_node *conn, const char *prefix,
		     const struct config_node **side)
{
	*side = NULL;
	for (const struct config_node *c = conn->first; c != NULL; c = c->next) {
		if (c->kind != NODE_SECTION || strncmp(c->name, prefix, strlen(prefix)) != 0)
			continue;
		if (*side != NULL)
			return config_node_error(l->err, -ENOTSUP, c,
						 "a second round of authentication (after '%s') is "
						 "not available",
						 (*side)->name);
		*side = c;
	}
	return 0;
}

static int load_side(struct loader *l, const struct config_node *conn, const char *prefix,
		     const char *pattern, struct config_side *side)
{
	struct loader_section s = {NULL, pattern};
	const struct config_node *id;
	int rc;

	rc = find_side(l, conn, prefix, &s.node);
	if (rc == 0)
		rc = load_auth(l, s.node, strcmp(prefix, "local") == 0, side);
	id = loader_key(l, s, "id");
	if (rc == 0 && id != NULL)
		rc = loader_identity(l, id, strcmp(prefix, "remote") == 0, &side->id);
	return rc;
}

// A tunnel needs to know how we authenticate, and by what.
static int require_auth(struct loader *l, const struct config_node *n, const struct config_conn *c)
{
	const struct config_node *local;
	int rc = find_side(l, n, "local", &local);

	if (rc != 0)
		return rc;
	if (local == NULL)
		return config_node_error(
			l->err, -EINVAL, n,
			"the section 'local' is missing; write local { auth = psk } or local { "
			"certs = FILE }");
	if (c->local_side.auth.kind == AUTH_BY_SIGNATURE && c->local_side.certs.n == 0)
		return config_node_error(
			l->err, -EINVAL, local,
			"our certificate is missing; write certs = FILE, or auth = "
			"psk");
	return 0;
}

// ---- connections ----

int loader_proposals(struct loader *l, struct loader_section s, const char *name,
		     enum protocol_id protocol, struct proposal_list *out)
{
	const struct config_node *key = loader_key(l, s, name);
	const char *text = loader_text(l, s, name);
	char item[512];
	bool too_long = false;

	while (value_next(&text, ",", item, sizeof(item), &too_long) != NULL) {
		struct proposal_list more = {.n = 1};
		struct error why;
		int rc;

		if (too_long)
			return config_node_error(l->err, -EINVAL, key, "a proposal is too long");
		if (strcmp(item, "default") == 0) {
			proposal_defaults(protocol, &more);
		} else {
			rc = proposal_parse(item, protocol, &more.p[0], &why);
			if (rc != 0)
				return config_node_error(l->err, rc, key, "%s", why.text);
		}
		if (out->n + more.n > PROPOSALS_MAX)
			return config_node_error(l->err, -EINVAL, key != NULL ? key : s.node,
						 "more than %d proposals", PROPOSALS_MAX);
		for (uint8_t i = 0; i < more.n; i++)
			out->p[out->n++] = more.p[i];
	}
	if (out->n == 0)
		return config_node_error(l->err, -EINVAL, key != NULL ? key : s.node,
					 "no proposal");
	return 0;
}

static void load_fragmentation(struct loader *l, struct loader_section s, struct config_conn *c)
{
	const char *how = loader_text(l, s, "fragmentation");

	// force differs from yes in IKEv1 only, as with strongSwan.
	c->fragmentation = strcmp(how, "no") == 0	? FRAGMENT_NO
			   : strcmp(how, "accept") == 0 ? FRAGMENT_ACCEPT
							: FRAGMENT_YES;
	c->fragment_size = (uint16_t)loader_number(l, s, "fragment_size");
}

// What chance may take off a time: rand_time, which leaves half of a time that is not longer.
static uint64_t rand_of(struct loader *l, struct loader_section s, uint64_t time_ms)
{
	uint64_t rand;

	if (loader_key(l, s, "rand_time") == NULL)
		return time_ms / 10;
	rand = loader_time_ms(l, s, "rand_time");
	return rand < time_ms ? rand : time_ms / 2;
}

static void load_times(struct loader *l, struct loader_section s, struct config_conn *c)
{
	uint64_t longer;

	c->dpd_delay_ms = loader_time_ms(l, s, "dpd_delay");
	c->reauth_time_ms = loader_time_ms(l, s, "reauth_time");
	c->rekey_time_ms = loader_time_ms(l, s, "rekey_time");
	// As strongSwan: who asks for reauthentication alone gets no rekeying.
	if (c->reauth_time_ms != 0 && loader_key(l, s, "rekey_time") == NULL)
		c->rekey_time_ms = 0;
	longer = c->rekey_time_ms > c->reauth_time_ms ? c->rekey_time_ms : c->reauth_time_ms;
	c->over_time_ms = loader_key(l, s, "over_time") != NULL ? loader_time_ms(l, s, "over_time")
								: longer / 10;
	c->rekey_rand_ms = rand_of(l, s, c->rekey_time_ms);
	c->reauth_rand_ms = rand_of(l, s, c->reauth_time_ms);
}

static int load_fallback(struct loader *l, struct loader_section s, struct config_conn *c)
{
	const char *text = loader_text(l, s, "on_500_blocked");
	char shown[CONFIG_SHOWN_MAX];
	uint64_t port;

	c->fallback_port = 0;
	if (strcmp(text, "report") == 0)
		return 0;
	if (strcmp(text, "try_4500") == 0)
		port = 4500;
	else if (value_uint(text, 1, UINT16_MAX, &port) != 0 || port == 500)
		return config_node_error(l->err, -EINVAL, loader_place(l, s, "on_500_blocked"),
					 "'%s' is none of report, try_4500 and a port other than "
					 "500",
					 config_shown(text, shown, sizeof(shown)));
	if (c->remote_port != 500)
		return config_node_error(l->err, -EINVAL, loader_place(l, s, "on_500_blocked"),
					 "goes with remote_port = 500 alone, and here that is %u",
					 c->remote_port);
	c->fallback_port = (uint16_t)port;
	return 0;
}

static enum config_unique unique_of(const char *text)
{
	return strcmp(text, "never") == 0     ? UNIQUE_NEVER
	       : strcmp(text, "keep") == 0    ? UNIQUE_KEEP
	       : strcmp(text, "replace") == 0 ? UNIQUE_REPLACE
					      : UNIQUE_NO;
}

static int load_children(struct loader *l, const struct config_node *n, struct config_conn *c)
{
	const struct config_node *children = config_node_find(l->tree, n, NODE_SECTION, "children");
	size_t count = loader_count_sections(children);
	bool tunnel = false;

	if (count == 0)
		return loader_warn(l, n, "has no children: nothing is protected");
	c->children = calloc(count, sizeof(*c->children));
	if (c->children == NULL)
		return loader_no_memory(l);
	for (const struct config_node *i = children->first; i != NULL; i = i->next) {
		struct config_child *child = &c->children[c->n_children];
		int rc;

		if (i->kind != NODE_SECTION)
			continue;
		rc = load_child(l, i, child);
		if (rc != 0)
			return rc;
		c->n_children++;
		tunnel |= config_mode_has_sa(child->mode);
	}
	// A connection of nothing but rules needs no authentication.
	return tunnel ? require_auth(l, n, c) : 0;
}

static int load_conn(struct loader *l, const struct config_node *n, struct config_conn *c)
{
	struct loader_section s = {n, "connections.*"};
	int rc;

	rc = loader_copy_name(l, n, c->name, sizeof(c->name), "connection");
	if (rc != 0)
		return rc;
	c->where = loader_where(l, n);
	c->version = (uint8_t)loader_number(l, s, "version");
	c->local_port = 500;
	c->remote_port = (uint16_t)loader_number(l, s, "remote_port");
	c->encap = loader_bool(l, s, "encap");
	c->mobike = loader_bool(l, s, "mobike");
	c->send_certreq = loader_bool(l, s, "send_certreq");
	c->send_cert = strcmp(loader_text(l, s, "send_cert"), "always") == 0  ? CERTS_ALWAYS
		       : strcmp(loader_text(l, s, "send_cert"), "never") == 0 ? CERTS_NEVER
									      : CERTS_IFASKED;
	c->keyingtries = (unsigned)loader_number(l, s, "keyingtries");
	c->unique = unique_of(loader_text(l, s, "unique"));
	load_fragmentation(l, s, c);
	load_times(l, s, c);
	c->local_side.auth.kind = AUTH_BY_SIGNATURE; // strongSwan's default: pubkey
	rc = load_endpoints(l, s, "local_addrs", false, c->local, &c->n_local);
	if (rc == 0)
		rc = load_endpoints(l, s, "remote_addrs", true, c->remote, &c->n_remote);
	if (rc == 0)
		rc = load_fallback(l, s, c);
	if (rc == 0)
		rc = loader_proposals(l, s, "proposals", PROTO_IKE, &c->ike);
	if (rc == 0)
		rc = load_side(l, n, "local", "connections.*.local*", &c->local_side);
	c->remote_side.auth.kind = c->local_side.auth.kind;
	if (rc == 0)
		rc = load_side(l, n, "remote", "connections.*.remote*", &c->remote_side);
	if (rc == 0)
		rc = load_if_id(l, s, &c->if_id);
	if (rc == 0)
		rc = load_children(l, n, c);
	return rc;
}

int load_connections(struct loader *l)
{
	const struct config_node *connections =
		config_node_find(l->tree, l->tree->root, NODE_SECTION, "connections");
	size_t n = loader_count_sections(connections);

	if (n == 0)
		return 0;
	l->config->conns = calloc(n, sizeof(struct config_conn));
	if (l->config->conns == NULL)
		return loader_no_memory(l);
	for (const struct config_node *c = connections->first; c != NULL; c = c->next) {
		int rc;

		if (c->kind != NODE_SECTION)
			continue;
		rc = load_conn(l, c, &l->config->conns[l->config->n_conns++]);
		if (rc != 0)
			return rc;
	}
	return 0;
}
