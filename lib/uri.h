// A URI as people may see it, in messages and in what is kept of them: without the secrets that one
// can carry, the PIN of a token (RFC 7512 2.4) and a user's password (RFC 3986 3.2.1).
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define URI_REMOVED "<removed>"

// Writes it into `buf`, cut when it does not fit, and returns buf. What is no URI stays as it is.
char *uri_shown(const char *uri, char *buf, size_t size);
bool uri_has_secret(const char *uri);
