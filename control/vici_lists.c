#include "control/vici_lists.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/daemon.h"
#include "control/vici_events.h"
#include "control/vici_sa.h"
#include "lib/log.h"

// Starts a list with the filters most of them take.
static enum vici_outcome start_list(struct vici_session *s, const struct vici_request *req,
				    struct vici_stream st, struct vici_builder *reply)
{
	if (!vici_request_text(req, "ike", st.ike, sizeof(st.ike)) ||
	    !vici_request_text(req, "child", st.child, sizeof(st.child)) ||
	    !vici_request_id(req, "ike-id", &st.ike_id) ||
	    !vici_request_id(req, "child-id", &st.child_id)) {
		free(st.snapshot);
		vici_reply_result(reply, "malformed filter");
		return VICI_REPLY;
	}
	s->stream = st;
	return vici_session_stream(s);
}

static bool name_fits(const char *filter, const char *name)
{
	return !*filter || strcmp(filter, name) == 0;
}

// ---- list-sas ----

struct sas_pass {
	struct vici_session *s;
	struct vici_stream *st;
	bool more; // stopped because the client's buffer is full
};

static bool put_sa(void *ctx, const struct ike_run_sa *sa)
{
	struct sas_pass *pass = ctx;
	struct vici_stream *st = pass->st;
	struct vici_builder b = {0};
	struct ike_run_child child;

	if (vici_session_full(pass->s)) {
		pass->more = true;
		return false;
	}
	st->cursor = sa->id;
	if (!name_fits(st->ike, vici_sa_name(sa)) || (st->ike_id && st->ike_id != sa->id))
		return true;
	vici_section(&b, vici_sa_name(sa));
	vici_sa_ike(&b, sa, 0);
	vici_section(&b, "child-sas");
	for (size_t i = 0; ike_run_child(pass->s->server->d->ike, sa->id, i, &child) == 0; i++)
		if (name_fits(st->child, child.info.conf->name) &&
		    (!st->child_id || st->child_id == child.id))
			vici_sa_child(&b, &child, 0);
	vici_section_end(&b);
	vici_section_end(&b);
	vici_session_event(pass->s, VICI_EV_LIST_SA, &b);
	return true;
}

static bool next_sas(struct vici_session *s, struct vici_stream *st)
{
	const struct ike_run_select sel = {.conn = *st->ike ? st->ike : NULL, .ike_id = st->ike_id};
	struct sas_pass pass = {.s = s, .st = st};

	// The cursor is the id of the SA sent last: they come in order of id.
	if (ike_run_each(s->server->d->ike, &sel, (uint32_t)st->cursor, put_sa, &pass))
		log_error(LOG_API, "list-sas ends early: out of memory");
	return !pass.more;
}

enum vici_outcome vici_run_list_sas(struct vici_session *s, const struct vici_request *req,
				    struct vici_builder *reply)
{
	return start_list(s, req, (struct vici_stream){.next = next_sas}, reply);
}

// ---- list-conns ----

static void put_endpoints(struct vici_builder *b, const char *key, const struct config_endpoint *e,
			  unsigned n)
{
	char text[ENDPOINT_TEXT_MAX];

	vici_list(b, key);
	if (n == 0)
		vici_item(b, "%any");
	for (unsigned i = 0; i < n; i++)
		vici_item(b, endpoint_format(&e[i], text, sizeof(text)));
	vici_list_end(b);
}

static void put_side(struct vici_builder *b, const char *name, const struct config_side *side)
{
	char text[IDENTITY_TEXT_MAX];

	vici_section(b, name);
	vici_kv(b, "class", side->auth.kind == AUTH_BY_PSK ? "pre-shared key" : "public key");
	if (side->id.type != ID_ANY)
		vici_kv(b, "id", identity_format(&side->id, text, sizeof(text)));
	vici_section_end(b);
}

static const char *mode_name(enum config_mode mode)
{
	switch (mode) {
	case MODE_PASS:
		return "PASS";
	case MODE_DROP:
		return "DROP";
	case MODE_TRANSPORT:
		return "TRANSPORT";
	case MODE_TUNNEL:
		break;
	}
	return "TUNNEL";
}

static const char *unique_name(enum config_unique unique) // strongSwan's words
{
	switch (unique) {
	case UNIQUE_NEVER:
		return "UNIQUE_NEVER";
	case UNIQUE_KEEP:
		return "UNIQUE_KEEP";
	case UNIQUE_REPLACE:
		return "UNIQUE_REPLACE";
	case UNIQUE_NO:
		break;
	}
	return "UNIQUE_NO";
}

static const char *dead_name(enum config_dead action)
{
	if (action == DEAD_START)
		return "start";
	return action == DEAD_TRAP ? "trap" : "none";
}

static void put_child_conf(struct vici_builder *b, const struct config_child *child)
{
	vici_section(b, child->name);
	vici_kv(b, "mode", mode_name(child->mode));
	vici_kvf(b, "rekey_time", "%" PRIu64, child->rekey_time_ms / 1000);
	vici_kvf(b, "rekey_bytes", "%" PRIu64, child->bytes.rekey);
	vici_kvf(b, "rekey_packets", "%" PRIu64, child->packets.rekey);
	vici_kv(b, "dpd_action", dead_name(child->dpd_action));
	vici_kv(b, "close_action", dead_name(child->close_action));
	vici_kv(b, "start_action", config_start_name(child->start_action));
	vici_sa_selectors(b, "local-ts", &child->local_ts, &child->local_dynamic);
	vici_sa_selectors(b, "remote-ts", &child->remote_ts, &child->remote_dynamic);
	vici_section_end(b);
}

static void put_conn(struct vici_session *s, const struct config_conn *conn)
{
	struct vici_builder b = {0};

	vici_section(&b, conn->name);
	put_endpoints(&b, "local_addrs", conn->local, conn->n_local);
	put_endpoints(&b, "remote_addrs", conn->remote, conn->n_remote);
	vici_kvf(&b, "local_port", "%u", (unsigned)conn->local_port);
	vici_kvf(&b, "remote_port", "%u", (unsigned)conn->remote_port);
	vici_kv(&b, "version", "IKEv2");
	vici_kvf(&b, "reauth_time", "%" PRIu64, conn->reauth_time_ms / 1000);
	vici_kvf(&b, "rekey_time", "%" PRIu64, conn->rekey_time_ms / 1000);
	vici_kv(&b, "unique", unique_name(conn->unique));
	vici_kvf(&b, "dpd_delay", "%" PRIu64, conn->dpd_delay_ms / 1000);
	put_side(&b, "local-1", &conn->local_side);
	put_side(&b, "remote-1", &conn->remote_side);
	vici_section(&b, "children");
	for (size_t i = 0; i < conn->n_children; i++)
		put_child_conf(&b, &conn->children[i]);
	vici_section_end(&b);
	vici_section_end(&b);
	vici_session_event(s, VICI_EV_LIST_CONN, &b);
}

// The cursor is an index into the running configuration. A reload in between may make the list
// miss a connection or show one twice, never more than that.
static bool next_conns(struct vici_session *s, struct vici_stream *st)
{
	const struct config *config = s->server->d->config;

	for (; st->cursor < config->n_conns; st->cursor++) {
		const struct config_conn *conn = &config->conns[st->cursor];

		if (vici_session_full(s))
			return false;
		if (name_fits(st->ike, conn->name))
			put_conn(s, conn);
	}
	return true;
}

enum vici_outcome vici_run_list_conns(struct vici_session *s, const struct vici_request *req,
				      struct vici_builder *reply)
{
	return start_list(s, req, (struct vici_stream){.next = next_conns}, reply);
}

// ---- list-policies ----

enum { // of vici_stream.flags
	POLICY_TRAP = 1 << 0,
	POLICY_PASS = 1 << 1,
	POLICY_DROP = 1 << 2,
};

static unsigned policy_flag(enum config_mode mode)
{
	switch (mode) {
	case MODE_PASS:
		return POLICY_PASS;
	case MODE_DROP:
		return POLICY_DROP;
	case MODE_TUNNEL:
	case MODE_TRANSPORT:
		break;
	}
	return POLICY_TRAP;
}

// Is a child of the connection at the cursor initiated by traffic?
static const char *trap_name(const struct vici_session *s, const struct vici_stream *st,
			     const struct config_child *child)
{
	return ike_run_is_trapped(s->server->d->ike, st->cursor, child->name) ? "yes" : "no";
}

static void put_policy(struct vici_session *s, const struct vici_stream *st,
		       const struct config_conn *conn, const struct config_child *child)
{
	char name[2 * CONFIG_NAME_MAX];
	struct vici_builder b = {0};

	snprintf(name, sizeof(name), "%s/%s", conn->name, child->name);
	vici_section(&b, name);
	vici_kv(&b, "child", child->name);
	vici_kv(&b, "ike", conn->name);
	vici_kv(&b, "mode", mode_name(child->mode));
	if (config_mode_has_sa(child->mode))
		vici_kv(&b, "trap", trap_name(s, st, child));
	if (child->priority)
		vici_kvf(&b, "priority", "%u", child->priority);
	if (child->iface[0])
		vici_kv(&b, "interface", child->iface);
	if (child->port[0])
		vici_kv(&b, "port", child->port);
	vici_sa_selectors(&b, "local-ts", &child->local_ts, &child->local_dynamic);
	vici_sa_selectors(&b, "remote-ts", &child->remote_ts, &child->remote_dynamic);
	vici_section_end(&b);
	vici_session_event(s, VICI_EV_LIST_POLICY, &b);
}

static bool next_policies(struct vici_session *s, struct vici_stream *st)
{
	const struct config *config = s->server->d->config;

	for (; st->cursor < config->n_conns; st->cursor++) {
		const struct config_conn *conn = &config->conns[st->cursor];

		if (vici_session_full(s))
			return false;
		if (!name_fits(st->ike, conn->name))
			continue;
		for (size_t i = 0; i < conn->n_children; i++)
			if (name_fits(st->child, conn->children[i].name) &&
			    (st->flags & policy_flag(conn->children[i].mode)))
				put_policy(s, st, conn, &conn->children[i]);
	}
	return true;
}

enum vici_outcome vici_run_list_policies(struct vici_session *s, const struct vici_request *req,
					 struct vici_builder *reply)
{
	struct vici_stream st = {.next = next_policies};

	if (vici_request_bool(req, "trap"))
		st.flags |= POLICY_TRAP;
	if (vici_request_bool(req, "pass"))
		st.flags |= POLICY_PASS;
	if (vici_request_bool(req, "drop"))
		st.flags |= POLICY_DROP;
	return start_list(s, req, st, reply);
}

// ---- show-conns: what is configured, whether it is up, and why not ----

struct conn_state {
	char conn[IKE_NAME_MAX], child[IKE_NAME_MAX]; // child "" for the IKE SA
	enum ike_state state;
};

struct state_list {
	struct ike_run *run;
	struct conn_state *a;
	size_t n, cap;
	bool failed;
};

static int compare_states(const void *a, const void *b)
{
	const struct conn_state *x = a, *y = b;
	int order = strcmp(x->conn, y->conn);

	return order ? order : strcmp(x->child, y->child);
}

static void add_state(struct state_list *list, const char *conn, const char *child,
		      enum ike_state state)
{
	struct conn_state *st;

	if (list->n == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 64;

		st = realloc(list->a, cap * sizeof(*st));
		if (!st) {
			list->failed = true;
			return;
		}
		list->a = st;
		list->cap = cap;
	}
	st = &list->a[list->n++];
	snprintf(st->conn, sizeof(st->conn), "%s", conn);
	snprintf(st->child, sizeof(st->child), "%s", child);
	st->state = state;
}

static bool collect_state(void *ctx, const struct ike_run_sa *sa)
{
	struct state_list *list = ctx;
	struct ike_run_child child;

	add_state(list, vici_sa_name(sa), "", sa->info.state);
	if (!ike_state_is_up(sa->info.state))
		return true;
	for (size_t i = 0; ike_run_child(list->run, sa->id, i, &child) == 0; i++)
		add_state(list, vici_sa_name(sa), child.info.conf->name, IKE_ST_ESTABLISHED);
	return true;
}

// "up" when one such SA is established, "connecting" when one is on its way, else "down".
static const char *state_of(const struct vici_stream *st, const char *conn, const char *child)
{
	const struct conn_state *all = st->snapshot, *end = all + st->n, *at;
	const char *state = "down";
	struct conn_state key;

	if (!st->n)
		return state;
	snprintf(key.conn, sizeof(key.conn), "%s", conn);
	snprintf(key.child, sizeof(key.child), "%s", child);
	at = bsearch(&key, all, st->n, sizeof(key), compare_states);
	while (at && at > all && compare_states(at - 1, &key) == 0)
		at--;
	for (; at && at < end && compare_states(at, &key) == 0; at++) {
		if (at->state == IKE_ST_ESTABLISHED)
			return "up";
		if (at->state == IKE_ST_CREATED || at->state == IKE_ST_CONNECTING)
			state = "connecting";
	}
	return state;
}

// Over all SAs that the child has had, while list-sas shows each by itself.
static void put_totals(struct vici_builder *b, const struct daemon *d, size_t conn,
		       const char *child)
{
	struct dp_tunnel_totals t;

	if (dp_tunnel_totals(d->dp, ike_run_tunnel_at(d->ike, conn, child), &t))
		return;
	vici_kvf(b, "bytes-in", "%" PRIu64, t.in_bytes);
	vici_kvf(b, "packets-in", "%" PRIu64, t.in_packets);
	vici_kvf(b, "bytes-out", "%" PRIu64, t.out_bytes);
	vici_kvf(b, "packets-out", "%" PRIu64, t.out_packets);
	vici_kvf(b, "replays", "%" PRIu64, t.replays);
	vici_kvf(b, "auth-failures", "%" PRIu64, t.auth_failures);
}

static void put_show_conn(struct vici_session *s, const struct vici_stream *st,
			  const struct config_conn *conn)
{
	const struct vici_failure *f = vici_events_failure(s->server->events, conn->name);
	const char *state = state_of(st, conn->name, "");
	struct vici_builder b = {0};

	vici_section(&b, conn->name);
	vici_kv(&b, "state", state);
	put_endpoints(&b, "local_addrs", conn->local, conn->n_local);
	put_endpoints(&b, "remote_addrs", conn->remote, conn->n_remote);
	if (f) {
		vici_kv(&b, "last-error", f->text);
		vici_kv(&b, "last-error-code", ike_report_code_name(f->code));
		vici_kvf(&b, "last-error-ago", "%" PRIu64, (daemon_now_ms() - f->at_ms) / 1000);
	}
	vici_section(&b, "children");
	for (size_t i = 0; i < conn->n_children; i++) {
		const struct config_child *child = &conn->children[i];
		bool tunnel = config_mode_has_sa(child->mode);

		vici_section(&b, child->name);
		vici_kv(&b, "mode", mode_name(child->mode));
		vici_kv(&b, "state", tunnel ? state_of(st, conn->name, child->name) : "up");
		vici_kv(&b, "start_action", config_start_name(child->start_action));
		if (tunnel)
			vici_kv(&b, "trap", trap_name(s, st, child));
		if (tunnel)
			put_totals(&b, s->server->d, st->cursor, child->name);
		if (child->iface[0])
			vici_kv(&b, "interface", child->iface);
		if (child->port[0])
			vici_kv(&b, "port", child->port);
		vici_sa_selectors(&b, "local-ts", &child->local_ts, &child->local_dynamic);
		vici_sa_selectors(&b, "remote-ts", &child->remote_ts, &child->remote_dynamic);
		vici_section_end(&b);
	}
	vici_section_end(&b);
	vici_section_end(&b);
	vici_session_event(s, VICI_EV_SHOW_CONN, &b);
}

static bool next_show_conns(struct vici_session *s, struct vici_stream *st)
{
	const struct config *config = s->server->d->config;

	for (; st->cursor < config->n_conns; st->cursor++) {
		const struct config_conn *conn = &config->conns[st->cursor];

		if (vici_session_full(s))
			return false;
		if (name_fits(st->ike, conn->name))
			put_show_conn(s, st, conn);
	}
	return true;
}

enum vici_outcome vici_run_show_conns(struct vici_session *s, const struct vici_request *req,
				      struct vici_builder *reply)
{
	struct state_list list = {.run = s->server->d->ike};

	ike_run_each(list.run, NULL, 0, collect_state, &list);
	if (list.failed) {
		free(list.a);
		vici_reply_result(reply, "out of memory");
		return VICI_REPLY;
	}
	if (list.n)
		qsort(list.a, list.n, sizeof(*list.a), compare_states);
	return start_list(
		s, req,
		(struct vici_stream){.next = next_show_conns, .snapshot = list.a, .n = list.n},
		reply);
}

// ---- show-routes ----

static void put_route(struct vici_session *s, const struct dp_route_info *r)
{
	char dst[IP_PREFIX_TEXT_MAX], gateway[IP_ADDR_TEXT_MAX], mac[MAC_ADDR_TEXT_MAX];
	const char *iface = dp_iface_name(s->server->d->dp, r->route.port);
	struct dp_port_info port;
	struct vici_builder b = {0};

	vici_section(&b, ip_prefix_format(&r->route.dst, dst, sizeof(dst)));
	if (dp_port_info(s->server->d->dp, r->route.port, &port) == 0)
		vici_kv(&b, "port", port.name);
	else if (iface)
		vici_kv(&b, "port", iface);
	if (r->route.gateway.family == IP_NONE) {
		vici_kv(&b, "on-link", "yes");
	} else {
		vici_kv(&b, "gateway", ip_addr_format(&r->route.gateway, gateway, sizeof(gateway)));
		vici_kv(&b, "resolved", r->resolved ? "yes" : "no");
		if (r->resolved)
			vici_kv(&b, "mac", mac_addr_format(&r->mac, mac, sizeof(mac)));
	}
	vici_section_end(&b);
	vici_session_event(s, VICI_EV_SHOW_ROUTE, &b);
}

static bool next_routes(struct vici_session *s, struct vici_stream *st)
{
	const struct dp_route_info *routes = st->snapshot;

	for (; st->cursor < st->n; st->cursor++) {
		if (vici_session_full(s))
			return false;
		put_route(s, &routes[st->cursor]);
	}
	return true;
}

enum vici_outcome vici_run_show_routes(struct vici_session *s, const struct vici_request *req,
				       struct vici_builder *reply)
{
	const struct dp *dp = s->server->d->dp;
	size_t n = dp_routes(dp, NULL, 0);
	struct dp_route_info *routes = calloc(n ? n : 1, sizeof(*routes));
	size_t copied;

	(void)req;
	if (!routes) {
		vici_reply_result(reply, "out of memory");
		return VICI_REPLY;
	}
	copied = dp_routes(dp, routes, n);
	s->stream = (struct vici_stream){
		.next = next_routes,
		.snapshot = routes,
		.n = copied < n ? copied : n,
	};
	return vici_session_stream(s);
}
