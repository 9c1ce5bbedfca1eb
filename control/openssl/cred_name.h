// What a certificate says of its owner: names against identities (RFC 4945 3.1, 5.1), and words
// for messages.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <openssl/x509.h>

#include "lib/identity.h"

#define CRED_NAME_MAX 160 // bytes of a name in a message
#define CRED_TIME_MAX 24

// By the type of the identity: FQDN is a dNSName, RFC822_ADDR an rfc822Name, an address an
// iPAddress, a distinguished name the subject, KEY_ID the subjectKeyIdentifier (as strongSwan has
// it). The common name is no host name.
bool cred_name_is(X509 *x, const struct identity *id);
// The subject as an identity. -E2BIG, -EIO.
int cred_name_subject(X509 *x, struct identity *out);
char *cred_name_text(const X509_NAME *name, char *buf, size_t size); // "C=CH, CN=gw-a"
// "DNS gw-a.example, IP 192.0.2.1", or "no alternative name".
char *cred_name_sans(X509 *x, char *buf, size_t size);
char *cred_time_text(const ASN1_TIME *t, char *buf, size_t size); // "2026-11-24 16:26 UTC"
