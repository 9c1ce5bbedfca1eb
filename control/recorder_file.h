// What the flight recorder keeps, as bytes and back: the content of its file.
//
//   0   8  "p500rec\n"
//   8   4  version, 1
//   12  4  n: bytes of the records that follow the 36 bytes of this head
//   16 16  SipHash of the records, with a key that everybody knows: against accidents
//   32  4  zero
//   36  n  records, each: type 1, length 4, content
//
// Numbers are in network order. Record types: 1 an event (control/record_log.h), oldest first; 2 a
// peer, 3 a header of the peer before, 4 a second, oldest first. Unknown types are skipped, so that
// an older daemon can read what a newer one wrote.
//
// Pure.
// Errors:  a file with one wrong byte is refused as a whole, and nothing has changed then.
#pragma once

#include "control/recorder.h"
#include "lib/error.h"

// Everything, in memory that the caller frees. -ENOMEM.
int recorder_encode(const struct recorder *r, uint8_t **out, size_t *len);
// Adds to a recorder that has nothing yet what the bytes say; their events are marked `before`, and
// new ones count on from them. -EBADMSG with a sentence, -ENOMEM.
int recorder_decode(struct recorder *r, const uint8_t *bytes, size_t len, struct error *err);
