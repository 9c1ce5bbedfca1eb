// PRF and prf+ (RFC 7296 2.13) from HMAC (RFC 2104, RFC 4868).
#include "control/openssl/context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/params.h>

struct prf {
	uint16_t id;
	const char *hash;
	size_t len; // bytes
};

static const struct prf prfs[OPENSSL_PRFS] = {
	{PRF_HMAC_SHA1, "SHA1", 20},
	{PRF_HMAC_SHA2_256, "SHA2-256", 32},
	{PRF_HMAC_SHA2_384, "SHA2-384", 48},
	{PRF_HMAC_SHA2_512, "SHA2-512", 64},
};

static const struct prf *prf_find(uint16_t id)
{
	for (size_t i = 0; i < sizeof(prfs) / sizeof(prfs[0]); i++)
		if (prfs[i].id == id)
			return &prfs[i];
	return NULL;
}

void prf_init(struct openssl *o)
{
	for (size_t i = 0; i < OPENSSL_PRFS; i++) {
		OSSL_PARAM params[] = {
			OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
							 (char *)(uintptr_t)prfs[i].hash, 0),
			OSSL_PARAM_construct_end(),
		};
		EVP_MAC_CTX *mac = EVP_MAC_CTX_new(o->hmac);

		// With some key, because OpenSSL 3.0 copies no HMAC without one.
		if (mac && EVP_MAC_init(mac, (const uint8_t *)"", 0, params) == 1) {
			o->hmac_with[i] = mac;
			continue;
		}
		openssl_failed();
		EVP_MAC_CTX_free(mac);
	}
}

void prf_fini(struct openssl *o)
{
	for (size_t i = 0; i < OPENSSL_PRFS; i++)
		EVP_MAC_CTX_free(o->hmac_with[i]);
}

// An HMAC with a key. OpenSSL looks a hash up by its name when one is set, which is more work than
// the HMAC of a short text: so what has its hash already is copied. Freeing the copy wipes the key.
static int hmac_start(const struct openssl *o, const char *hash, const uint8_t *key, size_t key_len,
		      EVP_MAC_CTX **out)
{
	EVP_MAC_CTX *mac = NULL;

	for (size_t i = 0; i < OPENSSL_PRFS; i++) {
		if (strcmp(prfs[i].hash, hash) != 0)
			continue;
		if (!o->hmac_with[i])
			return -ENOTSUP;
		mac = EVP_MAC_CTX_dup(o->hmac_with[i]);
	}
	if (!mac)
		return -ENOMEM;
	// NULL would mean "the key is set already".
	if (EVP_MAC_init(mac, key_len > 0 ? key : (const uint8_t *)"", key_len, NULL) != 1) {
		EVP_MAC_CTX_free(mac);
		return openssl_failed();
	}
	*out = mac;
	return 0;
}

static int hmac_run(EVP_MAC_CTX *mac, const struct ike_buf *pieces, size_t n, uint8_t *out,
		    size_t out_len)
{
	uint8_t result[EVP_MAX_MD_SIZE];
	size_t result_len = 0;
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		if (pieces[i].len > 0 && EVP_MAC_update(mac, pieces[i].data, pieces[i].len) != 1)
			err = openssl_failed();
	if (!err && EVP_MAC_final(mac, result, &result_len, sizeof(result)) != 1)
		err = openssl_failed();
	if (!err && result_len < out_len)
		err = -EINVAL;
	if (!err)
		memcpy(out, result, out_len);
	wipe(result, sizeof(result));
	return err;
}

int hmac_compute(const struct openssl *o, const char *hash, const uint8_t *key, size_t key_len,
		 const struct ike_buf *pieces, size_t n, uint8_t *out, size_t out_len)
{
	EVP_MAC_CTX *mac = NULL;
	int err = hmac_start(o, hash, key, key_len, &mac);

	if (err)
		return err;
	err = hmac_run(mac, pieces, n, out, out_len);
	EVP_MAC_CTX_free(mac);
	return err;
}

int prf_compute(void *ctx, uint16_t prf_id, const uint8_t *key, size_t key_len,
		const struct ike_buf *pieces, size_t n, uint8_t *out, size_t *len)
{
	const struct prf *prf = prf_find(prf_id);
	int err;

	if (!prf)
		return -ENOTSUP;
	if (*len < prf->len)
		return -EMSGSIZE;
	err = hmac_compute(ctx, prf->hash, key, key_len, pieces, n, out, prf->len);
	if (!err)
		*len = prf->len;
	return err;
}

int prf_plus(void *ctx, uint16_t prf_id, const uint8_t *key, size_t key_len, const uint8_t *seed,
	     size_t seed_len, uint8_t *out, size_t len)
{
	const struct prf *prf = prf_find(prf_id);
	struct secret keystream = {0};
	EVP_MAC_CTX *mac = NULL;
	uint8_t t[IKE_PRF_MAX];
	size_t done = 0;
	int err;

	if (!prf)
		return -ENOTSUP;
	// The counter is one octet, so prf+ ends after 255 rounds (RFC 7296 2.13).
	if (len > 255 * prf->len)
		return -EINVAL;
	err = secret_alloc(&keystream, len);
	if (!err)
		err = hmac_start(ctx, prf->hash, key, key_len, &mac);
	// T1 = prf(K, S | 0x01), Tn = prf(K, Tn-1 | S | n)
	for (uint8_t round = 1; done < len && !err; round++) {
		struct ike_buf pieces[] = {
			{t, round == 1 ? 0 : prf->len}, {seed, seed_len}, {&round, 1}};
		size_t take = len - done < prf->len ? len - done : prf->len;

		if (round > 1 && EVP_MAC_init(mac, NULL, 0, NULL) != 1) // the same key once more
			err = openssl_failed();
		if (!err)
			err = hmac_run(mac, pieces, 3, t, prf->len);
		if (!err)
			memcpy(keystream.data + done, t, take);
		done += take;
	}
	if (!err && len > 0)
		memcpy(out, keystream.data, len);
	EVP_MAC_CTX_free(mac);
	secret_fini(&keystream);
	wipe(t, sizeof(t));
	return err;
}
