// The AlgorithmIdentifiers of RFC 7427's AUTH payload (its appendix A): which kind of key, which
// hash, which padding.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct algorithm_id {
	uint8_t key;  // one auth_key
	uint8_t hash; // enum auth_hash
	bool pss;
	int salt_len; // bytes, with PSS
};

#define ALGORITHM_ID_MAX 80 // bytes of those that we write

// -EBADMSG when it is no AlgorithmIdentifier or one that we do not know.
int algorithm_id_parse(const uint8_t *der, size_t len, struct algorithm_id *out);
// Writes the DER; PSS with a salt as long as the hash. Returns its length, 0 for what there is not.
size_t algorithm_id_write(const struct algorithm_id *id, uint8_t out[ALGORITHM_ID_MAX]);
