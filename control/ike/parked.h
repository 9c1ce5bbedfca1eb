// An IKE_AUTH message of the peer that is put aside until it is known whether its certificates are
// revoked (RFC 5280 6.3, RFC 6960): opened and whole, so that going on repeats nothing of its way
// in, fragments (RFC 7383) included.
//
// Ownership: of the IKE SA; wiped when it goes on or ends.
// Errors:    -ENOMEM.
#pragma once

#include "control/ike/message.h"
#include "control/ike/sa.h"

// Puts it aside; the second time the end of its wait stays. `plain` is what its Encrypted payload
// held.
int parked_keep(struct ike_sa *sa, const struct ike_msg *m, const uint8_t *plain, size_t len,
		const struct ike_event *ev);
// Takes it out as the event and message that it came as. Both borrow from *out, which is the
// caller's (parked_fini). -ENOENT, -EBADMSG.
int parked_take(struct ike_sa *sa, uint64_t now_ms, struct parked *out, struct ike_event *ev,
		struct ike_msg *m);
void parked_fini(struct parked *p);
