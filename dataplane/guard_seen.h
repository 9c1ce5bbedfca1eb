// Openers that the guard has seen lately: whoever means it repeats his, bit by bit, until it is
// answered (RFC 7296 2.1), and a flood makes new ones up all the time.
//
// Two maps of bits, by a keyed hash of the initiator's SPI: one that is written, and the one before
// it. An opener is known for SEEN_MS at least and twice as long at most. When n openers have come
// in a turn, one in about (n / 8.4 million)^2 is taken for known by mistake, and is answered.
//
// Threads: guard_seen: any worker; bits that two of them set at the same time may be lost.
//          The rest: control.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	SEEN_BITS = 1 << 24, // of a map: 2 MB
	SEEN_MAPS = 3,	     // the third is being wiped
	SEEN_MS = 8000,
};

struct guard_seen {
	_Atomic uint64_t *map[SEEN_MAPS];
	_Atomic uint32_t turn; // the map that is written is turn % SEEN_MAPS
	uint64_t key[2];
	uint64_t turned_tsc; // control's
	bool wiped;	     // control's: the map of the next turn
};

struct dp;

int guard_seen_init(struct guard_seen *s, const uint32_t key[4]); // -ENOMEM
void guard_seen_fini(struct guard_seen *s);
// Has that opener come before? It has now.
bool guard_seen(struct guard_seen *s, uint64_t spi_i);
// From time to time: the next turn, when it is due.
void guard_seen_age(struct guard_seen *s, uint64_t now_tsc, uint64_t tsc_hz);
