#include "control/cli/show.h"

#include <inttypes.h>
#include <string.h>

#include "control/cli/table.h"

#define LINE_MAX_LEN 2048

// The name Cisco's "show crypto ikev2 sa" has for a state.
static const char *cisco_state(const char *state)
{
	if (strcmp(state, "ESTABLISHED") == 0)
		return "READY";
	if (strcmp(state, "CREATED") == 0 || strcmp(state, "CONNECTING") == 0)
		return "IN-NEG";
	return "DELETE";
}

// "AES_GCM_16-128/PRF_HMAC_SHA2_256/CURVE_25519"; "-" while nothing is chosen.
static char *cipher_of(const struct node *sa, char *buf, size_t size)
{
	static const char *const keys[] = {"encr-alg", "integ-alg", "prf-alg", "dh-group"};
	size_t len = 0;

	snprintf(buf, size, "-");
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && len < size; i++) {
		const char *name = tree_text(sa, keys[i], NULL);
		const char *bits = i == 0 ? tree_text(sa, "encr-keysize", NULL) : NULL;

		if (name)
			len += (size_t)snprintf(buf + len, size - len, "%s%s%s%s", len ? "/" : "",
						name, bits ? "-" : "", bits ? bits : "");
	}
	return buf;
}

static char *age_of(const struct node *n, const char *key, char *buf, size_t size)
{
	if (!tree_get(n, key)) {
		snprintf(buf, size, "-");
		return buf;
	}
	return format_duration(tree_number(n, key), buf, size);
}

// Each event of a stream holds one section; calls fn for it.
static void each_entry(const struct node *root, const char *stream,
		       void (*fn)(struct table *t, const struct node *entry), struct table *t)
{
	const struct node *list = tree_get(root, stream);

	for (const struct node *ev = list ? list->first : NULL; ev; ev = ev->next)
		for (const struct node *entry = ev->first; entry; entry = entry->next)
			if (entry->kind == NODE_SECTION)
				fn(t, entry);
}

// Prints the table, or one sentence when it has no rows.
static void finish(struct table *t, FILE *out, const char *when_empty)
{
	if (t->failed)
		fputs("out of memory\n", out);
	else if (t->rows)
		table_print(t, out);
	else
		fprintf(out, "%s\n", when_empty);
	table_fini(t);
}

// ---- show ike ----

static void put_ike(struct table *t, const struct node *sa)
{
	const struct node *children = tree_get(sa, "child-sas");
	char cipher[256], age[FORMAT_TEXT_MAX];
	unsigned n = 0;

	for (const struct node *c = children ? children->first : NULL; c; c = c->next)
		n++;
	table_row(t);
	table_cell(t, "%s", tree_text(sa, "uniqueid", "-"));
	table_cell(t, "%s", sa->name);
	table_cell(t, "%s", tree_text(sa, "state", "-"));
	table_cell(t, "%s", cisco_state(tree_text(sa, "state", "")));
	table_cell(t, "%s", tree_get(sa, "initiator") ? "initiator" : "responder");
	table_cell(t, "%s[%s]", tree_text(sa, "local-host", "-"), tree_text(sa, "local-port", "-"));
	table_cell(t, "%s[%s]", tree_text(sa, "remote-host", "-"),
		   tree_text(sa, "remote-port", "-"));
	table_cell(t, "%s", age_of(sa, "established", age, sizeof(age)));
	table_cell(t, "%u", n);
	table_note(t, "%s === %s  %s%s%s", tree_text(sa, "local-id", "?"),
		   tree_text(sa, "remote-id", "?"), cipher_of(sa, cipher, sizeof(cipher)),
		   tree_get(sa, "nat-any") ? "  NAT" : "",
		   tree_get(sa, "mobike") ? "  MOBIKE" : "");
	table_note(t, "SPI %s_i%s %s_r%s", tree_text(sa, "initiator-spi", "-"),
		   tree_get(sa, "initiator") ? "*" : "", tree_text(sa, "responder-spi", "-"),
		   tree_get(sa, "initiator") ? "" : "*");
}

void show_ike(FILE *out, const struct node *root)
{
	static const char *const heads[] = {">ID",   "CONNECTION", "STATE", "ALIAS",	 "ROLE",
					    "LOCAL", "REMOTE",	   ">AGE",  ">CHILDREN", NULL};
	struct table t;

	table_init(&t, heads);
	each_entry(root, "list-sa", put_ike, &t);
	finish(&t, out, "no IKE SAs");
}

// ---- show child ----

// Seconds since the last packet in either direction; "-" when there was none.
static char *idle_of(const struct node *child, char *buf, size_t size)
{
	bool in = tree_get(child, "use-in"), out = tree_get(child, "use-out");
	uint64_t a = tree_number(child, "use-in"), b = tree_number(child, "use-out");

	if (!in && !out) {
		snprintf(buf, size, "-");
		return buf;
	}
	return format_duration(in && (!out || a < b) ? a : b, buf, size);
}

// `count` has the counters; `sa`, which may be NULL, the time since the last packet.
static void put_traffic(struct table *t, const struct node *count, const struct node *sa)
{
	char text[FORMAT_TEXT_MAX];

	table_cell(t, "%s", tree_text(count, "packets-in", "-"));
	table_cell(t, "%s", format_bytes(tree_number(count, "bytes-in"), text, sizeof(text)));
	table_cell(t, "%s", tree_text(count, "packets-out", "-"));
	table_cell(t, "%s", format_bytes(tree_number(count, "bytes-out"), text, sizeof(text)));
	table_cell(t, "%s", sa ? idle_of(sa, text, sizeof(text)) : "-");
}

static void put_child(struct table *t, const char *conn, const struct node *child)
{
	char local[LINE_MAX_LEN], remote[LINE_MAX_LEN], cipher[256], age[FORMAT_TEXT_MAX];

	table_row(t);
	table_cell(t, "%s", tree_text(child, "uniqueid", "-"));
	table_cell(t, "%s/%s", conn, tree_text(child, "name", "-"));
	table_cell(t, "%s", tree_text(child, "state", "-"));
	table_cell(t, "%s", tree_text(child, "spi-in", "-"));
	table_cell(t, "%s", tree_text(child, "spi-out", "-"));
	put_traffic(t, child, child);
	table_cell(t, "%s", age_of(child, "install-time", age, sizeof(age)));
	table_note(t, "%s === %s  ESP%s%s %s%s",
		   tree_join(tree_get(child, "local-ts"), local, sizeof(local)),
		   tree_join(tree_get(child, "remote-ts"), remote, sizeof(remote)),
		   strcmp(tree_text(child, "mode", ""), "TRANSPORT") == 0 ? " transport" : "",
		   tree_get(child, "encap") ? " in UDP" : "",
		   cipher_of(child, cipher, sizeof(cipher)), tree_get(child, "esn") ? "/ESN" : "");
	if (tree_get(child, "inner-mtu"))
		table_note(t, "packets of up to %s bytes fit", tree_text(child, "inner-mtu", "-"));
	if (tree_number(child, "replays") || tree_number(child, "auth-failures"))
		table_note(t, "replays %s, failed integrity checks %s",
			   tree_text(child, "replays", "0"),
			   tree_text(child, "auth-failures", "0"));
}

static void put_children(struct table *t, const struct node *sa)
{
	const struct node *children = tree_get(sa, "child-sas");

	for (const struct node *c = children ? children->first : NULL; c; c = c->next)
		put_child(t, sa->name, c);
}

void show_child(FILE *out, const struct node *root)
{
	static const char *const heads[] = {">ID",	  "CHILD",    "STATE",	   "SPI-IN",
					    "SPI-OUT",	  ">PKTS-IN", ">BYTES-IN", ">PKTS-OUT",
					    ">BYTES-OUT", ">IDLE",    ">AGE",	   NULL};
	struct table t;

	table_init(&t, heads);
	each_entry(root, "list-sa", put_children, &t);
	finish(&t, out, "no child SAs");
}

// ---- show policies, routes, ports, workers, drops ----

static const char *policy_action(const char *mode)
{
	if (strcmp(mode, "PASS") == 0)
		return "bypass";
	return strcmp(mode, "DROP") == 0 ? "discard" : "protect";
}

static void put_policy(struct table *t, const struct node *policy)
{
	char text[LINE_MAX_LEN];

	table_row(t);
	table_cell(t, "%s", policy->name);
	table_cell(t, "%s", policy_action(tree_text(policy, "mode", "")));
	table_cell(t, "%s", tree_join(tree_get(policy, "local-ts"), text, sizeof(text)));
	table_cell(t, "%s", tree_join(tree_get(policy, "remote-ts"), text, sizeof(text)));
	table_cell(t, "%s", strcmp(tree_text(policy, "trap", "no"), "yes") == 0 ? "trap" : "");
	// Behind a tunnel interface, else on one port, else on all.
	table_cell(t, "%s", tree_text(policy, "interface", tree_text(policy, "port", "")));
}

void show_policies(FILE *out, const struct node *root)
{
	static const char *const heads[] = {"POLICY",  "ACTION",    "LOCAL", "REMOTE",
					    "TRAFFIC", "INTERFACE", NULL};
	struct table t;

	table_init(&t, heads);
	each_entry(root, "list-policy", put_policy, &t);
	finish(&t, out, "no policies: nothing is forwarded between ports");
}

static void put_route(struct table *t, const struct node *route)
{
	bool on_link = tree_get(route, "on-link");

	table_row(t);
	table_cell(t, "%s", route->name);
	table_cell(t, "%s", tree_text(route, "port", "-"));
	table_cell(t, "%s", on_link ? "on link" : tree_text(route, "gateway", "-"));
	table_cell(t, "%s", on_link ? "" : tree_text(route, "mac", "not resolved"));
}

void show_routes(FILE *out, const struct node *root)
{
	static const char *const heads[] = {"DESTINATION", "PORT", "GATEWAY", "MAC", NULL};
	struct table t;

	table_init(&t, heads);
	each_entry(root, "show-route", put_route, &t);
	finish(&t, out, "no routes");
}

static char *speed_of(const struct node *port, char *buf, size_t size)
{
	uint64_t mbps = tree_number(port, "speed-mbps");

	if (!mbps)
		snprintf(buf, size, "-");
	else if (mbps % 1000 == 0)
		snprintf(buf, size, "%" PRIu64 "G", mbps / 1000);
	else
		snprintf(buf, size, "%" PRIu64 "M", mbps);
	return buf;
}

static void put_ports(struct table *t, const struct node *ports)
{
	char addrs[LINE_MAX_LEN], text[FORMAT_TEXT_MAX];

	for (const struct node *p = ports ? ports->first : NULL; p; p = p->next) {
		if (p->kind != NODE_SECTION)
			continue;
		table_row(t);
		table_cell(t, "%s", p->name);
		table_cell(t, "%s", tree_text(p, "link", "-"));
		table_cell(t, "%s", speed_of(p, text, sizeof(text)));
		table_cell(t, "%s", tree_text(p, "mtu", "-"));
		table_cell(t, "%s", tree_text(p, "rx-packets", "-"));
		table_cell(t, "%s", format_bytes(tree_number(p, "rx-bytes"), text, sizeof(text)));
		table_cell(t, "%s", tree_text(p, "tx-packets", "-"));
		table_cell(t, "%s", format_bytes(tree_number(p, "tx-bytes"), text, sizeof(text)));
		table_cell(t, "%s", tree_text(p, "rx-missed", "-"));
		table_cell(t, "%" PRIu64,
			   tree_number(p, "rx-errors") + tree_number(p, "tx-errors"));
		table_cell(t, "%s", tree_join(tree_get(p, "addrs"), addrs, sizeof(addrs)));
	}
}

static const char *const port_heads[] = {"PORT",     "LINK",	  "SPEED",     ">MTU",
					 ">RX-PKTS", ">RX-BYTES", ">TX-PKTS",  ">TX-BYTES",
					 ">MISSED",  ">ERRORS",	  "ADDRESSES", NULL};

static void put_xstats(struct table *t, const struct node *port)
{
	const struct node *xstats = tree_get(port, "xstats");

	for (const struct node *x = xstats ? xstats->first : NULL; x; x = x->next)
		table_note(t, "%s: %s %s", port->name, x->name, tree_text(xstats, x->name, "-"));
}

static const char *ike_queue_of(const struct node *port)
{
	const char *queue = tree_text(port, "ike-queue", "none");

	if (!strcmp(queue, "filter"))
		return ", a queue for strangers' IKE by Linux";
	return strcmp(queue, "nic") ? "" : ", a queue for strangers' IKE by the NIC";
}

void show_ports(FILE *out, const struct node *root)
{
	struct table t;

	table_init(&t, port_heads);
	put_ports(&t, root);
	for (const struct node *p = root->first; p; p = p->next)
		if (p->kind == NODE_SECTION)
			table_note(&t,
				   "%s: %s (%s)%s%s, MAC %s, Linux: %s packets to it, %s from it%s",
				   p->name, tree_text(p, "device", "?"),
				   tree_text(p, "driver", "?"),
				   tree_text(p, "vlan", NULL) ? ", VLAN " : "",
				   tree_text(p, "vlan", ""), tree_text(p, "mac", "?"),
				   tree_text(p, "to-linux-packets", "0"),
				   tree_text(p, "from-linux-packets", "0"), ike_queue_of(p));
	for (const struct node *p = root->first; p; p = p->next)
		put_xstats(&t, p);
	finish(&t, out, "no ports");
}

void show_interfaces(FILE *out, const struct node *root)
{
	static const char *const heads[] = {"INTERFACE",  ">IF-ID",    "LINK",	    ">MTU",
					    ">CHILDREN",  ">IN-PKTS",  ">IN-BYTES", ">OUT-PKTS",
					    ">OUT-BYTES", "ADDRESSES", NULL};
	char text[32], addrs[256];
	struct table t;

	table_init(&t, heads);
	for (const struct node *p = root->first; p; p = p->next) {
		if (p->kind != NODE_SECTION)
			continue;
		table_row(&t);
		table_cell(&t, "%s", p->name);
		table_cell(&t, "%s", tree_text(p, "if-id", "-"));
		table_cell(&t, "%s", tree_text(p, "link", "-"));
		table_cell(&t, "%s", tree_text(p, "mtu", "-"));
		table_cell(&t, "%s/%s", tree_text(p, "children-up", "-"),
			   tree_text(p, "children", "-"));
		table_cell(&t, "%s", tree_text(p, "in-packets", "-"));
		table_cell(&t, "%s", format_bytes(tree_number(p, "in-bytes"), text, sizeof(text)));
		table_cell(&t, "%s", tree_text(p, "out-packets", "-"));
		table_cell(&t, "%s", format_bytes(tree_number(p, "out-bytes"), text, sizeof(text)));
		table_cell(&t, "%s", tree_join(tree_get(p, "addrs"), addrs, sizeof(addrs)));
		table_note(&t, "%s: Linux: %s packets to it, %s from it", p->name,
			   tree_text(p, "to-linux-packets", "0"),
			   tree_text(p, "from-linux-packets", "0"));
	}
	finish(&t, out, "no tunnel interfaces");
}

void show_workers(FILE *out, const struct node *root)
{
	static const char *const heads[] = {">WORKER",	">LCORE",      ">CPU",	      ">BUSY",
					    ">PACKETS", ">PKTS/BATCH", ">CYCLES/PKT", ">ESP-IN",
					    ">ESP-OUT", ">DROPPED",    ">SLEEPS",     NULL};
	struct table t;

	table_init(&t, heads);
	for (const struct node *w = root->first; w; w = w->next) {
		double busy = (double)tree_number(w, "busy-cycles");
		double all = busy + (double)tree_number(w, "idle-cycles");
		double packets = (double)tree_number(w, "packets");
		double batches = (double)tree_number(w, "batches");

		if (w->kind != NODE_SECTION)
			continue;
		table_row(&t);
		table_cell(&t, "%s", w->name);
		table_cell(&t, "%s", tree_text(w, "lcore", "-"));
		table_cell(&t, "%s", tree_text(w, "cpu", "-"));
		table_cell(&t, "%.1f %%", all > 0 ? 100 * busy / all : 0.0);
		table_cell(&t, "%s", tree_text(w, "packets", "-"));
		table_cell(&t, "%.1f", batches > 0 ? packets / batches : 0.0);
		if (packets > 0) // of the busy ones
			table_cell(&t, "%.0f", busy / packets);
		else
			table_cell(&t, "-");
		table_cell(&t, "%s", tree_text(w, "esp-in-packets", "-"));
		table_cell(&t, "%s", tree_text(w, "esp-out-packets", "-"));
		table_cell(&t, "%s", tree_text(w, "dropped", "-"));
		table_cell(&t, "%s", tree_text(w, "sleeps", "-"));
	}
	finish(&t, out, "no workers");
}

void show_drops(FILE *out, const struct node *root, bool all)
{
	static const char *const heads[] = {"REASON", ">PACKETS", "MEANING", NULL};
	struct table t;

	table_init(&t, heads);
	for (const struct node *d = root->first; d; d = d->next) {
		if (d->kind != NODE_SECTION || (!all && tree_number(d, "packets") == 0))
			continue;
		table_row(&t);
		table_cell(&t, "%s", d->name);
		table_cell(&t, "%s", tree_text(d, "packets", "0"));
		table_cell(&t, "%s", tree_text(d, "help", ""));
	}
	finish(&t, out, "no packet was dropped");
}

// ---- status ----

static void print_head(FILE *out, const struct node *status)
{
	const struct node *config = tree_get(status, "config");
	const struct node *dp = tree_get(status, "dataplane");
	const char *note = tree_text(dp, "hugepages-note", NULL);
	const struct node *warnings = tree_get(config, "warnings");
	char up[FORMAT_TEXT_MAX];
	unsigned n = 0;

	fprintf(out, "%s %s, up %s (since %s), pid %s\n", tree_text(status, "daemon", "?"),
		tree_text(status, "version", "?"),
		format_duration(tree_number(status, "uptime"), up, sizeof(up)),
		tree_text(status, "since", "?"), tree_text(status, "pid", "?"));
	for (const struct node *w = warnings ? warnings->first : NULL; w; w = w->next)
		n++;
	fprintf(out, "configuration %s, loaded %s time%s", tree_text(config, "file", "?"),
		tree_text(config, "generation", "?"),
		tree_number(config, "generation") == 1 ? "" : "s");
	if (n)
		fprintf(out, ", %u warning%s", n, n == 1 ? "" : "s");
	fprintf(out, "\n%s, %s worker%s, hugepages: %s%s%s\n", tree_text(dp, "version", "?"),
		tree_text(dp, "workers", "?"), tree_number(dp, "workers") == 1 ? "" : "s",
		tree_text(dp, "hugepages", "?"), note ? "; " : "", note ? note : "");
}

// The child SA of that connection and name that was installed last, or NULL.
static const struct node *find_child(const struct node *root, const char *conn, const char *child)
{
	const struct node *list = tree_get(root, "list-sa"), *found = NULL;

	for (const struct node *ev = list ? list->first : NULL; ev; ev = ev->next) {
		const struct node *sas = tree_get(tree_get(ev, conn), "child-sas");

		for (const struct node *c = sas ? sas->first : NULL; c; c = c->next)
			if (strcmp(tree_text(c, "name", ""), child) == 0)
				found = c;
	}
	return found;
}

// Where the peer is: its address while an IKE SA exists, else what is configured.
static void put_peer(struct table *t, const struct node *root, const struct node *conn)
{
	const struct node *list = tree_get(root, "list-sa");
	char text[LINE_MAX_LEN];

	for (const struct node *ev = list ? list->first : NULL; ev; ev = ev->next) {
		const struct node *sa = tree_get(ev, conn->name);

		if (sa) {
			table_cell(t, "%s", tree_text(sa, "remote-host", "-"));
			return;
		}
	}
	table_cell(t, "%s", tree_join(tree_get(conn, "remote_addrs"), text, sizeof(text)));
}

// A tunnel that is down and that traffic brings up is "trapped".
static const char *child_state(const struct node *child)
{
	const char *state = tree_text(child, "state", "?");

	if (!tree_child_has_sa(child))
		return policy_action(tree_text(child, "mode", ""));
	if (strcmp(state, "down") == 0 && strcmp(tree_text(child, "trap", "no"), "yes") == 0)
		return "trapped";
	return state;
}

static void put_conn(struct table *t, const struct node *root, const struct node *conn)
{
	const char *error = tree_text(conn, "last-error", NULL);
	const struct node *children = tree_get(conn, "children");
	char ago[FORMAT_TEXT_MAX];

	table_row(t);
	table_cell(t, "%s", conn->name);
	table_cell(t, "%s", tree_text(conn, "state", "?"));
	put_peer(t, root, conn);
	if (error)
		table_note(t, "%s ago, %s: %s",
			   format_duration(tree_number(conn, "last-error-ago"), ago, sizeof(ago)),
			   tree_text(conn, "last-error-code", "?"), error);
	for (const struct node *c = children ? children->first : NULL; c; c = c->next) {
		const struct node *sa = find_child(root, conn->name, c->name);

		table_row(t);
		table_cell(t, "  %s", c->name);
		table_cell(t, "%s", child_state(c));
		if (!sa && !tree_number(c, "packets-in") && !tree_number(c, "packets-out"))
			continue;
		table_cell(t, "%s", "");
		put_traffic(t, tree_get(c, "packets-in") ? c : sa, sa);
	}
}

static void print_conns(FILE *out, const struct node *root)
{
	static const char *const heads[] = {"CONNECTION", "STATE",     "PEER",
					    ">PKTS-IN",	  ">BYTES-IN", ">PKTS-OUT",
					    ">BYTES-OUT", ">IDLE",     NULL};
	const struct node *list = tree_get(root, "show-conn");
	unsigned up = 0, n = 0;
	struct table t;

	table_init(&t, heads);
	for (const struct node *ev = list ? list->first : NULL; ev; ev = ev->next)
		for (const struct node *conn = ev->first; conn; conn = conn->next) {
			put_conn(&t, root, conn);
			n++;
			up += strcmp(tree_text(conn, "state", ""), "up") == 0;
		}
	finish(&t, out, "no connections are configured");
	if (n)
		fprintf(out, "\n%u of %u connection%s up\n", up, n, n == 1 ? "" : "s");
}

void show_status(FILE *out, const struct node *root)
{
	const struct node *status = tree_get(root, "status");
	const struct node *stranger = tree_get(status, "last-stranger");
	char ago[FORMAT_TEXT_MAX];
	struct table ports;

	print_head(out, status);
	putc('\n', out);
	table_init(&ports, port_heads);
	put_ports(&ports, tree_get(root, "ports"));
	finish(&ports, out, "no ports");
	putc('\n', out);
	print_conns(out, root);
	if (stranger)
		fprintf(out, "last refused, of no connection: %s ago, %s: %s\n",
			format_duration(tree_number(stranger, "error-ago"), ago, sizeof(ago)),
			tree_text(stranger, "error-code", "?"), tree_text(stranger, "error", "?"));
}
