#include "control/ike_run_priv.h"

#include <errno.h>

uint64_t spi_key(const uint8_t spi[8])
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 8; i++)
		v = v << 8 | spi[i];
	return v;
}

// Our SPIs are random. Peers' addresses are few on a gateway; mixing spreads neighbours.
static size_t bucket(uint64_t key)
{
	return (size_t)((key * 0x9e3779b97f4a7c15u) >> 40) & (SA_BUCKETS - 1);
}

size_t run_addr_bucket(const struct ip_addr *a)
{
	return bucket(spi_key(a->bytes) ^ spi_key(a->bytes + 8));
}

// One address may be behind many SAs, so the peer's SPI spreads as well.
static size_t bucket_peer(const struct ip_addr *a, uint64_t peer_spi)
{
	return bucket(spi_key(a->bytes) ^ spi_key(a->bytes + 8) ^ peer_spi);
}

void run_sa_unindex_spi(struct run_sa *s)
{
	struct run_sa **at = &s->run->by_spi[bucket(s->own_spi)];

	if (!s->own_spi)
		return;
	while (*at && *at != s)
		at = &(*at)->next_spi;
	if (*at)
		*at = s->next_spi;
	dp_guard_del_spi(s->run->dp, s->own_spi);
	s->own_spi = 0;
}

void run_sa_index_spi(struct run_sa *s, uint64_t spi)
{
	struct run_sa **at = &s->run->by_spi[bucket(spi)];

	if (s->own_spi == spi)
		return;
	run_sa_unindex_spi(s);
	s->own_spi = spi;
	s->next_spi = *at;
	*at = s;
	// Without memory its messages count as those of a peer, or of a stranger.
	dp_guard_add_spi(s->run->dp, spi);
}

int run_sa_half_open(struct run_sa *s, const struct ip_addr *peer, uint64_t peer_spi, bool proved)
{
	struct run_sa **at = &s->run->by_peer[bucket_peer(peer, peer_spi)];

	if (!proved && half_open_add(&s->run->unproved, peer))
		return -ENOMEM;
	s->unproved = !proved;
	s->half_open = true;
	s->run->n_half_open++;
	s->peer = *peer;
	s->peer_spi = peer_spi;
	s->next_peer = *at;
	*at = s;
	return 0;
}

void run_sa_unindex_peer(struct run_sa *s)
{
	struct run_sa **at = &s->run->by_peer[bucket_peer(&s->peer, s->peer_spi)];

	while (*at && *at != s)
		at = &(*at)->next_peer;
	if (*at)
		*at = s->next_peer;
}

struct run_sa *run_sa_by_spi(struct ike_run *run, uint64_t own_spi)
{
	struct run_sa *s = run->by_spi[bucket(own_spi)];

	while (s && s->own_spi != own_spi)
		s = s->next_spi;
	return s;
}

struct run_sa *run_sa_by_peer(struct ike_run *run, const struct ip_addr *peer, uint64_t peer_spi)
{
	struct run_sa *s = run->by_peer[bucket_peer(peer, peer_spi)];

	while (s && (s->peer_spi != peer_spi || !ip_addr_equal(&s->peer, peer)))
		s = s->next_peer;
	return s;
}

void run_sa_half_open_over(struct run_sa *s)
{
	if (s->half_open)
		s->run->n_half_open--;
	if (s->unproved)
		half_open_del(&s->run->unproved, &s->peer);
	s->half_open = s->unproved = false;
}

// Ids count up: neighbours never share a bucket.
void run_sa_index_id(struct run_sa *s)
{
	struct run_sa **at = &s->run->by_id[s->id & (SA_BUCKETS - 1)];

	s->next_id = *at;
	*at = s;
}

void run_sa_unindex_id(struct run_sa *s)
{
	struct run_sa **at = &s->run->by_id[s->id & (SA_BUCKETS - 1)];

	while (*at && *at != s)
		at = &(*at)->next_id;
	if (*at)
		*at = s->next_id;
}

struct run_sa *run_sa_by_id(struct ike_run *run, uint32_t id)
{
	struct run_sa *s = run->by_id[id & (SA_BUCKETS - 1)];

	while (s && s->id != id)
		s = s->next_id;
	return s;
}
