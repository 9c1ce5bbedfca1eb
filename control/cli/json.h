// A tree as JSON (RFC 8259): sections become objects, lists arrays, values strings.
//
// Values stay strings because vici has no other type. Bytes that are not UTF-8 are written as
// \u00XX, so that the output is well-formed whatever a peer chose as its identity.
#pragma once

#include <stdio.h>

#include "control/cli/tree.h"

// Writes the tree and a newline.
void json_write(FILE *out, const struct node *root);
// The same on one line.
void json_write_line(FILE *out, const struct node *root);
