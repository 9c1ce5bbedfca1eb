// Who touches UDP/500 and 4500: the sources that do most of it, in fixed memory.
//
// One table for each worker, four places for each hash. A source that finds none takes the place of
// the one with the fewest messages and goes on counting from there (Space-Saving, Metwally 2005):
// whoever sends more than a small share of all is in the table, and `over` says by how much a count
// may be too high.
//
// Threads:   note: the worker. read: control, at any time.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/dp.h"
#include "lib/ike_peek.h"

#define CENSUS_SETS 256u // a power of 2
#define CENSUS_WAYS 4u

struct census_entry {
	_Atomic uint32_t version; // odd while the worker writes
	struct dp_guard_source s;
	uint64_t second_tsc, second_n; // the second that runs
};

struct census {
	struct census_entry entry[CENSUS_SETS][CENSUS_WAYS];
};

struct census_seen { // one message
	struct ip_addr from;
	uint16_t from_port, to_port;
	uint16_t len; // bytes of UDP payload
	uint8_t ttl;
	bool is_peer;		    // the address is a configured peer's
	uint8_t ttl_usual;	    // of that peer; 0: the messages of its IKE SAs have to tell
	const struct ike_peek *ike; // NULL: it is none
	enum guard_fate fate;
};

void census_note(struct census *c, const struct census_seen *seen, uint64_t now_tsc,
		 uint64_t tsc_hz);
// Copies entry `at` (below CENSUS_SETS * CENSUS_WAYS). False: it is free.
bool census_read(const struct census *c, unsigned at, struct dp_guard_source *out);
