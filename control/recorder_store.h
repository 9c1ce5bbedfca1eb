// The flight recorder's file: read when the daemon starts, written from time to time and at the
// end.
//
// `flight-recorder` in a directory that the configuration names (gateway.state_dir). Written beside
// and put in its place with rename(), so that a reader, or a daemon that starts after a crash, has
// the old one or the new one. The writing, which may wait for a disk, is a thread's; what goes
// wrong with it is said once, and nothing else suffers. A directory is one daemon's at a time, by a
// lock (flock) that ends with it; a second one goes on in memory and says so. When it comes to
// write after the first one has ended, it puts that one's file aside (flight-recorder.old).
//
// Threads:   control only; one thread of its own at a time has bytes that nobody else sees.
// Ownership: borrows the recorder.
// Errors:    0 or -errno.
#pragma once

#include <stdbool.h>

#include "control/recorder.h"

struct recorder_store;

// Makes the directory if it is not there, and fills the recorder with what the file has. A file
// that is none is put aside (flight-recorder.bad), and a warning says so. -ENOMEM.
int recorder_store_open(const char *dir, struct recorder *r, struct recorder_store **out);
// Begins to write what there is, unless that is under way. Says how the time before went.
void recorder_store_save(struct recorder_store *s);
// The last attempt to write has failed: it is worth another one, though nothing is new.
bool recorder_store_behind(struct recorder_store *s);
// Writes once more, waits for it, frees. NULL is allowed.
void recorder_store_close(struct recorder_store *s);
