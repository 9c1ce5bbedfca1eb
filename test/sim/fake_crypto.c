#include "test/sim/fake_crypto.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/transform.h"

uint64_t fake_random(uint64_t *state) // splitmix64
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static uint64_t mix(uint64_t h, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ data[i]) * 0x100000001b3u;
	h ^= len;
	return fake_random(&h);
}

static uint64_t mix_pieces(uint64_t h, const struct ike_buf *pieces, size_t n)
{
	// As one string: where a piece ends must not count.
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < pieces[i].len; k++)
			h = (h ^ pieces[i].data[k]) * 0x100000001b3u;
	return fake_random(&h);
}

static void expand(uint64_t h, uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i += 8) {
		uint64_t v = fake_random(&h);

		memcpy(out + i, &v, len - i < 8 ? len - i : 8);
	}
}

static int fake_fill(void *ctx, void *out, size_t len)
{
	struct fake_crypto *f = ctx;

	if (f->fail_random)
		return -EIO;
	f->state++;
	expand(f->state, out, len);
	fake_random(&f->state);
	return 0;
}

static int fake_prf(void *ctx, uint16_t prf_id, const uint8_t *key, size_t key_len,
		    const struct ike_buf *pieces, size_t n, uint8_t *out, size_t *len)
{
	const struct transform t = {TRANSFORM_PRF, prf_id, 0};
	const struct transform_info *info = transform_find(&t);

	(void)ctx;
	if (!info || *len < info->key_len)
		return -ENOTSUP;
	*len = info->key_len;
	expand(mix_pieces(mix(prf_id, key, key_len), pieces, n), out, *len);
	return 0;
}

static int fake_prf_plus(void *ctx, uint16_t prf_id, const uint8_t *key, size_t key_len,
			 const uint8_t *seed, size_t seed_len, uint8_t *out, size_t len)
{
	(void)ctx;
	expand(mix(mix(prf_id + 1000u, key, key_len), seed, seed_len), out, len);
	return 0;
}

static int fake_sha1(void *ctx, const struct ike_buf *pieces, size_t n,
		     uint8_t out[IKE_HASH_SHA1_LEN])
{
	(void)ctx;
	expand(mix_pieces(7, pieces, n), out, IKE_HASH_SHA1_LEN);
	return 0;
}

#define FAKE_PRIME ((1ull << 61) - 1)

struct ike_ke {
	uint64_t private;
	uint16_t group;
};

static uint64_t power(uint64_t base, uint64_t exponent)
{
	unsigned __int128 b = base % FAKE_PRIME, r = 1;

	for (; exponent; exponent >>= 1) {
		if (exponent & 1)
			r = r * b % FAKE_PRIME;
		b = b * b % FAKE_PRIME;
	}
	return (uint64_t)r;
}

static int fake_ke_create(void *ctx, uint16_t group, struct ike_ke **out)
{
	struct fake_crypto *f = ctx;
	struct ike_ke *ke = calloc(1, sizeof(*ke));

	if (!ke)
		return -ENOMEM;
	ke->private = fake_random(&f->state) >> 3 | 1;
	ke->group = group;
	f->live_ke++;
	*out = ke;
	return 0;
}

static int fake_ke_public(void *ctx, const struct ike_ke *ke, uint8_t *out, size_t *len)
{
	uint64_t v = power(3u + ke->group, ke->private);

	(void)ctx;
	if (*len < 8)
		return -EINVAL;
	memcpy(out, &v, 8);
	*len = 8;
	return 0;
}

static int fake_ke_derive(void *ctx, const struct ike_ke *ke, const uint8_t *peer, size_t peer_len,
			  struct secret *shared)
{
	uint64_t v;

	(void)ctx;
	if (peer_len != 8)
		return -EBADMSG;
	memcpy(&v, peer, 8);
	if (v < 2 || v >= FAKE_PRIME - 1)
		return -EBADMSG;
	v = power(v, ke->private);
	return secret_set(shared, &v, 8);
}

static void fake_ke_destroy(void *ctx, struct ike_ke *ke)
{
	struct fake_crypto *f = ctx;

	if (ke)
		f->live_ke--;
	free(ke);
}

static void keystream(const struct secret *key, const uint8_t *iv, size_t iv_len, uint8_t *data,
		      size_t len)
{
	uint64_t h = mix(mix(11, key->data, key->len), iv, iv_len);

	for (size_t i = 0; i < len; i++) {
		if (i % 8 == 0)
			fake_random(&h);
		data[i] ^= (uint8_t)(h >> 8 * (i % 8));
	}
}

static void tag(const struct transform *encr, const struct transform *integ,
		const struct secret *encr_key, const struct secret *integ_key,
		const struct ike_buf *aad, const uint8_t *iv, const uint8_t *data, size_t len,
		uint8_t *icv, size_t *icv_len)
{
	const struct transform_info *info = transform_find(encr);
	const struct secret *key = info->aead ? encr_key : integ_key;
	uint64_t h = mix(13, key->data, key->len);

	*icv_len = info->aead ? info->icv_len : transform_find(integ)->icv_len;
	h = mix(h, aad->data, aad->len);
	h = mix(h, iv, info->iv_len);
	h = mix(h, data, len);
	expand(h, icv, *icv_len);
}

static int fake_seal(void *ctx, const struct transform *encr, const struct transform *integ,
		     const struct secret *encr_key, const struct secret *integ_key,
		     const struct ike_buf *aad, uint8_t *iv, uint8_t *data, size_t len,
		     uint8_t *icv)
{
	size_t iv_len = transform_find(encr)->iv_len, icv_len;
	uint8_t out[64];
	int err = fake_fill(ctx, iv, iv_len);

	if (err)
		return err;
	keystream(encr_key, iv, iv_len, data, len);
	tag(encr, integ, encr_key, integ_key, aad, iv, data, len, out, &icv_len);
	memcpy(icv, out, icv_len);
	return 0;
}

static int fake_open(void *ctx, const struct transform *encr, const struct transform *integ,
		     const struct secret *encr_key, const struct secret *integ_key,
		     const struct ike_buf *aad, const uint8_t *iv, uint8_t *data, size_t len,
		     const uint8_t *icv)
{
	size_t iv_len = transform_find(encr)->iv_len, icv_len;
	uint8_t wanted[64];

	(void)ctx;
	tag(encr, integ, encr_key, integ_key, aad, iv, data, len, wanted, &icv_len);
	if (memcmp(wanted, icv, icv_len) != 0)
		return -EBADMSG;
	keystream(encr_key, iv, iv_len, data, len);
	return 0;
}

void fake_crypto_init(struct fake_crypto *f, uint64_t seed)
{
	*f = (struct fake_crypto){
		.vt =
			{
				.ctx = f,
				.random = fake_fill,
				.prf = fake_prf,
				.prf_plus = fake_prf_plus,
				.sha1 = fake_sha1,
				.ke_create = fake_ke_create,
				.ke_public = fake_ke_public,
				.ke_derive = fake_ke_derive,
				.ke_destroy = fake_ke_destroy,
				.seal = fake_seal,
				.open = fake_open,
			},
		.state = fake_random(&seed), // seeds that are neighbours must not share numbers
	};
}
