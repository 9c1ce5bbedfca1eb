#include "lib/http_url.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/addr.h"
#include "lib/uri.h"

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

// Length of the host as it stands there, with the brackets of an address of IPv6; 0: no valid one.
static size_t host_parse(const char *text, size_t len, char out[HTTP_URL_HOST_MAX + 1])
{
	const char *end = text[0] == '[' ? memchr(text, ']', len) : NULL;
	char addr_text[IP_ADDR_TEXT_MAX];
	struct ip_addr addr;
	size_t n = 0;

	if (end) {
		n = (size_t)(end - text) - 1;
		if (n >= sizeof(addr_text))
			return 0;
		memcpy(addr_text, text + 1, n);
		addr_text[n] = '\0';
		if (ip_addr_parse(addr_text, &addr) || addr.family != IP_V6)
			return 0;
		memcpy(out, addr_text, n + 1);
		return n + 2;
	}
	while (n < len && is_host_char(text[n]))
		n++;
	if (n > HTTP_URL_HOST_MAX)
		return 0;
	memcpy(out, text, n);
	out[n] = '\0';
	return n;
}

int http_url_parse(const char *text, struct http_url *out, struct error *err)
{
	struct http_url u = {.port = 80};
	const char *host = text + strlen(SCHEME), *path;
	char shown[256];
	size_t len, host_len;

	uri_shown(text, shown, sizeof(shown));
	if (strlen(text) > HTTP_URL_MAX)
		return error_set(err, -E2BIG, "a URL is longer than %d bytes", HTTP_URL_MAX);
	if (strncmp(text, SCHEME, strlen(SCHEME)) != 0)
		return error_set(err, -ENOTSUP, "'%.200s' does not begin with " SCHEME, shown);
	for (const char *p = text; *p; p++)
		if (*p <= ' ' || *p > '~' || *p == '#')
			return error_set(err, -EINVAL,
					 "a URL holds a blank, a '#' or a character that is not "
					 "ASCII; write it as %%XX");
	len = strcspn(host, "/?");
	path = host + len;
	if (memchr(host, '@', len))
		return error_set(err, -EINVAL,
				 "'%.200s' has a user's name or password, which is not supported",
				 shown);
	host_len = host_parse(host, len, u.host);
	if (host_len == 0 || (host_len < len && host[host_len] != ':'))
		return error_set(err, -EINVAL, "'%.200s' has no valid host name", shown);
	if (host_len < len && parse_port(host + host_len + 1, len - host_len - 1, &u.port))
		return error_set(err, -EINVAL, "'%.200s' has no valid port", shown);
	snprintf(u.path, sizeof(u.path), "%s%.*s", path[0] == '/' ? "" : "/", HTTP_URL_MAX - 1,
		 path);
	*out = u;
	return 0;
}
