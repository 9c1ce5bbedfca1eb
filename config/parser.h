// strongSwan's settings grammar (strongswan.conf(5), "SYNTAX"), read into a tree.
//
//   settings := (section | keyvalue | include)*
//   section  := name [: reference [, reference]*] { settings }
//   keyvalue := key = [value]      a value ends at the end of the line, at '#' or at '}'
//   include  := include pattern    shell wildcards, relative to the directory of the file
//
// A value is made of words and "quoted strings", joined by one blank each. Inside quotes \n, \r
// and \t are what they are in C, a backslash at the end of a line joins it with the next, and
// before any other character it stands for that character. Sections of one name are one section;
// of two keys the later one counts. References are followed by config/reference.h.
//
// Errors: -errno and "FILE:LINE: what is wrong".
#pragma once

#include "config/tree.h"
#include "lib/error.h"

// Reads the file and what it includes into the tree's root.
int config_parse_file(struct config_tree *t, const char *path, struct error *err);
// The same from memory; `name` stands for the file in messages; an include is an error.
int config_parse_text(struct config_tree *t, const char *name, const char *text, size_t len,
		      struct error *err);
