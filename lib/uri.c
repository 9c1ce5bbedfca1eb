#include "lib/uri.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PIN "pin-" // pin-value, pin-source

// The last '@' of scheme://user:password@host; further to the right it does no harm. NULL: none.
static const char *end_of_user(const char *uri)
{
	const char *scheme = strstr(uri, "://");

	return scheme ? strrchr(scheme, '@') : NULL;
}

static const char *find_pin(const char *s)
{
	for (; *s; s++)
		if (strncasecmp(s, PIN, strlen(PIN)) == 0)
			return s;
	return NULL;
}

bool uri_has_secret(const char *uri)
{
	return end_of_user(uri) || find_pin(uri);
}

char *uri_shown(const char *uri, char *buf, size_t size)
{
	const char *user = end_of_user(uri), *pin;
	size_t len = 0;

	buf[0] = '\0';
	if (user) {
		const size_t scheme = (size_t)(strstr(uri, "://") - uri) + 3;

		len = (size_t)snprintf(buf, size, "%.*s" URI_REMOVED, (int)scheme, uri);
		uri = user;
	}
	while (len < size && (pin = find_pin(uri))) {
		const size_t name = strcspn(pin, "=;&");
		const char *after = pin + name + strcspn(pin + name, ";&");

		len += (size_t)snprintf(buf + len, size - len, "%.*s=" URI_REMOVED,
					(int)(pin + name - uri), uri);
		uri = after;
	}
	if (len < size)
		snprintf(buf + len, size - len, "%s", uri);
	return buf;
}
