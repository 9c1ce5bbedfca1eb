#include "dataplane/policy.h"

#include <errno.h>

#include <rte_malloc.h>

#include "dataplane/dp_internal.h"
#include "dataplane/policy_index.h"
#include "dataplane/stages.h"
#include "dataplane/tunnel.h"

#define IKE_PORT      500  // RFC 7296 2
#define IKE_NATT_PORT 4500 // RFC 7296 2.23

static struct policies *snapshot_alloc(size_t n, size_t n6)
{
	struct policies *p =
		rte_zmalloc("policies", sizeof(*p) + n * sizeof(p->entry[0]), RTE_CACHE_LINE_SIZE);

	if (p == NULL)
		return NULL;
	p->n = n;
	p->n6 = n6;
	if (n6 == 0)
		return p;
	p->entry6 = rte_zmalloc("policies", n6 * sizeof(p->entry6[0]), RTE_CACHE_LINE_SIZE);
	if (p->entry6 != NULL)
		return p;
	rte_free(p);
	return NULL;
}

int policies_create(struct dp *dp)
{
	struct policies *p = snapshot_alloc(0, 0);

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
	policy_index_destroy(p->index6);
	rte_free(p->entry6);
	rte_free(p);
}

void policies_destroy(struct dp *dp)
{
	snapshot_free(atomic_exchange_explicit(&dp->policies, NULL, memory_order_relaxed));
}

static int find_tunnel(struct dp *dp, const struct dp_policy *p, struct tunnel **out)
{
	if (p->action != DP_PROTECT)
		return 0;
	*out = tunnel_get(dp, p->tunnel);
	return *out != NULL ? 0 : -ENOENT;
}

static int entry_init(struct dp *dp, struct policy_entry *e, const struct dp_policy *p)
{
	if (!ts4_from_selector(&p->local, &e->local) || !ts4_from_selector(&p->remote, &e->remote))
		return -EAFNOSUPPORT;
	e->action = (uint8_t)p->action;
	return find_tunnel(dp, p, &e->tunnel);
}

static int entry6_init(struct dp *dp, struct policy_entry6 *e, const struct dp_policy *p)
{
	if (!ts6_from_selector(&p->local, &e->local) || !ts6_from_selector(&p->remote, &e->remote))
		return -EAFNOSUPPORT;
	e->action = (uint8_t)p->action;
	return find_tunnel(dp, p, &e->tunnel);
}

static void count_policy(struct tunnel *t, bool add)
{
	if (t == NULL)
		return;
	if (add)
		t->n_policies++;
	else
		t->n_policies--;
}

static void count_policies(const struct policies *p, bool add)
{
	for (size_t i = 0; i < p->n; i++)
		count_policy(p->entry[i].tunnel, add);
	for (size_t i = 0; i < p->n6; i++)
		count_policy(p->entry6[i].tunnel, add);
}

static int fill(struct dp *dp, struct policies *p, const struct dp_policy *policy, size_t n)
{
	size_t n4 = 0, n6 = 0;
	int err = 0;

	for (size_t i = 0; i < n && err == 0; i++) {
		if (policy[i].local.family == IP_V6)
			err = entry6_init(dp, &p->entry6[n6++], &policy[i]);
		else
			err = entry_init(dp, &p->entry[n4++], &policy[i]);
	}
	if (err == 0)
		err = policy_index_create(p->entry, p->n, &p->index);
	return err;
}

int dp_policies_set(struct dp *dp, const struct dp_policy *policy, size_t n)
{
	struct policies *p, *old;
	size_t n6 = 0;
	int err;

	for (size_t i = 0; i < n; i++)
		n6 += policy[i].local.family == IP_V6;
	p = snapshot_alloc(n - n6, n6);
	if (p == NULL)
		return -ENOMEM;
	err = fill(dp, p, policy, n);
	if (err != 0) {
		snapshot_free(p);
		return err;
	}
	count_policies(p, true);
	old = atomic_exchange_explicit(&dp->policies, p, memory_order_acq_rel);
	count_policies(old, false);
	dp_defer_free(dp, snapshot_free, old);
	return 0;
}

static inline bool entry_match(const struct policy_entry *e, const struct flow *f, uint32_t local,
			       uint16_t local_port, uint32_t remote, uint16_t remote_port)
{
	if (!ts4_match_host(&e->local, local, f->proto) ||
	    !ts4_match_host(&e->remote, remote, f->proto))
		return false;
	if (f->ports == FLOW_PORTS_UNKNOWN && e->action != DP_BYPASS)
		return true;
	return ts4_match_port(&e->local, f->ports, local_port) &&
	       ts4_match_port(&e->remote, f->ports, remote_port);
}

// Seen from the local and the remote end, whichever way the packet goes.
static inline const struct policy_entry *find(const struct policies *p, const struct flow *f,
					      uint32_t local, uint16_t local_port, uint32_t remote,
					      uint16_t remote_port)
{
	const uint32_t *candidate;
	uint32_t n;

	if (p->index == NULL) {
		for (size_t i = 0; i < p->n; i++)
			if (entry_match(&p->entry[i], f, local, local_port, remote, remote_port))
				return &p->entry[i];
		return NULL;
	}
	candidate = policy_index_find(p->index, local, remote, &n);
	for (uint32_t i = 0; i < n; i++) {
		const struct policy_entry *e = &p->entry[candidate[i]];

		if (entry_match(e, f, local, local_port, remote, remote_port))
			return e;
	}
	return NULL;
}

const struct policy_entry *policy_find_out(const struct policies *p, const struct flow *f)
{
	return find(p, f, f->src, f->src_port, f->dst, f->dst_port);
}

const struct policy_entry *policy_find_in(const struct policies *p, const struct flow *f)
{
	return find(p, f, f->dst, f->dst_port, f->src, f->src_port);
}

static inline bool entry6_match(const struct policy_entry6 *e, const struct flow6 *f, addr6 local,
				uint16_t local_port, addr6 remote, uint16_t remote_port)
{
	const bool fails_closed = e->action != DP_BYPASS;

	if (f->proto == IPV6_PROTO_UNKNOWN && fails_closed)
		return ts6_match_host(&e->local, local, e->local.proto) &&
		       ts6_match_host(&e->remote, remote, e->remote.proto);
	if (!ts6_match_host(&e->local, local, f->proto) ||
	    !ts6_match_host(&e->remote, remote, f->proto))
		return false;
	if (f->ports == FLOW_PORTS_UNKNOWN && fails_closed)
		return true;
	return ts6_match_port(&e->local, f->ports, local_port) &&
	       ts6_match_port(&e->remote, f->ports, remote_port);
}

static const struct policy_entry6 *find6(const struct policies *p, const struct flow6 *f,
					 addr6 local, uint16_t local_port, addr6 remote,
					 uint16_t remote_port)
{
	for (size_t i = 0; i < p->n6; i++)
		if (entry6_match(&p->entry6[i], f, local, local_port, remote, remote_port))
			return &p->entry6[i];
	return NULL;
}

const struct policy_entry6 *policy_find_out6(const struct policies *p, const struct flow6 *f)
{
	return find6(p, f, f->src, f->src_port, f->dst, f->dst_port);
}

const struct policy_entry6 *policy_find_in6(const struct policies *p, const struct flow6 *f)
{
	return find6(p, f, f->dst, f->dst_port, f->src, f->src_port);
}

static bool is_ike(const struct fib *fib, const struct flow *f, uint32_t own_addr,
		   uint16_t own_port)
{
	return f->proto == IPPROTO_UDP && f->ports == FLOW_PORTS_KNOWN &&
	       (own_port == IKE_PORT || own_port == IKE_NATT_PORT) &&
	       fib_is_local(fib, rte_cpu_to_be_32(own_addr));
}

static struct flow flow_of_mbuf(const struct rte_mbuf *m)
{
	return flow_of(rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *), m->data_len);
}

// One packet's way out; `e` is what the policies say of it.
static void decide_out(struct worker *w, struct batch *in, uint16_t i, const struct flow *f,
		       const struct policy_entry *e, struct batch *protect, struct batch *pass)
{
	// An ICMP error quotes its packet: one about a packet from a tunnel never leaves in clear.
	const bool may_be_clear = in->origin[i] != FROM_SELF_TUNNEL;

	// RFC 4301 4.4.1: traffic that keys SAs must get past them.
	if (in->origin[i] == FROM_TAP && is_ike(w->dp->fib, f, f->src, f->src_port)) {
		batch_append(pass, in, i);
	} else if (e != NULL && e->action == DP_PROTECT) {
		in->tunnel[i] = e->tunnel;
		batch_append(protect, in, i);
	} else if (e != NULL && e->action == DP_DISCARD) {
		drop(w, in->pkt[i], DROP_POLICY_DISCARD);
	} else if ((e != NULL || in->from_linux[i]) && may_be_clear) {
		batch_append(pass, in, i);
	} else {
		drop(w, in->pkt[i], DROP_NO_POLICY); // RFC 4301 4.4.1: the default
	}
}

void policy_out(struct worker *w, struct batch *in, struct batch *protect, struct batch *pass)
{
	const struct policies *p = atomic_load_explicit(&w->dp->policies, memory_order_acquire);
	const struct policy_entry *e = NULL;
	struct flow last = {0};

	for (uint16_t i = 0; i < in->n; i++) {
		const struct flow f = flow_of_mbuf(in->pkt[i]);

		// Packets of one flow come in rows.
		if (i == 0 || !flow_equal(&f, &last))
			e = policy_find_out(p, &f);
		last = f;
		decide_out(w, in, i, &f, e, protect, pass);
	}
	in->n = 0;
}

void policy_in_clear(struct worker *w, struct batch *b)
{
	const struct policies *p = atomic_load_explicit(&w->dp->policies, memory_order_acquire);
	const struct policy_entry *e = NULL;
	struct flow last = {0};
	uint16_t kept = 0;

	for (uint16_t i = 0; i < b->n; i++) {
		const struct flow f = flow_of_mbuf(b->pkt[i]);

		if (i == 0 || !flow_equal(&f, &last))
			e = policy_find_in(p, &f);
		last = f;
		const bool bypass = e != NULL && e->action == DP_BYPASS;

		if (e == NULL || bypass || is_ike(w->dp->fib, &f, f.dst, f.dst_port)) {
			// What a rule lets in on one port may leave by another, else answers to
			// what the same rule let out would end here.
			b->from_linux[i] = b->from_linux[i] || bypass;
			batch_keep(b, kept++, i);
		} else if (e->action == DP_PROTECT) {
			drop(w, b->pkt[i], DROP_CLEAR_INBOUND); // RFC 4301 5.2 step 3b
		} else {
			drop(w, b->pkt[i], DROP_POLICY_DISCARD);
		}
	}
	b->n = kept;
}
