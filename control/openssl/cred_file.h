// Certificates, keys and CRLs from files (PEM or DER) and from URIs such as pkcs11:, through
// OpenSSL's OSSL_STORE: it knows the formats, PKCS#8 with passphrases, and providers' tokens.
//
// Ownership: what is found is the caller's (sk_X509_pop_free and so on).
// Errors:    -errno with a sentence that names the file.
#pragma once

#include <stdbool.h>

#include <openssl/x509.h>

#include "lib/error.h"
#include "lib/secret.h"

struct cred_found { // a zeroed struct is empty
	STACK_OF(X509) * certs;
	STACK_OF(X509_CRL) * crls;
	EVP_PKEY *key; // the first private key
};

// Reads all there is. `passphrase` (NULL: none) opens an encrypted key, or is a token's PIN.
// -ENOKEY: it is encrypted and no passphrase, or another, is known.
int cred_file_read(const char *path, const struct secret *passphrase, struct cred_found *out,
		   struct error *err);
void cred_found_fini(struct cred_found *f);
