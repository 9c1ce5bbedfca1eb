// The page that a network operator gets: times, addresses, counts in both directions, probes and
// their results, what works, and what is asked of him. Made of the doctor's answer, and of nothing
// else; no key and no configuration is in that.
#pragma once

#include <stdio.h>

#include "control/cli/phrases.h"
#include "control/cli/tree.h"

// `conn`: the doctor's section of one connection. `now_s`: since 1970.
void evidence_write(FILE *out, const struct node *conn, enum lang lang, int64_t now_s);
