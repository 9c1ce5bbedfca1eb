// struct ike_crypto implemented with OpenSSL 3 EVP.
#pragma once

#include "control/ike/ike_crypto.h"

// Fetches algorithms once. -ENOMEM, -ENOTSUP when OpenSSL lacks one that is mandatory
// (RFC 8247: AES-CBC, HMAC-SHA2-256, group 14).
int ike_openssl_create(struct ike_crypto **out);
void ike_openssl_destroy(struct ike_crypto *c);
