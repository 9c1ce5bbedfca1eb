// What a source of IKE is likely to be, by what the guard has counted of it, and why.
//
// An address proves nothing: the words are "likely", and the reason has the numbers.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "dataplane/dp.h"

enum guard_class {
	CLASS_PEER,	   // a configured peer
	CLASS_FORGED_PEER, // the address of one, from elsewhere
	CLASS_FLOOD,
	CLASS_BACKSCATTER, // answers to what we have not asked: somebody forges our address
	CLASS_NOT_IKE,
	CLASS_SCANNER,
	CLASS_STRANGER,
};

#define GUARD_WHY_MAX 160

enum guard_class guard_classify(const struct dp_guard_source *s, bool is_peer,
				char why[GUARD_WHY_MAX]);
const char *guard_class_name(enum guard_class c);
