// A test double for struct ike_crypto: fast, deterministic, and of no cryptographic worth.
//
// It keeps the shape of the real one: prf depends on key and every octet, a toy Diffie-Hellman
// agrees, a sealed message opens with the right keys only and notices every changed bit (with
// overwhelming probability).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/ike/ike_crypto.h"

struct fake_crypto {
	struct ike_crypto vt; // its ctx is this struct
	uint64_t state;	      // of the random numbers
	unsigned live_ke;     // ke_create without ke_destroy
	bool fail_random;     // from now on
};

void fake_crypto_init(struct fake_crypto *f, uint64_t seed);
// The generator behind it, for whoever needs numbers from a seed.
uint64_t fake_random(uint64_t *state);
