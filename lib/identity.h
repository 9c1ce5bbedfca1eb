// IKE identities (RFC 7296 3.5) and their text forms, read as strongSwan reads them.
//
// Ownership: a value without pointers; it is copied by assignment.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum identity_type { // values of the ID payload
	ID_ANY = 0,  // matches whatever the peer says; never sent
	ID_IPV4_ADDR = 1,
	ID_FQDN = 2,
	ID_RFC822_ADDR = 3,
	ID_IPV6_ADDR = 5,
	ID_DER_ASN1_DN = 9,
	ID_DER_ASN1_GN = 10,
	ID_KEY_ID = 11,
};

#define IDENTITY_MAX	  512 // bytes of identification data
#define IDENTITY_TEXT_MAX (IDENTITY_MAX * 2 + 16)

struct identity {
	uint8_t type; // enum identity_type
	uint16_t len; // bytes of data
	uint8_t data[IDENTITY_MAX];
};

// "%any" or "" -> ID_ANY; an address -> ID_IPV4_ADDR or ID_IPV6_ADDR; "@#hex" -> ID_KEY_ID;
// "@text" -> ID_FQDN; "a@b" -> ID_RFC822_ADDR; the prefixes "fqdn:", "email:", "keyid:",
// "ipv4:", "ipv6:", "asn1dn:" force a type; a text with '=' -> ID_DER_ASN1_DN (lib/dn.h); anything
// else -> ID_FQDN. -EINVAL when malformed, -E2BIG over IDENTITY_MAX, -ENOTSUP for "asn1gn:".
int identity_parse(const char *text, struct identity *id);
// Same type and data; FQDN and RFC822_ADDR without regard to case, as DNS and strongSwan have it;
// distinguished names as dn_matches compares them.
bool identity_equal(const struct identity *a, const struct identity *b);
// Stands for more than one identity: ID_ANY, an FQDN or RFC822_ADDR that begins with '*', a
// distinguished name with a value "*". Never to be sent.
bool identity_is_pattern(const struct identity *id);
// Is `id` what the pattern stands for? Without a wildcard: identity_equal.
bool identity_matches(const struct identity *pattern, const struct identity *id);
// Printable form; bytes that are not printable appear escaped. Returns buf.
char *identity_format(const struct identity *id, char *buf, size_t size);
// "IPV4_ADDR", "FQDN", "RFC822_ADDR", ... or "ID_<n>".
const char *identity_type_name(uint8_t type);
