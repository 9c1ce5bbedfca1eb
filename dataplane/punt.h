// The way to Linux and back: one thread that reads and writes the TAPs, so that workers make no
// system call, and rings our event file descriptor.
//
// The thread takes part in grace periods (dp->qsbr) behind the workers, so a tunnel interface is
// closed only when it has let go of it.
//
// Threads:   create, start, watch, stop and destroy: control. punt(), punt_first() (stages.h): any worker.
// Ownership: packets in the rings belong to whoever takes them out.
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include <rte_ring.h>

#include "dataplane/dp_internal.h"

struct punt {
	struct dp *dp;
	// Multi-producer; mbuf->port is the port's index. What the guard lets pass first goes by the
	// first, so that nothing else that is for Linux takes its place.
	struct rte_ring *to_linux_first, *to_linux;
	int event_fd;
	int epoll_fd; // the TAPs and TUNs
	bool running;
	pthread_t thread;
	counter drops[DROP_REASON_COUNT]; // this thread's
	struct ike_lost *lost;		  // this thread's
	_Atomic(struct capture_ring *) capture; // control: rw, this thread: ro
};

int punt_create(struct dp *dp); // dp->punt
// Starts the thread; the ports' TAPs must be open.
int punt_start(struct dp *dp);
// Has the thread read what Linux sends to a port or tunnel interface; punt_start does for the
// ports.
int punt_watch(struct dp *dp, unsigned number, int fd);
void punt_unwatch(struct dp *dp, int fd);
// dp->stop must be set.
void punt_join(struct dp *dp);
void punt_destroy(struct dp *dp);
