// support-bundle: everything that the daemon says of itself, in one tar, without secrets.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/cli/cli.h"
#include "control/cli/json.h"
#include "control/cli/ustar.h"

static const struct {
	const char *file, *command, *event, *keys[3]; // event NULL: the answer is all
} parts[] = {
	{"version.json", "version", NULL, {NULL}},
	{"status.json", "status", NULL, {NULL}},
	{"connections.json", "show-conns", "show-conn", {NULL}},
	{"sas.json", "list-sas", "list-sa", {NULL}},
	{"policies.json", "list-policies", "list-policy", {"trap", "pass", "drop"}},
	{"routes.json", "show-routes", "show-route", {NULL}},
	{"ports.json", "show-ports", NULL, {"xstats", "all", NULL}},
	{"interfaces.json", "show-interfaces", NULL, {NULL}},
	{"workers.json", "show-workers", NULL, {NULL}},
	{"drops.json", "show-drops", NULL, {NULL}},
	{"guard.json", "show-guard", NULL, {NULL}},
	{"counters.json", "get-counters", NULL, {NULL}},
	{"refusals.json", "list-refusals", "list-refusal", {NULL}},
	{"events.json", "list-events", "list-event", {NULL}},
	{"ike-headers.json", "list-ike-headers", "list-ike-header", {NULL}},
	{"history.json", "list-seconds", "list-second", {NULL}},
	{"doctor.json", "doctor", "doctor", {NULL}},
};

static const char readme[] =
	"What a port500 gateway said of itself, for support. One file for each question; they are\n"
	"the answers of its API (docs/api.md). port500.conf is the configuration file as the "
	"daemon\n"
	"read it just now: values are there only of keys that are known and no secrets.\n"
	"There are no keys and no passwords in these files. There are addresses, identities, "
	"names\n"
	"and selectors.\n";

static int ask(struct cli *cli, size_t i, struct node *root)
{
	struct vici_builder request = {0};
	int status;

	for (size_t k = 0; k < sizeof(parts[i].keys) / sizeof(parts[i].keys[0]); k++)
		if (parts[i].keys[k])
			vici_kv(&request, parts[i].keys[k], "yes");
	status = cli_query(cli, parts[i].command, parts[i].event, &request, root);
	vici_builder_fini(&request);
	return status;
}

static int add_part(struct cli *cli, FILE *tar, size_t i, int64_t now_s)
{
	struct node *root = tree_add(NULL, NODE_SECTION, "");
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int status = root && out ? ask(cli, i, root) : STATUS_FAILED;

	if (out && status == STATUS_OK)
		json_write(out, root);
	if (out)
		fclose(out);
	if (status == STATUS_OK)
		ustar_add(tar, parts[i].file, text, len, now_s);
	free(text);
	tree_free(root);
	return status;
}

static int add_config(struct cli *cli, FILE *tar, int64_t now_s)
{
	struct node *root = tree_add(NULL, NODE_SECTION, "");
	const struct node *pieces;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int status = root && out ? cli_query(cli, "get-config", "config-text", NULL, root)
				 : STATUS_FAILED;

	pieces = status == STATUS_OK ? tree_get(root, "config-text") : NULL;
	for (const struct node *p = pieces ? pieces->first : NULL; p; p = p->next)
		fputs(tree_text(p, "text", ""), out);
	if (tree_get(root, "errmsg")) // the rest of the bundle is worth having
		fprintf(out, "# %s\n", tree_text(root, "errmsg", ""));
	if (out)
		fclose(out);
	if (status == STATUS_OK)
		ustar_add(tar, "port500.conf", text, len, now_s);
	free(text);
	tree_free(root);
	return status;
}

static int write_bundle(struct cli *cli, FILE *tar)
{
	const int64_t now_s = (int64_t)time(NULL);
	int status = STATUS_OK;

	ustar_add(tar, "README", readme, sizeof(readme) - 1, now_s);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && status == STATUS_OK; i++)
		status = add_part(cli, tar, i, now_s);
	if (status == STATUS_OK)
		status = add_config(cli, tar, now_s);
	ustar_end(tar);
	return status;
}

// "port500-gw-a-20260301T120000Z.tar", in the directory that we are in.
static const char *make_name(char *buf, size_t size)
{
	const time_t now = time(NULL);
	char host[128] = "", when[32] = "";
	struct tm tm;

	if (gethostname(host, sizeof(host) - 1) || strchr(host, '/'))
		snprintf(host, sizeof(host), "gateway");
	if (gmtime_r(&now, &tm))
		strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
	snprintf(buf, size, "port500-%.*s-%s.tar", (int)strcspn(host, "."), host, when);
	return buf;
}

// A new file that nobody else can read; one that is there is not overwritten.
int cli_bundle(struct cli *cli)
{
	char made[NAME_MAX], path[PATH_MAX];
	const char *name =
		cli->options.n_args > 0 ? cli->options.args[0] : make_name(made, sizeof(made));
	int status, fd;
	bool failed;
	FILE *tar;

	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	tar = fd < 0 ? NULL : fdopen(fd, "w");
	if (!tar) {
		const int why = errno;
		const bool here = name[0] != '/' && getcwd(path, sizeof(path));

		status = cli_fail(STATUS_FAILED, "cannot create %s%s%s: %s; name another file",
				  name, here ? " in " : "", here ? path : "", strerror(why));
		if (fd >= 0)
			close(fd);
		return status;
	}
	status = write_bundle(cli, tar);
	failed = ferror(tar) != 0;
	failed |= fclose(tar) != 0;
	if (status == STATUS_OK && failed)
		status = cli_fail(STATUS_FAILED, "cannot write %s: %s", name, strerror(errno));
	if (status != STATUS_OK)
		unlink(name);
	else
		fprintf(cli->out, "%s: no secrets in it, but addresses, identities and names\n",
			realpath(name, path) ? path : name);
	return status;
}
