// http URLs (RFC 3986, RFC 9110 4.2.1) that a configuration names: "http://host[:port][/path]".
// An IPv6 address stands in brackets (RFC 3986 3.2.2), without a zone.
//
// Threads:   any. Ownership: none; the parts are copies.
// Errors:    -EINVAL, -ENOTSUP (another scheme), -E2BIG, with a sentence.
#pragma once

#include <stdint.h>

#include "lib/error.h"

#define HTTP_URL_MAX	  1023 // bytes
#define HTTP_URL_HOST_MAX 253  // bytes of a name (RFC 1035 2.3.4)

struct http_url {
	char host[HTTP_URL_HOST_MAX + 1]; // an IPv6 address without its brackets
	uint16_t port;
	char path[HTTP_URL_MAX + 1]; // with the query; "/" when there is none
};

// No blank, control character or byte above 0x7e passes: what is parsed goes into a request's
// first lines. User names and fragments are refused.
int http_url_parse(const char *text, struct http_url *out, struct error *err);
