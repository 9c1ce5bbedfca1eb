#include "dataplane/tunnel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_malloc.h>

#include "dataplane/dp_internal.h"
#include "dataplane/pmtu.h"

#define OUTER_TTL 64

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
	dp->tunnels = t;
	return 0;
}

static void sa_out_free(void *p)
{
	struct sa_out *sa = p;

	if (sa == NULL)
		return;
	esp_selectors_fini(&sa->ts);
	wipe(sa, sizeof(*sa));
	rte_free(sa);
}

static void tunnel_free(void *p)
{
	struct tunnel *t = p;

	sa_out_free(atomic_load_explicit(&t->sa, memory_order_relaxed));
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
	free(t->slot);
	crypto_destroy(t->crypto);
	free(t);
	dp->tunnels = NULL;
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

	for (uint32_t i = 0; i < n; i++) {
		if (t->slot[i] == NULL) {
			*slot = i;
			return 0;
		}
	}
	p = realloc(t->slot, grown * sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	memset(p + n, 0, (grown - n) * sizeof(*p));
	t->slot = p;
	t->n_slots = grown;
	*slot = n;
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
	t = rte_zmalloc("tunnel", sizeof(*t), 64);
	if (t == NULL)
		return -ENOMEM;
	t->id = slot;
	snprintf(t->name, sizeof(t->name), "%s", name);
	dp->tunnels->slot[slot] = t;
	*id = slot;
	return 0;
}

int dp_tunnel_del(struct dp *dp, uint32_t id)
{
	struct tunnel *t = tunnel_get(dp, id);

	if (t == NULL)
		return -ENOENT;
	if (t->n_policies != 0)
		return -EBUSY;
	// No policy leads to it any more; a worker may still be in the batch of an older snapshot.
	dp->tunnels->slot[id] = NULL;
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
		.time_to_live = OUTER_TTL,
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

// Traffic class and length are put in with each packet; the flow label is zero, as nothing here
// has one for the whole tunnel (RFC 6438 is about balancing, which RSS does by SPI or ports).
static void build_outer6(struct sa_out *sa, const struct ip_addr *local,
			 const struct ip_addr *remote)
{
	uint8_t *ip = sa->outer;

	ip[0] = 6 << 4;
	ip[6] = sa->udp ? IPPROTO_UDP : IPPROTO_ESP;
	ip[7] = OUTER_TTL;
	memcpy(ip + 8, local->bytes, 16);
	memcpy(ip + SA_OUT_DST6, remote->bytes, 16);
	sa->outer_len = sizeof(struct rte_ipv6_hdr);
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
	sa = rte_zmalloc("sa_out", sizeof(*sa), _Alignof(struct sa_out));
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
	sa->transport = esp->transport;
	build_outer(sa, &esp->local, &esp->remote, esp->udp_encap);
	set_life(sa, esp);
	old = atomic_exchange_explicit(&t->sa, sa, memory_order_acq_rel);
	if (old != NULL)
		dp_defer_free(dp, sa_out_free, old);
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
	sa = rte_zmalloc("sa_out", sizeof(*sa), _Alignof(struct sa_out));
	if (sa == NULL)
		return -ENOMEM;
	sa->spi = old->spi;
	sa->spi_be = old->spi_be;
	if (esp_selectors_copy(&old->ts, &sa->ts) != 0) {
		sa_out_free(sa);
		return -ENOMEM;
	}
	sa->names_ports = old->names_ports;
	sa->transport = old->transport;
	sa->key = old->key;
	build_outer(sa, local, remote, local->port != 0 && remote->port != 0);
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
	sa->packets = atomic_load_explicit(&old->packets, memory_order_relaxed);
	sa->bytes = atomic_load_explicit(&old->bytes, memory_order_relaxed);
	sa->last_tsc = atomic_load_explicit(&old->last_tsc, memory_order_relaxed);
	atomic_store_explicit(&t->sa, sa, memory_order_release);
	dp_defer_free(dp, sa_out_free, old);
	return 0;
}

int dp_tunnel_clear_out(struct dp *dp, uint32_t id, uint32_t spi)
{
	struct tunnel *t = tunnel_get(dp, id);
	struct sa_out *sa = t != NULL ? tunnel_sa(t) : NULL;

	if (sa == NULL || sa->spi != spi)
		return -ENOENT;
	atomic_store_explicit(&t->sa, NULL, memory_order_release);
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
		.packets = atomic_load_explicit(&sa->packets, memory_order_relaxed),
		.bytes = atomic_load_explicit(&sa->bytes, memory_order_relaxed),
		.idle_ms =
			esp_idle_ms(dp, atomic_load_explicit(&sa->last_tsc, memory_order_relaxed)),
		// The counter goes on when all are used up; nothing is sent then.
		.seq = RTE_MIN(seq, sa->seq_hard),
	};
	return 0;
}

uint16_t dp_tunnel_inner_mtu(const struct dp *dp, uint32_t id)
{
	const struct tunnel *t = tunnel_get(dp, id);
	const struct sa_out *sa = t != NULL ? tunnel_sa(t) : NULL;

	return sa != NULL ? sa_out_inner_mtu(sa, sa_out_path_mtu(dp, sa)) : 0;
}
