// Traffic selector payloads (RFC 7296 3.13) and narrowing (RFC 7296 2.9).
//
// Ownership: values only.
// Errors:    -EBADMSG when malformed; outputs stay untouched.
#pragma once

#include <stdbool.h>

#include "control/ike/message.h"
#include "lib/bytes.h"
#include "lib/selector.h"

// Selectors of types that we do not know, with empty ranges, or over SELECTORS_MAX are left out,
// which narrows the offer.
int ts_payload_parse(const struct ike_payload *p, struct selector_list *out);
void ts_payload_write(struct writer *w, const struct selector_list *list);

// What both lists have in common, each selector once. False, and *out empty, when nothing.
// A packet-specific first selector that our policy allows is always in the result.
bool ts_narrow(const struct selector_list *offered, const struct selector_list *ours,
	       struct selector_list *out);
// Takes out of both sides what no packet can match, because the other side has nothing of its
// family: one packet has both addresses of one. False, and both lists empty, when nothing is left.
bool ts_pair(struct selector_list *local, struct selector_list *remote);
// Is every selector of `answer` inside one of `offer`, and is there at least one?
bool ts_is_subset(const struct selector_list *answer, const struct selector_list *offer);
