// From what a configuration names to credentials: finds the files as swanctl does, reads them, and
// says with file, line and key what is wrong.
//
// A name is a path, a "pkcs11:" URI, or a file in x509/, x509ca/, x509crl/, private/ and so on next
// to the configuration file that says it, or in that directory itself. All files in x509/, x509ca/,
// x509crl/, private/, rsa/, ecdsa/ and pkcs8/ there are read as well.
//
// Threads:   control only.
// Ownership: the caller owns *out (cred_destroy); the configuration may go.
#pragma once

#include "config/config.h"
#include "control/openssl/cred.h"
#include "lib/error.h"

// *out is NULL when no connection needs any. `warn` gets a sentence about each thing that is odd
// and stops nothing: a file that is not readable, a certificate of ours that has expired.
int creds_load(const struct config *config, void (*warn)(void *ctx, const char *text), void *ctx,
	       struct cred **out, struct error *err);
