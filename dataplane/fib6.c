#define ALLOW_EXPERIMENTAL_API // rte_hash_rcu_qsbr_add in DPDK 22.11
#include "dataplane/fib6.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_hash.h>

#include "dataplane/iface.h"
#include "dataplane/port.h"

enum {
	ROUTES_MAX = 65536,
	NEIGHS_MAX = 8192,
	LEN_MAX = 128, // bits of a prefix
	LEN_WORDS = LEN_MAX / 64 + 1,
};

struct key { // of both tables
	uint8_t addr[16];
	uint32_t n; // a prefix's length, or a neighbour's port
};

struct hop { // immutable, the value of a route
	uint16_t port;
	bool on_link;
	uint8_t gateway[16];
};

struct fib6 {
	struct rte_hash *routes;		 // data: struct hop *
	struct rte_hash *neighs;		 // data: MAC address in one word
	_Atomic uint64_t lens[LEN_WORDS];	 // control: rw, workers: ro; bit: length is in use
	uint32_t n_of_len[LEN_MAX + 1], n_total; // control: routes
};

static void mask(const uint8_t addr[16], unsigned len, uint8_t out[16])
{
	memset(out, 0, 16);
	memcpy(out, addr, len / 8);
	if (len % 8 != 0)
		out[len / 8] = (uint8_t)(addr[len / 8] & (0xff00u >> (len % 8)));
}

// ---- workers ----

static const struct hop *route_of_len(const struct fib6 *fib, const uint8_t dst[16], unsigned len)
{
	struct key key = {.n = len};
	void *data;

	mask(dst, len, key.addr);
	return rte_hash_lookup_data(fib->routes, &key, &data) < 0 ? NULL : data;
}

static const struct hop *longest_match(const struct fib6 *fib, const uint8_t dst[16])
{
	for (int w = LEN_WORDS - 1; w >= 0; w--) {
		uint64_t lens = atomic_load_explicit(&fib->lens[w], memory_order_acquire);

		while (lens != 0) {
			const unsigned bit = 63u - (unsigned)__builtin_clzll(lens);
			const struct hop *hop = route_of_len(fib, dst, (unsigned)w * 64 + bit);

			if (hop != NULL)
				return hop;
			lens &= ~(UINT64_C(1) << bit);
		}
	}
	return NULL;
}

enum fib_result fib6_lookup(const struct fib6 *fib, const uint8_t dst[16], struct fib6_hop *out)
{
	const struct hop *hop = longest_match(fib, dst);
	struct key key;
	uint64_t mac;
	void *data;

	if (hop == NULL)
		return FIB_NO_ROUTE;
	memcpy(key.addr, hop->on_link ? dst : hop->gateway, sizeof(key.addr));
	key.n = hop->port;
	out->port = hop->port;
	memcpy(out->addr, key.addr, sizeof(out->addr));
	if (hop->port >= DP_IFACE_FIRST)
		return FIB_IFACE;
	if (rte_hash_lookup_data(fib->neighs, &key, &data) < 0)
		return FIB_NO_NEIGHBOUR;
	mac = (uint64_t)(uintptr_t)data;
	memcpy(out->mac.addr_bytes, &mac, sizeof(out->mac.addr_bytes));
	return FIB_OK;
}

uint16_t fib6_route_mtu(const struct dp *dp, const uint8_t addr[16])
{
	struct fib6_hop hop;
	const enum fib_result result = fib6_lookup(dp->fib6, addr, &hop);

	return result == FIB_NO_ROUTE || result == FIB_IFACE ? 0 : dp->ports[hop.port].mtu;
}

bool fib6_port_addr(const struct dp *dp, unsigned port, uint8_t out[16])
{
	struct fib6_hop hop;
	uint8_t addr[16];
	bool found = false;

	for (unsigned i = 0; fib_local6(dp->fib, i, addr); i++) {
		if (addr[0] == 0xfe && (addr[1] & 0xc0) == 0x80)
			continue;
		if (!found)
			memcpy(out, addr, 16);
		found = true;
		if (fib6_lookup(dp->fib6, addr, &hop) != FIB_NO_ROUTE && hop.port == port &&
		    memcmp(hop.addr, addr, 16) == 0) {
			memcpy(out, addr, 16);
			return true;
		}
	}
	return found;
}

// ---- control ----

static struct hop *route_get(const struct fib6 *fib, const struct key *key)
{
	void *data;

	return rte_hash_lookup_data(fib->routes, key, &data) < 0 ? NULL : data;
}

static bool key_of(const struct ip_prefix *p, struct key *key)
{
	if (p->len > LEN_MAX)
		return false;
	key->n = p->len;
	mask(p->addr.bytes, p->len, key->addr);
	return true;
}

int fib6_route_set(struct dp *dp, const struct dp_route *r)
{
	struct fib6 *fib = dp->fib6;
	struct hop *hop, *old;
	struct key key;
	int err;

	if (r->gateway.family == IP_V4)
		return -EAFNOSUPPORT;
	if ((r->port >= dp->n_ports && !iface_exists(dp, r->port)) || !key_of(&r->dst, &key))
		return -EINVAL;
	old = route_get(fib, &key);
	if (old == NULL && fib->n_total == ROUTES_MAX)
		return -ENOSPC;
	hop = calloc(1, sizeof(*hop));
	if (hop == NULL)
		return -ENOMEM;
	hop->port = (uint16_t)r->port;
	hop->on_link = r->gateway.family == IP_NONE;
	memcpy(hop->gateway, r->gateway.bytes, sizeof(hop->gateway));
	err = rte_hash_add_key_data(fib->routes, &key, hop);
	if (err != 0) {
		free(hop);
		return err;
	}
	if (old != NULL) {
		dp_defer_free(dp, free, old);
		return 0;
	}
	fib->n_total++;
	if (fib->n_of_len[key.n]++ == 0)
		atomic_fetch_or_explicit(&fib->lens[key.n / 64], UINT64_C(1) << (key.n % 64),
					 memory_order_release);
	return 0;
}

int fib6_route_del(struct dp *dp, const struct ip_prefix *p)
{
	struct fib6 *fib = dp->fib6;
	struct hop *old;
	struct key key;

	if (!key_of(p, &key))
		return -EINVAL;
	old = route_get(fib, &key);
	if (old == NULL)
		return 0;
	if (--fib->n_of_len[key.n] == 0)
		atomic_fetch_and_explicit(&fib->lens[key.n / 64], ~(UINT64_C(1) << (key.n % 64)),
					  memory_order_release);
	fib->n_total--;
	rte_hash_del_key(fib->routes, &key);
	dp_defer_free(dp, free, old);
	return 0;
}

void fib6_forget_iface(struct dp *dp, unsigned iface)
{
	const void *key;
	uint32_t next = 0;
	void *data;

	while (rte_hash_iterate(dp->fib6->routes, &key, &data, &next) >= 0) {
		const struct key *k = key;
		const struct ip_prefix p = {ip_addr_from_bytes(k->addr, 16), (uint8_t)k->n};

		if (((const struct hop *)data)->port == iface)
			fib6_route_del(dp, &p);
	}
}

int fib6_neigh_set(struct dp *dp, unsigned port, const struct ip_addr *a, const struct mac_addr *m)
{
	struct key key = {.n = port};
	uint64_t word = 0;

	if (port >= dp->n_ports || ip_addr_is_any(a))
		return -EINVAL;
	memcpy(key.addr, a->bytes, sizeof(key.addr));
	memcpy(&word, m->bytes, sizeof(m->bytes));
	return rte_hash_add_key_data(dp->fib6->neighs, &key, (void *)(uintptr_t)word);
}

int fib6_neigh_del(struct dp *dp, unsigned port, const struct ip_addr *a)
{
	struct key key = {.n = port};

	if (port >= dp->n_ports || ip_addr_is_any(a))
		return -EINVAL;
	memcpy(key.addr, a->bytes, sizeof(key.addr));
	rte_hash_del_key(dp->fib6->neighs, &key);
	return 0;
}

size_t fib6_routes(const struct dp *dp, struct dp_route_info *out, size_t max)
{
	const void *key;
	uint32_t next = 0;
	void *data;
	size_t n = 0;

	while (n < max && rte_hash_iterate(dp->fib6->routes, &key, &data, &next) >= 0) {
		const struct key *k = key;
		const struct hop *hop = data;
		struct fib6_hop found;

		out[n] = (struct dp_route_info){
			.route = {.dst = {ip_addr_from_bytes(k->addr, 16), (uint8_t)k->n},
				  .port = hop->port},
		};
		if (!hop->on_link) {
			out[n].route.gateway = ip_addr_from_bytes(hop->gateway, 16);
			out[n].resolved = fib6_lookup(dp->fib6, k->addr, &found) == FIB_OK;
			if (out[n].resolved)
				memcpy(out[n].mac.bytes, &found.mac, sizeof(out[n].mac.bytes));
		}
		n++;
	}
	return dp->fib6->n_total;
}

static int create_table(struct dp *dp, const char *name, uint32_t entries, struct rte_hash **out)
{
	const struct rte_hash_parameters p = {
		.name = name,
		.entries = entries,
		.key_len = sizeof(struct key),
		.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF,
	};
	struct rte_hash_rcu_config rcu = {.v = dp->qsbr, .mode = RTE_HASH_QSBR_MODE_DQ};

	*out = rte_hash_create(&p);
	if (*out == NULL || rte_hash_rcu_qsbr_add(*out, &rcu) != 0)
		return -rte_errno;
	return 0;
}

int fib6_create(struct dp *dp)
{
	struct fib6 *fib = calloc(1, sizeof(*fib));
	int err;

	if (fib == NULL)
		return -ENOMEM;
	dp->fib6 = fib;
	err = create_table(dp, "routes6", ROUTES_MAX, &fib->routes);
	if (err == 0)
		err = create_table(dp, "neighbours6", NEIGHS_MAX, &fib->neighs);
	if (err != 0)
		fib6_destroy(dp);
	return err;
}

void fib6_destroy(struct dp *dp)
{
	struct fib6 *fib = dp->fib6;
	const void *key;
	uint32_t next = 0;
	void *data;

	if (fib == NULL)
		return;
	while (fib->routes != NULL && rte_hash_iterate(fib->routes, &key, &data, &next) >= 0)
		free(data);
	rte_hash_free(fib->routes);
	rte_hash_free(fib->neighs);
	free(fib);
	dp->fib6 = NULL;
}
