#define ALLOW_EXPERIMENTAL_API // rte_lpm_rcu_qsbr_add, rte_hash_rcu_qsbr_add in DPDK 22.11
#include "dataplane/fib.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_lpm.h>

#include "dataplane/fib6.h"
#include "dataplane/iface.h"
#include "dataplane/port.h"

enum {
	FIB_ROUTES_MAX = 65536,
	FIB_TBL8 = 1024, // /24s with longer prefixes inside
	FIB_HOPS_MAX = 4096,
	FIB_NEIGH_MAX = 8192,
	FIB_LOCALS_MAX = 2048, // of each family
	LOCALS_SLOT_BITS = 12, // at most half of the slots are taken
};

#define HOP_NONE UINT32_MAX

// The part of a next hop that workers read, in one word: MAC address, port, flags.
#define HOP_MAC_MASK   0xffffffffffffull
#define HOP_PORT_SHIFT 48
#define HOP_PORT_MASK  0x1fffull
#define HOP_IFACE      (1ull << 61) // port is a tunnel interface: no MAC address is needed
#define HOP_ON_LINK    (1ull << 62)
#define HOP_RESOLVED   (1ull << 63)

_Static_assert(DP_IFACE_FIRST + DP_IFACES_MAX <= HOP_PORT_MASK + 1, "numbers fit the word");

struct hop {
	_Atomic uint64_t word; // control: rw, workers: ro
	uint32_t gateway_be;   // 0: on the link. Read only while the hop is in use
	uint32_t refs;	       // control: routes
	uint64_t free_token;   // control: may be used again after this grace period
	bool freed;	       // control: free_token is valid
};

struct route {	      // control only
	uint32_t dst; // host order
	uint8_t len;
	uint32_t hop;
};

struct locals { // immutable
	unsigned n4, n6;
	uint32_t v4_be[FIB_LOCALS_MAX];
	// The same for look-ups: from the hash of an address on, up to a slot with 0.
	uint32_t v4_slot_be[1 << LOCALS_SLOT_BITS];
	uint8_t v6[FIB_LOCALS_MAX][16];
};

struct neigh_key {
	uint32_t addr_be;
	uint32_t port;
};

struct fib {
	struct rte_lpm *lpm;	      // control: rw, workers: ro
	_Atomic uint32_t default_hop; // rte_lpm has no /0
	struct hop hop[FIB_HOPS_MAX];
	struct rte_hash *neigh; // data: MAC address with HOP_RESOLVED
	struct locals *_Atomic locals;
	_Atomic uint32_t port_addr_be[DP_IFACE_FIRST + DP_IFACES_MAX];
	_Atomic uint32_t generation;
	struct rte_rcu_qsbr *qsbr;
	struct route *route; // control: sorted by dst, len
	size_t n_routes;
};

// ---- workers ----

static inline uint16_t word_port(uint64_t word)
{
	return (uint16_t)(word >> HOP_PORT_SHIFT & HOP_PORT_MASK);
}

enum fib_result fib_lookup(const struct fib *fib, uint32_t dst_be, struct fib_hop *out)
{
	uint32_t id;
	uint64_t word;

	if (rte_lpm_lookup(fib->lpm, rte_be_to_cpu_32(dst_be), &id) != 0) {
		id = atomic_load_explicit(&fib->default_hop, memory_order_acquire);
		if (id == HOP_NONE)
			return FIB_NO_ROUTE;
	}
	word = atomic_load_explicit(&fib->hop[id].word, memory_order_acquire);
	out->port = word_port(word);
	out->addr_be = fib->hop[id].gateway_be;
	if (word & HOP_ON_LINK) {
		const struct neigh_key key = {.addr_be = dst_be, .port = out->port};
		void *data;

		out->addr_be = dst_be;
		if (rte_hash_lookup_data(fib->neigh, &key, &data) < 0)
			return FIB_NO_NEIGHBOUR;
		word = (uint64_t)(uintptr_t)data;
	}
	if (!(word & HOP_RESOLVED))
		return word & HOP_IFACE ? FIB_IFACE : FIB_NO_NEIGHBOUR;
	word &= HOP_MAC_MASK;
	memcpy(out->mac.addr_bytes, &word, sizeof(out->mac.addr_bytes));
	return FIB_OK;
}

uint32_t fib_generation(const struct fib *fib)
{
	return atomic_load_explicit(&fib->generation, memory_order_acquire);
}

// The sum of two counters that only go up never comes again. From 1 on: an entry of zeros is old.
uint32_t dp_epoch(const struct dp *dp)
{
	return 1 + fib_generation(dp->fib) +
	       atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)&dp->changes,
				    memory_order_acquire);
}

// The slot where an address stands, or would stand.
static inline unsigned local_slot(const struct locals *l, uint32_t addr_be)
{
	unsigned i = (addr_be * 2654435761u) >> (32 - LOCALS_SLOT_BITS);

	while (l->v4_slot_be[i] != 0 && l->v4_slot_be[i] != addr_be)
		i = (i + 1) % (1 << LOCALS_SLOT_BITS);
	return i;
}

bool fib_is_local(const struct fib *fib, uint32_t addr_be)
{
	const struct locals *l = atomic_load_explicit(&fib->locals, memory_order_acquire);

	return addr_be != 0 && l->v4_slot_be[local_slot(l, addr_be)] == addr_be;
}

bool fib_is_local6(const struct fib *fib, const uint8_t addr[16])
{
	const struct locals *l = atomic_load_explicit(&fib->locals, memory_order_acquire);

	for (unsigned i = 0; i < l->n6; i++)
		if (memcmp(l->v6[i], addr, 16) == 0)
			return true;
	return false;
}

bool fib_local6(const struct fib *fib, unsigned i, uint8_t out[16])
{
	const struct locals *l = atomic_load_explicit(&fib->locals, memory_order_acquire);

	if (i >= l->n6)
		return false;
	memcpy(out, l->v6[i], 16);
	return true;
}

uint32_t fib_port_addr(const struct fib *fib, unsigned port)
{
	return atomic_load_explicit(&fib->port_addr_be[port], memory_order_relaxed);
}

uint16_t fib_route_mtu(const struct dp *dp, uint32_t addr_be)
{
	struct fib_hop hop;

	const enum fib_result result = fib_lookup(dp->fib, addr_be, &hop);

	return result == FIB_NO_ROUTE || result == FIB_IFACE ? 0 : dp->ports[hop.port].mtu;
}

// ---- control: own addresses ----

static void bump(struct fib *fib)
{
	atomic_fetch_add_explicit(&fib->generation, 1, memory_order_release);
}

static uint32_t prefix_mask(uint8_t len)
{
	return len == 0 ? 0 : UINT32_MAX << (32 - len);
}

// An own address inside an on-link route of a port or tunnel interface is its address.
static void choose_port_addrs(struct fib *fib)
{
	const struct locals *l = atomic_load_explicit(&fib->locals, memory_order_relaxed);
	static uint32_t addr_be[DP_IFACE_FIRST + DP_IFACES_MAX]; // control only

	for (unsigned p = 0; p < DP_IFACE_FIRST + DP_IFACES_MAX; p++)
		addr_be[p] = l->n4 ? l->v4_be[0] : 0;
	for (size_t r = 0; r < fib->n_routes; r++) {
		const struct route *route = &fib->route[r];
		const uint64_t word = atomic_load(&fib->hop[route->hop].word);

		if (fib->hop[route->hop].gateway_be != 0)
			continue;
		for (unsigned i = 0; i < l->n4; i++)
			if ((rte_be_to_cpu_32(l->v4_be[i]) & prefix_mask(route->len)) == route->dst)
				addr_be[word_port(word)] = l->v4_be[i];
	}
	for (unsigned p = 0; p < DP_IFACE_FIRST + DP_IFACES_MAX; p++)
		atomic_store_explicit(&fib->port_addr_be[p], addr_be[p], memory_order_relaxed);
}

static int find_local(const struct locals *l, const struct ip_addr *a)
{
	if (a->family == IP_V4) {
		for (unsigned i = 0; i < l->n4; i++)
			if (memcmp(&l->v4_be[i], a->bytes, 4) == 0)
				return (int)i;
	} else {
		for (unsigned i = 0; i < l->n6; i++)
			if (memcmp(l->v6[i], a->bytes, 16) == 0)
				return (int)i;
	}
	return -1;
}

static void publish_locals(struct dp *dp, struct locals *l)
{
	struct locals *old;

	memset(l->v4_slot_be, 0, sizeof(l->v4_slot_be));
	for (unsigned i = 0; i < l->n4; i++)
		l->v4_slot_be[local_slot(l, l->v4_be[i])] = l->v4_be[i];
	old = atomic_exchange(&dp->fib->locals, l);
	choose_port_addrs(dp->fib);
	bump(dp->fib);
	dp_defer_free(dp, free, old);
}

int dp_local_addr_add(struct dp *dp, const struct ip_addr *a)
{
	const struct locals *old = atomic_load(&dp->fib->locals);
	struct locals *l;

	if (a->family != IP_V4 && a->family != IP_V6)
		return -EINVAL;
	if (find_local(old, a) >= 0)
		return 0;
	if ((a->family == IP_V4 ? old->n4 : old->n6) == FIB_LOCALS_MAX)
		return -ENOSPC;
	l = malloc(sizeof(*l));
	if (!l)
		return -ENOMEM;
	*l = *old;
	if (a->family == IP_V4)
		memcpy(&l->v4_be[l->n4++], a->bytes, 4);
	else
		memcpy(l->v6[l->n6++], a->bytes, 16);
	publish_locals(dp, l);
	return 0;
}

int dp_local_addr_del(struct dp *dp, const struct ip_addr *a)
{
	const struct locals *old = atomic_load(&dp->fib->locals);
	int i = find_local(old, a);
	struct locals *l;

	if (i < 0)
		return 0;
	l = malloc(sizeof(*l));
	if (!l)
		return -ENOMEM;
	*l = *old;
	if (a->family == IP_V4)
		l->v4_be[i] = l->v4_be[--l->n4];
	else
		memcpy(l->v6[i], l->v6[--l->n6], 16);
	publish_locals(dp, l);
	return 0;
}

// ---- control: next hops ----

static uint64_t neigh_word(const struct fib *fib, unsigned port, uint32_t addr_be)
{
	const struct neigh_key key = {.addr_be = addr_be, .port = port};
	void *data;

	return rte_hash_lookup_data(fib->neigh, &key, &data) < 0 ? 0 : (uint64_t)(uintptr_t)data;
}

static uint64_t hop_word(const struct fib *fib, unsigned port, uint32_t gateway_be)
{
	// Point to point: whoever the gateway is, there is one other end.
	if (port >= DP_IFACE_FIRST)
		return (uint64_t)port << HOP_PORT_SHIFT | HOP_IFACE;
	return (uint64_t)port << HOP_PORT_SHIFT |
	       (gateway_be ? neigh_word(fib, port, gateway_be) : HOP_ON_LINK);
}

static unsigned hop_port(const struct hop *hop)
{
	return word_port(atomic_load_explicit(&hop->word, memory_order_relaxed));
}

// The next hop with one more reference. -ENOSPC when none is free.
static int hop_get(struct fib *fib, unsigned port, uint32_t gateway_be, uint32_t *id)
{
	struct hop *unused = NULL;

	for (uint32_t i = 0; i < FIB_HOPS_MAX; i++) {
		struct hop *hop = &fib->hop[i];

		if (hop->refs == 0) {
			if (!unused &&
			    (!hop->freed || rte_rcu_qsbr_check(fib->qsbr, hop->free_token, false)))
				unused = hop;
		} else if (hop->gateway_be == gateway_be && hop_port(hop) == port) {
			hop->refs++;
			*id = i;
			return 0;
		}
	}
	if (!unused)
		return -ENOSPC;
	unused->refs = 1;
	unused->freed = false;
	unused->gateway_be = gateway_be;
	atomic_store_explicit(&unused->word, hop_word(fib, port, gateway_be), memory_order_release);
	*id = (uint32_t)(unused - fib->hop);
	return 0;
}

static void hop_put(struct fib *fib, uint32_t id)
{
	struct hop *hop = &fib->hop[id];

	if (--hop->refs > 0)
		return;
	// A worker may still hold its number.
	hop->freed = true;
	hop->free_token = rte_rcu_qsbr_start(fib->qsbr);
}

// ---- control: routes ----

// Index of the route, or of the first one behind it.
static bool find_route(const struct fib *fib, uint32_t dst, uint8_t len, size_t *index)
{
	size_t lo = 0, hi = fib->n_routes;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct route *r = &fib->route[mid];

		if (r->dst < dst || (r->dst == dst && r->len < len))
			lo = mid + 1;
		else
			hi = mid;
	}
	*index = lo;
	return lo < fib->n_routes && fib->route[lo].dst == dst && fib->route[lo].len == len;
}

static int install(struct fib *fib, uint32_t dst, uint8_t len, uint32_t hop)
{
	if (len > 0)
		return rte_lpm_add(fib->lpm, dst, len, hop);
	atomic_store_explicit(&fib->default_hop, hop, memory_order_release);
	return 0;
}

int dp_route_set(struct dp *dp, const struct dp_route *r)
{
	struct fib *fib = dp->fib;
	uint32_t dst, hop, gateway_be = 0;
	size_t i;
	bool known, was_on_link = false;
	int err;

	if (r->dst.addr.family == IP_V6) {
		err = fib6_route_set(dp, r);
		bump(fib);
		return err;
	}
	if (r->dst.addr.family != IP_V4 || r->gateway.family == IP_V6)
		return -EAFNOSUPPORT;
	if ((r->port >= dp->n_ports && !iface_exists(dp, r->port)) || r->dst.len > 32)
		return -EINVAL;
	dst = ip_addr_to_v4(&r->dst.addr) & prefix_mask(r->dst.len);
	if (r->gateway.family == IP_V4)
		memcpy(&gateway_be, r->gateway.bytes, 4);
	known = find_route(fib, dst, r->dst.len, &i);
	if (!known && fib->n_routes == FIB_ROUTES_MAX)
		return -ENOSPC;
	err = hop_get(fib, r->port, gateway_be, &hop);
	if (err)
		return err;
	err = install(fib, dst, r->dst.len, hop);
	if (err) {
		hop_put(fib, hop);
		return err;
	}
	if (known) {
		was_on_link = fib->hop[fib->route[i].hop].gateway_be == 0;
		hop_put(fib, fib->route[i].hop);
	} else {
		memmove(&fib->route[i + 1], &fib->route[i],
			(fib->n_routes - i) * sizeof(fib->route[0]));
		fib->n_routes++;
	}
	fib->route[i] = (struct route){.dst = dst, .len = r->dst.len, .hop = hop};
	if (gateway_be == 0 || was_on_link)
		choose_port_addrs(fib);
	bump(fib);
	return 0;
}

int dp_route_del(struct dp *dp, const struct ip_prefix *p)
{
	struct fib *fib = dp->fib;
	uint32_t dst;
	size_t i;
	int err;

	if (p->addr.family == IP_V6) {
		err = fib6_route_del(dp, p);
		bump(fib);
		return err;
	}
	if (p->addr.family != IP_V4)
		return -EAFNOSUPPORT;
	if (p->len > 32)
		return -EINVAL;
	dst = ip_addr_to_v4(&p->addr) & prefix_mask(p->len);
	if (!find_route(fib, dst, p->len, &i))
		return 0;
	if (p->len > 0)
		rte_lpm_delete(fib->lpm, dst, p->len); // falls back to the next shorter prefix
	else
		atomic_store_explicit(&fib->default_hop, HOP_NONE, memory_order_release);
	hop_put(fib, fib->route[i].hop);
	fib->n_routes--;
	memmove(&fib->route[i], &fib->route[i + 1], (fib->n_routes - i) * sizeof(fib->route[0]));
	choose_port_addrs(fib);
	bump(fib);
	return 0;
}

void fib_forget_iface(struct dp *dp, unsigned iface)
{
	struct fib *fib = dp->fib;

	fib6_forget_iface(dp, iface);
	bump(fib);
	for (size_t i = fib->n_routes; i-- > 0;) {
		const struct route *r = &fib->route[i];
		const struct ip_prefix dst = {.addr = ip_addr_v4(r->dst), .len = r->len};

		if (hop_port(&fib->hop[r->hop]) == iface)
			dp_route_del(dp, &dst);
	}
}

size_t dp_routes(const struct dp *dp, struct dp_route_info *out, size_t max)
{
	const struct fib *fib = dp->fib;

	for (size_t i = 0; i < fib->n_routes && i < max; i++) {
		const struct route *r = &fib->route[i];
		const struct hop *hop = &fib->hop[r->hop];
		const uint64_t word = atomic_load_explicit(&hop->word, memory_order_relaxed);

		out[i] = (struct dp_route_info){
			.route = {.dst = {.addr = ip_addr_v4(r->dst), .len = r->len},
				  .port = hop_port(hop)},
			.resolved = (word & HOP_RESOLVED) != 0,
		};
		if (hop->gateway_be)
			out[i].route.gateway = ip_addr_v4(rte_be_to_cpu_32(hop->gateway_be));
		if (out[i].resolved)
			memcpy(out[i].mac.bytes, &word, sizeof(out[i].mac.bytes));
	}
	if (max <= fib->n_routes)
		return fib->n_routes + fib6_routes(dp, NULL, 0);
	return fib->n_routes + fib6_routes(dp, out + fib->n_routes, max - fib->n_routes);
}

// ---- control: neighbours ----

// Puts a neighbour's new word into the next hops whose gateway it is.
static void update_hops(struct fib *fib, unsigned port, uint32_t addr_be)
{
	for (uint32_t i = 0; i < FIB_HOPS_MAX; i++) {
		struct hop *hop = &fib->hop[i];

		if (hop->refs > 0 && hop->gateway_be == addr_be && hop_port(hop) == port)
			atomic_store_explicit(&hop->word, hop_word(fib, port, addr_be),
					      memory_order_release);
	}
	bump(fib);
}

int dp_neigh_set(struct dp *dp, unsigned port, const struct ip_addr *a, const struct mac_addr *m)
{
	struct neigh_key key = {.port = port};
	uint64_t word = 0;
	int err;

	if (a->family == IP_V6) {
		err = fib6_neigh_set(dp, port, a, m);
		bump(dp->fib);
		return err;
	}
	if (a->family != IP_V4)
		return -EAFNOSUPPORT;
	if (port >= dp->n_ports || ip_addr_is_any(a))
		return -EINVAL;
	memcpy(&key.addr_be, a->bytes, 4);
	memcpy(&word, m->bytes, sizeof(m->bytes));
	word |= HOP_RESOLVED;
	if (neigh_word(dp->fib, port, key.addr_be) == word)
		return 0;
	err = rte_hash_add_key_data(dp->fib->neigh, &key, (void *)(uintptr_t)word);
	if (err)
		return err;
	update_hops(dp->fib, port, key.addr_be);
	return 0;
}

int dp_neigh_del(struct dp *dp, unsigned port, const struct ip_addr *a)
{
	struct neigh_key key = {.port = port};

	if (a->family == IP_V6)
		return fib6_neigh_del(dp, port, a);
	if (a->family != IP_V4)
		return -EAFNOSUPPORT;
	if (port >= dp->n_ports || ip_addr_is_any(a))
		return -EINVAL;
	memcpy(&key.addr_be, a->bytes, 4);
	if (rte_hash_del_key(dp->fib->neigh, &key) >= 0)
		update_hops(dp->fib, port, key.addr_be);
	return 0;
}

// ---- control: create and destroy ----

static int create_tables(struct fib *fib, int node)
{
	const struct rte_lpm_config lpm = {.max_rules = FIB_ROUTES_MAX, .number_tbl8s = FIB_TBL8};
	struct rte_lpm_rcu_config lpm_rcu = {.v = fib->qsbr, .mode = RTE_LPM_QSBR_MODE_DQ};
	const struct rte_hash_parameters neigh = {
		.name = "neighbours",
		.entries = FIB_NEIGH_MAX,
		.key_len = sizeof(struct neigh_key),
		.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF,
	};
	struct rte_hash_rcu_config neigh_rcu = {.v = fib->qsbr, .mode = RTE_HASH_QSBR_MODE_DQ};

	fib->lpm = rte_lpm_create("routes", node, &lpm);
	if (!fib->lpm && node != SOCKET_ID_ANY)
		fib->lpm = rte_lpm_create("routes", SOCKET_ID_ANY, &lpm);
	if (!fib->lpm || rte_lpm_rcu_qsbr_add(fib->lpm, &lpm_rcu) != 0)
		return -rte_errno;
	fib->neigh = rte_hash_create(&neigh);
	if (!fib->neigh || rte_hash_rcu_qsbr_add(fib->neigh, &neigh_rcu) != 0)
		return -rte_errno;
	return 0;
}

int fib_create(struct dp *dp)
{
	struct fib *fib = calloc(1, sizeof(*fib));
	int err = -ENOMEM;

	if (!fib)
		return -ENOMEM;
	dp->fib = fib;
	fib->qsbr = dp->qsbr;
	atomic_init(&fib->default_hop, HOP_NONE);
	atomic_init(&fib->locals, calloc(1, sizeof(struct locals)));
	fib->route = calloc(FIB_ROUTES_MAX, sizeof(fib->route[0]));
	if (atomic_load(&fib->locals) && fib->route)
		err = create_tables(fib, dp->node);
	if (!err)
		err = fib6_create(dp);
	if (err)
		fib_destroy(dp);
	return err;
}

void fib_destroy(struct dp *dp)
{
	struct fib *fib = dp->fib;

	fib6_destroy(dp);
	if (!fib)
		return;
	rte_lpm_free(fib->lpm);
	rte_hash_free(fib->neigh);
	free(atomic_load(&fib->locals));
	free(fib->route);
	free(fib);
	dp->fib = NULL;
}
