// Traffic selectors (RFC 7296 3.13, 2.9; RFC 4301 4.4.1.2): a protocol, a port range and an
// address range.
//
// Ownership: a value without pointers; it is copied by assignment.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"

struct selector {
	uint8_t family;		   // enum ip_family
	uint8_t proto;		   // 0 is any
	uint16_t port_lo, port_hi; // host order; 0..65535 is any. For ICMP: type << 8 | code
	struct ip_addr lo, hi;	   // inclusive
};

#define SELECTOR_TEXT_MAX 160
#define SELECTORS_MAX	  16 // selectors of one side of a child
#define DYNAMIC_MAX	  4  // of them "dynamic"

struct selector_list {
	uint8_t n;
	struct selector s[SELECTORS_MAX];
};

struct selector_upper { // a selector without its addresses
	uint8_t proto;
	uint16_t port_lo, port_hi;
};

// swanctl's "dynamic": the tunnel's own address on that side, which the configuration need not
// know.
struct selector_dynamic {
	uint8_t n; // 0: that side has none
	struct selector_upper s[DYNAMIC_MAX];
};

struct selector selector_from_prefix(const struct ip_prefix *p); // any protocol, any port
struct selector selector_from_host(const struct ip_addr *a);
// swanctl's form: "10.1.0.0/16", "10.1.0.1-10.1.0.9", with an optional "[tcp/80]", "[udp/500-510]",
// "[icmp]", "[6]", "[udp]", "[tcp/http]". -EINVAL when malformed, and for
// "dynamic".
int selector_parse(const char *text, struct selector *s);
// "dynamic", "dynamic[gre]", "dynamic[tcp/179]". -EINVAL when malformed.
int selector_dynamic_parse(const char *text, struct selector_upper *out);
char *selector_dynamic_format(const struct selector_upper *d, char *buf, size_t size);
bool selector_dynamic_equal(const struct selector_dynamic *a, const struct selector_dynamic *b);
// Adds what they are with that address, as far as there is room; nothing when it is IP_NONE.
void selector_dynamic_add(const struct selector_dynamic *d, const struct ip_addr *a,
			  struct selector_list *list);
// As swanctl prints it: the prefix if the range is one, else lo..hi, then "[proto/port]".
char *selector_format(const struct selector *s, char *buf, size_t size);
bool selector_equal(const struct selector *a, const struct selector *b);
// True when every packet of `inner` is one of `outer`.
bool selector_contains(const struct selector *outer, const struct selector *inner);
// False when nothing is common; otherwise *out is the common part.
bool selector_intersect(const struct selector *a, const struct selector *b, struct selector *out);
bool selector_match(const struct selector *s, const struct ip_addr *a, uint8_t proto,
		    uint16_t port);
// Number of fixed bits: 0 for everything; a longer prefix, a protocol or a port is more.
unsigned selector_specificity(const struct selector *s);
