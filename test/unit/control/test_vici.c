// The vici server over a real unix socket, in one process with its client, on a daemon that is
// none (fake_daemon.h).
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/recorder.h"
#include "control/vici_server.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/vici_msg.h"
#include "test/unit/control/fake_daemon.h"

static struct event_base *base;
static struct vici_server *server;
static char dir[64], path[96];

// A client whose reads never block the loop the server runs in.
struct client {
	int fd;
	uint8_t *buf;
	size_t len, taken;
	bool closed; // by the server
};

static void quiet(void *ctx, enum log_level level, enum log_group group, const char *text)
{
	(void)ctx;
	(void)level;
	(void)group;
	(void)text;
}

static int setup(void **state)
{
	struct error err = {0};

	(void)state;
	log_set_sink(quiet, NULL);
	strcpy(dir, "/tmp/vici-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sock", dir);
	base = event_base_new();
	fake_init(base, path);
	assert_int_equal(vici_server_create(&fake.d, &server, &err), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vici_server_destroy(server);
	assert_int_equal(access(path, F_OK), -1); // the socket file is gone
	assert_int_equal(rmdir(dir), 0);
	fake_fini();
	event_base_free(base);
	log_set_sink(NULL, NULL);
	return 0;
}

static void pump(void)
{
	for (int i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static struct client client_open(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct client c = {.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)};

	assert_true(c.fd >= 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(connect(c.fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	pump();
	return c;
}

static void client_close(struct client *c)
{
	close(c->fd);
	free(c->buf);
	pump();
}

static void client_read(struct client *c)
{
	for (;;) {
		uint8_t chunk[65536];
		ssize_t n = recv(c->fd, chunk, sizeof(chunk), 0);

		if (n == 0 || (n < 0 && errno == ECONNRESET))
			c->closed = true;
		if (n <= 0)
			return;
		c->buf = realloc(c->buf, c->len + (size_t)n);
		assert_non_null(c->buf);
		memcpy(c->buf + c->len, chunk, (size_t)n);
		c->len += (size_t)n;
	}
}

// Takes the first packet that has arrived; false when there is none. p->msg is valid until the
// next call.
static bool client_packet(struct client *c, struct vici_packet *p)
{
	static uint8_t last[LIMIT_VICI_MESSAGE_LEN];
	uint32_t len;

	for (int i = 0; i < 50; i++) {
		if (i || c->len == c->taken) {
			pump();
			client_read(c);
		}
		if (c->len - c->taken < 4)
			continue;
		memcpy(&len, c->buf + c->taken, 4);
		len = ntohl(len);
		assert_true(len > 0 && len <= sizeof(last));
		if (c->len - c->taken < 4 + len)
			continue;
		memcpy(last, c->buf + c->taken + 4, len);
		c->taken += 4 + len;
		if (c->taken == c->len)
			c->taken = c->len = 0;
		assert_int_equal(vici_packet_parse(last, len, p), 0);
		assert_int_equal(vici_check(p->msg, p->msg_len), 0);
		return true;
	}
	return false;
}

static void client_send(struct client *c, const void *data, size_t len)
{
	assert_int_equal(send(c->fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void client_ask(struct client *c, enum vici_packet_type type, const char *name,
		       struct vici_builder *msg)
{
	uint8_t *packet;
	size_t len;

	assert_int_equal(vici_packet_build(type, name, msg, &packet, &len), 0);
	client_send(c, packet, len);
	free(packet);
	if (msg)
		vici_builder_fini(msg);
}

static void client_register(struct client *c, const char *event)
{
	struct vici_packet p;

	client_ask(c, VICI_EVENT_REGISTER, event, NULL);
	assert_true(client_packet(c, &p));
	assert_int_equal(p.type, VICI_EVENT_CONFIRM);
}

static void expect_text(const struct vici_packet *p, const char *key, const char *value)
{
	char text[1024];

	assert_int_equal(vici_get(p->msg, p->msg_len, key, text, sizeof(text)), 0);
	assert_string_equal(text, value);
}

static void expect_absent(const struct vici_packet *p, const char *key)
{
	char text[1024];

	assert_int_equal(vici_get(p->msg, p->msg_len, key, text, sizeof(text)), -ENOENT);
}

// The next packet is a response with that errmsg (NULL: success).
static void expect_result(struct client *c, const char *errmsg)
{
	struct vici_packet p;

	assert_true(client_packet(c, &p));
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	expect_text(&p, "success", errmsg ? "no" : "yes");
	if (errmsg)
		expect_text(&p, "errmsg", errmsg);
	else
		expect_absent(&p, "errmsg");
}

static void expect_event(struct client *c, const char *name, struct vici_packet *p)
{
	assert_true(client_packet(c, p));
	assert_int_equal(p->type, VICI_EVENT);
	assert_string_equal(p->name, name);
}

static void expect_closed(struct client *c)
{
	for (int i = 0; i < 50 && !c->closed; i++) {
		pump();
		client_read(c);
	}
	assert_true(c->closed);
}

static void expect_alive(struct client *c)
{
	struct vici_packet p;

	client_ask(c, VICI_CMD_REQUEST, "version", NULL);
	assert_true(client_packet(c, &p));
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	expect_text(&p, "daemon", "port500d");
}

// ---- framing ----

static void test_packets_byte_by_byte(void **state)
{
	struct client c = client_open();
	struct vici_packet p;
	uint8_t *packet;
	size_t len;

	(void)state;
	assert_int_equal(vici_packet_build(VICI_CMD_REQUEST, "version", NULL, &packet, &len), 0);
	for (size_t i = 0; i < len; i++) {
		client_send(&c, packet + i, 1);
		pump();
	}
	free(packet);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "version", PORT500_VERSION);
	client_close(&c);
}

static void test_packets_in_one_write(void **state)
{
	struct client c = client_open();
	struct vici_packet p;
	uint8_t buf[512], *packet;
	size_t len, all = 0;

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(vici_packet_build(VICI_CMD_REQUEST,
						   i == 3 ? "nonsense" : "version", NULL, &packet,
						   &len),
				 0);
		memcpy(buf + all, packet, len);
		all += len;
		free(packet);
	}
	client_send(&c, buf, all - 3); // the last one is cut
	for (int i = 0; i < 4; i++) {
		assert_true(client_packet(&c, &p));
		assert_int_equal(p.type, i == 3 ? VICI_CMD_UNKNOWN : VICI_CMD_RESPONSE);
	}
	assert_false(client_packet(&c, &p));
	client_send(&c, buf + all - 3, 3);
	assert_true(client_packet(&c, &p));
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	client_close(&c);
}

static void test_bad_packets_close(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *why;
	} rows[] = {
		{"\0\0\0\0", 4, "empty packet"},
		{"\0\x08\0\x01", 4, "one byte over 512 KiB"},
		{"\xff\xff\xff\xff", 4, "4 GiB"},
		{"\0\0\0\x01\x09", 5, "unknown packet type"},
		{"\0\0\0\x01\0", 5, "request without a name"},
		{"\0\0\0\x03\0\x09v", 7, "name longer than the packet"},
		{"\0\0\0\x01\x01", 5, "a response from a client"},
		{"\0\0\0\x01\x05", 5, "a confirmation from a client"},
		{"\0\0\0\x05\x07\x03log", 9, "an event from a client"},
		{"\0\0\0\x0a\0\x07version\x63", 14, "unknown element"},
		{"\0\0\0\x0a\0\x07version\x02", 14, "section end without start"},
		{"\0\0\0\x0d\0\x07version\x03\x01k\xff", 17, "value cut short"},
		{"\0\0\0\x0c\0\x07version\x01\x01s", 16, "section never closed"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct client c = client_open();

		client_send(&c, rows[i].bytes, rows[i].len);
		for (int k = 0; k < 50 && !c.closed; k++) {
			pump();
			client_read(&c);
		}
		if (!c.closed || c.len != c.taken)
			fail_msg("not closed in silence: %s", rows[i].why);
		client_close(&c);
	}
}

static void test_largest_packet_passes(void **state)
{
	struct client c = client_open();
	struct vici_builder b = {0};
	struct vici_packet p;
	char value[60001];
	uint8_t *packet;
	size_t len, sent = 0;

	(void)state;
	memset(value, 'x', 60000);
	value[60000] = '\0';
	for (int i = 0; i < 8; i++)
		vici_kv(&b, "k", value);
	assert_int_equal(vici_packet_build(VICI_CMD_REQUEST, "version", &b, &packet, &len), 0);
	vici_builder_fini(&b);
	while (sent < len) {
		ssize_t n = send(c.fd, packet + sent, len - sent, MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t)n;
		pump();
	}
	free(packet);
	assert_true(client_packet(&c, &p));
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	client_close(&c);
}

static void test_random_bytes_do_no_harm(void **state)
{
	uint32_t x = 12345;

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct client c = client_open();
		uint8_t buf[64];

		for (size_t i = 0; i < sizeof(buf); i++) {
			x = x * 1664525 + 1013904223;
			buf[i] = (uint8_t)(x >> 24);
		}
		// Half of them with a plausible length and type.
		if (round % 2)
			memcpy(buf, "\0\0\0\x3c\0\x08list-sas", 14);
		send(c.fd, buf, sizeof(buf), MSG_NOSIGNAL);
		pump();
		client_close(&c);
	}
	struct client c = client_open();

	expect_alive(&c);
	client_close(&c);
}

static void test_unknown_command_and_event(void **state)
{
	struct client c = client_open();
	struct vici_packet p;

	(void)state;
	client_ask(&c, VICI_CMD_REQUEST, "list-certs", NULL);
	assert_true(client_packet(&c, &p));
	assert_int_equal(p.type, VICI_CMD_UNKNOWN);
	client_ask(&c, VICI_EVENT_REGISTER, "list-cert", NULL);
	assert_true(client_packet(&c, &p));
	assert_int_equal(p.type, VICI_EVENT_UNKNOWN);
	client_ask(&c, VICI_EVENT_UNREGISTER, "list-sa", NULL);
	assert_true(client_packet(&c, &p));
	assert_int_equal(p.type, VICI_EVENT_CONFIRM);
	client_ask(&c, VICI_CMD_REQUEST, "load-conn", NULL);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "success", "no");
	client_close(&c);
}

// ---- the socket ----

static void test_second_server_is_refused(void **state)
{
	struct vici_server *other = NULL;
	struct error err = {0};

	(void)state;
	assert_int_equal(vici_server_create(&fake.d, &other, &err), -EADDRINUSE);
	assert_null(other);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(access(path, F_OK), 0); // the living one keeps its file
}

static void test_stale_socket_is_replaced(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct error err = {0};
	struct stat st;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	vici_server_destroy(server);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(vici_server_create(&fake.d, &server, &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	struct client c = client_open();

	expect_alive(&c);
	client_close(&c);
}

static void test_other_files_are_left_alone(void **state)
{
	struct vici_server *other = NULL;
	struct error err = {0};
	char *keep = fake.config.gateway.socket;
	char file[128];

	(void)state;
	snprintf(file, sizeof(file), "%s/file", dir);
	close(open(file, O_CREAT | O_WRONLY, 0600));
	fake.config.gateway.socket = file;
	assert_int_equal(vici_server_create(&fake.d, &other, &err), -EEXIST);
	assert_non_null(strstr(err.text, "not a socket"));
	assert_int_equal(unlink(file), 0);
	snprintf(file, sizeof(file), "%s/none/sock", dir);
	assert_int_equal(vici_server_create(&fake.d, &other, &err), -ENOENT);
	assert_non_null(strstr(err.text, "directory does not exist"));
	fake.config.gateway.socket = keep;
}

static void test_too_many_clients(void **state)
{
	struct client c[LIMIT_VICI_CLIENTS + 1];

	(void)state;
	for (unsigned i = 0; i <= LIMIT_VICI_CLIENTS; i++)
		c[i] = client_open();
	expect_closed(&c[LIMIT_VICI_CLIENTS]);
	expect_alive(&c[LIMIT_VICI_CLIENTS - 1]);
	client_close(&c[0]);
	client_close(&c[LIMIT_VICI_CLIENTS]);
	c[0] = client_open();
	expect_alive(&c[0]);
	for (unsigned i = 0; i < LIMIT_VICI_CLIENTS; i++)
		client_close(&c[i]);
}

// ---- lists ----

static void test_list_sas(void **state)
{
	struct client c = client_open();
	struct vici_packet p;

	(void)state;
	client_register(&c, "list-sa");
	client_ask(&c, VICI_CMD_REQUEST, "list-sas", NULL);
	expect_event(&c, "list-sa", &p);
	expect_text(&p, "site-b.uniqueid", "1");
	expect_text(&p, "site-b.version", "2");
	expect_text(&p, "site-b.state", "ESTABLISHED");
	expect_text(&p, "site-b.local-host", "192.0.2.1");
	expect_text(&p, "site-b.local-port", "4500");
	expect_text(&p, "site-b.remote-id", "gw-b.example");
	expect_text(&p, "site-b.initiator", "yes");
	expect_text(&p, "site-b.initiator-spi", "0001020304050607");
	expect_text(&p, "site-b.responder-spi", "f8f9fafbfcfdfeff");
	expect_absent(&p, "site-b.nat-local");
	expect_text(&p, "site-b.nat-remote", "yes");
	expect_text(&p, "site-b.mobike", "yes");
	expect_text(&p, "site-b.encr-alg", "AES_GCM_16");
	expect_text(&p, "site-b.encr-keysize", "128");
	expect_absent(&p, "site-b.integ-alg");
	expect_text(&p, "site-b.prf-alg", "PRF_HMAC_SHA2_256");
	expect_text(&p, "site-b.dh-group", "CURVE_25519");
	expect_text(&p, "site-b.established", "65");
	expect_text(&p, "site-b.child-sas.net-100.state", "INSTALLED");
	expect_text(&p, "site-b.child-sas.net-100.encap", "yes");
	expect_text(&p, "site-b.child-sas.net-100.spi-in", "c0000001");
	expect_text(&p, "site-b.child-sas.net-100.spi-out", "0d0e0f10");
	expect_text(&p, "site-b.child-sas.net-100.bytes-in", "5678901");
	expect_text(&p, "site-b.child-sas.net-100.use-in", "2");
	expect_absent(&p, "site-b.child-sas.net-100.use-out"); // no packet yet
	expect_text(&p, "site-b.child-sas.net-100.rekey-time", "3000");
	expect_absent(&p, "site-b.child-sas.net-100.life-time"); // not limited
	assert_true(client_packet(&c, &p));
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	assert_int_equal(p.msg_len, 0);
	client_close(&c);
}

static unsigned count_sas(struct client *c, const char *key, const char *value)
{
	struct vici_builder b = {0};
	struct vici_packet p;
	unsigned n = 0;

	if (key)
		vici_kv(&b, key, value);
	client_ask(c, VICI_CMD_REQUEST, "list-sas", &b);
	while (client_packet(c, &p) && p.type == VICI_EVENT)
		n++;
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	return n;
}

static void test_list_sas_filters(void **state)
{
	struct client c = client_open();

	(void)state;
	fake.n_sas = 5;
	client_register(&c, "list-sa");
	assert_int_equal(count_sas(&c, NULL, NULL), 5);
	assert_int_equal(count_sas(&c, "ike", "site-b"), 5);
	assert_int_equal(count_sas(&c, "ike", "site-c"), 0);
	assert_int_equal(count_sas(&c, "ike-id", "3"), 1);
	assert_int_equal(count_sas(&c, "ike-id", "nonsense"), 0);
	client_close(&c);
}

// A long list goes out as fast as the client reads, complete and in order.
static void test_long_list_to_a_slow_reader(void **state)
{
	struct client c = client_open();
	struct vici_packet p;
	unsigned next = 1;

	(void)state;
	fake.n_sas = 5000; // some 5 MB
	client_register(&c, "list-sa");
	client_ask(&c, VICI_CMD_REQUEST, "list-sas", NULL);
	pump();
	while (client_packet(&c, &p) && p.type == VICI_EVENT) {
		char id[16];

		snprintf(id, sizeof(id), "%u", next++);
		expect_text(&p, "site-b.uniqueid", id);
	}
	assert_int_equal(next, 5001);
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	expect_alive(&c);
	client_close(&c);
}

static void test_disconnect_during_a_stream(void **state)
{
	struct client c = client_open(), other;

	(void)state;
	fake.n_routes = 100000;
	client_register(&c, "show-route");
	client_ask(&c, VICI_CMD_REQUEST, "show-routes", NULL);
	pump();
	client_close(&c);
	other = client_open();
	expect_alive(&other);
	client_close(&other);
}

static void ask_trap(struct client *c, const char *command, const char *child, const char *success)
{
	struct vici_builder b = {0};
	struct vici_packet p;

	vici_kv(&b, "child", child);
	client_ask(c, VICI_CMD_REQUEST, command, &b);
	assert_true(client_packet(c, &p));
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	expect_text(&p, "success", success);
}

static void expect_policy_trap(struct client *c, const char *value)
{
	struct vici_builder b = {0};
	struct vici_packet p;

	vici_kv(&b, "trap", "yes");
	vici_kv(&b, "child", "net");
	client_ask(c, VICI_CMD_REQUEST, "list-policies", &b);
	expect_event(c, "list-policy", &p);
	expect_text(&p, "site-b/net.mode", "TUNNEL");
	expect_text(&p, "site-b/net.trap", value);
	assert_true(client_packet(c, &p));
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	client_ask(c, VICI_CMD_REQUEST, "show-conns", NULL);
	expect_event(c, "show-conn", &p);
	expect_text(&p, "site-b.children.net.trap", value);
	expect_absent(&p, "site-b.children.local.trap"); // a rule
	expect_text(&p, "site-b.children.local.port", "lan");
	expect_absent(&p, "site-b.children.net.port");
	expect_event(c, "show-conn", &p);
	assert_true(client_packet(c, &p));
}

static void test_install_and_uninstall_a_trap(void **state)
{
	struct client c = client_open();

	(void)state;
	client_register(&c, "list-policy");
	client_register(&c, "show-conn");
	expect_policy_trap(&c, "no");
	ask_trap(&c, "install", "net", "yes");
	expect_policy_trap(&c, "yes");
	ask_trap(&c, "uninstall", "net", "yes");
	expect_policy_trap(&c, "no");
	ask_trap(&c, "install", "nothing", "no");
	ask_trap(&c, "install", "", "no");
	client_close(&c);
}

static void test_policies_of_one_port(void **state)
{
	struct client c = client_open();
	struct vici_builder b = {0};
	struct vici_packet p;

	(void)state;
	client_register(&c, "list-policy");
	vici_kv(&b, "pass", "yes");
	client_ask(&c, VICI_CMD_REQUEST, "list-policies", &b);
	expect_event(&c, "list-policy", &p);
	expect_text(&p, "site-b/local.mode", "PASS");
	expect_text(&p, "site-b/local.port", "lan");
	assert_true(client_packet(&c, &p));
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	client_close(&c);
}

static void test_events_only_when_registered(void **state)
{
	struct client c = client_open();
	struct vici_packet p;

	(void)state;
	client_ask(&c, VICI_CMD_REQUEST, "list-sas", NULL);
	assert_true(client_packet(&c, &p));
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	client_register(&c, "list-sa");
	client_ask(&c, VICI_EVENT_UNREGISTER, "list-sa", NULL);
	assert_true(client_packet(&c, &p));
	assert_int_equal(p.type, VICI_EVENT_CONFIRM);
	client_ask(&c, VICI_CMD_REQUEST, "list-sas", NULL);
	assert_true(client_packet(&c, &p));
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	client_close(&c);
}

static void test_list_conns_and_states(void **state)
{
	struct client c = client_open();
	struct vici_packet p;

	(void)state;
	client_register(&c, "list-conn");
	client_register(&c, "show-conn");
	client_ask(&c, VICI_CMD_REQUEST, "list-conns", NULL);
	expect_event(&c, "list-conn", &p);
	expect_text(&p, "site-b.version", "IKEv2");
	expect_text(&p, "site-b.local-1.class", "pre-shared key");
	expect_text(&p, "site-b.remote-1.id", "gw-b.example");
	expect_text(&p, "site-b.children.net.mode", "TUNNEL");
	expect_text(&p, "site-b.children.net.start_action", "start");
	expect_text(&p, "site-b.children.local.mode", "PASS");
	expect_event(&c, "list-conn", &p);
	expect_absent(&p, "site-c.remote-1.id");
	assert_true(client_packet(&c, &p));
	assert_int_equal(p.type, VICI_CMD_RESPONSE);

	fake_report(IKE_REPORT_AUTH_FAILED, IKE_SEV_ERROR, "site-c", 9, "their key is another");
	fake.now_ms += 5000;
	client_ask(&c, VICI_CMD_REQUEST, "show-conns", NULL);
	expect_event(&c, "show-conn", &p);
	expect_text(&p, "site-b.state", "up");
	expect_text(&p, "site-b.children.net.state", "up");
	expect_text(&p, "site-b.children.net.packets-in", "100");
	expect_text(&p, "site-b.children.net.bytes-out", "2000");
	expect_text(&p, "site-b.children.net.replays", "3");
	expect_absent(&p, "site-b.children.local.packets-in");
	expect_absent(&p, "site-b.last-error");
	expect_event(&c, "show-conn", &p);
	expect_text(&p, "site-c.state", "down");
	expect_text(&p, "site-c.children.voice.state", "down");
	expect_text(&p, "site-c.last-error", "their key is another");
	expect_text(&p, "site-c.last-error-code", "N-PSK");
	expect_text(&p, "site-c.last-error-ago", "5");
	assert_true(client_packet(&c, &p));

	// Others do not disturb it, whatever their names, and the newest reason counts.
	fake_report(IKE_REPORT_NO_ANSWER, IKE_SEV_ERROR, "site-b", 10, "b");
	fake_report(IKE_REPORT_NO_CONNECTION, IKE_SEV_ERROR, "192.0.2.66[500]", 11, "who?");
	fake_report(IKE_REPORT_ESTABLISHED, IKE_SEV_INFO, "site-b", 10, "b");
	fake_report(IKE_REPORT_PROPOSAL_MISMATCH, IKE_SEV_ERROR, "site-c", 9, "newer");
	client_ask(&c, VICI_CMD_REQUEST, "show-conns", NULL);
	expect_event(&c, "show-conn", &p);
	expect_event(&c, "show-conn", &p);
	expect_text(&p, "site-c.last-error", "newer");
	expect_text(&p, "site-c.last-error-ago", "0");
	assert_true(client_packet(&c, &p));

	// Up again: the old reason is history.
	fake_report(IKE_REPORT_CHILD_UP, IKE_SEV_INFO, "site-c", 9, "up");
	client_ask(&c, VICI_CMD_REQUEST, "show-conns", NULL);
	expect_event(&c, "show-conn", &p);
	expect_event(&c, "show-conn", &p);
	expect_absent(&p, "site-c.last-error");
	assert_true(client_packet(&c, &p));

	// A new configuration starts with a clean slate.
	fake_report(IKE_REPORT_NO_ANSWER, IKE_SEV_ERROR, "site-b", 12, "silence");
	fake.d.generation++;
	fake_report(IKE_REPORT_NO_ANSWER, IKE_SEV_ERROR, "site-c", 13, "silence");
	client_ask(&c, VICI_CMD_REQUEST, "show-conns", NULL);
	expect_event(&c, "show-conn", &p);
	expect_absent(&p, "site-b.last-error");
	expect_event(&c, "show-conn", &p);
	expect_text(&p, "site-c.last-error", "silence");
	assert_true(client_packet(&c, &p));
	client_close(&c);
}

static struct vici_builder request(const char *key, const char *value, const char *timeout)
{
	struct vici_builder b = {0};

	vici_kv(&b, key, value);
	if (timeout)
		vici_kv(&b, "timeout", timeout);
	return b;
}

static void test_refusals_are_listed_and_announced(void **state)
{
	struct client c = client_open();
	struct ike_refusal *r = calloc(1, sizeof(*r));
	struct vici_packet p;

	(void)state;
	client_register(&c, "list-refusal");
	client_register(&c, "refusal");
	r->code = IKE_REPORT_TS_MISMATCH;
	snprintf(r->conn, sizeof(r->conn), "site-b");
	snprintf(r->why, sizeof(r->why), "no child fits");
	fake_refusal(r);
	expect_event(&c, "refusal", &p);
	expect_text(&p, "1.ike", "site-b");
	expect_text(&p, "1.code", "C-TS");
	expect_text(&p, "1.msg", "no child fits");
	snprintf(r->conn, sizeof(r->conn), "site-c");
	fake_refusal(r);
	expect_event(&c, "refusal", &p);
	r->brief = true; // neither announced nor listed
	fake_refusal(r);
	client_ask(&c, VICI_CMD_REQUEST, "list-refusals", NULL);
	expect_event(&c, "list-refusal", &p);
	expect_text(&p, "1.ike", "site-b");
	expect_event(&c, "list-refusal", &p);
	expect_text(&p, "2.ike", "site-c");
	assert_true(client_packet(&c, &p));
	assert_int_equal(p.type, VICI_CMD_RESPONSE);

	struct vici_builder only = request("ike", "site-c", NULL);

	client_ask(&c, VICI_CMD_REQUEST, "list-refusals", &only);
	expect_event(&c, "list-refusal", &p);
	expect_text(&p, "2.ike", "site-c");
	assert_true(client_packet(&c, &p));
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	client_ask(&c, VICI_CMD_REQUEST, "status", NULL);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "refusals.peers", "2");
	expect_text(&p, "refusals.strangers", "0");
	expect_text(&p, "refusals.left-out", "1");
	client_close(&c);
	free(r);
}

// ---- doctor ----

static void test_doctor(void **state)
{
	struct client c = client_open();
	struct doctor_facts *f = &fake.facts;
	struct vici_packet p;

	(void)state;
	f->route.peer_known = DOCTOR_YES;
	f->route.have = DOCTOR_NO;
	snprintf(f->route.why, sizeof(f->route.why), "no route to 192.0.2.2");
	f->ike.tx_500 = (struct doctor_count){
		.known = true, .n = 4, .window_ms = 60000, .ever = true, .ago_ms = 1500};
	client_register(&c, "doctor");
	client_ask(&c, VICI_CMD_REQUEST, "doctor", NULL);
	expect_event(&c, "doctor", &p);
	expect_text(&p, "site-b.status", "down");
	expect_text(&p, "site-b.exit", "2");
	expect_text(&p, "site-b.code", "R-NOROUTE");
	expect_text(&p, "site-b.owner", "us");
	expect_text(&p, "site-b.confidence", "high");
	expect_text(&p, "site-b.keep-config", "no");
	expect_text(&p, "site-b.verdict", "site-b is down: no route to the peer through a port");
	expect_text(&p, "site-b.rungs.route.state", "fail");
	expect_text(&p, "site-b.rungs.route.evidence", "no route to 192.0.2.2");
	expect_text(&p, "site-b.rungs.route.replaces", "show ip route PEER");
	expect_text(&p, "site-b.rungs.esp.state", "not-reached");
	expect_text(&p, "site-b.facts.tx-500.count", "4");
	expect_text(&p, "site-b.facts.tx-500.ago-ms", "1500");
	expect_event(&c, "doctor", &p);
	expect_text(&p, "site-c.code", "R-NOROUTE");
	assert_true(client_packet(&c, &p));
	assert_int_equal(p.type, VICI_CMD_RESPONSE);

	struct vici_builder only = request("ike", "site-c", NULL);
	struct vici_builder nobody = request("ike", "site-x", NULL);

	client_ask(&c, VICI_CMD_REQUEST, "doctor", &only);
	expect_event(&c, "doctor", &p);
	expect_text(&p, "site-c.exit", "2");
	assert_true(client_packet(&c, &p));
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	client_ask(&c, VICI_CMD_REQUEST, "doctor", &nobody);
	assert_true(client_packet(&c, &p));
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	expect_text(&p, "success", "no");
	client_close(&c);
}

// ---- initiate and terminate ----

static void test_initiate_with_progress(void **state)
{
	struct vici_builder b = request("child", "net", "1500");
	struct client c = client_open();
	struct vici_packet p;

	(void)state;
	client_register(&c, "control-log");
	client_ask(&c, VICI_CMD_REQUEST, "initiate", &b);
	pump();
	assert_int_equal(fake.initiations, 1);
	assert_string_equal(fake.child, "net");
	assert_string_equal(fake.conn, "");
	assert_int_equal(fake.watch.timeout_ms, 1500);
	fake_report(IKE_REPORT_INIT_SENT, IKE_SEV_INFO, "site-b", 7, "sending IKE_SA_INIT");
	fake_report(IKE_REPORT_INFO, IKE_SEV_DEBUG, "site-b", 7, "detail nobody asked for");
	expect_event(&c, "control-log", &p);
	expect_text(&p, "msg", "sending IKE_SA_INIT");
	expect_text(&p, "group", "NET");
	expect_text(&p, "level", "1");
	expect_text(&p, "ikesa-name", "site-b");
	assert_false(client_packet(&c, &p)); // the command is still running
	// What comes meanwhile waits for its turn.
	client_ask(&c, VICI_CMD_REQUEST, "version", NULL);
	assert_false(client_packet(&c, &p));
	fake_done(0, NULL);
	expect_result(&c, NULL);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "daemon", "port500d");
	client_close(&c);
}

static void test_a_probe(void **state)
{
	struct client c = client_open(), d = client_open();
	struct vici_builder b = request("ike", "nobody", NULL);
	struct vici_packet p;

	(void)state;
	client_ask(&c, VICI_CMD_REQUEST, "probe", &b);
	expect_result(&c, "no connection 'nobody'");
	client_ask(&c, VICI_CMD_REQUEST, "probe", NULL);
	expect_result(&c, "missing connection name (ike)");

	client_register(&c, "probe");
	b = request("ike", "lab", NULL);
	client_ask(&c, VICI_CMD_REQUEST, "probe", &b);
	pump();
	assert_non_null(fake.probe.done);
	fake.probe.progress(fake.probe.ctx, "500-large", 3, 70);
	expect_event(&c, "probe", &p);
	expect_text(&p, "question", "500-large");
	expect_text(&p, "sent", "3");
	expect_text(&p, "of", "70");
	assert_false(client_packet(&c, &p)); // nobody waits for it but this client
	client_ask(&d, VICI_CMD_REQUEST, "version", NULL);
	assert_true(client_packet(&d, &p));
	fake.probed = (struct doctor_probe_facts){
		.ago_ms = 12,
		.echo = {.answer = DOCTOR_ANSWERED, .sent = 5, .answered = 4, .rtt_us = 9, .ttl = 61},
		.echo_fits = 1400,
		.ike_500 = {.answer = DOCTOR_SILENT, .sent = 4},
		.ike_4500 = {.answer = DOCTOR_REFUSED,
			     .sent = 4,
			     .icmp = DOCTOR_ICMP_ADMIN,
			     .by = ip_addr_v4(0xc0000201)},
		.hops_500 = {.probed = true, .last = 3, .last_addr = ip_addr_v4(0xc0000202)},
	};
	fake.probe.done(fake.probe.ctx);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "success", "yes");
	expect_text(&p, "lab.echo.answered", "4");
	expect_text(&p, "lab.echo.rtt-us", "9");
	expect_text(&p, "lab.echo.ttl", "61");
	expect_text(&p, "lab.echo-fits", "1400");
	expect_text(&p, "lab.500.answer", "silent");
	expect_text(&p, "lab.4500.answer", "refused");
	expect_text(&p, "lab.4500.icmp", "prohibited");
	expect_text(&p, "lab.4500.icmp-from", "192.0.2.1");
	expect_text(&p, "lab.hops-500.last", "3");
	expect_text(&p, "lab.hops-500.arrived", "no");

	fake.probe = (struct ike_run_probe_watch){0};
	b = request("ike", "lab", NULL);
	client_ask(&c, VICI_CMD_REQUEST, "probe", &b);
	pump();
	assert_non_null(fake.probe.done);
	client_close(&c); // nobody is told any more
	pump();
	assert_null(fake.probe.done);
	client_close(&d);
}

static void test_initiate_results(void **state)
{
	struct client c = client_open();
	struct vici_packet p;
	struct vici_builder b;

	(void)state;
	b = request("child", "net", NULL);
	client_ask(&c, VICI_CMD_REQUEST, "initiate", &b);
	pump();
	assert_int_equal(fake.watch.timeout_ms, 0);
	fake_done(-ECONNREFUSED, "NO_PROPOSAL_CHOSEN");
	expect_result(&c, "establishing CHILD_SA 'net' failed: NO_PROPOSAL_CHOSEN");

	b = request("ike", "site-b", "20");
	client_ask(&c, VICI_CMD_REQUEST, "initiate", &b);
	pump();
	fake_done(-ETIMEDOUT, "not done within 0.0 s");
	expect_result(&c, "establishing IKE_SA 'site-b' failed: not done within 0.0 s");

	fake.initiate = FAKE_UP_AT_ONCE; // done comes inside the call
	b = request("child", "net", NULL);
	client_ask(&c, VICI_CMD_REQUEST, "initiate", &b);
	expect_result(&c, NULL);

	fake.initiate = FAKE_REFUSE;
	b = request("child", "x", NULL);
	client_ask(&c, VICI_CMD_REQUEST, "initiate", &b);
	expect_result(&c, "no child is called 'x'");

	fake.initiate = FAKE_WAIT;
	b = request("child", "net", "-1"); // nobody waits
	client_ask(&c, VICI_CMD_REQUEST, "initiate", &b);
	expect_result(&c, NULL);
	assert_null(fake.watch.done);

	b = request("other", "net", NULL);
	client_ask(&c, VICI_CMD_REQUEST, "initiate", &b);
	expect_result(&c, "missing configuration name");
	assert_false(client_packet(&c, &p));
	client_close(&c);
}

static void test_disconnect_during_initiate(void **state)
{
	struct vici_builder b = request("child", "net", NULL);
	struct client c = client_open();

	(void)state;
	client_register(&c, "control-log");
	client_ask(&c, VICI_CMD_REQUEST, "initiate", &b);
	pump();
	assert_non_null(fake.watch.done);
	assert_int_equal(fake.unwatched, 0);
	client_close(&c);
	assert_int_equal(fake.unwatched, 1);
	assert_null(fake.watch.done);
	fake_report(IKE_REPORT_INFO, IKE_SEV_INFO, "site-b", 1, "too late");
	fake_done(0, NULL);
}

// The server goes away while a client waits.
static void test_destroy_during_initiate(void **state)
{
	struct vici_builder b = request("child", "net", NULL);
	struct client c = client_open();
	struct error err = {0};

	(void)state;
	client_ask(&c, VICI_CMD_REQUEST, "initiate", &b);
	pump();
	vici_server_destroy(server);
	assert_int_equal(fake.unwatched, 1);
	expect_closed(&c);
	close(c.fd);
	free(c.buf);
	assert_int_equal(vici_server_create(&fake.d, &server, &err), 0);
}

static void test_rekey(void **state)
{
	struct client c = client_open();
	struct vici_packet p;
	struct vici_builder b = {0};

	(void)state;
	vici_kv(&b, "ike", "site-b");
	vici_kv(&b, "reauth", "yes");
	client_ask(&c, VICI_CMD_REQUEST, "rekey", &b);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "success", "yes");
	expect_text(&p, "matches", "1");
	assert_true(fake.reauth);

	b = (struct vici_builder){0};
	vici_kv(&b, "child-id", "7");
	client_ask(&c, VICI_CMD_REQUEST, "rekey", &b);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "matches", "1");
	assert_true(!fake.reauth && fake.child_id == 7);

	b = request("ike", "nowhere", NULL);
	client_ask(&c, VICI_CMD_REQUEST, "rekey", &b);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "success", "no");
	expect_text(&p, "errmsg", "no matching SAs to rekey found");

	client_ask(&c, VICI_CMD_REQUEST, "rekey", NULL);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "errmsg", "missing rekey selector");
	client_close(&c);
}

static void test_terminate(void **state)
{
	struct client c = client_open();
	struct vici_packet p;
	struct vici_builder b;
	char name[300];

	(void)state;
	b = request("ike", "site-b", NULL);
	client_ask(&c, VICI_CMD_REQUEST, "terminate", &b);
	pump();
	assert_int_equal(fake.terminations, 1);
	fake_done(0, NULL);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "success", "yes");
	expect_text(&p, "matches", "1");
	expect_text(&p, "terminated", "1");

	fake.terminate_at_once = true; // done comes inside the call
	b = request("child", "net", NULL);
	client_ask(&c, VICI_CMD_REQUEST, "terminate", &b);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "success", "yes");
	expect_text(&p, "terminated", "1");
	fake.terminate_at_once = false;

	b = request("ike", "site-b", "100");
	client_ask(&c, VICI_CMD_REQUEST, "terminate", &b);
	pump();
	fake_done(-ETIMEDOUT, "not confirmed");
	assert_true(client_packet(&c, &p));
	expect_text(&p, "success", "no");
	expect_text(&p, "matches", "1");
	expect_text(&p, "terminated", "0");
	expect_text(&p, "errmsg", "terminating IKE_SA 'site-b' failed: not confirmed");

	b = request("ike", "site-x", NULL);
	client_ask(&c, VICI_CMD_REQUEST, "terminate", &b);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "success", "no");
	expect_text(&p, "matches", "0");
	expect_text(&p, "errmsg", "no matching SAs to terminate found");

	b = request("ike-id", "77", "-1");
	client_ask(&c, VICI_CMD_REQUEST, "terminate", &b);
	expect_result(&c, NULL);
	assert_int_equal(fake.ike_id, 77);
	assert_null(fake.watch.done);

	// A child selector that cannot be read must not end in deleting the whole IKE SA.
	fake.terminations = 0;
	memset(name, 'c', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	b = request("ike", "site-b", NULL);
	vici_kv(&b, "child", name);
	client_ask(&c, VICI_CMD_REQUEST, "terminate", &b);
	expect_result(&c, "missing terminate selector");
	b = request("ike", "site-b", NULL);
	vici_kv(&b, "child-id", "1x");
	client_ask(&c, VICI_CMD_REQUEST, "terminate", &b);
	expect_result(&c, "missing terminate selector");
	client_ask(&c, VICI_CMD_REQUEST, "terminate", NULL);
	expect_result(&c, "missing terminate selector");
	assert_int_equal(fake.terminations, 0);
	client_close(&c);
}

// ---- events, reload, the rest ----

static void test_updown(void **state)
{
	struct client c = client_open();
	struct vici_packet p;

	(void)state;
	client_register(&c, "ike-updown");
	client_register(&c, "child-updown");
	assert_false(client_packet(&c, &p)); // what is up already is not announced
	fake.n_sas = 2;
	fake_report(IKE_REPORT_ESTABLISHED, IKE_SEV_INFO, "site-b", 2, "established");
	fake_report(IKE_REPORT_CHILD_UP, IKE_SEV_INFO, "site-b", 2, "child up");
	expect_event(&c, "ike-updown", &p);
	expect_text(&p, "up", "yes");
	expect_text(&p, "site-b.uniqueid", "2");
	expect_absent(&p, "site-b.child-sas.net-200.name");
	expect_event(&c, "child-updown", &p);
	expect_text(&p, "up", "yes");
	expect_text(&p, "site-b.child-sas.net-200.uniqueid", "200");
	assert_false(client_packet(&c, &p)); // once each
	fake.n_sas = 0;
	fake_report(IKE_REPORT_CLOSED, IKE_SEV_INFO, "site-b", 2, "closed");
	expect_event(&c, "child-updown", &p);
	expect_absent(&p, "up");
	expect_text(&p, "site-b.child-sas.net-200.uniqueid", "200");
	expect_absent(&p, "site-b.child-sas.net-200.bytes-in");
	expect_event(&c, "ike-updown", &p);
	expect_absent(&p, "up");
	expect_text(&p, "site-b.uniqueid", "2");
	expect_event(&c, "child-updown", &p);
	expect_text(&p, "site-b.child-sas.net-100.uniqueid", "100");
	expect_event(&c, "ike-updown", &p);
	expect_text(&p, "site-b.uniqueid", "1");
	assert_false(client_packet(&c, &p));
	client_close(&c);
}

static void test_log_events(void **state)
{
	struct client c = client_open();
	struct vici_packet p;

	(void)state;
	client_register(&c, "log");
	fake_report(IKE_REPORT_AUTH_FAILED, IKE_SEV_ERROR, NULL, 4, "who are you?");
	expect_event(&c, "log", &p);
	expect_text(&p, "level", "0");
	expect_text(&p, "group", "IKE");
	expect_text(&p, "ikesa-uniqueid", "4");
	expect_absent(&p, "ikesa-name");
	expect_text(&p, "msg", "who are you?");
	client_ask(&c, VICI_CMD_REQUEST, "status", NULL);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "last-stranger.error", "who are you?");
	fake_report(IKE_REPORT_NO_CONNECTION, IKE_SEV_ERROR, "192.0.2.66[500]", 11, "nobody");
	expect_event(&c, "log", &p);
	client_ask(&c, VICI_CMD_REQUEST, "status", NULL);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "last-stranger.error", "192.0.2.66[500]: nobody");
	client_close(&c);
}

static void test_deaf_client_is_dropped(void **state)
{
	struct client c = client_open(), other = client_open();
	char text[1024];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	client_register(&c, "log");
	for (int i = 0; i < 12000; i++) { // 12 MB, and c never reads
		fake_report(IKE_REPORT_INFO, IKE_SEV_INFO, "site-b", 1, text);
		if (i % 100 == 0)
			pump();
	}
	expect_alive(&other);
	expect_closed(&c);
	client_close(&c);
	client_close(&other);
}

static void test_reload(void **state)
{
	struct client c = client_open();
	struct vici_packet p;

	(void)state;
	client_ask(&c, VICI_CMD_REQUEST, "reload", NULL);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "success", "yes");
	expect_text(&p, "message", "2 connections, 1 changed");
	expect_text(&p, "generation", "2");
	fake.reload = -EINVAL;
	client_ask(&c, VICI_CMD_REQUEST, "reload-settings", NULL);
	expect_result(&c, "port500.conf:7: connections.x: no such key");
	client_close(&c);
}

static void test_gateway_answers(void **state)
{
	struct client c = client_open();
	struct vici_packet p;

	(void)state;
	client_ask(&c, VICI_CMD_REQUEST, "stats", NULL);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "uptime.running", "2 hours");
	expect_text(&p, "workers.total", "2");
	expect_text(&p, "ikesas.half-open", "3");
	client_ask(&c, VICI_CMD_REQUEST, "status", NULL);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "uptime", "7500");
	expect_text(&p, "config.connections", "2");
	expect_text(&p, "dataplane.hugepages", "no");
	expect_absent(&p, "last-stranger.error");
	client_ask(&c, VICI_CMD_REQUEST, "show-ports", NULL);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "wan.link", "up");
	expect_text(&p, "wan.mac", "02:00:00:00:00:01");
	expect_absent(&p, "wan.xstats.rx_good_packets");
	{
		struct vici_builder msg = {0};

		vici_kv(&msg, "xstats", "yes");
		client_ask(&c, VICI_CMD_REQUEST, "show-ports", &msg);
		assert_true(client_packet(&c, &p));
		expect_text(&p, "wan.xstats.rx_good_packets", "1000");
		expect_absent(&p, "wan.xstats.rx_q0_errors");
		vici_kv(&msg, "xstats", "yes");
		vici_kv(&msg, "all", "yes");
		client_ask(&c, VICI_CMD_REQUEST, "show-ports", &msg);
		assert_true(client_packet(&c, &p));
		expect_text(&p, "wan.xstats.rx_q0_errors", "0");
	}
	client_ask(&c, VICI_CMD_REQUEST, "show-interfaces", NULL);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "vti0.link", "up");
	expect_text(&p, "vti0.mtu", "1438");
	expect_text(&p, "vti0.children-up", "1");
	expect_text(&p, "vti0.in-packets", "11");
	client_ask(&c, VICI_CMD_REQUEST, "show-workers", NULL);
	assert_true(client_packet(&c, &p));
	expect_absent(&p, "0.cpu");
	expect_text(&p, "1.cpu", "3");
	expect_text(&p, "0.dropped", "0");
	expect_absent(&p, "0.drops.no-sa");
	expect_text(&p, "1.drops.no-sa", "17");
	client_ask(&c, VICI_CMD_REQUEST, "show-drops", NULL);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "no-sa.packets", "17");
	expect_text(&p, "tx-full.packets", "0");
	client_ask(&c, VICI_CMD_REQUEST, "show-guard", NULL);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "enabled", "yes");
	expect_text(&p, "peers-limited", "3");
	expect_text(&p, "messages.cookie.messages", "400");
	expect_text(&p, "sources-known", "2");
	client_ask(&c, VICI_CMD_REQUEST, "get-counters", NULL);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "success", "yes");
	expect_text(&p, "counters..invalid", "7");
	client_close(&c);
}

// ---- the flight recorder ----

static void note_event(const char *conn, const char *text)
{
	const struct record_event e = {
		.time_ms = 1700000000042,
		.kind = RECORD_FAILURE,
		.level = RECORD_ERROR,
		.took_ms = 17,
		.ike_id = 5,
		.code = "N-PSK",
		.conn = conn,
		.text = text,
	};

	recorder_event(fake.d.recorder, &e);
}

static void test_events_are_listed_and_told(void **state)
{
	struct vici_builder msg = {0};
	struct vici_packet p;
	struct client c;

	(void)state;
	c = client_open();
	note_event("site-b", "first");
	note_event("site-c", "second");
	client_register(&c, "list-event");
	client_register(&c, "event");
	vici_kv(&msg, "ike", "site-c");
	client_ask(&c, VICI_CMD_REQUEST, "list-events", &msg);
	assert_true(client_packet(&c, &p));
	assert_string_equal(p.name, "list-event");
	expect_text(&p, "2.time", "2023-11-14T22:13:20.042Z");
	expect_text(&p, "2.kind", "failure");
	expect_text(&p, "2.level", "error");
	expect_text(&p, "2.code", "N-PSK");
	expect_text(&p, "2.ike", "site-c");
	expect_text(&p, "2.ike-id", "5");
	expect_text(&p, "2.took-ms", "17");
	expect_text(&p, "2.msg", "second");
	assert_true(client_packet(&c, &p));
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	note_event("site-b", "third");
	assert_true(client_packet(&c, &p));
	assert_string_equal(p.name, "event");
	expect_text(&p, "3.msg", "third");
	msg = (struct vici_builder){0};
	vici_kv(&msg, "after", "2");
	client_ask(&c, VICI_CMD_REQUEST, "list-events", &msg);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "3.msg", "third");
	assert_true(client_packet(&c, &p));
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	msg = (struct vici_builder){0};
	vici_kv(&msg, "after", "-1");
	client_ask(&c, VICI_CMD_REQUEST, "list-events", &msg);
	assert_true(client_packet(&c, &p));
	expect_text(&p, "success", "no");
	client_close(&c);
}

static struct record_header header_from(const char *peer)
{
	static const uint8_t bytes[28] = {
		1, 2, 3, 4, 5, 6, 7, 8, [17] = 0x20, [18] = 34, [19] = 0x08, [27] = 28,
	};
	struct record_header h = {
		.time_ms = 1700000000042,
		.local = {ip_addr_v4(0xc0000201), 500},
		.remote = {.port = 500},
		.fate = RECORD_FATE_LIMITED,
	};

	assert_int_equal(ip_addr_parse(peer, &h.remote.addr), 0);
	record_header_parse(&h, bytes, sizeof(bytes));
	return h;
}

static void note_header(const char *peer, bool known)
{
	const struct record_header h = header_from(peer);

	recorder_header(fake.d.recorder, &h, known);
}

static void note_lost(const char *peer)
{
	struct record_header h = header_from(peer);

	h.fate = RECORD_FATE_RING_FULL;
	h.time_ms--;
	recorder_lost(fake.d.recorder, &h, false);
}

static void test_headers_of_a_connection(void **state)
{
	struct vici_builder msg = {0};
	struct vici_packet p;
	struct client c;
	char text[8];

	(void)state;
	c = client_open();
	note_header("192.0.2.2", true);
	note_header("198.51.100.7", true);
	note_header("203.0.113.1", false);
	note_lost("203.0.113.1");
	client_register(&c, "list-ike-header");
	vici_kv(&msg, "ike", "site-c"); // a range that the second one is in
	client_ask(&c, VICI_CMD_REQUEST, "list-ike-headers", &msg);
	assert_true(client_packet(&c, &p));
	// A name with dots cannot be asked for by a path.
	assert_non_null(memmem(p.msg, p.msg_len, "198.51.100.7", 12));
	assert_non_null(memmem(p.msg, p.msg_len, "0102030405060708", 16));
	assert_non_null(memmem(p.msg, p.msg_len, "IKE_SA_INIT", 11));
	assert_non_null(memmem(p.msg, p.msg_len, "guard-passed", 12));
	assert_true(client_packet(&c, &p));
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	client_ask(&c, VICI_CMD_REQUEST, "list-ike-headers", NULL);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(client_packet(&c, &p));
		assert_string_equal(p.name, "list-ike-header");
	}
	expect_text(&p, "strangers.hops.limited", "1");
	expect_text(&p, "strangers.headers.1.hop", "ring"); // a millisecond before
	expect_text(&p, "strangers.headers.1.fate", "ring-full");
	expect_text(&p, "strangers.headers.2.remote-host", "203.0.113.1");
	expect_text(&p, "strangers.headers.2.fate", "limited");
	expect_text(&p, "strangers.headers.2.hop", "parser");
	expect_text(&p, "strangers.headers.2.message", "request");
	assert_int_equal(vici_get(p.msg, p.msg_len, "strangers.hops.guard-passed", text,
				  sizeof(text)),
			 -ENOENT); // the guard counts them together with nobody
	assert_true(client_packet(&c, &p));
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	client_close(&c);
}

static void test_seconds_are_listed(void **state)
{
	struct record_totals t = {.n_workers = 1};
	struct vici_packet p;
	struct client c;

	(void)state;
	c = client_open();
	recorder_tick(fake.d.recorder, 1700000000000, &t);
	t.guard[GUARD_LIMITED] = 7;
	t.drops[DROP_ESP_AUTH] = 2;
	t.busy[0] = t.idle[0] = 1;
	recorder_tick(fake.d.recorder, 1700000001000, &t);
	recorder_tick(fake.d.recorder, 1700000002000, &t);
	client_register(&c, "list-second");
	client_ask(&c, VICI_CMD_REQUEST, "list-seconds", NULL);
	assert_true(client_packet(&c, &p));
	assert_string_equal(p.name, "list-second");
	expect_text(&p, "1700000001.guard.limited", "7");
	expect_text(&p, "1700000001.drops.esp-auth", "2");
	expect_text(&p, "1700000001.busiest-percent", "50");
	assert_true(client_packet(&c, &p));
	expect_text(&p, "1700000002.span-ms", "1000");
	assert_true(client_packet(&c, &p));
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	client_close(&c);
}

// ---- capture ----

static const uint8_t packet[] = {0x45, 0, 0, 20, 0, 0, 0, 0, 64, 50, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};

static struct dp_capture_packet packets[] = {
	{.point = DP_CAPTURE_PLAIN_OUT, .time_ns = 1000, .id = 5, .tunnel = 7, .spi = 0xc1},
	{.point = DP_CAPTURE_DROP, .time_ns = 2000, .reason = DROP_NO_SA, .tunnel = DP_TUNNEL_NONE,
	 .lost = 3},
	{.point = DP_CAPTURE_TX, .time_ns = 3000, .ethernet = true, .tunnel = DP_TUNNEL_NONE},
};

static void offer_packets(void)
{
	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
		packets[i].data = packet;
		packets[i].len = packets[i].cap_len = sizeof(packet);
	}
	fake.packets = packets;
	fake.n_packets = sizeof(packets) / sizeof(packets[0]);
}

// A request of key and value, NULL at the end.
static void ask_capture(struct client *c, const char *const *args)
{
	struct vici_builder msg = {0};

	for (; args[0]; args += 2)
		vici_kv(&msg, args[0], args[1]);
	client_ask(c, VICI_CMD_REQUEST, "capture", &msg);
}

#define ASK(c, ...) ask_capture(c, (const char *const[]){__VA_ARGS__, NULL})

// Collects the file from the events, until the response or until nothing comes for a while.
static size_t read_file(struct client *c, uint8_t *file, size_t size, struct vici_packet *p)
{
	size_t len = 0;

	while (client_packet(c, p) && p->type == VICI_EVENT) {
		struct vici_parser parser = vici_parser_of(p->msg, p->msg_len);
		struct vici_element e;

		assert_string_equal(p->name, "capture");
		while (vici_next(&parser, &e) == 0 && e.type != VICI_END) {
			assert_int_equal(e.type, VICI_KEY_VALUE);
			assert_true(len + e.value_len <= size);
			memcpy(file + len, e.value, e.value_len);
			len += e.value_len;
		}
	}
	return len;
}

static void wait_ms(long ms)
{
	const struct timeval wait = {.tv_usec = ms * 1000};

	event_base_loopexit(base, &wait);
	event_base_dispatch(base);
}

static void test_a_capture_to_its_count(void **state)
{
	static uint8_t file[4096];
	struct client c = client_open();
	struct vici_packet p;
	size_t len;

	(void)state;
	offer_packets();
	client_register(&c, "capture");
	ASK(&c, "count", "3", "sample", "4", "snap-len", "100", "port", "wan", "ike", "site-b",
	    "child", "net", "host", "10.0.0.0/8", "spi", "c1000000", "l4-port", "443", "peer",
	    "192.0.2.2", "drops", "yes");
	pump();
	assert_int_equal(fake.capture.sample, 4);
	assert_int_equal(fake.capture.snap_len, 100);
	assert_true(fake.capture.only_drops && fake.capture.filter.by_port);
	assert_true(fake.capture.filter.by_tunnel);
	assert_int_equal(fake.capture.filter.tunnel, 7);
	assert_int_equal(fake.capture.filter.spi, 0xc1000000);
	assert_int_equal(fake.capture.filter.l4_port, 443);
	assert_int_equal(fake.capture.filter.peer.family, IP_V4);
	assert_int_equal(fake.capture.filter.host.len, 8);
	wait_ms(50);
	len = read_file(&c, file, sizeof(file), &p);
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	expect_text(&p, "success", "yes");
	expect_text(&p, "packets", "3");
	expect_text(&p, "lost", "3");
	expect_text(&p, "ended-by", "count");
	assert_int_equal(len % 4, 0);
	assert_memory_equal(file, "\x0a\x0d\x0d\x0a", 4);
	assert_non_null(memmem(file, len, "before encryption, child site-b/net, SPI 000000c1", 49));
	assert_non_null(memmem(file, len, "dropped: no-sa (a protect policy matches", 40));
	assert_non_null(memmem(file, len, "came in by wan", 14));
	assert_int_equal(fake.captures_ended, 1);
	expect_alive(&c);
	client_close(&c);
}

static void test_a_capture_that_is_stopped(void **state)
{
	static uint8_t file[4096];
	struct client c = client_open(), other = client_open();
	struct vici_packet p;

	(void)state;
	client_ask(&other, VICI_CMD_REQUEST, "capture-stop", NULL);
	expect_result(&other, "no capture is under way");
	ASK(&c, "count", "1");
	expect_result(&c, "register for the event 'capture' first: the packets come with it");
	client_register(&c, "capture");
	ASK(&c, "duration", "60");
	wait_ms(30);
	assert_true(fake.capturing);
	client_register(&other, "capture");
	ASK(&other, "count", "1");
	assert_true(client_packet(&other, &p));
	expect_text(&p, "success", "no");
	client_ask(&other, VICI_CMD_REQUEST, "capture-stop", NULL);
	expect_result(&other, NULL);
	wait_ms(50);
	read_file(&c, file, sizeof(file), &p);
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	expect_text(&p, "ended-by", "stop");
	assert_true(fake.capture_stopped);
	assert_false(fake.capturing);
	client_close(&c);
	client_close(&other);
}

static void test_a_capture_ends_with_its_time(void **state)
{
	static uint8_t file[4096];
	struct client c = client_open();
	struct vici_packet p;

	(void)state;
	client_register(&c, "capture");
	ASK(&c, "duration", "5");
	wait_ms(30);
	fake.now_ms += 1500;
	wait_ms(30);
	assert_true(fake.capturing);
	fake.now_ms += 3500;
	wait_ms(50);
	assert_false(fake.capturing);
	read_file(&c, file, sizeof(file), &p);
	expect_text(&p, "ended-by", "duration");
	client_close(&c);
}

static void test_a_capture_ends_with_its_client(void **state)
{
	struct client c = client_open();

	(void)state;
	client_register(&c, "capture");
	ASK(&c, "duration", "60");
	wait_ms(30);
	assert_true(fake.capturing);
	client_close(&c);
	wait_ms(30);
	assert_false(fake.capturing);
	c = client_open(); // the server's end ends it as well: teardown
	client_register(&c, "capture");
	ASK(&c, "duration", "60");
	wait_ms(30);
	assert_true(fake.capturing);
	close(c.fd);
	free(c.buf);
}

static void test_captures_that_are_refused(void **state)
{
	static const struct {
		const char *key, *value, *part;
	} rows[] = {
		{"port", "wam", "no port 'wam'; there are: wan"},
		{"peer", "10.1", "peer: '10.1' is not an address"},
		{"host", "10.1.0.0/33", "neither an address nor a prefix"},
		{"spi", "ff", "from 100 to ffffffff"},
		{"spi", "100000000", "from 100 to ffffffff"},
		{"spi", "1x", "'1x' is not a hexadecimal number"},
		{"child", "nett", "no child 'nett'"},
		{"ike", "site-b", "ike needs a child"},
		{"count", "-1", "count: not a number"},
		{"duration", "86401", "duration: not a number from 0 to 86400"},
		{"snap-len", "65536", "snap-len: not a number from 0 to 65535"},
		{"sample", "x", "sample: not a number"},
		{"l4-port", "65536", "l4-port: not a number from 0 to 65535"},
	};
	struct client c = client_open();
	char text[512];

	(void)state;
	client_register(&c, "capture");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vici_packet p;

		ASK(&c, rows[i].key, rows[i].value);
		assert_true(client_packet(&c, &p));
		expect_text(&p, "success", "no");
		assert_int_equal(vici_get(p.msg, p.msg_len, "errmsg", text, sizeof(text)), 0);
		if (!strstr(text, rows[i].part))
			fail_msg("%s=%s: %s", rows[i].key, rows[i].value, text);
		assert_false(fake.capturing);
	}
	expect_alive(&c);
	client_close(&c);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_packets_byte_by_byte),
		TEST(test_packets_in_one_write),
		TEST(test_bad_packets_close),
		TEST(test_largest_packet_passes),
		TEST(test_random_bytes_do_no_harm),
		TEST(test_unknown_command_and_event),
		TEST(test_second_server_is_refused),
		TEST(test_install_and_uninstall_a_trap),
		TEST(test_stale_socket_is_replaced),
		TEST(test_other_files_are_left_alone),
		TEST(test_too_many_clients),
		TEST(test_list_sas),
		TEST(test_list_sas_filters),
		TEST(test_long_list_to_a_slow_reader),
		TEST(test_disconnect_during_a_stream),
		TEST(test_policies_of_one_port),
		TEST(test_events_only_when_registered),
		TEST(test_list_conns_and_states),
		TEST(test_doctor),
		TEST(test_initiate_with_progress),
		TEST(test_a_probe),
		TEST(test_initiate_results),
		TEST(test_disconnect_during_initiate),
		TEST(test_destroy_during_initiate),
		TEST(test_rekey),
		TEST(test_terminate),
		TEST(test_updown),
		TEST(test_log_events),
		TEST(test_refusals_are_listed_and_announced),
		TEST(test_deaf_client_is_dropped),
		TEST(test_reload),
		TEST(test_gateway_answers),
		TEST(test_events_are_listed_and_told),
		TEST(test_headers_of_a_connection),
		TEST(test_seconds_are_listed),
		TEST(test_a_capture_to_its_count),
		TEST(test_a_capture_that_is_stopped),
		TEST(test_a_capture_ends_with_its_time),
		TEST(test_a_capture_ends_with_its_client),
		TEST(test_captures_that_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
