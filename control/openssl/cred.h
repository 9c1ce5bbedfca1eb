// The credentials of one configuration: trusted CAs, certificates, keys, CRLs, and what each
// connection does with them. struct ike_cred implemented with OpenSSL's X509_STORE.
//
// Filled once when a configuration is loaded, then read only but for CRLs that are fetched; a
// reload makes a new one.
// Threads:   control only.
// Ownership: everything is the store's; `params` are copied.
// Errors:    -errno with a sentence that names the file.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/ike/ike_cred.h"
#include "lib/auth_rule.h"
#include "lib/secret.h"

struct cred;
struct cred_conn;

enum cred_revocation {	    // remote.revocation
	REVOCATION_RELAXED, // refused is who is known to be revoked
	REVOCATION_IFURI,   // and who names a place to ask that has no answer
	REVOCATION_STRICT,  // and of whom neither OCSP nor a CRL says that it is not
};

struct revocation;

int cred_create(struct cred **out); // -ENOMEM
void cred_destroy(struct cred *c);  // NULL is allowed
// The table for struct ike_env; lives as long as the store.
const struct ike_cred *cred_table(const struct cred *c);
// Seconds since 1970 instead of the clock, for tests. 0: the clock.
void cred_set_time(struct cred *c, int64_t seconds);

// ---- for all connections ----
int cred_add_ca(struct cred *c, const char *path, struct error *err);	// trusted by all
int cred_add_cert(struct cred *c, const char *path, struct error *err); // to complete chains
int cred_add_crl(struct cred *c, const char *path, struct error *err);
// A CRL (DER) from `url`, in place of the one from there before. It has to be signed by one of the
// CAs that are here. *next_update: seconds since 1970, 0 where it says none.
// -EBADMSG: no CRL; -EACCES: none of our CAs signed it; -ESTALE: older than the one from before.
int cred_put_crl(struct cred *c, const char *url, const uint8_t *der, size_t len,
		 int64_t *next_update, struct error *err);
// An OCSP responder (valid for http_url_parse) for what the CA in that file has issued. -E2BIG.
int cred_add_ocsp(struct cred *c, const char *path, const char *url, struct error *err);
// Where servers are asked, from now on; outlives the store. NULL: they are not.
void cred_set_revocation(struct cred *c, struct revocation *r);
int cred_add_key(struct cred *c, const char *path, const struct secret *passphrase,
		 struct error *err);

// ---- one connection ----
struct cred_conn_params {
	const char *name;
	struct auth_rule local, remote;
	struct identity local_id; // ID_ANY: the subject of the certificate
	enum cred_revocation revocation;
};
int cred_conn_add(struct cred *c, const struct cred_conn_params *params, struct cred_conn **out);
int cred_conn_add_own(struct cred_conn *conn, const char *path, struct error *err);
int cred_conn_add_pinned(struct cred_conn *conn, const char *path, struct error *err);
int cred_conn_add_ca(struct cred_conn *conn, const char *path, struct error *err);
// Are our certificates of that connection valid now? Their keys match: cred_conn_finish refuses
// what has none. -ENOENT: it has none; -EACCES: one is not, and *err has its name and the date.
int cred_own_check(struct cred *c, const char *conn, struct error *err);
// Once all files are there: finds our keys and chains. `warning` gets a sentence, or "", about a
// certificate that peers will not accept (expired, not yet valid, another name than local.id).
int cred_conn_finish(struct cred_conn *conn, struct error *warning, struct error *err);
