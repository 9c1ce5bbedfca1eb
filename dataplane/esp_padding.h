// The padding of a decrypted ESP packet.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_vect.h>

// RFC 4303 2.4: 1, 2, 3 ... up to there? In front of it stand 16 bytes of the packet at least.
static inline bool esp_padding_good(const uint8_t *end, uint32_t len)
{
	static const uint8_t due[32] = {[16] = 1, 2,  3,  4,  5,  6,  7,  8,
					9,	  10, 11, 12, 13, 14, 15, 16};

	if (likely(len <= 16)) {
		const __m128i is = _mm_loadu_si128((const __m128i *)(const void *)(end - 16));
		const __m128i want = _mm_loadu_si128((const __m128i *)(const void *)(due + len));
		const unsigned same = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(is, want));

		return (same | (0xffffu >> len)) == 0xffff;
	}
	for (uint32_t i = 0; i < len; i++)
		if (*(end - len + i) != (uint8_t)(i + 1))
			return false;
	return true;
}
