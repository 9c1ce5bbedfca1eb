// IKE SAs and child SAs as vici sections, with strongSwan's keys and words.
//
// Threads: control only.
#pragma once

#include <stddef.h>

#include "control/ike_run.h"
#include "lib/selector.h"
#include "lib/vici_msg.h"

enum {
	VICI_SA_NO_COUNTERS = 1 << 0, // without times and counters
};

// The connection's name, or strongSwan's "(unnamed)" while a responder has not chosen one.
const char *vici_sa_name(const struct ike_run_sa *sa);
// "ESTABLISHED" and so on.
const char *vici_ike_state(enum ike_state state);
// The keys of an IKE SA into the open section; without child-sas.
void vici_sa_ike(struct vici_builder *b, const struct ike_run_sa *sa, unsigned flags);
// A section "name-id" with the keys of a child SA.
void vici_sa_child(struct vici_builder *b, const struct ike_run_child *child, unsigned flags);
// A list of selectors; in front the side's "dynamic" (NULL: none).
void vici_sa_selectors(struct vici_builder *b, const char *key, const struct selector_list *list,
		       const struct selector_dynamic *dynamic);
