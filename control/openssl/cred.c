#include "control/openssl/cred.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/sha.h>

#include "control/openssl/cred_file.h"
#include "control/openssl/cred_internal.h"
#include "control/openssl/cred_name.h"
#include "control/openssl/signature.h"

bool cred_has(const STACK_OF(X509) * stack, X509 *x)
{
	for (int i = 0; i < sk_X509_num(stack); i++)
		if (X509_cmp(sk_X509_value(stack, i), x) == 0)
			return true;
	return false;
}

const STACK_OF(X509) * cred_conn_cas(const struct cred_conn *conn)
{
	return sk_X509_num(conn->cas) > 0 ? conn->cas : conn->store->cas;
}

static int compare_conns(const void *a, const void *b)
{
	return strcmp((*(struct cred_conn *const *)a)->name, (*(struct cred_conn *const *)b)->name);
}

struct cred_conn *cred_conn_find(struct cred *c, const char *name)
{
	struct cred_conn key = {.name = (char *)(uintptr_t)name}, *k = &key, **found;

	if (!c->sorted && c->n_conns > 0)
		qsort(c->conns, c->n_conns, sizeof(struct cred_conn *), compare_conns);
	c->sorted = true;
	found = c->n_conns ? bsearch(&k, c->conns, c->n_conns, sizeof(struct cred_conn *),
				     compare_conns)
			   : NULL;
	return found ? *found : NULL;
}

// ---- files ----

// Moves the certificates that are not there yet; `trust` gets them too when it is not NULL.
static int take_certs(STACK_OF(X509) * from, STACK_OF(X509) * to, X509_STORE *trust,
		      const char *path, struct error *err)
{
	X509 *x;

	if (sk_X509_num(from) == 0)
		return error_set(err, -EBADMSG, "%s holds no certificate", path);
	while ((x = sk_X509_shift(from))) {
		if (trust && X509_STORE_add_cert(trust, x) != 1) {
			X509_free(x);
			return error_set(err, -ENOMEM, "%s: out of memory", path);
		}
		if (cred_has(to, x)) {
			X509_free(x);
		} else if (sk_X509_push(to, x) <= 0) {
			X509_free(x);
			return error_set(err, -ENOMEM, "%s: out of memory", path);
		}
	}
	return 0;
}

static int add_certs(STACK_OF(X509) * to, X509_STORE *trust, const char *path, struct error *err)
{
	struct cred_found f = {0};
	int rc = cred_file_read(path, NULL, &f, err);

	if (!rc)
		rc = take_certs(f.certs, to, trust, path, err);
	cred_found_fini(&f);
	return rc;
}

int cred_add_ca(struct cred *c, const char *path, struct error *err)
{
	return add_certs(c->cas, c->trust, path, err);
}

int cred_add_cert(struct cred *c, const char *path, struct error *err)
{
	return add_certs(c->known, NULL, path, err);
}

int cred_add_crl(struct cred *c, const char *path, struct error *err)
{
	struct cred_found f = {0};
	X509_CRL *crl;
	int rc = cred_file_read(path, NULL, &f, err);

	if (!rc && sk_X509_CRL_num(f.crls) == 0)
		rc = error_set(err, -EBADMSG, "%s holds no CRL", path);
	while (!rc && (crl = sk_X509_CRL_shift(f.crls)))
		if (sk_X509_CRL_push(c->crls, crl) <= 0) {
			X509_CRL_free(crl);
			rc = error_set(err, -ENOMEM, "%s: out of memory", path);
		}
	cred_found_fini(&f);
	return rc;
}

int cred_add_key(struct cred *c, const char *path, const struct secret *passphrase,
		 struct error *err)
{
	struct cred_found f = {0};
	EVP_PKEY **keys;
	int rc = cred_file_read(path, passphrase, &f, err);

	if (!rc && !f.key)
		rc = error_set(err, -EBADMSG, "%s holds no private key", path);
	keys = rc ? NULL : realloc(c->keys, (c->n_keys + 1) * sizeof(EVP_PKEY *));
	if (keys) {
		c->keys = keys;
		c->keys[c->n_keys++] = f.key;
		f.key = NULL;
	} else if (!rc) {
		rc = error_set(err, -ENOMEM, "%s: out of memory", path);
	}
	cred_found_fini(&f);
	return rc;
}

// ---- connections ----

int cred_conn_add(struct cred *c, const struct cred_conn_params *params, struct cred_conn **out)
{
	struct cred_conn **conns = realloc(c->conns, (c->n_conns + 1) * sizeof(struct cred_conn *));
	struct cred_conn *conn = calloc(1, sizeof(*conn));

	if (conns)
		c->conns = conns;
	if (conn) {
		conn->name = strdup(params->name);
		conn->pinned = sk_X509_new_null();
		conn->cas = sk_X509_new_null();
	}
	if (!conns || !conn || !conn->name || !conn->pinned || !conn->cas) {
		if (conn) {
			free(conn->name);
			sk_X509_free(conn->pinned);
			sk_X509_free(conn->cas);
		}
		free(conn);
		return -ENOMEM;
	}
	conn->store = c;
	conn->local = params->local;
	conn->remote = params->remote;
	conn->local_id = params->local_id;
	conn->use_subject = params->local_id.type == ID_ANY;
	conn->revocation = params->revocation;
	c->conns[c->n_conns++] = conn;
	c->sorted = false;
	*out = conn;
	return 0;
}

int cred_conn_add_own(struct cred_conn *conn, const char *path, struct error *err)
{
	struct cred_found f = {0};
	int rc = cred_file_read(path, NULL, &f, err);

	if (!rc && sk_X509_num(f.certs) == 0)
		rc = error_set(err, -EBADMSG, "%s holds no certificate", path);
	if (!rc && conn->n_own == LIMIT_IKE_CERTS)
		rc = error_set(err, -E2BIG, "more than %d certificates", LIMIT_IKE_CERTS);
	if (!rc) {
		// What stands behind the first are its issuers.
		conn->own[conn->n_own++].cert = sk_X509_shift(f.certs);
		if (sk_X509_num(f.certs) > 0)
			rc = take_certs(f.certs, conn->store->known, NULL, path, err);
	}
	cred_found_fini(&f);
	return rc;
}

int cred_conn_add_pinned(struct cred_conn *conn, const char *path, struct error *err)
{
	return add_certs(conn->pinned, NULL, path, err);
}

int cred_conn_add_ca(struct cred_conn *conn, const char *path, struct error *err)
{
	return add_certs(conn->cas, conn->store->trust, path, err);
}

static int own_find_key(struct cred_conn *conn, struct cred_own *own, struct error *err)
{
	const struct cred *c = conn->store;
	char subject[CRED_NAME_MAX];
	int rc;

	cred_name_text(X509_get_subject_name(own->cert), subject, sizeof(subject));
	for (size_t i = 0; i < c->n_keys && !own->key; i++)
		if (X509_check_private_key(own->cert, c->keys[i]) == 1) {
			EVP_PKEY_up_ref(c->keys[i]);
			own->key = c->keys[i];
		}
	ERR_clear_error();
	if (!own->key)
		return error_set(
			err, -ENOKEY,
			"no private key belongs to certificate '%s' (%zu key%s in private/, "
			"rsa/, ecdsa/, pkcs8/ and secrets)",
			subject, c->n_keys, c->n_keys == 1 ? "" : "s");
	rc = signature_key_check(own->key, &conn->local, err);
	return rc ? error_prefix(err, rc, "certificate '%s'", subject) : 0;
}

// What is sent: the certificate and its issuers, the root left out, as the peer must have it.
static int own_encode(struct cred_conn *conn, struct cred_own *own, struct error *err)
{
	own->issuers = cred_chain_build(conn->store, own->cert);
	if (!own->issuers)
		return error_set(err, -ENOMEM, "out of memory");
	for (int i = 0; i < sk_X509_num(own->issuers) && own->n < LIMIT_IKE_CERTS; i++) {
		X509 *x = sk_X509_value(own->issuers, i);
		int len;

		if (i > 0 && X509_self_signed(x, 0) == 1)
			break;
		len = i2d_X509(x, &own->der[own->n]);
		if (len <= 0)
			return error_set(err, -ENOMEM, "out of memory");
		if (len > LIMIT_IKE_CERT_LEN)
			return error_set(err, -E2BIG,
					 "a certificate has %d bytes, at most %d are possible", len,
					 LIMIT_IKE_CERT_LEN);
		own->len[own->n++] = (size_t)len;
	}
	return 0;
}

int cred_conn_finish(struct cred_conn *conn, struct error *warning, struct error *err)
{
	char subject[CRED_NAME_MAX], id[IDENTITY_TEXT_MAX];
	int rc = 0;

	warning->text[0] = '\0';
	for (size_t i = 0; i < conn->n_own && !rc; i++) {
		struct cred_own *own = &conn->own[i];

		rc = own_find_key(conn, own, err);
		if (!rc)
			rc = own_encode(conn, own, err);
		if (rc)
			break;
		cred_dates_check(conn->store, own->cert, warning);
		if (conn->local_id.type != ID_ANY && !cred_name_is(own->cert, &conn->local_id)) {
			conn->use_subject = true;
			error_set(warning, 0,
				  "certificate '%s' does not name '%.120s'; its subject is our "
				  "identity instead",
				  cred_name_text(X509_get_subject_name(own->cert), subject,
						 sizeof(subject)),
				  identity_format(&conn->local_id, id, sizeof(id)));
		}
	}
	return rc;
}

int cred_own_check(struct cred *c, const char *name, struct error *err)
{
	const struct cred_conn *conn = cred_conn_find(c, name);
	int rc = 0;

	if (!conn || conn->n_own == 0)
		return error_set(err, -ENOENT, "no certificate of ours is configured");
	for (size_t i = 0; i < conn->n_own && !rc; i++) {
		const struct cred_own *own = &conn->own[i];

		// What is sent, intermediates as well: a peer checks them all.
		for (size_t k = 0; k < own->n && !rc; k++)
			rc = cred_dates_check(c, sk_X509_value(own->issuers, (int)k), err);
	}
	return rc;
}

// ---- what the core asks for ----

static int local_id(void *ctx, const char *name, struct identity *out)
{
	struct cred_conn *conn = cred_conn_find(ctx, name);

	if (!conn || conn->n_own == 0 || conn->local.kind != AUTH_BY_SIGNATURE)
		return -ENOENT;
	if (!conn->use_subject && conn->local_id.type != ID_DER_ASN1_DN)
		return -ENOENT;
	// Also where local.id is the subject: peers compare the octets.
	return cred_name_subject(conn->own[0].cert, out);
}

static int ca_id(X509 *x, uint8_t out[IKE_CA_ID_LEN])
{
	uint8_t *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);

	if (len <= 0)
		return -ENOMEM;
	SHA1(der, (size_t)len, out); // RFC 7296 3.7: a name, no protection
	OPENSSL_free(der);
	return 0;
}

static bool own_is_wanted(const struct cred_own *own, const uint8_t *cas, size_t n)
{
	for (int i = 0; i < sk_X509_num(own->issuers); i++) {
		uint8_t id[IKE_CA_ID_LEN];

		if (ca_id(sk_X509_value(own->issuers, i), id))
			continue;
		for (size_t k = 0; k < n; k++)
			if (memcmp(cas + k * IKE_CA_ID_LEN, id, IKE_CA_ID_LEN) == 0)
				return true;
	}
	return false;
}

static int chain(void *ctx, const char *name, const uint8_t *cas, size_t n, struct ike_certs *out,
		 struct error *err)
{
	struct cred_conn *conn = cred_conn_find(ctx, name);
	const struct cred_own *own = NULL;

	if (!conn || conn->n_own == 0)
		return error_set(err, -ENOENT, "no certificate of ours is configured");
	for (size_t i = 0; i < conn->n_own && !own && !conn->use_subject; i++)
		if (own_is_wanted(&conn->own[i], cas, n))
			own = &conn->own[i];
	if (!own)
		own = &conn->own[0];
	out->n = own->n;
	for (size_t i = 0; i < own->n; i++)
		out->cert[i] = (struct ike_buf){own->der[i], own->len[i]};
	return 0;
}

static int sign(void *ctx, const char *name, const struct ike_certs *own, unsigned peer_hashes,
		const struct ike_buf *octets, uint8_t *method, uint8_t *out, size_t *len,
		struct error *err)
{
	struct cred_conn *conn = cred_conn_find(ctx, name);

	for (size_t i = 0; conn && i < conn->n_own; i++)
		if (own->n > 0 && own->cert[0].data == conn->own[i].der[0])
			return signature_make(conn->own[i].key, &conn->local, peer_hashes, octets,
					      method, out, len, err);
	return error_set(err, -ENOENT, "no certificate of ours is configured");
}

static void cas(void *ctx, const char *name, uint8_t *out, size_t *n)
{
	struct cred_conn *conn = cred_conn_find(ctx, name);
	const STACK_OF(X509) *list = conn ? cred_conn_cas(conn) : NULL;

	for (int i = 0; i < sk_X509_num(list) && *n < LIMIT_IKE_CERTREQ_CAS; i++) {
		uint8_t *id = out + *n * IKE_CA_ID_LEN;
		bool there = false;

		if (ca_id(sk_X509_value(list, i), id))
			continue;
		for (size_t k = 0; k < *n && !there; k++)
			there = memcmp(out + k * IKE_CA_ID_LEN, id, IKE_CA_ID_LEN) == 0;
		*n += !there;
	}
}

// ---- create and destroy ----

int cred_create(struct cred **out)
{
	struct cred *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->table = (struct ike_cred){
		.ctx = c,
		.local_id = local_id,
		.chain = chain,
		.sign = sign,
		.verify = cred_verify,
		.cas = cas,
		.describe = cred_describe,
	};
	c->trust = X509_STORE_new();
	c->cas = sk_X509_new_null();
	c->known = sk_X509_new_null();
	c->crls = sk_X509_CRL_new_null();
	if (!c->trust || !c->cas || !c->known || !c->crls) {
		cred_destroy(c);
		return -ENOMEM;
	}
	X509_STORE_set_lookup_crls(c->trust, cred_chain_crls);
	*out = c;
	return 0;
}

static void conn_destroy(struct cred_conn *conn)
{
	for (size_t i = 0; i < conn->n_own; i++) {
		X509_free(conn->own[i].cert);
		EVP_PKEY_free(conn->own[i].key);
		sk_X509_pop_free(conn->own[i].issuers, X509_free);
		for (size_t k = 0; k < LIMIT_IKE_CERTS; k++)
			OPENSSL_free(conn->own[i].der[k]);
	}
	sk_X509_pop_free(conn->pinned, X509_free);
	sk_X509_pop_free(conn->cas, X509_free);
	free(conn->name);
	free(conn);
}

void cred_destroy(struct cred *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_conns; i++)
		conn_destroy(c->conns[i]);
	free(c->conns);
	for (size_t i = 0; i < c->n_keys; i++)
		EVP_PKEY_free(c->keys[i]);
	free(c->keys);
	X509_STORE_free(c->trust);
	sk_X509_pop_free(c->cas, X509_free);
	sk_X509_pop_free(c->known, X509_free);
	sk_X509_CRL_pop_free(c->crls, X509_CRL_free);
	for (size_t i = 0; i < c->n_responders; i++) {
		X509_free(c->responders[i].ca);
		free(c->responders[i].url);
	}
	for (size_t i = 0; i < c->n_fetched; i++)
		free(c->fetched[i].url);
	free(c);
}

const struct ike_cred *cred_table(const struct cred *c)
{
	return &c->table;
}

void cred_set_revocation(struct cred *c, struct revocation *r)
{
	c->revocation = r;
}

void cred_set_time(struct cred *c, int64_t seconds)
{
	c->now = seconds;
}
