#include "dataplane/policy6.h"

#include <errno.h>

#include <rte_malloc.h>

#include "dataplane/dp_internal.h"
#include "dataplane/fib6.h"
#include "dataplane/iface.h"
#include "dataplane/policy_index.h"
#include "dataplane/stages.h"
#include "dataplane/tunnel.h"

// ---- control ----

static int entry_init(const struct dp *dp, struct policy_entry6 *e, const struct dp_policy *p)
{
	if (!ts6_from_selector(&p->local, &e->local) || !ts6_from_selector(&p->remote, &e->remote))
		return -EAFNOSUPPORT;
	e->action = (uint8_t)p->action;
	e->iface = (uint16_t)p->iface;
	if (p->iface != DP_IFACE_NONE && p->action != DP_PROTECT)
		return -EINVAL; // nothing leaves a tunnel interface in clear
	e->ports = policy_ports(p->ports, dp->n_ports);
	if (e->ports == 0 || (p->iface != DP_IFACE_NONE && p->ports != 0))
		return -EINVAL;
	if (p->action != DP_PROTECT)
		return 0;
	e->tunnel = tunnel_get(dp, p->tunnel);
	return e->tunnel != NULL ? 0 : -ENOENT;
}

// Puts a policy behind all those of its interface and of lower ones: few are not in order already.
static struct policy_entry6 *make_room(struct policies6 *p, unsigned iface)
{
	size_t at = p->n_all++;

	for (; at > 0 && p->entry[at - 1].iface > iface; at--)
		p->entry[at] = p->entry[at - 1];
	p->entry[at] = (struct policy_entry6){.iface = (uint16_t)iface};
	return &p->entry[at];
}

int policies6_create(const struct dp *dp, const struct dp_policy *policy, size_t n, bool *by_port,
		     struct policies6 **out)
{
	struct policies6 *p;
	size_t n6 = 0;
	int err = 0;

	for (size_t i = 0; i < n; i++)
		n6 += policy[i].local.family == IP_V6;
	*out = NULL;
	if (n6 == 0)
		return 0;
	p = rte_zmalloc("policies6", sizeof(*p) + n6 * sizeof(p->entry[0]), RTE_CACHE_LINE_SIZE);
	if (p == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n && err == 0; i++) {
		if (policy[i].local.family != IP_V6)
			continue;
		p->n += policy[i].iface == DP_IFACE_NONE;
		*by_port = *by_port || policy[i].ports != 0;
		err = entry_init(dp, make_room(p, policy[i].iface), &policy[i]);
	}
	if (err == 0)
		err = policy_index_create6(p->entry, p->n, &p->index);
	if (err != 0)
		policies6_destroy(p);
	else
		*out = p;
	return err;
}

void policies6_destroy(struct policies6 *p)
{
	if (p == NULL)
		return;
	policy_index_destroy(p->index);
	rte_free(p);
}

// ---- workers ----

// As of policy.c.
struct ends6 {
	addr6 local, remote;
	uint32_t port;
	uint16_t local_port, remote_port;
};

static inline bool entry_match(const struct policy_entry6 *e, const struct flow6 *f,
			       const struct ends6 *s)
{
	const bool closes = e->action != DP_BYPASS;

	if ((e->ports & s->port) == 0)
		return false;
	if (f->proto == IPV6_PROTO_UNKNOWN && closes)
		return ts6_match_host(&e->local, s->local, e->local.proto) &&
		       ts6_match_host(&e->remote, s->remote, e->remote.proto);
	if (!ts6_match_host(&e->local, s->local, f->proto) ||
	    !ts6_match_host(&e->remote, s->remote, f->proto))
		return false;
	if (f->ports == FLOW_PORTS_UNKNOWN && closes)
		return true;
	return ts6_match_port(&e->local, f->ports, s->local_port) &&
	       ts6_match_port(&e->remote, f->ports, s->remote_port);
}

static inline const struct policy_entry6 *find(const struct policies6 *p, const struct flow6 *f,
					       const struct ends6 *s)
{
	const uint32_t *candidate;
	uint32_t n;

	if (p == NULL)
		return NULL;
	if (p->index == NULL) {
		for (size_t i = 0; i < p->n; i++)
			if (entry_match(&p->entry[i], f, s))
				return &p->entry[i];
		return NULL;
	}
	candidate = policy_index_find6(p->index, s->local, s->remote, &n);
	for (uint32_t i = 0; i < n; i++) {
		const struct policy_entry6 *e = &p->entry[candidate[i]];

		if (entry_match(e, f, s))
			return e;
	}
	return NULL;
}

static inline struct ends6 ends_out(const struct flow6 *f, uint32_t port)
{
	return (struct ends6){f->src, f->dst, port, f->src_port, f->dst_port};
}

const struct policy_entry6 *policy6_find_out(const struct policies6 *p, const struct flow6 *f,
					     uint32_t port)
{
	const struct ends6 s = ends_out(f, port);

	return find(p, f, &s);
}

const struct policy_entry6 *policy6_find_iface(const struct policies6 *p, unsigned iface,
					       const struct flow6 *f)
{
	const struct ends6 s = ends_out(f, POLICY_ALL_PORTS);
	size_t lo, hi;

	if (p == NULL)
		return NULL;
	lo = p->n;
	hi = p->n_all;
	while (lo < hi) {
		const size_t mid = lo + (hi - lo) / 2;

		if (p->entry[mid].iface < iface)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < p->n_all && p->entry[lo].iface == iface; lo++)
		if (entry_match(&p->entry[lo], f, &s))
			return &p->entry[lo];
	return NULL;
}

const struct policy_entry6 *policy6_find_in(const struct policies6 *p, const struct flow6 *f,
					    uint32_t port)
{
	const struct ends6 s = {f->dst, f->src, port, f->dst_port, f->src_port};

	return find(p, f, &s);
}

static bool is_ike(const struct fib *fib, const struct flow6 *f, const uint8_t *own_addr,
		   uint16_t own_port)
{
	return f->proto == IPPROTO_UDP && f->ports == FLOW_PORTS_KNOWN &&
	       policy_is_ike_port(own_port) && fib_is_local6(fib, own_addr);
}

// False: malformed, and dropped.
static bool read_flow(struct worker *w, struct rte_mbuf *m, struct flow6 *f)
{
	if (flow6_of(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, f))
		return true;
	drop(w, m, DROP_RX_MALFORMED);
	return false;
}

static struct policy_verdict verdict_of(const struct policy_entry6 *e)
{
	if (e == NULL)
		return (struct policy_verdict){.found = false};
	return (struct policy_verdict){.found = true, .action = e->action, .tunnel = e->tunnel};
}

// Where a packet leaves, as way_out() of policy.c.
static unsigned way_out(const struct worker *w, bool by_port, const struct batch *in, uint16_t i,
			uint32_t *port)
{
	const uint8_t *ip = rte_pktmbuf_mtod(in->pkt[i], const uint8_t *);
	struct fib6_hop hop;
	enum fib_result r;

	*port = policy_port(UINT16_MAX);
	if (in->origin[i] == FROM_TAP) {
		*port = policy_port(in->port[i]);
		return in->port[i] >= DP_IFACE_FIRST ? in->port[i] : DP_IFACE_NONE;
	}
	if (!by_port && !iface_any(w->dp))
		return DP_IFACE_NONE;
	r = fib6_lookup(w->dp->fib6, ip + IPV6_DST_AT, &hop);
	if (r == FIB_IFACE)
		return hop.port;
	if (r != FIB_NO_ROUTE)
		*port = policy_port(hop.port);
	return DP_IFACE_NONE;
}

void policy6_out(struct worker *w, const struct policies *p, struct policy6_last *last,
		 struct batch *in, uint16_t i, struct batch *protect, struct batch *pass)
{
	const uint8_t *ip = rte_pktmbuf_mtod(in->pkt[i], const uint8_t *);
	struct flow6 f;
	bool ike;

	if (!read_flow(w, in->pkt[i], &f)) {
		last->valid = false; // the next one is not compared with what this one came by
		return;
	}
	if (!last->valid || in->port[i] != in->port[i - 1] || in->origin[i] != in->origin[i - 1] ||
	    !flow6_equal(&f, &last->flow)) {
		last->iface = way_out(w, p->by_port, in, i, &last->port);
		last->entry = last->iface == DP_IFACE_NONE
				      ? policy6_find_out(p->v6, &f, last->port)
				      : policy6_find_iface(p->v6, last->iface, &f);
	}
	last->valid = true;
	last->flow = f;
	if (last->iface != DP_IFACE_NONE) {
		policy_decide_iface(w, in, i, last->iface, last->entry ? last->entry->tunnel : NULL,
				    protect);
		return;
	}
	ike = in->origin[i] == FROM_TAP && is_ike(w->dp->fib, &f, ip + IPV6_SRC_AT, f.src_port);
	policy_decide_out(w, in, i, ike, verdict_of(last->entry), protect, pass);
}

// As of IPv4. :: is who has no address yet.
static bool source_is_behind_iface(const struct worker *w, const struct flow6 *f, const uint8_t *ip)
{
	struct fib6_hop hop;

	return f->src != 0 && fib6_lookup(w->dp->fib6, ip + IPV6_SRC_AT, &hop) == FIB_IFACE;
}

bool policy6_in_clear(struct worker *w, const struct policies *p, struct policy6_last *last,
		      struct batch *b, uint16_t i)
{
	const uint8_t *ip = rte_pktmbuf_mtod(b->pkt[i], const uint8_t *);
	struct flow6 f;

	if (!read_flow(w, b->pkt[i], &f))
		return false;
	if (!last->valid || policy_port(b->port[i]) != last->port ||
	    !flow6_equal(&f, &last->flow)) {
		last->port = policy_port(b->port[i]);
		last->entry = policy6_find_in(p->v6, &f, last->port);
		last->behind = last->entry == NULL && iface_any(w->dp) &&
			       source_is_behind_iface(w, &f, ip);
	}
	last->valid = true;
	last->flow = f;
	return policy_decide_in_clear(w, b, i, is_ike(w->dp->fib, &f, ip + IPV6_DST_AT, f.dst_port),
				      verdict_of(last->entry), last->behind);
}
