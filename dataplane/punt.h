// The way to Linux and back: one thread that reads and writes the TAPs, so that workers make no
// system call, and rings our event file descriptor.
//
// Threads:   create, start, stop and destroy: control. punt() (stages.h): any worker.
// Ownership: packets in the rings belong to whoever takes them out.
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include <rte_ring.h>

#include "dataplane/dp_internal.h"

struct punt {
	struct dp *dp;
	struct rte_ring *to_linux; // multi-producer; mbuf->port is the port's index
	int event_fd;
	bool running;
	pthread_t thread;
	counter drops[DROP_REASON_COUNT]; // this thread's
};

int punt_create(struct dp *dp); // dp->punt
// Starts the thread; the ports' TAPs must be open.
int punt_start(struct dp *dp);
// dp->stop must be set.
void punt_join(struct dp *dp);
void punt_destroy(struct dp *dp);
