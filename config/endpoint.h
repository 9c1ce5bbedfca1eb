// One entry of local_addrs or remote_addrs: %any, %any4 or %any6, an address, a subnet, a range, or
// a host's name.
//
// Threads:   pure functions on the caller's memory.
// Ownership: an endpoint owns its name.
// Errors:    0 or -errno; on error *out is untouched.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/addr.h"

#define ENDPOINT_NAME_MAX 254 // characters (RFC 1035 2.3.4)
#define ENDPOINT_TEXT_MAX (ENDPOINT_NAME_MAX + 1)

struct config_endpoint {
	// All addresses from one to the other; family IP_NONE: %any, or a name that has not been
	// resolved (yet).
	struct ip_addr lo, hi;
	char *name; // of a host; NULL: none
};

// -EINVAL: none of the forms above; -ERANGE: a range that ends before it begins, or of two
// families; -ENOMEM.
int endpoint_parse(const char *text, struct config_endpoint *out);
void endpoint_fini(struct config_endpoint *e);
int endpoint_copy(const struct config_endpoint *from, struct config_endpoint *out);
// As it was configured: what a name leads to does not count.
bool endpoint_equal(const struct config_endpoint *a, const struct config_endpoint *b);
// A single address; of a name, what it has been resolved to.
bool endpoint_is_host(const struct config_endpoint *e);
// 0: the address is none of it. Otherwise the narrower the entry the more: 1 for %any, %any4 and
// %any6, 33 for one IPv4 address, 129 for one IPv6 address.
unsigned endpoint_match(const struct config_endpoint *e, const struct ip_addr *a);
// As swanctl.conf has it. Writes into `buf` of ENDPOINT_TEXT_MAX bytes; returns it.
char *endpoint_format(const struct config_endpoint *e, char *buf, size_t size);
