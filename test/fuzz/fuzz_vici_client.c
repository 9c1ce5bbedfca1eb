// The client of vici on whatever a server answers: a streamed command with its event.
//
// Input: the octets that the server sends before it closes.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/cli/vici_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sockaddr_un addr = {.sun_family = AF_UNIX};

static void tidy(void)
{
	unlink(addr.sun_path);
}

static int listener(void)
{
	static int fd = -1;

	if (fd >= 0)
		return fd;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/tmp/fuzz_vici_client.%d", (int)getpid());
	unlink(addr.sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 4))
		abort();
	atexit(tidy);
	return fd;
}

static void on_event(void *ctx, const uint8_t *msg, size_t len)
{
	unsigned *n = ctx;

	if (vici_check(msg, len)) // the client has done it
		abort();
	++*n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned events = 0;
	struct vici_call call = {
		.command = "list-sas",
		.event = "list-sa",
		.on_event = on_event,
		.ctx = &events,
		.timeout_ms = 5000,
	};
	struct vici_client *c = NULL;
	struct error err = {""};
	uint8_t *reply = NULL;
	size_t len = 0;
	int fd, rc;

	if (size > 16384) // fits into the socket's buffer
		return 0;
	fd = listener();
	if (vici_client_open(addr.sun_path, &c, &err))
		abort();
	fd = accept(fd, NULL, NULL);
	if (fd < 0 || send(fd, data, size, MSG_NOSIGNAL) != (ssize_t)size)
		abort();
	shutdown(fd, SHUT_WR);
	rc = vici_client_call(c, &call, &reply, &len, &err);
	if (rc == 0 ? vici_check(reply, len) : !err.text[0] || rc == -ETIMEDOUT)
		abort();
	free(reply);
	vici_client_close(c);
	close(fd);
	return 0;
}
