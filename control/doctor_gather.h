// The doctor's facts about one connection: what control and the dataplane know, in one value.
//
// Passive: nothing is sent. What `--probe` finds out is added by others (facts->probe).
//
// Threads: control only.
#pragma once

#include <stddef.h>

#include "control/doctor/doctor.h"

struct daemon;

// The connection at that place of the configuration. -ENOENT.
int doctor_gather(struct daemon *d, size_t conn, struct doctor_facts *out);
