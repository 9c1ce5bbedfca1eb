#include "dataplane/tunnel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_malloc.h>
#include <rte_random.h>

#include "dataplane/dp_internal.h"
#include "dataplane/numa.h"
#include "dataplane/pmtu.h"
#include "dataplane/tfc.h"
#include "dataplane/tunnel_count.h"

int tunnels_create(struct dp *dp)
{
	struct tunnels *t = calloc(1, sizeof(*t));
	int err;

	if (t == NULL)
		return -ENOMEM;
	err = crypto_create(&t->crypto);
	if (err != 0) {
		free(t);
		return err;
	}
	t->policies_set = 1; // 0: none named it yet
	dp->tunnels = t;
	return 0;
}

static void sa_out_free(void *p)
{
	struct sa_out *sa = p;

	if (sa == NULL)
		return;
	tunnel_count_leave_out(sa);
	esp_selectors_fini(&sa->ts);
	wipe(sa, sizeof(*sa));
	rte_free(sa);
}

static void tunnel_free(void *p)
{
	struct tunnel *t = p;

	sa_out_free(atomic_load_explicit(&t->sa, memory_order_relaxed));
	tunnel_count_put(t->count);
	rte_free(t);
}

void tunnels_destroy(struct dp *dp)
{
	struct tunnels *t = dp->tunnels;

	if (t == NULL)
		return;
	for (uint32_t i = 0; i < t->n_slots; i++)
		if (t->slot[i] != NULL)
			tunnel_free(t->slot[i]);
	tfc_destroy(dp);
	free(t->slot);
	free(t->named);
	crypto_destroy(t->crypto);
	free(t);
	dp->tunnels = NULL;
}

// Any peer may choose its SPIs as it likes, and have a row of its own to look through.
static uint32_t spi_row(uint32_t spi)
{
	return spi & (TUNNEL_SPI_ROWS - 1);
}

static void index_sa(struct tunnels *tunnels, const struct tunnel *t, struct sa_out *sa)
{
	sa->tunnel = t->id;
	LIST_INSERT_HEAD(&tunnels->by_spi[spi_row(sa->spi)], sa, spi_link);
}

static bool goes_to(const struct sa_out *sa, const struct ip_addr *peer)
{
	if (sa->v6 != (peer->family == IP_V6))
		return false;
	return sa->v6 ? memcmp(sa->outer + SA_OUT_DST6, peer->bytes, 16) == 0
		      : sa->remote_be == rte_cpu_to_be_32(ip_addr_to_v4(peer));
}

const struct sa_out *tunnels_sa_to(const struct tunnels *t, uint32_t spi,
				   const struct ip_addr *peer)
{
	const struct sa_out *sa;

	LIST_FOREACH(sa, &t->by_spi[spi_row(spi)], spi_link)
	if (sa->spi == spi && goes_to(sa, peer))
		return sa;
	return NULL;
}

struct tunnel *tunnel_get(const struct dp *dp, uint32_t id)
{
	return id < dp->tunnels->n_slots ? dp->tunnels->slot[id] : NULL;
}

// Workers never look at the array, so it may move.
static int find_free_slot(struct tunnels *t, uint32_t *slot)
{
	const uint32_t n = t->n_slots;
	const uint32_t grown = n == 0 ? 64 : 2 * n;
	struct tunnel **p;
	uint32_t *named;

	for (uint32_t i = t->first_free; i < n; i++) {
		if (t->slot[i] == NULL) {
			*slot = t->first_free = i;
			return 0;
		}
	}
	p = realloc(t->slot, grown * sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	memset(p + n, 0, (grown - n) * sizeof(*p));
	t->slot = p;
	named = realloc(t->named, grown * sizeof(*named));
	if (named == NULL)
		return -ENOMEM;
	memset(named + n, 0, (grown - n) * sizeof(*named));
	t->named = named;
	t->n_slots = grown;
	*slot = t->first_free = n;
	return 0;
}

int dp_tunnel_add(struct dp *dp, const char *name, uint32_t *id)
{
	struct tunnel *t;
	uint32_t slot;
	int err;

	err = find_free_slot(dp->tunnels, &slot);
	if (err != 0)
		return err;
	t = numa_zalloc(dp->node, "tunnel", sizeof(*t), 64);
	if (t == NULL)
		return -ENOMEM;
	t->count = tunnel_count_create();
	if (t->count == NULL) {
		rte_free(t);
		return -ENOMEM;
	}
	t->id = slot;
	t->dummy_at = UINT32_MAX;
	t->label_seed = (uint32_t)rte_rand();
	snprintf(t->name, sizeof(t->name), "%s", name);
	dp->tunnels->slot[slot] = t;
	*id = slot;
	return 0;
}

const char *dp_tunnel_name(const struct dp *dp, uint32_t id)
{
	const struct tunnel *t = tunnel_get(dp, id);

	return t != NULL ? t->name : NULL;
}

int dp_tunnel_del(struct dp *dp, uint32_t id)
{
	struct tunnel *t = tunnel_get(dp, id);
	struct sa_out *sa;

	if (t == NULL)
		return -ENOENT;
	if (dp->tunnels->named[id] == dp->tunnels->policies_set)
		return -EBUSY;
	tfc_forget(dp, t);
	sa = tunnel_sa(t);
	if (sa != NULL)
		LIST_REMOVE(sa, spi_link);
	// No policy leads to it any more; a worker may still be in the batch of an older snapshot.
	dp->tunnels->slot[id] = NULL;
	dp->tunnels->first_free = RTE_MIN(dp->tunnels->first_free, id);
	atomic_fetch_add_explicit(&dp->tunnels->removed, 1, memory_order_release);
	dp_defer_free(dp, tunnel_free, t);
	return 0;
}

int dp_tunnel_bind(struct dp *dp, uint32_t id, unsigned iface)
{
	struct tunnel *t = tunnel_get(dp, id);

	if (t == NULL)
		return -ENOENT;
	if (iface != DP_IFACE_NONE &&
	    (iface < DP_IFACE_FIRST || iface >= DP_IFACE_FIRST + DP_IFACES_MAX))
		return -EINVAL;
	t->iface = (uint16_t)iface;
	return 0;
}

int dp_tunnel_hold(struct dp *dp, uint32_t id, bool on)
{
	struct tunnel *t = tunnel_get(dp, id);

	if (t == NULL)
		return -ENOENT;
	atomic_store_explicit(&t->hold, on, memory_order_relaxed);
	return 0;
}

static uint32_t sum_words(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)p[i] | (uint32_t)p[i + 1] << 8;
	return sum;
}

// A packet takes one sequence number, so limits of packets are limits of these.
static void set_life(struct sa_out *sa, const struct esp_sa *esp)
{
	const uint64_t low = esp_life_check(esp->soft.packets, esp->hard.packets);

	sa->seq_check = RTE_MIN(low, sa_out_seq_low(sa));
	sa->seq_hard = RTE_MIN(esp_life_hard(esp->hard.packets), sa_out_seq_max(sa));
	sa->bytes_check = esp_life_check(esp->soft.bytes, esp->hard.bytes);
	sa->bytes_hard = esp_life_hard(esp->hard.bytes);
}

static void build_outer4(struct sa_out *sa, const struct ip_addr *local,
			 const struct ip_addr *remote)
{
	struct rte_ipv4_hdr ip = {
		.version_ihl = RTE_IPV4_VHL_DEF,
		.time_to_live = sa->ttl,
		.next_proto_id = sa->udp ? IPPROTO_UDP : IPPROTO_ESP,
	};

	sa->local_be = rte_cpu_to_be_32(ip_addr_to_v4(local));
	sa->remote_be = rte_cpu_to_be_32(ip_addr_to_v4(remote));
	ip.src_addr = sa->local_be;
	ip.dst_addr = sa->remote_be;
	memcpy(sa->outer, &ip, sizeof(ip));
	sa->outer_len = sizeof(ip);
	sa->cksum = sum_words(&ip, sizeof(ip));
}

// Traffic class, length and the flow label of a flow are put in with each packet.
static void build_outer6(struct sa_out *sa, const struct ip_addr *local,
			 const struct ip_addr *remote)
{
	const uint32_t fixed =
		sa->label == OUTER_LABEL_TUNNEL ? outer_label_tunnel(sa->label_seed) : 0;
	const uint32_t first_be = rte_cpu_to_be_32(6u << 28 | fixed);
	uint8_t *ip = sa->outer;

	memcpy(ip, &first_be, sizeof(first_be));
	ip[6] = sa->udp ? IPPROTO_UDP : IPPROTO_ESP;
	ip[7] = sa->ttl;
	memcpy(ip + 8, local->bytes, 16);
	memcpy(ip + SA_OUT_DST6, remote->bytes, 16);
	sa->outer_len = sizeof(struct rte_ipv6_hdr);
}

static void set_rule(struct sa_out *sa, const struct tunnel *t, const struct esp_sa *esp)
{
	outer_out_init(&sa->rule, &esp->outer, esp->spi);
	sa->label = (uint8_t)esp->outer.label;
	sa->label_seed = t->label_seed;
	sa->ttl = esp->outer.ttl != 0 ? esp->outer.ttl : OUTER_TTL_DEFAULT;
	sa->tfc_padding = esp->tfc_padding;
}

static void build_outer(struct sa_out *sa, const struct ip_endpoint *local,
			const struct ip_endpoint *remote, bool udp_encap)
{
	// RFC 3948 2.1: over IPv4 the checksum is sent as zero; over IPv6 it is computed. The
	// length differs from packet to packet.
	const struct rte_udp_hdr udp = {
		.src_port = rte_cpu_to_be_16(local->port),
		.dst_port = rte_cpu_to_be_16(remote->port),
	};

	sa->v6 = remote->addr.family == IP_V6;
	sa->udp = udp_encap;
	if (sa->v6)
		build_outer6(sa, &local->addr, &remote->addr);
	else
		build_outer4(sa, &local->addr, &remote->addr);
	if (!udp_encap)
		return;
	memcpy(sa->outer + sa->outer_len, &udp, sizeof(udp));
	sa->outer_len = (uint8_t)(sa->outer_len + sizeof(udp));
}

uint16_t sa_out_path_mtu(const struct dp *dp, const struct sa_out *sa)
{
	return sa->v6 ? pmtu6_to(dp, sa->outer + SA_OUT_DST6) : pmtu_to(dp, sa->remote_be);
}

int dp_tunnel_set_out(struct dp *dp, uint32_t id, struct esp_sa *esp, struct error *err)
{
	struct tunnel *t = tunnel_get(dp, id);
	struct sa_out *sa, *old;
	int res;

	if (t == NULL)
		return error_set(err, -ENOENT, "no tunnel %u", id);
	res = esp_sa_check(esp, err);
	if (res != 0)
		return res;
	sa = numa_zalloc(dp->node, "sa_out", sizeof(*sa), _Alignof(struct sa_out));
	if (sa == NULL)
		return error_set(err, -ENOMEM,
				 "no memory for an outbound SA: raise gateway.memory");
	res = esp_sa_selectors(esp, &sa->ts, err);
	if (res != 0)
		goto out;
	res = esp_sa_key(dp->tunnels->crypto, esp, &sa->key, err);
	if (res != 0)
		goto out;
	sa->names_ports = esp_selectors_name_ports(&sa->ts);
	sa->spi = esp->spi;
	sa->spi_be = rte_cpu_to_be_32(esp->spi);
	if (tfc_set(dp, t, esp->dummies) != 0) {
		res = error_set(err, -ENOMEM, "no memory for an SA's dummy packets");
		goto out;
	}
	set_rule(sa, t, esp);
	sa->transport = esp->transport;
	build_outer(sa, &esp->local, &esp->remote, esp->udp_encap);
	set_life(sa, esp);
	tunnel_count_join_out(t->count, sa);
	index_sa(dp->tunnels, t, sa);
	old = atomic_exchange_explicit(&t->sa, sa, memory_order_acq_rel);
	dp_changed(dp);
	if (old != NULL) {
		LIST_REMOVE(old, spi_link);
		dp_defer_free(dp, sa_out_free, old);
	}
	esp_sa_fini(esp);
	return 0;
out:
	sa_out_free(sa);
	return res;
}

int dp_tunnel_move(struct dp *dp, uint32_t id, uint32_t spi, const struct ip_endpoint *local,
		   const struct ip_endpoint *remote)
{
	struct tunnel *t = tunnel_get(dp, id);
	struct sa_out *old = t != NULL ? tunnel_sa(t) : NULL, *sa;

	if (old == NULL || old->spi != spi)
		return -ENOENT;
	if (local->addr.family != remote->addr.family || local->addr.family == IP_NONE)
		return -EAFNOSUPPORT;
	sa = numa_zalloc(dp->node, "sa_out", sizeof(*sa), _Alignof(struct sa_out));
	if (sa == NULL)
		return -ENOMEM;
	sa->spi = old->spi;
	sa->spi_be = old->spi_be;
	if (esp_selectors_copy(&old->ts, &sa->ts) != 0) {
		sa_out_free(sa);
		return -ENOMEM;
	}
	sa->names_ports = old->names_ports;
	sa->rule = old->rule;
	sa->label = old->label;
	sa->label_seed = old->label_seed;
	sa->ttl = old->ttl;
	sa->tfc_padding = old->tfc_padding;
	sa->transport = old->transport;
	sa->key = old->key;
	build_outer(sa, local, remote, local->port != 0 && remote->port != 0);
	sa->uncounted = atomic_load_explicit(&old->uncounted, memory_order_acquire);
	// A number is the IV of the same key in both SAs: none may be given away twice, not
	// even by a worker that has loaded the old pointer and sleeps before it takes its numbers.
	// One atomic add reads the last number given away and puts whatever the old counter gives
	// from then on beyond any sa_out_seq_max, where nothing is sent; the new counter goes on
	// behind what was read. No gap has to be guessed. A batch that comes in between is dropped.
	sa->seq = atomic_fetch_add_explicit(&old->seq, SA_OUT_SEALED, memory_order_acq_rel);
	sa->seq_check = old->seq_check;
	sa->seq_hard = old->seq_hard;
	sa->bytes_check = old->bytes_check;
	sa->bytes_hard = old->bytes_hard;
	sa->bytes = atomic_load_explicit(&old->bytes, memory_order_relaxed);
	sa->last_tsc = atomic_load_explicit(&old->last_tsc, memory_order_relaxed);
	tunnel_count_move_out(old, sa);
	LIST_REMOVE(old, spi_link);
	index_sa(dp->tunnels, t, sa);
	atomic_store_explicit(&t->sa, sa, memory_order_release);
	dp_changed(dp);
	dp_defer_free(dp, sa_out_free, old);
	return 0;
}

int dp_tunnel_clear_out(struct dp *dp, uint32_t id, uint32_t spi)
{
	struct tunnel *t = tunnel_get(dp, id);
	struct sa_out *sa = t != NULL ? tunnel_sa(t) : NULL;

	if (sa == NULL || sa->spi != spi)
		return -ENOENT;
	LIST_REMOVE(sa, spi_link);
	atomic_store_explicit(&t->sa, NULL, memory_order_release);
	dp_changed(dp);
	dp_defer_free(dp, sa_out_free, sa);
	return 0;
}

int dp_tunnel_out_stats(const struct dp *dp, uint32_t id, struct dp_sa_stats *out)
{
	const struct tunnel *t = tunnel_get(dp, id);
	struct sa_out *sa = t != NULL ? tunnel_sa(t) : NULL;
	uint64_t seq;

	if (sa == NULL)
		return -ENOENT;
	seq = atomic_load_explicit(&sa->seq, memory_order_relaxed);
	*out = (struct dp_sa_stats){
		.packets = sa_out_packets(sa),
		.bytes = atomic_load_explicit(&sa->bytes, memory_order_relaxed),
		.idle_ms =
			esp_idle_ms(dp, atomic_load_explicit(&sa->last_tsc, memory_order_relaxed)),
		// The counter goes on when all are used up; nothing is sent then.
		.seq = RTE_MIN(seq, sa->seq_hard),
	};
	return 0;
}

int dp_tunnel_totals(const struct dp *dp, uint32_t id, struct dp_tunnel_totals *out)
{
	const struct tunnel *t = tunnel_get(dp, id);

	if (t == NULL)
		return -ENOENT;
	tunnel_count_totals(t->count, out);
	return 0;
}

uint16_t dp_tunnel_inner_mtu(const struct dp *dp, uint32_t id)
{
	const struct tunnel *t = tunnel_get(dp, id);
	const struct sa_out *sa = t != NULL ? tunnel_sa(t) : NULL;

	return sa != NULL ? sa_out_inner_mtu(sa, sa_out_path_mtu(dp, sa)) : 0;
}
