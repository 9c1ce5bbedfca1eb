// Section references: "conn-b : conn-defaults, connections.conn-a { }".
//
// A section takes over every key and sub-section of the sections it names, and of those that
// these name. What the section says itself wins, then the references from left to right.
#pragma once

#include "config/tree.h"
#include "lib/error.h"

// Replaces the tree's root by one where every reference has been followed. -ENOENT for a section
// that does not exist, -ELOOP for one that takes over itself, -E2BIG beyond the limits.
int config_references_expand(struct config_tree *t, struct error *err);
