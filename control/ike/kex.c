#include "control/ike/kex.h"

#include <string.h>

int nonce_new(const struct ike_env *env, struct ike_nonce *nonce)
{
	struct ike_nonce fresh = {.len = IKE_NONCE_LEN};
	int err = env->crypto->random(env->crypto->ctx, fresh.data, fresh.len);

	if (!err)
		*nonce = fresh;
	return err;
}

bool nonce_is_lower(const struct ike_nonce *a, const struct ike_nonce *b)
{
	size_t len = a->len < b->len ? a->len : b->len;
	int order = memcmp(a->data, b->data, len);

	return order ? order < 0 : a->len < b->len;
}

const struct ike_nonce *nonce_lower(const struct ike_nonce *a, const struct ike_nonce *b)
{
	return nonce_is_lower(b, a) ? b : a;
}

int kex_new(const struct ike_env *env, uint16_t group, struct kex *k)
{
	struct ike_ke *ke;
	int err = env->crypto->ke_create(env->crypto->ctx, group, &ke);

	if (err)
		return err;
	kex_fini(env, k);
	*k = (struct kex){ke, group};
	return 0;
}

int kex_build(struct ike_builder *b, const struct ike_env *env, const struct kex *k)
{
	uint8_t public[IKE_KE_PUBLIC_MAX];
	size_t len = sizeof(public);
	int err = env->crypto->ke_public(env->crypto->ctx, k->ke, public, &len);

	if (!err)
		build_ke(b, k->group, public, len);
	return err;
}

int kex_derive(const struct ike_env *env, const struct kex *k, const struct ike_ke_payload *peer,
	       struct secret *shared)
{
	return env->crypto->ke_derive(env->crypto->ctx, k->ke, peer->data, peer->len, shared);
}

void kex_fini(const struct ike_env *env, struct kex *k)
{
	if (k->ke)
		env->crypto->ke_destroy(env->crypto->ctx, k->ke);
	*k = (struct kex){0};
}
