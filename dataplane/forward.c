// Forwarding: the TTL.
#include "dataplane/stages.h"

#include <rte_byteorder.h>
#include <rte_ip.h>

#include "dataplane/icmp.h"

// RFC 1624: the checksum changes by what the header changes.
static void decrement_ttl(struct rte_ipv4_hdr *ip)
{
	const uint32_t sum = ip->hdr_checksum + (uint32_t)rte_cpu_to_be_16(0x0100);

	ip->time_to_live--;
	ip->hdr_checksum = (uint16_t)(sum + (sum >= 0xffff));
}

static void ttl_exceeded(struct worker *w, const struct batch *b, uint16_t i)
{
	struct batch *self = &w->self;
	struct rte_mbuf *answer = NULL;

	if (self->n < BATCH_MAX)
		answer = icmp_error(w, b->pkt[i], ICMP_TIME_EXCEEDED, ICMP_TIME_EXCEEDED_TTL, 0, 0);
	if (answer) {
		batch_append(self, b, i);
		self->pkt[self->n - 1] = answer;
		self->origin[self->n - 1] =
			b->origin[i] == FROM_TUNNEL ? FROM_SELF_TUNNEL : FROM_SELF;
		self->from_linux[self->n - 1] = true;
	}
	drop(w, b->pkt[i], DROP_TTL_EXCEEDED);
}

void forward(struct worker *w, struct batch *transit, struct batch *out)
{
	for (uint16_t i = 0; i < transit->n; i++) {
		struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(transit->pkt[i], struct rte_ipv4_hdr *);

		// RFC 1812 5.3.1: a packet is not forwarded with a TTL of 0.
		if (ip->time_to_live <= 1) {
			ttl_exceeded(w, transit, i);
			continue;
		}
		decrement_ttl(ip);
		batch_append(out, transit, i);
	}
	transit->n = 0;
}
