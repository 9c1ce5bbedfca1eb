// Encrypt-then-MAC (RFC 4303 3.3.2): jobs of one suite go through the library together, first the
// ciphers of all, then the ICVs of all, so that its many lanes are full whatever SA they are of.
#include "dataplane/crypto_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "lib/secret.h"

struct group {			      // the jobs of one suite
	const struct crypto_key *key; // the first one's: stands for all
	struct crypto_job *job[CRYPTO_BURST_MAX];
	unsigned n;
};

static bool same_suite(const struct crypto_key *a, const struct crypto_key *b)
{
	return a->cipher == b->cipher && a->aes_len == b->aes_len && a->integ == b->integ;
}

#define LEN_STEP 64 // bytes: a block of SHA-256
#define LEN_ROWS 32 // longer ones share the last

static unsigned len_row(const struct crypto_job *j)
{
	const unsigned row = j->text_len / LEN_STEP;

	return row < LEN_ROWS ? row : LEN_ROWS - 1;
}

// The longest first: what is left at the end keeps few of the library's lanes busy, so it has to be
// short. A sort by counting, in blocks of the hash.
static void sort_by_length(struct group *g)
{
	struct crypto_job *sorted[CRYPTO_BURST_MAX];
	uint8_t first[LEN_ROWS + 1] = {0}; // of those as long or longer than the row's
	unsigned lens = 0;

	for (unsigned i = 0; i < g->n; i++)
		lens |= len_row(g->job[i]) ^ len_row(g->job[0]);
	if (lens == 0)
		return;
	for (unsigned i = 0; i < g->n; i++)
		first[len_row(g->job[i])]++;
	for (unsigned row = LEN_ROWS - 1, at = 0; row < LEN_ROWS; row--) {
		const unsigned n = first[row];

		first[row] = (uint8_t)at;
		at += n;
	}
	for (unsigned i = 0; i < g->n; i++)
		sorted[first[len_row(g->job[i])]++] = g->job[i];
	memcpy(g->job, sorted, g->n * sizeof(g->job[0]));
}

// Takes the jobs that share the suite of the first one left out of the mask.
static uint64_t take_group(struct crypto_job *job, uint64_t mask, struct group *g)
{
	uint64_t left = 0;

	g->key = job[__builtin_ctzll(mask)].key;
	g->n = 0;
	for (; mask != 0; mask &= mask - 1) {
		const unsigned i = (unsigned)__builtin_ctzll(mask);

		if (same_suite(job[i].key, g->key))
			g->job[g->n++] = &job[i];
		else
			left |= UINT64_C(1) << i;
	}
	sort_by_length(g);
	return left;
}

// RFC 3602 3: the IV is what the block in its place encrypts to under the packets' own key, after a
// secret was mixed in. As that is what CBC does, the block is the first one of the text.
static void cbc_job(struct crypto_job *j, IMB_JOB *b, bool seal)
{
	uint8_t *iv = j->head + CRYPTO_HEAD_MIN;

	b->src = b->dst = seal ? iv : j->text;
	b->iv = seal ? j->key->iv_mask : iv;
	b->msg_len_to_cipher_in_bytes = j->text_len + (seal ? 16u : 0u);
}

static void ctr_job(struct crypto_job *j, IMB_JOB *b)
{
	b->src = b->dst = j->text;
	b->iv = j->nonce;
	b->msg_len_to_cipher_in_bytes = j->text_len;
}

static void cipher_burst(struct crypto *c, struct crypto_job **job, unsigned n, bool seal)
{
	const struct crypto_key *first = job[0]->key;

	if (first->cipher == CRYPTO_NULL)
		return;
	for (unsigned i = 0; i < n; i++) {
		IMB_JOB *b = &c->imb[i];

		b->enc_keys = job[i]->key->etm.enc;
		b->dec_keys = job[i]->key->etm.dec;
		b->key_len_in_bytes = first->aes_len;
		b->iv_len_in_bytes = 16;
		b->cipher_start_src_offset_in_bytes = 0;
		b->cipher_direction = seal ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
		b->status = IMB_STATUS_BEING_PROCESSED;
		if (first->cipher == CRYPTO_CBC)
			cbc_job(job[i], b, seal);
		else
			ctr_job(job[i], b);
	}
	IMB_SUBMIT_CIPHER_BURST_NOCHECK(
		c->mgr, c->imb, n, first->cipher == CRYPTO_CBC ? IMB_CIPHER_CBC : IMB_CIPHER_CNTR,
		seal ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT, (IMB_KEY_SIZE_BYTES)first->aes_len);
}

// What is authenticated (RFC 4303 2.8): from the SPI to the end of the text, and behind it, where
// the ICV stands in the packet, the upper half of an extended number (2.2.1).
static uint64_t hash_len(const struct crypto_job *j)
{
	return j->key->head_len + j->text_len + (j->key->esn ? 4u : 0u);
}

static IMB_HASH_ALG hash_alg(uint16_t integ)
{
	switch (integ) {
	case INTEG_HMAC_SHA1_96:
		return IMB_AUTH_HMAC_SHA_1;
	case INTEG_HMAC_SHA2_384_192:
		return IMB_AUTH_HMAC_SHA_384;
	case INTEG_HMAC_SHA2_512_256:
		return IMB_AUTH_HMAC_SHA_512;
	default:
		return IMB_AUTH_HMAC_SHA_256;
	}
}

static void hmac_burst(struct crypto *c, struct crypto_job **job, unsigned n, uint8_t *const *icv)
{
	for (unsigned i = 0; i < n; i++) {
		IMB_JOB *b = &c->imb[i];

		b->src = job[i]->head;
		b->hash_start_src_offset_in_bytes = 0;
		b->msg_len_to_hash_in_bytes = hash_len(job[i]);
		b->auth_tag_output = icv[i];
		b->auth_tag_output_len_in_bytes = job[i]->key->icv_len;
		b->u.HMAC._hashed_auth_key_xor_ipad = job[i]->key->etm.hmac.inner;
		b->u.HMAC._hashed_auth_key_xor_opad = job[i]->key->etm.hmac.outer;
		b->hash_alg = hash_alg(job[i]->key->integ);
		b->status = IMB_STATUS_BEING_PROCESSED;
	}
	IMB_SUBMIT_HASH_BURST_NOCHECK(c->mgr, c->imb, n, hash_alg(job[0]->key->integ));
}

// The library has no burst of this one: jobs, and a flush for what waits in half-full lanes.
static void xcbc_jobs(struct crypto *c, struct crypto_job **job, unsigned n, uint8_t *const *icv)
{
	for (unsigned i = 0; i < n; i++) {
		const struct crypto_etm *etm = &job[i]->key->etm;
		IMB_JOB *b = IMB_GET_NEXT_JOB(c->mgr);

		b->cipher_mode = IMB_CIPHER_NULL;
		b->cipher_direction = IMB_DIR_ENCRYPT;
		b->chain_order = IMB_ORDER_HASH_CIPHER;
		b->hash_alg = IMB_AUTH_AES_XCBC;
		b->src = job[i]->head;
		b->dst = job[i]->head;
		b->msg_len_to_cipher_in_bytes = 0;
		b->cipher_start_src_offset_in_bytes = 0;
		b->hash_start_src_offset_in_bytes = 0;
		b->msg_len_to_hash_in_bytes = hash_len(job[i]);
		b->auth_tag_output = icv[i];
		b->auth_tag_output_len_in_bytes = job[i]->key->icv_len;
		b->u.XCBC._k1_expanded = etm->xcbc.k1;
		b->u.XCBC._k2 = etm->xcbc.k2;
		b->u.XCBC._k3 = etm->xcbc.k3;
		IMB_SUBMIT_JOB_NOCHECK(c->mgr);
	}
	while (IMB_FLUSH_JOB(c->mgr) != NULL)
		;
}

static void hash_burst(struct crypto *c, struct crypto_job **job, unsigned n, uint8_t *const *icv)
{
	if (job[0]->key->integ == INTEG_AES_XCBC_96)
		xcbc_jobs(c, job, n, icv);
	else
		hmac_burst(c, job, n, icv);
}

void crypto_etm_seal(struct crypto *c, struct crypto_job *job, uint64_t mask)
{
	uint8_t *icv[CRYPTO_BURST_MAX];
	struct group g;

	while (mask != 0) {
		mask = take_group(job, mask, &g);
		cipher_burst(c, g.job, g.n, true);
		for (unsigned i = 0; i < g.n; i++) {
			icv[i] = crypto_icv_of(g.job[i]);
			if (g.job[i]->key->esn)
				crypto_put_be32(icv[i], g.job[i]->seq_hi);
		}
		// The ICV overwrites the upper half of the number once that has been read.
		hash_burst(c, g.job, g.n, icv);
	}
}

static void open_group(struct crypto *c, struct group *g)
{
	uint8_t *icv[CRYPTO_BURST_MAX], saved[CRYPTO_BURST_MAX][4];
	unsigned good = 0;

	for (unsigned i = 0; i < g->n; i++) {
		icv[i] = c->icv[i];
		if (g->job[i]->key->esn) {
			memcpy(saved[i], crypto_icv_of(g->job[i]), 4);
			crypto_put_be32(crypto_icv_of(g->job[i]), g->job[i]->seq_hi);
		}
	}
	hash_burst(c, g->job, g->n, icv);
	// RFC 4303 3.4.4.1: nothing is decrypted before its ICV is good.
	for (unsigned i = 0; i < g->n; i++) {
		struct crypto_job *j = g->job[i];

		if (j->key->esn)
			memcpy(crypto_icv_of(j), saved[i], 4);
		if (crypto_icv_equal(icv[i], crypto_icv_of(j), j->key->icv_len)) {
			j->status = CRYPTO_OK;
			g->job[good++] = j;
		} else {
			j->status = CRYPTO_BAD_ICV;
		}
	}
	if (good > 0)
		cipher_burst(c, g->job, good, false);
}

void crypto_etm_open(struct crypto *c, struct crypto_job *job, uint64_t mask)
{
	struct group g;

	while (mask != 0) {
		mask = take_group(job, mask, &g);
		open_group(c, &g);
	}
}

// --- keys -------------------------------------------------------------------------------------

static void hash_block(struct crypto *c, uint16_t integ, const uint8_t *block, uint8_t *state)
{
	switch (integ) {
	case INTEG_HMAC_SHA1_96:
		IMB_SHA1_ONE_BLOCK(c->mgr, block, state);
		break;
	case INTEG_HMAC_SHA2_384_192:
		IMB_SHA384_ONE_BLOCK(c->mgr, block, state);
		break;
	case INTEG_HMAC_SHA2_512_256:
		IMB_SHA512_ONE_BLOCK(c->mgr, block, state);
		break;
	default:
		IMB_SHA256_ONE_BLOCK(c->mgr, block, state);
		break;
	}
}

// RFC 2104 2: every key of ESP is shorter than a block of its hash (RFC 4868 2.1.1).
static void hmac_key(struct crypto *c, struct crypto_key *k, const struct secret *key)
{
	uint8_t block[128];
	const struct {
		uint8_t pad, *state;
	} rows[] = {{0x36, k->etm.hmac.inner}, {0x5c, k->etm.hmac.outer}};

	for (unsigned i = 0; i < 2; i++) {
		memset(block, rows[i].pad, sizeof(block));
		for (size_t n = 0; n < key->len && n < sizeof(block); n++)
			block[n] ^= key->data[n];
		hash_block(c, k->integ, block, rows[i].state);
	}
	wipe(block, sizeof(block));
}

int crypto_etm_key(struct crypto *c, struct crypto_key *k, const uint8_t *encr,
		   const struct secret *integ)
{
	if (k->cipher == CRYPTO_CBC &&
	    getrandom(k->iv_mask, sizeof(k->iv_mask), 0) != sizeof(k->iv_mask))
		return -EIO;
	switch (k->aes_len) {
	case IMB_KEY_128_BYTES:
		IMB_AES_KEYEXP_128(c->mgr, encr, k->etm.enc, k->etm.dec);
		break;
	case IMB_KEY_192_BYTES:
		IMB_AES_KEYEXP_192(c->mgr, encr, k->etm.enc, k->etm.dec);
		break;
	case IMB_KEY_256_BYTES:
		IMB_AES_KEYEXP_256(c->mgr, encr, k->etm.enc, k->etm.dec);
		break;
	default: // NULL has no key
		break;
	}
	if (k->integ == INTEG_AES_XCBC_96)
		IMB_AES_XCBC_KEYEXP(c->mgr, integ->data, k->etm.xcbc.k1, k->etm.xcbc.k2,
				    k->etm.xcbc.k3);
	else
		hmac_key(c, k, integ);
	return 0;
}
