// What the files cred*.c share. Private to this folder.
#pragma once

#include <openssl/x509.h>

#include "control/openssl/cred.h"
#include "control/openssl/revocation.h"

enum { CRED_SECURITY_LEVEL = 2 }; // 112 bits: no RSA under 2048, no SHA-1 in certificates
enum { CRED_CHAIN_MAX = LIMIT_IKE_CERTS + 2 }; // what OpenSSL builds at that depth

struct cred_own { // one of our certificates
	X509 *cert;
	EVP_PKEY *key;		  // counted
	STACK_OF(X509) * issuers; // itself, and up to and with the root, where known
	size_t n;		  // DER to be sent, the root left out
	uint8_t *der[LIMIT_IKE_CERTS];
	size_t len[LIMIT_IKE_CERTS];
};

struct cred_conn {
	struct cred *store;
	char *name;
	struct auth_rule local, remote;
	struct identity local_id;
	bool use_subject; // as our identity
	enum cred_revocation revocation;
	struct cred_own own[LIMIT_IKE_CERTS];
	size_t n_own;
	STACK_OF(X509) * pinned, *cas; // remote.certs, remote.cacerts
};

struct cred {
	struct ike_cred table;
	X509_STORE *trust;	      // every CA, those of single connections too
	STACK_OF(X509) * cas, *known; // trusted by all; to complete chains
	STACK_OF(X509_CRL) * crls;
	struct cred_fetched { // by URL
		char *url;
		X509_CRL *crl; // one of `crls`
	} fetched[LIMIT_CRL_URLS];
	size_t n_fetched;
	struct cred_responder { // of an authority
		X509 *ca;
		char *url;
	} responders[LIMIT_OCSP_URIS];
	size_t n_responders;
	struct revocation *revocation; // borrowed; NULL: nobody is asked
	EVP_PKEY **keys;
	size_t n_keys;
	struct cred_conn **conns; // sorted by name, once looked up
	size_t n_conns;
	bool sorted;
	int64_t now; // 0: the clock
};

struct cred_conn *cred_conn_find(struct cred *c, const char *name);
bool cred_has(const STACK_OF(X509) * stack, X509 *x);
// The CAs of which one has to stand in the peer's chain.
const STACK_OF(X509) * cred_conn_cas(const struct cred_conn *conn);

// ---- cred_chain.c ----
struct cred_chain {		       // of a peer; a zeroed struct is empty
	STACK_OF(X509) * certs;	       // from its own to the CA
	int crl_error[CRED_CHAIN_MAX]; // X509_V_ERR_*: why no CRL says of it; 0: one says "good"
};

// Builds and checks the chain of `x` up to a CA that the connection accepts. What a CRL that is
// here says to be revoked is refused; that there is none is left to cred_revocation_check.
int cred_chain_check(const struct cred_conn *conn, X509 *x, const STACK_OF(X509) * sent,
		     struct cred_chain *out, struct error *err);
void cred_chain_fini(struct cred_chain *chain);
// The store's look_up for CRLs that certificates name.
STACK_OF(X509_CRL) * cred_chain_crls(const X509_STORE_CTX *ctx, const X509_NAME *issuer);
// The chain of one of our own, as far as it is known; no judgement. NULL when out of memory.
STACK_OF(X509) * cred_chain_build(const struct cred *c, X509 *x);
// Is it valid now? -EACCES with its name and the date.
int cred_dates_check(const struct cred *c, X509 *x, struct error *err);

// ---- cred_crl.c ----
// -EBADMSG. *next_update: 0 where it says none.
int cred_crl_parse(const uint8_t *der, size_t len, X509_CRL **out, int64_t *next_update,
		   struct error *err);
bool cred_crl_is_of(X509_CRL *crl, X509 *ca); // named and signed by it
int64_t cred_seconds_of(const ASN1_TIME *t);  // since 1970; 0 without a time

// ---- cred_revocation.c ----
// Is one of the chain revoked, and do we know that as well as the connection wants? `wait` as in
// struct ike_cred.
int cred_revocation_check(const struct cred_conn *conn, const struct cred_chain *chain,
			  uint32_t *wait, struct error *err);

// ---- cred_verify.c ----
int cred_verify(void *ctx, const char *conn, const struct identity *peer,
		const struct ike_certs *certs, const struct ike_signature *sig, uint32_t *wait,
		struct error *err);
int cred_describe(void *ctx, const struct ike_buf *cert, struct ike_cert_info *out);
