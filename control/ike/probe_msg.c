#include "control/ike/probe_msg.h"

#include <errno.h>
#include <string.h>

enum {
	MODP_768 = 1,
	MODP_768_LEN = 96,
	N_PRIVATE_STATUS = 40960, // RFC 7296 3.10.1: for private use from here on
	NOTIFY_LEN = 8,
	FILL_MAX = 16384,
};

// All that we offer, and the first of it with MODP 768 alone.
static void offer(const struct proposal_list *ours, struct proposal_list *out)
{
	struct proposal *last;

	*out = *ours;
	if (out->n == PROPOSALS_MAX)
		out->n--;
	last = &out->p[out->n++];
	*last = (struct proposal){.protocol = PROTO_IKE};
	for (uint8_t i = 0; i < ours->p[0].n && last->n < PROPOSAL_TRANSFORMS_MAX - 1; i++)
		if (ours->p[0].t[i].type != TRANSFORM_KE)
			last->t[last->n++] = ours->p[0].t[i];
	last->t[last->n++] = (struct transform){TRANSFORM_KE, MODP_768, 0};
	for (uint8_t i = 0; i < out->n; i++)
		out->p[i].number = (uint8_t)(i + 1);
}

int probe_msg_build(struct ike_builder *b, const struct ike_crypto *c,
		    const struct proposal_list *ours, const uint8_t spi_i[8], size_t len)
{
	static const uint8_t none[8], fill[FILL_MAX];
	uint8_t public[MODP_768_LEN], nonce[32];
	struct proposal_list list;

	if (c->random(c->ctx, public, sizeof(public)) || c->random(c->ctx, nonce, sizeof(nonce)))
		return -EIO;
	public[0] = 0x7f; // below the prime, which begins with ones
	offer(ours, &list);
	build_start(b, spi_i, none, EXCHANGE_IKE_SA_INIT, IKE_FLAG_INITIATOR, 0);
	build_sa(b, &list, 0, false);
	build_ke(b, MODP_768, public, sizeof(public));
	build_octets(b, PAYLOAD_NONCE, nonce, sizeof(nonce));
	if (len > b->w.len + NOTIFY_LEN && len - b->w.len - NOTIFY_LEN <= FILL_MAX)
		build_notify(b, N_PRIVATE_STATUS, fill, len - b->w.len - NOTIFY_LEN);
	build_finish(b);
	return b->w.failed ? -EMSGSIZE : 0;
}
