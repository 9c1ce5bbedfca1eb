// Our counters for DPDK's telemetry socket, beside what DPDK says there itself (/ethdev/xstats).
//
// Threads:   start, stop: control. DPDK answers on a thread of its own, which reads counters and
//            what is fixed once the dataplane runs; between stop and the end it finds nothing.
// Ownership: one dataplane per process.
#pragma once

struct dp;

// From now on /port500/... answers. What cannot be registered is missing, and no more.
void telemetry_start(struct dp *dp);
// Waits for an answer under way. Harmless before start.
void telemetry_stop(void);
