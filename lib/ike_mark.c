#include "lib/ike_mark.h"

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

struct ike_mark_key ike_mark_key_of(const uint8_t random[16])
{
	return (struct ike_mark_key){
		.add = be32(random),
		.mul = {be32(random + 4) | 1, be32(random + 8) | 1, be32(random + 12) | 1},
	};
}

uint16_t ike_mark(const struct ike_mark_key *k, uint32_t a, uint32_t b)
{
	uint32_t h = (a ^ k->add) * k->mul[0];

	h ^= h >> IKE_MARK_SHIFT_1;
	h = (h ^ b) * k->mul[1];
	h ^= h >> IKE_MARK_SHIFT_2;
	h *= k->mul[2];
	return (uint16_t)(h >> 16);
}

void ike_mark_spi(const struct ike_mark_key *k, uint8_t spi[8])
{
	const uint16_t mark = ike_mark(k, be32(spi), (uint32_t)spi[4] << 8 | spi[5]);

	spi[6] = (uint8_t)(mark >> 8);
	spi[7] = (uint8_t)mark;
}

uint16_t ike_mark_cookie(const struct ike_mark_key *k, const uint8_t *addr, unsigned addr_len,
			 const uint8_t spi_i[8], const uint8_t mac[4])
{
	uint32_t a = be32(spi_i);

	for (unsigned i = 0; i + 4 <= addr_len; i += 4)
		a ^= be32(addr + i);
	return ike_mark(k, a, be32(mac));
}
