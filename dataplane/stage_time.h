// Where a worker's time goes: cycles of the time stamp counter for each part of the packet path.
//
// Compiled in with `meson setup -Dstage_times=true`, and always in `devtools/bench pipeline`, which
// shows them; without, stage_start and stage_end are nothing. A stamp costs some 10 ns for a batch
// of packets.
//
// Threads: written by the worker, relaxed.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_cycles.h>

// In the order of worker_step().
#define STAGES(X)                                                                                  \
	X(RX, "rx")                                                                                \
	X(KNOWN_LOOK, "known-look")                                                                \
	X(KNOWN_WRAP, "known-wrap")                                                                \
	X(KNOWN_SEAL, "known-seal")                                                                \
	X(KNOWN_SEND, "known-send")                                                                \
	X(CLASSIFY, "classify")                                                                    \
	X(POLICY_IN, "policy-in")                                                                  \
	X(ESP_IN_CHECK, "esp-in-check")                                                            \
	X(ESP_IN_OPEN, "esp-in-open")                                                              \
	X(ESP_IN_ACCEPT, "esp-in-accept")                                                          \
	X(CLASSIFY_INNER, "classify-inner")                                                        \
	X(LINUX, "linux")                                                                          \
	X(FORWARD, "forward")                                                                      \
	X(POLICY_OUT, "policy-out")                                                                \
	X(ESP_OUT_SELECT, "esp-out-select")                                                        \
	X(ESP_OUT_WRAP, "esp-out-wrap")                                                            \
	X(ESP_OUT_SEAL, "esp-out-seal")                                                            \
	X(ROUTE, "route")

#define STAGE_ENUM(name, text) STAGE_##name,
enum stage { STAGES(STAGE_ENUM) STAGE_COUNT };
#undef STAGE_ENUM

struct stage_times {
	bool off;     // a benchmark's: do not look at the clock
	uint64_t tsc; // of the last stamp; 0: no batch under way
	_Atomic uint64_t cycles[STAGE_COUNT];
};

#ifdef PORT500_STAGE_TIMES

static inline void stage_start(struct stage_times *t)
{
	if (!t->off)
		t->tsc = rte_rdtsc();
}

// What has passed since the last stamp was that stage.
static inline void stage_end(struct stage_times *t, enum stage s)
{
	uint64_t now;

	if (t->tsc == 0)
		return;
	now = rte_rdtsc();
	atomic_store_explicit(&t->cycles[s],
			      atomic_load_explicit(&t->cycles[s], memory_order_relaxed) + now -
				      t->tsc,
			      memory_order_relaxed);
	t->tsc = now;
}

static inline void stage_stop(struct stage_times *t)
{
	t->tsc = 0;
}

#else

static inline void stage_start(struct stage_times *t)
{
	(void)t;
}

static inline void stage_end(struct stage_times *t, enum stage s)
{
	(void)t, (void)s;
}

static inline void stage_stop(struct stage_times *t)
{
	(void)t;
}

#endif
