#include "control/ike_run_priv.h"

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

void run_sa_unindex_spi(struct run_sa *s)
{
	struct run_sa **at = &s->run->by_spi[bucket(s->own_spi)];

	if (!s->own_spi)
		return;
	while (*at && *at != s)
		at = &(*at)->next_spi;
	if (*at)
		*at = s->next_spi;
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
}

static size_t bucket_peer(const struct ip_addr *peer, uint64_t peer_spi)
{
	return bucket(run_addr_bucket(peer) ^ peer_spi);
}

void run_sa_half_open(struct run_sa *s, const struct ip_addr *peer, uint64_t peer_spi)
{
	struct run_sa **at = &s->run->by_peer[bucket_peer(peer, peer_spi)];
	struct run_sa **from = &s->run->half_open_from[run_addr_bucket(peer)];

	s->half_open = true;
	s->run->n_half_open++;
	s->peer = *peer;
	s->peer_spi = peer_spi;
	s->next_peer = *at;
	*at = s;
	s->next_half_open = *from;
	*from = s;
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
	struct run_sa **at = &s->run->half_open_from[run_addr_bucket(&s->peer)];

	if (!s->half_open)
		return;
	while (*at != s)
		at = &(*at)->next_half_open;
	*at = s->next_half_open;
	s->run->n_half_open--;
	s->half_open = false;
}

unsigned run_sa_half_open_from(const struct ike_run *run, const struct ip_addr *peer)
{
	const struct run_sa *s = run->half_open_from[run_addr_bucket(peer)];
	unsigned n = 0;

	for (; s; s = s->next_half_open)
		n += ip_addr_equal(&s->peer, peer);
	return n;
}

struct run_sa *run_sa_by_id(struct ike_run *run, uint32_t id)
{
	struct run_sa *s = run->shown;

	if (s && s->id == id)
		return s;
	TAILQ_FOREACH(s, &run->sas, link)
	if (s->id == id)
		return s;
	return NULL;
}
