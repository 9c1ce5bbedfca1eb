// Key exchange: MODP groups (RFC 3526, RFC 7296 2.14), ECP groups (RFC 5903), Curve25519 and
// Curve448 (RFC 8031).
#include "control/openssl/context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/dh.h>
#include <openssl/param_build.h>
#include <openssl/params.h>

enum { POINT_UNCOMPRESSED = 0x04 }; // SEC 1
enum kind { KIND_MODP, KIND_ECP, KIND_X };

struct ke_group {
	uint16_t id;
	enum kind kind;
	const char *type, *name;       // OpenSSL's key type and group
	size_t public_len, shared_len; // bytes
};

static const struct ke_group groups[OPENSSL_GROUPS] = {
	{KE_MODP_2048, KIND_MODP, "DH", "modp_2048", 256, 256},
	{KE_MODP_3072, KIND_MODP, "DH", "modp_3072", 384, 384},
	{KE_MODP_4096, KIND_MODP, "DH", "modp_4096", 512, 512},
	{KE_MODP_6144, KIND_MODP, "DH", "modp_6144", 768, 768},
	{KE_MODP_8192, KIND_MODP, "DH", "modp_8192", 1024, 1024},
	{KE_ECP_256, KIND_ECP, "EC", "P-256", 64, 32},
	{KE_ECP_384, KIND_ECP, "EC", "P-384", 96, 48},
	{KE_ECP_521, KIND_ECP, "EC", "P-521", 132, 66},
	{KE_CURVE25519, KIND_X, "X25519", NULL, 32, 32},
	{KE_CURVE448, KIND_X, "X448", NULL, 56, 56},
};

struct ike_ke {
	const struct ke_group *group;
	EVP_PKEY *key;
};

static const struct ke_group *group_find(uint16_t id)
{
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (groups[i].id == id)
			return &groups[i];
	return NULL;
}

// Takes `key`, also on error.
static int ke_new(const struct ke_group *g, EVP_PKEY *key, struct ike_ke **out)
{
	struct ike_ke *ke = malloc(sizeof(*ke));

	if (!ke) {
		EVP_PKEY_free(key);
		return -ENOMEM;
	}
	*ke = (struct ike_ke){g, key};
	*out = ke;
	return 0;
}

// Each is asked for its algorithm once: that look-up by name takes OpenSSL as long as an HMAC.
static EVP_PKEY_CTX *generator(struct openssl *o, const struct ke_group *g)
{
	OSSL_PARAM params[2] = {OSSL_PARAM_construct_end(), OSSL_PARAM_construct_end()};
	EVP_PKEY_CTX **ready = &o->generate[g - groups], *gen;

	if (*ready)
		return *ready;
	gen = EVP_PKEY_CTX_new_from_name(NULL, g->type, NULL);
	if (g->name)
		params[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
							     (char *)(uintptr_t)g->name, 0);
	if (gen && EVP_PKEY_keygen_init(gen) == 1 && EVP_PKEY_CTX_set_params(gen, params) == 1)
		return *ready = gen;
	openssl_failed();
	EVP_PKEY_CTX_free(gen);
	return NULL;
}

void ke_fini(struct openssl *o)
{
	for (size_t i = 0; i < OPENSSL_GROUPS; i++) {
		EVP_PKEY_CTX_free(o->generate[i]);
		EVP_PKEY_free(o->peer[i]);
	}
}

int ke_create(void *ctx, uint16_t group, struct ike_ke **out)
{
	const struct ke_group *g = group_find(group);
	EVP_PKEY_CTX *gen = g ? generator(ctx, g) : NULL;
	EVP_PKEY *key = NULL;

	if (!gen)
		return -ENOTSUP;
	return EVP_PKEY_generate(gen, &key) == 1 ? ke_new(g, key, out) : openssl_failed();
}

// The group's name and a pair of keys as OpenSSL parameters.
static OSSL_PARAM *pair_params(const struct ke_group *g, const uint8_t *public_value,
			       const BIGNUM *y, const BIGNUM *x)
{
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	uint8_t point[1 + IKE_KE_PUBLIC_MAX] = {POINT_UNCOMPRESSED};
	OSSL_PARAM *params = NULL;
	bool ok;

	if (!bld)
		return NULL;
	memcpy(point + 1, public_value, g->public_len);
	ok = OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, g->name, 0) == 1;
	if (g->kind == KIND_MODP)
		ok = ok && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PUB_KEY, y) == 1;
	else
		ok = ok && OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point,
							    1 + g->public_len) == 1;
	ok = ok && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, x) == 1;
	if (ok)
		params = OSSL_PARAM_BLD_to_param(bld);
	OSSL_PARAM_BLD_free(bld);
	return params;
}

// A pair of keys of a MODP or ECP group.
static int pair_from_data(const struct ke_group *g, const uint8_t *public_value, const BIGNUM *y,
			  const BIGNUM *x, EVP_PKEY **out)
{
	OSSL_PARAM *params = pair_params(g, public_value, y, x);
	EVP_PKEY_CTX *import = EVP_PKEY_CTX_new_from_name(NULL, g->type, NULL);
	int err = 0;

	if (!params || !import) {
		err = -ENOMEM;
	} else if (EVP_PKEY_fromdata_init(import) != 1 ||
		   EVP_PKEY_fromdata(import, out, EVP_PKEY_KEYPAIR, params) != 1) {
		openssl_failed();
		err = -EBADMSG;
	}
	EVP_PKEY_CTX_free(import);
	OSSL_PARAM_free(params);
	return err;
}

int ke_import(void *ctx, uint16_t group, const struct ike_buf *private_key,
	      const struct ike_buf *public_value, struct ike_ke **out)
{
	const struct ke_group *g = group_find(group);
	BIGNUM *x = NULL, *y = NULL;
	EVP_PKEY *key = NULL;
	int err;

	(void)ctx;
	if (!g)
		return -ENOTSUP;
	if (g->kind == KIND_X) {
		key = EVP_PKEY_new_raw_private_key_ex(NULL, g->type, NULL, private_key->data,
						      private_key->len);
		return key ? ke_new(g, key, out) : openssl_failed();
	}
	if (public_value->len != g->public_len)
		return -EINVAL;
	x = BN_bin2bn(private_key->data, (int)private_key->len, NULL);
	y = BN_bin2bn(public_value->data, (int)public_value->len, NULL);
	err = x && y ? pair_from_data(g, public_value->data, y, x, &key) : -ENOMEM;
	BN_clear_free(x);
	BN_free(y);
	return err ? err : ke_new(g, key, out);
}

int ke_public(void *ctx, const struct ike_ke *ke, uint8_t *out, size_t *len)
{
	// OpenSSL pads a MODP value to the group's length (RFC 7296 3.4) and puts 0x04 before a
	// point, which the KE payload leaves out (RFC 5903 7).
	size_t skip = ke->group->kind == KIND_ECP ? 1 : 0;
	unsigned char *encoded = NULL;
	size_t encoded_len;
	int err = 0;

	(void)ctx;
	if (*len < ke->group->public_len)
		return -EMSGSIZE;
	encoded_len = EVP_PKEY_get1_encoded_public_key(ke->key, &encoded);
	if (encoded_len != ke->group->public_len + skip) {
		err = openssl_failed();
	} else {
		memcpy(out, encoded + skip, ke->group->public_len);
		*len = ke->group->public_len;
	}
	OPENSSL_free(encoded);
	return err;
}

// 1 < y < p - 1 (RFC 6989 2.1): excludes the values that make the shared secret known.
static int modp_check(const struct ike_ke *ke, const uint8_t *value, size_t len)
{
	BIGNUM *y = BN_bin2bn(value, (int)len, NULL), *p = NULL;
	int err = -ENOMEM;

	if (y && EVP_PKEY_get_bn_param(ke->key, OSSL_PKEY_PARAM_FFC_P, &p) == 1 &&
	    BN_sub_word(p, 1) == 1)
		err = BN_cmp(y, BN_value_one()) > 0 && BN_cmp(y, p) < 0 ? 0 : -EBADMSG;
	else
		openssl_failed();
	BN_free(y);
	BN_free(p);
	return err;
}

// A key of the same group, still without a value.
static EVP_PKEY *key_like(const EVP_PKEY *key)
{
	EVP_PKEY *like = EVP_PKEY_new();

	if (like && EVP_PKEY_copy_parameters(like, key) == 1)
		return like;
	openssl_failed();
	EVP_PKEY_free(like);
	return NULL;
}

// The peer's public value as an OpenSSL key. There is one of each group, filled in anew for each
// peer: to make one takes OpenSSL a tenth as long as the whole key exchange. It belongs to `o`.
static int peer_key(struct openssl *o, const struct ike_ke *ke, const uint8_t *value, size_t len,
		    EVP_PKEY **out)
{
	const struct ke_group *g = ke->group;
	EVP_PKEY **peer = &o->peer[g - groups];
	uint8_t point[1 + IKE_KE_PUBLIC_MAX] = {POINT_UNCOMPRESSED};
	size_t skip = g->kind == KIND_ECP ? 1 : 0;
	int err = 0;

	// RFC 7296 3.4: the length must be the group's, leading zeros included.
	if (len != g->public_len)
		return -EBADMSG;
	if (g->kind == KIND_MODP)
		err = modp_check(ke, value, len);
	if (err)
		return err;
	if (!*peer)
		*peer = key_like(ke->key);
	if (!*peer)
		return -ENOMEM;
	memcpy(point + skip, value, len);
	// Refuses a point that is not on the curve, and coordinates beyond the prime. With a
	// cofactor of 1 that is all that RFC 6989 2.3 asks; OpenSSL's full check, which multiplies
	// the point by the order of the group, would double the cost of the key exchange.
	if (EVP_PKEY_set1_encoded_public_key(*peer, point, skip + len) != 1) {
		openssl_failed();
		return -EBADMSG;
	}
	*out = *peer;
	return 0;
}

static bool all_zero(const struct secret *s)
{
	uint8_t any = 0;

	for (size_t i = 0; i < s->len; i++)
		any |= s->data[i];
	return any == 0;
}

// For ECP groups the result is the x coordinate alone (RFC 5903 7).
static int derive(const struct ike_ke *ke, EVP_PKEY *peer, struct secret *z)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, ke->key, NULL);
	size_t len = z->len;
	int err = 0;

	if (!ctx)
		return -ENOMEM;
	if (EVP_PKEY_derive_init(ctx) != 1) {
		err = openssl_failed();
	} else if (ke->group->kind == KIND_MODP && EVP_PKEY_CTX_set_dh_pad(ctx, 1) != 1) {
		// RFC 7296 2.14: g^ir has the length of the prime, leading zeros included.
		err = openssl_failed();
	} else if (EVP_PKEY_derive_set_peer_ex(ctx, peer, 0) != 1 ||
		   EVP_PKEY_derive(ctx, z->data, &len) != 1) {
		// Not validated here once more: peer_key() has, and OpenSSL's look at the
		// subgroup of a MODP value costs 7 (MODP-2048) to 17 times (-8192) as much as the
		// key exchange itself, which a stranger could make us pay. The range is all that
		// RFC 6989 2.1 asks of a group with a safe prime.
		openssl_failed();
		err = -EBADMSG;
	} else if (len != z->len) {
		err = -EIO;
	} else if (ke->group->kind == KIND_X && all_zero(z)) {
		// RFC 8031 5: a value of small order gives zero; OpenSSL refuses it as well.
		err = -EBADMSG;
	}
	EVP_PKEY_CTX_free(ctx);
	return err;
}

int ke_derive(void *ctx, const struct ike_ke *ke, const uint8_t *peer, size_t peer_len,
	      struct secret *shared)
{
	struct secret z = {0};
	EVP_PKEY *peer_pkey = NULL;
	int err;

	err = peer_key(ctx, ke, peer, peer_len, &peer_pkey);
	if (!err)
		err = secret_alloc(&z, ke->group->shared_len);
	if (!err)
		err = derive(ke, peer_pkey, &z);
	if (!err)
		secret_move(shared, &z);
	secret_fini(&z);
	return err;
}

void ke_destroy(void *ctx, struct ike_ke *ke)
{
	(void)ctx;
	if (!ke)
		return;
	EVP_PKEY_free(ke->key); // wipes the private key
	free(ke);
}
