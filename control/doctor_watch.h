// What the doctor looks at all the time, so that it can say how much of something happened lately:
// counters of ports, of the guard and of what is dropped, and whether the workers turn.
//
// Threads:   control only, inside the event loop.
// Ownership: borrows the event base, dp and ike_run.
// Errors:    -ENOMEM from create; nothing else fails.
#pragma once

#include <stdint.h>

#include "control/doctor/doctor.h"
#include "dataplane/dp.h"

struct doctor_watch;
struct event_base;
struct ike_run;

int doctor_watch_create(struct event_base *base, struct dp *dp, struct ike_run *ike,
			struct doctor_watch **out);
void doctor_watch_destroy(struct doctor_watch *w); // NULL is allowed
// Looks once more at what is looked at every few seconds: before ike_run_doctor, which reads some.
void doctor_watch_look(struct doctor_watch *w);
// Fills in what it knows of the workers, the guard (all sources), the load and what is dropped, as
// of the last look; after ike_run_doctor, whose peer it is about.
void doctor_watch_read(struct doctor_watch *w, struct doctor_facts *f);
// The same of one port.
void doctor_watch_port(struct doctor_watch *w, unsigned port, struct doctor_port_facts *f);
