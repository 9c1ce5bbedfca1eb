#include "lib/http_url.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SCHEME "http://"

static bool is_host_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_';
}

static int parse_port(const char *text, size_t len, uint16_t *out)
{
	unsigned port = 0;

	if (len == 0 || len > 5)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		port = port * 10 + (unsigned)(text[i] - '0');
	}
	if (port == 0 || port > 65535)
		return -EINVAL;
	*out = (uint16_t)port;
	return 0;
}

int http_url_parse(const char *text, struct http_url *out, struct error *err)
{
	struct http_url u = {.port = 80};
	const char *host = text + strlen(SCHEME), *path;
	size_t len, host_len = 0;

	if (strlen(text) > HTTP_URL_MAX)
		return error_set(err, -E2BIG, "a URL is longer than %d bytes", HTTP_URL_MAX);
	if (strncmp(text, SCHEME, strlen(SCHEME)) != 0)
		return error_set(err, -ENOTSUP, "'%.200s' does not begin with " SCHEME, text);
	for (const char *p = text; *p; p++)
		if (*p <= ' ' || *p > '~' || *p == '#')
			return error_set(err, -EINVAL,
					 "a URL holds a blank, a '#' or a character that is not "
					 "ASCII; write it as %%XX");
	len = strcspn(host, "/?");
	path = host + len;
	if (host[0] == '[')
		return error_set(err, -ENOTSUP, "'%.200s': an IPv6 address is not supported", text);
	while (host_len < len && is_host_char(host[host_len]))
		host_len++;
	if (host_len == 0 || host_len > HTTP_URL_HOST_MAX ||
	    (host_len < len && host[host_len] != ':'))
		return error_set(err, -EINVAL, "'%.200s' has no valid host name", text);
	if (host_len < len && parse_port(host + host_len + 1, len - host_len - 1, &u.port))
		return error_set(err, -EINVAL, "'%.200s' has no valid port", text);
	memcpy(u.host, host, host_len);
	snprintf(u.path, sizeof(u.path), "%s%.*s", path[0] == '/' ? "" : "/", HTTP_URL_MAX - 1,
		 path);
	*out = u;
	return 0;
}
