#include "dataplane/policy.h"

#include <errno.h>
#include <string.h>

#include <rte_malloc.h>

#include "dataplane/dp_internal.h"
#include "dataplane/fib.h"
#include "dataplane/iface.h"
#include "dataplane/policy6.h"
#include "dataplane/policy_index.h"
#include "dataplane/sad.h"
#include "dataplane/stages.h"
#include "dataplane/tunnel.h"

static struct policies *snapshot_alloc(size_t n)
{
	struct policies *p =
		rte_malloc("policies", sizeof(*p) + n * sizeof(p->entry[0]), RTE_CACHE_LINE_SIZE);

	if (p == NULL)
		return NULL;
	memset(p, 0, sizeof(*p)); // the entries are filled in
	p->n = p->n_all = n;
	return p;
}

int policies_create(struct dp *dp)
{
	struct policies *p = snapshot_alloc(0);

	if (p == NULL)
		return -ENOMEM;
	atomic_store_explicit(&dp->policies, p, memory_order_release);
	return 0;
}

static void snapshot_free(void *arg)
{
	struct policies *p = arg;

	if (p == NULL)
		return;
	policy_index_destroy(p->index);
	policies6_destroy(p->v6);
	rte_free(p);
}

void policies_destroy(struct dp *dp)
{
	snapshot_free(atomic_exchange_explicit(&dp->policies, NULL, memory_order_relaxed));
}

uint32_t policy_ports(uint16_t ports, unsigned n_ports)
{
	if (ports == 0)
		return POLICY_ALL_PORTS;
	return ports >> n_ports != 0 ? 0 : ports;
}

static int entry_init(struct dp *dp, struct policy_entry *e, const struct dp_policy *p)
{
	if (!ts4_from_selector(&p->local, &e->local) || !ts4_from_selector(&p->remote, &e->remote))
		return -EAFNOSUPPORT;
	e->action = (uint8_t)p->action;
	e->tunnel = NULL;
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

// Notes which tunnels the policies name. Not in the tunnels themselves: they are all over the
// memory, and to touch 10,000 of them takes a third of a millisecond.
static void mark_tunnels(struct tunnels *t, const struct dp_policy *policy, size_t n)
{
	t->policies_set++;
	for (size_t i = 0; i < n; i++)
		if (policy[i].action == DP_PROTECT)
			t->named[policy[i].tunnel] = t->policies_set;
}

// Sets where the entries of IPv4 of each list begin, and *at to where the next of each list goes:
// [0] is that of the ports, [k + 1] that of interface k. False when an interface's number is none.
static bool lay_out(struct policies *p, const struct dp_policy *policy, size_t n, uint32_t *at)
{
	uint32_t next = 0;

	for (size_t i = 0; i < n; i++) {
		const unsigned iface = policy[i].iface;

		if (iface != DP_IFACE_NONE &&
		    (iface < DP_IFACE_FIRST || iface >= DP_IFACE_FIRST + DP_IFACES_MAX))
			return false;
		if (policy[i].local.family != IP_V6)
			at[iface == DP_IFACE_NONE ? 0 : iface - DP_IFACE_FIRST + 1]++;
	}
	p->n = at[0];
	for (size_t k = 0; k <= DP_IFACES_MAX; k++) {
		const uint32_t count = at[k];

		at[k] = next;
		next += count;
		p->iface_first[k] = next;
	}
	return true;
}

static bool by_address(const struct policies *p)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct ts4 *l = &p->entry[i].local, *r = &p->entry[i].remote;

		if (!l->any_port || !r->any_port || l->proto != 0 || r->proto != 0)
			return false;
	}
	return true;
}

int dp_policies_set(struct dp *dp, const struct dp_policy *policy, size_t n)
{
	static uint32_t at[DP_IFACES_MAX + 1]; // control only
	struct policies *p, *old;
	size_t n4 = 0;
	int err = 0;

	for (size_t i = 0; i < n; i++)
		n4 += policy[i].local.family != IP_V6;
	p = snapshot_alloc(n4);
	if (p == NULL)
		return -ENOMEM;
	memset(at, 0, sizeof(at));
	if (!lay_out(p, policy, n, at))
		err = -EINVAL;
	for (size_t i = 0; i < n && err == 0; i++) {
		const unsigned iface = policy[i].iface;
		uint32_t *next = &at[iface == DP_IFACE_NONE ? 0 : iface - DP_IFACE_FIRST + 1];

		if (policy[i].local.family != IP_V6)
			err = entry_init(dp, &p->entry[(*next)++], &policy[i]);
		p->by_port = p->by_port || policy[i].ports != 0;
	}
	if (err == 0)
		err = policy_index_create(p->entry, p->n, &p->index);
	if (err == 0)
		err = policies6_create(dp, policy, n, &p->by_port, &p->v6);
	if (err != 0) {
		snapshot_free(p);
		return err;
	}
	p->by_address = by_address(p);
	mark_tunnels(dp->tunnels, policy, n);
	old = atomic_exchange_explicit(&dp->policies, p, memory_order_acq_rel);
	dp_changed(dp);
	dp_defer_free(dp, snapshot_free, old);
	return 0;
}

// Seen from the local and the remote end, whichever way the packet goes; `port` is that by which it
// does.
struct ends {
	uint32_t local, remote, port;
	uint16_t local_port, remote_port;
};

static inline bool entry_match(const struct policy_entry *e, const struct flow *f,
			       const struct ends *s)
{
	if ((e->ports & s->port) == 0)
		return false;
	if (!ts4_match_host(&e->local, s->local, f->proto) ||
	    !ts4_match_host(&e->remote, s->remote, f->proto))
		return false;
	if (f->ports == FLOW_PORTS_UNKNOWN && e->action != DP_BYPASS)
		return true;
	return ts4_match_port(&e->local, f->ports, s->local_port) &&
	       ts4_match_port(&e->remote, f->ports, s->remote_port);
}

static inline const struct policy_entry *find(const struct policies *p, const struct flow *f,
					      const struct ends *s)
{
	const uint32_t *candidate;
	uint32_t n;

	if (p->index == NULL) {
		for (size_t i = 0; i < p->n; i++)
			if (entry_match(&p->entry[i], f, s))
				return &p->entry[i];
		return NULL;
	}
	candidate = policy_index_find(p->index, s->local, s->remote, &n);
	for (uint32_t i = 0; i < n; i++) {
		const struct policy_entry *e = &p->entry[candidate[i]];

		if (entry_match(e, f, s))
			return e;
	}
	return NULL;
}

static inline struct ends ends_out(const struct flow *f, uint32_t port)
{
	return (struct ends){f->src, f->dst, port, f->src_port, f->dst_port};
}

const struct policy_entry *policy_find_out(const struct policies *p, const struct flow *f,
					   uint32_t port)
{
	const struct ends s = ends_out(f, port);

	return find(p, f, &s);
}

const struct policy_entry *policy_find_iface(const struct policies *p, unsigned iface,
					     const struct flow *f)
{
	const size_t end = p->iface_first[iface - DP_IFACE_FIRST + 1];
	const struct ends s = ends_out(f, POLICY_ALL_PORTS);

	for (size_t i = p->iface_first[iface - DP_IFACE_FIRST]; i < end; i++)
		if (entry_match(&p->entry[i], f, &s))
			return &p->entry[i];
	return NULL;
}

const struct policy_entry *policy_find_in(const struct policies *p, const struct flow *f,
					  uint32_t port)
{
	const struct ends s = {f->dst, f->src, port, f->dst_port, f->src_port};

	return find(p, f, &s);
}

static bool is_ike(const struct fib *fib, const struct flow *f, uint32_t own_addr,
		   uint16_t own_port)
{
	return f->proto == IPPROTO_UDP && f->ports == FLOW_PORTS_KNOWN &&
	       policy_is_ike_port(own_port) && fib_is_local(fib, rte_cpu_to_be_32(own_addr));
}

static struct flow flow_of_mbuf(const struct rte_mbuf *m)
{
	return flow_of(rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *), m->data_len);
}

static inline struct policy_verdict verdict_of(const struct policy_entry *e)
{
	if (e == NULL)
		return (struct policy_verdict){.found = false};
	return (struct policy_verdict){.found = true, .action = e->action, .tunnel = e->tunnel};
}

// Where a packet leaves: by the tunnel interface that is returned, or (DP_IFACE_NONE) by *port, as
// of policy_port(). `ask`: it matters. Linux has routed what it sends itself.
static unsigned way_out(const struct worker *w, const struct batch *in, uint16_t i, bool ask,
			const struct flow *f, uint32_t *port)
{
	struct fib_hop hop = {.port = UINT16_MAX};
	enum fib_result r;

	*port = policy_port(UINT16_MAX);
	if (in->origin[i] == FROM_TAP) {
		*port = policy_port(in->port[i]);
		return in->port[i] >= DP_IFACE_FIRST ? in->port[i] : DP_IFACE_NONE;
	}
	if (!ask)
		return DP_IFACE_NONE;
	r = fib_lookup(w->dp->fib, rte_cpu_to_be_32(f->dst), &hop);
	if (r == FIB_IFACE)
		return hop.port;
	if (r != FIB_NO_ROUTE)
		*port = policy_port(hop.port);
	return DP_IFACE_NONE;
}

void policy_decide_iface(struct worker *w, struct batch *in, uint16_t i, unsigned iface,
			 struct tunnel *tunnel, struct batch *protect)
{
	const struct sa_in *sa = in->sa[i];

	if (tunnel == NULL) {
		drop(w, in->pkt[i], DROP_NO_POLICY);
		return;
	}
	// Both ends route it to the other: it would go to and fro until its TTL ends.
	if (in->origin[i] == FROM_TUNNEL && sa != NULL && sa->tunnel == tunnel->id) {
		drop(w, in->pkt[i], DROP_TUNNEL_LOOP);
		return;
	}
	iface_count_out(w, iface, in->pkt[i]->pkt_len);
	in->tunnel[i] = tunnel;
	batch_append(protect, in, i);
}

// Does packet i go the same way as the one before it? Packets of one flow come in rows.
static bool same_way(const struct batch *in, uint16_t i, const struct flow *f,
		     const struct flow *last)
{
	return in->port[i] == in->port[i - 1] && in->origin[i] == in->origin[i - 1] &&
	       flow_equal(f, last);
}

void policy_out(struct worker *w, struct batch *in, struct batch *protect, struct batch *pass)
{
	const struct policies *p = atomic_load_explicit(&w->dp->policies, memory_order_acquire);
	const bool ask = p->by_port || iface_any(w->dp);
	const struct policy_entry *e = NULL;
	unsigned iface = DP_IFACE_NONE;
	uint32_t port = 0;
	struct policy6_last last6;
	struct flow last = {0};
	bool known = false; // `last` is that of the packet before

	last6.valid = false;
	for (uint16_t i = 0; i < in->n; i++) {
		if (ip_is_v6(rte_pktmbuf_mtod(in->pkt[i], const void *))) {
			policy6_out(w, p, &last6, in, i, protect, pass);
			known = false;
			continue;
		}
		const struct flow f = flow_of_mbuf(in->pkt[i]);

		last6.valid = false;
		if (!known || !same_way(in, i, &f, &last)) {
			iface = way_out(w, in, i, ask, &f, &port);
			e = iface == DP_IFACE_NONE ? policy_find_out(p, &f, port)
						   : policy_find_iface(p, iface, &f);
		}
		known = true;
		last = f;
		if (iface == DP_IFACE_NONE)
			policy_decide_out(w, in, i,
					  in->origin[i] == FROM_TAP &&
						  is_ike(w->dp->fib, &f, f.src, f.src_port),
					  verdict_of(e), protect, pass);
		else
			policy_decide_iface(w, in, i, iface, e ? e->tunnel : NULL, protect);
	}
	in->n = 0;
}

// Would the answer to a packet that came in clear go into a tunnel interface? Then it is due in
// ESP, as with a policy, and its source is made up. 0.0.0.0 is who has no address yet (DHCP).
static bool source_is_behind_iface(const struct worker *w, const struct flow *f)
{
	struct fib_hop hop;

	return f->src >> 24 != 0 &&
	       fib_lookup(w->dp->fib, rte_cpu_to_be_32(f->src), &hop) == FIB_IFACE;
}

void policy_in_clear(struct worker *w, struct batch *b)
{
	const struct policies *p = atomic_load_explicit(&w->dp->policies, memory_order_acquire);
	const bool any = iface_any(w->dp);
	const struct policy_entry *e = NULL;
	struct policy6_last last6;
	struct flow last = {0};
	bool behind = false;
	uint16_t kept = 0, port = 0;
	bool known = false; // `last` is that of the packet before

	last6.valid = false;
	for (uint16_t i = 0; i < b->n; i++) {
		if (ip_is_v6(rte_pktmbuf_mtod(b->pkt[i], const void *))) {
			if (policy6_in_clear(w, p, &last6, b, i))
				batch_keep(b, kept++, i);
			continue;
		}
		const struct flow f = flow_of_mbuf(b->pkt[i]);

		if (!known || b->port[i] != port || !flow_equal(&f, &last)) {
			e = policy_find_in(p, &f, policy_port(b->port[i]));
			behind = e == NULL && any && source_is_behind_iface(w, &f);
		}
		known = true;
		last = f;
		port = b->port[i];
		if (policy_decide_in_clear(w, b, i, is_ike(w->dp->fib, &f, f.dst, f.dst_port),
					   verdict_of(e), behind))
			batch_keep(b, kept++, i);
	}
	b->n = kept;
}
