#include "control/ike/keys.h"

#include <errno.h>
#include <string.h>

#include "control/ike/payload.h"
#include "lib/bytes.h"

int ike_suite_of(const struct proposal *chosen, struct ike_suite *out)
{
	const struct transform *encr = proposal_first(chosen, TRANSFORM_ENCR);
	const struct transform *integ = proposal_first(chosen, TRANSFORM_INTEG);
	const struct transform *prf = proposal_first(chosen, TRANSFORM_PRF);
	const struct transform *ke = proposal_first(chosen, TRANSFORM_KE);
	const struct transform_info *encr_info, *prf_info, *integ_info = NULL;
	struct ike_suite s = {.integ = {TRANSFORM_INTEG, INTEG_NONE, 0}};

	if (!encr || !prf || !ke)
		return -ENOTSUP;
	encr_info = transform_find(encr);
	prf_info = transform_find(prf);
	if (!encr_info || !prf_info)
		return -ENOTSUP;
	if (!encr_info->aead) {
		integ_info = integ ? transform_find(integ) : NULL;
		if (!integ_info || integ->id == INTEG_NONE)
			return -ENOTSUP;
		s.integ = *integ;
		s.integ_key_len = integ_info->key_len;
	}
	s.encr = *encr;
	s.prf = prf->id;
	s.ke_group = ke->id;
	s.encr_key_len = encr_info->key_len;
	s.prf_len = prf_info->key_len;
	s.iv_len = encr_info->iv_len;
	s.block_len = encr_info->block_len > 0 ? encr_info->block_len : 1;
	s.icv_len = encr_info->aead ? encr_info->icv_len : integ_info->icv_len;
	*out = s;
	return 0;
}

struct key_slot {
	struct secret *to;
	size_t len; // bytes
};

// Cuts prf+(key, seed) into keys, in the order of the slots. All or nothing.
static int keys_expand(const struct ike_crypto *c, uint16_t prf, const struct secret *key,
		       const uint8_t *seed, size_t seed_len, const struct key_slot *slots, size_t n)
{
	struct secret stream = {0};
	size_t total = 0, at = 0;
	int err;

	for (size_t i = 0; i < n; i++)
		total += slots[i].len;
	err = secret_alloc(&stream, total);
	if (!err)
		err = c->prf_plus(c->ctx, prf, key->data, key->len, seed, seed_len, stream.data,
				  total);
	for (size_t i = 0; i < n && !err; i++) {
		if (slots[i].len > 0)
			err = secret_set(slots[i].to, stream.data + at, slots[i].len);
		at += slots[i].len;
	}
	secret_fini(&stream);
	return err;
}

static void keys_move(struct ike_keys *to, struct ike_keys *from)
{
	secret_move(&to->d, &from->d);
	secret_move(&to->ai, &from->ai);
	secret_move(&to->ar, &from->ar);
	secret_move(&to->ei, &from->ei);
	secret_move(&to->er, &from->er);
	secret_move(&to->pi, &from->pi);
	secret_move(&to->pr, &from->pr);
}

// {SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr} =
//                                     prf+ (SKEYSEED, Ni | Nr | SPIi | SPIr)
// RFC 7296 2.14. `seed` is Ni | Nr | SPIi | SPIr.
static int keys_from_seed(const struct ike_crypto *c, const struct ike_suite *suite,
			  const struct secret *skeyseed, const struct writer *seed,
			  struct ike_keys *out)
{
	struct ike_keys fresh = {0};
	const struct key_slot slots[] = {
		{&fresh.d, suite->prf_len},	   {&fresh.ai, suite->integ_key_len},
		{&fresh.ar, suite->integ_key_len}, {&fresh.ei, suite->encr_key_len},
		{&fresh.er, suite->encr_key_len},  {&fresh.pi, suite->prf_len},
		{&fresh.pr, suite->prf_len},
	};
	int err = keys_expand(c, suite->prf, skeyseed, seed->data, seed->len, slots,
			      sizeof(slots) / sizeof(slots[0]));

	if (!err) {
		ike_keys_fini(out);
		keys_move(out, &fresh);
	}
	ike_keys_fini(&fresh);
	return err;
}

int ike_keys_derive(const struct ike_crypto *c, const struct ike_suite *suite,
		    const struct ike_nonce *ni, const struct ike_nonce *nr,
		    const struct secret *shared, const uint8_t spi_i[8], const uint8_t spi_r[8],
		    struct ike_keys *out)
{
	uint8_t seed[2 * LIMIT_IKE_NONCE_MAX + 16];
	struct writer w = writer_of(seed, sizeof(seed));
	struct ike_buf piece = {shared->data, shared->len};
	uint8_t skeyseed[IKE_PRF_MAX];
	size_t skeyseed_len = sizeof(skeyseed), nonces_len;
	struct secret key = {0};
	int err;

	write_bytes(&w, ni->data, ni->len);
	write_bytes(&w, nr->data, nr->len);
	nonces_len = w.len;
	write_bytes(&w, spi_i, 8);
	write_bytes(&w, spi_r, 8);

	// RFC 7296 2.14: SKEYSEED = prf(Ni | Nr, g^ir)
	err = c->prf(c->ctx, suite->prf, seed, nonces_len, &piece, 1, skeyseed, &skeyseed_len);
	if (!err)
		err = secret_set(&key, skeyseed, skeyseed_len);
	if (!err)
		err = keys_from_seed(c, suite, &key, &w, out);
	secret_fini(&key);
	wipe(skeyseed, sizeof(skeyseed));
	return err;
}

int ike_keys_rekey(const struct ike_crypto *c, const struct ike_suite *suite, uint16_t old_prf,
		   const struct secret *old_d, const struct ike_nonce *ni,
		   const struct ike_nonce *nr, const struct secret *shared, const uint8_t spi_i[8],
		   const uint8_t spi_r[8], struct ike_keys *out)
{
	uint8_t seed[2 * LIMIT_IKE_NONCE_MAX + 16];
	struct writer w = writer_of(seed, sizeof(seed));
	struct ike_buf pieces[2] = {{shared->data, shared->len}, {seed, 0}};
	uint8_t skeyseed[IKE_PRF_MAX];
	size_t skeyseed_len = sizeof(skeyseed);
	struct secret key = {0};
	int err;

	write_bytes(&w, ni->data, ni->len);
	write_bytes(&w, nr->data, nr->len);
	pieces[1].len = w.len;
	write_bytes(&w, spi_i, 8);
	write_bytes(&w, spi_r, 8);

	// RFC 7296 2.18: SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr), with the old PRF; all
	// that follows uses the new one.
	err = c->prf(c->ctx, old_prf, old_d->data, old_d->len, pieces, 2, skeyseed, &skeyseed_len);
	if (!err)
		err = secret_set(&key, skeyseed, skeyseed_len);
	if (!err)
		err = keys_from_seed(c, suite, &key, &w, out);
	secret_fini(&key);
	wipe(skeyseed, sizeof(skeyseed));
	return err;
}

void ike_keys_fini(struct ike_keys *k)
{
	secret_fini(&k->d);
	secret_fini(&k->ai);
	secret_fini(&k->ar);
	secret_fini(&k->ei);
	secret_fini(&k->er);
	secret_fini(&k->pi);
	secret_fini(&k->pr);
}

int child_keys_derive(const struct ike_crypto *c, const struct ike_suite *suite,
		      const struct secret *sk_d, const struct ike_nonce *ni,
		      const struct ike_nonce *nr, const struct secret *shared,
		      const struct proposal *esp, struct child_keys *out)
{
	const struct transform *encr = proposal_first(esp, TRANSFORM_ENCR);
	const struct transform *integ = proposal_first(esp, TRANSFORM_INTEG);
	const struct transform_info *encr_info = encr ? transform_find(encr) : NULL;
	const struct transform_info *integ_info = NULL;
	uint8_t seed[LIMIT_IKE_KE_SECRET_MAX + 2 * LIMIT_IKE_NONCE_MAX];
	struct writer w = writer_of(seed, sizeof(seed));
	struct child_keys fresh = {0};
	size_t integ_len = 0;
	int err;

	if (!encr_info)
		return -ENOTSUP;
	if (!encr_info->aead && integ && integ->id != INTEG_NONE) {
		integ_info = transform_find(integ);
		if (!integ_info)
			return -ENOTSUP;
		integ_len = integ_info->key_len;
	}
	// Confidentiality without integrity is not on offer (RFC 8221 4).
	if (!encr_info->aead && integ_len == 0)
		return -ENOTSUP;
	if (shared->len > LIMIT_IKE_KE_SECRET_MAX)
		return -ENOTSUP;
	write_bytes(&w, shared->data, shared->len);
	write_bytes(&w, ni->data, ni->len);
	write_bytes(&w, nr->data, nr->len);

	// RFC 7296 2.17: KEYMAT = prf+(SK_d, [g^ir |] Ni | Nr); the direction from the exchange
	// initiator first, and in each direction encryption before integrity.
	const struct key_slot slots[] = {
		{&fresh.encr_i, encr_info->key_len},
		{&fresh.integ_i, integ_len},
		{&fresh.encr_r, encr_info->key_len},
		{&fresh.integ_r, integ_len},
	};

	err = keys_expand(c, suite->prf, sk_d, seed, w.len, slots,
			  sizeof(slots) / sizeof(slots[0]));
	if (!err) {
		secret_move(&out->encr_i, &fresh.encr_i);
		secret_move(&out->integ_i, &fresh.integ_i);
		secret_move(&out->encr_r, &fresh.encr_r);
		secret_move(&out->integ_r, &fresh.integ_r);
	}
	child_keys_fini(&fresh);
	wipe(seed, sizeof(seed));
	return err;
}

void child_keys_fini(struct child_keys *k)
{
	secret_fini(&k->encr_i);
	secret_fini(&k->integ_i);
	secret_fini(&k->encr_r);
	secret_fini(&k->integ_r);
}

int ike_auth_maced_id(const struct ike_crypto *c, const struct ike_suite *suite,
		      const struct secret *sk_p, const struct identity *id, uint8_t *out,
		      size_t *len)
{
	uint8_t body[IDENTITY_MAX + 4];
	struct writer w = writer_of(body, sizeof(body));
	struct ike_buf piece;

	payload_id_write(&w, id);
	piece = (struct ike_buf){body, w.len};
	return c->prf(c->ctx, suite->prf, sk_p->data, sk_p->len, &piece, 1, out, len);
}

int ike_auth_psk(const struct ike_crypto *c, const struct ike_suite *suite,
		 const struct secret *psk, const struct secret *sk_p, const struct ike_buf *message,
		 const struct ike_nonce *nonce, const struct identity *id, uint8_t *out,
		 size_t *len)
{
	static const char pad[] = "Key Pad for IKEv2"; // without the zero at its end
	struct ike_buf pad_piece = {(const uint8_t *)pad, sizeof(pad) - 1};
	uint8_t maced_id[IKE_PRF_MAX], key[IKE_PRF_MAX];
	size_t maced_len = sizeof(maced_id), key_len = sizeof(key);
	struct ike_buf octets[3];
	int err = ike_auth_maced_id(c, suite, sk_p, id, maced_id, &maced_len);

	if (err)
		return err;
	err = c->prf(c->ctx, suite->prf, psk->data, psk->len, &pad_piece, 1, key, &key_len);
	if (!err) {
		octets[0] = *message;
		octets[1] = (struct ike_buf){nonce->data, nonce->len};
		octets[2] = (struct ike_buf){maced_id, maced_len};
		err = c->prf(c->ctx, suite->prf, key, key_len, octets, 3, out, len);
	}
	wipe(key, sizeof(key));
	return err;
}
