// show events: what the flight recorder has, and with --follow what comes.
//
// The event that announces a new one only rings; list-events then tells what has come since the
// last one that was printed. So nothing is printed twice or left out, and the daemon filters.
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/cli/cli.h"
#include "control/cli/json.h"
#include "control/cli/show.h"

enum { ANSWER_MS = 10000 };

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

// From here on SIGINT and SIGTERM come while we wait and at no other time.
static void hold_signals(sigset_t *while_waiting)
{
	const struct sigaction end = {.sa_handler = on_signal};
	sigset_t ours;

	sigemptyset(&ours);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGTERM);
	sigprocmask(SIG_BLOCK, &ours, while_waiting);
	sigdelset(while_waiting, SIGINT);
	sigdelset(while_waiting, SIGTERM);
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
}

static const char *name_of(const struct cli *cli)
{
	return cli->options.n_args > 0 ? cli->options.args[0] : NULL;
}

static int query(struct cli *cli, uint64_t after, struct node *root)
{
	struct vici_builder req = {0};
	int status;

	if (name_of(cli))
		vici_kv(&req, "ike", name_of(cli));
	vici_kvf(&req, "after", "%" PRIu64, after);
	status = cli_query(cli, "list-events", "list-event", &req, root);
	vici_builder_fini(&req);
	return status;
}

static void say_nothing(struct cli *cli)
{
	if (name_of(cli))
		fprintf(cli->out, "nothing is recorded of a connection '%s'\n", name_of(cli));
	else
		fprintf(cli->out, "nothing has happened yet\n");
}

static int list(struct cli *cli, struct node *root)
{
	bool before = false;
	int status = query(cli, 0, root);

	if (!status && cli->options.json)
		json_write(cli->out, root);
	else if (!status && show_events(cli->out, root, &before) == 0)
		say_nothing(cli);
	return status;
}

// One object for each event, on a line of its own. *last: the number of the newest.
static void print_new(struct cli *cli, const struct node *root, uint64_t *last, bool *before)
{
	const struct node *events = tree_get(root, "list-event");

	for (const struct node *ev = events ? events->first : NULL; ev; ev = ev->next) {
		if (ev->first)
			*last = strtoull(ev->first->name, NULL, 10);
		if (cli->options.json)
			json_write_line(cli->out, ev);
	}
	if (!cli->options.json)
		show_events(cli->out, root, before);
	fflush(cli->out);
}

static int listen_for_events(struct cli *cli, struct error *err)
{
	int rc = vici_client_open(cli->options.socket, &cli->client, err);

	return rc ? rc : vici_client_listen(cli->client, "event", ANSWER_MS, err);
}

static int follow(struct cli *cli)
{
	struct error err = {0};
	uint64_t last = 0;
	bool before = false;
	sigset_t waiting;
	int status, rc;

	hold_signals(&waiting);
	rc = listen_for_events(cli, &err);
	while (!rc && !interrupted && !ferror(cli->out)) {
		struct node *root = tree_add(NULL, NODE_SECTION, "");

		if (!root)
			return cli_fail(STATUS_FAILED, "out of memory");
		status = query(cli, last, root);
		if (!status)
			print_new(cli, root, &last, &before);
		tree_free(root);
		if (status)
			return status;
		rc = vici_client_wait(cli->client, fileno(cli->out), &waiting, ANSWER_MS, &err);
	}
	if (!rc || rc == -EINTR || rc == -EPIPE) // main says so, when the output has failed
		return STATUS_OK;
	return cli_fail(rc == -ENOSYS ? STATUS_FAILED : STATUS_UNREACHABLE, "%s", err.text);
}

int cli_events(struct cli *cli)
{
	struct node *root;
	int status;

	if (cli->options.follow)
		return follow(cli);
	root = tree_add(NULL, NODE_SECTION, "");
	if (!root)
		return cli_fail(STATUS_FAILED, "out of memory");
	status = list(cli, root);
	tree_free(root);
	return status;
}
