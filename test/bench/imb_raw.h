// The interfaces of intel-ipsec-mb, called as directly as can be: what crypto.c is compared with.
//
// Threads: the caller's own MB_MGR. Errors: a bench asserts.
#pragma once

#include <stdbool.h>

#include "dataplane/crypto.h"

enum imb_interface {
	// AEAD: one function call a packet. Others: one call for the ciphers of all packets and
	// one for their hashes, with jobs filled in before the clock runs.
	IMB_RAW_DIRECT,
	IMB_RAW_JOB, // IMB_SUBMIT_JOB_NOCHECK for each packet, cipher and hash chained, then flush
	IMB_RAW_BURST, // the same jobs by IMB_SUBMIT_BURST_NOCHECK; library 1.3 only
	IMB_RAW_COUNT
};

bool imb_raw_has(const struct crypto_key *k, enum imb_interface which);
// All keys of one suite. Returns the cycles of the time stamp counter that it took.
uint64_t imb_raw(IMB_MGR *mgr, enum imb_interface which, const struct crypto_job *job, unsigned n,
		 bool seal);
