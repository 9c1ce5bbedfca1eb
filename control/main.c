// port500d: the gateway's daemon. Reads the configuration, starts everything, runs the event loop
// in the foreground until a signal ends it. docs/operations.md describes it from outside.
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>

#include "control/check.h"
#include "control/creds.h"
#include "control/daemon.h"
#include "lib/log.h"

#define CONFIG_DEFAULT "/etc/port500/port500.conf"
#define SHUTDOWN_MS    3000 // that peers have to answer our DELETEs

enum { EXIT_OK = 0, EXIT_CONFIG = 1, EXIT_USAGE = 2, EXIT_START = 3 };

static const char help[] =
	"Usage: port500d [-c FILE] [--debug | --quiet]\n"
	"       port500d --check FILE\n"
	"\n"
	"The port500 IPsec gateway. Runs in the foreground and logs to stderr.\n"
	"\n"
	"  -c, --config FILE  configuration (default " CONFIG_DEFAULT ")\n"
	"      --check FILE   load and check a configuration, print a summary, change nothing\n"
	"      --debug        log every detail\n"
	"      --quiet        log warnings and errors only\n"
	"      --version      print the version\n"
	"  -h, --help         print this text\n"
	"\n"
	"Signals: HUP reloads the configuration; TERM and INT delete the SAs at the peers and end\n"
	"the daemon, a second one ends it at once.\n"
	"\n"
	"Exit status: 0 ended as asked, or the checked configuration is good; 1 error in the\n"
	"configuration; 2 wrong usage; 3 start failed (device, permission, memory, busy port).\n";

struct options {
	const char *config;
	bool check;
};

// 0, or the exit status + 1 when there is nothing more to do.
static int parse_options(int argc, char **argv, struct options *o)
{
	enum { OPT_CHECK = 256, OPT_DEBUG, OPT_QUIET, OPT_VERSION };
	static const struct option longs[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", required_argument, NULL, OPT_CHECK},
		{"debug", no_argument, NULL, OPT_DEBUG},
		{"quiet", no_argument, NULL, OPT_QUIET},
		{"version", no_argument, NULL, OPT_VERSION},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:h", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->config = optarg;
			break;
		case OPT_CHECK:
			o->config = optarg;
			o->check = true;
			break;
		case OPT_DEBUG:
			log_set_level(LOG_LEVEL_DEBUG);
			break;
		case OPT_QUIET:
			log_set_level(LOG_LEVEL_WARN);
			break;
		case OPT_VERSION:
			printf("port500d " PORT500_VERSION "\n");
			return EXIT_OK + 1;
		case 'h':
			fputs(help, stdout);
			return EXIT_OK + 1;
		default: // getopt has said what is wrong
			fprintf(stderr, "Try 'port500d --help'.\n");
			return EXIT_USAGE + 1;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "port500d: unexpected argument '%s'\nTry 'port500d --help'.\n",
			argv[optind]);
		return EXIT_USAGE + 1;
	}
	return 0;
}

static void add_warning(void *config, const char *text)
{
	if (config_warn(config, "%s", text))
		fprintf(stderr, "%s\n", text);
}

static int check(const char *path)
{
	struct config *config;
	struct cred *creds;
	struct error err;

	if (config_load(path, &config, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return EXIT_CONFIG;
	}
	if (creds_load(config, add_warning, config, &creds, &err)) {
		fprintf(stderr, "%s\n", err.text);
		config_destroy(config);
		return EXIT_CONFIG;
	}
	check_report(stdout, path, config);
	cred_destroy(creds);
	config_destroy(config);
	return EXIT_OK;
}

// Tells a service manager that waits for it (systemd, Type=notify).
static void notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = path ? strlen(path) : 0;
	int fd;

	if (len < 2 || len >= sizeof(to.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@') // an abstract address
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		log_warn(LOG_DMN, "cannot notify the service manager at %s: %s", path,
			 strerror(errno));
	close(fd);
}

// ---- signals ----

struct running {
	struct daemon d;
	struct event *hup, *term, *intr;
	bool ending;
};

static void on_reload(int sig, short what, void *arg)
{
	struct running *r = arg;
	struct error summary, err;

	(void)sig;
	(void)what;
	if (r->ending)
		return;
	if (daemon_reload(&r->d, &summary, &err))
		log_error(LOG_CFG, "reload failed, nothing has changed: %s", err.text);
	else
		log_notice(LOG_CFG, "reloaded %s; %s", r->d.config_path, summary.text);
}

static void on_shut_down(void *ctx, int result, const char *text)
{
	struct running *r = ctx;

	log_info(LOG_DMN, "%s%s", result ? "ending all the same: " : "", text);
	event_base_loopbreak(r->d.base);
}

static void on_end(int sig, short what, void *arg)
{
	struct running *r = arg;
	struct ike_run_watch watch = {.done = on_shut_down, .ctx = r, .timeout_ms = SHUTDOWN_MS};

	(void)what;
	if (r->ending) {
		log_notice(LOG_DMN, "second signal: ending at once");
		event_base_loopbreak(r->d.base);
		return;
	}
	r->ending = true;
	log_notice(LOG_DMN, "%s: deleting the SAs and ending",
		   sig == SIGTERM ? "SIGTERM" : "SIGINT");
	notify("STOPPING=1");
	ike_run_shutdown(r->d.ike, &watch);
}

static int follow_signals(struct running *r)
{
	signal(SIGPIPE, SIG_IGN);
	r->hup = evsignal_new(r->d.base, SIGHUP, on_reload, r);
	r->term = evsignal_new(r->d.base, SIGTERM, on_end, r);
	r->intr = evsignal_new(r->d.base, SIGINT, on_end, r);
	if (!r->hup || !r->term || !r->intr || event_add(r->hup, NULL) ||
	    event_add(r->term, NULL) || event_add(r->intr, NULL))
		return -ENOMEM;
	return 0;
}

static void forget_signals(struct running *r)
{
	if (r->hup)
		event_free(r->hup);
	if (r->term)
		event_free(r->term);
	if (r->intr)
		event_free(r->intr);
}

// ---- run ----

static void say_ready(const struct daemon *d)
{
	const struct config *c = d->config;

	for (size_t i = 0; i < c->gateway.n_ports; i++) {
		const struct config_port *p = &c->gateway.ports[i];
		char addrs[CONFIG_ADDRS_MAX * IP_PREFIX_TEXT_MAX] = "no address";
		char text[IP_PREFIX_TEXT_MAX];
		size_t len = 0;

		for (unsigned k = 0; k < p->n_addrs; k++)
			len += (size_t)snprintf(addrs + len, sizeof(addrs) - len, "%s%s",
						k ? ", " : "",
						ip_prefix_format(&p->addrs[k], text, sizeof(text)));
		log_info(LOG_DMN, "port %s: %s, %s", p->name, p->device, addrs);
	}
	log_notice(LOG_DMN,
		   "ready: port500d " PORT500_VERSION
		   ", %s; %zu port%s, %u worker%s, %zu connection%s; "
		   "API at %s",
		   dp_version(d->dp), c->gateway.n_ports, c->gateway.n_ports == 1 ? "" : "s",
		   dp_worker_count(d->dp), dp_worker_count(d->dp) == 1 ? "" : "s", c->n_conns,
		   c->n_conns == 1 ? "" : "s", c->gateway.socket);
}

static int run(struct running *r)
{
	struct error err;
	int status = EXIT_OK;

	r->d.base = event_base_new();
	if (!r->d.base || follow_signals(r)) {
		log_error(LOG_DMN, "out of memory");
		status = EXIT_START;
		goto out;
	}
	if (daemon_start(&r->d, &err)) {
		log_error(LOG_DMN, "%s", err.text);
		status = EXIT_START;
		goto out;
	}
	say_ready(&r->d);
	notify("READY=1");
	event_base_dispatch(r->d.base);
	daemon_stop(&r->d);
	event_base_loop(r->d.base, EVLOOP_NONBLOCK); // the end of names still asked for
	log_notice(LOG_DMN, "ended");
out:
	forget_signals(r);
	if (r->d.base)
		event_base_free(r->d.base);
	libevent_global_shutdown();
	return status;
}

int main(int argc, char **argv)
{
	struct options o = {.config = CONFIG_DEFAULT};
	struct running r = {0};
	struct error err;
	int done = parse_options(argc, argv, &o);

	if (done)
		return done - 1;
	if (o.check)
		return check(o.config);
	if (config_load(o.config, &r.d.config, &err)) {
		log_error(LOG_CFG, "%s", err.text);
		return EXIT_CONFIG;
	}
	if (creds_load(r.d.config, daemon_warn, NULL, &r.d.creds, &err)) {
		log_error(LOG_CFG, "%s", err.text);
		config_destroy(r.d.config);
		return EXIT_CONFIG;
	}
	for (size_t i = 0; i < r.d.config->n_warnings; i++)
		log_warn(LOG_CFG, "%s", r.d.config->warnings[i]);
	r.d.config_path = o.config;
	return run(&r);
}
