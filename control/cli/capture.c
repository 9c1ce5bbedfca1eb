// port500 capture: asks the daemon for packets and writes them into a pcapng file.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/cli/cli.h"
#include "control/cli/json.h"

enum {
	SILENCE_MS = 15000, // the daemon gives a sign of life every second
	STOP_MS = 5000,
};

struct sink {
	struct cli *cli;
	const char *name;
	int fd;	      // -1: not open yet
	int failed;   // errno, 0: not yet
	bool stopped; // the daemon has been asked to end it
};

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

// The first one ends the capture, a second one the program.
static void catch_signals(void)
{
	const struct sigaction end = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
	const struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGPIPE, &ignore, NULL); // write says so too
}

// The connection is busy with the capture, so the wish to end it takes one of its own.
static void ask_to_stop(const struct cli *cli)
{
	const struct vici_call call = {.command = "capture-stop", .timeout_ms = STOP_MS};
	struct vici_client *client = NULL;
	struct error err = {0};
	uint8_t *reply = NULL;
	size_t len;

	if (vici_client_open(cli->options.socket, &client, &err) == 0)
		vici_client_call(client, &call, &reply, &len, &err);
	free(reply);
	vici_client_close(client);
}

static void open_sink(struct sink *s)
{
	if (strcmp(s->name, "-") == 0)
		s->fd = STDOUT_FILENO;
	else // what is in packets is nobody else's business
		s->fd = open(s->name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (s->fd < 0)
		s->failed = errno;
}

static void write_all(struct sink *s, const char *data, size_t len)
{
	while (len && !s->failed) {
		const ssize_t n = write(s->fd, data, len);

		if (n < 0 && errno != EINTR) {
			s->failed = errno;
		} else if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
}

// Has whoever reads our output gone? Nothing else would tell while there are no packets.
static bool reader_has_gone(const struct sink *s)
{
	struct pollfd p = {.fd = s->fd};

	return s->fd >= 0 && poll(&p, 1, 0) > 0 && (p.revents & POLLERR);
}

static void on_event(void *ctx, const uint8_t *msg, size_t len)
{
	struct vici_parser parser = vici_parser_of(msg, len);
	struct sink *s = ctx;
	struct vici_element e;

	while (!s->failed && vici_next(&parser, &e) == 0 && e.type != VICI_END) {
		if (e.type != VICI_KEY_VALUE || e.name_len != 4 || memcmp(e.name, "data", 4) != 0)
			continue;
		if (s->fd < 0)
			open_sink(s);
		write_all(s, e.value, e.value_len);
	}
	if (!s->failed && reader_has_gone(s))
		s->failed = EPIPE;
	if ((interrupted || s->failed) && !s->stopped) {
		s->stopped = true;
		ask_to_stop(s->cli);
	}
}

// The options are the command's keys; a child may name its connection.
static void build_request(struct vici_builder *b, const struct options *o)
{
	for (unsigned i = 0; i < VALUE_WRITE; i++) {
		const char *value = o->values[i], *slash = value ? strchr(value, '/') : NULL;

		if (value && i == VALUE_CHILD && slash) {
			vici_kvf(b, "ike", "%.*s", (int)(slash - value), value);
			vici_kv(b, "child", slash + 1);
		} else if (value) {
			vici_kv(b, options_value_name(i), value);
		}
	}
	if (o->drops)
		vici_kv(b, "drops", "yes");
}

static void print_result(const struct sink *s, const struct node *reply)
{
	FILE *out = strcmp(s->name, "-") == 0 ? stderr : s->cli->out;
	const uint64_t lost = tree_number(reply, "lost");
	const uint64_t ms = tree_number(reply, "ms");

	if (s->cli->options.json) {
		json_write(out, reply);
		return;
	}
	fprintf(out, "%s packets in %" PRIu64 ".%" PRIu64 " s, ended by %s\n",
		tree_text(reply, "packets", "0"), ms / 1000, ms % 1000 / 100,
		tree_text(reply, "ended-by", "?"));
	if (lost)
		fprintf(out,
			"%" PRIu64
			" more found no room and are missing: a narrower filter, --sample "
			"or --snap-len helps\n",
			lost);
}

static int finish(const struct sink *s, const uint8_t *msg, size_t len)
{
	struct node *reply = tree_add(NULL, NODE_SECTION, "");
	int status = STATUS_OK;

	if (!reply || tree_add_message(reply, msg, len))
		status = cli_fail(STATUS_FAILED, "out of memory");
	else if (strcmp(tree_text(reply, "success", "no"), "yes") != 0)
		status = cli_fail(STATUS_FAILED, "%s", tree_text(reply, "errmsg", "it failed"));
	else if (s->failed && s->failed != EPIPE)
		status = cli_fail(STATUS_FAILED, "cannot write %s: %s", s->name,
				  strerror(s->failed));
	else
		print_result(s, reply);
	tree_free(reply);
	return status;
}

int cli_capture(struct cli *cli)
{
	struct sink sink = {.cli = cli, .name = cli->options.values[VALUE_WRITE], .fd = -1};
	struct vici_builder request = {0};
	const struct vici_call call = {
		.command = "capture",
		.request = &request,
		.event = "capture",
		.on_event = on_event,
		.ctx = &sink,
		.timeout_ms = SILENCE_MS,
	};
	struct error err = {0};
	uint8_t *reply = NULL;
	size_t len;
	int status, rc;

	if (!sink.name)
		return cli_fail(STATUS_USAGE, "capture needs -w FILE, or -w - for standard output");
	if (strcmp(sink.name, "-") == 0 && isatty(STDOUT_FILENO))
		return cli_fail(STATUS_USAGE,
				"a capture is no text: -w FILE, or -w - | tshark -r -");
	build_request(&request, &cli->options);
	catch_signals();
	rc = vici_client_open(cli->options.socket, &cli->client, &err);
	if (!rc)
		rc = vici_client_call(cli->client, &call, &reply, &len, &err);
	if (rc)
		status = cli_fail(rc == -ENOSYS ? STATUS_FAILED : STATUS_UNREACHABLE, "%s",
				  err.text);
	else
		status = finish(&sink, reply, len);
	if (sink.fd > STDOUT_FILENO && close(sink.fd) && status == STATUS_OK)
		status = cli_fail(STATUS_FAILED, "cannot write %s: %s", sink.name, strerror(errno));
	vici_builder_fini(&request);
	free(reply);
	return status;
}
