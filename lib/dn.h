// Distinguished names (X.501; RFC 5280 4.1.2.4) as identities: from the text that strongSwan
// writes to DER and back, and their comparison. A certificate's names are OpenSSL's business; this
// is for what a configuration and an ID payload say.
//
// Errors: DER that is not exactly one Name is no name: it formats as nothing and matches nothing.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// "C=CH, O=Example, CN=gw-a", also "/C=CH/O=Example/CN=gw-a"; a backslash takes the meaning away
// from the separator behind it. *len: in, room; out, bytes. -EINVAL, -E2BIG.
int dn_parse(const char *text, uint8_t *der, size_t *len);
// "C=CH, O=Example, CN=gw-a"; attributes without a known name as their OID. False when it is no
// name; buf is then "".
bool dn_format(const uint8_t *der, size_t len, char *buf, size_t size);
// The same attributes in the same order with the same values, whatever the type of string and the
// case of ASCII letters. With `wildcards` a value "*" of `pattern` stands for any.
bool dn_matches(const uint8_t *pattern, size_t pattern_len, const uint8_t *dn, size_t len,
		bool wildcards);
bool dn_has_wildcard(const uint8_t *der, size_t len);
