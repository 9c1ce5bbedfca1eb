// Addresses, prefixes and endpoints of both families, with their text forms.
//
// All bytes are in network order. Ports are in host order.
// Errors: parsers return -EINVAL and leave the output untouched.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ip_family { IP_NONE = 0, IP_V4 = 4, IP_V6 = 6 };

struct ip_addr {
	uint8_t family;	   // enum ip_family; IP_NONE means "any" or "not set"
	uint8_t bytes[16]; // the first 4 for IPv4, the others zero
};

struct ip_prefix {
	struct ip_addr addr; // host bits are kept: 10.1.0.1/24 is also an interface address
	uint8_t len;	     // bits
};

struct ip_endpoint {
	struct ip_addr addr;
	uint16_t port;
};

struct mac_addr {
	uint8_t bytes[6];
};

#define IP_ADDR_TEXT_MAX     46
#define IP_PREFIX_TEXT_MAX   (IP_ADDR_TEXT_MAX + 4)
#define IP_ENDPOINT_TEXT_MAX (IP_ADDR_TEXT_MAX + 8)
#define MAC_ADDR_TEXT_MAX    18

struct ip_addr ip_addr_v4(uint32_t host_order);
struct ip_addr ip_addr_from_bytes(const uint8_t *bytes, size_t len); // 4 or 16, else IP_NONE
uint32_t ip_addr_to_v4(const struct ip_addr *a);		     // host order; IPv4 only
size_t ip_addr_len(const struct ip_addr *a);			     // 4, 16, or 0 for IP_NONE
int ip_addr_parse(const char *text, struct ip_addr *a);
bool ip_addr_equal(const struct ip_addr *a, const struct ip_addr *b);
int ip_addr_compare(const struct ip_addr *a, const struct ip_addr *b); // family, then bytes
uint32_t ip_addr_hash(const struct ip_addr *a);			       // for tables
bool ip_addr_is_any(const struct ip_addr *a);			       // IP_NONE, 0.0.0.0 or ::
// fe80::/10 (RFC 4291 2.5.6): it means nothing to a peer behind a router.
bool ip_addr_is_link_local(const struct ip_addr *a);

// "10.1.0.0/16"; a bare address is a host prefix (/32, /128).
int ip_prefix_parse(const char *text, struct ip_prefix *p);
bool ip_prefix_contains(const struct ip_prefix *p, const struct ip_addr *a);
// First and last address of the prefix.
void ip_prefix_range(const struct ip_prefix *p, struct ip_addr *lo, struct ip_addr *hi);

bool ip_endpoint_equal(const struct ip_endpoint *a, const struct ip_endpoint *b);

int mac_addr_parse(const char *text, struct mac_addr *m);

// Each writes into `buf` (of at least the _TEXT_MAX above), always terminates, returns buf.
// IP_NONE is written "%any". An endpoint is "192.0.2.1[500]" as strongSwan writes it.
char *ip_addr_format(const struct ip_addr *a, char *buf, size_t size);
char *ip_prefix_format(const struct ip_prefix *p, char *buf, size_t size);
char *ip_endpoint_format(const struct ip_endpoint *e, char *buf, size_t size);
char *mac_addr_format(const struct mac_addr *m, char *buf, size_t size);
