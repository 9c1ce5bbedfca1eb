// Forwarding: the TTL, or hop limit.
#include "dataplane/stages.h"

#include <rte_byteorder.h>
#include <rte_ip.h>

#include "dataplane/flow6.h"
#include "dataplane/icmp.h"
#include "dataplane/icmp6.h"

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

	if (self->n < BATCH_MAX && ip_is_v6(rte_pktmbuf_mtod(b->pkt[i], const void *)))
		answer =
			icmp6_error(w, b->pkt[i], ICMP6_TIME_EXCEEDED, ICMP6_TIME_EXCEEDED_HOPS, 0);
	else if (self->n < BATCH_MAX)
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

// False: not one hop is left (RFC 1812 5.3.1, RFC 8200 3).
static bool count_hop(struct rte_mbuf *m)
{
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)p;

	if (ip_is_v6(p)) {
		if (p[7] <= 1)
			return false;
		p[7]--;
		return true;
	}
	if (ip->time_to_live <= 1)
		return false;
	decrement_ttl(ip);
	return true;
}

void forward(struct worker *w, struct batch *transit, struct batch *out)
{
	for (uint16_t i = 0; i < transit->n; i++) {
		if (count_hop(transit->pkt[i]))
			batch_append(out, transit, i);
		else
			ttl_exceeded(w, transit, i);
	}
	transit->n = 0;
}
