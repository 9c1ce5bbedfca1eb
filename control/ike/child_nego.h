// Agreeing on a child SA (RFC 7296 1.2, 1.3, 2.7, 2.9): what IKE_AUTH and CREATE_CHILD_SA have in
// common. sa->child is what a request of ours is to make.
#pragma once

#include "control/ike/builder.h"
#include "control/ike/child.h"
#include "control/ike/sa_payload.h"

struct child_offer { // the payloads of one side
	struct sa_offer sa;
	struct selector_list tsi, tsr;
	bool no_tfc; // ESP_TFC_PADDING_NOT_SUPPORTED (RFC 7296 1.3.1)
	struct child_mode mode; // asked for or agreed to
};

// False when one of the three payloads is missing or malformed. Notifies beside them count.
bool child_offer_parse(const struct ike_msg *m, struct child_offer *out);

// ---- exchange initiator ----

// Fills the selectors of sa->child.conf in and reserves an SPI. False when there is nothing to ask
// for, because "dynamic" is of another family than the other side, or no SPI (reported).
bool child_ask(struct step *st);
// Is the peer's choice one of what we offered? Reports when it is not. Selectors of a family that
// the answer has on one side only carry nothing and are taken out. `ignore_ke`: IKE_AUTH.
bool child_answer_ok(struct step *st, struct child_offer *answer, bool ignore_ke);
// The peer will not: says why, and what it was offered.
void child_report_refusal(struct step *st, const struct ike_notify *n);

// ---- exchange responder ----

// Chooses a child of sa->conn (`only`: that one) and an ESP proposal for the peer's offer; fills
// in conf, esp, spi_out and the selectors of *new, and *esp, to which new->esp points. 0, or the
// notify that says why not (reported).
uint16_t child_choose(struct step *st, const struct child_offer *offer, bool ignore_ke,
		      const struct ike_child_conf *only, struct child_new *new,
		      struct proposal *esp);
// Reserves an SPI and installs. 0, or the notify that says why not (reported).
uint16_t child_accept(struct step *st, struct child_new *new, struct ike_child **out);
// Adds the SA payload of a request, behind USE_TRANSPORT_MODE if it asks for that.
void child_build_offer(struct ike_builder *b, const struct child_request *r, bool ignore_ke);
// Adds SAr2; TSi and TSr. In CREATE_CHILD_SA the nonce and the key exchange stand between them.
void child_build_sa(struct ike_builder *b, const struct child_new *new);
void child_build_ts(struct ike_builder *b, const struct child_new *new);
