// Certificates for tests, made on the spot: CAs, end entities with whatever is wrong, CRLs, as
// files in a directory of their own.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <openssl/x509.h>

struct certs_spec {
	const char *cn;	     // subject: C=CH, O=Test, CN=...
	const char *sans;    // as OpenSSL's configuration has it: "DNS:gw-a.example,IP:192.0.2.1"
	const char *key;     // "rsa", "p256", "p384", "p521", "ed25519"; NULL: p256
	const char *usage;   // keyUsage; NULL: none, a CA's both
	const char *crl_uri; // crlDistributionPoints
	const char *info;    // authorityInfoAccess: "OCSP;URI:http://..."
	const char *purpose; // extendedKeyUsage: "OCSPSigning"
	const char *hash;    // of its signature; NULL: SHA256
	bool ca;
	int from_days, to_days; // from now; both 0: -1 to 365
};

struct certs_cert {
	X509 *x;
	EVP_PKEY *key;
};

// All of these end the test program when something fails.
void certs_dir_make(char dir[64]);
void certs_dir_remove(const char *dir);
// `issuer` NULL: signed by itself.
struct certs_cert certs_make(const struct certs_spec *spec, const struct certs_cert *issuer);
void certs_fini(struct certs_cert *c);
// DIR/NAME.pem and DIR/NAME.key; `chain` (NULL: none) is appended.
void certs_write(const struct certs_cert *c, const char *dir, const char *name,
		 const struct certs_cert *chain);
void certs_write_key(const struct certs_cert *c, const char *path, const char *passphrase,
		     bool der);
// A CRL of `ca`; `revoked` (NULL: nobody) is on it. Valid from yesterday until `to_days` from now.
void certs_write_crl(const struct certs_cert *ca, const struct certs_cert *revoked,
		     const char *path, int to_days);

struct certs_ocsp { // what a responder says of what it is asked
	const struct certs_cert *signer;
	const char *hash; // of the signature; NULL: SHA256
	int status;	  // V_OCSP_CERTSTATUS_*
	int error;	  // OCSP_RESPONSE_STATUS_*: no answer, but that
	int from_s, to_s; // thisUpdate, nextUpdate, from now; to_s 0: none
	bool no_nonce, old_nonce;
	const struct certs_cert *about; // instead of what was asked; issued by `signer`
};
// The response in DER, to be freed with OPENSSL_free. A revoked one is so since yesterday, by
// keyCompromise.
uint8_t *certs_ocsp_answer(const struct certs_ocsp *spec, const uint8_t *request, size_t len,
			   size_t *answer_len);
