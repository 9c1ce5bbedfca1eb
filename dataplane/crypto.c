#include "dataplane/crypto.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/secret.h"

struct crypto {
	IMB_MGR *mgr;
};

int crypto_create(struct crypto **out)
{
	struct crypto *c = calloc(1, sizeof(*c));
	int err = -ENOMEM;

	if (c == NULL)
		return -ENOMEM;
	c->mgr = alloc_mb_mgr(0);
	if (c->mgr == NULL)
		goto out;
	init_mb_mgr_auto(c->mgr, NULL);
	// Also says no when the library's own power-up test of its algorithms failed.
	if (imb_get_errno(c->mgr) != 0) {
		err = -ENOTSUP;
		goto out;
	}
	*out = c;
	return 0;
out:
	crypto_destroy(c);
	return err;
}

void crypto_destroy(struct crypto *c)
{
	if (c == NULL)
		return;
	if (c->mgr != NULL)
		free_mb_mgr(c->mgr);
	free(c);
}

const char *crypto_version(void)
{
	static char text[64];
	const char *arch = "no usable instructions";
	struct crypto *c = NULL;

	if (text[0] != '\0')
		return text;
	if (crypto_create(&c) == 0) {
		switch (c->mgr->used_arch) {
		case IMB_ARCH_SSE:
			arch = "SSE";
			break;
#if IMB_VERSION_NUM < IMB_VERSION(2, 0, 0)
		case IMB_ARCH_AVX:
			arch = "AVX";
			break;
#endif
		case IMB_ARCH_AVX2:
			arch = "AVX2";
			break;
		case IMB_ARCH_AVX512:
			arch = "AVX512";
			break;
		default:
			arch = "other";
			break;
		}
		crypto_destroy(c);
	}
	snprintf(text, sizeof(text), "intel-ipsec-mb %s (%s)", imb_get_version_str(), arch);
	return text;
}

int crypto_key_init(struct crypto *c, struct crypto_key *k, const uint8_t *key, size_t len)
{
	switch (len) {
	case IMB_KEY_128_BYTES:
		IMB_AES128_GCM_PRE(c->mgr, key, &k->gcm);
		break;
	case IMB_KEY_256_BYTES:
		IMB_AES256_GCM_PRE(c->mgr, key, &k->gcm);
		break;
	default:
		return -ENOTSUP;
	}
	k->key_len = (uint8_t)len;
	return 0;
}

void crypto_key_fini(struct crypto_key *k)
{
	if (k != NULL)
		wipe(k, sizeof(*k));
}

void crypto_seal(struct crypto *c, struct crypto_job *job, unsigned n)
{
	struct gcm_context_data ctx;

	for (unsigned i = 0; i < n; i++) {
		struct crypto_job *j = &job[i];
		const aes_gcm_enc_dec_t seal = j->key->key_len == IMB_KEY_128_BYTES
						       ? c->mgr->gcm128_enc
						       : c->mgr->gcm256_enc;

		seal(&j->key->gcm, &ctx, j->text, j->text, j->text_len, j->nonce, j->aad,
		     j->aad_len, j->icv, CRYPTO_ICV_LEN);
		j->status = CRYPTO_OK;
	}
}

// In constant time, as bytes_equal_ct, without its loop over bytes.
static bool icv_equal(const uint8_t *a, const uint8_t *b)
{
	uint64_t x[2], y[2];

	static_assert(sizeof(x) == CRYPTO_ICV_LEN, "two words");
	memcpy(x, a, sizeof(x));
	memcpy(y, b, sizeof(y));
	return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

void crypto_open(struct crypto *c, struct crypto_job *job, unsigned n)
{
	struct gcm_context_data ctx;
	uint8_t icv[CRYPTO_ICV_LEN];

	for (unsigned i = 0; i < n; i++) {
		struct crypto_job *j = &job[i];
		const aes_gcm_enc_dec_t open = j->key->key_len == IMB_KEY_128_BYTES
						       ? c->mgr->gcm128_dec
						       : c->mgr->gcm256_dec;

		open(&j->key->gcm, &ctx, j->text, j->text, j->text_len, j->nonce, j->aad,
		     j->aad_len, icv, sizeof(icv));
		j->status = icv_equal(icv, j->icv) ? CRYPTO_OK : CRYPTO_BAD_ICV;
	}
}
