// A configuration file without its secrets, for support.
//
// Written from the tree by the registry of keys: a value stands there only when the registry knows
// its key and says that its form is no secret. What is not known is left out, whatever it is.
//
// Errors: -errno and "FILE:LINE: what is wrong", as the parser has it; what was written until then
//         is to be thrown away.
#pragma once

#include <stdio.h>

#include "lib/error.h"

#define REDACTED "<removed>" // stands in the place of a value

int config_redact_file(const char *path, FILE *out, struct error *err);
// The same from memory, without includes.
int config_redact_text(const char *name, const char *text, size_t len, FILE *out,
		       struct error *err);
