// "Did you mean ...?": the nearest of a list of known words.
#pragma once

#include <stddef.h>

// The nearest by edit distance (insert, delete, replace, swap of neighbours, each 1), or NULL
// when none is near enough to be a typing error (over a third of the longer word's length).
const char *suggest_nearest(const char *word, const char *const *known, size_t n);
