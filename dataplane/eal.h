// Starting and ending DPDK's environment (EAL) from our parameters, with its error lines turned
// into sentences.
//
// Threads: control only, once per process.
// Errors:  0 or -errno with a sentence.
#pragma once

#include <stdbool.h>

#include "dataplane/dp.h"

struct eal {
	bool hugepages;
	bool started;
	char why_not[256]; // without hugepages: what it costs
	char prefix[64];
};

// Chooses hugepages or not, builds the arguments and starts EAL. Worker i runs on lcore i + 1;
// lcore 0 is control.
int eal_start(struct eal *eal, const struct dp_params *params, struct error *err);
void eal_stop(struct eal *eal);

// The error and warning lines that DPDK wrote since eal_log_clear, joined by "; "; "" for none.
const char *eal_log_text(void);
void eal_log_clear(void);
// From now on such lines go to the log instead.
void eal_log_started(void);
