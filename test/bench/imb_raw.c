#include "imb_raw.h"

#include <string.h>

#include <rte_cycles.h>

#define HAVE_BURST                                                                                 \
	(IMB_VERSION_NUM < IMB_VERSION(1, 4, 0)) // later ones want a session for each job

static uint8_t nonce[CRYPTO_BURST_MAX][16], icv[CRYPTO_BURST_MAX][64];

bool imb_raw_has(const struct crypto_key *k, enum imb_interface which)
{
	switch (which) {
	case IMB_RAW_DIRECT:
		return k->kind != CRYPTO_ETM || k->integ != INTEG_AES_XCBC_96;
	case IMB_RAW_BURST:
		return HAVE_BURST;
	default:
		return true;
	}
}

static IMB_HASH_ALG hash_of(const struct crypto_key *k)
{
	switch (k->kind) {
	case CRYPTO_GCM:
		return IMB_AUTH_AES_GMAC;
	case CRYPTO_GMAC:
		return k->aes_len == 16	  ? IMB_AUTH_AES_GMAC_128
		       : k->aes_len == 24 ? IMB_AUTH_AES_GMAC_192
					  : IMB_AUTH_AES_GMAC_256;
	case CRYPTO_CHACHA20_POLY1305:
		return IMB_AUTH_CHACHA20_POLY1305;
	default:
		break;
	}
	switch (k->integ) {
	case INTEG_HMAC_SHA1_96:
		return IMB_AUTH_HMAC_SHA_1;
	case INTEG_HMAC_SHA2_384_192:
		return IMB_AUTH_HMAC_SHA_384;
	case INTEG_HMAC_SHA2_512_256:
		return IMB_AUTH_HMAC_SHA_512;
	case INTEG_AES_XCBC_96:
		return IMB_AUTH_AES_XCBC;
	default:
		return IMB_AUTH_HMAC_SHA_256;
	}
}

static IMB_CIPHER_MODE cipher_of(const struct crypto_key *k)
{
	switch (k->kind) {
	case CRYPTO_GCM:
		return IMB_CIPHER_GCM;
	case CRYPTO_GMAC:
		return IMB_CIPHER_NULL;
	case CRYPTO_CHACHA20_POLY1305:
		return IMB_CIPHER_CHACHA20_POLY1305;
	default:
		return k->cipher == CRYPTO_CBC	 ? IMB_CIPHER_CBC
		       : k->cipher == CRYPTO_CTR ? IMB_CIPHER_CNTR
						 : IMB_CIPHER_NULL;
	}
}

static void fill_hash(IMB_JOB *b, const struct crypto_job *j, const uint8_t *iv)
{
	const struct crypto_key *k = j->key;

	switch (k->kind) {
	case CRYPTO_GCM:
		b->u.GCM.aad = j->head;
		b->u.GCM.aad_len_in_bytes = 8;
		return;
	case CRYPTO_GMAC:
		b->u.GMAC._key = &k->gcm;
		b->u.GMAC._iv = iv;
		b->u.GMAC.iv_len_in_bytes = 12;
		return;
	case CRYPTO_CHACHA20_POLY1305:
		b->u.CHACHA20_POLY1305.aad = j->head;
		b->u.CHACHA20_POLY1305.aad_len_in_bytes = 8;
		return;
	default:
		break;
	}
	if (k->integ == INTEG_AES_XCBC_96) {
		b->u.XCBC._k1_expanded = k->etm.xcbc.k1;
		b->u.XCBC._k2 = k->etm.xcbc.k2;
		b->u.XCBC._k3 = k->etm.xcbc.k3;
	} else {
		b->u.HMAC._hashed_auth_key_xor_ipad = k->etm.hmac.inner;
		b->u.HMAC._hashed_auth_key_xor_opad = k->etm.hmac.outer;
	}
}

// One job for cipher and hash. An AEAD starts at the text, the others at the head.
static void fill(IMB_JOB *b, const struct crypto_job *j, unsigned i, bool seal)
{
	const struct crypto_key *k = j->key;
	const bool aead = k->kind == CRYPTO_GCM || k->kind == CRYPTO_CHACHA20_POLY1305;

	b->enc_keys = k->kind == CRYPTO_CHACHA20_POLY1305 ? (const void *)k->chacha
		      : k->kind == CRYPTO_ETM		  ? (const void *)k->etm.enc
							  : (const void *)&k->gcm;
	b->dec_keys = k->kind == CRYPTO_ETM ? k->etm.dec : b->enc_keys;
	b->key_len_in_bytes = k->kind == CRYPTO_CHACHA20_POLY1305 ? 32 : k->aes_len;
	b->src = aead ? j->text : j->head;
	b->dst = j->text;
	b->cipher_start_src_offset_in_bytes = aead ? 0 : k->head_len;
	b->hash_start_src_offset_in_bytes = 0;
	b->msg_len_to_cipher_in_bytes = j->text_len;
	b->msg_len_to_hash_in_bytes = j->text_len + (aead ? 0u : k->head_len);
	b->iv = nonce[i];
	b->iv_len_in_bytes = k->kind == CRYPTO_ETM ? 16 : 12;
	b->auth_tag_output = icv[i];
	b->auth_tag_output_len_in_bytes = k->icv_len;
	fill_hash(b, j, nonce[i]);
	b->cipher_mode = cipher_of(k);
	b->hash_alg = hash_of(k);
	b->cipher_direction = seal ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	b->chain_order = seal ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
}

static void job_api(IMB_MGR *mgr, const struct crypto_job *job, unsigned n, bool seal)
{
	for (unsigned i = 0; i < n; i++) {
		fill(IMB_GET_NEXT_JOB(mgr), &job[i], i, seal);
		IMB_SUBMIT_JOB_NOCHECK(mgr);
	}
	while (IMB_FLUSH_JOB(mgr) != NULL)
		;
}

static void burst_api(IMB_MGR *mgr, const struct crypto_job *job, unsigned n, bool seal)
{
#if HAVE_BURST
	IMB_JOB *b[CRYPTO_BURST_MAX];
	unsigned done;

	IMB_GET_NEXT_BURST(mgr, n, b);
	for (unsigned i = 0; i < n; i++)
		fill(b[i], &job[i], i, seal);
	done = IMB_SUBMIT_BURST_NOCHECK(mgr, n, b);
	while (done < n)
		done += IMB_FLUSH_BURST(mgr, n - done, b);
#else
	(void)mgr, (void)job, (void)n, (void)seal;
#endif
}

static void chacha(IMB_MGR *mgr, const struct crypto_job *j, unsigned i, bool seal)
{
	struct chacha20_poly1305_context_data ctx;

	IMB_CHACHA20_POLY1305_INIT(mgr, j->key->chacha, &ctx, nonce[i], j->head, 8);
	if (seal) {
		IMB_CHACHA20_POLY1305_ENC_UPDATE(mgr, j->key->chacha, &ctx, j->text, j->text,
						 j->text_len);
		IMB_CHACHA20_POLY1305_ENC_FINALIZE(mgr, &ctx, icv[i], 16);
	} else {
		IMB_CHACHA20_POLY1305_DEC_UPDATE(mgr, j->key->chacha, &ctx, j->text, j->text,
						 j->text_len);
		IMB_CHACHA20_POLY1305_DEC_FINALIZE(mgr, &ctx, icv[i], 16);
	}
}

static void gmac(IMB_MGR *mgr, const struct crypto_job *j, unsigned i)
{
	const uint64_t len = j->key->head_len + j->text_len;
	const struct gcm_key_data *k = &j->key->gcm;
	struct gcm_context_data ctx;

	switch (j->key->aes_len) {
	case 16:
		IMB_AES128_GMAC_INIT(mgr, k, &ctx, nonce[i], 12);
		IMB_AES128_GMAC_UPDATE(mgr, k, &ctx, j->head, len);
		IMB_AES128_GMAC_FINALIZE(mgr, k, &ctx, icv[i], 16);
		break;
	case 24:
		IMB_AES192_GMAC_INIT(mgr, k, &ctx, nonce[i], 12);
		IMB_AES192_GMAC_UPDATE(mgr, k, &ctx, j->head, len);
		IMB_AES192_GMAC_FINALIZE(mgr, k, &ctx, icv[i], 16);
		break;
	default:
		IMB_AES256_GMAC_INIT(mgr, k, &ctx, nonce[i], 12);
		IMB_AES256_GMAC_UPDATE(mgr, k, &ctx, j->head, len);
		IMB_AES256_GMAC_FINALIZE(mgr, k, &ctx, icv[i], 16);
		break;
	}
}

static void gcm(IMB_MGR *mgr, const struct crypto_job *j, unsigned i, bool seal)
{
	aes_gcm_enc_dec_t f[2][3] = {{mgr->gcm128_dec, mgr->gcm192_dec, mgr->gcm256_dec},
				     {mgr->gcm128_enc, mgr->gcm192_enc, mgr->gcm256_enc}};
	struct gcm_context_data ctx;

	f[seal][j->key->aes_len / 8 - 2](&j->key->gcm, &ctx, j->text, j->text, j->text_len,
					 nonce[i], j->head, 8, icv[i], j->key->icv_len);
}

static uint64_t direct_aead(IMB_MGR *mgr, const struct crypto_job *job, unsigned n, bool seal)
{
	const uint64_t start = rte_rdtsc_precise();

	for (unsigned i = 0; i < n; i++) {
		switch (job[i].key->kind) {
		case CRYPTO_GCM:
			gcm(mgr, &job[i], i, seal);
			break;
		case CRYPTO_GMAC:
			gmac(mgr, &job[i], i);
			break;
		default:
			chacha(mgr, &job[i], i, seal);
			break;
		}
	}
	return rte_rdtsc_precise() - start;
}

static uint64_t direct_etm(IMB_MGR *mgr, const struct crypto_job *job, unsigned n, bool seal)
{
	static IMB_JOB b[CRYPTO_BURST_MAX];
	const struct crypto_key *k = job[0].key;
	uint64_t start;

	for (unsigned i = 0; i < n; i++) {
		fill(&b[i], &job[i], i, seal);
		b[i].src = job[i].text;
		b[i].cipher_start_src_offset_in_bytes = 0;
	}
	start = rte_rdtsc_precise();
	if (k->cipher != CRYPTO_NULL)
		IMB_SUBMIT_CIPHER_BURST_NOCHECK(mgr, b, n, cipher_of(k),
						seal ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT,
						(IMB_KEY_SIZE_BYTES)k->aes_len);
	IMB_SUBMIT_HASH_BURST_NOCHECK(mgr, b, n, hash_of(k));
	return rte_rdtsc_precise() - start;
}

uint64_t imb_raw(IMB_MGR *mgr, enum imb_interface which, const struct crypto_job *job, unsigned n,
		 bool seal)
{
	uint64_t start;

	if (which == IMB_RAW_DIRECT)
		return job[0].key->kind == CRYPTO_ETM ? direct_etm(mgr, job, n, seal)
						      : direct_aead(mgr, job, n, seal);
	start = rte_rdtsc_precise();
	if (which == IMB_RAW_JOB)
		job_api(mgr, job, n, seal);
	else
		burst_api(mgr, job, n, seal);
	return rte_rdtsc_precise() - start;
}
