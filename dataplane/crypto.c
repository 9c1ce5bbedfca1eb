#include "dataplane/crypto_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_prefetch.h>

#include "lib/secret.h"

#define GCM_SIZE(k)  ((k)->aes_len / 8u - 2u) // index of a key length
#define POWERS_AHEAD 4u			      // jobs
#define POWERS_BYTES 768u		      // all of them, where there are most (AVX-512)

uint16_t crypto_gcm_powers_end;

// The library does not say where its code of this machine keeps the powers; a table that was zero
// before it was filled does.
static void find_powers(struct crypto *c)
{
	static const uint8_t key[16];
	struct gcm_key_data table = {0};
	const uint8_t *byte = (const uint8_t *)&table;
	uint16_t end = sizeof(table);

	IMB_AES128_GCM_PRE(c->mgr, key, &table);
	while (end > 192 && byte[end - 1] == 0)
		end--;
	crypto_gcm_powers_end = end;
}

int crypto_create(struct crypto **out)
{
	struct crypto *c = aligned_alloc(64, (sizeof(*c) + 63) / 64 * 64);
	int err = -ENOMEM;

	if (c == NULL)
		return -ENOMEM;
	memset(c, 0, sizeof(*c));
	c->imb = calloc(CRYPTO_BURST_MAX, sizeof(*c->imb));
	c->mgr = alloc_mb_mgr(0);
	if (c->mgr == NULL || c->imb == NULL)
		goto out;
	init_mb_mgr_auto(c->mgr, NULL);
	// Also says no when the library's own power-up test of its algorithms failed.
	if (imb_get_errno(c->mgr) != 0) {
		err = -ENOTSUP;
		goto out;
	}
	find_powers(c);
	c->gcm_seal[0] = c->mgr->gcm128_enc;
	c->gcm_seal[1] = c->mgr->gcm192_enc;
	c->gcm_seal[2] = c->mgr->gcm256_enc;
	c->gcm_open[0] = c->mgr->gcm128_dec;
	c->gcm_open[1] = c->mgr->gcm192_dec;
	c->gcm_open[2] = c->mgr->gcm256_dec;
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
	free(c->imb);
	wipe(c, sizeof(*c));
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

// --- keys -------------------------------------------------------------------------------------

int crypto_check(const struct transform *encr, const struct transform *integ, struct error *err)
{
	const struct transform_info *e = transform_find(encr), *i = transform_find(integ);
	char name[TRANSFORM_TEXT_MAX];

	if (e == NULL || !e->esp)
		return error_set(err, -ENOTSUP, "ESP encryption %s is not carried%s%s",
				 transform_format(encr, name, sizeof(name)),
				 e != NULL && e->refused ? ": " : "",
				 e != NULL && e->refused ? e->refused : "");
	if (e->aead && integ->id != INTEG_NONE)
		return error_set(err, -EINVAL,
				 "%s has its own integrity check: no algorithm beside it", e->name);
	if (e->aead)
		return 0;
	if (integ->id == INTEG_NONE)
		return error_set(err, -EINVAL,
				 "%s without an integrity algorithm is not safe (RFC 8221 4)",
				 e->name);
	if (i == NULL || !i->esp)
		return error_set(err, -ENOTSUP, "ESP integrity %s is not carried%s%s",
				 transform_format(integ, name, sizeof(name)),
				 i != NULL && i->refused ? ": " : "",
				 i != NULL && i->refused ? i->refused : "");
	return 0;
}

static void gcm_key(struct crypto *c, struct crypto_key *k, const uint8_t *key)
{
	switch (k->aes_len) {
	case IMB_KEY_128_BYTES:
		IMB_AES128_GCM_PRE(c->mgr, key, &k->gcm);
		break;
	case IMB_KEY_192_BYTES:
		IMB_AES192_GCM_PRE(c->mgr, key, &k->gcm);
		break;
	default:
		IMB_AES256_GCM_PRE(c->mgr, key, &k->gcm);
		break;
	}
}

static void set_kind(struct crypto_key *k, uint16_t encr)
{
	switch (encr) {
	case ENCR_AES_GCM_8:
	case ENCR_AES_GCM_12:
	case ENCR_AES_GCM_16:
		k->kind = CRYPTO_GCM;
		break;
	case ENCR_NULL_AUTH_AES_GMAC:
		k->kind = CRYPTO_GMAC;
		break;
	case ENCR_CHACHA20_POLY1305:
		k->kind = CRYPTO_CHACHA20_POLY1305;
		break;
	default:
		k->kind = CRYPTO_ETM;
		k->cipher = encr == ENCR_AES_CBC   ? CRYPTO_CBC
			    : encr == ENCR_AES_CTR ? CRYPTO_CTR
						   : CRYPTO_NULL;
		break;
	}
}

int crypto_key_init(struct crypto *c, struct crypto_key *k, const struct esp_sa *sa)
{
	const struct transform_info *encr = transform_find(&sa->encr);
	const struct transform_info *integ = transform_find(&sa->integ);
	const uint8_t *key = sa->encr_key.data;

	if (crypto_check(&sa->encr, &sa->integ, NULL) != 0)
		return -ENOTSUP;
	if (sa->encr_key.len != encr->key_len ||
	    sa->integ_key.len != (encr->aead ? 0 : integ->key_len))
		return -EINVAL;
	memset(k, 0, sizeof(*k));
	set_kind(k, sa->encr.id);
	k->aes_len = (uint8_t)(sa->encr.key_bits / 8);
	k->head_len = (uint8_t)(CRYPTO_HEAD_MIN + encr->iv_len);
	k->icv_len = encr->aead ? encr->icv_len : integ->icv_len;
	k->align = encr->block_len > 4 ? encr->block_len : 4; // RFC 4303 2.4
	k->esn = sa->esn;
	k->integ = encr->aead ? INTEG_NONE : sa->integ.id;
	// KEYMAT is the key, then the salt: RFC 4106 8.1, RFC 4543 5.1, RFC 3686 5.1, RFC 7634 2.
	if (encr->salt_len == sizeof(k->salt))
		memcpy(k->salt, key + encr->key_len - sizeof(k->salt), sizeof(k->salt));
	switch (k->kind) {
	case CRYPTO_GCM:
	case CRYPTO_GMAC:
		gcm_key(c, k, key);
		return 0;
	case CRYPTO_CHACHA20_POLY1305:
		memcpy(k->chacha, key, sizeof(k->chacha));
		return 0;
	default:
		return crypto_etm_key(c, k, key, &sa->integ_key);
	}
}

void crypto_key_fini(struct crypto_key *k)
{
	if (k != NULL)
		wipe(k, sizeof(*k));
}

// --- AEAD: one call of the library for each packet --------------------------------------------

// RFC 4106 5, RFC 7634 2.1: SPI and sequence number.
static inline const uint8_t *aad_of(const struct crypto_job *j)
{
	return j->key->esn ? j->aad : j->head;
}

static inline uint64_t aad_len(const struct crypto_job *j)
{
	return j->key->esn ? 12 : 8;
}

// RFC 4543 3.3: AES-GMAC authenticates SPI, number, IV and payload in one piece. With ESN the
// upper half stands between SPI and lower half: it takes the SPI's place and the SPI moves into
// the four bytes in front, until the ICV is there.
static void gmac(struct crypto *c, const struct crypto_job *j, uint8_t *icv)
{
	const struct crypto_key *k = j->key;
	struct gcm_context_data ctx;
	uint8_t *from = k->esn ? j->head - 4 : j->head;
	uint8_t saved[8] = {0};

	if (k->esn) {
		memcpy(saved, from, sizeof(saved));
		memcpy(from, j->head, 4);
		crypto_put_be32(j->head, j->seq_hi);
	}
	c->gcm_seal[GCM_SIZE(k)](&k->gcm, &ctx, j->text, j->text, 0, j->nonce, from,
				 (uint64_t)(j->text - from) + j->text_len, icv, k->icv_len);
	if (k->esn)
		memcpy(from, saved, sizeof(saved));
}

static void chacha(struct crypto *c, const struct crypto_job *j, bool seal, uint8_t *icv)
{
	IMB_JOB *job = IMB_GET_NEXT_JOB(c->mgr);

	job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
	job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
	job->cipher_direction = seal ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	job->chain_order = seal ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	job->enc_keys = job->dec_keys = j->key->chacha;
	job->key_len_in_bytes = sizeof(j->key->chacha);
	job->src = job->dst = j->text;
	job->cipher_start_src_offset_in_bytes = 0;
	job->hash_start_src_offset_in_bytes = 0;
	job->msg_len_to_cipher_in_bytes = j->text_len;
	job->msg_len_to_hash_in_bytes = j->text_len;
	job->iv = j->nonce;
	job->iv_len_in_bytes = 12;
	job->u.CHACHA20_POLY1305.aad = aad_of(j);
	job->u.CHACHA20_POLY1305.aad_len_in_bytes = aad_len(j);
	job->auth_tag_output = icv;
	job->auth_tag_output_len_in_bytes = 16;
	// The library computes this algorithm at once; nothing else is in its queue.
	IMB_SUBMIT_JOB_NOCHECK(c->mgr);
}

// ---- the powers of many hash keys ----

// As far as one can tell from some of the jobs.
static inline bool many_keys(const struct crypto_job *job, unsigned n)
{
	return n > POWERS_AHEAD && (job[0].key != job[n - 1].key || job[0].key != job[n / 2].key);
}

// A text is multiplied by as many powers as it has blocks, up to all that there are. Of the first
// CRYPTO_POWERS_FETCHED bytes crypto_key_prefetch() takes care; the rest of a batch's keys would
// push each other out of the first-level cache. (Not __builtin_prefetch: of a function that does
// nothing else the compiler thinks that it does nothing.)
static inline void fetch_powers(const struct crypto_job *j)
{
	const char *last = (const char *)&j->key->gcm + crypto_gcm_powers_end - 1;
	const unsigned end = RTE_MIN(j->text_len + 32, POWERS_BYTES); // 32: AAD, lengths

	if (j->key->kind > CRYPTO_GMAC)
		return;
	for (unsigned at = CRYPTO_POWERS_FETCHED; at < end; at += 64)
		rte_prefetch0(last - at);
}

static void fetch_first_powers(const struct crypto_job *job)
{
	for (unsigned i = 0; i < POWERS_AHEAD; i++)
		fetch_powers(&job[i]);
}

// While a job is done, the powers of one further on are fetched.
static inline void fetch_next_powers(const struct crypto_job *job, unsigned i, unsigned n)
{
	if (i + POWERS_AHEAD < n)
		fetch_powers(&job[i + POWERS_AHEAD]);
}

void crypto_seal(struct crypto *c, struct crypto_job *job, unsigned n)
{
	const bool many = many_keys(job, n);
	struct gcm_context_data ctx;
	uint64_t etm = 0;

	if (many)
		fetch_first_powers(job);
	for (unsigned i = 0; i < n; i++) {
		struct crypto_job *j = &job[i];
		const struct crypto_key *k = j->key;

		if (many)
			fetch_next_powers(job, i, n);
		j->status = CRYPTO_OK;
		switch (k->kind) {
		case CRYPTO_GCM:
			c->gcm_seal[GCM_SIZE(k)](&k->gcm, &ctx, j->text, j->text, j->text_len,
						 j->nonce, aad_of(j), aad_len(j), crypto_icv_of(j),
						 k->icv_len);
			break;
		case CRYPTO_GMAC:
			gmac(c, j, crypto_icv_of(j));
			break;
		case CRYPTO_CHACHA20_POLY1305:
			chacha(c, j, true, crypto_icv_of(j));
			break;
		default:
			etm |= UINT64_C(1) << i;
			break;
		}
	}
	if (etm != 0)
		crypto_etm_seal(c, job, etm);
}

void crypto_open(struct crypto *c, struct crypto_job *job, unsigned n)
{
	const bool many = many_keys(job, n);
	struct gcm_context_data ctx;
	uint8_t icv[16];
	uint64_t etm = 0;

	if (many)
		fetch_first_powers(job);
	for (unsigned i = 0; i < n; i++) {
		struct crypto_job *j = &job[i];
		const struct crypto_key *k = j->key;

		if (many)
			fetch_next_powers(job, i, n);
		switch (k->kind) {
		case CRYPTO_GCM:
			c->gcm_open[GCM_SIZE(k)](&k->gcm, &ctx, j->text, j->text, j->text_len,
						 j->nonce, aad_of(j), aad_len(j), icv, k->icv_len);
			break;
		case CRYPTO_GMAC:
			gmac(c, j, icv);
			break;
		case CRYPTO_CHACHA20_POLY1305:
			chacha(c, j, false, icv);
			break;
		default:
			etm |= UINT64_C(1) << i;
			continue;
		}
		j->status = crypto_icv_equal(icv, crypto_icv_of(j), k->icv_len) ? CRYPTO_OK
										: CRYPTO_BAD_ICV;
	}
	if (etm != 0)
		crypto_etm_open(c, job, etm);
}
