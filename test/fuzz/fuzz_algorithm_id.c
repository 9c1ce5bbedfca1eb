// The AlgorithmIdentifier in a peer's AUTH payload (RFC 7427 3). What is taken is something that
// we know, and what we write for the same thing is read as the same.
#include <stdlib.h>
#include <string.h>

#include "control/openssl/algorithm_id.h"
#include "lib/auth_rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct algorithm_id *id)
{
	uint8_t der[ALGORITHM_ID_MAX];
	struct algorithm_id again;
	size_t len = algorithm_id_write(id, der);

	if (id->pss ? id->key != AUTH_KEY_RSA || id->salt_len < 0 || id->salt_len > 64
		    : id->salt_len != 0)
		abort();
	if (len == 0 || len > sizeof(der) || algorithm_id_parse(der, len, &again) != 0)
		abort();
	if (again.key != id->key || again.hash != id->hash || again.pss != id->pss)
		abort();
	// A salt of another length than the hash is read (RFC 7427 leaves it free), never written.
	if (!id->pss && again.salt_len != 0)
		abort();
	// Nothing may follow it, and nothing may be missing.
	if (algorithm_id_parse(der, len - 1, &again) == 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct algorithm_id id, before;
	// A copy of exactly that size: a byte read behind it is seen.
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		return 0;
	if (size)
		memcpy(copy, data, size);
	memset(&id, 0x5a, sizeof(id));
	before = id;
	if (algorithm_id_parse(copy, size, &id) == 0)
		check(&id);
	else if (memcmp(&id, &before, sizeof(id)) != 0)
		abort();
	free(copy);
	return 0;
}
