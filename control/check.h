// What `port500d --check` says of a configuration: a page for a person.
//
// Threads: pure, apart from writing to `out`.
#pragma once

#include <stdio.h>

#include "config/config.h"

// Writes ports, connections, children and warnings; no secrets.
void check_report(FILE *out, const char *path, const struct config *config);
