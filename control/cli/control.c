// up, down, rekey and reload.
#include <stdlib.h>
#include <string.h>

#include "control/cli/cli.h"
#include "control/cli/json.h"
#include "control/cli/table.h"
#include "lib/suggest.h"

#define NAME_MAX_LEN 256

enum {
	GRACE_MS = 5000, // beyond the daemon's own timeout
	RELOAD_TIMEOUT_MS = 60000,
};

// What an argument names. Empty members are not given.
struct target {
	char conn[NAME_MAX_LEN], child[NAME_MAX_LEN];
};

static bool succeeded(const struct node *reply)
{
	return strcmp(tree_text(reply, "success", "no"), "yes") == 0;
}

static const struct node *find_conn(const struct node *conns, const char *name)
{
	const struct node *list = tree_get(conns, "list-conn");

	for (const struct node *ev = list ? list->first : NULL; ev; ev = ev->next)
		if (tree_get(ev, name))
			return tree_get(ev, name);
	return NULL;
}

// The connection that has a child of that name, or NULL.
static const struct node *find_owner(const struct node *conns, const char *child)
{
	const struct node *list = tree_get(conns, "list-conn");

	for (const struct node *ev = list ? list->first : NULL; ev; ev = ev->next)
		for (const struct node *conn = ev->first; conn; conn = conn->next)
			if (tree_get(tree_get(conn, "children"), child))
				return conn;
	return NULL;
}

static size_t count_names(const struct node *conns)
{
	const struct node *list = tree_get(conns, "list-conn");
	size_t n = 0;

	for (const struct node *ev = list ? list->first : NULL; ev; ev = ev->next)
		for (const struct node *conn = ev->first; conn; conn = conn->next) {
			const struct node *children = tree_get(conn, "children");

			n++;
			for (const struct node *c = children ? children->first : NULL; c;
			     c = c->next)
				n++;
		}
	return n;
}

static int unknown_name(const struct node *conns, const char *name)
{
	const struct node *list = tree_get(conns, "list-conn");
	const char **names = calloc(count_names(conns) + 1, sizeof(*names));
	const char *nearest;
	size_t n = 0;

	for (const struct node *ev = list && names ? list->first : NULL; ev; ev = ev->next)
		for (const struct node *conn = ev->first; conn; conn = conn->next) {
			const struct node *children = tree_get(conn, "children");

			names[n++] = conn->name;
			for (const struct node *c = children ? children->first : NULL; c;
			     c = c->next)
				names[n++] = c->name;
		}
	nearest = names ? suggest_nearest(name, names, n) : NULL;
	cli_fail(STATUS_FAILED, "no connection and no child is called '%s'%s%s%s", name,
		 nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
	free(names);
	return STATUS_FAILED;
}

// "CONN/CHILD", "CONN" or "CHILD"; a name that is both means the connection.
static int resolve(const struct node *conns, const char *arg, struct target *t)
{
	const char *slash = strchr(arg, '/');

	*t = (struct target){0};
	if (strlen(arg) >= NAME_MAX_LEN)
		return unknown_name(conns, arg);
	if (slash) {
		snprintf(t->conn, sizeof(t->conn), "%.*s", (int)(slash - arg), arg);
		snprintf(t->child, sizeof(t->child), "%s", slash + 1);
		if (!find_conn(conns, t->conn))
			return unknown_name(conns, t->conn);
		if (!tree_get(tree_get(find_conn(conns, t->conn), "children"), t->child))
			return unknown_name(conns, t->child);
		return 0;
	}
	if (find_conn(conns, arg)) {
		snprintf(t->conn, sizeof(t->conn), "%s", arg);
		return 0;
	}
	if (!find_owner(conns, arg))
		return unknown_name(conns, arg);
	snprintf(t->conn, sizeof(t->conn), "%s", find_owner(conns, arg)->name);
	snprintf(t->child, sizeof(t->child), "%s", arg);
	return 0;
}

static void print_progress(struct cli *cli, const struct node *event)
{
	char msg[2048];

	if (cli->options.json)
		return;
	snprintf(msg, sizeof(msg), "%s", tree_text(event, "msg", ""));
	fprintf(cli->out, "[%s] %s\n", tree_text(event, "group", "   "), make_printable(msg));
	fflush(cli->out);
}

// ---- up ----

static int up_one(struct cli *cli, const char *conn, const char *child, struct node *results)
{
	struct node *result = tree_add(results, NODE_SECTION, "");
	int timeout_ms = (int)cli->options.timeout_s * 1000;
	struct vici_builder req = {0};
	const char *slash = child ? "/" : "", *name = child ? child : "";
	int rc;

	if (!result || !tree_add_value(result, "ike", conn) ||
	    (child && !tree_add_value(result, "child", child)))
		return cli_fail(STATUS_FAILED, "out of memory");
	vici_kv(&req, "ike", conn);
	if (child)
		vici_kv(&req, "child", child);
	vici_kvf(&req, "timeout", "%d", timeout_ms);
	rc = cli_query_slow(cli, "initiate", "control-log", &req, result, timeout_ms + GRACE_MS,
			    print_progress);
	vici_builder_fini(&req);
	if (rc)
		return rc;
	if (!succeeded(result))
		return cli_fail(STATUS_FAILED, "%s%s%s: %s", conn, slash, name,
				tree_text(result, "errmsg", "failed"));
	if (!cli->options.json)
		fprintf(cli->out, "%s%s%s is up\n", conn, slash, name);
	return 0;
}

// Every tunnel of a connection, or the IKE SA alone when it has none. The worst result counts.
static int up_conn(struct cli *cli, const struct node *conn, struct node *results)
{
	const struct node *children = tree_get(conn, "children");
	int status = 0;
	bool any = false;

	for (const struct node *c = children ? children->first : NULL; c; c = c->next) {
		int rc;

		if (!tree_child_has_sa(c))
			continue;
		any = true;
		rc = up_one(cli, conn->name, c->name, results);
		if (rc == STATUS_UNREACHABLE)
			return rc;
		status = rc ? rc : status;
	}
	return any ? status : up_one(cli, conn->name, NULL, results);
}

static int up_all(struct cli *cli, const struct node *conns, struct node *results)
{
	const struct node *list = tree_get(conns, "list-conn");
	int status = 0;

	if (!list || !list->first)
		return cli_fail(STATUS_FAILED, "no connections are configured");
	for (const struct node *ev = list->first; ev; ev = ev->next)
		for (const struct node *conn = ev->first; conn; conn = conn->next) {
			int rc = up_conn(cli, conn, results);

			if (rc == STATUS_UNREACHABLE)
				return rc;
			status = rc ? rc : status;
		}
	return status;
}

static int up_target(struct cli *cli, const struct node *conns, struct node *results)
{
	struct target t;

	if (cli->options.n_args == 0)
		return up_all(cli, conns, results);
	if (resolve(conns, cli->options.args[0], &t))
		return STATUS_FAILED;
	if (*t.child)
		return up_one(cli, t.conn, t.child, results);
	return up_conn(cli, find_conn(conns, t.conn), results);
}

int cli_up(struct cli *cli)
{
	struct node *conns = tree_add(NULL, NODE_SECTION, "");
	struct node *root = tree_add(NULL, NODE_SECTION, "");
	struct node *results = root ? tree_add(root, NODE_LIST, "results") : NULL;
	int status;

	if (!conns || !results) {
		status = cli_fail(STATUS_FAILED, "out of memory");
		goto out;
	}
	status = cli_query(cli, "list-conns", "list-conn", NULL, conns);
	if (status)
		goto out;
	status = up_target(cli, conns, results);
	if (cli->options.json)
		json_write(cli->out, root);
out:
	tree_free(conns);
	tree_free(root);
	return status;
}

// ---- down ----

// Which SAs: an SA may outlive its connection in the configuration, so a name that is not
// configured is looked for among the SAs.
static int select_sas(struct cli *cli, struct vici_builder *req)
{
	struct node *conns = tree_add(NULL, NODE_SECTION, "");
	struct target t;
	int status;

	if (!conns)
		return cli_fail(STATUS_FAILED, "out of memory");
	status = cli_query(cli, "list-conns", "list-conn", NULL, conns);
	if (!status)
		status = cli_query(cli, "list-sas", "list-sa", NULL, conns);
	if (status)
		goto out;
	for (const struct node *ev = tree_get(conns, "list-sa")->first; ev; ev = ev->next)
		if (tree_get(ev, cli->options.args[0]) && !find_conn(conns, cli->options.args[0])) {
			vici_kv(req, "ike", cli->options.args[0]);
			goto out;
		}
	status = resolve(conns, cli->options.args[0], &t);
	if (status)
		goto out;
	vici_kv(req, "ike", t.conn);
	if (*t.child)
		vici_kv(req, "child", t.child);
out:
	tree_free(conns);
	return status;
}

// One name or one number, for down and rekey.
static int select_one(struct cli *cli, const char *command, struct vici_builder *req)
{
	const struct options *o = &cli->options;

	if ((o->n_args != 0) + (o->ike_id != 0) + (o->child_id != 0) != 1)
		return cli_fail(STATUS_USAGE,
				"%s: give one of CONN, CHILD, CONN/CHILD, --ike-id N "
				"and --child-id N",
				command);
	if (o->ike_id)
		vici_kvf(req, "ike-id", "%u", o->ike_id);
	else if (o->child_id)
		vici_kvf(req, "child-id", "%u", o->child_id);
	else
		return select_sas(cli, req);
	return 0;
}

int cli_down(struct cli *cli)
{
	const struct options *o = &cli->options;
	int timeout_ms = (int)o->timeout_s * 1000;
	struct node *root = NULL;
	struct vici_builder req = {0};
	int status = select_one(cli, "down", &req);

	if (status)
		goto out;
	vici_kvf(&req, "timeout", "%d", timeout_ms);
	root = tree_add(NULL, NODE_SECTION, "");
	if (!root) {
		status = cli_fail(STATUS_FAILED, "out of memory");
		goto out;
	}
	status = cli_query_slow(cli, "terminate", "control-log", &req, root, timeout_ms + GRACE_MS,
				print_progress);
	if (status)
		goto out;
	if (o->json)
		json_write(cli->out, root);
	if (!succeeded(root))
		status = cli_fail(STATUS_FAILED, "%s", tree_text(root, "errmsg", "down failed"));
	else if (!o->json)
		fprintf(cli->out, "%s SA%s closed\n", tree_text(root, "terminated", "?"),
			tree_number(root, "terminated") == 1 ? "" : "s");
out:
	vici_builder_fini(&req);
	tree_free(root);
	return status;
}

// ---- rekey ----

int cli_rekey(struct cli *cli)
{
	struct node *root = NULL;
	struct vici_builder req = {0};
	int status = select_one(cli, "rekey", &req);

	if (status)
		goto out;
	root = tree_add(NULL, NODE_SECTION, "");
	if (!root) {
		status = cli_fail(STATUS_FAILED, "out of memory");
		goto out;
	}
	status = cli_query_slow(cli, "rekey", NULL, &req, root, GRACE_MS, NULL);
	if (status)
		goto out;
	if (cli->options.json)
		json_write(cli->out, root);
	if (!succeeded(root))
		status = cli_fail(STATUS_FAILED, "%s", tree_text(root, "errmsg", "rekey failed"));
	else if (!cli->options.json)
		fprintf(cli->out, "new keys asked for: %s SA%s\n", tree_text(root, "matches", "?"),
			tree_number(root, "matches") == 1 ? "" : "s");
out:
	vici_builder_fini(&req);
	tree_free(root);
	return status;
}

// ---- reload ----

int cli_reload(struct cli *cli)
{
	struct node *root = tree_add(NULL, NODE_SECTION, "");
	const struct node *warnings;
	int status;

	if (!root)
		return cli_fail(STATUS_FAILED, "out of memory");
	status = cli_query_slow(cli, "reload", NULL, NULL, root, RELOAD_TIMEOUT_MS, NULL);
	if (status)
		goto out;
	if (cli->options.json)
		json_write(cli->out, root);
	if (!succeeded(root)) {
		status = cli_fail(STATUS_FAILED, "nothing was changed: %s",
				  tree_text(root, "errmsg", "the reload failed"));
		goto out;
	}
	if (cli->options.json)
		goto out;
	warnings = tree_get(root, "warnings");
	for (const struct node *w = warnings ? warnings->first : NULL; w; w = w->next)
		fprintf(stderr, "port500: warning: %s\n", w->value);
	fprintf(cli->out, "%s\n", tree_text(root, "message", "reloaded"));
out:
	tree_free(root);
	return status;
}
