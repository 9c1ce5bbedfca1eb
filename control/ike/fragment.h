// IKE fragmentation (RFC 7383): a protected message that is too large for one datagram travels as
// several messages with one Encrypted Fragment payload each, every one sealed for itself.
//
// Ownership: a reassembly owns the fragments that it holds. The zeroed struct holds none.
// Errors:    0 or -errno; a peer's bytes are refused, never an error of ours.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/ike/builder.h"
#include "control/ike/message.h"
#include "control/ike/sk.h"

// ---- out ----

// Bytes left for one IKE message in an IP datagram of `datagram_len` bytes.
size_t fragment_message_room(size_t datagram_len, bool v6);
// The message in `b`, begun by sk_begin and not finished yet, has all its payloads: does it need
// fragments to stay within `room` bytes?
bool fragment_needed(const struct ike_builder *b, const struct ike_suite *suite, size_t room);
// Seals it as fragments of at most `room` bytes, back to back in *out, which the caller frees.
// -EMSGSIZE when LIMIT_IKE_FRAGMENTS are not enough, -ENOMEM.
int fragment_seal(struct ike_builder *b, const struct ike_crypto *c, const struct ike_suite *suite,
		  struct sk_keys keys, size_t room, uint8_t **out, size_t *len);

// ---- in ----

struct reassembly { // of one message
	uint32_t message_id;
	uint8_t first; // type of the first payload, which fragment 1 tells
	uint16_t total, have;
	size_t len; // bytes held
	struct fragment {
		uint8_t *data; // NULL: not here yet
		size_t len;
	} * part; // [total]; NULL: nothing is held
};

// Is this fragment worth being opened? Not one that is here already, nor one of a set that is
// smaller than the one known (RFC 7383 2.6).
bool reassembly_wants(const struct reassembly *r, const struct ike_msg *m);
// Adds an opened fragment that is wanted. A larger set replaces what is held, and so does another
// message. -ENOMEM; -EMSGSIZE when the message grows over LIMIT_IKE_MESSAGE_LEN or has over
// LIMIT_IKE_FRAGMENTS: nothing is held then.
int reassembly_add(struct reassembly *r, const struct ike_msg *m, const uint8_t *plain, size_t len);
bool reassembly_complete(const struct reassembly *r);
// Puts the payloads into buf[LIMIT_IKE_MESSAGE_LEN] and forgets the fragments. *first is the type
// of the first payload.
void reassembly_take(struct reassembly *r, uint8_t *buf, size_t *len, uint8_t *first);
void reassembly_fini(struct reassembly *r);
