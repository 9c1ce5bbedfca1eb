#include "lib/siphash.h"

#include <string.h>

struct state {
	uint64_t v0, v1, v2, v3;
};

// Little-endian, as the hash wants it (the machines that DPDK and ipsec-mb share are).
static uint64_t load_le(const uint8_t *p)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 8; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static void store_le(uint8_t *p, uint64_t v)
{
	for (unsigned i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t rotl(uint64_t v, unsigned n)
{
	return v << n | v >> (64 - n);
}

static void rounds(struct state *s, unsigned n)
{
	while (n-- > 0) {
		s->v0 += s->v1;
		s->v1 = rotl(s->v1, 13) ^ s->v0;
		s->v0 = rotl(s->v0, 32);
		s->v2 += s->v3;
		s->v3 = rotl(s->v3, 16) ^ s->v2;
		s->v0 += s->v3;
		s->v3 = rotl(s->v3, 21) ^ s->v0;
		s->v2 += s->v1;
		s->v1 = rotl(s->v1, 17) ^ s->v2;
		s->v2 = rotl(s->v2, 32);
	}
}

static void mix(struct state *s, uint64_t m)
{
	s->v3 ^= m;
	rounds(s, 2);
	s->v0 ^= m;
}

void siphash(const uint8_t key[SIPHASH_KEY_LEN], const void *data, size_t len,
	     uint8_t out[SIPHASH_LEN])
{
	const uint64_t k0 = load_le(key), k1 = load_le(key + 8);
	const uint8_t *p = data;
	uint8_t last[8] = {0};
	struct state s = {
		.v0 = k0 ^ 0x736f6d6570736575,
		.v1 = k1 ^ 0x646f72616e646f6d ^ 0xee, // 0xee: 128 bits of result
		.v2 = k0 ^ 0x6c7967656e657261,
		.v3 = k1 ^ 0x7465646279746573,
	};

	last[7] = (uint8_t)len;
	for (; len >= 8; len -= 8, p += 8)
		mix(&s, load_le(p));
	if (len > 0)
		memcpy(last, p, len);
	mix(&s, load_le(last));
	s.v2 ^= 0xee;
	rounds(&s, 4);
	store_le(out, s.v0 ^ s.v1 ^ s.v2 ^ s.v3);
	s.v1 ^= 0xdd;
	rounds(&s, 4);
	store_le(out + 8, s.v0 ^ s.v1 ^ s.v2 ^ s.v3);
}
