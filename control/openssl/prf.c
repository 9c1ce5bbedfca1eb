// PRF and prf+ (RFC 7296 2.13) from HMAC (RFC 2104, RFC 4868).
#include "control/openssl/context.h"

#include <errno.h>
#include <string.h>

enum { HMAC_BLOCK_MAX = 128 }; // of SHA-384 and SHA-512

struct prf {
	uint16_t id;
	const char *hash;
	size_t len; // bytes
};

static const struct prf prfs[OPENSSL_PRFS] = {
	{PRF_HMAC_SHA1, "SHA1", IKE_HASH_SHA1_LEN}, // the first, for sha1_compute()
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
		EVP_MD *hash = EVP_MD_fetch(NULL, prfs[i].hash, NULL);
		EVP_MD_CTX *md = EVP_MD_CTX_new();

		if (hash && md && EVP_DigestInit_ex2(md, hash, NULL) == 1) {
			o->hash[i] = md;
		} else {
			openssl_failed();
			EVP_MD_CTX_free(md);
		}
		EVP_MD_free(hash);
	}
}

void prf_fini(struct openssl *o)
{
	for (size_t i = 0; i < OPENSSL_PRFS; i++)
		EVP_MD_CTX_free(o->hash[i]);
}

// Into the n bytes of the hash. The context is like new then, and holds nothing of the pieces.
static int hash_run(EVP_MD_CTX *md, const struct ike_buf *before, const struct ike_buf *pieces,
		    size_t n, uint8_t *out)
{
	bool ok = before->len == 0 || EVP_DigestUpdate(md, before->data, before->len) == 1;

	for (size_t i = 0; i < n && ok; i++)
		ok = pieces[i].len == 0 || EVP_DigestUpdate(md, pieces[i].data, pieces[i].len) == 1;
	ok = ok && EVP_DigestFinal_ex(md, out, NULL) == 1;
	ok = EVP_DigestInit_ex2(md, NULL, NULL) == 1 && ok;
	return ok ? 0 : openssl_failed();
}

// An HMAC with a key (RFC 2104 2). OpenSSL's own allocates contexts for each and frees them, which
// takes longer than to hash the short texts of a handshake.
struct hmac {
	EVP_MD_CTX *md;
	size_t len, block_len;
	uint8_t inner[HMAC_BLOCK_MAX], outer[HMAC_BLOCK_MAX]; // the key, padded
};

static int hmac_start(const struct openssl *o, const char *hash, const uint8_t *key, size_t key_len,
		      struct hmac *h)
{
	int err = 0;

	*h = (struct hmac){0};
	for (size_t i = 0; i < OPENSSL_PRFS; i++) {
		if (strcmp(prfs[i].hash, hash) != 0)
			continue;
		h->md = o->hash[i];
		h->len = prfs[i].len;
	}
	if (!h->md)
		return -ENOTSUP;
	h->block_len = (size_t)EVP_MD_CTX_get_block_size(h->md);
	if (h->block_len > HMAC_BLOCK_MAX)
		return -ENOTSUP;
	if (key_len > h->block_len)
		err = hash_run(h->md, &(struct ike_buf){key, key_len}, NULL, 0, h->inner);
	else if (key_len > 0)
		memcpy(h->inner, key, key_len);
	for (size_t i = 0; i < h->block_len; i++) {
		h->outer[i] = h->inner[i] ^ 0x5c;
		h->inner[i] ^= 0x36;
	}
	return err;
}

static void hmac_fini(struct hmac *h)
{
	wipe(h, sizeof(*h));
}

static int hmac_run(const struct hmac *h, const struct ike_buf *pieces, size_t n, uint8_t *out,
		    size_t out_len)
{
	const struct ike_buf inner = {h->inner, h->block_len}, outer = {h->outer, h->block_len};
	uint8_t result[EVP_MAX_MD_SIZE];
	int err;

	if (out_len > h->len)
		return -EINVAL;
	err = hash_run(h->md, &inner, pieces, n, result);
	if (!err)
		err = hash_run(h->md, &outer, &(struct ike_buf){result, h->len}, 1, result);
	if (!err)
		memcpy(out, result, out_len);
	wipe(result, sizeof(result));
	return err;
}

int hmac_compute(const struct openssl *o, const char *hash, const uint8_t *key, size_t key_len,
		 const struct ike_buf *pieces, size_t n, uint8_t *out, size_t out_len)
{
	struct hmac h;
	int err = hmac_start(o, hash, key, key_len, &h);

	if (!err)
		err = hmac_run(&h, pieces, n, out, out_len);
	hmac_fini(&h);
	return err;
}

int sha1_compute(void *ctx, const struct ike_buf *pieces, size_t n, uint8_t out[IKE_HASH_SHA1_LEN])
{
	const struct openssl *o = ctx;
	const struct ike_buf nothing = {NULL, 0};

	return o->hash[0] ? hash_run(o->hash[0], &nothing, pieces, n, out) : -ENOTSUP;
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
	struct hmac h = {0};
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
		err = hmac_start(ctx, prf->hash, key, key_len, &h);
	// T1 = prf(K, S | 0x01), Tn = prf(K, Tn-1 | S | n)
	for (uint8_t round = 1; done < len && !err; round++) {
		struct ike_buf pieces[] = {
			{t, round == 1 ? 0 : prf->len}, {seed, seed_len}, {&round, 1}};
		size_t take = len - done < prf->len ? len - done : prf->len;

		err = hmac_run(&h, pieces, 3, t, prf->len);
		if (!err)
			memcpy(keystream.data + done, t, take);
		done += take;
	}
	if (!err && len > 0)
		memcpy(out, keystream.data, len);
	hmac_fini(&h);
	secret_fini(&keystream);
	wipe(t, sizeof(t));
	return err;
}
