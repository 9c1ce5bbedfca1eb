// The words of reports: what was offered, what was wanted, what has nothing in common.
#pragma once

#include <stddef.h>

#include "control/ike/ike.h"
#include "lib/selector.h"
#include "lib/transform.h"

// One line that grows and ends with "..." when it is full.
struct text {
	size_t len;
	char s[IKE_REPORT_TEXT_MAX];
};

void text_init(struct text *t);
void text_add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_add_proposal(struct text *t, const struct proposal *p);
// At most `room` more characters, so that what follows is not lost.
void text_add_proposals(struct text *t, const struct proposal_list *list, size_t room);
void text_add_selectors(struct text *t, const struct selector_list *list);
void text_add_identity(struct text *t, const struct identity *id); // "FQDN 'gw-a.example'"
