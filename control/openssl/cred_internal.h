// What the files cred*.c share. Private to this folder.
#pragma once

#include <openssl/x509.h>

#include "control/openssl/cred.h"

struct cred_own { // one of our certificates
	X509 *cert;
	EVP_PKEY *key;		  // counted
	STACK_OF(X509) * issuers; // up to and with the root, where known
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
// Builds and checks the chain of `x` up to a CA that the connection accepts; revocation as it
// wants.
int cred_chain_check(const struct cred_conn *conn, X509 *x, const STACK_OF(X509) * sent,
		     struct error *err);
// The chain of one of our own, as far as it is known; no judgement. NULL when out of memory.
STACK_OF(X509) * cred_chain_build(const struct cred *c, X509 *x);
// Is it valid now? -EACCES with its name and the date.
int cred_dates_check(const struct cred *c, X509 *x, struct error *err);

// ---- cred_verify.c ----
int cred_verify(void *ctx, const char *conn, const struct identity *peer,
		const struct ike_certs *certs, const struct ike_signature *sig, uint32_t *wait,
		struct error *err);
int cred_describe(void *ctx, const struct ike_buf *cert, struct ike_cert_info *out);
