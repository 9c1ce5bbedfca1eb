#include "dataplane/known_flows.h"

#include <rte_ip.h>

#include "dataplane/dp_internal.h"
#include "dataplane/fib.h"
#include "dataplane/flow.h"
#include "dataplane/policy.h"
#include "dataplane/port.h"
#include "dataplane/sad.h"
#include "dataplane/tunnel.h"

void known_flows_begin(struct worker *w)
{
	struct known *k = w->known;
	const uint32_t epoch = dp_epoch(w->dp);

	if (likely(epoch == k->epoch))
		return;
	if (epoch < k->epoch) // an old entry might look new again
		memset(k->set, 0, sizeof(k->set));
	k->epoch = epoch;
	k->n_ways = 0;
	k->own_be = 0;
	k->rest_mask = atomic_load_explicit(&w->dp->policies, memory_order_acquire)->by_address
			       ? 0
			       : UINT64_C(0xffffffffff);
}

// The number of a way, FLOW_WAY_NONE when there are too many, or its port is none for the short
// way.
static uint16_t way_to(struct worker *w, uint32_t dst_be, uint16_t *mtu)
{
	struct known *k = w->known;
	const uint16_t type_be = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	const struct port *port;
	struct fib_hop hop;
	struct flow_way way;
	uint16_t i;

	if (fib_lookup(w->dp->fib, dst_be, &hop) != FIB_OK)
		return FLOW_WAY_NONE;
	port = &w->dp->ports[hop.port];
	if (w->dp->ports[port->device_port].vlans != NULL)
		return FLOW_WAY_NONE;
	memcpy(way.header, &hop.mac, RTE_ETHER_ADDR_LEN);
	memcpy(way.header + RTE_ETHER_ADDR_LEN, port->mac.bytes, RTE_ETHER_ADDR_LEN);
	memcpy(way.header + 2 * RTE_ETHER_ADDR_LEN, &type_be, sizeof(type_be));
	way.device = (uint16_t)port->device_port;
	*mtu = port->mtu;
	for (i = 0; i < k->n_ways; i++)
		if (memcmp(&k->way[i], &way, sizeof(way)) == 0)
			return i;
	if (i == FLOW_WAYS)
		return FLOW_WAY_NONE;
	k->way[k->n_ways++] = way;
	return i;
}

// Into a tunnel, as policy_out() has found it.
static void learn_tunnel(struct worker *w, struct flow_entry *e, const struct tunnel *t,
			 const struct flow *f)
{
	struct sa_out *sa = tunnel_sa(t);
	uint16_t port_mtu;

	if (sa == NULL || sa->v6 || sa->transport || sa->tfc_padding != 0 ||
	    !esp_selectors_match(&sa->ts, f->src, f->src_port, f->dst, f->dst_port, f->proto,
				 f->ports) ||
	    (w->known->rest_mask == 0 && !esp_selectors_only_addresses(&sa->ts)))
		return;
	e->mtu = sa_out_inner_mtu(sa, sa_out_path_mtu(w->dp, sa));
	if (e->mtu == 0)
		return;
	e->sa = sa;
	e->way = way_to(w, sa->remote_be, &port_mtu);
}

// The port that the way out leads to, as of policy_port().
static uint32_t port_out(const struct worker *w, uint32_t dst_be)
{
	struct fib_hop hop;

	return fib_lookup(w->dp->fib, dst_be, &hop) == FIB_NO_ROUTE ? policy_port(UINT16_MAX)
								    : policy_port(hop.port);
}

// What the stages would make of an ordinary packet of the flow, if that is something ordinary.
// `from` as in the flow's entry.
static void learn(struct worker *w, struct flow_entry *e, const uint8_t *ip, unsigned len,
		  unsigned from)
{
	const struct policies *p = atomic_load_explicit(&w->dp->policies, memory_order_acquire);
	const struct flow f = flow_of((const struct rte_ipv4_hdr *)(const void *)ip, len);
	const uint32_t dst_be = load32(ip + 16);
	const struct policy_entry *v;
	bool inner = from == FLOW_FROM_INNER;

	// classify(), classify_inner()
	if (f.src >> 24 == 127 || f.dst >> 24 == 127 || f.src >= INADDR_UNSPEC_GROUP ||
	    f.dst >= INADDR_UNSPEC_GROUP || f.dst == 0)
		return;
	// policy_in_clear()
	v = inner ? NULL : policy_find_in(p, &f, policy_port(from - 1));
	if (v != NULL && v->action != DP_BYPASS)
		return;
	inner |= v != NULL; // passes without a policy, like what came out of a tunnel
	// policy_out()
	v = policy_find_out(p, &f, p->by_port ? port_out(w, dst_be) : POLICY_ALL_PORTS);
	if (v != NULL ? v->action == DP_DISCARD : !inner)
		return;
	if (v != NULL && v->action == DP_PROTECT)
		learn_tunnel(w, e, v->tunnel, &f);
	else
		e->way = way_to(w, dst_be, &e->mtu);
}

struct flow_entry *known_flows_learn(struct worker *w, struct flow_set *set, uint64_t addrs,
				     uint64_t rest, const uint8_t *ip, unsigned len,
				     const struct sa_in *in)
{
	struct flow_entry *e = &set->entry[0];

	// Strangers who write to us push no flow out.
	if (fib_is_local(w->dp->fib, load32(ip + 16)))
		return NULL;
	w->known->learned++;
	memmove(e + 1, e, (FLOW_SET - 1) * sizeof(*e)); // the oldest goes
	*e = (struct flow_entry){
		.addrs = addrs, .rest = rest, .epoch = w->known->epoch, .way = FLOW_WAY_NONE};
	if (in == NULL || esp_selectors_match_in(&in->ts, (const void *)ip, len))
		learn(w, e, ip, len, (unsigned)(rest >> 40));
	return e;
}
