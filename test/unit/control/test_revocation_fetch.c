// OCSP by POST and CRLs by GET, asked of an HTTP server in this process: what is sent, which
// answers reach the one who judges, and who is told.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/http.h>
#include <openssl/pem.h>

#include "control/openssl/revocation.h"
#include "control/revocation_fetch.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "test/certs/certs.h"

#define PATIENCE_ROUNDS 300 // of 100 ms

enum manner { ANSWERS, SILENT, TOO_LONG, NOT_FOUND };

static char dir[64], log_text[8192];
static struct certs_cert root, peer;

static struct { // the server
	struct event_base *base;
	struct evhttp *http;
	uint16_t port;
	enum manner manner;
	unsigned posts, gets; // so far
	char host[64];	      // that the last one named
} server;

static void keep_log(void *ctx, enum log_level level, enum log_group group, const char *text)
{
	size_t at = strlen(log_text);

	(void)ctx;
	(void)level;
	(void)group;
	snprintf(log_text + at, sizeof(log_text) - at, "%s\n", text);
}

static void answer_ocsp(struct evhttp_request *req, struct evbuffer *out)
{
	const char *type =
		evhttp_find_header(evhttp_request_get_input_headers(req), "Content-Type");
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	const struct certs_ocsp spec = {
		.signer = &root, .status = V_OCSP_CERTSTATUS_REVOKED, .to_s = 3600};
	size_t len = evbuffer_get_length(in);
	uint8_t *der;

	assert_non_null(type);
	assert_string_equal(type, "application/ocsp-request"); // RFC 6960 A.1
	der = certs_ocsp_answer(&spec, evbuffer_pullup(in, -1), len, &len);
	evbuffer_add(out, der, len);
	OPENSSL_free(der);
}

static void answer_crl(struct evbuffer *out)
{
	char path[128];
	uint8_t *der = NULL;
	X509_CRL *crl;
	FILE *f;
	int len;

	snprintf(path, sizeof(path), "%s/root.crl", dir);
	f = fopen(path, "r");
	assert_non_null(f);
	crl = PEM_read_X509_CRL(f, NULL, NULL, NULL);
	fclose(f);
	len = i2d_X509_CRL(crl, &der);
	assert_true(len > 0);
	evbuffer_add(out, der, (size_t)len);
	OPENSSL_free(der);
	X509_CRL_free(crl);
}

static void on_request(struct evhttp_request *req, void *arg)
{
	bool post = evhttp_request_get_command(req) == EVHTTP_REQ_POST;
	struct evbuffer *out;

	(void)arg;
	snprintf(server.host, sizeof(server.host), "%s",
		 evhttp_find_header(evhttp_request_get_input_headers(req), "Host"));
	*(post ? &server.posts : &server.gets) += 1;
	if (server.manner == SILENT)
		return;
	out = evbuffer_new();
	if (server.manner == TOO_LONG) {
		uint8_t *bytes = calloc(1, LIMIT_OCSP_LEN + 1);

		assert_non_null(bytes);
		evbuffer_add(out, bytes, LIMIT_OCSP_LEN + 1);
		free(bytes);
	} else if (server.manner == ANSWERS && post) {
		answer_ocsp(req, out);
	} else if (server.manner == ANSWERS) {
		answer_crl(out);
	}
	evhttp_send_reply(req, server.manner == NOT_FOUND ? 404 : 200, "x", out);
	evbuffer_free(out);
}

static int setup(void **state)
{
	struct evhttp_bound_socket *bound;
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	char path[128];

	(void)state;
	signal(SIGPIPE, SIG_IGN); // as the daemon does
	certs_dir_make(dir);
	root = certs_make(&(struct certs_spec){.cn = "Root", .ca = true}, NULL);
	peer = certs_make(&(struct certs_spec){.cn = "gw-b"}, &root);
	snprintf(path, sizeof(path), "%s/root.crl", dir);
	certs_write_crl(&root, &peer, path, 9);
	server.base = event_base_new();
	server.http = evhttp_new(server.base);
	evhttp_set_gencb(server.http, on_request, NULL);
	bound = evhttp_bind_socket_with_handle(server.http, "127.0.0.1", 0);
	assert_non_null(bound);
	getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&sin, &len);
	server.port = ntohs(sin.sin_port);
	log_set_sink(keep_log, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	log_set_sink(NULL, NULL);
	evhttp_free(server.http);
	event_base_loop(server.base, EVLOOP_NONBLOCK); // the end of names still asked for
	event_base_free(server.base);
	certs_fini(&root);
	certs_fini(&peer);
	certs_dir_remove(dir);
	return 0;
}

// ---- who asks ----

struct client {
	struct revocation_fetch *fetch;
	struct revocation *answers;
	char url[64];
	uint32_t told;
	unsigned times;
};

static void on_ready(void *ctx, uint32_t wait)
{
	struct client *c = ctx;

	c->told = wait;
	c->times++;
}

static void begin(struct client *c, enum manner manner, uint16_t port, unsigned attempt_ms)
{
	*c = (struct client){0};
	server.manner = manner;
	server.posts = server.gets = 0;
	log_text[0] = '\0';
	snprintf(c->url, sizeof(c->url), "http://127.0.0.1:%u/a", port);
	assert_int_equal(revocation_fetch_create(server.base, on_ready, c, &c->fetch), 0);
	revocation_fetch_set_time(c->fetch, attempt_ms);
	c->answers = revocation_fetch_answers(c->fetch);
}

static void turn(unsigned ms)
{
	struct timeval t = {.tv_usec = ms * 1000};

	event_base_loopexit(server.base, &t);
	event_base_dispatch(server.base);
}

// Asks for one thing; nothing has happened when the question is on its way.
static const struct revocation_entry *asks(struct client *c, bool ocsp, uint32_t *wait)
{
	const struct revocation_entry *e =
		ocsp ? revocation_ocsp(c->answers, c->url, peer.x, root.x)
		     : revocation_crl(c->answers, c->url, root.x);

	assert_true(e && e->asking && !e->answered && c->times == 0);
	assert_int_equal(revocation_wait(c->answers, &e, 1, wait), 0);
	return e;
}

static void await(const struct client *c, uint32_t wait)
{
	for (unsigned i = 0; i < PATIENCE_ROUNDS && c->times == 0; i++)
		turn(100);
	assert_int_equal(c->times, 1);
	assert_int_equal(c->told, wait);
}

static void test_ocsp(void **state)
{
	const struct revocation_entry *e;
	struct client c;
	uint32_t wait;

	(void)state;
	begin(&c, ANSWERS, server.port, 20000);
	e = asks(&c, true, &wait);
	await(&c, wait);
	assert_true(e->answered && !e->asking);
	assert_int_equal(e->status.word, OCSP_SAYS_REVOKED);
	assert_string_equal(e->status.reason, "keyCompromise");
	// It is kept.
	assert_ptr_equal(revocation_ocsp(c.answers, c.url, peer.x, root.x), e);
	assert_false(e->asking);
	turn(50);
	assert_int_equal(server.posts, 1);
	assert_int_equal(server.gets, 0);
	revocation_fetch_destroy(c.fetch);
}

static void test_crl(void **state)
{
	const struct revocation_entry *e;
	X509_REVOKED *entry;
	struct client c;
	uint32_t wait;

	(void)state;
	begin(&c, ANSWERS, server.port, 20000);
	e = asks(&c, false, &wait);
	await(&c, wait);
	assert_true(e->answered && e->crl);
	assert_int_equal(X509_CRL_get0_by_cert(e->crl, &entry, peer.x), 1);
	assert_int_equal(server.posts, 0);
	assert_int_equal(server.gets, 1);
	revocation_fetch_destroy(c.fetch);
}

// RFC 3986 3.2.2, RFC 9110 7.2: the address of IPv6 stands in brackets in the URL and in Host.
static void test_server_with_an_address_of_ipv6(void **state)
{
	struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(server.http, "::1", 0);
	const struct revocation_entry *e;
	struct sockaddr_in6 sin;
	socklen_t len = sizeof(sin);
	struct client c;
	char host[64];
	uint32_t wait;

	(void)state;
	if (!bound)
		skip(); // a machine without IPv6
	getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&sin, &len);
	begin(&c, ANSWERS, server.port, 20000);
	snprintf(host, sizeof(host), "[::1]:%u", ntohs(sin.sin6_port));
	snprintf(c.url, sizeof(c.url), "http://%s/a", host);
	e = asks(&c, true, &wait);
	await(&c, wait);
	assert_int_equal(e->status.word, OCSP_SAYS_REVOKED);
	assert_string_equal(server.host, host);
	evhttp_del_accept_socket(server.http, bound);
	revocation_fetch_destroy(c.fetch);
}

// Whoever waits is told of failures as well, and the log names the server.
static void test_failures(void **state)
{
	static const struct {
		enum manner manner;
		uint16_t port; // 0: the server's
		unsigned attempt_ms;
		const char *why;
	} rows[] = {
		{NOT_FOUND, 0, 20000, "the server answers 404, not 200"},
		{TOO_LONG, 0, 20000, "the answer is larger than it may be"},
		{SILENT, 0, 100, "no answer in time"},
		{ANSWERS, 1, 20000, "there is no connection to the server"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct revocation_entry *e;
		struct client c;
		uint32_t wait;
		char line[160];

		begin(&c, rows[i].manner, rows[i].port ? rows[i].port : server.port,
		      rows[i].attempt_ms);
		e = asks(&c, true, &wait);
		await(&c, wait);
		assert_false(e->answered || e->asking);
		assert_string_equal(e->why, rows[i].why);
		snprintf(line, sizeof(line), "OCSP response %s: %s", c.url, rows[i].why);
		if (!strstr(log_text, line))
			fail_msg("'%s' is not in:\n%s", line, log_text);
		revocation_fetch_destroy(c.fetch);
	}
}

static void ask_many(struct client *c, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char url[96];

		snprintf(url, sizeof(url), "%s%u", c->url, i);
		assert_true(revocation_crl(c->answers, url, root.x)->asking);
	}
}

static void await_gets(unsigned n)
{
	for (unsigned i = 0; i < PATIENCE_ROUNDS && server.gets < n; i++)
		turn(100);
	assert_true(server.gets >= n);
}

// So many at once; the others stand in line, and get their turn when these are over. What is
// under way or in line when it all ends is given back.
static void test_line(void **state)
{
	const unsigned more = LIMIT_REVOCATION_FETCHES + 4;
	struct client c;

	(void)state;
	begin(&c, SILENT, server.port, 60000);
	ask_many(&c, more);
	await_gets(LIMIT_REVOCATION_FETCHES);
	turn(100);
	assert_int_equal(server.gets, LIMIT_REVOCATION_FETCHES);
	revocation_fetch_destroy(c.fetch);
	begin(&c, SILENT, server.port, 500);
	ask_many(&c, more);
	await_gets(more);
	revocation_fetch_destroy(c.fetch);
}

// It ends in every state: before the question has left, and with its answer outstanding.
static void test_end(void **state)
{
	struct client c;
	uint32_t wait;

	(void)state;
	begin(&c, SILENT, server.port, 20000);
	asks(&c, true, &wait);
	revocation_fetch_destroy(c.fetch);
	begin(&c, SILENT, server.port, 20000);
	asks(&c, true, &wait);
	for (unsigned i = 0; i < PATIENCE_ROUNDS && server.posts == 0; i++)
		turn(10);
	assert_int_equal(server.posts, 1);
	revocation_fetch_destroy(c.fetch);
	assert_int_equal(c.times, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ocsp),
		cmocka_unit_test(test_crl),
		cmocka_unit_test(test_server_with_an_address_of_ipv6),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_end),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
