// CRLs from an HTTP server in this process: what counts, what does not, and what is said of it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/http.h>
#include <openssl/pem.h>

#include "control/crl_fetch.h"
#include "control/openssl/cred_internal.h"
#include "lib/log.h"
#include "test/certs/certs.h"

#define PATIENCE_ROUNDS 300 // of 100 ms

static char dir[64], log_text[4096];
static struct certs_cert root, other_root, peer;

static struct { // the server
	struct event_base *base;
	struct evhttp *http;
	uint16_t port;
	int code;	  // 0: it never answers
	const char *file; // NULL: `filler` bytes
	size_t filler;
	unsigned asked;
	char host[64];
} server;

static void keep_log(void *ctx, enum log_level level, enum log_group group, const char *text)
{
	size_t at = strlen(log_text);

	(void)ctx;
	(void)level;
	(void)group;
	snprintf(log_text + at, sizeof(log_text) - at, "%s\n", text);
}

static const char *in(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void put_crl(struct evbuffer *out, const char *name)
{
	FILE *f = fopen(in(name), "r");
	X509_CRL *crl = f ? PEM_read_X509_CRL(f, NULL, NULL, NULL) : NULL;
	uint8_t *der = NULL;
	int len = crl ? i2d_X509_CRL(crl, &der) : 0;

	assert_true(len > 0);
	evbuffer_add(out, der, (size_t)len);
	OPENSSL_free(der);
	X509_CRL_free(crl);
	fclose(f);
}

static void on_request(struct evhttp_request *req, void *arg)
{
	const char *host = evhttp_find_header(evhttp_request_get_input_headers(req), "Host");
	struct evbuffer *out = evbuffer_new();

	(void)arg;
	server.asked++;
	snprintf(server.host, sizeof(server.host), "%s", host ? host : "");
	if (server.file) {
		put_crl(out, server.file);
	} else {
		char *bytes = calloc(1, server.filler + 1);

		evbuffer_add(out, bytes, server.filler);
		free(bytes);
	}
	if (server.code == 302)
		evhttp_add_header(evhttp_request_get_output_headers(req), "Location", "/other");
	if (server.code)
		evhttp_send_reply(req, server.code, "x", out);
	evbuffer_free(out);
}

static int setup(void **state)
{
	struct evhttp_bound_socket *bound;
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);

	(void)state;
	signal(SIGPIPE, SIG_IGN); // as the daemon does
	certs_dir_make(dir);
	root = certs_make(&(struct certs_spec){.cn = "Root", .ca = true}, NULL);
	other_root = certs_make(&(struct certs_spec){.cn = "Root", .ca = true}, NULL);
	peer = certs_make(&(struct certs_spec){.cn = "gw-b"}, &root);
	certs_write(&root, dir, "root", NULL);
	certs_write_crl(&root, NULL, in("good.crl"), 9);
	certs_write_crl(&root, &peer, in("revoked.crl"), 9);
	certs_write_crl(&root, NULL, in("older.crl"), -2);
	certs_write_crl(&other_root, &peer, in("foreign.crl"), 9);
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
	certs_fini(&other_root);
	certs_fini(&peer);
	certs_dir_remove(dir);
	return 0;
}

struct client {
	struct crl_fetch *fetch;
	struct cred *cred;
	char url[96];
	struct config_file file;
	struct config_files urls;
};

static struct cred *cred_with_root(void)
{
	struct error err = {""};
	struct cred *c;

	assert_int_equal(cred_create(&c), 0);
	assert_int_equal(cred_add_ca(c, in("root.pem"), &err), 0);
	return c;
}

static void serve(int code, const char *file, size_t filler)
{
	server.code = code;
	server.file = file;
	server.filler = filler;
	server.asked = 0;
	log_text[0] = '\0';
}

static void begin(struct client *c, const char *host, uint16_t port)
{
	snprintf(c->url, sizeof(c->url), "http://%s:%u/ca.crl", host, port);
	c->file = (struct config_file){.name = c->url};
	c->urls = (struct config_files){.file = &c->file, .n = 1};
	c->cred = cred_with_root();
	assert_int_equal(crl_fetch_create(server.base, &c->fetch), 0);
	crl_fetch_set_times(c->fetch, 20000, 50);
	assert_int_equal(crl_fetch_configure(c->fetch, &c->urls, c->cred), 0);
}

static void end(struct client *c)
{
	crl_fetch_destroy(c->fetch);
	cred_destroy(c->cred);
}

static void await_log(const char *what)
{
	struct timeval t = {.tv_usec = 100000};

	for (unsigned i = 0; i < PATIENCE_ROUNDS && !strstr(log_text, what); i++) {
		event_base_loopexit(server.base, &t);
		event_base_dispatch(server.base);
	}
	if (!strstr(log_text, what))
		fail_msg("'%s' is not in:\n%s", what, log_text);
}

static bool is_revoked(const struct cred *c)
{
	X509_REVOKED *entry;

	for (int i = 0; i < sk_X509_CRL_num(c->crls); i++)
		if (X509_CRL_get0_by_cert(sk_X509_CRL_value(c->crls, i), &entry, peer.x) == 1)
			return true;
	return false;
}

static void test_good(void **state)
{
	struct client c;
	struct cred *before;

	(void)state;
	serve(200, "revoked.crl", 0);
	begin(&c, "localhost", server.port); // by name: /etc/hosts
	await_log("fetched");
	assert_true(is_revoked(c.cred));
	assert_memory_equal(server.host, "localhost:", 10);
	// A reload keeps what was fetched, and asks nobody.
	before = c.cred;
	c.cred = cred_with_root();
	assert_int_equal(crl_fetch_configure(c.fetch, &c.urls, c.cred), 0);
	cred_destroy(before);
	assert_true(is_revoked(c.cred));
	assert_int_equal(server.asked, 1);
	// Without the URL, new credentials do not get it.
	before = c.cred;
	c.cred = cred_with_root();
	c.urls.n = 0;
	assert_int_equal(crl_fetch_configure(c.fetch, &c.urls, c.cred), 0);
	cred_destroy(before);
	assert_int_equal(sk_X509_CRL_num(c.cred->crls), 0);
	end(&c);
}

static void test_bad(void **state)
{
	static const struct {
		int code;
		const char *file;
		size_t filler;
		const char *says;
	} rows[] = {
		{404, NULL, 10, "the server answers 404, not 200"},
		{302, "good.crl", 0, "answers 302, not 200, and redirects are not followed"},
		{200, NULL, 100, "the answer is no CRL in DER"},
		{200, NULL, 0, "the answer is no CRL in DER"},
		{200, NULL, LIMIT_CRL_LEN + 1, "the answer is larger than it may be"},
		{200, "foreign.crl", 0, "no CA of ours with that name signed it"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct client c;

		serve(rows[i].code, rows[i].file, rows[i].filler);
		begin(&c, "127.0.0.1", server.port);
		await_log(rows[i].says);
		assert_int_equal(sk_X509_CRL_num(c.cred->crls), 0);
		serve(200, "good.crl", 0); // and it is tried again
		await_log("fetched");
		assert_int_equal(sk_X509_CRL_num(c.cred->crls), 1);
		end(&c);
	}
}

static void test_silent(void **state)
{
	struct client c;

	(void)state;
	serve(0, NULL, 0);
	begin(&c, "127.0.0.1", server.port);
	crl_fetch_set_times(c.fetch, 50, 50);
	end(&c); // nothing is left when it ends before it begins
	begin(&c, "127.0.0.1", server.port);
	crl_fetch_set_times(c.fetch, 50, 50);
	await_log("no answer in time");
	end(&c); // nor when an attempt may be under way
	serve(200, "good.crl", 0);
	begin(&c, "127.0.0.1", 1);
	await_log("there is no connection to the server");
	end(&c);
	begin(&c, "no-such-host.invalid", server.port);
	crl_fetch_set_times(c.fetch, 50, 50);
	await_log("CRL http://no-such-host.invalid");
	end(&c);
}

static void test_replaced(void **state)
{
	static const char *const url = "http://x/";
	struct cred *c = cred_with_root();
	struct evbuffer *b = evbuffer_new();
	struct error err = {""};
	int64_t next = 0;
	size_t len;

	(void)state;
	put_crl(b, "revoked.crl");
	len = evbuffer_get_length(b);
	assert_int_equal(cred_put_crl(c, url, evbuffer_pullup(b, -1), len, &next, &err), 0);
	assert_true(next > 0 && is_revoked(c));
	evbuffer_drain(b, len);
	put_crl(b, "older.crl");
	len = evbuffer_get_length(b);
	// An old one that does not know yet of the revocation.
	assert_int_equal(cred_put_crl(c, url, evbuffer_pullup(b, -1), len, &next, &err), -ESTALE);
	assert_non_null(strstr(err.text, "older than the one of"));
	assert_true(is_revoked(c));
	evbuffer_drain(b, len);
	put_crl(b, "good.crl"); // a new one takes its place
	len = evbuffer_get_length(b);
	assert_int_equal(cred_put_crl(c, url, evbuffer_pullup(b, -1), len, &next, &err), 0);
	assert_int_equal(sk_X509_CRL_num(c->crls), 1);
	assert_false(is_revoked(c));
	evbuffer_free(b);
	cred_destroy(c);
}

// RFC 5280 4.2.1.3: a CA whose keyUsage lacks cRLSign signs no CRLs.
static void test_no_crl_sign(void **state)
{
	struct certs_cert ca = certs_make(
		&(struct certs_spec){.cn = "C", .ca = true, .usage = "critical,keyCertSign"}, NULL);
	struct cred *c = cred_with_root();
	struct evbuffer *b = evbuffer_new();
	struct error err = {""};
	int64_t next = 7;

	(void)state;
	certs_write(&ca, dir, "c", NULL);
	certs_write_crl(&ca, NULL, in("c.crl"), 9);
	assert_int_equal(cred_add_ca(c, in("c.pem"), &err), 0);
	put_crl(b, "c.crl");
	assert_int_equal(cred_put_crl(c, "http://x/", evbuffer_pullup(b, -1),
				      evbuffer_get_length(b), &next, &err),
			 -EACCES);
	assert_int_equal(next, 7);
	evbuffer_free(b);
	cred_destroy(c);
	certs_fini(&ca);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),	    cmocka_unit_test(test_bad),
		cmocka_unit_test(test_silent),	    cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_no_crl_sign),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
