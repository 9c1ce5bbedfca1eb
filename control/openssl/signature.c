#include "control/openssl/signature.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "control/openssl/algorithm_id.h"
#include "control/openssl/context.h"

static const struct curve { // RFC 4754 3
	const char *nist, *sn;
	unsigned bits;
	uint8_t method, hash;
	size_t len; // bytes of r and of s
} curves[] = {
	{"P-256", "prime256v1", 256, AUTH_ECDSA_256, HASH_SHA2_256, 32},
	{"P-384", "secp384r1", 384, AUTH_ECDSA_384, HASH_SHA2_384, 48},
	{"P-521", "secp521r1", 521, AUTH_ECDSA_521, HASH_SHA2_512, 66},
};
enum { CURVES = sizeof(curves) / sizeof(curves[0]) };

static const struct curve *curve_of(const EVP_PKEY *key)
{
	char name[64];
	size_t len;

	if (EVP_PKEY_get_group_name(key, name, sizeof(name), &len) != 1)
		return NULL;
	for (size_t i = 0; i < CURVES; i++)
		if (strcmp(name, curves[i].nist) == 0 || strcmp(name, curves[i].sn) == 0)
			return &curves[i];
	return NULL;
}

// One auth_key, 0 for a kind that we cannot use.
static uint8_t kind_of(const EVP_PKEY *key)
{
	if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS"))
		return AUTH_KEY_RSA;
	if (EVP_PKEY_is_a(key, "EC"))
		return curve_of(key) ? AUTH_KEY_ECDSA : 0;
	if (EVP_PKEY_is_a(key, "ED25519"))
		return AUTH_KEY_ED25519;
	if (EVP_PKEY_is_a(key, "ED448"))
		return AUTH_KEY_ED448;
	return 0;
}

char *signature_key_name(EVP_PKEY *key, char *buf, size_t size)
{
	switch (kind_of(key)) {
	case AUTH_KEY_RSA:
		snprintf(buf, size, "RSA %d", EVP_PKEY_get_bits(key));
		break;
	case AUTH_KEY_ECDSA:
		snprintf(buf, size, "ECDSA %s", curve_of(key)->nist);
		break;
	case AUTH_KEY_ED25519:
		snprintf(buf, size, "Ed25519");
		break;
	case AUTH_KEY_ED448:
		snprintf(buf, size, "Ed448");
		break;
	default:
		snprintf(buf, size, "%s", EVP_PKEY_get0_type_name(key));
	}
	return buf;
}

int signature_key_check(EVP_PKEY *key, const struct auth_rule *rule, struct error *err)
{
	uint8_t kind = kind_of(key);
	unsigned bits = (unsigned)EVP_PKEY_get_bits(key);
	char name[64], wanted[AUTH_RULE_TEXT_MAX];

	if (kind && (!rule->keys || (rule->keys & kind)) &&
	    !(kind == AUTH_KEY_RSA && bits < rule->rsa_bits) &&
	    !(kind == AUTH_KEY_ECDSA && bits < rule->ecdsa_bits))
		return 0;
	return error_set(err, -EACCES, "its key is %s, wanted is: %s",
			 signature_key_name(key, name, sizeof(name)),
			 auth_rule_format(rule, wanted, sizeof(wanted)));
}

static const char *md_name(unsigned hash)
{
	static const char *const names[] = {
		[HASH_SHA1] = "SHA1",	      [HASH_SHA2_256] = "SHA2-256",
		[HASH_SHA2_384] = "SHA2-384", [HASH_SHA2_512] = "SHA2-512",
		[HASH_IDENTITY] = NULL,
	};

	return names[hash];
}

static bool setup(EVP_MD_CTX *md, EVP_PKEY *key, const struct algorithm_id *id, bool sign)
{
	EVP_PKEY_CTX *ctx = NULL;
	const char *hash = md_name(id->hash);
	int ok = sign ? EVP_DigestSignInit_ex(md, &ctx, hash, NULL, NULL, key, NULL)
		      : EVP_DigestVerifyInit_ex(md, &ctx, hash, NULL, NULL, key, NULL);

	if (ok != 1)
		return false;
	if (id->key != AUTH_KEY_RSA)
		return true;
	if (!id->pss)
		return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0;
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
	       EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, hash, NULL) > 0 &&
	       EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, sign ? RSA_PSS_SALTLEN_DIGEST : id->salt_len) >
		       0;
}

// ---- ECDSA: DER on OpenSSL's side, r and s one after the other in RFC 4754 ----

static int raw_from_der(const uint8_t *der, size_t len, const struct curve *c, uint8_t *out)
{
	const uint8_t *p = der;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)len);
	int n = (int)c->len;
	bool ok = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, n) == n &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + c->len, n) == n;

	ECDSA_SIG_free(sig);
	return ok ? 0 : openssl_failed();
}

static int der_from_raw(const struct ike_buf *raw, const struct curve *c, uint8_t **der,
			size_t *len)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(raw->data, (int)c->len, NULL);
	BIGNUM *s = BN_bin2bn(raw->data + c->len, (int)c->len, NULL);
	int n = -1;

	if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
		r = s = NULL; // sig's now
		n = i2d_ECDSA_SIG(sig, der);
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	if (n <= 0)
		return openssl_failed();
	*len = (size_t)n;
	return 0;
}

// ---- sign ----

static int sign(EVP_PKEY *key, const struct algorithm_id *id, const struct ike_buf *octets,
		uint8_t *out, size_t *len, struct error *err)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	int rc = -ENOMEM;

	if (md && setup(md, key, id, true))
		rc = EVP_DigestSign(md, out, len, octets->data, octets->len) == 1 ? 0 : -EIO;
	else if (md)
		rc = -EIO;
	EVP_MD_CTX_free(md);
	if (rc) {
		const char *why = ERR_reason_error_string(ERR_peek_last_error());

		error_set(err, rc, "our key cannot sign with %s%s: %s", auth_hash_name(id->hash),
			  id->pss ? " (PSS)" : "", why ? why : "OpenSSL does not say why");
		ERR_clear_error();
	}
	return rc;
}

// The hash that goes with the size of the key, or the next that the peer and the rule accept.
static unsigned choose_hash(EVP_PKEY *key, uint8_t kind, unsigned allowed)
{
	int bits = EVP_PKEY_get_bits(key);
	unsigned best = HASH_SHA2_256;

	if (kind == AUTH_KEY_ED25519 || kind == AUTH_KEY_ED448)
		return allowed & AUTH_HASH_BIT(HASH_IDENTITY) ? HASH_IDENTITY : 0;
	if (kind == AUTH_KEY_ECDSA)
		best = curve_of(key)->hash;
	else if (bits > 7680)
		best = HASH_SHA2_512;
	else if (bits > 3072)
		best = HASH_SHA2_384;
	if (allowed & AUTH_HASH_BIT(best))
		return best;
	for (unsigned h = HASH_SHA2_512; h >= HASH_SHA2_256; h--)
		if (allowed & AUTH_HASH_BIT(h))
			return h;
	return 0;
}

static int make_old(EVP_PKEY *key, uint8_t kind, const struct auth_rule *rule,
		    const struct ike_buf *octets, uint8_t *method, uint8_t *out, size_t *len,
		    struct error *err)
{
	const struct curve *c = kind == AUTH_KEY_ECDSA ? curve_of(key) : NULL;
	struct algorithm_id id = {kind, HASH_SHA1, false, 0};
	uint8_t der[160];
	size_t der_len = sizeof(der);
	int rc;

	if (c && *len >= 2 * c->len && (!rule->hashes || rule->hashes & AUTH_HASH_BIT(c->hash))) {
		id.hash = c->hash;
		rc = sign(key, &id, octets, der, &der_len, err);
		if (!rc)
			rc = raw_from_der(der, der_len, c, out);
		if (!rc) {
			*method = c->method;
			*len = 2 * c->len;
		}
		return rc;
	}
	if (kind == AUTH_KEY_RSA && !rule->hashes && !rule->pss && EVP_PKEY_is_a(key, "RSA")) {
		rc = sign(key, &id, octets, out, len, err);
		if (!rc)
			*method = AUTH_RSA;
		return rc;
	}
	return error_set(
		err, -ENOTSUP,
		"the peer does not announce RFC 7427 signatures (SIGNATURE_HASH_ALGORITHMS), "
		"which our key and local.auth need");
}

int signature_make(EVP_PKEY *key, const struct auth_rule *rule, unsigned peer_hashes,
		   const struct ike_buf *octets, uint8_t *method, uint8_t *out, size_t *len,
		   struct error *err)
{
	uint8_t kind = kind_of(key);
	unsigned ours = rule->hashes ? rule->hashes : AUTH_HASHES;
	struct algorithm_id id = {.key = kind};
	uint8_t alg[ALGORITHM_ID_MAX];
	size_t alg_len, sig_len;
	char theirs[64], allowed[64];
	int rc;

	if (!kind)
		return error_set(err, -ENOTSUP, "our key is none that IKEv2 signs with");
	if (!peer_hashes)
		return make_old(key, kind, rule, octets, method, out, len, err);
	// An Ed25519 key has no choice, whatever hashes the rule names.
	if (kind == AUTH_KEY_ED25519 || kind == AUTH_KEY_ED448)
		ours = AUTH_HASH_BIT(HASH_IDENTITY);
	id.hash = (uint8_t)choose_hash(key, kind, peer_hashes & ours & AUTH_HASHES);
	if (!id.hash)
		return error_set(
			err, -ENOTSUP,
			"the peer accepts signatures with %s, our key and local.auth allow %s",
			auth_hashes_format(peer_hashes, theirs, sizeof(theirs)),
			auth_hashes_format(ours, allowed, sizeof(allowed)));
	id.pss = kind == AUTH_KEY_RSA && (rule->pss || EVP_PKEY_is_a(key, "RSA-PSS"));
	alg_len = algorithm_id_write(&id, alg);
	if (alg_len == 0 || *len < 1 + alg_len)
		return error_set(err, -ENOTSUP, "our signature has no form in IKEv2");
	sig_len = *len - 1 - alg_len;
	rc = sign(key, &id, octets, out + 1 + alg_len, &sig_len, err);
	if (rc)
		return rc;
	// RFC 7427 3: length of the AlgorithmIdentifier, itself, the signature.
	out[0] = (uint8_t)alg_len;
	memcpy(out + 1, alg, alg_len);
	*method = AUTH_DIGITAL_SIGNATURE;
	*len = 1 + alg_len + sig_len;
	return 0;
}

// ---- verify ----

static int verify(EVP_PKEY *key, const struct algorithm_id *id, const struct ike_buf *signature,
		  const struct ike_buf *octets, struct error *err)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = md && setup(md, key, id, false) &&
		  EVP_DigestVerify(md, signature->data, signature->len, octets->data,
				   octets->len) == 1;

	EVP_MD_CTX_free(md);
	ERR_clear_error();
	if (ok)
		return 0;
	return error_set(err, -EACCES, "its signature does not verify (%s%s)",
			 auth_hash_name(id->hash), id->pss ? ", PSS" : "");
}

static int check_hash(const struct auth_rule *rule, unsigned hash, struct error *err)
{
	unsigned allowed = rule->hashes ? rule->hashes : AUTH_HASHES;
	char text[64];

	if (hash == HASH_IDENTITY || allowed & AUTH_HASH_BIT(hash))
		return 0;
	return error_set(err, -EACCES, "it signs with %s, allowed is %s", auth_hash_name(hash),
			 auth_hashes_format(allowed, text, sizeof(text)));
}

static int check_new(EVP_PKEY *key, const struct auth_rule *rule, const struct ike_signature *sig,
		     struct error *err)
{
	size_t alg_len = sig->data.len > 0 ? sig->data.data[0] : 0;
	struct algorithm_id id;
	struct ike_buf signature;
	int rc;

	if (alg_len == 0 || sig->data.len <= 1 + alg_len ||
	    algorithm_id_parse(sig->data.data + 1, alg_len, &id))
		return error_set(err, -EACCES,
				 "its signature is of an algorithm that is not accepted");
	if (id.key != kind_of(key))
		return error_set(err, -EACCES,
				 "its signature is of another algorithm than its key");
	if (rule->pss && id.key == AUTH_KEY_RSA && !id.pss)
		return error_set(err, -EACCES, "it signs by PKCS#1 v1.5, PSS is wanted");
	rc = check_hash(rule, id.hash, err);
	if (rc)
		return rc;
	signature = (struct ike_buf){sig->data.data + 1 + alg_len, sig->data.len - 1 - alg_len};
	return verify(key, &id, &signature, &sig->octets, err);
}

static int check_rsa_sha1(EVP_PKEY *key, const struct auth_rule *rule,
			  const struct ike_signature *sig, struct error *err)
{
	struct algorithm_id id = {AUTH_KEY_RSA, HASH_SHA1, false, 0};

	// RFC 7427 4 and RFC 8247 3.2: who can do better has to.
	if (sig->peer_hashes)
		return error_set(
			err, -EACCES,
			"it signs with SHA-1 (method 1) although it announces better hashes");
	if (rule->hashes || rule->pss)
		return error_set(err, -EACCES,
				 "it signs with SHA-1 (method 1), remote.auth wants more");
	if (kind_of(key) != AUTH_KEY_RSA)
		return error_set(err, -EACCES,
				 "its signature is of another algorithm than its key");
	return verify(key, &id, &sig->data, &sig->octets, err);
}

static int check_ecdsa(EVP_PKEY *key, const struct auth_rule *rule, const struct ike_signature *sig,
		       struct error *err)
{
	const struct curve *c = kind_of(key) == AUTH_KEY_ECDSA ? curve_of(key) : NULL;
	struct algorithm_id id = {AUTH_KEY_ECDSA, 0, false, 0};
	struct ike_buf signature;
	uint8_t *der = NULL;
	int rc;

	if (!c || c->method != sig->method)
		return error_set(err, -EACCES,
				 "its signature is of another algorithm than its key");
	if (sig->data.len != 2 * c->len)
		return error_set(err, -EACCES, "its signature has %zu octets, not %zu",
				 sig->data.len, 2 * c->len);
	rc = check_hash(rule, c->hash, err);
	if (rc)
		return rc;
	id.hash = c->hash;
	rc = der_from_raw(&sig->data, c, &der, &signature.len);
	if (rc)
		return error_set(err, rc, "its signature cannot be read");
	signature.data = der;
	rc = verify(key, &id, &signature, &sig->octets, err);
	OPENSSL_free(der);
	return rc;
}

int signature_check(EVP_PKEY *key, const struct auth_rule *rule, const struct ike_signature *sig,
		    struct error *err)
{
	switch (sig->method) {
	case AUTH_DIGITAL_SIGNATURE:
		return check_new(key, rule, sig, err);
	case AUTH_RSA:
		return check_rsa_sha1(key, rule, sig, err);
	case AUTH_ECDSA_256:
	case AUTH_ECDSA_384:
	case AUTH_ECDSA_521:
		return check_ecdsa(key, rule, sig, err);
	default:
		return error_set(err, -EACCES, "method %u is no signature", sig->method);
	}
}
