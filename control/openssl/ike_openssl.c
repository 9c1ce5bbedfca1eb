#include "control/openssl/ike_openssl.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/rand.h>

#include "control/openssl/context.h"

int openssl_failed(void)
{
	ERR_clear_error();
	return -EIO;
}

// Nonces, SPIs and the like, a few bytes each: OpenSSL's generator does the same work (a system
// call, two rounds of AES for its next state, locks) for 8 bytes as for 512. Nothing is given out
// twice, and what was is wiped. Private keys and IVs do not come from here.
static int random_bytes(void *ctx, void *out, size_t len)
{
	struct openssl *o = ctx;

	if (len > INT_MAX)
		return -EINVAL;
	if (len > sizeof(o->random))
		return RAND_bytes(out, (int)len) == 1 ? 0 : openssl_failed();
	if (len > o->random_left) {
		o->random_left = 0;
		if (RAND_bytes(o->random, sizeof(o->random)) != 1)
			return openssl_failed();
		o->random_left = sizeof(o->random);
	}
	o->random_left -= len;
	memcpy(out, o->random + o->random_left, len);
	wipe(o->random + o->random_left, len);
	return 0;
}

// RFC 8247: HMAC-SHA2-256 and group 14 are MUST. AES-CBC is looked for by cipher_init.
static int check_mandatory(struct openssl *o)
{
	static const uint8_t key[1] = {0};
	size_t len = IKE_PRF_MAX;
	uint8_t out[IKE_PRF_MAX];
	struct ike_ke *ke = NULL;
	int err;

	err = prf_compute(o, PRF_HMAC_SHA2_256, key, sizeof(key), NULL, 0, out, &len);
	if (!err)
		err = ke_create(o, KE_MODP_2048, &ke);
	ke_destroy(o, ke);
	return err == -EIO ? -ENOTSUP : err;
}

int ike_openssl_create(struct ike_crypto **out)
{
	struct openssl *o = calloc(1, sizeof(*o));
	int err;

	if (!o)
		return -ENOMEM;
	o->table = (struct ike_crypto){
		.ctx = o,
		.random = random_bytes,
		.prf = prf_compute,
		.prf_plus = prf_plus,
		.sha1 = sha1_compute,
		.ke_create = ke_create,
		.ke_public = ke_public,
		.ke_derive = ke_derive,
		.ke_destroy = ke_destroy,
		.seal = cipher_seal,
		.open = cipher_open,
	};
	prf_init(o);
	err = cipher_init(o);
	if (!err)
		err = check_mandatory(o);
	if (err)
		goto out;
	ERR_clear_error(); // of optional algorithms that are not there
	*out = &o->table;
	return 0;
out:
	ike_openssl_destroy(&o->table);
	return err;
}

void ike_openssl_destroy(struct ike_crypto *c)
{
	struct openssl *o;

	if (!c)
		return;
	o = c->ctx;
	cipher_fini(o);
	ke_fini(o);
	prf_fini(o);
	wipe(o->random, sizeof(o->random));
	free(o);
}
