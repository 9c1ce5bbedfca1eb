// How many half-open IKE SAs each source has that has not proved its address by a cookie
// (RFC 7296 2.6, RFC 8019 4.2). A source is an IPv4 address, or the /64 of an IPv6 address, which
// one host can have as a whole.
//
// Threads:   control only.
// Ownership: entries exist while their count is above zero.
#pragma once

#include "lib/addr.h"

#define HALF_OPEN_BUCKETS 4096 // a power of two

struct half_open { // zeroed: empty
	struct half_open_source *bucket[HALF_OPEN_BUCKETS];
};

unsigned half_open_count(const struct half_open *h, const struct ip_addr *source);
int half_open_add(struct half_open *h, const struct ip_addr *source);  // -ENOMEM
void half_open_del(struct half_open *h, const struct ip_addr *source); // one that was added
void half_open_fini(struct half_open *h);
