// A mark in what we give out for others to send back, our SPIs of IKE SAs and our cookies, by which
// a filter in the kernel tells it from what strangers make up.
//
// It must be found with the arithmetic of classic BPF and without any table
// (dataplane/ike_filter.h), so it is a keyed hash of 16 bits and no MAC: it keeps a flood out of
// the queue of ESP, it admits nobody. What bears a good mark still has to be an SPI that we have,
// or a cookie that is right.
//
// Threads: any. Pure.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	IKE_MARK_LEN = 2,      // bytes
	IKE_MARK_SHIFT_1 = 15, // of the hash, which the filter repeats
	IKE_MARK_SHIFT_2 = 13,
};

struct ike_mark_key {
	uint32_t add, mul[3]; // the factors are odd
};

// The key made of 16 random bytes.
struct ike_mark_key ike_mark_key_of(const uint8_t random[16]);
uint16_t ike_mark(const struct ike_mark_key *k, uint32_t a, uint32_t b);
// Puts the mark of the first six bytes of an SPI, which are random, in place of the last two.
void ike_mark_spi(const struct ike_mark_key *k, uint8_t spi[8]);
// The mark of a cookie: of the address that it was given to, of the SPI of its request, and of
// four bytes of its MAC.
uint16_t ike_mark_cookie(const struct ike_mark_key *k, const uint8_t *addr, unsigned addr_len,
			 const uint8_t spi_i[8], const uint8_t mac[4]);
