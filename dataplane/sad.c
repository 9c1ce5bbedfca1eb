#include "dataplane/sad.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include <rte_cycles.h>
#include <rte_malloc.h>

#include "dataplane/dp_internal.h"
#include "dataplane/esp_transport.h"
#include "dataplane/numa.h"
#include "dataplane/outer.h"
#include "dataplane/tunnel.h"
#include "dataplane/tunnel_count.h"

int sad_create(struct dp *dp)
{
	struct sad *sad = calloc(1, sizeof(*sad));
	int err;

	if (sad == NULL)
		return -ENOMEM;
	err = crypto_create(&sad->crypto);
	if (err != 0) {
		free(sad);
		return err;
	}
	dp->sad = sad;
	return 0;
}

static void sa_in_free(void *p)
{
	struct sa_in *sa = p;

	if (sa == NULL)
		return;
	tunnel_count_leave_in(sa);
	esp_selectors_fini(&sa->ts);
	wipe(sa, sa->size);
	rte_free(sa);
}

void sad_destroy(struct dp *dp)
{
	struct sad *sad = dp->sad;

	if (sad == NULL)
		return;
	for (uint32_t i = 0; i < SAD_SLOTS; i++)
		sa_in_free(atomic_load_explicit(&sad->slot[i], memory_order_relaxed));
	crypto_destroy(sad->crypto);
	free(sad);
	dp->sad = NULL;
}

// The free slot at or behind a place.
static uint32_t free_slot(const struct sad *sad, uint32_t at)
{
	while (sad->spi[at & (SAD_SLOTS - 1)] != 0)
		at++;
	return at & (SAD_SLOTS - 1);
}

int dp_sa_in_reserve(struct dp *dp, uint32_t *spi)
{
	struct sad *sad = dp->sad;
	uint32_t s, candidate;

	if (sad->used == SAD_SLOTS)
		return -ENOSPC;
	do { // RFC 4303 2.1: 0 to 255 are reserved
		if (getrandom(&candidate, sizeof(candidate), 0) != sizeof(candidate))
			return -EIO;
		s = free_slot(sad, candidate);
		candidate = (candidate & ~(SAD_SLOTS - 1)) | s;
	} while (candidate < ESP_SPI_MIN || candidate == sad->last_spi[s]);
	sad->spi[s] = candidate;
	sad->used++;
	*spi = candidate;
	return 0;
}

static bool is_reserved(const struct sad *sad, uint32_t spi)
{
	return spi != 0 && sad->spi[spi & (SAD_SLOTS - 1)] == spi;
}

static uint64_t peer_of(const struct ip_endpoint *e)
{
	const uint16_t port_be = rte_cpu_to_be_16(e->port);

	return e->addr.family == IP_V6
		       ? sa_in_peer6(e->addr.bytes, port_be)
		       : sa_in_peer(rte_cpu_to_be_32(ip_addr_to_v4(&e->addr)), port_be);
}

int dp_sa_in_peer(struct dp *dp, uint32_t spi, const struct ip_endpoint *peer)
{
	struct sa_in *sa = sad_lookup(dp->sad, spi);

	if (sa == NULL)
		return -ENOENT;
	atomic_store_explicit(&sa->peer, peer_of(peer), memory_order_relaxed);
	return 0;
}

int dp_sa_in_publish(struct dp *dp, uint32_t tunnel, struct esp_sa *esp, struct error *err)
{
	struct sad *sad = dp->sad;
	const uint32_t s = esp->spi & (SAD_SLOTS - 1);
	const size_t size =
		sizeof(struct sa_in) + replay_ring_words(esp->replay_window) * sizeof(uint64_t);
	struct sa_in *sa;
	int res;

	res = esp_sa_check(esp, err);
	if (res != 0)
		return res;
	if (!is_reserved(sad, esp->spi))
		return error_set(err, -ENOENT, "inbound SPI 0x%08x was not reserved", esp->spi);
	if (sad_lookup(sad, esp->spi) != NULL)
		return error_set(err, -EEXIST, "inbound SPI 0x%08x is in use", esp->spi);
	sa = numa_zalloc(dp->node, "sa_in", size, _Alignof(struct sa_in));
	if (sa == NULL)
		return error_set(err, -ENOMEM, "no memory for an inbound SA: raise gateway.memory");
	sa->size = size;
	res = esp_sa_selectors(esp, &sa->ts, err);
	if (res != 0)
		goto out;
	res = esp_sa_key(sad->crypto, esp, &sa->key, err);
	if (res != 0)
		goto out;
	sa->spi = esp->spi;
	sa->tunnel = tunnel;
	if (tunnel_get(dp, tunnel) != NULL)
		tunnel_count_join_in(tunnel_get(dp, tunnel)->count, sa);
	sa->iface = tunnel_get(dp, tunnel) != NULL ? tunnel_get(dp, tunnel)->iface : DP_IFACE_NONE;
	sa->udp_encap = esp->udp_encap;
	sa->either_form = esp->either_form;
	sa->dscp_mask = outer_in_init(&esp->outer);
	sa->transport = esp->transport;
	sa->plain = !sa->transport && sa->dscp_mask == 0 && sa->iface == DP_IFACE_NONE &&
		    esp_selectors_only_addresses(&sa->ts);
	sa->oa = esp->transport && esp->local_oa.family != IP_NONE;
	sa->oa_sum = esp_transport_sum_addrs(&esp->remote_oa, &esp->local_oa);
	atomic_init(&sa->peer, peer_of(&esp->remote));
	sa->packets_check = esp_life_check(esp->soft.packets, esp->hard.packets);
	sa->bytes_check = esp_life_check(esp->soft.bytes, esp->hard.bytes);
	sa->packets_hard = esp_life_hard(esp->hard.packets);
	sa->bytes_hard = esp_life_hard(esp->hard.bytes);
	atomic_init(&sa->owner, SA_IN_NO_OWNER);
	replay_init(&sa->replay, esp->replay_window, sa->ring);
	// Workers know flows by their SPI, and this one may have had it already.
	if (sad->last_spi[s] != 0 &&
	    sad->gone_at[s] == atomic_load_explicit(&dp->changes, memory_order_relaxed))
		dp_changed(dp);
	atomic_store_explicit(&sad->slot[s], sa, memory_order_release);
	esp_sa_fini(esp);
	return 0;
out:
	sa_in_free(sa);
	return res;
}

int dp_sa_in_retire(struct dp *dp, uint32_t spi)
{
	struct sad *sad = dp->sad;
	const uint32_t s = spi & (SAD_SLOTS - 1);
	struct sa_in *sa;

	if (!is_reserved(sad, spi))
		return -ENOENT;
	sa = atomic_exchange_explicit(&sad->slot[s], NULL, memory_order_release);
	sad->last_spi[s] = spi;
	sad->spi[s] = 0;
	sad->used--;
	sad->gone_at[s] = atomic_load_explicit(&dp->changes, memory_order_relaxed);
	if (sa != NULL)
		dp_defer_free(dp, sa_in_free, sa);
	return 0;
}

int dp_sa_in_stats(const struct dp *dp, uint32_t spi, struct dp_sa_stats *out)
{
	const struct sa_in *sa = sad_lookup(dp->sad, spi);
	uint64_t idle_ms, dummy_ms;

	if (sa == NULL)
		return -ENOENT;
	idle_ms = esp_idle_ms(dp, counter_read(&sa->last_tsc));
	dummy_ms = esp_idle_ms(dp, counter_read(&sa->dummy_tsc));
	*out = (struct dp_sa_stats){
		.packets = counter_read(&sa->packets),
		.bytes = counter_read(&sa->bytes),
		.idle_ms = idle_ms,
		.silent_ms = RTE_MIN(idle_ms, dummy_ms),
		.seq = counter_read(&sa->top_seq),
		.replays = counter_read(&sa->replays),
		.auth_failures = counter_read(&sa->auth_failures),
	};
	return 0;
}
