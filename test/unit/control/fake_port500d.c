// A stand-in for port500d: serves the API over fixed tables (fake_daemon.c) until it is told to
// stop, so that swanctl and port500 can be tried against the vici server alone.
// An initiation of child "net" succeeds after 20 ms, any other fails.
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "control/vici_server.h"
#include "test/unit/control/fake_daemon.h"

static void on_signal(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(ctx);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	(void)ctx;
	if (!fake.watch.done)
		return;
	fake_report(IKE_REPORT_INIT_SENT, IKE_SEV_INFO, fake.conn, 1, "sending a request");
	if (fake.terminations || strcmp(fake.child, "net") == 0)
		fake_done(0, "done");
	else
		fake_done(-ECONNREFUSED, "peer says NO_PROPOSAL_CHOSEN");
}

int main(int argc, char **argv)
{
	static const struct timeval tick = {.tv_usec = 20000};
	struct event_base *base = event_base_new();
	struct vici_server *server = NULL;
	struct event *ev[3] = {0};
	struct error err = {0};
	int status = 1;

	if (argc != 2 || !base)
		return 2;
	fake_init(base, argv[1]);
	if (vici_server_create(&fake.d, &server, &err)) {
		fprintf(stderr, "%s\n", err.text);
		goto out;
	}
	ev[0] = evsignal_new(base, SIGTERM, on_signal, base);
	ev[1] = evsignal_new(base, SIGINT, on_signal, base);
	ev[2] = event_new(base, -1, EV_PERSIST, on_tick, NULL);
	for (unsigned i = 0; i < 3; i++)
		if (!ev[i] || event_add(ev[i], i == 2 ? &tick : NULL))
			goto out;
	fake_report(IKE_REPORT_PROPOSAL_MISMATCH, IKE_SEV_ERROR, "site-c", 2,
		    "the peer accepts none of our proposals");
	event_base_dispatch(base);
	status = 0;
out:
	for (unsigned i = 0; i < 3; i++)
		if (ev[i])
			event_free(ev[i]);
	vici_server_destroy(server);
	fake_fini();
	event_base_free(base);
	return status;
}
