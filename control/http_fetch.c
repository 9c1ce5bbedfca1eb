#include "control/http_fetch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/http.h>

#include "control/resolver.h"
#include "lib/error.h"
#include "lib/limits.h"

struct http_fetch {
	struct event_base *base;
	struct http_url url;
	const char *type;
	uint8_t *body;
	size_t body_len, max;
	unsigned timeout_ms;
	struct event *end; // of the time, or at once when it is over before
	struct resolver_query *query;
	struct evhttp_connection *http;
	http_fetch_done *done;
	void *ctx;
	const char *said; // by on_error
	struct error why; // "": there is an answer
	uint8_t *answer;
	size_t answer_len;
	bool over;
};

// Not from within libevent's callbacks about the connection: it still uses it there.
static void fetch_free(struct http_fetch *f)
{
	resolver_cancel(f->query);
	if (f->http)
		evhttp_connection_free(f->http);
	if (f->end)
		event_free(f->end);
	free(f->body);
	free(f->answer);
	free(f);
}

static void on_end(int fd, short what, void *arg)
{
	struct http_fetch *f = arg;

	(void)fd;
	(void)what;
	if (!f->over)
		error_set(&f->why, 0, "no answer in time");
	f->done(f->ctx, f->why.text[0] ? NULL : f->answer, f->answer_len,
		f->why.text[0] ? f->why.text : NULL);
	fetch_free(f);
}

static void over(struct http_fetch *f)
{
	if (f->over)
		return;
	f->over = true;
	event_active(f->end, EV_TIMEOUT, 0);
}

static void failed(struct http_fetch *f, const char *why)
{
	error_set(&f->why, 0, "%s", why);
	over(f);
}

// libevent says the reason here, and then calls on_answer.
static void on_error(enum evhttp_request_error code, void *arg)
{
	struct http_fetch *f = arg;

	f->said = code == EVREQ_HTTP_DATA_TOO_LONG ? "the answer is larger than it may be"
		  : code == EVREQ_HTTP_TIMEOUT	   ? "no answer in time"
		  : code == EVREQ_HTTP_EOF	   ? "the server closed the connection"
						   : "the server's answer is not HTTP";
}

static void take(struct http_fetch *f, struct evbuffer *in)
{
	size_t len = evbuffer_get_length(in);

	f->answer = malloc(len + 1);
	if (!f->answer) {
		failed(f, "out of memory");
		return;
	}
	evbuffer_remove(in, f->answer, len);
	f->answer_len = len;
	over(f);
}

static void on_answer(struct evhttp_request *req, void *arg)
{
	struct http_fetch *f = arg;
	int code = req ? evhttp_request_get_response_code(req) : 0;
	struct error why;

	if (code == HTTP_OK && !f->said) {
		take(f, evhttp_request_get_input_buffer(req));
		return;
	}
	if (f->said || code == 0)
		error_set(&why, 0, "%s",
			  f->said ? f->said : "there is no connection to the server");
	else
		error_set(&why, 0, "the server answers %d, not 200%s", code,
			  code >= 300 && code < 400 ? ", and redirects are not followed" : "");
	failed(f, why.text);
}

static void add_headers(const struct http_fetch *f, struct evkeyvalq *headers)
{
	char host[HTTP_URL_HOST_MAX + 10];
	bool ipv6 = strchr(f->url.host, ':') != NULL;

	snprintf(host, sizeof(host), ipv6 ? "[%s]:%u" : "%s:%u", f->url.host, f->url.port);
	if (f->url.port == 80)
		*strrchr(host, ':') = '\0';
	evhttp_add_header(headers, "Host", host);
	evhttp_add_header(headers, "Connection", "close");
	if (f->type)
		evhttp_add_header(headers, "Content-Type", f->type);
}

static void ask(struct http_fetch *f, const char *address)
{
	struct evhttp_request *req = evhttp_request_new(on_answer, f);

	f->http = evhttp_connection_base_new(f->base, NULL, address, f->url.port);
	if (!req || !f->http ||
	    evbuffer_add(evhttp_request_get_output_buffer(req), f->body, f->body_len)) {
		if (req)
			evhttp_request_free(req);
		failed(f, "out of memory");
		return;
	}
	evhttp_connection_set_max_body_size(f->http, (ev_ssize_t)f->max);
	evhttp_connection_set_max_headers_size(f->http, LIMIT_HTTP_HEADERS_LEN);
	// libevent's own time starts anew with every byte; ours does not.
	evhttp_connection_set_timeout(f->http, (int)(f->timeout_ms / 1000) + 1);
	evhttp_request_set_error_cb(req, on_error);
	add_headers(f, evhttp_request_get_output_headers(req));
	// It owns the request from here on, and tells on_answer of failures.
	if (evhttp_make_request(f->http, req, f->type ? EVHTTP_REQ_POST : EVHTTP_REQ_GET,
				f->url.path))
		failed(f, "the request could not be sent");
}

static void on_address(void *ctx, const struct ip_addr *addr, const char *why)
{
	struct http_fetch *f = ctx;
	char text[IP_ADDR_TEXT_MAX];

	f->query = NULL;
	if (addr)
		ask(f, ip_addr_format(addr, text, sizeof(text)));
	else
		failed(f, why);
}

int http_fetch_start(struct event_base *base, struct resolver *resolver,
		     const struct http_fetch_params *params, http_fetch_done *done, void *ctx,
		     struct http_fetch **out)
{
	struct timeval t = {params->timeout_ms / 1000, (params->timeout_ms % 1000) * 1000};
	struct http_fetch *f = calloc(1, sizeof(*f));
	struct ip_addr numeric;

	if (!f)
		return -ENOMEM;
	f->base = base;
	f->url = *params->url;
	f->type = params->type;
	f->max = params->max;
	f->timeout_ms = params->timeout_ms;
	f->done = done;
	f->ctx = ctx;
	f->end = event_new(base, -1, 0, on_end, f);
	f->body = malloc(params->body_len + 1);
	if (!f->end || !f->body || event_add(f->end, &t)) {
		fetch_free(f);
		return -ENOMEM;
	}
	if (params->body_len)
		memcpy(f->body, params->body, params->body_len);
	f->body_len = params->body_len;
	if (ip_addr_parse(f->url.host, &numeric) == 0) {
		ask(f, f->url.host);
	} else if (resolver_ask(resolver, f->url.host, on_address, f, &f->query)) {
		fetch_free(f);
		return -ENOMEM;
	}
	*out = f;
	return 0;
}

void http_fetch_cancel(struct http_fetch *f)
{
	if (f)
		fetch_free(f);
}
