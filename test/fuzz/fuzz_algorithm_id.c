// AlgorithmIdentifiers of a peer's AUTH payload (RFC 7427). What is taken names a kind of key and a
// hash that go together, and is understood again when we write it.
#include <stdlib.h>

#include "control/openssl/algorithm_id.h"
#include "lib/auth_rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const struct algorithm_id *a, const struct algorithm_id *b)
{
	return a->key == b->key && a->hash == b->hash && a->pss == b->pss;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct algorithm_id id, again;
	uint8_t der[ALGORITHM_ID_MAX];
	size_t len;

	if (algorithm_id_parse(data, size, &id) != 0)
		return 0;
	if (id.pss && (id.key != AUTH_KEY_RSA || id.salt_len < 0))
		abort();
	len = algorithm_id_write(&id, der);
	if (len == 0 || len > sizeof(der) || algorithm_id_parse(der, len, &again) != 0 ||
	    !same(&id, &again))
		abort();
	return 0;
}
