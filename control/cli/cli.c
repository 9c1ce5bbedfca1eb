#include "control/cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/json.h"
#include "control/cli/show.h"

enum { QUERY_TIMEOUT_MS = 10000 };

int cli_fail(int status, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout); // so that the reason comes after what was printed before it
	fputs("port500: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

// ---- questions ----

struct collector {
	struct cli *cli;
	struct node *list; // of the events
	void (*progress)(struct cli *cli, const struct node *event);
	bool failed;
};

static void collect(void *ctx, const uint8_t *msg, size_t len)
{
	struct collector *c = ctx;
	struct node *ev = tree_add(c->list, NODE_SECTION, "");

	if (!ev || tree_add_message(ev, msg, len)) {
		c->failed = true;
		return;
	}
	if (c->progress)
		c->progress(c->cli, ev);
}

static int fail_query(int rc, const struct error *err)
{
	return cli_fail(rc == -ENOSYS ? STATUS_FAILED : STATUS_UNREACHABLE, "%s", err->text);
}

int cli_query_slow(struct cli *cli, const char *command, const char *event,
		   const struct vici_builder *request, struct node *into, int timeout_ms,
		   void (*progress)(struct cli *cli, const struct node *event))
{
	struct collector collector = {.cli = cli, .progress = progress};
	const struct vici_call call = {
		.command = command,
		.request = request,
		.event = event,
		.on_event = collect,
		.ctx = &collector,
		.timeout_ms = timeout_ms,
	};
	struct error err = {0};
	uint8_t *reply = NULL;
	size_t len;
	int rc = 0;

	if (event) {
		collector.list = tree_add(into, NODE_LIST, event);
		if (!collector.list)
			return cli_fail(STATUS_FAILED, "out of memory");
	}
	if (!cli->client)
		rc = vici_client_open(cli->options.socket, &cli->client, &err);
	if (!rc)
		rc = vici_client_call(cli->client, &call, &reply, &len, &err);
	if (rc)
		return fail_query(rc, &err);
	if (tree_add_message(into, reply, len) || collector.failed)
		rc = cli_fail(STATUS_FAILED, "out of memory");
	free(reply);
	return rc;
}

int cli_query(struct cli *cli, const char *command, const char *event,
	      const struct vici_builder *request, struct node *into)
{
	return cli_query_slow(cli, command, event, request, into, QUERY_TIMEOUT_MS, NULL);
}

// ---- status, show, version, help ----

static int query_status(struct cli *cli, struct node *root)
{
	struct node *status = tree_add(root, NODE_SECTION, "status");
	struct node *ports = tree_add(root, NODE_SECTION, "ports");
	int rc;

	if (!status || !ports)
		return cli_fail(STATUS_FAILED, "out of memory");
	rc = cli_query(cli, "status", NULL, NULL, status);
	if (!rc)
		rc = cli_query(cli, "show-ports", NULL, NULL, ports);
	if (!rc)
		rc = cli_query(cli, "show-conns", "show-conn", NULL, root);
	return rc ? rc : cli_query(cli, "list-sas", "list-sa", NULL, root);
}

int cli_status(struct cli *cli)
{
	struct node *root = tree_add(NULL, NODE_SECTION, "");
	int status;

	if (!root)
		return cli_fail(STATUS_FAILED, "out of memory");
	status = query_status(cli, root);
	if (!status && cli->options.json)
		json_write(cli->out, root);
	else if (!status)
		show_status(cli->out, root);
	tree_free(root);
	return status;
}

static int query_policies(struct cli *cli, struct node *root)
{
	struct vici_builder req = {0};
	int status;

	vici_kv(&req, "trap", "yes");
	vici_kv(&req, "pass", "yes");
	vici_kv(&req, "drop", "yes");
	status = cli_query(cli, "list-policies", "list-policy", &req, root);
	vici_builder_fini(&req);
	return status;
}

static int query_sas(struct cli *cli, struct node *root)
{
	return cli_query(cli, "list-sas", "list-sa", NULL, root);
}

static int query_routes(struct cli *cli, struct node *root)
{
	return cli_query(cli, "show-routes", "show-route", NULL, root);
}

static int query_ports(struct cli *cli, struct node *root)
{
	struct vici_builder req = {0};
	int status;

	if (cli->options.xstats)
		vici_kv(&req, "xstats", "yes");
	if (cli->options.all)
		vici_kv(&req, "all", "yes");
	status = cli_query(cli, "show-ports", NULL, &req, root);
	vici_builder_fini(&req);
	return status;
}

static int query_interfaces(struct cli *cli, struct node *root)
{
	return cli_query(cli, "show-interfaces", NULL, NULL, root);
}

static int query_workers(struct cli *cli, struct node *root)
{
	return cli_query(cli, "show-workers", NULL, NULL, root);
}

static int query_guard(struct cli *cli, struct node *root)
{
	return cli_query(cli, "show-guard", NULL, NULL, root);
}

static int query_refusals(struct cli *cli, struct node *root)
{
	return cli_query(cli, "list-refusals", "list-refusal", NULL, root);
}

// With the connection that is named, if one is.
static int query_named(struct cli *cli, const char *command, const char *event, struct node *root)
{
	struct vici_builder req = {0};
	int status;

	if (cli->options.n_args > 0)
		vici_kv(&req, "ike", cli->options.args[0]);
	status = cli_query(cli, command, event, &req, root);
	vici_builder_fini(&req);
	return status;
}

static int query_ike_headers(struct cli *cli, struct node *root)
{
	return query_named(cli, "list-ike-headers", "list-ike-header", root);
}

static int query_history(struct cli *cli, struct node *root)
{
	return cli_query(cli, "list-seconds", "list-second", NULL, root);
}

static int query_drops(struct cli *cli, struct node *root)
{
	return cli_query(cli, "show-drops", NULL, NULL, root);
}

static const struct {
	const char *subject;
	int (*query)(struct cli *cli, struct node *root);
	void (*show)(FILE *out, const struct node *root);
	void (*show_all)(FILE *out, const struct node *root, bool all); // in place of it
} subjects[] = {
	{"ike", query_sas, show_ike},
	{"child", query_sas, show_child},
	{"policies", query_policies, show_policies},
	{"routes", query_routes, show_routes},
	{"ports", query_ports, show_ports},
	{"interfaces", query_interfaces, show_interfaces},
	{"workers", query_workers, show_workers},
	{"guard", query_guard, show_guard},
	{"refusals", query_refusals, show_refusals},
	{"ike-headers", query_ike_headers, show_ike_headers},
	{"history", query_history, NULL, show_history},
	{"drops", query_drops, NULL, show_drops},
};

int cli_show(struct cli *cli)
{
	struct node *root = tree_add(NULL, NODE_SECTION, "");
	size_t i = 0;
	int status;

	if (!root)
		return cli_fail(STATUS_FAILED, "out of memory");
	while (strcmp(subjects[i].subject, cli->options.command->subject) != 0)
		i++;
	status = subjects[i].query(cli, root);
	if (!status && cli->options.json)
		json_write(cli->out, root);
	else if (!status && subjects[i].show)
		subjects[i].show(cli->out, root);
	else if (!status)
		subjects[i].show_all(cli->out, root, cli->options.all);
	tree_free(root);
	return status;
}

int cli_version(struct cli *cli)
{
	struct node *root = tree_add(NULL, NODE_SECTION, "");
	struct node *daemon = root ? tree_add(root, NODE_SECTION, "daemon") : NULL;
	int status;

	if (!daemon || !tree_add_value(root, "version", PORT500_VERSION)) {
		tree_free(root);
		return cli_fail(STATUS_FAILED, "out of memory");
	}
	if (!cli->options.json)
		fprintf(cli->out, "port500 %s\n", PORT500_VERSION);
	status = cli_query(cli, "version", NULL, NULL, daemon);
	if (!status && cli->options.json)
		json_write(cli->out, root);
	else if (!status)
		fprintf(cli->out, "%s %s (%s %s, %s)\n", tree_text(daemon, "daemon", "?"),
			tree_text(daemon, "version", "?"), tree_text(daemon, "sysname", "?"),
			tree_text(daemon, "release", "?"), tree_text(daemon, "machine", "?"));
	tree_free(root);
	return status;
}

int cli_help(struct cli *cli)
{
	const struct options *o = &cli->options;
	const struct command *c;
	struct error err = {0};

	if (o->n_args == 0) {
		options_usage(cli->out, cli_commands);
		return STATUS_OK;
	}
	c = options_find(cli_commands, o->args[0], o->n_args > 1 ? o->args[1] : NULL, &err);
	if (!c)
		return cli_fail(STATUS_USAGE, "%s", err.text);
	options_help(cli->out, c);
	return STATUS_OK;
}

const struct command cli_commands[] = {
	{"status", NULL, 0, 0, cli_status, "", "the gateway at a glance",
	 "Version, uptime, ports with their links, and every configured connection: up, "
	 "connecting\n"
	 "or down with the reason of its last failure, and each child with its traffic and idle "
	 "time.\n"},
	{"doctor", NULL, OPTION_PROBE | OPTION_EVIDENCE | OPTION_VALUE(VALUE_LANG), 1, cli_doctor, "[CONNECTION]", "what is wrong, whose problem it is, what to do",
	 "Climbs from host and port over route, next hop, UDP/500 both ways, guard and path to\n"
	 "IKE_SA_INIT, authentication, child, ESP, MTU, load and history. The lowest rung that fails\n"
	 "is the verdict. Without an argument: one line for each connection. Sends nothing to anybody,\n"
	 "unless --probe asks the peers: ICMP echo from our own address, IKE_SA_INIT to 500 and 4500\n"
	 "in three sizes, the same hop by hop; at most 80 packets to each, 4 seconds. Of all\n"
	 "connections as many as 90 seconds allow, one after the other, the worst first.\n"
	 "--evidence writes one page for the network operator instead: times, addresses, counts in\n"
	 "both directions, probes, what works and what is asked.\n"
	 "Exit status: 0 healthy, 1 degraded, 2 down, 3 could not tell.\n"},
	{"show", "ike", 0, 0, cli_show, "", "IKE SAs",
	 "One row for each IKE SA with its algorithms and SPIs; ALIAS is the state as Cisco's\n"
	 "'show crypto ikev2 sa' calls it. An asterisk marks the initiator's or responder's SPI "
	 "as ours.\n"},
	{"show", "child", 0, 0, cli_show, "", "child SAs with their traffic",
	 "One row for each child SA: SPIs, packets and bytes of inner traffic, time since the "
	 "last\n"
	 "packet, traffic selectors and algorithms.\n"},
	{"show", "policies", 0, 0, cli_show, "", "what is protected, bypassed or discarded",
	 "One row for each configured child: protect (tunnel), bypass (mode = pass) or discard\n"
	 "(mode = drop).\n"},
	{"show", "routes", 0, 0, cli_show, "", "routes the dataplane has learned from Linux",
	 "Destination, port, gateway, and the gateway's MAC address when it is resolved.\n"},
	{"show", "ports", OPTION_XSTATS | OPTION_ALL, 0, cli_show, "", "ports with their counters",
	 "Link, speed, addresses, packets and bytes of Ethernet frames, device and driver. With\n"
	 "--xstats also each counter of the drivers, under their names; with --all those that "
	 "are 0.\n"},
	{"show", "interfaces", 0, 0, cli_show, "", "tunnel interfaces that routes point at",
	 "Number, link, MTU, how many of its children are up, packets and bytes out of its "
	 "tunnels\n"
	 "(IN) and into them (OUT), addresses.\n"},
	{"show", "workers", 0, 0, cli_show, "", "worker cores and how busy they are",
	 "BUSY is the share of cycles spent on packets since the start; PKTS/BATCH how many "
	 "packets\n"
	 "one round finds; CYCLES/PKT what one took in all, by the time that passed: where others "
	 "use\n"
	 "the worker's CPU as well, their time counts too.\n"},
	{"show", "guard", 0, 0, cli_show, "", "who sends IKE to us, and what passes",
	 "What became of the messages to UDP/500 and 4500, then the sources that sent most: what\n"
	 "each is likely to be and why, messages, the most in one second, openers, how many of\n"
	 "those showed a cookie, how many messages were held back.\n"},
	{"show", "refusals", 0, 0, cli_show, "", "negotiations that failed lately, and why",
	 "For each, the oldest first: both sides' algorithms by transform type, both identities, "
	 "the\n"
	 "selectors offered and wanted, the connections that were looked at and what each lost "
	 "by, the\n"
	 "peer's certificates. Never a key.\n"},
	{"show", "events", OPTION_FOLLOW, 1, cli_events, "[CONNECTION]", "what has happened lately, and why",
	 "Every change of an IKE SA or child with its reason, negotiations that failed with both\n"
	 "sides' offers, rekeyings with their duration, alarms of the guard, links, starts and\n"
	 "reloads; the oldest first, times in UTC. With gateway.state_dir also those before the\n"
	 "last start. --follow stays and prints each new one (with --json one object a line), until\n"
	 "Ctrl-C, or until the daemon ends, which is exit status 3.\n"},
	{"show", "ike-headers", 0, 1, cli_show, "[CONNECTION]",
	 "the last IKE messages of each peer, and how far they came",
	 "For each peer the last 32 in both directions, and samples (16) of those that were dropped\n"
	 "between the wire and Linux. FATE has the hop that a message came to and what became of it\n"
	 "there. The counts are of all: guard-passed less lost-to-linux less socket-in was lost in\n"
	 "Linux. One that Linux took and that did not leave the port is there twice.\n"},
	{"show", "history", OPTION_ALL, 0, cli_show, "", "counters of the last minute, by second",
	 "Packets, IKE messages, busiest worker, what the guard did and what was dropped. With\n"
	 "--all the last ten minutes.\n"},
	{"show", "drops", OPTION_ALL, 0, cli_show, "", "dropped packets by reason",
	 "Reasons for which no packet was dropped are left out unless --all is given.\n"},
	{"up", NULL, OPTION_TIMEOUT, 1, cli_up, "[CONN[/CHILD] | CHILD]", "bring tunnels up",
	 "Initiates every tunnel of the connection, or the one child, or without an argument all\n"
	 "that are configured, and waits for the outcome. What is up already stays as it is.\n"},
	{"down", NULL, OPTION_TIMEOUT | OPTION_IKE_ID | OPTION_CHILD_ID, 1, cli_down,
	 "[CONN[/CHILD] | CHILD]", "take tunnels down",
	 "Deletes the IKE SAs of the connection with all their children, or only the child SAs, "
	 "and\n"
	 "tells the peer. Exactly one of the name, --ike-id and --child-id is needed.\n"},
	{"rekey", NULL, OPTION_IKE_ID | OPTION_CHILD_ID, 1, cli_rekey, "[CONN[/CHILD] | CHILD]",
	 "replace keys without taking tunnels down",
	 "Asks for new keys of the IKE SAs of the connection, or of the child SAs, and does not "
	 "wait "
	 "for\n"
	 "the outcome. Exactly one of the name, --ike-id and --child-id is needed.\n"},
	{"reload", NULL, 0, 0, cli_reload, "", "load the configuration file again",
	 "Connections that did not change stay up. On an error nothing is changed and the error "
	 "is\n"
	 "printed with file and line.\n"},
	{"capture", NULL, OPTION_CAPTURE, 0, cli_capture, "-w FILE [OPTIONS]",
	 "write packets with both sides of the crypto to a file",
	 "Writes pcapng, for tshark and Wireshark: packets as they come from the wire, before and\n"
	 "after encryption, after decryption, and as they leave; dropped ones with the reason as a\n"
	 "comment. All conditions have to hold at one point of a packet's way; from there on it is\n"
	 "followed. Ends with Ctrl-C.\n"
	 "The file has what is in the tunnels in clear; keys are never in it.\n"},
	{"support-bundle", NULL, 0, 1, cli_bundle, "[FILE]", "everything for support, without secrets",
	 "Writes a tar with the answers of all show commands, the events, the last IKE headers, the\n"
	 "doctor's report, versions, and the configuration file without secrets: only values that\n"
	 "are known to be none are in it. There are addresses, identities and names in it. FILE must\n"
	 "not exist; without one it is port500-HOST-TIME.tar in the current directory. The path is\n"
	 "printed.\n"},
	{"version", NULL, 0, 0, cli_version, "", "versions of this program and of the daemon", ""},
	{"help", NULL, 0, 2, cli_help, "[COMMAND]", "this text, or the help of a command", ""},
	{0},
};
